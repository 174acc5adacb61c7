//! ICMP through the stack: what comes, answers to echoes, and errors that we send.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::buf::{Checksum, Rope};
use crate::counters::{Counter, Counters};
use crate::demux::FlowKey;
use crate::discovery::{AutoLabel, Fragmentation, Limit};
use crate::iface::{Delivery, InterfaceId, NextHop, ndp};
use crate::ip::icmp::{
    EchoKind, ErrorKind, INTERNETWORK_CONTROL, Teller, complaint_v4, complaint_v6, echo, error, may_answer,
    quoted_bytes, timestamp_reply,
};
use crate::ip::input::{Packet, Stations};
use crate::ip::output::Outgoing;
use crate::time::Instant;
use crate::udp::Datagram;
use crate::wire::icmp::{Echo, Extensions, ICMP_HEADER_LEN};
use crate::wire::icmpv4::Icmpv4Message;
use crate::wire::icmpv6::Icmpv6Message;
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::ndp::{NdpMessage, REDIRECT, ROUTER_ADVERT, ROUTER_SOLICIT};
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv6Header};

use super::Stack;
use super::multicast::Reach;

/// Type of a redirect of IPv4.
const REDIRECT_V4: u8 = 5;
/// Type of a timestamp request, which only IPv4 has.
const TIMESTAMP: u8 = 13;
/// Type of its answer. Raw sockets hear it.
const TIMESTAMP_REPLY: u8 = 14;

/// What an ICMP message's IP header says besides addresses.
#[derive(Copy, Clone, Debug)]
pub(super) struct Marks {
    /// TTL or hop limit; `None` for the host's.
    pub(super) hop_limit: Option<u8>,
    pub(super) traffic_class: u8,
    pub(super) fragmentation: Fragmentation,
    /// IPv6's flow label; `None` for one that the host makes, where `labels` let it.
    pub(super) flow_label: Option<u32>,
    pub(super) labels: AutoLabel,
    /// Where it is for a group, this host does not hear it.
    pub(super) no_loop: bool,
    /// IPv4's options.
    pub(super) options: AnswerOptions,
}

impl Default for Marks {
    fn default() -> Self {
        let fragmentation = Fragmentation::Allowed;
        let options = AnswerOptions::default();
        Marks {
            hop_limit: None,
            traffic_class: 0,
            fragmentation,
            flow_label: None,
            labels: AutoLabel::Host,
            no_loop: false,
            options,
        }
    }
}

impl Stack {
    //= RFC 1122 §3.2.2
    //= RFC 1122 §3.2.2 MUST-1
    pub(super) fn receive_icmpv4(&mut self, now: Instant, packet: &Packet) {
        self.counters.bump(Counter::IcmpInMsgs);
        if packet.verified() == Checksum::Invalid {
            self.counters.bump(Counter::IcmpInCsumErrors);
            self.counters.bump(Counter::IcmpInErrors);
            return;
        }
        let Ok(message) = Icmpv4Message::parse(&packet.payload) else {
            self.counters.bump(Counter::IcmpInErrors);
            return;
        };
        match message {
            Icmpv4Message::EchoRequest(request) => {
                self.counters.bump(Counter::IcmpInEchos);
                if !self.config.icmp_echo_ignore_all {
                    self.answer_echo(now, request, packet);
                }
            }
            Icmpv4Message::EchoReply(reply) => {
                self.counters.bump(Counter::IcmpInEchoReps);
                self.deliver_echo_reply(now, reply, packet);
            }
            Icmpv4Message::DestinationUnreachable { .. } => self.counters.bump(Counter::IcmpInDestUnreachs),
            Icmpv4Message::TimeExceeded { .. } => self.counters.bump(Counter::IcmpInTimeExcds),
            Icmpv4Message::ParameterProblem { .. } => self.counters.bump(Counter::IcmpInParmProbs),
            Icmpv4Message::Other { kind: REDIRECT_V4, rest, .. } => {
                self.counters.bump(Counter::IcmpInRedirects);
                self.receive_redirect_v4(now, packet, rest);
            }
            Icmpv4Message::Other { kind: TIMESTAMP, rest, .. } => {
                self.counters.bump(Counter::IcmpInTimestamps);
                self.answer_timestamp(now, rest, packet);
            }
            //= RFC 1122 §3.2.2.8 MUST-3
            Icmpv4Message::Other { kind: TIMESTAMP_REPLY, .. } => {
                self.counters.bump(Counter::IcmpInTimestampReps);
            }
            Icmpv4Message::Other { .. } => {}
        }
        if let Some(mut complaint) = complaint_v4(&message) {
            complaint.teller = Some(Teller::of(packet));
            complaint.extensions = Extensions::of_icmpv4(&packet.payload);
            self.complain(
                now,
                packet.interface,
                quoted_bytes(&packet.payload),
                complaint,
                Counter::IcmpInErrors,
            );
        }
    }

