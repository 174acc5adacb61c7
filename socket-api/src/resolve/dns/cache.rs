//! What servers have said, for as long as it is true.

use core::time::Duration;
use std::collections::HashMap;

use tapsock_stack::time::Instant;

use super::message::{AddressType, Answer, Finding, WireName};

/// The most names that are remembered, each type of address for itself. The one that was asked for longest ago gives way.
pub const CACHE_MAX: usize = 1024;
/// How long a name is believed to have its addresses at most, whatever the server says.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is believed to have none at most (RFC 2308 §5).
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(3 * 60 * 60);

/// A bounded table of names.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<(WireName, AddressType), Entry>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    until: Instant,
    used: u64,
}

impl Cache {
    /// What is known of the name.
    pub(super) fn look_up(&mut self, now: Instant, name: &WireName, kind: AddressType) -> Option<Answer> {
        self.clock += 1;
        let entry = self.entries.get_mut(&(name.clone(), kind)).filter(|entry| entry.until > now)?;
        entry.used = self.clock;
        Some(entry.answer.clone())
    }

    /// Remembers what is true for some time.
    pub(super) fn insert(&mut self, now: Instant, name: &WireName, kind: AddressType, finding: &Finding) {
        let longest = match finding.answer {
            Answer::Addresses { .. } => TTL_MAX,
            Answer::NoData | Answer::NoName => NEGATIVE_TTL_MAX,
        };
        let until = now + finding.ttl.min(longest);
        let key = (name.clone(), kind);
        if until <= now {
            self.entries.remove(&key);
            return;
        }
        if self.entries.len() >= CACHE_MAX && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.clock += 1;
        let entry = Entry { answer: finding.answer.clone(), until, used: self.clock };
        self.entries.insert(key, entry);
    }

    /// How many names it holds, true ones or not.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Forgets what is true no more; where all of it is, what was asked for longest ago.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.until > now);
        if self.entries.len() < CACHE_MAX {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::wire_name;
    use super::*;

    fn name(text: &str) -> WireName {
        wire_name(text).unwrap()
    }

    fn found(ttl: u64) -> Finding {
        let answer = Answer::Addresses { canonical: None, addresses: vec!["192.0.2.1".parse().unwrap()] };
        Finding { answer, ttl: Duration::from_secs(ttl) }
    }

    #[test]
    fn a_name_is_known_as_long_as_it_is_true_in_any_case_and_by_type() {
        let (mut cache, start) = (Cache::default(), Instant::from_secs(100));
        cache.insert(start, &name("a.example"), AddressType::A, &found(10));
        let later = start + Duration::from_secs(9);
        assert!(cache.look_up(later, &name("A.eXample"), AddressType::A).is_some());
        assert_eq!(cache.look_up(later, &name("a.example"), AddressType::Aaaa), None);
        assert_eq!(cache.look_up(start + Duration::from_secs(10), &name("a.example"), AddressType::A), None);
        cache.insert(later, &name("a.example"), AddressType::A, &found(0));
        assert_eq!(cache.look_up(later, &name("a.example"), AddressType::A), None, "a TTL of zero");
    }

    #[test]
    fn what_is_absent_is_believed_for_three_hours_and_what_is_there_for_a_day() {
        let (mut cache, start) = (Cache::default(), Instant::ZERO);
        let ttl = Duration::from_secs(u32::MAX.into());
        cache.insert(start, &name("no"), AddressType::A, &Finding { answer: Answer::NoName, ttl });
        cache.insert(start, &name("yes"), AddressType::A, &found(u32::MAX.into()));
        for (text, longest) in [("no", NEGATIVE_TTL_MAX), ("yes", TTL_MAX)] {
            let end = start + longest;
            assert!(cache.look_up(end - Duration::from_secs(1), &name(text), AddressType::A).is_some());
            assert_eq!(cache.look_up(end, &name(text), AddressType::A), None);
        }
    }

    #[test]
    fn a_full_table_forgets_what_is_old_and_then_what_was_asked_for_longest_ago() {
        let (mut cache, now) = (Cache::default(), Instant::ZERO);
        let nth = |n: usize| name(&format!("n{n}.example"));
        for n in 0..CACHE_MAX {
            cache.insert(now, &nth(n), AddressType::A, &found(if n == 7 { 1 } else { 100 }));
        }
        let later = now + Duration::from_secs(1);
        cache.insert(later, &nth(CACHE_MAX), AddressType::A, &found(100));
        assert!(cache.look_up(later, &nth(0), AddressType::A).is_some(), "the one that had run out gave way");
        cache.insert(later, &nth(CACHE_MAX + 1), AddressType::A, &found(100));
        assert_eq!(cache.len(), CACHE_MAX);
        assert!(cache.look_up(later, &nth(0), AddressType::A).is_some(), "it was asked for just now");
        assert_eq!(cache.look_up(later, &nth(1), AddressType::A), None);
    }
}
