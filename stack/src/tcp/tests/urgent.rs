//! Urgent data as Linux has it: pointers sent and believed, the byte that is told apart, and where a read stops.

use super::fixture::*;
use crate::buf::Rope;
use crate::tcp::Options;
use crate::tcp::connection::{Push, ReadError};
use crate::tcp::segment::{Segment, UnscaledWindow};
use crate::tcp::urgent::{Keeping, Urgency, UrgentError};

fn open() -> Lone {
    Lone::established(plain(), 50_000, ms(10))
}

fn write_urgent(lone: &mut Lone, len: usize) {
    let data = Rope::from(pattern(0, len));
    assert_eq!(lone.connection.write_as(data, Urgency::LastByte, Push::Now), Ok(len));
}

/// All that is to be sent now: offset, length, urgent pointer.
fn sent(lone: &mut Lone) -> Vec<(u32, u32, Option<u16>)> {
    let segments: Vec<Segment> = core::iter::from_fn(|| lone.poll()).collect();
    segments
        .iter()
        .map(|segment| ((segment.seq - seq(ISS + 1)) as u32, segment.len(), segment.urgent))
        .collect()
}

/// A segment of the peer's at `offset` whose urgent pointer is `pointer`.
fn urgent(lone: &mut Lone, offset: u32, bytes: &[u8], pointer: u16) {
    lone.give(Segment {
        ack: Some(lone.connection.acknowledged()),
        urgent: Some(pointer),
        window: UnscaledWindow(50_000),
        payload: Rope::from(bytes),
        ..Segment::new(seq(IRS + 1 + offset))
    });
}

fn out_of_band(lone: &mut Lone) -> Result<u8, UrgentError> {
    lone.connection.read_urgent(Keeping::Taken)
}

//= RFC 9293 MUST-30, type=test
//= RFC 9293 MUST-62, type=test
//= RFC 6093 §2, type=test
#[test]
fn the_pointer_names_the_byte_after_until_all_is_acknowledged() {
    let mut lone = open();
    lone.write(1500);
    write_urgent(&mut lone, 700);
    lone.write(300);
    assert_eq!(sent(&mut lone), [(0, 1000, Some(2200)), (1000, 1000, Some(1200)), (2000, 500, Some(200))]);
    lone.ack(2000, 50_000);
    lone.pass_to_deadline();
    assert_eq!(sent(&mut lone), [(2000, 500, Some(200))], "sent again");
    lone.ack(2500, 50_000);
    lone.write(1000);
    assert_eq!(sent(&mut lone), [(2500, 1000, None)]);
    lone.ack(3500, 50_000);
    assert!(lone.connection.seldom.is_empty(), "nothing is kept");
}

//= RFC 9293 MUST-31, type=test
#[test]
fn urgent_data_may_be_longer_than_a_pointer_reaches() {
    let mut lone = Lone::established(Options { send_buffer: 400_000, ..plain() }, u16::MAX, ms(10));
    write_urgent(&mut lone, 100_000);
    let mut pointers = Vec::new();
    while pointers.len() < 100 {
        let segments = sent(&mut lone);
        let Some((offset, len, _)) = segments.last().copied() else { break };
        pointers.extend(segments);
        lone.ack(offset + len, u16::MAX);
    }
    assert_eq!(pointers.len(), 100);
    for (offset, len, pointer) in pointers {
        // What lies too far ahead is shown as far as a pointer goes.
        assert_eq!((len, pointer), (1000, Some(u16::try_from(100_000 - offset).unwrap_or(u16::MAX))));
    }
}

