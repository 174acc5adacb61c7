//! Raw sockets: SOCK_RAW of AF_INET and AF_INET6, as on Linux 6.18; and which sockets there are at all.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{CMSG_HEADER_LEN, Control, ControlMessages};
use tapsock_sockets::{Fd, Permission, SockAddr, Sockets, Stop};
use tapsock_stack::buf::Rope;

const NOBODYS: i32 = 200;

fn raw(host: &mut Sockets, domain: i32, protocol: i32) -> Fd {
    host.socket(domain, SOCK_RAW, protocol).unwrap()
}

fn net() -> Net {
    Net::with(Permission::Privileged)
}

fn here(domain: i32, port: u16) -> SockAddr {
    in_family(domain, "127.0.0.1", "::1", port)
}

/// A checksum of ICMP, which for IPv6 is the stack's to fill in.
fn echo_request(domain: i32) -> Vec<u8> {
    let mut message = vec![if domain == AF_INET { 8 } else { 128 }, 0, 0, 0, 0, 7, 0, 1];
    message.extend(b"data");
    if domain == AF_INET {
        let words = message.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
        let sum = words.sum::<u32>();
        message[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    }
    message
}

/// What Linux 6.18 says to root, but for what it has and we have not: SOCK_PACKET, UDP-Lite, SCTP and MPTCP.
#[test]
fn which_sockets_there_are() {
    const MANY: [i32; 15] =
        [i32::MIN, -1, 0, 1, 2, IPPROTO_TCP, IPPROTO_UDP, 41, 58, 89, 255, 256, 261, 263, i32::MAX];
    let Net { mut a, .. } = net();
    let mut asked = |domain, kind, protocol| {
        let result = a.socket(domain, kind, protocol);
        if let Ok(fd) = result {
            a.close(tapsock_stack::time::Instant::from_secs(1), fd).unwrap();
        }
        errno(result)
    };
    for protocol in MANY {
        for kind in [0, 1, 2, 3, 4, 5, 6, 9, 10, SOCK_STREAM | SOCK_NONBLOCK, SOCK_RAW | SOCK_CLOEXEC] {
            for domain in [-1, 0, 11, 45, 46, 9999, i32::MAX] {
                assert_eq!(asked(domain, kind, protocol), "EAFNOSUPPORT", "{domain} {kind} {protocol}");
            }
        }
        for domain in [-1, 0, 1, AF_INET, AF_INET6, 45, 46, 9999] {
            for kind in [-1, 16, 1 | 0x10, 3 | 0x100, i32::MIN] {
                assert_eq!(asked(domain, kind, protocol), "EINVAL", "{domain} {kind} {protocol}");
            }
        }
        for domain in DOMAINS {
            for kind in [SOCK_MAX, 15] {
                assert_eq!(asked(domain, kind, protocol), "EINVAL", "{kind} {protocol}");
            }
            let in_range = (0..263).contains(&protocol);
            for kind in [0, SOCK_RDM, SOCK_SEQPACKET, 6, 9] {
                let expected = if in_range { "ESOCKTNOSUPPORT" } else { "EINVAL" };
                assert_eq!(asked(domain, kind, protocol), expected, "{kind} {protocol}");
            }
            let icmp = if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
            for (kind, there) in [
                (SOCK_STREAM, vec![0, IPPROTO_TCP]),
                (SOCK_DGRAM, vec![0, IPPROTO_UDP, icmp]),
                (SOCK_RAW, (1..263).collect::<Vec<i32>>()),
            ] {
                for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC] {
                    let expected = match in_range {
                        false => "EINVAL",
                        true if there.contains(&protocol) => "OK",
                        true => "EPROTONOSUPPORT",
                    };
                    assert_eq!(asked(domain, kind | flags, protocol), expected, "{kind} {protocol}");
                }
            }
        }
    }
}

#[test]
fn raw_sockets_are_for_the_privileged() {
    let Net { mut a, .. } = Net::new();
    for domain in DOMAINS {
        assert_eq!(a.socket(domain, SOCK_RAW, 1), Err(Errno::PERM));
        assert_eq!(a.socket(domain, SOCK_RAW, 0), Err(Errno::PROTONOSUPPORT), "of what there is");
        assert_eq!(a.socket(domain, SOCK_RAW, 263), Err(Errno::INVAL));
    }
}

