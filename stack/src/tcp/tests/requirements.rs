//! Requirements of RFC 9293 that no other test asserts by itself.

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::tcp::connection::ReadError;
use crate::tcp::segment::{Control, Segment, UnscaledWindow, WindowScale};
use crate::tcp::{KeepAlive, Options, State};

/// The most in flight to a peer that offers `window` for long enough.
fn largest_flight(window: u16, scale: u8) -> u32 {
    let mut lone = Lone::established(plain(), window, ms(50));
    lone.connection.send.window.scale = WindowScale::clamped(scale);
    let (mut acknowledged, mut largest) = (0, 0);
    for _ in 0..8 {
        lone.write(lone.connection.free_space());
        let flight: u32 = lone.sent().iter().map(|(_, len)| len).sum();
        largest = largest.max(flight);
        acknowledged += flight;
        lone.pass(ms(50));
        lone.ack(acknowledged, window);
    }
    assert_eq!(lone.connection.info().snd_wnd, u32::from(window) << scale);
    largest
}

//= RFC 9293 MUST-1, type=test
//= RFC 5681 §2 MUST-1, type=test
#[test]
fn a_window_with_its_highest_bit_set_is_a_large_one() {
    assert_eq!(largest_flight(65_535, 0), 65_000, "as many full segments as it takes");
}

//= RFC 9293 REC-1, type=test
#[test]
fn windows_are_reckoned_with_32_bits() {
    assert!(largest_flight(65_535, 14) > 2 * 65_535);
}

//= RFC 9293 MUST-11, type=test
#[test]
fn a_reset_is_told_to_whoever_came_to_syn_received_by_connecting() {
    let mut lone = Lone::connecting(plain());
    lone.poll();
    lone.give(Segment {
        control: Some(Control::Syn),
        window: UnscaledWindow(9000),
        ..Segment::new(seq(IRS))
    });
    assert_eq!(lone.connection.state(), State::SynReceived);
    assert_eq!(lone.poll().expect("a SYN-ACK").ack, Some(seq(IRS + 1)));
    lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1)) });
    assert_eq!(lone.connection.state(), State::Closed);
    // As Linux, and not "refused": the peer did open its side.
    assert_eq!(lone.read(), Err(ReadError::Socket(SocketError::ConnectionReset)));
}

//= RFC 9293 MUST-18, type=test
//= RFC 6298 §3, type=test
//= RFC 6298 §3 MUST-1, type=test
//= RFC 6298 §3 MUST-2, type=test
#[test]
fn what_was_sent_twice_gives_no_round_trip() {
    let mut lone = Lone::established(plain(), 60_000, ms(20));
    lone.write(1000);
    lone.sent();
    assert_eq!(lone.pass_to_deadline(), ms(220));
    assert_eq!(lone.sent(), [(0, 1000)]);
    lone.pass(ms(5));
    lone.ack(1000, 60_000);
    let info = lone.connection.info();
    assert_eq!(info.rtt, Some(ms(20)), "neither 5 ms nor 225 ms");
    assert_eq!(info.rto, ms(440), "the doubling lasts until there is a sample");
    lone.write(1000);
    lone.sent();
    lone.pass(ms(20));
    lone.ack(2000, 60_000);
    assert_eq!(lone.connection.info().rto, ms(220));
}

//= RFC 9293 MUST-35, type=test
//= RFC 9293 SHLD-17, type=test
//= RFC 9293 MAY-7, type=test
#[test]
fn a_window_that_shrank_to_nothing_is_probed_for_as_long_as_the_peer_answers() {
    let mut lone = Lone::established(plain(), 6000, ms(10));
    lone.write(9000);
    assert_eq!(lone.sent().len(), 6);
    lone.ack(1000, 0);
    assert_eq!(lone.sent(), []);
    let start = lone.now;
    let mut waits = Vec::new();
    for _ in 0..40 {
        waits.push(lone.pass_to_deadline().as_micros());
        assert_eq!(lone.sent(), [(1000, 1000)], "what lies beyond the window serves as the probe");
        lone.ack(1000, 0);
    }
    assert_eq!(waits[1..4], [2 * waits[0], 4 * waits[0], 8 * waits[0]]);
    assert_eq!(waits[39], 120_000_000);
    assert!(lone.now.saturating_since(start).as_secs() > 3600, "far longer than silence is borne");
    assert_eq!(lone.connection.state(), State::Established);
    lone.ack(6000, 6000);
    assert_eq!(lone.sent().first(), Some(&(6000, 1000)));
}

//= RFC 9293 MUST-58, type=test
//= RFC 9293 MUST-59, type=test
//= RFC 5681 §4.2 MUST-4, type=test
#[test]
fn what_came_together_is_acknowledged_together() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    (0..5).for_each(|n| lone.data(n * 100, &[0; 100], None));
    assert_eq!(lone.poll().expect("an ACK").ack, Some(seq(IRS + 1 + 500)));
    assert!(lone.poll().is_none(), "one for all");
    lone.data(500, &[0; 100], None);
    lone.write(10);
    let answer = lone.poll().expect("data");
    assert_eq!((answer.len(), answer.ack), (10, Some(seq(IRS + 1 + 600))));
    assert!(lone.poll().is_none(), "the acknowledgement went with the data");
}

