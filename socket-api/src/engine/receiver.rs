//! The receiving side of the link: frames are read into a batch before any lock of the stack is taken.

use std::io;

use tapsock_driver::{RecvHalf, RecvSlot};
use tapsock_stack::buf::Frame;
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::offload::Medium;

use super::outbox::{Trouble, link_trouble};
use super::stats::Stats;

/// Frames that are read at most before the stack is locked, and handed to it under one hold of the lock.
pub(crate) const BATCH: usize = 32;

/// A frame of at least this many bytes is taken for one of many: the next is read at once, whatever was asked for, for
/// one acknowledgement then answers several. A request or an answer is shorter, and costs one read.
const BULK_FRAME: usize = 1400;

/// Bytes that are read at most beyond what was asked for: more would be cold before anybody reads them.
const BULK_BYTES: usize = 256 * 1024;

/// After so many bytes of datagrams a batch ends. Nothing holds their senders back: what a socket has no room for before
/// its program reads is lost, and unless it was told otherwise it has room for three of the largest.
const DATAGRAM_BYTES: usize = 160 * 1024;

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
    medium: Medium,
    slot: RecvSlot,
    batch: Vec<Frame>,
}

impl Receiver {
    /// Reads frames of `medium` from `half`; without one there is nothing to read.
    pub(crate) fn new(half: Option<Box<dyn RecvHalf>>, medium: Medium) -> Self {
        Receiver { half, medium, slot: RecvSlot::new(), batch: Vec::with_capacity(BATCH) }
    }

    /// Reads up to `limit` frames into the batch, or more while large ones come.
    pub(crate) fn read(&mut self, limit: usize, stats: &Stats) -> End {
        let Some(half) = &mut self.half else { return End::Empty };
        let (mut bytes, mut of_datagrams, mut bulk) = (0, 0, false);
        while of_datagrams < DATAGRAM_BYTES
            && (self.batch.len() < limit || bulk && self.batch.len() < BATCH && bytes < BULK_BYTES)
        {
            stats.link_reads.bump();
            match half.receive(&mut self.slot) {
                Ok(frame) => {
                    bytes += frame.bytes.len();
                    if !is_tcp(&frame, self.medium) {
                        of_datagrams += frame.bytes.len();
                    }
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

/// Whether a frame is a segment of TCP's, whose window bounds what comes.
fn is_tcp(frame: &Frame, medium: Medium) -> bool {
    let packet = frame.bytes.get(medium.header_len()..).unwrap_or_default();
    let protocol = match packet.first().map(|byte| byte >> 4) {
        Some(4) => packet.get(9),
        Some(6) => packet.get(6),
        _ => None,
    };
    protocol == Some(&IpProtocol::TCP.0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use super::*;

    /// A link on which one frame after another comes.
    struct Endless(Frame);

    impl RecvHalf for Endless {
        fn receive(&mut self, _: &mut RecvSlot) -> io::Result<Frame> {
            Ok(self.0.clone())
        }

        fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        fn dropped(&self) -> u64 {
            0
        }
    }

    #[test]
    fn of_datagrams_no_more_are_read_than_a_socket_has_room_for() {
        let batch = |protocol: IpProtocol, len: usize, limit: usize| {
            let mut bytes = vec![0; 14 + len];
            (bytes[14], bytes[14 + 9]) = (0x45, protocol.0);
            let half: Box<dyn RecvHalf> = Box::new(Endless(Frame::from(bytes)));
            let mut receiver = Receiver::new(Some(half), Medium::Ethernet);
            receiver.read(limit, &Stats::default());
            receiver.batch().count()
        };
        assert_eq!(batch(IpProtocol::UDP, 65_000, BATCH), 3);
        assert_eq!(batch(IpProtocol::UDP, 100, BATCH), BATCH);
        assert_eq!(batch(IpProtocol::TCP, 65_000, BATCH), BATCH);
        assert_eq!(batch(IpProtocol::TCP, 65_000, 1), 5, "while large ones come");
    }
}
