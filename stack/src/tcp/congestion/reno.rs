//! Reno (RFC 5681).

use crate::time::Instant;

use super::{
    AckSample, CongestionControl, INITIAL_WINDOW, Limit, MIN_SSTHRESH, Reduction, UNLIMITED, decayed,
    idle_threshold,
};

/// Additive increase of one segment a round trip, multiplicative decrease to a half.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, Reduction, Reno};
/// use tapsock_stack::time::Instant;
///
/// let mut reno = Reno::new(1460);
/// reno.on_rto(Instant::ZERO, Reduction::Due);
/// assert_eq!(reno.window(), 1460);
/// reno.undo();
/// assert_eq!(reno.window(), 14_600);
/// ```
#[derive(Clone, Debug)]
pub struct Reno {
    window: u32,
    ssthresh: u32,
    mss: u32,
    /// Bytes acknowledged since the window grew last.
    credit: u32,
    prior: (u32, u32),
}

impl Reno {
    /// The algorithm at its initial window.
    pub fn new(mss: u32) -> Self {
        let window = INITIAL_WINDOW * mss;
        Reno { window, ssthresh: UNLIMITED, mss, credit: 0, prior: (window, UNLIMITED) }
    }

    fn reduce(&mut self) {
        self.prior = (self.window, self.ssthresh);
        self.ssthresh = (self.window / 2).max(MIN_SSTHRESH * self.mss);
        self.credit = 0;
    }
}

impl CongestionControl for Reno {
    fn window(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    //= RFC 5681 §3.1
    fn on_ack(&mut self, sample: &AckSample) {
        if sample.limit == Limit::Other {
            return;
        }
        let mut acked = sample.acked;
        if self.window < self.ssthresh {
            let growth = acked.min(self.ssthresh - self.window);
            self.window += growth;
            acked -= growth;
        }
        self.credit = self.credit.saturating_add(acked);
        while self.window >= self.ssthresh && self.credit >= self.window && self.window < UNLIMITED {
            self.credit -= self.window;
            self.window += self.mss;
        }
    }

    fn on_congestion(&mut self, _now: Instant) {
        self.reduce();
        self.window = self.ssthresh;
    }

    fn on_lost_syn(&mut self) {
        self.window = self.mss;
    }

    fn on_rto(&mut self, _now: Instant, reduction: Reduction) {
        if reduction == Reduction::Due {
            self.reduce();
        }
        self.window = self.mss;
    }

    fn undo(&mut self) {
        self.window = self.window.max(self.prior.0);
        self.ssthresh = self.ssthresh.max(self.prior.1);
    }

    fn on_idle(&mut self, timeouts: u32) {
        self.ssthresh = idle_threshold(self.ssthresh, self.window);
        self.window = decayed(self.window, timeouts, self.mss);
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
    use super::*;

    fn ack(acked: u32) -> AckSample {
        AckSample { now: Instant::ZERO, acked, srtt: None, limit: Limit::Congestion }
    }

    //= RFC 5681 §3.1, type=test
    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_segment_a_round_trip() {
        let mut reno = Reno::new(1000);
        reno.on_ack(&ack(10_000));
        assert_eq!(reno.window(), 20_000);
        reno.on_congestion(Instant::ZERO);
        assert_eq!(reno.window(), 10_000);
        for _ in 0..10 {
            reno.on_ack(&ack(1000));
        }
        assert_eq!(reno.window(), 11_000);
        reno.on_ack(&AckSample { limit: Limit::Other, ..ack(50_000) });
        assert_eq!(reno.window(), 11_000);
    }

    #[test]
    fn slow_start_ends_exactly_at_ssthresh() {
        let mut reno = Reno::new(1000);
        reno.on_rto(Instant::ZERO, Reduction::Due);
        assert_eq!((reno.window(), reno.ssthresh()), (1000, 5000));
        reno.on_ack(&ack(3000));
        reno.on_ack(&ack(3000));
        assert_eq!(reno.window(), 5000);
    }

    #[test]
    fn idle_time_decays_to_the_initial_window() {
        let mut reno = Reno::new(1000);
        reno.on_ack(&ack(90_000));
        reno.ssthresh = 60_000;
        reno.on_idle(1);
        assert_eq!((reno.window(), reno.ssthresh()), (50_000, 75_000), "slow start goes on for longer");
        reno.on_idle(40);
        assert_eq!(reno.window(), 10_000);
    }
}