//= RFC 9293 SHLD-27, type=test
//= RFC 9293 SHLD-28, type=test
//= RFC 9293 MUST-60, type=test
//= RFC 9293 MAY-16, type=test
#[test]
fn small_writes_are_collected_into_full_segments() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    lone.write(1);
    assert_eq!(lone.sent(), [(0, 1)]);
    (0..25).for_each(|_| lone.write(100));
    for offset in [1, 1001] {
        let full = lone.poll().expect("a full segment");
        assert_eq!((full.seq, full.len(), full.push), (seq(ISS + 1 + offset), 1000, false));
    }
    assert!(lone.poll().is_none(), "the rest waits for company");
    lone.ack(2001, 50_000);
    let rest = lone.poll().expect("but no longer than until nothing is in flight");
    assert_eq!((rest.seq, rest.len(), rest.push), (seq(ISS + 1 + 2001), 500, true));
}

//= RFC 9293 MUST-60, type=test
#[test]
fn what_is_corked_goes_out_after_a_while() {
    let mut lone = Lone::established(Options { cork: true, ..plain() }, 50_000, ms(10));
    lone.write(100);
    assert_eq!(lone.sent(), []);
    assert!(lone.pass_to_deadline() < ms(500));
    assert_eq!(lone.sent(), [(0, 100)]);
}

//= RFC 9293 SHLD-2, type=test
#[test]
fn a_reset_may_hold_data() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    let payload = Rope::from(&b"out of memory"[..]);
    lone.give(Segment { control: Some(Control::Rst), payload, ..Segment::new(seq(IRS + 1)) });
    assert_eq!(lone.connection.state(), State::Closed);
    assert_eq!(lone.read(), Err(ReadError::Socket(SocketError::ConnectionReset)), "which is no data of ours");
}

//= RFC 9293 §3.4, type=test
#[test]
fn a_reset_is_taken_into_a_closed_window() {
    let options = Options { receive_buffer: 8000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    lone.data(0, &[7; 4000], None);
    lone.sent();
    assert_eq!(lone.connection.info().rcv_wnd, 0);
    lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1 + 4000)) });
    assert_eq!(lone.connection.state(), State::Closed);
}

//= RFC 9293 MAY-12, type=test
//= RFC 5961 §5.2, type=test
//= RFC 5961 §5.2 MUST-1, type=test
//= RFC 5961 §5.2 MUST-2, type=test
#[test]
fn data_with_an_acknowledgement_older_than_the_largest_window_or_the_connection_is_not_taken() {
    for (sent, age, taken) in [(0, 1, true), (0, 2, false), (70_000, 60_000, true), (70_000, 60_001, false)] {
        let mut lone = Lone::established(plain(), 60_000, ms(10));
        let mut acked = 0;
        while acked < sent {
            lone.write(10_000);
            acked += lone.sent().iter().map(|(_, len)| len).sum::<u32>();
            lone.pass(ms(10));
            lone.ack(acked, 60_000);
        }
        lone.give(Segment {
            ack: Some(seq(ISS + 1 + acked) - age),
            payload: Rope::from(&b"guess"[..]),
            ..Segment::new(seq(IRS + 1))
        });
        assert_eq!(lone.read().is_ok(), taken, "{age}");
        assert_eq!(lone.count(Counter::TcpExtTCPAckOutOfRange), u64::from(!taken), "{age}");
        let expected = seq(IRS + 1) + if taken { 5 } else { 0 };
        assert_eq!(lone.poll().expect("an answer").ack, Some(expected), "{age}");
    }
}

//= RFC 9293 MUST-26, type=test
#[test]
fn keepalives_are_sent_where_nothing_came_and_nothing_is_in_flight() {
    let keep_alive = KeepAlive { enabled: true, idle_secs: 60, ..KeepAlive::default() };
    let mut lone = Lone::established(Options { keep_alive, ..plain() }, 60_000, ms(10));
    lone.pass(ms(50_000));
    lone.data(0, b"still here", None);
    lone.sent();
    assert_eq!(lone.pass_to_deadline().as_secs(), 60, "from then on");
    assert_eq!(lone.poll().expect("a probe").seq, seq(ISS));
    lone.ack(0, 60_000);
    lone.write(10);
    assert_eq!(lone.sent(), [(0, 10)]);
    let start = lone.now;
    while lone.now.saturating_since(start).as_secs() < 300 {
        lone.pass_to_deadline();
        assert!(lone.sent().iter().all(|sent| *sent == (0, 10)), "only the data again");
    }
    assert_eq!(lone.count(Counter::TcpExtTCPKeepAlive), 1);
}
