//! How TCP connections begin, or fail to: what each call says and what `poll` shows after each, as on Linux 6.18.

mod common;

use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr, Stop};

#[test]
fn calls_on_a_listener() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        let fd = nonblocking(&mut a, domain);
        assert_eq!(errno(a.listen(now, fd, 5)), "OK");
        assert_ne!(a.local_address(fd), Ok(any(domain, 0)), "a socket without an address gets one");
        assert_eq!(said(a.try_connect(now, fd, &b(domain, 5000))), "EISCONN");
        assert_eq!(errno(a.bind(now, fd, &any(domain, 6000))), "EINVAL");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "ENOTCONN");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EPIPE");
        assert_eq!(errno(a.peer_address(fd)), "ENOTCONN");
        for backlog in [0, -1, 100_000] {
            assert_eq!(errno(a.listen(now, fd, backlog)), "OK");
        }
        assert_eq!(errno(a.shutdown(now, fd, SHUT_WR)), "OK");
        assert_eq!((said(a.try_accept(now, fd, 0)), poll(&a, fd)), ("EAGAIN".into(), "0".into()));
        assert_eq!(errno(a.shutdown(now, fd, SHUT_RD)), "OK");
        assert_eq!((said(a.try_accept(now, fd, 0)), poll(&a, fd)), ("EINVAL".into(), "OUT|HUP".into()));
        assert_eq!(errno(a.listen(now, fd, 5)), "OK");
        assert_eq!((said(a.try_accept(now, fd, 0)), poll(&a, fd)), ("EAGAIN".into(), "0".into()));
    }
}

#[test]
fn a_closed_listener_answers_no_more() {
    let mut net = Net::new();
    let (listener, client, _) = net.connected(AF_INET);
    net.b.close(net.now, listener).unwrap();
    let other = nonblocking(&mut net.a, AF_INET);
    assert_eq!(said(net.a.try_connect(net.now, other, &b(AF_INET, 8000))), "EINPROGRESS");
    net.settle();
    assert_eq!(said(net.a.try_connect(net.now, other, &b(AF_INET, 8000))), "ECONNREFUSED");
    assert_eq!(poll(&net.a, client), "OUT", "the connections it took stay");
}

#[test]
fn the_backlog_bounds_what_waits_to_be_accepted() {
    let mut net = Net::new();
    let listener = stream(&mut net.b, AF_INET);
    net.b.bind(net.now, listener, &any(AF_INET, 8001)).unwrap();
    net.b.listen(net.now, listener, 0).unwrap();
    let clients: Vec<Fd> = (0..3).map(|_| nonblocking(&mut net.a, AF_INET)).collect();
    for client in &clients {
        assert_eq!(said(net.a.try_connect(net.now, *client, &b(AF_INET, 8001))), "EINPROGRESS");
        net.settle();
    }
    let (_, _) = net.b.try_accept(net.now, listener, 0).unwrap();
    assert_eq!(said(net.b.try_accept(net.now, listener, 0)), "waits to read", "a backlog of 0 takes one");
    net.sleep(Duration::from_secs(10));
    assert_eq!(
        said(net.b.try_accept(net.now, listener, 0)),
        "OK",
        "the next one got through when there was room"
    );
}

#[test]
fn refused_in_blocking_mode() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let fd = stream(&mut net.a, domain);
        for _ in 0..2 {
            assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 1))), "waits to write");
            net.settle();
            assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 1))), "ECONNREFUSED");
            assert_eq!(poll(&net.a, fd), "OUT|HUP");
            assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), 0);
            assert_eq!(recv(&mut net.a, net.now, fd, 1, 0), "ENOTCONN");
            assert_eq!(send(&mut net.a, net.now, fd, b"x", 0), "EPIPE");
        }
        assert_ne!(net.a.local_address(fd), Ok(any(domain, 0)), "the port is shown that it had");
    }
}

