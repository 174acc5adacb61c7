//! `UnixListener`.

use super::*;

/// A socket that takes connections of local streams.
///
/// ```
/// use tapsock::Host;
/// use tapsock::unix::{UnixListener, UnixStream};
///
/// let host = Host::builder().start()?;
/// let listener = UnixListener::bind(&host, "/run/echo")?;
/// let client = UnixStream::connect(&host, "/run/echo")?;
/// let (server, address) = listener.accept()?;
/// assert!(address.is_unnamed());
/// assert_eq!(server.local_addr()?, client.peer_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixListener {
    pub(super) socket: Socket,
}

common_methods!(UnixListener);

/// Connections that may wait to be accepted, as `std` asks for on Linux.
const BACKLOG: i32 = -1;

impl UnixListener {
    /// Listens at `path`.
    ///
    /// # Errors
    /// AddrInUse (EADDRINUSE) where something has that name, or had and nobody unlinked it, InvalidInput (EINVAL).
    pub fn bind(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_addr(host, &SocketAddr::from_pathname(path)?)
    }

    /// As [`bind`](UnixListener::bind), at an address.
    ///
    /// # Errors
    /// Those of [`bind`](UnixListener::bind).
    pub fn bind_addr(host: &Host, address: &SocketAddr) -> io::Result<UnixListener> {
        Ok(UnixListener { socket: listening(host, SocketKind::Stream, address)? })
    }

    /// Takes a connection; waits until there is one.
    ///
    /// # Errors
    /// WouldBlock (EAGAIN), InvalidInput (EINVAL) where it was shut down.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.socket.local().accept(true)?;
        Ok((UnixStream { socket: Socket::adopt(self.host(), socket) }, SocketAddr(peer)))
    }

    /// The connections that come, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

/// A bound socket that listens.
pub(super) fn listening(host: &Host, kind: SocketKind, address: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(host, kind);
    socket.local().bind(&address.0)?;
    socket.local().listen(BACKLOG)?;
    Ok(socket)
}

/// The connections of a listener: see [`UnixListener::incoming`].
///
/// ```no_run
/// # let host = tapsock::Host::builder().start()?;
/// let listener = tapsock::unix::UnixListener::bind(&host, "/run/echo")?;
/// for stream in listener.incoming() {
///     println!("{:?}", stream?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}
