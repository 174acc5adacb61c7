//! Echo over TCP: requests, each answered before the next.

use core::net::SocketAddr;
use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeMap;

use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use super::{App, Fault, Pattern, Socket, StreamSockets};
use crate::node::Status;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;

/// Bytes taken in one receive call. What can't be sent back yet stops the reading.
const READ_SIZE: usize = 16 * 1024;

/// Sends back what comes, on every connection, until its peer has ended.
///
/// ```
/// let server = tapsock_sim::app::EchoServer::new("10.0.0.2:7".parse().unwrap());
/// assert_eq!(server.served(), 0);
/// ```
#[derive(Debug)]
pub struct EchoServer {
    local: SocketAddr,
    listener: Option<Socket>,
    /// What came on each connection and is not sent back yet.
    connections: BTreeMap<Socket, Rope>,
    served: usize,
    failure: Option<Fault>,
}

impl EchoServer {
    /// A server on `local`.
    pub fn new(local: SocketAddr) -> Self {
        EchoServer { local, listener: None, connections: BTreeMap::new(), served: 0, failure: None }
    }

    /// Connections that came to their end.
    pub fn served(&self) -> usize {
        self.served
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<(), Fault> {
        let listener = match self.listener {
            Some(listener) => listener,
            None => *self.listener.insert(sockets.stream_listen(now, self.local, BACKLOG)?),
        };
        while let Poll::Ready(accepted) = sockets.stream_accept(now, listener) {
            self.connections.insert(accepted?, Rope::new());
        }
        let mut ended = Vec::new();
        for (&socket, waiting) in &mut self.connections {
            if let Echo::Ended = echo(now, sockets, socket, waiting)? {
                sockets.stream_close(now, socket)?;
                ended.push(socket);
            }
        }
        self.served += ended.len();
        ended.iter().for_each(|socket| drop(self.connections.remove(socket)));
        Ok(())
    }
}

enum Echo {
    Open,
    Ended,
}

fn echo(
    now: Instant,
    sockets: &mut impl StreamSockets,
    socket: Socket,
    waiting: &mut Rope,
) -> Result<Echo, Fault> {
    loop {
        while !waiting.is_empty() {
            match sockets.stream_send(now, socket, waiting) {
                Poll::Pending => return Ok(Echo::Open),
                Poll::Ready(sent) => drop(sent?),
            }
        }
        match sockets.stream_receive(now, socket, READ_SIZE) {
            Poll::Pending => return Ok(Echo::Open),
            Poll::Ready(data) => *waiting = data?,
        }
        if waiting.is_empty() {
            return Ok(Echo::Ended);
        }
    }
}

impl<S: StreamSockets> App<S> for EchoServer {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if let Err(fault) = self.advance(now, sockets) {
            self.failure.get_or_insert(fault);
        }
        None
    }

    fn status(&self) -> Status {
        match &self.failure {
            Some(fault) => Status::Failed(format!("echo server: {fault:?}")),
            None if self.connections.is_empty() => Status::Done,
            None => Status::Working,
        }
    }
}

/// Sends requests to an echo server, one after the other, and measures how long each answer takes.
///
/// ```
/// let client = tapsock_sim::app::EchoClient::new("10.0.0.2:7".parse().unwrap(), 100, 64);
/// assert!(client.round_trips().is_empty());
/// ```
#[derive(Debug)]
pub struct EchoClient {
    remote: SocketAddr,
    rounds: usize,
    size: usize,
    socket: Option<Socket>,
    connected: bool,
    pending: Rope,
    /// When the request under way was begun, and how much of its answer came.
    request: Option<(Instant, usize)>,
    round_trips: Vec<Duration>,
    state: Status,
}

impl EchoClient {
    /// A client that sends `rounds` requests of `size` bytes.
    pub fn new(remote: SocketAddr, rounds: usize, size: usize) -> Self {
        EchoClient {
            remote,
            rounds,
            size: size.max(1),
            socket: None,
            connected: false,
            pending: Rope::new(),
            request: None,
            round_trips: Vec::new(),
            state: Status::Working,
        }
    }

    /// How long each answer took, in order.
    pub fn round_trips(&self) -> &[Duration] {
        &self.round_trips
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<(), String> {
        let explain = |fault: Fault| format!("echo client: {fault:?}");
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(sockets.stream_connect(now, None, self.remote).map_err(explain)?),
        };
        if !self.connected {
            match sockets.stream_connected(now, socket) {
                Poll::Pending => return Ok(()),
                Poll::Ready(outcome) => outcome.map_err(explain)?,
            }
            self.connected = true;
        }
        while self.round_trips.len() < self.rounds {
            if self.round(now, sockets, socket)?.is_pending() {
                return Ok(());
            }
        }
        sockets.stream_close(now, socket).map_err(explain)?;
        self.state = Status::Done;
        Ok(())
    }

    fn round(
        &mut self,
        now: Instant,
        sockets: &mut impl StreamSockets,
        socket: Socket,
    ) -> Result<Poll<()>, String> {
        let explain = |fault: Fault| format!("echo client: {fault:?}");
        let pattern = Pattern::new(self.round_trips.len() as u64);
        let (begin, came) = self.request.unwrap_or_else(|| {
            self.pending = Rope::from(pattern.chunk(0, self.size));
            (now, 0)
        });
        self.request = Some((begin, came));
        while !self.pending.is_empty() {
            match sockets.stream_send(now, socket, &mut self.pending) {
                Poll::Pending => break,
                Poll::Ready(sent) => drop(sent.map_err(explain)?),
            }
        }
        let data = match sockets.stream_receive(now, socket, self.size - came) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(data) => data.map_err(explain)?.to_vec(),
        };
        if data.is_empty() {
            return Err("echo client: the stream ended".into());
        }
        pattern.check(came as u64, &data)?;
        self.request = Some((begin, came + data.len()));
        if came + data.len() == self.size {
            self.request = None;
            self.round_trips.push(now.saturating_since(begin));
        }
        Ok(Poll::Ready(()))
    }
}

impl<S: StreamSockets> App<S> for EchoClient {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if self.state == Status::Working
            && let Err(failure) = self.advance(now, sockets)
        {
            self.state = Status::Failed(failure);
        }
        None
    }

    fn status(&self) -> Status {
        self.state.clone()
    }
}
