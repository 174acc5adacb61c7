//! Requirements of RFC 5681, 5682, 6675, 8985 and 9438 that no other test asserts by itself.

use super::fixture::*;
use crate::counters::Counter;
use crate::tcp::recovery::Phase;
use crate::tcp::{CongestionKind, Options};

fn reno(options: Options) -> Options {
    Options { congestion: CongestionKind::Reno, ..options }
}

/// Established with `count` segments in flight for a round trip of 20 ms.
fn in_flight(count: u32, options: Options) -> Lone {
    let mut lone = Lone::established(options, 60_000, ms(20));
    // The first segment after the SYN moves the window, so that it is no duplicate.
    lone.ack(0, 60_000);
    lone.write(count as usize * 1000);
    assert_eq!(lone.sent().len() as u32, count);
    lone.pass(ms(20));
    lone
}

/// The same with ten segments, which fill the window, and twenty more to send.
fn full(options: Options) -> Lone {
    let mut lone = in_flight(10, options);
    lone.write(20_000);
    assert_eq!(lone.sent(), [], "the window is full");
    lone
}

/// After a time-out, with the first segment sent again.
fn timed_out(options: Options, times: u64) -> Lone {
    let mut lone = full(options);
    while lone.count(Counter::TcpExtTCPTimeouts) < times {
        lone.pass_to_deadline();
        lone.sent();
    }
    lone
}

/// Where the segments that are sent now begin.
fn offsets(lone: &mut Lone) -> Vec<u32> {
    lone.sent().iter().map(|(offset, _)| *offset).collect()
}

fn is_new(offset: &u32) -> bool {
    *offset >= 10_000
}

//= RFC 5681 §3.2 MUST-1, type=test
//= RFC 5681 §3.2 MUST-3, type=test
//= RFC 5681 §3.2 MUST-4, type=test
//= RFC 6675 §5 MUST-3, type=test
#[test]
fn two_duplicates_let_new_segments_go_that_do_not_count() {
    let mut lone = full(reno(plain()));
    for offset in [10_000, 11_000] {
        lone.ack(0, 60_000);
        assert_eq!(lone.sent(), [(offset, 1000)]);
        assert_eq!(lone.connection.info().snd_cwnd, 10);
    }
    lone.ack(0, 60_000);
    assert_eq!(lone.sent().first(), Some(&(0, 1000)));
    assert_eq!(lone.connection.info().snd_ssthresh, 5, "half of ten, not of twelve");
}

//= RFC 5681 §3.2 MUST-2, type=test
#[test]
fn where_sack_is_spoken_duplicates_without_news_let_nothing_go() {
    let mut lone = full(reno(sacking()));
    for _ in 0..5 {
        lone.ack(0, 60_000);
        assert_eq!(lone.sent(), []);
    }
    lone.sack(0, 60_000, &[(1000, 2000)]);
    assert_eq!(lone.sent(), [(10_000, 1000)]);
    lone.sack(0, 60_000, &[(1000, 2000)]);
    assert_eq!(lone.sent(), [], "it is known");
}

//= RFC 6675 §5 MUST-2, type=test
#[test]
fn an_acknowledgement_of_new_data_ends_the_count_of_duplicates() {
    let mut lone = full(reno(plain()));
    for acked in [0, 0, 1000, 1000, 1000] {
        lone.ack(acked, 60_000);
    }
    assert!(offsets(&mut lone).iter().all(is_new), "nothing again");
    assert_eq!(lone.count(Counter::TcpExtTCPRenoRecovery), 0);
    lone.ack(1000, 60_000);
    assert_eq!(offsets(&mut lone).first(), Some(&1000));
}

