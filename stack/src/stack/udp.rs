//! UDP through the stack: the calls but for sending, datagrams that come in, and errors that come back.

use core::mem;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU32;

use crate::buf::{Checksum, Rope};
use crate::counters::Counter;
use crate::discovery::{AutoLabel, PathMtuDiscovery};
use crate::error::SocketError;
use crate::error_queue::{ErrorDelivery, Report};
use crate::iface::{Delivery, InterfaceId, RouteError, Way};
use crate::ip::icmp::{Complaint, ErrorKind};
use crate::ip::input::Packet;
use crate::ip::output::Priority;
use crate::ports::{BindError, BindId, BindRequest, LocalAddr, Transport};
use crate::time::Instant;
use crate::udp::{Arrival, Datagram, PortChoice, RecvError, SegmentError, UdpId, UdpSocket};
use crate::wire::icmp::Quoted;
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::{IpProtocol, UdpHeader};

use super::stamps::SendStamps;
use super::tcp_open::scope_of;
use super::{Changes, Family, SocketId, Stack, may_serve};

/// How a datagram is to be sent.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct UdpSendOptions {
    /// Cut the payload into datagrams of this many bytes (`UDP_SEGMENT`).
    pub segment_size: Option<u16>,
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
    /// IPv6's flow label (`IPV6_FLOWINFO`); `None` for one that the host makes, where `labels` let it.
    pub flow_label: Option<u32>,
    /// Whether the host makes flow labels (`IPV6_AUTOFLOWLABEL`).
    pub labels: AutoLabel,
    /// What is larger than the path is refused, whatever the mode of path MTU discovery (`IPV6_DONTFRAG`).
    pub unfragmented: bool,
    /// The largest packet of IPv6 that is sent where it may not be cut, and the parts of one that is, in bytes
    /// (`IPV6_MTU`).
    pub largest: Option<u32>,
    /// Whether what goes to a group that we hear ourselves stays away from us (`IP_MULTICAST_LOOP` off).
    pub no_loop: bool,
    /// Options of IPv4's header (`IP_OPTIONS`).
    pub ip_options: AnswerOptions,
    /// The stamps that are wanted of it.
    pub stamps: SendStamps,
}

/// Why a datagram was not sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SendError {
    /// The socket is gone (EBADF).
    NoSocket,
    /// No destination was given (EDESTADDRREQ).
    NoDestination,
    /// No route leads there, or the source won't do.
    Route(RouteError),
    /// No port is left to send from (EAGAIN).
    NoPort,
    /// The datagram is too long for UDP, or for the path or link where it must not be cut (EMSGSIZE).
    TooLong,
    /// It would be cut in too many (EINVAL).
    TooManySegments,
    /// The header that its sender wrote is not all there, or the checksum has no place in it (EINVAL).
    Malformed,
    /// The link can't take more now (EAGAIN).
    WouldBlock,
    /// There are no buffers for it, or for all its parts: it is not waited for them (ENOBUFS).
    NoBuffers,
    /// Writing was shut down (EPIPE).
    ShutDown,
    /// An error that came back for an earlier one, told once.
    Socket(SocketError),
}

impl From<SegmentError> for SendError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::TooLarge => SendError::TooLong,
            SegmentError::TooManySegments => SendError::TooManySegments,
        }
    }
}

impl Stack {
    /// Opens a UDP socket, bound to nothing.
    pub fn udp_open(&mut self, family: Family) -> UdpId {
        let wildcard = match family {
            Family::V4 => LocalAddr::AnyV4,
            Family::V6 => LocalAddr::AnyV6 { only_v6: self.config.bindv6only },
        };
        let mut socket = UdpSocket::new(self.config.rmem_default as usize);
        socket.mail.send_buffer = self.config.wmem_default as usize;
        socket.wildcard = wildcard;
        // As on Linux, IPv6's sockets hear IPv4's groups only where they are in them.
        socket.own_groups_only.0 = family == Family::V6;
        self.udp.open(socket)
    }

    /// Closes a UDP socket and gives its binding back.
    pub fn udp_close(&mut self, id: UdpId) {
        self.send_waiters.get_mut().remove(&SocketId::Udp(id));
        self.leave_groups(SocketId::Udp(id));
        if let Some(bind) = self.udp.close(id).and_then(|socket| socket.bind) {
            self.ports.unbind(bind);
        }
    }

