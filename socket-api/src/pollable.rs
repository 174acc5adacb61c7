//! Sockets as real descriptors, for whoever polls nothing else.

use core::fmt;
use core::ops::Deref;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::socket::Socket;
use crate::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream};

/// A socket that has a mirror: a real descriptor which the kernel's `poll`, `select` and `epoll` find as ready as the
/// socket is.
///
/// The descriptor is for waiting only. What can be read from it is not the socket's, and whoever reads from it, writes to
/// it or shuts it down breaks it. It is made when it is asked for first, costs two descriptors from then on, and two or
/// three system calls each time that the socket's readiness changes; sockets that nobody asks pay nothing. Each clone of a
/// socket has a duplicate of its own, so all of them can be in one epoll, as duplicates of a descriptor can; and as there,
/// one that was added stays in it after its clone is dropped, while another is there, unless it is taken out first. With
/// [`Driver::External`](crate::Driver) it changes only where somebody calls [`Host::turn`](crate::Host::turn).
///
/// It shows `IN`, `OUT`, `RDHUP`, `HUP`, `ERR` and, of streams, `PRI`, and lets an edge-triggered epoll see each arrival.
/// Four states have no likeness: a stream's error without a hang-up (one of its error queue, say) is shown as `IN`, an
/// urgent byte with nothing else to read as `IN|PRI`, one that was shut while it was being connected as ended, too
/// (`IN|RDHUP`), and a stream that was hung up and is connected again stays hung up.
///
/// The trait is sealed: it is there to be named.
pub trait HasMirror: sealed::Sealed {
    /// The mirror, made now where there is none.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    fn poll_fd(&self) -> io::Result<BorrowedFd<'_>>;
}

mod sealed {
    pub trait Sealed {}
}

/// Implements it for types that lead to an object.
macro_rules! has_mirror {
    ($($type:ty),*) => {
        $(impl sealed::Sealed for $type {}

        impl HasMirror for $type {
            fn poll_fd(&self) -> io::Result<BorrowedFd<'_>> {
                self.handle().poll_fd()
            }
        })*
    };
}

has_mirror!(TcpStream, TcpListener, UdpSocket, Socket);
has_mirror!(UnixStream, UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener);

/// A socket whose mirror is there, so that it can be had without an error: for all that asks for [`AsFd`] or
/// [`AsRawFd`], like `tokio::io::unix::AsyncFd`, `async_io::Async` or `polling`.
///
/// ```
/// use std::os::fd::AsFd;
///
/// use rustix::event::{PollFd, PollFlags, Timespec, poll};
/// use tapsock::net::UdpSocket;
/// use tapsock::{Host, Pollable};
///
/// let host = Host::builder().start()?;
/// let receiver = Pollable::new(UdpSocket::bind(&host, "127.0.0.1:0")?)?;
/// let sender = UdpSocket::bind(&host, "127.0.0.1:0")?;
/// let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
///
/// assert_eq!(poll(&mut [PollFd::new(&receiver, PollFlags::IN)], Some(&at_once))?, 0);
/// sender.send_to(b"hello", receiver.local_addr()?)?;
/// assert_eq!(poll(&mut [PollFd::new(&receiver, PollFlags::IN)], None)?, 1);
/// assert_eq!(receiver.recv(&mut [0; 16])?, 5);
/// assert_eq!(poll(&mut [PollFd::new(&receiver, PollFlags::IN)], Some(&at_once))?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pollable<S> {
    socket: S,
}

impl<S: HasMirror> Pollable<S> {
    /// Makes the mirror of `socket`.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn new(socket: S) -> io::Result<Self> {
        socket.poll_fd()?;
        Ok(Pollable { socket })
    }
}

impl<S> Pollable<S> {
    /// The socket alone. Its mirror stays as long as the socket.
    pub fn into_inner(self) -> S {
        self.socket
    }
}

impl<S> Deref for Pollable<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}

impl<S: HasMirror> AsFd for Pollable<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // `new` has made it, and nothing takes it away while the socket lives.
        self.socket.poll_fd().expect("the mirror is there")
    }
}

impl<S: HasMirror> AsRawFd for Pollable<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<S> Read for Pollable<S>
where
    for<'a> &'a S: Read,
{
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(into)
    }

    fn read_vectored(&mut self, into: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.socket).read_vectored(into)
    }
}

impl<S> Write for Pollable<S>
where
    for<'a> &'a S: Write,
{
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&self.socket).write(data)
    }

    fn write_vectored(&mut self, data: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&self.socket).write_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.socket).flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for Pollable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}
