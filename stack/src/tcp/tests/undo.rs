//! Losses that were none, reports that are taken back, streams that are thin; and what TCP_INFO tells of a sender.

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::tcp::recovery::Phase;
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{CongestionKind, Options};
use crate::wire::tcp_options::TcpOptions;

const TIMESTAMP_LEN: u32 = 12;
const SIZE: u32 = MSS - TIMESTAMP_LEN;

/// Ten segments in flight, over a connection with SACK and timestamps, with what our clock says.
fn stamped_flight() -> (Lone, u32) {
    let options = Options { timestamps: true, congestion: CongestionKind::Reno, ..sacking() };
    let mut lone = Lone::connecting(options);
    let stamp = lone.poll().expect("a SYN").options.timestamps.expect("offered").value;
    lone.pass(ms(20));
    let options = TcpOptions { mss: Some(MSS as u16), sack_permitted: true, ..Lone::stamped(1, stamp) };
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        control: Some(Control::Syn),
        window: UnscaledWindow(60_000),
        options,
        ..Segment::new(seq(IRS))
    });
    lone.poll().expect("an ACK");
    lone.write(10 * SIZE as usize);
    assert_eq!(lone.sent().len(), 10);
    (lone, stamp + 20)
}

/// An acknowledgement of `segments` that echoes `echo`, and reports those from `first` up to `last` to have come.
fn echoing(lone: &mut Lone, segments: u32, echo: u32, reported: Option<(u32, u32)>) {
    let mut options = Lone::stamped(2, echo);
    let number = |segments: u32| ISS + 1 + segments * SIZE;
    options.sack.extend(reported.map(|(first, last)| (number(first), number(last))));
    lone.give(Segment {
        ack: Some(seq(number(segments))),
        window: UnscaledWindow(60_000),
        options,
        ..Segment::new(seq(IRS + 1))
    });
}

//= RFC 4015 §3.2, type=test
//= RFC 3522 §3.2, type=test
#[test]
fn a_recovery_is_undone_when_the_first_transmission_is_echoed() {
    let (mut lone, first) = stamped_flight();
    lone.pass(ms(20));
    echoing(&mut lone, 0, first, Some((1, 5)));
    assert_eq!(lone.connection.info().phase, Phase::Recovery);
    assert_eq!(lone.sent()[0], (0, SIZE), "the first segment is sent again");
    let reduced = lone.connection.info();
    assert!(reduced.snd_ssthresh == 5, "{reduced:?}");
    // The first transmission was late, not lost: its timestamp comes back.
    lone.pass(ms(5));
    echoing(&mut lone, 10, first, None);
    let info = lone.connection.info();
    assert!(info.snd_cwnd >= 10 && info.phase == Phase::Open, "{info:?}");
    assert_eq!(lone.count(Counter::TcpExtTCPFullUndo) + lone.count(Counter::TcpExtTCPPartialUndo), 1);
}

/// A part of what was held to be lost was late, as its echo tells: the path reorders.
//= RFC 4015 §3.2, type=test
#[test]
fn a_recovery_is_undone_as_soon_as_a_part_of_it_was_late() {
    let (mut lone, first) = stamped_flight();
    lone.pass(ms(20));
    echoing(&mut lone, 0, first, Some((1, 5)));
    assert_eq!(lone.sent()[0], (0, SIZE));
    lone.pass(ms(5));
    echoing(&mut lone, 5, first, None);
    let info = lone.connection.info();
    assert!(info.snd_cwnd >= 10, "{info:?}");
    let counters = [Counter::TcpExtTCPPartialUndo, Counter::TcpExtTCPTSReorder, Counter::TcpExtTCPFullUndo];
    assert_eq!(counters.map(|counter| lone.count(counter)), [1, 1, 0]);
}

