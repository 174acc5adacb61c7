//! What a program is told of a stream: TCP_INQ and the fields of TCP_INFO, as on Linux 6.18.

#[path = "common/peer.rs"]
#[allow(dead_code)]
mod peer;

use core::time::Duration;

use peer::Peer;
use rustix::io::Errno;
use tapsock_sockets::Fd;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::Control;
use tapsock_stack::buf::Rope;
use tapsock_stack::wire::{TcpOptions, Timestamps};

fn none() -> TcpOptions {
    TcpOptions::default()
}

fn accepted() -> (Peer, Fd) {
    let mut peer = Peer::new(&[("tcp_timestamps", "0")]);
    let listener = peer.listener(5);
    peer.give("S 0:0(0)", TcpOptions { mss: Some(1000), ..none() });
    peer.heard();
    peer.give(". 1:1(0) ack 1", none());
    let fd = peer.accept(listener);
    (peer, fd)
}

fn told(peer: &mut Peer, fd: Fd, max: usize) -> (usize, Vec<Control>) {
    let received = peer.host.try_recv(peer.now, fd, max, 0).unwrap();
    (received.data.len(), received.control)
}

#[test]
fn each_read_tells_what_is_left() {
    let (mut peer, fd) = accepted();
    peer.give(". 1:1001(1000) ack 1", none());
    assert_eq!(told(&mut peer, fd, 100), (100, vec![]), "not asked for");
    let set = |peer: &mut Peer, value: i32| {
        peer.host.set_option(peer.now, fd, SOL_TCP, TCP_INQ, &value.to_ne_bytes())
    };
    assert_eq!(
        [set(&mut peer, 2), set(&mut peer, -1), set(&mut peer, 1)],
        [Err(Errno::INVAL), Err(Errno::INVAL), Ok(())]
    );
    assert_eq!(told(&mut peer, fd, 100), (100, vec![Control::Unread(800)]));
    assert_eq!(told(&mut peer, fd, 1000), (800, vec![Control::Unread(0)]));
    peer.give("F. 1001:1011(10) ack 1", none());
    assert_eq!(told(&mut peer, fd, 1000), (10, vec![Control::Unread(1)]), "the end is to be read");
    assert_eq!(told(&mut peer, fd, 1000), (0, vec![Control::Unread(1)]));
}

#[test]
fn what_came_and_went_is_counted() {
    let (mut peer, fd) = accepted();
    let now = peer.now;
    assert_eq!(peer.host.try_send(now, fd, &mut Rope::from(vec![7; 300]), 0, None), Ok(300));
    peer.heard();
    peer.pass(Duration::from_millis(10));
    peer.give("P. 1:501(500) ack 301", none());
    peer.give("P. 601:701(100) ack 301", none());
    peer.heard();
    peer.pass(Duration::from_millis(50));
    peer.give(". 701:701(0) ack 301", none());
    let info = peer.host.option(peer.now, fd, SOL_TCP, TCP_INFO).unwrap().as_bytes().to_vec();
    let int = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().unwrap());
    assert_eq!(
        (int(44), int(52), int(56)),
        (60, 50, 0),
        "milliseconds since data went, data and an ACK came"
    );
    assert_eq!(int(12), 40_000, "microseconds that an acknowledgement waits");
    assert_eq!((long(120), long(128)), (300, 500), "a SYN-ACK is no byte");
    assert_eq!((int(152), int(224)), (2, 1), "with data, and behind a gap");
    assert_eq!(int(20), 536, "the peer's largest segment, as far as anybody knows");
}

/// Towards each peer the clock has an offset of its own.
#[test]
fn the_clock_is_that_of_the_segments() {
    let mut peer = Peer::new(&[]);
    let stamps = |value, echo| TcpOptions { timestamps: Some(Timestamps { value, echo }), ..none() };
    let listener = peer.listener(5);
    let clock = |peer: &mut Peer, fd| {
        let value = peer.host.option(peer.now, fd, SOL_TCP, TCP_TIMESTAMP).unwrap();
        u32::from_ne_bytes(value.as_bytes().try_into().unwrap())
    };
    peer.give("S 0:0(0)", TcpOptions { mss: Some(1000), ..stamps(500, 0) });
    peer.heard();
    peer.give(". 1:1(0) ack 1", stamps(500, peer.stamp));
    let fd = peer.accept(listener);
    for (seq, millis) in (1..).zip([0, 1, 250, 100_000]) {
        peer.pass(Duration::from_millis(millis));
        peer.give(&format!("P. {seq}:{}(1) ack 1", seq + 1), stamps(600, peer.stamp));
        assert!(!peer.heard().is_empty(), "it is acknowledged");
        assert_eq!(clock(&mut peer, fd), peer.stamp, "after {millis} ms");
    }
    let now = peer.now.as_millis() as u32;
    assert_eq!(clock(&mut peer, listener), now, "it has no peer");
    assert_ne!(clock(&mut peer, fd), now);
}

/// Read from the kernel: both headers, once, from the connection alone.
#[test]
fn the_syn_that_opened_a_connection_is_kept() {
    for early in [false, true] {
        let mut peer = Peer::new(&[("tcp_fastopen", "0x602")]);
        let listener = peer.listener(5);
        let set = |peer: &mut Peer, value: i32| {
            peer.host.set_option(peer.now, listener, SOL_TCP, TCP_SAVE_SYN, &value.to_ne_bytes())
        };
        assert_eq!([set(&mut peer, 3), set(&mut peer, 1)], [Err(Errno::INVAL), Ok(())]);
        let saved = |peer: &mut Peer, fd: Fd| {
            peer.host.option(peer.now, fd, SOL_TCP, TCP_SAVED_SYN).unwrap().as_bytes().to_vec()
        };
        let len = if early { 5 } else { 0 };
        peer.give(&format!("S 7:{}({len})", 7 + len), TcpOptions { mss: Some(1000), ..none() });
        peer.heard();
        peer.irs = 7;
        if !early {
            peer.give(". 1:1(0) ack 1", none());
        }
        let fd = peer.accept(listener);
        assert_eq!(saved(&mut peer, listener), []);
        let headers = saved(&mut peer, fd);
        assert_eq!((headers.len(), headers[0], headers[9]), (20 + 24, 0x45, 6));
        assert_eq!((&headers[24..28], headers[33]), (&[0, 0, 0, 7][..], 2), "its number and flags");
        assert_eq!(saved(&mut peer, fd), [], "once");
        assert_eq!(peer.host.set_option(peer.now, fd, SOL_TCP, TCP_TIMESTAMP, &[0; 4]), Err(Errno::PERM));
        assert_eq!(peer.host.option(peer.now, fd, SOL_TCP, TCP_TIMESTAMP).unwrap().as_bytes().len(), 4);
    }
}
