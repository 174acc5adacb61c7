//! ICMP errors: which are believed, and which are sent.

use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::stack::TcpId;
use tapsock_stack::tcp::State;
use tapsock_stack::wire::icmp::{Echo, TimeExceededCode};
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::{EthernetAddress, IpProtocol};

use crate::packets::{Path, packet_of, tcp_of, transport_of};
use crate::wire::{Fate, LINKS, PAIRS, Wire, at, station};

/// "Nobody listens at the port", quoting `frame`, from host 1 to host 0.
fn port_unreachable(frame: &Frame, tamper: impl Fn(&mut Vec<u8>)) -> Frame {
    let mut quote = packet_of(frame).to_vec();
    tamper(&mut quote);
    match quote[0] >> 4 {
        4 => {
            quote.truncate(28);
            let code = icmpv4::UnreachableCode::PORT;
            Path::v4(1, 0).icmpv4(Icmpv4Message::DestinationUnreachable { code, mtu: 0 }, &quote)
        }
        _ => {
            let code = icmpv6::UnreachableCode::PORT;
            Path::v6(1, 0).icmpv6(Icmpv6Message::DestinationUnreachable { code }, &quote, 64)
        }
    }
}

/// A host that is connecting, and its SYN, which was lost.
fn connecting(address: &str) -> (Wire, TcpId, Frame) {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    let id = wire.connect(0, at(address, 2000));
    wire.settle();
    let syn = wire.seen.iter().find(|(_, frame)| tcp_of(frame).is_some()).unwrap().1.clone();
    (wire, id, syn)
}

//= RFC 9293 MUST-54, type=test
//= RFC 1122 §3.2.2 MUST-3, type=test
//= RFC 1122 §3.2.2.1 MUST-1, type=test
//= RFC 1122 §3.2.2.1 SHLD-2, type=test
//= RFC 4443 §3.1 MUST-3, type=test
#[test]
fn an_error_about_our_syn_ends_the_attempt() {
    for (_, address) in PAIRS {
        let (mut wire, id, syn) = connecting(address);
        wire.inject(0, port_unreachable(&syn, |_| ()));
        assert_eq!(wire.state(0, id), State::Closed);
        assert_eq!(wire[0].tcp_take_error(id), Some(SocketError::ConnectionRefused));
    }
}

/// Changes one field of a quoted packet, given the length of its IP header.
type Tamper = fn(&mut Vec<u8>, usize);

//= RFC 5927 §4.1, type=test
#[test]
fn errors_that_quote_nothing_of_ours_are_ignored() {
    let table: [(&str, Tamper); 6] = [
        ("a sequence number below what is in flight", |q, ip| add(q, ip + 4, -1)),
        ("a sequence number above", |q, ip| add(q, ip + 4, 1)),
        ("another source port", |q, ip| q[ip] ^= 1),
        ("another destination port", |q, ip| q[ip + 3] ^= 1),
        ("another destination", |q, ip| q[ip - 1] ^= 1),
        ("a source that is not ours", |q, ip| if ip == 20 { q[15] ^= 0x40 } else { q[23] ^= 0x40 }),
    ];
    for (_, address) in PAIRS {
        for (what, tamper) in table {
            let (mut wire, id, syn) = connecting(address);
            let header = if address.contains(':') { 40 } else { 20 };
            wire.inject(0, port_unreachable(&syn, |quote| tamper(quote, header)));
            assert_eq!(wire.state(0, id), State::SynSent, "{what}");
            assert!(!wire[0].tcp(id).unwrap().has_error(), "{what}");
        }
    }
}

fn add(bytes: &mut [u8], at: usize, number: i32) {
    let field = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&field.wrapping_add_signed(number).to_be_bytes());
}

