//! A TCP socket that takes connections.

use core::iter::FusedIterator;
use core::net::SocketAddr;
use std::io;

use tapsock_sockets::constants::*;

use super::{Socket, TcpStream, ToSocketAddrs, common_methods, each_address, inet, shown};
use crate::host::Host;

/// Connections that wait to be accepted, as in the standard library; `net.core.somaxconn` bounds it too.
const BACKLOG: i32 = 4096;

/// A TCP socket that takes connections, as `std::net::TcpListener`.
///
/// ```
/// use tapsock::Host;
/// use tapsock::net::{TcpListener, TcpStream};
///
/// let host = Host::builder().start()?;
/// let listener = TcpListener::bind(&host, "[::1]:0")?;
/// let client = TcpStream::connect(&host, listener.local_addr()?)?;
/// let server = listener.incoming().next().unwrap()?;
/// assert_eq!(server.peer_addr()?, client.local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener {
    pub(super) socket: Socket,
}

shown!(TcpListener);

impl TcpListener {
    /// Listens at the first address that can be bound.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES for a reserved port.
    pub fn bind(host: &Host, address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(host, address, |address| {
            let socket = Socket::new(host, address, SOCK_STREAM)?;
            socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1)?;
            socket.bind(address)?;
            socket.shard().listen(socket.fd(), BACKLOG)?;
            Ok(TcpListener { socket })
        })
    }

    common_methods!();

    /// Takes a connection; blocks until there is one.
    ///
    /// # Errors
    /// WouldBlock where it is set not to wait, EMFILE.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, peer) = self.socket.shard().accept(self.socket.fd(), 0)?;
        let socket = Socket::adopt(self.host(), fd);
        Ok((TcpStream { socket }, inet(peer)?))
    }

    /// Takes connections for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

/// The connections that a [`TcpListener`] takes; made by [`TcpListener::incoming`].
///
/// ```
/// use tapsock::Host;
/// use tapsock::net::TcpListener;
///
/// let host = Host::builder().start()?;
/// let listener = TcpListener::bind(&host, "127.0.0.1:0")?;
/// listener.set_nonblocking(true)?;
/// let none = listener.incoming().next().unwrap().unwrap_err();
/// assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