#[test]
fn a_fresh_socket_and_its_addresses() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = net();
        let fd = raw(&mut a, domain, NOBODYS);
        assert_eq!(
            (a.local_address(fd), errno(a.peer_address(fd))),
            (Ok(any(domain, 200)), "ENOTCONN".into())
        );
        assert_eq!(poll(&a, fd), "OUT");
        assert_eq!(errno(a.listen(now, fd, 1)), "EOPNOTSUPP");
        assert_eq!(said(a.try_accept(now, fd, 0)), "EOPNOTSUPP");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EDESTADDRREQ");
        assert_eq!(send(&mut a, now, fd, b"x", MSG_OOB), "EOPNOTSUPP");
        assert_eq!(recv(&mut a, now, fd, 1, 0), "EAGAIN");
        assert_eq!(recv(&mut a, now, fd, 1, MSG_OOB), "EOPNOTSUPP");
        assert_eq!(recv(&mut a, now, fd, 1, MSG_ERRQUEUE), "EAGAIN");
        let elsewhere = in_family(domain, "9.9.9.9", "fd99::1", 0);
        assert_eq!(errno(a.bind(now, fd, &elsewhere)), "EADDRNOTAVAIL");
        assert_eq!(errno(a.bind(now, fd, &here(domain, 5))), "OK");
        assert_eq!(a.local_address(fd), Ok(here(domain, 200)), "the port is the protocol");
        assert_eq!(errno(a.bind(now, fd, &any(domain, 9))), "OK", "again and again");
        assert_eq!(said(a.try_connect(now, fd, &b(domain, 4321))), "OK");
        assert_eq!(
            (a.local_address(fd).unwrap(), a.peer_address(fd).unwrap()),
            (self::a(domain, 200), b(domain, 4321))
        );
        assert_eq!(errno(a.bind(now, fd, &any(domain, 0))), "EINVAL");
        assert_eq!(said(a.try_connect(now, fd, &b(domain, 0))), "OK");
        assert_eq!(errno(a.peer_address(fd)), "ENOTCONN", "of port 0, as for UDP");
        assert_eq!(send(&mut a, now, fd, b"x", 0), "1");
        assert_eq!(said(a.try_connect(now, fd, &SockAddr::Unspec(None))), "OK");
        assert_eq!(a.local_address(fd), Ok(any(domain, 0)));
        assert_eq!(send(&mut a, now, fd, b"x", 0), "EDESTADDRREQ");
        let away = in_family(domain, "198.51.100.1", "2001:db8::1", 0);
        assert_eq!(said(a.try_connect(now, fd, &away)), "ENETUNREACH");
        assert_eq!(send_to(&mut a, now, fd, b"x", &away), "ENETUNREACH");
    }
}

