//! RACK's loss marking by time (RFC 8985).

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::delivery::{Delivered, Sent, Transmission};
use super::scoreboard::{Judgement, Losses, Scoreboard};

/// Round trips after a spurious retransmission for which the reordering window stays as wide as that has made it.
//= RFC 8985 §6.2
const PERSISTENCE: u8 = 16;

/// By how much Linux's timers round up a wait that is not for a time-out.
pub const LEAST_WAIT: Duration = Duration::from_millis(2);

/// Tells from the times of what was delivered what was lost: a segment sent well before one that has arrived.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::delivery::{Delivered, Known, Progress};
/// use tapsock_stack::tcp::recovery::rack::{Rack, RoundTrip};
/// use tapsock_stack::tcp::recovery::scoreboard::{Scoreboard, Sending};
/// use tapsock_stack::tcp::seq_ranges::SeqRange;
/// use tapsock_stack::time::Instant;
///
/// let range = |start, end| SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
/// let (mut rack, mut scoreboard) = (Rack::new(), Scoreboard::new());
/// let sending = Sending { now: Instant::ZERO, size: 1000, burst: 5000, progress: Progress::default() };
/// scoreboard.on_sent(range(0, 5000), sending);
/// let now = Instant::from_millis(20);
/// let rtt = RoundTrip { min: Duration::from_millis(20), srtt: Duration::from_millis(20) };
/// let highest = SeqNumber::new(0);
/// let mut delivered =
///     Delivered::new(Known { now, min_rtt: rtt.min, highest, high_seq: highest, echo: None });
/// scoreboard.on_sack(range(1000, 5000), &mut delivered);
/// rack.on_delivered(&delivered);
/// rack.detect(now, &mut scoreboard, Duration::ZERO);
/// assert_eq!(scoreboard.lost(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Rack {
    /// The latest sent of all that was delivered.
    latest: Transmission,
    /// Whether anything was.
    known: bool,
    /// The round trip of what was delivered last, in microseconds.
    round_trip: u32,
    /// Whether anything was delivered since losses were looked for.
    advanced: bool,
    /// The reordering window, in quarters of the shortest round trip; as in Linux at most 255.
    steps: u8,
    /// Recoveries that the window stays so wide for.
    persistence: u8,
    /// Whether a spurious retransmission was reported since the window was widened.
    spurious: bool,
    /// Segments that were delivered when the window was widened last.
    widened_at: u32,
}

/// What is known of the round trip.
#[derive(Copy, Clone, Debug)]
pub struct RoundTrip {
    /// The least seen.
    pub min: Duration,
    /// The smoothed one.
    pub srtt: Duration,
}

impl RoundTrip {
    /// Before there is a sample.
    pub const UNKNOWN: RoundTrip = RoundTrip { min: Duration::MAX, srtt: Duration::ZERO };

    /// The least seen, where there is a sample.
    pub fn known_min(&self) -> Option<Duration> {
        (self.min != Self::UNKNOWN.min).then_some(self.min)
    }

    /// The smoothed one, where there is a sample.
    pub fn known_srtt(&self) -> Option<Duration> {
        (self.srtt != Self::UNKNOWN.srtt).then_some(self.srtt)
    }
}

/// What RACK found.
#[derive(Copy, Clone, Debug, Default)]
pub struct Detection {
    /// What was lost.
    pub losses: Losses,
    /// When to look again.
    pub again: Option<Instant>,
}

impl Rack {
    /// Nothing delivered yet.
    pub const fn new() -> Self {
        Rack {
            latest: Transmission { at: Instant::ZERO, order: SeqNumber::new(0), end: SeqNumber::new(0) },
            known: false,
            round_trip: 0,
            advanced: false,
            steps: 1,
            persistence: 0,
            spurious: false,
            widened_at: 0,
        }
    }

