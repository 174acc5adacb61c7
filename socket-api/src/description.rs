//! What a socket id stands for: POSIX's open file description, which several ids, and messages under way, may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tapsock_sockets::{FD_LIMIT_DEFAULT, Fd, Table};

use crate::engine::Shard;
use crate::engine::epoll::{Epoll, Watch};
use crate::engine::sync::{Arc, Mutex, lock};
use crate::leaving::{self, Errand};
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

    /// The socket that `id` stands for, for a call. Errors: EBADF, ENOTSOCK.
    pub(crate) fn description(&self, id: i32) -> Result<Arc<Description>, Errno> {
        match lock(&self.table).get(Fd(id)) {
            Some(Held(Object::Socket(description))) => Ok(description.clone()),
            Some(Held(Object::Epoll(_))) => Err(Errno::NOTSOCK),
            None => Err(Errno::BADF),
        }
    }

    /// What `id` stands for, be it a socket or not. Errors: EBADF.
    pub(crate) fn object(&self, id: i32) -> Result<Object, Errno> {
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

/// What an id leads to. A clone of it keeps nothing open.
#[derive(Clone)]
pub(crate) enum Object {
    /// A socket.
    Socket(Arc<Description>),
    /// An epoll instance.
    Epoll(Arc<Epoll>),
}

/// A socket that somebody holds by an id. It is closed when the last holder lets go, whoever still waits in a call on
/// it.
pub(crate) struct Description {
    pub(crate) kind: Kind,
    shares: Shares,
}

/// Who holds an object, and who watches it.
pub(crate) struct Shares {
    holders: AtomicUsize,
    /// The watches of epoll instances; `None` once it is closed. Its lock is a leaf.
    watches: Mutex<Option<Vec<Arc<Watch>>>>,
}

/// What kind of socket it is.
pub(crate) enum Kind {
    /// A socket of the stack.
    Inet(Arc<Shard>, Fd),
    /// A socket of PF_LOCAL.
    Local(Arc<LocalSocket>),
}

impl Description {
    /// How many shares there are: of ids, of calls that pass it on, and of messages.
    pub(crate) fn holders(&self) -> usize {
        self.shares.holders.load(Ordering::Acquire)
    }
}

/// A share in an object, which keeps it open.
pub(crate) struct Held(Object);

impl Held {
    /// The first holder of a new socket.
    pub(crate) fn new(kind: Kind) -> Self {
        Held(Object::Socket(Arc::new(Description { kind, shares: Shares::new() })))
    }

    /// The first holder of a new epoll instance.
    pub(crate) fn epoll(epoll: Arc<Epoll>) -> Self {
        Held(Object::Epoll(epoll))
    }

    /// The socket, where it is one.
    pub(crate) fn socket(&self) -> Option<&Arc<Description>> {
        match &self.0 {
            Object::Socket(description) => Some(description),
            Object::Epoll(_) => None,
        }
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.shares().holders.fetch_add(1, Ordering::Relaxed);
        Held(self.0.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.0.shares().holders.fetch_sub(1, Ordering::AcqRel) {
            1 => leaving::run(Errand::Close(self.0.clone())),
            holders => self.0.on_fewer_holders(holders - 1),
        }
    }
}

impl Object {
    /// Who holds it, and who watches it.
    pub(crate) fn shares(&self) -> &Shares {
        match self {
            Object::Socket(description) => &description.shares,
            Object::Epoll(epoll) => epoll.shares(),
        }
    }

    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Object) -> bool {
        self.address() == other.address()
    }

    /// What tells it from all other objects while it lives.
    pub(crate) fn address(&self) -> usize {
        match self {
            Object::Socket(description) => Arc::as_ptr(description).addr(),
            Object::Epoll(epoll) => Arc::as_ptr(epoll).addr(),
        }
    }

    fn on_fewer_holders(&self, holders: usize) {
        if let Object::Socket(description) = self
            && let Kind::Local(socket) = &description.kind
        {
            socket.flights().on_fewer_holders(description, holders);
        }
    }

    /// Closes what nobody holds any more.
    pub(crate) fn close(&self) {
        let watches = lock(&self.shares().watches).take();
        watches.into_iter().flatten().for_each(|watch| watch.detach());
        match self {
            Object::Socket(description) => match &description.kind {
                // It is gone already where the host was shut down.
                Kind::Inet(shard, fd) => drop(shard.close(*fd)),
                Kind::Local(socket) => drop(socket.close()),
            },
            Object::Epoll(epoll) => epoll.close(),
        }
    }
}

impl Shares {
    /// Those of a new object, with one holder.
    pub(crate) fn new() -> Self {
        Shares { holders: AtomicUsize::new(1), watches: Mutex::new(Some(Vec::new())) }
    }

    /// Notes that `watch` is to be detached when the object is closed. Errors: EBADF where it is closed.
    pub(crate) fn enter(&self, watch: &Arc<Watch>) -> Result<(), Errno> {
        lock(&self.watches).as_mut().ok_or(Errno::BADF)?.push(watch.clone());
        Ok(())
    }

    /// Forgets `watch`.
    pub(crate) fn leave(&self, watch: &Watch) {
        if let Some(watches) = &mut *lock(&self.watches) {
            watches.retain(|other| !core::ptr::eq(&**other, watch));
        }
    }

    /// Who watches it.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        lock(&self.watches).clone().unwrap_or_default()
    }
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0 {
            Object::Socket(description) => match &description.kind {
                Kind::Inet(_, fd) => write!(f, "socket {fd}"),
                Kind::Local(_) => f.write_str("local socket"),
            },
            Object::Epoll(_) => f.write_str("epoll instance"),
        }
    }
}
