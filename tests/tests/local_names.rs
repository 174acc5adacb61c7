//! The same programs on the kernel's local sockets and on ours: types, numbers and names.

use tapsock::bsd::*;
use tapsock_tests::differential::{Both, DIFFERENCES, Name, Sockets, run};

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const DGRAM: i32 = SOCK_DGRAM | SOCK_NONBLOCK;
const SEQPACKET: i32 = SOCK_SEQPACKET | SOCK_NONBLOCK;
const A: Name = Name::Path("a");
const B: Name = Name::Path("b");
const ABSTRACT: Name = Name::Abstract("a");

#[test]
fn types_and_numbers() {
    run(&[
        ("triples", |t| {
            for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW] {
                for protocol in [0, AF_UNIX, 2, IPPROTO_TCP] {
                    t.socket_of(kind, protocol);
                    t.pair_of(kind, protocol);
                }
            }
            for kind in [SOCK_RDM, 6, 10] {
                t.socket(kind);
                t.pair(kind);
                t.socket_of(kind, 2);
            }
        }),
        ("what a socket is", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET, SOCK_RAW] {
                let socket = t.socket(kind);
                for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR, SO_SNDLOWAT] {
                    t.option(socket, SOL_SOCKET, name);
                }
                t.set_option(socket, SOL_SOCKET, SO_SNDLOWAT, 1);
                t.peer_credentials(socket);
                t.local(socket);
                t.peer(socket);
            }
        }),
        ("the lowest free number", |t| {
            let [first, second] = t.pair(STREAM);
            let third = t.dup(first);
            t.close(first);
            t.close(first);
            t.dup(first);
            let fourth = t.socket(DGRAM);
            t.send(third, b"still there", 0);
            t.recv(second, 20, 0);
            t.close(third);
            t.recv(second, 20, 0);
            t.close(fourth);
        }),
        ("socketpair", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let [first, second] = t.pair(kind);
                t.local(first);
                t.peer(first);
                t.peer_credentials(first);
                t.bind(first, Name::Unnamed);
                t.local(first);
                t.peer(second);
                t.send(first, b"with a name", 0);
                t.recv(second, 20, 0);
                t.connect(first, A);
                t.listen(first, 1);
                t.accept(second, 0);
                t.close(first);
                t.peer(second);
            }
        }),
    ]);
}

#[test]
fn binding() {
    run(&[
        ("a path", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let (first, second) = (t.socket(kind), t.socket(kind));
                t.bind(first, A);
                t.local(first);
                t.bind(second, A);
                t.bind(first, A);
                t.bind(first, B);
                t.bind(first, Name::Unnamed);
                t.close(first);
                // It stays until somebody removes it.
                t.bind(second, A);
                t.connect(second, A);
                t.unlink("a");
                t.unlink("a");
                t.connect(second, A);
                t.bind(second, A);
                t.local(second);
                t.unlink("a");
                t.local(second);
            }
        }),
        ("one path, written otherwise", |t| {
            let (first, second) = (t.socket(DGRAM), t.socket(DGRAM));
            t.bind(first, Name::Path("./a"));
            t.local(first);
            t.bind(second, Name::Path("a"));
            t.bind(second, Name::Path(".//a"));
            t.send_to(second, b"x", Name::Path("./././a"));
            t.recv(first, 9, 0);
            t.bind(second, Name::Path("a/"));
            t.connect(second, Name::Path("a/"));
            t.bind(second, Name::Path("a/b"));
            t.connect(second, Name::Path("a/b"));
            t.bind(second, Name::Path(""));
            t.bind(second, Name::Path("."));
            t.connect(second, Name::Path("c"));
            t.unlink("./a");
            t.bind(second, Name::Path("."));
            t.connect(second, Name::Path("."));
        }),
        ("one path, from the working directory on", |t| {
            let (first, second) = (t.socket(DGRAM), t.socket(DGRAM));
            t.bind(first, Name::Relative("a"));
            t.local(first);
            t.bind(second, Name::Relative("a"));
            t.bind(second, A);
            t.bind(second, Name::Relative("./b"));
            for name in [A, Name::Relative("a"), Name::Relative(".//a"), Name::Relative("a/"), B] {
                t.connect(second, name);
                t.peer(second);
                t.send(second, b"x", 0);
                t.recv(first, 9, 0);
            }
            t.unlink("a");
            t.connect(second, Name::Relative("a"));
        }),
        ("the longest path", |t| {
            let (first, second) = (t.socket(STREAM), t.socket(STREAM));
            t.bind(first, Name::Long("l", 107));
            t.local(first);
            t.listen(first, 1);
            t.connect(second, Name::Long("l", 107));
            t.peer(second);
            let (third, fourth) = (t.socket(DGRAM), t.socket(DGRAM));
            t.bind(third, Name::Long("m", 108));
            t.connect(fourth, Name::Long("m", 108));
            t.connect(fourth, Name::Long("l", 108));
        }),
        ("an abstract name", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let (first, second) = (t.socket(kind), t.socket(kind));
                t.bind(first, ABSTRACT);
                t.local(first);
                t.bind(second, ABSTRACT);
                t.bind(first, ABSTRACT);
                t.bind(first, Name::Abstract("b"));
                t.connect(second, Name::Abstract("c"));
                // It goes with its socket.
                t.close(first);
                t.bind(second, ABSTRACT);
                t.local(second);
            }
        }),
        ("abstract names of each type", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let socket = t.socket(kind);
                t.bind(socket, ABSTRACT);
                t.connect(socket, ABSTRACT);
            }
        }),
        ("a name that the system chooses", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let socket = t.socket(kind);
                t.bind(socket, Name::Unnamed);
                t.local(socket);
                t.bind(socket, Name::Unnamed);
                t.bind(socket, A);
            }
        }),
        ("an address of another family", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let socket = t.socket(kind);
                t.bind(socket, Name::Inet);
                t.connect(socket, Name::Inet);
                t.connect(socket, Name::Unnamed);
                t.connect(socket, Name::Unspec);
                t.send_to(socket, b"x", Name::Inet);
                t.send_to(socket, b"x", Name::Unnamed);
            }
        }),
    ]);
}

