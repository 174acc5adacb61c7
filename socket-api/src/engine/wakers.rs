//! The tasks that wait for a socket.
//!
//! An edge is noted under the lock of what it happens to, and takes the wakers out whose direction it concerns; they are
//! woken when all locks are gone. A task tries its call first. Where that would wait it says so, with the number of the edge
//! that it had seen: if another has come meanwhile it tries again, else its waker is put in. So no edge falls in between.

use core::mem;
use core::task::{Poll, Waker};

use tapsock_sockets::PollMask;

use super::sync::{Mutex, lock};

/// Which calls of a socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// Receiving and accepting.
    Read,
    /// Sending and connecting.
    Write,
}

impl Direction {
    const BOTH: [Direction; 2] = [Direction::Read, Direction::Write];

    /// What concerns it: room or arrivals, and all that ends a wait of either kind.
    const fn mask(self) -> PollMask {
        match self {
            Direction::Read => PollMask::from_bits(0x1 | 0x2 | 0x40 | 0x2000 | 0x8 | 0x10),
            Direction::Write => PollMask::from_bits(0x4 | 0x100 | 0x200 | 0x8 | 0x10),
        }
    }
}

/// Who waits: there is room for one of each.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Seat {
    /// The task that uses the `poll_…` calls, of each direction.
    Poll,
    /// A future of its own, by its number.
    Future(u64),
}

/// The edges of a direction that were seen so far.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Edge(u64);

/// The tasks that wait for one socket. Its lock is a leaf.
#[derive(Default)]
pub(crate) struct Wakers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    reading: Side,
    writing: Side,
    /// To be woken when all locks are gone.
    due: Vec<Waker>,
    /// Futures that have been given a number.
    futures: u64,
}

#[derive(Default)]
struct Side {
    /// Edges so far.
    edges: u64,
    /// Whether a call has found that it would wait, and no edge has come since.
    waits: bool,
    /// Bounded by the tasks that wait at the same time.
    waiting: Vec<(Seat, Waker)>,
}

impl Inner {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.reading,
            Direction::Write => &mut self.writing,
        }
    }
}

impl Wakers {
    /// Notes an edge: whether there is somebody to be woken. May be called under any lock.
    pub(crate) fn hear(&self, what: PollMask) -> bool {
        let mut inner = lock(&self.inner);
        for direction in Direction::BOTH {
            let side = inner.side(direction);
            if what.is_empty() || what.intersects(direction.mask()) {
                side.edges += 1;
                side.waits = false;
                let waiting = mem::take(&mut side.waiting);
                inner.due.extend(waiting.into_iter().map(|(_, waker)| waker));
            }
        }
        !inner.due.is_empty()
    }

    /// Wakes them. No lock is held.
    pub(crate) fn wake(&self) {
        let due = mem::take(&mut lock(&self.inner).due);
        due.into_iter().for_each(Waker::wake);
    }

    /// The number of the last edge.
    pub(crate) fn edge(&self, direction: Direction) -> Edge {
        Edge(lock(&self.inner).side(direction).edges)
    }

    /// Whether a call is worth trying; else `waker` is woken when it is.
    pub(crate) fn poll(&self, direction: Direction, seat: Seat, waker: &Waker) -> Poll<Edge> {
        let mut inner = lock(&self.inner);
        let side = inner.side(direction);
        if !side.waits {
            return Poll::Ready(Edge(side.edges));
        }
        let replaced = match side.waiting.iter_mut().find(|(other, _)| *other == seat) {
            Some((_, there)) if there.will_wake(waker) => None,
            Some((_, there)) => Some(mem::replace(there, waker.clone())),
            None => {
                side.waiting.push((seat, waker.clone()));
                None
            }
        };
        // A waker may run code of its executor's when it is dropped.
        drop(inner);
        drop(replaced);
        Poll::Pending
    }

    /// A call would wait, though all edges up to `seen` had been.
    pub(crate) fn would_wait(&self, direction: Direction, seen: Edge) {
        let mut inner = lock(&self.inner);
        let side = inner.side(direction);
        if side.edges == seen.0 {
            side.waits = true;
        }
    }

    /// A call is worth trying, whatever was found before.
    pub(crate) fn may_try(&self, direction: Direction) {
        lock(&self.inner).side(direction).waits = false;
    }

    /// A seat for a future.
    pub(crate) fn take_seat(&self) -> Seat {
        let mut inner = lock(&self.inner);
        inner.futures += 1;
        Seat::Future(inner.futures)
    }

    /// The future waits no longer.
    pub(crate) fn leave(&self, seat: Seat) {
        let mut inner = lock(&self.inner);
        let mut left = Vec::new();
        for direction in Direction::BOTH {
            left.extend(inner.side(direction).waiting.extract_if(.., |(other, _)| *other == seat));
        }
        // As above.
        drop(inner);
        drop(left);
    }
}
