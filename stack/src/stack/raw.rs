//! Raw sockets through the stack: the calls, packets in and out, and errors that come back.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::num::NonZeroU32;

use crate::buf::{HeaderBlock, Rope};
use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::discovery::{AutoLabel, Limit, PathMtuDiscovery};
use crate::error::SocketError;
use crate::error_queue::{ErrorDelivery, Queued, Report};
use crate::iface::{Delivery, InterfaceId, NextHop, Way};
use crate::ip::icmp::Complaint;
use crate::ip::input::Packet;
use crate::ip::output::{Outgoing, Priority};
use crate::ports::LocalAddr;
use crate::raw::{Headers, RawId, RawSocket, checksummed, with_header_v4, with_header_v6};
use crate::time::Instant;
use crate::udp::{Datagram, RecvError};
use crate::wire::icmp::Quoted;
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header};

use super::datagrams::{Going, Room, source_of_send};
use super::multicast::Reach;
use super::stamps::SendStamps;
use super::tcp_open::scope_of;
use super::udp::{may_use, named_host};
use super::{Changes, Family, SendError, SocketId, Stack, may_serve};

/// How a packet of a raw socket is to be sent. Hop limit and traffic class are the header's where its sender wrote it.
///
/// ```
/// use tapsock_stack::stack::RawSendOptions;
///
/// assert_eq!(RawSendOptions::default().hop_limit, None);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct RawSendOptions {
    /// TTL or hop limit; `None` for the host's.
    pub hop_limit: Option<u8>,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// The source address, one of ours; `None` for the socket's, or the route's; the unspecified address for the route's,
    /// whatever the socket's is (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pub source: Option<IpAddr>,
    /// The only interface that it may leave by, unless it is for ourselves.
    pub interface: Option<InterfaceId>,
    /// Whose routes come before those for all (`SO_MARK`).
    pub mark: Option<NonZeroU32>,
    /// What goes first where the link does not keep up (`SO_PRIORITY`).
    pub priority: Priority,
    /// It is not cut, whatever the socket's mode (`IPV6_DONTFRAG`).
    pub unfragmented: bool,
    /// The largest packet of IPv6 that is sent where it may not be cut, and the parts of one that is, in bytes
    /// (`IPV6_MTU`).
    pub largest: Option<u32>,
    /// IPv6's flow label (`IPV6_FLOWINFO`); `None` for one that the host makes, where `labels` let it.
    pub flow_label: Option<u32>,
    /// Whether the host makes flow labels (`IPV6_AUTOFLOWLABEL`).
    pub labels: AutoLabel,
    /// Where it is for a group, this host does not hear it (`IP_MULTICAST_LOOP`, `IPV6_MULTICAST_LOOP`).
    pub no_loop: bool,
    /// Options of IPv4's header (`IP_OPTIONS`).
    pub ip_options: AnswerOptions,
    /// The stamps that are wanted of it.
    pub stamps: SendStamps,
}

/// Whether a packet was for some raw socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Yes,
    No,
}

/// A packet that was not sent for its length.
#[derive(Copy, Clone, Debug)]
struct TooLong {
    to: IpAddr,
    /// How long it may be, in bytes.
    most: usize,
    asked: Asked,
}

/// What its sender asked for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Asked {
    /// That it be not cut (`IPV6_DONTFRAG`): the socket notes what the path takes.
    Uncut,
    Nothing,
}

impl Stack {
    /// Opens a raw socket for the packets of a protocol. `None` where there are too many.
    pub fn raw_open(&mut self, family: Family, protocol: u16) -> Option<RawId> {
        let wildcard = match family {
            Family::V4 => LocalAddr::AnyV4,
            Family::V6 => LocalAddr::AnyV6 { only_v6: true },
        };
        let mut socket = RawSocket::new(protocol, wildcard);
        socket.mail.receive_buffer = self.config.rmem_default as usize;
        socket.mail.send_buffer = self.config.wmem_default as usize;
        self.raw.open(socket)
    }

