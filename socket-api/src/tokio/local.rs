//! Local streams.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::sync::Arc;

use ::tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::io::{Io, direction};
use super::split::{Stream, split};
use super::{data_methods, stream_methods, unix};
use crate::engine::wakers::Direction;
use crate::host::Host;
use crate::unix::{self as blocking, SocketAddr, UCred};

/// A connected stream of bytes, in memory, as `tokio::net::UnixStream`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::UnixStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let (mut here, mut there) = UnixStream::pair(&host)?;
/// let mut bytes = [0; 5];
/// let (sent, received) = tokio::join!(here.write_all(b"hello"), there.read_exact(&mut bytes));
/// sent?;
/// assert_eq!(received?, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UnixStream {
    io: Io<blocking::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// NotFound (ENOENT), ConnectionRefused (ECONNREFUSED), EPROTOTYPE where a socket of another type is there,
    /// InvalidInput (EINVAL) for a path that is too long, WouldBlock (EAGAIN) where the listener's queue is full.
    pub async fn connect(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::from_std(blocking::UnixStream::connect_at_once(host, path)?)
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    /// None as yet.
    pub fn pair(host: &Host) -> io::Result<(UnixStream, UnixStream)> {
        let (first, second) = blocking::UnixStream::pair(host)?;
        Ok((UnixStream::from_std(first)?, UnixStream::from_std(second)?))
    }

    /// Who is on the other side, as it was when the connection came about (SO_PEERCRED).
    ///
    /// # Errors
    /// None as yet.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        self.io.socket().peer_cred()
    }
}

stream_methods!(UnixStream, blocking::UnixStream, unix, SocketAddr);

/// A socket that takes connections of local streams, as `tokio::net::UnixListener`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::{UnixListener, UnixStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let listener = UnixListener::bind(&host, "/run/echo")?;
/// let client = UnixStream::connect(&host, "/run/echo").await?;
/// let (server, _) = listener.accept().await?;
/// assert_eq!(server.local_addr()?, client.peer_addr()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    io: Io<blocking::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`.
    ///
    /// # Errors
    /// AddrInUse (EADDRINUSE) where something has that name, or had and nobody unlinked it, InvalidInput (EINVAL).
    pub fn bind(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::from_std(blocking::UnixListener::bind(host, path)?)
    }

    /// As [`bind`](Self::bind), at an address.
    ///
    /// # Errors
    /// Those of `bind`.
    pub fn bind_addr(host: &Host, address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::from_std(blocking::UnixListener::bind_addr(host, address)?)
    }

    /// Makes it of a blocking one, which is set not to wait.
    ///
    /// # Errors
    /// None as yet.
    pub fn from_std(listener: blocking::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener { io: Io::new(listener)? })
    }

    /// The blocking one. It is still set not to wait.
    ///
    /// # Errors
    /// None.
    pub fn into_std(self) -> io::Result<blocking::UnixListener> {
        Ok(self.io.into_inner())
    }

    /// Takes a connection; waits until there is one.
    ///
    /// # Errors
    /// InvalidInput (EINVAL) where it was shut down.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.io.async_io(Direction::Read, blocking::UnixListener::accept).await?;
        Ok((UnixStream::from_std(stream)?, peer))
    }

    /// As [`accept`](Self::accept). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.io.poll_io(Direction::Read, cx, blocking::UnixListener::accept))?;
        Poll::Ready(UnixStream::from_std(stream).map(|stream| (stream, peer)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None as yet.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket().local_addr()
    }

    /// The pending error, which is taken by this (SO_ERROR).
    ///
    /// # Errors
    /// None as yet.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.socket().take_error()
    }
}
