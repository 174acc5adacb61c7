//! Packet scripts: the language of packetdrill, in which engineers write down what a network stack must send when it
//! is sent this and asked for that.
//!
//! A script goes through [`parse`] to a tree, [`ast::Script`]. Nothing here runs it: whoever does walks the tree's
//! events in order. The language is that of packetdrill's documentation; what isn't of the language is an error
//! with its line and column, never something to skip.
//!
//! ```
//! use tapsock_conformance::ast::{Action, Body};
//! use tapsock_conformance::parse;
//!
//! let script = parse("greeting.pkt", "
//!     0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!     +.1 < S 0:0(0) win 65535 <mss 1460>
//! ").unwrap();
//! let Action::Packet(packet) = &script.events[1].action else { panic!() };
//! let Body::Tcp(segment) = &packet.body else { panic!() };
//! assert_eq!(segment.window, Some(65535));
//! ```

// Unsafe code is in `run::kernel::sys` alone.
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod assertions;
pub mod ast;
pub mod run;
pub mod shell;
pub mod symbols;

mod lexer;
mod parser;
mod print;

pub use parser::{Definitions, ERRORS_MAX, SettingError, SyntaxError, parse, parse_setting, parse_with};
