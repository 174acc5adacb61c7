//! ICMP for IPv6 (RFC 4443).
//!
//! Neighbour discovery stands in [`ndp`](super::ndp). smoltcp's codec does not serve the rest: it refuses errors of
//! unknown types, which RFC 4443 §2.4 wants passed on, and wants the quoted packet whole.

use core::net::{IpAddr, Ipv6Addr};

use super::checksum::pseudo_header;
use super::icmp::{Echo, ICMP_HEADER_LEN, TimeExceededCode};
use super::ndp::NdpMessage;
use super::{IpProtocol, Ipv6Header, Malformed};
use crate::buf::{Chunk, HeaderBlock, Rope};

/// Bytes of the offending packet that an error quotes at most, so that the error's packet does not pass the minimum
/// MTU of 1280 bytes.
//= RFC 4443 §2.4
pub const MAX_QUOTE_LEN: usize = 1280 - Ipv6Header::LEN - ICMP_HEADER_LEN;

/// An ICMPv6 message. But for neighbour discovery it is the message's first [`ICMP_HEADER_LEN`] bytes; the data of
/// an echo or the quoted packet of an error follow ([`Quoted`](super::icmp::Quoted) reads it).
///
/// ```
/// use core::net::Ipv6Addr;
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::wire::Ipv6Header;
/// use tapsock_stack::wire::icmpv6::Icmpv6Message;
///
/// let too_big = Icmpv6Message::PacketTooBig { mtu: 1280 };
/// let ip = Ipv6Header { source: Ipv6Addr::LOCALHOST, destination: Ipv6Addr::LOCALHOST, ..Ipv6Header::default() };
/// let mut headers = HeaderBlock::new();
/// too_big.prepend_to(ip.source, ip.destination, &Rope::from(vec![0; 100]), &mut headers);
/// assert_eq!(Icmpv6Message::parse(&ip, &headers), Ok(too_big));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Icmpv6Message {
    /// A packet did not reach its destination.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
    },
    /// A packet is larger than a link's MTU.
    PacketTooBig {
        /// That MTU, in bytes. May be below 1280.
        mtu: u32,
    },
    /// A packet, or a fragment of it, took too long.
    TimeExceeded {
        /// Where.
        code: TimeExceededCode,
    },
    /// A packet's header made no sense to its receiver.
    ParameterProblem {
        /// How.
        code: ParameterProblemCode,
        /// Which byte of the packet made no sense.
        pointer: u32,
    },
    /// "Answer me."
    EchoRequest(Echo),
    /// The answer.
    EchoReply(Echo),
    /// Neighbour discovery.
    Ndp(NdpMessage),
    /// A message of another type. Errors (types below 128) go to the transport protocol all the same.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The four bytes after the checksum.
        rest: [u8; 4],
    },
}

impl Icmpv6Message {
    /// Reads the message in `bytes`, the whole payload of the packet with the header `ip`. The checksum is not
    /// looked at ([`verify_transport`](super::checksum::verify_transport) does that).
    ///
    /// Fails with [`Malformed::Truncated`], and for neighbour discovery as [`NdpMessage::parse`].
    pub fn parse(ip: &Ipv6Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[kind, code, _, _, a, b, c, d]) = bytes.first_chunk::<ICMP_HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let echo = Echo { ident: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]) };
        let field = u32::from_be_bytes([a, b, c, d]);
        Ok(match kind {
            DESTINATION_UNREACHABLE => Icmpv6Message::DestinationUnreachable { code: UnreachableCode(code) },
            PACKET_TOO_BIG => Icmpv6Message::PacketTooBig { mtu: field },
            TIME_EXCEEDED => Icmpv6Message::TimeExceeded { code: TimeExceededCode(code) },
            PARAMETER_PROBLEM => {
                Icmpv6Message::ParameterProblem { code: ParameterProblemCode(code), pointer: field }
            }
            ECHO_REQUEST => Icmpv6Message::EchoRequest(echo),
            ECHO_REPLY => Icmpv6Message::EchoReply(echo),
            NEIGHBOR_SOLICIT | NEIGHBOR_ADVERT => Icmpv6Message::Ndp(NdpMessage::parse(ip, bytes)?),
            _ => Icmpv6Message::Other { kind, code, rest: [a, b, c, d] },
        })
    }

    /// Writes the message before all that `headers` holds. `body` is what will follow it and nothing else: the
    /// checksum covers it. A message of neighbour discovery is written with its options and has no body.
    pub fn prepend_to(
        &self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        body: &Rope,
        headers: &mut HeaderBlock,
    ) {
        let (kind, code, [a, b, c, d]) = match *self {
            Icmpv6Message::DestinationUnreachable { code } => (DESTINATION_UNREACHABLE, code.0, [0; 4]),
            Icmpv6Message::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu.to_be_bytes()),
            Icmpv6Message::TimeExceeded { code } => (TIME_EXCEEDED, code.0, [0; 4]),
            Icmpv6Message::ParameterProblem { code, pointer } => {
                (PARAMETER_PROBLEM, code.0, pointer.to_be_bytes())
            }
            Icmpv6Message::EchoRequest(echo) => (ECHO_REQUEST, 0, echo.to_bytes()),
            Icmpv6Message::EchoReply(echo) => (ECHO_REPLY, 0, echo.to_bytes()),
            Icmpv6Message::Ndp(message) => return message.prepend_to(source, destination, headers),
            Icmpv6Message::Other { kind, code, rest } => (kind, code, rest),
        };
        let header = [kind, code, 0, 0, a, b, c, d];
        let len = u32::try_from(ICMP_HEADER_LEN + body.len()).unwrap_or(u32::MAX);
        let mut sum = pseudo_header(IpAddr::V6(source), IpAddr::V6(destination), IpProtocol::ICMPV6, len);
        sum.add_bytes(&header);
        for chunk in body.chunks() {
            sum.add_bytes(chunk);
        }
        let bytes = headers.prepend(ICMP_HEADER_LEN);
        bytes.copy_from_slice(&header);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    }

    /// Whether it is an error: never answered with an error.
    pub fn is_error(&self) -> bool {
        match self {
            Icmpv6Message::DestinationUnreachable { .. }
            | Icmpv6Message::PacketTooBig { .. }
            | Icmpv6Message::TimeExceeded { .. }
            | Icmpv6Message::ParameterProblem { .. } => true,
            Icmpv6Message::EchoRequest(_) | Icmpv6Message::EchoReply(_) | Icmpv6Message::Ndp(_) => false,
            Icmpv6Message::Other { kind, .. } => is_error(*kind),
        }
    }
}

