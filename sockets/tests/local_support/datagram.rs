//! Calls on a few datagram sockets, as data, so that one sequence can be run on several stacks.

use std::collections::HashMap;

use proptest::prelude::*;
use tapsock_sockets::UnixAddr;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Credentials, DATAGRAM_QUEUE_DEFAULT, DatagramSocket, Delivery, Discarded, Names, Peek,
    SendError, Sender, Shutdown, SocketKind,
};

/// How many sockets there are; as many are bound to names of their own at the start.
pub const SOCKETS: usize = 3;
pub const PROCESS: Credentials = Credentials { pid: 1, uid: 0, gid: 0 };

/// One call on socket `at`. A closed socket is made anew by [`Op::Open`], with the name given up.
#[derive(Clone, Debug)]
pub enum Op {
    Connect { at: usize, to: usize },
    Dissolve { at: usize },
    Send { at: usize, to: Option<usize>, len: usize, rights: usize },
    Recv { at: usize, max: usize, peek: bool },
    Shutdown { at: usize, how: i32 },
    PassCredentials { at: usize, on: bool },
    PeekOffset { at: usize, offset: Option<usize> },
    SendBuffer { at: usize, bytes: u32 },
    TakeError { at: usize },
    Close { at: usize },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub result: Result<usize, i32>,
    pub bytes: Vec<u8>,
    pub truncated: bool,
    pub rights: usize,
    pub credentials: Option<Credentials>,
    pub from: Option<usize>,
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome {
            result: Ok(0),
            bytes: Vec::new(),
            truncated: false,
            rights: 0,
            credentials: None,
            from: None,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    pub poll: u16,
    pub unread: usize,
    pub unsent: u64,
    pub connected: bool,
}

/// A stack that the calls are run on. A call on a socket that is closed does nothing.
pub trait Datagrams {
    fn apply(&mut self, op: &Op, data: &[u8]) -> Outcome;
    /// `None` of a socket that is closed.
    fn shown(&self, at: usize) -> Option<Shown>;
}

/// The subject: sockets, and the name space that leads to them.
pub struct Ours {
    sockets: HashMap<usize, DatagramSocket<usize, u32>>,
    names: Names<usize>,
}

impl Ours {
    pub fn new() -> Ours {
        let mut names = Names::new();
        let mut sockets = HashMap::new();
        for at in 0..SOCKETS {
            names.bind(&name(at), SocketKind::Datagram, at).unwrap();
            sockets.insert(at, DatagramSocket::new(at, DATAGRAM_QUEUE_DEFAULT));
        }
        Ours { sockets, names }
    }

    fn discard(&mut self, at: usize, discarded: Discarded<usize, u32>) {
        for sender in discarded.senders {
            if let Some(sender_socket) = self.sockets.get_mut(&sender.id) {
                sender_socket.release(sender.charge);
            }
        }
        if let Some(former) = discarded.former
            && let Some(former) = self.sockets.get_mut(&former.0)
        {
            former.on_peer_left(at);
        }
    }

    fn find(&self, to: usize) -> Result<usize, i32> {
        let found = self.names.lookup(&name(to), SocketKind::Datagram).copied();
        let found = found.map_err(|error| error.errno().raw_os_error())?;
        if self.sockets.contains_key(&found) { Ok(found) } else { Err(111) }
    }

    fn connect(&mut self, at: usize, to: usize) -> Result<usize, i32> {
        let to = self.find(to)?;
        if !self.sockets[&to].takes_from(at) {
            return Err(SendError::Permission.errno().raw_os_error());
        }
        let discarded = self.socket(at).connect(to);
        self.discard(at, discarded);
        Ok(0)
    }

    fn send(&mut self, at: usize, to: Option<usize>, data: &[u8], rights: usize) -> Result<usize, i32> {
        let charge = self.socket(at).reserve(data.len()).map_err(|error| error.errno().raw_os_error())?;
        let sent = self.send_charged(at, to, data, rights, charge);
        if sent.is_err() {
            self.socket(at).release(charge);
        }
        sent
    }

    fn send_charged(
        &mut self,
        at: usize,
        to: Option<usize>,
        data: &[u8],
        rights: usize,
        charge: u32,
    ) -> Result<usize, i32> {
        let to = match to {
            Some(to) => self.find(to)?,
            None => self.sockets[&at].peer().ok_or(SendError::NotConnected.errno().raw_os_error())?,
        };
        let Some(receiver) = self.sockets.get(&to) else {
            let discarded = self.socket(at).on_peer_gone();
            self.discard(at, discarded);
            return Err(SendError::Refused.errno().raw_os_error());
        };
        let ancillary = Ancillary::new(PROCESS);
        let credentials = self.sockets[&at].credentials(&ancillary, receiver.options.pass_credentials);
        let from = Sender { id: at, address: name(at), charge };
        let mut delivery =
            Delivery { from, credentials, sent_at: None, rights: (0..rights as u32).collect() };
        let delivered = self.socket(to).deliver(data.into(), &mut delivery);
        delivered.map(|()| data.len()).map_err(|error| error.errno().raw_os_error())
    }

