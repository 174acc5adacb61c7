//! Addresses that a host makes: of which prefix, whether anybody has them already, and how long they hold.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use super::super::interfaces::PrefixRoute;
use super::super::{InterfaceId, Interfaces, IpCidr, Preference, Stay};
use super::identifier::{PREFIX_LEN, join, of_station, stable, temporary};
use super::{Autoconf, AutoconfAction, Link, Probe, Turn, until};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::ndp::{Nonce, PrefixInfo, probe, solicited_node};

/// Addresses of one interface that were made, or were looked for before they were given to it, whatever `max_addresses`
/// says. Further ones are refused, and counted where it was a router that told of them.
pub const MAX_FORMED: usize = 48;

/// A shorter lifetime than this is believed of nobody.
//= RFC 4862 §5.5.3
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// How long before its time a temporary address gets a successor, beside the time that looking for it takes.
//= RFC 8981 §3.8
const REGEN_ADVANCE: Duration = Duration::from_secs(2);

/// What an address was made for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    LinkLocal,
    ByHand,
    Stable,
    Temporary,
}

/// An address to be made.
#[derive(Copy, Clone, Debug)]
pub(super) struct Formation {
    kind: Kind,
    /// The prefix, or all of an address that is given.
    prefix: Ipv6Addr,
    len: u8,
    valid_until: Option<Instant>,
    preferred_until: Option<Instant>,
    created: Instant,
    attempt: u8,
}

impl Formation {
    pub(super) fn link_local() -> Self {
        Formation::for_ever(Kind::LinkLocal, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), PREFIX_LEN)
    }

    pub(super) fn by_hand(address: Ipv6Addr, len: u8) -> Self {
        Formation::for_ever(Kind::ByHand, address, len)
    }

    fn for_ever(kind: Kind, prefix: Ipv6Addr, len: u8) -> Self {
        let created = Instant::ZERO;
        Formation { kind, prefix, len, valid_until: None, preferred_until: None, created, attempt: 0 }
    }
}

/// Questions whether anybody has an address.
#[derive(Clone, Debug)]
struct Probing {
    left: u8,
    /// The next question, or the end.
    at: Turn,
    nonce: Nonce,
}

/// An address that was made.
#[derive(Clone, Debug)]
pub(super) struct Formed {
    pub(super) address: Ipv6Addr,
    formation: Formation,
    probing: Option<Probing>,
    /// Whether it should not be used for new connections any more.
    deprecated: bool,
    /// When a temporary address gets a successor; `None` where it has one.
    successor_at: Option<Instant>,
}

impl Formed {
    /// Whether the host made it itself.
    pub(super) fn is_made(&self) -> bool {
        self.formation.kind != Kind::ByHand
    }

    pub(super) fn is_tentative(&self) -> bool {
        self.probing.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let probing = self.probing.as_ref().and_then(|probing| probing.at.deadline());
        let Formation { valid_until, preferred_until, .. } = self.formation;
        earliest(earliest(probing, self.successor_at), earliest(valid_until, preferred_until))
    }

    pub(super) fn stop_probing(&mut self, interface: InterfaceId, interfaces: &mut Interfaces) {
        if self.probing.take().is_some() {
            interfaces.leave(interface, IpAddr::V6(solicited_node(self.address)));
        }
    }
}

impl Autoconf {
    /// Until when an address that was made of a prefix is valid, and until when preferred; `None` in place of a time for ever.
    pub fn lifetimes(&self, interface: InterfaceId, address: Ipv6Addr) -> Option<[Option<Instant>; 2]> {
        let formed = self.link(interface)?.formed.iter().find(|formed| formed.address == address)?;
        let Formation { kind, valid_until, preferred_until, .. } = formed.formation;
        matches!(kind, Kind::Stable | Kind::Temporary).then_some([valid_until, preferred_until])
    }

