//! How calls are drawn, for sockets of one sort.

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;
use tapsock::bsd::*;

use super::sequence::SOCKETS_MAX;
use super::{InetOp, Ip, Port, Shape, Sort, Target, groups};
use crate::differential::common::{Avoided, common_op};
use crate::differential::{ControlMessage, Room};

/// A family that is none of the internet's.
const AF_NETLINK: u16 = 16;
/// Messages that one call sends or receives at most.
const MANY: usize = 4;

pub(super) fn op(sort: Sort) -> BoxedStrategy<InetOp> {
    let keeps_back = !sort.is_stream() && (sort.has_v6() || !sort.is_udp());
    let avoided = Avoided { edges_of_room: !sort.is_stream(), end_of_file: keeps_back };
    prop_oneof![
        12 => beginnings(sort),
        10 => transfers(sort),
        3 => endings(),
        4 => options(sort),
        6 => common_op(SOCKETS_MAX, avoided).prop_map(InetOp::Common),
    ]
    .boxed()
}

fn target(sort: Sort) -> impl Strategy<Value = Target> + Clone {
    let v4 = [(Ip::Any4, 4), (Ip::Lo4, 8), (Ip::Second4, 2), (Ip::Foreign4, 1), (Ip::Group4, 2)];
    let v6 = [(Ip::Any6, 4), (Ip::Lo6, 8), (Ip::Foreign6, 1), (Ip::Group6, 2)];
    let mapped = [(Ip::MappedAny, 1), (Ip::MappedLo, 3), (Ip::MappedForeign, 1)];
    let (has4, has6) = (sort.domains.contains(&AF_INET), sort.has_v6());
    let weighted = |ips: &[(Ip, u32)], factor: u32| -> Vec<(u32, Just<Ip>)> {
        ips.iter().map(|(ip, weight)| (weight * factor, Just(*ip))).collect()
    };
    // A few of the other family, where it has no sockets.
    let all = [
        weighted(&v4, if has4 { 8 } else { 1 }),
        weighted(&v6, if has6 { 8 } else { 1 }),
        weighted(&mapped, if has4 && has6 { 8 } else { 2 }),
    ];
    let ip = prop::strategy::Union::new_weighted(all.concat());
    let port = prop_oneof![
        1 => Just(Port::Zero),
        4 => (0u8..4).prop_map(Port::Slot),
        6 => (0..SOCKETS_MAX).prop_map(Port::Of),
    ];
    let cuts = vec![0, 1, 2, 4, 8, 15, 16, 23, 24, 27];
    let shape = prop_oneof![
        30 => Just(Shape::Whole),
        1 => prop::sample::select(cuts).prop_map(Shape::Cut),
        1 => prop::sample::select(vec![28, 32, 128, 129]).prop_map(Shape::Padded),
        1 => prop::sample::select(vec![AF_INET6 as u16, AF_NETLINK, 99]).prop_map(Shape::Family),
    ];
    (ip, port, shape).prop_map(move |(ip, port, shape)| match shape {
        // An IPv6 socket is told of `sockaddr_in` only that it is one: see the table of differences.
        Shape::Padded(_) if has6 && ip.address().is_ipv4() => Target::new(ip, port),
        shape => Target { ip, port, shape },
    })
}

/// The four letters of `reno`, as an `int`.
const RENO: i32 = i32::from_ne_bytes(*b"reno");

/// Calls that make sockets and connect them.
fn beginnings(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    let which = 0usize..4;
    let flags = prop_oneof![
        9 => Just(SOCK_NONBLOCK),
        1 => Just(SOCK_NONBLOCK | SOCK_CLOEXEC),
        1 => Just(SOCK_CLOEXEC),
        1 => Just(0),
        1 => Just(1),
    ];
    let to = prop_oneof![1 => Just(Target::UNSPEC), 9 => target(sort)];
    let triple = (
        prop::sample::select(vec![AF_INET, AF_INET6, AF_UNSPEC, 45, 99, -1]),
        prop::sample::select(vec![SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RDM, 0, 7, 11, -1]),
        prop::sample::select(vec![0, IPPROTO_TCP, IPPROTO_UDP, 255, 256, 263, -1]),
    );
    prop_oneof![
        4 => which.clone().prop_map(|which| InetOp::Socket { which }),
        1 => triple.prop_map(|(domain, kind, protocol)| InetOp::Triple { domain, kind, protocol }),
        3 => which.clone().prop_map(|which| InetOp::Listener { which }),
        4 => which.prop_map(|which| InetOp::Connection { which }),
        1 => at.clone().prop_map(|at| InetOp::Dup { at }),
        5 => (at.clone(), target(sort)).prop_map(|(at, to)| InetOp::Bind { at, to }),
        4 => (at.clone(), -1i32..4).prop_map(|(at, backlog)| InetOp::Listen { at, backlog }),
        7 => (at.clone(), flags).prop_map(|(at, flags)| InetOp::Accept { at, flags }),
        9 => (at.clone(), to).prop_map(|(at, to)| InetOp::Connect { at, to }),
        2 => at.prop_map(|at| InetOp::Names { at }),
    ]
}

