//! The local socket of a program that carries frames on.

use std::io;
use std::path::Path;

use tapsock_driver::Link;
use tapsock_driver::stream::StreamLink;
use tapsock_driver::unix::{Framing, UnixLink};

/// Connects to a socket of either type: passt and QEMU have streams, slirp4netns has packets.
pub(super) fn connect(path: &Path, mtu: usize) -> io::Result<Box<dyn Link>> {
    match StreamLink::connect(path, mtu) {
        Ok(link) => Ok(Box::new(link)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            Ok(Box::new(UnixLink::connect(path, Framing::Frame, mtu)?))
        }
        Err(error) => Err(error),
    }
}
