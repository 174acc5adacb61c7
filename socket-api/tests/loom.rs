//! The engine's hand-overs under every interleaving: the outbox, the waiter, the baton, the mirror, the
//! wakers of tasks, and what ends the wait of a call.
//!
//! The files under test are compiled in here with loom's primitives in the place of the standard library's.

#[allow(dead_code, unreachable_pub)]
#[path = "."]
mod engine {
    pub(crate) mod sync {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
        pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};

        /// A thread that can be unparked wherever it is: loom's own takes one that waits for a lock for one that parks.
        #[derive(Clone)]
        pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

        loom::thread_local! {
            static THIS: Thread = Thread(Arc::new((Mutex::new(false), Condvar::new())));
        }

        pub(crate) fn current() -> Thread {
            THIS.with(Thread::clone)
        }

        impl Thread {
            pub(crate) fn unpark(&self) {
                *lock(&self.0.0) = true;
                self.0.1.notify_one();
            }
        }

        /// Time ends it as [`Thread::unpark`] does.
        pub(crate) fn park(_limit: Option<core::time::Duration>) {
            let Thread(this) = current();
            let mut unparked = lock(&this.0);
            while !core::mem::take(&mut *unparked) {
                unparked = this.1.wait(unparked).unwrap();
            }
        }

        pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
            mutex.lock().unwrap()
        }
    }

    /// It is the time that a model has set.
    pub(crate) mod clock {
        use loom::sync::atomic::{AtomicU64, Ordering};
        use tapsock_stack::time::Instant;

        loom::lazy_static! {
            static ref NOW: AtomicU64 = AtomicU64::new(0);
        }

        pub(crate) fn now() -> Instant {
            Instant::from_micros(NOW.load(Ordering::Acquire))
        }

        pub(crate) fn set(now: Instant) {
            NOW.store(now.as_micros(), Ordering::Release);
        }
    }

    #[path = "../src/engine/baton.rs"]
    pub(crate) mod baton;
    #[path = "../src/engine/blocking.rs"]
    pub(crate) mod blocking;
    #[path = "../src/engine/outbox.rs"]
    pub(crate) mod outbox;
    #[path = "../src/engine/reflection.rs"]
    pub(crate) mod reflection;
    #[path = "../src/engine/stats.rs"]
    pub(crate) mod stats;
    #[path = "../src/engine/wait.rs"]
    pub(crate) mod wait;
    #[path = "../src/engine/wakers.rs"]
    pub(crate) mod wakers;
}

#[path = "loom/ends.rs"]
mod ends;

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use engine::baton::{Baton, Rest};
use engine::outbox::{Fills, Flushed, Outbox, Own, ROOM, Room};
use engine::reflection::{Face, Reflection, Source};
use engine::stats::Stats;
use engine::sync::{Arc, Mutex, lock};
use engine::wait::{Claim, Waiter, Waiters, Wake};
use engine::wakers::{Direction, Seat, Wakers};
use loom::sync::Condvar;
use loom::thread;
use tapsock_driver::SendHalf;
use tapsock_sockets::{Fd, PollMask};
use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Transmit;

/// Tries every interleaving with at most `count` preemptions: all of them would take minutes.
fn with_preemptions(count: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(count);
    model.check(check);
}

fn frame(number: u8) -> Transmit {
    Transmit {
        headers: HeaderBlock::new(),
        payload: Rope::from(vec![number]),
        checksum: None,
        segmentation: None,
    }
}

/// A link that notes what it is given, and is full for the first `full` tries.
struct Note {
    sent: Arc<Mutex<Vec<u8>>>,
    full: usize,
}

impl SendHalf for Note {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if self.full > 0 {
            self.full -= 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lock(&self.sent).push(transmit.payload.to_vec()[0]);
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn dropped(&self) -> u64 {
        0
    }
}

/// A stack that numbers its frames, and an outbox of `room` behind it.
struct Line {
    stack: Mutex<VecDeque<u8>>,
    next: Mutex<u8>,
    outbox: Outbox,
    sent: Arc<Mutex<Vec<u8>>>,
    stats: Stats,
}

impl Line {
    fn new(room: usize, full: usize) -> Arc<Line> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let note = Note { sent: sent.clone(), full };
        Arc::new(Line {
            stack: Mutex::new(VecDeque::new()),
            next: Mutex::new(0),
            outbox: Outbox::new(Some(Box::new(note)), Fills::Link, Room { frames: room, ..ROOM }),
            sent,
            stats: Stats::default(),
        })
    }

