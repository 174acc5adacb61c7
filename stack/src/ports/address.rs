//! The local address of a socket: one of the host's, or a wildcard.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a socket is bound to, apart from its port.
///
/// An IPv4 address in IPv6's notation (`::ffff:10.0.0.1`) is [`LocalAddr::V4`], whatever the socket's family.
///
/// ```
/// use tapsock_stack::ports::LocalAddr;
///
/// let dual = LocalAddr::AnyV6 { only_v6: false };
/// assert!(dual.overlaps(LocalAddr::AnyV4));
/// assert!(!LocalAddr::AnyV6 { only_v6: true }.overlaps(LocalAddr::AnyV4));
/// assert_eq!(LocalAddr::new("::ffff:10.0.0.1".parse().unwrap(), 0), LocalAddr::V4([10, 0, 0, 1].into()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum LocalAddr {
    /// All IPv4 addresses of the host.
    AnyV4,
    /// All IPv6 addresses of the host.
    AnyV6 {
        /// Whether IPv4 is left out (`IPV6_V6ONLY`).
        only_v6: bool,
    },
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// One IPv6 address with its scope: an interface's number, or 0 for any.
    V6(Ipv6Addr, u32),
}

impl LocalAddr {
    /// The local address that `ip` names: a wildcard where it is unspecified. `::` takes IPv4 as well.
    pub fn new(ip: IpAddr, scope: u32) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) if ip.is_unspecified() => LocalAddr::AnyV4,
            IpAddr::V4(ip) => LocalAddr::V4(ip),
            IpAddr::V6(ip) if ip.is_unspecified() => LocalAddr::AnyV6 { only_v6: false },
            IpAddr::V6(ip) => LocalAddr::V6(ip, scope),
        }
    }

    /// The IP address, unspecified for a wildcard.
    pub fn ip(self) -> IpAddr {
        match self {
            LocalAddr::AnyV4 => Ipv4Addr::UNSPECIFIED.into(),
            LocalAddr::AnyV6 { .. } => Ipv6Addr::UNSPECIFIED.into(),
            LocalAddr::V4(ip) => ip.into(),
            LocalAddr::V6(ip, _) => ip.into(),
        }
    }

    /// Whether it stands for more than one address.
    pub fn is_wildcard(self) -> bool {
        matches!(self, LocalAddr::AnyV4 | LocalAddr::AnyV6 { .. })
    }

    /// Whether a packet to `destination`, which came in over the interface with the scope `scope`, is one for this
    /// address.
    pub fn accepts(self, destination: IpAddr, scope: u32) -> bool {
        match (self, destination) {
            (LocalAddr::AnyV4 | LocalAddr::AnyV6 { only_v6: false }, IpAddr::V4(_)) => true,
            (LocalAddr::AnyV6 { .. }, IpAddr::V6(_)) => true,
            (LocalAddr::V4(own), IpAddr::V4(ip)) => own == ip,
            (LocalAddr::V6(own, own_scope), IpAddr::V6(ip)) => own == ip && same_scope(own_scope, scope),
            _ => false,
        }
    }

    /// Whether there is a packet that both addresses would accept.
    pub fn overlaps(self, other: LocalAddr) -> bool {
        use LocalAddr::{AnyV4, AnyV6, V4, V6};
        match (self, other) {
            (AnyV4, AnyV4) | (AnyV6 { .. }, AnyV6 { .. }) => true,
            (AnyV4, V4(_)) | (V4(_), AnyV4) => true,
            (AnyV6 { .. }, V6(..)) | (V6(..), AnyV6 { .. }) => true,
            (AnyV6 { only_v6 }, AnyV4 | V4(_)) | (AnyV4 | V4(_), AnyV6 { only_v6 }) => !only_v6,
            (V4(one), V4(two)) => one == two,
            (V6(one, scope), V6(two, other_scope)) => one == two && same_scope(scope, other_scope),
            (AnyV4 | V4(_), V6(..)) | (V6(..), AnyV4 | V4(_)) => false,
        }
    }
}

impl From<IpAddr> for LocalAddr {
    fn from(ip: IpAddr) -> Self {
        LocalAddr::new(ip, 0)
    }
}

fn same_scope(one: u32, two: u32) -> bool {
    one == two || one == 0 || two == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which pairs of addresses Linux 6.18 refuses to bind to one port, without any option. One row for each address
    /// bound first, one column for each bound second, in the order of [`addresses`].
    const LINUX: [&str; 9] = [
        "XX.XX..XX", // 0.0.0.0
        "XXXXXXXXX", // ::
        ".XX..XX..", // :: with IPV6_V6ONLY
        "XX.X...XX", // 127.0.0.1
        "XX..X...X", // 127.0.0.2
        ".XX..X...", // ::1
        ".XX...X..", // fd00::1
        "XX.X...XX", // ::ffff:127.0.0.1
        "XX.XX..XX", // ::ffff:0.0.0.0
    ];

    fn addresses() -> [LocalAddr; 9] {
        let parse = |text: &str| LocalAddr::new(text.parse().unwrap(), 0);
        [
            parse("0.0.0.0"),
            parse("::"),
            LocalAddr::AnyV6 { only_v6: true },
            parse("127.0.0.1"),
            parse("127.0.0.2"),
            parse("::1"),
            parse("fd00::1"),
            parse("::ffff:127.0.0.1"),
            parse("::ffff:0.0.0.0"),
        ]
    }

    #[test]
    fn overlaps_where_linux_says_so() {
        for (first, row) in addresses().into_iter().zip(LINUX) {
            for (second, outcome) in addresses().into_iter().zip(row.chars()) {
                assert_eq!(first.overlaps(second), outcome == 'X', "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn overlapping_means_accepting_the_same_packet() {
        let packets = ["127.0.0.1", "127.0.0.2", "10.0.0.1", "::1", "fd00::1", "fd00::2"];
        for first in addresses() {
            for second in addresses() {
                let both = packets
                    .iter()
                    .map(|ip| ip.parse().unwrap())
                    .any(|ip| first.accepts(ip, 1) && second.accepts(ip, 1));
                assert_eq!(first.overlaps(second), both, "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn link_local_addresses_belong_to_an_interface() {
        let ip: Ipv6Addr = "fe80::1".parse().unwrap();
        let (one, two, any) = (LocalAddr::V6(ip, 1), LocalAddr::V6(ip, 2), LocalAddr::V6(ip, 0));
        assert!(!one.overlaps(two));
        assert!(one.overlaps(any) && any.overlaps(two));
        assert!(one.accepts(ip.into(), 1) && !one.accepts(ip.into(), 2));
    }

    #[test]
    fn an_address_names_itself() {
        for text in ["0.0.0.0", "::", "10.0.0.1", "fd00::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(LocalAddr::from(ip).ip(), ip);
            assert_eq!(LocalAddr::from(ip).is_wildcard(), ip.is_unspecified());
        }
    }
}
