//! TCP.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::sync::Arc;

use ::tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::io::{Io, direction};
use super::look_up::look_up;
use super::split::{Stream, split};
use super::{data_methods, stream_methods, tcp};
use crate::engine::wakers::Direction;
use crate::host::Host;
use crate::net::{self, Shutdown, ToSocketAddrs};

/// A TCP connection, as `tokio::net::TcpStream`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::{TcpListener, TcpStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let listener = TcpListener::bind(&host, "127.0.0.1:0").await?;
/// let client = TcpStream::connect(&host, listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
/// let (mut reading, mut writing) = client.into_split();
/// writing.write_all(b"hello").await?;
/// drop(writing);
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// server.shutdown().await?;
/// assert_eq!(reading.read(&mut [0; 8]).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    io: Io<net::TcpStream>,
}

impl TcpStream {
    /// Connects to the first address that answers.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN.
    pub async fn connect(host: &Host, address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let addresses = look_up(host, address).await?;
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses");
        for address in addresses {
            match TcpStream::connect_one(host, &address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_one(host: &Host, address: &SocketAddr) -> io::Result<TcpStream> {
        let io = Io::new(net::TcpStream::unconnected(host, address)?)?;
        io.async_io(Direction::Write, |socket| socket.connect_step(address)).await?;
        Ok(TcpStream { io })
    }

    /// Whether small segments are sent at once (`TCP_NODELAY`), or held back while others are unacknowledged.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.socket().set_nodelay(nodelay)
    }

    /// Whether small segments are sent at once.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.socket().nodelay()
    }

    /// The hop limit of IPv4 packets.
    ///
    /// # Errors
    /// EINVAL unless it is between 1 and 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.socket().set_ttl(ttl)
    }

    /// The hop limit of IPv4 packets.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.socket().ttl()
    }
}

stream_methods!(TcpStream, net::TcpStream, tcp, SocketAddr);

/// A TCP socket that takes connections, as `tokio::net::TcpListener`. With `tapsock`'s feature `axum`, `axum::serve`
/// takes it.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let listener = TcpListener::bind(&host, "[::1]:0").await?;
/// let address = listener.local_addr()?;
/// let (client, server) = tokio::join!(TcpStream::connect(&host, address), listener.accept());
/// assert_eq!(client?.local_addr()?, server?.1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Io<net::TcpListener>,
}

impl TcpListener {
    /// Listens at the first address that can be bound. It waits for nothing, and needs no runtime.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES for a reserved port.
    pub async fn bind(host: &Host, address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        TcpListener::from_std(net::TcpListener::bind(
            host,
            &look_up(host, address).await?.collect::<Vec<_>>()[..],
        )?)
    }

    /// Makes it of a blocking one, which is set not to wait.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn from_std(listener: net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { io: Io::new(listener)? })
    }

    /// The blocking one. It is still set not to wait.
    ///
    /// # Errors
    /// None.
    pub fn into_std(self) -> io::Result<net::TcpListener> {
        Ok(self.io.into_inner())
    }

    /// Takes a connection; waits until there is one.
    ///
    /// # Errors
    /// EMFILE; EBADF after the host was shut down.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.io.async_io(Direction::Read, net::TcpListener::accept).await?;
        Ok((TcpStream::from_std(stream)?, peer))
    }

    /// As [`accept`](Self::accept). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.io.poll_io(Direction::Read, cx, net::TcpListener::accept))?;
        Poll::Ready(TcpStream::from_std(stream).map(|stream| (stream, peer)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket().local_addr()
    }

    /// The hop limit of IPv4 packets.
    ///
    /// # Errors
    /// EINVAL unless it is between 1 and 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.socket().set_ttl(ttl)
    }

    /// The hop limit of IPv4 packets.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.socket().ttl()
    }
}
