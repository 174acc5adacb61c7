//! What sequences are about.

use tapsock::bsd::*;

/// A number that no protocol has.
const NOBODYS: i32 = 200;

/// What a sequence is about.
///
/// ```
/// use tapsock::bsd::SOCK_STREAM;
/// use tapsock_tests::differential::Sort;
///
/// assert_eq!(Sort::ALL.iter().filter(|sort| sort.kind == SOCK_STREAM).count(), 3);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sort {
    /// Of which domains the sockets are.
    pub domains: &'static [i32],
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub kind: i32,
    /// Of which protocols, in IPv4 and in IPv6.
    pub protocols: &'static [[i32; 2]],
}

/// In IPv4, in IPv6, and in both at once.
const fn each(kind: i32, protocols: &'static [[i32; 2]]) -> [Sort; 3] {
    [
        Sort { domains: &[AF_INET], kind, protocols },
        Sort { domains: &[AF_INET6], kind, protocols },
        Sort { domains: &[AF_INET, AF_INET6], kind, protocols },
    ]
}

const TCP: [Sort; 3] = each(SOCK_STREAM, &[[0, 0]]);
const UDP: [Sort; 3] = each(SOCK_DGRAM, &[[0, 0]]);
const PING: [Sort; 3] = each(SOCK_DGRAM, &[[IPPROTO_ICMP, IPPROTO_ICMPV6]]);
const RAW: [Sort; 3] = each(SOCK_RAW, &[[NOBODYS, NOBODYS], [IPPROTO_ICMP, IPPROTO_ICMPV6]]);

impl Sort {
    /// TCP, UDP, ping and raw.
    pub const ALL: [Sort; 12] =
        [TCP[0], TCP[1], TCP[2], UDP[0], UDP[1], UDP[2], PING[0], PING[1], PING[2], RAW[0], RAW[1], RAW[2]];

    /// Whether there are sockets of IPv6.
    pub fn has_v6(self) -> bool {
        self.domains.contains(&AF_INET6)
    }

    pub(super) fn is_stream(self) -> bool {
        self.kind == SOCK_STREAM
    }

    pub(super) fn is_udp(self) -> bool {
        self.kind == SOCK_DGRAM && !self.is_ping()
    }

    pub(super) fn is_ping(self) -> bool {
        self.kind == SOCK_DGRAM && self.protocols[0][0] == IPPROTO_ICMP
    }

    /// Domain and protocol of a socket, as a number says that was drawn.
    pub(super) fn socket(self, drawn: usize) -> (i32, i32) {
        let domain = self.domains[drawn % self.domains.len()];
        let protocols = self.protocols[drawn / self.domains.len() % self.protocols.len()];
        (domain, protocols[usize::from(domain == AF_INET6)])
    }
}
