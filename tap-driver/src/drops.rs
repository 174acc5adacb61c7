//! Frames that a link has dropped, counted by the reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a link has dropped a frame.
///
/// ```
/// use tapsock_driver::drops::DropReason;
///
/// assert!(DropReason::ALL.contains(&DropReason::OutDown));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum DropReason {
    /// Received, but longer than the buffer that it was read into.
    InTruncated,
    /// Received, but so short that there is nothing behind the link's own header.
    InTooShort,
    /// The device had a frame for us that it could not hand over: no virtio header describes it (EINVAL).
    InRefused,
    /// Received behind a virtio header that can't be of that frame: a checksum outside of it, segments of another protocol.
    InMisdescribed,
    /// Sent while the interface was down: EIO of a TAP device, ENETDOWN of a packet socket.
    OutDown,
    /// Sent, and refused by the device for another reason: EINVAL, EMSGSIZE, ENOBUFS, ENOMEM.
    OutRefused,
    /// Sent with a checksum to be filled in or segments to be cut over a link that does neither.
    OutUnfinished,
    /// Sent, while all places before a link that took nothing were taken, by a host that has other links to see to.
    OutFull,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [DropReason; 8] = [
        DropReason::InTruncated,
        DropReason::InTooShort,
        DropReason::InRefused,
        DropReason::InMisdescribed,
        DropReason::OutDown,
        DropReason::OutRefused,
        DropReason::OutUnfinished,
        DropReason::OutFull,
    ];
}

/// What a link has dropped so far: a handle of the counts that both halves of the link add to.
///
/// ```
/// use tapsock_driver::drops::{DropReason, LinkDrops};
///
/// let drops = LinkDrops::default();
/// let shown = drops.clone();
/// drops.count(DropReason::InTruncated);
/// assert_eq!((shown.of(DropReason::InTruncated), shown.received(), shown.sent()), (1, 1, 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct LinkDrops {
    counts: Arc<[AtomicU64; DropReason::ALL.len()]>,
}

impl LinkDrops {
    /// One frame more.
    pub fn count(&self, reason: DropReason) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Frames dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize].load(Ordering::Relaxed)
    }

    /// Frames that came in and were dropped.
    pub fn received(&self) -> u64 {
        [DropReason::InTruncated, DropReason::InTooShort, DropReason::InRefused, DropReason::InMisdescribed]
            .into_iter()
            .map(|reason| self.of(reason))
            .sum()
    }

    /// Frames that were to go out and were dropped.
    pub fn sent(&self) -> u64 {
        [DropReason::OutDown, DropReason::OutRefused, DropReason::OutUnfinished, DropReason::OutFull]
            .into_iter()
            .map(|reason| self.of(reason))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_counts_once_and_on_its_side() {
        let drops = LinkDrops::default();
        for (before, reason) in DropReason::ALL.into_iter().enumerate() {
            drops.count(reason);
            assert_eq!(drops.of(reason), 1);
            assert_eq!(drops.received() + drops.sent(), before as u64 + 1, "{reason:?}");
        }
        assert_eq!((drops.received(), drops.sent()), (4, 4));
    }
}
