//! Echo requests of ping sockets.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU32;

use crate::buf::Rope;
use crate::counters::Counter;
use crate::discovery::{AutoLabel, Limit};
use crate::error_queue::Report;
use crate::iface::{InterfaceId, NextHop, Way};
use crate::ip::icmp::{EchoKind, echo};
use crate::ip::output::Priority;
use crate::time::Instant;
use crate::wire::icmp::{Echo, ICMP_HEADER_LEN};
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::{Ipv4Header, Ipv6Header};

use super::{PingError, PingId};
use crate::stack::datagrams::{Going, source_of_send};
use crate::stack::icmp::Marks;
use crate::stack::stamps::SendStamps;
use crate::stack::tcp_open::scope_of;
use crate::stack::{Changes, Family, SocketId, Stack};

/// How an echo request is to be sent.
///
/// ```
/// use tapsock_stack::stack::PingSendOptions;
///
/// assert_eq!(PingSendOptions::default().hop_limit, None);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct PingSendOptions {
    /// TTL or hop limit; `None` for the host's.
    pub hop_limit: Option<u8>,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// The source address, one of ours; `None` for the socket's, or the route's; the unspecified address for the route's,
    /// whatever the socket's is (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pub source: Option<IpAddr>,
    /// The only interface that it may leave by, unless it is for ourselves; `None` for the socket's.
    pub interface: Option<InterfaceId>,
    /// Whose routes come before those for all; `None` for the socket's (`SO_MARK`).
    pub mark: Option<NonZeroU32>,
    /// The largest packet of IPv6 that is sent where it may not be cut, and the parts of one that is, in bytes
    /// (`IPV6_MTU`).
    pub largest: Option<u32>,
    /// What is larger than that, or than the path, is refused, whatever the socket's mode (`IPV6_DONTFRAG`).
    pub unfragmented: bool,
    /// IPv6's flow label (`IPV6_FLOWINFO`); `None` for one that the host makes, where `labels` let it.
    pub flow_label: Option<u32>,
    /// Whether the host makes flow labels (`IPV6_AUTOFLOWLABEL`).
    pub labels: AutoLabel,
    /// Where it is for a group, this host does not hear it (`IP_MULTICAST_LOOP`, `IPV6_MULTICAST_LOOP`).
    pub no_loop: bool,
    /// What goes first where the link does not keep up (`SO_PRIORITY`).
    pub priority: Priority,
    /// Options of IPv4's header (`IP_OPTIONS`).
    pub ip_options: AnswerOptions,
    /// The stamps that are wanted of it.
    pub stamps: SendStamps,
}

impl Stack {
    /// The largest packet that the path to a socket's peer is known to take, in bytes (`IP_MTU`).
    pub fn ping_path_mtu(&self, now: Instant, id: PingId) -> Option<usize> {
        let socket = self.ping.get(id)?;
        self.path_to_peer(now, (socket.local, socket.remote?), (socket.way, None))
    }

    /// Whether a sender should be woken. One that asks in vain is told when to ask again.
    pub fn ping_is_writable(&self, id: PingId) -> bool {
        let Some(socket) = self.ping.get(id) else { return true };
        self.has_datagram_room(SocketId::Ping(id)) && socket.mail.is_writable()
    }

    /// Sets the bound of what a socket has waiting for the link (`SO_SNDBUF` as `getsockopt` shows it).
    pub fn ping_set_send_buffer(&mut self, id: PingId, bytes: usize) {
        let Some(socket) = self.ping.get_mut(id) else { return };
        if core::mem::replace(&mut socket.mail.send_buffer, bytes) < bytes {
            self.tell(SocketId::Ping(id), Changes::ROOM);
        }
    }

    /// Sends the echo request `message`, from its type on. Identifier and checksum are written anew.
    pub fn ping_send(
        &mut self,
        now: Instant,
        id: PingId,
        message: &Rope,
        to: Option<SocketAddr>,
    ) -> Result<(), PingError> {
        self.ping_send_with(now, id, message, to, PingSendOptions::default())
    }

