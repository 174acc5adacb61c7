//! Making a TAP queue of a descriptor: the ioctls in their order.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::error::{During, OpenError};
use crate::kernel_end::Place;
use crate::sys;
use crate::tap::offload::HEADER_LEN;

/// The device that all TAP queues are opened from.
pub(crate) const DEVICE: &std::ffi::CStr = c"/dev/net/tun";

const OFFLOADS: c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// Linux 6.2 and later.
const UDP_OFFLOADS: c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// What a queue turned out to be.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) name: String,
    pub(super) framing: Framing,
}

/// What stands before each frame, and what the kernel agreed to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// Nothing.
    Plain { mode: Mode },
    /// A virtio header of [`HEADER_LEN`] bytes.
    Vnet { mode: Mode, udp_gso: UdpGso },
}

/// What a frame begins with.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Tap,
    Tun,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum UdpGso {
    Yes,
    No,
}

/// Opens the device, which makes the descriptor one of the network namespace of `place`.
pub(super) fn open_device(place: Place<'_>) -> Result<OwnedFd, OpenError> {
    let opened = place.open(DEVICE, libc::O_RDWR | libc::O_NONBLOCK).during("open /dev/net/tun");
    opened.map_err(|error| {
        let device = std::fs::metadata("/dev/net/tun").ok();
        let hint = device_hint(error.errno(), device.map(|device| (device.mode() & 0o777, device.uid())));
        error.because(hint)
    })
}

/// What explains that the device, of such a mode and owner, can't be opened.
///
/// The mode of a file says EACCES; a container's list of devices (the device cgroup) says EPERM, whatever the mode.
fn device_hint(errno: i32, device: Option<(u32, u32)>) -> Option<String> {
    match (errno, device) {
        (libc::EPERM, _) => {
            Some("the device is not among those of this container (device cgroup)".to_owned())
        }
        (libc::EACCES, Some((mode, owner))) => {
            let for_us = if sys::effective_ids().0 == owner { 0o600 } else { 0o006 };
            Some(if mode & for_us == for_us {
                "its mode allows it, but a nodev mount or a security module (AppArmor, SELinux) does not"
                    .to_owned()
            } else {
                format!("the device is closed to this user: mode {mode:04o}, owner {owner}")
            })
        }
        (libc::ENOENT | libc::ENODEV | libc::ENXIO, _) => Some("no tun module, or no device node".to_owned()),
        _ => None,
    }
}

/// Makes `fd` a queue of the TAP device `name` (empty: the kernel chooses; with `%d`: a number is put in), which
/// comes to be unless it exists.
///
/// The offload mask belongs to the device and outlives the descriptor, so it is always set.
pub(super) fn attach(fd: BorrowedFd<'_>, name: &str) -> Result<Attached, OpenError> {
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let mut request = sys::InterfaceRequest::new(name, flags);
    sys::tun_attach(fd, &mut request).during(format!("TUNSETIFF {name}"))?;
    sys::tun_set_header_len(fd, HEADER_LEN as c_int).during("TUNSETVNETHDRSZ")?;
    let udp_gso = set_offloads(fd).during("TUNSETOFFLOAD")?;
    Ok(Attached { name: request.name(), framing: Framing::Vnet { mode: Mode::Tap, udp_gso } })
}

/// Looks at what an attached descriptor is, and sets its offloads to what its framing allows.
///
/// Whether it was attached with `IFF_NO_PI` does not show: `TUNGETIFF` uses that bit for `IFF_NOFILTER` too.
///
/// # Errors
///
/// EBADFD or ENOTTY where `fd` is no attached queue.
pub(super) fn inspect(fd: &OwnedFd) -> io::Result<Attached> {
    let fd = fd.as_fd();
    let request = sys::tun_interface(fd)?;
    let mode = if request.flags() & libc::IFF_TAP == 0 { Mode::Tun } else { Mode::Tap };
    sys::set_nonblocking(fd)?;
    let framing = if request.flags() & libc::IFF_VNET_HDR == 0 {
        sys::tun_set_offload(fd, 0)?;
        Framing::Plain { mode }
    } else {
        sys::tun_set_header_len(fd, HEADER_LEN as c_int)?;
        Framing::Vnet { mode, udp_gso: set_offloads(fd)? }
    };
    Ok(Attached { name: request.name(), framing })
}

fn set_offloads(fd: BorrowedFd<'_>) -> io::Result<UdpGso> {
    if sys::tun_set_offload(fd, OFFLOADS | UDP_OFFLOADS).is_ok() {
        return Ok(UdpGso::Yes);
    }
    sys::tun_set_offload(fd, OFFLOADS).map(|()| UdpGso::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explains_a_refusal_depends_on_the_errno() {
        let other = sys::effective_ids().0 + 1;
        let hint = |errno, mode| device_hint(errno, Some((mode, other)));
        let cgroup = hint(libc::EPERM, 0o666).unwrap();
        assert!(cgroup.contains("device cgroup") && !cgroup.contains("0666"), "{cgroup}");
        let closed = hint(libc::EACCES, 0o600).unwrap();
        assert_eq!(closed, format!("the device is closed to this user: mode 0600, owner {other}"));
        let open = hint(libc::EACCES, 0o666).unwrap();
        assert!(open.contains("nodev") && !open.contains("0666"), "{open}");
        assert!(hint(libc::ENOENT, 0).unwrap().contains("tun module"));
        assert_eq!((hint(libc::EMFILE, 0o666), device_hint(libc::EACCES, None)), (None, None));
    }
}
