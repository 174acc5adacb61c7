//! Ping sockets: SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6, as on Linux 6.18.

mod common;

use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ControlMessages};
use tapsock_sockets::{Fd, Permission, PollMask, SockAddr, Sockets, Stop};
use tapsock_stack::buf::Rope;

fn ping(host: &mut Sockets, domain: i32) -> Fd {
    let protocol = if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    host.socket(domain, SOCK_DGRAM, protocol).unwrap()
}

fn request(domain: i32) -> Vec<u8> {
    let mut message = vec![if domain == AF_INET { 8 } else { 128 }, 0, 0, 0, 0xde, 0xad, 0, 7];
    message.extend(b"data");
    message
}

#[test]
fn a_request_brings_a_reply() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = ping(&mut net.a, domain);
        assert_eq!(poll(&net.a, fd), "OUT");
        let sent = net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, Some(&b(domain, 0)));
        assert_eq!(sent, Ok(12));
        let ident = net.a.local_address(fd).unwrap().to_inet().unwrap().port();
        assert_ne!(ident, 0);
        net.settle();
        assert_eq!(poll(&net.a, fd), "IN|OUT");
        let peeked = net.a.try_recv(now, fd, 4, MSG_PEEK).unwrap();
        assert_eq!((peeked.data.len(), peeked.full_len, peeked.flags), (4, 12, MSG_TRUNC));
        let peeked = net.a.try_recv(now, fd, 4, MSG_PEEK | MSG_TRUNC).unwrap();
        assert_eq!((peeked.full_len, peeked.flags), (4, MSG_TRUNC), "it tells what was copied all the same");
        let reply = net.a.try_recv(now, fd, 99, 0).unwrap();
        let bytes = reply.data.to_vec();
        assert_eq!((bytes[0], bytes[1]), (if domain == AF_INET { 0 } else { 129 }, 0));
        assert_eq!(bytes[4..6], ident.to_be_bytes(), "the identifier is the socket's, not the caller's");
        assert_eq!(&bytes[6..], b"\0\x07data");
        assert_eq!(reply.from, Some(b(domain, 0)));
        assert_eq!(said(net.a.try_recv(now, fd, 99, 0)), "waits to read");
    }
}

/// SO_REUSEADDR is on at first, and an identifier is one whatever the address and the family.
#[test]
fn an_identifier_is_shared_by_those_that_share() {
    let mut net = Net::new();
    let now = net.now;
    let [first, second, third, other] =
        [AF_INET, AF_INET, AF_INET, AF_INET6].map(|domain| ping(&mut net.a, domain));
    assert_eq!(int(&mut net.a, now, first, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_eq!(errno(net.a.bind(now, first, &any(AF_INET, 77))), "OK");
    assert_eq!(errno(net.a.bind(now, second, &any(AF_INET, 77))), "OK");
    assert_eq!(set(&mut net.a, now, third, SOL_SOCKET, SO_REUSEADDR, 0), "OK");
    assert_eq!(errno(net.a.bind(now, third, &a(AF_INET, 77))), "EADDRINUSE");
    assert_eq!(errno(net.a.bind(now, third, &a(AF_INET, 78))), "OK");
    assert_eq!(errno(net.a.bind(now, other, &any(AF_INET6, 78))), "EADDRINUSE");
    assert_eq!(set(&mut net.a, now, third, SOL_SOCKET, SO_REUSEADDR, 1), "OK");
    assert_eq!(errno(net.a.bind(now, other, &any(AF_INET6, 78))), "OK");
    // Who sends without an identifier gets one that nobody has.
    assert_eq!(net.a.close(now, first), Ok(()));
    let last = ping(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, now, last, SOL_SOCKET, SO_REUSEADDR, 0), "OK");
    assert_eq!(said(net.a.try_connect(now, last, &b(AF_INET, 0))), "OK");
}

#[test]
fn connected_and_dissolved() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = ping(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 5))), "OK");
        assert_eq!(net.a.peer_address(fd), Ok(b(domain, 5)));
        assert_eq!(net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, None), Ok(12));
        net.settle();
        assert_eq!(net.a.try_recv(now, fd, 99, 0).unwrap().full_len, 12);
        assert_eq!(said(net.a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(errno(net.a.peer_address(fd)), "ENOTCONN");
        let sent = net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, None);
        assert_eq!(said(sent), "EDESTADDRREQ");
    }
}