#[test]
fn foreign_addresses() {
    let Net { mut a, now, .. } = net();
    let (v4, v6) = (raw(&mut a, AF_INET, NOBODYS), raw(&mut a, AF_INET6, NOBODYS));
    let unspec = SockAddr::Unspec(Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(errno(a.bind(now, v4, &addr("::1", 0))), "OK", "Linux looks at no family");
    assert_eq!(a.local_address(v4), Ok(any(AF_INET, 200)));
    assert_eq!(errno(a.bind(now, v4, &unspec)), "OK");
    assert_eq!(a.local_address(v4), Ok(addr("127.0.0.1", 200)));
    assert_eq!(said(a.try_connect(now, v4, &addr("::1", 0))), "EAFNOSUPPORT");
    assert_eq!(send_to(&mut a, now, v4, b"x", &addr("::1", 0)), "EAFNOSUPPORT");
    assert_eq!(send_to(&mut a, now, v4, b"x", &unspec), "1");

    let mapped = addr("::ffff:127.0.0.1", 0);
    assert_eq!(errno(a.bind(now, v6, &addr("127.0.0.1", 0))), "EINVAL");
    assert_eq!(errno(a.bind(now, v6, &mapped)), "EADDRNOTAVAIL");
    assert_eq!(errno(a.bind(now, v6, &addr("fe80::1", 0))), "EINVAL");
    assert_eq!(said(a.try_connect(now, v6, &addr("127.0.0.1", 0))), "EAFNOSUPPORT");
    assert_eq!(said(a.try_connect(now, v6, &mapped)), "ENETUNREACH");
    assert_eq!(said(a.try_connect(now, v6, &addr("fe80::1", 0))), "EINVAL");
    assert_eq!(send_to(&mut a, now, v6, b"x", &addr("127.0.0.1", 0)), "EINVAL");
    assert_eq!(send_to(&mut a, now, v6, b"x", &mapped), "ENETUNREACH");
    assert_eq!(send_to(&mut a, now, v6, b"x", &addr("fe80::1", 0)), "ENETUNREACH");
    for (port, expected) in [(0, "1"), (200, "1"), (1, "EINVAL"), (300, "EINVAL")] {
        assert_eq!(send_to(&mut a, now, v6, b"x", &here(AF_INET6, port)), expected, "{port}");
    }
    let any_protocol = raw(&mut a, AF_INET6, IPPROTO_RAW);
    assert_eq!(set(&mut a, now, any_protocol, SOL_IPV6, IPV6_HDRINCL, 0), "OK");
    for (port, expected) in [(200, "1"), (256, "EINVAL")] {
        assert_eq!(send_to(&mut a, now, any_protocol, b"x", &here(AF_INET6, port)), expected, "{port}");
    }
}

#[test]
fn packets_go_and_come() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let (ours, theirs) = (raw(&mut net.a, domain, NOBODYS), raw(&mut net.b, domain, NOBODYS));
        assert_eq!(send_to(&mut net.a, now, ours, b"hello", &b(domain, 0)), "5");
        net.settle();
        assert_eq!(poll(&net.b, theirs), "IN|OUT");
        let header = if domain == AF_INET { 20 } else { 0 };
        assert_eq!(net.b.ioctl(theirs, FIONREAD), Ok(header + 5));
        assert_eq!(net.b.ioctl(theirs, SIOCOUTQ), Ok(0));
        assert_eq!(net.b.ioctl(theirs, SIOCATMARK), Err(Errno::NOTTY));
        let cut = net.b.try_recv(now, theirs, 3, MSG_PEEK).unwrap();
        assert_eq!((cut.data.len(), cut.full_len, cut.flags), (3, header as usize + 5, MSG_TRUNC));
        let got = net.b.try_recv(now, theirs, 99, 0).unwrap();
        assert_eq!(got.data.to_vec()[header as usize..], *b"hello");
        assert_eq!(got.from, Some(a(domain, 0)), "no port");
        assert_eq!(said(net.b.try_recv(now, theirs, 99, 0)), "waits to read");
        assert_eq!(send_to(&mut net.a, now, ours, b"", &b(domain, 0)), "0");
        net.settle();
        assert_eq!(net.b.try_recv(now, theirs, 99, 0).unwrap().full_len, header as usize);
        net.b.close(now, theirs).unwrap();
    }
}

#[test]
fn lengths_that_are_refused() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = net();
        let fd = raw(&mut a, domain, NOBODYS);
        let header = if domain == AF_INET { 20 } else { 40 };
        for (mode, len, expected) in [
            (IP_PMTUDISC_DO, 1500 - header, "OK"),
            (IP_PMTUDISC_DO, 1501 - header, "EMSGSIZE"),
            (IP_PMTUDISC_WANT, 1501 - header, "OK"),
            (IP_PMTUDISC_WANT, 65_536, "EMSGSIZE"),
        ] {
            let (level, name) =
                if domain == AF_INET { (SOL_IP, IP_MTU_DISCOVER) } else { (SOL_IPV6, IPV6_MTU_DISCOVER) };
            assert_eq!(set(&mut a, now, fd, level, name, mode), "OK");
            let sent = a.try_send(now, fd, &mut Rope::from(vec![0; len]), 0, Some(&b(domain, 0)));
            assert_eq!(said(sent), expected, "{len}");
        }
        let icmp = raw(&mut a, domain, if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 });
        let expected = if domain == AF_INET {
            ["EFAULT", "EFAULT", "2", "3", "4"]
        } else {
            ["EFAULT", "EFAULT", "EINVAL", "EINVAL", "4"]
        };
        for (len, expected) in expected.into_iter().enumerate() {
            assert_eq!(send_to(&mut a, now, icmp, &[129, 0, 0, 0][..len], &b(domain, 0)), expected, "{len}");
        }
    }
}