    /// Gives a binding to a socket, which owns it from now on. A port that is not of the user's choice goes when the
    /// socket's association is dissolved: the caller says so in [`UdpSocket::port_choice`].
    pub fn udp_bind(&mut self, id: UdpId, bind: BindId) {
        let Some((address, port)) = self.ports.binding(bind) else {
            return;
        };
        let reuse_port = self.ports.reuse(bind).is_some_and(|reuse| reuse.port);
        if let Some(socket) = self.udp.socket_mut(id) {
            socket.bind = Some(bind);
            socket.port_choice = PortChoice::User;
            socket.bound = Some(address);
            socket.reuse_port = reuse_port;
            self.udp.bind(id, address, port);
        }
    }

    /// Binds a socket that is bound to nothing to a port of the ephemeral range.
    ///
    /// # Errors
    ///
    /// [`BindError::AddressInUse`] where no port is left (EAGAIN).
    pub fn udp_autobind(&mut self, id: UdpId) -> Result<(), BindError> {
        let Some(socket) = self.udp.socket(id).filter(|socket| socket.local().is_none()) else {
            return Ok(());
        };
        let (bound, device, range) = (socket.bound, socket.way.device, socket.ports);
        let plain = BindRequest::new(Transport::Udp, bound.unwrap_or(socket.wildcard));
        // That the address may be had was seen when it was bound.
        let request = BindRequest { device, range, foreign: bound.is_some(), ..plain };
        let bind = self.bind(request)?;
        self.udp_bind(id, bind);
        if let Some(socket) = self.udp.socket_mut(id) {
            (socket.port_choice, socket.bound) = (PortChoice::Stack, bound);
        }
        Ok(())
    }

    /// Sets where a socket sends to, and whose datagrams it takes; `None` takes that back.
    pub fn udp_connect(&mut self, id: UdpId, remote: Option<SocketAddr>) -> Result<(), SendError> {
        let socket = self.udp.socket(id).ok_or(SendError::NoSocket)?;
        let Some(remote) = remote else {
            self.udp_dissolve(id);
            return Ok(());
        };
        let way = socket.way;
        // As Linux: the address that an earlier `connect` chose stays, until that is taken back.
        let bound = socket.bind.and_then(|bind| self.ports.binding(bind)).map(|(address, _)| address);
        let bound = bound.filter(|address| !address.is_wildcard());
        let group = bound.filter(|address| self.interfaces.source_of(*address).is_none());
        let source = self.udp_source(socket);
        let destination = named_host(remote);
        let way = Way { device: way.device.or(scope_of(remote)), ..way };
        let hop = self.way_to(destination.ip(), source, &way).map_err(SendError::Route)?;
        self.udp_autobind(id).map_err(|_| SendError::NoPort)?;
        let scope = scope_of(remote).map_or(0, InterfaceId::index);
        let local = LocalAddr::new(hop.source, scope);
        self.udp.connect(id, group.unwrap_or(local), destination);
        let Some(socket) = self.udp.socket_mut(id) else { return Ok(()) };
        match (socket.bind, bound) {
            (Some(bind), None) => self.ports.set_address(bind, local),
            _ if group.is_some() => socket.source = Some(hop.source),
            _ => {}
        }
        Ok(())
    }

    /// The address that a socket sends from, where that is settled.
    pub(super) fn udp_source(&self, socket: &UdpSocket) -> Option<IpAddr> {
        socket.source.or_else(|| self.interfaces.source_of(socket.local()?.0))
    }

    /// Takes back what `udp_connect` set, and the port that a socket has not asked for (`__udp_disconnect`).
    fn udp_dissolve(&mut self, id: UdpId) {
        let Some(socket) = self.udp.socket_mut(id) else { return };
        let Some(bind) = socket.bind else { return };
        match (socket.port_choice, self.ports.binding(bind)) {
            (PortChoice::User, Some((narrowed, port))) => {
                let address = socket.bound.unwrap_or(narrowed);
                self.ports.set_address(bind, address);
                self.udp.bind(id, address, port);
            }
            _ => {
                socket.bind = None;
                self.udp.unbind(id);
                self.ports.unbind(bind);
            }
        }
    }

    /// The socket itself, to be asked.
    pub fn udp(&self, id: UdpId) -> Option<&UdpSocket> {
        self.udp.socket(id)
    }

    /// The socket itself, to set its options.
    pub fn udp_mut(&mut self, id: UdpId) -> Option<&mut UdpSocket> {
        self.udp.socket_mut(id)
    }

    /// Our end of a socket, once it is bound.
    pub fn udp_local(&self, id: UdpId) -> Option<SocketAddr> {
        let (address, port) = self.udp.socket(id)?.local()?;
        Some(SocketAddr::new(address.ip(), port))
    }

