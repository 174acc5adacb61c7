//! How much of the congestion window is used: a window that nobody fills proves nothing, so it does not grow, and
//! after a while it is forgotten.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

use super::Window;

/// How much is in flight, and what decides about the window where it is not filled.
#[derive(Copy, Clone, Debug)]
pub struct Flight {
    /// When it was sent.
    pub now: Instant,
    /// Segments sent and not acknowledged.
    pub outstanding: u32,
    /// SND.UNA.
    pub una: SeqNumber,
    /// SND.NXT.
    pub nxt: SeqNumber,
    /// After how long a window that is not used is lowered; `None`: never.
    pub patience: Option<Duration>,
    /// The window of the beginning, below which none is lowered, in segments.
    pub initial: u32,
}

/// Whether the congestion window is what keeps the sender from sending more, as Linux tells it.
///
/// ```
/// use tapsock_stack::tcp::congestion::{Usage, Window};
///
/// assert!(!Usage::new().is_limited(&Window::new(10)));
/// ```
#[derive(Clone, Debug)]
pub struct Usage {
    /// Whether it did in this flight.
    limited: bool,
    /// The most segments in this flight.
    most: u32,
    /// The end of this flight.
    end: SeqNumber,
    /// The most segments in flight since the window was last known to be needed.
    used: u32,
    /// When that was, in milliseconds that wrap around.
    since: u32,
}

impl Usage {
    /// Nothing sent yet.
    pub const fn new() -> Self {
        Usage { limited: false, most: 0, end: SeqNumber::new(0), used: 0, since: 0 }
    }

    /// Begins at `start`, SND.NXT.
    pub fn begin(&mut self, now: Instant, start: SeqNumber) {
        (self.end, self.since) = (start, millis_of(now));
    }

    /// Whether the window may grow. As Linux: in slow start up to twice of what was used.
    //= RFC 9438 §4.6 MUST-2
    pub fn is_limited(&self, window: &Window) -> bool {
        self.limited || window.in_slow_start() && window.size < self.most.saturating_mul(2)
    }

    /// Something was sent, and the window is `full`, or not.
    pub(super) fn note(&mut self, window: &mut Window, flight: &Flight, full: bool) {
        let next_flight = flight.una.at_or_after(self.end);
        if next_flight || full || !self.limited && flight.outstanding > self.most {
            (self.limited, self.most, self.end) = (full, flight.outstanding, flight.nxt);
        }
        if self.is_limited(window) {
            self.restart(flight.now);
            return;
        }
        self.used = self.used.max(flight.outstanding);
        let unused = millis_of(flight.now).wrapping_sub(self.since);
        let unused = Duration::from_millis(unused.into());
        if flight.patience.is_some_and(|patience| unused >= patience) {
            self.lower(window, flight);
        }
    }

    /// New data was acknowledged. As Linux: whatever the window is used for, that puts off when it is lowered.
    pub(super) fn on_ack(&mut self, now: Instant) {
        self.since = millis_of(now);
    }

    /// The program, or the peer's window, was the limit for a time-out in which nothing was acknowledged: the window goes
    /// half the way to what was used.
    fn lower(&mut self, window: &mut Window, flight: &Flight) {
        let used = self.used.max(flight.initial);
        if used < window.size {
            window.ssthresh = window.kept_threshold();
            window.size = window.size.midpoint(used);
        }
        self.restart(flight.now);
    }

    /// What was used so far does not count.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.used, self.since) = (0, millis_of(now));
    }
}

fn millis_of(now: Instant) -> u32 {
    now.as_millis() as u32
}

impl Default for Usage {
    fn default() -> Self {
        Usage::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(millis: u64, outstanding: u32, una: u32, nxt: u32) -> Flight {
        let (una, nxt) = (SeqNumber::new(una), SeqNumber::new(nxt));
        let patience = Some(Duration::from_millis(300));
        let initial = super::super::INITIAL_WINDOW;
        Flight { now: Instant::from_millis(millis), outstanding, una, nxt, patience, initial }
    }

    //= RFC 9438 §4.6 MUST-2, type=test
    #[test]
    fn in_slow_start_the_window_grows_to_twice_of_what_was_used() {
        let (mut usage, mut window) = (Usage::new(), Window::new(10));
        usage.note(&mut window, &flight(0, 6, 0, 6000), false);
        assert!(usage.is_limited(&window));
        window.size = 12;
        assert!(!usage.is_limited(&window));
        window = Window { ssthresh: 5, ..Window::new(10) };
        assert!(!usage.is_limited(&window), "only slow start is so generous");
        usage.note(&mut window, &flight(0, 10, 0, 10_000), true);
        assert!(usage.is_limited(&window));
        usage.note(&mut window, &flight(0, 3, 5000, 11_000), false);
        assert!(usage.is_limited(&window), "for the rest of this flight");
        usage.note(&mut window, &flight(0, 3, 10_000, 12_000), false);
        assert!(!usage.is_limited(&window));
    }

    //= RFC 9293 §3.8.6, type=test
    //= RFC 9438 §4.6 MUST-2, type=test
    #[test]
    fn a_window_that_is_not_used_is_lowered_after_a_time_out() {
        let (mut usage, mut window) = (Usage::new(), Window { ssthresh: 20, ..Window::new(40) });
        usage.note(&mut window, &flight(10, 3, 0, 3000), false);
        assert_eq!(window.size, 40, "{usage:?}");
        usage.note(&mut window, &flight(311, 4, 3000, 7000), false);
        assert_eq!((window.size, window.ssthresh), (25, 30));
        usage.note(&mut window, &flight(600, 4, 7000, 9000), false);
        assert_eq!(window.size, 25, "not before another time-out");
    }
}
