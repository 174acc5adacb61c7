//! What a program does with an open connection: it writes and reads.

use core::time::Duration;

use crate::buf::Rope;
use crate::error::SocketError;
use crate::time::Instant;

use super::SeqNumber;
use super::connection::{Connection, Filling};
use super::memory::Supply;
use super::send::Fin;
use super::send::buffer::{FRAME_COST, Room, frame_size, useful_bytes, wanted_bytes};
use super::state::State;
use super::urgent::Urgency;

/// What may be written where there is no memory for more, in bytes (the first of Linux's `tcp_wmem`).
const LEAST_CAPACITY: u32 = 4096;

/// Why a write was refused.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum WriteError {
    /// The connection is not open yet (ENOTCONN).
    NotConnected,
    /// Writing was shut down, or the connection is gone (EPIPE).
    BrokenPipe,
    /// The connection failed; told once.
    Socket(SocketError),
}

/// Whether what is written may wait for more (`MSG_MORE`).
///
/// ```
/// use tapsock_stack::tcp::connection::Push;
///
/// assert_eq!(Push::default(), Push::Now);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Push {
    /// It goes out as Nagle's rule and `TCP_CORK` allow.
    #[default]
    Now,
    /// A small segment is held back until more is written, the peer is heard of, or a time-out has passed.
    Later,
    /// As now, and what is written next goes in a segment of its own (`MSG_EOR`).
    EndOfRecord,
    /// Both: it is held back, and what is written next goes in a segment of its own.
    EndOfRecordLater,
}

impl Push {
    fn holds_back(self) -> bool {
        matches!(self, Push::Later | Push::EndOfRecordLater)
    }

    fn ends_record(self) -> bool {
        matches!(self, Push::EndOfRecord | Push::EndOfRecordLater)
    }
}

/// Why there is nothing to read.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ReadError {
    /// Nothing has come yet (EAGAIN).
    WouldBlock,
    /// The connection is not open (ENOTCONN).
    NotConnected,
    /// The connection failed; told once.
    Socket(SocketError),
}

/// The queue of a link by itself makes no round trip longer than that.
const LONGEST_QUEUE: Duration = Duration::from_millis(20);

impl Connection {
    /// Takes as much of `data` as there is room for and says how much that is.
    ///
    /// Errors: [`WriteError::NotConnected`] before the handshake is done, [`WriteError::BrokenPipe`] after
    /// `shutdown`, and once the error that ended the connection.
    //= RFC 9293 §3.10.2
    pub fn write(&mut self, data: Rope) -> Result<usize, WriteError> {
        self.write_as(data, Urgency::Normal, Push::Now)
    }

    /// As [`write`](Connection::write), urgent, or with more to come.
    pub fn write_as(&mut self, mut data: Rope, urgency: Urgency, push: Push) -> Result<usize, WriteError> {
        if let Some(error) = self.error.take() {
            return Err(WriteError::Socket(error));
        }
        match self.state {
            State::SynReceived if self.is_early() && self.send.fin == Fin::No => {}
            State::SynSent | State::SynReceived => return Err(WriteError::NotConnected),
            state if !state.can_send() => return Err(WriteError::BrokenPipe),
            _ => {}
        }
        self.note_bound_by_program();
        let room = self.room();
        let free = self.free_space();
        let taken = data.split_to(free);
        let count = taken.len();
        self.send.queue.push(taken);
        self.send.filled = self.send.queue.end() + room.tail_after(count as u32);
        self.send.starved |= count == free;
        self.mark_pushes(room, count as u32);
        // As Linux: who gets no more room for now waits for nothing to follow.
        if count > 0 && (!push.holds_back() || !data.is_empty()) {
            self.send.pushed = self.send.queue.end();
        }
        if count > 0 && push.ends_record() && data.is_empty() {
            self.send.records.end_at(self.send.queue.end());
        }
        self.pending.idle_check |= count > 0;
        self.note_news();
        self.pending.hold = push.holds_back();
        self.pending.filling = if push.ends_record() { Filling::No } else { Filling::May };
        self.pending.flush &= count == 0;
        if urgency == Urgency::LastByte && count > 0 {
            self.mark_written();
        }
        Ok(count)
    }

