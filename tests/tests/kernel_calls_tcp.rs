//! The same programs of socket calls on the kernel and on this stack: connections.

use tapsock::bsd::*;
use tapsock_tests::calls::{Host, alone};

const NEAR: Host = Host::Near;

#[test]
fn listening() {
    alone(&[
        ("listen", |t| {
            let socket = t.tcp();
            t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
            t.listen(socket, 1);
            t.option(socket, SOL_SOCKET, SO_ACCEPTCONN);
            t.local(socket);
            t.listen(socket, -1);
            t.ready(socket);
            t.send(socket, b"x", 0);
            t.recv(socket, 1, 0);
            t.peer(socket);
            let at = t.local(socket);
            t.connect(socket, t.loopback(at.port()));
            let datagrams = t.udp();
            t.listen(datagrams, 1);
            t.accept(datagrams, 0);
            let fresh = t.tcp();
            t.accept(fresh, 0);
            let (client, _) = t.connection();
            t.listen(client, 1);
            t.accept(client, 0);
        }),
        ("accept without waiting", |t| {
            let listener = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.bind(listener, t.loopback(0));
            t.listen(listener, 5);
            let at = t.local(listener);
            t.accept(listener, 0);
            let client = t.tcp();
            t.connect(client, at);
            t.until(listener, PollMask::IN);
            let server = t.accept(listener, SOCK_NONBLOCK);
            t.recv(server, 10, 0);
            t.accept(listener, 0);
            t.ready(listener);
        }),
        ("a listener that is shut", |t| {
            // A port that the stack chose would go with the listener.
            let unused = t.tcp();
            t.bind(unused, t.loopback(0));
            let at = t.local(unused);
            t.close(unused);
            let (listener, _) = t.listener(NEAR, at);
            t.shutdown(listener, SHUT_RD);
            t.ready(listener);
            t.accept(listener, 0);
            let client = t.tcp();
            t.connect(client, at);
            t.listen(listener, 5);
            t.connect(client, at);
        }),
    ]);
}

#[test]
fn connecting() {
    alone(&[
        ("connect", |t| {
            let (listener, at) = t.listener(NEAR, t.loopback(0));
            let client = t.tcp();
            t.ready(client);
            t.connect(client, at);
            t.peer(client);
            t.connect(client, at);
            t.bind(client, t.loopback(0));
            let server = t.accept(listener, 0);
            t.local(server);
            t.peer(server);
            t.ready(client);
            t.ready(server);
        }),
        ("connect where nobody listens", |t| {
            let client = t.tcp();
            t.connect(client, t.loopback(9));
            t.error(client);
            t.ready(client);
            t.peer(client);
            let (_, at) = t.listener(NEAR, t.loopback(0));
            t.connect(client, at);
            t.peer(client);
        }),
        ("connect without waiting", |t| {
            let (_, at) = t.listener(NEAR, t.loopback(0));
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, at);
            t.until(client, PollMask::OUT);
            t.error(client);
            t.connect(client, at);
            t.connect(client, at);
            t.peer(client);
        }),
        ("connect without waiting where nobody listens", |t| {
            let client = t.socket(NEAR, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.connect(client, t.loopback(9));
            t.until(client, PollMask::ERR);
            t.error(client);
            t.error(client);
            t.ready(client);
            t.send(client, b"x", 0);
            t.recv(client, 1, 0);
            t.shutdown(client, SHUT_RDWR);
        }),
    ]);
}

#[test]
fn connecting_in_unusual_ways() {
    alone(&[
        ("connect to oneself", |t| {
            let socket = t.tcp();
            t.bind(socket, t.loopback(0));
            let at = t.local(socket);
            t.connect(socket, at);
            t.peer(socket);
            t.send(socket, b"hello", 0);
            t.until(socket, PollMask::IN);
            t.recv(socket, 10, 0);
            t.shutdown(socket, SHUT_WR);
            t.until(socket, PollMask::IN);
            t.recv(socket, 10, 0);
        }),
        ("dissolved", |t| {
            let (client, server) = t.connection();
            t.connect(client, None);
            t.local(client);
            t.peer(client);
            t.ready(client);
            t.recv(client, 1, MSG_DONTWAIT);
            t.until(server, PollMask::IN);
            t.recv(server, 1, 0);
            let (_, at) = t.listener(NEAR, t.loopback(0));
            t.connect(client, at);
        }),
        ("not connected", |t| {
            let socket = t.tcp();
            t.send(socket, b"x", 0);
            t.recv(socket, 1, 0);
            t.recv(socket, 1, MSG_DONTWAIT);
            t.peer(socket);
            t.shutdown(socket, SHUT_WR);
            t.connect(socket, None);
            t.ready(socket);
            t.connect(socket, t.any(9));
            t.error(socket);
        }),
    ]);
}

