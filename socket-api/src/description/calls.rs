//! The calls that all sockets have, whatever their kind.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_sockets::constants::{SOCK_CLOEXEC, SOCK_NONBLOCK};
use tapsock_sockets::{Blocking, OptionValue, SockAddr, UnixAddr};

use super::Kind;
use crate::engine::clock::now;

impl Kind {
    pub(crate) fn bind(&self, address: &SockAddr) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.bind(*fd, address),
            Kind::Local(local) => local.bind(unix(address)?),
        }
    }

    pub(crate) fn listen(&self, backlog: i32) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.listen(*fd, backlog),
            Kind::Local(local) => local.listen(backlog),
        }
    }

    /// The new socket has the flags SOCK_NONBLOCK and SOCK_CLOEXEC.
    pub(crate) fn accept(&self, flags: i32) -> Result<(Kind, SockAddr), Errno> {
        Ok(match self {
            Kind::Inet(shard, fd) => {
                let (fd, peer) = shard.accept(*fd, flags)?;
                (Kind::Inet(shard.clone(), fd), peer)
            }
            Kind::Local(local) => {
                let (accepted, peer) = local.accept(waits(flags)?)?;
                (Kind::Local(accepted), SockAddr::Unix(peer))
            }
        })
    }

    pub(crate) fn connect(&self, address: &SockAddr) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.connect(*fd, address),
            Kind::Local(local) => match address {
                SockAddr::Unspec(_) => local.dissolve(),
                address => local.connect(unix(address)?),
            },
        }
    }

    /// As `connect` of one that waits, for `timeout` at most. Errors: its own, ETIMEDOUT.
    pub(crate) fn connect_timeout(&self, address: &SockAddr, timeout: Duration) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.connect_until(*fd, address, now() + timeout),
            Kind::Local(local) => local.connect_until(unix(address)?, now() + timeout),
        }
    }

    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.shutdown(*fd, how),
            Kind::Local(local) => local.shutdown(how),
        }
    }

    pub(crate) fn local_address(&self) -> Result<SockAddr, Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.local_address(*fd),
            Kind::Local(local) => Ok(SockAddr::Unix(local.name())),
        }
    }

    pub(crate) fn peer_address(&self) -> Result<SockAddr, Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.peer_address(*fd),
            Kind::Local(local) => local.peer_name().map(SockAddr::Unix),
        }
    }

    pub(crate) fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.option(*fd, level, name),
            Kind::Local(local) => local.option(level, name),
        }
    }

    pub(crate) fn option_about(&self, level: i32, name: i32, asked: &[u8]) -> Result<OptionValue, Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.option_about(*fd, level, name, asked),
            Kind::Local(local) => local.option(level, name),
        }
    }

    pub(crate) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.set_option(*fd, level, name, value),
            Kind::Local(local) => local.set_option(level, name, value),
        }
    }

    pub(crate) fn set_blocking(&self, blocking: Blocking) -> Result<(), Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.set_blocking(*fd, blocking),
            Kind::Local(local) => {
                local.set_waits(blocking == Blocking::Waits);
                Ok(())
            }
        }
    }

    pub(crate) fn blocking(&self) -> Result<Blocking, Errno> {
        match self {
            Kind::Inet(shard, fd) => shard.blocking(*fd),
            Kind::Local(local) => Ok(if local.waits() { Blocking::Waits } else { Blocking::Never }),
        }
    }
}

/// The name of a local socket. Errors: EINVAL for an address of another family.
pub(crate) fn unix(address: &SockAddr) -> Result<&UnixAddr, Errno> {
    match address {
        SockAddr::Unix(address) => Ok(address),
        _ => Err(Errno::INVAL),
    }
}

/// Whether a socket that is made with these flags waits. Errors: EINVAL for other flags.
pub(crate) fn waits(flags: i32) -> Result<bool, Errno> {
    if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    Ok(flags & SOCK_NONBLOCK == 0)
}
