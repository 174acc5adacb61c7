//! Calls on the two ends of a local connection, as data, so that one sequence can be run on several stacks.

use proptest::prelude::*;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Credentials, EndSetup, Inbox, Pair, Payload, Peek, Receiving, Records, Shutdown, Side, Stream,
    Urgency,
};
use tapsock_stack::buf::Rope;

/// What stands for the process that calls; a runner on a kernel shows its own process id as 1.
pub const PROCESS: Credentials = Credentials { pid: 1, uid: 0, gid: 0 };

/// One call. `side` says at which end.
#[derive(Clone, Debug)]
pub enum Op {
    Send { side: bool, len: usize, rights: usize, uid: Option<u32>, urgent: bool },
    Recv { side: bool, max: usize, peek: bool, urgent: bool },
    Shutdown { side: bool, how: i32 },
    PassCredentials { side: bool, on: bool },
    PeekOffset { side: bool, offset: Option<usize> },
    SendBuffer { side: bool, bytes: u32 },
    UrgentInline { side: bool, on: bool },
    TakeError { side: bool },
    Close { side: bool },
}

impl Op {
    pub fn side(&self) -> bool {
        match self {
            Op::Send { side, .. }
            | Op::Recv { side, .. }
            | Op::Shutdown { side, .. }
            | Op::PassCredentials { side, .. }
            | Op::PeekOffset { side, .. }
            | Op::SendBuffer { side, .. }
            | Op::UrgentInline { side, .. }
            | Op::TakeError { side }
            | Op::Close { side } => *side,
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What the call returned, or its errno.
    pub result: Result<usize, i32>,
    pub bytes: Vec<u8>,
    pub truncated: bool,
    pub rights: usize,
    pub credentials: Option<Credentials>,
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome { result: Ok(0), bytes: Vec::new(), truncated: false, rights: 0, credentials: None }
    }
}

/// What an end shows after a call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shown {
    pub poll: u16,
    pub unread: usize,
    pub unsent: u64,
    pub at_mark: bool,
}

/// A stack that the calls are run on. A call on an end that is closed does nothing.
pub trait Connection {
    fn apply(&mut self, op: &Op, data: &[u8]) -> Outcome;
    /// `None` of an end that is closed.
    fn shown(&self, side: bool) -> Option<Shown>;
}

/// Runs `ops` on both and compares after each.
pub fn compare(
    ops: &[Op],
    ours: &mut dyn Connection,
    theirs: &mut dyn Connection,
) -> Result<(), TestCaseError> {
    let mut next = 0u8;
    for (index, op) in ops.iter().enumerate() {
        let mut data = Vec::new();
        if let Op::Send { len, .. } = op {
            data = (0..*len).map(|at| next.wrapping_add((at % 251) as u8)).collect();
            next = next.wrapping_add(37);
        }
        let (our, their) = (ours.apply(op, &data), theirs.apply(op, &data));
        prop_assert_eq!(our, their, "call {}: {:?}", index, op);
        for side in [false, true] {
            prop_assert_eq!(ours.shown(side), theirs.shown(side), "call {}: {:?}, end {}", index, op, side);
        }
    }
    Ok(())
}

pub enum Kind {
    Stream(Pair<Stream<u32>>),
    Seqpacket(Pair<Records<u32>>),
}

/// The subject.
pub struct Ours {
    pub kind: Kind,
    pub open: [bool; 2],
}

impl Ours {
    pub fn stream() -> Ours {
        let setup = EndSetup::new(PROCESS);
        Ours { kind: Kind::Stream(Pair::new(setup, setup)), open: [true; 2] }
    }

    pub fn seqpacket() -> Ours {
        let setup = EndSetup::new(PROCESS);
        Ours { kind: Kind::Seqpacket(Pair::new(setup, setup)), open: [true; 2] }
    }
}

