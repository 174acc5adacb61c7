//! Neighbours: asked for, found, and not found.

use core::time::Duration;

use tapsock_stack::buf::{Frame, HeaderBlock, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::error_queue::{ErrorDeliveries, ErrorDelivery};
use tapsock_stack::iface::{NeighborEntry, NudState};
use tapsock_stack::stack::{Family, Linger};
use tapsock_stack::tcp::State;
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader};

use crate::packets::{Path, packet_of};
use crate::wire::{ETH, Fate, LINKS, PAIRS, Wire, at, family_of, station};

fn nud(wire: &Wire, host: usize, address: &str) -> Option<NudState> {
    let ip: core::net::IpAddr = address.parse().unwrap();
    wire[host].neighbors().entries(wire.now).find(|entry| entry.address == ip).map(|entry| entry.state)
}

#[test]
fn the_first_packet_waits_for_the_answer() {
    for (_, there) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.sniffing = true;
        let listener = wire.listen(1, there, 2000, 1);
        let id = wire.connect(0, at(there, 2000));
        wire.flush();
        let asked = EthernetHeader::parse(&wire.seen[0].1.bytes).unwrap();
        assert!(asked.destination.is_multicast(), "nobody's station is known yet");
        assert_eq!(wire.seen.len(), 1, "SYN waits");
        assert_eq!(nud(&wire, 0, there), Some(NudState::Incomplete));
        wire.settle();
        assert_eq!(wire.state(0, id), State::Established);
        assert_eq!(nud(&wire, 0, there), Some(NudState::Reachable));
        assert!(wire[1].tcp_accept(listener).is_some());
        let v4 = there.contains('.');
        let (first, last) = (&wire.seen[0].1, &wire.seen.last().unwrap().1);
        let ether_type = EthernetHeader::parse(&first.bytes).unwrap().ether_type;
        assert_eq!(ether_type, if v4 { EtherType::Arp } else { EtherType::Ipv6 });
        assert_eq!(EthernetHeader::parse(&last.bytes).unwrap().destination, station(1));
        let questions = wire.seen.iter().filter(|(from, frame)| {
            *from == 1 && EthernetHeader::parse(&frame.bytes).unwrap().destination.is_multicast()
        });
        assert_eq!(questions.count(), 0, "the question told the answerer who asks");
    }
}

//= RFC 1122 §3.3.1.4 MUST-1, type=test
#[test]
fn a_neighbour_that_does_not_answer_is_unreachable() {
    for (missing, there) in [("10.0.0.77", "10.0.0.2"), ("fd00::77", "fd00::2")] {
        let mut wire = Wire::new(2, LINKS[0]);
        let id = wire.connect(0, at(missing, 2000));
        let udp = wire[0].udp_open(family_of(missing));
        let now = wire.now;
        wire[0].udp_send(now, udp, Rope::from(vec![1; 9]), Some(at(missing, 9)), Default::default()).unwrap();
        wire.run_for(Duration::from_millis(2900));
        assert_eq!(wire.state(0, id), State::SynSent);
        wire.run_for(Duration::from_millis(200));
        assert_eq!(wire.state(0, id), State::Closed, "three solicitations take three seconds");
        assert_eq!(wire[0].tcp_take_error(id), Some(SocketError::HostUnreachable));
        assert_eq!(nud(&wire, 0, missing), Some(NudState::Failed));
        assert!(wire.counter(0, Counter::TapsockNeighborDrops) >= 2);
        // Others are not concerned, and the failed one is asked again after a while.
        wire.pair(1, there);
        let now = wire.now;
        wire[0].tcp_close(now, id, Linger::Background);
        wire.run_for(Duration::from_secs(20));
        let id = wire.connect(0, at(missing, 2000));
        wire.flush();
        assert_eq!(nud(&wire, 0, missing), Some(NudState::Incomplete));
        assert_eq!(wire.state(0, id), State::SynSent);
    }
}

//= RFC 9293 MUST-20, type=test
//= RFC 9293 SHLD-10, type=test
#[test]
fn a_neighbour_is_in_doubt_after_some_retransmissions() {
    let mut config = Config::default();
    config.set("net.ipv4.neigh.default.base_reachable_time_ms", "1000000").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    let (here, _) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_write(now, here, Rope::from(&b"hello"[..])).unwrap();
    wire.run_for(Duration::from_secs(1));
    assert_eq!(nud(&wire, 0, "10.0.0.2"), Some(NudState::Reachable));

    wire.filter(|_, _| Fate::Lose);
    let now = wire.now;
    wire[0].tcp_write(now, here, Rope::from(&b"still there?"[..])).unwrap();
    wire.run_for(Duration::from_secs(1));
    assert_eq!(nud(&wire, 0, "10.0.0.2"), Some(NudState::Reachable), "two may be lost by chance");
    wire.run_for(Duration::from_secs(20));
    assert_eq!(nud(&wire, 0, "10.0.0.2"), Some(NudState::Failed), "and not a quarter of an hour later");
}

