//! What MSG_ERRQUEUE gives, as on Linux 6.18: errors, one by one, with who told of them.

mod common;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ExtendedError};
use tapsock_sockets::{Fd, Received, SockAddr, Sockets, Stamp, Stop};
use tapsock_stack::buf::{Checksum, Chunk, Frame, HeaderBlock, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::wire::icmp::TimeExceededCode;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::{IpProtocol, Ipv4Header, Ipv6Header};

/// `SO_EE_ORIGIN_LOCAL`, `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`.
const LOCAL: u8 = 1;
const ICMP: u8 = 2;
const ICMP6: u8 = 3;
const ECONNREFUSED: u32 = 111;
const EHOSTUNREACH: u32 = 113;
const EMSGSIZE: u32 = 90;

/// The level and the option that ask for reports about packets of that family.
fn asking(domain: i32) -> (i32, i32) {
    if domain == AF_INET { (SOL_IP, IP_RECVERR) } else { (SOL_IPV6, IPV6_RECVERR) }
}

fn ask(host: &mut Sockets, net_now: tapsock_stack::time::Instant, fd: tapsock_sockets::Fd, domain: i32) {
    let (level, option) = asking(domain);
    assert_eq!(int(host, net_now, fd, level, option), 0);
    assert_eq!(set(host, net_now, fd, level, option, 1), "OK");
    assert_eq!(int(host, net_now, fd, level, option), 1);
}

/// A datagram socket of `a` that asks for reports.
fn asker(net: &mut Net, domain: i32) -> Fd {
    let fd = datagram(&mut net.a, domain);
    let now = net.now;
    ask(&mut net.a, now, fd, domain);
    fd
}

/// The oldest report of a socket of `a`.
fn report(net: &mut Net, fd: Fd, max: usize) -> Result<Received, Stop> {
    net.a.try_recv(net.now, fd, max, MSG_ERRQUEUE)
}

/// The `sock_extended_err` of a report, and its offender.
fn told(received: &Received) -> (ExtendedError, Option<IpAddr>) {
    match received.control.last() {
        Some(Control::ExtendedError4(error, offender)) => (*error, offender.map(|v4| (*v4.ip()).into())),
        Some(Control::ExtendedError6(error, offender)) => (*error, offender.map(|v6| (*v6.ip()).into())),
        other => panic!("no error: {other:?}"),
    }
}

fn ip(address: &SockAddr) -> IpAddr {
    address.to_inet().unwrap().ip()
}

/// What `a` sent last comes back in a complaint of 10.0.0.9, or of fd00::9.
fn complain(net: &mut Net, v4: Icmpv4Message, v6: Icmpv6Message) {
    let quote = Rope::from(net.sent.last().expect("something was sent").clone());
    let mut headers = HeaderBlock::new();
    let domain = if quote.to_vec()[0] >> 4 == 4 { AF_INET } else { AF_INET6 };
    let [from, to] = [in_family(domain, "10.0.0.9", "fd00::9", 0), a(domain, 0)].map(|address| ip(&address));
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            v4.prepend_to(&quote, &mut headers);
            let len = headers.len() + quote.len();
            let protocol = IpProtocol::ICMP;
            Ipv4Header { source, destination, protocol, ttl: 61, tos: 0xc0, ..Ipv4Header::default() }
                .prepend_to(len, &mut headers);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            v6.prepend_to(source, destination, &quote, &mut headers);
            let len = headers.len() + quote.len();
            let next_header = IpProtocol::ICMPV6;
            Ipv6Header { source, destination, next_header, hop_limit: 61, ..Ipv6Header::default() }
                .prepend_to(len, &mut headers);
        }
        _ => unreachable!("both are of one family"),
    }
    let bytes = [&headers[..], &quote.to_vec()].concat();
    let frame = Frame { bytes: Chunk::copy_from(&bytes), checksum: Checksum::Unverified, gso_size: None };
    net.a.stack_mut().receive(net.now, InterfaceId(1), frame);
}

