//! Finding out what was lost, and when to send it again.
//!
//! [`Scoreboard`](scoreboard::Scoreboard) knows of every byte in flight when it was sent and what the peer said of
//! it; [`Rack`](rack::Rack) tells from the times what was lost. Tail probes, proportional rate reduction and undo
//! will stand beside them.

pub mod delivery;
pub mod rack;
pub mod scoreboard;

use crate::tcp::seq::SeqNumber;

use rack::Rack;
use scoreboard::Scoreboard;

/// Duplicate acknowledgements that mean a loss, where the peer does not send SACK.
//= RFC 5681 §3.2
pub const DUP_THRESHOLD: u32 = 3;

/// What the sender is doing about losses.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery, until everything sent before it began is acknowledged.
    Recovery {
        /// SND.NXT when it began.
        until: SeqNumber,
    },
    /// After a retransmission time-out, until everything sent before it is acknowledged.
    Loss {
        /// SND.NXT when it began.
        until: SeqNumber,
    },
}

/// The recovery state of a connection.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    pub(super) scoreboard: Scoreboard,
    pub(super) rack: Rack,
    /// Duplicate acknowledgements in a row, where the peer does not send SACK.
    pub(super) duplicates: u32,
}

impl Recovery {
    pub(super) fn new() -> Self {
        Recovery { phase: Phase::Open, scoreboard: Scoreboard::new(), rack: Rack::new(), duplicates: 0 }
    }

    /// The number whose acknowledgement ends the recovery that is going on.
    pub(super) fn until(&self) -> Option<SeqNumber> {
        match self.phase {
            Phase::Open => None,
            Phase::Recovery { until } | Phase::Loss { until } => Some(until),
        }
    }
}
