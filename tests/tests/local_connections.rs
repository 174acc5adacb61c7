//! The same programs on the kernel's local sockets and on ours: how connections come about.

use tapsock::bsd::*;
use tapsock_tests::differential::{Both, Name, Sock, Waits, run};

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const SEQPACKET: i32 = SOCK_SEQPACKET | SOCK_NONBLOCK;
const BOTH: [i32; 2] = [STREAM, SEQPACKET];
const A: Name = Name::Path("a");
const B: Name = Name::Path("b");
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
fn listening() {
    run(&[
        ("who may listen", |t| {
            for kind in [STREAM, SEQPACKET, SOCK_DGRAM | SOCK_NONBLOCK] {
                let socket = t.socket(kind);
                t.listen(socket, 1);
                t.accept(socket, 0);
                t.bind(socket, Name::Unnamed);
                t.accept(socket, 0);
                t.listen(socket, 1);
                t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
                t.peer_credentials(socket);
                t.accept(socket, 0);
                t.accept(socket, 0x7);
                t.connect(socket, A);
                t.send(socket, b"x", 0);
                t.recv(socket, 9, 0);
                t.peer(socket);
            }
        }),
        ("the backlog", |t| {
            for kind in BOTH {
                for backlog in [0, 2, -1] {
                    let listener = t.listener(kind, A, backlog);
                    let clients: Vec<_> = (0..4).map(|_| t.socket(kind)).collect();
                    clients.iter().for_each(|client| t.connect(*client, A));
                    t.listen(listener, 1);
                    t.connect(clients[3], A);
                    let accepted = t.accept(listener, SOCK_NONBLOCK);
                    t.connect(clients[3], A);
                    t.listen(listener, 9);
                    t.connect(clients[3], A);
                    t.accept(listener, SOCK_NONBLOCK);
                    t.close(accepted);
                    t.close(listener);
                    t.unlink("a");
                    t.open().into_iter().for_each(|socket| t.close(socket));
                }
            }
        }),
        ("a connect that waits for room in the backlog", |t| {
            for kind in BOTH {
                let listener = t.listener(kind, A, 0);
                let (first, second) = (t.socket(kind), t.socket(kind));
                t.connect(first, A);
                for how in [Waits::Moment, Waits::NoTime] {
                    t.set_waits(second, how);
                    t.connect(second, A);
                    t.connect(first, A);
                }
                t.accept(listener, SOCK_NONBLOCK);
                t.connect(second, A);
                t.unlink("a");
                t.open().into_iter().for_each(|socket| t.close(socket));
            }
        }),
        ("who connects", |t| {
            for kind in BOTH {
                let listener = t.listener(kind, A, 0);
                let client = t.socket(kind);
                t.bind(client, B);
                t.connect(client, A);
                t.connect(client, A);
                t.peer(client);
                t.peer_credentials(client);
                // It is full, and that is said before EISCONN.
                let other = t.socket(kind);
                t.connect(other, A);
                t.connect(listener, A);
                let server = t.accept(listener, SOCK_NONBLOCK);
                t.connect(client, A);
                t.connect(listener, A);
                t.local(server);
                t.peer(server);
                t.peer_credentials(server);
                t.bind(server, Name::Path("c"));
                t.listen(server, 1);
                t.listen(client, 1);
                t.connect(server, A);
                t.connect(client, Name::Unspec);
                t.close(client);
                t.unlink("b");
                t.peer(server);
                t.unlink("a");
                t.open().into_iter().for_each(|socket| t.close(socket));
            }
        }),
        ("a name that comes late", |t| {
            for kind in BOTH {
                let (client, server) = connection(t, kind);
                t.peer(server);
                t.send(client, b"before", 0);
                t.bind(client, Name::Path("late"));
                t.peer(server);
                t.recv(server, 9, 0);
                t.send(server, b"back", 0);
                t.recv(client, 9, 0);
                t.unlink("late");
            }
        }),
        ("data before accept", |t| {
            for kind in BOTH {
                let listener = t.listener(kind, A, 1);
                let client = t.socket(kind);
                t.connect(client, A);
                t.send(client, b"early", 0);
                t.shutdown(client, SHUT_WR);
                t.close(client);
                let server = t.accept(listener, SOCK_NONBLOCK);
                t.recv(server, 9, 0);
                t.recv(server, 9, 0);
                t.send(server, b"late", 0);
                t.close(listener);
                t.unlink("a");
            }
        }),
        ("a listener that is closed", |t| {
            for kind in BOTH {
                let listener = t.listener(kind, A, 3);
                let (first, second) = (t.socket(kind), t.socket(kind));
                t.connect(first, A);
                t.connect(second, A);
                t.send(first, b"unheard", 0);
                t.close(listener);
                t.recv(first, 9, 0);
                t.send(first, b"x", 0);
                t.option(second, SOL_SOCKET, SO_ERROR);
                t.send(second, b"x", 0);
                t.recv(second, 9, 0);
                t.unlink("a");
            }
        }),
        ("a listener that is shut down", |t| {
            for kind in BOTH {
                for how in DIRECTIONS {
                    let listener = t.listener(kind, A, 3);
                    let (first, second) = (t.socket(kind), t.socket(kind));
                    t.connect(first, A);
                    t.shutdown(listener, how);
                    t.connect(second, A);
                    t.accept(listener, SOCK_NONBLOCK);
                    t.accept(listener, SOCK_NONBLOCK);
                    t.listen(listener, 3);
                    t.close(listener);
                    t.unlink("a");
                }
            }
        }),
        ("shut down before it listens or connects", |t| {
            for kind in BOTH {
                for how in DIRECTIONS {
                    let (listener, client) = (t.socket(kind), t.socket(kind));
                    t.shutdown(listener, how);
                    t.bind(listener, A);
                    t.listen(listener, 3);
                    t.connect(client, A);
                    t.unlink("a");
                    let listener = t.listener(kind, A, 3);
                    let other = t.socket(kind);
                    t.shutdown(other, how);
                    t.send(other, b"x", 0);
                    t.recv(other, 9, 0);
                    t.connect(other, A);
                    t.send(other, b"x", 0);
                    t.recv(other, 9, 0);
                    let server = t.accept(listener, SOCK_NONBLOCK);
                    t.send(server, b"", 0);
                    t.send(server, b"x", 0);
                    t.recv(server, 9, 0);
                    t.recv(other, 9, 0);
                    t.close(listener);
                    t.unlink("a");
                }
            }
        }),
    ]);
}

#[test]
fn sockets_that_are_not_connected() {
    run(&[("every call", |t| {
        for kind in BOTH {
            let socket = t.socket(kind);
            for flags in [0, MSG_DONTWAIT, MSG_PEEK, MSG_OOB, MSG_WAITALL] {
                t.send(socket, b"", flags);
                t.send(socket, b"x", flags);
                t.recv(socket, 9, flags);
                t.recv(socket, 0, flags);
            }
            t.send_to(socket, b"x", A);
            t.peer(socket);
            t.shutdown(socket, SHUT_WR);
            t.send(socket, b"x", 0);
            t.send_to(socket, b"x", A);
            t.shutdown(socket, SHUT_RDWR);
            t.recv(socket, 9, 0);
            t.option(socket, SOL_SOCKET, SO_ERROR);
        }
        t.shutdown(77, SHUT_RD);
        t.send(77, b"x", 0);
        t.recv(77, 9, 0);
    })]);
}
