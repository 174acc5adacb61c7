//! The shortest round trip of late.

use core::time::Duration;

use crate::time::Instant;

/// How long a minimum counts at least, as in Linux (`tcp_min_rtt_wlen`); it is forgotten after twice as long.
const WINDOW: Duration = Duration::from_secs(300);

/// The minimum of what was measured in the last five to ten minutes, so that a path that has become longer is
/// recognized as such.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::min_rtt::MinRtt;
/// use tapsock_stack::time::Instant;
///
/// let mut min = MinRtt::new();
/// assert_eq!(min.value(), None);
/// min.sample(Instant::ZERO, Duration::from_millis(7));
/// min.sample(Instant::ZERO, Duration::from_millis(9));
/// assert_eq!(min.value(), Some(Duration::from_millis(7)));
/// ```
#[derive(Clone, Debug)]
pub struct MinRtt {
    /// In microseconds: since `since`, and in the time before.
    current: u32,
    before: u32,
    /// In seconds.
    since: u32,
}

impl Default for MinRtt {
    fn default() -> Self {
        MinRtt::new()
    }
}

impl MinRtt {
    /// No sample.
    pub const fn new() -> Self {
        MinRtt { current: u32::MAX, before: u32::MAX, since: 0 }
    }

    /// Takes a round trip measured at `now`.
    pub fn sample(&mut self, now: Instant, rtt: Duration) {
        let age = now.as_secs().saturating_sub(self.since.into());
        if age >= WINDOW.as_secs() {
            self.before = if age < 2 * WINDOW.as_secs() { self.current } else { u32::MAX };
            (self.current, self.since) = (u32::MAX, now.as_secs() as u32);
        }
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
        self.current = self.current.min(micros.max(1));
    }

    /// The minimum, where there is a sample.
    pub fn value(&self) -> Option<Duration> {
        let least = self.current.min(self.before);
        (least != u32::MAX).then_some(Duration::from_micros(least.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_path_that_became_longer_is_believed_after_ten_minutes_at_most() {
        let mut min = MinRtt::new();
        let start = Instant::ZERO + Duration::from_secs(5000);
        min.sample(start, ms(5));
        for second in 1..300 {
            min.sample(start + Duration::from_secs(second), ms(50));
            assert_eq!(min.value(), Some(ms(5)), "after {second} s");
        }
        for second in 300..=600 {
            min.sample(start + Duration::from_secs(second), ms(50));
        }
        assert_eq!(min.value(), Some(ms(50)));
    }

    #[test]
    fn what_was_measured_before_a_long_silence_is_forgotten() {
        let mut min = MinRtt::new();
        min.sample(Instant::ZERO, ms(5));
        min.sample(Instant::ZERO + 2 * WINDOW, ms(80));
        assert_eq!(min.value(), Some(ms(80)));
    }
}
