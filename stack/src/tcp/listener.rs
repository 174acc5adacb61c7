//! The half-open connections of a listener: SYN-RECEIVED as a compact record (RFC 9293 §3.10.7.2).

use core::fmt::Debug;
use core::hash::Hash;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use crate::counters::{Counter, Counters};
use crate::random::TableHash;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::config::Options;
use super::connection::Opening;
use super::ecn;
use super::handshake::{Accepted, SynSent, Willing, announced_mss, syn_options, syn_window};
use super::recv::window::ReceiveWindow;
use super::segment::{Control, EcnFlags, Segment, UnscaledWindow, WindowScale};
use super::seq::SeqNumber;
use super::syn_cookie::VALIDITY;

/// How long the first SYN-ACK waits for its acknowledgement; each further one twice as long.
//= RFC 6298 §2.1
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest such wait, as in Linux.
//= RFC 6298 §2.4
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// SYN-ACKs sent again at the most, whatever the setting says: one queue of deadlines for each.
pub const MAX_RETRIES: usize = 12;

/// Deadlines of records that are gone which may stand in a queue, beside as many as there are half-open connections.
const MAX_STALE: usize = 64;

/// The half-open connections of one listener, by whatever tells peers apart.
///
/// Bounded by the backlog; SYNs beyond it are answered by cookies, of which nothing is kept, or refused, and the peer
/// tries again.
#[derive(Debug)]
pub struct SynQueue<K> {
    records: HashMap<K, Record, TableHash>,
    /// For each number of retries, those that wait, in the order of their deadlines: all wait equally long.
    waiting: [VecDeque<Waiting<K>>; MAX_RETRIES + 1],
    /// Tells a record from an earlier one with the same key.
    serial: u32,
    /// When a SYN was last answered by a cookie.
    last_cookie: Option<Instant>,
}

/// One half-open connection.
#[derive(Clone, Debug)]
struct Record {
    opening: Opening,
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
    serial: u32,
    sent_at: Instant,
    last_answer: Option<Instant>,
    retries: u8,
    /// Whether the SYN-ACK was sent again for a SYN that came again.
    repeated: bool,
    /// Whether both sides take marks of congestion.
    ecn: bool,
    /// The headers of the SYN, where they are to be kept.
    saved: Option<Box<[u8]>>,
    /// Whether the peer has acknowledged our SYN, and data is waited for.
    acknowledged: bool,
}

const _: () = assert!(size_of::<Record>() <= 200, "the budget of a half-open connection");

/// What a SYN offered, without the room for SACK blocks.
#[derive(Copy, Clone, Debug)]
struct Offered {
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    recent: Option<u32>,
}

impl Offered {
    fn options(self) -> TcpOptions {
        TcpOptions {
            mss: self.mss,
            window_scale: self.window_scale,
            sack_permitted: self.sack_permitted,
            timestamps: self.recent.map(|value| Timestamps { value, echo: 0 }),
            ..TcpOptions::default()
        }
    }
}

#[derive(Copy, Clone, Debug)]
struct Waiting<K> {
    until: Instant,
    key: K,
    serial: u32,
}

/// What a segment for a half-open connection leads to.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    Drop,
    /// This is to be sent.
    Answer(Segment),
    /// A reset is to answer it: it acknowledges what we did not send.
    Refuse,
    /// The peer has reset it; the record is gone.
    Reset,
    /// The handshake is done. The record stays until [`SynQueue::remove`], for the accept queue may be full.
    Complete(Accepted),
}

impl<K: Copy + Eq + Hash + Debug> SynQueue<K> {
    /// An empty queue.
    pub fn new(hash: TableHash) -> Self {
        SynQueue {
            records: HashMap::with_hasher(hash),
            waiting: core::array::from_fn(|_| VecDeque::new()),
            serial: 0,
            last_cookie: None,
        }
    }

    /// How many are half-open.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether `key` is half-open.
    pub fn contains(&self, key: &K) -> bool {
        self.records.contains_key(key)
    }

    /// Whether `key` is half-open and our SYN-ACK has the number `seq`: what an ICMP error must quote.
    pub fn opens_with(&self, key: &K, seq: SeqNumber) -> bool {
        self.records.get(key).is_some_and(|record| record.opening.iss == seq)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.records.keys().copied()
    }

    /// Drops `key`.
    pub fn remove(&mut self, key: &K) {
        self.records.remove(key);
    }

