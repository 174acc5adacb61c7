//! What the two ends of a measurement do, on whatever stack they stand.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::memory::MESSAGE;
use crate::{datagrams, dial, siege, sys, talk};

/// What an end does.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Role {
    /// Writes for a time, and then ends its direction.
    Source,
    /// Reads to the end.
    Sink,
    /// Answers each message with itself.
    Echo,
    /// Sends messages and waits for each to come back.
    PingPong,
    /// As [`Role::Source`], [`Role::Sink`] and [`Role::PingPong`], on all connections in one thread, which epoll tells
    /// of them.
    Scatter,
    Gather,
    Volley,
    /// Answers messages on the last connection, as [`Role::Echo`], while it reads all others to the end.
    Answer,
    /// Sends messages on the last connection, as [`Role::PingPong`], while it writes to all others.
    Press,
    /// Takes connections; reads a request from each, and answers.
    Serve,
    /// Connects, asks, reads the answer and closes; then connects again.
    Request,
    /// Sends datagrams for a time.
    Spray,
    /// Counts datagrams until none comes any more.
    Catch,
}

impl Role {
    /// Whether it waits for the other end to come.
    pub(crate) fn serves(self) -> bool {
        matches!(self, Role::Serve | Role::Catch)
    }
}

/// Which end of a connection closes first, and so has it in TIME-WAIT.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Closer {
    Server,
    Client,
}

/// How an end comes to its connections.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Place {
    Listen(SocketAddr),
    Connect(SocketAddr),
}

impl Place {
    /// The `index`-th place from here: ports follow one another.
    pub(crate) fn at(self, index: usize) -> SocketAddr {
        let (Place::Listen(mut address) | Place::Connect(mut address)) = self;
        address.set_port(address.port() + index as u16);
        address
    }
}

/// How an end waits for what comes.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Waiting {
    /// In the call that receives it.
    Sleeps,
    /// It looks again and again.
    Spins,
    /// In epoll_wait(2): who sends messages; the other end sleeps.
    Polls,
    /// As a task of tokio's: who sends messages; the other end sleeps.
    Tasks,
    /// As [`Waiting::Polls`], with the stack in a loop of the program's own (`Driver::External`), for the kernel the same.
    Turns,
    /// As [`Waiting::Tasks`], with the stack in a task of its own, for the kernel the same.
    TurnsOfTasks,
}

/// Whose the bytes are that bulk is moved in.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Ownership {
    /// They are copied from and into buffers of the program.
    Copied,
    /// They are handed over, where the stack can: `send_bytes`, `recv_bytes`. The kernel copies.
    Owned,
}

/// What epoll is asked to tell of.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Interest {
    Arrivals,
    Room,
}

/// What datagrams are sent and received in.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Packaging {
    /// Each in a call of its own.
    Single,
    /// Many in one call: UDP_SEGMENT and UDP_GRO.
    Merged,
}

/// What is varied.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Shape {
    /// Connections at a time.
    pub(crate) streams: usize,
    /// Bytes that are read or written at once in bulk.
    pub(crate) chunk: usize,
    /// Bytes of a message or a datagram.
    pub(crate) message: usize,
    pub(crate) waiting: Waiting,
    pub(crate) closer: Closer,
    pub(crate) packaging: Packaging,
    pub(crate) ownership: Ownership,
    /// Connections beside that say nothing.
    pub(crate) idle: usize,
    /// SYNs of strangers a second beside, sent by the end that connects to the one that listens.
    pub(crate) siege: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            streams: 1,
            chunk: 128 * 1024,
            message: MESSAGE,
            waiting: Waiting::Sleeps,
            closer: Closer::Server,
            packaging: Packaging::Single,
            ownership: Ownership::Copied,
            idle: 0,
            siege: 0,
        }
    }
}

/// What an end is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) role: Role,
    pub(crate) place: Place,
    pub(crate) shape: Shape,
    /// The CPU that it is kept on.
    pub(crate) cpu: Option<usize>,
    /// How long it works, where it is the one that says so.
    pub(crate) time: Duration,
    /// The congestion control of the kernel's sockets.
    pub(crate) congestion: String,
}

/// What came of it.
#[derive(Copy, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Bytes moved.
    pub(crate) bytes: u64,
    /// Round trips, connections, datagrams, or strangers' SYNs a second.
    pub(crate) count: u64,
    /// How long that took, in seconds.
    pub(crate) seconds: f64,
    /// CPU time of the process, in seconds.
    pub(crate) cpu: f64,
    /// Round trips: the median, and the quantiles of 99 and 99.9 percent, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// How evenly bytes are spread over the connections: Jain's index, 1 where all have the same.
    pub(crate) fairness: f64,
}

