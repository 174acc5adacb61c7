//! What hosts keep of what routers and neighbours tell, rule by rule of RFC 4861 and RFC 4862.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::NudState;
use tapsock_stack::stack::Family;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::ndp::{NdpMessage, NeighborSolicit, solicited_node};
use tapsock_stack::wire::{EthernetAddress, IpProtocol, TcpFlags, TcpHeader};

use crate::autoconf::{
    AUTONOMOUS, HOUR, ON_LINK, advert, alone, asking, claim, looking_for, made, next_hop, prefix, router,
    sent, with,
};
use crate::packets::{Path, tcp_of};
use crate::wire::{ETH, Wire, at, station};

/// What is known of a neighbour: its state, its station and whether it counts as a router.
fn known(wire: &Wire, address: &str) -> Option<(NudState, Option<EthernetAddress>, bool)> {
    let ip: IpAddr = address.parse().unwrap();
    let mut entries = wire[0].neighbors().entries(wire.now);
    entries.find(|entry| entry.address == ip).map(|entry| (entry.state, entry.link_address, entry.router))
}

/// An advertisement with any options, or none.
fn bare_advert(number: u8, head: [u8; 4], times: [u32; 2], options: &[u8]) -> Frame {
    let message = Icmpv6Message::Other { kind: 134, code: 0, rest: head };
    let body = [&times[0].to_be_bytes()[..], &times[1].to_be_bytes(), options].concat();
    Path::v6(1, 0).from(&router(number)).to("ff02::1").icmpv6(message, &body, 255)
}

fn asks(source: &str, to: Ipv6Addr, target: Ipv6Addr, source_link: Option<EthernetAddress>) -> Frame {
    let mut path = Path::v6(1, 0).from(source).to(&to.to_string());
    if to.is_multicast() {
        path.to_station = EthernetAddress::multicast_for(IpAddr::V6(to));
    }
    let solicit = NeighborSolicit { target, source_link };
    path.icmpv6(Icmpv6Message::Ndp(NdpMessage::from(solicit)), &[], 255)
}

//= RFC 4861 §4.6.2 MUST-1, type=test
//= RFC 4861 §4.6.2 MUST-2, type=test
//= RFC 4861 §6.3.4 MUST-1, type=test
//= RFC 4861 §6.3.4 MUST-2, type=test
//= RFC 4861 §6.3.4 MUST-8, type=test
#[test]
fn what_an_advertisement_leaves_out_it_does_not_take_back() {
    let mut wire = alone(&with(&[]));
    let mtu = [5, 1, 0, 0, 0, 0, 5, 120];
    let on_link = prefix("2001:db8::", ON_LINK, HOUR, HOUR);
    wire.inject(0, bare_advert(1, [33, 0, 7, 8], [5000, 200], &[&mtu[..], &on_link].concat()));
    let state = |wire: &Wire| {
        let hop = wire[0].interfaces().route("2001:db8::7".parse().unwrap(), None, None).unwrap();
        let limit = wire[0].interfaces().interface(ETH).unwrap().hop_limit();
        (hop.next_hop.to_string(), hop.mtu, limit)
    };
    let told = ("2001:db8::7".to_owned(), 1400, Some(33));
    assert_eq!(state(&wire), told);
    // The same router without any of it, another router, and the prefix without the flag, or for less time.
    wire.inject(0, bare_advert(1, [0, 0, 7, 8], [0, 0], &[]));
    assert_eq!(state(&wire), told);
    wire.inject(0, bare_advert(2, [0, 0, 7, 8], [0, 0], &[]));
    assert_eq!(state(&wire), told);
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, 0, 0)]));
    assert_eq!(state(&wire), told, "not said to be off the link");
    let udp = wire[0].udp_open(Family::V6);
    let now = wire.now;
    let _ = wire[0].udp_send(now, udp, Rope::from(vec![0]), Some(at("fd00::77", 9)), Default::default());
    wire.run_for(Duration::from_millis(500));
    assert_eq!(sent(&wire, 135).len(), 3, "200 ms apart still");
    // Only the flag with a lifetime of zero takes it off the link.
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", ON_LINK, 0, 0)]));
    assert_ne!(state(&wire).0, told.0);
}