#[test]
fn urgent_segments_are_neither_cut_by_the_link_nor_held_back() {
    let options = Options { cork: true, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    lone.write(100);
    write_urgent(&mut lone, 2000);
    let poll = |lone: &mut Lone| lone.connection.poll_transmit(lone.now, 65_000, &mut lone.counters);
    let sizes: Vec<_> = core::iter::from_fn(|| poll(&mut lone)).map(|s| (s.len(), s.gso_size)).collect();
    assert_eq!(sizes, [(1000, None), (1000, None), (100, None)]);
}

//= RFC 9293 MUST-66, type=test
#[test]
fn a_closed_window_keeps_no_pointer_back() {
    let mut lone = open();
    lone.ack(0, 0);
    write_urgent(&mut lone, 10);
    assert_eq!(sent(&mut lone), []);
    lone.pass_to_deadline();
    assert_eq!(sent(&mut lone), [(0, 0, Some(10)), (u32::MAX, 0, Some(11))]);

    let options = Options { receive_buffer: 4000, receive_buffer_max: None, ..plain() };
    let mut lone = Lone::established(options, 50_000, ms(10));
    lone.data(0, &[1; 2000], None);
    while lone.poll().is_some() {}
    assert_eq!(lone.connection.info().rcv_wnd, 0);
    urgent(&mut lone, 2000, b"", 5);
    assert_eq!(lone.connection.bytes_to_mark(), Some(2004));
    assert_eq!(out_of_band(&mut lone), Err(UrgentError::WouldBlock));
}

//= RFC 9293 MUST-32, type=test
//= RFC 9293 MUST-33, type=test
#[test]
fn the_byte_is_told_when_it_comes_and_a_read_stops_before_it() {
    let mut lone = open();
    while lone.connection.poll_event().is_some() {}
    urgent(&mut lone, 0, b"ab", 5);
    assert!(!lone.connection.has_urgent());
    assert_eq!(out_of_band(&mut lone), Err(UrgentError::WouldBlock));
    assert_eq!(lone.connection.readable_to_mark(), 2);
    while lone.connection.poll_event().is_some() {}
    lone.data(2, b"cd", None);
    lone.data(4, b"!f", None);
    assert!(lone.connection.has_urgent() && lone.connection.poll_event().is_some());
    assert_eq!(lone.connection.readable_to_mark(), 4);
    assert_eq!(lone.connection.read_urgent(Keeping::Left), Ok(b'!'));
    assert_eq!(out_of_band(&mut lone), Ok(b'!'));
    assert_eq!(out_of_band(&mut lone), Err(UrgentError::Unknown));
    assert_eq!(lone.read(), Ok(b"abcd".to_vec()));
    assert!(lone.connection.is_at_mark());
    assert_eq!(lone.read(), Ok(b"f".to_vec()));
    assert!(!lone.connection.is_at_mark() && lone.connection.seldom.is_empty());
}

#[test]
fn the_byte_may_come_before_its_turn() {
    let mut lone = open();
    urgent(&mut lone, 1000, b"late!x", 5);
    assert_eq!(out_of_band(&mut lone), Ok(b'!'));
    lone.data(0, &[7; 1000], None);
    assert_eq!(lone.read().map(|read| read.len()), Ok(1004));
    assert_eq!(lone.read(), Ok(b"x".to_vec()));
}

/// As a link that merges segments hands it up: the pointer counts from the first byte of all.
#[test]
fn the_byte_may_lie_deep_in_a_large_frame() {
    let mut lone = open();
    let mut bytes = pattern(0, 20_000);
    bytes[15_000] = b'!';
    lone.give(Segment {
        ack: Some(lone.connection.acknowledged()),
        urgent: Some(15_001),
        window: UnscaledWindow(50_000),
        payload: Rope::from(bytes.clone()),
        gso_size: Some(1000),
        ..Segment::new(seq(IRS + 1))
    });
    assert_eq!(out_of_band(&mut lone), Ok(b'!'));
    assert_eq!(lone.read(), Ok(bytes[..15_000].to_vec()));
    assert_eq!(lone.read(), Ok(bytes[15_001..].to_vec()));
}

#[test]
fn only_a_newer_pointer_is_believed() {
    let mut lone = open();
    urgent(&mut lone, 0, b"abcde", 3);
    assert_eq!(lone.connection.bytes_to_mark(), Some(2));
    for (offset, pointer) in [(5, 0), (3, 1), (4, 1)] {
        urgent(&mut lone, offset, b"", pointer);
    }
    // All of those name bytes that had come, but for the next one, which a pointer of 0 names.
    assert_eq!((lone.connection.bytes_to_mark(), lone.connection.has_urgent()), (Some(5), false));
    urgent(&mut lone, 5, b"f", 1);
    assert_eq!(out_of_band(&mut lone), Ok(b'f'), "named twice, and still the same");
    urgent(&mut lone, 5, b"f", 1);
    assert_eq!(out_of_band(&mut lone), Err(UrgentError::Unknown), "a segment that came again");
}

#[test]
fn a_newer_byte_takes_the_place_of_one_that_nobody_has_read() {
    let mut lone = open();
    urgent(&mut lone, 0, b"1", 1);
    urgent(&mut lone, 1, b"2", 1);
    assert_eq!(out_of_band(&mut lone), Ok(b'2'));
    assert!(lone.connection.is_at_mark(), "the first is lost, not in line");
    assert_eq!(lone.read(), Err(ReadError::WouldBlock));
    let inline = Options { urgent_inline: true, ..plain() };
    let mut lone = Lone::established(inline, 50_000, ms(10));
    urgent(&mut lone, 0, b"1", 1);
    urgent(&mut lone, 1, b"2", 1);
    assert_eq!(out_of_band(&mut lone), Err(UrgentError::Unknown));
    assert_eq!(lone.read(), Ok(b"1".to_vec()));
    assert_eq!(lone.read(), Ok(b"2".to_vec()));
}

/// `net.ipv4.tcp_stdurg`: the pointer is read as RFC 1122 wanted it, and written as ever.
#[test]
fn the_pointer_may_name_the_byte_itself() {
    let mut lone = Lone::established(Options { standard_urgent: true, ..plain() }, 50_000, ms(10));
    urgent(&mut lone, 0, b"ab!c", 2);
    assert_eq!(out_of_band(&mut lone), Ok(b'!'));
    write_urgent(&mut lone, 3);
    assert_eq!(sent(&mut lone), [(0, 3, Some(3))]);
}

#[test]
fn looking_passes_over_the_byte_as_reading_does() {
    let mut lone = open();
    urgent(&mut lone, 0, b"ab!cd", 3);
    let peek = |lone: &mut Lone, offset, max| lone.connection.peek(offset, max).map(|rope| rope.to_vec());
    for (offset, max, shown) in [(0, 9, &b"ab"[..]), (1, 9, b"b"), (2, 9, b"cd"), (3, 9, b"cd"), (4, 1, b"d")]
    {
        assert_eq!(peek(&mut lone, offset, max), Ok(shown.to_vec()), "{offset} {max}");
    }
    assert_eq!(peek(&mut lone, 5, 9), Err(ReadError::WouldBlock));
    assert_eq!(lone.connection.readable(), 5);
}
