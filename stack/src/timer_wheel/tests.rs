use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the wheel should do, the slow way.
#[derive(Default)]
struct Model {
    deadlines: BTreeMap<u32, Instant>,
    now: Instant,
}

impl Model {
    fn schedule(&mut self, index: u32, at: Instant) {
        let deadline = self.deadlines.entry(index).or_insert(at);
        *deadline = at.min(*deadline);
    }

    fn due(&self) -> Vec<u32> {
        self.deadlines.iter().filter(|(_, at)| **at <= self.now).map(|(index, _)| *index).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.deadlines.values().min().copied()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Schedule(u32, Duration),
    ScheduleAt(u32, u64),
    Cancel(u32),
    PopOne,
    Advance(Duration),
    AdvanceToNext,
}

/// Spans from a nanosecond to days, each order of magnitude as likely as the others.
fn span() -> impl Strategy<Value = Duration> {
    let magnitudes = (0u32..50, any::<u64>()).prop_map(|(bits, random)| random % (1u64 << bits));
    let familiar = prop_oneof![
        Just(0),
        Just(1),
        Just(40_000_000),        // delayed acknowledgement
        Just(200_000_000),       // the least RTO
        Just(60_000_000_000),    // TIME-WAIT
        Just(7_200_000_000_000)  // keepalive
    ];
    prop_oneof![magnitudes, familiar].prop_map(Duration::from_nanos)
}

fn op() -> impl Strategy<Value = Op> {
    let index = 0u32..40;
    prop_oneof![
        8 => (index.clone(), span()).prop_map(|(index, after)| Op::Schedule(index, after)),
        1 => (index.clone(), any::<u64>()).prop_map(|(index, at)| Op::ScheduleAt(index, at)),
        2 => index.prop_map(Op::Cancel),
        1 => Just(Op::PopOne),
        2 => span().prop_map(Op::Advance),
        4 => Just(Op::AdvanceToNext),
    ]
}

fn drain(wheel: &mut TimerWheel, now: Instant) -> Vec<u32> {
    let mut fired: Vec<u32> = core::iter::from_fn(|| wheel.pop_expired(now)).collect();
    fired.sort_unstable();
    fired
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn fires_what_the_model_fires(start in span(), ops in proptest::collection::vec(op(), 0..200)) {
        let mut model = Model { now: Instant::ZERO + start, ..Model::default() };
        let mut wheel = TimerWheel::new(model.now);
        for op in ops {
            match op {
                Op::Schedule(index, after) => {
                    wheel.schedule(index, model.now + after);
                    model.schedule(index, model.now + after);
                }
                Op::ScheduleAt(index, at) => {
                    wheel.schedule(index, Instant::from_nanos(at));
                    model.schedule(index, Instant::from_nanos(at));
                }
                Op::Cancel(index) => {
                    wheel.cancel(index);
                    model.deadlines.remove(&index);
                }
                Op::PopOne => match wheel.pop_expired(model.now) {
                    Some(index) => {
                        let at = model.deadlines.remove(&index);
                        prop_assert!(at.is_some_and(|at| at <= model.now));
                    }
                    None => prop_assert_eq!(model.due(), Vec::<u32>::new()),
                },
                Op::Advance(by) => {
                    model.now += by;
                    let due = model.due();
                    prop_assert_eq!(drain(&mut wheel, model.now), &due[..]);
                    model.deadlines.retain(|index, _| !due.contains(index));
                }
                Op::AdvanceToNext => {
                    // A driver that sleeps until what it is told gets there, after one early wake-up at most for
                    // each cancelled entry.
                    if let Some(next) = model.next() {
                        let mut wakes = 0;
                        while let Some(wake) = wheel.next_deadline().filter(|wake| *wake < next) {
                            prop_assert_eq!(wheel.pop_expired(wake), None);
                            wakes += 1;
                            prop_assert!(wakes <= 200, "spins at {:?}", wake);
                        }
                        model.now = model.now.max(next);
                        let due = model.due();
                        prop_assert_eq!(drain(&mut wheel, model.now), &due[..]);
                        model.deadlines.retain(|index, _| !due.contains(index));
                    }
                }
            }
            prop_assert_eq!(wheel.len(), model.deadlines.len());
            match (wheel.next_deadline(), model.next()) {
                (Some(told), Some(next)) => prop_assert!(told <= next || told.max(next) <= model.now),
                (told, next) => prop_assert_eq!(told, next),
            }
            for index in 0..40 {
                prop_assert_eq!(wheel.deadline(index), model.deadlines.get(&index).copied());
            }
        }
    }

    #[test]
    fn without_cancelling_the_next_deadline_is_exact(
        start in span(),
        spans in proptest::collection::vec(span(), 1..100),
    ) {
        let start = Instant::ZERO + start;
        let mut wheel = TimerWheel::new(start);
        let mut deadlines: Vec<Instant> = spans.iter().map(|span| start + *span).collect();
        for (index, deadline) in deadlines.iter().enumerate() {
            wheel.schedule(index as u32, *deadline);
        }
        deadlines.sort_unstable();
        deadlines.dedup();
        drain(&mut wheel, start);
        for deadline in deadlines.into_iter().filter(|deadline| *deadline > start) {
            prop_assert_eq!(wheel.next_deadline(), Some(deadline));
            prop_assert!(!drain(&mut wheel, deadline).is_empty());
        }
        prop_assert_eq!(wheel.next_deadline(), None);
    }
}

#[test]
fn a_later_deadline_does_nothing_and_an_earlier_one_moves() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    wheel.schedule(1, Instant::from_secs(5));
    wheel.schedule(1, Instant::from_secs(9));
    assert_eq!(wheel.deadline(1), Some(Instant::from_secs(5)));
    wheel.schedule(1, Instant::from_secs(2));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(2)));
    assert_eq!(wheel.pop_expired(Instant::from_secs(2)), Some(1));
    // Fired, it holds nothing back.
    wheel.schedule(1, Instant::from_secs(9));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(9)));
}

