//! What is in flight: when each part was sent, and what the peer said of it.

use std::collections::VecDeque;

use crate::on_use::{Blank, OnUse};
use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;
use crate::time::Instant;

use super::delivery::{Delivered, Progress, Sent, Transmission};

/// Parts kept apart. A sender stops at this number until some are acknowledged, and reports that would cut more of
/// them are not believed. There may be twice as many, where each was sent again in part.
pub const MAX_RECORDS: usize = 8192;

/// Entries that the table keeps room for while nothing is in flight.
const KEPT_CAPACITY: usize = 2;

/// A run of bytes sent at one time, one segment or a burst of them, with the same fate so far.
#[derive(Copy, Clone, Debug)]
struct Record {
    start: SeqNumber,
    end: SeqNumber,
    sent_at: Instant,
    /// Which transmission of the connection it was: tells apart what was sent at one time.
    order: SeqNumber,
    /// What was delivered when it was sent: the parts of [`Progress`], one by one, for together they take more room.
    delivered: u32,
    delivered_at: u32,
    flight_began: u32,
    by_program: bool,
    /// Segments that it was cut into.
    segments: u32,
    /// Bytes of each of them.
    size: u16,
    marks: Marks,
}

/// What is known of a record. One byte, for there are many of them.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
struct Marks(u8);

impl Marks {
    /// Reported by SACK.
    const SACKED: Marks = Marks(1);
    /// Held to be lost.
    const LOST: Marks = Marks(2);
    /// Sent again, and that is in flight.
    const RESENDING: Marks = Marks(4);
    /// Sent more than once: its acknowledgement is ambiguous.
    const RESENT: Marks = Marks(8);

    const fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    fn set(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    fn clear(&mut self, mark: Marks) {
        self.0 &= !mark.0;
    }
}

const _: () = assert!(size_of::<Record>() <= 40, "an idle connection keeps room for a few");

impl Record {
    fn len(&self) -> u32 {
        self.end.saturating_since(self.start)
    }

    fn sent(&self) -> Sent {
        let Record { sent_at: at, order, end, delivered, delivered_at, flight_began, by_program, .. } = *self;
        let progress = Progress { delivered, at: delivered_at, began: flight_began, by_program };
        let last = Transmission { at, order, end };
        Sent { last, resent: self.marks.has(Marks::RESENT), progress }
    }

    fn send_again(&mut self, sending: Sending, order: SeqNumber) {
        let Progress { delivered, at, began, by_program } = sending.progress;
        (self.sent_at, self.order, self.delivered) = (sending.now, order, delivered);
        (self.delivered_at, self.flight_began, self.by_program) = (at, began, by_program);
    }

    /// Whether it is to be sent again.
    fn is_due(&self) -> bool {
        self.marks.has(Marks::LOST) && !self.marks.has(Marks::RESENDING) && !self.marks.has(Marks::SACKED)
    }
}

/// How a part is sent: when, and in what.
#[derive(Copy, Clone, Debug)]
pub struct Sending {
    /// When.
    pub now: Instant,
    /// Bytes of each segment.
    pub size: u16,
    /// What was delivered before.
    pub progress: Progress,
}

/// The parts in flight, by number. Counts are in segments, as Linux's, and as congestion control wants them.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::delivery::Progress;
/// use tapsock_stack::tcp::recovery::scoreboard::{Scoreboard, Sending};
/// use tapsock_stack::tcp::seq_ranges::SeqRange;
/// use tapsock_stack::time::Instant;
///
/// let range = |start, end| SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
/// let mut scoreboard = Scoreboard::new();
/// scoreboard.on_sent(range(0, 3000), Sending { now: Instant::ZERO, size: 1000, progress: Progress::default() });
/// assert_eq!((scoreboard.in_flight(), scoreboard.outstanding()), (3, 3));
/// ```
#[derive(Debug)]
pub struct Scoreboard {
    flight: OnUse<Flight>,
    transmissions: SeqNumber,
}

/// What there is to be known while anything is in flight.
#[derive(Debug, Default)]
struct Flight {
    records: VecDeque<Record>,
    counts: Counts,
    /// The number after the highest that SACK reported, while it reports anything.
    highest_sacked: SeqNumber,
}

impl Blank for Flight {
    const EMPTY: &'static Self = &Flight {
        records: VecDeque::new(),
        counts: Counts { total: 0, sacked: 0, lost: 0, resending: 0 },
        highest_sacked: SeqNumber::new(0),
    };

