//! UDP sockets of two hosts: what each call says and what `poll` shows, as on Linux 6.18.

mod common;

use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr, UnixAddr};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::NudState;
use tapsock_stack::wire::offload::Medium;

const REFUSED: i32 = 111;

/// A bound socket of `b` with its address.
fn receiver(net: &mut Net, domain: i32, port: u16) -> Fd {
    let fd = datagram(&mut net.b, domain);
    net.b.bind(net.now, fd, &any(domain, port)).unwrap();
    fd
}

#[test]
fn send_and_receive() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let server = receiver(&mut net, domain, 6000);
        assert_eq!(poll(&net.b, server), "OUT");
        let client = datagram(&mut net.a, domain);
        assert_eq!(send_to(&mut net.a, net.now, client, b"hello", &b(domain, 6000)), "5");
        let local = net.a.local_address(client).unwrap();
        assert_ne!(local, any(domain, 0), "a socket without a port gets one");
        net.settle();
        assert_eq!(poll(&net.b, server), "IN|OUT");
        let peeked = net.b.try_recv(net.now, server, 3, MSG_PEEK).unwrap();
        assert_eq!((peeked.data.to_vec(), peeked.full_len, peeked.flags), (b"hel".to_vec(), 5, MSG_TRUNC));
        let received = net.b.try_recv(net.now, server, 99, 0).unwrap();
        assert_eq!((received.data.to_vec(), received.full_len, received.flags), (b"hello".to_vec(), 5, 0));
        let from = received.from.unwrap();
        assert_eq!(from.to_inet().unwrap().ip(), a(domain, 0).to_inet().unwrap().ip());
        assert_eq!(from.to_inet().unwrap().port(), local.to_inet().unwrap().port());

        // The rest of a datagram that does not fit is lost.
        for text in ["first", "second"] {
            assert_eq!(
                net.b.try_send(net.now, server, &mut Rope::from(text.as_bytes()), 0, Some(&from)),
                Ok(text.len())
            );
        }
        net.settle();
        let cut = net.a.try_recv(net.now, client, 2, 0).unwrap();
        assert_eq!((cut.data.to_vec(), cut.full_len, cut.flags), (b"fi".to_vec(), 5, MSG_TRUNC));
        assert_eq!(recv(&mut net.a, net.now, client, 99, 0), "\"second\"");
        assert_eq!(said(net.a.try_recv(net.now, client, 99, 0)), "waits to read");
        net.a.close(net.now, client).unwrap();
    }
}

#[test]
fn calls_on_a_fresh_socket() {
    let unix_long = SockAddr::Unix(UnixAddr::path(&[b'x'; 100]).unwrap());
    let unspec = SockAddr::Unspec(Some("127.0.0.1:9".parse().unwrap()));
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        let fd = datagram(&mut a, domain);
        assert_eq!((a.local_address(fd), errno(a.peer_address(fd))), (Ok(any(domain, 0)), "ENOTCONN".into()));
        assert_eq!(poll(&a, fd), "OUT");
        assert_eq!(errno(a.listen(now, fd, 1)), "EOPNOTSUPP");
        assert_eq!(said(a.try_accept(now, fd, 0)), "EOPNOTSUPP");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EDESTADDRREQ");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "EAGAIN");
        assert_eq!(recv(&mut a, now, fd, 1, MSG_ERRQUEUE), "EAGAIN");
        assert_eq!(errno(a.shutdown(now, fd, 9)), "EINVAL");
        assert_eq!(send_to(&mut a, now, fd, b"x", &b(domain, 0)), "EINVAL");
        let foreign = if domain == AF_INET { "EAFNOSUPPORT" } else { "EINVAL" };
        assert_eq!(send_to(&mut a, now, fd, b"x", &unix_long), foreign);
        let dissolved = if domain == AF_INET { "1" } else { "EDESTADDRREQ" };
        assert_eq!(send_to(&mut a, now, fd, b"x", &unspec), dissolved);
        let away = in_family(domain, "198.51.100.1", "2001:db8::1", 9);
        assert_eq!(send_to(&mut a, now, fd, b"x", &away), "ENETUNREACH");
        assert_eq!(said(a.try_connect(now, fd, &away)), "ENETUNREACH");
        assert_eq!(said(a.try_connect(now, fd, &unix_long)), "EAFNOSUPPORT");
    }
}

