//! A policer: what comes faster than it allows is dropped, and nothing waits.

use core::time::Duration;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;

use super::{Arrival, Impaired, Impairment};

/// Lets so many bits a second pass, after a pause a burst more, and drops the rest.
///
/// ```
/// use tapsock_sim::Police;
///
/// let carrier = Police::mbit(10).burst(100_000);
/// # let _ = carrier;
/// ```
#[derive(Clone, Debug)]
pub struct Police {
    bits_per_second: u64,
    burst: usize,
    /// When all that passed would have passed at the rate.
    paid_until: Instant,
}

/// Bytes of a burst unless said otherwise.
const DEFAULT_BURST: usize = 64 * 1024;

impl Police {
    /// `mbit` million bits a second pass in each direction, whole frames counted.
    pub fn mbit(mbit: u64) -> Impaired<Police> {
        let bits_per_second = (mbit * 1_000_000).max(1);
        Impaired::new(Police { bits_per_second, burst: DEFAULT_BURST, paid_until: Instant::ZERO })
    }

    /// How long `bytes` take at the rate.
    fn time(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u128 * 8 * 1_000_000_000).div_ceil(u128::from(self.bits_per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Impaired<Police> {
    /// `bytes` pass at once after a pause.
    pub fn burst(self, bytes: usize) -> Self {
        self.map(|police| police.burst = bytes)
    }
}

impl Impairment for Police {
    fn name(&self) -> String {
        "police".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let paid_until = self.paid_until.max(arrival.now) + self.time(frame.bytes.len());
        if paid_until > arrival.now + self.time(self.burst) {
            return arrival.drop(frame);
        }
        self.paid_until = paid_until;
        arrival.pass(frame);
    }
}
