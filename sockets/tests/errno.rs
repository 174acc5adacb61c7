//! Which errno each call gives, as Linux 6.18 gave it for the same call.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, SockAddr, Stop, UnixAddr};

#[test]
fn triples_of_socket() {
    let mut net = Net::new();
    for (domain, kind, protocol, expected) in [
        (AF_UNSPEC, SOCK_STREAM, 0, "EAFNOSUPPORT"),
        (AF_UNIX, SOCK_STREAM, 0, "EAFNOSUPPORT"),
        (16, SOCK_STREAM, 0, "EAFNOSUPPORT"),
        (99, 15, 0, "EAFNOSUPPORT"),
        (-1, SOCK_STREAM, 0, "EAFNOSUPPORT"),
        (AF_INET, SOCK_STREAM, 0, "OK"),
        (AF_INET, SOCK_STREAM, IPPROTO_TCP, "OK"),
        (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, "OK"),
        (AF_INET, SOCK_STREAM | 0x100, 0, "EINVAL"),
        (AF_INET, SOCK_STREAM | 0x10000, 0, "EINVAL"),
        (AF_INET, SOCK_STREAM, IPPROTO_UDP, "EPROTONOSUPPORT"),
        (AF_INET, SOCK_STREAM, IPPROTO_ICMP, "EPROTONOSUPPORT"),
        (AF_INET, SOCK_STREAM, -1, "EINVAL"),
        (AF_INET, SOCK_STREAM, 263, "EINVAL"),
        (AF_INET, SOCK_DGRAM, IPPROTO_UDP, "OK"),
        (AF_INET, SOCK_DGRAM, IPPROTO_TCP, "EPROTONOSUPPORT"),
        (AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "OK"),
        (AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, "EPROTONOSUPPORT"),
        (AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "OK"),
        (AF_INET6, SOCK_DGRAM, IPPROTO_ICMP, "EPROTONOSUPPORT"),
        (AF_INET6, SOCK_STREAM, IPPROTO_TCP, "OK"),
        (AF_INET, 0, 0, "ESOCKTNOSUPPORT"),
        (AF_INET, SOCK_RDM, 0, "ESOCKTNOSUPPORT"),
        (AF_INET, SOCK_SEQPACKET, 0, "ESOCKTNOSUPPORT"),
        (AF_INET6, SOCK_SEQPACKET, IPPROTO_TCP, "ESOCKTNOSUPPORT"),
        (AF_INET, SOCK_SEQPACKET, -1, "EINVAL"),
        (AF_INET, 11, 0, "EINVAL"),
        (AF_INET, 15, 0, "EINVAL"),
    ] {
        let result = errno(net.a.socket(domain, kind, protocol));
        assert_eq!(result, expected, "socket({domain}, {kind:#x}, {protocol})");
    }
}

#[test]
fn ids_are_the_lowest_free_ones_up_to_the_limit() {
    let Net { mut a, now, .. } = Net::new();
    a.set_limit(3);
    for number in 0..3 {
        assert_eq!(a.socket(AF_INET, SOCK_DGRAM, 0), Ok(Fd(number)));
    }
    assert_eq!(a.socket(AF_INET, SOCK_STREAM, 0), Err(Errno::MFILE));
    a.close(now, Fd(1)).unwrap();
    assert_eq!(a.socket(AF_INET, SOCK_STREAM, 0), Ok(Fd(1)));
    assert_eq!(errno(a.close(now, Fd(3))), "EBADF");
    assert_eq!(errno(a.close(now, Fd(-1))), "EBADF");
}

