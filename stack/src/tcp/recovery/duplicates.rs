//! Peers without SACK: three duplicates mean a loss, and each partial acknowledgement the next (RFC 6582).

use crate::counters::Counter;

use super::{Phase, Recovery, Scene};

impl Recovery {
    /// `count` duplicates came: as many segments have arrived behind the hole.
    //= RFC 5681 §3.2
    //= RFC 5681 §3.2 MUST-1
    pub(super) fn add_duplicates(&mut self, scene: &mut Scene<'_>, count: u32) {
        if count == 0 {
            return;
        }
        let before = self.duplicates;
        self.duplicates = self.duplicates.saturating_add(count);
        self.limit_duplicates(scene, 0);
        self.delivered = self.delivered.wrapping_add(self.duplicates.saturating_sub(before));
    }

    /// `acked` segments were acknowledged: the first was the hole, the others had been reported by duplicates.
    //= RFC 6675 §5 MUST-2
    pub(super) fn eat_duplicates(&mut self, scene: &mut Scene<'_>, acked: u32) {
        if acked > 0 {
            let fresh = acked.saturating_sub(self.duplicates).max(1);
            self.delivered = self.delivered.wrapping_add(fresh);
            self.duplicates = self.duplicates.saturating_sub(acked - 1);
        }
        self.limit_duplicates(scene, acked);
    }

    /// No more can have arrived than were sent, less the hole.
    fn limit_duplicates(&mut self, scene: &mut Scene<'_>, acked: u32) {
        let outstanding = self.scoreboard.outstanding();
        let holes = self.scoreboard.lost().max(1).min(outstanding);
        if self.duplicates + holes > outstanding {
            self.duplicates = outstanding - holes;
            self.reordering.on_too_many_duplicates(outstanding + acked, scene.options.max_reordering.into());
            let seldom = self.seldom_mut();
            seldom.reordered = seldom.reordered.saturating_add(1);
            scene.counters.bump(Counter::TcpExtTCPRenoReorder);
        }
    }

    /// Holds the first segment to be lost after enough duplicates, and after each partial acknowledgement.
    //= RFC 6582 §3.2
    //= RFC 5681 §3.2 MUST-5
    pub(super) fn lose_by_duplicates(&mut self, scene: &mut Scene<'_>, advanced: bool) {
        let enough = self.phase < Phase::Recovery && self.duplicates >= self.reordering.degree();
        if enough || self.phase == Phase::Recovery && advanced {
            let losses = self.scoreboard.lose_front(scene.mss);
            self.note_losses(scene, losses);
        }
    }
}
