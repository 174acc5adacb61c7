//! Ping sockets: ICMP echoes for programs without privileges (`SOCK_DGRAM` with `IPPROTO_ICMP`).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::BTreeMap;

use crate::counters::Counter;
use crate::discovery::PathMtuDiscovery;
use crate::error::SocketError;
use crate::error_queue::{Cause, ErrorDelivery, Queued, Report};
use crate::iface::{InterfaceId, RouteError, Way};
use crate::ip::icmp::{Complaint, Hardness};
use crate::ports::LocalAddr;
use crate::slots::Slots;
use crate::time::Instant;
use crate::udp::{Datagram, Mailbox, RecvError};
use crate::wire::icmp::Quoted;
use crate::wire::{icmpv4, icmpv6};

use super::survey::{Entry, Stage, Surveyed, plain};
use super::tcp_open::scope_of;
use super::udp::may_use;
use super::{Changes, Family, SocketId, Stack, may_serve};

mod sending;

pub use sending::PingSendOptions;

/// Ping sockets at the most.
const MAX_SOCKETS: usize = 65_536;

/// A ping socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct PingId {
    index: u32,
    generation: u32,
}

/// Why a ping socket refuses.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum PingError {
    /// There are too many, or the id is unknown (ENOBUFS, EBADF).
    NoSocket,
    /// The message is no echo request (EINVAL).
    BadMessage,
    /// No destination was given (EDESTADDRREQ).
    NoDestination,
    /// The destination is of the other family (EAFNOSUPPORT, or EINVAL).
    WrongFamily,
    /// No route leads there.
    Route(RouteError),
    /// The message is larger than the link (EMSGSIZE).
    TooLong,
    /// Another has the identifier and does not share it, or none is left (EADDRINUSE).
    IdentInUse,
    /// Nothing has come yet, or there is no room to send now (EAGAIN).
    WouldBlock,
    /// There are no buffers for all its parts: it is not waited for them (ENOBUFS).
    NoBuffers,
    /// An error that came back, told once.
    Socket(SocketError),
}

#[derive(Debug, Default)]
pub(super) struct PingTable {
    sockets: Slots<PingSocket>,
    /// The sockets of an identifier, of both families; the last is asked first.
    by_ident: BTreeMap<u16, Vec<u32>>,
    generation: u32,
}

#[derive(Debug)]
struct PingSocket {
    family: Family,
    generation: u32,
    ident: Option<u16>,
    /// Whether others may have its identifier (`SO_REUSEADDR`).
    shares: bool,
    /// Whether it is the last of these to be asked: as on Linux, one of IPv6 with `SO_REUSEPORT`.
    comes_last: bool,
    local: Option<IpAddr>,
    /// Whether it was given its address, and its identifier, by `bind`: then it keeps them when a connection is dissolved.
    keeps: Kept,
    remote: Option<SocketAddr>,
    /// `IP_MTU_DISCOVER` or `IPV6_MTU_DISCOVER`.
    discovery: PathMtuDiscovery,
    mail: Mailbox,
    /// How its packets leave, and where replies are taken.
    way: Way,
    /// `IP_RECVERR` or `IPV6_RECVERR`.
    error_delivery: ErrorDelivery,
    /// Whether it may be bound to addresses that are not ours (`IP_FREEBIND`, `IP_TRANSPARENT`).
    takes_foreign: bool,
}

/// What a socket has for good.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
struct Kept {
    address: bool,
    ident: bool,
}

