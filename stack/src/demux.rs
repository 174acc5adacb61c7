//! Whose segment is it: connections by their four-tuple, listeners by port and address.

use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

use hashbrown::hash_table::{Entry, HashTable};

use crate::iface::InterfaceId;
use crate::ports::LocalAddr;
use crate::random::{KeyedHash, Random, TableHash};
use crate::slots::slim_map;

/// What tells connections apart.
///
/// ```
/// use tapsock_stack::demux::FlowKey;
///
/// let key = FlowKey::new("10.0.0.1:80".parse().unwrap(), "10.0.0.2:40000".parse().unwrap());
/// assert_eq!(key.local().port(), 80);
/// assert_eq!(key.remote().to_string(), "10.0.0.2:40000");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FlowKey {
    local_ip: IpAddr,
    remote_ip: IpAddr,
    local_port: u16,
    remote_port: u16,
    /// The link, as [`InterfaceId::index`] has it, where an address means a host on that link only; 0 elsewhere.
    link: u16,
}

impl FlowKey {
    /// The key of a connection from `local` to `remote`. Their scopes and flow labels don't count, see
    /// [`over`](FlowKey::over).
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        FlowKey {
            local_ip: local.ip(),
            remote_ip: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
            link: 0,
        }
    }

    /// The same key of a connection over `interface`: link-local addresses are told apart by their link, of others
    /// the way may change.
    //= RFC 4007 §6
    pub fn over(self, interface: InterfaceId) -> Self {
        let is_scoped = |ip| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let scoped = is_scoped(self.local_ip) || is_scoped(self.remote_ip);
        FlowKey { link: if scoped { interface.index() as u16 } else { 0 }, ..self }
    }

    /// The link that its addresses belong to, where they are link-local.
    pub fn link(&self) -> Option<InterfaceId> {
        InterfaceId::from_index(self.link.into())
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip, self.local_port)
    }

    /// The peer's end.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_ip, self.remote_port)
    }

    /// A secret number of the four-tuple, the start of RFC 6528's sequence numbers.
    //= RFC 6528 §3
    pub fn secret(&self, hash: &KeyedHash) -> u64 {
        let ports = (u32::from(self.local_port) << 16 | u32::from(self.remote_port)).to_be_bytes();
        hash.hash(&[&octets(self.local_ip), &octets(self.remote_ip), &ports])
    }

    /// The secret number of the four-tuple that a SYN cookie is made from, one for each tick of its clock, and one that
    /// stays.
    pub fn secret_of_cookie(&self, hash: &KeyedHash, tick: Option<u32>) -> u32 {
        let ports = (u32::from(self.local_port) << 16 | u32::from(self.remote_port)).to_be_bytes();
        let tick = tick.map(u32::to_be_bytes);
        let tick = tick.as_ref().map_or(&b"cookie"[..], |tick| tick);
        hash.hash(&[&octets(self.local_ip), &octets(self.remote_ip), &ports, tick]) as u32
    }

    /// A secret number of the two addresses, by which timestamps of different peers differ.
    //= RFC 7323 §5.4
    pub fn secret_of_addresses(&self, hash: &KeyedHash) -> u64 {
        hash.hash(&[&octets(self.local_ip), &octets(self.remote_ip)])
    }
}

impl Hash for FlowKey {
    /// Five words: less than half of what the derived form would feed.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_be_bytes(octets(self.local_ip)));
        state.write_u128(u128::from_be_bytes(octets(self.remote_ip)));
        let ports = u64::from(self.local_port) << 16 | u64::from(self.remote_port);
        state.write_u64(u64::from(self.link) << 32 | ports);
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// What owns a four-tuple. The numbers are indices of the owner's tables.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A connection.
    Connection(u32),
    /// A half-open connection.
    HalfOpen(u32),
    /// A record in TIME-WAIT.
    TimeWait(u32),
}

/// A [`Target`] in four bytes: its number, and in the two low bits whose.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct Packed(u32);

/// Larger than every number of a target.
const MAX_TARGETS: u32 = 1 << 30;

impl From<Target> for Packed {
    fn from(target: Target) -> Self {
        let (number, kind) = match target {
            Target::Connection(number) => (number, 0),
            Target::HalfOpen(number) => (number, 1),
            Target::TimeWait(number) => (number, 2),
        };
        debug_assert!(number < MAX_TARGETS, "no table is as large");
        Packed(number << 2 | kind)
    }
}

