//! BBR, version 1, as Linux has it (draft-cardwell-iccrg-bbr-congestion-control-00): a model of the path, its bottleneck
//! bandwidth and its round trip, decides how fast and how much is sent; a loss by itself says little.
//!
//! STARTUP looks for the bandwidth, DRAIN empties the queue that this made, PROBE_BW sends as fast as the path delivers,
//! now and then a quarter faster, and PROBE_RTT leaves the path nearly empty for a moment each ten seconds, so that the
//! round trip shows itself.

use core::time::Duration;

use crate::tcp::recovery::Phase;
use crate::time::Instant;

use super::{CongestionControl, Delivery, INITIAL_WINDOW, Start, UNLIMITED, Window};

mod aggregation;
mod max_filter;
mod policer;
#[cfg(test)]
mod tests;

use aggregation::Aggregation;
use max_filter::MaxFilter;
use policer::{Policer, Verdict};

/// A gain of 1.
const UNIT: u32 = 256;
/// 2/ln(2), by which the rate doubles each round trip, and its inverse, which drains what that queued.
const HIGH_GAIN: u32 = UNIT * 2885 / 1000 + 1;
const DRAIN_GAIN: u32 = UNIT * 1000 / 2885;
/// Two bandwidth-delay products of window, for acknowledgements come late and together.
const WINDOW_GAIN: u32 = UNIT * 2;
/// The pace of the phases of PROBE_BW: faster, slower to drain what that queued, and six as fast as the path.
const CYCLE: [u32; 8] = [UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT];

/// Round trips for which a bandwidth is believed.
const BANDWIDTH_ROUNDS: u32 = 10;
/// How long a round trip is believed.
const MIN_RTT_TIME: Duration = Duration::from_secs(10);
/// For how long PROBE_RTT lets no more in flight than the least window.
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// The least window, in segments.
const LEAST_WINDOW: u32 = 4;
/// The path is full where three rounds in a row bring no quarter more.
const FULL_ROUNDS: u8 = 3;
/// The pace is a hundredth below the bandwidth, so that no queue builds up.
const MARGIN_PERCENT: u64 = 1;
/// The round trip before one is known.
const PRESUMED_RTT: Duration = Duration::from_millis(1);
/// Below this pace, in bytes a second, segments go one by one.
const LOW_RATE: u64 = 150_000;
/// Bytes of the largest frame, and how many of those segments count for the window at the most.
const LARGEST_BURST: u64 = 65_536 - 1 - 320;
const MOST_BURST: u32 = 127;

/// Segments in a microsecond, in 2⁻²⁴.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, PartialOrd)]
pub(super) struct Bandwidth(u64);

impl Bandwidth {
    const SCALE: u32 = 24;

    fn of(segments: u32, time: Duration) -> Self {
        Bandwidth((u64::from(segments) << Self::SCALE) / (time.as_micros() as u64).max(1))
    }

    fn segments_in(self, time: Duration) -> u64 {
        self.segments_in_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    fn segments_in_micros(self, micros: u64) -> u64 {
        u64::try_from((u128::from(self.0) * u128::from(micros)) >> Self::SCALE).unwrap_or(u64::MAX)
    }

    /// Bytes a second, with segments of `mss` bytes.
    fn bytes(self, mss: u32) -> u64 {
        u64::try_from((u128::from(self.0) * u128::from(mss) * 1_000_000) >> Self::SCALE).unwrap_or(u64::MAX)
    }
}

/// What BBR is at.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Startup,
    Drain,
    ProbeBandwidth,
    ProbeRtt,
}

