//! Segments of TCP through the stack: whose they are on the way in, and how they are wrapped on the way out.

use core::net::SocketAddr;

use crate::buf::{Checksum, HeaderBlock, Rope};
use crate::counters::Counter;
use crate::demux::{FlowKey, Target};
use crate::discovery::{AutoLabel, Fragmentation};
use crate::error_queue::StampKind;
use crate::iface::{Addresses, InterfaceId, NextHop, Way};
use crate::ip::input::{Packet, Stations};
use crate::ip::output::Outgoing;
use crate::tcp::connection::Event;
use crate::tcp::handshake::Accepted;
use crate::tcp::listener::{Due, Step};
use crate::tcp::segment::{Codepoint, Control, Segment};
use crate::tcp::time_wait::{TimeWait, Verdict};
use crate::tcp::{Connection, SeqNumber, Shutdown, State};
use crate::time::Instant;
use crate::wire::IpProtocol;
use crate::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use crate::wire::tcp::TcpHeader;

use super::fast_open::Entrance;
use super::stamps::Stamping;
use super::syn_queue::{Returned, RoomForSyn};
use super::tcp_table::{Hold, Marks, TcpId};
use super::{Changes, SocketId, Stack};

/// Room that is left for headers in a packet that the link cuts.
const HEADER_ROOM: usize = 120;

impl Stack {
    /// Takes a TCP segment.
    pub(super) fn receive_tcp(&mut self, now: Instant, packet: &Packet) {
        let Some((key, segment)) = self.parse_tcp(packet) else {
            return;
        };
        match self.find(&key) {
            Some(Target::Connection(index)) => match self.admits(index, packet) {
                Admission::Yes => self.on_connection_segment(now, index, &key, segment, packet),
                Admission::Elsewhere => self.on_listener_segment(now, key, segment, packet, None),
                Admission::TooFar => self.counters.bump(Counter::TcpExtTCPMinTTLDrop),
            },
            Some(Target::HalfOpen(place)) => self.on_half_open_segment(now, place, key, segment, packet),
            Some(Target::TimeWait(index)) => self.on_resting_segment(now, index, key, segment, packet),
            None => self.on_listener_segment(now, key, segment, packet, None),
        }
    }

    /// Whether the options of a connection's socket let a segment in.
    fn admits(&mut self, index: u32, packet: &Packet) -> Admission {
        let Some(slot) = self.tcp.at(index) else { return Admission::Yes };
        let device = slot.way.device;
        if packet.hop_limit < slot.connection.options().min_hop_limit {
            Admission::TooFar
        } else if device.is_some_and(|device| device != packet.interface) {
            Admission::Elsewhere
        } else {
            Admission::Yes
        }
    }

    fn parse_tcp(&mut self, packet: &Packet) -> Option<(FlowKey, Segment)> {
        let to_group = !self.is_for_one(packet);
        let counters = &mut self.counters;
        let parsed = TcpHeader::parse(&packet.payload);
        let payload = match &parsed {
            Ok(header) => packet.payload.slice(header.header_len.into()..packet.payload.len()),
            Err(_) => {
                counters.bump(Counter::TcpInErrs);
                return None;
            }
        };
        let header = parsed.ok()?;
        if packet.verified() == Checksum::Invalid {
            counters.bump(Counter::TcpInCsumErrors);
            counters.bump(Counter::TcpInErrs);
            return None;
        }
        let count = packet.gso_size.map_or(1, |size| payload.len().div_ceil(usize::from(size.max(1))).max(1));
        counters[Counter::TcpInSegs] += count as u64;
        //= RFC 9293 MUST-57
        //= RFC 9293 MUST-63
        if to_group || packet.stations == Stations::Several || packet.source.is_multicast() {
            counters.bump(Counter::TcpInErrs);
            return None;
        }
        let local = SocketAddr::new(packet.destination, header.destination_port);
        let remote = SocketAddr::new(packet.source, header.source_port);
        match Segment::from_wire(&header, Rope::from(payload), packet.gso_size) {
            Ok(mut segment) => {
                segment.ecn.codepoint = Codepoint::of_class(packet.traffic_class);
                Some((FlowKey::new(local, remote).over(packet.interface), segment))
            }
            Err(_) => {
                counters.bump(Counter::TcpInErrs);
                None
            }
        }
    }

