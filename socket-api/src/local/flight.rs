//! What is under way in messages (SCM_RIGHTS): shares in our sockets and epoll instances, and real descriptors.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use tapsock_sockets::FD_LIMIT_DEFAULT;

use super::LocalSocket;
use crate::description::{Description, Held, Kind};
use crate::engine::sync::{Arc, Mutex, lock};
use crate::leaving::{self, Errand};

/// The most rights under way between the sockets of one host; then sending more is ETOOMANYREFS. Linux counts up to
/// the limit of open files for that, a user's and all namespaces together; here it is the limit of a host's ids.
pub(crate) const IN_FLIGHT_MAX: usize = FD_LIMIT_DEFAULT;

/// What a message passes.
#[derive(Clone, Debug)]
pub(crate) enum Right {
    /// A share in a socket or an epoll instance of the host.
    Ours(Held),
    /// A descriptor of the system. A peek has another share in it.
    Real(Arc<OwnedFd>),
}

impl Right {
    /// A share in `fd`. Errors: ETOOMANYREFS where this process may open no more: what is under way counts as open.
    pub(crate) fn real(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        match fcntl_dupfd_cloexec(fd, 0) {
            Ok(fd) => Ok(Right::Real(Arc::new(fd))),
            Err(Errno::MFILE) => Err(Errno::TOOMANYREFS),
            Err(errno) => Err(errno),
        }
    }

    /// The descriptor itself. Errors: EMFILE where a peek has left a share in the queue, and no more may be opened.
    pub(crate) fn own(share: Arc<OwnedFd>) -> Result<OwnedFd, Errno> {
        Arc::try_unwrap(share).or_else(|share| fcntl_dupfd_cloexec(&*share, 0))
    }

    /// The local socket that it is a share in, if it is.
    fn local(&self) -> Option<&Arc<Description>> {
        match self {
            Right::Ours(held) => held.socket().filter(|description| local(description).is_some()),
            Right::Real(_) => None,
        }
    }
}

/// A right that lies in a queue, or was just taken out of it.
pub(crate) struct Flying {
    // The count goes down before the share is let go, so that whoever lets go sees how many are left in queues.
    tally: Tally,
    right: Right,
}

/// One that is counted.
struct Tally {
    flights: Arc<Flights>,
    local: Option<Arc<Description>>,
}

/// The local sockets among `rights`.
pub(super) fn locals(rights: &[Flying]) -> Vec<Arc<Description>> {
    rights.iter().filter_map(|right| right.local().cloned()).collect()
}

impl Flying {
    /// It has arrived.
    pub(crate) fn land(self) -> Right {
        let Flying { tally, right } = self;
        drop(tally);
        right
    }

    /// The local socket that it is a share in, if it is.
    pub(super) fn local(&self) -> Option<&Arc<Description>> {
        self.tally.local.as_ref()
    }
}

impl Clone for Flying {
    /// What a peek gives. The bound is of what is sent.
    fn clone(&self) -> Self {
        Flying { tally: Tally::new(&self.tally.flights, &self.right), right: self.right.clone() }
    }
}

impl core::fmt::Debug for Flying {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.right.fmt(f)
    }
}

impl Tally {
    fn new(flights: &Arc<Flights>, right: &Right) -> Self {
        flights.count.fetch_add(1, Ordering::Relaxed);
        let local = right.local().cloned();
        if let Some(description) = &local {
            let mut sockets = lock(&flights.sockets);
            let before =
                self::local(description).map(|socket| socket.in_flight.fetch_add(1, Ordering::SeqCst));
            if before == Some(0) {
                sockets.insert(Arc::as_ptr(description).addr(), description.clone());
            }
        }
        Tally { flights: flights.clone(), local }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.flights.count.fetch_sub(1, Ordering::Relaxed);
        let Some(description) = &self.local else { return };
        let mut sockets = lock(&self.flights.sockets);
        let before = local(description).map(|socket| socket.in_flight.fetch_sub(1, Ordering::SeqCst));
        if before == Some(1) {
            sockets.remove(&Arc::as_ptr(description).addr());
            if sockets.is_empty() {
                self.flights.may_have_rings.store(false, Ordering::Relaxed);
            }
            if sockets.capacity() > super::host::SHRINK_ABOVE && sockets.len() < sockets.capacity() / 4 {
                let len = sockets.len();
                sockets.shrink_to(len * 2);
            }
        }
    }
}

