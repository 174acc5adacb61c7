//! What MSG_ERRQUEUE gives, as on Linux 6.18: errors, one by one, with who told of them.

mod common;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ExtendedError};
use tapsock_sockets::{Fd, Received, SockAddr, Sockets, Stop};
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

fn ask(host: &mut Sockets, net_now: tapsock_stack::time::Instant, fd: Fd, domain: i32) {
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
        assert!(got.stamp.is_some());
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
