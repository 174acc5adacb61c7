//! The calls of `sys/socket.h` and `poll.h` with integer socket ids, on a [`Host`] that is named.
//!
//! Each does what its namesake does on Linux, with the same errno. Socket ids are the lowest free ones from 0 on (or what
//! [`Builder::numbers`](crate::Builder::numbers) says), and belong to their host.
//!
//! * A call that blocks is not ended by a signal: it goes on with the deadline it had, as under `SA_RESTART`.
//! * Sending on a stream that is shut says EPIPE; no SIGPIPE is raised, with or without `MSG_NOSIGNAL`.
//! * [`close`] ends the calls in which other threads wait for the socket, with EBADF. (Linux leaves them waiting.)
//!
//! ```
//! use tapsock::bsd::{self, AF_INET, SOCK_STREAM};
//! use tapsock::{Errno, Host, SockAddr};
//!
//! let host = Host::builder().start().unwrap();
//! let listener = bsd::socket(&host, AF_INET, SOCK_STREAM, 0)?;
//! let any = SockAddr::V4("127.0.0.1:0".parse().unwrap());
//! bsd::bind(&host, listener, &any)?;
//! bsd::listen(&host, listener, 8)?;
//!
//! let client = bsd::socket(&host, AF_INET, SOCK_STREAM, 0)?;
//! bsd::connect(&host, client, &bsd::getsockname(&host, listener)?)?;
//! let (server, peer) = bsd::accept(&host, listener)?;
//! assert_eq!(peer, bsd::getsockname(&host, client)?);
//!
//! bsd::send(&host, client, b"hello", 0)?;
//! let mut bytes = [0; 16];
//! assert_eq!(bsd::recv(&host, server, &mut bytes, 0)?, 5);
//! assert_eq!(bsd::close(&host, 77), Err(Errno::BADF));
//! # Ok::<(), Errno>(())
//! ```

use std::sync::Arc;

use rustix::io::Errno;
use tapsock_sockets::local::SocketKind;

use crate::description::{Description, Held, Kind, OnExec, unix, waits};
use crate::engine::clock::now;
use crate::host::Host;
use crate::local::LocalSocket;

mod epoll;
mod fcntl;
mod ioctl;
pub(crate) mod message;
mod mirror;
mod names;
mod poll;
mod select;
mod sendfile;

pub use epoll::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP,
    EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLRDNORM, EPOLLWAKEUP, EPOLLWRBAND,
    EPOLLWRNORM, EpollEvent, epoll_create1, epoll_ctl, epoll_ctl_fd, epoll_pwait2, epoll_wait,
};
pub use fcntl::{dup, dup2, dup3, fcntl, is_nonblocking, set_nonblocking};
pub use ioctl::{ioctl, sockatmark};
pub use message::{
    Passed, ReceivedMessage, RecvMessage, Right, SendMessage, read, readv, recv, recvfrom, recvmmsg, recvmsg,
    send, sendmmsg, sendmsg, sendto, write, writev,
};
pub use mirror::mirror_fd;
pub(crate) use names::told;
pub use names::{
    getaddrinfo, getnameinfo, getprotobyname, getprotobynumber, getservbyname, getservbyport, if_indextoname,
    if_nameindex, if_nametoindex,
};
pub use poll::{PollFd, RealPollFd, poll, poll_beside, ppoll};
pub use select::{FD_SETSIZE, FdSet, pselect, select};
pub use sendfile::sendfile;

pub use tapsock_sockets::constants::*;
pub use tapsock_sockets::control;
pub use tapsock_sockets::local::Credentials;
pub use tapsock_sockets::{OptionValue, PollMask, SockAddr};

/// Makes a socket; `kind` may carry `SOCK_NONBLOCK` and `SOCK_CLOEXEC`. See socket(2).
///
/// # Errors
/// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EMFILE; EPERM for a raw socket on a host that is not
/// privileged.
pub fn socket(host: &Host, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
    let on_exec = OnExec::from_flags(kind, SOCK_CLOEXEC);
    let made = if domain == AF_UNIX {
        let (kind, waits) = local_kind(kind, protocol)?;
        Kind::Local(LocalSocket::new(host.locals(), kind, waits))
    } else {
        Kind::Inet(host.shared_shard().clone(), host.shard().socket(domain, kind, protocol)?)
    };
    host.descriptors().insert_as(Held::new(made), on_exec)
}

