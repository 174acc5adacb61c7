//! PF_LOCAL: sockets of one host that speak to each other in memory, and the waiting that `tapsock_sockets::local` leaves
//! to its caller.
//!
//! None of it is under the stack's lock. A connected pair has a lock of its own, so has a listener and each datagram
//! socket, and the name space another; `docs/LOCKS.md` says in which order they are taken.

mod audience;
mod cell;
mod connect;
mod datagram;
mod label;
mod options;

mod seqpacket;
mod stream;
mod transfer;
mod watch;

use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};

use rustix::io::Errno;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Credentials, DATAGRAM_QUEUE_DEFAULT, DatagramSocket, EndSetup, InodeId, Listener, Names, Pair, Records,
    SEND_BUFFER_DEFAULT, Shutdown, Side, SocketKind, Stream,
};
use tapsock_sockets::{PollMask, UnixAddr};

use crate::description::Held;
use crate::engine::clock::now;
use crate::engine::sync::{Arc, Mutex, lock};

use audience::Audience;
use cell::{Cell, Events, Patience, Queue, Shared};
use label::Label;

pub(crate) use datagram::Incoming;

/// What the local sockets of one host share.
pub(crate) struct Locals {
    names: Mutex<Names<Weak<LocalSocket>>>,
    /// All sockets by their number.
    sockets: Mutex<HashMap<u64, Weak<LocalSocket>>>,
    next: AtomicU64,
    /// Longest look for an answer before a caller sleeps.
    spin: Duration,
    /// Listening sockets take no more than so many connections (`net.core.somaxconn`).
    somaxconn: i32,
}

/// A local socket.
pub(crate) struct LocalSocket {
    host: Arc<Locals>,
    kind: SocketKind,
    number: u64,
    /// The connection, once there is one; it is for good.
    connection: OnceLock<Connection>,
    /// Its own name.
    label: Label,
    datagrams: Option<Arc<Cell<DatagramSocket<u64, Held>>>>,
    own: Mutex<Own>,
}

/// A connection, and which end of it.
#[derive(Clone)]
enum Connection {
    Stream(Arc<Cell<Pair<Stream<Held>>>>, Side),
    Records(Arc<Cell<Pair<Records<Held>>>>, Side),
}

/// What a socket is apart from its connection.
struct Own {
    role: Role,
    name: Option<(UnixAddr, Option<InodeId>)>,
    /// The name of whom it is connected to, if it is.
    peer: Label,
    waits: bool,
    receive_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
    /// SO_RCVBUF, which has no effect, as on Linux.
    receive_buffer: u32,
    /// What it takes along into a connection.
    setup: EndSetup,
    /// Who watches it, once somebody has.
    audience: Option<Arc<Audience>>,
}

#[derive(Clone)]
enum Role {
    Fresh,
    Listening(Arc<Cell<Listener<Pending>>>),
    Closed,
}

/// A connection that waits to be accepted.
#[derive(Clone)]
struct Pending {
    connection: Connection,
    client: Label,
}

/// A table of so few sockets is not worth shrinking.
const SHRINK_ABOVE: usize = 64;

/// Those who accept wait in this queue of a listener.
const ACCEPTORS: Queue = 0;
/// Those who connect wait in this one.
const CONNECTORS: Queue = 1;

impl Shared for Listener<Pending> {
    fn readiness(&self, queue: Queue) -> PollMask {
        if queue == ACCEPTORS { Listener::readiness(self) } else { PollMask::OUT }
    }
}

impl Locals {
    /// No sockets. A caller looks for an answer `spin` long before it sleeps, at most.
    pub(crate) fn new(spin: Duration, somaxconn: u32) -> Arc<Self> {
        Arc::new(Locals {
            names: Mutex::default(),
            sockets: Mutex::default(),
            next: AtomicU64::new(1),
            spin,
            somaxconn: i32::try_from(somaxconn).unwrap_or(i32::MAX),
        })
    }

    /// Closes all sockets, whatever they are held by.
    pub(crate) fn close_all(&self) {
        let sockets: Vec<_> = lock(&self.sockets).values().filter_map(Weak::upgrade).collect();
        sockets.iter().for_each(|socket| drop(socket.close()));
    }

