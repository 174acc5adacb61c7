//! Ending a connection: shutdown, close, abort, and resets.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::time::Instant;

use super::connection::{Connection, Event, Holder, NotConnected, Shutdown};
use super::segment::{Control, Segment};
use super::send::Fin;
use super::state::State;
use super::timers::Timer;

/// How long a connection that nobody holds waits for the peer's FIN, in seconds, and is no orphan yet but a record of
/// TIME-WAIT, as on Linux.
const RECORD_SECS: u16 = 60;

impl Connection {
    /// Closes a direction. Writing ends with a FIN behind what was written; reading ends at what has come. In
    /// SYN-RECEIVED the FIN waits, as on Linux, until our SYN is acknowledged, though not behind a
    /// [`close`](Connection::close).
    ///
    /// Error: [`NotConnected`] before the peer has sent SYN and after the connection has ended.
    //= RFC 9293 §3.10.4
    pub fn shutdown(&mut self, how: Shutdown) -> Result<(), NotConnected> {
        if matches!(self.state, State::Closed | State::SynSent) {
            return Err(NotConnected);
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.recv.shut_down = true;
            self.events.add(Event::Readable);
            self.events.add(Event::Ended);
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.queue_fin();
        }
        Ok(())
    }

    fn queue_fin(&mut self) {
        if self.send.fin != Fin::No {
            return;
        }
        self.state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            state => state,
        };
        self.send.fin = Fin::Queued;
        self.events.add(Event::Writable);
        self.events.add(Event::Ended);
    }

    /// The application lets go. What was written goes on to be sent; what was not read is lost, and the peer told so
    /// by a reset.
    //= RFC 9293 §3.10.4
    //= RFC 9293 SHLD-3
    //= RFC 9293 MAY-1
    //= RFC 2525 §2.17
    pub fn close(&mut self, now: Instant, counters: &mut Counters) {
        self.holder = Holder::Nobody;
        self.recv.shut_down = true;
        match self.state {
            State::Closed | State::TimeWait => {}
            State::SynSent => self.enter_closed(),
            _ if !self.recv.queue.is_empty() => {
                counters.bump(Counter::TcpExtTCPAbortOnClose);
                self.reset();
                // Even where our FIN is on its way already: what it follows may never be read.
                self.pending.reset = true;
            }
            State::FinWait2 => self.arm_fin_wait2(now, counters),
            _ => self.queue_fin(),
        }
    }

    /// The application lets go, and the host can't keep the connection until it has finished. As Linux, what can be sent at
    /// once is, the FIN too, before a reset ends it.
    pub fn close_and_abort(&mut self, now: Instant, counters: &mut Counters) {
        self.close(now, counters);
        self.pending.farewell = self.outlives_close();
    }

    /// The reset after a last segment.
    pub(super) fn poll_farewell(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        if !core::mem::take(&mut self.pending.farewell) {
            return None;
        }
        self.reset();
        self.poll_reset(now, counters)
    }

    /// Whether a [`close`](Connection::close) leaves an orphan: a connection with something to send, or to wait for. As on
    /// Linux, one that waits for nothing but the peer's FIN is an orphan only where it waits for more than 60 s: else it is
    /// over, or a record of TIME-WAIT.
    pub fn outlives_close(&self) -> bool {
        match self.state {
            State::Closed | State::TimeWait | State::SynSent => false,
            _ if self.pending.farewell => false,
            _ if !self.recv.queue.is_empty() => false,
            State::FinWait2 => self.options.fin_timeout_secs.is_some_and(|secs| secs > RECORD_SECS),
            _ => true,
        }
    }

    /// Ends the connection at once, and tells the peer by a reset.
    //= RFC 9293 §3.10.5
    pub fn abort(&mut self) {
        self.holder = Holder::Nobody;
        self.reset();
    }

    /// Resets the connection for whoever holds it: the host is going.
    pub fn abort_for_all(&mut self) {
        self.reset_with(SocketError::ConnectionAborted);
    }

    /// Sends a reset and closes.
    pub(super) fn reset(&mut self) {
        self.reset_with(SocketError::ConnectionReset);
    }

    pub(super) fn reset_with(&mut self, error: SocketError) {
        let unsent = self.send.queue.end().after(self.send.window.nxt) || self.send.fin == Fin::Queued;
        let told = match self.state {
            State::SynReceived | State::Established | State::CloseWait => true,
            State::FinWait1 | State::FinWait2 => true,
            // Where all is sent, the peer has an end that it can acknowledge.
            State::LastAck | State::Closing => unsent,
            State::Closed | State::SynSent | State::TimeWait => false,
        };
        if self.state == State::Closed {
            return;
        }
        self.pending.reset = told;
        self.fail(error);
    }

    /// Nobody reads what came: the connection ends, and the segment is answered as one that belongs to none.
    //= RFC 9293 §3.10.7.1
    pub(super) fn refuse_data(&mut self, segment: &Segment) {
        // As Linux: where the peer had sent all, what failed is our writing.
        let writes = self.state == State::CloseWait;
        self.reset_with(if writes { SocketError::BrokenPipe } else { SocketError::ConnectionReset });
        self.pending.reset = true;
        if let Some(ack) = segment.ack {
            self.send.window.nxt = ack;
            self.pending.bare_reset = true;
        }
    }

    /// The reset that is due, at the number that the peer expects.
    pub(super) fn poll_reset(&mut self, now: Instant, counters: &mut Counters) -> Option<Segment> {
        self.pending.reset = false;
        counters.bump(Counter::TcpOutSegs);
        counters.bump(Counter::TcpOutRsts);
        if self.pending.bare_reset {
            return Some(Segment { control: Some(Control::Rst), ..Segment::new(self.send.window.nxt) });
        }
        let options = self.segment_options(now);
        self.recv.reassembly.clear();
        // As Linux: it offers the window that an acknowledgement would.
        let window = self.recv.window.offer(self.recv.held(), self.recv.acks.peer_mss());
        Some(Segment {
            ack: Some(self.recv.window.nxt),
            control: Some(Control::Rst),
            window,
            options,
            ..Segment::new(self.send.window.believed_seq())
        })
    }

    /// An orphan does not wait for the peer's FIN for ever.
    pub(super) fn arm_fin_wait2(&mut self, now: Instant, counters: &mut Counters) {
        if self.holder != Holder::Nobody {
            return;
        }
        match self.options.fin_timeout_secs {
            Some(secs) => self.timers.set(Timer::FinWait2, now + Duration::from_secs(secs.into())),
            None => {
                counters.bump(Counter::TcpExtTCPAbortOnLinger);
                self.reset();
            }
        }
    }

    /// Both sides are done: the owner lets a record take the tuple.
    pub(super) fn enter_time_wait(&mut self) {
        self.state = State::TimeWait;
        self.timers.stop_all();
        self.events.add(Event::Closed);
        self.events.add(Event::Readable);
        self.events.add(Event::Writable);
    }

    /// What answers a segment that belongs to no connection, where an answer is due.
    //= RFC 9293 §3.10.7.1
    //= RFC 9293 §3.5.2
    pub fn reset_for(segment: &Segment) -> Option<Segment> {
        if segment.control == Some(Control::Rst) {
            return None;
        }
        let mut reset = match segment.ack {
            Some(ack) => Segment::new(ack),
            None => {
                let end = segment.end() + u32::from(segment.fin_behind_syn);
                Segment { ack: Some(end), ..Segment::new(super::SeqNumber::new(0)) }
            }
        };
        reset.control = Some(Control::Rst);
        Some(reset)
    }
}
