//! Addresses and routes that a host makes of what routers tell.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::slaac::MAX_FORMED;
use tapsock_stack::iface::{InterfaceError, InterfaceId, Preference, Route};
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::ndp::{NdpMessage, NeighborAdvert, nonce_of};
use tapsock_stack::wire::{IpProtocol, Ipv6Header};

use crate::packets::{Path, packet_of, transport_of};
use crate::wire::{ETH, Fate, LINKS, Wire, station};

mod addresses;
mod redirects;

pub const HOUR: u32 = 3600;

/// Settings of a host that configures itself.
pub fn asking() -> Config {
    with(&["net.ipv6.conf.all.accept_dad 1", "net.ipv6.conf.all.router_solicitations 3"])
}

pub fn with(settings: &[&str]) -> Config {
    let mut config = Config::default();
    for setting in settings {
        let (name, value) = setting.split_once(' ').unwrap();
        config.set(name, value).unwrap();
    }
    config
}

/// One host, number 0, whose frames are seen and lost.
pub fn alone(config: &Config) -> Wire {
    let mut wire = Wire::with_config(1, LINKS[0], config);
    wire.sniffing = true;
    wire.filter(|_, _| Fate::Lose);
    wire
}

/// A router, by its number.
pub fn router(number: u8) -> String {
    format!("fe80::aa:{number}")
}

pub fn prefix(text: &str, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    let prefix: Ipv6Addr = text.parse().unwrap();
    let times = [valid.to_be_bytes(), preferred.to_be_bytes()].concat();
    [&[3, 4, 64, flags][..], &times, &[0; 4], &prefix.octets()].concat()
}

pub const ON_LINK: u8 = 0x80;
pub const AUTONOMOUS: u8 = 0x40;

/// An advertisement of a router.
pub fn advert(number: u8, lifetime: u16, flags: u8, options: &[Vec<u8>]) -> Frame {
    let [high, low] = lifetime.to_be_bytes();
    let message = Icmpv6Message::Other { kind: 134, code: 0, rest: [0, flags, high, low] };
    let link = vec![1, 1, 2, 0, 0, 0, 0xaa, number];
    let body = [&[0; 8][..], &link, &options.concat()].concat();
    Path::v6(1, 0).from(&router(number)).to("ff02::1").icmpv6(message, &body, 255)
}

/// The addresses of the host in 2001:db8::/32.
pub fn made(wire: &Wire) -> Vec<(Ipv6Addr, Preference)> {
    let eth = wire[0].interfaces().interface(ETH).unwrap();
    let addresses = eth.addresses().iter().filter_map(|own| match own.cidr.address {
        IpAddr::V6(address) if address.segments()[0] == 0x2001 => Some((address, own.preference)),
        _ => None,
    });
    addresses.collect()
}

fn default_routes(wire: &Wire) -> Vec<String> {
    let routes = wire[0].interfaces().routes().iter();
    let defaults =
        routes.filter(|route| route.destination.address.is_ipv6() && route.destination.prefix_len == 0);
    defaults.map(|route| route.gateway.unwrap().to_string()).collect()
}

pub fn next_hop(wire: &Wire, to: &str) -> Option<String> {
    wire[0].interfaces().route(to.parse().unwrap(), None, None).ok().map(|hop| hop.next_hop.to_string())
}

/// ICMPv6 messages of that type that the host sent, with their IP headers.
pub fn sent(wire: &Wire, kind: u8) -> Vec<(Ipv6Header, Vec<u8>)> {
    let of_kind = wire.seen.iter().filter_map(|(_, frame)| {
        let message = transport_of(frame, IpProtocol::ICMPV6)?;
        (message[0] == kind).then(|| (Ipv6Header::parse(packet_of(frame)).unwrap(), message.to_vec()))
    });
    of_kind.collect()
}

