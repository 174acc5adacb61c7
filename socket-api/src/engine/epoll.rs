//! Epoll instances: what happens to sockets comes in, whoever waits is woken, and readiness is asked for when a wait
//! reports.
//!
//! An instance has one lock, which stands between the shard's and those of local sockets: a report asks sockets of
//! both kinds how ready they are while it holds it, so that no edge gets lost in between. What happens is told under the
//! shard's lock, or, by local sockets, under none. Who watches whom changes under the shard's lock only.

mod bridge;
mod real;
mod watch;

use core::mem;
use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use rustix::io::Errno;
use tapsock_sockets::epoll::{Delivery, EpollEvent, EpollSet};
use tapsock_sockets::{PollMask, Sockets};
use tapsock_stack::time::Instant;

use super::call::{Seat, this_threads_kick};
use super::shard::{Shard, Turn};
use super::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use super::wait::{Claim, Reach, WaitQueue, Waiter, Wake, Watcher, Watchers};
use crate::description::Shares;

pub(crate) use bridge::{Bridge, Heard};
pub(crate) use real::{Beside, Real};
pub(crate) use watch::Watch;

use bridge::Hearing;
use watch::Key;

/// How ready an instance is that has something to report.
const READY: PollMask = PollMask::from_bits(0x1 | 0x40);

/// An epoll instance.
pub(crate) struct Epoll {
    shard: Arc<Shard>,
    shares: Shares,
    inner: Mutex<Inner>,
    /// The real descriptors, once there was one.
    real: OnceLock<Arc<Real>>,
    /// Who hears of them from outside. Its lock comes before all others; system calls are made under it.
    hearing: Mutex<Hearing>,
    /// Whether it watches instances, or has.
    nests: AtomicBool,
    /// Whether they come first in the next report, if it has room for one event only.
    real_first: AtomicBool,
    /// O_NONBLOCK, which means nothing here.
    nonblocking: AtomicBool,
    /// Whether somebody shows how ready it is: a mirror of it, or of an instance above.
    observed: AtomicBool,
}

#[derive(Default)]
struct Inner {
    set: EpollSet<Key>,
    watches: HashMap<Key, Arc<Watch>>,
    /// The instances among what is watched.
    below: Vec<Arc<Epoll>>,
    /// The threads in `epoll_wait`, in the order in which they came. One that was marked is no longer among them.
    waiting: VecDeque<Arc<Waiter>>,
    /// The threads in `poll` on this instance.
    pollers: WaitQueue,
    /// The watches of instances that watch this one.
    above: Watchers,
    closed: bool,
}

/// Whether a thread may sleep.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Seated {
    /// It will be woken.
    Yes,
    /// Something may be ready already.
    Queued,
    /// There is nothing to wait for.
    Closed,
}

impl Epoll {
    /// An instance that watches nothing.
    pub(crate) fn new(shard: &Arc<Shard>) -> Arc<Self> {
        Arc::new(Epoll {
            shard: shard.clone(),
            shares: Shares::new(),
            inner: Mutex::default(),
            real: OnceLock::new(),
            hearing: Mutex::default(),
            nests: AtomicBool::new(false),
            real_first: AtomicBool::new(true),
            nonblocking: AtomicBool::new(false),
            observed: AtomicBool::new(false),
        })
    }

    /// The shard of its host.
    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    /// Whether O_NONBLOCK is set, which changes nothing.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Who holds it, and who watches it.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Waits until something is ready, or `deadline`: epoll_wait(2). Reports `max` events at most. A deadline that has
    /// passed makes it look once, at the link too.
    ///
    /// Errors: EBADF where the instance is closed by another thread.
    pub(crate) fn wait(&self, max: usize, deadline: Option<Instant>) -> Result<Vec<EpollEvent>, Errno> {
        let events = self.wait_open(max, deadline)?;
        // The kernel tells of real descriptors all the same.
        if (events.is_empty() || self.real.get().is_some()) && lock(&self.inner).closed {
            return Err(Errno::BADF);
        }
        Ok(events)
    }

