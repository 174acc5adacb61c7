//! The host as a router: packets that are not for it go on.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::VecDeque;

use crate::config::ArrivalPolicy;
use crate::counters::{Counter, Counters};
use crate::iface::{Addresses, Delivery, Interface, InterfaceId, NextHop, ReversePath, RouteError, Way};
use crate::ip::cutting;
use crate::ip::forward::{Passage, largest_part, must_stay_whole, onward, passage};
use crate::ip::fragments::ends_too_late;
use crate::ip::icmp::{ErrorKind, NoWay};
use crate::ip::input::{Origin, Packet, Sender, Stations, parse_v4, parse_v6_in_transit};
use crate::ip::output::Priority;
use crate::ip::rate_limit::HostLimits;
use crate::random::Random;
use crate::time::Instant;
use crate::wire::ipv4_options::Ipv4Options;
use crate::wire::ndp::Redirect;
use crate::wire::offload::{LinkCaps, Medium, Segmentation, SegmentationKind, Transmit};
use crate::wire::{IpProtocol, Ipv6Header};

use super::Stack;

/// Packets that wait for links, as they go on. Those beyond are dropped, as in any router.
const MAX_FORWARDED: usize = 1024;

/// Least time between two redirects for one host, after the first few.
//= RFC 4861 §8.2
const REDIRECT_INTERVAL: core::time::Duration = core::time::Duration::from_secs(1);

/// The groups of all routers: of IPv4, and of IPv6 by their scopes.
const ALL_ROUTERS_V4: [Ipv4Addr; 1] = [Ipv4Addr::new(224, 0, 0, 2)];
const ALL_ROUTERS_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2),
];

/// What a router remembers.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// Packets for the links, by the band of their priority.
    bands: [VecDeque<(InterfaceId, Transmit)>; Priority::BANDS],
    /// Hosts that were told of nearer routers.
    redirected: HostLimits,
    /// Whose frame goes next where both have one.
    turn: Turn,
}

/// Whose a frame is: neither those of others nor the host's own leave the others nothing of a link.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Turn {
    #[default]
    Others,
    Own,
}

impl Forwarding {
    /// `seed` is that of the stack: what is drawn for a router leaves what is drawn for hosts as it is.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(32));
        Forwarding { bands: Default::default(), redirected: HostLimits::new(&mut random), turn: Turn::Others }
    }

    /// The next packet of a band for a link.
    pub(super) fn next(&mut self, band: usize) -> Option<(InterfaceId, Transmit)> {
        let next = self.bands.get_mut(band)?.pop_front()?;
        self.turn = Turn::Own;
        Some(next)
    }

    /// The same, where it is its turn.
    pub(super) fn next_in_turn(&mut self, band: usize) -> Option<(InterfaceId, Transmit)> {
        if self.turn == Turn::Others { self.next(band) } else { None }
    }

    /// A frame of the host's own goes.
    pub(super) fn on_own(&mut self) {
        self.turn = Turn::Others;
    }

    /// Forgets what waits for a link that is gone.
    pub(super) fn forget(&mut self, interface: InterfaceId) {
        for band in &mut self.bands {
            band.retain(|(id, _)| *id != interface);
        }
    }

    fn len(&self) -> usize {
        self.bands.iter().map(VecDeque::len).sum()
    }
}

/// The counters of a family.
struct Tally {
    found: Counter,
    no_route: Counter,
    discards: Counter,
    addresses: Counter,
    headers: Counter,
    uncut: Counter,
    lost: Counter,
}

impl Tally {
    fn of(family: IpAddr) -> Self {
        match family {
            IpAddr::V4(_) => Tally {
                found: Counter::IpForwDatagrams,
                no_route: Counter::IpExtInNoRoutes,
                discards: Counter::IpInDiscards,
                addresses: Counter::IpInAddrErrors,
                headers: Counter::IpInHdrErrors,
                uncut: Counter::IpFragFails,
                lost: Counter::IpOutDiscards,
            },
            IpAddr::V6(_) => Tally {
                found: Counter::Ip6OutForwDatagrams,
                no_route: Counter::Ip6InNoRoutes,
                discards: Counter::Ip6InDiscards,
                addresses: Counter::Ip6InAddrErrors,
                headers: Counter::Ip6InHdrErrors,
                uncut: Counter::Ip6FragFails,
                lost: Counter::Ip6OutDiscards,
            },
        }
    }
}

impl Stack {
    /// What holds for packets that come in at an interface.
    pub(super) fn arrival_policy(&self, id: InterfaceId) -> ArrivalPolicy {
        self.config.arrival_policy(self.interfaces.interface(id).map_or("", Interface::name))
    }