//= RFC 9293 MUST-20, type=test
#[test]
fn an_established_connection_outlives_an_unreachable_time() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    wire.filter(|_, _| Fate::Lose);
    wire.run_for(Duration::from_secs(60));
    let now = wire.now;
    wire[0].tcp_write(now, here, Rope::from(&b"still there?"[..])).unwrap();
    wire.run_for(Duration::from_secs(20));
    assert_eq!(nud(&wire, 0, "10.0.0.2"), Some(NudState::Failed));
    assert_eq!(wire.state(0, here), State::Established);
    wire.pass_all();
    wire.run_for(Duration::from_secs(60));
    let now = wire.now;
    assert_eq!(wire[1].tcp_read(now, there, 99).unwrap().to_vec(), b"still there?");
}

//= RFC 1122 §3.3.1.4 MUST-2, type=test
//= RFC 1122 §3.3.1.4 MUST-3, type=test
//= RFC 1122 §3.3.1.4 MUST-4, type=test
//= RFC 1122 §3.3.1.4 SHLD-2, type=test
#[test]
fn progress_of_tcp_confirms_the_neighbour() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    wire.sniffing = true;
    for _ in 0..120 {
        let now = wire.now;
        wire[0].tcp_write(now, here, Rope::from(vec![1; 100])).unwrap();
        wire.run_for(Duration::from_secs(1));
        let now = wire.now;
        wire[1].tcp_read(now, there, 100).unwrap();
    }
    let asked = |host: usize| {
        let is_request = |frame: &Frame| {
            let link = EthernetHeader::parse(&frame.bytes).unwrap();
            link.ether_type == EtherType::Arp
                && ArpPacket::parse(packet_of(frame)).unwrap().operation == ArpOperation::Request
        };
        wire.seen.iter().filter(|(from, frame)| *from == host && is_request(frame)).count()
    };
    assert_eq!(asked(0), 0, "acknowledgements are proof enough");
    assert!((2..=6).contains(&asked(1)), "who only acknowledges asks now and then: {}", asked(1));
}

#[test]
fn a_flood_of_senders_is_bounded() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = wire[1].udp_open(tapsock_stack::stack::Family::V4);
    let bind = wire.bind(1, tapsock_stack::ports::Transport::Udp, "0.0.0.0", 5000);
    wire[1].udp_bind(id, bind);
    wire.filter(|_, _| Fate::Lose);
    // Closed ports answer by ICMP, which needs the neighbour of each forged source.
    for n in 0..5_000u32 {
        let source = format!("10.0.0.{}", n % 250 + 3);
        let path = Path::v4(0, 1).from(&source);
        wire.inject(1, path.udp((n as u16, 9), b"x"));
        let path = Path::v6(0, 1).from(&format!("fd00::{:x}", n + 3));
        wire.inject(1, path.udp((n as u16, 9), b"x"));
        wire.run_for(Duration::from_millis(2));
    }
    for v4 in [true, false] {
        let of_family = |entry: &NeighborEntry| entry.address.is_ipv4() == v4;
        assert!(wire[1].neighbors().entries(wire.now).filter(of_family).count() <= 1024);
    }
    assert!(wire.counter(1, Counter::TapsockNeighborEvictions) > 0);
}

#[test]
fn an_address_of_ours_elsewhere_is_counted() {
    let mut wire = Wire::new(2, LINKS[0]);
    let mut other = Path::v4(0, 1);
    other.from_station = EthernetAddress([2, 0, 0, 0, 0, 99]);
    let arp = ArpPacket {
        operation: ArpOperation::Request,
        sender_hardware: other.from_station,
        sender_ip: "10.0.0.2".parse().unwrap(),
        target_hardware: EthernetAddress::default(),
        target_ip: "10.0.0.9".parse().unwrap(),
    };
    let mut headers = HeaderBlock::new();
    arp.prepend_to(&mut headers);
    EthernetHeader {
        destination: EthernetAddress::BROADCAST,
        source: other.from_station,
        ether_type: EtherType::Arp,
    }
    .prepend_to(&mut headers);
    wire.inject(1, headers.to_vec());
    assert_eq!(wire.counter(1, Counter::TapsockAddressConflicts), 1);
    assert_eq!(wire[1].neighbors().entries(wire.now).filter(|entry| entry.interface == ETH).count(), 0);
}

