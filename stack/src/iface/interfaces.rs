//! All interfaces of a stack with the routing table: what is ours, and where the rest is sent.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::IpCidr;
use super::interface::{Interface, InterfaceId, LinkState, MAX_ADDRESSES, Preference, Stay, is_link_local};
use super::route::{Route, RouteKind, RoutingTable, TableError};
use crate::ports::LocalAddr;
use crate::wire::EthernetAddress;
use crate::wire::offload::{LinkCaps, Medium};

/// Interfaces that one stack can have, `lo` among them.
pub const MAX_INTERFACES: usize = 64;

/// Largest IP packet on `lo`, in bytes, as on Linux.
pub(super) const LOOPBACK_MTU: usize = 65_536;

/// Metric of the routes that come with IPv6 addresses, as on Linux; IPv4's have 0.
const CONNECTED_METRIC_V6: u32 = 256;

/// Smallest MTU of IPv6, in bytes.
//= RFC 8200 §5
pub(super) const IPV6_MIN_MTU: usize = 1280;

/// Whether an address brings the route to its network.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum PrefixRoute {
    Yes,
    No,
}

/// Whose an address is (RFC 1122 §3.3.4.2).
///
/// ```
/// use tapsock_stack::iface::HostModel;
///
/// assert_eq!(HostModel::default(), HostModel::Weak);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum HostModel {
    /// The host's: packets to it are taken at whichever interface they come in, and those from it leave at any.
    #[default]
    Weak,
    /// Its interface's: packets to it are taken there, and those from it leave there.
    Strong,
}

/// Networks of which all addresses can be the host's.
pub const MAX_LOCAL_NETWORKS: usize = 64;

/// The interfaces and the routes.
///
/// As on Linux, an address belongs to the host: a packet to it is taken at whichever interface it comes in (the weak
/// model of RFC 1122 §3.3.4.2). Link-local addresses belong to their link, and 127/8 to `lo`.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, Interfaces, Route};
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let mut interfaces = Interfaces::new();
/// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let tap0 = interfaces.add("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
/// interfaces.add_address(tap0, "10.0.0.2/24".parse().unwrap()).unwrap();
/// interfaces.add_route(Route::via("0.0.0.0/0".parse().unwrap(), "10.0.0.1".parse().unwrap(), tap0)).unwrap();
///
/// let hop = interfaces.route("203.0.113.9".parse().unwrap(), None, None).unwrap();
/// assert_eq!(hop.next_hop.to_string(), "10.0.0.1");
/// assert_eq!((hop.interface, hop.source.to_string(), hop.mtu), (tap0, "10.0.0.2".to_string(), 1500));
/// ```
#[derive(Clone, Debug)]
pub struct Interfaces {
    interfaces: Vec<Interface>,
    /// All addresses with the interface that has them, sorted.
    local: Vec<(IpAddr, InterfaceId)>,
    /// The broadcast addresses of the networks of all addresses, sorted, each as often as it is one's.
    broadcasts: Vec<Ipv4Addr>,
    /// Networks of which every address is the host's.
    local_networks: Vec<IpCidr>,
    routes: RoutingTable,
    model: HostModel,
    /// Counts changes of the groups that interfaces are in.
    group_generation: u32,
}

