//! HyStart++ (RFC 9406): slow start that slows down where the round trip grows, and ends where it goes on growing.

use crate::tcp::seq::SeqNumber;

use super::{AckSample, CongestionControl, Cubic, RttSample, Start, Window};
use crate::counters::Counters;

/// By how much the round trip may grow from one round to the next: an eighth, between these, in microseconds.
const LEAST_GROWTH: u32 = 4_000;
const MOST_GROWTH: u32 = 16_000;
const GROWTH_SHARE: u32 = 8;
/// Round trips to be seen in a round before their minimum is believed.
const MIN_SAMPLES: u8 = 8;
/// By how much slower the window grows in conservative slow start, and for how many rounds it does.
const SLOWER: u32 = 4;
const SLOW_ROUNDS: u8 = 5;
/// Segments by which one acknowledgement lets the window grow, where the sender does not pace.
const MOST_A_STEP: u32 = 8;

/// No round trip yet.
const NONE: u32 = u32::MAX;

/// CUBIC that leaves the first slow start by HyStart++.
#[derive(Clone, Debug)]
pub(super) struct CubicPlus {
    cubic: Cubic,
    exit: HyStartPlus,
}

impl CubicPlus {
    pub(super) const fn new() -> Self {
        CubicPlus { cubic: Cubic::without_hystart(), exit: HyStartPlus::new() }
    }
}

impl CongestionControl for CubicPlus {
    fn threshold(&mut self, window: &Window) -> u32 {
        self.cubic.threshold(window)
    }

    fn on_ack(&mut self, window: &mut Window, sample: &AckSample) {
        let mut sample = *sample;
        if window.is_first_slow_start() {
            sample.acked = self.exit.allowed(sample.acked);
        }
        self.cubic.on_ack(window, &sample);
    }

    fn on_recovering(&mut self, window: &Window, acked: u32) {
        self.cubic.on_recovering(window, acked);
    }

    fn on_round_trip(&mut self, window: &mut Window, sample: &RttSample, counters: &mut Counters) {
        if window.is_first_slow_start() {
            self.exit.on_round_trip(window, sample);
        }
        self.cubic.on_round_trip(window, sample, counters);
    }

    fn on_timeout(&mut self) {
        self.cubic.on_timeout();
    }

    fn on_start(&mut self, window: &mut Window, start: &Start) {
        self.cubic.on_start(window, start);
    }
}

/// Where slow start stands.
#[derive(Clone, Debug)]
pub(super) struct HyStartPlus {
    /// The number whose acknowledgement ends this round.
    end: SeqNumber,
    /// The least round trip of the last round, and of this one, in microseconds.
    last: u32,
    current: u32,
    samples: u8,
    begun: bool,
    paced: bool,
    slow: Option<Slow>,
    /// Segments acknowledged in conservative slow start, by which the window has not grown yet.
    credit: u32,
}

/// Conservative slow start.
#[derive(Copy, Clone, Debug)]
struct Slow {
    /// The round trip that began it: where it falls below, the growth was no sign.
    baseline: u32,
    rounds: u8,
}

impl HyStartPlus {
    /// Before the first round.
    pub(super) const fn new() -> Self {
        let end = SeqNumber::new(0);
        let (samples, begun, paced, slow) = (0, false, false, None);
        HyStartPlus { end, last: NONE, current: NONE, samples, begun, paced, slow, credit: 0 }
    }

    /// Of `acked` segments, those by which the window may grow.
    //= RFC 9406 §4.2
    pub(super) fn allowed(&mut self, acked: u32) -> u32 {
        let acked = if self.paced { acked } else { acked.min(MOST_A_STEP) };
        if self.slow.is_none() {
            return acked;
        }
        self.credit += acked;
        let grown = self.credit / SLOWER;
        self.credit %= SLOWER;
        grown
    }

