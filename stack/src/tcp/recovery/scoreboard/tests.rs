use proptest::prelude::*;

use super::*;
use crate::tcp::recovery::delivery::Known;
use core::time::Duration;

/// How segments of `size` are sent at `millis`.
fn sending(size: u16, millis: u64) -> Sending {
    Sending { now: Instant::from_millis(millis), size, burst: u32::MAX, progress: Progress::default() }
}

fn delivered() -> Delivered {
    let zero = SeqNumber::new(0);
    let (now, min_rtt) = (Instant::from_secs(9), Duration::ZERO);
    Delivered::new(Known { now, min_rtt, highest: zero, high_seq: zero, echo: None })
}

fn report(scoreboard: &mut Scoreboard, start: u32, end: u32) -> Delivered {
    let mut delivered = delivered();
    let range = range(SeqNumber::new(start), SeqNumber::new(end)).expect("not empty");
    scoreboard.on_sack(range, &mut delivered);
    delivered
}

fn range(start: SeqNumber, end: SeqNumber) -> Option<SeqRange> {
    SeqRange::new(start, end)
}

/// One entry a byte: what a scoreboard should say, in the plainest form.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Byte {
    InFlight,
    Sacked,
    Lost,
    Resent,
}

#[derive(Clone, Debug)]
enum Op {
    Send(u32),
    Acknowledge(u32),
    Sack(u32, u32),
    ResendNext(u32),
    LoseFront(u32),
    LoseOlder(u64),
    LoseAll,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1u32..20).prop_map(Op::Send),
        2 => (0u32..25).prop_map(Op::Acknowledge),
        3 => (0u32..80, 1u32..20).prop_map(|(from, len)| Op::Sack(from, len)),
        2 => (1u32..15).prop_map(Op::ResendNext),
        1 => (1u32..10).prop_map(Op::LoseFront),
        1 => (0u64..40).prop_map(Op::LoseOlder),
        1 => Just(Op::LoseAll),
    ]
}

proptest! {
    //= RFC 8985 §4 MUST-2, type=test
    //= RFC 6675 §5 MUST-1, type=test
    #[test]
    fn agrees_with_a_record_for_each_byte(base: u32, ops in proptest::collection::vec(op(), 0..80)) {
        let mut scoreboard = Scoreboard::new();
        let mut una = SeqNumber::new(base);
        let mut model: Vec<(Byte, u64)> = Vec::new();
        for (time, op) in ops.into_iter().enumerate() {
            let time = time as u64;
            match op {
                Op::Send(len) => {
                    let nxt = una + model.len() as u32;
                    scoreboard.on_sent(range(nxt, nxt + len).expect("not empty"), sending(1, time));
                    model.extend(vec![(Byte::InFlight, time); len as usize]);
                }
                Op::Acknowledge(count) => {
                    let count = count.min(model.len() as u32);
                    una += count;
                    let mut delivered = delivered();
                    scoreboard.acknowledge(una, &mut delivered);
                    let fresh = model.drain(..count as usize).filter(|(byte, _)| *byte != Byte::Sacked).count();
                    prop_assert_eq!((delivered.segments as usize, delivered.acked), (fresh, count));
                }
                Op::Sack(from, len) => {
                    let mut delivered = delivered();
                    let block = range(una + from, una + from + len).expect("not empty");
                    scoreboard.on_sack(block, &mut delivered);
                    let mut fresh = 0;
                    for (byte, _) in model.iter_mut().skip(from as usize).take(len as usize) {
                        fresh += u32::from(*byte != Byte::Sacked);
                        *byte = Byte::Sacked;
                    }
                    prop_assert_eq!(delivered.segments, fresh);
                }
                Op::ResendNext(max) => {
                    let first = model.iter().position(|(byte, _)| *byte == Byte::Lost);
                    let next = scoreboard.next_lost();
                    prop_assert_eq!(next.map(|next| (next.start() - una) as usize), first);
                    if let Some(next) = next {
                        let end = next.end().earliest(next.start() + max);
                        let part = range(next.start(), end).expect("not empty");
                        prop_assert_eq!(scoreboard.on_resent(part, sending(1, time)), part.len());
                        for at in (next.start() - una)..(end - una) {
                            prop_assert_eq!(model[at as usize].0, Byte::Lost);
                            model[at as usize] = (Byte::Resent, time);
                        }
                    }
                }
                Op::LoseFront(len) => {
                    let fate = model.first().map(|(byte, _)| *byte);
                    let lost = scoreboard.lose_front(len).total() as usize;
                    if fate == Some(Byte::InFlight) {
                        prop_assert!(lost > 0 && lost <= len as usize);
                        model[..lost].iter_mut().for_each(|(byte, _)| *byte = Byte::Lost);
                    } else {
                        prop_assert_eq!(lost, 0);
                    }
                }
                Op::LoseOlder(limit) => {
                    scoreboard.lose(|sent| {
                        let older = sent.last.at < Instant::from_millis(limit);
                        if older { Judgement::Lost } else { Judgement::TooYoung }
                    });
                    for (byte, sent) in &mut model {
                        if matches!(byte, Byte::InFlight | Byte::Resent) && *sent < limit {
                            *byte = Byte::Lost;
                        }
                    }
                }
                Op::LoseAll => {
                    let reneged = scoreboard.is_reneged();
                    if reneged {
                        scoreboard.forget_reports();
                    }
                    scoreboard.lose_with_front(|_| true);
                    let reneged_too = model.first().is_some_and(|(byte, _)| *byte == Byte::Sacked);
                    prop_assert_eq!(reneged, reneged_too);
                    for (byte, _) in &mut model {
                        if reneged || *byte != Byte::Sacked {
                            *byte = Byte::Lost;
                        }
                    }
                }
            }
            let count = |what| model.iter().filter(|(byte, _)| *byte == what).count() as u32;
            prop_assert_eq!(scoreboard.sacked(), count(Byte::Sacked));
            prop_assert_eq!(scoreboard.lost(), count(Byte::Lost) + count(Byte::Resent));
            prop_assert_eq!(scoreboard.resending(), count(Byte::Resent));
            prop_assert_eq!(scoreboard.in_flight(), count(Byte::InFlight) + count(Byte::Resent));
            prop_assert_eq!(scoreboard.is_empty(), model.is_empty());
        }
    }
}

