//! Who waits for which socket, and how a waiting thread is woken.
//!
//! The table stands under the shard lock. A call that would block puts itself in under the same hold of the lock
//! under which it failed, so nothing that happens after can be missed. Marking happens under the lock, waking after.

use core::time::Duration;

use arrayvec::ArrayVec;
use tapsock_sockets::{Fd, PollMask};

use super::sync::{Arc, AtomicBool, AtomicU8, Mutex, Ordering, Thread, current, lock, park};

/// Wake-ups of one turn that need no allocation.
const WAKES_INLINE: usize = 8;

/// Why a waiting thread goes on. A later variant outweighs an earlier one.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum Wake {
    /// Nobody drives: look again, and take the baton.
    Drive = 1,
    /// The socket may be ready.
    Ready = 2,
    /// The socket was closed by another thread.
    Closed = 3,
}

/// A thread that may wait. It is reset and marked under the shard lock only.
pub(crate) struct Waiter {
    wake: AtomicU8,
    /// `None` where its alarm is all there is to wake.
    thread: Option<Thread>,
    /// What ends its sleep besides, where it may sleep on a link while it waits for more than that.
    alarm: Mutex<Option<Arc<dyn Alarm>>>,
    has_alarm: AtomicBool,
}

/// Ends the sleep of a thread that does not park.
pub(crate) trait Alarm: Send + Sync {
    /// Ends it. May be called in vain.
    fn ring(&self);
}

impl Waiter {
    /// The waiter of the calling thread.
    pub(crate) fn new() -> Self {
        Waiter {
            wake: AtomicU8::new(0),
            thread: Some(current()),
            alarm: Mutex::new(None),
            has_alarm: AtomicBool::new(false),
        }
    }

    /// What stands for `alarm`, and for no thread, among those who are to be woken when all locks are gone.
    pub(crate) fn for_alarm(alarm: Arc<dyn Alarm>) -> Self {
        Waiter {
            wake: AtomicU8::new(0),
            thread: None,
            alarm: Mutex::new(Some(alarm)),
            has_alarm: AtomicBool::new(true),
        }
    }

    /// Forgets earlier wake-ups.
    pub(crate) fn reset(&self) {
        self.wake.store(0, Ordering::Relaxed);
    }

    /// Why it was woken, where it was.
    pub(crate) fn woken(&self) -> Option<Wake> {
        match self.wake.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Wake::Drive),
            2 => Some(Wake::Ready),
            _ => Some(Wake::Closed),
        }
    }

    /// Notes why it is to go on. Whoever marks also wakes it.
    pub(crate) fn mark(&self, wake: Wake) {
        self.wake.fetch_max(wake as u8, Ordering::AcqRel);
    }

    /// Ends its sleep. No system call where it does not sleep yet. Whether there is a thread that slept.
    pub(crate) fn unpark(&self) -> bool {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
        if self.has_alarm.load(Ordering::Acquire) {
            // An alarm may do more than write to a descriptor: it is rung without the lock.
            let alarm = lock(&self.alarm).clone();
            if let Some(alarm) = alarm {
                alarm.ring();
            }
        }
        self.thread.is_some()
    }

    /// Rings `alarm` from now on whenever it is unparked.
    pub(crate) fn set_alarm(&self, alarm: Option<Arc<dyn Alarm>>) {
        self.has_alarm.store(alarm.is_some(), Ordering::Release);
        *lock(&self.alarm) = alarm;
    }

    /// Sleeps until marked and unparked, or for `limit`. Only the waiter's own thread calls it; may return early.
    pub(crate) fn park(&self, limit: Option<Duration>) {
        if self.woken().is_none() {
            park(limit);
        }
    }
}

/// Something that is told what happens to a socket, and knows itself who waits for that: a watch of an epoll instance, a
/// mirror, or the wakers of tasks.
pub(crate) trait Watcher: Send + Sync {
    /// `what` has happened to the socket, of which it may have been ready before. Marks those whom that concerns, and
    /// names them by `marked`: they are to be woken when all locks are gone.
    fn notify(&self, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) -> Reach;

    /// A call on the socket may have made it less ready, which is no event. Names, as [`notify`](Self::notify) does,
    /// those who show how ready it is.
    fn look_again(&self, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        let _ = marked;
    }
}

