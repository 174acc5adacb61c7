//! Interfaces, their addresses and routes, and the neighbours on their links.
//!
//! Data structures only: frames go in as values and come out as values, and nothing here knows the stack. What a
//! packet on its way out asks, in order: [`Interfaces::route`] (once a connection), [`NeighborCache::lookup`] (each
//! frame), [`NeighborCache::resolve`] (where the neighbour is not known yet).

mod cidr;
mod deadlines;
#[cfg(test)]
mod fixture;
mod interface;
mod interfaces;
mod next_hop;
mod route;
mod rules;
mod solicitation;
mod source;

pub mod acd;
pub mod arp;
pub mod dhcp;
pub mod multicast;
pub mod ndp;
pub mod neighbor;
pub mod slaac;

pub use cidr::{CidrError, IpCidr};
pub use interface::{
    AssignedAddress, Interface, InterfaceId, LinkState, MAX_ADDRESSES, MAX_JOINED, Preference, Stay,
};
pub use interfaces::{HostModel, InterfaceError, Interfaces, MAX_INTERFACES, ReversePath};
pub use neighbor::{
    NeighborAction, NeighborCache, NeighborConfig, NeighborEntry, NeighborPolicy, NudState, PacketTag,
    Resolution,
};
pub use next_hop::{Addresses, Delivery, NextHop, PreferredSource, RouteError, Way};
pub use route::{MAX_NEXT_HOPS, MAX_ROUTES, Route, RouteKind, RoutingTable, TableError};
pub use rules::{MAX_RULES, Rule, TableId};
pub use solicitation::solicitation;
