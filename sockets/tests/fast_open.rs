//! Fast open (RFC 7413) on both sides: segments in, segments out, and what the calls say, as on Linux 6.18.

#[path = "common/peer.rs"]
#[allow(dead_code)]
mod peer;

use core::time::Duration;

use peer::Peer;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, PollMask, SockAddr, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::wire::{FastOpenCookie, FastOpenForm, FastOpenOption, TcpOptions};

/// Linux's cookie for the two addresses under this key.
const KEY: (&str, &str) = ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4");
const COOKIE: [u8; 8] = [0x30, 0x21, 0xb9, 0xd8, 0x89, 0x01, 0x7e, 0xeb];
const COOKIE_V6: [u8; 8] = [0xc1, 0xd1, 0xe9, 0x74, 0x2a, 0x47, 0xa9, 0xbc];

fn plain() -> TcpOptions {
    TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() }
}

fn option(bytes: &[u8], form: FastOpenForm) -> Option<FastOpenOption> {
    Some(FastOpenOption { cookie: FastOpenCookie::new(bytes).unwrap(), form })
}

fn with_cookie(bytes: &[u8]) -> TcpOptions {
    TcpOptions { fast_open: option(bytes, FastOpenForm::Standard), ..plain() }
}

fn none() -> TcpOptions {
    TcpOptions::default()
}

/// A host whose listeners all take data in SYNs.
fn server() -> Peer {
    Peer::new(&[("tcp_fastopen", "0x403"), KEY, ("tcp_timestamps", "0")])
}

fn client() -> Peer {
    Peer::new(&[("tcp_timestamps", "0")])
}

fn send(peer: &mut Peer, fd: Fd, len: usize, flags: i32, to: Option<&SockAddr>) -> Result<usize, Stop> {
    let now = peer.now;
    peer.host.try_send(now, fd, &mut Rope::from(vec![7; len]), flags, to)
}

fn read(peer: &mut Peer, fd: Fd) -> Result<usize, Errno> {
    match peer.host.try_recv(peer.now, fd, 100_000, MSG_DONTWAIT) {
        Ok(received) => Ok(received.data.len()),
        Err(Stop::Error(errno)) => Err(errno),
        Err(Stop::Wait(_)) => panic!("it does not wait"),
    }
}

fn info(peer: &mut Peer, fd: Fd) -> Vec<u8> {
    peer.host.option(peer.now, fd, SOL_TCP, TCP_INFO).unwrap().as_bytes().to_vec()
}

/// TCPI_OPT_SYN_DATA, and why it is not there.
fn syn_data(peer: &mut Peer, fd: Fd) -> (bool, u8) {
    let info = info(peer, fd);
    (info[5] & 32 != 0, info[7] >> 1 & 3)
}

fn set(peer: &mut Peer, fd: Fd, name: i32, value: i32) -> Result<(), Errno> {
    peer.host.set_option(peer.now, fd, SOL_TCP, name, &value.to_ne_bytes())
}

fn error<T>(errno: Errno) -> Result<T, Stop> {
    Err(Stop::Error(errno))
}

/// Has the host ask for a cookie and gives it `answer`, in a connection that is then closed.
fn give_out(peer: &mut Peer, answer: TcpOptions) {
    let (fd, to) = peer.client();
    assert_eq!(send(peer, fd, 0, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS));
    peer.heard();
    peer.give("S. 0:0(0) ack 1", answer);
    peer.irs = 1;
    peer.host.close(peer.now, fd).unwrap();
    peer.heard();
    peer.give("R. 0:0(0) ack 2", none());
    peer.irs = 0;
}

