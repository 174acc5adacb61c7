//! The largest packets that paths take, as far as routers have complained (RFC 1191, RFC 8201).

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;

use crate::discovery::Fragmentation;
use crate::iface::InterfaceId;
use crate::random::{Random, TableHash};
use crate::time::Instant;

/// Destinations that are remembered. Who complains has to quote what we sent, so there are as many as we talk to.
pub const MAX_DESTINATIONS: usize = 1024;

/// Settings, under the names of `net.ipv4.route` and Linux's defaults.
///
/// ```
/// use tapsock_stack::ip::path_mtu::PathMtuConfig;
///
/// assert_eq!(PathMtuConfig::default().min_pmtu, 552);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PathMtuConfig {
    /// IPv4: what is learned is never less, in bytes. A forged complaint can't make packets smaller.
    pub min_pmtu: usize,
    /// How long a complaint is believed.
    pub mtu_expires: Duration,
    /// Destinations that are remembered.
    pub max_entries: usize,
}

impl Default for PathMtuConfig {
    fn default() -> Self {
        PathMtuConfig { min_pmtu: 552, mtu_expires: Duration::from_secs(600), max_entries: MAX_DESTINATIONS }
    }
}

/// What became of a complaint.
///
/// ```
/// use tapsock_stack::ip::path_mtu::Learned;
///
/// assert_ne!(Learned::Lowered, Learned::Ignored);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Learned {
    /// The path takes less than was known: connections over it look again.
    Lowered,
    /// It says what is known, which is believed for longer now.
    Refreshed,
    /// It is not believed.
    Ignored,
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    mtu: usize,
    fragmentation: Fragmentation,
    interface: InterfaceId,
    expires: Instant,
}

/// Path MTUs by destination.
///
/// The caller has checked that a complaint quotes a packet of ours, and compares what is found here with the MTU of
/// link and route; an entry that has expired is as good as none, so packets then try the full size again.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::ip::path_mtu::{Learned, PathMtuCache, PathMtuConfig};
/// use tapsock_stack::random::Random;
/// use tapsock_stack::time::Instant;
///
/// let mut cache = PathMtuCache::new(PathMtuConfig::default(), &mut Random::new(7));
/// let far = "203.0.113.1".parse().unwrap();
/// assert_eq!(cache.learn(Instant::ZERO, far, 1400, InterfaceId(1)), Learned::Lowered);
/// assert_eq!(cache.lookup(Instant::from_secs(599), far), Some(1400));
/// assert_eq!(cache.lookup(Instant::from_secs(600), far), None);
/// ```
#[derive(Clone, Debug)]
pub struct PathMtuCache {
    config: PathMtuConfig,
    entries: HashMap<IpAddr, Entry, TableHash>,
    /// Goes up with each change of what `lookup` says.
    generation: u32,
    /// No entry expires before.
    next_expiry: Option<Instant>,
    /// Destinations that had to go for others.
    evicted: u64,
}

impl PathMtuCache {
    /// An empty cache. The hash key is drawn from `random`.
    pub fn new(config: PathMtuConfig, random: &mut Random) -> Self {
        let entries = HashMap::with_hasher(random.table_hash());
        PathMtuCache { config, entries, generation: 1, next_expiry: None, evicted: 0 }
    }

    /// A router said that the path to `destination`, which leaves at `interface`, takes packets of `mtu` bytes.
    ///
    /// What is known is never raised: a path that has grown is found by expiry. Below IPv4's minimum the minimum is
    /// taken and routers may cut; below IPv6's 1280 bytes the message is ignored, as its RFC demands.
    //= RFC 1191 §3
    //= RFC 8201 §4
    //= RFC 7323 §5.7 MUST-1
    //= RFC 8201 §4 MUST-3
    //= RFC 8201 §4 MUST-4
    //= RFC 8201 §4 MUST-9
    //= RFC 8201 §5.2 MUST-1
    pub fn learn(
        &mut self,
        now: Instant,
        destination: IpAddr,
        mtu: usize,
        interface: InterfaceId,
    ) -> Learned {
        let Some((mtu, fragmentation)) = self.admit(destination, mtu) else {
            return Learned::Ignored;
        };
        let known = self.find(now, destination).map(|entry| entry.mtu);
        if known.is_some_and(|known| mtu > known) {
            return Learned::Ignored;
        }
        if !self.entries.contains_key(&destination) && !self.make_room(now) {
            return Learned::Ignored;
        }
        let expires = now + self.config.mtu_expires;
        self.entries.insert(destination, Entry { mtu, fragmentation, interface, expires });
        self.next_expiry = Some(self.next_expiry.map_or(expires, |at| at.min(expires)));
        if known == Some(mtu) {
            return Learned::Refreshed;
        }
        self.changed();
        Learned::Lowered
    }

