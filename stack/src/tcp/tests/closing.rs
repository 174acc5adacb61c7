use super::fixture::*;
use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::tcp::connection::{NotConnected, ReadError, WriteError};
use crate::tcp::segment::{Control, Segment};
use crate::tcp::time_wait::{TimeWait, Verdict};
use crate::tcp::{KeepAlive, Options, Shutdown, State};

use crate::buf::Rope;
use crate::time::Instant;

fn established() -> Lone {
    Lone::established(plain(), 60_000, ms(10))
}

#[test]
fn we_close_first_and_end_in_time_wait() {
    let mut lone = established();
    lone.connection.shutdown(Shutdown::Write).expect("open");
    assert_eq!(lone.poll().expect("FIN").control, Some(Control::Fin));
    assert_eq!(lone.connection.state(), State::FinWait1);
    lone.ack(1, 60_000);
    assert_eq!(lone.connection.state(), State::FinWait2);
    lone.data(0, b"still here", None);
    assert_eq!(lone.read().expect("half-closed"), b"still here");
    lone.data(10, b"", Some(Control::Fin));
    assert_eq!(lone.connection.state(), State::TimeWait);
    assert_eq!(lone.poll().expect("an ACK of the FIN").ack, Some(seq(IRS + 1 + 11)));
    assert_eq!(lone.read(), Ok(vec![]), "the end");
    assert_eq!(lone.connection.write(Rope::from(&b"x"[..])), Err(WriteError::BrokenPipe));
}

#[test]
fn the_peer_closes_first_and_we_end_closed() {
    let mut lone = established();
    lone.data(0, b"bye", Some(Control::Fin));
    assert_eq!(lone.connection.state(), State::CloseWait);
    assert_eq!(lone.read().expect("data"), b"bye");
    assert_eq!(lone.read(), Ok(vec![]));
    lone.write(5);
    lone.connection.close(lone.now, &mut lone.counters);
    assert_eq!(lone.connection.state(), State::LastAck);
    lone.sent();
    lone.ack(6, 60_000);
    assert_eq!(lone.connection.state(), State::Closed);
    assert!(lone.connection.is_finished());
}

#[test]
fn both_close_at_once() {
    let mut pair = Pair::simultaneous([Options::default(), Options::default()], ms(10));
    pair.run_until(|pair| pair.ends.iter().all(|end| end.state() == State::Established));
    pair.ends.iter_mut().for_each(|end| end.shutdown(Shutdown::Write).expect("open"));
    let mut closing = false;
    pair.run_until(|pair| {
        closing |= pair.ends.iter().any(|end| end.state() == State::Closing);
        pair.ends.iter().all(|end| end.state() == State::TimeWait)
    });
    assert!(closing);
}

//= RFC 9293 SHLD-3, type=test
//= RFC 2525 §2.17, type=test
#[test]
fn closing_with_data_unread_resets() {
    let mut lone = established();
    lone.data(0, b"unread", None);
    while lone.poll().is_some() {}
    lone.connection.close(lone.now, &mut lone.counters);
    let reset = lone.poll().expect("a reset");
    assert_eq!((reset.control, reset.seq), (Some(Control::Rst), seq(ISS + 1)));
    assert!(lone.connection.is_finished());
    assert_eq!(lone.count(Counter::TcpExtTCPAbortOnClose), 1);
}

//= RFC 9293 MAY-1, type=test
#[test]
fn data_for_a_connection_that_nobody_holds_resets() {
    let mut lone = established();
    lone.connection.close(lone.now, &mut lone.counters);
    lone.sent();
    lone.data(0, b"too late", None);
    assert_eq!(lone.poll().expect("a reset").control, Some(Control::Rst));
    assert_eq!(lone.count(Counter::TcpExtTCPAbortOnData), 1);
}

