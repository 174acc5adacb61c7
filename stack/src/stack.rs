//! The stack: what the parts are composed into. Frames and calls go in, frames and events come out.

use core::cell::RefCell;
use core::net::IpAddr;
use core::ops::ControlFlow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::buf::Frame;
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::demux::Demux;
use crate::error_queue::StampKind;
use crate::fast_open::FastOpenCache;
use crate::iface::acd::Claims;
use crate::iface::slaac::Autoconf;
use crate::iface::{
    HostModel, Interface, InterfaceError, InterfaceId, Interfaces, IpCidr, LinkState, NeighborAction,
    NeighborCache, NextHop, Resolution, solicitation,
};
use crate::ip::identification::Identifications;
use crate::ip::output::Priority;
use crate::ip::path_mtu::PathMtuCache;
use crate::ip::rate_limit::{HostLimits, RateLimit};
use crate::ports::{BindError, BindId, BindRequest, LocalAddr, PortTable, Reuse};
use crate::random::{KeyedHash, Random, TableHash};
use crate::raw::{RawId, RawTable};
use crate::slots::{slim_map, slim_queue};
use crate::tcp::challenges::Challenges;
use crate::time::{Instant, earliest};
use crate::udp::{UdpId, UdpTable};
use crate::wire::offload::{LinkCaps, Medium, Transmit};
use crate::wire::{EtherType, EthernetAddress, EthernetHeader};

use awaited::{AwaitedNeighbors, Awaiting};

mod acd;
mod addressing;
mod awaited;
mod census;
mod changes;
mod claims;
mod complaints;
mod datagrams;
mod dhcp;
mod fast_open;
mod forward;
mod fragments;
mod icmp;
mod input;
mod ip_options;
mod listeners;
mod multicast;
mod path;
mod ping;
mod raw;
mod reports;
mod routes;
mod source_route;
mod stamps;
mod survey;
mod syn_queue;
mod tcp;
mod tcp_flow;
mod tcp_handshake;
mod tcp_life;
mod tcp_open;
mod tcp_output;
mod tcp_table;
mod traffic;
mod udp;
mod udp_sending;

pub use census::Census;
pub use changes::Changes;
pub use listeners::ListenError;
pub use multicast::GroupChange;
pub use ping::{PingError, PingId, PingSendOptions};
pub use raw::RawSendOptions;
pub use stamps::{CountFrom, Counted, SendStamps};
pub use survey::{Entry, SURVEY_MAX, Stage, Survey, Surveyed, Watch};
pub use tcp::{Linger, Unfinished};
pub use tcp_open::ConnectError;
pub use tcp_table::{ListenerId, TcpId};
pub use traffic::Traffic;
pub use udp::{SendError, UdpSendOptions};

/// Frames that answer others (ARP, ICMP, resets) and wait to be sent. Beyond this they are dropped: peers try again.
const MAX_ANSWERS: usize = 1024;

/// Packets from us to us that wait to be taken in.
const MAX_LOOPED: usize = 1024;

/// A socket of the stack.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub enum SocketId {
    /// A connection.
    Tcp(TcpId),
    /// A listener.
    Listener(ListenerId),
    /// A UDP socket.
    Udp(UdpId),
    /// A ping socket.
    Ping(PingId),
    /// A raw socket.
    Raw(RawId),
}

impl From<UdpId> for SocketId {
    fn from(id: UdpId) -> Self {
        SocketId::Udp(id)
    }
}

/// A family of addresses.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, and IPv4 by mapped addresses where the socket allows it.
    V6,
}

