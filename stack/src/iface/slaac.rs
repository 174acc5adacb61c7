//! Addresses and routes of IPv6 that a host gives itself (RFC 4862), by what routers tell (RFC 4861 §6.3).
//!
//! The table sends nothing itself: what is to be sent or told comes out of [`Autoconf::poll_action`], which the stack
//! empties after each call that changes the table.

mod address;
mod config;
mod identifier;
mod learned;
mod told;

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use std::collections::VecDeque;

use super::interfaces::IPV6_MIN_MTU;
use super::{Interface, InterfaceError, InterfaceId, Interfaces, IpCidr, Route};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::EthernetAddress;
use crate::wire::ndp::{Lifetime, Nonce, PrefixInfo, RoutePreference, RouterAdvert, router_solicit};

use address::{Formation, Formed};
use learned::{LearnedRoutes, Source, through};
use told::Told;

pub use address::MAX_FORMED;
pub use config::AutoconfConfig;
pub(crate) use identifier::{join, of_station};
pub use learned::MAX_LEARNED;

/// Actions that may stand in the queue; what is beyond is lost, as on a busy link.
const MAX_ACTIONS: usize = 256;

/// How long a redirect holds that nothing confirms.
const REDIRECT_TIME: Duration = Duration::from_secs(600);

/// What the stack is to do for the table.
#[derive(Clone, Debug)]
pub enum AutoconfAction {
    /// Send this ICMPv6 packet to a group, from the IP header on.
    Send {
        /// Where.
        interface: InterfaceId,
        /// The group.
        to: Ipv6Addr,
        /// The packet.
        packet: Box<crate::buf::HeaderBlock>,
    },
    /// An address is ours from now on.
    Assigned {
        /// Of which interface.
        interface: InterfaceId,
        /// The address.
        address: Ipv6Addr,
    },
    /// Somebody else has the address.
    Duplicate {
        /// On which link.
        interface: InterfaceId,
        /// The address.
        address: Ipv6Addr,
    },
    /// An address is ours no more, or is not going to be.
    Lost {
        /// Of which interface.
        interface: InterfaceId,
        /// The address.
        address: Ipv6Addr,
    },
}

/// Questions to routers.
#[derive(Clone, Debug)]
struct Asking {
    left: u32,
    at: Turn,
    interval: Duration,
}

/// When a first question goes out, or the next.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Turn {
    /// When the link-local address is ours, which asks.
    WithAddress,
    /// At once its delay is drawn: what begins has no clock.
    Undrawn,
    At(Instant),
}

