//! Requirements of RFC 9293 that no other test asserts by itself.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashSet;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::ports::{BindId, BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{ListenError, TcpId};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::ReadError;
use tapsock_stack::wire::checksum::Sum;
use tapsock_stack::wire::icmp::TimeExceededCode;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::{EthernetAddress, Ipv4Header, Ipv6Header, TcpFlags, TcpHeader};

use crate::packets::{Path, bytes_of, packet_of, tcp_of};
use crate::transfer::{Flow, finish};
use crate::wire::{ETH, Fate, LINKS, Wire, at};

/// TCP segments on the wire.
fn segments(wire: &Wire) -> usize {
    wire.seen.iter().filter(|(_, frame)| tcp_of(frame).is_some()).count()
}

//= RFC 9293 MUST-24, type=test
//= RFC 9293 MUST-25, type=test
//= RFC 9293 MUST-28, type=test
#[test]
fn keepalives_are_sent_where_they_were_asked_for_after_two_hours() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, _) = wire.pair(1, "10.0.0.2");
    wire.run_for(Duration::from_secs(1));
    wire.sniffing = true;
    wire.run_for(Duration::from_secs(3 * 3600));
    assert_eq!(segments(&wire), 0, "off by default");
    let now = wire.now;
    wire[0].set_tcp_options(now, here, |options| options.keep_alive.enabled = true);
    wire.run_for(Duration::from_secs(7199));
    assert_eq!(segments(&wire), 0);
    wire.run_for(Duration::from_secs(2));
    assert_eq!(segments(&wire), 2, "a probe and its answer");
    let now = wire.now;
    wire[0].set_tcp_options(now, here, |options| options.keep_alive.enabled = false);
    wire.run_for(Duration::from_secs(3 * 3600));
    assert_eq!(segments(&wire), 2, "off again");
}

fn shared(wire: &mut Wire, port: u16) -> BindId {
    let request =
        BindRequest { port, reuse_address: true, ..BindRequest::new(Transport::Tcp, LocalAddr::AnyV4) };
    wire[0].bind(request).unwrap()
}

//= RFC 9293 MUST-41, type=test
//= RFC 9293 MUST-42, type=test
#[test]
fn a_listener_concerns_no_connection_at_its_port() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.pair(1, "10.0.0.2");
    let far = wire.listen(1, "10.0.0.2", 2000, 8);
    wire.sniffing = true;
    wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    let (now, options) = (wire.now, wire[0].config().tcp_options());
    let bind = shared(&mut wire, 3000);
    let opening = wire[0].tcp_connect(now, Some(bind), at("10.0.0.2", 2000), options.clone()).unwrap();
    wire.flush();
    let (one, two) = (shared(&mut wire, 3000), shared(&mut wire, 3000));
    assert_eq!(wire.state(0, opening), State::SynSent);
    let listener = wire[0].tcp_listen(one, 8, options.clone()).unwrap();
    // The first leaves a connection in SYN-RECEIVED; the port listens on, and a second listener changes nothing.
    for source_port in [10_000, 10_001] {
        let flags = TcpFlags::SYN;
        let syn =
            TcpHeader { source_port, destination_port: 3000, flags, window: 1000, ..TcpHeader::default() };
        wire.inject(0, Path::v4(1, 0).tcp(&syn, &[]));
        let answer = tcp_of(&wire.seen.last().unwrap().1).unwrap().0;
        assert_eq!((answer.destination_port, answer.flags), (source_port, TcpFlags::SYN | TcpFlags::ACK));
        assert_eq!(wire[0].tcp_listen(two, 8, options.clone()), Err(ListenError::AddressInUse));
    }
    wire.pass_all();
    wire.run_for(Duration::from_secs(2));
    assert_eq!(wire.state(0, opening), State::Established);
    let now = wire.now;
    wire[0].close_listener(now, listener);
    wire[0].tcp_listen(two, 8, options).unwrap();
    let passive = wire[1].tcp_accept(far).unwrap();
    finish(&mut wire, &mut Flow::both((opening, passive), 1, 10_000), Duration::from_secs(2));
}

