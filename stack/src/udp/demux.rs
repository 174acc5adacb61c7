//! Which socket a datagram is for.

use core::net::SocketAddr;
use std::collections::HashMap;

use super::UdpSocket;
use crate::demux::FlowKey;
use crate::iface::InterfaceId;
use crate::ports::LocalAddr;
use crate::random::{KeyedHash, Random, TableHash};
use crate::slots::{Slots, slim_map};

/// A UDP socket, until it is closed. Stays unknown after that.
///
/// ```
/// use tapsock_stack::random::Random;
/// use tapsock_stack::udp::{UdpSocket, UdpTable};
///
/// let mut table = UdpTable::new(&mut Random::new(1));
/// let id = table.open(UdpSocket::new(212_992));
/// assert!(table.close(id).is_some());
/// assert!(table.socket(id).is_none());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct UdpId {
    index: u32,
    generation: u32,
}

/// What the choice of a socket depends on.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::udp::Arrival;
///
/// let (from, to) = ("10.0.0.2:5000".parse().unwrap(), "10.0.0.1:53".parse().unwrap());
/// let arrival = Arrival { from, to, interface: InterfaceId::LOOPBACK };
/// assert_eq!(arrival.to.port(), 53);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// Where it came in.
    pub interface: InterfaceId,
}

/// All UDP sockets, and whose a datagram is.
///
/// As Linux ranks them (`__udp4_lib_lookup`, `__udp6_lib_lookup`): a socket connected to the sender comes first, then
/// one bound to the very address, then a wildcard, of which one for IPv4 alone outranks one for both families. Of
/// equals, which `SO_REUSEADDR` allows, the last that was bound has it; those with `SO_REUSEPORT` share by a hash of
/// the four-tuple.
///
/// A connected socket is found by hash however many there are; else the sockets of one port are looked through.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::ports::LocalAddr;
/// use tapsock_stack::random::Random;
/// use tapsock_stack::udp::{Arrival, UdpSocket, UdpTable};
///
/// let mut table = UdpTable::new(&mut Random::new(1));
/// let server = table.open(UdpSocket::new(212_992));
/// table.bind(server, LocalAddr::AnyV4, 53);
/// let (from, to) = ("10.0.0.2:5000".parse().unwrap(), "10.0.0.1:53".parse().unwrap());
/// assert_eq!(table.find(&Arrival { from, to, interface: InterfaceId::LOOPBACK }), Some(server));
/// ```
#[derive(Debug)]
pub struct UdpTable {
    slots: Slots<Slot>,
    generation: u32,
    /// Sockets with a port and without a peer; of equals the last is asked first.
    by_port: HashMap<u16, Vec<u32>, TableHash>,
    /// Connected sockets, the last connected at the end.
    by_flow: HashMap<FlowKey, Vec<u32>, TableHash>,
    spread: KeyedHash,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    socket: UdpSocket,
}

/// Where a socket is entered.
#[derive(Copy, Clone)]
enum Entry {
    Port(u16),
    Flow(FlowKey),
}

/// The order of preference among the sockets of a port that take a datagram: by address, then one that is held to the
/// interface, then one of IPv4 alone.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd)]
struct Rank {
    address: AddressRank,
    held: bool,
    one_family: bool,
}

#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd)]
enum AddressRank {
    Any,
    One,
    OneAndPeer,
}

impl UdpTable {
    /// An empty table under fresh keys.
    pub fn new(random: &mut Random) -> Self {
        UdpTable {
            slots: Slots::new(),
            generation: 0,
            by_port: HashMap::with_hasher(random.table_hash()),
            by_flow: HashMap::with_hasher(random.table_hash()),
            spread: random.keyed_hash(),
        }
    }

    /// Takes a socket in. Its ends, where it has any, don't count.
    pub fn open(&mut self, mut socket: UdpSocket) -> UdpId {
        (socket.local, socket.remote) = (None, None);
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.slots.insert(Slot { generation, socket }) as u32;
        UdpId { index, generation }
    }

