//! One half-open connection: what a SYN offered, what our SYN-ACK says, and what answers a segment for it.

use core::time::Duration;

use crate::counters::{Counter, Counters};
use crate::tcp::config::Options;
use crate::tcp::connection::Opening;
use crate::tcp::ecn;
use crate::tcp::handshake::{
    Accepted, SynSent, Willing, announced_mss, syn_options, syn_window, window_scale,
};
use crate::tcp::input::age_of_stamp;
use crate::tcp::segment::{Control, EcnFlags, Segment, UnscaledWindow, WindowScale};
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::Step;

/// One half-open connection.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) opening: Opening,
    irs: SeqNumber,
    /// What the peer offered, as far as we agreed.
    offered: Offered,
    /// What our SYN-ACK says, whatever becomes of the listener's options.
    mss: u16,
    scale: WindowScale,
    /// The window of the peer's SYN.
    peer_window: UnscaledWindow,
    /// The window of our SYN-ACK.
    window: UnscaledWindow,
    sent_at: Instant,
    /// The time stamp of the last SYN-ACK.
    stamp: u32,
    /// When it was answered last; [`NEVER`] before the first time.
    last_answer: Instant,
    pub(super) retries: u8,
    /// Whether the SYN-ACK was sent again for a SYN that came again.
    repeated: bool,
    /// Whether both sides take marks of congestion.
    ecn: bool,
    /// The headers of the SYN, where they are to be kept. Boxed twice: hardly any listener keeps them.
    pub(super) saved: Option<Box<Box<[u8]>>>,
    /// Whether the peer has acknowledged our SYN, and data is waited for.
    pub(super) acknowledged: bool,
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// What a SYN offered, without the room for SACK blocks.
#[derive(Copy, Clone, Debug)]
struct Offered {
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    /// Whether there are timestamps, and the peer's last one.
    timestamps: bool,
    recent: u32,
}

impl Offered {
    fn recent(self) -> Option<u32> {
        self.timestamps.then_some(self.recent)
    }

    fn options(self) -> TcpOptions {
        TcpOptions {
            mss: self.mss,
            window_scale: self.window_scale,
            sack_permitted: self.sack_permitted,
            timestamps: self.recent().map(|value| Timestamps { value, echo: 0 }),
            ..TcpOptions::default()
        }
    }
}

impl Record {
    pub(super) fn new(now: Instant, syn: &Segment, opening: Opening, options: &Options) -> Self {
        let agreed = Willing::of(options).and(&syn.options);
        let mss = announced_mss(options, opening.sizes.advertised);
        Record {
            opening,
            irs: syn.seq,
            offered: Offered {
                mss: syn.options.mss,
                window_scale: syn.options.window_scale.filter(|_| agreed.window_scaling),
                sack_permitted: agreed.sack,
                timestamps: agreed.timestamps,
                recent: syn.options.timestamps.map_or(0, |stamp| stamp.value),
            },
            mss,
            scale: window_scale(options),
            peer_window: syn.window,
            window: syn_window(options, mss, agreed.timestamps),
            sent_at: now,
            stamp: stamp_at(now, &opening),
            last_answer: NEVER,
            retries: 0,
            repeated: false,
            ecn: ecn::agrees(options.ecn, syn),
            acknowledged: false,
            saved: None,
        }
    }

    /// Takes a segment of its peer.
    //= RFC 9293 §3.10.7.4
    pub(super) fn on_segment(
        &mut self,
        now: Instant,
        segment: &Segment,
        options: &Options,
        counters: &mut Counters,
    ) -> Step {
        let interval = Duration::from_millis(options.invalid_ratelimit_ms.into());
        let nxt = self.irs + 1;
        if segment.control == Some(Control::Syn) && segment.ack.is_none() && segment.seq == self.irs {
            self.repeated = true;
            let answer = self.syn_ack(now);
            return self.limited(now, answer, interval, counters);
        }
        //= RFC 9293 §3.10.7.4
        // As Linux, which asks for that before all else, but not of a reset.
        let resets = segment.control == Some(Control::Rst);
        if !resets && segment.ack.is_some_and(|ack| ack != self.opening.iss + 1) {
            return Step::Refuse;
        }
        let stamp = segment.options.timestamps;
        let older = match (self.offered.recent(), stamp) {
            (Some(recent), Some(stamp)) => age_of_stamp(recent, stamp.value) > 0,
            _ => false,
        };
        let invented = stamp.is_some_and(|stamp| !self.has_sent(stamp.echo));
        let (edge, end) = (nxt + u32::from(self.window.0), segment.end());
        // As Linux: what overlaps the window, or lies bare on either edge.
        let overlaps = end.after(nxt) && segment.seq.before(edge);
        let bare = segment.seq == edge && end == edge;
        let in_window = (segment.seq == nxt || overlaps || bare) && !older && !invented;
        match segment.control {
            //= RFC 9293 §3.10.7.4
            //= RFC 9293 MUST-11
            Some(Control::Rst) if segment.seq == nxt && !invented => {
                return Step::Reset;
            }
            Some(Control::Rst) if !in_window => {
                counters.bump(if invented {
                    Counter::TcpExtTSEcrRejected
                } else {
                    Counter::TcpExtTCPOutOfWindow
                });
                return Step::Drop;
            }
            // As Linux, where a challenge would do as well.
            Some(Control::Syn) if in_window => return Step::RefuseAndReset,
            //= RFC 5961 §3.2
            Some(Control::Rst | Control::Syn) => {
                let answer = self.challenge(now);
                return self.limited(now, answer, interval, counters);
            }
            _ if !in_window => {
                counters.bump(if invented {
                    Counter::TcpExtTSEcrRejected
                } else {
                    Counter::TcpExtTCPOutOfWindow
                });
                let answer = self.challenge(now);
                return self.limited(now, answer, interval, counters);
            }
            _ => {}
        }
        match segment.ack {
            None => {
                counters.bump(Counter::TapsockTcpInNoAck);
                Step::Drop
            }
            Some(_) if self.retries < options.rare().defer_accept && segment.end() == nxt => {
                counters.bump(Counter::TcpExtTCPDeferAcceptDrop);
                self.acknowledged = true;
                Step::Drop
            }
            Some(_) => {
                //= RFC 7323 §4.3
                if let (true, Some(stamp)) = (self.offered.timestamps, stamp)
                    && segment.seq.at_or_before(nxt)
                {
                    self.offered.recent = stamp.value;
                }
                Step::Complete(self.accepted())
            }
        }
    }

