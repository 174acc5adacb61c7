//! The same programs on the kernel's local sockets and on ours: datagrams, and what goes with a message of any type.

use tapsock::bsd::*;
use tapsock_tests::differential::{Both, Name, Room, Sock, run};

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const DGRAM: i32 = SOCK_DGRAM | SOCK_NONBLOCK;
const SEQPACKET: i32 = SOCK_SEQPACKET | SOCK_NONBLOCK;
const ALL: [i32; 3] = [STREAM, DGRAM, SEQPACKET];
const A: Name = Name::Path("a");
const B: Name = Name::Abstract("b");
const C: Name = Name::Path("c");

/// A socket with that name.
fn bound(t: &mut Both, name: Name) -> Sock {
    let socket = t.socket(DGRAM);
    t.bind(socket, name);
    socket
}

#[test]
fn who_sends_to_whom() {
    run(&[
        ("with and without a peer", |t| {
            let (a, b) = (bound(t, A), bound(t, B));
            let nameless = t.socket(DGRAM);
            t.send(nameless, b"x", 0);
            t.send_to(nameless, b"to a", A);
            t.recv(a, 9, 0);
            t.send_to(a, b"to itself", A);
            t.recv(a, 9, 0);
            t.connect(nameless, B);
            t.peer(nameless);
            t.send(nameless, b"to b", 0);
            t.send_to(nameless, b"to a", A);
            t.recv(b, 9, 0);
            t.recv(a, 9, 0);
            t.send_to(b, b"back", A);
            t.recv(a, 9, 0);
            t.connect(nameless, Name::Unspec);
            t.peer(nameless);
            t.send(nameless, b"x", 0);
            t.connect(nameless, Name::Unspec);
        }),
        ("a name that comes late", |t| {
            let (a, late) = (bound(t, A), t.socket(DGRAM));
            t.send_to(late, b"nameless", A);
            t.bind(late, C);
            t.send_to(late, b"named", A);
            t.recv(a, 9, MSG_PEEK);
            t.close(late);
            t.recv(a, 9, 0);
            t.recv(a, 9, 0);
        }),
        ("only the peer may send", |t| {
            let (a, b, c) = (bound(t, A), bound(t, B), bound(t, C));
            t.connect(a, B);
            t.send_to(c, b"x", A);
            t.connect(c, A);
            t.send_to(b, b"from b", A);
            t.recv(a, 9, 0);
            // What came before stays.
            t.send_to(c, b"to b", B);
            t.connect(b, A);
            t.send_to(c, b"x", B);
            t.recv(b, 9, 0);
        }),
        ("a peer that turns away", |t| {
            for read_first in [true, false] {
                let [near, far] = t.pair(DGRAM);
                let c = bound(t, B);
                t.send(near, b"unread", 0);
                if read_first {
                    t.recv(far, 9, 0);
                }
                t.connect(far, B);
                t.option(near, SOL_SOCKET, SO_ERROR);
                t.recv(far, 9, 0);
                t.send(near, b"x", 0);
                t.recv(near, 9, 0);
                t.close(c);
            }
        }),
        ("the error is told once", |t| {
            for first in 0..3 {
                let [near, far] = t.pair(DGRAM);
                t.send(near, b"unread", 0);
                t.connect(far, Name::Unspec);
                match first {
                    0 => drop(t.recv(near, 9, 0)),
                    1 => t.send(near, b"x", 0),
                    _ => t.option(near, SOL_SOCKET, SO_ERROR),
                }
                t.recv(near, 9, 0);
                t.send(near, b"x", 0);
                t.recv(far, 9, 0);
            }
        }),
        ("a peer that is gone", |t| {
            let (a, b) = (bound(t, A), bound(t, B));
            t.connect(a, B);
            t.connect(b, A);
            t.send(b, b"last", 0);
            t.close(b);
            t.peer(a);
            t.send(a, b"x", 0);
            t.peer(a);
            t.send(a, b"x", 0);
            t.recv(a, 9, 0);
            t.connect(a, B);
        }),
    ]);
}

