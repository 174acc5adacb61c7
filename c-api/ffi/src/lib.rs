//! What libraries for C have in common: results and memory as C knows them, and numbers that are real descriptors.
//!
//! It exports no symbol. `tapsock-c` and `tapsock-packetdrill` stand on it.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod memory;
pub mod placeholder;
