//! IP and ICMP as RFC 1122 §3, RFC 4443 and RFC 8200 have them, where no other test asserts it by itself.

use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::iface::Route;
use tapsock_stack::stack::Family;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::icmpv6::{Icmpv6Message, ParameterProblemCode};
use tapsock_stack::wire::{EthernetAddress, IpProtocol, Ipv4Header, Ipv6Header};

use crate::ipv4::{answers, deaf, with_options};
use crate::malformed::mend_v4;
use crate::packets::{Path, bytes_of, packet_of, transport_of};
use crate::udp::{bound, send};
use crate::udp_errors::{ASKED, CONNECTED, about_v6};
use crate::wire::{ETH, Fate, LINKS, PAIRS, Wire, at, family_of};

/// The same frame with another time to live, or hop limit.
fn with_ttl(frame: &Frame, ttl: u8) -> Frame {
    let mut bytes = bytes_of(frame);
    if bytes[14] >> 4 == 4 {
        bytes[22] = ttl;
        mend_v4(&mut bytes);
    } else {
        bytes[21] = ttl;
    }
    Frame::from(bytes)
}

//= RFC 1122 §3.2.1.7 MUST-2, type=test
#[test]
fn a_host_takes_what_has_come_to_the_end_of_its_time() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let socket = bound(&mut wire, 1, address, 5000);
        for ttl in [0, 1] {
            wire.inject(1, with_ttl(&Path::of_family(address, 0, 1).udp((9, 5000), b"x"), ttl));
            assert_eq!(wire[1].udp_recv(socket).map(|datagram| datagram.hop_limit).ok(), Some(ttl));
        }
    }
}

//= RFC 1122 §3.2.1.7 MUST-1, type=test
//= RFC 1122 §3.2.1.7 MUST-4, type=test
#[test]
fn the_time_to_live_is_configured_and_never_zero() {
    let mut config = Config::default();
    assert!(config.set("net.ipv4.ip_default_ttl", "0").is_err());
    config.set("net.ipv4.ip_default_ttl", "33").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    wire.neighbors();
    wire.sniffing = true;
    let udp = wire[0].udp_open(Family::V4);
    send(&mut wire, udp, b"x", at("10.0.0.2", 9)).unwrap();
    wire.settle();
    let sent = wire.seen.iter().find(|(from, _)| *from == 0).unwrap();
    assert_eq!(Ipv4Header::parse(packet_of(&sent.1)).unwrap().ttl, 33);
    let back = wire.seen.iter().find(|(from, _)| *from == 1).unwrap();
    assert_eq!(Ipv4Header::parse(packet_of(&back.1)).unwrap().ttl, 33, "errors too");
}

//= RFC 1122 §3.2.2 MUST-7, type=test
#[test]
fn nobody_is_told_of_a_fragment_that_is_not_the_first() {
    let mut wire = deaf();
    let before = wire.counter(1, Counter::IcmpOutMsgs);
    for protocol in [IpProtocol::UDP, IpProtocol(200)] {
        let mut later = bytes_of(&Path::v4(0, 1).raw(protocol, &[0; 64]));
        later[20..22].copy_from_slice(&[0, 8]);
        mend_v4(&mut later);
        wire.inject(1, later);
    }
    wire.run_for(Duration::from_secs(40));
    assert_eq!(wire.counter(1, Counter::IpReasmTimeout), 2);
    assert_eq!(wire.counter(1, Counter::IcmpOutMsgs), before);
}

//= RFC 1122 §3.2.2 MUST-8, type=test
//= RFC 1122 §3.2.1.3 MUST-4, type=test
#[test]
fn nobody_is_told_who_can_be_no_single_host() {
    let mut wire = deaf();
    let before = (wire.counter(1, Counter::IcmpOutMsgs), wire.counter(1, Counter::Icmp6OutMsgs));
    for source in ["0.0.0.0", "255.255.255.255", "10.0.0.255", "224.0.0.1", "127.0.0.1", "10.0.0.2"] {
        wire.inject(1, Path::v4(0, 1).from(source).udp((9, 9), b"x"));
    }
    for source in ["::", "::1", "ff02::1", "fd00::2"] {
        wire.inject(1, Path::v6(0, 1).from(source).udp((9, 9), b"x"));
    }
    let after = (wire.counter(1, Counter::IcmpOutMsgs), wire.counter(1, Counter::Icmp6OutMsgs));
    assert_eq!(after, before);
    assert_eq!(wire.counter(1, Counter::TapsockIpInMartians), 10);
}