#[test]
fn bind_looks_at_the_address_in_linux_order() {
    let unix_short = SockAddr::Unix(UnixAddr::path(b"/tmp/x").unwrap());
    let unix_long = SockAddr::Unix(UnixAddr::path(&[b'x'; 100]).unwrap());
    let zero = SockAddr::Unspec(Some("0.0.0.0:5001".parse().unwrap()));
    let ours = SockAddr::Unspec(Some("127.0.0.1:5001".parse().unwrap()));
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let group = if kind == SOCK_STREAM { "EINVAL" } else { "OK" };
        for (domain, address, expected) in [
            (AF_INET, unix_short, "EINVAL"),
            (AF_INET, unix_long, "EAFNOSUPPORT"),
            (AF_INET, addr("::1", 5000), "EAFNOSUPPORT"),
            (AF_INET, SockAddr::Unspec(None), "EINVAL"),
            (AF_INET, zero, "OK"),
            (AF_INET, ours, "EAFNOSUPPORT"),
            (AF_INET, addr("0.0.0.0", 5000), "OK"),
            (AF_INET, addr("127.9.9.9", 5000), "OK"),
            (AF_INET, addr("9.9.9.9", 5000), "EADDRNOTAVAIL"),
            (AF_INET, addr("9.9.9.9", 80), "EADDRNOTAVAIL"),
            (AF_INET, addr("127.0.0.1", 80), "EACCES"),
            (AF_INET, addr("127.0.0.1", 1024), "EACCES"),
            (AF_INET, addr("127.0.0.1", 1025), "OK"),
            (AF_INET, addr("224.0.0.5", 5003), "OK"),
            (AF_INET, addr("255.255.255.255", 5004), "OK"),
            (AF_INET, addr("10.0.0.255", 5005), "OK"),
            (AF_INET6, unix_long, "EAFNOSUPPORT"),
            (AF_INET6, addr("127.0.0.1", 5000), "EINVAL"),
            (AF_INET6, zero, "EINVAL"),
            (AF_INET6, addr("::", 5000), "OK"),
            (AF_INET6, addr("fd99::1", 5000), "EADDRNOTAVAIL"),
            (AF_INET6, addr("fd99::1", 80), "EACCES"),
            (AF_INET6, addr("ff0e::1", 5000), group),
            (AF_INET6, addr("::ffff:127.0.0.1", 5007), "OK"),
            (AF_INET6, addr("::ffff:9.9.9.9", 5007), "EADDRNOTAVAIL"),
            (AF_INET6, addr("::ffff:0.0.0.0", 5008), "OK"),
            (AF_INET6, addr("fe80::1", 5010), "EINVAL"),
            (AF_INET6, scoped("fe80::1", 5010, 1), "EADDRNOTAVAIL"),
            (AF_INET6, scoped("fe80::1", 5010, 99), "ENODEV"),
        ] {
            let Net { mut a, now, .. } = Net::new();
            let fd = a.socket(domain, kind, 0).unwrap();
            assert_eq!(errno(a.bind(now, fd, &address)), expected, "bind({domain}, {kind}, {address})");
            if expected == "OK" {
                let shown = a.local_address(fd).unwrap();
                let wanted = if address == zero { addr("0.0.0.0", 5001) } else { address };
                assert_eq!(shown, wanted);
            }
        }
    }
}

#[test]
fn the_bad_scope_of_a_good_address_is_not_shown() {
    let Net { mut a, now, .. } = Net::new();
    let fd = stream(&mut a, AF_INET6);
    a.bind(now, fd, &scoped("::1", 5011, 1)).unwrap();
    assert_eq!(a.local_address(fd), Ok(addr("::1", 5011)));
}

#[test]
fn an_address_belongs_to_one_socket() {
    for domain in DOMAINS {
        for kind in [SOCK_STREAM, SOCK_DGRAM] {
            let Net { mut a, now, .. } = Net::new();
            let [first, second] = [0; 2].map(|_| a.socket(domain, kind, 0).unwrap());
            let local = in_family(domain, "127.0.0.1", "::1", 5000);
            assert_eq!(errno(a.bind(now, first, &any(domain, 5000))), "OK");
            assert_eq!(errno(a.bind(now, first, &any(domain, 5000))), "EINVAL");
            assert_eq!(errno(a.bind(now, first, &local)), "EINVAL");
            assert_eq!(errno(a.bind(now, second, &any(domain, 5000))), "EADDRINUSE");
            assert_eq!(errno(a.bind(now, second, &local)), "EADDRINUSE");
            assert_eq!(errno(a.bind(now, second, &in_family(domain, "127.0.0.1", "::1", 5001))), "OK");
            a.close(now, first).unwrap();
            let third = a.socket(domain, kind, 0).unwrap();
            assert_eq!(errno(a.bind(now, third, &any(domain, 5000))), "OK");
        }
    }
}

