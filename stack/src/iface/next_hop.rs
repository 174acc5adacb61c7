//! Where a packet goes next.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::num::NonZeroU32;

use super::interface::{Interface, InterfaceId, LinkState, is_link_local};
use super::interfaces::{HostModel, Interfaces, LOOPBACK_MTU};
use super::{Route, RouteKind, source};
use crate::tcp::TcpMetrics;
use crate::wire::{EthernetAddress, Ipv6Header};

impl Interfaces {
    /// Where a packet to `destination` goes next, and the source address that it has where `source` leaves that open.
    /// `interface` holds it to one interface; packets to ourselves go over `lo` nevertheless.
    ///
    /// Meant to be asked once a connection. The caller resolves the unspecified address first (Linux: to ourselves).
    pub fn route(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<InterfaceId>,
    ) -> Result<NextHop, RouteError> {
        self.route_by(destination, source, &Way { device: interface, ..Way::default() })
    }

    /// The same of the packets of a socket that says more of their way. Of several equal ways one is taken by the
    /// destination: the source may be known only when the way is.
    //= RFC 1122 §3.3.1.1 MUST-1
    //= RFC 1122 §3.3.1.1 MUST-2
    //= RFC 1122 §3.3.1.2 MUST-2
    //= RFC 1122 §3.2.1.3 MUST-2
    //= RFC 1122 §3.3.4.2 MUST-1
    //= RFC 6724 §1 MUST-1
    //= RFC 6724 §4 MUST-6
    //= RFC 6724 §4 MUST-7
    pub fn route_by(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        way: &Way,
    ) -> Result<NextHop, RouteError> {
        self.route_flow(destination, source, way, None)
    }

    /// The same of a flow: of several equal ways, packets with the same number take the same. All that have none, of one
    /// destination, are one flow.
    pub fn route_flow(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        way: &Way,
        flow: Option<u32>,
    ) -> Result<NextHop, RouteError> {
        let flow = flow.unwrap_or_else(|| flow_to(destination));
        let interface = way.device;
        if let Some(source) = source
            && (source.is_ipv4() != destination.is_ipv4()
                || !self.is_local(source) && way.addresses == Addresses::Ours)
        {
            return Err(RouteError::NoSource);
        }
        if self.is_local(destination) {
            return Ok(self.route_to_ourselves(destination, source));
        }
        if destination.is_unspecified() {
            return Err(RouteError::NoRoute);
        }
        let interface = interface.or_else(|| self.link_of(source?, destination));
        let wanted = Wanted { interface, source, mark: way.mark, flow };
        let (outgoing, route) = self.way_out(destination, &wanted)?;
        if source.is_some_and(|source| source.is_loopback()) && !outgoing.is_loopback() {
            return Err(RouteError::BadSource);
        }
        let delivery = if destination.is_multicast() {
            Delivery::Multicast
        } else if self.is_broadcast(outgoing.id(), destination) {
            Delivery::Broadcast
        } else {
            Delivery::Unicast
        };
        let gateway = route.and_then(|route| route.gateway).filter(|_| delivery == Delivery::Unicast);
        let next_hop = gateway.unwrap_or(destination);
        let source = source
            .or(route.and_then(|route| route.source))
            .or_else(|| self.source_by(destination, next_hop, outgoing, way.source))
            .ok_or(RouteError::NoSource)?;
        let link_mtu = outgoing.mtu_of(destination).min(most(destination));
        let mtu = route.and_then(|route| route.mtu).map_or(link_mtu, |mtu| usize::from(mtu).min(link_mtu));
        let tcp = route.map(Route::tcp_metrics).unwrap_or_default();
        Ok(NextHop { interface: outgoing.id(), next_hop, source, mtu, delivery, tcp })
    }

