//! When to acknowledge.

use core::time::Duration;

use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

/// How long an acknowledgement waits for company, at the least.
//= RFC 9293 MUST-40
pub const DELAY: Duration = Duration::from_millis(40);

/// The least that one waits, which is how long that of a FIN waits that no data came before. Linux's waits for the next tick
/// of its clock, within 4 ms where that has 250 a second: a program that closes at once sends it with a FIN of its own.
const LEAST_DELAY: Duration = Duration::from_millis(2);

/// The longest that one waits, as in Linux.
pub const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// The longest that one waits where no answer of the application is expected to carry it: half a second, which the one
/// above cuts.
const LONGEST_ONE_WAY_DELAY: Duration = Duration::from_millis(500);

/// Acknowledgements sent at once at the start of a connection, so that the peer's slow start is not held up.
pub const QUICK_ACKS: u8 = 16;

/// Acknowledgements sent at once when a router has marked a packet.
pub const QUICK_ACKS_ON_MARK: u8 = 2;

/// Acknowledgements of one gap that are sent at once before others are put together.
const GAP_REPORTS: u8 = 3;

/// The least that they wait to be put together, as in Linux by default (`net.ipv4.tcp_comp_sack_slack_ns`).
const GAP_SLACK: Duration = Duration::from_micros(100);

/// The least that the largest segment of a peer is held to be before any came, and what it is held to be where the path
/// takes that, in bytes (Linux's `TCP_MIN_MSS` and `TCP_MSS_DEFAULT`).
const LEAST_MSS: u32 = 88;
const USUAL_MSS: u32 = 536;

/// Bytes of a TCP header without options.
const HEADER: u32 = 20;

/// What is owed to the peer.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Owed {
    /// Nothing.
    #[default]
    Nothing,
    /// An acknowledgement, before some time has passed.
    Delayed,
    /// An acknowledgement at once.
    Now,
}

/// Data that came in order.
#[derive(Copy, Clone, Debug)]
pub struct Arrival {
    /// Bytes of it in one segment.
    pub segment: u32,
    /// Bytes of options in its header.
    pub options: u32,
    /// Bytes of options that segments of this connection always have.
    pub usual_options: u32,
    /// Whether it bears PSH or FIN.
    pub pushed: bool,
    /// The largest segment that we say we take, in bytes.
    pub largest: u32,
    /// The window that the peer knows of, in bytes.
    pub window: u32,
    /// The retransmission time-out.
    pub rto: Duration,
}

/// What the decision depends on beside what came.
#[derive(Copy, Clone, Debug)]
pub struct Situation {
    /// RCV.NXT.
    pub nxt: SeqNumber,
    /// Whether the window's edge need not fall back behind what the peer knows of.
    pub edge_advances: bool,
    /// Whether bytes wait behind a gap.
    pub has_gap: bool,
    /// Whether gaps are reported by SACK.
    pub sack: bool,
    /// The smoothed round trip.
    pub rtt: Option<Duration>,
    /// For how long reports of a gap may wait, as far as the round trip allows.
    pub gap_wait: Duration,
    /// How many acknowledgements of a gap may be put together (`net.ipv4.tcp_comp_sack_nr`), and for how long.
    pub compress: (u8, Duration),
}

