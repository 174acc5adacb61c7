use proptest::prelude::*;

use super::*;

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
    #[test]
    fn agrees_with_a_record_for_each_byte(base: u32, ops in proptest::collection::vec(op(), 0..80)) {
        let mut scoreboard = Scoreboard::new();
        let mut una = SeqNumber::new(base);
        let mut model: Vec<(Byte, u64)> = Vec::new();
        for (time, op) in ops.into_iter().enumerate() {
            let time = time as u64;
            let now = Instant::from_millis(time);
            match op {
                Op::Send(len) => {
                    let nxt = una + model.len() as u32;
                    scoreboard.on_sent(range(nxt, nxt + len).expect("not empty"), 1, now);
                    model.extend(vec![(Byte::InFlight, time); len as usize]);
                }
                Op::Acknowledge(count) => {
                    let count = count.min(model.len() as u32);
                    una += count;
                    let delivered = scoreboard.acknowledge(una);
                    let fresh = model.drain(..count as usize).filter(|(byte, _)| *byte != Byte::Sacked).count();
                    prop_assert_eq!(delivered.bytes as usize, fresh);
                }
                Op::Sack(from, len) => {
                    let delivered = scoreboard.on_sack(range(una + from, una + from + len).expect("not empty"));
                    let mut fresh = 0;
                    for (byte, _) in model.iter_mut().skip(from as usize).take(len as usize) {
                        fresh += u32::from(*byte != Byte::Sacked);
                        *byte = Byte::Sacked;
                    }
                    prop_assert_eq!(delivered.bytes, fresh);
                }
                Op::ResendNext(max) => {
                    let first = model.iter().position(|(byte, _)| *byte == Byte::Lost);
                    let next = scoreboard.next_lost();
                    prop_assert_eq!(next.map(|next| (next.start() - una) as usize), first);
                    if let Some(next) = next {
                        let end = next.end().earliest(next.start() + max);
                        scoreboard.on_resent(range(next.start(), end).expect("not empty"), 1, now);
                        for at in (next.start() - una)..(end - una) {
                            prop_assert_eq!(model[at as usize].0, Byte::Lost);
                            model[at as usize] = (Byte::Resent, time);
                        }
                    }
                }
                Op::LoseFront(len) => {
                    let fate = model.first().map(|(byte, _)| *byte);
                    let before = scoreboard.lost();
                    scoreboard.lose_front(len);
                    let lost = (scoreboard.lost() - before) as usize;
                    if matches!(fate, Some(Byte::InFlight | Byte::Resent)) {
                        prop_assert!(lost > 0 && lost <= len as usize);
                        model[..lost].iter_mut().for_each(|(byte, _)| *byte = Byte::Lost);
                    } else {
                        prop_assert_eq!(lost, 0);
                    }
                }
                Op::LoseOlder(limit) => {
                    scoreboard.lose(|sent| sent.at < Instant::from_millis(limit));
                    for (byte, sent) in &mut model {
                        if matches!(byte, Byte::InFlight | Byte::Resent) && *sent < limit {
                            *byte = Byte::Lost;
                        }
                    }
                }
                Op::LoseAll => {
                    scoreboard.lose_all();
                    let reneged = model.first().is_some_and(|(byte, _)| *byte == Byte::Sacked);
                    for (byte, _) in &mut model {
                        if reneged || *byte != Byte::Sacked {
                            *byte = Byte::Lost;
                        }
                    }
                }
            }
            let count = |what| model.iter().filter(|(byte, _)| *byte == what).count() as u32;
            prop_assert_eq!(scoreboard.sacked(), count(Byte::Sacked));
            prop_assert_eq!(scoreboard.lost(), count(Byte::Lost));
            prop_assert_eq!(scoreboard.in_flight(), count(Byte::InFlight) + count(Byte::Resent));
            prop_assert_eq!(scoreboard.is_empty(), model.is_empty());
        }
    }
}

#[test]
fn only_segments_that_are_too_large_are_lost_for_their_size() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(3000)).expect("not empty"), 1000, Instant::ZERO);
    scoreboard.on_sent(range(seq(3000), seq(3400)).expect("not empty"), 1000, Instant::from_secs(1));
    scoreboard.on_sent(range(seq(3400), seq(5000)).expect("not empty"), 800, Instant::from_secs(2));
    scoreboard.on_sack(range(seq(1000), seq(2000)).expect("not empty"));
    assert!(!scoreboard.lose_larger(1000));
    assert!(scoreboard.lose_larger(900));
    assert_eq!(scoreboard.lost(), 2000);
    assert!(scoreboard.lose_larger(500));
    assert_eq!((scoreboard.lost(), scoreboard.in_flight()), (3600, 400));
}

