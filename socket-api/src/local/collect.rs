//! Finds sockets that lie in each other's queues and that nobody else holds, and empties those queues, as Linux's
//! garbage collector of AF_UNIX does.
//!
//! A ring comes about when a socket that holds others goes into the queue of one that is itself under way, and is lost
//! when the last descriptor of it goes. Both are seen where they happen; only then is there a search. A search looks at
//! all that is under way, so it is paid for: each right that is sent earns [`EARNED`] looks. Who builds rings, or what
//! could be rings, again and again in the midst of a hundred thousand sockets so pays a bounded price for each call,
//! and finds the lost ones later.

use std::collections::HashMap;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use tapsock_sockets::local::{InFlight, unreachable};

use super::flight::{Flights, Flying, local};
use super::{Connection, LocalSocket, Role, everything};
use crate::description::Description;
use crate::engine::sync::{Arc, MutexGuard, lock};

/// Looks at a right that each right that is sent earns.
const EARNED: u64 = 16;
/// How many rights may be under way so that looking at all of them costs nothing.
const FREE: usize = 256;

impl Flights {
    /// So many rights are sent.
    pub(super) fn earn(&self, rights: usize) {
        // No more than can be spent at once.
        let most = EARNED * super::flight::IN_FLIGHT_MAX as u64;
        if self.credit.load(Ordering::Relaxed) < most {
            self.credit.fetch_add(EARNED * rights as u64, Ordering::Relaxed);
        }
    }

    /// Empties the queues of all local sockets that only such sockets hold, and returns what was in them: dropping it,
    /// with no lock held, closes them. Where another thread is at it, that one begins anew.
    pub(crate) fn collect(&self) -> Vec<Flying> {
        let mut lost = Vec::new();
        self.wanted.store(true, Ordering::SeqCst);
        while self.wanted.load(Ordering::SeqCst) {
            let collector = match self.collector.try_lock() {
                Ok(collector) => collector,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => break,
            };
            // What can't be paid for now is done when enough has been sent.
            if !self.pay() {
                break;
            }
            self.wanted.store(false, Ordering::SeqCst);
            Search::begin(self, collector).run(&mut lost);
        }
        lost
    }

    fn pay(&self) -> bool {
        let cost = self.cost();
        let less = |credit: u64| credit.checked_sub(cost);
        cost == 0 || self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Whether a search can be paid for.
    pub(super) fn can_pay(&self) -> bool {
        self.credit.load(Ordering::Relaxed) >= self.cost()
    }

    fn cost(&self) -> u64 {
        let count = self.count();
        if count <= FREE { 0 } else { count as u64 }
    }
}

/// A search that is on: nothing leaves a queue, and nothing is accepted, until it is dropped.
struct Search<'a> {
    flights: &'a Flights,
    _collector: MutexGuard<'a, ()>,
}

impl<'a> Search<'a> {
    fn begin(flights: &'a Flights, collector: MutexGuard<'a, ()>) -> Self {
        flights.collecting.store(true, Ordering::SeqCst);
        Search { flights, _collector: collector }
    }

    /// Empties the queues of those that only each other hold.
    ///
    /// Who holds a socket only by queues can't get another share in it meanwhile, so the numbers of holders may be read
    /// one by one, after the queues. What is sent meanwhile counts as held by somebody.
    fn run(self, lost: &mut Vec<Flying>) {
        let sockets: Vec<Arc<Description>> = lock(&self.flights.sockets).values().cloned().collect();
        let address = |description: &Arc<Description>| Arc::as_ptr(description).addr();
        let places: HashMap<usize, usize> =
            sockets.iter().enumerate().map(|(place, description)| (address(description), place)).collect();
        let mut graph: Vec<InFlight> = Vec::with_capacity(sockets.len());
        for socket in sockets.iter().filter_map(local) {
            let mut holds = Vec::new();
            socket.each_right(&mut |right| {
                holds.extend(right.local().and_then(|held| places.get(&address(held))));
            });
            graph.push(InFlight { handles: 0, holds });
        }
        for (description, vertex) in sockets.iter().zip(&mut graph) {
            vertex.handles = description.holders();
        }
        for place in unreachable(&graph) {
            if let Some(socket) = local(&sockets[place]) {
                socket.empty(lost);
            }
        }
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        // Before the collector's lock is free, also where the search has panicked: nobody is to wait for nothing.
        self.flights.collecting.store(false, Ordering::SeqCst);
    }
}

