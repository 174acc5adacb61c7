//! `UnixDatagram`.

use super::*;

/// A socket for datagrams that stay in memory: none is lost, none overtakes another.
///
/// ```
/// use tapsock::Host;
/// use tapsock::unix::UnixDatagram;
///
/// let host = Host::builder().start()?;
/// let log = UnixDatagram::bind(&host, "/dev/log")?;
/// let program = UnixDatagram::unbound(&host)?;
/// program.send_to(b"started", "/dev/log")?;
/// let mut bytes = [0; 100];
/// let (len, from) = log.recv_from(&mut bytes)?;
/// assert_eq!((&bytes[..len], from.is_unnamed()), (&b"started"[..], true));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixDatagram {
    pub(super) socket: Socket,
}

common_methods!(UnixDatagram);
data_methods!(UnixDatagram);

impl UnixDatagram {
    /// A socket with a name.
    ///
    /// # Errors
    /// Those of [`UnixListener::bind`].
    pub fn bind(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(host, &SocketAddr::from_pathname(path)?)
    }

    /// As [`bind`](UnixDatagram::bind), at an address.
    ///
    /// # Errors
    /// Those of [`UnixListener::bind`].
    pub fn bind_addr(host: &Host, address: &SocketAddr) -> io::Result<UnixDatagram> {
        let socket = Socket::new(host, SocketKind::Datagram);
        socket.local().bind(&address.0)?;
        Ok(UnixDatagram { socket })
    }

    /// A socket without a name. Errors: none as yet.
    pub fn unbound(host: &Host) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { socket: Socket::new(host, SocketKind::Datagram) })
    }

    /// Two that are connected to each other. Errors: none as yet.
    pub fn pair(host: &Host) -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (first, second) = Socket::pair(host, SocketKind::Datagram);
        Ok((UnixDatagram { socket: first }, UnixDatagram { socket: second }))
    }

    /// Sends to the socket at `path`, and receives from it alone, from now on.
    ///
    /// # Errors
    /// NotFound (ENOENT), ConnectionRefused (ECONNREFUSED), EPROTOTYPE, PermissionDenied (EPERM) where that one is
    /// connected to another.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixDatagram::connect), to an address.
    ///
    /// # Errors
    /// Those of [`connect`](UnixDatagram::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(self.socket.local().connect(&address.0)?)
    }

    /// Sends to the peer.
    ///
    /// # Errors
    /// NotConnected (ENOTCONN), ConnectionRefused (ECONNREFUSED), WouldBlock (EAGAIN), EMSGSIZE.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    /// Sends to the socket at `path`.
    ///
    /// # Errors
    /// Those of [`connect`](UnixDatagram::connect) and [`send`](UnixDatagram::send).
    pub fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](UnixDatagram::send_to), to an address.
    ///
    /// # Errors
    /// Those of [`send_to`](UnixDatagram::send_to).
    pub fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        Ok(self.socket.local().send(bytes, 0, Some(&address.0), Vec::new())?)
    }

    /// Receives a datagram, of which what has no room in `into` is lost.
    ///
    /// # Errors
    /// WouldBlock (EAGAIN), ConnectionReset (ECONNRESET) where the peer has turned away.
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }

    /// As [`recv`](UnixDatagram::recv), with the sender's name.
    ///
    /// # Errors
    /// Those of [`recv`](UnixDatagram::recv).
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(into, 0)
    }

    /// As [`recv`](UnixDatagram::recv), and leaves the datagram where it is.
    ///
    /// # Errors
    /// Those of [`recv`](UnixDatagram::recv).
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, MSG_PEEK)
    }

    /// As [`recv_from`](UnixDatagram::recv_from), and leaves the datagram where it is.
    ///
    /// # Errors
    /// Those of [`recv`](UnixDatagram::recv).
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(into, MSG_PEEK)
    }

    fn receive_from(&self, into: &mut [u8], flags: i32) -> io::Result<(usize, SocketAddr)> {
        let received = self.socket.local().receive(into, flags)?;
        Ok((received.len, SocketAddr(received.from.unwrap_or(UnixAddr::UNNAMED))))
    }
}
