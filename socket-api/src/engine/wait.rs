//! Who waits for which socket, and how a waiting thread is woken.
//!
//! The table stands under the shard lock. A call that would block puts itself in under the same hold of the lock
//! under which it failed, so nothing that happens after can be missed. Marking happens under the lock, waking after.

use core::time::Duration;

use arrayvec::ArrayVec;
use tapsock_sockets::{Fd, PollMask};

use super::sync::{Arc, AtomicU8, Ordering, Thread, current, park};

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
    thread: Thread,
}

impl Waiter {
    /// The waiter of the calling thread.
    pub(crate) fn new() -> Self {
        Waiter { wake: AtomicU8::new(0), thread: current() }
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

    /// Ends its sleep. No system call where it does not sleep yet.
    pub(crate) fn unpark(&self) {
        self.thread.unpark();
    }

    /// Sleeps until marked and unparked, or for `limit`. Only the waiter's own thread calls it; may return early.
    pub(crate) fn park(&self, limit: Option<Duration>) {
        if self.woken().is_none() {
            park(limit);
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

struct Entry {
    waiter: Arc<Waiter>,
    mask: PollMask,
    claim: Claim,
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

    /// Wakes them all and returns how many.
    pub(crate) fn unpark_all(&mut self) -> u64 {
        let mut count = 0;
        for waiter in self.inline.drain(..).chain(self.spill.drain(..)) {
            waiter.unpark();
            count += 1;
        }
        count
    }
}

/// The waiting threads by socket, and those of them that would drive.
///
/// Bounded by the number of threads that block, times the sockets that each polls.
#[derive(Default)]
pub(crate) struct Waiters {
    /// By socket id; sockets take the lowest free id, so the table is dense.
    by_socket: Vec<Vec<Entry>>,
    /// Parked threads that found the baton taken, the latest last.
    candidates: Vec<Arc<Waiter>>,
}

impl Waiters {
    /// Puts `waiter` in for `socket`. Nothing happens where the id is negative: the next try reports that.
    pub(crate) fn add(&mut self, socket: Fd, waiter: &Arc<Waiter>, mask: PollMask, claim: Claim) {
        let Ok(index) = usize::try_from(socket.0) else { return };
        if index >= self.by_socket.len() {
            self.by_socket.resize_with(index + 1, Vec::new);
        }
        self.by_socket[index].push(Entry { waiter: waiter.clone(), mask, claim });
    }

    /// Takes `waiter` out again.
    pub(crate) fn remove(&mut self, socket: Fd, waiter: &Arc<Waiter>) {
        if let Some(entries) = self.entries(socket) {
            entries.retain(|entry| !Arc::ptr_eq(&entry.waiter, waiter));
        }
    }

    /// Whether anybody waits for `socket`.
    pub(crate) fn any(&self, socket: Fd) -> bool {
        usize::try_from(socket.0)
            .ok()
            .and_then(|index| self.by_socket.get(index))
            .is_some_and(|e| !e.is_empty())
    }

    /// Marks those that `ready` concerns: all watchers, and for each direction one taker that is not on its way yet.
    /// An error or a hang-up concerns everybody.
    pub(crate) fn mark_ready(&mut self, socket: Fd, ready: PollMask, mut marked: impl FnMut(&Arc<Waiter>)) {
        let Some(entries) = self.entries(socket) else { return };
        let for_all = ready.intersects(PollMask::ERR | PollMask::HUP);
        let mut taken = PollMask::NONE;
        for entry in entries.iter() {
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

    /// Marks all that wait for `socket`, which is gone, and forgets them.
    pub(crate) fn mark_closed(&mut self, socket: Fd, mut marked: impl FnMut(&Arc<Waiter>)) {
        let Some(entries) = self.entries(socket) else { return };
        for entry in entries.drain(..) {
            entry.waiter.mark(Wake::Closed);
            marked(&entry.waiter);
        }
    }

    /// All sockets that somebody waits for.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Fd> + '_ {
        self.by_socket.iter().enumerate().filter(|(_, e)| !e.is_empty()).map(|(index, _)| Fd(index as i32))
    }

    /// Remembers that `waiter` parks though it would drive.
    pub(crate) fn add_candidate(&mut self, waiter: &Arc<Waiter>) {
        self.candidates.push(waiter.clone());
    }

    /// Forgets it again.
    pub(crate) fn remove_candidate(&mut self, waiter: &Arc<Waiter>) {
        self.candidates.retain(|candidate| !Arc::ptr_eq(candidate, waiter));
    }

    /// Marks one parked thread so that it takes the baton: the latest, whose stack is the warmest. `None` where all
    /// are on their way already: each of them looks at the baton when it comes.
    pub(crate) fn call_candidate(&mut self) -> Option<Arc<Waiter>> {
        let found = self.candidates.iter().rposition(|candidate| candidate.woken().is_none())?;
        let waiter = self.candidates.swap_remove(found);
        waiter.mark(Wake::Drive);
        Some(waiter)
    }

    fn entries(&mut self, socket: Fd) -> Option<&mut Vec<Entry>> {
        self.by_socket.get_mut(usize::try_from(socket.0).ok()?)
    }
}
