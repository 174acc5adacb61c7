//! The addresses of interfaces: given by the owner, or made of what routers tell.

use core::net::{IpAddr, Ipv6Addr};

use crate::buf::{HeaderBlock, Rope};
use crate::counters::Counter;
use crate::iface::slaac::{AutoconfAction, AutoconfConfig, Probe, Redirected};
use crate::iface::{Interface, InterfaceError, InterfaceId, IpCidr, LinkState, NeighborPolicy, arp, ndp};
use crate::ip::input::Packet;
use crate::time::Instant;
use crate::wire::icmp::{ICMP_HEADER_LEN, Quoted};
use crate::wire::ndp::{NdpMessage, ROUTER_SOLICIT, Redirect, RouterAdvert, is_probe, nonce_of};
use crate::wire::offload::Transmit;
use crate::wire::{EthernetAddress, Ipv6Header};

use super::{Stack, prepend_ethernet};

impl Stack {
    /// Gives an interface an address, and with it the route to its network. Where `accept_dad` says so, an IPv6 address is
    /// looked for on the link before, and an IPv4 one where `tapsock.ipv4_acd` does. It is announced where `arp_notify` or `ndisc_notify` say so.
    pub fn add_address(&mut self, interface: InterfaceId, address: IpCidr) -> Result<(), InterfaceError> {
        let found = self.interfaces.interface(interface).ok_or(InterfaceError::Missing)?;
        if found.owns(address.address) {
            return Err(InterfaceError::Exists);
        }
        if address.address.is_ipv6() && self.autoconf.has_given_up(interface) {
            return Err(InterfaceError::GivenUp);
        }
        if address.address.is_ipv6() && found.has_neighbors() {
            let config = self.autoconf_config(interface);
            let (interfaces, random) = (&mut self.interfaces, &mut self.random);
            if self.autoconf.begin(interface, address, &config, interfaces, random)? {
                self.follow_solicited_groups();
                return Ok(());
            }
        }
        if self.begin_claim(interface, address) {
            return Ok(());
        }
        self.interfaces.add_address(interface, address)?;
        self.follow_solicited_groups();
        self.announce(interface, address.address);
        Ok(())
    }

    /// Takes an address from an interface.
    pub fn remove_address(&mut self, interface: InterfaceId, address: IpAddr) -> Result<(), InterfaceError> {
        let tentative = match address {
            IpAddr::V6(v6) => self.autoconf.is_tentative(interface, v6),
            IpAddr::V4(_) => self.forget_claim(interface, address),
        };
        self.autoconf.forget(interface, address, &mut self.interfaces);
        let removed = self.interfaces.remove_address(interface, address);
        self.follow_solicited_groups();
        match removed {
            Err(InterfaceError::NotFound) if tentative => Ok(()),
            result => result,
        }
    }

    /// Whether an IPv6 address of an interface is being looked for on the link, and not used yet.
    pub fn is_tentative(&self, interface: InterfaceId, address: Ipv6Addr) -> bool {
        self.autoconf.is_tentative(interface, address)
    }

