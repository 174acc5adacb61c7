//! Segments of TCP through the stack: whose they are on the way in, and how they are wrapped on the way out.

use core::net::SocketAddr;

use crate::buf::{Checksum, Rope};
use crate::counters::Counter;
use crate::demux::{FlowKey, Target};
use crate::ip::input::{Packet, Stations};
use crate::tcp::segment::{Codepoint, Segment};
use crate::tcp::time_wait::Verdict;
use crate::time::Instant;
use crate::wire::tcp::TcpHeader;

use super::Stack;

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
        let mut segment = Segment::from_wire(&header, Rope::from(payload), packet.gso_size);
        segment.ecn.codepoint = Codepoint::of_class(packet.traffic_class);
        Some((FlowKey::new(local, remote).over(packet.interface), segment))
    }

    pub(super) fn on_connection_segment(
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