#[test]
fn shutdown_without_a_peer_is_kept_in_mind() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        let fd = datagram(&mut a, domain);
        assert_eq!(errno(a.shutdown(now, fd, SHUT_RD)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "IN|OUT|RDHUP");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "EAGAIN", "a call that may not wait does not look");
        assert!(a.try_recv(now, fd, 1, 0).unwrap().data.is_empty(), "one that may gets the end");
        assert_eq!(errno(a.shutdown(now, fd, SHUT_WR)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "IN|OUT|HUP|RDHUP");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EDESTADDRREQ");
        assert_eq!(send_to(&mut a, now, fd, b"x", &b(domain, 9)), "EPIPE");
    }
}

#[test]
fn a_connected_socket_learns_of_refusals() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = datagram(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 9))), "OK");
        assert_eq!(net.a.peer_address(fd), Ok(b(domain, 9)));
        assert_eq!(
            net.a.local_address(fd).unwrap().to_inet().unwrap().ip(),
            a(domain, 0).to_inet().unwrap().ip()
        );
        let refused = |net: &mut Net| {
            net.sleep(core::time::Duration::from_secs(2));
            assert_eq!(send(&mut net.a, net.now, fd, b"x", 0), "1");
            net.settle();
            assert_eq!(poll(&net.a, fd), "OUT|ERR");
        };
        refused(&mut net);
        assert_eq!(send(&mut net.a, net.now, fd, b"x", 0), "ECONNREFUSED");
        refused(&mut net);
        assert_eq!(recv(&mut net.a, net.now, fd, 1, 0), "ECONNREFUSED");
        assert_eq!(recv(&mut net.a, net.now, fd, 1, 0), "EAGAIN");
        refused(&mut net);
        assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), REFUSED);
        assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), 0);
        refused(&mut net);
        assert_eq!(send_to(&mut net.a, net.now, fd, b"x", &b(domain, 10)), "ECONNREFUSED");
        assert_eq!(errno(net.a.bind(net.now, fd, &any(domain, 0))), "EINVAL");
    }
}

#[test]
fn an_unconnected_socket_learns_nothing() {
    let mut net = Net::new();
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(send_to(&mut net.a, net.now, fd, b"x", &b(AF_INET, 9)), "1");
    net.settle();
    assert_eq!(poll(&net.a, fd), "OUT");
    assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_ERROR), 0);
}

#[test]
fn connect_again_and_dissolve() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = datagram(&mut net.a, domain);
        net.a.bind(now, fd, &any(domain, 4444)).unwrap();
        for port in [9, 11] {
            assert_eq!(said(net.a.try_connect(now, fd, &b(domain, port))), "OK");
            assert_eq!(net.a.peer_address(fd), Ok(b(domain, port)));
            assert_eq!(net.a.local_address(fd), Ok(a(domain, 4444)));
        }
        assert_eq!(said(net.a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(net.a.local_address(fd), Ok(any(domain, 4444)));
        assert_eq!(errno(net.a.peer_address(fd)), "ENOTCONN");
        assert_eq!(send(&mut net.a, now, fd, b"x", 0), "EDESTADDRREQ");
    }
}