    /// The same, as `options` have it. [`PingError::WouldBlock`] where what waits for the link has no room for it, and
    /// [`PingError::NoBuffers`] where there are none for all the parts of a long one.
    pub fn ping_send_with(
        &mut self,
        now: Instant,
        id: PingId,
        message: &Rope,
        to: Option<SocketAddr>,
        options: PingSendOptions,
    ) -> Result<(), PingError> {
        let PingSendOptions { source, interface, mark, .. } = options;
        let socket = self.ping.get_mut(id).ok_or(PingError::NoSocket)?;
        if let Some(error) = socket.mail.take_error() {
            return Err(PingError::Socket(error));
        }
        let (family, local) = (socket.family, source_of_send(source, socket.local));
        let way =
            Way { device: interface.or(socket.way.device), mark: mark.or(socket.way.mark), ..socket.way };
        let to = to.or(socket.remote).ok_or(PingError::NoDestination)?;
        if to.is_ipv4() != (family == Family::V4) {
            return Err(PingError::WrongFamily);
        }
        let mut head = [0; ICMP_HEADER_LEN];
        if message.copy_to(&mut head) < ICMP_HEADER_LEN || head[0] != request_kind(family) || head[1] != 0 {
            return Err(PingError::BadMessage);
        }
        self.ping_identify(id)?;
        let way = Way { device: way.device.or(scope_of(to)), ..way };
        let hop = self.route_out(to.ip(), local, &way).map_err(PingError::Route)?;
        let (marks, cut) = self.check_ping_length(now, id, &hop, (to, message.len()), options)?;
        let socket = self.ping.get(id).ok_or(PingError::NoSocket)?;
        let (ident, room) = (socket.ident.unwrap_or_default(), socket.mail.has_send_room());
        if !self.has_datagram_room(SocketId::Ping(id)) || !room {
            return Err(PingError::WouldBlock);
        }
        if cut.is_some() && !self.has_buffers(SocketId::Ping(id), message.len(), cut) {
            self.counters.bump(match family {
                Family::V4 => Counter::IpOutDiscards,
                Family::V6 => Counter::Ip6OutDiscards,
            });
            return Err(PingError::NoBuffers);
        }
        let request = Echo { ident, sequence: u16::from_be_bytes([head[6], head[7]]) };
        let body = message.slice(ICMP_HEADER_LEN..message.len());
        let packet = echo(EchoKind::Request, request, hop.source, to.ip(), body, &mut self.counters);
        if let Some(packet) =
            packet.and_then(|packet| self.wrap_icmp(&hop, hop.source, to.ip(), marks, packet))
        {
            let going = Going { priority: options.priority, stamps: options.stamps, cut };
            self.send_datagram(now, SocketId::Ping(id), &hop, packet, going);
        }
        Ok(())
    }

    /// Whether a message of `len` bytes goes whole, or may be cut: what its IP header says, and the size of the parts.
    fn check_ping_length(
        &mut self,
        now: Instant,
        id: PingId,
        hop: &NextHop,
        (to, len): (SocketAddr, usize),
        options: PingSendOptions,
    ) -> Result<(Marks, Option<usize>), PingError> {
        let discovery = self.ping.get(id).ok_or(PingError::NoSocket)?.discovery;
        let ip_header =
            if to.is_ipv4() { Ipv4Header::MIN_LEN + options.ip_options.len() } else { Ipv6Header::LEN };
        let len = len + ip_header;
        let path = self.path_to(now, to.ip(), hop);
        let limit = Limit::new(discovery.largest_whole(path, hop.mtu), options.largest, to.ip());
        // IPv6 does not count its header.
        let most = usize::from(u16::MAX) + if to.is_ipv4() { 0 } else { ip_header };
        if len > most || len > limit.part && (!discovery.cuts() || options.unfragmented) {
            let options = if to.is_ipv4() { options.ip_options.len() } else { 0 };
            self.report_to_ping(id, Report::too_long(to, limit.part.saturating_sub(options), now));
            return Err(PingError::TooLong);
        }
        let marks = Marks {
            hop_limit: options.hop_limit,
            traffic_class: options.traffic_class,
            fragmentation: discovery.of_datagram(self.path_mtu.fragmentation(now, to.ip()), len <= path),
            flow_label: options.flow_label,
            labels: options.labels,
            no_loop: options.no_loop,
            options: self.socket_options(now, options.ip_options, (hop.source, to.ip())),
        };
        Ok((marks, limit.cut(len)))
    }
}

fn request_kind(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 128,
    }
}
