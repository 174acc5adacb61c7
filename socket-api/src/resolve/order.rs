//! Which of several addresses to try first: the rules of RFC 3484 §6 as glibc applies them with its default tables.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock_stack::iface::IpCidr;

/// Where a datagram to some destination would come from.
///
/// ```
/// use tapsock::resolve::Source;
///
/// let source = Source { address: "10.0.0.2/24".parse().unwrap(), deprecated: false };
/// assert_eq!(source.address.prefix_len, 24);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The source address, in its network.
    pub address: IpCidr,
    /// Whether it is past its preferred lifetime (RFC 4862).
    pub deprecated: bool,
}

/// Sorts destinations, the best first, by what holds now: an order is never kept. What is decided by one rule no later one
/// undoes; what no rule tells apart keeps its order. `source` is asked once for each; for
/// the unspecified address it is asked for the loopback address, which is where a packet to it would go.
///
/// ```
/// use tapsock::resolve::{Source, sort_destinations};
///
/// // Only IPv4 is connected.
/// let source = |destination: std::net::SocketAddr| {
///     let address = "10.0.0.2/24".parse().unwrap();
///     destination.is_ipv4().then_some(Source { address, deprecated: false })
/// };
/// let mut addresses = ["[2001:db8::1]:80".parse().unwrap(), "10.0.0.1:80".parse().unwrap()].to_vec();
/// sort_destinations(&mut addresses, source);
/// assert!(addresses[0].is_ipv4());
/// ```
//= RFC 6724 §6 MUST-2
//= RFC 6724 §6 MUST-3
//= RFC 6724 §8 MUST-1
pub fn sort_destinations(
    destinations: &mut [SocketAddr],
    mut source: impl FnMut(SocketAddr) -> Option<Source>,
) {
    let mut candidates: Vec<Candidate> = destinations
        .iter()
        .map(|&destination| Candidate { destination, source: source(reached(destination)) })
        .collect();
    candidates.sort_by(Candidate::compare);
    for (place, candidate) in destinations.iter_mut().zip(candidates) {
        *place = candidate.destination;
    }
}

/// Where a packet to `destination` goes: to this host, where it is unspecified.
fn reached(mut destination: SocketAddr) -> SocketAddr {
    match destination.ip() {
        IpAddr::V4(address) if address.is_unspecified() => destination.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(address) if address.is_unspecified() => destination.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    destination
}

struct Candidate {
    destination: SocketAddr,
    source: Option<Source>,
}

impl Candidate {
    /// Rules 4 and 7, of home addresses and tunnels, have nothing to act on; the others are 1 (usable), 2 (scope), 3 (deprecated), 5 (label), 6 (precedence), 8 (smaller scope) and 9 (prefix).
    fn compare(&self, other: &Candidate) -> Ordering {
        // `true` is the greater: it comes first.
        let prefer = |ours: bool, theirs: bool| theirs.cmp(&ours);
        prefer(self.source.is_some(), other.source.is_some())
            .then_with(|| prefer(self.scopes_match(), other.scopes_match()))
            .then_with(|| prefer(!self.is_deprecated(), !other.is_deprecated()))
            .then_with(|| prefer(self.labels_match(), other.labels_match()))
            .then_with(|| precedence(other.ip()).cmp(&precedence(self.ip())))
            .then_with(|| scope(self.ip()).cmp(&scope(other.ip())))
            .then_with(|| match self.ip().is_ipv4() == other.ip().is_ipv4() {
                true => other.common_prefix().cmp(&self.common_prefix()),
                false => Ordering::Equal,
            })
    }

    fn ip(&self) -> IpAddr {
        self.destination.ip()
    }

    fn scopes_match(&self) -> bool {
        self.source.is_some_and(|source| scope(source.address.address) == scope(self.ip()))
    }

    fn is_deprecated(&self) -> bool {
        self.source.is_some_and(|source| source.deprecated)
    }

    fn labels_match(&self) -> bool {
        self.source.is_some_and(|source| label(source.address.address) == label(self.ip()))
    }

    /// Bits that source and destination begin with alike. For IPv4 they say nothing but in one network.
    fn common_prefix(&self) -> u32 {
        match (self.source.map(|source| source.address), self.ip()) {
            (Some(network), IpAddr::V4(destination)) if network.contains(destination.into()) => {
                match network.address {
                    IpAddr::V4(source) => (source.to_bits() ^ destination.to_bits()).leading_zeros(),
                    IpAddr::V6(_) => 0,
                }
            }
            (Some(IpCidr { address: IpAddr::V6(source), .. }), IpAddr::V6(destination)) => {
                (source.to_bits() ^ destination.to_bits()).leading_zeros()
            }
            _ => 0,
        }
    }
}

/// Link-local, site-local and global, with multicast's numbers (RFC 3484 §3.1).
//= RFC 6724 §3.2
fn scope(address: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match address {
        IpAddr::V4(address) if address.is_loopback() || address.is_link_local() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(address) if address.is_multicast() => address.octets()[1] & 0xf,
        IpAddr::V6(address) if address.is_loopback() || address.is_unicast_link_local() => LINK,
        IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfec0 => SITE,
        IpAddr::V6(_) => GLOBAL,
    }
}

/// Prefix, its length, and its label; the first that fits. IPv4 is looked up as IPv4-mapped.
const LABELS: [(Ipv6Addr, u32, u8); 8] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 7),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 5),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 6),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

/// Prefix, its length, and its precedence; the first that fits.
const PRECEDENCES: [(Ipv6Addr, u32, u8); 5] = [
    (Ipv6Addr::LOCALHOST, 128, 50),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 10),
    (Ipv6Addr::UNSPECIFIED, 96, 20),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 30),
    (Ipv6Addr::UNSPECIFIED, 0, 40),
];

fn label(address: IpAddr) -> u8 {
    look_up(&LABELS, address)
}

fn precedence(address: IpAddr) -> u8 {
    look_up(&PRECEDENCES, address)
}

//= RFC 6724 §3.2 MUST-1
//= RFC 6724 §6 MUST-1
fn look_up(table: &[(Ipv6Addr, u32, u8)], address: IpAddr) -> u8 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    let fits = |prefix: &Ipv6Addr, len: u32| (prefix.to_bits() ^ address).leading_zeros() >= len;
    table.iter().find(|(prefix, len, _)| fits(prefix, *len)).map_or(0, |(_, _, value)| *value)
}