    fn recv(&mut self, at: usize, max: usize, peek: bool) -> Outcome {
        let peek = if peek { Peek::Yes } else { Peek::No };
        let mut bytes = Vec::new();
        match self.socket(at).try_recv(max, peek, &mut bytes) {
            Err(error) => Outcome { result: Err(error.errno().raw_os_error()), ..Outcome::default() },
            Ok(received) => {
                let sender = received.sender.unwrap();
                if peek == Peek::No && self.sockets.contains_key(&sender.id) {
                    self.socket(sender.id).release(sender.charge);
                }
                Outcome {
                    result: Ok(received.len),
                    bytes,
                    truncated: received.is_truncated(),
                    rights: received.rights.len(),
                    credentials: received.credentials,
                    from: (0..SOCKETS).find(|at| name(*at) == sender.address),
                }
            }
        }
    }

    fn socket(&mut self, at: usize) -> &mut DatagramSocket<usize, u32> {
        self.sockets.get_mut(&at).unwrap()
    }
}

impl Datagrams for Ours {
    fn apply(&mut self, op: &Op, data: &[u8]) -> Outcome {
        if !self.sockets.contains_key(&op.at()) {
            return Outcome::default();
        }
        let result = match *op {
            Op::Connect { at, to } => self.connect(at, to),
            Op::Dissolve { at } => {
                let discarded = self.socket(at).dissolve();
                self.discard(at, discarded);
                Ok(0)
            }
            Op::Send { at, to, rights, .. } => self.send(at, to, data, rights),
            Op::Recv { at, max, peek } => return self.recv(at, max, peek),
            Op::TakeError { at } => Ok(if self.socket(at).take_reset() { 104 } else { 0 }),
            Op::Close { at } => {
                let discarded = self.socket(at).close();
                self.discard(at, discarded);
                self.sockets.remove(&at);
                Ok(0)
            }
            Op::Shutdown { at, how } => {
                self.socket(at).shutdown(Shutdown::from_how(how).unwrap());
                Ok(0)
            }
            Op::PassCredentials { at, on } => {
                self.socket(at).options.pass_credentials = on;
                Ok(0)
            }
            Op::PeekOffset { at, offset } => {
                self.socket(at).options.peek_offset = offset.map_or(-1, |at| at as i32);
                Ok(0)
            }
            Op::SendBuffer { at, bytes } => {
                self.socket(at).set_send_buffer(bytes * 2);
                Ok(0)
            }
        };
        Outcome { result, ..Outcome::default() }
    }

    fn shown(&self, at: usize) -> Option<Shown> {
        let socket = self.sockets.get(&at)?;
        let peer = socket.peer().and_then(|peer| self.sockets.get(&peer));
        Some(Shown {
            poll: socket.readiness(peer.is_some_and(|peer| peer.is_full_for(at))).bits(),
            unread: socket.unread(),
            unsent: socket.credit().charged(),
            connected: socket.peer().is_some(),
        })
    }
}

fn name(at: usize) -> UnixAddr {
    UnixAddr::path(format!("s{at}").as_bytes()).unwrap()
}

impl Op {
    pub fn at(&self) -> usize {
        match self {
            Op::Connect { at, .. }
            | Op::Dissolve { at }
            | Op::Send { at, .. }
            | Op::Recv { at, .. }
            | Op::Shutdown { at, .. }
            | Op::PassCredentials { at, .. }
            | Op::PeekOffset { at, .. }
            | Op::SendBuffer { at, .. }
            | Op::TakeError { at }
            | Op::Close { at } => *at,
        }
    }
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..80)
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0..SOCKETS;
    let len = prop_oneof![8 => 0usize..9, 2 => 0usize..9000, 1 => 0usize..250_000];
    let max = prop_oneof![4 => 0usize..12, 1 => 0usize..250_000];
    let to = prop_oneof![2 => Just(None), 1 => (0..SOCKETS).prop_map(Some)];
    let rights = prop_oneof![6 => Just(0usize), 1 => 1usize..3];
    let offset = prop_oneof![1 => Just(None), 2 => (0usize..12).prop_map(Some)];
    prop_oneof![
        6 => (at.clone(), at.clone()).prop_map(|(at, to)| Op::Connect { at, to }),
        2 => at.clone().prop_map(|at| Op::Dissolve { at }),
        60 => (at.clone(), to, len, rights).prop_map(|(at, to, len, rights)| Op::Send { at, to, len, rights }),
        25 => (at.clone(), max, prop::bool::weighted(0.3)).prop_map(|(at, max, peek)| Op::Recv { at, max, peek }),
        1 => (at.clone(), 0i32..3).prop_map(|(at, how)| Op::Shutdown { at, how }),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, on)| Op::PassCredentials { at, on }),
        2 => (at.clone(), offset).prop_map(|(at, offset)| Op::PeekOffset { at, offset }),
        1 => (at.clone(), 1u32..60_000).prop_map(|(at, bytes)| Op::SendBuffer { at, bytes }),
        2 => at.clone().prop_map(|at| Op::TakeError { at }),
        1 => at.prop_map(|at| Op::Close { at }),
    ]
}