    /// Takes a SYN of a new peer, and gives the SYN-ACK that answers it.
    //= RFC 9293 §3.10.7.2
    pub fn on_syn(
        &mut self,
        now: Instant,
        key: K,
        syn: &Segment,
        opening: Opening,
        options: &Options,
    ) -> Segment {
        self.serial = self.serial.wrapping_add(1);
        let record = Record::new(now, syn, opening, options, self.serial);
        let answer = record.syn_ack(now);
        self.wait(now, key, &record);
        self.records.insert(key, record);
        answer
    }

    /// What a SYN comes to where the connection is open at once, without a record.
    //= RFC 7413 §4.2.2
    pub fn accepted_at_once(
        &self,
        now: Instant,
        syn: &Segment,
        opening: Opening,
        options: &Options,
    ) -> Accepted {
        Record::new(now, syn, opening, options, self.serial).accepted()
    }

    /// Keeps the headers of the SYN of `key`.
    pub fn save(&mut self, key: &K, headers: Box<[u8]>) {
        if let Some(record) = self.records.get_mut(key) {
            record.saved = Some(headers);
        }
    }

    /// The headers of the SYN of `key`, where they were kept.
    pub fn take_saved(&mut self, key: &K) -> Option<Box<[u8]>> {
        self.records.get_mut(key)?.saved.take()
    }

    /// A SYN was answered by a cookie.
    pub fn note_cookie(&mut self, now: Instant) {
        self.last_cookie = Some(now);
    }

    /// Whether a cookie may come back.
    pub fn awaits_cookies(&self, now: Instant) -> bool {
        self.last_cookie.is_some_and(|at| now.saturating_since(at) <= VALIDITY)
    }

    /// Takes a segment for a half-open connection.
    //= RFC 9293 §3.10.7.4
    pub fn on_segment(
        &mut self,
        now: Instant,
        key: &K,
        segment: &Segment,
        options: &Options,
        counters: &mut Counters,
    ) -> Step {
        let interval = Duration::from_millis(options.invalid_ratelimit_ms.into());
        let Some(record) = self.records.get_mut(key) else {
            return Step::Drop;
        };
        let nxt = record.irs + 1;
        if segment.control == Some(Control::Syn) && segment.ack.is_none() && segment.seq == record.irs {
            record.repeated = true;
            let answer = record.syn_ack(now);
            return record.limited(now, answer, interval, counters);
        }
        let stamp = segment.options.timestamps;
        let older = match (record.offered.recent, stamp) {
            (Some(recent), Some(stamp)) => (stamp.value.wrapping_sub(recent) as i32) < 0,
            _ => false,
        };
        let in_window = segment.seq.at_or_after(nxt)
            && segment.seq.at_or_before(nxt + u32::from(record.window.0))
            && !older;
        match segment.control {
            //= RFC 9293 §3.10.7.4
            //= RFC 9293 MUST-11
            Some(Control::Rst) if segment.seq == nxt => {
                self.records.remove(key);
                return Step::Reset;
            }
            Some(Control::Rst) => {
                counters.bump(Counter::TcpExtTCPOutOfWindow);
                return Step::Drop;
            }
            Some(Control::Syn) => {
                let answer = record.challenge(now);
                return record.limited(now, answer, interval, counters);
            }
            _ if !in_window => {
                counters.bump(Counter::TcpExtTCPOutOfWindow);
                let answer = record.challenge(now);
                return record.limited(now, answer, interval, counters);
            }
            _ => {}
        }
        match segment.ack {
            None => {
                counters.bump(Counter::TapsockTcpInNoAck);
                Step::Drop
            }
            Some(ack) if ack != record.opening.iss + 1 => Step::Refuse,
            Some(_) if record.retries < options.rare().defer_accept && segment.end() == nxt => {
                counters.bump(Counter::TcpExtTCPDeferAcceptDrop);
                record.acknowledged = true;
                Step::Drop
            }
            Some(_) => {
                if let (Some(_), Some(stamp)) = (record.offered.recent, stamp) {
                    record.offered.recent = Some(stamp.value);
                }
                Step::Complete(record.accepted())
            }
        }
    }