    fn is_blank(&self) -> bool {
        self.records.is_empty()
    }
}

/// Segments, by what is known of them.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
struct Counts {
    total: u32,
    sacked: u32,
    lost: u32,
    resending: u32,
}

impl Counts {
    /// A segment was cut in two.
    fn add_one(&mut self, marks: Marks) {
        self.total += 1;
        self.sacked += u32::from(marks.has(Marks::SACKED));
        self.lost += u32::from(marks.has(Marks::LOST));
        self.resending += u32::from(marks.has(Marks::RESENDING));
    }

    fn drop(&mut self, segments: u32, marks: Marks) {
        self.total -= segments;
        self.sacked -= if marks.has(Marks::SACKED) { segments } else { 0 };
        self.lost -= if marks.has(Marks::LOST) { segments } else { 0 };
        self.resending -= if marks.has(Marks::RESENDING) { segments } else { 0 };
    }
}

/// What marking losses came to, in segments.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Held to be lost for the first time.
    pub fresh: u32,
    /// Sent again, and lost again.
    pub repeated: u32,
}

impl Losses {
    /// All of them.
    pub const fn total(self) -> u32 {
        self.fresh + self.repeated
    }

    fn mark(&mut self, record: &mut Record, counts: &mut Counts) {
        let segments = record.segments;
        if record.marks.has(Marks::SACKED) {
            return;
        }
        if !record.marks.has(Marks::LOST) {
            record.marks.set(Marks::LOST);
            counts.lost += segments;
            self.fresh += segments;
        } else if record.marks.has(Marks::RESENDING) {
            record.marks.clear(Marks::RESENDING);
            counts.resending -= segments;
            self.repeated += segments;
        }
    }
}

impl Scoreboard {
    /// Nothing in flight.
    pub const fn new() -> Self {
        Scoreboard { flight: OnUse::new(), transmissions: SeqNumber::new(0) }
    }

    /// Segments held to be in flight: RFC 6675's pipe.
    //= RFC 6675 §4
    pub fn in_flight(&self) -> u32 {
        let Counts { total, sacked, lost, resending } = self.flight.counts;
        (total + resending).saturating_sub(sacked + lost)
    }

    /// Segments sent and not acknowledged in order.
    pub fn outstanding(&self) -> u32 {
        self.flight.counts.total
    }

    /// Segments reported by SACK.
    pub fn sacked(&self) -> u32 {
        self.flight.counts.sacked
    }

    /// Segments held to be lost, sent again or not.
    pub fn lost(&self) -> u32 {
        self.flight.counts.lost
    }

    /// Segments of which a retransmission is in flight.
    pub fn resending(&self) -> u32 {
        self.flight.counts.resending
    }

    /// The number after the highest that SACK reported, while anything is reported.
    pub fn highest_sacked(&self) -> Option<SeqNumber> {
        (self.flight.counts.sacked > 0).then_some(self.flight.highest_sacked)
    }

    /// Whether there is no room for another part.
    pub fn is_full(&self) -> bool {
        self.flight.records.len() >= MAX_RECORDS
    }

    /// Whether it keeps room for parts.
    pub fn keeps_room(&self) -> bool {
        self.flight.is_in_use()
    }

    /// Gives that back, where nothing is in flight.
    pub fn rest(&mut self) {
        self.flight.rest();
    }

    /// How many parts what is unacknowledged is remembered in.
    pub fn parts(&self) -> usize {
        self.flight.records.len()
    }

    /// Whether nothing is unacknowledged.
    pub fn is_empty(&self) -> bool {
        self.flight.records.is_empty()
    }

    /// `range`, which follows all before, was sent for the first time.
    //= RFC 8985 §4 MUST-2
    //= RFC 8985 §4 MUST-3
    pub fn on_sent(&mut self, range: SeqRange, sending: Sending) {
        let Sending { now, size, progress } = sending;
        let segments = range.len().div_ceil(u32::from(size.max(1)));
        if let Some(last) = self.flight.records.back_mut()
            && last.sent_at == now
            && last.end == range.start()
            && last.marks == Marks::default()
            && last.size == size
            && last.len() == last.segments * u32::from(size)
        {
            last.end = range.end();
            last.segments += segments;
            self.flight.counts.total += segments;
            return;
        }
        self.flight.counts.total += segments;
        self.transmissions += 1;
        if self.flight.records.capacity() == 0 {
            self.flight.records.reserve_exact(KEPT_CAPACITY);
        }
        self.flight.records.push_back(Record {
            start: range.start(),
            end: range.end(),
            sent_at: now,
            order: self.transmissions,
            delivered: progress.delivered,
            delivered_at: progress.at,
            flight_began: progress.began,
            by_program: progress.by_program,
            segments,
            size,
            marks: Marks::default(),
        });
    }