/// The protocol core of one host.
///
/// After each call that takes `now`, the owner calls [`poll_transmit`](Stack::poll_transmit) until it says `None`,
/// and [`poll_event`](Stack::poll_event) likewise; it calls [`handle_timeout`](Stack::handle_timeout) at
/// [`poll_timeout`](Stack::poll_timeout).
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::stack::Stack;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let mut stack = Stack::new(Config::default(), 1, Instant::ZERO);
/// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let tap = stack.add_interface("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
/// stack.add_address(tap, "10.0.0.1/24".parse().unwrap()).unwrap();
/// assert!(stack.poll_transmit(Instant::ZERO).is_none());
/// ```
#[derive(Debug)]
pub struct Stack {
    config: Config,
    random: Random,
    /// What has passed each interface, by its number.
    traffic: Vec<Traffic>,
    counters: Counters,
    interfaces: Interfaces,
    neighbors: NeighborCache,
    autoconf: Autoconf,
    claims: Claims,
    groups: multicast::Groups,
    path_mtu: PathMtuCache,
    dhcp: dhcp::DhcpClients,
    reassembly: fragments::Reassembly,
    identifications: Identifications,
    forwarding: forward::Forwarding,
    /// Whether the settings may have changed since they were looked at.
    has_new_settings: bool,
    ports: PortTable,
    demux: Demux,
    tcp: tcp_table::TcpTable,
    udp: UdpTable,
    ping: ping::PingTable,
    raw: RawTable,
    /// What servers say of fast opens.
    fast_open: FastOpenCache,
    /// The key of sequence numbers and timestamps.
    secret: KeyedHash,
    icmp_limit: RateLimit,
    challenges: Challenges,
    icmp_host_limits: HostLimits,
    answers: VecDeque<(InterfaceId, Transmit)>,
    /// Datagrams for links.
    datagrams: datagrams::Datagrams,
    /// Sockets that found no room in `datagrams`, or whose owners were told so: asking alone enters them, for a poll
    /// does not try to send. At most as many as there are sockets.
    send_waiters: RefCell<HashSet<SocketId, TableHash>>,
    looped: VecDeque<Frame>,
    /// The time of the day at the zero of the clock, in milliseconds, where somebody has said so.
    midnight: Option<u32>,
    /// Packets to be stamped that wait for a neighbour.
    awaited: AwaitedNeighbors,
    /// Sockets whose readiness may have changed, each once.
    events: VecDeque<SocketId>,
    /// What happened to the datagram sockets among them; connections and listeners bear that themselves.
    told: HashMap<SocketId, Changes, TableHash>,
}

impl Stack {
    /// A host with the interface `lo`. `seed` feeds all randomness; a host that others may attack takes it from the
    /// operating system.
    pub fn new(mut config: Config, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let mut interfaces = Interfaces::new();
        interfaces.iter().for_each(|lo| config.begin_interface(lo.name()));
        if config.strong_host {
            interfaces.set_model(HostModel::Strong);
        }
        Stack {
            interfaces,
            autoconf: Autoconf::default(),
            claims: Claims::default(),
            groups: multicast::Groups::default(),
            neighbors: NeighborCache::of_families(config.neighbor_configs(), &mut random),
            path_mtu: PathMtuCache::new(config.path_mtu_config(), &mut random),
            dhcp: dhcp::DhcpClients::default(),
            reassembly: fragments::Reassembly::new(&mut random),
            identifications: Identifications::new(&mut random),
            ports: PortTable::new(&mut random),
            demux: Demux::new(&mut random),
            tcp: tcp_table::TcpTable::new(now),
            udp: UdpTable::new(&mut random),
            ping: ping::PingTable::default(),
            raw: RawTable::default(),
            fast_open: FastOpenCache::default(),
            forwarding: forward::Forwarding::new(seed),
            has_new_settings: false,
            secret: random.keyed_hash(),
            icmp_limit: RateLimit::new(config.icmp_msgs_per_sec, config.icmp_msgs_burst),
            challenges: Challenges::default(),
            icmp_host_limits: HostLimits::new(&mut random),
            answers: VecDeque::new(),
            datagrams: datagrams::Datagrams::default(),
            send_waiters: RefCell::new(HashSet::with_hasher(random.table_hash())),
            looped: VecDeque::new(),
            midnight: None,
            awaited: AwaitedNeighbors::default(),
            events: VecDeque::new(),
            told: HashMap::with_hasher(random.table_hash()),
            counters: Counters::default(),
            random,
            traffic: Vec::new(),
            config,
        }
    }

    /// Adds an interface over a link with the capabilities `caps`. An Ethernet interface gets its IPv6 link-local
    /// address.
    pub fn add_interface(
        &mut self,
        name: &str,
        hardware: EthernetAddress,
        caps: LinkCaps,
    ) -> Result<InterfaceId, InterfaceError> {
        let id = self.interfaces.add(name, hardware, caps)?;
        self.config.begin_interface(name);
        self.follow_routing();
        if caps.medium == Medium::Ethernet {
            self.enable_autoconf(id);
        }
        Ok(id)
    }

    /// Makes every address of a network the host's, beside those of interfaces (Linux's routes of type local).
    pub fn add_local_network(&mut self, network: IpCidr) -> Result<(), InterfaceError> {
        self.interfaces.add_local_network(network)
    }

    /// Takes that back.
    pub fn remove_local_network(&mut self, network: IpCidr) -> Result<(), InterfaceError> {
        self.interfaces.remove_local_network(network)
    }