#[test]
fn a_port_that_was_not_asked_for_goes_with_the_connection() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = datagram(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 9))), "OK");
        let taken = net.a.local_address(fd).unwrap();
        assert_ne!(taken, a(domain, 0));
        assert_eq!(said(net.a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(net.a.local_address(fd), Ok(any(domain, 0)));
        let second = datagram(&mut net.a, domain);
        assert_eq!(errno(net.a.bind(now, second, &taken)), "OK");
        assert_eq!(send_to(&mut net.a, now, fd, b"x", &b(domain, 9)), "1");
    }
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut net = Net::new();
    let now = net.now;
    let server = receiver(&mut net, AF_INET, 6000);
    let stranger = receiver(&mut net, AF_INET, 6001);
    let fd = datagram(&mut net.a, AF_INET);
    net.a.bind(now, fd, &a(AF_INET, 5000)).unwrap();
    net.a.try_connect(now, fd, &b(AF_INET, 6000)).unwrap();
    assert_eq!(send_to(&mut net.b, now, stranger, b"boo", &a(AF_INET, 5000)), "3");
    assert_eq!(send_to(&mut net.b, now, server, b"hi", &a(AF_INET, 5000)), "2");
    net.settle();
    assert_eq!(recv(&mut net.a, now, fd, 9, 0), "\"hi\"");
    assert_eq!(recv(&mut net.a, now, fd, 9, 0), "EAGAIN");
}

#[test]
fn shutdown_of_a_connected_socket() {
    let mut net = Net::new();
    let now = net.now;
    let fd = datagram(&mut net.a, AF_INET);
    net.a.try_connect(now, fd, &b(AF_INET, 9)).unwrap();
    assert_eq!(errno(net.a.shutdown(now, fd, SHUT_WR)), "OK");
    assert_eq!((poll(&net.a, fd), send(&mut net.a, now, fd, b"x", 0)), ("OUT".into(), "EPIPE".into()));
    assert_eq!(errno(net.a.shutdown(now, fd, SHUT_RD)), "OK");
    assert_eq!(poll(&net.a, fd), "IN|OUT|HUP|RDHUP");
    assert_eq!(recv(&mut net.a, now, fd, 1, 0), "EAGAIN");
    assert_eq!(said(net.a.try_connect(now, fd, &b(AF_INET, 9))), "OK");
    assert_eq!(poll(&net.a, fd), "IN|OUT|HUP|RDHUP");
}

#[test]
fn sizes_of_datagrams() {
    // Over lo, whose MTU takes IPv4's longest whole. IPv6's goes in fragments.
    for (domain, largest) in [(AF_INET, 65_507), (AF_INET6, 65_527)] {
        let Net { mut a, now, .. } = Net::new();
        let local = in_family(domain, "127.0.0.1", "::1", 6000);
        let server = datagram(&mut a, domain);
        a.bind(now, server, &local).unwrap();
        let client = datagram(&mut a, domain);
        for (len, expected) in
            [(0, "OK"), (1, "OK"), (largest, "OK"), (largest + 1, "EMSGSIZE"), (65_536, "EMSGSIZE")]
        {
            let result = a.try_send(now, client, &mut Rope::from(vec![b'z'; len]), 0, Some(&local));
            assert_eq!(said(result), expected, "{len} bytes");
            while a.stack_mut().poll_transmit(now).is_some() {}
            if expected == "OK" {
                assert_eq!(poll(&a, server), "IN|OUT");
                let received = a.try_recv(now, server, 1 << 20, 0).unwrap();
                assert_eq!((received.data.len(), received.full_len), (len, len));
            }
            assert_eq!(poll(&a, server), "OUT");
        }
    }
}

#[test]
fn broadcast_needs_permission() {
    let mut net = Net::new();
    let now = net.now;
    let everywhere = addr("10.0.0.255", 6000);
    let server = receiver(&mut net, AF_INET, 6000);
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(send_to(&mut net.a, now, fd, b"x", &everywhere), "EACCES");
    assert_eq!(said(net.a.try_connect(now, fd, &everywhere)), "EACCES");
    assert_eq!(set(&mut net.a, now, fd, SOL_SOCKET, SO_BROADCAST, 1), "OK");
    assert_eq!(send_to(&mut net.a, now, fd, b"to all", &everywhere), "6");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"to all\"");
    assert_eq!(said(net.a.try_connect(now, fd, &everywhere)), "OK");
}