    /// The FIN rides on what was sent last, or is a segment of its own where that is full. As Linux, it counts for
    /// nothing where it rides.
    pub fn on_sent_with_fin(&mut self, range: SeqRange, sending: Sending) {
        match SeqRange::new(range.start(), range.end() - 1) {
            None => self.on_sent(range, sending),
            Some(data) => {
                self.on_sent(data, sending);
                if let Some(last) = self.flight.records.back_mut() {
                    last.end = range.end();
                }
            }
        }
    }

    /// The first run of bytes that is held to be lost and not sent again.
    //= RFC 6675 §4 MUST-3
    //= RFC 6675 §4 MUST-4
    //= RFC 2018 §5 RULE-1
    pub fn next_lost(&self) -> Option<SeqRange> {
        if self.flight.counts.lost <= self.flight.counts.resending {
            return None;
        }
        let record = self.flight.records.iter().find(|record| record.is_due())?;
        SeqRange::new(record.start, record.end)
    }

    /// `range` was sent again. Gives the segments that it was cut into.
    //= RFC 6675 §5 MUST-8
    pub fn on_resent(&mut self, range: SeqRange, sending: Sending) -> u32 {
        self.transmissions += 1;
        if self.is_full()
            && let Some(segments) = self.join_resent(range, sending)
        {
            return segments;
        }
        let (first, last) = self.isolate(range);
        let mut sent = 0;
        for index in first..last {
            self.resize(index, sending.size);
            let Flight { records, counts, .. } = &mut *self.flight;
            let record = &mut records[index];
            if record.marks.has(Marks::SACKED) {
                continue;
            }
            if !record.marks.has(Marks::RESENDING) {
                record.marks.set(Marks::RESENDING);
                counts.resending += record.segments;
            }
            record.marks.set(Marks::RESENT);
            record.send_again(sending, self.transmissions);
            sent += record.segments;
        }
        sent
    }

    /// `range` was sent again as a probe: whether it was lost is what that shall tell.
    pub fn on_probed(&mut self, range: SeqRange, sending: Sending) {
        self.transmissions += 1;
        let (first, last) = self.isolate(range);
        for record in self.flight.records.range_mut(first..last) {
            record.marks.set(Marks::RESENT);
            record.send_again(sending, self.transmissions);
        }
    }

    /// Counts a record anew that goes out in segments of `size`.
    fn resize(&mut self, index: usize, size: u16) {
        let Flight { records, counts, .. } = &mut *self.flight;
        let record = &mut records[index];
        if record.size == size || record.marks.has(Marks::SACKED) {
            return;
        }
        let segments = if record.segments == 1 && record.len() <= u32::from(size) {
            1
        } else {
            record.len().div_ceil(size.max(1).into())
        };
        counts.drop(record.segments, record.marks);
        (record.size, record.segments) = (size, segments);
        counts.total += segments;
        counts.lost += if record.marks.has(Marks::LOST) { segments } else { 0 };
        counts.resending += if record.marks.has(Marks::RESENDING) { segments } else { 0 };
    }

    /// Everything before `una` is acknowledged. A segment counts once its last byte is.
    pub fn acknowledge(&mut self, una: SeqNumber, delivered: &mut Delivered) {
        if self.flight.records.is_empty() {
            return;
        }
        while let Some(front) = self.flight.records.front_mut() {
            if front.start.at_or_after(una) {
                break;
            }
            let mut part = *front;
            part.end = part.end.earliest(una);
            front.start = part.end;
            let left = match front.len() {
                0 => 0,
                _ if front.segments == 1 => 1,
                len => len.div_ceil(front.size.max(1).into()).min(front.segments),
            };
            part.segments = front.segments - left;
            front.segments = left;
            self.flight.counts.drop(part.segments, part.marks);
            if left == 0 {
                self.flight.records.pop_front();
            }
            if part.segments == 0 {
                continue;
            }
            delivered.acked += part.segments;
            delivered.resent_acked |= part.marks.has(Marks::RESENT);
            if !part.marks.has(Marks::SACKED) {
                delivered.acknowledge(part.start, part.segments, part.sent());
            }
        }
        if self.flight.records.is_empty() && self.flight.records.capacity() > KEPT_CAPACITY {
            self.flight.records = VecDeque::new();
        }
    }

