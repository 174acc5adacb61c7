//! What the path takes, found out by trying (RFC 4821).

use super::fixture::{IRS, ISS, Lone, ms, sacking, seq};
use crate::counters::Counter;
use crate::tcp::Options;
use crate::tcp::mtu_search::{MtuOptions, Probing};
use crate::tcp::recovery::Phase;
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::wire::tcp_options::TcpOptions;

const BASE: u16 = 512;

fn probing(probing: Probing) -> Options {
    let mut options = Options { no_delay: true, ..sacking() };
    options.rare_mut().mtu = MtuOptions { probing, base: BASE, ..MtuOptions::DEFAULT };
    options
}

/// Established, with as much in flight as lets larger segments be tried: a congestion window of 14, and 4 segments out.
fn searching() -> Lone {
    let mut lone = Lone::established(probing(Probing::Always), 60_000, ms(100));
    assert_eq!(lone.connection.mss(), BASE.into(), "an active open begins with what any path takes");
    lone.write(4 * 512);
    assert_eq!(lone.sent().len(), 4);
    lone.pass(ms(100));
    lone.ack(4 * 512, 60_000);
    lone.write(10 * 512);
    lone.sent();
    lone.pass(ms(100));
    lone.ack(14 * 512, 60_000);
    assert_eq!(lone.connection.info().snd_cwnd, 20);
    lone
}

/// Offset of the first byte that [`searching`] has not sent.
const START: u32 = 14 * 512;

//= RFC 4821 §7.3, type=test
//= RFC 4821 §7.6.1, type=test
#[test]
fn a_larger_segment_that_arrives_makes_all_larger() {
    let mut lone = searching();
    lone.write(10 * 512);
    // Half the way from 512 to 1000, and the rest as before.
    let sent = lone.sent();
    assert_eq!(sent[0], (START, 756));
    assert!(sent[1..].iter().all(|(_, len)| *len <= 512));
    assert_eq!(lone.connection.info().snd_cwnd, 19, "it stands for two");
    lone.pass(ms(100));
    lone.ack(START + 756, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPMTUPSuccess), 1);
    assert_eq!(lone.connection.mss(), 756);
    // As many bytes as before, with headers: 19 * 552 / 796, and one for the acknowledgement.
    assert_eq!(lone.connection.info().snd_cwnd, 14);
}

//= RFC 4821 §7.6.2, type=test
#[test]
fn a_larger_segment_that_is_lost_leaves_the_window() {
    let mut lone = searching();
    lone.write(10 * 512);
    assert_eq!(lone.sent()[0], (START, 756));
    lone.pass(ms(100));
    let (first, last) = (START + 756, START + 10 * 512);
    lone.sack(START, 60_000, &[(first, last)]);
    assert_eq!(lone.count(Counter::TcpExtTCPMTUPFail), 1);
    assert_eq!((lone.connection.info().snd_cwnd, lone.connection.recovery.phase), (20, Phase::Loss));
    assert_eq!(lone.sent(), [(START, 512), (START + 512, 244)]);
    lone.pass(ms(100));
    lone.ack(last, 60_000);
    assert_eq!(lone.connection.mss(), 512);
    // The next one is half the way to what was lost.
    lone.write(10 * 512);
    assert_eq!(lone.sent()[0], (last, (512 + 755) / 2));
}

/// Too little has arrived behind it for the loss to be seen at once: the reordering timer finds it.
//= RFC 4821 §7.6.2, type=test
#[test]
fn a_larger_segment_that_a_timer_holds_lost_leaves_the_window() {
    let mut lone = searching();
    lone.write(10 * 512);
    assert_eq!(lone.sent()[0], (START, 756));
    lone.pass(ms(100));
    let (first, last) = (START + 756, START + 10 * 512);
    lone.sack(START, 60_000, &[(first, first + 512)]);
    assert_eq!(lone.count(Counter::TcpExtTCPMTUPFail), 0);
    assert_eq!(lone.pass_to_deadline(), ms(27), "a quarter of the round trip, and Linux's 2 ms");
    assert_eq!(lone.count(Counter::TcpExtTCPMTUPFail), 1);
    assert_eq!((lone.connection.info().snd_cwnd, lone.connection.recovery.phase), (20, Phase::Loss));
    assert_eq!(lone.sent()[..2], [(START, 512), (START + 512, 244)]);
    lone.pass(ms(100));
    lone.ack(last, 60_000);
    lone.write(10 * 512);
    assert_eq!(lone.sent()[0], (last, (512 + 755) / 2), "the search narrows");
}