    fn wait_open(&self, max: usize, deadline: Option<Instant>) -> Result<Vec<EpollEvent>, Errno> {
        self.look_below();
        let mut events = self.real_share(max);
        let mut turn = self.shard.turn();
        turn.collect();
        events.extend(self.report(&mut turn, max - events.len()));
        if !events.is_empty() {
            turn.finish();
            return Ok(events);
        }
        if deadline.is_none_or(|deadline| deadline > turn.now) {
            return self.block(turn, max, deadline);
        }
        turn.finish();
        if let Some((mut turn, _)) = self.shard.try_read(1) {
            turn.collect();
            events = self.report(&mut turn, max);
            turn.finish();
        }
        // Another thread may have taken what the real ones made room for.
        if events.is_empty()
            && let Some(real) = self.real.get()
        {
            events = real.collect(max);
        }
        Ok(events)
    }

    fn block<'a>(
        &'a self,
        mut turn: Turn<'a>,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<EpollEvent>, Errno> {
        let mut seat = Seat::take(&turn);
        let outcome = loop {
            // Local sockets know nothing of what this thread sleeps on.
            seat.waiter.set_alarm(Some(self.shard.caller_kick.clone()));
            if let Some(real) = self.real.get() {
                let kick = match this_threads_kick() {
                    Ok(kick) => kick,
                    Err(errno) => break Err(errno),
                };
                let driver = self.shard.caller_kick.clone();
                let beside = Arc::new(Beside { real: real.clone(), kick, driver });
                seat.waiter.set_alarm(Some(beside.clone()));
                seat.wait_beside(beside);
            }
            match self.sit_down(&seat.waiter) {
                Seated::Closed => break Err(Errno::BADF),
                Seated::Queued => {}
                Seated::Yes => {
                    turn = seat.wait(turn, deadline);
                    self.stand_up(&seat.waiter);
                    if seat.waiter.woken() == Some(Wake::Closed) {
                        break Err(Errno::BADF);
                    }
                    seat.waiter.reset();
                }
            }
            // What ends a sleep says where to look, and no more.
            if self.nests.load(Ordering::Acquire) {
                turn.finish();
                self.look_below();
                turn = self.shard.turn();
            }
            let mut events = self.report(&mut turn, max);
            if events.is_empty()
                && let Some(real) = self.real.get()
            {
                turn.finish();
                events = real.collect(max);
                turn = self.shard.turn();
            }
            if !events.is_empty() || deadline.is_some_and(|deadline| deadline <= turn.now) {
                break Ok(events);
            }
        };
        turn.leave(&seat.waiter);
        turn.finish();
        seat.waiter.set_alarm(None);
        outcome
    }

    /// Begins, changes or ends the watch of a real descriptor: epoll_ctl(2), with the kernel's errors.
    pub(crate) fn control_real(
        self: &Arc<Self>,
        operation: i32,
        fd: BorrowedFd<'_>,
        event: Option<EpollEvent>,
    ) -> Result<(), Errno> {
        let real = match self.real.get() {
            Some(real) => real,
            None => {
                let made = Arc::new(Real::new()?);
                self.real.get_or_init(|| made)
            }
        };
        self.on_real_made()?;
        real.control(operation, fd, event)?;
        // Those who sleep without the kernel's instance are to sleep again, with it.
        let mut turn = self.shard.turn();
        let mut inner = lock(&self.inner);
        while inner.wake_one(&mut |waiter| turn.wake(waiter)) {}
        drop(inner);
        self.look_again(&mut |waiter| turn.wake(waiter));
        turn.finish();
        Ok(())
    }

    /// Events of real descriptors, for what ours leave of a report and for half of it at least, so that neither side
    /// keeps the other out. Where there is room for one event only, they take turns.
    fn real_share(&self, max: usize) -> Vec<EpollEvent> {
        let Some(real) = self.real.get() else { return Vec::new() };
        let mut turn = self.shard.turn();
        turn.collect();
        let sockets = &turn.state.sockets;
        let ours = lock(&self.inner).set.count_ready(max.div_ceil(2), |key| key.readiness(sockets));
        turn.finish();
        let share = match max {
            1 if ours > 0 => usize::from(self.real_first.fetch_not(Ordering::Relaxed)),
            _ => max - ours.min(max / 2),
        };
        real.collect(share)
    }

    /// Puts a thread in, unless something has come since it looked.
    fn sit_down(&self, waiter: &Arc<Waiter>) -> Seated {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Seated::Closed;
        }
        if inner.set.has_queued() {
            return Seated::Queued;
        }
        inner.waiting.push_back(waiter.clone());
        Seated::Yes
    }

    fn stand_up(&self, waiter: &Arc<Waiter>) {
        lock(&self.inner).waiting.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// What is ready now. Where more may be, the next thread is called.
    fn report(&self, turn: &mut Turn<'_>, max: usize) -> Vec<EpollEvent> {
        let mut inner = lock(&self.inner);
        let sockets = &turn.state.sockets;
        let events = inner.set.collect(max, |key| key.readiness(sockets));
        if inner.set.has_queued() {
            inner.wake_one(&mut |waiter| turn.wake(waiter));
        }
        drop(inner);
        self.look_again(&mut |waiter| turn.wake(waiter));
        events
    }

    /// The readiness of the instance itself. To be asked under the lock of `sockets`, after
    /// [`look_at_real`](Self::look_at_real) without it.
    pub(crate) fn readiness(&self, sockets: &Sockets) -> PollMask {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return PollMask::NVAL;
        }
        if self.real.get().is_some_and(|real| real.was_ready()) {
            return READY;
        }
        inner.set.readiness(|key| key.readiness(sockets))
    }

    /// Has a thread that polls this instance marked when something of `mask` is there.
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>, mask: PollMask) {
        lock(&self.inner).pollers.add(waiter, mask, Claim::Watcher);
    }

    /// Marks it no more.
    pub(crate) fn forget(&self, waiter: &Arc<Waiter>) {
        lock(&self.inner).pollers.remove(waiter);
    }

    /// Watches nothing any more. Calls that wait end.
    pub(crate) fn close(self: &Arc<Self>) {
        self.off_bridge();
        let mut turn = self.shard.turn();
        let mut inner = lock(&self.inner);
        inner.closed = true;
        let watches: Vec<Arc<Watch>> = inner.watches.drain().map(|(_, watch)| watch).collect();
        inner.below = Vec::new();
        inner.set = EpollSet::new();
        for waiter in mem::take(&mut inner.waiting) {
            waiter.mark(Wake::Closed);
            turn.wake(&waiter);
        }
        inner.pollers.mark_all(|waiter| turn.wake(waiter));
        drop(inner);
        watches.iter().for_each(|watch| watch.unhook(&mut turn));
        turn.finish();
    }

    /// `what` has happened to what is watched as `key`.
    fn on_event(&self, key: &Key, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        let mut inner = lock(&self.inner);
        let delivery = inner.set.on_event(key, what);
        if delivery == Delivery::Ignored {
            return Reach::Further;
        }
        let (woken, above) = inner.announce(marked);
        drop(inner);
        tell(&above, marked);
        if woken && delivery == Delivery::QueuedExclusive { Reach::Enough } else { Reach::Further }
    }
}

impl Inner {
    /// Something was put on the ready list: whether a thread was called, and who is to be told without the lock.
    fn announce(&mut self, marked: &mut dyn FnMut(&Arc<Waiter>)) -> (bool, Vec<Arc<dyn Watcher>>) {
        let woken = self.wake_one(marked);
        self.pollers.mark_ready(READY, &mut *marked);
        (woken, self.above.to_vec())
    }

    /// Calls the thread that has waited longest. Each event calls another, as on Linux, whether or not the one before has
    /// come.
    fn wake_one(&mut self, marked: &mut dyn FnMut(&Arc<Waiter>)) -> bool {
        let Some(waiter) = self.waiting.pop_front() else { return false };
        waiter.mark(Wake::Ready);
        marked(&waiter);
        true
    }
}

/// Tells the instances above one that it has something to report. They watch it without claims of their own.
fn tell(above: &[Arc<dyn Watcher>], marked: &mut dyn FnMut(&Arc<Waiter>)) {
    for watcher in above {
        let _ = watcher.notify(READY, marked);
    }
}
