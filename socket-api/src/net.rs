//! TCP and UDP sockets with the names and the behaviour of `std::net`, on a [`Host`] that is named.
//!
//! Errors are [`io::Error`]s of the errno that Linux gives. As with `std::net`, a read or write time-out that passes
//! says [`WouldBlock`](io::ErrorKind::WouldBlock), and listeners are bound with `SO_REUSEADDR`.
//!
//! A socket is a handle of its host: the host lives as long as one of them. Dropping a socket closes it; what was
//! written still goes out.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut};

use bytes::Bytes;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Blocking, Fd, SockAddr};
use tapsock_stack::buf::Rope;

use crate::description::{Held, Kind};
use crate::engine::Shard;
use crate::engine::clock::now;
use crate::handle::Handle;
use crate::host::Host;

mod address;
mod listener;
mod multicast;
mod passing;
mod stream;
mod udp;

#[cfg(feature = "tokio")]
pub(crate) use address::Addresses;
pub use address::{SocketAddrs, ToSocketAddrs};
pub use listener::{Incoming, TcpListener};
pub use std::net::Shutdown;
pub use stream::TcpStream;
pub use udp::UdpSocket;

/// A socket of a host; the last clone closes it.
#[derive(Clone, Debug)]
struct Socket {
    handle: Handle,
    fd: Fd,
}

impl Socket {
    fn new(host: &Host, address: &SocketAddr, kind: i32) -> io::Result<Self> {
        let domain = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        Ok(Socket::adopt(host, host.shard().socket(domain, kind, 0)?))
    }

    fn adopt(host: &Host, fd: Fd) -> Self {
        let held = Held::new(Kind::Inet(host.shared_shard().clone(), fd));
        Socket { handle: Handle::new(host, held), fd }
    }

    fn host(&self) -> &Host {
        self.handle.host()
    }

    fn shard(&self) -> &Shard {
        self.host().shard()
    }

    fn fd(&self) -> Fd {
        self.fd
    }

    fn bind(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(self.shard().bind(self.fd(), &SockAddr::from(*address))?)
    }

    fn connect(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(self.shard().connect(self.fd(), &SockAddr::from(*address))?)
    }

    fn connect_timeout(&self, address: &SocketAddr, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Ok(self.shard().connect_until(self.fd(), &SockAddr::from(*address), now() + timeout)?)
    }

    fn send(&self, data: &[u8], to: Option<&SocketAddr>) -> io::Result<usize> {
        let to = to.map(|to| SockAddr::from(*to));
        Ok(self.shard().send(self.fd(), data, MSG_NOSIGNAL, to.as_ref())?)
    }

    fn send_parts(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.shard().send_message(self.fd(), parts, &[], MSG_NOSIGNAL, None)?)
    }

    fn receive_parts(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        Ok(self.shard().receive_message(self.fd(), parts, 0)?.len)
    }

    fn receive(&self, into: &mut [u8], flags: i32) -> io::Result<usize> {
        Ok(self.shard().receive(self.fd(), into, flags)?.len)
    }

    fn receive_from(&self, into: &mut [u8], flags: i32) -> io::Result<(usize, SocketAddr)> {
        let received = self.shard().receive(self.fd(), into, flags)?;
        Ok((received.len, inet(received.from.ok_or(Errno::INVAL)?)?))
    }

    fn send_bytes(&self, data: Bytes, to: Option<&SocketAddr>) -> io::Result<usize> {
        let to = to.map(|to| SockAddr::from(*to));
        Ok(self.shard().send_rope(self.fd(), Rope::from(data), MSG_NOSIGNAL, to.as_ref())?)
    }

    fn receive_bytes(&self) -> io::Result<(Bytes, Option<SocketAddr>)> {
        let (data, from) = self.shard().receive_piece(self.fd())?;
        Ok((data, from.map(inet).transpose()?))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => SHUT_RD,
            Shutdown::Write => SHUT_WR,
            Shutdown::Both => SHUT_RDWR,
        };
        Ok(self.shard().shutdown(self.fd(), how)?)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        inet(self.shard().local_address(self.fd())?)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        inet(self.shard().peer_address(self.fd())?)
    }

    /// As the standard library shows a socket of that name, with its number on the host for that of a descriptor.
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(name);
        for (what, address) in [("addr", self.local_addr()), ("peer", self.peer_addr())] {
            if let Ok(address) = address {
                shown.field(what, &address);
            }
        }
        shown.field("socket", &self.fd().0).finish()
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let blocking = if nonblocking { Blocking::Never } else { Blocking::Waits };
        Ok(self.shard().set_blocking(self.fd(), blocking)?)
    }

    fn set_timeout(&self, name: i32, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Ok(self.shard().set_option(self.fd(), SOL_SOCKET, name, &timeval(timeout))?)
    }

    fn timeout(&self, name: i32) -> io::Result<Option<Duration>> {
        Ok(self.shard().option(self.fd(), SOL_SOCKET, name)?.as_duration())
    }

    fn set_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        Ok(self.shard().set_option(self.fd(), level, name, &value.to_ne_bytes())?)
    }

    fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        Ok(self.shard().option(self.fd(), level, name)?.as_int().ok_or(Errno::INVAL)?)
    }

    fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.set_option(SOL_IP, IP_TTL, i32::try_from(ttl).unwrap_or(i32::MAX))
    }

    fn ttl(&self) -> io::Result<u32> {
        Ok(self.option(SOL_IP, IP_TTL)?.unsigned_abs())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self.option(SOL_SOCKET, SO_ERROR)? {
            0 => Ok(None),
            errno => Ok(Some(io::Error::from_raw_os_error(errno))),
        }
    }
}

