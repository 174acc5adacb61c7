//! What the options of groups do.

mod common;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, SockAddr, Sockets};
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::time::Instant;

/// The index of the interface that joins the hosts.
const ETH: i32 = 2;

fn group(domain: i32, port: u16) -> SockAddr {
    in_family(domain, "239.1.1.1", "ff05::1:3", port)
}

fn octets(address: &SockAddr) -> Vec<u8> {
    match address.to_inet().unwrap().ip() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// `struct ip_mreqn` or `struct ipv6_mreq`.
fn membership(domain: i32, interface: i32) -> Vec<u8> {
    let group = octets(&group(domain, 0));
    let address: &[u8] = if domain == AF_INET { &[0; 4] } else { &[] };
    [&group, address, &interface.to_ne_bytes()].concat()
}

/// `struct group_req`, or with a source `struct group_source_req`.
fn group_request(domain: i32, source: Option<&SockAddr>) -> Vec<u8> {
    let mut bytes = [ETH.to_ne_bytes(), [0; 4]].concat();
    for address in core::iter::once(&group(domain, 0)).chain(source) {
        let start = bytes.len();
        bytes.extend((domain as u16).to_ne_bytes());
        bytes.resize(start + if domain == AF_INET { 4 } else { 8 }, 0);
        bytes.extend(octets(address));
        bytes.resize(start + 128, 0);
    }
    bytes
}

fn put(host: &mut Sockets, fd: Fd, level: i32, option: i32, value: &[u8]) -> String {
    errno(host.set_option(Instant::ZERO, fd, level, option, value))
}

fn level(domain: i32) -> i32 {
    if domain == AF_INET { SOL_IP } else { SOL_IPV6 }
}

/// By family: what joins, and what leaves.
fn names(domain: i32) -> (i32, i32) {
    match domain {
        AF_INET => (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP),
        _ => (IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP),
    }
}

/// A sender on `a` that sends to groups by the link, and a receiver on `b` at port 9000.
fn pair(net: &mut Net, domain: i32) -> (Fd, Fd) {
    let (sender, receiver) = (datagram(&mut net.a, domain), datagram(&mut net.b, domain));
    net.b.bind(net.now, receiver, &any(domain, 9000)).unwrap();
    out_by(&mut net.a, sender, domain);
    (sender, receiver)
}

/// Names the interface of packets to groups.
fn out_by(host: &mut Sockets, fd: Fd, domain: i32) {
    match domain {
        AF_INET => {
            let value = [[0; 4], [0; 4], ETH.to_ne_bytes()].concat();
            assert_eq!(put(host, fd, SOL_IP, IP_MULTICAST_IF, &value), "OK");
        }
        _ => assert_eq!(put(host, fd, SOL_IPV6, IPV6_MULTICAST_IF, &ETH.to_ne_bytes()), "OK"),
    }
}

fn sent(net: &mut Net, sender: Fd, domain: i32) {
    assert_eq!(send_to(&mut net.a, net.now, sender, b"hello", &group(domain, 9000)), "5");
    net.settle();
}

fn heard(net: &mut Net, fd: Fd) -> String {
    recv(&mut net.b, net.now, fd, 99, 0)
}

#[test]
fn joined_and_left() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (sender, receiver) = pair(&mut net, domain);
        let (join, leave) = names(domain);
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), "EAGAIN");
        let at = level(domain);
        assert_eq!(put(&mut net.b, receiver, at, join, &membership(domain, ETH)), "OK");
        assert_eq!(put(&mut net.b, receiver, at, join, &membership(domain, ETH)), "EADDRINUSE");
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), "\"hello\"");
        assert_eq!(put(&mut net.b, receiver, at, leave, &membership(domain, ETH)), "OK");
        assert_eq!(put(&mut net.b, receiver, at, leave, &membership(domain, ETH)), "EADDRNOTAVAIL");
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), "EAGAIN");
        assert_eq!(put(&mut net.b, receiver, at, join, &membership(domain, 77)), "ENODEV");
        assert_eq!(put(&mut net.b, receiver, at, join, &[0; 7]), "EINVAL");
        let stream = stream(&mut net.b, domain);
        assert_eq!(put(&mut net.b, stream, at, join, &membership(domain, ETH)), "EPROTO");
    }
}

#[test]
fn joined_by_the_names_of_both_families() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (sender, receiver) = pair(&mut net, domain);
        let at = level(domain);
        assert_eq!(put(&mut net.b, receiver, at, MCAST_JOIN_GROUP, &group_request(domain, None)), "OK");
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), "\"hello\"");
        assert_eq!(put(&mut net.b, receiver, at, MCAST_LEAVE_GROUP, &group_request(domain, None)), "OK");
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), "EAGAIN");
    }
}