#[test]
fn queues() {
    run(&[
        ("more than ten that wait", |t| {
            let (a, b) = (bound(t, A), t.socket(DGRAM));
            for _ in 0..12 {
                t.send_to(b, b"x", A);
            }
            // Who is connected sees it by poll.
            t.connect(b, A);
            t.recv(a, 9, 0);
            t.send(b, b"y", 0);
            t.send(b, b"z", 0);
            t.recv(a, 9, 0);
            t.recv(a, 9, 0);
        }),
        ("a pair's bound is its credit", |t| {
            let [near, far] = t.pair(DGRAM);
            for _ in 0..12 {
                t.send(near, b"x", 0);
            }
            t.set_option(near, SOL_SOCKET, SO_SNDBUF, 1);
            t.send(near, b"x", 0);
            for _ in 0..12 {
                t.recv(far, 9, 0);
            }
            t.send(near, b"x", 0);
        }),
        ("to itself", |t| {
            let a = bound(t, A);
            t.connect(a, A);
            for _ in 0..12 {
                t.send(a, b"x", 0);
            }
            t.recv(a, 9, 0);
        }),
        ("too long", |t| {
            let (a, b) = (bound(t, A), t.socket(DGRAM));
            t.send_to(b, &[b'x'; 212_961], A);
            t.send_to(b, &[b'x'; 212_960], A);
            t.recv(a, 300_000, 0);
            t.set_option(b, SOL_SOCKET, SO_SNDBUF, 1);
            t.send_to(b, &[b'x'; 5000], A);
            t.send(b, &[b'x'; 5000], 0);
        }),
        ("parts", |t| {
            let [near, far] = t.pair(DGRAM);
            for datagram in [&b"one"[..], b"", b"three", b"four", b"five"] {
                t.send(near, datagram, 0);
            }
            t.recv(far, 2, MSG_PEEK);
            t.recv(far, 2, 0);
            t.recv(far, 2, 0);
            t.recv(far, 2, MSG_PEEK | MSG_TRUNC);
            t.recv(far, 2, MSG_TRUNC);
            t.recv(far, 9, MSG_WAITALL);
            t.recv(far, 0, 0);
            t.recv(far, 9, 0);
            t.send(near, b"x", MSG_OOB);
            t.recv(far, 9, MSG_OOB);
        }),
    ]);
}

#[test]
fn directions_end() {
    run(&[
        ("shutdown", |t| {
            for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
                let [near, far] = t.pair(DGRAM);
                t.send(near, b"sent", 0);
                t.send(far, b"answered", 0);
                t.shutdown(near, how);
                t.send(near, b"more", 0);
                t.send(far, b"more", 0);
                for socket in [near, far] {
                    t.recv(socket, 9, 0);
                    t.recv(socket, 9, 0);
                }
                t.shutdown(far, how);
                t.send(near, b"more", 0);
                t.close(far);
            }
        }),
        ("without a peer", |t| {
            let socket = t.socket(DGRAM);
            t.recv(socket, 9, 0);
            t.shutdown(socket, SHUT_WR);
            t.send(socket, b"x", 0);
            t.send_to(socket, b"x", A);
            t.send_to(socket, b"x", Name::Unnamed);
            t.shutdown(socket, SHUT_RD);
            t.recv(socket, 9, 0);
            t.set_nonblocking(socket, false);
            t.recv(socket, 9, 0);
            t.recv(socket, 9, MSG_DONTWAIT);
        }),
    ]);
}

