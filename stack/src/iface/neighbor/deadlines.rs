//! Deadlines of the neighbours, in order.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::super::InterfaceId;
use crate::time::Instant;

/// Whom an entry is about.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Key {
    pub(super) interface: InterfaceId,
    pub(super) address: IpAddr,
}

impl core::hash::Hash for Key {
    /// Feeds the hasher in two or three words; the derived form takes five calls, and this is done for each frame.
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        match self.address {
            IpAddr::V4(address) => {
                state.write_u64(u64::from(address.to_bits()) | u64::from(self.interface.0) << 32);
            }
            IpAddr::V6(address) => {
                state.write_u128(address.to_bits());
                state.write_u8(self.interface.0);
            }
        }
    }
}

/// At most one deadline for each neighbour. The earliest is at hand without a search.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, Key)>,
    earliest: Option<Instant>,
}

impl Deadlines {
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Moves a neighbour's deadline.
    pub(super) fn change(&mut self, key: Key, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.set.remove(&(from, key));
        }
        if let Some(to) = to {
            self.set.insert((to, key));
        }
        self.earliest = self.set.first().map(|(at, _)| *at);
    }

    /// The neighbour with the earliest deadline, where that has come.
    pub(super) fn due(&self, now: Instant) -> Option<Key> {
        self.set.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }
}