/// Whether one who was told suffices for those that watch exclusively.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// The next is told as well.
    Further,
    /// Somebody is on his way.
    Enough,
}

/// Whether a watcher hears of everything.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// It does.
    Everyone,
    /// Only of what no other exclusive one has taken (EPOLLEXCLUSIVE).
    Exclusive,
}

/// The watchers of one socket. In Linux's order: the shared ones first, the latest before the others; then the exclusive
/// ones as they came.
#[derive(Default)]
pub(crate) struct Watchers {
    list: Vec<Arc<dyn Watcher>>,
}

impl Watchers {
    pub(crate) fn add(&mut self, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        match sharing {
            Sharing::Everyone => self.list.insert(0, watcher),
            Sharing::Exclusive => self.list.push(watcher),
        }
    }

    pub(crate) fn remove(&mut self, watcher: &Arc<dyn Watcher>) {
        self.list.retain(|other| !Arc::ptr_eq(other, watcher));
        if self.list.is_empty() {
            self.list = Vec::new();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, to be told without the lock under which this stands.
    pub(crate) fn to_vec(&self) -> Vec<Arc<dyn Watcher>> {
        self.list.clone()
    }

    /// As [`Watcher::look_again`].
    pub(crate) fn look_again(&self, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        self.list.iter().for_each(|watcher| watcher.look_again(marked));
    }

    /// Tells them. Those that only share are before the exclusive ones, which alone say that it is enough.
    pub(crate) fn notify(&self, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        for watcher in &self.list {
            if watcher.notify(what, marked) == Reach::Enough {
                return;
            }
        }
    }
}

/// Whether a wake-up is used up by the thread that gets it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    /// It takes what is there (`accept`, `recv`): one such thread is woken at a time, and passes the wake-up on.
    Taker,
    /// It only looks (`poll`): all of them are woken.
    Watcher,
}

/// The threads to be woken when the lock is gone.
#[derive(Default)]
pub(crate) struct WakeList {
    inline: ArrayVec<Arc<Waiter>, WAKES_INLINE>,
    spill: Vec<Arc<Waiter>>,
}

impl WakeList {
    pub(crate) fn push(&mut self, waiter: Arc<Waiter>) {
        if let Err(full) = self.inline.try_push(waiter) {
            self.spill.push(full.element());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inline.is_empty()
    }

    /// Wakes them all and returns how many threads they are.
    pub(crate) fn unpark_all(&mut self) -> u64 {
        let mut count = 0;
        for waiter in self.inline.drain(..).chain(self.spill.drain(..)) {
            count += u64::from(waiter.unpark());
        }
        count
    }
}

/// The threads that wait for one socket. It stands under the lock of that socket.
#[derive(Default)]
pub(crate) struct WaitQueue {
    entries: Vec<Entry>,
}

struct Entry {
    waiter: Arc<Waiter>,
    mask: PollMask,
    claim: Claim,
}

impl WaitQueue {
    /// Puts `waiter` in, to be marked when something of `mask` is there.
    pub(crate) fn add(&mut self, waiter: &Arc<Waiter>, mask: PollMask, claim: Claim) {
        self.entries.push(Entry { waiter: waiter.clone(), mask, claim });
    }

