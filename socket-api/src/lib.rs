//! Sockets of a TCP/IP stack that runs inside the program: what applications use.
//!
//! A [`Host`] is a stack with a link. Its sockets come in two dresses: [`net`] and [`unix`], with the names and the
//! behaviour of `std`, and [`bsd`], the C calls with integer socket ids. [`socket`] makes any of them step by step.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(feature = "axum")]
pub mod axum;
pub mod bsd;
#[cfg(feature = "control")]
pub mod control;
pub mod host;
#[cfg(feature = "mio")]
pub mod mio;
pub mod net;
pub mod resolve;
pub mod socket;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod unix;

mod description;
mod engine;
mod handle;
mod leaving;
mod local;
mod mirror;
mod numbers;
mod pollable;

pub use engine::shutdown::ShutdownReport;
pub use engine::stats::EngineStats;
pub use host::{Builder, Driver, Host};
pub use numbers::Numbers;
pub use pollable::{HasMirror, Pollable};
pub use rustix::io::Errno;
pub use tapsock_sockets::{SockAddr, UnixAddr, UnixName};
pub use tapsock_stack::counters::{Counter, Counters};
pub use tapsock_stack::iface::IpCidr;
pub use tapsock_stack::iface::dhcp::{Lease, LeaseTimes};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
