//! The half-open connections of a listener: SYN-RECEIVED as a compact record (RFC 9293 §3.10.7.2).

use core::fmt::Debug;
use core::hash::Hash;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use crate::random::TableHash;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::config::Options;
use super::connection::{Connection, Opening};
use super::handshake::{Accepted, syn_options, syn_window};
use super::segment::{Control, Segment, UnscaledWindow};
use super::seq::SeqNumber;

/// How long the first SYN-ACK waits for its acknowledgement; each further one twice as long.
//= RFC 6298 §2.1
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// SYN-ACKs sent again at the most, whatever the setting says: one queue of deadlines for each.
pub const MAX_RETRIES: usize = 12;

/// Deadlines of records that are gone which may stand in a queue, beside as many as there are half-open connections.
const MAX_STALE: usize = 64;

/// The half-open connections of one listener, by whatever tells peers apart.
///
/// Bounded by the backlog; SYNs beyond it are refused, and the peer tries again.
#[derive(Debug)]
pub struct SynQueue<K> {
    records: HashMap<K, Record, TableHash>,
    /// For each number of retries, those that wait, in the order of their deadlines: all wait equally long.
    waiting: [VecDeque<Waiting<K>>; MAX_RETRIES + 1],
    /// Tells a record from an earlier one with the same key.
    serial: u32,
}

/// One half-open connection.
#[derive(Clone, Debug)]
struct Record {
    opening: Opening,
    irs: SeqNumber,
    offered: Offered,
    /// The window of the peer's SYN.
    peer_window: UnscaledWindow,
    /// The window of our SYN-ACK.
    window: UnscaledWindow,
    serial: u32,
    sent_at: Instant,
    retries: u8,
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
        let record = Record {
            opening,
            irs: syn.seq,
            offered: Offered {
                mss: syn.options.mss,
                window_scale: syn.options.window_scale,
                sack_permitted: syn.options.sack_permitted,
                recent: syn.options.timestamps.map(|stamp| stamp.value),
            },
            peer_window: syn.window,
            window: syn_window(options, opening.sizes.advertised),
            serial: self.serial,
            sent_at: now,
            retries: 0,
        };
        let answer = record.syn_ack(now, options);
        self.wait(now, key, &record);
        self.records.insert(key, record);
        answer
    }

    /// Takes a segment for a half-open connection.
    //= RFC 9293 §3.10.7.4
    pub fn on_segment(&mut self, now: Instant, key: &K, segment: &Segment, options: &Options) -> Step {
        let Some(record) = self.records.get_mut(key) else {
            return Step::Drop;
        };
        let nxt = record.irs + 1;
        if segment.control == Some(Control::Syn) && segment.ack.is_none() && segment.seq == record.irs {
            return Step::Answer(record.syn_ack(now, options));
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
            Some(Control::Rst) if segment.seq == nxt => {
                self.records.remove(key);
                return Step::Reset;
            }
            Some(Control::Rst) => return Step::Drop,
            Some(Control::Syn) => return Step::Answer(record.challenge(now)),
            _ if !in_window => return Step::Answer(record.challenge(now)),
            _ => {}
        }
        match segment.ack {
            None => Step::Drop,
            Some(ack) if ack != record.opening.iss + 1 => {
                Connection::reset_for(segment).map_or(Step::Drop, Step::Answer)
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
                if record.retries >= options.synack_retries.min(MAX_RETRIES as u8) {
                    self.records.remove(&front.key);
                    return Some((front.key, Due::GivenUp));
                }
                record.retries += 1;
                let answer = record.syn_ack(now, options);
                let record = record.clone();
                self.wait(now, front.key, &record);
                return Some((front.key, Due::Resend(answer)));
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
        let until = now + FIRST_TIMEOUT * (1 << level);
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
    /// The peer never answered.
    GivenUp,
}

impl Record {
    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let value = (now.as_millis() as u32).wrapping_add(self.opening.timestamp_offset);
        self.offered.recent.map(|echo| Timestamps { value, echo })
    }

    fn syn_ack(&self, now: Instant, options: &Options) -> Segment {
        let timestamp = self.timestamps(now).unwrap_or(Timestamps { value: 0, echo: 0 });
        let advertised = self.opening.sizes.advertised;
        Segment {
            ack: Some(self.irs + 1),
            control: Some(Control::Syn),
            window: self.window,
            options: syn_options(options, advertised, timestamp, Some(&self.offered.options())),
            ..Segment::new(self.opening.iss)
        }
    }

    /// What we expect, for a peer that sent something else.
    fn challenge(&self, now: Instant) -> Segment {
        Segment {
            ack: Some(self.irs + 1),
            window: self.window,
            options: TcpOptions { timestamps: self.timestamps(now), ..TcpOptions::default() },
            ..Segment::new(self.opening.iss + 1)
        }
    }

    fn accepted(&self) -> Accepted {
        Accepted {
            opening: self.opening,
            irs: self.irs,
            offered: self.offered.options(),
            recent: self.offered.recent,
            window: self.peer_window,
            edge: self.irs + 1 + u32::from(self.window.0),
            sent_at: (self.retries == 0).then_some(self.sent_at),
        }
    }
}

#[cfg(test)]
mod tests;
