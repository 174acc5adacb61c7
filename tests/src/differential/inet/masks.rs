//! What packets carry that is chosen by chance, or made of it: identifications, flow labels and checksums.

use tapsock::bsd::{AF_INET, IPPROTO_ICMP, IPPROTO_ICMPV6, MSG_ERRQUEUE, SOCK_DGRAM, SOCK_RAW};

use crate::differential::Incoming;

/// Length of an IPv4 header without options.
const IPV4_HEADER: usize = 20;
/// Length of the header of an ICMP message; what it quotes follows.
const ICMP_HEADER: usize = 8;

/// What a socket receives.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// The bytes that were sent.
    Bytes,
    /// Packets of IPv4, of this protocol.
    Packets4(i32),
    /// What IPv6 carries, of this protocol.
    Payload6(i32),
    /// Echo messages with an identifier that the stack chose.
    Echoes,
}

impl Nature {
    pub(super) fn of(domain: i32, kind: i32, protocol: i32) -> Nature {
        match (kind, protocol) {
            (SOCK_DGRAM, IPPROTO_ICMP | IPPROTO_ICMPV6) => Nature::Echoes,
            (SOCK_RAW, _) if domain == AF_INET => Nature::Packets4(protocol),
            (SOCK_RAW, _) => Nature::Payload6(protocol),
            _ => Nature::Bytes,
        }
    }

    /// Puts zeros where chance was.
    pub(super) fn mask(self, taken: &mut Incoming) {
        let quotes = taken.flags & MSG_ERRQUEUE != 0;
        let data = &mut taken.data[..];
        match self {
            Nature::Bytes => {}
            Nature::Echoes => zero(data, &[(2, 6)]),
            // Errors quote what follows the header.
            Nature::Packets4(IPPROTO_ICMP) if quotes => zero(data, &[(2, 4)]),
            Nature::Packets4(_) if quotes => {}
            Nature::Packets4(protocol) => {
                mask_header4(data);
                if protocol == IPPROTO_ICMP {
                    mask_icmp(data.get_mut(IPV4_HEADER..).unwrap_or_default());
                }
            }
            Nature::Payload6(IPPROTO_ICMPV6) => mask_icmp6(data),
            Nature::Payload6(_) => {}
        }
    }
}

fn mask_header4(header: &mut [u8]) {
    zero(header, &[(4, 6), (10, 12)]);
}

fn mask_icmp(message: &mut [u8]) {
    zero(message, &[(2, 4)]);
    // Unreachable, redirect, time exceeded, and a problem with a parameter.
    if matches!(message.first(), Some(3 | 5 | 11 | 12)) {
        mask_header4(message.get_mut(ICMP_HEADER..).unwrap_or_default());
    }
}

fn mask_icmp6(message: &mut [u8]) {
    zero(message, &[(2, 4)]);
    // Errors quote a packet, with its flow label.
    if matches!(message.first(), Some(..=127)) {
        zero(message.get_mut(ICMP_HEADER..).unwrap_or_default(), &[(1, 4), (42, 44)]);
    }
}

/// Zeros from the first to the second of each, as far as there is something.
fn zero(bytes: &mut [u8], ranges: &[(usize, usize)]) {
    for (from, to) in ranges {
        let to = (*to).min(bytes.len());
        bytes.get_mut(*from..to).unwrap_or_default().fill(0);
    }
}
