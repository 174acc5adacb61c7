//! A line of a rate, with a queue before it that drops at its tail.

use core::time::Duration;
use std::collections::VecDeque;

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;

use super::{Arrival, Impaired, Impairment};

/// Bytes that wait before the line unless said otherwise: 20 ms of 100 Mbit/s.
pub const DEFAULT_QUEUE_BYTES: usize = 256 * 1024;

/// A line of so many bits a second. Frames wait for it in a bounded queue; one that finds the queue full is dropped.
///
/// ```
/// use tapsock_sim::Rate;
///
/// let dsl = Rate::mbit(10).queue_frames(20);
/// let modem = Rate::bits_per_second(56_000).queue_bytes(8_000);
/// # let _ = (dsl, modem);
/// ```
#[derive(Clone, Debug)]
pub struct Rate {
    bits_per_second: u64,
    limit: Limit,
    /// When each frame that is not gone yet will be, and its length.
    queue: VecDeque<(Instant, usize)>,
    queued_bytes: usize,
}

#[derive(Clone, Debug)]
enum Limit {
    Bytes(usize),
    Frames(usize),
}

impl Rate {
    /// `bits` a second in each direction, whole frames counted, link header included.
    pub fn bits_per_second(bits: u64) -> Impaired<Rate> {
        Impaired::new(Rate {
            bits_per_second: bits.max(1),
            limit: Limit::Bytes(DEFAULT_QUEUE_BYTES),
            queue: VecDeque::new(),
            queued_bytes: 0,
        })
    }

    /// `mbit` million bits a second in each direction.
    pub fn mbit(mbit: u64) -> Impaired<Rate> {
        Rate::bits_per_second(mbit * 1_000_000)
    }

    fn is_full(&self, len: usize) -> bool {
        match self.limit {
            Limit::Bytes(bytes) => !self.queue.is_empty() && self.queued_bytes + len > bytes,
            Limit::Frames(frames) => self.queue.len() >= frames,
        }
    }
}

impl Impaired<Rate> {
    /// At most `bytes` wait or are on the line; a frame always enters an empty queue.
    pub fn queue_bytes(self, bytes: usize) -> Self {
        self.map(|rate| rate.limit = Limit::Bytes(bytes))
    }

    /// At most `frames` wait or are on the line.
    pub fn queue_frames(self, frames: usize) -> Self {
        self.map(|rate| rate.limit = Limit::Frames(frames.max(1)))
    }
}

impl Impairment for Rate {
    fn name(&self) -> String {
        "rate".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        while let Some(&(gone, len)) = self.queue.front()
            && gone <= arrival.now
        {
            self.queue.pop_front();
            self.queued_bytes -= len;
        }
        let len = frame.bytes.len();
        if self.is_full(len) {
            return arrival.drop(frame);
        }
        let begin = self.queue.back().map_or(arrival.now, |&(gone, _)| gone);
        let nanos = (len as u128 * 8 * 1_000_000_000).div_ceil(u128::from(self.bits_per_second));
        let gone = begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.queue.push_back((gone, len));
        self.queued_bytes += len;
        arrival.pass_at(gone, frame);
    }
}
