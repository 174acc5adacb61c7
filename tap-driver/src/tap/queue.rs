//! The two halves of a TAP queue: one `readv` a frame, one `writev` a frame.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{Medium, Transmit, verify};

use super::offload::{self, HEADER_LEN};
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
}

/// Writes frames to a TUN/TAP descriptor.
#[derive(Debug)]
pub(super) struct TapSend {
    pub(super) file: Arc<File>,
    pub(super) header_len: usize,
    pub(super) gather: Gather,
    pub(super) dropped: u64,
}

impl RecvHalf for TapRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        for _ in 0..MAX_SKIPPED {
            let mut header = [0; HEADER_LEN];
            let header = &mut header[..self.header_len];
            let mut slices = [IoSliceMut::new(header), IoSliceMut::new(slot.buffer())];
            match (&*self.file).read_vectored(&mut slices) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
                Ok(len) if len <= self.header_len => continue,
                Ok(len) => return Ok(frame(header, slot, len - self.header_len, self.medium)),
                // A frame that no virtio header describes. The kernel has dropped it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

impl SendHalf for TapSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if self.header_len == 0 && is_unfinished(transmit) {
            self.dropped += 1;
            return Ok(());
        }
        let header = offload::encode(transmit);
        let TapSend { file, header_len, gather, dropped } = self;
        let sent = gather.write(&header[..*header_len], transmit, |slices| (&**file).write_vectored(slices));
        settle(sent, dropped)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The frame of `len` bytes that has been read into `slot` behind a virtio header (or none), with its checksum
/// looked at unless the kernel vouches for it.
pub(crate) fn frame(header: &[u8], slot: &mut RecvSlot, len: usize, medium: Medium) -> Frame {
    let said = offload::decode(header);
    let mut frame = Frame { bytes: slot.take(len), checksum: said.checksum, gso_size: said.gso_size };
    frame.checksum = verify(&frame, medium);
    frame
}

/// Whether a link without offloads can't send this; the stack knows that from its caps, and doesn't ask for it.
pub(crate) fn is_unfinished(transmit: &Transmit) -> bool {
    transmit.checksum.is_some() || transmit.segmentation.is_some()
}

/// Tells a frame that the kernel refused from a link that is gone.
pub(crate) fn settle(sent: io::Result<usize>, dropped: &mut u64) -> io::Result<()> {
    const REFUSED: [i32; 4] = [libc::EINVAL, libc::EMSGSIZE, libc::ENOBUFS, libc::ENOMEM];
    match sent {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        }
        Err(error) if error.raw_os_error().is_some_and(|errno| REFUSED.contains(&errno)) => {
            *dropped += 1;
            Ok(())
        }
        Err(error) => Err(error),
    }
}
