//! Lost tails, time-outs in error, and reductions that are taken back: what is sent, when, and what becomes of the window.

use super::fixture::*;
use crate::counters::Counter;
use crate::tcp::recovery::Phase;
use crate::tcp::{CongestionKind, Options};

/// Established with `count` segments in flight, all that was written, and a round trip of 20 ms; by CUBIC.
fn in_flight(count: u32) -> Lone {
    let mut lone = Lone::established(sacking(), 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write((count * MSS) as usize);
    assert_eq!(lone.sent().len(), count as usize);
    lone
}

fn window(lone: &Lone) -> (u32, u32, Phase) {
    let info = lone.connection.info();
    (info.snd_cwnd, info.snd_ssthresh, info.phase)
}

const INFINITE: u32 = 0x7fff_ffff;

//= RFC 8985 §7.2, type=test
//= RFC 8985 §7.3, type=test
#[test]
fn a_lost_tail_is_probed_for_after_two_round_trips() {
    let mut lone = in_flight(10);
    lone.pass(ms(20));
    lone.ack(7000, 60_000);
    assert_eq!(lone.pass_to_deadline(), ms(42), "two round trips, and Linux's 2 ms");
    assert_eq!(lone.sent(), [(9000, 1000)], "the last again");
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbes), 1);
    // Its report shows that what lies before is lost.
    lone.pass(ms(20));
    lone.sack(7000, 60_000, &[(9000, 10_000)]);
    while lone.sent().is_empty() {
        lone.pass_to_deadline();
    }
    let info = lone.connection.info();
    assert_eq!((info.lost, info.resending, info.snd_cwnd), (2, 1, 1), "one for one that was delivered");
    lone.pass(ms(20));
    lone.sack(8000, 60_000, &[(9000, 10_000)]);
    assert_eq!(lone.sent(), [(8000, 1000)]);
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
}

//= RFC 8985 §7.3, type=test
#[test]
fn new_data_is_the_better_probe_whatever_the_window_says() {
    let mut lone = in_flight(10);
    lone.write(500);
    assert!(lone.sent().is_empty(), "the window is full");
    assert_eq!(lone.pass_to_deadline(), ms(42));
    assert_eq!(lone.sent(), [(10_000, 500)]);
    // One probe for a tail: the time-out follows, counted from the probe.
    assert_eq!(lone.pass_to_deadline(), ms(220));
    assert_eq!(lone.sent(), [(0, 1000)]);
}

//= RFC 8985 §7.2, type=test
#[test]
fn a_lone_segment_is_given_time_for_a_delayed_acknowledgement() {
    let mut lone = in_flight(1);
    assert_eq!(lone.pass_to_deadline(), ms(220), "no later than the time-out would be");
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
    assert_eq!(lone.sent(), [(0, 1000)]);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbes), 1);
    assert_eq!(lone.pass_to_deadline(), ms(220), "the time-out follows, and has not been doubled");
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 1);
}

//= RFC 8985 §7.4.2, type=test
#[test]
fn a_probe_that_repaired_a_loss_costs_a_reduction() {
    let mut lone = in_flight(10);
    lone.pass(ms(20));
    lone.ack(9000, 60_000);
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(9000, 1000)]);
    lone.pass(ms(20));
    lone.ack(10_000, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbeRecovery), 0, "it may have been the first that arrived");
    lone.write(1000);
    lone.sent();
    let before = window(&lone).0;
    lone.pass(ms(20));
    lone.ack(11_000, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbeRecovery), 1);
    assert_eq!(window(&lone), (before * 717 / 1024, before * 717 / 1024, Phase::Open));
}

//= RFC 8985 §7.4.2, type=test
#[test]
fn a_probe_that_came_twice_costs_nothing() {
    let mut lone = in_flight(10);
    lone.pass(ms(20));
    lone.ack(8000, 60_000);
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(9000, 1000)]);
    lone.ack(10_000, 60_000);
    let before = window(&lone).0;
    lone.sack(10_000, 60_000, &[(9000, 10_000)]);
    lone.write(1000);
    lone.sent();
    lone.ack(11_000, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbeRecovery), 0);
    assert!(window(&lone).0 >= before && window(&lone).1 == INFINITE);
    assert_eq!(lone.connection.info().duplicates, 1);
}