/// As Linux, which asks the option of these protocols only.
#[test]
fn packets_are_kept_whole_where_the_option_says_so() {
    let Net { mut a, now, .. } = net();
    let message = [&[128, 0, 0, 0][..], &[7; 1497 - 40]].concat();
    for (protocol, kept) in [(IPPROTO_ICMPV6, "EMSGSIZE"), (IPPROTO_UDP, "EMSGSIZE"), (NOBODYS, "1461")] {
        let fd = raw(&mut a, AF_INET6, protocol);
        assert_eq!(send_to(&mut a, now, fd, &message, &b(AF_INET6, 0)), "1461");
        assert_eq!(set(&mut a, now, fd, SOL_IPV6, IPV6_DONTFRAG, 1), "OK");
        assert_eq!(int(&mut a, now, fd, SOL_IPV6, IPV6_DONTFRAG), 1);
        assert_eq!(send_to(&mut a, now, fd, &message, &b(AF_INET6, 0)), kept, "{protocol}");
        assert_eq!(send_to(&mut a, now, fd, &message[..1460], &b(AF_INET6, 0)), "1460");
    }
    let fd = raw(&mut a, AF_INET, IPPROTO_UDP);
    assert_eq!(errno(a.option(now, fd, SOL_IPV6, IPV6_DONTFRAG)), "EOPNOTSUPP");
}