#[test]
fn two_families_on_one_socket() {
    let mut net = Net::new();
    let now = net.now;
    let dual = receiver(&mut net, AF_INET6, 6001);
    let v4 = datagram(&mut net.a, AF_INET);
    assert_eq!(send_to(&mut net.a, now, v4, b"q", &b(AF_INET, 6001)), "1");
    net.settle();
    let received = net.b.try_recv(now, dual, 9, 0).unwrap();
    let from = received.from.unwrap();
    let SockAddr::V6(mapped) = from else { panic!("{from}") };
    assert_eq!(mapped.ip().to_ipv4_mapped(), Some([10, 0, 0, 1].into()));
    assert_eq!(send_to(&mut net.b, now, dual, b"answer", &from), "6");
    net.settle();
    assert_eq!(recv(&mut net.a, now, v4, 9, 0), "\"answer\"");

    let v6 = datagram(&mut net.a, AF_INET6);
    assert_eq!(send_to(&mut net.a, now, v6, b"x", &b(AF_INET, 9)), "1");
    assert_eq!(send_to(&mut net.a, now, v6, b"x", &addr("::ffff:10.0.0.2", 9)), "1");
    assert_eq!(said(net.a.try_connect(now, v6, &b(AF_INET, 9))), "OK");
    assert_eq!(net.a.peer_address(v6), Ok(addr("::ffff:10.0.0.2", 9)));

    let only = datagram(&mut net.a, AF_INET6);
    set(&mut net.a, now, only, SOL_IPV6, IPV6_V6ONLY, 1);
    assert_eq!(send_to(&mut net.a, now, only, b"x", &b(AF_INET, 9)), "ENETUNREACH");
    assert_eq!(send_to(&mut net.a, now, only, b"x", &addr("::ffff:10.0.0.2", 9)), "ENETUNREACH");
    assert_eq!(said(net.a.try_connect(now, only, &addr("::ffff:10.0.0.2", 9))), "ENETUNREACH");
    assert_eq!(said(net.a.try_connect(now, only, &b(AF_INET, 9))), "EAFNOSUPPORT");
}

#[test]
fn a_bound_family_restricts_sending() {
    let Net { mut a, now, .. } = Net::new();
    for (local, remote, expected) in [
        ("::1", "::ffff:10.0.0.2", "ENETUNREACH"),
        ("::ffff:10.0.0.1", "fd00::2", "EAFNOSUPPORT"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", "OK"),
    ] {
        for call in ["sendto", "connect"] {
            let fd = datagram(&mut a, AF_INET6);
            a.bind(now, fd, &addr(local, 0)).unwrap();
            let result = match call {
                "connect" => said(a.try_connect(now, fd, &addr(remote, 9))),
                _ => said(a.try_send(now, fd, &mut Rope::from(&b"x"[..]), 0, Some(&addr(remote, 9)))),
            };
            assert_eq!(result, expected, "{call} from {local} to {remote}");
        }
    }
}

#[test]
fn a_large_send_is_cut_into_datagrams() {
    let mut net = Net::new();
    let now = net.now;
    let server = receiver(&mut net, AF_INET, 6000);
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, now, fd, SOL_UDP, UDP_SEGMENT, 4), "OK");
    assert_eq!(send_to(&mut net.a, now, fd, b"aaaabbbbcc", &b(AF_INET, 6000)), "10");
    net.settle();
    // The link of this test does not cut: the driver would.
    let parts: Vec<String> = (0..3).map(|_| recv(&mut net.b, now, server, 99, 0)).collect();
    assert_eq!(parts, ["\"aaaa\"", "\"bbbb\"", "\"cc\""]);
}

