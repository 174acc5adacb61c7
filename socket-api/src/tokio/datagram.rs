//! Local datagrams.

use core::task::{Context, Poll, ready};
use std::io;
use std::net::Shutdown;
use std::path::Path;

use ::tokio::io::{Interest, ReadBuf, Ready};

use super::data_methods;
use super::io::{Io, direction};
use crate::engine::wakers::Direction;
use crate::host::Host;
use crate::unix::{self as blocking, SocketAddr};

/// A socket for datagrams that stay in memory, as `tokio::net::UnixDatagram`: none is lost, none overtakes another.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::UnixDatagram;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let log = UnixDatagram::bind(&host, "/dev/log")?;
/// let program = UnixDatagram::unbound(&host)?;
/// program.send_to(b"started", "/dev/log").await?;
/// let mut bytes = [0; 100];
/// let (len, from) = log.recv_from(&mut bytes).await?;
/// assert_eq!((&bytes[..len], from.is_unnamed()), (&b"started"[..], true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Io<blocking::UnixDatagram>,
}

impl UnixDatagram {
    data_methods!(blocking::UnixDatagram);

    /// A socket with a name.
    ///
    /// # Errors
    /// AddrInUse (EADDRINUSE) where something has that name, or had and nobody unlinked it, InvalidInput (EINVAL).
    pub fn bind(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(blocking::UnixDatagram::bind(host, path)?)
    }

    /// A socket without a name.
    ///
    /// # Errors
    /// None as yet.
    pub fn unbound(host: &Host) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(blocking::UnixDatagram::unbound(host)?)
    }

    /// Two that are connected to each other.
    ///
    /// # Errors
    /// None as yet.
    pub fn pair(host: &Host) -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (first, second) = blocking::UnixDatagram::pair(host)?;
        Ok((UnixDatagram::from_std(first)?, UnixDatagram::from_std(second)?))
    }

    /// Sends to the socket at `path`, and receives from it alone, from now on. It waits for nothing.
    ///
    /// # Errors
    /// NotFound (ENOENT), ConnectionRefused (ECONNREFUSED), EPROTOTYPE, PermissionDenied (EPERM) where that one is
    /// connected to another.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.io.socket().connect(path)
    }

    /// Ends a direction, or both.
    ///
    /// # Errors
    /// None as yet.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.socket().shutdown(how)
    }

    /// Sends to the socket at `path`.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) and [`send`](Self::send).
    pub async fn send_to(&self, data: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.io.async_io(Direction::Write, |socket| socket.send_to(data, &path)).await
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `send_to`.
    pub fn try_send_to(&self, data: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.io.try_io(Direction::Write, |socket| socket.send_to(data, &path))
    }

    /// Sends to the peer; waits while that one's queue is full.
    ///
    /// # Errors
    /// NotConnected (ENOTCONN), ConnectionRefused (ECONNREFUSED), EMSGSIZE.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.io.async_io(Direction::Write, |socket| socket.send(data)).await
    }

    /// As [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `send`.
    pub fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.io.try_io(Direction::Write, |socket| socket.send(data))
    }

    /// Receives a datagram, of which what has no room in `into` is lost.
    ///
    /// # Errors
    /// ConnectionReset (ECONNRESET) where the peer has turned away.
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.io.async_io(Direction::Read, |socket| socket.recv(into)).await
    }

    /// As [`recv`](Self::recv), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `recv`.
    pub fn try_recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Direction::Read, |socket| socket.recv(into))
    }

    /// As [`recv`](Self::recv), with the sender's name.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.async_io(Direction::Read, |socket| socket.recv_from(into)).await
    }

    /// As [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `recv_from`.
    pub fn try_recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Direction::Read, |socket| socket.recv_from(into))
    }

    /// Waits until there is something to receive. One task at a time, the last that asked.
    ///
    /// # Errors
    /// None.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_direction(Direction::Read, cx)
    }

    /// Waits until there is room to send. One task at a time, the last that asked.
    ///
    /// # Errors
    /// None.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_direction(Direction::Write, cx)
    }

    /// As [`send`](Self::send). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |socket| socket.send(data))
    }

    /// As [`recv`](Self::recv). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn poll_recv(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = into.initialize_unfilled();
        let len = ready!(self.io.poll_io(Direction::Read, cx, |socket| socket.recv(room)))?;
        into.advance(len);
        Poll::Ready(Ok(()))
    }

    /// As [`recv_from`](Self::recv_from). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let room = into.initialize_unfilled();
        let (len, from) = ready!(self.io.poll_io(Direction::Read, cx, |socket| socket.recv_from(room)))?;
        into.advance(len);
        Poll::Ready(Ok(from))
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket().local_addr()
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// NotConnected (ENOTCONN).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket().peer_addr()
    }
}