/// Whom an IP packet says that it is from.
fn source_of(frame: &Frame) -> IpAddr {
    let packet = packet_of(frame);
    match packet[0] >> 4 {
        4 => Ipv4Header::parse(packet).unwrap().source.into(),
        _ => Ipv6Header::parse(packet).unwrap().source.into(),
    }
}

/// The sources of all segments that `host` sent.
fn sources(wire: &Wire, host: usize) -> HashSet<IpAddr> {
    let sent = wire.seen.iter().filter(|(from, frame)| *from == host && tcp_of(frame).is_some());
    sent.map(|(_, frame)| source_of(frame)).collect()
}

//= RFC 9293 MUST-43, type=test
//= RFC 9293 MUST-44, type=test
//= RFC 9293 MUST-45, type=test
//= RFC 1122 §3.3.4.2 MUST-1, type=test
#[test]
fn a_connection_has_the_address_that_was_asked_for_or_the_routes_and_keeps_it() {
    // Bound to, connected to, and the two addresses that this comes to.
    for (own, to, here) in [
        (None, "10.0.0.2", "10.0.0.1"),
        (None, "10.0.0.60", "10.0.0.1"),
        (None, "192.168.7.2", "192.168.7.1"),
        (Some("10.0.0.50"), "10.0.0.2", "10.0.0.50"),
        (None, "fd07::2", "fd07::1"),
        (Some("fd00::50"), "fd00::2", "fd00::50"),
    ] {
        let mut wire = Wire::new(2, LINKS[0]);
        let more = ["192.168.7.1/24", "fd07::1/64", "10.0.0.50/24", "fd00::50/64"];
        more.iter().for_each(|cidr| wire[0].add_address(ETH, cidr.parse().unwrap()).unwrap());
        let more = ["192.168.7.2/24", "fd07::2/64", "10.0.0.60/24"];
        more.iter().for_each(|cidr| wire[1].add_address(ETH, cidr.parse().unwrap()).unwrap());
        let listener = wire.listen(1, "::", 2000, 8);
        wire.sniffing = true;
        let bind = own.map(|own| wire.bind(0, Transport::Tcp, own, 3000));
        let (now, options) = (wire.now, wire[0].config().tcp_options());
        let active = wire[0].tcp_connect(now, bind, at(to, 2000), options).unwrap();
        wire.settle();
        let passive = wire[1].tcp_accept(listener).unwrap();
        let mut flows = Flow::both((active, passive), 1, 10_000);
        finish(&mut wire, &mut flows, Duration::from_secs(2));
        wire.settle();
        assert_eq!(sources(&wire, 0), HashSet::from([here.parse().unwrap()]), "{own:?} to {to}");
        assert_eq!(sources(&wire, 1), HashSet::from([to.parse().unwrap()]), "{own:?} to {to}");
    }
}

/// An open connection whose last segment, of ten bytes, was lost.
fn waiting(address: &str) -> (Wire, TcpId, Frame) {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, _) = wire.pair(1, address);
    wire.sniffing = true;
    wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    let now = wire.now;
    wire[0].tcp_write(now, here, Rope::from(vec![1; 10])).unwrap();
    wire.flush();
    wire.events(0);
    let data = wire.seen.last().unwrap().1.clone();
    assert_eq!(tcp_of(&data).unwrap().1, 10);
    (wire, here, data)
}

