//! The same programs of socket calls on the kernel and on this stack: sockets, their names and their options.

use std::net::{IpAddr, SocketAddr};

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, Script, alone};

const NEAR: Host = Host::Near;
/// A port that a program asks for by number.
const PORT: u16 = 23_456;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn family_of(t: &Script, v4: &str, v6: &str) -> IpAddr {
    ip(if t.family == Family::V4 { v4 } else { v6 })
}

#[test]
fn names_and_numbers() {
    alone(&[
        ("kinds of sockets", |t| {
            for kind in [SOCK_SEQPACKET, SOCK_RDM, 7, 11, 99, -1] {
                t.socket(NEAR, t.domain(), kind, 0);
            }
            t.socket(NEAR, t.domain(), SOCK_STREAM, IPPROTO_TCP);
            t.socket(NEAR, t.domain(), SOCK_DGRAM, IPPROTO_UDP);
            t.socket(NEAR, t.domain(), SOCK_STREAM, IPPROTO_UDP);
            t.socket(NEAR, t.domain(), SOCK_DGRAM, IPPROTO_TCP);
            t.socket(NEAR, t.domain(), SOCK_STREAM, 263);
            t.socket(NEAR, t.domain(), SOCK_STREAM, -1);
            for domain in [AF_UNSPEC, 45, 46, 99, -1] {
                t.socket(NEAR, domain, SOCK_STREAM, 0);
            }
        }),
        ("the lowest free number", |t| {
            let (first, second) = (t.tcp(), t.udp());
            t.close(first);
            t.close(first);
            let third = t.udp();
            t.close(second);
            t.local(second);
            t.close(third);
        }),
        ("what a socket is", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR, SO_SNDLOWAT] {
                    // The domains' numbers differ, as they should.
                    t.option(socket, SOL_SOCKET, name);
                }
                t.set_option(socket, SOL_SOCKET, SO_SNDLOWAT, 1);
            }
        }),
    ]);
}

#[test]
fn binding() {
    alone(&[
        ("bind", |t| {
            for (socket, other) in [(t.tcp(), t.tcp()), (t.udp(), t.udp())] {
                t.local(socket);
                t.bind(socket, SocketAddr::new(family_of(t, "192.0.2.1", "2001:db8::1"), 0));
                t.bind(socket, t.loopback(0));
                let at = t.local(socket);
                t.bind(socket, t.loopback(0));
                t.bind(other, at);
                t.bind(other, t.any(at.port()));
                t.local(other);
                t.close(socket);
                t.bind(other, at);
                t.local(other);
            }
        }),
        ("an address of the other family", |t| {
            for socket in [t.tcp(), t.udp()] {
                let other = if t.family == Family::V4 { "::1" } else { "127.0.0.1" };
                t.bind(socket, SocketAddr::new(ip(other), 0));
                t.connect(socket, SocketAddr::new(ip(other), 9));
                t.send_to(socket, b"x", SocketAddr::new(ip(other), 9));
            }
        }),
        ("SO_REUSEADDR", |t| {
            let (first, second) = (t.tcp(), t.tcp());
            t.set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(first, t.loopback(0));
            let at = t.local(first);
            t.bind(second, at);
            t.set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(second, at);
            t.listen(first, 1);
            t.listen(second, 1);
            let third = t.tcp();
            t.set_option(third, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(third, at);
        }),
        ("SO_REUSEPORT", |t| {
            for (first, second, third) in [(t.tcp(), t.tcp(), t.tcp()), (t.udp(), t.udp(), t.udp())] {
                t.set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
                t.bind(first, t.loopback(0));
                let at = t.local(first);
                t.bind(second, at);
                t.set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
                t.bind(second, at);
                t.set_option(third, SOL_SOCKET, SO_REUSEADDR, 1);
                t.bind(third, at);
            }
        }),
        ("a port that nobody asked for", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            t.shutdown(listener, SHUT_RDWR);
            t.local(listener);
            let other = t.tcp();
            t.bind(other, at);
            t.listen(listener, 1);
            t.local(listener);
            // The other way round, a socket that was bound to it keeps it.
            let kept = t.tcp();
            t.bind(kept, t.any(PORT));
            t.listen(kept, 1);
            t.shutdown(kept, SHUT_RDWR);
            t.bind(kept, t.any(0));
            let third = t.tcp();
            t.bind(third, t.any(PORT));
            t.listen(kept, 1);
            t.local(kept);
        }),
        ("a port without a connection", |t| {
            let (_listener, at) = t.listener(NEAR, t.loopback(0));
            for address in [t.loopback(0), t.any(0), t.loopback(PORT)] {
                let (client, other) = (t.tcp(), t.tcp());
                t.bind(client, address);
                let had = t.local(client);
                t.connect(client, t.loopback(9));
                t.local(client);
                t.bind(other, had);
                t.connect(client, at);
                t.local(client);
                t.close(other);
                t.connect(client, None);
                t.local(client);
                t.bind(client, t.any(0));
                t.close(client);
            }
        }),
        ("a port that rests", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.connect(client, at);
            let server = t.accept(listener, 0);
            t.close(listener);
            t.close(server);
            t.recv(client, 10, 0);
            t.close(client);
            let again = t.tcp();
            t.bind(again, at);
            t.set_option(again, SOL_SOCKET, SO_REUSEADDR, 1);
            t.bind(again, at);
            t.listen(again, 1);
        }),
    ]);
}

