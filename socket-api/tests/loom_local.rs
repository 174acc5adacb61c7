//! The waits of local sockets under every interleaving: a `Cell`, and the threads that wait for what it holds.
//!
//! The files under test are compiled in here with loom's primitives in the place of the standard library's.

#[allow(dead_code, unreachable_pub)]
#[path = "."]
mod engine {
    pub(crate) mod sync {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
        pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
        pub(crate) use loom::thread::{Thread, current};

        pub(crate) fn park(_limit: Option<core::time::Duration>) {
            loom::thread::park();
        }

        pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
            mutex.lock().unwrap()
        }
    }

    pub(crate) mod call {
        use super::sync::Arc;
        use super::wait::Waiter;

        pub(crate) fn this_thread() -> Arc<Waiter> {
            Arc::new(Waiter::new())
        }
    }

    /// No time passes.
    pub(crate) mod clock {
        use tapsock_stack::time::Instant;

        pub(crate) fn now() -> Instant {
            Instant::ZERO
        }
    }

    #[path = "../src/engine/stats.rs"]
    pub(crate) mod stats;
    #[path = "../src/engine/wait.rs"]
    pub(crate) mod wait;
}

#[allow(dead_code, private_bounds, unreachable_pub)]
#[path = "."]
mod local {
    use rustix::io::Errno;
    use tapsock_sockets::PollMask;

    use super::engine::stats::Count;
    use super::engine::sync::Arc;
    use super::engine::wait::{Sharing, Watcher};
    use cell::{Cell, Halt, Patience, Queue, Shared};

    #[path = "../src/local/audience.rs"]
    mod audience;
    #[path = "../src/local/cell.rs"]
    pub(crate) mod cell;
    #[path = "../src/local/look.rs"]
    mod look;

    /// What a cell knows of its host. Nobody looks before he sleeps, and nothing is collected.
    #[derive(Default)]
    pub(crate) struct Locals {
        spin: core::time::Duration,
        flights: Flights,
        parks: Count,
    }

    #[derive(Default)]
    struct Flights;

    impl Flights {
        fn is_collecting(&self) -> bool {
            false
        }

        fn stand_aside(&self) {}
    }

    fn everything(events: &mut cell::Events) {
        events.push((0, PollMask::NONE));
        events.push((1, PollMask::NONE));
    }

    /// Bytes that lie in a queue, and how many it has room for.
    pub(crate) struct Store {
        bytes: usize,
        room: usize,
    }

    /// Those who take bytes out wait here.
    const READERS: Queue = 0;
    /// Those who put some in wait here.
    const WRITERS: Queue = 1;

    impl Shared for Store {
        fn readiness(&self, queue: Queue) -> PollMask {
            match queue {
                READERS if self.bytes > 0 => PollMask::IN,
                WRITERS if self.bytes < self.room => PollMask::OUT,
                _ => PollMask::NONE,
            }
        }
    }

    pub(crate) fn store(room: usize) -> Arc<Cell<Store>> {
        Cell::new(Store { bytes: 0, room }, &Arc::new(Locals::default()))
    }

    /// Takes one, and waits for it.
    pub(crate) fn take(cell: &Cell<Store>) -> Result<(), Errno> {
        cell.call(READERS, PollMask::IN, Patience::Until(None), |store, events| {
            if store.bytes == 0 {
                return Err(Halt::Wait);
            }
            store.bytes -= 1;
            events.push((WRITERS, PollMask::OUT));
            Ok(())
        })
    }

    /// Puts one in, and waits for room.
    pub(crate) fn put(cell: &Cell<Store>) -> Result<(), Errno> {
        cell.call(WRITERS, PollMask::OUT, Patience::Until(None), |store, events| {
            if store.bytes == store.room {
                return Err(Halt::Wait);
            }
            store.bytes += 1;
            events.push((READERS, PollMask::IN));
            Ok(())
        })
    }

    /// Puts several in at once, whether there is room or not.
    pub(crate) fn pour(cell: &Cell<Store>, count: usize) {
        cell.with(|store, events| {
            store.bytes += count;
            events.push((READERS, PollMask::IN));
        });
    }

    /// Closes the socket of those who take.
    pub(crate) fn close(cell: &Cell<Store>) {
        cell.close(READERS, |_| {});
    }

    /// Tells `watcher` of what happens to those who take.
    pub(crate) fn watch(cell: &Cell<Store>, watcher: Arc<dyn Watcher>) {
        let audience = Arc::new(audience::Audience::default());
        audience.add(watcher, Sharing::Everyone);
        cell.attach(READERS, &audience);
    }

    /// Whether there is something to take.
    pub(crate) fn is_readable(cell: &Cell<Store>) -> bool {
        !cell.lock().state.readiness(READERS).is_empty()
    }
}

use std::sync::atomic::{AtomicUsize, Ordering};

use engine::sync::Arc;
use engine::wait::{Reach, Waiter, Watcher};
use loom::thread;
use rustix::io::Errno;
use tapsock_sockets::PollMask;

use local::{close, is_readable, pour, put, store, take, watch};

/// Tries every interleaving with at most `count` preemptions. One in which a thread waits for good is a failure.
fn with_preemptions(count: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(count);
    model.check(check);
}

#[test]
fn what_comes_wakes_who_waits_and_so_does_room() {
    with_preemptions(3, || {
        let cell = store(1);
        let far = cell.clone();
        let writer = thread::spawn(move || [put(&far), put(&far)]);
        assert_eq!([take(&cell), take(&cell)], [Ok(()), Ok(())]);
        assert_eq!(writer.join().unwrap(), [Ok(()), Ok(())]);
    });
}

/// One wake-up is for one of those who take: that one passes on what it leaves.
#[test]
fn two_that_come_at_once_are_taken_by_two() {
    with_preemptions(3, || {
        let cell = store(2);
        let takers = [cell.clone(), cell.clone()].map(|cell| thread::spawn(move || take(&cell)));
        pour(&cell, 2);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Ok(()));
        }
        assert!(!is_readable(&cell));
    });
}

#[test]
fn who_waits_hears_of_a_close_and_loses_nothing_to_it() {
    with_preemptions(3, || {
        let cell = store(1);
        let (near, far) = (cell.clone(), cell.clone());
        let taker = thread::spawn(move || take(&near));
        let closer = thread::spawn(move || close(&far));
        pour(&cell, 1);
        closer.join().unwrap();
        match taker.join().unwrap() {
            Ok(()) => assert!(!is_readable(&cell)),
            outcome => assert_eq!((outcome, is_readable(&cell)), (Err(Errno::BADF), true)),
        }
    });
}

/// Counts what it is told of.
struct Told(std::sync::Arc<AtomicUsize>);

impl Watcher for Told {
    fn notify(&self, _: PollMask, _: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        self.0.fetch_add(1, Ordering::SeqCst);
        Reach::Further
    }
}

/// Who begins to watch and then looks misses nothing: it sees what was there, or is told of it.
#[test]
fn what_comes_while_a_watch_begins_is_seen_or_told() {
    with_preemptions(3, || {
        let cell = store(1);
        let far = cell.clone();
        let sender = thread::spawn(move || pour(&far, 1));
        let told = std::sync::Arc::new(AtomicUsize::new(0));
        let watcher: std::sync::Arc<dyn Watcher> = std::sync::Arc::new(Told(told.clone()));
        watch(&cell, Arc::from_std(watcher));
        let seen = is_readable(&cell);
        sender.join().unwrap();
        assert!(seen || told.load(Ordering::SeqCst) > 0);
    });
}
