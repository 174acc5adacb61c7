//! Explicit congestion notification (RFC 3168): segments in, segments out, and the bits of their packets, as Linux 6.18.

#[path = "common/peer.rs"]
#[allow(dead_code)]
mod peer;

use core::time::Duration;

use peer::Peer;
use tapsock_sockets::Fd;
use tapsock_sockets::constants::*;
use tapsock_stack::buf::Rope;
use tapsock_stack::wire::{TcpOptions, Timestamps};

const ECT: u8 = 2;
const MARKED: u8 = 3;

fn none() -> TcpOptions {
    TcpOptions::default()
}

fn plain() -> TcpOptions {
    TcpOptions { mss: Some(1000), ..TcpOptions::default() }
}

fn write(peer: &mut Peer, fd: Fd, len: usize) {
    let now = peer.now;
    assert_eq!(peer.host.try_send(now, fd, &mut Rope::from(vec![7; len]), 0, None), Ok(len));
}

fn info(peer: &mut Peer, fd: Fd) -> Vec<u8> {
    peer.host.option(peer.now, fd, SOL_TCP, TCP_INFO).unwrap().as_bytes().to_vec()
}

/// TCPI_OPT_ECN and TCPI_OPT_ECN_SEEN.
fn agreed(peer: &mut Peer, fd: Fd) -> (bool, bool) {
    let options = info(peer, fd)[5];
    (options & 8 != 0, options & 16 != 0)
}

fn cwnd(peer: &mut Peer, fd: Fd) -> u32 {
    u32::from_ne_bytes(info(peer, fd)[80..84].try_into().unwrap())
}

/// A connection that the peer has opened, with or without asking for marks.
fn accepted(settings: &[(&str, &str)], syn: &str) -> (Peer, Fd, String) {
    let mut peer = Peer::new(settings);
    let listener = peer.listener(5);
    peer.give(syn, plain());
    let answer = peer.heard().concat();
    peer.give(". 1:1(0) ack 1", none());
    let fd = peer.accept(listener);
    (peer, fd, answer)
}

//= RFC 3168 §6.1.1, type=test
//= RFC 3168 §6.1.1 MUST-1, type=test
//= RFC 3168 §6.1.1 MUST-5, type=test
//= RFC 9293 SHLD-8, type=test
#[test]
fn a_listener_agrees_where_it_is_asked() {
    for (ecn, syn, answer) in [
        ("0", "SEW 0:0(0)", "S. 0:0(0) ack 1 <mss 1460>"),
        ("1", "SEW 0:0(0)", "SE. 0:0(0) ack 1 <mss 1460>"),
        ("2", "SEW 0:0(0)", "SE. 0:0(0) ack 1 <mss 1460>"),
        ("2", "SE 0:0(0)", "S. 0:0(0) ack 1 <mss 1460>"),
        ("2", "S 0:0(0)", "S. 0:0(0) ack 1 <mss 1460>"),
    ] {
        let (mut peer, fd, heard) = accepted(&[("tcp_ecn", ecn), ("tcp_timestamps", "0")], syn);
        assert_eq!(heard, answer, "tcp_ecn {ecn}, {syn}");
        assert_eq!(agreed(&mut peer, fd), (answer.starts_with("SE."), false));
    }
    let mut peer = Peer::new(&[]);
    peer.listener(5);
    peer.give_marked("SEW 0:0(0)", plain(), ECT);
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460>"], "a SYN is not to be marked");
}