//= RFC 7413 §4.2.2, type=test
#[test]
fn data_of_a_syn_with_a_good_cookie_is_there_before_the_handshake_is_done() {
    for (v6, cookie, mss) in [(false, COOKIE, 1460), (true, COOKIE_V6, 1460)] {
        let mut peer = Peer::over(v6, &[("tcp_fastopen", "0x403"), KEY]);
        let listener = peer.listener(5);
        peer.give("S 0:10(10)", with_cookie(&cookie));
        assert_eq!(peer.heard(), [format!("S. 0:0(0) ack 11 <mss {mss},sackOK>")]);
        let fd = peer.accept(listener);
        assert_eq!((syn_data(&mut peer, fd), read(&mut peer, fd)), ((true, 0), Ok(10)));
        assert!(peer.host.readiness(fd).contains(PollMask::OUT));
        assert_eq!(send(&mut peer, fd, 100, 0, None), Ok(100));
        assert_eq!(peer.heard(), ["P. 1:101(100) ack 11"]);
        peer.give(". 11:11(0) ack 101", none());
        assert_eq!(info(&mut peer, fd)[0], 1, "established");
        assert_eq!(peer.count(Counter::TcpExtTCPFastOpenPassive), 1);
        assert_eq!(peer.count(Counter::TcpPassiveOpens), 1);
    }
}

//= RFC 7413 §4.2.2, type=test
#[test]
fn who_asks_is_given_a_cookie_in_the_form_of_the_question() {
    let mut peer = server();
    peer.listener(5);
    peer.give("S 0:10(10)", with_cookie(&[]));
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK,FO 3021b9d889017eeb>"]);
    peer.pass(Duration::from_secs(1));
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK>"], "said once");
    peer.next();
    let bad = TcpOptions { fast_open: option(&[1; 8], FastOpenForm::Experimental), ..plain() };
    peer.give("S 0:10(10)", bad);
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK,FOEXP 3021b9d889017eeb>"]);
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenCookieReqd), 1);
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenPassiveFail), 1);
    peer.next();
    peer.give("S 0:10(10)", plain());
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK>"], "data alone opens nothing");
}

//= RFC 7413 §2 MUST-1, type=test
//= RFC 7413 §4.2 MUST-1, type=test
//= RFC 7413 §4.2 MUST-2, type=test
//= RFC 7413 §4.2 MUST-3, type=test
#[test]
fn a_listener_takes_data_in_syns_where_it_is_told_to() {
    let mut peer = Peer::new(&[("tcp_fastopen", "2"), KEY]);
    let listener = peer.listener(5);
    let answers = |peer: &mut Peer| {
        peer.next();
        peer.give("S 0:10(10)", with_cookie(&COOKIE));
        peer.heard()[0].contains("ack 11")
    };
    assert!(!answers(&mut peer));
    assert_eq!(set(&mut peer, listener, TCP_FASTOPEN, -1), Err(Errno::INVAL));
    assert_eq!(set(&mut peer, listener, TCP_FASTOPEN, 1), Ok(()));
    assert!(answers(&mut peer));
    assert!(!answers(&mut peer), "one at a time");
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenListenOverflow), 2);
    // The first one ends.
    let fd = peer.accept(listener);
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN, 1), Err(Errno::INVAL));
    peer.host.close(peer.now, fd).unwrap();
    assert!(answers(&mut peer));
    peer.set("tcp_fastopen", "1");
    assert_eq!(set(&mut peer, listener, TCP_FASTOPEN, 9), Ok(()));
    assert!(!answers(&mut peer), "the host does not");
    peer.set("tcp_fastopen", "0x202");
    peer.next();
    peer.give("S 0:1000(1000)", plain());
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1001 <mss 1460,sackOK>"], "without a cookie");
}

//= RFC 7413 §5.1, type=test
//= RFC 7413 §4.2 MUST-3, type=test
#[test]
fn a_connection_that_was_reset_counts_for_a_minute() {
    let mut peer = server();
    let listener = peer.listener(5);
    assert_eq!(set(&mut peer, listener, TCP_FASTOPEN, 1), Ok(()));
    let opens = |peer: &mut Peer| {
        peer.next();
        peer.give("S 0:10(10)", with_cookie(&COOKIE));
        peer.heard()[0].contains("ack 11")
    };
    assert!(opens(&mut peer));
    let fd = peer.accept(listener);
    peer.give("R. 11:11(0) ack 1", none());
    assert_eq!((read(&mut peer, fd), read(&mut peer, fd)), (Ok(10), Err(Errno::CONNRESET)));
    assert!(!opens(&mut peer));
    peer.pass(Duration::from_secs(61));
    peer.heard();
    assert!(opens(&mut peer));
}

