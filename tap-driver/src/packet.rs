//! Packet sockets: an existing interface as a link, a veth end in the usual case.
//!
//! Where /dev/net/tun is closed this is the way to the kernel. `PACKET_VNET_HDR` gives whole frames of 64 KiB and
//! partial checksums both ways, as at a TAP device: packet(7).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use crate::error::{During, OpenError};
use crate::gather::Gather;
use crate::kernel_end::{KernelEnd, Place};
use crate::link::{Link, RecvHalf, RecvSlot, SendHalf};
use crate::rtnl::DeviceChange;
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
        let device = place.rtnl()?.device(name).during(format!("RTM_GETLINK {name}"))?;
        // Without a protocol nothing is received until the socket is bound to its interface.
        let socket = place
            .socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, 0)
            .during("socket(AF_PACKET)")?;
        let set = |name, what| sys::set_option(socket.as_fd(), libc::SOL_PACKET, name, 1).during(what);
        set(libc::PACKET_VNET_HDR, "PACKET_VNET_HDR")?;
        set(libc::PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING")?;
        enlarge_receive_buffer(socket.as_fd());
        sys::bind_packet(socket.as_fd(), device.index).during(format!("bind to {name}"))?;
        let caps = LinkCaps::offloading(Medium::Ethernet, device.mtu as usize);
        Ok(PacketLink { socket, name: name.to_owned(), caps })
    }
}

impl Link for PacketLink {
    fn caps(&self) -> LinkCaps {
        self.caps
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let socket = Arc::new(self.socket);
        let send = PacketSend { socket: socket.clone(), gather: Gather::default(), dropped: 0 };
        (Box::new(PacketRecv { socket }), Box::new(send))
    }
}

struct PacketRecv {
    socket: Arc<OwnedFd>,
}

impl RecvHalf for PacketRecv {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        for _ in 0..MAX_SKIPPED {
            let mut header = [0; SHORT_HEADER_LEN];
            let mut slices = [IoSliceMut::new(&mut header), IoSliceMut::new(slot.buffer())];
            match sys::receive(self.socket.as_fd(), &mut slices) {
                Ok(Packet::Whole(len)) if len > SHORT_HEADER_LEN => {
                    return Ok(queue::frame(&header, slot, len - SHORT_HEADER_LEN, Medium::Ethernet));
                }
                Ok(_) => continue,
                // A frame that no virtio header describes. The kernel has dropped it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => continue,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

struct PacketSend {
    socket: Arc<OwnedFd>,
    gather: Gather,
    dropped: u64,
}

impl SendHalf for PacketSend {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let header = offload::encode(transmit);
        let socket = self.socket.as_fd();
        let sent =
            self.gather.write(&header[..SHORT_HEADER_LEN], transmit, |slices| sys::send(socket, slices));
        settle(sent, &mut self.dropped)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
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

    #[test]
    fn our_end_is_named_after_the_kernels() {
        assert_eq!(peer_name("tap0"), "tap0-ts");
        assert_eq!(peer_name("a-very-long-name"), "a-very-long--ts");
        assert_eq!(peer_name("elf-bytes-äx"), "elf-bytes-ä-ts");
        assert!(peer_name("zwölf-bytes-ä").len() <= MAX_NAME);
    }
}
