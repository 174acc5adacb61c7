//! Packet sockets: an existing interface as a link, a veth end in the usual case.
//!
//! Where /dev/net/tun is closed this is the way to the kernel. `PACKET_VNET_HDR` gives whole frames of 64 KiB and
//! partial checksums both ways, as at a TAP device: packet(7).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use crate::drops::{DropReason, LinkDrops};
use crate::error::{During, OpenError};
use crate::gather::Gather;
use crate::kernel_end::{KernelEnd, Place};
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::rtnl::{DeviceChange, Rtnl};
use crate::sys::{self, Packet};
use crate::tap::offload::{self, SHORT_HEADER_LEN};
use crate::tap::queue::{self, settle};

/// Bytes of received frames that the kernel keeps for us, where it lets us; merged frames take twice their length.
const RECEIVE_BUFFER: i32 = 32 << 20;
/// Frames that the kernel can't hand over, skipped in one call.
const MAX_SKIPPED: usize = 16;
/// Longest name of a device, in bytes: `IFNAMSIZ` less its NUL.
const MAX_NAME: usize = 15;
/// What our end of a pair is called after the kernel's.
const PEER_SUFFIX: &str = "-ts";

/// A packet socket on an interface, as a link.
///
/// The stack on it must have an Ethernet address of its own: the kernel takes no notice of frames to a station
/// that it is not.
///
/// ```no_run
/// use tapsock_driver::packet::PacketLink;
///
/// // As root, on one end of a veth pair that has no address on this end.
/// let link = PacketLink::open("veth1")?;
/// # Ok::<(), tapsock_driver::OpenError>(())
/// ```
#[derive(Debug)]
pub struct PacketLink {
    socket: OwnedFd,
    name: String,
    caps: LinkCaps,
    interface: Option<Interface>,
    drops: LinkDrops,
}

/// The interface under a packet socket, and whom to ask for it.
#[derive(Debug)]
struct Interface {
    rtnl: Rtnl,
    index: u32,
}

impl PacketLink {
    /// Opens the interface `name` of this process's network namespace. It is not configured: the kernel should
    /// have no address on it.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV where there is no such interface.
    pub fn open(name: &str) -> Result<PacketLink, OpenError> {
        PacketLink::open_in(Place::Here, name)
    }

    /// Makes a veth pair in `place`, and opens the end that is not the kernel's.
    pub(crate) fn open_veth_in(place: Place<'_>, kernel_end: &KernelEnd) -> Result<PacketLink, OpenError> {
        let peer = peer_name(&kernel_end.name);
        let mut rtnl = place.rtnl()?;
        rtnl.add_veth(&kernel_end.name, &peer).during(format!("veth pair {} {peer}", kernel_end.name))?;
        let silent = place.set_sysctl(&format!("net/ipv6/conf/{peer}/disable_ipv6"), "1");
        match silent {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            result => result.during(format!("disable IPv6 on {peer}"))?,
        }
        let index = rtnl.device(&peer).during("RTM_GETLINK")?.index;
        // The kernel must not answer for the stack: no address on this end, no ARP, no IPv6.
        let change = DeviceChange {
            mtu: Some(kernel_end.mtu as u32),
            txqueuelen: None,
            flags: libc::IFF_UP | libc::IFF_NOARP,
        };
        rtnl.change(index, change).during(format!("MTU {} of {peer}, and up", kernel_end.mtu))?;
        let link = PacketLink::open_in(place, &peer)?;
        let mut watcher = place.watcher()?;
        kernel_end.configure(place, &kernel_end.name)?;
        for name in [&peer, &kernel_end.name] {
            let usable = watcher.wait_until(|| rtnl.is_usable(name));
            usable.during(format!("wait for the carrier of {name}"))?;
        }
        Ok(link)
    }

