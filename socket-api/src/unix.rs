//! Sockets of PF_LOCAL with the names and the behaviour of `std::os::unix::net`, in the memory of a [`Host`].
//!
//! Path names live in the host, not in the file system: only sockets of the same host find each other by them. A name
//! stays when its socket is closed, until [`Host::unlink`]. It does not depend on the working directory of the process: `x`, `./x`,
//! `/x` and `/d/../x` are one name. Every directory that a path mentions is deemed to exist, there are no symbolic links, and no
//! permissions are asked for. Errors are [`io::Error`]s of the errno that Linux gives.

use core::fmt;
use core::time::Duration;
use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use tapsock_sockets::constants::{MSG_PEEK, SHUT_RD, SHUT_RDWR, SHUT_WR};
use tapsock_sockets::local::{Credentials, SocketKind};
use tapsock_sockets::{SockAddr, UnixAddr, UnixName};

use crate::description::{Held, Kind};
use crate::handle::Handle;
use crate::host::Host;
use crate::local::{LocalSocket, Source};

mod datagram;
mod listener;
mod passing;
mod seqpacket;
mod stream;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use passing::{Pass, Passed, PassedSocket};
pub use seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use stream::UnixStream;
pub use tapsock_sockets::local::Credentials as UCred;

/// The name of a local socket: a path, an abstract name, or none.
///
/// ```
/// use tapsock::unix::SocketAddr;
/// use std::path::Path;
///
/// let address = SocketAddr::from_pathname("/run/echo")?;
/// assert_eq!(address.as_pathname(), Some(Path::new("/run/echo")));
/// assert!(SocketAddr::from_abstract_name("echo")?.as_pathname().is_none());
/// let odd = SocketAddr::from_abstract_name(b"\0\x01\xff\xc3\xa9")?;
/// assert_eq!(format!("{odd:?}"), "\"\\0\\x01\\xffé\" (abstract)");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct SocketAddr(UnixAddr);

impl SocketAddr {
    /// The address of a path.
    ///
    /// # Errors
    /// InvalidInput (EINVAL) where the path is longer than 107 bytes or has a zero byte.
    pub fn from_pathname(path: impl AsRef<Path>) -> io::Result<SocketAddr> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        if bytes.contains(&0) || bytes.len() >= PATH_MAX {
            return Err(Errno::INVAL.into());
        }
        Ok(if bytes.is_empty() { SocketAddr(UnixAddr::UNNAMED) } else { SocketAddr(UnixAddr::path(bytes)?) })
    }

    /// The address of an abstract name.
    ///
    /// # Errors
    /// InvalidInput (EINVAL) where the name is longer than 107 bytes.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> io::Result<SocketAddr> {
        Ok(SocketAddr(UnixAddr::abstract_name(name.as_ref())?))
    }

    /// The path, where it is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        match self.0.name() {
            UnixName::Path(path) => Some(Path::new(OsStr::from_bytes(path))),
            _ => None,
        }
    }

    /// The abstract name, where it is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match self.0.name() {
            UnixName::Abstract(name) => Some(name),
            _ => None,
        }
    }

    /// Whether there is no name.
    pub fn is_unnamed(&self) -> bool {
        self.0 == UnixAddr::UNNAMED
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> Self {
        SockAddr::Unix(address.0)
    }
}

impl TryFrom<SockAddr> for SocketAddr {
    type Error = SockAddr;

    /// The name, where it is that of a local socket; else it is given back.
    fn try_from(address: SockAddr) -> Result<Self, SockAddr> {
        match address {
            SockAddr::Unix(name) => Ok(SocketAddr(name)),
            other => Err(other),
        }
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            UnixName::Unnamed => f.write_str("(unnamed)"),
            UnixName::Path(path) => write!(f, "{:?} (pathname)", OsStr::from_bytes(path)),
            UnixName::Abstract(name) => write_quoted(f, name).and_then(|()| f.write_str(" (abstract)")),
        }
    }
}

/// As the standard library shows it since 1.95: what is text is shown as such.
fn write_quoted(f: &mut fmt::Formatter<'_>, name: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match u8::try_from(letter) {
                Ok(0) => f.write_str("\\0")?,
                Ok(ascii @ 1..=0x7f) => write!(f, "{}", ascii.escape_ascii())?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    f.write_str("\"")
}

/// Bytes of a path in `sockaddr_un`, with the zero byte that ends it.
const PATH_MAX: usize = 108;

/// A socket of a host; the last clone closes it.
#[derive(Clone)]
struct Socket {
    handle: Handle,
    local: Arc<LocalSocket>,
}

impl Socket {
    fn new(host: &Host, kind: SocketKind) -> Self {
        Socket::adopt(host, LocalSocket::new(host.locals(), kind, true))
    }

    fn adopt(host: &Host, local: Arc<LocalSocket>) -> Self {
        let held = Held::new(Kind::Local(local.clone()));
        Socket { handle: Handle::new(host, held), local }
    }

