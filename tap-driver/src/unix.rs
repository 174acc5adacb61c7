//! Local sockets of type SOCK_SEQPACKET: one frame a packet, to another process or another host of this one.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use crate::drops::{DropReason, LinkDrops};
use crate::gather::Gather;
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::sys::{self, Packet};
use crate::tap::offload::{self, HEADER_LEN};
use crate::tap::queue::{self, is_unfinished, settle};

/// Bytes that wait in each direction, where the kernel lets us.
const SEND_BUFFER: i32 = 4 << 20;
/// Packets that hold no frame, or one that their header can't be of, skipped in one call.
const MAX_SKIPPED: usize = 16;

/// What a packet of the socket holds.
///
/// ```
/// use tapsock_driver::unix::Framing;
///
/// assert_ne!(Framing::Frame, Framing::Vnet);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Framing {
    /// An Ethernet frame and nothing else: what slirp4netns speaks with `--target-type=bess`.
    Frame,
    /// A `virtio_net_hdr` of twelve bytes and an Ethernet frame of up to 64 KiB, with its checksum partial.
    Vnet,
}

/// A connected SOCK_SEQPACKET socket, as a link. A sender waits for room; nothing is lost.
///
/// ```
/// use tapsock_driver::link::Link;
/// use tapsock_driver::unix::{Framing, UnixLink};
///
/// let (here, there) = UnixLink::pair(Framing::Vnet, 1500)?;
/// assert_eq!(here.caps().gso_max, 65_535);
/// // `there` may go to another process: `there.into_fd()`, and `UnixLink::from_fd` over there.
/// let there = UnixLink::from_fd(there.into_fd(), Framing::Vnet, 1500)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixLink {
    socket: OwnedFd,
    framing: Framing,
    mtu: usize,
    drops: LinkDrops,
}

impl UnixLink {
    /// Two connected ends. `mtu` is the largest IP packet, in bytes.
    ///
    /// # Errors
    ///
    /// EMFILE and ENFILE, where no more descriptors may be opened.
    pub fn pair(framing: Framing, mtu: usize) -> io::Result<(UnixLink, UnixLink)> {
        let (left, right) = sys::seqpacket_pair()?;
        Ok((UnixLink::from_fd(left, framing, mtu)?, UnixLink::from_fd(right, framing, mtu)?))
    }

    /// Connects to the socket that `path` names: the one of `slirp4netns --target-type=bess PATH`, with
    /// [`Framing::Frame`]. `mtu` is the largest IP packet, in bytes.
    ///
    /// # Errors
    ///
    /// What connect(2) says: ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE where it is of another type; EINVAL where the path is
    /// longer than a socket's may be.
    pub fn connect(path: &Path, framing: Framing, mtu: usize) -> io::Result<UnixLink> {
        UnixLink::from_fd(sys::connect_local(libc::SOCK_SEQPACKET, path)?, framing, mtu)
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    ///
    /// ENOTSOCK where `fd` is no socket, ESOCKTNOSUPPORT where it is not of type SOCK_SEQPACKET.
    pub fn from_fd(fd: OwnedFd, framing: Framing, mtu: usize) -> io::Result<UnixLink> {
        if sys::option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE)? != libc::SOCK_SEQPACKET {
            return Err(io::Error::from_raw_os_error(libc::ESOCKTNOSUPPORT));
        }
        let set = |name| sys::set_option(fd.as_fd(), libc::SOL_SOCKET, name, SEND_BUFFER);
        set(libc::SO_SNDBUFFORCE).or_else(|_| set(libc::SO_SNDBUF))?;
        Ok(UnixLink { socket: fd, framing, mtu, drops: LinkDrops::default() })
    }

    /// The socket, for another process.
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }
}

impl Link for UnixLink {
    fn caps(&self) -> LinkCaps {
        match self.framing {
            Framing::Frame => LinkCaps::plain(Medium::Ethernet, self.mtu),
            Framing::Vnet => LinkCaps::offloading(Medium::Ethernet, self.mtu),
        }
    }

    fn name(&self) -> &str {
        "unix"
    }

    fn drops(&self) -> LinkDrops {
        self.drops.clone()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let header_len = match self.framing {
            Framing::Frame => 0,
            Framing::Vnet => HEADER_LEN,
        };
        let UnixLink { socket, drops, .. } = *self;
        let socket = Arc::new(socket);
        let receive = UnixRecv { socket: socket.clone(), header_len, drops: drops.clone() };
        (Box::new(receive), Box::new(UnixSend { socket, header_len, gather: Gather::default(), drops }))
    }
}

struct UnixRecv {
    socket: Arc<OwnedFd>,
    header_len: usize,
    drops: LinkDrops,
}

impl UnixRecv {
    /// Whether the peer has closed, and what it sent before has been read: a length of zero says so, but may as well
    /// be that of an empty packet.
    fn is_over(&self) -> io::Result<bool> {
        let [events] = sys::poll([(self.socket.as_fd(), libc::POLLRDHUP)], 0)?;
        // In this order: what is not there once the peer has closed will not come.
        Ok(events != 0 && sys::bytes_waiting(self.socket.as_fd())? == 0)
    }
}

impl RecvHalf for UnixRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        for _ in 0..MAX_SKIPPED {
            let mut header = [0; HEADER_LEN];
            let header = &mut header[..self.header_len];
            let mut slices = [IoSliceMut::new(header), IoSliceMut::new(slot.buffer())];
            match sys::receive(self.socket.as_fd(), &mut slices)? {
                Packet::Whole(0) if self.is_over()? => {
                    return Err(io::Error::from_raw_os_error(libc::ENODEV));
                }
                Packet::Whole(len) if len > self.header_len => {
                    match queue::frame(header, slot, len - self.header_len, Medium::Ethernet) {
                        Some(frame) => return Ok(frame),
                        None => self.drops.count(DropReason::InMisdescribed),
                    }
                }
                Packet::Whole(_) => self.drops.count(DropReason::InTooShort),
                Packet::Truncated => self.drops.count(DropReason::InTruncated),
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

struct UnixSend {
    socket: Arc<OwnedFd>,
    header_len: usize,
    gather: Gather,
    drops: LinkDrops,
}

impl SendHalf for UnixSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if self.header_len == 0 && is_unfinished(transmit) {
            self.drops.count(DropReason::OutUnfinished);
            return Ok(());
        }
        let header = offload::encode(transmit);
        let UnixSend { socket, header_len, gather, drops } = self;
        let sent = gather.write(&header[..*header_len], transmit, |slices| sys::send(socket.as_fd(), slices));
        settle(sent, drops)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.sent()
    }
}
