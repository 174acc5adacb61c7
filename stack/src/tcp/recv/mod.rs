//! The receiving half: bytes in order for the application, bytes that came too early, the window we offer, and
//! when to acknowledge.

use crate::buf::{Chunk, Rope};
use crate::counters::{Counter, Counters};
use crate::on_use::OnUse;
use crate::tcp::memory::Supply;
use crate::tcp::seq::SeqNumber;

pub mod ack_policy;
pub mod charge;
pub mod duplicate;
pub mod reassembly;
pub mod round_trip;
pub mod window;

use ack_policy::AckPolicy;
use charge::{ReceiveQueue, truesize};
use duplicate::Duplicate;
use reassembly::Reassembly;
use round_trip::ReceiverRtt;
use window::ReceiveWindow;

/// What a buffer has beside its payload, in bytes.
const BESIDE: usize = 256;

/// How many times its payload and that a buffer may be large of which a part was cut off. A pool's buffers are at most
/// eight times as large as what is read into them, so that nothing is held that takes more.
const LARGEST_SHARE: usize = 8;

/// Packets are put together where that frees this part of the buffer: so often it costs a copy of what is held.
const COLLAPSE_GAIN: usize = 8;

/// What came early gives way by this part of the buffer at a time.
const PRUNED_SHARE: usize = 8;

/// Segments that a window opens to while the host has little memory, as in Linux.
const SHORT_SEGMENTS: u32 = 4;

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) window: ReceiveWindow,
    /// In order and not read.
    pub(super) queue: OnUse<ReceiveQueue>,
    pub(super) reassembly: Reassembly,
    /// What came twice.
    pub(super) duplicate: Duplicate,
    pub(super) acks: AckPolicy,
    pub(super) rtt: ReceiverRtt,
    /// The number of the peer's FIN, and whether it has come, in order or not.
    fin: SeqNumber,
    has_fin: bool,
    /// The application reads no more.
    pub(super) shut_down: bool,
    /// The segment that ends the handshake of a listener is yet to be given.
    pub(super) opening: bool,
    /// Whether the segment that is being taken is what was to come next, and nothing else.
    pub(super) foreseen: bool,
}

impl Receiver {
    pub(super) fn new(window: ReceiveWindow) -> Self {
        Receiver {
            window,
            queue: OnUse::new(),
            reassembly: Reassembly::default(),
            duplicate: Duplicate::default(),
            acks: AckPolicy::new(),
            rtt: ReceiverRtt::default(),
            fin: SeqNumber::new(0),
            has_fin: false,
            shut_down: false,
            opening: false,
            foreseen: false,
        }
    }

    /// What is held, in order and out of order, in bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.queue.charge() + self.reassembly.charge()
    }

    /// Whether more is held than the buffer has room for, whatever window was offered: small segments cost more memory than
    /// sequence numbers. One packet may pass it.
    pub(super) fn is_overrun(&self) -> bool {
        self.held() > self.window.buffer() as usize
    }

    /// Makes room for a packet that is due, as Linux does: a buffer that may grow takes in what is held already; small
    /// packets are put together; what came early gives way. Says whether there is room then. The window of a connection
    /// that runs out of memory begins anew with two segments, of `largest` bytes each.
    pub(super) fn make_room(&mut self, largest: u32, supply: Supply, counters: &mut Counters) -> bool {
        if !self.is_overrun() && supply != Supply::None {
            return true;
        }
        counters.bump(Counter::TcpExtPruneCalled);
        self.acks.end_hurry();
        if self.is_overrun() {
            self.window.take_in(self.held(), largest, supply);
        } else {
            self.window.open_no_further(SHORT_SEGMENTS * largest);
        }
        let gain = self.window.buffer() as usize / COLLAPSE_GAIN;
        let bloated = self.window.window_of(self.queue.charge() as u32) as usize > self.queue.len();
        if bloated && self.is_overrun() && self.queue.collapse(gain) {
            counters.bump(Counter::TcpExtTCPRcvCollapsed);
        }
        if self.is_overrun() && !self.reassembly.is_empty() {
            counters.bump(Counter::TcpExtOfoPruned);
            // From the end: what is nearest will be of use first.
            let share = self.window.buffer() as usize / PRUNED_SHARE;
            while self.is_overrun() && self.reassembly.prune(share) {}
        }
        // As Linux: where the host has no memory, what came early makes room for what is due.
        let given = supply == Supply::None && !self.reassembly.is_empty();
        if given {
            counters.bump(Counter::TcpExtOfoPruned);
            self.reassembly.clear();
        }
        let room = !self.is_overrun() && (supply != Supply::None || given);
        if !room {
            counters.bump(Counter::TcpExtRcvPruned);
        }
        room
    }

    /// Where little room is left nothing hurries, and where the host has little memory left no more is offered than a few
    /// segments of `largest` bytes.
    pub(super) fn look_for_room(&mut self, largest: u32, supply: Supply) {
        if self.window.is_tight(self.held()) {
            self.acks.end_hurry();
            if supply >= Supply::Short {
                self.window.open_no_further(SHORT_SEGMENTS * largest);
            }
        }
    }

    /// Offers no window until something is read: what came was dropped for want of memory.
    pub(super) fn withhold(&mut self) {
        self.window.withhold(true);
    }

    /// Whether a segment more fits into the buffer.
    fn has_room(&self) -> bool {
        self.held() + truesize(self.acks.peer_mss() as usize) <= self.window.buffer() as usize
    }

    /// Offers a window again where there is memory for a segment. Says whether that changed.
    pub(super) fn reopen(&mut self) -> bool {
        // Nobody would read again from an empty queue; what came early gives way to what is due.
        let room = self.queue.is_empty() || self.has_room();
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
        let wasteful = chunk.buffer_capacity() > LARGEST_SHARE * (chunk.len() + BESIDE);
        data.push_back(if wasteful { Chunk::copy_from(&chunk) } else { chunk });
    }
}
