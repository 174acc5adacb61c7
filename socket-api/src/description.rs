//! What a socket id stands for: POSIX's open file description, which several ids, and messages under way, may hold.

use std::sync::Weak;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use tapsock_sockets::{Fd, Table};

use crate::engine::Shard;
use crate::engine::epoll::Epoll;
use crate::engine::sync::{Arc, Mutex, lock};
use crate::leaving::{self, Errand};
use crate::local::LocalSocket;
use crate::numbers::Numbers;

mod calls;
mod lent;
mod shares;

pub(crate) use calls::{unix, waits};
pub(crate) use lent::Lent;
pub(crate) use shares::Shares;

/// The integer ids of a host: the lowest free numbers, or those that somebody else gives out.
pub(crate) struct Descriptors {
    table: Mutex<Table<Entry>>,
    numbers: Option<Box<dyn Numbers>>,
    /// The next of those that tell apart what has stood at a number.
    incarnations: AtomicU32,
}

/// What stands at a number.
struct Entry {
    held: Held,
    incarnation: u32,
    on_exec: OnExec,
}

/// The flag of a number, FD_CLOEXEC. It is kept and told; no `exec` leaves a stack behind.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum OnExec {
    #[default]
    Keep,
    Close,
}

impl OnExec {
    /// As `flags` say, of which `close` is that for it.
    pub(crate) fn from_flags(flags: i32, close: i32) -> Self {
        if flags & close != 0 { OnExec::Close } else { OnExec::Keep }
    }
}

/// A number that is kept for what is still to come.
pub(crate) struct Reserved<'a> {
    of: &'a Descriptors,
    number: i32,
    filled: bool,
}

impl Reserved<'_> {
    /// Puts `held` there. Errors: EMFILE, where the limit is a lower one by now.
    pub(crate) fn fill(mut self, held: Held, on_exec: OnExec) -> Result<i32, Errno> {
        self.filled = true;
        self.of.put(self.number, self.of.entry(held, on_exec))
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        match &self.of.numbers {
            _ if self.filled => {}
            Some(numbers) => numbers.give_back(self.number),
            None => lock(&self.of.table).release(Fd(self.number)),
        }
    }
}

impl Descriptors {
    /// None as yet; `limit` of them at most.
    pub(crate) fn new(limit: usize, numbers: Option<Box<dyn Numbers>>) -> Self {
        let mut table = Table::new(0);
        table.set_limit(limit);
        Descriptors { table: Mutex::new(table), numbers, incarnations: AtomicU32::new(0) }
    }

    fn entry(&self, held: Held, on_exec: OnExec) -> Entry {
        Entry { held, incarnation: self.incarnations.fetch_add(1, Ordering::Relaxed), on_exec }
    }

    /// How many there are at most.
    pub(crate) fn limit(&self) -> usize {
        lock(&self.table).limit()
    }

    /// Gives `held` a number. Errors: EMFILE.
    pub(crate) fn insert(&self, held: Held) -> Result<i32, Errno> {
        self.insert_as(held, OnExec::default())
    }

    /// The same, with its flag.
    pub(crate) fn insert_as(&self, held: Held, on_exec: OnExec) -> Result<i32, Errno> {
        self.insert_from(0, held, on_exec)
    }

    /// The same, with the lowest number that is not below `least`: F_DUPFD. Errors: EINVAL where `least` is no number,
    /// EMFILE.
    pub(crate) fn insert_from(&self, least: i32, held: Held, on_exec: OnExec) -> Result<i32, Errno> {
        if usize::try_from(least).map_or(true, |least| least > 0 && least >= self.limit()) {
            return Err(Errno::INVAL);
        }
        self.insert_entry(least, self.entry(held, on_exec))
    }

    /// As [`insert`](Self::insert), with what tells it from what may stand there later. Errors: EMFILE.
    fn insert_told(&self, held: Held) -> Result<(i32, u32), Errno> {
        let entry = self.entry(held, OnExec::default());
        let incarnation = entry.incarnation;
        Ok((self.insert_entry(0, entry)?, incarnation))
    }

    fn insert_entry(&self, least: i32, entry: Entry) -> Result<i32, Errno> {
        if let Some(numbers) = &self.numbers {
            return self.put(numbers.take(least)?, entry);
        }
        let inserted = lock(&self.table).insert_from(Fd(least), entry);
        // What finds no room is closed, without the lock.
        inserted.map(|fd| fd.0).map_err(|_| Errno::MFILE)
    }