    /// Settings may have changed: has each interface be in the groups of all routers that passes packets on since, and
    /// in those no more that does not.
    //= RFC 4291 §2.8
    //= RFC 1112 §4
    pub(super) fn follow_routing(&mut self) {
        let all: Vec<InterfaceId> = self.interfaces.iter().map(Interface::id).collect();
        for id in all {
            let ArrivalPolicy { forwards_v4, forwards_v6, .. } = self.arrival_policy(id);
            let (before, after) =
                (self.interfaces.interface(id).map(Interface::routes), [forwards_v4, forwards_v6]);
            if before == Some(after) || id == InterfaceId::LOOPBACK {
                continue;
            }
            self.interfaces.set_routes(id, after);
            let was = before.unwrap_or_default();
            // As Linux: who passes IPv4 on tells nobody of it.
            for group in ALL_ROUTERS_V4.into_iter().filter(|_| was[0] != after[0]) {
                match after[0] {
                    true => drop(self.interfaces.join(id, group.into())),
                    false => drop(self.interfaces.leave(id, group.into())),
                }
            }
            for group in ALL_ROUTERS_V6.into_iter().filter(|_| was[1] != after[1]) {
                self.be_in_own_group(id, group, after[1]);
            }
        }
        self.follow_solicited_groups();
    }

    /// Whether packets to `destination` that come so are for others, to whom this host passes them.
    //= RFC 1122 §3.1 MUST-4
    //= RFC 1122 §3.1 MUST-5
    //= RFC 1122 §3.1 MUST-6
    //= RFC 1122 §3.2.2.2 SHLD-1
    //= RFC 4861 §8.3 MUST-5
    pub(super) fn is_in_transit(&self, origin: Origin, destination: IpAddr) -> bool {
        let id = origin.interface;
        if origin.sender == Sender::Ourselves || id == InterfaceId::LOOPBACK || destination.is_multicast() {
            return false;
        }
        if self.interfaces.accepts(id, destination) {
            return false;
        }
        let policy = self.arrival_policy(id);
        if destination.is_ipv4() { policy.forwards_v4 } else { policy.forwards_v6 }
    }

    /// Whether an IPv6 packet goes on: what its extension headers say is then for others.
    pub(super) fn is_in_transit_v6(&self, origin: Origin, whole: &[u8]) -> bool {
        Ipv6Header::parse(whole).is_ok_and(|header| self.is_in_transit(origin, header.destination.into()))
    }

    /// Whether a packet came from where packets to its source would go, as far as `rp_filter` wants that.
    //= RFC 1812 §5.3.8
    pub(super) fn came_by_reverse_path(&self, packet: &Packet) -> bool {
        let id = packet.interface;
        if id == InterfaceId::LOOPBACK {
            return true;
        }
        let path = || self.interfaces.reverse_path(id, packet.source, packet.destination);
        match (self.arrival_policy(id).reverse_path, path) {
            (0, _) => true,
            (1, path) => path() == ReversePath::Here,
            (_, path) => path() != ReversePath::Nowhere,
        }
    }

    /// Passes a packet on that is for somebody else.
    //= RFC 1812 §5.2.1
    //= RFC 1122 §3.1 MUST-3
    //= RFC 4443 §3.3 MUST-1
    pub(super) fn forward(&mut self, now: Instant, packet: &Packet) {
        let tally = Tally::of(packet.source);
        //= RFC 1812 §5.3.4
        if packet.stations != Stations::One {
            return self.counters.bump(tally.discards);
        }
        // Cut again, what lies past the longest packet would come to lie at its beginning.
        let past_the_longest = packet.fragment.as_ref().is_some_and(|part| ends_too_late(packet, part));
        if past_the_longest {
            return self.counters.bump(tally.headers);
        }
        match passage(packet.source, packet.destination) {
            Passage::Open => {}
            Passage::BeyondScope => {
                self.counters.bump(tally.addresses);
                return self.send_error(now, ErrorKind::NoWay(NoWay::BeyondScope), packet);
            }
            Passage::Closed => return self.counters.bump(tally.addresses),
        }
        //= RFC 1812 §5.3.1
        if packet.hop_limit <= 1 {
            self.counters.bump(tally.headers);
            return self.send_error(now, ErrorKind::TimeExceeded, packet);
        }
        let way = Way { addresses: Addresses::Any, ..Way::default() };
        let flow = self.flow_of(packet);
        match self.interfaces.route_flow(packet.destination, Some(packet.source), &way, Some(flow)) {
            // Nor is it a packet of our own, nor one for all hosts of another link.
            //= RFC 2644 §3
            Ok(hop) if hop.delivery != Delivery::Unicast || hop.interface == InterfaceId::LOOPBACK => {
                self.counters.bump(tally.addresses);
            }
            Ok(hop) => self.forward_to(now, packet, &hop, &tally),
            Err(error) => self.on_no_way(now, packet, error, &tally),
        }
    }

