use core::time::Duration;

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::tcp::connection::Shutdown;
use crate::tcp::segment::{Control, WindowScale};
use crate::tcp::transfer::Push;
use crate::tcp::urgent::Urgency;
use crate::tcp::{CongestionKind, Options};

const DROP_EVERY_SEVENTH: Fate = |n| if n % 7 == 3 { Loss::Drop } else { Loss::Pass };
const MIX: Fate = |n| match n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 {
    0 => Loss::Drop,
    1 => Loss::Twice,
    2 | 3 => Loss::Late(Duration::from_millis(7)),
    _ => Loss::Pass,
};
const PASS: Fate = |_| Loss::Pass;

fn variants() -> Vec<Options> {
    let all = Options::default();
    vec![
        all.clone(),
        Options { sack: false, ..all.clone() },
        Options { timestamps: false, ..all.clone() },
        Options { window_scaling: false, congestion: CongestionKind::Reno, ..all.clone() },
        plain(),
    ]
}

#[test]
fn bytes_arrive_whole_and_in_order() {
    for options in variants() {
        for fate in [PASS, DROP_EVERY_SEVENTH, MIX] {
            let mut pair =
                Pair::simultaneous([options.clone(), options.clone()], ms(10)).with_fate([fate; 2]);
            pair.transfer(0, 300_000);
            pair.transfer(1, 300_000);
        }
    }
}

#[test]
fn bursts_that_the_link_cuts_arrive_too() {
    for fate in [PASS, DROP_EVERY_SEVENTH, MIX] {
        let options = Options::default();
        let mut pair = Pair::simultaneous([options.clone(), options], ms(10)).with_fate([fate; 2]);
        pair.max_payload = 60_000;
        pair.transfer(0, 3_000_000);
    }
}

//= RFC 9293 SHLD-7, type=test
//= RFC 9293 MUST-17, type=test
#[test]
fn a_second_small_segment_waits_for_the_first() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    lone.write(10);
    assert_eq!(lone.sent(), [(0, 10)]);
    lone.write(10);
    assert_eq!(lone.sent(), []);
    lone.write(1000);
    assert_eq!(lone.sent(), [(10, 1000)], "full segments don't wait");
    lone.ack(10, 50_000);
    assert_eq!(lone.sent(), [(1010, 10)]);
    let mut lone = Lone::established(Options { no_delay: true, ..plain() }, 50_000, ms(10));
    lone.write(10);
    assert_eq!(lone.sent(), [(0, 10)]);
    lone.write(10);
    assert_eq!(lone.sent(), [(10, 10)]);
}

//= RFC 9293 MUST-61, type=test
#[test]
fn the_last_segment_pushes_and_a_fin_goes_with_it() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    lone.write(1500);
    lone.connection.shutdown(crate::tcp::Shutdown::Write).expect("open");
    let first = lone.poll().expect("a full one");
    assert!(!first.push && first.control.is_none());
    let last = lone.poll().expect("the rest");
    assert!(last.push);
    assert_eq!((last.len(), last.control), (501, Some(Control::Fin)));
}

//= RFC 9293 SHLD-18, type=test
//= RFC 9293 MUST-40, type=test
//= RFC 5681 §4.2 MUST-1, type=test
//= RFC 5681 §4.2 MUST-2, type=test
//= RFC 5681 §4.2 MUST-3, type=test
#[test]
fn acknowledgements_wait_for_company_once_the_connection_is_no_longer_young() {
    let mut lone = Lone::established(plain(), 50_000, ms(10));
    for n in 0..20 {
        lone.data(n * 1000, &[0; 1000], None);
        lone.poll();
        lone.read().expect("data");
        lone.poll();
    }
    lone.data(20_000, &[0; 1000], None);
    assert!(lone.poll().is_none());
    lone.read().expect("data");
    lone.data(21_000, &[0; 1000], None);
    assert_eq!(lone.poll().expect("for two").ack, Some(seq(IRS + 1 + 22_000)));
    lone.data(22_000, &[0; 1000], None);
    assert_eq!(lone.pass_to_deadline(), ms(40));
    assert!(lone.poll().is_some());
    assert_eq!(lone.count(Counter::TcpExtDelayedACKs), 1);
}

#[test]
fn a_payload_is_what_was_written_by_reference() {
    let mut lone = Lone::established(Options { no_delay: true, ..plain() }, 60_000, ms(10));
    lone.connection.write(Rope::from(&b"hello"[..])).expect("open");
    let segment = lone.poll().expect("data");
    assert_eq!(segment.payload.chunk_count(), 1);
}

