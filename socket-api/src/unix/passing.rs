//! Passing sockets and descriptors along with bytes (SCM_RIGHTS), and what they become on the other side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tapsock_sockets::constants::{SO_ACCEPTCONN, SOL_SOCKET};
use tapsock_sockets::control::SCM_MAX_FD;

use super::*;
use crate::description::Description;
use crate::local::{Flying, Right};

/// Something that a message passes: a socket of the host, or a descriptor of the system. The receiver gets a share in
/// it; who passes it may drop its own at once.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::fd::AsFd;
/// use tapsock::Host;
/// use tapsock::unix::{Pass, Passed, UnixStream};
///
/// let host = Host::builder().start()?;
/// let (here, there) = UnixStream::pair(&host)?;
/// let (mut kept, given) = UnixStream::pair(&host)?;
/// let (mut pipe, end) = std::io::pipe()?;
/// here.send_passing(b"both", &[Pass::from(&given), Pass::from(end.as_fd())])?;
/// drop((given, end));
///
/// let (len, passed) = there.recv_passing(&mut [0; 16])?;
/// assert_eq!((len, passed.len()), (4, 2));
/// for one in passed {
///     match one {
///         Passed::Socket(socket) => UnixStream::try_from(socket).unwrap().write_all(b"1")?,
///         Passed::Descriptor(end) => std::io::PipeWriter::from(end).write_all(b"2")?,
///     }
/// }
/// let mut byte = [0];
/// kept.read_exact(&mut byte)?;
/// assert_eq!((&byte, std::io::read_to_string(&mut pipe)?), (b"1", "2".to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Pass<'a>(Passing<'a>);

#[derive(Copy, Clone, Debug)]
enum Passing<'a> {
    Socket(&'a Handle),
    Descriptor(BorrowedFd<'a>),
}

impl<'a> Pass<'a> {
    /// The socket of that handle.
    pub(crate) fn socket(handle: &'a Handle) -> Self {
        Pass(Passing::Socket(handle))
    }
}

impl<'a> From<BorrowedFd<'a>> for Pass<'a> {
    fn from(descriptor: BorrowedFd<'a>) -> Self {
        Pass(Passing::Descriptor(descriptor))
    }
}

impl<'a> From<&'a OwnedFd> for Pass<'a> {
    fn from(descriptor: &'a OwnedFd) -> Self {
        descriptor.as_fd().into()
    }
}

impl<'a> From<&'a PassedSocket> for Pass<'a> {
    fn from(socket: &'a PassedSocket) -> Self {
        Pass::socket(&socket.handle)
    }
}

/// What came with a message.
///
/// ```
/// # fn served(passed: Vec<tapsock::unix::Passed>) {
/// use tapsock::net::TcpStream;
/// use tapsock::unix::Passed;
///
/// for one in passed {
///     if let Passed::Socket(socket) = one
///         && let Ok(connection) = TcpStream::try_from(socket)
///     {
///         // The connection that another thread has accepted.
///         drop(connection);
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub enum Passed {
    /// A socket of the host.
    Socket(PassedSocket),
    /// A descriptor of the system. It is close-on-exec.
    Descriptor(OwnedFd),
}

/// A socket that was passed, of whichever kind: `TryFrom` makes it a [`UnixStream`], a
/// [`TcpStream`](crate::net::TcpStream) and so on, or gives it back where it is something else. Dropping it lets go.
///
/// ```
/// use tapsock::Host;
/// use tapsock::unix::{Pass, Passed, UnixDatagram, UnixStream};
///
/// let host = Host::builder().start()?;
/// let (here, there) = UnixDatagram::pair(&host)?;
/// here.send_passing(b"", &[Pass::from(&here)])?;
/// let Some(Passed::Socket(socket)) = there.recv_passing(&mut [])?.1.pop() else { panic!("a socket") };
/// let socket = UnixStream::try_from(socket).expect_err("no stream");
/// assert!(UnixDatagram::try_from(socket).is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PassedSocket {
    handle: Handle,
}

impl PassedSocket {
    /// Gives it an id for [`bsd`](crate::bsd).
    ///
    /// # Errors
    /// EMFILE.
    pub fn into_id(self) -> io::Result<i32> {
        Ok(self.handle.host().descriptors().insert(self.handle.held().clone())?)
    }

    /// A socket that may go where `handle` leads to.
    pub(crate) fn new(handle: Handle) -> Self {
        PassedSocket { handle }
    }

    /// What it is, where it is a socket and not an epoll instance.
    pub(crate) fn description(&self) -> Option<&Arc<Description>> {
        self.handle.held().socket()
    }

    /// The share that it is.
    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }

    fn local(&self, kind: SocketKind, listens: bool) -> Option<Arc<LocalSocket>> {
        let Kind::Local(local) = &self.description()?.kind else { return None };
        let is_kind = local.option(SOL_SOCKET, SO_ACCEPTCONN).ok()?.as_int() == Some(listens.into());
        (is_kind && local.kind() == kind).then(|| local.clone())
    }
}

impl fmt::Debug for PassedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PassedSocket").field(self.handle.held()).finish()
    }
}

impl Socket {
    pub(super) fn send_passing(&self, bytes: &[u8], rights: &[Pass<'_>]) -> io::Result<usize> {
        if rights.len() > SCM_MAX_FD {
            return Err(Errno::INVAL.into());
        }
        let share = |right: &Pass<'_>| match right.0 {
            Passing::Socket(handle) if self.handle.host().is(handle.host()) => {
                Ok(Right::Ours(handle.held().clone()))
            }
            Passing::Socket(..) => Err(Errno::INVAL),
            Passing::Descriptor(descriptor) => Right::real(descriptor),
        };
        let rights = rights.iter().map(share).collect::<Result<_, _>>()?;
        Ok(self.local().send(bytes, 0, None, rights)?)
    }

    pub(super) fn receive_passing(&self, into: &mut [u8]) -> io::Result<(usize, Vec<Passed>)> {
        let received = self.local().receive(into, 0)?;
        let host = self.handle.host();
        let arrive = |right: Flying| match right.land() {
            Right::Ours(held) => Ok(Passed::Socket(PassedSocket::new(Handle::new(host, held)))),
            Right::Real(share) => Ok(Passed::Descriptor(Right::own(share)?)),
        };
        let passed = received.rights.into_iter().map(arrive).collect::<Result<_, Errno>>()?;
        Ok((received.len, passed))
    }
}

/// Conversions of one type of socket.
macro_rules! passes {
    ($name:ident, $kind:ident, $listens:literal) => {
        impl<'a> From<&'a $name> for Pass<'a> {
            fn from(socket: &'a $name) -> Self {
                Pass::socket(socket.handle())
            }
        }

        impl TryFrom<PassedSocket> for $name {
            type Error = PassedSocket;

            fn try_from(passed: PassedSocket) -> Result<Self, PassedSocket> {
                let Some(local) = passed.local(SocketKind::$kind, $listens) else { return Err(passed) };
                Ok($name { socket: Socket { handle: passed.into_handle(), local } })
            }
        }
    };
}

passes!(UnixStream, Stream, false);
passes!(UnixListener, Stream, true);
passes!(UnixDatagram, Datagram, false);
passes!(UnixSeqpacket, Seqpacket, false);
passes!(UnixSeqpacketListener, Seqpacket, true);
