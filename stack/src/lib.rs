//! The protocol core of tapsock: frames, user calls and time go in; frames, readiness events and one deadline
//! come out.
//!
//! Nothing here has a thread, a lock, a clock or a descriptor. [`time::Instant`] is a parameter, randomness comes
//! from one seeded generator, and the links stand outside.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod buf;
pub mod config;
pub mod counters;
pub mod demux;
pub mod discovery;
pub mod error;
pub mod error_queue;
pub mod fast_open;
pub mod growth;
pub mod iface;
pub mod ip;
pub mod on_use;
pub mod ports;
pub mod random;
pub mod raw;
mod slots;
pub mod stack;
pub mod tcp;
pub mod time;
pub mod timer_wheel;
pub mod udp;
pub mod wire;
#[cfg(test)]
mod work;