//= RFC 4861 §6.3.4 MUST-4, type=test
//= RFC 4861 §6.3.4 MUST-5, type=test
//= RFC 4861 §6.3.4 MUST-6, type=test
//= RFC 4861 §6.3.4 MUST-7, type=test
//= RFC 4861 §7.2 MUST-1, type=test
#[test]
fn who_advertises_a_link_counts_as_its_router() {
    let mut wire = alone(&with(&[]));
    let address = router(1);
    wire.inject(0, bare_advert(1, [64, 0, 7, 8], [0, 0], &[]));
    assert_eq!(known(&wire, &address), None, "nobody said where it is");
    let group = solicited_node("fd00::1".parse().unwrap());
    wire.inject(0, asks(&address, group, "fd00::1".parse().unwrap(), Some(station(5))));
    assert_eq!(
        known(&wire, &address).map(|(_, link, router)| (link, router)),
        Some((Some(station(5)), false))
    );
    wire.inject(0, bare_advert(1, [64, 0, 7, 8], [0, 0], &[]));
    assert_eq!(
        known(&wire, &address).map(|(_, link, router)| (link, router)),
        Some((Some(station(5)), true))
    );
    wire.inject(0, bare_advert(1, [64, 0, 7, 8], [0, 0], &[1, 1, 2, 0, 0, 0, 0, 9]));
    assert_eq!(known(&wire, &address), Some((NudState::Stale, Some(station(8)), true)), "it has moved");
    wire.inject(0, bare_advert(2, [64, 0, 7, 8], [0, 0], &[1, 1, 2, 0, 0, 0, 0, 9]));
    assert_eq!(known(&wire, &router(2)), Some((NudState::Stale, Some(station(8)), true)));
}

//= RFC 4861 §6.1.1 MUST-1, type=test
//= RFC 4861 §6.2.6 MUST-1, type=test
//= RFC 4861 §6.2.6 MUST-5, type=test
#[test]
fn who_asks_for_routers_is_not_heard_by_a_host() {
    let mut wire = alone(&with(&[]));
    let message = Icmpv6Message::Other { kind: 133, code: 0, rest: [0; 4] };
    let mut path = Path::v6(1, 0).to("ff02::1");
    path.to_station = EthernetAddress::multicast_for("ff02::1".parse().unwrap());
    wire.inject(0, path.from("fe80::99").icmpv6(message, &[1, 1, 2, 0, 0, 0, 0, 9], 255));
    wire.inject(0, path.from("::").icmpv6(message, &[], 255));
    wire.inject(0, Path::v6(1, 0).icmpv6(message, &[1, 1, 2, 0, 0, 0, 0, 9], 255));
    assert_eq!(wire.counter(0, Counter::Icmp6InRouterSolicits), 3);
    assert_eq!(wire[0].neighbors().entries(wire.now).count(), 0);
    assert!(wire.seen.is_empty(), "{:?}", wire.seen);
}

//= RFC 4862 §5.4.3 MUST-1, type=test
#[test]
fn for_an_address_that_is_looked_for_nobody_is_answered() {
    let (mut wire, address) = looking_for(&asking());
    wire.seen.clear();
    for source_link in [Some(station(5)), None] {
        wire.inject(0, asks("fe80::99", solicited_node(address), address, source_link));
    }
    wire.inject(0, asks("fe80::99", address, address, Some(station(5))));
    assert_eq!(sent(&wire, 136).len(), 0);
    wire.run_for(Duration::from_secs(3));
    assert_eq!(made(&wire).len(), 1, "and that somebody asks for it does not take it away");
    wire.inject(0, asks("fe80::99", solicited_node(address), address, Some(station(5))));
    assert_eq!(sent(&wire, 136).len(), 1, "now it is ours");
}

