//! All raw sockets, by family and protocol.

use std::collections::BTreeMap;

use slab::Slab;

use super::RawSocket;

/// Raw sockets at the most.
const MAX_SOCKETS: usize = 65_536;

/// A raw socket, until it is closed. Stays unknown after that.
///
/// ```
/// use tapsock_stack::ports::LocalAddr;
/// use tapsock_stack::raw::{RawSocket, RawTable};
///
/// let mut table = RawTable::default();
/// let id = table.open(RawSocket::new(1, LocalAddr::AnyV4)).unwrap();
/// assert!(table.close(id).is_some());
/// assert!(table.close(id).is_none());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct RawId {
    index: u32,
    generation: u32,
}

/// The raw sockets of a host.
///
/// ```
/// use tapsock_stack::ports::LocalAddr;
/// use tapsock_stack::raw::{RawSocket, RawTable};
///
/// let mut table = RawTable::default();
/// let id = table.open(RawSocket::new(89, LocalAddr::AnyV4)).unwrap();
/// assert_eq!(table.get(id).map(RawSocket::protocol), Some(89));
/// ```
#[derive(Debug, Default)]
pub struct RawTable {
    sockets: Slab<(u32, RawSocket)>,
    /// The sockets of a family (true for IPv4) and a protocol, in the order of their opening.
    by_protocol: BTreeMap<(bool, u16), Vec<RawId>>,
    generation: u32,
}

impl RawTable {
    /// All sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &RawSocket> {
        self.sockets.iter().map(|(_, (_, socket))| socket)
    }

    /// Takes a socket in. `None` where there are too many.
    pub fn open(&mut self, socket: RawSocket) -> Option<RawId> {
        if self.sockets.len() >= MAX_SOCKETS {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let key = (socket.is_v4(), socket.protocol());
        let index = self.sockets.insert((self.generation, socket)) as u32;
        let id = RawId { index, generation: self.generation };
        self.by_protocol.entry(key).or_default().push(id);
        Some(id)
    }

    /// Takes a socket out.
    pub fn close(&mut self, id: RawId) -> Option<RawSocket> {
        self.get(id)?;
        let (_, socket) = self.sockets.remove(id.index as usize);
        let key = (socket.is_v4(), socket.protocol());
        if let Some(list) = self.by_protocol.get_mut(&key) {
            list.retain(|other| *other != id);
            if list.is_empty() {
                self.by_protocol.remove(&key);
            }
        }
        Some(socket)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The socket of that id.
    pub fn get(&self, id: RawId) -> Option<&RawSocket> {
        let (generation, socket) = self.sockets.get(id.index as usize)?;
        (*generation == id.generation).then_some(socket)
    }

    /// The socket of that id, to be changed.
    pub fn get_mut(&mut self, id: RawId) -> Option<&mut RawSocket> {
        let (generation, socket) = self.sockets.get_mut(id.index as usize)?;
        (*generation == id.generation).then_some(socket)
    }

    /// All sockets, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (RawId, &mut RawSocket)> {
        self.sockets.iter_mut().map(|(index, (generation, socket))| {
            (RawId { index: index as u32, generation: *generation }, socket)
        })
    }

    /// The socket of a family (true for IPv4) and a protocol that so many were opened before, of those that are open.
    /// Whoever goes through them all changes sockets, and opens and closes none: so nothing need be copied.
    pub fn nth_of(&self, key: (bool, u16), place: usize) -> Option<RawId> {
        self.by_protocol.get(&key)?.get(place).copied()
    }
}
