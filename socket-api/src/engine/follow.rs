//! Following an object, of whatever kind: being told what happens to it, and asking how ready it is.

use tapsock_sockets::{PollMask, Sockets};

use super::shard::{Shard, Turn};
use super::sync::Arc;
use super::wait::{Sharing, Watcher};
use crate::description::{Kind, Object};
use crate::local::LocalSocket;

impl Object {
    /// How ready it is now. To be asked under the lock of `sockets`.
    pub(crate) fn readiness(&self, sockets: &Sockets) -> PollMask {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(_, fd) => sockets.readiness(*fd),
                Kind::Local(local) => local.readiness(),
            },
            Object::Epoll(epoll) => epoll.readiness(sockets),
        }
    }

    /// As [`readiness`](Self::readiness), asked with no lock held.
    pub(crate) fn readiness_now(&self) -> PollMask {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(shard, fd) => shard.turn().state.sockets.readiness(*fd),
                Kind::Local(local) => local.readiness(),
            },
            Object::Epoll(epoll) => {
                epoll.ask_real();
                epoll.readiness(&epoll.shard().turn().state.sockets)
            }
        }
    }

    /// Tells `watcher` from now on what happens to it. `turn` is one of its host.
    pub(crate) fn add_watcher(&self, turn: &mut Turn<'_>, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(_, fd) => turn.state.waiters.watch(*fd, watcher, sharing),
                Kind::Local(local) => local.add_watcher(watcher, sharing),
            },
            Object::Epoll(epoll) => epoll.add_watcher(watcher, sharing),
        }
    }

    /// Tells it no more.
    pub(crate) fn remove_watcher(&self, turn: &mut Turn<'_>, watcher: &Arc<dyn Watcher>) {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(_, fd) => turn.state.waiters.unwatch(*fd, watcher),
                Kind::Local(local) => local.remove_watcher(watcher),
            },
            Object::Epoll(epoll) => epoll.remove_watcher(watcher),
        }
    }

    /// Has calls on it noted from now on, and told to those who want to hear of falls.
    pub(crate) fn observe(&self, turn: &mut Turn<'_>) {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(_, fd) => turn.state.sockets.observe(*fd),
                Kind::Local(local) => local.observe(),
            },
            Object::Epoll(epoll) => epoll.observe(turn),
        }
    }

    /// As [`add_watcher`](Self::add_watcher), with no lock held.
    pub(crate) fn follow(&self, watcher: Arc<dyn Watcher>) {
        match self.own_shard() {
            Ok(shard) => self.add_watcher(&mut shard.turn(), watcher, Sharing::Everyone),
            Err(local) => local.add_watcher(watcher, Sharing::Everyone),
        }
    }

    /// As [`observe`](Self::observe), with no lock held.
    pub(crate) fn observe_now(&self) {
        match self.own_shard() {
            Ok(shard) => self.observe(&mut shard.turn()),
            Err(local) => local.observe(),
        }
    }

    /// As [`remove_watcher`](Self::remove_watcher), with no lock held.
    pub(crate) fn unfollow(&self, watcher: &Arc<dyn Watcher>) {
        match self.own_shard() {
            Ok(shard) => self.remove_watcher(&mut shard.turn(), watcher),
            Err(local) => local.remove_watcher(watcher),
        }
    }

    /// Under whose lock it stands, or else the local socket that it is.
    fn own_shard(&self) -> Result<&Arc<Shard>, &LocalSocket> {
        match self {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(shard, _) => Ok(shard),
                Kind::Local(local) => Err(local),
            },
            Object::Epoll(epoll) => Ok(epoll.shard()),
        }
    }
}