/// Timed out with ten segments in flight and more to be sent.
fn timed_out() -> Lone {
    let mut options = sacking();
    options.rare_mut().loss.early_retrans = 0;
    let mut lone = Lone::established(options, 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(20_000);
    assert_eq!(lone.sent().len(), 10);
    assert_eq!(lone.pass_to_deadline(), ms(220));
    assert_eq!(lone.sent(), [(0, 1000)]);
    assert_eq!(window(&lone), (1, 7, Phase::Loss));
    lone.pass(ms(10));
    lone
}

//= RFC 5682 §3.1, type=test
#[test]
fn after_a_timeout_new_data_shows_whether_it_was_in_error() {
    let mut lone = timed_out();
    lone.ack(1000, 60_000);
    assert_eq!(lone.sent(), [(10_000, 1000), (11_000, 1000)], "two segments of new data");
    lone.ack(2000, 60_000);
    assert_eq!(window(&lone), (11, INFINITE, Phase::Open), "what was sent once arrives");
    assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 1);
    assert_eq!(lone.count(Counter::TcpExtTCPLossUndo), 1);
    assert_eq!(lone.connection.info().lost, 0);
    assert!(lone.sent().iter().all(|(offset, _)| *offset >= 12_000), "and nothing is sent again");
}

//= RFC 5682 §3.1, type=test
#[test]
fn after_a_timeout_that_was_right_all_is_sent_again_in_slow_start() {
    let mut lone = timed_out();
    lone.ack(1000, 60_000);
    assert_eq!(lone.sent().len(), 2);
    lone.pass(ms(20));
    lone.sack(1000, 60_000, &[(10_000, 11_000)]);
    assert_eq!(lone.sent().first(), Some(&(1000, 1000)));
    assert_eq!((window(&lone).1, window(&lone).2), (7, Phase::Loss));
    assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 0);
}

//= RFC 3708 §2, type=test
#[test]
fn a_recovery_is_undone_when_all_that_was_sent_again_came_twice() {
    let mut lone = in_flight(10);
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 10_000)]);
    assert_eq!(lone.sent(), [(0, 1000)]);
    assert_eq!(window(&lone).2, Phase::Recovery);
    lone.pass(ms(1));
    lone.ack(10_000, 60_000);
    assert_eq!(window(&lone), (7, 7, Phase::Open));
    lone.write(1000);
    lone.sent();
    lone.sack(10_000, 60_000, &[(0, 1000)]);
    assert_eq!(window(&lone).0, 10);
    assert_eq!(window(&lone).1, INFINITE);
    assert_eq!(lone.count(Counter::TcpExtTCPDSACKUndo), 1);
    assert_eq!(lone.count(Counter::TcpExtTCPDSACKRecvSegs), 1);
}

//= RFC 8985 §6.2, type=test
#[test]
fn what_arrives_late_widens_the_degree_of_reordering() {
    let mut lone = in_flight(10);
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(9000, 10_000)]);
    assert_eq!(window(&lone).2, Phase::Disorder);
    lone.sack(0, 60_000, &[(3000, 4000), (9000, 10_000)]);
    lone.ack(10_000, 60_000);
    let info = lone.connection.info();
    assert_eq!((info.reordering, info.reorder_seen, info.phase), (10, 2, Phase::Open));
    assert_eq!(lone.count(Counter::TcpExtTCPSACKReorder), 2);
    assert!(lone.sent().is_empty());
}

//= RFC 3042 §2, type=test
#[test]
fn the_first_reports_let_new_data_go() {
    let mut lone = in_flight(10);
    lone.write(5000);
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 2000)]);
    assert_eq!(lone.sent(), [(10_000, 1000)]);
    lone.sack(0, 60_000, &[(1000, 3000)]);
    assert_eq!(lone.sent(), [(11_000, 1000)]);
    assert_eq!(window(&lone), (10, INFINITE, Phase::Disorder));
}

//= RFC 9937 §6, type=test
#[test]
fn the_window_comes_down_by_what_is_delivered() {
    let options = Options { congestion: CongestionKind::Reno, ..sacking() };
    let mut lone = Lone::established(options, 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(60_000);
    lone.sent();
    lone.pass(ms(20));
    lone.ack(10_000, 60_000);
    assert_eq!(lone.sent().len(), 20);
    lone.pass(ms(20));
    // (reported up to, what is sent, window): from twenty to ten.
    let mut table = Vec::new();
    for end in 13..=20 {
        lone.sack(10_000, 60_000, &[(11_000, end * 1000)]);
        table.push((lone.sent().len(), window(&lone).0));
    }
    // Two go by limited transmit; the third report begins the recovery, and one of two goes from there on.
    assert_eq!(table[0], (2, 20));
    assert_eq!(table[1].0, 1);
    let sent: usize = table[2..].iter().map(|(sent, _)| sent).sum();
    assert!((2..=4).contains(&sent), "half of six: {table:?}");
    lone.pass(ms(20));
    lone.ack(33_000.min(10_000 + lone.connection.info().unacked * MSS), 60_000);
    assert_eq!(
        window(&lone),
        (11, 10, Phase::Open),
        "at the threshold, and as Linux it grows for what this acknowledges"
    );
}