//= RFC 3168 §6.1.1, type=test
//= RFC 3168 §6.1.1.1, type=test
//= RFC 3168 §6.1.1 MUST-5, type=test
#[test]
fn who_connects_asks_where_it_is_told_to() {
    for (ecn, fallback, answer, first, second, outcome) in [
        ("2", "1", "SE. 0:0(0) ack 1", "S 0:0(0)", "S 0:0(0)", false),
        ("1", "1", "SE. 0:0(0) ack 1", "SEW 0:0(0)", "S 0:0(0)", true),
        ("1", "0", "SE. 0:0(0) ack 1", "SEW 0:0(0)", "SEW 0:0(0)", true),
        ("1", "1", "S. 0:0(0) ack 1", "SEW 0:0(0)", "S 0:0(0)", false),
        ("1", "1", "SEW. 0:0(0) ack 1", "SEW 0:0(0)", "S 0:0(0)", false),
    ] {
        let mut peer = Peer::new(&[("tcp_ecn", ecn), ("tcp_ecn_fallback", fallback)]);
        let (fd, to) = peer.client();
        assert!(peer.host.try_connect(peer.now, fd, &to).is_err());
        assert!(peer.heard()[0].starts_with(first));
        peer.pass(Duration::from_secs(1));
        assert!(peer.heard()[0].starts_with(second));
        peer.give(answer, plain());
        assert_eq!(agreed(&mut peer, fd).0, outcome, "tcp_ecn {ecn}, fallback {fallback}, {answer}");
        let heard = peer.heard();
        assert!(heard[0].starts_with(". 1:1(0) ack 1"), "{heard:?}");
        assert_eq!(peer.ecn, 0);
    }
}

#[test]
fn a_cookie_keeps_the_agreement() {
    let mut peer = Peer::new(&[("tcp_syncookies", "2")]);
    let listener = peer.listener(5);
    let stamps = |value, echo| TcpOptions { timestamps: Some(Timestamps { value, echo }), ..none() };
    peer.give("SEW 0:0(0)", TcpOptions { mss: Some(1000), ..stamps(1, 0) });
    assert!(peer.heard()[0].starts_with("SE. 0:0(0) ack 1"));
    let stamp = peer.stamp;
    peer.give(". 1:1(0) ack 1", stamps(2, stamp));
    let fd = peer.accept(listener);
    assert!(agreed(&mut peer, fd).0);
}

/// New data may be marked; acknowledgements and what is sent again may not.
//= RFC 3168 §6.1.4, type=test
//= RFC 3168 §6.1.5, type=test
//= RFC 3168 §5.2 MUST-1, type=test
//= RFC 3168 §5.2 MUST-2, type=test
//= RFC 3168 §6.1.1 MUST-6, type=test
//= RFC 3168 §6.1.4 MUST-1, type=test
//= RFC 3168 §6.1.5 MUST-1, type=test
//= RFC 3168 §6.1.5 MUST-2, type=test
#[test]
fn new_data_alone_may_be_marked() {
    let (mut peer, fd, _) = accepted(&[], "SEW 0:0(0)");
    assert_eq!(peer.ecn, 0, "a SYN-ACK is not");
    write(&mut peer, fd, 1000);
    assert_eq!(peer.heard(), ["P. 1:1001(1000) ack 1"]);
    assert_eq!(peer.ecn, ECT);
    peer.pass(Duration::from_millis(1100));
    assert_eq!(peer.heard().last().map(String::as_str), Some("P. 1:1001(1000) ack 1"));
    assert_eq!(peer.ecn, 0, "sent again");
    peer.give("P. 1:11(10) ack 1001", none());
    peer.heard();
    assert_eq!(peer.ecn, 0, "an acknowledgement");
}

//= RFC 3168 §6.1.3, type=test
//= RFC 3168 §6.1.1 MUST-4, type=test
#[test]
fn a_mark_is_echoed_until_the_peer_has_heard() {
    let (mut peer, fd, _) = accepted(&[], "SEW 0:0(0)");
    peer.give_marked("P. 1:11(10) ack 1", none(), ECT);
    assert_eq!(peer.heard(), [". 1:1(0) ack 11"]);
    assert_eq!(agreed(&mut peer, fd), (true, true));
    peer.give_marked("P. 11:21(10) ack 1", none(), MARKED);
    assert_eq!(peer.heard(), ["E. 1:1(0) ack 21"]);
    peer.give_marked("P. 21:31(10) ack 1", none(), ECT);
    assert_eq!(peer.heard(), ["E. 1:1(0) ack 31"]);
    write(&mut peer, fd, 10);
    assert_eq!(peer.heard(), ["PE. 1:11(10) ack 31"], "with data as well");
    peer.give_marked("PW. 31:41(10) ack 11", none(), ECT);
    assert_eq!(peer.heard(), [". 1:1(0) ack 41".replace("1:1", "11:11")], "it has, and is told at once");
    peer.give_marked("PW. 41:51(10) ack 11", none(), MARKED);
    assert_eq!(peer.heard(), ["E. 11:11(0) ack 51"], "a new mark begins anew");
}