#[test]
fn when_they_were_sent() {
    run(&[
        ("a stamp of either kind", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let [near, far] = t.pair(kind);
                t.send(near, b"before", 0);
                for (name, value) in
                    [(SO_TIMESTAMP, 1), (SO_TIMESTAMPNS, 1), (SO_TIMESTAMP, 0), (SO_TIMESTAMP, 7)]
                {
                    t.set_option(far, SOL_SOCKET, name, value);
                    t.option(far, SOL_SOCKET, SO_TIMESTAMP);
                    t.option(far, SOL_SOCKET, SO_TIMESTAMPNS);
                    t.send(near, b"x", 0);
                    t.recv(far, 9, MSG_PEEK);
                    t.recv(far, 9, 0);
                }
                t.set_option(far, SOL_SOCKET, SO_PASSCRED, 1);
                t.send(near, b"by whom", 0);
                t.recv_into(far, Room { data: 9, control: 40 }, MSG_PEEK);
                t.recv(far, 9, 0);
                t.close(near);
                t.recv(far, 9, 0);
                t.recv(far, 9, 0);
            }
        }),
        ("who is accepted has to ask anew", |t| {
            let (listener, client) = (t.socket(SEQPACKET), t.socket(SEQPACKET));
            t.bind(listener, Name::Abstract("l"));
            t.listen(listener, 1);
            for socket in [listener, client] {
                t.set_option(socket, SOL_SOCKET, SO_TIMESTAMP, 1);
            }
            t.connect(client, Name::Abstract("l"));
            let server = t.accept(listener, SOCK_NONBLOCK);
            for (from, to) in [(client, server), (server, client)] {
                t.option(to, SOL_SOCKET, SO_TIMESTAMP);
                t.send(from, b"x", 0);
                t.recv(to, 9, 0);
            }
        }),
    ]);
}

