//! Packets on their way in: from the bytes of a frame to what a transport protocol needs to know.

use core::net::IpAddr;

use crate::buf::{Checksum, Chunk, Frame};
use crate::counters::{Counter, Counters};
use crate::iface::InterfaceId;
use crate::ip::fragments::fragment_of_v4;
use crate::wire::checksum::verify_transport;
use crate::wire::icmpv6::ParameterProblemCode;
use crate::wire::ipv6_ext::{ExtError, ExtLimits, FragmentHeader, Limit, OptionAction, upper_layer_within};
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header, Malformed};

/// An IP packet, its headers read.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it came in.
    pub interface: InterfaceId,
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What it carries.
    pub protocol: IpProtocol,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// All of it, from the IP header on.
    pub whole: Chunk,
    /// What follows the IP headers.
    pub payload: Chunk,
    /// Offset of the number of the protocol in `whole`, in bytes.
    pub protocol_offset: u32,
    /// What the link said of the transport checksum.
    pub checksum: Checksum,
    /// Payload of each segment that the link merged into this.
    pub gso_size: Option<u16>,
    /// Which part of a packet it is, where it is only a part. What it carries then begins anywhere.
    pub fragment: Option<FragmentHeader>,
}

impl Packet {
    /// What is known of the transport checksum, after a look at it where nobody has looked.
    pub fn verified(&self) -> Checksum {
        match self.checksum {
            Checksum::Unverified => {
                verify_transport(self.source, self.destination, self.protocol, &self.payload)
            }
            known => known,
        }
    }

    /// The IPv6 header, where it is one.
    pub fn ipv6_header(&self) -> Option<Ipv6Header> {
        Ipv6Header::parse(&self.whole).ok()
    }
}

/// Why a packet was not read to its end.
#[derive(Clone, Debug)]
pub enum Rejected {
    /// It was counted, and nobody is told.
    Dropped,
    /// The sender is to be told that a header makes no sense. `to_group` says that this holds even for a packet to a
    /// group.
    ParameterProblem {
        /// The packet as far as it was read.
        packet: Box<Packet>,
        /// How.
        code: ParameterProblemCode,
        /// Where, in bytes.
        pointer: u32,
        /// Whether a packet to a group is answered too.
        to_group: bool,
    },
}

/// Reads an IPv4 packet. Link padding behind it is cut off.
//= RFC 1122 §3.2.1
pub fn parse_v4(
    interface: InterfaceId,
    frame: &Frame,
    mut whole: Chunk,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    let header = Ipv4Header::parse(&whole).map_err(|malformed| {
        counters.bump(match malformed {
            Malformed::Truncated => Counter::IpExtInTruncatedPkts,
            _ => Counter::IpInHdrErrors,
        });
        Rejected::Dropped
    })?;
    whole.truncate(header.total_len.into());
    if has_source_route(&whole[Ipv4Header::MIN_LEN..header.header_len.into()]) {
        counters.bump(Counter::IpInHdrErrors);
        return Err(Rejected::Dropped);
    }
    Ok(Packet {
        interface,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.protocol,
        fragment: fragment_of_v4(&header),
        hop_limit: header.ttl,
        traffic_class: header.tos,
        payload: whole.slice(header.header_len.into()..whole.len()),
        whole,
        protocol_offset: 9,
        checksum: frame.checksum,
        gso_size: frame.gso_size,
    })
}

/// Whether `options` of an IPv4 header name a source route, which is not taken, as in Linux by default. All others are
/// skipped.
//= RFC 9293 MUST-50
//= RFC 1122 §3.2.1.8
fn has_source_route(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        options = match kind {
            0 => return false,
            1 => rest,
            131 | 137 => return true,
            // A length that makes no sense ends the list.
            _ => match rest.first().map(|len| usize::from(*len)) {
                Some(len @ 2..) => options.get(len..).unwrap_or_default(),
                _ => return false,
            },
        };
    }
    false
}

/// Reads an IPv6 packet with its extension headers. Link padding behind it is cut off.
//= RFC 8200 §3
pub fn parse_v6(
    interface: InterfaceId,
    frame: &Frame,
    mut whole: Chunk,
    limits: &ExtLimits,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    let header = Ipv6Header::parse(&whole).map_err(|malformed| {
        counters.bump(match malformed {
            Malformed::Truncated => Counter::Ip6InTruncatedPkts,
            _ => Counter::Ip6InHdrErrors,
        });
        Rejected::Dropped
    })?;
    whole.truncate(Ipv6Header::LEN + usize::from(header.payload_len));
    let mut packet = Packet {
        interface,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.next_header,
        hop_limit: header.hop_limit,
        traffic_class: header.traffic_class,
        payload: whole.slice(Ipv6Header::LEN..whole.len()),
        whole,
        protocol_offset: 6,
        checksum: frame.checksum,
        gso_size: frame.gso_size,
        fragment: None,
    };
    match upper_layer_within(&packet.payload, header.next_header, limits) {
        Ok(upper) => {
            packet.fragment = upper.fragment;
            packet.protocol = upper.protocol;
            packet.protocol_offset = upper.pointer;
            packet.payload.advance(upper.offset);
            Ok(packet)
        }
        Err(error) => {
            counters.bump(match error {
                ExtError::UnknownNextHeader { .. } => Counter::Ip6InUnknownProtos,
                ExtError::UnknownRouting { .. } if packet.destination.is_multicast() => {
                    Counter::Ip6InAddrErrors
                }
                _ => Counter::Ip6InHdrErrors,
            });
            Err(reject(packet, error))
        }
    }
}

/// What an extension header that can't be passed means for the packet.
//= RFC 8200 §4.2
//= RFC 4443 §3.4
fn reject(packet: Packet, error: ExtError) -> Rejected {
    let (code, pointer, to_group) = match error {
        ExtError::Malformed(_) => return Rejected::Dropped,
        ExtError::UnknownOption { action, pointer } => match action {
            OptionAction::Skip | OptionAction::Drop => return Rejected::Dropped,
            OptionAction::Report => (ParameterProblemCode::UNKNOWN_OPTION, pointer, true),
            OptionAction::ReportIfUnicast => (ParameterProblemCode::UNKNOWN_OPTION, pointer, false),
        },
        ExtError::UnknownNextHeader { pointer } => {
            (ParameterProblemCode::UNKNOWN_NEXT_HEADER, pointer, false)
        }
        ExtError::UnknownRouting { pointer } | ExtError::JumboPayload { pointer } => {
            (ParameterProblemCode::ERRONEOUS_FIELD, pointer, false)
        }
        ExtError::BeyondLimit { limit, pointer } => {
            let code = match limit {
                Limit::HeaderLen => ParameterProblemCode::HEADER_TOO_BIG,
                Limit::Headers => ParameterProblemCode::TOO_MANY_HEADERS,
                Limit::Options => ParameterProblemCode::TOO_MANY_OPTIONS,
            };
            (code, pointer, false)
        }
    };
    Rejected::ParameterProblem { packet: Box::new(packet), code, pointer, to_group }
}