#[test]
fn one_port_for_both_families() {
    alone(&[
        ("IPV6_V6ONLY", |t| {
            let v6 = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.bind(v6, SocketAddr::new(ip("::"), 0));
            let port = t.local(v6).port();
            let v4 = t.socket(NEAR, AF_INET, SOCK_STREAM, 0);
            t.bind(v4, SocketAddr::new(ip("0.0.0.0"), port));
            t.bind(v4, SocketAddr::new(ip("127.0.0.1"), port));
            t.set_option(v6, SOL_IPV6, IPV6_V6ONLY, 1);
            let only = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.set_option(only, SOL_IPV6, IPV6_V6ONLY, 1);
            t.bind(only, SocketAddr::new(ip("::"), 0));
            let port = t.local(only).port();
            t.bind(v4, SocketAddr::new(ip("0.0.0.0"), port));
            t.listen(only, 1);
            t.listen(v4, 1);
        }),
        ("IPv4 on an IPv6 listener", |t| {
            let listener = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.bind(listener, SocketAddr::new(ip("::"), 0));
            t.listen(listener, 5);
            let port = t.local(listener).port();
            let client = t.socket(NEAR, AF_INET, SOCK_STREAM, 0);
            t.connect(client, SocketAddr::new(ip("127.0.0.1"), port));
            let server = t.accept(listener, 0);
            t.local(server);
            t.peer(server);
            let mapped = t.socket(NEAR, AF_INET6, SOCK_STREAM, 0);
            t.connect(mapped, SocketAddr::new(ip("::ffff:127.0.0.1"), port));
            t.local(mapped);
            t.peer(mapped);
        }),
        ("IPv4 on an IPv6 datagram socket", |t| {
            let both = t.socket(NEAR, AF_INET6, SOCK_DGRAM, 0);
            t.bind(both, SocketAddr::new(ip("::"), 0));
            let port = t.local(both).port();
            let v4 = t.socket(NEAR, AF_INET, SOCK_DGRAM, 0);
            t.bind(v4, SocketAddr::new(ip("127.0.0.1"), 0));
            let at = t.local(v4);
            t.send_to(v4, b"to both", SocketAddr::new(ip("127.0.0.1"), port));
            t.until(both, PollMask::IN);
            t.recv(both, 20, 0);
            t.send_to(both, b"back", SocketAddr::new(ip("::ffff:127.0.0.1"), at.port()));
            t.until(v4, PollMask::IN);
            t.recv(v4, 20, 0);
        }),
    ]);
}