//= RFC 9293 MUST-47, type=test
//= RFC 9293 MUST-54, type=test
//= RFC 9293 MUST-56, type=test
//= RFC 9293 SHLD-20, type=test
//= RFC 9293 SHLD-25, type=test
//= RFC 1122 §3.2.2.4 MUST-1, type=test
//= RFC 1122 §3.2.2.5 MUST-1, type=test
#[test]
fn what_a_path_complains_of_is_told_to_those_who_ask() {
    let unreachable = |code| {
        let code = icmpv4::UnreachableCode(code);
        Icmpv4Message::DestinationUnreachable { code, mtu: 0 }
    };
    for (message, error) in [
        (unreachable(0), SocketError::NetworkUnreachable),
        (unreachable(1), SocketError::HostUnreachable),
        (unreachable(5), SocketError::SourceRouteFailed),
        (unreachable(7), SocketError::HostDown),
        (unreachable(8), SocketError::HostIsolated),
        (Icmpv4Message::TimeExceeded { code: TimeExceededCode(0) }, SocketError::HostUnreachable),
        (Icmpv4Message::ParameterProblem { code: 0, pointer: 20 }, SocketError::Protocol),
    ] {
        hear("10.0.0.2", |quote| Path::v4(1, 0).icmpv4(message, &quote[..28]), error);
    }
    let unreachable = |code| {
        let code = icmpv6::UnreachableCode(code);
        Icmpv6Message::DestinationUnreachable { code }
    };
    for (message, error) in [
        (unreachable(0), SocketError::NetworkUnreachable),
        (unreachable(3), SocketError::HostUnreachable),
        (Icmpv6Message::TimeExceeded { code: TimeExceededCode(0) }, SocketError::HostUnreachable),
    ] {
        hear("fd00::2", |quote| Path::v6(1, 0).icmpv6(message, quote, 64), error);
    }
}

/// Lets an open connection hear a complaint about what it sent.
fn hear(address: &str, complaint: impl Fn(&[u8]) -> Frame, error: SocketError) {
    let (mut wire, here, data) = waiting(address);
    wire.inject(0, complaint(packet_of(&data)));
    let now = wire.now;
    assert_eq!(wire.events(0), [], "who does not ask is left alone");
    assert_eq!(wire[0].tcp_read(now, here, 1).unwrap_err(), ReadError::WouldBlock);
    assert_eq!(wire[0].tcp_write(now, here, Rope::from(vec![1])), Ok(1));
    assert_eq!(wire[0].tcp_take_any_error(here), Some(error), "{address}");
    assert_eq!(wire[0].tcp_take_any_error(here), None, "told once");
    assert_eq!(wire.state(0, here), State::Established);
}

//= RFC 9293 MUST-55, type=test
#[test]
fn a_source_quench_is_dropped_without_a_word() {
    let (mut wire, here, data) = waiting("10.0.0.2");
    let before = wire[0].tcp_info(here).unwrap();
    wire.seen.clear();
    let quench = Icmpv4Message::Other { kind: 4, code: 0, rest: [0; 4] };
    wire.inject(0, Path::v4(1, 0).icmpv4(quench, &packet_of(&data)[..28]));
    let after = wire[0].tcp_info(here).unwrap();
    assert_eq!((after.snd_cwnd, after.snd_ssthresh), (before.snd_cwnd, before.snd_ssthresh));
    assert_eq!((after.state, after.rto), (State::Established, before.rto));
    assert_eq!(wire[0].tcp_take_any_error(here), None);
    assert!(wire.seen.is_empty() && wire.events(0).is_empty());
    assert_eq!((wire.counter(0, Counter::IcmpInMsgs), wire.counter(0, Counter::IcmpInErrors)), (1, 0));
}

/// What host 1, where every address has a listener at port 2000, says to a segment.
fn answers(path: Path, flags: TcpFlags, port: u16) -> usize {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.pair(1, "10.0.0.2");
    wire.pair(1, "fd00::2");
    wire.listen(1, "::", 2000, 8);
    wire.sniffing = true;
    let header = TcpHeader {
        source_port: 10_000,
        destination_port: port,
        flags,
        window: 1000,
        ..TcpHeader::default()
    };
    wire.inject(1, path.tcp(&header, &[]));
    wire.seen.iter().filter(|(from, _)| *from == 1).count()
}

