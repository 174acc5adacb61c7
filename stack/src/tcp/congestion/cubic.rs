//! CUBIC (RFC 9438).

use crate::time::Instant;

use super::{
    AckSample, CongestionControl, INITIAL_WINDOW, Limit, MIN_SSTHRESH, Reduction, UNLIMITED, decayed,
    idle_threshold,
};

/// How aggressively the window grows, in segments per second cubed.
//= RFC 9438 §5
const C: f64 = 0.4;
/// What a loss leaves of the window. Linux's 717/1024.
//= RFC 9438 §4.6
const BETA: f64 = 717.0 / 1024.0;
/// Growth of the Reno-friendly estimate, in segments a round trip.
//= RFC 9438 §4.3
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The window grows as a cubic function of the time since the last loss, but no slower than Reno's.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, Cubic};
/// use tapsock_stack::time::Instant;
///
/// let mut cubic = Cubic::new(1000);
/// cubic.on_congestion(Instant::ZERO);
/// assert_eq!(cubic.window(), 7001);
/// ```
#[derive(Clone, Debug)]
pub struct Cubic {
    window: u32,
    ssthresh: u32,
    mss: u32,
    /// Fractions of a byte by which the window will grow.
    credit: f64,
    /// The window before the last loss, in segments.
    w_max: f64,
    epoch: Option<Epoch>,
    prior: Prior,
}

/// One growth between losses.
#[derive(Copy, Clone, Debug)]
struct Epoch {
    start: Instant,
    /// When the last acknowledgement came.
    heard: Instant,
    /// Seconds until the window is back at `origin`.
    k: f64,
    /// The plateau, in segments.
    origin: f64,
    /// What Reno's window would be by now, in segments.
    w_est: f64,
}

/// The state before the last reduction.
#[derive(Copy, Clone, Debug)]
struct Prior {
    window: u32,
    ssthresh: u32,
    w_max: f64,
}

impl Cubic {
    /// The algorithm at its initial window.
    pub fn new(mss: u32) -> Self {
        let window = INITIAL_WINDOW * mss;
        let prior = Prior { window, ssthresh: UNLIMITED, w_max: 0.0 };
        Cubic { window, ssthresh: UNLIMITED, mss, credit: 0.0, w_max: 0.0, epoch: None, prior }
    }

    fn segments(&self) -> f64 {
        f64::from(self.window) / f64::from(self.mss)
    }

    //= RFC 9438 §4.2
    fn start_epoch(&self, now: Instant) -> Epoch {
        let window = self.segments();
        let (origin, k) = if window < self.w_max {
            (self.w_max, ((self.w_max - window) / C).cbrt())
        } else {
            (window, 0.0)
        };
        Epoch { start: now, heard: now, k, origin, w_est: window }
    }

    /// Takes time in which the window was no bound out of the growth: what the program did not send, and pauses of
    /// more than a round trip.
    //= RFC 9438 §5.8
    fn pass(&mut self, sample: &AckSample) {
        let Some(epoch) = &mut self.epoch else { return };
        let since = sample.now.saturating_since(epoch.heard);
        epoch.heard = sample.now;
        epoch.start += match sample.limit {
            Limit::Other => since,
            Limit::Congestion => since.saturating_sub(sample.srtt.unwrap_or(since)),
        };
    }

    //= RFC 9438 §4.4
    //= RFC 9438 §4.5
    fn avoid_congestion(&mut self, sample: &AckSample) {
        let window = self.segments();
        let mut epoch = self.epoch.unwrap_or_else(|| self.start_epoch(sample.now));
        let acked = f64::from(sample.acked) / f64::from(self.mss);
        let prior = f64::from(self.prior.window) / f64::from(self.mss);
        let alpha = if epoch.w_est < prior { ALPHA } else { 1.0 };
        epoch.w_est += alpha * acked / window;
        self.epoch = Some(epoch);

        let srtt = sample.srtt.map_or(0.0, |srtt| srtt.as_secs_f64());
        let t = sample.now.saturating_since(epoch.start).as_secs_f64() + srtt;
        let cubic = (C * (t - epoch.k).powi(3) + epoch.origin).min(1.5 * window);
        let growth = if cubic > window { (cubic - window) / window } else { 0.01 / window };
        let friendly = (epoch.w_est - window).max(0.0);
        self.credit += (growth * acked).max(friendly) * f64::from(self.mss);
        let whole = self.credit.floor().min(f64::from(UNLIMITED - self.window));
        self.credit -= whole;
        self.window += whole as u32;
    }

