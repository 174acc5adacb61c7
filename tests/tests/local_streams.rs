//! The same programs on the kernel's local sockets and on ours: bytes and records over a connection.

use tapsock::bsd::*;
use tapsock_tests::differential::{Both, Name, Sock, run};

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const SEQPACKET: i32 = SOCK_SEQPACKET | SOCK_NONBLOCK;
const BOTH: [i32; 2] = [STREAM, SEQPACKET];
const A: Name = Name::Path("a");
const DIRECTIONS: [i32; 3] = [SHUT_RD, SHUT_WR, SHUT_RDWR];

/// The ends of a connection that was accepted.
fn connection(t: &mut Both, kind: i32) -> (Sock, Sock) {
    let listener = t.listener(kind, Name::Abstract("listener"), 1);
    let client = t.socket(kind);
    t.connect(client, Name::Abstract("listener"));
    let server = t.accept(listener, SOCK_NONBLOCK);
    t.close(listener);
    (client, server)
}

#[test]
fn directions_end() {
    run(&[
        ("shutdown", |t| {
            for kind in BOTH {
                for how in DIRECTIONS {
                    let [near, far] = t.pair(kind);
                    t.send(near, b"sent", 0);
                    t.send(far, b"answered", 0);
                    t.shutdown(near, how);
                    t.send(near, b"more", 0);
                    t.send(far, b"more", 0);
                    for socket in [near, far] {
                        for _ in 0..3 {
                            t.recv(socket, 20, 0);
                        }
                    }
                    t.shutdown(far, how);
                    t.send(near, b"x", 0);
                    t.send(far, b"x", 0);
                }
            }
        }),
        ("close with everything read", |t| {
            for kind in BOTH {
                let [near, far] = t.pair(kind);
                t.send(near, b"last", 0);
                t.close(near);
                t.option(far, SOL_SOCKET, SO_ERROR);
                t.recv(far, 9, MSG_PEEK);
                t.recv(far, 9, 0);
                t.recv(far, 9, 0);
                t.send(far, b"x", 0);
                t.peer(far);
            }
        }),
        ("close with something unread", |t| {
            for kind in BOTH {
                for first in 0..4 {
                    let [near, far] = t.pair(kind);
                    t.send(near, b"unread", 0);
                    t.send(far, b"to be read", 0);
                    t.close(far);
                    match first {
                        0 => drop(t.recv(near, 20, 0)),
                        1 => t.send(near, b"x", 0),
                        2 => t.option(near, SOL_SOCKET, SO_ERROR),
                        _ => drop(t.recv(near, 20, MSG_PEEK)),
                    }
                    for _ in 0..3 {
                        t.recv(near, 20, 0);
                    }
                    t.send(near, b"x", 0);
                    t.option(near, SOL_SOCKET, SO_ERROR);
                }
            }
        }),
        ("an end that is held twice", |t| {
            for kind in BOTH {
                let [near, far] = t.pair(kind);
                let again = t.dup(far);
                t.close(far);
                t.send(near, b"x", 0);
                t.shutdown(again, SHUT_RD);
                t.send(near, b"x", 0);
                t.close(again);
                t.recv(near, 9, 0);
            }
        }),
        ("waiting calls that have no reason to wait", |t| {
            for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
                let [near, far] = t.pair(kind);
                t.send(near, b"here", 0);
                t.recv(far, 20, 0);
                t.recv(far, 20, MSG_DONTWAIT);
                t.set_nonblocking(far, true);
                t.recv(far, 20, 0);
                t.set_nonblocking(far, false);
                t.shutdown(near, SHUT_WR);
                t.recv(far, 20, 0);
                t.recv(far, 20, MSG_WAITALL);
                t.close(near);
                t.send(far, b"x", 0);
                let listener = t.listener(kind, A, 1);
                t.shutdown(listener, SHUT_RD);
                t.accept(listener, 0);
                t.unlink("a");
            }
        }),
    ]);
}

