use super::fixture::*;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::tcp::config::LossOptions;
use crate::tcp::recovery::Phase;
use crate::tcp::{CongestionKind, Options, State};

fn reno(options: Options) -> Options {
    Options { congestion: CongestionKind::Reno, ..options }
}

/// Established with ten segments in flight, a round trip of 20 ms.
fn ten_in_flight(options: Options) -> Lone {
    let mut lone = Lone::established(options, 60_000, ms(20));
    // As on Linux the first segment after the SYN moves the window, so that it is no duplicate.
    lone.ack(0, 60_000);
    lone.write(30_000);
    assert_eq!(lone.sent().len(), 10);
    lone.pass(ms(20));
    lone
}

//= RFC 5681 §3.2, type=test
//= RFC 5681 §3.1 MUST-8, type=test
#[test]
fn three_duplicates_send_the_missing_segment_again() {
    let mut lone = ten_in_flight(reno(plain()));
    lone.ack(0, 60_000);
    lone.ack(0, 60_000);
    let before = lone.sent();
    assert!(before.iter().all(|(offset, _)| *offset >= 10_000), "only new data so far: {before:?}");
    lone.ack(0, 60_000);
    assert_eq!(lone.sent(), [(0, 1000)]);
    let info = lone.connection.info();
    assert_eq!((info.snd_ssthresh, info.phase), (5, Phase::Recovery));
    assert_eq!(
        (info.in_flight, info.snd_cwnd),
        (9, 9),
        "twelve less three reported less one lost, and that again"
    );
    assert_eq!(lone.count(Counter::TcpExtTCPRenoRecovery), 1);
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
}

//= RFC 6582 §3.2, type=test
#[test]
fn a_partial_acknowledgement_names_the_next_loss() {
    let mut lone = ten_in_flight(reno(plain()));
    (0..3).for_each(|_| lone.ack(0, 60_000));
    assert_eq!(lone.sent().first(), Some(&(0, 1000)));
    lone.pass(ms(20));
    lone.ack(4000, 60_000);
    assert_eq!(lone.connection.info().lost, 1);
    assert!(lone.sent().is_empty(), "two of twelve are delivered, and one was sent");
    lone.ack(4000, 60_000);
    assert_eq!(lone.sent(), [(4000, 1000)]);
    assert_eq!(lone.connection.info().snd_ssthresh, 5, "one recovery, one reduction");
}

//= RFC 8985 §6.2, type=test
//= RFC 2018 §5 RULE-1, type=test
//= RFC 2018 §5.1 MUST-2, type=test
//= RFC 6675 §4 MUST-3, type=test
//= RFC 6675 §4 MUST-4, type=test
//= RFC 6675 §4 MUST-5, type=test
//= RFC 6675 §5 MUST-1, type=test
//= RFC 6675 §5 MUST-8, type=test
#[test]
fn sack_sends_each_hole_once_and_no_timeout_is_needed() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 3000), (4000, 10_000)]);
    assert_eq!(lone.sent(), [(0, 1000), (3000, 1000), (10_000, 1000), (11_000, 1000), (12_000, 1000)]);
    let info = lone.connection.info();
    assert_eq!((info.snd_cwnd, info.lost, info.resending), (5, 2, 2));
    assert_eq!((info.sacked, info.in_flight, info.unacked), (8, 5, 13));
    lone.pass(ms(20));
    lone.ack(10_000, 60_000);
    assert_eq!(lone.connection.info().snd_cwnd, 5);
    assert_eq!(lone.count(Counter::TcpExtTCPDelivered), 1 + 10, "the SYN too");
    assert_eq!(lone.count(Counter::TcpExtTCPFastRetrans), 2);
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
}

//= RFC 2018 §5.1 MUST-1, type=test
#[test]
fn one_segment_reported_beyond_a_hole_waits_for_reordering() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 2000)]);
    let sent = lone.sent();
    assert!(sent.iter().all(|(offset, _)| *offset >= 10_000), "{sent:?}");
    assert_eq!(lone.pass_to_deadline(), ms(7), "a quarter of the round trip, and Linux's 2 ms");
    assert_eq!(lone.sent(), [(0, 1000)]);
}