    //= RFC 4443 §2.4
    //= RFC 4443 §2.4 MUST-1
    //= RFC 4443 §2.4 MUST-3
    pub(super) fn receive_icmpv6(&mut self, now: Instant, packet: &Packet) {
        self.counters.bump(Counter::Icmp6InMsgs);
        if packet.verified() == Checksum::Invalid {
            self.counters.bump(Counter::Icmp6InCsumErrors);
            self.counters.bump(Counter::Icmp6InErrors);
            return;
        }
        if self.hides_from_watchers(packet) {
            self.counters.bump(Counter::TapsockNdpInErrors);
            return;
        }
        let header = packet.ipv6_header();
        let Some(message) = header.and_then(|header| Icmpv6Message::parse(&header, &packet.payload).ok())
        else {
            let neighbor = packet.payload.first().is_some_and(|kind| matches!(kind, 135 | 136));
            self.counters.bump(Counter::Icmp6InErrors);
            if neighbor {
                self.counters.bump(Counter::TapsockNdpInErrors);
            }
            return;
        };
        match message {
            Icmpv6Message::EchoRequest(request) => {
                self.counters.bump(Counter::Icmp6InEchos);
                let config = &self.config;
                let ignored = config.ipv6_icmp_echo_ignore_all
                    || config.ipv6_icmp_echo_ignore_multicast && packet.destination.is_multicast();
                if !ignored {
                    self.answer_echo(now, request, packet);
                }
            }
            Icmpv6Message::EchoReply(reply) => {
                self.counters.bump(Counter::Icmp6InEchoReplies);
                self.deliver_echo_reply(now, reply, packet);
            }
            Icmpv6Message::Ndp(message) => self.receive_ndp(now, &message, packet),
            Icmpv6Message::DestinationUnreachable { .. } => self.counters.bump(Counter::Icmp6InDestUnreachs),
            Icmpv6Message::PacketTooBig { .. } => self.counters.bump(Counter::Icmp6InPktTooBigs),
            Icmpv6Message::TimeExceeded { .. } => self.counters.bump(Counter::Icmp6InTimeExcds),
            Icmpv6Message::ParameterProblem { .. } => self.counters.bump(Counter::Icmp6InParmProblems),
            Icmpv6Message::Other { kind, .. } => self.receive_from_router(now, kind, packet, header),
        }
        if let Some(mut complaint) = complaint_v6(&message) {
            complaint.teller = Some(Teller::of(packet));
            complaint.extensions = Extensions::of_icmpv6(&packet.payload);
            self.complain(
                now,
                packet.interface,
                quoted_bytes(&packet.payload),
                complaint,
                Counter::Icmp6InErrors,
            );
        }
    }

    /// Whether this is neighbour discovery in fragments, by which a liar passes by switches that look for lies.
    //= RFC 6980 §5
    fn hides_from_watchers(&self, packet: &Packet) -> bool {
        let is_discovery =
            packet.payload.first().is_some_and(|kind| (ROUTER_SOLICIT..=REDIRECT).contains(kind));
        packet.fragmented
            && is_discovery
            && self
                .interfaces
                .interface(packet.interface)
                .is_some_and(|interface| self.config.suppresses_fragmented_discovery(interface.name()))
    }

