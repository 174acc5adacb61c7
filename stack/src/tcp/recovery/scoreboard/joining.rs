//! Records that become one, so that there are no more of them than tell something.

use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;

use super::{Marks, Record, Scoreboard, Sending};

impl Scoreboard {
    /// Makes one segment of the small ones from `start` up to `limit`, the first of which is lost: all that were not
    /// reported, and are no bursts. Gives the end of it.
    pub fn join_small(&mut self, start: SeqNumber, limit: SeqNumber) -> Option<SeqNumber> {
        let first = self.flight.records.partition_point(|record| record.end.at_or_before(start));
        let joins = |record: &Record| {
            record.segments == 1 && !record.marks.has(Marks::SACKED) && record.end.at_or_before(limit)
        };
        while self.flight.records.get(first).is_some_and(joins)
            && let Some(next) = self.flight.records.get(first + 1).copied().filter(joins)
        {
            self.flight.records.remove(first + 1);
            self.flight.counts.drop(next.segments, next.marks);
            let record = &mut self.flight.records[first];
            (record.end, record.size) = (next.end, record.size.max(next.size));
            let pushed = record.marks.has(Marks::PUSHED);
            record.marks.extend(next.marks);
            // As Linux: the push of each goes on.
            if pushed {
                record.marks.set(Marks::PUSHED);
            }
        }
        self.flight.records.get(first).map(|record| record.end)
    }

    /// Counts the first bytes of a lost record, which are `range`, to the record before, where that was sent again too:
    /// no new record is needed then. Gives the segments, where it could.
    pub(super) fn join_resent(&mut self, range: SeqRange, sending: Sending) -> Option<u32> {
        let index = self.flight.records.partition_point(|record| record.end.at_or_before(range.start()));
        let before = index.checked_sub(1)?;
        let size = u32::from(sending.size.max(1));
        let next = self.flight.records.get(index)?;
        let whole = range.len().is_multiple_of(size) && next.segments > range.len() / size;
        let alike = next.size == sending.size && whole;
        if !alike || !next.is_due() || next.start != range.start() || !next.end.after(range.end()) {
            return None;
        }
        let order = self.transmissions;
        let record = &mut self.flight.records[before];
        let whole = record.len() == record.segments * size;
        let fate = Marks(record.marks.0 & !(Marks::RESENT.0 | Marks::PUSHED.0));
        let resending = Marks(Marks::LOST.0 | Marks::RESENDING.0);
        if !whole || fate != resending || record.size != sending.size {
            return None;
        }
        let segments = range.len() / size;
        (record.end, record.segments) = (range.end(), record.segments + segments);
        record.marks.clear(Marks::PUSHED);
        record.send_again(sending, order);
        self.flight.records.send_again(before);
        self.flight.records[index].start = range.end();
        self.flight.records[index].segments -= segments;
        self.flight.counts.resending += segments;
        Some(segments)
    }

    /// Makes one record of neighbours that SACK has reported: nothing tells them apart any more.
    pub(super) fn join_sacked(&mut self, first: usize, last: usize) {
        let mut index = first.saturating_sub(1);
        let mut steps = last - index;
        while steps > 0 && index + 1 < self.flight.records.len() {
            steps -= 1;
            let (one, next) = (self.flight.records[index], self.flight.records[index + 1]);
            let alike = one.marks.has(Marks::RESENDING) == next.marks.has(Marks::RESENDING);
            if one.marks.has(Marks::SACKED) && next.marks.has(Marks::SACKED) && alike {
                let record = &mut self.flight.records[index];
                (record.end, record.segments) = (next.end, one.segments + next.segments);
                record.marks.extend(next.marks);
                self.flight.records.remove(index + 1);
            } else {
                index += 1;
            }
        }
    }
}
