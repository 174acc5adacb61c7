//! Records through a connected pair.

use rustix::io::Errno;
use tapsock_sockets::PollMask;
use tapsock_sockets::constants::{MSG_OOB, MSG_PEEK};
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Filling, Pair, Payload, Peek, ReceivedRecord, Records, RecvError, SMALL_MAX, SendError, Side,
};

use super::cell::{Cell, Halt, Patience, Queue, Shared};
use super::source::Source;
use super::{Flying, queue, side};
use crate::engine::transfer::copy_in;

impl Shared for Pair<Records<Flying>> {
    fn readiness(&self, queue: Queue) -> PollMask {
        Pair::readiness(self, side(queue))
    }
}

/// Sends `data` as one record.
pub(super) fn send(
    cell: &Cell<Pair<Records<Flying>>>,
    from: Side,
    data: Source<'_>,
    flags: i32,
    patience: Patience,
    ancillary: &mut Ancillary<Flying>,
) -> Result<usize, Errno> {
    if flags & MSG_OOB != 0 {
        // The pending error comes first, as for every sending call.
        let reset = cell.change(queue(from), |pair, _| pair.take_reset(from))?;
        return Err(if reset { SendError::Reset.errno() } else { Errno::OPNOTSUPP });
    }
    // What can't go is not put together: these two errors come first in `try_send`, too.
    let refusal = |pair: &mut Pair<Records<Flying>>| {
        (data.len() > pair.credit(from).longest_record())
            .then(|| if pair.take_reset(from) { SendError::Reset } else { SendError::TooLong })
    };
    if data.is_scattered()
        && let Some(error) = cell.change(queue(from), |pair, _| refusal(pair))?
    {
        return Err(error.errno());
    }
    let data = &*data.piece(0, data.len());
    let mut rope = (data.len() > SMALL_MAX).then(|| copy_in(data));
    cell.call(queue(from), PollMask::WAIT_OUT, patience, |pair, events| {
        let payload = match &mut rope {
            Some(rope) => Payload::Rope(rope),
            None => Payload::Bytes(data),
        };
        match pair.try_send(from, payload, ancillary) {
            Ok(len) => {
                events.push((queue(from.other()), PollMask::IN | PollMask::RDNORM));
                Ok(len)
            }
            Err(SendError::WouldBlock) => Err(Halt::Wait),
            Err(error) => Err(error.errno().into()),
        }
    })
}

/// Receives one record.
pub(super) fn receive(
    cell: &Cell<Pair<Records<Flying>>>,
    at: Side,
    mut sink: Filling<'_>,
    flags: i32,
    patience: Patience,
) -> Result<ReceivedRecord<Flying>, Errno> {
    if flags & MSG_OOB != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    let peek = if flags & MSG_PEEK != 0 { Peek::Yes } else { Peek::No };
    let max = sink.room();
    let received = cell.call(queue(at), PollMask::WAIT_IN, patience, |pair, events| {
        let before = pair.credit(at.other()).charged();
        match pair.try_recv(at, max, peek, &mut sink) {
            Ok(record) => {
                let credit = pair.credit(at.other());
                if credit.charged() < before && credit.is_writable() {
                    events.push((queue(at.other()), PollMask::OUT | PollMask::WRNORM | PollMask::WRBAND));
                }
                Ok(record)
            }
            Err(RecvError::WouldBlock) => Err(Halt::Wait),
            Err(error) => Err(error.errno().into()),
        }
    })?;
    sink.finish();
    Ok(received)
}
