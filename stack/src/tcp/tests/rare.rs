//! What few connections ask for: a pace, a bound for what waits to be sent, acknowledgements at other times.

use super::fixture::*;
use crate::buf::Rope;
use crate::tcp::connection::{Event, Push, Shutdown};
use crate::tcp::rare::QuickAck;
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::urgent::Urgency;
use crate::tcp::{Connection, Options, State};

fn with_rare(change: impl FnOnce(&mut crate::tcp::Rare)) -> Options {
    let mut options = Options { send_buffer: 1 << 20, ..plain() };
    change(options.rare_mut());
    options
}

/// A paced sender emits two segments at least, then waits as long as they take at its rate.
#[test]
fn bursts_go_at_the_pace_that_is_asked_for() {
    let mut lone = Lone::established(with_rare(|rare| rare.max_pacing_rate = 100_000), 60_000, ms(10));
    lone.write(40_000);
    let mut sent = 0;
    let free = lone.sent();
    assert_eq!(free.len(), 10, "the initial window, which is free: {free:?}");
    let mut times = Vec::new();
    while sent < 30_000 {
        lone.ack(10_000 + sent, 60_000);
        sent += lone.sent().iter().map(|(_, len)| len).sum::<u32>();
        if sent < 30_000 {
            times.push(lone.pass_to_deadline());
        }
    }
    assert_eq!(sent, 30_000);
    let took: core::time::Duration = times.iter().sum();
    assert!((ms(280)..=ms(320)).contains(&took), "30,000 bytes at 100,000 a second: {took:?}");
    assert_eq!(lone.connection.info().max_pacing_rate, 100_000);
    assert!(lone.connection.info().pacing_rate <= 100_000);
}

#[test]
fn a_paced_sender_sends_smaller_frames() {
    let mut lone = Lone::established(with_rare(|rare| rare.max_pacing_rate = 4 << 20), 60_000, ms(5));
    lone.write(10_000);
    let frames: Vec<u32> = core::iter::from_fn(|| {
        lone.connection.poll_transmit(lone.now, 65_000, &mut lone.counters).map(|segment| segment.len())
    })
    .collect();
    assert_eq!(frames, [4000, 4000, 2000], "a 1,024th of a second each");
}

#[test]
fn a_pace_may_be_set_and_lifted_while_the_connection_runs() {
    let mut lone = Lone::established(with_rare(|_| ()), 60_000, ms(10));
    assert!(lone.connection.send.pacer.is_none());
    let set = |lone: &mut Lone, rate| {
        let now = lone.now;
        lone.connection.set_options(|options| options.rare_mut().max_pacing_rate = rate, now);
    };
    set(&mut lone, 1000);
    lone.write(9000);
    assert_eq!(lone.sent().len(), 9, "free");
    lone.ack(9000, 60_000);
    lone.write(4000);
    assert_eq!(lone.sent().iter().map(|(_, len)| len).sum::<u32>(), 1000);
    // The rest goes as fast as the congestion window moves.
    set(&mut lone, u64::MAX);
    lone.ack(10_000, 60_000);
    let (mut sent, start) = (0, lone.now);
    while sent < 3000 {
        sent += lone.sent().iter().map(|(_, len)| len).sum::<u32>();
        lone.pass_to_deadline();
    }
    assert!(lone.now.saturating_since(start) < ms(1100), "the pause that had begun, and no more");
}

#[test]
fn writers_wait_for_what_is_not_sent() {
    let mut lone = Lone::established(with_rare(|rare| rare.not_sent_low_water = 100_000), 60_000, ms(10));
    let frame = 65_000;
    assert_eq!(lone.connection.free_space(), 2 * frame, "the last write may fill a frame");
    lone.write(60_000);
    assert!(!lone.connection.is_writable(), "more than half of it waits");
    while lone.connection.poll_event().is_some() {}
    assert_eq!(lone.sent().len(), 10);
    assert!(!lone.connection.is_writable() && lone.connection.poll_event().is_none());
    lone.ack(10_000, 60_000);
    assert_eq!(lone.sent().len(), 20);
    assert!(lone.connection.is_writable());
    assert_eq!(lone.connection.poll_event(), Some(Event::Writable), "told when it is sent, not acknowledged");
    let now = lone.now;
    lone.connection.set_options(|options| options.rare_mut().not_sent_low_water = 1, now);
    assert!(!lone.connection.is_writable());
    lone.connection.set_options(|options| options.rare_mut().not_sent_low_water = u32::MAX, now);
    assert!(lone.connection.is_writable());
}

#[test]
fn a_window_is_clamped_from_the_first_segment_on() {
    let options = with_rare(|rare| rare.window_clamp = Some(5000));
    let mut lone = Lone::connecting(options.clone());
    assert_eq!(lone.poll().map(|syn| syn.window), Some(UnscaledWindow(5000)));
    let mut lone = Lone::established(options, 60_000, ms(10));
    lone.data(0, &[1; 1000], None);
    assert_eq!(lone.poll().map(|ack| ack.window), Some(UnscaledWindow(5000)));
    assert_eq!(lone.connection.window_clamp(), 5000);
}