impl Turn {
    /// When there is something to be done.
    fn deadline(self) -> Option<Instant> {
        match self {
            Turn::WithAddress => None,
            Turn::Undrawn => Some(Instant::ZERO),
            Turn::At(at) => Some(at),
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// A time from now on that is not later than `most`.
    fn drawn(now: Instant, most: Duration, random: &mut Random) -> Turn {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Turn::At(now + Duration::from_nanos(random.range(0..=most)).max(Duration::from_nanos(1)))
    }
}

/// One interface's part of the table.
#[derive(Clone, Debug)]
struct Link {
    interface: InterfaceId,
    station: EthernetAddress,
    config: AutoconfConfig,
    asking: Option<Asking>,
    /// Whether IPv6 was given up, for somebody has the address that follows from the station.
    given_up: bool,
    formed: Vec<Formed>,
    routes: LearnedRoutes,
    /// Resolvers of names, and domains in which short names are looked for.
    resolvers: Told<Ipv6Addr>,
    domains: Told<String>,
    /// Resolvers, domains and addresses that there was no room for.
    refused: u64,
}

/// The table of all interfaces.
///
/// ```
/// use tapsock_stack::iface::slaac::Autoconf;
///
/// let autoconf = Autoconf::default();
/// assert_eq!(autoconf.poll_timeout(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Autoconf {
    links: Vec<Link>,
    actions: VecDeque<AutoconfAction>,
    /// Those that there was no room for.
    lost: u64,
    /// The secret of stable addresses where none is set; drawn when it is needed.
    secret: Option<u128>,
    next: Option<Instant>,
}

impl Autoconf {
    /// An interface is there: it gets its link-local address, and asks for routers where `config` says so.
    //= RFC 4862 §5.3
    //= RFC 4861 §2.3 MUST-1
    pub fn enable(
        &mut self,
        interface: InterfaceId,
        config: &AutoconfConfig,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(station) = interfaces.interface(interface).map(|found| found.hardware()) else { return };
        let asking = (config.accept_ra && config.router_solicitations > 0).then_some(Asking {
            left: config.router_solicitations,
            at: Turn::Undrawn,
            interval: Duration::ZERO,
        });
        let (config, formed) = (*config, Vec::new());
        self.links.retain(|link| link.interface != interface);
        self.links.push(Link {
            interface,
            station,
            config,
            asking,
            given_up: false,
            formed,
            routes: LearnedRoutes::default(),
            resolvers: Told::default(),
            domains: Told::default(),
            refused: 0,
        });
        let carries = interfaces.interface(interface).is_some_and(|found| found.caps().mtu >= IPV6_MIN_MTU);
        if carries && config.addr_gen_mode != AutoconfConfig::NO_LINK_LOCAL {
            let formation = Formation::link_local();
            self.form(interface, &formation, interfaces, random);
        }
        if let Some(link) = self.link_mut(interface)
            && link.formed.iter().any(Formed::is_tentative)
            && let Some(asking) = &mut link.asking
        {
            asking.at = Turn::WithAddress;
        }
        self.refresh();
    }

    /// Looks whether anybody else has an address before it is given to an interface. Returns false where it may be given
    /// at once, and an error where more are looked for than there may be ([`MAX_FORMED`]).
    //= RFC 4862 §5.4
    //= RFC 4862 §5.4 MUST-1
    //= RFC 4862 §5.4 MUST-3
    pub fn begin(
        &mut self,
        interface: InterfaceId,
        cidr: IpCidr,
        config: &AutoconfConfig,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) -> Result<bool, InterfaceError> {
        let IpAddr::V6(address) = cidr.address else { return Ok(false) };
        let Some(link) = self.link(interface).filter(|_| config.detects_duplicates()) else {
            return Ok(false);
        };
        if address.is_loopback() {
            return Ok(false);
        }
        if link.is_full() && !link.formed.iter().any(|formed| formed.address == address) {
            return Err(InterfaceError::Full);
        }
        self.form(interface, &Formation::by_hand(address, cidr.prefix_len), interfaces, random);
        self.refresh();
        Ok(true)
    }

    /// Forgets an address: it was taken from the interface.
    pub fn forget(&mut self, interface: InterfaceId, address: IpAddr, interfaces: &mut Interfaces) {
        if let (Some(link), IpAddr::V6(address)) = (self.link_mut(interface), address) {
            link.formed.retain_mut(|formed| {
                let keep = formed.address != address;
                if !keep {
                    formed.stop_probing(interface, interfaces);
                }
                keep
            });
        }
        self.refresh();
    }

    /// Whether IPv6 was given up on an interface: no address of it can be had there.
    pub fn has_given_up(&self, interface: InterfaceId) -> bool {
        self.link(interface).is_some_and(|link| link.given_up)
    }

    /// Whether it is not known yet if an address can be ours.
    pub fn is_tentative(&self, interface: InterfaceId, address: Ipv6Addr) -> bool {
        let formed = self.link(interface).into_iter().flat_map(|link| &link.formed);
        formed.into_iter().any(|formed| formed.address == address && formed.is_tentative())
    }

