//! State under a lock of its own, and the threads that wait for it.

use rustix::io::Errno;
use tapsock_sockets::PollMask;
use tapsock_stack::time::Instant;

use arrayvec::ArrayVec;

use crate::engine::call::this_thread;
use crate::engine::clock::now;
use crate::engine::sync::{Arc, Mutex, MutexGuard, lock};
use crate::engine::wait::{Claim, WaitQueue, Waiter, Wake, WakeList};

use super::Locals;
use super::audience::Audience;
use super::look::{self, Look};

/// Which of the queues of a cell: a number below [`QUEUES`].
pub(super) type Queue = usize;

/// Queues of a cell: one for each end of a pair, or for each role.
pub(super) const QUEUES: usize = 2;

/// State that a cell holds.
pub(super) trait Shared {
    /// The events of whoever waits in `queue`.
    fn readiness(&self, queue: Queue) -> PollMask;
}

/// What an attempt has brought about: in which queue, and what. An empty mask stands for a change of everything.
pub(super) type Events = ArrayVec<(Queue, PollMask), 4>;

/// A thing that several threads share, under one lock.
pub(crate) struct Cell<T> {
    guarded: Mutex<Guarded<T>>,
    host: Arc<Locals>,
}

pub(super) struct Guarded<T> {
    pub(super) state: T,
    queues: [WaitQueue; QUEUES],
    /// Who watches the sockets to which the queues belong.
    audiences: [Option<Arc<Audience>>; QUEUES],
    /// Who is told of the next event of a queue, and then no more.
    once: Vec<(Queue, Arc<Audience>)>,
    /// Whether those who wait in each queue look before they sleep.
    looks: [Look; QUEUES],
    /// Whether the sockets to which the queues belong are closed.
    closed: [bool; QUEUES],
    /// The numbers of the sockets to which the queues belong, where sockets can be passed to them.
    pub(super) owners: [u64; QUEUES],
}

/// An attempt that can't be done yet.
#[derive(Debug)]
pub(super) enum Halt {
    /// It would block.
    Wait,
    /// It failed.
    Error(Errno),
}

impl From<Errno> for Halt {
    fn from(errno: Errno) -> Self {
        Halt::Error(errno)
    }
}

/// How long a call waits.
#[derive(Copy, Clone, Debug)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until then, or for ever.
    Until(Option<Instant>),
}

impl<T: Shared> Cell<T> {
    /// For sockets of `host`.
    pub(super) fn new(state: T, host: &Arc<Locals>) -> Arc<Self> {
        let guarded = Guarded {
            state,
            queues: Default::default(),
            audiences: Default::default(),
            once: Vec::new(),
            looks: [(); QUEUES].map(|()| Look::new(host.spin)),
            closed: [false; QUEUES],
            owners: [0; QUEUES],
        };
        Arc::new(Cell { guarded: Mutex::new(guarded), host: host.clone() })
    }

