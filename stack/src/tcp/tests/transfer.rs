use core::time::Duration;

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::tcp::segment::{Control, WindowScale};
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

/// A frame costs a link the same whatever it holds.
#[test]
fn what_fills_no_frame_waits_for_more_on_a_short_path() {
    const FRAME: usize = 20 * MSS as usize;
    let sent = |rtt, change: fn(&mut Options), more: usize| {
        let mut options = plain();
        change(&mut options);
        let mut lone = Lone::established(options, 60_000, rtt);
        lone.connection.send.window.scale = WindowScale::clamped(8);
        let mut all = 0;
        let mut poll = |lone: &mut Lone| {
            let next = || lone.connection.poll_transmit(lone.now, FRAME, &mut lone.counters);
            let lens: Vec<_> = core::iter::from_fn(next).map(|segment| segment.len()).collect();
            all += lens.iter().sum::<u32>();
            (lens, all)
        };
        // The window opens.
        for _ in 0..6 {
            lone.write(lone.connection.free_space());
            let (_, all) = poll(&mut lone);
            lone.pass(rtt);
            lone.ack(all, 60_000);
        }
        while lone.connection.unsent() > 0 {
            let (_, all) = poll(&mut lone);
            lone.pass(rtt);
            lone.ack(all, 60_000);
        }
        let (_, start) = poll(&mut lone);
        lone.write(2 * FRAME + 5_000);
        let (lens, _) = poll(&mut lone);
        lone.write(more);
        let (after, _) = poll(&mut lone);
        lone.ack(start + FRAME as u32, 60_000);
        (lens, after, poll(&mut lone).0, lone.count(Counter::TcpExtTCPAutoCorking))
    };
    let (frame, short) = (FRAME as u32, Duration::from_micros(50));
    let held = |more| sent(short, |_| {}, more);
    assert_eq!(held(FRAME - 5_000), (vec![frame, frame], vec![frame], vec![], 1), "more came");
    assert_eq!(held(1000), (vec![frame, frame], vec![], vec![6_000], 2), "an acknowledgement came");
    let at_once = (vec![frame, frame, 5_000], vec![1000], vec![], 0);
    assert_eq!(sent(ms(20), |_| {}, 1000), at_once, "it is far");
    assert_eq!(sent(short, |options| options.no_delay = true, 1000), at_once);
    assert_eq!(sent(short, |options| options.rare_mut().autocork = false, 1000), at_once);
}