    /// Whether `echo` is a time stamp of one of our SYN-ACKs, as far as their time goes, or says nothing. As Linux: who echoes
    /// another has not seen any.
    //= RFC 7323 §3.2 MUST-3
    fn has_sent(&self, echo: u32) -> bool {
        let first = stamp_at(self.sent_at, &self.opening);
        echo == 0 || !self.offered.timestamps || echo.wrapping_sub(first) <= self.stamp.wrapping_sub(first)
    }

    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let value = stamp_at(now, &self.opening);
        self.offered.recent().map(|echo| Timestamps { value, echo })
    }

    pub(super) fn syn_ack(&mut self, now: Instant) -> Segment {
        self.stamp = stamp_at(now, &self.opening);
        let timestamp = self.timestamps(now).unwrap_or(Timestamps { value: 0, echo: 0 });
        let willing = Willing {
            sack: self.offered.sack_permitted,
            timestamps: self.offered.timestamps,
            window_scaling: self.offered.window_scale.is_some(),
        };
        Segment {
            ack: Some(self.irs + 1),
            control: Some(Control::Syn),
            window: self.window,
            ecn: EcnFlags { echo: self.ecn, ..EcnFlags::default() },
            options: syn_options(willing, self.mss, self.scale, timestamp),
            ..Segment::new(self.opening.iss)
        }
    }

    /// What we expect, for a peer that sent something else.
    fn challenge(&self, now: Instant) -> Segment {
        //= RFC 7323 §2.3
        let scale = if self.offered.window_scale.is_some() { self.scale } else { WindowScale::default() };
        Segment {
            ack: Some(self.irs + 1),
            // Rounded down, as Linux's: the edge that was offered stays, and the next that is offered covers it.
            window: scale.unscale(self.window.0.into()),
            options: TcpOptions { timestamps: self.timestamps(now), ..TcpOptions::default() },
            ..Segment::new(self.opening.iss + 1)
        }
    }

    /// An answer to a segment that completes nothing, but not too often.
    //= RFC 5961 §7
    fn limited(
        &mut self,
        now: Instant,
        answer: Segment,
        interval: Duration,
        counters: &mut Counters,
    ) -> Step {
        if self.last_answer != NEVER && now.saturating_since(self.last_answer) < interval {
            counters.bump(Counter::TcpExtTCPACKSkippedSynRecv);
            return Step::Drop;
        }
        self.last_answer = now;
        Step::Answer(answer)
    }

    pub(super) fn accepted(&self) -> Accepted {
        Accepted {
            opening: self.opening,
            irs: self.irs,
            offered: self.offered.options(),
            recent: self.offered.recent(),
            window: self.peer_window,
            edge: self.irs + 1 + u32::from(self.window.0),
            scale: self.scale,
            ecn: self.ecn,
            sent: match (self.retries, self.repeated) {
                (0, false) => SynSent::Once(self.sent_at),
                (0, true) => SynSent::Repeated,
                (retries, _) => SynSent::Again { retries, since: self.sent_at },
            },
        }
    }
}

/// The time stamp of what is sent at `now`.
fn stamp_at(now: Instant, opening: &Opening) -> u32 {
    (now.as_millis() as u32).wrapping_add(opening.timestamp_offset)
}

const _: () = assert!(size_of::<Record>() <= 72, "a half-open connection's share of its budget");