/// What is under way between the local sockets of a host, and who looks for those that only hold each other.
#[derive(Default)]
pub(crate) struct Flights {
    /// How many rights there are in queues.
    count: AtomicUsize,
    /// The local sockets among them, by the address of their description. Its lock is a leaf.
    pub(super) sockets: Mutex<HashMap<usize, Arc<Description>>>,
    /// Whether a ring may have come about: a local socket that itself may hold others went into the queue of one that
    /// is under way.
    may_have_rings: AtomicBool,
    /// Held by who collects.
    pub(super) collector: Mutex<()>,
    /// Nothing is to leave a queue, and nothing to be accepted, until `collector` is free.
    pub(super) collecting: AtomicBool,
    /// Somebody wants to have it done.
    pub(super) wanted: AtomicBool,
    /// How many rights may be looked at: what sending has earned, less what looking has cost.
    pub(super) credit: AtomicU64,
}

impl Flights {
    /// Puts `rights` under way. Errors: ETOOMANYREFS.
    pub(crate) fn launch(self: &Arc<Self>, rights: Vec<Right>) -> Result<Vec<Flying>, Errno> {
        if rights.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_full() {
            // It may be full of what nobody can receive.
            leaving::run(Errand::Collect(self.clone()));
            if self.is_full() {
                return Err(Errno::TOOMANYREFS);
            }
        }
        self.earn(rights.len());
        let fly = |right| Flying { tally: Tally::new(self, &right), right };
        Ok(rights.into_iter().map(fly).collect())
    }

    fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) > IN_FLIGHT_MAX
    }

    /// How many rights there are in queues.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nothing is to leave a queue now. To be asked under the lock of the queue.
    pub(super) fn is_collecting(&self) -> bool {
        self.collecting.load(Ordering::Relaxed)
    }

    /// Waits until it may again. Called with no lock held.
    pub(super) fn stand_aside(&self) {
        drop(lock(&self.collector));
    }

    /// `passed` have gone into a queue of `receiver`: where that may have closed a ring, or was the last that held
    /// one, the ring is looked for.
    pub(super) fn on_passed(self: &Arc<Self>, passed: &[Arc<Description>], receiver: &LocalSocket) {
        // The receiver's own queues hold something now.
        if receiver.is_flying() && passed.iter().filter_map(|one| local(one)).any(LocalSocket::holds_rights) {
            self.may_have_rings.store(true, Ordering::SeqCst);
        }
        passed.iter().for_each(|description| self.on_fewer_holders(description, description.holders()));
        if self.wanted.load(Ordering::Relaxed) && self.can_pay() {
            leaving::run(Errand::Collect(self.clone()));
        }
    }

    /// `description` is held by no more than `holders`. Where all of these may lie in queues, it may be part of a ring.
    pub(crate) fn on_fewer_holders(self: &Arc<Self>, description: &Description, holders: usize) {
        if !self.may_have_rings.load(Ordering::SeqCst) {
            return;
        }
        let Kind::Local(socket) = &description.kind else { return };
        if socket.in_flight.load(Ordering::SeqCst) >= holders && socket.holds_rights() {
            leaving::run(Errand::Collect(self.clone()));
        }
    }
}

/// The local socket that a description is of, if it is.
pub(super) fn local(description: &Arc<Description>) -> Option<&LocalSocket> {
    match &description.kind {
        Kind::Local(socket) => Some(socket),
        Kind::Inet(..) => None,
    }
}
