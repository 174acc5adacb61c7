//! The sending half: bytes not yet acknowledged, the peer's window, the round trip.

pub mod buffer;
pub mod busy;
pub mod min_rtt;
pub mod pacing;
pub mod queue;
pub mod records;
pub mod rtt;
pub mod window;
