//! A deterministic network in virtual time: hosts, switches and impairments, and an observer that checks every
//! frame.
//!
//! A network is a list of nodes between two ends, or any graph of them. Nothing here reads a clock or waits: a run
//! of ten virtual minutes takes as long as its frames take to compute, and two runs with the same seed are equal to
//! the byte ([`trace::Trace::hash`]). When something is wrong, the run panics with the seed and the last frames.
//!
//! ```
//! use tapsock_sim::app::{Client, Plan, Server};
//! use tapsock_sim::{chain, Delay, Host, Loss, Simulation, SmoltcpHost};
//!
//! let there = "10.0.0.2:80".parse().unwrap();
//! let plan = Plan::both(50_000, 100_000);
//! let client = Host::new("client").address("10.0.0.1/24").app(Client::new(there, plan.clone()));
//! let server = SmoltcpHost::new("server").address("10.0.0.2/24").app(Server::new(there, plan.mirrored()));
//! Simulation::new(42).run(chain![client, Delay::ms(10), Loss::percent(1.0), server]);
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod app;
pub mod impair;
pub mod network;
pub mod node;
pub mod observer;
pub mod packet;
pub mod queue;
pub mod rng;
pub mod segmenter;
pub mod simulation;
pub mod trace;

mod emission;
mod host;
mod router;
mod smoltcp_host;
mod switch;
mod talker;

pub use host::Host;
pub use impair::{Corrupt, Delay, Duplicate, GilbertElliott, Jitter, Loss, Mark, Mtu, Police, Rate, Reorder};
pub use network::Network;
pub use router::Router;
pub use segmenter::Segmenter;
pub use simulation::{Simulation, seeds};
pub use smoltcp_host::{CongestionControl, SmoltcpHost, SmoltcpSockets};
pub use switch::Switch;
pub use talker::Talker;
