use core::time::Duration;

use tapsock_stack::tcp::CongestionKind;

use super::*;

const STREAM: Subject = Subject { domain: Domain::V4, kind: Kind::Stream };
const STREAM6: Subject = Subject { domain: Domain::V6, kind: Kind::Stream };
const UDP: Subject = Subject { domain: Domain::V4, kind: Kind::Datagram };
const UDP6: Subject = Subject { domain: Domain::V6, kind: Kind::Datagram };
const PING: Subject = Subject { domain: Domain::V4, kind: Kind::Ping };
const LIMITS: Limits = Limits {
    send_max: 4_194_304,
    receive_max: 4_194_304,
    fin_timeout_secs: Some(60),
    fast_open: 1,
    backlog_max: 4096,
    congestion: CongestionSet::ALL,
    privileged: false,
};

fn fresh() -> SocketOptions {
    SocketOptions::new(tcp::SharedOptions::default(), (64, 64))
}

fn set(
    options: &mut SocketOptions,
    subject: Subject,
    option: (i32, i32),
    value: i32,
) -> Result<Change, Errno> {
    options.set(subject, LIMITS, option.0, option.1, &value.to_ne_bytes())
}

fn get(options: &SocketOptions, subject: Subject, option: (i32, i32)) -> Result<i32, Errno> {
    options.get(subject, option.0, option.1).map(|value| value.as_int().unwrap())
}

/// Option, value set, what that says, value shown then: as Linux 6.18 did it.
#[test]
fn values_are_read_and_shown_as_linux_does() {
    const INVAL: Result<(), Errno> = Err(Errno::INVAL);
    const OK: Result<(), Errno> = Ok(());
    for (subject, level, name, value, said, shown) in [
        (STREAM, SOL_SOCKET, SO_REUSEADDR, 3, OK, 1),
        (STREAM, SOL_SOCKET, SO_KEEPALIVE, -5, OK, 1),
        (UDP, SOL_SOCKET, SO_BROADCAST, 1, OK, 1),
        (STREAM, SOL_SOCKET, SO_SNDBUF, 0, OK, 4608),
        (STREAM, SOL_SOCKET, SO_SNDBUF, 2000, OK, 4608),
        (STREAM, SOL_SOCKET, SO_SNDBUF, 5000, OK, 10_000),
        (STREAM, SOL_SOCKET, SO_SNDBUF, 10_000_000, OK, 8_388_608),
        (STREAM, SOL_SOCKET, SO_SNDBUF, -1, OK, 8_388_608),
        (UDP, SOL_SOCKET, SO_SNDBUF, 1, OK, 4608),
        (UDP, SOL_SOCKET, SO_SNDBUF, 5000, OK, 10_000),
        (UDP, SOL_SOCKET, SO_SNDBUF, -1, OK, 8_388_608),
        (UDP, SOL_SOCKET, SO_RCVBUF, 1, OK, 2304),
        (UDP, SOL_SOCKET, SO_RCVBUF, 2000, OK, 4000),
        (STREAM, SOL_TCP, TCP_NODELAY, -2, OK, 1),
        (STREAM, SOL_TCP, TCP_CORK, 7, OK, 1),
        (STREAM, SOL_TCP, TCP_MAXSEG, 87, INVAL, 536),
        (STREAM, SOL_TCP, TCP_MAXSEG, 88, OK, 88),
        (STREAM, SOL_TCP, TCP_MAXSEG, 0, OK, 536),
        (STREAM, SOL_TCP, TCP_MAXSEG, 32_767, OK, 32_767),
        (STREAM, SOL_TCP, TCP_MAXSEG, 32_768, INVAL, 536),
        (STREAM, SOL_TCP, TCP_KEEPIDLE, 0, INVAL, 7200),
        (STREAM, SOL_TCP, TCP_KEEPIDLE, 32_767, OK, 32_767),
        (STREAM, SOL_TCP, TCP_KEEPINTVL, 32_768, INVAL, 75),
        (STREAM, SOL_TCP, TCP_KEEPCNT, 127, OK, 127),
        (STREAM, SOL_TCP, TCP_KEEPCNT, 128, INVAL, 9),
        (STREAM, SOL_TCP, TCP_USER_TIMEOUT, 1234, OK, 1234),
        (STREAM, SOL_TCP, TCP_USER_TIMEOUT, -1, INVAL, 0),
        (STREAM, SOL_IP, IP_MTU_DISCOVER, -1, INVAL, IP_PMTUDISC_WANT),
        (STREAM, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, OK, IP_PMTUDISC_DONT),
        (UDP, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT, OK, IP_PMTUDISC_OMIT),
        (UDP, SOL_IP, IP_MTU_DISCOVER, 6, INVAL, IP_PMTUDISC_WANT),
        (UDP6, SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_PROBE, OK, IP_PMTUDISC_PROBE),
        (STREAM6, SOL_IPV6, IPV6_MTU_DISCOVER, 6, INVAL, IP_PMTUDISC_WANT),
        (STREAM, SOL_IP, IP_TTL, 0, INVAL, 64),
        (STREAM, SOL_IP, IP_TTL, 255, OK, 255),
        (STREAM, SOL_IP, IP_TTL, 256, INVAL, 64),
        (STREAM, SOL_IP, IP_TTL, -1, OK, 64),
        (STREAM6, SOL_IP, IP_TTL, 7, OK, 7),
        (STREAM, SOL_IP, IP_TOS, 7, OK, 4),
        (STREAM, SOL_IP, IP_TOS, 1460, OK, 0xb4),
        (UDP, SOL_IP, IP_TOS, 7, OK, 7),
        (UDP, SOL_IP, IP_TOS, -2, OK, 0xfe),
        (STREAM6, SOL_IPV6, IPV6_UNICAST_HOPS, 0, OK, 0),
        (STREAM6, SOL_IPV6, IPV6_UNICAST_HOPS, -1, OK, 64),
        (STREAM6, SOL_IPV6, IPV6_UNICAST_HOPS, -2, INVAL, 64),
        (STREAM6, SOL_IPV6, IPV6_UNICAST_HOPS, 256, INVAL, 64),
        (STREAM6, SOL_IPV6, IPV6_TCLASS, 255, OK, 252),
        (UDP6, SOL_IPV6, IPV6_TCLASS, 255, OK, 255),
        (UDP6, SOL_IPV6, IPV6_TCLASS, 256, INVAL, 0),
        (STREAM6, SOL_IPV6, IPV6_V6ONLY, 2, OK, 1),
        (UDP, SOL_UDP, UDP_SEGMENT, 65_535, OK, 65_535),
        (UDP, SOL_UDP, UDP_SEGMENT, 65_536, INVAL, 0),
        (UDP, SOL_UDP, UDP_SEGMENT, -1, INVAL, 0),
        (UDP, SOL_UDP, UDP_GRO, 64, OK, 1),
    ] {
        let mut options = fresh();
        let result = set(&mut options, subject, (level, name), value).map(|_| ());
        assert_eq!(result, said, "setting {level}/{name} to {value}");
        assert_eq!(get(&options, subject, (level, name)), Ok(shown), "{level}/{name} after {value}");
    }
}

