//! The state of an epoll instance: who is watched for what, and who may be ready. It has no descriptor and it waits
//! for nothing: the owner says what happened, and asks for what is ready.
//!
//! An epoll instance does not remember readiness. It remembers *where to look*: a wake-up ([`EpollSet::on_event`])
//! puts a watch on the ready list, and [`EpollSet::collect`] asks each watch on that list how ready it is now. So an
//! edge is a wake-up, not a change of state: a second arrival is a second edge though the first was never read, two
//! arrivals before one wait are one, and one that was read before the wait is none.

mod interest;
mod list;
mod nesting;

use core::fmt;
use core::hash::Hash;
use std::collections::HashMap;

use rustix::io::Errno;

use crate::poll::PollMask;

pub use interest::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN,
    EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLRDNORM, EPOLLWAKEUP, EPOLLWRBAND, EPOLLWRNORM,
    Watched, check_events, check_max_events,
};
pub use list::EPOLL_WATCHES_MAX;
pub use nesting::{EPOLL_NESTING_MAX, check_nesting};

use interest::Interest;
use list::{Linked, Slots};

/// `struct epoll_event`: events and the caller's own number.
///
/// ```
/// use tapsock_sockets::epoll::{EPOLLET, EPOLLIN, EpollEvent};
///
/// let event = EpollEvent { events: EPOLLIN | EPOLLET, data: 7 };
/// assert_eq!(event.events, 0x8000_0001);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct EpollEvent {
    /// `EPOLL*` bits: what is asked for, or what is reported.
    pub events: u32,
    /// Given back with each report, and otherwise not looked at.
    pub data: u64,
}

/// What a wake-up did to an epoll instance.
///
/// ```
/// use tapsock_sockets::PollMask;
/// use tapsock_sockets::epoll::{Delivery, EPOLLIN, EpollEvent, EpollSet, Watched};
///
/// let mut set = EpollSet::new();
/// let event = EpollEvent { events: EPOLLIN, data: 0 };
/// assert_eq!(set.add('a', event, Watched::Other, PollMask::NONE), Ok(Delivery::Ignored));
/// assert_eq!(set.on_event(&'a', PollMask::OUT), Delivery::Ignored);
/// assert_eq!(set.on_event(&'a', PollMask::IN), Delivery::Queued);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "somebody may be waiting for it"]
pub enum Delivery {
    /// Nothing: it is not watched, or not for that.
    Ignored,
    /// The watch is on the ready list: wake one who waits on this instance, and tell the instances that watch this
    /// one that it has `IN`. Said also where it was on the list already: to those above, it is another edge.
    Queued,
    /// As `Queued`, for a watch with [`EPOLLEXCLUSIVE`] which takes the wake-up: where it woke one who waits, the
    /// owner passes over the other instances that watch the same key exclusively.
    QueuedExclusive,
}

/// An epoll instance over watched keys `K`: as a rule, a descriptor and what it stands for, as with Linux two
/// descriptors of one socket are watched apart.
///
/// Costs: `on_event` and each control call O(1); `collect` O(events reported + watches found no longer ready).
/// Source: epoll(7), epoll_ctl(2).
///
/// ```
/// use tapsock_sockets::PollMask;
/// use tapsock_sockets::epoll::{EPOLLET, EPOLLIN, EpollEvent, EpollSet, Watched};
///
/// let mut set = EpollSet::new();
/// let event = EpollEvent { events: EPOLLIN | EPOLLET, data: 7 };
/// let _ = set.add("socket", event, Watched::Other, PollMask::NONE).unwrap();
///
/// let _ = set.on_event(&"socket", PollMask::IN);
/// assert_eq!(set.collect(8, |_| PollMask::IN), [EpollEvent { events: EPOLLIN, data: 7 }]);
/// assert_eq!(set.collect(8, |_| PollMask::IN), [], "an edge is reported once");
/// ```
pub struct EpollSet<K> {
    index: HashMap<K, u32>,
    slots: Slots<Watch<K>>,
    limit: usize,
}

/// One watched key.
struct Watch<K> {
    key: K,
    interest: Interest,
    data: u64,
}

impl<K: Clone + Eq + Hash> EpollSet<K> {
    /// An instance that watches nothing.
    pub fn new() -> Self {
        EpollSet::with_limit(EPOLL_WATCHES_MAX)
    }

    /// An instance that watches `limit` keys at most: `fs.epoll.max_user_watches`.
    pub fn with_limit(limit: usize) -> Self {
        EpollSet { index: HashMap::new(), slots: Slots::new(), limit: limit.min(EPOLL_WATCHES_MAX) }
    }

    /// `EPOLL_CTL_ADD`. `ready` is the readiness of `key` now: what is ready already is reported, edge-triggered or
    /// not.
    ///
    /// Errors: EINVAL for events that [`check_events`] refuses; EEXIST where it is watched; ENOSPC past the limit.
    pub fn add(
        &mut self,
        key: K,
        event: EpollEvent,
        watched: Watched,
        ready: PollMask,
    ) -> Result<Delivery, Errno> {
        check_events(EPOLL_CTL_ADD, event.events, watched)?;
        if self.index.contains_key(&key) {
            return Err(Errno::EXIST);
        }
        if self.index.len() >= self.limit {
            return Err(Errno::NOSPC);
        }
        let watch = Watch { key: key.clone(), interest: Interest::new(event.events), data: event.data };
        let slot = self.slots.insert(watch);
        self.index.insert(key, slot);
        Ok(self.queue_if_ready(slot, ready))
    }

