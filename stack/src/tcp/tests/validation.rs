use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{KeepAlive, Options, State};
use crate::wire::tcp_options::TcpOptions;

fn stamped_connection() -> Lone {
    let mut lone = Lone::connecting(Options { timestamps: true, ..plain() });
    lone.poll();
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        control: Some(Control::Syn),
        window: UnscaledWindow(60_000),
        options: TcpOptions { mss: Some(1000), ..Lone::stamped(700, 100_000) },
        ..Segment::new(seq(IRS))
    });
    lone.poll();
    lone
}

fn data_at(offset: u32, stamp: u32) -> Segment {
    Segment {
        ack: Some(seq(ISS + 1)),
        window: UnscaledWindow(60_000),
        options: Lone::stamped(stamp, 100_000),
        payload: Rope::from(&b"0123456789"[..]),
        ..Segment::new(seq(IRS + 1 + offset))
    }
}

//= RFC 7323 §5.3, type=test
//= RFC 7323 §5.3 MUST-1, type=test
//= RFC 7323 §3.2 MUST-1, type=test
#[test]
fn an_old_timestamp_is_refused() {
    let mut lone = stamped_connection();
    lone.give(data_at(0, 710));
    assert_eq!(lone.poll().expect("an ACK").options.timestamps.map(|stamp| stamp.echo), Some(710));
    lone.give(data_at(10, 699));
    assert_eq!(lone.count(Counter::TcpExtPAWSEstab), 1);
    assert_eq!(lone.poll().expect("a challenge").ack, Some(seq(IRS + 11)));
    assert_eq!(lone.read().expect("data").len(), 10);
    lone.give(data_at(10, 711));
    assert_eq!(lone.read().expect("data").len(), 10);
}

//= RFC 7323 §5.2 MUST-1, type=test
#[test]
fn an_acknowledgement_that_was_overtaken_is_not_answered() {
    let ack = |stamp, window| Segment {
        window: UnscaledWindow(window),
        payload: Rope::new(),
        ..data_at(10, stamp)
    };
    for (stamp, window, answered) in
        [(708, 60_000, false), (708, 59_000, false), (708, 60_001, true), (0, 60_000, true)]
    {
        let mut lone = stamped_connection();
        lone.give(data_at(0, 710));
        lone.give(ack(710, 60_000));
        lone.poll();
        lone.pass(ms(10_000));
        lone.give(ack(stamp, window));
        assert_eq!(lone.poll().is_some(), answered, "{stamp} {window}");
        assert_eq!(lone.count(Counter::TcpExtPAWSEstab), u64::from(answered));
        assert_eq!(lone.connection.send.window.wnd, 60_000);
        assert_eq!(
            lone.connection.negotiated.timestamps.map(|state| state.recent),
            Some(710),
            "it does not go back"
        );
    }
}

//= RFC 7323 §5.2 MUST-1, type=test
#[test]
fn a_timestamp_may_be_one_tick_late() {
    for (stamp, taken) in [(709, true), (708, false)] {
        let mut lone = stamped_connection();
        lone.give(data_at(0, 710));
        lone.give(data_at(10, stamp));
        assert_eq!(lone.connection.readable(), if taken { 20 } else { 10 }, "{stamp}");
        assert_eq!(lone.connection.negotiated.timestamps.map(|state| state.recent), Some(710));
    }
}

#[test]
fn an_acknowledgement_from_before_is_dropped_without_an_answer() {
    let mut lone = stamped_connection();
    lone.give(data_at(0, 9710));
    lone.poll();
    lone.give(Segment { payload: Rope::new(), ..data_at(5, 700) });
    assert!(lone.poll().is_none());
    assert_eq!((lone.count(Counter::TcpExtPAWSOldAck), lone.count(Counter::TcpExtPAWSEstab)), (1, 0));
}

//= RFC 8201 §5.4 MUST-2, type=test
//= RFC 8201 §5.4 MUST-3, type=test
//= RFC 9293 MUST-16, type=test
//= RFC 7323 §3.2, type=test
#[test]
fn every_segment_bears_a_timestamp_and_full_ones_leave_room_for_it() {
    let mut lone = stamped_connection();
    assert_eq!(lone.connection.mss(), 988);
    lone.write(2000);
    let segment = lone.poll().expect("data");
    assert_eq!(segment.payload.len(), 988);
    assert_eq!(segment.options.timestamps.map(|stamp| stamp.echo), Some(700));
}

//= RFC 9293 MAY-12, type=test
//= RFC 5961 §5.2, type=test
//= RFC 5961 §5.2 MUST-1, type=test
//= RFC 5961 §5.2 MUST-2, type=test
#[test]
fn an_acknowledgement_of_what_was_never_sent_is_challenged() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    lone.data(0, b"x", None);
    lone.sent();
    lone.ack(5, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPAckOutOfRange), 1);
    assert_eq!(lone.connection.acknowledged(), seq(ISS + 1));
    assert!(lone.poll().is_some());
}

