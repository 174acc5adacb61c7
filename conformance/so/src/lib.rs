//! `libtapsock_packetdrill.so`: the interface by which packetdrill runs its scripts on a stack in a shared object
//! (`--so_filename`). The stack is that of `tapsock script`, in virtual time; `docs/conformance.md` says how to use it.
//!
//! It exports [`packetdrill_interface_init`](interface::packetdrill_interface_init), and for those who preload it
//! [`getsockopt`](preload::getsockopt), [`sendfile`](preload::sendfile) and [`system`](preload::system).
//!
//! # Safety
//! What a pointer must point to is what it must point to for the namesake of a function in libc; NULL is told from that,
//! and is EFAULT. The first argument of each is what was given as `userdata`, and the world is not free yet.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![allow(clippy::missing_safety_doc, reason = "it is said once, above")]

mod call;
mod flags;
mod interface;
mod message;
mod preload;
mod settings;
mod time;
mod world;