    /// Makes an address, and looks for it on the link before it is used.
    //= RFC 4862 §5.4
    //= RFC 4862 §5.1 MUST-1
    //= RFC 4862 §5.4 MUST-1
    //= RFC 4862 §5.4 MUST-3
    //= RFC 4862 §5.4.2 MUST-1
    //= RFC 7217 §5 MUST-6
    pub(super) fn form(
        &mut self,
        interface: InterfaceId,
        formation: &Formation,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.links.iter_mut().find(|link| link.interface == interface) else { return };
        let drawn = || u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        let secret = match link.config.stable_secret {
            Some(secret) => secret,
            None if link.config.addr_gen_mode >= 2 => *self.secret.get_or_insert_with(drawn),
            None => 0,
        };
        if link.given_up {
            return;
        }
        let address = link.address_of(formation, secret, random);
        let owned = interfaces.interface(interface).is_some_and(|found| found.owns(IpAddr::V6(address)));
        if owned || link.formed.iter().any(|formed| formed.address == address) {
            return;
        }
        if link.is_full() {
            link.refused += 1;
            return;
        }
        let successor_at = match (formation.kind, formation.preferred_until) {
            (Kind::Temporary, Some(until)) => Some(link.successor_time(formation.created, until)),
            _ => None,
        };
        let deprecated = formation.preferred_until.is_some_and(|until| until <= formation.created);
        let mut formed = Formed { address, formation: *formation, probing: None, deprecated, successor_at };
        if link.config.detects_duplicates() {
            interfaces.join(interface, IpAddr::V6(solicited_node(address)));
            let [a, b, c, d, e, f, ..] = random.next_u64().to_be_bytes();
            let (left, nonce) = (link.config.dad_transmits, [a, b, c, d, e, f]);
            formed.probing = Some(Probing { left, at: Turn::Undrawn, nonce });
            link.formed.push(formed);
        } else {
            link.formed.push(formed);
            self.assign(interface, address, interfaces);
        }
    }

    /// Nobody has the address: it is ours.
    fn assign(&mut self, interface: InterfaceId, address: Ipv6Addr, interfaces: &mut Interfaces) {
        let Some(link) = self.link_mut(interface) else { return };
        let Some(formed) = link.formed.iter_mut().find(|formed| formed.address == address) else { return };
        formed.stop_probing(interface, interfaces);
        let Formation { kind, len, .. } = formed.formation;
        // The routes to prefixes that routers tell have lifetimes of their own.
        let route = match kind {
            Kind::LinkLocal | Kind::ByHand => PrefixRoute::Yes,
            Kind::Stable | Kind::Temporary => PrefixRoute::No,
        };
        let deprecated = formed.deprecated;
        // The delay before the address was looked for is that of the question as well, as on Linux.
        //= RFC 4861 §6.3.7
        if address.is_unicast_link_local()
            && let Some(asking) = link.asking.as_mut().filter(|asking| asking.at == Turn::WithAddress)
        {
            asking.at = Turn::At(Instant::ZERO);
        }
        let stay = match kind {
            Kind::Temporary if link.config.use_tempaddr > 1 => Stay::TemporaryFirst,
            Kind::Temporary => Stay::Temporary,
            _ => Stay::Lasting,
        };
        let cidr = IpCidr::new(IpAddr::V6(address), len);
        if interfaces.add_address_with(interface, cidr, route).is_err() {
            link.formed.retain(|formed| formed.address != address);
            return;
        }
        if deprecated {
            let _ = interfaces.set_preference(interface, IpAddr::V6(address), Preference::Deprecated);
        }
        interfaces.set_stay(interface, IpAddr::V6(address), stay);
        self.push(AutoconfAction::Assigned { interface, address });
    }

    /// Somebody looks whether an address is free. Where it is one that we look for ourselves, it is neither's.
    //= RFC 4862 §5.4.3
    pub fn on_probe(
        &mut self,
        interface: InterfaceId,
        probe: &Probe,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let asked = link.formed.iter().find(|formed| formed.address == probe.target);
        let Some(probing) = asked.and_then(|formed| formed.probing.as_ref()) else { return };
        // Our own question, which the link sent back.
        //= RFC 7527 §4.2
        if probe.nonce != Some(probing.nonce) {
            self.on_duplicate(interface, probe.target, interfaces, random);
        }
    }

    /// Somebody says that an address is his. Where we look for it, it is not ours.
    //= RFC 4862 §5.4.4
    pub fn on_claim(
        &mut self,
        interface: InterfaceId,
        target: Ipv6Addr,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        if self.is_tentative(interface, target) {
            self.on_duplicate(interface, target, interfaces, random);
        }
    }

    //= RFC 4862 §5.4.5 MUST-1
    //= RFC 7217 §6 MUST-1
    //= RFC 7217 §6 MUST-2
    fn on_duplicate(
        &mut self,
        interface: InterfaceId,
        address: Ipv6Addr,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let Some(place) = link.formed.iter().position(|formed| formed.address == address) else { return };
        let mut formed = link.formed.remove(place);
        formed.stop_probing(interface, interfaces);
        let by_secret = link.config.addr_gen_mode >= 2;
        let again = match formed.formation.kind {
            //= RFC 7217 §6
            //= RFC 8981 §3.4
            Kind::Temporary => true,
            Kind::Stable | Kind::LinkLocal => by_secret,
            Kind::ByHand => false,
        };
        let attempt = formed.formation.attempt.saturating_add(1);
        let more = formed.formation.attempt < link.config.regen_max_retry;
        //= RFC 4862 §5.4.5
        let given_up = formed.formation.kind == Kind::LinkLocal && !by_secret && link.config.accept_dad > 1;
        self.push(AutoconfAction::Duplicate { interface, address });
        if given_up {
            self.give_up(interface, interfaces);
        } else if again && more {
            let formation = Formation { attempt, ..formed.formation };
            self.form(interface, &formation, interfaces, random);
        }
        self.refresh();
    }