    //= RFC 9438 §4.6
    //= RFC 9438 §4.7
    fn reduce(&mut self) {
        self.prior = Prior { window: self.window, ssthresh: self.ssthresh, w_max: self.w_max };
        let window = self.segments();
        self.w_max = if window < self.w_max { window * (1.0 + BETA) / 2.0 } else { window };
        self.ssthresh = ((f64::from(self.window) * BETA) as u32).max(MIN_SSTHRESH * self.mss);
        self.epoch = None;
        self.credit = 0.0;
    }
}

impl CongestionControl for Cubic {
    fn window(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.pass(sample);
        if sample.limit == Limit::Other {
            return;
        }
        let mut sample = *sample;
        if self.window < self.ssthresh {
            let growth = sample.acked.min(self.ssthresh - self.window);
            self.window += growth;
            sample.acked -= growth;
        }
        if sample.acked > 0 && self.window < UNLIMITED {
            self.avoid_congestion(&sample);
        }
    }

    fn on_congestion(&mut self, _now: Instant) {
        self.reduce();
        self.window = self.ssthresh;
    }

    fn on_lost_syn(&mut self) {
        self.window = self.mss;
    }

    /// Growth begins anew: the plateau of old proved to be too high.
    //= RFC 9438 §4.8
    fn on_rto(&mut self, _now: Instant, reduction: Reduction) {
        if reduction == Reduction::Due {
            self.reduce();
        }
        self.window = self.mss;
        self.w_max = 0.0;
        self.epoch = None;
    }

    fn undo(&mut self) {
        self.window = self.window.max(self.prior.window);
        self.ssthresh = self.ssthresh.max(self.prior.ssthresh);
        self.w_max = self.prior.w_max;
        self.epoch = None;
    }

    fn on_idle(&mut self, timeouts: u32) {
        self.ssthresh = idle_threshold(self.ssthresh, self.window);
        self.window = decayed(self.window, timeouts, self.mss);
        self.epoch = None;
    }

    fn resume(&mut self, window: u32, ssthresh: u32) {
        (self.window, self.ssthresh) = (window, ssthresh);
    }

    fn set_mss(&mut self, mss: u32) {
        self.window = (self.window / self.mss).max(1) * mss;
        self.mss = mss;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn run(cubic: &mut Cubic, from: Instant, rounds: u32, rtt: Duration) -> Instant {
        let mut now = from;
        for _ in 0..rounds {
            now += rtt;
            let acked = cubic.window();
            for _ in 0..10 {
                let acked = acked / 10;
                let sample = AckSample { now, acked, srtt: Some(rtt), limit: Limit::Congestion };
                cubic.on_ack(&sample);
            }
        }
        now
    }

    //= RFC 9293 MAY-18, type=test
    //= RFC 9438 §4.2, type=test
    #[test]
    fn the_window_is_back_at_its_old_size_after_k_seconds() {
        let mut cubic = Cubic::new(1000);
        cubic.ssthresh = 0;
        cubic.window = 1_000_000;
        cubic.on_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 700_195);
        // K = cbrt((1000 - 700.195) / 0.4) = 9.08 s
        let now = run(&mut cubic, Instant::ZERO, 50, Duration::from_millis(100));
        assert!((900_000..990_000).contains(&cubic.window()), "{} at 5 s", cubic.window());
        run(&mut cubic, now, 45, Duration::from_millis(100));
        assert!((985_000..1_015_000).contains(&cubic.window()), "{} at 9.5 s", cubic.window());
    }