/// A host with a half-open connection, and the SYN-ACK that was lost.
fn half_open(address: &str) -> (Wire, Frame) {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.listen(0, if address.contains(':') { "::" } else { "0.0.0.0" }, 2000, 4);
    wire.connect(1, at(address, 2000));
    wire.sniffing = true;
    wire.filter(|from, frame| if from == 0 && tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    wire.settle();
    let (_, answer) = wire.seen.iter().rfind(|(from, frame)| *from == 0 && tcp_of(frame).is_some()).unwrap();
    let answer = answer.clone();
    (wire, answer)
}

/// Whether the half-open connection is still there after a complaint about its SYN-ACK: it sends it again.
fn stays_half_open(address: &str, complaint: impl Fn(&[u8]) -> Frame, shift: i32) -> bool {
    let (mut wire, answer) = half_open(address);
    let mut quote = packet_of(&answer).to_vec();
    add(&mut quote, if address.contains(':') { 44 } else { 24 }, shift);
    wire.inject(0, complaint(&quote));
    let (dropped, stray) = (Counter::TcpExtListenDrops, Counter::TcpExtOutOfWindowIcmps);
    let counted = (wire.counter(0, dropped), wire.counter(0, stray));
    wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    wire.seen.clear();
    wire.run_for(Duration::from_millis(1100));
    let stays = wire.seen.iter().any(|(from, frame)| *from == 0 && tcp_of(frame).is_some());
    assert_eq!(counted, (u64::from(!stays), u64::from(shift != 0)));
    stays
}

/// As Linux 6.18 does it, which tells the two versions apart.
//= RFC 5927 §4.1, type=test
#[test]
fn some_errors_end_a_half_open_connection() {
    let unreachable = |code: u8, mtu| {
        let code = icmpv4::UnreachableCode(code);
        Icmpv4Message::DestinationUnreachable { code, mtu }
    };
    let about = |message: Icmpv4Message, shift| {
        let complaint = |quote: &[u8]| Path::v4(1, 0).icmpv4(message, &quote[..28]);
        stays_half_open("10.0.0.1", complaint, shift)
    };
    for code in 0..16 {
        assert_eq!(about(unreachable(code, 1300), 0), code > 1, "{code}");
    }
    assert!(about(unreachable(1, 0), 1), "another number");
    assert!(!about(Icmpv4Message::TimeExceeded { code: TimeExceededCode(0) }, 0));
    assert!(!about(Icmpv4Message::ParameterProblem { code: 0, pointer: 0 }, 0));
    let about = |message: Icmpv6Message, shift| {
        stays_half_open("fd00::1", |quote: &[u8]| Path::v6(1, 0).icmpv6(message, quote, 64), shift)
    };
    for code in 0..8 {
        let message = Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode(code) };
        assert_eq!(about(message, 0), matches!(code, 0 | 2 | 3), "{code}");
        assert!(about(message, -1), "another number");
    }
    assert!(about(Icmpv6Message::TimeExceeded { code: TimeExceededCode(0) }, 0));
    assert!(about(Icmpv6Message::PacketTooBig { mtu: 1300 }, 0));
}

//= RFC 9293 MUST-56, type=test
//= RFC 1122 §3.2.2.1 MUST-2, type=test
#[test]
fn an_open_connection_survives_errors() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let (here, there) = wire.pair(1, address);
        wire.sniffing = true;
        let now = wire.now;
        wire[0].tcp_write(now, here, Rope::from(&b"hello"[..])).unwrap();
        wire.flush();
        let data = wire.seen.last().unwrap().1.clone();
        assert_eq!(tcp_of(&data).unwrap().1, 5);
        wire.inject(0, port_unreachable(&data, |_| ()));
        assert_eq!(wire.state(0, here), State::Established);
        wire.settle();
        let now = wire.now;
        assert_eq!(wire[1].tcp_read(now, there, 9).unwrap().to_vec(), b"hello");
    }
}

//= RFC 4443 §2.4 MUST-6, type=test
//= RFC 1812 §4.3.2.8, type=test
#[test]
fn errors_are_rate_limited() {
    let mut config = Config::default();
    config.set("net.ipv4.icmp_ratelimit", "0").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    for port in 0..200 {
        wire.inject(1, Path::v4(0, 1).udp((5000, 6000 + port), b"x"));
    }
    wire.settle();
    assert_eq!(wire.counter(1, Counter::IcmpOutDestUnreachs), 50, "the burst that Linux allows");
    assert_eq!(wire.counter(1, Counter::IcmpOutRateLimitGlobal), 150);
    wire.run_for(Duration::from_millis(10));
    wire.inject(1, Path::v4(0, 1).udp((5000, 9), b"x"));
    assert_eq!(wire.counter(1, Counter::IcmpOutDestUnreachs), 51);
}

