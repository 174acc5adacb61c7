//! What each typed socket holds: a share in what it is a handle of, and the numbers that were given out for it.

use std::io;
use std::os::fd::BorrowedFd;

use crate::description::{Held, Lent, Object};
use crate::host::Host;
use crate::mirror::Lens;

/// A handle of an object. A clone of it has numbers of its own, as a duplicate of a descriptor has another number; when
/// the last is dropped, the object is closed.
#[derive(Debug)]
pub(crate) struct Handle {
    held: Held,
    /// Its number in `bsd`, once that was asked for.
    id: Lent,
    /// Its view of the mirror, once that was asked for.
    lens: Lens,
    /// The host lives as long as its sockets.
    host: Host,
}

impl Handle {
    /// A handle that shares in what `held` holds.
    pub(crate) fn new(host: &Host, held: Held) -> Self {
        Handle { held, id: Lent::default(), lens: Lens::default(), host: host.clone() }
    }

    /// The host that it belongs to.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The share.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// What it is a handle of.
    pub(crate) fn object(&self) -> &Object {
        self.held.object()
    }

    /// Its number in `bsd`, which is given out at the first call and closed with the handle. Errors: EMFILE.
    pub(crate) fn id(&self) -> io::Result<i32> {
        Ok(self.id.id(self.host.descriptors(), &self.held)?)
    }

    /// The real descriptor that polls as the object does. Errors: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub(crate) fn poll_fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.lens.fd(self.object())?)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Handle::new(&self.host, self.held.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.id.close(self.host.descriptors());
    }
}