#[test]
fn a_recovery_is_not_undone_when_the_retransmission_is_echoed() {
    let (mut lone, first) = stamped_flight();
    lone.pass(ms(20));
    echoing(&mut lone, 0, first, Some((1, 5)));
    assert_eq!(lone.sent()[0], (0, SIZE));
    lone.pass(ms(20));
    echoing(&mut lone, 10, first + 20, None);
    let info = lone.connection.info();
    assert!(info.snd_cwnd <= 6, "{info:?}");
    assert_eq!(lone.count(Counter::TcpExtTCPFullUndo) + lone.count(Counter::TcpExtTCPPartialUndo), 0);
}

//= RFC 4015 §3.2, type=test
#[test]
fn a_time_out_is_undone_when_the_first_transmission_is_echoed() {
    let (mut lone, first) = stamped_flight();
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        lone.pass_to_deadline();
        lone.sent();
    }
    assert_eq!(lone.connection.info().snd_cwnd, 1);
    lone.pass(ms(1));
    echoing(&mut lone, 9, first, None);
    let info = lone.connection.info();
    assert!(info.snd_cwnd >= 10 && info.phase != Phase::Loss, "{info:?}");
    assert_eq!(lone.count(Counter::TcpExtTCPLossUndo), 1);
}

//= RFC 2018 §8, type=test
#[test]
fn what_the_peer_takes_back_is_sent_again_after_a_time_out() {
    let mut lone = Lone::established(sacking(), 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(10_000);
    assert_eq!(lone.sent().len(), 10);
    lone.pass(ms(20));
    // It has the third to the fifth, then acknowledges two and no more.
    lone.sack(0, 60_000, &[(2000, 5000)]);
    lone.sent();
    lone.sack(2000, 60_000, &[]);
    let waited = lone.pass_to_deadline();
    assert!(waited <= ms(40), "not as long as a time-out: {waited:?}");
    assert_eq!(lone.count(Counter::TcpExtTCPSACKReneging), 1);
    assert_eq!(lone.connection.info().sacked, 0, "no report is believed");
    assert_eq!(lone.sent().first(), Some(&(2000, 1000)), "what it had reported goes again");
}

/// The distances between six time-outs of a stream with one segment in flight.
fn time_outs(thin_linear: bool) -> Vec<u128> {
    let mut options = sacking();
    options.rare_mut().loss.thin_linear = thin_linear;
    let mut lone = Lone::established(options, 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(1000);
    lone.sent();
    let mut distances = Vec::new();
    let mut last = lone.now;
    for count in 1..=6 {
        while lone.count(Counter::TcpExtTCPTimeouts) < count {
            lone.pass_to_deadline();
            lone.sent();
        }
        distances.push(lone.now.saturating_since(last).as_millis());
        last = lone.now;
    }
    distances
}

#[test]
fn a_thin_stream_times_out_at_even_distances_where_that_is_set() {
    let doubling = time_outs(false);
    assert!(doubling.windows(2).skip(1).all(|pair| pair[1] == 2 * pair[0]), "{doubling:?}");
    let even = time_outs(true);
    // The first time-out comes before the stream is known to lose anything.
    assert!(even[2..].windows(2).all(|pair| pair[0] == pair[1]), "{even:?}");
}

/// What was sent after a retransmission, and arrives, tells that it was lost: it goes once more without a time-out.
//= RFC 8985 §3.1, type=test
#[test]
fn what_overtakes_a_retransmission_tells_that_it_was_lost() {
    let mut lone = Lone::established(sacking(), 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(10_000);
    assert_eq!(lone.sent().len(), 10);
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 5000)]);
    assert!(lone.sent().contains(&(0, 1000)), "sent again, and lost again");
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 9000)]);
    lone.sent();
    lone.write(1000);
    let fresh = lone.sent();
    assert_eq!(fresh, [(10_000, 1000)]);
    lone.pass(ms(25));
    lone.sack(0, 60_000, &[(10_000, 11_000), (1000, 10_000)]);
    while lone.sent().iter().all(|(offset, _)| *offset != 0) {
        assert!(lone.pass_to_deadline() < ms(100), "no time-out");
    }
    assert_eq!(lone.count(Counter::TcpExtTCPTimeouts), 0);
    assert_eq!(lone.count(Counter::TcpExtTCPLostRetransmit), 1);
}