#[test]
fn what_is_no_echo_request_is_refused() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        let fd = ping(&mut a, domain);
        let echo = request(domain)[0];
        let foreign = in_family(AF_INET + AF_INET6 - domain, "10.0.0.2", "fd00::2", 0);
        let wrong_family = if domain == AF_INET { "EAFNOSUPPORT" } else { "EINVAL" };
        let away = in_family(domain, "198.51.100.1", "2001:db8::1", 0);
        for (message, flags, to, expected) in [
            (vec![echo, 0, 0, 0], 0, b(domain, 0), "EINVAL"),
            (vec![0; 8], 0, b(domain, 0), "EINVAL"),
            (vec![echo, 1, 0, 0, 0, 0, 0, 0], 0, b(domain, 0), "EINVAL"),
            (request(domain), MSG_OOB, b(domain, 0), "EOPNOTSUPP"),
            (request(domain), 0, foreign, wrong_family),
            (request(domain), 0, away, "ENETUNREACH"),
            (vec![echo; 65_536], 0, b(domain, 0), "EMSGSIZE"),
        ] {
            let result = a.try_send(now, fd, &mut Rope::from(message.clone()), flags, Some(&to));
            assert_eq!(said(result), expected, "{message:?} to {to}");
        }
        assert_eq!(recv(&mut a, now, fd, 9, MSG_OOB), "EOPNOTSUPP");
        assert_eq!(errno(a.listen(now, fd, 1)), "EOPNOTSUPP");
        assert_eq!(said(a.try_accept(now, fd, 0)), "EOPNOTSUPP");
        assert_eq!(errno(a.shutdown(now, fd, SHUT_RD)), "ENOTCONN");
    }
}

#[test]
fn bind_gives_the_identifier() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = ping(&mut net.a, domain);
        assert_eq!(errno(net.a.bind(now, fd, &a(domain, 80))), "OK", "no identifier is reserved");
        assert_eq!(net.a.local_address(fd), Ok(a(domain, 80)));
        assert_eq!(errno(net.a.bind(now, fd, &a(domain, 81))), "EINVAL");
        let elsewhere = in_family(domain, "9.9.9.9", "fd99::1", 1);
        let other = ping(&mut net.a, domain);
        assert_eq!(errno(net.a.bind(now, other, &elsewhere)), "EADDRNOTAVAIL");
        assert_eq!(errno(net.a.bind(now, other, &any(domain, 82))), "OK");
        assert_eq!(net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, Some(&b(domain, 0))), Ok(12));
        net.settle();
        let reply = net.a.try_recv(now, fd, 99, 0).unwrap().data.to_vec();
        assert_eq!(reply[4..6], [0, 80]);
        assert_eq!(poll(&net.a, other), "OUT");
    }
}

/// As on Linux, of those that others take: 24 bytes, without a scope. `connect` takes it here too.
#[test]
fn an_old_address_is_too_short() {
    let Net { mut a, now, .. } = Net::new();
    let bytes = addr("::1", 0).as_bytes();
    for len in [24, 27] {
        let old = SockAddr::from_bytes(&bytes[..len]).unwrap();
        let fd = a.socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6).unwrap();
        assert_eq!(errno(a.bind(now, fd, &old)), "EINVAL");
        let request = request(AF_INET6);
        assert_eq!(said(a.try_send(now, fd, &mut Rope::from(&request[..]), 0, Some(&old))), "EINVAL");
        assert_eq!(said(a.try_connect(now, fd, &old)), "OK");
        let udp = a.socket(AF_INET6, SOCK_DGRAM, 0).unwrap();
        assert_eq!(errno(a.bind(now, udp, &old)), "OK");
    }
}

#[test]
fn mapped_addresses_are_not_for_icmpv6() {
    let Net { mut a, now, .. } = Net::new();
    let mapped = addr("::ffff:10.0.0.2", 0);
    let fd = ping(&mut a, AF_INET6);
    assert_eq!(said(a.try_send(now, fd, &mut Rope::from(request(AF_INET6)), 0, Some(&mapped))), "EINVAL");
    assert_eq!(said(a.try_connect(now, fd, &mapped)), "ENETUNREACH");
    assert_eq!(errno(a.bind(now, fd, &addr("::ffff:127.0.0.1", 0))), "EINVAL");
}