    /// Something was sent: as on Linux, where it ends within the last frame of what was written, the rest of that is a frame
    /// which can be filled up again.
    pub(super) fn refill_last_frame(&mut self) {
        let (nxt, frame) = (self.send.window.nxt, self.frame_size());
        if self.send.queue.end().after(nxt) && (nxt + frame).after(self.send.filled) {
            self.send.filled = nxt + frame;
        }
    }

    /// As Linux: where a frame of a long write ends, and more than half of the peer's largest window was written since the last
    /// push, its last segment is pushed, for the peer may hold back what it has.
    fn mark_pushes(&mut self, room: Room, written: u32) {
        let (nxt, half) = (self.send.window.nxt, room.push_every);
        for border in room.borders(written) {
            let at = nxt + border;
            if at.after(self.send.pushed + half) {
                self.send.pushed = at;
                self.send.records.push_at(at);
            }
        }
    }

    /// Room for writing, in bytes: as much as Linux takes in a call that does not wait.
    pub fn free_space(&self) -> usize {
        let free = self.room().free();
        let free = match self.supply {
            // As Linux: who has hardly anything queued gets a little in any case, so that it goes on.
            Supply::None => free.min(LEAST_CAPACITY.saturating_sub(self.charged())),
            _ => free,
        };
        free as usize
    }

    fn room(&self) -> Room {
        let (window, unsent) = (&self.send.window, self.unsent());
        let size = self.current_payload();
        let by_congestion = self.congestion_room().saturating_mul(size);
        let frame = self.frame_size();
        let (half, share) = (window.max_wnd / 2, self.burst_share());
        let tail = self.send.filled.saturating_since(self.send.queue.end()).min(frame - 1);
        Room {
            capacity: self.send_capacity() as u32,
            charged: self.charged(),
            frame,
            unsent,
            tail: if unsent > 0 { tail } else { 0 },
            sendable: window.usable().min(by_congestion) / size * size,
            burst: self.largest_burst(size).min(share.saturating_mul(size)),
            till_push: (self.send.pushed + half).saturating_since(window.nxt),
            push_every: half,
            unsent_max: self.options.rare().not_sent_limit(),
        }
    }

    /// Where the frame ends that the byte at `seq`, which is not sent yet, was written to.
    pub(super) fn frame_end(&self, seq: SeqNumber) -> SeqNumber {
        let behind = self.send.filled.saturating_since(seq).saturating_sub(1);
        seq + (behind % self.frame_size() + 1)
    }

    fn frame_size(&self) -> u32 {
        frame_size(self.current_payload(), self.send.window.max_wnd)
    }

    /// What the buffer holds, and what it costs to keep that in frames.
    pub(super) fn charged(&self) -> u32 {
        let frame = self.frame_size();
        let unsent = self.unsent();
        let len = self.send.queue.len() as u32;
        let sent = (self.recovery.scoreboard.parts() as u32).max((len - unsent.min(len)).div_ceil(frame));
        let len = len + self.recovery.scoreboard.kept();
        len.saturating_add((sent + unsent.div_ceil(frame)).saturating_mul(FRAME_COST))
    }

    /// Bytes written and not yet acknowledged (SIOCOUTQ).
    pub fn unacknowledged(&self) -> usize {
        self.send.queue.len()
    }

    /// The send buffer in bytes, which is charged for what it costs to keep what was written. Unless it was fixed, it grows
    /// with the congestion window while a writer waits, as far as that is of use.
    pub fn send_capacity(&self) -> usize {
        let least = match self.send.buffer_max {
            None => 0,
            Some(max) if self.state.is_synchronized() => {
                wanted_bytes(self.send.mss, self.options.rare().initial_window()).min(max.get())
            }
            Some(_) => 0,
        };
        self.send.buffer.max(least) as usize
    }

    /// A writer was stopped by the buffer, and something was acknowledged: two congestion windows are to fit.
    pub(super) fn grow_buffer(&mut self) {
        let Some(max) = self.send.buffer_max.filter(|_| self.supply == Supply::Ample) else { return };
        if self.send.starved || !self.is_writable() {
            let most = max.get().min(useful_bytes(self.send.rtt.min_rtt()));
            let wanted = wanted_bytes(
                self.send.mss,
                self.congestion.window().max(self.options.rare().initial_window()),
            );
            self.send.buffer = self.send.buffer.max(wanted.min(most));
        }
    }

