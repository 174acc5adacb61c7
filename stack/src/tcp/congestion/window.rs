//! The congestion window itself, and how it grows where nothing more is asked of it.

use super::{MIN_SSTHRESH, UNLIMITED};

/// The window and its threshold, in segments.
///
/// ```
/// use tapsock_stack::tcp::congestion::Window;
///
/// let mut window = Window::new(10);
/// assert_eq!(window.grow_in_slow_start(4), 0);
/// assert_eq!(window.size, 14);
/// window.grow_evenly(7, 14);
/// assert_eq!(window.size, 16);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Window {
    /// Segments that may be in flight.
    pub size: u32,
    /// Where slow start ends.
    pub ssthresh: u32,
    /// The window before the last reduction.
    pub prior: u32,
    /// Segments acknowledged since the window grew last.
    pub(super) credit: u32,
}

impl Window {
    /// A window of `size`, in slow start.
    pub const fn new(size: u32) -> Self {
        Window { size, ssthresh: UNLIMITED, prior: 0, credit: 0 }
    }

    /// Whether it doubles each round trip.
    pub const fn in_slow_start(&self) -> bool {
        self.size < self.ssthresh
    }

    /// Whether that goes on since the beginning: nothing has shown a threshold.
    pub const fn is_first_slow_start(&self) -> bool {
        self.ssthresh == UNLIMITED && self.size < UNLIMITED
    }

    /// Grows by a segment for each that is acknowledged, up to the threshold, and gives what is left of them.
    //= RFC 5681 §3.1
    //= RFC 3465 §2.2
    //= RFC 9438 §4.10 MUST-1
    pub fn grow_in_slow_start(&mut self, acked: u32) -> u32 {
        let before = self.size;
        self.size = self.size.saturating_add(acked).min(self.ssthresh).min(UNLIMITED);
        acked - (self.size - before)
    }

    /// Grows by a segment for each `every` that are acknowledged.
    //= RFC 5681 §4.3 MUST-4
    pub fn grow_evenly(&mut self, every: u32, acked: u32) {
        let every = every.max(1);
        // What was saved up while growth was slower counts as one.
        if self.credit >= every {
            self.credit = 0;
            self.size += 1;
        }
        self.credit = self.credit.saturating_add(acked);
        self.size = self.size.saturating_add(self.credit / every).min(UNLIMITED);
        self.credit %= every;
    }

    /// The threshold that is kept where the capacity of the path is forgotten.
    pub(super) fn kept_threshold(&self) -> u32 {
        self.ssthresh.max(self.size / 2 + self.size / 4)
    }

    /// A threshold of `size`, or the least there is.
    pub(super) fn threshold(size: u32) -> u32 {
        size.max(MIN_SSTHRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= RFC 5681 §3.1, type=test
    //= RFC 9438 §4.10 MUST-1, type=test
    #[test]
    fn slow_start_ends_exactly_at_the_threshold() {
        let mut window = Window { ssthresh: 12, ..Window::new(10) };
        assert_eq!(window.grow_in_slow_start(5), 3);
        assert_eq!(window.size, 12);
    }

    #[test]
    fn what_was_saved_up_counts_as_one() {
        let mut window = Window { credit: 90, ..Window::new(10) };
        window.grow_evenly(10, 1);
        assert_eq!((window.size, window.credit), (11, 1));
        window.grow_evenly(2, 4);
        assert_eq!((window.size, window.credit), (13, 1));
    }
}
