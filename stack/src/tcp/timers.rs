//! The deadlines of one connection.

use crate::time::Instant;

/// What a connection waits for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Timer {
    /// Retransmission of the oldest segment (RFC 6298), or the SYN's. Of this, `Probe`, `Reorder` and `Persist` one is
    /// armed at a time.
    Retransmit,
    /// A probe into a closed window (RFC 9293 §3.8.6.1).
    Persist,
    /// The end of RACK's reordering window (RFC 8985 §6.2).
    Reorder,
    /// A probe for a lost tail (RFC 8985 §7).
    Probe,
    /// A delayed acknowledgement (RFC 1122 §4.2.3.2).
    DelayedAck,
    /// A keepalive probe (RFC 9293 §3.8.4).
    KeepAlive,
    /// The end of FIN-WAIT-2 for a connection that nobody holds.
    FinWait2,
    /// The end of a pause between bursts (`SO_MAX_PACING_RATE`).
    Pacing,
}

/// Timers of which one is armed at a time share a deadline: those that watch the peer, and those that end a silence.
const COUNT: usize = 4;
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The deadline of each [`Timer`].
#[derive(Clone, Debug)]
pub(super) struct Timers {
    deadlines: [Instant; COUNT],
    /// Which timer each is of, where it is set.
    owners: [Timer; COUNT],
}

impl Timer {
    const fn slot(self) -> usize {
        match self {
            Timer::Retransmit | Timer::Probe | Timer::Reorder | Timer::Persist => 0,
            Timer::DelayedAck => 1,
            // As on Linux: what waits for its end is not kept alive.
            Timer::KeepAlive | Timer::FinWait2 => 2,
            Timer::Pacing => 3,
        }
    }
}

impl Timers {
    pub(super) fn new() -> Self {
        Timers { deadlines: [NEVER; COUNT], owners: [Timer::Retransmit; COUNT] }
    }

    /// When it fires, where it is set; else never.
    pub(super) fn at(&self, timer: Timer) -> Instant {
        if self.is_set(timer) { self.deadlines[timer.slot()] } else { NEVER }
    }

    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        (self.deadlines[timer.slot()], self.owners[timer.slot()]) = (at, timer);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        if self.is_set(timer) {
            self.deadlines[timer.slot()] = NEVER;
        }
    }

    pub(super) fn stop_all(&mut self) {
        *self = Timers::new();
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer.slot()] != NEVER && self.owners[timer.slot()] == timer
    }

    /// Stops `timer` and says true where its time has come.
    pub(super) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let expired = self.is_set(timer) && self.deadlines[timer.slot()] <= now;
        if expired {
            self.stop(timer);
        }
        expired
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().copied().min().filter(|at| *at != NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_deadline_is_the_earliest_that_is_set() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::KeepAlive, Instant::from_secs(9));
        timers.set(Timer::Retransmit, Instant::from_secs(2));
        assert_eq!(timers.next(), Some(Instant::from_secs(2)));
        assert!(!timers.take_expired(Timer::Retransmit, Instant::from_secs(1)));
        assert!(timers.take_expired(Timer::Retransmit, Instant::from_secs(2)));
        assert!(!timers.is_set(Timer::Retransmit));
        assert_eq!(timers.next(), Some(Instant::from_secs(9)));
    }

    #[test]
    fn each_timer_has_its_own_deadline_but_those_that_watch() {
        use Timer::*;
        let all = [Retransmit, Persist, Reorder, Probe, DelayedAck, KeepAlive, FinWait2, Pacing];
        for timer in all {
            let mut timers = Timers::new();
            assert_eq!(timers.at(timer), NEVER);
            timers.set(timer, Instant::from_secs(3));
            for other in all {
                assert_eq!(
                    timers.at(other),
                    if other == timer { Instant::from_secs(3) } else { NEVER },
                    "{other:?}"
                );
            }
        }
    }

    #[test]
    fn the_end_of_an_orphan_takes_the_place_of_its_keepalive() {
        let mut timers = Timers::new();
        timers.set(Timer::KeepAlive, Instant::from_secs(1));
        timers.set(Timer::FinWait2, Instant::from_secs(2));
        assert!(
            !timers.is_set(Timer::KeepAlive) && !timers.take_expired(Timer::KeepAlive, Instant::from_secs(3))
        );
        timers.stop(Timer::KeepAlive);
        assert_eq!(timers.next(), Some(Instant::from_secs(2)));
    }

    #[test]
    fn one_timer_watches_what_is_in_flight() {
        let mut timers = Timers::new();
        timers.set(Timer::Probe, Instant::from_secs(1));
        timers.set(Timer::Retransmit, Instant::from_secs(2));
        assert!(!timers.is_set(Timer::Probe) && timers.is_set(Timer::Retransmit));
        timers.stop(Timer::Probe);
        assert_eq!(timers.next(), Some(Instant::from_secs(2)));
    }
}
