//! What a socket id stands for: POSIX's open file description, which several ids, and messages under way, may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tapsock_sockets::{FD_LIMIT_DEFAULT, Fd, Table};

use crate::engine::Shard;
use crate::engine::sync::{Arc, Mutex, lock};
use crate::local::LocalSocket;

/// The integer ids of a host: the lowest free numbers.
pub(crate) struct Descriptors {
    table: Mutex<Table<Held>>,
}

impl Descriptors {
    pub(crate) fn new() -> Self {
        Descriptors { table: Mutex::new(Table::new(FD_LIMIT_DEFAULT)) }
    }

    /// Gives `held` a number. Errors: EMFILE.
    pub(crate) fn insert(&self, held: Held) -> Result<i32, Errno> {
        let inserted = lock(&self.table).insert(held);
        // What finds no room is closed, without the lock.
        inserted.map(|fd| fd.0).map_err(|_| Errno::MFILE)
    }

    /// Errors: EMFILE where no number is free.
    pub(crate) fn check_room(&self) -> Result<(), Errno> {
        if lock(&self.table).is_full() { Err(Errno::MFILE) } else { Ok(()) }
    }

    /// What `id` stands for, for a call. Errors: EBADF.
    pub(crate) fn description(&self, id: i32) -> Result<Arc<Description>, Errno> {
        lock(&self.table).get(Fd(id)).map(|held| held.0.clone()).ok_or(Errno::BADF)
    }

    /// Another holder of what `id` stands for. Errors: EBADF.
    pub(crate) fn held(&self, id: i32) -> Result<Held, Errno> {
        lock(&self.table).get(Fd(id)).cloned().ok_or(Errno::BADF)
    }

    /// Takes `id` out of the table; what it held may be closed by dropping it. Errors: EBADF.
    pub(crate) fn remove(&self, id: i32) -> Result<Held, Errno> {
        lock(&self.table).remove(Fd(id)).ok_or(Errno::BADF)
    }

    /// Takes all out.
    pub(crate) fn take_all(&self) -> Vec<Held> {
        let mut table = lock(&self.table);
        let numbers: Vec<Fd> = table.numbers().collect();
        numbers.into_iter().filter_map(|fd| table.remove(fd)).collect()
    }
}

/// What somebody holds by an id. It is closed when the last holder lets go, whoever still waits in a call on it.
pub(crate) struct Description {
    pub(crate) kind: Kind,
    holders: AtomicUsize,
}

/// What it is.
pub(crate) enum Kind {
    /// A socket of the stack.
    Inet(Arc<Shard>, Fd),
    /// A socket of PF_LOCAL.
    Local(Arc<LocalSocket>),
}

/// A share in a description, which keeps it open.
pub(crate) struct Held(Arc<Description>);

impl Held {
    /// The first holder of a new description.
    pub(crate) fn new(kind: Kind) -> Self {
        Held(Arc::new(Description { kind, holders: AtomicUsize::new(1) }))
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.holders.fetch_add(1, Ordering::Relaxed);
        Held(self.0.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl Description {
    fn close(&self) {
        match &self.kind {
            // It is gone already where the host was shut down.
            Kind::Inet(shard, fd) => drop(shard.close(*fd)),
            Kind::Local(socket) => drop(socket.close()),
        }
    }
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0.kind {
            Kind::Inet(_, fd) => write!(f, "socket {fd}"),
            Kind::Local(_) => f.write_str("local socket"),
        }
    }
}
