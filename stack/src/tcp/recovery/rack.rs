//! RACK's loss marking by time (RFC 8985).

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::delivery::{Delivered, Sent};
use super::scoreboard::Scoreboard;

/// Segments reported beyond a hole that mean a loss at once, as long as no reordering was seen.
const DUP_THRESHOLD: u32 = 3;

/// Tells from the times of what was delivered what was lost: a segment sent well before one that has arrived.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::rack::{Rack, RoundTrip};
/// use tapsock_stack::tcp::recovery::scoreboard::Scoreboard;
/// use tapsock_stack::tcp::seq_ranges::SeqRange;
/// use tapsock_stack::time::Instant;
///
/// let range = |start, end| SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
/// let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
/// scoreboard.on_sent(range(0, 5000), 1000, Instant::ZERO);
/// let now = Instant::from_millis(20);
/// let delivered = scoreboard.on_sack(range(1000, 5000));
/// let rtt = RoundTrip { min: Duration::from_millis(20), srtt: Duration::from_millis(20) };
/// rack.on_delivered(now, &delivered, rtt, None);
/// rack.detect(now, &mut scoreboard, rtt, 1000, false);
/// assert_eq!(scoreboard.lost(), 1000);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rack {
    /// The latest sent of all that was delivered, and its round trip.
    latest: Option<(Sent, Duration)>,
    reordering_seen: bool,
}

/// What is known of the round trip.
#[derive(Copy, Clone, Debug)]
pub struct RoundTrip {
    /// The least seen.
    pub min: Duration,
    /// The smoothed one.
    pub srtt: Duration,
}

impl Rack {
    /// Nothing delivered yet.
    pub const fn new() -> Self {
        Rack { latest: None, reordering_seen: false }
    }

    /// Takes what an acknowledgement delivered. `highest` is the number after the highest that was known to have
    /// arrived before.
    //= RFC 8985 §6.2
    pub fn on_delivered(
        &mut self,
        now: Instant,
        delivered: &Delivered,
        rtt: RoundTrip,
        highest: Option<SeqNumber>,
    ) {
        if let (Some(lowest), Some(highest)) = (delivered.lowest_once, highest) {
            self.reordering_seen |= lowest.before(highest);
        }
        let Some(sent) = delivered.latest else { return };
        let measured = now.saturating_since(sent.at);
        // An acknowledgement that comes back faster than light is for the first transmission.
        if sent.resent && measured < rtt.min {
            return;
        }
        if self.latest.is_none_or(|(latest, _)| sent.is_after(&latest)) {
            self.latest = Some((sent, measured));
        }
    }

    /// Marks what was lost in `scoreboard`, and gives the time at which to look again.
    //= RFC 8985 §6.2
    pub fn detect(
        &self,
        now: Instant,
        scoreboard: &mut Scoreboard,
        rtt: RoundTrip,
        mss: u32,
        in_recovery: bool,
    ) -> Option<Instant> {
        let (latest, latest_rtt) = self.latest?;
        let window = latest_rtt + self.reordering_window(scoreboard, rtt, mss, in_recovery);
        let mut again: Option<Instant> = None;
        scoreboard.lose(|sent| {
            let deadline = sent.at + window;
            let overtaken = latest.is_after(&sent);
            if overtaken && deadline > now {
                again = Some(again.map_or(deadline, |at| at.max(deadline)));
            }
            overtaken && deadline <= now
        });
        again
    }

    fn reordering_window(
        &self,
        scoreboard: &Scoreboard,
        rtt: RoundTrip,
        mss: u32,
        in_recovery: bool,
    ) -> Duration {
        let many = scoreboard.sacked().div_ceil(mss.max(1)) >= DUP_THRESHOLD;
        if !self.reordering_seen && (in_recovery || many) {
            return Duration::ZERO;
        }
        (rtt.min / 4).min(rtt.srtt)
    }