#[test]
fn refused_in_non_blocking_mode() {
    const REFUSED: i32 = 111;
    let refused = |net: &mut Net| {
        let fd = nonblocking(&mut net.a, AF_INET);
        assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "EINPROGRESS");
        net.settle();
        assert_eq!(poll(&net.a, fd), "IN|OUT|ERR|HUP|RDHUP");
        fd
    };
    let mut net = Net::new();
    let now = net.now;
    let target = b(AF_INET, 1);

    let fd = refused(&mut net);
    assert_eq!(said(net.a.try_connect(now, fd, &target)), "ECONNREFUSED");
    assert_eq!(said(net.a.try_connect(now, fd, &target)), "EINPROGRESS");

    let fd = refused(&mut net);
    assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), REFUSED);
    assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), 0);
    assert_eq!(poll(&net.a, fd), "IN|OUT|HUP|RDHUP");
    assert_eq!(said(net.a.try_connect(now, fd, &target)), "ECONNABORTED");

    let fd = refused(&mut net);
    assert_eq!(recv(&mut net.a, now, fd, 1, 0), "ECONNREFUSED");
    assert_eq!(recv(&mut net.a, now, fd, 1, 0), "\"\"");
    assert_eq!(said(net.a.try_connect(now, fd, &target)), "ECONNABORTED");
    assert_eq!(said(net.a.try_connect(now, fd, &target)), "EINPROGRESS");

    let fd = refused(&mut net);
    assert_eq!(send(&mut net.a, now, fd, b"x", 0), "ECONNREFUSED");
    assert_eq!(send(&mut net.a, now, fd, b"x", 0), "EPIPE");
    assert_eq!(errno(net.a.shutdown(now, fd, SHUT_WR)), "ENOTCONN");
}

#[test]
fn calls_while_connecting() {
    for domain in DOMAINS {
        let mut net = Net::new();
        net.plugged = false;
        let now = net.now;
        let fd = nonblocking(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 80))), "EINPROGRESS");
        net.settle();
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 80))), "EALREADY");
        assert_eq!(said(net.a.try_connect(now, fd, &b(AF_INET + AF_INET6 - domain, 80))), "EALREADY");
        assert_eq!(poll(&net.a, fd), "0");
        assert_eq!(send(&mut net.a, now, fd, b"x", 0), "EAGAIN");
        assert_eq!(recv(&mut net.a, now, fd, 1, 0), "EAGAIN");
        assert_eq!(errno(net.a.bind(now, fd, &any(domain, 9999))), "EINVAL");
        assert_eq!(errno(net.a.listen(now, fd, 1)), "EINVAL");
        assert_eq!(said(net.a.try_accept(now, fd, 0)), "EINVAL");
        assert_eq!(errno(net.a.peer_address(fd)), "ENOTCONN");
        assert_eq!(said(net.a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(poll(&net.a, fd), "OUT|ERR|HUP");
        assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), Errno::CONNRESET.raw_os_error());
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 80))), "EINPROGRESS");
        assert_eq!(errno(net.a.shutdown(now, fd, SHUT_RD)), "OK");
        assert_eq!(poll(&net.a, fd), "OUT|ERR|HUP");
        assert_eq!(recv(&mut net.a, now, fd, 1, 0), "ECONNRESET");
    }
}

/// Of two calls that wait for one connection, or where it was shut down before the one that waits looked, each succeeds.
#[test]
fn a_call_that_waited_succeeds_though_another_has_seen_the_connection_first() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let listener = stream(&mut net.b, domain);
        net.b.bind(net.now, listener, &any(domain, 8000)).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        let fd = stream(&mut net.a, domain);
        for _ in 0..2 {
            assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 8000))), "waits to write");
        }
        net.settle();
        for _ in 0..2 {
            assert_eq!(said(net.a.try_connect_again(net.now, fd, &b(domain, 8000))), "OK");
        }
        assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 8000))), "EISCONN");

        let fd = stream(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 8000))), "waits to write");
        net.settle();
        assert_eq!(errno(net.a.shutdown(net.now, fd, SHUT_WR)), "OK");
        assert_eq!(said(net.a.try_connect_again(net.now, fd, &b(domain, 8000))), "OK");
    }
}

