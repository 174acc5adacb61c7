//! The routing tables: the longest prefix wins, then the least metric. Rules say which of several tables is asked.

use core::fmt;
use core::net::IpAddr;
use core::num::{NonZeroU8, NonZeroU32};

use super::rules::{Rule, Rules, TableId};
use super::{InterfaceId, IpCidr};
use crate::tcp::TcpMetrics;

/// Routes that a stack can have, in all tables together.
pub const MAX_ROUTES: usize = 1024;

/// Next hops that flows to one network can be shared among.
pub const MAX_NEXT_HOPS: usize = 64;

/// What becomes of the packets of a route (ip-route(8)).
///
/// ```
/// use tapsock_stack::iface::{Route, RouteKind};
///
/// let route = Route::refusing("10.1.0.0/16".parse().unwrap(), RouteKind::Blackhole);
/// assert_eq!(route.to_string(), "blackhole 10.1.0.0/16");
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum RouteKind {
    /// They go on.
    #[default]
    Unicast,
    /// They are dropped without a word; our own senders are told by EINVAL.
    Blackhole,
    /// They are dropped, and their senders told that the host is unreachable (EHOSTUNREACH).
    Unreachable,
    /// They are dropped, and their senders told that this is forbidden (EACCES).
    Prohibited,
    /// The table is left, as if it had no route: the next rule says where to look.
    Throw,
}

impl RouteKind {
    /// How ip-route(8) writes it before the network; nothing for the usual kind.
    pub const fn name(self) -> &'static str {
        match self {
            RouteKind::Unicast => "",
            RouteKind::Blackhole => "blackhole",
            RouteKind::Unreachable => "unreachable",
            RouteKind::Prohibited => "prohibit",
            RouteKind::Throw => "throw",
        }
    }
}

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
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// The table that it stands in: rules say whose packets look there.
    pub table: TableId,
    /// Whether the gateway is taken to be on the link, whatever addresses and routes say (`onlink`).
    pub onlink: bool,
    /// Its share of the flows, beside routes to the same network with the same metric that have one too (`nexthop … weight`).
    /// `None`: of equals the first takes all.
    pub weight: Option<NonZeroU8>,
    /// The largest segment that TCP announces over it, in bytes, where the link allows more.
    pub advmss: Option<u16>,
    /// The segments that a connection over it sends at first (`initcwnd`), and after an idle time; `None`: ten.
    pub initcwnd: Option<u16>,
    /// The segments that it offers room for at first, where the buffer has more (`initrwnd`).
    pub initrwnd: Option<u16>,
}

impl Route {
    /// A route to a network that is on the link of `interface`, with metric 0.
    pub const fn direct(destination: IpCidr, interface: InterfaceId) -> Self {
        Route {
            destination,
            gateway: None,
            interface,
            metric: 0,
            source: None,
            mtu: None,
            mark: None,
            kind: RouteKind::Unicast,
            table: TableId::MAIN,
            onlink: false,
            weight: None,
            advmss: None,
            initcwnd: None,
            initrwnd: None,
        }
    }

    /// What it says of connections.
    pub const fn tcp_metrics(&self) -> TcpMetrics {
        let Route { advmss, initcwnd, initrwnd, .. } = *self;
        TcpMetrics { advmss, initcwnd, initrwnd }
    }

    /// A route whose packets go nowhere, with metric 0.
    pub const fn refusing(destination: IpCidr, kind: RouteKind) -> Self {
        Route { kind, ..Route::direct(destination, InterfaceId::LOOPBACK) }
    }

