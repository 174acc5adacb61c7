//! Programs that run on hosts.
//!
//! A program is polled when something may have changed for it, does what it can without waiting, and says when it
//! wants to be polled at the latest. The programs here speak to [`StreamSockets`] and [`DatagramSockets`], which
//! both kinds of host have, so that each of them runs on either stack; a program that needs more of a stack
//! implements [`App`] for that stack's sockets alone.

mod attempt;
mod conversation;
mod datagram;
mod echo;
mod pattern;
mod transfer;

use core::any::Any;
use core::net::SocketAddr;
use core::task::Poll;

use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

pub use attempt::Attempt;
pub use conversation::{Plan, Turn};
pub use datagram::{DatagramClient, DatagramEcho};
pub use echo::{EchoClient, EchoServer};
pub use pattern::Pattern;
pub use transfer::{Client, Server};

use crate::node::Status;

/// A program on a host whose sockets are `S`.
///
/// ```
/// use tapsock_sim::app::{App, StreamSockets};
/// use tapsock_sim::node::Status;
/// use tapsock_stack::time::Instant;
///
/// /// Does nothing, until noon.
/// struct Sleeper(Status);
///
/// impl<S> App<S> for Sleeper {
///     fn poll(&mut self, now: Instant, _sockets: &mut S) -> Option<Instant> {
///         let noon = Instant::from_secs(12 * 3600);
///         if now >= noon {
///             self.0 = Status::Done;
///         }
///         Some(noon).filter(|&noon| now < noon)
///     }
///     fn status(&self) -> Status {
///         self.0.clone()
///     }
/// }
/// ```
pub trait App<S>: Any {
    /// Does what can be done at `now` without waiting. Returns when to be polled at the latest.
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant>;

    /// How far it is. A server that waits for clients is done.
    fn status(&self) -> Status;
}

/// A socket of a host, as a number.
///
/// ```
/// use tapsock_sim::app::Socket;
///
/// assert!(Socket(3) < Socket(4));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Socket(pub i32);

/// Why a call on a socket failed.
///
/// ```
/// use tapsock_sim::app::Fault;
///
/// assert_ne!(Fault::Refused, Fault::Reset);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The peer refused the connection.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// Nothing came back for too long.
    TimedOut,
    /// There is no way to the peer.
    Unreachable,
    /// Anything else.
    Other(String),
}

/// What a program asks of a host's TCP. `Pending` means: poll again when something has changed.
///
/// ```
/// use core::task::Poll;
/// use tapsock_sim::app::{Fault, Socket, StreamSockets};
/// use tapsock_stack::{buf::Rope, time::Instant};
///
/// /// Sends a line, where there is room for it.
/// fn greet(now: Instant, sockets: &mut impl StreamSockets, socket: Socket) -> Poll<Result<usize, Fault>> {
///     sockets.stream_send(now, socket, &mut Rope::from(&b"hello\r\n"[..]))
/// }
/// ```
pub trait StreamSockets {
    /// A socket that listens on `local`; an unspecified address stands for all of its family.
    fn stream_listen(&mut self, now: Instant, local: SocketAddr, backlog: usize) -> Result<Socket, Fault>;
    /// The next connection that came to a listening socket.
    fn stream_accept(&mut self, now: Instant, listener: Socket) -> Poll<Result<Socket, Fault>>;
    /// Begins to connect, from `local` or from a port that the host chooses.
    fn stream_connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Socket, Fault>;
    /// Whether the connection is made.
    fn stream_connected(&mut self, now: Instant, socket: Socket) -> Poll<Result<(), Fault>>;
    /// Sends from the front of `data`, and removes from it what was taken.
    fn stream_send(&mut self, now: Instant, socket: Socket, data: &mut Rope) -> Poll<Result<usize, Fault>>;
    /// At most `max` bytes that came; empty at the end of the stream.
    fn stream_receive(&mut self, now: Instant, socket: Socket, max: usize) -> Poll<Result<Rope, Fault>>;
    /// Sends no more: the peer finds the end of the stream behind what was sent.
    fn stream_finish(&mut self, now: Instant, socket: Socket) -> Result<(), Fault>;
    /// Gives the socket up. What was sent still goes out.
    fn stream_close(&mut self, now: Instant, socket: Socket) -> Result<(), Fault>;
}

/// What a program asks of a host's UDP.
///
/// ```
/// use tapsock_sim::app::{DatagramSockets, Fault, Socket};
/// use tapsock_stack::time::Instant;
///
/// fn any_port(now: Instant, sockets: &mut impl DatagramSockets) -> Result<Socket, Fault> {
///     sockets.datagram_open(now, "0.0.0.0:0".parse().unwrap())
/// }
/// ```
pub trait DatagramSockets {
    /// A socket bound to `local`; port 0 takes any.
    fn datagram_open(&mut self, now: Instant, local: SocketAddr) -> Result<Socket, Fault>;
    /// Sends one datagram.
    fn datagram_send(
        &mut self,
        now: Instant,
        socket: Socket,
        data: Rope,
        to: SocketAddr,
    ) -> Poll<Result<(), Fault>>;
    /// The next datagram that came, and from whom.
    fn datagram_receive(&mut self, now: Instant, socket: Socket) -> Poll<Result<(Rope, SocketAddr), Fault>>;
}