#[test]
fn reuse_lets_several_sockets_share() {
    let Net { mut a, now, .. } = Net::new();
    for (option, kind) in
        [(SO_REUSEADDR, SOCK_DGRAM), (SO_REUSEPORT, SOCK_DGRAM), (SO_REUSEPORT, SOCK_STREAM)]
    {
        let [first, second, third] = [0; 3].map(|_| a.socket(AF_INET, kind, 0).unwrap());
        for fd in [first, second] {
            assert_eq!(set(&mut a, now, fd, SOL_SOCKET, option, 1), "OK");
        }
        assert_eq!(errno(a.bind(now, first, &any(AF_INET, 6000))), "OK");
        assert_eq!(errno(a.bind(now, second, &any(AF_INET, 6000))), "OK");
        assert_eq!(errno(a.bind(now, third, &any(AF_INET, 6000))), "EADDRINUSE");
        for fd in [first, second, third] {
            a.close(now, fd).unwrap();
        }
    }
}

#[test]
fn reuse_may_come_after_bind() {
    let Net { mut a, now, .. } = Net::new();
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        for option in [SO_REUSEADDR, SO_REUSEPORT] {
            let [first, second] = [0; 2].map(|_| a.socket(AF_INET, kind, 0).unwrap());
            assert_eq!(set(&mut a, now, second, SOL_SOCKET, option, 1), "OK");
            assert_eq!(errno(a.bind(now, first, &any(AF_INET, 6000))), "OK");
            assert_eq!(errno(a.bind(now, second, &any(AF_INET, 6000))), "EADDRINUSE");
            assert_eq!(set(&mut a, now, first, SOL_SOCKET, option, 1), "OK");
            assert_eq!(errno(a.bind(now, second, &any(AF_INET, 6000))), "OK");
            a.close(now, first).unwrap();
            a.close(now, second).unwrap();
        }
    }
}

#[test]
fn a_listening_address_is_not_shared_by_reuseaddr() {
    let Net { mut a, now, .. } = Net::new();
    let [first, second, third] = [0; 3].map(|_| {
        let fd = stream(&mut a, AF_INET);
        a.set_option(now, fd, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes()).unwrap();
        fd
    });
    assert_eq!(errno(a.bind(now, first, &any(AF_INET, 6000))), "OK");
    assert_eq!(errno(a.bind(now, second, &any(AF_INET, 6000))), "OK");
    assert_eq!(errno(a.listen(now, first, 5)), "OK");
    assert_eq!(errno(a.listen(now, second, 5)), "EADDRINUSE");
    assert_eq!(errno(a.bind(now, third, &any(AF_INET, 6000))), "EADDRINUSE");
}

#[test]
fn v6only_and_the_two_families() {
    let Net { mut a, now, .. } = Net::new();
    let v4 = stream(&mut a, AF_INET);
    let v6 = stream(&mut a, AF_INET6);
    assert_eq!(errno(a.bind(now, v4, &any(AF_INET, 5013))), "OK");
    assert_eq!(errno(a.bind(now, v6, &any(AF_INET6, 5013))), "EADDRINUSE");
    assert_eq!(set(&mut a, now, v6, SOL_IPV6, IPV6_V6ONLY, 1), "OK");
    assert_eq!(errno(a.bind(now, v6, &any(AF_INET6, 5013))), "OK");
    assert_eq!(set(&mut a, now, v6, SOL_IPV6, IPV6_V6ONLY, 0), "EINVAL");
    assert_eq!(int(&mut a, now, v6, SOL_IPV6, IPV6_V6ONLY), 1);

    let only = stream(&mut a, AF_INET6);
    assert_eq!(set(&mut a, now, only, SOL_IPV6, IPV6_V6ONLY, 1), "OK");
    assert_eq!(errno(a.bind(now, only, &addr("::ffff:127.0.0.1", 5009))), "EINVAL");
}