/// Decides when to acknowledge, as Linux does: at once while a connection is young and for every second full
/// segment, later where an answer of the application will carry it.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::ack_policy::{AckPolicy, Arrival, Owed, Situation};
/// use tapsock_stack::time::Instant;
///
/// let arrival = Arrival {
///     segment: 1460,
///     options: 0,
///     usual_options: 0,
///     pushed: false,
///     largest: 1460,
///     window: 65_535,
///     rto: Duration::from_secs(1),
/// };
/// let situation = Situation {
///     nxt: SeqNumber::new(1460),
///     edge_advances: true,
///     has_gap: false,
///     sack: true,
///     rtt: None,
///     gap_wait: Duration::ZERO,
///     compress: (44, Duration::from_millis(1)),
/// };
/// let mut policy = AckPolicy::new();
/// policy.on_data(Instant::ZERO, arrival);
/// assert_eq!(policy.decide(situation), None);
/// assert_eq!(policy.owed(), Owed::Now);
/// policy.on_ack_sent(SeqNumber::new(1460));
/// assert_eq!(policy.owed(), Owed::Nothing);
/// ```
#[derive(Clone, Debug)]
pub struct AckPolicy {
    owed: Owed,
    quick: u8,
    /// Whether the application answers what it receives, so that waiting pays.
    interactive: bool,
    /// What lay at the end of a write of the peer's, since we acknowledged last.
    pushed: Pushed,
    /// Acknowledgements of the gap at `gap_at` that were sent, and that were put together.
    gap_reports: u8,
    compressed: u8,
    gap_at: SeqNumber,
    /// How long an acknowledgement waits, in milliseconds; 0 before data came.
    wait_ms: u16,
    /// When data came last.
    last_arrival: Instant,
    /// The largest segment that the peer is held to send, in bytes.
    peer_mss: u32,
    /// The size of the last segment that was smaller, in bytes.
    small: u32,
    /// RCV.NXT when we acknowledged last.
    acknowledged: SeqNumber,
}

/// How often small segments came that end a write.
#[derive(Copy, Clone, Debug, Eq, PartialEq, PartialOrd)]
enum Pushed {
    No,
    Once,
    Again,
}

impl AckPolicy {
    /// The policy of a fresh connection.
    pub const fn new() -> Self {
        let zero = SeqNumber::new(0);
        AckPolicy {
            owed: Owed::Nothing,
            quick: 0,
            interactive: false,
            pushed: Pushed::No,
            gap_reports: 0,
            compressed: 0,
            gap_at: zero,
            wait_ms: 0,
            last_arrival: Instant::ZERO,
            peer_mss: LEAST_MSS,
            small: 0,
            acknowledged: zero,
        }
    }

    /// The connection is open: what the peer is held to send, where both sides take segments of `mss` bytes and it knows
    /// a window of `window`.
    pub fn start(&mut self, mss: u32, window: u32) {
        self.peer_mss = mss.min(window / 2).clamp(LEAST_MSS, USUAL_MSS);
    }

    /// One side's SYN was acknowledged by the other's. As Linux: what is sent soon is an answer, but not after SYNs that cross.
    pub fn on_shaken(&mut self, now: Instant) {
        self.last_arrival = now;
    }

    /// What is owed now.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// Whether acknowledgements wait for an answer that may carry them (TCP_QUICKACK says the contrary).
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Has acknowledgements wait for an answer, or not, until the traffic says otherwise.
    pub fn set_interactive(&mut self, interactive: bool) {
        self.interactive = interactive;
    }

    /// The largest segment that the peer is held to send, in bytes.
    pub fn peer_mss(&self) -> u32 {
        self.peer_mss
    }

    /// The number expected when we acknowledged last: everything before it is known to the peer to have arrived.
    pub fn acknowledged(&self) -> SeqNumber {
        self.acknowledged
    }

    /// When data came last, in order; where none has, when the connection was opened, or zero where SYNs have crossed.
    pub fn last_arrival(&self) -> Instant {
        self.last_arrival
    }

