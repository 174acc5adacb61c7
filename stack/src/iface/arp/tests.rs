use super::*;
use crate::iface::{NeighborConfig, NudState, solicitation};
use crate::random::Random;
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

/// 10.0.0.1/24 on eth0 and 192.168.1.1/24 on eth1.
fn bench() -> Bench {
    let mut interfaces = Interfaces::new();
    for (name, address) in [("eth0", "10.0.0.1/24"), ("eth1", "192.168.1.1/24")] {
        let id = interfaces.add(name, OURS, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
        interfaces.add_address(id, address.parse().unwrap()).unwrap();
    }
    let cache = NeighborCache::new(NeighborConfig::default(), &mut Random::new(1));
    Bench { interfaces, policy: NeighborPolicy::default(), cache, counters: Counters::default() }
}

impl Bench {
    fn receive(&mut self, packet: &ArpPacket) -> Option<(EthernetHeader, ArpPacket)> {
        on_arp(NOW, ETH0, packet, &self.interfaces, &self.policy, &mut self.cache, &mut self.counters)
            .map(|frame| parse(&frame))
    }

    fn known(&self) -> Vec<(String, NudState, Option<EthernetAddress>)> {
        let entry =
            |entry: crate::iface::NeighborEntry| (entry.address.to_string(), entry.state, entry.link_address);
        self.cache.entries(NOW).map(entry).collect()
    }

    /// Makes an entry that waits for an answer.
    fn ask_for(&mut self, address: &str) {
        let packet = Transmit {
            headers: HeaderBlock::new(),
            payload: Rope::new(),
            checksum: None,
            segmentation: None,
        };
        self.cache.resolve(NOW, ETH0, address.parse().unwrap(), packet, &mut self.counters);
    }
}

fn parse(frame: &Transmit) -> (EthernetHeader, ArpPacket) {
    let header = EthernetHeader::parse(&frame.headers).unwrap();
    assert_eq!(header.ether_type, EtherType::Arp);
    (header, ArpPacket::parse(&frame.headers[EthernetHeader::LEN..]).unwrap())
}

fn arp(operation: ArpOperation, hardware: EthernetAddress, sender: &str, target: &str) -> ArpPacket {
    ArpPacket {
        operation,
        sender_hardware: hardware,
        sender_ip: sender.parse().unwrap(),
        target_hardware: if operation == ArpOperation::Reply { OURS } else { EthernetAddress::default() },
        target_ip: target.parse().unwrap(),
    }
}

use ArpOperation::{Reply, Request};

//= RFC 826, type=test
//= RFC 5227 §2.5 MUST-1, type=test
#[test]
fn a_request_to_us_is_answered_and_its_sender_learned() {
    let mut bench = bench();
    for target in ["10.0.0.1", "192.168.1.1"] {
        let (header, answer) = bench.receive(&arp(Request, PEER, "10.0.0.7", target)).unwrap();
        assert_eq!((header.destination, header.source), (PEER, OURS));
        let expected = ArpPacket { target_hardware: PEER, ..arp(Reply, OURS, target, "10.0.0.7") };
        assert_eq!(answer, expected);
    }
    assert_eq!(bench.known(), [("10.0.0.7".to_string(), NudState::Stale, Some(PEER))]);
}

//= RFC 826, type=test
#[test]
fn others_packets_change_entries_but_make_none() {
    let mut bench = bench();
    let strangers = [
        arp(Request, PEER, "10.0.0.7", "10.0.0.9"),
        arp(Request, PEER, "10.0.0.7", "10.0.0.7"),
        arp(Reply, PEER, "10.0.0.7", "10.0.0.7"),
        arp(Reply, PEER, "10.0.0.7", "10.0.0.1"),
        arp(Request, PEER, "10.0.0.7", "127.0.0.1"),
    ];
    for packet in strangers {
        assert_eq!(bench.receive(&packet), None, "{packet:?}");
    }
    assert_eq!(bench.known(), []);
    bench.receive(&arp(Request, PEER, "10.0.0.7", "10.0.0.1"));
    bench.receive(&arp(Request, OTHER, "10.0.0.7", "10.0.0.7"));
    assert_eq!(bench.known(), [("10.0.0.7".to_string(), NudState::Stale, Some(OTHER))]);
}

#[test]
fn only_a_reply_to_this_station_proves_the_way_there() {
    let to_others = ArpPacket { target_hardware: OTHER, ..arp(Reply, PEER, "10.0.0.7", "10.0.0.1") };
    let table = [
        (arp(Reply, PEER, "10.0.0.7", "10.0.0.1"), NudState::Reachable),
        (arp(Reply, PEER, "10.0.0.7", "10.0.0.9"), NudState::Stale),
        (to_others, NudState::Stale),
        (arp(Request, PEER, "10.0.0.7", "10.0.0.7"), NudState::Stale),
        (arp(Request, PEER, "10.0.0.7", "10.0.0.1"), NudState::Stale),
    ];
    for (packet, state) in table {
        let mut bench = bench();
        bench.ask_for("10.0.0.7");
        bench.receive(&packet);
        assert_eq!(bench.known(), [("10.0.0.7".to_string(), state, Some(PEER))], "{packet:?}");
    }
}

//= RFC 5227 §2.1.1, type=test
//= RFC 5227 §2.5 MUST-2, type=test
#[test]
fn a_probe_is_answered_and_teaches_nothing() {
    let mut bench = bench();
    let (header, answer) = bench.receive(&arp(Request, PEER, "0.0.0.0", "10.0.0.1")).unwrap();
    assert_eq!(
        (header.destination, answer.sender_ip, answer.target_hardware),
        (PEER, "10.0.0.1".parse().unwrap(), PEER)
    );
    assert_eq!(bench.receive(&arp(Request, PEER, "0.0.0.0", "10.0.0.9")), None);
    assert_eq!(bench.receive(&arp(Reply, PEER, "0.0.0.0", "10.0.0.1")), None);
    assert_eq!(bench.known(), []);
}

#[test]
fn our_own_addresses_are_never_learned() {
    let mut bench = bench();
    for packet in [
        arp(Request, PEER, "10.0.0.1", "10.0.0.1"),
        arp(Request, PEER, "192.168.1.1", "10.0.0.1"),
        arp(Reply, PEER, "10.0.0.1", "10.0.0.9"),
    ] {
        assert_eq!(bench.receive(&packet), None);
    }
    assert_eq!(bench.counters[Counter::TapsockAddressConflicts], 3);
    // Our own frame that comes back is no conflict.
    assert_eq!(bench.receive(&arp(Request, OURS, "10.0.0.1", "10.0.0.7")), None);
    assert_eq!(bench.counters[Counter::TapsockAddressConflicts], 3);
    assert_eq!(bench.known(), []);
}

#[test]
fn implausible_senders_are_dropped() {
    let mut bench = bench();
    for packet in [
        arp(Request, PEER, "10.0.0.255", "10.0.0.1"),
        arp(Request, PEER, "127.0.0.1", "10.0.0.1"),
        arp(Request, EthernetAddress::BROADCAST, "10.0.0.7", "10.0.0.1"),
    ] {
        assert_eq!(bench.receive(&packet), None, "{packet:?}");
    }
    assert_eq!(bench.counters[Counter::TapsockArpInErrors], 3);
    assert_eq!(bench.known(), []);
}

#[test]
fn requests_ask_with_the_waiting_packets_address() {
    let bench = bench();
    let ask = |target: &str, to, hint: Option<&str>| {
        let (target, hint) = (target.parse().unwrap(), hint.map(|hint| hint.parse().unwrap()));
        let frame =
            solicitation(&bench.interfaces, ETH0, target, to, hint, &bench.policy, &mut Counters::default())
                .unwrap();
        let (header, packet) = parse(&frame);
        assert_eq!((packet.operation, packet.sender_hardware, header.source), (Request, OURS, OURS));
        assert_eq!(packet.target_hardware, EthernetAddress::default());
        (header.destination, packet.sender_ip.to_string(), packet.target_ip.to_string())
    };
    let broadcast = |source: &str| (EthernetAddress::BROADCAST, source.to_string(), "10.0.0.7".to_string());
    assert_eq!(ask("10.0.0.7", None, None), broadcast("10.0.0.1"));
    assert_eq!(ask("10.0.0.7", None, Some("192.168.1.1")), broadcast("192.168.1.1"));
    for useless in ["10.0.0.2", "127.0.0.1", "fe80::1"] {
        assert_eq!(ask("10.0.0.7", None, Some(useless)), broadcast("10.0.0.1"));
    }
    assert_eq!(ask("10.0.0.7", Some(PEER), None).0, PEER);
    let lo = InterfaceId(9);
    assert!(
        solicitation(
            &bench.interfaces,
            lo,
            "10.0.0.7".parse().unwrap(),
            None,
            None,
            &bench.policy,
            &mut Counters::default()
        )
        .is_none()
    );
}

/// As `ip-sysctl` has the numbers.
#[test]
fn which_requests_are_answered_is_a_setting() {
    // Our address of this network, and that of the other interface; asked from this network and from elsewhere.
    for (arp_ignore, answered) in
        [(0, [true; 3]), (1, [true, true, false]), (2, [true, false, false]), (8, [false; 3])]
    {
        let mut bench = bench();
        bench.policy.arp_ignore = arp_ignore;
        let asked = [("10.0.0.7", "10.0.0.1"), ("172.16.0.7", "10.0.0.1"), ("10.0.0.7", "192.168.1.1")];
        for ((sender, target), answered) in asked.into_iter().zip(answered) {
            let answer = bench.receive(&arp(Request, PEER, sender, target));
            assert_eq!(answer.is_some(), answered, "arp_ignore {arp_ignore}, {sender} asks for {target}");
        }
        // Who looks whether an address of this network is free has to know.
        let probed = bench.receive(&arp(Request, PEER, "0.0.0.0", "10.0.0.1"));
        assert_eq!(probed.is_some(), arp_ignore != 8, "arp_ignore {arp_ignore}");
    }
}

#[test]
fn with_which_address_is_asked_is_a_setting() {
    for (arp_announce, source) in [(0, "192.168.1.1"), (1, "10.0.0.1"), (2, "10.0.0.1")] {
        let mut bench = bench();
        bench.policy.arp_announce = arp_announce;
        let (target, hint) = ("10.0.0.7".parse().unwrap(), "192.168.1.1".parse().ok());
        let counters = &mut Counters::default();
        let frame =
            solicitation(&bench.interfaces, ETH0, target, None, hint, &bench.policy, counters).unwrap();
        assert_eq!(parse(&frame).1.sender_ip.to_string(), source, "arp_announce {arp_announce}");
    }
}

//= RFC 5227 §3, type=test
#[test]
fn announcements_make_entries_by_setting() {
    for kind in [Request, Reply] {
        for (arp_accept, made) in [(0, [false; 2]), (1, [true; 2]), (2, [true, false])] {
            let mut bench = bench();
            bench.policy.arp_accept = arp_accept;
            for (sender, made) in ["10.0.0.7", "172.16.0.7"].into_iter().zip(made) {
                bench.receive(&arp(kind, PEER, sender, sender));
                let known = bench.known().into_iter().find(|(address, ..)| address == sender);
                let expected = made.then_some((sender.to_string(), NudState::Stale, Some(PEER)));
                assert_eq!(known, expected, "arp_accept {arp_accept}");
            }
            bench.receive(&arp(Request, PEER, "10.0.0.8", "10.0.0.9"));
            assert!(!bench.known().iter().any(|(address, ..)| address == "10.0.0.8"), "no announcement");
        }
        let mut bench = bench();
        bench.receive(&arp(Request, PEER, "10.0.0.7", "10.0.0.1"));
        bench.policy.drop_gratuitous_arp = true;
        bench.receive(&arp(kind, OTHER, "10.0.0.7", "10.0.0.7"));
        assert_eq!(bench.known()[0].2, Some(PEER));
        assert_eq!(bench.counters[Counter::TapsockNeighborIgnored], 1);
    }
}

#[test]
fn an_announcement_asks_for_its_own_address() {
    let bench = bench();
    let interface = bench.interfaces.interface(ETH0).unwrap();
    let (header, packet) = parse(&announcement(interface, "10.0.0.1".parse().unwrap()));
    assert_eq!(header.destination, EthernetAddress::BROADCAST);
    assert_eq!((packet.operation, packet.sender_ip), (Request, packet.target_ip));
}
