//! The round trip as a receiver can tell it: how long the peer takes to make use of what it is told.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

/// Estimates the round trip without sending data, as Linux's dynamic right-sizing does: by the time in which a window is used
/// up, which is a bound from above, and by the timestamps that the peer echoes.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::round_trip::ReceiverRtt;
/// use tapsock_stack::time::Instant;
///
/// let mut rtt = ReceiverRtt::default();
/// rtt.on_data(Instant::from_millis(100), SeqNumber::new(1001), 5000);
/// rtt.on_data(Instant::from_millis(120), SeqNumber::new(5001), 5000);
/// assert_eq!(rtt.estimate(), None);
/// rtt.on_data(Instant::from_millis(130), SeqNumber::new(6001), 5000);
/// assert_eq!(rtt.estimate(), Some(Duration::from_millis(30)));
/// ```
#[derive(Clone, Debug)]
pub struct ReceiverRtt {
    /// In eighths of microseconds; 0 before the first sample.
    smoothed: u32,
    /// The timestamp of ours that was echoed last.
    echo: u32,
    /// Since when, and up to where, the window is measured that is being used up. In microseconds; 0: nothing has come. It wraps
    /// around: who uses up a window in 71 minutes may be taken for somebody faster.
    since_us: u32,
    end: SeqNumber,
}

impl Default for ReceiverRtt {
    fn default() -> Self {
        ReceiverRtt { smoothed: 0, echo: 0, since_us: 0, end: SeqNumber::new(0) }
    }
}

impl ReceiverRtt {
    /// The estimate.
    pub fn estimate(&self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_nanos(u64::from(self.smoothed) * 125))
    }

    /// Data has come in order, up to `nxt`, while the peer knew of a window of `window` bytes.
    pub fn on_data(&mut self, now: Instant, nxt: SeqNumber, window: u32) {
        let now_us = (now.as_micros() as u32).max(1);
        if self.since_us != 0 {
            if nxt.before(self.end) {
                return;
            }
            // The peer may have paused: the shortest counts.
            let sample = now_us.wrapping_sub(self.since_us).max(1).saturating_mul(8);
            if self.smoothed == 0 || sample < self.smoothed {
                self.smoothed = sample;
            }
        }
        (self.since_us, self.end) = (now_us, nxt + window);
    }

    /// A segment echoes our timestamp `echo`, that of `now` being `clock`. It tells of the round trip where it is `full`, for
    /// others may have waited; and where it tells of a longer one only if the program had read everything, as `drained` says,
    /// for else that may be what the peer waited for.
    //= RFC 7323 §4.1
    pub fn on_echo(&mut self, clock: u32, echo: u32, full: bool, drained: bool) {
        if echo == core::mem::replace(&mut self.echo, echo) || !full {
            return;
        }
        let millis = clock.wrapping_sub(echo);
        // Less than the clock can tell, or from nowhere.
        if millis == 0 || millis > LONGEST_MS {
            return;
        }
        let sample = millis * 8000;
        if self.smoothed == 0 || sample < self.smoothed {
            self.smoothed = sample;
        } else if drained {
            self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
        }
    }
}

/// The longest round trip that is believed, in milliseconds.
const LONGEST_MS: u32 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `tests/scripts/receiver-round-trip.pkt`.
    #[test]
    fn echoes_are_smoothed_as_linux_does() {
        let mut rtt = ReceiverRtt::default();
        let mut told = Vec::new();
        for (clock, echo, full, drained) in [
            (160, 100, true, true),
            (170, 160, true, true),
            (200, 170, true, false),
            (230, 200, true, true),
            (240, 230, false, true),
            (270, 270, true, true),
            (300, 270, true, true),
        ] {
            rtt.on_echo(clock, echo, full, drained);
            told.push(rtt.estimate().unwrap().as_micros());
        }
        assert_eq!(told, [60_000, 10_000, 10_000, 12_500, 12_500, 12_500, 12_500]);
    }

    #[test]
    fn an_echo_from_nowhere_is_not_believed() {
        let mut rtt = ReceiverRtt::default();
        rtt.on_echo(100, 200, true, true);
        rtt.on_echo(u32::MAX, 1, true, true);
        assert_eq!(rtt.estimate(), None);
    }
}