#[test]
fn options_that_raw_sockets_alone_have() {
    let Net { mut a, now, .. } = net();
    let (v4, icmp) = (raw(&mut a, AF_INET, NOBODYS), raw(&mut a, AF_INET, IPPROTO_ICMP));
    let own = raw(&mut a, AF_INET, IPPROTO_RAW);
    assert_eq!(int(&mut a, now, v4, SOL_IP, IP_HDRINCL), 0);
    assert_eq!(int(&mut a, now, own, SOL_IP, IP_HDRINCL), 1);
    assert_eq!(errno(a.set_option(now, v4, SOL_IP, IP_HDRINCL, &[1])), "OK", "a byte will do");
    assert_eq!(int(&mut a, now, v4, SOL_IP, IP_HDRINCL), 1);
    assert_eq!(errno(a.option(now, v4, SOL_RAW, ICMP_FILTER)), "EOPNOTSUPP");
    assert_eq!(errno(a.set_option(now, v4, SOL_RAW, ICMP_FILTER, &[0; 4])), "EOPNOTSUPP");
    assert_eq!(errno(a.set_option(now, v4, SOL_RAW, 99, &[0; 4])), "ENOPROTOOPT");
    assert_eq!(errno(a.set_option(now, icmp, SOL_RAW, ICMP_FILTER, &[1, 0, 0, 0])), "OK");
    assert_eq!(errno(a.set_option(now, icmp, SOL_RAW, ICMP_FILTER, &[7, 8])), "OK");
    assert_eq!(a.option(now, icmp, SOL_RAW, ICMP_FILTER).unwrap().as_bytes(), [7, 8, 0, 0]);
    assert_eq!(errno(a.option(now, v4, SOL_IPV6, IPV6_HDRINCL)), "EOPNOTSUPP");
    assert_eq!(set(&mut a, now, v4, SOL_IPV6, IPV6_HDRINCL, 1), "ENOPROTOOPT");

    let (v6, icmp) = (raw(&mut a, AF_INET6, NOBODYS), raw(&mut a, AF_INET6, IPPROTO_ICMPV6));
    assert_eq!(errno(a.option(now, v6, SOL_IP, IP_HDRINCL)), "ENOPROTOOPT");
    assert_eq!(set(&mut a, now, v6, SOL_IP, IP_TOS, 1), "ENOPROTOOPT", "none of IPv4's");
    assert_eq!(set(&mut a, now, v6, SOL_IP, IP_PKTINFO, 1), "ENOPROTOOPT");
    assert_eq!(errno(a.option(now, v6, SOL_IP, IP_MTU)), "ENOPROTOOPT");
    assert_eq!(set(&mut a, now, v6, SOL_IPV6, IPV6_V6ONLY, 1), "EINVAL");
    for (offset, shown) in [(0, 0), (1, 0), (2, 2), (3, 2), (-1, -1), (-5, -1), (70_000, 70_000)] {
        for level in [SOL_IPV6, SOL_RAW] {
            let expected = if offset > 0 && offset % 2 == 1 { "EINVAL" } else { "OK" };
            assert_eq!(set(&mut a, now, v6, level, IPV6_CHECKSUM, offset), expected, "{offset}");
            assert_eq!(int(&mut a, now, v6, level, IPV6_CHECKSUM), shown);
        }
    }
    assert_eq!(int(&mut a, now, icmp, SOL_IPV6, IPV6_CHECKSUM), 2);
    assert_eq!(set(&mut a, now, icmp, SOL_IPV6, IPV6_CHECKSUM, 4), "EINVAL");
    assert_eq!(set(&mut a, now, icmp, SOL_RAW, IPV6_CHECKSUM, 4), "OK", "Linux looks at the level only");
    assert_eq!(errno(a.option(now, v6, SOL_ICMPV6, ICMP6_FILTER)), "EOPNOTSUPP");
    assert_eq!(errno(a.set_option(now, v6, SOL_ICMPV6, ICMP6_FILTER, &[0; 32])), "EOPNOTSUPP");
    assert_eq!(errno(a.set_option(now, icmp, SOL_ICMPV6, ICMP6_FILTER, &[0xff; 32])), "OK");
    assert_eq!(errno(a.set_option(now, icmp, SOL_ICMPV6, ICMP6_FILTER, &[0; 4])), "OK");
    let shown = a.option(now, icmp, SOL_ICMPV6, ICMP6_FILTER).unwrap();
    assert_eq!(shown.as_bytes(), [[0; 4].as_slice(), &[0xff; 28]].concat());
    assert_eq!(errno(a.set_option(now, icmp, SOL_RAW, ICMP_FILTER, &[0; 2])), "EINVAL");
    assert_eq!(errno(a.set_option(now, icmp, SOL_RAW, ICMP_FILTER, &[0; 4])), "ENOPROTOOPT");

    // To others they are unknown.
    let udp = datagram(&mut a, AF_INET6);
    for (level, name) in [(SOL_IPV6, IPV6_CHECKSUM), (SOL_IPV6, IPV6_HDRINCL), (SOL_RAW, 1), (SOL_ICMPV6, 1)]
    {
        assert_eq!(set(&mut a, now, udp, level, name, 2), "ENOPROTOOPT");
    }
    assert_eq!(set(&mut a, now, udp, SOL_IP, IP_HDRINCL, 1), "ENOPROTOOPT");
    let numbers = [SO_TYPE, SO_DOMAIN, SO_PROTOCOL].map(|name| int(&mut a, now, icmp, SOL_SOCKET, name));
    assert_eq!(numbers, [SOCK_RAW, AF_INET6, IPPROTO_ICMPV6]);
}

#[test]
fn types_that_are_not_wanted() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let (protocol, request) = if domain == AF_INET { (IPPROTO_ICMP, 8u8) } else { (IPPROTO_ICMPV6, 128) };
        let (all, some) = (raw(&mut net.b, domain, protocol), raw(&mut net.b, domain, protocol));
        if domain == AF_INET {
            net.b.set_option(now, some, SOL_RAW, ICMP_FILTER, &(1u32 << request).to_ne_bytes()).unwrap();
        } else {
            let mut filter = [0u8; 32];
            filter[16..20].copy_from_slice(&1u32.to_ne_bytes());
            net.b.set_option(now, some, SOL_ICMPV6, ICMP6_FILTER, &filter).unwrap();
        }
        let fd = raw(&mut net.a, domain, protocol);
        assert_eq!(send_to(&mut net.a, now, fd, &echo_request(domain), &b(domain, 0)), "12");
        net.settle();
        assert_eq!((poll(&net.b, all), poll(&net.b, some)), ("IN|OUT".into(), "OUT".into()));
        assert_eq!(poll(&net.a, fd), "IN|OUT", "it was answered all the same");
    }
}