    fn open_in(place: Place<'_>, name: &str) -> Result<PacketLink, OpenError> {
        let mut rtnl = place.rtnl()?;
        let device = rtnl.device(name).during(format!("RTM_GETLINK {name}"))?;
        // Without a protocol nothing is received until the socket is bound to its interface.
        let socket = place
            .socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, 0)
            .during("socket(AF_PACKET)")?;
        prepare(socket.as_fd())?;
        sys::bind_packet(socket.as_fd(), device.index).during(format!("bind to {name}"))?;
        let caps = LinkCaps::offloading(Medium::Ethernet, device.mtu as usize);
        let interface = Some(Interface { rtnl, index: device.index });
        Ok(PacketLink { socket, name: name.to_owned(), caps, interface, drops: LinkDrops::default() })
    }

    /// Takes over a packet socket of type SOCK_RAW that somebody else has opened and bound to an Ethernet interface
    /// with an MTU of `mtu` bytes.
    ///
    /// That the interface was removed shows when the next frame is sent, and not before.
    ///
    /// # Errors
    ///
    /// EAFNOSUPPORT or ESOCKTNOSUPPORT where `fd` is a socket of another kind, ENOTSOCK where it is none.
    pub fn from_fd(fd: OwnedFd, mtu: usize) -> io::Result<PacketLink> {
        let is = |name| sys::option(fd.as_fd(), libc::SOL_SOCKET, name);
        if is(libc::SO_DOMAIN)? != libc::AF_PACKET {
            return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
        }
        if is(libc::SO_TYPE)? != libc::SOCK_RAW {
            return Err(io::Error::from_raw_os_error(libc::ESOCKTNOSUPPORT));
        }
        prepare(fd.as_fd())?;
        let caps = LinkCaps::offloading(Medium::Ethernet, mtu);
        let (name, drops) = ("packet".to_owned(), LinkDrops::default());
        Ok(PacketLink { socket: fd, name, caps, interface: None, drops })
    }
}

impl Link for PacketLink {
    fn caps(&self) -> LinkCaps {
        self.caps
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn drops(&self) -> LinkDrops {
        self.drops.clone()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let PacketLink { socket, interface, drops, .. } = *self;
        let socket = Arc::new(socket);
        let send = PacketSend { socket: socket.clone(), gather: Gather::default(), drops: drops.clone() };
        (Box::new(PacketRecv { socket, interface, drops }), Box::new(send))
    }
}

struct PacketRecv {
    socket: Arc<OwnedFd>,
    interface: Option<Interface>,
    drops: LinkDrops,
}

impl RecvHalf for PacketRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        for _ in 0..MAX_SKIPPED {
            let mut header = [0; SHORT_HEADER_LEN];
            let mut slices = [IoSliceMut::new(&mut header), IoSliceMut::new(slot.buffer())];
            match sys::receive(self.socket.as_fd(), &mut slices) {
                Ok(Packet::Whole(len)) if len > SHORT_HEADER_LEN => {
                    match queue::frame(&header, slot, len - SHORT_HEADER_LEN, Medium::Ethernet) {
                        Some(frame) => return Ok(frame),
                        None => self.drops.count(DropReason::InMisdescribed),
                    }
                }
                Ok(Packet::Whole(_)) => self.drops.count(DropReason::InTooShort),
                Ok(Packet::Truncated) => self.drops.count(DropReason::InTruncated),
                Err(error) => match error.raw_os_error() {
                    // A frame that no virtio header describes. The kernel has dropped it.
                    Some(libc::EINVAL) => self.drops.count(DropReason::InRefused),
                    // It is told once, of an interface that goes down and of one that is removed.
                    Some(libc::ENETDOWN) if !self.is_removed() => log::info!("the interface is down"),
                    _ => return Err(error),
                },
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

impl PacketRecv {
    /// Whether the interface is there no more. The answer waits for a removal that is under way: the kernel tells of
    /// the end of an interface while that can still be found.
    fn is_removed(&mut self) -> bool {
        let Some(Interface { rtnl, index }) = &mut self.interface else { return false };
        matches!(rtnl.exists(*index), Ok(false))
    }
}

struct PacketSend {
    socket: Arc<OwnedFd>,
    gather: Gather,
    drops: LinkDrops,
}

impl SendHalf for PacketSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let header = offload::encode(transmit);
        let socket = self.socket.as_fd();
        let sent =
            self.gather.write(&header[..SHORT_HEADER_LEN], transmit, |slices| sys::send(socket, slices));
        settle(sent, &self.drops)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.drops.sent()
    }
}

/// Whole frames with partial checksums, of the others only, and room for many.
fn prepare(socket: BorrowedFd<'_>) -> Result<(), OpenError> {
    let set = |name, what| sys::set_option(socket, libc::SOL_PACKET, name, 1).during(what);
    set(libc::PACKET_VNET_HDR, "PACKET_VNET_HDR")?;
    set(libc::PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING")?;
    enlarge_receive_buffer(socket);
    Ok(())
}

/// Root may pass `net.core.rmem_max`; others get as much as that allows.
fn enlarge_receive_buffer(socket: BorrowedFd<'_>) {
    let set = |name| sys::set_option(socket, libc::SOL_SOCKET, name, RECEIVE_BUFFER);
    if set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF)).is_err() {
        log::warn!("packet socket: the receive buffer stays small");
    }
}

