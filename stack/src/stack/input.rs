//! Frames on their way in: link header, IP header, and to whom the packet goes.

use core::net::IpAddr;

use crate::buf::{Chunk, Frame};
use crate::counters::Counter;
use crate::iface::{InterfaceId, LinkState, arp};
use crate::ip::icmp::ErrorKind;
use crate::ip::input::{Packet, Rejected, parse_v4, parse_v6};
use crate::time::Instant;
use crate::wire::arp::ArpPacket;
use crate::wire::offload::Medium;
use crate::wire::{EtherType, EthernetHeader, IpProtocol};

use super::Stack;
use super::raw::Heard;

impl Stack {
    /// Takes a frame, from its link header on.
    pub(super) fn receive_frame(&mut self, now: Instant, id: InterfaceId, frame: Frame) {
        let Some(interface) = self.interfaces.interface(id) else {
            return;
        };
        if interface.link() == LinkState::Down {
            self.counters.bump(Counter::TapsockLinkInDown);
            return;
        }
        match interface.caps().medium {
            Medium::Ip => {
                let whole = frame.bytes.clone();
                match whole.first().map(|byte| byte >> 4) {
                    Some(4) => self.receive_v4(now, id, &frame, whole),
                    Some(6) => self.receive_v6(now, id, &frame, whole),
                    _ => self.counters.bump(Counter::TapsockLinkInHdrErrors),
                }
            }
            Medium::Ethernet => self.receive_ethernet(now, id, &frame),
        }
    }

    fn receive_ethernet(&mut self, now: Instant, id: InterfaceId, frame: &Frame) {
        let Ok(header) = EthernetHeader::parse(&frame.bytes) else {
            self.counters.bump(Counter::TapsockLinkInHdrErrors);
            return;
        };
        let ours = self.interfaces.interface(id).is_some_and(|found| found.accepts_frame(header.destination));
        if !ours || header.source.is_multicast() {
            self.counters.bump(Counter::TapsockLinkInAddrErrors);
            return;
        }
        let rest = frame.bytes.slice(EthernetHeader::LEN..frame.bytes.len());
        match header.ether_type {
            EtherType::Ipv4 => self.receive_v4(now, id, frame, rest),
            EtherType::Ipv6 => self.receive_v6(now, id, frame, rest),
            EtherType::Arp => self.receive_arp(now, id, &rest),
            EtherType::Other(_) => self.counters.bump(Counter::TapsockLinkInUnknownProtos),
        }
    }

    fn receive_arp(&mut self, now: Instant, id: InterfaceId, bytes: &[u8]) {
        let Ok(packet) = ArpPacket::parse(bytes) else {
            self.counters.bump(Counter::TapsockArpInErrors);
            return;
        };
        let (interfaces, counters) = (&self.interfaces, &mut self.counters);
        if let Some(answer) = arp::on_arp(now, id, &packet, interfaces, &mut self.neighbors, counters) {
            self.queue_answer(id, answer);
        }
    }

    fn receive_v4(&mut self, now: Instant, id: InterfaceId, frame: &Frame, whole: Chunk) {
        let Ok(packet) = parse_v4(id, frame, whole, &mut self.counters) else {
            return;
        };
        if !self.interfaces.accepts_source(id, packet.source) {
            self.counters.bump(Counter::TapsockIpInMartians);
        } else if !self.interfaces.accepts(id, packet.destination) && !self.is_claimed(&packet) {
            self.counters.bump(Counter::IpInAddrErrors);
        } else {
            self.deliver(now, &packet);
        }
    }

    fn receive_v6(&mut self, now: Instant, id: InterfaceId, frame: &Frame, whole: Chunk) {
        let packet = match parse_v6(id, frame, whole, &mut self.counters) {
            Ok(packet) => packet,
            Err(Rejected::Dropped) => return,
            Err(Rejected::ParameterProblem { packet, code, pointer, to_group }) => {
                if !self.interfaces.accepts_source(id, packet.source) {
                    self.counters.bump(Counter::TapsockIpInMartians);
                    return;
                }
                let ours = self.interfaces.accepts(id, packet.destination);
                if ours && (to_group || !packet.destination.is_multicast()) {
                    self.send_error(now, ErrorKind::ParameterProblem { code, pointer }, &packet);
                }
                return;
            }
        };
        // A host without an address yet asks whether it may have one.
        //= RFC 4862 §5.4.2
        let asks = packet.source.is_unspecified() && packet.protocol == IpProtocol::ICMPV6;
        if !asks && !self.interfaces.accepts_source(id, packet.source) {
            self.counters.bump(Counter::TapsockIpInMartians);
        } else if !self.interfaces.accepts(id, packet.destination) && !self.is_claimed(&packet) {
            self.counters.bump(Counter::Ip6InAddrErrors);
        } else {
            self.deliver(now, &packet);
        }
    }

    /// Hands a packet to the protocol that it carries.
    fn deliver(&mut self, now: Instant, packet: &Packet) {
        let v4 = packet.destination.is_ipv4();
        self.counters.bump(if v4 { Counter::IpInDelivers } else { Counter::Ip6InDelivers });
        let heard = self.deliver_raw(now, packet);
        match (packet.protocol, packet.destination) {
            (IpProtocol::TCP, _) => self.receive_tcp(now, packet),
            (IpProtocol::UDP, _) => self.receive_udp(now, packet),
            (IpProtocol::ICMP, IpAddr::V4(_)) => self.receive_icmpv4(now, packet),
            (IpProtocol::ICMPV6, IpAddr::V6(_)) => self.receive_icmpv6(now, packet),
            (IpProtocol::NO_NEXT, IpAddr::V6(_)) => {}
            // Somebody here speaks it.
            _ if heard == Heard::Yes => {}
            _ => {
                self.counters.bump(if v4 { Counter::IpInUnknownProtos } else { Counter::Ip6InUnknownProtos });
                self.send_error(now, ErrorKind::ProtocolUnreachable, packet);
            }
        }
    }
}
