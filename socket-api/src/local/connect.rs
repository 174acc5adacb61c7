//! listen, connect and accept of connection-based local sockets.

use rustix::io::Errno;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{AcceptError, EndSetup, Inbox, Listener, Pair, Shutdown, Side, SocketKind};
use tapsock_sockets::{PollMask, UnixAddr};
use tapsock_stack::time::Instant;

use super::cell::{Cell, Events, Guarded, Halt, Patience, Shared};
use super::close::Elsewhere;
use super::{ACCEPTORS, CONNECTORS, Connection, Label, LocalSocket, Locals, Pending, Role, process, queue};
use crate::engine::sync::{Arc, lock};

impl LocalSocket {
    /// Takes connections from now on, or changes the backlog: listen(2).
    ///
    /// Errors: EOPNOTSUPP on a datagram socket; EINVAL on one that has no name or is connected.
    pub(crate) fn listen(&self, backlog: i32) -> Result<(), Errno> {
        let _touch = self.touch();
        if !self.kind.is_connection_based() {
            return Err(Errno::OPNOTSUPP);
        }
        let mut own = lock(&self.own);
        if let Role::Closed = own.role {
            return Err(Errno::BADF);
        }
        if own.name.is_none() || self.connection.get().is_some() {
            return Err(Errno::INVAL);
        }
        match &own.role {
            Role::Listening(listener) => listener.with(|listener, events| {
                if listener.set_backlog(backlog, self.host.somaxconn, process()) {
                    events.push((CONNECTORS, PollMask::OUT));
                }
            }),
            Role::Fresh | Role::Closed => {
                let mut listener = Listener::new(backlog, self.host.somaxconn, process());
                if own.setup.receive_shut {
                    listener.shutdown(Shutdown::Read);
                }
                if own.setup.send_shut {
                    listener.shutdown(Shutdown::Write);
                }
                let listener = Cell::new(listener, &self.host);
                if let Some(audience) = &own.audience {
                    listener.attach(ACCEPTORS, audience);
                }
                own.role = Role::Listening(listener);
            }
        }
        // Linux takes a listener for its own peer.
        own.setup.peer = process();
        Ok(())
    }

    /// Whether it listens (SO_ACCEPTCONN).
    pub(crate) fn is_listening(&self) -> bool {
        matches!(lock(&self.own).role, Role::Listening(_))
    }

    /// Connects to the socket that `address` leads to; waits while its queue is full: connect(2).
    ///
    /// Errors: ENOENT, ECONNREFUSED, EPROTOTYPE, EISCONN, EINVAL where it listens, EAGAIN where the queue is full and the
    /// socket does not wait or its time-out has passed.
    pub(crate) fn connect(self: &Arc<Self>, address: &UnixAddr) -> Result<(), Errno> {
        self.connect_for(address, None)
    }

    /// As [`connect`](Self::connect), which waits until `deadline` whatever the socket is set to.
    ///
    /// Errors: its own; ETIMEDOUT instead of EAGAIN.
    pub(crate) fn connect_until(
        self: &Arc<Self>,
        address: &UnixAddr,
        deadline: Instant,
    ) -> Result<(), Errno> {
        let outcome = self.connect_for(address, Some(Patience::Until(Some(deadline))));
        outcome.map_err(|errno| if errno == Errno::AGAIN { Errno::TIMEDOUT } else { errno })
    }

    /// As long as `patience` says, or else the socket.
    fn connect_for(self: &Arc<Self>, address: &UnixAddr, patience: Option<Patience>) -> Result<(), Errno> {
        let _touch = self.touch();
        if *address == UnixAddr::UNNAMED {
            return Err(Errno::INVAL);
        }
        if self.end_options().pass_credentials {
            self.autobind()?;
        }
        if self.kind == SocketKind::Datagram {
            self.connect_datagrams(address)?;
            let peer = self.datagram_peer();
            lock(&self.own).peer = peer.map_or_else(Label::default, |peer| peer.label.clone());
            return Ok(());
        }
        let target = self.look_up(address)?;
        let listener = match &lock(&target.own).role {
            Role::Listening(listener) => listener.clone(),
            Role::Fresh | Role::Closed => return Err(Errno::CONNREFUSED),
        };
        let (setup, refusal, patience) = {
            let own = lock(&self.own);
            let refusal = match own.role {
                _ if self.connection.get().is_some() => Some(Errno::ISCONN),
                Role::Listening(_) => Some(Errno::INVAL),
                Role::Fresh | Role::Closed => None,
            };
            (own.setup, refusal, patience.unwrap_or_else(|| super::patience(own.waits, own.send_timeout, 0)))
        };
        let theirs = { lock(&target.own).setup };
        let mut attempt = |listener: &mut Listener<Pending>, events: &mut Events| {
            if self.is_closed() {
                return Err(Errno::BADF.into());
            }
            match listener.check() {
                Ok(()) => {}
                Err(AcceptError::WouldBlock) => return Err(Halt::Wait),
                Err(error) => return Err(error.errno().into()),
            }
            // As on Linux, what is wrong with the listener is said first.
            if let Some(errno) = refusal {
                return Err(errno.into());
            }
            let near = EndSetup { peer: listener.owner(), ..setup };
            let far = EndSetup { options: theirs.options, ..EndSetup::new(process()) };
            // What is passed to one that waits lies with the listener. Another thread may have connected this socket
            // meanwhile: then the listener hears nothing of the attempt.
            let owners = [self.number, target.number];
            let (ours, pending) = match self.kind {
                SocketKind::Stream => {
                    let cell = connected(&self.host, Pair::pending(near, far), owners);
                    (Connection::Stream(cell.clone(), Side::First), Connection::Stream(cell, Side::Second))
                }
                _ => {
                    let cell = connected(&self.host, Pair::pending(near, far), owners);
                    (Connection::Records(cell.clone(), Side::First), Connection::Records(cell, Side::Second))
                }
            };
            self.connection.set(ours).map_err(|_| Errno::ISCONN)?;
            listener.push(Pending { connection: pending, client: self.label.clone() });
            events.push((ACCEPTORS, PollMask::IN | PollMask::RDNORM));
            Ok(())
        };
        let mut outcome = listener.call(CONNECTORS, PollMask::OUT, Patience::None, &mut attempt);
        if matches!((&outcome, patience), (Err(Errno::AGAIN), Patience::Until(_))) {
            let wait = || listener.call(CONNECTORS, PollMask::OUT, patience, &mut attempt);
            outcome = self.away(Elsewhere::Listener(listener.clone()), wait);
        }
        outcome?;
        self.on_connected(&target)
    }

