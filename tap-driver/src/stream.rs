//! Local sockets of type SOCK_STREAM: frames one after the other, each behind its length in four bytes, big-endian.
//! passt speaks this, and QEMU's `-netdev stream`.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use crate::drops::{DropReason, LinkDrops};
use crate::gather::Gather;
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::pool::LARGE;
use crate::sys::{self, Packet};
use crate::tap::queue::{self, is_unfinished, settle};

/// Bytes of the length before each frame.
const PREFIX_LEN: usize = 4;
/// Frames of no length, skipped in one call.
const MAX_SKIPPED: usize = 16;

/// A connected SOCK_STREAM socket, as a link. A sender waits for room; nothing is lost.
///
/// ```
/// use tapsock_driver::link::Link;
/// use tapsock_driver::stream::StreamLink;
///
/// let (here, _passt) = std::os::unix::net::UnixStream::pair()?;
/// let link = StreamLink::from_fd(here.into(), 1500)?;
/// assert_eq!((link.name(), link.caps().mtu), ("stream", 1500));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct StreamLink {
    socket: OwnedFd,
    mtu: usize,
    drops: LinkDrops,
}

impl StreamLink {
    /// Connects to the socket that `path` names: the one of `passt --socket PATH`. `mtu` is the largest IP packet, in
    /// bytes.
    ///
    /// # Errors
    ///
    /// What connect(2) says: ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE where it is of another type; EINVAL where the path is
    /// longer than a socket's may be.
    pub fn connect(path: &Path, mtu: usize) -> io::Result<StreamLink> {
        StreamLink::from_fd(sys::connect_local(libc::SOCK_STREAM, path)?, mtu)
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    ///
    /// ENOTSOCK where `fd` is no socket, ESOCKTNOSUPPORT where it is not of type SOCK_STREAM.
    pub fn from_fd(fd: OwnedFd, mtu: usize) -> io::Result<StreamLink> {
        if sys::option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE)? != libc::SOCK_STREAM {
            return Err(io::Error::from_raw_os_error(libc::ESOCKTNOSUPPORT));
        }
        Ok(StreamLink { socket: fd, mtu, drops: LinkDrops::default() })
    }
}

impl Link for StreamLink {
    fn caps(&self) -> LinkCaps {
        LinkCaps::plain(Medium::Ethernet, self.mtu)
    }

    fn name(&self) -> &str {
        "stream"
    }

    fn drops(&self) -> LinkDrops {
        self.drops.clone()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let StreamLink { socket, drops, .. } = *self;
        let socket = Arc::new(socket);
        let receive = StreamRecv {
            socket: socket.clone(),
            prefix: Partial::default(),
            frame: vec![0; LARGE].into(),
            filled: 0,
            drops: drops.clone(),
        };
        (
            Box::new(receive),
            Box::new(StreamSend { socket, gather: Gather::default(), rest: Vec::new(), drops }),
        )
    }
}

/// A length, as far as it has come.
#[derive(Copy, Clone, Debug, Default)]
struct Partial {
    bytes: [u8; PREFIX_LEN],
    filled: usize,
}

impl Partial {
    fn length(&self) -> Option<usize> {
        (self.filled == PREFIX_LEN).then(|| u32::from_be_bytes(self.bytes) as usize)
    }
}

/// Takes a frame and the length of the one behind it with each call. More than that length is never held back here:
/// whoever polls the socket would not learn of it.
struct StreamRecv {
    socket: Arc<OwnedFd>,
    prefix: Partial,
    /// The frame behind `prefix`, as far as it has come.
    frame: Box<[u8]>,
    filled: usize,
    drops: LinkDrops,
}

impl StreamRecv {
    /// Reads the rest of a length.
    fn read_prefix(&mut self) -> io::Result<()> {
        let Partial { bytes, filled } = &mut self.prefix;
        *filled += take(&self.socket, &mut [IoSliceMut::new(&mut bytes[*filled..])])?;
        Ok(())
    }

