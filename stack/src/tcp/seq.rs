//! Sequence numbers: a circle, so there is before and after, but no order.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A sequence number of TCP: 32 bits, counted modulo 2^32.
///
/// It has no `Ord`: comparing is only meaningful between numbers less than 2^31 apart, and only in the words
/// [`before`](SeqNumber::before) and [`after`](SeqNumber::after).
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
///
/// let start = SeqNumber::new(u32::MAX - 1);
/// let end = start + 5;
/// assert!(start.before(end));
/// assert_eq!(end - start, 5);
/// assert_eq!(start - end, -5);
/// ```
//= RFC 9293 §3.4
#[derive(Copy, Clone, Eq, PartialEq, Hash, Default)]
pub struct SeqNumber(u32);

impl SeqNumber {
    /// The number as it stands in a header.
    pub const fn new(value: u32) -> Self {
        SeqNumber(value)
    }

    /// The number as it stands in a header.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Whether `self` comes strictly before `other`.
    pub const fn before(self, other: SeqNumber) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether `self` comes strictly after `other`.
    pub const fn after(self, other: SeqNumber) -> bool {
        other.before(self)
    }

    /// Whether `self` is `other` or comes before it.
    pub const fn at_or_before(self, other: SeqNumber) -> bool {
        !other.before(self)
    }

    /// Whether `self` is `other` or comes after it.
    pub const fn at_or_after(self, other: SeqNumber) -> bool {
        !self.before(other)
    }

    /// The later of the two.
    pub const fn latest(self, other: SeqNumber) -> SeqNumber {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two.
    pub const fn earliest(self, other: SeqNumber) -> SeqNumber {
        if other.before(self) { other } else { self }
    }

    /// Bytes from `earlier` to `self`, or 0 where `earlier` comes after.
    pub const fn saturating_since(self, earlier: SeqNumber) -> u32 {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }
}

impl Add<u32> for SeqNumber {
    type Output = SeqNumber;

    fn add(self, rhs: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_add(rhs))
    }
}

impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, rhs: u32) {
        *self = *self + rhs;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = SeqNumber;

    fn sub(self, rhs: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_sub(rhs))
    }
}

impl SubAssign<u32> for SeqNumber {
    fn sub_assign(&mut self, rhs: u32) {
        *self = *self - rhs;
    }
}

impl Sub for SeqNumber {
    type Output = i32;

    /// The signed distance, wrapping; never panics.
    fn sub(self, rhs: SeqNumber) -> i32 {
        self.0.wrapping_sub(rhs.0) as i32
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_holds_across_the_wrap(start: u32, step in 1u32..0x7fff_ffff) {
            let (a, b) = (SeqNumber::new(start), SeqNumber::new(start) + step);
            prop_assert!(a.before(b) && b.after(a) && !b.before(a));
            prop_assert!(a.at_or_before(a) && a.at_or_after(a) && !a.before(a));
            prop_assert_eq!(b - a, step as i32);
            prop_assert_eq!(b.saturating_since(a), step);
            prop_assert_eq!(a.saturating_since(b), 0);
            prop_assert_eq!(a.latest(b), b);
            prop_assert_eq!(a.earliest(b), a);
            prop_assert_eq!(b - step, a);
        }
    }

    #[test]
    fn half_a_circle_away_does_not_panic() {
        assert_eq!(SeqNumber::new(0) - SeqNumber::new(1 << 31), i32::MIN);
    }
}