    /// The interface that a source of ours holds a packet to, where it is link-local, or all are held to theirs; as on Linux,
    /// also where it is one of IPv4 for a group or for everybody on the link.
    fn link_of(&self, source: IpAddr, destination: IpAddr) -> Option<InterfaceId> {
        let strong = self.model() == HostModel::Strong && !source.is_loopback();
        let for_many = match destination {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        let held = for_many || strong || source.is_ipv6() && is_link_local(source);
        let has = |interface: &&Interface| {
            interface.owns(source) || for_many && source.is_loopback() && interface.is_loopback()
        };
        self.iter().filter(|_| held).find(has).map(Interface::id)
    }

    /// The source for a packet of ours to `destination`, which is on the link of `interface` or is reached by
    /// `next_hop` there.
    pub(super) fn source_for(
        &self,
        destination: IpAddr,
        next_hop: IpAddr,
        interface: &Interface,
    ) -> Option<IpAddr> {
        self.source_by(destination, next_hop, interface, PreferredSource::Any)
    }

    fn source_by(
        &self,
        destination: IpAddr,
        next_hop: IpAddr,
        interface: &Interface,
        preferred: PreferredSource,
    ) -> Option<IpAddr> {
        let all = match self.model() {
            HostModel::Weak => self.as_slice(),
            HostModel::Strong => core::slice::from_ref(interface),
        };
        source::select(destination, next_hop, interface, all, preferred)
    }

    /// The address of ours that stands for this router in a packet to `destination` over that hop.
    pub(crate) fn source_towards(&self, destination: IpAddr, hop: Option<&NextHop>) -> Option<IpAddr> {
        let hop = hop?;
        self.source_for(destination, hop.next_hop, self.interface(hop.interface)?)
    }

    fn route_to_ourselves(&self, destination: IpAddr, source: Option<IpAddr>) -> NextHop {
        let default_source = match destination {
            IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => destination,
        };
        NextHop {
            interface: InterfaceId::LOOPBACK,
            next_hop: destination,
            source: source.unwrap_or(default_source),
            mtu: most(destination).min(LOOPBACK_MTU),
            delivery: Delivery::Unicast,
            tcp: TcpMetrics::default(),
        }
    }

    /// The interface that a packet leaves at, with the route that says so. Groups and 255.255.255.255 need no route
    /// where the interface is given, and IPv6 groups none at all: each interface but the loopback leads to them.
    fn way_out(
        &self,
        destination: IpAddr,
        &Wanted { interface: wanted, source, mark, flow }: &Wanted,
    ) -> Result<(&Interface, Option<&Route>), RouteError> {
        let is_group = destination.is_multicast() || destination == IpAddr::V4(Ipv4Addr::BROADCAST);
        // As on Linux, the loopback leads to groups of IPv4 alone.
        let leads = |outgoing: &&Interface| destination.is_ipv4() || !outgoing.is_loopback();
        let named = wanted.and_then(|wanted| self.interface(wanted)).filter(|_| is_group).filter(leads);
        if let Some(outgoing) = named {
            return if outgoing.link() == LinkState::Up {
                Ok((outgoing, None))
            } else {
                Err(RouteError::Down)
            };
        }
        let mut down = false;
        for route in self.routes().matches_by_rules(destination, source, mark) {
            match route.kind {
                RouteKind::Unicast | RouteKind::Throw => {}
                RouteKind::Blackhole => return Err(RouteError::Blackhole),
                RouteKind::Unreachable => return Err(RouteError::Unreachable),
                RouteKind::Prohibited => return Err(RouteError::Prohibited),
            }
            let route = self.routes().share(route, flow, |share| self.is_up(share.interface, wanted));
            let Some(outgoing) = self.interface(route.interface) else {
                continue;
            };
            if wanted.is_some_and(|wanted| wanted != outgoing.id()) {
                continue;
            }
            if outgoing.link() == LinkState::Up {
                return Ok((outgoing, Some(route)));
            }
            down = true;
        }
        if is_group && destination.is_ipv6() {
            let usable = |other: &&Interface| {
                let has_address = other.addresses().iter().any(|own| own.cidr.address.is_ipv6());
                let is_wanted = wanted.is_none_or(|wanted| wanted == other.id());
                !other.is_loopback() && other.link() == LinkState::Up && has_address && is_wanted
            };
            if let Some(outgoing) = self.iter().find(usable) {
                return Ok((outgoing, None));
            }
        }
        // As on Linux, an interface that was named leads to all hosts of IPv4 that no route knows: they are taken to be on
        // its link.
        if destination.is_ipv4()
            && let Some(outgoing) = wanted.and_then(|wanted| self.interface(wanted))
            && outgoing.link() == LinkState::Up
        {
            return Ok((outgoing, None));
        }
        Err(if down { RouteError::Down } else { RouteError::NoRoute })
    }

    /// Whether an interface is up, and the one that is wanted.
    fn is_up(&self, id: InterfaceId, wanted: Option<InterfaceId>) -> bool {
        let up = self.interface(id).is_some_and(|found| found.link() == LinkState::Up);
        up && wanted.is_none_or(|wanted| wanted == id)
    }
}

/// What is known of a packet whose way is looked for.
struct Wanted {
    interface: Option<InterfaceId>,
    source: Option<IpAddr>,
    mark: Option<NonZeroU32>,
    flow: u32,
}

/// The number of all flows of ours to a destination.
fn flow_to(destination: IpAddr) -> u32 {
    let bits = match destination {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
    };
    // The upper bits of the product depend on all of the number.
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// The largest packet that the header can name, in bytes: IPv4 counts the header in, IPv6 does not.
fn most(destination: IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => u16::MAX.into(),
        IpAddr::V6(_) => Ipv6Header::LEN + usize::from(u16::MAX),
    }
}

/// Where a packet goes next.
///
/// ```
/// use tapsock_stack::iface::{Delivery, InterfaceId, Interfaces};
///
/// let hop = Interfaces::new().route("127.0.0.5".parse().unwrap(), None, None).unwrap();
/// assert_eq!((hop.interface, hop.delivery), (InterfaceId::LOOPBACK, Delivery::Unicast));
/// assert_eq!(hop.source.to_string(), "127.0.0.1");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NextHop {
    /// Where it leaves.
    pub interface: InterfaceId,
    /// The router, or the destination itself where it is on the link.
    pub next_hop: IpAddr,
    /// The source address.
    pub source: IpAddr,
    /// Largest IP packet of link and route, in bytes.
    pub mtu: usize,
    /// Whom the destination means.
    pub delivery: Delivery,
    /// What the route says of connections.
    pub tcp: TcpMetrics,
}

