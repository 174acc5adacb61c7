//! A socket of any kind, made step by step, with the names of the `socket2` crate (0.6), on a [`Host`] that is named.
//!
//! What [`net`](crate::net) and [`unix`](crate::unix) do in one call is done here in several, with options in between;
//! the result becomes one of their types by `TryFrom`. Unlike `socket2`, the calls that receive take initialised
//! buffers, and addresses are [`SockAddr`].

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use rustix::io::Errno;
use tapsock_sockets::Blocking;
use tapsock_sockets::constants::*;

use crate::SockAddr;
use crate::bsd;
use crate::description::{Description, Held, Kind};
use crate::handle::Handle;
use crate::host::Host;
use crate::local::LocalSocket;

mod convert;
mod groups;
mod kinds;
mod options;
mod transfer;

pub use kinds::{Domain, Protocol, Type};
pub use options::TcpKeepalive;

/// A socket of any kind. Dropping it closes it; what was written still goes out.
///
/// ```
/// use tapsock::net::TcpListener;
/// use tapsock::socket::{Domain, Socket, Type};
/// use tapsock::{Host, SockAddr};
///
/// let host = Host::builder().start()?;
/// let socket = Socket::new(&host, Domain::IPV6, Type::STREAM, None)?;
/// socket.set_only_v6(false)?;
/// socket.set_reuse_address(true)?;
/// let any: std::net::SocketAddr = "[::]:8080".parse().unwrap();
/// socket.bind(&SockAddr::from(any))?;
/// socket.listen(128)?;
/// let listener = TcpListener::try_from(socket).expect("a listener");
/// assert_eq!(listener.local_addr()?, any);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Socket {
    handle: Handle,
    description: Arc<Description>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(self.handle.held()).finish()
    }
}

impl Socket {
    /// Makes a socket; without a protocol, that which goes with the type.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EMFILE; EPERM for a raw socket on a host that is not
    /// [`privileged`](crate::Builder::privileged).
    pub fn new(host: &Host, domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        let protocol = protocol.map_or(0, i32::from);
        let made = if domain == Domain::UNIX {
            let (kind, waits) = bsd::local_kind(kind.into(), protocol)?;
            Kind::Local(LocalSocket::new(host.locals(), kind, waits))
        } else {
            Kind::Inet(
                host.shared_shard().clone(),
                host.shard().socket(domain.into(), kind.into(), protocol)?,
            )
        };
        Ok(Socket::of(host, made))
    }

    /// Two sockets that are connected to each other; of [`Domain::UNIX`].
    ///
    /// ```
    /// use tapsock::Host;
    /// use tapsock::socket::{Domain, Socket, Type};
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = Socket::pair(&host, Domain::UNIX, Type::SEQPACKET, None)?;
    /// a.send(b"hello")?;
    /// assert_eq!(b.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// EOPNOTSUPP for another domain, and those of [`new`](Socket::new).
    pub fn pair(
        host: &Host,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        if domain != Domain::UNIX {
            // What is wrong with the rest is said first.
            Socket::new(host, domain, kind, protocol)?;
            return Err(Errno::OPNOTSUPP.into());
        }
        let (kind, waits) = bsd::local_kind(kind.into(), protocol.map_or(0, i32::from))?;
        let (first, second) = LocalSocket::pair(host.locals(), kind, waits);
        Ok((Socket::of(host, Kind::Local(first)), Socket::of(host, Kind::Local(second))))
    }

    fn of(host: &Host, kind: Kind) -> Socket {
        let held = Held::new(kind);
        match held.socket().cloned() {
            Some(description) => Socket { handle: Handle::new(host, held), description },
            None => unreachable!("it was made as one"),
        }
    }

    fn kind(&self) -> &Kind {
        &self.description.kind
    }

    /// The share in the socket, and its numbers.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Gives it an address of its own: bind(2).
    ///
    /// # Errors
    /// EACCES for a reserved port, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL where it has one.
    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        Ok(self.kind().bind(address)?)
    }

    /// Connects it; blocks until the peer has answered: connect(2).
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EISCONN, EAFNOSUPPORT; EINPROGRESS where it is
    /// set not to wait, EALREADY where that is still so.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        Ok(self.kind().connect(address)?)
    }

    /// As [`connect`](Socket::connect), for `timeout` at most, whether it is set to wait or not.
    ///
    /// # Errors
    /// Those of `connect`; TimedOut when the time is over; InvalidInput for a time of zero.
    pub fn connect_timeout(&self, address: &SockAddr, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Ok(self.kind().connect_timeout(address, timeout)?)
    }

    /// Lets it take connections, of which `backlog` are kept: listen(2).
    ///
    /// # Errors
    /// EADDRINUSE, EOPNOTSUPP, EINVAL.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(self.kind().listen(backlog)?)
    }

    /// Takes a connection; blocks until there is one: accept(2).
    ///
    /// # Errors
    /// WouldBlock where it is set not to wait, EINVAL where it does not listen, EOPNOTSUPP, EMFILE.
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        let (accepted, peer) = self.kind().accept(0)?;
        Ok((Socket::of(self.host(), accepted), peer))
    }

    /// Its own address: getsockname(2).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<SockAddr> {
        Ok(self.kind().local_address()?)
    }

    /// The peer's address: getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        Ok(self.kind().peer_address()?)
    }

    /// Another handle of the same socket, with numbers of its own. The socket is closed when the last is dropped.
    ///
    /// # Errors
    /// None.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket { handle: self.handle.clone(), description: self.description.clone() })
    }

    /// Whether calls return WouldBlock where they would wait.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let blocking = if nonblocking { Blocking::Never } else { Blocking::Waits };
        Ok(self.kind().set_blocking(blocking)?)
    }

    /// Whether calls return WouldBlock where they would wait.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn nonblocking(&self) -> io::Result<bool> {
        Ok(self.kind().blocking()? == Blocking::Never)
    }

    /// Ends one direction or both: shutdown(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => SHUT_RD,
            Shutdown::Write => SHUT_WR,
            Shutdown::Both => SHUT_RDWR,
        };
        Ok(self.kind().shutdown(how)?)
    }

    /// The socket's number in [`bsd`](crate::bsd), for what there is no method for. It is given out at the first call,
    /// and closed with the socket.
    ///
    /// # Errors
    /// EMFILE.
    pub fn socket_id(&self) -> io::Result<i32> {
        self.handle.id()
    }

    /// A real descriptor that polls as the socket does: see [`HasMirror`](crate::HasMirror).
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn poll_fd(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        crate::HasMirror::poll_fd(self)
    }

    /// The host that the socket belongs to.
    pub fn host(&self) -> &Host {
        self.handle.host()
    }
}

impl Read for &Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.recv_vectored(into)
    }
}

impl Write for &Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(parts)
    }

    /// Does nothing: what was written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(into)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
