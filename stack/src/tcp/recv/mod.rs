//! The receiving half: bytes in order for the application, bytes that came too early, the window we offer, and
//! when to acknowledge.

use crate::buf::{Chunk, Rope};
use crate::on_use::OnUse;
use crate::tcp::seq::SeqNumber;

pub mod ack_policy;
pub mod duplicate;
pub mod reassembly;
pub mod window;

use ack_policy::AckPolicy;
use duplicate::Duplicate;
use reassembly::Reassembly;
use window::ReceiveWindow;

/// What a buffer is charged beside its payload, in bytes.
const CHUNK_CHARGE: usize = 256;

/// How many times what it is charged a buffer may hold of which a part was cut off. A pool's buffers are at most eight
/// times as large as what is read into them, so that nothing is held that takes more.
const CHARGE_SHARE: usize = 8;

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) window: ReceiveWindow,
    /// In order and not read.
    pub(super) queue: OnUse<Rope>,
    pub(super) reassembly: Reassembly,
    /// What came twice.
    pub(super) duplicate: Duplicate,
    pub(super) acks: AckPolicy,
    /// The number of the peer's FIN, and whether it has come, in order or not.
    fin: SeqNumber,
    has_fin: bool,
    /// The application reads no more.
    pub(super) shut_down: bool,
}

impl Receiver {
    pub(super) fn new(window: ReceiveWindow) -> Self {
        Receiver {
            window,
            queue: OnUse::new(),
            reassembly: Reassembly::default(),
            duplicate: Duplicate::default(),
            acks: AckPolicy::new(),
            fin: SeqNumber::new(0),
            has_fin: false,
            shut_down: false,
        }
    }

    /// What is held, in order and out of order, in bytes of memory: payload, and a charge for each buffer.
    pub(super) fn held(&self) -> usize {
        let chunks = self.queue.chunk_count() + self.reassembly.chunk_count();
        self.queue.len() + self.reassembly.len() + chunks * CHUNK_CHARGE
    }

    /// Whether `len` more bytes pass what this connection may hold, whatever window was offered: a window is rounded
    /// up to its scale, and small segments cost more memory than sequence numbers.
    pub(super) fn is_overrun_by(&self, len: usize) -> bool {
        self.held() > 0 && self.held() + len > self.window.buffer_limit() as usize
    }

    /// Offers no window until something is read: what came was dropped for want of memory.
    pub(super) fn withhold(&mut self) {
        self.window.withhold(true);
    }

    /// Offers a window again where there is memory for a segment. Says whether that changed.
    pub(super) fn reopen(&mut self) -> bool {
        // Nobody would read again from an empty queue; what came early gives way to what is due.
        let room = self.queue.is_empty() || !self.is_overrun_by(self.acks.peer_mss() as usize);
        let reopened = room && self.window.is_withheld();
        if reopened {
            self.window.withhold(false);
        }
        reopened
    }

    /// The number of the peer's FIN, once it has come, in order or not.
    pub(super) fn fin(&self) -> Option<SeqNumber> {
        self.has_fin.then_some(self.fin)
    }

    /// The peer's FIN has come, with that number.
    pub(super) fn note_fin(&mut self, fin: SeqNumber) {
        (self.fin, self.has_fin) = (fin, true);
    }

    /// Whether the peer's FIN has come in order: nothing follows what is in the queue.
    pub(super) fn is_finished(&self) -> bool {
        self.fin().is_some_and(|fin| fin.before(self.window.nxt))
    }
}

/// Copies what is small beside the buffer that it keeps alive, after the rest was cut off.
pub(super) fn compact(data: &mut Rope) {
    for _ in 0..data.chunk_count() {
        let Some(chunk) = data.pop_front() else { return };
        let wasteful = chunk.buffer_capacity() > CHARGE_SHARE * (chunk.len() + CHUNK_CHARGE);
        data.push_back(if wasteful { Chunk::copy_from(&chunk) } else { chunk });
    }
}
