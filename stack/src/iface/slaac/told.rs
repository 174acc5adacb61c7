//! What routers tell of names: resolvers to ask, and domains to look in (RFC 8106).

use super::until;
use crate::time::Instant;
use crate::wire::ndp::Lifetime;

/// Resolvers that are remembered of one link, and as many domains.
const MAX_TOLD: usize = 8;

/// Things of one kind that routers of a link told of, and until when each holds.
#[derive(Clone, Debug)]
pub(super) struct Told<T>(Vec<(T, Option<Instant>)>);

impl<T> Default for Told<T> {
    fn default() -> Self {
        Told(Vec::new())
    }
}

impl<T: Clone + PartialEq> Told<T> {
    /// Takes what is told. What holds for no time is forgotten. Returns how many there was no room for.
    //= RFC 8106 §6.2
    pub(super) fn learn(&mut self, now: Instant, told: &[(T, Lifetime)]) -> u64 {
        let mut refused = 0;
        for (thing, lifetime) in told {
            self.0.retain(|(known, _)| known != thing);
            let wanted = lifetime.is_none_or(|lifetime| !lifetime.is_zero());
            if wanted && self.0.len() < MAX_TOLD {
                self.0.push((thing.clone(), until(now, *lifetime)));
            } else if wanted {
                refused += 1;
            }
        }
        refused
    }

    /// Those that hold at `now`.
    pub(super) fn at(&self, now: Instant) -> impl Iterator<Item = &T> {
        let hold = self.0.iter().filter(move |(_, until)| until.is_none_or(|until| until > now));
        hold.map(|(thing, _)| thing)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|(_, until)| until.is_none_or(|until| until > now));
    }

    /// When the next is forgotten.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.iter().filter_map(|(_, until)| *until).min()
    }
}