    fn forget(&self, number: u64) {
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

/// Who this process is, as a peer sees it.
pub(crate) fn process() -> Credentials {
    Credentials {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

impl LocalSocket {
    /// A fresh socket.
    pub(crate) fn new(host: &Arc<Locals>, kind: SocketKind, waits: bool) -> Arc<Self> {
        LocalSocket::labelled(host, kind, waits, Label::default())
    }

    /// A socket that shares `label` with another.
    fn labelled(host: &Arc<Locals>, kind: SocketKind, waits: bool, label: Label) -> Arc<Self> {
        let number = host.next.fetch_add(1, Ordering::Relaxed);
        let datagrams = (kind == SocketKind::Datagram)
            .then(|| Cell::new(DatagramSocket::new(number, DATAGRAM_QUEUE_DEFAULT), host.spin));
        let own = Own {
            role: Role::Fresh,
            name: None,
            peer: Label::default(),
            waits,
            receive_timeout: None,
            send_timeout: None,
            receive_buffer: SEND_BUFFER_DEFAULT,
            setup: EndSetup::new(Credentials::NOBODY),
            audience: None,
        };
        let socket = Arc::new(LocalSocket {
            host: host.clone(),
            kind,
            number,
            connection: OnceLock::new(),
            label,
            datagrams,
            own: Mutex::new(own),
        });
        lock(&host.sockets).insert(number, Arc::downgrade(&socket));
        socket
    }

    /// Two sockets that are connected to each other: socketpair(2).
    pub(crate) fn pair(host: &Arc<Locals>, kind: SocketKind, waits: bool) -> (Arc<Self>, Arc<Self>) {
        let [first, second] = [(); 2].map(|()| LocalSocket::new(host, kind, waits));
        let setup = EndSetup::new(process());
        for (socket, other) in [(&first, &second), (&second, &first)] {
            let mut own = lock(&socket.own);
            own.peer = other.label.clone();
            own.setup.peer = process();
        }
        match kind {
            SocketKind::Datagram => {
                first.join(&second);
                second.join(&first);
            }
            SocketKind::Stream => {
                let cell = Cell::new(Pair::new(setup, setup), host.spin);
                first.adopt(Connection::Stream(cell.clone(), Side::First));
                second.adopt(Connection::Stream(cell, Side::Second));
            }
            SocketKind::Seqpacket => {
                let cell = Cell::new(Pair::new(setup, setup), host.spin);
                first.adopt(Connection::Records(cell.clone(), Side::First));
                second.adopt(Connection::Records(cell, Side::Second));
            }
        }
        (first, second)
    }

    /// Whether its calls wait.
    pub(crate) fn waits(&self) -> bool {
        lock(&self.own).waits
    }

    /// Sets whether its calls wait (O_NONBLOCK).
    pub(crate) fn set_waits(&self, waits: bool) {
        lock(&self.own).waits = waits;
    }

    /// Shuts directions down: shutdown(2).
    ///
    /// Errors: EINVAL.
    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        let how = Shutdown::from_how(how)?;
        if let Some(connection) = self.connection.get() {
            connection.shutdown(how);
            return Ok(());
        }
        if let Some(datagrams) = &self.datagrams {
            datagrams.with(|socket, events| {
                socket.shutdown(how);
                everything(events);
            });
            return Ok(());
        }
        let mut own = lock(&self.own);
        if let Role::Listening(listener) = &own.role {
            let listener = listener.clone();
            // Whoever watches is told without the lock.
            drop(own);
            listener.with(|listener, events| {
                listener.shutdown(how);
                everything(events);
            });
            return Ok(());
        }
        own.setup.receive_shut |= how.reads();
        own.setup.send_shut |= how.writes();
        let audience = own.audience.clone();
        drop(own);
        if let Some(audience) = audience {
            audience.tell_now(PollMask::NONE);
        }
        Ok(())
    }

    /// The events of the socket: poll(2).
    pub(crate) fn readiness(&self) -> PollMask {
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => cell.lock().state.readiness(*side),
            Some(Connection::Records(cell, side)) => cell.lock().state.readiness(*side),
            None => self.unconnected_readiness(),
        }
    }

    fn unconnected_readiness(&self) -> PollMask {
        if let Some(datagrams) = &self.datagrams {
            return self.datagram_readiness(datagrams);
        }
        let own = lock(&self.own);
        match &own.role {
            Role::Listening(listener) => Listener::readiness(&listener.lock().state),
            Role::Fresh | Role::Closed => tapsock_sockets::local::View {
                unconnected: true,
                writable: true,
                receive_shut: own.setup.receive_shut,
                send_shut: own.setup.send_shut,
                ..Default::default()
            }
            .readiness(),
        }
    }

    /// Closes the socket: close(2). Calls of other threads that wait for it end with EBADF. Handles that nobody will
    /// receive are returned, to be dropped without a lock.
    pub(crate) fn close(&self) -> Vec<Held> {
        self.host.forget(self.number);
        let (role, name) = {
            let mut own = lock(&self.own);
            (core::mem::replace(&mut own.role, Role::Closed), own.name.take())
        };
        if let Some((address, Some(inode))) = name {
            lock(&self.host.names).release(&address, inode);
        }
        let mut lost = Vec::new();
        if let Some(connection) = self.connection.get() {
            lost = connection.close();
        }
        if let Role::Listening(listener) = role {
            let pending: Vec<Pending> = listener.with(|listener, events| {
                everything(events);
                listener.close().collect()
            });
            listener.close_queue(ACCEPTORS);
            lost.extend(pending.into_iter().flat_map(|pending| pending.connection.close()));
        }
        if self.datagrams.is_some() {
            lost.extend(self.close_datagrams());
        }
        lost
    }

    /// How long receiving and accepting wait (SO_RCVTIMEO); `None` for ever.
    pub(crate) fn receive_timeout(&self) -> Option<Duration> {
        lock(&self.own).receive_timeout
    }

    /// Sets that.
    pub(crate) fn set_receive_timeout(&self, timeout: Option<Duration>) {
        lock(&self.own).receive_timeout = timeout;
    }

    /// How long sending and connecting wait (SO_SNDTIMEO); `None` for ever.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        lock(&self.own).send_timeout
    }

    /// Sets that.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) {
        lock(&self.own).send_timeout = timeout;
    }

