//! The routing table: the longest prefix wins, then the least metric.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU32;

use super::{InterfaceId, IpCidr};

/// Routes that a stack can have.
pub const MAX_ROUTES: usize = 1024;

/// How packets to a network leave.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, IpCidr, Route};
///
/// let route = Route::via("0.0.0.0/0".parse::<IpCidr>().unwrap(), "10.0.0.254".parse().unwrap(), InterfaceId(1));
/// assert_eq!(route.to_string(), "0.0.0.0/0 via 10.0.0.254 dev if1");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The network; its host bits do not count.
    pub destination: IpCidr,
    /// The router that takes the packets; `None` where the network is on the link.
    pub gateway: Option<IpAddr>,
    /// Where they leave.
    pub interface: InterfaceId,
    /// Of two routes to one network the lesser metric wins.
    pub metric: u32,
    /// Source address of packets whose sender has none bound.
    pub source: Option<IpAddr>,
    /// Largest IP packet, in bytes, where it is less than the link's.
    pub mtu: Option<u16>,
    /// The mark of the packets that it is for, before all routes without one (`SO_MARK`; Linux: a table of its own with a
    /// rule `fwmark`); `None` for all.
    pub mark: Option<NonZeroU32>,
}

impl Route {
    /// A route to a network that is on the link of `interface`, with metric 0.
    pub const fn direct(destination: IpCidr, interface: InterfaceId) -> Self {
        Route { destination, gateway: None, interface, metric: 0, source: None, mtu: None, mark: None }
    }

    /// A route through `gateway`, with metric 0.
    pub const fn via(destination: IpCidr, gateway: IpAddr, interface: InterfaceId) -> Self {
        Route { gateway: Some(gateway), ..Route::direct(destination, interface) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.interface)?;
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        if let Some(mark) = self.mark {
            write!(f, " fwmark {mark:#x}")?;
        }
        Ok(())
    }
}

/// Why a route can't be changed.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, Route, RoutingTable, TableError};
///
/// let mut table = RoutingTable::new();
/// let route = Route::direct("10.0.0.0/8".parse().unwrap(), InterfaceId(1));
/// table.insert(route).unwrap();
/// assert_eq!(table.insert(route), Err(TableError::Exists));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum TableError {
    /// There is a route to this network with this metric (EEXIST).
    Exists,
    /// The table is full (ENOBUFS).
    Full,
    /// There is no such interface (ENODEV).
    NoInterface,
    /// The gateway is not on the link of the interface (ENETUNREACH).
    GatewayUnreachable,
    /// Gateway, source or destination are of different families, or the gateway is one of our own addresses
    /// (EINVAL).
    Invalid,
    /// There is no such route to be removed (ESRCH).
    NotFound,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableError::Exists => "there is a route to this network with this metric",
            TableError::Full => "the routing table is full",
            TableError::NoInterface => "no such interface",
            TableError::GatewayUnreachable => "the gateway is not on the link",
            TableError::Invalid => "the route's addresses do not fit each other",
            TableError::NotFound => "no such route",
        })
    }
}

impl core::error::Error for TableError {}

/// All routes, of both families.
///
/// A lookup walks the routes of one family from the longest prefix on. That beats a trie for the handful that a host
/// has, and connections look up once.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, Route, RoutingTable};
///
/// let mut table = RoutingTable::new();
/// table.insert(Route::via("0.0.0.0/0".parse()?, "10.0.0.254".parse().unwrap(), InterfaceId(1))).unwrap();
/// table.insert(Route::direct("10.0.0.0/24".parse()?, InterfaceId(1))).unwrap();
/// let route = table.lookup("10.0.0.7".parse().unwrap(), None).unwrap();
/// assert_eq!(route.gateway, None);
/// # Ok::<(), tapsock_stack::iface::CidrError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RoutingTable {
    v4: Vec<Route>,
    v6: Vec<Route>,
    /// Counts changes.
    generation: u32,
}