/// The model of the path, and what it is at. Boxed by its owner, for few connections have one.
///
/// ```
/// use tapsock_stack::tcp::congestion::{Bbr, CongestionControl, Window};
///
/// let mut bbr = Bbr::new();
/// assert!(bbr.governs());
/// let mut window = Window::new(100);
/// window.ssthresh = 80;
/// assert_eq!(bbr.threshold(&window), 80, "a loss lowers nothing");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bbr {
    mode: Mode,
    pacing_gain: u32,
    window_gain: u32,
    /// Bytes a second.
    rate: u64,
    bandwidth: MaxFilter,
    round: Round,
    /// The shortest round trip of the last ten seconds, and when it was measured.
    min_rtt: Option<Duration>,
    min_rtt_at: Option<Instant>,
    /// When PROBE_RTT may end, and whether a round trip has passed in it.
    probe_end: Option<Instant>,
    probe_round: bool,
    full: Full,
    /// The phase of PROBE_BW, and when it began.
    phase: usize,
    phase_began: Instant,
    recovery: Recovering,
    /// What was sent last came after a pause.
    restarted: bool,
    seen_rtt: bool,
    /// Segments of a burst, for which the window leaves room.
    burst: u32,
    policer: Policer,
    aggregation: Aggregation,
}

/// Round trips, counted by what is delivered.
#[derive(Clone, Debug, Default)]
struct Round {
    count: u32,
    /// The segment whose delivery ends this one.
    end: u32,
    /// Whether the last acknowledgement began one.
    begins: bool,
}

/// Whether the path is full.
#[derive(Clone, Debug, Default)]
struct Full {
    /// The bandwidth by which growth is judged, and for how many rounds it has not grown.
    bandwidth: u64,
    rounds: u8,
    reached: bool,
}

/// The window around losses.
#[derive(Clone, Debug, Default)]
struct Recovering {
    /// The window before.
    prior: u32,
    lossy: bool,
    timed_out: bool,
    /// For each segment delivered one is sent, in the first round trip.
    conserving: bool,
}

impl Bbr {
    /// Before anything is sent.
    pub fn new() -> Self {
        let rate = Bandwidth::of(INITIAL_WINDOW, PRESUMED_RTT);
        let mut bbr = Bbr { pacing_gain: HIGH_GAIN, window_gain: HIGH_GAIN, ..Bbr::default() };
        bbr.rate = paced(rate, HIGH_GAIN, 1460);
        bbr
    }

    /// The bandwidth, by which the pace goes.
    fn bandwidth(&self) -> Bandwidth {
        self.policer.bandwidth().unwrap_or_else(|| self.most())
    }

    fn most(&self) -> Bandwidth {
        Bandwidth(self.bandwidth.value())
    }

    fn update_bandwidth(&mut self, sample: &Delivery) {
        self.round.begins = false;
        let Some((prior, rate)) = sample.rate.and_then(|rate| Some((rate.prior_delivered, rate.rate?)))
        else {
            return;
        };
        if is_before(self.round.end, prior) || self.round.end == prior {
            (self.round.end, self.round.begins) = (sample.delivered, true);
            self.round.count = self.round.count.wrapping_add(1);
            self.recovery.conserving = false;
        }
        match self.policer.take(sample, self.round.begins, self.mode == Mode::ProbeBandwidth) {
            Verdict::AsBefore => {}
            Verdict::Found => self.pacing_gain = UNIT,
            Verdict::Over => self.begin_probing(sample.now, sample.dice),
        }
        let measured = Bandwidth::of(rate.segments, rate.time);
        if !rate.by_program || measured >= self.most() {
            self.bandwidth.sample(measured.0, self.round.count, BANDWIDTH_ROUNDS);
        }
    }

    /// PROBE_BW goes on to its next phase after a round trip; faster until it has filled the path or lost something,
    /// slower no longer than until the queue is gone.
    fn update_phase(&mut self, sample: &Delivery) {
        if self.mode != Mode::ProbeBandwidth {
            return;
        }
        let passed = sample.now.saturating_since(self.phase_began) > self.min_rtt.unwrap_or(Duration::ZERO);
        let on = if self.pacing_gain == UNIT {
            passed
        } else {
            let in_flight = self.in_flight_at_next(sample.prior_in_flight, sample);
            if self.pacing_gain > UNIT {
                passed && (sample.lost > 0 || in_flight >= self.filling(self.most(), self.pacing_gain))
            } else {
                passed || in_flight <= self.filling(self.most(), UNIT)
            }
        };
        if on {
            self.phase = (self.phase + 1) % CYCLE.len();
            self.phase_began = sample.now;
        }
    }

