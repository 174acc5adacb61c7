//! Opening a connection: its way, its port, and what it starts from.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use crate::config::Config;
use crate::counters::Counter;
use crate::demux::{Demux, FlowKey, Target};
use crate::iface::{Delivery, InterfaceId, NextHop, RouteError, Way};
use crate::ports::{BindId, PortLimits, Reuse};
use crate::tcp::connection::{Opening, SegmentSizes};
use crate::tcp::time_wait::Anew;
use crate::tcp::{Connection, SeqNumber, SharedOptions};
use crate::time::Instant;
use crate::wire::IpProtocol;

use super::Stack;
use super::tcp_table::{Hold, TcpId, TcpTable};

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
        let source = bound.and_then(|((address, _), _)| self.interfaces.source_of(address));
        //= RFC 9293 MUST-43
        //= RFC 9293 MUST-44
        let narrowed = Way { device: way.device.or(scope), ..way };
        let hop = self.way_to(remote.ip(), source, &narrowed)?;
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
        let options = options.over(&hop.tcp);
        let opening = self.opening(now, &key, &hop, options.rare().ip_options.len());
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
    pub(super) fn opening(
        &mut self,
        now: Instant,
        key: &FlowKey,
        hop: &NextHop,
        ip_options: usize,
    ) -> Opening {
        let clock = (now.as_nanos() >> 6) as u32;
        let iss = SeqNumber::new((key.secret(&self.secret) as u32).wrapping_add(clock));
        let timestamp_offset = match self.config.tcp_timestamps {
            2 => 0,
            _ => key.secret_of_addresses(&self.secret) as u32,
        };
        Opening { iss, timestamp_offset, sizes: self.segment_sizes(now, key, hop, ip_options) }
    }

    /// The payload that the path of a connection takes beside so many bytes of options in IPv4's header.
    //= RFC 9293 MUST-67
    pub(super) fn segment_sizes(
        &self,
        now: Instant,
        key: &FlowKey,
        hop: &NextHop,
        ip_options: usize,
    ) -> SegmentSizes {
        let remote = key.remote().ip();
        let (headers, default) = if remote.is_ipv4() { (40, 536) } else { (60, 1220) };
        let payload = |mtu: usize| u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        let path = self.path_to(now, remote, hop);
        // As Linux, a SYN announces no more than the path is known to take.
        let advertised =
            payload(path.max(LEAST_ADVERTISED.min(hop.mtu))).min(hop.tcp.advmss.unwrap_or(u16::MAX));
        // As Linux, whose SYN announces the same whatever stands in headers.
        let path = if remote.is_ipv4() { path.saturating_sub(ip_options) } else { path };
        SegmentSizes { advertised, path: payload(path), default }
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
pub(super) fn with_scope(address: SocketAddr, hop: &NextHop) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(hop.interface.index());
            v6.into()
        }
        other => other,
    }
}
