//! The names of sockets: what bind(2) gives, and what others see.

use std::sync::{OnceLock, Weak};

use rustix::io::Errno;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::LookupError;
use tapsock_sockets::{UnixAddr, UnixName};

use super::{LocalSocket, Role};
use crate::engine::sync::{Arc, lock};

/// A socket's name, which it gets once at most. A peer that holds it sees a name that is given late, and goes on seeing
/// it when the socket is closed.
#[derive(Clone, Default)]
pub(super) struct Label(Arc<OnceLock<UnixAddr>>);

impl Label {
    /// The name, unnamed where there is none yet.
    pub(super) fn name(&self) -> UnixAddr {
        self.0.get().copied().unwrap_or(UnixAddr::UNNAMED)
    }

    /// Gives the name.
    pub(super) fn give(&self, name: UnixAddr) {
        // Who has one is not given another.
        let _ = self.0.set(name);
    }
}

impl LocalSocket {
    /// Gives the socket a name: bind(2). Without one it gets an abstract name of five digits.
    ///
    /// Errors: EINVAL where it has one, EADDRINUSE, ENOENT, ENOTDIR, ENOSPC; EBADF where it is closed meanwhile.
    pub(crate) fn bind(self: &Arc<Self>, address: &UnixAddr) -> Result<(), Errno> {
        let mut own = lock(&self.own);
        if let Role::Closed = own.role {
            // Nobody would ever take the name back.
            return Err(Errno::BADF);
        }
        let mut names = lock(&self.host.names);
        if own.name.is_some() {
            // As Linux: a path in use is found out first; without a path there is nothing to do.
            if *address == UnixAddr::UNNAMED {
                return Ok(());
            }
            if let UnixName::Path(_) = address.name() {
                names.check(address, self.kind).map_err(|error| error.errno())?;
            }
            return Err(Errno::INVAL);
        }
        let owner = Arc::downgrade(self);
        let (address, inode) = if *address == UnixAddr::UNNAMED {
            let mut start = [0; 4];
            getrandom::fill(&mut start).map_err(|_| Errno::NOMEM)?;
            names.autobind(u32::from_ne_bytes(start), self.kind, owner).map_err(|error| error.errno())?
        } else {
            (*address, names.bind(address, self.kind, owner).map_err(|error| error.errno())?)
        };
        own.name = Some((address, Some(inode)));
        self.label.give(address);
        drop((own, names));
        self.sign(address);
        Ok(())
    }

    /// Its own name, unnamed where it has none.
    pub(crate) fn name(&self) -> UnixAddr {
        self.label.name()
    }

    /// As on Linux, datagrams on their way bear a name that their sender gets late.
    fn sign(&self, name: UnixAddr) {
        let Some(datagrams) = &self.datagrams else { return };
        if datagrams.lock().state.credit().charged() == 0 {
            return;
        }
        let sockets: Vec<_> = lock(&self.host.sockets).values().filter_map(Weak::upgrade).collect();
        for cell in sockets.iter().filter_map(|socket| socket.datagrams.as_ref()) {
            cell.with(|socket, _| socket.rename_sender(self.number, name));
        }
    }

    /// The socket that `address` leads to.
    pub(super) fn look_up(&self, address: &UnixAddr) -> Result<Arc<LocalSocket>, Errno> {
        let names = lock(&self.host.names);
        let owner = names.lookup(address, self.kind).map_err(|error| error.errno())?;
        owner.upgrade().ok_or(LookupError::Refused.errno())
    }
}