impl PingTable {
    /// Those that have an identifier.
    pub(super) fn survey(&self) -> impl Iterator<Item = Entry> + '_ {
        self.sockets.iter().filter_map(|(_, socket)| {
            let any: IpAddr = match socket.family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            };
            let local = SocketAddr::new(socket.local.unwrap_or(any), socket.ident?);
            Some(Entry {
                stage: if socket.remote.is_some() { Stage::Connected } else { Stage::Unconnected },
                only: true,
                device: socket.way.device,
                receive_queue: socket.mail.queued_bytes(),
                ..plain(Surveyed::Ping, local, socket.remote)
            })
        })
    }

    fn get(&self, id: PingId) -> Option<&PingSocket> {
        self.sockets.get(id.index as usize).filter(|socket| socket.generation == id.generation)
    }

    fn get_mut(&mut self, id: PingId) -> Option<&mut PingSocket> {
        self.sockets.get_mut(id.index as usize).filter(|socket| socket.generation == id.generation)
    }

    /// The socket that a message for the identifier `ident` at `to` is for: of several that share it the one that got it
    /// last, as on Linux.
    fn for_message(
        &mut self,
        ident: u16,
        to: IpAddr,
        interface: InterfaceId,
    ) -> Option<(PingId, &mut PingSocket)> {
        let is_for = |socket: &PingSocket| {
            (socket.family == Family::V4) == to.is_ipv4()
                && socket.local.is_none_or(|own| own == to)
                && socket.way.device.is_none_or(|device| device == interface)
        };
        let sharing = self.by_ident.get(&ident)?;
        let mut latest = sharing.iter().rev();
        let index = *latest.find(|index| self.sockets.get(**index as usize).is_some_and(is_for))?;
        let socket = self.sockets.get_mut(index as usize)?;
        Some((PingId { index, generation: socket.generation }, socket))
    }

    /// Gives a socket an identifier, or takes it away.
    fn set_ident(&mut self, index: u32, ident: Option<u16>) {
        let Some(socket) = self.sockets.get_mut(index as usize) else { return };
        let comes_last = socket.comes_last;
        if let Some(before) = core::mem::replace(&mut socket.ident, ident)
            && let Some(list) = self.by_ident.get_mut(&before)
        {
            list.retain(|other| *other != index);
            if list.is_empty() {
                self.by_ident.remove(&before);
            }
        }
        if let Some(ident) = ident {
            let sharing = self.by_ident.entry(ident).or_default();
            if comes_last { sharing.insert(0, index) } else { sharing.push(index) }
        }
    }
}

impl Stack {
    /// Opens a ping socket.
    pub fn ping_open(&mut self, family: Family) -> Result<PingId, PingError> {
        if self.ping.sockets.len() >= MAX_SOCKETS {
            return Err(PingError::NoSocket);
        }
        self.ping.generation = self.ping.generation.wrapping_add(1);
        let generation = self.ping.generation;
        let mut mail = Mailbox::new(self.config.rmem_default as usize);
        mail.send_buffer = self.config.wmem_default as usize;
        let socket = PingSocket {
            family,
            generation,
            ident: None,
            shares: true,
            comes_last: false,
            local: None,
            keeps: Kept::default(),
            remote: None,
            discovery: PathMtuDiscovery::default(),
            mail,
            way: Way::default(),
            error_delivery: ErrorDelivery::default(),
            takes_foreign: false,
        };
        Ok(PingId { index: self.ping.sockets.insert(socket) as u32, generation })
    }

    /// Closes a ping socket.
    pub fn ping_close(&mut self, id: PingId) {
        if self.ping.get(id).is_some() {
            self.send_waiters.get_mut().remove(&SocketId::Ping(id));
            self.leave_groups(SocketId::Ping(id));
            self.ping.set_ident(id.index, None);
            self.ping.sockets.try_remove(id.index as usize);
        }
    }

    /// Binds a ping socket to an address of ours, or to all, and to an identifier; 0 asks for one that is free. As on
    /// Linux, several may have one identifier where all of them share it, whatever their addresses and families.
    pub fn ping_bind(&mut self, id: PingId, local: Option<IpAddr>, ident: u16) -> Result<(), PingError> {
        let socket = self.ping.get(id).ok_or(PingError::NoSocket)?;
        let (v4, takes_foreign) = (socket.family == Family::V4, socket.takes_foreign);
        if local.is_some_and(|local| local.is_ipv4() != v4) {
            return Err(PingError::WrongFamily);
        }
        if local.is_some_and(|local| !takes_foreign && !self.interfaces.is_local(local)) {
            return Err(PingError::Route(RouteError::NoSource));
        }
        let keeps = Kept { address: local.is_some(), ident: ident != 0 };
        let ident = match ident {
            0 => self.free_ident().ok_or(PingError::IdentInUse)?,
            ident if self.may_share_ident(id, ident) => ident,
            _ => return Err(PingError::IdentInUse),
        };
        let socket = self.ping.get_mut(id).ok_or(PingError::NoSocket)?;
        (socket.local, socket.keeps, socket.remote) = (local, keeps, None);
        self.ping.set_ident(id.index, Some(ident));
        Ok(())
    }

