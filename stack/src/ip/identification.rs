//! The identification of IPv4's packets.

use core::net::IpAddr;

use crate::random::{KeyedHash, Random};
use crate::wire::IpProtocol;

/// Counters that pairs of hosts share: a power of two.
const COUNTERS: usize = 2048;

/// Numbers that tell the fragments of one packet from those of others. Each pair of hosts and protocol counts on from
/// a secret start, so that a number comes again as late as can be, and nobody tells from those that he gets those that
/// others do. Pairs that the hash throws together share a counter, as on Linux.
///
/// ```
/// use tapsock_stack::ip::identification::Identifications;
/// use tapsock_stack::random::Random;
/// use tapsock_stack::wire::IpProtocol;
///
/// let mut numbers = Identifications::new(&mut Random::new(1));
/// let pair = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
/// let first = numbers.next(pair, IpProtocol::UDP, 2);
/// assert_eq!(numbers.next(pair, IpProtocol::UDP, 1), first.wrapping_add(2));
/// ```
//= RFC 6864 §4.3
//= RFC 7739 §5.3
#[derive(Debug)]
pub struct Identifications {
    counters: Box<[u16]>,
    secret: KeyedHash,
}

impl Identifications {
    /// Counters that begin anywhere.
    pub fn new(random: &mut Random) -> Self {
        let secret = random.keyed_hash();
        Identifications { counters: (0..COUNTERS).map(|_| random.next_u32() as u16).collect(), secret }
    }

    /// The first of `count` numbers in a row for the next packets of `protocol` from the first to the second of `pair`.
    pub fn next(&mut self, pair: (IpAddr, IpAddr), protocol: IpProtocol, count: u16) -> u16 {
        let (source, destination) = (Octets::of(pair.0), Octets::of(pair.1));
        let hash = self.secret.hash(&[source.as_ref(), destination.as_ref(), &[protocol.0]]);
        let counter = &mut self.counters[hash as usize % COUNTERS];
        // The hash again, or all pairs of one counter would see it.
        let first = counter.wrapping_add((hash >> 32) as u16);
        *counter = counter.wrapping_add(count);
        first
    }
}

/// The bytes of an address.
enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Octets::V4(v4.octets()),
            IpAddr::V6(v6) => Octets::V6(v6.octets()),
        }
    }
}

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        match self {
            Octets::V4(octets) => octets,
            Octets::V6(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PAIR: (&str, &str) = ("192.0.2.1", "192.0.2.2");

    //= RFC 6864 §4.3, type=test
    #[test]
    fn no_number_comes_twice_before_all_have_come() {
        let mut numbers = Identifications::new(&mut Random::new(3));
        let pair = (PAIR.0.parse().unwrap(), PAIR.1.parse().unwrap());
        let all: HashSet<u16> = (0..=u16::MAX).map(|_| numbers.next(pair, IpProtocol::UDP, 1)).collect();
        assert_eq!(all.len(), 1 << 16);
    }

    //= RFC 7739 §3, type=test
    #[test]
    fn what_one_host_sees_tells_nothing_of_another() {
        let first = |seed, to: &str| {
            let mut numbers = Identifications::new(&mut Random::new(seed));
            numbers.next((PAIR.0.parse().unwrap(), to.parse().unwrap()), IpProtocol::UDP, 1)
        };
        let distances: HashSet<u16> =
            (0..64).map(|seed| first(seed, "192.0.2.2").wrapping_sub(first(seed, "192.0.2.3"))).collect();
        assert!(distances.len() > 60, "{distances:?}");
    }
}