/// Makes two local sockets that are connected to each other; `kind` may carry `SOCK_NONBLOCK` and `SOCK_CLOEXEC`. See
/// socketpair(2).
///
/// # Errors
/// EOPNOTSUPP for a domain other than `AF_UNIX`, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EMFILE.
pub fn socketpair(host: &Host, domain: i32, kind: i32, protocol: i32) -> Result<[i32; 2], Errno> {
    if domain != AF_UNIX {
        // What is wrong with the rest is said first.
        close(host, socket(host, domain, kind, protocol)?)?;
        return Err(Errno::OPNOTSUPP);
    }
    let on_exec = OnExec::from_flags(kind, SOCK_CLOEXEC);
    let (kind, waits) = local_kind(kind, protocol)?;
    let (first, second) = LocalSocket::pair(host.locals(), kind, waits);
    let [first, second] = [first, second].map(|socket| Held::new(Kind::Local(socket)));
    let first = host.descriptors().insert_as(first, on_exec)?;
    match host.descriptors().insert_as(second, on_exec) {
        Ok(second) => Ok([first, second]),
        Err(errno) => {
            close(host, first)?;
            Err(errno)
        }
    }
}

/// Removes the path name of a local socket; the socket goes on. See unlink(2).
///
/// # Errors
/// ENOENT, ENOTDIR, EISDIR.
pub fn unlink(host: &Host, path: &[u8]) -> Result<(), Errno> {
    host.locals().unlink(path)
}

/// Gives the socket an address of its own. See bind(2).
///
/// # Errors
/// EACCES for a reserved port, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL where it has one, EBADF.
pub fn bind(host: &Host, socket: i32, address: &SockAddr) -> Result<(), Errno> {
    open(host, socket)?.kind.bind(address)
}

/// Makes the socket wait for connections, of which `backlog` are kept. See listen(2).
///
/// # Errors
/// EADDRINUSE, EOPNOTSUPP, EINVAL, EBADF.
pub fn listen(host: &Host, socket: i32, backlog: i32) -> Result<(), Errno> {
    open(host, socket)?.kind.listen(backlog)
}

/// Takes a connection from the listener's queue; blocks until there is one. See accept(2).
///
/// # Errors
/// EAGAIN where the listener does not block or its `SO_RCVTIMEO` has passed, EINVAL where it does not listen,
/// EOPNOTSUPP, EMFILE, EBADF.
pub fn accept(host: &Host, socket: i32) -> Result<(i32, SockAddr), Errno> {
    accept4(host, socket, 0)
}

/// As [`accept`], with `SOCK_NONBLOCK` and `SOCK_CLOEXEC` for the new socket in `flags`. See accept4(2).
///
/// # Errors
/// Those of [`accept`].
pub fn accept4(host: &Host, socket: i32, flags: i32) -> Result<(i32, SockAddr), Errno> {
    let open = open(host, socket)?;
    // Without a number for it no connection is taken; nobody else gets the one that there is.
    let room = host.descriptors().reserve()?;
    let (accepted, peer) = open.kind.accept(flags)?;
    Ok((room.fill(Held::new(accepted), OnExec::from_flags(flags, SOCK_CLOEXEC))?, peer))
}

/// Connects the socket; blocks until the peer has answered. See connect(2).
///
/// # Errors
/// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EISCONN, EAFNOSUPPORT, EBADF; EINPROGRESS where
/// the socket does not block, or `SO_SNDTIMEO` has passed; EALREADY where that is still so.
pub fn connect(host: &Host, socket: i32, address: &SockAddr) -> Result<(), Errno> {
    open(host, socket)?.kind.connect(address)
}

/// Ends a direction of the connection: `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`. See shutdown(2).
///
/// # Errors
/// ENOTCONN, EINVAL, EBADF.
pub fn shutdown(host: &Host, socket: i32, how: i32) -> Result<(), Errno> {
    open(host, socket)?.kind.shutdown(how)
}

/// Gives the socket up. What was sent still goes out; threads that wait for the socket get EBADF. See close(2).
///
/// With `SO_LINGER` of some seconds, a connection's close waits that long for the peer to acknowledge everything, also
/// where the socket does not block, as on Linux; the number is free at once. With one of no seconds the connection
/// is reset.
///
/// # Errors
/// EBADF.
pub fn close(host: &Host, socket: i32) -> Result<(), Errno> {
    drop(host.descriptors().remove(socket)?);
    Ok(())
}

/// What tells the socket, or the epoll instance, that stands at an id from those that had the number before it, and from
/// those that will have it.
///
/// ```
/// use tapsock::{Errno, Host, bsd};
///
/// let host = Host::builder().start().unwrap();
/// let epoll = bsd::epoll_create1(&host, 0)?;
/// let first = bsd::incarnation(&host, epoll)?;
/// bsd::close(&host, epoll)?;
/// assert_eq!(bsd::epoll_create1(&host, 0), Ok(epoll));
/// assert_ne!(bsd::incarnation(&host, epoll)?, first);
/// assert_eq!(bsd::close_incarnation(&host, epoll, first), Err(Errno::BADF));
/// # Ok::<(), Errno>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Incarnation(u32);

