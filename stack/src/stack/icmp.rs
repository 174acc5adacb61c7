//! ICMP through the stack: answers to echoes, errors that we send, and errors that concern a socket.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use crate::buf::{Checksum, Chunk, Rope};
use crate::counters::{Counter, Counters};
use crate::demux::{FlowKey, Target};
use crate::discovery::{AutoLabel, Fragmentation, Limit};
use crate::error_queue::{ErrorDelivery, Report, StampKind};
use crate::iface::{Delivery, InterfaceId, NextHop, ndp};
use crate::ip::icmp::{
    Complaint, EchoKind, ErrorKind, INTERNETWORK_CONTROL, Teller, complaint_v4, complaint_v6, echo, error,
    may_answer, quoted_bytes, timestamp_reply,
};
use crate::ip::input::{Packet, Stations};
use crate::ip::output::Outgoing;
use crate::tcp::{SeqNumber, State};
use crate::time::Instant;
use crate::udp::Datagram;
use crate::wire::icmp::{Echo, ICMP_HEADER_LEN, Quoted};
use crate::wire::icmpv4::Icmpv4Message;
use crate::wire::icmpv6::Icmpv6Message;
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv4_options::{AnswerOptions, Host, Ipv4Options, Step};
use crate::wire::ndp::{NdpMessage, REDIRECT, ROUTER_ADVERT, ROUTER_SOLICIT};
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header};