    /// The largest packet that the path to a socket's peer is known to take, in bytes (`IP_MTU`).
    //= RFC 1122 §3.3.3 MUST-1
    pub fn udp_path_mtu(&self, now: Instant, id: UdpId) -> Option<usize> {
        let socket = self.udp.socket(id)?;
        let (remote, (_, port)) = (socket.remote()?, socket.local()?);
        let flow = self.own_flow(IpProtocol::UDP, port, remote);
        self.path_to_peer(now, (self.udp_source(socket), remote), (socket.way, flow))
    }

    /// Where a socket sends to.
    pub fn udp_remote(&self, id: UdpId) -> Option<SocketAddr> {
        self.udp.socket(id)?.remote()
    }

    /// Whether a sender should be woken. One that asks in vain is told when to ask again.
    pub fn udp_is_writable(&self, id: UdpId) -> bool {
        let Some(socket) = self.udp.socket(id) else { return true };
        if !self.has_datagram_room(SocketId::Udp(id)) {
            return false;
        }
        // Where its own buffer is full, it is told by `uncharge`.
        socket.mail.is_writable()
    }

    /// Sets the bound of what a socket has waiting for the link (`SO_SNDBUF` as `getsockopt` shows it).
    pub fn udp_set_send_buffer(&mut self, id: UdpId, bytes: usize) {
        let Some(socket) = self.udp.socket_mut(id) else { return };
        if mem::replace(&mut socket.mail.send_buffer, bytes) < bytes {
            self.tell(SocketId::Udp(id), Changes::ROOM);
        }
    }

    /// Takes the datagram that has waited longest.
    //= RFC 1122 §3.4 MUST-2
    pub fn udp_recv(&mut self, id: UdpId) -> Result<Datagram, RecvError> {
        self.udp.socket_mut(id).ok_or(RecvError::WouldBlock)?.recv()
    }

    /// The datagram that [`udp_recv`](Stack::udp_recv) would take.
    pub fn udp_peek(&mut self, id: UdpId) -> Result<&Datagram, RecvError> {
        self.udp.socket_mut(id).ok_or(RecvError::WouldBlock)?.mail.peek()
    }

    /// As [`UdpSocket::peek_at`].
    pub fn udp_peek_at(&mut self, id: UdpId, start: usize) -> Result<(&Datagram, usize), RecvError> {
        self.udp.socket_mut(id).ok_or(RecvError::WouldBlock)?.mail.peek_at(start)
    }

    /// The error that came back, once (SO_ERROR).
    pub fn udp_take_error(&mut self, id: UdpId) -> Option<SocketError> {
        self.udp.socket_mut(id)?.mail.take_error()
    }