#[test]
fn reserved_ports_are_for_the_privileged() {
    let Net { mut a, now, .. } = Net::with(Permission::Privileged);
    let fd = stream(&mut a, AF_INET);
    assert_eq!(errno(a.bind(now, fd, &any(AF_INET, 80))), "OK");

    let Net { mut a, now, .. } = Net::new();
    a.stack_mut().config_mut().ip_unprivileged_port_start = 80;
    let fd = stream(&mut a, AF_INET);
    assert_eq!(errno(a.bind(now, fd, &any(AF_INET, 79))), "EACCES");
    assert_eq!(errno(a.bind(now, fd, &any(AF_INET, 80))), "OK");
    assert_eq!(errno(a.bind(now, fd, &any(AF_INET, 79))), "EACCES");
}

#[test]
fn port_zero_is_any_free_one() {
    let Net { mut a, now, .. } = Net::new();
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let fd = a.socket(AF_INET, kind, 0).unwrap();
        a.bind(now, fd, &any(AF_INET, 0)).unwrap();
        let SockAddr::V4(local) = a.local_address(fd).unwrap() else { panic!() };
        assert!((32768..=60999).contains(&local.port()), "{local}");
    }
}

//= RFC 9293 MUST-46, type=test
#[test]
fn connect_looks_at_the_address_in_linux_order() {
    let unix_long = SockAddr::Unix(UnixAddr::path(&[b'x'; 100]).unwrap());
    for (domain, address, expected) in [
        (AF_INET, SockAddr::Unspec(None), "OK"),
        (AF_INET, unix_long, "EAFNOSUPPORT"),
        (AF_INET, SockAddr::Unix(UnixAddr::UNNAMED), "EINVAL"),
        (AF_INET, addr("::1", 5000), "EAFNOSUPPORT"),
        (AF_INET, addr("224.0.0.1", 1), "ENETUNREACH"),
        (AF_INET, addr("255.255.255.255", 1), "ENETUNREACH"),
        (AF_INET, addr("10.0.0.255", 1), "ENETUNREACH"),
        (AF_INET, addr("198.51.100.1", 1), "ENETUNREACH"),
        (AF_INET6, unix_long, "EAFNOSUPPORT"),
        (AF_INET6, addr("127.0.0.1", 5000), "EINVAL"),
        (AF_INET6, addr("ff0e::1", 1), "ENETUNREACH"),
        (AF_INET6, addr("2001:db8::1", 1), "ENETUNREACH"),
        (AF_INET6, addr("::ffff:198.51.100.1", 1), "ENETUNREACH"),
        (AF_INET6, addr("fe80::5", 1), "EINVAL"),
        (AF_INET6, scoped("fe80::5", 1, 99), "ENETUNREACH"),
        (AF_INET6, addr("::ffff:10.0.0.2", 1), "EINPROGRESS"),
        (AF_INET6, addr("fd00::2", 1), "EINPROGRESS"),
        (AF_INET, addr("10.0.0.2", 1), "EINPROGRESS"),
    ] {
        let Net { mut a, now, .. } = Net::new();
        let fd = nonblocking(&mut a, domain);
        assert_eq!(said(a.try_connect(now, fd, &address)), expected, "connect({domain}, {address})");
    }
}

