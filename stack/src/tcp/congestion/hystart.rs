//! HyStart: leaving slow start before something is lost ("Taming the Elephants", Ha and Rhee 2011), as in Linux.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::{RttSample, Window};

/// Segments below which a window is not worth the trouble.
const LOW_WINDOW: u32 = 16;

/// Round trips to be seen of one flight before their minimum is believed.
const MIN_SAMPLES: u8 = 8;

/// Between acknowledgements of one train pass no more than this.
const TRAIN_GAP: Duration = Duration::from_millis(2);

/// By how much the round trip may have grown: an eighth, between these.
const LEAST_GROWTH: Duration = Duration::from_millis(4);
const MOST_GROWTH: Duration = Duration::from_millis(16);

/// Looks for signs that the path is full: a train of acknowledgements as long as half the round trip, or a round
/// trip that has grown by an eighth.
#[derive(Clone, Debug)]
pub struct HyStart {
    /// When this round began, and when its train was heard of last, in microseconds that wrap around.
    round_start: u32,
    last_ack: u32,
    /// The number whose acknowledgement ends this round.
    end: SeqNumber,
    /// The shortest round trip of this round, in microseconds.
    shortest: u32,
    samples: u8,
    begun: bool,
    found: bool,
    /// Whether nothing is looked for.
    off: bool,
}

impl HyStart {
    /// Before the first round.
    pub const fn new() -> Self {
        let end = SeqNumber::new(0);
        let (begun, found, off) = (false, false, false);
        HyStart { round_start: 0, last_ack: 0, end, shortest: u32::MAX, samples: 0, begun, found, off }
    }

    /// Looks for nothing: slow start ends with a loss.
    pub(super) const fn off() -> Self {
        HyStart { off: true, ..HyStart::new() }
    }

    /// Before the first round, of who looks for as much.
    pub(super) const fn anew(&self) -> Self {
        HyStart { off: self.off, ..HyStart::new() }
    }

    fn begin_round(&mut self, sample: &RttSample) {
        let now = micros_of(sample.now);
        (self.round_start, self.last_ack, self.end) = (now, now, sample.nxt);
        (self.shortest, self.samples, self.begun) = (u32::MAX, 0, true);
    }

    /// Takes a round trip, the shortest so far being `least`; slow start ends where it shows that the path is full.
    pub(super) fn on_round_trip(
        &mut self,
        window: &mut Window,
        sample: &RttSample,
        least: Duration,
        counters: &mut Counters,
    ) {
        if self.off || self.found || !window.in_slow_start() {
            return;
        }
        if !self.begun || sample.una.after(self.end) {
            self.begin_round(sample);
        }
        if window.size < LOW_WINDOW {
            return;
        }
        if self.is_long_train(sample, least) {
            counters.bump(Counter::TcpExtTCPHystartTrainDetect);
            counters[Counter::TcpExtTCPHystartTrainCwnd] += u64::from(window.size);
            self.leave(window);
        }
        if self.is_slower(sample, least) {
            counters.bump(Counter::TcpExtTCPHystartDelayDetect);
            counters[Counter::TcpExtTCPHystartDelayCwnd] += u64::from(window.size);
            self.leave(window);
        }
    }

    fn leave(&mut self, window: &mut Window) {
        self.found = true;
        window.ssthresh = window.size;
    }

    fn is_long_train(&mut self, sample: &RttSample, least: Duration) -> bool {
        let now = micros_of(sample.now);
        if Duration::from_micros(now.wrapping_sub(self.last_ack).into()) > TRAIN_GAP {
            return false;
        }
        self.last_ack = now;
        let mut most = least + sample.burst;
        if !sample.paced {
            most /= 2;
        }
        Duration::from_micros(now.wrapping_sub(self.round_start).into()) > most
    }

    fn is_slower(&mut self, sample: &RttSample, least: Duration) -> bool {
        let micros = u32::try_from(sample.rtt.as_micros()).unwrap_or(u32::MAX);
        self.shortest = self.shortest.min(micros);
        if self.samples < MIN_SAMPLES {
            self.samples += 1;
            return false;
        }
        let growth = (least / 8).clamp(LEAST_GROWTH, MOST_GROWTH);
        Duration::from_micros(self.shortest.into()) > least + growth
    }
}

fn micros_of(now: Instant) -> u32 {
    now.as_micros() as u32
}

impl Default for HyStart {
    fn default() -> Self {
        HyStart::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(100);

    fn sample(millis: u64, rtt: u64, una: u32, nxt: u32) -> RttSample {
        RttSample {
            now: Instant::from_millis(millis),
            rtt: Duration::from_millis(rtt),
            una: SeqNumber::new(una),
            nxt: SeqNumber::new(nxt),
            burst: Duration::ZERO,
            paced: false,
        }
    }

    /// The acknowledgement, of some given at distances of `gap` milliseconds with a round trip of `rtt`, that ended
    /// slow start.
    fn ended_by(gap: u64, rtt: u64, size: u32, acks: u64) -> (Option<u64>, Counters) {
        let (mut hystart, mut window) = (HyStart::new(), Window::new(size));
        let mut counters = Counters::default();
        let ended = (0..acks).find(|n| {
            let sample = sample(1000 + n * gap, rtt, 1000 + *n as u32, 90_000);
            hystart.on_round_trip(&mut window, &sample, LEAST, &mut counters);
            !window.in_slow_start()
        });
        (ended, counters)
    }

    #[test]
    fn a_train_of_half_a_round_trip_ends_slow_start() {
        let (ended, counters) = ended_by(2, 100, 20, 60);
        assert_eq!(ended, Some(26), "52 ms after the first");
        assert_eq!(counters[Counter::TcpExtTCPHystartTrainDetect], 1);
        assert_eq!(counters[Counter::TcpExtTCPHystartTrainCwnd], 20);
        assert_eq!(ended_by(3, 100, 20, 60).0, None, "no train has such gaps");
        assert_eq!(ended_by(2, 100, 15, 60).0, None, "a small window");
    }

    #[test]
    fn a_round_trip_that_grew_by_an_eighth_ends_slow_start() {
        let (ended, counters) = ended_by(3, 113, 20, 60);
        assert_eq!(ended, Some(8), "after eight round trips");
        assert_eq!(counters[Counter::TcpExtTCPHystartDelayDetect], 1);
        assert_eq!(counters[Counter::TcpExtTCPHystartDelayCwnd], 20);
        assert_eq!(ended_by(3, 112, 20, 60).0, None);
    }
}
