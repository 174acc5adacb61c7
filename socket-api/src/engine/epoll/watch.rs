//! What an instance watches, and how that begins and ends.

use core::cell::RefCell;
use core::hash::{Hash, Hasher};
use std::collections::HashMap;
use std::sync::Weak;

use rustix::io::Errno;
use tapsock_sockets::epoll::{
    Delivery, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLEXCLUSIVE, EpollEvent, Watched, check_events, check_nesting,
};
use tapsock_sockets::{PollMask, Sockets};

use super::{Epoll, Heard, tell};
use crate::description::Object;
use crate::engine::shard::Turn;
use crate::engine::sync::{Arc, Ordering, lock};
use crate::engine::wait::{Reach, Sharing, Waiter, Watcher};

/// What is watched: an id, and what it stood for then. Two ids of one socket are watched apart.
#[derive(Clone)]
pub(super) struct Key {
    id: i32,
    object: Object,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.object.is(&other.object)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.object.address()).hash(state);
    }
}

impl Key {
    /// How ready it is now. To be asked under the lock of `sockets`.
    pub(super) fn readiness(&self, sockets: &Sockets) -> PollMask {
        self.object.readiness(sockets)
    }
}

/// A table of so few watches is not worth shrinking.
const SHRINK_ABOVE: usize = 64;

/// One thing that one instance watches: what the thing tells.
pub(crate) struct Watch {
    epoll: Weak<Epoll>,
    key: Key,
    /// Where it is an instance: its real descriptors are told of.
    _heard: Option<Heard>,
}

impl Watcher for Watch {
    fn notify(&self, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        match self.epoll.upgrade() {
            Some(epoll) => epoll.on_event(&self.key, what, marked),
            None => Reach::Further,
        }
    }

    fn look_again(&self, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        if let Some(epoll) = self.epoll.upgrade() {
            epoll.look_again(marked);
        }
    }
}

impl Watch {
    /// What is watched is closed: nothing of it is reported any more.
    pub(crate) fn detach(self: &Arc<Self>) {
        if let Some(epoll) = self.epoll.upgrade() {
            let mut turn = epoll.shard.turn();
            self.unhook(&mut turn);
            let forgotten = epoll.forget_watch(self);
            epoll.look_again(&mut |waiter| turn.wake(waiter));
            turn.finish();
            drop(forgotten);
        }
    }

    /// Is told of what happens from now on.
    fn hook(self: &Arc<Self>, turn: &mut Turn<'_>, sharing: Sharing) -> Result<(), Errno> {
        self.key.object.shares().enter(self)?;
        self.key.object.add_watcher(turn, self.clone(), sharing);
        Ok(())
    }

    /// Is told no more.
    pub(super) fn unhook(self: &Arc<Self>, turn: &mut Turn<'_>) {
        let watcher: Arc<dyn Watcher> = self.clone();
        self.key.object.remove_watcher(turn, &watcher);
        self.key.object.shares().leave(self);
    }
}

impl Epoll {
    /// Begins, changes or ends a watch: epoll_ctl(2) on `object`, for which `id` stands.
    ///
    /// Errors: EINVAL where the operation or the events make no sense, or where an instance would watch itself; EFAULT
    /// without an event; EEXIST; ENOENT; ELOOP; ENOSPC; EBADF where either is closed by another thread; EMFILE, ENFILE and
    /// ENOMEM where real descriptors of an instance can't be heard of.
    pub(crate) fn control(
        self: &Arc<Self>,
        operation: i32,
        id: i32,
        object: Object,
        event: Option<EpollEvent>,
    ) -> Result<(), Errno> {
        let event = match event {
            None if operation != EPOLL_CTL_DEL => return Err(Errno::FAULT),
            event => event.unwrap_or_default(),
        };
        let watched = match &object {
            Object::Epoll(inner) if Arc::ptr_eq(inner, self) => return Err(Errno::INVAL),
            Object::Epoll(_) => Watched::Epoll,
            Object::Socket(_) => Watched::Other,
        };
        check_events(operation, event.events, watched)?;
        let mut heard = None;
        if let Object::Epoll(inner) = &object {
            if operation == EPOLL_CTL_ADD {
                heard = Some(inner.hear()?);
            }
            inner.look_at_real();
        }
        let key = Key { id, object };
        // Dropped at the end, where nothing keeps it.
        let watch = Arc::new(Watch { epoll: Arc::downgrade(self), key: key.clone(), _heard: heard });
        let mut turn = self.shard.turn();
        let outcome = match operation {
            EPOLL_CTL_ADD => self.add(&mut turn, &watch, event, watched).map(|()| None),
            EPOLL_CTL_DEL => self.remove(&mut turn, &key),
            _ => self.modify(&mut turn, &key, event).map(|()| None),
        };
        turn.finish();
        // What it gives back is dropped without a lock.
        outcome.map(drop)
    }

