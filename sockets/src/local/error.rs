//! What can fail on local sockets, and its errno.

use rustix::io::Errno;

use crate::errno::ToErrno;

macro_rules! errors {
    ($($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $errno:ident,)* })*) => {
        $(
            $(#[$outer])*
            #[derive(Copy, Clone, Debug, Eq, PartialEq)]
            pub enum $name {
                $($(#[$inner])* $variant,)*
            }

            impl ToErrno for $name {
                fn errno(&self) -> Errno {
                    match self {
                        $($name::$variant => Errno::$errno,)*
                    }
                }
            }
        )*
    };
}

errors! {
    /// Why nothing was sent.
    ///
    /// ```
    /// use tapsock_sockets::errno::ToErrno;
    /// use tapsock_sockets::local::SendError;
    ///
    /// assert_eq!(SendError::BrokenPipe.errno().raw_os_error(), 32);
    /// ```
    SendError {
        /// No credit, or the receiver's queue is full: EAGAIN, unless the caller waits.
        WouldBlock = AGAIN,
        /// One of the ends has ended this direction: EPIPE.
        BrokenPipe = PIPE,
        /// The pending error, taken by this call: ECONNRESET.
        Reset = CONNRESET,
        /// Neither connected nor given an address: ENOTCONN.
        NotConnected = NOTCONN,
        /// The record is longer than the send buffer: EMSGSIZE.
        TooLong = MSGSIZE,
        /// The record is longer than any may be: ENOBUFS.
        NoBuffer = NOBUFS,
        /// The receiver is connected to another socket: EPERM.
        Permission = PERM,
        /// The receiver is gone: ECONNREFUSED.
        Refused = CONNREFUSED,
        /// Urgent data without a byte: EOPNOTSUPP.
        NothingUrgent = OPNOTSUPP,
    }

    /// Why nothing was received.
    ///
    /// ```
    /// use tapsock_sockets::errno::ToErrno;
    /// use tapsock_sockets::local::RecvError;
    ///
    /// assert_eq!(RecvError::WouldBlock.errno().raw_os_error(), 11);
    /// ```
    RecvError {
        /// Nothing there yet, or less than asked for: EAGAIN, unless the caller waits or has got something.
        WouldBlock = AGAIN,
        /// The pending error, taken by this call: ECONNRESET.
        Reset = CONNRESET,
        /// No urgent byte, or it stands in line: EINVAL.
        NoUrgent = INVAL,
    }

    /// Why no connection was accepted, or added to a listener.
    ///
    /// ```
    /// use tapsock_sockets::errno::ToErrno;
    /// use tapsock_sockets::local::AcceptError;
    ///
    /// assert_eq!(AcceptError::Refused.errno().raw_os_error(), 111);
    /// ```
    AcceptError {
        /// None waits, or too many do: EAGAIN, unless the caller waits. Never EINPROGRESS.
        WouldBlock = AGAIN,
        /// None waits and none will, as the listener was shut down: EINVAL for a caller that would wait, EAGAIN for one
        /// that does not.
        Shut = INVAL,
        /// The listener takes no more: ECONNREFUSED for who connects.
        Refused = CONNREFUSED,
    }

    /// Why a name could not be given.
    ///
    /// ```
    /// use tapsock_sockets::errno::ToErrno;
    /// use tapsock_sockets::local::BindError;
    ///
    /// assert_eq!(BindError::InUse.errno().raw_os_error(), 98);
    /// ```
    BindError {
        /// Something stands there already: EADDRINUSE.
        InUse = ADDRINUSE,
        /// The path ends in a slash and nothing stands there: ENOENT.
        NotFound = NOENT,
        /// A part of the path is a socket: ENOTDIR.
        NotDirectory = NOTDIR,
        /// No name at all: EINVAL.
        Unnamed = INVAL,
        /// All names that could be chosen are taken: ENOSPC.
        Exhausted = NOSPC,
    }

    /// Why a name leads to no socket.
    ///
    /// ```
    /// use tapsock_sockets::errno::ToErrno;
    /// use tapsock_sockets::local::LookupError;
    ///
    /// assert_eq!(LookupError::WrongKind.errno().raw_os_error(), 91);
    /// ```
    LookupError {
        /// Nothing stands there: ENOENT.
        NotFound = NOENT,
        /// A part of the path is a socket: ENOTDIR.
        NotDirectory = NOTDIR,
        /// The socket is gone and left its name, or it is no socket: ECONNREFUSED. Of abstract names also where there is
        /// none.
        Refused = CONNREFUSED,
        /// The socket is of another type: EPROTOTYPE.
        WrongKind = PROTOTYPE,
        /// No name at all: EINVAL.
        Unnamed = INVAL,
        /// `unlink` of a directory: EISDIR.
        IsDirectory = ISDIR,
    }
}
