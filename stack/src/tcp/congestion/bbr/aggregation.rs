//! Acknowledgements that come together: how many more segments they tell of than the path delivers in the time. While
//! they are awaited, as many more have to be in flight.

use crate::time::Instant;

use super::{Bandwidth, Delivery};

/// Rounds in which the most is looked for; two such windows are kept.
const WINDOW_ROUNDS: u8 = 5;

/// The measurement begins anew when so many segments are acknowledged.
const MOST_ACKED: u32 = 1 << 20;

/// No more is granted than the path delivers in this time, in microseconds.
const MOST_MICROS: u64 = 100_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Aggregation {
    began: Instant,
    acked: u32,
    /// The most in this window, and in the one before.
    extra: [u32; 2],
    rounds: u8,
}

impl Aggregation {
    /// Takes an acknowledgement, the path being as fast as `bandwidth`.
    pub(super) fn take(&mut self, sample: &Delivery, bandwidth: Bandwidth, window: u32, round: bool) {
        if sample.acked == 0 || sample.rate.is_none_or(|sample| sample.rate.is_none()) {
            return;
        }
        if round {
            self.rounds += 1;
            if self.rounds >= WINDOW_ROUNDS {
                (self.extra, self.rounds) = ([0, self.extra[0]], 0);
            }
        }
        let elapsed = sample.now.saturating_since(self.began);
        let mut expected = bandwidth.segments_in(elapsed);
        if u64::from(self.acked) <= expected || self.acked.saturating_add(sample.acked) >= MOST_ACKED {
            (self.acked, self.began) = (0, sample.now);
            expected = 0;
        }
        self.acked = self.acked.saturating_add(sample.acked);
        let extra = u64::from(self.acked).saturating_sub(expected).min(window.into());
        self.extra[0] = self.extra[0].max(extra as u32);
    }

    /// Sending begins anew after a pause.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.acked, self.began) = (0, now);
    }

    /// Segments by which the window is to be larger.
    pub(super) fn allowance(&self, bandwidth: Bandwidth) -> u32 {
        let most = bandwidth.segments_in_micros(MOST_MICROS);
        let extra = self.extra[0].max(self.extra[1]);
        u32::try_from(most).unwrap_or(u32::MAX).min(extra)
    }
}
