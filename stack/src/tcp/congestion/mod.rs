//! Congestion control: how much may be in flight. As in Linux it is counted in segments, for a segment in flight is
//! one whatever it holds, and peers see that. Each algorithm is a file that knows nothing of connections; what they
//! share is the [`Window`].

use core::time::Duration;

use crate::counters::Counters;
use crate::tcp::config::{CongestionKind, SlowStartExit};
use crate::tcp::recovery::Phase;
use crate::tcp::recovery::rate::RateSample;
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

mod bbr;
mod cubic;
mod hystart;
mod hystart_plus;
mod reno;
mod usage;
mod window;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use hystart::HyStart;
use hystart_plus::CubicPlus;
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

/// What an acknowledgement says to who models the path by it.
#[derive(Copy, Clone, Debug)]
pub struct Delivery {
    /// When it came.
    pub now: Instant,
    /// Segments delivered since the connection began.
    pub delivered: u32,
    /// Newly delivered segments.
    pub acked: u32,
    /// Segments held to be lost since the connection began.
    pub lost_total: u32,
    /// Segments newly held to be lost.
    pub lost: u32,
    /// Segments in flight before it.
    pub prior_in_flight: u32,
    /// Segments in flight after it.
    pub in_flight: u32,
    /// What is being done about losses.
    pub phase: Phase,
    /// How fast what it is for was delivered.
    pub rate: Option<RateSample>,
    /// The round trip of the last segment that it is for.
    pub rtt: Option<Duration>,
    /// Whether the peer may have put it off.
    pub late: bool,
    /// The smoothed round trip.
    pub srtt: Option<Duration>,
    /// Payload of a full segment, in bytes.
    pub mss: u32,
    /// When the pace lets the next segment go.
    pub due: Instant,
    /// A random number.
    pub dice: u32,
}

/// Something is sent after nothing was in flight.
#[derive(Copy, Clone, Debug)]
pub struct Start {
    /// When.
    pub now: Instant,
    /// How long ago the last was sent.
    pub idle: Duration,
    /// Whether it was the program that sent nothing.
    pub by_program: bool,
    /// The smoothed round trip.
    pub srtt: Option<Duration>,
    /// Payload of a full segment, in bytes.
    pub mss: u32,
    /// A random number.
    pub dice: u32,
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
    /// Whether it sets the window by itself, at each acknowledgement and in recovery too
    /// ([`on_delivery`](CongestionControl::on_delivery)).
    fn governs(&self) -> bool {
        false
    }
    /// New data was acknowledged while the window was what kept the sender from sending more.
    fn on_ack(&mut self, _window: &mut Window, _sample: &AckSample) {}
    /// Something was acknowledged, where the algorithm governs. Says whether the program is to count as what bounds the
    /// rate of what is in flight.
    fn on_delivery(&mut self, _window: &mut Window, _sample: &Delivery) -> bool {
        false
    }
    /// While the window comes down, `acked` segments were delivered.
    fn on_recovering(&mut self, _window: &Window, _acked: u32) {}
    /// A round trip was measured.
    fn on_round_trip(&mut self, _window: &mut Window, _sample: &RttSample, _counters: &mut Counters) {}
    /// The retransmission time-out passed.
    fn on_timeout(&mut self) {}
    /// Something is sent after nothing was in flight.
    fn on_start(&mut self, _window: &mut Window, _start: &Start) {}

    /// The connection is open, with a round trip of `srtt` if one was measured, and segments of `mss` bytes.
    fn on_open(&mut self, _window: &mut Window, _srtt: Option<Duration>, _mss: u32) {}
    /// The window, had the last reduction not been.
    fn undone(&mut self, window: &Window) -> u32 {
        window.size.max(window.prior)
    }
    /// Bytes a second at which to send, where the algorithm paces.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// Segments of a burst at the least, where that is its business.
    fn burst_least(&self) -> Option<u8> {
        None
    }
}

#[derive(Clone, Debug)]
enum Algorithm {
    Reno(Reno),
    Cubic(Cubic),
    CubicPlus(Box<CubicPlus>),
    Bbr(Box<Bbr>),
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

    /// Begins with a window of so many segments, where a route says so.
    pub fn begin_with(&mut self, segments: u32) {
        self.window.size = segments.clamp(1, UNLIMITED);
    }