fn unreachable_host(net: &mut Net) {
    let v6 = Icmpv6Message::DestinationUnreachable { code: icmpv6::UnreachableCode(3) };
    complain(net, Icmpv4Message::DestinationUnreachable { code: icmpv4::UnreachableCode(1), mtu: 0 }, v6);
}

#[test]
fn a_closed_port_is_reported_to_any_socket_that_asks() {
    for (domain, connected) in [(AF_INET, false), (AF_INET, true), (AF_INET6, false), (AF_INET6, true)] {
        let mut net = Net::new();
        let (fd, to) = (asker(&mut net, domain), b(domain, 9));
        if connected {
            net.a.try_connect(net.now, fd, &to).unwrap();
        }
        assert_eq!(said(report(&mut net, fd, 9)), "EAGAIN", "it does not wait");
        assert_eq!(send_to(&mut net.a, net.now, fd, b"hello", &to), "5");
        net.settle();
        assert_eq!(poll(&net.a, fd), "OUT|ERR");
        let got = report(&mut net, fd, 3).unwrap();
        assert_eq!((got.data.to_vec(), got.full_len), (b"hel".to_vec(), 3));
        assert_eq!((got.from, got.flags), (Some(to), MSG_ERRQUEUE | MSG_TRUNC));
        let (origin, kind, code) = if domain == AF_INET { (ICMP, 3, 3) } else { (ICMP6, 1, 4) };
        let error = ExtendedError { errno: ECONNREFUSED, origin, kind, code, info: 0, data: 0 };
        assert_eq!(told(&got), (error, Some(ip(&to))));
        assert_eq!(got.control.len(), 1);
        // Who has read it has heard of it.
        assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), 0);
        assert_eq!(poll(&net.a, fd), "OUT");
        assert_eq!(said(report(&mut net, fd, 3)), "EAGAIN");
    }
}

#[test]
fn the_pending_error_and_the_queue() {
    let mut net = Net::new();
    let fd = asker(&mut net, AF_INET);
    for bytes in [b"one", b"two"] {
        assert_eq!(send_to(&mut net.a, net.now, fd, bytes, &b(AF_INET, 9)), "3");
        net.plugged = false;
        net.settle();
        unreachable_host(&mut net);
        // The error is the next call's, whatever waits in the queue.
        assert_eq!(recv(&mut net.a, net.now, fd, 9, 0), "EHOSTUNREACH");
        assert_eq!(recv(&mut net.a, net.now, fd, 9, 0), "EAGAIN");
        assert_eq!(poll(&net.a, fd), "OUT|ERR");
    }
    assert_eq!(report(&mut net, fd, 9).unwrap().data.to_vec(), b"one");
    // With the first report gone, the second is news.
    assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), EHOSTUNREACH as i32);
    assert_eq!(report(&mut net, fd, 9).unwrap().data.to_vec(), b"two");
    assert_eq!(poll(&net.a, fd), "OUT");
}

#[test]
fn a_router_that_drops_is_named_with_how_its_word_came() {
    for domain in DOMAINS {
        let mut net = Net::new();
        net.plugged = false;
        let fd = asker(&mut net, domain);
        let (level, options) = match domain {
            AF_INET => (SOL_IP, [IP_RECVTTL, IP_RECVTOS, IP_PKTINFO]),
            _ => (SOL_IPV6, [IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVPKTINFO]),
        };
        for option in options {
            assert_eq!(set(&mut net.a, net.now, fd, level, option, 1), "OK");
        }
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMP, 1), "OK");
        send_to(&mut net.a, net.now, fd, b"hello", &b(domain, 33_434));
        net.settle();
        let code = TimeExceededCode::IN_TRANSIT;
        complain(&mut net, Icmpv4Message::TimeExceeded { code }, Icmpv6Message::TimeExceeded { code });
        let got = report(&mut net, fd, 99).unwrap();
        let (origin, kind) = if domain == AF_INET { (ICMP, 11) } else { (ICMP6, 3) };
        let error = ExtendedError { errno: EHOSTUNREACH, origin, kind, ..ExtendedError::default() };
        let router = ip(&in_family(domain, "10.0.0.9", "fd00::9", 0));
        assert_eq!(told(&got), (error, Some(router)));
        assert!(got.stamps[0].is_some());
        let (v4, v6) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        let expected = match domain {
            AF_INET => [
                Control::PacketInfo4 { interface: 2, local: [0; 4].into(), destination: v4 },
                Control::Ttl(61),
                Control::Tos(0xc0),
            ],
            _ => [
                Control::PacketInfo6 { destination: v6, interface: 2 },
                Control::HopLimit(61),
                Control::TrafficClass(0),
            ],
        };
        assert_eq!(got.control[..3], expected);
    }
}