//= RFC 4861 §7.2.6, type=test
//= RFC 5227 §2.3, type=test
//= RFC 4861 §7.2.6 MUST-2, type=test
//= RFC 4861 §7.2.6 MUST-4, type=test
#[test]
fn new_addresses_are_announced_by_setting() {
    for (settings, announced) in [
        (&[][..], 0),
        (&["net.ipv4.conf.all.arp_notify", "net.ipv6.conf.all.ndisc_notify"], 2),
        (&["net.ipv4.conf.eth0.arp_notify", "net.ipv6.conf.eth0.ndisc_notify"], 2),
        (&["net.ipv4.conf.eth1.arp_notify", "net.ipv6.conf.eth1.ndisc_notify"], 0),
    ] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        // Host 1 knows host 0 by an address that moves.
        for moved in ["10.0.0.50", "fd00::50"] {
            let station = EthernetAddress([2, 0, 0, 0, 0, 99]);
            let mut path = Path::of_family(moved, 0, 1).from(moved);
            path.from_station = station;
            wire.inject(1, path.udp((9, 9), b"x"));
            let now = wire.now;
            let ip: core::net::IpAddr = moved.parse().unwrap();
            assert!(
                wire[1].neighbors().entries(now).any(|entry| entry.address == ip),
                "it is being asked for"
            );
        }
        // The question is lost: nobody has the address yet.
        wire.settle();
        for setting in settings {
            wire[0].config_mut().set(setting, "1").unwrap();
        }
        for moved in ["10.0.0.50/24", "fd00::50/64"] {
            wire[0].add_address(ETH, moved.parse().unwrap()).unwrap();
        }
        wire.settle();
        let now = wire.now;
        let known = wire[1].neighbors().entries(now).filter(|entry| {
            matches!(&entry.address.to_string()[..], "10.0.0.50" | "fd00::50")
                && entry.link_address == Some(station(0))
                && entry.state == NudState::Stale
        });
        let entries: Vec<_> = wire[1].neighbors().entries(now).collect();
        assert_eq!(known.count(), announced, "{settings:?}: {entries:?}");
    }
}

/// Who sends to many addresses that nobody has, as a scan does, forgets nobody that it talks to (RFC 6583).
//= RFC 6583 §6.2, type=test
#[test]
fn a_scan_forgets_no_neighbour_in_use() {
    for (_, there) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.pair(1, there);
        let udp = wire[0].udp_open(family_of(there));
        for n in 0..3000u32 {
            let missing = match family_of(there) {
                tapsock_stack::stack::Family::V4 => format!("10.0.0.{}", n % 250 + 3),
                tapsock_stack::stack::Family::V6 => format!("fd00::5:{n:x}"),
            };
            let now = wire.now;
            let _ =
                wire[0].udp_send(now, udp, Rope::from(vec![1]), Some(at(&missing, 9)), Default::default());
            wire.run_for(Duration::from_millis(1));
        }
        assert!(wire[0].neighbors().entries(wire.now).count() <= 1024);
        assert_eq!(nud(&wire, 0, there), Some(NudState::Reachable));
    }
}

/// As on Linux, a datagram socket that asks for all errors hears of it.
//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §7.2.2 MUST-5, type=test
#[test]
fn a_datagram_socket_hears_that_nobody_is_there() {
    for missing in ["10.0.0.77", "fd00::77"] {
        let mut wire = Wire::new(2, LINKS[0]);
        let udp = wire[0].udp_open(family_of(missing));
        let all = ErrorDelivery::All;
        wire[0].udp_mut(udp).unwrap().error_delivery = ErrorDeliveries { v4: all, v6: all };
        let now = wire.now;
        wire[0].udp_connect(udp, Some(at(missing, 9))).unwrap();
        wire[0].udp_send(now, udp, Rope::from(vec![1]), None, Default::default()).unwrap();
        wire.run_for(Duration::from_secs(4));
        assert_eq!(wire[0].udp_take_error(udp), Some(SocketError::HostUnreachable), "{missing}");
    }
}

/// What a host has to answer, and to itself, has an end where nobody takes it.
#[test]
fn answers_that_nobody_takes_are_bounded() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.neighbors();
    let now = wire.now;
    let echo = Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 1 });
    for _ in 0..3000 {
        wire[0].receive(now, ETH, Path::v4(1, 0).icmpv4(echo, &[]));
    }
    assert_eq!(core::iter::from_fn(|| wire[0].poll_transmit(now)).count(), 1024);
    assert_eq!(wire.counter(0, Counter::IpOutDiscards), 3000 - 1024);
    // To itself.
    let (from, to) = (wire[0].udp_open(Family::V4), crate::udp::bound(&mut wire, 0, "10.0.0.1", 7000));
    for _ in 0..3000 {
        let sent =
            wire[0].udp_send(now, from, Rope::from(vec![0]), Some(at("10.0.0.1", 7000)), Default::default());
        assert_eq!(sent, Ok(()));
    }
    assert_eq!(wire.counter(0, Counter::IpOutDiscards), 2 * (3000 - 1024));
    wire.settle();
    let heard = core::iter::from_fn(|| wire[0].udp_recv(to).ok()).count() as u64;
    assert_eq!(heard + wire.counter(0, Counter::UdpRcvbufErrors), 1024);
}