    /// Whether a writer should be woken: a third of the buffer is free, and where TCP_NOTSENT_LOWAT bounds what waits to be
    /// sent, less than half of that does, as in Linux.
    pub fn is_writable(&self) -> bool {
        let charged = self.charged();
        let free = (self.send_capacity() as u32).saturating_sub(charged);
        let supplied = self.supply != Supply::None || self.free_space() > 0;
        free >= charged / 2 && free > 0 && self.is_little_unsent() && supplied
    }

    /// Takes up to `max` bytes of what has come in order. An empty rope means that the peer has sent all.
    ///
    /// Errors: [`ReadError::WouldBlock`] where nothing has come, [`ReadError::NotConnected`] on a closed
    /// connection, and once the error that ended it.
    //= RFC 9293 §3.10.3
    pub fn read(&mut self, now: Instant, max: usize) -> Result<Rope, ReadError> {
        let part = self.readable_part(0, max);
        let hidden = part.start;
        let outcome = self.check_readable(self.recv.queue.len() - hidden);
        if hidden > 0 {
            self.recv.queue.advance(hidden);
        }
        let data = if outcome.is_ok() { self.recv.queue.split_to(part.len()) } else { Rope::new() };
        self.pass_mark();
        outcome?;
        if !data.is_empty() {
            let rtt = self.recv.rtt.estimate();
            // More would stand in the queue of the link, before others' segments. (The handshake may have been somebody's
            // who is nearer than the peer.)
            let far = rtt.is_some_and(|rtt| rtt > LONGEST_QUEUE);
            let most = if far { u32::MAX } else { useful_bytes(self.send.rtt.min_rtt()) };
            self.recv.window.on_read(now, data.len(), self.recv.queue.len(), rtt, most);
            let mss = self.recv.acks.peer_mss();
            let reopened = self.recv.reopen();
            self.recv.acks.on_read(self.recv.window.nxt, self.recv.queue.is_empty());
            let wider = reopened || self.recv.window.should_update(self.recv.held(), mss);
            if self.state.can_receive() && wider {
                self.recv.acks.owe_now();
            }
        }
        Ok(data)
    }

    /// What is held for the application and behind gaps, in bytes of memory, and the receive buffer, which grows unless it
    /// was fixed (`SO_MEMINFO`, `SO_RCVBUF`).
    pub fn receive_memory(&self) -> (usize, usize) {
        (self.recv.held(), self.recv.window.buffer() as usize)
    }

    /// How many bytes lie in one piece at the front of what can be read.
    pub fn readable_piece(&self) -> usize {
        self.recv.queue.chunks().next().map_or(0, |chunk| chunk.len())
    }

    /// What [`read`](Connection::read) would give after `offset` more bytes, left in place.
    pub fn peek(&mut self, offset: usize, max: usize) -> Result<Rope, ReadError> {
        let part = self.readable_part(offset, max);
        self.check_readable(self.recv.queue.len() - part.start)?;
        Ok(self.recv.queue.slice(part))
    }

    /// Sends what waits for more, whatever TCP_CORK, MSG_MORE and Nagle's rule say (tcp(7): TCP_NODELAY).
    pub fn flush(&mut self) {
        self.pending.flush = !self.send.queue.is_empty();
    }

    fn check_readable(&mut self, available: usize) -> Result<(), ReadError> {
        if available > 0 {
            return Ok(());
        }
        // As Linux: once the peer's FIN was taken, a reset that follows is the writer's matter.
        if self.recv.is_finished() {
            return Ok(());
        }
        if let Some(error) = self.error.take() {
            return Err(ReadError::Socket(error));
        }
        if self.recv.shut_down {
            return Ok(());
        }
        match self.state {
            State::Closed => Err(ReadError::NotConnected),
            _ => Err(ReadError::WouldBlock),
        }
    }

    /// Bytes that can be read (FIONREAD).
    pub fn readable(&self) -> usize {
        self.recv.queue.len()
    }
}