/// A segment of ten is lost, and the others are reported one by one.
//= RFC 5681 §3.2 MUST-7, type=test
//= RFC 5681 §4.3 MUST-1, type=test
//= RFC 5681 §4.3 MUST-2, type=test
//= RFC 5681 §4.3 MUST-3, type=test
//= RFC 5681 §4.3 MUST-4, type=test
//= RFC 6675 §5 MUST-4, type=test
//= RFC 6675 §5 MUST-5, type=test
//= RFC 6675 §5 MUST-6, type=test
//= RFC 6675 §5 MUST-7, type=test
#[test]
fn in_recovery_half_as_much_is_sent_and_congestion_avoidance_follows() {
    let mut lone = full(reno(sacking()));
    let mut sent = Vec::new();
    for reported in 2..=10 {
        lone.sack(0, 60_000, &[(1000, reported * 1000)]);
        sent.push(lone.sent().len());
    }
    assert_eq!(sent[..2], [1, 1], "limited transmit");
    let after: usize = sent[2..].iter().sum();
    assert!((3..=5).contains(&after), "half of ten at most: {sent:?}");
    assert_eq!(lone.connection.info().snd_ssthresh, 5);
    lone.pass(ms(20));
    lone.ack(12_000, 60_000);
    let info = lone.connection.info();
    assert_eq!((info.phase, info.snd_cwnd), (Phase::Open, 5), "all of before recovery is there");
    let mut acked = 12_000 + 1000 * info.in_flight;
    for (round, most) in [6, 7, 8].into_iter().enumerate() {
        acked += lone.sent().iter().map(|(_, len)| len).sum::<u32>();
        lone.pass(ms(20));
        lone.ack(acked, 60_000);
        assert!(lone.connection.info().snd_cwnd <= most, "{round}");
    }
    assert!(lone.connection.info().snd_cwnd > 5, "it grows");
}

//= RFC 8985 §9.3 MUST-1, type=test
//= RFC 5681 §3 MUST-2, type=test
//= RFC 6675 §4 MUST-2, type=test
//= RFC 6675 §4 MUST-8, type=test
#[test]
fn what_is_lost_is_sent_again_as_the_window_allows() {
    let mut lone = full(reno(sacking()));
    lone.sack(0, 60_000, &[(7000, 10_000)]);
    let info = lone.connection.info();
    assert_eq!((info.lost, info.sacked, info.in_flight), (7, 3, 0));
    let first = offsets(&mut lone);
    assert!(!first.is_empty() && first.len() <= 5, "{first:?}");
    assert_eq!(first, (0..first.len() as u32).map(|n| n * 1000).collect::<Vec<_>>(), "the oldest first");
    lone.ack(0, 60_000);
    assert_eq!(lone.sent(), [], "nothing new is known");
}

//= RFC 9438 §4.6 MUST-1, type=test
#[test]
fn cubic_lowers_the_threshold_as_recovery_begins() {
    let mut lone = full(sacking());
    lone.sack(0, 60_000, &[(1000, 4000)]);
    let info = lone.connection.info();
    assert_eq!((info.phase, info.snd_ssthresh), (Phase::Recovery, 7));
    assert!(info.snd_cwnd < 10);
}

//= RFC 6675 §5.1 MUST-2, type=test
//= RFC 6675 §5.1 MUST-3, type=test
//= RFC 6675 §5.1 MUST-4, type=test
//= RFC 6675 §5.1 MUST-5, type=test
#[test]
fn a_timeout_ends_recovery_and_what_was_sent_before_it_begins_no_other() {
    let mut lone = full(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 4000)]);
    lone.sent();
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        lone.pass_to_deadline();
    }
    assert_eq!(lone.connection.info().phase, Phase::Loss);
    lone.sent();
    lone.pass(ms(20));
    for reported in 5..=10 {
        lone.sack(0, 60_000, &[(1000, reported * 1000)]);
        lone.sent();
        assert_eq!(lone.connection.info().phase, Phase::Loss);
    }
    assert_eq!(lone.count(Counter::TcpExtTCPSackRecovery), 1, "the one of before");
}

//= RFC 5682 §2.1 MUST-1, type=test
//= RFC 5682 §3.1 MUST-1, type=test
#[test]
fn a_timeout_was_in_error_where_two_acknowledgements_advance() {
    for options in [plain(), sacking()] {
        let mut lone = timed_out(reno(options), 1);
        assert_eq!(lone.connection.info().snd_cwnd, 1);
        lone.ack(1000, 60_000);
        let new = offsets(&mut lone);
        assert!((1..=2).contains(&new.len()) && new.iter().all(is_new), "step 2b: {new:?}");
        lone.ack(3000, 60_000);
        assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 1);
        let after = offsets(&mut lone);
        assert!(after.iter().all(is_new), "step 3b, nothing again: {after:?}");
        let info = lone.connection.info();
        assert_eq!(info.phase, Phase::Open);
        assert!(info.snd_cwnd >= 10, "what the time-out took is given back");
    }
}

