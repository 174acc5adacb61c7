//! The receiving half: bytes in order for the application, bytes that came too early, the window we offer, and
//! when to acknowledge.

use crate::buf::Rope;
use crate::tcp::seq::SeqNumber;

pub mod ack_policy;
pub mod reassembly;
pub mod window;

use ack_policy::AckPolicy;
use reassembly::Reassembly;
use window::ReceiveWindow;

/// What a buffer is charged beside its payload, in bytes: the least of a pool's buffers that a payload may pin.
const CHUNK_CHARGE: usize = 256;

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) window: ReceiveWindow,
    /// In order and not read.
    pub(super) queue: Rope,
    pub(super) reassembly: Reassembly,
    pub(super) acks: AckPolicy,
    /// The number of the peer's FIN, once it has come, in order or not.
    pub(super) fin: Option<SeqNumber>,
    /// The application reads no more.
    pub(super) shut_down: bool,
}

impl Receiver {
    pub(super) fn new(window: ReceiveWindow) -> Self {
        Receiver {
            window,
            queue: Rope::new(),
            reassembly: Reassembly::default(),
            acks: AckPolicy::new(),
            fin: None,
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

    /// Whether the peer's FIN has come in order: nothing follows what is in the queue.
    pub(super) fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| fin.before(self.window.nxt))
    }
}