    fn on_connection_segment(
        &mut self,
        now: Instant,
        index: u32,
        key: &FlowKey,
        segment: Segment,
        packet: &Packet,
    ) {
        let Some(slot) = self.tcp.at(index) else { return };
        let refused = slot.connection.is_refused(&segment);
        let before = slot.connection.acknowledged();
        let received = slot.connection.options().stamp_arrivals.then(|| slot.connection.received_end());
        if refused {
            let hop = slot.hop();
            slot.connection.on_refused(now, &segment);
            self.send_reset(now, &hop, key, &segment, packet);
            return self.settle(now, index);
        }
        self.tcp.supply(index, &self.config.tcp_memory());
        let limit = self.config.tcp_challenge_ack_limit;
        let mute = !self.challenges.may_send(now, limit, &mut self.random);
        let challenges = self.counters[Counter::TcpExtTCPChallengeACK];
        let Some(slot) = self.tcp.at(index) else { return };
        slot.connection.set_mute(mute);
        slot.connection.on_segment(now, segment, &mut self.counters);
        if self.counters[Counter::TcpExtTCPChallengeACK] != challenges {
            self.challenges.on_sent();
        }
        if let Some(received) = received {
            slot.note_arrival(received, now);
        }
        if slot.connection.acknowledged() != before {
            let (interface, next_hop) = (slot.interface(), slot.next_hop());
            if slot.extras.is_some() {
                self.stamp_acknowledged(now, index);
            }
            //= RFC 4861 §7.3.1
            self.neighbors.confirm(now, interface, next_hop);
        }
        self.settle(now, index);
        self.tcp.mark_ready(index);
    }

    fn on_resting_segment(
        &mut self,
        now: Instant,
        index: u32,
        key: FlowKey,
        segment: Segment,
        packet: &Packet,
    ) {
        let Some(resting) = self.tcp.resting_at(index) else {
            return;
        };
        let (way, marks) = (resting.way, resting.marks);
        let interval = self.config.tcp_invalid_ratelimit;
        match resting.record.on_segment(now, &segment, interval, &mut self.counters) {
            Verdict::Drop => {}
            Verdict::Rest => self.tcp.rest_again(index, now + self.config.tcp_timewait_len),
            Verdict::Answer { segment: answer, restart } => {
                if restart {
                    self.tcp.rest_again(index, now + self.config.tcp_timewait_len);
                }
                self.send_from_rest(now, &key, way, answer, marks);
            }
            Verdict::Reuse { iss_after } => {
                if self.demux.listener(&key, packet.interface.index()).is_some() {
                    self.end_rest(index);
                    self.on_listener_segment(now, key, segment, packet, Some(iss_after));
                } else if let Some(answer) = resting.record.acknowledge(now, interval, &mut self.counters) {
                    self.send_from_rest(now, &key, way, answer, marks);
                }
            }
            // As Linux, which lets the time begin anew.
            Verdict::Close if self.config.tcp_rfc1337 => {
                self.tcp.rest_again(index, now + self.config.tcp_timewait_len);
            }
            Verdict::Close => self.end_rest(index),
        }
    }

    fn send_from_rest(&mut self, now: Instant, key: &FlowKey, way: Way, answer: Segment, marks: Marks) {
        if let Some(hop) = self.hop_back(key, way) {
            self.counters.bump(Counter::TcpOutSegs);
            self.send_segment(now, &hop, key, answer, marks);
        }
    }

    pub(super) fn end_rest(&mut self, index: u32) {
        if let Some((key, hold)) = self.tcp.resting(index).map(|resting| (resting.key, resting.hold)) {
            self.disown(&key, Target::TimeWait(index));
            self.tcp.wake(index);
            self.release(hold, &key);
        }
    }

