//! The largest of late: what was measured in the last rounds, of which only the three best in falling order matter.

/// A measurement, and the round of it.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
struct Measured {
    value: u64,
    round: u32,
}

/// The largest value of the last `span` rounds, as Kathleen Nichols' filter keeps it: the best, the best since that one,
/// and the best since the second.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct MaxFilter {
    best: [Measured; 3],
}

impl MaxFilter {
    pub(super) const fn value(&self) -> u64 {
        self.best[0].value
    }

    /// Takes `value`, measured in `round`; what is older than `span` rounds is forgotten.
    pub(super) fn sample(&mut self, value: u64, round: u32, span: u32) {
        let new = Measured { value, round };
        let age = |measured: Measured| round.wrapping_sub(measured.round);
        if value >= self.best[0].value || age(self.best[2]) > span {
            self.best = [new; 3];
            return;
        }
        if value >= self.best[1].value {
            (self.best[1], self.best[2]) = (new, new);
        } else if value >= self.best[2].value {
            self.best[2] = new;
        }
        if age(self.best[0]) > span {
            self.best = [self.best[1], self.best[2], new];
            if age(self.best[0]) > span {
                self.best = [self.best[1], new, new];
            }
        } else if self.best[1].round == self.best[0].round && age(self.best[0]) > span / 4 {
            // A quarter of the span has passed without a second: from here on there is one.
            (self.best[1], self.best[2]) = (new, new);
        } else if self.best[2].round == self.best[1].round && age(self.best[0]) > span / 2 {
            self.best[2] = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_forgotten_after_its_span() {
        let mut filter = MaxFilter::default();
        filter.sample(100, 0, 10);
        for round in 1..=10 {
            filter.sample(40 + u64::from(round % 3), round, 10);
            assert_eq!(filter.value(), 100, "round {round}");
        }
        filter.sample(30, 11, 10);
        assert!((40..=42).contains(&filter.value()), "{}", filter.value());
        filter.sample(200, 12, 10);
        assert_eq!(filter.value(), 200);
    }

    #[test]
    fn after_a_long_silence_nothing_of_old_counts() {
        let mut filter = MaxFilter::default();
        filter.sample(100, 0, 10);
        filter.sample(7, 50, 10);
        assert_eq!(filter.value(), 7);
    }
}