impl Interfaces {
    /// `lo`, with 127.0.0.1/8 and ::1/128, and nothing else. It leaves segmentation and checksums to the receiver.
    pub fn new() -> Self {
        let caps = LinkCaps { mtu: LOOPBACK_MTU, ..LinkCaps::offloading(Medium::Ip, LOOPBACK_MTU) };
        let mut lo = Interface::new(InterfaceId::LOOPBACK, "lo", EthernetAddress::default(), caps);
        let addresses = [(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];
        for (address, prefix_len) in addresses {
            lo.assign(IpCidr::new(address, prefix_len));
        }
        let local = addresses.map(|(address, _)| (address, InterfaceId::LOOPBACK)).to_vec();
        let (local_networks, routes) = (Vec::new(), RoutingTable::new());
        let broadcasts =
            addresses.iter().filter_map(|(own, len)| IpCidr::new(*own, *len).broadcast()).collect();
        let (interfaces, model) = (vec![lo], HostModel::Weak);
        Interfaces { interfaces, local, broadcasts, local_networks, routes, model, group_generation: 0 }
    }

    /// Adds an interface without addresses whose link is up.
    ///
    /// Fails with [`InterfaceError::NameTaken`] (EEXIST) or [`InterfaceError::Full`] (ENOBUFS).
    pub fn add(
        &mut self,
        name: &str,
        hardware: EthernetAddress,
        caps: LinkCaps,
    ) -> Result<InterfaceId, InterfaceError> {
        if self.by_name(name).is_some() {
            return Err(InterfaceError::NameTaken);
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(InterfaceError::Full);
        }
        let id = InterfaceId(self.interfaces.len() as u8);
        self.interfaces.push(Interface::new(id, name, hardware, caps));
        Ok(id)
    }

    /// The interface with this number.
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(usize::from(id.0))
    }

