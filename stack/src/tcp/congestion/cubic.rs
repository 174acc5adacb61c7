//! CUBIC (RFC 9438), in the integers in which Linux computes it, so that the two grow alike.

use core::time::Duration;

use crate::counters::Counters;
use crate::time::Instant;

use super::hystart::HyStart;
use super::{AckSample, CongestionControl, RttSample, Start, Window};

/// What a loss leaves of the window: 717/1024, Linux's 0.7.
//= RFC 9438 §4.6
const BETA: u64 = 717;
const BETA_SCALE: u64 = 1024;

/// C, which is 0.4: growth in 1024ths of a segment, time in 1024ths of a second.
//= RFC 9438 §5
const GROWTH: u64 = 410;
const GROWTH_SHIFT: u32 = 40;

/// The Reno-friendly estimate has fractions of so many bits, and grows by so many of them a round trip: α, for β as above.
//= RFC 9438 §4.3
const FRACTION: u32 = 32;
const ALPHA: u64 = 3 * ((BETA_SCALE - BETA) << FRACTION) / (BETA_SCALE + BETA);

/// The most that a window with no history waits for: 5 % a round trip.
const MOST_WITHOUT_HISTORY: u32 = 20;

/// A tick of the clock by which Linux computes: the curve is looked at once in one, and, where the window stays, once
/// in eight.
const TICK: Duration = Duration::from_millis(4);
const REST: Duration = Duration::from_millis(28);

/// For how long after a loss round trips are not believed.
const SETTLING: Duration = Duration::from_secs(1);

/// The window grows as a cubic function of the time since the last loss, but no slower than Reno's.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, Cubic, Window};
///
/// let mut cubic = Cubic::new();
/// assert_eq!(cubic.threshold(&Window::new(1000)), 700);
/// ```
#[derive(Clone, Debug)]
pub struct Cubic {
    /// Segments to be acknowledged for each by which the window grows.
    every: u32,
    /// The window before the last loss.
    last_max: u32,
    /// The window when the curve was looked at last, and when that was, in microseconds that wrap around.
    last_window: u32,
    last_time: u32,
    epoch: Option<Epoch>,
    /// What Reno's window would be by now, in segments with a fraction.
    reno: u64,
    /// The shortest round trip, in microseconds; 0 before the first.
    least_rtt: u32,
    hystart: HyStart,
}

/// One growth between losses.
#[derive(Copy, Clone, Debug)]
struct Epoch {
    /// In milliseconds that wrap around.
    start: u32,
    /// When the window is back at `origin`, in 1024ths of a second.
    k: u32,
    /// The plateau, in segments.
    origin: u32,
}

impl Cubic {
    /// The algorithm before the first loss.
    pub const fn new() -> Self {
        Cubic {
            every: 0,
            last_max: 0,
            last_window: 0,
            last_time: 0,
            epoch: None,
            reno: 0,
            least_rtt: 0,
            hystart: HyStart::new(),
        }
    }

    /// The same, which leaves slow start for nothing but a loss.
    pub const fn without_hystart() -> Self {
        Cubic { hystart: HyStart::off(), ..Cubic::new() }
    }

    //= RFC 9438 §4.2
    fn start_epoch(&mut self, now: Instant, window: u32) -> Epoch {
        self.reno = self.reno.max(u64::from(window) << FRACTION);
        let below = self.last_max.saturating_sub(window);
        let k = cube_root((u64::from(below) << GROWTH_SHIFT) / GROWTH);
        let origin = self.last_max.max(window);
        Epoch { start: millis_of(now), k, origin }
    }

    /// Decides how fast the window grows from here.
    fn look(&mut self, sample: &AckSample, window: u32) {
        let clock = sample.now.as_micros() as u32;
        let since = Duration::from_micros(clock.wrapping_sub(self.last_time).into());
        if self.last_window != window || since > REST {
            let fresh = self.epoch.is_none();
            let epoch = self.epoch.unwrap_or_else(|| self.start_epoch(sample.now, window));
            self.epoch = Some(epoch);
            if fresh || since >= TICK {
                (self.last_window, self.last_time) = (window, clock);
                self.every = self.follow_curve(sample.now, &epoch, window);
            }
        }
        self.be_friendly(sample.acked, window);
        // The window grows by a half a round trip at most.
        self.every = self.every.max(2);
    }

    /// Segments to be acknowledged for each by which the window grows along the curve.
    //= RFC 9438 §4.4
    //= RFC 9438 §4.5
    //= RFC 9438 §4.4 MUST-1
    //= RFC 9438 §4.5 MUST-1
    fn follow_curve(&self, now: Instant, epoch: &Epoch, window: u32) -> u32 {
        let time = age(epoch.start, now) + Duration::from_micros(self.least_rtt.into());
        let time = u64::try_from((time.as_nanos() << 10) / 1_000_000_000).unwrap_or(u64::MAX);
        let k = u64::from(epoch.k);
        let distance = u128::from(time.abs_diff(k));
        let delta = (u128::from(GROWTH) * distance.saturating_pow(3)) >> GROWTH_SHIFT;
        let delta = u32::try_from(delta).unwrap_or(u32::MAX / 2);
        let target =
            if time < k { epoch.origin.saturating_sub(delta) } else { epoch.origin.saturating_add(delta) };
        let every = match target.checked_sub(window) {
            Some(above) if above > 0 => window / above,
            _ => window.saturating_mul(100),
        };
        if self.last_max == 0 { every.min(MOST_WITHOUT_HISTORY) } else { every }
    }