    /// A number that is another one after every change of what is known, never 0: who remembers it with what was
    /// found need not look for it again with each packet. A path that has shrunk is noticed by that, as RFC 8201
    /// allows, when the next packet is sent, and so is one whose entry has expired.
    //= RFC 8201 §5.2
    pub fn generation(&mut self, now: Instant) -> u32 {
        if self.next_expiry.is_some_and(|at| at <= now) {
            self.expire(now);
        }
        self.generation
    }

    /// The largest packet that the path to `destination` takes, in bytes, where a router has complained of late.
    pub fn lookup(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        self.find(now, destination).map(|entry| entry.mtu)
    }

    /// Whether routers may cut packets to `destination`. IPv6 routers never do.
    pub fn fragmentation(&self, now: Instant, destination: IpAddr) -> Fragmentation {
        self.find(now, destination).map_or(Fragmentation::Forbidden, |entry| entry.fragmentation)
    }

    /// Forgets what was learned of paths that leave at `interface`.
    pub fn forget_interface(&mut self, interface: InterfaceId) {
        self.entries.retain(|_, entry| entry.interface != interface);
        self.changed();
    }

    /// How many destinations had to go for others since this was asked last.
    pub fn take_evicted(&mut self) -> u64 {
        core::mem::take(&mut self.evicted)
    }

    /// How many destinations are remembered, expired ones among them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no destination is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    //= RFC 8201 §4 MUST-1
    //= RFC 8201 §4 MUST-2
    fn admit(&self, destination: IpAddr, mtu: usize) -> Option<(usize, Fragmentation)> {
        match destination {
            IpAddr::V4(_) if mtu < self.config.min_pmtu => {
                Some((self.config.min_pmtu, Fragmentation::Allowed))
            }
            IpAddr::V6(_) if mtu < IPV6_MIN_MTU => None,
            _ => Some((mtu, Fragmentation::Forbidden)),
        }
    }

    //= RFC 8201 §4 MUST-7
    //= RFC 8201 §4 MUST-8
    fn find(&self, now: Instant, destination: IpAddr) -> Option<&Entry> {
        self.entries.get(&destination).filter(|entry| now < entry.expires)
    }

    /// Drops what has expired, or else what will expire first. Returns false where the cache holds nothing at all.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.entries.len() < self.config.max_entries {
            return true;
        }
        self.expire(now);
        if self.entries.len() >= self.config.max_entries {
            let oldest =
                self.entries.iter().min_by_key(|(destination, entry)| (entry.expires, **destination));
            if let Some(destination) = oldest.map(|(destination, _)| *destination) {
                self.entries.remove(&destination);
                self.evicted += 1;
            }
        }
        self.entries.len() < self.config.max_entries
    }

    /// Drops what has expired. Each walk through the table is paid for by a complaint, which set or moved a time.
    fn expire(&mut self, now: Instant) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| now < entry.expires);
        self.next_expiry = self.entries.values().map(|entry| entry.expires).min();
        if self.entries.len() < before {
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1).max(1);
    }
}