/// Steps with a source, and whether what it sends is heard after each.
fn sources(domain: i32, steps: &[(i32, &str, bool)], value: impl Fn(i32, &SockAddr) -> Vec<u8>) {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, domain);
    let ours = a(domain, 0);
    for (name, outcome, hears) in steps {
        let value = value(*name, &ours);
        assert_eq!(put(&mut net.b, receiver, level(domain), *name, &value), *outcome, "{name}");
        sent(&mut net, sender, domain);
        assert_eq!(heard(&mut net, receiver), if *hears { "\"hello\"" } else { "EAGAIN" }, "{name}");
    }
}

#[test]
fn sources_by_the_names_of_both_families() {
    for domain in DOMAINS {
        let steps = [
            (MCAST_BLOCK_SOURCE, "EINVAL", false),
            (MCAST_JOIN_GROUP, "OK", true),
            (MCAST_BLOCK_SOURCE, "OK", false),
            (MCAST_JOIN_SOURCE_GROUP, "EINVAL", false),
            (MCAST_UNBLOCK_SOURCE, "OK", true),
            (MCAST_LEAVE_GROUP, "OK", false),
            (MCAST_JOIN_SOURCE_GROUP, "OK", true),
            (MCAST_JOIN_SOURCE_GROUP, "EADDRNOTAVAIL", true),
            (MCAST_LEAVE_SOURCE_GROUP, "OK", false),
        ];
        sources(domain, &steps, |name, source| match name {
            MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP => group_request(domain, None),
            _ => group_request(domain, Some(source)),
        });
    }
}

#[test]
fn sources_by_the_names_of_ipv4() {
    let steps = [
        (IP_ADD_SOURCE_MEMBERSHIP, "OK", true),
        (IP_DROP_SOURCE_MEMBERSHIP, "OK", false),
        (IP_ADD_MEMBERSHIP, "OK", true),
        (IP_BLOCK_SOURCE, "OK", false),
        (IP_UNBLOCK_SOURCE, "OK", true),
    ];
    sources(AF_INET, &steps, |name, source| match name {
        IP_ADD_MEMBERSHIP => membership(AF_INET, ETH),
        _ => [octets(&group(AF_INET, 0)), octets(&b(AF_INET, 0)), octets(source)].concat(),
    });
}

/// A raw socket of the host hears what another of it, or a ping one, sends to a group that the host is in.
#[test]
fn copies_of_raw_and_ping_sockets() {
    for (domain, icmp, request) in [(AF_INET, IPPROTO_ICMP, 8), (AF_INET6, IPPROTO_ICMPV6, 128)] {
        let copies = if domain == AF_INET { IP_MULTICAST_LOOP } else { IPV6_MULTICAST_LOOP };
        for (kind, protocol) in [(SOCK_RAW, 200), (SOCK_DGRAM, icmp)] {
            let mut net = Net::with(Permission::Privileged);
            let member = datagram(&mut net.a, domain);
            let at = level(domain);
            assert_eq!(put(&mut net.a, member, at, names(domain).0, &membership(domain, ETH)), "OK");
            let hearing = net.a.socket(domain, SOCK_RAW, protocol).unwrap();
            let sender = net.a.socket(domain, kind, protocol).unwrap();
            out_by(&mut net.a, sender, domain);
            net.settle();
            net.sent.clear();
            for (value, hears) in [(1, true), (0, false), (1, true)] {
                assert_eq!(set(&mut net.a, net.now, sender, at, copies, value), "OK");
                assert_eq!(int(&mut net.a, net.now, sender, at, copies), value);
                while net.a.try_recv(net.now, hearing, 99, MSG_DONTWAIT).is_ok() {}
                let message = [request, 0, 0, 0, 0, 0, 0, 1];
                assert_eq!(send_to(&mut net.a, net.now, sender, &message, &group(domain, 0)), "8");
                net.settle();
                let heard = recv(&mut net.a, net.now, hearing, 99, 0) != "EAGAIN";
                assert_eq!(heard, hears, "{domain} {kind} {value}");
                assert!(!core::mem::take(&mut net.sent).is_empty(), "the link has it all the same");
            }
        }
    }
}

