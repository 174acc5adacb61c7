//! Where segments have to end: at what a program has marked as the end of a record.

use std::collections::VecDeque;

use crate::tcp::seq::SeqNumber;

/// The ends of records that are not yet acknowledged (`MSG_EOR`, and what went with a SYN). What is behind one goes in a
/// segment of its own, also when it is sent again. Hardly anybody marks any: boxed on first use.
///
/// As many as there are bytes in the send queue at the most, for a record has one.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::send::records::Records;
///
/// let mut records = Records::default();
/// records.end_at(SeqNumber::new(100));
/// assert_eq!(records.next_end(SeqNumber::new(99)), Some(SeqNumber::new(100)));
/// assert_eq!(records.next_end(SeqNumber::new(100)), None);
/// ```
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a connection without records has a pointer of them and no more")]
pub struct Records(Option<Box<VecDeque<SeqNumber>>>);

impl Records {
    /// A record ends before the byte `end`, which is after all that were marked before.
    pub fn end_at(&mut self, end: SeqNumber) {
        let ends = self.0.get_or_insert_default();
        if ends.back() != Some(&end) {
            ends.push_back(end);
        }
    }

    /// The first end after `start`.
    pub fn next_end(&self, start: SeqNumber) -> Option<SeqNumber> {
        let ends = self.0.as_ref()?;
        ends.get(ends.partition_point(|end| end.at_or_before(start))).copied()
    }

    /// Whether a record ends there.
    pub fn has_end(&self, at: SeqNumber) -> bool {
        self.next_end(at - 1) == Some(at)
    }

    /// Forgets those that are acknowledged.
    pub fn acknowledge(&mut self, una: SeqNumber) {
        let Some(ends) = &mut self.0 else { return };
        while ends.front().is_some_and(|end| end.at_or_before(una)) {
            ends.pop_front();
        }
        if ends.is_empty() {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_go_when_they_are_acknowledged() {
        let at = SeqNumber::new;
        let mut records = Records::default();
        let begin = at(u32::MAX - 5);
        [2, 2, 10, 11].iter().for_each(|len| records.end_at(begin + *len));
        assert_eq!(records.next_end(begin), Some(begin + 2));
        assert_eq!(records.next_end(begin + 2), Some(begin + 10));
        assert!(records.has_end(begin + 10) && !records.has_end(begin + 9));
        records.acknowledge(begin + 10);
        assert!(!records.has_end(begin + 10) && records.has_end(begin + 11));
        records.acknowledge(begin + 12);
        assert_eq!((records.next_end(begin), records.0.is_none()), (None, true));
    }
}