#[test]
fn unlinking() {
    run(&[
        ("a socket goes on without its name", |t| {
            let listener = t.listener(STREAM, A, 2);
            let first = t.socket(STREAM);
            t.connect(first, A);
            t.unlink("a");
            let second = t.socket(STREAM);
            t.connect(second, A);
            let accepted = t.accept(listener, 0);
            t.send(first, b"hello", 0);
            t.recv(accepted, 9, 0);
            t.local(accepted);
            t.peer(first);
            // The name is free for another.
            let other = t.listener(STREAM, A, 2);
            t.connect(second, A);
            t.close(listener);
            t.accept(other, SOCK_NONBLOCK);
            let third = t.socket(STREAM);
            t.connect(third, A);
        }),
        ("a name of a socket that is gone", |t| {
            for kind in [STREAM, DGRAM, SEQPACKET] {
                let (first, second) = (t.socket(kind), t.socket(kind));
                t.bind(first, A);
                t.close(first);
                t.connect(second, A);
                t.send_to(second, b"x", A);
                t.unlink("a");
                t.connect(second, A);
                t.send_to(second, b"x", A);
            }
        }),
        ("what is no name of a socket", |t| {
            t.unlink("nothing");
            let socket = t.socket(STREAM);
            t.bind(socket, A);
            t.unlink("a/b");
        }),
    ]);
}

#[test]
fn types_do_not_mix() {
    run(&[("connect and sendto", |t| {
        t.listener(STREAM, A, 2);
        t.listener(SEQPACKET, B, 2);
        let datagrams = t.socket(DGRAM);
        t.bind(datagrams, Name::Path("c"));
        for kind in [STREAM, DGRAM, SEQPACKET] {
            for name in [A, B, Name::Path("c")] {
                let socket = t.socket(kind);
                t.send_to(socket, b"x", name);
                t.connect(socket, name);
                t.close(socket);
            }
        }
    })]);
}

#[test]
fn every_known_difference_shows() {
    let mut both = Both::new();
    let socket = both.socket(STREAM);
    both.known("a directory that nobody made");
    both.bind(socket, Name::Path("c/d"));
    let [near, far] = both.pair(STREAM);
    both.send(near, b"!", MSG_OOB);
    both.recv(far, 0, MSG_OOB);
    assert_eq!(both.difference(), None);
    let known = DIFFERENCES.iter().filter(|known| known.of == Sockets::Local);
    assert_eq!(*both.met(), known.map(|known| known.what).collect());
}
