use core::time::Duration;

use super::fixture::*;
use crate::counters::Counter;
use crate::tcp::Options;
use crate::tcp::segment::{UnscaledWindow, WindowScale};

//= RFC 9293 MUST-36, type=test
//= RFC 9293 MUST-37, type=test
//= RFC 9293 SHLD-29, type=test
//= RFC 9293 SHLD-30, type=test
#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let mut lone = Lone::established(plain(), 2000, ms(10));
    lone.write(5000);
    assert_eq!(lone.sent(), [(0, 1000), (1000, 1000)]);
    lone.ack(2000, 0);
    assert_eq!(lone.sent(), []);
    let mut waits = Vec::new();
    for _ in 0..4 {
        waits.push(lone.pass_to_deadline().as_micros());
        let probe = lone.poll().expect("a probe");
        assert_eq!((probe.seq, probe.len()), (seq(ISS + 1 + 1999), 0), "before what the peer expects");
        lone.ack(2000, 0);
    }
    assert_eq!(waits[1..], [2 * waits[0], 4 * waits[0], 8 * waits[0]], "answers don't hurry us");
    assert_eq!(lone.count(Counter::TcpExtTCPWinProbe), 4);
    lone.ack(2000, 9000);
    assert_eq!(lone.sent(), [(2000, 1000), (3000, 1000), (4000, 1000)]);
}

//= RFC 9293 MUST-38, type=test
#[test]
fn a_sliver_of_a_window_is_not_filled_at_once() {
    let mut lone = Lone::established(plain(), 4000, ms(10));
    lone.write(9000);
    assert_eq!(lone.sent().len(), 4);
    lone.ack(4000, 100);
    assert_eq!(lone.sent(), []);
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(4000, 100)], "after a time-out what fits is sent");
}

//= RFC 9293 MUST-34, type=test
//= RFC 9293 SHLD-15, type=test
//= RFC 9293 SHLD-16, type=test
//= RFC 7323 §2.4 MUST-1, type=test
//= RFC 7323 §2.4 MUST-3, type=test
#[test]
fn a_window_that_shrinks_stops_new_data_and_nothing_else() {
    let mut lone = Lone::established(plain(), 6000, ms(10));
    lone.write(9000);
    assert_eq!(lone.sent().len(), 6);
    lone.ack(1000, 1000);
    assert_eq!(lone.sent(), []);
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(1000, 1000)], "what was sent is sent again");
    lone.ack(6000, 6000);
    assert_eq!(lone.sent()[0], (6000, 1000));
}

//= RFC 9293 MAY-8, type=test
#[test]
fn a_reader_that_stops_closes_the_window_and_one_that_reads_opens_it() {
    let options = Options { receive_buffer: 8000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    lone.data(0, &[7; 4000], None);
    while lone.poll().is_some() {}
    assert_eq!(lone.connection.info().rcv_wnd, 0);
    lone.data(4000, &[7; 1000], None);
    let answer = lone.poll().expect("a probe is answered");
    assert_eq!((answer.ack, answer.window), (Some(seq(IRS + 1 + 4000)), UnscaledWindow(0)));
    assert_eq!(lone.read().expect("data").len(), 4000);
    // What comes before the peer can know of it.
    lone.data(4000, &[7; 1000], None);
    assert_eq!((lone.count(Counter::TcpExtTCPZeroWindowDrop), lone.connection.readable()), (1, 0));
    let update = lone.poll().expect("news of the window");
    assert_eq!(update.window, UnscaledWindow(3000), "whole segments of what the buffer makes");
}

//= RFC 5681 §2 MUST-1, type=test
//= RFC 5681 §3 MUST-2, type=test
//= RFC 5681 §3.1 MUST-6, type=test
#[test]
fn the_congestion_window_bounds_what_is_in_flight() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    lone.write(40_000);
    assert_eq!(lone.sent().len(), 10, "RFC 6928: ten segments");
    lone.pass(ms(10));
    lone.ack(5000, 60_000);
    assert_eq!(lone.sent().len(), 10, "five acknowledged, and five more in slow start");
}

#[test]
fn the_send_buffer_of_a_short_path_stays_in_the_cache() {
    let grown = |rtt| {
        let mut lone = Lone::established(plain(), 60_000, rtt);
        lone.connection.send.window.scale = WindowScale::clamped(8);
        let mut acknowledged = 0;
        for _ in 0..20 {
            lone.write(lone.connection.free_space());
            acknowledged += lone.sent().iter().map(|(_, len)| len).sum::<u32>();
            lone.pass(rtt);
            lone.ack(acknowledged, 60_000);
        }
        lone.connection.send_capacity()
    };
    assert_eq!(grown(Duration::from_micros(20)), 3 << 19);
    assert_eq!(grown(ms(50)), 4 << 20);
}

#[test]
fn the_receive_buffer_of_a_short_path_leaves_room_in_the_queue_of_the_link() {
    let grown = |rtt: Duration| {
        let mut lone = Lone::established(plain(), 60_000, rtt);
        let mut came = 0;
        for _ in 0..4000 {
            lone.data(came, &[1; 10_000], None);
            came += 10_000;
            assert_eq!(lone.read().unwrap().len(), 10_000);
            lone.sent();
            // Whoever is far away sends a thousand times as much a round trip.
            lone.pass(rtt / 1000 + Duration::from_micros(1));
        }
        lone.connection.receive_memory().1
    };
    assert_eq!(grown(Duration::from_micros(20)), 3 << 19);
    // As far as its rate asks for, by the time in which it uses up a window.
    assert_eq!(grown(ms(50)), 3_011_764);
}
