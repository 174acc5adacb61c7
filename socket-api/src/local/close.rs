//! shutdown and close.

use std::sync::atomic::Ordering;

use rustix::io::Errno;
use tapsock_sockets::PollMask;
use tapsock_sockets::local::{Listener, Shutdown};

use super::cell::Cell;
use super::datagram::{Datagrams, OWN, SENDERS};
use super::{ACCEPTORS, CONNECTORS, Connection, Flying, LocalSocket, Pending, Role, everything, queue};
use crate::engine::sync::{Arc, lock};

impl LocalSocket {
    /// Shuts directions down: shutdown(2).
    ///
    /// Errors: EINVAL; EBADF where it is closed meanwhile.
    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        let _touch = self.touch();
        let how = Shutdown::from_how(how)?;
        if let Some(connection) = self.connection.get() {
            return connection.shutdown(how);
        }
        if let Some(datagrams) = &self.datagrams {
            return datagrams.change(OWN, |socket, events| {
                socket.shutdown(how);
                everything(events);
            });
        }
        let mut own = lock(&self.own);
        match &own.role {
            Role::Closed => return Err(Errno::BADF),
            Role::Listening(listener) => {
                let listener = listener.clone();
                // Whoever watches is told without the lock.
                drop(own);
                return listener.change(ACCEPTORS, |listener, events| {
                    listener.shutdown(how);
                    everything(events);
                });
            }
            Role::Fresh => {}
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

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Does `call`, which waits for another socket, and ends with EBADF where this one is closed meanwhile: it is told to
    /// look again then, and looks whether it is closed under the lock of what it waits for.
    pub(super) fn away<T>(&self, place: Elsewhere, call: impl FnOnce() -> T) -> T {
        lock(&self.own).elsewhere.push(place.clone());
        let result = call();
        let mut own = lock(&self.own);
        if let Some(index) = own.elsewhere.iter().position(|other| other.is(&place)) {
            own.elsewhere.swap_remove(index);
        }
        result
    }

    /// Closes the socket: close(2). Calls of other threads that wait for it end with EBADF. Handles that nobody will
    /// receive are returned, to be dropped without a lock.
    pub(crate) fn close(&self) -> Vec<Flying> {
        self.host.forget(self.number);
        self.closed.store(true, Ordering::SeqCst);
        let (role, name, elsewhere) = {
            let mut own = lock(&self.own);
            let elsewhere = own.elsewhere.clone();
            (core::mem::replace(&mut own.role, Role::Closed), own.name.take(), elsewhere)
        };
        elsewhere.iter().for_each(Elsewhere::stir);
        if let Some((address, Some(inode))) = name {
            lock(&self.host.names).release(&address, inode);
        }
        let mut lost = Vec::new();
        if let Some(connection) = self.connection.get() {
            lost = connection.close();
        }
        if let Role::Listening(listener) = role {
            let pending: Vec<Pending> = listener.close(ACCEPTORS, |listener| listener.close().collect());
            lost.extend(pending.into_iter().flat_map(|pending| pending.connection.close()));
        }
        if self.datagrams.is_some() {
            lost.extend(self.close_datagrams());
        }
        lost
    }
}

/// What a call on a socket waits for that is another's.
#[derive(Clone)]
pub(super) enum Elsewhere {
    /// Room in the queue of a listener.
    Listener(Arc<Cell<Listener<Pending>>>),
    /// Room in the queue of a receiver of datagrams.
    Receiver(Arc<Cell<Datagrams>>),
}

impl Elsewhere {
    fn is(&self, other: &Elsewhere) -> bool {
        match (self, other) {
            (Elsewhere::Listener(one), Elsewhere::Listener(other)) => Arc::ptr_eq(one, other),
            (Elsewhere::Receiver(one), Elsewhere::Receiver(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn stir(&self) {
        match self {
            Elsewhere::Listener(listener) => listener.stir(CONNECTORS),
            Elsewhere::Receiver(receiver) => receiver.stir(SENDERS),
        }
    }
}

impl Connection {
    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        match self {
            Connection::Stream(cell, side) => cell.change(queue(*side), |pair, events| {
                pair.shutdown(*side, how);
                // Its own first, as on Linux: that is the order of an epoll report.
                events.push((queue(*side), PollMask::NONE));
                events.push((queue(side.other()), PollMask::NONE));
            }),
            Connection::Records(cell, side) => cell.change(queue(*side), |pair, events| {
                pair.shutdown(*side, how);
                // Its own first, as on Linux: that is the order of an epoll report.
                events.push((queue(*side), PollMask::NONE));
                events.push((queue(side.other()), PollMask::NONE));
            }),
        }
    }

    pub(super) fn close(&self) -> Vec<Flying> {
        match self {
            Connection::Stream(cell, side) => cell.close(queue(*side), |pair| pair.close(*side)),
            Connection::Records(cell, side) => cell.close(queue(*side), |pair| pair.close(*side)),
        }
    }
}
