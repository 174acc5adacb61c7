//! SOCK_STREAM: bytes with barriers between them.
//!
//! A stream is a queue of pieces, each with its charge, its sender's credentials and the handles that came with it, beside
//! a queue of bytes. A read joins pieces, but stops after one that brought handles, before an urgent byte, and, with
//! SO_PASSCRED, before one of another sender.

mod peek;
mod receiving;

use std::collections::VecDeque;

use super::ancillary::{Ancillary, Credentials};
use super::bytes::ByteQueue;
use super::error::{RecvError, SendError};
use super::pair::{EndOptions, Inbox, Pair, Side};
use super::payload::{Payload, Sink};
use super::records::Peek;
use receiving::Reach;
pub use receiving::{Receiving, Urgency};

/// What is under way to one end of a stream. Bounded by the sender's credit: each piece is charged 768 bytes at least.
#[derive(Debug)]
pub struct Stream<R> {
    pieces: VecDeque<Piece<R>>,
    bytes: ByteQueue,
    /// Number of the piece at the front, counted from the first that ever came.
    front: u64,
    /// Number of the piece that is the urgent byte, until that is read or passed.
    urgent: Option<u64>,
    /// Bytes in pieces.
    len: usize,
}

#[derive(Debug)]
struct Piece<R> {
    /// Bytes that are not read yet. None of an urgent byte that was read out of line: its place stays a barrier.
    left: u32,
    charge: u32,
    credentials: Credentials,
    /// The byte of a piece that came as an urgent one; others have theirs in the queue of bytes.
    apart: Option<u8>,
    rights: Vec<R>,
}

impl<R> Default for Stream<R> {
    fn default() -> Self {
        Stream { pieces: VecDeque::new(), bytes: ByteQueue::default(), front: 0, urgent: None, len: 0 }
    }
}

impl<R> Inbox for Stream<R> {
    type Right = R;

    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn unread(&self) -> usize {
        self.len
    }

    fn is_urgent(&self) -> bool {
        self.urgent.is_some()
    }

    fn loses_something(&self) -> bool {
        let passed = self.pieces.front().is_some_and(|piece| piece.left == 0);
        self.pieces.len() > usize::from(passed)
    }

    fn arrivals(&self) -> u64 {
        self.front + self.pieces.len() as u64
    }

    fn rights(&self) -> impl Iterator<Item = &R> {
        self.pieces.iter().flat_map(|piece| &piece.rights)
    }

    fn clear(&mut self) -> (u64, Vec<R>) {
        let charge = self.pieces.iter().map(|piece| u64::from(piece.charge)).sum();
        let front = self.arrivals();
        let rights = self.pieces.drain(..).flat_map(|piece| piece.rights).collect();
        *self = Stream { front, ..Stream::default() };
        (charge, rights)
    }
}

impl<R: Clone> Pair<Stream<R>> {
    /// Sends from `side`, and returns how many bytes went: all, or as many as there is credit for. Takes them from the
    /// front of `payload`. Handles go with the first byte.
    ///
    /// A caller that waits goes on with the rest when [`wakes_sender`](Pair::wakes_sender) says so. An error after the
    /// first part of a call is that call's end, not its result.
    pub fn try_send(
        &mut self,
        side: Side,
        payload: &mut Payload<'_>,
        ancillary: &mut Ancillary<R>,
        urgency: Urgency,
    ) -> Result<usize, SendError> {
        if urgency == Urgency::LastByte && payload.is_empty() {
            return Err(SendError::NothingUrgent);
        }
        let (own, peer) = self.halves_mut(side);
        // A pending reset comes with it, so that a stream's sender is never told of that one.
        if own.send_shut {
            return Err(SendError::BrokenPipe);
        }
        // Of a peer that was shut down before it connected, only this tells.
        if peer.receive_shut && !payload.is_empty() {
            return Err(SendError::BrokenPipe);
        }
        let asked_for = own.options.pass_credentials || peer.wants_credentials();
        let credentials = ancillary.credentials(asked_for);
        let normal = payload.len() - usize::from(urgency == Urgency::LastByte);
        let mut sent = 0;
        while sent < normal && own.credit.has_room() {
            let (len, charge) = own.credit.stream_piece(normal - sent);
            own.credit.charge(charge);
            peer.inbox.push(len, charge, credentials, &mut ancillary.rights);
            sent += len as usize;
        }
        peer.inbox.bytes.push(payload, sent);
        if payload.len() == 1 && urgency == Urgency::LastByte && own.credit.has_room() {
            let (len, charge) = own.credit.stream_piece(1);
            own.credit.charge(charge);
            peer.inbox.push_urgent(payload, len, charge, credentials, &mut ancillary.rights);
            sent += 1;
        }
        if sent == 0 && !payload.is_empty() { Err(SendError::WouldBlock) } else { Ok(sent) }
    }

    /// How much to ask for at `side`, so that it comes in one piece: as much as lies in one, but no less than
    /// SO_RCVLOWAT.
    pub fn piece(&self, side: Side) -> usize {
        let half = self.half(side);
        half.inbox.bytes.first_piece().max(half.options.low_water)
    }

