//! What a peer can make a connection hold.

use std::sync::Arc;

use super::fixture::*;
use crate::buf::{Chunk, FrameBuf, Rope};
use crate::counters::Counter;
use crate::tcp::Options;
use crate::tcp::memory::Supply;
use crate::tcp::segment::{Segment, UnscaledWindow};

/// The buffers that are kept alive, in bytes.
fn pinned(lone: &Lone) -> usize {
    lone.connection.recv.queue.chunks().map(Chunk::buffer_capacity).sum()
}

#[test]
fn memory_that_is_used_up_closes_the_window_until_something_is_read() {
    let options = Options { receive_buffer: 20_000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    for (at, len) in [(0, 15_000), (15_000, 2900)] {
        lone.data(at, &vec![1; len], None);
        lone.pass_to_deadline();
        while lone.poll().is_some() {}
    }
    assert_eq!((lone.count(Counter::TcpExtTCPRcvQDrop), lone.connection.recv.held()), (0, 16_640 + 4352));
    let offered = lone.connection.info().rcv_wnd;
    lone.data(17_900, &[1; 10], None);
    assert_eq!(lone.count(Counter::TcpExtTCPRcvQDrop), 1);
    let nxt = seq(IRS + 1 + 17_900);
    let answer = lone.poll().expect("an answer");
    assert_eq!((answer.ack, answer.window), (Some(nxt), UnscaledWindow(0)));
    assert_eq!(lone.connection.info().rcv_wnd, offered, "the edge stays where it was");
    // A probe of the window is told the same.
    lone.give(Segment { ack: Some(seq(ISS + 1)), window: UnscaledWindow(50_000), ..Segment::new(nxt - 1) });
    assert_eq!(lone.poll().expect("an answer").window, UnscaledWindow(0));
    let read = lone.connection.read(lone.now, 16_000).expect("data");
    assert_eq!(read.len(), 16_000);
    let update = lone.poll().expect("news of the window");
    assert_eq!(update.ack, Some(nxt));
    assert!(u32::from(update.window.0) >= offered);
    lone.data(17_900, &[1; 10], None);
    assert_eq!(lone.count(Counter::TcpExtTCPRcvQDrop), 1, "there is room again");
}

#[test]
fn small_segments_are_put_together_before_any_is_dropped() {
    let options = Options { receive_buffer: 20_000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    for n in 0..80 {
        lone.data(n * 100, &[n as u8; 100], None);
        while lone.poll().is_some() {}
    }
    assert!(lone.count(Counter::TcpExtTCPRcvCollapsed) > 0);
    assert_eq!(lone.count(Counter::TcpExtTCPRcvQDrop), 0);
    let read = lone.read().expect("data").to_vec();
    assert_eq!(read, (0..80u8).flat_map(|n| [n; 100]).collect::<Vec<_>>());
}

/// As Linux since 6.17: what begins in the window is taken whole where nothing waits to be read, else dropped whole.
#[test]
fn a_segment_that_reaches_past_the_window_is_taken_into_an_empty_queue_only() {
    let options = Options { receive_buffer: 20_000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    lone.data(0, &[1; 15_000], None);
    assert_eq!(lone.connection.readable(), 15_000);
    lone.pass_to_deadline();
    assert!(lone.poll().is_some(), "as little room is left, it waited");
    lone.data(15_000, &[1; 5000], None);
    assert_eq!(lone.count(Counter::TcpExtBeyondWindow), 1);
    assert_eq!(lone.connection.readable(), 15_000);
    assert_eq!(lone.poll().expect("an answer").ack, Some(seq(IRS + 15_001)));
}

#[test]
fn what_comes_early_and_finds_no_memory_leaves_the_window_open() {
    let options = Options { receive_buffer: 16_384, receive_buffer_max: None, ..sacking() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    for n in 0..60 {
        lone.data(200 + n * 100, &[1; 100], None);
    }
    assert!(lone.count(Counter::TcpExtTCPOFODrop) > 0);
    assert_eq!(lone.count(Counter::TcpExtTCPRcvQDrop), 0);
    assert!(lone.poll().expect("an answer").window.0 > 0);
}

/// A segment of 64 KiB at `offset` of which nothing but the last byte is new.
fn one_new_byte(lone: &mut Lone, offset: u32) {
    let buffer = Arc::new(FrameBuf::new(65_536));
    let payload = Rope::from(Chunk::new(buffer, 0..65_000));
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        window: UnscaledWindow(60_000),
        payload,
        ..Segment::new(seq(IRS + 1 + offset) - 64_999)
    });
    while lone.poll().is_some() {}
}

#[test]
fn one_new_byte_does_not_pin_the_frame_that_it_came_in() {
    let mut lone = Lone::established(Options { window_scaling: true, ..plain() }, 50_000, ms(10));
    for n in 0..100 {
        one_new_byte(&mut lone, n);
    }
    assert_eq!(lone.connection.readable(), 100);
    assert!(pinned(&lone) < 100 * 2048, "{}", pinned(&lone));
}

#[test]
fn a_byte_that_fills_a_gap_does_not_pin_its_frame_either() {
    let mut lone = Lone::established(sacking(), 50_000, ms(10));
    for n in 0..30 {
        lone.data(2 * n + 2, b"x", None);
    }
    // One segment that covers all gaps but the first, cut to what is missing.
    let frame = Chunk::new(Arc::new(FrameBuf::new(65_536)), 0..60);
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        window: UnscaledWindow(60_000),
        payload: Rope::from(frame),
        ..Segment::new(seq(IRS + 2))
    });
    lone.data(0, b"x", None);
    assert_eq!(lone.connection.readable(), 61);
    assert!(pinned(&lone) < 61 * 2048, "{}", pinned(&lone));
}

#[test]
fn what_is_large_beside_its_buffer_is_not_copied() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    lone.data(0, b"first", None);
    let frame = Arc::new(FrameBuf::new(2048));
    let payload = Rope::from(Chunk::new(frame.clone(), 0..1000));
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        window: UnscaledWindow(60_000),
        payload,
        ..Segment::new(seq(IRS + 1))
    });
    assert_eq!(lone.connection.readable(), 1000);
    assert_eq!(Arc::strong_count(&frame), 2);
}

#[test]
fn what_is_due_displaces_what_came_early_from_the_end() {
    let options = Options { receive_buffer: 16_384, receive_buffer_max: None, ..sacking() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    for n in 0..60 {
        lone.data(200 + n * 100, &[1; 100], None);
    }
    let held = lone.connection.recv.reassembly.len();
    assert!(lone.count(Counter::TcpExtTCPOFODrop) > 0);
    lone.data(0, &[1; 100], None);
    assert_eq!(lone.count(Counter::TcpExtOfoPruned), 1);
    let left = lone.connection.recv.reassembly.len();
    assert!((held / 2..held).contains(&left), "{left} of {held}");
    lone.data(100, &[1; 100], None);
    assert_eq!(lone.connection.readable(), left + 200, "what is nearest was kept");
}

/// Else a program that waits for room would be woken again and again.
#[test]
fn who_gets_no_memory_is_not_told_that_there_is_room() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    lone.write(8000);
    assert!(lone.connection.is_writable());
    lone.connection.set_supply(Supply::None);
    assert_eq!(lone.connection.free_space(), 0);
    assert!(!lone.connection.is_writable());
}
