//! What UDP's sockets, ping sockets and raw sockets do with names, packets, groups, errors and waiting.

use core::time::Duration;

use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::InterfaceId;

use crate::common::*;
use crate::run::{Run, with_checksum};

pub fn all(r: &mut Run) {
    names(r);
    let socket = r.fresh();
    let own = a(r.domain(), 5003);
    r.bind(socket, &own);
    sending(r, socket);
    receiving(r, socket);
    groups(r);
    waiting(r, socket);
}

/// The port of a peer: of raw sockets it says nothing.
fn port(r: &Run, port: u16) -> u16 {
    if r.kind.protocol == IPPROTO_UDP { port } else { 0 }
}

/// What the sockets may send, with so many bytes of data.
fn message(r: &Run, len: usize) -> Vec<u8> {
    let data = vec![7; len];
    match r.kind.protocol {
        IPPROTO_ICMP => with_checksum([&[8, 0, 0, 0, 0, 9, 0, 1], &data[..]].concat()),
        IPPROTO_ICMPV6 => [&[128, 0, 0, 0, 0, 9, 0, 1], &data[..]].concat(),
        _ => [&[1, 2, 3, 4, 5, 6, 7, 8], &data[..]].concat(),
    }
}

fn names(r: &mut Run) {
    let [first, second, third] = [(); 3].map(|()| r.fresh());
    r.bind(first, &r.at("10.0.0.77", "fd00::77", 5000));
    let shared = a(r.domain(), 5001);
    r.bind(second, &shared);
    r.bind(third, &shared);
    let request = message(r, 4);
    r.send(second, &request, 0, Some(&b(r.domain(), 0)));
    r.settle();
    for socket in [second, third] {
        r.recv(socket, 100, 0);
    }
    let wide = r.fresh();
    r.bind(wide, &any(r.domain(), port(r, 5002)));
    if r.kind.protocol == IPPROTO_UDP {
        let sender = datagram(&mut r.net.b, AF_INET);
        send_to(&mut r.net.b, r.net.now, sender, b"four", &a(AF_INET, 5002));
        r.settle();
        r.recv(wide, 100, 0);
    }
    for _ in 0..2 {
        let free = r.fresh();
        r.bind(free, &a(r.domain(), 0));
    }
    if r.domain() == AF_INET6 {
        let mapped = r.fresh();
        r.connect(mapped, &addr("::ffff:10.0.0.2", port(r, 9)));
        let request = message(r, 4);
        r.send(mapped, &request, 0, None);
        r.settle();
    }
}

fn sending(r: &mut Run, socket: Fd) {
    let (small, long) = (message(r, 4), message(r, 1990));
    let there = b(r.domain(), port(r, 9000));
    let marked = r.at("10.8.0.9", "fd08::9", 0);
    let far = r.at("10.9.0.9", "fd09::9", 0);
    let everybody = r.at("10.0.0.255", "ff02::1", 0);
    let group = r.at("239.1.1.1", "ff05::1:3", 0);
    let with_port = |to: &SockAddr| match to.to_inet() {
        Some(mut to) => {
            to.set_port(there.to_inet().unwrap().port());
            SockAddr::from(to)
        }
        None => *to,
    };
    for to in [&there, &marked, &far, &everybody, &group] {
        r.send(socket, &small, 0, Some(&with_port(to)));
        r.settle();
        r.state(socket);
    }
    r.send(socket, &small, 0, Some(&there));
    r.complain_of_next();
    r.state(socket);
    for flags in [0, MSG_ZEROCOPY] {
        r.send(socket, &long, flags, Some(&there));
        r.settle();
        r.recv(socket, 10, 0);
        r.state(socket);
    }
    // What comes later may go first.
    let plain = r.plain();
    r.send(plain, &small, 0, Some(&there));
    r.send(socket, &[&small[..], b"late"].concat(), 0, Some(&there));
    r.settle();
    r.recv(socket, 100, 0);
}

