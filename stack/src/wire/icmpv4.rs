//! ICMP for IPv4 (RFC 792).
//!
//! smoltcp's codec does not reach here: it knows neither the MTU of "fragmentation needed" nor the pointer of a
//! parameter problem, and wants the quoted packet whole.

use super::Malformed;
use super::checksum::Sum;
use super::icmp::{Echo, ICMP_HEADER_LEN, TimeExceededCode};
use crate::buf::{Chunk, HeaderBlock, Rope};

/// Bytes of the offending packet that an error quotes at most, so that the error's packet does not pass 576 bytes.
//= RFC 1812 §4.3.2.3
pub const MAX_QUOTE_LEN: usize = 576 - 20 - ICMP_HEADER_LEN;

/// The header of an ICMP message: its first [`ICMP_HEADER_LEN`] bytes. The data of an echo or the quoted packet of
/// an error follow ([`Quoted`](super::icmp::Quoted) reads it).
///
/// ```
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::wire::icmp::{Echo, ICMP_HEADER_LEN};
/// use tapsock_stack::wire::icmpv4::Icmpv4Message;
///
/// let ping = Icmpv4Message::EchoRequest(Echo { ident: 7, sequence: 1 });
/// let mut headers = HeaderBlock::new();
/// ping.prepend_to(&Rope::from(&b"0123456789"[..]), &mut headers);
/// assert_eq!(headers.len(), ICMP_HEADER_LEN);
/// assert_eq!(Icmpv4Message::parse(&headers), Ok(ping));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Icmpv4Message {
    /// "Answer me."
    EchoRequest(Echo),
    /// The answer.
    EchoReply(Echo),
    /// A packet did not reach its destination.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
        /// The next link's MTU in bytes, with [`UnreachableCode::FRAGMENTATION_NEEDED`]; 0 from routers older than
        /// RFC 1191.
        mtu: u16,
    },
    /// A packet, or a fragment of it, took too long.
    TimeExceeded {
        /// Where.
        code: TimeExceededCode,
    },
    /// A packet's header made no sense to its receiver.
    ParameterProblem {
        /// 0 where `pointer` counts.
        code: u8,
        /// Which byte of the packet made no sense.
        pointer: u8,
    },
    /// A message of another type, which no one here acts on.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The four bytes after the checksum.
        rest: [u8; 4],
    },
}

impl Icmpv4Message {
    /// Reads the header at the start of `bytes`, the whole payload of an IP packet. The checksum is not looked at
    /// ([`verify_transport`](super::checksum::verify_transport) does that), nor the code of an echo, as Linux.
    ///
    /// Fails with [`Malformed::Truncated`] only.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[kind, code, _, _, a, b, c, d]) = bytes.first_chunk::<ICMP_HEADER_LEN>() else {
            return Err(Malformed::Truncated);
        };
        let echo = Echo { ident: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]) };
        Ok(match kind {
            ECHO_REQUEST => Icmpv4Message::EchoRequest(echo),
            ECHO_REPLY => Icmpv4Message::EchoReply(echo),
            DESTINATION_UNREACHABLE => Icmpv4Message::DestinationUnreachable {
                code: UnreachableCode(code),
                mtu: u16::from_be_bytes([c, d]),
            },
            TIME_EXCEEDED => Icmpv4Message::TimeExceeded { code: TimeExceededCode(code) },
            PARAMETER_PROBLEM => Icmpv4Message::ParameterProblem { code, pointer: a },
            _ => Icmpv4Message::Other { kind, code, rest: [a, b, c, d] },
        })
    }

    /// Writes the header before all that `headers` holds. `body` is what will follow it and nothing else: the
    /// checksum covers it.
    pub fn prepend_to(&self, body: &Rope, headers: &mut HeaderBlock) {
        let (kind, code, [a, b, c, d]) = self.fields();
        let header = [kind, code, 0, 0, a, b, c, d];
        let mut sum = Sum::new();
        sum.add_bytes(&header);
        for chunk in body.chunks() {
            sum.add_bytes(chunk);
        }
        let bytes = headers.prepend(ICMP_HEADER_LEN);
        bytes.copy_from_slice(&header);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    }

    /// Whether it is an error or of an unknown type: neither is ever answered with an error.
    //= RFC 1122 §3.2.2
    pub fn is_error(&self) -> bool {
        is_error(self.fields().0)
    }

    fn fields(&self) -> (u8, u8, [u8; 4]) {
        match *self {
            Icmpv4Message::EchoRequest(echo) => (ECHO_REQUEST, 0, echo.to_bytes()),
            Icmpv4Message::EchoReply(echo) => (ECHO_REPLY, 0, echo.to_bytes()),
            Icmpv4Message::DestinationUnreachable { code, mtu } => {
                let [high, low] = mtu.to_be_bytes();
                (DESTINATION_UNREACHABLE, code.0, [0, 0, high, low])
            }
            Icmpv4Message::TimeExceeded { code } => (TIME_EXCEEDED, code.0, [0; 4]),
            Icmpv4Message::ParameterProblem { code, pointer } => {
                (PARAMETER_PROBLEM, code, [pointer, 0, 0, 0])
            }
            Icmpv4Message::Other { kind, code, rest } => (kind, code, rest),
        }
    }
}

