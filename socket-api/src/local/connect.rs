//! listen, connect and accept of connection-based local sockets.

use rustix::io::Errno;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{AcceptError, Listener, Pair, Side, SocketKind};
use tapsock_sockets::{PollMask, UnixAddr};

use super::cell::{Cell, Halt, Patience};
use super::{ACCEPTORS, CONNECTORS, Connection, LocalSocket, Pending, Role, process};
use crate::engine::sync::{Arc, lock};

impl LocalSocket {
    /// Takes connections from now on, or changes the backlog: listen(2).
    ///
    /// Errors: EOPNOTSUPP on a datagram socket; EINVAL on one that has no name or is connected.
    pub(crate) fn listen(&self, backlog: i32) -> Result<(), Errno> {
        if !self.kind.is_connection_based() {
            return Err(Errno::OPNOTSUPP);
        }
        let mut own = lock(&self.own);
        if own.name.is_none() || self.connection.get().is_some() {
            return Err(Errno::INVAL);
        }
        match &own.role {
            Role::Closed => return Err(Errno::BADF),
            Role::Listening(listener) => listener.with(|listener, events| {
                if listener.set_backlog(backlog, self.host.somaxconn, process()) {
                    events.push((CONNECTORS, PollMask::OUT));
                }
            }),
            Role::Fresh => {
                let mut listener = Listener::new(backlog, self.host.somaxconn, process());
                if own.setup.receive_shut {
                    listener.shutdown(tapsock_sockets::local::Shutdown::Read);
                }
                own.role = Role::Listening(Cell::new(listener, self.host.spin));
            }
        }
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
        if self.kind == SocketKind::Datagram {
            return self.connect_datagrams(address);
        }
        let target = self.look_up(address)?;
        let listener = match &lock(&target.own).role {
            Role::Listening(listener) => listener.clone(),
            Role::Fresh | Role::Closed => return Err(Errno::CONNREFUSED),
        };
        let (setup, client, patience) = {
            let own = lock(&self.own);
            if self.connection.get().is_some() {
                return Err(Errno::ISCONN);
            }
            if let Role::Listening(_) = own.role {
                return Err(Errno::INVAL);
            }
            let name = own.name.map_or(UnixAddr::UNNAMED, |(address, _)| address);
            (own.setup, name, super::patience(own.waits, own.send_timeout, 0))
        };
        let theirs = { lock(&target.own).setup };
        let connection = listener.call(CONNECTORS, PollMask::OUT, patience, |listener, events| {
            match listener.check() {
                Ok(()) => {}
                Err(AcceptError::WouldBlock) => return Err(Halt::Wait),
                Err(error) => return Err(error.errno().into()),
            }
            let near = tapsock_sockets::local::EndSetup { peer: listener.owner(), ..setup };
            let far = tapsock_sockets::local::EndSetup {
                options: theirs.options,
                ..tapsock_sockets::local::EndSetup::new(process())
            };
            let (ours, pending) = match self.kind {
                SocketKind::Stream => {
                    let cell = Cell::new(Pair::pending(near, far), self.host.spin);
                    (Connection::Stream(cell.clone(), Side::First), Connection::Stream(cell, Side::Second))
                }
                _ => {
                    let cell = Cell::new(Pair::pending(near, far), self.host.spin);
                    (Connection::Records(cell.clone(), Side::First), Connection::Records(cell, Side::Second))
                }
            };
            listener.push(Pending { connection: pending, client });
            events.push((ACCEPTORS, PollMask::IN | PollMask::RDNORM));
            Ok(ours)
        })?;
        lock(&self.own).peer_name = target.name();
        if let Err(late) = self.connection.set(connection) {
            // Another thread was faster.
            drop(late.close());
            return Err(Errno::ISCONN);
        }
        Ok(())
    }

    /// Takes a connection; waits until there is one: accept4(2). Gives the new socket and its peer's name.
    ///
    /// Errors: EOPNOTSUPP on a datagram socket; EINVAL where it does not listen; EAGAIN.
    pub(crate) fn accept(&self, waits: bool) -> Result<(Arc<LocalSocket>, UnixAddr), Errno> {
        if !self.kind.is_connection_based() {
            return Err(Errno::OPNOTSUPP);
        }
        let (listener, name) = {
            let own = lock(&self.own);
            let Role::Listening(listener) = &own.role else { return Err(Errno::INVAL) };
            (listener.clone(), own.name)
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
        match &pending.connection {
            Connection::Stream(cell, _) => cell.with(|pair, _| pair.accept()),
            Connection::Records(cell, _) => cell.with(|pair, _| pair.accept()),
        }
        let socket = LocalSocket::new(&self.host, self.kind, waits);
        {
            let mut own = lock(&socket.own);
            own.name = name.map(|(address, _)| (address, None));
            own.peer_name = pending.client;
        }
        socket.adopt(pending.connection);
        Ok((socket, pending.client))
    }

    /// The peer's name: getpeername(2).
    ///
    /// Errors: ENOTCONN.
    pub(crate) fn peer_name(&self) -> Result<UnixAddr, Errno> {
        if self.kind == SocketKind::Datagram {
            return self.datagram_peer().map(|peer| peer.name()).ok_or(Errno::NOTCONN);
        }
        match self.connection.get() {
            Some(_) => Ok(lock(&self.own).peer_name),
            None => Err(Errno::NOTCONN),
        }
    }
}