#[test]
fn reports_of_what_was_never_sent_change_nothing() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(100), seq(200)).expect("not empty"), 10, Instant::ZERO);
    scoreboard.on_sack(range(seq(200), seq(900)).expect("not empty"));
    scoreboard.on_sack(range(seq(20), seq(100)).expect("not empty"));
    assert_eq!((scoreboard.sacked(), scoreboard.in_flight()), (0, 100));
    assert_eq!(scoreboard.highest_sacked(), None);
}

#[test]
fn sacked_neighbours_become_one_record() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    for n in 0..100 {
        let sent = range(seq(n * 10), seq(n * 10 + 10)).expect("not empty");
        scoreboard.on_sent(sent, 10, Instant::from_millis(n.into()));
    }
    for n in 1..100 {
        scoreboard.on_sack(range(seq(n * 10), seq(n * 10 + 10)).expect("not empty"));
    }
    assert_eq!(scoreboard.records.len(), 2);
}

#[test]
fn reports_of_parts_of_segments_cut_nothing() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(10_500)).expect("not empty"), 1000, Instant::ZERO);
    for n in 0..5000 {
        scoreboard.on_sack(range(seq(2 * n + 1), seq(2 * n + 2)).expect("not empty"));
    }
    assert_eq!((scoreboard.sacked(), scoreboard.records.len()), (0, 1));
    scoreboard.on_sack(range(seq(1500), seq(3500)).expect("not empty"));
    assert_eq!(scoreboard.sacked(), 1000, "one whole segment");
    scoreboard.on_sack(range(seq(9000), seq(10_500)).expect("not empty"));
    assert_eq!(scoreboard.sacked(), 2500, "the last may be shorter");
}

/// A flight of the least segments, of which the peer has reported every second one for as long as it was believed.
fn shredded() -> (Scoreboard, u32) {
    let seq = SeqNumber::new;
    let (mut scoreboard, size, bursts) = (Scoreboard::new(), 36, 64);
    for n in 0..bursts {
        let sent = range(seq(n * 65_520), seq((n + 1) * 65_520)).expect("not empty");
        scoreboard.on_sent(sent, size as u16, Instant::from_millis(n.into()));
    }
    let segments = bursts * 65_520 / size;
    for n in (1..segments).step_by(2) {
        scoreboard.on_sack(range(seq(n * size), seq((n + 1) * size)).expect("not empty"));
    }
    (scoreboard, segments)
}

#[test]
fn a_peer_that_reports_every_second_segment_is_bounded() {
    let (scoreboard, segments) = shredded();
    assert!(segments as usize > 10 * MAX_RECORDS);
    assert!(scoreboard.records.len() <= MAX_RECORDS + 1, "{}", scoreboard.records.len());
    assert!(scoreboard.is_full());
    assert_eq!(scoreboard.in_flight() + scoreboard.sacked(), segments * 36);
}

#[test]
fn sending_again_segment_by_segment_is_bounded_too() {
    let (mut scoreboard, segments) = shredded();
    scoreboard.lose_all();
    let mut sent = 0;
    while let Some(lost) = scoreboard.next_lost() {
        let end = lost.end().earliest(lost.start() + 36);
        let part = range(lost.start(), end).expect("not empty");
        scoreboard.on_resent(part, 36, Instant::from_millis(1000 + u64::from(sent)));
        sent += 1;
    }
    assert!(sent > segments / 2);
    assert_eq!((scoreboard.lost(), scoreboard.in_flight() + scoreboard.sacked()), (0, segments * 36));
    assert!(scoreboard.records.len() <= 2 * MAX_RECORDS, "{}", scoreboard.records.len());
}

#[test]
fn what_was_sent_again_is_cut_as_it_was_sent() {
    let seq = SeqNumber::new;
    let mut scoreboard = Scoreboard::new();
    scoreboard.on_sent(range(seq(0), seq(9000)).expect("not empty"), 1500, Instant::ZERO);
    scoreboard.lose_all();
    scoreboard.on_resent(range(seq(0), seq(8000)).expect("not empty"), 1000, Instant::from_millis(1));
    scoreboard.on_sack(range(seq(1000), seq(3000)).expect("not empty"));
    assert_eq!(scoreboard.sacked(), 2000);
}