    /// Messages of neighbour discovery that only routers send, or only they take.
    //= RFC 4861 §6.1.1 MUST-1
    //= RFC 4861 §6.2.6 MUST-1
    //= RFC 4861 §6.2.6 MUST-5
    fn receive_from_router(&mut self, now: Instant, kind: u8, packet: &Packet, header: Option<Ipv6Header>) {
        let Some(header) = header else { return };
        match kind {
            ROUTER_SOLICIT => self.counters.bump(Counter::Icmp6InRouterSolicits),
            ROUTER_ADVERT => {
                self.counters.bump(Counter::Icmp6InRouterAdvertisements);
                self.receive_router_advert(now, packet, &header);
            }
            REDIRECT => {
                self.counters.bump(Counter::Icmp6InRedirects);
                self.receive_redirect_v6(now, packet, &header);
            }
            _ => self.receive_mld(now, kind, packet, &header),
        }
    }

    fn receive_ndp(&mut self, now: Instant, message: &NdpMessage, packet: &Packet) {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
            return;
        };
        let id = packet.interface;
        self.watch_duplicates(message, packet);
        let policy = self.neighbor_policy(id);
        let (interfaces, counters) = (&self.interfaces, &mut self.counters);
        match message {
            NdpMessage::NeighborSolicit(solicit) => {
                counters.bump(Counter::Icmp6InNeighborSolicits);
                let (neighbors, way) = (&mut self.neighbors, (id, source, destination));
                if let Some(answer) =
                    ndp::on_solicit(now, way, solicit, interfaces, &policy, neighbors, counters)
                {
                    self.queue_answer(id, answer);
                }
            }
            NdpMessage::NeighborAdvert(advert) => {
                counters.bump(Counter::Icmp6InNeighborAdvertisements);
                ndp::on_advert(now, id, advert, interfaces, &policy, &mut self.neighbors, counters);
            }
        }
    }

    /// Answers an echo request with what it brought: as Linux, with its code too.
    //= RFC 1122 §3.2.2.6
    //= RFC 4443 §4.2
    //= RFC 1122 §3.2.2.6 MUST-1
    //= RFC 1122 §3.2.2.6 MUST-3
    //= RFC 4443 §4.1 MUST-1
    //= RFC 4443 §4.2 MUST-1
    //= RFC 4443 §4.2 MUST-4
    fn answer_echo(&mut self, now: Instant, request: Echo, packet: &Packet) {
        let body = Rope::from(packet.payload.slice(ICMP_HEADER_LEN..packet.payload.len()));
        let kind = EchoKind::Reply { code: packet.payload[1] };
        self.answer(now, packet, |source, to, counters| echo(kind, request, source, to, body, counters));
    }

    /// Answers a timestamp request with what it brought and the time here.
    //= RFC 1122 §3.2.2.8
    fn answer_timestamp(&mut self, now: Instant, named: [u8; 4], packet: &Packet) {
        let Some(asked) = packet.payload.get(ICMP_HEADER_LEN..).and_then(|body| body.first_chunk()) else {
            self.counters.bump(Counter::IcmpInErrors);
            return;
        };
        let time = self.time_of_day(now);
        self.answer(now, packet, |_, _, counters| Some(timestamp_reply(named, *asked, time, counters)));
    }

    /// Answers a request that may have been for all.
    //= RFC 1122 §3.2.2.8 MUST-1
    //= RFC 1122 §3.2.2.8 SHLD-1
    fn answer(
        &mut self,
        now: Instant,
        packet: &Packet,
        message: impl FnOnce(IpAddr, IpAddr, &mut Counters) -> Option<Transmit>,
    ) {
        let to_us_alone = self.interfaces.is_local(packet.destination);
        let ignored = packet.destination.is_ipv4() && self.config.icmp_echo_ignore_broadcasts;
        if !to_us_alone && ignored || packet.source.is_unspecified() {
            self.counters.bump(if packet.source.is_ipv4() {
                Counter::IcmpInErrors
            } else {
                Counter::Icmp6InErrors
            });
            return;
        }
        let Some(hop) = self.way_back(packet, to_us_alone) else {
            return;
        };
        let (source, to) = (hop.source, packet.source);
        if let Some(answer) = message(source, to, &mut self.counters) {
            //= RFC 1122 §3.2.2.8 SHLD-2
            let options = self.answer_options(now, packet, source);
            let marks = Marks { traffic_class: packet.traffic_class, options, ..Marks::default() };
            self.send_icmp(now, &hop, source, to, marks, answer);
        }
    }

    /// Whether an error of `kind` may be sent to `to` now. As Linux: which types are limited is a setting, and
    /// for a host's own errors over `lo` only the limit for all holds.
    //= RFC 4443 §2.4
    //= RFC 1812 §4.3.2.8
    //= RFC 4443 §2.4 MUST-6
    fn within_limits(&mut self, now: Instant, kind: ErrorKind, to: IpAddr, hop: &NextHop) -> bool {
        let Some((interval, counter)) = self.limit_of(kind, to) else { return true };
        // What sources without number can bring about is bounded before anything is remembered of them.
        if !self.icmp_limit.has_token(now) {
            self.counters.bump(Counter::IcmpOutRateLimitGlobal);
            return false;
        }
        if hop.interface != InterfaceId::LOOPBACK && !self.icmp_host_limits.allows(now, to, interval) {
            self.counters.bump(counter);
            return false;
        }
        self.icmp_limit.allows(now)
    }

    /// The time between errors of `kind` to `to`, and what counts those that come sooner, where they are limited.
    fn limit_of(&self, kind: ErrorKind, to: IpAddr) -> Option<(Duration, Counter)> {
        match to {
            IpAddr::V4(_) if self.config.icmp_ratemask >> kind.icmpv4_type() & 1 == 0 => None,
            IpAddr::V4(_) => Some((self.config.icmp_ratelimit, Counter::IcmpOutRateLimitHost)),
            IpAddr::V6(_) if !self.config.ipv6_icmp_ratemask.contains(kind.icmpv6_type()) => None,
            IpAddr::V6(_) => Some((self.config.ipv6_icmp_ratelimit, Counter::Icmp6OutRateLimitHost)),
        }
    }

    /// Whether the limit of a host lets no error of `kind` be sent to `to` now, which is counted: to be asked before much is
    /// done for the error.
    pub(super) fn is_over_limit(&mut self, now: Instant, kind: ErrorKind, to: IpAddr) -> bool {
        let limit = self.limit_of(kind, to);
        let over = limit.filter(|(interval, _)| !self.icmp_host_limits.has_token(now, to, *interval));
        if let Some((_, counter)) = over {
            self.counters.bump(counter);
        }
        over.is_some()
    }

    /// The way to whoever sent `packet`, from the address that it was sent to, where that is ours alone.
    //= RFC 1122 §3.2.2.6 MUST-2
    //= RFC 1122 §3.3.4.2 SHLD-1
    //= RFC 4443 §2.2 MUST-1
    //= RFC 4443 §2.2 MUST-2
    //= RFC 4443 §4.2 MUST-2
    //= RFC 4443 §4.2 MUST-3
    pub(super) fn way_back(&self, packet: &Packet, to_us_alone: bool) -> Option<NextHop> {
        let source = to_us_alone.then_some(packet.destination);
        let scoped = matches!(packet.source, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let hop = self.interfaces.route(packet.source, source, scoped.then_some(packet.interface)).ok();
        // One host is answered, never several.
        //= RFC 1812 §4.3.2.7
        hop.filter(|hop| hop.delivery == Delivery::Unicast)
    }

    //= RFC 1122 §3.2.2.6 MUST-4
    //= RFC 4443 §4.2 MUST-5
    fn deliver_echo_reply(&mut self, now: Instant, reply: Echo, packet: &Packet) {
        let message = Datagram {
            payload: Rope::from(packet.payload.clone()),
            from: SocketAddr::new(packet.source, 0),
            to: packet.destination,
            to_port: 0,
            interface: packet.interface,
            hop_limit: packet.hop_limit,
            traffic_class: packet.traffic_class,
            flow_label: packet.flow_label(),
            segment_size: None,
            arrived: now,
            drops_before: 0,
            ip_options: packet.options_to_tell(),
        };
        self.deliver_ping(reply.ident, message);
    }

    /// Tells the sender of `packet` what is wrong with it, as far as that is allowed.
    //= RFC 1122 §3.3.8 MUST-1
    pub(super) fn send_error(&mut self, now: Instant, kind: ErrorKind, packet: &Packet) {
        let local = self.interfaces.is_local(packet.destination);
        let problem = matches!(kind, ErrorKind::ParameterProblem { .. } | ErrorKind::OptionProblem { .. });
        let to_group = problem && packet.destination.is_multicast();
        //= RFC 1812 §4.3.2.7
        let of_router =
            kind.is_of_router() || problem && self.is_in_transit(packet.origin(), packet.destination);
        let alone = (local || of_router) && packet.stations == Stations::One;
        if !may_answer(packet, alone || to_group) {
            return;
        }
        let Some(hop) = self.way_back(packet, local) else {
            return;
        };
        let (source, to) = (hop.source, packet.source);
        if !self.within_limits(now, kind, to, &hop) {
            return;
        }
        let options = self.answer_options(now, packet, source);
        if let Some(message) = error(kind, packet, source, options.len(), &mut self.counters) {
            //= RFC 1812 §4.3.2.5
            let traffic_class =
                if to.is_ipv4() { INTERNETWORK_CONTROL | packet.traffic_class & 0x1e } else { 0 };
            self.send_icmp(
                now,
                &hop,
                source,
                to,
                Marks { traffic_class, options, ..Marks::default() },
                message,
            );
        }
    }

    pub(super) fn send_icmp(
        &mut self,
        now: Instant,
        hop: &NextHop,
        source: IpAddr,
        destination: IpAddr,
        marks: Marks,
        packet: Transmit,
    ) {
        let Some(packet) = self.wrap_icmp(hop, source, destination, marks, packet) else { return };
        let limit = Limit::new(self.path_to(now, destination, hop), None, destination);
        if let Some(largest) = limit.cut(packet.len()) {
            self.fragments(packet, largest).for_each(|part| self.send_answer(now, hop, part));
        } else {
            self.send_answer(now, hop, packet);
        }
    }

    /// A message as the packet that is to go to the link; `None` where it is for ourselves alone. What is for a group that
    /// we hear comes to us too.
    pub(super) fn wrap_icmp(
        &mut self,
        hop: &NextHop,
        source: IpAddr,
        destination: IpAddr,
        marks: Marks,
        mut packet: Transmit,
    ) -> Option<Transmit> {
        let protocol = if source.is_ipv4() { IpProtocol::ICMP } else { IpProtocol::ICMPV6 };
        let hop_limit = marks.hop_limit.unwrap_or_else(|| self.hop_limit_at(hop.interface, source));
        let traffic_class = marks.traffic_class;
        let fragmentation = marks.fragmentation;
        let identification = self.identification(fragmentation, (source, destination), protocol, 1);
        let outgoing = Outgoing {
            source,
            destination,
            protocol,
            hop_limit,
            traffic_class,
            fragmentation,
            identification,
        };
        // As Linux: messages between two hosts are one flow.
        let ends = [source, destination].map(|address| SocketAddr::new(address, 0));
        let label = marks
            .flow_label
            .unwrap_or_else(|| self.flow_label(marks.labels, &FlowKey::new(ends[0], ends[1])));
        outgoing.prepend_with_label(label, &mut packet, &mut self.counters)?;
        marks.options.insert_into(&mut packet.headers);
        if hop.delivery == Delivery::Multicast
            && self.leave_for_group(hop, destination, &packet, marks.no_loop) == Reach::Host
        {
            return None;
        }
        Some(packet)
    }
}