    /// The resolvers of names that routers told of, which may be asked at `now` (RFC 8106).
    pub fn resolvers(&self, now: Instant) -> impl Iterator<Item = (InterfaceId, Ipv6Addr)> + '_ {
        self.links
            .iter()
            .flat_map(move |link| link.resolvers.at(now).map(|address| (link.interface, *address)))
    }

    /// The domains in which names are looked for that are not whole, as routers told of them (RFC 8106).
    pub fn domains(&self, now: Instant) -> impl Iterator<Item = &str> + '_ {
        self.links.iter().flat_map(move |link| link.domains.at(now).map(String::as_str))
    }

    /// Takes a valid advertisement of `router`.
    //= RFC 4861 §6.3.4
    //= RFC 4861 §6.3.4 MUST-1
    //= RFC 4861 §6.3.7 MUST-1
    pub fn on_router_advert(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        (router, advert): (Ipv6Addr, &RouterAdvert),
        config: &AutoconfConfig,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        link.config = *config;
        if !config.accept_ra || link.given_up {
            return;
        }
        //= RFC 4861 §6.3.7
        if !advert.lifetime.is_zero() {
            link.asking = None;
        }
        link.refused += advert.left_out as u64;
        link.learn_routes(now, router, advert, interfaces);
        link.refused +=
            link.resolvers.learn(now, &advert.resolvers) + link.domains.learn(now, &advert.domains);
        if config.accept_ra_pinfo {
            for prefix in &advert.prefixes {
                if let Some(link) = self.link_mut(interface) {
                    link.learn_prefix(now, prefix, interfaces);
                }
                self.on_autonomous_prefix(now, interface, prefix, interfaces, random);
            }
        }
        self.refresh();
    }

    /// Takes a redirect. Returns whether it was believed: it is from the router that packets there go to.
    //= RFC 4861 §8.3
    //= RFC 1122 §3.2.2.2
    //= RFC 1122 §3.2.2.2 MUST-1
    //= RFC 1122 §3.2.2.2 SHLD-2
    //= RFC 4861 §8.1 MUST-4
    //= RFC 4861 §8.3 MUST-3
    //= RFC 1122 §3.3.1.2 MUST-1
    pub fn on_redirect(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        redirect: &Redirected,
        interfaces: &mut Interfaces,
    ) -> bool {
        let Redirected { router, target, destination } = *redirect;
        let hop = interfaces.route(destination, None, Some(interface)).ok();
        //= RFC 4861 §8.1
        let believed = hop.is_some_and(|hop| hop.next_hop == router && hop.interface == interface);
        let on_link = interfaces.interface(interface).is_some_and(|found| found.is_on_link(target));
        // As on Linux, one host's address.
        let one_host = !interfaces.is_local(target) && !interfaces.is_broadcast(interface, target);
        let reachable = target == destination || on_link && one_host;
        let Some(link) = self.link_mut(interface).filter(|_| believed && reachable) else { return false };
        let host = IpCidr::host(destination);
        let route = match target == destination {
            true => Route::direct(host, interface),
            false => Route::via(host, target, interface),
        };
        // It takes the place of an earlier one for the same destination.
        link.routes.unset_redirect(interfaces, host);
        link.routes.set(interfaces, route, Source::Redirect, Some(now + REDIRECT_TIME));
        self.refresh();
        true
    }

    /// A neighbour does not answer.
    //= RFC 4861 §7.3.3
    pub fn on_unreachable(&mut self, interface: InterfaceId, neighbor: IpAddr, interfaces: &mut Interfaces) {
        if let Some(link) = self.link_mut(interface) {
            link.routes.doubt(interfaces, neighbor);
        }
    }

    /// A neighbour says that it is no router any more.
    //= RFC 4861 §7.2.5
    //= RFC 4861 §7.2.5 MUST-7
    pub fn on_no_router(&mut self, interface: InterfaceId, neighbor: Ipv6Addr, interfaces: &mut Interfaces) {
        let gateway = IpAddr::V6(neighbor);
        if let Some(link) = self.link_mut(interface)
            && link.routes.is_router(gateway)
        {
            let route = through(interface, neighbor, (Ipv6Addr::UNSPECIFIED, 0), RoutePreference::Medium);
            link.routes.unset(interfaces, &route);
            link.routes.unset_redirects(interfaces, gateway);
        }
        self.refresh();
    }

    /// How much of what routers told had no room since this was asked last: routes, addresses, resolvers.
    pub fn take_refused(&mut self) -> u64 {
        let of_link =
            |link: &mut Link| core::mem::take(&mut link.refused) + core::mem::take(&mut link.routes.refused);
        self.links.iter_mut().map(of_link).sum()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, interfaces: &mut Interfaces, random: &mut Random) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        for index in 0..self.links.len() {
            let interface = self.links[index].interface;
            self.links[index].routes.expire(interfaces, now);
            self.links[index].resolvers.expire(now);
            self.links[index].domains.expire(now);
            self.ask_routers(now, index, interfaces, random);
            self.handle_address_timeouts(now, interface, interfaces, random);
        }
        self.refresh();
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<AutoconfAction> {
        self.actions.pop_front()
    }

    //= RFC 4861 §6.3.7
    fn ask_routers(&mut self, now: Instant, index: usize, interfaces: &Interfaces, random: &mut Random) {
        let link = &mut self.links[index];
        let Some(asking) = &mut link.asking else { return };
        if !asking.at.is_due(now) {
            return;
        }
        if asking.at == Turn::Undrawn {
            asking.at = Turn::drawn(now, link.config.router_solicitation_delay, random);
            return;
        }
        if asking.interval.is_zero() {
            let first = link.config.router_solicitation_interval.max(MIN_INTERVAL);
            asking.interval = first.mul_f64(1.0 + jitter(random));
        }
        if asking.left != AutoconfConfig::UNTIL_ANSWERED {
            asking.left -= 1;
        }
        asking.at = Turn::At(now + asking.interval);
        asking.interval = link.config.backed_off(asking.interval, jitter(random)).max(MIN_INTERVAL);
        let over = asking.left == 0;
        let (interface, station) = (link.interface, link.station);
        if over {
            link.asking = None;
        }
        let source = interfaces.interface(interface).and_then(Interface::link_local);
        let packet = Box::new(router_solicit(source.unwrap_or(Ipv6Addr::UNSPECIFIED), station));
        self.push(AutoconfAction::Send { interface, to: ALL_ROUTERS, packet });
    }

    fn push(&mut self, action: AutoconfAction) {
        if self.actions.len() < MAX_ACTIONS {
            self.actions.push_back(action);
        } else {
            self.lost += 1;
        }
    }

    /// How many actions there was no room for since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        core::mem::take(&mut self.lost)
    }

    fn link(&self, interface: InterfaceId) -> Option<&Link> {
        self.links.iter().find(|link| link.interface == interface)
    }

    fn link_mut(&mut self, interface: InterfaceId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.interface == interface)
    }

    /// Finds the next deadline. The table is small, and changes seldom.
    fn refresh(&mut self) {
        let of_link = |link: &Link| {
            let asking = link.asking.as_ref().and_then(|asking| asking.at.deadline());
            let formed = link.formed.iter().filter_map(Formed::deadline).min();
            let names = earliest(link.resolvers.earliest(), link.domains.earliest());
            earliest(earliest(asking, names), earliest(formed, link.routes.earliest()))
        };
        self.next = self.links.iter().filter_map(of_link).min();
    }
}