//= RFC 4862 §5.1 MUST-1, type=test
#[test]
fn how_often_an_address_is_looked_for_is_each_interface_s_setting() {
    for (setting, probes) in
        [("eth0.dad_transmits 3", 3), ("eth1.dad_transmits 3", 1), ("eth0.dad_transmits 0", 0)]
    {
        let setting = format!("net.ipv6.conf.{setting}");
        let mut wire = alone(&with(&["net.ipv6.conf.all.accept_dad 1", &setting]));
        wire.run_for(Duration::from_secs(10));
        wire.seen.clear();
        wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)]));
        wire.run_for(Duration::from_secs(10));
        assert_eq!((sent(&wire, 135).len(), made(&wire).len()), (probes, 1), "{setting}");
    }
}

/// Whether the host answers an echo request, and a SYN, to `address`.
fn answers(wire: &mut Wire, address: &str) -> (bool, bool) {
    // Where the answer goes is known.
    let ours: Ipv6Addr = "fd00::1".parse().unwrap();
    wire.inject(0, asks("fe80::99", solicited_node(ours), ours, Some(station(5))));
    wire.seen.clear();
    let path = Path::v6(1, 0).from("fe80::99").to(address);
    wire.inject(0, path.icmpv6(Icmpv6Message::EchoRequest(Echo { ident: 1, sequence: 1 }), b"x", 64));
    let syn =
        TcpHeader { source_port: 9, destination_port: 2000, flags: TcpFlags::SYN, ..TcpHeader::default() };
    wire.inject(0, path.tcp(&syn, &[]));
    let from: Ipv6Addr = address.parse().unwrap();
    let echo = sent(wire, 129).iter().any(|(ip, _)| ip.source == from);
    let accepted = wire.seen.iter().filter_map(|(_, frame)| tcp_of(frame));
    let accepted =
        accepted.map(|(header, _)| header.flags).any(|flags| flags == TcpFlags::SYN | TcpFlags::ACK);
    (echo, accepted)
}

//= RFC 4862 §5.5.4 MUST-1, type=test
//= RFC 4862 §5.5.4 MUST-4, type=test
//= RFC 4862 §5.5.4 MUST-5, type=test
#[test]
fn a_deprecated_address_is_ours_and_an_invalid_one_is_not() {
    let mut wire = alone(&with(&[]));
    wire.listen(0, "::", 2000, 8);
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", ON_LINK | AUTONOMOUS, 3 * HOUR, 60)]));
    let address = made(&wire)[0].0.to_string();
    assert_eq!(answers(&mut wire, &address), (true, true));
    wire.run_for(Duration::from_secs(61));
    assert_eq!(answers(&mut wire, &address), (true, true), "deprecated");
    let source = |wire: &Wire| {
        wire[0].interfaces().route("2001:db8::77".parse().unwrap(), None, None).unwrap().source.to_string()
    };
    assert_eq!(source(&wire), "fd00::1", "though another goes before it");
    wire.run_for(Duration::from_secs(3 * 3600));
    assert_eq!(answers(&mut wire, &address), (false, false), "invalid");
    assert!(made(&wire).is_empty());
}

//= RFC 7217 §5 MUST-1, type=test
//= RFC 7217 §5 MUST-2, type=test
//= RFC 7217 §6 MUST-1, type=test
//= RFC 7217 §6 MUST-2, type=test
#[test]
fn a_secret_address_that_is_always_taken_is_given_up() {
    let config = with(&[
        "net.ipv6.conf.all.accept_dad 1",
        "net.ipv6.conf.all.addr_gen_mode 2",
        "net.ipv6.conf.all.stable_secret 2001::7",
    ]);
    let (mut wire, _) = looking_for(&config);
    let link_local = wire[0].interfaces().interface(ETH).unwrap().addresses().iter().find_map(|own| {
        let IpAddr::V6(address) = own.cidr.address else { return None };
        address.is_unicast_link_local().then_some(address)
    });
    assert_ne!(link_local.unwrap().to_string(), "fe80::ff:fe00:1", "link-local addresses are secret too");
    let mut tried = Vec::new();
    for _ in 0..600 {
        for (ip, message) in sent(&wire, 135) {
            let octets: [u8; 16] = message[8..24].try_into().unwrap();
            let target = Ipv6Addr::from(octets);
            if ip.source.is_unspecified() && target.segments()[0] == 0x2001 && !tried.contains(&target) {
                tried.push(target);
                wire.inject(0, claim(target));
            }
        }
        wire.seen.clear();
        wire.run_for(Duration::from_millis(100));
    }
    assert_eq!(tried.len(), 4, "one, and three more (regen_max_retry): {tried:?}");
    assert!(!tried.contains(&"2001:db8::ff:fe00:1".parse().unwrap()), "and none of the station's number");
    assert_eq!(made(&wire), []);
}

