//! Moving bytes between callers and sockets. Every copy is made with no lock held.

use core::cell::RefCell;
use core::ops::Range;
use std::io::{IoSlice, IoSliceMut};

use bytes::Bytes;
use rustix::io::Errno;
use tapsock_driver::pool::Pool;
use tapsock_sockets::constants::{MSG_DONTWAIT, MSG_FASTOPEN, MSG_PEEK, MSG_WAITALL, MSG_ZEROCOPY};
use tapsock_sockets::control::Control;
use tapsock_sockets::{Blocking, Fd, Received, SockAddr, Sockets, Stamps, Stop};
use tapsock_stack::buf::{Chunk, Rope};
use tapsock_stack::time::Instant;

use super::call::Patience;
use super::shard::Shard;

/// Bytes of a chunk that a large send is cut into.
const CHUNK: usize = 64 * 1024;

/// Bytes that are copied at most before the stack is given them: what a rope holds without an allocation.
pub(crate) const SEND_TURN: usize = 3 * CHUNK;

thread_local! {
    /// The buffers that this thread's bytes are copied into: no allocation once as many are there as are on their
    /// way at a time.
    static BUFFERS: RefCell<Pool> = RefCell::new(Pool::new());
}

/// What a receive brought.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Bytes that were copied.
    pub(crate) len: usize,
    /// Bytes of the datagram, of which fewer may have been copied; for a stream as `len`.
    pub(crate) full_len: usize,
    /// Whether MSG_WAITALL gets no more.
    ends_call: bool,
    /// Who sent it, for a datagram.
    pub(crate) from: Option<SockAddr>,
    /// `msg_flags`.
    pub(crate) flags: i32,
    /// When it came, where that was asked for.
    pub(crate) stamps: Stamps,
    /// What else was asked for.
    pub(crate) control: Vec<Control>,
}