/// A stack's sockets.
pub(crate) trait Net: Sync {
    type Stream: Stream;
    type Listener: Send;
    type Datagrams: Datagrams;
    fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener>;
    fn accept(&self, listener: &Self::Listener) -> io::Result<Self::Stream>;
    /// A socket for datagrams to or at that place.
    fn datagrams(&self, place: Place) -> io::Result<Self::Datagrams>;
}

/// A connection.
pub(crate) trait Stream: Read + Write + Send + Sized {
    type Watch: Watch;
    type Task: AsyncRead + AsyncWrite + Unpin;
    /// Has an epoll instance watch them. Calls fail from now on where they would wait.
    fn watch(streams: &[Self], interest: Interest) -> io::Result<Self::Watch>;
    /// What has to go on beside its task, and ends by an error only.
    fn beside(&self) -> io::Result<impl Future<Output = io::Error> + 'static>;
    /// Makes it a task's, in a runtime.
    fn into_task(self) -> io::Result<Self::Task>;
    /// Writes without a copy, where the stack can.
    fn send_owned(&mut self, data: &Bytes) -> io::Result<usize>;
    /// Reads without a copy, where the stack can, and else into `buffer`.
    fn receive_owned(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn no_delay(&self) -> io::Result<()>;
    /// Reads fail from now on where they would wait, unless the stack itself looks again and again.
    fn spin(&self) -> io::Result<()>;
    /// Ends the direction that is written to.
    fn end(&self) -> io::Result<()>;
}

/// Connections that one call of epoll_wait tells of, at most.
pub(crate) const EVENTS: usize = 64;

/// An epoll instance that watches connections.
pub(crate) trait Watch {
    /// Sleeps until there is something to do, and puts the places of those that have it into `ready`.
    fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()>;
}

/// A socket for datagrams.
pub(crate) trait Datagrams {
    /// What is sent is cut into datagrams of `size` bytes (UDP_SEGMENT).
    fn cut(&self, size: u16) -> io::Result<()>;
    /// Datagrams of one size may be received together (UDP_GRO).
    fn merge(&self) -> io::Result<()>;
    /// How long a receiving call waits at the most.
    fn patience(&self, time: Duration) -> io::Result<()>;
    fn send(&self, data: &[u8]) -> io::Result<usize>;
    fn receive(&self, into: &mut [u8]) -> io::Result<usize>;
}

/// Does as ordered. `ready` is called as soon as the other end may begin.
pub(crate) fn run<N: Net>(net: &N, order: &Order, ready: impl FnOnce()) -> io::Result<Outcome> {
    let mut cpu = sys::cpu_time();
    let mut outcome = match (order.role, order.place) {
        (Role::Serve, Place::Listen(_)) => dial::serve(net, order, ready)?,
        (Role::Request, Place::Connect(_)) => dial::request(net, order)?,
        (Role::Catch, Place::Listen(_)) => datagrams::catch(&net.datagrams(order.place)?, order, ready)?,
        (Role::Spray, Place::Connect(_)) => datagrams::spray(&net.datagrams(order.place)?, order)?,
        (Role::Serve | Role::Request | Role::Catch | Role::Spray, _) => {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        (_, Place::Listen(at)) => {
            let listener = net.listen(at)?;
            ready();
            let _idle = several(order.shape.idle, || net.accept(&listener))?;
            cpu = sys::cpu_time();
            talk::converse(several(order.shape.streams, || net.accept(&listener))?, order)?
        }
        (_, Place::Connect(to)) => {
            let _idle = several(order.shape.idle, || net.connect(to))?;
            cpu = sys::cpu_time();
            let connected = several(order.shape.streams, || net.connect(to))?;
            match order.shape.siege {
                0 => talk::converse(connected, order)?,
                rate => {
                    let (outcome, sent) = siege::during(to, rate, || talk::converse(connected, order))?;
                    Outcome { count: sent as u64, ..outcome }
                }
            }
        }
    };
    outcome.cpu = (sys::cpu_time() - cpu).as_secs_f64();
    Ok(outcome)
}

fn several<T>(count: usize, make: impl Fn() -> io::Result<T>) -> io::Result<Vec<T>> {
    (0..count).map(|_| make()).collect()
}