    /// Closes a raw socket.
    pub fn raw_close(&mut self, id: RawId) {
        self.send_waiters.get_mut().remove(&SocketId::Raw(id));
        self.leave_groups(SocketId::Raw(id));
        self.raw.close(id);
    }

    /// The socket itself, to be asked.
    pub fn raw(&self, id: RawId) -> Option<&RawSocket> {
        self.raw.get(id)
    }

    /// The socket itself, to set its options and its address.
    pub fn raw_mut(&mut self, id: RawId) -> Option<&mut RawSocket> {
        self.raw.get_mut(id)
    }

    /// Sets where a socket sends to, and whose packets it takes; `None` takes that back, and the socket then receives
    /// nothing any more, as on Linux.
    pub fn raw_connect(&mut self, id: RawId, remote: Option<SocketAddr>) -> Result<(), SendError> {
        let socket = self.raw.get(id).ok_or(SendError::NoSocket)?;
        let local = match remote {
            None => None,
            Some(remote) => {
                let destination = named_host(remote).ip();
                let way = Way { device: socket.way.device.or(scope_of(remote)), ..socket.way };
                let hop = self.interfaces.route_by(destination, socket.source(), &way);
                let scope = scope_of(remote).map_or(0, InterfaceId::index);
                Some(LocalAddr::new(hop.map_err(SendError::Route)?.source, scope))
            }
        };
        let socket = self.raw.get_mut(id).ok_or(SendError::NoSocket)?;
        match (local, remote) {
            (Some(local), Some(remote)) => socket.connect(local, named_host(remote)),
            _ => socket.dissolve(),
        }
        Ok(())
    }

    /// The largest packet that the path to a socket's peer is known to take, in bytes (`IP_MTU`).
    pub fn raw_path_mtu(&self, now: Instant, id: RawId) -> Option<usize> {
        let socket = self.raw.get(id)?;
        self.path_to_peer(now, (socket.source(), socket.remote()?), (socket.way, None))
    }

    /// Whether a sender should be woken. One that asks in vain is told when to ask again.
    pub fn raw_is_writable(&self, id: RawId) -> bool {
        let Some(socket) = self.raw.get(id) else { return true };
        // Where its own buffer is full, it is told when that has room.
        self.has_datagram_room(SocketId::Raw(id)) && socket.mail.is_writable()
    }

    /// Sets the bound of what a socket has waiting for the link (`SO_SNDBUF` as `getsockopt` shows it).
    pub fn raw_set_send_buffer(&mut self, id: RawId, bytes: usize) {
        let Some(socket) = self.raw.get_mut(id) else { return };
        if core::mem::replace(&mut socket.mail.send_buffer, bytes) < bytes {
            self.tell(SocketId::Raw(id), Changes::ROOM);
        }
    }

    /// Sends a packet: what follows its IP header, or all of it where the application writes that. As on Linux, only the
    /// latter waits for room in the socket's send buffer.
    ///
    /// # Errors
    /// [`SendError`]: among them [`WouldBlock`](SendError::WouldBlock) where the links can take no more, and where the send
    /// buffer is full, of a packet whose header the application has written; [`NoBuffers`](SendError::NoBuffers), of others,
    /// where twice its size is taken.
    pub fn raw_send(
        &mut self,
        now: Instant,
        id: RawId,
        data: Rope,
        to: Option<SocketAddr>,
        options: RawSendOptions,
    ) -> Result<(), SendError> {
        let headers = self.raw.get(id).ok_or(SendError::NoSocket)?.headers;
        let (to, hop) = self.raw_way(id, to, options)?;
        let (packet, cut) = match headers {
            Headers::Stack => self.wrap_raw(now, id, &hop, (data, Room::Sought), to, options)?,
            Headers::Application => {
                self.check_as_written(now, id, &hop, (to, data.len()))?;
                (self.as_written(&hop, data)?, None)
            }
        };
        self.send_raw(now, id, (to, &hop), (packet, cut), options);
        Ok(())
    }

