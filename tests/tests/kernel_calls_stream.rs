//! The same programs of socket calls on the kernel and on this stack: urgent data, states, and options of TCP.

use tapsock::bsd::*;
use tapsock_tests::calls::{Script, Sock, alone};

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