    /// How long an acknowledgement waits; zero before data came (Linux's `tcpi_ato`).
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms.into())
    }

    /// Bytes before `nxt` that are not acknowledged.
    pub fn waiting(&self, nxt: SeqNumber) -> u32 {
        nxt.saturating_since(self.acknowledged)
    }

    /// Data came in order.
    //= RFC 9293 SHLD-18
    //= RFC 9293 SHLD-19
    pub fn on_data(&mut self, now: Instant, arrival: Arrival) {
        self.owe_late();
        self.measure(&arrival);
        let least = DELAY.as_millis() as u16;
        let gap = u16::try_from(now.saturating_since(self.last_arrival).as_millis()).unwrap_or(u16::MAX);
        let rto = u16::try_from(arrival.rto.as_millis()).unwrap_or(u16::MAX);
        if self.wait_ms == 0 {
            self.hurry(arrival.window, QUICK_ACKS);
            self.wait_ms = least;
        } else if gap <= least / 2 {
            self.wait_ms = self.wait_ms / 2 + least / 2;
        } else if gap < self.wait_ms {
            self.wait_ms = (self.wait_ms / 2 + gap).min(rto);
        } else if gap > rto {
            // The peer has been silent for so long that it begins anew, slowly.
            self.hurry(arrival.window, QUICK_ACKS);
        }
        self.last_arrival = now;
    }

    /// What a segment says of the peer's largest.
    pub fn measure(&mut self, arrival: &Arrival) {
        let len = arrival.segment;
        let before = core::mem::take(&mut self.small);
        if len >= self.peer_mss {
            self.peer_mss = len.min(arrival.largest).max(1);
            if arrival.pushed && len == self.peer_mss {
                self.pushed = self.pushed.max_once();
            }
            return;
        }
        let whole = len + HEADER + arrival.options;
        if whole >= USUAL_MSS + HEADER || whole >= LEAST_MSS + HEADER && !arrival.pushed {
            // Without what options take off now and then, two of one size are full ones.
            self.small = whole.saturating_sub(HEADER + arrival.usual_options);
            if self.small == before {
                self.peer_mss = self.small;
                return;
            }
        }
        self.pushed = if self.pushed == Pushed::No { Pushed::Once } else { Pushed::Again };
    }

    /// As many acknowledgements at once as fill half of the window, and no more than `most`. As Linux: two where not one does.
    fn hurry(&mut self, window: u32, most: u8) {
        let half = window / (2 * self.peer_mss.max(1));
        let count = if half == 0 { 2 } else { half }.min(most.into()) as u8;
        self.quick = self.quick.max(count);
    }

    /// Decides about what is owed after a segment was taken. Gives the longest wait, where it waits.
    //= RFC 9293 SHLD-19
    //= RFC 5681 §4.2
    //= RFC 5681 §4.2 MUST-4
    pub fn decide(&mut self, situation: Situation) -> Option<Duration> {
        if self.owed != Owed::Delayed {
            return None;
        }
        let waiting = self.waiting(situation.nxt);
        let quick = self.quick > 0 && !self.interactive;
        if waiting > self.peer_mss && situation.edge_advances || quick {
            self.owed = Owed::Now;
            return None;
        }
        if !situation.has_gap {
            return Some(self.delay(situation.rtt));
        }
        self.report_gap(situation)
    }

    /// The first few segments behind a gap are reported one by one, those that follow together.
    fn report_gap(&mut self, situation: Situation) -> Option<Duration> {
        let (most, delay) = situation.compress;
        if !situation.sack || self.compressed >= most {
            self.owed = Owed::Now;
            return None;
        }
        if self.gap_at != situation.nxt {
            (self.gap_at, self.gap_reports) = (situation.nxt, 0);
        }
        if self.gap_reports < GAP_REPORTS {
            self.gap_reports += 1;
            self.owed = Owed::Now;
            return None;
        }
        self.compressed += 1;
        Some(delay.min(situation.gap_wait).max(GAP_SLACK))
    }

    /// How long an acknowledgement may wait now.
    //= RFC 9293 MUST-40
    //= RFC 5681 §4.2 MUST-1
    //= RFC 5681 §4.2 MUST-2
    //= RFC 5681 §4.2 MUST-3
    fn delay(&self, rtt: Option<Duration>) -> Duration {
        let mut wait = self.wait();
        if wait > DELAY {
            let patient = self.interactive || self.pushed != Pushed::No;
            let most = if patient { LONGEST_DELAY } else { LONGEST_ONE_WAY_DELAY };
            wait = wait.min(rtt.map_or(most, |rtt| most.min(rtt.max(DELAY))));
        }
        wait.clamp(LEAST_DELAY, LONGEST_DELAY)
    }

    /// What waits to be reported together goes now.
    pub fn stop_compressing(&mut self) {
        if self.compressed > 0 {
            self.owed = Owed::Now;
        }
    }

    /// Something came that the peer must hear of at once: a gap was filled, a probe, a challenge.
    //= RFC 5681 §4.2
    pub fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    /// Something came whose acknowledgement may wait.
    pub fn owe_late(&mut self) {
        if self.owed == Owed::Nothing {
            self.owed = Owed::Delayed;
        }
    }

    /// The application has read, and nothing is left to be read where `drained`: an acknowledgement that waits goes where
    /// more than a segment is not acknowledged, or where a write of the peer's has ended and no answer is expected.
    pub fn on_read(&mut self, nxt: SeqNumber, drained: bool) {
        let far = self.waiting(nxt) > self.peer_mss;
        let ended = match self.pushed {
            Pushed::No => false,
            Pushed::Once => !self.interactive,
            Pushed::Again => true,
        };
        if self.owed == Owed::Delayed && (far || ended && drained) {
            self.owed = Owed::Now;
        }
    }

    /// Notes that the application has its say about a write of the peer's that has ended (TCP_QUICKACK).
    pub fn note_pushed(&mut self) {
        self.pushed = self.pushed.max_once();
    }

    /// An acknowledgement has waited long enough. As Linux: where no answer carried it the next need not wait for one,
    /// and where none was expected the next waits twice as long. Says whether it was not one of a gap.
    pub fn on_delay_passed(&mut self, rto: Duration) -> bool {
        self.owed = Owed::Now;
        if self.compressed > 0 {
            self.compressed -= 1;
            return false;
        }
        if self.interactive {
            self.interactive = false;
            self.wait_ms = DELAY.as_millis() as u16;
        } else {
            let rto = u16::try_from(rto.as_millis()).unwrap_or(u16::MAX);
            self.wait_ms = self.wait_ms.saturating_mul(2).min(rto);
        }
        true
    }

    /// The peer needs to hear of every segment again, after a loss. It knows of a window of `window` bytes.
    pub fn quicken(&mut self, window: u32, most: u8) {
        self.hurry(window, most);
        self.interactive = false;
        self.wait_ms = DELAY.as_millis() as u16;
    }

    /// The window grows: the peer hears of that at once.
    pub fn note_growth(&mut self) {
        self.quick |= 1;
    }

    /// Little room is left: nothing hurries.
    pub fn end_hurry(&mut self) {
        self.quick = 0;
    }

    /// Data of ours went out. As Linux: where that was soon after data came it is an answer.
    pub fn on_data_sent(&mut self, now: Instant) {
        if now.saturating_since(self.last_arrival) < self.wait() {
            self.interactive = true;
        }
    }

    /// An acknowledgement of everything before `nxt` went out. Gives how many it stands for besides.
    pub fn on_ack_sent(&mut self, nxt: SeqNumber) -> u8 {
        if self.owed != Owed::Nothing && self.quick > 0 {
            self.quick -= 1;
            if self.quick == 0 {
                self.wait_ms = DELAY.as_millis() as u16;
            }
        }
        (self.owed, self.pushed) = (Owed::Nothing, Pushed::No);
        self.acknowledged = nxt;
        core::mem::take(&mut self.compressed)
    }
}

impl Pushed {
    fn max_once(self) -> Self {
        if self == Pushed::No { Pushed::Once } else { self }
    }
}

impl Default for AckPolicy {
    fn default() -> Self {
        AckPolicy::new()
    }
}

#[cfg(test)]
mod tests;