    /// All sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.slots.iter().map(|(_, slot)| &slot.socket)
    }

    /// Takes a socket out.
    pub fn close(&mut self, id: UdpId) -> Option<UdpSocket> {
        self.socket(id)?;
        self.leave(id.index);
        self.slots.try_remove(id.index as usize).map(|slot| slot.socket)
    }

    /// A socket.
    pub fn socket(&self, id: UdpId) -> Option<&UdpSocket> {
        self.slots
            .get(id.index as usize)
            .filter(|slot| slot.generation == id.generation)
            .map(|slot| &slot.socket)
    }

    /// A socket, to be changed.
    pub fn socket_mut(&mut self, id: UdpId) -> Option<&mut UdpSocket> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(&mut slot.socket)
    }

    /// All sockets.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (UdpId, &mut UdpSocket)> {
        let id = |index: usize, slot: &Slot| UdpId { index: index as u32, generation: slot.generation };
        self.slots.iter_mut().map(move |(index, slot)| (id(index, slot), &mut slot.socket))
    }

    /// Lets a socket receive what comes to `address` and `port`, from anybody.
    ///
    /// That nobody else has them is for [`PortTable`](crate::ports::PortTable) to see to. A connected socket is
    /// disconnected: `address` is then the one that it was bound to before.
    pub fn bind(&mut self, id: UdpId, address: LocalAddr, port: u16) {
        self.enter(id, Some((address, port)), None);
    }

    /// Lets a socket receive what `remote` sends to `address`, at the port that it has. Does nothing where it has none.
    pub fn connect(&mut self, id: UdpId, address: LocalAddr, remote: SocketAddr) {
        let port = self.socket(id).and_then(|socket| socket.local).map(|(_, port)| port);
        if let Some(port) = port {
            let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
            self.enter(id, Some((address, port)), Some(remote));
        }
    }

    /// Takes a socket's port and peer away.
    pub fn unbind(&mut self, id: UdpId) {
        self.enter(id, None, None);
    }

    /// The socket that a datagram to one address is for.
    ///
    /// It is also the one that an ICMP error is for, with the quoted packet's destination as `from`.
    pub fn find(&self, arrival: &Arrival) -> Option<UdpId> {
        self.find_connected(arrival).or_else(|| self.find_bound(arrival)).map(|index| self.id(index))
    }

    /// The sockets that a datagram to a group or a broadcast address is for: all that take it.
    pub fn find_all(&self, arrival: &Arrival) -> impl Iterator<Item = UdpId> {
        let connected = self.by_flow.get(&FlowKey::new(arrival.to, arrival.from));
        let bound = self.by_port.get(&arrival.to.port());
        let candidates = [connected, bound].into_iter().flatten().flatten().copied();
        let arrival = *arrival;
        candidates.filter(move |index| self.rank(*index, &arrival).is_some()).map(|index| self.id(index))
    }

    fn find_connected(&self, arrival: &Arrival) -> Option<u32> {
        let candidates = self.by_flow.get(&FlowKey::new(arrival.to, arrival.from))?;
        candidates.iter().rev().copied().find(|index| self.rank(*index, arrival).is_some())
    }

    fn find_bound(&self, arrival: &Arrival) -> Option<u32> {
        let candidates = self.by_port.get(&arrival.to.port())?;
        let ranked = candidates.iter().filter_map(|index| Some((self.rank(*index, arrival)?, *index)));
        // Of equals, the last.
        let (rank, best) = ranked.max_by_key(|(rank, _)| *rank)?;
        let leader = &self.slots[best as usize].socket;
        if !leader.reuse_port || rank.address == AddressRank::OneAndPeer {
            return Some(best);
        }
        let group = || {
            candidates.iter().copied().filter(|index| {
                let socket = &self.slots[*index as usize].socket;
                socket.reuse_port
                    && (socket.local, socket.way.device) == (leader.local, leader.way.device)
                    && socket.remote.is_none()
            })
        };
        let tuple = FlowKey::new(arrival.to, arrival.from).secret(&self.spread);
        group().nth((tuple % group().count().max(1) as u64) as usize)
    }

    /// How well a socket fits; `None` where it doesn't take the datagram.
    fn rank(&self, index: u32, arrival: &Arrival) -> Option<Rank> {
        let UdpSocket { local, remote, way, .. } = &self.slots[index as usize].socket;
        if way.device.is_some_and(|device| device != arrival.interface) {
            return None;
        }
        let (address, _) = local.filter(|(address, port)| {
            *port == arrival.to.port() && address.accepts(arrival.to.ip(), arrival.interface.index())
        })?;
        let rank = match (remote, address) {
            // Port 0, which `connect` takes, stands for any.
            (Some(remote), _) => (remote.ip() == arrival.from.ip()
                && (remote.port() == arrival.from.port() || remote.port() == 0))
                .then_some(AddressRank::OneAndPeer)?,
            (None, LocalAddr::V4(_) | LocalAddr::V6(..)) => AddressRank::One,
            (None, LocalAddr::AnyV4 | LocalAddr::AnyV6 { .. }) => AddressRank::Any,
        };
        let both = matches!(address, LocalAddr::AnyV6 { only_v6: false }) && arrival.to.is_ipv4();
        Some(Rank { address: rank, held: way.device.is_some(), one_family: !both })
    }

    fn id(&self, index: u32) -> UdpId {
        UdpId { index, generation: self.slots[index as usize].generation }
    }

    /// Gives a socket new ends.
    fn enter(&mut self, id: UdpId, local: Option<(LocalAddr, u16)>, remote: Option<SocketAddr>) {
        if self.socket(id).is_none() {
            return;
        }
        self.leave(id.index);
        let socket = &mut self.slots[id.index as usize].socket;
        (socket.local, socket.remote) = (local, remote);
        match entry(socket) {
            // As Linux, which asks IPv6's with SO_REUSEPORT after all others.
            Some(Entry::Port(port)) if socket.reuse_port && socket.is_v6() => {
                self.by_port.entry(port).or_default().insert(0, id.index);
            }
            Some(Entry::Port(port)) => self.by_port.entry(port).or_default().push(id.index),
            Some(Entry::Flow(key)) => self.by_flow.entry(key).or_default().push(id.index),
            None => {}
        }
    }

    /// Takes a socket out of the list it is entered in.
    fn leave(&mut self, index: u32) {
        match entry(&self.slots[index as usize].socket) {
            Some(Entry::Port(port)) => {
                if let Some(list) = self.by_port.get_mut(&port) {
                    list.retain(|other| *other != index);
                    if list.is_empty() {
                        self.by_port.remove(&port);
                        slim_map(&mut self.by_port);
                    }
                }
            }
            Some(Entry::Flow(key)) => {
                if let Some(list) = self.by_flow.get_mut(&key) {
                    list.retain(|other| *other != index);
                    if list.is_empty() {
                        self.by_flow.remove(&key);
                        slim_map(&mut self.by_flow);
                    }
                }
            }
            None => {}
        }
    }
}

/// Where a socket with these ends belongs.
fn entry(socket: &UdpSocket) -> Option<Entry> {
    let (address, port) = socket.local?;
    match socket.remote {
        Some(remote) if remote.port() != 0 && !address.is_wildcard() => {
            Some(Entry::Flow(FlowKey::new(SocketAddr::new(address.ip(), port), remote)))
        }
        _ => Some(Entry::Port(port)),
    }
}

#[cfg(test)]
mod tests;