    /// Somebody has our station's address: IPv6 is not spoken on the link any more, as on Linux.
    fn give_up(&mut self, interface: InterfaceId, interfaces: &mut Interfaces) {
        let Some(link) = self.link_mut(interface) else { return };
        link.given_up = true;
        link.asking = None;
        link.routes.clear(interfaces);
        link.resolvers.clear();
        link.domains.clear();
        let mut gone = Vec::new();
        for mut formed in core::mem::take(&mut link.formed) {
            formed.stop_probing(interface, interfaces);
            gone.push(formed.address);
        }
        for address in gone {
            // What was looked for only is not there.
            let _ = interfaces.remove_address(interface, IpAddr::V6(address));
            self.push(AutoconfAction::Lost { interface, address });
        }
    }

    /// A prefix that addresses may be made of, or whose addresses get new lifetimes.
    //= RFC 4862 §5.5.3
    //= RFC 4862 §5.5 MUST-1
    //= RFC 4862 §5.5.3 MUST-1
    pub(super) fn on_autonomous_prefix(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        info: &PrefixInfo,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let config = link.config;
        let contradicts = match (info.preferred, info.valid) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(preferred), Some(valid)) => preferred > valid,
        };
        if !info.autonomous
            || !config.autoconf
            || contradicts
            || info.len != PREFIX_LEN
            || info.prefix.is_unicast_link_local()
            || info.prefix.is_multicast()
        {
            return;
        }
        let mut known = false;
        for formed in &mut link.formed {
            if matches!(formed.formation.kind, Kind::Stable | Kind::Temporary)
                && formed.formation.prefix == info.prefix
            {
                known = true;
                renew(formed, now, info, &config);
                let preference =
                    if formed.deprecated { Preference::Deprecated } else { Preference::Preferred };
                let _ = interfaces.set_preference(interface, IpAddr::V6(formed.address), preference);
            }
        }
        if known || info.valid.is_some_and(|valid| valid.is_zero()) {
            return;
        }
        if link.has_all_addresses() {
            link.refused += 1;
            return;
        }
        let formation = Formation {
            kind: Kind::Stable,
            prefix: info.prefix,
            len: info.len,
            valid_until: until(now, info.valid),
            preferred_until: until(now, info.preferred),
            created: now,
            attempt: 0,
        };
        self.form(interface, &formation, interfaces, random);
        if config.use_tempaddr > 0 {
            self.form_temporary(now, interface, &formation, interfaces, random);
        }
    }

    /// A temporary address beside the stable one of `lasting`.
    //= RFC 8981 §3.4
    fn form_temporary(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        lasting: &Formation,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let config = link.config;
        if link.has_all_addresses() {
            link.refused += 1;
            return;
        }
        let desync = random.range(0..=u64::try_from(config.max_desync.as_nanos()).unwrap_or(u64::MAX));
        let preferred = config.temp_preferred.saturating_sub(Duration::from_nanos(desync));
        let formation = Formation {
            kind: Kind::Temporary,
            valid_until: sooner(lasting.valid_until, now + config.temp_valid),
            preferred_until: sooner(lasting.preferred_until, now + preferred),
            created: now,
            attempt: 0,
            ..*lasting
        };
        // One that would need a successor at once is of no use.
        let advance = link.regen_advance();
        if formation.preferred_until.is_some_and(|until| until > now + advance) {
            self.form(interface, &formation, interfaces, random);
        }
    }

    //= RFC 4862 §5.5.4 MUST-4
    //= RFC 4862 §5.5.4 MUST-5
    pub(super) fn handle_address_timeouts(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        self.probe_on(now, interface, interfaces, random);
        self.succeed(now, interface, interfaces, random);
        let Some(link) = self.link_mut(interface) else { return };
        let mut gone = Vec::new();
        link.formed.retain_mut(|formed| {
            let Formation { valid_until, preferred_until, .. } = &mut formed.formation;
            if valid_until.is_some_and(|until| until <= now) {
                formed.stop_probing(interface, interfaces);
                gone.push(formed.address);
                return false;
            }
            //= RFC 4862 §5.5.4
            if preferred_until.is_some_and(|until| until <= now) {
                // A deprecated address has no further deadline but its end.
                *preferred_until = None;
                formed.deprecated = true;
                let address = IpAddr::V6(formed.address);
                let _ = interfaces.set_preference(interface, address, Preference::Deprecated);
            }
            true
        });
        for address in gone {
            let _ = interfaces.remove_address(interface, IpAddr::V6(address));
            self.push(AutoconfAction::Lost { interface, address });
        }
    }

    /// Asks whether anybody has the addresses that are looked for; silence says that nobody has.
    //= RFC 4862 §5.4.2
    fn probe_on(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let config = link.config;
        let (mut questions, mut free) = (Vec::new(), Vec::new());
        for formed in &mut link.formed {
            let Some(probing) = formed.probing.as_mut().filter(|probing| probing.at.is_due(now)) else {
                continue;
            };
            if probing.at == Turn::Undrawn {
                probing.at = Turn::drawn(now, config.router_solicitation_delay, random);
            } else if probing.left > 0 {
                probing.left -= 1;
                probing.at = Turn::At(now + config.retrans.max(Duration::from_millis(1)));
                questions.push((formed.address, config.enhanced_dad.then_some(probing.nonce)));
            } else {
                free.push(formed.address);
            }
        }
        for (target, nonce) in questions {
            let packet = Box::new(probe(target, nonce));
            self.push(AutoconfAction::Send { interface, to: solicited_node(target), packet });
        }
        for address in free {
            self.assign(interface, address, interfaces);
        }
    }

    /// Makes successors of temporary addresses whose time is almost over.
    //= RFC 8981 §3.4
    fn succeed(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        interfaces: &mut Interfaces,
        random: &mut Random,
    ) {
        let Some(link) = self.link_mut(interface) else { return };
        let due = |formed: &&mut Formed| formed.successor_at.is_some_and(|at| at <= now);
        let prefixes: Vec<Ipv6Addr> = link
            .formed
            .iter_mut()
            .filter(due)
            .map(|formed| {
                formed.successor_at = None;
                formed.formation.prefix
            })
            .collect();
        for prefix in prefixes {
            let Some(link) = self.link(interface) else { return };
            let lasting = link.formed.iter().find(|formed| {
                let Formation { kind, prefix: of, .. } = formed.formation;
                kind == Kind::Stable && of == prefix && !formed.deprecated
            });
            if let Some(lasting) = lasting.map(|formed| formed.formation) {
                self.form_temporary(now, interface, &lasting, interfaces, random);
            }
        }
    }
}