#[test]
fn only_segments_that_are_too_large_are_lost_for_their_size() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(3000)).expect("not empty"), sending(1000, 0));
    scoreboard.on_sent(range(seq(3000), seq(3400)).expect("not empty"), sending(1000, 1000));
    scoreboard.on_sent(range(seq(3400), seq(5000)).expect("not empty"), sending(800, 2000));
    report(&mut scoreboard, 1000, 2000);
    assert_eq!(scoreboard.lose_larger(1000).total(), 0);
    assert_eq!(scoreboard.lose_larger(900).fresh, 2);
    assert_eq!(scoreboard.lose_larger(500).fresh, 2);
    assert_eq!((scoreboard.lost(), scoreboard.in_flight()), (4, 1));
}

#[test]
fn reports_of_what_was_never_sent_change_nothing() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(100), seq(200)).expect("not empty"), sending(10, 0));
    report(&mut scoreboard, 200, 900);
    report(&mut scoreboard, 20, 100);
    assert_eq!((scoreboard.sacked(), scoreboard.in_flight()), (0, 10));
    assert_eq!(scoreboard.highest_sacked(), None);
}

#[test]
fn sacked_neighbours_become_one_record() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    for n in 0..100 {
        let sent = range(seq(n * 10), seq(n * 10 + 10)).expect("not empty");
        scoreboard.on_sent(sent, sending(10, n.into()));
    }
    for n in 1..100 {
        report(&mut scoreboard, n * 10, n * 10 + 10);
    }
    assert_eq!(scoreboard.parts(), 2);
}

#[test]
fn reports_of_parts_of_segments_cut_nothing() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(10_500)).expect("not empty"), sending(1000, 0));
    for n in 0..5000 {
        report(&mut scoreboard, 2 * n + 1, 2 * n + 2);
    }
    assert_eq!((scoreboard.sacked(), scoreboard.parts()), (0, 1));
    report(&mut scoreboard, 1500, 3500);
    assert_eq!(scoreboard.sacked(), 1, "one whole segment");
    report(&mut scoreboard, 9000, 10_500);
    assert_eq!(scoreboard.sacked(), 3, "the last may be shorter");
}