impl From<Packed> for Target {
    fn from(Packed(packed): Packed) -> Self {
        match (packed >> 2, packed & 3) {
            (number, 0) => Target::Connection(number),
            (number, 1) => Target::HalfOpen(number),
            (number, _) => Target::TimeWait(number),
        }
    }
}

/// A listener as the lookup sees it.
#[derive(Copy, Clone, Debug)]
struct Listening {
    index: u32,
    address: LocalAddr,
    /// The only interface that it listens at.
    device: Option<InterfaceId>,
}

/// The order of preference among the listeners of a port.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd)]
struct ListenerRank {
    is_exact: bool,
    is_v4: bool,
}

impl Listening {
    fn rank(&self) -> ListenerRank {
        let is_v4 = matches!(self.address, LocalAddr::V4(_) | LocalAddr::AnyV4);
        ListenerRank { is_exact: !self.address.is_wildcard(), is_v4 }
    }

    fn takes(&self, key: &FlowKey, scope: u32) -> bool {
        let here = self.device.is_none_or(|device| device.index() == scope);
        here && self.address.accepts(key.local_ip, scope)
    }
}

/// Finds the owner of a segment in time that does not depend on how many there are.
///
/// Of a four-tuple it keeps who owns it, in five to eleven bytes: the tuple itself stands with the owner, and the calls are
/// told how to look there.
///
/// ```
/// use tapsock_stack::demux::{Demux, FlowKey, Target};
/// use tapsock_stack::ports::LocalAddr;
/// use tapsock_stack::random::Random;
///
/// let mut demux = Demux::new(&mut Random::new(1));
/// let key = FlowKey::new("10.0.0.1:80".parse().unwrap(), "10.0.0.2:40000".parse().unwrap());
/// demux.listen(80, LocalAddr::AnyV4, 3);
/// assert_eq!(demux.listener(&key, 0), Some(3));
/// let key_of = |target| (target == Target::Connection(7)).then_some(&key);
/// demux.insert(&key, Target::Connection(7), key_of);
/// assert_eq!(demux.find(&key, key_of), Some(Target::Connection(7)));
/// ```
#[derive(Debug)]
pub struct Demux {
    tuples: HashTable<Packed>,
    hash: TableHash,
    listeners: HashMap<u16, Vec<Listening>, TableHash>,
    spread: KeyedHash,
}

impl Demux {
    /// Empty tables under fresh keys.
    pub fn new(random: &mut Random) -> Self {
        Demux {
            tuples: HashTable::new(),
            hash: random.table_hash(),
            listeners: HashMap::with_hasher(random.table_hash()),
            spread: random.keyed_hash(),
        }
    }

