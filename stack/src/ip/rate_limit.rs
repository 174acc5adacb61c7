//! How many ICMP errors a host sends.

use core::time::Duration;

use crate::time::Instant;

/// A token bucket: `rate` a second on average, `burst` at once.
///
/// ```
/// use tapsock_stack::ip::rate_limit::RateLimit;
/// use tapsock_stack::time::Instant;
///
/// let mut limit = RateLimit::new(1000, 2);
/// let now = Instant::from_secs(5);
/// assert!(limit.allows(now) && limit.allows(now));
/// assert!(!limit.allows(now));
/// assert!(limit.allows(Instant::from_millis(5001)));
/// ```
//= RFC 4443 §2.4
//= RFC 1812 §4.3.2.8
#[derive(Clone, Debug)]
pub struct RateLimit {
    interval: Duration,
    burst: u32,
    /// When the bucket would be full.
    full_at: Instant,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(rate: u32, burst: u32) -> Self {
        RateLimit { interval: Duration::from_secs(1) / rate.max(1), burst, full_at: Instant::ZERO }
    }

    /// Takes a token, where there is one.
    pub fn allows(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        if full_at.saturating_since(now) > self.interval * self.burst {
            return false;
        }
        self.full_at = full_at;
        true
    }
}