    /// Locks the state, to look at it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Guarded<T>> {
        lock(&self.guarded)
    }

    /// Changes the state in a way that never waits.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut T, &mut Events) -> R) -> R {
        change_in(self.lock(), change)
    }

    /// As [`with`](Self::with), by the socket to which `queue` belongs.
    ///
    /// Errors: EBADF where that is closed.
    pub(super) fn change<R>(
        &self,
        queue: Queue,
        change: impl FnOnce(&mut T, &mut Events) -> R,
    ) -> Result<R, Errno> {
        let guarded = self.lock();
        if guarded.closed[queue] { Err(Errno::BADF) } else { Ok(change_in(guarded, change)) }
    }

    /// As [`change`](Self::change), of what may take rights out of queues: not while a search counts them.
    pub(super) fn take_out<R>(
        &self,
        queue: Queue,
        change: impl FnOnce(&mut T, &mut Events) -> R,
    ) -> Result<R, Errno> {
        let guarded = self.lock_to_take();
        if guarded.closed[queue] { Err(Errno::BADF) } else { Ok(change_in(guarded, change)) }
    }

    /// Locks the state, to take something out of its queues: a search that is on comes first.
    fn lock_to_take(&self) -> MutexGuard<'_, Guarded<T>> {
        loop {
            let guarded = self.lock();
            if !self.host.flights.is_collecting() {
                return guarded;
            }
            drop(guarded);
            self.host.flights.stand_aside();
        }
    }

    /// Does `attempt` until it comes to an end, waiting in `queue` for `mask` as long as `patience` lasts.
    ///
    /// Errors: those of `attempt`; EAGAIN when the time is over; EBADF where the socket to which `queue` belongs is
    /// closed, or is while the call waits.
    pub(super) fn call<R>(
        &self,
        queue: Queue,
        mask: PollMask,
        patience: Patience,
        mut attempt: impl FnMut(&mut T, &mut Events) -> Result<R, Halt>,
    ) -> Result<R, Errno> {
        let mut guarded = self.lock();
        let mut waiter: Option<Arc<Waiter>> = None;
        let outcome = loop {
            if self.host.flights.is_collecting() {
                drop(guarded);
                self.host.flights.stand_aside();
                guarded = self.lock();
                continue;
            }
            if guarded.closed[queue] {
                break (Err(Errno::BADF), Wakes::default());
            }
            let mut events = Events::new();
            let outcome = attempt(&mut guarded.state, &mut events);
            let mut wakes = guarded.announce(&events);
            match outcome {
                Ok(value) => break (Ok(value), wakes),
                Err(Halt::Error(errno)) => break (Err(errno), wakes),
                Err(Halt::Wait) => {}
            }
            let Patience::Until(deadline) = patience else { break (Err(Errno::AGAIN), wakes) };
            if deadline.is_some_and(|deadline| deadline <= now()) {
                break (Err(Errno::AGAIN), wakes);
            }
            if let Some(seat) = waiter.as_ref().filter(|seat| seat.woken() == Some(Wake::Ready)) {
                let ready = || guarded.state.readiness(queue);
                guarded.queues[queue].pass_on(seat, ready, |waiter| wakes.threads.push(waiter.clone()));
            }
            let seat = waiter.get_or_insert_with(|| {
                let seat = this_thread();
                guarded.queues[queue].add(&seat, mask, Claim::Taker);
                seat
            });
            seat.reset();
            let window = guarded.looks[queue].window();
            let audience = guarded.audiences[queue].clone().filter(|audience| audience.is_interested());
            drop(guarded);
            wake(wakes);
            // What it has done so far may have left its socket less ready.
            if let Some(audience) = audience {
                audience.look_again();
            }
            let (waited, found) = look::wait(seat, window, deadline, &self.host.parks);
            guarded = self.lock();
            guarded.looks[queue].learn(waited, found);
        };
        let (result, mut wakes) = outcome;
        if let Some(seat) = waiter {
            guarded.queues[queue].remove(&seat);
            // What this thread did not take is another's.
            let ready = guarded.state.readiness(queue);
            guarded.queues[queue].mark_ready(ready, |waiter| wakes.threads.push(waiter.clone()));
        }
        drop(guarded);
        wake(wakes);
        result
    }

    /// Puts a thread in that only looks, until [`forget`](Self::forget).
    pub(super) fn watch(&self, queue: Queue, waiter: &Arc<Waiter>, mask: PollMask) {
        self.lock().queues[queue].add(waiter, mask, Claim::Watcher);
    }

    /// Takes it out again.
    pub(super) fn forget(&self, queue: Queue, waiter: &Arc<Waiter>) {
        self.lock().queues[queue].remove(waiter);
    }

    /// Tells `audience` from now on of all that happens in `queue`.
    pub(super) fn attach(&self, queue: Queue, audience: &Arc<Audience>) {
        self.lock().audiences[queue] = Some(audience.clone());
    }

    /// Closes the socket to which `queue` belongs by `change`, and ends the calls that wait for it, all in one hold of the
    /// lock: they don't see the closed socket's state. A search comes first, for what lies in its queues leaves them.
    pub(super) fn close<R>(&self, queue: Queue, change: impl FnOnce(&mut T) -> R) -> R {
        let mut guarded = self.lock_to_take();
        guarded.closed[queue] = true;
        let result = change(&mut guarded.state);
        let mut events = Events::new();
        super::everything(&mut events);
        let mut wakes = guarded.announce(&events);
        guarded.queues[queue].mark_closed(|waiter| wakes.threads.push(waiter.clone()));
        drop(guarded);
        wake(wakes);
        result
    }

    /// Has those who wait in `queue` look again.
    pub(super) fn stir(&self, queue: Queue) {
        self.with(|_, events| events.push((queue, PollMask::NONE)));
    }
}

impl<T: Shared> Guarded<T> {
    /// Tells `audience` of the next event of `queue`.
    pub(super) fn attach_once(&mut self, queue: Queue, audience: &Arc<Audience>) {
        if !self.once.iter().any(|(at, other)| *at == queue && Arc::ptr_eq(other, audience)) {
            // Those whose sockets are gone meanwhile need no place.
            self.once.retain(|(_, other)| other.is_interested());
            self.once.push((queue, audience.clone()));
        }
    }

    /// Marks those whom `events` concern.
    fn announce(&mut self, events: &Events) -> Wakes {
        let mut wakes = Wakes::default();
        for &(queue, what) in events {
            if let Some(audience) = self.audiences[queue].as_ref().filter(|one| one.is_interested()) {
                wakes.tales.push((audience.clone(), what));
            }
            let once = self.once.extract_if(.., |(at, _)| *at == queue);
            wakes.tales.extend(once.map(|(_, audience)| (audience, what)));
            if !self.queues[queue].is_empty() {
                let mark = |waiter: &Arc<Waiter>| wakes.threads.push(waiter.clone());
                match what.is_empty() {
                    true => self.queues[queue].mark_all(mark),
                    false => self.queues[queue].mark_ready(self.state.readiness(queue), mark),
                }
            }
        }
        wakes
    }
}

/// Changes what is `guarded`, lets go of it, and tells of the change.
fn change_in<T: Shared, R>(
    mut guarded: MutexGuard<'_, Guarded<T>>,
    change: impl FnOnce(&mut T, &mut Events) -> R,
) -> R {
    let mut events = Events::new();
    let result = change(&mut guarded.state, &mut events);
    let wakes = guarded.announce(&events);
    drop(guarded);
    wake(wakes);
    result
}

/// What is to be done when the lock is gone.
#[derive(Default)]
struct Wakes {
    threads: WakeList,
    tales: Vec<(Arc<Audience>, PollMask)>,
}

/// Tells and wakes. An epoll instance asks its sockets how ready they are under its own lock, so it is told without any
/// of theirs.
fn wake(mut wakes: Wakes) {
    for (audience, what) in wakes.tales {
        audience.tell(what, &mut wakes.threads);
    }
    wakes.threads.unpark_all();
}
