//! The port of a connection that asked for none: RFC 6056's double-hash selection.

use core::net::{IpAddr, SocketAddr};

use crate::config::PortRange;
use crate::random::{KeyedHash, Random};

/// Counters of the algorithm, RFC 6056 §3.3.4's `TABLE_LENGTH`.
const TABLE_LEN: usize = 1024;

/// Chooses local ports so that connections to one peer get ports that follow each other, and that nobody outside
/// can guess those of another peer.
///
/// ```
/// use tapsock_stack::config::PortRange;
/// use tapsock_stack::ports::EphemeralPorts;
/// use tapsock_stack::random::Random;
///
/// let mut ports = EphemeralPorts::new(&mut Random::new(1));
/// let (local, remote) = ("10.0.0.1".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
/// let first = ports.choose(local, remote, PortRange::DEFAULT, |_| true).unwrap();
/// let second = ports.choose(local, remote, PortRange::DEFAULT, |port| port != first).unwrap();
/// assert_ne!(first, second);
/// ```
#[derive(Clone, Debug)]
pub struct EphemeralPorts {
    /// RFC 6056's F, by which the ports of each peer begin elsewhere.
    offset_hash: KeyedHash,
    /// RFC 6056's G, by which peers share a counter.
    index_hash: KeyedHash,
    table: Box<[u32; TABLE_LEN]>,
}

impl EphemeralPorts {
    /// Draws the secrets, and where each counter begins.
    pub fn new(random: &mut Random) -> Self {
        let offset_hash = random.keyed_hash();
        let index_hash = random.keyed_hash();
        let mut table = Box::new([0; TABLE_LEN]);
        table.fill_with(|| random.next_u32() % 65_536);
        EphemeralPorts { offset_hash, index_hash, table }
    }

    /// The next port of `range` for a connection from `local` to `remote` that `is_suitable` agrees to; `None` when
    /// it agrees to none. It is asked of each port once at most.
    //= RFC 6056 §3.3.4
    //= RFC 6056 §5 MUST-1
    pub fn choose(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        range: PortRange,
        mut is_suitable: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let offset = hash(&self.offset_hash, local, remote) as u32;
        let counter = &mut self.table[hash(&self.index_hash, local, remote) as usize % TABLE_LEN];
        let start = u64::from(offset) + u64::from(*counter);
        for step in 0..range.count() {
            *counter = counter.wrapping_add(1);
            let port = range.at(start + u64::from(step));
            if is_suitable(port) {
                return Some(port);
            }
        }
        None
    }
}

fn hash(hash: &KeyedHash, local: IpAddr, remote: SocketAddr) -> u64 {
    let port = remote.port().to_be_bytes();
    match (local, remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => hash.hash(&[&local.octets(), &remote.octets(), &port]),
        (local, remote) => hash.hash(&[&to_v6(local), &to_v6(remote), &port]),
    }
}

fn to_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LOCAL: &str = "10.0.0.1";

    fn choose(ports: &mut EphemeralPorts, remote: &str, range: PortRange) -> u16 {
        ports.choose(LOCAL.parse().unwrap(), remote.parse().unwrap(), range, |_| true).unwrap()
    }

    //= RFC 6056 §3.3.4, type=test
    //= RFC 6056 §5 MUST-1, type=test
    #[test]
    fn connections_to_one_peer_get_ports_in_sequence() {
        let mut ports = EphemeralPorts::new(&mut Random::new(1));
        let range = PortRange::DEFAULT;
        let first = choose(&mut ports, "10.0.0.2:80", range);
        for step in 1..1000 {
            let expected = range.at(u64::from(first - range.first()) + step);
            assert_eq!(choose(&mut ports, "10.0.0.2:80", range), expected);
        }
    }

    //= RFC 6056 §3.3.4, type=test
    #[test]
    fn peers_begin_at_ports_of_their_own() {
        let mut ports = EphemeralPorts::new(&mut Random::new(2));
        let others = (1..=100).map(|port| format!("[fd00::1]:{port}"));
        let firsts: BTreeSet<u16> = (1..=100)
            .map(|host| format!("10.0.0.{host}:80"))
            .chain(others)
            .map(|remote| choose(&mut ports, &remote, PortRange::DEFAULT))
            .collect();
        assert!(firsts.len() > 190, "{}", firsts.len());
    }

    //= RFC 6056 §3.3.4, type=test
    //= RFC 6056 §5 MUST-1, type=test
    #[test]
    fn what_one_peer_sees_tells_nothing_of_another() {
        // A global counter would step by one for each connection of anyone: here the difference between two peers'
        // ports varies with the secrets.
        let differences: BTreeSet<i32> = (0..50)
            .map(|seed| {
                let mut ports = EphemeralPorts::new(&mut Random::new(seed));
                let first = choose(&mut ports, "10.0.0.2:80", PortRange::DEFAULT);
                i32::from(choose(&mut ports, "10.0.0.3:80", PortRange::DEFAULT)) - i32::from(first)
            })
            .collect();
        assert!(differences.len() > 45, "{}", differences.len());
    }

    #[test]
    fn unsuitable_ports_are_passed_over_and_all_are_tried() {
        let mut ports = EphemeralPorts::new(&mut Random::new(3));
        let range = PortRange::new(40_000, 40_099).unwrap();
        let (local, remote) = (LOCAL.parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        assert_eq!(ports.choose(local, remote, range, |port| port == 40_042), Some(40_042));
        let mut asked = BTreeSet::new();
        assert_eq!(ports.choose(local, remote, range, |port| !asked.insert(port)), None);
        assert_eq!(asked.len(), 100);
    }
}
