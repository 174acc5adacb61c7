//! shutdown and close.

use rustix::io::Errno;
use tapsock_sockets::PollMask;
use tapsock_sockets::local::Shutdown;

use super::{ACCEPTORS, Connection, Flying, LocalSocket, Pending, Role, everything, queue};
use crate::engine::sync::lock;

impl LocalSocket {
    /// Shuts directions down: shutdown(2).
    ///
    /// Errors: EINVAL.
    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        let _touch = self.touch();
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

    /// Closes the socket: close(2). Calls of other threads that wait for it end with EBADF. Handles that nobody will
    /// receive are returned, to be dropped without a lock.
    pub(crate) fn close(&self) -> Vec<Flying> {
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

    pub(super) fn close(&self) -> Vec<Flying> {
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