impl LocalSocket {
    /// Whether handles of it lie in queues.
    pub(super) fn is_flying(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }

    /// Whether rights lie in its queues.
    pub(super) fn holds_rights(&self) -> bool {
        let mut any = false;
        self.each_right(&mut |_| any = true);
        any
    }

    /// Looks at the rights in its queues, and in those of connections that wait to be accepted.
    fn each_right(&self, look: &mut dyn FnMut(&Flying)) {
        if let Some(connection) = self.connection.get() {
            connection.each_right(look);
        } else if let Some(datagrams) = &self.datagrams {
            datagrams.lock().state.rights().for_each(look);
        } else if let Role::Listening(listener) = self.role() {
            let pending: Vec<Connection> =
                listener.lock().state.pending().map(|pending| pending.connection.clone()).collect();
            pending.iter().for_each(|connection| connection.each_right(look));
        }
    }

    /// Takes what is in its queues out of them.
    fn empty(&self, lost: &mut Vec<Flying>) {
        if let Some(connection) = self.connection.get() {
            lost.extend(connection.empty());
        } else if let Some(datagrams) = &self.datagrams {
            let mut discarded = datagrams.with(|socket, events| {
                everything(events);
                socket.purge()
            });
            lost.append(&mut discarded.rights);
            self.give_back(discarded);
        } else if let Role::Listening(listener) = self.role() {
            let pending: Vec<Connection> =
                listener.lock().state.pending().map(|pending| pending.connection.clone()).collect();
            lost.extend(pending.iter().flat_map(Connection::empty));
        }
    }

    fn role(&self) -> Role {
        lock(&self.own).role.clone()
    }
}

impl Connection {
    fn each_right(&self, look: &mut dyn FnMut(&Flying)) {
        match self {
            Connection::Stream(cell, side) => cell.lock().state.rights(*side).for_each(look),
            Connection::Records(cell, side) => cell.lock().state.rights(*side).for_each(look),
        }
    }

    fn empty(&self) -> Vec<Flying> {
        match self {
            Connection::Stream(cell, side) => cell.with(|pair, events| {
                everything(events);
                pair.purge(*side)
            }),
            Connection::Records(cell, side) => cell.with(|pair, events| {
                everything(events);
                pair.purge(*side)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::mpsc;
    use std::thread;

    use tapsock_sockets::local::SocketKind;

    use super::*;
    use crate::host::Host;

    /// Does `call` while a search is on: it must not come to an end before the search does.
    fn waits_for_a_search(host: &Host, what: &str, call: impl FnOnce() + Send + 'static) {
        let flights = &host.locals().flights;
        let search = Search::begin(flights, lock(&flights.collector));
        let (done, ended) = mpsc::channel();
        let caller = thread::spawn(move || {
            call();
            done.send(()).unwrap();
        });
        assert!(ended.recv_timeout(Duration::from_millis(100)).is_err(), "{what} in the midst of a search");
        drop(search);
        assert!(!flights.is_collecting());
        caller.join().unwrap();
    }

    #[test]
    fn nothing_is_taken_out_of_a_queue_while_a_search_counts() {
        let host = Host::builder().start().unwrap();
        let pair = |kind| LocalSocket::pair(host.locals(), kind, true);
        for kind in [SocketKind::Stream, SocketKind::Seqpacket, SocketKind::Datagram] {
            let (here, _there) = pair(kind);
            waits_for_a_search(&host, "close", move || drop(here.close()));
        }
        let (here, _there) = pair(SocketKind::Datagram);
        waits_for_a_search(&host, "connect", move || here.dissolve().unwrap());
    }
}