    /// Segments in flight when the next is due by the pace.
    fn in_flight_at_next(&self, in_flight: u32, sample: &Delivery) -> u32 {
        let wait = sample.due.saturating_since(sample.now);
        let gone = u32::try_from(self.bandwidth().segments_in(wait)).unwrap_or(u32::MAX);
        let sent = if self.pacing_gain > UNIT { self.burst } else { 0 };
        (in_flight + sent).saturating_sub(gone)
    }

    fn look_for_full_path(&mut self, sample: &Delivery) {
        let by_program = sample.rate.and_then(|sample| sample.rate).is_some_and(|rate| rate.by_program);
        if self.full.reached || !self.round.begins || by_program {
            return;
        }
        if self.most().0 >= self.full.bandwidth / 4 * 5 {
            (self.full.bandwidth, self.full.rounds) = (self.most().0, 0);
            return;
        }
        self.full.rounds += 1;
        self.full.reached = self.full.rounds >= FULL_ROUNDS;
    }

    fn drain(&mut self, window: &mut Window, sample: &Delivery) {
        if self.mode == Mode::Startup && self.full.reached {
            self.mode = Mode::Drain;
            window.ssthresh = self.filling(self.most(), UNIT);
        }
        let product = self.filling(self.most(), UNIT);
        if self.mode == Mode::Drain && self.in_flight_at_next(sample.in_flight, sample) <= product {
            self.begin_probing(sample.now, sample.dice);
        }
    }

    /// PROBE_BW begins, in any phase but the slower one.
    fn begin_probing(&mut self, now: Instant, dice: u32) {
        self.mode = Mode::ProbeBandwidth;
        let skipped = dice as usize % (CYCLE.len() - 1);
        self.phase = (CYCLE.len() - skipped) % CYCLE.len();
        self.phase_began = now;
    }

    /// Takes the round trip, and goes into PROBE_RTT where none was as short for ten seconds. Gives whether the program
    /// is to count as what bounds the rate.
    fn update_min_rtt(&mut self, window: &mut Window, sample: &Delivery) -> bool {
        let measured_at = *self.min_rtt_at.get_or_insert(sample.now);
        let stale = sample.now > measured_at + MIN_RTT_TIME;
        if let Some(rtt) = sample.rtt
            && (self.min_rtt.is_none_or(|min| rtt < min) || stale && !sample.late)
        {
            (self.min_rtt, self.min_rtt_at) = (Some(rtt), Some(sample.now));
        }
        if stale && !self.restarted && self.mode != Mode::ProbeRtt {
            (self.mode, self.probe_end) = (Mode::ProbeRtt, None);
            self.keep_window(window);
        }
        let probing = self.mode == Mode::ProbeRtt;
        if probing {
            self.probe_rtt(window, sample);
        }
        if sample.rate.is_some_and(|sample| sample.rate.is_some()) {
            self.restarted = false;
        }
        probing
    }

    fn probe_rtt(&mut self, window: &mut Window, sample: &Delivery) {
        if self.probe_end.is_some() {
            self.probe_round |= self.round.begins;
            if self.probe_round {
                self.leave_probe_rtt(window, sample.now, sample.dice);
            }
        } else if sample.in_flight <= LEAST_WINDOW {
            (self.probe_end, self.probe_round) = (Some(sample.now + PROBE_RTT_TIME), false);
            self.round.end = sample.delivered;
        }
    }