    /// The owner of `key`.
    pub fn find<'a>(&self, key: &FlowKey, key_of: impl Fn(Target) -> Option<&'a FlowKey>) -> Option<Target> {
        let owns = |packed: &Packed| key_of(Target::from(*packed)) == Some(key);
        self.tuples.find(self.hash.hash_one(key), owns).map(|packed| Target::from(*packed))
    }

    /// Makes `target` the owner of `key`.
    pub fn insert<'a>(
        &mut self,
        key: &FlowKey,
        target: Target,
        key_of: impl Fn(Target) -> Option<&'a FlowKey>,
    ) {
        let Demux { tuples, hash, .. } = self;
        let owns = |packed: &Packed| key_of(Target::from(*packed)) == Some(key);
        match tuples.entry(hash.hash_one(key), owns, |packed| hash_of(hash, *packed, &key_of)) {
            Entry::Occupied(mut owner) => *owner.get_mut() = target.into(),
            Entry::Vacant(place) => {
                place.insert(target.into());
            }
        }
    }

    /// Frees `key`, where `target` owns it.
    pub fn remove<'a>(
        &mut self,
        key: &FlowKey,
        target: Target,
        key_of: impl Fn(Target) -> Option<&'a FlowKey>,
    ) {
        let Demux { tuples, hash, .. } = self;
        let Ok(owner) = tuples.find_entry(hash.hash_one(key), |packed| *packed == target.into()) else {
            return;
        };
        owner.remove();
        if tuples.capacity() > 2 * KEPT && tuples.len() < tuples.capacity() / 8 {
            tuples.shrink_to(tuples.len() * 2, |packed| hash_of(hash, *packed, &key_of));
        }
    }

    /// Enters the listener `index` for `port` at `address`.
    pub fn listen(&mut self, port: u16, address: LocalAddr, index: u32) {
        self.listeners.entry(port).or_default().push(Listening { index, address, device: None });
    }

    /// Holds the listener `index` of `port` to an interface, or to none any more.
    pub fn hold_listener(&mut self, port: u16, index: u32, device: Option<InterfaceId>) {
        let group = self.listeners.get_mut(&port).into_iter().flatten();
        group.filter(|one| one.index == index).for_each(|one| one.device = device);
    }

    /// The listener that is bound to the very address that a segment was sent to.
    pub fn listener_at_address(&self, key: &FlowKey, scope: u32) -> Option<u32> {
        let group = self.listeners.get(&key.local_port)?;
        let exact = |one: &&Listening| !one.address.is_wildcard() && one.takes(key, scope);
        group.iter().find(exact).map(|one| one.index)
    }

    /// Removes the listener `index` from `port`.
    pub fn stop_listening(&mut self, port: u16, index: u32) {
        if let Some(group) = self.listeners.get_mut(&port) {
            group.retain(|listening| listening.index != index);
            if group.is_empty() {
                self.listeners.remove(&port);
                slim_map(&mut self.listeners);
            }
        }
    }

    /// The listener for a segment that belongs to no connection and came in at the interface `scope`.
    ///
    /// As on Linux, one bound to the very address outranks a wildcard, and of these IPv4's that of both families. Of others
    /// that SO_REUSEPORT lets share, some held to the interface and some not, the last of IPv4 is asked, or the first of
    /// IPv6; and of those like it the four-tuple's hash picks one.
    pub fn listener(&self, key: &FlowKey, scope: u32) -> Option<u32> {
        let group = self.listeners.get(&key.local_port)?;
        let takes = |listening: &&Listening| listening.takes(key, scope);
        let best = group.iter().filter(takes).map(Listening::rank).max()?;
        let mut first = group.iter().filter(takes).filter(|listening| listening.rank() == best);
        let leader = if best.is_v4 { first.next_back() } else { first.next() }?;
        let like_it =
            |listening: &&Listening| (listening.address, listening.device) == (leader.address, leader.device);
        let equals = || group.iter().filter(like_it);
        let count = equals().count() as u64;
        let choice = if count > 1 { key.secret(&self.spread) % count } else { 0 };
        equals().nth(choice as usize).map(|listening| listening.index)
    }
}

/// Where what is there was put: its owner is in the tables as long as it is here.
fn hash_of<'a>(hash: &TableHash, packed: Packed, key_of: impl Fn(Target) -> Option<&'a FlowKey>) -> u64 {
    key_of(packed.into()).map_or(0, |key| hash.hash_one(key))
}

