//! When a UDP socket gets its port and its address, and in which order a send is looked at: found by comparing drawn
//! sequences of calls with Linux 6.18.

mod common;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr, Sockets};

fn port(host: &Sockets, fd: Fd) -> u16 {
    host.local_address(fd).unwrap().to_inet().unwrap().port()
}

#[test]
fn who_sends_or_connects_in_vain_has_a_port_all_the_same() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        for attempt in 0..4 {
            let fd = datagram(&mut a, domain);
            let said = match attempt {
                0 => send(&mut a, now, fd, b"x", 0),
                1 => send_to(&mut a, now, fd, b"x", &b(domain, 0)),
                2 => said(a.try_connect(now, fd, &SockAddr::Other { family: 99, len: 28, as_v4: None })),
                _ => said(a.try_connect(now, fd, &in_family(domain, "203.0.113.1", "2001:db8::1", 9))),
            };
            let expected = ["EDESTADDRREQ", "EINVAL", "EAFNOSUPPORT", "ENETUNREACH"][attempt];
            assert_eq!(said, expected);
            assert_ne!(port(&a, fd), 0, "after {said}");
            assert_eq!(errno(a.bind(now, fd, &any(domain, 7000))), "EINVAL");
            if domain == AF_INET6 {
                assert_eq!(set(&mut a, now, fd, SOL_IPV6, IPV6_V6ONLY, 1), "EINVAL");
            }
        }
        let fd = datagram(&mut a, domain);
        assert_eq!(
            said(a.try_connect(now, fd, &SockAddr::Other { family: 0, len: 1, as_v4: None })),
            "EINVAL"
        );
        assert_eq!(port(&a, fd), 0);
    }
}

#[test]
fn the_way_is_looked_at_before_the_socket() {
    let mut net = Net::new();
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(errno(net.a.shutdown(net.now, fd, SHUT_WR)), "ENOTCONN");
    assert_eq!(send(&mut net.a, net.now, fd, b"x", 0), "EDESTADDRREQ");
    assert_eq!(send_to(&mut net.a, net.now, fd, b"x", &addr("203.0.113.1", 9)), "ENETUNREACH");
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 65_508], &b(AF_INET, 9)), "EMSGSIZE");
    assert_eq!(send_to(&mut net.a, net.now, fd, b"x", &b(AF_INET, 9)), "EPIPE");
}

#[test]
fn an_address_that_connect_chose_stays_until_that_is_taken_back() {
    let Net { mut a, now, .. } = Net::new();
    let fd = datagram(&mut a, AF_INET);
    assert_eq!(said(a.try_connect(now, fd, &addr("127.0.0.1", 9))), "OK");
    assert_eq!(said(a.try_connect(now, fd, &common::a(AF_INET, 9))), "OK");
    assert_eq!(a.local_address(fd), Ok(addr("127.0.0.1", port(&a, fd))));
    assert_eq!(said(a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
    assert_eq!(said(a.try_connect(now, fd, &common::a(AF_INET, 9))), "OK");
    assert_eq!(a.local_address(fd), Ok(common::a(AF_INET, port(&a, fd))));

    // Nor is there a way back to IPv6.
    let fd = datagram(&mut a, AF_INET6);
    assert_eq!(said(a.try_connect(now, fd, &addr("::ffff:127.0.0.1", 9))), "OK");
    assert_eq!(said(a.try_connect(now, fd, &addr("::1", 9))), "EAFNOSUPPORT");
    assert_eq!(said(a.try_connect(now, fd, &addr("2001:db8::1", 9))), "ENETUNREACH");
}

#[test]
fn a_connected_socket_leaves_its_port_to_other_addresses() {
    let Net { mut a, now, .. } = Net::new();
    let (fd, other) = (datagram(&mut a, AF_INET), datagram(&mut a, AF_INET));
    a.bind(now, fd, &any(AF_INET, 7000)).unwrap();
    assert_eq!(said(a.try_connect(now, fd, &addr("127.0.0.1", 9))), "OK");
    assert_eq!(errno(a.bind(now, other, &addr("127.0.0.1", 7000))), "EADDRINUSE");
    assert_eq!(errno(a.bind(now, other, &addr("127.0.0.2", 7000))), "OK");
    let third = datagram(&mut a, AF_INET);
    assert_eq!(said(a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
    assert_eq!(a.local_address(fd), Ok(any(AF_INET, 7000)));
    assert_eq!(errno(a.bind(now, third, &addr("127.0.0.3", 7000))), "EADDRINUSE");
}

#[test]
fn a_bind_that_finds_its_port_taken_leaves_no_address() {
    let Net { mut a, now, .. } = Net::new();
    let (fd, other) = (datagram(&mut a, AF_INET), datagram(&mut a, AF_INET));
    a.bind(now, other, &addr("127.0.0.1", 7000)).unwrap();
    a.bind(now, fd, &addr("127.0.0.1", 0)).unwrap();
    assert_eq!(said(a.try_connect(now, fd, &addr("127.0.0.1", 7000))), "OK");
    assert_eq!(said(a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
    assert_eq!(a.local_address(fd), Ok(addr("127.0.0.1", 0)));
    assert_eq!(errno(a.bind(now, fd, &any(AF_INET, 7000))), "EADDRINUSE");
    assert_eq!(a.local_address(fd), Ok(any(AF_INET, 0)));
}

#[test]
fn port_zero_of_ipv4_is_no_peer_for_an_ipv6_socket() {
    for (domain, to, said_by_send) in [
        (AF_INET, b(AF_INET, 0), "1"),
        (AF_INET6, b(AF_INET6, 0), "1"),
        (AF_INET6, addr("::ffff:10.0.0.2", 0), "EINVAL"),
    ] {
        let Net { mut a, now, .. } = Net::new();
        let fd = datagram(&mut a, domain);
        assert_eq!(said(a.try_connect(now, fd, &to)), "OK");
        assert_eq!(send(&mut a, now, fd, b"x", 0), said_by_send, "{to}");
    }
}
