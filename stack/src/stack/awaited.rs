//! Packets that wait until their neighbours are known, and of which somebody wants to know how that ends.

use std::collections::BTreeMap;

use crate::iface::PacketTag;

use super::stamps::Stamping;
use super::{SocketId, Stack};

/// What is to be done of a packet that may have to wait.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Awaiting<'a> {
    /// The stamps that its going is to have.
    pub(super) stampings: &'a [Stamping],
    /// Of whose buffer it takes while it waits.
    pub(super) sender: Option<SocketId>,
}

/// The same of one that waits.
#[derive(Debug)]
struct Awaited {
    stampings: Vec<Stamping>,
    /// A sender, and what it was charged, in bytes.
    charge: Option<(SocketId, usize)>,
}

/// Those that wait, by their tags: no more than the cache of neighbours holds, which tells of each when it lets go of it.
#[derive(Debug, Default)]
pub(super) struct AwaitedNeighbors {
    waiting: BTreeMap<u64, Awaited>,
    last: u64,
}

impl AwaitedNeighbors {
    /// A tag that no packet has, where one is needed.
    pub(super) fn tag_for(&mut self, awaiting: &Awaiting<'_>) -> Option<PacketTag> {
        if awaiting.stampings.is_empty() && awaiting.sender.is_none() {
            return None;
        }
        self.last += 1;
        Some(PacketTag(self.last))
    }
}

impl Stack {
    /// A packet with `len` bytes of payload begins to wait for its neighbour.
    pub(super) fn begin_wait(&mut self, tag: Option<PacketTag>, awaiting: Awaiting<'_>, len: usize) {
        let Some(PacketTag(tag)) = tag else { return };
        let charge = awaiting.sender.and_then(|sender| {
            let (account, _) = self.send_account(sender)?;
            Some((sender, account.begin(len)))
        });
        let stampings = awaiting.stampings.to_vec();
        self.awaited.waiting.insert(tag, Awaited { stampings, charge });
    }

    /// It waits no longer: what it took of its sender's buffer is free. Gives the stamps that it is to have where it goes.
    pub(super) fn end_wait(&mut self, tag: Option<PacketTag>) -> Vec<Stamping> {
        let Some(awaited) = tag.and_then(|PacketTag(tag)| self.awaited.waiting.remove(&tag)) else {
            return Vec::new();
        };
        if let Some((sender, charge)) = awaited.charge {
            self.uncharge(sender, charge);
        }
        awaited.stampings
    }

    /// The same of all that the cache of neighbours has dropped.
    pub(super) fn end_lost_waits(&mut self) {
        while let Some(tag) = self.neighbors.poll_lost() {
            self.end_wait(Some(tag));
        }
    }
}
