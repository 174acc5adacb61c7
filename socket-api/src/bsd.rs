//! The calls of `sys/socket.h` and `poll.h` with integer socket ids, on a [`Host`] that is named.
//!
//! Each does what its namesake does on Linux, with the same errno. Socket ids are the lowest free ones from 0 on, and
//! belong to their host.
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

use core::time::Duration;

use rustix::io::Errno;
use tapsock_sockets::Fd;

use crate::engine::clock::now;
use crate::engine::poll::Polled;
use crate::host::Host;

pub use tapsock_sockets::constants::*;
pub use tapsock_sockets::{OptionValue, PollMask, SockAddr};

/// Makes a socket; `kind` may carry `SOCK_NONBLOCK`. See socket(2).
///
/// # Errors
/// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EMFILE.
pub fn socket(host: &Host, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
    let mut turn = host.shard().turn();
    let socket = turn.state.sockets.socket(domain, kind, protocol);
    turn.finish();
    socket.map(|socket| socket.0)
}

/// Gives the socket an address of its own. See bind(2).
///
/// # Errors
/// EACCES for a reserved port, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL where it has one, EBADF.
pub fn bind(host: &Host, socket: i32, address: &SockAddr) -> Result<(), Errno> {
    let mut turn = host.shard().turn();
    let now = turn.now;
    let bound = turn.state.sockets.bind(now, Fd(socket), address);
    turn.finish();
    bound
}

/// Makes the socket wait for connections, of which `backlog` are kept. See listen(2).
///
/// # Errors
/// EADDRINUSE, EOPNOTSUPP, EINVAL, EBADF.
pub fn listen(host: &Host, socket: i32, backlog: i32) -> Result<(), Errno> {
    let mut turn = host.shard().turn();
    let now = turn.now;
    let listening = turn.state.sockets.listen(now, Fd(socket), backlog);
    turn.finish();
    listening
}

/// Takes a connection from the listener's queue; blocks until there is one. See accept(2).
///
/// # Errors
/// EAGAIN where the listener does not block or its `SO_RCVTIMEO` has passed, EINVAL where it does not listen,
/// EOPNOTSUPP, EMFILE, EBADF.
pub fn accept(host: &Host, socket: i32) -> Result<(i32, SockAddr), Errno> {
    accept4(host, socket, 0)
}

/// As [`accept`], with `SOCK_NONBLOCK` for the new socket in `flags`. See accept4(2).
///
/// # Errors
/// Those of [`accept`].
pub fn accept4(host: &Host, socket: i32, flags: i32) -> Result<(i32, SockAddr), Errno> {
    let attempt = |sockets: &mut tapsock_sockets::Sockets, now| sockets.try_accept(now, Fd(socket), flags);
    host.shard().call(Errno::AGAIN, attempt).map(|(socket, peer)| (socket.0, peer))
}

/// Connects the socket; blocks until the peer has answered. See connect(2).
///
/// # Errors
/// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EISCONN, EAFNOSUPPORT, EBADF; EINPROGRESS where
/// the socket does not block, or `SO_SNDTIMEO` has passed; EALREADY where that is still so.
pub fn connect(host: &Host, socket: i32, address: &SockAddr) -> Result<(), Errno> {
    host.shard().call(Errno::INPROGRESS, |sockets, now| sockets.try_connect(now, Fd(socket), address))
}

/// Sends `data` on a connected socket and returns how many bytes were taken: all of them, where it blocks. See
/// send(2).
///
/// # Errors
/// EAGAIN, EPIPE, ECONNRESET, ENOTCONN, EDESTADDRREQ, EMSGSIZE, ENETDOWN, EBADF. Where an error comes after some
/// bytes were taken, their number is returned, and the error by the next call.
pub fn send(host: &Host, socket: i32, data: &[u8], flags: i32) -> Result<usize, Errno> {
    host.shard().send(Fd(socket), data, flags, None)
}

/// As [`send`], to an address. See sendto(2).
///
/// # Errors
/// Those of [`send`], and those that come of the address.
pub fn sendto(
    host: &Host,
    socket: i32,
    data: &[u8],
    flags: i32,
    address: Option<&SockAddr>,
) -> Result<usize, Errno> {
    host.shard().send(Fd(socket), data, flags, address)
}

