//! What is marked in what was written: where records end, and where the peer is to be told to pass on what it has.

use std::collections::VecDeque;

use crate::tcp::seq::SeqNumber;

/// The ends of records that are not yet acknowledged (`MSG_EOR`, and what went with a SYN). What is behind one goes in a
/// segment of its own, also when it is sent again. As many as there are bytes in the send queue at the most, for a record has one.
///
/// And within what was not sent yet, where a segment that ends there is to be pushed: no more than frames of it, for each has
/// one at the most.
///
/// Hardly anybody marks any: boxed on first use.
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
pub struct Records(Option<Box<Marks>>);

#[derive(Debug, Default)]
struct Marks {
    ends: VecDeque<SeqNumber>,
    pushes: VecDeque<SeqNumber>,
}

impl Records {
    /// A record ends before the byte `end`, which is after all that were marked before.
    pub fn end_at(&mut self, end: SeqNumber) {
        let ends = &mut self.0.get_or_insert_default().ends;
        if ends.back() != Some(&end) {
            ends.push_back(end);
        }
    }

    /// The first end after `start`.
    pub fn next_end(&self, start: SeqNumber) -> Option<SeqNumber> {
        let ends = &self.0.as_ref()?.ends;
        ends.get(ends.partition_point(|end| end.at_or_before(start))).copied()
    }

    /// Whether a record ends there.
    pub fn has_end(&self, at: SeqNumber) -> bool {
        self.next_end(at - 1) == Some(at)
    }

    /// Forgets those that are acknowledged.
    pub fn acknowledge(&mut self, una: SeqNumber) {
        let Some(marks) = &mut self.0 else { return };
        while marks.ends.front().is_some_and(|end| end.at_or_before(una)) {
            marks.ends.pop_front();
        }
        if marks.ends.is_empty() && marks.pushes.is_empty() {
            self.0 = None;
        }
    }

    /// A segment that ends at `end` is to be pushed; nothing behind it was marked so.
    pub fn push_at(&mut self, end: SeqNumber) {
        self.0.get_or_insert_default().pushes.push_back(end);
    }

    /// A segment is sent that ends at `end`: whether it is to be pushed.
    pub fn take_push(&mut self, end: SeqNumber) -> bool {
        let Some(marks) = &mut self.0 else { return false };
        let mut found = false;
        while let Some(at) = marks.pushes.front().copied().filter(|at| at.at_or_before(end)) {
            marks.pushes.pop_front();
            found = at == end;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_taken_once_and_where_it_is() {
        let at = SeqNumber::new;
        let mut records = Records::default();
        [10, 20, 30].iter().for_each(|end| records.push_at(at(*end)));
        assert!(records.take_push(at(10)) && !records.take_push(at(10)));
        assert!(!records.take_push(at(29)), "the segment goes on behind the mark");
        records.acknowledge(at(29));
        assert!(records.take_push(at(30)));
        records.acknowledge(at(30));
        assert!(records.0.is_none());
    }

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
