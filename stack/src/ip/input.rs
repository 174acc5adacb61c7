//! Packets on their way in: from the bytes of a frame to what a transport protocol needs to know.

use core::net::IpAddr;

use crate::buf::{Checksum, Chunk, Frame};
use crate::counters::{Counter, Counters};
use crate::iface::InterfaceId;
use crate::ip::fragments::fragment_of_v4;
use crate::ip::icmp::ErrorKind;
use crate::wire::checksum::verify_transport;
use crate::wire::icmpv6::ParameterProblemCode;
use crate::wire::ipv4_options::{Ipv4Options, OptionError};
use crate::wire::ipv6_ext::{
    ExtError, ExtLimits, FragmentHeader, Limit, OptionAction, Upper, hop_by_hop_within, router_alert,
    upper_layer_within,
};
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header, Malformed};

/// For how many stations the frame was that brought a packet.
///
/// ```
/// use tapsock_stack::ip::input::Stations;
///
/// assert_eq!(Stations::default(), Stations::One);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Stations {
    /// For us alone.
    #[default]
    One,
    /// For all, or a group of them.
    Several,
}

/// Who sent a packet.
///
/// ```
/// use tapsock_stack::ip::input::Sender;
///
/// assert_eq!(Sender::default(), Sender::Link);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Sender {
    /// Somebody on the link.
    #[default]
    Link,
    /// We did, to a group that we hear.
    Ourselves,
}

/// How a packet came in.
#[derive(Copy, Clone, Debug)]
pub struct Origin {
    /// Where.
    pub interface: InterfaceId,
    /// For whom its frame was.
    pub stations: Stations,
    /// Whose it was.
    pub sender: Sender,
}

impl Origin {
    /// In a frame for us alone.
    pub fn of(interface: InterfaceId) -> Self {
        Origin { interface, stations: Stations::One, sender: Sender::Link }
    }
}

/// An IP packet, its headers read.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it came in.
    pub interface: InterfaceId,
    /// For whom the frame was that brought it.
    pub stations: Stations,
    /// Who sent it.
    pub sender: Sender,
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
    /// Whether it came with a fragment header, in several parts or in one. (Of IPv6 only.)
    pub fragmented: bool,
}

impl Packet {
    /// How it came in.
    pub fn origin(&self) -> Origin {
        Origin { interface: self.interface, stations: self.stations, sender: self.sender }
    }

