//! A connection that has nothing to do gives back what it needed while it had.

use core::time::Duration;

use crate::time::Instant;

use super::connection::Connection;

/// How long a connection is silent before it is held to be idle.
const SILENCE: Duration = Duration::from_secs(1);

impl Connection {
    /// When to look whether it is idle: `None` where there is nothing to give back.
    pub(crate) fn next_rest(&self, now: Instant) -> Option<Instant> {
        let idle =
            self.recv.queue.is_idle() || self.send.queue.is_idle() || self.recovery.scoreboard.is_idle();
        idle.then(|| now + SILENCE)
    }

    /// Gives back the room of empty queues, where nothing came and nothing was sent for a while.
    pub(crate) fn rest(&mut self, now: Instant) {
        let last = self.send.last_sent.max(self.recv.acks.last_arrival());
        if now.saturating_since(last) >= SILENCE {
            self.recv.queue.rest();
            self.send.queue.rest();
            self.recovery.scoreboard.rest();
        }
    }
}
