//! What datagram sockets of all kinds keep: what they have received, and an account of what waits for the link.

use std::collections::VecDeque;

use super::{Datagram, OVERHEAD};

/// Places that an empty queue keeps, so that a socket whose reader keeps up allocates nothing.
const KEPT: usize = 32;

/// Datagrams that wait to be read. Its bound is its owner's, who gives it with each.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    queue: VecDeque<Waiting>,
    /// What the datagrams in the queue are charged.
    charged: usize,
    drops: u64,
}

/// One of them.
#[derive(Debug)]
struct Waiting {
    datagram: Datagram,
    /// Whether it was looked at from an offset, which an empty one is but once.
    peeked: bool,
}

impl ReceiveQueue {
    /// Whether there was room within `bound` bytes. An empty queue takes any datagram.
    pub(crate) fn push(&mut self, datagram: Datagram, bound: usize) -> bool {
        let charged = self.charged + charge(&datagram);
        if charged > bound && !self.queue.is_empty() {
            return false;
        }
        self.charged = charged;
        let datagram = Datagram { drops_before: self.drops as u32, ..datagram };
        self.queue.push_back(Waiting { datagram, peeked: false });
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let Waiting { datagram, .. } = self.queue.pop_front()?;
        self.charged -= charge(&datagram);
        if self.queue.is_empty() {
            self.queue.shrink_to(KEPT);
        }
        Some(datagram)
    }

    pub(crate) fn front(&self) -> Option<&Datagram> {
        self.queue.front().map(|waiting| &waiting.datagram)
    }

    /// The datagram in which the byte stands that has `start` bytes before it in the queue, and how many of those are its
    /// own. An empty one counts where it was not shown before.
    pub(crate) fn peek_at(&mut self, mut start: usize) -> Option<(&Datagram, usize)> {
        let shown = self.queue.iter_mut().find(|waiting| {
            let len = waiting.datagram.payload.len();
            if start >= len && (start > 0 || waiting.peeked) {
                start -= len;
                return false;
            }
            true
        })?;
        shown.peeked |= shown.datagram.payload.is_empty();
        Some((&shown.datagram, start))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Length of the oldest datagram's payload, in bytes; 0 where there is none.
    pub(crate) fn next_len(&self) -> usize {
        self.front().map_or(0, |datagram| datagram.payload.len())
    }

    /// What the queue is charged with, in bytes.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    /// Notes that so many found no room.
    pub(crate) fn count_drops(&mut self, count: u32) {
        self.drops += u64::from(count);
    }

    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }
}

fn charge(datagram: &Datagram) -> usize {
    datagram.payload.len() + OVERHEAD
}

/// What a socket has waiting for the link. Its bound is its owner's, who gives it with each question.
#[derive(Debug, Default)]
pub(crate) struct SendAccount {
    waiting: usize,
}

impl SendAccount {
    /// What waits is charged so many bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a datagram may be sent now: one may while the buffer is not full, however long it is, as on Linux.
    pub(crate) fn has_room(&self, bound: usize) -> bool {
        self.waiting < bound
    }

    /// Whether a packet of `len` bytes that goes in parts of `part` finds buffers. As on Linux, each part takes one while what
    /// waits takes no more than twice the bound, and none waits for them.
    pub(crate) fn has_buffers(&self, (len, part): (usize, usize), bound: usize) -> bool {
        let before_the_last = len.saturating_sub(1) / part.max(1) * (part + OVERHEAD);
        self.waiting + before_the_last <= bound.saturating_mul(2)
    }

    /// Whether a sender should be woken: half of the buffer is free, as on Linux.
    pub(crate) fn is_writable(&self, bound: usize) -> bool {
        self.waiting.saturating_mul(2) <= bound
    }

    /// A datagram begins to wait; gives what it is charged.
    pub(crate) fn begin(&mut self, payload: usize) -> usize {
        let charge = payload + OVERHEAD;
        self.waiting += charge;
        charge
    }

    /// Of a datagram that is held back, `held` bytes so far, another part of `more` comes.
    pub(crate) fn hold(&mut self, held: Option<usize>, more: usize) {
        self.waiting += more + if held.is_none() { OVERHEAD } else { 0 };
    }

    /// What was held back, `held` bytes, is so no longer. Returns whether the socket has become writable by that.
    pub(crate) fn let_go(&mut self, held: usize, bound: usize) -> bool {
        self.end(held + OVERHEAD, bound)
    }

    /// It has left. Returns whether the socket has become writable by that.
    pub(crate) fn end(&mut self, charge: usize, bound: usize) -> bool {
        let before = self.is_writable(bound);
        self.waiting = self.waiting.saturating_sub(charge);
        !before && self.is_writable(bound)
    }
}