/// Receives into `into` and returns how many bytes: 0 at the end of a stream; with `MSG_TRUNC` the length of the
/// datagram, which may be more than was copied. Blocks until there is something. See recv(2).
///
/// # Errors
/// EAGAIN, ECONNRESET, ECONNREFUSED, ETIMEDOUT, ENOTCONN, ENETDOWN, EBADF.
pub fn recv(host: &Host, socket: i32, into: &mut [u8], flags: i32) -> Result<usize, Errno> {
    recvfrom(host, socket, into, flags).map(|(len, _)| len)
}

/// As [`recv`], with the sender's address, where the protocol tells it. See recvfrom(2).
///
/// # Errors
/// Those of [`recv`].
pub fn recvfrom(
    host: &Host,
    socket: i32,
    into: &mut [u8],
    flags: i32,
) -> Result<(usize, Option<SockAddr>), Errno> {
    let received = host.shard().receive(Fd(socket), into, flags)?;
    let len = if flags & MSG_TRUNC != 0 { received.full_len } else { received.len };
    Ok((len, received.from))
}

/// Ends a direction of the connection: `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`. See shutdown(2).
///
/// # Errors
/// ENOTCONN, EINVAL, EBADF.
pub fn shutdown(host: &Host, socket: i32, how: i32) -> Result<(), Errno> {
    let mut turn = host.shard().turn();
    let now = turn.now;
    let shut = turn.state.sockets.shutdown(now, Fd(socket), how);
    turn.finish();
    shut
}

/// Gives the socket up. What was sent still goes out; threads that wait for the socket get EBADF. See close(2).
///
/// # Errors
/// EBADF.
pub fn close(host: &Host, socket: i32) -> Result<(), Errno> {
    host.shard().close(Fd(socket))
}

/// The socket's own address. See getsockname(2).
///
/// # Errors
/// EBADF.
pub fn getsockname(host: &Host, socket: i32) -> Result<SockAddr, Errno> {
    host.shard().turn().state.sockets.local_address(Fd(socket))
}

/// The peer's address. See getpeername(2).
///
/// # Errors
/// ENOTCONN, EBADF.
pub fn getpeername(host: &Host, socket: i32) -> Result<SockAddr, Errno> {
    host.shard().turn().state.sockets.peer_address(Fd(socket))
}

/// The value of an option. See getsockopt(2).
///
/// # Errors
/// ENOPROTOOPT, EBADF.
pub fn getsockopt(host: &Host, socket: i32, level: i32, name: i32) -> Result<OptionValue, Errno> {
    let mut turn = host.shard().turn();
    let now = turn.now;
    let value = turn.state.sockets.option(now, Fd(socket), level, name);
    turn.finish();
    value
}

/// Sets an option to the bytes of its C type. See setsockopt(2).
///
/// # Errors
/// ENOPROTOOPT, EINVAL, EPERM, EBADF.
pub fn setsockopt(host: &Host, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let mut turn = host.shard().turn();
    let now = turn.now;
    let set = turn.state.sockets.set_option(now, Fd(socket), level, name, value);
    turn.finish();
    set
}

/// One socket of a [`poll`].
///
/// ```
/// use tapsock::bsd::{PollFd, PollMask};
///
/// let entry = PollFd::new(3, PollMask::IN);
/// assert_eq!(entry.revents, PollMask::NONE);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PollFd {
    /// The socket; a negative one is passed over.
    pub fd: i32,
    /// The events asked for.
    pub events: PollMask,
    /// The events that are there; `ERR`, `HUP` and `NVAL` come unasked.
    pub revents: PollMask,
}

impl PollFd {
    /// Asks for `events` of `fd`.
    pub fn new(fd: i32, events: PollMask) -> Self {
        PollFd { fd, events, revents: PollMask::NONE }
    }
}

impl Polled for PollFd {
    fn socket(&self) -> Fd {
        Fd(self.fd)
    }

    fn events(&self) -> PollMask {
        self.events
    }

    fn report(&mut self, ready: PollMask) {
        self.revents = ready;
    }
}

/// Waits until one of `fds` is ready or `timeout` milliseconds have passed (negative: for ever) and returns how many
/// are. See poll(2).
///
/// # Errors
/// None as yet.
pub fn poll(host: &Host, fds: &mut [PollFd], timeout: i32) -> Result<usize, Errno> {
    let deadline = u64::try_from(timeout).ok().map(|timeout| now() + Duration::from_millis(timeout));
    host.shard().poll(fds, deadline)
}