#[test]
fn what_is_too_long_is_reported_by_the_host_itself() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let fd = asker(&mut net, domain);
        let option = if domain == AF_INET { IP_MTU_DISCOVER } else { IPV6_MTU_DISCOVER };
        set(&mut net.a, net.now, fd, asking(domain).0, option, IP_PMTUDISC_DO);
        assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1473], &b(domain, 9)), "EMSGSIZE");
        assert_eq!(poll(&net.a, fd), "OUT|ERR");
        assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), 0, "the call has said it");
        let got = report(&mut net, fd, 99).unwrap();
        let error = ExtendedError { errno: EMSGSIZE, origin: LOCAL, info: 1500, ..ExtendedError::default() };
        assert_eq!((told(&got), got.flags), ((error, None), MSG_ERRQUEUE));
        // IPv4 names the port of a peer only.
        let port = if domain == AF_INET { 0 } else { 9 };
        assert_eq!((got.from, got.data.len()), (Some(b(domain, port)), 0));

        // A router says so too, and how much it takes.
        net.plugged = false;
        send_to(&mut net.a, net.now, fd, &[7; 1400], &b(domain, 9));
        net.settle();
        let code = icmpv4::UnreachableCode::FRAGMENTATION_NEEDED;
        let v4 = Icmpv4Message::DestinationUnreachable { code, mtu: 1300 };
        complain(&mut net, v4, Icmpv6Message::PacketTooBig { mtu: 1300 });
        let (error, _) = told(&report(&mut net, fd, 99).unwrap());
        assert_eq!((error.errno, error.info), (EMSGSIZE, 1300));
    }
}

#[test]
fn each_family_is_asked_for_by_itself() {
    let mapped = addr("::ffff:10.0.0.2", 9);
    for (option, to, heard) in [
        ((SOL_IP, IP_RECVERR), &mapped, true),
        ((SOL_IP, IP_RECVERR), &b(AF_INET6, 9), false),
        ((SOL_IPV6, IPV6_RECVERR), &mapped, false),
        ((SOL_IPV6, IPV6_RECVERR), &b(AF_INET6, 9), true),
    ] {
        let mut net = Net::new();
        let fd = datagram(&mut net.a, AF_INET6);
        assert_eq!(set(&mut net.a, net.now, fd, option.0, option.1, 1), "OK");
        assert_eq!(send_to(&mut net.a, net.now, fd, b"x", to), "1");
        net.settle();
        assert_eq!(poll(&net.a, fd), if heard { "OUT|ERR" } else { "OUT" });
        if heard {
            let got = report(&mut net, fd, 9).unwrap();
            assert_eq!(got.from.as_ref(), Some(to));
            assert!(matches!(got.control[..], [Control::ExtendedError6(_, Some(offender))]
                if SocketAddr::V6(offender).ip() == ip(to)));
        }
    }
}

#[test]
fn the_receive_buffer_bounds_the_queue_and_who_asks_no_more_has_none() {
    let mut net = Net::new();
    let fd = asker(&mut net, AF_INET);
    set(&mut net.a, net.now, fd, SOL_SOCKET, SO_RCVBUF, 4 * 1024);
    net.plugged = false;
    for _ in 0..20 {
        let _ = recv(&mut net.a, net.now, fd, 9, 0);
        send_to(&mut net.a, net.now, fd, b"x", &b(AF_INET, 9));
        net.settle();
        unreachable_host(&mut net);
    }
    let dropped = net.a.stack().counters()[Counter::TapsockErrorQueueDrops];
    let kept = core::iter::from_fn(|| report(&mut net, fd, 9).ok()).count();
    assert_eq!((kept, dropped), (9, 11));

    unreachable_host(&mut net);
    set(&mut net.a, net.now, fd, SOL_IP, IP_RECVERR, 0);
    assert_eq!(said(report(&mut net, fd, 9)), "EAGAIN");
}

