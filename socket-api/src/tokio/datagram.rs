//! Local datagrams.

use core::task::{Context, Poll, ready};
use std::io;
use std::net::Shutdown;
use std::path::Path;

use ::tokio::io::{Interest, ReadBuf, Ready};

use super::io::{Io, direction};
use super::{data_methods, datagram_methods};
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
    datagram_methods!(blocking::UnixDatagram, SocketAddr);

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
}
