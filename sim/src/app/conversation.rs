//! One connection's worth of talk: what is sent, what must come, and in which order.

use core::task::Poll;
use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use super::{Fault, Pattern, Socket, StreamSockets};

/// What one end of a connection sends, and what it must receive before the end of the stream.
///
/// ```
/// use tapsock_sim::app::{Plan, Turn};
///
/// let client = Plan::both(1_000_000, 5_000);
/// let server = client.mirrored().turn(Turn::AfterEnd);
/// assert_eq!(server.sends(), 5_000);
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    send: u64,
    expect: u64,
    turn: Turn,
    write_size: usize,
    read_size: usize,
    read_interval: Option<Duration>,
    role: Role,
    seed: u64,
}

/// When an end begins to send.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Turn {
    /// At once.
    AtOnce,
    /// When the peer's stream has ended: the peer is half-closed meanwhile.
    AfterEnd,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Role {
    Client,
    Server,
}

/// Bytes given to one send call, and asked of one receive call, unless said otherwise.
const DEFAULT_CALL: usize = 64 * 1024;

impl Plan {
    /// The client sends `bytes`, and receives none.
    pub fn upload(bytes: u64) -> Self {
        Plan::both(bytes, 0)
    }

    /// The client receives `bytes`, and sends none.
    pub fn download(bytes: u64) -> Self {
        Plan::both(0, bytes)
    }

    /// The client sends `up` bytes and receives `down`, at the same time.
    pub fn both(up: u64, down: u64) -> Self {
        Plan {
            send: up,
            expect: down,
            turn: Turn::AtOnce,
            write_size: DEFAULT_CALL,
            read_size: DEFAULT_CALL,
            read_interval: None,
            role: Role::Client,
            seed: 0x7461_7073_6f63_6b00,
        }
    }

    /// The same talk, as its other end sees it. Turns and sizes begin anew.
    pub fn mirrored(&self) -> Self {
        let role = match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        Plan { role, ..Plan::both(self.expect, self.send) }
    }

    /// When this end begins to send.
    pub fn turn(self, turn: Turn) -> Self {
        Plan { turn, ..self }
    }

    /// Gives at most `bytes` to each send call.
    pub fn write_size(self, bytes: usize) -> Self {
        Plan { write_size: bytes.max(1), ..self }
    }

    /// Reads at most `bytes` each `interval`: a slow reader, whose window closes.
    pub fn reads_slowly(self, bytes: usize, interval: Duration) -> Self {
        Plan { read_size: bytes.max(1), read_interval: Some(interval), ..self }
    }

    /// How many bytes this end sends.
    pub fn sends(&self) -> u64 {
        self.send
    }

    /// How many bytes this end must receive.
    pub fn expects(&self) -> u64 {
        self.expect
    }

    fn patterns(&self) -> (Pattern, Pattern) {
        let (up, down) = (Pattern::new(self.seed), Pattern::new(!self.seed));
        match self.role {
            Role::Client => (up, down),
            Role::Server => (down, up),
        }
    }
}

/// A connection that follows a plan.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: Socket,
    plan: Plan,
    connection: Connection,
    sent: u64,
    received: u64,
    /// What the last send call didn't take.
    pending: Rope,
    outgoing: Stream,
    incoming: Stream,
    next_read: Instant,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Connection {
    Connecting,
    Made,
    Closed,
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Stream {
    Open,
    Ended,
}

impl Conversation {
    pub(super) fn connecting(socket: Socket, plan: Plan) -> Self {
        Conversation {
            socket,
            plan,
            connection: Connection::Connecting,
            sent: 0,
            received: 0,
            pending: Rope::new(),
            outgoing: Stream::Open,
            incoming: Stream::Open,
            next_read: Instant::ZERO,
        }
    }

    pub(super) fn accepted(socket: Socket, plan: Plan) -> Self {
        Conversation { connection: Connection::Made, ..Conversation::connecting(socket, plan) }
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether it would read or write what it can at `now`, and was not polled for it: `ready` says whether a socket is
    /// readable, and whether it is writable.
    pub(super) fn is_overlooked(&self, now: Instant, ready: impl Fn(Socket) -> (bool, bool)) -> bool {
        if self.connection != Connection::Made {
            return false;
        }
        let (readable, writable) = ready(self.socket);
        let reads = self.incoming == Stream::Open && now >= self.next_read;
        let may_write = self.plan.turn == Turn::AtOnce || self.incoming == Stream::Ended;
        reads && readable || may_write && self.outgoing == Stream::Open && writable
    }

    pub(super) fn is_over(&self) -> bool {
        self.connection == Connection::Closed
    }

    /// Says and hears what can be now. Returns when it wants to read again, where it reads slowly.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        sockets: &mut impl StreamSockets,
    ) -> Result<Option<Instant>, String> {
        if self.connection == Connection::Connecting {
            match sockets.stream_connected(now, self.socket) {
                Poll::Pending => return Ok(None),
                Poll::Ready(outcome) => outcome.map_err(|fault| self.explain("connect", fault))?,
            }
            self.connection = Connection::Made;
        }
        if self.connection == Connection::Closed {
            return Ok(None);
        }
        self.hear(now, sockets)?;
        self.say(now, sockets)?;
        if (self.outgoing, self.incoming) == (Stream::Ended, Stream::Ended) {
            self.connection = Connection::Closed;
            sockets.stream_close(now, self.socket).map_err(|fault| self.explain("close", fault))?;
            return Ok(None);
        }
        Ok((self.incoming == Stream::Open && now < self.next_read).then_some(self.next_read))
    }

    fn hear(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<(), String> {
        let (_, expected) = self.plan.patterns();
        while self.incoming == Stream::Open && now >= self.next_read {
            let data = match sockets.stream_receive(now, self.socket, self.plan.read_size) {
                Poll::Pending => return Ok(()),
                Poll::Ready(outcome) => outcome.map_err(|fault| self.explain("receive", fault))?,
            };
            if data.is_empty() {
                self.incoming = Stream::Ended;
            }
            for chunk in data.chunks() {
                expected.check(self.received, chunk)?;
                self.received += chunk.len() as u64;
            }
            if self.received > self.plan.expect
                || self.incoming == Stream::Ended && self.received < self.plan.expect
            {
                return Err(format!("{} bytes came, not {}", self.received, self.plan.expect));
            }
            if let Some(interval) = self.plan.read_interval {
                self.next_read = now + interval;
            }
        }
        Ok(())
    }

    fn say(&mut self, now: Instant, sockets: &mut impl StreamSockets) -> Result<(), String> {
        if self.outgoing == Stream::Ended || self.plan.turn == Turn::AfterEnd && self.incoming == Stream::Open
        {
            return Ok(());
        }
        let (pattern, _) = self.plan.patterns();
        while self.sent < self.plan.send {
            if self.pending.is_empty() {
                let len = (self.plan.send - self.sent).min(self.plan.write_size as u64) as usize;
                self.pending = Rope::from(pattern.chunk(self.sent, len));
            }
            match sockets.stream_send(now, self.socket, &mut self.pending) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err("a send call took nothing, and was not pending".into()),
                Poll::Ready(Ok(taken)) => self.sent += taken as u64,
                Poll::Ready(Err(fault)) => return Err(self.explain("send", fault)),
            }
        }
        self.outgoing = Stream::Ended;
        sockets.stream_finish(now, self.socket).map_err(|fault| self.explain("finish", fault))
    }

    fn explain(&self, call: &str, fault: Fault) -> String {
        let Conversation { sent, received, .. } = self;
        format!("{call} failed: {fault:?}, with {sent} bytes sent and {received} received")
    }
}
