//! The same programs of socket calls on the kernel and on this stack: urgent data, states, and options of TCP.

use tapsock::bsd::*;
use tapsock_tests::calls::{Host, Script, Sock, alone};

const NEAR: Host = Host::Near;

/// What there is to be seen of urgent data.
fn look(t: &mut Script, socket: Sock) {
    t.ready(socket);
    t.unread(socket);
}

#[test]
fn urgent_bytes() {
    alone(&[
        ("urgent bytes", |t| {
            let (client, server) = t.connection();
            t.recv(server, 1, MSG_OOB);
            look(t, server);
            t.send(client, b"abc", 0);
            t.send(client, b"de!", MSG_OOB);
            t.send(client, b"fg", 0);
            t.until(server, PollMask::PRI);
            look(t, server);
            t.recv(server, 1, MSG_OOB | MSG_PEEK);
            t.recv(server, 0, MSG_OOB | MSG_PEEK);
            t.recv(server, 9, MSG_OOB);
            t.recv(server, 9, MSG_OOB);
            look(t, server);
            t.recv(server, 99, 0);
            look(t, server);
            t.recv(server, 99, 0);
            look(t, server);
            t.recv(server, 1, MSG_OOB);
            t.send(client, b"", MSG_OOB);
            t.send(client, b"!", MSG_OOB);
            t.until(server, PollMask::PRI);
            look(t, server);
            t.recv(server, 9, MSG_DONTWAIT);
            look(t, server);
            t.recv(server, 1, MSG_OOB);
        }),
        ("urgent bytes one after the other", |t| {
            let (client, server) = t.connection();
            t.send(client, b"12", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.send(client, b"34", MSG_OOB);
            t.send(client, b"5", 0);
            t.recv(server, 1, MSG_PEEK | MSG_WAITALL);
            look(t, server);
            t.recv(server, 1, MSG_OOB);
            t.recv(server, 9, MSG_PEEK);
            t.recv(server, 9, 0);
            t.recv(server, 9, 0);
            look(t, server);
            t.send(client, b"a", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.recv(server, 1, MSG_OOB);
            t.send(client, b"b", MSG_OOB);
            t.until(server, PollMask::PRI);
            look(t, server);
            t.recv(server, 9, MSG_DONTWAIT);
            look(t, server);
        }),
        ("urgent bytes in line", |t| {
            let (client, server) = t.connection();
            t.set_option(server, SOL_SOCKET, SO_OOBINLINE, 1);
            t.send(client, b"xy!z", MSG_OOB);
            t.until(server, PollMask::PRI);
            look(t, server);
            t.recv(server, 1, MSG_OOB);
            t.recv(server, 9, 0);
            look(t, server);
            t.recv(server, 9, 0);
            look(t, server);
            t.set_option(server, SOL_SOCKET, SO_OOBINLINE, 0);
            t.send(client, b"ab!", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.recv(server, 9, MSG_PEEK);
            t.recv(server, 9, 0);
            look(t, server);
            t.set_option(server, SOL_SOCKET, SO_OOBINLINE, 7);
            look(t, server);
            t.recv(server, 9, 0);
        }),
        ("an urgent byte and the end", |t| {
            let (client, server) = t.connection();
            t.send(client, b"ab!", MSG_OOB);
            t.shutdown(client, SHUT_WR);
            t.until(server, PollMask::RDHUP | PollMask::PRI);
            look(t, server);
            t.recv(server, 1, MSG_OOB | MSG_PEEK);
            t.recv(server, 9, 0);
            look(t, server);
            t.recv(server, 9, 0);
            look(t, server);
            t.recv(server, 9, MSG_OOB);
            t.recv(server, 9, 0);
        }),
        ("an urgent byte and a reset", |t| {
            let (client, server) = t.connection();
            t.send(client, b"ab!", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.recv(server, 1, MSG_OOB);
            t.error(server);
            t.ready(server);
        }),
        ("all, up to an urgent byte", |t| {
            let (client, server) = t.connection();
            t.send(client, b"ab!cd", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.set_receive_timeout(server, 30);
            t.recv(server, 10, MSG_WAITALL);
            t.send(client, b"ef", 0);
            t.recv(server, 10, MSG_OOB | MSG_WAITALL);
            t.recv(server, 2, MSG_WAITALL);
            t.set_option(server, SOL_SOCKET, SO_RCVLOWAT, 2);
            t.send(client, b"!", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.send(client, b"1", 0);
            t.recv(server, 1, MSG_PEEK);
            t.ready(server);
            t.send(client, b"2", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 9, 0);
        }),
        ("an urgent byte where none can be", |t| {
            let socket = t.tcp();
            t.send(socket, b"x", MSG_OOB);
            t.recv(socket, 1, MSG_OOB);
            t.listen(socket, 1);
            t.recv(socket, 1, MSG_OOB);
            t.send(socket, b"x", MSG_OOB);
            let (client, server) = t.connection();
            t.shutdown(server, SHUT_RD);
            t.recv(server, 1, MSG_OOB);
            t.send(client, b"x!", MSG_OOB);
            t.until(server, PollMask::PRI);
            t.recv(server, 1, MSG_OOB);
            t.recv(server, 5, 0);
            t.shutdown(client, SHUT_WR);
            t.send(client, b"x", MSG_OOB);
        }),
    ]);
}

#[test]
fn waiting_for_as_much_as_was_asked_for() {
    alone(&[
        ("less than SO_RCVLOWAT when time is up", |t| {
            let (client, server) = t.connection();
            t.set_option(server, SOL_SOCKET, SO_RCVLOWAT, 5);
            t.set_receive_timeout(server, 30);
            t.send(client, b"four", 0);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(client, b"fourfour", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 4, 0);
            t.recv(server, 3, 0);
        }),
        ("looking at all", |t| {
            let (client, server) = t.connection();
            t.set_receive_timeout(server, 30);
            t.send(client, b"half", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 8, MSG_PEEK | MSG_WAITALL);
            t.recv(server, 8, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT);
            t.send(client, b"half", 0);
            t.recv(server, 8, MSG_PEEK | MSG_WAITALL);
            t.shutdown(client, SHUT_WR);
            t.until(server, PollMask::RDHUP);
            t.recv(server, 9, MSG_PEEK | MSG_WAITALL);
        }),
        ("nothing, when time is up", |t| {
            let (client, server) = t.connection();
            t.set_receive_timeout(client, 20);
            for flags in [0, MSG_PEEK, MSG_WAITALL] {
                t.recv(client, 0, flags);
                t.recv(client, 1, flags);
                t.recv(client, 0, flags | MSG_DONTWAIT);
            }
            t.send(server, b"abc", 0);
            t.until(client, PollMask::IN);
            t.recv(client, 0, 0);
            t.recv(client, 9, 0);
        }),
        ("throwing all away", |t| {
            let (client, server) = t.connection();
            t.set_receive_timeout(server, 30);
            t.send(client, b"one two three", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 4, MSG_TRUNC | MSG_PEEK);
            t.recv(server, 4, MSG_TRUNC);
            t.recv(server, 4, MSG_PEEK);
            t.recv(server, 20, MSG_TRUNC | MSG_WAITALL);
        }),
        ("looking further", |t| {
            let (client, server) = t.connection();
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.set_option(server, SOL_SOCKET, SO_PEEK_OFF, 2);
            t.send(client, b"0123456789", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 3, MSG_PEEK);
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(server, 3, MSG_PEEK);
            t.recv(server, 4, 0);
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(server, 3, MSG_PEEK);
            t.recv(server, 3, MSG_PEEK | MSG_DONTWAIT);
            t.recv(server, 9, 0);
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.set_option(server, SOL_SOCKET, SO_PEEK_OFF, 1);
            t.send(client, b"ab!cd", MSG_OOB);
            t.send(client, b"ef", 0);
            t.until(server, PollMask::PRI);
            t.recv(server, 3, MSG_PEEK);
            t.recv(server, 3, MSG_PEEK);
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(server, 9, 0);
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(server, 9, MSG_PEEK);
            t.set_option(server, SOL_SOCKET, SO_PEEK_OFF, -9);
            t.recv(server, 9, MSG_PEEK);
        }),
    ]);
}

/// Every state that a call can ask about.
fn ask(t: &mut Script, socket: Sock) {
    t.ready(socket);
    t.local(socket);
    t.peer(socket);
    t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
    t.unread(socket);
    t.recv(socket, 1, MSG_DONTWAIT);
    t.send(socket, b"", MSG_DONTWAIT);
}

#[test]
fn sockets_without_a_connection() {
    alone(&[
        ("fresh, bound, listening, shut", |t| {
            let socket = t.tcp();
            ask(t, socket);
            t.bind(socket, t.loopback(0));
            ask(t, socket);
            t.shutdown(socket, SHUT_RD);
            ask(t, socket);
            t.listen(socket, 0);
            ask(t, socket);
            t.listen(socket, 7);
            t.bind(socket, t.loopback(0));
            let at = t.local(socket);
            let client = t.tcp();
            t.connect(client, at);
            t.until(socket, PollMask::IN);
            ask(t, socket);
            t.shutdown(socket, SHUT_WR);
            ask(t, socket);
            let server = t.accept(socket, 0);
            ask(t, server);
            t.shutdown(socket, SHUT_RDWR);
            ask(t, socket);
            t.accept(socket, 0);
            t.shutdown(socket, SHUT_RDWR);
            t.ready(socket);
        }),
        ("listening where a connection is or was", |t| {
            let (client, server) = t.connection();
            t.listen(client, 1);
            t.listen(server, 1);
            t.shutdown(client, SHUT_RDWR);
            t.until(server, PollMask::RDHUP);
            t.close(server);
            t.until(client, PollMask::HUP);
            t.listen(client, 1);
            t.ready(client);
            t.connect(client, None);
            ask(t, client);
            t.listen(client, 1);
            ask(t, client);
        }),
        ("shut before it listens", |t| {
            for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
                let listener = t.tcp();
                t.bind(listener, t.loopback(0));
                t.shutdown(listener, how);
                t.listen(listener, 1);
                let at = t.local(listener);
                let client = t.tcp();
                t.connect(client, at);
                let end = if how == SHUT_RD { PollMask::OUT } else { PollMask::RDHUP };
                t.until(client, end);
                let server = t.accept(listener, 0);
                ask(t, server);
                t.send(server, b"x", 0);
                t.send(client, b"x", 0);
                match how {
                    SHUT_RDWR => t.until(client, PollMask::ERR),
                    _ => t.recv(client, 1, if how == SHUT_RD { MSG_DONTWAIT } else { 0 }),
                }
                // What ends both ways takes nothing any more.
                if how == SHUT_RD {
                    t.shutdown(server, SHUT_WR);
                    t.until(client, PollMask::RDHUP);
                    t.send(client, b"y", 0);
                    t.until(client, PollMask::ERR);
                }
                ask(t, client);
                t.recv(server, 9, MSG_DONTWAIT);
                ask(t, server);
            }
        }),
        ("waiting connections when the listener is shut", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.connect(client, at);
            t.until(listener, PollMask::IN);
            t.shutdown(listener, SHUT_RD);
            t.until(client, PollMask::ERR);
            t.error(client);
            ask(t, client);
            t.accept(listener, 0);
        }),
        ("dissolving a socket that listens", |t| {
            let (listener, _) = t.listener(NEAR, t.loopback(0));
            t.connect(listener, None);
            ask(t, listener);
            t.accept(listener, 0);
            t.connect(listener, None);
            t.connect(listener, t.loopback(9));
            ask(t, listener);
        }),
    ]);
}

#[test]
fn connections_that_fail_and_are_tried_again() {
    alone(&[
        ("refused, and then taken", |t| {
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, t.loopback(9));
            t.until(client, PollMask::ERR);
            t.connect(client, t.loopback(9));
            t.ready(client);
            t.connect(client, t.loopback(9));
            t.until(client, PollMask::ERR);
            t.error(client);
            t.connect(client, t.loopback(9));
            ask(t, client);
            let (_, at) = t.listener(NEAR, t.loopback(0));
            t.connect(client, at);
            t.until(client, PollMask::OUT);
            t.connect(client, at);
            t.connect(client, at);
            t.shutdown(client, SHUT_WR);
        }),
        ("dissolved and connected again", |t| {
            let (_, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.connect(client, at);
            t.connect(client, None);
            ask(t, client);
            t.error(client);
            t.connect(client, at);
            ask(t, client);
            t.connect(client, None);
            t.connect(client, None);
            t.bind(client, t.loopback(0));
            t.connect(client, at);
            t.peer(client);
        }),
        ("shut before it is connected", |t| {
            let (_, at) = t.listener(NEAR, t.loopback(0));
            for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
                let client = t.tcp();
                t.shutdown(client, how);
                ask(t, client);
                t.connect(client, at);
                ask(t, client);
            }
        }),
    ]);
}

#[test]
fn shutting_in_every_state() {
    alone(&[
        ("twice, and after the peer", |t| {
            for how in [SHUT_RD, SHUT_WR, SHUT_RDWR] {
                let (client, server) = t.connection();
                t.shutdown(client, how);
                ask(t, client);
                t.shutdown(client, how);
                t.shutdown(server, SHUT_WR);
                t.until(client, PollMask::RDHUP);
                ask(t, client);
                t.shutdown(client, SHUT_RDWR);
                t.until(server, PollMask::HUP);
                ask(t, server);
                t.shutdown(server, how);
                ask(t, server);
            }
        }),
        ("after a reset", |t| {
            let (client, server) = t.connection();
            t.send(client, b"unread", 0);
            t.until(server, PollMask::IN);
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.local(server);
            t.peer(server);
            t.shutdown(server, SHUT_RD);
            t.shutdown(server, SHUT_RDWR);
            t.error(server);
            ask(t, server);
            t.listen(server, 1);
            t.ready(server);
        }),
    ]);
}

/// Values at and beyond the ends of what Linux takes.
const VALUES: [i32; 17] =
    [i32::MIN, -1, 0, 1, 2, 7, 8, 87, 88, 120, 127, 128, 1000, 32_767, 32_768, 65_536, i32::MAX];

fn try_values(t: &mut Script, socket: Sock, options: &[i32]) {
    for option in options {
        t.option(socket, SOL_TCP, *option);
        for value in VALUES {
            t.set_option(socket, SOL_TCP, *option, value);
        }
    }
}

#[test]
fn values_of_options() {
    const OPTIONS: [i32; 12] = [
        TCP_NODELAY,
        TCP_CORK,
        TCP_KEEPIDLE,
        TCP_KEEPINTVL,
        TCP_KEEPCNT,
        TCP_SYNCNT,
        TCP_LINGER2,
        TCP_DEFER_ACCEPT,
        TCP_WINDOW_CLAMP,
        TCP_QUICKACK,
        TCP_USER_TIMEOUT,
        TCP_NOTSENT_LOWAT,
    ];
    alone(&[
        ("values on a fresh socket", |t| {
            let socket = t.tcp();
            try_values(t, socket, &OPTIONS);
            try_values(t, socket, &[TCP_MAXSEG]);
        }),
        ("values on a listener", |t| {
            let (listener, _) = t.listener(NEAR, t.loopback(0));
            try_values(t, listener, &OPTIONS);
            try_values(t, listener, &[TCP_MAXSEG]);
        }),
        ("values on a connection", |t| {
            let (client, _server) = t.connection();
            // The bound of the window has no value of its own before.
            try_values(t, client, &OPTIONS[..8]);
            try_values(t, client, &OPTIONS[9..]);
            for value in [0, 1, -1, 4000] {
                t.set_option(client, SOL_TCP, TCP_WINDOW_CLAMP, value);
            }
        }),
        ("values that a connection has from its listener", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            for (option, value) in [
                (TCP_DEFER_ACCEPT, 1),
                (TCP_LINGER2, -1),
                (TCP_NOTSENT_LOWAT, 1000),
                (TCP_QUICKACK, 0),
                (TCP_WINDOW_CLAMP, 5000),
                (TCP_SYNCNT, 3),
                (TCP_USER_TIMEOUT, 9),
            ] {
                t.set_option(listener, SOL_TCP, option, value);
            }
            t.set_option(listener, SOL_SOCKET, SO_PEEK_OFF, 3);
            let client = t.tcp();
            t.connect(client, at);
            t.send(client, b"there", 0);
            let server = t.accept(listener, 0);
            for option in OPTIONS {
                t.option(server, SOL_TCP, option);
            }
            t.option(server, SOL_SOCKET, SO_PEEK_OFF);
            t.recv(server, 9, 0);
        }),
    ]);
}

/// Values that go with a connection, and those that stay.
#[test]
fn options_of_a_dissolved_socket() {
    const SET: [(i32, i32, i32); 9] = [
        (SOL_TCP, TCP_WINDOW_CLAMP, 5000),
        (SOL_TCP, TCP_QUICKACK, 0),
        (SOL_TCP, TCP_NOTSENT_LOWAT, 77),
        (SOL_TCP, TCP_LINGER2, 5),
        (SOL_TCP, TCP_DEFER_ACCEPT, 3),
        (SOL_TCP, TCP_USER_TIMEOUT, 99),
        (SOL_TCP, TCP_CORK, 1),
        (SOL_SOCKET, SO_OOBINLINE, 1),
        (SOL_SOCKET, SO_PEEK_OFF, 3),
    ];
    fn set(t: &mut Script) -> Sock {
        let socket = t.tcp();
        SET.iter().for_each(|(level, name, value)| t.set_option(socket, *level, *name, *value));
        socket
    }
    fn get(t: &mut Script, socket: Sock) {
        SET.iter().for_each(|(level, name, _)| t.option(socket, *level, *name));
    }
    alone(&[
        ("never connected", |t| {
            let socket = set(t);
            t.set_option(socket, SOL_TCP, TCP_MAXSEG, 1000);
            t.connect(socket, None);
            get(t, socket);
            t.option(socket, SOL_TCP, TCP_MAXSEG);
        }),
        ("connected", |t| {
            let (_, at) = t.listener(NEAR, t.loopback(0));
            let socket = set(t);
            t.connect(socket, at);
            get(t, socket);
            // It may be written to: see the table of differences.
            t.ready_for_other_things();
            t.connect(socket, None);
            get(t, socket);
        }),
        ("refused", |t| {
            let socket = set(t);
            t.connect(socket, t.loopback(9));
            get(t, socket);
        }),
        ("listening", |t| {
            let socket = set(t);
            t.listen(socket, 1);
            t.shutdown(socket, SHUT_RD);
            get(t, socket);
        }),
    ]);
}

#[test]
fn a_listener_that_waits_for_data() {
    alone(&[("a listener that waits for data", |t| {
        let (listener, at) = t.listener(NEAR, t.loopback(0));
        t.set_option(listener, SOL_TCP, TCP_DEFER_ACCEPT, 3);
        let client = t.tcp();
        t.connect(client, at);
        t.ready(client);
        t.ready(listener);
        t.send(client, b"now", 0);
        t.until(listener, PollMask::IN);
        let server = t.accept(listener, 0);
        t.ready(server);
        t.recv(server, 9, 0);
        // The time passes: the connection is told of without data.
        t.set_option(listener, SOL_TCP, TCP_DEFER_ACCEPT, 1);
        let silent = t.tcp();
        t.connect(silent, at);
        t.ready(listener);
        t.until(listener, PollMask::IN);
        let server = t.accept(listener, 0);
        t.ready(server);
    })]);
}
