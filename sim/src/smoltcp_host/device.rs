//! A link of two queues.

use std::collections::VecDeque;

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use tapsock_stack::buf::{Chunk, Frame};

/// What smoltcp reads frames from and writes them to.
pub(super) struct QueueDevice {
    capabilities: DeviceCapabilities,
    incoming: VecDeque<Chunk>,
    outgoing: VecDeque<Vec<u8>>,
    sent: u64,
}

impl QueueDevice {
    /// `max_frame` counts the link header in.
    pub(super) fn new(medium: Medium, max_frame: usize) -> Self {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = medium;
        capabilities.max_transmission_unit = max_frame;
        QueueDevice { capabilities, incoming: VecDeque::new(), outgoing: VecDeque::new(), sent: 0 }
    }

    pub(super) fn deliver(&mut self, frames: Vec<Frame>) {
        self.incoming.extend(frames.into_iter().map(|frame| frame.bytes));
    }

    /// How many frames smoltcp has written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn take_sent(&mut self) -> impl Iterator<Item = Vec<u8>> {
        self.outgoing.drain(..)
    }
}

impl Device for QueueDevice {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _timestamp: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((RxToken(frame), TxToken(&mut self.outgoing, &mut self.sent)))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<TxToken<'_>> {
        Some(TxToken(&mut self.outgoing, &mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

pub(super) struct RxToken(Chunk);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(super) struct TxToken<'a>(&'a mut VecDeque<Vec<u8>>, &'a mut u64);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        *self.1 += 1;
        result
    }
}