#[test]
fn a_listener_has_a_key_of_its_own() {
    let mut peer = Peer::new(&[("tcp_fastopen", "0x403"), ("tcp_fastopen_key", "0-0-0-0")]);
    let listener = peer.listener(5);
    let key: Vec<u8> = [0xa1u8, 0xb2, 0xc3, 0xd4].iter().flat_map(|byte| [*byte; 4]).collect();
    let both = [&[9; 16][..], &key].concat();
    for (bytes, outcome) in [(&key[..3], Err(Errno::INVAL)), (&[], Err(Errno::INVAL)), (&both, Ok(()))] {
        assert_eq!(peer.host.set_option(peer.now, listener, SOL_TCP, TCP_FASTOPEN_KEY, bytes), outcome);
    }
    let shown = peer.host.option(peer.now, listener, SOL_TCP, TCP_FASTOPEN_KEY).unwrap();
    assert_eq!(shown.as_bytes(), both);
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    let heard = peer.heard();
    assert!(heard[0].starts_with("S. 0:0(0) ack 11 <mss 1460,sackOK,FO "), "{heard:?}");
    assert!(!heard[0].contains("3021b9d8"), "the cookie of the second key is good, and replaced");
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenPassiveAltKey), 1);
}

#[test]
fn the_syn_ack_of_an_early_connection_is_sent_again_and_then_it_is_given_up() {
    let mut peer = server();
    let listener = peer.listener(5);
    peer.set("tcp_synack_retries", "2");
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    peer.heard();
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 11 <mss 1460,sackOK>"], "a SYN that comes again is answered");
    let fd = peer.accept(listener);
    assert_eq!(send(&mut peer, fd, 100, 0, None), Ok(100));
    assert_eq!(peer.heard(), ["P. 1:101(100) ack 11"]);
    let mut count = 0;
    for _ in 0..200 {
        peer.pass(Duration::from_secs(1));
        let heard = peer.heard();
        assert!(heard.iter().all(|text| text.starts_with("S. 0:0(0) ack 11")), "{heard:?}");
        count += heard.len();
    }
    assert_eq!(count, 6, "one more than tcp_synack_retries, as it was when the listener was made");
    assert_eq!(read(&mut peer, fd), Ok(10));
    assert_eq!(read(&mut peer, fd), Err(Errno::TIMEDOUT));
}

#[test]
fn an_early_connection_may_be_over_before_it_is_accepted() {
    let mut peer = server();
    let listener = peer.listener(5);
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    peer.heard();
    peer.give("F. 11:11(0) ack 1", none());
    peer.pass(Duration::from_millis(5));
    assert_eq!(peer.heard(), [". 1:1(0) ack 12"]);
    let fd = peer.accept(listener);
    assert_eq!((read(&mut peer, fd), read(&mut peer, fd)), (Ok(10), Ok(0)));
    peer.host.close(peer.now, fd).unwrap();
    assert_eq!(peer.heard(), ["F. 1:1(0) ack 12"]);
    // What nobody has read, or accepted, makes the end a reset.
    peer.next();
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    peer.heard();
    let fd = peer.accept(listener);
    peer.host.close(peer.now, fd).unwrap();
    assert_eq!(peer.heard(), ["R. 1:1(0) ack 11"]);
    peer.next();
    peer.give("S 0:10(10)", with_cookie(&COOKIE));
    peer.heard();
    peer.host.close(peer.now, listener).unwrap();
    assert_eq!(peer.heard(), ["R. 1:1(0) ack 11"]);
}

