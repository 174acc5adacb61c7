//! Waiting for a local socket among others.

use tapsock_sockets::PollMask;

use super::audience::Audience;
use super::cell::Cell;
use super::datagram::{Datagrams, OWN, SENDERS};
use super::{ACCEPTORS, Connection, LocalSocket, Role, queue};
use crate::engine::sync::{Arc, Ordering, lock};
use crate::engine::wait::{Sharing, Waiter, Watcher};

impl LocalSocket {
    /// Has `waiter` marked when something of `mask` is there. A fresh socket is always ready, for a hang-up at least,
    /// and marks nobody. Of room at the receiver of datagrams, see [`receiver`](Self::receiver).
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>, mask: PollMask) {
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => cell.watch(queue(*side), waiter, mask),
            Some(Connection::Records(cell, side)) => cell.watch(queue(*side), waiter, mask),
            None => {
                if let Some(cell) = &self.datagrams {
                    cell.watch(OWN, waiter, mask);
                } else if let Role::Listening(listener) = &lock(&self.own).role {
                    listener.watch(ACCEPTORS, waiter, mask);
                }
            }
        }
    }

    /// Where a datagram socket that is connected waits for room; a thread that waits for that is marked by
    /// [`Receiver::watch`]. It is another's after each connect(2), of which those that wait for the socket are told.
    pub(crate) fn receiver(&self) -> Receiver {
        Receiver(self.datagram_peer().and_then(|peer| peer.datagrams.clone()))
    }

    /// Tells `watcher` from now on what happens to the socket, whatever becomes of it.
    pub(crate) fn add_watcher(&self, watcher: Arc<dyn Watcher>, sharing: Sharing) {
        let mut own = lock(&self.own);
        let audience = own.audience.get_or_insert_default().clone();
        match (self.connection.get(), &self.datagrams, &own.role) {
            (Some(connection), _, _) => connection.attach(&audience),
            (None, Some(cell), _) => cell.attach(OWN, &audience),
            (None, None, Role::Listening(listener)) => listener.attach(ACCEPTORS, &audience),
            (None, None, Role::Fresh | Role::Closed) => {}
        }
        drop(own);
        audience.add(watcher, sharing);
    }

    /// Tells it no more.
    pub(crate) fn remove_watcher(&self, watcher: &Arc<dyn Watcher>) {
        if let Some(audience) = self.audience() {
            audience.remove(watcher);
        }
    }

    /// Has calls on it noted from now on: somebody shows how ready it is.
    pub(crate) fn observe(&self) {
        self.observed.store(true, Ordering::Release);
    }

    /// To be kept while a call is made on it that may leave it less ready.
    pub(super) fn touch(&self) -> Touch<'_> {
        Touch(self)
    }

    /// Who watches it, once somebody has.
    pub(super) fn audience(&self) -> Option<Arc<Audience>> {
        lock(&self.own).audience.clone()
    }

    /// Has those who watch a socket that was just connected hear of its connection.
    pub(super) fn move_audience(&self) {
        let own = lock(&self.own);
        let (Some(audience), Some(connection)) = (&own.audience, self.connection.get()) else { return };
        connection.attach(audience);
        let audience = audience.clone();
        drop(own);
        // The peer may have been faster.
        let ready = self.readiness() & (PollMask::IN | PollMask::RDNORM | PollMask::HUP);
        if !ready.is_empty() {
            audience.tell_now(ready);
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
                } else if let Role::Listening(listener) = &lock(&self.own).role {
                    listener.forget(ACCEPTORS, waiter);
                }
            }
        }
    }
}

/// Who may have no room for what a datagram socket sends.
#[derive(Default)]
pub(crate) struct Receiver(Option<Arc<Cell<Datagrams>>>);

impl Receiver {
    /// Has `waiter` marked when there is room.
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>) {
        if let Some(cell) = &self.0 {
            cell.watch(SENDERS, waiter, PollMask::OUT);
        }
    }

    /// Marks `waiter` no more, on behalf of whichever socket.
    pub(crate) fn forget(&self, waiter: &Arc<Waiter>) {
        if let Some(cell) = &self.0 {
            cell.forget(SENDERS, waiter);
        }
    }
}

impl PartialEq for Receiver {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// A call on a socket. Afterwards, when all locks are gone, those who show how ready it is look again.
pub(super) struct Touch<'a>(&'a LocalSocket);

impl Drop for Touch<'_> {
    fn drop(&mut self) {
        if self.0.observed.load(Ordering::Acquire)
            && let Some(audience) = self.0.audience()
        {
            audience.look_again();
        }
    }
}

impl Connection {
    fn attach(&self, audience: &Arc<Audience>) {
        match self {
            Connection::Stream(cell, side) => cell.attach(queue(*side), audience),
            Connection::Records(cell, side) => cell.attach(queue(*side), audience),
        }
    }
}