    /// Puts `held` at `number`, whatever stands there: dup2. Errors: EBADF where that is no number, EBUSY where it is kept
    /// for another.
    pub(crate) fn insert_at(&self, number: i32, held: Held, on_exec: OnExec) -> Result<(), Errno> {
        if usize::try_from(number).map_or(true, |number| number >= self.limit()) {
            return Err(Errno::BADF);
        }
        if let Some(numbers) = &self.numbers {
            numbers.claim(number)?;
        } else if lock(&self.table).is_kept(Fd(number)) {
            return Err(Errno::BUSY);
        }
        self.put(number, self.entry(held, on_exec)).map(drop).map_err(|_| Errno::BADF)
    }

    /// What stood there is closed, without the lock. Errors: EMFILE.
    fn put(&self, number: i32, entry: Entry) -> Result<i32, Errno> {
        let outcome = lock(&self.table).insert_at(Fd(number), entry);
        match outcome {
            Ok(before) => {
                drop(before);
                Ok(number)
            }
            Err(_) => {
                if let Some(numbers) = &self.numbers {
                    numbers.give_back(number);
                }
                Err(Errno::MFILE)
            }
        }
    }

    /// A number for what is still to come. Errors: EMFILE where none is free.
    pub(crate) fn reserve(&self) -> Result<Reserved<'_>, Errno> {
        let number = match &self.numbers {
            Some(numbers) => numbers.take(0)?,
            None => lock(&self.table).reserve().ok_or(Errno::MFILE)?.0,
        };
        Ok(Reserved { of: self, number, filled: false })
    }

    /// The socket that `id` stands for, for a call. Errors: EBADF, ENOTSOCK.
    pub(crate) fn description(&self, id: i32) -> Result<Arc<Description>, Errno> {
        match lock(&self.table).get(Fd(id)) {
            Some(Entry { held: Held(Object::Socket(description)), .. }) => Ok(description.clone()),
            Some(Entry { held: Held(Object::Epoll(_)), .. }) => Err(Errno::NOTSOCK),
            None => Err(Errno::BADF),
        }
    }

    /// What `id` stands for, be it a socket or not. Errors: EBADF.
    pub(crate) fn object(&self, id: i32) -> Result<Object, Errno> {
        lock(&self.table).get(Fd(id)).map(|entry| entry.held.0.clone()).ok_or(Errno::BADF)
    }

    /// Another holder of what `id` stands for. Errors: EBADF.
    pub(crate) fn held(&self, id: i32) -> Result<Held, Errno> {
        lock(&self.table).get(Fd(id)).map(|entry| entry.held.clone()).ok_or(Errno::BADF)
    }

    /// The flag of `id`. Errors: EBADF.
    pub(crate) fn on_exec(&self, id: i32) -> Result<OnExec, Errno> {
        lock(&self.table).get(Fd(id)).map(|entry| entry.on_exec).ok_or(Errno::BADF)
    }

    /// Sets it. Errors: EBADF.
    pub(crate) fn set_on_exec(&self, id: i32, on_exec: OnExec) -> Result<(), Errno> {
        lock(&self.table).get_mut(Fd(id)).ok_or(Errno::BADF)?.on_exec = on_exec;
        Ok(())
    }

    /// What tells that which stands at `id` from others before it and after it. Errors: EBADF.
    pub(crate) fn incarnation(&self, id: i32) -> Result<u32, Errno> {
        lock(&self.table).get(Fd(id)).map(|entry| entry.incarnation).ok_or(Errno::BADF)
    }

    /// Takes `id` out of the table; what it held may be closed by dropping it. Errors: EBADF.
    pub(crate) fn remove(&self, id: i32) -> Result<Held, Errno> {
        self.remove_if(id, |_| true, |numbers| numbers.give_back(id))
    }

    /// The same, where it is that incarnation. Errors: EBADF.
    pub(crate) fn remove_incarnation(&self, id: i32, wanted: u32) -> Result<Held, Errno> {
        self.remove_if(id, |incarnation| incarnation == wanted, |numbers| numbers.give_back(id))
    }

    /// The same, where the number was found to be another's already: it is not given back. Errors: EBADF.
    pub(crate) fn forget_incarnation(&self, id: i32, wanted: u32) -> Result<Held, Errno> {
        self.remove_if(id, |incarnation| incarnation == wanted, |_| {})
    }

    /// The number is given back under the table's lock, so that nothing else stands at it in the meantime.
    fn remove_if(
        &self,
        id: i32,
        is_wanted: impl FnOnce(u32) -> bool,
        give_back: impl FnOnce(&dyn Numbers),
    ) -> Result<Held, Errno> {
        let mut table = lock(&self.table);
        table.get(Fd(id)).filter(|entry| is_wanted(entry.incarnation)).ok_or(Errno::BADF)?;
        let removed = table.remove(Fd(id)).ok_or(Errno::BADF)?;
        if let Some(numbers) = &self.numbers {
            give_back(&**numbers);
        }
        drop(table);
        Ok(removed.held)
    }

    /// Does `act` while `id` is that incarnation: it is not taken out of the table meanwhile. Errors: EBADF.
    pub(crate) fn while_incarnation<T>(
        &self,
        id: i32,
        wanted: u32,
        act: impl FnOnce() -> T,
    ) -> Result<T, Errno> {
        let table = lock(&self.table);
        table.get(Fd(id)).filter(|entry| entry.incarnation == wanted).ok_or(Errno::BADF)?;
        Ok(act())
    }

    /// Takes all out.
    pub(crate) fn take_all(&self) -> Vec<Held> {
        let numbers: Vec<Fd> = lock(&self.table).numbers().collect();
        numbers.into_iter().filter_map(|fd| self.remove(fd.0).ok()).collect()
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
/// it. Who is in a call on a socket of the stack has the description, so its number there is given back when the last
/// drops it: none meets another socket.
pub(crate) struct Description {
    pub(crate) kind: Kind,
    shares: Shares,
}

const _: () = assert!(size_of::<Description>() <= 40, "an idle connection's share of its budget");

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
        self.shares.holders()
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        if let Kind::Inet(shard, fd) = &self.kind {
            shard.give_back(*fd);
        }
    }
}