    fn add(
        self: &Arc<Self>,
        turn: &mut Turn<'_>,
        watch: &Arc<Watch>,
        event: EpollEvent,
        watched: Watched,
    ) -> Result<(), Errno> {
        let key = &watch.key;
        if let Object::Epoll(inner) = &key.object {
            check_rings(self, inner)?;
        }
        if lock(&self.inner).set.contains(key) {
            return Err(Errno::EXIST);
        }
        let exclusive = event.events & EPOLLEXCLUSIVE != 0;
        watch.hook(turn, if exclusive { Sharing::Exclusive } else { Sharing::Everyone })?;
        if self.observed.load(Ordering::Acquire) {
            key.object.observe(turn);
        }
        let mut inner = lock(&self.inner);
        // What comes from here on is told; what came before shows in the readiness.
        let ready = key.readiness(&turn.state.sockets);
        let added =
            if inner.closed { Err(Errno::BADF) } else { inner.set.add(key.clone(), event, watched, ready) };
        match added {
            Ok(delivery) => {
                inner.watches.insert(key.clone(), watch.clone());
                if let Object::Epoll(below) = &key.object {
                    inner.below.push(below.clone());
                    self.nests.store(true, Ordering::Release);
                }
                drop(inner);
                self.announce(turn, delivery);
                Ok(())
            }
            Err(errno) => {
                drop(inner);
                watch.unhook(turn);
                Err(errno)
            }
        }
    }

    fn modify(&self, turn: &mut Turn<'_>, key: &Key, event: EpollEvent) -> Result<(), Errno> {
        let mut inner = lock(&self.inner);
        // What is not watched may be an instance that leads back to this one, whose lock is held.
        if !inner.set.contains(key) {
            return Err(Errno::NOENT);
        }
        let ready = key.readiness(&turn.state.sockets);
        let delivery = inner.set.modify(key, event, ready)?;
        drop(inner);
        self.announce(turn, delivery);
        self.look_again(&mut |waiter| turn.wake(waiter));
        Ok(())
    }

    fn remove(&self, turn: &mut Turn<'_>, key: &Key) -> Result<Option<Arc<Watch>>, Errno> {
        let watch = lock(&self.inner).watches.get(key).cloned().ok_or(Errno::NOENT)?;
        watch.unhook(turn);
        let forgotten = self.forget_watch(&watch);
        self.look_again(&mut |waiter| turn.wake(waiter));
        Ok(forgotten)
    }

    /// Takes a watch out. It is to be dropped without a lock.
    fn forget_watch(&self, watch: &Arc<Watch>) -> Option<Arc<Watch>> {
        let mut inner = lock(&self.inner);
        if !inner.watches.get(&watch.key).is_some_and(|other| Arc::ptr_eq(other, watch)) {
            return None;
        }
        // It is there: the two are kept together.
        let _ = inner.set.remove(&watch.key);
        if let Object::Epoll(below) = &watch.key.object
            && let Some(at) = inner.below.iter().position(|other| Arc::ptr_eq(other, below))
        {
            inner.below.swap_remove(at);
        }
        let removed = inner.watches.remove(&watch.key);
        let (len, capacity) = (inner.watches.len(), inner.watches.capacity());
        if capacity > SHRINK_ABOVE && len < capacity / 4 {
            inner.watches.shrink_to(len * 2);
        }
        removed
    }

    fn announce(&self, turn: &mut Turn<'_>, delivery: Delivery) {
        if delivery == Delivery::Ignored {
            return;
        }
        let mut marked = |waiter: &Arc<Waiter>| turn.wake(waiter);
        let (_, above) = lock(&self.inner).announce(&mut marked);
        tell(&above, &mut marked);
    }

    /// Has calls on all that it watches noted, now and later: somebody shows how ready the instance is.
    pub(crate) fn observe(&self, turn: &mut Turn<'_>) {
        if self.observed.swap(true, Ordering::AcqRel) {
            return;
        }
        let below: Vec<Object> = lock(&self.inner).set.keys().map(|key| key.object.clone()).collect();
        below.iter().for_each(|object| object.observe(turn));
    }

    /// Names those who show how ready it is, for it may be less so.
    pub(super) fn look_again(&self, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        if self.observed.load(Ordering::Acquire) {
            let above = lock(&self.inner).above.to_vec();
            above.iter().for_each(|watcher| watcher.look_again(marked));
        }
    }

    /// Tells `watcher` from now on when there is something to report.
    pub(crate) fn add_watcher(&self, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        lock(&self.inner).above.add(watcher, sharing);
    }

    /// Tells it no more.
    pub(crate) fn remove_watcher(&self, watcher: &Arc<dyn Watcher>) {
        lock(&self.inner).above.remove(watcher);
    }

    /// The instances that this one watches.
    pub(super) fn below(&self) -> Vec<Arc<Epoll>> {
        lock(&self.inner).below.clone()
    }

    /// The instances that watch this one.
    fn above(&self) -> Vec<Arc<Epoll>> {
        self.shares.watches().iter().filter_map(|watch| watch.epoll.upgrade()).collect()
    }
}

/// Errors: ELOOP where `inner` leads back to `outer`, or the chain gets too long. Nobody else changes who watches whom
/// meanwhile: that takes the shard's lock.
fn check_rings(outer: &Arc<Epoll>, inner: &Arc<Epoll>) -> Result<(), Errno> {
    let known = RefCell::new(HashMap::new());
    let name = |epoll: &Arc<Epoll>| {
        let number = Arc::as_ptr(epoll).addr();
        known.borrow_mut().insert(number, epoll.clone());
        number
    };
    let (outer, inner) = (name(outer), name(inner));
    let next = |number: usize, way: fn(&Epoll) -> Vec<Arc<Epoll>>| {
        let epoll = known.borrow().get(&number).cloned();
        epoll.map_or_else(Vec::new, |epoll| way(&epoll)).iter().map(&name).collect()
    };
    check_nesting(outer, inner, |set| next(set, Epoll::below), |set| next(set, Epoll::above))
}