    /// Changes what the link under an interface can do: its MTU, its offloads (ip-link(8), ethtool(8)). What is sent
    /// from now on keeps to it.
    pub fn set_link_caps(&mut self, interface: InterfaceId, caps: LinkCaps) -> Result<(), InterfaceError> {
        self.interfaces.set_caps(interface, caps)
    }

    /// The interfaces with their addresses and routes.
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    /// The neighbour cache.
    pub fn neighbors(&self) -> &NeighborCache {
        &self.neighbors
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The settings, to be changed. What exists keeps those that it was made with, but for what an interface is to its link: a
    /// router or a host, from the next [`handle_timeout`](Self::handle_timeout) on.
    pub fn config_mut(&mut self) -> &mut Config {
        self.has_new_settings = true;
        &mut self.config
    }

    /// The link under `interface` is gone: the sockets that it served are told by ENETDOWN, those of any address too,
    /// once, and nothing is sent any more. Linux leaves sockets without a peer waiting, though nobody will come.
    pub fn set_link_down(&mut self, now: Instant, interface: InterfaceId) {
        if self.interfaces.set_link(interface, LinkState::Down).is_err() {
            return;
        }
        self.answers.retain(|(id, _)| *id != interface);
        self.forwarding.forget(interface);
        self.drop_datagrams(interface);
        self.dhcp.on_link_down(interface);
        self.forget_claims(now, interface);
        self.neighbors.flush(interface, &mut self.counters);
        while let Some(action) = self.neighbors.poll_action() {
            self.end_wait(action.tag());
        }
        self.end_lost_waits();
        self.fail_connections(now, interface);
        self.fail_listeners(interface);
        self.fail_datagram_sockets(interface);
    }

    /// Binds an address and a port. See [`PortTable::bind`].
    ///
    /// Errors: [`BindError::AddressNotAvailable`] for an address that is not ours, else the table's.
    pub fn bind(&mut self, request: BindRequest) -> Result<BindId, BindError> {
        if !request.foreign && !self.may_bind(request.address) {
            return Err(BindError::AddressNotAvailable);
        }
        self.ports.bind(&request, &self.config, &mut self.random)
    }

    fn may_bind(&self, address: LocalAddr) -> bool {
        let ip = address.ip();
        let broadcast =
            self.interfaces.iter().any(|interface| self.interfaces.is_broadcast(interface.id(), ip));
        address.is_wildcard() || ip.is_multicast() || broadcast || self.interfaces.is_local(ip)
    }

    /// Address and port of a binding.
    pub fn binding(&self, bind: BindId) -> Option<(LocalAddr, u16)> {
        self.ports.binding(bind)
    }

    /// Changes the address of a binding, unasked: a connection narrows a wildcard to the address that it has, and at its end
    /// it is as wide as before. Nobody who is there is looked at, as on Linux.
    pub fn set_bound_address(&mut self, bind: BindId, address: LocalAddr) {
        self.ports.set_address(bind, address);
    }

    /// Holds a binding to an interface (SO_BINDTODEVICE set after `bind`), or to none any more.
    pub fn set_bound_device(&mut self, bind: BindId, device: Option<InterfaceId>) {
        self.ports.set_device(bind, device);
    }

    /// Changes the options of a binding (SO_REUSEADDR and SO_REUSEPORT set after `bind`).
    pub fn set_reuse(&mut self, bind: BindId, reuse: Reuse) {
        self.ports.set_reuse(bind, reuse);
    }

    /// Gives a binding back. What still uses the port keeps it.
    pub fn unbind(&mut self, bind: BindId) {
        self.ports.unbind(bind);
    }

    /// Takes a frame that `interface` received.
    pub fn receive(&mut self, now: Instant, interface: InterfaceId, frame: Frame) {
        self.count_received(interface, &frame.bytes);
        self.receive_frame(now, interface, frame);
        self.run_neighbor_actions(now);
    }

    /// The next frame to be sent, and by which interface.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(InterfaceId, Transmit)> {
        let (interface, transmit) = self.next_transmit(now)?;
        let len = transmit.headers.len() + transmit.payload.len();
        self.account(interface).on_sent(len);
        Some((interface, transmit))
    }

