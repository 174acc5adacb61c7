//! IPv4 addresses that are looked for before they are used, and defended; and those that hosts choose themselves.

use core::net::IpAddr;
use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::InterfaceError;
use tapsock_stack::wire::arp::ArpPacket;
use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader};

use crate::wire::{ETH, LINKS, Wire, at, station};

fn looking() -> Wire {
    let mut config = Config::default();
    config.set("tapsock.ipv4_acd", "1").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    // Those that the hosts have from the start are looked for too.
    wire.run_for(Duration::from_secs(10));
    assert!(wire[0].interfaces().is_local(ip("10.0.0.1")) && wire[1].interfaces().is_local(ip("10.0.0.2")));
    wire
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The ARP packets of a host.
fn arp_of(wire: &Wire, host: usize) -> Vec<(EthernetAddress, ArpPacket)> {
    let of_host = wire.seen.iter().filter(|(from, _)| *from == host);
    let arp = of_host.filter_map(|(_, frame): &(usize, Frame)| {
        let header = EthernetHeader::parse(&frame.bytes).ok()?;
        (header.ether_type == EtherType::Arp)
            .then(|| (header.destination, ArpPacket::parse(&frame.bytes[14..]).unwrap()))
    });
    arp.collect()
}

//= RFC 5227 §1.1 MUST-1, type=test
//= RFC 5227 §1.1 MUST-2, type=test
//= RFC 5227 §1.1 MUST-3, type=test
//= RFC 5227 §2.1.1 MUST-1, type=test
//= RFC 5227 §2.1.1 MUST-2, type=test
//= RFC 5227 §2.1.1 MUST-3, type=test
//= RFC 5227 §2.1 MUST-1, type=test
//= RFC 5227 §2.3 MUST-1, type=test
#[test]
fn an_address_is_looked_for_used_and_told_of() {
    let mut wire = looking();
    wire.sniffing = true;
    wire[0].add_address(ETH, "10.0.0.9/24".parse().unwrap()).unwrap();
    assert!(!wire[0].interfaces().is_local(ip("10.0.0.9")), "not yet");
    wire.run_for(Duration::from_secs(10));
    assert!(wire[0].interfaces().is_local(ip("10.0.0.9")));
    let packets = arp_of(&wire, 0);
    let (probes, told) = packets.split_at(3);
    assert!(probes.iter().all(|(_, packet)| packet.sender_ip.is_unspecified()));
    assert!(packets.iter().all(|(_, packet)| packet.sender_hardware == station(0)));
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(to, packet)| packet.sender_ip == packet.target_ip && to.is_multicast()));
    assert!(packets.iter().all(|(_, packet)| packet.target_ip == ip("10.0.0.9")));
}

//= RFC 5227 §2.1.1, type=test
#[test]
fn an_address_of_somebody_else_is_not_taken() {
    let mut wire = looking();
    wire[0].add_address(ETH, "10.0.0.2/24".parse().unwrap()).unwrap();
    wire.run_for(Duration::from_secs(10));
    assert!(!wire[0].interfaces().is_local(ip("10.0.0.2")));
    assert_eq!(wire.counter(0, Counter::TapsockAddressConflicts), 1);
    // Two that look for the same: neither gets it, or one.
    for host in [0, 1] {
        wire[host].add_address(ETH, "10.0.0.9/24".parse().unwrap()).unwrap();
    }
    wire.run_for(Duration::from_secs(10));
    let both = [0, 1].iter().all(|host| wire[*host].interfaces().is_local(ip("10.0.0.9")));
    assert!(!both);
    // What is looked for can be taken back.
    wire[0].add_address(ETH, "10.0.0.11/24".parse().unwrap()).unwrap();
    wire[0].remove_address(ETH, ip("10.0.0.11")).unwrap();
    wire.run_for(Duration::from_secs(10));
    assert_eq!(wire[0].remove_address(ETH, ip("10.0.0.11")), Err(InterfaceError::NotFound));
}

/// What the station 7 says: it has host 0's address.
fn claim() -> Frame {
    let mut headers = tapsock_stack::buf::HeaderBlock::new();
    let thief = station(7);
    let address = "10.0.0.1".parse().unwrap();
    let packet = ArpPacket {
        operation: tapsock_stack::wire::arp::ArpOperation::Request,
        sender_hardware: thief,
        sender_ip: address,
        target_hardware: EthernetAddress::default(),
        target_ip: address,
    };
    packet.prepend_to(&mut headers);
    let (destination, ether_type) = (EthernetAddress::BROADCAST, EtherType::Arp);
    EthernetHeader { destination, source: thief, ether_type }.prepend_to(&mut headers);
    Frame::from(headers.to_vec())
}

