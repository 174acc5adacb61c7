//! Who owns which port, as Linux ranks it.

use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

use crate::config::{Config, PortRange};
use crate::iface::InterfaceId;
use crate::random::{Random, TableHash};
use crate::slots::{Slots, slim_map};

mod address;
mod ephemeral;
mod request;

pub use address::LocalAddr;
pub use ephemeral::EphemeralPorts;
pub use request::{BindError, BindRequest, PortLimits, Reuse, Transport};

/// A binding, until it is given back.
///
/// Stays unknown after that, although its place in the table is used again.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::ports::{BindRequest, LocalAddr, PortTable, Transport};
/// use tapsock_stack::random::Random;
///
/// let mut random = Random::new(1);
/// let mut ports = PortTable::new(&mut random);
/// let request = BindRequest::new(Transport::Udp, LocalAddr::AnyV4);
/// let id = ports.bind(&request, &Config::default(), &mut random).unwrap();
/// ports.unbind(id);
/// assert_eq!(ports.binding(id), None);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct BindId {
    index: u32,
    generation: u32,
}

/// Who owns which port: the bindings of sockets, and the connections that keep a port after its socket is gone.
///
/// Two users may share a port where their addresses don't overlap, where both have `SO_REUSEPORT`, or where both
/// have `SO_REUSEADDR` and the one that was there before does not listen (Linux's `inet_csk_get_port` and
/// `udp_lib_get_port`). Unlike Linux, UDP's `bind` to port 0 never gives a port that another socket has, whatever its
/// options.
///
/// It has at most one entry for each binding, and for each local address and port with connections: their owners'
/// bounds are its own.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::ports::{BindError, BindRequest, LocalAddr, PortTable, Transport};
/// use tapsock_stack::random::Random;
///
/// let (config, mut random) = (Config::default(), Random::new(1));
/// let mut ports = PortTable::new(&mut random);
/// let request = BindRequest { port: 8080, ..BindRequest::new(Transport::Tcp, LocalAddr::AnyV4) };
/// let id = ports.bind(&request, &config, &mut random).unwrap();
/// assert_eq!(ports.binding(id), Some((LocalAddr::AnyV4, 8080)));
/// assert_eq!(ports.bind(&request, &config, &mut random), Err(BindError::AddressInUse));
/// ```
#[derive(Clone, Debug)]
pub struct PortTable {
    users: Slots<User>,
    /// For each port that has users, the last that came. They are linked by [`User::next`].
    heads: HashMap<(Transport, u16), u32, TableHash>,
    generation: u32,
    ephemeral: EphemeralPorts,
}

#[derive(Clone, Debug)]
struct User {
    protocol: Transport,
    port: u16,
    address: LocalAddr,
    device: Option<InterfaceId>,
    reuse: Reuse,
    role: Role,
    next: Option<u32>,
}

