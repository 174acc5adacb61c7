//! A frame taken apart, for the observer, the trace and the filters of impairments.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::ethernet::{EtherType, EthernetHeader};
use tapsock_stack::wire::ipv4::Ipv4Header;
use tapsock_stack::wire::ipv6::Ipv6Header;
use tapsock_stack::wire::ipv6_ext::upper_layer;
use tapsock_stack::wire::offload::Medium;
use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};
use tapsock_stack::wire::udp::UdpHeader;

/// A frame taken apart as far as it can be. Checksums of the transport are not looked at.
///
/// ```
/// use tapsock_sim::packet::{Network, Packet};
/// use tapsock_stack::wire::offload::Medium;
///
/// let packet = Packet::parse(&[0x60, 0, 0], Medium::Ip);
/// assert!(matches!(packet.network, Network::Malformed));
/// assert!(!packet.carries_data());
/// ```
#[derive(Clone, Debug)]
pub struct Packet {
    /// The Ethernet header, on an Ethernet medium.
    pub ethernet: Option<EthernetHeader>,
    /// What follows it.
    pub network: Network,
}

/// What follows the link header.
///
/// ```
/// use tapsock_sim::packet::{Network, Packet};
/// use tapsock_stack::wire::offload::Medium;
///
/// let mut arp = [0; 42];
/// arp[12..14].copy_from_slice(&[8, 6]);
/// assert!(matches!(Packet::parse(&arp, Medium::Ethernet).network, Network::Arp(14)));
/// ```
#[derive(Clone, Debug)]
pub enum Network {
    /// An IPv4 or IPv6 packet.
    Ip(IpPacket),
    /// An ARP packet, whose bytes begin at the offset.
    Arp(usize),
    /// Another ether type.
    Other,
    /// Not even a sound network header.
    Malformed,
}

/// An IP packet: addresses, and where its parts stand in the frame.
///
/// ```
/// use tapsock_sim::packet::Packet;
/// use tapsock_stack::wire::offload::Medium;
///
/// let mut bytes = [0; 40];
/// (bytes[0], bytes[6]) = (0x60, 59);
/// let packet = Packet::parse(&bytes, Medium::Ip);
/// let ip = packet.ip().unwrap();
/// assert_eq!((ip.range.clone(), ip.transport_range.clone()), (0..40, 40..40));
/// ```
#[derive(Clone, Debug)]
pub struct IpPacket {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The transport's protocol, behind all extension headers.
    pub protocol: IpProtocol,
    /// The two ECN bits.
    pub ecn: u8,
    /// Hop limit or TTL.
    pub hop_limit: u8,
    /// The whole packet in the frame's bytes, headers included, padding not.
    pub range: Range<usize>,
    /// The transport header and its payload in the frame's bytes.
    pub transport_range: Range<usize>,
    /// What it carries.
    pub transport: Transport,
}

/// What an IP packet carries.
///
/// ```
/// use tapsock_sim::packet::{Packet, Transport};
/// use tapsock_stack::wire::offload::Medium;
///
/// let mut bytes = [0; 40];
/// (bytes[0], bytes[6]) = (0x60, 59);
/// let packet = Packet::parse(&bytes, Medium::Ip);
/// assert!(matches!(packet.ip().unwrap().transport, Transport::Other));
/// ```
#[derive(Clone, Debug)]
pub enum Transport {
    /// A TCP segment, or several merged into one.
    Tcp(TcpPacket),
    /// A UDP datagram.
    Udp(UdpHeader),
    /// A fragment of something.
    Fragment,
    /// Something else: ICMP, and what nobody knows.
    Other,
    /// A header that is malformed.
    Malformed,
}

/// A TCP segment: its header, and where its payload stands in the frame's bytes.
///
/// ```
/// use tapsock_sim::packet::TcpPacket;
/// use tapsock_stack::wire::tcp::TcpHeader;
///
/// let mut bytes = [0; 20];
/// (bytes[12], bytes[13]) = (0x50, 0x02);
/// let syn = TcpPacket { header: TcpHeader::parse(&bytes).unwrap(), payload: 20..20 };
/// assert_eq!(syn.sequence_len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct TcpPacket {
    /// The header with its options.
    pub header: TcpHeader,
    /// The payload.
    pub payload: Range<usize>,
}

impl TcpPacket {
    /// How much sequence space the segment takes: payload, and one each for SYN and FIN.
    pub fn sequence_len(&self) -> u32 {
        let flags = self.header.flags;
        self.payload.len() as u32
            + u32::from(flags.contains(TcpFlags::SYN))
            + u32::from(flags.contains(TcpFlags::FIN))
    }
}