#[test]
fn nobody_answers() {
    let mut net = Net::new();
    net.plugged = false;
    let fd = stream(&mut net.a, AF_INET);
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 80))), "waits to write");
    net.sleep(Duration::from_secs(200));
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 80))), "ETIMEDOUT");
}

#[test]
fn unspec_dissolves_a_connection() {
    let mut net = Net::new();
    let (listener, client, server) = net.connected(AF_INET);
    let now = net.now;
    assert_eq!(said(net.a.try_connect(now, client, &SockAddr::Unspec(None))), "OK");
    net.settle();
    assert_eq!(poll(&net.a, client), "OUT|ERR|HUP");
    assert_eq!(poll(&net.b, server), "IN|OUT|ERR|HUP|RDHUP");
    assert_eq!(recv(&mut net.b, now, server, 1, 0), "ECONNRESET");
    assert_eq!(said(net.a.try_connect(now, client, &b(AF_INET, 8000))), "waits to write");
    net.settle();
    assert_eq!(said(net.a.try_connect(now, client, &b(AF_INET, 8000))), "OK");
    assert_eq!(said(net.b.try_connect(now, listener, &SockAddr::Unspec(None))), "OK");
    net.settle();
    assert_eq!(poll(&net.b, listener), "OUT|HUP");
    assert_eq!(net.b.local_address(listener), Ok(b(AF_INET, 8000)), "what bind gave stays");
    assert_eq!(errno(net.b.listen(now, listener, 5)), "OK");
}

#[test]
fn a_bound_socket_connects_from_its_address() {
    let mut net = Net::new();
    let fd = stream(&mut net.a, AF_INET);
    net.a.bind(net.now, fd, &a(AF_INET, 7000)).unwrap();
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "waits to write");
    net.settle();
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "ECONNREFUSED");
    assert_eq!(net.a.local_address(fd), Ok(a(AF_INET, 7000)));
    assert_eq!(errno(net.a.listen(net.now, fd, 1)), "OK");
}

#[test]
fn an_ipv6_listener_takes_ipv4_unless_told_otherwise() {
    for (only_v6, expected) in [(0, "OK"), (1, "ECONNREFUSED")] {
        let mut net = Net::new();
        let listener = stream(&mut net.b, AF_INET6);
        assert_eq!(set(&mut net.b, net.now, listener, SOL_IPV6, IPV6_V6ONLY, only_v6), "OK");
        net.b.bind(net.now, listener, &any(AF_INET6, 8000)).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        let client = stream(&mut net.a, AF_INET);
        assert_eq!(said(net.a.try_connect(net.now, client, &b(AF_INET, 8000))), "waits to write");
        net.settle();
        assert_eq!(said(net.a.try_connect(net.now, client, &b(AF_INET, 8000))), expected);
        if expected == "OK" {
            let (server, peer) = net.b.try_accept(net.now, listener, 0).unwrap();
            let SockAddr::V6(peer) = peer else { panic!("{peer}") };
            assert_eq!(peer.ip().to_ipv4_mapped(), Some([10, 0, 0, 1].into()));
            assert_eq!(net.b.local_address(server), Ok(addr("::ffff:10.0.0.2", 8000)));
        }
    }
}

#[test]
fn an_ipv6_socket_connects_to_a_mapped_address() {
    let mut net = Net::new();
    let listener = stream(&mut net.b, AF_INET);
    net.b.bind(net.now, listener, &any(AF_INET, 8000)).unwrap();
    net.b.listen(net.now, listener, 5).unwrap();
    let client = stream(&mut net.a, AF_INET6);
    let mapped = addr("::ffff:10.0.0.2", 8000);
    assert_eq!(said(net.a.try_connect(net.now, client, &mapped)), "waits to write");
    net.settle();
    assert_eq!(said(net.a.try_connect(net.now, client, &mapped)), "OK");
    assert_eq!(net.a.peer_address(client), Ok(mapped));
    let (_, peer) = net.b.try_accept(net.now, listener, 0).unwrap();
    assert!(matches!(peer, SockAddr::V4(peer) if peer.ip().octets() == [10, 0, 0, 1]));
}