/// One loss ends slow start; 30 seconds later as much is sent again.
//= RFC 9438 §4.2 MUST-1, type=test
#[test]
fn a_pause_does_not_count_for_the_growth_of_the_window() {
    let loss: Fate = |n| if n == 60 { Loss::Drop } else { Loss::Pass };
    let mut pair = Pair::simultaneous([(); 2].map(|()| Options::default()), ms(10)).with_fate([loss, PASS]);
    pair.transfer(0, 400_000);
    let before = pair.ends[0].info();
    assert!(before.snd_ssthresh < 100, "{before:?}");
    pair.run_until(|pair| pair.ends[0].unacknowledged() == 0);
    pair.now += ms(30_000);
    pair.transfer(0, 400_000);
    let after = pair.ends[0].info().snd_cwnd;
    assert!(after <= before.snd_cwnd + 20, "{} before and {after} after", before.snd_cwnd);
}

/// Bytes of a frame.
const FRAME: u32 = 20 * MSS;

/// A connection over a path of that round trip, whose congestion window is open and whose peer has all that was written.
fn streaming(rtt: Duration, change: impl FnOnce(&mut Options)) -> Lone {
    let mut options = plain();
    change(&mut options);
    let mut lone = Lone::established(options, 60_000, rtt);
    lone.connection.send.window.scale = WindowScale::clamped(8);
    for _ in 0..6 {
        lone.write(lone.connection.free_space());
        while lone.connection.unsent() > 0 {
            frames(&mut lone);
            lone.pass(rtt);
            let all = lone.connection.send.window.nxt - seq(ISS + 1);
            lone.ack(all as u32, 60_000);
        }
    }
    lone
}

/// The lengths of all that is to be sent now.
fn frames(lone: &mut Lone) -> Vec<u32> {
    let next = || lone.connection.poll_transmit(lone.now, FRAME as usize, &mut lone.counters);
    core::iter::from_fn(next).map(|segment| segment.payload.len() as u32).collect()
}

/// Acknowledges the first of the frames in flight.
fn ack_a_frame(lone: &mut Lone) {
    let una = (lone.connection.send.window.una - seq(ISS + 1)) as u32;
    lone.ack(una + FRAME, 60_000);
}

const NEAR: Duration = Duration::from_micros(50);

/// One that has two frames in flight, and 5,000 bytes more.
fn filling() -> Lone {
    let mut lone = streaming(NEAR, |_| {});
    lone.write(2 * FRAME as usize + 5_000);
    assert_eq!(frames(&mut lone), [FRAME, FRAME]);
    lone
}

/// A frame costs a link the same whatever it holds.
#[test]
fn what_fills_no_frame_waits_for_more_on_a_short_path() {
    let mut lone = filling();
    let before = lone.count(Counter::TcpExtTCPAutoCorking);
    assert!(before > 0);
    assert_eq!(frames(&mut lone), [], "it is told once that it waits");
    assert_eq!(lone.count(Counter::TcpExtTCPAutoCorking), before);
    lone.write(FRAME as usize - 5_000);
    assert_eq!(frames(&mut lone), [FRAME], "more came");
    lone.write(1_000);
    assert_eq!(frames(&mut lone), []);
    assert_eq!(lone.count(Counter::TcpExtTCPAutoCorking), before + 1);
    ack_a_frame(&mut lone);
    assert_eq!(frames(&mut lone), [], "two are on their way");
    ack_a_frame(&mut lone);
    assert_eq!(frames(&mut lone), [1_000]);
}

#[test]
fn what_fills_no_frame_goes_at_once_where_the_path_is_long_or_a_program_says_so() {
    let at_once = |rtt, change: fn(&mut Options)| {
        let mut lone = streaming(rtt, change);
        lone.write(2 * FRAME as usize + 5_000);
        frames(&mut lone) == [FRAME, FRAME, 5_000]
    };
    assert!(!at_once(NEAR, |_| {}));
    assert!(at_once(ms(20), |_| {}));
    assert!(at_once(NEAR, |options| options.no_delay = true));
    assert!(at_once(NEAR, |options| options.rare_mut().autocork = false));
    assert!(at_once(NEAR, |options| options.rare_mut().not_sent_low_water = 200_000));
}

#[test]
fn what_waits_to_fill_a_frame_waits_no_longer_than_of_use() {
    let mut lone = filling();
    lone.connection.shutdown(Shutdown::Write).unwrap();
    assert_eq!(frames(&mut lone), [5_000], "nothing will follow");

    let mut lone = filling();
    lone.connection.set_options(|options| options.no_delay = true, lone.now);
    assert_eq!(frames(&mut lone), [5_000], "TCP_NODELAY");

    let mut lone = filling();
    lone.connection.set_options(|options| options.cork = true, lone.now);
    lone.write(3_000);
    assert_eq!(frames(&mut lone), []);
    lone.connection.set_options(|options| options.cork = false, lone.now);
    assert_eq!(frames(&mut lone), [8_000], "the cork is lifted");

    let mut lone = filling();
    let record = Rope::from(pattern(0, 1_000));
    lone.connection.write_as(record, Urgency::Normal, Push::EndOfRecord).unwrap();
    assert_eq!(frames(&mut lone), [6_000], "nothing joins a record that has ended");

    let mut lone = filling();
    lone.pass_to_deadline();
    assert_eq!(frames(&mut lone), [MSS], "a peer that is silent is asked by what was not sent yet");
}