/// A socket of the other host that sends what the sockets of the kind receive, and what that is.
fn sender(r: &mut Run) -> (Fd, Vec<u8>, SockAddr) {
    let (domain, reply) = (r.domain(), [0x13, 0x8b]);
    let (kind, protocol, data) = match r.kind.protocol {
        IPPROTO_UDP => (SOCK_DGRAM, 0, b"hello".to_vec()),
        // A reply to port 5003.
        IPPROTO_ICMP => {
            let data = [&[0, 0, 0, 0], &reply[..], b"\0\x01hello"].concat();
            (SOCK_RAW, IPPROTO_ICMP, with_checksum(data))
        }
        IPPROTO_ICMPV6 => (SOCK_RAW, IPPROTO_ICMPV6, [&[129, 0, 0, 0], &reply[..], b"\0\x01hello"].concat()),
        other => (SOCK_RAW, other, b"hello!!!".to_vec()),
    };
    let fd = r.net.b.socket(domain, kind, protocol).unwrap();
    let to = a(domain, port(r, 5003));
    (fd, data, to)
}

fn receiving(r: &mut Run, socket: Fd) {
    let (peer, data, to) = sender(r);
    let now = r.net.now;
    let marks: &[(i32, i32, i32)] = match r.domain() {
        AF_INET => &[(SOL_IP, IP_TOS, 0x20), (SOL_IP, IP_TTL, 9)],
        _ => &[(SOL_IPV6, IPV6_TCLASS, 0x20), (SOL_IPV6, IPV6_UNICAST_HOPS, 9)],
    };
    for (level, number, value) in marks {
        assert_eq!(set(&mut r.net.b, now, peer, *level, *number, *value), "OK");
    }
    if r.domain() == AF_INET {
        let record = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        r.net.b.set_option(now, peer, SOL_IP, IP_OPTIONS, &record).unwrap();
    }
    for flags in [MSG_PEEK, 0] {
        for _ in 0..2 {
            r.net.b.try_send(now, peer, &mut Rope::from(&data[..]), 0, Some(&to)).unwrap();
        }
        r.settle();
        r.recv(socket, 100, flags);
    }
    r.state(socket);
    // IPv4 to a socket of IPv6.
    if r.domain() == AF_INET6 && r.kind.protocol == IPPROTO_UDP {
        let both = r.fresh();
        r.bind(both, &any(AF_INET6, 5006));
        let four = datagram(&mut r.net.b, AF_INET);
        assert_eq!(set(&mut r.net.b, now, four, SOL_IP, IP_TOS, 0x20), "OK");
        let record = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        r.net.b.set_option(now, four, SOL_IP, IP_OPTIONS, &record).unwrap();
        send_to(&mut r.net.b, now, four, b"four", &a(AF_INET, 5006));
        r.settle();
        r.recv(both, 100, 0);
        r.send(both, b"back", 0, Some(&addr("::ffff:10.0.0.2", 9)));
        r.complain_of_v4();
        r.state(both);
        let long = [0; 2000];
        r.send(both, &long, 0, Some(&addr("::ffff:10.0.0.2", 9)));
        r.send(both, b"group", 0, Some(&addr("::ffff:239.1.1.1", 9)));
        r.send(both, b"all", 0, Some(&addr("::ffff:10.0.0.255", 9)));
        r.settle();
    }
    if r.kind.protocol == IPPROTO_UDP {
        // The link merges: one frame that says how long its parts are.
        send_to(&mut r.net.b, now, peer, b"aaaabbbbcc", &to);
        let (_, transmit) = r.net.b.stack_mut().poll_transmit(now).unwrap();
        let mut frame = transmit.to_frame();
        frame.gso_size = Some(4);
        r.net.a.stack_mut().receive(now, InterfaceId(1), frame);
        r.recv(socket, 100, 0);
    }
    // More than there is room for.
    let small = r.fresh_after(&[(SOL_SOCKET, SO_RCVBUF, 2304)]);
    r.bind(small, &a(r.domain(), 5005));
    let to = a(r.domain(), port(r, 5005));
    let data = if r.kind.kind == SOCK_RAW || r.kind.protocol == IPPROTO_UDP {
        data
    } else {
        // To port 5005.
        let mut data = data;
        (data[2], data[3], data[5]) = (0, 0, 0x8d);
        if r.domain() == AF_INET { with_checksum(data) } else { data }
    };
    for _ in 0..12 {
        r.net.b.try_send(now, peer, &mut Rope::from(&data[..]), 0, Some(&to)).unwrap();
    }
    r.settle();
    r.recv(small, 100, 0);
    r.net.b.try_send(now, peer, &mut Rope::from(&data[..]), 0, Some(&to)).unwrap();
    r.settle();
    r.recv(small, 100, 0);
}

