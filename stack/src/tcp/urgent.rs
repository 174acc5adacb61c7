//! Urgent data: where it ends in either direction, and the one byte that is told apart (RFC 9293 §3.8.5).
//!
//! As Linux has it: the last urgent byte is what the peer sent before the number that its pointer names (RFC 6093 §2),
//! or with `net.ipv4.tcp_stdurg` the byte that it names. It stays in the queue, where a read stops before it and the next
//! one passes over it, unless it is to be read in line (`SO_OOBINLINE`).

use super::connection::{Connection, Event};
use super::segment::Segment;
use super::seq::SeqNumber;
use super::state::State;

/// Whether what is written ends in an urgent byte (`MSG_OOB`).
///
/// ```
/// use tapsock_stack::tcp::urgent::Urgency;
///
/// assert_eq!(Urgency::default(), Urgency::Normal);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Urgency {
    /// It does not.
    #[default]
    Normal,
    /// Its last byte is urgent.
    LastByte,
}

/// What becomes of an urgent byte that is received.
///
/// ```
/// use tapsock_stack::tcp::urgent::Keeping;
///
/// assert_ne!(Keeping::Taken, Keeping::Left);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Keeping {
    /// It is taken.
    Taken,
    /// It is only looked at (`MSG_PEEK`).
    Left,
}

/// Why there is no urgent byte to be received.
///
/// ```
/// use tapsock_stack::tcp::urgent::UrgentError;
///
/// assert_ne!(UrgentError::Unknown, UrgentError::WouldBlock);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum UrgentError {
    /// The peer has named none, or it was received, or it stays in line (EINVAL).
    Unknown,
    /// It was named and has not come (EAGAIN).
    WouldBlock,
    /// It was named and will not come: the peer has sent all.
    Ended,
    /// The connection is gone (ENOTCONN).
    NotConnected,
}

/// What a connection knows of urgent data; made when there is some.
#[derive(Clone, Debug, Default)]
pub(super) struct Urgent {
    /// SND.UP: the number after the last urgent byte, until it is acknowledged.
    up: Option<SeqNumber>,
    /// Whether the peer is to be told of it beside a probe of its window.
    probe: bool,
    /// The peer's, until it was passed by a read.
    mark: Option<Mark>,
}

/// The last urgent byte of the peer.
#[derive(Copy, Clone, Debug)]
struct Mark {
    seq: SeqNumber,
    byte: MarkedByte,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum MarkedByte {
    /// The pointer came first.
    Awaited,
    Here(u8),
    /// Received out of line.
    Taken,
}

impl Connection {
    /// Notes that the last byte written is urgent.
    //= RFC 9293 MUST-30
    pub(super) fn mark_written(&mut self) {
        let end = self.send.queue.end();
        self.seldom.new_urgent().up = Some(end);
    }

    /// Whether urgent data is not acknowledged: then no segment waits for others, and none is cut by the link, for the
    /// parts would bear the same pointer.
    pub(super) fn is_sending_urgent(&self) -> bool {
        self.seldom.urgent().is_some_and(|urgent| urgent.up.is_some())
    }

    /// Forgets what is acknowledged.
    pub(super) fn acknowledge_urgent(&mut self, una: SeqNumber) {
        if let Some(urgent) = self.seldom.urgent_mut() {
            urgent.up = urgent.up.filter(|up| up.after(una));
            self.drop_idle_urgent();
        }
    }

    /// The pointer of a segment at `seq`, where it lies before urgent data. The pointer names the byte after, and where
    /// that is too far off, as far as a pointer goes.
    //= RFC 9293 MUST-31
    //= RFC 9293 MUST-62
    //= RFC 6093 §2
    pub(super) fn urgent_pointer(&self, seq: SeqNumber) -> Option<u16> {
        let up = self.seldom.urgent()?.up?;
        if !seq.before(up) {
            return None;
        }
        let far = u32::from(u16::MAX);
        match u16::try_from(up.saturating_since(seq)) {
            Ok(pointer) => Some(pointer),
            Err(_) => (seq + far).after(self.send.window.nxt).then_some(u16::MAX),
        }
    }

    /// The peer's window is closed: it is told of urgent data all the same.
    pub(super) fn probe_urgent(&mut self) {
        let una = self.send.window.una;
        if let Some(urgent) = self.seldom.urgent_mut() {
            urgent.probe = urgent.up.is_some_and(|up| up.saturating_since(una) < u32::from(u16::MAX));
        }
    }

    pub(super) fn take_urgent_probe(&mut self) -> bool {
        self.seldom.urgent_mut().is_some_and(|urgent| core::mem::take(&mut urgent.probe))
    }

    /// The sixth check: the URG bit, and whether the segment holds the byte that was named.
    //= RFC 9293 §3.10.7.4
    //= RFC 9293 MUST-66
    pub(super) fn process_urgent(&mut self, segment: &Segment) {
        if !self.state.can_receive() {
            return;
        }
        if let Some(pointer) = segment.urgent {
            self.check_pointer(segment.seq, pointer);
        }
        let Some(mark) = self.seldom.urgent_mut().and_then(|urgent| urgent.mark.as_mut()) else { return };
        let offset = (mark.seq - segment.seq) as usize;
        if mark.byte != MarkedByte::Awaited || mark.seq.before(segment.seq) || offset >= segment.payload.len()
        {
            return;
        }
        let mut byte = [0];
        segment.payload.slice(offset..offset + 1).copy_to(&mut byte);
        mark.byte = MarkedByte::Here(byte[0]);
        //= RFC 9293 MUST-32
        self.events.add(Event::Readable);
    }

