//! Fuzz targets for the protocol core, and for what name servers say.
//!
//! ```text
//! cargo run --release -p tapsock-fuzz --bin frames -- -max_total_time=60
//! ```
//!
//! builds the target with coverage and runs it under libFuzzer, on a stable compiler; arguments are libFuzzer's. It
//! begins with frames that are right ([`frames::seeds`]), keeps what it finds under `target/fuzz/corpus`, and leaves
//! what broke in `target/fuzz/artifacts`. Without a C++ compiler, or with `--plain`, the same seeds are mutated
//! blindly. A file as the argument is run once.
//!
//! Everything is virtual and seeded: one input, one run.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod craft;
mod emitted;
pub mod frames;
pub mod launch;
mod memory;
pub mod names;
pub mod operations;
pub mod parts;
mod plain;
pub mod reassembly;
pub mod wire;

/// A target: runs one input, and panics where something is wrong with the stack.
pub type Target = fn(&[u8]);