    fn pair(host: &Host, kind: SocketKind) -> (Self, Self) {
        let (first, second) = LocalSocket::pair(host.locals(), kind, true);
        (Socket::adopt(host, first), Socket::adopt(host, second))
    }

    fn local(&self) -> &Arc<LocalSocket> {
        &self.local
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.local().send(bytes, 0, None, Vec::new())?)
    }

    fn receive(&self, into: &mut [u8], flags: i32) -> io::Result<usize> {
        Ok(self.local().receive(into, flags)?.len)
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.local().send_message(Source::several(parts), 0, None, Vec::new(), None)?)
    }

    /// One call on the socket, as readv(2) is: what comes with bytes, or ends them, ends it once.
    fn receive_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        Ok(self.local().receive_parts(into, 0)?.len)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => SHUT_RD,
            Shutdown::Write => SHUT_WR,
            Shutdown::Both => SHUT_RDWR,
        };
        Ok(self.local().shutdown(how)?)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.local().take_error().map(io::Error::from))
    }
}

/// A time-out as `std` takes it.
fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"))
        }
        timeout => Ok(timeout),
    }
}

/// The methods that all of these sockets have.
macro_rules! common_methods {
    ($name:ident) => {
        impl $name {
            /// A real descriptor that polls as the socket does: see [`HasMirror`](crate::HasMirror). Errors: EMFILE, ENFILE,
            /// ENOBUFS, ENOMEM.
            pub fn poll_fd(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
                crate::HasMirror::poll_fd(self)
            }

            /// The socket's number in [`bsd`](crate::bsd), for what this type has no method for. It is this handle's:
            /// given out at the first call, and closed with it. Errors: EMFILE.
            pub fn socket_id(&self) -> io::Result<i32> {
                self.handle().id()
            }

            /// The host that the socket belongs to.
            pub fn host(&self) -> &Host {
                self.handle().host()
            }

            /// The share in the socket, and its numbers.
            pub(crate) fn handle(&self) -> &Handle {
                &self.socket.handle
            }

            /// The same, of a socket that goes.
            pub(crate) fn into_handle(self) -> Handle {
                self.socket.handle
            }

            /// Another handle of the same socket, with numbers of its own. Errors: none as yet.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok($name { socket: self.socket.clone() })
            }

            /// The socket's own name. Errors: none as yet.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                Ok(SocketAddr(self.socket.local().name()))
            }

            /// Whether calls fail with WouldBlock (EAGAIN) rather than wait. Errors: none as yet.
            pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                self.socket.local().set_waits(!nonblocking);
                Ok(())
            }

            /// The pending error, which is taken by this (SO_ERROR). Errors: none as yet.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.take_error()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                shown.field("local", &SocketAddr(self.socket.local().name()));
                if let Ok(peer) = self.socket.local().peer_name() {
                    shown.field("peer", &SocketAddr(peer));
                }
                shown.finish()
            }
        }
    };
}

/// The methods of those that carry data.
macro_rules! data_methods {
    ($name:ident) => {
        impl $name {
            /// The peer's name. Errors: NotConnected (ENOTCONN).
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                Ok(SocketAddr(self.socket.local().peer_name()?))
            }

            /// How long a read waits; `None` for ever. Errors: InvalidInput for a time of zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.local().set_receive_timeout(checked(timeout)?);
                Ok(())
            }

            /// How long a write waits; `None` for ever. Errors: InvalidInput for a time of zero.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.local().set_send_timeout(checked(timeout)?);
                Ok(())
            }

            /// How long a read waits. Errors: none as yet.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.local().receive_timeout())
            }

            /// How long a write waits. Errors: none as yet.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.local().send_timeout())
            }

            /// Ends a direction, or both; the peer reads what was sent, and then the end. Errors: none as yet.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.shutdown(how)
            }

            /// Sends `bytes`, and with the first of them shares in `rights`, of which there may be 253 (SCM_RIGHTS).
            /// A stream passes nothing without a byte.
            ///
            /// # Errors
            /// Those of sending; InvalidInput (EINVAL) for more, and for a socket of another host; ETOOMANYREFS where
            /// too many are under way.
            pub fn send_passing(&self, bytes: &[u8], rights: &[Pass<'_>]) -> io::Result<usize> {
                self.socket.send_passing(bytes, rights)
            }

            /// Receives, with what was passed. Other receiving calls let go of that.
            ///
            /// # Errors
            /// Those of receiving; EMFILE where this process may open no more.
            pub fn recv_passing(&self, into: &mut [u8]) -> io::Result<(usize, Vec<Passed>)> {
                self.socket.receive_passing(into)
            }

            /// Who is on the other side, as it was when the connection came about (SO_PEERCRED). Errors: none as yet.
            pub fn peer_cred(&self) -> io::Result<Credentials> {
                Ok(self.socket.local().peer_credentials())
            }
        }
    };
}

use {common_methods, data_methods};