//= RFC 5227 §1.1, type=test
#[test]
fn a_host_is_in_no_conflict_with_itself() {
    let mut wire = looking();
    wire.sniffing = true;
    wire[0].add_interface("eth1", station(7), LINKS[0]).unwrap();
    for _ in 0..2 {
        wire.inject(0, claim());
        wire.settle();
    }
    assert_eq!(arp_of(&wire, 0).len(), 0);
    assert!(wire[0].interfaces().is_local(ip("10.0.0.1")));
}

#[test]
fn nobody_has_an_address_on_a_link_that_is_gone() {
    let mut wire = looking();
    let [sought, later] = ["10.0.0.9", "10.0.0.11"];
    wire[0].add_address(ETH, format!("{sought}/24").parse().unwrap()).unwrap();
    let now = wire.now;
    wire[0].set_link_down(now, ETH);
    assert!(wire[0].interfaces().is_local(ip(sought)), "what was promised is kept");
    wire[0].add_address(ETH, format!("{later}/24").parse().unwrap()).unwrap();
    assert!(wire[0].interfaces().is_local(ip(later)));
    assert_eq!(wire[0].start_link_local(ETH), Err(InterfaceError::Missing));
}

//= RFC 5227 §2.4, type=test
#[test]
fn an_address_is_defended_and_given_up_to_who_insists() {
    let mut wire = looking();
    wire.sniffing = true;
    wire.inject(0, claim());
    wire.settle();
    assert_eq!(arp_of(&wire, 0).len(), 1, "it says that it is ours");
    assert!(wire[0].interfaces().is_local(ip("10.0.0.1")));
    wire.run_for(Duration::from_secs(5));
    wire.inject(0, claim());
    assert!(!wire[0].interfaces().is_local(ip("10.0.0.1")));
}

//= RFC 3927 §2.1, type=test
//= RFC 3927 §2.5, type=test
#[test]
fn hosts_choose_addresses_of_their_link_and_talk() {
    let mut wire = Wire::new(2, LINKS[0]);
    for host in [0, 1] {
        wire[host].start_link_local(ETH).unwrap();
    }
    wire.sniffing = true;
    wire.run_for(Duration::from_secs(12));
    let own = [0, 1].map(|host| wire[host].link_local(ETH).unwrap());
    assert_ne!(own[0], own[1]);
    for host in [0, 1] {
        assert!(wire[host].interfaces().is_local(own[host].into()));
    }
    wire.seen.clear();
    let (here, there) = wire.pair(1, &own[1].to_string());
    assert_eq!(wire[0].tcp_local(here).map(|at| at.ip()), Some(own[0].into()));
    assert_eq!(wire[1].tcp_local(there), Some(at(&own[1].to_string(), 1101)));
    let all = [arp_of(&wire, 0), arp_of(&wire, 1)].concat();
    assert!(!all.is_empty() && all.iter().all(|(to, _)| *to == EthernetAddress::BROADCAST), "{all:?}");
    wire[0].stop_link_local(ETH);
    assert!(!wire[0].interfaces().is_local(own[0].into()));
    assert_eq!(wire[0].link_local(ETH), None);
}

/// As on Linux 6.18: a connection whose address is gone is not reset, and goes on where the address comes back in time.
#[test]
fn connections_outlive_the_address_that_is_given_up() {
    for address in ["10.0.0.1/24", "fd00::1/64"] {
        let mut wire = Wire::new(2, LINKS[0]);
        let own = address.split_once('/').unwrap().0;
        let there = if own.contains(':') { "fd00::2" } else { "10.0.0.2" };
        let (here, peer) = wire.pair(1, there);
        let send = |wire: &mut Wire, data: &'static [u8]| {
            let now = wire.now;
            wire[0].tcp_write(now, here, Rope::from(data)).unwrap();
            wire.run_for(Duration::from_secs(1));
        };
        send(&mut wire, b"one");
        wire[0].remove_address(ETH, ip(own)).unwrap();
        wire.sniffing = true;
        send(&mut wire, b"two");
        let from = |(host, frame): &(usize, Frame)| *host == 0 && crate::packets::tcp_of(frame).is_some();
        assert!(!wire.seen.iter().any(from), "no segment leaves with an address that is another's by now");
        assert_eq!(wire[1].tcp(peer).unwrap().readable(), 3);
        wire[0].add_address(ETH, address.parse().unwrap()).unwrap();
        wire.run_for(Duration::from_secs(10));
        assert_eq!(wire[1].tcp(peer).unwrap().readable(), 6, "{own}");
    }
}
