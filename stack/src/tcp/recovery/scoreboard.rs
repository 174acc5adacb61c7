//! What is in flight: when each part was sent, and what the peer said of it.

use std::collections::VecDeque;

use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::SeqRange;
use crate::time::Instant;

use super::delivery::{Delivered, Sent};

/// Parts kept apart. A sender stops at this number until some are acknowledged, and reports that would cut more of
/// them are not believed. There may be twice as many, where each was sent again in part.
pub const MAX_RECORDS: usize = 8192;

/// Entries that the table keeps room for while nothing is in flight.
const KEPT_CAPACITY: usize = 4;

/// A run of bytes sent at one time, one segment or a burst of them, with the same fate so far.
#[derive(Copy, Clone, Debug)]
struct Record {
    start: SeqNumber,
    end: SeqNumber,
    sent_at: Instant,
    /// Which transmission of the connection it was: tells apart what was sent at one time.
    order: SeqNumber,
    /// Bytes of each segment that it was cut into.
    size: u16,
    fate: Fate,
    /// Whether it was sent more than once: its acknowledgement is ambiguous.
    resent: bool,
}

/// What is known of a record.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Fate {
    /// In flight, as far as we know.
    InFlight,
    /// Reported by SACK.
    Sacked,
    /// Held to be lost, and not sent again.
    Lost,
    /// Held to be lost, and in flight again.
    Resent,
}

impl Record {
    fn len(&self) -> u32 {
        self.end.saturating_since(self.start)
    }

    fn sent(&self) -> Sent {
        Sent { at: self.sent_at, order: self.order, end: self.end, resent: self.resent }
    }
}

/// The parts in flight, by number.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recovery::scoreboard::Scoreboard;
/// use tapsock_stack::tcp::seq_ranges::SeqRange;
/// use tapsock_stack::time::Instant;
///
/// let range = |start, end| SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
/// let mut scoreboard = Scoreboard::new();
/// scoreboard.on_sent(range(0, 3000), 1000, Instant::ZERO);
/// scoreboard.on_sack(range(1000, 2000));
/// assert_eq!(scoreboard.in_flight(), 2000);
/// scoreboard.acknowledge(SeqNumber::new(2000));
/// assert_eq!(scoreboard.in_flight(), 1000);
/// ```
#[derive(Debug)]
pub struct Scoreboard {
    records: VecDeque<Record>,
    total: u32,
    sacked: u32,
    lost: u32,
    transmissions: SeqNumber,
    /// The number after the highest that SACK reported.
    highest_sacked: Option<SeqNumber>,
}

impl Scoreboard {
    /// Nothing in flight.
    pub const fn new() -> Self {
        Scoreboard {
            records: VecDeque::new(),
            total: 0,
            sacked: 0,
            lost: 0,
            transmissions: SeqNumber::new(0),
            highest_sacked: None,
        }
    }

    /// Bytes held to be in flight: RFC 6675's pipe.
    //= RFC 6675 §4
    pub fn in_flight(&self) -> u32 {
        self.total - self.sacked - self.lost
    }

    /// Bytes reported by SACK.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Bytes held to be lost and not sent again.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// The number after the highest that SACK reported, while anything is reported.
    pub fn highest_sacked(&self) -> Option<SeqNumber> {
        self.highest_sacked
    }

