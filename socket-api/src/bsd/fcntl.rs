//! The numbers of sockets and their flags: dup and its kin, and fcntl.

use rustix::io::Errno;
use tapsock_sockets::Blocking;
use tapsock_sockets::constants::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_ASYNC, O_CLOEXEC, O_DIRECT,
    O_NONBLOCK, O_RDWR,
};

use crate::description::{Kind, Object, OnExec};
use crate::host::Host;

/// Another id, the lowest free one, for the same socket. See dup(2).
///
/// # Errors
/// EBADF, EMFILE.
pub fn dup(host: &Host, socket: i32) -> Result<i32, Errno> {
    host.descriptors().insert(host.descriptors().held(socket)?)
}

/// Makes `other` an id of the same socket, and returns it; what it stood for is closed before, and errors of that are not
/// told. Where both are the same, nothing happens. See dup2(2).
///
/// ```
/// use tapsock::bsd::{self, AF_UNIX, SOCK_STREAM};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// assert_eq!(bsd::dup2(&host, here, 7), Ok(7));
/// bsd::close(&host, here)?;
/// bsd::send(&host, 7, b"hello", 0)?;
/// assert_eq!(bsd::recv(&host, there, &mut [0; 16], 0), Ok(5));
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// EBADF, also where `other` is no number that an id may have.
pub fn dup2(host: &Host, socket: i32, other: i32) -> Result<i32, Errno> {
    let held = host.descriptors().held(socket)?;
    if socket != other {
        host.descriptors().insert_at(other, held, OnExec::Keep)?;
    }
    Ok(other)
}

/// As [`dup2`], with `O_CLOEXEC` in `flags` or nothing. See dup3(2).
///
/// # Errors
/// EBADF, EINVAL for other flags, and where both are the same.
pub fn dup3(host: &Host, socket: i32, other: i32, flags: i32) -> Result<i32, Errno> {
    if flags & !O_CLOEXEC != 0 || socket == other {
        return Err(Errno::INVAL);
    }
    let held = host.descriptors().held(socket)?;
    host.descriptors().insert_at(other, held, OnExec::from_flags(flags, O_CLOEXEC))?;
    Ok(other)
}

/// Asks about an id and what it stands for, or changes it. See fcntl(2).
///
/// * `F_DUPFD`, `F_DUPFD_CLOEXEC`: another id, the lowest free one from `argument` on.
/// * `F_GETFD`, `F_SETFD`: `FD_CLOEXEC` of the id. It is kept and told; no `exec` leaves a stack.
/// * `F_GETFL`, `F_SETFL`: `O_NONBLOCK`, which all ids of a socket share, beside `O_RDWR`. Other flags that sockets may
///   have on Linux change nothing.
///
/// ```
/// use tapsock::bsd::{self, AF_INET, F_GETFL, F_SETFL, O_NONBLOCK, O_RDWR, SOCK_DGRAM};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let socket = bsd::socket(&host, AF_INET, SOCK_DGRAM, 0)?;
/// bsd::fcntl(&host, socket, F_SETFL, O_NONBLOCK)?;
/// assert_eq!(bsd::fcntl(&host, socket, F_GETFL, 0), Ok(O_RDWR | O_NONBLOCK));
/// assert_eq!(bsd::recv(&host, socket, &mut [0; 16], 0), Err(Errno::AGAIN));
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// EBADF; EMFILE; EINVAL for another command, for a least number that no id may have, for `O_DIRECT`, and for
/// `O_ASYNC`, since no signals are sent.
pub fn fcntl(host: &Host, socket: i32, command: i32, argument: i32) -> Result<i32, Errno> {
    let descriptors = host.descriptors();
    let on_exec = descriptors.on_exec(socket)?;
    match command {
        F_DUPFD => descriptors.insert_from(argument, descriptors.held(socket)?, OnExec::Keep),
        F_DUPFD_CLOEXEC => descriptors.insert_from(argument, descriptors.held(socket)?, OnExec::Close),
        F_GETFD => Ok(if on_exec == OnExec::Close { FD_CLOEXEC } else { 0 }),
        F_SETFD => descriptors.set_on_exec(socket, OnExec::from_flags(argument, FD_CLOEXEC)).map(|()| 0),
        F_GETFL => Ok(O_RDWR | if is_nonblocking(host, socket)? { O_NONBLOCK } else { 0 }),
        F_SETFL if argument & (O_DIRECT | O_ASYNC) != 0 => Err(Errno::INVAL),
        F_SETFL => set_nonblocking(host, socket, argument & O_NONBLOCK != 0).map(|()| 0),
        _ => Err(Errno::INVAL),
    }
}

/// Whether calls on the socket fail with EAGAIN rather than block (`O_NONBLOCK`). See fcntl(2).
///
/// # Errors
/// EBADF.
pub fn set_nonblocking(host: &Host, socket: i32, nonblocking: bool) -> Result<(), Errno> {
    match host.descriptors().object(socket)? {
        Object::Socket(open) => match &open.kind {
            Kind::Inet(shard, fd) => {
                shard.set_blocking(*fd, if nonblocking { Blocking::Never } else { Blocking::Waits })
            }
            Kind::Local(local) => {
                local.set_waits(!nonblocking);
                Ok(())
            }
        },
        Object::Epoll(epoll) => {
            epoll.set_nonblocking(nonblocking);
            Ok(())
        }
    }
}

/// Whether they do.
///
/// # Errors
/// EBADF.
pub fn is_nonblocking(host: &Host, socket: i32) -> Result<bool, Errno> {
    match host.descriptors().object(socket)? {
        Object::Socket(open) => match &open.kind {
            Kind::Inet(shard, fd) => Ok(shard.blocking(*fd)? == Blocking::Never),
            Kind::Local(local) => Ok(!local.waits()),
        },
        Object::Epoll(epoll) => Ok(epoll.is_nonblocking()),
    }
}
