//! Reno (RFC 5681).

use super::{AckSample, CongestionControl, Window};

/// Additive increase of one segment a round trip, multiplicative decrease to a half.
///
/// ```
/// use tapsock_stack::tcp::congestion::{CongestionControl, Reno, Window};
///
/// assert_eq!(Reno.threshold(&Window::new(10)), 5);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Reno;

impl CongestionControl for Reno {
    fn threshold(&mut self, window: &Window) -> u32 {
        Window::threshold(window.size / 2)
    }

    //= RFC 5681 §3.1
    //= RFC 5681 §3.1 MUST-1
    //= RFC 5681 §3.1 MUST-9
    //= RFC 5681 §3.1 MUST-10
    //= RFC 5681 §3 MUST-1
    fn on_ack(&mut self, window: &mut Window, sample: &AckSample) {
        let mut acked = sample.acked;
        if window.in_slow_start() {
            acked = window.grow_in_slow_start(acked);
        }
        if acked > 0 {
            window.grow_evenly(window.size, acked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    //= RFC 5681 §3.1, type=test
    //= RFC 5681 §3 MUST-1, type=test
    //= RFC 5681 §3.1 MUST-1, type=test
    //= RFC 5681 §3.1 MUST-9, type=test
    //= RFC 5681 §3.1 MUST-10, type=test
    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_segment_a_round_trip() {
        let mut window = Window::new(10);
        let ack = |acked| AckSample { now: Instant::ZERO, acked };
        Reno.on_ack(&mut window, &ack(10));
        assert_eq!(window.size, 20);
        window.ssthresh = Reno.threshold(&window);
        window.size = window.ssthresh;
        for _ in 0..10 {
            Reno.on_ack(&mut window, &ack(1));
        }
        assert_eq!(window.size, 11);
    }
}
