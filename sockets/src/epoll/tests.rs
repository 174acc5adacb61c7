use super::*;

mod kernel;
mod model;

const IN: PollMask = PollMask::IN;
const OUT: PollMask = PollMask::OUT;
const NONE: PollMask = PollMask::NONE;

fn watching(events: u32) -> EpollSet<u8> {
    let mut set = EpollSet::new();
    assert_eq!(set.add(0, event(events, 0), Watched::Other, NONE), Ok(Delivery::Ignored));
    set
}

fn event(events: u32, data: u64) -> EpollEvent {
    EpollEvent { events, data }
}

/// The events of one wait at key 0, which is `ready`.
fn wait(set: &mut EpollSet<u8>, ready: PollMask) -> Option<u32> {
    let events = set.collect(8, |_| ready);
    assert!(events.len() <= 1);
    events.first().map(|event| event.events)
}

/// What Linux 6.18 reported of a TCP, a UDP and a local socket each.
#[test]
fn edges_count_wake_ups() {
    let mut set = watching(EPOLLIN | EPOLLET);
    let _ = set.on_event(&0, IN);
    let _ = set.on_event(&0, IN);
    assert_eq!(wait(&mut set, IN), Some(EPOLLIN), "two arrivals and no wait between");
    assert_eq!(wait(&mut set, IN), None);
    let _ = set.on_event(&0, IN);
    assert_eq!(wait(&mut set, IN), Some(EPOLLIN), "another arrival, the first unread");
    assert_eq!(wait(&mut set, IN), None, "what a partial read leaves");
    let _ = set.on_event(&0, IN);
    assert_eq!(wait(&mut set, NONE), None, "an arrival that was read before the wait");
    assert_eq!(wait(&mut set, IN), None, "and is gone with it");
}

#[test]
fn an_edge_reports_all_that_is_ready() {
    let mut set = watching(EPOLLIN | EPOLLOUT | EPOLLET);
    let _ = set.on_event(&0, IN);
    assert_eq!(wait(&mut set, IN | OUT), Some(EPOLLIN | EPOLLOUT));
    assert_eq!(set.modify(&0, event(EPOLLOUT | EPOLLET, 0), IN | OUT), Ok(Delivery::Queued));
    assert_eq!(wait(&mut set, IN | OUT), Some(EPOLLOUT));
    assert_eq!(set.on_event(&0, IN), Delivery::Ignored, "nobody asked for it");
    assert_eq!(wait(&mut set, IN | OUT), None);
    assert_eq!(set.on_event(&0, NONE), Delivery::Queued, "a wake-up without a mask is for all");
    assert_eq!(wait(&mut set, IN | OUT), Some(EPOLLOUT));
}

#[test]
fn control_calls_report_what_is_ready() {
    let mut set = EpollSet::new();
    assert_eq!(set.add(0, event(EPOLLIN | EPOLLET, 0), Watched::Other, IN), Ok(Delivery::Queued));
    assert_eq!(set.modify(&0, event(EPOLLIN | EPOLLET, 0), IN), Ok(Delivery::Ignored), "it is queued");
    assert_eq!(wait(&mut set, IN), Some(EPOLLIN));
    for _ in 0..2 {
        assert_eq!(set.modify(&0, event(EPOLLIN | EPOLLET, 0), IN), Ok(Delivery::Queued));
        assert_eq!(wait(&mut set, IN), Some(EPOLLIN));
    }
}

#[test]
fn level_triggered_watches_report_while_ready() {
    let mut set = watching(EPOLLIN);
    let _ = set.on_event(&0, IN);
    for _ in 0..3 {
        assert_eq!(wait(&mut set, IN), Some(EPOLLIN));
    }
    assert_eq!(wait(&mut set, NONE), None);
    assert!(!set.has_queued(), "what is not ready leaves the list");
}

#[test]
fn one_shot_watches_report_once() {
    let mut set = watching(EPOLLIN | EPOLLONESHOT);
    let _ = set.on_event(&0, IN);
    assert_eq!(wait(&mut set, IN), Some(EPOLLIN));
    assert_eq!(set.on_event(&0, PollMask::ERR | PollMask::HUP), Delivery::Ignored, "not even errors");
    assert_eq!(wait(&mut set, IN | PollMask::HUP), None);
    assert_eq!(set.modify(&0, event(EPOLLIN | EPOLLONESHOT, 0), IN), Ok(Delivery::Queued));
    assert_eq!(wait(&mut set, IN), Some(EPOLLIN));
}