impl Connection for Ours {
    fn apply(&mut self, op: &Op, data: &[u8]) -> Outcome {
        if !self.open[usize::from(op.side())] {
            return Outcome::default();
        }
        if let Op::Close { side } = op {
            self.open[usize::from(*side)] = false;
        }
        match &mut self.kind {
            Kind::Stream(pair) => on_stream(pair, op, data),
            Kind::Seqpacket(pair) => on_seqpacket(pair, op, data),
        }
    }

    fn shown(&self, side: bool) -> Option<Shown> {
        if !self.open[usize::from(side)] {
            return None;
        }
        let at = end(side);
        Some(match &self.kind {
            Kind::Stream(pair) => Shown { at_mark: pair.is_at_mark(at), ..shown(pair, at) },
            Kind::Seqpacket(pair) => shown(pair, at),
        })
    }
}

fn end(side: bool) -> Side {
    if side { Side::Second } else { Side::First }
}

fn shown<Q: Inbox>(pair: &Pair<Q>, side: Side) -> Shown {
    Shown {
        poll: pair.readiness(side).bits(),
        unread: pair.unread(side),
        unsent: pair.credit(side).charged(),
        at_mark: false,
    }
}

fn errno<T>(result: Result<T, impl ToErrno>) -> Result<T, i32> {
    result.map_err(|error| error.errno().raw_os_error())
}

fn ancillary(rights: usize, uid: Option<u32>) -> Ancillary<u32> {
    let explicit = uid.map(|uid| Credentials { uid, gid: uid, ..PROCESS });
    Ancillary { explicit, rights: (0..rights as u32).collect(), ..Ancillary::new(PROCESS) }
}

fn on_stream(pair: &mut Pair<Stream<u32>>, op: &Op, data: &[u8]) -> Outcome {
    match *op {
        Op::Send { side, len, rights, uid, urgent } => {
            let urgency = if urgent { Urgency::LastByte } else { Urgency::Normal };
            let mut ancillary = ancillary(rights, uid);
            // Every other length by reference.
            let mut rope = Rope::from(data);
            let mut payload = if len % 2 == 0 { Payload::from(data) } else { Payload::from(&mut rope) };
            let result = errno(pair.try_send(end(side), &mut payload, &mut ancillary, urgency));
            Outcome { result, ..Outcome::default() }
        }
        Op::Recv { side, urgent: true, peek, .. } => {
            let peek = if peek { Peek::Yes } else { Peek::No };
            let byte = errno(pair.recv_urgent(end(side), peek));
            Outcome { result: byte.map(|_| 1), bytes: byte.into_iter().collect(), ..Outcome::default() }
        }
        Op::Recv { side, max, peek, urgent: false } => {
            let mut call = Receiving::new(max);
            call.peek = peek;
            let mut bytes = Vec::new();
            match pair.try_recv(end(side), &mut call, &mut bytes) {
                Err(error) if call.is_empty() => {
                    return Outcome { result: Err(error.errno().raw_os_error()), ..Outcome::default() };
                }
                _ => {}
            }
            let rights = call.take_rights().len();
            Outcome {
                result: Ok(call.len()),
                bytes,
                rights,
                truncated: false,
                credentials: call.credentials(),
            }
        }
        _ => on_any(pair, op),
    }
}

fn on_seqpacket(pair: &mut Pair<Records<u32>>, op: &Op, data: &[u8]) -> Outcome {
    match *op {
        Op::Send { side, rights, uid, .. } => {
            let mut ancillary = ancillary(rights, uid);
            let result = errno(pair.try_send(end(side), data.into(), &mut ancillary));
            Outcome { result, ..Outcome::default() }
        }
        Op::Recv { side, max, peek, .. } => {
            let peek = if peek { Peek::Yes } else { Peek::No };
            let mut bytes = Vec::new();
            match errno(pair.try_recv(end(side), max, peek, &mut bytes)) {
                Ok(received) => Outcome {
                    result: Ok(received.len),
                    bytes,
                    truncated: received.is_truncated(),
                    rights: received.rights.len(),
                    credentials: received.credentials,
                },
                Err(errno) => Outcome { result: Err(errno), ..Outcome::default() },
            }
        }
        _ => on_any(pair, op),
    }
}