    /// The connection to `target` is there. Errors: EBADF where the socket was closed while it was made.
    fn on_connected(&self, target: &LocalSocket) -> Result<(), Errno> {
        let mut own = lock(&self.own);
        own.peer = target.label.clone();
        // Who closes says so under this lock, and looks for a connection afterwards.
        let was_closed = matches!(own.role, Role::Closed);
        drop(own);
        if was_closed {
            // Perhaps it found none, and then there is nobody else to close this one.
            drop(self.connection.get().map(Connection::close));
            return Err(Errno::BADF);
        }
        self.move_audience();
        Ok(())
    }

    /// Takes a connection; waits until there is one: accept4(2). Gives the new socket and its peer's name.
    ///
    /// Errors: EOPNOTSUPP on a datagram socket; EINVAL where it does not listen; EAGAIN; EBADF where it is closed
    /// meanwhile.
    pub(crate) fn accept(&self, waits: bool) -> Result<(Arc<LocalSocket>, UnixAddr), Errno> {
        let _touch = self.touch();
        if !self.kind.is_connection_based() {
            return Err(Errno::OPNOTSUPP);
        }
        let (listener, name) = {
            let own = lock(&self.own);
            match &own.role {
                Role::Listening(listener) => (listener.clone(), own.name),
                Role::Fresh => return Err(Errno::INVAL),
                Role::Closed => return Err(Errno::BADF),
            }
        };
        let patience = self.receive_patience(0);
        let pending =
            listener.call(ACCEPTORS, PollMask::WAIT_IN, patience, |listener, events| {
                match listener.try_accept() {
                    Ok(pending) => {
                        events.push((CONNECTORS, PollMask::OUT));
                        Ok(pending)
                    }
                    Err(AcceptError::WouldBlock) => Err(Halt::Wait),
                    Err(AcceptError::Shut) if matches!(patience, Patience::None) => Err(Errno::AGAIN.into()),
                    Err(error) => Err(error.errno().into()),
                }
            })?;
        let socket = LocalSocket::labelled(&self.host, self.kind, waits, self.label.clone());
        match &pending.connection {
            Connection::Stream(cell, side) => cell.lock().accept(*side, socket.number),
            Connection::Records(cell, side) => cell.lock().accept(*side, socket.number),
        }
        {
            let mut own = lock(&socket.own);
            own.name = name.map(|(address, _)| (address, None));
            own.peer = pending.client.clone();
        }
        socket.adopt(pending.connection);
        Ok((socket, pending.client.name()))
    }

    /// The peer's name: getpeername(2).
    ///
    /// Errors: ENOTCONN.
    pub(crate) fn peer_name(&self) -> Result<UnixAddr, Errno> {
        let connected = match &self.datagrams {
            // Also to one that is closed, until a call finds that out.
            Some(cell) => cell.lock().state.peer().is_some(),
            None => self.connection.get().is_some(),
        };
        if connected { Ok(lock(&self.own).peer.name()) } else { Err(Errno::NOTCONN) }
    }
}

impl<Q: Inbox> Guarded<Pair<Q>> {
    /// The end at `side` was accepted as the socket of that number.
    fn accept(&mut self, side: Side, number: u64) {
        self.state.accept();
        self.owners[queue(side)] = number;
    }
}

/// A cell for two ends that belong to the sockets of these numbers.
pub(super) fn connected<Q: Inbox>(host: &Arc<Locals>, pair: Pair<Q>, owners: [u64; 2]) -> Arc<Cell<Pair<Q>>>
where
    Pair<Q>: Shared,
{
    let cell = Cell::new(pair, host);
    cell.lock().owners = owners;
    cell
}