#[test]
fn checksums_where_they_are_asked_for() {
    let mut net = net();
    let now = net.now;
    let [ours, plain] = [0, 1].map(|_| raw(&mut net.a, AF_INET6, NOBODYS));
    let theirs = raw(&mut net.b, AF_INET6, NOBODYS);
    assert_eq!(set(&mut net.a, now, ours, SOL_IPV6, IPV6_CHECKSUM, 2), "OK");
    assert_eq!(set(&mut net.b, now, theirs, SOL_IPV6, IPV6_CHECKSUM, 2), "OK");
    assert_eq!(send_to(&mut net.a, now, ours, b"abc", &b(AF_INET6, 0)), "EINVAL", "no room for it");
    assert_eq!(send_to(&mut net.a, now, ours, b"abcdefg", &b(AF_INET6, 0)), "7");
    assert_eq!(send_to(&mut net.a, now, plain, b"abcdefg", &b(AF_INET6, 0)), "7");
    net.settle();
    let got = net.b.try_recv(now, theirs, 99, 0).unwrap().data.to_vec();
    assert_ne!(got[2..4], *b"cd");
    assert_eq!((&got[..2], &got[4..]), (&b"ab"[..], &b"efg"[..]));
    assert_eq!(poll(&net.b, theirs), "OUT", "the wrong one is dropped");
}

#[test]
fn what_goes_beside_the_data() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let (ours, theirs) = (raw(&mut net.a, domain, NOBODYS), raw(&mut net.b, domain, NOBODYS));
        let asked = if domain == AF_INET {
            vec![
                (SOL_IP, IP_PKTINFO),
                (SOL_IP, IP_RECVTTL),
                (SOL_IP, IP_RECVTOS),
                (SOL_IP, IP_RECVORIGDSTADDR),
            ]
        } else {
            vec![
                (SOL_IPV6, IPV6_RECVPKTINFO),
                (SOL_IPV6, IPV6_RECVHOPLIMIT),
                (SOL_IPV6, IPV6_RECVTCLASS),
                (SOL_IPV6, IPV6_RECVORIGDSTADDR),
            ]
        };
        for (level, name) in asked.into_iter().chain([(SOL_SOCKET, SO_TIMESTAMP)]) {
            assert_eq!(set(&mut net.b, now, theirs, level, name, 1), "OK");
        }
        let mut control = ControlMessages::with_room(4 * CMSG_HEADER_LEN);
        let marks = if domain == AF_INET {
            [Control::Ttl(7), Control::Tos(4)]
        } else {
            [Control::HopLimit(7), Control::TrafficClass(4)]
        };
        marks.iter().for_each(|mark| control.push(mark));
        let data = &mut Rope::from(&b"12345678"[..]);
        let to = b(domain, 0);
        assert_eq!(net.a.try_sendmsg(now, ours, data, control.as_bytes(), 0, Some(&to)), Ok(8));
        net.settle();
        let got = net.b.try_recv(now, theirs, 99, 0).unwrap();
        assert!(got.stamps[0].is_some());
        let told = got.control;
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(marks.iter().all(|mark| told.contains(mark)), "{told:?}");
        // Where a port would stand, as Linux takes it.
        let at = to.to_inet().unwrap().ip();
        assert!(
            told.contains(&Control::OriginalDestination((at, u16::from_be_bytes(*b"34")).into())),
            "{told:?}"
        );
    }
}

