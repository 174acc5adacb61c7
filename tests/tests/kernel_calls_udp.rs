//! The same programs of socket calls on the kernel and on this stack: datagrams.

use std::net::SocketAddr;

use tapsock::bsd::*;
use tapsock_tests::bench::Family;
use tapsock_tests::calls::{Host, alone};

/// A port that a program asks for by number.
const PORT: u16 = 23_457;

#[test]
fn sending_and_receiving() {
    alone(&[
        ("to and from", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.ready(here);
            t.recv(here, 10, MSG_DONTWAIT);
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.send(here, b"nobody", 0);
            t.send_to(here, b"hello", at);
            t.local(here);
            t.peer(here);
            t.until(there, PollMask::IN);
            t.recv(there, 3, MSG_PEEK);
            t.recv(there, 3, MSG_PEEK | MSG_TRUNC);
            t.recv(there, 3, 0);
            t.recv(there, 3, MSG_DONTWAIT);
            t.send_to(here, b"", at);
            t.until(there, PollMask::IN);
            t.recv(there, 10, 0);
            let largest = if t.family == Family::V4 { 65_507 } else { 65_527 };
            t.send_to(here, &vec![7; largest + 1], at);
            t.send_to(here, &[7; 70_000], at);
            t.send_to(here, b"port 0", t.loopback(0));
            t.ready(there);
        }),
        ("peeking from an offset", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.set_option(there, SOL_SOCKET, SO_PEEK_OFF, 0);
            for data in [&b"abcdef"[..], b"", b"ghi", b"jk"] {
                t.send_to(here, data, at);
                t.until(there, PollMask::IN);
            }
            let mut peek = |max, flags| {
                t.recv(there, max, MSG_PEEK | MSG_DONTWAIT | flags);
                t.option(there, SOL_SOCKET, SO_PEEK_OFF);
            };
            for max in [2, 4, 5, 1, 9, 2, 9, 9] {
                peek(max, 0);
            }
            t.recv(there, 4, 0);
            t.option(there, SOL_SOCKET, SO_PEEK_OFF);
            for offset in [0, 1, 3, 5, 6, 100, -1] {
                t.set_option(there, SOL_SOCKET, SO_PEEK_OFF, offset);
                t.recv(there, 2, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
                t.option(there, SOL_SOCKET, SO_PEEK_OFF);
                t.recv(there, 9, MSG_PEEK | MSG_DONTWAIT);
                t.option(there, SOL_SOCKET, SO_PEEK_OFF);
            }
            t.set_option(there, SOL_SOCKET, SO_PEEK_OFF, 2);
            t.recv(there, 9, MSG_TRUNC);
            t.recv(there, 1, MSG_TRUNC);
            t.option(there, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(there, 9, MSG_PEEK | MSG_DONTWAIT);
        }),
        ("errors one by one", |t| {
            let here = t.udp();
            let (level, option) =
                if t.family == Family::V4 { (SOL_IP, IP_RECVERR) } else { (SOL_IPV6, IPV6_RECVERR) };
            t.option(here, level, option);
            t.set_option(here, level, option, 1);
            t.recv(here, 10, MSG_ERRQUEUE);
            let nobody = t.loopback(PORT);
            for _ in 0..2 {
                t.send_to(here, b"hello", nobody);
                t.until(here, PollMask::ERR);
                t.recv(here, 10, MSG_DONTWAIT);
                t.ready(here);
            }
            t.recv(here, 3, MSG_ERRQUEUE);
            t.ready(here);
            t.error(here);
            t.recv(here, 10, MSG_ERRQUEUE | MSG_TRUNC);
            t.ready(here);
            t.error(here);
            t.send_to(here, b"again", nobody);
            t.until(here, PollMask::ERR);
            t.set_option(here, level, option, 0);
            t.recv(here, 10, MSG_ERRQUEUE);
            t.error(here);
            t.ready(here);
        }),
        ("sends without copies", |t| {
            let here = t.udp();
            for value in [2, -1, 1] {
                t.set_option(here, SOL_SOCKET, SO_ZEROCOPY, value);
            }
            t.bind(here, t.loopback(0));
            let own = t.local(here);
            t.connect(here, own);
            t.send(here, b"hello", MSG_ZEROCOPY);
            t.until(here, PollMask::ERR);
            t.recv(here, 10, MSG_ERRQUEUE);
            t.recv(here, 10, 0);
            t.ready(here);
        }),
        ("connected", |t| {
            let (here, there, stranger) = (t.udp(), t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            let from = t.local(here);
            t.peer(here);
            t.send(here, b"one", 0);
            t.until(there, PollMask::IN);
            t.recv(there, 10, 0);
            t.send_to(stranger, b"not for you", from);
            t.send_to(there, b"for you", from);
            t.until(here, PollMask::IN);
            t.recv(here, 20, 0);
            t.recv(here, 20, MSG_DONTWAIT);
            t.connect(here, None);
            t.peer(here);
            t.local(here);
            t.send(here, b"x", 0);
        }),
        ("a port that nobody asked for", |t| {
            for address in
                [None, Some(t.loopback(0)), Some(t.any(0)), Some(t.loopback(PORT)), Some(t.any(PORT))]
            {
                let (socket, other) = (t.udp(), t.udp());
                if let Some(address) = address {
                    t.bind(socket, address);
                }
                t.connect(socket, t.loopback(9));
                let at = t.local(socket);
                t.connect(socket, None);
                t.local(socket);
                t.bind(other, at);
                t.bind(socket, t.loopback(0));
                t.local(socket);
                // Sending gives it a port of the address that it kept.
                t.send_to(socket, b"x", t.loopback(9));
                t.local(socket);
                t.connect(socket, None);
                t.local(socket);
                t.close(socket);
                t.close(other);
            }
        }),
        ("port 0", |t| {
            let socket = t.udp();
            t.connect(socket, t.loopback(0));
            t.peer(socket);
            t.local(socket);
            t.send(socket, b"to nobody", 0);
            t.until(socket, PollMask::ERR);
            t.error(socket);
        }),
        ("as many as the receive buffer holds", |t| {
            for (buffer, size) in [(4000, 0), (4000, 1472), (10_000, 0), (10_000, 1472), (50_000, 0)] {
                let (here, there) = (t.udp(), t.udp());
                t.set_option(there, SOL_SOCKET, SO_RCVBUF, buffer);
                t.bind(there, t.loopback(0));
                let at = t.local(there);
                t.connect(here, at);
                for _ in 0..100 {
                    t.send(here, &vec![7; size], 0);
                }
                t.until(there, PollMask::IN);
                for _ in 0..100 {
                    t.recv(there, 2000, MSG_DONTWAIT);
                }
                t.close(here);
                t.close(there);
            }
        }),
        ("held back until it is one datagram", |t| {
            let there = t.udp();
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            let largest = if t.family == Family::V4 { 65_507 } else { 65_527 };
            for by_option in [true, false] {
                let here = t.udp();
                let flags = if by_option { 0 } else { MSG_MORE };
                t.set_option(here, SOL_UDP, UDP_CORK, by_option.into());
                t.connect(here, at);
                t.send(here, b"abc", flags);
                t.send(here, b"", flags);
                t.ready(there);
                if by_option {
                    t.set_option(here, SOL_UDP, UDP_CORK, 0);
                    t.set_option(here, SOL_UDP, UDP_CORK, 1);
                } else {
                    t.send(here, b"de", 0);
                }
                t.until(there, PollMask::IN);
                t.recv(there, 9, 0);
                // One byte too many, and all is lost.
                for len in [largest - 1, 1, 1] {
                    t.send(here, &vec![7; len], flags);
                }
                t.send(here, b"new", flags);
                t.set_option(here, SOL_UDP, UDP_CORK, 0);
                t.send(here, b"er", 0);
                t.until(there, PollMask::IN);
                t.recv(there, 9, MSG_TRUNC);
                t.recv(there, 9, MSG_TRUNC | MSG_DONTWAIT);
                t.close(here);
            }
        }),
        ("held back in the send buffer", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            t.set_option(here, SOL_SOCKET, SO_SNDBUF, 2_304);
            t.set_option(here, SOL_UDP, UDP_CORK, 1);
            t.send(here, &[7; 4_000], MSG_DONTWAIT);
            t.ready(here);
            // What belongs to the same datagram needs no room.
            t.send(here, &[7; 20_000], MSG_DONTWAIT);
            t.set_option(here, SOL_UDP, UDP_CORK, 0);
            t.until(here, PollMask::OUT);
            t.until(there, PollMask::IN);
            t.recv(there, 1, MSG_TRUNC);
        }),
        ("to a group by the interface of the source", |t| {
            if t.family == Family::V6 {
                return;
            }
            let group = "239.1.1.1:9".parse().unwrap();
            let (here, anywhere) = (t.udp(), t.udp());
            t.bind(here, t.loopback(0));
            t.connect(here, group);
            t.send(here, b"x", 0);
            t.ready(here);
            // No way leads there.
            t.connect(anywhere, group);
            t.send_to(anywhere, b"x", group);
        }),
        ("from a group's address", |t| {
            let addresses = match t.family {
                Family::V4 => &["239.1.1.1", "255.255.255.255", "127.255.255.255"][..],
                Family::V6 => &["ff05::77", "::ffff:239.1.1.1"],
            };
            for address in addresses {
                for kind in [SOCK_DGRAM, SOCK_STREAM] {
                    let (listener, at) = t.listener(Host::Near, t.loopback(0));
                    let there = t.udp();
                    t.bind(there, at);
                    let here = t.socket(Host::Near, t.domain(), kind | SOCK_NONBLOCK, 0);
                    t.bind(here, SocketAddr::new(address.parse().unwrap(), 0));
                    t.connect(here, at);
                    t.local(here);
                    t.peer(here);
                    if kind == SOCK_DGRAM {
                        // What comes to the address that it is sent from is not for this socket.
                        t.send(here, b"to who hears it", 0);
                        t.recv(there, 20, MSG_DONTWAIT);
                        t.connect(here, t.loopback(PORT));
                        t.send(here, b"to nobody", 0);
                        t.recv(here, 20, 0);
                        t.connect(here, None);
                        t.local(here);
                        t.send_to(here, b"x", at);
                        t.recv(there, 20, MSG_DONTWAIT);
                    }
                    for socket in [here, there, listener] {
                        t.close(socket);
                    }
                    t.remark("the next address");
                }
            }
        }),
        ("held back in vain", |t| {
            let nowhere = match t.family {
                Family::V4 => "192.0.2.1:9".parse().unwrap(),
                Family::V6 => "[2001:db8::1]:9".parse().unwrap(),
            };
            let here = t.udp();
            t.set_option(here, SOL_UDP, UDP_CORK, 1);
            t.send_to(here, b"x", nowhere);
            t.send(here, b"x", 0);
            t.connect(here, t.loopback(PORT));
            t.send(here, b"x", 0);
            t.set_option(here, SOL_UDP, UDP_CORK, 0);
            t.until(here, PollMask::ERR);
            t.set_option(here, SOL_UDP, UDP_CORK, 1);
            t.send(here, b"x", 0);
            t.send(here, b"y", 0);
            t.shutdown(here, SHUT_WR);
            t.send(here, b"z", 0);
            t.set_option(here, SOL_UDP, UDP_CORK, 0);
            t.until(here, PollMask::ERR);
            t.error(here);
            t.set_option(here, SOL_UDP, UDP_CORK, 1);
            t.send(here, b"x", 0);
        }),
        ("who gets it", |t| {
            let (any, specific, connected) = (t.udp(), t.udp(), t.udp());
            for socket in [any, specific, connected] {
                t.set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
            }
            t.bind(any, t.any(0));
            let port = t.local(any).port();
            t.bind(specific, t.loopback(port));
            t.bind(connected, t.loopback(port));
            let (first, second) = (t.udp(), t.udp());
            t.bind(first, t.loopback(0));
            t.bind(second, t.loopback(0));
            let at = t.local(first);
            t.connect(connected, at);
            t.send_to(first, b"from the first", t.loopback(port));
            t.send_to(second, b"from the second", t.loopback(port));
            t.until(connected, PollMask::IN);
            t.until(specific, PollMask::IN);
            for socket in [connected, specific, any] {
                t.recv(socket, 20, MSG_DONTWAIT);
                t.recv(socket, 20, MSG_DONTWAIT);
            }
        }),
    ]);
}

