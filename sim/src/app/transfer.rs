//! Client and server of planned conversations: bulk transfers, half-closes, many connections at once.

use core::net::SocketAddr;
use core::task::Poll;

use tapsock_stack::time::{Instant, earliest};

use super::conversation::Conversation;
use super::{App, Plan, Socket, StreamSockets};
use crate::node::Status;

/// Connects, once or many times at once, and follows a plan on each connection.
///
/// ```
/// use tapsock_sim::app::{Client, Plan};
///
/// let client = Client::new("10.0.0.2:80".parse().unwrap(), Plan::upload(1 << 20)).connections(3);
/// assert_eq!(client.finished_at(), None);
/// ```
#[derive(Debug)]
pub struct Client {
    local: Option<SocketAddr>,
    remote: SocketAddr,
    plan: Plan,
    count: usize,
    begin: Instant,
    talks: Vec<Conversation>,
    finished_at: Option<Instant>,
    failure: Option<String>,
}

impl Client {
    /// A client that makes one connection to `remote`, at once.
    pub fn new(remote: SocketAddr, plan: Plan) -> Self {
        let begin = Instant::ZERO;
        Client {
            local: None,
            remote,
            plan,
            count: 1,
            begin,
            talks: Vec::new(),
            finished_at: None,
            failure: None,
        }
    }

    /// Makes `count` connections at the same time.
    pub fn connections(self, count: usize) -> Self {
        Client { count, ..self }
    }

    /// Connects from `local` rather than from a port that the host chooses.
    pub fn from(self, local: SocketAddr) -> Self {
        Client { local: Some(local), ..self }
    }

    /// Connects at `begin` rather than at once.
    pub fn begins_at(self, begin: Instant) -> Self {
        Client { begin, ..self }
    }

    /// When the last connection was done.
    pub fn finished_at(&self) -> Option<Instant> {
        self.finished_at
    }

    /// How many bytes each connection has brought so far.
    pub fn received(&self) -> impl Iterator<Item = u64> {
        self.talks.iter().map(Conversation::received)
    }

    /// Whether a connection could be read from or written to at `now` as it wants to be, and nobody has said so: `ready` says
    /// whether a socket is readable, and whether it is writable.
    pub fn is_overlooked(&self, now: Instant, ready: impl Fn(Socket) -> (bool, bool)) -> bool {
        self.talks.iter().any(|talk| talk.is_overlooked(now, &ready))
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<Option<Instant>, String> {
        while self.talks.len() < self.count {
            let socket = sockets
                .stream_connect(now, self.local, self.remote)
                .map_err(|fault| format!("connect: {fault:?}"))?;
            self.talks.push(Conversation::connecting(socket, self.plan.clone()));
        }
        let wake = poll_all(&mut self.talks, now, sockets)?;
        if self.finished_at.is_none() && self.talks.iter().all(Conversation::is_over) {
            self.finished_at = Some(now);
        }
        Ok(wake)
    }
}

impl<S: StreamSockets> App<S> for Client {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if now < self.begin {
            return Some(self.begin);
        }
        self.advance(now, sockets).unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }

    fn status(&self) -> Status {
        status(&self.failure, self.finished_at)
    }
}

/// Listens, and follows a plan on each connection that comes. Done when it has served as many as it should.
///
/// ```
/// use tapsock_sim::app::{Plan, Server};
///
/// let server = Server::new("10.0.0.2:80".parse().unwrap(), Plan::upload(1 << 20).mirrored());
/// assert_eq!(server.finished_at(), None);
/// ```
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    plan: Plan,
    count: usize,
    listener: Option<Socket>,
    talks: Vec<Conversation>,
    finished_at: Option<Instant>,
    failure: Option<String>,
}

impl Server {
    /// A server on `local` that waits for one connection.
    pub fn new(local: SocketAddr, plan: Plan) -> Self {
        Server { local, plan, count: 1, listener: None, talks: Vec::new(), finished_at: None, failure: None }
    }

    /// Waits for `count` connections, which may come at the same time.
    pub fn connections(self, count: usize) -> Self {
        Server { count, ..self }
    }

    /// When the last connection was done.
    pub fn finished_at(&self) -> Option<Instant> {
        self.finished_at
    }

    /// How many bytes each connection has brought so far, in the order in which they came.
    pub fn received(&self) -> impl Iterator<Item = u64> {
        self.talks.iter().map(Conversation::received)
    }

    /// Whether a connection could be read from or written to at `now` as it wants to be, and nobody has said so: `ready` says
    /// whether a socket is readable, and whether it is writable.
    pub fn is_overlooked(&self, now: Instant, ready: impl Fn(Socket) -> (bool, bool)) -> bool {
        self.talks.iter().any(|talk| talk.is_overlooked(now, &ready))
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<Option<Instant>, String> {
        let listener = match self.listener {
            Some(listener) => listener,
            None => {
                let listener = sockets.stream_listen(now, self.local, self.count);
                *self.listener.insert(listener.map_err(|fault| format!("listen: {fault:?}"))?)
            }
        };
        while self.talks.len() < self.count {
            match sockets.stream_accept(now, listener) {
                Poll::Pending => break,
                Poll::Ready(Ok(socket)) => self.talks.push(Conversation::accepted(socket, self.plan.clone())),
                Poll::Ready(Err(fault)) => return Err(format!("accept: {fault:?}")),
            }
        }
        let wake = poll_all(&mut self.talks, now, sockets)?;
        let all_came = self.talks.len() == self.count;
        if all_came && self.finished_at.is_none() && self.talks.iter().all(Conversation::is_over) {
            self.finished_at = Some(now);
        }
        Ok(wake)
    }
}

impl<S: StreamSockets> App<S> for Server {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        self.advance(now, sockets).unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }

    fn status(&self) -> Status {
        status(&self.failure, self.finished_at)
    }
}

fn poll_all(
    talks: &mut [Conversation],
    now: Instant,
    sockets: &mut impl StreamSockets,
) -> Result<Option<Instant>, String> {
    let mut wake = None;
    for talk in talks {
        wake = earliest(wake, talk.poll(now, sockets)?);
    }
    Ok(wake)
}

fn status(failure: &Option<String>, finished_at: Option<Instant>) -> Status {
    match (failure, finished_at) {
        (Some(failure), _) => Status::Failed(failure.clone()),
        (None, Some(_)) => Status::Done,
        (None, None) => Status::Working,
    }
}