//= RFC 1122 §3.2.2.6 MUST-2, type=test
//= RFC 1122 §3.3.4.2 SHLD-1, type=test
//= RFC 4443 §2.2 MUST-1, type=test
//= RFC 4443 §4.2 MUST-2, type=test
#[test]
fn answers_are_from_the_address_that_was_asked() {
    let mut wire = deaf();
    for cidr in ["10.0.0.50/24", "fd00::50/64"] {
        wire[1].add_address(ETH, cidr.parse().unwrap()).unwrap();
    }
    let echo = Echo { ident: 1, sequence: 2 };
    for to in ["10.0.0.2", "10.0.0.50"] {
        wire.seen.clear();
        wire.inject(1, Path::v4(0, 1).to(to).icmpv4(Icmpv4Message::EchoRequest(echo), b"x"));
        wire.inject(1, Path::v4(0, 1).to(to).udp((9, 9), b"x"));
        let sources = answers(&wire).into_iter().map(|packet| Ipv4Header::parse(&packet).unwrap().source);
        assert_eq!(sources.map(|source| source.to_string()).collect::<Vec<_>>(), [to; 2]);
    }
    for to in ["fd00::2", "fd00::50"] {
        wire.seen.clear();
        wire.inject(1, Path::v6(0, 1).to(to).icmpv6(Icmpv6Message::EchoRequest(echo), b"x", 64));
        wire.inject(1, Path::v6(0, 1).to(to).udp((9, 9), b"x"));
        let sources = answers(&wire).into_iter().map(|packet| Ipv6Header::parse(&packet).unwrap().source);
        assert_eq!(sources.map(|source| source.to_string()).collect::<Vec<_>>(), [to; 2]);
    }
}

/// In milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// "What time is it?", or what somebody says to that.
fn timestamp(path: Path, kind: u8, body: &[u8]) -> Frame {
    path.icmpv4(Icmpv4Message::Other { kind, code: 0, rest: [7, 8, 0, 9] }, body)
}

//= RFC 1122 §3.2.2.8 SHLD-1, type=test
//= RFC 1122 §3.2.2.8 MUST-1, type=test
//= RFC 1122 §3.2.2.8 SHLD-2, type=test
//= RFC 1122 §3.2.2.8 MUST-4, type=test
//= RFC 1122 §3.2.2.8 MAY-1, type=test
//= RFC 1122 §3.2.2.8 MAY-2, type=test
//= RFC 1122 §3.2.2.8 MAY-3, type=test
#[test]
fn a_timestamp_is_answered() {
    let mut wire = deaf();
    wire[1].add_address(ETH, "10.0.0.50/24".parse().unwrap()).unwrap();
    let asked = [[1, 2, 3, 4], [0; 4], [0; 4]].concat();
    let record = [7, 7, 4, 0, 0, 0, 0];
    wire.inject(1, with_options(&timestamp(Path::v4(0, 1).to("10.0.0.50"), 13, &asked), &record));
    let [answer] = &answers(&wire)[..] else { panic!("one answer, at once") };
    let header = Ipv4Header::parse(answer).unwrap();
    assert_eq!(header.source.to_string(), "10.0.0.50");
    assert_eq!(answer[20..28], [7, 7, 8, 10, 0, 0, 50, 0], "the record comes back");
    let message = &answer[usize::from(header.header_len)..];
    assert_eq!((message[0], message[1], &message[4..8]), (14, 0, &[7, 8, 0, 9][..]));
    assert_eq!(message[8..12], [1, 2, 3, 4]);
    assert!(message[12] & 0x80 != 0 && message[12..16] == message[16..20], "a time, but not that of the day");
    assert_eq!(message.len(), 20);
    // Once it is known it is told, and begins again at midnight.
    let now = wire.now;
    wire[1].set_time_of_day(now, Duration::from_millis(2 * DAY - 995));
    for (wait, expected) in [(0, DAY - 995), (1000, 5)] {
        wire.run_for(Duration::from_millis(wait));
        wire.seen.clear();
        wire.inject(1, timestamp(Path::v4(0, 1), 13, &asked));
        let answer = answers(&wire).pop().expect("an answer");
        let times = [32..36, 36..40].map(|at| u32::from_be_bytes(answer[at].try_into().unwrap()));
        assert_eq!(times.map(u64::from), [expected; 2]);
    }
    wire.seen.clear();
    // What is too short, and what went to all, is not answered.
    wire.inject(1, timestamp(Path::v4(0, 1), 13, &[1, 2, 3]));
    for to in ["10.0.0.255", "224.0.0.1"] {
        let mut path = Path::v4(0, 1).to(to);
        path.to_station = EthernetAddress::BROADCAST;
        wire.inject(1, timestamp(path, 13, &asked));
    }
    assert_eq!(answers(&wire).len(), 0);
    assert_eq!((wire.counter(1, Counter::IcmpInTimestamps), wire.counter(1, Counter::IcmpInErrors)), (6, 3));
    assert_eq!(wire.counter(1, Counter::IcmpOutTimestampReps), 3);
}

