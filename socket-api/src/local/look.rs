//! Whether a caller looks for what it waits for before it sleeps.
//!
//! A sleep on another core than the peer's costs a wake-up each way, tens of microseconds, where the answer may take one.
//! But where the peer runs on this same core, looking keeps it from answering, so who looks yields again and again; and
//! where nothing comes, looking burns what others could use. Which it is, nobody tells: it is tried. The waits of both
//! kinds are timed, sleeping is what counts until looking has proved shorter, and a trial that fails is followed by a
//! rest, twice as long with each that follows.
//!
//! Both ends of a connection should look at the same time, since one that sleeps takes its time to answer. They need no
//! agreement for that: where they take turns they have waited equally often, and so try together.

use core::time::Duration;

use crate::engine::clock::now;
use crate::engine::stats::Count;
use crate::engine::sync::Arc;
use crate::engine::wait::Waiter;
use tapsock_stack::time::Instant;

/// Waits of a trial.
const TRIAL: u32 = 16;
/// Looks in vain, one after the other, after which it sleeps: so many have shown nothing but that the peer needs the core,
/// or longer than looking is worth.
const VAIN_MAX: u32 = 3;
/// Sleeps before the first trial; after one that failed, the first time and at most.
const FIRST: u32 = 8;
const REST: u32 = 64;
const LONGEST_REST: u32 = 8192;
/// A wait counts as no longer than this many looks: it makes no difference how long somebody thinks.
const CAP: u32 = 4;
/// Averages move by one part in so many.
const WEIGHT: i64 = 8;

/// How a wait ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Something came while it looked.
    Looking,
    /// Something had come when it had the core again: the peer runs there too.
    Yielding,
    /// It had to sleep.
    Sleeping,
}

/// How to look, and for how long.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Window {
    /// Zero: not at all.
    pub(super) longest: Duration,
    /// Whether to yield before the first look.
    pub(super) yields_first: bool,
}

/// Learns from each wait whether to look in the next.
#[derive(Debug)]
pub(super) struct Look {
    /// How long to look at most.
    longest: Duration,
    mode: Mode,
    yields_first: bool,
    /// How long waits took while nobody looked, on the average, in nanoseconds.
    sleeping: i64,
    next_rest: u32,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Mode {
    /// Sleeps, so many times at least.
    Sleep { rest: u32 },
    /// Looks to see whether that is better: waits so far, how long they took in all, and how many were in vain of late.
    Trial { waits: u32, took: i64, vain: u32 },
    /// Looks: how long waits take on the average, and how many were in vain of late.
    Look { took: i64, vain: u32 },
}

impl Look {
    /// Looks for `longest` at most; zero: never.
    pub(super) fn new(longest: Duration) -> Self {
        Look { longest, mode: Mode::Sleep { rest: FIRST }, yields_first: false, sleeping: 0, next_rest: REST }
    }

    /// Whether and how to look now.
    pub(super) fn window(&self) -> Window {
        let longest = match self.mode {
            Mode::Sleep { .. } => Duration::ZERO,
            Mode::Trial { .. } | Mode::Look { .. } => self.longest,
        };
        Window { longest, yields_first: self.yields_first }
    }

    /// A wait took so long, and ended so.
    pub(super) fn learn(&mut self, waited: Duration, found: Found) {
        if self.longest.is_zero() {
            return;
        }
        match found {
            Found::Looking => self.yields_first = false,
            Found::Yielding => self.yields_first = true,
            Found::Sleeping => {}
        }
        let vain_after = |vain| if found == Found::Sleeping { vain + 1 } else { 0 };
        let longest = self.longest.as_nanos() as i64;
        let waited = i64::try_from(waited.as_nanos()).unwrap_or(i64::MAX).min(longest * i64::from(CAP));
        match self.mode {
            Mode::Sleep { rest } => {
                self.sleeping = if self.sleeping == 0 { waited } else { average(self.sleeping, waited) };
                // What takes longer than looking and a wake-up each way is not to be had by looking.
                self.mode = match rest.checked_sub(1) {
                    Some(rest) => Mode::Sleep { rest },
                    None if self.sleeping < longest * i64::from(CAP) * 3 / 4 => {
                        Mode::Trial { waits: 0, took: 0, vain: 0 }
                    }
                    None => Mode::Sleep { rest: 0 },
                };
            }
            Mode::Trial { waits, took, vain } => {
                let vain = vain_after(vain);
                let (waits, took) = (waits + 1, took + waited);
                let mean = took / i64::from(waits);
                self.mode = if vain == VAIN_MAX {
                    self.give_up()
                } else if waits < TRIAL {
                    Mode::Trial { waits, took, vain }
                } else if mean < self.sleeping - self.sleeping / WEIGHT {
                    self.next_rest = REST;
                    Mode::Look { took: mean, vain: 0 }
                } else {
                    self.give_up()
                };
            }
            Mode::Look { took, vain } => {
                let (took, vain) = (average(took, waited), vain_after(vain));
                let goes_on = vain < VAIN_MAX && took < self.sleeping;
                self.mode = if goes_on { Mode::Look { took, vain } } else { self.give_up() };
            }
        }
    }