#[test]
fn an_attempt_to_connect_is_reported_and_the_report_stays() {
    for domain in DOMAINS {
        let mut net = Net::new();
        net.plugged = false;
        let fd = nonblocking(&mut net.a, domain);
        let now = net.now;
        ask(&mut net.a, now, fd, domain);
        let to = b(domain, 80);
        assert_eq!(said(net.a.try_connect(net.now, fd, &to)), "EINPROGRESS");
        net.settle();
        unreachable_host(&mut net);
        assert!(net.a.readiness(fd).contains(tapsock_sockets::PollMask::ERR));
        assert_eq!(said(net.a.try_connect(net.now, fd, &to)), "EHOSTUNREACH");
        assert_eq!(poll(&net.a, fd), "OUT|ERR|HUP", "the connection is gone, the report is not");
        let got = report(&mut net, fd, 99).unwrap();
        let header = if domain == AF_INET { 20 } else { 40 };
        assert_eq!(got.data.to_vec(), net.sent.last().unwrap()[header..], "from TCP's header on");
        assert_eq!((got.from, told(&got).0.errno), (Some(to), EHOSTUNREACH));
        assert_eq!(poll(&net.a, fd), "OUT|HUP");
    }
}

#[test]
fn an_open_connection_is_told_at_once_and_goes_on() {
    for (asked, answer) in [(false, "1"), (true, "EHOSTUNREACH")] {
        let mut net = Net::new();
        let (_, client, server) = net.connected(AF_INET);
        if asked {
            let now = net.now;
            ask(&mut net.a, now, client, AF_INET);
        }
        net.plugged = false;
        assert_eq!(send(&mut net.a, net.now, client, b"one", 0), "3");
        net.settle();
        unreachable_host(&mut net);
        assert_eq!(poll(&net.a, client), if asked { "OUT|ERR" } else { "OUT" });
        assert_eq!(send(&mut net.a, net.now, client, b"x", 0), answer);
        assert_eq!(send(&mut net.a, net.now, client, b"y", 0), "1");
        assert_eq!(said(report(&mut net, client, 9)), "EAGAIN", "as Linux");
        net.plugged = true;
        net.sleep(Duration::from_secs(1));
        assert!(recv(&mut net.b, net.now, server, 9, 0).starts_with("\"one"));
    }
}

#[test]
fn echo_requests_are_reported_whole() {
    for domain in DOMAINS {
        let mut net = Net::new();
        net.plugged = false;
        let protocol = if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        let fd = net.a.socket(domain, SOCK_DGRAM, protocol).unwrap();
        let now = net.now;
        ask(&mut net.a, now, fd, domain);
        let request = [if domain == AF_INET { 8 } else { 128 }, 0, 0, 0, 0, 0, 0, 1, b'x'];
        assert_eq!(send_to(&mut net.a, net.now, fd, &request, &b(domain, 0)), "9");
        net.settle();
        unreachable_host(&mut net);
        assert_eq!(poll(&net.a, fd), "OUT|ERR");
        let got = report(&mut net, fd, 99).unwrap();
        let header = if domain == AF_INET { 20 } else { 40 };
        assert_eq!(got.data.to_vec(), net.sent.last().unwrap()[header..]);
        assert_eq!((got.from, told(&got).0.errno), (Some(b(domain, 0)), EHOSTUNREACH));
        assert_eq!(poll(&net.a, fd), "OUT");
    }
}

/// What a report says of itself, in Linux's numbers: origin, code, info, data.
fn numbers(received: &Received) -> (u8, u8, u32, u32) {
    let (error, offender) = told(received);
    assert_eq!((offender, received.from), (None, None));
    (error.origin, error.code, error.info, error.data)
}

/// `SO_EE_ORIGIN_ZEROCOPY` with `SO_EE_CODE_ZEROCOPY_COPIED`.
const COPIED: (u8, u8) = (5, 1);

