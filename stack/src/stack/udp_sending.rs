//! Sending datagrams: whole, in segments, or in parts that are held back until they are one.

use core::net::SocketAddr;

use crate::buf::{HeaderBlock, Rope};
use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::discovery::{Fragmentation, Limit, PathMtuDiscovery};
use crate::iface::{Delivery, InterfaceId, NextHop, Way};
use crate::ip::output::Outgoing;
use crate::time::Instant;
use crate::udp::{SegmentError, UdpId, segment_size};
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use crate::wire::{IpProtocol, Ipv6Header, UdpHeader};

use super::datagrams::{Going, Room, source_of_send};
use super::multicast::Reach;
use super::tcp_open::scope_of;
use super::udp::{SendError, UdpSendOptions, named_host};
use super::{SocketId, Stack};

/// Which way a datagram goes, and what fits it.
struct Course {
    to: SocketAddr,
    /// Where it comes from.
    port: u16,
    hop: NextHop,
    discovery: PathMtuDiscovery,
    /// What the path takes, and what goes whole, in bytes with all headers.
    path: usize,
    limit: Limit,
    /// Options of IPv4's header.
    ip_options: AnswerOptions,
}

impl Course {
    /// Bytes of the packet that carries so many of payload.
    fn packet_len(&self, payload: usize) -> usize {
        payload + UdpHeader::LEN + if self.to.is_ipv4() { 20 + self.ip_options.len() } else { 40 }
    }
}

impl Stack {
    /// Sends a datagram, or several where `options` cut it. A socket that is not bound gets a port.
    //= RFC 768
    //= RFC 1122 §3.2.1.6 MUST-1
    //= RFC 1122 §3.2.1.7 MUST-3
    //= RFC 1122 §3.4 MUST-1
    pub fn udp_send(
        &mut self,
        now: Instant,
        id: UdpId,
        payload: Rope,
        to: Option<SocketAddr>,
        options: UdpSendOptions,
    ) -> Result<(), SendError> {
        let course = self.udp_course(now, id, to, options)?;
        self.send_along(now, id, course, payload, options, Room::Sought)
    }

    /// A part of `more` bytes of a datagram comes that is held back (MSG_MORE, UDP_CORK), of which there are `held`
    /// already: it takes of the send buffer. As Linux, the first looks for a way and for room.
    ///
    /// # Errors
    /// Those of [`udp_send`](Stack::udp_send), of what is there so far; what is held back is to be given up.
    pub fn udp_hold(
        &mut self,
        now: Instant,
        id: UdpId,
        (held, more): (Option<usize>, usize),
        to: Option<SocketAddr>,
        options: UdpSendOptions,
    ) -> Result<(), SendError> {
        let course = self.udp_course(now, id, to, options)?;
        let len = held.unwrap_or(0) + more;
        self.check_length(now, id, &course, len, options)?;
        segment_size(len, None, course.to.ip(), course.limit.part)?;
        if held.is_none() {
            self.check_sending(id)?;
        }
        self.hold_datagram(SocketId::Udp(id), held, more);
        Ok(())
    }

    /// What was held back, `held` bytes, is given up.
    pub fn udp_give_up(&mut self, id: UdpId, held: usize) {
        self.let_go_datagram(SocketId::Udp(id), held);
    }

    /// A call that was to send found no room, and ends: that is counted, where there still is none. One that waits, and sends
    /// later, is not.
    pub fn udp_count_unsent(&mut self, id: UdpId) {
        let has_room = self.udp.socket(id).is_none_or(|socket| socket.mail.has_send_room());
        if !has_room || !self.has_datagram_room(SocketId::Udp(id)) {
            self.counters.bump(Counter::UdpSndbufErrors);
        }
    }

