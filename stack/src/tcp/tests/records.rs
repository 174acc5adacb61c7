//! Ends of records, and what is pushed.

use super::fixture::*;
use crate::buf::Rope;
use crate::tcp::Options;
use crate::tcp::connection::Push;
use crate::tcp::urgent::Urgency;

fn write(lone: &mut Lone, len: usize, push: Push) {
    assert_eq!(lone.connection.write_as(Rope::from(pattern(0, len)), Urgency::Normal, push), Ok(len));
}

/// Offset, length and PSH of all that goes now.
fn pushed(lone: &mut Lone) -> Vec<(u32, usize, bool)> {
    let segments = core::iter::from_fn(|| lone.poll());
    segments
        .map(|segment| ((segment.seq - seq(ISS + 1)) as u32, segment.payload.len(), segment.push))
        .collect()
}

/// `MSG_EOR` as on Linux: what it marks may share a segment with what was written before, and none with what follows.
/// Only the last record may have to wait by Nagle's rule.
#[test]
fn no_segment_crosses_the_end_of_a_record() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    lone.write(400);
    assert_eq!(pushed(&mut lone), [(0, 400, true)]);
    lone.write(300);
    write(&mut lone, 100, Push::EndOfRecord);
    write(&mut lone, 1100, Push::EndOfRecord);
    lone.write(50);
    assert_eq!(pushed(&mut lone), [(400, 400, true), (800, 1000, false), (1800, 100, true)]);
    lone.ack(1900, 60_000);
    assert_eq!(pushed(&mut lone), [(1900, 50, true)]);
}

#[test]
fn what_is_sent_again_keeps_its_ends() {
    let mut lone = Lone::established(Options { no_delay: true, ..plain() }, 60_000, ms(10));
    for _ in 0..3 {
        write(&mut lone, 100, Push::EndOfRecord);
    }
    assert_eq!(lone.sent(), [(0, 100), (100, 100), (200, 100)]);
    lone.pass_to_deadline();
    assert_eq!(lone.sent().len(), 1, "a probe of the tail");
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(0, 100)]);
    lone.ack(100, 60_000);
    assert_eq!(lone.sent(), [(100, 100), (200, 100)]);
}

/// As Linux: what ends where more was promised is not pushed, unless there was no room for all of it.
#[test]
fn more_to_come_is_not_pushed() {
    let mut lone =
        Lone::established(Options { send_buffer: 3000, send_buffer_max: None, ..plain() }, 3000, ms(10));
    write(&mut lone, 100, Push::Later);
    lone.connection.flush();
    assert_eq!(pushed(&mut lone), [(0, 100, false)]);
    lone.ack(100, 3000);
    write(&mut lone, 100, Push::Later);
    write(&mut lone, 100, Push::Now);
    assert_eq!(pushed(&mut lone), [(100, 200, true)]);
    lone.ack(300, 3000);
    let all = Rope::from(pattern(0, 5000));
    let taken = lone.connection.write_as(all, Urgency::Normal, Push::Later).expect("open");
    assert!(taken < 5000);
    lone.connection.flush();
    let last = pushed(&mut lone).pop();
    assert!(last.is_some_and(|(_, _, push)| push));
}
