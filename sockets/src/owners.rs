//! Which socket the stack means by its own names.

use std::collections::HashMap;

use tapsock_stack::growth::room;
use tapsock_stack::random::{Random, TableHash};
use tapsock_stack::stack::SocketId;

use crate::table::Fd;

/// Sockets by the stack's name for them. Connections, of which there may be very many, stand by their place in the
/// stack's table: four bytes for each.
#[derive(Debug)]
pub(crate) struct Owners {
    /// [`VACANT`] where a place is nobody's.
    connections: Vec<Fd>,
    others: HashMap<SocketId, Fd, TableHash>,
}

const VACANT: Fd = Fd(-1);

/// Room for so many sockets is kept.
const KEPT: usize = 128;

impl Owners {
    pub(crate) fn new() -> Self {
        // The stack chooses its ids, not a peer: no secret is needed.
        Owners { connections: Vec::new(), others: HashMap::with_hasher(Random::new(0).table_hash()) }
    }

    /// The socket that `id` belongs to, or one that had its place before it.
    pub(crate) fn candidate(&self, id: SocketId) -> Option<Fd> {
        match id {
            SocketId::Tcp(connection) => {
                self.connections.get(connection.place()).copied().filter(|fd| *fd != VACANT)
            }
            other => self.others.get(&other).copied(),
        }
    }

    pub(crate) fn insert(&mut self, id: SocketId, fd: Fd) {
        let SocketId::Tcp(connection) = id else {
            self.others.insert(id, fd);
            return;
        };
        let (place, len) = (connection.place(), self.connections.len());
        if place >= self.connections.capacity() {
            self.connections.reserve_exact(place + 1 - len + room(place));
        }
        if place >= len {
            self.connections.resize(place + 1, VACANT);
        }
        self.connections[place] = fd;
    }

    pub(crate) fn remove(&mut self, id: SocketId, fd: Fd) {
        let SocketId::Tcp(connection) = id else {
            self.others.remove(&id);
            if self.others.capacity() > KEPT && self.others.len() < self.others.capacity() / 8 {
                self.others.shrink_to(self.others.len() * 2);
            }
            return;
        };
        if let Some(place) = self.connections.get_mut(connection.place()).filter(|place| **place == fd) {
            *place = VACANT;
        }
        while self.connections.last() == Some(&VACANT) {
            self.connections.pop();
        }
        if self.connections.capacity() > KEPT && self.connections.len() < self.connections.capacity() / 4 {
            self.connections.shrink_to(self.connections.len() * 2);
        }
    }
}
