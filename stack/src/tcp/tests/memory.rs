//! What a peer can make a connection hold.

use std::sync::Arc;

use super::fixture::*;
use crate::buf::{Chunk, FrameBuf, Rope};
use crate::counters::Counter;
use crate::tcp::Options;
use crate::tcp::segment::{Segment, UnscaledWindow};

/// The buffers that are kept alive, in bytes.
fn pinned(lone: &Lone) -> usize {
    lone.connection.recv.queue.chunks().map(Chunk::buffer_capacity).sum()
}

/// Gives small segments in order until one is dropped, and says how many were taken.
fn fill_with_small(lone: &mut Lone) -> u32 {
    for n in 0..10_000 {
        lone.data(n * 100, &[1; 100], None);
        if lone.count(Counter::TcpExtTCPRcvQDrop) > 0 {
            return n;
        }
        while lone.poll().is_some() {}
    }
    panic!("nothing was dropped");
}

#[test]
fn memory_that_small_segments_use_up_closes_the_window_until_something_is_read() {
    let options = Options { receive_buffer: 16_384, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    let taken = fill_with_small(&mut lone);
    let offered = lone.connection.info().rcv_wnd;
    assert!(offered > 1000, "{offered}");
    let nxt = seq(IRS + 1 + taken * 100);
    let answer = lone.poll().expect("an answer");
    assert_eq!((answer.ack, answer.window), (Some(nxt), UnscaledWindow(0)));
    assert_eq!(lone.connection.info().rcv_wnd, offered, "the edge stays where it was");
    // A probe of the window is told the same.
    lone.give(Segment { ack: Some(seq(ISS + 1)), window: UnscaledWindow(50_000), ..Segment::new(nxt - 1) });
    assert_eq!(lone.poll().expect("an answer").window, UnscaledWindow(0));
    let read = lone.connection.read(lone.now, 3000).expect("data");
    assert_eq!(read.len(), 3000);
    let update = lone.poll().expect("news of the window");
    assert_eq!((update.ack, u32::from(update.window.0)), (Some(nxt), offered));
    lone.data(taken * 100, &[1; 100], None);
    assert_eq!(lone.count(Counter::TcpExtTCPRcvQDrop), 1, "there is room again");
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