fn on_any<Q: Inbox>(pair: &mut Pair<Q>, op: &Op) -> Outcome {
    match *op {
        Op::Shutdown { side, how } => pair.shutdown(end(side), Shutdown::from_how(how).unwrap()),
        Op::PassCredentials { side, on } => pair.options_mut(end(side)).pass_credentials = on,
        Op::PeekOffset { side, offset } => {
            pair.options_mut(end(side)).peek_offset = offset.map_or(-1, |at| at as i32)
        }
        Op::SendBuffer { side, bytes } => pair.set_send_buffer(end(side), bytes * 2),
        Op::UrgentInline { side, on } => pair.options_mut(end(side)).urgent_inline = on,
        Op::TakeError { side } => {
            let number = if pair.take_reset(end(side)) { 104 } else { 0 };
            return Outcome { result: Ok(number), ..Outcome::default() };
        }
        Op::Close { side } => drop(pair.close(end(side))),
        Op::Send { .. } | Op::Recv { .. } => {}
    }
    Outcome::default()
}

/// Which calls a sequence is made of.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Bytes, handles, credentials, peeking, shutdown and close.
    Basic,
    /// Also sizes that fill buffers.
    Credit,
    /// Also urgent bytes.
    Urgent,
}

pub fn ops(scope: Scope) -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(scope), 1..40)
}

fn op(scope: Scope) -> impl Strategy<Value = Op> {
    let side = any::<bool>();
    let len = match scope {
        Scope::Credit => prop_oneof![
            2 => 0usize..10,
            2 => 0usize..9000,
            2 => prop_oneof![Just(192usize), Just(193), Just(3776), Just(3777), Just(4096), Just(36_545)],
            1 => 0usize..300_000,
        ]
        .boxed(),
        _ => (0usize..9).boxed(),
    };
    let max = match scope {
        Scope::Credit => prop_oneof![0usize..10, 0usize..9000, 0usize..300_000].boxed(),
        _ => (0usize..20).boxed(),
    };
    let rights = prop_oneof![4 => Just(0usize), 1 => 1usize..3];
    let uid = prop_oneof![4 => Just(None), 1 => (0u32..2).prop_map(Some)];
    let send_urgent = prop::bool::weighted(if scope == Scope::Urgent { 0.4 } else { 0.0 });
    let read_urgent = prop::bool::weighted(if scope == Scope::Urgent { 0.25 } else { 0.0 });
    let offset = prop_oneof![1 => Just(None), 2 => (0usize..12).prop_map(Some)];
    let rare = if scope == Scope::Urgent { 2 } else { 0 };
    let bytes = if scope == Scope::Credit { 1u32..60_000 } else { 200_000u32..200_001 };
    prop_oneof![
        40 => (side, len, rights, uid, send_urgent)
            .prop_map(|(side, len, rights, uid, urgent)| Op::Send { side, len, rights, uid, urgent }),
        40 => (side, max, prop::bool::weighted(0.3), read_urgent)
            .prop_map(|(side, max, peek, urgent)| Op::Recv { side, max, peek, urgent }),
        1 => (side, 0i32..3).prop_map(|(side, how)| Op::Shutdown { side, how }),
        4 => (side, side).prop_map(|(side, on)| Op::PassCredentials { side, on }),
        4 => (side, offset).prop_map(|(side, offset)| Op::PeekOffset { side, offset }),
        2 => (side, bytes).prop_map(|(side, bytes)| Op::SendBuffer { side, bytes }),
        rare => (side, side).prop_map(|(side, on)| Op::UrgentInline { side, on }),
        2 => side.prop_map(|side| Op::TakeError { side }),
        2 => side.prop_map(|side| Op::Close { side }),
    ]
}