/// Calls that send and receive.
fn transfers(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    let len = prop_oneof![8 => 0usize..17, 2 => 0usize..1500];
    let often = if sort.is_stream() { 1 } else { 8 };
    let to = prop_oneof![6 => Just(None), often => target(sort).prop_map(Some)];
    let urgent = if sort.is_stream() { 0.15 } else { 0.0 };
    let zero_copy = if sort.is_stream() || sort.is_udp() { 0.1 } else { 0.0 };
    let sent =
        [(MSG_DONTWAIT, 0.2), (MSG_EOR, 0.1), (MSG_MORE, 0.1), (MSG_CONFIRM, 0.1), (MSG_ZEROCOPY, zero_copy)];
    let send_flags = flags(&[&sent[..], &[(MSG_OOB, urgent)]].concat());
    let many_flags = flags(&sent);
    let recv_flags = flags(&[
        (MSG_DONTWAIT, 0.2),
        (MSG_PEEK, 0.3),
        (MSG_WAITALL, 0.1),
        (MSG_TRUNC, 0.2),
        (MSG_OOB, urgent),
        (MSG_ERRQUEUE, 0.1),
        (MSG_CMSG_CLOEXEC, 0.1),
    ]);
    let many_recv_flags =
        flags(&[(MSG_DONTWAIT, 0.2), (MSG_WAITFORONE, 0.3), (MSG_PEEK, 0.1), (MSG_TRUNC, 0.2)]);
    let lens = prop::collection::vec(len.clone(), 0..MANY);
    let control = prop_oneof![4 => Just(Vec::new()), 1 => control(sort)];
    let sizes = prop::collection::vec(prop_oneof![8 => 0usize..40, 1 => 0usize..4000], 1..MANY);
    prop_oneof![
        2 => (at.clone(), prop::collection::vec(len.clone(), 1..MANY))
            .prop_map(|(at, lens)| InetOp::Write { at, lens }),
        3 => (at.clone(), sizes).prop_map(|(at, sizes)| InetOp::Read { at, sizes }),
        10 => (at.clone(), len, send_flags, to.clone(), control)
            .prop_map(|(at, len, flags, to, control)| InetOp::Send { at, len, flags, to, control }),
        2 => (at.clone(), lens, many_flags, to)
            .prop_map(|(at, lens, flags, to)| InetOp::SendMany { at, lens, flags, to }),
        12 => (at.clone(), room(), recv_flags).prop_map(|(at, room, flags)| InetOp::Recv { at, room, flags }),
        2 => (at, prop::collection::vec(room(), 0..MANY), many_recv_flags)
            .prop_map(|(at, rooms, flags)| InetOp::RecvMany { at, rooms, flags }),
    ]
}

fn room() -> impl Strategy<Value = Room> {
    let data = prop_oneof![8 => 0usize..40, 1 => 0usize..4000];
    let control = prop_oneof![4 => Just(0usize), 4 => Just(512), 2 => 0usize..120];
    (data, control).prop_map(|(data, control)| Room { data, control })
}

fn flags(each: &[(i32, f64)]) -> BoxedStrategy<i32> {
    each.iter().fold(Just(0).boxed(), |others, (flag, often)| {
        let flag = *flag;
        (others, prop::bool::weighted(*often))
            .prop_map(move |(others, set)| if set { others | flag } else { others })
            .boxed()
    })
}

