//! What is in flight in figures, and what marking losses does to them.

use super::record::{Marks, Record};

/// Segments, by what is known of them.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) total: u32,
    pub(super) sacked: u32,
    pub(super) lost: u32,
    pub(super) resending: u32,
}

impl Counts {
    /// A segment was cut in two.
    pub(super) fn add_one(&mut self, marks: Marks) {
        self.total += 1;
        self.sacked += u32::from(marks.has(Marks::SACKED));
        self.lost += u32::from(marks.has(Marks::LOST));
        self.resending += u32::from(marks.has(Marks::RESENDING));
    }

    pub(super) fn drop(&mut self, segments: u32, marks: Marks) {
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

/// What is to be said of a part that waits for news.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// It is lost.
    Lost,
    /// It may have been, but something sent later may too.
    MayArrive,
    /// Nothing tells, and so of all that was sent later.
    TooYoung,
}

impl Losses {
    /// All of them.
    pub const fn total(self) -> u32 {
        self.fresh + self.repeated
    }

    pub(super) fn mark(&mut self, record: &mut Record, counts: &mut Counts) {
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
