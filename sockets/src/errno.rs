//! Which errno each error of the stack is: the one place where that is said.

use rustix::io::Errno;
use tapsock_stack::error::SocketError;
use tapsock_stack::iface::RouteError;
use tapsock_stack::ports::BindError;
use tapsock_stack::stack::{ConnectError, ListenError, PingError, SendError};
use tapsock_stack::tcp::connection::{NotConnected, ReadError, WriteError};

/// An error of the stack that has an errno.
///
/// ```
/// use rustix::io::Errno;
/// use tapsock_sockets::errno::ToErrno;
/// use tapsock_stack::error::SocketError;
///
/// assert_eq!(SocketError::TimedOut.errno(), Errno::TIMEDOUT);
/// ```
pub trait ToErrno {
    /// The errno that Linux gives for it.
    fn errno(&self) -> Errno;
}

impl ToErrno for SocketError {
    fn errno(&self) -> Errno {
        match self {
            SocketError::ConnectionRefused => Errno::CONNREFUSED,
            SocketError::ConnectionReset => Errno::CONNRESET,
            SocketError::ConnectionAborted => Errno::CONNABORTED,
            SocketError::BrokenPipe => Errno::PIPE,
            SocketError::TimedOut => Errno::TIMEDOUT,
            SocketError::HostUnreachable => Errno::HOSTUNREACH,
            SocketError::NetworkUnreachable => Errno::NETUNREACH,
            SocketError::ProtocolUnreachable => Errno::NOPROTOOPT,
            SocketError::MessageTooLong => Errno::MSGSIZE,
            SocketError::SourceRouteFailed => Errno::OPNOTSUPP,
            SocketError::HostDown => Errno::HOSTDOWN,
            SocketError::HostIsolated => Errno::NONET,
            SocketError::Protocol => Errno::PROTO,
            SocketError::PermissionDenied => Errno::ACCESS,
            SocketError::NetworkDown => Errno::NETDOWN,
        }
    }
}

/// The error of a socket that has this errno, if one has.
pub(crate) fn socket_error(errno: Errno) -> Option<SocketError> {
    SocketError::ALL.into_iter().find(|error| error.errno() == errno)
}

impl ToErrno for RouteError {
    fn errno(&self) -> Errno {
        match self {
            RouteError::NoRoute => Errno::NETUNREACH,
            RouteError::NoSource => Errno::ADDRNOTAVAIL,
            RouteError::BadSource => Errno::INVAL,
            RouteError::Down => Errno::NETDOWN,
            RouteError::Blackhole => Errno::INVAL,
            RouteError::Unreachable => Errno::HOSTUNREACH,
            RouteError::Prohibited => Errno::ACCESS,
        }
    }
}

impl ToErrno for BindError {
    fn errno(&self) -> Errno {
        match self {
            BindError::AddressInUse => Errno::ADDRINUSE,
            BindError::AddressNotAvailable => Errno::ADDRNOTAVAIL,
            BindError::Permission => Errno::ACCESS,
        }
    }
}

impl ToErrno for ListenError {
    fn errno(&self) -> Errno {
        match self {
            ListenError::AddressInUse => Errno::ADDRINUSE,
            ListenError::NotBound => Errno::INVAL,
        }
    }
}

impl ToErrno for ConnectError {
    fn errno(&self) -> Errno {
        match self {
            ConnectError::NoRoute => Errno::NETUNREACH,
            ConnectError::AddressNotAvailable => Errno::ADDRNOTAVAIL,
            ConnectError::BadSource => Errno::INVAL,
            ConnectError::NetworkDown => Errno::NETDOWN,
            ConnectError::Blackhole => Errno::INVAL,
            ConnectError::Unreachable => Errno::HOSTUNREACH,
            ConnectError::Prohibited => Errno::ACCESS,
        }
    }
}

impl ToErrno for NotConnected {
    fn errno(&self) -> Errno {
        Errno::NOTCONN
    }
}

impl ToErrno for WriteError {
    fn errno(&self) -> Errno {
        match self {
            WriteError::NotConnected => Errno::NOTCONN,
            WriteError::BrokenPipe => Errno::PIPE,
            WriteError::Socket(error) => error.errno(),
        }
    }
}

impl ToErrno for ReadError {
    fn errno(&self) -> Errno {
        match self {
            ReadError::WouldBlock => Errno::AGAIN,
            ReadError::NotConnected => Errno::NOTCONN,
            ReadError::Socket(error) => error.errno(),
        }
    }
}

impl ToErrno for SendError {
    fn errno(&self) -> Errno {
        match self {
            SendError::NoSocket => Errno::BADF,
            SendError::NoDestination => Errno::DESTADDRREQ,
            SendError::Route(error) => error.errno(),
            SendError::NoPort | SendError::WouldBlock => Errno::AGAIN,
            SendError::TooLong => Errno::MSGSIZE,
            SendError::NoBuffers => Errno::NOBUFS,
            SendError::TooManySegments | SendError::Malformed => Errno::INVAL,
            SendError::ShutDown => Errno::PIPE,
            SendError::Socket(error) => error.errno(),
        }
    }
}

impl ToErrno for PingError {
    fn errno(&self) -> Errno {
        match self {
            PingError::NoSocket | PingError::NoBuffers => Errno::NOBUFS,
            PingError::BadMessage | PingError::WrongFamily => Errno::INVAL,
            PingError::NoDestination => Errno::DESTADDRREQ,
            PingError::Route(error) => error.errno(),
            PingError::TooLong => Errno::MSGSIZE,
            PingError::IdentInUse => Errno::ADDRINUSE,
            PingError::WouldBlock => Errno::AGAIN,
            PingError::Socket(error) => error.errno(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_numbers_of_linux() {
        for (error, number) in [
            (SocketError::ConnectionRefused.errno(), 111),
            (SocketError::ConnectionReset.errno(), 104),
            (SocketError::ConnectionAborted.errno(), 103),
            (SocketError::BrokenPipe.errno(), 32),
            (SocketError::TimedOut.errno(), 110),
            (SocketError::HostUnreachable.errno(), 113),
            (SocketError::NetworkUnreachable.errno(), 101),
            (SocketError::ProtocolUnreachable.errno(), 92),
            (SocketError::MessageTooLong.errno(), 90),
            (SocketError::SourceRouteFailed.errno(), 95),
            (SocketError::HostDown.errno(), 112),
            (SocketError::HostIsolated.errno(), 64),
            (SocketError::Protocol.errno(), 71),
            (SocketError::PermissionDenied.errno(), 13),
            (SocketError::NetworkDown.errno(), 100),
            (RouteError::NoSource.errno(), 99),
            (BindError::AddressInUse.errno(), 98),
            (BindError::Permission.errno(), 13),
            (ListenError::AddressInUse.errno(), 98),
            (ConnectError::BadSource.errno(), 22),
            (WriteError::BrokenPipe.errno(), 32),
            (WriteError::Socket(SocketError::TimedOut).errno(), 110),
            (ReadError::WouldBlock.errno(), 11),
            (ReadError::NotConnected.errno(), 107),
            (SendError::NoDestination.errno(), 89),
            (SendError::TooLong.errno(), 90),
            (SendError::Route(RouteError::NoRoute).errno(), 101),
            (SendError::Route(RouteError::Blackhole).errno(), 22),
            (ConnectError::Unreachable.errno(), 113),
            (ConnectError::Prohibited.errno(), 13),
            (PingError::NoDestination.errno(), 89),
        ] {
            assert_eq!(error.raw_os_error(), number);
        }
    }
}
