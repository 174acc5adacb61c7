//! The same for sockets of the internet: AF_INET and AF_INET6 over `lo`, the kernel's in a network namespace of its own.
//!
//! Addresses and option values are bytes, so that they can have wrong lengths. Sockets do not block. After each call
//! both stacks are given time to come to rest, and then the readiness of every socket and what it has to read are
//! compared.

mod address;
mod draw;
mod groups;
mod masks;
mod options;
mod payload;
mod sequence;
mod sort;
mod stage;
mod states;
mod text;
mod world;

pub use address::{Ip, Port, Shape, Target};
pub use options::{UNLIKE_OPTIONS, UnlikeOption, differences_of_option};
pub use sequence::{InetOp, InetPlan, inet_plan, run_inet_plan};
pub use sort::Sort;
pub use stage::Stage;
pub use states::{UNLIKE_STATES, UnlikeStates, differences_of_states};
pub use world::World;