    /// Sends a packet on its way, and to ourselves where we hear the group that it is for. `cut`: the largest packet in bytes,
    /// where it is to be cut.
    fn send_raw(
        &mut self,
        now: Instant,
        id: RawId,
        (to, hop): (IpAddr, &NextHop),
        (packet, cut): (Transmit, Option<usize>),
        options: RawSendOptions,
    ) {
        if hop.delivery == Delivery::Multicast
            && self.leave_for_group(hop, to, &packet, options.no_loop) == Reach::Host
        {
            return;
        }
        let going = Going { priority: options.priority, stamps: options.stamps, cut };
        self.send_datagram(now, SocketId::Raw(id), hop, packet, going);
    }

    /// A part of `more` bytes of a packet comes that is held back (MSG_MORE), of which there are `held` already: it takes of
    /// the send buffer. As Linux, the first looks for room there.
    ///
    /// # Errors
    /// Those of [`raw_send`](Stack::raw_send), of what is there so far; what is held back is to be given up.
    pub fn raw_hold(
        &mut self,
        now: Instant,
        id: RawId,
        (held, more): (Option<usize>, usize),
        to: Option<SocketAddr>,
        options: RawSendOptions,
    ) -> Result<(), SendError> {
        let (to, hop) = self.raw_way(id, to, options)?;
        let discovery = self.raw.get(id).ok_or(SendError::NoSocket)?.discovery.of(to);
        let len = held.unwrap_or(0) + more;
        let (_, limit, whole) = self.check_raw_length(now, id, &hop, (to, len), discovery, options)?;
        if held.is_none() {
            self.check_raw_buffers(id, to, len, limit.cut(whole))?;
        }
        self.hold_datagram(SocketId::Raw(id), held, more);
        Ok(())
    }

    /// Whether a way leads to `to`, or else to the peer.
    ///
    /// # Errors
    /// Those of [`raw_send`](Stack::raw_send) that concern it.
    pub fn raw_check_way(
        &mut self,
        id: RawId,
        to: Option<SocketAddr>,
        options: RawSendOptions,
    ) -> Result<(), SendError> {
        self.raw_way(id, to, options).map(drop)
    }

    /// What was held back, `held` bytes, is given up.
    pub fn raw_give_up(&mut self, id: RawId, held: usize) {
        self.let_go_datagram(SocketId::Raw(id), held);
    }

    /// Sends a packet of which `held` bytes were held back, and are so no longer.
    ///
    /// # Errors
    /// Those of [`raw_send`](Stack::raw_send); [`SendError::WouldBlock`] where it is held back still.
    pub fn raw_send_held(
        &mut self,
        now: Instant,
        id: RawId,
        (held, data): (usize, Rope),
        to: Option<SocketAddr>,
        options: RawSendOptions,
    ) -> Result<(), SendError> {
        self.check_raw_room(id)?;
        self.let_go_datagram(SocketId::Raw(id), held);
        let (to, hop) = self.raw_way(id, to, options)?;
        let (packet, cut) = self.wrap_raw(now, id, &hop, (data, Room::Had), to, options)?;
        self.send_raw(now, id, (to, &hop), (packet, cut), options);
        Ok(())
    }

    /// Where a packet to `to`, or else to the peer, goes, and by which way.
    fn raw_way(
        &mut self,
        id: RawId,
        to: Option<SocketAddr>,
        options: RawSendOptions,
    ) -> Result<(IpAddr, NextHop), SendError> {
        let socket = self.raw.get(id).ok_or(SendError::NoSocket)?;
        let to = named_host(to.or(socket.remote()).ok_or(SendError::NoDestination)?);
        let source = source_of_send(options.source, socket.source());
        let device = options.interface.or(socket.way.device).or(scope_of(to));
        let way = Way { device, mark: options.mark, ..socket.way };
        let hop = self.route_out(to.ip(), source, &way).map_err(SendError::Route)?;
        Ok((to.ip(), hop))
    }

