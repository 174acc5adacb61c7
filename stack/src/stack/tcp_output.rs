//! Segments of TCP on their way out: their headers, their way, and what answers nobody's segments.

use crate::buf::HeaderBlock;
use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::discovery::{AutoLabel, Fragmentation};
use crate::error_queue::StampKind;
use crate::iface::{Addresses, InterfaceId, NextHop, Way};
use crate::ip::input::Packet;
use crate::ip::output::Outgoing;
use crate::tcp::Connection;
use crate::tcp::segment::Segment;
use crate::time::Instant;
use crate::wire::IpProtocol;
use crate::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use crate::wire::tcp::TcpHeader;

use super::stamps::Stamping;
use super::tcp_table::Marks;
use super::{SocketId, Stack};

/// Room that is left for headers in a packet that the link cuts.
const HEADER_ROOM: usize = 120;

/// The bits of the traffic class that are ECN's.
const ECN: u8 = 3;

impl Stack {
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
        let ip_options = options.rare().ip_options;
        let mut marks = Marks::of(options);
        let rehashes = slot.connection.rehashes();
        marks.traffic_class = segment.ecn.codepoint.in_class(marks.traffic_class);
        let fragmentation = options.discovery.of_stream(slot.fragmentation);
        let stamps = if slot.extras.is_some() { slot.stamps_of(&segment) } else { Vec::new() };
        self.tcp.mark_ready(index);
        let label = self.changed_flow_label(marks.labels, &key, rehashes);
        let mut packet = self.wrap(&key, hop.interface, segment, (marks, label), fragmentation)?;
        if !ip_options.is_empty() {
            let options = self.socket_options(now, ip_options, (hop.source, key.remote().ip()));
            options.insert_into(&mut packet.headers);
        }
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
        let (interface, frame) = self.dispatch_stamped(now, &hop, packet, &stampings, None)?;
        self.stamp(now, StampKind::Sent, &stampings, &frame);
        Some((interface, frame))
    }

    /// Sends a segment that belongs to no connection.
    pub(super) fn send_segment(
        &mut self,
        now: Instant,
        hop: &NextHop,
        key: &FlowKey,
        segment: Segment,
        marks: Marks,
    ) {
        let fragmentation = self.path_mtu.fragmentation(now, key.remote().ip());
        let label = self.flow_label(marks.labels, key);
        if let Some(packet) = self.wrap(key, hop.interface, segment, (marks, label), fragmentation) {
            self.send_answer(now, hop, packet);
        }
    }

    /// Writes the headers of TCP and IP before a segment; the latter with a flow label, where it is IPv6.
    fn wrap(
        &mut self,
        key: &FlowKey,
        interface: InterfaceId,
        segment: Segment,
        (marks, label): (Marks, u32),
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
        outgoing.prepend_with_label(label, &mut packet, &mut self.counters)?;
        Some(packet)
    }

    /// Answers a segment of no connection by a reset.
    //= RFC 9293 §3.10.7.1
    pub(super) fn refuse(&mut self, now: Instant, key: &FlowKey, segment: &Segment, packet: &Packet) {
        match self.hop_back(key, Way::default()) {
            Some(hop) => self.send_reset(now, &hop, key, segment, packet),
            None => self.note_no_way(key),
        }
    }

    /// No way leads back to where a segment came from.
    pub(super) fn note_no_way(&mut self, key: &FlowKey) {
        let v4 = key.remote().is_ipv4();
        self.counters.bump(if v4 { Counter::IpOutNoRoutes } else { Counter::Ip6OutNoRoutes });
    }

    /// As Linux, a reset is of the class of what it answers.
    pub(super) fn send_reset(
        &mut self,
        now: Instant,
        hop: &NextHop,
        key: &FlowKey,
        segment: &Segment,
        packet: &Packet,
    ) {
        let Some(reset) = Connection::reset_for(segment) else { return };
        self.counters.bump(Counter::TcpOutSegs);
        self.counters.bump(Counter::TcpOutRsts);
        let labels = AutoLabel::Host;
        let marks = Marks { hop_limit: None, traffic_class: packet.traffic_class & !ECN, labels };
        self.send_segment(now, hop, key, reset, marks);
    }

    /// The way back to the sender of a segment of `key`.
    //= RFC 9293 MUST-45
    pub(super) fn hop_back(&self, key: &FlowKey, way: Way) -> Option<NextHop> {
        // What came to an address that is not ours is answered from it.
        let addresses =
            if self.interfaces.is_local(key.local().ip()) { way.addresses } else { Addresses::Any };
        let way = Way { device: way.device.or(key.link()), addresses, ..way };
        let flow = self.own_flow(IpProtocol::TCP, key.local().port(), key.remote());
        self.interfaces.route_flow(key.remote().ip(), Some(key.local().ip()), &way, flow).ok()
    }

    pub(super) fn send_from_rest(
        &mut self,
        now: Instant,
        key: &FlowKey,
        way: Way,
        answer: Segment,
        marks: Marks,
    ) {
        if let Some(hop) = self.hop_back(key, way) {
            self.counters.bump(Counter::TcpOutSegs);
            self.send_segment(now, &hop, key, answer, marks);
        }
    }
}