impl Link {
    /// Whether no address more is looked for or kept.
    fn is_full(&self) -> bool {
        self.formed.len() >= MAX_FORMED
    }

    /// Whether it has as many addresses of its own making as it may have.
    fn has_all_addresses(&self) -> bool {
        let made = self.formed.iter().filter(|formed| formed.is_made()).count();
        made >= self.config.max_addresses.min(MAX_FORMED)
    }

    /// Default routers and routes.
    //= RFC 4861 §6.3.4 MUST-3
    //= RFC 1122 §3.3.1.2 MUST-3
    fn learn_routes(
        &mut self,
        now: Instant,
        router: Ipv6Addr,
        advert: &RouterAdvert,
        interfaces: &mut Interfaces,
    ) {
        let (interface, config) = (self.interface, self.config);
        if config.accept_ra_defrtr {
            let preference =
                if config.accept_ra_rtr_pref { advert.preference } else { RoutePreference::Medium };
            let route = through(interface, router, (Ipv6Addr::UNSPECIFIED, 0), preference);
            match advert.lifetime.is_zero() {
                true => self.routes.unset(interfaces, &route),
                false => self.routes.set(interfaces, route, Source::Router, Some(now + advert.lifetime)),
            }
        }
        //= RFC 4191 §3.2
        for info in advert.routes.iter().filter(|info| info.len <= config.accept_ra_rt_info_max_plen) {
            let route = through(interface, router, (info.prefix, info.len), info.preference);
            match info.lifetime.is_some_and(|time| time.is_zero()) {
                true => self.routes.unset(interfaces, &route),
                false => self.routes.set(interfaces, route, Source::Router, until(now, info.lifetime)),
            }
        }
        //= RFC 4861 §6.3.4
        if let Some(mtu) = advert.mtu.filter(|_| config.accept_ra_mtu) {
            interfaces.set_ipv6_mtu(interface, mtu as usize);
        }
        // Who could lower it at will could have our packets die on the way.
        //= RFC 4861 §6.3.4
        if let Some(limit) = advert.hop_limit.filter(|limit| *limit >= config.accept_ra_min_hop_limit) {
            interfaces.set_hop_limit(interface, limit);
        }
    }

