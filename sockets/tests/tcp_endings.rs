//! What a TCP socket is after its connection has failed or ended: found by comparing drawn sequences of calls with Linux
//! 6.18.

mod common;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr};

/// A connection attempt of `a` that was refused, of which nobody was told.
fn refused(net: &mut Net, domain: i32) -> Fd {
    let fd = nonblocking(&mut net.a, domain);
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 1))), "EINPROGRESS");
    net.settle();
    fd
}

#[test]
fn a_failed_attempt_gives_its_port_back() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let fd = refused(&mut net, domain);
        if domain == AF_INET6 {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_V6ONLY, 1), "OK");
        }
        assert_eq!(errno(net.a.bind(net.now, fd, &a(domain, 7000))), "OK");
        assert_eq!(net.a.local_address(fd), Ok(a(domain, 7000)));
        assert_eq!(errno(net.a.bind(net.now, fd, &a(domain, 7001))), "EINVAL");
        assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 1))), "ECONNREFUSED");
        assert_eq!(net.a.local_address(fd), Ok(a(domain, 7000)));
    }
}

#[test]
fn a_bind_that_finds_its_port_taken_leaves_no_address() {
    let mut net = Net::new();
    let other = stream(&mut net.a, AF_INET);
    net.a.bind(net.now, other, &a(AF_INET, 7000)).unwrap();
    let fd = refused(&mut net, AF_INET);
    let before = net.a.local_address(fd).unwrap().to_inet().unwrap();
    assert_eq!(errno(net.a.bind(net.now, fd, &a(AF_INET, 7000))), "EADDRINUSE");
    assert_eq!(net.a.local_address(fd), Ok(any(AF_INET, before.port())));
}

#[test]
fn shutdown_after_a_failure_leaves_it_at_that() {
    let mut net = Net::new();
    let fd = refused(&mut net, AF_INET);
    assert_eq!(errno(net.a.shutdown(net.now, fd, SHUT_WR)), "ENOTCONN");
    for _ in 0..2 {
        assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "EINVAL");
    }
    assert_eq!(said(net.a.try_connect(net.now, fd, &SockAddr::Unspec(None))), "OK");
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "EINPROGRESS");
}

#[test]
fn shutdown_before_connect_is_forgotten_by_a_failure() {
    let mut net = Net::new();
    let fd = nonblocking(&mut net.a, AF_INET);
    assert_eq!(errno(net.a.shutdown(net.now, fd, SHUT_RDWR)), "ENOTCONN");
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "EINPROGRESS");
    net.settle();
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 1))), "ECONNREFUSED");
    assert_eq!(poll(&net.a, fd), "OUT|HUP");
}

#[test]
fn who_shuts_a_connection_knows_that_it_was_made() {
    let mut net = Net::new();
    let (_, _, server) = net.connected(AF_INET);
    let fd = nonblocking(&mut net.a, AF_INET);
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 8000))), "EINPROGRESS");
    net.settle();
    assert_eq!(errno(net.a.shutdown(net.now, fd, SHUT_WR)), "OK");
    assert_eq!(said(net.a.try_connect(net.now, fd, &b(AF_INET, 8000))), "EISCONN");
    assert_eq!(poll(&net.b, server), "OUT");
}

#[test]
fn data_for_a_socket_that_is_shut_both_ways_reset_the_connection() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    assert_eq!(errno(net.b.shutdown(net.now, server, SHUT_RDWR)), "OK");
    net.settle();
    assert_eq!(send(&mut net.a, net.now, client, b"late", 0), "4");
    net.settle();
    assert_eq!(poll(&net.b, server), "IN|OUT|ERR|HUP|RDHUP");
    assert_eq!(poll(&net.a, client), "IN|OUT|ERR|HUP|RDHUP");
}

#[test]
fn an_accepted_connection_keeps_the_listeners_address() {
    for (at, kept) in [(b(AF_INET, 8000), b(AF_INET, 8000)), (any(AF_INET, 8000), any(AF_INET, 8000))] {
        let mut net = Net::new();
        let listener = stream(&mut net.b, AF_INET);
        net.b.bind(net.now, listener, &at).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        let (_, server) = net.another_at(listener, &b(AF_INET, 8000));
        assert_eq!(said(net.b.try_connect(net.now, server, &SockAddr::Unspec(None))), "OK");
        assert_eq!(net.b.local_address(server), Ok(kept));
    }
}

#[test]
fn a_listener_has_nothing_to_read_whatever_it_was_before() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    assert_eq!(said(net.a.try_connect(net.now, client, &SockAddr::Unspec(None))), "OK");
    assert_eq!(errno(net.a.listen(net.now, client, 1)), "OK");
    assert_eq!(recv(&mut net.a, net.now, client, 1, 0), "ENOTCONN");
    assert_eq!(int(&mut net.a, net.now, client, SOL_SOCKET, SO_ERROR), 104, "the error stays");
}

#[test]
fn an_address_of_ipv6_leaves_no_room_for_ipv4() {
    let mut net = Net::new();
    for fd in [stream(&mut net.a, AF_INET6), datagram(&mut net.a, AF_INET6)] {
        assert_eq!(errno(net.a.bind(net.now, fd, &a(AF_INET6, 7000))), "OK");
        assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_V6ONLY), 1);
        assert_eq!(said(net.a.try_connect(net.now, fd, &addr("::ffff:10.0.0.2", 8000))), "ENETUNREACH");
    }
}

#[test]
fn the_wildcard_stands_for_the_address_that_the_socket_has() {
    let mut net = Net::new();
    let listener = stream(&mut net.a, AF_INET);
    net.a.bind(net.now, listener, &a(AF_INET, 8000)).unwrap();
    net.a.listen(net.now, listener, 5).unwrap();
    for (bound, outcome) in [(true, "OK"), (false, "ECONNREFUSED")] {
        let fd = nonblocking(&mut net.a, AF_INET);
        if bound {
            net.a.bind(net.now, fd, &a(AF_INET, 0)).unwrap();
        }
        assert_eq!(said(net.a.try_connect(net.now, fd, &any(AF_INET, 8000))), "EINPROGRESS");
        net.settle();
        assert_eq!(said(net.a.try_connect(net.now, fd, &any(AF_INET, 8000))), outcome);
    }
}

#[test]
fn what_is_wrong_with_an_address_comes_after_what_is_wrong_with_the_socket() {
    let mut net = Net::new();
    let (listener, client, _) = net.connected(AF_INET);
    let [empty, short] = [0, 8].map(|len| SockAddr::from_bytes(&[2, 0, 0, 80, 127, 0, 0, 1][..len]).unwrap());
    assert_eq!(said(net.b.try_connect(net.now, listener, &short)), "EISCONN");
    assert_eq!(said(net.a.try_connect(net.now, client, &short)), "EISCONN");
    assert_eq!(said(net.a.try_connect(net.now, client, &empty)), "EINVAL");
    let fresh = stream(&mut net.a, AF_INET);
    assert_eq!(said(net.a.try_connect(net.now, fresh, &short)), "EINVAL");
    assert_eq!(errno(net.a.bind(net.now, fresh, &short)), "EINVAL");
}

#[test]
fn to_lose_the_connection_is_an_event() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    let listener = stream(&mut net.a, AF_INET);
    assert_eq!(errno(net.a.listen(net.now, listener, 1)), "OK");
    events(&mut net.a);
    for fd in [client, listener] {
        assert_eq!(said(net.a.try_connect(net.now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(events(&mut net.a).first(), Some(&fd));
    }
}
