use tapsock_sockets::{Fd, PollMask};

use crate::engine::sync::Arc;
use crate::engine::wait::{Claim, Waiter, Waiters, Wake};

const SOCKET: Fd = Fd(3);

fn marked(waiters: &mut Waiters, ready: PollMask) -> usize {
    let mut count = 0;
    waiters.mark_ready(SOCKET, ready, |_| count += 1);
    count
}

fn taker(waiters: &mut Waiters, mask: PollMask, claim: Claim) -> Arc<Waiter> {
    let waiter = Arc::new(Waiter::new());
    waiters.add(SOCKET, &waiter, mask, claim);
    waiter
}

#[test]
fn one_taker_a_direction_and_all_watchers_are_woken() {
    let mut waiters = Waiters::default();
    let readers = [(); 3].map(|()| taker(&mut waiters, PollMask::WAIT_IN, Claim::Taker));
    let writer = taker(&mut waiters, PollMask::WAIT_OUT, Claim::Taker);
    let watchers = [(); 2].map(|()| taker(&mut waiters, PollMask::IN, Claim::Watcher));
    assert_eq!(marked(&mut waiters, PollMask::IN | PollMask::OUT), 4);
    assert_eq!(readers[0].woken(), Some(Wake::Ready));
    assert_eq!((readers[1].woken(), readers[2].woken()), (None, None));
    assert_eq!(writer.woken(), Some(Wake::Ready));
    assert!(watchers.iter().all(|watcher| watcher.woken() == Some(Wake::Ready)));

    assert_eq!(marked(&mut waiters, PollMask::IN), 0, "the first is on its way");
    waiters.remove(SOCKET, &readers[0]);
    assert_eq!(marked(&mut waiters, PollMask::IN), 1, "it passes on what it did not take");
    assert_eq!(readers[1].woken(), Some(Wake::Ready));
}

/// The first to come looks first. What it can't take is for those behind it, once each.
#[test]
fn who_looks_and_waits_on_passes_the_wake_up_on() {
    let mut waiters = Waiters::default();
    let readers = [(); 3].map(|()| taker(&mut waiters, PollMask::WAIT_IN, Claim::Taker));
    assert_eq!(marked(&mut waiters, PollMask::IN), 1);
    for (at, reader) in readers.iter().enumerate() {
        assert_eq!(reader.woken(), Some(Wake::Ready));
        reader.reset();
        let mut count = 0;
        waiters.pass_on(SOCKET, reader, || PollMask::IN, |_| count += 1);
        assert_eq!(count, usize::from(at < 2));
    }
    assert!(readers.iter().all(|reader| reader.woken().is_none()), "and then nobody is woken for it again");
}

#[test]
fn an_error_wakes_everybody() {
    let mut waiters = Waiters::default();
    let readers = [(); 3].map(|()| taker(&mut waiters, PollMask::WAIT_IN, Claim::Taker));
    assert_eq!(marked(&mut waiters, PollMask::ERR), 3);
    assert!(readers.iter().all(|reader| reader.woken() == Some(Wake::Ready)));
}

#[test]
fn readiness_that_nobody_waits_for_wakes_nobody() {
    let mut waiters = Waiters::default();
    let reader = taker(&mut waiters, PollMask::WAIT_IN, Claim::Taker);
    assert_eq!(marked(&mut waiters, PollMask::OUT), 0);
    assert!(waiters.any(SOCKET) && !waiters.any(Fd(2)) && !waiters.any(Fd(-1)));
    waiters.remove(SOCKET, &reader);
    assert!(!waiters.any(SOCKET));
}

#[test]
fn closed_outweighs_ready_and_is_told_once() {
    let mut waiters = Waiters::default();
    let reader = taker(&mut waiters, PollMask::WAIT_IN, Claim::Taker);
    assert_eq!(marked(&mut waiters, PollMask::IN), 1);
    let mut count = 0;
    waiters.mark_closed(SOCKET, |_| count += 1);
    waiters.mark_closed(SOCKET, |_| count += 1);
    assert_eq!((count, reader.woken()), (1, Some(Wake::Closed)));
    reader.mark(Wake::Ready);
    assert_eq!(reader.woken(), Some(Wake::Closed));
}

#[test]
fn the_latest_candidate_that_is_not_on_its_way_is_called() {
    let mut waiters = Waiters::default();
    let parked = [(); 3].map(|()| Arc::new(Waiter::new()));
    parked.iter().for_each(|waiter| waiters.add_candidate(waiter));
    parked[2].mark(Wake::Ready);
    assert!(waiters.call_candidate().is_some_and(|called| Arc::ptr_eq(&called, &parked[1])));
    waiters.remove_candidate(&parked[0]);
    assert!(waiters.call_candidate().is_none());
}