    /// Sends a datagram of which `held` bytes were held back, and are so no longer.
    ///
    /// # Errors
    /// Those of [`udp_send`](Stack::udp_send); [`SendError::WouldBlock`] where it is held back still.
    pub fn udp_send_held(
        &mut self,
        now: Instant,
        id: UdpId,
        (held, payload): (usize, Rope),
        to: Option<SocketAddr>,
        options: UdpSendOptions,
    ) -> Result<(), SendError> {
        if !self.has_datagram_room(SocketId::Udp(id)) {
            return Err(SendError::WouldBlock);
        }
        self.let_go_datagram(SocketId::Udp(id), held);
        let course = self.udp_course(now, id, to, options)?;
        self.send_along(now, id, course, payload, options, Room::Had)
    }

    /// Which way a datagram takes to `to`, or else to the peer.
    fn udp_course(
        &mut self,
        now: Instant,
        id: UdpId,
        to: Option<SocketAddr>,
        options: UdpSendOptions,
    ) -> Result<Course, SendError> {
        let socket = self.udp.socket(id).ok_or(SendError::NoSocket)?;
        let to = named_host(to.or(socket.remote()).ok_or(SendError::NoDestination)?);
        let discovery = socket.discovery.of(to.ip());
        let way = socket.way;
        self.udp_autobind(id).map_err(|_| SendError::NoPort)?;
        let socket = self.udp.socket(id).ok_or(SendError::NoSocket)?;
        let (_, port) = socket.local().ok_or(SendError::NoSocket)?;
        let source = source_of_send(options.source, self.udp_source(socket));
        let device = options.interface.or(way.device).or(scope_of(to));
        let way = Way { device, mark: options.mark, ..way };
        let flow = self.own_flow(IpProtocol::UDP, port, to);
        let hop = self.route_flow_out(to.ip(), source, &way, flow).map_err(SendError::Route)?;
        let path = self.path_to(now, to.ip(), &hop);
        let limit = Limit::new(discovery.largest_whole(path, hop.mtu), options.largest, to.ip());
        let ip_options = self.socket_options(now, options.ip_options, (hop.source, to.ip()));
        Ok(Course { to, port, hop, discovery, path, limit, ip_options })
    }

    /// Whether `len` bytes of payload go whole, or may be cut. What is to go in segments is bounded here by the length
    /// field of IPv4's header alone, as on Linux, which makes one packet of it first.
    fn check_length(
        &mut self,
        now: Instant,
        id: UdpId,
        course: &Course,
        len: usize,
        options: UdpSendOptions,
    ) -> Result<(), SendError> {
        const MOST: usize = u16::MAX as usize;
        let Course { to, discovery, limit, .. } = *course;
        let segmented = options.segment_size.is_some_and(|size| size > 0);
        let cuts = segmented || discovery.cuts() && !options.unfragmented;
        let packet = course.packet_len(len);
        let fits = cuts || packet <= limit.part;
        // IPv6 does not count its header.
        let most = MOST + if to.is_ipv4() { 0 } else { Ipv6Header::LEN };
        if fits && packet <= most {
            return Ok(());
        }
        // As Linux: what no datagram of IPv4 can hold is refused before there is anybody to be told.
        if len <= MOST || to.is_ipv6() {
            let path = if segmented { MOST } else { limit.part };
            let left = path.saturating_sub(course.ip_options.len());
            self.report_too_long(now, id, to, left, options.unfragmented);
        }
        Err(SendError::TooLong)
    }