//= RFC 1122 §3.2.2.8 MUST-3, type=test
#[test]
fn who_asked_for_the_time_hears_the_answer() {
    let mut wire = Wire::new(2, LINKS[0]);
    let raw = wire[0].raw_open(Family::V4, 1).unwrap();
    let now = wire.now;
    let question = Rope::from([&[13, 0, 0, 0, 7, 8, 0, 9][..], &[0; 12]].concat());
    let mut summed = question.to_vec();
    let sum = !summed.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).sum::<u16>();
    summed[2..4].copy_from_slice(&sum.to_be_bytes());
    wire[0].raw_send(now, raw, Rope::from(summed), Some(at("10.0.0.2", 0)), Default::default()).unwrap();
    wire.settle();
    let heard = wire[0].raw_recv(raw).unwrap().payload.to_vec();
    assert_eq!((heard[20], &heard[24..28]), (14, &[7, 8, 0, 9][..]));
    assert_eq!(wire.counter(0, Counter::IcmpInTimestampReps), 1);
}

//= RFC 4443 §2.4 MUST-1, type=test
//= RFC 4443 §2.4 MUST-2, type=test
//= RFC 4443 §2.4 MUST-3, type=test
//= RFC 4443 §3.4 MUST-2, type=test
#[test]
fn errors_go_up_known_or_not_and_other_messages_nobody_knows_are_dropped() {
    let protocol = Some(SocketError::Protocol);
    for kind in [5, 99, 100, 127] {
        let unknown = Icmpv6Message::Other { kind, code: 7, rest: [0; 4] };
        assert_eq!((about_v6(ASKED, unknown), about_v6(CONNECTED, unknown)), (protocol, None), "{kind}");
    }
    for code in [ParameterProblemCode::ERRONEOUS_FIELD, ParameterProblemCode::UNKNOWN_NEXT_HEADER] {
        let problem = Icmpv6Message::ParameterProblem { code, pointer: 6 };
        assert_eq!((about_v6(ASKED, problem), about_v6(CONNECTED, problem)), (protocol, protocol));
    }
    for kind in [150, 200, 255] {
        let unknown = Icmpv6Message::Other { kind, code: 7, rest: [0; 4] };
        assert_eq!(about_v6(ASKED, unknown), None, "{kind}");
        let mut wire = deaf();
        wire.inject(1, Path::v6(0, 1).icmpv6(unknown, b"x", 64));
        assert!(answers(&wire).is_empty(), "{kind}");
    }
}

