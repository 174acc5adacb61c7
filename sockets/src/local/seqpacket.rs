//! SOCK_SEQPACKET: records over a connection.
//!
//! As on Linux, `msg_flags` never has MSG_EOR: each record is whole, and the sender's flag is ignored.

use super::ancillary::Ancillary;
use super::credit::{RECORD_MAX, record_charge};
use super::error::{RecvError, SendError};
use super::pair::{Pair, Side};
use super::payload::{Payload, Sink};
use super::records::{Peek, ReceivedRecord, Records};

impl<R: Clone> Pair<Records<R>> {
    /// Sends all of `payload`, which may be empty, from `side` as one record, with the handles of `ancillary`.
    pub fn try_send(
        &mut self,
        side: Side,
        payload: Payload<'_>,
        ancillary: &mut Ancillary<R>,
    ) -> Result<usize, SendError> {
        let (own, peer) = self.halves_mut(side);
        if core::mem::take(&mut own.reset) {
            return Err(SendError::Reset);
        }
        let len = payload.len();
        if len > own.credit.longest_record() {
            return Err(SendError::TooLong);
        }
        if own.send_shut {
            return Err(SendError::BrokenPipe);
        }
        if !own.credit.has_room() {
            return Err(SendError::WouldBlock);
        }
        if len > RECORD_MAX {
            return Err(SendError::NoBuffer);
        }
        // Of a peer that was shut down before it connected, only this tells.
        if peer.receive_shut {
            return Err(SendError::BrokenPipe);
        }
        let asked_for = own.options.pass_credentials || peer.wants_credentials();
        let charge = record_charge(len);
        own.credit.charge(charge);
        let rights = core::mem::take(&mut ancillary.rights);
        let sent_at = peer.options.stamps.and(ancillary.sent_at);
        peer.inbox.push(payload, charge, (ancillary.credentials(asked_for), sent_at), rights, ());
        Ok(len)
    }

    /// Receives one record at `side`, at most `max` bytes of it, into `sink`.
    pub fn try_recv(
        &mut self,
        side: Side,
        max: usize,
        peek: Peek,
        sink: &mut impl Sink,
    ) -> Result<ReceivedRecord<R>, RecvError> {
        let (own, peer) = self.halves_mut(side);
        // Unlike on a stream, the error comes before what was sent earlier.
        if core::mem::take(&mut own.reset) {
            return Err(RecvError::Reset);
        }
        let received = match peek {
            Peek::Yes => own.inbox.peek(max, &mut own.options, sink),
            Peek::No => own.inbox.take(max, &mut own.options, sink).map(|(received, charge)| {
                peer.credit.release(u64::from(charge));
                received
            }),
        };
        match received {
            Some(received) => Ok(received),
            None if own.receive_shut => Ok(ReceivedRecord::end()),
            None => Err(RecvError::WouldBlock),
        }
    }
}

#[cfg(test)]
mod tests;