/// Both kinds of settings do what they say, and one host does not take the others' share.
//= RFC 4443 §2.4 MUST-6, type=test
#[test]
fn errors_to_one_host_are_rate_limited() {
    let count = |wire: &mut Wire, path: Path, sent, skipped| {
        for port in 0..20 {
            wire.inject(2, path.udp((5000, 6000 + port), b"x"));
        }
        wire.flush();
        (wire.counter(2, sent), wire.counter(2, skipped))
    };
    let (sent, skipped) = (Counter::IcmpOutDestUnreachs, Counter::IcmpOutRateLimitHost);
    let mut wire = Wire::new(3, LINKS[0]);
    assert_eq!(count(&mut wire, Path::v4(0, 2), sent, skipped), (6, 14));
    assert_eq!(count(&mut wire, Path::v4(1, 2), sent, skipped), (12, 28));
    wire.run_for(Duration::from_millis(1100));
    assert_eq!(count(&mut wire, Path::v4(0, 2), sent, skipped), (13, 47), "one a second");

    let (sent, skipped) = (Counter::Icmp6OutDestUnreachs, Counter::Icmp6OutRateLimitHost);
    assert_eq!(count(&mut wire, Path::v6(0, 2), sent, skipped), (6, 14));
    wire.run_for(Duration::from_millis(210));
    assert_eq!(count(&mut wire, Path::v6(0, 2), sent, skipped), (8, 32), "ten a second");

    let mut config = Config::default();
    config.set("net.ipv4.icmp_ratemask", "0").unwrap();
    let mut wire = Wire::with_config(3, LINKS[0], &config);
    let (sent, skipped) = (Counter::IcmpOutDestUnreachs, Counter::IcmpOutRateLimitHost);
    assert_eq!(count(&mut wire, Path::v4(0, 2), sent, skipped), (20, 0), "no type is limited");
}

/// The limit for all is one for both versions, as on Linux 6.18, which counts both in one counter; and what a path takes is
/// said to whoever has to know, unless the setting says otherwise.
#[test]
fn ipv6_shares_the_limit_for_all_and_limits_the_types_that_are_set() {
    let with = |mask: &str| {
        let mut config = Config::default();
        config.set("net.ipv4.icmp_ratelimit", "0").unwrap();
        config.set("net.ipv6.icmp.ratelimit", "0").unwrap();
        config.set("net.ipv6.icmp.ratemask", mask).unwrap();
        Wire::with_config(2, LINKS[0], &config)
    };
    let flood = |wire: &mut Wire| {
        for port in 0..100 {
            wire.inject(1, Path::v4(0, 1).udp((5000, 6000 + port), b"x"));
            wire.inject(1, Path::v6(0, 1).udp((5000, 6000 + port), b"x"));
        }
        wire.settle();
        [Counter::IcmpOutDestUnreachs, Counter::Icmp6OutDestUnreachs, Counter::IcmpOutRateLimitGlobal]
            .map(|counter| wire.counter(1, counter))
    };
    assert_eq!(flood(&mut with("0-1,3-127")), [25, 25, 150]);
    assert_eq!(flood(&mut with("0,3-127")), [50, 100, 50], "unreachable ones are not limited");
    assert_eq!(flood(&mut with("128-255")), [50, 100, 50]);

    // A router's, by default and where all are limited.
    for (mask, told) in [("0-1,3-127", 40), ("0-127", 6)] {
        let mut config = Config::default();
        config.set("net.ipv6.conf.all.forwarding", "1").unwrap();
        config.set("net.ipv6.icmp.ratemask", mask).unwrap();
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let narrow = LinkCaps::plain(Medium::Ethernet, 1280);
        let other = wire[1].add_interface("eth1", station(7), narrow).unwrap();
        wire[1].add_address(other, "fd07::1/64".parse().unwrap()).unwrap();
        for _ in 0..40 {
            wire.inject(1, Path::v6(0, 1).to("fd07::9").udp((5000, 6000), &[0; 1400]));
        }
        wire.settle();
        assert_eq!(wire.counter(1, Counter::Icmp6OutPktTooBigs), told, "{mask}");
    }
}

