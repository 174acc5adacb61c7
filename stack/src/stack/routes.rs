//! Routes, rules and neighbours that are set by hand, and the ways that packets of ours take by them.

use core::net::{IpAddr, SocketAddr};

use crate::counters::Counter;
use crate::iface::{
    InterfaceError, InterfaceId, IpCidr, NextHop, Route, RouteError, Rule, TableError, TableId, Way,
};
use crate::time::Instant;
use crate::wire::{EthernetAddress, IpProtocol};

use super::Stack;

impl Stack {
    /// Adds a route.
    pub fn add_route(&mut self, route: Route) -> Result<(), TableError> {
        self.interfaces.add_route(route)
    }

    /// Removes the first route of the main table to `destination`, of any metric or of the one given, and returns it.
    pub fn remove_route(&mut self, destination: IpCidr, metric: Option<u32>) -> Result<Route, TableError> {
        self.interfaces.remove_route(destination, metric)
    }

    /// The same of another table.
    pub fn remove_route_from(
        &mut self,
        table: TableId,
        destination: IpCidr,
        metric: Option<u32>,
    ) -> Result<Route, TableError> {
        self.interfaces.routes_mut().remove_from(table, destination, metric)
    }

    /// Adds a rule, which says whose packets look for their way in which table (ip-rule(8)).
    ///
    /// ```
    /// use tapsock_stack::config::Config;
    /// use tapsock_stack::iface::{Rule, TableId};
    /// use tapsock_stack::stack::Stack;
    /// use tapsock_stack::time::Instant;
    ///
    /// let mut stack = Stack::new(Config::default(), 1, Instant::ZERO);
    /// let rule = Rule::from_prefix(100, "10.1.0.0/16".parse().unwrap(), TableId(7));
    /// stack.add_rule(rule).unwrap();
    /// assert!(stack.interfaces().routes().rules().any(|known| *known == rule));
    /// stack.remove_rule(&rule).unwrap();
    /// ```
    ///
    /// Fails with [`TableError::Exists`] or [`TableError::Full`].
    pub fn add_rule(&mut self, rule: Rule) -> Result<(), TableError> {
        self.interfaces.routes_mut().add_rule(rule)
    }

    /// Removes a rule. Fails with [`TableError::NotFound`].
    pub fn remove_rule(&mut self, rule: &Rule) -> Result<(), TableError> {
        self.interfaces.routes_mut().remove_rule(rule)
    }

    /// Sets a neighbour's link address (ip-neighbour(8)): it is never asked for, doubted or forgotten. What waits for it goes.
    ///
    /// Fails with [`InterfaceError::Missing`] (ENODEV) or [`InterfaceError::Full`] (ENOBUFS).
    pub fn add_neighbor(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        station: EthernetAddress,
    ) -> Result<(), InterfaceError> {
        self.interfaces.interface(interface).ok_or(InterfaceError::Missing)?;
        let made = self.neighbors.insert_permanent(interface, address, station, &mut self.counters);
        self.run_neighbor_actions(now);
        if made { Ok(()) } else { Err(InterfaceError::Full) }
    }

    /// Forgets a neighbour, set by hand or not. Fails with [`InterfaceError::NotFound`] (ENOENT).
    pub fn remove_neighbor(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
    ) -> Result<(), InterfaceError> {
        let known = self.neighbors.remove(interface, address, &mut self.counters);
        self.run_neighbor_actions(now);
        if known { Ok(()) } else { Err(InterfaceError::NotFound) }
    }

    /// The way of a packet of ours; that there is none is counted.
    pub(super) fn route_out(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        way: &Way,
    ) -> Result<NextHop, RouteError> {
        self.route_flow_out(destination, source, way, None)
    }

    /// The number of a flow of our own from a port, where flows are shared among several ways by their ports: as Linux, by the
    /// setting that holds for the flows of others.
    pub(super) fn own_flow(&self, protocol: IpProtocol, port: u16, remote: SocketAddr) -> Option<u32> {
        let (policy, destination) = match remote.ip() {
            IpAddr::V4(v4) => (self.config.fib_multipath_hash_policy, v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => (self.config.ipv6_fib_multipath_hash_policy, v6.octets()),
        };
        let (port, remote_port) = (port.to_be_bytes(), remote.port().to_be_bytes());
        let parts: [&[u8]; 4] = [&destination, &port, &remote_port, &[protocol.0]];
        (policy == 1).then(|| (self.secret.hash(&parts) >> 32) as u32)
    }

    /// The same of a flow.
    pub(super) fn route_flow_out(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        way: &Way,
        flow: Option<u32>,
    ) -> Result<NextHop, RouteError> {
        let hop = self.interfaces.route_flow(destination, source, way, flow);
        if hop == Err(RouteError::NoRoute) {
            let v4 = destination.is_ipv4();
            self.counters.bump(if v4 { Counter::IpOutNoRoutes } else { Counter::Ip6OutNoRoutes });
        }
        hop
    }

    /// The same of all packets of a socket. Where its source follows from the way, the rules are asked once more, for some
    /// may be about that source: as Linux does for `connect`.
    pub(super) fn way_to(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        way: &Way,
    ) -> Result<NextHop, RouteError> {
        let hop = self.route_out(destination, source, way)?;
        let by_source = self.interfaces.routes().rules().any(|rule| rule.from.is_some());
        if source.is_some() || !by_source {
            return Ok(hop);
        }
        self.route_out(destination, Some(hop.source), way)
    }
}