/// Every IPv6 link takes packets of this size, in bytes.
//= RFC 8200 §5
const IPV6_MIN_MTU: usize = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    const IFACE: InterfaceId = InterfaceId(1);

    fn cache(max_entries: usize) -> PathMtuCache {
        let config = PathMtuConfig { max_entries, ..PathMtuConfig::default() };
        PathMtuCache::new(config, &mut Random::new(1))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn secs(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    //= RFC 1191 §3, type=test
    //= RFC 8201 §4, type=test
    //= RFC 8201 §4 MUST-3, type=test
    //= RFC 8201 §4 MUST-9, type=test
    //= RFC 8201 §5.2 MUST-1, type=test
    #[test]
    fn a_complaint_lowers_and_never_raises() {
        let mut cache = cache(8);
        let far = ip("203.0.113.1");
        let table = [
            (1400, Learned::Lowered, 1400),
            (1500, Learned::Ignored, 1400),
            (1400, Learned::Refreshed, 1400),
            (1300, Learned::Lowered, 1300),
            (1400, Learned::Ignored, 1300),
        ];
        for (mtu, learned, known) in table {
            assert_eq!(cache.learn(secs(1), far, mtu, IFACE), learned, "{mtu}");
            assert_eq!(cache.lookup(secs(1), far), Some(known), "{mtu}");
        }
        assert_eq!(cache.lookup(secs(1), ip("203.0.113.2")), None);
    }

    //= RFC 8201 §4 MUST-1, type=test
    //= RFC 8201 §4 MUST-2, type=test
    #[test]
    fn minima_hold() {
        let mut cache = cache(8);
        let table = [
            ("203.0.113.1", 552, Some(552), Fragmentation::Forbidden),
            ("203.0.113.2", 551, Some(552), Fragmentation::Allowed),
            ("203.0.113.3", 0, Some(552), Fragmentation::Allowed),
            ("2001:db8::1", 1280, Some(1280), Fragmentation::Forbidden),
            ("2001:db8::2", 1279, None, Fragmentation::Forbidden),
            ("2001:db8::3", 0, None, Fragmentation::Forbidden),
        ];
        for (destination, mtu, known, fragmentation) in table {
            cache.learn(secs(1), ip(destination), mtu, IFACE);
            assert_eq!(cache.lookup(secs(1), ip(destination)), known, "{destination} {mtu}");
            assert_eq!(cache.fragmentation(secs(1), ip(destination)), fragmentation, "{destination} {mtu}");
        }
    }

    //= RFC 1191 §6.3, type=test
    //= RFC 8201 §4 MUST-7, type=test
    //= RFC 8201 §4 MUST-8, type=test
    #[test]
    fn what_is_learned_expires_and_may_then_be_larger() {
        let mut cache = cache(8);
        let far = ip("203.0.113.1");
        cache.learn(secs(0), far, 1000, IFACE);
        cache.learn(secs(500), far, 1000, IFACE);
        assert_eq!(cache.lookup(secs(1099), far), Some(1000));
        assert_eq!(cache.lookup(secs(1100), far), None);
        assert_eq!(cache.learn(secs(1100), far, 1400, IFACE), Learned::Lowered);
        assert_eq!(cache.lookup(secs(1100), far), Some(1400));
        // A complaint that is ignored does not prolong what is known.
        assert_eq!(cache.learn(secs(1699), far, 1401, IFACE), Learned::Ignored);
        assert_eq!(cache.lookup(secs(1700), far), None);
    }

    #[test]
    fn each_change_has_a_generation_of_its_own() {
        let mut cache = cache(2);
        let mut seen = vec![cache.generation(secs(0))];
        let mut differs = |cache: &mut PathMtuCache, now: u64, expected: bool, what: &str| {
            let generation = cache.generation(secs(now));
            assert_eq!(!seen.contains(&generation), expected, "{what}");
            assert_ne!(generation, 0);
            seen.push(generation);
        };
        cache.learn(secs(1), ip("203.0.113.1"), 1400, IFACE);
        differs(&mut cache, 1, true, "learned");
        cache.learn(secs(2), ip("203.0.113.1"), 1400, IFACE);
        cache.learn(secs(2), ip("203.0.113.1"), 1500, IFACE);
        differs(&mut cache, 601, false, "said again, and denied");
        differs(&mut cache, 602, true, "expired");
        differs(&mut cache, 603, false, "nothing more to expire");
        cache.learn(secs(700), ip("203.0.113.2"), 1400, IFACE);
        cache.forget_interface(IFACE);
        differs(&mut cache, 700, true, "forgotten");
    }

    #[test]
    fn the_cache_is_bounded() {
        let (mut cache, mut empty) = (cache(3), cache(0));
        let destinations: Vec<IpAddr> = (1..=5).map(|host| ip(&format!("203.0.113.{host}"))).collect();
        for (at, destination) in destinations.iter().enumerate() {
            assert_eq!(cache.learn(secs(at as u64), *destination, 1400, IFACE), Learned::Lowered);
            assert!(cache.len() <= 3);
        }
        let known: Vec<bool> = destinations.iter().map(|to| cache.lookup(secs(5), *to).is_some()).collect();
        assert_eq!(known, [false, false, true, true, true]);
        // Expired entries go first, all of them.
        cache.learn(secs(603), ip("203.0.113.9"), 1400, IFACE);
        assert_eq!(cache.len(), 2);
        assert_eq!(empty.learn(secs(0), destinations[0], 1400, IFACE), Learned::Ignored);
    }

    #[test]
    fn so_many_destinations_are_remembered_and_no_more() {
        let mut cache = PathMtuCache::new(PathMtuConfig::default(), &mut Random::new(1));
        let far = |host: usize| IpAddr::from((0xcb00_0000 + host as u32).to_be_bytes());
        for host in 0..=MAX_DESTINATIONS {
            assert_eq!(cache.take_evicted(), 0);
            assert_eq!(cache.learn(secs(host as u64 / 10), far(host), 1400, IFACE), Learned::Lowered);
        }
        assert_eq!((cache.len(), cache.take_evicted()), (MAX_DESTINATIONS, 1));
        let known = |host| cache.lookup(secs(110), far(host)).is_some();
        assert!(!known(0) && known(1) && known(MAX_DESTINATIONS), "what would be forgotten first is");
    }

    #[test]
    fn an_interfaces_paths_can_be_forgotten() {
        let mut cache = cache(3);
        cache.learn(secs(0), ip("203.0.113.1"), 1400, IFACE);
        cache.learn(secs(0), ip("203.0.113.2"), 1400, InterfaceId(2));
        cache.forget_interface(IFACE);
        assert_eq!(cache.lookup(secs(0), ip("203.0.113.1")), None);
        assert_eq!(cache.lookup(secs(0), ip("203.0.113.2")), Some(1400));
        assert!(!cache.is_empty());
    }
}