    /// Grows no slower than Reno would. Linux takes whole segments for the estimate, looks at it once in 28 milliseconds,
    /// and counts from the end of recovery, which leaves a path of 20 milliseconds with 78 % of what Reno has by the
    /// formula of the RFC. Here it has fractions, and the window is the whole number next to it.
    //= RFC 9438 §4.3
    fn be_friendly(&mut self, acked: u32, window: u32) {
        self.reno += ALPHA * u64::from(acked) / u64::from(window.max(1));
        let nearest = (self.reno + (1 << (FRACTION - 1))) >> FRACTION;
        let nearest = u32::try_from(nearest).unwrap_or(u32::MAX);
        if nearest > window {
            self.every = self.every.min(window / (nearest - window));
        }
    }
}

impl Default for Cubic {
    fn default() -> Self {
        Cubic::new()
    }
}

impl CongestionControl for Cubic {
    //= RFC 9438 §4.6
    //= RFC 9438 §4.7
    //= RFC 9438 §4.6 MUST-1
    fn threshold(&mut self, window: &Window) -> u32 {
        self.epoch = None;
        let size = u64::from(window.size);
        self.reno = ((size * BETA) << FRACTION) / BETA_SCALE;
        let converging = window.size < self.last_max;
        self.last_max =
            if converging { (size * (BETA_SCALE + BETA) / (2 * BETA_SCALE)) as u32 } else { window.size };
        Window::threshold((size * BETA / BETA_SCALE) as u32)
    }

    fn on_ack(&mut self, window: &mut Window, sample: &AckSample) {
        let mut sample = *sample;
        if window.in_slow_start() {
            sample.acked = window.grow_in_slow_start(sample.acked);
        }
        if sample.acked > 0 {
            self.look(&sample, window.size);
            window.grow_evenly(self.every, sample.acked);
        }
    }

    /// Reno's model knows no recovery: what is delivered in it lets the estimate grow.
    fn on_recovering(&mut self, window: &Window, acked: u32) {
        self.reno += ALPHA * u64::from(acked) / u64::from(window.ssthresh.max(1));
    }

