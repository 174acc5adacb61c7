//! Half-open connections: SYN-RECEIVED as a compact record (RFC 9293 §3.10.7.2).

use core::time::Duration;

use crate::counters::Counters;
use crate::slots::Slots;
use crate::time::Instant;

use super::config::Options;
use super::connection::Opening;
use super::handshake::Accepted;
use super::segment::Segment;
use super::seq::SeqNumber;

mod record;

use record::Record;

/// How long the first SYN-ACK waits for its acknowledgement; each further one twice as long.
//= RFC 6298 §2.1
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest such wait, as in Linux.
//= RFC 6298 §2.4
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// SYN-ACKs sent again at the most, whatever the setting says: one queue of deadlines for each.
pub const MAX_RETRIES: usize = 12;

/// The half-open connections of all listeners, each known by its place. `K` is what tells peers apart.
///
/// The owner bounds them by the listeners' backlogs; SYNs beyond those are answered by cookies, of which nothing is kept,
/// or refused, and the peer tries again.
#[derive(Debug)]
pub struct SynQueue<K> {
    entries: Slots<Entry<K>>,
    /// For each number of retries, those that wait, in the order of their deadlines: all wait equally long.
    waiting: [List; MAX_RETRIES + 1],
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    listener: u32,
    record: Record,
    /// When the SYN-ACK is sent again.
    until: Instant,
    previous: u32,
    next: u32,
}

/// Entries that are linked by [`Entry::next`].
#[derive(Copy, Clone, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// The place that ends a list.
const NIL: u32 = u32::MAX;

/// What a segment for a half-open connection leads to.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    Drop,
    /// This is to be sent.
    Answer(Segment),
    /// A reset is to answer it: it acknowledges what we did not send.
    Refuse,
    /// The peer has reset it: the owner is to remove it.
    Reset,
    /// Both: its peer begins anew elsewhere.
    RefuseAndReset,
    /// The handshake is done. The record stays until [`SynQueue::remove`], for the accept queue may be full.
    Complete(Accepted),
}

/// What became due.
#[derive(Debug)]
pub enum Due {
    /// Send this SYN-ACK again.
    Resend(Segment),
    /// The peer is waited for once more.
    Nothing,
    /// The peer never answered: the owner is to remove it.
    GivenUp,
}

/// What a SYN comes to where the connection is open at once, without a record.
//= RFC 7413 §4.2.2
pub fn accepted_at_once(now: Instant, syn: &Segment, opening: Opening, options: &Options) -> Accepted {
    Record::new(now, syn, opening, options).accepted()
}

