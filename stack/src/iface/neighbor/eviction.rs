//! Which neighbours a full cache forgets.

use std::collections::HashMap;

use super::key::Key;
use super::{Entry, NudState};
use crate::random::TableHash;
use crate::time::Instant;

/// The part of a full cache that is forgotten at once.
pub(super) const SHARE: usize = 64;

/// The least useful part of a cache that is full of a family, and one at least: a flood of new neighbours pays for the search only
/// now and then. Entries set by hand are never among them.
pub(super) fn least_useful(
    entries: &HashMap<Key, Entry, TableHash>,
    family: usize,
    max_entries: usize,
) -> Vec<Key> {
    let mut candidates: Vec<(Worth, Key)> = entries
        .iter()
        .filter(|(key, entry)| super::family(key.address) == family && !entry.nud.is_permanent())
        .map(|(key, entry)| (Worth::of(entry), *key))
        .collect();
    let count = (max_entries / SHARE).max(1).min(candidates.len());
    if count < candidates.len() {
        candidates.select_nth_unstable(count);
    }
    candidates.truncate(count);
    candidates.into_iter().map(|(_, key)| key).collect()
}

/// How useful an entry is. Those that a flood makes come before those in use: failed ones, unanswered ones, then those
/// that told their address and were never sent to (`None` is before any time), then the one not used longest.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Worth {
    class: u8,
    used: Option<Instant>,
}

impl Worth {
    fn of(entry: &Entry) -> Self {
        let class = match entry.nud.state(Instant::ZERO) {
            NudState::Failed => 0,
            NudState::Incomplete => 1,
            _ => 2,
        };
        Worth { class, used: entry.used }
    }
}