    /// Leaves the first slow start by `exit`, where the algorithm is one that does before something is lost.
    pub fn leave_slow_start_by(&mut self, exit: SlowStartExit) {
        if let Algorithm::Cubic(_) = &self.algorithm {
            self.algorithm = match exit {
                SlowStartExit::Loss => Algorithm::Cubic(Cubic::without_hystart()),
                SlowStartExit::HyStart => Algorithm::Cubic(Cubic::new()),
                SlowStartExit::HyStartPlus => Algorithm::CubicPlus(Box::new(CubicPlus::new())),
            };
        }
    }

    /// Goes on as `kind`, with the window that it has.
    pub fn switch(&mut self, kind: CongestionKind) {
        self.algorithm = Algorithm::new(kind);
        if self.governs() {
            self.window.ssthresh = UNLIMITED;
        }
    }

    /// Whether the algorithm sets the window by itself.
    pub fn governs(&self) -> bool {
        self.inner().governs()
    }

    /// Something was acknowledged, where the algorithm governs. Says whether the program is to count as what bounds the
    /// rate of what is in flight.
    pub fn on_delivery(&mut self, sample: &Delivery) -> bool {
        self.algorithm.inner_mut().on_delivery(&mut self.window, sample)
    }

    /// Segments of a burst at the least, where that is the algorithm's business.
    pub fn burst_least(&self) -> Option<u8> {
        self.inner().burst_least()
    }

    /// What `TCP_CC_INFO` tells of the algorithm, as Linux's unions have it, with segments of `mss` bytes.
    pub fn info(&self, mss: u32) -> Option<[u32; 5]> {
        match &self.algorithm {
            Algorithm::Bbr(bbr) => Some(bbr.info(mss)),
            _ => None,
        }
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
        if self.window.ssthresh < UNLIMITED && !self.governs() {
            self.window.size = self.window.ssthresh;
        }
    }

    /// The last reduction was in error. `ssthresh` is what it was before.
    pub fn undo(&mut self, ssthresh: u32) {
        self.window.size = self.algorithm.inner_mut().undone(&self.window);
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
        self.usage.on_ack(sample.now);
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

    /// Something is sent after nothing was in flight.
    pub fn on_start(&mut self, start: &Start) {
        self.algorithm.inner_mut().on_start(&mut self.window, start);
    }

    /// The connection is open, with a round trip of `srtt` if one was measured, and segments of `mss` bytes.
    pub fn on_open(&mut self, srtt: Option<Duration>, mss: u32) {
        self.algorithm.inner_mut().on_open(&mut self.window, srtt, mss);
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
    /// the `initial` window.
    //= RFC 5681 §4.1
    pub fn on_idle(&mut self, now: Instant, idle: Duration, rto: Duration, initial: u32) {
        if self.governs() {
            return;
        }
        self.window.ssthresh = self.window.kept_threshold();
        let timeouts = idle.as_nanos().saturating_sub(1) / rto.as_nanos().max(1);
        let floor = self.window.size.min(initial);
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
            Algorithm::CubicPlus(cubic) => &**cubic,
            Algorithm::Bbr(bbr) => &**bbr,
        }
    }
}

impl Algorithm {
    fn new(kind: CongestionKind) -> Self {
        match kind {
            CongestionKind::Reno => Algorithm::Reno(Reno),
            CongestionKind::Cubic => Algorithm::Cubic(Cubic::new()),
            CongestionKind::Bbr => Algorithm::Bbr(Box::new(Bbr::new())),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn CongestionControl {
        match self {
            Algorithm::Reno(reno) => reno,
            Algorithm::Cubic(cubic) => cubic,
            Algorithm::CubicPlus(cubic) => &mut **cubic,
            Algorithm::Bbr(bbr) => &mut **bbr,
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
        congestion.on_idle(Instant::ZERO, Duration::from_millis(301), rto, INITIAL_WINDOW);
        assert_eq!((congestion.window(), congestion.ssthresh()), (50, 75), "slow start goes on for longer");
        congestion.on_idle(Instant::ZERO, Duration::from_secs(40), rto, INITIAL_WINDOW);
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