//= RFC 4861 §6.3.7, type=test
//= RFC 4861 §4.1 MUST-1, type=test
//= RFC 4861 §6.3.7 MUST-1, type=test
#[test]
fn routers_are_asked_until_one_answers() {
    let mut wire = alone(&asking());
    wire.run_for(Duration::from_secs(30));
    let solicits = sent(&wire, 133);
    assert_eq!(solicits.len(), 3);
    assert!(solicits.iter().all(|(ip, _)| ip.hop_limit == 255 && ip.destination.to_string() == "ff02::2"));
    let (ip, message) = &solicits[2];
    assert!(ip.source.is_unicast_link_local(), "the address that it has by then");
    assert_eq!(message[8..], [1, 1, 2, 0, 0, 0, 0, 1]);

    let mut wire = alone(&asking());
    wire.run_until(wire.now + Duration::from_secs(2), |wire| !sent(wire, 133).is_empty());
    wire.inject(0, advert(1, 1800, 0, &[]));
    wire.run_for(Duration::from_secs(30));
    assert_eq!(sent(&wire, 133).len(), 1);
    assert_eq!(wire.counter(0, Counter::Icmp6OutRouterSolicits), 1);
    assert_eq!(wire.counter(0, Counter::Icmp6InRouterAdvertisements), 1);

    let mut wire = alone(&Config::default());
    wire.run_for(Duration::from_secs(30));
    assert_eq!(sent(&wire, 133).len(), 0, "only who is told to asks");
}

/// All that an address goes through while it is looked for.
pub fn looking_for(config: &Config) -> (Wire, Ipv6Addr) {
    let mut wire = alone(config);
    wire.run_for(Duration::from_secs(5));
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", ON_LINK | AUTONOMOUS, HOUR, HOUR)]));
    wire.seen.clear();
    wire.run_until(wire.now + Duration::from_secs(2), |wire| !sent(wire, 135).is_empty());
    let (ip, message) = &sent(&wire, 135)[0];
    assert!(ip.source.is_unspecified());
    let octets: [u8; 16] = message[8..24].try_into().unwrap();
    (wire, Ipv6Addr::from(octets))
}

pub fn claim(target: Ipv6Addr) -> Frame {
    let target_link = Some(station(5));
    let advert = NeighborAdvert { target, router: false, solicited: false, override_: true, target_link };
    let path = Path::v6(1, 0).from(&target.to_string()).to("ff02::1");
    path.icmpv6(Icmpv6Message::Ndp(NdpMessage::from(advert)), &[], 255)
}

//= RFC 4861 §6.3.4, type=test
//= RFC 4861 §6.3.6, type=test
//= RFC 4861 §7.2.5, type=test
//= RFC 4191 §3.2, type=test
//= RFC 4861 §6.3.4 MUST-3, type=test
//= RFC 4861 §6.3.5 MUST-1, type=test
//= RFC 4861 §7.2.5 MUST-7, type=test
//= RFC 4861 §7.3.3 MUST-3, type=test
//= RFC 1122 §3.3.1.2 MUST-3, type=test
//= RFC 1122 §3.3.1.5 MUST-1, type=test
//= RFC 4191 §2.1, type=test
#[test]
fn default_routers() {
    let mut wire = alone(&Config::default());
    let (low, high) = (0x18, 0x08);
    wire.inject(0, advert(1, 1800, low, &[]));
    wire.inject(0, advert(2, 1800, 0, &[]));
    wire.inject(0, advert(3, 60, high, &[]));
    assert_eq!(default_routes(&wire), [3, 2, 1].map(router));
    wire.run_for(Duration::from_secs(61));
    assert_eq!(default_routes(&wire), [2, 1].map(router), "its time is over");
    // A router that does not answer is the last choice, until it tells of itself again.
    let udp = wire[0].udp_open(tapsock_stack::stack::Family::V6);
    let send = |wire: &mut Wire| {
        let (now, to) = (wire.now, crate::wire::at("2001:db8:9::1", 9));
        let payload = tapsock_stack::buf::Rope::from(vec![0]);
        let _ = wire[0].udp_send(now, udp, payload, Some(to), Default::default());
        wire.run_for(Duration::from_secs(20));
    };
    send(&mut wire);
    assert_eq!(default_routes(&wire), [1, 2].map(router));
    wire.inject(0, advert(2, 1800, 0, &[]));
    assert_eq!(default_routes(&wire), [2, 1].map(router));
    // One that is no router any more says so, in one way or the other.
    wire.inject(0, advert(2, 0, 0, &[]));
    assert_eq!(default_routes(&wire), [router(1)]);
    wire.inject(0, claim(router(1).parse().unwrap()));
    assert_eq!(default_routes(&wire), Vec::<String>::new());
    let known = wire[0].neighbors().entries(wire.now).find(|entry| entry.address.to_string() == router(1));
    assert!(!known.unwrap().router);
}

