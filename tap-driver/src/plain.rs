//! The plain TAP path, on the `tun-tap` crate: finished frames of an MTU, without offloads.

use std::io;

use crate::kernel_end::Place;
use crate::link::Link;
use crate::rtnl::PacketInformation;
use crate::sys;
use crate::tap::Tap;

/// The MTU where the device does not tell: that of Ethernet, in bytes.
const DEFAULT_MTU: usize = 1500;

impl TryFrom<tun_tap::Iface> for Tap {
    type Error = io::Error;

    /// Takes over an interface that was made
    /// [`without_packet_info`](tun_tap::Iface::without_packet_info). Such a device carries no virtio headers, and
    /// `tun-tap` can't ask for them: expect a tenth of the throughput of [`Tap::open`].
    ///
    /// Its MTU is read from the device where that is in the calling thread's network namespace, and 1,500 elsewhere:
    /// there use [`Tap::from_fd`].
    ///
    /// # Errors
    ///
    /// EINVAL where the interface was made with packet information, as far as the device is in the calling thread's
    /// network namespace.
    fn try_from(interface: tun_tap::Iface) -> io::Result<Tap> {
        let name = interface.name().to_owned();
        let mut rtnl = Place::Here.rtnl()?;
        if let Ok(Some(PacketInformation::Prepended)) = rtnl.packet_information(&name) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mtu = rtnl.device(&name).map_or(DEFAULT_MTU, |device| device.mtu as usize);
        let tap = Tap::from_fd(sys::into_owned(interface), mtu)?;
        log::debug!("{name}: plain TAP, {:?}", tap.caps());
        Ok(tap)
    }
}