/// What Linux 6.18 told of an echo reply: no address that an answer would come from, and the checksum for a port.
#[test]
fn replies_tell_where_they_came_in() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = ping(&mut net.a, domain);
        let asked = if domain == AF_INET {
            [(SOL_IP, IP_PKTINFO), (SOL_IP, IP_RECVTTL), (SOL_IP, IP_RECVORIGDSTADDR)]
        } else {
            [(SOL_IPV6, IPV6_RECVPKTINFO), (SOL_IPV6, IPV6_RECVHOPLIMIT), (SOL_IPV6, IPV6_RECVORIGDSTADDR)]
        };
        for (level, name) in
            asked.into_iter().chain([(SOL_SOCKET, SO_TIMESTAMPNS), (SOL_SOCKET, SO_RXQ_OVFL)])
        {
            assert_eq!(set(&mut net.a, now, fd, level, name, 1), "OK");
        }
        assert_eq!(net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, Some(&b(domain, 0))), Ok(12));
        net.settle();
        let reply = net.a.try_recv(now, fd, 99, 0).unwrap();
        let ours = a(domain, 0).to_inet().unwrap().ip();
        let bytes = reply.data.to_vec();
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        let info = match ours {
            core::net::IpAddr::V4(destination) => {
                Control::PacketInfo4 { interface: 2, local: [0, 0, 0, 0].into(), destination }
            }
            core::net::IpAddr::V6(destination) => Control::PacketInfo6 { destination, interface: 2 },
        };
        let hops = if domain == AF_INET { Control::Ttl(64) } else { Control::HopLimit(64) };
        assert_eq!(reply.control, [info, hops, Control::OriginalDestination((ours, port).into())]);
    }
}

#[test]
fn the_receive_buffer_and_the_device_bound_what_comes() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let [small, held, named] = [0, 1, 2].map(|_| ping(&mut net.a, domain));
        assert_eq!(set(&mut net.a, now, small, SOL_SOCKET, SO_RCVBUF, 2_000), "OK");
        assert_eq!(int(&mut net.a, now, small, SOL_SOCKET, SO_RCVBUF), 4_000);
        net.a.set_option(now, held, SOL_SOCKET, SO_BINDTODEVICE, b"lo\0").unwrap();
        assert_eq!(int(&mut net.a, now, held, SOL_SOCKET, SO_BINDTOIFINDEX), 1);
        let to = b(domain, 0);
        for _ in 0..10 {
            assert_eq!(net.a.try_send(now, small, &mut Rope::from(request(domain)), 0, Some(&to)), Ok(12));
        }
        // Hosts of IPv4 are taken to be on the link of the interface that was named.
        let sent = if domain == AF_INET { "OK" } else { "ENETUNREACH" };
        assert_eq!(said(net.a.try_send(now, held, &mut Rope::from(request(domain)), 0, Some(&to))), sent);
        net.settle();
        assert_eq!(poll(&net.a, held), "OUT");
        let got = (0..10).filter(|_| net.a.try_recv(now, small, 99, MSG_DONTWAIT).is_ok()).count();
        assert_eq!(got, 4, "844 bytes each");

        // A message says where a request comes from.
        let mut control = ControlMessages::with_room(99);
        control.push(&match a(domain, 0).to_inet().unwrap().ip() {
            core::net::IpAddr::V4(local) => Control::PacketInfo4 { interface: 2, local, destination: local },
            core::net::IpAddr::V6(destination) => Control::PacketInfo6 { destination, interface: 2 },
        });
        let data = &mut Rope::from(request(domain));
        assert_eq!(net.a.try_sendmsg(now, named, data, control.as_bytes(), 0, Some(&to)), Ok(12));
        net.settle();
        assert_eq!(poll(&net.a, named), "IN|OUT");
    }
}

/// Of two with one identifier the one that got it last hears the reply, and whoever answers is heard: a connection only says
/// where requests go.
#[test]
fn a_reply_is_for_one() {
    let mut net = Net::new();
    let now = net.now;
    let [first, second] = [(); 2].map(|()| ping(&mut net.a, AF_INET));
    for fd in [first, second] {
        net.a.bind(now, fd, &any(AF_INET, 77)).unwrap();
    }
    assert_eq!(said(net.a.try_connect(now, second, &addr("10.0.0.99", 1))), "OK");
    assert_eq!(send_to(&mut net.a, now, first, &request(AF_INET), &b(AF_INET, 0)), "12");
    net.settle();
    assert_eq!([first, second].map(|fd| poll(&net.a, fd)), ["OUT", "IN|OUT"]);
}

/// What was not asked for by `bind` goes with the connection.
#[test]
fn a_dissolved_connection_gives_its_names_back() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let now = net.now;
        let fd = ping(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 1))), "OK");
        let named = net.a.local_address(fd).unwrap().to_inet().unwrap();
        assert_eq!(named.ip(), a(domain, 0).to_inet().unwrap().ip());
        assert_ne!(named.port(), 0);
        assert_eq!(said(net.a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(net.a.local_address(fd), Ok(any(domain, 0)));
        assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), 0);
    }
}

