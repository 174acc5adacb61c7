//! What ICMP for IPv4 and for IPv6 have in common.

use core::net::IpAddr;

use super::checksum::Sum;
use super::ipv6_ext::upper_layer;
use super::{IpProtocol, Ipv4Header, Ipv6Header, Malformed};

/// Length of the header of every ICMP message handled here; what follows is the data of an echo or the quoted
/// packet of an error.
pub const ICMP_HEADER_LEN: usize = 8;

/// What an echo request and its reply have in common.
///
/// ```
/// use tapsock_stack::wire::icmp::Echo;
/// use tapsock_stack::wire::icmpv4::Icmpv4Message;
///
/// let ping = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
/// let echo = Echo { ident: 0x1234, sequence: 1 };
/// assert_eq!(Icmpv4Message::parse(&ping), Ok(Icmpv4Message::EchoRequest(echo)));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct Echo {
    /// Which socket asks.
    pub ident: u16,
    /// Which of its requests this is.
    pub sequence: u16,
}

impl Echo {
    /// Both as they stand in the header.
    pub fn to_bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.ident.to_be_bytes(), self.sequence.to_be_bytes());
        [a, b, c, d]
    }
}

/// Why a packet ran out of time, in both families.
///
/// ```
/// use tapsock_stack::wire::icmp::TimeExceededCode;
///
/// assert_eq!(TimeExceededCode::IN_TRANSIT.0, 0);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct TimeExceededCode(pub u8);

impl TimeExceededCode {
    /// Its TTL or hop limit ran out on the way.
    pub const IN_TRANSIT: TimeExceededCode = TimeExceededCode(0);
    /// Not all of its fragments came in time.
    pub const REASSEMBLY: TimeExceededCode = TimeExceededCode(1);
}

/// The packet that an ICMP error complains of, as far as it is quoted: one that we sent, so `source` is ours.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::icmp::Quoted;
/// use tapsock_stack::wire::{IpProtocol, Ipv4Header, UdpHeader};
///
/// let mut packet = HeaderBlock::new();
/// UdpHeader { source_port: 4000, destination_port: 53, ..UdpHeader::default() }.prepend_to(500, &mut packet);
/// let ip = Ipv4Header {
///     destination: Ipv4Addr::new(192, 0, 2, 1),
///     protocol: IpProtocol::UDP,
///     ..Ipv4Header::default()
/// };
/// ip.prepend_to(508, &mut packet);
/// let quoted = Quoted::parse(&packet)?;
/// assert_eq!(quoted.destination, IpAddr::V4(ip.destination));
/// assert_eq!(quoted.ports(), (4000, 53));
/// # Ok::<(), tapsock_stack::wire::Malformed>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Quoted<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Who was to have it.
    pub destination: IpAddr,
    /// What it carried, behind any extension headers.
    pub protocol: IpProtocol,
    /// The transport header as far as it is quoted, at least 8 bytes.
    pub transport: &'a [u8],
}

