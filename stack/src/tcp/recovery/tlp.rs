//! The tail loss probe (RFC 8985 §7): where nothing comes back, the last segment is sent once more, so that what the
//! peer says of it shows what was lost before it, without a time-out.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;

use super::rack::LEAST_WAIT;

/// What the probe waits where no round trip is known.
const INITIAL_WAIT: Duration = Duration::from_secs(1);

/// The probe of one tail.
///
/// ```
/// use tapsock_stack::tcp::recovery::tlp::Probe;
///
/// assert!(!Probe::default().is_out());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// SND.NXT when it was sent: TLP.end_seq.
    end: SeqNumber,
    out: bool,
    /// Whether it carried what had been sent before: TLP.is_retrans.
    resent: bool,
}

/// What an acknowledgement says of a probe.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// The probe found nothing lost.
    Whole,
    /// It repaired a loss that nothing else told of.
    Repaired,
}

/// What an acknowledgement is to a probe.
#[derive(Copy, Clone, Debug)]
pub struct Answer {
    /// What it acknowledges.
    pub ack: SeqNumber,
    /// Whether it reports that the probe came twice.
    pub duplicate: bool,
    /// Whether it says nothing at all that is new.
    pub empty: bool,
}

impl Probe {
    /// Whether one is on its way.
    pub fn is_out(&self) -> bool {
        self.out
    }

    /// Whether one is on its way that carries what had been sent before.
    pub fn is_resent(&self) -> bool {
        self.out && self.resent
    }

    /// Whether `end` is that of the probe.
    pub fn ends_at(&self, end: SeqNumber) -> bool {
        self.out && self.end == end
    }

    /// One was sent: with new data, or with what was `resent`; SND.NXT is `nxt` now.
    pub fn on_sent(&mut self, nxt: SeqNumber, resent: bool) {
        (self.end, self.out, self.resent) = (nxt, true, resent);
    }

    /// It is of no interest any more: recovery has begun.
    pub fn forget(&mut self) {
        self.out = false;
    }

    /// What an acknowledgement says of it.
    //= RFC 8985 §7.4.2
    pub fn judge(&mut self, answer: &Answer) -> Verdict {
        let end = self.end;
        if !self.out || answer.ack.before(end) {
            return Verdict::Open;
        }
        let repaired = self.resent && !answer.duplicate && answer.ack.after(end);
        let whole = !self.resent || answer.duplicate || answer.empty;
        if repaired || whole {
            self.out = false;
        }
        match (repaired, whole) {
            (true, _) => Verdict::Repaired,
            (false, true) => Verdict::Whole,
            (false, false) => Verdict::Open,
        }
    }
}

/// How long to wait before a probe: two round trips, and where one segment alone is in flight, for the peer's delayed
/// acknowledgement, which Linux takes to be no later than the least time-out.
//= RFC 8985 §7.2
pub fn wait(srtt: Option<Duration>, alone: bool, rto_min: Duration) -> Duration {
    match srtt {
        Some(srtt) => 2 * srtt + if alone { rto_min } else { LEAST_WAIT },
        None => INITIAL_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(value: u32) -> SeqNumber {
        SeqNumber::new(value)
    }

    fn answer(ack: u32) -> Answer {
        Answer { ack: seq(ack), duplicate: false, empty: false }
    }

    //= RFC 8985 §7.4.2, type=test
    #[test]
    fn only_an_acknowledgement_beyond_a_resent_probe_means_a_loss() {
        let probe = |resent| {
            let mut probe = Probe::default();
            probe.on_sent(seq(5000), resent);
            probe
        };
        assert_eq!(probe(true).judge(&answer(4999)), Verdict::Open);
        assert_eq!(probe(true).judge(&answer(5000)), Verdict::Open, "a duplicate may follow");
        assert_eq!(probe(true).judge(&answer(5001)), Verdict::Repaired);
        assert_eq!(probe(true).judge(&Answer { duplicate: true, ..answer(5001) }), Verdict::Whole);
        assert_eq!(probe(true).judge(&Answer { empty: true, ..answer(5000) }), Verdict::Whole);
        assert_eq!(probe(false).judge(&answer(5000)), Verdict::Whole);
    }

    //= RFC 8985 §7.2, type=test
    #[test]
    fn a_lone_segment_waits_for_a_delayed_acknowledgement_too() {
        let ms = Duration::from_millis;
        assert_eq!(wait(Some(ms(50)), false, ms(200)), ms(102));
        assert_eq!(wait(Some(ms(50)), true, ms(200)), ms(300));
        assert_eq!(wait(None, true, ms(200)), ms(1000));
    }
}
