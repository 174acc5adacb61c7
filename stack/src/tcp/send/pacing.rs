//! Sending at a pace: when the next burst may go, and how large it may be.

use core::time::Duration;

use crate::time::Instant;

/// A rate that bounds nothing, in bytes a second.
pub const UNPACED: u64 = u64::MAX;

/// With so many segments a connection begins to be paced, as in Linux.
const FREE_SEGMENTS: u32 = 10;

/// A burst is what the rate sends in a 1,024th of a second, as in Linux.
const BURST_SHIFT: u32 = 10;

/// Bytes of a full frame.
const LARGEST: u32 = 65_536;

/// For each 512 microseconds of the round trip a full frame is halved (Linux's `tcp_tso_rtt_log`).
const NEAR_SHIFT: u32 = 9;

/// The pace of one sender.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::pacing::Pacer;
/// use tapsock_stack::time::Instant;
///
/// let mut pacer = Pacer::default();
/// let now = Instant::ZERO;
/// pacer.on_sent(now, 100_000, 9000, 9);
/// assert_eq!(pacer.wait(now), None, "the first segments are free");
/// pacer.on_sent(now, 100_000, 2000, 2);
/// assert_eq!(pacer.wait(now), Some(now + Duration::from_millis(20)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    /// When the next burst may go.
    next: Instant,
    /// Segments sent so far, as far as that matters.
    sent: u32,
}

impl Pacer {
    /// Until when nothing may be sent.
    pub fn wait(&self, now: Instant) -> Option<Instant> {
        (self.next > now).then_some(self.next)
    }

    /// When the next burst may go, or now.
    pub fn due(&self, now: Instant) -> Instant {
        self.next.max(now)
    }

    /// `bytes` went out, in `segments`, at a rate of `rate` bytes a second. A sender that comes late is given up to half of
    /// a burst's time back.
    pub fn on_sent(&mut self, now: Instant, rate: u64, bytes: u32, segments: u32) {
        // As Linux, which counts first: the burst that makes them ten is paced already.
        self.sent = self.sent.saturating_add(segments);
        if self.sent < FREE_SEGMENTS || rate == 0 || rate == UNPACED {
            return;
        }
        let time = u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        let late = u64::try_from(now.saturating_since(self.next).as_nanos()).unwrap_or(u64::MAX);
        self.next = self.next.max(now) + Duration::from_nanos(time - late.min(time / 2));
    }
}

/// Bytes of a burst at `rate` bytes a second, in whole segments of `size`, `least` of them at the least. As Linux: what the
/// rate sends in a millisecond, and on short paths up to a full frame more, for there larger bursts do no harm.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::pacing::burst;
///
/// let far = Some(Duration::from_millis(50));
/// assert_eq!(burst(100_000, far, 1000, 2), 2000);
/// assert_eq!(burst(10_240_000, far, 1000, 2), 10_000);
/// assert_eq!(burst(100_000, Some(Duration::from_micros(300)), 1000, 2), 65_000);
/// ```
pub fn burst(rate: u64, min_rtt: Option<Duration>, size: u32, least: u32) -> u32 {
    let halvings = min_rtt.map_or(u128::MAX, |rtt| rtt.as_micros() >> NEAR_SHIFT);
    let near = u32::try_from(halvings).ok().and_then(|halvings| LARGEST.checked_shr(halvings)).unwrap_or(0);
    let bytes = u32::try_from(rate >> BURST_SHIFT).unwrap_or(u32::MAX).saturating_add(near).min(LARGEST);
    (bytes / size).max(least).saturating_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segments_are_free() {
        let mut pacer = Pacer::default();
        let now = Instant::from_secs(5);
        pacer.on_sent(now, 1000, 9000, 9);
        assert_eq!(pacer.wait(now), None);
        pacer.on_sent(now, 1000, 1000, 1);
        assert_eq!(pacer.wait(now), Some(now + Duration::from_millis(500)), "who was idle is late");
        let now = now + Duration::from_millis(500);
        assert_eq!(pacer.wait(now), None);
        pacer.on_sent(now, 1000, 1000, 1);
        assert_eq!(pacer.wait(now), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_late_burst_makes_up_for_half_at_most() {
        let mut pacer = Pacer { next: Instant::from_secs(5), sent: FREE_SEGMENTS };
        for (late_ms, wait_ms) in [(100, 900), (900, 500)] {
            let now = pacer.next + Duration::from_millis(late_ms);
            pacer.on_sent(now, 1000, 1000, 1);
            assert_eq!(pacer.wait(now), Some(now + Duration::from_millis(wait_ms)));
        }
    }
}