    /// Takes `waiter` out again.
    pub(crate) fn remove(&mut self, waiter: &Arc<Waiter>) {
        self.entries.retain(|entry| !Arc::ptr_eq(&entry.waiter, waiter));
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Marks those that `ready` concerns: all watchers, and for each direction one taker, unless one is on its way. That
    /// one passes on what it leaves, and [`pass_on`](Self::pass_on) what it can't take. An error or a hang-up concerns
    /// everybody.
    pub(crate) fn mark_ready(&self, ready: PollMask, marked: impl FnMut(&Arc<Waiter>)) {
        mark(&self.entries, ready, marked);
    }

    /// `waiter` has looked and waits on: what it can't take may suffice for those who came after it. Who came before has
    /// looked already, since the first is woken first; so each looks once, and two that both wait on don't wake each
    /// other again and again.
    pub(crate) fn pass_on(
        &self,
        waiter: &Arc<Waiter>,
        ready: impl FnOnce() -> PollMask,
        marked: impl FnMut(&Arc<Waiter>),
    ) {
        let at = self.entries.iter().position(|entry| Arc::ptr_eq(&entry.waiter, waiter));
        if let Some(behind) = at.map(|at| &self.entries[at + 1..]).filter(|behind| !behind.is_empty()) {
            mark(behind, ready(), marked);
        }
    }

    /// Marks all, since more has changed than readiness tells.
    pub(crate) fn mark_all(&self, mut marked: impl FnMut(&Arc<Waiter>)) {
        for entry in &self.entries {
            if entry.waiter.woken().is_none_or(|wake| wake < Wake::Ready) {
                entry.waiter.mark(Wake::Ready);
                marked(&entry.waiter);
            }
        }
    }

    /// Marks all, since the socket is gone, and forgets them.
    pub(crate) fn mark_closed(&mut self, mut marked: impl FnMut(&Arc<Waiter>)) {
        for entry in self.entries.drain(..) {
            entry.waiter.mark(Wake::Closed);
            marked(&entry.waiter);
        }
    }
}

/// Marks those of `entries` that `ready` concerns.
fn mark(entries: &[Entry], ready: PollMask, mut marked: impl FnMut(&Arc<Waiter>)) {
    let for_all = ready.intersects(PollMask::ERR | PollMask::HUP);
    let mut taken = PollMask::NONE;
    for entry in entries {
        let reported = entry.mask.reported(ready);
        if reported.is_empty() {
            continue;
        }
        if entry.claim == Claim::Taker && !for_all {
            if taken.contains(reported) {
                continue;
            }
            taken |= reported;
        }
        if entry.waiter.woken().is_none_or(|wake| wake < Wake::Ready) {
            entry.waiter.mark(Wake::Ready);
            marked(&entry.waiter);
        }
    }
}

/// Who waits for one socket.
#[derive(Default)]
struct Place {
    threads: WaitQueue,
    watchers: Watchers,
}

impl Place {
    /// Whether it holds no memory: nobody is there, and nobody has been since the socket before was closed.
    fn is_vacant(&self) -> bool {
        self.threads.entries.capacity() == 0 && self.watchers.list.capacity() == 0
    }
}

/// The waiting threads by socket, and those of them that would drive.
///
/// Bounded by the highest number of a socket that somebody has waited for, and by those who wait. A place keeps its memory
/// between one wait and the next, and loses it when its socket is closed.
#[derive(Default)]
pub(crate) struct Waiters {
    /// By socket id; sockets take the lowest free id, so the table is dense.
    by_socket: Vec<Place>,
    /// Parked threads that found the baton taken, mostly in the order in which they came.
    candidates: Vec<Arc<Waiter>>,
}

/// A table of so few places is not worth shrinking.
const SHRINK_ABOVE: usize = 64;

impl Waiters {
    /// Puts `waiter` in for `socket`. Nothing happens where the id is negative: the next try reports that.
    pub(crate) fn add(&mut self, socket: Fd, waiter: &Arc<Waiter>, mask: PollMask, claim: Claim) {
        if let Some(place) = self.make_place(socket) {
            place.threads.add(waiter, mask, claim);
        }
    }

    /// Takes `waiter` out again.
    pub(crate) fn remove(&mut self, socket: Fd, waiter: &Arc<Waiter>) {
        if let Some(place) = self.place(socket) {
            place.threads.remove(waiter);
        }
    }

    /// Tells `watcher` from now on what happens to `socket`.
    pub(crate) fn watch(&mut self, socket: Fd, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        if let Some(place) = self.make_place(socket) {
            place.watchers.add(watcher, sharing);
        }
    }

    /// Tells it no more.
    pub(crate) fn unwatch(&mut self, socket: Fd, watcher: &Arc<dyn Watcher>) {
        if let Some(place) = self.place(socket) {
            place.watchers.remove(watcher);
            self.shrink();
        }
    }

    /// As [`Watchers::notify`].
    pub(crate) fn notify(&self, socket: Fd, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        let place = usize::try_from(socket.0).ok().and_then(|index| self.by_socket.get(index));
        if let Some(place) = place.filter(|place| !place.watchers.is_empty()) {
            place.watchers.notify(what, marked);
        }
    }

