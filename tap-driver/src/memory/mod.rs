//! Links without a device: a wire between two stacks of one process, and a switch for more.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit, verify};

use crate::drops::LinkDrops;
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::pool::Pool;
use queue::{FrameQueue, Refused, WhenFull};

mod queue;
mod switch;

pub use switch::{MemoryPort, MemorySwitch};

/// What a wire or a switch in memory is like.
///
/// ```
/// use tapsock_driver::memory::MemoryConfig;
///
/// let jumbo = MemoryConfig { mtu: 9000, ..MemoryConfig::default() };
/// assert_eq!(jumbo.capacity, 1024);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct MemoryConfig {
    /// What a frame begins with.
    pub medium: Medium,
    /// Largest IP packet, in bytes.
    pub mtu: usize,
    /// Frames that wait in each direction, or for each port, at most.
    pub capacity: usize,
    /// Whether frames of 64 KiB cross whole, with partial checksums.
    pub offload: Offload,
}

/// Whether a link carries what is yet to be cut and summed.
///
/// ```
/// use tapsock_driver::memory::Offload;
///
/// assert_eq!(Offload::default(), Offload::Whole);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Offload {
    /// Frames of up to 64 KiB cross whole, and the receiver takes the sender's word for the checksum.
    #[default]
    Whole,
    /// Each frame is at most an MTU, with its checksum filled in.
    Plain,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig { medium: Medium::Ethernet, mtu: 1500, capacity: 1024, offload: Offload::Whole }
    }
}

impl MemoryConfig {
    fn caps(&self) -> LinkCaps {
        match self.offload {
            Offload::Whole => LinkCaps::offloading(self.medium, self.mtu),
            Offload::Plain => LinkCaps::plain(self.medium, self.mtu),
        }
    }
}

/// One end of a wire in memory.
///
/// A sender that finds the queue full waits for room; nothing is lost. Where one end is dropped, the other takes
/// what is left and then gets ENODEV.
///
/// ```
/// use tapsock_driver::link::{Link, RecvSlot};
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::wire::offload::Transmit;
///
/// let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
/// let (_, mut send) = Box::new(left).split();
/// let (mut receive, _) = Box::new(right).split();
/// let payload = Rope::from(vec![7; 60]);
/// send.transmit(&Transmit { headers: HeaderBlock::new(), payload, checksum: None, segmentation: None })?;
/// assert_eq!(&receive.receive(&mut RecvSlot::new())?.bytes[..], [7; 60]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct MemoryLink {
    caps: LinkCaps,
    name: &'static str,
    incoming: Receiver,
    outgoing: Sender,
}

impl MemoryLink {
    /// Two ends of one wire.
    ///
    /// # Errors
    ///
    /// EMFILE and ENFILE, where no more descriptors may be opened.
    pub fn pair(config: MemoryConfig) -> io::Result<(MemoryLink, MemoryLink)> {
        let there = Arc::new(FrameQueue::new(config.capacity)?);
        let back = Arc::new(FrameQueue::new(config.capacity)?);
        let end = |name, incoming: &Arc<FrameQueue>, outgoing: &Arc<FrameQueue>| MemoryLink {
            caps: config.caps(),
            name,
            incoming: Receiver(incoming.clone()),
            outgoing: Sender(outgoing.clone()),
        };
        Ok((end("memory0", &back, &there), end("memory1", &there, &back)))
    }
}

impl Link for MemoryLink {
    fn caps(&self) -> LinkCaps {
        self.caps
    }

    fn name(&self) -> &str {
        self.name
    }

    fn drops(&self) -> LinkDrops {
        LinkDrops::default()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let MemoryLink { caps, incoming, outgoing, .. } = *self;
        let receive = MemoryRecv { queue: incoming, medium: caps.medium };
        (Box::new(receive), Box::new(WireSend { queue: outgoing, frames: FrameMaker::default() }))
    }
}

/// The end of a queue that frames come out of; says so when it is dropped.
#[derive(Debug)]
struct Receiver(Arc<FrameQueue>);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.close_receiver();
    }
}

/// The end of a queue that frames go into; says so when it is dropped.
#[derive(Debug)]
struct Sender(Arc<FrameQueue>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.close_sender();
    }
}

struct MemoryRecv {
    queue: Receiver,
    medium: Medium,
}

impl RecvHalf for MemoryRecv {
    fn receive(&mut self, _slot: &mut RecvSlot) -> io::Result<Frame> {
        let mut frame = self.queue.0.pop()?;
        frame.checksum = verify(&frame, self.medium);
        Ok(frame)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.queue.0.readable())
    }

    fn dropped(&self) -> u64 {
        0
    }
}

struct WireSend {
    queue: Sender,
    frames: FrameMaker,
}

impl SendHalf for WireSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let WireSend { queue, frames } = self;
        queue.0.push(WhenFull::PushBack, || frames.frame(transmit)).map_err(|refused| match refused {
            Refused::Full => io::Error::from_raw_os_error(libc::EAGAIN),
            Refused::ReceiverGone => io::Error::from_raw_os_error(libc::ENODEV),
        })
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.queue.0.writable())
    }

    fn dropped(&self) -> u64 {
        0
    }
}

/// Makes frames of what is sent, in buffers of a pool.
#[derive(Debug, Default)]
struct FrameMaker {
    pool: Pool,
}

impl FrameMaker {
    /// The frame as its receiver sees it; a partial checksum counts as valid, since memory flips no bits.
    fn frame(&mut self, transmit: &Transmit) -> Frame {
        let header_len = transmit.headers.len();
        let bytes = self.pool.build(transmit.len(), |buffer| {
            buffer[..header_len].copy_from_slice(&transmit.headers);
            transmit.payload.copy_to(&mut buffer[header_len..]);
        });
        Frame {
            bytes,
            checksum: transmit.checksum.map_or(Checksum::Unverified, |_| Checksum::Valid),
            gso_size: transmit.segmentation.map(|segmentation| segmentation.size),
        }
    }
}

#[cfg(test)]
mod tests;
