//! How long things take that follow one another.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::role::Outcome;

/// The longest that is told apart, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;

/// Things that take a time each, one after the other.
pub(crate) struct Trips {
    started: Instant,
    last: Instant,
    times: Histogram<u64>,
}

impl Trips {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let times = Histogram::new_with_max(LONGEST, 3).expect("three digits of ten seconds");
        Trips { started: now, last: now, times }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.last - self.started
    }

    /// One is done.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.times.saturating_record((now - self.last).as_nanos() as u64);
        self.last = now;
    }

    /// Those of another line, which went on at the same time.
    pub(crate) fn add(&mut self, others: &Trips) {
        self.started = self.started.min(others.started);
        self.last = self.last.max(others.last);
        self.times.add(&others.times).expect("histograms of the same bounds");
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let micros = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e3;
        Outcome {
            count: self.times.len(),
            seconds: self.elapsed().as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            ..Outcome::default()
        }
    }
}