    /// The interface with this name.
    pub fn by_name(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name() == name)
    }

    /// All interfaces, `lo` first.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter()
    }

    /// The routing table. Routes to our own addresses do not stand in it.
    pub fn routes(&self) -> &RoutingTable {
        &self.routes
    }

    /// Gives an interface an address, and a route to the network that comes with it.
    ///
    /// Fails with [`InterfaceError::Missing`] (ENODEV), `Exists` (EEXIST), `Full` (ENOBUFS), or `BadAddress`
    /// (EINVAL) for one that is multicast, unspecified or all ones, or in 127/8 anywhere but on `lo`.
    //= RFC 1122 §3.3.1.6 MUST-1
    //= RFC 1122 §3.2.2.9 MUST-1
    //= RFC 1122 §3.2.2.9 MUST-2
    pub fn add_address(&mut self, id: InterfaceId, cidr: IpCidr) -> Result<(), InterfaceError> {
        self.add_address_with(id, cidr, PrefixRoute::Yes)
    }

    /// The same, with or without the route.
    pub(super) fn add_address_with(
        &mut self,
        id: InterfaceId,
        cidr: IpCidr,
        prefix_route: PrefixRoute,
    ) -> Result<(), InterfaceError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(InterfaceError::Missing)?;
        if !is_assignable(cidr.address) || cidr.address.is_loopback() && !interface.is_loopback() {
            return Err(InterfaceError::BadAddress);
        }
        if interface.owns(cidr.address) {
            return Err(InterfaceError::Exists);
        }
        if interface.addresses().len() >= MAX_ADDRESSES {
            return Err(InterfaceError::Full);
        }
        if !interface.is_loopback()
            && prefix_route == PrefixRoute::Yes
            && !cidr.is_host()
            && !self.routes.iter().any(|route| is_connected(route, id, cidr))
        {
            self.routes.append(connected_route(id, cidr)).map_err(|_| InterfaceError::Full)?;
        }
        interface.assign(cidr);
        self.group_generation = self.group_generation.wrapping_add(1);
        if let Some(assigned) = interface.assigned_mut(cidr.address) {
            assigned.on_link = prefix_route == PrefixRoute::Yes;
        }
        let place = self.local.partition_point(|other| *other < (cidr.address, id));
        self.local.insert(place, (cidr.address, id));
        if let Some(broadcast) = cidr.broadcast() {
            let place = self.broadcasts.partition_point(|other| *other < broadcast);
            self.broadcasts.insert(place, broadcast);
        }
        Ok(())
    }

    /// Takes an address away, with the routes that name it as their source. The route to its network stays while
    /// another address of the interface is in it.
    ///
    /// Fails with [`InterfaceError::Missing`] (ENODEV) or `NotFound` (EADDRNOTAVAIL).
    pub fn remove_address(&mut self, id: InterfaceId, address: IpAddr) -> Result<(), InterfaceError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(InterfaceError::Missing)?;
        let withdrawn = interface.withdraw(address).ok_or(InterfaceError::NotFound)?;
        self.group_generation = self.group_generation.wrapping_add(1);
        let gone = withdrawn.cidr;
        let heir = interface
            .addresses()
            .iter()
            .filter(|own| own.on_link && withdrawn.on_link)
            .map(|own| own.cidr)
            .find(|own| own.network() == gone.network());
        self.local.retain(|entry| *entry != (address, id));
        if let Some(place) = gone.broadcast().and_then(|gone| self.broadcasts.binary_search(&gone).ok()) {
            self.broadcasts.remove(place);
        }
        if withdrawn.on_link {
            self.routes.retain(|route| !is_connected(route, id, gone));
        }
        if !self.is_local(address) {
            self.routes.retain(|route| route.source != Some(address));
        }
        match heir {
            Some(heir) => self.routes.append(connected_route(id, heir)).map_err(|_| InterfaceError::Full),
            None => Ok(()),
        }
    }

    /// Makes every address of a network the host's, beside those that interfaces have: what `ip route add local NETWORK dev lo`
    /// does on Linux.
    ///
    /// Fails with [`InterfaceError::Exists`] (EEXIST) or [`InterfaceError::Full`] (ENOBUFS).
    ///
    /// ```
    /// use tapsock_stack::iface::Interfaces;
    ///
    /// let mut interfaces = Interfaces::new();
    /// let network = "198.51.100.0/24".parse().unwrap();
    /// interfaces.add_local_network(network).unwrap();
    /// assert!(interfaces.is_local("198.51.100.77".parse().unwrap()));
    /// interfaces.remove_local_network(network).unwrap();
    /// assert!(!interfaces.is_local("198.51.100.77".parse().unwrap()));
    /// ```
    pub fn add_local_network(&mut self, network: IpCidr) -> Result<(), InterfaceError> {
        let network = network.network();
        if self.local_networks.contains(&network) {
            return Err(InterfaceError::Exists);
        }
        if self.local_networks.len() >= MAX_LOCAL_NETWORKS {
            return Err(InterfaceError::Full);
        }
        self.local_networks.push(network);
        Ok(())
    }

    /// Takes that back. Fails with [`InterfaceError::NotFound`] (EADDRNOTAVAIL).
    pub fn remove_local_network(&mut self, network: IpCidr) -> Result<(), InterfaceError> {
        let network = network.network();
        let place = self.local_networks.iter().position(|known| *known == network);
        self.local_networks.remove(place.ok_or(InterfaceError::NotFound)?);
        Ok(())
    }

    /// Says whether new connections should use an address of IPv6. Fails with [`InterfaceError::Missing`] (ENODEV),
    /// `NotFound` (EADDRNOTAVAIL), or, for one of IPv4, which is always preferred, `BadAddress` (EINVAL).
    //= RFC 6724 §3.2 MUST-2
    pub fn set_preference(
        &mut self,
        id: InterfaceId,
        address: IpAddr,
        preference: Preference,
    ) -> Result<(), InterfaceError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(InterfaceError::Missing)?;
        let assigned = interface.assigned_mut(address).ok_or(InterfaceError::NotFound)?;
        if address.is_ipv4() {
            return Err(InterfaceError::BadAddress);
        }
        assigned.preference = preference;
        Ok(())
    }

    /// Says whether an address lasts.
    pub(super) fn set_stay(&mut self, id: InterfaceId, address: IpAddr, stay: Stay) {
        let assigned =
            self.interfaces.get_mut(usize::from(id.0)).and_then(|found| found.assigned_mut(address));
        if let Some(assigned) = assigned {
            assigned.stay = stay;
        }
    }

    /// Has an interface hear a group, once more. Returns whether there was room.
    pub fn join(&mut self, id: InterfaceId, group: IpAddr) -> bool {
        self.group_generation = self.group_generation.wrapping_add(1);
        self.interfaces.get_mut(usize::from(id.0)).is_some_and(|found| found.join(group))
    }

    /// Says whether an interface passes IPv4 on, and IPv6.
    pub(crate) fn set_routes(&mut self, id: InterfaceId, routes: [bool; 2]) {
        self.group_generation = self.group_generation.wrapping_add(1);
        if let Some(found) = self.interfaces.get_mut(usize::from(id.0)) {
            found.set_routes(routes);
        }
    }

    /// The opposite. Returns whether nobody else wants to hear the group.
    pub fn leave(&mut self, id: InterfaceId, group: IpAddr) -> bool {
        self.group_generation = self.group_generation.wrapping_add(1);
        self.interfaces.get_mut(usize::from(id.0)).is_some_and(|found| found.leave(group))
    }

    /// The MTU that a router tells of; one that IPv6 can't have, or the link, is not believed.
    //= RFC 4861 §4.6.4 MUST-3
    pub(super) fn set_ipv6_mtu(&mut self, id: InterfaceId, mtu: usize) {
        if let Some(found) = self.interfaces.get_mut(usize::from(id.0))
            && (IPV6_MIN_MTU..=found.caps().mtu).contains(&mtu)
        {
            found.set_ipv6_mtu(mtu);
        }
    }

    /// The MTU that a lease says the network has, which stays with the lease.
    pub(crate) fn set_leased_mtu(&mut self, id: InterfaceId, mtu: Option<usize>) {
        if let Some(found) = self.interfaces.get_mut(usize::from(id.0)) {
            found.set_leased_mtu(mtu);
        }
    }

    /// The hop limit that a router tells of.
    pub(super) fn set_hop_limit(&mut self, id: InterfaceId, limit: u8) {
        if let Some(found) = self.interfaces.get_mut(usize::from(id.0)) {
            found.set_hop_limit(limit);
        }
    }

    /// Adds a route that a router told of. Returns whether it stands.
    pub(super) fn learn_route(&mut self, route: Route) -> bool {
        !self.routes.iter().any(|known| *known == route) && self.routes.append(route).is_ok()
    }

    /// Removes exactly that route.
    pub(crate) fn forget_route(&mut self, route: &Route) {
        self.routes.retain(|known| known != route);
    }

    /// Says whether frames pass. Fails with [`InterfaceError::Missing`] (ENODEV).
    pub fn set_link(&mut self, id: InterfaceId, link: LinkState) -> Result<(), InterfaceError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(InterfaceError::Missing)?;
        interface.set_link(link);
        Ok(())
    }

    /// Changes what a link can do: its MTU, its offloads. The medium stays. Fails with [`InterfaceError::Missing`]
    /// (ENODEV).
    pub fn set_caps(&mut self, id: InterfaceId, caps: LinkCaps) -> Result<(), InterfaceError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(InterfaceError::Missing)?;
        interface.set_caps(caps);
        Ok(())
    }

    /// Adds a route.
    ///
    /// Fails with [`TableError::NoInterface`], `Invalid`, `GatewayUnreachable`, `Exists` or `Full`.
    pub fn add_route(&mut self, route: Route) -> Result<(), TableError> {
        let interface = self.interface(route.interface).ok_or(TableError::NoInterface)?;
        let family = route.destination.address.is_ipv4();
        let mixed = |other: Option<IpAddr>| other.is_some_and(|other| other.is_ipv4() != family);
        let leads = route.kind == RouteKind::Unicast;
        if mixed(route.gateway)
            || mixed(route.source)
            || route.source.is_some_and(|source| !self.is_local(source))
            || !leads && (route.gateway.is_some() || route.weight.is_some())
        {
            return Err(TableError::Invalid);
        }
        if let Some(gateway) = route.gateway {
            if !is_assignable(gateway) || self.is_local(gateway) {
                return Err(TableError::Invalid);
            }
            if !route.onlink && !self.is_on_link(interface, gateway) {
                return Err(TableError::GatewayUnreachable);
            }
        }
        self.routes.insert(route)
    }

    /// Whether no router stands before a gateway.
    fn is_on_link(&self, interface: &Interface, gateway: IpAddr) -> bool {
        let direct = self.routes.lookup(gateway, Some(interface.id()));
        interface.is_on_link(gateway) || direct.is_some_and(|direct| direct.gateway.is_none())
    }

    /// Removes the first route of the main table to `destination`, of any metric or of the one given, and returns it.
    /// Fails with [`TableError::NotFound`].
    pub fn remove_route(&mut self, destination: IpCidr, metric: Option<u32>) -> Result<Route, TableError> {
        self.routes.remove(destination, metric)
    }

    /// The tables and the rules, to be changed where nothing needs to be checked.
    pub(crate) fn routes_mut(&mut self) -> &mut RoutingTable {
        &mut self.routes
    }

    /// Whether `address` is one of ours; all of 127/8 is.
    pub fn is_local(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) if v4.is_loopback() => true,
            _ => {
                self.local.binary_search_by(|(own, _)| own.cmp(&address)).is_ok()
                    || self.is_of_local_network(address)
            }
        }
    }

    /// A number that is another one after each change of the groups that interfaces are in.
    pub(crate) const fn group_generation(&self) -> u32 {
        self.group_generation
    }

    /// Says whose addresses are.
    pub fn set_model(&mut self, model: HostModel) {
        self.model = model;
    }

    /// Whose addresses are.
    pub const fn model(&self) -> HostModel {
        self.model
    }

    /// Whether `address` means every host on the link of `interface`.
    pub fn is_broadcast(&self, interface: InterfaceId, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.interface(interface).is_some_and(|found| found.is_broadcast(address)),
            IpAddr::V6(_) => false,
        }
    }

    /// Where the packets of a socket come from that is bound to `local`: `None` where that names no host, but any, a group,
    /// or all those of a link. As in Linux, such a socket hears only what is sent there, and the way says what it sends from.
    pub fn source_of(&self, local: LocalAddr) -> Option<IpAddr> {
        let ip = local.ip();
        let names_many = ip.is_multicast()
            || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
            || self.iter().any(|interface| self.is_broadcast(interface.id(), ip));
        (!local.is_wildcard() && !names_many).then_some(ip)
    }

    /// Whether a packet to `destination` that came in at `interface` is for this host: an address of ours, a
    /// broadcast address of that interface, or a group that it is in.
    //= RFC 1122 §3.2.1.3
    //= RFC 4291 §2.5.3
    //= RFC 1122 §3.3.6 MUST-1
    //= RFC 4862 §5.5.4 MUST-1
    pub fn accepts(&self, interface: InterfaceId, destination: IpAddr) -> bool {
        let Some(arrival) = self.interface(interface) else {
            return false;
        };
        if destination.is_multicast() {
            return arrival.hears(destination);
        }
        if arrival.is_loopback() {
            return self.is_local(destination);
        }
        if destination.is_loopback() {
            return false;
        }
        //= RFC 4291 §2.6.1
        if destination.is_ipv6() && arrival.is_anycast(destination) {
            return true;
        }
        if destination.is_ipv6() && is_link_local(destination) {
            return arrival.owns(destination);
        }
        let ours = match self.model {
            HostModel::Weak => self.is_local(destination),
            HostModel::Strong => arrival.owns(destination) || self.is_of_local_network(destination),
        };
        ours || self.is_broadcast(interface, destination)
    }

    fn is_of_local_network(&self, address: IpAddr) -> bool {
        self.local_networks.iter().any(|network| network.contains(address))
    }

    /// Where packets from `destination` back to `source` would leave, as seen from `interface`, where one came in that
    /// says it is from there.
    //= RFC 1812 §5.3.8
    pub fn reverse_path(&self, interface: InterfaceId, source: IpAddr, destination: IpAddr) -> ReversePath {
        let is_up = |route: &Route| {
            self.interface(route.interface).is_some_and(|found| found.link() == LinkState::Up)
        };
        for route in self.routes.matches_by_rules(source, Some(destination), None) {
            if route.kind != RouteKind::Unicast {
                return ReversePath::Nowhere;
            }
            // Of several equal ways each will do.
            if self.routes.share(route, 0, |share| share.interface == interface).interface == interface {
                return ReversePath::Here;
            }
            if is_up(self.routes.share(route, 0, is_up)) {
                return ReversePath::Elsewhere;
            }
        }
        ReversePath::Nowhere
    }

    /// Whether a packet that came in at `interface` can be from `source`: one host's address, and not one of ours,
    /// unless it came over `lo`. Linux counts the rest as martians.
    //= RFC 1122 §3.2.1.3
    //= RFC 4291 §2.7
    //= RFC 1122 §3.2.1.3 MUST-4
    pub fn accepts_source(&self, interface: InterfaceId, source: IpAddr) -> bool {
        let means_several_or_none = match source {
            IpAddr::V4(source) => self.broadcasts.binary_search(&source).is_ok(),
            // As Linux: an address of IPv4 in IPv6's form stands in programs, never in packets.
            IpAddr::V6(source) => source.to_ipv4_mapped().is_some(),
        };
        if !is_assignable(source) || means_several_or_none {
            return false;
        }
        interface == InterfaceId::LOOPBACK || !source.is_loopback() && !self.is_local(source)
    }

    /// All interfaces, by number.
    pub(super) fn as_slice(&self) -> &[Interface] {
        &self.interfaces
    }
}

