//! The sending half: bytes not yet acknowledged, the peer's window, the round trip.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::tcp::config::Options;
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

pub mod buffer;
pub mod busy;
pub mod min_rtt;
pub mod pacing;
pub mod queue;
pub mod records;
pub mod rtt;
pub mod window;

use busy::Busy;
use pacing::Pacer;
use queue::SendQueue;
use records::Records;
use rtt::RttEstimator;
use window::SendWindow;

/// The sending half.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) window: SendWindow,
    pub(super) queue: SendQueue,
    pub(super) records: Records,
    /// The end of what was written last with nothing to follow.
    pub(super) pushed: SeqNumber,
    pub(super) rtt: RttEstimator,
    /// Payload of a full segment, timestamps deducted.
    pub(super) mss: u32,
    /// What the peer said it takes.
    pub(super) peer_mss: u16,
    pub(super) fin: Fin,
    /// The end of the last segment that was not full, for Nagle's rule.
    pub(super) small_end: SeqNumber,
    pub(super) last_sent: Instant,
    /// Retransmission time-outs in a row.
    pub(super) retries: u8,
    /// Probes of a closed window, or keepalives, in a row without an answer.
    pub(super) probes: u8,
    /// Doublings of the wait between probes of a closed window.
    pub(super) persist_backoff: u8,
    /// When the first retransmission of the segment now missing was sent, or the first probe of a window now closed.
    pub(super) first_retry: Instant,
    /// Whether a burst waits for the congestion window to let a larger one go.
    pub(super) held: bool,
    /// Whether our SYN is among the bytes that were acknowledged: of an active open, as in Linux.
    pub(super) syn_counts: bool,
    /// Whether the congestion window is that of a restart, since when nothing was sent.
    pub(super) restarted: bool,
    /// What is to be judged of the use of the congestion window.
    pub(super) judging: Judging,
    /// Limits for the send buffer, in bytes.
    pub(super) buffer: u32,
    pub(super) buffer_max: Option<NonZeroU32>,
    /// Whether a writer has filled the buffer since there last was room.
    pub(super) starved: bool,
    /// Up to where the last frame of what was written can be filled.
    pub(super) filled: SeqNumber,
    /// Boxed, for hardly anybody sends at a pace.
    pub(super) pacer: Option<Box<Pacer>>,
    /// Boxed on first use: what only senders count.
    pub(super) ledger: Option<Box<Ledger>>,
}

/// When the use of the congestion window is judged.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Judging {
    /// Something was sent since it was.
    Due,
    /// Nothing was: only where the window keeps more from being sent.
    IfFull,
    /// A time-out was last, after which a full window says nothing.
    Never,
}

/// What a sender counts for who looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// For how long what kept it from sending.
    pub(super) busy: Busy,
    /// Segments with data, those sent again included.
    pub(super) data_segs_out: u32,
}

/// Where our FIN is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Fin {
    /// Not asked for.
    No,
    /// To follow the last byte.
    Queued,
    /// Sent; it has the number after the last byte.
    Sent,
}

impl Sender {
    /// Of a connection that begins with the number `iss`, to a peer of which nothing is known: it takes segments of
    /// `default_mss` bytes.
    pub(super) fn new(iss: SeqNumber, default_mss: u16, options: &Options) -> Self {
        let rto_min = Duration::from_millis(options.rto_min_ms.into());
        let rto_max = Duration::from_millis(options.rto_max_ms.into());
        Sender {
            window: SendWindow::new(iss),
            queue: SendQueue::new(iss + 1),
            records: Records::default(),
            pushed: iss + 1,
            rtt: RttEstimator::new(rto_min, rto_max),
            mss: default_mss.into(),
            peer_mss: default_mss,
            fin: Fin::No,
            small_end: iss,
            last_sent: Instant::ZERO,
            restarted: false,
            retries: 0,
            probes: 0,
            persist_backoff: 0,
            first_retry: Instant::ZERO,
            held: false,
            syn_counts: false,
            judging: Judging::IfFull,
            buffer: options.send_buffer,
            buffer_max: options.send_buffer_max.and_then(NonZeroU32::new),
            starved: false,
            filled: iss,
            pacer: None,
            ledger: None,
        }
    }
}