    /// Whether the path was seen to reorder.
    pub fn reordering_seen(&self) -> bool {
        self.reordering_seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::seq_ranges::SeqRange;

    const RTT: RoundTrip = RoundTrip { min: Duration::from_millis(40), srtt: Duration::from_millis(40) };

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).expect("not empty")
    }

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    //= RFC 8985 §6.2, type=test
    #[test]
    fn one_segment_overtaken_waits_a_quarter_of_the_round_trip() {
        let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
        scoreboard.on_sent(range(0, 1000), 1000, ms(0));
        scoreboard.on_sent(range(1000, 2000), 1000, ms(1));
        let delivered = scoreboard.on_sack(range(1000, 2000));
        rack.on_delivered(ms(41), &delivered, RTT, None);
        let again = rack.detect(ms(41), &mut scoreboard, RTT, 1000, false);
        assert_eq!((again, scoreboard.lost()), (Some(ms(50)), 0), "sent at 0, plus 40 ms, plus 10 ms");
        let again = rack.detect(ms(50), &mut scoreboard, RTT, 1000, false);
        assert_eq!((again, scoreboard.lost()), (None, 1000));
    }

    #[test]
    fn a_lost_retransmission_is_found_by_its_time() {
        let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
        scoreboard.on_sent(range(0, 1000), 1000, ms(0));
        scoreboard.on_sent(range(1000, 9000), 1000, ms(0));
        let delivered = scoreboard.on_sack(range(1000, 5000));
        rack.on_delivered(ms(40), &delivered, RTT, None);
        rack.detect(ms(40), &mut scoreboard, RTT, 1000, false);
        assert_eq!(scoreboard.lost(), 1000);
        scoreboard.on_resent(range(0, 1000), 1000, ms(40));
        scoreboard.on_sent(range(9000, 10_000), 1000, ms(45));
        let delivered = scoreboard.on_sack(range(9000, 10_000));
        rack.on_delivered(ms(85), &delivered, RTT, None);
        rack.detect(ms(85), &mut scoreboard, RTT, 1000, true);
        assert_eq!(scoreboard.next_lost(), Some(range(0, 1000)), "sent at 40, overtaken by one sent at 45");
    }

    #[test]
    fn a_retransmission_at_the_time_of_new_data_counts_as_the_later() {
        let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
        scoreboard.on_sent(range(0, 5000), 1000, ms(0));
        let delivered = scoreboard.on_sack(range(1000, 5000));
        rack.on_delivered(ms(40), &delivered, RTT, None);
        rack.detect(ms(40), &mut scoreboard, RTT, 1000, false);
        scoreboard.on_sent(range(5000, 6000), 1000, ms(40));
        scoreboard.on_resent(range(0, 1000), 1000, ms(40));
        let delivered = scoreboard.on_sack(range(5000, 6000));
        rack.on_delivered(ms(80), &delivered, RTT, None);
        rack.detect(ms(80), &mut scoreboard, RTT, 1000, true);
        assert_eq!(scoreboard.lost(), 0);
    }

    #[test]
    fn a_path_that_reorders_is_given_time() {
        let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
        for n in 0..8 {
            scoreboard.on_sent(range(n * 1000, n * 1000 + 1000), 1000, ms(n.into()));
        }
        let delivered = scoreboard.on_sack(range(2000, 3000));
        rack.on_delivered(ms(42), &delivered, RTT, None);
        let delivered = scoreboard.on_sack(range(1000, 2000));
        rack.on_delivered(ms(43), &delivered, RTT, Some(SeqNumber::new(3000)));
        assert!(rack.reordering_seen());
        let delivered = scoreboard.on_sack(range(3000, 8000));
        rack.on_delivered(ms(47), &delivered, RTT, Some(SeqNumber::new(3000)));
        let again = rack.detect(ms(47), &mut scoreboard, RTT, 1000, false);
        assert_eq!((again, scoreboard.lost()), (Some(ms(50)), 0));
    }
}
