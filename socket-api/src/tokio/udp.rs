//! UDP.

use core::net::SocketAddr;
use core::task::{Context, Poll, ready};
use std::io;

use ::tokio::io::{Interest, ReadBuf, Ready};

use super::io::{Io, direction};
use super::look_up::look_up;
use super::{data_methods, datagram_methods};
use crate::engine::wakers::Direction;
use crate::host::Host;
use crate::net::{self, ToSocketAddrs};

/// A UDP socket, as `tokio::net::UdpSocket`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::tokio::UdpSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let host = Host::builder().start()?;
/// let (a, b) = (UdpSocket::bind(&host, "127.0.0.1:0").await?, UdpSocket::bind(&host, "127.0.0.1:0").await?);
/// a.send_to(b"hello", b.local_addr()?).await?;
/// let mut bytes = [0; 16];
/// assert_eq!(b.recv_from(&mut bytes).await?, (5, a.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Io<net::UdpSocket>,
}

impl UdpSocket {
    datagram_methods!(net::UdpSocket, SocketAddr);

    /// A socket at the first address that can be bound. It waits for nothing, and needs no runtime.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES for a reserved port.
    pub async fn bind(host: &Host, address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        UdpSocket::from_std(net::UdpSocket::bind(
            host,
            &look_up(host, address).await?.collect::<Vec<_>>()[..],
        )?)
    }

    /// Sends only there and receives only from there. It waits for nothing but name servers.
    ///
    /// # Errors
    /// ENETUNREACH, EAFNOSUPPORT.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let addresses: Vec<_> = look_up(self.io.socket().host(), address).await?.collect();
        self.io.socket().connect(&addresses[..])
    }

    /// Sends one datagram to the first of the addresses.
    ///
    /// # Errors
    /// EMSGSIZE, ENETUNREACH, EACCES for a broadcast address, ECONNREFUSED where an earlier one was refused.
    pub async fn send_to(&self, data: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let address = look_up(self.io.socket().host(), address).await?.next();
        let address = address
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to"))?;
        self.io.async_io(Direction::Write, |socket| socket.send_to(data, address)).await
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `send_to`.
    pub fn try_send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.io.try_io(Direction::Write, |socket| socket.send_to(data, to))
    }

    /// As [`send_to`](Self::send_to). One task at a time, the last that asked.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn poll_send_to(&self, cx: &mut Context<'_>, data: &[u8], to: SocketAddr) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |socket| socket.send_to(data, to))
    }

    /// As [`recv`](Self::recv), and leaves it there.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.io.async_io(Direction::Read, |socket| socket.peek(into)).await
    }

    /// As [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `peek`.
    pub fn try_peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Direction::Read, |socket| socket.peek(into))
    }

    /// As [`recv_from`](Self::recv_from), and leaves it there.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.async_io(Direction::Read, |socket| socket.peek_from(into)).await
    }

    /// As [`peek_from`](Self::peek_from), without waiting.
    ///
    /// # Errors
    /// WouldBlock, and those of `peek_from`.
    pub fn try_peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Direction::Read, |socket| socket.peek_from(into))
    }

    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.io.socket().set_broadcast(broadcast)
    }

    /// Whether it may send to broadcast addresses.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.io.socket().broadcast()
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
