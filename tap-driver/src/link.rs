//! What a link is to the rest: two halves that move frames, and the buffer that a frame is read into.

use std::io;
use std::os::fd::BorrowedFd;

use tapsock_stack::buf::{Chunk, Frame};
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

use crate::drops::LinkDrops;
use crate::pool::{LARGE, Pool};

/// A way to move frames: a TAP device, a packet socket, a wire in memory.
///
/// Neither half ever blocks; a caller waits on the halves' descriptors.
///
/// ```
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
/// use tapsock_driver::{Link, RecvHalf, RecvSlot, SendHalf};
///
/// let (link, _other_end) = MemoryLink::pair(MemoryConfig::default())?;
/// let link: Box<dyn Link> = Box::new(link);
/// assert_eq!((link.name(), link.caps().mtu), ("memory0", 1500));
/// let (mut receive, send) = link.split();
/// let nothing_yet = receive.receive(&mut RecvSlot::new()).unwrap_err();
/// assert_eq!(nothing_yet.kind(), std::io::ErrorKind::WouldBlock);
/// assert!(receive.poll_fd().is_some() && send.dropped() == 0);
/// # std::io::Result::Ok(())
/// ```
pub trait Link: Send {
    /// What the link can do.
    fn caps(&self) -> LinkCaps;

    /// A short name for people: the device's, where there is one.
    fn name(&self) -> &str;

    /// What the link drops, by reason: a handle that goes on counting when the link has been taken apart. A link
    /// that drops nothing itself returns one of its own that stays at zero; one around another link, the other's.
    fn drops(&self) -> LinkDrops;

    /// Takes the link apart, so that one thread may receive while another sends.
    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>);
}

/// The half of a link that frames come from.
pub trait RecvHalf: Send {
    /// Takes the next frame, at most one system call for each in the usual case.
    ///
    /// The transport checksum has been looked at already
    /// ([`verify`](tapsock_stack::wire::offload::verify)), where the link does not vouch for it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) (EAGAIN) where no frame waits: try again when
    /// [`poll_fd`](Self::poll_fd) is readable. Every other error means that the link is gone. An interface that is
    /// down is not gone: no frames come from it meanwhile.
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame>;

    /// What to poll for `POLLIN`; `None` where the link needs no waiting.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Frames that came and could not be taken. [`Link::drops`] tells why.
    fn dropped(&self) -> u64;
}

/// The half of a link that frames go to.
pub trait SendHalf: Send {
    /// Sends one frame, whole.
    ///
    /// A frame that the device refuses without being gone itself, since its interface is down for one, counts in
    /// [`dropped`](Self::dropped), as one that a wire loses.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) (EAGAIN) where there is no room: try the same frame again, and no
    /// other before it, when [`poll_fd`](Self::poll_fd) is writable; a part of it may have gone. Every other error means that the link is gone.
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()>;

    /// What to poll for `POLLOUT`; `None` where the link needs no waiting.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Frames that [`transmit`](Self::transmit) took and the device refused. [`Link::drops`] tells why.
    fn dropped(&self) -> u64;
}

impl Link for Box<dyn Link> {
    fn caps(&self) -> LinkCaps {
        (**self).caps()
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn drops(&self) -> LinkDrops {
        (**self).drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        (*self).split()
    }
}

/// A frame of fewer bytes than this leaves the large buffer that it was read into.
pub const COMPACT_BELOW: usize = 16 * 1024;

/// Where a frame is read to: a large buffer of a pool, used again as soon as nobody holds a frame in it.
///
/// A link reads into [`buffer`](Self::buffer) and takes the bytes with [`take`](Self::take). A small frame is
/// copied into a buffer of its own size, so that unread bytes can't pin 64 KiB, and the large one stays hot.
///
/// ```
/// use tapsock_driver::link::RecvSlot;
///
/// let mut slot = RecvSlot::new();
/// slot.buffer()[..5].copy_from_slice(b"hello");
/// let bytes = slot.take(5);
/// assert_eq!(&bytes[..], b"hello");
/// assert!(bytes.buffer_capacity() <= 2048);
/// ```
#[derive(Debug, Default)]
pub struct RecvSlot {
    pool: Pool,
}

impl RecvSlot {
    /// A slot with a pool of its own, empty as yet.
    pub fn new() -> Self {
        RecvSlot::default()
    }

    /// The buffer to read the next frame into, of [`LARGE`] bytes. What it holds is left over from earlier frames.
    pub fn buffer(&mut self) -> &mut [u8] {
        self.pool.large_buffer()
    }

    /// The first `len` bytes of what [`buffer`](Self::buffer) gave last. Takes no more than [`LARGE`].
    pub fn take(&mut self, len: usize) -> Chunk {
        let len = len.min(LARGE);
        if len < COMPACT_BELOW { self.pool.compact_large(len) } else { self.pool.share_large(len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_keeps_its_buffer_and_a_small_one_does_not() {
        let mut slot = RecvSlot::new();
        slot.buffer()[..3].copy_from_slice(b"abc");
        let small = slot.take(3);
        let first = slot.buffer().as_ptr();
        let large = slot.take(COMPACT_BELOW);
        assert_eq!(large.as_ptr(), first, "shared, not copied");
        assert_eq!(large.buffer_capacity(), LARGE);
        assert_eq!(small.buffer_capacity(), 256);
        assert_ne!(slot.buffer().as_ptr(), first, "a buffer that is held is not written to");
        drop(large);
        assert_eq!(&small[..], b"abc");
    }

    #[test]
    fn a_length_beyond_the_buffer_is_cut() {
        let mut slot = RecvSlot::new();
        slot.buffer();
        assert_eq!(slot.take(usize::MAX).len(), LARGE);
    }
}