#[test]
fn peeking_from_an_offset() {
    run(&[("SO_PEEK_OFF", |t| {
        for kind in ALL {
            let [near, far] = t.pair(kind);
            t.set_option(far, SOL_SOCKET, SO_PEEK_OFF, 0);
            for data in [&b"abcd"[..], b"ef", b"ghi"] {
                t.send(near, data, 0);
            }
            for max in [1, 2, 9, 9, 9, 9] {
                t.recv(far, max, MSG_PEEK);
                t.option(far, SOL_SOCKET, SO_PEEK_OFF);
            }
            t.set_option(far, SOL_SOCKET, SO_PEEK_OFF, 5);
            t.recv(far, 9, MSG_PEEK);
            t.recv(far, 3, 0);
            t.option(far, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(far, 9, MSG_PEEK);
            t.set_option(far, SOL_SOCKET, SO_PEEK_OFF, -1);
            t.recv(far, 9, MSG_PEEK);
        }
    })]);
}

#[test]
fn credentials() {
    run(&[
        ("of who sends", |t| {
            for kind in ALL {
                let [near, far] = t.pair(kind);
                t.send(near, b"unasked", 0);
                t.set_option(far, SOL_SOCKET, SO_PASSCRED, 1);
                t.send(near, b"asked", 0);
                t.recv(far, 4, MSG_PEEK);
                t.recv(far, 20, 0);
                t.recv(far, 20, 0);
                t.set_option(far, SOL_SOCKET, SO_PASSCRED, 0);
                t.send(near, b"no more", 0);
                t.recv(far, 20, 0);
            }
        }),
        ("a listener's option is inherited", |t| {
            for kind in [STREAM, SEQPACKET] {
                let listener = t.listener(kind, A, 2);
                t.set_option(listener, SOL_SOCKET, SO_PASSCRED, 1);
                let client = t.socket(kind);
                t.connect(client, A);
                t.send(client, b"before", 0);
                let server = t.accept(listener, SOCK_NONBLOCK);
                t.option(server, SOL_SOCKET, SO_PASSCRED);
                t.recv(server, 9, 0);
                t.unlink("a");
            }
        }),
        ("who asks for them gets a name", |t| {
            for kind in ALL {
                let socket = t.socket(kind);
                t.set_option(socket, SOL_SOCKET, SO_PASSCRED, 1);
                t.local(socket);
                t.connect(socket, Name::Unnamed);
                t.local(socket);
                t.send(socket, b"x", 0);
                t.local(socket);
                t.connect(socket, A);
                t.local(socket);
                let [near, far] = t.pair(kind);
                t.set_option(near, SOL_SOCKET, SO_PASSCRED, 1);
                t.send(near, b"x", 0);
                t.local(near);
                t.recv(far, 9, 0);
            }
        }),
    ]);
}

#[test]
fn sockets_in_messages() {
    run(&[
        ("passed and used", |t| {
            for kind in ALL {
                let [near, far] = t.pair(kind);
                let [passed, kept] = t.pair(STREAM);
                t.send_message(near, b"take this", 0, None, &[passed]);
                t.close(passed);
                t.send(kept, b"meanwhile", 0);
                let taken = t.recv(far, 20, 0);
                taken.iter().for_each(|taken| drop(t.recv(*taken, 20, 0)));
                taken.iter().for_each(|taken| t.close(*taken));
                t.recv(kept, 9, 0);
            }
        }),
        ("a bound between bytes", |t| {
            let [near, far] = t.pair(STREAM);
            let parcel = t.socket(DGRAM);
            t.send(near, b"one", 0);
            t.send_message(near, b"two", 0, None, &[parcel]);
            t.send(near, b"three", 0);
            t.send_message(near, b"", 0, None, &[parcel]);
            t.recv(far, 9, MSG_PEEK);
            t.recv(far, 1, 0);
            t.recv(far, 20, 0);
            t.recv(far, 20, 0);
            t.recv(far, 20, 0);
        }),
        ("a message without bytes", |t| {
            for kind in [SEQPACKET, DGRAM] {
                let [near, far] = t.pair(kind);
                t.send_message(near, b"", 0, None, &[near, near]);
                t.recv(far, 9, 0);
            }
        }),
        ("a number that stands for nothing", |t| {
            let [near, far] = t.pair(STREAM);
            t.send_message(near, b"x", 0, None, &[77]);
            t.recv(far, 9, 0);
        }),
        ("lost with the queue", |t| {
            for kind in ALL {
                let [near, far] = t.pair(kind);
                let [passed, kept] = t.pair(STREAM);
                t.send_message(near, b"x", 0, None, &[passed]);
                t.close(passed);
                t.close(far);
                t.recv(kept, 9, 0);
            }
        }),
    ]);
}

#[test]
fn options() {
    run(&[
        ("sizes", |t| {
            for kind in ALL {
                let socket = t.socket(kind);
                for name in [SO_SNDBUF, SO_RCVBUF] {
                    t.option(socket, SOL_SOCKET, name);
                    for value in [0, 1, 2303, 2304, 2305, 100_000, -1] {
                        t.set_option(socket, SOL_SOCKET, name, value);
                    }
                }
            }
        }),
        ("send buffers beyond the limit", |t| {
            for kind in ALL {
                let [near, far] = t.pair(kind);
                for value in [0, 1, 2304, 100_000, -1, i32::MIN, i32::MAX, i32::MAX / 2, 100_000_000] {
                    t.set_option(near, SOL_SOCKET, SO_SNDBUFFORCE, value);
                    t.option(near, SOL_SOCKET, SO_SNDBUF);
                }
                // Records have a bound of their own; three of the longest are more than what SO_SNDBUF gives.
                for len in [4_263_617, 4_263_616, 4_263_616, 4_263_616] {
                    t.send(near, &vec![b'x'; len], 0);
                }
                t.recv(far, 6_000_000, 0);
            }
        }),
        ("numbers that are no truth values", |t| {
            let socket = t.socket(STREAM);
            for name in [SO_PASSCRED, SO_OOBINLINE] {
                for value in [2, -1, 0] {
                    t.set_option(socket, SOL_SOCKET, name, value);
                }
            }
            for value in [-1, 0, i32::MAX, -1] {
                t.set_option(socket, SOL_SOCKET, SO_PEEK_OFF, value);
            }
        }),
        ("options that do nothing", |t| {
            for kind in ALL {
                let [near, _] = t.pair(kind);
                for name in
                    [SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_DONTROUTE, SO_REUSEPORT, SO_ZEROCOPY]
                {
                    for value in [1, 0, -7] {
                        t.set_option(near, SOL_SOCKET, name, value);
                        t.option(near, SOL_SOCKET, name);
                    }
                }
            }
        }),
        ("options that are only read", |t| {
            let socket = t.socket(STREAM);
            for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR] {
                t.set_option(socket, SOL_SOCKET, name, 1);
            }
            t.set_option(socket, SOL_TCP, TCP_NODELAY, 1);
        }),
    ]);
}
