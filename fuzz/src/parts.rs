//! The scoreboard of what is in flight and the reassembly queue, held against models of one entry a byte.

use std::collections::VecDeque;

use arbitrary::{Arbitrary, Unstructured};
use tapsock_stack::buf::Rope;
use tapsock_stack::tcp::SeqNumber;
use tapsock_stack::tcp::recovery::delivery::{Delivered, Known, Progress};
use tapsock_stack::tcp::recovery::scoreboard::{Judgement, Scoreboard, Sending};
use tapsock_stack::tcp::recv::reassembly::{Last, Reassembly};
use tapsock_stack::tcp::seq_ranges::SeqRange;
use tapsock_stack::time::Instant;

use crate::memory;

/// Bytes in flight at most: the model walks over all of them at each step.
const MAX_FLIGHT: usize = 2_000;

/// Steps of one run at most.
const MAX_STEPS: usize = 2_000;

/// Runs the steps that `data` says.
pub fn run(data: &[u8]) {
    memory::of(|| steps(data));
}

fn steps(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(base) = input.arbitrary::<u32>() else { return };
    let mut flight = Flight::new(SeqNumber::new(base));
    let mut holes = Holes::new(SeqNumber::new(base));
    for _ in 0..MAX_STEPS {
        match input.arbitrary() {
            Ok(Step::Sender(step)) => flight.take(&step),
            Ok(Step::Receiver(step)) => holes.take(&step),
            Err(_) => break,
        }
        if input.is_empty() {
            break;
        }
    }
}

/// Bytes without a meaning: each is one.
pub fn seeds() -> Vec<Vec<u8>> {
    let word = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes();
    (0..16u32).map(|seed| (0..120).flat_map(|n| word(seed * 1000 + n)).collect()).collect()
}

#[derive(Arbitrary, Debug)]
enum Step {
    Sender(SenderStep),
    Receiver(ReceiverStep),
}

#[derive(Arbitrary, Debug)]
enum SenderStep {
    Send { len: u16, later: bool },
    Sack { from: u16, len: u16 },
    Acknowledge { len: u16 },
    LoseFront { len: u16 },
    LoseAll,
    LoseOlder { millis: u8 },
    Resend { len: u16 },
}

#[derive(Arbitrary, Debug)]
enum ReceiverStep {
    Insert { offset: u16, len: u8 },
    Take,
    Skip { len: u8 },
}

/// What is known of a byte in flight.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Fate {
    InFlight,
    Sacked,
    Lost,
    Resent,
}

struct Flight {
    scoreboard: Scoreboard,
    una: SeqNumber,
    bytes: VecDeque<(Fate, Instant)>,
    now: Instant,
}

impl Flight {
    fn new(una: SeqNumber) -> Self {
        let now = Instant::from_secs(1);
        Flight { scoreboard: Scoreboard::new(), una, bytes: VecDeque::new(), now }
    }

    fn take(&mut self, step: &SenderStep) {
        match *step {
            SenderStep::Send { len, later } => self.send(len.into(), later),
            SenderStep::Sack { from, len } => self.sack(from.into(), len.into()),
            SenderStep::Acknowledge { len } => self.acknowledge(len.into()),
            SenderStep::LoseFront { len } => {
                // How far the first part reaches is the scoreboard's own business.
                let lost = self.scoreboard.lose_front(len.into()).total();
                assert!(lost <= u32::from(len).max(1));
                for (fate, _) in self.bytes.iter_mut().take(lost as usize) {
                    assert_eq!(*fate, Fate::InFlight);
                    *fate = Fate::Lost;
                }
            }
            SenderStep::LoseAll => self.lose_all(),
            SenderStep::LoseOlder { millis } => {
                let limit =
                    Instant::from_nanos(self.now.as_nanos().saturating_sub(u64::from(millis) * 1_000_000));
                self.scoreboard
                    .lose(|sent| if sent.last.at < limit { Judgement::Lost } else { Judgement::TooYoung });
                for (fate, at) in &mut self.bytes {
                    if matches!(fate, Fate::InFlight | Fate::Resent) && *at < limit {
                        *fate = Fate::Lost;
                    }
                }
            }
            SenderStep::Resend { len } => self.resend(len.into()),
        }
        self.compare();
    }

    fn send(&mut self, len: usize, later: bool) {
        let len = len.min(MAX_FLIGHT - self.bytes.len());
        let start = self.una + self.bytes.len() as u32;
        if later {
            self.now += core::time::Duration::from_millis(1);
        }
        let Some(range) = SeqRange::new(start, start + len as u32) else { return };
        if !self.scoreboard.is_full() {
            // Segments of one byte: every byte has a fate of its own.
            self.scoreboard.on_sent(range, self.sending());
            self.bytes.extend(core::iter::repeat_n((Fate::InFlight, self.now), len));
        }
    }

    fn sack(&mut self, from: usize, len: usize) {
        let from = from.min(self.bytes.len());
        let len = len.min(self.bytes.len() - from);
        let start = self.una + from as u32;
        let Some(range) = SeqRange::new(start, start + len as u32) else { return };
        let mut delivered = self.news();
        self.scoreboard.on_sack(range, &mut delivered);
        let news = |fate: &Fate| *fate != Fate::Sacked;
        let count = self.bytes.range(from..from + len).filter(|(fate, _)| news(fate)).count();
        self.check_delivered(&delivered, count);
        self.bytes.range_mut(from..from + len).for_each(|(fate, _)| *fate = Fate::Sacked);
    }