#[test]
fn levels_and_names_that_are_not_there() {
    let options = fresh();
    for (subject, level, name, on_set, on_get) in [
        (STREAM, SOL_SOCKET, 199, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
        (STREAM, SOL_TCP, 99, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
        (STREAM, SOL_UDP, UDP_GRO, Errno::NOPROTOOPT, Errno::OPNOTSUPP),
        (STREAM, SOL_IPV6, IPV6_V6ONLY, Errno::NOPROTOOPT, Errno::OPNOTSUPP),
        (STREAM, 99, 1, Errno::NOPROTOOPT, Errno::OPNOTSUPP),
        (STREAM6, SOL_UDP, UDP_GRO, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
        (STREAM6, SOL_IPV6, 199, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
        (UDP, SOL_TCP, TCP_NODELAY, Errno::NOPROTOOPT, Errno::OPNOTSUPP),
        (UDP6, SOL_TCP, TCP_NODELAY, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
        (PING, SOL_UDP, UDP_SEGMENT, Errno::NOPROTOOPT, Errno::OPNOTSUPP),
        (PING, SOL_SOCKET, 199, Errno::NOPROTOOPT, Errno::NOPROTOOPT),
    ] {
        assert_eq!(set(&mut fresh(), subject, (level, name), 1), Err(on_set), "set {level}/{name}");
        assert_eq!(get(&options, subject, (level, name)), Err(on_get), "get {level}/{name}");
    }
    for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN] {
        assert_eq!(
            set(&mut fresh(), STREAM, (SOL_SOCKET, name), 1),
            Err(Errno::NOPROTOOPT),
            "{name} is read only"
        );
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let mut options = fresh();
    for (level, name, value, said) in [
        (SOL_SOCKET, SO_REUSEADDR, &[1, 0, 0][..], Err(Errno::INVAL)),
        (SOL_SOCKET, SO_REUSEADDR, &[0, 0, 0, 0, 9], Ok(Change::Transport)),
        (SOL_SOCKET, SO_BROADCAST, &[1, 0, 0, 0], Ok(Change::Kept)),
        (SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0], Err(Errno::INVAL)),
        (SOL_SOCKET, SO_RCVTIMEO, &[1; 15], Err(Errno::INVAL)),
        (SOL_SOCKET, 199, &[], Err(Errno::INVAL)),
        (SOL_TCP, TCP_NODELAY, &[1], Err(Errno::INVAL)),
        (SOL_TCP, TCP_CONGESTION, &[], Err(Errno::INVAL)),
        (SOL_IP, IP_TTL, &[], Err(Errno::INVAL)),
        (SOL_IP, IP_FREEBIND, &[], Err(Errno::INVAL)),
        (SOL_IP, IP_TTL, &[5], Ok(Change::Transport)),
        (SOL_IP, IP_TOS, &[], Ok(Change::Transport)),
        (SOL_IP, 199, &[1], Err(Errno::NOPROTOOPT)),
    ] {
        assert_eq!(options.set(STREAM, LIMITS, level, name, value), said, "{level}/{name} {value:?}");
    }
    assert_eq!(get(&options, STREAM, (SOL_IP, IP_TTL)), Ok(5));
    for (name, value) in [(IPV6_V6ONLY, &[1][..]), (IPV6_UNICAST_HOPS, &[]), (IPV6_TCLASS, &[1, 1, 1])] {
        assert_eq!(options.set(STREAM6, LIMITS, SOL_IPV6, name, value), Err(Errno::INVAL), "{name}");
    }
}

#[test]
fn timeouts_in_seconds_and_microseconds() {
    let timeval = |secs: i64, micros: i64| [secs.to_ne_bytes(), micros.to_ne_bytes()].concat();
    for (secs, micros, said, kept) in [
        (1, 500_000, Ok(Change::Kept), Some(Duration::from_millis(1500))),
        (0, 0, Ok(Change::Kept), None),
        (-1, 0, Ok(Change::Kept), Some(Duration::ZERO)),
        (1, 1_000_000, Err(Errno::DOM), None),
        (1, -1, Err(Errno::DOM), None),
    ] {
        let mut options = fresh();
        let value = timeval(secs, micros);
        assert_eq!(options.set(STREAM, LIMITS, SOL_SOCKET, SO_RCVTIMEO, &value), said);
        assert_eq!(options.rare().receive_timeout, kept, "{secs} {micros}");
        assert_eq!(options.rare().send_timeout, None);
    }
    let mut options = fresh();
    options.set(UDP, LIMITS, SOL_SOCKET, SO_SNDTIMEO, &timeval(3, 7)).unwrap();
    let shown = options.get(UDP, SOL_SOCKET, SO_SNDTIMEO).unwrap();
    assert_eq!(shown.as_bytes(), timeval(3, 7));
    assert_eq!(shown.as_duration(), Some(Duration::new(3, 7_000)));
    assert_eq!(fresh().get(UDP, SOL_SOCKET, SO_RCVTIMEO).unwrap().as_duration(), None);
}

#[test]
fn linger_keeps_both_halves() {
    let mut options = fresh();
    let pair = |on: i32, secs: i32| [on.to_ne_bytes(), secs.to_ne_bytes()].concat();
    options.set(STREAM, LIMITS, SOL_SOCKET, SO_LINGER, &pair(7, 3)).unwrap();
    assert_eq!(options.get(STREAM, SOL_SOCKET, SO_LINGER).unwrap().as_bytes(), pair(1, 3));
    options.set(STREAM, LIMITS, SOL_SOCKET, SO_LINGER, &pair(0, 9)).unwrap();
    assert_eq!(options.rare().linger, Linger { on: false, secs: 9 });
}

#[test]
fn congestion_control_by_name() {
    for (name, said) in [
        (&b"reno"[..], Ok("reno")),
        (b"cubic\0", Ok("cubic")),
        (b"reno\0junk", Ok("reno")),
        (b"nosuch", Err(Errno::NOENT)),
        (b"ren", Err(Errno::NOENT)),
        (b"renoXXXXXXXXXXXXXXXXXXXX", Err(Errno::NOENT)),
        (b"\xff\xff", Err(Errno::NOENT)),
    ] {
        let mut options = fresh();
        let result = options.set(STREAM, LIMITS, SOL_TCP, TCP_CONGESTION, name);
        assert_eq!(result.map(|_| options.tcp.congestion.name()), said, "{name:?}");
    }
    let shown = fresh().get(STREAM, SOL_TCP, TCP_CONGESTION).unwrap();
    assert_eq!(shown.as_bytes(), b"cubic\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn a_fixed_buffer_no_longer_grows() {
    let mut options = fresh();
    assert!(options.tcp.send_buffer_max.is_some() && options.tcp.receive_buffer_max.is_some());
    set(&mut options, STREAM, (SOL_SOCKET, SO_SNDBUF), 50_000).unwrap();
    set(&mut options, STREAM, (SOL_SOCKET, SO_RCVBUF), 50_000).unwrap();
    assert_eq!((options.tcp.send_buffer, options.tcp.send_buffer_max), (100_000, None));
    assert_eq!((options.tcp.receive_buffer, options.tcp.receive_buffer_max), (100_000, None));
}

#[test]
fn each_family_has_its_hop_limit_and_class() {
    let mut options = fresh();
    set(&mut options, STREAM6, (SOL_IP, IP_TTL), 9).unwrap();
    set(&mut options, STREAM6, (SOL_IPV6, IPV6_TCLASS), 0x20).unwrap();
    let (v4, v6) = (options.for_connection(Domain::V4), options.for_connection(Domain::V6));
    assert_eq!((v4.hop_limit, v4.traffic_class), (Some(9), 0));
    assert_eq!((v6.hop_limit, v6.traffic_class), (None, 0x20));
}

#[test]
fn what_a_socket_is_can_be_asked() {
    for (subject, shown) in [
        (STREAM, [SOCK_STREAM, AF_INET, IPPROTO_TCP]),
        (STREAM6, [SOCK_STREAM, AF_INET6, IPPROTO_TCP]),
        (UDP, [SOCK_DGRAM, AF_INET, IPPROTO_UDP]),
        (PING, [SOCK_DGRAM, AF_INET, IPPROTO_ICMP]),
        (Subject { domain: Domain::V6, kind: Kind::Ping }, [SOCK_DGRAM, AF_INET6, IPPROTO_ICMPV6]),
    ] {
        let names = [SO_TYPE, SO_DOMAIN, SO_PROTOCOL];
        assert_eq!(names.map(|name| get(&fresh(), subject, (SOL_SOCKET, name)).unwrap()), shown);
    }
}

/// What nothing here keeps to is not taken, rather than taken without effect.
#[test]
fn what_would_not_act_is_refused() {
    let ping6 = Subject { domain: Domain::V6, kind: Kind::Ping };
    for subject in [UDP, PING, ping6] {
        let pace = (SOL_SOCKET, SO_MAX_PACING_RATE);
        assert_eq!(set(&mut fresh(), subject, pace, 9), Err(Errno::NOPROTOOPT));
        assert_eq!(get(&fresh(), subject, pace), Err(Errno::NOPROTOOPT));
    }
    assert_eq!(set(&mut fresh(), STREAM, (SOL_IP, IP_MULTICAST_TTL), 9), Err(Errno::INVAL));
    assert_eq!(set(&mut fresh(), STREAM6, (SOL_IPV6, IPV6_MULTICAST_HOPS), 9), Err(Errno::NOPROTOOPT));
}

#[test]
fn an_algorithm_that_is_not_allowed_is_for_the_privileged() {
    let mut options = fresh();
    let congestion = [CongestionKind::Reno].into_iter().collect();
    let limits = Limits { congestion, ..LIMITS };
    assert_eq!(options.set(STREAM, limits, SOL_TCP, TCP_CONGESTION, b"cubic"), Err(Errno::PERM));
    assert!(options.set(STREAM, limits, SOL_TCP, TCP_CONGESTION, b"reno").is_ok());
    let privileged = Limits { privileged: true, ..limits };
    assert!(options.set(STREAM, privileged, SOL_TCP, TCP_CONGESTION, b"cubic").is_ok());
}
