//! What an acknowledgement says of what was sent.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

/// A transmission: when, and of what.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Transmission {
    /// When.
    pub at: Instant,
    /// Which transmission it was, on a circle as sequence numbers are.
    pub order: SeqNumber,
    /// The number after its last.
    pub end: SeqNumber,
}

/// When a part was sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// Its last transmission.
    pub last: Transmission,
    /// Whether it was sent more than once.
    pub resent: bool,
    /// What was delivered when it was sent.
    pub progress: Progress,
}

/// How far a connection had come at some moment, to be compared with a later one: so much was delivered in between, and
/// so fast (draft-cheng-iccrg-delivery-rate-estimation-02 §3). Times are in microseconds that wrap around.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Segments known to be delivered.
    pub delivered: u32,
    /// When the last of them was.
    pub at: u32,
    /// When the first segment was sent of those that were delivered last: what the flight began with.
    pub began: u32,
    /// Whether the program, not the path, bounded what was sent.
    pub by_program: bool,
}

impl Transmission {
    /// Whether `self` was sent later than `other`; of two sent in one burst, the higher one. What was sent at one time
    /// is told apart by its order, for a retransmission may follow new data at once.
    //= RFC 8985 §5.2
    pub fn is_after(&self, other: &Transmission) -> bool {
        if self.at != other.at {
            return self.at > other.at;
        }
        if self.order == other.order { self.end.after(other.end) } else { self.order.after(other.order) }
    }
}

/// What is known before an acknowledgement is looked at.
#[derive(Copy, Clone, Debug)]
pub struct Known {
    /// When it came.
    pub now: Instant,
    /// The least round trip so far.
    pub min_rtt: Duration,
    /// The number after the highest that was known to have arrived.
    pub highest: SeqNumber,
    /// The end of what was sent when the state of recovery changed last.
    pub high_seq: SeqNumber,
    /// The timestamp that it echoes, as our clock's milliseconds.
    pub echo: Option<u32>,
}

/// The first and the last of some transmissions, by number.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// When the first was sent.
    pub first: Instant,
    /// When the last was sent.
    pub last: Instant,
}

/// What one acknowledgement with its SACK blocks newly delivered.
#[derive(Copy, Clone, Debug)]
pub struct Delivered {
    known: Known,
    /// Segments that were not known to have arrived, spurious retransmissions among them.
    pub segments: u32,
    /// Segments acknowledged in order, reported before or not.
    pub acked: u32,
    /// Whether SACK reported something new.
    pub sacked: bool,
    /// Whether something was delivered that was sent once, and before the state of recovery changed last.
    pub original: bool,
    /// Whether something acknowledged in order had been sent again.
    pub resent_acked: bool,
    /// The lowest number delivered now that was sent once: below what was known, the path has reordered.
    pub lowest_once: Option<SeqNumber>,
    /// What was acknowledged in order, had been sent once and was not reported before.
    pub in_order: Option<Span>,
    /// What SACK reported now, and had been sent once.
    pub reported: Option<Span>,
    /// The latest sent of all that is without doubt an answer to its last transmission.
    pub latest: Option<Transmission>,
    /// The round trip of the last one of those.
    pub round_trip: Option<Duration>,
    /// The latest sent of all.
    pub newest: Option<Sent>,
}

impl Delivered {
    /// Nothing so far.
    pub const fn new(known: Known) -> Self {
        Delivered {
            known,
            segments: 0,
            acked: 0,
            sacked: false,
            original: false,
            resent_acked: false,
            lowest_once: None,
            in_order: None,
            reported: None,
            latest: None,
            round_trip: None,
            newest: None,
        }
    }

    /// SACK reported what was sent from `start` on, `segments` segments.
    pub(super) fn report(&mut self, start: SeqNumber, segments: u32, sent: Sent) {
        self.sacked = true;
        self.segments += segments;
        if !sent.resent {
            self.note_once(start, &sent);
            extend(&mut self.reported, sent.last.at);
        }
        self.time(sent);
    }

    /// What was sent from `start` on is acknowledged, `segments` segments, and was not reported before.
    pub(super) fn acknowledge(&mut self, start: SeqNumber, segments: u32, sent: Sent) {
        self.segments += segments;
        if !sent.resent {
            self.note_once(start, &sent);
            extend(&mut self.in_order, sent.last.at);
        }
        // As Linux: what our peer had before we sent it again says nothing of the later transmission.
        if !(sent.resent && self.precedes(sent.last.at)) {
            self.time(sent);
        }
    }

    /// Whether the echoed timestamp is older than what was sent at `at`.
    fn precedes(&self, at: Instant) -> bool {
        self.known.echo.is_some_and(|echo| (echo.wrapping_sub(at.as_millis() as u32) as i32) < 0)
    }

    fn note_once(&mut self, start: SeqNumber, sent: &Sent) {
        self.lowest_once = Some(self.lowest_once.map_or(start, |lowest| lowest.earliest(start)));
        self.original |= sent.last.end.at_or_before(self.known.high_seq);
    }

    //= RFC 8985 §6.2
    fn time(&mut self, sent: Sent) {
        if self.newest.is_none_or(|newest| sent.last.is_after(&newest.last)) {
            self.newest = Some(sent);
        }
        let round_trip = self.known.now.saturating_since(sent.last.at);
        // An acknowledgement that comes back faster than ever is for the first transmission.
        if sent.resent && round_trip < self.known.min_rtt {
            return;
        }
        self.round_trip = Some(round_trip);
        if self.latest.is_none_or(|latest| sent.last.is_after(&latest)) {
            self.latest = Some(sent.last);
        }
    }

    /// Where below what was known something arrived for the first time that was sent once.
    pub fn reordered_from(&self) -> Option<SeqNumber> {
        self.lowest_once.filter(|lowest| lowest.before(self.known.highest))
    }
}

fn extend(span: &mut Option<Span>, at: Instant) {
    let first = span.map_or(at, |span| span.first);
    *span = Some(Span { first, last: at });
}