//= RFC 4861 §6.3.4, type=test
//= RFC 4191 §3.2, type=test
//= RFC 4861 §9 MUST-2, type=test
#[test]
fn what_else_routers_tell() {
    let mtu = |mtu: u32| [&[5, 1, 0, 0][..], &mtu.to_be_bytes()].concat();
    let route = vec![24, 2, 48, 0, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 5, 0, 0];
    let resolver =
        [&[25, 3, 0, 0, 0, 0, 0, 90][..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53]].concat();
    let domain = [&[31, 3, 0, 0, 0, 0, 0, 90][..], b"\x03lab\x07example\x00", &[0; 3]].concat();
    let all =
        [mtu(1400), route.clone(), resolver, domain, prefix("2001:db8::", ON_LINK | AUTONOMOUS, HOUR, HOUR)];
    let mut wire = alone(&with(&["net.ipv6.conf.all.accept_ra_rt_info_max_plen 64"]));
    wire.inject(0, advert(1, 1800, 0, &all));
    wire.inject(0, advert(2, 0, 0, core::slice::from_ref(&route)));
    let hop = |wire: &Wire, to: &str| wire[0].interfaces().route(to.parse().unwrap(), None, None).unwrap();
    assert_eq!(hop(&wire, "2001:db8::9").mtu, 1400);
    assert_eq!(hop(&wire, "10.0.0.9").mtu, 1500, "the MTU is IPv6's alone");
    let specific =
        |wire: &Wire| wire[0].interfaces().routes().iter().filter(|r| r.destination.prefix_len == 48).count();
    assert_eq!(specific(&wire), 2);
    let resolvers = |wire: &Wire| wire[0].resolvers(wire.now).map(|(_, r)| r.to_string()).collect::<Vec<_>>();
    assert_eq!(resolvers(&wire), ["fd00::53"]);
    assert!(wire[0].domains(wire.now).eq(["lab.example"]));
    wire.run_for(Duration::from_secs(100));
    assert_eq!((specific(&wire), resolvers(&wire).len(), wire[0].domains(wire.now).count()), (0, 0, 0));
    for mtu_told in [1279, 1501] {
        wire.inject(0, advert(1, 1800, 0, &[mtu(mtu_told)]));
        assert_eq!(hop(&wire, "2001:db8::9").mtu, 1400, "{mtu_told} can't be");
    }
    // Without the settings none of it.
    let none = ["accept_ra_defrtr 0", "accept_ra_pinfo 0", "accept_ra_mtu 0"];
    let none = none.map(|setting| format!("net.ipv6.conf.eth0.{setting}"));
    for config in
        [with(&none.each_ref().map(|setting| &setting[..])), with(&["net.ipv6.conf.all.accept_ra 0"])]
    {
        let mut wire = alone(&config);
        wire.inject(0, advert(1, 1800, 0, &all));
        assert_eq!((made(&wire).len(), default_routes(&wire).len(), specific(&wire)), (0, 0, 0));
        assert_eq!(hop(&wire, "fd00::9").mtu, 1500);
    }
}

//= RFC 4861 §6.3.4, type=test
#[test]
fn a_router_sets_times_and_hops() {
    let mut wire = alone(&Config::default());
    let rest = [33, 0, 7, 8];
    let message = Icmpv6Message::Other { kind: 134, code: 0, rest };
    let body = [&5000u32.to_be_bytes()[..], &200u32.to_be_bytes()].concat();
    wire.inject(0, Path::v6(1, 0).from(&router(1)).to("ff02::1").icmpv6(message, &body, 255));
    assert_eq!(wire[0].interfaces().interface(ETH).unwrap().hop_limit(), Some(33));
    let udp = wire[0].udp_open(tapsock_stack::stack::Family::V6);
    let now = wire.now;
    let payload = tapsock_stack::buf::Rope::from(vec![0]);
    let _ = wire[0].udp_send(now, udp, payload, Some(crate::wire::at("fd00::77", 9)), Default::default());
    wire.run_for(Duration::from_millis(500));
    assert_eq!(sent(&wire, 135).len(), 3, "200 ms apart");
}

/// The hop limits of the packets to `to` that the host sent.
fn hop_limits(wire: &Wire, to: &str) -> Vec<u8> {
    let to: Ipv6Addr = to.parse().unwrap();
    let headers = wire.seen.iter().filter_map(|(_, frame)| Ipv6Header::parse(packet_of(frame)).ok());
    headers.filter(|ip| ip.destination == to).map(|ip| ip.hop_limit).collect()
}