    //= RFC 1122 §4.1.3
    //= RFC 1122 §3.4 MUST-4
    pub(super) fn receive_udp(&mut self, now: Instant, packet: &Packet) {
        let Ok(header) = UdpHeader::parse(&packet.payload) else {
            self.counters.bump(Counter::UdpInErrors);
            return;
        };
        //= RFC 8200 §8.1
        if packet.verified() == Checksum::Invalid || packet.source.is_ipv6() && header.checksum == 0 {
            self.counters.bump(Counter::UdpInCsumErrors);
            self.counters.bump(Counter::UdpInErrors);
            return;
        }
        let mut payload = packet.payload.slice(UdpHeader::LEN..header.length.into());
        if packet.gso_size.is_some() {
            // A merged packet may be longer than the field of its header says.
            payload = packet.payload.slice(UdpHeader::LEN..packet.payload.len());
        }
        let mut from = SocketAddr::new(packet.source, header.source_port);
        if let SocketAddr::V6(v6) = &mut from
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(packet.interface.index());
        }
        let to = SocketAddr::new(packet.destination, header.destination_port);
        let arrival = Arrival { from, to, interface: packet.interface };
        let datagram = Datagram {
            payload: Rope::from(payload),
            from,
            to: packet.destination,
            to_port: header.destination_port,
            interface: packet.interface,
            hop_limit: packet.hop_limit,
            traffic_class: packet.traffic_class,
            flow_label: packet.flow_label(),
            segment_size: packet.gso_size,
            arrived: now,
            drops_before: 0,
            ip_options: packet.options_to_tell(),
        };
        if self.is_for_one(packet) {
            match self.udp.find(&arrival) {
                Some(id) => self.deliver_datagram(id, datagram),
                None => {
                    self.counters.bump(Counter::UdpNoPorts);
                    //= RFC 1122 §4.1.3.1
                    self.send_error(now, ErrorKind::PortUnreachable, packet);
                }
            }
            return;
        }
        let all: Vec<UdpId> =
            self.udp.find_all(&arrival).filter(|id| self.hears(SocketId::Udp(*id), packet)).collect();
        if all.is_empty() {
            self.counters.bump(Counter::UdpNoPorts);
        }
        all.into_iter().for_each(|id| self.deliver_datagram(id, datagram.clone()));
    }

    fn deliver_datagram(&mut self, id: UdpId, datagram: Datagram) {
        let Some(socket) = self.udp.socket_mut(id) else {
            return;
        };
        let delivery = socket.deliver(datagram);
        self.counters[Counter::UdpInDatagrams] += u64::from(delivery.queued);
        self.counters[Counter::UdpRcvbufErrors] += u64::from(delivery.dropped);
        if delivery.queued > 0 {
            self.tell(SocketId::Udp(id), Changes::ARRIVAL);
        }
    }

    /// Brings an error, which came in at `interface`, to the UDP socket whose datagram it quotes.
    //= RFC 1122 §4.1.3.3
    pub(super) fn complain_to_udp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &Quoted,
        complaint: Complaint,
    ) {
        let (local_port, remote_port) = quoted.ports();
        let arrival = Arrival {
            from: SocketAddr::new(quoted.destination, remote_port),
            to: SocketAddr::new(quoted.source, local_port),
            interface,
        };
        let Some(id) = self.udp.find(&arrival) else { return };
        let Some(socket) = self.udp.socket(id) else { return };
        let (mode, way) = (socket.discovery.of(quoted.source), socket.way);
        //= RFC 8201 §4
        if let Some(mtu) = complaint.mtu.filter(|_| mode.believes()) {
            let flow = self.own_flow(IpProtocol::UDP, local_port, arrival.from);
            self.learn_path_mtu(now, (quoted.source, quoted.destination), interface, (way, flow), mtu);
        }
        // As Linux: who lets packets be cut is not told of those that were too large. IPv4's is told even of what is
        // not believed.
        let wanted = match complaint.mtu {
            Some(_) if quoted.source.is_ipv4() => mode != PathMtuDiscovery::Dont,
            Some(_) => mode.adapts(),
            None => true,
        };
        let Some(socket) = self.udp.socket_mut(id).filter(|_| wanted) else { return };
        let peer = quoted.destination;
        let heard = socket.on_icmp_error(peer, complaint.error, complaint.hardness);
        if socket.error_delivery.of(peer) == ErrorDelivery::All {
            self.report_to_udp(
                id,
                Report::of_complaint(&complaint, quoted, UdpHeader::LEN, remote_port, now),
            );
        } else if heard {
            self.tell(SocketId::Udp(id), Changes::ERROR);
        }
    }

    /// Fails datagram sockets that are connected over a link that is gone.
    pub(super) fn fail_datagram_sockets(&mut self, interface: InterfaceId) {
        let interfaces = self.interfaces.clone();
        let gone = |ip, way: &Way| match interfaces.route_by(ip, None, way) {
            Ok(hop) => hop.interface == interface,
            Err(error) => error == RouteError::Down && may_use(way, interface),
        };
        let mut told = Vec::new();
        for (id, socket) in self.udp.iter_mut() {
            let concerned = match (socket.remote(), socket.bind.and_then(|bind| self.ports.binding(bind))) {
                (Some(remote), _) => gone(remote.ip(), &socket.way),
                (None, Some((address, _))) => {
                    may_use(&socket.way, interface) && may_serve(&interfaces, interface, address)
                }
                (None, None) => false,
            };
            if concerned {
                socket.mail.fail(SocketError::NetworkDown);
                told.push(id);
            }
        }
        told.into_iter().for_each(|id| self.tell(SocketId::Udp(id), Changes::ERROR));
        self.fail_raw(interface, gone);
        self.fail_pings(interface, gone);
    }

    /// Whether `to` names a broadcast address, which a socket may send to by permission only (EACCES).
    pub fn is_broadcast_destination(&self, to: SocketAddr) -> bool {
        let hop = self.interfaces.route(to.ip(), None, scope_of(to));
        hop.is_ok_and(|hop| hop.delivery == Delivery::Broadcast)
    }
}

/// The destination without a mapped address; one that names no host names ours, as in Linux.
pub(super) fn named_host(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() && !v6.ip().is_unspecified() => to,
        _ => SocketAddr::new(super::tcp_open::named_host(to.ip()), to.port()),
    }
}

/// Whether packets of that way may take an interface.
pub(super) fn may_use(way: &Way, interface: InterfaceId) -> bool {
    way.device.is_none_or(|device| device == interface)
}