/// Whether a message of type `kind` is never to be answered with an error: it is an error itself, or a type beyond
/// those of RFC 792 and RFC 950, of which nobody knows, as Linux has it.
pub const fn is_error(kind: u8) -> bool {
    matches!(kind, DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
        || kind > ADDRESS_MASK_REPLY
}

/// What an error with `options` bytes of IP options quotes of `packet`, a whole IP packet: as much as fits, by reference.
pub fn quote(packet: &Chunk, options: usize) -> Rope {
    Rope::from(packet.slice(0..packet.len().min(MAX_QUOTE_LEN - options)))
}

/// Why a packet did not reach its destination (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
///
/// ```
/// use tapsock_stack::wire::icmpv4::UnreachableCode;
///
/// assert_eq!(UnreachableCode::PORT, UnreachableCode(3));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route to the network.
    pub const NETWORK: UnreachableCode = UnreachableCode(0);
    /// The last router could not reach the host.
    pub const HOST: UnreachableCode = UnreachableCode(1);
    /// The host does not speak the protocol.
    pub const PROTOCOL: UnreachableCode = UnreachableCode(2);
    /// Nobody listens at the port.
    pub const PORT: UnreachableCode = UnreachableCode(3);
    /// The packet is larger than a link's MTU and must not be cut.
    pub const FRAGMENTATION_NEEDED: UnreachableCode = UnreachableCode(4);
    /// The source route failed.
    pub const SOURCE_ROUTE_FAILED: UnreachableCode = UnreachableCode(5);
    /// The network is forbidden by an administrator.
    pub const NETWORK_PROHIBITED: UnreachableCode = UnreachableCode(9);
    /// The host is forbidden by an administrator.
    pub const HOST_PROHIBITED: UnreachableCode = UnreachableCode(10);
    /// The packet was filtered.
    pub const FILTERED: UnreachableCode = UnreachableCode(13);
}

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
/// Type of a redirect.
pub const REDIRECT: u8 = 5;
/// Type of an echo request.
pub(crate) const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const ADDRESS_MASK_REPLY: u8 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cut_short_is_truncated() {
        for len in 0..ICMP_HEADER_LEN {
            assert_eq!(Icmpv4Message::parse(&[8; ICMP_HEADER_LEN][..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn other_types_are_kept_as_they_are() {
        let message = Icmpv4Message::Other { kind: 13, code: 1, rest: [2, 3, 4, 5] };
        let mut headers = HeaderBlock::new();
        message.prepend_to(&Rope::new(), &mut headers);
        assert_eq!(Icmpv4Message::parse(&headers), Ok(message));
    }

    //= RFC 1122 §3.2.2, type=test
    #[test]
    fn errors_are_told_from_questions() {
        for kind in 0..=255 {
            let message = Icmpv4Message::parse(&[kind, 0, 0, 0, 0, 0, 0, 0]).unwrap();
            let question = matches!(kind, 0 | 1 | 2 | 6..=10 | 13..=18);
            assert_eq!(message.is_error(), !question, "{kind}");
        }
    }
}