#[test]
fn sends_without_copies_are_told_of_when_they_are_done() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, stream, _) = net.connected(domain);
        let fd = datagram(&mut net.a, domain);
        net.a.try_connect(net.now, fd, &b(domain, 9000)).unwrap();
        for (fd, next) in [(stream, 3), (fd, 4)] {
            assert_eq!(send(&mut net.a, net.now, fd, b"x", MSG_ZEROCOPY), "1");
            assert_eq!(said(report(&mut net, fd, 9)), "EAGAIN", "nobody has asked");
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_ZEROCOPY, 2), "EINVAL");
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_ZEROCOPY, 1), "OK");
            for _ in 0..3 {
                assert_eq!(send(&mut net.a, net.now, fd, b"xyz", MSG_ZEROCOPY), "3");
            }
            assert_eq!(poll(&net.a, fd), "OUT|ERR");
            assert!(!net.a.has_pending_error(fd));
            let (origin, code) = COPIED;
            let got = report(&mut net, fd, 9).unwrap();
            assert_eq!(numbers(&got), (origin, code, 0, 2), "three sends in one");
            assert_eq!((got.flags, got.data.len()), (MSG_ERRQUEUE, 0));
            assert_eq!(poll(&net.a, fd), "OUT");
            // What does not ask is not counted, nor is what adds no bytes to a stream; a datagram goes without any.
            assert_eq!(send(&mut net.a, net.now, fd, b"x", 0), "1");
            assert_eq!(send(&mut net.a, net.now, fd, b"", MSG_ZEROCOPY), "0");
            match report(&mut net, fd, 9) {
                Ok(got) if fd != stream => assert_eq!(numbers(&got), (origin, code, 3, 3)),
                got => assert_eq!((said(got), fd), ("EAGAIN".to_owned(), stream)),
            }
            send(&mut net.a, net.now, fd, b"x", MSG_ZEROCOPY);
            assert_eq!(numbers(&report(&mut net, fd, 9).unwrap()), (origin, code, next, next));
        }
        let protocol = if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        let ping = net.a.socket(domain, SOCK_DGRAM, protocol).unwrap();
        assert_eq!(set(&mut net.a, net.now, ping, SOL_SOCKET, SO_ZEROCOPY, 1), "EOPNOTSUPP");
    }
}

/// `SOF_TIMESTAMPING_*`.
const TX_SOFTWARE: i32 = 1 << 1;
const RX_SOFTWARE: i32 = 1 << 3;
const SOFTWARE: i32 = 1 << 4;
const OPT_ID: i32 = 1 << 7;
const TX_SCHED: i32 = 1 << 8;
const TX_ACK: i32 = 1 << 9;
const OPT_TSONLY: i32 = 1 << 11;
/// `SO_EE_ORIGIN_TIMESTAMPING`, and the kinds `SCM_TSTAMP_*`.
const STAMP: u8 = 4;
const SENT: u32 = 0;
const SCHEDULED: u32 = 1;
const ACKNOWLEDGED: u32 = 2;