/// Room for so many tuples is kept.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(local: &str) -> FlowKey {
        FlowKey::new(local.parse().expect("an address"), "[fd00::2]:4000".parse().expect("an address"))
    }

    #[test]
    fn the_listener_at_the_very_address_outranks_wildcards() {
        let mut demux = Demux::new(&mut Random::new(1));
        demux.listen(80, LocalAddr::AnyV6 { only_v6: false }, 1);
        assert_eq!(demux.listener(&key("10.0.0.1:80"), 0), Some(1));
        demux.listen(80, LocalAddr::AnyV4, 2);
        assert_eq!(demux.listener(&key("10.0.0.1:80"), 0), Some(2));
        demux.listen(80, LocalAddr::V4("10.0.0.1".parse().expect("an address")), 3);
        assert_eq!(demux.listener(&key("10.0.0.1:80"), 0), Some(3));
        assert_eq!(demux.listener(&key("10.0.0.9:80"), 0), Some(2));
        assert_eq!(demux.listener(&key("[fd00::1]:80"), 0), Some(1));
        assert_eq!(demux.listener(&key("[fd00::1]:81"), 0), None);
        demux.stop_listening(80, 2);
        assert_eq!(demux.listener(&key("10.0.0.9:80"), 0), Some(1));
    }

    /// What Linux 6.18 showed (`tests/tests/kernel_calls_ranks.rs`).
    #[test]
    fn of_listeners_of_the_interface_and_of_all_the_order_decides() {
        let here = InterfaceId(1).index();
        for (held, unheld) in [(1, 2), (2, 1)] {
            let mut demux = Demux::new(&mut Random::new(1));
            for (port, address) in [(80, LocalAddr::AnyV4), (81, LocalAddr::AnyV6 { only_v6: false })] {
                [1, 2].into_iter().for_each(|index| demux.listen(port, address, index));
                demux.hold_listener(port, held, Some(InterfaceId(1)));
            }
            assert_eq!(demux.listener(&key("10.0.0.1:80"), here), Some(2), "the last of IPv4");
            assert_eq!(demux.listener(&key("10.0.0.1:81"), here), Some(1), "the first of IPv6");
            assert_eq!(demux.listener(&key("[fd00::1]:81"), here), Some(1));
            for to in ["10.0.0.1:80", "[fd00::1]:81"] {
                assert_eq!(demux.listener(&key(to), here + 1), Some(unheld), "the other takes nothing");
            }
            demux.listen(81, LocalAddr::AnyV4, 3);
            assert_eq!(demux.listener(&key("10.0.0.1:81"), here), Some(3), "IPv4 before both");
            demux.listen(80, LocalAddr::V4("10.0.0.1".parse().expect("an address")), 3);
            assert_eq!(demux.listener(&key("10.0.0.1:80"), here), Some(3), "the very address comes first");
        }
    }

    #[test]
    fn equal_listeners_share_by_the_tuple() {
        let mut demux = Demux::new(&mut Random::new(1));
        (0..4).for_each(|index| demux.listen(80, LocalAddr::AnyV4, index));
        let mut seen = [0u32; 4];
        for port in 1000..2000 {
            let remote = SocketAddr::new("10.0.0.2".parse().expect("an address"), port);
            let key = FlowKey::new("10.0.0.1:80".parse().expect("an address"), remote);
            let index = demux.listener(&key, 0).expect("one listens");
            assert_eq!(demux.listener(&key, 0), Some(index), "the same one again");
            seen[index as usize] += 1;
        }
        assert!(seen.iter().all(|count| (150..350).contains(count)), "{seen:?}");
    }

    //= RFC 4007 §6, type=test
    #[test]
    fn link_local_tuples_are_told_apart_by_their_link() {
        let key = |local: &str, remote: &str| {
            FlowKey::new(local.parse().expect("an address"), remote.parse().expect("an address"))
        };
        let table = [
            ("[fe80::1]:80", "[fe80::2]:4000", false),
            ("[fe80::1]:80", "[fd00::2]:4000", false),
            ("[fd00::1]:80", "[fd00::2]:4000", true),
            ("169.254.0.1:80", "169.254.0.2:4000", true),
        ];
        for (local, remote, same) in table {
            let mut demux = Demux::new(&mut Random::new(1));
            let [one, two] = [1, 2].map(|number| key(local, remote).over(InterfaceId(number)));
            demux.insert(&one, Target::Connection(1), |_| Some(&one));
            assert_eq!(demux.find(&one, |_| Some(&one)), Some(Target::Connection(1)));
            assert_eq!(demux.find(&two, |_| Some(&one)).is_some(), same, "{local} {remote}");
            assert_eq!(one.link(), (!same).then_some(InterfaceId(1)));
        }
    }

    #[test]
    fn a_tuple_is_freed_by_its_owner_only() {
        let mut demux = Demux::new(&mut Random::new(1));
        let key = key("[fd00::1]:80");
        let key_of = |_| Some(&key);
        demux.insert(&key, Target::TimeWait(4), key_of);
        demux.remove(&key, Target::Connection(4), key_of);
        assert_eq!(demux.find(&key, key_of), Some(Target::TimeWait(4)));
        demux.insert(&key, Target::Connection(9), key_of);
        assert_eq!(demux.find(&key, key_of), Some(Target::Connection(9)), "the later has it");
        demux.remove(&key, Target::Connection(9), key_of);
        assert_eq!(demux.find(&key, key_of), None);
    }

    #[test]
    fn tuples_are_found_while_the_table_grows_and_shrinks() {
        let keys: Vec<FlowKey> = (0..5000)
            .map(|port| {
                FlowKey::new(
                    "10.0.0.1:80".parse().expect("an address"),
                    SocketAddr::new("10.0.0.2".parse().expect("an address"), port),
                )
            })
            .collect();
        let target = |number: usize| match number % 3 {
            0 => Target::Connection(number as u32),
            1 => Target::HalfOpen(number as u32),
            _ => Target::TimeWait(number as u32),
        };
        let key_of = |target| match target {
            Target::Connection(number) | Target::HalfOpen(number) | Target::TimeWait(number) => {
                keys.get(number as usize)
            }
        };
        let mut demux = Demux::new(&mut Random::new(1));
        for (number, key) in keys.iter().enumerate() {
            demux.insert(key, target(number), key_of);
        }
        for (number, key) in keys.iter().enumerate().skip(10) {
            demux.remove(key, target(number), key_of);
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(demux.find(key, key_of), (number < 10).then(|| target(number)));
        }
        assert!(demux.tuples.capacity() < 200, "room for {}", demux.tuples.capacity());
    }
}