    /// Whether `payload` bytes to `to` go whole, or may be cut: what the path takes, what goes whole, and the packet's
    /// length, in bytes.
    fn check_raw_length(
        &mut self,
        now: Instant,
        id: RawId,
        hop: &NextHop,
        (to, payload): (IpAddr, usize),
        discovery: PathMtuDiscovery,
        options: RawSendOptions,
    ) -> Result<(usize, Limit, usize), SendError> {
        let ip_options = if to.is_ipv4() { options.ip_options.len() } else { 0 };
        let header = ip_options + if to.is_ipv4() { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN };
        let (path, len) = (self.path_to(now, to, hop), header + payload);
        let limit = Limit::new(discovery.largest_whole(path, hop.mtu), options.largest, to);
        // IPv6 does not count its header.
        let most = usize::from(u16::MAX) + if to.is_ipv4() { 0 } else { header };
        if len > most || len > limit.part && (!discovery.cuts() || options.unfragmented) {
            let most = limit.part.saturating_sub(ip_options);
            let asked = if options.unfragmented { Asked::Uncut } else { Asked::Nothing };
            self.report_raw_too_long(now, id, hop, TooLong { to, most, asked });
            return Err(SendError::TooLong);
        }
        Ok((path, limit, len))
    }

    /// The packet that holds `payload`, with a header of ours, and the size of its parts where it is to be cut.
    fn wrap_raw(
        &mut self,
        now: Instant,
        id: RawId,
        hop: &NextHop,
        (payload, room): (Rope, Room),
        to: IpAddr,
        options: RawSendOptions,
    ) -> Result<(Transmit, Option<usize>), SendError> {
        let socket = self.raw.get(id).ok_or(SendError::NoSocket)?;
        let (discovery, checksum_at) = (socket.discovery.of(to), socket.checksum_at);
        let protocol = IpProtocol(socket.protocol() as u8);
        let (path, limit, len) =
            self.check_raw_length(now, id, hop, (to, payload.len()), discovery, options)?;
        if room == Room::Sought {
            self.check_raw_room(id)?;
            self.check_raw_buffers(id, to, payload.len(), limit.cut(len))?;
        }
        let payload = match checksum_at {
            Some(offset) => checksummed(&payload, offset as usize, (hop.source, to), protocol)
                .ok_or(SendError::Malformed)?,
            None => payload,
        };
        let fragmentation = discovery.of_datagram(self.path_mtu.fragmentation(now, to), len <= path);
        let outgoing = Outgoing {
            source: hop.source,
            destination: to,
            protocol,
            hop_limit: options.hop_limit.unwrap_or_else(|| self.default_hop_limit(hop.interface, to)),
            traffic_class: options.traffic_class,
            fragmentation,
            identification: self.identification(fragmentation, (hop.source, to), protocol, 1),
        };
        let headers = HeaderBlock::new();
        let mut packet = Transmit { headers, payload, checksum: None, segmentation: None };
        let ends = [hop.source, to].map(|address| SocketAddr::new(address, 0));
        let label = options
            .flow_label
            .unwrap_or_else(|| self.flow_label(options.labels, &FlowKey::new(ends[0], ends[1])));
        outgoing.prepend_with_label(label, &mut packet, &mut self.counters).ok_or(SendError::NoSocket)?;
        let ip_options = self.socket_options(now, options.ip_options, (hop.source, to));
        ip_options.insert_into(&mut packet.headers);
        Ok((packet, limit.cut(len)))
    }

    /// Whether the links can take more. Who waits for them waits here too: Linux would take the packet, and drop it where the
    /// queue of the device is full.
    fn check_raw_room(&self, id: RawId) -> Result<(), SendError> {
        if self.has_datagram_room(SocketId::Raw(id)) { Ok(()) } else { Err(SendError::WouldBlock) }
    }

    /// Whether there are buffers for `len` bytes of payload, in parts of `cut` bytes where they do not go whole.
    fn check_raw_buffers(
        &mut self,
        id: RawId,
        to: IpAddr,
        len: usize,
        cut: Option<usize>,
    ) -> Result<(), SendError> {
        if self.has_buffers(SocketId::Raw(id), len, cut) {
            return Ok(());
        }
        self.counters.bump(if to.is_ipv4() { Counter::IpOutDiscards } else { Counter::Ip6OutDiscards });
        Err(SendError::NoBuffers)
    }