    /// `EPOLL_CTL_MOD`: other events and data for a key that is watched. It re-arms a one-shot watch, and what is
    /// ready now is reported again, edge-triggered or not.
    ///
    /// Errors: EINVAL for [`EPOLLEXCLUSIVE`], in the new events or the old; ENOENT where it is not watched.
    pub fn modify(&mut self, key: &K, event: EpollEvent, ready: PollMask) -> Result<Delivery, Errno> {
        check_events(EPOLL_CTL_MOD, event.events, Watched::Other)?;
        let slot = *self.index.get(key).ok_or(Errno::NOENT)?;
        let watch = self.slots.entry_mut(slot);
        if watch.interest.is_exclusive() {
            return Err(Errno::INVAL);
        }
        watch.interest = Interest::new(event.events);
        watch.data = event.data;
        Ok(self.queue_if_ready(slot, ready))
    }

    /// `EPOLL_CTL_DEL`, and what `close` of a watched descriptor does. What was found ready is not reported any more.
    ///
    /// Errors: ENOENT where it is not watched.
    pub fn remove(&mut self, key: &K) -> Result<(), Errno> {
        let slot = self.index.remove(key).ok_or(Errno::NOENT)?;
        self.slots.remove(slot);
        if self.index.capacity() > SHRINK_ABOVE && self.index.len() < self.index.capacity() / 4 {
            self.index.shrink_to(self.index.len() * 2);
        }
        Ok(())
    }

    /// Something happened at `key`: data arrived, room came free, an error, an end. The owner says so each time,
    /// whether or not it was ready before: that is what edge-triggered means.
    ///
    /// `mask` is what happened, which is not the readiness: an arrival is `IN | RDNORM`, though there is room to send
    /// as well. An empty mask stands for a change of everything (Linux's wake-up without a key: a connection that was
    /// made, ended or shut) and reaches every watch.
    pub fn on_event(&mut self, key: &K, mask: PollMask) -> Delivery {
        let Some(&slot) = self.index.get(key) else { return Delivery::Ignored };
        let interest = self.slots.entry(slot).interest;
        if !interest.is_woken_by(mask) {
            return Delivery::Ignored;
        }
        self.slots.link(slot);
        if interest.takes_alone(mask) { Delivery::QueuedExclusive } else { Delivery::Queued }
    }

    /// `epoll_wait` without its waiting: at most `max` events of those that `now_ready` says are ready. The order is
    /// that of the wake-ups; a level-triggered watch goes to the end of the list, so that all get their turn.
    ///
    /// Where [`has_queued`](Self::has_queued) still says so afterwards, another of those who wait is to be woken.
    pub fn collect(&mut self, max: usize, mut now_ready: impl FnMut(&K) -> PollMask) -> Vec<EpollEvent> {
        let mut events = Vec::new();
        // Level-triggered watches come back at the end: each is looked at once.
        for _ in 0..self.slots.linked() {
            if events.len() >= max {
                break;
            }
            let Some(slot) = self.slots.pop() else { break };
            let watch = self.slots.entry_mut(slot);
            let reported = watch.interest.reported(now_ready(&watch.key));
            if reported == 0 {
                continue;
            }
            events.push(EpollEvent { events: reported, data: watch.data });
            if watch.interest.is_one_shot() {
                watch.interest.disarm();
            } else if !watch.interest.is_edge_triggered() {
                self.slots.link(slot);
            }
        }
        events
    }

    /// The readiness of the instance itself, for who polls it or watches it with another: `IN | RDNORM` where a wait
    /// would report something. What is found no longer ready goes from the list, as in Linux.
    pub fn readiness(&mut self, mut now_ready: impl FnMut(&K) -> PollMask) -> PollMask {
        while let Some(slot) = self.slots.first() {
            let watch = self.slots.entry(slot);
            if watch.interest.reported(now_ready(&watch.key)) != 0 {
                return PollMask::IN | PollMask::RDNORM;
            }
            self.slots.unlink(slot);
        }
        PollMask::NONE
    }

    /// How many events a wait would report, `max` at most. Nothing is reported by it.
    pub fn count_ready(&self, max: usize, mut now_ready: impl FnMut(&K) -> PollMask) -> usize {
        let mut is_ready = |watch: &Watch<K>| watch.interest.reported(now_ready(&watch.key)) != 0;
        self.slots.iter_linked().filter(|watch| is_ready(watch)).take(max).count()
    }

    /// Whether a watch is on the ready list. It may turn out to be ready no longer.
    pub fn has_queued(&self) -> bool {
        self.slots.first().is_some()
    }

    /// Whether `key` is watched.
    pub fn contains(&self, key: &K) -> bool {
        self.index.contains_key(key)
    }

    /// All watched keys, in no particular order that lasts.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.slots.iter().map(|watch| &watch.key)
    }

    /// How many keys are watched.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn queue_if_ready(&mut self, slot: u32, ready: PollMask) -> Delivery {
        if self.slots.entry(slot).interest.reported(ready) == 0 {
            return Delivery::Ignored;
        }
        match self.slots.link(slot) {
            Linked::Now => Delivery::Queued,
            // Those who wait have heard of it.
            Linked::Before => Delivery::Ignored,
        }
    }
}

impl<K: Clone + Eq + Hash> Default for EpollSet<K> {
    fn default() -> Self {
        EpollSet::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for EpollSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watches = self.slots.iter().map(|watch| (&watch.key, (watch.interest, watch.data)));
        f.debug_map().entries(watches).finish()
    }
}

/// An index of so few keys is not worth shrinking.
const SHRINK_ABOVE: usize = 64;

#[cfg(test)]
mod tests;