#[test]
fn an_orphan_does_not_wait_for_the_peers_fin_for_ever() {
    let mut lone = established();
    lone.connection.close(lone.now, &mut lone.counters);
    lone.sent();
    lone.ack(1, 60_000);
    assert_eq!(lone.connection.state(), State::FinWait2);
    assert_eq!(lone.pass_to_deadline().as_secs(), 60);
    assert!(lone.connection.is_finished());
    assert_eq!(lone.count(Counter::TcpExtTCPAbortOnLinger), 0);
    // Not at all where TCP_LINGER2 says so.
    let mut lone = Lone::established(Options { fin_timeout_secs: None, ..plain() }, 60_000, ms(10));
    lone.connection.shutdown(Shutdown::Write).expect("open");
    lone.sent();
    lone.ack(1, 60_000);
    assert_eq!(lone.connection.state(), State::FinWait2);
    lone.connection.close(lone.now, &mut lone.counters);
    assert_eq!(lone.connection.state(), State::Closed);
    assert_eq!(lone.count(Counter::TcpExtTCPAbortOnLinger), 1);
}

/// As Linux, whose orphans wait for their end with the timer that keeps others alive.
#[test]
fn an_orphan_that_waits_for_the_peers_fin_is_not_kept_alive() {
    let keep_alive = KeepAlive { enabled: true, idle_secs: 10, ..KeepAlive::default() };
    let mut lone = Lone::established(Options { keep_alive, ..plain() }, 60_000, ms(10));
    lone.connection.close(lone.now, &mut lone.counters);
    lone.sent();
    lone.ack(1, 60_000);
    assert_eq!(lone.connection.state(), State::FinWait2);
    lone.pass(ms(5000));
    // That the peer is heard of puts nothing off.
    lone.ack(1, 60_000);
    assert_eq!(lone.pass_to_deadline().as_secs(), 55);
    assert!(lone.connection.is_finished());
    assert_eq!(lone.count(Counter::TcpExtTCPKeepAlive), 0);
}

#[test]
fn shutdown_before_the_handshake_is_refused() {
    let mut lone = Lone::connecting(plain());
    assert_eq!(lone.connection.shutdown(Shutdown::Both), Err(NotConnected));
}

//= RFC 5961 §3.2, type=test
//= RFC 5961 §3.2 MUST-1, type=test
//= RFC 5961 §3.2 MUST-2, type=test
//= RFC 5961 §3.2 MUST-3, type=test
//= RFC 5961 §3.2 MUST-4, type=test
#[test]
fn only_an_exact_reset_is_believed() {
    let mut lone = established();
    let reset = |offset| Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1 + offset)) };
    lone.give(reset(500));
    assert_eq!(lone.connection.state(), State::Established);
    assert_eq!(lone.poll().expect("a challenge").ack, Some(seq(IRS + 1)));
    lone.give(reset(200_000));
    assert!(lone.poll().is_none());
    lone.give(reset(0));
    assert_eq!(lone.connection.state(), State::Closed);
    assert_eq!(lone.read(), Err(ReadError::Socket(SocketError::ConnectionReset)));
    assert!(lone.poll().is_none(), "a reset is not answered");
    lone.data(0, b"late", None);
    assert_eq!(lone.count(Counter::TapsockTcpInClosed), 1);
    assert!(lone.poll().is_none(), "nor what comes after it, by the connection");
}

/// As Linux: nothing can follow the peer's FIN.
#[test]
fn what_comes_behind_a_fin_is_dropped() {
    let mut lone = established();
    lone.data(0, b"bye", Some(Control::Fin));
    lone.data(4, b"and more", None);
    assert_eq!(lone.count(Counter::TapsockTcpInAfterFin), 1);
    assert_eq!((lone.connection.state(), lone.read()), (State::CloseWait, Ok(b"bye".to_vec())));
}

#[test]
fn a_reset_may_have_the_end_of_what_is_reported_or_the_number_of_the_fin() {
    for (offset, believed) in [(19, false), (20, true), (21, false)] {
        let mut lone = Lone::established(sacking(), 60_000, ms(10));
        lone.data(10, b"0123456789", None);
        lone.poll();
        lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1 + offset)) });
        assert_eq!(lone.connection.state() == State::Closed, believed, "{offset}");
    }
    let mut lone = established();
    lone.data(0, b"", Some(Control::Fin));
    lone.poll();
    lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1)) });
    assert_eq!(lone.connection.take_error(), Some(SocketError::BrokenPipe));
}

