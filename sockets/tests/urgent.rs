//! Urgent data through the calls: what Linux 6.18 answered to the same.

mod common;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Sockets};

/// SIOCATMARK, FIONREAD and poll.
fn look(host: &Sockets, fd: Fd) -> (i32, i32, String) {
    let ask = |request| host.ioctl(fd, request).unwrap();
    (ask(SIOCATMARK), ask(FIONREAD), poll(host, fd))
}

fn seen(at_mark: i32, unread: i32, ready: &str) -> (i32, i32, String) {
    (at_mark, unread, ready.to_string())
}

#[test]
fn the_mark_can_be_asked_for() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (listener, client, server) = net.connected(domain);
        let now = net.now;
        assert_eq!(net.b.ioctl(listener, SIOCATMARK), Ok(0));
        assert_eq!(look(&net.b, server), seen(0, 0, "OUT"));
        for (data, flags) in [(&b"abc"[..], 0), (b"de!", MSG_OOB), (b"fg", 0)] {
            assert_eq!(send(&mut net.a, now, client, data, flags), data.len().to_string());
        }
        net.settle();
        assert_eq!(look(&net.b, server), seen(0, 5, "IN|PRI|OUT"));
        assert_eq!(recv(&mut net.b, now, server, 1, MSG_OOB), "\"!\"");
        assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"abcde\"");
        assert_eq!(look(&net.b, server), seen(1, 0, "IN|OUT"));
        assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"fg\"");
        assert_eq!(look(&net.b, server), seen(0, 0, "OUT"));
        send(&mut net.a, now, client, b"!", MSG_OOB);
        net.settle();
        assert_eq!(look(&net.b, server), seen(1, 0, "PRI|OUT"), "nothing else to be read");
        net.b.set_option(now, server, SOL_SOCKET, SO_OOBINLINE, &1i32.to_ne_bytes()).unwrap();
        assert_eq!(look(&net.b, server), seen(1, 1, "IN|PRI|OUT"));
        assert_eq!(recv(&mut net.b, now, server, 1, MSG_OOB), "EINVAL");
        assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"!\"");
        assert_eq!(look(&net.b, server), seen(0, 0, "OUT"));
    }
}

#[test]
fn an_urgent_byte_says_so_in_msg_flags() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    send(&mut net.a, now, client, b"!", MSG_OOB);
    net.settle();
    let taken = net.b.try_recv(now, server, 0, MSG_OOB | MSG_PEEK).unwrap();
    assert_eq!((taken.flags, taken.full_len), (MSG_OOB | MSG_TRUNC, 0));
    let taken = net.b.try_recv(now, server, 9, MSG_OOB | MSG_TRUNC).unwrap();
    assert_eq!((taken.flags, taken.full_len, taken.data.len()), (MSG_OOB, 1, 0));
}

/// Accepted sockets read in line where their listener was told to.
#[test]
fn in_line_is_inherited() {
    let mut net = Net::new();
    let (listener, _, _) = net.connected(AF_INET);
    let now = net.now;
    net.b.set_option(now, listener, SOL_SOCKET, SO_OOBINLINE, &1i32.to_ne_bytes()).unwrap();
    let (client, server) = net.another(AF_INET, listener);
    send(&mut net.a, now, client, b"ab!", MSG_OOB);
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"ab\"");
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"!\"");
}
