//! `UnixStream`.

use bytes::Bytes;
use tapsock_stack::buf::Rope;

use super::*;

/// A connected stream of bytes, in memory.
///
/// ```
/// use std::io::{Read, Write};
/// use tapsock::Host;
/// use tapsock::unix::{UnixListener, UnixStream};
///
/// let host = Host::builder().start()?;
/// let listener = UnixListener::bind(&host, "/run/echo")?;
/// let mut client = UnixStream::connect(&host, "/run/echo")?;
/// let (mut server, _) = listener.accept()?;
/// client.write_all(b"hello")?;
/// drop(client);
/// let mut text = String::new();
/// server.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixStream {
    pub(super) socket: Socket,
}

common_methods!(UnixStream);
data_methods!(UnixStream);

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// NotFound (ENOENT), ConnectionRefused (ECONNREFUSED), EPROTOTYPE where a socket of another type is there,
    /// InvalidInput (EINVAL) for a path that is too long.
    pub fn connect(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_addr(host, &SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixStream::connect), to an address.
    ///
    /// # Errors
    /// Those of [`connect`](UnixStream::connect).
    pub fn connect_addr(host: &Host, address: &SocketAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(host, SocketKind::Stream);
        socket.local().connect(&address.0)?;
        Ok(UnixStream { socket })
    }

    /// As [`connect`](UnixStream::connect), without waiting for room in the listener's queue.
    #[cfg(feature = "tokio")]
    pub(crate) fn connect_at_once(host: &Host, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let address = SocketAddr::from_pathname(path)?;
        let socket = Socket::new(host, SocketKind::Stream);
        socket.local().set_waits(false);
        socket.local().connect(&address.0)?;
        Ok(UnixStream { socket })
    }

    /// Two streams that are connected to each other. Errors: none as yet.
    pub fn pair(host: &Host) -> io::Result<(UnixStream, UnixStream)> {
        let (first, second) = Socket::pair(host, SocketKind::Stream);
        Ok((UnixStream { socket: first }, UnixStream { socket: second }))
    }

    /// Sends `data` without a copy, unless it is 2 KiB or less: the reader gets the same bytes. Returns how many were
    /// taken, which is all of them unless it is set not to wait, or a time-out passes.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tapsock::Host;
    /// use tapsock::unix::UnixStream;
    ///
    /// let (a, b) = UnixStream::pair(&Host::builder().start()?)?;
    /// let sent = Bytes::from(vec![7; 100_000]);
    /// a.send_bytes(sent.clone())?;
    /// let received = b.recv_bytes()?;
    /// assert_eq!((received.as_ptr(), received.len()), (sent.as_ptr(), 100_000));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `write`.
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        Ok(self.socket.local().send_rope(Rope::from(data))?)
    }

    /// Receives what lies in one piece, without a copy where it is larger than 2 KiB. Nothing stands for the end of the
    /// stream.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn recv_bytes(&self) -> io::Result<Bytes> {
        Ok(self.socket.local().receive_piece()?.into_bytes())
    }

    /// What the next read would give, left in place.
    ///
    /// # Errors
    /// WouldBlock (EAGAIN), ConnectionReset (ECONNRESET).
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, MSG_PEEK)
    }
}

impl Read for &UnixStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(into, 0)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.receive_vectored(into)
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for UnixStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(into)
    }
}

impl Write for UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
