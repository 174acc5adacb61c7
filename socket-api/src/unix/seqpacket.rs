//! `UnixSeqpacket`, which `std` has not.

use super::listener::listening;
use super::*;

/// A connection that carries records.
///
/// ```
/// use tapsock::Host;
/// use tapsock::unix::{UnixSeqpacket, UnixSeqpacketListener};
///
/// let host = Host::builder().start()?;
/// let listener = UnixSeqpacketListener::bind(&host, "/run/commands")?;
/// let client = UnixSeqpacket::connect(&host, "/run/commands")?;
/// client.send(b"one")?;
/// client.send(b"two")?;
/// let (server, _) = listener.accept()?;
/// let mut bytes = [0; 16];
/// assert_eq!(server.recv(&mut bytes)?, 3, "a record, not what there is");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixSeqpacket {
    pub(super) socket: Socket,
}

common_methods!(UnixSeqpacket);
data_methods!(UnixSeqpacket);

impl UnixSeqpacket {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// Those of [`UnixStream::connect`].
    pub fn connect(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixSeqpacket> {
        UnixSeqpacket::connect_addr(host, &SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixSeqpacket::connect), to an address.
    ///
    /// # Errors
    /// Those of [`UnixStream::connect`].
    pub fn connect_addr(host: &Host, address: &SocketAddr) -> io::Result<UnixSeqpacket> {
        let socket = Socket::new(host, SocketKind::Seqpacket);
        socket.local().connect(&address.0)?;
        Ok(UnixSeqpacket { socket })
    }

    /// Two that are connected to each other. Errors: none as yet.
    pub fn pair(host: &Host) -> io::Result<(UnixSeqpacket, UnixSeqpacket)> {
        let (first, second) = Socket::pair(host, SocketKind::Seqpacket);
        Ok((UnixSeqpacket { socket: first }, UnixSeqpacket { socket: second }))
    }

    /// Sends one record, which may be empty.
    ///
    /// # Errors
    /// BrokenPipe (EPIPE), WouldBlock (EAGAIN), EMSGSIZE.
    pub fn send(&self, record: &[u8]) -> io::Result<usize> {
        self.socket.send(record)
    }

    /// Receives one record, of which what has no room in `into` is lost; 0 at the end, or for an empty one.
    ///
    /// # Errors
    /// WouldBlock (EAGAIN), ConnectionReset (ECONNRESET).
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }

    /// As [`recv`](UnixSeqpacket::recv), and leaves the record where it is.
    ///
    /// # Errors
    /// Those of [`recv`](UnixSeqpacket::recv).
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, MSG_PEEK)
    }
}

/// A socket that takes connections for records.
///
/// ```
/// # let host = tapsock::Host::builder().start()?;
/// let listener = tapsock::unix::UnixSeqpacketListener::bind(&host, "/run/commands")?;
/// listener.set_nonblocking(true)?;
/// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixSeqpacketListener {
    pub(super) socket: Socket,
}

common_methods!(UnixSeqpacketListener);

impl UnixSeqpacketListener {
    /// Listens at `path`.
    ///
    /// # Errors
    /// Those of [`UnixListener::bind`].
    pub fn bind(host: &Host, path: impl AsRef<Path>) -> io::Result<Self> {
        let address = SocketAddr::from_pathname(path)?;
        Ok(UnixSeqpacketListener { socket: listening(host, SocketKind::Seqpacket, &address)? })
    }

    /// Takes a connection; waits until there is one.
    ///
    /// # Errors
    /// Those of [`UnixListener::accept`].
    pub fn accept(&self) -> io::Result<(UnixSeqpacket, SocketAddr)> {
        let (socket, peer) = self.socket.local().accept(true)?;
        Ok((UnixSeqpacket { socket: Socket::adopt(self.host(), socket) }, SocketAddr(peer)))
    }
}
