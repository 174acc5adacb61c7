//! How long a caller looks at the link before it sleeps.
//!
//! A wake-up on another core costs tens of microseconds, so a reply that comes sooner is better awaited awake; but
//! where the peer runs on this same core, looking only keeps it from answering. So a look in vain is followed by a
//! rest, and the next in a row by one twice as long.

use core::time::Duration;

/// Sleeps after a look in vain before the next look.
const SHORT_REST: u32 = 64;

/// The same after many looks in vain: so few look that the slowest hundredth of all waits is not made of them.
const LONG_REST: u32 = 4096;

/// How a wait ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// Something was there while it looked.
    Looking,
    /// It had to sleep.
    Sleeping,
}

/// Learns from each wait how long to look in the next.
pub(crate) struct Spin {
    longest: Duration,
    looks: bool,
    rest: u32,
    /// How long the next rest is.
    next_rest: u32,
}

impl Spin {
    /// Looks for `longest` at most; zero: never.
    pub(crate) fn new(longest: Duration) -> Self {
        Spin { longest, looks: false, rest: 0, next_rest: SHORT_REST }
    }

    /// How long to look now.
    pub(crate) fn window(&self) -> Duration {
        if self.looks { self.longest } else { Duration::ZERO }
    }

    /// A wait of `waited` has ended.
    pub(crate) fn learn(&mut self, waited: Duration, found: Found) {
        match found {
            Found::Looking => (self.rest, self.next_rest) = (0, SHORT_REST),
            Found::Sleeping if self.looks => {
                self.looks = false;
                self.rest = self.next_rest;
                self.next_rest = (2 * self.next_rest).min(LONG_REST);
            }
            Found::Sleeping if self.rest > 0 => self.rest -= 1,
            Found::Sleeping => self.looks = waited < self.longest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);

    #[test]
    fn looks_while_replies_come_quickly() {
        let mut spin = Spin::new(LONGEST);
        assert_eq!(spin.window(), Duration::ZERO);
        spin.learn(Duration::from_micros(30), Found::Sleeping);
        assert_eq!(spin.window(), LONGEST);
        spin.learn(Duration::from_micros(5), Found::Looking);
        assert_eq!(spin.window(), LONGEST);
    }

    #[test]
    fn rests_after_a_look_in_vain() {
        let mut spin = Spin::new(LONGEST);
        spin.learn(Duration::from_micros(10), Found::Sleeping);
        spin.learn(Duration::from_micros(60), Found::Sleeping);
        for rest in [SHORT_REST, 2 * SHORT_REST] {
            for _ in 0..rest {
                assert_eq!(spin.window(), Duration::ZERO);
                spin.learn(Duration::from_micros(10), Found::Sleeping);
            }
            spin.learn(Duration::from_micros(10), Found::Sleeping);
            assert_eq!(spin.window(), LONGEST, "after a rest of {rest}");
            spin.learn(Duration::from_micros(60), Found::Sleeping);
        }
    }

    #[test]
    fn never_looks_where_it_is_told_not_to() {
        let mut spin = Spin::new(Duration::ZERO);
        spin.learn(Duration::ZERO, Found::Sleeping);
        assert_eq!(spin.window(), Duration::ZERO);
    }
}