impl Shard {
    /// Sends `data`, all of it where the socket blocks. Returns how many bytes were taken.
    pub(crate) fn send(
        &self,
        socket: Fd,
        data: &[u8],
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Errno> {
        self.send_message(socket, &[IoSlice::new(data)], &[], flags, to)
    }

    /// As [`send`](Self::send), from several places, and with control messages.
    pub(crate) fn send_message(
        &self,
        socket: Fd,
        data: &[IoSlice<'_>],
        control: &[u8],
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Errno> {
        let len = data.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        // Told of once, however many turns it takes.
        let zero_copy = flags & MSG_ZEROCOPY != 0 && self.turn().state.sockets.splits_sends(socket);
        let flags = if zero_copy { flags & !MSG_ZEROCOPY } else { flags };
        let mut sending = Sending { socket, control, flags, to, taken: 0 };
        let mut patience = Patience::default();
        loop {
            let rest = len - sending.taken;
            let room = if rest > CHUNK { self.room(socket, rest) } else { rest };
            let mut rope = gather(data, sending.taken, room);
            let sent = self.call_with(&mut patience, Errno::AGAIN, |sockets, now| {
                sending.attempt(sockets, now, &mut rope)
            });
            match sent {
                Ok(()) if rope.is_empty() && sending.taken < len => {}
                Err(error) if sending.taken == 0 => return Err(self.unsent(socket, error)),
                _ => break,
            }
        }
        if zero_copy && sending.taken > 0 {
            // Where somebody has closed it meanwhile, nobody is there to be told.
            let _ = self.call(Errno::AGAIN, |sockets, now| Ok(sockets.end_zero_copy(now, socket)?));
        }
        Ok(sending.taken)
    }

    /// As [`send`](Self::send), of bytes that need not be copied.
    pub(crate) fn send_rope(
        &self,
        socket: Fd,
        mut data: Rope,
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Errno> {
        let mut sending = Sending { socket, control: &[], flags, to, taken: 0 };
        let mut patience = Patience::default();
        let sent = self
            .call_with(&mut patience, Errno::AGAIN, |sockets, now| sending.attempt(sockets, now, &mut data));
        match sent {
            Err(error) if sending.taken == 0 => Err(self.unsent(socket, error)),
            _ => Ok(sending.taken),
        }
    }

    /// A send has failed as a whole, by `error`.
    fn unsent(&self, socket: Fd, error: Errno) -> Errno {
        if error == Errno::AGAIN {
            self.turn().state.sockets.count_unsent(socket);
        }
        error
    }

    /// Receives what lies in one piece, by reference, and who sent it.
    pub(crate) fn receive_piece(&self, socket: Fd) -> Result<(Bytes, Option<SockAddr>), Errno> {
        let mut patience = Patience::default();
        let attempt = |sockets: &mut Sockets, now| sockets.try_recv_piece(now, socket, 0);
        let mut outcome = self.call_with(&mut patience, Errno::AGAIN, attempt);
        if patience.has_ended(&outcome) {
            let last = |sockets: &mut Sockets, now| sockets.try_recv_piece(now, socket, MSG_DONTWAIT);
            outcome = self.call(Errno::AGAIN, last);
        }
        let Received { data, from, .. } = outcome?;
        Ok((data.into_bytes(), from))
    }

    /// How much of `len` bytes is worth copying now. A stream that is full is given a chunk to wait with; a datagram
    /// of a chunk is too large already.
    fn room(&self, socket: Fd, len: usize) -> usize {
        len.min(self.turn().state.sockets.send_space(socket).clamp(CHUNK, SEND_TURN))
    }

    /// Receives into `into`.
    pub(crate) fn receive(&self, socket: Fd, into: &mut [u8], flags: i32) -> Result<Delivered, Errno> {
        self.receive_message(socket, &mut [IoSliceMut::new(into)], flags)
    }

    /// As [`receive`](Self::receive), into several places.
    pub(crate) fn receive_message(
        &self,
        socket: Fd,
        into: &mut [IoSliceMut<'_>],
        flags: i32,
    ) -> Result<Delivered, Errno> {
        let room = into.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let mut patience = Patience::default();
        let mut delivered = self.receive_some(socket, into, 0..room, flags, &mut patience)?;
        let for_all = flags & MSG_WAITALL != 0 && flags & MSG_PEEK == 0;
        // A datagram has a sender, and is all there is.
        while for_all
            && delivered.from.is_none()
            && !delivered.ends_call
            && (1..room).contains(&delivered.full_len)
        {
            match self.receive_some(socket, into, delivered.full_len..room, flags, &mut patience) {
                Ok(more) if more.full_len > 0 => {
                    delivered.len += more.len;
                    delivered.full_len += more.full_len;
                    delivered.ends_call = more.ends_call;
                }
                _ => break,
            }
        }
        Ok(delivered)
    }

    fn receive_some(
        &self,
        socket: Fd,
        into: &mut [IoSliceMut<'_>],
        range: Range<usize>,
        flags: i32,
        patience: &mut Patience,
    ) -> Result<Delivered, Errno> {
        let max = range.len();
        let mut has_waited = false;
        let attempt = |sockets: &mut Sockets, now| {
            if has_waited && let Some(nothing) = sockets.nothing_after_a_wait(socket, max) {
                return Ok(nothing);
            }
            // Once there are some bytes, an error is left to the next call.
            if range.start > 0 && sockets.has_pending_error(socket) {
                return Ok(Received::default());
            }
            let outcome = sockets.try_recv(now, socket, max, flags);
            has_waited = matches!(outcome, Err(Stop::Wait(_)));
            outcome
        };
        let mut outcome = self.call_with(patience, Errno::AGAIN, attempt);
        if patience.has_ended(&outcome) {
            // As Linux: less than SO_RCVLOWAT or MSG_WAITALL ask for is better than nothing.
            let last = |sockets: &mut Sockets, now| match sockets.nothing_after_a_wait(socket, max) {
                Some(nothing) => Ok(nothing),
                None => sockets.try_recv(now, socket, max, flags | MSG_DONTWAIT),
            };
            outcome = self.call(Errno::AGAIN, last);
        }
        let Received { data, full_len, from, flags, ends_call, stamps, control, .. } = outcome?;
        let len = scatter(data, into, range.start);
        Ok(Delivered { len, full_len, ends_call, from, flags, stamps, control })
    }
}

/// A send that may take several attempts.
struct Sending<'a> {
    socket: Fd,
    control: &'a [u8],
    flags: i32,
    to: Option<&'a SockAddr>,
    /// Bytes taken so far. Once there are some, an error is left to the next call.
    taken: usize,
}

impl Sending<'_> {
    fn attempt(&mut self, sockets: &mut Sockets, now: Instant, rope: &mut Rope) -> Result<(), Stop> {
        let waits = self.flags & MSG_DONTWAIT == 0 && sockets.blocking(self.socket) == Ok(Blocking::Waits);
        loop {
            if self.taken > 0 && sockets.has_pending_error(self.socket) {
                return Ok(());
            }
            // A connection is opened once.
            let flags = if self.taken > 0 { self.flags & !MSG_FASTOPEN } else { self.flags };
            let count = sockets.try_sendmsg(now, self.socket, rope, self.control, flags, self.to)?;
            self.taken += count;
            if rope.is_empty() || count == 0 || !waits {
                return Ok(());
            }
        }
    }
}

/// A copy of `len` bytes from `start` on of what lies in several places.
fn gather(data: &[IoSlice<'_>], start: usize, len: usize) -> Rope {
    if let [only] = data {
        return copy_in(&only[start..start + len]);
    }
    let (mut bytes, mut skip) = (Vec::with_capacity(len), start);
    for part in data {
        let begin = skip.min(part.len());
        skip -= begin;
        let end = part.len().min(begin + len - bytes.len());
        bytes.extend_from_slice(&part[begin..end]);
    }
    Rope::from(bytes)
}

/// Copies `data` into several places, after the first `skip` bytes of them; returns how many bytes found room.
pub(crate) fn scatter(mut data: Rope, into: &mut [IoSliceMut<'_>], mut skip: usize) -> usize {
    let mut copied = 0;
    for part in into {
        let begin = skip.min(part.len());
        skip -= begin;
        let count = data.copy_to(&mut part[begin..]);
        copied += count;
        if count == data.len() {
            break;
        }
        data.advance(count);
    }
    copied
}

/// A copy of `bytes` in buffers of this thread.
pub(crate) fn copy_in(bytes: &[u8]) -> Rope {
    let mut rope = Rope::new();
    let pooled = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        bytes.chunks(CHUNK).for_each(|piece| rope.push_back(buffers.copy_from(piece)));
    });
    if pooled.is_err() {
        // The thread is ending, and its buffers are gone already.
        rope.push_back(Chunk::copy_from(bytes));
    }
    rope
}