    fn on_round_trip(&mut self, window: &mut Window, sample: &RttSample, counters: &mut Counters) {
        let settling = |epoch: Epoch| age(epoch.start, sample.now) < SETTLING;
        if self.epoch.is_some_and(settling) {
            return;
        }
        let micros = u32::try_from(sample.rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        self.least_rtt = if self.least_rtt == 0 { micros } else { self.least_rtt.min(micros) };
        let least = Duration::from_micros(self.least_rtt.into());
        self.hystart.on_round_trip(window, sample, least, counters);
    }

    /// Growth begins anew: the plateau of old proved to be too high.
    //= RFC 9438 §4.8
    fn on_timeout(&mut self) {
        *self = Cubic { hystart: self.hystart.anew(), ..Cubic::new() };
    }

    /// The curve stands still while nothing is sent.
    //= RFC 9438 §5.8
    //= RFC 9438 §4.2 MUST-1
    fn on_start(&mut self, _window: &mut Window, start: &Start) {
        if let Some(epoch) = &mut self.epoch {
            let idle = start.idle.min(age(epoch.start, start.now));
            epoch.start = epoch.start.wrapping_add(idle.as_millis() as u32);
        }
    }
}

fn millis_of(now: Instant) -> u32 {
    now.as_millis() as u32
}

/// How long ago it was `since`.
fn age(since: u32, now: Instant) -> Duration {
    Duration::from_millis(millis_of(now).wrapping_sub(since).into())
}

/// The largest number whose cube is not above `value`.
fn cube_root(value: u64) -> u32 {
    let mut root: u64 = 0;
    for bit in (0..=21).rev() {
        let tried = root | 1 << bit;
        if u128::from(tried).pow(3) <= value.into() {
            root = tried;
        }
    }
    root as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn at(size: u32) -> (Cubic, Window) {
        (Cubic::new(), Window { ssthresh: 0, ..Window::new(size) })
    }

    fn lose(cubic: &mut Cubic, window: &mut Window) {
        window.prior = window.size;
        window.ssthresh = cubic.threshold(window);
        window.size = window.ssthresh;
    }

    /// Windows acknowledged in tenths, one a round trip.
    fn run(cubic: &mut Cubic, window: &mut Window, from: Instant, rounds: u32, rtt: Duration) -> Instant {
        let mut now = from;
        for _ in 0..rounds {
            now += rtt;
            let acked = window.size.div_ceil(10);
            for _ in 0..10 {
                cubic.on_ack(window, &AckSample { now, acked });
            }
        }
        now
    }

    #[test]
    fn the_cube_root_is_exact() {
        for (value, root) in [(0, 0), (1, 1), (7, 1), (8, 2), (26, 2), (27, 3), (1 << 60, 1 << 20)] {
            assert_eq!(cube_root(value), root);
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    //= RFC 9293 MAY-18, type=test
    //= RFC 9438 §4.2, type=test
    //= RFC 9438 §4.4 MUST-1, type=test
    #[test]
    fn the_window_is_back_at_its_old_size_after_k_seconds() {
        let (mut cubic, mut window) = at(1000);
        lose(&mut cubic, &mut window);
        assert_eq!(window.size, 700);
        // K = cbrt(300 / 0.4) = 9.08 s
        let now = run(&mut cubic, &mut window, Instant::ZERO, 50, RTT);
        assert!((940..980).contains(&window.size), "{} at 5 s", window.size);
        run(&mut cubic, &mut window, now, 45, RTT);
        assert!((985..1015).contains(&window.size), "{} at 9.5 s", window.size);
    }

    //= RFC 9438 §4.5 MUST-1, type=test
    #[test]
    fn beyond_the_old_size_the_window_grows_along_the_curve() {
        let (mut cubic, mut window) = at(1000);
        lose(&mut cubic, &mut window);
        // 1000 + 0.4 * (15 - 9.08)^3 = 1083, and 1000 + 0.4 * (20 - 9.08)^3 = 1521
        let now = run(&mut cubic, &mut window, Instant::ZERO, 150, RTT);
        assert!((1070..=1100).contains(&window.size), "{} at 15 s", window.size);
        run(&mut cubic, &mut window, now, 50, RTT);
        assert!((1480..=1560).contains(&window.size), "{} at 20 s", window.size);
    }

    //= RFC 9438 §4.3, type=test
    #[test]
    fn on_a_short_path_it_grows_no_slower_than_reno() {
        let (mut cubic, mut window) = at(100);
        lose(&mut cubic, &mut window);
        assert_eq!(window.size, 70);
        let rounds = 40;
        let mut now = Instant::ZERO;
        for _ in 0..rounds {
            now += Duration::from_millis(5);
            let acked = window.size;
            cubic.on_ack(&mut window, &AckSample { now, acked });
        }
        // α is 0.53 segments a round trip.
        assert!((88..=92).contains(&window.size), "{} after {rounds} round trips", window.size);
    }

    //= RFC 9438 §4.3, type=test
    #[test]
    fn what_is_delivered_in_recovery_counts_for_renos_window() {
        let (mut cubic, mut window) = at(13);
        lose(&mut cubic, &mut window);
        // 13 β is 9.1; a round trip of recovery makes it 9.63, whose nearest is 10.
        cubic.on_recovering(&window, 9);
        let ack = |acked| AckSample { now: Instant::from_millis(20), acked };
        cubic.on_ack(&mut window, &ack(8));
        assert_eq!(window.size, 9, "as any window, it grows when it was acknowledged");
        cubic.on_ack(&mut window, &ack(1));
        assert_eq!(window.size, 10);
    }

    //= RFC 9438 §4.7, type=test
    #[test]
    fn a_second_loss_below_the_plateau_lowers_it() {
        let (mut cubic, mut window) = at(100);
        lose(&mut cubic, &mut window);
        assert_eq!(cubic.last_max, 100);
        lose(&mut cubic, &mut window);
        assert_eq!((cubic.last_max, window.size), (59, 49));
    }

    //= RFC 9438 §4.8, type=test
    #[test]
    fn after_a_timeout_the_old_plateau_is_forgotten() {
        let (mut cubic, mut window) = at(1000);
        window.ssthresh = cubic.threshold(&window);
        cubic.on_timeout();
        window.size = 1;
        let now = run(&mut cubic, &mut window, Instant::from_secs(1), 7, RTT);
        assert!((700..=740).contains(&window.size), "slow start has ended: {}", window.size);
        // As in Linux, a window without a history grows by a twentieth a round trip at least.
        run(&mut cubic, &mut window, now, 30, RTT);
        assert!((2700..3500).contains(&window.size), "{} after 3 s", window.size);
    }

    //= RFC 9438 §5.8, type=test
    //= RFC 9438 §4.2 MUST-1, type=test
    #[test]
    fn time_in_which_nothing_was_sent_does_not_count() {
        let (mut cubic, mut window) = at(100);
        lose(&mut cubic, &mut window);
        let now = run(&mut cubic, &mut window, Instant::ZERO, 10, RTT);
        let (mut other, mut pausing) = (cubic.clone(), window.clone());
        let pause = Duration::from_secs(30);
        let start = Start { now: now + pause, idle: pause, by_program: true, srtt: None, mss: 1000, dice: 0 };
        other.on_start(&mut pausing, &start);
        run(&mut cubic, &mut window, now, 10, RTT);
        run(&mut other, &mut pausing, now + pause, 10, RTT);
        assert!(pausing.size.abs_diff(window.size) <= 1, "{} and {}", pausing.size, window.size);
    }
}