/// The value of SO_RCVTIMEO and SO_SNDTIMEO; `None` is for ever.
pub(crate) fn timeval(timeout: Option<Duration>) -> Vec<u8> {
    let timeout = timeout.unwrap_or_default();
    let secs = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    let micros = match i64::from(timeout.subsec_micros()) {
        // Less than a microsecond is no reason to wait for ever.
        0 if secs == 0 && !timeout.is_zero() => 1,
        micros => micros,
    };
    [secs.to_ne_bytes(), micros.to_ne_bytes()].concat()
}

/// An address as `std::net` has it.
fn inet(address: SockAddr) -> io::Result<SocketAddr> {
    address.to_inet().ok_or_else(|| Errno::AFNOSUPPORT.into())
}

/// Tries each address in turn and returns the first success, or else the last error.
fn each_address<T>(
    host: &Host,
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses");
    for address in addresses.to_socket_addrs()?.on(host)? {
        match attempt(&address) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The methods that are the same on all of them, with the documentation of each.
macro_rules! common_methods {
    () => {
        /// A real descriptor that polls as the socket does: see [`HasMirror`](crate::HasMirror).
        ///
        /// # Errors
        /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
        pub fn poll_fd(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
            crate::HasMirror::poll_fd(self)
        }

        /// The share in the socket, and its numbers.
        pub(crate) fn handle(&self) -> &crate::handle::Handle {
            &self.socket.handle
        }

        /// The same, of a socket that goes.
        pub(crate) fn into_handle(self) -> crate::handle::Handle {
            self.socket.handle
        }

        /// The socket's own address.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn local_addr(&self) -> io::Result<SocketAddr> {
            self.socket.local_addr()
        }

        /// Another handle of the same socket, with numbers of its own. The socket is closed when the last is dropped.
        ///
        /// # Errors
        /// None.
        pub fn try_clone(&self) -> io::Result<Self> {
            Ok(Self { socket: self.socket.clone() })
        }

        /// Whether calls return [`WouldBlock`](io::ErrorKind::WouldBlock) where they would wait.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            self.socket.set_nonblocking(nonblocking)
        }

        /// The hop limit of IPv4 packets.
        ///
        /// # Errors
        /// EINVAL unless it is between 1 and 255.
        pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
            self.socket.set_ttl(ttl)
        }

        /// The hop limit of IPv4 packets.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn ttl(&self) -> io::Result<u32> {
            self.socket.ttl()
        }

        /// The error that happened since it was asked for last (`SO_ERROR`).
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn take_error(&self) -> io::Result<Option<io::Error>> {
            self.socket.take_error()
        }

        /// The socket's number in [`bsd`](crate::bsd), for what this type has no method for.
        /// It is this handle's: given out at the first call, and closed with it.
        ///
        /// # Errors
        /// EMFILE.
        pub fn socket_id(&self) -> io::Result<i32> {
            self.socket.handle.id()
        }

        /// The host that the socket belongs to.
        pub fn host(&self) -> &Host {
            self.socket.host()
        }
    };
}

/// The time-outs of streams and datagram sockets.
macro_rules! timeout_methods {
    () => {
        /// How long a receive waits; `None`: for ever.
        ///
        /// # Errors
        /// InvalidInput for a duration of zero.
        pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.socket.set_timeout(SO_RCVTIMEO, timeout)
        }

        /// How long a send waits; `None`: for ever.
        ///
        /// # Errors
        /// InvalidInput for a duration of zero.
        pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.socket.set_timeout(SO_SNDTIMEO, timeout)
        }

        /// How long a receive waits.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
            self.socket.timeout(SO_RCVTIMEO)
        }

        /// How long a send waits.
        ///
        /// # Errors
        /// EBADF after the host was shut down.
        pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
            self.socket.timeout(SO_SNDTIMEO)
        }
    };
}

/// Shows a socket with its addresses.
macro_rules! shown {
    ($name:ident) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.socket.show(stringify!($name), f)
            }
        }
    };
}

use {common_methods, shown, timeout_methods};
