//! Congestion control: how much may be in flight. As in Linux it is counted in segments, for a segment in flight is
//! one whatever it holds, and peers see that. Each algorithm is a file that knows nothing of connections; what they
//! share is the [`Window`].

use core::time::Duration;

use crate::counters::Counters;
use crate::tcp::config::CongestionKind;
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

mod cubic;
mod hystart;
mod reno;
mod usage;
mod window;

pub use cubic::Cubic;
pub use hystart::HyStart;
pub use reno::Reno;
pub use usage::{Flight, Usage};
pub use window::Window;

/// Segments of the initial window.
//= RFC 6928 §2
pub const INITIAL_WINDOW: u32 = 10;

/// The least `ssthresh`, in segments.
//= RFC 5681 §3.1
const MIN_SSTHRESH: u32 = 2;

/// Larger than any window; `ssthresh` before the first loss (Linux's `TCP_INFINITE_SSTHRESH`).
pub const UNLIMITED: u32 = 0x7fff_ffff;

/// What an acknowledgement of new data says.
#[derive(Copy, Clone, Debug)]
pub struct AckSample {
    /// When it came.
    pub now: Instant,
    /// Segments newly delivered.
    pub acked: u32,
}

/// A round trip, and where the connection stands.
#[derive(Copy, Clone, Debug)]
pub struct RttSample {
    /// When the acknowledgement came.
    pub now: Instant,
    /// The round trip of the last segment that it is for.
    pub rtt: Duration,
    /// SND.UNA, the acknowledgement taken.
    pub una: SeqNumber,
    /// SND.NXT.
    pub nxt: SeqNumber,
    /// For how long what is sent at a time keeps the link busy, at most a millisecond.
    pub burst: Duration,
    /// Whether the sender paces.
    pub paced: bool,
}

/// An algorithm.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, Reno, Window};
///
/// let mut window = Window::new(10);
/// assert_eq!(Reno.threshold(&window), 5);
/// ```
pub trait CongestionControl {
    /// Where slow start is to end after a loss, in segments; called once for each reduction.
    fn threshold(&mut self, window: &Window) -> u32;
    /// New data was acknowledged while the window was what kept the sender from sending more.
    fn on_ack(&mut self, window: &mut Window, sample: &AckSample);
    /// While the window comes down, `acked` segments were delivered.
    fn on_recovering(&mut self, _window: &Window, _acked: u32) {}
    /// A round trip was measured.
    fn on_round_trip(&mut self, _window: &mut Window, _sample: &RttSample, _counters: &mut Counters) {}
    /// The retransmission time-out passed.
    fn on_timeout(&mut self) {}
    /// Something is sent after nothing was in flight; the last was sent `idle` ago.
    fn on_start(&mut self, _now: Instant, _idle: Duration) {}
    /// The window, had the last reduction not been.
    fn undone(&self, window: &Window) -> u32 {
        window.size.max(window.prior)
    }
    /// Bytes a second at which to send, where the algorithm paces.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
}

#[derive(Clone, Debug)]
enum Algorithm {
    Reno(Reno),
    Cubic(Cubic),
}

/// The congestion control of one connection: an algorithm, and the window that it moves.
///
/// ```
/// use tapsock_stack::tcp::config::CongestionKind;
/// use tapsock_stack::tcp::congestion::Congestion;
///
/// let mut congestion = Congestion::new(CongestionKind::Cubic);
/// congestion.reduce();
/// assert_eq!((congestion.window(), congestion.ssthresh()), (10, 7));
/// congestion.finish_reduction();
/// assert_eq!(congestion.window(), 7);
/// ```
#[derive(Clone, Debug)]
pub struct Congestion {
    window: Window,
    algorithm: Algorithm,
    /// How much of the window is used.
    pub(crate) usage: Usage,
}

impl Congestion {
    /// The algorithm `kind`, with its initial window.
    pub fn new(kind: CongestionKind) -> Self {
        let window = Window::new(INITIAL_WINDOW);
        Congestion { window, algorithm: Algorithm::new(kind), usage: Usage::new() }
    }

    /// Goes on as `kind`, with the window that it has.
    pub fn switch(&mut self, kind: CongestionKind) {
        self.algorithm = Algorithm::new(kind);
    }

    /// Segments that may be in flight.
    pub fn window(&self) -> u32 {
        self.window.size
    }

    /// Sets how many segments may be in flight: while a recovery is going on, that is its business.
    pub fn set_window(&mut self, segments: u32) {
        self.window.size = segments.clamp(1, UNLIMITED);
    }

    /// Where slow start ends, in segments.
    pub fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    /// Whether the window doubles each round trip.
    pub fn in_slow_start(&self) -> bool {
        self.window.in_slow_start()
    }

    /// Bytes a second at which to send, where the algorithm paces.
    pub fn pacing_rate(&self) -> Option<u64> {
        self.inner().pacing_rate()
    }

    /// A reduction begins: the threshold is lowered, and the window is to follow.
    //= RFC 5681 §3.1
    //= RFC 5681 §3.1 MUST-8
    //= RFC 5681 §3.1 MUST-11
    //= RFC 5681 §3.2 MUST-3
    //= RFC 5681 §3.2 MUST-4
    //= RFC 5681 §4.3 MUST-1
    //= RFC 2018 §5.1 MUST-2
    pub fn reduce(&mut self) {
        self.window.prior = self.window.size;
        self.window.credit = 0;
        let Congestion { window, algorithm, .. } = self;
        window.ssthresh = algorithm.inner_mut().threshold(window);
    }