    //= RFC 9438 §4.3, type=test
    #[test]
    fn on_a_short_path_it_grows_no_slower_than_reno() {
        let mut cubic = Cubic::new(1000);
        cubic.ssthresh = 0;
        cubic.window = 20_000;
        cubic.on_congestion(Instant::ZERO);
        let start = cubic.window();
        run(&mut cubic, Instant::ZERO, 20, Duration::from_millis(1));
        let grown = f64::from(cubic.window() - start) / 1000.0;
        assert!((9.0..16.0).contains(&grown), "grew by {grown} segments in 20 round trips");
    }

    //= RFC 9438 §4.7, type=test
    #[test]
    fn a_second_loss_below_the_plateau_lowers_it() {
        let mut cubic = Cubic::new(1000);
        cubic.window = 100_000;
        cubic.on_congestion(Instant::ZERO);
        assert!((cubic.w_max - 100.0).abs() < 0.1);
        cubic.on_congestion(Instant::ZERO);
        assert!(cubic.w_max < 61.0);
    }

    //= RFC 9438 §4.8, type=test
    #[test]
    fn after_a_timeout_the_old_plateau_is_forgotten() {
        let mut cubic = Cubic::new(1000);
        let rtt = Duration::from_millis(100);
        run(&mut cubic, Instant::ZERO, 7, rtt);
        assert_eq!(cubic.window(), 1_280_000);
        cubic.on_rto(Instant::from_secs(1), Reduction::Due);
        assert_eq!((cubic.window(), cubic.ssthresh()), (1000, 896_250));
        let now = run(&mut cubic, Instant::from_secs(1), 10, rtt);
        assert!((896_250..897_000).contains(&cubic.window()), "slow start has ended: {}", cubic.window());
        // With K = 0 the window grows by 0.4 segments times the cube of the seconds.
        run(&mut cubic, now, 30, rtt);
        assert!((905_000..925_000).contains(&cubic.window()), "{} after 3 s", cubic.window());
        cubic.undo();
        assert_eq!(cubic.window(), 1_280_000);
    }

    //= RFC 9438 §5.8, type=test
    #[test]
    fn time_without_need_of_the_window_does_not_count() {
        let rtt = Duration::from_millis(100);
        let mut busy = Cubic::new(1000);
        busy.ssthresh = 0;
        busy.window = 100_000;
        busy.on_congestion(Instant::ZERO);
        let (mut trickling, mut pausing) = (busy.clone(), busy.clone());

        let now = run(&mut busy, Instant::ZERO, 20, rtt);
        run(&mut trickling, Instant::ZERO, 20, rtt);
        run(&mut pausing, Instant::ZERO, 20, rtt);
        let later = now + Duration::from_secs(30);
        let mut at = now;
        while at < later {
            at += rtt;
            let limit = Limit::Other;
            trickling.on_ack(&AckSample { now: at, acked: 1000, srtt: Some(rtt), limit });
        }

        run(&mut busy, now, 10, rtt);
        run(&mut trickling, at, 10, rtt);
        run(&mut pausing, later, 10, rtt);
        assert!(trickling.window().abs_diff(busy.window()) <= 1000, "{trickling:?} {busy:?}");
        assert!(pausing.window().abs_diff(busy.window()) <= 2000, "{pausing:?} {busy:?}");
    }

    #[test]
    fn a_timeout_in_fast_recovery_reduces_no_further() {
        let mut cubic = Cubic::new(1000);
        cubic.on_congestion(Instant::ZERO);
        cubic.on_rto(Instant::ZERO, Reduction::Done);
        assert_eq!((cubic.window(), cubic.ssthresh()), (1000, 7001));
    }

    #[test]
    fn after_an_idle_time_slow_start_goes_on_for_longer() {
        let mut cubic = Cubic::new(1000);
        (cubic.window, cubic.ssthresh) = (100_000, 40_000);
        cubic.on_idle(2);
        assert_eq!((cubic.window(), cubic.ssthresh()), (25_000, 75_000));
    }
}