#[test]
fn parts_become_one_packet() {
    let mut net = net();
    let now = net.now;
    let (ours, theirs) = (raw(&mut net.a, AF_INET6, NOBODYS), raw(&mut net.b, AF_INET6, NOBODYS));
    let part = |host: &mut Sockets, data: &[u8], flags| {
        host.try_send(now, ours, &mut Rope::from(data), flags, Some(&b(AF_INET6, 0)))
    };
    assert_eq!(part(&mut net.a, b"one ", MSG_MORE), Ok(4));
    assert_eq!(part(&mut net.a, b"two", 0), Ok(3));
    net.settle();
    assert_eq!(recv(&mut net.b, now, theirs, 99, 0), "\"one two\"");
    assert_eq!(recv(&mut net.b, now, theirs, 99, 0), "EAGAIN");
}

#[test]
fn errors_do_not_stop_who_sends() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let fd = raw(&mut net.a, domain, NOBODYS);
        assert_eq!(said(net.a.try_connect(now, fd, &b(domain, 0))), "OK");
        assert_eq!(send(&mut net.a, now, fd, b"12345678", 0), "8");
        net.settle();
        assert_eq!(poll(&net.a, fd), "OUT|ERR");
        assert_eq!(send(&mut net.a, now, fd, b"12345678", 0), "8", "unlike UDP");
        let expected = if domain == AF_INET { Errno::NOPROTOOPT } else { Errno::PROTO };
        let told = net.a.try_recv(now, fd, 9, MSG_DONTWAIT).map(|_| ());
        assert_eq!(told, Err(Stop::Error(expected)));
        assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), 0);
    }
}

/// What else is data, the network takes for a header.
#[test]
fn headers_are_written_by_who_asks_to() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let (ours, theirs) = (raw(&mut net.a, domain, NOBODYS), raw(&mut net.b, domain, NOBODYS));
        let mut packet = vec![0x60, 0, 0, 0, 0, 3, NOBODYS as u8, 77];
        if domain == AF_INET {
            packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 77, NOBODYS as u8, 0, 0];
        }
        for address in [a(domain, 0), b(domain, 0)] {
            let address = address.as_bytes();
            packet.extend(if domain == AF_INET { &address[4..8] } else { &address[8..24] });
        }
        let header = packet.len();
        packet.extend(b"abc");
        let (level, name) = if domain == AF_INET { (SOL_IP, IP_HDRINCL) } else { (SOL_IPV6, IPV6_HDRINCL) };
        for (writes, hop_limit) in [(0, 64), (1, 77)] {
            assert_eq!(set(&mut net.a, now, ours, level, name, writes), "OK");
            assert_eq!(send_to(&mut net.a, now, ours, &packet, &b(domain, 0)), packet.len().to_string());
            net.settle();
            let received = net.b.try_recv(now, theirs, 200, 0).unwrap().data.to_vec();
            let data = if writes == 0 { &packet[..] } else { b"abc" };
            // Of IPv4 the header comes too.
            let before = if domain == AF_INET { header } else { 0 };
            assert_eq!(&received[before..], data);
            let sent = net.sent.last().unwrap();
            let at = if domain == AF_INET { 8 } else { 7 };
            assert_eq!((sent.len(), sent[at]), (header + data.len(), hop_limit));
        }
    }
}

