//! When to acknowledge.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;

/// How long an acknowledgement waits for company.
//= RFC 9293 MUST-40
pub const DELAY: Duration = Duration::from_millis(40);

/// The longest that one waits: at the end of a handshake that data is expected to follow, as in Linux.
pub const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// Acknowledgements sent at once at the start of a connection, so that the peer's slow start is not held up.
pub const QUICK_ACKS: u8 = 16;

/// What is owed to the peer.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Owed {
    /// Nothing.
    #[default]
    Nothing,
    /// An acknowledgement, before [`DELAY`] has passed.
    Delayed,
    /// An acknowledgement at once.
    Now,
}

/// Decides when to acknowledge, as Linux does: at once while a connection is young and for every second full
/// segment, later where an answer of the application will carry it.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::ack_policy::{AckPolicy, Owed};
///
/// let mut policy = AckPolicy::new();
/// policy.on_data(1460, SeqNumber::new(1460));
/// assert_eq!(policy.owed(), Owed::Now);
/// policy.on_ack_sent(SeqNumber::new(1460));
/// assert_eq!(policy.owed(), Owed::Nothing);
/// ```
#[derive(Clone, Debug)]
pub struct AckPolicy {
    owed: Owed,
    quick: u8,
    /// Whether the application answers what it receives, so that waiting pays.
    interactive: bool,
    /// The largest segment that the peer has sent, in bytes.
    peer_mss: u32,
    /// RCV.NXT when we acknowledged last.
    acknowledged: SeqNumber,
}

impl AckPolicy {
    /// The policy of a fresh connection.
    pub const fn new() -> Self {
        let acknowledged = SeqNumber::new(0);
        AckPolicy { owed: Owed::Nothing, quick: QUICK_ACKS, interactive: false, peer_mss: 88, acknowledged }
    }

    /// What is owed now.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// Whether acknowledgements wait for an answer that may carry them (TCP_QUICKACK says the contrary).
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Has acknowledgements wait for an answer, or not, until the traffic says otherwise.
    pub fn set_interactive(&mut self, interactive: bool) {
        self.interactive = interactive;
    }

    /// The largest segment seen, in bytes.
    pub fn peer_mss(&self) -> u32 {
        self.peer_mss
    }

    /// The number expected when we acknowledged last: everything before it is known to the peer to have arrived.
    pub fn acknowledged(&self) -> SeqNumber {
        self.acknowledged
    }

    /// Data came in order, in segments of `segment` bytes; `nxt` is the number expected after it.
    //= RFC 9293 SHLD-18
    //= RFC 9293 SHLD-19
    pub fn on_data(&mut self, segment: u32, nxt: SeqNumber) {
        self.peer_mss = self.peer_mss.max(segment);
        let waiting = nxt.saturating_since(self.acknowledged);
        let quick = self.quick > 0 && !self.interactive;
        self.owe(if quick || waiting > self.peer_mss { Owed::Now } else { Owed::Delayed });
    }

    /// Something came that the peer must hear of at once: out of order, a duplicate, a FIN, a probe.
    //= RFC 5681 §4.2
    pub fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    /// Something came whose acknowledgement may wait.
    pub fn owe_late(&mut self) {
        self.owe(Owed::Delayed);
    }

    /// An acknowledgement has waited long enough. As Linux: no answer carried it, so the next need not wait for one.
    pub fn on_delay_passed(&mut self) {
        self.interactive = false;
        self.owe_now();
    }

    fn owe(&mut self, what: Owed) {
        if self.owed != Owed::Now {
            self.owed = what;
        }
    }

    /// The peer needs to hear of every segment again, after a loss.
    pub fn quicken(&mut self) {
        (self.quick, self.interactive) = (QUICK_ACKS, false);
    }

    /// Data of ours went out, and carried what was owed.
    pub fn on_data_sent(&mut self) {
        if self.owed != Owed::Nothing {
            self.interactive = true;
        }
    }

    /// An acknowledgement of everything before `nxt` went out.
    pub fn on_ack_sent(&mut self, nxt: SeqNumber) {
        self.owed = Owed::Nothing;
        self.acknowledged = nxt;
        self.quick = self.quick.saturating_sub(1);
    }
}

impl Default for AckPolicy {
    fn default() -> Self {
        AckPolicy::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past_the_start() -> AckPolicy {
        let mut policy = AckPolicy::new();
        for _ in 0..QUICK_ACKS {
            policy.on_ack_sent(SeqNumber::new(0));
        }
        policy.on_data(1000, SeqNumber::new(0));
        policy.on_ack_sent(SeqNumber::new(0));
        policy
    }

    //= RFC 9293 SHLD-19, type=test
    #[test]
    fn every_second_full_segment_is_acknowledged_at_once() {
        let mut policy = past_the_start();
        policy.on_data(1000, SeqNumber::new(1000));
        assert_eq!(policy.owed(), Owed::Delayed);
        policy.on_data(1000, SeqNumber::new(2000));
        assert_eq!(policy.owed(), Owed::Now);
    }

    #[test]
    fn an_application_that_answers_makes_acknowledgements_wait() {
        let mut policy = AckPolicy::new();
        policy.on_data(64, SeqNumber::new(64));
        assert_eq!(policy.owed(), Owed::Now);
        policy.on_data_sent();
        policy.on_ack_sent(SeqNumber::new(64));
        policy.on_data(64, SeqNumber::new(128));
        assert_eq!(policy.owed(), Owed::Delayed);
        policy.quicken();
        policy.on_data(64, SeqNumber::new(192));
        assert_eq!(policy.owed(), Owed::Now);
    }
}