impl RoutingTable {
    /// An empty table.
    pub const fn new() -> Self {
        RoutingTable { v4: Vec::new(), v6: Vec::new(), generation: 0 }
    }

    /// Adds a route. Fails with [`TableError::Exists`] or [`TableError::Full`]; what the route refers to is checked
    /// by [`Interfaces::add_route`](super::Interfaces::add_route).
    pub fn insert(&mut self, route: Route) -> Result<(), TableError> {
        let destination = route.destination.network();
        let key = |of: &Route| (of.destination, of.metric, of.mark);
        let taken = |other: &Route| key(other) == (destination, route.metric, route.mark);
        if self.family(destination.address).iter().any(taken) {
            return Err(TableError::Exists);
        }
        self.append(route)
    }

    /// Adds a route after those to the same network with the same metric. Interfaces on one network each have a
    /// route to it, and the first wins.
    pub(super) fn append(&mut self, route: Route) -> Result<(), TableError> {
        if self.v4.len() + self.v6.len() >= MAX_ROUTES {
            return Err(TableError::Full);
        }
        let route = Route { destination: route.destination.network(), ..route };
        self.generation = self.generation.wrapping_add(1);
        let routes = self.family_mut(route.destination.address);
        let index = routes.partition_point(|other| rank(other) <= rank(&route));
        routes.insert(index, route);
        Ok(())
    }

    /// Removes the first route to `destination`, of any metric or of the one given, and returns it. Fails with
    /// [`TableError::NotFound`].
    pub fn remove(&mut self, destination: IpCidr, metric: Option<u32>) -> Result<Route, TableError> {
        let destination = destination.network();
        let routes = self.family_mut(destination.address);
        let index = routes
            .iter()
            .position(|route| {
                route.destination == destination && metric.is_none_or(|wanted| route.metric == wanted)
            })
            .ok_or(TableError::NotFound)?;
        let removed = routes.remove(index);
        self.generation = self.generation.wrapping_add(1);
        Ok(removed)
    }

    /// Keeps the routes that `keep` is true of.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Route) -> bool) {
        let before = self.v4.len() + self.v6.len();
        self.v4.retain(&mut keep);
        self.v6.retain(keep);
        if self.v4.len() + self.v6.len() != before {
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// A number that is another one after each change.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The best route to `destination`; where an interface is given, the best that leaves there.
    //= RFC 1122 §3.3.1.2
    //= RFC 1122 §3.3.1.2 MUST-2
    pub fn lookup(&self, destination: IpAddr, interface: Option<InterfaceId>) -> Option<&Route> {
        self.matches(destination).find(|route| interface.is_none_or(|wanted| route.interface == wanted))
    }

    /// All routes to `destination` of packets without a mark, the best first.
    pub fn matches(&self, destination: IpAddr) -> impl Iterator<Item = &Route> {
        self.matches_with(destination, None)
    }

    /// All routes to `destination`, the best first: those of the mark, then those of any.
    pub fn matches_marked(
        &self,
        destination: IpAddr,
        mark: Option<NonZeroU32>,
    ) -> impl Iterator<Item = &Route> {
        let marked = mark.into_iter().flat_map(move |mark| self.matches_with(destination, Some(mark)));
        marked.chain(self.matches(destination))
    }

    fn matches_with(&self, destination: IpAddr, mark: Option<NonZeroU32>) -> impl Iterator<Item = &Route> {
        let suits = move |route: &&Route| route.mark == mark && route.destination.contains(destination);
        self.family(destination).iter().filter(suits)
    }

    /// All routes, by family, the longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.v4.iter().chain(&self.v6)
    }

    fn family(&self, address: IpAddr) -> &Vec<Route> {
        match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }

    fn family_mut(&mut self, address: IpAddr) -> &mut Vec<Route> {
        match address {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

/// Routes stand in this order, so the first that matches is the best.
fn rank(route: &Route) -> (core::cmp::Reverse<u8>, u32) {
    (core::cmp::Reverse(route.destination.prefix_len), route.metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cmp::Reverse;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    fn direct(destination: &str, interface: u8, metric: u32) -> Route {
        Route { metric, ..Route::direct(destination.parse().unwrap(), InterfaceId(interface)) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_do_not_make_another_network() {
        let mut table = RoutingTable::new();
        table.insert(direct("10.0.0.1/24", 1, 0)).unwrap();
        assert_eq!(table.insert(direct("10.0.0.2/24", 1, 0)), Err(TableError::Exists));
        table.insert(direct("10.0.0.2/24", 1, 1)).unwrap();
        assert_eq!(table.remove("10.0.0.9/24".parse().unwrap(), Some(1)).unwrap().metric, 1);
        assert_eq!(table.remove("10.0.0.0/24".parse().unwrap(), Some(1)), Err(TableError::NotFound));
    }

    #[test]
    fn the_first_appended_of_equals_wins() {
        let mut table = RoutingTable::new();
        table.append(direct("fe80::/64", 2, 256)).unwrap();
        table.append(direct("fe80::/64", 1, 256)).unwrap();
        assert_eq!(table.lookup(ip("fe80::1"), None).unwrap().interface, InterfaceId(2));
        assert_eq!(table.lookup(ip("fe80::1"), Some(InterfaceId(1))).unwrap().interface, InterfaceId(1));
        assert_eq!(table.lookup(ip("fe80::1"), Some(InterfaceId(3))), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = RoutingTable::new();
        for metric in 0..MAX_ROUTES as u32 {
            table.insert(direct("10.0.0.0/8", 1, metric)).unwrap();
        }
        assert_eq!(table.insert(direct("::/0", 1, 0)), Err(TableError::Full));
        assert_eq!(table.iter().count(), MAX_ROUTES);
    }

    /// Addresses that differ in a few bits at both ends, so that prefixes of all lengths match now and then.
    fn address() -> impl Strategy<Value = IpAddr> {
        (any::<bool>(), 0u8..4, 0u8..4).prop_map(|(v6, high, low)| {
            if v6 {
                IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 126 | u128::from(low)))
            } else {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 30 | u32::from(low)))
            }
        })
    }

    fn cidr() -> impl Strategy<Value = IpCidr> {
        (address(), prop_oneof![0u8..4, 28u8..34, 124u8..129])
            .prop_map(|(address, len)| IpCidr::new(address, len))
    }

    proptest! {
        //= RFC 1122 §3.3.1.2, type=test
        #[test]
        fn finds_what_a_naive_search_finds(
            routes in proptest::collection::vec((cidr(), 0u8..3, 0u32..3), 0..40),
            removed in proptest::collection::vec(cidr(), 0..5),
            wanted in proptest::collection::vec((address(), proptest::option::of(0u8..3)), 1..20),
        ) {
            let mut table = RoutingTable::new();
            let mut model: Vec<Route> = Vec::new();
            for (destination, interface, metric) in routes {
                let route = Route { metric, ..Route::direct(destination, InterfaceId(interface)) };
                let taken = model.iter().any(|other| {
                    other.destination.network() == destination.network() && other.metric == metric
                });
                prop_assert_eq!(table.insert(route).is_err(), taken);
                if !taken {
                    model.push(route);
                }
            }
            for destination in removed {
                let same = |route: &Route| route.destination.network() == destination.network();
                while table.remove(destination, None).is_ok() {}
                model.retain(|route| !same(route));
            }
            for (address, interface) in wanted {
                let interface = interface.map(InterfaceId);
                let expected = model
                    .iter()
                    .filter(|route| route.destination.contains(address))
                    .filter(|route| interface.is_none_or(|wanted| route.interface == wanted))
                    .min_by_key(|route| (Reverse(route.destination.network().prefix_len), route.metric));
                let found = table.lookup(address, interface);
                prop_assert_eq!(
                    found.map(|route| (route.destination, route.metric, route.interface)),
                    expected.map(|route| (route.destination.network(), route.metric, route.interface))
                );
            }
        }
    }
}
