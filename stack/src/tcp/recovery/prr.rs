//! Proportional rate reduction (RFC 9937, as Linux has it): a window that shrinks as acknowledgements come.

/// What was delivered and sent since a reduction began, in segments.
///
/// ```
/// use tapsock_stack::tcp::recovery::prr::{Arrival, Prr, Way};
///
/// let mut prr = Prr::default();
/// let way = Way { prior: 20, ssthresh: 10, in_flight: 19 };
/// let window = prr.window(way, Arrival { delivered: 1, advanced: false, lost: 1 });
/// assert_eq!(window, 20, "the first retransmission goes at once");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Prr {
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    out: u32,
}

/// On the way from where to where the window is, in segments.
#[derive(Copy, Clone, Debug)]
pub struct Way {
    /// The window before: RecoverFS.
    pub prior: u32,
    /// Where it is going.
    pub ssthresh: u32,
    /// What is in flight.
    pub in_flight: u32,
}

/// What an acknowledgement brought.
#[derive(Copy, Clone, Debug)]
pub struct Arrival {
    /// Segments newly delivered.
    pub delivered: u32,
    /// Whether it acknowledged new data.
    pub advanced: bool,
    /// Segments newly held to be lost.
    pub lost: u32,
}

impl Prr {
    /// `segments` were sent.
    pub fn on_sent(&mut self, segments: u32) {
        self.out = self.out.saturating_add(segments);
    }

    /// The window after an acknowledgement: as many segments go as bring it down in proportion to what was delivered. Below, slow start as long as what is lost gets through,
    /// and else one for one.
    //= RFC 9937 §6
    //= RFC 5681 §4.3 MUST-2
    pub fn window(&mut self, way: Way, arrival: Arrival) -> u32 {
        let Way { prior, ssthresh, in_flight } = way;
        self.delivered = self.delivered.saturating_add(arrival.delivered);
        let room = if in_flight > ssthresh {
            let due = (u64::from(ssthresh) * u64::from(self.delivered)).div_ceil(u64::from(prior.max(1)));
            u32::try_from(due).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let conserved = self.delivered.saturating_sub(self.out).max(arrival.delivered);
            let growing = arrival.advanced && arrival.lost == 0;
            (conserved + u32::from(growing)).min(ssthresh - in_flight)
        };
        // The first retransmission goes out whatever is in flight.
        in_flight + room.max(u32::from(self.out == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(delivered: u32, advanced: bool, lost: u32) -> Arrival {
        Arrival { delivered, advanced, lost }
    }

    fn way(ssthresh: u32, in_flight: u32) -> Way {
        Way { prior: 20, ssthresh, in_flight }
    }

    //= RFC 9937 §6, type=test
    #[test]
    fn the_window_comes_down_in_proportion_to_what_is_delivered() {
        // Twenty were in flight and the first is lost; CUBIC's threshold is 14.
        let mut prr = Prr::default();
        let mut in_flight = 16;
        let mut sent = Vec::new();
        for reports in 3..=19 {
            let delivered = if reports == 3 { 3 } else { 1 };
            let lost = u32::from(reports == 3);
            let room = prr.window(way(14, in_flight), arrival(delivered, false, lost)) - in_flight;
            prr.on_sent(room);
            sent.push(room);
            in_flight = in_flight + room - 1;
        }
        let total: u32 = sent.iter().sum();
        assert_eq!(sent[0], 3, "ceil(14 * 3 / 20)");
        assert_eq!((total, in_flight), (14, 13));
    }

    //= RFC 9937 §6, type=test
    #[test]
    fn below_the_threshold_it_grows_only_while_retransmissions_get_through() {
        let mut prr = Prr::default();
        prr.on_sent(3);
        assert_eq!(prr.window(way(10, 4), arrival(1, false, 0)), 5, "one for one");
        assert_eq!(prr.window(way(10, 4), arrival(1, true, 0)), 6, "slow start");
        assert_eq!(prr.window(way(10, 4), arrival(1, true, 1)), 5, "more is lost");
        assert_eq!(prr.window(way(10, 9), arrival(5, true, 0)), 10, "never above the threshold");
    }
}
