//! PF_LOCAL, in memory: what local sockets are, as state that is given its arguments and gives back values.
//!
//! A connection is a [`Pair`] of ends, for [`Stream`] or [`Records`] (SOCK_SEQPACKET); a [`Listener`] holds those that
//! wait to be accepted; a [`DatagramSocket`] stands for itself; [`Names`] is the name space of a host. Nothing here has a
//! lock or waits: a call that can't be done yet says so (`WouldBlock`), and whoever holds the lock does the waiting.
//!
//! What is received goes into a [`Sink`], and large writes travel by reference, so that a caller can copy while it holds
//! no lock. Handles that fall out of a queue (`Vec<R>` of a `close`, say) are returned, never dropped here: dropping one
//! may close a socket, which takes locks again.
//!
//! Behaviour is that of Linux 6.18, probed call by call, unless a comment says otherwise.

mod ancillary;
mod bytes;
mod credit;
mod datagram;
mod error;
mod listener;
mod names;
mod options;
mod pair;
mod payload;
mod poll;
mod records;
mod rights;
mod seqpacket;
mod stream;

pub use ancillary::{Ancillary, Credentials};
pub use bytes::SMALL_MAX;
pub use credit::{SEND_BUFFER_DEFAULT, SEND_BUFFER_MIN, SendCredit};
pub use datagram::{DATAGRAM_QUEUE_DEFAULT, DatagramSocket, Delivery, Discarded, Former, Sender};
pub use error::{AcceptError, BindError, LookupError, RecvError, SendError};
pub use listener::Listener;
pub use names::{InodeId, NameKey, Names};
pub use options::LocalOption;
pub use pair::{EndOptions, EndSetup, Inbox, Pair, Shutdown, Side, StampUnit};
pub use payload::{Filling, Payload, Sink};
pub use poll::View;
pub use records::{Peek, ReceivedRecord, Records};
pub use rights::{InFlight, RIGHTS_MAX, unreachable};
pub use stream::{Receiving, Stream, Urgency};

use crate::constants::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use rustix::io::Errno;

/// The type of a local socket.
///
/// ```
/// use tapsock_sockets::Errno;
/// use tapsock_sockets::local::SocketKind;
///
/// assert_eq!(SocketKind::from_type(5), Ok(SocketKind::Seqpacket));
/// assert_eq!(SocketKind::from_type(4), Err(Errno::SOCKTNOSUPPORT));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum SocketKind {
    /// A stream of bytes.
    Stream,
    /// Datagrams.
    Datagram,
    /// Records over a connection.
    Seqpacket,
}

impl SocketKind {
    /// The kind of a `SOCK_…` type. SOCK_RAW is taken as SOCK_DGRAM. Errors: ESOCKTNOSUPPORT.
    pub fn from_type(socket_type: i32) -> Result<SocketKind, Errno> {
        match socket_type {
            SOCK_STREAM => Ok(SocketKind::Stream),
            SOCK_DGRAM | crate::constants::SOCK_RAW => Ok(SocketKind::Datagram),
            SOCK_SEQPACKET => Ok(SocketKind::Seqpacket),
            _ => Err(Errno::SOCKTNOSUPPORT),
        }
    }

    /// The type, as SO_TYPE shows it.
    pub fn to_type(self) -> i32 {
        match self {
            SocketKind::Stream => SOCK_STREAM,
            SocketKind::Datagram => SOCK_DGRAM,
            SocketKind::Seqpacket => SOCK_SEQPACKET,
        }
    }

    /// Whether it listens and accepts.
    pub fn is_connection_based(self) -> bool {
        self != SocketKind::Datagram
    }

    /// What a receiving call fails with on a socket that never was connected, or listens: EINVAL on a stream, ENOTCONN
    /// on a seqpacket socket. A datagram socket is never unconnected in this sense.
    pub fn receive_unconnected(self) -> Errno {
        if self == SocketKind::Stream { Errno::INVAL } else { Errno::NOTCONN }
    }

    /// What a sending call with an address fails with on a connection-based socket: EISCONN on a connected stream,
    /// EOPNOTSUPP on one that is not; a seqpacket socket ignores the address.
    pub fn check_address(self, connected: bool) -> Result<(), Errno> {
        match self {
            SocketKind::Stream if connected => Err(Errno::ISCONN),
            SocketKind::Stream => Err(Errno::OPNOTSUPP),
            _ => Ok(()),
        }
    }
}
