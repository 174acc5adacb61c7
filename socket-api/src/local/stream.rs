//! Bytes through a connected pair.

use rustix::io::Errno;
use tapsock_sockets::PollMask;
use tapsock_sockets::constants::{MSG_OOB, MSG_PEEK, MSG_WAITALL};
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Credentials, Filling, Pair, Payload, Peek, Receiving, RecvError, SMALL_MAX, SendError, Side,
    Sink, Stream, Urgency,
};
use tapsock_stack::buf::Rope;

use super::cell::{Cell, Events, Halt, Patience, Queue, Shared};
use super::source::Source;
use super::{Flying, queue, side};
use crate::engine::transfer::{SEND_TURN, copy_in};

impl Shared for Pair<Stream<Flying>> {
    fn readiness(&self, queue: Queue) -> PollMask {
        Pair::readiness(self, side(queue))
    }
}

/// What came in, beside the bytes.
#[derive(Default)]
pub(crate) struct Beside {
    /// Whether there were bytes, even if none was asked for.
    pub(crate) found: bool,
    /// Who sent it, where that was asked for.
    pub(crate) credentials: Option<Credentials>,
    /// What was passed.
    pub(crate) rights: Vec<Flying>,
}

/// Sends all of `data` where `patience` lasts; returns how many bytes went.
pub(super) fn send(
    cell: &Cell<Pair<Stream<Flying>>>,
    from: Side,
    data: Source<'_>,
    flags: i32,
    patience: Patience,
    ancillary: &mut Ancillary<Flying>,
) -> Result<usize, Errno> {
    let mut sent = 0;
    let turn_max = if data.len() > SEND_TURN {
        let piece = cell.lock().state.credit(from).longest_piece();
        SEND_TURN - SEND_TURN % piece
    } else {
        SEND_TURN
    };
    loop {
        let turn = &*data.piece(sent, turn_max);
        let is_last = sent + turn.len() == data.len();
        let urgency = if is_last && flags & MSG_OOB != 0 { Urgency::LastByte } else { Urgency::Normal };
        let outcome = if turn.len() <= SMALL_MAX {
            send_turn(cell, from, &mut Payload::Bytes(turn), urgency, patience, ancillary)
        } else {
            // Copied without the lock.
            send_turn(cell, from, &mut Payload::Rope(&mut copy_in(turn)), urgency, patience, ancillary)
        };
        sent += outcome.0;
        match outcome.1 {
            Ok(()) if !is_last => {}
            Ok(()) => return Ok(sent),
            Err(_) if sent > 0 => return Ok(sent),
            Err(errno) => return Err(errno),
        }
    }
}

/// Sends all of `data`, by reference, where `patience` lasts; returns how many bytes went.
pub(super) fn send_rope(
    cell: &Cell<Pair<Stream<Flying>>>,
    from: Side,
    data: &mut Rope,
    patience: Patience,
    ancillary: &mut Ancillary<Flying>,
) -> Result<usize, Errno> {
    match send_turn(cell, from, &mut Payload::Rope(data), Urgency::Normal, patience, ancillary) {
        (0, Err(errno)) => Err(errno),
        (sent, _) => Ok(sent),
    }
}

fn send_turn(
    cell: &Cell<Pair<Stream<Flying>>>,
    from: Side,
    payload: &mut Payload<'_>,
    urgency: Urgency,
    patience: Patience,
    ancillary: &mut Ancillary<Flying>,
) -> (usize, Result<(), Errno>) {
    let mut sent = 0;
    let result = cell.call(queue(from), PollMask::WAIT_OUT, patience, |pair, events| {
        match pair.try_send(from, payload, ancillary, urgency) {
            Ok(count) => {
                sent += count;
                events.push((queue(from.other()), PollMask::IN | PollMask::RDNORM));
                if payload.is_empty() { Ok(()) } else { Err(Halt::Wait) }
            }
            Err(SendError::WouldBlock) => Err(Halt::Wait),
            Err(error) => Err(error.errno().into()),
        }
    });
    (sent, result)
}

/// Receives at most as many bytes as `sink` has room for.
pub(super) fn receive(
    cell: &Cell<Pair<Stream<Flying>>>,
    at: Side,
    mut sink: Filling<'_>,
    flags: i32,
    patience: Patience,
) -> Result<(usize, Beside), Errno> {
    if flags & MSG_OOB != 0 {
        return receive_urgent(cell, at, sink, flags).map(|len| (len, Beside::default()));
    }
    let mut call = Receiving::new(sink.room());
    call.wait_all = flags & MSG_WAITALL != 0;
    call.peek = flags & MSG_PEEK != 0;
    let result = cell.call(queue(at), PollMask::WAIT_IN, patience, |pair, events| {
        attempt(pair, events, at, &mut call, &mut sink)
    });
    let len = sink.finish();
    match result {
        Err(errno) if len == 0 => Err(errno),
        _ => {
            let (found, credentials) = (call.has_found(), call.credentials());
            Ok((len, Beside { found, credentials, rights: call.take_rights() }))
        }
    }
}

/// Receives what lies in one piece, by reference.
pub(super) fn receive_piece(
    cell: &Cell<Pair<Stream<Flying>>>,
    at: Side,
    patience: Patience,
) -> Result<Rope, Errno> {
    let (mut call, mut data) = (Receiving::new(0), Rope::new());
    let result = cell.call(queue(at), PollMask::WAIT_IN, patience, |pair, events| {
        call.ask(pair.piece(at));
        attempt(pair, events, at, &mut call, &mut data)
    });
    match result {
        Err(errno) if data.is_empty() => Err(errno),
        // Shares that came along are let go, as by a read without room for them.
        _ => Ok(data),
    }
}

fn attempt(
    pair: &mut Pair<Stream<Flying>>,
    events: &mut Events,
    at: Side,
    call: &mut Receiving<Flying>,
    sink: &mut impl Sink,
) -> Result<(), Halt> {
    let before = pair.credit(at.other()).charged();
    let outcome = pair.try_recv(at, call, sink);
    let credit = pair.credit(at.other());
    // As on Linux: a piece of which some is left has freed nothing.
    if credit.charged() < before && credit.is_writable() {
        events.push((queue(at.other()), PollMask::OUT | PollMask::WRNORM | PollMask::WRBAND));
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(RecvError::WouldBlock) => Err(Halt::Wait),
        Err(error) => Err(error.errno().into()),
    }
}

fn receive_urgent(
    cell: &Cell<Pair<Stream<Flying>>>,
    at: Side,
    mut sink: Filling<'_>,
    flags: i32,
) -> Result<usize, Errno> {
    let peek = if flags & MSG_PEEK != 0 { Peek::Yes } else { Peek::No };
    let byte = cell.change(queue(at), |pair, events| {
        events.push((queue(at.other()), PollMask::OUT | PollMask::WRNORM));
        pair.recv_urgent(at, peek).map_err(|error| error.errno())
    })??;
    sink.bytes(&[byte]);
    Ok(sink.finish())
}