    /// The options of its header, where it is IPv4.
    pub fn ipv4_options(&self) -> &[u8] {
        match self.whole.first() {
            Some(first) if first >> 4 == 4 => {
                self.whole.get(Ipv4Header::MIN_LEN..usize::from(first & 0xf) * 4).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// The options of its header as a socket gets them, where there are any.
    //= RFC 1122 §3.2.1.8 MUST-2
    //= RFC 1122 §3.4 MUST-3
    pub(crate) fn options_to_tell(&self) -> Option<Box<[u8]>> {
        let options = self.ipv4_options();
        (!options.is_empty()).then(|| options.into())
    }

    /// What is known of the transport checksum, after a look at it where nobody has looked.
    pub fn verified(&self) -> Checksum {
        match self.checksum {
            Checksum::Unverified => {
                verify_transport(self.source, self.destination, self.protocol, &self.payload)
            }
            known => known,
        }
    }

    /// Its flow label, where it is IPv6.
    pub fn flow_label(&self) -> u32 {
        let first = self.whole.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        if first >> 28 == 6 { first & Ipv6Header::FLOW_LABEL } else { 0 }
    }

    /// What its router alert option says, where it is IPv6 and has one.
    pub fn router_alert_v6(&self) -> Option<u16> {
        let header = self.ipv6_header()?;
        router_alert(self.whole.get(Ipv6Header::LEN..)?, header.next_header)
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
    /// The sender is to be told that a header makes no sense.
    Problem {
        /// The packet as far as it was read.
        packet: Box<Packet>,
        /// What is wrong.
        kind: ErrorKind,
        /// Whether a packet to a group is answered too.
        to_group: bool,
    },
}

/// Whether packets with a source route are taken (`accept_source_route`).
///
/// ```
/// use tapsock_stack::ip::input::SourceRoutes;
///
/// assert_eq!(SourceRoutes::default(), SourceRoutes::Refused);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum SourceRoutes {
    /// They are not, as in Linux by default.
    #[default]
    Refused,
    /// They are.
    Taken,
}

/// Reads an IPv4 packet, which may have no source route. Link padding behind it is cut off.
pub fn parse_v4(
    origin: Origin,
    frame: &Frame,
    whole: Chunk,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    parse_v4_with(SourceRoutes::Refused, origin, frame, whole, counters)
}

/// The same, with a source route where that is taken.
//= RFC 1122 §3.2.1
pub fn parse_v4_with(
    routes: SourceRoutes,
    origin: Origin,
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
    let packet = Packet {
        interface: origin.interface,
        stations: origin.stations,
        sender: origin.sender,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.protocol,
        fragment: fragment_of_v4(&header),
        fragmented: false,
        hop_limit: header.ttl,
        traffic_class: header.tos,
        payload: whole.slice(header.header_len.into()..whole.len()),
        whole,
        protocol_offset: 9,
        checksum: frame.checksum,
        gso_size: frame.gso_size,
    };
    if packet.ipv4_options().is_empty() { Ok(packet) } else { heed_options(packet, routes, counters) }
}

/// Looks at the options.
//= RFC 9293 MUST-50
//= RFC 1122 §3.2.1.8
fn heed_options(packet: Packet, routes: SourceRoutes, counters: &mut Counters) -> Result<Packet, Rejected> {
    let options = Ipv4Options::parse(packet.ipv4_options());
    match options {
        Ok(options) if !options.source_route || routes == SourceRoutes::Taken => return Ok(packet),
        _ => counters.bump(Counter::IpInHdrErrors),
    }
    Err(match options {
        Ok(_) => Rejected::Dropped,
        Err(OptionError { pointer }) => {
            let kind = ErrorKind::OptionProblem { pointer };
            Rejected::Problem { packet: Box::new(packet), kind, to_group: false }
        }
    })
}

/// Reads an IPv6 packet with its extension headers. Link padding behind it is cut off.
//= RFC 8200 §3
pub fn parse_v6(
    origin: Origin,
    frame: &Frame,
    mut whole: Chunk,
    limits: &ExtLimits,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    let (header, packet) = fixed_v6(origin, frame, &mut whole, counters)?;
    match upper_layer_within(&packet.payload, header.next_header, limits) {
        Ok(upper) => Ok(behind(packet, &upper)),
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

/// Reads the header of an IPv6 packet, and takes what follows for what it carries.
fn fixed_v6(
    origin: Origin,
    frame: &Frame,
    whole: &mut Chunk,
    counters: &mut Counters,
) -> Result<(Ipv6Header, Packet), Rejected> {
    let header = Ipv6Header::parse(whole).map_err(|malformed| {
        counters.bump(match malformed {
            Malformed::Truncated => Counter::Ip6InTruncatedPkts,
            _ => Counter::Ip6InHdrErrors,
        });
        Rejected::Dropped
    })?;
    whole.truncate(Ipv6Header::LEN + usize::from(header.payload_len));
    let packet = Packet {
        interface: origin.interface,
        stations: origin.stations,
        sender: origin.sender,
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.next_header,
        hop_limit: header.hop_limit,
        traffic_class: header.traffic_class,
        payload: whole.slice(Ipv6Header::LEN..whole.len()),
        whole: whole.clone(),
        protocol_offset: 6,
        checksum: frame.checksum,
        gso_size: frame.gso_size,
        fragment: None,
        fragmented: false,
    };
    Ok((header, packet))
}

/// The packet as it is behind its extension headers.
fn behind(mut packet: Packet, upper: &Upper) -> Packet {
    packet.fragment = upper.fragment;
    packet.fragmented = upper.fragmented;
    packet.protocol = upper.protocol;
    packet.protocol_offset = upper.pointer;
    packet.payload.advance(upper.offset);
    packet
}

/// Reads an IPv6 packet for somebody else. Of its extension headers only the hop-by-hop options are looked at: what those
/// behind say is for the receiver.
//= RFC 8200 §4
pub fn parse_v6_in_transit(
    origin: Origin,
    frame: &Frame,
    mut whole: Chunk,
    limits: &ExtLimits,
    counters: &mut Counters,
) -> Result<Packet, Rejected> {
    let (header, packet) = fixed_v6(origin, frame, &mut whole, counters)?;
    if let Err(error) = hop_by_hop_within(&packet.payload, header.next_header, limits) {
        counters.bump(Counter::Ip6InHdrErrors);
        return Err(reject(packet, error));
    }
    Ok(match upper_layer_within(&packet.payload, header.next_header, limits) {
        Ok(upper) => behind(packet, &upper),
        Err(_) => packet,
    })
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
    let kind = ErrorKind::ParameterProblem { code, pointer };
    Rejected::Problem { packet: Box::new(packet), kind, to_group }
}