//= RFC 1122 §3.2.2.2 MUST-2, type=test
//= RFC 1122 §3.3.1.2 SHLD-1, type=test
//= RFC 1122 §3.3.1.2 MUST-1, type=test
#[test]
fn redirects_for_hosts_and_for_networks_mean_the_host() {
    for code in 0..4 {
        let mut wire = Wire::new(1, LINKS[0]);
        wire.filter(|_, _| Fate::Lose);
        wire[0].config_mut().set("net.ipv4.conf.all.accept_redirects", "1").unwrap();
        let default = Route::via("0.0.0.0/0".parse().unwrap(), "10.0.0.2".parse().unwrap(), ETH);
        wire[0].add_route(default).unwrap();
        let ours = Path::v4(0, 1).to("203.0.113.7").udp((9, 9), b"x");
        let message = Icmpv4Message::Other { kind: 5, code, rest: [10, 0, 0, 9] };
        wire.inject(0, Path::v4(1, 0).icmpv4(message, packet_of(&ours)));
        let hop = |to: &str| wire[0].interfaces().route(to.parse().unwrap(), None, None).unwrap().next_hop;
        assert_eq!(hop("203.0.113.7").to_string(), "10.0.0.9", "{code}");
        assert_eq!(hop("203.0.113.8").to_string(), "10.0.0.2", "{code}: another host");
    }
}

//= RFC 8200 §4.7 MUST-1, type=test
#[test]
fn what_follows_no_next_header_is_nothing() {
    for bytes in [&[][..], &[1; 99]] {
        let mut wire = deaf();
        wire.inject(1, Path::v6(0, 1).raw(IpProtocol::NO_NEXT, bytes));
        assert!(answers(&wire).is_empty());
        assert_eq!(wire.counter(1, Counter::Ip6InDelivers) - wire.counter(1, Counter::Icmp6InMsgs), 2);
        let (problems, errors) = (Counter::Ip6InUnknownProtos, Counter::Ip6InHdrErrors);
        assert_eq!((wire.counter(1, problems), wire.counter(1, errors)), (0, 0));
    }
}

//= RFC 8200 §4.5 MUST-1, type=test
//= RFC 8200 §4.5 MUST-2, type=test
//= RFC 8200 §4.5 MUST-3, type=test
//= RFC 8200 §4.5 MUST-4, type=test
//= RFC 8200 §4.5 MUST-5, type=test
//= RFC 1122 §3.3.2 MUST-3, type=test
#[test]
fn what_is_too_large_goes_in_parts_that_fit_and_do_not_overlap() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let socket = bound(&mut wire, 1, address, 5000);
        wire.neighbors();
        wire.sniffing = true;
        let udp = wire[0].udp_open(family_of(address));
        let mut names = std::collections::HashSet::new();
        // The largest datagram that a field of 16 bits allows over IPv4; what a receiver can take has no other end.
        for len in [3000, 3000, 65_507] {
            wire.seen.clear();
            send(&mut wire, udp, &vec![7; len], at(address, 5000)).unwrap();
            wire.settle();
            let (mut next, mut identification) = (0, None);
            for (_, frame) in wire.seen.iter().filter(|(from, _)| *from == 0) {
                let packet = packet_of(frame);
                assert!(packet.len() <= 1500);
                let (name, offset, headers) = match packet[0] >> 4 {
                    4 => {
                        let header = Ipv4Header::parse(packet).unwrap();
                        (header.identification.into(), header.fragment_offset, 20)
                    }
                    _ => {
                        assert_eq!(packet[6], 44, "the fragment header stands right behind IPv6's");
                        let offset = u16::from_be_bytes([packet[42], packet[43]]) & !7;
                        (u32::from_be_bytes(packet[44..48].try_into().unwrap()), offset, 48)
                    }
                };
                assert_eq!(*identification.get_or_insert(name), name);
                assert_eq!(usize::from(offset), next, "each begins where the one before ends");
                if next == 0 {
                    assert_eq!(packet[headers + 2..headers + 4], 5000u16.to_be_bytes(), "UDP's header");
                }
                next += packet.len() - headers;
            }
            assert_eq!(next, 8 + len);
            assert!(names.insert(identification), "a name of its own");
            assert_eq!(wire[1].udp_recv(socket).unwrap().payload.len(), len);
        }
    }
}

