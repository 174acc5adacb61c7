//! Whether a socket lets its packets be cut (`IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`), and whether it labels them.

use core::net::IpAddr;

/// Whether routers on a path may cut packets.
///
/// ```
/// use tapsock_stack::discovery::Fragmentation;
///
/// assert_ne!(Fragmentation::Forbidden, Fragmentation::Allowed);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Fragmentation {
    /// They are asked not to (DF), and complain where a packet is too large.
    Forbidden,
    /// They must: the path takes less than packets are ever made.
    Allowed,
}

/// What a socket does about the path's MTU: the modes of ip(7) and ipv6(7), by Linux's names.
///
/// ```
/// use tapsock_stack::discovery::PathMtuDiscovery;
///
/// assert_eq!(PathMtuDiscovery::default(), PathMtuDiscovery::Want);
/// assert_eq!(PathMtuDiscovery::from_number(2), Some(PathMtuDiscovery::Do));
/// assert_eq!(PathMtuDiscovery::from_number(6), None);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum PathMtuDiscovery {
    /// Packets may be cut (`IP_PMTUDISC_DONT`).
    Dont,
    /// They may not while they are no larger than what the path is known to take (`IP_PMTUDISC_WANT`).
    #[default]
    Want,
    /// They may not, and larger ones are refused (`IP_PMTUDISC_DO`).
    Do,
    /// They may not, and what the path is known to take is not looked at (`IP_PMTUDISC_PROBE`).
    Probe,
    /// They may be cut, and what is said of the path is neither looked at nor believed (`IP_PMTUDISC_INTERFACE`).
    Interface,
    /// The same, but for what is larger than the link (`IP_PMTUDISC_OMIT`).
    Omit,
}

/// How large packets to a destination may be, in bytes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Limit {
    /// The largest that goes whole where others are cut.
    pub(crate) whole: usize,
    /// The largest part of one that is cut, and the largest at all where none is.
    pub(crate) part: usize,
}

impl Limit {
    /// Where `whole` bytes go whole, and the socket has been told to send no more than `largest` over IPv6 (`IPV6_MTU`). As
    /// on Linux, that cuts no packet that goes whole.
    pub(crate) fn new(whole: usize, largest: Option<u32>, destination: IpAddr) -> Self {
        let largest = largest.filter(|_| destination.is_ipv6()).map_or(whole, |largest| largest as usize);
        Limit { whole, part: whole.min(largest) }
    }

    /// The parts that a packet of `len` bytes is cut into, where it does not go whole.
    pub(crate) fn cut(self, len: usize) -> Option<usize> {
        (len > self.whole).then_some(self.part)
    }
}

impl PathMtuDiscovery {
    const ALL: [PathMtuDiscovery; 6] = [
        PathMtuDiscovery::Dont,
        PathMtuDiscovery::Want,
        PathMtuDiscovery::Do,
        PathMtuDiscovery::Probe,
        PathMtuDiscovery::Interface,
        PathMtuDiscovery::Omit,
    ];

    /// The mode of that number in `linux/in.h`.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its number in `linux/in.h`.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Whether routers may cut a stream's packets, which are made to fit. A probe's may be cut, as on Linux.
    pub fn of_stream(self, known: Fragmentation) -> Fragmentation {
        match self {
            PathMtuDiscovery::Do => Fragmentation::Forbidden,
            PathMtuDiscovery::Want => known,
            _ => Fragmentation::Allowed,
        }
    }

    /// Whether routers may cut a datagram's packet, which `fits` the path as it is known or does not.
    pub fn of_datagram(self, known: Fragmentation, fits: bool) -> Fragmentation {
        match self {
            PathMtuDiscovery::Do | PathMtuDiscovery::Probe => Fragmentation::Forbidden,
            PathMtuDiscovery::Want if fits => known,
            _ => Fragmentation::Allowed,
        }
    }

    /// The largest packet that goes whole, in bytes, where the path is known to take `path` and the link takes `link`.
    //= RFC 8899 §3
    pub fn largest_whole(self, path: usize, link: usize) -> usize {
        match self {
            PathMtuDiscovery::Dont | PathMtuDiscovery::Want | PathMtuDiscovery::Do => path,
            PathMtuDiscovery::Probe | PathMtuDiscovery::Interface | PathMtuDiscovery::Omit => link,
        }
    }

    /// Whether larger ones are cut here, rather than refused.
    pub fn cuts(self) -> bool {
        matches!(self, PathMtuDiscovery::Dont | PathMtuDiscovery::Want | PathMtuDiscovery::Omit)
    }

    /// Whether what a router says of the path is believed.
    pub fn believes(self) -> bool {
        !matches!(self, PathMtuDiscovery::Interface | PathMtuDiscovery::Omit)
    }

    /// Whether a stream makes smaller segments when the path takes less.
    pub fn adapts(self) -> bool {
        self.believes() && self != PathMtuDiscovery::Dont
    }
}

/// Whether packets of IPv6 bear a flow label (`IPV6_AUTOFLOWLABEL`, RFC 6437).
///
/// ```
/// use tapsock_stack::discovery::AutoLabel;
///
/// assert_eq!(AutoLabel::default(), AutoLabel::Host);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum AutoLabel {
    /// As `net.ipv6.auto_flowlabels` says.
    #[default]
    Host,
    /// They do, where the host allows it.
    On,
    /// They do not, unless the host insists.
    Off,
}

impl AutoLabel {
    /// What comes of it where `net.ipv6.auto_flowlabels` is `setting`: 0 never, 1 unless refused, 2 where wanted,
    /// 3 always.
    pub fn applies(self, setting: u8) -> bool {
        match (setting, self) {
            (0, _) | (1 | 2, AutoLabel::Off) | (2, AutoLabel::Host) => false,
            (1 | 2, _) | (_, _) => true,
        }
    }
}

/// The modes of one socket, which has one for each family.
///
/// ```
/// use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
///
/// let discovery = Discovery { v4: PathMtuDiscovery::Do, ..Discovery::default() };
/// assert_eq!(discovery.of("10.0.0.1".parse().unwrap()), PathMtuDiscovery::Do);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Discovery {
    /// Of IPv4's packets.
    pub v4: PathMtuDiscovery,
    /// Of IPv6's.
    pub v6: PathMtuDiscovery,
}

impl Discovery {
    /// The mode of packets to or from `ip`.
    pub fn of(self, ip: IpAddr) -> PathMtuDiscovery {
        if ip.is_ipv4() { self.v4 } else { self.v6 }
    }
}