    /// The peer reported `range` by SACK. Parts of it that are not in flight are ignored, and so are parts of
    /// segments: a peer that reports every second byte can't cut the records smaller than what was sent.
    //= RFC 6675 §5 MUST-1
    //= RFC 2018 §5 RULE-1
    pub fn on_sack(&mut self, range: SeqRange, delivered: &mut Delivered) {
        let (start, end) = (self.border_after(range.start()), self.border_before(range.end()));
        let Some(range) = SeqRange::new(start, end) else { return };
        let (first, last) = self.isolate(range);
        let highest = self.highest_sacked();
        let Flight { records, counts, .. } = &mut *self.flight;
        for record in records.range_mut(first..last) {
            if record.marks.has(Marks::SACKED) {
                continue;
            }
            delivered.report(record.start, record.segments, record.sent());
            if record.marks.has(Marks::LOST) {
                record.marks.clear(Marks::LOST);
                counts.lost -= record.segments;
                if record.marks.has(Marks::RESENDING) {
                    record.marks.clear(Marks::RESENDING);
                    counts.resending -= record.segments;
                }
            }
            counts.sacked += record.segments;
            record.marks.set(Marks::SACKED);
        }
        if first < last {
            let end = self.flight.records[last - 1].end;
            self.flight.highest_sacked = highest.map_or(end, |highest| highest.latest(end));
            self.join_sacked(first, last);
        }
    }

    /// Segments of `range`, which the peer received twice, that were sent more than once.
    pub fn resent_in(&self, range: SeqRange) -> u32 {
        let first = self.flight.records.partition_point(|record| record.end.at_or_before(range.start()));
        let inside =
            self.flight.records.range(first..).take_while(|record| record.end.at_or_before(range.end()));
        inside.filter(|record| record.marks.has(Marks::RESENT)).map(|record| record.segments).sum()
    }

    /// Holds the first `len` bytes to be lost, where they are not already.
    pub fn lose_front(&mut self, len: u32) -> Losses {
        let mut losses = Losses::default();
        let Some(front) = self.flight.records.front() else { return losses };
        if front.marks.has(Marks::LOST) {
            return losses;
        }
        let end = if front.segments > 1 { front.end.earliest(front.start + len) } else { front.end };
        if let Some(range) = SeqRange::new(front.start, end) {
            self.isolate(range);
            let Flight { records, counts, .. } = &mut *self.flight;
            losses.mark(&mut records[0], counts);
        }
        losses
    }

    /// Whether the peer took back its report of the first bytes.
    pub fn is_reneged(&self) -> bool {
        self.flight.records.front().is_some_and(|record| record.marks.has(Marks::SACKED))
    }

    /// Believes no report any more.
    //= RFC 2018 §8
    pub fn forget_reports(&mut self) {
        if self.is_empty() {
            return;
        }
        self.flight.counts.sacked = 0;
        for record in &mut self.flight.records {
            record.marks.clear(Marks::SACKED);
        }
    }

    /// Holds to be lost the first part, and what else `is_lost` says of the parts in flight.
    pub fn lose_with_front(&mut self, mut is_lost: impl FnMut(Sent) -> bool) -> Losses {
        let Flight { records, counts, .. } = &mut *self.flight;
        let mut losses = Losses::default();
        for (index, record) in records.iter_mut().enumerate() {
            if index == 0 || is_lost(record.sent()) {
                losses.mark(record, counts);
            }
        }
        losses
    }

    /// Holds to be lost what was sent in segments of more than `size` bytes.
    pub fn lose_larger(&mut self, size: u32) -> Losses {
        let Flight { records, counts, .. } = &mut *self.flight;
        let mut losses = Losses::default();
        for record in records {
            if record.len().min(record.size.into()) > size {
                losses.mark(record, counts);
            }
        }
        losses
    }