    fn leave_probe_rtt(&mut self, window: &mut Window, now: Instant, dice: u32) {
        if self.probe_end.is_none_or(|end| now <= end) {
            return;
        }
        self.min_rtt_at = Some(now);
        window.size = window.size.max(self.recovery.prior);
        if self.full.reached {
            self.begin_probing(now, dice);
        } else {
            self.mode = Mode::Startup;
        }
    }

    fn update_gains(&mut self) {
        (self.pacing_gain, self.window_gain) = match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (DRAIN_GAIN, HIGH_GAIN),
            Mode::ProbeBandwidth if self.policer.bandwidth().is_some() => (UNIT, WINDOW_GAIN),
            Mode::ProbeBandwidth => (CYCLE[self.phase], WINDOW_GAIN),
            Mode::ProbeRtt => (UNIT, UNIT),
        };
    }

    /// Before anything is known but a round trip, the pace is that of the window in it.
    fn begin_pace(&mut self, window: &Window, srtt: Option<Duration>, mss: u32) {
        if let Some(rtt) = srtt.filter(|_| !self.seen_rtt) {
            self.seen_rtt = true;
            self.rate = paced(Bandwidth::of(window.size, rtt), HIGH_GAIN, mss);
        }
    }

    fn update_pace(&mut self, window: &Window, sample: &Delivery) {
        self.begin_pace(window, sample.srtt, sample.mss);
        let rate = paced(self.bandwidth(), self.pacing_gain, sample.mss);
        // What slows down STARTUP for a moment is no bottleneck.
        if self.full.reached || rate > self.rate {
            self.rate = rate;
        }
        let most = (self.rate >> 10).min(LARGEST_BURST) / u64::from(sample.mss.max(1));
        self.burst = (most as u32).max(self.least_burst().into()).min(MOST_BURST);
    }

    fn least_burst(&self) -> u8 {
        if self.rate < LOW_RATE { 1 } else { 2 }
    }

    fn update_window(&mut self, window: &mut Window, sample: &Delivery) {
        if sample.acked > 0 && !self.recover(window, sample) {
            let product = self.product(self.bandwidth(), self.window_gain);
            let extra = if self.full.reached { self.aggregation.allowance(self.bandwidth()) } else { 0 };
            let target = self.with_bursts(product.saturating_add(extra));
            let grown = window.size.saturating_add(sample.acked);
            if self.full.reached {
                window.size = grown.min(target);
            } else if window.size < target || sample.delivered < INITIAL_WINDOW {
                window.size = grown;
            }
            window.size = window.size.max(LEAST_WINDOW);
        }
        window.size = window.size.min(UNLIMITED);
        if self.mode == Mode::ProbeRtt {
            window.size = window.size.min(LEAST_WINDOW);
        }
    }

    /// Loses what was lost from the window, sends one for one in the first round trip of a recovery, and takes back the
    /// window of old after it. Says whether the window is what it is to be.
    fn recover(&mut self, window: &mut Window, sample: &Delivery) -> bool {
        if sample.lost > 0 {
            window.size = window.size.saturating_sub(sample.lost).max(1);
        }
        let lossy = sample.phase >= Phase::Recovery;
        if sample.phase == Phase::Recovery && !self.recovery.lossy {
            self.recovery.conserving = true;
            self.round.end = sample.delivered;
            window.size = sample.in_flight + sample.acked;
        } else if self.recovery.lossy && !lossy {
            window.size = window.size.max(self.recovery.prior);
            self.recovery.conserving = false;
        }
        self.recovery.lossy = lossy;
        if self.recovery.conserving {
            window.size = window.size.max(sample.in_flight + sample.acked);
        }
        self.recovery.conserving
    }

    fn keep_window(&mut self, window: &Window) {
        let first = !self.recovery.lossy && self.mode != Mode::ProbeRtt;
        self.recovery.prior = if first { window.size } else { self.recovery.prior.max(window.size) };
    }

    /// Segments that fill the path, `gain` times.
    fn product(&self, bandwidth: Bandwidth, gain: u32) -> u32 {
        let Some(rtt) = self.min_rtt else { return INITIAL_WINDOW };
        let filling = u128::from(bandwidth.0) * rtt.as_micros() * u128::from(gain) / u128::from(UNIT);
        u32::try_from(filling.div_ceil(1 << Bandwidth::SCALE)).unwrap_or(UNLIMITED)
    }

    /// With room for bursts on their way through the hosts, and a few more where the path is to be filled.
    fn with_bursts(&self, segments: u32) -> u32 {
        let segments = segments.saturating_add(3 * self.burst);
        let even = segments.saturating_add(segments & 1);
        even.saturating_add(if self.mode == Mode::ProbeBandwidth && self.phase == 0 { 2 } else { 0 })
    }

    fn filling(&self, bandwidth: Bandwidth, gain: u32) -> u32 {
        self.with_bursts(self.product(bandwidth, gain))
    }

    /// The fields of Linux's `struct tcp_bbr_info`: bandwidth in bytes a second, its low and high half, the round trip in
    /// microseconds, and the gains, of which 256 is one.
    pub fn info(&self, mss: u32) -> [u32; 5] {
        let bytes = self.bandwidth().bytes(mss);
        let rtt = self.min_rtt.map_or(u32::MAX, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
        [bytes as u32, (bytes >> 32) as u32, rtt, self.pacing_gain, self.window_gain]
    }
}