#[test]
fn limits_copies_and_others_groups() {
    for domain in DOMAINS {
        let at = level(domain);
        let (hops, copies, all) = match domain {
            AF_INET => (IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL),
            _ => (IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MULTICAST_ALL),
        };
        let mut net = Net::new();
        let (sender, receiver) = pair(&mut net, domain);
        let near = datagram(&mut net.a, domain);
        net.a.bind(net.now, near, &any(domain, 9000)).unwrap();
        let other = datagram(&mut net.b, domain);
        assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_REUSEADDR, 1), "OK");
        assert_eq!(set(&mut net.b, net.now, other, SOL_SOCKET, SO_REUSEADDR, 1), "OK");
        net.b.bind(net.now, other, &any(domain, 9000)).unwrap();
        put(&mut net.a, near, at, names(domain).0, &membership(domain, ETH));
        put(&mut net.b, receiver, at, names(domain).0, &membership(domain, ETH));

        let outcome = |net: &mut Net| {
            sent(net, sender, domain);
            let near = recv(&mut net.a, net.now, near, 99, 0) != "EAGAIN";
            [near, heard(net, receiver) != "EAGAIN", heard(net, other) != "EAGAIN"]
        };
        assert_eq!(outcome(&mut net), [true; 3]);
        assert_eq!(int(&mut net.b, net.now, other, at, all), 1);
        assert_eq!(set(&mut net.b, net.now, other, at, all, 0), "OK");
        assert_eq!(outcome(&mut net), [true, true, false]);
        assert_eq!(int(&mut net.a, net.now, sender, at, copies), 1);
        assert_eq!(set(&mut net.a, net.now, sender, at, copies, 0), "OK");
        assert_eq!(outcome(&mut net), [false, true, false]);
        assert_eq!(set(&mut net.a, net.now, sender, at, copies, 1), "OK");
        assert_eq!(int(&mut net.a, net.now, sender, at, hops), 1);
        assert_eq!(set(&mut net.a, net.now, sender, at, hops, 0), "OK");
        assert_eq!(outcome(&mut net), [true, false, false]);
        assert_eq!(set(&mut net.a, net.now, sender, at, hops, 256), "EINVAL");
        assert_eq!(set(&mut net.a, net.now, sender, at, hops, -1), "OK");
        assert_eq!(int(&mut net.a, net.now, sender, at, hops), 1);
    }
}

/// As Linux: what the socket is bound to comes before what IP_MULTICAST_IF names.
#[test]
fn from_which_address() {
    let mut net = Net::new();
    let (_, receiver) = pair(&mut net, AF_INET);
    put(&mut net.b, receiver, SOL_IP, IP_ADD_MEMBERSHIP, &membership(AF_INET, ETH));
    let second = a(AF_INET, 0).to_inet().unwrap().ip().to_string().replace(".1", ".77");
    let link = tapsock_stack::iface::InterfaceId::from_index(ETH as u32).unwrap();
    net.a.stack_mut().add_address(link, format!("{second}/24").parse().unwrap()).unwrap();
    let mut sources = Vec::new();
    for bound in [None, Some(second.clone())] {
        let sender = datagram(&mut net.a, AF_INET);
        assert_eq!(put(&mut net.a, sender, SOL_IP, IP_MULTICAST_IF, &octets(&a(AF_INET, 0))), "OK");
        if let Some(bound) = bound {
            let address = format!("{bound}:0").parse::<std::net::SocketAddr>().unwrap();
            net.a.bind(net.now, sender, &address.into()).unwrap();
        }
        sent(&mut net, sender, AF_INET);
        let datagram = net.b.try_recv(net.now, receiver, 99, 0).unwrap();
        sources.push(datagram.from.unwrap().to_inet().unwrap().ip().to_string());
    }
    assert_eq!(sources[1], second);
    assert_ne!(sources[0], second);
}

#[test]
fn by_which_interface() {
    let mut net = Net::new();
    let receivers = DOMAINS.map(|domain| {
        let receiver = datagram(&mut net.b, domain);
        set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_REUSEADDR, 1);
        net.b.bind(net.now, receiver, &any(domain, 9000)).unwrap();
        put(&mut net.b, receiver, level(domain), names(domain).0, &membership(domain, ETH));
        receiver
    });
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(put(&mut net.a, fd, SOL_IP, IP_MULTICAST_IF, &[192, 0, 2, 1]), "EADDRNOTAVAIL");
    assert_eq!(put(&mut net.a, fd, SOL_IP, IP_MULTICAST_IF, &octets(&a(AF_INET, 0))), "OK");
    let shown = net.a.option(net.now, fd, SOL_IP, IP_MULTICAST_IF).unwrap();
    assert_eq!(shown.as_bytes(), octets(&a(AF_INET, 0)));
    assert_eq!(send_to(&mut net.a, net.now, fd, b"four", &group(AF_INET, 9000)), "4");
    net.settle();
    assert_eq!(heard(&mut net, receivers[0]), "\"four\"");
    let fd = datagram(&mut net.a, AF_INET6);
    assert_eq!(put(&mut net.a, fd, SOL_IPV6, IPV6_MULTICAST_IF, &77i32.to_ne_bytes()), "ENODEV");
    assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MULTICAST_IF), 0);
    assert_eq!(put(&mut net.a, fd, SOL_IPV6, IPV6_MULTICAST_IF, &ETH.to_ne_bytes()), "OK");
    assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MULTICAST_IF), ETH);
    assert_eq!(send_to(&mut net.a, net.now, fd, b"six", &group(AF_INET6, 9000)), "3");
    net.settle();
    assert_eq!(heard(&mut net, receivers[1]), "\"six\"");
}