    /// Takes a pointer, unless it names what was read or has come before, or nothing newer than the last.
    fn check_pointer(&mut self, seq: SeqNumber, pointer: u16) {
        let names_last = self.options.standard_urgent || pointer == 0;
        let named = seq + u32::from(pointer) - u32::from(!names_last);
        if named.before(self.copied()) || named.before(self.recv.window.nxt) {
            return;
        }
        if let Some(last) = self.mark() {
            if !named.after(last.seq) {
                return;
            }
            // As BSD and Linux: the former byte, unless it is in line, is lost where a read stands before it.
            if last.seq == self.copied() && !self.options.urgent_inline {
                self.recv.queue.advance(1);
            }
        }
        let mark = Mark { seq: named, byte: MarkedByte::Awaited };
        self.seldom.new_urgent().mark = Some(mark);
    }

    fn mark(&self) -> Option<Mark> {
        self.seldom.urgent()?.mark
    }

    /// The number of the next byte to be read.
    fn copied(&self) -> SeqNumber {
        self.recv.window.nxt - u32::from(self.recv.is_finished()) - self.recv.queue.len() as u32
    }

    /// How many bytes lie before the urgent one, where it has not been passed: as many as a read gives at the most.
    pub fn bytes_to_mark(&self) -> Option<usize> {
        let mark = self.mark()?;
        mark.seq.at_or_after(self.copied()).then(|| mark.seq.saturating_since(self.copied()) as usize)
    }

    /// Whether the next byte to be read is the urgent one (`SIOCATMARK`).
    pub fn is_at_mark(&self) -> bool {
        self.bytes_to_mark() == Some(0)
    }

    /// Whether an urgent byte waits to be received out of line, or was not yet passed in line (POLLPRI).
    pub fn has_urgent(&self) -> bool {
        matches!(self.mark(), Some(Mark { byte: MarkedByte::Here(_), .. }))
    }

    /// Bytes at the front that a read passes over: the urgent one, where it is not in line.
    pub fn hidden(&self) -> usize {
        usize::from(self.is_at_mark() && !self.options.urgent_inline && !self.recv.queue.is_empty())
    }

    /// Bytes that can be read before urgent data bounds them (FIONREAD).
    //= RFC 9293 MUST-33
    pub fn readable_to_mark(&self) -> usize {
        match self.bytes_to_mark() {
            Some(count) if !self.options.urgent_inline => count.min(self.readable()),
            _ => self.readable(),
        }
    }

    /// Which part of the queue a read of `max` bytes gives that begins at `offset`.
    pub fn readable_part(&self, offset: usize, max: usize) -> core::ops::Range<usize> {
        let len = self.recv.queue.len();
        let mut start = offset.min(len);
        let mut end = start.saturating_add(max).min(len);
        match self.bytes_to_mark() {
            Some(at) if at > start => end = end.min(at),
            Some(at) if at == start && max > 0 && start < len && !self.options.urgent_inline => {
                start += 1;
                end = start.saturating_add(max).min(len);
            }
            _ => {}
        }
        start..end
    }

    /// Forgets the mark, once a read has passed it.
    pub(super) fn pass_mark(&mut self) {
        let copied = self.copied();
        if let Some(urgent) = self.seldom.urgent_mut() {
            urgent.mark = urgent.mark.filter(|mark| mark.seq.at_or_after(copied));
            self.drop_idle_urgent();
        }
    }

    /// Receives the urgent byte out of line (`MSG_OOB`).
    ///
    /// Errors: [`UrgentError`], in Linux's order.
    pub fn read_urgent(&mut self, keeping: Keeping) -> Result<u8, UrgentError> {
        let inline = self.options.urgent_inline;
        let (closed, finished) = (self.state == State::Closed, self.recv.is_finished());
        let ended = closed || finished || self.recv.shut_down;
        let mark = self.seldom.urgent_mut().and_then(|urgent| urgent.mark.as_mut());
        let Some(mark) = mark.filter(|mark| !inline && mark.byte != MarkedByte::Taken) else {
            return Err(UrgentError::Unknown);
        };
        if closed && !finished {
            return Err(UrgentError::NotConnected);
        }
        match mark.byte {
            MarkedByte::Here(byte) => {
                if keeping == Keeping::Taken {
                    mark.byte = MarkedByte::Taken;
                }
                Ok(byte)
            }
            _ if ended => Err(UrgentError::Ended),
            _ => Err(UrgentError::WouldBlock),
        }
    }

    /// An idle connection keeps nothing of what is over.
    fn drop_idle_urgent(&mut self) {
        if self.seldom.urgent().is_some_and(|urgent| urgent.up.is_none() && urgent.mark.is_none()) {
            self.seldom.end_urgent();
        }
    }
}