    /// Resolvers of names that routers told of, with the interfaces that lead to them (RFC 8106).
    pub fn resolvers(&self, now: Instant) -> impl Iterator<Item = (InterfaceId, Ipv6Addr)> + '_ {
        self.autoconf.resolvers(now)
    }

    /// Domains in which short names are looked for, as routers told of them (RFC 8106).
    pub fn domains(&self, now: Instant) -> impl Iterator<Item = &str> + '_ {
        self.autoconf.domains(now)
    }

    /// An interface with neighbours is there.
    pub(super) fn enable_autoconf(&mut self, interface: InterfaceId) {
        let config = self.autoconf_config(interface);
        self.autoconf.enable(interface, &config, &mut self.interfaces, &mut self.random);
        self.run_autoconf_actions();
    }

    pub(super) fn handle_autoconf_timeout(&mut self, now: Instant) {
        self.autoconf.handle_timeout(now, &mut self.interfaces, &mut self.random);
        self.run_autoconf_actions();
    }

    /// A message of neighbour discovery about an address that may be looked for.
    //= RFC 4861 §7.3.3 MUST-3
    pub(super) fn watch_duplicates(&mut self, message: &NdpMessage, packet: &Packet) {
        let id = packet.interface;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
            return;
        };
        match message {
            NdpMessage::NeighborSolicit(solicit) if is_probe(source, destination) => {
                let probe = Probe { target: solicit.target, nonce: nonce_of(&packet.payload) };
                self.autoconf.on_probe(id, &probe, &mut self.interfaces, &mut self.random);
            }
            NdpMessage::NeighborSolicit(_) => {}
            NdpMessage::NeighborAdvert(advert) => {
                self.autoconf.on_claim(id, advert.target, &mut self.interfaces, &mut self.random);
                if !advert.router {
                    self.autoconf.on_no_router(id, advert.target, &mut self.interfaces);
                }
            }
        }
        self.run_autoconf_actions();
    }

    /// A router tells of itself and of its link.
    //= RFC 4861 §6.3.4
    //= RFC 4861 §6.1.2 MUST-1
    pub(super) fn receive_router_advert(&mut self, now: Instant, packet: &Packet, ip: &Ipv6Header) {
        let id = packet.interface;
        let Ok(advert) = RouterAdvert::parse(ip, &packet.payload) else {
            self.counters.bump(Counter::Icmp6InErrors);
            self.counters.bump(Counter::TapsockNdpInErrors);
            return;
        };
        let config = self.autoconf_config(id);
        if !config.accept_ra || self.interfaces.is_local(packet.source) {
            return;
        }
        let (neighbors, counters) = (&mut self.neighbors, &mut self.counters);
        neighbors.on_router(now, id, packet.source, advert.source_link, counters);
        neighbors.set_times(id, advert.reachable, advert.retrans, &mut self.random);
        let config = AutoconfConfig { retrans: advert.retrans.unwrap_or(config.retrans), ..config };
        let router = (ip.source, &advert);
        let (interfaces, random) = (&mut self.interfaces, &mut self.random);
        self.autoconf.on_router_advert(now, id, router, &config, interfaces, random);
        self.run_autoconf_actions();
    }

    /// A router says that another way is nearer.
    //= RFC 4861 §8.3
    //= RFC 4861 §8.1 MUST-1
    //= RFC 4861 §8.3 MUST-1
    //= RFC 4861 §8.3 MUST-4
    //= RFC 4861 §8.1 MUST-2
    //= RFC 4861 §8.1 MUST-3
    pub(super) fn receive_redirect_v6(&mut self, now: Instant, packet: &Packet, ip: &Ipv6Header) {
        let Ok(redirect) = Redirect::parse(ip, &packet.payload) else {
            self.counters.bump(Counter::Icmp6InErrors);
            self.counters.bump(Counter::TapsockNdpInErrors);
            return;
        };
        let name = self.interfaces.interface(packet.interface).map_or("", Interface::name);
        let accepted = self.config.follows_redirects(name, packet.source);
        let target = IpAddr::V6(redirect.target);
        let redirected =
            Redirected { router: packet.source, target, destination: IpAddr::V6(redirect.destination) };
        if !self.follow_redirect(now, packet.interface, &redirected, accepted) {
            return;
        }
        let (neighbors, counters) = (&mut self.neighbors, &mut self.counters);
        if let Some(station) = redirect.target_link {
            neighbors.on_solicit_from(now, packet.interface, target, station, counters);
        }
        if redirect.target != redirect.destination {
            neighbors.on_router(now, packet.interface, target, None, counters);
        }
    }

    /// The same of IPv4: `gateway` is nearer to where the quoted packet went.
    //= RFC 1122 §3.2.2.2
    //= RFC 1122 §3.2.2.2 MUST-2
    //= RFC 1122 §3.3.1.2 SHLD-1
    pub(super) fn receive_redirect_v4(&mut self, now: Instant, packet: &Packet, gateway: [u8; 4]) {
        let quoted = packet.payload.get(ICMP_HEADER_LEN..).unwrap_or_default();
        let Ok(quoted) = Quoted::parse(quoted) else {
            self.counters.bump(Counter::IcmpInErrors);
            return;
        };
        let name = self.interfaces.interface(packet.interface).map_or("", Interface::name);
        let heeded = self.config.follows_redirects(name, packet.source);
        let accepted = heeded && self.interfaces.is_local(quoted.source);
        let target = IpAddr::from(gateway);
        let redirected = Redirected { router: packet.source, target, destination: quoted.destination };
        self.follow_redirect(now, packet.interface, &redirected, accepted);
    }

    fn follow_redirect(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        redirect: &Redirected,
        accepted: bool,
    ) -> bool {
        let followed = accepted && self.autoconf.on_redirect(now, interface, redirect, &mut self.interfaces);
        self.counters[Counter::TapsockAutoconfRefused] += self.autoconf.take_refused();
        if !followed {
            self.counters.bump(Counter::TapsockRedirectsIgnored);
        }
        followed
    }

    /// Does what autoconfiguration asks for.
    fn run_autoconf_actions(&mut self) {
        while let Some(action) = self.autoconf.poll_action() {
            match action {
                AutoconfAction::Send { interface, to, packet } => self.send_autoconf(interface, to, *packet),
                AutoconfAction::Assigned { interface, address } => {
                    self.announce(interface, IpAddr::V6(address));
                    if address.is_unicast_link_local() && self.looks_for_addresses(interface) {
                        self.tell_groups_again(interface);
                    }
                }
                AutoconfAction::Duplicate { interface, address } => {
                    self.counters.bump(Counter::TapsockAddressConflicts);
                    log::warn!("{interface}: somebody else has {address}");
                }
                AutoconfAction::Lost { interface, address } => {
                    log::info!("{interface}: without {address} from now on");
                }
            }
        }
        self.follow_solicited_groups();
        self.counters[Counter::TapsockAutoconfDrops] += self.autoconf.take_lost();
        self.counters[Counter::TapsockAutoconfRefused] += self.autoconf.take_refused();
    }

    /// Sends a question to routers or neighbours.
    fn send_autoconf(&mut self, interface: InterfaceId, to: Ipv6Addr, headers: HeaderBlock) {
        let Some(found) = self.interfaces.interface(interface) else { return };
        if found.link() == LinkState::Down {
            return self.counters.bump(Counter::Ip6OutDiscards);
        }
        let message = match headers.get(Ipv6Header::LEN) {
            Some(&ROUTER_SOLICIT) => Counter::Icmp6OutRouterSolicits,
            _ => Counter::Icmp6OutNeighborSolicits,
        };
        let packet = Transmit { headers, payload: Rope::new(), checksum: None, segmentation: None };
        let frame = prepend_ethernet(found, EthernetAddress::multicast_for(IpAddr::V6(to)), packet);
        self.counters.bump(Counter::Icmp6OutMsgs);
        self.counters.bump(message);
        self.queue_answer(interface, frame);
    }

    /// Tells all on the link who has `address`, where that is wanted.
    fn announce(&mut self, id: InterfaceId, address: IpAddr) {
        let Some(interface) = self.interfaces.interface(id) else { return };
        if !interface.has_neighbors() || interface.link() == LinkState::Down {
            return;
        }
        let settings = self.config.for_interface(interface.name());
        let frame = match address {
            IpAddr::V4(address) if settings.arp_notify => arp::announcement(interface, address),
            IpAddr::V6(address) if settings.ndisc_notify => ndp::announcement(
                interface,
                address,
                &self.config.neighbor_policy_at(interface.name()),
                &mut self.counters,
            ),
            _ => return,
        };
        self.queue_answer(id, frame);
    }

    /// Until when an address is valid that a router or a DHCP server has given, and until when preferred; `None` in place of a
    /// time for ever. `None` for one that was given by hand.
    pub fn address_lifetimes(&self, interface: InterfaceId, address: IpAddr) -> Option<[Option<Instant>; 2]> {
        match address {
            IpAddr::V6(address) => self.autoconf.lifetimes(interface, address),
            IpAddr::V4(_) => {
                let lease = self.lease(interface).filter(|lease| lease.address.address == address)?;
                let end = lease.times.map(|times| times.end);
                Some([end, end])
            }
        }
    }

    /// How an interface deals with its neighbours.
    pub(super) fn neighbor_policy(&self, id: InterfaceId) -> NeighborPolicy {
        let name = self.interfaces.interface(id).map_or("", Interface::name);
        self.config.neighbor_policy_at(name)
    }

    /// Whether an interface looks on the link for addresses before it uses them.
    pub(super) fn looks_for_addresses(&self, id: InterfaceId) -> bool {
        self.autoconf_config(id).detects_duplicates()
    }

    /// How an interface configures itself.
    fn autoconf_config(&self, id: InterfaceId) -> AutoconfConfig {
        let name = self.interfaces.interface(id).map_or("", Interface::name);
        self.config.for_interface(name).autoconf_config()
    }
}