    /// Makes the stack hold `count` frames more, and carries out; returns how the last flush ended.
    fn send(&self, count: u8) -> Flushed {
        let mut own = Own::default();
        {
            let mut stack = lock(&self.stack);
            let mut next = lock(&self.next);
            stack.extend(*next..*next + count);
            *next += count;
            drop(next);
            self.outbox.fill(&mut own, || stack.pop_front().map(frame));
        }
        loop {
            match self.outbox.flush(own, &mut usize::MAX.clone(), &self.stats) {
                Flushed::Starved => {
                    let mut stack = lock(&self.stack);
                    self.outbox.fill(&mut own, || stack.pop_front().map(frame));
                }
                ended => return ended,
            }
        }
    }

    fn assert_all_sent(&self, count: u8) {
        assert_eq!(*lock(&self.sent), (0..count).collect::<Vec<_>>());
        assert_eq!(self.outbox.waiting(), 0);
    }
}

#[test]
fn two_flushers_lose_nothing_and_keep_the_order() {
    loom::model(|| {
        let line = Line::new(8, 0);
        let other = line.clone();
        let thread = thread::spawn(move || drop(other.send(1)));
        line.send(2);
        thread.join().unwrap();
        line.assert_all_sent(3);
    });
}

#[test]
fn frames_that_found_no_room_follow_when_there_is_some() {
    with_preemptions(3, || {
        let line = Line::new(1, 0);
        let other = line.clone();
        let thread = thread::spawn(move || drop(other.send(1)));
        line.send(2);
        thread.join().unwrap();
        line.assert_all_sent(3);
    });
}

#[test]
fn a_full_link_is_taken_up_by_the_driver() {
    loom::model(|| {
        let line = Line::new(8, 1);
        let other = line.clone();
        let thread = thread::spawn(move || matches!(other.send(1), Flushed::Blocked));
        let blocked_here = matches!(line.send(1), Flushed::Blocked);
        let blocked_there = thread.join().unwrap();
        assert!(blocked_here != blocked_there, "the one refused is told, and nobody else");
        assert!(line.outbox.is_blocked());
        line.outbox.unblock();
        line.send(0);
        line.assert_all_sent(2);
    });
}

/// Two sockets, the threads that wait for them, and a link that brings readiness.
struct Model {
    state: Mutex<Sockets>,
    /// Sockets that a frame has come for, and not been read yet.
    link: Mutex<VecDeque<usize>>,
    came: Condvar,
}

struct Sockets {
    ready: [bool; 2],
    waiters: Waiters,
    baton: Baton,
    driver: Option<Arc<Waiter>>,
}

impl Model {
    fn new() -> Arc<Model> {
        let mut baton = Baton::new(Rest::Grace(Duration::ZERO));
        // The background has been robbed and sleeps: the callers are on their own.
        assert!(baton.take());
        let _ = baton.release(Instant::ZERO);
        let waiters = Waiters::default();
        let state = Sockets { ready: [false; 2], waiters, baton, driver: None };
        Arc::new(Model { state: Mutex::new(state), link: Mutex::new(VecDeque::new()), came: Condvar::new() })
    }

    fn bring(&self, socket: usize) {
        lock(&self.link).push_back(socket);
        self.came.notify_all();
    }

    /// Blocks until `socket` is ready and takes it: the outline of `Shard::block`.
    fn take(&self, socket: usize) {
        let waiter = Arc::new(Waiter::new());
        let mut state = lock(&self.state);
        state.waiters.add(Fd(socket as i32), &waiter, PollMask::WAIT_IN, Claim::Taker);
        while !std::mem::take(&mut state.ready[socket]) {
            waiter.reset();
            let drives = state.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(driver, &waiter));
            if drives || state.baton.take() {
                state.driver = Some(waiter.clone());
                drop(state);
                let came = self.sleep_on_link();
                state = lock(&self.state);
                state.ready[came] = true;
                let mut wakes = Vec::new();
                state.waiters.mark_ready(Fd(came as i32), PollMask::IN, |woken| wakes.push(woken.clone()));
                drop(state);
                wakes
                    .iter()
                    .filter(|woken| !Arc::ptr_eq(woken, &waiter))
                    .for_each(|woken| _ = woken.unpark());
                state = lock(&self.state);
            } else {
                state.waiters.add_candidate(&waiter);
                drop(state);
                while waiter.woken().is_none() {
                    waiter.park(None);
                }
                state = lock(&self.state);
                state.waiters.remove_candidate(&waiter);
            }
        }
        state.waiters.remove(Fd(socket as i32), &waiter);
        if state.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(driver, &waiter)) {
            state.driver = None;
            let _ = state.baton.release(Instant::ZERO);
        }
        let next = if state.driver.is_none() { state.waiters.call_candidate() } else { None };
        drop(state);
        next.inspect(|next| _ = next.unpark());
    }

    fn sleep_on_link(&self) -> usize {
        let mut link = lock(&self.link);
        loop {
            match link.pop_front() {
                Some(socket) => return socket,
                None => link = self.came.wait(link).unwrap(),
            }
        }
    }
}