//= RFC 5682 §2.1 MUST-1, type=test
//= RFC 5682 §3.1 MUST-1, type=test
#[test]
fn a_timeout_was_right_where_duplicates_follow() {
    for options in [plain(), sacking()] {
        let mut lone = timed_out(reno(options), 1);
        lone.pass(ms(20));
        lone.ack(1000, 60_000);
        let new = offsets(&mut lone);
        assert!(!new.is_empty() && new.iter().all(is_new), "step 2b: {new:?}");
        lone.pass(ms(20));
        lone.sack(1000, 60_000, &[(new[0], new[0] + 1000)]);
        assert_eq!(offsets(&mut lone).first(), Some(&1000), "step 3a");
        assert!(lone.connection.info().snd_cwnd <= 3);
        assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 0);
    }
}

//= RFC 5682 §2.1 MUST-2, type=test
//= RFC 5682 §3.1 MUST-2, type=test
#[test]
fn another_timeout_begins_the_search_anew() {
    for options in [plain(), sacking()] {
        let mut lone = timed_out(reno(options), 2);
        lone.ack(2000, 60_000);
        let new = offsets(&mut lone);
        assert!(!new.is_empty() && new.iter().all(is_new), "step 2b: {new:?}");
        lone.ack(4000, 60_000);
        assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 1);
    }
}

//= RFC 8985 §7.3 MUST-5, type=test
#[test]
fn a_tail_is_probed_once_and_then_times_out() {
    let mut lone = in_flight(5, reno(sacking()));
    let start = lone.now;
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(4000, 1000)], "the last one again");
    assert_eq!((lone.count(Counter::TcpExtTCPLossProbes), lone.count(Counter::TcpExtTCPTimeouts)), (1, 0));
    assert!(lone.now.saturating_since(start) < ms(100));
    let rto = lone.connection.info().rto;
    assert_eq!(lone.pass_to_deadline(), rto, "a time-out, no second probe");
    assert_eq!((lone.count(Counter::TcpExtTCPLossProbes), lone.count(Counter::TcpExtTCPTimeouts)), (1, 1));
    assert_eq!(lone.sent(), [(0, 1000)]);
}

//= RFC 8985 §7.3 MUST-2, type=test
//= RFC 8985 §7.3 MUST-3, type=test
#[test]
fn no_probe_is_sent_while_another_is_out() {
    let mut lone = in_flight(5, reno(sacking()));
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(4000, 1000)]);
    lone.ack(1000, 60_000);
    let mut waited = lone.pass_to_deadline();
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        assert_eq!(lone.sent(), [], "after {waited:?}");
        waited += lone.pass_to_deadline();
    }
    assert_eq!(lone.sent(), [(1000, 1000)]);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbes), 1);
}

//= RFC 8985 §7.3 MUST-4, type=test
#[test]
fn the_report_of_a_probe_shows_what_was_lost_before_it() {
    let mut lone = in_flight(5, reno(sacking()));
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(4000, 1000)]);
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(4000, 5000)]);
    while lone.connection.info().phase != Phase::Recovery {
        lone.pass_to_deadline();
    }
    assert_eq!(lone.sent().first(), Some(&(0, 1000)));
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
}

//= RFC 8985 §7.4.2 MUST-1, type=test
#[test]
fn a_probe_that_was_needed_counts_as_a_loss() {
    let mut lone = in_flight(5, reno(sacking()));
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(4000, 1000)]);
    lone.pass(ms(20));
    lone.ack(5000, 60_000);
    lone.write(1000);
    lone.sent();
    lone.pass(ms(20));
    lone.ack(6000, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPLossProbeRecovery), 1);
    assert_eq!(lone.connection.info().snd_ssthresh, 5);
}

//= RFC 8985 §4 MUST-1, type=test
#[test]
fn without_sack_nothing_is_probed_and_no_time_tells_of_losses() {
    let mut lone = in_flight(5, reno(plain()));
    let rto = lone.connection.info().rto;
    lone.ack(0, 60_000);
    assert_eq!(lone.pass_to_deadline() + ms(20), rto, "since it was sent");
    assert_eq!((lone.count(Counter::TcpExtTCPLossProbes), lone.count(Counter::TcpExtTCPTimeouts)), (0, 1));
}

//= RFC 2883 §5 MUST-1, type=test
#[test]
fn a_report_is_one_of_duplicates_by_the_acknowledgement_of_its_own_segment() {
    let mut lone = full(reno(sacking()));
    lone.ack(6000, 60_000);
    lone.sack(2000, 60_000, &[(3000, 4000)]);
    assert_eq!(lone.count(Counter::TcpExtTCPDSACKRecv), 0, "it was overtaken, and all is well");
    lone.sack(4000, 60_000, &[(3000, 4000)]);
    assert_eq!(lone.count(Counter::TcpExtTCPDSACKRecv), 1);
}