    fn on_no_way(&mut self, now: Instant, packet: &Packet, error: RouteError, tally: &Tally) {
        let (counter, told) = match error {
            RouteError::NoRoute | RouteError::Down => (tally.no_route, Some(NoWay::Route)),
            RouteError::Unreachable => (tally.discards, Some(NoWay::Refused)),
            RouteError::Prohibited => (tally.discards, Some(NoWay::Prohibited)),
            RouteError::Blackhole => (tally.discards, None),
            // Addresses of ours have nothing to do with it.
            RouteError::NoSource | RouteError::BadSource => (tally.addresses, None),
        };
        self.counters.bump(counter);
        if let Some(why) = told {
            self.send_error(now, ErrorKind::NoWay(why), packet);
        }
    }

    //= RFC 4443 §3.2 MUST-1
    fn forward_to(&mut self, now: Instant, packet: &Packet, hop: &NextHop, tally: &Tally) {
        let Some(caps) = self.interfaces.interface(hop.interface).map(|found| found.caps()) else { return };
        self.counters.bump(tally.found);
        let too_big = largest_part(packet) > hop.mtu;
        if too_big && must_stay_whole(packet) {
            self.counters.bump(tally.uncut);
            if packet.source.is_ipv6() {
                self.counters.bump(Counter::Ip6InTooBigErrors);
            }
            let mtu = u32::try_from(hop.mtu).unwrap_or(u32::MAX);
            return self.send_error(now, ErrorKind::TooBig { mtu }, packet);
        }
        if hop.interface == packet.interface {
            self.redirect(now, packet, hop);
        }
        let band = Priority::new(Priority::of_service(packet.traffic_class)).band();
        let ours = self.interfaces.source_towards(packet.destination, Some(hop));
        let recorded = ours
            .filter(|_| !packet.ipv4_options().is_empty())
            .map(|ours| self.recorded_on(now, packet, ours));
        let Some(onward) = onward(recorded.as_ref().unwrap_or(packet)) else {
            return self.counters.bump(tally.lost);
        };
        let cuts = onward.segmentation.is_some_and(|how| !can_cut(&caps, &onward, how));
        let mut parts = VecDeque::new();
        if cuts || too_big {
            parts.extend(onward.segments(Medium::Ip));
        } else {
            parts.push_back(onward);
        }
        for part in parts {
            if part.segmentation.is_none() && part.len() > hop.mtu {
                self.fragments_on(now, part, hop, band, tally);
            } else {
                self.send_on(now, part, hop, band, tally);
            }
        }
    }

    /// Cuts a packet of somebody else: in the fragments that it may be itself.
    //= RFC 791 §3.2
    fn fragments_on(&mut self, now: Instant, packet: Transmit, hop: &NextHop, band: usize, tally: &Tally) {
        self.counters.bump(Counter::IpFragOKs);
        for part in cutting::cut(packet, hop.mtu, 0) {
            self.counters.bump(Counter::IpFragCreates);
            self.send_on(now, part, hop, band, tally);
        }
    }

    fn send_on(&mut self, now: Instant, packet: Transmit, hop: &NextHop, band: usize, tally: &Tally) {
        let octets = if hop.next_hop.is_ipv4() { Counter::IpExtOutOctets } else { Counter::Ip6OutOctets };
        self.counters[octets] += packet.len() as u64;
        let Some(frame) = self.dispatch(now, hop, packet) else { return };
        if self.forwarding.len() < MAX_FORWARDED {
            self.forwarding.bands[band].push_back(frame);
        } else {
            self.counters.bump(tally.lost);
        }
    }

    /// A number that packets of one flow have in common.
    fn flow_of(&self, packet: &Packet) -> u32 {
        let by_ports = match packet.source {
            IpAddr::V4(_) => self.config.fib_multipath_hash_policy,
            IpAddr::V6(_) => self.config.ipv6_fib_multipath_hash_policy,
        } == 1;
        let ports = match packet.protocol {
            IpProtocol::TCP | IpProtocol::UDP if by_ports && packet.fragment.is_none() => {
                packet.payload.get(..4).unwrap_or_default()
            }
            _ => &[],
        };
        let label = packet.ipv6_header().filter(|_| !by_ports).map_or(0, |header| header.flow_label);
        let (source, destination) = (octets(packet.source), octets(packet.destination));
        let protocol = if by_ports { packet.protocol.0 } else { 0 };
        let parts: [&[u8]; 5] = [&source, &destination, &label.to_be_bytes(), ports, &[protocol]];
        (self.secret.hash(&parts) >> 32) as u32
    }

