//! The same programs of socket calls on the kernel and on this stack: raw sockets.

use std::net::SocketAddr;

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Script, alone_privileged};

/// A number that no protocol has.
const NOBODYS: i32 = 200;

fn icmp(t: &Script) -> i32 {
    if t.family == Family::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 }
}

/// An echo request with its checksum, which IPv6's sockets fill in themselves.
fn request(t: &Script) -> Vec<u8> {
    match t.family {
        Family::V4 => b"\x08\0\x33\x31\0\x07\0\x01abcd".to_vec(),
        Family::V6 => b"\x80\0\0\0\0\x07\0\x01abcd".to_vec(),
    }
}

fn with_header_v4(source: [u8; 4], identification: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let [high, low] = identification;
    let head = [0x45, 3, 9, 9, high, low, 0, 0, 9, NOBODYS as u8, 1, 2];
    [&head[..], &source, &[127, 0, 0, 1], payload].concat()
}

#[test]
fn triples() {
    alone_privileged(&[("which sockets there are", |t| {
        let domain = t.domain();
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, 0, 6, 11, -1, 0x13] {
            for protocol in [-1, i32::MIN, 0, 1, 2, 6, 17, 41, 89, 255, 256, 263, i32::MAX] {
                // The kernel's ping socket is for a range of groups.
                if kind != SOCK_DGRAM || protocol != IPPROTO_ICMP {
                    t.socket(Host::Near, domain, kind, protocol);
                }
            }
        }
        for flags in [SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC, 0x10] {
            t.socket(Host::Near, domain, SOCK_RAW | flags, NOBODYS);
        }
        for domain in [-1, 0, 11, 45, 46, 9999] {
            t.socket(Host::Near, domain, SOCK_RAW, 1);
        }
    })]);
}

#[test]
fn addresses() {
    alone_privileged(&[
        ("bind and connect", |t| {
            let raw = t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS);
            t.local(raw);
            t.peer(raw);
            t.ready(raw);
            t.listen(raw, 1);
            t.accept(raw, 0);
            t.send(raw, b"x", 0);
            t.bind(raw, t.loopback(5));
            t.local(raw);
            t.bind(raw, t.any(6));
            t.local(raw);
            t.connect(raw, t.loopback(4321));
            t.local(raw);
            t.peer(raw);
            t.bind(raw, t.any(0));
            t.connect(raw, t.loopback(0));
            t.peer(raw);
            t.send(raw, b"x", 0);
            t.until(raw, PollMask::IN);
            t.recv(raw, 1, MSG_TRUNC);
            t.connect(raw, None);
            t.local(raw);
            t.send_to(raw, b"x", t.loopback(0));
            t.ready(raw);
            t.shutdown(raw, SHUT_RD);
            t.ready(raw);
            t.shutdown(raw, SHUT_WR);
            t.ready(raw);
            t.send_to(raw, b"x", t.loopback(0));
            t.recv(raw, 1, MSG_DONTWAIT);
        }),
        ("of others", |t| {
            let others: SocketAddr = match t.family {
                Family::V4 => "192.0.2.1:0".parse().unwrap(),
                Family::V6 => "[2001:db8::1]:0".parse().unwrap(),
            };
            let (level, option) = match t.family {
                Family::V4 => (SOL_IP, IP_TRANSPARENT),
                Family::V6 => (SOL_IPV6, IPV6_TRANSPARENT),
            };
            let [raw, other] = [(); 2].map(|()| t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS));
            t.option(raw, level, option);
            t.bind(raw, others);
            t.set_option(raw, level, option, 1);
            t.option(raw, level, option);
            t.bind(raw, others);
            t.local(raw);
            t.send_to(raw, b"from others", t.loopback(0));
            t.until(other, PollMask::IN);
            t.recv(other, 1, MSG_TRUNC);
        }),
        ("of other families", |t| {
            let other: SocketAddr = match t.family {
                Family::V4 => "[::1]:0".parse().unwrap(),
                Family::V6 => "127.0.0.1:0".parse().unwrap(),
            };
            let raw = t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS);
            t.bind(raw, other);
            t.local(raw);
            t.connect(raw, other);
            t.send_to(raw, b"x", other);
            for port in [0, 1, 200, 300] {
                t.send_to(raw, b"x", t.loopback(port));
            }
        }),
    ]);
}

