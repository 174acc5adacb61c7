//! A host without a stack: it sends numbered datagrams and notes those that come. For tests of the network itself.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use tapsock_stack::buf::{Checksum, Frame, HeaderBlock};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::checksum::{pseudo_header, verify_transport};
use tapsock_stack::wire::ethernet::{EtherType, EthernetAddress, EthernetHeader};
use tapsock_stack::wire::ipv4::Ipv4Header;
use tapsock_stack::wire::offload::Medium;
use tapsock_stack::wire::udp::UdpHeader;

use crate::node::{Kind, Node, Port, Scrutiny, Setup, Status};
use crate::packet::{Packet, Transport};

/// Sends numbered UDP datagrams from 10.0.0.x to 10.0.0.y, speaks no ARP, and answers nothing.
///
/// ```
/// use core::time::Duration;
/// use tapsock_sim::{chain, Simulation, Talker};
///
/// let talker = Talker::sends_every(Duration::from_millis(1), 3).sized(100);
/// let network = Simulation::new(1).run(chain![talker, Talker::silent()]);
/// let numbers: Vec<u64> = network.node::<Talker>(1).received().iter().map(|&(_, number)| number).collect();
/// assert_eq!(numbers, [0, 1, 2]);
/// ```
pub struct Talker {
    own: u8,
    peer: u8,
    interval: Duration,
    count: u64,
    /// Length of the whole frame, in bytes.
    size: usize,
    sent: u64,
    next: Instant,
    medium: Medium,
    received: Vec<(Instant, u64)>,
}

/// The shortest frame: all headers, and the number.
const MIN_SIZE: usize = 14 + 20 + 8 + 8;

impl Talker {
    /// Sends `count` datagrams, one each `interval`, the first at once.
    pub fn sends_every(interval: Duration, count: u64) -> Self {
        Talker {
            own: 1,
            peer: 2,
            interval,
            count,
            size: MIN_SIZE,
            sent: 0,
            next: Instant::ZERO,
            medium: Medium::Ethernet,
            received: Vec::new(),
        }
    }

    /// Sends nothing.
    pub fn silent() -> Self {
        Talker { own: 2, peer: 1, ..Talker::sends_every(Duration::ZERO, 0) }
    }

    /// Makes frames of `bytes` in all; at least 50.
    pub fn sized(self, bytes: usize) -> Self {
        Talker { size: bytes.max(MIN_SIZE), ..self }
    }

    /// Makes it the host 10.0.0.`own`, which sends to 10.0.0.`peer`.
    pub fn between(self, own: u8, peer: u8) -> Self {
        Talker { own, peer, ..self }
    }

    /// The intact datagrams that came to its address: when, and their numbers.
    pub fn received(&self) -> &[(Instant, u64)] {
        &self.received
    }

    /// The Ethernet address of 10.0.0.`host`.
    pub fn hardware(host: u8) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 0, host])
    }

    fn frame(&self) -> Frame {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, self.own), Ipv4Addr::new(10, 0, 0, self.peer));
        let mut payload = vec![0; self.size - MIN_SIZE + 8];
        payload[..8].copy_from_slice(&self.sent.to_be_bytes());
        let (source_port, destination_port) = (1000, 2000);
        let len = UdpHeader::LEN + payload.len();
        let mut headers = HeaderBlock::new();
        UdpHeader { source_port, destination_port, length: 0, checksum: 0 }
            .prepend_to(payload.len(), &mut headers);
        let mut sum = pseudo_header(source.into(), destination.into(), IpProtocol::UDP, len as u32);
        sum.add_bytes(&headers);
        sum.add_bytes(&payload);
        headers.as_mut_slice()[UdpHeader::CHECKSUM_OFFSET..].copy_from_slice(&sum.finish().to_be_bytes());
        Ipv4Header {
            source,
            destination,
            protocol: IpProtocol::UDP,
            dont_fragment: true,
            ..Ipv4Header::default()
        }
        .prepend_to(len, &mut headers);
        if self.medium == Medium::Ethernet {
            let (source, destination) = (Talker::hardware(self.own), Talker::hardware(self.peer));
            EthernetHeader { destination, source, ether_type: EtherType::Ipv4 }.prepend_to(&mut headers);
        }
        Frame::from([&headers[..], &payload].concat())
    }
}

impl Node for Talker {
    fn name(&self) -> String {
        format!("talker {}", self.own)
    }

    fn ports(&self) -> usize {
        1
    }

    fn kind(&self) -> Kind {
        Kind::Host(Scrutiny::Full)
    }

    fn start(&mut self, setup: Setup) {
        self.medium = setup.medium;
        self.next = setup.now;
    }

    fn on_frame(&mut self, now: Instant, _port: Port, frame: Frame) {
        let packet = Packet::parse(&frame.bytes, self.medium);
        let Some(ip) = packet.ip() else { return };
        let transport = &frame.bytes[ip.transport_range.clone()];
        let intact = verify_transport(ip.source, ip.destination, ip.protocol, transport) == Checksum::Valid;
        let ours = ip.destination == IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.own));
        if let (Transport::Udp(_), true, true, Some(number)) =
            (&ip.transport, intact, ours, transport.get(UdpHeader::LEN..UdpHeader::LEN + 8))
        {
            let number = number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
            self.received.push((now, number));
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Port, Frame)> {
        if self.sent == self.count || now < self.next {
            return None;
        }
        let frame = self.frame();
        self.sent += 1;
        self.next = now + self.interval;
        Some((Port(0), frame))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.sent < self.count).then_some(self.next)
    }

    fn status(&self) -> Status {
        match self.sent < self.count {
            true => Status::Working,
            false => Status::Done,
        }
    }
}