    /// Gives a socket an identifier, where it has none.
    ///
    /// Errors: EADDRINUSE where none is left.
    pub fn ping_identify(&mut self, id: PingId) -> Result<(), PingError> {
        if self.ping.get(id).ok_or(PingError::NoSocket)?.ident.is_none() {
            let ident = self.free_ident().ok_or(PingError::IdentInUse)?;
            self.ping.set_ident(id.index, Some(ident));
        }
        Ok(())
    }

    /// Sets whether others may have the identifier of a ping socket (`SO_REUSEADDR`), and whether it has `SO_REUSEPORT`.
    pub fn ping_set_sharing(&mut self, id: PingId, shares: bool, reuses_port: bool) {
        if let Some(socket) = self.ping.get_mut(id) {
            socket.shares = shares;
            socket.comes_last = reuses_port && socket.family == Family::V6;
        }
    }

    /// Sets whether a ping socket may be bound to addresses that are not ours (`IP_FREEBIND`, `IP_TRANSPARENT`).
    pub fn ping_set_takes_foreign(&mut self, id: PingId, takes_foreign: bool) {
        if let Some(socket) = self.ping.get_mut(id) {
            socket.takes_foreign = takes_foreign;
        }
    }

    fn may_share_ident(&self, id: PingId, ident: u16) -> bool {
        let shares = |index: &u32| self.ping.sockets.get(*index as usize).is_none_or(|socket| socket.shares);
        let mut others =
            self.ping.by_ident.get(&ident).into_iter().flatten().filter(|index| **index != id.index);
        match self.ping.get(id) {
            Some(socket) if socket.shares => others.all(shares),
            _ => others.next().is_none(),
        }
    }

    fn free_ident(&mut self) -> Option<u16> {
        let start = self.random.next_u32() as u16;
        (0..=u16::MAX)
            .map(|step| start.wrapping_add(step))
            .find(|ident| *ident != 0 && !self.ping.by_ident.contains_key(ident))
    }

    /// Sets where a ping socket sends to; `None` takes it back, and with it the address that the way chose and an
    /// identifier that was not asked for.
    pub fn ping_connect(&mut self, id: PingId, remote: Option<SocketAddr>) -> Result<(), PingError> {
        let Some(remote) = remote else { return self.ping_dissolve(id) };
        self.ping_identify(id)?;
        let socket = self.ping.get(id).ok_or(PingError::NoSocket)?;
        if remote.is_ipv4() != (socket.family == Family::V4) {
            return Err(PingError::WrongFamily);
        }
        let way = Way { device: socket.way.device.or(scope_of(remote)), ..socket.way };
        let hop = self.interfaces.route_by(remote.ip(), socket.local, &way).map_err(PingError::Route)?;
        let socket = self.ping.get_mut(id).ok_or(PingError::NoSocket)?;
        (socket.remote, socket.local) = (Some(remote), socket.local.or(Some(hop.source)));
        Ok(())
    }

    fn ping_dissolve(&mut self, id: PingId) -> Result<(), PingError> {
        let socket = self.ping.get_mut(id).ok_or(PingError::NoSocket)?;
        (socket.remote, socket.local) = (None, socket.local.filter(|_| socket.keeps.address));
        if !socket.keeps.ident {
            self.ping.set_ident(id.index, None);
        }
        Ok(())
    }

    /// Sets whether requests may be cut.
    pub fn ping_set_discovery(&mut self, id: PingId, discovery: PathMtuDiscovery) {
        if let Some(socket) = self.ping.get_mut(id) {
            socket.discovery = discovery;
        }
    }

    /// What a ping socket has in hand.
    pub fn ping_mail(&self, id: PingId) -> Option<&Mailbox> {
        self.ping.get(id).map(|socket| &socket.mail)
    }

    /// The same, to read from it and to change its bounds.
    pub fn ping_mail_mut(&mut self, id: PingId) -> Option<&mut Mailbox> {
        self.ping.get_mut(id).map(|socket| &mut socket.mail)
    }

    /// Takes the reply that has waited longest.
    pub fn ping_recv(&mut self, id: PingId) -> Result<Datagram, PingError> {
        let socket = self.ping.get_mut(id).ok_or(PingError::NoSocket)?;
        socket.mail.recv().map_err(|error| match error {
            RecvError::Error(error) => PingError::Socket(error),
            RecvError::Shutdown | RecvError::WouldBlock => PingError::WouldBlock,
        })
    }