//= RFC 8985 §9.2 MUST-1, type=test
#[test]
fn a_lost_retransmission_is_sent_again_without_a_timeout() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 10_000)]);
    assert_eq!(lone.sent()[0], (0, 1000));
    lone.pass(ms(1));
    lone.sack(0, 60_000, &[(1000, 10_000)]);
    lone.sent();
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 14_000)]);
    assert!(lone.sent().contains(&(0, 1000)), "what was sent after it has arrived");
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
}

//= RFC 9293 MUST-19, type=test
//= RFC 6298 §5.4, type=test
//= RFC 5681 §3.1, type=test
//= RFC 5681 §3.1 MUST-11, type=test
//= RFC 5681 §3.1 MUST-12, type=test
//= RFC 6298 §5 MUST-1, type=test
//= RFC 6298 §5.5 MUST-1, type=test
#[test]
fn a_timeout_sends_one_segment_and_doubles() {
    let mut options = reno(sacking());
    options.rare_mut().loss = LossOptions { early_retrans: 0, frto: false, ..LossOptions::default() };
    let mut lone = Lone::established(options, 60_000, ms(20));
    lone.write(30_000);
    lone.sent();
    let mut waits = Vec::new();
    for _ in 0..4 {
        waits.push(lone.pass_to_deadline().as_millis());
        assert_eq!(lone.sent(), [(0, 1000)]);
    }
    assert_eq!(waits, [220, 440, 880, 1760]);
    let info = lone.connection.info();
    assert_eq!((info.snd_cwnd, info.snd_ssthresh), (1, 5), "the threshold is taken once");
    lone.pass(ms(20));
    lone.ack(1000, 60_000);
    assert_eq!(lone.sent(), [(1000, 1000), (2000, 1000)], "slow start");
    assert_eq!(lone.count(Counter::TcpExtTCPSlowStartRetrans), 2);
}

//= RFC 9293 MUST-20, type=test
//= RFC 9293 SHLD-11, type=test
#[test]
fn a_silent_peer_is_given_up_after_fifteen_retries() {
    let mut lone = Lone::established(plain(), 60_000, ms(20));
    let start = lone.now;
    lone.write(10);
    while lone.connection.state() == State::Established {
        lone.sent();
        lone.pass_to_deadline();
    }
    let took = lone.now.saturating_since(start).as_secs();
    assert!((924..1050).contains(&took), "{took} s");
    assert_eq!(lone.count(Counter::TcpExtTCPAbortOnTimeout), 1);
    assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
    assert!(lone.poll().is_none());
}

//= RFC 2018 §5 MUST-1, type=test
//= RFC 2018 §8 MUST-4, type=test
//= RFC 6675 §4 MUST-1, type=test
#[test]
fn reports_of_sack_are_forgotten_where_the_peer_took_them_back() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 10_000)]);
    lone.sent();
    lone.pass(ms(20));
    lone.ack(1000, 60_000);
    lone.sent();
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        lone.pass_to_deadline();
    }
    assert_eq!(lone.connection.info().sacked, 0);
    assert_eq!(lone.sent()[0], (1000, 1000));
}

#[test]
fn idle_time_brings_back_the_initial_window() {
    let mut lone = Lone::established(reno(plain()), 60_000, ms(20));
    let mut acked = 0;
    for _ in 0..3 {
        lone.write(30_000);
        for _ in 0..10 {
            lone.sent();
            lone.pass(ms(20));
            acked += lone.connection.info().in_flight * MSS;
            lone.ack(acked, 60_000);
        }
    }
    assert!(lone.connection.info().snd_cwnd > 20, "{}", lone.connection.info().snd_cwnd);
    lone.pass(ms(10_000));
    lone.write(30_000);
    assert_eq!(lone.sent().len(), 10);
}

