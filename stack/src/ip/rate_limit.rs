//! How many ICMP errors a host sends.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;

use crate::random::{Random, TableHash};
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

    /// Whether there is a token.
    pub fn has_token(&self, now: Instant) -> bool {
        let mut full_at = self.full_at;
        take(&mut full_at, now, self.interval, self.burst)
    }

    /// Takes a token, where there is one.
    pub fn allows(&mut self, now: Instant) -> bool {
        take(&mut self.full_at, now, self.interval, self.burst)
    }
}

/// Messages to one host that may be sent at once, as in Linux.
const HOST_BURST: u32 = 6;

/// Hosts that are remembered. Those beyond are bounded by the limit for all together.
const MAX_HOSTS: usize = 1024;

/// How often those that were sent nothing of late are looked for, at the most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket for each host that messages were sent to of late.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::ip::rate_limit::HostLimits;
/// use tapsock_stack::random::Random;
/// use tapsock_stack::time::Instant;
///
/// let mut limits = HostLimits::new(&mut Random::new(7));
/// let (now, second) = (Instant::from_secs(5), Duration::from_secs(1));
/// let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
/// assert!((0..6).all(|_| limits.allows(now, one, second)));
/// assert!(!limits.allows(now, one, second));
/// assert!(limits.allows(now, other, second));
/// assert!(limits.allows(Instant::from_secs(6), one, second));
/// ```
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// When each host's bucket would be full.
    full_at: HashMap<IpAddr, Instant, TableHash>,
    /// When the table may be swept again.
    sweep_at: Instant,
}

impl HostLimits {
    /// Nobody was sent anything yet.
    pub fn new(random: &mut Random) -> Self {
        HostLimits { full_at: HashMap::with_hasher(random.table_hash()), sweep_at: Instant::ZERO }
    }

    /// Whether there may be a token for `host`.
    pub fn has_token(&self, now: Instant, host: IpAddr, interval: Duration) -> bool {
        self.full_at.get(&host).is_none_or(|full_at| take(&mut full_at.clone(), now, interval, HOST_BURST))
    }

    /// Takes a token for `host`, which gets one each `interval`, where there is one.
    pub fn allows(&mut self, now: Instant, host: IpAddr, interval: Duration) -> bool {
        if self.full_at.len() >= MAX_HOSTS && !self.full_at.contains_key(&host) {
            if now >= self.sweep_at {
                self.sweep_at = now + SWEEP_INTERVAL;
                self.full_at.retain(|_, full_at| *full_at > now);
            }
            if self.full_at.len() >= MAX_HOSTS {
                return true;
            }
        }
        take(self.full_at.entry(host).or_insert(now), now, interval, HOST_BURST)
    }
}

/// Takes a token out of the bucket that will be full at `full_at`, where there is one.
fn take(full_at: &mut Instant, now: Instant, interval: Duration, burst: u32) -> bool {
    let then = (*full_at).max(now) + interval;
    if then.saturating_since(now) > interval * burst {
        return false;
    }
    *full_at = then;
    true
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn as_many_hosts_are_remembered_as_there_is_room_for() {
        let mut limits = HostLimits::new(&mut Random::new(1));
        let now = Instant::from_secs(1);
        let host = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(number));
        for number in 0..10_000 {
            assert!(limits.allows(now, host(number), Duration::from_secs(1)));
        }
        assert_eq!(limits.full_at.len(), MAX_HOSTS);
        // A full table is swept once a second, whoever asks.
        assert_eq!(limits.sweep_at, now + SWEEP_INTERVAL);
        assert!((0..5).all(|_| limits.allows(now, host(0), Duration::from_secs(1))));
        assert!(!limits.allows(now, host(0), Duration::from_secs(1)), "the first are not forgotten");
        assert!(!limits.has_token(now, host(0), Duration::from_secs(1)));
        assert!(limits.has_token(now, host(1), Duration::from_secs(1)));
        assert!(limits.allows(Instant::from_secs(8), host(20_000), Duration::from_secs(1)));
        assert_eq!(limits.full_at.len(), 1, "who has sent nothing for a while is");
    }
}