    fn next_transmit(&mut self, now: Instant) -> Option<(InterfaceId, Transmit)> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Some(answer);
            }
            if let Some(frame) = self.looped.pop_front() {
                slim_queue(&mut self.looped);
                self.account(InterfaceId::LOOPBACK).on_sent(frame.bytes.len());
                self.receive(now, InterfaceId::LOOPBACK, frame);
                continue;
            }
            if let Some((interface, frame)) = self.groups.next_looped() {
                self.receive_looped(now, interface, &frame);
                continue;
            }
            if let ControlFlow::Break(frame) = self.poll_bands(now) {
                return frame;
            }
        }
    }

    /// What goes first of what waits for links, of others and of the host's own in turn; on where a connection had nothing after all, for it may have brought
    /// something about that goes before the rest.
    fn poll_bands(&mut self, now: Instant) -> ControlFlow<Option<(InterfaceId, Transmit)>> {
        for band in 0..Priority::BANDS {
            if let Some(frame) = self.forwarding.next_in_turn(band) {
                return ControlFlow::Break(Some(frame));
            }
            if let Some(frame) = self.next_datagram(now, band) {
                self.forwarding.on_own();
                return ControlFlow::Break(Some(frame));
            }
            if let Some(index) = self.tcp.next_ready(band) {
                let Some(frame) = self.transmit_of(now, index) else { return ControlFlow::Continue(()) };
                self.forwarding.on_own();
                return ControlFlow::Break(Some(frame));
            }
            if let Some(frame) = self.forwarding.next(band) {
                return ControlFlow::Break(Some(frame));
            }
        }
        ControlFlow::Break(None)
    }

    /// When to call [`handle_timeout`](Stack::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let rare = earliest(self.reassembly.poll_timeout(), self.dhcp.poll_timeout());
        let rare = earliest(rare, self.claims.poll_timeout());
        let rare = earliest(rare, earliest(self.autoconf.poll_timeout(), self.groups.poll_timeout()));
        let rare = earliest(rare, self.has_new_settings.then_some(Instant::ZERO));
        earliest(rare, earliest(self.tcp.poll_timeout(), self.neighbors.poll_timeout()))
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if core::mem::take(&mut self.has_new_settings) {
            self.follow_routing();
        }
        self.neighbors.handle_timeout(now, &mut self.random, &mut self.counters);
        self.handle_fragment_timeouts(now);
        self.handle_dhcp_timeouts(now);
        self.handle_claim_timeouts(now);
        self.handle_autoconf_timeout(now);
        self.handle_group_timeouts(now);
        self.run_neighbor_actions(now);
        self.handle_tcp_timeouts(now);
    }

    /// The next socket whose readiness may have changed, and what happened to it since it was named last.
    pub fn poll_event(&mut self) -> Option<(SocketId, Changes)> {
        let id = self.events.pop_front()?;
        slim_queue(&mut self.events);
        let changes = match id {
            SocketId::Tcp(id) => self.tcp.on_told(id),
            SocketId::Listener(id) => self.tcp.on_listener_told(id),
            SocketId::Udp(_) | SocketId::Ping(_) | SocketId::Raw(_) => {
                let changes = self.told.remove(&id).unwrap_or_default();
                slim_map(&mut self.told);
                changes
            }
        };
        Some((id, changes))
    }

    /// Sends an IP packet to its next hop: to ourselves, to a neighbour whose address is known, or into the queue of
    /// one whose address is asked for.
    fn dispatch(&mut self, now: Instant, hop: &NextHop, packet: Transmit) -> Option<(InterfaceId, Transmit)> {
        self.dispatch_awaited(now, hop, packet, Awaiting::default())
    }

    /// The same of a packet of which somebody wants to know when it has waited for its neighbour.
    fn dispatch_awaited(
        &mut self,
        now: Instant,
        hop: &NextHop,
        packet: Transmit,
        awaiting: Awaiting<'_>,
    ) -> Option<(InterfaceId, Transmit)> {
        let interface = self.interfaces.interface(hop.interface)?;
        if interface.is_loopback() {
            if self.looped.len() < MAX_LOOPED {
                self.looped.push_back(packet.to_frame());
            } else {
                self.count_discarded(hop.next_hop);
            }
            return None;
        }
        if interface.link() == LinkState::Down {
            self.count_discarded(hop.next_hop);
            return None;
        }
        if interface.caps().medium == Medium::Ip {
            return Some((hop.interface, packet));
        }
        if let Some(station) = hop.group_address() {
            return Some((hop.interface, prepend_ethernet(interface, station, packet)));
        }
        let (tag, len) = (self.awaited.tag_for(&awaiting), packet.payload.len());
        let (NextHop { next_hop, .. }, counters) = (*hop, &mut self.counters);
        match self.neighbors.resolve_tagged(now, hop.interface, next_hop, packet, tag, counters) {
            Resolution::Known(station, packet) => {
                return Some((hop.interface, prepend_ethernet(interface, station, packet)));
            }
            Resolution::Queued => self.begin_wait(tag, awaiting, len),
            Resolution::Dropped(_) => {}
        }
        self.run_neighbor_actions(now);
        None
    }

    /// Whether an answer by `hop` is worth asking for who is there: what is not is counted.
    fn may_answer(&mut self, now: Instant, hop: &NextHop) -> bool {
        let asks = self.interfaces.interface(hop.interface).is_some_and(|found| found.has_neighbors());
        let may = !asks || self.neighbors.may_ask_for(now, hop.interface, hop.next_hop);
        if !may {
            self.counters.bump(Counter::TapsockNeighborHeldBack);
        }
        may
    }

    /// Sends a packet that nobody waits for: an answer.
    fn send_answer(&mut self, now: Instant, hop: &NextHop, packet: Transmit) {
        if !self.may_answer(now, hop) {
            return;
        }
        if let Some((interface, frame)) = self.dispatch(now, hop, packet) {
            self.queue_answer(interface, frame);
        }
    }

    fn queue_answer(&mut self, interface: InterfaceId, frame: Transmit) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back((interface, frame));
        } else {
            let medium = self.interfaces.interface(interface).map(|found| found.caps().medium);
            let v6 = match medium {
                Some(Medium::Ip) => frame.headers.first().is_some_and(|byte| byte >> 4 == 6),
                _ => EthernetHeader::parse(&frame.headers)
                    .is_ok_and(|header| header.ether_type == EtherType::Ipv6),
            };
            self.counters.bump(if v6 { Counter::Ip6OutDiscards } else { Counter::IpOutDiscards });
        }
    }

    /// A packet of the family of `to` does not leave after all.
    fn count_discarded(&mut self, to: IpAddr) {
        let v4 = to.is_ipv4();
        self.counters.bump(if v4 { Counter::IpOutDiscards } else { Counter::Ip6OutDiscards });
    }

    /// Does what the neighbour cache asks for.
    fn run_neighbor_actions(&mut self, now: Instant) {
        self.end_lost_waits();
        while let Some(action) = self.neighbors.poll_action() {
            match action {
                NeighborAction::Solicit { interface, target, to, source_hint } => {
                    let policy = self.neighbor_policy(interface);
                    let (interfaces, counters) = (&self.interfaces, &mut self.counters);
                    let frame =
                        solicitation(interfaces, interface, target, to, source_hint, &policy, counters);
                    if let Some(frame) = frame {
                        self.queue_answer(interface, frame);
                    }
                }
                NeighborAction::Transmit { interface, address, packet, tag } => {
                    let stampings = self.end_wait(tag);
                    if let Some(found) = self.interfaces.interface(interface) {
                        let frame = prepend_ethernet(found, address, packet);
                        self.stamp(now, StampKind::Scheduled, &stampings, &frame);
                        self.stamp(now, StampKind::Sent, &stampings, &frame);
                        self.queue_answer(interface, frame);
                    }
                }
                NeighborAction::Failed { interface, target } => {
                    self.autoconf.on_unreachable(interface, target, &mut self.interfaces);
                }
                NeighborAction::Unreachable { interface, target, packet, tag } => {
                    self.end_wait(tag);
                    self.on_undeliverable(now, interface, target, &packet);
                }
            }
        }
    }

    /// Notes that the owner is to be told of a datagram socket.
    fn tell(&mut self, id: SocketId, changes: Changes) {
        let told = self.told.entry(id).or_default();
        if told.is_empty() {
            self.events.push_back(id);
        }
        *told |= changes;
    }
}

/// Writes the Ethernet header before an IP packet.
fn prepend_ethernet(interface: &Interface, station: EthernetAddress, mut packet: Transmit) -> Transmit {
    let version = packet.headers.first().map_or(0, |byte| byte >> 4);
    let ether_type = if version == 6 { EtherType::Ipv6 } else { EtherType::Ipv4 };
    EthernetHeader { destination: station, source: interface.hardware(), ether_type }
        .prepend_to(&mut packet.headers);
    packet
}

/// Whether somebody across `interface` may reach a socket that is bound to `address`.
fn may_serve(interfaces: &Interfaces, interface: InterfaceId, address: LocalAddr) -> bool {
    let owns = |interface: &Interface| interface.owns(address.ip());
    address.is_wildcard() || interfaces.interface(interface).is_some_and(owns)
}

#[cfg(test)]
mod tests;