#[test]
fn bytes() {
    run(&[
        ("parts of what was sent", |t| {
            let [near, far] = t.pair(STREAM);
            t.send(near, b"", 0);
            t.recv(far, 9, 0);
            t.send(near, b"one", 0);
            t.send(near, b"two", MSG_EOR);
            t.send(near, b"three", MSG_MORE);
            t.recv(far, 0, 0);
            t.recv(far, 2, 0);
            t.recv(far, 2, MSG_PEEK);
            t.recv(far, 2, MSG_TRUNC);
            t.recv(far, 100, MSG_PEEK | MSG_WAITALL);
            t.recv(far, 5, MSG_WAITALL);
            t.recv(far, 100, MSG_WAITALL);
            t.recv(far, 100, 0);
        }),
        ("a receiver in no hurry", |t| {
            let [near, far] = t.pair(STREAM);
            t.set_option(far, SOL_SOCKET, SO_RCVLOWAT, 5);
            t.send(near, b"one", 0);
            t.recv(far, 9, 0);
            t.send(near, b"two", 0);
            t.recv(far, 4, 0);
            t.shutdown(near, SHUT_WR);
            t.recv(far, 9, 0);
            for value in [-1, 0, 1, i32::MAX] {
                t.set_option(far, SOL_SOCKET, SO_RCVLOWAT, value);
            }
        }),
        ("a full buffer", |t| {
            for size in [1, 4608, 10_000, 100_000, 9_000_000] {
                let [near, far] = t.pair(STREAM);
                t.set_option(near, SOL_SOCKET, SO_SNDBUF, size);
                for _ in 0..4 {
                    t.send(near, &[b'x'; 3000], 0);
                }
                t.send(near, &[b'y'; 300_000], 0);
                t.send(near, b"z", 0);
                for _ in 0..6 {
                    t.recv(far, 2500, 0);
                    t.send(near, b"!", 0);
                }
                t.recv(far, 1_000_000, 0);
                t.close(near);
            }
        }),
        ("an address", |t| {
            let (client, server) = connection(t, STREAM);
            t.send_to(client, b"x", A);
            t.send_to(client, b"x", Name::Unnamed);
            t.send_to(server, b"x", Name::Inet);
        }),
    ]);
}

#[test]
fn urgent_bytes() {
    run(&[
        ("one", |t| {
            let [near, far] = t.pair(STREAM);
            t.recv(far, 9, MSG_OOB);
            t.send(near, b"", MSG_OOB);
            t.send(near, b"abc", MSG_OOB);
            t.recv(far, 9, MSG_PEEK);
            t.recv(far, 9, MSG_OOB | MSG_PEEK | MSG_CMSG_CLOEXEC);
            t.recv(far, 9, 0);
            t.recv(far, 9, MSG_OOB | MSG_CMSG_CLOEXEC);
            t.recv(far, 9, MSG_OOB | MSG_CMSG_CLOEXEC);
            t.recv(far, 9, 0);
        }),
        ("several, and bytes around them", |t| {
            let [near, far] = t.pair(STREAM);
            t.send(near, b"ab", MSG_OOB);
            t.send(near, b"cd", 0);
            t.send(near, b"ef", MSG_OOB);
            t.send(near, b"gh", 0);
            t.recv(far, 9, MSG_PEEK);
            t.recv(far, 9, 0);
            t.recv(far, 9, 0);
            t.recv(far, 9, MSG_OOB);
            t.recv(far, 9, 0);
        }),
        ("in line", |t| {
            let [near, far] = t.pair(STREAM);
            t.set_option(far, SOL_SOCKET, SO_OOBINLINE, 1);
            t.send(near, b"ab", MSG_OOB);
            t.send(near, b"cd", 0);
            t.recv(far, 9, MSG_OOB);
            t.recv(far, 9, 0);
            t.recv(far, 9, 0);
        }),
        ("at the end", |t| {
            let [near, far] = t.pair(STREAM);
            t.send(near, b"!", MSG_OOB);
            t.close(near);
            t.recv(far, 9, 0);
            t.recv(far, 9, MSG_OOB);
        }),
        ("records have none", |t| {
            let [near, far] = t.pair(SEQPACKET);
            t.send(near, b"x", MSG_OOB);
            t.recv(far, 9, MSG_OOB);
            t.send(near, b"x", 0);
            t.recv(far, 9, MSG_OOB);
            t.close(near);
            t.recv(far, 9, MSG_OOB);
        }),
    ]);
}

#[test]
fn records() {
    run(&[
        ("their bounds", |t| {
            let [near, far] = t.pair(SEQPACKET);
            for record in [&b"one"[..], b"", b"three", b"four", b"five"] {
                t.send(near, record, MSG_EOR);
            }
            t.recv(far, 2, 0);
            t.recv(far, 9, 0);
            t.recv(far, 2, MSG_PEEK | MSG_TRUNC);
            t.recv(far, 2, MSG_TRUNC);
            t.recv(far, 9, MSG_WAITALL);
            t.recv(far, 0, 0);
            t.recv(far, 9, 0);
        }),
        ("too long, and too many", |t| {
            let [near, far] = t.pair(SEQPACKET);
            t.send(near, &[b'x'; 300_000], 0);
            t.set_option(near, SOL_SOCKET, SO_SNDBUF, 10_000);
            t.send(near, &[b'x'; 20_000], 0);
            for _ in 0..6 {
                t.send(near, &[b'y'; 5000], 0);
            }
            t.recv(far, 10_000, 0);
            t.send(near, b"z", 0);
            t.shutdown(near, SHUT_WR);
            t.send(near, &[b'x'; 20_000], 0);
        }),
        ("an address is passed over", |t| {
            let (client, server) = connection(t, SEQPACKET);
            t.send_to(client, b"x", A);
            t.recv(server, 9, 0);
        }),
    ]);
}