#[test]
fn errors_and_ends_are_reported_unasked() {
    let mut set = watching(0);
    let _ = set.on_event(&0, PollMask::ERR);
    assert_eq!(wait(&mut set, IN | OUT | PollMask::ERR | PollMask::HUP), Some(EPOLLERR | EPOLLHUP));
    assert_eq!(set.modify(&0, event(EPOLLPRI, 0), PollMask::HUP), Ok(Delivery::Ignored), "it is queued");
    assert_eq!(wait(&mut set, PollMask::HUP), Some(EPOLLHUP));
}

#[test]
fn refusals_are_those_of_linux() {
    let mut set = watching(EPOLLIN);
    assert_eq!(set.modify(&1, event(EPOLLIN, 0), NONE), Err(Errno::NOENT));
    assert_eq!(set.remove(&1), Err(Errno::NOENT));
    assert_eq!(set.add(0, event(EPOLLIN, 0), Watched::Other, NONE), Err(Errno::EXIST));
    assert_eq!(set.modify(&1, event(EPOLLIN | EPOLLEXCLUSIVE, 0), NONE), Err(Errno::INVAL));
    assert_eq!(
        set.add(0, event(EPOLLPRI | EPOLLEXCLUSIVE, 0), Watched::Other, NONE),
        Err(Errno::INVAL),
        "before it is looked for"
    );
    assert_eq!(check_events(4, 0, Watched::Other), Err(Errno::INVAL));
    for (max, taken) in
        [(-1, false), (0, false), (1, true), (i32::MAX / 12, true), (i32::MAX / 12 + 1, false)]
    {
        assert_eq!(check_max_events(max).is_ok(), taken, "{max}");
    }
}

/// Each bit beside `EPOLLEXCLUSIVE`, as Linux 6.18 took it or not.
#[test]
fn exclusive_watches_take_few_events() {
    let taken = [EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLET, EPOLLWAKEUP];
    for bit in (0..32).map(|shift| 1 << shift).filter(|bit| *bit != EPOLLEXCLUSIVE) {
        let mut set = EpollSet::new();
        let answer = set.add(0, event(EPOLLEXCLUSIVE | bit, 0), Watched::Other, NONE);
        assert_eq!(answer.is_ok(), taken.contains(&bit), "{bit:#x}");
    }
    let mut set = watching(EPOLLIN | EPOLLEXCLUSIVE);
    assert_eq!(set.modify(&0, event(EPOLLIN, 0), NONE), Err(Errno::INVAL));
    assert_eq!(set.add(1, event(EPOLLIN | EPOLLEXCLUSIVE, 0), Watched::Epoll, NONE), Err(Errno::INVAL));
    assert_eq!(set.remove(&0), Ok(()));
}

#[test]
fn exclusive_watches_take_what_is_theirs_alone() {
    for (asked, mask, delivery) in [
        (EPOLLIN, IN, Delivery::QueuedExclusive),
        (EPOLLIN, IN | PollMask::RDNORM, Delivery::QueuedExclusive),
        (EPOLLIN | EPOLLOUT, OUT, Delivery::QueuedExclusive),
        (EPOLLIN, OUT, Delivery::Ignored),
        (EPOLLIN | EPOLLOUT, IN | OUT, Delivery::Queued),
        (EPOLLIN, OUT | PollMask::ERR, Delivery::Queued),
        (EPOLLIN, PollMask::ERR, Delivery::QueuedExclusive),
        (EPOLLIN, NONE, Delivery::QueuedExclusive),
    ] {
        assert_eq!(watching(asked | EPOLLEXCLUSIVE).on_event(&0, mask), delivery, "{asked:#x} {mask:?}");
    }
}

/// Five counters that are ready, waits for two at a time: the order Linux 6.18 gave.
#[test]
fn turns_go_round() {
    let mut ready = [true; 5];
    let mut set = EpollSet::new();
    for key in 0..5u8 {
        let _ = set.add(key, event(EPOLLIN, u64::from(key)), Watched::Other, IN).unwrap();
    }
    let mut turn = |ready: [bool; 5]| -> Vec<u64> {
        let mask = |key: &u8| if ready[usize::from(*key)] { IN } else { NONE };
        set.collect(2, mask).iter().map(|event| event.data).collect()
    };
    for turns in [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4], [0, 1]] {
        assert_eq!(turn(ready), turns);
    }
    ready[1] = false;
    ready[3] = false;
    for turns in [[2, 4], [0, 2], [4, 0], [2, 4]] {
        assert_eq!(turn(ready), turns);
    }
    let _ = set.on_event(&1, IN);
    ready[1] = true;
    let mut turn = || -> Vec<u64> {
        let mask = |key: &u8| if ready[usize::from(*key)] { IN } else { NONE };
        set.collect(2, mask).iter().map(|event| event.data).collect()
    };
    for turns in [[0, 2], [4, 1], [0, 2], [4, 1]] {
        assert_eq!(turn(), turns);
    }
}