//= RFC 4821 §7.7, type=test
#[test]
fn where_nothing_gets_through_smaller_segments_go() {
    let mut lone = Lone::established(probing(Probing::BlackHole), 60_000, ms(100));
    lone.write(3000);
    assert_eq!(lone.sent(), [(0, 1000), (1000, 1000), (2000, 1000)]);
    let mut lens = Vec::new();
    while lens.len() < 7 {
        lone.pass_to_deadline();
        lens.extend(lone.sent().into_iter().filter(|(start, _)| *start == 0).map(|(_, len)| len));
    }
    assert_eq!(lens, [1000, 1000, 1000, 512, 256, 128, 64], "after the time of tcp_retries1 of them");
    lone.pass(ms(100));
    lone.ack(64, 60_000);
    assert_eq!(lone.sent()[0], (64, 64));
    assert_eq!(lone.connection.acknowledged() - super::fixture::seq(ISS + 1), 64);
}

#[test]
fn by_default_all_segments_are_as_large_as_the_path_is_said_to_take() {
    let mut lone = Lone::established(sacking(), 60_000, ms(100));
    lone.write(1000);
    lone.sent();
    for _ in 0..8 {
        lone.pass_to_deadline();
        lone.sent();
    }
    assert!(lone.connection.mss() >= 999, "{}", lone.connection.mss());
}

/// The peer's link takes larger segments than ours.
//= RFC 4821 §7.6.4, type=test
#[test]
fn what_our_link_takes_bounds_the_search_when_it_begins_anew() {
    let mut lone = Lone::connecting(probing(Probing::Always));
    lone.poll().expect("a SYN");
    lone.pass(ms(100));
    let options = TcpOptions { mss: Some(9000), sack_permitted: true, ..TcpOptions::default() };
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        control: Some(Control::Syn),
        window: UnscaledWindow(60_000),
        options,
        ..Segment::new(seq(IRS))
    });
    let (mut offset, mut largest) = (0, 0);
    for round in 0..60 {
        if round == 40 {
            lone.pass(ms(700_000));
        }
        lone.write(20_000);
        let mut end = offset;
        while let Some(segment) = lone.poll() {
            largest = largest.max(segment.len());
            end = end.max((segment.seq - seq(ISS + 1)) as u32 + segment.len());
        }
        offset = end;
        lone.pass(ms(100));
        lone.ack(offset, 60_000);
    }
    assert!(lone.count(Counter::TcpExtTCPMTUPSuccess) > 3);
    assert!(lone.connection.mss() > 990 && largest <= 1000, "{} and {largest}", lone.connection.mss());
}

/// A search without a threshold ends where there is nothing left to try.
#[test]
fn a_search_without_a_threshold_ends() {
    let mut options = probing(Probing::Always);
    options.rare_mut().mtu.threshold = 0;
    let mut lone = Lone::established(options, 60_000, ms(100));
    let mut offset = 0;
    for _ in 0..40 {
        lone.write(10_000);
        offset = lone.sent().iter().map(|(start, len)| start + len).max().unwrap_or(offset);
        lone.pass(ms(100));
        lone.ack(offset, 60_000);
    }
    assert!(lone.connection.mss() >= 999, "{}", lone.connection.mss());
    let tries = lone.count(Counter::TcpExtTCPMTUPSuccess);
    assert!(tries < 20, "{tries}");
}
