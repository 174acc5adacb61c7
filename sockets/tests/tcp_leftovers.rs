//! What is left of connections that nobody holds: TIME-WAIT and its end by resets, and the bound for orphans, as Linux 6.18.

#[path = "common/peer.rs"]
#[allow(dead_code)]
mod peer;

use core::time::Duration;

use peer::Peer;
use tapsock_sockets::constants::{SHUT_WR, SOL_TCP, TCP_LINGER2};
use tapsock_stack::counters::Counter;
use tapsock_stack::wire::TcpOptions;

fn none() -> TcpOptions {
    TcpOptions::default()
}

fn opened(peer: &mut Peer) -> tapsock_sockets::Fd {
    let listener = peer.listener(5);
    peer.give("S 0:0(0)", TcpOptions { mss: Some(1000), ..none() });
    peer.heard();
    peer.give(". 1:1(0) ack 1", none());
    let fd = peer.accept(listener);
    peer.host.close(peer.now, listener).unwrap();
    fd
}

/// Read from the kernel.
//= RFC 1337 §3, type=test
#[test]
fn a_reset_ends_time_wait_unless_the_setting_says_otherwise() {
    for (setting, reset, answer) in [
        ("0", "R 2:2(0) ack 2", "R 2:2(0)"),
        ("0", "R 3:3(0) ack 2", ". 2:2(0) ack 2"),
        ("0", "R 1:1(0) ack 2", ". 2:2(0) ack 2"),
        ("1", "R 2:2(0) ack 2", ". 2:2(0) ack 2"),
    ] {
        let mut peer = Peer::new(&[("tcp_rfc1337", setting), ("tcp_timestamps", "0")]);
        let fd = opened(&mut peer);
        peer.host.close(peer.now, fd).unwrap();
        assert_eq!(peer.heard(), ["F. 1:1(0) ack 1"]);
        peer.give("F. 1:1(0) ack 2", none());
        assert_eq!(peer.heard(), [". 2:2(0) ack 2"]);
        peer.give(reset, none());
        assert_eq!(peer.heard(), [""; 0], "{reset}");
        peer.give("P. 2:3(1) ack 2", none());
        assert_eq!(peer.heard(), [answer], "tcp_rfc1337 {setting}, {reset}");
    }
}

#[test]
fn one_orphan_too_many_is_reset() {
    let mut peer = Peer::new(&[("tcp_max_orphans", "0"), ("tcp_timestamps", "0")]);
    let fd = opened(&mut peer);
    peer.host.close(peer.now, fd).unwrap();
    assert_eq!(
        peer.heard(),
        ["F. 1:1(0) ack 1", "R. 2:2(0) ack 1"],
        "as Linux, which sends what it can first"
    );
    assert_eq!(peer.count(Counter::TcpExtTCPAbortOnMemory), 1);
    assert_eq!(peer.host.stack().tcp_census().orphans, 0);
}

/// What is over, or is reset anyway, takes nobody's place.
#[test]
fn what_close_ends_at_once_is_no_orphan_too_many() {
    for (comes, says, at_once) in [
        ("R. 1:1(0) ack 1", vec![], Counter::TcpEstabResets),
        ("P. 1:2(1) ack 1", vec!["R. 1:1(0) ack 2"], Counter::TcpExtTCPAbortOnClose),
    ] {
        let mut peer = Peer::new(&[("tcp_max_orphans", "0"), ("tcp_timestamps", "0")]);
        let fd = opened(&mut peer);
        peer.give(comes, none());
        peer.heard();
        peer.host.close(peer.now, fd).unwrap();
        assert_eq!(peer.heard(), says, "{comes}");
        assert_eq!((peer.count(Counter::TcpExtTCPAbortOnMemory), peer.count(at_once)), (0, 1), "{comes}");
    }
}

/// One that waits for nothing but the peer's FIN is a record of TIME-WAIT, or over where it is not to wait; only who waits
/// for more than 60 s is an orphan.
#[test]
fn who_waits_for_the_peers_fin_alone_is_no_orphan_too_many() {
    for (linger, says, on_linger, on_memory) in [
        (0, vec![], 0, 0),
        (60, vec![], 0, 0),
        (61, vec!["R. 2:2(0) ack 1"], 0, 1),
        (-1, vec!["R. 2:2(0) ack 1"], 1, 0),
    ] {
        let mut peer = Peer::new(&[("tcp_max_orphans", "0"), ("tcp_timestamps", "0")]);
        let fd = opened(&mut peer);
        let value = i32::to_ne_bytes(linger);
        peer.host.set_option(peer.now, fd, SOL_TCP, TCP_LINGER2, &value).unwrap();
        peer.host.shutdown(peer.now, fd, SHUT_WR).unwrap();
        assert_eq!(peer.heard(), ["F. 1:1(0) ack 1"]);
        peer.give(". 1:1(0) ack 2", none());
        peer.host.close(peer.now, fd).unwrap();
        assert_eq!(peer.heard(), says, "TCP_LINGER2 {linger}");
        let counts =
            [Counter::TcpExtTCPAbortOnLinger, Counter::TcpExtTCPAbortOnMemory].map(|name| peer.count(name));
        assert_eq!(counts, [on_linger, on_memory], "TCP_LINGER2 {linger}");
    }
}

/// Nor does one that comes to wait for the peer's FIN after its close take a place any longer.
#[test]
fn an_orphan_whose_end_has_come_makes_room_for_another() {
    let mut peer = Peer::new(&[("tcp_max_orphans", "1"), ("tcp_timestamps", "0")]);
    for acknowledged in [true, false] {
        let fd = opened(&mut peer);
        peer.host.close(peer.now, fd).unwrap();
        assert_eq!(peer.heard(), ["F. 1:1(0) ack 1"]);
        if acknowledged {
            peer.give(". 1:1(0) ack 2", none());
            assert_eq!(peer.host.stack().tcp_census().orphans, 0);
        }
        peer.next();
    }
    assert_eq!(peer.host.stack().tcp_census().orphans, 1);
    assert_eq!(peer.count(Counter::TcpExtTCPAbortOnMemory), 0);
}

/// Above a limit of 1 the second is reset at once, and the first where it tries again and the limit is lower by then.
#[test]
fn an_orphan_that_tries_again_is_judged_by_the_limit_anew() {
    let mut peer = Peer::new(&[("tcp_max_orphans", "1"), ("tcp_timestamps", "0")]);
    let fd = opened(&mut peer);
    peer.host.close(peer.now, fd).unwrap();
    assert_eq!(peer.heard(), ["F. 1:1(0) ack 1"]);
    peer.pass(Duration::from_millis(500));
    assert_eq!(peer.heard().len(), 1, "it tries again");
    assert_eq!(peer.count(Counter::TcpExtTCPAbortOnMemory), 0);
    peer.set("tcp_max_orphans", "0");
    peer.pass(Duration::from_secs(2));
    assert_eq!(peer.heard(), ["R. 2:2(0) ack 1"]);
    assert_eq!(peer.count(Counter::TcpExtTCPAbortOnMemory), 1);
}
