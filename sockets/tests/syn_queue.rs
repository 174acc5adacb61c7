//! What a listener does about more SYNs than it has room for, as Linux 6.18 does: drops, and SYN cookies (RFC 4987).

#[path = "common/peer.rs"]
#[allow(dead_code)]
mod peer;

use core::time::Duration;

use peer::Peer;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Stop};
use tapsock_stack::counters::Counter;
use tapsock_stack::wire::{TcpOptions, Timestamps};

fn plain() -> TcpOptions {
    TcpOptions { mss: Some(1400), ..TcpOptions::default() }
}

fn none() -> TcpOptions {
    TcpOptions::default()
}

fn stamped(value: u32, echo: u32) -> TcpOptions {
    TcpOptions { timestamps: Some(Timestamps { value, echo }), ..TcpOptions::default() }
}

fn accepts(peer: &mut Peer, listener: Fd) -> Option<Fd> {
    match peer.host.try_accept(peer.now, listener, SOCK_NONBLOCK) {
        Ok((fd, _)) => Some(fd),
        Err(Stop::Error(Errno::AGAIN)) => None,
        other => panic!("{other:?}"),
    }
}

/// Read from the kernel: SYN-ACKs in answer to 20 SYNs of 20 peers, and what counted those that got none or a cookie.
//= RFC 4987 §3.4, type=test
#[test]
fn the_backlog_bounds_half_open_connections() {
    for (cookies, backlog, most, answers, drops, full, sent) in [
        ("0", 0, "2048", 1, 19, 19, 0),
        ("0", 1, "2048", 2, 18, 18, 0),
        ("0", 8, "2048", 9, 11, 11, 0),
        ("0", 8, "4", 4, 16, 0, 0),
        ("1", 0, "2048", 20, 0, 0, 19),
        ("1", 8, "4", 20, 0, 0, 11),
        ("2", 8, "2048", 20, 0, 0, 20),
    ] {
        let mut peer = Peer::new(&[("tcp_syncookies", cookies), ("tcp_max_syn_backlog", most)]);
        peer.listener(backlog);
        let mut count = 0;
        for _ in 0..20 {
            peer.next();
            peer.give("S 0:0(0)", plain());
            count += peer.heard().len();
        }
        assert_eq!(count, answers, "cookies {cookies}, backlog {backlog}, at most {most}");
        let counted = [
            Counter::TcpExtListenDrops,
            Counter::TcpExtTCPReqQFullDrop,
            Counter::TcpExtSyncookiesSent,
            Counter::TcpExtTCPReqQFullDoCookies,
        ]
        .map(|counter| peer.count(counter));
        assert_eq!(
            counted,
            [drops, full, sent, sent],
            "cookies {cookies}, backlog {backlog}, at most {most}"
        );
    }
}

//= RFC 4987 §3.6, type=test
#[test]
fn a_cookie_opens_a_connection_with_what_the_timestamp_holds() {
    let offer = TcpOptions { sack_permitted: true, window_scale: Some(9), ..plain() };
    for (options, answer, agreed) in [
        (offer.clone(), "S. 0:0(0) ack 1 <mss 1460>", 0),
        (
            TcpOptions { timestamps: Some(Timestamps { value: 7, echo: 0 }), ..offer },
            "S. 0:0(0) ack 1 <mss 1460,sackOK,TS ecr 7,wscale 7>",
            1 | 2 | 4,
        ),
    ] {
        let mut peer = Peer::new(&[("tcp_syncookies", "2")]);
        let listener = peer.listener(5);
        peer.give("S 0:0(0)", options.clone());
        assert_eq!(peer.heard(), [answer]);
        let stamp = peer.stamp;
        peer.pass(Duration::from_secs(50));
        assert_eq!(peer.heard(), [""; 0], "nobody keeps it, and nobody sends it again");
        let stamps = options.timestamps.map_or(none(), |_| stamped(57, stamp));
        peer.give("P. 1:11(10) ack 1 win 5000", stamps);
        let fd = accepts(&mut peer, listener).expect("a connection");
        let info = peer.host.option(peer.now, fd, SOL_TCP, TCP_INFO).unwrap().as_bytes().to_vec();
        assert_eq!((info[0], info[5] & 7), (1, agreed));
        assert_eq!(info[6] & 15, if agreed == 0 { 0 } else { 9 });
        let mss = u32::from_ne_bytes(info[16..20].try_into().unwrap());
        assert_eq!(mss, if agreed == 0 { 1300 } else { 1288 }, "the largest known size below 1400");
        let received = peer.host.try_recv(peer.now, fd, 100, MSG_DONTWAIT).unwrap();
        assert_eq!(received.data.len(), 10);
        assert_eq!(peer.count(Counter::TcpExtSyncookiesRecv), 1);
        assert_eq!(peer.count(Counter::TcpPassiveOpens), 1);
    }
}

//= RFC 4987 §3.6, type=test
#[test]
fn what_is_no_cookie_is_refused() {
    let mut peer = Peer::new(&[("tcp_syncookies", "2")]);
    let listener = peer.listener(5);
    peer.give(". 1:1(0) ack 1", none());
    assert_eq!(peer.heard(), ["R 1:1(0)"]);
    assert_eq!(peer.count(Counter::TcpExtSyncookiesFailed), 0, "none is awaited");
    peer.give("S 0:0(0)", plain());
    peer.heard();
    for text in [". 1:1(0) ack 9", ". 9:9(0) ack 1", ". 1:1(0) ack 100000"] {
        peer.give(text, none());
        assert!(peer.heard()[0].starts_with("R "), "{text}");
    }
    assert_eq!(peer.count(Counter::TcpExtSyncookiesFailed), 3);
    peer.ports.0 += 1;
    peer.give(". 1:1(0) ack 1", none());
    assert_eq!(peer.heard(), ["R 1:1(0)"], "another peer's");
    peer.ports.0 -= 1;
    peer.give("R 1:1(0) ack 1", none());
    assert_eq!(peer.heard(), [""; 0]);
    peer.give(". 1:1(0) ack 1", stamped(9, 0x25));
    assert_eq!(peer.heard(), [""; 0], "a timestamp that was not asked for changes nothing");
    assert!(accepts(&mut peer, listener).is_some());

    peer.next();
    peer.give("S 0:0(0)", plain());
    peer.heard();
    peer.pass(Duration::from_secs(119));
    peer.give(". 1:1(0) ack 1", none());
    assert_eq!(peer.heard(), ["R 1:1(0)"], "too old");
    assert_eq!(accepts(&mut peer, listener), None);
}

#[test]
fn a_full_accept_queue_lets_cookies_go_in_vain() {
    let mut peer = Peer::new(&[("tcp_syncookies", "2")]);
    let listener = peer.listener(0);
    peer.give("S 0:0(0)", plain());
    peer.heard();
    peer.next();
    peer.give("S 0:0(0)", plain());
    peer.heard();
    peer.give(". 1:1(0) ack 1", none());
    assert!(peer.host.readiness(listener).contains(tapsock_sockets::PollMask::IN));
    peer.next();
    peer.give("S 0:0(0)", plain());
    assert_eq!(peer.heard(), [""; 0], "a SYN is not even answered");
    assert_eq!(peer.count(Counter::TcpExtListenOverflows), 1);
    assert!(accepts(&mut peer, listener).is_some());
}
