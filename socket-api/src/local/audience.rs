//! The epoll instances that watch one local socket.

use tapsock_sockets::PollMask;

use crate::engine::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use crate::engine::wait::{Sharing, WakeList, Watcher, Watchers};

/// Who watches a local socket. They are told while its lock is held, and no lock of a socket.
#[derive(Default)]
pub(super) struct Audience {
    watchers: Mutex<Watchers>,
    /// Whether there is any of them.
    interested: AtomicBool,
}

impl Audience {
    pub(super) fn add(&self, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        lock(&self.watchers).add(watcher, sharing);
        self.interested.store(true, Ordering::Release);
    }

    pub(super) fn remove(&self, watcher: &Arc<dyn Watcher>) {
        let mut watchers = lock(&self.watchers);
        watchers.remove(watcher);
        self.interested.store(!watchers.is_empty(), Ordering::Release);
    }

    /// Whether there is somebody to be told. To be asked under the lock of what happens: who comes later looks at the
    /// socket himself.
    pub(super) fn is_interested(&self) -> bool {
        self.interested.load(Ordering::Acquire)
    }

    /// Says what has happened, and who is to be woken for it. An empty mask stands for everything.
    pub(super) fn tell(&self, what: PollMask, wakes: &mut WakeList) {
        let what = match what {
            PollMask::NONE => PollMask::ALL,
            what if what.contains(PollMask::IN) => what | PollMask::PRI,
            what => what,
        };
        lock(&self.watchers).notify(what, &mut |waiter| wakes.push(waiter.clone()));
    }

    /// Has those who show how ready the socket is look again: it may be less so.
    pub(super) fn look_again(&self) {
        let mut wakes = WakeList::default();
        lock(&self.watchers).look_again(&mut |waiter| wakes.push(waiter.clone()));
        wakes.unpark_all();
    }

    /// As [`tell`](Self::tell), and wakes them.
    pub(super) fn tell_now(&self, what: PollMask) {
        let mut wakes = WakeList::default();
        self.tell(what, &mut wakes);
        wakes.unpark_all();
    }
}
