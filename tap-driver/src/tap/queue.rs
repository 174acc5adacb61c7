//! The two halves of a TAP queue: one `readv` a frame, one `writev` a frame.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{Medium, Transmit, verify};

use super::offload::{self, HEADER_LEN};
use crate::drops::{DropReason, LinkDrops};
use crate::gather::Gather;
use crate::link::{RecvHalf, RecvSlot, SendHalf};

/// Frames that the kernel can't hand over, skipped in one call.
const MAX_SKIPPED: usize = 16;

/// Reads frames from a TUN/TAP descriptor.
#[derive(Debug)]
pub(super) struct TapRecv {
    pub(super) file: Arc<File>,
    pub(super) medium: Medium,
    pub(super) header_len: usize,
    pub(super) drops: LinkDrops,
}

/// Writes frames to a TUN/TAP descriptor.
#[derive(Debug)]
pub(super) struct TapSend {
    pub(super) file: Arc<File>,
    pub(super) header_len: usize,
    pub(super) gather: Gather,
    pub(super) drops: LinkDrops,
}

impl RecvHalf for TapRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        for _ in 0..MAX_SKIPPED {
            let mut header = [0; HEADER_LEN];
            let header = &mut header[..self.header_len];
            let mut slices = [IoSliceMut::new(header), IoSliceMut::new(slot.buffer())];
            match (&*self.file).read_vectored(&mut slices) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
                Ok(len) if len <= self.header_len => self.drops.count(DropReason::InTooShort),
                Ok(len) => match frame(header, slot, len - self.header_len, self.medium) {
                    Some(frame) => return Ok(frame),
                    None => self.drops.count(DropReason::InMisdescribed),
                },
                // A frame that no virtio header describes. The kernel has dropped it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.drops.count(DropReason::InRefused);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.received()
    }
}

impl SendHalf for TapSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if self.header_len == 0 && is_unfinished(transmit) {
            self.drops.count(DropReason::OutUnfinished);
            return Ok(());
        }
        let header = offload::encode(transmit);
        let TapSend { file, header_len, gather, drops } = self;
        let sent = gather.write(&header[..*header_len], transmit, |slices| (&**file).write_vectored(slices));
        settle(sent, drops)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.sent()
    }
}

/// The frame of `len` bytes that has been read into `slot` behind a virtio header (or none), with its checksum
/// looked at unless the sender vouches for it. `None` where the header can't be of that frame.
pub(crate) fn frame(header: &[u8], slot: &mut RecvSlot, len: usize, medium: Medium) -> Option<Frame> {
    let bytes = slot.take(len);
    let said = offload::decode(header, &bytes, medium)?;
    let mut frame = Frame { bytes, checksum: said.checksum, gso_size: said.gso_size };
    frame.checksum = verify(&frame, medium);
    Some(frame)
}

/// The same, on a link without such headers.
pub(crate) fn bare_frame(slot: &mut RecvSlot, len: usize, medium: Medium) -> Frame {
    let mut frame = Frame::from(slot.take(len));
    frame.checksum = verify(&frame, medium);
    frame
}

/// Whether a link without offloads can't send this; the stack knows that from its caps, and doesn't ask for it.
pub(crate) fn is_unfinished(transmit: &Transmit) -> bool {
    transmit.checksum.is_some() || transmit.segmentation.is_some()
}

/// Tells a frame that is lost from a link that is gone.
///
/// A device whose interface is down takes nothing (a TAP device says EIO, a packet socket ENETDOWN) until it is up
/// again, and then goes on: a plug that is pulled, no more. Gone are EBADFD (a TAP device that was removed), ENXIO and
/// ENODEV (the interface of a packet socket), and what says that a local socket has no peer.
pub(crate) fn settle(sent: io::Result<usize>, drops: &LinkDrops) -> io::Result<()> {
    let Err(error) = sent else { return Ok(()) };
    match error.raw_os_error() {
        Some(libc::EINTR) => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        Some(libc::EIO | libc::ENETDOWN) => {
            drops.count(DropReason::OutDown);
            Ok(())
        }
        Some(libc::EINVAL | libc::EMSGSIZE | libc::ENOBUFS | libc::ENOMEM) => {
            drops.count(DropReason::OutRefused);
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn a_lost_frame_is_counted_and_a_link_that_is_gone_is_told_of() {
        let drops = LinkDrops::default();
        let settled = |errno| {
            let result = settle(Err(io::Error::from_raw_os_error(errno)), &drops);
            result.map_err(|error| error.raw_os_error().unwrap())
        };
        for errno in [libc::EBADFD, libc::ENODEV, libc::ENXIO, libc::EBADF, libc::EPIPE, libc::ECONNRESET] {
            assert_eq!(settled(errno), Err(errno));
        }
        assert_eq!((settled(libc::EAGAIN), settled(libc::EINTR)), (Err(libc::EAGAIN), Err(libc::EAGAIN)));
        assert_eq!(drops.sent(), 0);
        for errno in [libc::EIO, libc::ENETDOWN] {
            assert_eq!(settled(errno), Ok(()));
        }
        for errno in [libc::EINVAL, libc::EMSGSIZE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(settled(errno), Ok(()));
        }
        assert_eq!((drops.of(DropReason::OutDown), drops.of(DropReason::OutRefused)), (2, 4));
    }

    /// A local socket stands in for a device: what comes is no frame.
    #[test]
    fn one_call_skips_so_many_frames_and_no_more() {
        let (ours, theirs) = sys::seqpacket_pair().unwrap();
        let drops = LinkDrops::default();
        let (file, medium) = (Arc::new(File::from(ours)), Medium::Ethernet);
        let mut receive = TapRecv { file, medium, header_len: HEADER_LEN, drops: drops.clone() };
        for _ in 0..=MAX_SKIPPED {
            sys::send(theirs.as_fd(), &[io::IoSlice::new(&[0; HEADER_LEN])]).unwrap();
        }
        sys::send(theirs.as_fd(), &[io::IoSlice::new(&[0; HEADER_LEN + 60])]).unwrap();
        let mut slot = RecvSlot::new();
        assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(drops.of(DropReason::InTooShort), MAX_SKIPPED as u64);
        assert_eq!(receive.receive(&mut slot).unwrap().bytes.len(), 60);
        assert_eq!(drops.of(DropReason::InTooShort), MAX_SKIPPED as u64 + 1);
    }
}