    /// Sets how a ping socket's packets leave, and where it takes replies.
    pub fn ping_set_way(&mut self, id: PingId, way: Way) {
        if let Some(socket) = self.ping.get_mut(id) {
            socket.way = way;
        }
    }

    /// Which errors a ping socket hears of.
    pub fn ping_set_error_delivery(&mut self, id: PingId, delivery: ErrorDelivery) {
        if let Some(socket) = self.ping.get_mut(id) {
            socket.error_delivery = delivery;
        }
    }

    /// Adds a report to a ping socket's.
    pub(super) fn report_to_ping(&mut self, id: PingId, report: Report) {
        let Some(socket) = self.ping.get_mut(id) else { return };
        let wanted =
            matches!(report.cause, Cause::Stamp { .. }) || socket.error_delivery == ErrorDelivery::All;
        if wanted && socket.mail.report(report) == Queued::Dropped {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
        self.tell(SocketId::Ping(id), Changes::ERROR);
    }

    /// Address and identifier of a ping socket, as `getsockname` has them.
    pub fn ping_local(&self, id: PingId) -> (Option<IpAddr>, Option<u16>) {
        self.ping.get(id).map_or((None, None), |socket| (socket.local, socket.ident))
    }

    /// Where a ping socket sends to.
    pub fn ping_remote(&self, id: PingId) -> Option<SocketAddr> {
        self.ping.get(id)?.remote
    }

    /// Gives a reply to the socket that it is for, whoever it comes from: a connection says where requests go, and no
    /// more.
    pub(super) fn deliver_ping(&mut self, ident: u16, mut reply: Datagram) {
        if let SocketAddr::V6(v6) = &mut reply.from
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(reply.interface.index());
        }
        let found = self.ping.for_message(ident, reply.to, reply.interface);
        let Some((id, socket)) = found else { return };
        if socket.mail.push(reply) {
            self.tell(SocketId::Ping(id), Changes::ARRIVAL);
        } else {
            socket.mail.count_drops(1);
            self.counters.bump(Counter::TapsockPingRcvbufErrors);
        }
    }

    /// Brings an error to the ping socket whose request it quotes.
    pub(super) fn complain_to_ping(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &Quoted,
        complaint: Complaint,
    ) {
        // As Linux: what quotes something else than a request is nobody's.
        let request = if quoted.source.is_ipv4() { icmpv4::ECHO_REQUEST } else { icmpv6::ECHO_REQUEST };
        if quoted.transport.first() != Some(&request) {
            return;
        }
        // As Linux, which takes what is too large for IPv6's path for a passing matter here.
        let hard =
            complaint.hardness == Hardness::Hard && (complaint.mtu.is_none() || quoted.source.is_ipv4());
        let found = self.ping.for_message(quoted.echo().ident, quoted.source, interface);
        let Some((id, socket)) = found else { return };
        let believer = socket.discovery.believes().then_some(socket.way);
        let connected = socket.remote.is_some_and(|remote| remote.ip() == quoted.destination);
        if socket.error_delivery == ErrorDelivery::All || hard && connected {
            socket.mail.fail(complaint.error);
            self.report_to_ping(id, Report::of_complaint(&complaint, quoted, 0, 0, now));
        }
        if let (Some(mtu), Some(way)) = (complaint.mtu, believer) {
            self.learn_path_mtu(now, (quoted.source, quoted.destination), interface, (way, None), mtu);
        }
    }

    /// Fails ping sockets whose peer is behind a link that is gone, and those without one that replies came to over
    /// `interface`.
    pub(super) fn fail_pings(&mut self, interface: InterfaceId, gone: impl Fn(IpAddr, &Way) -> bool) {
        let interfaces = &self.interfaces;
        let mut told = Vec::new();
        for (index, socket) in self.ping.sockets.iter_mut() {
            let concerned = match (socket.remote, socket.local) {
                (Some(remote), _) => gone(remote.ip(), &socket.way),
                (None, _) if !may_use(&socket.way, interface) => false,
                (None, Some(local)) => may_serve(interfaces, interface, LocalAddr::new(local, 0)),
                (None, None) => socket.ident.is_some(),
            };
            if concerned {
                socket.mail.fail(SocketError::NetworkDown);
                told.push(PingId { index: index as u32, generation: socket.generation });
            }
        }
        told.into_iter().for_each(|id| self.tell(SocketId::Ping(id), Changes::ERROR));
    }
}