/// Requests wait for the link as other packets do: they take of the send buffer, and who has to wait does so for a while.
#[test]
fn the_send_buffer_bounds_what_waits() {
    for domain in DOMAINS {
        let mut net = Net::with(Permission::Privileged);
        let (now, fd) = (net.now, ping(&mut net.a, domain));
        assert_eq!(set(&mut net.a, now, fd, SOL_SOCKET, SO_SNDBUF, 1), "OK");
        assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_SNDBUF), 4608);
        let timeout = [7u64.to_ne_bytes(), [0; 8]].concat();
        net.a.set_option(now, fd, SOL_SOCKET, SO_SNDTIMEO, &timeout).unwrap();
        let to = b(domain, 0);
        // Its parts would take more than twice as much, and do not wait.
        let large = [&request(domain)[..], &[0; 20_000]].concat();
        assert_eq!(send_to(&mut net.a, now, fd, &large, &to), "ENOBUFS");
        let sent = core::iter::from_fn(|| {
            net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, Some(&to)).is_ok().then_some(())
        });
        assert_eq!(sent.count(), 6, "each with what it is charged besides");
        assert_eq!(poll(&net.a, fd), "0");
        let full = net.a.try_send(now, fd, &mut Rope::from(request(domain)), 0, Some(&to));
        let Err(Stop::Wait(wait)) = full else { panic!("{full:?}") };
        assert_eq!((wait.mask, wait.deadline), (PollMask::WAIT_OUT, Some(now + Duration::from_secs(7))));
        assert_eq!(send_to(&mut net.a, now, fd, &request(domain), &to), "EAGAIN");
        events(&mut net.a);
        net.settle();
        assert!(events(&mut net.a).contains(&fd), "there is room");
        assert_eq!(send_to(&mut net.a, now, fd, &request(domain), &to), "12");
        // What is more urgent goes first.
        let urgent = ping(&mut net.a, domain);
        assert_eq!(set(&mut net.a, now, urgent, SOL_SOCKET, SO_PRIORITY, 6), "OK");
        net.sent.clear();
        let long = [&request(domain)[..], b"urgent"].concat();
        assert_eq!(send_to(&mut net.a, now, urgent, &long, &to), "18");
        net.settle();
        let header = if domain == AF_INET { 20 } else { 40 };
        assert_eq!(net.sent.iter().map(Vec::len).collect::<Vec<_>>(), [header + 18, header + 12]);
    }
}

#[test]
fn foreign_addresses_may_be_bound() {
    for (domain, level, free, stands) in [
        (AF_INET, SOL_IP, IP_FREEBIND, IP_TRANSPARENT),
        (AF_INET6, SOL_IPV6, IPV6_FREEBIND, IPV6_TRANSPARENT),
    ] {
        let mut net = Net::with(Permission::Privileged);
        let now = net.now;
        let foreign = in_family(domain, "10.9.9.9", "fd09::9", 77);
        let plain = ping(&mut net.a, domain);
        assert_eq!(errno(net.a.bind(now, plain, &foreign)), "EADDRNOTAVAIL");
        // The one may only be bound.
        for (option, sent) in [(free, "EADDRNOTAVAIL"), (stands, "12")] {
            for fd in [ping(&mut net.a, domain), datagram(&mut net.a, domain)] {
                assert_eq!(set(&mut net.a, now, fd, level, option, 1), "OK");
                assert_eq!(errno(net.a.bind(now, fd, &foreign)), "OK");
                assert_eq!(net.a.local_address(fd), Ok(foreign));
                assert_eq!(send_to(&mut net.a, now, fd, &request(domain), &b(domain, 9)), sent);
                net.a.close(now, fd).unwrap();
            }
        }
    }
}

/// What the path to the peer takes, and options of IPv4's header.
#[test]
fn paths_and_options() {
    let mut net = Net::new();
    let now = net.now;
    for (domain, level, mtu) in [(AF_INET, SOL_IP, IP_MTU), (AF_INET6, SOL_IPV6, IPV6_MTU)] {
        let fd = ping(&mut net.a, domain);
        assert_eq!(errno(net.a.option(now, fd, level, mtu)), "ENOTCONN");
        net.a.try_connect(now, fd, &b(domain, 0)).unwrap();
        assert_eq!(int(&mut net.a, now, fd, level, mtu), 1500);
    }
    let fd = ping(&mut net.a, AF_INET);
    let record = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    net.a.set_option(now, fd, SOL_IP, IP_OPTIONS, &record).unwrap();
    assert_eq!(set(&mut net.a, now, fd, SOL_IP, IP_RECVOPTS, 1), "OK");
    send_to(&mut net.a, now, fd, &request(AF_INET), &b(AF_INET, 0));
    net.settle();
    assert_eq!(net.sent[0][..1], [0x48]);
    let reply = net.a.try_recv(now, fd, 99, 0).unwrap();
    let options = [&[7, 11, 12, 10, 0, 0, 1, 10, 0, 0, 2, 0][..]].concat();
    assert_eq!(reply.control, [Control::IpOptions(options)]);
}
