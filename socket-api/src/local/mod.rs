//! PF_LOCAL: sockets of one host that speak to each other in memory, and the waiting that `tapsock_sockets::local` leaves
//! to its caller.
//!
//! None of it is under the stack's lock. A connected pair has a lock of its own, so has a listener and each datagram
//! socket, and the name space another; `docs/LOCKS.md` says in which order they are taken.

mod audience;
mod cell;
mod close;
mod collect;
mod connect;
mod datagram;
mod flight;
mod host;
mod label;
mod look;
mod options;
mod seqpacket;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod transfer;
mod watch;

use core::time::Duration;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tapsock_sockets::local::{
    Credentials, DATAGRAM_QUEUE_DEFAULT, DatagramSocket, EndSetup, InodeId, Listener, Pair, Records,
    SEND_BUFFER_DEFAULT, Side, SocketKind, Stream,
};
use tapsock_sockets::{PollMask, UnixAddr};

use crate::engine::clock::now;
use crate::engine::sync::{Arc, AtomicBool, Mutex, lock};

use audience::Audience;
use cell::{Cell, Events, Patience, Queue, Shared};
use close::Elsewhere;
use connect::connected;
use label::Label;

pub(crate) use datagram::Incoming;
pub(crate) use flight::{Flights, Flying, Right};
pub(crate) use host::Locals;
pub(crate) use source::Source;
pub(crate) use watch::Receiver;

/// A local socket.
pub(crate) struct LocalSocket {
    host: Arc<Locals>,
    kind: SocketKind,
    number: u64,
    /// The connection, once there is one; it is for good.
    connection: OnceLock<Connection>,
    /// Its own name.
    label: Label,
    datagrams: Option<Arc<Cell<DatagramSocket<u64, Flying>>>>,
    own: Mutex<Own>,
    closed: AtomicBool,
    /// How many shares in it lie in queues. Changed under the lock of [`Flights`].
    in_flight: AtomicUsize,
    /// Whether somebody shows how ready it is.
    observed: AtomicBool,
    /// Whether the other end of its connection is known to be in somebody's hands.
    accepted: AtomicBool,
}

/// A connection, and which end of it.
#[derive(Clone)]
enum Connection {
    Stream(Arc<Cell<Pair<Stream<Flying>>>>, Side),
    Records(Arc<Cell<Pair<Records<Flying>>>>, Side),
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
    /// Options that are kept and do nothing, by their bits.
    idle_options: u8,
    /// SO_LINGER, which means nothing here.
    linger: (bool, u32),
    /// What it takes along into a connection.
    setup: EndSetup,
    /// Who watches it, once somebody has.
    audience: Option<Arc<Audience>>,
    /// What calls on it wait for that is another's, once for each.
    elsewhere: Vec<Elsewhere>,
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

/// Those who accept wait in this queue of a listener.
const ACCEPTORS: Queue = 0;
/// Those who connect wait in this one.
const CONNECTORS: Queue = 1;

impl Shared for Listener<Pending> {
    fn readiness(&self, queue: Queue) -> PollMask {
        if queue == ACCEPTORS { Listener::readiness(self) } else { PollMask::OUT }
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

    /// What kind of socket it is.
    pub(crate) fn kind(&self) -> SocketKind {
        self.kind
    }

    /// What tells it from the others of its host.
    #[cfg(feature = "control")]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What is under way between the sockets of its host.
    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.host.flights
    }

    /// A socket that shares `label` with another.
    fn labelled(host: &Arc<Locals>, kind: SocketKind, waits: bool, label: Label) -> Arc<Self> {
        let number = host.next.fetch_add(1, Ordering::Relaxed);
        let datagrams = (kind == SocketKind::Datagram)
            .then(|| Cell::new(DatagramSocket::new(number, DATAGRAM_QUEUE_DEFAULT), host));
        let own = Own {
            role: Role::Fresh,
            name: None,
            peer: Label::default(),
            waits,
            receive_timeout: None,
            send_timeout: None,
            receive_buffer: SEND_BUFFER_DEFAULT,
            idle_options: 0,
            linger: (false, 0),
            setup: EndSetup::new(Credentials::NOBODY),
            audience: None,
            elsewhere: Vec::new(),
        };
        let socket = Arc::new(LocalSocket {
            host: host.clone(),
            kind,
            number,
            connection: OnceLock::new(),
            label,
            datagrams,
            own: Mutex::new(own),
            closed: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            observed: AtomicBool::new(false),
            accepted: AtomicBool::new(false),
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
                // Nobody else has them, so neither is closed.
                let _ = first.join(&second).and_then(|()| second.join(&first));
            }
            SocketKind::Stream => {
                let cell = connected(host, Pair::new(setup, setup), [first.number, second.number]);
                first.adopt(Connection::Stream(cell.clone(), Side::First));
                second.adopt(Connection::Stream(cell, Side::Second));
            }
            SocketKind::Seqpacket => {
                let cell = connected(host, Pair::new(setup, setup), [first.number, second.number]);
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

    /// The events of the socket: poll(2).
    pub(crate) fn readiness(&self) -> PollMask {
        if self.is_closed() {
            return PollMask::NVAL;
        }
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
        let _touch = self.touch();
        let reset = match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => cell.with(|pair, _| pair.take_reset(*side)),
            (Some(Connection::Records(cell, side)), _) => cell.with(|pair, _| pair.take_reset(*side)),
            (None, Some(cell)) => cell.with(|socket, _| socket.take_reset()),
            (None, None) => false,
        };
        reset.then_some(Errno::CONNRESET)
    }

    /// Gives one back that was taken and not told: the next call tells it.
    pub(crate) fn put_error_back(&self) {
        let _touch = self.touch();
        match (self.connection.get(), &self.datagrams) {
            (Some(Connection::Stream(cell, side)), _) => cell.with(|pair, _| pair.put_reset_back(*side)),
            (Some(Connection::Records(cell, side)), _) => cell.with(|pair, _| pair.put_reset_back(*side)),
            (None, Some(cell)) => cell.with(|socket, _| socket.put_reset_back()),
            (None, None) => {}
        }
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
    if timeout != Some(Duration::ZERO) && waits && flags & tapsock_sockets::constants::MSG_DONTWAIT == 0 {
        Patience::Until(timeout.map(|timeout| now() + timeout))
    } else {
        Patience::None
    }
}