impl User {
    /// Whether something may come in that is for both: the addresses overlap, and no two interfaces keep them apart.
    fn meets(&self, address: LocalAddr, device: Option<InterfaceId>) -> bool {
        let apart = self.device.zip(device).is_some_and(|(one, other)| one != other);
        !apart && self.address.overlaps(address)
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Role {
    Bound { generation: u32 },
    Listening { generation: u32 },
    Connections { count: u32 },
}

/// Random ports that `bind` tries before it looks at all of them in a row.
const RANDOM_TRIES: u32 = 64;

impl PortTable {
    /// An empty table.
    pub fn new(random: &mut Random) -> Self {
        PortTable {
            users: Slots::new(),
            heads: HashMap::with_hasher(random.table_hash()),
            generation: 0,
            ephemeral: EphemeralPorts::new(random),
        }
    }

    /// Binds an address and a port.
    ///
    /// # Errors
    ///
    /// [`BindError::AddressInUse`] and [`BindError::Permission`]. Whether the address is the host's own is for the
    /// caller to know.
    pub fn bind(
        &mut self,
        request: &BindRequest,
        config: &Config,
        random: &mut Random,
    ) -> Result<BindId, BindError> {
        let port = match request.port {
            0 => {
                let range = request.range.within(config.ip_local_port_range);
                self.free_port(request, range, random).ok_or(BindError::AddressInUse)?
            }
            port if port < config.ip_unprivileged_port_start && !request.privileged => {
                return Err(BindError::Permission);
            }
            port => port,
        };
        let in_the_way = |user: &User| {
            user.meets(request.address, request.device) && !may_share(user.reuse, &user.role, request.reuse())
        };
        if self.users_of(request.protocol, port).any(|(_, user)| in_the_way(user)) {
            return Err(BindError::AddressInUse);
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let role = Role::Bound { generation };
        let BindRequest { protocol, address, device, .. } = *request;
        let user = User { protocol, port, address, device, reuse: request.reuse(), role, next: None };
        let index = self.insert(user);
        Ok(BindId { index, generation })
    }

    /// Gives a binding back. Connections that still use its port keep their hold on it.
    pub fn unbind(&mut self, id: BindId) {
        if self.user(id).is_some() {
            self.remove(id.index);
        }
    }

    /// Address and port of a binding.
    pub fn binding(&self, id: BindId) -> Option<(LocalAddr, u16)> {
        self.user(id).map(|user| (user.address, user.port))
    }

    /// The options of a binding, for [`PortTable::hold`].
    pub fn reuse(&self, id: BindId) -> Option<Reuse> {
        self.user(id).map(|user| user.reuse)
    }

    /// Changes the address of a binding, unasked: `connect` narrows a wildcard to the address that the route gives,
    /// and dissolving the association widens it again.
    pub fn set_address(&mut self, id: BindId, address: LocalAddr) {
        if let Some(user) = self.user_mut(id) {
            user.address = address;
        }
    }

    /// Holds a binding to an interface, or to none any more. Nobody who is there is looked at, as on Linux.
    pub fn set_device(&mut self, id: BindId, device: Option<InterfaceId>) {
        if let Some(user) = self.user_mut(id) {
            user.device = device;
        }
    }

    /// The interface that a binding is held to.
    pub fn device(&self, id: BindId) -> Option<InterfaceId> {
        self.user(id)?.device
    }

    /// Changes the options of a binding. They count when the next one asks for its port.
    pub fn set_reuse(&mut self, id: BindId, reuse: Reuse) {
        if let Some(user) = self.user_mut(id) {
            user.reuse = reuse;
        }
    }

    /// Notes that a binding's socket listens.
    ///
    /// # Errors
    ///
    /// [`BindError::AddressInUse`] where another listens already and the two share the port by `SO_REUSEADDR` only.
    pub fn mark_listening(&mut self, id: BindId) -> Result<(), BindError> {
        let Some(own) = self.user(id) else {
            return Ok(());
        };
        let in_the_way = |index: u32, user: &User| {
            index != id.index
                && user.meets(own.address, own.device)
                && !may_share(user.reuse, &user.role, own.reuse)
        };
        if self.users_of(own.protocol, own.port).any(|(index, user)| in_the_way(index, user)) {
            return Err(BindError::AddressInUse);
        }
        if let Some(user) = self.user_mut(id) {
            user.role = Role::Listening { generation: id.generation };
        }
        Ok(())
    }

    /// Notes that a binding's socket no longer listens.
    pub fn mark_not_listening(&mut self, id: BindId) {
        if let Some(user) = self.user_mut(id) {
            user.role = Role::Bound { generation: id.generation };
        }
    }

    /// Notes a connection that uses `port`, from its handshake to the end of TIME-WAIT, so that a `bind` without the
    /// option that `reuse` has is refused meanwhile. An accepted connection has its listener's options.
    ///
    /// Each hold is undone by one [`PortTable::release`] with the same arguments.
    pub fn hold(&mut self, protocol: Transport, address: LocalAddr, port: u16, reuse: Reuse) {
        self.hold_on(None, protocol, address, port, reuse);
    }

    /// The same of a connection that is held to an interface.
    pub fn hold_on(
        &mut self,
        device: Option<InterfaceId>,
        protocol: Transport,
        address: LocalAddr,
        port: u16,
        reuse: Reuse,
    ) {
        match self.connections(device, protocol, address, port, reuse) {
            Some((_, count)) => *count += 1,
            None => {
                let role = Role::Connections { count: 1 };
                self.insert(User { protocol, port, address, device, reuse, role, next: None });
            }
        }
    }

    /// Undoes a [`PortTable::hold`].
    pub fn release(&mut self, protocol: Transport, address: LocalAddr, port: u16, reuse: Reuse) {
        self.release_on(None, protocol, address, port, reuse);
    }

    /// Undoes a [`PortTable::hold_on`].
    pub fn release_on(
        &mut self,
        device: Option<InterfaceId>,
        protocol: Transport,
        address: LocalAddr,
        port: u16,
        reuse: Reuse,
    ) {
        match self.connections(device, protocol, address, port, reuse) {
            Some((_, count)) if *count > 1 => *count -= 1,
            Some((index, _)) => self.remove(index),
            None => debug_assert!(false, "released without a hold: {protocol:?} {address:?} {port}"),
        }
    }

    /// The port for a TCP connection from `local` to `remote` whose socket was not bound: by RFC 6056's algorithm 4,
    /// passing over those that a socket is bound to and those where `is_free` is false. `None` where none is left,
    /// which `connect` reports as EADDRNOTAVAIL.
    ///
    /// `is_free` tells whether there is no connection yet from that local port to `remote`. The port isn't held.
    //= RFC 6056 §3.3.4
    pub fn choose_for_connect(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        range: PortRange,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let PortTable { users, heads, ephemeral, .. } = self;
        ephemeral.choose(local, remote, range, |port| {
            let head = heads.get(&(Transport::Tcp, port)).copied();
            let bound = |user: &User| !matches!(user.role, Role::Connections { .. });
            !chain(users, head).any(|(_, user)| bound(user)) && is_free(port)
        })
    }

    /// A random port whose users all have addresses apart from the one asked for.
    fn free_port(&self, request: &BindRequest, range: PortRange, random: &mut Random) -> Option<u16> {
        let is_free = |port: &u16| {
            let mut users = self.users_of(request.protocol, *port);
            !users.any(|(_, user)| user.meets(request.address, request.device))
        };
        let count = u64::from(range.count());
        let tried = (0..RANDOM_TRIES).map(|_| range.at(random.below(count))).find(is_free);
        tried.or_else(|| {
            let start = random.below(count);
            (0..count).map(|step| range.at(start + step)).find(is_free)
        })
    }

    fn users_of(&self, protocol: Transport, port: u16) -> impl Iterator<Item = (u32, &User)> {
        chain(&self.users, self.heads.get(&(protocol, port)).copied())
    }

    fn user(&self, id: BindId) -> Option<&User> {
        self.users.get(id.index as usize).filter(|user| user.role.generation() == Some(id.generation))
    }

    fn user_mut(&mut self, id: BindId) -> Option<&mut User> {
        self.users.get_mut(id.index as usize).filter(|user| user.role.generation() == Some(id.generation))
    }

    /// The entry that counts the connections of one address, port and set of options.
    fn connections(
        &mut self,
        device: Option<InterfaceId>,
        protocol: Transport,
        address: LocalAddr,
        port: u16,
        reuse: Reuse,
    ) -> Option<(u32, &mut u32)> {
        let wanted = |user: &User| {
            matches!(user.role, Role::Connections { .. })
                && (user.address, user.reuse, user.device) == (address, reuse, device)
        };
        let (index, _) = self.users_of(protocol, port).find(|(_, user)| wanted(user))?;
        match &mut self.users[index as usize].role {
            Role::Connections { count } => Some((index, count)),
            Role::Bound { .. } | Role::Listening { .. } => None,
        }
    }

    fn insert(&mut self, user: User) -> u32 {
        let User { protocol, port, .. } = user;
        let next = self.heads.get(&(protocol, port)).copied();
        let index = self.users.insert(User { next, ..user }) as u32;
        self.heads.insert((protocol, port), index);
        index
    }

    fn remove(&mut self, index: u32) {
        let User { protocol, port, next, .. } = self.users[index as usize];
        let previous = self.users_of(protocol, port).find(|(_, user)| user.next == Some(index));
        match (previous.map(|(index, _)| index as usize), next) {
            (Some(previous), next) => self.users[previous].next = next,
            (None, Some(next)) => {
                self.heads.insert((protocol, port), next);
            }
            (None, None) => {
                self.heads.remove(&(protocol, port));
                slim_map(&mut self.heads);
            }
        }
        self.users.try_remove(index as usize);
    }
}

impl Role {
    /// The generation of a binding; connections have none.
    fn generation(&self) -> Option<u32> {
        match *self {
            Role::Bound { generation } | Role::Listening { generation } => Some(generation),
            Role::Connections { .. } => None,
        }
    }
}

/// Whether the options let a newcomer share port and address with one who is there.
fn may_share(old: Reuse, role: &Role, new: Reuse) -> bool {
    let listening = matches!(role, Role::Listening { .. });
    old.port && new.port || old.address && new.address && !listening
}

/// The users from `head` on, the last that came first.
fn chain(users: &Slots<User>, head: Option<u32>) -> impl Iterator<Item = (u32, &User)> {
    let with_index = |index: u32| users.get(index as usize).map(|user| (index, user));
    core::iter::successors(head.and_then(with_index), move |(_, user)| user.next.and_then(with_index))
}

#[cfg(test)]
mod tests;