    /// Receives at `side`, into `sink`. `Ok` ends the call: with what `call` has, which at the end of the stream is
    /// nothing. After `WouldBlock` a caller that waits tries again with the same `call` and `sink` when
    /// [`wakes_receiver`](Pair::wakes_receiver) says so; one that does not takes what `call` has, or fails with EAGAIN.
    pub fn try_recv(
        &mut self,
        side: Side,
        call: &mut Receiving<R>,
        sink: &mut impl Sink,
    ) -> Result<(), RecvError> {
        let (own, peer) = self.halves_mut(side);
        let reach = if call.peek {
            own.inbox.peek(call, &mut own.options, sink)
        } else {
            let before = call.len;
            let (reach, released) = own.inbox.read(call, &own.options, sink);
            own.options.taken(call.len - before);
            peer.credit.release(released);
            reach
        };
        if reach == Reach::Done || call.len >= call.target(&own.options) {
            return Ok(());
        }
        if core::mem::take(&mut own.reset) {
            return if call.is_empty() { Err(RecvError::Reset) } else { Ok(()) };
        }
        if own.receive_shut { Ok(()) } else { Err(RecvError::WouldBlock) }
    }

    /// Receives the urgent byte at `side` (MSG_OOB), or only looks at it.
    pub fn recv_urgent(&mut self, side: Side, peek: Peek) -> Result<u8, RecvError> {
        let (own, peer) = self.halves_mut(side);
        if own.options.urgent_inline {
            return Err(RecvError::NoUrgent);
        }
        let (byte, released) = own.inbox.read_urgent(peek).ok_or(RecvError::NoUrgent)?;
        peer.credit.release(released);
        Ok(byte)
    }

    /// Whether the next read begins at the place of the urgent byte (SIOCATMARK).
    pub fn is_at_mark(&self, side: Side) -> bool {
        self.half(side).inbox.is_at_mark()
    }
}

impl<R> Stream<R> {
    fn push(&mut self, len: u32, charge: u32, credentials: Credentials, rights: &mut Vec<R>) {
        let rights = core::mem::take(rights);
        self.pieces.push_back(Piece { left: len, charge, credentials, apart: None, rights });
        self.len += len as usize;
    }

    fn push_urgent(
        &mut self,
        payload: &mut Payload<'_>,
        len: u32,
        charge: u32,
        credentials: Credentials,
        rights: &mut Vec<R>,
    ) {
        // An earlier urgent byte becomes one of the others.
        self.urgent = Some(self.arrivals());
        self.push(len, charge, credentials, rights);
        if let Some(piece) = self.pieces.back_mut() {
            piece.apart = payload.take_byte();
        }
    }

    /// Takes what `call` asks for; returns the charge of the pieces that are done with, too.
    fn read(&mut self, call: &mut Receiving<R>, options: &EndOptions, sink: &mut impl Sink) -> (Reach, u64) {
        let mut released = 0;
        // Bytes that are to be taken from the queue of bytes, in one go.
        let mut run = 0;
        let reach = loop {
            if self.pass_mark(call, options, &mut released) {
                break Reach::Done;
            }
            let Some(piece) = self.pieces.front_mut() else {
                break Reach::End;
            };
            if !call.joins(piece.credentials, options) {
                break Reach::Done;
            }
            call.found = true;
            let count = call.left().min(piece.left as usize);
            match piece.apart {
                None => run += count,
                Some(byte) if count == 1 => {
                    self.bytes.take(core::mem::take(&mut run), sink);
                    sink.bytes(&[byte]);
                }
                Some(_) => {}
            }
            piece.left -= count as u32;
            call.len += count;
            self.len -= count;
            let with_rights = !piece.rights.is_empty();
            call.rights.append(&mut piece.rights);
            if piece.left > 0 {
                break Reach::Done;
            }
            self.pop(&mut released);
            if with_rights || call.left() == 0 {
                break Reach::Done;
            }
        };
        self.bytes.take(run, sink);
        (reach, released)
    }

    /// Deals with an urgent byte, or with the place of one that was read, at the front. Whether the read ends there.
    fn pass_mark(&mut self, call: &Receiving<R>, options: &EndOptions, released: &mut u64) -> bool {
        if self.pieces.front().is_some_and(|piece| piece.left == 0) {
            if !call.is_empty() && self.urgent.is_none() {
                return true;
            }
            self.pop(released);
        }
        if self.urgent != Some(self.front) || self.pieces.is_empty() {
            return false;
        }
        if !call.is_empty() {
            return true;
        }
        self.urgent = None;
        if !options.urgent_inline {
            // Who reads on without having asked for it has lost it.
            self.len -= 1;
            self.pop(released);
        }
        false
    }

    fn pop(&mut self, released: &mut u64) {
        if let Some(piece) = self.pieces.pop_front() {
            self.front += 1;
            *released += u64::from(piece.charge);
        }
    }

    fn is_at_mark(&self) -> bool {
        let at = |number| self.urgent == Some(number);
        let passed = self.pieces.front().is_some_and(|piece| piece.left == 0);
        !self.pieces.is_empty() && (at(self.front) || passed && (self.urgent.is_none() || at(self.front + 1)))
    }

    fn read_urgent(&mut self, peek: Peek) -> Option<(u8, u64)> {
        let index = (self.urgent? - self.front) as usize;
        let piece = self.pieces.get_mut(index)?;
        let byte = piece.apart?;
        if peek == Peek::Yes {
            return Some((byte, 0));
        }
        piece.left = 0;
        self.len -= 1;
        self.urgent = None;
        // The place of an earlier one that was read is of no more use.
        let before = index.checked_sub(1).filter(|before| self.pieces[*before].left == 0);
        let Some(passed) = before.and_then(|before| self.pieces.remove(before)) else {
            return Some((byte, 0));
        };
        self.front += 1;
        Some((byte, u64::from(passed.charge)))
    }
}

#[cfg(test)]
mod tests;