fn groups(r: &mut Run) {
    let (group, now) = (r.at("239.1.1.1", "ff05::1:3", port(r, 5004)), r.net.now);
    let member = r.fresh();
    r.bind(member, &any(r.domain(), port(r, 5004)));
    r.sleep(3, Duration::from_secs(10));
    let heard = |r: &mut Run, group: &SockAddr| {
        let (peer, data, _) = sender(r);
        r.net.b.try_send(now, peer, &mut Rope::from(&data[..]), 0, Some(group)).unwrap();
        r.settle();
        r.recv(member, 100, 0);
        r.net.b.close(now, peer).unwrap();
    };
    heard(r, &group);
    if r.domain() == AF_INET6 && r.kind.protocol == IPPROTO_UDP {
        let four = datagram(&mut r.net.b, AF_INET);
        send_to(&mut r.net.b, now, four, b"four", &addr("239.1.1.1", 5004));
        r.settle();
        r.recv(member, 100, 0);
    }
    // Another is in it.
    let other = r.net.a.socket(r.domain(), SOCK_RAW, r.kind.protocol).unwrap();
    let (level, number, value) = match r.domain() {
        AF_INET => (SOL_IP, IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP"),
        _ => (SOL_IPV6, IPV6_ADD_MEMBERSHIP, "IPV6_ADD_MEMBERSHIP"),
    };
    let value = crate::values::value_of(value, r.domain());
    r.net.a.set_option(now, other, level, number, &value).unwrap();
    let heard_by_four = datagram(&mut r.net.a, AF_INET);
    r.net.a.bind(now, heard_by_four, &any(AF_INET, 5009)).unwrap();
    let value = crate::values::value_of("IP_ADD_MEMBERSHIP", AF_INET);
    r.net.a.set_option(now, heard_by_four, SOL_IP, IP_ADD_MEMBERSHIP, &value).unwrap();
    r.settle();
    heard(r, &group);
    if r.domain() == AF_INET6 && r.kind.protocol == IPPROTO_UDP {
        let four = datagram(&mut r.net.b, AF_INET);
        send_to(&mut r.net.b, now, four, b"four", &addr("239.1.1.1", 5004));
        r.settle();
        r.recv(member, 100, 0);
        r.send(member, b"four", 0, Some(&addr("::ffff:239.1.1.1", 5009)));
        r.settle();
        r.recv(heard_by_four, 100, 0);
    }
    // What goes there is heard here.
    let sender = r.fresh();
    let data = message(r, 4);
    r.send(sender, &data, 0, Some(&group));
    r.settle();
    r.recv(other, 100, 0);
}

fn waiting(r: &mut Run, socket: Fd) {
    let empty = r.fresh();
    r.bind(empty, &a(r.domain(), 5007));
    r.recv_once(empty, 10, 0);
    let there = b(r.domain(), port(r, 9000));
    let data = message(r, 900);
    for (written, first) in
        [(None, data[0]), (Some((SOL_IP, IP_HDRINCL)), 0x45), (Some((SOL_IPV6, IPV6_HDRINCL)), 0x60)]
    {
        // Who writes headers waits for room, and other raw sockets do not.
        let of_the_family = |(level, _)| (level == SOL_IPV6) == (r.domain() == AF_INET6);
        if written.is_some_and(|option| r.kind.kind != SOCK_RAW || !of_the_family(option)) {
            continue;
        }
        let before: Vec<_> = written.iter().map(|(level, name)| (*level, *name, 1)).collect();
        let small = r.fresh_after(&[&[(SOL_SOCKET, SO_SNDBUF, 4608)], &before[..]].concat());
        r.fill(small, &[&[first], &data[1..]].concat(), Some(&there));
        r.settle();
    }
    let peer = r.fresh();
    r.connect(peer, &there);
    r.name(peer);
    r.send(peer, &data, MSG_DONTROUTE, None);
    r.settle();
    let closed = r.net.a.try_close(r.net.now, socket);
    r.note("close", closed);
}