    /// Whether a packet of `len` bytes may be sent whose header the application has written. Linux looks at errors and at what
    /// was shut here only, where it takes memory as other sockets do.
    fn check_as_written(
        &mut self,
        now: Instant,
        id: RawId,
        hop: &NextHop,
        (to, len): (IpAddr, usize),
    ) -> Result<(), SendError> {
        if len > hop.mtu {
            let too_long = TooLong { to, most: hop.mtu, asked: Asked::Nothing };
            self.report_raw_too_long(now, id, hop, too_long);
            return Err(SendError::TooLong);
        }
        if len < if to.is_ipv4() { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN } {
            return Err(SendError::Malformed);
        }
        let mail = &mut self.raw.get_mut(id).ok_or(SendError::NoSocket)?.mail;
        if let Some(error) = mail.take_error() {
            return Err(SendError::Socket(error));
        }
        if mail.is_write_shut() {
            return Err(SendError::ShutDown);
        }
        if mail.has_send_room() { self.check_raw_room(id) } else { Err(SendError::WouldBlock) }
    }

    /// The packet that `data` is.
    fn as_written(&mut self, hop: &NextHop, data: Rope) -> Result<Transmit, SendError> {
        let (len, identification) = (data.len() as u64, self.random.next_u32() as u16);
        let (packet, sent, octets) = match hop.source {
            IpAddr::V4(source) => (
                with_header_v4(data, source, identification),
                Counter::IpOutRequests,
                Counter::IpExtOutOctets,
            ),
            IpAddr::V6(_) => (with_header_v6(data), Counter::Ip6OutRequests, Counter::Ip6OutOctets),
        };
        let packet = packet.ok_or(SendError::Malformed)?;
        self.counters.bump(sent);
        self.counters[octets] += len;
        Ok(packet)
    }

    /// Tells a socket that asks for it why a packet was not sent.
    fn report_raw_too_long(
        &mut self,
        now: Instant,
        id: RawId,
        hop: &NextHop,
        TooLong { to, most, asked }: TooLong,
    ) {
        let Some(socket) = self.raw.get_mut(id) else { return };
        if let IpAddr::V6(to) = to
            && asked == Asked::Uncut
        {
            let scope = if to.is_unicast_link_local() { hop.interface.index() } else { 0 };
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            socket.mail.narrow_path = Some((SocketAddrV6::new(to, 0, 0, scope), most));
        }
        if socket.error_delivery != ErrorDelivery::All {
            return;
        }
        // As Linux, whose IPv4 names the port that the socket is connected to.
        let port = socket.remote().filter(|_| to.is_ipv4()).map_or(0, |peer| peer.port());
        self.report_to_raw(id, Report::too_long(SocketAddr::new(to, port), most, now));
    }

    /// Adds a report to a raw socket's.
    pub(super) fn report_to_raw(&mut self, id: RawId, report: Report) {
        let Some(socket) = self.raw.get_mut(id) else { return };
        if socket.mail.report(report) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell(SocketId::Raw(id), Changes::ERROR);
    }

    /// Takes the oldest report (`MSG_ERRQUEUE`).
    pub fn raw_take_report(&mut self, id: RawId) -> Option<Report> {
        self.raw.get_mut(id)?.mail.take_report()
    }

    /// Takes the packet that has waited longest.
    pub fn raw_recv(&mut self, id: RawId) -> Result<Datagram, RecvError> {
        self.raw.get_mut(id).ok_or(RecvError::WouldBlock)?.mail.recv()
    }

    /// The packet that [`raw_recv`](Stack::raw_recv) would take.
    pub fn raw_peek(&mut self, id: RawId) -> Result<&Datagram, RecvError> {
        self.raw.get_mut(id).ok_or(RecvError::WouldBlock)?.peek()
    }

    /// The error that came back, once (SO_ERROR).
    pub fn raw_take_error(&mut self, id: RawId) -> Option<SocketError> {
        self.raw.get_mut(id)?.mail.take_error()
    }

