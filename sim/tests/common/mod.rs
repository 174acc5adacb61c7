//! What the tests of several files share.
#![allow(dead_code)]

pub mod bare;
pub mod chatter;
pub mod ends;
pub mod ping;
pub mod scenarios;
pub mod snapshot;
pub mod watch;

use core::net::SocketAddr;

/// The family of a run.
#[derive(Copy, Clone, Debug)]
pub enum Family {
    V4,
    V6,
}

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

pub const MIB: u64 = 1 << 20;

impl Family {
    /// One or the other, by turns.
    pub fn of(seed: u64) -> Self {
        FAMILIES[(seed % 2) as usize]
    }

    /// The client's address with its prefix length.
    pub fn client(self) -> &'static str {
        match self {
            Family::V4 => "10.0.0.1/24",
            Family::V6 => "fd00::1/64",
        }
    }

    /// The server's address with its prefix length.
    pub fn server(self) -> &'static str {
        match self {
            Family::V4 => "10.0.0.2/24",
            Family::V6 => "fd00::2/64",
        }
    }

    /// The server's address and port.
    pub fn service(self) -> SocketAddr {
        match self {
            Family::V4 => "10.0.0.2:80".parse().unwrap(),
            Family::V6 => "[fd00::2]:80".parse().unwrap(),
        }
    }

    /// The client's address and port, where the port is fixed.
    pub fn client_end(self) -> SocketAddr {
        match self {
            Family::V4 => "10.0.0.1:50000".parse().unwrap(),
            Family::V6 => "[fd00::1]:50000".parse().unwrap(),
        }
    }
}
