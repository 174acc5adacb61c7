//! The C library of tapsock: `tapsock_socket`, `tapsock_bind` … on a default host.
//!
//! Each call takes what its namesake in libc takes and gives what that gives: the same structures, flags, values and
//! errno. The number of a socket is a real descriptor of the process ([`tapsock_ffi::placeholder`]), and a call on a number that is not
//! one of ours goes to libc. `docs/c.md` says what a C program has to know; `include/tapsock.h` is made from this crate.
//!
//! Every function is for C. From Rust, use the crate `tapsock`.
//!
//! # Safety
//! What a pointer must point to is what it must point to for the namesake in libc; NULL is told from that, and is EFAULT.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![allow(
    clippy::missing_safety_doc,
    reason = "it is said once, above: the functions' docs are those of the C header"
)]

mod address;
mod config;
mod rights;
mod time;

// In the order of the header.
pub mod state;

pub mod socket;

pub mod message;

pub mod descriptor;

pub mod poll;

pub mod epoll;

pub mod names;

pub mod services;