    /// The next SYN-ACK to be sent again at `now`, with whom it is for. Drops those that were tried often enough.
    pub fn pop_due(&mut self, now: Instant, options: &Options) -> Option<(K, Due)> {
        for level in 0..self.waiting.len() {
            while let Some(front) = self.waiting[level].front().copied() {
                let current = self.records.get_mut(&front.key).filter(|record| record.serial == front.serial);
                let Some(record) = current else {
                    self.waiting[level].pop_front();
                    continue;
                };
                if front.until > now {
                    break;
                }
                self.waiting[level].pop_front();
                // As Linux: while data is waited for the peer has nothing to be told again, until the last time.
                let defer = options.rare().defer_accept;
                let deferred = defer > 0 && record.acknowledged;
                let tried_enough = record.retries >= options.synack_retries.min(MAX_RETRIES as u8);
                if tried_enough && !(deferred && record.retries < defer) {
                    self.records.remove(&front.key);
                    return Some((front.key, Due::GivenUp));
                }
                let silent = deferred && record.retries < defer - 1;
                record.retries = record.retries.saturating_add(1);
                let answer = record.syn_ack(now);
                let record = record.clone();
                self.wait(now, front.key, &record);
                return Some((front.key, if silent { Due::Nothing } else { Due::Resend(answer) }));
            }
        }
        None
    }

    /// When [`pop_due`](SynQueue::pop_due) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.records.is_empty() {
            return None;
        }
        self.waiting.iter().filter_map(|level| level.front()).map(|front| front.until).min()
    }

    fn wait(&mut self, now: Instant, key: K, record: &Record) {
        let level = usize::from(record.retries).min(MAX_RETRIES);
        let until = now + (FIRST_TIMEOUT * (1 << level)).min(LONGEST_TIMEOUT);
        // Peers that reset what they open leave entries behind.
        let (waiting, records) = (&mut self.waiting[level], &self.records);
        if waiting.len() > 2 * records.len() + MAX_STALE {
            waiting.retain(|entry| records.get(&entry.key).is_some_and(|known| known.serial == entry.serial));
        }
        self.waiting[level].push_back(Waiting { until, key, serial: record.serial });
    }
}

/// What became due.
#[derive(Debug)]
pub enum Due {
    /// Send this SYN-ACK again.
    Resend(Segment),
    /// The peer is waited for once more.
    Nothing,
    /// The peer never answered.
    GivenUp,
}

impl Record {
    fn new(now: Instant, syn: &Segment, opening: Opening, options: &Options, serial: u32) -> Self {
        let agreed = Willing::of(options).and(&syn.options);
        Record {
            opening,
            irs: syn.seq,
            offered: Offered {
                mss: syn.options.mss,
                window_scale: syn.options.window_scale.filter(|_| agreed.window_scaling),
                sack_permitted: agreed.sack,
                recent: syn.options.timestamps.filter(|_| agreed.timestamps).map(|stamp| stamp.value),
            },
            mss: announced_mss(options, opening.sizes.advertised),
            scale: ReceiveWindow::scale_for(
                options.receive_buffer,
                options.receive_buffer_max,
                options.rare().window_clamp,
            ),
            peer_window: syn.window,
            window: syn_window(options, opening.sizes.advertised),
            serial,
            sent_at: now,
            last_answer: None,
            retries: 0,
            repeated: false,
            ecn: ecn::agrees(options.ecn, syn),
            acknowledged: false,
            saved: None,
        }
    }

    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let value = (now.as_millis() as u32).wrapping_add(self.opening.timestamp_offset);
        self.offered.recent.map(|echo| Timestamps { value, echo })
    }

    fn syn_ack(&self, now: Instant) -> Segment {
        let timestamp = self.timestamps(now).unwrap_or(Timestamps { value: 0, echo: 0 });
        let willing = Willing {
            sack: self.offered.sack_permitted,
            timestamps: self.offered.recent.is_some(),
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
            window: scale.cover(self.window.0.into()),
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
        if self.last_answer.is_some_and(|at| now.saturating_since(at) < interval) {
            counters.bump(Counter::TcpExtTCPACKSkippedSynRecv);
            return Step::Drop;
        }
        self.last_answer = Some(now);
        Step::Answer(answer)
    }

    fn accepted(&self) -> Accepted {
        Accepted {
            opening: self.opening,
            irs: self.irs,
            offered: self.offered.options(),
            recent: self.offered.recent,
            window: self.peer_window,
            edge: self.irs + 1 + u32::from(self.window.0),
            scale: self.scale,
            ecn: self.ecn,
            sent: match (self.retries, self.repeated) {
                (0, false) => SynSent::Once(self.sent_at),
                (0, true) => SynSent::Repeated,
                _ => SynSent::Again,
            },
        }
    }
}

#[cfg(test)]
mod tests;
