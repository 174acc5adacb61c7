//! What the two ends of a measurement do, on whatever stack they stand.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::sys;

/// Bytes of a message in a round trip and of a request and its answer.
pub(crate) const MESSAGE: usize = 64;
/// The first byte of the last request.
const LAST: u8 = 0xff;
/// The longest round trip that is told apart, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;

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
    /// Takes connections; reads a request from each, answers, and closes first, so that TIME-WAIT is here.
    Serve,
    /// Connects, asks, reads the answer to its end and closes; then connects again.
    Request,
}

/// How an end comes to its connection.
#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Place {
    Listen(SocketAddr),
    Connect(SocketAddr),
}

/// What an end is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) role: Role,
    pub(crate) place: Place,
    /// The CPU that it is kept on.
    pub(crate) cpu: Option<usize>,
    /// How long it works, where it is the one that says so.
    pub(crate) time: Duration,
    /// Bytes that it reads or writes at once.
    pub(crate) chunk: usize,
    /// The congestion control of the kernel's sockets.
    pub(crate) congestion: String,
}

/// What came of it.
#[derive(Copy, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Bytes moved.
    pub(crate) bytes: u64,
    /// Round trips or connections.
    pub(crate) count: u64,
    /// How long that took, in seconds.
    pub(crate) seconds: f64,
    /// CPU time of the process, in seconds.
    pub(crate) cpu: f64,
    /// Round trips: the median and the 99th percentile, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A stack's sockets.
pub(crate) trait Net {
    type Stream: Stream;
    type Listener;
    fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener>;
    fn accept(&self, listener: &Self::Listener) -> io::Result<Self::Stream>;
}

/// A connection.
pub(crate) trait Stream: Read + Write {
    fn no_delay(&self) -> io::Result<()>;
    /// Ends the direction that is written to.
    fn end(&self) -> io::Result<()>;
}

/// Does as ordered. `ready` is called as soon as the other end may connect.
pub(crate) fn run<N: Net>(net: &N, order: &Order, ready: impl FnOnce()) -> io::Result<Outcome> {
    let cpu = sys::cpu_time();
    let mut outcome = match (order.role, order.place) {
        (Role::Serve, Place::Listen(at)) => {
            let listener = net.listen(at)?;
            ready();
            serve(net, &listener)?
        }
        (Role::Request, Place::Connect(to)) => request(net, to, order.time)?,
        (Role::Serve | Role::Request, _) => return Err(io::ErrorKind::InvalidInput.into()),
        (role, Place::Listen(at)) => {
            let listener = net.listen(at)?;
            ready();
            converse(net.accept(&listener)?, role, order)?
        }
        (role, Place::Connect(to)) => converse(net.connect(to)?, role, order)?,
    };
    outcome.cpu = (sys::cpu_time() - cpu).as_secs_f64();
    Ok(outcome)
}

fn converse(stream: impl Stream, role: Role, order: &Order) -> io::Result<Outcome> {
    if let Role::Echo | Role::PingPong = role {
        stream.no_delay()?;
    }
    match role {
        Role::Source => source(stream, order),
        Role::Sink => sink(stream, order),
        Role::Echo => echo(stream),
        _ => ping_pong(stream, order.time),
    }
}

fn source(mut stream: impl Stream, order: &Order) -> io::Result<Outcome> {
    let chunk = vec![0x5a; order.chunk];
    let (started, mut bytes) = (Instant::now(), 0);
    while started.elapsed() < order.time {
        stream.write_all(&chunk)?;
        bytes += chunk.len() as u64;
    }
    stream.end()?;
    // The other end closes when it has read everything.
    let _ = stream.read(&mut [0])?;
    Ok(Outcome { bytes, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() })
}

fn sink(mut stream: impl Stream, order: &Order) -> io::Result<Outcome> {
    let mut buffer = vec![0; order.chunk];
    let (started, mut bytes) = (Instant::now(), 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    Ok(Outcome { bytes, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() })
}

fn echo(mut stream: impl Stream) -> io::Result<Outcome> {
    let mut message = [0; MESSAGE];
    let (started, mut count) = (Instant::now(), 0);
    while read_message(&mut stream, &mut message)? == MESSAGE {
        stream.write_all(&message)?;
        count += 1;
    }
    Ok(Outcome { count, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() })
}

fn ping_pong(mut stream: impl Stream, time: Duration) -> io::Result<Outcome> {
    let mut message = [0x5a; MESSAGE];
    let mut trips = Trips::new();
    while trips.elapsed() < time {
        stream.write_all(&message)?;
        if read_message(&mut stream, &mut message)? < MESSAGE {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        trips.lap();
    }
    stream.end()?;
    Ok(trips.outcome())
}

fn serve<N: Net>(net: &N, listener: &N::Listener) -> io::Result<Outcome> {
    let mut message = [0; MESSAGE];
    let (mut started, mut count) = (Instant::now(), 0);
    loop {
        let mut stream = net.accept(listener)?;
        if count == 0 {
            started = Instant::now();
        }
        if read_message(&mut stream, &mut message)? == MESSAGE {
            stream.write_all(&message)?;
            count += 1;
        }
        if message[0] == LAST {
            return Ok(Outcome { count, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() });
        }
    }
}

fn request<N: Net>(net: &N, to: SocketAddr, time: Duration) -> io::Result<Outcome> {
    let mut trips = Trips::new();
    let mut message = [0x5a; MESSAGE];
    loop {
        let last = trips.elapsed() >= time;
        if last {
            message[0] = LAST;
        }
        let mut stream = net.connect(to)?;
        stream.write_all(&message)?;
        if read_message(&mut stream, &mut message)? < MESSAGE || stream.read(&mut [0])? != 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        drop(stream);
        trips.lap();
        if last {
            return Ok(trips.outcome());
        }
    }
}

/// Reads a message; less than one at the end of the stream.
fn read_message(stream: &mut impl Read, message: &mut [u8; MESSAGE]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < MESSAGE {
        match stream.read(&mut message[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Things that take a time each, one after the other.
pub(crate) struct Trips {
    started: Instant,
    last: Instant,
    times: Histogram<u64>,
}

impl Trips {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let times = Histogram::new_with_max(LONGEST, 3).expect("three digits of ten seconds");
        Trips { started: now, last: now, times }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.last - self.started
    }

    /// One is done.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.times.saturating_record((now - self.last).as_nanos() as u64);
        self.last = now;
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let micros = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e3;
        Outcome {
            count: self.times.len(),
            seconds: self.elapsed().as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
            ..Outcome::default()
        }
    }
}