//= RFC 7413 §4.2.1, type=test
//= RFC 7413 §4.1.3 MUST-1, type=test
//= RFC 7413 §4.2.1 MUST-1, type=test
//= RFC 7413 §4.2.2 MUST-1, type=test
#[test]
fn a_client_asks_for_a_cookie_and_then_sends_data_with_its_syn() {
    let mut peer = client();
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS));
    assert_eq!(peer.heard(), ["S 0:0(0) <mss 1460,sackOK,wscale 7,FO>"]);
    assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), error(Errno::ALREADY));
    assert_eq!(send(&mut peer, fd, 1000, 0, None), error(Errno::AGAIN));
    peer.give("S. 0:0(0) ack 1", TcpOptions { mss: Some(940), ..with_cookie(&[0xab; 4]) });
    peer.irs = 0;
    assert_eq!(peer.heard(), [". 1:1(0) ack 1"]);
    assert_eq!(syn_data(&mut peer, fd), (false, 1), "there was no cookie");
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), Ok(10));
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), error(Errno::ISCONN));
    peer.heard();
    let (fd, _) = peer.client();
    assert_eq!(send(&mut peer, fd, 2000, MSG_FASTOPEN, Some(&to)), Ok(900), "room is left for options");
    assert_eq!(peer.heard(), ["S 0:900(900) <mss 1460,sackOK,wscale 7,FO abababab>"]);
    peer.give("S. 0:0(0) ack 901", plain());
    assert_eq!(peer.heard(), [". 901:901(0) ack 1"]);
    assert_eq!(syn_data(&mut peer, fd), (true, 0));
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenActive), 1);
    assert_eq!(send(&mut peer, fd, 10, 0, None), Ok(10));
    assert_eq!(peer.heard(), ["P. 901:911(10) ack 1"]);
}

//= RFC 7413 §4.2.1, type=test
#[test]
fn what_the_syn_ack_leaves_out_is_sent_again_at_once() {
    for (ack, again) in [(1, "P. 1:701(700) ack 1"), (301, "P. 301:701(400) ack 1")] {
        let mut peer = client();
        give_out(&mut peer, with_cookie(&[0xab; 4]));
        let (fd, to) = peer.client();
        assert_eq!(send(&mut peer, fd, 700, MSG_FASTOPEN, Some(&to)), Ok(700));
        peer.heard();
        let cwnd = |peer: &mut Peer, fd| u32::from_ne_bytes(info(peer, fd)[80..84].try_into().unwrap());
        peer.give(&format!("S. 0:0(0) ack {ack}"), plain());
        assert_eq!(peer.heard(), [again]);
        assert_eq!(syn_data(&mut peer, fd), (false, 2));
        assert_eq!(cwnd(&mut peer, fd), 10, "the path is not blamed");
        peer.give(". 1:1(0) ack 701", none());
        assert_eq!(info(&mut peer, fd)[1], 0, "and all is well");
        assert_eq!(peer.count(Counter::TcpExtTCPFastOpenActiveFail), 1);
    }
}

//= RFC 7413 §4.2.1, type=test
#[test]
fn a_syn_that_is_sent_again_is_an_ordinary_one() {
    let mut peer = client();
    give_out(&mut peer, with_cookie(&[0xab; 4]));
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), Ok(1000));
    peer.heard();
    peer.pass(Duration::from_secs(1));
    assert_eq!(peer.heard(), ["S 0:0(0) <mss 1460,sackOK,wscale 7>"]);
    peer.give("S. 0:0(0) ack 1", plain());
    assert_eq!(peer.heard(), ["P. 1:1001(1000) ack 1"]);
    assert_eq!(syn_data(&mut peer, fd), (false, 3));
}

#[test]
fn a_syn_ack_that_acknowledges_too_much_is_refused() {
    let mut peer = client();
    give_out(&mut peer, with_cookie(&[0xab; 4]));
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 100, MSG_FASTOPEN, Some(&to)), Ok(100));
    peer.heard();
    peer.give("S. 0:0(0) ack 100101", plain());
    assert_eq!(peer.heard(), ["R 100101:100101(0)"]);
    assert_eq!(info(&mut peer, fd)[0], 2, "it waits on");
    peer.give("R. 0:0(0) ack 1", none());
    assert_eq!(send(&mut peer, fd, 1, 0, None), error(Errno::CONNREFUSED));
}

