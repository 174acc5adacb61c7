//! What the local sockets of one host share.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;
use tapsock_sockets::Permission;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::Names;

use super::{Flights, LocalSocket};
use crate::engine::stats::Count;
use crate::engine::sync::{Arc, Mutex, lock};

/// What the local sockets of one host share.
pub(crate) struct Locals {
    pub(super) names: Mutex<Names<Weak<LocalSocket>>>,
    /// All sockets by their number.
    pub(super) sockets: Mutex<HashMap<u64, Weak<LocalSocket>>>,
    pub(super) next: AtomicU64,
    /// Longest look for an answer before a caller sleeps.
    pub(super) spin: Duration,
    /// Listening sockets take no more than so many connections (`net.core.somaxconn`).
    pub(super) somaxconn: i32,
    /// Whether buffers may be larger than others may ask for.
    pub(super) permission: Permission,
    /// Times that a thread went to sleep on one of them.
    pub(crate) parks: Count,
    /// What is under way between them.
    pub(super) flights: Arc<Flights>,
    /// Whether one of them has ever had SO_PASSCRED on: as long as none has, no message bears who sent it, but those to an end
    /// that is still to be accepted.
    passes_credentials: AtomicBool,
    /// Whether one of them has ever had SO_TIMESTAMP or SO_TIMESTAMPNS on: as long as none has, no clock is read.
    tells_when: AtomicBool,
}

impl Locals {
    /// No sockets. A caller looks for an answer `spin` long before it sleeps, at most.
    pub(crate) fn new(spin: Duration, somaxconn: u32, permission: Permission) -> Arc<Self> {
        Arc::new(Locals {
            names: Mutex::default(),
            sockets: Mutex::default(),
            next: AtomicU64::new(1),
            spin,
            somaxconn: i32::try_from(somaxconn).unwrap_or(i32::MAX),
            permission,
            parks: Count::default(),
            flights: Arc::default(),
            passes_credentials: AtomicBool::new(false),
            tells_when: AtomicBool::new(false),
        })
    }

    /// SO_PASSCRED is about to be on.
    pub(super) fn pass_credentials(&self) {
        self.passes_credentials.store(true, Ordering::Release);
    }

    /// Whether a message may have to bear who sent it.
    pub(super) fn passes_credentials(&self) -> bool {
        self.passes_credentials.load(Ordering::Acquire)
    }

    /// SO_TIMESTAMP or SO_TIMESTAMPNS is about to be on.
    pub(super) fn tell_when(&self) {
        self.tells_when.store(true, Ordering::Release);
    }

    /// Whether a receiver may want to know when something was sent.
    pub(super) fn tells_when(&self) -> bool {
        self.tells_when.load(Ordering::Acquire)
    }

    /// Closes all sockets, whatever they are held by.
    pub(crate) fn close_all(&self) {
        let sockets: Vec<_> = lock(&self.sockets).values().filter_map(Weak::upgrade).collect();
        sockets.iter().for_each(|socket| drop(socket.close()));
    }

    /// All sockets.
    #[cfg(feature = "control")]
    pub(crate) fn all(&self) -> Vec<Arc<LocalSocket>> {
        lock(&self.sockets).values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn forget(&self, number: u64) {
        let mut sockets = lock(&self.sockets);
        sockets.remove(&number);
        if sockets.capacity() > SHRINK_ABOVE && sockets.len() < sockets.capacity() / 4 {
            let len = sockets.len();
            sockets.shrink_to(len * 2);
        }
    }

    /// Removes a path name; the socket goes on. See unlink(2).
    ///
    /// Errors: ENOENT, ENOTDIR, EISDIR.
    pub(crate) fn unlink(&self, path: &[u8]) -> Result<(), Errno> {
        lock(&self.names).unlink(path).map_err(|error| error.errno())
    }
}

/// A table of so few sockets is not worth shrinking.
pub(super) const SHRINK_ABOVE: usize = 64;