impl Default for Interfaces {
    fn default() -> Self {
        Interfaces::new()
    }
}

/// Where packets back to a source would leave.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, Interfaces, ReversePath};
///
/// let [nobody, us] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
/// assert_eq!(Interfaces::new().reverse_path(InterfaceId(1), nobody, us), ReversePath::Nowhere);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ReversePath {
    /// Where the packet came in.
    Here,
    /// Elsewhere.
    Elsewhere,
    /// Nowhere.
    Nowhere,
}

/// Why interfaces or their addresses can't be changed.
///
/// ```
/// use tapsock_stack::iface::{InterfaceError, InterfaceId, Interfaces};
///
/// let wrong = Interfaces::new().add_address(InterfaceId(9), "10.0.0.1/8".parse().unwrap());
/// assert_eq!(wrong, Err(InterfaceError::Missing));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum InterfaceError {
    /// There is no such interface (ENODEV).
    Missing,
    /// Another interface has the name (EEXIST).
    NameTaken,
    /// The interface has the address already (EEXIST).
    Exists,
    /// A limit is reached (ENOBUFS).
    Full,
    /// No interface can have this address (EINVAL).
    BadAddress,
    /// IPv6 was given up on the interface, for somebody has the address that follows from its station (EACCES).
    GivenUp,
    /// The interface does not have the address (EADDRNOTAVAIL).
    NotFound,
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InterfaceError::Missing => "no such interface",
            InterfaceError::NameTaken => "another interface has the name",
            InterfaceError::Exists => "the interface has the address already",
            InterfaceError::Full => "the limit on interfaces, addresses or routes is reached",
            InterfaceError::BadAddress => "no interface can have this address",
            InterfaceError::GivenUp => "IPv6 was given up on the interface",
            InterfaceError::NotFound => "the interface does not have the address",
        })
    }
}

impl core::error::Error for InterfaceError {}

/// Whether `address` can be one host's.
//= RFC 6724 §4 MUST-4
fn is_assignable(address: IpAddr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// The route to the network that an address brings. IPv4's names the address as the source; IPv6's leaves the choice
/// to RFC 6724, both as Linux does.
fn connected_route(id: InterfaceId, cidr: IpCidr) -> Route {
    match cidr.address {
        IpAddr::V4(_) => Route { source: Some(cidr.address), ..Route::direct(cidr.network(), id) },
        IpAddr::V6(_) => Route { metric: CONNECTED_METRIC_V6, ..Route::direct(cidr.network(), id) },
    }
}

fn is_connected(route: &Route, id: InterfaceId, cidr: IpCidr) -> bool {
    let connected = connected_route(id, cidr);
    route.interface == id
        && route.gateway.is_none()
        && route.destination == connected.destination
        && route.metric == connected.metric
}

#[cfg(test)]
mod tests;
