//! Records that become one, so that there are no more of them than tell something.

use crate::tcp::seq_ranges::SeqRange;

use super::{Marks, Scoreboard, Sending};

impl Scoreboard {
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
        let fate = Marks(record.marks.0 & !Marks::RESENT.0);
        let resending = Marks(Marks::LOST.0 | Marks::RESENDING.0);
        if !whole || fate != resending || record.size != sending.size {
            return None;
        }
        let segments = range.len() / size;
        (record.end, record.segments) = (range.end(), record.segments + segments);
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
                if next.marks.has(Marks::RESENT) {
                    record.marks.set(Marks::RESENT);
                }
                self.flight.records.remove(index + 1);
            } else {
                index += 1;
            }
        }
    }
}