#[test]
fn what_was_sent_and_sent_again_is_counted() {
    let mut lone = Lone::established(sacking(), 60_000, ms(20));
    lone.ack(0, 60_000);
    lone.write(3500);
    lone.connection.options.no_delay = true;
    assert_eq!(lone.sent().len(), 4);
    let info = lone.connection.info();
    assert_eq!((info.bytes_sent, info.bytes_retrans, info.data_segs_out), (3500, 0, 4));
    assert_eq!(info.segs_out, 6, "SYN and ACK besides");
    lone.pass(ms(20));
    lone.sack(0, 60_000, &[(1000, 3500)]);
    while lone.sent().is_empty() {
        lone.pass_to_deadline();
    }
    let info = lone.connection.info();
    assert_eq!((info.bytes_sent, info.bytes_retrans, info.data_segs_out), (4500, 1000, 5));
}

/// As Linux 6.18 tells it on the same script.
#[test]
fn what_a_sender_waited_for_is_told() {
    let mut lone = Lone::established(sacking(), 0, ms(10));
    lone.write(1000);
    assert_eq!(lone.sent(), [], "the window is closed");
    lone.pass(ms(100));
    let times = lone.connection.send_times(lone.now);
    assert_eq!((times.busy, times.peer), (ms(100), ms(100)));
    lone.ack(0, 2000);
    assert_eq!(lone.sent(), [(0, 1000)]);
    lone.pass(ms(30));
    lone.ack(1000, 2000);
    lone.sent();
    lone.pass(ms(500));
    let times = lone.connection.send_times(lone.now);
    assert_eq!((times.busy, times.peer, times.buffer), (ms(130), ms(100), ms(0)), "idle since");
}

/// A report has room for three blocks beside timestamps: what lies in a third one is not held back to be told of later.
#[test]
fn what_lies_behind_several_gaps_is_reported_in_time() {
    let mut lone = Lone::established(sacking(), 60_000, ms(100));
    lone.ack(0, 60_000);
    lone.write(1000);
    lone.sent();
    lone.pass(ms(100));
    lone.ack(1000, 60_000);
    let mut reports = Vec::new();
    // Every second segment is missing, and those that come do so at once.
    for number in 0..16 {
        lone.data(1000 + 2000 * number, &[7; 1000], None);
        let acks: Vec<Segment> = core::iter::from_fn(|| lone.poll()).collect();
        reports.extend(acks.into_iter().map(|ack| ack.options.sack));
    }
    let told = |number: u32| {
        let start = IRS + 1 + 1000 + 2000 * number;
        reports.iter().flatten().any(|(left, _)| *left == start)
    };
    let hidden: Vec<u32> = (0..15).filter(|number| !told(*number)).collect();
    assert_eq!(hidden, [], "{reports:?}");
}

/// As Linux counts them: acknowledgements of a gap for which another one stood.
#[test]
fn acknowledgements_of_a_gap_that_share_one_are_counted() {
    let (mut lone, first) = stamped_flight();
    let give = |lone: &mut Lone, number: u32| {
        lone.give(Segment {
            ack: Some(seq(ISS + 1)),
            window: UnscaledWindow(60_000),
            options: Lone::stamped(2, first),
            payload: Rope::from(pattern(0, SIZE as usize)),
            ..Segment::new(seq(IRS + 1 + number * SIZE))
        });
        core::iter::from_fn(|| lone.poll()).count()
    };
    // What the first echoes tells that a round trip is 20 ms: those behind the gap wait a twentieth of that.
    lone.pass(ms(20));
    (0..40).for_each(|number| _ = give(&mut lone, number));
    let acks: Vec<usize> = (41..47).map(|number| give(&mut lone, number)).collect();
    assert_eq!(acks, [1, 1, 1, 0, 0, 0], "the first few are not put together");
    assert_eq!(lone.pass_to_deadline(), ms(1));
    assert_eq!(lone.sent().len(), 1);
    assert_eq!(lone.count(Counter::TcpExtTCPAckCompressed), 2);
}