#[test]
fn flags_of_time_stamps() {
    let mut net = Net::new();
    let (_, stream, _) = net.connected(AF_INET);
    let (fresh, udp) = (nonblocking(&mut net.a, AF_INET), datagram(&mut net.a, AF_INET));
    for (fd, flags, answer) in [
        (udp, (1 << 12) - 1, "OK"),
        (udp, 1 << 19, "EINVAL"),
        (udp, 1 << 16, "EINVAL"),
        (udp, 1 << 15, "EOPNOTSUPP"),
        (udp, 1 << 12, "EINVAL"),
        (fresh, OPT_ID, "EINVAL"),
        (fresh, TX_ACK, "OK"),
        (stream, OPT_ID, "OK"),
    ] {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, flags), answer, "{flags:x}");
    }
    let shown = net.a.option(net.now, udp, SOL_SOCKET, SO_TIMESTAMPING).unwrap();
    assert_eq!(shown.as_bytes(), [0xff, 0x0f, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn datagrams_are_stamped_when_they_go() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let fd = datagram(&mut net.a, domain);
        let flags = TX_SOFTWARE | TX_SCHED | SOFTWARE | OPT_ID;
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
        let queued = net.now;
        for id in 0..2 {
            assert_eq!(send_to(&mut net.a, net.now, fd, b"hello", &b(domain, 9000)), "5");
            let got = report(&mut net, fd, 99).unwrap();
            assert_eq!(numbers(&got), (STAMP, 0, SCHEDULED, id));
            assert_eq!(got.stamps, [None, Some(Stamp::Software(queued))]);
        }
        net.now += Duration::from_secs(1);
        net.settle();
        for id in 0..2 {
            let got = report(&mut net, fd, 99).unwrap();
            assert_eq!(numbers(&got), (STAMP, 0, SENT, id));
            assert_eq!(got.stamps, [None, Some(Stamp::Software(net.now))]);
            // The checksum may be the link's to fill in.
            let sent = &net.sent[id as usize];
            let checksum = if domain == AF_INET { 26..28 } else { 46..48 };
            let shown = got.data.to_vec();
            assert_eq!(
                (&shown[..checksum.start], &shown[checksum.end..]),
                (&sent[..checksum.start], &sent[checksum.end..])
            );
        }
        // One send by a message of its own, and without its bytes.
        let flags = SOFTWARE | OPT_TSONLY;
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
        let mut control = 20usize.to_ne_bytes().to_vec();
        for number in [SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE, 0] {
            control.extend(number.to_ne_bytes());
        }
        let to = b(domain, 9000);
        let sent = net.a.try_sendmsg(net.now, fd, &mut Rope::from(&b"x"[..]), &control, 0, Some(&to));
        assert_eq!(sent, Ok(1));
        send_to(&mut net.a, net.now, fd, b"y", &to);
        net.settle();
        let got = report(&mut net, fd, 99).unwrap();
        assert_eq!((numbers(&got), got.data.len()), ((STAMP, 0, SENT, 0), 0));
        assert_eq!(said(report(&mut net, fd, 99)), "EAGAIN", "the other did not ask");
    }
}

#[test]
fn streams_are_stamped_by_the_last_byte_of_a_send() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    let flags = TX_SOFTWARE | TX_SCHED | TX_ACK | SOFTWARE | OPT_ID;
    assert_eq!(set(&mut net.a, net.now, client, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
    for (bytes, last) in [(&b"hello"[..], 4), (b"abc", 7)] {
        send(&mut net.a, net.now, client, bytes, 0);
        net.sleep(Duration::from_secs(1));
        for kind in [SCHEDULED, SENT, ACKNOWLEDGED] {
            let got = report(&mut net, client, 99).unwrap();
            assert_eq!(numbers(&got), (STAMP, 0, kind, last));
            let shown = got.data.to_vec();
            // Of what was acknowledged the headers are gone.
            assert!(shown.ends_with(bytes) && (kind != ACKNOWLEDGED || shown == bytes));
        }
        assert_eq!(said(report(&mut net, client, 99)), "EAGAIN");
    }
    assert_eq!(set(&mut net.a, net.now, client, SOL_SOCKET, SO_TIMESTAMPING, 0), "OK");
    send(&mut net.a, net.now, client, b"x", 0);
    net.sleep(Duration::from_secs(1));
    assert_eq!(said(report(&mut net, client, 99)), "EAGAIN");
}

#[test]
fn a_stream_tells_when_the_last_byte_read_came() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let read = |net: &mut Net, max, flags| net.b.try_recv(net.now, server, max, flags).unwrap().stamps;
    send(&mut net.a, net.now, client, b"early", 0);
    net.settle();
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_TIMESTAMPNS, 1), "OK");
    assert_eq!(read(&mut net, 9, 0), [None, None], "it came before anybody asked");
    let mut came = Vec::new();
    for bytes in [b"one", b"two"] {
        net.sleep(Duration::from_secs(1));
        came.push(Some(Stamp::Nanos(net.now)));
        send(&mut net.a, net.now, client, bytes, 0);
        net.settle();
    }
    assert_eq!(read(&mut net, 2, 0), [came[0], None]);
    assert_eq!(read(&mut net, 9, MSG_PEEK), [came[1], None]);
    assert_eq!(read(&mut net, 1, MSG_PEEK), [came[0], None]);
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_TIMESTAMPNS, 0), "OK");
    let flags = RX_SOFTWARE | SOFTWARE;
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
    let Some(Some(Stamp::Nanos(last))) = came.last() else { unreachable!() };
    assert_eq!(read(&mut net, 9, 0), [None, Some(Stamp::Software(*last))]);
}

