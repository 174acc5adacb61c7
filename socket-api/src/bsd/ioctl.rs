//! ioctl and sockatmark.

use rustix::io::Errno;
use tapsock_sockets::constants::{FIOCLEX, FIONBIO, FIONCLEX, SIOCATMARK};

use super::set_nonblocking;
use crate::description::{Kind, Object, OnExec};
use crate::host::Host;

/// Asks about the socket's queues, or sets whether it blocks; `argument` is what C points to. See ioctl(2).
///
/// * `FIONREAD`, `SIOCINQ`: bytes that can be read; of a datagram socket, of the next datagram.
/// * `SIOCOUTQ`: what is on its way: on TCP, bytes that the peer has not acknowledged; on others with what they are
///   charged beside.
/// * `SIOCATMARK`: see [`sockatmark`].
/// * `FIONBIO`: whether calls fail with EAGAIN rather than block: 0, or not.
/// * `FIOCLEX`, `FIONCLEX`: set and clear `FD_CLOEXEC`; the argument is not looked at.
///
/// ```
/// use tapsock::bsd::{self, AF_UNIX, FIONREAD, SOCK_STREAM};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let [one, other] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// bsd::send(&host, one, b"hello", 0)?;
/// let mut waiting = 0;
/// bsd::ioctl(&host, other, FIONREAD, &mut waiting)?;
/// assert_eq!(waiting, 5);
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// EINVAL for the queues of a listener, and of an epoll instance; ENOTTY for another request, EOPNOTSUPP for
/// `SIOCATMARK` on local sockets that are no streams, EBADF.
pub fn ioctl(host: &Host, socket: i32, request: i32, argument: &mut i32) -> Result<(), Errno> {
    let object = host.descriptors().object(socket)?;
    match request {
        FIONBIO => return set_nonblocking(host, socket, *argument != 0),
        FIOCLEX => return host.descriptors().set_on_exec(socket, OnExec::Close),
        FIONCLEX => return host.descriptors().set_on_exec(socket, OnExec::Keep),
        _ => {}
    }
    let Object::Socket(open) = object else {
        return Err(Errno::INVAL);
    };
    *argument = match &open.kind {
        Kind::Inet(shard, fd) => shard.call(Errno::AGAIN, |sockets, _| Ok(sockets.ioctl(*fd, request)?))?,
        Kind::Local(local) => local.ioctl(request)?,
    };
    Ok(())
}

/// Whether the next byte to be read follows urgent data. See sockatmark(3).
///
/// # Errors
/// ENOTTY or EOPNOTSUPP on a socket that is no stream, EBADF.
pub fn sockatmark(host: &Host, socket: i32) -> Result<bool, Errno> {
    let mut at_mark = 0;
    ioctl(host, socket, SIOCATMARK, &mut at_mark)?;
    Ok(at_mark != 0)
}