#[test]
fn connect_waits_for_data_where_there_is_a_cookie() {
    let mut peer = client();
    peer.set("tcp_fastopen", "0");
    let (fd, to) = peer.client();
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 1), Err(Errno::OPNOTSUPP));
    assert_eq!(send(&mut peer, fd, 1, MSG_FASTOPEN, Some(&to)), error(Errno::OPNOTSUPP));
    peer.set("tcp_fastopen", "1");
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 2), Err(Errno::INVAL));
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 1), Ok(()));
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), error(Errno::INPROGRESS));
    assert_eq!(peer.heard(), ["S 0:0(0) <mss 1460,sackOK,wscale 7,FO>"]);
    peer.give("S. 0:0(0) ack 1", with_cookie(&[0xab; 4]));
    peer.heard();

    let (fd, to) = peer.client();
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 1), Ok(()));
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), Ok(()));
    assert_eq!(peer.heard(), [""; 0]);
    assert!(
        peer.host.readiness(fd).contains(PollMask::OUT) && !peer.host.readiness(fd).contains(PollMask::IN)
    );
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), error(Errno::ISCONN));
    assert_eq!(read(&mut peer, fd), Err(Errno::AGAIN));
    assert_eq!(send(&mut peer, fd, 2000, 0, None), Ok(1420));
    assert_eq!(peer.heard(), ["S 0:1420(1420) <mss 1460,sackOK,wscale 7,FO abababab>"]);
    assert!(!peer.host.readiness(fd).contains(PollMask::OUT));
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), error(Errno::ALREADY));

    let (fd, to) = peer.client();
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 1), Ok(()));
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), Ok(()));
    assert_eq!(send(&mut peer, fd, 0, 0, None), error(Errno::INPROGRESS));
    assert_eq!(peer.heard(), ["S 0:0(0) <mss 1460,sackOK,wscale 7,FO abababab>"]);

    let (fd, to) = peer.client();
    assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_CONNECT, 1), Ok(()));
    assert_eq!(peer.host.try_connect(peer.now, fd, &to), Ok(()));
    peer.host.close(peer.now, fd).unwrap();
    assert_eq!(peer.heard(), [""; 0], "nothing was begun");
}

/// A call that waits goes on when the handshake is done, after what went with the SYN.
#[test]
fn a_call_that_waits_sends_the_rest_after_the_handshake() {
    let mut peer = client();
    give_out(&mut peer, with_cookie(&[0xab; 4]));
    for (len, answers) in [(1900usize, vec!["P. 1421:1901(480) ack 1"]), (500, vec![". 501:501(0) ack 1"])] {
        let (_, to) = peer.client();
        let fd = peer.host.socket(AF_INET, SOCK_STREAM, 0).unwrap();
        let mut data = Rope::from(vec![7; len]);
        let waits = peer.host.try_send(peer.now, fd, &mut data, MSG_FASTOPEN, Some(&to));
        assert!(matches!(waits, Err(Stop::Wait(wait)) if wait.mask.contains(PollMask::OUT)), "{waits:?}");
        assert_eq!((data.len(), peer.heard().len()), (len, 1));
        peer.give(&format!("S. 0:0(0) ack {}", len.min(1420) + 1), plain());
        assert!(len > 1420 || peer.heard() == answers);
        assert_eq!(peer.host.try_send(peer.now, fd, &mut data, MSG_FASTOPEN, Some(&to)), Ok(len));
        assert!(len < 1420 || peer.heard() == answers, "the acknowledgement goes with the rest");
        assert!(data.is_empty());
    }
    // A reset while it waits fails the call.
    let (_, to) = peer.client();
    let fd = peer.host.socket(AF_INET, SOCK_STREAM, 0).unwrap();
    let mut data = Rope::from(vec![7; 2000]);
    assert!(peer.host.try_send(peer.now, fd, &mut data, MSG_FASTOPEN, Some(&to)).is_err());
    peer.heard();
    peer.give("R. 0:0(0) ack 1", none());
    assert_eq!(
        peer.host.try_send(peer.now, fd, &mut data, MSG_FASTOPEN, Some(&to)),
        error(Errno::CONNREFUSED)
    );
}

#[test]
fn without_a_cookie_where_that_is_allowed() {
    for by_socket in [false, true] {
        let mut peer = client();
        let (fd, to) = peer.client();
        if by_socket {
            assert_eq!(set(&mut peer, fd, TCP_FASTOPEN_NO_COOKIE, 1), Ok(()));
        } else {
            peer.set("tcp_fastopen", "5");
        }
        assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), Ok(1000));
        assert_eq!(peer.heard(), ["S 0:1000(1000) <mss 1460,sackOK,wscale 7>"]);
        peer.give("S. 0:0(0) ack 1001", with_cookie(&[1; 4]));
        peer.heard();
        assert_eq!(syn_data(&mut peer, fd), (true, 0));
        peer.set("tcp_fastopen", "1");
        let (fd, to) = peer.client();
        assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS));
        assert_eq!(peer.heard(), ["S 0:0(0) <mss 1460,sackOK,wscale 7,FO>"], "nobody had asked for that one");
    }
}

