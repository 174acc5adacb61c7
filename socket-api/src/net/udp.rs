//! A UDP socket.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use bytes::Bytes;
use rustix::io::Errno;
use tapsock_sockets::constants::*;

use super::{Socket, ToSocketAddrs, common_methods, each_address, shown, timeout_methods};
use crate::host::Host;

/// A UDP socket, as `std::net::UdpSocket`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::net::UdpSocket;
///
/// let host = Host::builder().start()?;
/// let (a, b) = (UdpSocket::bind(&host, "127.0.0.1:0")?, UdpSocket::bind(&host, "127.0.0.1:0")?);
/// a.send_to(b"hello", b.local_addr()?)?;
/// let mut bytes = [0; 16];
/// assert_eq!(b.recv_from(&mut bytes)?, (5, a.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket {
    pub(super) socket: Socket,
}

shown!(UdpSocket);

impl UdpSocket {
    /// A socket at the first address that can be bound.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES for a reserved port.
    pub fn bind(host: &Host, address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(host, address, |address| {
            let socket = Socket::new(host, address, SOCK_DGRAM)?;
            socket.bind(address)?;
            Ok(UdpSocket { socket })
        })
    }

    common_methods!();
    timeout_methods!();

    /// Sends only there and receives only from there.
    ///
    /// # Errors
    /// ENETUNREACH, EAFNOSUPPORT.
    pub fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        each_address(self.host(), address, |address| self.socket.connect(address))
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Sends one datagram to the first of the addresses.
    ///
    /// # Errors
    /// EMSGSIZE, ENETUNREACH, EACCES for a broadcast address, ECONNREFUSED where an earlier one was refused.
    pub fn send_to(&self, data: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        match address.to_socket_addrs()?.on(self.host())?.next() {
            Some(address) => self.socket.send(data, Some(&address)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")),
        }
    }

    /// Sends one datagram to the address that it is connected to.
    ///
    /// # Errors
    /// EDESTADDRREQ, and those of [`send_to`](Self::send_to).
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data, None)
    }

    /// Receives one datagram and its sender's address; what does not fit is lost.
    ///
    /// # Errors
    /// WouldBlock, ECONNREFUSED where a datagram of a connected socket was refused.
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.receive_from(into, 0)
    }

    /// Receives one datagram.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }

    /// Sends one datagram without a copy: the bytes are held until the link has it.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tapsock::Host;
    /// use tapsock::net::UdpSocket;
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = (UdpSocket::bind(&host, "127.0.0.1:0")?, UdpSocket::bind(&host, "127.0.0.1:0")?);
    /// a.send_bytes_to(Bytes::from_static(b"hello"), b.local_addr()?)?;
    /// assert_eq!(b.recv_bytes_from()?, (Bytes::from_static(b"hello"), a.local_addr()?));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub fn send_bytes_to(&self, data: Bytes, address: impl ToSocketAddrs) -> io::Result<usize> {
        match address.to_socket_addrs()?.on(self.host())?.next() {
            Some(address) => self.socket.send_bytes(data, Some(&address)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")),
        }
    }

    /// As [`send_bytes_to`](Self::send_bytes_to), to the address that it is connected to.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        self.socket.send_bytes(data, None)
    }

    /// Receives one datagram without a copy, and its sender's address. The bytes keep the buffer that they came in from
    /// being used again; who keeps them for long copies them.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn recv_bytes_from(&self) -> io::Result<(Bytes, SocketAddr)> {
        let (data, from) = self.socket.receive_bytes()?;
        Ok((data, from.ok_or(Errno::INVAL)?))
    }

    /// As [`recv_bytes_from`](Self::recv_bytes_from), without the address.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn recv_bytes(&self) -> io::Result<Bytes> {
        Ok(self.socket.receive_bytes()?.0)
    }

    /// As [`recv_from`](Self::recv_from), and leaves it there.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.receive_from(into, MSG_PEEK)
    }

    /// As [`recv`](Self::recv), and leaves it there.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, MSG_PEEK)
    }

    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.set_option(SOL_SOCKET, SO_BROADCAST, broadcast.into())
    }

    /// Whether it may send to broadcast addresses.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(self.socket.option(SOL_SOCKET, SO_BROADCAST)? != 0)
    }
}
