//! Mirrors: real descriptors that poll as sockets of ours do.

#[path = "../common/mod.rs"]
mod common;

mod edges;
mod life;
mod sides;
mod states;