/// Which incarnation of its number `id` is.
///
/// # Errors
/// EBADF.
pub fn incarnation(host: &Host, id: i32) -> Result<Incarnation, Errno> {
    host.descriptors().incarnation(id).map(Incarnation)
}

/// As [`close`], where `id` is still that incarnation: for those who gave out the number ([`Numbers`](crate::Numbers)) and
/// have found out that it was given up behind the host's back. It is not given back: it may be another's by now.
///
/// # Errors
/// EBADF, also where something else stands there by now.
pub fn close_incarnation(host: &Host, id: i32, incarnation: Incarnation) -> Result<(), Errno> {
    drop(host.descriptors().forget_incarnation(id, incarnation.0)?);
    Ok(())
}

/// Does `act` where `id` is still that incarnation, and keeps it from being closed meanwhile: for those who gave out the
/// number, and do something to what stands there. Makes no call on the host: its table is locked.
///
/// # Errors
/// EBADF.
pub fn while_incarnation<T>(
    host: &Host,
    id: i32,
    incarnation: Incarnation,
    act: impl FnOnce() -> T,
) -> Result<T, Errno> {
    host.descriptors().while_incarnation(id, incarnation.0, act)
}

/// The socket's own address. See getsockname(2).
///
/// # Errors
/// EBADF.
pub fn getsockname(host: &Host, socket: i32) -> Result<SockAddr, Errno> {
    open(host, socket)?.kind.local_address()
}

/// The peer's address. See getpeername(2).
///
/// # Errors
/// ENOTCONN, EBADF.
pub fn getpeername(host: &Host, socket: i32) -> Result<SockAddr, Errno> {
    open(host, socket)?.kind.peer_address()
}

/// The value of an option. See getsockopt(2).
///
/// # Errors
/// ENOPROTOOPT, EBADF.
pub fn getsockopt(host: &Host, socket: i32, level: i32, name: i32) -> Result<OptionValue, Errno> {
    open(host, socket)?.kind.option(level, name)
}

/// The value of an option that is asked about something, which `asked`, the memory for the value, names: the group of
/// IP_MSFILTER and MCAST_MSFILTER. Others are as [`getsockopt`] has them.
///
/// ```
/// use tapsock::bsd::*;
///
/// let host = tapsock::Host::builder().start()?;
/// let id = socket(&host, AF_INET, SOCK_DGRAM, 0)?;
/// // The group and the interface; that all but the sources are heard; room for two sources.
/// let asked = [[239, 1, 1, 1], [127, 0, 0, 1], [0; 4], 2u32.to_ne_bytes()].concat();
/// setsockopt(&host, id, SOL_IP, IP_ADD_MEMBERSHIP, &asked[..8])?;
/// let blocked = [&asked[..12], &1u32.to_ne_bytes(), &[192, 0, 2, 1]].concat();
/// setsockopt(&host, id, SOL_IP, IP_MSFILTER, &blocked)?;
/// assert_eq!(getsockopt_about(&host, id, SOL_IP, IP_MSFILTER, &asked)?.as_bytes(), blocked);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Besides those of [`getsockopt`] EINVAL where `asked` is too short or names no group, ENODEV, EADDRNOTAVAIL where the
/// socket is not in the group.
pub fn getsockopt_about(
    host: &Host,
    socket: i32,
    level: i32,
    name: i32,
    asked: &[u8],
) -> Result<OptionValue, Errno> {
    open(host, socket)?.kind.option_about(level, name, asked)
}

/// Sets an option to the bytes of its C type. See setsockopt(2).
///
/// # Errors
/// ENOPROTOOPT, EINVAL, EPERM, EBADF.
pub fn setsockopt(host: &Host, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    open(host, socket)?.kind.set_option(level, name, value)
}

/// What an id stands for, for one call.
fn open(host: &Host, id: i32) -> Result<Arc<Description>, Errno> {
    host.descriptors().description(id)
}

/// The kind of a local socket, and whether it waits.
///
/// Errors: EINVAL for unknown flags, ESOCKTNOSUPPORT, EPROTONOSUPPORT for a protocol that is neither 0 nor PF_UNIX.
pub(crate) fn local_kind(kind: i32, protocol: i32) -> Result<(SocketKind, bool), Errno> {
    let waits = waits(kind & !SOCK_TYPE_MASK)?;
    if protocol != 0 && protocol != AF_UNIX {
        return Err(Errno::PROTONOSUPPORT);
    }
    Ok((SocketKind::from_type(kind & SOCK_TYPE_MASK)?, waits))
}