#[test]
fn acknowledgements_wait_where_they_are_told_to() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    assert!(lone.connection.is_acknowledging_quickly());
    lone.data(0, b"question", None);
    assert!(lone.poll().is_some());
    lone.connection.acknowledge_quickly(QuickAck::Off);
    lone.data(8, b"question", None);
    assert!(lone.poll().is_none());
    assert_eq!(lone.pass_to_deadline(), ms(40));
    assert!(lone.poll().is_some());
    assert!(lone.connection.is_acknowledging_quickly(), "nobody answered");
    lone.connection.acknowledge_quickly(QuickAck::Off);
    lone.data(16, b"question", None);
    lone.connection.acknowledge_quickly(QuickAck::On);
    assert!(lone.poll().is_none(), "what was not read is not acknowledged");
    assert_eq!(lone.read().map(|read| read.len()), Ok(24));
    assert!(lone.poll().is_some(), "that it was read says that no answer is to come");
    lone.connection.acknowledge_quickly(QuickAck::Off);
    lone.data(24, b"question", None);
    assert_eq!(lone.read().map(|read| read.len()), Ok(8));
    assert!(lone.poll().is_none());
    lone.connection.acknowledge_quickly(QuickAck::Once);
    assert!(lone.poll().is_some() && !lone.connection.is_acknowledging_quickly());
}

/// The last acknowledgement of the handshake goes with the first data, or after 200 ms.
#[test]
fn who_has_something_to_say_saves_an_acknowledgement() {
    for options in [Options { late_acks: true, ..plain() }, with_rare(|rare| rare.defer_accept = 1)] {
        for speaks in [true, false] {
            let mut lone = Lone::connecting(options.clone());
            lone.poll();
            lone.give(Segment {
                ack: Some(seq(ISS + 1)),
                control: Some(Control::Syn),
                window: UnscaledWindow(60_000),
                ..Segment::new(seq(IRS))
            });
            assert_eq!((lone.connection.state(), lone.poll().is_none()), (State::Established, true));
            if speaks {
                lone.write(10);
                assert_eq!(lone.poll().map(|data| (data.ack, data.len())), Some((Some(seq(IRS + 1)), 10)));
            } else {
                assert_eq!(lone.pass_to_deadline(), ms(200));
                assert_eq!(lone.poll().and_then(|ack| ack.ack), Some(seq(IRS + 1)));
            }
        }
    }
}

fn write(lone: &mut Lone, len: usize, push: Push) {
    assert_eq!(lone.connection.write_as(Rope::from(pattern(0, len)), Urgency::Normal, push), Ok(len));
}

#[test]
fn more_to_come_is_waited_for_until_the_peer_is_heard_of() {
    let mut lone = Lone::established(plain(), 60_000, ms(10));
    write(&mut lone, 1100, Push::Later);
    assert_eq!(lone.sent(), [(0, 1000)]);
    lone.ack(1000, 60_000);
    assert_eq!(lone.sent(), [(1000, 100)]);
    lone.ack(1100, 60_000);
    write(&mut lone, 100, Push::Later);
    assert_eq!(lone.sent(), []);
    assert!((ms(200)..ms(220)).contains(&lone.pass_to_deadline()), "nor for ever");
    assert_eq!(lone.sent(), [(1100, 100)]);
    lone.ack(1200, 60_000);
    write(&mut lone, 100, Push::Later);
    write(&mut lone, 100, Push::Now);
    assert_eq!(lone.sent(), [(1200, 200)]);
}

#[test]
fn a_cork_holds_until_it_is_lifted_or_flushed_or_200_ms_have_passed() {
    let mut lone = Lone::established(Options { cork: true, ..plain() }, 60_000, ms(10));
    lone.write(100);
    assert_eq!(lone.sent(), []);
    lone.connection.flush();
    assert_eq!(lone.sent(), [(0, 100)]);
    lone.write(100);
    lone.ack(100, 60_000);
    assert_eq!(lone.sent(), [], "the cork is in again");
    assert!((ms(200)..ms(220)).contains(&lone.pass_to_deadline()));
    assert_eq!(lone.sent(), [(100, 100)]);
}

/// `TCP_LINGER2` below zero: an orphan that has nothing to wait for but the peer's FIN resets.
#[test]
fn an_orphan_may_be_told_not_to_wait() {
    let options = || Options { fin_timeout_secs: None, ..plain() };
    let reset = |lone: &mut Lone| lone.poll().is_some_and(|segment| segment.control == Some(Control::Rst));
    let mut lone = Lone::established(options(), 60_000, ms(10));
    lone.connection.close(lone.now, &mut lone.counters);
    assert_eq!(lone.sent().len(), 1);
    lone.ack(1, 60_000);
    assert!(reset(&mut lone) && lone.connection.is_finished());
    let mut lone = Lone::established(options(), 60_000, ms(10));
    lone.connection.shutdown(Shutdown::Write).expect("open");
    assert_eq!(lone.sent().len(), 1);
    lone.ack(1, 60_000);
    assert_eq!(lone.connection.state(), State::FinWait2, "somebody holds it");
    lone.connection.close(lone.now, &mut lone.counters);
    assert!(reset(&mut lone) && lone.connection.is_finished());
}

#[test]
fn an_idle_connection_pays_for_none_of_it() {
    let lone = Lone::established(plain(), 60_000, ms(10));
    let Connection { options, send, seldom, .. } = &lone.connection;
    assert!(options.rare.is_none() && send.pacer.is_none() && seldom.is_empty());
}