/// Whether a message of type `kind` is never to be answered with an error: it is an error itself, or a redirect.
//= RFC 4443 §2.4
pub const fn is_error(kind: u8) -> bool {
    kind < ECHO_REQUEST || kind == REDIRECT
}

/// What an error quotes of `packet`, a whole IP packet: as much as fits, by reference.
//= RFC 4443 §2.4 MUST-4
pub fn quote(packet: &Chunk) -> Rope {
    Rope::from(packet.slice(0..packet.len().min(MAX_QUOTE_LEN)))
}

/// Why a packet did not reach its destination (RFC 4443 §3.1).
///
/// ```
/// use tapsock_stack::wire::icmpv6::UnreachableCode;
///
/// assert_eq!(UnreachableCode::PORT, UnreachableCode(4));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route to the destination.
    pub const NO_ROUTE: UnreachableCode = UnreachableCode(0);
    /// The destination is forbidden by an administrator.
    pub const PROHIBITED: UnreachableCode = UnreachableCode(1);
    /// The destination is beyond the scope of the source address.
    pub const BEYOND_SCOPE: UnreachableCode = UnreachableCode(2);
    /// The last router could not reach the host.
    pub const ADDRESS: UnreachableCode = UnreachableCode(3);
    /// Nobody listens at the port.
    pub const PORT: UnreachableCode = UnreachableCode(4);
    /// The source address failed a filter.
    pub const SOURCE_REFUSED: UnreachableCode = UnreachableCode(5);
    /// A route says that the destination is refused.
    pub const ROUTE_REFUSED: UnreachableCode = UnreachableCode(6);
}

/// What made no sense in a packet (RFC 4443 §3.4).
///
/// ```
/// use tapsock_stack::wire::icmpv6::ParameterProblemCode;
///
/// assert_eq!(ParameterProblemCode::UNKNOWN_OPTION, ParameterProblemCode(2));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct ParameterProblemCode(pub u8);

impl ParameterProblemCode {
    /// A header field.
    pub const ERRONEOUS_FIELD: ParameterProblemCode = ParameterProblemCode(0);
    /// A next header that the receiver does not know.
    pub const UNKNOWN_NEXT_HEADER: ParameterProblemCode = ParameterProblemCode(1);
    /// An option that the receiver does not know.
    pub const UNKNOWN_OPTION: ParameterProblemCode = ParameterProblemCode(2);
    /// A first fragment that ends before its headers do (RFC 7112).
    pub const INCOMPLETE_CHAIN: ParameterProblemCode = ParameterProblemCode(3);
    /// An extension header longer than is looked at (RFC 8883).
    pub const HEADER_TOO_BIG: ParameterProblemCode = ParameterProblemCode(6);
    /// More extension headers than are looked at.
    pub const TOO_MANY_HEADERS: ParameterProblemCode = ParameterProblemCode(8);
    /// More options in one extension header than are looked at.
    pub const TOO_MANY_OPTIONS: ParameterProblemCode = ParameterProblemCode(9);
}

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
/// Types below are errors.
pub(crate) const ECHO_REQUEST: u8 = 128;
/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 129;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;
const REDIRECT: u8 = 137;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cut_short_is_truncated() {
        let ip = Ipv6Header::default();
        for len in 0..ICMP_HEADER_LEN {
            assert_eq!(Icmpv6Message::parse(&ip, &[128; ICMP_HEADER_LEN][..len]), Err(Malformed::Truncated));
        }
    }

    //= RFC 4443 §2.4, type=test
    #[test]
    fn errors_are_told_from_questions() {
        let ip = Ipv6Header::default();
        for kind in (0..=255).filter(|kind| !matches!(kind, 135 | 136)) {
            let message = Icmpv6Message::parse(&ip, &[kind, 0, 0, 0, 0, 0, 0, 0]).unwrap();
            assert_eq!(message.is_error(), kind < 128 || kind == 137, "{kind}");
        }
    }

    #[test]
    fn an_unknown_error_is_passed_on() {
        let message = Icmpv6Message::Other { kind: 100, code: 1, rest: [2, 3, 4, 5] };
        let mut headers = HeaderBlock::new();
        message.prepend_to(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, &Rope::new(), &mut headers);
        assert_eq!(Icmpv6Message::parse(&Ipv6Header::default(), &headers), Ok(message));
    }
}
