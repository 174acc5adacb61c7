//! Reordering: some frames are held back, so that later ones overtake them.

use core::time::Duration;

use tapsock_stack::buf::Frame;

use super::{Arrival, Impaired, Impairment};

/// Some frames are late.
///
/// ```
/// use core::time::Duration;
///
/// let link = tapsock_sim::Reorder::percent(5.0, Duration::from_millis(3));
/// assert_eq!(link.stats().touched, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Reorder {
    rule: Rule,
    by: Duration,
}

#[derive(Clone, Debug)]
enum Rule {
    Percent(f64),
    Every(u64),
}

impl Reorder {
    /// Each frame is held back with a chance of `percent` in a hundred, for a time from nothing to `up_to`.
    pub fn percent(percent: f64, up_to: Duration) -> Impaired<Reorder> {
        Impaired::new(Reorder { rule: Rule::Percent(percent), by: up_to })
    }

    /// Every `n`-th frame of each direction is held back by `by`.
    pub fn every(n: u64, by: Duration) -> Impaired<Reorder> {
        Impaired::new(Reorder { rule: Rule::Every(n.max(1)), by })
    }
}

impl Impairment for Reorder {
    fn name(&self) -> String {
        "reorder".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let held = match self.rule {
            Rule::Every(n) => arrival.index.is_multiple_of(n).then_some(self.by),
            Rule::Percent(percent) => arrival
                .rng
                .percent(percent)
                .then(|| Duration::from_nanos(arrival.rng.below(self.by.as_nanos() as u64 + 1))),
        };
        if held.is_some() {
            arrival.count_touched();
        }
        arrival.pass_at(arrival.now + held.unwrap_or_default(), frame);
    }
}