    /// Takes what an acknowledgement delivered.
    //= RFC 8985 §6.2
    pub fn on_delivered(&mut self, delivered: &Delivered) {
        let (Some(sent), Some(round_trip)) = (delivered.latest, delivered.round_trip) else { return };
        self.advanced = true;
        self.round_trip = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        if !self.known || sent.is_after(&self.latest) {
            (self.latest, self.known) = (sent, true);
        }
    }

    /// The peer reported that it received something twice, on a path that reorders.
    pub fn on_spurious(&mut self) {
        self.spurious = true;
    }

    /// Widens the reordering window where a retransmission was spurious, once a round trip, and brings it back after
    /// a while. `before` and `total` are segments delivered: when what was delivered now was sent, and all.
    //= RFC 8985 §6.2
    pub fn adapt(&mut self, before: u32, total: u32) {
        if (before.wrapping_sub(self.widened_at) as i32) < 0 {
            self.spurious = false;
        }
        if self.spurious {
            self.steps = self.steps.saturating_add(1);
            (self.spurious, self.widened_at) = (false, total);
            self.persistence = PERSISTENCE;
        } else if self.persistence == 0 {
            self.steps = 1;
        }
    }

    /// A recovery ended for which there was a reason.
    pub fn on_recovered(&mut self) {
        self.persistence = self.persistence.saturating_sub(1);
    }

    /// A reduction was undone: the window stays for longer, and losses are looked for anew.
    pub fn on_undone(&mut self) {
        self.advanced = true;
    }

    /// What was undone for reports of duplicates.
    pub fn on_undone_by_reports(&mut self) {
        self.persistence = (self.persistence + 1).min(PERSISTENCE);
    }

    /// The reordering window where one is granted.
    //= RFC 8985 §6.2
    //= RFC 8985 §3.3.2 MUST-1
    pub fn reordering_window(&self, rtt: RoundTrip) -> Duration {
        (rtt.min / 4).saturating_mul(self.steps.into()).min(rtt.srtt)
    }

    /// Whether there is a reason to look for losses, once.
    pub fn take_advanced(&mut self) -> bool {
        core::mem::take(&mut self.advanced)
    }

    /// Marks what was lost in `scoreboard`: what was sent before what has arrived, and a round trip and `window` ago.
    //= RFC 8985 §6.2
    //= RFC 8985 §9.2 MUST-1
    pub fn detect(&self, now: Instant, scoreboard: &mut Scoreboard, window: Duration) -> Detection {
        if !self.known {
            return Detection::default();
        }
        let wait = self.round_trip() + window;
        let mut again: Option<Instant> = None;
        let losses = scoreboard.lose(|sent| {
            if !self.latest.is_after(&sent.last) {
                return Judgement::TooYoung;
            }
            let deadline = sent.last.at + wait;
            if deadline <= now {
                return Judgement::Lost;
            }
            again = Some(again.map_or(deadline, |at| at.max(deadline)));
            Judgement::MayArrive
        });
        Detection { losses, again: again.map(|at| at + LEAST_WAIT) }
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip.into())
    }

    /// Whether what was sent then has had its time.
    pub fn is_overdue(&self, now: Instant, sent: &Sent) -> bool {
        sent.last.at + self.round_trip() <= now
    }
}

