//! How long a caller looks at the link before it sleeps.
//!
//! A wake-up on another core costs tens of microseconds, so a reply that comes sooner is better awaited awake; but
//! where the peer runs on this same core, looking only keeps it from answering. So a look in vain is followed by a
//! rest, longer with each look in vain that follows.
//!
//! On one core the peer often runs, and answers, while our own write wakes it; the sleep that follows then ends at
//! once. Where that was so, the next wait begins with a glance: one read, in place of a `ppoll` and a read.

use core::time::Duration;

/// Sleeps after a look in vain before the next look, the first time and at most.
const REST: u32 = 64;
const LONGEST_REST: u32 = 4096;

/// Who slept no longer than this found what was there already.
const NO_SLEEP: Duration = Duration::from_nanos(1500);

/// How a wait ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// Something was there while it looked.
    Looking,
    /// It had to sleep, for so long.
    Sleeping(Duration),
}

/// Learns from each wait how long to look in the next.
pub(crate) struct Spin {
    longest: Duration,
    looks: bool,
    glances: bool,
    /// Sleeps until the next look, and after the next look in vain.
    rest: u32,
    next_rest: u32,
}

impl Spin {
    /// Looks for `longest` at most; zero: never.
    pub(crate) fn new(longest: Duration) -> Self {
        Spin { longest, looks: false, glances: false, rest: 0, next_rest: REST }
    }

    /// How long to look now; zero: once. `None` where there is no use in it.
    pub(crate) fn window(&self) -> Option<Duration> {
        match (self.looks, self.glances) {
            (true, _) => Some(self.longest),
            (false, true) => Some(Duration::ZERO),
            (false, false) => None,
        }
    }

    /// A wait has ended.
    pub(crate) fn learn(&mut self, found: Found) {
        match found {
            Found::Looking if self.looks => self.next_rest = REST,
            Found::Looking => {}
            Found::Sleeping(_) if self.looks => {
                self.looks = false;
                self.rest = self.next_rest;
                self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
            }
            Found::Sleeping(slept) => {
                self.glances = slept < NO_SLEEP.min(self.longest);
                match self.rest {
                    0 => self.looks = slept < self.longest,
                    _ => self.rest -= 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);

    fn slept(micros: u64) -> Found {
        Found::Sleeping(Duration::from_micros(micros))
    }

    /// Sleeps of 10 µs until the next look.
    fn sleeps_until_a_look(spin: &mut Spin) -> u32 {
        let mut sleeps = 0;
        while spin.window().is_none() {
            spin.learn(slept(10));
            sleeps += 1;
        }
        sleeps
    }

    #[test]
    fn looks_while_replies_come_quickly() {
        let mut spin = Spin::new(LONGEST);
        assert_eq!(spin.window(), None);
        spin.learn(slept(60));
        assert_eq!(spin.window(), None);
        spin.learn(slept(30));
        assert_eq!(spin.window(), Some(LONGEST));
        spin.learn(Found::Looking);
        assert_eq!(spin.window(), Some(LONGEST));
    }

    #[test]
    fn rests_after_a_look_in_vain_and_longer_after_each_that_follows() {
        let mut spin = Spin::new(LONGEST);
        spin.learn(slept(10));
        for rest in [64, 128, 256, 512, 1024, 2048, 4096, 4096] {
            spin.learn(slept(60));
            assert_eq!(sleeps_until_a_look(&mut spin), rest + 1);
        }
        spin.learn(Found::Looking);
        spin.learn(slept(60));
        assert_eq!(sleeps_until_a_look(&mut spin), 64 + 1);
    }

    #[test]
    fn glances_where_the_reply_was_there_before_the_sleep() {
        let mut spin = Spin::new(LONGEST);
        spin.learn(slept(10));
        spin.learn(slept(60));
        spin.learn(slept(1));
        assert_eq!(spin.window(), Some(Duration::ZERO));
        spin.learn(Found::Looking);
        assert_eq!(spin.window(), Some(Duration::ZERO));
        spin.learn(slept(10));
        assert_eq!(spin.window(), None);
    }

    #[test]
    fn never_looks_where_it_is_told_not_to() {
        let mut spin = Spin::new(Duration::ZERO);
        spin.learn(slept(0));
        assert_eq!(spin.window(), None);
    }
}
