//! Moving bytes between callers and sockets. Every copy is made with no lock held.

use core::cell::RefCell;

use rustix::io::Errno;
use tapsock_driver::pool::Pool;
use tapsock_sockets::constants::{MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
use tapsock_sockets::{Blocking, Fd, PollMask, Received, SockAddr, Sockets, Stop};
use tapsock_stack::buf::{Chunk, Rope};
use tapsock_stack::time::Instant;

use super::call::Patience;
use super::shard::Shard;

/// Bytes of a chunk that a large send is cut into.
const CHUNK: usize = 64 * 1024;

/// Bytes that are copied at most before the stack is given them: what a rope holds without an allocation.
pub(crate) const SEND_TURN: usize = 3 * CHUNK;

thread_local! {
    /// The buffers that this thread's bytes are copied into: no allocation once as many are there as are on their
    /// way at a time.
    static BUFFERS: RefCell<Pool> = RefCell::new(Pool::new());
}

/// What a receive brought.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Bytes that were copied.
    pub(crate) len: usize,
    /// Bytes of the datagram, of which fewer may have been copied; for a stream as `len`.
    pub(crate) full_len: usize,
    /// Who sent it, for a datagram.
    pub(crate) from: Option<SockAddr>,
    /// TTL or hop limit, for a datagram.
    pub(crate) hop_limit: Option<u8>,
}

impl Shard {
    /// Sends `data`, all of it where the socket blocks. Returns how many bytes were taken.
    pub(crate) fn send(
        &self,
        socket: Fd,
        data: &[u8],
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Errno> {
        let mut sending = Sending { socket, flags, to, taken: 0 };
        let mut patience = Patience::default();
        loop {
            let rest = &data[sending.taken..];
            let room = if rest.len() > CHUNK { self.room(socket, rest.len()) } else { rest.len() };
            let mut rope = copy_in(&rest[..room]);
            let sent = self.call_with(&mut patience, Errno::AGAIN, |sockets, now| {
                sending.attempt(sockets, now, &mut rope)
            });
            match sent {
                Ok(()) if rope.is_empty() && sending.taken < data.len() => {}
                Err(error) if sending.taken == 0 => return Err(error),
                _ => return Ok(sending.taken),
            }
        }
    }

    /// How much of `len` bytes is worth copying now. A stream that is full is given a chunk to wait with; a datagram
    /// of a chunk is too large already.
    fn room(&self, socket: Fd, len: usize) -> usize {
        len.min(self.turn().state.sockets.send_space(socket).clamp(CHUNK, SEND_TURN))
    }

    /// Receives into `into`.
    pub(crate) fn receive(&self, socket: Fd, into: &mut [u8], flags: i32) -> Result<Delivered, Errno> {
        let mut patience = Patience::default();
        let mut delivered = self.receive_some(socket, into, flags, &mut patience)?;
        let for_all = flags & MSG_WAITALL != 0 && flags & (MSG_PEEK | MSG_TRUNC) == 0;
        // A datagram has a sender, and is all there is.
        while for_all && delivered.from.is_none() && (1..into.len()).contains(&delivered.len) {
            match self.receive_some(socket, &mut into[delivered.len..], flags, &mut patience) {
                Ok(more) if more.len > 0 => {
                    delivered.len += more.len;
                    delivered.full_len += more.full_len;
                }
                _ => break,
            }
        }
        Ok(delivered)
    }

    fn receive_some(
        &self,
        socket: Fd,
        into: &mut [u8],
        flags: i32,
        patience: &mut Patience,
    ) -> Result<Delivered, Errno> {
        let max = into.len();
        let attempt = |sockets: &mut Sockets, now| sockets.try_recv(now, socket, max, flags);
        let received = self.call_with(patience, Errno::AGAIN, attempt)?;
        let len = received.data.copy_to(into);
        let Received { full_len, from, hop_limit, .. } = received;
        Ok(Delivered { len, full_len, from, hop_limit })
    }
}

/// A send that may take several attempts.
struct Sending<'a> {
    socket: Fd,
    flags: i32,
    to: Option<&'a SockAddr>,
    /// Bytes taken so far. Once there are some, an error is left to the next call.
    taken: usize,
}

impl Sending<'_> {
    fn attempt(&mut self, sockets: &mut Sockets, now: Instant, rope: &mut Rope) -> Result<(), Stop> {
        let waits = self.flags & MSG_DONTWAIT == 0 && sockets.blocking(self.socket) == Ok(Blocking::Waits);
        loop {
            if self.taken > 0 && sockets.readiness(self.socket).intersects(PollMask::ERR) {
                return Ok(());
            }
            let count = sockets.try_send(now, self.socket, rope, self.flags, self.to)?;
            self.taken += count;
            if rope.is_empty() || count == 0 || !waits {
                return Ok(());
            }
        }
    }
}

/// A copy of `bytes` in buffers of this thread.
pub(crate) fn copy_in(bytes: &[u8]) -> Rope {
    let mut rope = Rope::new();
    let pooled = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        bytes.chunks(CHUNK).for_each(|piece| rope.push_back(buffers.copy_from(piece)));
    });
    if pooled.is_err() {
        // The thread is ending, and its buffers are gone already.
        rope.push_back(Chunk::copy_from(bytes));
    }
    rope
}