    /// The pending error, told once (SO_ERROR).
    pub(crate) fn take_error(&self) -> Option<Errno> {
        let reset = match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => cell.with(|pair, _| pair.take_reset(*side)),
            (Some(Connection::Records(cell, side)), _) => cell.with(|pair, _| pair.take_reset(*side)),
            (None, Some(cell)) => cell.with(|socket, _| socket.take_reset()),
            (None, None) => false,
        };
        reset.then_some(Errno::CONNRESET)
    }

    /// Who is on the other side (SO_PEERCRED).
    pub(crate) fn peer_credentials(&self) -> Credentials {
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => cell.lock().state.peer_credentials(*side),
            Some(Connection::Records(cell, side)) => cell.lock().state.peer_credentials(*side),
            None => lock(&self.own).setup.peer,
        }
    }

    fn adopt(&self, connection: Connection) {
        // A fresh socket has none.
        let _ = self.connection.set(connection);
    }

    fn receive_patience(&self, flags: i32) -> Patience {
        let own = lock(&self.own);
        patience(own.waits, own.receive_timeout, flags)
    }

    fn send_patience(&self, flags: i32) -> Patience {
        let own = lock(&self.own);
        patience(own.waits, own.send_timeout, flags)
    }
}

impl Connection {
    fn shutdown(&self, how: Shutdown) {
        match self {
            Connection::Stream(cell, side) => cell.with(|pair, events| {
                pair.shutdown(*side, how);
                // Its own first, as on Linux: that is the order of an epoll report.
                events.push((queue(*side), PollMask::NONE));
                events.push((queue(side.other()), PollMask::NONE));
            }),
            Connection::Records(cell, side) => cell.with(|pair, events| {
                pair.shutdown(*side, how);
                // Its own first, as on Linux: that is the order of an epoll report.
                events.push((queue(*side), PollMask::NONE));
                events.push((queue(side.other()), PollMask::NONE));
            }),
        }
    }

    fn close(&self) -> Vec<Held> {
        match self {
            Connection::Stream(cell, side) => {
                let lost = cell.with(|pair, events| {
                    everything(events);
                    pair.close(*side)
                });
                cell.close_queue(queue(*side));
                lost
            }
            Connection::Records(cell, side) => {
                let lost = cell.with(|pair, events| {
                    everything(events);
                    pair.close(*side)
                });
                cell.close_queue(queue(*side));
                lost
            }
        }
    }
}

/// The queue of an end of a pair.
fn queue(side: Side) -> Queue {
    match side {
        Side::First => 0,
        Side::Second => 1,
    }
}

fn side(queue: Queue) -> Side {
    if queue == 0 { Side::First } else { Side::Second }
}

/// Both queues are to look again.
fn everything(events: &mut Events) {
    events.push((0, PollMask::NONE));
    events.push((1, PollMask::NONE));
}

fn patience(waits: bool, timeout: Option<Duration>, flags: i32) -> Patience {
    if waits && flags & tapsock_sockets::constants::MSG_DONTWAIT == 0 {
        Patience::Until(timeout.map(|timeout| now() + timeout))
    } else {
        Patience::None
    }
}