impl Link {
    //= RFC 7217 §5 MUST-1
    //= RFC 7217 §5 MUST-2
    fn address_of(&self, formation: &Formation, secret: u128, random: &mut Random) -> Ipv6Addr {
        let identifier = match formation.kind {
            Kind::ByHand => return formation.prefix,
            Kind::Temporary => temporary(random),
            Kind::LinkLocal | Kind::Stable if self.config.addr_gen_mode >= 2 => {
                stable(secret, formation.prefix, self.station, formation.attempt)
            }
            Kind::LinkLocal | Kind::Stable => of_station(self.station),
        };
        join(formation.prefix, identifier)
    }

    //= RFC 8981 §3.8
    fn regen_advance(&self) -> Duration {
        let config = &self.config;
        REGEN_ADVANCE + config.retrans * u32::from(config.regen_max_retry) * u32::from(config.dad_transmits)
    }

    fn successor_time(&self, created: Instant, preferred_until: Instant) -> Instant {
        let time = preferred_until.saturating_since(created).saturating_sub(self.regen_advance());
        created + time
    }
}

/// The lifetimes that an advertisement gives an address which was made before.
//= RFC 4862 §5.5.3
//= RFC 8981 §3.4
fn renew(formed: &mut Formed, now: Instant, info: &PrefixInfo, config: &super::AutoconfConfig) {
    let formation = &mut formed.formation;
    let remaining = formation.valid_until.map(|until| until.saturating_since(now));
    // Who could shorten lifetimes at will could take our addresses.
    let valid = match (info.valid, remaining) {
        (None, _) => None,
        (Some(valid), _) if valid > TWO_HOURS => Some(valid),
        (Some(valid), Some(remaining)) if valid > remaining => Some(valid),
        (Some(_), Some(remaining)) if remaining <= TWO_HOURS => Some(remaining),
        (Some(_), _) => Some(TWO_HOURS),
    };
    formation.valid_until = until(now, valid);
    formation.preferred_until = until(now, info.preferred);
    if formation.kind == Kind::Temporary {
        let created = formation.created;
        formation.valid_until = sooner(formation.valid_until, created + config.temp_valid);
        formation.preferred_until = sooner(formation.preferred_until, created + config.temp_preferred);
    }
    formed.deprecated = formed.formation.preferred_until.is_some_and(|until| until <= now);
}

fn sooner(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