#[test]
fn pings_are_stamped_both_ways() {
    let mut net = Net::new();
    let fd = net.a.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
    assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMP, 1), "OK");
    let flags = TX_SOFTWARE | RX_SOFTWARE | SOFTWARE | OPT_ID;
    assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
    let both = [Some(Stamp::Micros(net.now)), Some(Stamp::Software(net.now))];
    for id in 0..2 {
        assert_eq!(send_to(&mut net.a, net.now, fd, &[8, 0, 0, 0, 0, 0, 0, 1], &b(AF_INET, 0)), "8");
        net.settle();
        assert_eq!(net.a.try_recv(net.now, fd, 99, 0).unwrap().stamps, both);
        let got = report(&mut net, fd, 99).unwrap();
        assert_eq!((numbers(&got), got.stamps), ((STAMP, 0, SENT, id), both));
    }
}

#[test]
fn who_wants_no_errors_is_still_told_of_sends() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, stream, _) = net.connected(domain);
        let fd = datagram(&mut net.a, domain);
        net.a.try_connect(net.now, fd, &b(domain, 9000)).unwrap();
        let (level, option) = asking(domain);
        for fd in [stream, fd] {
            let now = net.now;
            ask(&mut net.a, now, fd, domain);
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_ZEROCOPY, 1), "OK");
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED | SOFTWARE), "OK");
            assert_eq!(send(&mut net.a, net.now, fd, b"x", MSG_ZEROCOPY), "1");
            net.settle();
            let now = net.now;
            assert_eq!(set(&mut net.a, now, fd, level, option, 0), "OK");
            let mut origins: Vec<u8> =
                (0..2).map(|_| numbers(&report(&mut net, fd, 99).unwrap()).0).collect();
            origins.sort_unstable();
            assert_eq!(origins, [STAMP, COPIED.0]);
        }
        // Of errors nothing is left.
        let fd = asker(&mut net, domain);
        refuse_to_cut(&mut net, fd, domain);
        assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 65_000], &b(domain, 9000)), "EMSGSIZE");
        assert_eq!(set(&mut net.a, net.now, fd, level, option, 0), "OK");
        assert_eq!(said(report(&mut net, fd, 99)), "EAGAIN");
    }
}

#[test]
fn raw_sends_that_fail_are_not_counted() {
    for domain in DOMAINS {
        let mut net = Net::with(tapsock_sockets::Permission::Privileged);
        let fd = net.a.socket(domain, SOCK_RAW, 200).unwrap();
        let flags = TX_SCHED | SOFTWARE | OPT_ID;
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_TIMESTAMPING, flags), "OK");
        refuse_to_cut(&mut net, fd, domain);
        for id in 0..2 {
            assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 60_000], &b(domain, 0)), "EMSGSIZE");
            assert_eq!(send_to(&mut net.a, net.now, fd, b"hello", &b(domain, 0)), "5");
            net.settle();
            assert_eq!(numbers(&report(&mut net, fd, 99).unwrap()), (STAMP, 0, SCHEDULED, id));
        }
    }
}

/// What is larger than the path is refused from now on.
fn refuse_to_cut(net: &mut Net, fd: tapsock_sockets::Fd, domain: i32) {
    let (level, name) =
        if domain == AF_INET { (SOL_IP, IP_MTU_DISCOVER) } else { (SOL_IPV6, IPV6_MTU_DISCOVER) };
    assert_eq!(set(&mut net.a, net.now, fd, level, name, IP_PMTUDISC_DO), "OK");
}
