//! How much the path reorders.

use crate::tcp::seq::SeqNumber;

/// The degree of reordering: how many segments behind a hole do not mean that what is missing was lost.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::reordering::Reordering;
///
/// let mut reordering = Reordering::new(3);
/// let seq = SeqNumber::new;
/// assert!(reordering.on_late(seq(1000), seq(9000), 1000, 300));
/// assert_eq!(reordering.degree(), 8);
/// ```
#[derive(Clone, Debug)]
pub struct Reordering {
    degree: u32,
}

impl Reordering {
    /// A path of which nothing is known but the setting.
    pub const fn new(degree: u32) -> Self {
        Reordering { degree }
    }

    /// Segments behind a hole that mean a loss.
    pub fn degree(&self) -> u32 {
        self.degree
    }

    /// What begins at `low` arrived after what ends at `high`, in segments of `mss`. Says whether that is reordering.
    //= RFC 8985 §6.2
    #[must_use = "it is counted"]
    pub fn on_late(&mut self, low: SeqNumber, high: SeqNumber, mss: u32, most: u32) -> bool {
        if low.at_or_after(high) {
            return false;
        }
        let distance = high.saturating_since(low);
        if u64::from(distance) > u64::from(self.degree) * u64::from(mss) {
            self.degree = distance.div_ceil(mss.max(1)).min(most);
        }
        true
    }

    /// A peer without SACK sent more duplicates than there are segments that it can have had: the path reorders, or
    /// duplicates, by so much.
    pub fn on_too_many_duplicates(&mut self, outstanding: u32, most: u32) {
        self.degree = outstanding.min(most);
    }

    /// A time-out came though many were reported behind the hole: the path reorders less than was thought.
    pub fn on_missed_loss(&mut self, setting: u32) {
        self.degree = self.degree.min(setting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_degree_grows_to_the_bound_and_comes_back() {
        let seq = SeqNumber::new;
        let mut reordering = Reordering::new(3);
        assert!(!reordering.on_late(seq(5000), seq(5000), 1000, 300));
        assert!(reordering.on_late(seq(3000), seq(5000), 1000, 300));
        assert_eq!(reordering.degree(), 3, "no more than was allowed for");
        assert!(reordering.on_late(seq(0), seq(400_500), 1000, 300));
        assert_eq!(reordering.degree(), 300);
        reordering.on_missed_loss(3);
        assert_eq!(reordering.degree(), 3);
    }
}