#[test]
fn shutdown_keeps_from_sending_who_writes_headers() {
    for domain in DOMAINS {
        let Net { mut a, now, .. } = net();
        let fd = raw(&mut a, domain, NOBODYS);
        assert_eq!(errno(a.shutdown(now, fd, SHUT_RD)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "IN|OUT|RDHUP");
        assert_eq!(errno(a.shutdown(now, fd, SHUT_WR)), "ENOTCONN");
        assert_eq!(poll(&a, fd), "IN|OUT|HUP|RDHUP");
        assert_eq!(send_to(&mut a, now, fd, b"x", &b(domain, 0)), "1");
        let (level, name) = if domain == AF_INET { (SOL_IP, IP_HDRINCL) } else { (SOL_IPV6, IPV6_HDRINCL) };
        assert_eq!(set(&mut a, now, fd, level, name, 1), "OK");
        assert_eq!(send_to(&mut a, now, fd, b"x", &b(domain, 0)), "EINVAL");
        let packet = [if domain == AF_INET { 0x45 } else { 0x60 }; 60];
        assert_eq!(send_to(&mut a, now, fd, &packet, &b(domain, 0)), "EPIPE");
    }
}

#[test]
fn broadcast_and_devices() {
    let mut net = net();
    let now = net.now;
    let fd = raw(&mut net.a, AF_INET, NOBODYS);
    let everybody = addr("10.0.0.255", 0);
    assert_eq!(send_to(&mut net.a, now, fd, b"x", &everybody), "EACCES");
    assert_eq!(said(net.a.try_connect(now, fd, &everybody)), "EACCES");
    assert_eq!(set(&mut net.a, now, fd, SOL_SOCKET, SO_BROADCAST, 1), "OK");
    assert_eq!(send_to(&mut net.a, now, fd, b"x", &everybody), "1");
    let held = raw(&mut net.b, AF_INET, NOBODYS);
    net.b.set_option(now, held, SOL_SOCKET, SO_BINDTODEVICE, b"lo\0").unwrap();
    assert_eq!(net.b.option(now, held, SOL_SOCKET, SO_BINDTODEVICE).unwrap().as_bytes(), b"lo\0");
    let free = raw(&mut net.b, AF_INET, NOBODYS);
    net.settle();
    assert_eq!((poll(&net.b, held), poll(&net.b, free)), ("OUT".into(), "IN|OUT".into()));
    assert_eq!(net.b.option(now, free, SOL_SOCKET, SO_MEMINFO).unwrap().as_bytes().len(), 36);
    assert_eq!(set(&mut net.b, now, held, SOL_SOCKET, SO_BINDTOIFINDEX, 2), "OK");
    assert_eq!(int(&mut net.b, now, held, SOL_SOCKET, SO_BINDTOIFINDEX), 2);
}

/// What Linux 6.18 said for the same: the packet from its transport header on, port 0, and who complains.
#[test]
fn errors_come_one_by_one_to_who_asks() {
    for domain in DOMAINS {
        let mut net = net();
        let now = net.now;
        let fd = raw(&mut net.a, domain, NOBODYS);
        let (level, name) = if domain == AF_INET { (SOL_IP, IP_RECVERR) } else { (SOL_IPV6, IPV6_RECVERR) };
        assert_eq!(set(&mut net.a, now, fd, level, name, 1), "OK");
        assert_eq!(send_to(&mut net.a, now, fd, b"12345678abc", &b(domain, 0)), "11");
        net.settle();
        assert_eq!(poll(&net.a, fd), "OUT|ERR", "though it is not connected");
        let report = net.a.try_recv(now, fd, 99, MSG_ERRQUEUE).unwrap();
        assert_eq!((report.data.to_vec(), report.from), (b"12345678abc".to_vec(), Some(b(domain, 0))));
        let told = match report.control.last() {
            Some(Control::ExtendedError4(error, Some(offender))) => (error.kind, error.code, offender.port()),
            Some(Control::ExtendedError6(error, Some(offender))) => (error.kind, error.code, offender.port()),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, if domain == AF_INET { (3, 2, 0) } else { (4, 1, 0) });
        assert_eq!(int(&mut net.a, now, fd, SOL_SOCKET, SO_ERROR), 0);
        assert_eq!(poll(&net.a, fd), "OUT");

        let to = Some(b(domain, 0));
        let name = if domain == AF_INET { IP_MTU_DISCOVER } else { IPV6_MTU_DISCOVER };
        assert_eq!(set(&mut net.a, now, fd, level, name, IP_PMTUDISC_DO), "OK");
        let sent = net.a.try_send(now, fd, &mut Rope::from(vec![0; 2000]), 0, to.as_ref());
        assert_eq!(said(sent), "EMSGSIZE");
        let report = net.a.try_recv(now, fd, 99, MSG_ERRQUEUE).unwrap();
        assert_eq!((report.data.len(), report.from), (0, to));
        assert_eq!(said(net.a.try_recv(now, fd, 9, MSG_ERRQUEUE)), "EAGAIN");
    }
}