    /// The window before the last reduction.
    pub fn prior_window(&self) -> u32 {
        self.window.prior
    }

    /// A reduction ends: the window is at the threshold.
    //= RFC 5681 §3.2 MUST-7
    //= RFC 5681 §4.3 MUST-3
    pub fn finish_reduction(&mut self) {
        if self.window.ssthresh < UNLIMITED {
            self.window.size = self.window.ssthresh;
        }
    }

    /// The last reduction was in error. `ssthresh` is what it was before.
    pub fn undo(&mut self, ssthresh: u32) {
        self.window.size = self.inner().undone(&self.window);
        self.window.ssthresh = self.window.ssthresh.max(ssthresh);
    }

    /// The retransmission time-out passed, with `in_flight` segments not held to be lost: one more may be sent.
    //= RFC 5681 §3.1
    //= RFC 5681 §3.1 MUST-12
    pub fn on_timeout(&mut self, in_flight: u32) {
        self.window.credit = 0;
        self.set_window(in_flight + 1);
        self.algorithm.inner_mut().on_timeout();
    }

    /// The SYN, or its answer, had to be sent again: the initial window is one segment.
    //= RFC 5681 §3.1
    //= RFC 5681 §3.1 MUST-7
    pub fn on_lost_syn(&mut self) {
        self.window.size = 1;
    }

    /// New data was acknowledged, outside of recovery.
    //= RFC 9438 §5.8
    pub fn on_ack(&mut self, sample: &AckSample) {
        if self.usage.is_limited(&self.window) {
            self.algorithm.inner_mut().on_ack(&mut self.window, sample);
        }
    }

    /// While the window comes down, `acked` segments were delivered.
    pub fn on_recovering(&mut self, acked: u32) {
        self.algorithm.inner_mut().on_recovering(&self.window, acked);
    }

    /// A round trip was measured.
    pub fn on_round_trip(&mut self, sample: &RttSample, counters: &mut Counters) {
        self.algorithm.inner_mut().on_round_trip(&mut self.window, sample, counters);
    }

    /// Something is sent after nothing was in flight; the last was sent `idle` ago.
    pub fn on_start(&mut self, now: Instant, idle: Duration) {
        self.algorithm.inner_mut().on_start(now, idle);
    }

    /// What was sent is `flight`, and whether the window kept the sender from sending more, `full`.
    pub fn note_use(&mut self, flight: &Flight, full: bool) {
        self.usage.note(&mut self.window, flight, full);
    }

    /// The threshold that is kept where the path's capacity is forgotten: three quarters of the window, so that it is
    /// soon back there, as in Linux.
    pub fn kept_threshold(&self) -> u32 {
        self.window.kept_threshold()
    }

    /// Nothing was sent for `idle`: the window is halved for each time-out of `rto` but the first, though not below
    /// the initial window.
    //= RFC 5681 §4.1
    pub fn on_idle(&mut self, now: Instant, idle: Duration, rto: Duration) {
        self.window.ssthresh = self.window.kept_threshold();
        let timeouts = idle.as_nanos().saturating_sub(1) / rto.as_nanos().max(1);
        let floor = self.window.size.min(INITIAL_WINDOW);
        let halvings = u32::try_from(timeouts).unwrap_or(u32::MAX);
        self.window.size = self.window.size.checked_shr(halvings).unwrap_or(0).max(floor);
        self.usage.restart(now);
    }

    /// What was lost was not lost for want of room: the window stays, and slow start ends soon after it.
    pub fn keep_threshold(&mut self) {
        self.window.ssthresh = self.window.kept_threshold();
    }

    fn inner(&self) -> &dyn CongestionControl {
        match &self.algorithm {
            Algorithm::Reno(reno) => reno,
            Algorithm::Cubic(cubic) => cubic,
        }
    }
}

impl Algorithm {
    fn new(kind: CongestionKind) -> Self {
        match kind {
            CongestionKind::Reno => Algorithm::Reno(Reno),
            CongestionKind::Cubic => Algorithm::Cubic(Cubic::new()),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn CongestionControl {
        match self {
            Algorithm::Reno(reno) => reno,
            Algorithm::Cubic(cubic) => cubic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_algorithm_goes_on_with_the_window() {
        let mut congestion = Congestion::new(CongestionKind::Cubic);
        congestion.reduce();
        congestion.finish_reduction();
        congestion.switch(CongestionKind::Reno);
        assert_eq!((congestion.window(), congestion.ssthresh()), (7, 7));
        congestion.reduce();
        assert_eq!(congestion.ssthresh(), 3, "Reno's half");
    }

    //= RFC 5681 §4.1, type=test
    #[test]
    fn idle_time_decays_to_the_initial_window() {
        let mut congestion = Congestion::new(CongestionKind::Reno);
        congestion.set_window(100);
        congestion.window.ssthresh = 60;
        let rto = Duration::from_millis(300);
        congestion.on_idle(Instant::ZERO, Duration::from_millis(301), rto);
        assert_eq!((congestion.window(), congestion.ssthresh()), (50, 75), "slow start goes on for longer");
        congestion.on_idle(Instant::ZERO, Duration::from_secs(40), rto);
        assert_eq!(congestion.window(), 10);
    }

    #[test]
    fn an_undone_reduction_leaves_what_was_before() {
        let mut congestion = Congestion::new(CongestionKind::Cubic);
        congestion.reduce();
        congestion.on_timeout(3);
        assert_eq!((congestion.window(), congestion.ssthresh()), (4, 7));
        congestion.undo(UNLIMITED);
        assert_eq!((congestion.window(), congestion.ssthresh()), (10, UNLIMITED));
    }
}
