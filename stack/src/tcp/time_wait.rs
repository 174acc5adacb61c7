//! TIME-WAIT: a small record that holds the tuple until old segments have died out.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::connection::Connection;
use super::input::age_of_stamp;
use super::segment::{Control, Segment, UnscaledWindow};
use super::seq::SeqNumber;

/// What is left of a connection in TIME-WAIT.
///
/// ```
/// use tapsock_stack::tcp::time_wait::TimeWait;
///
/// assert!(size_of::<TimeWait>() <= 32);
/// ```
//= RFC 9293 §3.3.2
#[derive(Copy, Clone, Debug)]
pub struct TimeWait {
    snd_nxt: SeqNumber,
    rcv_nxt: SeqNumber,
    edge: SeqNumber,
    window: UnscaledWindow,
    /// Whether there are timestamps, and the peer's last one.
    timestamps: bool,
    recent: u32,
    timestamp_offset: u32,
    /// When it was answered last; [`NEVER`] before the first time.
    last_answer: Instant,
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

const _: () = assert!(size_of::<TimeWait>() <= 32, "a record's share of its budget");

/// With what a connection begins that takes the tuple of one that rests.
///
/// ```
/// use tapsock_stack::tcp::seq::SeqNumber;
/// use tapsock_stack::tcp::time_wait::Anew;
///
/// assert_eq!(Anew { iss: SeqNumber::new(7), recent: 600 }.recent, 600);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Anew {
    /// Its initial sequence number, past those of the one before.
    pub iss: SeqNumber,
    /// The peer's last time stamp, which the SYN echoes.
    pub recent: u32,
}

/// What to do about a segment in TIME-WAIT.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing.
    Drop,
    /// Answer with this; the time starts anew where `restart` is set.
    Answer {
        /// The acknowledgement.
        segment: Segment,
        /// Whether the peer acknowledges something, as it does not where it is gone.
        restart: bool,
    },
    /// Nothing, and the time starts anew.
    Rest,
    /// A new connection may take the tuple, with an initial sequence number past this one.
    Reuse {
        /// The least initial sequence number for our side.
        iss_after: SeqNumber,
    },
    /// The peer has reset it.
    Close,
}

impl TimeWait {
    /// The record of `connection`, which has entered TIME-WAIT.
    pub fn new(connection: &Connection) -> Self {
        let recv = &connection.recv.window;
        TimeWait {
            snd_nxt: connection.send.window.nxt,
            rcv_nxt: recv.nxt,
            edge: recv.edge(),
            window: recv.scale.unscale(recv.remaining()),
            timestamps: connection.negotiated.timestamps.is_some(),
            recent: connection.negotiated.timestamps.map_or(0, |state| state.recent),
            timestamp_offset: connection.negotiated.timestamp_offset,
            last_answer: NEVER,
        }
    }

    /// Judges a segment for the tuple.
    ///
    /// A SYN may open a new connection where its number, or its timestamp, is past what the old one has seen.
    //= RFC 9293 MAY-2
    //= RFC 9293 SHLD-4
    //= RFC 6191 §2
    //= RFC 1337 §3
    ///
    /// Answers are at least `interval` apart, but to data and FIN.
    pub fn on_segment(
        &mut self,
        now: Instant,
        segment: &Segment,
        interval: Duration,
        counters: &mut Counters,
    ) -> Verdict {
        let stamp = segment.options.timestamps;
        let older = match (self.recent(), stamp) {
            (Some(recent), Some(stamp)) => age_of_stamp(recent, stamp.value) > 0,
            _ => false,
        };
        let newer = match (self.recent(), stamp) {
            (Some(recent), Some(stamp)) => (stamp.value.wrapping_sub(recent) as i32) > 0,
            _ => false,
        };
        match segment.control {
            Some(Control::Rst) => {
                if segment.seq == self.rcv_nxt && !older {
                    Verdict::Close
                } else {
                    Verdict::Drop
                }
            }
            Some(Control::Syn) if segment.ack.is_none() && !older => {
                if segment.seq.after(self.rcv_nxt) || newer {
                    Verdict::Reuse { iss_after: self.iss_after() }
                } else {
                    self.answer(now, interval, counters)
                }
            }
            control => {
                let in_window =
                    segment.end().at_or_after(self.rcv_nxt - 1) && segment.seq.at_or_before(self.edge);
                if let (Some(stamp), true) = (stamp, in_window && !older && self.timestamps) {
                    self.recent = stamp.value;
                }
                // As Linux: whoever acknowledges is still there, and data is answered each time, for it makes no circles.
                let restart = segment.ack.is_some() || older;
                if segment.is_empty() && segment.seq == self.rcv_nxt && !older {
                    Verdict::Rest
                } else if !segment.is_empty() && control != Some(Control::Syn) {
                    Verdict::Answer { segment: self.acknowledgement(now), restart }
                } else {
                    match self.answer(now, interval, counters) {
                        Verdict::Answer { segment, .. } => Verdict::Answer { segment, restart },
                        _ if restart => Verdict::Rest,
                        verdict => verdict,
                    }
                }
            }
        }
    }

    /// What tells the peer where the old connection ended, unless it was told less than `interval` ago.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        interval: Duration,
        counters: &mut Counters,
    ) -> Option<Segment> {
        match self.answer(now, interval, counters) {
            Verdict::Answer { segment, .. } => Some(segment),
            _ => None,
        }
    }

    /// With what a connection of ours to the same peer begins, where timestamps tell its segments from old ones.
    //= RFC 6191 §2
    pub fn reopen(&self) -> Option<Anew> {
        self.recent().map(|recent| Anew { iss: self.iss_after(), recent })
    }

    fn recent(&self) -> Option<u32> {
        self.timestamps.then_some(self.recent)
    }

    fn iss_after(&self) -> SeqNumber {
        self.snd_nxt + 65_535 + 2
    }

    fn answer(&mut self, now: Instant, interval: Duration, counters: &mut Counters) -> Verdict {
        let answered = self.last_answer != NEVER;
        if answered && now.saturating_since(self.last_answer) < interval {
            counters.bump(Counter::TcpExtTCPACKSkippedTimeWait);
            return Verdict::Drop;
        }
        self.last_answer = now;
        Verdict::Answer { segment: self.acknowledgement(now), restart: false }
    }

    fn acknowledgement(&self, now: Instant) -> Segment {
        let value = (now.as_millis() as u32).wrapping_add(self.timestamp_offset);
        let timestamps = self.recent().map(|echo| Timestamps { value, echo });
        Segment {
            ack: Some(self.rcv_nxt),
            window: self.window,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
            ..Segment::new(self.snd_nxt)
        }
    }
}