/// A protocol that nobody has.
const NOBODYS: i32 = 200;

/// A raw socket hears the groups that the host is in, and of those that it is in itself the sources that it wants.
#[test]
fn raw_sockets_are_in_groups() {
    for (domain, level, all) in
        [(AF_INET, SOL_IP, IP_MULTICAST_ALL), (AF_INET6, SOL_IPV6, IPV6_MULTICAST_ALL)]
    {
        let mut net = Net::with(Permission::Privileged);
        let group = in_family(domain, "239.1.1.1", "ff05::1:3", 0);
        let route = if domain == AF_INET { "239.0.0.0/8" } else { "ff05::/16" };
        let route = Route::direct(route.parse().unwrap(), InterfaceId(1));
        net.b.stack_mut().add_route(route).unwrap();
        let [member, other, deaf] = [(); 3].map(|()| net.a.socket(domain, SOCK_RAW, NOBODYS).unwrap());
        let sender = net.b.socket(domain, SOCK_RAW, NOBODYS).unwrap();
        let now = net.now;
        assert_eq!(set(&mut net.a, now, deaf, level, all, 0), "OK");
        assert_eq!(int(&mut net.a, now, deaf, level, all), 0);
        let heard = |net: &mut Net| {
            send_to(&mut net.b, now, sender, b"hello", &group);
            net.settle();
            [member, other, deaf].map(|fd| net.a.try_recv(now, fd, 99, MSG_DONTWAIT).is_ok())
        };
        assert_eq!(heard(&mut net), [false; 3], "the host is not in it");
        let (join, leave, value) = match domain {
            AF_INET => (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, [239, 1, 1, 1, 10, 0, 0, 1].to_vec()),
            _ => {
                let value = [&[0xff, 5][..], &[0; 11], &[1, 0, 3], &2u32.to_ne_bytes()].concat();
                (IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP, value)
            }
        };
        assert_eq!(errno(net.a.set_option(now, member, level, join, &value)), "OK");
        assert_eq!(errno(net.a.set_option(now, member, level, join, &value)), "EADDRINUSE");
        assert_eq!(heard(&mut net), [true, true, false]);
        if domain == AF_INET {
            let blocked = [&value[..], &[10, 0, 0, 2]].concat();
            assert_eq!(errno(net.a.set_option(now, member, level, IP_BLOCK_SOURCE, &blocked)), "OK");
            assert_eq!(heard(&mut net), [false, true, false]);
        }
        assert_eq!(errno(net.a.set_option(now, member, level, leave, &value)), "OK");
        assert_eq!(errno(net.a.set_option(now, member, level, leave, &value)), "EADDRNOTAVAIL");
        assert_eq!(heard(&mut net), [false; 3]);
        // It ends with the socket.
        net.a.set_option(now, member, level, join, &value).unwrap();
        net.a.close(now, member).unwrap();
        assert_eq!(heard(&mut net), [false; 3]);
    }
}

/// `struct ip_msfilter`, or `struct group_filter`, of the group: with sources, and how many there are said to be.
fn filter(name: i32, domain: i32, mode: u32, sources: &[&SockAddr], count: usize) -> Vec<u8> {
    let counts = [mode, count as u32].map(u32::to_ne_bytes).concat();
    let listed = |source: &&SockAddr| match name {
        IP_MSFILTER => octets(source),
        _ => group_request(domain, Some(source))[8 + 128..].to_vec(),
    };
    let head = match name {
        IP_MSFILTER => [octets(&group(AF_INET, 0)), octets(&b(AF_INET, 0))].concat(),
        _ => group_request(domain, None),
    };
    [head, counts, sources.iter().flat_map(listed).collect()].concat()
}

