//! What TCP's sockets do as clients and as listeners, with data, losses, errors and ends.

use core::time::Duration;

use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, SockAddr};
use tapsock_stack::buf::Rope;

use crate::common::*;
use crate::run::Run;

pub fn all(r: &mut Run) {
    names(r);
    let listener = r.net.b.socket(r.domain(), SOCK_STREAM, 0).unwrap();
    let now = r.net.now;
    r.net.b.bind(now, listener, &b(r.domain(), 8000)).unwrap();
    assert_eq!(set(&mut r.net.b, now, listener, SOL_TCP, TCP_FASTOPEN, 5), "OK");
    r.net.b.listen(now, listener, 50).unwrap();
    ways(r);
    let (client, server) = connection(r, listener);
    receiving(r, client, server);
    sending(r, client, server);
    idling(r, client);
    let (client, _server) = connection(r, listener);
    losing(r, client);
    early(r, listener);
    listening(r);
    ending(r, listener);
}

fn names(r: &mut Run) {
    let [first, second, third] = [(); 3].map(|()| r.fresh());
    r.bind(first, &r.at("10.0.0.77", "fd00::77", 5000));
    let shared = a(r.domain(), 5001);
    r.bind(second, &shared);
    r.bind(third, &shared);
    for _ in 0..2 {
        let free = r.fresh();
        r.bind(free, &a(r.domain(), 0));
    }
    for _ in 0..3 {
        let free = r.net.a.socket(r.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
        r.net.a.close(r.net.now, free).unwrap();
    }
}

/// Connections that come to nothing.
fn ways(r: &mut Run) {
    let mapped = addr("::ffff:10.0.0.2", 9);
    for to in [r.at("10.8.0.9", "fd08::9", 9), r.at("10.9.0.9", "fd09::9", 9), mapped] {
        let fd = r.fresh();
        r.connect(fd, &to);
        r.name(fd);
        if to == mapped {
            r.complain_of_v4();
        } else {
            r.complain_of_next();
        }
        r.state(fd);
        r.net.a.close(r.net.now, fd).unwrap();
        r.settle();
    }
    // Nobody listens there.
    let fd = r.fresh();
    r.connect(fd, &addr("::ffff:10.0.0.2", 9));
    r.settle();
    r.state(fd);
    let (fd, to) = (r.fresh(), r.at("10.9.0.8", "fd09::8", 9));
    r.connect(fd, &to);
    r.sleep(40, Duration::from_secs(30));
    r.state(fd);
}

/// A connection to the other host, and its end there.
fn connection(r: &mut Run, listener: Fd) -> (Fd, Fd) {
    let client = r.fresh();
    let to = r.net.b.local_address(listener).unwrap();
    r.connect(client, &to);
    r.settle();
    r.connect(client, &to);
    let server = r.net.b.try_accept(r.net.now, listener, SOCK_NONBLOCK).map_or(client, |(server, _)| server);
    (client, server)
}

fn give(r: &mut Run, server: Fd, data: &[u8], flags: i32) {
    let _ = r.net.b.try_send(r.net.now, server, &mut Rope::from(data), flags | MSG_DONTWAIT, None);
    r.settle();
}

fn receiving(r: &mut Run, client: Fd, server: Fd) {
    r.recv_once(client, 10, 0);
    give(r, server, b"abc", 0);
    r.state(client);
    r.recv_once(client, 2, 0);
    r.recv(client, 10, MSG_PEEK);
    r.recv(client, 10, 0);
    give(r, server, b"defghijklmnopq", 0);
    r.recv(client, 4, MSG_PEEK);
    r.recv(client, 100, 0);
    give(r, server, b"urgent", MSG_OOB);
    r.recv_once(client, 10, MSG_OOB);
    r.recv(client, 10, 0);
    for _ in 0..50 {
        give(r, server, &[7; 1000], 0);
    }
    r.recv(client, 100_000, 0);
    r.sleep(3, Duration::from_secs(1));
    r.recv(client, 100_000, 0);
}

fn sending(r: &mut Run, client: Fd, server: Fd) {
    // While nothing is acknowledged.
    r.net.plugged = false;
    for part in [b"one", b"two"] {
        r.send(client, part, 0, None);
        r.settle();
    }
    r.net.plugged = true;
    r.sleep(5, Duration::from_secs(1));
    r.send(client, b"copied", MSG_ZEROCOPY, None);
    r.settle();
    let _ = r.net.a.end_zero_copy(r.net.now, client);
    r.state(client);
    // What comes later may go first.
    let domain = r.domain();
    let plain = datagram(&mut r.net.a, domain);
    send_to(&mut r.net.a, r.net.now, plain, b"early", &b(domain, 9));
    r.send(client, b"late", 0, None);
    r.settle();
    r.send(client, &[5; 30_000], 0, None);
    if r.domain() == AF_INET6 {
        r.too_big();
    }
    r.settle();
    r.sleep(5, Duration::from_millis(100));
    let _ = r.net.b.try_recv(r.net.now, server, 1 << 20, MSG_DONTWAIT);
    r.settle();
    r.send(client, b"lost", 0, None);
    r.complain_of_next();
    r.state(client);
    r.sleep(5, Duration::from_secs(1));
    r.recv(client, 10, MSG_ERRQUEUE);
}

/// Nothing is said for hours, and then the other is gone.
fn idling(r: &mut Run, client: Fd) {
    r.sleep(10, Duration::from_secs(1000));
    r.net.plugged = false;
    r.sleep(40, Duration::from_secs(200));
    r.state(client);
    r.net.plugged = true;
}

/// What is sent gets lost.
fn losing(r: &mut Run, client: Fd) {
    r.net.plugged = false;
    for len in [14_480, 200_000] {
        let sent = r.net.a.try_send(r.net.now, client, &mut Rope::from(vec![1; len]), MSG_DONTWAIT, None);
        r.note("send", sent);
        r.settle();
        let shown = poll(&r.net.a, client);
        r.note("poll", shown);
    }
    r.sleep(20, Duration::from_millis(100));
    let info = r.net.a.option(r.net.now, client, SOL_TCP, TCP_INFO).unwrap();
    const SSTHRESH: core::ops::Range<usize> = 76..80;
    r.note("threshold", &info.as_bytes()[SSTHRESH]);
    r.fill(client, &[1; 10_000], None);
    r.sleep(40, Duration::from_secs(30));
    r.state(client);
    r.net.plugged = true;
}

/// Data that goes with the SYN.
fn early(r: &mut Run, listener: Fd) {
    let to = r.net.b.local_address(listener).unwrap();
    for _ in 0..2 {
        let fd = r.fresh();
        r.send(fd, b"early", MSG_FASTOPEN, Some(&to));
        r.settle();
        r.state(fd);
    }
    let fd = r.fresh();
    r.connect(fd, &to);
    r.send(fd, b"early", 0, None);
    r.settle();
}

fn listening(r: &mut Run) {
    let (domain, now) = (r.domain(), r.net.now);
    let listener = r.fresh();
    r.bind(listener, &any(domain, 8001));
    r.net.a.listen(now, listener, 5).unwrap();
    let waits = r.net.a.try_accept(now, listener, 0);
    r.note("accept", waits.map(drop));
    let came = |r: &mut Run, to: &SockAddr, flags| {
        let family = i32::from(to.family());
        let peer = r.net.b.socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
        if flags == 0 {
            let _ = r.net.b.try_connect(now, peer, to);
        } else {
            let _ = r.net.b.try_send(now, peer, &mut Rope::from(&b"early"[..]), flags, Some(to));
        }
        r.settle();
        let shown = poll(&r.net.a, listener);
        r.note("poll", shown);
        let _ = r.net.b.try_send(now, peer, &mut Rope::from(&b"hello"[..]), MSG_DONTWAIT, None);
        r.settle();
        let accepted = r.net.a.try_accept(now, listener, SOCK_NONBLOCK);
        let Ok((accepted, _)) = accepted else { return r.note("accept", accepted.map(drop)) };
        let saved = r.net.a.option(now, accepted, SOL_TCP, TCP_SAVED_SYN).unwrap();
        r.note("saved", saved.as_bytes());
        r.recv(accepted, 10, 0);
        r.send(accepted, b"answer", 0, None);
        r.settle();
    };
    came(r, &a(domain, 8001), 0);
    came(r, &a(AF_INET, 8001), 0);
    for _ in 0..2 {
        came(r, &a(domain, 8001), MSG_FASTOPEN);
    }
}

fn ending(r: &mut Run, listener: Fd) {
    let (client, _server) = connection(r, listener);
    r.send(client, b"last", 0, None);
    let closed = r.net.a.try_close(r.net.now, client);
    r.note("close", closed);
    r.settle();
    r.sleep(20, Duration::from_secs(10));
}
