//! The same programs of socket calls on the kernel and on this stack: connections that are cut off in each of their
//! states, and what their sockets say afterwards, whichever call looks first.

use tapsock::bsd::*;
use tapsock_tests::calls::{Host, Script, Sock, alone};

/// A program on one socket.
type Step = fn(&mut Script, Sock);
/// A program on the two ends of a connection.
type Steps = fn(&mut Script, Sock, Sock);

/// How a connection comes into a state: its end here, and the one that is to cut it off.
const STATES: [(&str, Steps); 7] = [
    ("nothing was done", |_, _, _| {}),
    ("the peer has ended", |t, here, there| {
        t.shutdown(there, SHUT_WR);
        t.until(here, PollMask::RDHUP);
    }),
    ("we have ended", |t, here, there| {
        t.shutdown(here, SHUT_WR);
        t.until(there, PollMask::RDHUP);
    }),
    ("we read no more", |t, here, _| t.shutdown(here, SHUT_RD)),
    ("something has come", |t, here, there| {
        t.send(there, b"abc", 0);
        t.until(here, PollMask::IN);
    }),
    ("something has come, and the end", |t, here, there| {
        t.send(there, b"abc", 0);
        t.shutdown(there, SHUT_WR);
        t.until(here, PollMask::RDHUP);
    }),
    ("an urgent byte has come, and we have ended", |t, here, there| {
        t.send(there, b"!", MSG_OOB);
        t.until(here, PollMask::PRI);
        t.shutdown(here, SHUT_WR);
        t.until(there, PollMask::RDHUP);
    }),
];

/// How it is cut off.
const CUTS: [(&str, Steps); 3] = [
    ("closed without lingering", |t, _, there| {
        t.set_linger(there, 0);
        t.close(there);
    }),
    ("dissolved", |t, _, there| {
        t.connect(there, None);
        look(t, there);
        t.close(there);
    }),
    ("closed over unread bytes", |t, here, there| {
        t.send(here, b"unread", 0);
        t.close(there);
    }),
];

/// What looks first.
const LOOKS: [(&str, Step); 7] = [
    ("SO_ERROR", |t, here| t.error(here)),
    ("recv", |t, here| t.recv(here, 9, MSG_DONTWAIT)),
    ("a look", |t, here| t.recv(here, 9, MSG_PEEK | MSG_DONTWAIT)),
    ("a recv of nothing", |t, here| t.recv(here, 0, MSG_DONTWAIT)),
    ("send", |t, here| t.send(here, b"x", 0)),
    ("shutdown", |t, here| t.shutdown(here, SHUT_RDWR)),
    ("recv of what is urgent", |t, here| t.recv(here, 1, MSG_OOB)),
];

/// All that a socket says.
fn look(t: &mut Script, socket: Sock) {
    t.ready(socket);
    t.unread(socket);
    t.local(socket);
    t.peer(socket);
    t.error(socket);
    t.ready(socket);
    for flags in [MSG_DONTWAIT, MSG_DONTWAIT | MSG_PEEK, MSG_OOB] {
        t.recv(socket, 9, flags);
    }
    t.send(socket, b"x", 0);
    t.send(socket, b"", 0);
    t.error(socket);
    for how in [SHUT_RD, SHUT_WR] {
        t.shutdown(socket, how);
        t.ready(socket);
    }
}

#[test]
fn in_each_state() {
    alone(&[("a reset in each state", |t| {
        for (state, enter) in STATES {
            for (how, cut) in CUTS {
                for (call, first) in LOOKS {
                    t.remark(&format!("{state}; {how}; first {call}"));
                    let (here, there) = t.connection();
                    enter(t, here, there);
                    cut(t, here, there);
                    t.until(here, PollMask::HUP);
                    first(t, here);
                    look(t, here);
                    t.close(here);
                }
            }
        }
    })]);
}

/// A socket whose connection was cut off connects again, or listens.
#[test]
fn and_used_again() {
    alone(&[("after a reset", |t| {
        for (state, enter) in STATES {
            for tells in [false, true] {
                t.remark(state);
                let (listener, at) = t.listener(Host::Near, t.loopback(0));
                let client = t.tcp();
                t.connect(client, at);
                let server = t.accept(listener, 0);
                enter(t, client, server);
                t.set_linger(server, 0);
                t.close(server);
                t.until(client, PollMask::HUP);
                if tells {
                    t.error(client);
                }
                t.connect(client, at);
                t.listen(client, 1);
                t.connect(client, None);
                t.ready(client);
                t.connect(client, at);
                t.ready(client);
                let again = t.accept(listener, 0);
                t.send(client, b"again", 0);
                t.until(again, PollMask::IN);
                t.recv(again, 9, MSG_DONTWAIT);
                for socket in [again, client, listener] {
                    t.set_linger(socket, 0);
                    t.close(socket);
                }
            }
        }
    })]);
}

/// While it is being made, nobody listens: the reset comes before the connection does.
#[test]
fn before_it_is_made() {
    alone(&[("a connection that is refused", |t| {
        for (call, first) in LOOKS {
            let client = t.socket(Host::Near, t.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0);
            t.remark(call);
            t.connect(client, t.loopback(9));
            t.until(client, PollMask::HUP);
            first(t, client);
            look(t, client);
            t.connect(client, t.loopback(9));
            t.close(client);
        }
    })]);
}