    fn acknowledge(&mut self, len: usize) {
        let len = len.min(self.bytes.len());
        self.una += len as u32;
        let mut delivered = self.news();
        self.scoreboard.acknowledge(self.una, &mut delivered);
        let count = self.bytes.drain(..len).filter(|(fate, _)| *fate != Fate::Sacked).count();
        self.check_delivered(&delivered, count);
    }

    /// Segments of one byte.
    fn sending(&self) -> Sending {
        Sending { now: self.now, size: 1, burst: u32::MAX, progress: Progress::default() }
    }

    fn news(&self) -> Delivered {
        let (now, min_rtt) = (self.now, core::time::Duration::ZERO);
        Delivered::new(Known { now, min_rtt, highest: self.una, high_seq: self.una, echo: None })
    }

    fn check_delivered(&self, delivered: &Delivered, count: usize) {
        assert_eq!(delivered.segments as usize, count);
        assert_eq!(delivered.latest.is_some(), count > 0);
    }

    fn lose_all(&mut self) {
        let reneged = self.scoreboard.is_reneged();
        assert_eq!(reneged, self.bytes.front().is_some_and(|(fate, _)| *fate == Fate::Sacked));
        if reneged {
            self.scoreboard.forget_reports();
        }
        self.scoreboard.lose_with_front(|_| true);
        for (fate, _) in &mut self.bytes {
            if reneged || *fate != Fate::Sacked {
                *fate = Fate::Lost;
            }
        }
    }

    fn resend(&mut self, len: u32) {
        let Some(lost) = self.scoreboard.next_lost() else { return };
        let end = lost.end().earliest(lost.start() + len.max(1));
        let Some(range) = SeqRange::new(lost.start(), end) else { return };
        assert_eq!(self.scoreboard.on_resent(range, self.sending()), range.len());
        let from = range.start().saturating_since(self.una) as usize;
        for entry in self.bytes.range_mut(from..from + range.len() as usize) {
            assert_eq!(entry.0, Fate::Lost);
            *entry = (Fate::Resent, self.now);
        }
    }

    fn compare(&mut self) {
        let count = |wanted| self.bytes.iter().filter(|(fate, _)| *fate == wanted).count() as u32;
        let (sacked, lost, resent) = (count(Fate::Sacked), count(Fate::Lost), count(Fate::Resent));
        assert_eq!(self.scoreboard.sacked(), sacked);
        assert_eq!((self.scoreboard.lost(), self.scoreboard.resending()), (lost + resent, resent));
        assert_eq!(self.scoreboard.in_flight(), self.bytes.len() as u32 - sacked - lost);
        assert_eq!(self.scoreboard.is_empty(), self.bytes.is_empty());
        let first = self.bytes.iter().position(|(fate, _)| *fate == Fate::Lost);
        let first = first.map(|offset| self.una + offset as u32);
        assert_eq!(self.scoreboard.next_lost().map(SeqRange::start), first);
    }
}

/// Bytes received out of order. The byte at an offset is always the same.
struct Holes {
    reassembly: Reassembly,
    base: SeqNumber,
    nxt: u32,
    present: Vec<bool>,
}

impl Holes {
    fn new(base: SeqNumber) -> Self {
        let present = vec![false; usize::from(u16::MAX) + 1 + usize::from(u8::MAX)];
        Holes { reassembly: Reassembly::default(), base, nxt: 0, present }
    }

    fn take(&mut self, step: &ReceiverStep) {
        match *step {
            ReceiverStep::Insert { offset, len } => self.insert(offset.into(), len.into()),
            ReceiverStep::Take => {
                if let Some(data) = self.reassembly.take(self.base + self.nxt) {
                    let len = data.len() as u32;
                    assert_eq!(data.to_vec(), bytes(self.nxt, len));
                    assert!(self.present[self.nxt as usize..(self.nxt + len) as usize].iter().all(|p| *p));
                    self.nxt += len;
                } else {
                    assert!(!self.present[self.nxt as usize], "a byte that came is not given");
                }
            }
            // A retransmission fills the gap from the front: what lies before the new number is stale.
            ReceiverStep::Skip { len } => {
                self.nxt = (self.nxt + u32::from(len)).min(u16::MAX.into());
                let stale = self.reassembly.take(self.base + self.nxt);
                self.nxt += stale.map_or(0, |data| data.len() as u32);
            }
        }
        let held = self.present[(self.nxt as usize).min(self.present.len())..].iter().filter(|p| **p).count();
        assert!(self.reassembly.len() >= held);
    }

    fn insert(&mut self, offset: u32, len: u32) {
        if offset < self.nxt
            || self.reassembly.insert(self.base + offset, bytes(offset, len).into(), Last::No).is_err()
        {
            return;
        }
        self.present[offset as usize..(offset + len) as usize].fill(true);
        for block in self.reassembly.recent() {
            assert!(block.start().at_or_after(self.base) && block.len() <= u16::MAX.into());
        }
    }
}

fn bytes(offset: u32, len: u32) -> Vec<u8> {
    Rope::from((offset..offset + len).map(|n| n as u8).collect::<Vec<u8>>()).to_vec()
}
