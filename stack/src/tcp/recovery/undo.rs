//! Taking back a reduction that was in error: by timestamps (Eifel, RFC 3522 and 4015), or because the peer reports
//! that it had everything that was sent again (RFC 3708).

use crate::tcp::seq::SeqNumber;

/// What it takes to find out that a recovery was in error, and to take it back.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::undo::{Answer, Undo};
///
/// let mut undo = Undo::default();
/// undo.begin(SeqNumber::new(1), 0);
/// undo.on_resent(1, 700);
/// let echoes = |echo| Answer { echo: Some(echo), past: false };
/// assert!(!undo.is_justified(echoes(750)));
/// assert!(undo.is_justified(echoes(650)), "an answer to what was sent before it was sent again");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Undo {
    /// SND.UNA when the recovery began, while it can be undone.
    marker: SeqNumber,
    possible: bool,
    /// Whether anything was sent again in this recovery, and how many segments no report has called needless.
    begun: bool,
    resent: u32,
    /// When something was sent again first, by our timestamps' clock.
    first: u32,
    waiting: bool,
    /// The threshold before; 0: not to be restored.
    ssthresh: u32,
}

/// What an acknowledgement is to a recovery.
#[derive(Copy, Clone, Debug, Default)]
pub struct Answer {
    /// The timestamp that it echoes, by our timestamps' clock.
    pub echo: Option<u32>,
    /// Whether it is for all that the recovery was about, and the peer does not send SACK. As Linux: that nothing waits
    /// for an answer does not mean then that nothing was sent again.
    pub past: bool,
}

impl Undo {
    /// Nothing to undo.
    pub const NONE: Undo = Undo {
        marker: SeqNumber::new(0),
        possible: false,
        begun: false,
        resent: 0,
        first: 0,
        waiting: false,
        ssthresh: 0,
    };

    /// A recovery begins at `una`, with retransmissions in flight already.
    pub fn begin(&mut self, una: SeqNumber, resending: u32) {
        (self.marker, self.possible) = (una, true);
        (self.resent, self.begun) = (resending, resending > 0);
    }

    /// The threshold to restore, where that is to be done.
    pub fn keep_threshold(&mut self, ssthresh: u32) {
        self.ssthresh = ssthresh;
    }

    /// There is nothing to undo: the reduction had a reason beside losses.
    pub fn forget(&mut self) {
        (self.possible, self.ssthresh) = (false, 0);
    }

    /// Where the recovery began that could be undone.
    pub fn marker(&self) -> Option<SeqNumber> {
        self.possible.then_some(self.marker)
    }

    /// `segments` were sent again when our timestamps' clock said `clock`.
    pub fn on_resent(&mut self, segments: u32, clock: u32) {
        (self.resent, self.begun) = (self.resent.saturating_add(segments), true);
        if !self.waiting {
            (self.first, self.waiting) = (clock, true);
        }
    }

    /// No retransmission waits for an answer.
    pub fn on_nothing_resent(&mut self) {
        self.waiting = false;
    }

    /// The peer reports that it received twice `segments` that end at `end`, though they had been sent again once.
    pub fn on_duplicate(&mut self, segments: u32, end: SeqNumber) {
        if self.possible && end.after(self.marker) {
            self.resent = self.resent.saturating_sub(segments);
        }
    }

    /// Whether all that was sent again was needless, by the peer's reports.
    //= RFC 3708 §2
    pub fn is_needless(&self) -> bool {
        self.possible && self.is_all_reported()
    }

    /// Whether an acknowledgement is for what was sent before anything was sent again.
    //= RFC 3522 §3.2
    pub fn is_late(&self, answer: Answer) -> bool {
        if !self.waiting {
            return !answer.past;
        }
        answer.echo.is_some_and(|echo| (echo.wrapping_sub(self.first) as i32) < 0)
    }

    /// Whether the recovery was in error.
    pub fn is_justified(&self, answer: Answer) -> bool {
        self.possible && (self.is_all_reported() || self.is_late(answer))
    }

    fn is_all_reported(&self) -> bool {
        self.begun && self.resent == 0
    }

    /// Takes the threshold to restore; the recovery can't be undone again.
    pub fn take(&mut self) -> Option<u32> {
        self.possible = false;
        (self.ssthresh > 0).then_some(self.ssthresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(value: u32) -> SeqNumber {
        SeqNumber::new(value)
    }

    //= RFC 3708 §2, type=test
    #[test]
    fn reports_of_all_that_was_sent_again_undo() {
        let mut undo = Undo::default();
        undo.begin(seq(1000), 1);
        undo.on_resent(2, 50);
        undo.on_duplicate(1, seq(1000));
        undo.on_duplicate(2, seq(3000));
        assert!(!undo.is_needless());
        undo.on_duplicate(1, seq(4000));
        assert!(undo.is_needless(), "but for what lies before the recovery");
        undo.keep_threshold(77);
        assert_eq!(undo.take(), Some(77));
        assert!(!undo.is_needless());
    }

    //= RFC 3522 §3.2, type=test
    #[test]
    fn a_timestamp_of_before_the_first_retransmission_undoes() {
        let mut undo = Undo::default();
        undo.begin(seq(1000), 0);
        undo.on_resent(1, u32::MAX);
        undo.on_resent(1, 20);
        let answer = |echo| Answer { echo, past: false };
        assert!(!undo.is_justified(answer(Some(3))));
        assert!(!undo.is_justified(answer(None)));
        assert!(undo.is_justified(answer(Some(u32::MAX - 1))));
        undo.forget();
        assert!(!undo.is_justified(answer(Some(u32::MAX - 1))));
    }

    #[test]
    fn where_nothing_waits_any_more_without_sack_nothing_is_undone() {
        let mut undo = Undo::default();
        undo.begin(seq(1000), 0);
        assert!(undo.is_justified(Answer::default()), "nothing was sent again");
        undo.on_resent(1, 50);
        undo.on_nothing_resent();
        assert!(!undo.is_justified(Answer { echo: None, past: true }));
    }
}