#[test]
fn echo_requests_of_ipv6_are_ignored_where_that_is_set() {
    let all = EthernetAddress::multicast_for("ff02::1".parse().unwrap());
    for (setting, answers) in [
        ("net.ipv6.icmp.ratelimit", 2),
        ("net.ipv6.icmp.echo_ignore_all", 0),
        ("net.ipv6.icmp.echo_ignore_multicast", 1),
    ] {
        let mut config = Config::default();
        config.set(setting, "1").unwrap();
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let echo = Icmpv6Message::EchoRequest(Echo { ident: 1, sequence: 1 });
        wire.inject(1, Path::v6(0, 1).icmpv6(echo, b"x", 64));
        let mut path = Path::v6(0, 1).to("ff02::1");
        path.to_station = all;
        wire.inject(1, path.icmpv6(echo, b"x", 64));
        wire.settle();
        assert_eq!(wire.counter(1, Counter::Icmp6OutEchoReplies), answers, "{setting}");
        assert_eq!(wire.counter(1, Counter::Icmp6InEchos), 2);
    }
}

//= RFC 1122 §3.2.2 MUST-2, type=test
//= RFC 1122 §3.4 MUST-6, type=test
//= RFC 4443 §2.4 MUST-4, type=test
#[test]
fn an_error_quotes_what_it_is_about() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.sniffing = true;
        let question = Path::of_family(address, 0, 1).udp((5000, 9), &[7; 1400]);
        wire.inject(1, question.clone());
        wire.settle();
        let (protocol, most) = if address.contains(':') {
            (IpProtocol::ICMPV6, 1280 - 48)
        } else {
            (IpProtocol::ICMP, 576 - 28)
        };
        let is_error = |bytes: &&[u8]| matches!((protocol, bytes[0]), (IpProtocol::ICMP, 3) | (_, 1));
        let mut sent = wire.seen.iter().filter_map(|(_, frame)| transport_of(frame, protocol));
        let error = sent.find(is_error).unwrap();
        assert_eq!(error[8..], packet_of(&question)[..most], "as much as fits");
    }
}

//= RFC 1122 §3.2.2, type=test
//= RFC 4443 §2.4, type=test
//= RFC 1122 §3.2.2 MUST-1, type=test
//= RFC 1122 §3.2.2 MUST-4, type=test
//= RFC 1122 §3.2.2 MUST-5, type=test
//= RFC 4443 §2.4 MUST-5, type=test
#[test]
fn errors_are_never_answered_by_errors() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    // An error about a datagram that we never sent, and a message of a type that nobody knows.
    let stray = Path::v4(1, 0).udp((9, 9), b"x");
    let code = icmpv4::UnreachableCode::PORT;
    let message = Icmpv4Message::DestinationUnreachable { code, mtu: 0 };
    wire.inject(1, Path::v4(0, 1).icmpv4(message, packet_of(&stray)));
    wire.inject(1, Path::v4(0, 1).icmpv4(Icmpv4Message::Other { kind: 250, code: 0, rest: [0; 4] }, b"x"));
    let message = Icmpv6Message::Other { kind: 100, code: 0, rest: [0; 4] };
    wire.inject(1, Path::v6(0, 1).icmpv6(message, b"x", 64));
    // A datagram from a group, and one to a group.
    wire.inject(1, Path::v4(0, 1).to("10.0.0.255").udp((9, 9), b"x"));
    wire.inject(1, Path::v6(0, 1).to("ff02::1").udp((9, 9), b"x"));
    wire.settle();
    for (counter, name) in [(Counter::IcmpOutMsgs, "ICMP"), (Counter::Icmp6OutMsgs, "ICMPv6")] {
        assert_eq!(wire.counter(1, counter), 0, "{name}");
    }
}
