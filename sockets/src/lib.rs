//! What POSIX says of sockets, and Linux of the rest: ids, addresses, options, errors and readiness over the protocol
//! core. As pure as the core: nothing here has a thread, a clock or a descriptor, and nothing waits.
//!
//! [`Sockets`] is the face. Its calls are `try_…` where they might wait; whoever drives the stack does the waiting.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod constants;
pub mod control;
pub mod epoll;
pub mod errno;
pub mod local;

mod address;
mod beside;
mod bind;
mod cork;
mod datagram;
mod destination;
mod device;
mod groups;
mod options;
mod owners;
mod ping;
mod poll;
mod raw;
mod reports;
mod services;
mod socket;
mod sockets;
mod table;
mod tcp;
mod tcp_info;
mod timestamping;
mod udp;

pub use address::{
    SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SOCKADDR_STORAGE_LEN, SOCKADDR_UN_LEN, SockAddr, SockAddrBytes,
    UnixAddr, UnixName,
};
pub use beside::{Stamp, Stamps};
pub use options::OptionValue;
pub use poll::PollMask;
pub use rustix::io::Errno;
pub use services::{SERVICES_MAX, Service, Services};
pub use socket::{Blocking, Permission, Received, Stop, Wait};
pub use sockets::{ClosedNumbers, Sockets};
pub use table::{FD_LIMIT_DEFAULT, Fd, Table};