    /// Reads the rest of a frame of `len` bytes, and what has come of the next length, which it returns once the frame is
    /// whole.
    fn read_frame(&mut self, len: usize) -> io::Result<Option<Partial>> {
        let mut next = Partial::default();
        let wanted = len - self.filled;
        let mut slices =
            [IoSliceMut::new(&mut self.frame[self.filled..len]), IoSliceMut::new(&mut next.bytes)];
        let read = take(&self.socket, &mut slices)?;
        self.filled += read.min(wanted);
        next.filled = read.saturating_sub(wanted);
        Ok((read >= wanted).then_some(next))
    }
}

impl RecvHalf for StreamRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        let mut skipped = 0;
        while skipped < MAX_SKIPPED {
            match self.prefix.length() {
                None => self.read_prefix()?,
                Some(0) => {
                    self.drops.count(DropReason::InTooShort);
                    self.prefix = Partial::default();
                    skipped += 1;
                }
                // Nobody sends such frames: the two ends no longer agree on where one begins.
                Some(len) if len > LARGE => return Err(io::Error::from_raw_os_error(libc::EPROTO)),
                Some(len) => {
                    let Some(next) = self.read_frame(len)? else { continue };
                    slot.buffer()[..len].copy_from_slice(&self.frame[..len]);
                    (self.prefix, self.filled) = (next, 0);
                    return Ok(queue::bare_frame(slot, len, Medium::Ethernet));
                }
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.received()
    }
}

/// Reads what is there; ENODEV at the end of the stream.
fn take(socket: &OwnedFd, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    loop {
        match sys::receive(socket.as_fd(), slices) {
            Ok(Packet::Whole(0)) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Ok(Packet::Whole(read)) => return Ok(read),
            Ok(Packet::Truncated) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct StreamSend {
    socket: Arc<OwnedFd>,
    gather: Gather,
    /// What there was no room for of the frame that was tried last.
    rest: Vec<u8>,
    drops: LinkDrops,
}

impl StreamSend {
    /// Sends on with the frame that was tried last.
    fn finish(&mut self) -> io::Result<()> {
        let sent = sys::send(self.socket.as_fd(), &[IoSlice::new(&self.rest)]);
        match sent {
            Ok(sent) => drop(self.rest.drain(..sent)),
            // The stream would be lost with a part of a frame.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) => {}
            Err(error) => settle(Err(error), &self.drops)?,
        }
        if self.rest.is_empty() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EAGAIN)) }
    }
}

