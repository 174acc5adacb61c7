//! The round trip and the time-out that follows from it (RFC 6298).

use core::time::Duration;

use crate::time::Instant;

use super::min_rtt::MinRtt;

/// The time-out before the first sample.
//= RFC 6298 §2.1
const INITIAL_RTO: Duration = Duration::from_secs(1);

/// The time-out before the first sample where the SYN had to be sent again.
//= RFC 6298 §5.7
const DISTRUSTED_RTO: Duration = Duration::from_secs(3);

/// Doublings of the time-out; the bound of `rto_max` bites earlier.
const MAX_BACKOFF: u8 = 16;

/// Estimates the round trip, and how long to wait for an acknowledgement.
///
/// The variance term is at least the least time-out, as in Linux: RTO = SRTT + max(4 · RTTVAR, `rto_min`).
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::rtt::RttEstimator;
/// use tapsock_stack::time::Instant;
///
/// let mut rtt = RttEstimator::new(Duration::from_millis(200), Duration::from_secs(120));
/// assert_eq!(rtt.rto(), Duration::from_secs(1));
/// rtt.sample(Instant::ZERO, Duration::from_millis(20));
/// assert_eq!(rtt.rto(), Duration::from_millis(220));
/// rtt.back_off();
/// assert_eq!(rtt.rto(), Duration::from_millis(440));
/// ```
#[derive(Clone, Debug)]
pub struct RttEstimator {
    /// In microseconds; 0 before the first sample.
    srtt: u32,
    rttvar: u32,
    min_rtt: MinRtt,
    latest: u32,
    rto_min_ms: u32,
    rto_max_ms: u32,
    backoff: u8,
    /// Whether the handshake needed a retransmission, so that the first time-out is taken longer.
    distrusted: bool,
}

impl RttEstimator {
    /// An estimator without a sample, with the bounds of the time-out.
    pub fn new(rto_min: Duration, rto_max: Duration) -> Self {
        RttEstimator {
            srtt: 0,
            rttvar: 0,
            min_rtt: MinRtt::new(),
            latest: 0,
            rto_min_ms: rto_min.as_millis() as u32,
            rto_max_ms: rto_max.as_millis() as u32,
            backoff: 0,
            distrusted: false,
        }
    }

    /// Takes the round trip, measured at `now`, of a segment that was sent once.
    //= RFC 6298 §2.2
    //= RFC 6298 §2.3
    pub fn sample(&mut self, now: Instant, rtt: Duration) {
        self.min_rtt.sample(now, rtt);
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8).clamp(1, u32::MAX / 8);
        self.latest = rtt;
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            let deviation = self.srtt.abs_diff(rtt);
            self.rttvar = (3 * self.rttvar + deviation) / 4;
            self.srtt = ((7 * u64::from(self.srtt) + u64::from(rtt)) / 8) as u32;
        }
    }

    /// The smoothed round trip, where there is a sample.
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt > 0).then_some(Duration::from_micros(self.srtt.into()))
    }

    /// The mean deviation.
    pub fn rttvar(&self) -> Duration {
        Duration::from_micros(self.rttvar.into())
    }

    /// The least round trip of late, where there is a sample.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.value()
    }

    /// The last round trip seen, where there is a sample.
    pub fn latest(&self) -> Option<Duration> {
        (self.latest > 0).then_some(Duration::from_micros(self.latest.into()))
    }

    /// The time-out, doubled as often as it was backed off.
    //= RFC 6298 §2.4
    //= RFC 6298 §2.5
    pub fn rto(&self) -> Duration {
        let base = match self.srtt() {
            None if self.distrusted => DISTRUSTED_RTO,
            None => INITIAL_RTO,
            Some(srtt) => {
                let floor = Duration::from_millis(self.rto_min_ms.into());
                srtt + (4 * self.rttvar()).max(floor)
            }
        };
        let rto = base.saturating_mul(1 << self.backoff);
        rto.min(Duration::from_millis(self.rto_max_ms.into()))
    }

    /// The SYN was sent again: without a sample the time-out is 3 s.
    //= RFC 6298 §5.7
    pub fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Doubles the time-out.
    //= RFC 6298 §5.5
    pub fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(MAX_BACKOFF);
    }

    /// Ends the doubling: new data was acknowledged.
    pub fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// How often the time-out is doubled.
    pub fn backoff(&self) -> u8 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator() -> RttEstimator {
        RttEstimator::new(Duration::from_millis(200), Duration::from_secs(120))
    }

    //= RFC 6298 §2.2, type=test
    //= RFC 6298 §2.3, type=test
    #[test]
    fn the_first_sample_sets_and_later_ones_smooth() {
        let mut rtt = estimator();
        rtt.sample(Instant::ZERO, Duration::from_millis(800));
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(800)));
        assert_eq!(rtt.rttvar(), Duration::from_millis(400));
        assert_eq!(rtt.rto(), Duration::from_millis(2400));
        rtt.sample(Instant::ZERO, Duration::from_millis(400));
        assert_eq!(rtt.rttvar(), Duration::from_millis(400));
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(750)));
        assert_eq!(rtt.min_rtt(), Some(Duration::from_millis(400)));
    }

    //= RFC 6298 §5.5, type=test
    //= RFC 6298 §2.5, type=test
    #[test]
    fn backing_off_doubles_up_to_the_bound() {
        let mut rtt = estimator();
        let seen: Vec<u64> = (0..9)
            .map(|_| {
                rtt.back_off();
                rtt.rto().as_secs()
            })
            .collect();
        assert_eq!(seen, [2, 4, 8, 16, 32, 64, 120, 120, 120]);
        rtt.reset_backoff();
        assert_eq!(rtt.rto(), INITIAL_RTO);
    }
}