    fn send_along(
        &mut self,
        now: Instant,
        id: UdpId,
        course: Course,
        payload: Rope,
        options: UdpSendOptions,
        room: Room,
    ) -> Result<(), SendError> {
        self.check_length(now, id, &course, payload.len(), options)?;
        let most = course.limit.part - course.ip_options.len().min(course.limit.part);
        let cut = match segment_size(payload.len(), options.segment_size, course.to.ip(), most) {
            Err(error @ SegmentError::TooManySegments) => {
                // They are counted when there is room for them.
                self.check_sending(id)?;
                return Err(error.into());
            }
            cut => cut?,
        };
        let part = cut.map_or(payload.len(), usize::from);
        let len = course.packet_len(part);
        if room == Room::Sought {
            self.check_sending(id)?;
            self.check_udp_buffers(id, payload.len(), course.limit.cut(len), course.to.is_ipv4())?;
        }
        let Course { to, port, hop, discovery, path, limit, ip_options } = course;
        let source = SocketAddr::new(hop.source, port);
        let fragmentation = discovery.of_datagram(self.path_mtu.fragmentation(now, to.ip()), len <= path);
        let mut packet = self
            .wrap_datagram((source, to), hop.interface, payload, cut, fragmentation, options)
            .ok_or(SendError::NoSocket)?;
        ip_options.insert_into(&mut packet.headers);
        self.counters.bump(Counter::UdpOutDatagrams);
        if hop.delivery == Delivery::Multicast
            && self.leave_for_group(&hop, to.ip(), &packet, options.no_loop) == Reach::Host
        {
            return Ok(());
        }
        let going = Going { priority: options.priority, stamps: options.stamps, cut: limit.cut(len) };
        self.send_datagram(now, SocketId::Udp(id), &hop, packet, going);
        Ok(())
    }

    /// What Linux looks at when it makes room for a datagram: after the way that it takes, and its length.
    fn check_sending(&mut self, id: UdpId) -> Result<(), SendError> {
        let socket = self.udp.socket_mut(id).ok_or(SendError::NoSocket)?;
        if let Some(error) = socket.mail.take_error() {
            return Err(SendError::Socket(error));
        }
        if socket.mail.is_write_shut() {
            return Err(SendError::ShutDown);
        }
        if !socket.mail.has_send_room() || !self.has_datagram_room(SocketId::Udp(id)) {
            return Err(SendError::WouldBlock);
        }
        Ok(())
    }

    /// Whether there are buffers for the parts of a datagram that does not go whole. The first waits for room, and the others
    /// as little as in Linux.
    fn check_udp_buffers(
        &mut self,
        id: UdpId,
        len: usize,
        cut: Option<usize>,
        is_v4: bool,
    ) -> Result<(), SendError> {
        if cut.is_none() || self.has_buffers(SocketId::Udp(id), len, cut) {
            return Ok(());
        }
        self.counters.bump(Counter::UdpSndbufErrors);
        self.counters.bump(if is_v4 { Counter::IpOutDiscards } else { Counter::Ip6OutDiscards });
        Err(SendError::NoBuffers)
    }

    fn wrap_datagram(
        &mut self,
        (source, to): (SocketAddr, SocketAddr),
        interface: InterfaceId,
        payload: Rope,
        cut: Option<u16>,
        fragmentation: Fragmentation,
        options: UdpSendOptions,
    ) -> Option<Transmit> {
        let mut headers = HeaderBlock::new();
        let header =
            UdpHeader { source_port: source.port(), destination_port: to.port(), ..UdpHeader::default() };
        header.prepend_to(payload.len(), &mut headers);
        let len = UdpHeader::LEN + payload.len();
        let (addresses, offset) = ((source.ip(), to.ip()), UdpHeader::CHECKSUM_OFFSET);
        let checksum = PartialChecksum::begin(&mut headers, offset, addresses, IpProtocol::UDP, len);
        let segmentation = cut.map(|size| Segmentation { kind: SegmentationKind::Udp, size });
        let mut packet = Transmit { headers, payload, checksum: Some(checksum), segmentation };
        let outgoing = Outgoing {
            source: source.ip(),
            destination: to.ip(),
            protocol: IpProtocol::UDP,
            hop_limit: options.hop_limit.unwrap_or_else(|| self.default_hop_limit(interface, to.ip())),
            traffic_class: options.traffic_class,
            fragmentation,
            identification: self.identification(
                fragmentation,
                addresses,
                IpProtocol::UDP,
                packet.segment_count(),
            ),
        };
        let label =
            options.flow_label.unwrap_or_else(|| self.flow_label(options.labels, &FlowKey::new(source, to)));
        outgoing.prepend_with_label(label, &mut packet, &mut self.counters)?;
        Some(packet)
    }
}