    /// Tells the sender of a packet, which goes out where it came in, of the nearer way.
    //= RFC 1812 §5.2.7.2
    //= RFC 4861 §8.2
    //= RFC 4861 §8.2 MUST-3
    fn redirect(&mut self, now: Instant, packet: &Packet, hop: &NextHop) {
        let Some(interface) = self.interfaces.interface(hop.interface) else { return };
        let neighbor = match packet.source {
            // In the network that the router is in: it then takes the router for one of its own neighbours.
            IpAddr::V4(_) => {
                let mut own = interface.addresses().iter().map(|own| own.cidr);
                own.any(|own| own.contains(packet.source) && own.contains(hop.next_hop))
            }
            IpAddr::V6(_) => {
                interface.is_on_link(packet.source)
                    || self
                        .interfaces
                        .routes()
                        .lookup(packet.source, None)
                        .is_some_and(|route| route.interface == hop.interface && route.gateway.is_none())
            }
        };
        // By a source route it went where its sender wanted.
        let steered = Ipv4Options::parse(packet.ipv4_options()).is_ok_and(|options| options.source_route);
        if !neighbor || steered || !interface.has_neighbors() {
            return;
        }
        if !self.arrival_policy(hop.interface).redirects
            || !self.forwarding.redirected.allows(now, packet.source, REDIRECT_INTERVAL)
        {
            return;
        }
        match hop.next_hop {
            IpAddr::V4(gateway) => self.send_error(now, ErrorKind::Redirect { gateway }, packet),
            IpAddr::V6(_) => self.redirect_v6(now, packet, hop),
        }
    }

    //= RFC 4861 §4.5 MUST-1
    //= RFC 4861 §4.5 MUST-4
    //= RFC 4861 §4.5 MUST-5
    //= RFC 4861 §8.2 MUST-1
    //= RFC 4861 §8.2 MUST-2
    fn redirect_v6(&mut self, now: Instant, packet: &Packet, hop: &NextHop) {
        let (IpAddr::V6(to), IpAddr::V6(destination), IpAddr::V6(target)) =
            (packet.source, packet.destination, hop.next_hop)
        else {
            return;
        };
        let Some(interface) = self.interfaces.interface(hop.interface) else { return };
        let source = interface.addresses().iter().find_map(|own| match own.cidr.address {
            IpAddr::V6(own) if own.is_unicast_link_local() => Some(own),
            _ => None,
        });
        // A router is known by its link-local address.
        let Some(source) = source.filter(|_| target == destination || target.is_unicast_link_local()) else {
            return;
        };
        if !self.icmp_limit.allows(now) {
            return self.counters.bump(Counter::IcmpOutRateLimitGlobal);
        }
        let target_link = self.neighbors.link_address(hop.interface, hop.next_hop);
        let message = Redirect { target, destination, target_link };
        let answer = message.to_packet(source, to, &packet.whole);
        self.counters.bump(Counter::Icmp6OutMsgs);
        self.counters.bump(Counter::Icmp6OutRedirects);
        self.counters.bump(Counter::Ip6OutRequests);
        self.counters[Counter::Ip6OutOctets] += answer.len() as u64;
        let back = NextHop { next_hop: packet.source, source: source.into(), ..*hop };
        self.send_answer(now, &back, answer);
    }

    /// A packet of somebody else could not be delivered to a neighbour: tells its sender. Returns whether it is one.
    //= RFC 1812 §5.2.7.1
    pub(super) fn on_undeliverable_of_others(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packet: &Transmit,
    ) -> bool {
        let Some(source) = packet.ip_source().filter(|source| !self.interfaces.is_local(*source)) else {
            return false;
        };
        // Where it came in nobody knows any more.
        let forwards = |from: &Interface| {
            let policy = self.config.arrival_policy(from.name());
            if source.is_ipv4() { policy.forwards_v4 } else { policy.forwards_v6 }
        };
        if !self.interfaces.iter().any(forwards) {
            return false;
        }
        // A merged packet is not copied for an answer that is not given.
        let kind = ErrorKind::NoWay(NoWay::Host);
        if self.is_over_limit(now, kind, source) {
            self.counters.bump(Tally::of(source).lost);
            return true;
        }
        let bytes = packet.to_frame().bytes;
        let (frame, origin, limits) = (bytes.clone().into(), Origin::of(interface), self.config.ext_limits());
        // It was counted when it came in.
        let counters = &mut Counters::default();
        let parsed = match source {
            IpAddr::V4(_) => parse_v4(origin, &frame, bytes, counters),
            IpAddr::V6(_) => parse_v6_in_transit(origin, &frame, bytes, &limits, counters),
        };
        let Some(packet) = parsed.ok() else { return false };
        self.counters.bump(Tally::of(source).lost);
        self.send_error(now, kind, &packet);
        true
    }
}

/// Whether a link cuts a merged packet itself.
fn can_cut(caps: &LinkCaps, packet: &Transmit, how: Segmentation) -> bool {
    packet.len() <= caps.gso_max && (how.kind != SegmentationKind::Udp || caps.udp_gso)
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
