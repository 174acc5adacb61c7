//! What came twice, to be reported with the next acknowledgement (RFC 2883).

use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;

/// The range that came twice since the last acknowledgement. Boxed, for it is rare.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::duplicate::Duplicate;
///
/// let mut duplicate = Duplicate::default();
/// assert!(duplicate.note(SeqNumber::new(1), SeqNumber::new(5)));
/// assert_eq!(duplicate.range().map(|range| range.len()), Some(4));
/// duplicate.on_reported();
/// assert_eq!(duplicate.range(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Duplicate {
    range: Option<Box<SeqRange>>,
}

impl Duplicate {
    /// What is to be reported.
    pub fn range(&self) -> Option<SeqRange> {
        self.range.as_deref().copied()
    }

    /// What lies between `start` and `end` came twice. Says whether that is something. As Linux, one report takes what
    /// came last.
    //= RFC 2883 §4
    //= RFC 2883 §4.2 RULE-1
    #[must_use = "it is counted"]
    pub fn note(&mut self, start: SeqNumber, end: SeqNumber) -> bool {
        let Some(range) = SeqRange::new(start, end) else { return false };
        match &mut self.range {
            Some(place) => **place = range,
            None => self.range = Some(Box::new(range)),
        }
        true
    }

    /// It was reported: that is done once.
    //= RFC 2883 §4 RULE-2
    pub fn on_reported(&mut self) {
        self.range = None;
    }
}
