//! The calls of TCP: what POSIX's come to in the core.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use crate::buf::Rope;
use crate::config::Config;
use crate::counters::Counter;
use crate::demux::{Demux, FlowKey, Target};
use crate::error::SocketError;
use crate::iface::{Delivery, InterfaceId, NextHop, RouteError, Way};
use crate::ports::{BindId, LocalAddr, PortLimits, Reuse};
use crate::tcp::connection::{NotConnected, Opening, Push, ReadError, SegmentSizes, WriteError};
use crate::tcp::info::Info;
use crate::tcp::rare::QuickAck;
use crate::tcp::time_wait::Anew;
use crate::tcp::urgent::{Keeping, Urgency, UrgentError};
use crate::tcp::{Connection, Options, SeqNumber, SharedOptions, Shutdown, State};
use crate::time::Instant;
use crate::wire::IpProtocol;

use super::tcp_table::{Hold, ListenerId, TcpId, TcpTable};
use super::{Changes, SocketId, Stack, may_serve};

/// Why a connection was not even begun.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ConnectError {
    /// No route leads there, or the address names no single host (ENETUNREACH).
    NoRoute,
    /// The source is not ours, there is such a connection already, or no port is left (EADDRNOTAVAIL).
    AddressNotAvailable,
    /// The source can't reach that destination (EINVAL).
    BadSource,
    /// The link is down (ENETDOWN).
    NetworkDown,
    /// A route says that what goes there is dropped (EINVAL).
    Blackhole,
    /// A route says that there is no way (EHOSTUNREACH).
    Unreachable,
    /// A route says that this is forbidden (EACCES).
    Prohibited,
}

impl From<RouteError> for ConnectError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NoRoute => ConnectError::NoRoute,
            RouteError::NoSource => ConnectError::AddressNotAvailable,
            RouteError::BadSource => ConnectError::BadSource,
            RouteError::Down => ConnectError::NetworkDown,
            RouteError::Blackhole => ConnectError::Blackhole,
            RouteError::Unreachable => ConnectError::Unreachable,
            RouteError::Prohibited => ConnectError::Prohibited,
        }
    }
}

/// Who has a tuple that a new connection of ours would have.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Occupancy {
    Free,
    /// A connection that rests gives it up, for one that begins so.
    Rests {
        record: u32,
        anew: Anew,
    },
    Taken,
}

/// The least MTU of a path that SYNs tell of, in bytes (Linux's `ip_rt_min_advmss`, and a TCP header).
const LEAST_ADVERTISED: usize = 256 + 40;

/// How long a connection rests before the host chooses its port, as in Linux: old segments then have older timestamps.
const LEAST_REST: Duration = Duration::from_secs(1);

/// Who has the tuple `key`. A connection that rests gives it up where timestamps tell old segments from new ones.
//= RFC 6191 §2
fn occupancy(key: &FlowKey, demux: &Demux, tcp: &TcpTable) -> Occupancy {
    let record = match tcp.find(demux, key) {
        None => return Occupancy::Free,
        Some(Target::TimeWait(record)) => record,
        Some(_) => return Occupancy::Taken,
    };
    match tcp.resting(record).and_then(|resting| resting.record.reopen()) {
        Some(anew) => Occupancy::Rests { record, anew },
        None => Occupancy::Taken,
    }
}

/// Whether a port may be chosen of which a connection that rests gives up the tuple `key`. As in Linux, who binds to a
/// port has made that choice; a port of the host's own choice is taken after a while, and over `lo` only unless the
/// setting says otherwise.
fn may_be_chosen(now: Instant, key: &FlowKey, record: u32, tcp: &TcpTable, config: &Config) -> bool {
    let allowed = match config.tcp_tw_reuse {
        0 => false,
        1 => true,
        _ => key.remote().ip().is_loopback(),
    };
    let began_before = now + config.tcp_timewait_len - LEAST_REST;
    allowed && tcp.rest_end(record).is_some_and(|end| end <= began_before)
}

/// Why a socket can't listen.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ListenError {
    /// Another listens there already (EADDRINUSE).
    AddressInUse,
    /// The binding is gone (EINVAL).
    NotBound,
}

/// What becomes of a connection when its holder lets go.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Linger {
    /// What was written is sent, then FIN.
    Background,
    /// It is reset (SO_LINGER with a time of 0).
    Abort,
}

