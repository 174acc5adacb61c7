//! A TCP connection.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::Shutdown;

#[cfg(feature = "tokio")]
use rustix::io::Errno;
#[cfg(feature = "tokio")]
use tapsock_sockets::SockAddr;
use tapsock_sockets::constants::*;

use super::{Socket, ToSocketAddrs, common_methods, each_address, timeout_methods};
use crate::host::Host;

/// A TCP connection, as `std::net::TcpStream`.
///
/// ```
/// use std::io::{Read, Write};
/// use std::time::Duration;
/// use tapsock::Host;
/// use tapsock::net::{Shutdown, TcpListener, TcpStream};
///
/// let host = Host::builder().start()?;
/// let listener = TcpListener::bind(&host, "127.0.0.1:0")?;
/// let mut client = TcpStream::connect(&host, listener.local_addr()?)?;
/// let (mut server, peer) = listener.accept()?;
/// assert_eq!(peer, client.local_addr()?);
///
/// client.set_read_timeout(Some(Duration::from_secs(1)))?;
/// server.write_all(b"bye")?;
/// server.shutdown(Shutdown::Write)?;
/// let mut text = String::new();
/// client.read_to_string(&mut text)?;
/// assert_eq!(text, "bye");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) socket: Socket,
}

impl TcpStream {
    /// Connects to the first address that answers; blocks until it does.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN.
    pub fn connect(host: &Host, address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(address, |address| {
            let socket = Socket::new(host, address, SOCK_STREAM)?;
            socket.connect(address)?;
            Ok(TcpStream { socket })
        })
    }

    /// As [`connect`](Self::connect), for `timeout` at most.
    ///
    /// # Errors
    /// Those of `connect`; TimedOut when the time is over; InvalidInput for a time of zero.
    pub fn connect_timeout(host: &Host, address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        let socket = Socket::new(host, address, SOCK_STREAM)?;
        socket.connect_timeout(address, timeout)?;
        Ok(TcpStream { socket })
    }

    /// As [`connect`](Self::connect), from an address of the host's that is chosen here: with port 0, from any port,
    /// and with the unspecified address, from the one that the route gives. `std::net` has no such thing. Without a
    /// `timeout` it waits as long as `connect` does.
    ///
    /// ```
    /// use tapsock::Host;
    /// use tapsock::net::{TcpListener, TcpStream};
    ///
    /// let host = Host::builder().start()?;
    /// let listener = TcpListener::bind(&host, "127.0.0.1:0")?;
    /// let from = "127.0.0.2:4000".parse().unwrap();
    /// let stream = TcpStream::connect_from(&host, &from, &listener.local_addr()?, None)?;
    /// assert_eq!(stream.local_addr()?, from);
    /// assert_eq!(listener.accept()?.1, from);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`connect_timeout`](Self::connect_timeout); EADDRINUSE, EADDRNOTAVAIL, and EACCES for a reserved port;
    /// EAFNOSUPPORT or EINVAL where the families differ.
    pub fn connect_from(
        host: &Host,
        local: &SocketAddr,
        remote: &SocketAddr,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let socket = Socket::new(host, remote, SOCK_STREAM)?;
        socket.bind(local)?;
        match timeout {
            Some(timeout) => socket.connect_timeout(remote, timeout)?,
            None => socket.connect(remote)?,
        }
        Ok(TcpStream { socket })
    }

    /// A socket for a connection to `address`.
    #[cfg(feature = "tokio")]
    pub(crate) fn unconnected(host: &Host, address: &SocketAddr) -> io::Result<Self> {
        Ok(TcpStream { socket: Socket::new(host, address, SOCK_STREAM)? })
    }

    /// Connects without waiting, on a socket that does not: begins it, or tells how far it is.
    ///
    /// Errors: WouldBlock while it goes on; those of `connect`.
    #[cfg(feature = "tokio")]
    pub(crate) fn connect_step(&self, address: &SocketAddr) -> io::Result<()> {
        match self.socket.shard().connect(self.socket.fd(), &SockAddr::from(*address)) {
            Ok(()) | Err(Errno::ISCONN) => Ok(()),
            Err(Errno::INPROGRESS | Errno::ALREADY) => Err(Errno::AGAIN.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    common_methods!();
    timeout_methods!();

    /// The peer's address.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends one direction of the connection or both.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Copies what can be read into `into`, and leaves it there to be read.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, MSG_PEEK)
    }

    /// Whether small segments are sent at once (`TCP_NODELAY`), or held back while others are unacknowledged.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_option(SOL_TCP, TCP_NODELAY, nodelay.into())
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.socket.option(SOL_TCP, TCP_NODELAY)? != 0)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data, None)
    }

    /// Does nothing: what was written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl Write for TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
