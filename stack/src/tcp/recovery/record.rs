//! What a scoreboard knows of one run of bytes in flight.

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::delivery::{Progress, Sent, Transmission};
use super::scoreboard::Sending;

/// A run of bytes sent at one time, one segment or a burst of them, with the same fate so far.
#[derive(Copy, Clone, Debug)]
pub(super) struct Record {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    pub(super) sent_at: Instant,
    /// Which transmission of the connection it was: tells apart what was sent at one time.
    pub(super) order: SeqNumber,
    /// What was delivered when it was sent: the parts of [`Progress`], one by one, for together they take more room.
    pub(super) delivered: u32,
    pub(super) delivered_at: u32,
    pub(super) flight_began: u32,
    pub(super) by_program: bool,
    /// Segments that it was cut into.
    pub(super) segments: u32,
    /// Bytes of each of them.
    pub(super) size: u16,
    pub(super) marks: Marks,
}

/// What is known of a record. One byte, for there are many of them.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Marks(pub(super) u8);

impl Marks {
    /// Reported by SACK.
    pub(super) const SACKED: Marks = Marks(1);
    /// Held to be lost.
    pub(super) const LOST: Marks = Marks(2);
    /// Sent again, and that is in flight.
    pub(super) const RESENDING: Marks = Marks(4);
    /// Sent more than once: its acknowledgement is ambiguous.
    pub(super) const RESENT: Marks = Marks(8);
    /// Its end was sent with PSH.
    pub(super) const PUSHED: Marks = Marks(16);

    pub(super) const fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub(super) fn set(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    pub(super) fn clear(&mut self, mark: Marks) {
        self.0 &= !mark.0;
    }

    /// Bytes with the marks of `other` follow, and belong to the same record from now on.
    pub(super) fn extend(&mut self, other: Marks) {
        self.clear(Marks::PUSHED);
        self.0 |= other.0 & (Marks::RESENT.0 | Marks::PUSHED.0);
    }
}

const _: () = assert!(size_of::<Record>() <= 40, "an idle connection keeps room for a few");

impl Record {
    pub(super) fn len(&self) -> u32 {
        self.end.saturating_since(self.start)
    }

    pub(super) fn sent(&self) -> Sent {
        let Record { sent_at: at, order, end, delivered, delivered_at, flight_began, by_program, .. } = *self;
        let progress = Progress { delivered, at: delivered_at, began: flight_began, by_program };
        let last = Transmission { at, order, end };
        Sent { last, resent: self.marks.has(Marks::RESENT), progress }
    }

    pub(super) fn send_again(&mut self, sending: Sending, order: SeqNumber) {
        let Progress { delivered, at, began, by_program } = sending.progress;
        (self.sent_at, self.order, self.delivered) = (sending.now, order, delivered);
        (self.delivered_at, self.flight_began, self.by_program) = (at, began, by_program);
    }

    /// Whether news of it is still to come: it is not known to have arrived, nor held to be lost and not sent again.
    pub(super) fn waits(&self) -> bool {
        !self.marks.has(Marks::SACKED) && (!self.marks.has(Marks::LOST) || self.marks.has(Marks::RESENDING))
    }

    /// Whether it is to be sent again.
    pub(super) fn is_due(&self) -> bool {
        self.marks.has(Marks::LOST) && !self.marks.has(Marks::RESENDING) && !self.marks.has(Marks::SACKED)
    }
}
