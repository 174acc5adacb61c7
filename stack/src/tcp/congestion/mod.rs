//! Congestion control: how much may be in flight. Each algorithm counts bytes and knows nothing of connections.

use core::time::Duration;

use crate::tcp::config::CongestionKind;
use crate::time::Instant;

mod cubic;
mod reno;

pub use cubic::Cubic;
pub use reno::Reno;

/// Segments of the initial window.
//= RFC 6928 §2
pub const INITIAL_WINDOW: u32 = 10;

/// The least `ssthresh`, in segments.
//= RFC 5681 §3.1
const MIN_SSTHRESH: u32 = 2;

/// Larger than any window; `ssthresh` before the first loss.
const UNLIMITED: u32 = u32::MAX / 2;

/// What an acknowledgement of new data says.
#[derive(Copy, Clone, Debug)]
pub struct AckSample {
    /// When it came.
    pub now: Instant,
    /// Bytes newly acknowledged.
    pub acked: u32,
    /// The smoothed round trip.
    pub srtt: Option<Duration>,
    /// What kept the sender from sending more.
    pub limit: Limit,
}

/// What keeps a sender from sending more.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    /// The congestion window: it may grow.
    Congestion,
    /// The application or the peer's window: growing would prove nothing.
    Other,
}

/// Whether a time-out lowers `ssthresh`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Reduction {
    /// It does: nothing has since what is in flight was sent.
    Due,
    /// Fast recovery has done so for what is in flight.
    Done,
}

/// An algorithm.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, INITIAL_WINDOW, Reno};
/// use tapsock_stack::time::Instant;
///
/// let mut reno = Reno::new(1000);
/// assert_eq!(reno.window(), INITIAL_WINDOW * 1000);
/// reno.on_congestion(Instant::ZERO);
/// assert_eq!((reno.window(), reno.ssthresh()), (5000, 5000));
/// ```
pub trait CongestionControl {
    /// Bytes that may be in flight.
    fn window(&self) -> u32;
    /// Where slow start ends, in bytes.
    fn ssthresh(&self) -> u32;
    /// Bytes a second at which to send, where the algorithm paces.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// New data was acknowledged outside of recovery.
    fn on_ack(&mut self, sample: &AckSample);
    /// A loss was found: once for each recovery.
    fn on_congestion(&mut self, now: Instant);
    /// The SYN, or its answer, had to be sent again: the initial window is one segment.
    //= RFC 5681 §3.1
    fn on_lost_syn(&mut self);
    /// The retransmission time-out passed: the window is one segment, and the threshold lower where that is due.
    fn on_rto(&mut self, now: Instant, reduction: Reduction);
    /// What the last reduction took was taken in error.
    fn undo(&mut self);
    /// Nothing was sent for `timeouts` time-outs.
    fn on_idle(&mut self, timeouts: u32);
    /// Goes on where another algorithm stood.
    fn resume(&mut self, window: u32, ssthresh: u32);
    /// The size of a segment has changed.
    fn set_mss(&mut self, mss: u32);
}

/// The algorithm of one connection.
#[derive(Clone, Debug)]
pub enum Congestion {
    /// RFC 5681.
    Reno(Reno),
    /// RFC 9438.
    Cubic(Cubic),
}

impl Congestion {
    /// The algorithm `kind`, with its initial window.
    pub fn new(kind: CongestionKind, mss: u32) -> Self {
        match kind {
            CongestionKind::Reno => Congestion::Reno(Reno::new(mss)),
            CongestionKind::Cubic => Congestion::Cubic(Cubic::new(mss)),
        }
    }

    /// Goes on as `kind`, with the window that it has.
    pub fn switch(&mut self, kind: CongestionKind, mss: u32) {
        let (window, ssthresh) = (self.window(), self.ssthresh());
        *self = Congestion::new(kind, mss);
        self.resume(window, ssthresh);
    }

    fn inner(&self) -> &dyn CongestionControl {
        match self {
            Congestion::Reno(reno) => reno,
            Congestion::Cubic(cubic) => cubic,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn CongestionControl {
        match self {
            Congestion::Reno(reno) => reno,
            Congestion::Cubic(cubic) => cubic,
        }
    }
}

impl CongestionControl for Congestion {
    fn window(&self) -> u32 {
        self.inner().window()
    }

    fn ssthresh(&self) -> u32 {
        self.inner().ssthresh()
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.inner().pacing_rate()
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.inner_mut().on_ack(sample);
    }

    fn on_congestion(&mut self, now: Instant) {
        self.inner_mut().on_congestion(now);
    }

    fn on_lost_syn(&mut self) {
        self.inner_mut().on_lost_syn();
    }

    fn on_rto(&mut self, now: Instant, reduction: Reduction) {
        self.inner_mut().on_rto(now, reduction);
    }

    fn undo(&mut self) {
        self.inner_mut().undo();
    }

    fn on_idle(&mut self, timeouts: u32) {
        self.inner_mut().on_idle(timeouts);
    }

    fn resume(&mut self, window: u32, ssthresh: u32) {
        self.inner_mut().resume(window, ssthresh);
    }

    fn set_mss(&mut self, mss: u32) {
        self.inner_mut().set_mss(mss);
    }
}

/// Where slow start ends after an idle time: as in Linux, at three quarters of what the window was, so that it is soon
/// back there.
fn idle_threshold(ssthresh: u32, window: u32) -> u32 {
    ssthresh.max(window / 2 + window / 4)
}

/// The window after `timeouts` idle time-outs: halved for each, but not below the initial window.
//= RFC 5681 §4.1
fn decayed(window: u32, timeouts: u32, mss: u32) -> u32 {
    let floor = window.min(INITIAL_WINDOW * mss);
    window.checked_shr(timeouts).unwrap_or(0).max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_algorithm_goes_on_with_the_window() {
        for (from, to) in
            [(CongestionKind::Cubic, CongestionKind::Reno), (CongestionKind::Reno, CongestionKind::Cubic)]
        {
            let mut congestion = Congestion::new(from, 1000);
            congestion.on_congestion(Instant::ZERO);
            let before = (congestion.window(), congestion.ssthresh());
            congestion.switch(to, 1000);
            assert_eq!((congestion.window(), congestion.ssthresh()), before);
        }
    }
}
