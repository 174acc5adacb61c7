//! What is in flight: when each part was sent, and what the peer said of it.

use crate::on_use::{Blank, OnUse};
use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;
use crate::time::Instant;

use super::delivery::{Delivered, Progress, Sent};
use super::losses::Counts;
use super::record::{Marks, Record};
use super::table::Table;

pub use super::losses::{Judgement, Losses};

mod joining;

/// Parts kept apart. A sender stops at this number until some are acknowledged, and reports that would cut more of
/// them are not believed.
pub const MAX_RECORDS: usize = 8192;

/// Parts where each was sent again in part. At this number nothing is cut any more: what is sent again of a part stands
/// for all of it.
pub const MAX_PARTS: usize = 2 * MAX_RECORDS;

/// While there are fewer parts than this, each burst is one, as each buffer of Linux's is: what was sent apart goes again
/// apart. Beyond it, what is sent at one time is one part.
const ROOMY: usize = MAX_RECORDS / 2;

/// How a part is sent: when, and in what.
#[derive(Copy, Clone, Debug)]
pub struct Sending {
    /// When.
    pub now: Instant,
    /// Bytes of each segment.
    pub size: u16,
    /// Bytes of the burst that it may be a part of.
    pub burst: u32,
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
/// let sending = Sending { now: Instant::ZERO, size: 1000, burst: 3000, progress: Progress::default() };
/// scoreboard.on_sent(range(0, 3000), sending);
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
    records: Table,
    counts: Counts,
    /// No record before this number is to be sent again.
    due_from: SeqNumber,
    /// The number after the highest that SACK reported, while it reports anything.
    highest_sacked: SeqNumber,
    /// Acknowledged bytes of a segment whose end is not.
    kept: u32,
    /// What is sent next is a part of its own.
    apart: bool,
}

