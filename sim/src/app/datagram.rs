//! Echo over UDP, where some answers may never come.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeSet;

use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use super::{App, DatagramSockets, Fault, Pattern, Socket};
use crate::node::Status;

/// Sends every datagram back to whom it came from.
///
/// ```
/// let server = tapsock_sim::app::DatagramEcho::new("10.0.0.2:7".parse().unwrap());
/// assert_eq!(server.echoed(), 0);
/// ```
#[derive(Debug)]
pub struct DatagramEcho {
    local: SocketAddr,
    socket: Option<Socket>,
    waiting: Option<(Rope, SocketAddr)>,
    echoed: u64,
    failure: Option<Fault>,
}

impl DatagramEcho {
    /// A server on `local`.
    pub fn new(local: SocketAddr) -> Self {
        DatagramEcho { local, socket: None, waiting: None, echoed: 0, failure: None }
    }

    /// Datagrams sent back.
    pub fn echoed(&self) -> u64 {
        self.echoed
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl DatagramSockets) -> Result<(), Fault> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(sockets.datagram_open(now, self.local)?),
        };
        loop {
            if let Some((data, to)) = &self.waiting {
                match sockets.datagram_send(now, socket, data.clone(), *to) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(sent) => sent?,
                }
                self.waiting = None;
                self.echoed += 1;
            }
            match sockets.datagram_receive(now, socket) {
                Poll::Pending => return Ok(()),
                Poll::Ready(datagram) => self.waiting = Some(datagram?),
            }
        }
    }
}

impl<S: DatagramSockets> App<S> for DatagramEcho {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if let Err(fault) = self.advance(now, sockets) {
            self.failure.get_or_insert(fault);
        }
        None
    }

    fn status(&self) -> Status {
        match &self.failure {
            Some(fault) => Status::Failed(format!("datagram echo: {fault:?}")),
            None => Status::Done,
        }
    }
}

/// Sends numbered datagrams to an echo server, one each interval, waits a while for the last answers, and checks
/// the bytes of each.
///
/// ```
/// use core::time::Duration;
/// use tapsock_sim::app::DatagramClient;
///
/// let client = DatagramClient::new("10.0.0.2:7".parse().unwrap(), 10, 512, Duration::from_millis(1));
/// assert_eq!(client.answered(), 0);
/// ```
#[derive(Debug)]
pub struct DatagramClient {
    remote: SocketAddr,
    count: u64,
    size: usize,
    interval: Duration,
    socket: Option<Socket>,
    sent: u64,
    next: Instant,
    answers: BTreeSet<u64>,
    duplicates: u64,
    state: Status,
}

/// How long it waits for answers after the last request.
const PATIENCE: Duration = Duration::from_secs(5);

impl DatagramClient {
    /// A client that sends `count` datagrams of `size` bytes (8 at least) to `remote`.
    pub fn new(remote: SocketAddr, count: u64, size: usize, interval: Duration) -> Self {
        DatagramClient {
            remote,
            count,
            size: size.max(8),
            interval,
            socket: None,
            sent: 0,
            next: Instant::ZERO,
            answers: BTreeSet::new(),
            duplicates: 0,
            state: Status::Working,
        }
    }

    /// How many different datagrams came back.
    pub fn answered(&self) -> u64 {
        self.answers.len() as u64
    }

    /// How many came back more than once.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn payload(&self, number: u64) -> Vec<u8> {
        let rest = Pattern::new(number).chunk(0, self.size - 8);
        [&number.to_be_bytes()[..], &rest].concat()
    }

    fn advance(&mut self, now: Instant, sockets: &mut impl DatagramSockets) -> Result<(), String> {
        let explain = |fault: Fault| format!("datagram client: {fault:?}");
        let any = match self.remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = match self.socket {
            Some(socket) => socket,
            None => {
                *self.socket.insert(sockets.datagram_open(now, SocketAddr::new(any, 0)).map_err(explain)?)
            }
        };
        while let Poll::Ready(datagram) = sockets.datagram_receive(now, socket) {
            let (data, from) = datagram.map_err(explain)?;
            self.on_answer(&data.to_vec(), from)?;
        }
        while self.sent < self.count && now >= self.next {
            let payload = Rope::from(self.payload(self.sent));
            match sockets.datagram_send(now, socket, payload, self.remote) {
                Poll::Pending => break,
                Poll::Ready(sent) => sent.map_err(explain)?,
            }
            self.sent += 1;
            self.next = match self.sent == self.count {
                true => now + PATIENCE,
                false => now + self.interval,
            };
        }
        let patient = self.sent < self.count || now < self.next;
        if !patient || self.answered() == self.count {
            self.state = Status::Done;
        }
        Ok(())
    }

    fn on_answer(&mut self, data: &[u8], from: SocketAddr) -> Result<(), String> {
        let number = data.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte));
        if from != self.remote || number >= self.sent || data != self.payload(number) {
            return Err(format!("an answer of {} bytes from {from} that nobody asked for", data.len()));
        }
        if !self.answers.insert(number) {
            self.duplicates += 1;
        }
        Ok(())
    }
}

impl<S: DatagramSockets> App<S> for DatagramClient {
    fn poll(&mut self, now: Instant, sockets: &mut S) -> Option<Instant> {
        if self.state != Status::Working {
            return None;
        }
        if let Err(failure) = self.advance(now, sockets) {
            self.state = Status::Failed(failure);
        }
        Some(self.next).filter(|&next| next > now)
    }

    fn status(&self) -> Status {
        self.state.clone()
    }
}