    fn release(&mut self, hold: Option<Hold>, key: &FlowKey) {
        if let Some(hold) = hold {
            hold.release(&mut self.ports, key);
        }
    }

    /// A segment that belongs to no connection: a listener's, or nobody's.
    fn on_listener_segment(
        &mut self,
        now: Instant,
        key: FlowKey,
        segment: Segment,
        packet: &Packet,
        iss_after: Option<SeqNumber>,
    ) {
        let scope = packet.interface.index();
        let Some(index) = self.demux.listener(&key, scope) else {
            return self.refuse(now, &key, &segment, packet);
        };
        let nearest = self.tcp.listener_at(index).map_or(0, |listener| listener.options.min_hop_limit);
        if packet.hop_limit < nearest {
            return self.counters.bump(Counter::TcpExtTCPMinTTLDrop);
        }
        if segment.control == Some(Control::Syn) && segment.ack.is_none() {
            self.on_syn(now, index, key, &segment, (iss_after, packet));
        } else if segment.ack.is_some() {
            match self.on_cookie(now, index, &key, &segment) {
                //= RFC 9293 §3.10.7.2
                Returned::No => self.refuse(now, &key, &segment, packet),
                Returned::Yes(accepted) => self.complete(now, (index, None), key, accepted, segment, packet),
                Returned::InVain => {}
            }
        } else {
            self.counters.bump(Counter::TapsockTcpInNoAck);
        }
    }

    /// The way back to the sender of a segment of `key`.
    //= RFC 9293 MUST-45
    pub(super) fn hop_back(&self, key: &FlowKey, way: Way) -> Option<NextHop> {
        // What came to an address that is not ours is answered from it.
        let addresses =
            if self.interfaces.is_local(key.local().ip()) { way.addresses } else { Addresses::Any };
        let way = Way { device: way.device.or(key.link()), addresses, ..way };
        self.interfaces.route_by(key.remote().ip(), Some(key.local().ip()), &way).ok()
    }

    /// The way of a listener's packets.
    fn way_of_listener(&mut self, index: u32) -> Way {
        self.tcp.listener_at(index).map(|listener| listener.way).unwrap_or_default()
    }

    /// Answers a segment of no connection by a reset.
    //= RFC 9293 §3.10.7.1
    fn refuse(&mut self, now: Instant, key: &FlowKey, segment: &Segment, packet: &Packet) {
        match self.hop_back(key, Way::default()) {
            Some(hop) => self.send_reset(now, &hop, key, segment, packet),
            None => self.note_no_way(key),
        }
    }

    /// No way leads back to where a segment came from.
    fn note_no_way(&mut self, key: &FlowKey) {
        let v4 = key.remote().is_ipv4();
        self.counters.bump(if v4 { Counter::IpOutNoRoutes } else { Counter::Ip6OutNoRoutes });
    }

    /// As Linux, a reset is of the class of what it answers.
    fn send_reset(&mut self, now: Instant, hop: &NextHop, key: &FlowKey, segment: &Segment, packet: &Packet) {
        let Some(reset) = Connection::reset_for(segment) else { return };
        self.counters.bump(Counter::TcpOutSegs);
        self.counters.bump(Counter::TcpOutRsts);
        let labels = AutoLabel::Host;
        let marks = Marks { hop_limit: None, traffic_class: packet.traffic_class & !ECN, labels };
        self.send_segment(now, hop, key, reset, marks);
    }