impl Blank for Flight {
    const EMPTY: &'static Self = &Flight {
        records: Table::new(),
        counts: Counts { total: 0, sacked: 0, lost: 0, resending: 0 },
        due_from: SeqNumber::new(0),
        highest_sacked: SeqNumber::new(0),
        kept: 0,
        apart: false,
    };

    fn is_blank(&self) -> bool {
        self.records.is_empty()
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

    /// Whether it keeps room for parts while nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.flight.is_idle()
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

    /// `range`, which follows all before, was sent for the first time. What a link that cuts nothing is given apart is one
    /// part all the same, as far as it is a burst.
    //= RFC 8985 §4 MUST-2
    //= RFC 8985 §4 MUST-3
    pub fn on_sent(&mut self, range: SeqRange, sending: Sending) {
        let Sending { now, size, burst, progress } = sending;
        let segments = range.len().div_ceil(u32::from(size.max(1)));
        let is_roomy = self.flight.records.len() < ROOMY;
        let most = if is_roomy { burst } else { u32::MAX };
        let apart = is_roomy && core::mem::take(&mut self.flight.apart);
        if let Some(last) = self.flight.records.back_mut()
            && !apart
            && last.len().saturating_add(range.len()) <= most
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
        if self.flight.records.is_empty() {
            self.flight.due_from = range.start();
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

    /// Bytes that are acknowledged, of a segment that is not: as in Linux, they are kept until all of it is.
    pub fn kept(&self) -> u32 {
        self.flight.kept
    }

    /// Something came, or was written: what is sent from now on is no part of what went before, though no time has passed.
    pub fn part_here(&mut self) {
        if !self.is_empty() {
            self.flight.apart = true;
        }
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

    /// What ends at `end` is sent with PSH, and shall be where it is sent again.
    pub fn note_pushed(&mut self, end: SeqNumber) {
        if let Some(index) = self.ending_at(end) {
            self.flight.records[index].marks.set(Marks::PUSHED);
        }
    }

    /// Whether what ends at `end` was sent with PSH.
    pub fn is_pushed(&self, end: SeqNumber) -> bool {
        self.ending_at(end).is_some_and(|index| self.flight.records[index].marks.has(Marks::PUSHED))
    }

    fn ending_at(&self, end: SeqNumber) -> Option<usize> {
        let back = self.flight.records.len().checked_sub(1)?;
        if self.flight.records[back].end == end {
            return Some(back);
        }
        let index = self.flight.records.partition_point(|record| record.end.before(end));
        (self.flight.records.get(index)?.end == end).then_some(index)
    }

    /// The first run of bytes that is held to be lost and not sent again.
    //= RFC 6675 §4 MUST-3
    //= RFC 6675 §4 MUST-4
    //= RFC 2018 §5 RULE-1
    pub fn next_lost(&mut self) -> Option<SeqRange> {
        // What was sent again and is held to be lost no more counts here, as in Linux: it goes slower then. Only what all else
        // waits for goes in any case.
        let front_is_due = self.flight.records.front().is_some_and(Record::is_due);
        if self.flight.counts.lost <= self.flight.counts.resending && !front_is_due {
            return None;
        }
        let from =
            self.flight.records.partition_point(|record| record.end.at_or_before(self.flight.due_from));
        let record = *self.flight.records.iter_from(from).find(|record| record.is_due())?;
        // The next look begins here: what was passed over now need not be again.
        self.flight.due_from = record.start;
        SeqRange::new(record.start, record.end)
    }

    /// Holds the record at `index` to be lost.
    fn lose_at(&mut self, index: usize, losses: &mut Losses) {
        let flight = &mut *self.flight;
        let record = &mut flight.records[index];
        losses.mark(record, &mut flight.counts);
        flight.due_from = flight.due_from.earliest(record.start);
        if !record.waits() {
            flight.records.settle(index);
        }
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
            let flight = &mut *self.flight;
            let record = &mut flight.records[index];
            if record.marks.has(Marks::SACKED) {
                continue;
            }
            if !record.marks.has(Marks::RESENDING) {
                record.marks.set(Marks::RESENDING);
                flight.counts.resending += record.segments;
            }
            record.marks.set(Marks::RESENT);
            record.send_again(sending, self.transmissions);
            sent += record.segments;
            flight.records.send_again(index);
        }
        sent
    }

    /// `range` was sent again as a probe: whether it was lost is what that shall tell.
    pub fn on_probed(&mut self, range: SeqRange, sending: Sending) {
        self.transmissions += 1;
        let (first, last) = self.isolate(range);
        for index in first..last {
            let flight = &mut *self.flight;
            let record = &mut flight.records[index];
            record.marks.set(Marks::RESENT);
            record.send_again(sending, self.transmissions);
            if record.waits() {
                flight.records.send_again(index);
            }
        }
    }

    /// Counts a record anew that goes out in segments of `size`.
    fn resize(&mut self, index: usize, size: u16) {
        let flight = &mut *self.flight;
        let record = &mut flight.records[index];
        if record.size == size || record.marks.has(Marks::SACKED) {
            return;
        }
        let segments = if record.segments == 1 && record.len() <= u32::from(size) {
            1
        } else {
            record.len().div_ceil(size.max(1).into())
        };
        flight.counts.drop(record.segments, record.marks);
        (record.size, record.segments) = (size, segments);
        flight.counts.total += segments;
        flight.counts.lost += if record.marks.has(Marks::LOST) { segments } else { 0 };
        flight.counts.resending += if record.marks.has(Marks::RESENDING) { segments } else { 0 };
    }

    /// Everything before `una` is acknowledged. A segment counts once its last byte is.
    pub fn acknowledge(&mut self, una: SeqNumber, delivered: &mut Delivered) {
        if self.is_empty() {
            return;
        }
        let flight = &mut *self.flight;
        flight.due_from = flight.due_from.latest(una);
        while flight.records.front().is_some_and(|front| front.start.before(una)) {
            let front = &mut flight.records[0];
            let mut part = *front;
            part.end = part.end.earliest(una);
            let was_one = front.segments == 1;
            front.start = part.end;
            let left = match front.len() {
                0 => 0,
                _ if front.segments == 1 => 1,
                len => len.div_ceil(front.size.max(1).into()).min(front.segments),
            };
            part.segments = front.segments - left;
            front.segments = left;
            flight.kept = if was_one && left > 0 { flight.kept + part.len() } else { 0 };
            flight.counts.drop(part.segments, part.marks);
            if left == 0 {
                flight.records.remove(0);
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
        for index in first..last {
            let Flight { records, counts, .. } = &mut *self.flight;
            let record = &mut records[index];
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
            records.settle(index);
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
            self.flight.records.iter_from(first).take_while(|record| record.end.at_or_before(range.end()));
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
            self.lose_at(0, &mut losses);
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
        for index in 0..self.flight.records.len() {
            self.flight.records[index].marks.clear(Marks::SACKED);
        }
        self.flight.records.wait_anew(Record::waits);
    }

    /// Holds to be lost the first part, and what else `is_lost` says of the parts in flight.
    pub fn lose_with_front(&mut self, mut is_lost: impl FnMut(Sent) -> bool) -> Losses {
        let mut losses = Losses::default();
        for index in 0..self.flight.records.len() {
            let record = &self.flight.records[index];
            if !record.marks.has(Marks::SACKED) && (index == 0 || is_lost(record.sent())) {
                self.lose_at(index, &mut losses);
            }
        }
        // As Linux, which sends the first part after a time-out in any case: also where it was sent again before it was held
        // to be lost once more, as after a time-out that was taken back.
        if self.flight.records.front().is_some_and(|front| front.marks.has(Marks::RESENDING)) {
            self.lose_at(0, &mut Losses::default());
        }
        losses
    }

    /// Holds to be lost what was sent in segments of more than `size` bytes.
    pub fn lose_larger(&mut self, size: u32) -> Losses {
        let mut losses = Losses::default();
        for index in 0..self.flight.records.len() {
            let record = &self.flight.records[index];
            if !record.marks.has(Marks::SACKED) && record.len().min(record.size.into()) > size {
                self.lose_at(index, &mut losses);
            }
        }
        losses
    }

    /// Holds to be lost what `judge` says of the parts that wait for news, the one sent first first, until it finds one that
    /// was sent too late for that.
    pub fn lose(&mut self, mut judge: impl FnMut(Sent) -> Judgement) -> Losses {
        let mut losses = Losses::default();
        if self.is_empty() {
            return losses;
        }
        let flight = &mut *self.flight;
        let mut next = flight.records.oldest();
        while let Some(place) = next {
            next = flight.records.later(place);
            let record = flight.records.at(place);
            match judge(record.sent()) {
                Judgement::Lost => {
                    losses.mark(record, &mut flight.counts);
                    flight.due_from = flight.due_from.earliest(record.start);
                    if !record.waits() {
                        flight.records.settle_at(place);
                    }
                }
                Judgement::MayArrive => {}
                Judgement::TooYoung => break,
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
        for index in 0..self.flight.records.len() {
            self.flight.records[index].marks.clear(Marks::LOST);
        }
        self.flight.records.wait_anew(Record::waits);
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

    /// Splits records so that `range` begins and ends at a border, and gives the indices that it spans. Those that can't
    /// be split any more belong to it.
    fn isolate(&mut self, range: SeqRange) -> (usize, usize) {
        let first = self.split(range.start()).unwrap_or_else(|around| around);
        let last = self.split(range.end()).unwrap_or_else(|around| around + 1);
        (first, last.max(first))
    }

    /// Makes `at` a border and gives the index of the first record at or after it; of the record around it, where there
    /// are too many.
    fn split(&mut self, at: SeqNumber) -> Result<usize, usize> {
        let index = self.flight.records.partition_point(|record| record.end.at_or_before(at));
        match self.flight.records.get(index) {
            Some(record) if record.start.before(at) => {
                if self.parts() >= MAX_PARTS {
                    return Err(index);
                }
                let flight = &mut *self.flight;
                let record = &mut flight.records[index];
                let mut tail = *record;
                record.end = at;
                record.marks.clear(Marks::PUSHED);
                tail.start = at;
                let whole = record.len().div_ceil(record.size.max(1).into());
                record.segments = whole.clamp(1, record.segments.max(2) - 1);
                if tail.segments == 1 {
                    flight.counts.add_one(tail.marks);
                    tail.segments = 2;
                }
                tail.segments -= record.segments;
                flight.records.insert_after(index, tail);
                Ok(index + 1)
            }
            _ => Ok(index),
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