    /// A prefix that is on the link.
    //= RFC 4861 §6.3.4
    //= RFC 4861 §4.6.2 MUST-1
    //= RFC 4861 §4.6.2 MUST-2
    //= RFC 4861 §6.3.4 MUST-8
    fn learn_prefix(&mut self, now: Instant, info: &PrefixInfo, interfaces: &mut Interfaces) {
        if !info.on_link || info.prefix.is_unicast_link_local() || info.prefix.is_multicast() {
            return;
        }
        let destination = IpCidr::new(IpAddr::V6(info.prefix), info.len);
        let route = Route { metric: METRIC_OF_PREFIXES, ..Route::direct(destination, self.interface) };
        match info.valid.is_some_and(|valid| valid.is_zero()) {
            true => self.routes.unset(interfaces, &route),
            false => self.routes.set(interfaces, route, Source::Prefix, until(now, info.valid)),
        }
    }
}

/// By which part of itself a time is longer or shorter, so that hosts do not ask together.
//= RFC 7559 §2
fn jitter(random: &mut Random) -> f64 {
    random.below(2001) as f64 / 10_000.0 - 0.1
}

fn until(now: Instant, lifetime: Lifetime) -> Option<Instant> {
    lifetime.map(|lifetime| now + lifetime)
}

/// Metric of routes to prefixes of the link, as on Linux.
const METRIC_OF_PREFIXES: u32 = 256;
/// Questions to routers are no closer than this.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What a redirect says, in either family.
#[derive(Copy, Clone, Debug)]
pub struct Redirected {
    /// Who says so.
    pub router: IpAddr,
    /// The next hop from now on; the destination itself where it is on the link.
    pub target: IpAddr,
    /// Whose packets go there.
    pub destination: IpAddr,
}

/// What is known of a probe that came in.
#[derive(Copy, Clone, Debug)]
pub struct Probe {
    /// The address that somebody wants.
    pub target: Ipv6Addr,
    /// By what its sender knows it again.
    pub nonce: Option<Nonce>,
}