/// Control messages of a send: one or two, and now and then one that says that it is longer or shorter than it is.
fn control(sort: Sort) -> impl Strategy<Value = Vec<u8>> {
    // Which of two complaints comes first is nobody's business: one message at the most is worth one.
    let good = ControlMessage { level: SOL_SOCKET, kind: SO_PRIORITY, data: 3i32.to_ne_bytes().to_vec() };
    let before = prop_oneof![3 => Just(None), 1 => Just((!sort.is_ping()).then_some(good))];
    let claims = prop_oneof![20 => Just(None), 1 => (0u8..40).prop_map(Some)];
    (before, prop::sample::select(sendable(sort)), claims).prop_map(|(before, message, claims)| {
        let messages: Vec<_> = before.into_iter().chain([message]).collect();
        let mut bytes: Vec<u8> = messages.iter().flat_map(ControlMessage::bytes).collect();
        if let Some(claim) = claims {
            bytes[0] = claim;
        }
        bytes
    })
}

fn sendable(sort: Sort) -> Vec<ControlMessage> {
    let mut all = Vec::new();
    let mut one = |level, kind, data: &[u8]| all.push(ControlMessage { level, kind, data: data.to_vec() });
    for number in [-1i32, 0, 1, 64, 300] {
        one(SOL_IP, IP_TTL, &number.to_ne_bytes());
        one(SOL_IP, IP_TOS, &number.to_ne_bytes());
        one(SOL_IPV6, IPV6_HOPLIMIT, &number.to_ne_bytes());
        // What -1 means the table of differences knows.
        if number != -1 {
            one(SOL_IPV6, IPV6_TCLASS, &number.to_ne_bytes());
        }
        one(SOL_SOCKET, SO_MARK, &number.to_ne_bytes());
    }
    one(SOL_IP, IP_TOS, &[4]);
    one(SOL_IP, IP_TTL, &[4, 0]);
    for (interface, ip) in
        [(0, Ip::Lo4), (1, Ip::Lo4), (0, Ip::Second4), (1, Ip::Any4), (9, Ip::Lo4), (0, Ip::Foreign4)]
    {
        let IpAddr::V4(source) = ip.address() else { continue };
        let interface: i32 = interface;
        one(SOL_IP, IP_PKTINFO, &[&interface.to_ne_bytes()[..], &source.octets(), &[0; 4]].concat());
    }
    for (interface, ip) in
        [(0, Ip::Lo6), (1, Ip::Lo6), (0, Ip::Any6), (9, Ip::Lo6), (0, Ip::Foreign6), (0, Ip::MappedLo)]
    {
        let source = match ip.address() {
            IpAddr::V6(address) => address,
            IpAddr::V4(_) => Ipv6Addr::LOCALHOST,
        };
        let interface: i32 = interface;
        one(SOL_IPV6, IPV6_PKTINFO, &[&source.octets()[..], &interface.to_ne_bytes()].concat());
    }
    if sort.is_udp() {
        for size in [0u16, 3, 2000] {
            one(SOL_UDP, UDP_SEGMENT, &size.to_ne_bytes());
        }
    }
    // Those that nobody knows.
    for (level, kind) in [(SOL_SOCKET, 999), (SOL_IP, 99), (SOL_IPV6, 99), (99, 1)] {
        one(level, kind, &[0; 4]);
    }
    all
}

/// Calls that end something.
fn endings() -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    prop_oneof![
        2 => (at.clone(), -1i32..4).prop_map(|(at, how)| InetOp::Shutdown { at, how }),
        3 => at.prop_map(|at| InetOp::Close { at }),
    ]
}