#[test]
fn a_wait_looks_at_no_more_than_it_reports() {
    let mut set = EpollSet::new();
    for key in 0..10_000u32 {
        let _ = set.add(key, event(EPOLLIN, 0), Watched::Other, NONE).unwrap();
    }
    for key in [17, 9_000] {
        let _ = set.on_event(&key, IN);
    }
    let mut looked_at = Vec::new();
    let events = set.collect(64, |key| {
        looked_at.push(*key);
        IN
    });
    assert_eq!((events.len(), looked_at), (2, vec![17, 9_000]));
}

#[test]
fn an_instance_is_readable_while_a_wait_would_report() {
    let mut set = watching(EPOLLIN);
    assert_eq!(set.readiness(|_| IN), NONE, "nobody said that anything happened");
    let _ = set.on_event(&0, IN);
    for _ in 0..2 {
        assert_eq!(set.readiness(|_| IN), IN | PollMask::RDNORM);
    }
    assert_eq!(set.readiness(|_| NONE), NONE);
    assert!(!set.has_queued(), "what is not ready leaves the list");
}

/// Linux 6.18: an edge of the inner instance is an edge of the outer, though neither was waited for between.
#[test]
fn nested_instances_pass_every_wake_up_on() {
    let mut inner = watching(EPOLLIN);
    let mut outer = watching(EPOLLIN | EPOLLET);
    for _ in 0..2 {
        assert_eq!(inner.on_event(&0, IN), Delivery::Queued);
        assert_eq!(outer.on_event(&0, IN), Delivery::Queued);
        assert_eq!(wait(&mut outer, inner.readiness(|_| IN)), Some(EPOLLIN));
        assert_eq!(wait(&mut outer, inner.readiness(|_| IN)), None);
    }
}

#[test]
fn chains_have_five_instances_at_most() {
    let chain = |pairs: &[(u8, u8)], outer, inner| {
        let below = |set| pairs.iter().filter(|pair| pair.0 == set).map(|pair| pair.1).collect();
        let above = |set| pairs.iter().filter(|pair| pair.1 == set).map(|pair| pair.0).collect();
        check_nesting(outer, inner, below, above)
    };
    let four = [(1, 2), (2, 3), (3, 4)];
    assert_eq!(chain(&four, 4, 5), Ok(()), "at its end");
    assert_eq!(chain(&four, 5, 1), Ok(()), "at its head");
    let five = [(1, 2), (2, 3), (3, 4), (4, 5)];
    assert_eq!(chain(&five, 5, 6), Err(Errno::LOOP));
    assert_eq!(chain(&five, 6, 1), Err(Errno::LOOP));
    assert_eq!(chain(&five, 1, 5), Ok(()), "a short cut lengthens nothing");
    let threes = [(1, 2), (2, 3), (11, 12), (12, 13)];
    assert_eq!(chain(&threes, 3, 11), Err(Errno::LOOP));
    assert_eq!(chain(&threes, 2, 11), Ok(()));
    let ring = [(1, 2), (2, 3)];
    assert_eq!(chain(&ring, 3, 1), Err(Errno::LOOP));
    assert_eq!(chain(&ring, 2, 1), Err(Errno::LOOP));
    assert_eq!(chain(&ring, 1, 1), Err(Errno::INVAL));
}

#[test]
fn memory_is_given_back() {
    let mut set = EpollSet::with_limit(10_000);
    for key in 0..10_000u32 {
        let _ = set.add(key, event(EPOLLIN, 0), Watched::Other, IN).unwrap();
    }
    assert_eq!(set.add(10_000, event(EPOLLIN, 0), Watched::Other, IN), Err(Errno::NOSPC));
    for key in 0..10_000u32 {
        set.remove(&key).unwrap();
    }
    assert!(set.is_empty() && !set.has_queued() && set.keys().next().is_none());
    assert!(set.index.capacity() <= 2 * SHRINK_ABOVE, "{}", set.index.capacity());
}
