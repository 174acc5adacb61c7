//! Echoes: asked by ping sockets, answered by stacks.

use core::net::SocketAddr;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::error_queue::ErrorDelivery;
use tapsock_stack::stack::{Changes, Family, PingError, PingId, SocketId};
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::{EthernetAddress, IpProtocol};

use crate::packets::{Path, transport_of};
use crate::wire::{LINKS, Wire, at, family_of};

fn request(family: Family, sequence: u16, body: &[u8]) -> Rope {
    let kind = if family == Family::V4 { 8 } else { 128 };
    let [high, low] = sequence.to_be_bytes();
    let head = [kind, 0, 0, 0, 0, 0, high, low];
    Rope::from([&head[..], body].concat())
}

fn ping(wire: &mut Wire, id: PingId, to: SocketAddr, body: &[u8]) -> Result<(), PingError> {
    let (now, family) = (wire.now, if to.is_ipv4() { Family::V4 } else { Family::V6 });
    wire[0].ping_send(now, id, &request(family, 7, body), Some(to))
}

//= RFC 1122 §3.1 MUST-1, type=test
//= RFC 1122 §3.2.2.6 MUST-1, type=test
//= RFC 1122 §3.2.2.6 SHLD-1, type=test
//= RFC 1122 §3.2.2.6 MUST-3, type=test
//= RFC 1122 §3.2.2.6 MUST-4, type=test
//= RFC 4443 §2 MUST-1, type=test
//= RFC 4443 §4.1 MUST-1, type=test
//= RFC 4443 §4.2 MUST-1, type=test
//= RFC 4443 §4.2 MUST-4, type=test
//= RFC 4443 §4.2 MUST-5, type=test
#[test]
fn every_size_comes_back() {
    let table = [
        ("10.0.0.2", 1472, 65_507),
        ("fd00::2", 1452, 65_527),
        ("127.0.0.1", 65_507, 65_507),
        ("::1", 65_488, 65_527),
    ];
    for (address, whole, most) in table {
        let mut wire = Wire::new(2, LINKS[0]);
        let id = wire[0].ping_open(family_of(address)).unwrap();
        for len in [0, 1, 56, 1000, whole - 20, whole - 19, whole, whole + 1, 20_001, most] {
            let len = len.min(most);
            let body: Vec<u8> = (0..len).map(|n| n as u8).collect();
            ping(&mut wire, id, at(address, 0), &body).unwrap();
            wire.settle();
            let reply = wire[0].ping_recv(id).unwrap_or_else(|error| panic!("{address} {len}: {error:?}"));
            let message = reply.payload.to_vec();
            assert_eq!(message[0], if address.contains(':') { 129 } else { 0 });
            assert_eq!(message[6..8], [0, 7]);
            assert_eq!(message[8..], body);
            assert_eq!(reply.from.ip(), address.parse::<core::net::IpAddr>().unwrap());
        }
        assert!(matches!(ping(&mut wire, id, at(address, 0), &vec![0; most + 1]), Err(PingError::TooLong)));
        let v6 = address.contains(':');
        assert_eq!(wire.counter(0, if v6 { Counter::Icmp6OutEchos } else { Counter::IcmpOutEchos }), 10);
    }
}

//= RFC 1122 §3.2.2.6 MUST-4, type=test
//= RFC 4443 §4.2 MUST-5, type=test
#[test]
fn a_socket_hears_its_own_echoes_only() {
    let mut wire = Wire::new(2, LINKS[0]);
    let [one, two] = [0, 1].map(|_| wire[0].ping_open(Family::V4).unwrap());
    ping(&mut wire, one, at("10.0.0.2", 0), b"one").unwrap();
    ping(&mut wire, two, at("10.0.0.2", 0), b"two").unwrap();
    wire.settle();
    for (id, body) in [(one, b"one"), (two, b"two")] {
        assert!(wire.events(0).contains(&SocketId::Ping(id)) || id == two);
        assert_eq!(wire[0].ping_recv(id).unwrap().payload.to_vec()[8..], body[..]);
        assert!(matches!(wire[0].ping_recv(id), Err(PingError::WouldBlock)));
    }
    // What no socket asked for is counted as received, and dropped.
    let stray = Icmpv4Message::EchoReply(Echo { ident: 1, sequence: 1 });
    wire.inject(0, Path::v4(1, 0).icmpv4(stray, b"stray"));
    assert!(matches!(wire[0].ping_recv(one), Err(PingError::WouldBlock)));
}

#[test]
fn a_replies_queue_is_bounded() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = wire[0].ping_open(Family::V4).unwrap();
    wire[0].ping_bind(id, None, 77).unwrap();
    let now = wire.now;
    let reply = Path::v4(1, 0).icmpv4(Icmpv4Message::EchoReply(Echo { ident: 77, sequence: 1 }), b"x");
    for _ in 0..1000 {
        wire[0].receive(now, crate::wire::ETH, reply.clone());
    }
    assert_eq!(wire[0].poll_event(), Some((SocketId::Ping(id), Changes::ARRIVAL)));
    assert_eq!(wire[0].poll_event(), None, "told once");
    let mut got = 0;
    while wire[0].ping_recv(id).is_ok() {
        got += 1;
    }
    assert_eq!(got, 253, "of what a receive buffer holds");
    assert_eq!(wire.counter(0, Counter::TapsockPingRcvbufErrors), 1000 - 253);
}

