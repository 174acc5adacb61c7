//! Frames on their way in: link header, IP header, and to whom the packet goes.

use core::net::IpAddr;

use crate::buf::{Chunk, Frame};
use crate::counters::Counter;
use crate::iface::{Interface, InterfaceId, LinkState, arp};
use crate::ip::icmp::ErrorKind;
use crate::ip::input::{
    Origin, Packet, Rejected, Sender, Stations, parse_v4_with, parse_v6, parse_v6_in_transit,
};
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
                self.receive_ip(now, Origin::of(id), &frame, frame.bytes.clone());
            }
            Medium::Ethernet => self.receive_ethernet(now, id, &frame),
        }
    }

    /// Takes a bare packet of either version.
    pub(super) fn receive_ip(&mut self, now: Instant, origin: Origin, frame: &Frame, whole: Chunk) {
        match whole.first().map(|byte| byte >> 4) {
            Some(4) => self.receive_v4(now, origin, frame, whole),
            Some(6) => self.receive_v6(now, origin, frame, whole),
            _ => self.counters.bump(Counter::TapsockLinkInHdrErrors),
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
        let stations = if header.destination.is_multicast() { Stations::Several } else { Stations::One };
        let origin = Origin { interface: id, stations, sender: Sender::Link };
        let rest = frame.bytes.slice(EthernetHeader::LEN..frame.bytes.len());
        match header.ether_type {
            EtherType::Ipv4 => self.receive_v4(now, origin, frame, rest),
            EtherType::Ipv6 => self.receive_v6(now, origin, frame, rest),
            EtherType::Arp => self.receive_arp(now, id, &rest),
            EtherType::Other(_) => self.counters.bump(Counter::TapsockLinkInUnknownProtos),
        }
    }

    fn receive_arp(&mut self, now: Instant, id: InterfaceId, bytes: &[u8]) {
        let Ok(packet) = ArpPacket::parse(bytes) else {
            self.counters.bump(Counter::TapsockArpInErrors);
            return;
        };
        // What another interface of this host says on the same link is no conflict.
        //= RFC 5227 §1.1
        let by_us = |own: &Interface| own.has_neighbors() && own.hardware() == packet.sender_hardware;
        if !self.interfaces.iter().any(by_us) {
            self.tell_dhcp_of(now, id, &packet);
            self.watch_claims(now, id, &packet);
        }
        let policy = self.neighbor_policy(id);
        let (interfaces, neighbors, counters) = (&self.interfaces, &mut self.neighbors, &mut self.counters);
        if let Some(answer) = arp::on_arp(now, id, &packet, interfaces, &policy, neighbors, counters) {
            self.queue_answer(id, answer);
        }
    }

    //= RFC 1122 §3.1 SHLD-2
    //= RFC 1122 §3.2.1.3 MUST-3
    //= RFC 1122 §3.2.1.3 MUST-4
    //= RFC 1122 §3.2.1.7 MUST-2
    fn receive_v4(&mut self, now: Instant, origin: Origin, frame: &Frame, whole: Chunk) {
        let id = origin.interface;
        self.counters.bump(Counter::IpInReceives);
        self.counters[Counter::IpExtInOctets] += whole.len() as u64;
        let routes = self.source_routes(id, &whole);
        let packet = match parse_v4_with(routes, origin, frame, whole, &mut self.counters) {
            Ok(packet) => packet,
            Err(rejected) => return self.on_rejected(now, rejected),
        };
        let ours = origin.sender == Sender::Ourselves;
        if !ours && !self.interfaces.accepts_source(id, packet.source) {
            self.counters.bump(Counter::TapsockIpInMartians);
        } else if self.is_for_dhcp(&packet) {
            self.receive_dhcp(now, &packet);
        } else if !ours && !self.came_by_reverse_path(&packet) {
            self.counters.bump(Counter::TcpExtIPReversePathFilter);
        } else if self.is_in_transit(origin, packet.destination) && !self.claims(&packet) {
            self.forward(now, &packet);
        } else if !self.interfaces.accepts(id, packet.destination) && !self.claims(&packet) {
            self.counters.bump(Counter::IpInAddrErrors);
        } else if self.is_alone_among_several(&packet) {
            self.counters.bump(Counter::IpInDiscards);
        } else if !packet.ipv4_options().is_empty() {
            self.receive_with_options(now, packet);
        } else {
            self.accept(now, &packet);
        }
    }

    fn receive_with_options(&mut self, now: Instant, packet: Packet) {
        // By a source route the packet may be for others, or for this host by another address.
        if let Some(packet) = self.follow_source_route(now, packet) {
            let packet = self.recorded(now, packet);
            self.accept(now, &packet);
        }
    }

    fn receive_v6(&mut self, now: Instant, origin: Origin, frame: &Frame, whole: Chunk) {
        let id = origin.interface;
        self.counters.bump(Counter::Ip6InReceives);
        self.counters[Counter::Ip6InOctets] += whole.len() as u64;
        let limits = self.config.ext_limits();
        let transit = self.is_in_transit_v6(origin, &whole);
        let parse = if transit { parse_v6_in_transit } else { parse_v6 };
        let packet = match parse(origin, frame, whole, &limits, &mut self.counters) {
            Ok(packet) => packet,
            Err(rejected) => return self.on_rejected(now, rejected),
        };
        // A host without an address yet asks whether it may have one.
        //= RFC 4862 §5.4.2
        let asks = packet.source.is_unspecified() && packet.protocol == IpProtocol::ICMPV6;
        let ours = origin.sender == Sender::Ourselves;
        if !asks && !ours && !self.interfaces.accepts_source(id, packet.source) {
            self.counters.bump(Counter::TapsockIpInMartians);
        } else if transit && !self.claims(&packet) {
            self.forward(now, &packet);
        } else if !self.interfaces.accepts(id, packet.destination) && !self.claims(&packet) {
            self.counters.bump(Counter::Ip6InAddrErrors);
        } else if self.is_alone_among_several(&packet) {
            self.counters.bump(Counter::Ip6InDiscards);
        } else {
            self.accept(now, &packet);
        }
    }

    /// Whether a packet for one host came in a frame for several, where that is not to be taken.
    //= RFC 1122 §3.3.6
    //= RFC 1122 §3.3.6 SHLD-3
    fn is_alone_among_several(&self, packet: &Packet) -> bool {
        let refuses = || {
            let name = self.interfaces.interface(packet.interface).map_or("", Interface::name);
            self.config.drops_unicast_in_l2_multicast(name, packet.destination)
        };
        packet.stations == Stations::Several && refuses() && self.is_for_one(packet)
    }

    /// Whether a packet to another's address is for a socket here. A part of one does not tell.
    fn claims(&mut self, packet: &Packet) -> bool {
        packet.fragment.is_none() && self.is_claimed(packet)
    }

    /// A packet was not read to its end: tells its sender, where that is to be told.
    //= RFC 4443 §3.4 MUST-1
    pub(super) fn on_rejected(&mut self, now: Instant, rejected: Rejected) {
        let Rejected::Problem { packet, kind, to_group } = rejected else { return };
        if !self.interfaces.accepts_source(packet.interface, packet.source) {
            self.counters.bump(Counter::TapsockIpInMartians);
            return;
        }
        if packet.source.is_ipv4() && !self.came_by_reverse_path(&packet) {
            self.counters.bump(Counter::TcpExtIPReversePathFilter);
            return;
        }
        let ours = self.interfaces.accepts(packet.interface, packet.destination)
            || self.is_in_transit(packet.origin(), packet.destination);
        if ours && (to_group || !packet.destination.is_multicast()) {
            self.send_error(now, kind, &packet);
        }
    }

    /// Takes a packet that is for us, or a part of one.
    fn accept(&mut self, now: Instant, packet: &Packet) {
        match &packet.fragment {
            None => self.deliver(now, packet),
            Some(fragment) => self.receive_fragment(now, packet, fragment),
        }
    }

    /// Hands a packet to the protocol that it carries.
    //= RFC 1122 §3.1 MUST-1
    //= RFC 4443 §2 MUST-1
    //= RFC 8200 §4.7 MUST-1
    pub(super) fn deliver(&mut self, now: Instant, packet: &Packet) {
        let v4 = packet.destination.is_ipv4();
        self.counters.bump(if v4 { Counter::IpInDelivers } else { Counter::Ip6InDelivers });
        let heard = self.deliver_raw(now, packet);
        match (packet.protocol, packet.destination) {
            (IpProtocol::TCP, _) => self.receive_tcp(now, packet),
            (IpProtocol::UDP, _) => self.receive_udp(now, packet),
            (IpProtocol::ICMP, IpAddr::V4(_)) => self.receive_icmpv4(now, packet),
            (IpProtocol::IGMP, IpAddr::V4(_)) => self.receive_igmp(now, packet),
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