    /// Holds to be lost what `is_lost` says of the parts in flight, by when they were sent.
    pub fn lose(&mut self, mut is_lost: impl FnMut(Sent) -> bool) -> Losses {
        let Flight { records, counts, .. } = &mut *self.flight;
        let mut losses = Losses::default();
        for record in records {
            let waiting = !record.marks.has(Marks::SACKED)
                && (!record.marks.has(Marks::LOST) || record.marks.has(Marks::RESENDING));
            if waiting && is_lost(record.sent()) {
                losses.mark(record, counts);
            }
        }
        losses
    }

    /// Holds nothing to be lost: what seemed so was late.
    pub fn lose_nothing(&mut self) {
        if self.is_empty() {
            return;
        }
        self.flight.counts.lost = 0;
        for record in &mut self.flight.records {
            record.marks.clear(Marks::LOST);
        }
    }

    /// When the first part was sent last.
    pub fn oldest(&self) -> Option<Instant> {
        self.flight.records.front().map(|record| record.sent_at)
    }

    /// Whether the first part was sent more than once, or a retransmission is in flight.
    pub fn has_resent(&self) -> bool {
        self.flight.counts.resending > 0
            || self.flight.records.front().is_some_and(|record| record.marks.has(Marks::RESENT))
    }

    /// The last segment that was sent.
    pub fn tail(&self) -> Option<SeqRange> {
        let record = self.flight.records.back()?;
        let before = (record.segments - 1) * u32::from(record.size);
        SeqRange::new(record.start + before.min(record.len() - 1), record.end)
    }

    /// The first border of a segment at or after `at`.
    fn border_after(&self, at: SeqNumber) -> SeqNumber {
        match self.record_around(at) {
            Some(record) if self.is_full() => record.end,
            Some(record) => {
                let into = at.saturating_since(record.start).next_multiple_of(record.size.max(1).into());
                (record.start + into).earliest(record.end)
            }
            None => at,
        }
    }

    /// The last border of a segment at or before `at`.
    fn border_before(&self, at: SeqNumber) -> SeqNumber {
        match self.record_around(at) {
            Some(record) if self.is_full() => record.start,
            Some(record) => {
                let into = at.saturating_since(record.start);
                record.start + into / u32::from(record.size.max(1)) * u32::from(record.size.max(1))
            }
            None => at,
        }
    }

    /// The record that has `at` strictly inside.
    fn record_around(&self, at: SeqNumber) -> Option<&Record> {
        let index = self.flight.records.partition_point(|record| record.end.at_or_before(at));
        self.flight.records.get(index).filter(|record| record.start.before(at))
    }

    /// Splits records so that `range` begins and ends at a border, and gives the indices that it spans.
    fn isolate(&mut self, range: SeqRange) -> (usize, usize) {
        let first = self.split(range.start());
        let last = self.split(range.end());
        (first, last.max(first))
    }

    /// Makes `at` a border and gives the index of the first record at or after it.
    fn split(&mut self, at: SeqNumber) -> usize {
        let index = self.flight.records.partition_point(|record| record.end.at_or_before(at));
        let Flight { records, counts, .. } = &mut *self.flight;
        match records.get_mut(index) {
            Some(record) if record.start.before(at) => {
                let mut tail = *record;
                record.end = at;
                tail.start = at;
                let whole = record.len().div_ceil(record.size.max(1).into());
                record.segments = whole.clamp(1, record.segments.max(2) - 1);
                if tail.segments == 1 {
                    counts.add_one(tail.marks);
                    tail.segments = 2;
                }
                tail.segments -= record.segments;
                records.insert(index + 1, tail);
                index + 1
            }
            _ => index,
        }
    }

    /// Counts the first bytes of a lost record, which are `range`, to the record before, where that was sent again too:
    /// no new record is needed then. Gives the segments, where it could.
    fn join_resent(&mut self, range: SeqRange, sending: Sending) -> Option<u32> {
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
        self.flight.records[index].start = range.end();
        self.flight.records[index].segments -= segments;
        self.flight.counts.resending += segments;
        Some(segments)
    }

    /// Makes one record of neighbours that SACK has reported: nothing tells them apart any more.
    fn join_sacked(&mut self, first: usize, last: usize) {
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

impl Default for Scoreboard {
    fn default() -> Self {
        Scoreboard::new()
    }
}

#[cfg(test)]
mod tests;
