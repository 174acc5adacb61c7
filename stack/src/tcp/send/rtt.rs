//! The round trip and the time-out that follows from it (RFC 6298).

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
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
/// As in Linux, the variance term is at least the least time-out: RTO = SRTT + max(4 · RTTVAR, `rto_min`), and RTTVAR
/// follows the largest deviation of each flight.
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
    /// In eighths of microseconds; 0 before the first sample.
    srtt: u32,
    /// The mean deviation, in quarters of microseconds, and its largest value in this flight.
    deviation: u32,
    largest_deviation: u32,
    /// What is added to the round trip, in microseconds.
    variance: u32,
    /// The end of this flight, where it is known.
    flight_end: SeqNumber,
    in_flight: bool,
    min_rtt: MinRtt,
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
            deviation: 0,
            largest_deviation: 0,
            variance: 0,
            flight_end: SeqNumber::new(0),
            in_flight: false,
            min_rtt: MinRtt::new(),
            rto_min_ms: rto_min.as_millis() as u32,
            rto_max_ms: rto_max.as_millis() as u32,
            backoff: 0,
            distrusted: false,
        }
    }

    /// Takes the round trip of the handshake, measured at `now`.
    //= RFC 6298 §2.2
    //= RFC 6298 §1 MUST-1
    //= RFC 6298 §2.2 MUST-1
    //= RFC 6298 §2.3 MUST-1
    //= RFC 6298 §2.3 MUST-2
    pub fn sample(&mut self, now: Instant, rtt: Duration) {
        self.sample_min(now, rtt);
        self.smooth(micros_of(rtt), None);
    }

    /// Takes the round trip of a segment that was sent once: the oldest that was just acknowledged, and then SND.UNA and
    /// SND.NXT are `una` and `nxt`.
    //= RFC 6298 §2.3
    pub fn sample_in_flight(&mut self, rtt: Duration, una: SeqNumber, nxt: SeqNumber) {
        self.smooth(micros_of(rtt), Some((una, nxt)));
    }

    /// Takes the round trip of the latest segment that was just acknowledged, for the minimum.
    pub fn sample_min(&mut self, now: Instant, rtt: Duration) {
        self.min_rtt.sample(now, rtt);
    }

    /// As Linux: a round trip that is shorter than expected is given less weight in the deviation, and the variance
    /// follows the largest deviation of a flight at once, but goes down once a flight only.
    fn smooth(&mut self, rtt: u32, flight: Option<(SeqNumber, SeqNumber)>) {
        let floor = self.rto_min_ms * 1000;
        if self.srtt == 0 {
            self.srtt = rtt * 8;
            self.deviation = rtt * 2;
            self.variance = self.deviation.max(floor);
            self.largest_deviation = self.variance;
            self.begin_flight(flight);
            return;
        }
        let smoothed = self.srtt / 8;
        self.srtt = self.srtt - smoothed + rtt;
        let error = rtt.abs_diff(smoothed);
        let quarter = self.deviation / 4;
        let gain = if rtt < smoothed && error > quarter { (error - quarter) / 8 } else { error };
        let loss = if rtt < smoothed && error > quarter { 0 } else { quarter };
        self.deviation = self.deviation - loss + gain;
        self.largest_deviation = self.largest_deviation.max(self.deviation);
        self.variance = self.variance.max(self.largest_deviation);
        let passed = flight.is_none_or(|(una, _)| !self.in_flight || una.after(self.flight_end));
        if passed {
            self.variance -= self.variance.saturating_sub(self.largest_deviation) / 4;
            self.begin_flight(flight);
            self.largest_deviation = floor;
        }
    }

    fn begin_flight(&mut self, flight: Option<(SeqNumber, SeqNumber)>) {
        self.in_flight = flight.is_some();
        self.flight_end = flight.map_or(self.flight_end, |(_, nxt)| nxt);
    }

    /// The smoothed round trip, where there is a sample.
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt > 0).then_some(Duration::from_micros((self.srtt / 8).into()))
    }

    /// The mean deviation.
    pub fn rttvar(&self) -> Duration {
        Duration::from_micros((self.deviation / 4).into())
    }

    /// The least round trip of late, where there is a sample.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.value()
    }

    /// The time-out, doubled as often as it was backed off.
    //= RFC 6298 §2.4
    //= RFC 6298 §2.5
    //= RFC 6298 §1 MUST-2
    //= RFC 6298 §2.3 MUST-3
    //= RFC 6298 §4 MUST-1
    pub fn rto(&self) -> Duration {
        let base = match self.srtt() {
            None if self.distrusted => DISTRUSTED_RTO,
            None => INITIAL_RTO,
            Some(srtt) => srtt + Duration::from_micros(self.variance.into()),
        };
        let rto = base.saturating_mul(1 << self.backoff);
        rto.min(Duration::from_millis(self.rto_max_ms.into()))
    }

    /// The SYN was sent again: without a sample the time-out is 3 s.
    //= RFC 6298 §5.7
    //= RFC 6298 §5.7 MUST-1
    pub fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Doubles the time-out.
    //= RFC 6298 §5.5
    //= RFC 6298 §5.5 MUST-1
    pub fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(MAX_BACKOFF);
    }

    /// Takes back one doubling.
    //= RFC 6069 §4.2
    pub fn take_back_doubling(&mut self) {
        self.backoff = self.backoff.saturating_sub(1);
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

fn micros_of(rtt: Duration) -> u32 {
    u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8).clamp(1, u32::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator() -> RttEstimator {
        RttEstimator::new(Duration::from_millis(200), Duration::from_secs(120))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Takes `samples`, in milliseconds, each of a flight of its own, and gives the time-outs after them.
    fn timeouts(samples: &[u64]) -> Vec<u128> {
        let mut rtt = estimator();
        let mut nxt = SeqNumber::new(0);
        let take = |sample: &u64| {
            nxt += 10;
            rtt.sample_in_flight(ms(*sample), nxt, nxt + 5);
            rtt.rto().as_millis()
        };
        samples.iter().map(take).collect()
    }

    //= RFC 6298 §2.2, type=test
    //= RFC 6298 §2.3, type=test
    //= RFC 6298 §1 MUST-1, type=test
    //= RFC 6298 §1 MUST-2, type=test
    //= RFC 6298 §2.2 MUST-1, type=test
    //= RFC 6298 §2.3 MUST-1, type=test
    //= RFC 6298 §2.3 MUST-2, type=test
    //= RFC 6298 §2.3 MUST-3, type=test
    #[test]
    fn the_first_sample_sets_and_later_ones_smooth() {
        let mut rtt = estimator();
        rtt.sample(Instant::ZERO, ms(800));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(800)), ms(400)));
        assert_eq!(rtt.rto(), ms(2400));
        rtt.sample(Instant::ZERO, ms(1600));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(900)), ms(500)));
        assert_eq!(rtt.rto(), ms(2900));
        assert_eq!(rtt.min_rtt(), Some(ms(800)));
    }

    /// What Linux 6.18 shows for the same samples.
    #[test]
    fn the_variance_rises_at_once_and_falls_by_a_quarter_a_flight() {
        assert_eq!(timeouts(&[100, 100, 100, 100]), [300, 300, 300, 300], "no less than the least time-out");
        assert_eq!(timeouts(&[400]), [1200]);
        let falling = timeouts(&[400, 400, 400, 400, 400]);
        assert_eq!(falling, [1200, 1200, 1112, 1018, 927]);
        let shorter = timeouts(&[400, 100]);
        assert_eq!(shorter, [1200, 1175], "a shorter round trip is not taken for a deviation of 300 ms");
    }

    //= RFC 6298 §5.5, type=test
    //= RFC 6298 §2.5, type=test
    //= RFC 6298 §5.5 MUST-1, type=test
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