impl Default for Rack {
    fn default() -> Self {
        Rack::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::recovery::delivery::{Known, Progress};
    use crate::tcp::recovery::scoreboard::Sending;
    use crate::tcp::seq_ranges::SeqRange;

    const RTT: RoundTrip = RoundTrip { min: Duration::from_millis(40), srtt: Duration::from_millis(90) };

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).expect("not empty")
    }

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A sender of segments of 1000 bytes with RACK, and the peer's reports.
    struct Flight {
        rack: Rack,
        scoreboard: Scoreboard,
    }

    impl Flight {
        fn new() -> Self {
            Flight { rack: Rack::new(), scoreboard: Scoreboard::new() }
        }

        fn send(&mut self, at: u64, start: u32, end: u32) {
            self.scoreboard.on_sent(range(start, end), sending(at));
        }

        fn resend(&mut self, at: u64, start: u32, end: u32) {
            self.scoreboard.on_resent(range(start, end), sending(at));
        }

        fn report(&mut self, at: u64, start: u32, end: u32) {
            let zero = SeqNumber::new(0);
            let known = Known { now: ms(at), min_rtt: RTT.min, highest: zero, high_seq: zero, echo: None };
            let mut delivered = Delivered::new(known);
            self.scoreboard.on_sack(range(start, end), &mut delivered);
            self.rack.on_delivered(&delivered);
        }

        fn detect(&mut self, at: u64, window: Duration) -> (Option<Instant>, u32) {
            let found = self.rack.detect(ms(at), &mut self.scoreboard, window);
            (found.again, self.scoreboard.lost())
        }
    }

    fn sending(at: u64) -> Sending {
        Sending { now: ms(at), size: 1000, burst: u32::MAX, progress: Progress::default() }
    }

    //= RFC 8985 §6.2, type=test
    #[test]
    fn one_segment_overtaken_waits_a_quarter_of_the_round_trip() {
        let mut flight = Flight::new();
        flight.send(0, 0, 1000);
        flight.send(1, 1000, 2000);
        flight.report(41, 1000, 2000);
        let window = flight.rack.reordering_window(RTT);
        assert_eq!(
            flight.detect(41, window),
            (Some(ms(52)), 0),
            "sent at 0, plus 40 ms, plus 10 ms, plus 2 ms"
        );
        assert_eq!(flight.detect(50, window), (None, 1));
    }

    //= RFC 8985 §4 MUST-3, type=test
    //= RFC 8985 §9.2 MUST-1, type=test
    #[test]
    fn a_lost_retransmission_is_found_by_its_time() {
        let mut flight = Flight::new();
        flight.send(0, 0, 9000);
        flight.report(40, 1000, 5000);
        assert_eq!(flight.detect(40, Duration::ZERO).1, 1);
        flight.resend(40, 0, 1000);
        flight.send(45, 9000, 10_000);
        flight.report(85, 9000, 10_000);
        let found = flight.rack.detect(ms(85), &mut flight.scoreboard, Duration::ZERO);
        assert_eq!(found.losses, Losses { fresh: 4, repeated: 1 });
        assert_eq!(
            flight.scoreboard.next_lost(),
            Some(range(0, 1000)),
            "sent at 40, overtaken by one sent at 45"
        );
    }

    #[test]
    fn a_retransmission_at_the_time_of_new_data_counts_as_the_later() {
        let mut flight = Flight::new();
        flight.send(0, 0, 5000);
        flight.report(40, 1000, 5000);
        assert_eq!(flight.detect(40, Duration::ZERO).1, 1);
        flight.send(40, 5000, 6000);
        flight.resend(40, 0, 1000);
        flight.report(80, 5000, 6000);
        assert_eq!(flight.rack.detect(ms(80), &mut flight.scoreboard, Duration::ZERO).losses.total(), 0);
    }

    //= RFC 8985 §6.2, type=test
    //= RFC 8985 §3.3.2 MUST-1, type=test
    #[test]
    fn spurious_retransmissions_widen_the_window_once_a_round_trip() {
        let mut rack = Rack::new();
        let wait = |rack: &Rack| rack.reordering_window(RTT).as_millis();
        rack.on_spurious();
        rack.adapt(5, 10);
        assert_eq!(wait(&rack), 20);
        rack.on_spurious();
        rack.adapt(9, 12);
        assert_eq!(wait(&rack), 20, "what was delivered now was sent before it was widened");
        for round in 1..20 {
            rack.on_spurious();
            rack.adapt(round * 100, round * 100 + 50);
        }
        assert_eq!(wait(&rack), 90, "no wider than the smoothed round trip");
        for _ in 0..PERSISTENCE {
            rack.adapt(5000, 5001);
            assert_eq!(wait(&rack), 90);
            rack.on_recovered();
        }
        rack.adapt(5000, 5001);
        assert_eq!(wait(&rack), 10);
    }
}