//= RFC 5961 §4.2, type=test
#[test]
fn a_syn_in_an_open_connection_is_challenged() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    lone.give(Segment { control: Some(Control::Syn), ..Segment::new(seq(IRS + 1)) });
    assert_eq!(lone.connection.state(), State::Established);
    assert_eq!(lone.poll().expect("a challenge").ack, Some(seq(IRS + 1)));
    lone.give(Segment { control: Some(Control::Syn), ..Segment::new(seq(IRS + 1)) });
    assert!(lone.poll().is_none(), "not more than one in half a second");
    assert_eq!(lone.count(Counter::TcpExtTCPACKSkippedChallenge), 1);
}

#[test]
fn challenges_of_resets_are_rare_whatever_they_carry() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    let reset = Segment {
        control: Some(Control::Rst),
        payload: Rope::from(&b"guess"[..]),
        ..Segment::new(seq(IRS + 100))
    };
    lone.give(reset.clone());
    assert!(lone.poll().is_some());
    lone.give(reset);
    assert!(lone.poll().is_none());
}

#[test]
fn what_lies_outside_the_window_is_answered_and_dropped() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    lone.data(200_000, b"far", None);
    assert_eq!(lone.count(Counter::TcpExtBeyondWindow), 1);
    assert_eq!(lone.poll().expect("an ACK").ack, Some(seq(IRS + 1)));
    assert!(lone.read().is_err());
}

/// As Linux: two hosts that each hold what the other sends to be wrong would answer each other for ever.
#[test]
fn what_brings_nothing_and_is_wrong_is_answered_once_in_half_a_second() {
    let beyond: fn() -> Segment = || data_at(200_000, 711);
    let before: fn() -> Segment = || Segment { window: UnscaledWindow(60_001), ..data_at(10, 700) };
    let table = [(beyond, Counter::TcpExtTCPACKSkippedSeq), (before, Counter::TcpExtTCPACKSkippedPAWS)];
    for (segment, skipped) in table {
        let mut lone = stamped_connection();
        lone.give(data_at(0, 710));
        lone.poll();
        let answered = [0, 400, 200].map(|wait| {
            lone.pass(ms(wait));
            lone.give(Segment { payload: Rope::new(), ..segment() });
            lone.poll().is_some()
        });
        assert_eq!((answered, lone.count(skipped)), ([true, false, true], 1), "{skipped:?}");
        lone.give(segment());
        assert!(lone.poll().is_some(), "what brings something is answered");
    }
}

//= RFC 9293 SHLD-31, type=test
//= RFC 9293 MAY-13, type=test
//= RFC 2018 §4, type=test
//= RFC 2018 §3 RULE-1, type=test
//= RFC 2018 §4 MUST-2, type=test
//= RFC 2018 §8 MUST-1, type=test
#[test]
fn out_of_order_data_is_reported_by_sack() {
    let mut lone = Lone::established(sacking(), 60_000, ms(10));
    lone.data(10, b"0123456789", None);
    let ack = lone.poll().expect("at once");
    assert_eq!(ack.ack, Some(seq(IRS + 1)));
    assert_eq!(ack.options.sack.as_slice(), [(IRS + 11, IRS + 21)]);
    lone.data(30, b"0123456789", None);
    let ack = lone.poll().expect("at once");
    assert_eq!(ack.options.sack.as_slice(), [(IRS + 31, IRS + 41), (IRS + 11, IRS + 21)]);
    lone.data(0, b"0123456789", None);
    let ack = lone.poll().expect("at once");
    assert_eq!((ack.ack, ack.options.sack.as_slice()), (Some(seq(IRS + 21)), &[(IRS + 31, IRS + 41)][..]));
    assert_eq!(lone.count(Counter::TcpExtTCPOFOQueue), 2);
    assert_eq!(lone.read().expect("data").len(), 20);
}

//= RFC 9293 MUST-26, type=test
//= RFC 9293 MUST-27, type=test
//= RFC 9293 MUST-29, type=test
//= RFC 9293 SHLD-12, type=test
//= RFC 9293 MAY-5, type=test
#[test]
fn keepalives_probe_and_give_up() {
    let keep_alive = KeepAlive { enabled: true, probes: 3, idle_secs: 60, interval_secs: 5 };
    let mut lone = Lone::established(Options { keep_alive, ..plain() }, 60_000, ms(10));
    let mut waits = Vec::new();
    while lone.connection.state() == State::Established {
        waits.push(lone.pass_to_deadline().as_secs());
        if let Some(probe) = lone.poll().filter(|probe| probe.control.is_none()) {
            assert_eq!((probe.seq, probe.len()), (seq(ISS), 0));
        }
    }
    assert_eq!(waits, [60, 5, 5, 5]);
    assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
    let keep_alive = KeepAlive { enabled: true, probes: 3, idle_secs: 60, interval_secs: 5 };
    let mut lone = Lone::established(Options { keep_alive, ..plain() }, 60_000, ms(10));
    for _ in 0..20 {
        lone.pass_to_deadline();
        lone.sent();
        lone.ack(0, 60_000);
    }
    assert_eq!(lone.connection.state(), State::Established, "answers keep it");
}