    /// As [`Watcher::look_again`].
    pub(crate) fn look_again(&self, socket: Fd, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        let place = usize::try_from(socket.0).ok().and_then(|index| self.by_socket.get(index));
        if let Some(place) = place {
            place.watchers.look_again(marked);
        }
    }

    /// Whether a thread waits for `socket`.
    pub(crate) fn any(&self, socket: Fd) -> bool {
        usize::try_from(socket.0)
            .ok()
            .and_then(|index| self.by_socket.get(index))
            .is_some_and(|place| !place.threads.is_empty())
    }

    /// As [`WaitQueue::mark_ready`].
    pub(crate) fn mark_ready(&mut self, socket: Fd, ready: PollMask, marked: impl FnMut(&Arc<Waiter>)) {
        if let Some(place) = self.place(socket) {
            place.threads.mark_ready(ready, marked);
        }
    }

    /// As [`WaitQueue::pass_on`].
    pub(crate) fn pass_on(
        &self,
        socket: Fd,
        waiter: &Arc<Waiter>,
        ready: impl FnOnce() -> PollMask,
        marked: impl FnMut(&Arc<Waiter>),
    ) {
        if let Some(place) = usize::try_from(socket.0).ok().and_then(|index| self.by_socket.get(index)) {
            place.threads.pass_on(waiter, ready, marked);
        }
    }

    /// As [`WaitQueue::mark_closed`].
    pub(crate) fn mark_closed(&mut self, socket: Fd, marked: impl FnMut(&Arc<Waiter>)) {
        if let Some(place) = self.place(socket) {
            place.threads.mark_closed(marked);
        }
        self.vacate(socket);
    }

    /// `socket` is closed: what its place keeps for the next wait is given back.
    pub(crate) fn vacate(&mut self, socket: Fd) {
        if let Some(place) = self.place(socket).filter(|place| place.threads.is_empty()) {
            place.threads = WaitQueue::default();
            self.shrink();
        }
    }

    /// Gives memory back once the high places are vacant.
    fn shrink(&mut self) {
        while self.by_socket.last().is_some_and(Place::is_vacant) {
            self.by_socket.pop();
        }
        if self.by_socket.capacity() > SHRINK_ABOVE && self.by_socket.len() < self.by_socket.capacity() / 4 {
            self.by_socket.shrink_to(self.by_socket.len() * 2);
        }
    }

    /// All sockets that somebody waits for or watches.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Fd> + '_ {
        self.by_socket
            .iter()
            .enumerate()
            .filter(|(_, place)| !place.threads.is_empty() || !place.watchers.is_empty())
            .map(|(index, _)| Fd(index as i32))
    }

    /// Remembers that `waiter` parks though it would drive.
    pub(crate) fn add_candidate(&mut self, waiter: &Arc<Waiter>) {
        self.candidates.push(waiter.clone());
    }

    /// Forgets it again.
    pub(crate) fn remove_candidate(&mut self, waiter: &Arc<Waiter>) {
        self.candidates.retain(|candidate| !Arc::ptr_eq(candidate, waiter));
    }

    /// Marks one parked thread so that it takes the baton: a late one, whose stack is warm. `None` where all are on their
    /// way already: each of them looks at the baton when it comes.
    pub(crate) fn call_candidate(&mut self) -> Option<Arc<Waiter>> {
        let found = self.candidates.iter().rposition(|candidate| candidate.woken().is_none())?;
        let waiter = self.candidates.swap_remove(found);
        waiter.mark(Wake::Drive);
        Some(waiter)
    }

    fn place(&mut self, socket: Fd) -> Option<&mut Place> {
        self.by_socket.get_mut(usize::try_from(socket.0).ok()?)
    }

    /// `None` where the id is negative.
    fn make_place(&mut self, socket: Fd) -> Option<&mut Place> {
        let index = usize::try_from(socket.0).ok()?;
        if index >= self.by_socket.len() {
            self.by_socket.resize_with(index + 1, Place::default);
        }
        self.by_socket.get_mut(index)
    }
}