impl Packet {
    /// Takes `bytes` apart, which begin as `medium` says.
    pub fn parse(bytes: &[u8], medium: Medium) -> Packet {
        let (ethernet, offset, ether_type) = match medium {
            Medium::Ethernet => match EthernetHeader::parse(bytes) {
                Ok(header) => (Some(header), EthernetHeader::LEN, header.ether_type),
                Err(_) => {
                    return Packet { ethernet: None, network: Network::Malformed };
                }
            },
            Medium::Ip if bytes.first().is_some_and(|byte| byte >> 4 == 6) => (None, 0, EtherType::Ipv6),
            Medium::Ip => (None, 0, EtherType::Ipv4),
        };
        let network = match ether_type {
            EtherType::Ipv4 => ipv4(bytes, offset).map_or(Network::Malformed, Network::Ip),
            EtherType::Ipv6 => ipv6(bytes, offset).map_or(Network::Malformed, Network::Ip),
            EtherType::Arp => Network::Arp(offset),
            EtherType::Other(_) => Network::Other,
        };
        Packet { ethernet, network }
    }

    /// The IP packet, where it is one.
    pub fn ip(&self) -> Option<&IpPacket> {
        match &self.network {
            Network::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// The TCP segment, where it is one.
    pub fn tcp(&self) -> Option<&TcpPacket> {
        match &self.ip()?.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// The ends of a TCP segment: who sent it, and to whom.
    pub fn tcp_ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (ip, tcp) = (self.ip()?, self.tcp()?);
        Some((
            SocketAddr::new(ip.source, tcp.header.source_port),
            SocketAddr::new(ip.destination, tcp.header.destination_port),
        ))
    }

    /// Whether it is a TCP segment.
    pub fn is_tcp(&self) -> bool {
        self.tcp().is_some()
    }

    /// Whether it is a TCP segment with payload.
    pub fn carries_data(&self) -> bool {
        self.tcp().is_some_and(|tcp| !tcp.payload.is_empty())
    }

    /// Whether it is a TCP segment without payload, SYN, FIN and RST: an acknowledgment and nothing else.
    pub fn is_pure_ack(&self) -> bool {
        self.tcp().is_some_and(|tcp| tcp.sequence_len() == 0 && !tcp.header.flags.contains(TcpFlags::RST))
    }

    /// Whether it is a TCP segment with SYN.
    pub fn is_syn(&self) -> bool {
        self.tcp().is_some_and(|tcp| tcp.header.flags.contains(TcpFlags::SYN))
    }

    /// Whether it is a TCP segment with FIN.
    pub fn is_fin(&self) -> bool {
        self.tcp().is_some_and(|tcp| tcp.header.flags.contains(TcpFlags::FIN))
    }

    /// Whether it is a UDP datagram.
    pub fn is_udp(&self) -> bool {
        self.ip().is_some_and(|ip| matches!(ip.transport, Transport::Udp(_)))
    }
}

fn ipv4(bytes: &[u8], offset: usize) -> Option<IpPacket> {
    let header = Ipv4Header::parse(&bytes[offset..]).ok()?;
    let end = offset + usize::from(header.total_len);
    let transport_range = offset + usize::from(header.header_len)..end;
    let transport = if header.more_fragments || header.fragment_offset > 0 {
        Transport::Fragment
    } else {
        transport(bytes, &transport_range, header.protocol)
    };
    Some(IpPacket {
        source: header.source.into(),
        destination: header.destination.into(),
        protocol: header.protocol,
        ecn: header.tos & 3,
        hop_limit: header.ttl,
        range: offset..end,
        transport_range,
        transport,
    })
}

fn ipv6(bytes: &[u8], offset: usize) -> Option<IpPacket> {
    let header = Ipv6Header::parse(&bytes[offset..]).ok()?;
    let start = offset + Ipv6Header::LEN;
    let end = start + usize::from(header.payload_len);
    let upper = upper_layer(&bytes[start..end], header.next_header).ok();
    let (protocol, transport_range, transport) = match upper {
        Some(upper) if upper.fragment.is_some() => {
            (upper.protocol, start + upper.offset..end, Transport::Fragment)
        }
        Some(upper) => {
            let range = start + upper.offset..end;
            (upper.protocol, range.clone(), transport(bytes, &range, upper.protocol))
        }
        None => (header.next_header, start..end, Transport::Malformed),
    };
    Some(IpPacket {
        source: header.source.into(),
        destination: header.destination.into(),
        protocol,
        ecn: header.traffic_class & 3,
        hop_limit: header.hop_limit,
        range: offset..end,
        transport_range,
        transport,
    })
}

fn transport(bytes: &[u8], range: &Range<usize>, protocol: IpProtocol) -> Transport {
    match protocol {
        IpProtocol::TCP => match TcpHeader::parse(&bytes[range.clone()]) {
            Ok(header) => {
                let payload = range.start + usize::from(header.header_len)..range.end;
                Transport::Tcp(TcpPacket { header, payload })
            }
            Err(_) => Transport::Malformed,
        },
        IpProtocol::UDP => {
            UdpHeader::parse(&bytes[range.clone()]).map_or(Transport::Malformed, Transport::Udp)
        }
        _ => Transport::Other,
    }
}
