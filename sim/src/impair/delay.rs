//! Delay, fixed and varying.

use core::time::Duration;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;

use super::{Arrival, Impaired, Impairment};

/// Every frame takes the same time.
///
/// ```
/// let link = tapsock_sim::Delay::ms(10);
/// assert_eq!(link.stats().passed, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Delay(Duration);

impl Delay {
    /// `millis` milliseconds in each direction.
    pub fn ms(millis: u64) -> Impaired<Delay> {
        Delay::of(Duration::from_millis(millis))
    }

    /// `delay` in each direction.
    pub fn of(delay: Duration) -> Impaired<Delay> {
        Impaired::new(Delay(delay))
    }
}

impl Impairment for Delay {
    fn name(&self) -> String {
        "delay".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        arrival.pass_at(arrival.now + self.0, frame);
    }
}

/// Every frame takes a time of its own, evenly spread from nothing to a bound.
///
/// ```
/// let in_order = tapsock_sim::Jitter::ms(5);
/// let shuffled = tapsock_sim::Jitter::ms(5).reordering();
/// # let _ = (in_order, shuffled);
/// ```
#[derive(Clone, Debug)]
pub struct Jitter {
    bound: Duration,
    order: Order,
    last: Instant,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Order {
    Kept,
    Free,
}

impl Jitter {
    /// From 0 to `millis` milliseconds. A frame never overtakes another.
    pub fn ms(millis: u64) -> Impaired<Jitter> {
        Jitter::of(Duration::from_millis(millis))
    }

    /// From 0 to `bound`. A frame never overtakes another.
    pub fn of(bound: Duration) -> Impaired<Jitter> {
        Impaired::new(Jitter { bound, order: Order::Kept, last: Instant::ZERO })
    }
}

impl Impaired<Jitter> {
    /// Frames may overtake each other.
    pub fn reordering(self) -> Self {
        self.map(|jitter| jitter.order = Order::Free)
    }
}

impl Impairment for Jitter {
    fn name(&self) -> String {
        "jitter".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let bound = self.bound.as_nanos() as u64;
        let mut at = arrival.now + Duration::from_nanos(arrival.rng.below(bound + 1));
        if self.order == Order::Kept {
            at = at.max(self.last);
            self.last = at;
        }
        arrival.pass_at(at, frame);
    }
}