/// A flight of the least segments, of which the peer has reported every second one for as long as it was believed.
fn shredded() -> (Scoreboard, u32) {
    let seq = SeqNumber::new;
    let (mut scoreboard, size, bursts) = (Scoreboard::new(), 36, 64);
    for n in 0..bursts {
        let sent = range(seq(n * 65_520), seq((n + 1) * 65_520)).expect("not empty");
        scoreboard.on_sent(sent, sending(size as u16, n.into()));
    }
    let segments = bursts * 65_520 / size;
    for n in (1..segments).step_by(2) {
        report(&mut scoreboard, n * size, (n + 1) * size);
    }
    (scoreboard, segments)
}

#[test]
fn a_peer_that_reports_every_second_segment_is_bounded() {
    let (scoreboard, segments) = shredded();
    assert!(segments as usize > 10 * MAX_RECORDS);
    assert!(scoreboard.parts() <= MAX_RECORDS + 1, "{}", scoreboard.parts());
    assert!(scoreboard.is_full());
    assert_eq!(scoreboard.in_flight() + scoreboard.sacked(), segments);
}

#[test]
fn sending_again_segment_by_segment_is_bounded_too() {
    let (mut scoreboard, segments) = shredded();
    scoreboard.lose_with_front(|_| true);
    let mut sent = 0;
    while let Some(lost) = scoreboard.next_lost() {
        let end = lost.end().earliest(lost.start() + 36);
        let part = range(lost.start(), end).expect("not empty");
        scoreboard.on_resent(part, sending(36, 1000 + u64::from(sent)));
        sent += 1;
    }
    assert!(sent > segments / 2);
    assert_eq!(scoreboard.lost(), scoreboard.resending());
    assert_eq!(scoreboard.in_flight() + scoreboard.sacked(), segments);
    assert!(scoreboard.parts() <= 2 * MAX_RECORDS, "{}", scoreboard.parts());
}

#[test]
fn sending_again_in_segments_of_changing_size_is_bounded_too() {
    let (mut scoreboard, _) = shredded();
    scoreboard.lose_with_front(|_| true);
    let mut sent = 0;
    while let Some(lost) = scoreboard.next_lost() {
        // A peer has us do so that reports more ranges and fewer by turns.
        let size = [36, 24][sent as usize % 2];
        let part = range(lost.start(), lost.end().earliest(lost.start() + size)).expect("not empty");
        scoreboard.on_resent(part, sending(size as u16, 1000 + sent));
        sent += 1;
        assert!(scoreboard.parts() <= MAX_PARTS, "{}", scoreboard.parts());
    }
    assert_eq!(scoreboard.parts(), MAX_PARTS, "the bound was met");
    assert_eq!(scoreboard.lost(), scoreboard.resending());
    let mut news = delivered();
    scoreboard.acknowledge(SeqNumber::new(64 * 65_520), &mut news);
    assert!(scoreboard.is_empty() && scoreboard.outstanding() == 0 && scoreboard.in_flight() == 0);
    assert_eq!((scoreboard.lost(), scoreboard.resending(), scoreboard.sacked()), (0, 0, 0));
}

#[test]
fn what_was_sent_again_is_cut_as_it_was_sent() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(9000)).expect("not empty"), sending(1500, 0));
    assert_eq!(scoreboard.outstanding(), 6);
    scoreboard.lose_with_front(|_| true);
    let part = range(seq(0), seq(8000)).expect("not empty");
    assert_eq!(scoreboard.on_resent(part, sending(1000, 1)), 8);
    assert_eq!(
        (scoreboard.outstanding(), scoreboard.resending()),
        (9, 8),
        "what is left is a segment of its own"
    );
    assert_eq!(report(&mut scoreboard, 1000, 3000).segments, 2);
    assert_eq!((scoreboard.sacked(), scoreboard.in_flight()), (2, 6));
}

#[test]
fn a_segment_is_acknowledged_with_its_last_byte() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(3000)).expect("not empty"), sending(1000, 0));
    let mut news = delivered();
    scoreboard.acknowledge(seq(2500), &mut news);
    assert_eq!((news.acked, scoreboard.outstanding()), (2, 1));
    scoreboard.acknowledge(seq(2999), &mut news);
    assert_eq!((news.acked, scoreboard.outstanding()), (2, 1));
    scoreboard.acknowledge(seq(3000), &mut news);
    assert_eq!((news.acked, scoreboard.outstanding()), (3, 0));
}

