//! Routes that routers told of, each with the time until which it holds.

use core::net::{IpAddr, Ipv6Addr};

use super::super::{InterfaceId, Interfaces, IpCidr, Route};
use crate::time::Instant;
use crate::wire::ndp::RoutePreference;

/// Routes that one interface can learn: default routers, prefixes of the link, routes, redirects. More are left alone.
pub const MAX_LEARNED: usize = 128;

/// Where a route was learned from.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// A prefix of the link.
    Prefix,
    /// A router.
    Router,
    /// A router that tells of another.
    Redirect,
}

#[derive(Clone, Debug)]
struct Learned {
    route: Route,
    source: Source,
    /// `None`: for ever.
    until: Option<Instant>,
    /// The gateway did not answer: it is the last choice.
    doubted: bool,
}

/// The routes of one interface.
#[derive(Clone, Debug, Default)]
pub(super) struct LearnedRoutes {
    routes: Vec<Learned>,
    /// How many there was no room for.
    pub(super) refused: u64,
}

impl LearnedRoutes {
    /// Learns a route, or that it holds until then, or with another preference.
    pub(super) fn set(
        &mut self,
        interfaces: &mut Interfaces,
        route: Route,
        source: Source,
        until: Option<Instant>,
    ) {
        let same = |other: &Learned| is_same(&other.route, &route);
        if let Some(known) = self.routes.iter_mut().find(|other| same(other)) {
            known.until = until;
            if known.route != route || known.doubted {
                interfaces.forget_route(&known.effective());
                (known.route, known.doubted) = (route, false);
                interfaces.learn_route(known.effective());
            }
        } else if self.routes.len() < MAX_LEARNED {
            let learned = Learned { route, source, until, doubted: false };
            if interfaces.learn_route(learned.effective()) {
                self.routes.push(learned);
            } else {
                self.refused += 1;
            }
        } else {
            self.refused += 1;
        }
    }

    /// Forgets a route.
    pub(super) fn unset(&mut self, interfaces: &mut Interfaces, route: &Route) {
        self.retain(interfaces, |known| !is_same(&known.route, route));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, interfaces: &mut Interfaces) {
        self.retain(interfaces, |_| false);
    }

    /// Forgets redirects through `gateway`.
    pub(super) fn unset_redirects(&mut self, interfaces: &mut Interfaces, gateway: IpAddr) {
        self.retain(interfaces, |known| {
            known.source != Source::Redirect || known.route.gateway != Some(gateway)
        });
    }

    /// Forgets the redirect for `destination`.
    pub(super) fn unset_redirect(&mut self, interfaces: &mut Interfaces, destination: IpCidr) {
        self.retain(interfaces, |known| {
            known.source != Source::Redirect || known.route.destination != destination
        });
    }

    /// A router does not answer: others go before it, and where it sent us does not hold any more.
    //= RFC 4861 §6.3.6
    //= RFC 1122 §3.3.1.5 MUST-1
    pub(super) fn doubt(&mut self, interfaces: &mut Interfaces, gateway: IpAddr) {
        self.unset_redirects(interfaces, gateway);
        for known in &mut self.routes {
            if known.route.gateway == Some(gateway) && !known.doubted {
                interfaces.forget_route(&known.effective());
                known.doubted = true;
                interfaces.learn_route(known.effective());
            }
        }
    }

    //= RFC 4861 §6.3.5 MUST-1
    pub(super) fn expire(&mut self, interfaces: &mut Interfaces, now: Instant) {
        self.retain(interfaces, |known| known.until.is_none_or(|until| until > now));
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.routes.iter().filter_map(|known| known.until).min()
    }

    /// Whether `gateway` is a default router.
    pub(super) fn is_router(&self, gateway: IpAddr) -> bool {
        self.routes.iter().any(|known| {
            known.source == Source::Router
                && known.route.gateway == Some(gateway)
                && known.route.destination.prefix_len == 0
        })
    }

    fn retain(&mut self, interfaces: &mut Interfaces, keep: impl Fn(&Learned) -> bool) {
        self.routes.retain(|known| {
            let keep = keep(known);
            if !keep {
                interfaces.forget_route(&known.effective());
            }
            keep
        });
    }
}

impl Learned {
    /// The route as it stands in the table.
    fn effective(&self) -> Route {
        let doubt = if self.doubted { METRIC_OF_DOUBT } else { 0 };
        Route { metric: self.route.metric + doubt, ..self.route }
    }
}

fn is_same(one: &Route, other: &Route) -> bool {
    (one.destination, one.gateway, one.interface) == (other.destination, other.gateway, other.interface)
}

/// The route to `prefix` through `router`. Linux shows the preference beside a metric of 1024; here it is in it.
//= RFC 4191 §3.2
pub(super) fn through(
    interface: InterfaceId,
    router: Ipv6Addr,
    (prefix, len): (Ipv6Addr, u8),
    preference: RoutePreference,
) -> Route {
    let metric = match preference {
        RoutePreference::High => METRIC_OF_ROUTERS - 1,
        RoutePreference::Medium => METRIC_OF_ROUTERS,
        RoutePreference::Low => METRIC_OF_ROUTERS + 1,
    };
    let destination = IpCidr::new(IpAddr::V6(prefix), len);
    Route { metric, ..Route::via(destination, IpAddr::V6(router), interface) }
}

/// The metric of routes that routers tell, as on Linux.
const METRIC_OF_ROUTERS: u32 = 1024;
/// What is added for a router that does not answer.
const METRIC_OF_DOUBT: u32 = 1 << 16;