impl<'a> Quoted<'a> {
    /// Reads a quoted packet, which ends wherever the sender of the error cut it: its lengths are not held against
    /// it, nor its checksum, which routers may have changed.
    ///
    /// Fails with `BadVersion`, `BadHeaderLength`, `Truncated` where less than 8 bytes of the transport header
    /// are quoted, or `Unsupported` for a fragment without its packet's beginning.
    //= RFC 1122 §3.2.2
    //= RFC 4443 §2.4
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => Err(Malformed::BadVersion),
        }
    }

    /// Source and destination port, where the protocol has them: TCP and UDP.
    pub fn ports(&self) -> (u16, u16) {
        match self.transport.first_chunk() {
            Some(&[a, b, c, d]) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            None => (0, 0),
        }
    }

    /// The sequence number, where the protocol is TCP.
    pub fn sequence(&self) -> u32 {
        match self.transport.first_chunk() {
            Some(&[_, _, _, _, a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
            None => 0,
        }
    }

    /// The identifier and sequence number, where the protocol is ICMP or ICMPv6 and it is an echo.
    pub fn echo(&self) -> Echo {
        let sequence = self.sequence();
        Echo { ident: (sequence >> 16) as u16, sequence: sequence as u16 }
    }

    fn parse_v4(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Ipv4Header::from_fixed_part(bytes.first_chunk().ok_or(Malformed::Truncated)?);
        let header_len = usize::from(header.header_len);
        if header_len < Ipv4Header::MIN_LEN {
            return Err(Malformed::BadHeaderLength);
        }
        if header.fragment_offset != 0 {
            return Err(Malformed::Unsupported);
        }
        let (source, destination) = (header.source.into(), header.destination.into());
        Self::with_transport(source, destination, header.protocol, bytes.get(header_len..))
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Ipv6Header::from_fixed_part(bytes.first_chunk().ok_or(Malformed::Truncated)?);
        let rest = &bytes[Ipv6Header::LEN..];
        let (source, destination) = (header.source.into(), header.destination.into());
        let mut upper = upper_layer(rest, header.next_header).map_err(|_| Malformed::Unsupported)?;
        if let Some(fragment) = upper.fragment {
            if fragment.offset != 0 {
                return Err(Malformed::Unsupported);
            }
            // The first fragment: what follows its header is the packet's own beginning.
            let inner = upper_layer(&rest[upper.offset..], upper.protocol);
            let inner = inner.map_err(|_| Malformed::Unsupported)?;
            upper.protocol = inner.protocol;
            upper.offset += inner.offset;
        }
        Self::with_transport(source, destination, upper.protocol, rest.get(upper.offset..))
    }

    fn with_transport(
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        transport: Option<&'a [u8]>,
    ) -> Result<Self, Malformed> {
        match transport {
            Some(transport) if transport.len() >= MIN_TRANSPORT_LEN => {
                Ok(Quoted { source, destination, protocol, transport })
            }
            _ => Err(Malformed::Truncated),
        }
    }
}

/// What an error tells beside the packet that it quotes: the structure behind that (RFC 4884).
///
/// ```
/// use tapsock_stack::wire::icmp::Extensions;
///
/// // An error whose length attribute says that it quotes 128 bytes, and a structure with nothing in it.
/// let mut message = [0; 8 + 128 + 4];
/// (message[0], message[5], message[136]) = (11, 128 / 4, 2 << 4);
/// assert_eq!(Extensions::of_icmpv4(&message), Some(Extensions { len: 4, valid: true }));
/// message[5] = 0;
/// assert_eq!(Extensions::of_icmpv4(&message), None);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Extensions {
    /// Bytes from its beginning to the end of the message.
    pub len: u16,
    /// Whether its checksum and the lengths of its objects make sense.
    pub valid: bool,
}

impl Extensions {
    /// Those of an ICMP message: unreachable, time exceeded, or parameter problem.
    //= RFC 4884 §4
    pub fn of_icmpv4(message: &[u8]) -> Option<Self> {
        const WITH_LENGTH: [u8; 3] = [3, 11, 12];
        let (kind, words) = (*message.first()?, *message.get(5)?);
        if WITH_LENGTH.contains(&kind) { Extensions::behind(message, usize::from(words) * 4) } else { None }
    }

    /// Those of an ICMPv6 message: unreachable, or time exceeded.
    //= RFC 4884 §4
    pub fn of_icmpv6(message: &[u8]) -> Option<Self> {
        const WITH_LENGTH: [u8; 2] = [1, 3];
        let (kind, words) = (*message.first()?, *message.get(4)?);
        if WITH_LENGTH.contains(&kind) { Extensions::behind(message, usize::from(words) * 8) } else { None }
    }

    fn behind(message: &[u8], quoted: usize) -> Option<Self> {
        let structure = message.get(ICMP_HEADER_LEN + quoted..)?;
        if quoted < LEAST_QUOTED || structure.len() < STRUCTURE_HEADER_LEN {
            return None;
        }
        let len = u16::try_from(structure.len()).ok()?;
        Some(Extensions { len, valid: makes_sense(structure) })
    }
}

/// Whether a structure of version 2 has a checksum that is right, or none, and objects that end with it. Of other versions
/// nothing is known, and nothing said.
//= RFC 4884 §7
fn makes_sense(structure: &[u8]) -> bool {
    if structure[0] >> 4 != 2 {
        return true;
    }
    if structure[2..4] != [0, 0] {
        let mut sum = Sum::default();
        sum.add_bytes(structure);
        if sum.finish() != 0 {
            return false;
        }
    }
    let mut rest = &structure[STRUCTURE_HEADER_LEN..];
    while !rest.is_empty() {
        let len = rest.first_chunk::<2>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        if len < STRUCTURE_HEADER_LEN || len > rest.len() {
            return false;
        }
        rest = &rest[len..];
    }
    true
}

/// The least that is quoted before a structure, in bytes.
const LEAST_QUOTED: usize = 128;

/// Length of a structure's header, and of an object's, in bytes.
const STRUCTURE_HEADER_LEN: usize = 4;

/// What RFC 792 has every error quote of the transport header.
const MIN_TRANSPORT_LEN: usize = 8;

#[cfg(test)]
mod tests;
