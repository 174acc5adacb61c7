//! Real descriptors of an instance that somebody looks at from outside: by `poll`, through an instance above it, or by a
//! mirror.
//!
//! An instance of the kernel's over those of ours, the *bridge*, stands among what a driver sleeps on, as the link does. So
//! what happens to real descriptors is told to those above like what happens to sockets, by whoever drives. How ready they
//! are is asked with no lock of a socket held, by each who is about to look, and noted for the look itself.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Weak;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::{Epoll, READY, Real, tell};
use crate::engine::shard::{Shard, Turn};
use crate::engine::sync::{Arc, Mutex, Ordering, lock};

/// The kernel's instance over the real descriptors of those of a host.
pub(crate) struct Bridge {
    epoll: OwnedFd,
    /// The instances whose real descriptors are in it. A leaf.
    heard: Mutex<HashMap<u64, Weak<Epoll>>>,
    /// Held from the fetching of events until they are told, so that who looks after something has happened finds it
    /// told. Before the shard's lock.
    telling: Mutex<()>,
}

impl Bridge {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Bridge {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            heard: Mutex::default(),
            telling: Mutex::default(),
        })
    }

    /// Edge-triggered: those above have noted where to look, and are told anew of what comes anew.
    fn add(&self, instance: &Arc<Epoll>, real: &Real) -> Result<(), Errno> {
        let name = name(instance);
        lock(&self.heard).insert(name, Arc::downgrade(instance));
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let added = epoll::add(&self.epoll, real, epoll::EventData::new_u64(name), flags);
        if added.is_err() {
            lock(&self.heard).remove(&name);
        }
        added
    }

    fn remove(&self, instance: &Epoll, real: &Real) {
        // It is there as long as both are.
        let _ = epoll::delete(&self.epoll, real);
        lock(&self.heard).remove(&name(instance));
    }

    /// The instances to whose real descriptors something has happened.
    fn drain(&self) -> Vec<Arc<Epoll>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(lock(&self.heard).len().max(1));
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Without a time to wait it fails only for want of room, and then there is nothing.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once));
        let heard = lock(&self.heard);
        let instance = |event: &epoll::Event| {
            let data = event.data;
            heard.get(&data.u64())?.upgrade()
        };
        events.iter().filter_map(instance).collect()
    }
}

impl AsFd for Bridge {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn name(instance: &Epoll) -> u64 {
    core::ptr::from_ref(instance).addr() as u64
}

/// Who stands above an instance.
#[derive(Default)]
pub(super) struct Hearing {
    above: usize,
    on_bridge: bool,
    closed: bool,
}

/// Has what happens to an instance's real descriptors told to those above it, until it is dropped. That makes system
/// calls, so no lock is held.
pub(crate) struct Heard(Weak<Epoll>);

impl Drop for Heard {
    fn drop(&mut self) {
        if let Some(epoll) = self.0.upgrade() {
            let mut hearing = lock(&epoll.hearing);
            hearing.above -= 1;
            // Taking out can't fail.
            let _ = epoll.cross(&mut hearing);
        }
    }
}

impl Epoll {
    /// Somebody stands above it.
    ///
    /// Errors: EMFILE, ENFILE, ENOMEM, ENOSPC.
    pub(crate) fn hear(self: &Arc<Self>) -> Result<Heard, Errno> {
        let mut hearing = lock(&self.hearing);
        hearing.above += 1;
        let crossed = self.cross(&mut hearing);
        drop(hearing);
        // Dropped where that failed, which counts down.
        let heard = Heard(Arc::downgrade(self));
        crossed.map(|()| heard)
    }

    /// There are real descriptors in it now.
    pub(super) fn on_real_made(self: &Arc<Self>) -> Result<(), Errno> {
        self.cross(&mut lock(&self.hearing))
    }

    /// It is closed: nobody hears of it any more.
    pub(super) fn off_bridge(self: &Arc<Self>) {
        let mut hearing = lock(&self.hearing);
        hearing.closed = true;
        // Taking out can't fail.
        let _ = self.cross(&mut hearing);
    }

    /// Puts its real descriptors on the bridge or takes them off.
    fn cross(self: &Arc<Self>, hearing: &mut Hearing) -> Result<(), Errno> {
        let Some(real) = self.real.get() else { return Ok(()) };
        let wanted = hearing.above > 0 && !hearing.closed;
        if wanted == hearing.on_bridge {
            return Ok(());
        }
        let bridge = self.shard.bridge()?;
        if wanted {
            bridge.add(self, real)?;
        } else {
            bridge.remove(self, real);
        }
        hearing.on_bridge = wanted;
        Ok(())
    }

    /// Hears what has happened to real descriptors, and asks how ready they are that it or one of those below it watches.
    /// To be called, with no lock held, before its [`readiness`](Self::readiness) is asked.
    pub(crate) fn look_at_real(&self) {
        self.shard.hear_real();
        self.ask_real();
    }

    /// The same, of those below only.
    pub(super) fn look_below(&self) {
        if self.nests.load(Ordering::Acquire) {
            self.shard.hear_real();
            self.below().iter().for_each(|inner| inner.ask_real());
        }
    }

    /// Asks how ready they are, and tells nobody.
    pub(crate) fn ask_real(&self) {
        if let Some(real) = self.real.get() {
            real.look();
        }
        if self.nests.load(Ordering::Acquire) {
            self.below().iter().for_each(|inner| inner.ask_real());
        }
    }

    /// Something has happened to its real descriptors: those above are told. Who sleeps in a wait on it hears for
    /// himself.
    fn on_real(&self, turn: &mut Turn<'_>) {
        let inner = lock(&self.inner);
        inner.pollers.mark_ready(READY, |waiter| turn.wake(waiter));
        let above = inner.above.to_vec();
        drop(inner);
        tell(&above, &mut |waiter| turn.wake(waiter));
        turn.stir_loop();
    }
}

impl Shard {
    /// Tells those whom it concerns what has happened on the bridge. No lock is held.
    pub(in crate::engine) fn hear_real(&self) {
        let Some(bridge) = self.existing_bridge() else { return };
        let telling = lock(&bridge.telling);
        let told = bridge.drain();
        if told.is_empty() {
            return;
        }
        told.iter().for_each(|epoll| epoll.ask_real());
        let mut turn = self.turn();
        told.iter().for_each(|epoll| epoll.on_real(&mut turn));
        drop(telling);
        turn.finish();
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};
    use tapsock_sockets::epoll::{EPOLL_CTL_ADD, EPOLLIN, EpollEvent};

    use super::*;
    use crate::host::Host;

    #[test]
    fn nothing_is_left_on_the_bridge_of_who_is_closed_or_unheard() {
        let host = Host::builder().start().unwrap();
        let left = || host.shard().existing_bridge().map_or(0, |bridge| lock(&bridge.heard).len());
        let real = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let wanted = Some(EpollEvent { events: EPOLLIN, data: 0 });
        let [first, second] = [(); 2].map(|()| {
            let epoll = Epoll::new(host.shared_shard());
            epoll.control_real(EPOLL_CTL_ADD, real.as_fd(), wanted).unwrap();
            epoll
        });
        assert_eq!(left(), 0, "nobody asks");
        let heard = [first.hear().unwrap(), second.hear().unwrap(), second.hear().unwrap()];
        assert_eq!(left(), 2);
        first.close();
        assert_eq!(left(), 1);
        drop(heard);
        assert_eq!(left(), 0);
    }
}