#[test]
fn a_fin_is_a_segment_only_where_it_goes_alone() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent_with_fin(range(seq(0), seq(2001)).expect("not empty"), sending(1000, 0));
    assert_eq!(scoreboard.outstanding(), 2);
    assert_eq!(scoreboard.tail(), range(seq(1000), seq(2001)));
    let mut alone = Scoreboard::new();
    alone.on_sent_with_fin(range(seq(0), seq(1)).expect("not empty"), sending(1000, 0));
    assert_eq!((alone.outstanding(), alone.tail()), (1, range(seq(0), seq(1))));
}

#[test]
fn what_was_late_is_lost_no_more_though_it_was_sent_again() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(3000)).expect("not empty"), sending(1000, 0));
    scoreboard.lose_with_front(|_| true);
    scoreboard.on_resent(range(seq(0), seq(1000)).expect("not empty"), sending(1000, 1));
    scoreboard.lose_nothing();
    assert_eq!(
        (scoreboard.lost(), scoreboard.resending(), scoreboard.in_flight()),
        (0, 1, 4),
        "both are in flight"
    );
    scoreboard.acknowledge(seq(1000), &mut delivered());
    assert_eq!((scoreboard.resending(), scoreboard.in_flight()), (0, 2));
}

#[test]
fn looking_for_losses_costs_no_more_than_what_was_overtaken() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    let segments = 4000;
    for n in 0..segments {
        scoreboard.on_sent(range(seq(n * 10), seq(n * 10 + 10)).expect("not empty"), sending(10, n.into()));
    }
    for n in (1..segments).step_by(2) {
        report(&mut scoreboard, n * 10, n * 10 + 10);
    }
    let mut judged = 0;
    let look = |scoreboard: &mut Scoreboard, judged: &mut u32, limit: u64| {
        let losses = scoreboard.lose(|sent| {
            *judged += 1;
            if sent.last.at < Instant::from_millis(limit) { Judgement::Lost } else { Judgement::TooYoung }
        });
        losses.total()
    };
    for limit in 0..1000 {
        look(&mut scoreboard, &mut judged, limit);
    }
    assert_eq!(
        (scoreboard.lost(), judged),
        (500, 500 + 1000),
        "each that was lost, and the first that was not"
    );

    for n in 0..500 {
        let lost = scoreboard.next_lost().expect("one is left");
        assert_eq!(lost.start(), seq(n * 20));
        assert_eq!(scoreboard.flight.due_from, lost.start(), "the next look begins here");
        scoreboard.on_resent(lost, sending(10, 5000));
    }
    assert_eq!(scoreboard.next_lost(), None);
    // Those sent again come after all others.
    judged = 0;
    assert_eq!(look(&mut scoreboard, &mut judged, 5000), 1500);
    assert_eq!(judged, 1501);
}

/// A time-out that was in error is taken back, and with it that anything is lost; what was sent again for it is still on its way.
/// The next time-out sends the first part all the same.
#[test]
fn a_time_out_sends_the_first_part_again_whatever_came_before() {
    let mut scoreboard = Scoreboard::new();
    let part = |start, end| range(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
    scoreboard.on_sent(part(0, 3000), sending(1000, 0));
    scoreboard.lose_with_front(|_| true);
    scoreboard.on_resent(part(0, 1000), sending(1000, 200));
    scoreboard.lose_nothing();
    assert_eq!((scoreboard.lost(), scoreboard.resending()), (0, 1));
    scoreboard.lose_with_front(|_| false);
    assert_eq!((scoreboard.lost(), scoreboard.resending()), (1, 0));
    assert_eq!(scoreboard.next_lost(), Some(part(0, 1000)));
}

/// The same where another part was sent again, and came: it counts as sent again until it is acknowledged.
#[test]
fn a_time_out_sends_the_first_part_again_whatever_else_was_sent_again() {
    let mut scoreboard = Scoreboard::new();
    let part = |start, end| range(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
    scoreboard.on_sent(part(0, 3000), sending(1000, 0));
    scoreboard.lose_with_front(|_| true);
    scoreboard.on_resent(part(1000, 2000), sending(1000, 200));
    scoreboard.lose_nothing();
    report(&mut scoreboard, 1000, 2000);
    scoreboard.lose_with_front(|_| false);
    assert_eq!((scoreboard.lost(), scoreboard.resending()), (1, 1));
    assert_eq!(scoreboard.next_lost(), Some(part(0, 1000)));
}