/// What connections still have to do.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Unfinished {
    /// Connections with data or a FIN that the peer has not acknowledged.
    pub connections: usize,
    /// Bytes of data among that.
    pub bytes: u64,
}

impl Stack {
    /// Opens a connection to `remote`, from the port of `bind` or from an ephemeral one.
    ///
    /// Errors: [`ConnectError`]. Whether the peer answers is told by events.
    //= RFC 9293 §3.10.1
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        bind: Option<BindId>,
        remote: SocketAddr,
        options: impl Into<SharedOptions>,
    ) -> Result<TcpId, ConnectError> {
        self.tcp_connect_by(now, bind, remote, options, Way::default(), PortLimits::default())
    }

    /// The same on a given way, from one of the ports that `ports` allows where none is bound.
    pub fn tcp_connect_by(
        &mut self,
        now: Instant,
        bind: Option<BindId>,
        remote: SocketAddr,
        options: impl Into<SharedOptions>,
        way: Way,
        ports: PortLimits,
    ) -> Result<TcpId, ConnectError> {
        self.tcp_open(now, bind, remote, options.into(), (way, ports), Connection::connect)
    }

    /// The same of a connection as `make` makes it.
    pub(super) fn tcp_open(
        &mut self,
        now: Instant,
        bind: Option<BindId>,
        remote: SocketAddr,
        options: SharedOptions,
        (way, ports): (Way, PortLimits),
        make: impl FnOnce(Instant, Opening, SharedOptions) -> Connection,
    ) -> Result<TcpId, ConnectError> {
        let bound = bind.and_then(|bind| Some((self.ports.binding(bind)?, self.ports.reuse(bind)?)));
        let scope = scope_of(remote);
        let remote = SocketAddr::new(named_host(remote.ip()), remote.port());
        let source = bound.map(|((address, _), _)| address).filter(|address| !address.is_wildcard());
        //= RFC 9293 MUST-43
        //= RFC 9293 MUST-44
        let narrowed = Way { device: way.device.or(scope), ..way };
        let hop = self.way_to(remote.ip(), source.map(LocalAddr::ip), &narrowed)?;
        //= RFC 9293 MUST-46
        if hop.delivery != Delivery::Unicast {
            return Err(ConnectError::NoRoute);
        }
        let (port, reuse) = match bound {
            Some(((_, port), reuse)) => (port, reuse),
            None => (self.port_for(now, &hop, remote, ports)?, Reuse::default()),
        };
        // Which of several equal ways it is may follow from the port.
        let hop = match self.own_flow(IpProtocol::TCP, port, remote) {
            Some(flow) => self.interfaces.route_flow(remote.ip(), Some(hop.source), &narrowed, Some(flow))?,
            None => hop,
        };
        let key = FlowKey::new(SocketAddr::new(hop.source, port), remote).over(hop.interface);
        let anew = match occupancy(&key, &self.demux, &self.tcp) {
            Occupancy::Free => None,
            Occupancy::Rests { record, anew } => {
                self.counters.bump(Counter::TcpExtTWRecycled);
                self.end_rest(record);
                Some(anew)
            }
            Occupancy::Taken => return Err(ConnectError::AddressNotAvailable),
        };
        let opening = self.opening(now, &key, &hop);
        let connection = match anew {
            None => make(now, opening, options),
            Some(Anew { iss, recent }) => {
                let mut connection = make(now, Opening { iss, ..opening }, options);
                connection.recall_stamp(now, recent);
                connection
            }
        };
        self.counters.bump(Counter::TcpActiveOpens);
        Ok(self.enter(connection, key, hop, reuse, way))
    }

    fn port_for(
        &mut self,
        now: Instant,
        hop: &NextHop,
        remote: SocketAddr,
        limits: PortLimits,
    ) -> Result<u16, ConnectError> {
        let Stack { ports, demux, tcp, config, .. } = self;
        let is_free = |port| {
            let key = FlowKey::new(SocketAddr::new(hop.source, port), remote).over(hop.interface);
            match occupancy(&key, demux, tcp) {
                Occupancy::Free => true,
                Occupancy::Rests { record, .. } => may_be_chosen(now, &key, record, tcp, config),
                Occupancy::Taken => false,
            }
        };
        ports
            .choose_for_connect(hop.source, remote, limits.within(config.ip_local_port_range), is_free)
            .ok_or(ConnectError::AddressNotAvailable)
    }

    /// Puts a connection into the tables.
    pub(super) fn enter(
        &mut self,
        connection: Connection,
        key: FlowKey,
        hop: NextHop,
        reuse: Reuse,
        way: Way,
    ) -> TcpId {
        let hold = Hold { reuse, device: way.device };
        hold.take(&mut self.ports, &key);
        let id = self.tcp.insert(connection, key, &hop, hold, way);
        self.own(&key, Target::Connection(id.index));
        id
    }

    /// What a connection of `key` over `hop` starts from.
    //= RFC 9293 MUST-8
    //= RFC 9293 MUST-9
    //= RFC 9293 SHLD-1
    //= RFC 6528 §3
    //= RFC 6528 §3 MUST-1
    pub(super) fn opening(&mut self, now: Instant, key: &FlowKey, hop: &NextHop) -> Opening {
        let clock = (now.as_nanos() >> 6) as u32;
        let iss = SeqNumber::new((key.secret(&self.secret) as u32).wrapping_add(clock));
        let timestamp_offset = match self.config.tcp_timestamps {
            2 => 0,
            _ => key.secret_of_addresses(&self.secret) as u32,
        };
        Opening { iss, timestamp_offset, sizes: self.segment_sizes(now, key, hop) }
    }

    //= RFC 9293 MUST-67
    pub(super) fn segment_sizes(&self, now: Instant, key: &FlowKey, hop: &NextHop) -> SegmentSizes {
        let remote = key.remote().ip();
        let (headers, default) = if remote.is_ipv4() { (40, 536) } else { (60, 1220) };
        let payload = |mtu: usize| u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        let path = self.path_to(now, remote, hop);
        // As Linux, a SYN announces no more than the path is known to take.
        let advertised = payload(path.max(LEAST_ADVERTISED.min(hop.mtu))).min(hop.advmss.unwrap_or(u16::MAX));
        SegmentSizes { advertised, path: payload(path), default }
    }

    /// Lets the socket of `bind` listen. One connection more than `backlog` may wait to be accepted.
    //= RFC 9293 §3.10.1
    //= RFC 9293 MUST-41
    //= RFC 9293 MUST-42
    pub fn tcp_listen(
        &mut self,
        bind: BindId,
        backlog: usize,
        options: impl Into<SharedOptions>,
    ) -> Result<ListenerId, ListenError> {
        let (address, port) = self.ports.binding(bind).ok_or(ListenError::NotBound)?;
        self.ports.mark_listening(bind).map_err(|_| ListenError::AddressInUse)?;
        let id = self.tcp.insert_listener(bind, port, options.into(), backlog);
        self.demux.listen(port, address, id.index);
        Ok(id)
    }

    /// Has connections of a listener end their sending direction as soon as they are made: as Linux, where `shutdown` came
    /// before `listen`.
    pub fn mute_listener(&mut self, id: ListenerId) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.mute = true;
        }
    }

    /// Changes a listener's backlog. Those that wait already stay.
    pub fn set_backlog(&mut self, id: ListenerId, backlog: usize) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.backlog = backlog;
        }
    }

    /// How many connections of a listener may wait, less one.
    pub fn backlog(&self, id: ListenerId) -> usize {
        self.tcp.listener(id).map_or(0, |listener| listener.backlog)
    }

    /// Changes the options that connections of a listener begin with.
    pub fn set_listener_options(&mut self, id: ListenerId, change: impl FnOnce(&mut Options)) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            change(&mut listener.options);
        }
    }

    /// Gives other options to the connections that a listener takes from now on.
    pub fn replace_listener_options(&mut self, id: ListenerId, options: SharedOptions) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.options = options;
        }
    }

    /// Sets the way of a listener's packets, and of its connections, and the interface that it listens at.
    pub fn set_listener_way(&mut self, id: ListenerId, way: Way) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.way = way;
            self.demux.hold_listener(listener.port, id.index, way.device);
        }
    }

    /// Sets the way of a connection's packets. Where none leads to the peer, nothing is sent until one does.
    pub fn set_tcp_way(&mut self, now: Instant, id: TcpId, way: Way) {
        if let Some(slot) = self.tcp.slot_mut(id).filter(|slot| slot.way != way) {
            slot.way = way;
            self.follow_way(now, id.index);
        }
    }

    /// Changes the options by which a connection shares its port (SO_REUSEADDR and SO_REUSEPORT set later). In TIME-WAIT
    /// those count that it had when that began.
    pub fn set_tcp_reuse(&mut self, id: TcpId, reuse: Reuse) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let Some(hold) = slot.hold.filter(|hold| hold.reuse != reuse) else { return };
        let changed = Hold { reuse, ..hold };
        slot.hold = Some(changed);
        let key = slot.key;
        hold.release(&mut self.ports, &key);
        changed.take(&mut self.ports, &key);
    }

    /// Looks for the way of a connection's packets.
    pub(super) fn follow_way(&mut self, now: Instant, index: u32) {
        let Some((key, way)) = self.tcp.at(index).map(|slot| (slot.key, slot.way)) else { return };
        let hop = self.hop_back(&key, way);
        let Some(slot) = self.tcp.at(index) else { return };
        slot.cut_off = hop.is_none();
        if let Some(hop) = hop {
            slot.set_hop(&hop);
            self.follow_path(now, index);
        }
    }

    /// The options that connections of a listener begin with.
    pub fn listener_options(&self, id: ListenerId) -> Option<&Options> {
        self.tcp.listener(id).map(|listener| &*listener.options)
    }

    /// Takes the connection that has waited longest.
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<TcpId> {
        let accepted = self.tcp.listener_mut(id)?.accept.pop_front()?;
        if let Some(slot) = self.tcp.slot_mut(accepted) {
            slot.connection.on_accepted();
        }
        Some(accepted)
    }

    /// Why nobody new will come to a listener, once: its link is gone (SO_ERROR, and `accept` where none waits).
    pub fn listener_take_error(&mut self, id: ListenerId) -> Option<SocketError> {
        self.tcp.listener_mut(id)?.error.take()
    }

    /// Whether such an error waits to be told.
    pub fn listener_has_error(&self, id: ListenerId) -> bool {
        self.tcp.listener(id).is_some_and(|listener| listener.error.is_some())
    }

    /// How many connections wait to be accepted.
    pub fn listener_ready(&self, id: ListenerId) -> usize {
        self.tcp.listener(id).map_or(0, |listener| listener.accept.len())
    }

    /// Ends a listener. Connections that wait to be accepted are reset, half-open ones forgotten.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        if self.tcp.listener(id).is_none() {
            return;
        }
        let half_open: Vec<u32> = self.tcp.half_open.of(id.index).collect();
        half_open.into_iter().for_each(|place| self.forget_half_open(place));
        let Some(listener) = self.tcp.remove_listener(id) else { return };
        self.ports.mark_not_listening(listener.bind);
        self.demux.stop_listening(listener.port, id.index);
        for waiting in listener.accept {
            self.let_go(now, waiting, Linger::Abort);
        }
    }

    /// The connection itself, to be asked.
    pub fn tcp(&self, id: TcpId) -> Option<&Connection> {
        self.tcp.slot(id).map(|slot| &slot.connection)
    }

    /// Our end of a connection.
    pub fn tcp_local(&self, id: TcpId) -> Option<SocketAddr> {
        self.tcp.slot(id).map(|slot| with_scope(slot.key.local(), &slot.hop()))
    }

    /// The peer's end of a connection.
    pub fn tcp_remote(&self, id: TcpId) -> Option<SocketAddr> {
        self.tcp.slot(id).map(|slot| with_scope(slot.key.remote(), &slot.hop()))
    }

    /// The headers of the SYN that has opened a connection, IP's and TCP's, once, where its listener keeps them
    /// (`TCP_SAVED_SYN`).
    pub fn tcp_take_saved_syn(&mut self, id: TcpId) -> Option<Box<[u8]>> {
        self.tcp.slot_mut(id)?.extras.as_mut()?.saved_syn.take()
    }

    /// Our timestamp clock as a connection shows it, in milliseconds (`TCP_TIMESTAMP`).
    pub fn tcp_timestamp(&self, now: Instant, id: TcpId) -> Option<u32> {
        self.tcp(id).map(|connection| connection.timestamp(now))
    }

    /// A picture of a connection (`TCP_INFO`).
    pub fn tcp_info(&self, id: TcpId) -> Option<Info> {
        self.tcp(id).map(Connection::info)
    }

    /// Room for writing, in bytes.
    pub fn tcp_free_space(&self, id: TcpId) -> usize {
        self.tcp(id).map_or(0, Connection::free_space)
    }

    /// Writes as much of `data` as there is room for; the rest is dropped. See [`Connection::write`].
    pub fn tcp_write(&mut self, now: Instant, id: TcpId, data: Rope) -> Result<usize, WriteError> {
        self.tcp_write_as(now, id, data, Urgency::Normal, Push::Now)
    }

    /// As [`tcp_write`](Stack::tcp_write), urgent, or with more to come.
    pub fn tcp_write_as(
        &mut self,
        now: Instant,
        id: TcpId,
        data: Rope,
        urgency: Urgency,
        push: Push,
    ) -> Result<usize, WriteError> {
        self.tcp.supply(id.index, &self.config.tcp_memory());
        let slot = self.tcp.slot_mut(id).ok_or(WriteError::BrokenPipe)?;
        let written = slot.connection.write_as(data, urgency, push)?;
        self.after_call(now, id);
        Ok(written)
    }

    /// Reads up to `max` bytes. See [`Connection::read`].
    pub fn tcp_read(&mut self, now: Instant, id: TcpId, max: usize) -> Result<Rope, ReadError> {
        let slot = self.tcp.slot_mut(id).ok_or(ReadError::NotConnected)?;
        let data = slot.connection.read(now, max)?;
        if slot.connection.owes_segment() {
            self.after_call(now, id);
        } else {
            self.tcp.charge(now, id.index, &self.config.tcp_memory(), &mut self.counters);
            self.tcp.arm(now, id.index);
        }
        Ok(data)
    }

    /// What [`tcp_read`](Stack::tcp_read) would give after `offset` more bytes, left in place.
    pub fn tcp_peek(&mut self, id: TcpId, offset: usize, max: usize) -> Result<Rope, ReadError> {
        self.tcp.slot_mut(id).ok_or(ReadError::NotConnected)?.connection.peek(offset, max)
    }

    /// Receives the urgent byte out of line. See [`Connection::read_urgent`].
    pub fn tcp_read_urgent(&mut self, id: TcpId, keeping: Keeping) -> Result<u8, UrgentError> {
        self.tcp.slot_mut(id).ok_or(UrgentError::NotConnected)?.connection.read_urgent(keeping)
    }

    /// See [`Connection::acknowledge_quickly`].
    pub fn tcp_acknowledge_quickly(&mut self, now: Instant, id: TcpId, quick: QuickAck) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.acknowledge_quickly(quick);
            self.after_call(now, id);
        }
    }

    /// Sends what waits for more. See [`Connection::flush`].
    pub fn tcp_flush(&mut self, now: Instant, id: TcpId) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.flush();
            self.after_call(now, id);
        }
    }

    /// Closes a direction. See [`Connection::shutdown`].
    pub fn tcp_shutdown(&mut self, now: Instant, id: TcpId, how: Shutdown) -> Result<(), NotConnected> {
        let slot = self.tcp.slot_mut(id).ok_or(NotConnected)?;
        let done = slot.connection.shutdown(how);
        self.after_call(now, id);
        done
    }

    /// Lets go of a connection; its id is unknown to the caller from now on.
    pub fn tcp_close(&mut self, now: Instant, id: TcpId, linger: Linger) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        // As Linux, which looks at what was not read first.
        let over = slot.connection.is_orphan() || slot.connection.state() == State::Closed;
        if linger == Linger::Abort && !over {
            let unread = slot.connection.readable() > 0;
            self.counters.bump(match unread {
                true => Counter::TcpExtTCPAbortOnClose,
                false => Counter::TcpExtTCPAbortOnData,
            });
        }
        self.let_go(now, id, linger);
    }

    fn let_go(&mut self, now: Instant, id: TcpId, linger: Linger) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        if slot.connection.is_orphan() {
            return;
        }
        self.tcp.orphans += 1;
        let memory_full = self.tcp.memory.is_full(&self.config.tcp_memory());
        let too_many = self.tcp.orphans > self.config.tcp_max_orphans as usize;
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let too_large = memory_full && slot.connection.is_large_orphan();
        if too_many || too_large {
            self.counters.bump(Counter::TcpExtTCPAbortOnMemory);
        }
        match linger {
            Linger::Background if !(too_many || too_large) => slot.connection.close(now, &mut self.counters),
            _ => slot.connection.abort(),
        }
        self.after_call(now, id);
    }

    /// The error that ended a connection, once.
    pub fn tcp_take_error(&mut self, id: TcpId) -> Option<SocketError> {
        self.tcp.slot_mut(id)?.connection.take_error()
    }

    /// The same, or else what the path complained of while the connection went on (SO_ERROR).
    pub fn tcp_take_any_error(&mut self, id: TcpId) -> Option<SocketError> {
        self.tcp.slot_mut(id)?.connection.take_any_error()
    }

    /// Changes a connection's options.
    //= RFC 9293 SHLD-21
    pub fn set_tcp_options(&mut self, now: Instant, id: TcpId, change: impl FnOnce(&mut Options)) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.set_options(change, now);
            self.after_call(now, id);
        }
    }

    /// Gives a connection other options.
    pub fn replace_tcp_options(&mut self, now: Instant, id: TcpId, options: SharedOptions) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.replace_options(options, now);
            self.after_call(now, id);
        }
    }

    /// What connections still have to do before the host may go.
    pub fn unfinished(&self) -> Unfinished {
        let mut sum = Unfinished::default();
        for (_, slot) in self.tcp.slots() {
            if slot.connection.is_unfinished() {
                sum.connections += 1;
                sum.bytes += slot.connection.unacknowledged() as u64;
            }
        }
        sum
    }

    /// Resets all connections.
    pub fn abort_all(&mut self, now: Instant) {
        let all: Vec<u32> = self.tcp.slots().map(|(index, _)| index).collect();
        for index in all {
            if let Some(slot) = self.tcp.at(index) {
                slot.connection.abort_for_all();
            }
            self.settle(now, index);
            self.tcp.mark_ready(index);
        }
    }

    pub(super) fn after_call(&mut self, now: Instant, id: TcpId) {
        self.settle(now, id.index);
        self.tcp.mark_ready(id.index);
    }

    /// Fails all connections over `interface`.
    pub(super) fn fail_connections(&mut self, now: Instant, interface: InterfaceId) {
        let over: Vec<u32> = self
            .tcp
            .slots()
            .filter(|(_, slot)| slot.interface() == interface)
            .map(|(index, _)| index)
            .collect();
        for index in over {
            if let Some(slot) = self.tcp.at(index)
                && slot.connection.state() != State::TimeWait
            {
                slot.connection.on_link_down();
            }
            self.settle(now, index);
        }
    }

    /// Tells the listeners that took connections over `interface`: those of its addresses, and of any.
    pub(super) fn fail_listeners(&mut self, interface: InterfaceId) {
        let mut told = Vec::new();
        for (index, listener) in self.tcp.listeners() {
            let address = self.ports.binding(listener.bind).map(|(address, _)| address);
            if address.is_some_and(|address| may_serve(&self.interfaces, interface, address)) {
                listener.error = Some(SocketError::NetworkDown);
                told.push(index);
            }
        }
        for index in told {
            self.tell_listener(index, Changes::ERROR);
        }
    }

    pub(super) fn tell_tcp(&mut self, index: u32, changes: Changes) {
        if let Some(id) = self.tcp.announce(index, changes) {
            self.events.push_back(SocketId::Tcp(id));
        }
    }

    pub(super) fn tell_listener(&mut self, index: u32, changes: Changes) {
        if let Some(id) = self.tcp.announce_listener(index, changes) {
            self.events.push_back(SocketId::Listener(id));
        }
    }
}

/// The host that a destination names: ourselves, where it names none, as in Linux.
pub(super) fn named_host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip.to_canonical(),
    }
}

/// The interface that a link-local address names by its scope.
pub(super) fn scope_of(address: SocketAddr) -> Option<InterfaceId> {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => InterfaceId::from_index(v6.scope_id()),
        _ => None,
    }
}

/// The address with its scope, where it has one.
fn with_scope(address: SocketAddr, hop: &NextHop) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(hop.interface.index());
            v6.into()
        }
        other => other,
    }
}