impl NextHop {
    /// The link address of a destination that means several hosts. One host's address is the neighbour cache's
    /// business: `None`.
    //= RFC 1122 §3.3.6 MUST-2
    pub fn group_address(&self) -> Option<EthernetAddress> {
        match self.delivery {
            Delivery::Unicast => None,
            Delivery::Broadcast => Some(EthernetAddress::BROADCAST),
            Delivery::Multicast => Some(EthernetAddress::multicast_for(self.next_hop)),
        }
    }
}

/// What the options of a socket say of the way of its packets.
///
/// ```
/// use tapsock_stack::iface::{Interfaces, Way};
///
/// let hop = Interfaces::new().route_by("127.0.0.5".parse().unwrap(), None, &Way::default()).unwrap();
/// assert_eq!(hop.source.to_string(), "127.0.0.1");
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Way {
    /// The only interface to send and receive by, but for packets to ourselves (`SO_BINDTODEVICE`).
    pub device: Option<InterfaceId>,
    /// Whose routes come before those for all (`SO_MARK`).
    pub mark: Option<NonZeroU32>,
    /// Which addresses it may send from.
    pub addresses: Addresses,
    /// Which of them goes first where it sends from none by name (`IPV6_ADDR_PREFERENCES`).
    pub source: PreferredSource,
}

/// Which addresses of IPv6 a socket prefers to send from (RFC 5014).
///
/// ```
/// use tapsock_stack::iface::{PreferredSource, Way};
///
/// assert_eq!(Way::default().source, PreferredSource::Any);
/// ```
//= RFC 6724 §5 MUST-5
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum PreferredSource {
    /// What the interface's `use_tempaddr` says.
    #[default]
    Any,
    /// Those that last.
    Lasting,
    /// Temporary ones.
    Temporary,
}

/// From which addresses a socket may send, and at which it receives.
///
/// ```
/// use tapsock_stack::iface::Addresses;
///
/// assert_eq!(Addresses::default(), Addresses::Ours);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Addresses {
    /// Those of the host.
    #[default]
    Ours,
    /// Any that it is bound to (`IP_TRANSPARENT`).
    Any,
}

/// Whom a destination means.
///
/// ```
/// use tapsock_stack::iface::Delivery;
///
/// assert_ne!(Delivery::Broadcast, Delivery::Multicast);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// One host.
    Unicast,
    /// Every host on the link; a sender needs SO_BROADCAST.
    Broadcast,
    /// A group.
    Multicast,
}

/// Why a packet can't leave.
///
/// ```
/// use tapsock_stack::iface::{Interfaces, RouteError};
///
/// let nowhere = "192.0.2.1".parse().unwrap();
/// assert_eq!(Interfaces::new().route(nowhere, None, None), Err(RouteError::NoRoute));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum RouteError {
    /// No route leads there (ENETUNREACH).
    NoRoute,
    /// The source given is not ours, or none of ours will do (EADDRNOTAVAIL).
    NoSource,
    /// The source given is a loopback address, and the packet would leave the host (EINVAL).
    BadSource,
    /// The interfaces that lead there are down (ENETDOWN).
    Down,
    /// A route says that what goes there is dropped (EINVAL).
    Blackhole,
    /// A route says that there is no way (EHOSTUNREACH).
    Unreachable,
    /// A route says that this is forbidden (EACCES).
    Prohibited,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RouteError::NoRoute => "no route leads there",
            RouteError::NoSource => "no address of ours will do as the source",
            RouteError::BadSource => "a loopback address can't leave the host",
            RouteError::Down => "the link is down",
            RouteError::Blackhole => "a route drops what goes there",
            RouteError::Unreachable => "a route says that there is no way",
            RouteError::Prohibited => "a route forbids it",
        })
    }
}

impl core::error::Error for RouteError {}

#[cfg(test)]
mod tests;
