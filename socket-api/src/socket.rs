//! A socket of any kind, made step by step, with the names of the `socket2` crate (0.6), on a [`Host`] that is named.
//!
//! What [`net`](crate::net) and [`unix`](crate::unix) do in one call is done here in several, with options in between;
//! the result becomes one of their types by `TryFrom`. Unlike `socket2`, the calls that receive take initialised
//! buffers, and addresses are [`SockAddr`].

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tapsock_sockets::Blocking;
use tapsock_sockets::constants::*;
use tapsock_stack::buf::Rope;

use crate::SockAddr;
use crate::bsd;
use crate::description::{Description, Held, Kind, unix};
use crate::handle::Handle;
use crate::host::Host;
use crate::local::{LocalSocket, Source};

mod convert;
mod groups;
mod kinds;
mod options;

pub use kinds::{Domain, Protocol, Type};
pub use options::TcpKeepalive;

/// A socket of any kind. Dropping it closes it; what was written still goes out.
///
/// ```
/// use tapsock::net::TcpListener;
/// use tapsock::socket::{Domain, Socket, Type};
/// use tapsock::{Host, SockAddr};
///
/// let host = Host::builder().start()?;
/// let socket = Socket::new(&host, Domain::IPV6, Type::STREAM, None)?;
/// socket.set_only_v6(false)?;
/// socket.set_reuse_address(true)?;
/// let any: std::net::SocketAddr = "[::]:8080".parse().unwrap();
/// socket.bind(&SockAddr::from(any))?;
/// socket.listen(128)?;
/// let listener = TcpListener::try_from(socket).expect("a listener");
/// assert_eq!(listener.local_addr()?, any);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Socket {
    handle: Handle,
    description: Arc<Description>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(self.handle.held()).finish()
    }
}

impl Socket {
    /// Makes a socket; without a protocol, that which goes with the type.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EMFILE; EPERM for a raw socket on a host that is not
    /// [`privileged`](crate::Builder::privileged).
    pub fn new(host: &Host, domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        let protocol = protocol.map_or(0, i32::from);
        let made = if domain == Domain::UNIX {
            let (kind, waits) = bsd::local_kind(kind.into(), protocol)?;
            Kind::Local(LocalSocket::new(host.locals(), kind, waits))
        } else {
            Kind::Inet(
                host.shared_shard().clone(),
                host.shard().socket(domain.into(), kind.into(), protocol)?,
            )
        };
        Ok(Socket::of(host, made))
    }

    /// Two sockets that are connected to each other; of [`Domain::UNIX`].
    ///
    /// ```
    /// use tapsock::Host;
    /// use tapsock::socket::{Domain, Socket, Type};
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = Socket::pair(&host, Domain::UNIX, Type::SEQPACKET, None)?;
    /// a.send(b"hello")?;
    /// assert_eq!(b.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// EOPNOTSUPP for another domain, and those of [`new`](Socket::new).
    pub fn pair(
        host: &Host,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        if domain != Domain::UNIX {
            // What is wrong with the rest is said first.
            Socket::new(host, domain, kind, protocol)?;
            return Err(Errno::OPNOTSUPP.into());
        }
        let (kind, waits) = bsd::local_kind(kind.into(), protocol.map_or(0, i32::from))?;
        let (first, second) = LocalSocket::pair(host.locals(), kind, waits);
        Ok((Socket::of(host, Kind::Local(first)), Socket::of(host, Kind::Local(second))))
    }

    fn of(host: &Host, kind: Kind) -> Socket {
        let held = Held::new(kind);
        match held.socket().cloned() {
            Some(description) => Socket { handle: Handle::new(host, held), description },
            None => unreachable!("it was made as one"),
        }
    }

    fn kind(&self) -> &Kind {
        &self.description.kind
    }