#[test]
fn accepted_sockets_have_the_listeners_options() {
    let mut net = Net::new();
    let now = net.now;
    let listener = nonblocking(&mut net.b, AF_INET);
    net.b.bind(now, listener, &b(AF_INET, 8000)).unwrap();
    let options = [
        (SOL_TCP, TCP_NODELAY, 1, 1),
        (SOL_TCP, TCP_KEEPIDLE, 77, 77),
        (SOL_TCP, TCP_KEEPINTVL, 7, 7),
        (SOL_TCP, TCP_KEEPCNT, 5, 5),
        (SOL_TCP, TCP_USER_TIMEOUT, 1234, 1234),
        (SOL_SOCKET, SO_SNDBUF, 20_000, 40_000),
        (SOL_SOCKET, SO_RCVBUF, 30_000, 60_000),
        (SOL_SOCKET, SO_KEEPALIVE, 1, 1),
        (SOL_SOCKET, SO_REUSEADDR, 1, 1),
        (SOL_IP, IP_TOS, 0x10, 0x10),
        (SOL_IP, IP_TTL, 33, 33),
    ];
    for (level, option, value, _) in options {
        assert_eq!(set(&mut net.b, now, listener, level, option, value), "OK");
    }
    net.b.listen(now, listener, 5).unwrap();
    let (_, server) = net.another(AF_INET, listener);
    for (level, option, _, shown) in options {
        assert_eq!(int(&mut net.b, now, server, level, option), shown, "{level}/{option}");
    }
    assert_eq!(int(&mut net.b, now, server, SOL_SOCKET, SO_ACCEPTCONN), 0);
    assert_eq!(said(net.b.try_recv(now, server, 1, 0)), "waits to read", "but O_NONBLOCK is not passed on");
}

//= RFC 9293 MUST-14, type=test
#[test]
fn maxseg_bounds_the_mss() {
    let mut net = Net::new();
    let now = net.now;
    let listener = stream(&mut net.b, AF_INET);
    net.b.bind(now, listener, &any(AF_INET, 8000)).unwrap();
    net.b.listen(now, listener, 5).unwrap();
    let client = stream(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_MAXSEG, 800), "OK");
    let _ = net.a.try_connect(now, client, &b(AF_INET, 8000));
    net.settle();
    assert_eq!(net.a.try_connect(now, client, &b(AF_INET, 8000)), Ok(()));
    // Timestamps take 12 bytes of each segment.
    assert_eq!(int(&mut net.a, now, client, SOL_TCP, TCP_MAXSEG), 788);
    let (server, _) = net.b.try_accept(now, listener, 0).unwrap();
    assert_eq!(int(&mut net.b, now, server, SOL_TCP, TCP_MAXSEG), 788);
}

#[test]
fn accept_with_a_full_table() {
    let mut net = Net::new();
    let listener = stream(&mut net.b, AF_INET);
    net.b.bind(net.now, listener, &any(AF_INET, 8000)).unwrap();
    net.b.listen(net.now, listener, 5).unwrap();
    net.b.set_limit(1);
    let client = nonblocking(&mut net.a, AF_INET);
    let _ = net.a.try_connect(net.now, client, &b(AF_INET, 8000));
    net.settle();
    assert_eq!(net.b.try_accept(net.now, listener, 0), Err(Stop::Error(Errno::MFILE)));
    net.b.set_limit(2);
    assert_eq!(said(net.b.try_accept(net.now, listener, 0)), "OK", "the connection was kept");
}
