//! Randomness from one seed, and hashes under secret keys that come from it.

use core::hash::{BuildHasher, Hasher};
use core::ops::RangeInclusive;

use siphasher::sip::{SipHasher13, SipHasher24};

/// The second half of the generator's key; the seed is the first. The digits of pi, so that nothing is up its sleeve.
const KEY: u64 = 0x2432_5f6a_8885_a308;

/// A generator of random numbers: the same seed gives the same numbers, on every machine.
///
/// The numbers are SipHash-1-3 of a counter, keyed by the seed, so that a peer who sees some of them (ports,
/// identifiers) can't tell those that come next. For a host that others may attack, the seed comes from the
/// operating system; in a simulation it is printed when a run fails.
///
/// ```
/// use tapsock_stack::random::Random;
///
/// let mut random = Random::new(7);
/// let dice = random.range(1..=6);
/// assert!((1..=6).contains(&dice));
/// assert_eq!(Random::new(7).range(1..=6), dice);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    hasher: SipHasher13,
    counter: u64,
}

impl Random {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Random { hasher: SipHasher13::new_with_keys(seed, KEY), counter: 0 }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let value = self.hasher.hash(&self.counter.to_le_bytes());
        self.counter = self.counter.wrapping_add(1);
        value
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    /// A number less than `bound`, each as likely as the others. Panics where `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        // The high half of a product maps 64 bits onto the range; the few low halves that would favour some numbers
        // are thrown away (Lemire, "Fast random integer generation in an interval"). Half of all draws pass at worst.
        let uneven = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= uneven {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number of `range`, each as likely as the others. Panics where the range is empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "the range holds a number");
        match (high - low).checked_add(1) {
            Some(count) => low + self.below(count),
            None => self.next_u64(),
        }
    }

    /// A hash under a fresh secret key.
    pub fn keyed_hash(&mut self) -> KeyedHash {
        KeyedHash { hasher: SipHasher24::new_with_keys(self.next_u64(), self.next_u64()) }
    }

    /// A hasher for hash tables, under a fresh secret key.
    pub fn table_hash(&mut self) -> TableHash {
        TableHash { hasher: SipHasher13::new_with_keys(self.next_u64(), self.next_u64()) }
    }
}

/// SipHash-2-4 under a secret key: what initial sequence numbers (RFC 6528) and ports (RFC 6056) are made from.
///
/// ```
/// use tapsock_stack::random::Random;
///
/// let secret = Random::new(7).keyed_hash();
/// assert_eq!(secret.hash(&[b"10.0.0.1", b"80"]), secret.hash(&[b"10.0.0.1", b"80"]));
/// assert_ne!(secret.hash(&[b"10.0.0.1", b"80"]), secret.hash(&[b"10.0.0.18", b"0"]));
/// ```
#[derive(Clone, Debug)]
pub struct KeyedHash {
    hasher: SipHasher24,
}

impl KeyedHash {
    /// The hash of `parts` in their order. Where one part ends and the next begins counts too.
    pub fn hash(&self, parts: &[&[u8]]) -> u64 {
        #[cfg(test)]
        crate::work::note(|work| work.hashes += 1);
        let mut hasher = self.hasher;
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        hasher.finish()
    }
}

/// SipHash-1-3 under a secret key, for a `HashMap` whose keys a peer may choose.
///
/// The standard library's own state would do as well against a peer, but its key comes from the operating system,
/// and two runs of one seed would walk their tables in different orders.
///
/// ```
/// use std::collections::HashMap;
/// use tapsock_stack::random::Random;
///
/// let mut table = HashMap::with_hasher(Random::new(7).table_hash());
/// table.insert(80, "http");
/// assert_eq!(table.get(&80), Some(&"http"));
/// ```
#[derive(Clone, Debug)]
pub struct TableHash {
    hasher: SipHasher13,
}

impl BuildHasher for TableHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        #[cfg(test)]
        crate::work::note(|work| work.hashes += 1);
        self.hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seed_gives_its_numbers_again() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64(), u64::from(random.next_u32()), random.below(1 << 40)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // Pinned: a simulation's seed must mean the same run tomorrow.
        assert_eq!(Random::new(1).next_u64(), PINNED);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut random = Random::new(3);
        let mut seen = [0u32; 6];
        for _ in 0..60_000 {
            seen[random.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
    }

    #[test]
    fn no_number_below_a_large_bound_is_favoured() {
        // Four draws for each three numbers: without throwing some away, each third number would come twice as often.
        let bound = u64::MAX / 4 * 3 + 3;
        let mut random = Random::new(4);
        let thirds = (0..30_000).filter(|_| random.below(bound).is_multiple_of(3)).count();
        assert!((9_500..10_500).contains(&thirds), "{thirds}");
    }

    #[test]
    fn keys_differ_from_each_other() {
        let mut random = Random::new(5);
        let (first, second) = (random.keyed_hash(), random.keyed_hash());
        assert_ne!(first.hash(&[b"x"]), second.hash(&[b"x"]));
        let (first, second) = (random.table_hash(), random.table_hash());
        assert_ne!(first.hash_one(1), second.hash_one(1));
    }

    #[test]
    fn the_borders_between_parts_count() {
        let hash = Random::new(6).keyed_hash();
        assert_ne!(hash.hash(&[b"ab", b"c"]), hash.hash(&[b"a", b"bc"]));
        assert_ne!(hash.hash(&[b"ab"]), hash.hash(&[b"ab", b""]));
    }

    proptest! {
        #[test]
        fn stays_in_range(seed: u64, low: u64, high: u64) {
            let (low, high) = (low.min(high), low.max(high));
            let value = Random::new(seed).range(low..=high);
            prop_assert!((low..=high).contains(&value));
            prop_assert_eq!(Random::new(seed).range(low..=low), low);
            Random::new(seed).range(0..=u64::MAX);
        }
    }

    const PINNED: u64 = 2_121_376_260_492_155_790;
}