    /// Takes a round trip of the first slow start.
    //= RFC 9406 §4.2
    //= RFC 9406 §4.3
    pub(super) fn on_round_trip(&mut self, window: &mut Window, sample: &RttSample) {
        self.paced = sample.paced;
        if !self.begun {
            self.begin_round(window, sample);
        }
        self.judge(sample);
        // What ends a round was sent in it: its round trip is of the old one.
        if sample.una.at_or_after(self.end) {
            self.begin_round(window, sample);
        }
    }

    fn judge(&mut self, sample: &RttSample) {
        let micros = u32::try_from(sample.rtt.as_micros()).unwrap_or(NONE - 1);
        self.current = self.current.min(micros);
        self.samples = self.samples.saturating_add(1);
        if self.samples < MIN_SAMPLES || self.last == NONE {
            return;
        }
        match self.slow {
            None => {
                let growth = (self.last / GROWTH_SHARE).clamp(LEAST_GROWTH, MOST_GROWTH);
                if self.current >= self.last.saturating_add(growth) {
                    self.slow = Some(Slow { baseline: self.current, rounds: 0 });
                }
            }
            Some(slow) if self.current < slow.baseline => self.slow = None,
            Some(_) => {}
        }
    }

    fn begin_round(&mut self, window: &mut Window, sample: &RttSample) {
        if let Some(slow) = &mut self.slow {
            slow.rounds += 1;
            if slow.rounds >= SLOW_ROUNDS {
                window.ssthresh = window.size;
            }
        }
        (self.last, self.current) = (self.current, NONE);
        (self.end, self.samples, self.begun) = (sample.nxt, 0, true);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::time::Instant;

    /// A slow start, round by round.
    struct Run {
        hystart: HyStartPlus,
        window: Window,
        sent: u32,
    }

    impl Run {
        fn new() -> Self {
            Run { hystart: HyStartPlus::new(), window: Window::new(10), sent: 0 }
        }

        /// A window is acknowledged by twos, with round trips of `millis`.
        fn round(&mut self, millis: u64) {
            let (first, size) = (self.sent, self.window.size);
            self.sent += size;
            for acked in (0..size).step_by(2) {
                let grown = self.hystart.allowed(2);
                self.window.grow_in_slow_start(grown);
                let (una, nxt) = (SeqNumber::new(first + acked + 2), SeqNumber::new(self.sent + acked + 2));
                let (now, rtt) = (Instant::ZERO, Duration::from_millis(millis));
                let sample = RttSample { now, rtt, una, nxt, burst: Duration::ZERO, paced: false };
                if self.window.in_slow_start() {
                    self.hystart.on_round_trip(&mut self.window, &sample);
                }
            }
        }
    }

    //= RFC 9406 §4.2, type=test
    #[test]
    fn growth_of_the_round_trip_slows_the_growth_of_the_window() {
        let mut run = Run::new();
        (0..3).for_each(|_| run.round(100));
        assert_eq!(run.window.size, 80, "it doubles");
        run.round(111);
        assert!(run.hystart.slow.is_none(), "less than an eighth");
        run.round(125);
        assert!(run.hystart.slow.is_some());
        let before = run.window.size;
        run.round(125);
        assert_eq!(run.window.size, before + before / 4 + 1, "a quarter, and what was left over");
        assert!(run.window.in_slow_start());
        (0..4).for_each(|_| run.round(125));
        assert!(!run.window.in_slow_start(), "after five rounds: {:?}", run.hystart);
    }

    //= RFC 9406 §4.2, type=test
    #[test]
    fn a_round_trip_that_shrinks_again_was_no_sign() {
        let mut run = Run::new();
        (0..3).for_each(|_| run.round(100));
        run.round(120);
        assert!(run.hystart.slow.is_some());
        run.round(119);
        assert!(run.hystart.slow.is_none());
        let before = run.window.size;
        run.round(119);
        assert_eq!(run.window.size, 2 * before);
    }

    #[test]
    fn one_acknowledgement_lets_it_grow_by_eight() {
        assert_eq!(HyStartPlus::new().allowed(40), 8);
        let mut paced = HyStartPlus { paced: true, ..HyStartPlus::new() };
        assert_eq!(paced.allowed(40), 40);
    }
}
