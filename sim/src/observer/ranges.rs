//! A set of ranges, kept as simply as can be: the observer must not share its bugs with what it observes.

use core::ops::Range;
use std::collections::BTreeMap;

/// Numbers that have been seen, as disjoint ranges.
///
/// ```
/// use tapsock_sim::observer::Ranges;
///
/// let mut seen = Ranges::default();
/// seen.insert(0..5);
/// seen.insert(8..9);
/// assert!(seen.contains(1..5) && !seen.contains(4..9));
/// seen.insert(5..8);
/// assert_eq!(seen.end_of_first(0), 9);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Start to end; neither touching nor overlapping.
    map: BTreeMap<i64, i64>,
}

impl Ranges {
    /// Adds `range`; an empty one adds nothing.
    pub fn insert(&mut self, range: Range<i64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        while let Some((&s, &e)) = self.map.range(..=end).next_back()
            && e >= start
        {
            self.map.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.map.insert(start, end);
    }

    /// Whether all of `range` has been added.
    pub fn contains(&self, range: Range<i64>) -> bool {
        range.is_empty() || self.end_of_first(range.start) >= range.end
    }

    /// The end of the range that `start` stands in, or `start` where it stands in none.
    pub fn end_of_first(&self, start: i64) -> i64 {
        match self.map.range(..=start).next_back() {
            Some((_, &end)) if end > start => end,
            _ => start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn behaves_as_a_set_of_numbers() {
        let mut rng = Rng::new(1);
        for _ in 0..200 {
            let (mut ranges, mut model) = (Ranges::default(), [false; 64]);
            for _ in 0..rng.below(12) {
                let start = rng.below(60) as usize;
                let end = start + rng.below(8) as usize;
                ranges.insert(start as i64..end.min(64) as i64);
                model[start..end.min(64)].fill(true);
            }
            for start in 0..64usize {
                let end = (start..64).find(|&at| !model[at]).unwrap_or(64);
                assert_eq!(ranges.end_of_first(start as i64), end as i64);
            }
        }
    }
}