    /// The share in the socket, and its numbers.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Gives it an address of its own: bind(2).
    ///
    /// # Errors
    /// EACCES for a reserved port, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL where it has one.
    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        Ok(self.kind().bind(address)?)
    }

    /// Connects it; blocks until the peer has answered: connect(2).
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EISCONN, EAFNOSUPPORT; EINPROGRESS where it is
    /// set not to wait, EALREADY where that is still so.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        Ok(self.kind().connect(address)?)
    }

    /// As [`connect`](Socket::connect), for `timeout` at most, whether it is set to wait or not.
    ///
    /// # Errors
    /// Those of `connect`; TimedOut when the time is over; InvalidInput for a time of zero.
    pub fn connect_timeout(&self, address: &SockAddr, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Ok(self.kind().connect_timeout(address, timeout)?)
    }

    /// Lets it take connections, of which `backlog` are kept: listen(2).
    ///
    /// # Errors
    /// EADDRINUSE, EOPNOTSUPP, EINVAL.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(self.kind().listen(backlog)?)
    }

    /// Takes a connection; blocks until there is one: accept(2).
    ///
    /// # Errors
    /// WouldBlock where it is set not to wait, EINVAL where it does not listen, EOPNOTSUPP, EMFILE.
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        let (accepted, peer) = self.kind().accept(0)?;
        Ok((Socket::of(self.host(), accepted), peer))
    }

    /// Its own address: getsockname(2).
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn local_addr(&self) -> io::Result<SockAddr> {
        Ok(self.kind().local_address()?)
    }

    /// The peer's address: getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        Ok(self.kind().peer_address()?)
    }

    /// Another handle of the same socket, with numbers of its own. The socket is closed when the last is dropped.
    ///
    /// # Errors
    /// None.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket { handle: self.handle.clone(), description: self.description.clone() })
    }

    /// Whether calls return WouldBlock where they would wait.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let blocking = if nonblocking { Blocking::Never } else { Blocking::Waits };
        Ok(self.kind().set_blocking(blocking)?)
    }

    /// Whether calls return WouldBlock where they would wait.
    ///
    /// # Errors
    /// EBADF after the host was shut down.
    pub fn nonblocking(&self) -> io::Result<bool> {
        Ok(self.kind().blocking()? == Blocking::Never)
    }

    /// Ends one direction or both: shutdown(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => SHUT_RD,
            Shutdown::Write => SHUT_WR,
            Shutdown::Both => SHUT_RDWR,
        };
        Ok(self.kind().shutdown(how)?)
    }

    /// Sends `data`, to the peer: send(2). On a stream that waits, all of it.
    ///
    /// # Errors
    /// EPIPE, WouldBlock, EMSGSIZE, EDESTADDRREQ, ENOTCONN, and what came back for earlier data.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with_flags(data, 0)
    }

    /// As [`send`](Socket::send), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP.
    pub fn send_with_flags(&self, data: &[u8], flags: i32) -> io::Result<usize> {
        self.send_parts(&[IoSlice::new(data)], flags, None)
    }

    /// As [`send`](Socket::send), urgent (`MSG_OOB`).
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP where the protocol has no such thing.
    pub fn send_out_of_band(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with_flags(data, MSG_OOB)
    }

    /// As [`send`](Socket::send), to an address.
    ///
    /// # Errors
    /// Those of `send`, and those that come of the address.
    pub fn send_to(&self, data: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.send_to_with_flags(data, address, 0)
    }

    /// As [`send_to`](Socket::send_to), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn send_to_with_flags(&self, data: &[u8], address: &SockAddr, flags: i32) -> io::Result<usize> {
        self.send_parts(&[IoSlice::new(data)], flags, Some(address))
    }

    /// As [`send`](Socket::send), from several places.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_parts(parts, 0, None)
    }

    /// As [`send_to`](Socket::send_to), from several places.
    ///
    /// # Errors
    /// Those of `send_to`.
    pub fn send_to_vectored(&self, parts: &[IoSlice<'_>], address: &SockAddr) -> io::Result<usize> {
        self.send_parts(parts, 0, Some(address))
    }

    fn send_parts(&self, parts: &[IoSlice<'_>], flags: i32, address: Option<&SockAddr>) -> io::Result<usize> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.send_message(*fd, parts, &[], flags | MSG_NOSIGNAL, address)?,
            Kind::Local(local) => {
                let to = address.map(unix).transpose()?;
                local.send_message(Source::several(parts), flags, to, Vec::new(), None)?
            }
        })
    }

    /// As [`send`](Socket::send), without a copy: the bytes are held until they are gone, or acknowledged.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tapsock::Host;
    /// use tapsock::socket::{Domain, Socket, Type};
    ///
    /// let host = Host::builder().start()?;
    /// let (a, b) = Socket::pair(&host, Domain::UNIX, Type::STREAM, None)?;
    /// let sent = Bytes::from(vec![7; 50_000]);
    /// a.send_bytes(sent.clone())?;
    /// assert_eq!(b.recv_bytes()?.as_ptr(), sent.as_ptr());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `send`; EOPNOTSUPP on a local socket that is no stream.
    pub fn send_bytes(&self, data: Bytes) -> io::Result<usize> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.send_rope(*fd, Rope::from(data), MSG_NOSIGNAL, None)?,
            Kind::Local(local) => local.send_rope(Rope::from(data))?,
        })
    }

    /// Receives what lies in one piece, without a copy; the next datagram, or what came together. Nothing stands for the
    /// end of a stream. The bytes keep their buffer from being used again: who keeps them for long copies them.
    ///
    /// # Errors
    /// Those of [`recv`](Socket::recv); EOPNOTSUPP on a local socket that is no stream.
    pub fn recv_bytes(&self) -> io::Result<Bytes> {
        Ok(match self.kind() {
            Kind::Inet(shard, fd) => shard.receive_piece(*fd)?.0,
            Kind::Local(local) => local.receive_piece()?.into_bytes(),
        })
    }

    /// Receives into `into`: recv(2). Nothing stands for the end of a stream.
    ///
    /// # Errors
    /// WouldBlock, ENOTCONN, and what came back for data that was sent.
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, 0)
    }

    /// As [`recv`](Socket::recv), with `MSG_…`. With `MSG_TRUNC` it says how long a datagram was.
    ///
    /// # Errors
    /// Those of `recv`; EOPNOTSUPP, EINVAL.
    pub fn recv_with_flags(&self, into: &mut [u8], flags: i32) -> io::Result<usize> {
        Ok(self.receive(&mut [IoSliceMut::new(into)], flags)?.0)
    }

    /// As [`recv`](Socket::recv), of what is urgent (`MSG_OOB`).
    ///
    /// # Errors
    /// EINVAL where nothing is; EOPNOTSUPP.
    pub fn recv_out_of_band(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, MSG_OOB)
    }

    /// As [`recv`](Socket::recv), and leaves it there (`MSG_PEEK`).
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(into, MSG_PEEK)
    }

    /// As [`recv`](Socket::recv), into several places.
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn recv_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        Ok(self.receive(into, 0)?.0)
    }

    /// As [`recv`](Socket::recv), with the sender's address: of a datagram. What has none shows [`SockAddr::Unspec`].
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(into, 0)
    }

    /// As [`recv_from`](Socket::recv_from), with `MSG_…`.
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn recv_from_with_flags(&self, into: &mut [u8], flags: i32) -> io::Result<(usize, SockAddr)> {
        let (len, from) = self.receive(&mut [IoSliceMut::new(into)], flags)?;
        Ok((len, from.unwrap_or(SockAddr::Unspec(None))))
    }

    /// As [`recv_from`](Socket::recv_from), and leaves it there (`MSG_PEEK`).
    ///
    /// # Errors
    /// Those of `recv_from`.
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(into, MSG_PEEK)
    }

    /// The sender of the next datagram, which stays.
    ///
    /// # Errors
    /// Those of [`recv_from`](Socket::recv_from).
    pub fn peek_sender(&self) -> io::Result<SockAddr> {
        Ok(self.peek_from(&mut [0])?.1)
    }

    fn receive(&self, into: &mut [IoSliceMut<'_>], flags: i32) -> io::Result<(usize, Option<SockAddr>)> {
        let told = |len, full_len| if flags & MSG_TRUNC != 0 { full_len } else { len };
        match self.kind() {
            Kind::Inet(shard, fd) => {
                let received = shard.receive_message(*fd, into, flags)?;
                Ok((told(received.len, received.full_len), received.from))
            }
            Kind::Local(local) => {
                let received = local.receive_parts(into, flags)?;
                Ok((told(received.len, received.full_len), received.from.map(SockAddr::Unix)))
            }
        }
    }

    /// The socket's number in [`bsd`](crate::bsd), for what there is no method for. It is given out at the first call,
    /// and closed with the socket.
    ///
    /// # Errors
    /// EMFILE.
    pub fn socket_id(&self) -> io::Result<i32> {
        self.handle.id()
    }

    /// A real descriptor that polls as the socket does: see [`HasMirror`](crate::HasMirror).
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn poll_fd(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        crate::HasMirror::poll_fd(self)
    }

    /// The host that the socket belongs to.
    pub fn host(&self) -> &Host {
        self.handle.host()
    }
}

impl Read for &Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.recv_vectored(into)
    }
}

impl Write for &Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(parts)
    }

    /// Does nothing: what was written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(into)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