//= RFC 2018 §8 MUST-3, type=test
#[test]
fn what_follows_a_fin_is_not_reported() {
    let mut lone = Lone::established(sacking(), 60_000, ms(10));
    lone.data(3, b"d", None);
    lone.data(10, b"0123456789", None);
    lone.data(5, b"", Some(Control::Fin));
    let answer = lone.poll().expect("at once");
    assert_eq!(answer.options.sack.as_slice(), [(IRS + 6, IRS + 7), (IRS + 4, IRS + 5)]);
}

#[test]
fn what_came_before_a_reset_can_still_be_read() {
    let mut lone = established();
    lone.data(0, b"last words", None);
    lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 11)) });
    assert_eq!(lone.read().expect("data"), b"last words");
    assert_eq!(lone.read(), Err(ReadError::Socket(SocketError::ConnectionReset)));
}

#[test]
fn a_reset_after_the_fin_is_the_writers_matter() {
    let mut lone = established();
    lone.data(0, b"all", Some(Control::Fin));
    lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1 + 4)) });
    assert_eq!(lone.read().expect("data"), b"all");
    assert_eq!(lone.read(), Ok(vec![]));
    let refused = lone.connection.write(Rope::from(&b"x"[..]));
    assert_eq!(refused, Err(WriteError::Socket(SocketError::BrokenPipe)));
}

#[test]
fn a_fin_that_came_too_early_waits_for_what_is_missing() {
    let mut lone = Lone::established(sacking(), 60_000, ms(10));
    lone.data(3, b"def", Some(Control::Fin));
    assert_eq!(lone.connection.state(), State::Established);
    lone.data(0, b"abc", None);
    assert_eq!(lone.connection.state(), State::CloseWait);
    assert_eq!(lone.read().expect("data"), b"abcdef");
}

fn resting() -> (Lone, TimeWait) {
    let mut lone = established();
    lone.connection.shutdown(Shutdown::Write).expect("open");
    lone.sent();
    lone.ack(1, 60_000);
    lone.data(0, b"", Some(Control::Fin));
    lone.sent();
    let record = TimeWait::new(&lone.connection);
    (lone, record)
}

fn judge(record: &mut TimeWait, now: Instant, segment: &Segment) -> Verdict {
    record.on_segment(now, segment, ms(500), &mut Counters::default())
}

//= RFC 5961 §7, type=test
#[test]
fn answers_at_rest_are_as_far_apart_as_they_are_told() {
    let (lone, mut record) = resting();
    let syn = Segment { control: Some(Control::Syn), ..Segment::new(seq(IRS - 5)) };
    let mut counters = Counters::default();
    let mut answered = |interval| {
        matches!(record.on_segment(lone.now, &syn, interval, &mut counters), Verdict::Answer { .. })
    };
    assert!(answered(ms(500)));
    assert!(!answered(ms(500)));
    assert!(answered(ms(0)));
    assert_eq!(counters[Counter::TcpExtTCPACKSkippedTimeWait], 1);
}

//= RFC 9293 MAY-2, type=test
#[test]
fn a_later_syn_may_take_over_a_resting_tuple_and_an_older_one_not() {
    let (lone, mut record) = resting();
    let syn = |value: u32| Segment { control: Some(Control::Syn), ..Segment::new(seq(value)) };
    assert!(matches!(judge(&mut record, lone.now, &syn(IRS + 90_000)), Verdict::Reuse { .. }));
    assert!(matches!(judge(&mut record, lone.now, &syn(IRS - 5)), Verdict::Answer { restart: false, .. }));
}

#[test]
fn a_fin_that_comes_again_is_answered_and_starts_the_rest_anew() {
    let (lone, mut record) = resting();
    let fin = Segment { control: Some(Control::Fin), ack: Some(seq(ISS + 2)), ..Segment::new(seq(IRS + 1)) };
    match judge(&mut record, lone.now, &fin) {
        Verdict::Answer { segment, restart: true } => {
            assert_eq!((segment.seq, segment.ack), (seq(ISS + 2), Some(seq(IRS + 2))));
        }
        other => panic!("{other:?}"),
    }
    let reset = Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 2)) };
    assert!(matches!(judge(&mut record, lone.now, &reset), Verdict::Close));
}