    /// Gives a packet, by reference, to each raw socket that it is for. IPv4's get it with its header.
    pub(super) fn deliver_raw(&mut self, now: Instant, packet: &Packet) -> Heard {
        if self.raw.is_empty() {
            return Heard::No;
        }
        let key = (packet.destination.is_ipv4(), u16::from(packet.protocol.0));
        let mut heard = Heard::No;
        let mut from = SocketAddr::new(packet.source, 0);
        if let SocketAddr::V6(v6) = &mut from
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(packet.interface.index());
        }
        let bytes = if from.is_ipv4() { &packet.whole } else { &packet.payload };
        for place in 0.. {
            let Some(id) = self.raw.nth_of(key, place) else { break };
            let Some(socket) = self.raw.get_mut(id).filter(|socket| socket.is_for_it(packet)) else {
                continue;
            };
            heard = Heard::Yes;
            if !socket.wants(packet) || !self.hears(SocketId::Raw(id), packet) {
                continue;
            }
            let Some(socket) = self.raw.get_mut(id) else { continue };
            let queued = socket.deliver(Datagram {
                payload: Rope::from(bytes.clone()),
                from,
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
            });
            if queued {
                self.tell(SocketId::Raw(id), Changes::ARRIVAL);
            } else {
                self.counters.bump(Counter::TapsockRawRcvbufErrors);
            }
        }
        heard
    }

    /// Brings an error to the raw sockets of the protocol that it quotes, as far as they talk to who is concerned.
    pub(super) fn complain_to_raw(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &Quoted,
        complaint: Complaint,
    ) {
        if self.raw.is_empty() {
            return;
        }
        let key = (quoted.source.is_ipv4(), u16::from(quoted.protocol.0));
        for place in 0.. {
            let Some(id) = self.raw.nth_of(key, place) else { break };
            let Some(socket) = self.raw.get_mut(id) else { continue };
            let its_own = socket.listens()
                && socket.local().accepts(quoted.source, interface.index())
                && socket.remote().is_none_or(|remote| remote.ip() == quoted.destination);
            let (mode, way) = (socket.discovery.of(quoted.source), socket.way);
            // As Linux: IPv4's hear of what is too large unless their packets may be cut, IPv6's only where it is them
            // who see to the size.
            let wanted = match complaint.mtu {
                Some(_) if quoted.source.is_ipv4() => mode != PathMtuDiscovery::Dont,
                Some(_) => mode == PathMtuDiscovery::Do,
                None => true,
            };
            let learns = socket.remote().is_some() || socket.error_delivery == ErrorDelivery::All;
            let heard = its_own && wanted && socket.on_icmp_error(complaint.error, complaint.hardness);
            if its_own && wanted && socket.error_delivery == ErrorDelivery::All {
                let report = Report::of_complaint(&complaint, quoted, 0, 0, now);
                if socket.mail.report(report) == Queued::Dropped {
                    self.counters.bump(Counter::TapsockErrorQueueDrops);
                }
            }
            if heard {
                self.tell(SocketId::Raw(id), Changes::ERROR);
            }
            //= RFC 8201 §4
            if let Some(mtu) = complaint.mtu.filter(|_| its_own && learns && mode.believes()) {
                self.learn_path_mtu(now, (quoted.source, quoted.destination), interface, (way, None), mtu);
            }
        }
    }

    /// Fails raw sockets that use a link that is gone.
    pub(super) fn fail_raw(&mut self, interface: InterfaceId, gone: impl Fn(IpAddr, &Way) -> bool) {
        let mut told = Vec::new();
        for (id, socket) in self.raw.iter_mut() {
            let concerned = match socket.remote() {
                Some(remote) => gone(remote.ip(), &socket.way),
                None => {
                    may_use(&socket.way, interface) && may_serve(&self.interfaces, interface, socket.local())
                }
            };
            if concerned {
                socket.mail.fail(SocketError::NetworkDown);
                told.push(id);
            }
        }
        told.into_iter().for_each(|id| self.tell(SocketId::Raw(id), Changes::ERROR));
    }
}
