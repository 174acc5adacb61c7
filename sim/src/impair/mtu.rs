//! A link that larger packets don't pass, and paths that lead over another such link from some time on.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapsock_stack::buf::{Frame, HeaderBlock};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::checksum::{Sum, pseudo_header};
use tapsock_stack::wire::ethernet::{EtherType, EthernetHeader};
use tapsock_stack::wire::ipv4::Ipv4Header;
use tapsock_stack::wire::ipv6::Ipv6Header;

use super::{Arrival, Impaired, Impairment};
use crate::packet::{IpPacket, Packet, Transport};

/// Drops IP packets above a size, silently (a black hole) or with the ICMP error that a router owes.
///
/// It doesn't fragment, not even where IPv4 would let it. A merged frame passes when its segments would.
///
/// ```
/// use core::net::{Ipv4Addr, Ipv6Addr};
///
/// let black_hole = tapsock_sim::Mtu::new(1400);
/// let router = tapsock_sim::Mtu::new(1400).answering(Ipv4Addr::new(10, 0, 9, 1), Ipv6Addr::LOCALHOST);
/// let rerouted = tapsock_sim::Mtu::new(1500).changing(tapsock_stack::time::Instant::from_secs(2), 1400);
/// # let _ = (black_hole, router, rerouted);
/// ```
#[derive(Clone, Debug)]
pub struct Mtu {
    bytes: usize,
    /// From when on how many bytes pass instead; of those whose time has come the last counts.
    changes: Vec<(Instant, usize)>,
    answer: Option<(Ipv4Addr, Ipv6Addr)>,
}

/// Bytes of the packet that an ICMPv4 error quotes (RFC 1812 §4.3.2.3: as many as fit 576).
const QUOTE_V4: usize = 576 - 20 - 8;

/// Bytes of the packet that an ICMPv6 error quotes (RFC 4443 §2.4(c): as many as fit 1280).
const QUOTE_V6: usize = 1280 - 40 - 8;

impl Mtu {
    /// IP packets of up to `bytes` pass.
    pub fn new(bytes: usize) -> Impaired<Mtu> {
        Impaired::new(Mtu { bytes, changes: Vec::new(), answer: None })
    }

    fn at(&self, now: Instant) -> usize {
        let passed = self.changes.iter().rev().find(|(from, _)| *from <= now);
        passed.map_or(self.bytes, |(_, bytes)| *bytes)
    }
}

impl Impaired<Mtu> {
    /// Answers what it drops with "fragmentation needed" from `v4`, or "packet too big" from `v6`.
    pub fn answering(self, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        self.map(|mtu| mtu.answer = Some((v4, v6)))
    }

    /// From `at` on packets of up to `bytes` pass: the route has changed. Changes are named in the order of their times.
    pub fn changing(self, at: Instant, bytes: usize) -> Self {
        self.map(|mtu| mtu.changes.push((at, bytes)))
    }
}

impl Impairment for Mtu {
    fn name(&self) -> String {
        "mtu".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let packet = Packet::parse(&frame.bytes, arrival.medium);
        let bytes = self.at(arrival.now);
        match packet.ip() {
            Some(ip) if largest_packet(ip, &frame) > bytes => {
                if let Some(routers) = self.answer {
                    arrival.reply(too_big(&packet, ip, &frame, routers, bytes));
                }
                arrival.drop(frame);
            }
            _ => arrival.pass(frame),
        }
    }
}

/// The size of the largest IP packet that the frame stands for.
fn largest_packet(ip: &IpPacket, frame: &Frame) -> usize {
    let Some(size) = frame.gso_size else {
        return ip.range.len();
    };
    let headers = match &ip.transport {
        Transport::Tcp(tcp) => tcp.payload.start - ip.range.start,
        _ => ip.transport_range.start + 8 - ip.range.start,
    };
    ip.range.len().min(headers + usize::from(size))
}

/// The ICMP error, addressed to the packet's sender by the addresses of the frame turned round.
fn too_big(
    packet: &Packet,
    ip: &IpPacket,
    frame: &Frame,
    routers: (Ipv4Addr, Ipv6Addr),
    mtu: usize,
) -> Frame {
    let quote = |max: usize| &frame.bytes[ip.range.start..ip.range.end.min(ip.range.start + max)];
    let mtu = (mtu as u32).to_be_bytes();
    let mut headers = HeaderBlock::new();
    let (message, ether_type) = match ip.source {
        IpAddr::V4(sender) => {
            let message = [&[3, 4, 0, 0][..], &mtu, quote(QUOTE_V4)].concat();
            let message = with_checksum(message, Sum::new());
            let (source, destination, protocol) = (routers.0, sender, IpProtocol::ICMP);
            let header = Ipv4Header { source, destination, protocol, ..Ipv4Header::default() };
            header.prepend_to(message.len(), &mut headers);
            (message, EtherType::Ipv4)
        }
        IpAddr::V6(sender) => {
            let message = [&[2, 0, 0, 0][..], &mtu, quote(QUOTE_V6)].concat();
            let (source, destination, next_header) = (routers.1, sender, IpProtocol::ICMPV6);
            let pseudo = pseudo_header(source.into(), sender.into(), next_header, message.len() as u32);
            let message = with_checksum(message, pseudo);
            let header = Ipv6Header { source, destination, next_header, ..Ipv6Header::default() };
            header.prepend_to(message.len(), &mut headers);
            (message, EtherType::Ipv6)
        }
    };
    if let Some(ethernet) = packet.ethernet {
        let (source, destination) = (ethernet.destination, ethernet.source);
        EthernetHeader { destination, source, ether_type }.prepend_to(&mut headers);
    }
    Frame::from([&headers[..], &message].concat())
}

fn with_checksum(mut message: Vec<u8>, mut sum: Sum) -> Vec<u8> {
    sum.add_bytes(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    message
}
