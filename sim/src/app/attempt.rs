//! A single attempt to connect.

use core::net::SocketAddr;
use core::task::Poll;

use tapsock_stack::time::Instant;

use super::{App, Fault, Socket, StreamSockets};
use crate::node::Status;

/// Tries to connect, notes how that went and when, and closes.
///
/// ```
/// use tapsock_sim::app::Attempt;
///
/// let attempt = Attempt::new("10.0.0.2:81".parse().unwrap());
/// assert_eq!(attempt.outcome(), None);
/// ```
#[derive(Debug)]
pub struct Attempt {
    remote: SocketAddr,
    socket: Option<Socket>,
    outcome: Option<(Instant, Result<(), Fault>)>,
}

impl Attempt {
    /// An attempt to connect to `remote`.
    pub fn new(remote: SocketAddr) -> Self {
        Attempt { remote, socket: None, outcome: None }
    }

    /// When the attempt ended, and how.
    pub fn outcome(&self) -> Option<(Instant, Result<(), Fault>)> {
        self.outcome.clone()
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Poll<Result<(), Fault>> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(sockets.stream_connect(now, None, self.remote)?),
        };
        let connected = sockets.stream_connected(now, socket);
        if connected.is_ready() {
            sockets.stream_close(now, socket)?;
        }
        connected
    }
}

impl<S: StreamSockets> App<S> for Attempt {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if self.outcome.is_none()
            && let Poll::Ready(outcome) = self.advance(now, sockets)
        {
            self.outcome = Some((now, outcome));
        }
        None
    }

    fn status(&self) -> Status {
        match self.outcome {
            Some(_) => Status::Done,
            None => Status::Working,
        }
    }
}