fn options(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    // Without it again, an address of IPv6 that is left would be an invented one of IPv4 to Linux.
    let mut set: Vec<(i32, i32, Vec<i32>)> = vec![(SOL_IPV6, IPV6_V6ONLY, vec![1])];
    for value in 0..2 {
        set.push((SOL_SOCKET, SO_REUSEADDR, vec![value]));
        set.push((SOL_SOCKET, SO_REUSEPORT, vec![value]));
        set.push((SOL_IP, IP_BIND_ADDRESS_NO_PORT, vec![value]));
        if sort.is_stream() {
            set.push((SOL_SOCKET, SO_TIMESTAMP, vec![value]));
            set.push((SOL_IP, IP_RECVERR, vec![value]));
            set.push((SOL_IPV6, IPV6_RECVERR, vec![value]));
            set.push((SOL_SOCKET, SO_LINGER, vec![value, 0]));
            set.push((SOL_SOCKET, SO_RCVLOWAT, vec![1 + 3 * value]));
            set.push((SOL_TCP, TCP_NODELAY, vec![value]));
            set.push((SOL_SOCKET, SO_OOBINLINE, vec![value]));
            set.push((SOL_TCP, TCP_CORK, vec![value]));
            set.push((SOL_TCP, TCP_QUICKACK, vec![value]));
            set.push((SOL_TCP, TCP_INQ, vec![value]));
            set.push((SOL_TCP, TCP_SAVE_SYN, vec![value]));
            set.push((SOL_SOCKET, SO_KEEPALIVE, vec![value]));
            for name in [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2] {
                set.push((SOL_TCP, name, vec![7 + value]));
            }
            set.push((SOL_TCP, TCP_MAXSEG, vec![500 + 500 * value]));
            set.push((SOL_TCP, TCP_USER_TIMEOUT, vec![60_000 * value]));
            set.push((SOL_TCP, TCP_NOTSENT_LOWAT, vec![i32::MAX * value]));
            set.push((SOL_TCP, TCP_CONGESTION, vec![RENO]));
            set.push((SOL_TCP, TCP_DEFER_ACCEPT, vec![3 * value]));
            set.push((SOL_TCP, TCP_WINDOW_CLAMP, vec![20_000 * value]));
            set.push((SOL_TCP, TCP_FASTOPEN, vec![5 * value]));
            set.push((SOL_TCP, TCP_FASTOPEN_CONNECT, vec![value]));
            set.push((SOL_TCP, TCP_FASTOPEN_NO_COOKIE, vec![value]));
        }
        if sort.is_stream() || sort.is_udp() {
            set.push((SOL_SOCKET, SO_ZEROCOPY, vec![value]));
        }
        if sort.is_udp() {
            set.push((SOL_UDP, UDP_CORK, vec![value]));
            set.push((SOL_UDP, UDP_GRO, vec![value]));
            set.push((SOL_UDP, UDP_SEGMENT, vec![5 * value]));
        }
        set.push((SOL_SOCKET, SO_PEEK_OFF, vec![4 * value - 1]));
        // More than all that a sequence sends, and of streams the least that there is: what little holds of datagrams, and
        // of reports, depends on what each is charged.
        let least = if sort.is_stream() { 0 } else { 60_000 };
        set.push((SOL_SOCKET, SO_SNDBUF, vec![least.max(100_000 * value)]));
        set.push((SOL_SOCKET, SO_RCVBUF, vec![least.max(100_000 * value)]));
    }
    let told = [
        (SOL_SOCKET, SO_TIMESTAMP),
        (SOL_IP, IP_PKTINFO),
        (SOL_IP, IP_RECVTTL),
        (SOL_IP, IP_RECVTOS),
        (SOL_IP, IP_RECVORIGDSTADDR),
        (SOL_IP, IP_RECVERR),
        (SOL_IPV6, IPV6_RECVPKTINFO),
        (SOL_IPV6, IPV6_RECVHOPLIMIT),
        (SOL_IPV6, IPV6_RECVTCLASS),
        (SOL_IPV6, IPV6_RECVORIGDSTADDR),
        (SOL_IPV6, IPV6_RECVERR),
    ];
    let told = if sort.is_stream() { &told[..0] } else { &told[..] };
    let told: Vec<_> =
        told.iter().flat_map(|(level, name)| [1, 1, 1, 0].map(|on| (*level, *name, vec![on]))).collect();
    let get = vec![
        (SOL_SOCKET, SO_ERROR),
        (SOL_SOCKET, SO_ERROR),
        (SOL_SOCKET, SO_ACCEPTCONN),
        (SOL_SOCKET, SO_TYPE),
        (SOL_SOCKET, SO_DOMAIN),
        (SOL_SOCKET, SO_PROTOCOL),
        (SOL_SOCKET, SO_PEEK_OFF),
    ];
    let lists = [set, told, groups::of_groups(sort), groups::of_raw(sort)];
    let lists = lists.into_iter().filter(|list| !list.is_empty());
    let set = prop::strategy::Union::new(lists.map(prop::sample::select));
    prop_oneof![
        3 => (at.clone(), set)
            .prop_map(|(at, (level, name, value))| InetOp::SetOption { at, level, name, value }),
        3 => (at, prop::sample::select(get)).prop_map(|(at, (level, name))| InetOp::Option { at, level, name }),
    ]
}
