//! What an acknowledgement says of what was sent.

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

/// What one acknowledgement or SACK block newly delivered.
#[derive(Copy, Clone, Debug, Default)]
pub struct Delivered {
    /// Bytes that were not known to have arrived.
    pub bytes: u32,
    /// The latest sent of the newly delivered parts.
    pub latest: Option<Sent>,
    /// The lowest number newly reported that was sent once: below what was known, the path has reordered.
    pub lowest_once: Option<SeqNumber>,
}

/// When a part was sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Which transmission it was, on a circle as sequence numbers are.
    pub order: SeqNumber,
    /// The number after its last.
    pub end: SeqNumber,
    /// Whether it was sent more than once.
    pub resent: bool,
}

impl Sent {
    /// Whether `self` was sent later than `other`; of two sent in one burst, the higher one. What was sent at one time
    /// is told apart by its order, for a retransmission may follow new data at once.
    //= RFC 8985 §5.2
    pub fn is_after(&self, other: &Sent) -> bool {
        if self.at != other.at {
            return self.at > other.at;
        }
        if self.order == other.order { self.end.after(other.end) } else { self.order.after(other.order) }
    }
}

impl Delivered {
    /// Adds what was sent in one piece from `start` on.
    pub(super) fn add(&mut self, start: SeqNumber, sent: Sent) {
        self.bytes += sent.end.saturating_since(start);
        if self.latest.is_none_or(|latest| sent.is_after(&latest)) {
            self.latest = Some(sent);
        }
        if !sent.resent {
            let lowest = self.lowest_once.map_or(start, |lowest| lowest.earliest(start));
            self.lowest_once = Some(lowest);
        }
    }

    /// Adds what another block delivered.
    pub fn merge(&mut self, other: Delivered) {
        self.bytes += other.bytes;
        if let Some(sent) = other.latest
            && self.latest.is_none_or(|latest| sent.is_after(&latest))
        {
            self.latest = Some(sent);
        }
        self.lowest_once = match (self.lowest_once, other.lowest_once) {
            (Some(a), Some(b)) => Some(a.earliest(b)),
            (a, b) => a.or(b),
        };
    }
}