#[test]
fn the_baton_never_lies_while_somebody_waits() {
    with_preemptions(3, || {
        let model = Model::new();
        let other = model.clone();
        let thread = thread::spawn(move || other.take(1));
        model.bring(0);
        let wire = model.clone();
        let network = thread::spawn(move || wire.bring(1));
        model.take(0);
        thread.join().unwrap();
        network.join().unwrap();
    });
}

#[test]
fn a_mark_before_the_park_is_not_lost() {
    loom::model(|| {
        let state = Arc::new(Mutex::new((false, Waiters::default())));
        let waiter = Arc::new(Waiter::new());
        let other = state.clone();
        let thread = thread::spawn(move || {
            let mut woken = None;
            let mut state = lock(&other);
            state.0 = true;
            state.1.mark_ready(Fd(0), PollMask::IN, |waiter| woken = Some(waiter.clone()));
            drop(state);
            woken.inspect(|waiter| _ = waiter.unpark());
        });
        let mut held = lock(&state);
        if !held.0 {
            held.1.add(Fd(0), &waiter, PollMask::IN, Claim::Taker);
            drop(held);
            while waiter.woken().is_none() {
                waiter.park(None);
            }
            assert_eq!(waiter.woken(), Some(Wake::Ready));
            assert!(lock(&state).0);
        } else {
            drop(held);
        }
        thread.join().unwrap();
    });
}

/// A socket that is as ready as its lock says.
struct State(Arc<Mutex<PollMask>>);

impl Source for State {
    fn readiness(&self) -> PollMask {
        *lock(&self.0)
    }
}

/// What was shown last, and the edges that were let through.
#[derive(Default)]
struct Seen {
    ready: PollMask,
    edges: PollMask,
}

impl Face for Seen {
    fn show(&mut self, ready: PollMask, edges: PollMask) {
        self.ready = ready;
        self.edges |= edges;
    }
}

#[test]
fn a_mirror_shows_the_newest_state_and_every_edge_whoever_refreshes_it_last() {
    with_preemptions(3, || {
        let state = Arc::new(Mutex::new(PollMask::NONE));
        let mirror = Arc::new(Reflection::new(State(state.clone()), Seen::default()));
        let arrival = {
            let (state, mirror) = (state.clone(), mirror.clone());
            thread::spawn(move || {
                let mut ready = lock(&state);
                *ready |= PollMask::IN;
                mirror.hear(PollMask::IN);
                drop(ready);
                mirror.refresh();
            })
        };
        // A call that takes what is there is no edge, but it changes the state.
        let mut ready = lock(&state);
        *ready = PollMask::OUT;
        drop(ready);
        mirror.refresh();
        arrival.join().unwrap();
        mirror.with_face(|seen| {
            assert_eq!(seen.ready, *lock(&state));
            assert_eq!(seen.edges, PollMask::IN);
        });
    });
}

/// Counts how often a task is woken.
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_finds_nothing_is_woken_by_what_comes() {
    with_preemptions(3, || {
        let (bytes, wakers) = (Arc::new(Mutex::new(0)), Arc::new(Wakers::default()));
        let (sent, told) = (bytes.clone(), wakers.clone());
        let sender = thread::spawn(move || {
            let mut bytes = lock(&sent);
            *bytes += 1;
            let somebody = told.hear(PollMask::IN);
            drop(bytes);
            if somebody {
                told.wake();
            }
        });
        let woken = std::sync::Arc::new(Woken(Default::default()));
        let waker = std::task::Waker::from(woken.clone());
        // Another task's call that finds nothing, in between.
        let seen = wakers.edge(Direction::Read);
        if *lock(&bytes) == 0 {
            wakers.would_wait(Direction::Read, seen);
        }
        let mut received = false;
        while let std::task::Poll::Ready(seen) = wakers.poll(Direction::Read, Seat::Poll, &waker) {
            if *lock(&bytes) > 0 {
                received = true;
                break;
            }
            wakers.would_wait(Direction::Read, seen);
        }
        sender.join().unwrap();
        assert!(received || woken.0.load(std::sync::atomic::Ordering::SeqCst) == 1);
    });
}