    /// A route through `gateway`, with metric 0.
    pub const fn via(destination: IpCidr, gateway: IpAddr, interface: InterfaceId) -> Self {
        Route { gateway: Some(gateway), ..Route::direct(destination, interface) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteKind::Unicast => write!(f, "{}", self.destination)?,
            kind => write!(f, "{} {}", kind.name(), self.destination)?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if self.kind == RouteKind::Unicast {
            write!(f, " dev {}", self.interface)?;
        }
        if self.table != TableId::MAIN {
            write!(f, " table {}", self.table)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        if let Some(mark) = self.mark {
            write!(f, " fwmark {mark:#x}")?;
        }
        if self.onlink {
            write!(f, " onlink")?;
        }
        if let Some(weight) = self.weight {
            write!(f, " weight {weight}")?;
        }
        for (name, value) in [
            ("mtu", self.mtu),
            ("advmss", self.advmss),
            ("initcwnd", self.initcwnd),
            ("initrwnd", self.initrwnd),
        ] {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
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
    /// There is no such route or rule to be removed (ESRCH for a route, ENOENT for a rule).
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
    rules: Rules,
    /// Counts changes.
    generation: u32,
}

impl RoutingTable {
    /// An empty table.
    pub fn new() -> Self {
        RoutingTable::default()
    }

    /// Adds a route. Fails with [`TableError::Exists`] or [`TableError::Full`]; what the route refers to is checked
    /// by [`Interfaces::add_route`](super::Interfaces::add_route). One with a weight goes beside others that have one
    /// and lead elsewhere.
    pub fn insert(&mut self, route: Route) -> Result<(), TableError> {
        let route = Route { destination: route.destination.network(), ..route };
        let rivals = self.family(route.destination.address).iter().filter(|other| is_rival(other, &route));
        let leads = |route: &Route| (route.gateway, route.interface);
        let mut shares = 0;
        for rival in rivals {
            if rival.weight.is_none() || route.weight.is_none() || leads(rival) == leads(&route) {
                return Err(TableError::Exists);
            }
            shares += 1;
        }
        if shares >= MAX_NEXT_HOPS {
            return Err(TableError::Full);
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

    /// Removes the first route of the main table to `destination`, of any metric or of the one given, and returns it.
    /// Fails with [`TableError::NotFound`].
    pub fn remove(&mut self, destination: IpCidr, metric: Option<u32>) -> Result<Route, TableError> {
        self.remove_from(TableId::MAIN, destination, metric)
    }

    /// The same of another table.
    pub fn remove_from(
        &mut self,
        table: TableId,
        destination: IpCidr,
        metric: Option<u32>,
    ) -> Result<Route, TableError> {
        let destination = destination.network();
        let routes = self.family_mut(destination.address);
        let index = routes
            .iter()
            .position(|route| {
                (route.table, route.destination) == (table, destination)
                    && metric.is_none_or(|wanted| route.metric == wanted)
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

    /// The rules that say which table is asked.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Adds a rule after those with the same priority. Fails with [`TableError::Exists`] or [`TableError::Full`].
    pub fn add_rule(&mut self, rule: Rule) -> Result<(), TableError> {
        self.rules.add(rule)?;
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// Removes a rule. Fails with [`TableError::NotFound`].
    pub fn remove_rule(&mut self, rule: &Rule) -> Result<(), TableError> {
        self.rules.remove(rule)?;
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// The best route of the main table to `destination`; where an interface is given, the best that leaves there.
    //= RFC 1122 §3.3.1.2
    //= RFC 1122 §3.3.1.2 MUST-2
    pub fn lookup(&self, destination: IpAddr, interface: Option<InterfaceId>) -> Option<&Route> {
        self.matches(destination).find(|route| interface.is_none_or(|wanted| route.interface == wanted))
    }

    /// All routes of the main table to `destination` of packets without a mark, the best first.
    pub fn matches(&self, destination: IpAddr) -> impl Iterator<Item = &Route> {
        self.matches_with(destination, TableId::MAIN, None)
    }

    /// All routes for packets from `source` to `destination`, the best first: in the tables that the rules name, in
    /// their order, those of the mark, then those of any.
    pub fn matches_by_rules(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        mark: Option<NonZeroU32>,
    ) -> impl Iterator<Item = &Route> {
        self.rules.tables(destination, source, mark).flat_map(move |table| {
            let marked =
                mark.into_iter().flat_map(move |mark| self.matches_with(destination, table, Some(mark)));
            let found = marked.chain(self.matches_with(destination, table, None));
            found.take_while(|route| route.kind != RouteKind::Throw)
        })
    }

    /// The route that a flow takes of those that share the flows with `route`, where there are several and `usable` is
    /// true of them. Which one follows from `flow`, any number that is the same for all packets of the flow.
    pub fn share<'a>(&'a self, route: &'a Route, flow: u32, usable: impl Fn(&Route) -> bool) -> &'a Route {
        if route.weight.is_none() {
            return route;
        }
        let weight = |route: &Route| route.weight.map_or(0, |weight| u64::from(weight.get()));
        let rivals = || {
            let rivals = self.family(route.destination.address).iter();
            rivals.filter(|other| is_rival(other, route) && usable(other))
        };
        let total: u64 = rivals().map(weight).sum();
        // The number's place in the whole range is the flow's place among the shares.
        let mut place = (u64::from(flow) * total) >> 32;
        for rival in rivals() {
            match place.checked_sub(weight(rival)) {
                Some(rest) => place = rest,
                None => return rival,
            }
        }
        route
    }

    fn matches_with(
        &self,
        destination: IpAddr,
        table: TableId,
        mark: Option<NonZeroU32>,
    ) -> impl Iterator<Item = &Route> {
        let suits = move |route: &&Route| {
            route.mark == mark && route.table == table && route.destination.contains(destination)
        };
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

/// Whether the two are ways for the same packets, of which neither goes before the other.
fn is_rival(one: &Route, other: &Route) -> bool {
    let key = |of: &Route| (of.table, of.destination, of.metric, of.mark);
    key(one) == key(other)
}

/// Routes stand in this order, so the first that matches is the best.
fn rank(route: &Route) -> (core::cmp::Reverse<u8>, u32) {
    (core::cmp::Reverse(route.destination.prefix_len), route.metric)
}

#[cfg(test)]
mod tests;