#[test]
fn sending_and_receiving() {
    alone(&[
        ("sending and receiving", |t| {
            let (client, server) = t.connection();
            t.recv(server, 10, MSG_DONTWAIT);
            t.send(client, b"", 0);
            t.send(client, b"hello, world", 0);
            t.until(server, PollMask::IN);
            t.recv(server, 0, 0);
            t.recv(server, 5, MSG_PEEK);
            t.recv(server, 7, 0);
            t.recv(server, 3, MSG_TRUNC);
            t.recv(server, 100, 0);
            t.recv(server, 100, MSG_DONTWAIT | MSG_PEEK);
            t.recv(server, 100, MSG_ERRQUEUE);
            t.recv(server, 100, MSG_OOB);
            t.send_to(client, b"elsewhere", t.loopback(9));
        }),
        ("corked, of more than there is room for", |t| {
            let (client, server) = t.connection();
            t.set_option(client, SOL_SOCKET, SO_SNDBUF, 2_304);
            t.set_option(client, SOL_TCP, TCP_CORK, 1);
            t.send(client, &[7; 50_000], 0);
            t.set_option(client, SOL_TCP, TCP_CORK, 0);
            t.recv(server, 50_000, MSG_WAITALL);
        }),
        ("all or nothing", |t| {
            let (client, server) = t.connection();
            t.send(client, b"half", 0);
            t.set_receive_timeout(server, 50);
            t.recv(server, 8, MSG_WAITALL);
            t.recv(server, 8, MSG_WAITALL);
            t.send(client, b"halfhalf", 0);
            t.recv(server, 8, MSG_WAITALL);
            t.send(client, b"half", 0);
            t.shutdown(client, SHUT_WR);
            t.recv(server, 8, MSG_WAITALL);
        }),
        ("time is up", |t| {
            let (_, server) = t.connection();
            t.set_receive_timeout(server, 30);
            t.recv(server, 10, 0);
            let (listener, _) = t.listener(NEAR, t.loopback(0));
            t.set_receive_timeout(listener, 30);
            t.accept(listener, 0);
            let datagrams = t.udp();
            t.set_receive_timeout(datagrams, 30);
            t.recv(datagrams, 10, 0);
        }),
    ]);
}

#[test]
fn ending() {
    alone(&[
        ("one direction ends", |t| {
            let (client, server) = t.connection();
            t.send(client, b"last words", 0);
            t.shutdown(client, SHUT_WR);
            t.shutdown(client, SHUT_WR);
            t.ready(client);
            t.send(client, b"more", 0);
            t.until(server, PollMask::IN | PollMask::RDHUP);
            t.recv(server, 4, 0);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.ready(server);
            t.send(server, b"answer", 0);
            t.until(client, PollMask::IN);
            t.recv(client, 10, 0);
            t.shutdown(server, SHUT_WR);
            t.until(client, PollMask::HUP);
            t.recv(client, 10, 0);
            t.ready(server);
            t.error(client);
            t.shutdown(client, SHUT_RDWR);
            t.peer(client);
        }),
        ("no more receiving", |t| {
            let (client, server) = t.connection();
            t.send(client, b"before", 0);
            t.until(server, PollMask::IN);
            t.shutdown(server, SHUT_RD);
            t.ready(server);
            t.recv(server, 3, 0);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(client, b"after", 0);
            t.recv(server, 10, MSG_DONTWAIT);
            t.send(server, b"still", 0);
            t.until(client, PollMask::IN);
            t.recv(client, 10, 0);
        }),
        ("both directions end", |t| {
            let (client, server) = t.connection();
            t.shutdown(client, SHUT_RDWR);
            t.ready(client);
            t.recv(client, 1, 0);
            t.until(server, PollMask::RDHUP);
            t.shutdown(server, SHUT_RDWR);
            t.ready(server);
            t.send(server, b"x", 0);
            t.recv(server, 1, 0);
        }),
    ]);
}

#[test]
fn resetting() {
    alone(&[
        ("a reset", |t| {
            let (client, server) = t.connection();
            t.send(client, b"lost", 0);
            t.until(server, PollMask::IN);
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.error(server);
            t.error(server);
            t.ready(server);
            t.recv(server, 10, 0);
            t.send(server, b"x", 0);
            t.peer(server);
        }),
        ("a reset, told by recv", |t| {
            let (client, server) = t.connection();
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.recv(server, 10, 0);
            t.recv(server, 10, 0);
            t.send(server, b"x", 0);
            t.error(server);
        }),
        ("a reset, told by send", |t| {
            let (client, server) = t.connection();
            t.set_linger(client, 0);
            t.close(client);
            t.until(server, PollMask::ERR);
            t.send(server, b"x", 0);
            t.send(server, b"x", 0);
            t.recv(server, 10, 0);
            t.shutdown(server, SHUT_WR);
        }),
        ("closed with unread data", |t| {
            let (client, server) = t.connection();
            t.send(client, b"unread", 0);
            t.until(server, PollMask::IN);
            t.close(server);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.recv(client, 10, 0);
        }),
        ("sending to one that has closed", |t| {
            let (client, server) = t.connection();
            t.close(server);
            t.until(client, PollMask::RDHUP);
            t.send(client, b"x", 0);
            t.until(client, PollMask::ERR);
            t.recv(client, 10, 0);
            t.send(client, b"x", 0);
            t.error(client);
            t.send(client, b"x", 0);
            t.recv(client, 10, 0);
        }),
    ]);
}