#[test]
fn options() {
    alone(&[
        ("of any socket", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST, SO_KEEPALIVE] {
                    t.option(socket, SOL_SOCKET, name);
                    t.set_option(socket, SOL_SOCKET, name, 1);
                    t.set_option(socket, SOL_SOCKET, name, 0);
                }
                for name in [SO_RCVBUF, SO_SNDBUF] {
                    for value in [1, 5000, 100_000] {
                        t.set_option(socket, SOL_SOCKET, name, value);
                    }
                }
            }
            let datagrams = t.udp();
            t.option(datagrams, SOL_SOCKET, SO_RCVBUF);
            t.option(datagrams, SOL_SOCKET, SO_SNDBUF);
        }),
        ("of TCP", |t| {
            for socket in [t.tcp(), t.udp()] {
                for name in [TCP_NODELAY, TCP_CORK] {
                    t.option(socket, SOL_TCP, name);
                    t.set_option(socket, SOL_TCP, name, 1);
                }
                for name in [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT] {
                    t.option(socket, SOL_TCP, name);
                    for value in [0, 1, 127, 128, 32_767, 32_768] {
                        t.set_option(socket, SOL_TCP, name, value);
                    }
                }
                t.option(socket, SOL_TCP, TCP_USER_TIMEOUT);
                t.set_option(socket, SOL_TCP, TCP_USER_TIMEOUT, 1234);
                t.set_option(socket, SOL_TCP, TCP_USER_TIMEOUT, -1);
            }
        }),
        ("of IP", |t| {
            for socket in [t.tcp(), t.udp()] {
                for value in [1, 64, 255, 0, 256] {
                    t.set_option(socket, SOL_IP, IP_TTL, value);
                }
                for value in [0x10, 0xb8, 0xff] {
                    t.set_option(socket, SOL_IP, IP_TOS, value);
                }
                t.option(socket, SOL_IPV6, IPV6_V6ONLY);
                for value in [1, 255] {
                    t.set_option(socket, SOL_IPV6, IPV6_UNICAST_HOPS, value);
                }
                t.set_option(socket, SOL_IPV6, IPV6_TCLASS, 0xb8);
                t.set_option(socket, SOL_IPV6, IPV6_TCLASS, 256);
            }
        }),
        ("of the way", |t| {
            for socket in [t.tcp(), t.udp()] {
                for value in [-1, 0, 1, 255, 256] {
                    t.set_option(socket, SOL_IP, IP_RECVERR, value);
                    t.set_option(socket, SOL_IPV6, IPV6_RECVERR, value);
                    t.set_option(socket, SOL_IPV6, IPV6_AUTOFLOWLABEL, value);
                }
                t.option(socket, SOL_SOCKET, SO_MARK);
                t.option(socket, SOL_IP, IP_TRANSPARENT);
                for value in [0, 6, 1] {
                    t.set_option(socket, SOL_SOCKET, SO_PRIORITY, value);
                }
                for tos in [0x10, 0x08, 0x04, 0xb8, 0x20] {
                    t.set_option(socket, SOL_IP, IP_TOS, tos);
                    t.option(socket, SOL_SOCKET, SO_PRIORITY);
                }
                t.set_option(socket, SOL_SOCKET, SO_BUSY_POLL, -1);
                t.option(socket, SOL_SOCKET, SO_BUSY_POLL);
                for range in [0, 40_000, 20_000 << 16 | 30_000, 30_000 << 16 | 20_000] {
                    t.set_option(socket, SOL_IP, IP_LOCAL_PORT_RANGE, range);
                }
            }
            let stream = t.tcp();
            for value in [-1, 0, 255, 256] {
                t.set_option(stream, SOL_IP, IP_MINTTL, value);
                t.set_option(stream, SOL_IPV6, IPV6_MINHOPCOUNT, value);
            }
            for socket in [t.tcp(), t.udp()] {
                t.option(socket, SOL_IPV6, IPV6_ADDR_PREFERENCES);
                // Each alone, and with another of its pair.
                for value in [1, 2, 3, 0x100, 0x101, 4, 0x400, 0x404, 8, 0x800, 0x808, 0x10, 0, 6, 0x501, -1]
                {
                    t.set_option(socket, SOL_IPV6, IPV6_ADDR_PREFERENCES, value);
                    t.option(socket, SOL_IPV6, IPV6_ADDR_PREFERENCES);
                }
            }
        }),
        ("of the path's MTU", |t| {
            let v4 = t.family == Family::V4;
            let (level, mode, mtu) =
                if v4 { (SOL_IP, IP_MTU_DISCOVER, IP_MTU) } else { (SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_MTU) };
            for socket in [t.tcp(), t.udp()] {
                t.option(socket, level, mode);
                for value in IP_PMTUDISC_DONT - 1..=IP_PMTUDISC_OMIT + 1 {
                    t.set_option(socket, level, mode, value);
                }
                t.option(socket, level, mtu);
                t.option(socket, SOL_IP, IP_MTU_DISCOVER);
                t.option(socket, SOL_IPV6, IPV6_MTU_DISCOVER);
                t.option(socket, SOL_IPV6, IPV6_MTU);
            }
        }),
        ("inherited", |t| {
            let listener = t.tcp();
            t.set_option(listener, SOL_TCP, TCP_NODELAY, 1);
            t.set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
            t.set_option(listener, SOL_TCP, TCP_KEEPIDLE, 77);
            t.set_option(listener, SOL_SOCKET, SO_RCVBUF, 50_000);
            t.bind(listener, t.loopback(0));
            t.listen(listener, 1);
            let at = t.local(listener);
            let client = t.tcp();
            t.connect(client, at);
            let server = t.accept(listener, 0);
            t.option(server, SOL_TCP, TCP_NODELAY);
            t.option(server, SOL_SOCKET, SO_KEEPALIVE);
            t.option(server, SOL_TCP, TCP_KEEPIDLE);
            t.option(server, SOL_SOCKET, SO_RCVBUF);
        }),
    ]);
}
