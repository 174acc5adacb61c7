//! Locks, waiting and the driver: what turns the core into sockets that threads can block on.
//!
//! `docs/LOCKS.md` says which lock comes before which, who drives when, and why no wake-up is lost.

pub(crate) mod baton;
pub(crate) mod blocking;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod driver;
pub(crate) mod epoll;
pub(crate) mod event_loop;
pub(crate) mod follow;
mod leasing;
pub(crate) mod outbox;
pub(crate) mod poll;
mod port;
pub(crate) mod quick;
pub(crate) mod receiver;
pub(crate) mod reflection;
pub(crate) mod shard;
pub(crate) mod shutdown;
pub(crate) mod spin;
pub(crate) mod stats;
pub(crate) mod sync;
pub(crate) mod transfer;
pub(crate) mod wait;
#[cfg(feature = "tokio")]
pub(crate) mod wakers;

pub(crate) use shard::Shard;

#[cfg(test)]
mod tests;
