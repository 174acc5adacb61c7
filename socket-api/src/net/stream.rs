//! A TCP connection.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;

use bytes::Bytes;
#[cfg(feature = "tokio")]
use rustix::io::Errno;
#[cfg(feature = "tokio")]
use tapsock_sockets::SockAddr;

use tapsock_sockets::constants::*;

use super::{Socket, ToSocketAddrs, common_methods, each_address, shown, timeout_methods};
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
pub struct TcpStream {
    pub(super) socket: Socket,
}

shown!(TcpStream);

impl TcpStream {
    /// Connects to the first address that answers; blocks until it does.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN.
    pub fn connect(host: &Host, address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(host, address, |address| {
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

    /// What closing does with data that was not sent: waits that long, in whole seconds, and at zero resets the connection;
    /// `None` closes in the background (`SO_LINGER`).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let secs = linger.map_or(0, |linger| i32::try_from(linger.as_secs()).unwrap_or(i32::MAX));
        let value = [i32::from(linger.is_some()).to_ne_bytes(), secs.to_ne_bytes()].concat();
        Ok(self.socket.shard().set_option(self.socket.fd(), SOL_SOCKET, SO_LINGER, &value)?)
    }

    /// How long closing waits (`SO_LINGER`).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        let value = self.socket.shard().option(self.socket.fd(), SOL_SOCKET, SO_LINGER)?;
        Ok(match value.as_bytes().as_chunks::<4>().0 {
            [on, secs] if i32::from_ne_bytes(*on) != 0 => {
                Some(Duration::from_secs(u32::from_ne_bytes(*secs).into()))
            }
            _ => None,
        })
    }

    /// Sends `data` without a copy: the connection holds the bytes until the peer has acknowledged them. Returns how
    /// many were taken, which is all of them unless it is set not to wait, or a time-out passes.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tapsock::Host;
    /// use tapsock::net::{TcpListener, TcpStream};
    ///
    /// let host = Host::builder().start()?;
    /// let listener = TcpListener::bind(&host, "127.0.0.1:0")?;
    /// let client = TcpStream::connect(&host, listener.local_addr()?)?;
    /// client.send_bytes(Bytes::from_static(b"hello"))?;
    /// assert_eq!(listener.accept()?.0.recv_bytes()?, "hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `write`.
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        self.socket.send_bytes(data, None)
    }

    /// Receives what lies in one piece, without a copy: what came in one frame, or in several that the link merged.
    /// Nothing stands for the end of the stream.
    ///
    /// The bytes keep the buffer that they came in from being used again, which is at most eight times as large as they
    /// are and 2 KiB; who keeps them for long copies them.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn recv_bytes(&self) -> io::Result<Bytes> {
        Ok(self.socket.receive_bytes()?.0)
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

    /// Whether what comes is acknowledged at once (`TCP_QUICKACK`), until the connection finds otherwise: as
    /// `std::os::linux::net::TcpStreamExt`.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.socket.set_option(SOL_TCP, TCP_QUICKACK, quickack.into())
    }

    /// Whether what comes is acknowledged at once.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn quickack(&self) -> io::Result<bool> {
        Ok(self.socket.option(SOL_TCP, TCP_QUICKACK)? != 0)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }

    fn read_vectored(&mut self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.receive_parts(parts)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data, None)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_parts(parts)
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

    fn read_vectored(&mut self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(parts)
    }
}

impl Write for TcpStream {
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