impl SendHalf for StreamSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if is_unfinished(transmit) {
            self.drops.count(DropReason::OutUnfinished);
            return Ok(());
        }
        if !self.rest.is_empty() {
            return self.finish();
        }
        let len = transmit.headers.len() + transmit.payload.len();
        let StreamSend { socket, gather, rest, drops } = self;
        // Prefix and frame in one call: passt reads them as one.
        let sent = gather.write(&(len as u32).to_be_bytes(), transmit, |slices| {
            let sent = sys::send(socket.as_fd(), slices)?;
            let mut skip = sent;
            for slice in slices {
                rest.extend_from_slice(&slice[skip.min(slice.len())..]);
                skip = skip.saturating_sub(slice.len());
            }
            Ok(sent)
        });
        settle(sent, drops)?;
        if self.rest.is_empty() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EAGAIN)) }
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.sent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use tapsock_stack::buf::{Chunk, HeaderBlock, Rope};

    fn halves() -> (Box<dyn RecvHalf>, Box<dyn SendHalf>, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        let (receive, send) = Box::new(StreamLink::from_fd(here.into(), 65_520).unwrap()).split();
        (receive, send, there)
    }

    fn frame(bytes: Vec<u8>) -> Transmit {
        let payload = Rope::from(Chunk::from(bytes));
        Transmit { headers: HeaderBlock::new(), payload, checksum: None, segmentation: None }
    }

    fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
        result.unwrap_err().raw_os_error().unwrap()
    }

    #[test]
    fn frames_come_whole_however_the_stream_is_cut() {
        let (mut receive, _send, mut there) = halves();
        let mut slot = RecvSlot::new();
        let mut stream = Vec::new();
        for len in [60, 1514, 0, 1, 40_000] {
            stream.extend_from_slice(&(len as u32).to_be_bytes());
            stream.extend(std::iter::repeat_n(len as u8, len));
        }
        for step in [1, 3, 4, 7, 64, 2000, stream.len()] {
            let mut lengths = Vec::new();
            for piece in stream.chunks(step) {
                there.write_all(piece).unwrap();
                while let Ok(frame) = receive.receive(&mut slot) {
                    assert!(frame.bytes.iter().all(|byte| *byte == frame.bytes.len() as u8));
                    lengths.push(frame.bytes.len());
                }
            }
            assert_eq!(lengths, [60, 1514, 1, 40_000], "in pieces of {step}");
        }
        assert_eq!(receive.dropped(), 7, "those without a byte");
        assert_eq!(errno(receive.receive(&mut slot)), libc::EAGAIN);
    }

    #[test]
    fn what_waits_can_be_polled_for() {
        let (mut receive, _send, mut there) = halves();
        there.write_all(&[0, 0, 0, 1, 7, 0, 0, 0, 1, 8]).unwrap();
        let mut slot = RecvSlot::new();
        for byte in [7, 8] {
            let [events] = sys::poll([(receive.poll_fd().unwrap(), libc::POLLIN)], 0).unwrap();
            assert_eq!(events, libc::POLLIN);
            assert_eq!(receive.receive(&mut slot).unwrap().bytes[..], [byte]);
        }
    }

    #[test]
    fn a_length_that_nobody_sends_ends_the_link_and_so_does_the_peer() {
        let (mut receive, _send, mut there) = halves();
        there.write_all(&[0xff; 8]).unwrap();
        assert_eq!(errno(receive.receive(&mut RecvSlot::new())), libc::EPROTO);
        let (mut receive, mut send, there) = halves();
        drop(there);
        assert_eq!(errno(receive.receive(&mut RecvSlot::new())), libc::ENODEV);
        assert_eq!(errno(send.transmit(&frame(vec![1; 60]))), libc::EPIPE);
    }

    /// A frame that has gone in part goes on where it stopped, once the same is tried again.
    #[test]
    fn nothing_is_lost_or_sent_twice_where_there_is_no_room() {
        let (receive, mut send, mut there) = halves();
        let mut expected = Vec::new();
        let mut read = Vec::new();
        let mut full = 0;
        for index in 0..200u32 {
            let bytes: Vec<u8> = (0..60_000u32).map(|at| (at + index) as u8).collect();
            expected.extend_from_slice(&60_000u32.to_be_bytes());
            expected.extend_from_slice(&bytes);
            let frame = frame(bytes);
            while let Err(error) = send.transmit(&frame) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                full += 1;
                let mut some = vec![0; 5000];
                let count = there.read(&mut some).unwrap();
                read.extend_from_slice(&some[..count]);
            }
        }
        drop((receive, send));
        there.read_to_end(&mut read).unwrap();
        assert!(full > 100, "{full} times no room");
        assert!(read == expected, "{} of {} bytes", read.len(), expected.len());
    }

    #[test]
    fn only_streams_are_taken() {
        let (left, _right) = sys::seqpacket_pair().unwrap();
        assert_eq!(errno(StreamLink::from_fd(left, 1500)), libc::ESOCKTNOSUPPORT);
        assert_eq!(errno(StreamLink::connect(Path::new("/nowhere/passt"), 1500)), libc::ENOENT);
        assert_eq!(errno(StreamLink::connect(Path::new(&"x".repeat(200)), 1500)), libc::EINVAL);
    }

    #[test]
    fn one_call_skips_so_many_empty_frames_and_no_more() {
        let (mut receive, _send, mut there) = halves();
        there.write_all(&[0; PREFIX_LEN * (MAX_SKIPPED + 1)]).unwrap();
        there.write_all(&[0, 0, 0, 1, 7]).unwrap();
        let mut slot = RecvSlot::new();
        assert_eq!(errno(receive.receive(&mut slot)), libc::EAGAIN);
        assert_eq!(receive.dropped(), MAX_SKIPPED as u64);
        assert_eq!(receive.receive(&mut slot).unwrap().bytes[..], [7]);
        assert_eq!(receive.dropped(), MAX_SKIPPED as u64 + 1);
    }
}