/// What a time-out finds: how it is counted says what had been known before.
#[test]
fn what_a_time_out_interrupts_is_counted() {
    const COUNTERS: [Counter; 5] = [
        Counter::TcpExtTCPSackRecoveryFail,
        Counter::TcpExtTCPRenoRecoveryFail,
        Counter::TcpExtTCPLossFailures,
        Counter::TcpExtTCPSackFailures,
        Counter::TcpExtTCPRenoFailures,
    ];
    type Row = (&'static str, Options, fn(&mut Lone), Option<Counter>);
    let table: [Row; 6] = [
        ("nothing", reno(plain()), |_| {}, None),
        (
            "a recovery by SACK",
            reno(sacking()),
            |lone| lone.sack(0, 60_000, &[(1000, 5000)]),
            Some(Counter::TcpExtTCPSackRecoveryFail),
        ),
        (
            "a recovery by duplicates",
            reno(plain()),
            |lone| (0..3).for_each(|_| lone.ack(0, 60_000)),
            Some(Counter::TcpExtTCPRenoRecoveryFail),
        ),
        (
            "another time-out, after which something came",
            reno(plain()),
            |lone| {
                lone.pass_to_deadline();
                lone.sent();
                lone.ack(1000, 60_000);
            },
            Some(Counter::TcpExtTCPLossFailures),
        ),
        (
            "a report, after a time-out that was in error",
            reno(sacking()),
            |lone| {
                while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
                    lone.pass_to_deadline();
                    lone.sent();
                }
                lone.sack(0, 60_000, &[(1000, 2000)]);
                assert_eq!(lone.count(Counter::TcpExtTCPSpuriousRTOs), 1);
            },
            Some(Counter::TcpExtTCPSackFailures),
        ),
        ("a duplicate", reno(plain()), |lone| lone.ack(0, 60_000), Some(Counter::TcpExtTCPRenoFailures)),
    ];
    for (what, options, before, expected) in table {
        let mut lone = full(options);
        before(&mut lone);
        lone.sent();
        let before = lone.count(Counter::TcpExtTCPTimeouts);
        while lone.count(Counter::TcpExtTCPTimeouts) == before {
            lone.pass_to_deadline();
        }
        let counted: Vec<_> = COUNTERS.into_iter().filter(|counter| lone.count(*counter) > 0).collect();
        assert_eq!(counted, Vec::from_iter(expected), "{what}");
    }
}

/// More duplicates than segments were sent behind the hole: the path has put them in another order.
#[test]
fn duplicates_of_more_than_was_sent_tell_of_reordering() {
    let mut lone = in_flight(2, reno(plain()));
    lone.ack(0, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPRenoReorder), 0);
    lone.ack(0, 60_000);
    assert_eq!(lone.count(Counter::TcpExtTCPRenoReorder), 1);
}

/// As Linux: such reports change nothing.
#[test]
fn reports_that_make_no_sense_are_counted() {
    const DUPLICATES: [Counter; 4] = [
        Counter::TcpExtTCPDSACKRecv,
        Counter::TcpExtTCPDSACKOfoRecv,
        Counter::TcpExtTCPDSACKIgnoredDubious,
        Counter::TcpExtTCPDSACKRecvSegs,
    ];
    type Row = (&'static str, u32, &'static [(u32, u32)], u64, [u64; 4]);
    let table: [Row; 6] = [
        ("beyond what was sent", 0, &[(5000, 20_000)], 1, [0; 4]),
        ("backwards", 0, &[(3000, 2000)], 1, [0; 4]),
        ("of nothing", 0, &[(3000, 3000)], 1, [0; 4]),
        ("of what would have been acknowledged", 2000, &[(2000, 3000)], 1, [0; 4]),
        ("twice what was sent once", 5000, &[(1000, 2000)], 0, [1, 0, 1, 0]),
        ("the same out of order", 0, &[(2000, 3000), (1000, 5000)], 0, [0, 1, 1, 0]),
    ];
    for (what, acked, blocks, senseless, duplicates) in table {
        let mut lone = full(reno(sacking()));
        lone.sack(acked, 60_000, blocks);
        assert_eq!(lone.count(Counter::TcpExtTCPSACKDiscard), senseless, "{what}");
        assert_eq!(DUPLICATES.map(|counter| lone.count(counter)), duplicates, "{what}");
        let sacked = lone.connection.info().sacked;
        assert_eq!(sacked, if blocks.len() > 1 { 4 } else { 0 }, "{what}");
    }
}