/// As Linux 6.18 answers, which was asked, but that it keeps the order of the sources, and those that are named twice.
//= RFC 3678 §4.1.3, type=test
//= RFC 3678 §4.2.3, type=test
#[test]
fn all_sources_of_a_group_are_named_at_once() {
    const EXCLUDE: u32 = 0;
    const INCLUDE: u32 = 1;
    for (domain, name) in [(AF_INET, IP_MSFILTER), (AF_INET, MCAST_MSFILTER), (AF_INET6, MCAST_MSFILTER)] {
        let mut net = Net::new();
        let (sender, receiver) = pair(&mut net, domain);
        let (ours, level) = (a(domain, 0), level(domain));
        let [other, third] =
            [("10.0.0.7", "fd00::7"), ("10.0.0.9", "fd00::9")].map(|(v4, v6)| in_family(domain, v4, v6, 0));
        let value = |mode, sources: &[&SockAddr]| filter(name, domain, mode, sources, sources.len());
        let set = |net: &mut Net, value: &[u8]| put(&mut net.b, receiver, level, name, value);
        let told = |net: &mut Net, asked: &[u8]| {
            let answer = net.b.option_about(Instant::ZERO, receiver, level, name, asked);
            answer.map(|value| value.as_bytes().to_vec()).map_err(self::name)
        };
        let hears = |net: &mut Net| {
            sent(net, sender, domain);
            heard(net, receiver) == "\"hello\""
        };
        assert_eq!(set(&mut net, &value(EXCLUDE, &[])), "EINVAL", "it is not in the group");
        assert_eq!(set(&mut net, &value(INCLUDE, &[&ours])), "EINVAL");
        assert_eq!(set(&mut net, &value(INCLUDE, &[])), "EADDRNOTAVAIL", "nor can it leave");
        assert_eq!(told(&mut net, &value(EXCLUDE, &[])), Err("EADDRNOTAVAIL"));
        assert_eq!(put(&mut net.b, receiver, level, MCAST_JOIN_GROUP, &group_request(domain, None)), "OK");

        assert_eq!(told(&mut net, &value(INCLUDE, &[])), Ok(value(EXCLUDE, &[])), "all are heard");
        assert_eq!(set(&mut net, &value(EXCLUDE, &[&other, &ours])), "OK");
        assert!(!hears(&mut net));
        let all = [&ours, &other];
        for (room, shown) in [(0, 0), (1, 1), (2, 2), (5, 2)] {
            let asked = filter(name, domain, INCLUDE, &[], room);
            assert_eq!(told(&mut net, &asked), Ok(filter(name, domain, EXCLUDE, &all[..shown], 2)), "{room}");
        }
        assert_eq!(set(&mut net, &value(EXCLUDE, &[&other])), "OK");
        assert!(hears(&mut net));
        assert_eq!(set(&mut net, &value(INCLUDE, &[&other, &third])), "OK");
        assert!(!hears(&mut net));
        assert_eq!(set(&mut net, &value(INCLUDE, &[&ours, &third])), "OK");
        assert!(hears(&mut net));
        let asked = filter(name, domain, EXCLUDE, &[], 9);
        assert_eq!(told(&mut net, &asked), Ok(value(INCLUDE, &[&ours, &third])));

        // What makes no sense changes nothing.
        let whole = value(EXCLUDE, &[&ours]);
        for (value, answer) in [
            (whole[..whole.len() - 1].to_vec(), "EINVAL"),
            (whole[..10].to_vec(), "EINVAL"),
            (value(2, &[]), "EINVAL"),
            (filter(name, domain, EXCLUDE, &[&ours], 2), "EINVAL"),
            (filter(name, domain, EXCLUDE, &[], 65), "ENOBUFS"),
        ] {
            assert_eq!(set(&mut net, &value), answer, "{value:?}");
        }
        assert_eq!(told(&mut net, &asked[..10]), Err("EINVAL"));
        let mut nobodys = asked.clone();
        let at = if name == IP_MSFILTER { 0 } else { 8 + octets(&ours).len().min(8) };
        nobodys[at] = 10;
        assert_eq!(told(&mut net, &nobodys), Err("EINVAL"), "no group");
        assert_eq!(told(&mut net, &asked), Ok(value(INCLUDE, &[&ours, &third])));
        // To hear nobody is to leave.
        assert_eq!(set(&mut net, &value(INCLUDE, &[])), "OK");
        assert!(!hears(&mut net));
        assert_eq!(told(&mut net, &asked), Err("EADDRNOTAVAIL"));
    }
}
