//! TCP: RFC 9293 with window scaling and timestamps (7323), SACK (2018, 2883), RTO (6298), RACK-TLP (8985), PRR (9937),
//! F-RTO (5682) and undo (3522, 4015), Reno (5681), CUBIC (9438) and BBR, and the search for what a path takes (4821).
//!
//! [`connection`] is the face; [`input`] holds the steps of RFC 9293 §3.10.7, [`output`] decides what to send.
//! Below them: [`send`] and [`recv`] are the two halves, [`recovery`] finds out what was lost, [`congestion`] how
//! much may be in flight. Nothing here knows addresses or ports.

pub mod challenges;
pub mod config;
pub mod congestion;
pub mod connection;
pub mod fast_open;
pub mod info;
pub mod listener;
pub mod memory;
pub mod mtu_search;
pub mod rare;
pub mod recovery;
pub mod recv;
pub mod segment;
pub mod send;
pub mod seq;
pub mod seq_ranges;
mod shared_options;
pub mod state;
pub mod syn_cookie;
pub mod time_wait;
pub mod timers;
pub mod urgent;

mod ack;
mod close;
pub mod ecn;
pub mod handshake;
mod input;
mod loss_timer;
mod output;
mod path;
mod resend;
mod rest;
mod seldom;
mod text;
mod timeout;
mod transfer;

pub use config::{CongestionKind, EcnUse, KeepAlive, Options, Rare, TcpMetrics};
pub use connection::{Connection, Shutdown};
pub use segment::Segment;
pub use seq::SeqNumber;
pub use shared_options::SharedOptions;
pub use state::State;

#[cfg(test)]
mod tests;
