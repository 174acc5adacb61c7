//! Duplication.

use core::time::Duration;

use tapsock_stack::buf::Frame;

use super::{Arrival, Impaired, Impairment};

/// Some frames arrive twice.
///
/// ```
/// use core::time::Duration;
///
/// let link = tapsock_sim::Duplicate::percent(5.0).after(Duration::from_millis(40));
/// assert_eq!(link.stats().touched, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Duplicate {
    rule: Rule,
    after: Duration,
}

#[derive(Clone, Debug)]
enum Rule {
    Percent(f64),
    Every(u64),
}

impl Duplicate {
    /// Each frame comes twice with a chance of `percent` in a hundred.
    pub fn percent(percent: f64) -> Impaired<Duplicate> {
        Impaired::new(Duplicate { rule: Rule::Percent(percent), after: Duration::ZERO })
    }

    /// Every `n`-th frame of each direction comes twice.
    pub fn every(n: u64) -> Impaired<Duplicate> {
        Impaired::new(Duplicate { rule: Rule::Every(n.max(1)), after: Duration::ZERO })
    }
}

impl Impaired<Duplicate> {
    /// The copy comes `after` the first, rather than right behind it.
    pub fn after(self, after: Duration) -> Self {
        self.map(|duplicate| duplicate.after = after)
    }
}

impl Impairment for Duplicate {
    fn name(&self) -> String {
        "duplicate".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let twice = match self.rule {
            Rule::Percent(percent) => arrival.rng.percent(percent),
            Rule::Every(n) => arrival.index.is_multiple_of(n),
        };
        arrival.pass(frame.clone());
        if twice {
            arrival.count_touched();
            arrival.pass_at(arrival.now + self.after, frame);
        }
    }
}
