//! The options of the kernel's local sockets, each an `int`.

use std::os::fd::BorrowedFd;

use nix::sys::socket::{GetSockOpt, SetSockOpt};
use nix::{getsockopt_impl, libc, setsockopt_impl};
use tapsock::Errno;
use tapsock::bsd::*;

use super::errno;

macro_rules! options {
    ($($option:ident = $level:ident $name:ident,)*) => {
        $(
            #[derive(Copy, Clone, Debug)]
            struct $option;
            setsockopt_impl!($option, $level, $name, i32, nix::sys::socket::sockopt::SetStruct<i32>);
            getsockopt_impl!($option, $level, $name, i32, nix::sys::socket::sockopt::GetStruct<i32>);
        )*

        /// See getsockopt(2).
        ///
        /// # Panics
        /// For one that has no line here.
        pub(super) fn get(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
            match (level, name) {
                $(($level, $name) => $option.get(&fd).map_err(errno),)*
                _ => panic!("option {name} of level {level} has no line here"),
            }
        }

        /// See setsockopt(2).
        ///
        /// # Panics
        /// For one that has no line here.
        pub(super) fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
            match (level, name) {
                $(($level, $name) => $option.set(&fd, &value).map_err(errno),)*
                _ => panic!("option {name} of level {level} has no line here"),
            }
        }
    };
}

options! {
    Type = SOL_SOCKET SO_TYPE,
    Domain = SOL_SOCKET SO_DOMAIN,
    Protocol = SOL_SOCKET SO_PROTOCOL,
    AcceptsConnections = SOL_SOCKET SO_ACCEPTCONN,
    Error = SOL_SOCKET SO_ERROR,
    SendBuffer = SOL_SOCKET SO_SNDBUF,
    ReceiveBuffer = SOL_SOCKET SO_RCVBUF,
    PassCredentials = SOL_SOCKET SO_PASSCRED,
    PeekOffset = SOL_SOCKET SO_PEEK_OFF,
    LowWater = SOL_SOCKET SO_RCVLOWAT,
    UrgentInline = SOL_SOCKET SO_OOBINLINE,
    ReuseAddress = SOL_SOCKET SO_REUSEADDR,
    KeepAlive = SOL_SOCKET SO_KEEPALIVE,
    Broadcast = SOL_SOCKET SO_BROADCAST,
    DontRoute = SOL_SOCKET SO_DONTROUTE,
    NoDelay = SOL_TCP TCP_NODELAY,
}
