//! Reports of what the peer received twice (RFC 2883): our retransmission was needless, or the network duplicates.

use crate::counters::{Counter, Counters};
use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;

use super::Recovery;

/// What a report of duplicates comes to.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::tcp) struct Duplicate {
    /// Segments of ours that the peer had twice.
    pub(in crate::tcp) segments: u32,
    /// Whether the probe was one of them.
    pub(in crate::tcp) probe: bool,
}

/// Where the sender stands that gets a report.
#[derive(Copy, Clone, Debug)]
pub(in crate::tcp) struct Standing {
    /// SND.UNA before the acknowledgement.
    pub(in crate::tcp) una: SeqNumber,
    /// The largest window that the peer has offered.
    pub(in crate::tcp) max_wnd: u32,
    pub(in crate::tcp) mss: u32,
}

impl Recovery {
    /// Takes a report that `range` was received twice. Reports of more than was ever sent again are not believed: the
    /// network, or the peer, makes them up.
    //= RFC 2883 §5
    //= RFC 8985 §6.2
    pub(in crate::tcp) fn on_duplicate_report(
        &mut self,
        range: SeqRange,
        standing: &Standing,
        counters: &mut Counters,
    ) -> Duplicate {
        let probe = range.len() <= standing.mss && self.probe.ends_at(range.end());
        let segments = range.len().div_ceil(standing.mss.max(1));
        let bogus = range.len() > standing.max_wnd;
        if !bogus {
            let seldom = self.seldom_mut();
            seldom.duplicates = seldom.duplicates.wrapping_add(segments);
        }
        if bogus || self.seldom().is_some_and(|seldom| seldom.duplicates > seldom.resent) {
            counters.bump(Counter::TcpExtTCPDSACKIgnoredDubious);
            return Duplicate::default();
        }
        counters[Counter::TcpExtTCPDSACKRecvSegs] += u64::from(segments);
        if self.reordered() > 0 && !probe {
            self.rack.on_spurious();
        }
        if range.end().at_or_before(standing.una) {
            self.undo_mut().on_duplicate(segments, range.end());
        } else {
            let resent = self.scoreboard.resent_in(range);
            self.undo_mut().on_duplicate(resent, range.end());
        }
        Duplicate { segments, probe }
    }
}
