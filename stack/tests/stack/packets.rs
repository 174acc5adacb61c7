//! Frames made by hand, and frames read.

use core::net::IpAddr;

use tapsock_stack::buf::{Frame, HeaderBlock, Rope};
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::offload::{PartialChecksum, Transmit};
use tapsock_stack::wire::{
    EtherType, EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader,
};

use crate::wire::station;

/// From whom to whom a frame goes.
#[derive(Copy, Clone, Debug)]
pub struct Path {
    pub from_station: EthernetAddress,
    pub to_station: EthernetAddress,
    pub source: IpAddr,
    pub destination: IpAddr,
}

impl Path {
    /// From host `from` to host `to`, over IPv4.
    pub fn v4(from: usize, to: usize) -> Self {
        Path::between(from, to, |host| format!("10.0.0.{}", host + 1))
    }

    /// From host `from` to host `to`, over IPv6.
    pub fn v6(from: usize, to: usize) -> Self {
        Path::between(from, to, |host| format!("fd00::{}", host + 1))
    }

    pub fn of_family(address: &str, from: usize, to: usize) -> Self {
        if address.contains(':') { Path::v6(from, to) } else { Path::v4(from, to) }
    }

    fn between(from: usize, to: usize, address: impl Fn(usize) -> String) -> Self {
        Path {
            from_station: station(from),
            to_station: station(to),
            source: address(from).parse().unwrap(),
            destination: address(to).parse().unwrap(),
        }
    }

    pub fn to(self, destination: &str) -> Self {
        Path { destination: destination.parse().unwrap(), ..self }
    }

    pub fn from(self, source: &str) -> Self {
        Path { source: source.parse().unwrap(), ..self }
    }

    pub fn tcp(&self, header: &TcpHeader, payload: &[u8]) -> Frame {
        let mut headers = HeaderBlock::new();
        header.prepend_to(&mut headers);
        self.transport(IpProtocol::TCP, headers, TcpHeader::CHECKSUM_OFFSET, payload)
    }

    pub fn udp(&self, ports: (u16, u16), payload: &[u8]) -> Frame {
        let mut headers = HeaderBlock::new();
        UdpHeader { source_port: ports.0, destination_port: ports.1, ..UdpHeader::default() }
            .prepend_to(payload.len(), &mut headers);
        self.transport(IpProtocol::UDP, headers, UdpHeader::CHECKSUM_OFFSET, payload)
    }

    fn transport(
        &self,
        protocol: IpProtocol,
        mut headers: HeaderBlock,
        checksum: usize,
        payload: &[u8],
    ) -> Frame {
        let len = headers.len() + payload.len();
        let addresses = (self.source, self.destination);
        let checksum = PartialChecksum::begin(&mut headers, checksum, addresses, protocol, len);
        let mut packet =
            Transmit { headers, payload: Rope::from(payload), checksum: Some(checksum), segmentation: None };
        packet.complete_checksum();
        self.wrap(protocol, packet, 64)
    }

    pub fn icmpv4(&self, message: Icmpv4Message, body: &[u8]) -> Frame {
        let mut headers = HeaderBlock::new();
        let payload = Rope::from(body);
        message.prepend_to(&payload, &mut headers);
        let packet = Transmit { headers, payload, checksum: None, segmentation: None };
        self.wrap(IpProtocol::ICMP, packet, 64)
    }

    pub fn icmpv6(&self, message: Icmpv6Message, body: &[u8], hop_limit: u8) -> Frame {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (self.source, self.destination) else {
            panic!("both addresses are IPv6")
        };
        let mut headers = HeaderBlock::new();
        let payload = Rope::from(body);
        message.prepend_to(source, destination, &payload, &mut headers);
        let packet = Transmit { headers, payload, checksum: None, segmentation: None };
        self.wrap(IpProtocol::ICMPV6, packet, hop_limit)
    }

    /// A message of MLD, behind the router alert that goes with it.
    pub fn mld(&self, message: Icmpv6Message, body: &[u8]) -> Frame {
        let mut bytes = bytes_of(&self.icmpv6(message, body, 1));
        let behind = EthernetHeader::LEN + Ipv6Header::LEN;
        let options = [IpProtocol::ICMPV6.0, 0, 5, 2, 0, 0, 1, 0];
        bytes.splice(behind..behind, options);
        bytes[19] += options.len() as u8;
        bytes[20] = IpProtocol::HOP_BY_HOP.0;
        Frame::from(bytes)
    }

    /// Any bytes as the payload of an IP packet.
    pub fn raw(&self, protocol: IpProtocol, payload: &[u8]) -> Frame {
        let headers = HeaderBlock::new();
        let packet = Transmit { headers, payload: Rope::from(payload), checksum: None, segmentation: None };
        self.wrap(protocol, packet, 64)
    }

    fn wrap(&self, protocol: IpProtocol, mut packet: Transmit, hop_limit: u8) -> Frame {
        let len = packet.len();
        let ether_type = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let ttl = hop_limit;
                let header = Ipv4Header { source, destination, protocol, ttl, ..Ipv4Header::default() };
                header.prepend_to(len, &mut packet.headers);
                EtherType::Ipv4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let next_header = protocol;
                let header =
                    Ipv6Header { source, destination, next_header, hop_limit, ..Ipv6Header::default() };
                header.prepend_to(len, &mut packet.headers);
                EtherType::Ipv6
            }
            _ => panic!("both addresses are of one family"),
        };
        let link = EthernetHeader { destination: self.to_station, source: self.from_station, ether_type };
        link.prepend_to(&mut packet.headers);
        packet.to_frame()
    }
}

/// What stands behind the Ethernet header.
pub fn packet_of(frame: &Frame) -> &[u8] {
    &frame.bytes[EthernetHeader::LEN..]
}

/// What stands behind the IP header of `protocol`, where the frame has that.
pub fn transport_of(frame: &Frame, protocol: IpProtocol) -> Option<&[u8]> {
    let packet = packet_of(frame);
    match EthernetHeader::parse(&frame.bytes).unwrap().ether_type {
        EtherType::Ipv4 => {
            let header = Ipv4Header::parse(packet).unwrap();
            (header.protocol == protocol)
                .then(|| &packet[usize::from(header.header_len)..usize::from(header.total_len)])
        }
        EtherType::Ipv6 => {
            let header = Ipv6Header::parse(packet).unwrap();
            (header.next_header == protocol).then(|| &packet[Ipv6Header::LEN..])
        }
        _ => None,
    }
}

/// The TCP header of a frame, and how much data follows it.
pub fn tcp_of(frame: &Frame) -> Option<(TcpHeader, usize)> {
    let segment = transport_of(frame, IpProtocol::TCP)?;
    let header = TcpHeader::parse(segment).unwrap();
    let len = segment.len() - usize::from(header.header_len);
    Some((header, len))
}

/// The frame as plain bytes, to be changed.
pub fn bytes_of(frame: &Frame) -> Vec<u8> {
    frame.bytes.to_vec()
}