    fn on_syn(
        &mut self,
        now: Instant,
        index: u32,
        key: FlowKey,
        syn: &Segment,
        (iss_after, packet): (Option<SeqNumber>, &Packet),
    ) {
        // A connection that is held to another device has the tuple: it must not lose that to whoever comes later.
        if self.find(&key).is_some() {
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let way = self.way_of_listener(index);
        let Some(hop) = self.hop_back(&key, way) else {
            return self.note_no_way(&key);
        };
        if !self.may_answer(now, &hop) {
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        if listener.accept.len() > listener.backlog {
            self.counters.bump(Counter::TcpExtListenOverflows);
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let (pending, backlog, marks) = (listener.half_open, listener.backlog, Marks::of(&listener.options));
        // As Linux: who comes back from TIME-WAIT is no forger.
        match self.config.room_for_syn(pending, backlog) {
            _ if iss_after.is_some() => {}
            RoomForSyn::Yes => {}
            RoomForSyn::No(counter) => {
                if let Some(counter) = counter {
                    self.counters.bump(counter);
                }
                self.counters.bump(Counter::TcpExtListenDrops);
                return;
            }
            RoomForSyn::ByCookie => {
                self.counters.bump(Counter::TcpExtTCPReqQFullDoCookies);
                self.counters.bump(Counter::TcpExtSyncookiesSent);
                let answer = self.cookie_for(now, index, &key, syn, &hop);
                if let Some(answer) = answer {
                    self.counters.bump(Counter::TcpOutSegs);
                    self.send_segment(now, &hop, &key, answer, marks);
                }
                return;
            }
        }
        let mut opening = self.opening(now, &key, &hop);
        if let Some(iss) = iss_after {
            opening.iss = iss;
        }
        let option = match self.entrance(now, index, &key, syn) {
            Entrance::Early(option) => {
                return self.open_early(now, index, (key, syn, packet), opening, option);
            }
            Entrance::Ordinary(option) => option,
        };
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        let (saves, options) = (listener.options.rare().save_syn > 0, listener.options.clone());
        listener.half_open += 1;
        let (place, mut answer) = self.tcp.half_open.on_syn(now, (key, index), syn, opening, &options);
        answer.options.fast_open = option;
        if saves {
            self.tcp.half_open.save(place, headers_of(packet));
        }
        self.own(&key, Target::HalfOpen(place));
        self.counters.bump(Counter::TcpOutSegs);
        self.send_segment(now, &hop, &key, answer, marks);
    }

    fn on_half_open_segment(
        &mut self,
        now: Instant,
        place: u32,
        key: FlowKey,
        segment: Segment,
        packet: &Packet,
    ) {
        let Some(index) = self.tcp.half_open.listener(place) else { return };
        let Some(listener) = self.tcp.listener_at(index) else { return };
        let (options, way) = (listener.options.clone(), listener.way);
        let marks = Marks::of(&options);
        let full = listener.accept.len() > listener.backlog;
        let step = self.tcp.half_open.on_segment(now, place, &segment, &options, &mut self.counters);
        match step {
            Step::Drop => {}
            Step::Refuse => self.refuse(now, &key, &segment, packet),
            Step::Reset => {
                self.forget_half_open(place);
                self.counters.bump(Counter::TcpAttemptFails);
            }
            Step::Answer(answer) => {
                if let Some(hop) = self.hop_back(&key, way) {
                    self.counters.bump(Counter::TcpOutSegs);
                    self.send_segment(now, &hop, &key, answer, marks);
                }
            }
            Step::Complete(_) if full => {
                self.counters.bump(Counter::TcpExtListenOverflows);
                self.counters.bump(Counter::TcpExtListenDrops);
                if self.config.tcp_abort_on_overflow {
                    self.forget_half_open(place);
                    self.refuse(now, &key, &segment, packet);
                }
            }
            Step::Complete(accepted) => {
                self.complete(now, (index, Some(place)), key, accepted, segment, packet);
            }
        }
    }

    /// A handshake with a listener is done, and its record, where there is one, not needed any more: the connection waits
    /// to be accepted, and takes the segment that has ended it.
    fn complete(
        &mut self,
        now: Instant,
        (index, place): (u32, Option<u32>),
        key: FlowKey,
        accepted: Accepted,
        segment: Segment,
        packet: &Packet,
    ) {
        let way = self.way_of_listener(index);
        let Some(hop) = self.hop_back(&key, way) else {
            return self.note_no_way(&key);
        };
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        let (options, bind) = (listener.options.of_accepted(), listener.bind);
        let reuse = self.ports.reuse(bind).unwrap_or_default();
        let saved = place.and_then(|place| self.tcp.half_open.take_saved(place));
        place.inspect(|place| self.forget_half_open(*place));
        self.counters.bump(Counter::TcpPassiveOpens);
        let connection = Connection::accept(now, accepted, options);
        let id = self.enter(connection, key, hop, reuse, way);
        self.keep_syn(id, saved);
        let mut mute = false;
        if let Some(listener) = self.tcp.listener_at(index) {
            listener.accept.push_back(id);
            mute = listener.mute;
        }
        self.tell_listener(index, Changes::ARRIVAL);
        self.on_connection_segment(now, id.index, &key, segment, packet);
        if mute {
            // It fails where the segment was a reset, and then there is nothing to end.
            let _ = self.tcp_shutdown(now, id, Shutdown::Write);
        }
    }

    /// Keeps the headers of the SYN for whoever accepts the connection.
    pub(super) fn keep_syn(&mut self, id: TcpId, headers: Option<Box<[u8]>>) {
        if let (Some(slot), Some(_)) = (self.tcp.slot_mut(id), &headers) {
            slot.extras.get_or_insert_default().saved_syn = headers;
        }
    }

    pub(super) fn forget_half_open(&mut self, place: u32) {
        let Some(key) = self.tcp.half_open.key(place).copied() else { return };
        self.disown(&key, Target::HalfOpen(place));
        if let Some((_, listener)) = self.tcp.half_open.remove(place)
            && let Some(listener) = self.tcp.listener_at(listener)
        {
            listener.half_open -= 1;
        }
    }

    /// Who has the tuple `key`.
    pub(super) fn find(&self, key: &FlowKey) -> Option<Target> {
        self.tcp.find(&self.demux, key)
    }

    /// Gives the tuple `key` to `target`, which has it as its key.
    pub(super) fn own(&mut self, key: &FlowKey, target: Target) {
        let Stack { demux, tcp, .. } = self;
        demux.insert(key, target, |target| tcp.key_of(target));
    }

    /// Frees the tuple `key`, where it is `target`'s.
    pub(super) fn disown(&mut self, key: &FlowKey, target: Target) {
        let Stack { demux, tcp, .. } = self;
        demux.remove(key, target, |target| tcp.key_of(target));
    }

    /// Brings the tables in line with a connection after something happened to it: events, the end, the wheel.
    pub(super) fn settle(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let mut changes = Changes::NONE;
        while let Some(event) = slot.connection.poll_event() {
            changes |= match event {
                Event::Readable => Changes::ARRIVAL,
                Event::Writable => Changes::ROOM,
                Event::Connected | Event::Ended | Event::Closed => Changes::STATE,
                Event::Torn => {
                    self.counters.bump(Counter::TcpEstabResets);
                    Changes::NONE
                }
            };
        }
        if !changes.is_empty() && !slot.connection.is_orphan() {
            self.tell_tcp(index, changes);
        }
        self.take_fast_open_news(now, index);
        self.tcp.charge(now, index, &self.config.tcp_memory(), &mut self.counters);
        let Some(slot) = self.tcp.at(index) else { return };
        match slot.connection.state() {
            State::TimeWait if slot.owns_tuple && !slot.connection.owes_segment() => {
                self.lay_to_rest(now, index)
            }
            // Let go after the record took the tuple: nothing is left to hold.
            State::TimeWait if !slot.owns_tuple && slot.connection.is_orphan() => {
                self.forget_orphan(now, index)
            }
            State::Closed if slot.connection.is_finished() => self.bury(now, index),
            _ => self.tcp.arm(now, index),
        }
    }

    /// A connection is over: its tuple and port are free, and its place too where nobody holds it.
    fn bury(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let (key, hold, owned) = (slot.key, slot.hold.take(), slot.owns_tuple);
        slot.owns_tuple = false;
        let orphan = slot.connection.is_orphan();
        if owned {
            self.disown(&key, Target::Connection(index));
        }
        self.release(hold, &key);
        if orphan {
            self.forget_orphan(now, index);
        }
    }

    fn forget_orphan(&mut self, now: Instant, index: u32) {
        self.tcp.orphans -= 1;
        self.tcp.discharge(now, index, &self.config.tcp_memory(), &mut self.counters);
        self.tcp.remove(index);
    }

    /// A connection enters TIME-WAIT: a record takes the tuple and the port. The connection stays for its holder.
    //= RFC 9293 MUST-13
    fn lay_to_rest(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let (key, way, hold) = (slot.key, slot.way, slot.hold.take());
        let record = TimeWait::new(&slot.connection);
        let marks = Marks::of(slot.connection.options());
        let orphan = slot.connection.is_orphan();
        slot.owns_tuple = false;
        if self.tcp.resting_count() < self.config.tcp_max_tw_buckets as usize {
            let end = now + self.config.tcp_timewait_len;
            let rest = self.tcp.rest(record, key, way, hold, marks, end);
            self.own(&key, Target::TimeWait(rest));
        } else {
            self.counters.bump(Counter::TcpExtTCPTimeWaitOverflow);
            self.disown(&key, Target::Connection(index));
            self.release(hold, &key);
        }
        if orphan {
            self.forget_orphan(now, index);
        }
    }

    pub(super) fn handle_tcp_timeouts(&mut self, now: Instant) {
        while let Some(index) = self.tcp.pop_expired(now) {
            self.tcp.supply(index, &self.config.tcp_memory());
            if let Some(slot) = self.tcp.at(index) {
                slot.connection.on_timeout(now, &mut self.counters);
                slot.connection.rest(now);
                //= RFC 9293 MUST-20
                if slot.connection.retries() >= self.config.tcp_retries1.max(1) {
                    self.neighbors.doubt(now, slot.interface(), slot.next_hop());
                }
            }
            self.settle(now, index);
            self.tcp.mark_ready(index);
        }
        self.resend_syn_acks(now);
        while let Some(index) = self.tcp.pop_rested(now) {
            self.counters.bump(Counter::TcpExtTW);
            self.end_rest(index);
        }
    }

    fn resend_syn_acks(&mut self, now: Instant) {
        while let Some((place, due)) = self.tcp.pop_half_open(now) {
            self.counters.bump(Counter::TcpExtTCPTimeouts);
            match due {
                Due::Nothing => {}
                Due::GivenUp => self.forget_half_open(place),
                Due::Resend(answer) => {
                    self.counters.bump(Counter::TcpRetransSegs);
                    self.send_syn_ack_again(now, place, answer);
                }
            }
        }
    }

    fn send_syn_ack_again(&mut self, now: Instant, place: u32, answer: Segment) {
        let Some(key) = self.tcp.half_open.key(place).copied() else { return };
        let listener = self.tcp.half_open.listener(place).and_then(|index| self.tcp.listener_at(index));
        let Some((marks, way)) = listener.map(|listener| (Marks::of(&listener.options), listener.way)) else {
            return;
        };
        if let Some(hop) = self.hop_back(&key, way) {
            self.send_segment(now, &hop, &key, answer, marks);
        }
    }

    /// The next frame of a connection that may have something to send.
    pub(super) fn transmit_of(&mut self, now: Instant, index: u32) -> Option<(InterfaceId, Transmit)> {
        self.watch_path(now, index);
        if self.tcp.at(index)?.cut_off {
            self.follow_way(now, index);
        }
        let slot = self.tcp.at(index)?;
        let caps = self.interfaces.interface(slot.interface())?.caps();
        let max_payload = caps.gso_max.saturating_sub(HEADER_ROOM);
        let Some(segment) = slot.connection.poll_transmit(now, max_payload, &mut self.counters) else {
            self.settle(now, index);
            return None;
        };
        let (hop, key, cut_off) = (slot.hop(), slot.key, slot.cut_off);
        let options = slot.connection.options();
        let mut marks = Marks::of(options);
        marks.traffic_class = segment.ecn.codepoint.in_class(marks.traffic_class);
        let fragmentation = options.discovery.of_stream(slot.fragmentation);
        let stamps = if slot.extras.is_some() { slot.stamps_of(&segment) } else { Vec::new() };
        self.tcp.mark_ready(index);
        let packet = self.wrap(&key, hop.interface, segment, marks, fragmentation)?;
        if cut_off {
            // As on Linux: it is sent again when its time has come, and then there may be a way.
            self.note_no_way(&key);
            return None;
        }
        if stamps.is_empty() {
            return self.dispatch(now, &hop, packet);
        }
        let socket = SocketId::Tcp(self.tcp.id_of(index)?);
        let stampings: Vec<_> = stamps.into_iter().map(|stamps| Stamping { socket, stamps }).collect();
        let (interface, frame) = self.dispatch_stamped(now, &hop, packet, &stampings)?;
        self.stamp(now, StampKind::Sent, &stampings, &frame);
        Some((interface, frame))
    }

    /// Sends a segment that belongs to no connection.
    fn send_segment(&mut self, now: Instant, hop: &NextHop, key: &FlowKey, segment: Segment, marks: Marks) {
        let fragmentation = self.path_mtu.fragmentation(now, key.remote().ip());
        if let Some(packet) = self.wrap(key, hop.interface, segment, marks, fragmentation) {
            self.send_answer(now, hop, packet);
        }
    }

    /// Writes the headers of TCP and IP before a segment.
    fn wrap(
        &mut self,
        key: &FlowKey,
        interface: InterfaceId,
        segment: Segment,
        marks: Marks,
        fragmentation: Fragmentation,
    ) -> Option<Transmit> {
        let (local, remote) = (key.local(), key.remote());
        let mut headers = HeaderBlock::new();
        segment.to_wire(local.port(), remote.port()).prepend_to(&mut headers);
        let len = headers.len() + segment.payload.len();
        let addresses = (local.ip(), remote.ip());
        let offset = TcpHeader::CHECKSUM_OFFSET;
        let checksum = PartialChecksum::begin(&mut headers, offset, addresses, IpProtocol::TCP, len);
        let kind = if remote.is_ipv4() { SegmentationKind::Tcp4 } else { SegmentationKind::Tcp6 };
        let mut packet = Transmit {
            headers,
            payload: segment.payload,
            checksum: Some(checksum),
            segmentation: segment.gso_size.map(|size| Segmentation { kind, size }),
        };
        let identification =
            self.identification(fragmentation, addresses, IpProtocol::TCP, packet.segment_count());
        let outgoing = Outgoing {
            source: local.ip(),
            destination: remote.ip(),
            protocol: IpProtocol::TCP,
            hop_limit: marks.hop_limit.unwrap_or_else(|| self.hop_limit_at(interface, remote.ip())),
            traffic_class: marks.traffic_class,
            fragmentation,
            identification,
        };
        let label = self.flow_label(marks.labels, key);
        outgoing.prepend_with_label(label, &mut packet, &mut self.counters)?;
        Some(packet)
    }
}

/// The headers of a SYN, IP's and TCP's.
pub(super) fn headers_of(packet: &Packet) -> Box<[u8]> {
    let before = packet.whole.len() - packet.payload.len();
    let tcp = packet.payload.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    packet.whole[..(before + tcp).min(packet.whole.len())].into()
}

/// Whether a segment is for the connection that its addresses name.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Admission {
    Yes,
    /// It came in at another interface than the connection's: no, but perhaps for somebody else.
    Elsewhere,
    /// It has come over more routers than the connection allows.
    TooFar,
}

/// The bits of the traffic class that are ECN's.
const ECN: u8 = 3;