impl CongestionControl for Bbr {
    fn governs(&self) -> bool {
        true
    }

    /// The window is kept, and so is the threshold.
    fn threshold(&mut self, window: &Window) -> u32 {
        self.keep_window(window);
        window.ssthresh
    }

    fn on_delivery(&mut self, window: &mut Window, sample: &Delivery) -> bool {
        if core::mem::take(&mut self.recovery.timed_out) {
            self.policer.on_timeout(|| (sample.now, sample.delivered, sample.lost_total));
        }
        self.update_bandwidth(sample);
        self.aggregation.take(sample, self.bandwidth(), window.size, self.round.begins);
        self.update_phase(sample);
        self.look_for_full_path(sample);
        self.drain(window, sample);
        let by_program = self.update_min_rtt(window, sample);
        self.update_gains();
        self.update_pace(window, sample);
        self.update_window(window, sample);
        by_program
    }

    /// The path may have become another.
    fn on_timeout(&mut self) {
        self.full.bandwidth = 0;
        (self.recovery.lossy, self.recovery.timed_out) = (true, true);
    }

    /// As Linux: the first burst is sized by the rate already.
    fn on_open(&mut self, window: &mut Window, srtt: Option<Duration>, mss: u32) {
        self.begin_pace(window, srtt, mss);
    }

    fn on_start(&mut self, window: &mut Window, start: &Start) {
        self.begin_pace(window, start.srtt, start.mss);
        if !start.by_program {
            return;
        }
        self.restarted = true;
        self.aggregation.restart(start.now);
        match self.mode {
            // As fast as the path, neither faster nor slower.
            Mode::ProbeBandwidth => self.rate = paced(self.bandwidth(), UNIT, start.mss),
            Mode::ProbeRtt => self.leave_probe_rtt(window, start.now, start.dice),
            _ => {}
        }
    }

    fn undone(&mut self, window: &Window) -> u32 {
        (self.full.bandwidth, self.full.rounds) = (0, 0);
        self.policer = Policer::default();
        window.size
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.rate)
    }

    fn burst_least(&self) -> Option<u8> {
        Some(self.least_burst())
    }
}

/// Bytes a second of `bandwidth`, `gain` times, less the margin.
fn paced(bandwidth: Bandwidth, gain: u32, mss: u32) -> u64 {
    let bytes = u128::from(bandwidth.bytes(mss)) * u128::from(gain) / u128::from(UNIT);
    u64::try_from(bytes).unwrap_or(u64::MAX) / 100 * (100 - MARGIN_PERCENT)
}

fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