//= RFC 3168 §6.1.2, type=test
//= RFC 3168 §5 MUST-1, type=test
//= RFC 3168 §6.1.1 MUST-3, type=test
//= RFC 9293 SHLD-8, type=test
#[test]
fn an_echo_shrinks_the_window_once_for_all_that_was_under_way() {
    let (mut peer, fd, _) = accepted(&[], "SEW 0:0(0)");
    write(&mut peer, fd, 10_000);
    assert_eq!(peer.heard().len(), 10);
    peer.give("E. 1:1(0) ack 1001", none());
    // It comes down as what was under way is acknowledged (RFC 9937): a segment may go for the first.
    assert_eq!(cwnd(&mut peer, fd), 10);
    peer.give("E. 1:1(0) ack 2001", none());
    assert_eq!(cwnd(&mut peer, fd), 10, "ceil(7 * 2 / 10) may go, and eight are in flight");
    peer.give("E. 1:1(0) ack 9001", none());
    assert_eq!(cwnd(&mut peer, fd), 7, "one reduction is enough");
    peer.heard();
    write(&mut peer, fd, 3000);
    let heard = peer.heard();
    assert!(heard[0].contains("W. 10001:11001(1000)"), "the peer is told: {heard:?}");
    assert!(heard[1..].iter().all(|text| !text.contains('W')), "once: {heard:?}");
}

//= RFC 3168 §6.1.1 MUST-2, type=test
#[test]
fn without_an_agreement_nothing_is_said() {
    let (mut peer, fd, _) = accepted(&[], "S 0:0(0)");
    peer.give_marked("PW. 1:11(10) ack 1", none(), MARKED);
    assert_eq!(peer.heard(), [". 1:1(0) ack 11"]);
    write(&mut peer, fd, 1000);
    assert_eq!(peer.heard(), ["P. 1:1001(1000) ack 11"]);
    assert_eq!(peer.ecn, 0);
    let before = cwnd(&mut peer, fd);
    peer.give("E. 11:11(0) ack 1001", none());
    assert!(cwnd(&mut peer, fd) >= before);
    assert_eq!(agreed(&mut peer, fd), (false, true), "that there are marks is noted, as by Linux");
}

//= RFC 3168 §6.1.6 MUST-1, type=test
//= RFC 3168 §6.1.1 MUST-6, type=test
#[test]
fn neither_syns_nor_probes_of_a_closed_window_may_be_marked() {
    let mut peer = Peer::new(&[("tcp_ecn", "1")]);
    let (fd, to) = peer.client();
    assert!(peer.host.try_connect(peer.now, fd, &to).is_err());
    assert!(peer.heard()[0].starts_with("SEW 0:0(0)"));
    assert_eq!(peer.ecn, 0, "a SYN");
    peer.give("SE. 0:0(0) ack 1", plain());
    peer.heard();
    write(&mut peer, fd, 1000);
    assert_eq!((peer.heard().len(), peer.ecn), (1, ECT));
    // It is to tell of a smaller window with the next new data, for which there is no room.
    peer.give("E. 1:1(0) ack 1001 win 0", none());
    write(&mut peer, fd, 1000);
    peer.heard();
    for _ in 0..3 {
        peer.pass(Duration::from_secs(10));
        for probe in peer.heard() {
            assert!(probe.starts_with(". 1000:1000(0)"), "{probe}");
            assert_eq!(peer.ecn, 0);
        }
    }
    peer.give(". 1:1(0) ack 1001 win 60000", none());
    assert_eq!(peer.heard(), ["PW. 1001:2001(1000) ack 1"], "now it does");
    assert_eq!(peer.ecn, ECT);
}
