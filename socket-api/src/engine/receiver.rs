//! The receiving side of the link: frames are read into a batch before any lock of the stack is taken.

use std::io;

use tapsock_driver::{RecvHalf, RecvSlot};
use tapsock_stack::buf::Frame;

use super::outbox::{Trouble, link_trouble};
use super::stats::Stats;

/// Frames that are read at most before the stack is locked, and handed to it under one hold of the lock.
pub(crate) const BATCH: usize = 32;

/// A frame of at least this many bytes is taken for one of many: the next is read at once, whatever was asked for, for
/// one acknowledgement then answers several. A request or an answer is shorter, and costs one read.
const BULK_FRAME: usize = 1400;

/// Bytes that are read at most beyond what was asked for: more would be cold before anybody reads them.
const BULK_BYTES: usize = 256 * 1024;

/// How reading a batch ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As many as wanted were there: more may wait.
    Full,
    /// The same, and the last was a large one.
    Bulk,
    /// There are no more now.
    Empty,
    /// The link is gone.
    Gone(io::Error),
}

/// The receive half and the batch it reads into. The lock around it keeps frames in order; nobody sleeps under it.
pub(crate) struct Receiver {
    half: Option<Box<dyn RecvHalf>>,
    slot: RecvSlot,
    batch: Vec<Frame>,
}

impl Receiver {
    /// Reads from `half`; without one there is nothing to read.
    pub(crate) fn new(half: Option<Box<dyn RecvHalf>>) -> Self {
        Receiver { half, slot: RecvSlot::new(), batch: Vec::with_capacity(BATCH) }
    }

    /// Reads up to `limit` frames into the batch, or more while large ones come.
    pub(crate) fn read(&mut self, limit: usize, stats: &Stats) -> End {
        let Some(half) = &mut self.half else { return End::Empty };
        let (mut bytes, mut bulk) = (0, false);
        while self.batch.len() < limit || bulk && self.batch.len() < BATCH && bytes < BULK_BYTES {
            stats.link_reads.bump();
            match half.receive(&mut self.slot) {
                Ok(frame) => {
                    bytes += frame.bytes.len();
                    bulk = frame.bytes.len() >= BULK_FRAME;
                    self.batch.push(frame);
                }
                Err(error) => match link_trouble(&error) {
                    Trouble::Full => return End::Empty,
                    Trouble::Again => {}
                    Trouble::Gone => {
                        self.half = None;
                        return End::Gone(error);
                    }
                },
            }
        }
        if bulk { End::Bulk } else { End::Full }
    }

    /// Whether the batch holds frames.
    pub(crate) fn has_batch(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Takes the batch.
    pub(crate) fn batch(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.batch.drain(..)
    }

    /// The link's descriptor says that it is gone: reads no more.
    pub(crate) fn close(&mut self) {
        self.half = None;
    }
}