#[test]
fn a_bound_family_restricts_connect() {
    let Net { mut a, now, .. } = Net::new();
    for (local, remote, expected) in [
        ("::1", "::ffff:10.0.0.2", "ENETUNREACH"),
        ("::ffff:10.0.0.1", "fd00::2", "EAFNOSUPPORT"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", "EINPROGRESS"),
        ("::", "::ffff:10.0.0.2", "EINPROGRESS"),
        ("fd00::1", "fd00::2", "EINPROGRESS"),
    ] {
        let fd = nonblocking(&mut a, AF_INET6);
        a.bind(now, fd, &addr(local, 0)).unwrap();
        assert_eq!(said(a.try_connect(now, fd, &addr(remote, 1))), expected, "{local} to {remote}");
    }
    let fd = nonblocking(&mut a, AF_INET6);
    set(&mut a, now, fd, SOL_IPV6, IPV6_V6ONLY, 1);
    assert_eq!(said(a.try_connect(now, fd, &addr("::ffff:10.0.0.2", 1))), "ENETUNREACH");
}

#[test]
fn a_fresh_stream_socket() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = Net::new();
        let fd = stream(&mut a, domain);
        assert_eq!(a.local_address(fd), Ok(any(domain, 0)));
        assert_eq!(errno(a.peer_address(fd)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "OUT|HUP");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EPIPE");
        assert_eq!(send(&mut a, now, fd, b"x", MSG_OOB), "EPIPE");
        assert_eq!(send_to(&mut a, now, fd, b"x", &b(domain, 5000)), "EPIPE");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "ENOTCONN");
        assert_eq!(said(a.try_accept(now, fd, 0)), "EINVAL");
        assert_eq!(said(a.try_accept(now, fd, 1)), "EINVAL");
        assert_eq!(errno(a.shutdown(now, fd, 3)), "EINVAL");
        assert_eq!(errno(a.shutdown(now, fd, -1)), "EINVAL");
        assert_eq!(int(&mut a, now, fd, SOL_SOCKET, SO_ERROR), 0);
        assert_eq!(int(&mut a, now, fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
        assert_eq!(errno(a.shutdown(now, fd, SHUT_RDWR)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "IN|OUT|HUP|RDHUP");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "\"\"");
        assert_eq!(said(a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(poll(&a, fd), "OUT|HUP");
    }
}

#[test]
fn there_is_no_such_socket() {
    let Net { mut a, now, .. } = Net::new();
    let fd = Fd(7);
    assert_eq!(format!("{:?}", a.readiness(fd)), "NVAL");
    let results = [
        errno(a.bind(now, fd, &any(AF_INET, 0))),
        errno(a.listen(now, fd, 1)),
        said(a.try_accept(now, fd, 0)),
        said(a.try_connect(now, fd, &any(AF_INET, 0))),
        send(&mut a, now, fd, b"x", 0),
        recv(&mut a, now, fd, 1, 0),
        errno(a.shutdown(now, fd, 9)),
        errno(a.local_address(fd)),
        errno(a.peer_address(fd)),
        errno(a.option(now, fd, SOL_SOCKET, SO_TYPE)),
        errno(a.set_option(now, fd, SOL_SOCKET, SO_KEEPALIVE, &[0; 4])),
        errno(a.set_blocking(fd, tapsock_sockets::Blocking::Never)),
    ];
    assert_eq!(results, ["EBADF"; 12]);
    assert_eq!(a.send_space(fd), 0);
}

#[test]
fn a_wait_has_the_deadline_of_its_option() {
    let Net { mut a, now, .. } = Net::new();
    let fd = datagram(&mut a, AF_INET);
    a.bind(now, fd, &any(AF_INET, 0)).unwrap();
    let timeval = |secs: i64, micros: i64| [secs.to_ne_bytes(), micros.to_ne_bytes()].concat();
    let deadline = |result| match result {
        Err(Stop::Wait(wait)) => wait.deadline,
        other => panic!("{other:?}"),
    };
    assert_eq!(deadline(a.try_recv(now, fd, 1, 0).map(|_| ())), None);
    a.set_option(now, fd, SOL_SOCKET, SO_RCVTIMEO, &timeval(1, 500_000)).unwrap();
    let late = now + core::time::Duration::from_millis(1500);
    assert_eq!(deadline(a.try_recv(now, fd, 1, 0).map(|_| ())), Some(late));
    assert_eq!(said(a.try_recv(now, fd, 1, MSG_DONTWAIT)), "EAGAIN");
    a.set_option(now, fd, SOL_SOCKET, SO_RCVTIMEO, &timeval(-1, 0)).unwrap();
    assert_eq!(said(a.try_recv(now, fd, 1, 0)), "EAGAIN");
}

fn scoped(ip: &str, port: u16, scope: u32) -> SockAddr {
    SockAddr::V6(core::net::SocketAddrV6::new(ip.parse().unwrap(), port, 0, scope))
}