/// Sends to host 1, whose station is known, what each protocol sends: data, a reset, an echo's answer, an error.
fn send_all_kinds(wire: &mut Wire) {
    let now = wire.now;
    let udp = wire[0].udp_open(tapsock_stack::stack::Family::V6);
    let payload = tapsock_stack::buf::Rope::from(vec![0]);
    wire[0].udp_send(now, udp, payload, Some(crate::wire::at("fd00::2", 9)), Default::default()).unwrap();
    wire.connect(0, crate::wire::at("fd00::2", 9));
    wire.inject(
        0,
        Path::v6(1, 0).icmpv6(Icmpv6Message::EchoRequest(Echo { ident: 1, sequence: 1 }), b"?", 64),
    );
    wire.inject(0, Path::v6(1, 0).udp((9, 9), b"nobody hears this"));
    wire.run_for(Duration::from_millis(1));
}

//= RFC 4861 §6.3.4, type=test
#[test]
fn what_a_router_says_of_hops_holds_for_its_link_alone() {
    let told = |settings: &[&str], limit: u8| {
        let mut wire = Wire::with_config(2, LINKS[0], &with(settings));
        wire.sniffing = true;
        let now = wire.now;
        let other = wire[0].add_interface("eth1", station(9), LINKS[0]).unwrap();
        let message = Icmpv6Message::Other { kind: 134, code: 0, rest: [limit, 0, 7, 8] };
        let advert = Path::v6(1, 0).from(&router(1)).to("ff02::1").icmpv6(message, &[0; 8], 255);
        wire[0].receive(now, other, advert.clone());
        send_all_kinds(&mut wire);
        let before = hop_limits(&wire, "fd00::2");
        wire.seen.clear();
        wire.inject(0, advert);
        send_all_kinds(&mut wire);
        let mut after = hop_limits(&wire, "fd00::2");
        // What neighbours tell each other goes no further in any case.
        after.retain(|limit| *limit != 255);
        assert!(after.len() >= 4, "{after:?}");
        (
            before.into_iter().filter(|limit| *limit != 255).max(),
            after.iter().min().copied(),
            after.into_iter().max(),
        )
    };
    assert_eq!(told(&[], 1), (Some(64), Some(1), Some(1)));
    // A router that would have packets die is not believed where that is not wanted.
    let least = "net.ipv6.conf.all.accept_ra_min_hop_limit 32";
    assert_eq!(told(&[least], 31), (Some(64), Some(64), Some(64)));
    assert_eq!(told(&[least], 32), (Some(64), Some(32), Some(32)));
    // An interface has its own.
    let own = "net.ipv6.conf.eth0.hop_limit 9";
    assert_eq!(told(&[own, least], 31), (Some(9), Some(9), Some(9)));
}

#[test]
fn questions_that_find_no_room_are_counted() {
    let none = "net.ipv6.conf.all.router_solicitation_delay 0";
    let mut wire = alone(&with(&["net.ipv6.conf.all.accept_dad 1", none]));
    let now = wire.now;
    for n in 0..8u8 {
        let interface = wire[0].add_interface(&format!("eth{}", n + 1), station(9), LINKS[0]).unwrap();
        for host in 1..40 {
            let address = format!("2001:db8:{n}::{host:x}/64").parse().unwrap();
            wire[0].add_address(interface, address).unwrap();
        }
    }
    for _ in 0..2 {
        let due = wire[0].poll_timeout().unwrap().max(now);
        wire[0].handle_timeout(due);
    }
    // Two of the wire's own interface are among them.
    let asked = wire.counter(0, Counter::Icmp6OutNeighborSolicits);
    assert_eq!((asked, wire.counter(0, Counter::TapsockAutoconfDrops)), (256, 8 * 40 + 2 - 256));
    // Over a link that is gone nothing is asked, and nothing counted as if it had been.
    let mut wire = alone(&with(&["net.ipv6.conf.all.accept_dad 1", none]));
    wire[0].set_link_down(now, ETH);
    wire.run_for(Duration::from_secs(5));
    assert_eq!(wire.counter(0, Counter::Icmp6OutMsgs), 0);
    assert!(wire.counter(0, Counter::Ip6OutDiscards) > 0);
}

/// A redirect of IPv6 from a router.
pub fn redirect(number: u8, target: &str, destination: &str) -> Frame {
    let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let message = Icmpv6Message::Other { kind: 137, code: 0, rest: [0; 4] };
    let body = [&octets(target)[..], &octets(destination), &[2, 1, 2, 0, 0, 0, 0, 9]].concat();
    Path::v6(1, 0).from(&router(number)).to("fd00::1").icmpv6(message, &body, 255)
}