impl<K: Copy> SynQueue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        SynQueue { entries: Slots::new(), waiting: [List { first: NIL, last: NIL }; MAX_RETRIES + 1] }
    }

    /// How many are half-open.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// What tells the peers of all of them apart.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(_, entry)| &entry.key)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Who is half-open at `place`.
    pub fn key(&self, place: u32) -> Option<&K> {
        self.entries.get(place as usize).map(|entry| &entry.key)
    }

    /// Whose SYN it has answered.
    pub fn listener(&self, place: u32) -> Option<u32> {
        self.entries.get(place as usize).map(|entry| entry.listener)
    }

    /// Whether our SYN-ACK has the number `seq`: what an ICMP error must quote.
    pub fn opens_with(&self, place: u32, seq: SeqNumber) -> bool {
        self.entries.get(place as usize).is_some_and(|entry| entry.record.opening.iss == seq)
    }

    /// The places of a listener's, in no particular order. Costs a look at all of them.
    pub fn of(&self, listener: u32) -> impl Iterator<Item = u32> + '_ {
        let its = move |entry: &Entry<K>| entry.listener == listener;
        self.entries.iter().filter(move |(_, entry)| its(entry)).map(|(place, _)| place as u32)
    }

    /// Drops what is at `place`. Gives whose it was.
    pub fn remove(&mut self, place: u32) -> Option<(K, u32)> {
        self.unlink(place);
        self.entries.try_remove(place as usize).map(|entry| (entry.key, entry.listener))
    }

    /// Takes a SYN of a new peer to `listener`. Gives its place, and the SYN-ACK that answers it.
    //= RFC 9293 §3.10.7.2
    pub fn on_syn(
        &mut self,
        now: Instant,
        (key, listener): (K, u32),
        syn: &Segment,
        opening: Opening,
        options: &Options,
    ) -> (u32, Segment) {
        let mut record = Record::new(now, syn, opening, options);
        let answer = record.syn_ack(now);
        let entry = Entry { key, listener, record, until: now, previous: NIL, next: NIL };
        let place = self.entries.insert(entry) as u32;
        self.wait(now, place);
        (place, answer)
    }

    /// Keeps the headers of the SYN.
    pub fn save(&mut self, place: u32, headers: Box<[u8]>) {
        if let Some(entry) = self.entries.get_mut(place as usize) {
            entry.record.saved = Some(Box::new(headers));
        }
    }

    /// The headers of the SYN, where they were kept.
    pub fn take_saved(&mut self, place: u32) -> Option<Box<[u8]>> {
        self.entries.get_mut(place as usize)?.record.saved.take().map(|headers| *headers)
    }

    /// Takes a segment for a half-open connection.
    pub fn on_segment(
        &mut self,
        now: Instant,
        place: u32,
        segment: &Segment,
        options: &Options,
        counters: &mut Counters,
    ) -> Step {
        match self.entries.get_mut(place as usize) {
            Some(entry) => entry.record.on_segment(now, segment, options, counters),
            None => Step::Drop,
        }
    }

    /// The next place where something is due at `now`, and what; `options` are those of a listener.
    pub fn pop_due<'a>(
        &mut self,
        now: Instant,
        options: impl Fn(u32) -> Option<&'a Options>,
    ) -> Option<(u32, Due)> {
        let fronts = self.waiting.iter().map(|list| list.first);
        let place = fronts.into_iter().find(|first| self.is_due(*first, now))?;
        self.unlink(place);
        let entry = self.entries.get_mut(place as usize)?;
        let Some(options) = options(entry.listener) else { return Some((place, Due::GivenUp)) };
        // As Linux: while data is waited for the peer has nothing to be told again, until the last time.
        let (record, defer) = (&mut entry.record, options.rare().defer_accept);
        let deferred = defer > 0 && record.acknowledged;
        let tried_enough = record.retries >= options.synack_retries.min(MAX_RETRIES as u8);
        if tried_enough && !(deferred && record.retries < defer) {
            return Some((place, Due::GivenUp));
        }
        let silent = deferred && record.retries < defer - 1;
        record.retries = record.retries.saturating_add(1);
        let due = if silent { Due::Nothing } else { Due::Resend(record.syn_ack(now)) };
        self.wait(now, place);
        Some((place, due))
    }

    fn is_due(&self, place: u32, now: Instant) -> bool {
        self.entries.get(place as usize).is_some_and(|entry| entry.until <= now)
    }

    /// When [`pop_due`](SynQueue::pop_due) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let fronts = self.waiting.iter().filter_map(|list| self.entries.get(list.first as usize));
        fronts.map(|entry| entry.until).min()
    }

    /// Puts what is at `place` at the end of those that have waited as often.
    fn wait(&mut self, now: Instant, place: u32) {
        let Some(entry) = self.entries.get_mut(place as usize) else { return };
        let level = level_of(entry);
        entry.until = now + (FIRST_TIMEOUT * (1 << level)).min(LONGEST_TIMEOUT);
        let last = core::mem::replace(&mut self.waiting[level].last, place);
        (entry.previous, entry.next) = (last, NIL);
        match self.entries.get_mut(last as usize) {
            Some(last) => last.next = place,
            None => self.waiting[level].first = place,
        }
    }

    /// Takes what is at `place` out of its list, if it stands in one.
    fn unlink(&mut self, place: u32) {
        let Some(entry) = self.entries.get_mut(place as usize) else { return };
        let (level, previous, next) = (level_of(entry), entry.previous, entry.next);
        (entry.previous, entry.next) = (NIL, NIL);
        let list = self.waiting[level];
        if previous == NIL && list.first != place {
            return;
        }
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.waiting[level].first = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.waiting[level].last = previous,
        }
    }
}

fn level_of<K>(entry: &Entry<K>) -> usize {
    usize::from(entry.record.retries).min(MAX_RETRIES)
}

impl<K: Copy> Default for SynQueue<K> {
    fn default() -> Self {
        SynQueue::new()
    }
}

#[cfg(test)]
mod tests;