//= RFC 9293 MUST-57, type=test
//= RFC 9293 MUST-63, type=test
#[test]
fn segments_to_or_from_more_than_one_host_are_dropped_without_a_word() {
    let broadcast = EthernetAddress::BROADCAST;
    let all_v4 = EthernetAddress([1, 0, 0x5e, 0, 0, 1]);
    let all_v6 = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let to = |path: Path, to_station, ip| Path { to_station, ..path.to(ip) };
    let (v4, v6) = (Path::v4(0, 1), Path::v6(0, 1));
    let paths = [
        to(v4, broadcast, "10.0.0.255"),
        to(v4, broadcast, "255.255.255.255"),
        to(v4, all_v4, "224.0.0.1"),
        to(v6, all_v6, "ff02::1"),
        v4.from("10.0.0.255"),
        v4.from("255.255.255.255"),
        v4.from("224.0.0.9"),
        v4.from("0.0.0.0"),
        v6.from("ff02::9"),
        v6.from("::"),
    ];
    // A SYN that would be taken, and a segment that would be reset.
    for (flags, port) in [(TcpFlags::SYN, 2000), (TcpFlags::ACK, 9)] {
        for path in [v4, v6] {
            assert_eq!(answers(path, flags, port), 1, "a host to a host");
        }
        for path in paths {
            assert_eq!(
                answers(path, flags, port),
                0,
                "{flags:?} from {} to {}",
                path.source,
                path.destination
            );
        }
    }
}

//= RFC 9293 MUST-50, type=test
//= RFC 1122 §3.2.1.8, type=test
//= RFC 1122 §3.2.1.8 MUST-3, type=test
//= RFC 1122 §3.2.1.8b MUST-1, type=test
#[test]
fn options_of_ip_are_skipped_but_source_routes_are_refused() {
    let route = |kind| [1, kind, 7, 4, 10, 0, 0, 9];
    for (options, answered) in [
        // A stamp of each router, an option that nobody knows, and two lengths that make no sense, which the sender is
        // told.
        ([68, 8, 5, 0, 0, 0, 0, 0], true),
        ([0x9e, 6, 1, 2, 3, 4, 1, 0], true),
        ([0x9e, 0, 131, 7, 4, 10, 0, 0], false),
        ([0x9e, 200, 131, 7, 4, 10, 0, 0], false),
        (route(131), false),
        (route(137), false),
    ] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.pair(1, "10.0.0.2");
        wire.listen(1, "10.0.0.2", 2000, 8);
        wire.sniffing = true;
        let flags = TcpFlags::SYN;
        let syn = TcpHeader { source_port: 9, destination_port: 2000, flags, ..TcpHeader::default() };
        let mut bytes = bytes_of(&Path::v4(0, 1).tcp(&syn, &[]));
        bytes.splice(34..34, options);
        (bytes[14], bytes[17]) = (0x47, bytes[17] + 8);
        bytes[24..26].fill(0);
        let mut sum = Sum::new();
        sum.add_bytes(&bytes[14..42]);
        bytes[24..26].copy_from_slice(&sum.finish().to_be_bytes());
        wire.inject(1, bytes);
        let answer = wire.seen.last().and_then(|(_, frame)| tcp_of(frame)).map(|(header, _)| header.flags);
        assert_eq!(answer, answered.then_some(TcpFlags::SYN | TcpFlags::ACK), "{options:?}");
        assert_eq!(wire.counter(1, Counter::IcmpOutParmProbs), u64::from(options[0] == 0x9e && !answered));
        assert_eq!(wire.counter(1, Counter::IpInHdrErrors), u64::from(!answered));
    }
}

//= RFC 9293 MUST-48, type=test
#[test]
fn answers_to_a_syn_are_of_the_listeners_class_and_resets_of_that_of_the_segment() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.pair(1, "10.0.0.2");
    let listener = wire.listen(1, "10.0.0.2", 2000, 8);
    wire[1].set_listener_options(listener, |options| options.traffic_class = 0x10);
    wire.sniffing = true;
    for (port, class) in [(2000, 0x10), (2001, 0x28)] {
        let flags = TcpFlags::SYN;
        let syn = TcpHeader { source_port: 9, destination_port: port, flags, ..TcpHeader::default() };
        let mut bytes = bytes_of(&Path::v4(0, 1).tcp(&syn, &[]));
        // ECN's bits are not mirrored.
        bytes[15] = 0x2b;
        bytes[24..26].fill(0);
        let mut sum = Sum::new();
        sum.add_bytes(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.finish().to_be_bytes());
        wire.inject(1, bytes);
        assert_eq!(bytes_of(&wire.seen.last().expect("an answer").1)[15], class, "port {port}");
    }
}