#[test]
fn urgent_datagrams_are_for_ipv4_to_refuse() {
    let Net { mut a, now, .. } = Net::new();
    let mapped = addr("::ffff:10.0.0.2", 9);
    for (domain, to, expected) in [
        (AF_INET, b(AF_INET, 9), "EOPNOTSUPP"),
        (AF_INET6, b(AF_INET6, 9), "OK"),
        (AF_INET6, mapped, "EOPNOTSUPP"),
    ] {
        let fd = datagram(&mut a, domain);
        let result = a.try_send(now, fd, &mut Rope::from(&b"x"[..]), MSG_OOB, Some(&to));
        assert_eq!(said(result), expected, "{to:?}");
    }
    let fd = datagram(&mut a, AF_INET);
    assert_eq!(send(&mut a, now, fd, b"x", MSG_OOB), "EOPNOTSUPP", "before it is asked for a destination");
}

#[test]
fn events_name_the_socket() {
    let mut net = Net::new();
    let server = receiver(&mut net, AF_INET, 6000);
    let client = datagram(&mut net.a, AF_INET);
    send_to(&mut net.a, net.now, client, b"x", &b(AF_INET, 6000));
    net.settle();
    assert!(events(&mut net.b).contains(&server));
    assert_eq!(net.b.local_address(Fd(9)), Err(Errno::BADF));
}

/// What `a` knows of `b`, its neighbour on an Ethernet.
fn neighbor(net: &Net, domain: i32) -> Option<NudState> {
    let far = b(domain, 0).to_inet()?.ip();
    net.a.stack().neighbors().entries(net.now).find(|entry| entry.address == far).map(|entry| entry.state)
}

#[test]
fn msg_confirm_spares_the_neighbour_the_question() {
    let [ping, ping6] = [8, 128].map(|request| [request, 0, 0, 0, 0, 0, 0, 1]);
    for (domain, kind, protocol, data) in [
        (AF_INET, SOCK_DGRAM, 0, &b"hello"[..]),
        (AF_INET, SOCK_DGRAM, IPPROTO_ICMP, &ping[..]),
        (AF_INET, SOCK_RAW, IPPROTO_UDP, &ping[..]),
        (AF_INET6, SOCK_DGRAM, 0, &b"hello"[..]),
        (AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, &ping6[..]),
        (AF_INET6, SOCK_RAW, IPPROTO_UDP, &ping[..]),
    ] {
        let mut net = Net::on(Medium::Ethernet);
        let server = receiver(&mut net, domain, 6000);
        let client = net.a.socket(domain, kind, protocol).unwrap();
        let send = |net: &mut Net, flags| {
            // Raw sockets of IPv6 take no port but that of their protocol.
            let to = b(domain, if kind == SOCK_RAW { 0 } else { 6000 });
            let sent = net.a.try_send(net.now, client, &mut Rope::from(data), flags, Some(&to));
            assert_eq!(sent, Ok(data.len()));
            net.settle();
            while net.b.try_recv(net.now, server, 99, MSG_DONTWAIT).is_ok() {}
        };
        send(&mut net, 0);
        assert_eq!(neighbor(&net, domain), Some(NudState::Reachable));
        // Nobody has said anything for longer than that is believed.
        net.sleep(Duration::from_secs(50));
        assert_eq!(neighbor(&net, domain), Some(NudState::Stale));
        send(&mut net, MSG_CONFIRM);
        assert_eq!(neighbor(&net, domain), Some(NudState::Reachable));
        net.sleep(Duration::from_secs(50));
        send(&mut net, 0);
        assert_eq!(neighbor(&net, domain), Some(NudState::Delay));
        net.a.close(net.now, client).unwrap();
    }
}

/// A peek from an offset on has nothing to begin at where the end of receiving is.
#[test]
fn a_peek_behind_a_shutdown() {
    let mut net = Net::new();
    let server = receiver(&mut net, AF_INET, 6000);
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_PEEK_OFF, 3), "OK");
    let _ = net.b.shutdown(net.now, server, SHUT_RD);
    let peeked = net.b.try_recv(net.now, server, 9, MSG_PEEK).unwrap();
    assert_eq!((peeked.data.len(), peeked.full_len), (0, 0));
}