/// What leads to an object while it lives, and keeps it neither open nor alive.
pub(crate) enum WeakObject {
    Socket(Weak<Description>),
    Epoll(Weak<Epoll>),
}

impl WeakObject {
    pub(crate) fn upgrade(&self) -> Option<Object> {
        match self {
            WeakObject::Socket(description) => Some(Object::Socket(description.upgrade()?)),
            WeakObject::Epoll(epoll) => Some(Object::Epoll(epoll.upgrade()?)),
        }
    }
}

/// A share in an object, which keeps it open.
pub(crate) struct Held(Object);

impl Held {
    /// The first holder of a new socket.
    pub(crate) fn new(kind: Kind) -> Self {
        Held(Object::Socket(Arc::new(Description { kind, shares: Shares::new() })))
    }

    /// What is held.
    pub(crate) fn object(&self) -> &Object {
        &self.0
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
        self.0.shares().hold();
        Held(self.0.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.0.shares().let_go() {
            0 => leaving::run(Errand::Close(self.0.clone())),
            holders => self.0.on_fewer_holders(holders),
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

    /// Leads here while it lives.
    pub(crate) fn downgrade(&self) -> WeakObject {
        match self {
            Object::Socket(description) => WeakObject::Socket(Arc::downgrade(description)),
            Object::Epoll(epoll) => WeakObject::Epoll(Arc::downgrade(epoll)),
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
        self.shares().take_watches().into_iter().for_each(|watch| watch.detach());
        if let Some(mirror) = self.shares().mirror() {
            mirror.close();
        }
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

#[cfg(test)]
mod tests {
    use tapsock_sockets::constants::{AF_INET, SOCK_DGRAM};
    use tapsock_sockets::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EpollEvent};

    use super::*;
    use crate::host::Host;

    #[test]
    fn the_number_of_a_closed_socket_is_kept_while_somebody_is_in_a_call_on_it() {
        let host = Host::builder().start().unwrap();
        let socket = || Held::new(Kind::Inet(host.shared_shard().clone(), number(&host)));
        let fd = |held: &Held| match held.socket().map(|description| &description.kind) {
            Some(Kind::Inet(_, fd)) => *fd,
            _ => unreachable!("it was made as one of the stack"),
        };
        let first = socket();
        let (before, in_call) = (fd(&first), first.socket().unwrap().clone());
        drop(first);
        let second = socket();
        assert_ne!(fd(&second), before);
        assert_eq!(in_call.kind.local_address(), Err(Errno::BADF));
        // Also by one that holds the lock.
        let turn = host.shard().turn();
        drop(in_call);
        drop(turn);
        assert_eq!(fd(&socket()), before);
    }

    #[test]
    fn what_nobody_holds_is_watched_no_more() {
        let host = Host::builder().start().unwrap();
        let socket = Held::new(Kind::Inet(host.shared_shard().clone(), number(&host)));
        let (object, epoll) = (socket.object().clone(), Epoll::new(host.shared_shard()));
        let watch = |operation| epoll.control(operation, 0, object.clone(), Some(EpollEvent::default()));
        assert_eq!([watch(EPOLL_CTL_ADD), watch(EPOLL_CTL_DEL), watch(EPOLL_CTL_ADD)], [Ok(()); 3]);
        drop(socket);
        assert!(object.shares().watches().is_empty());
        assert_eq!(watch(EPOLL_CTL_DEL), Err(Errno::NOENT));
        assert_eq!(watch(EPOLL_CTL_ADD), Err(Errno::BADF));
    }

    fn number(host: &Host) -> Fd {
        host.shard().socket(AF_INET, SOCK_DGRAM, 0).unwrap()
    }
}