/// A message that nobody here knows, and an information request: dropped without a word.
//= RFC 1122 §3.2.2 MUST-1, type=test
#[test]
fn messages_of_icmp_that_nobody_knows_are_dropped() {
    let mut wire = deaf();
    let before = wire.counter(1, Counter::IcmpOutMsgs);
    for kind in [1, 2, 4, 6, 7, 9, 10, 15, 16, 17, 18, 40, 200, 255] {
        wire.inject(1, Path::v4(0, 1).icmpv4(Icmpv4Message::Other { kind, code: 0, rest: [0; 4] }, &[0; 8]));
    }
    assert!(answers(&wire).is_empty());
    assert_eq!(wire.counter(1, Counter::IcmpOutMsgs), before);
    let icmp = wire.seen.iter().find_map(|(_, frame)| transport_of(frame, IpProtocol::ICMP));
    assert_eq!(icmp, None);
}

/// What there is too much of, and where, by RFC 8883's codes: each limit at its edge, and one more.
//= RFC 8883 §3.1, type=test
//= RFC 8883 §3.3, type=test
//= RFC 8883 §3.4, type=test
#[test]
fn who_sends_more_than_is_looked_at_is_told_of_what() {
    let options = |next: u8, options: &[u8]| {
        let len = 2 + options.len();
        assert_eq!(len % 8, 0);
        [&[next, (len / 8 - 1) as u8], options].concat()
    };
    // An option that everybody passes over, and padding: as many octets in all as are to be.
    let unknown = |count: usize| {
        let mut bytes = [0x1e, 0].repeat(count);
        bytes.extend([&[1, 4][..], &[0; 4]].concat());
        bytes.truncate((2 + bytes.len()) / 8 * 8 - 2);
        bytes
    };
    let udp = [0x17, 0x70, 0, 9, 0, 8, 0, 0];
    let chain = |count: usize| {
        [options(60, &[1, 4, 0, 0, 0, 0]).repeat(count - 1), options(17, &[1, 4, 0, 0, 0, 0])].concat()
    };
    let narrow = |name: &str| {
        let mut wire = deaf();
        if !name.is_empty() {
            wire[1].config_mut().set(name, "8").unwrap();
        }
        wire
    };
    let dst = "net.ipv6.max_dst_opts_length";
    for (setting, first, headers, told) in [
        (dst, 60, options(17, &[1, 4, 0, 0, 0, 0]), None),
        (dst, 60, options(17, &[&[0x1e, 12][..], &[7; 12]].concat()), Some((6, 40))),
        ("net.ipv6.max_hbh_length", 0, options(17, &[&[0x1e, 12][..], &[7; 12]].concat()), Some((6, 40))),
        ("", 60, chain(64), None),
        ("", 60, chain(65), Some((8, 40 + 65 * 8))),
        ("", 60, options(17, &unknown(8)), None),
        ("", 60, options(17, &unknown(11)), Some((9, 40 + 2 + 16))),
        ("", 0, options(17, &unknown(11)), Some((9, 40 + 2 + 16))),
    ] {
        let mut wire = narrow(setting);
        let packet = [&headers[..], &udp].concat();
        wire.inject(1, Path::v6(0, 1).raw(IpProtocol(first), &packet));
        let problems: Vec<(u8, u32)> = answers(&wire)
            .into_iter()
            .filter(|answer| answer[40] == 4)
            .map(|answer| (answer[41], u32::from_be_bytes(answer[44..48].try_into().unwrap())))
            .collect();
        assert_eq!(problems, Vec::from_iter(told), "{} bytes of {first}", headers.len());
        let counted = [Counter::Icmp6OutParmProblems, Counter::Ip6InHdrErrors].map(|it| wire.counter(1, it));
        assert_eq!(counted, [u64::from(told.is_some()); 2]);
    }
}