    /// Whether there is no room for another part.
    pub fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS
    }

    /// Whether nothing is unacknowledged.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// `range`, which follows all before, was sent for the first time, in segments of `size` bytes.
    pub fn on_sent(&mut self, range: SeqRange, size: u16, now: Instant) {
        self.total += range.len();
        if let Some(last) = self.records.back_mut()
            && last.sent_at == now
            && last.end == range.start()
            && last.fate == Fate::InFlight
            && !last.resent
            && last.size == size
            && last.len() % u32::from(size.max(1)) == 0
        {
            last.end = range.end();
            return;
        }
        self.transmissions += 1;
        self.records.push_back(Record {
            start: range.start(),
            end: range.end(),
            sent_at: now,
            order: self.transmissions,
            size,
            fate: Fate::InFlight,
            resent: false,
        });
    }

    /// The first run of bytes that is held to be lost and not sent again.
    pub fn next_lost(&self) -> Option<SeqRange> {
        if self.lost == 0 {
            return None;
        }
        let record = self.records.iter().find(|record| record.fate == Fate::Lost)?;
        SeqRange::new(record.start, record.end)
    }

    /// `range` was sent again, in segments of `size` bytes.
    pub fn on_resent(&mut self, range: SeqRange, size: u16, now: Instant) {
        self.transmissions += 1;
        if self.is_full() && self.join_resent(range, size, now) {
            return;
        }
        let (first, last) = self.isolate(range);
        for record in self.records.range_mut(first..last) {
            if record.fate == Fate::Lost {
                self.lost -= record.len();
                record.fate = Fate::Resent;
            }
            if record.fate != Fate::Sacked {
                (record.sent_at, record.order) = (now, self.transmissions);
                (record.size, record.resent) = (size, true);
            }
        }
    }

    /// Everything before `una` is acknowledged.
    pub fn acknowledge(&mut self, una: SeqNumber) -> Delivered {
        let mut delivered = Delivered::default();
        while let Some(front) = self.records.front_mut() {
            if front.start.at_or_after(una) {
                break;
            }
            let mut part = *front;
            part.end = part.end.earliest(una);
            front.start = part.end;
            let len = part.len();
            self.total -= len;
            match part.fate {
                Fate::Sacked => self.sacked -= len,
                Fate::Lost => self.lost -= len,
                Fate::InFlight | Fate::Resent => {}
            }
            if part.fate != Fate::Sacked {
                delivered.add(part.start, part.sent());
            }
            if front.start == front.end {
                self.records.pop_front();
            }
        }
        if self.sacked == 0 {
            self.highest_sacked = None;
        }
        if self.records.is_empty() && self.records.capacity() > KEPT_CAPACITY {
            self.records = VecDeque::new();
        }
        delivered
    }

    /// The peer reported `range` by SACK. Parts of it that are not in flight are ignored, and so are parts of
    /// segments: a peer that reports every second byte can't cut the records smaller than what was sent.
    pub fn on_sack(&mut self, range: SeqRange) -> Delivered {
        let mut delivered = Delivered::default();
        let (start, end) = (self.border_after(range.start()), self.border_before(range.end()));
        let Some(range) = SeqRange::new(start, end) else { return delivered };
        let (first, last) = self.isolate(range);
        for record in self.records.range_mut(first..last) {
            if record.fate == Fate::Sacked {
                continue;
            }
            let len = record.len();
            if record.fate == Fate::Lost {
                self.lost -= len;
            }
            self.sacked += len;
            delivered.add(record.start, record.sent());
            record.fate = Fate::Sacked;
        }
        if first < last {
            let end = self.records[last - 1].end;
            self.highest_sacked = Some(self.highest_sacked.map_or(end, |highest| highest.latest(end)));
            self.join_sacked(first, last);
        }
        delivered
    }

    /// Holds the first `len` bytes to be lost, where they are not sent again already.
    pub fn lose_front(&mut self, len: u32) {
        let Some(front) = self.records.front() else { return };
        let Some(range) = SeqRange::new(front.start, front.end.earliest(front.start + len)) else {
            return;
        };
        self.isolate(range);
        let front = &mut self.records[0];
        if matches!(front.fate, Fate::InFlight | Fate::Resent) {
            self.lost += front.len();
            front.fate = Fate::Lost;
        }
    }

    /// Holds everything to be lost that SACK has not reported. Where the peer took back its report of the first
    /// bytes, no report of it is believed any more.
    //= RFC 2018 §8
    pub fn lose_all(&mut self) {
        let reneged = self.records.front().is_some_and(|record| record.fate == Fate::Sacked);
        if reneged {
            (self.sacked, self.highest_sacked) = (0, None);
        }
        for record in &mut self.records {
            match record.fate {
                Fate::Sacked if !reneged => {}
                Fate::Lost => {}
                _ => {
                    record.fate = Fate::Lost;
                    self.lost += record.len();
                }
            }
        }
    }

    /// Holds to be lost what was sent in segments of more than `size` bytes. Says whether there was any.
    pub fn lose_larger(&mut self, size: u32) -> bool {
        let before = self.lost;
        for record in &mut self.records {
            let waiting = matches!(record.fate, Fate::InFlight | Fate::Resent);
            if waiting && record.len().min(record.size.into()) > size {
                record.fate = Fate::Lost;
                self.lost += record.len();
            }
        }
        self.lost > before
    }

    /// Holds to be lost what `is_lost` says of the parts in flight, by when they were sent.
    pub fn lose(&mut self, mut is_lost: impl FnMut(Sent) -> bool) -> u32 {
        let before = self.lost;
        for record in &mut self.records {
            let waiting = matches!(record.fate, Fate::InFlight | Fate::Resent);
            if waiting && is_lost(record.sent()) {
                record.fate = Fate::Lost;
                self.lost += record.len();
            }
        }
        self.lost - before
    }

    /// When the first part was sent last.
    pub fn oldest(&self) -> Option<Instant> {
        self.records.front().map(|record| record.sent_at)
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
        let index = self.records.partition_point(|record| record.end.at_or_before(at));
        self.records.get(index).filter(|record| record.start.before(at))
    }

    /// Splits records so that `range` begins and ends at a border, and gives the indices that it spans.
    fn isolate(&mut self, range: SeqRange) -> (usize, usize) {
        let first = self.split(range.start());
        let last = self.split(range.end());
        (first, last.max(first))
    }

    /// Makes `at` a border and gives the index of the first record at or after it.
    fn split(&mut self, at: SeqNumber) -> usize {
        let index = self.records.partition_point(|record| record.end.at_or_before(at));
        match self.records.get_mut(index) {
            Some(record) if record.start.before(at) => {
                let mut tail = *record;
                record.end = at;
                tail.start = at;
                self.records.insert(index + 1, tail);
                index + 1
            }
            _ => index,
        }
    }

    /// Counts the first bytes of a lost record, which are `range`, to the record before, where that was sent again too:
    /// no new record is needed then. Says whether it could.
    fn join_resent(&mut self, range: SeqRange, size: u16, now: Instant) -> bool {
        let index = self.records.partition_point(|record| record.end.at_or_before(range.start()));
        let Some(before) = index.checked_sub(1) else { return false };
        let lost = self.records.get(index).is_some_and(|record| {
            record.fate == Fate::Lost && record.start == range.start() && record.end.after(range.end())
        });
        let order = self.transmissions;
        let record = &mut self.records[before];
        let whole = record.len().is_multiple_of(size.max(1).into());
        if !lost || !whole || record.fate != Fate::Resent || record.size != size {
            return false;
        }
        (record.end, record.sent_at, record.order) = (range.end(), now, order);
        self.records[index].start = range.end();
        self.lost -= range.len();
        true
    }

    /// Makes one record of neighbours that SACK has reported: nothing tells them apart any more.
    fn join_sacked(&mut self, first: usize, last: usize) {
        let mut index = first.saturating_sub(1);
        let mut steps = last - index;
        while steps > 0 && index + 1 < self.records.len() {
            steps -= 1;
            if self.records[index].fate == Fate::Sacked && self.records[index + 1].fate == Fate::Sacked {
                self.records[index].end = self.records[index + 1].end;
                self.records.remove(index + 1);
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
