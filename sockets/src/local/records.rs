//! A queue of records: what seqpacket and datagram sockets receive from.

use std::collections::VecDeque;

use tapsock_stack::time::Instant;

use super::ancillary::Credentials;
use super::bytes::ByteQueue;
use super::pair::{EndOptions, Inbox};
use super::payload::{Payload, Sink};

/// Records in order, each with what came beside its bytes, and with `S`, who sent it. Bounded by the credit of the
/// senders, and by who puts records in.
#[derive(Debug)]
pub struct Records<R, S = ()> {
    records: VecDeque<Record<R, S>>,
    bytes: ByteQueue,
    /// How many were taken.
    front: u64,
}

#[derive(Debug)]
struct Record<R, S> {
    len: usize,
    charge: u32,
    /// An empty record that was peeked at: a peek with SO_PEEK_OFF passes it.
    peeked: bool,
    sent_at: Option<Instant>,
    credentials: Credentials,
    rights: Vec<R>,
    sender: S,
}

/// Whether a receiving call leaves what it reads in the queue (MSG_PEEK).
///
/// ```
/// use tapsock_sockets::local::Peek;
///
/// assert_ne!(Peek::Yes, Peek::No);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Peek {
    /// It takes it.
    No,
    /// It leaves it.
    Yes,
}

/// A record that was received, or looked at.
///
/// ```
/// use tapsock_sockets::local::ReceivedRecord;
///
/// let end: ReceivedRecord<()> = ReceivedRecord::end();
/// assert_eq!((end.len, end.is_truncated()), (0, false));
/// ```
#[derive(Debug)]
pub struct ReceivedRecord<R, S = ()> {
    /// Bytes that went into the sink.
    pub len: usize,
    /// Bytes that the record had, from where it was read: what the call returns with MSG_TRUNC.
    pub full_len: usize,
    /// Who sent it, where SO_PASSCRED is on. Linux shows zeros at the end of the records, where this is `None`.
    pub credentials: Option<Credentials>,
    /// When it was sent, where its receiver asked for that by then.
    pub sent_at: Option<Instant>,
    /// The handles that came with it; of a peek, copies of them.
    pub rights: Vec<R>,
    /// Who sent it; `None` at the end of the records.
    pub sender: Option<S>,
}

impl<R, S> ReceivedRecord<R, S> {
    /// What a call receives when no record will come any more.
    pub fn end() -> Self {
        ReceivedRecord {
            len: 0,
            full_len: 0,
            credentials: None,
            sent_at: None,
            rights: Vec::new(),
            sender: None,
        }
    }

    /// Whether there was more in it: MSG_TRUNC in `msg_flags`.
    pub fn is_truncated(&self) -> bool {
        self.len < self.full_len
    }
}

impl<R, S> Default for Records<R, S> {
    fn default() -> Self {
        Records { records: VecDeque::new(), bytes: ByteQueue::default(), front: 0 }
    }
}

impl<R, S> Records<R, S> {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    /// Length of the first record in bytes: FIONREAD of a datagram socket.
    pub(crate) fn first_len(&self) -> usize {
        self.records.front().map_or(0, |record| record.len)
    }

    pub(crate) fn push(
        &mut self,
        mut payload: Payload<'_>,
        charge: u32,
        (credentials, sent_at): (Credentials, Option<Instant>),
        rights: Vec<R>,
        sender: S,
    ) {
        let len = payload.len();
        self.bytes.push(&mut payload, len);
        self.records.push_back(Record { len, charge, peeked: false, sent_at, credentials, rights, sender });
    }

    /// Takes the first record, at most `max` bytes of it, and its charge; the rest of it is gone.
    pub(crate) fn take(
        &mut self,
        max: usize,
        options: &mut EndOptions,
        sink: &mut impl Sink,
    ) -> Option<(ReceivedRecord<R, S>, u32)> {
        let record = self.records.pop_front()?;
        self.front += 1;
        let len = record.len.min(max);
        self.bytes.take(len, sink);
        self.bytes.skip(record.len - len);
        options.taken(record.len);
        let received = ReceivedRecord {
            len,
            full_len: record.len,
            credentials: options.pass_credentials.then_some(record.credentials),
            sent_at: record.sent_at,
            rights: record.rights,
            sender: Some(record.sender),
        };
        Some((received, record.charge))
    }

    /// Who sent each of them.
    pub(crate) fn senders_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.records.iter_mut().map(|record| &mut record.sender)
    }

    /// Takes out everything: the charge of each record with its sender and its handles.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, S, Vec<R>)> {
        self.front += self.records.len() as u64;
        self.bytes = ByteQueue::default();
        self.records.drain(..).map(|record| (record.charge, record.sender, record.rights))
    }
}

impl<R: Clone, S: Clone> Records<R, S> {
    /// Looks at the first record, or with SO_PEEK_OFF at what stands there.
    pub(crate) fn peek(
        &mut self,
        max: usize,
        options: &mut EndOptions,
        sink: &mut impl Sink,
    ) -> Option<ReceivedRecord<R, S>> {
        let mut start = 0;
        let mut skip = options.peek_start().unwrap_or(0);
        let record = self.records.iter_mut().find(|record| {
            let passed = options.peek_start().is_some() && skip >= record.len && (skip > 0 || record.peeked);
            if passed {
                skip -= record.len;
                start += record.len;
            }
            !passed
        })?;
        record.peeked |= record.len == 0;
        let full_len = record.len - skip;
        let len = full_len.min(max);
        self.bytes.peek(start + skip, len, sink);
        options.peeked(len);
        Some(ReceivedRecord {
            len,
            full_len,
            credentials: options.pass_credentials.then_some(record.credentials),
            sent_at: record.sent_at,
            rights: record.rights.clone(),
            sender: Some(record.sender.clone()),
        })
    }
}

impl<R, S> Inbox for Records<R, S> {
    type Right = R;

    fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn unread(&self) -> usize {
        self.bytes.len()
    }

    fn is_urgent(&self) -> bool {
        false
    }

    fn loses_something(&self) -> bool {
        let empty = self.records.front().is_some_and(|record| record.len == 0);
        self.records.len() > usize::from(empty)
    }

    fn arrivals(&self) -> u64 {
        self.front + self.records.len() as u64
    }

    fn rights(&self) -> impl Iterator<Item = &R> {
        self.records.iter().flat_map(|record| &record.rights)
    }

    fn clear(&mut self) -> (u64, Vec<R>) {
        let (mut charge, mut rights) = (0, Vec::new());
        for (part, _, handles) in self.drain() {
            charge += u64::from(part);
            rights.extend(handles);
        }
        (charge, rights)
    }
}