//= RFC 5681 §3.1, type=test
#[test]
fn a_timeout_in_fast_recovery_takes_the_threshold_no_lower() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.sack(0, 60_000, &[(1000, 10_000)]);
    lone.sent();
    assert_eq!(lone.connection.info().snd_ssthresh, 5);
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        lone.pass_to_deadline();
    }
    let info = lone.connection.info();
    assert_eq!(info.snd_ssthresh, 5);
}

//= RFC 1191 §6.5, type=test
//= RFC 8201 §5.4 MUST-4, type=test
#[test]
fn what_fits_a_narrower_path_is_not_sent_again() {
    let options = Options { no_delay: true, ..reno(sacking()) };
    let mut lone = Lone::established(options, 60_000, ms(20));
    for size in [200, 1000, 300] {
        lone.write(size);
        lone.pass(ms(1));
        lone.sent();
    }
    lone.connection.set_path_size(lone.now, 600, &mut lone.counters);
    assert_eq!(lone.connection.info().lost, 1);
    assert_eq!(lone.sent(), [(200, 600), (800, 400)]);

    lone.write(200);
    assert_eq!(lone.sent(), [(1500, 200)]);
    lone.connection.set_path_size(lone.now, 500, &mut lone.counters);
    let info = lone.connection.info();
    assert_eq!((info.lost, info.resending), (2, 1), "what was sent again in 600 bytes");
}

//= RFC 1191 §6.5, type=test
#[test]
fn reports_of_what_was_sent_again_in_smaller_segments_are_understood() {
    let mut lone = ten_in_flight(reno(sacking()));
    lone.connection.set_path_size(lone.now, 600, &mut lone.counters);
    let burst = lone.connection.poll_transmit(lone.now, 60_000, &mut lone.counters).expect("all of it");
    assert_eq!((burst.seq, burst.gso_size), (seq(ISS + 1), Some(600)));
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(600, 1200)]);
    assert_eq!(lone.connection.info().sacked, 1);
}

//= RFC 5681 §3.2, type=test
//= RFC 6582 §3.2, type=test
#[test]
fn a_loss_without_sack_leaves_the_window_smaller() {
    let mut lone = ten_in_flight(reno(plain()));
    (0..3).for_each(|_| lone.ack(0, 60_000));
    assert_eq!(lone.sent().first(), Some(&(0, 1000)));
    (0..8).for_each(|_| lone.ack(0, 60_000));
    lone.sent();
    lone.pass(ms(20));
    for acked in [12_000, 13_000] {
        lone.ack(acked, 60_000);
        let info = lone.connection.info();
        assert_eq!((info.snd_cwnd, info.snd_ssthresh), (5, 5), "acknowledged up to {acked}");
    }
}

//= RFC 5681 §3.1, type=test
#[test]
fn a_timeout_without_sack_leaves_the_threshold_lower() {
    let mut options = reno(plain());
    options.rare_mut().loss.frto = false;
    let mut lone = Lone::established(options, 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(30_000);
    assert_eq!(lone.sent().len(), 10);
    lone.pass_to_deadline();
    assert_eq!(lone.sent(), [(0, 1000)]);
    lone.pass(ms(20));
    lone.ack(10_000, 60_000);
    lone.sent();
    lone.pass(ms(20));
    lone.ack(11_000, 60_000);
    let info = lone.connection.info();
    assert_eq!((info.snd_cwnd, info.snd_ssthresh, info.phase), (6, 5, Phase::Open), "as on Linux");
}

//= RFC 8985 §7.3, type=test
#[test]
fn a_probe_of_the_tail_carries_new_data_where_the_link_cuts_nothing() {
    let mut lone = Lone::established(reno(sacking()), 60_000, ms(20));
    lone.write(30_000);
    assert_eq!(lone.sent().len(), 10);
    lone.pass_to_deadline();
    let probe = lone.connection.poll_transmit(lone.now, 0, &mut lone.counters).expect("a probe");
    assert_eq!((probe.seq, probe.len()), (seq(ISS + 1 + 10_000), 1000));
}