#[test]
fn both_may_open_with_data_at_once() {
    let mut peer = client();
    give_out(&mut peer, with_cookie(&[0xab; 4]));
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 1000, MSG_FASTOPEN, Some(&to)), Ok(1000));
    peer.heard();
    peer.give("S 0:500(500)", with_cookie(&[1; 4]));
    assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 0>"], "data that crosses is left out");
    peer.give("S. 0:0(0) ack 1001", with_cookie(&[2; 4]));
    let heard = peer.heard();
    assert!(heard.len() == 1 && heard[0].starts_with(". 1001:1001(0) ack 1"), "{heard:?}");
    assert_eq!(info(&mut peer, fd)[0], 1);
    peer.give("P. 1:501(500) ack 1001", none());
    assert_eq!(read(&mut peer, fd), Ok(500));
}

//= RFC 7413 §4.1.3.1, type=test
//= RFC 7413 §4.1.3.1 MUST-1, type=test
#[test]
fn after_three_time_outs_nothing_goes_with_syns_for_a_while() {
    let mut peer = client();
    peer.set("tcp_fastopen_blackhole_timeout_sec", "3600");
    give_out(&mut peer, with_cookie(&[0xab; 4]));
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), Ok(10));
    for _ in 0..3 {
        assert_eq!(peer.count(Counter::TcpExtTCPFastOpenBlackhole), 0);
        peer.heard();
        peer.pass(Duration::from_secs(1));
    }
    assert_eq!(peer.count(Counter::TcpExtTCPFastOpenBlackhole), 1);
    let (fd, _) = peer.client();
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS));
    peer.pass(Duration::from_secs(3600));
    let (fd, _) = peer.client();
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), Ok(10));
}

//= RFC 7413 §4.2.2 MUST-2, type=test
#[test]
fn an_early_connection_begins_with_the_usual_window() {
    let mut peer = server();
    let listener = peer.listener(5);
    peer.give("S 0:10(10)", TcpOptions { mss: Some(1000), ..with_cookie(&COOKIE) });
    peer.heard();
    let fd = peer.accept(listener);
    assert_eq!(send(&mut peer, fd, 20_000, 0, None), Ok(20_000));
    let sent = peer.heard();
    assert!(sent.iter().all(|text| text.contains("ack 11")), "{sent:?}");
    assert!(sent.last().is_some_and(|text| text.contains(":10001(")), "ten segments: {sent:?}");
}

//= RFC 7413 §4.2 MUST-2, type=test
#[test]
fn a_server_that_is_off_does_not_look_at_cookies() {
    let mut peer = Peer::new(&[("tcp_fastopen", "1"), KEY, ("tcp_timestamps", "0")]);
    peer.listener(5);
    for cookie in [&[][..], &[1; 8], &COOKIE] {
        peer.next();
        peer.give("S 0:10(10)", with_cookie(cookie));
        assert_eq!(peer.heard(), ["S. 0:0(0) ack 1 <mss 1460,sackOK>"], "{cookie:?}");
    }
}

//= RFC 7413 §4.1.1 MUST-2, type=test
#[test]
fn a_cookie_outside_of_a_syn_is_not_looked_at() {
    let mut peer = client();
    let (fd, to) = peer.client();
    assert_eq!(send(&mut peer, fd, 0, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS));
    peer.heard();
    peer.give("S. 0:0(0) ack 1", plain());
    peer.heard();
    let late = TcpOptions { fast_open: option(&[0xab; 4], FastOpenForm::Standard), ..none() };
    peer.give("P. 1:11(10) ack 1", late);
    assert_eq!(read(&mut peer, fd), Ok(10));
    let (fd, _) = peer.client();
    assert_eq!(send(&mut peer, fd, 10, MSG_FASTOPEN, Some(&to)), error(Errno::INPROGRESS), "none is known");
}
