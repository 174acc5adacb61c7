//! A station made by hand: it answers who it is, and sends and receives what a test wants.

#![allow(dead_code)] // each test takes what it needs

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock_driver::{KernelEnd, Link, Namespace, OpenError, RecvHalf, RecvSlot, SendHalf};
use tapsock_stack::buf::{Frame, HeaderBlock, Rope};
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::ndp::{NdpMessage, NeighborAdvert};
use tapsock_stack::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::{
    EtherType, EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader,
};

pub const KERNEL_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
pub const KERNEL_V6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 1);
pub const OURS_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
pub const OURS_V6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 2);
pub const OUR_HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 7, 2]);

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A namespace, unless this machine has none for us; the test is to return then.
pub fn namespace() -> Option<Namespace> {
    allowed(Namespace::create())
}

/// Whether ip(8) is installed; says that the test is skipped where it is not.
pub fn has_ip() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|place| place.join("ip").is_file());
    if !found {
        println!("skipped: ip is not installed");
    }
    found
}

/// What was opened, unless this machine does not allow it; the test is to return then.
pub fn allowed<T>(opened: Result<T, OpenError>) -> Option<T> {
    const REFUSALS: [i32; 7] = [1, 2, 13, 19, 22, 28, 95];
    match opened {
        Ok(opened) => Some(opened),
        Err(error) if REFUSALS.contains(&error.errno()) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub fn kernel_end() -> KernelEnd {
    let v4 = format!("{KERNEL_V4}/24").parse().unwrap();
    KernelEnd::new("tap0").address(v4).address(format!("{KERNEL_V6}/64").parse().unwrap())
}

/// One end of a link.
pub struct Station {
    pub receive: Box<dyn RecvHalf>,
    pub send: Box<dyn SendHalf>,
    slot: RecvSlot,
    /// The station at the other end.
    pub peer: EthernetAddress,
}

impl Station {
    pub fn new(link: impl Link + 'static, peer: [u8; 6]) -> Self {
        let (receive, send) = Box::new(link).split();
        Station { receive, send, slot: RecvSlot::new(), peer: EthernetAddress(peer) }
    }

    pub fn transmit(&mut self, transmit: &Transmit) {
        self.send.transmit(transmit).unwrap();
    }

    /// The next frame, if one comes in time.
    pub fn next(&mut self, deadline: Instant) -> Option<Frame> {
        loop {
            match self.receive.receive(&mut self.slot) {
                Ok(frame) => return Some(frame),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("the link is gone: {error}"),
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let fd = self.receive.poll_fd().unwrap();
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)).unwrap();
        }
    }

    /// Waits for a frame that `wanted` finds something in, and answers who we are meanwhile.
    pub fn expect<T>(&mut self, what: &str, mut wanted: impl FnMut(&Frame, &Packet) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while let Some(frame) = self.next(deadline) {
            let packet = Packet::parse(&frame.bytes);
            if let Some(found) = wanted(&frame, &packet) {
                return found;
            }
            if let Some(answer) = self.introduction(&packet) {
                self.transmit(&answer);
            }
        }
        panic!("{what} did not come");
    }

    /// The answer to somebody who asks for our Ethernet address.
    fn introduction(&self, packet: &Packet) -> Option<Transmit> {
        let mut headers = HeaderBlock::new();
        let (ether_type, to) = match packet {
            Packet::Arp(asked) if asked.operation == ArpOperation::Request && asked.target_ip == OURS_V4 => {
                let answer = ArpPacket {
                    operation: ArpOperation::Reply,
                    sender_hardware: OUR_HARDWARE,
                    sender_ip: OURS_V4,
                    target_hardware: asked.sender_hardware,
                    target_ip: asked.sender_ip,
                };
                answer.prepend_to(&mut headers);
                (EtherType::Arp, asked.sender_hardware)
            }
            Packet::Ndp(asker, NdpMessage::NeighborSolicit(asked)) if asked.target == OURS_V6 => {
                let advert = NeighborAdvert {
                    target: OURS_V6,
                    router: false,
                    solicited: true,
                    override_: true,
                    target_link: Some(OUR_HARDWARE),
                };
                NdpMessage::NeighborAdvert(advert).prepend_to(OURS_V6, *asker, &mut headers);
                let ip = Ipv6Header {
                    source: OURS_V6,
                    destination: *asker,
                    next_header: IpProtocol::ICMPV6,
                    hop_limit: 255,
                    ..Ipv6Header::default()
                };
                ip.prepend_to(headers.len(), &mut headers);
                (EtherType::Ipv6, asked.source_link?)
            }
            _ => return None,
        };
        EthernetHeader { destination: to, source: OUR_HARDWARE, ether_type }.prepend_to(&mut headers);
        Some(Transmit { headers, payload: Rope::new(), checksum: None, segmentation: None })
    }

    /// A datagram to the kernel, its checksum left to the link; cut into several where `segment` says so.
    pub fn udp(&self, from: u16, to: SocketAddr, payload: Rope, segment: Option<u16>) -> Transmit {
        let mut headers = HeaderBlock::new();
        let header = UdpHeader { source_port: from, destination_port: to.port(), ..UdpHeader::default() };
        header.prepend_to(payload.len(), &mut headers);
        let segmentation = segment.map(|size| Segmentation { kind: SegmentationKind::Udp, size });
        self.finish(headers, (UdpHeader::CHECKSUM_OFFSET, IpProtocol::UDP), to.ip(), payload, segmentation)
    }

    /// A segment to the kernel, its checksum left to the link; cut where it is larger than `segment`.
    pub fn tcp(&self, header: &TcpHeader, to: IpAddr, payload: Rope, segment: u16) -> Transmit {
        let mut headers = HeaderBlock::new();
        header.prepend_to(&mut headers);
        let kind = if to.is_ipv4() { SegmentationKind::Tcp4 } else { SegmentationKind::Tcp6 };
        let cut = payload.len() > usize::from(segment);
        let segmentation = cut.then_some(Segmentation { kind, size: segment });
        self.finish(headers, (TcpHeader::CHECKSUM_OFFSET, IpProtocol::TCP), to, payload, segmentation)
    }

    fn finish(
        &self,
        mut headers: HeaderBlock,
        (offset, protocol): (usize, IpProtocol),
        to: IpAddr,
        payload: Rope,
        segmentation: Option<Segmentation>,
    ) -> Transmit {
        let len = headers.len() + payload.len();
        let from: IpAddr = if to.is_ipv4() { OURS_V4.into() } else { OURS_V6.into() };
        let checksum = PartialChecksum::begin(&mut headers, offset, (from, to), protocol, len);
        let ether_type = match to {
            IpAddr::V4(destination) => {
                Ipv4Header { source: OURS_V4, destination, protocol, ttl: 64, ..Ipv4Header::default() }
                    .prepend_to(len, &mut headers);
                EtherType::Ipv4
            }
            IpAddr::V6(destination) => {
                let ip = Ipv6Header {
                    source: OURS_V6,
                    destination,
                    next_header: protocol,
                    hop_limit: 64,
                    ..Ipv6Header::default()
                };
                ip.prepend_to(len, &mut headers);
                EtherType::Ipv6
            }
        };
        EthernetHeader { destination: self.peer, source: OUR_HARDWARE, ether_type }.prepend_to(&mut headers);
        Transmit { headers, payload, checksum: Some(checksum), segmentation }
    }
}

/// What a test looks at in a frame.
#[derive(Debug)]
pub enum Packet {
    Arp(ArpPacket),
    Ndp(Ipv6Addr, NdpMessage),
    Udp { from: SocketAddr, to_port: u16, payload: Vec<u8> },
    Tcp { from: IpAddr, header: TcpHeader, payload: Vec<u8> },
    Other,
}

impl Packet {
    pub fn parse(frame: &[u8]) -> Packet {
        Packet::try_parse(frame).unwrap_or(Packet::Other)
    }

    fn try_parse(frame: &[u8]) -> Option<Packet> {
        let ethernet = EthernetHeader::parse(frame).ok()?;
        let packet = &frame[EthernetHeader::LEN..];
        match ethernet.ether_type {
            EtherType::Arp => Some(Packet::Arp(ArpPacket::parse(packet).ok()?)),
            EtherType::Ipv4 => {
                let ip = Ipv4Header::parse(packet).ok()?;
                let body = &packet[usize::from(ip.header_len)..usize::from(ip.total_len)];
                Packet::transport(ip.source.into(), ip.protocol, body)
            }
            EtherType::Ipv6 => {
                let ip = Ipv6Header::parse(packet).ok()?;
                let body = &packet[Ipv6Header::LEN..Ipv6Header::LEN + usize::from(ip.payload_len)];
                match ip.next_header {
                    IpProtocol::ICMPV6 => Some(Packet::Ndp(ip.source, NdpMessage::parse(&ip, body).ok()?)),
                    protocol => Packet::transport(ip.source.into(), protocol, body),
                }
            }
            EtherType::Other(_) => None,
        }
    }

    fn transport(from: IpAddr, protocol: IpProtocol, body: &[u8]) -> Option<Packet> {
        match protocol {
            IpProtocol::UDP => {
                let header = UdpHeader::parse(body).ok()?;
                let from = SocketAddr::new(from, header.source_port);
                let payload = body[UdpHeader::LEN..].to_vec();
                Some(Packet::Udp { from, to_port: header.destination_port, payload })
            }
            IpProtocol::TCP => {
                let header = TcpHeader::parse(body).ok()?;
                let payload = body[usize::from(header.header_len)..].to_vec();
                Some(Packet::Tcp { from, header, payload })
            }
            _ => None,
        }
    }
}

/// `len` bytes that differ from their neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}