#[test]
fn nothing_fires_a_nanosecond_early() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    for (index, nanos) in [1, 65_535, 65_536, 1_000_000_007, 7_200_000_000_001].into_iter().enumerate() {
        wheel.schedule(index as u32, Instant::from_nanos(nanos));
        assert_eq!(wheel.pop_expired(Instant::from_nanos(nanos - 1)), None);
        assert_eq!(wheel.pop_expired(Instant::from_nanos(nanos)), Some(index as u32));
    }
}

#[test]
fn what_is_scheduled_in_the_past_is_due_at_once() {
    let now = Instant::from_secs(100);
    let mut wheel = TimerWheel::new(now);
    wheel.schedule(3, Instant::from_secs(1));
    assert!(wheel.next_deadline() <= Some(now));
    assert_eq!(wheel.pop_expired(now), Some(3));
    assert_eq!(wheel.pop_expired(now), None);
}

#[test]
fn the_due_can_still_be_cancelled_or_put_off() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    let later = Instant::from_secs(1);
    for index in 0..3 {
        wheel.schedule(index, later);
    }
    let first = wheel.pop_expired(later).expect("three are due");
    let (second, third) = ((first + 1) % 3, (first + 2) % 3);
    wheel.cancel(second);
    wheel.schedule(third, Instant::from_secs(50));
    assert_eq!(wheel.pop_expired(later), Some(third));
    assert_eq!(wheel.pop_expired(later), None);
    assert!(wheel.is_empty());
}

#[test]
fn time_does_not_run_backwards() {
    let mut wheel = TimerWheel::new(Instant::from_secs(10));
    wheel.schedule(0, Instant::from_secs(20));
    assert_eq!(wheel.pop_expired(Instant::from_secs(15)), None);
    wheel.schedule(1, Instant::from_secs(12));
    assert_eq!(wheel.pop_expired(Instant::from_secs(11)), Some(1));
    assert_eq!(wheel.pop_expired(Instant::from_secs(20)), Some(0));
}

#[test]
fn the_last_instant_has_a_slot() {
    let end = Instant::from_nanos(u64::MAX);
    let mut wheel = TimerWheel::new(Instant::ZERO);
    wheel.schedule(0, end);
    assert_eq!(wheel.pop_expired(end - Duration::from_nanos(1)), None);
    assert_eq!(wheel.next_deadline(), Some(end));
    assert_eq!(wheel.pop_expired(end), Some(0));
}

/// The entries of a wheel with 200,000 of them are each moved a few times in all, not once for each expiry.
#[test]
fn many_entries_move_a_bounded_number_of_times() {
    const ENTRIES: u32 = 200_000;
    let mut wheel = TimerWheel::new(Instant::ZERO);
    for index in 0..ENTRIES {
        // Two hours and a bit, all within 0.2 seconds: as many keepalive timers of connections made at once.
        wheel.schedule(index, Instant::from_secs(7_200) + Duration::from_micros(u64::from(index)));
    }
    let started = std::time::Instant::now();
    let mut fired = 0;
    while let Some(deadline) = wheel.next_deadline() {
        assert!(wheel.pop_expired(deadline).is_some());
        fired += 1;
    }
    assert_eq!(fired, ENTRIES);
    // Milliseconds in fact; quadratic work would take minutes.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
