use super::*;
use crate::iface::{NeighborAction, NeighborConfig, NudState, solicitation};
use crate::random::Random;
use crate::wire::checksum::verify_transport;
use crate::wire::offload::{LinkCaps, Medium};

const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const PEER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 8]);
const ETH0: InterfaceId = InterfaceId(1);
const NOW: Instant = Instant::from_secs(1);

struct Bench {
    interfaces: Interfaces,
    policy: NeighborPolicy,
    cache: NeighborCache,
    counters: Counters,
}

/// fd00::1/64 and fe80::1/64 on eth0, fd01::1/64 on eth1.
fn bench() -> Bench {
    let mut interfaces = Interfaces::new();
    for (name, addresses) in [("eth0", &["fd00::1/64", "fe80::1/64"][..]), ("eth1", &["fd01::1/64"])] {
        let id = interfaces.add(name, OURS, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
        for address in addresses {
            interfaces.add_address(id, address.parse().unwrap()).unwrap();
        }
    }
    let cache = NeighborCache::new(NeighborConfig::default(), &mut Random::new(1));
    Bench { interfaces, policy: NeighborPolicy::default(), cache, counters: Counters::default() }
}

impl Bench {
    fn solicit(
        &mut self,
        source: &str,
        target: &str,
        source_link: Option<EthernetAddress>,
    ) -> Option<Message> {
        self.solicit_at(&solicited_node(ip(target)).to_string(), source, target, source_link)
    }

    fn solicit_at(
        &mut self,
        destination: &str,
        source: &str,
        target: &str,
        source_link: Option<EthernetAddress>,
    ) -> Option<Message> {
        let solicit = NeighborSolicit { target: ip(target), source_link };
        let Bench { interfaces, policy, cache, counters } = self;
        let answer = on_solicit(
            NOW,
            (ETH0, ip(source), ip(destination)),
            &solicit,
            interfaces,
            policy,
            cache,
            counters,
        );
        answer.map(|frame| parse(&frame))
    }

    fn advert(&mut self, target: &str, target_link: Option<EthernetAddress>, solicited: bool) {
        let advert =
            NeighborAdvert { target: ip(target), router: true, solicited, override_: true, target_link };
        on_advert(NOW, ETH0, &advert, &self.interfaces, &self.policy, &mut self.cache, &mut self.counters);
    }

    fn known(&self) -> Vec<(String, NudState, Option<EthernetAddress>)> {
        let entry =
            |entry: crate::iface::NeighborEntry| (entry.address.to_string(), entry.state, entry.link_address);
        self.cache.entries(NOW).map(entry).collect()
    }
}

#[derive(Debug, PartialEq)]
struct Message {
    station: EthernetAddress,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    ndp: NdpMessage,
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// Reads a frame with the checks that a receiver makes.
fn parse(frame: &Transmit) -> Message {
    let header = EthernetHeader::parse(&frame.headers).unwrap();
    assert_eq!((header.ether_type, header.source), (EtherType::Ipv6, OURS));
    let packet = &frame.headers[EthernetHeader::LEN..];
    let ip = Ipv6Header::parse(packet).unwrap();
    let message = &packet[Ipv6Header::LEN..];
    assert_eq!((ip.hop_limit, usize::from(ip.payload_len)), (255, message.len()));
    let checksum =
        verify_transport(IpAddr::V6(ip.source), IpAddr::V6(ip.destination), IpProtocol::ICMPV6, message);
    assert_eq!(checksum, crate::buf::Checksum::Valid);
    let ndp = NdpMessage::parse(&ip, message).unwrap();
    Message { station: header.destination, source: ip.source, destination: ip.destination, ndp }
}

fn our_advert(target: &str, solicited: bool) -> NdpMessage {
    NeighborAdvert { target: ip(target), router: false, solicited, override_: true, target_link: Some(OURS) }
        .into()
}

//= RFC 4861 §7.2.3, type=test
//= RFC 4861 §7.2.4, type=test
//= RFC 4861 §4.4 MUST-5, type=test
//= RFC 4861 §4.4 MUST-6, type=test
//= RFC 4861 §7.2.3 MUST-2, type=test
//= RFC 4861 §7.2.4 MUST-1, type=test
//= RFC 4861 §7.2.4 MUST-3, type=test
//= RFC 4861 §7.2.4 MUST-5, type=test
#[test]
fn a_solicitation_for_us_is_answered_and_its_sender_learned() {
    let mut bench = bench();
    let answer = bench.solicit("fd00::7", "fd00::1", Some(PEER)).unwrap();
    let expected = Message {
        station: PEER,
        source: ip("fd00::1"),
        destination: ip("fd00::7"),
        ndp: our_advert("fd00::1", true),
    };
    assert_eq!(answer, expected);
    // The answer is a packet to a stale neighbour.
    assert_eq!(bench.known(), [("fd00::7".to_string(), NudState::Delay, Some(PEER))]);
    bench.solicit("fd00::7", "fe80::1", Some(OTHER));
    assert_eq!(bench.known(), [("fd00::7".to_string(), NudState::Delay, Some(OTHER))]);
    assert_eq!(bench.counters[Counter::Icmp6OutNeighborAdvertisements], 2);
}

//= RFC 4861 §7.2.3, type=test
//= RFC 4861 §7.2.3 MUST-1, type=test
//= RFC 4861 §4.4 MUST-4, type=test
#[test]
fn solicitations_for_others_are_ignored() {
    let mut bench = bench();
    for target in ["fd00::9", "fd01::1", "::1", "ff02::1", "ff02::1:ff00:1"] {
        assert_eq!(bench.solicit("fd00::7", target, Some(PEER)), None, "{target}");
    }
    assert_eq!(bench.known(), []);
}

//= RFC 4861 §7.2.4, type=test
//= RFC 4861 §4.4 MUST-1, type=test
//= RFC 4861 §7.2.3 MUST-4, type=test
//= RFC 4861 §7.2.4 MUST-4, type=test
#[test]
fn duplicate_address_detection_is_answered_to_all() {
    let mut bench = bench();
    let answer = bench.solicit("::", "fe80::1", None).unwrap();
    let station = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let expected = Message {
        station,
        source: ip("fe80::1"),
        destination: ip("ff02::1"),
        ndp: our_advert("fe80::1", false),
    };
    assert_eq!(answer, expected);
    assert_eq!(bench.known(), []);
}

//= RFC 4861 §7.2.4, type=test
//= RFC 4861 §7.2 MUST-1, type=test
#[test]
fn an_answer_waits_for_the_askers_link_address() {
    let mut bench = bench();
    assert_eq!(bench.solicit("fd00::7", "fd00::1", None), None);
    let action = bench.cache.poll_action();
    let hint = Some(IpAddr::V6(ip("fd00::1")));
    assert!(
        matches!(action, Some(NeighborAction::Solicit { to: None, source_hint, .. }) if source_hint == hint),
        "{action:?}"
    );
    bench.advert("fd00::7", Some(PEER), true);
    let Some(NeighborAction::Transmit { address: PEER, mut packet, .. }) = bench.cache.poll_action() else {
        panic!("the answer leaves");
    };
    prepend_ethernet(bench.interfaces.interface(ETH0).unwrap(), PEER, &mut packet);
    assert_eq!(parse(&packet).ndp, our_advert("fd00::1", true));
    // Now that it is known, an answer to a probe without the option leaves at once.
    assert_eq!(bench.solicit("fd00::7", "fd00::1", None).unwrap().station, PEER);
}

/// As Linux: whoever asks our station alone has its address.
#[test]
fn an_answer_names_the_station_to_those_who_asked_the_group() {
    let mut bench = bench();
    for (destination, named) in [("ff02::1:ff00:1", Some(OURS)), ("fd00::1", None)] {
        let answer = bench.solicit_at(destination, "fd00::7", "fd00::1", Some(PEER)).unwrap();
        let NdpMessage::NeighborAdvert(advert) = answer.ndp else { panic!("{answer:?}") };
        assert_eq!((advert.target_link, advert.solicited), (named, true), "{destination}");
    }
}

#[test]
fn our_own_addresses_are_never_learned() {
    let mut bench = bench();
    bench.advert("fd00::1", Some(PEER), true);
    bench.advert("fd01::1", Some(PEER), false);
    assert_eq!(bench.solicit("fd00::1", "fd00::1", Some(PEER)), None);
    assert_eq!(bench.counters[Counter::TapsockAddressConflicts], 3);
    // Our own frame that comes back is no conflict.
    assert_eq!(bench.solicit("fd00::1", "fe80::1", Some(OURS)), None);
    assert_eq!(bench.counters[Counter::TapsockAddressConflicts], 3);
    assert_eq!(bench.known(), []);
}

#[test]
fn implausible_askers_are_dropped() {
    let mut bench = bench();
    assert_eq!(bench.solicit("ff02::1", "fd00::1", Some(PEER)), None);
    assert_eq!(bench.counters[Counter::TapsockNdpInErrors], 1);
    assert_eq!(bench.known(), []);
}

//= RFC 4861 §7.2.5, type=test
//= RFC 4861 §7.2.5 MUST-2, type=test
//= RFC 4861 §7.2.5 MUST-3, type=test
//= RFC 4861 §7.2.5 MUST-6, type=test
#[test]
fn advertisements_reach_the_entry_they_are_about() {
    let mut bench = bench();
    bench.advert("fd00::7", Some(PEER), true);
    assert_eq!(bench.known(), []);
    bench.solicit("fd00::7", "fd00::1", Some(OTHER));
    bench.advert("fd00::7", Some(PEER), true);
    assert_eq!(bench.known(), [("fd00::7".to_string(), NudState::Reachable, Some(PEER))]);
    assert!(bench.cache.entries(NOW).all(|entry| entry.router));
}

//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §4.3 MUST-5, type=test
//= RFC 4861 §7.2.2 MUST-1, type=test
#[test]
fn solicitations_ask_with_an_address_of_the_interface() {
    let bench = bench();
    let ask = |target: &str, to, hint: Option<&str>| {
        let (target, hint) = (target.parse().unwrap(), hint.map(|hint| hint.parse().unwrap()));
        let frame =
            solicitation(&bench.interfaces, ETH0, target, to, hint, &bench.policy, &mut Counters::default())
                .unwrap();
        let message = parse(&frame);
        let NdpMessage::NeighborSolicit(solicit) = message.ndp else { panic!("{message:?}") };
        assert_eq!((IpAddr::V6(solicit.target), solicit.source_link), (target, Some(OURS)));
        (message.station, message.source.to_string(), message.destination.to_string())
    };
    let group = EthernetAddress([0x33, 0x33, 0xff, 0, 0, 7]);
    let to_group = |source: &str| (group, source.to_string(), "ff02::1:ff00:7".to_string());
    assert_eq!(ask("fe80::7", None, None), to_group("fe80::1"));
    // As Linux, where no packet waits whose address it could be.
    assert_eq!(ask("fd00::7", None, None), to_group("fe80::1"));
    assert_eq!(ask("fd00::7", None, Some("fd00::1")), to_group("fd00::1"));
    // Ours, but of another interface.
    assert_eq!(ask("fd00::7", None, Some("fd01::1")), to_group("fe80::1"));
    assert_eq!(ask("fd00::7", Some(PEER), None), (PEER, "fe80::1".to_string(), "fd00::7".to_string()));
}

//= RFC 9131 §6.1.1, type=test
#[test]
fn unsolicited_advertisements_make_entries_by_setting() {
    // Of a router, and of a host whatever the setting.
    for (router, accept, made) in
        [(true, 0, [false; 2]), (true, 1, [true; 2]), (true, 2, [true, false]), (false, 1, [false; 2])]
    {
        let mut bench = bench();
        bench.policy.router = router;
        bench.policy.accept_untracked_na = accept;
        for (target, made) in ["fd00::7", "fd05::7"].into_iter().zip(made) {
            bench.advert(target, Some(PEER), false);
            let known = bench.known().into_iter().find(|(address, ..)| address == target);
            let expected = made.then_some((target.to_string(), NudState::Stale, Some(PEER)));
            assert_eq!(known, expected, "accept_untracked_na {accept}");
        }
        bench.advert("fd00::8", Some(PEER), true);
        bench.advert("fd00::9", None, false);
        assert!(!bench.known().iter().any(|(address, ..)| matches!(&address[..], "fd00::8" | "fd00::9")));
    }
    let mut bench = bench();
    bench.solicit("fd00::7", "fd00::1", Some(PEER));
    bench.policy.drop_unsolicited_na = true;
    bench.advert("fd00::7", Some(OTHER), false);
    assert_eq!(bench.known()[0].2, Some(PEER));
    bench.advert("fd00::7", Some(OTHER), true);
    assert_eq!(bench.known()[0].2, Some(OTHER), "the answer to a question");
    assert_eq!(bench.counters[Counter::TapsockNeighborIgnored], 1);
}
