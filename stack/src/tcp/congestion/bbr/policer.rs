//! Policers: routers that let so many bytes a second through and drop the rest without queueing it. Where much is lost
//! and what gets through is as fast in one interval as in the next, that is taken for the rate.

use core::time::Duration;

use crate::time::Instant;

use super::{Bandwidth, Delivery};

/// An interval lasts so many round trips at the least, and is given up after four times as many.
const LEAST_ROUNDS: u32 = 4;

/// So many of 256 segments are lost where a policer is at work.
const LOSS_SHARE: u64 = 50;

/// Two rates are alike within an eighth, or within so many bytes a second.
const LIKENESS: u64 = 8;
const LIKENESS_BYTES: u64 = 500;

/// After so many round trips the path is looked at anew.
const BELIEVED_ROUNDS: u32 = 48;

/// What the long-term sampling is at.
#[derive(Clone, Debug, Default)]
pub(super) struct Policer {
    sampling: bool,
    believed: bool,
    bandwidth: Bandwidth,
    rounds: u32,
    since: Instant,
    delivered: u32,
    lost: u32,
}

/// What became of the belief that a policer is at work.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    AsBefore,
    Found,
    /// Believed long enough.
    Over,
}

impl Policer {
    /// The rate that it lets through, where one is believed in.
    pub(super) fn bandwidth(&self) -> Option<Bandwidth> {
        self.believed.then_some(self.bandwidth)
    }

    /// Nothing is known; counting begins at `sample`.
    pub(super) fn reset(&mut self, sample: &Delivery) {
        *self = Policer::default();
        self.begin(sample);
    }

    fn begin(&mut self, sample: &Delivery) {
        (self.since, self.delivered, self.lost) = (sample.now, sample.delivered, sample.lost_total);
        self.rounds = 0;
    }

    /// A time-out is a loss, by which an interval begins.
    pub(super) fn on_timeout(&mut self, begin: impl FnOnce() -> (Instant, u32, u32)) {
        if !self.believed && !self.sampling {
            (self.since, self.delivered, self.lost) = begin();
            (self.rounds, self.sampling) = (0, true);
        }
    }

    /// Takes an acknowledgement; `round` where it begins a round trip, `cruising` where the bandwidth is being probed.
    pub(super) fn take(&mut self, sample: &Delivery, round: bool, cruising: bool) -> Verdict {
        if self.believed {
            self.rounds += u32::from(cruising && round);
            if self.rounds < BELIEVED_ROUNDS {
                return Verdict::AsBefore;
            }
            self.reset(sample);
            return Verdict::Over;
        }
        if !self.sampling {
            if sample.lost > 0 {
                self.begin(sample);
                self.sampling = true;
            }
            return Verdict::AsBefore;
        }
        let by_program = sample.rate.and_then(|sample| sample.rate).is_some_and(|rate| rate.by_program);
        self.rounds += u32::from(round);
        if by_program || self.rounds > 4 * LEAST_ROUNDS {
            self.reset(sample);
            return Verdict::AsBefore;
        }
        if self.rounds < LEAST_ROUNDS || sample.lost == 0 {
            return Verdict::AsBefore;
        }
        self.finish(sample)
    }

    /// An interval ends with a loss.
    fn finish(&mut self, sample: &Delivery) -> Verdict {
        let delivered = sample.delivered.wrapping_sub(self.delivered);
        let lost = sample.lost_total.wrapping_sub(self.lost);
        if delivered == 0 || u64::from(lost) * 256 < LOSS_SHARE * u64::from(delivered) {
            return Verdict::AsBefore;
        }
        let time = sample.now.saturating_since(self.since);
        if time < Duration::from_millis(1) {
            return Verdict::AsBefore;
        }
        let found = Bandwidth::of(delivered, time);
        let before = core::mem::replace(&mut self.bandwidth, found);
        let apart = Bandwidth(found.0.abs_diff(before.0));
        let alike = apart.0 * LIKENESS <= before.0 || apart.bytes(sample.mss) <= LIKENESS_BYTES;
        if before.0 > 0 && alike {
            self.bandwidth = Bandwidth(before.0.midpoint(found.0));
            (self.believed, self.rounds) = (true, 0);
            return Verdict::Found;
        }
        self.begin(sample);
        Verdict::AsBefore
    }
}
