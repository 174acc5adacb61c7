//! The deadlines of one connection.

use crate::time::Instant;

/// What a connection waits for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Timer {
    /// Retransmission of the oldest segment (RFC 6298), or the SYN's.
    Retransmit,
    /// A probe into a closed window (RFC 9293 §3.8.6.1). Never armed with `Retransmit`.
    Persist,
    /// The end of RACK's reordering window (RFC 8985 §6.2).
    Reorder,
    /// A delayed acknowledgement (RFC 1122 §4.2.3.2).
    DelayedAck,
    /// A keepalive probe (RFC 9293 §3.8.4).
    KeepAlive,
    /// The end of FIN-WAIT-2 for a connection that nobody holds.
    FinWait2,
    /// The end of a pause between bursts (`SO_MAX_PACING_RATE`).
    Pacing,
}

const COUNT: usize = 7;
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// One deadline for each [`Timer`].
#[derive(Clone, Debug)]
pub(super) struct Timers {
    deadlines: [Instant; COUNT],
}

impl Timers {
    pub(super) fn new() -> Self {
        Timers { deadlines: [NEVER; COUNT] }
    }

    /// When it fires, where it is set; else never.
    pub(super) fn at(&self, timer: Timer) -> Instant {
        self.deadlines[timer as usize]
    }

    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.deadlines[timer as usize] = at;
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = NEVER;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Timers::new();
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize] != NEVER
    }

    /// Stops `timer` and says true where its time has come.
    pub(super) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let expired = self.is_set(timer) && self.deadlines[timer as usize] <= now;
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
}
