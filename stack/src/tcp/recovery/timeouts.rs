//! What retransmission time-outs have come to (`tcpi_total_rto` and what follows it).

use core::time::Duration;

use crate::time::Instant;

/// Time-outs since the connection began, those of its SYN among them.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::recovery::timeouts::Timeouts;
/// use tapsock_stack::time::Instant;
///
/// let mut timeouts = Timeouts::default();
/// timeouts.on_timeout(Instant::from_millis(100), true);
/// timeouts.on_timeout(Instant::from_millis(300), false);
/// assert_eq!(timeouts.time(Instant::from_millis(350)), Duration::from_millis(250));
/// timeouts.on_recovered(Instant::from_millis(400));
/// assert_eq!((timeouts.total(), timeouts.recoveries), (2, 1));
/// assert_eq!(timeouts.time(Instant::from_secs(9)), Duration::from_millis(300));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Timeouts {
    /// Those before which everything that was sent again had been acknowledged.
    pub recoveries: u16,
    /// Those of the connection itself: each changed the flow label, and with it perhaps the path.
    pub rehashes: u32,
    /// Those of the listener's SYN-ACK, which did not.
    of_syn_ack: u8,
    /// How long the recoveries took that are over, in milliseconds.
    finished_ms: u32,
    /// When the one began that is not.
    since: Option<Instant>,
}

impl Timeouts {
    /// The SYN-ACK was sent again `retries` times since `since`, until it was acknowledged at `now`.
    pub fn after_syn_ack(now: Instant, retries: u8, since: Instant) -> Self {
        let mut timeouts =
            Timeouts { recoveries: 1, of_syn_ack: retries, since: Some(since), ..Timeouts::default() };
        timeouts.on_recovered(now);
        timeouts
    }

    /// All of them.
    pub fn total(&self) -> u16 {
        u16::try_from(self.rehashes).unwrap_or(u16::MAX).saturating_add(self.of_syn_ack.into())
    }

    /// One has passed, the `first` since something was acknowledged. As Linux, one that follows such an acknowledgement but
    /// not the end of a recovery is one that begins anew, and the time until then is forgotten.
    pub fn on_timeout(&mut self, now: Instant, first: bool) {
        if first {
            self.recoveries = self.recoveries.saturating_add(1);
            self.since = Some(now);
        }
        self.rehashes = self.rehashes.saturating_add(1);
    }

    /// What was sent again is acknowledged, or the time-out was in error.
    pub fn on_recovered(&mut self, now: Instant) {
        self.finished_ms = self.millis(now);
        self.since = None;
    }

    /// How long the recoveries took, one that is not over included.
    pub fn time(&self, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).into())
    }

    fn millis(&self, now: Instant) -> u32 {
        let last = self.since.map_or(0, |since| now.saturating_since(since).as_millis() as u32);
        self.finished_ms.wrapping_add(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_acks_time_outs_change_no_flow_label() {
        let at = Instant::from_millis;
        let mut timeouts = Timeouts::after_syn_ack(at(3100), 2, at(100));
        timeouts.on_timeout(at(5000), true);
        assert_eq!((timeouts.total(), timeouts.recoveries, timeouts.rehashes), (3, 2, 1));
        assert_eq!(timeouts.time(at(5500)), Duration::from_millis(3500));
    }
}
