//! Waiting for a local socket among others.

use tapsock_sockets::PollMask;

use super::datagram::{OWN, SENDERS};
use super::{ACCEPTORS, Connection, LocalSocket, Role, queue};
use crate::engine::sync::{Arc, lock};
use crate::engine::wait::Waiter;

impl LocalSocket {
    /// Has `waiter` marked when something of `mask` is there. A fresh socket is always ready, for a hang-up at least,
    /// and marks nobody.
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>, mask: PollMask) {
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => cell.watch(queue(*side), waiter, mask),
            Some(Connection::Records(cell, side)) => cell.watch(queue(*side), waiter, mask),
            None => {
                if let Some(cell) = &self.datagrams {
                    cell.watch(OWN, waiter, mask);
                    if let Some(theirs) =
                        self.datagram_peer().as_ref().and_then(|peer| peer.datagrams.as_ref())
                    {
                        theirs.watch(SENDERS, waiter, mask);
                    }
                } else if let Role::Listening(listener) = &lock(&self.own).role {
                    listener.watch(ACCEPTORS, waiter, mask);
                }
            }
        }
    }

    /// Marks `waiter` no more.
    pub(crate) fn forget(&self, waiter: &Arc<Waiter>) {
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => cell.forget(queue(*side), waiter),
            Some(Connection::Records(cell, side)) => cell.forget(queue(*side), waiter),
            None => {
                if let Some(cell) = &self.datagrams {
                    cell.forget(OWN, waiter);
                    if let Some(theirs) =
                        self.datagram_peer().as_ref().and_then(|peer| peer.datagrams.as_ref())
                    {
                        theirs.forget(SENDERS, waiter);
                    }
                } else if let Role::Listening(listener) = &lock(&self.own).role {
                    listener.forget(ACCEPTORS, waiter);
                }
            }
        }
    }
}