/// As Linux 6.18: what may pass is told to those who ask for it.
#[test]
fn an_error_reaches_the_socket_that_asks_for_all() {
    for (delivery, told) in [(ErrorDelivery::HardWhenConnected, false), (ErrorDelivery::All, true)] {
        let mut wire = Wire::new(2, LINKS[0]);
        let id = wire[0].ping_open(Family::V4).unwrap();
        let now = wire.now;
        wire[0].ping_set_error_delivery(id, delivery);
        wire[0].ping_connect(id, Some(at("10.0.0.77", 0))).unwrap();
        wire[0].ping_send(now, id, &request(Family::V4, 1, b"x"), None).unwrap();
        wire.run_for(core::time::Duration::from_millis(3200));
        let expected = told.then_some(SocketError::HostUnreachable);
        assert_eq!(wire[0].ping_mail_mut(id).unwrap().take_error(), expected);
        let report = wire[0]
            .ping_mail_mut(id)
            .unwrap()
            .take_report()
            .map(|report| (report.cause.pending_error(), report.destination));
        assert_eq!(report, told.then_some((expected, Some(at("10.0.0.77", 0)))));
    }
}

#[test]
fn nonsense_is_refused() {
    let mut wire = Wire::new(1, LINKS[0]);
    let id = wire[0].ping_open(Family::V4).unwrap();
    let now = wire.now;
    let to = Some(at("127.0.0.1", 0));
    for (bytes, to, expected) in [
        (vec![8, 0, 0, 0, 0, 0, 0], to, "BadMessage"),
        (vec![0; 8], to, "BadMessage"),
        (vec![8, 1, 0, 0, 0, 0, 0, 0], to, "BadMessage"),
        (vec![8, 0, 0, 0, 0, 0, 0, 0], None, "NoDestination"),
        (vec![8, 0, 0, 0, 0, 0, 0, 0], Some(at("::1", 0)), "WrongFamily"),
        (vec![8, 0, 0, 0, 0, 0, 0, 0], Some(at("192.0.2.1", 0)), "Route(NoRoute)"),
    ] {
        let error = wire[0].ping_send(now, id, &Rope::from(&bytes[..]), to).unwrap_err();
        assert_eq!(format!("{error:?}"), expected, "{bytes:?}");
    }
    wire[0].ping_close(id);
    assert!(matches!(wire[0].ping_recv(id), Err(PingError::NoSocket)));
}

fn answers(wire: &Wire, protocol: IpProtocol, kind: u8) -> usize {
    let is_reply = |bytes: &[u8]| bytes[0] == kind;
    wire.seen.iter().filter(|(from, f)| *from == 1 && transport_of(f, protocol).is_some_and(is_reply)).count()
}

//= RFC 1122 §3.2.2.6, type=test
//= RFC 1122 §3.2.2.6 MAY-1, type=test
//= RFC 1122 §3.2.2.6 MAY-2, type=test
#[test]
fn an_echo_to_a_broadcast_address_is_not_answered() {
    for (ignored, answered) in [("1", 0), ("0", 3)] {
        let mut config = Config::default();
        config.set("net.ipv4.icmp_echo_ignore_broadcasts", ignored).unwrap();
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        wire.sniffing = true;
        let echo = Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 2 });
        for to in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
            let mut path = Path::v4(0, 1).to(to);
            path.to_station = EthernetAddress::BROADCAST;
            wire.inject(1, path.icmpv4(echo, b"anybody?"));
            wire.settle();
        }
        assert_eq!(wire.counter(1, Counter::IcmpInEchos), 3);
        assert_eq!(answers(&wire, IpProtocol::ICMP, 0), answered);
        wire.inject(1, Path::v4(0, 1).icmpv4(echo, b"you?"));
        wire.settle();
        assert_eq!(answers(&wire, IpProtocol::ICMP, 0), answered + 1);
    }
}

//= RFC 4443 §4.2, type=test
//= RFC 4443 §4.2 MUST-3, type=test
//= RFC 4443 §2.2 MUST-2, type=test
#[test]
fn an_echo_to_all_nodes_is_answered_from_our_own_address() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    let mut path = Path::v6(0, 1).to("ff02::1");
    path.to_station = EthernetAddress::multicast_for("ff02::1".parse().unwrap());
    let echo = Icmpv6Message::EchoRequest(Echo { ident: 1, sequence: 2 });
    wire.inject(1, path.icmpv6(echo, b"anybody?", 64));
    wire.settle();
    assert_eq!(answers(&wire, IpProtocol::ICMPV6, 129), 1);
}

#[test]
fn silence_may_be_asked_for() {
    let mut config = Config::default();
    config.set("net.ipv4.icmp_echo_ignore_all", "1").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    let id = wire[0].ping_open(Family::V4).unwrap();
    ping(&mut wire, id, at("10.0.0.2", 0), b"x").unwrap();
    wire.settle();
    assert!(matches!(wire[0].ping_recv(id), Err(PingError::WouldBlock)));
    assert_eq!(wire.counter(1, Counter::IcmpInEchos), 1);
}