/// Whatever routers tell, the tables have ends.
#[test]
fn a_flood_of_advertisements_is_bounded() {
    let mut wire = alone(&asking());
    for n in 0..400u16 {
        let prefix = prefix(&format!("2001:db8:{n:x}::"), ON_LINK | AUTONOMOUS, HOUR, HOUR);
        wire.inject(0, advert(n as u8, 1800, 0, &[prefix]));
        wire.run_for(Duration::from_millis(10));
    }
    wire.run_for(Duration::from_secs(5));
    assert!(made(&wire).len() <= 16);
    assert!(wire[0].interfaces().routes().iter().count() <= tapsock_stack::iface::slaac::MAX_LEARNED + 8);
    assert_eq!(wire[0].interfaces().interface(InterfaceId::LOOPBACK).unwrap().addresses().len(), 2);
    // Each router is a route, and each prefix one too and an address: what had no room is counted.
    assert!(
        wire.counter(0, Counter::TapsockAutoconfRefused) > 400,
        "{}",
        wire.counter(0, Counter::TapsockAutoconfRefused)
    );
}

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The solicitations of a host that nobody answers, by their time, within four hours.
fn solicitations(settings: &[&str]) -> Vec<f64> {
    let mut wire = alone(&with(settings));
    let (begin, mut times, mut seen) = (wire.now, Vec::new(), 0);
    let end = begin + Duration::from_secs(4 * 3600);
    wire.run_until(end, |wire| {
        for (_, frame) in &wire.seen[seen..] {
            if packet_of(frame).get(40) == Some(&133) {
                times.push(wire.now.saturating_since(begin).as_secs_f64());
            }
        }
        seen = wire.seen.len();
        false
    });
    times
}

//= RFC 7559 §2, type=test
#[test]
fn routers_are_asked_ever_more_seldom() {
    let times = solicitations(&["net.ipv6.conf.all.router_solicitations -1"]);
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((3.6..=4.4).contains(&pauses[0]), "{pauses:?}");
    for pair in pauses.windows(2) {
        let doubled = (1.9 * pair[0]..=2.1 * pair[0]).contains(&pair[1]);
        assert!(doubled || (3240.0..=3960.0).contains(&pair[1]), "{pauses:?}");
    }
    assert!(times.len() > 11, "{times:?}");
    assert_eq!(solicitations(&["net.ipv6.conf.all.router_solicitations 3"]).len(), 3);
    // Without a bound the pauses double all the time.
    let times = solicitations(&[
        "net.ipv6.conf.all.router_solicitations -1",
        "net.ipv6.conf.all.router_solicitation_max_interval 0",
    ]);
    assert!((11..=13).contains(&times.len()), "{times:?}");
    // A router asks for none.
    let router = ["net.ipv6.conf.all.router_solicitations -1", "net.ipv6.conf.all.forwarding 1"];
    assert!(solicitations(&router).is_empty());
}

#[test]
fn resolvers_and_domains_are_bounded() {
    let mut wire = alone(&asking());
    let addresses: Vec<u8> = (0..20u128).flat_map(|n| (0x2001_0db8_u128 << 96 | n).to_be_bytes()).collect();
    let option = [&[25, 41, 0, 0, 0, 0, 14, 16][..], &addresses].concat();
    wire.inject(0, advert(1, 1800, 0, &[option]));
    assert_eq!(wire[0].resolvers(wire.now).count(), 8);
    assert_eq!(wire.counter(0, Counter::TapsockAutoconfRefused), 12);
    let names: Vec<u8> = (b'a'..=b't').flat_map(|letter| [1, letter, 0]).collect();
    let option = |seconds: u8| [&[31, 9, 0, 0, 0, 0, 0, seconds][..], &names, &[0; 4]].concat();
    wire.inject(0, advert(1, 1800, 0, &[option(60)]));
    assert!(wire[0].domains(wire.now).eq(["a", "b", "c", "d", "e", "f", "g", "h"]));
    assert_eq!(wire.counter(0, Counter::TapsockAutoconfRefused), 24);
    // What holds no longer is taken back.
    wire.inject(0, advert(1, 1800, 0, &[option(0)]));
    assert_eq!(wire[0].domains(wire.now).count(), 0);
}