#[test]
fn packets() {
    alone_privileged(&[
        ("of nobody's protocol", |t| {
            let (one, two) = (
                t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS),
                t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS),
            );
            t.send_to(one, b"hello", t.loopback(0));
            for socket in [one, two] {
                t.until(socket, PollMask::IN);
                t.recv(socket, 1, MSG_PEEK);
                t.recv(socket, 1, MSG_PEEK | MSG_TRUNC);
                t.recv(socket, 1, 0);
                t.recv(socket, 1, MSG_DONTWAIT);
                t.recv(socket, 1, MSG_OOB);
            }
            t.send_to(one, b"", t.loopback(0));
            t.until(two, PollMask::IN);
            t.recv(two, 1, MSG_TRUNC);
            t.send_to(one, &[0; 65_536], t.loopback(0));
        }),
        ("echoes", |t| {
            let raw = t.socket(Host::Near, t.domain(), SOCK_RAW, icmp(t));
            let message = request(t);
            t.send_to(raw, &message, t.loopback(0));
            for _ in 0..2 {
                t.until(raw, PollMask::IN);
                t.recv(raw, if t.family == Family::V4 { 1 } else { 12 }, 0);
            }
            t.ready(raw);
            for len in 0..4 {
                t.send_to(raw, &message[..len], t.loopback(0));
            }
        }),
        ("with a header of one's own", |t| {
            let own = t.socket(Host::Near, t.domain(), SOCK_RAW, IPPROTO_RAW);
            let there = t.socket(Host::Near, t.domain(), SOCK_RAW, NOBODYS);
            t.local(own);
            if t.family == Family::V6 {
                let us = std::net::Ipv6Addr::LOCALHOST.octets();
                let packet = [&[0x60, 0, 0, 0, 0, 2, NOBODYS as u8, 9], &us[..], &us[..], b"xy"].concat();
                t.send_to(own, &packet[..39], t.loopback(0));
                t.send_to(own, &packet, t.loopback(0));
                t.until(there, PollMask::IN);
                t.recv(there, 10, 0);
                return;
            }
            for source in [[0; 4], [127, 0, 0, 2]] {
                t.send_to(own, &with_header_v4(source, [0, 77], b"xy"), t.loopback(0));
                t.until(there, PollMask::IN);
                t.recv(there, 24, 0);
            }
            let packet = with_header_v4([0; 4], [0, 77], b"");
            for (first, len) in [(0x45, 19), (0x44, 20), (0x46, 20), (0x40, 20)] {
                let mut packet = packet[..len].to_vec();
                packet[0] = first;
                t.send_to(own, &packet, t.loopback(0));
            }
            t.shutdown(own, SHUT_WR);
            t.send_to(own, &packet, t.loopback(0));
        }),
        ("of UDP, to a closed port", |t| {
            let raw = t.socket(Host::Near, t.domain(), SOCK_RAW, IPPROTO_UDP);
            let datagram: &[u8] = match t.family {
                Family::V4 => b"\x03\xe7\0\x01\0\x08\0\0",
                Family::V6 => b"\x03\xe7\0\x01\0\x08\xfb\xf4",
            };
            t.send_to(raw, datagram, t.loopback(0));
            t.until(raw, PollMask::IN);
            t.error(raw);
            t.connect(raw, t.loopback(0));
            t.send(raw, datagram, 0);
            t.until(raw, PollMask::ERR);
            t.send(raw, datagram, 0);
            t.recv(raw, 1, 0);
            t.error(raw);
        }),
    ]);
}

#[test]
fn options() {
    alone_privileged(&[("of raw sockets", |t| {
        for protocol in [NOBODYS, icmp(t), IPPROTO_RAW, IPPROTO_UDP] {
            let raw = t.socket(Host::Near, t.domain(), SOCK_RAW, protocol);
            for (level, name) in [
                (SOL_SOCKET, SO_TYPE),
                (SOL_SOCKET, SO_PROTOCOL),
                (SOL_SOCKET, SO_RCVBUF),
                (SOL_IP, IP_TTL),
                (SOL_IP, IP_MTU),
                (SOL_IPV6, IPV6_UNICAST_HOPS),
                (SOL_IPV6, IPV6_V6ONLY),
                (SOL_TCP, TCP_NODELAY),
            ] {
                t.option(raw, level, name);
            }
            t.set_option(raw, SOL_IP, IP_TOS, 8);
            t.set_option(raw, SOL_IPV6, IPV6_TCLASS, 9);
            t.set_option(raw, SOL_IPV6, IPV6_V6ONLY, 1);
        }
    })]);
}