#[test]
fn errors_and_ends() {
    alone(&[
        ("refused", |t| {
            let socket = t.udp();
            t.connect(socket, t.loopback(9));
            t.send(socket, b"one", 0);
            t.until(socket, PollMask::ERR);
            t.recv(socket, 10, MSG_DONTWAIT);
            t.recv(socket, 10, MSG_DONTWAIT);
            t.send(socket, b"two", 0);
            t.until(socket, PollMask::ERR);
            t.send(socket, b"three", 0);
            t.error(socket);
            t.send(socket, b"four", 0);
            t.until(socket, PollMask::ERR);
            t.error(socket);
            t.error(socket);
            t.ready(socket);
        }),
        ("not connected, not refused", |t| {
            let socket = t.udp();
            t.send_to(socket, b"one", t.loopback(9));
            t.send_to(socket, b"two", t.loopback(9));
            t.recv(socket, 10, MSG_DONTWAIT);
            t.error(socket);
        }),
        ("shut", |t| {
            let socket = t.udp();
            t.shutdown(socket, SHUT_WR);
            t.ready(socket);
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            t.shutdown(here, SHUT_WR);
            t.ready(here);
            t.send(here, b"x", 0);
            t.shutdown(here, SHUT_RD);
            t.ready(here);
            t.recv(here, 10, 0);
            t.recv(here, 10, MSG_DONTWAIT);
        }),
        ("flags", |t| {
            let (here, there) = (t.udp(), t.udp());
            t.bind(there, t.loopback(0));
            let at = t.local(there);
            t.connect(here, at);
            t.send(here, b"urgent", MSG_OOB);
            t.recv(here, 10, MSG_ERRQUEUE);
            t.recv(here, 10, MSG_OOB | MSG_DONTWAIT);
        }),
    ]);
}
