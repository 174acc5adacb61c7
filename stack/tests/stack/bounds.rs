//! Queues and tables that tests of their own parts do not fill: how much they hold, and what becomes of the rest.

use core::net::IpAddr;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::{
    Family, GroupChange, PingError, SURVEY_MAX, SendStamps, Surveyed, UdpSendOptions,
};
use tapsock_stack::udp::OVERHEAD;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;

use crate::packets::Path;
use crate::udp::bound;
use crate::wire::{ETH, LINKS, Wire, at, station};

/// Answers, and packets from us to us, that may wait.
const ROOM: u64 = 1024;

/// Sockets of a kind that there may be.
const SOCKETS: usize = 65_536;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request() -> Rope {
    Rope::from(vec![8, 0, 0, 0, 0, 0, 0, 7])
}

/// Frames of a host, polled at once.
fn frames(wire: &mut Wire) -> u64 {
    let now = wire.now;
    core::iter::from_fn(|| wire[0].poll_transmit(now)).count() as u64
}

#[test]
fn answers_that_find_no_room_are_counted() {
    let mut wire = Wire::new(1, LINKS[0]);
    let now = wire.now;
    wire[0].add_neighbor(now, ETH, ip("10.0.0.2"), station(1)).unwrap();
    let echo = Path::v4(1, 0).icmpv4(Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 1 }), &[7; 8]);
    for _ in 0..ROOM + 100 {
        wire[0].receive(now, ETH, echo.clone());
    }
    assert_eq!(frames(&mut wire), ROOM);
    assert_eq!(wire.counter(0, Counter::IpOutDiscards), 100);
}

#[test]
fn what_we_send_ourselves_and_find_no_room_is_counted() {
    let mut wire = Wire::new(1, LINKS[0]);
    let (now, id) = (wire.now, wire[0].ping_open(Family::V4).unwrap());
    for _ in 0..ROOM + 100 {
        wire[0].ping_send(now, id, &request(), Some(at("127.0.0.1", 0))).unwrap();
    }
    assert_eq!(wire.counter(0, Counter::IpOutDiscards), 100);
    assert_eq!(frames(&mut wire), 0);
    assert_eq!(wire.counter(0, Counter::IcmpInEchos), ROOM);
}

#[test]
fn what_comes_back_from_a_group_and_finds_no_room_is_counted() {
    let mut wire = Wire::new(1, LINKS[0]);
    let (now, group) = (wire.now, "239.1.1.1");
    let member = bound(&mut wire, 0, "0.0.0.0", 5000);
    wire[0].udp_change_group(member, ETH, ip(group), GroupChange::Join).unwrap();
    // They go no further than this host, so that none waits for the link.
    let options = UdpSendOptions { interface: Some(ETH), hop_limit: Some(0), ..UdpSendOptions::default() };
    let sender = bound(&mut wire, 0, "0.0.0.0", 5001);
    for _ in 0..ROOM + 100 {
        wire[0].udp_send(now, sender, Rope::from(vec![7]), Some(at(group, 5000)), options).unwrap();
    }
    assert_eq!(wire.counter(0, Counter::IpOutDiscards), 100);
    frames(&mut wire);
    let heard = [Counter::UdpInDatagrams, Counter::UdpRcvbufErrors].map(|counter| wire.counter(0, counter));
    assert_eq!(heard.iter().sum::<u64>(), ROOM);
}

#[test]
fn sockets_for_messages_are_bounded() {
    let mut wire = Wire::new(1, LINKS[0]);
    let now = wire.now;
    bound(&mut wire, 0, "0.0.0.0", 5000);
    let stack = &mut wire[0];
    let pings: Vec<_> = (0..SOCKETS).map(|_| stack.ping_open(Family::V4).unwrap()).collect();
    assert!(matches!(stack.ping_open(Family::V6), Err(PingError::NoSocket)));
    stack.ping_close(pings[7]);
    assert!(stack.ping_open(Family::V4).is_ok());
    let raws: Vec<_> =
        (0..SOCKETS).map(|at| stack.raw_open(Family::V4, (at % 200) as u16).unwrap()).collect();
    assert!(stack.raw_open(Family::V4, 253).is_none());
    // Who looks at them is told of so many, and how many more there are.
    let found = stack.survey(now, &[Surveyed::Raw(0), Surveyed::Udp]);
    assert_eq!((found.entries.len(), found.left_out), (SURVEY_MAX, SOCKETS + 1 - SURVEY_MAX));
    stack.raw_close(raws[7]);
    assert!(stack.raw_open(Family::V4, 253).is_some());
}

/// What waits for neighbours is stamped once it goes: as many sends as the sender's buffer lets wait.
#[test]
fn stamps_that_wait_for_neighbours_are_bounded() {
    let mut wire = Wire::new(1, LINKS[0]);
    let id = bound(&mut wire, 0, "0.0.0.0", 5000);
    let stamps = SendStamps { sent: true, ..SendStamps::default() };
    let options = UdpSendOptions { stamps, ..UdpSendOptions::default() };
    let mut hosts = (2..202u8).cycle();
    let sent = loop {
        let host = hosts.next().unwrap();
        let (now, to) = (wire.now, at(&format!("10.0.0.{host}"), 9));
        if wire[0].udp_send(now, id, Rope::from(vec![host]), Some(to), options).is_err() {
            break wire[0].udp(id).unwrap().mail.sending_bytes() / (1 + OVERHEAD);
        }
        frames(&mut wire);
    };
    assert_eq!(sent, 256);
    let mut stamped = 0;
    for host in 2..202u8 {
        let (now, neighbor) = (wire.now, ip(&format!("10.0.0.{host}")));
        wire[0].add_neighbor(now, ETH, neighbor, EthernetAddress([2, 0, 0, 0, 1, host])).unwrap();
        frames(&mut wire);
        while wire[0].udp_take_report(id).is_some() {
            stamped += 1;
        }
    }
    assert_eq!(stamped, sent);
    assert_eq!(wire[0].udp(id).unwrap().mail.sending_bytes(), 0);
}

#[test]
fn interfaces_with_settings_of_their_own_are_bounded() {
    let mut config = Config::default();
    let mut set = |number: usize| config.set(&format!("net.ipv4.conf.if{number}.arp_notify"), "1");
    assert!((0..256).all(|number| set(number).is_ok()));
    assert!(set(256).is_err());
    assert!(set(7).is_ok(), "one that is known");
}