use super::multicast::{Reach, reach_of};
use super::stamps::Stamping;
use super::{Changes, Stack};

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
    /// The stamps that are wanted of it.
    pub(super) stamping: Option<Stamping>,
    /// How large the packet may be; `None` for what the path takes.
    pub(super) limit: Option<Limit>,
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
            stamping: None,
            limit: None,
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
                self.answer_echo(now, request, packet);
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
            self.complain(
                now,
                packet.interface,
                quoted_bytes(&packet.payload),
                complaint,
                Counter::Icmp6InErrors,
            );
        }
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

    /// Answers a timestamp request with what it brought and the time here, which is not that of the day.
    //= RFC 1122 §3.2.2.8
    fn answer_timestamp(&mut self, now: Instant, named: [u8; 4], packet: &Packet) {
        let Some(asked) = packet.payload.get(ICMP_HEADER_LEN..).and_then(|body| body.first_chunk()) else {
            self.counters.bump(Counter::IcmpInErrors);
            return;
        };
        self.answer(now, packet, |_, _, counters| {
            Some(timestamp_reply(named, *asked, time_of_no_day(now), counters))
        });
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

    /// Whether an error of `kind` may be sent to `to` now. As Linux: which types of IPv4 are limited is a setting, and
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
    fn way_back(&self, packet: &Packet, to_us_alone: bool) -> Option<NextHop> {
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

    /// The options of an answer of `source` to `packet`. A packet whose options make no sense is answered without.
    //= RFC 1122 §3.2.2.6
    //= RFC 1122 §3.2.2.6 SHLD-2
    fn answer_options(&self, now: Instant, packet: &Packet, source: IpAddr) -> AnswerOptions {
        let (options, IpAddr::V4(source)) = (packet.ipv4_options(), source) else {
            return AnswerOptions::default();
        };
        if options.is_empty() {
            return AnswerOptions::default();
        }
        let host = self.recording_host(now, source);
        Ipv4Options::parse(options)
            .map_or_else(|_| AnswerOptions::default(), |parsed| parsed.answer(options, &host))
    }

    /// The options that a socket wants of a packet from `source` to `destination`, as they go.
    //= RFC 1122 §3.2.1.8 MUST-1
    pub(super) fn socket_options(
        &self,
        now: Instant,
        options: AnswerOptions,
        (source, destination): (IpAddr, IpAddr),
    ) -> AnswerOptions {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(_)) if !options.is_empty() => {
                options.recorded(&self.recording_host(now, source))
            }
            _ => AnswerOptions::default(),
        }
    }

    /// What this host records of itself in options.
    fn recording_host(&self, now: Instant, ours: Ipv4Addr) -> Host<impl Fn(Ipv4Addr) -> bool> {
        Host {
            ours,
            is_ours: |address| self.interfaces.is_local(IpAddr::V4(address)),
            time: time_of_no_day(now),
        }
    }

    /// A packet of somebody else with options as it goes on: the router stands in the record of its route, by the address
    /// that it has where the packet leaves.
    //= RFC 1812 §5.3.13.5
    pub(super) fn recorded_on(&self, now: Instant, packet: &Packet, ours: IpAddr) -> Packet {
        match ours {
            IpAddr::V4(ours) => self.recorded_by(now, packet.clone(), ours),
            IpAddr::V6(_) => packet.clone(),
        }
    }

    /// A packet with options as it is handed on: the receiver stands in the record of its route.
    //= RFC 1122 §3.2.1.8
    pub(super) fn recorded(&self, now: Instant, packet: Packet) -> Packet {
        let ours = match packet.destination {
            IpAddr::V4(destination) if self.interfaces.is_local(packet.destination) => Some(destination),
            _ => self.way_back(&packet, false).and_then(|hop| match hop.source {
                IpAddr::V4(source) => Some(source),
                IpAddr::V6(_) => None,
            }),
        };
        match ours {
            Some(ours) => self.recorded_by(now, packet, ours),
            None => packet,
        }
    }

    fn recorded_by(&self, now: Instant, packet: Packet, ours: Ipv4Addr) -> Packet {
        let Ok(options) = Ipv4Options::parse(packet.ipv4_options()) else { return packet };
        let len = packet.whole.len() - packet.payload.len();
        let mut bytes = packet.whole.to_vec();
        let host = self.recording_host(now, ours);
        options.record(&mut bytes[Ipv4Header::MIN_LEN..len], Step::Receive, &host);
        write_checksum(&mut bytes[..len]);
        let whole = Chunk::from(bytes);
        Packet { payload: whole.slice(len..whole.len()), whole, ..packet }
    }

    pub(super) fn send_icmp(
        &mut self,
        now: Instant,
        hop: &NextHop,
        source: IpAddr,
        destination: IpAddr,
        marks: Marks,
        mut packet: Transmit,
    ) {
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
        if outgoing.prepend_with_label(label, &mut packet, &mut self.counters).is_none() {
            return;
        }
        marks.options.insert_into(&mut packet.headers);
        if hop.delivery == Delivery::Multicast {
            if !marks.no_loop {
                self.loop_to_group(hop, destination, &packet);
            }
            if reach_of(&packet) == Reach::Host {
                return;
            }
        }
        let limit =
            marks.limit.unwrap_or_else(|| Limit::new(self.path_to(now, destination, hop), None, destination));
        let mut stamping = marks.stamping;
        let mut send = |stack: &mut Self, packet| stack.send_icmp_packet(now, hop, packet, stamping.take());
        if let Some(largest) = limit.cut(packet.len()) {
            self.fragments(packet, largest).for_each(|part| send(self, part));
        } else {
            send(self, packet);
        }
    }

    fn send_icmp_packet(
        &mut self,
        now: Instant,
        hop: &NextHop,
        packet: Transmit,
        stamping: Option<Stamping>,
    ) {
        let Some(stamping) = stamping else { return self.send_answer(now, hop, packet) };
        if let Some((interface, frame)) = self.dispatch_stamped(now, hop, packet, &[stamping]) {
            self.stamp(now, StampKind::Sent, &[stamping], &frame);
            self.queue_answer(interface, frame);
        }
    }

    /// A packet of ours could not be delivered to the neighbour `target`.
    pub(super) fn on_undeliverable(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        target: IpAddr,
        packet: &Transmit,
    ) {
        let headers = packet.headers.to_vec();
        // A socket may have sent it in another's name.
        let in_a_name = Quoted::parse(&headers).is_ok_and(|quoted| self.was_sent_for(interface, &quoted));
        if !in_a_name && self.on_undeliverable_of_others(now, interface, packet) {
            return;
        }
        let invalid = if target.is_ipv4() { Counter::IpOutDiscards } else { Counter::Ip6OutDiscards };
        self.complain(now, interface, &headers, Complaint::no_neighbor(target), invalid);
    }

    /// Brings an error, which came in at `interface`, to the socket whose packet it quotes. One that quotes nothing
    /// of ours is not believed.
    //= RFC 5927 §4.1
    //= RFC 1122 §3.2.2 MUST-3
    //= RFC 1122 §3.4 MUST-5
    //= RFC 1122 §3.4 MUST-6
    fn complain(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &[u8],
        complaint: Complaint,
        invalid: Counter,
    ) {
        let Ok(quoted) = Quoted::parse(quoted) else {
            self.counters.bump(invalid);
            return;
        };
        if !self.interfaces.is_local(quoted.source) && !self.was_sent_for(interface, &quoted) {
            self.counters.bump(invalid);
            return;
        }
        self.complain_to_raw(now, interface, &quoted, complaint);
        match quoted.protocol {
            IpProtocol::TCP => self.complain_to_tcp(now, interface, &quoted, complaint),
            IpProtocol::UDP => self.complain_to_udp(now, interface, &quoted, complaint),
            IpProtocol::ICMP | IpProtocol::ICMPV6 => {
                self.complain_to_ping(now, interface, &quoted, complaint);
            }
            _ => {}
        }
    }

    //= RFC 9293 MUST-54
    fn complain_to_tcp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &Quoted,
        complaint: Complaint,
    ) {
        let (local_port, remote_port) = quoted.ports();
        let local = SocketAddr::new(quoted.source, local_port);
        let remote = SocketAddr::new(quoted.destination, remote_port);
        let key = FlowKey::new(local, remote).over(interface);
        let sequence = SeqNumber::new(quoted.sequence());
        match self.find(&key) {
            Some(Target::Connection(index)) => self.complain_to_connection(now, index, quoted, complaint),
            Some(Target::HalfOpen(place)) => self.complain_to_half_open(place, sequence, complaint),
            Some(Target::TimeWait(_)) | None => {}
        }
    }

    //= RFC 9293 §3.9.2.2
    //= RFC 1122 §3.2.2.1 SHLD-2
    //= RFC 1122 §3.2.2.1 MUST-2
    fn complain_to_connection(&mut self, now: Instant, index: u32, quoted: &Quoted, complaint: Complaint) {
        let unaccepted = self.is_early_unaccepted(index);
        let Some(slot) = self.tcp.at(index) else { return };
        //= RFC 5927 §4.1
        let sequence = SeqNumber::new(quoted.sequence());
        if !slot.connection.has_in_flight(sequence) {
            self.counters.bump(Counter::TcpExtOutOfWindowIcmps);
            return;
        }
        if complaint.no_way && slot.connection.state().is_synchronized() {
            slot.connection.on_no_way(now, sequence);
        }
        match complaint.mtu {
            Some(_) if !slot.connection.options().discovery.believes() => return,
            Some(mtu) => {
                // Also where that is no news: who learned it may have been another.
                let (remote, hop) = (slot.key.remote().ip(), slot.hop());
                self.learn_path_mtu_over(now, remote, &hop, mtu);
                self.follow_path(now, index);
                self.tcp.mark_ready(index);
            }
            // As Linux: an attempt to connect ends at the first complaint, soft or hard.
            None => {
                let opening = matches!(slot.connection.state(), State::SynSent | State::SynReceived);
                let all = slot.connection.options().error_delivery == ErrorDelivery::All;
                if slot.connection.is_early() && !unaccepted {
                    // As Linux: one that is in use is open already.
                    slot.connection.note_unreachable(complaint.error);
                } else {
                    slot.connection.on_unreachable(complaint.error, &mut self.counters);
                }
                if opening && all {
                    let port = quoted.ports().1;
                    self.report_to_tcp(index, Report::of_complaint(&complaint, quoted, 0, port, now));
                } else if all {
                    self.tell_tcp(index, Changes::ERROR);
                }
            }
        }
        self.settle(now, index);
    }

    /// As Linux: the record is dropped without a word. What was learned of the path counts once it is a connection.
    fn complain_to_half_open(&mut self, place: u32, sequence: SeqNumber, complaint: Complaint) {
        //= RFC 5927 §4.1
        if !self.tcp.half_open.opens_with(place, sequence) {
            self.counters.bump(Counter::TcpExtOutOfWindowIcmps);
        } else if complaint.ends_half_open {
            self.forget_half_open(place);
            self.counters.bump(Counter::TcpExtListenDrops);
        }
    }
}

/// The time in milliseconds, with the upper bit, which says that it is not that of the day: that is not known here.
//= RFC 791 §3.1
fn time_of_no_day(now: Instant) -> u32 {
    1 << 31 | now.as_millis() as u32 & (u32::MAX >> 1)
}