fn peer_name(name: &str) -> String {
    let mut len = name.len().min(MAX_NAME - PEER_SUFFIX.len());
    while !name.is_char_boundary(len) {
        len -= 1;
    }
    format!("{}{PEER_SUFFIX}", &name[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::Namespace;

    #[test]
    fn a_socket_that_somebody_else_has_opened() {
        let (left, _right) = sys::seqpacket_pair().unwrap();
        let refused = PacketLink::from_fd(left, 1500).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EAFNOSUPPORT));

        let opened = Namespace::create().and_then(|namespace| {
            let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse().unwrap());
            Ok((namespace.open_veth(&kernel_end)?, namespace))
        });
        let (veth, namespace) = match opened {
            Ok(opened) => opened,
            Err(error) => return println!("skipped: {error}"),
        };
        let cooked = namespace.socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0).unwrap();
        let refused = PacketLink::from_fd(cooked, 1500).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ESOCKTNOSUPPORT));

        let index = namespace.device(veth.name()).unwrap().index;
        let socket = namespace.socket(libc::AF_PACKET, libc::SOCK_RAW, 0).unwrap();
        sys::bind_packet(socket.as_fd(), index).unwrap();
        let (mut receive, _send) = Box::new(PacketLink::from_fd(socket, 1500).unwrap()).split();
        let kernels = namespace.udp_bind("10.7.0.1:7".parse().unwrap()).unwrap();
        kernels.set_broadcast(true).unwrap();
        kernels.send_to(&[7; 30], "10.7.0.255:9").unwrap();
        let mut slot = RecvSlot::new();
        let frame = std::iter::from_fn(|| receive.receive(&mut slot).ok())
            .find(|frame| frame.bytes.ends_with(&[7; 30]));
        assert_eq!(frame.expect("the broadcast").bytes.len(), 14 + 20 + 8 + 30);
        assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn our_end_is_named_after_the_kernels() {
        assert_eq!(peer_name("tap0"), "tap0-ts");
        assert_eq!(peer_name("a-very-long-name"), "a-very-long--ts");
        assert_eq!(peer_name("elf-bytes-äx"), "elf-bytes-ä-ts");
        assert!(peer_name("zwölf-bytes-ä").len() <= MAX_NAME);
    }

    /// A local socket stands in for a packet socket: what comes is no frame.
    #[test]
    fn one_call_skips_so_many_frames_and_no_more() {
        let (ours, theirs) = sys::seqpacket_pair().unwrap();
        let drops = LinkDrops::default();
        let mut receive = PacketRecv { socket: Arc::new(ours), interface: None, drops: drops.clone() };
        for _ in 0..=MAX_SKIPPED {
            sys::send(theirs.as_fd(), &[io::IoSlice::new(&[0; SHORT_HEADER_LEN])]).unwrap();
        }
        sys::send(theirs.as_fd(), &[io::IoSlice::new(&[0; SHORT_HEADER_LEN + 60])]).unwrap();
        let mut slot = RecvSlot::new();
        assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(drops.of(DropReason::InTooShort), MAX_SKIPPED as u64);
        assert_eq!(receive.receive(&mut slot).unwrap().bytes.len(), 60);
        assert_eq!(drops.of(DropReason::InTooShort), MAX_SKIPPED as u64 + 1);
    }
}