//= RFC 4861 §8.3 MUST-4, type=test
//= RFC 4861 §7.2 MUST-1, type=test
//= RFC 1122 §3.3.1.2 MUST-1, type=test
#[test]
fn the_target_of_a_redirect_counts_as_router_though_it_is_not_named() {
    let mut wire = alone(&with(&[]));
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)]));
    let far = "2001:db8:9::1";
    let unnamed = |target: &str| {
        let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        let message = Icmpv6Message::Other { kind: 137, code: 0, rest: [0; 4] };
        let body = [octets(target), octets(far)].concat();
        Path::v6(1, 0).from(&router(1)).to("fd00::1").icmpv6(message, &body, 255)
    };
    wire.inject(0, unnamed("fe80::aa:3"));
    assert_eq!(next_hop(&wire, far).as_deref(), Some("fe80::aa:3"));
    assert_eq!(known(&wire, "fe80::aa:3"), None, "nobody said where it is");
    let mut wire = alone(&with(&[]));
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)]));
    let ours: Ipv6Addr = "fd00::1".parse().unwrap();
    wire.inject(0, asks("fe80::aa:3", solicited_node(ours), ours, Some(station(8))));
    assert_eq!(known(&wire, "fe80::aa:3").map(|known| known.2), Some(false));
    wire.inject(0, unnamed("fe80::aa:3"));
    assert_eq!(known(&wire, "fe80::aa:3").map(|known| known.2), Some(true));
}

/// No message of neighbour discovery is longer than its link takes: they have at most one option.
//= RFC 4861 §9 MUST-8, type=test
#[test]
fn messages_of_neighbour_discovery_are_short() {
    let (mut wire, address) = looking_for(&asking());
    wire.run_for(Duration::from_secs(3));
    wire.inject(0, asks("fe80::99", solicited_node(address), address, Some(station(5))));
    for kind in [133, 135, 136] {
        let messages = sent(&wire, kind);
        assert!(messages.iter().all(|(_, message)| message.len() <= 32), "{kind}: {messages:?}");
    }
    let all =
        wire.seen.iter().filter_map(|(_, frame)| crate::packets::transport_of(frame, IpProtocol::ICMPV6));
    assert!(all.count() >= 2);
}

/// Neighbour discovery in fragments is heard by setting only, be there several or one.
//= RFC 6980 §5, type=test
#[test]
fn a_solicitation_in_fragments_is_not_answered() {
    for (setting, answered) in [("1", 0), ("0", 2)] {
        let mut wire = alone(&with(&[&format!("net.ipv6.conf.all.suppress_frag_ndisc {setting}")]));
        let group = solicited_node("fd00::1".parse().unwrap());
        let whole = asks("fe80::99", group, "fd00::1".parse().unwrap(), Some(station(5)));
        let bytes = crate::packets::bytes_of(&whole);
        let (head, message) = bytes.split_at(54);
        let part = |offset: u16, more: u16, identification: u8, range: core::ops::Range<usize>| {
            let mut head = head.to_vec();
            head[18..20].copy_from_slice(&(8 + range.len() as u16).to_be_bytes());
            let next = core::mem::replace(&mut head[20], 44);
            let [high, low] = (offset | more).to_be_bytes();
            Frame::from([&head[..], &[next, 0, high, low, 0, 0, 0, identification], &message[range]].concat())
        };
        wire.inject(0, part(0, 1, 1, 0..16));
        wire.inject(0, part(16, 0, 1, 16..message.len()));
        wire.inject(0, part(0, 0, 2, 0..message.len()));
        assert_eq!(sent(&wire, 136).len(), answered);
        assert_eq!(wire.counter(0, Counter::TapsockNdpInErrors), 2 - answered as u64);
    }
}
