//! TAP devices: frames of up to 64 KiB cross whole, both ways, with the cutting and the checksums left to the
//! kernel.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tapsock_stack::wire::offload::{LinkCaps, Medium};

use crate::drops::LinkDrops;
use crate::error::{During, OpenError};
use crate::gather::Gather;
use crate::kernel_end::{KernelEnd, Place};
use crate::link::{Link, RecvHalf, SendHalf};
use open::{Attached, Framing, Mode, UdpGso};
use queue::{TapRecv, TapSend};

pub(crate) mod offload;
pub(crate) mod open;
pub(crate) mod queue;

/// One queue of a TAP device. Dropping it removes the device, unless that is persistent.
///
/// The kernel's end of the device is configured by [`KernelEnd`], most easily in a namespace of its own:
/// [`Namespace::open_tap`](crate::namespace::Namespace::open_tap).
///
/// ```no_run
/// use tapsock_driver::link::Link;
/// use tapsock_driver::tap::Tap;
///
/// // As somebody who may use it: a persistent device of the user's, say.
/// let tap = Tap::open("tap0")?;
/// println!("{}: {:?}", tap.name(), tap.caps());
/// # Ok::<(), tapsock_driver::OpenError>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    file: Arc<File>,
    name: String,
    caps: LinkCaps,
    framing: Framing,
    drops: LinkDrops,
}

impl Tap {
    /// Opens the TAP device `name` of this process's network namespace, making it unless it exists. It is not
    /// configured, and brought up by whoever owns its other end.
    ///
    /// # Errors
    ///
    /// ENOENT or EACCES where /dev/net/tun is missing or closed; EPERM without CAP_NET_ADMIN, unless the device is
    /// persistent and the user's own; EBUSY where somebody else has it open; EINVAL where it is no TAP device or has
    /// several queues.
    pub fn open(name: &str) -> Result<Tap, OpenError> {
        let fd = open::open_device(Place::Here)?;
        let attached = open::attach(fd.as_fd(), name)?;
        let mtu = Place::Here.rtnl()?.device(&attached.name).during("RTM_GETLINK")?.mtu;
        Ok(Tap::from_attached(fd, attached, mtu as usize))
    }

    /// Opens and configures a TAP device in `place`.
    pub(crate) fn open_in(place: Place<'_>, kernel_end: &KernelEnd) -> Result<Tap, OpenError> {
        let fd = open::open_device(place)?;
        let attached = open::attach(fd.as_fd(), &kernel_end.name)?;
        kernel_end.configure(place, &attached.name)?;
        Ok(Tap::from_attached(fd, attached, kernel_end.mtu))
    }

    /// Takes over a TUN or TAP descriptor that somebody else has opened and attached, with or without
    /// `IFF_VNET_HDR`, and with `IFF_NO_PI`: whether that is so, and which MTU the device has (`mtu`, in bytes), the
    /// descriptor does not tell.
    ///
    /// # Errors
    ///
    /// ENOTTY where `fd` is something else, EBADFD where it is not attached.
    pub fn from_fd(fd: OwnedFd, mtu: usize) -> io::Result<Tap> {
        let attached = open::inspect(&fd)?;
        Ok(Tap::from_attached(fd, attached, mtu))
    }

    fn from_attached(fd: OwnedFd, attached: Attached, mtu: usize) -> Tap {
        let caps = match attached.framing {
            Framing::Plain { mode } => LinkCaps::plain(medium(mode), mtu),
            Framing::Vnet { mode, udp_gso } => {
                LinkCaps { udp_gso: udp_gso == UdpGso::Yes, ..LinkCaps::offloading(medium(mode), mtu) }
            }
        };
        let Attached { name, framing } = attached;
        Tap { file: Arc::new(File::from(fd)), name, caps, framing, drops: LinkDrops::default() }
    }
}

impl Link for Tap {
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
        let header_len = match self.framing {
            Framing::Plain { .. } => 0,
            Framing::Vnet { .. } => offload::HEADER_LEN,
        };
        let Tap { file, caps, drops, .. } = *self;
        let receive = TapRecv { file: file.clone(), medium: caps.medium, header_len, drops: drops.clone() };
        let send = TapSend { file, header_len, gather: Gather::default(), drops };
        (Box::new(receive), Box::new(send))
    }
}

fn medium(mode: Mode) -> Medium {
    match mode {
        Mode::Tap => Medium::Ethernet,
        Mode::Tun => Medium::Ip,
    }
}

#[cfg(test)]
mod tests;