    fn give_up(&mut self) -> Mode {
        let rest = self.next_rest;
        self.next_rest = (rest * 2).min(LONGEST_REST);
        // What sleeping takes now is found out anew.
        self.sleeping = 0;
        Mode::Sleep { rest }
    }
}

fn average(old: i64, new: i64) -> i64 {
    old + (new - old) / WEIGHT
}

/// Waits until `seat` is marked, or until `deadline`: looks for `window`, then sleeps, which `parks` counts. Says how long
/// it took.
pub(super) fn wait(
    seat: &Arc<Waiter>,
    window: Window,
    deadline: Option<Instant>,
    parks: &Count,
) -> (Duration, Found) {
    let started = now();
    if !window.longest.is_zero() {
        let found = look(seat, started + window.longest, window.yields_first);
        if found != Found::Sleeping {
            return (now().saturating_since(started), found);
        }
    }
    while seat.woken().is_none() {
        let left = deadline.map(|deadline| deadline.saturating_since(now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        parks.bump();
        seat.park(left);
    }
    (now().saturating_since(started), Found::Sleeping)
}

fn look(seat: &Waiter, end: Instant, mut yields: bool) -> Found {
    loop {
        // The peer may be waiting for this core.
        if yields {
            std::thread::yield_now();
            if seat.woken().is_some() {
                return Found::Yielding;
            }
        }
        for _ in 0..GLANCES {
            if seat.woken().is_some() {
                return Found::Looking;
            }
            core::hint::spin_loop();
        }
        if now() >= end {
            return Found::Sleeping;
        }
        yields = true;
    }
}

/// Looks between two yields: half a microsecond, in which a peer that is awake has answered.
const GLANCES: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);

    fn learn(look: &mut Look, micros: u64, found: Found) {
        look.learn(Duration::from_micros(micros), found);
    }

    /// Waits that take `asleep` where it sleeps and `awake` where it looks, in vain where that is longer than a look.
    fn waits(look: &mut Look, asleep: u64, awake: u64, count: u32) -> u32 {
        let mut looks = 0;
        for _ in 0..count {
            let window = look.window().longest.as_micros() as u64;
            match window {
                0 => learn(look, asleep, Found::Sleeping),
                _ if awake <= window => learn(look, awake, Found::Looking),
                _ => learn(look, window + asleep, Found::Sleeping),
            }
            looks += u32::from(window > 0);
        }
        looks
    }

    #[test]
    fn looks_where_that_is_shorter_and_goes_on() {
        let mut look = Look::new(LONGEST);
        assert_eq!(waits(&mut look, 60, 1, 1000), 1000 - FIRST - 1);
        // Also where the sleep itself would be no longer than a look, and where it is longer.
        for (asleep, awake) in [(20, 15), (140, 40)] {
            let mut look = Look::new(LONGEST);
            assert_eq!(waits(&mut look, asleep, awake, 1000), 1000 - FIRST - 1, "{asleep} {awake}");
        }
    }

    #[test]
    fn looks_no_more_where_it_is_not_shorter_but_for_trials_that_become_rare() {
        let mut look = Look::new(LONGEST);
        // One core, and nothing comes while one looks.
        assert_eq!(waits(&mut look, 5, 1000, 100_000), 3 * 19);
        // It comes, but no sooner.
        let mut look = Look::new(LONGEST);
        assert_eq!(waits(&mut look, 5, 5, 100_000), 16 * 19);
    }

    #[test]
    fn does_not_try_where_nothing_can_come_in_time() {
        let mut look = Look::new(LONGEST);
        assert_eq!(waits(&mut look, 10_000, 10_000, 10_000), 0);
        // When answers come fast again, it does.
        assert!(waits(&mut look, 60, 1, 1000) > 900);
    }

    #[test]
    fn gives_up_when_answers_take_longer_and_learns_anew() {
        let mut look = Look::new(LONGEST);
        waits(&mut look, 60, 1, 1000);
        // One pause is no reason.
        learn(&mut look, 1_000_000, Found::Sleeping);
        assert_eq!(look.window().longest, LONGEST);
        assert!(waits(&mut look, 5, 1000, 1000) < 30);
        assert!(look.window().longest.is_zero());
        assert!(waits(&mut look, 60, 1, 3000) > 1000);
    }

    #[test]
    fn yields_first_where_that_is_what_helps() {
        let mut look = Look::new(LONGEST);
        waits(&mut look, 60, 1, 20);
        assert!(!look.window().yields_first);
        learn(&mut look, 3, Found::Yielding);
        assert!(look.window().yields_first);
        learn(&mut look, 3, Found::Looking);
        assert!(!look.window().yields_first);
    }

    #[test]
    fn never_looks_where_it_is_told_not_to() {
        let mut look = Look::new(Duration::ZERO);
        assert_eq!(waits(&mut look, 60, 1, 1000), 0);
    }
}
