//! Frames as a peer would send them.

use core::net::IpAddr;

use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::offload::{PartialChecksum, Transmit};
use tapsock_stack::wire::{
    EtherType, EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader,
};

/// From whom to whom a frame goes.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Path {
    pub(crate) from_station: EthernetAddress,
    pub(crate) to_station: EthernetAddress,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// The station of host `n`.
pub(crate) fn station(host: usize) -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 0, host as u8 + 1])
}

/// The address of host `n`: 10.0.0.(n + 1) or fd00::(n + 1).
pub(crate) fn address(host: usize, family: Family) -> IpAddr {
    let last = host as u16 + 1;
    match family {
        Family::V4 => IpAddr::from([10, 0, 0, last as u8]),
        Family::V6 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]),
    }
}

/// A family of addresses.
#[derive(Copy, Clone, Debug, Eq, PartialEq, arbitrary::Arbitrary)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Path {
    /// From host `from` to host `to`.
    pub(crate) fn between(from: usize, to: usize, family: Family) -> Self {
        Path {
            from_station: station(from),
            to_station: station(to),
            source: address(from, family),
            destination: address(to, family),
        }
    }

    pub(crate) fn tcp(&self, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
        let mut headers = HeaderBlock::new();
        header.prepend_to(&mut headers);
        self.transport(IpProtocol::TCP, headers, TcpHeader::CHECKSUM_OFFSET, payload)
    }

    pub(crate) fn udp(&self, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
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
    ) -> Vec<u8> {
        let len = headers.len() + payload.len();
        let addresses = (self.source, self.destination);
        let checksum = PartialChecksum::begin(&mut headers, checksum, addresses, protocol, len);
        let payload = Rope::from(payload);
        let mut packet = Transmit { headers, payload, checksum: Some(checksum), segmentation: None };
        packet.complete_checksum();
        self.wrap(protocol, packet, 64)
    }

    pub(crate) fn icmpv4(&self, message: Icmpv4Message, body: &[u8]) -> Vec<u8> {
        let mut headers = HeaderBlock::new();
        let payload = Rope::from(body);
        message.prepend_to(&payload, &mut headers);
        let packet = Transmit { headers, payload, checksum: None, segmentation: None };
        self.wrap(IpProtocol::ICMP, packet, 64)
    }

    /// The hop limit is neighbour discovery's, which other messages may have too.
    pub(crate) fn icmpv6(&self, message: Icmpv6Message, body: &[u8]) -> Vec<u8> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (self.source, self.destination) else {
            return Vec::new();
        };
        let mut headers = HeaderBlock::new();
        let payload = Rope::from(body);
        message.prepend_to(source, destination, &payload, &mut headers);
        let packet = Transmit { headers, payload, checksum: None, segmentation: None };
        self.wrap(IpProtocol::ICMPV6, packet, 255)
    }

    /// Any bytes as the payload of an IP packet.
    pub(crate) fn raw(&self, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let headers = HeaderBlock::new();
        let packet = Transmit { headers, payload: Rope::from(payload), checksum: None, segmentation: None };
        self.wrap(protocol, packet, 64)
    }

    fn wrap(&self, protocol: IpProtocol, mut packet: Transmit, hop_limit: u8) -> Vec<u8> {
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
            _ => return Vec::new(),
        };
        let link = EthernetHeader { destination: self.to_station, source: self.from_station, ether_type };
        link.prepend_to(&mut packet.headers);
        packet.to_frame().bytes.to_vec()
    }
}

/// The transport header of `protocol` in an Ethernet frame, and what follows it.
pub(crate) fn transport_of(frame: &[u8], protocol: IpProtocol) -> Option<(IpAddr, IpAddr, &[u8])> {
    let link = EthernetHeader::parse(frame).ok()?;
    let packet = frame.get(EthernetHeader::LEN..)?;
    match link.ether_type {
        EtherType::Ipv4 => {
            let ip = Ipv4Header::parse(packet).ok()?;
            let segment = packet.get(usize::from(ip.header_len)..usize::from(ip.total_len))?;
            (ip.protocol == protocol).then_some((ip.source.into(), ip.destination.into(), segment))
        }
        EtherType::Ipv6 => {
            let ip = Ipv6Header::parse(packet).ok()?;
            let segment = packet.get(Ipv6Header::LEN..)?.get(..usize::from(ip.payload_len))?;
            (ip.next_header == protocol).then_some((ip.source.into(), ip.destination.into(), segment))
        }
        _ => None,
    }
}
