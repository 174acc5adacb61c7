//! The pair behind a socket that has a connection or takes some.
//!
//! A connected AF_UNIX stream shows nearly all of TCP's states. A socket that is not connected yet is hung up without
//! having ended (`OUT|HUP`): the visible end then is not connected yet either, and is when the socket is. And an error
//! comes only with a hang-up: what a connection that goes on has of errors is shown as `IN`, for a receiver hears of it.
//! An urgent byte is something to read as well. A hang-up is for good: a socket that is connected again after one keeps
//! showing it. One that was shut while it was being connected is hung up with an error and has not ended: that it has is
//! shown besides.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketType, acceptfrom_with, bind,
    connect, getsockname, listen, recv, socket_with, socketpair,
};
use tapsock_sockets::PollMask;

use super::{ARRIVAL, FLAGS, FUSE, ROOM, SIGN, drain, end, fill, put, shrink, take_error, take_one};
use crate::engine::sync::Arc;

/// The pair.
pub(crate) struct Face {
    visible: Arc<OwnedFd>,
    hidden: Hidden,
    shown: PollMask,
}

/// The other end.
enum Hidden {
    /// A listener: the visible end is not connected yet.
    Waiting(OwnedFd),
    /// Connected.
    Open(OwnedFd),
    /// Closed; over unread bytes where there is an error.
    Gone,
}

/// Connections that may wait at the listener. One is expected; strangers may be there.
const BACKLOG: i32 = 4;

impl Face {
    /// A pair for a socket that is `ready`.
    pub(super) fn new(ready: PollMask) -> Result<Self, Errno> {
        if is_fresh(ready) {
            let make = || socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None);
            let (visible, listener) = (make()?, make()?);
            shrink(&visible)?;
            // Names of the kernel's choice: by the visible end's, a stranger's connection is told from its own.
            bind(&visible, &SocketAddrUnix::new_unnamed())?;
            bind(&listener, &SocketAddrUnix::new_unnamed())?;
            listen(&listener, BACKLOG)?;
            let shown = PollMask::OUT | PollMask::HUP;
            return Ok(Face { visible: Arc::new(visible), hidden: Hidden::Waiting(listener), shown });
        }
        let (visible, hidden) = socketpair(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        shrink(&visible)?;
        put(&visible, FUSE, SendFlags::empty());
        Ok(Face { visible: Arc::new(visible), hidden: Hidden::Open(hidden), shown: PollMask::OUT })
    }

    pub(super) fn visible(&self) -> &Arc<OwnedFd> {
        &self.visible
    }

    pub(super) fn show(&mut self, mut ready: PollMask, edges: PollMask) {
        if let Hidden::Waiting(listener) = &self.hidden {
            if is_fresh(ready) {
                return;
            }
            // Where that fails it is tried again at the next change.
            let Ok(hidden) = join(&self.visible, listener) else { return };
            put(&self.visible, FUSE, SendFlags::empty());
            (self.hidden, self.shown) = (Hidden::Open(hidden), PollMask::OUT);
        }
        if ready & FAILED == PollMask::ERR | PollMask::HUP {
            ready |= PollMask::IN | PollMask::RDHUP;
        }
        if !ready.contains(PollMask::RDHUP) {
            ready = without(ready, PollMask::HUP);
        }
        if ready & (PollMask::ERR | PollMask::HUP) == PollMask::ERR {
            ready = without(ready | PollMask::IN, PollMask::ERR);
        }
        self.show_arrivals(ready, edges);
        self.show_room(ready, edges);
        self.show_end(ready, edges);
        // What has ended stays so.
        self.shown = ready | (self.shown & (PollMask::RDHUP | PollMask::HUP));
    }

    /// The hidden end goes without an error.
    pub(super) fn close(&mut self) {
        if let Hidden::Open(hidden) = &self.hidden {
            drain(hidden);
        }
        self.hidden = Hidden::Gone;
    }

    fn show_arrivals(&self, ready: PollMask, edges: PollMask) {
        let Hidden::Open(hidden) = &self.hidden else { return };
        let (visible, shown) = (&*self.visible, self.shown);
        if shown.contains(PollMask::RDHUP) {
            // The end is something to receive, too.
            return;
        }
        let urgent = |mask: PollMask| mask.contains(PollMask::PRI);
        if urgent(shown) && (!urgent(ready) || edges.intersects(PollMask::PRI)) {
            let mut byte = [0; 1];
            let _ = recv(visible, &mut byte[..], RecvFlags::OOB | RecvFlags::DONTWAIT);
            drain(visible);
            put_sign(hidden, ready);
        } else if !ready.contains(PollMask::IN) {
            if shown.contains(PollMask::IN) {
                drain(visible);
            }
        } else if !shown.contains(PollMask::IN) || urgent(ready) != urgent(shown) {
            put_sign(hidden, ready);
        } else if edges.intersects(ARRIVAL) {
            // The new one first, so that one is there at all times.
            put(hidden, SIGN, SendFlags::empty());
            take_one(visible);
        }
    }

    fn show_room(&self, ready: PollMask, edges: PollMask) {
        let Hidden::Open(hidden) = &self.hidden else { return };
        match (self.shown.contains(PollMask::OUT), ready.contains(PollMask::OUT)) {
            (true, false) => fill(&self.visible),
            (false, false) => {}
            (true, true) if !edges.intersects(ROOM) || self.shown.contains(PollMask::HUP) => {}
            (_, true) => {
                drain(hidden);
                put(&self.visible, FUSE, SendFlags::empty());
            }
        }
    }

    fn show_end(&mut self, ready: PollMask, edges: PollMask) {
        let rises = |what| ready.contains(what) && !self.shown.contains(what);
        // Where nothing can be put in any more, an end that comes again is the edge of all that comes.
        let again = self.shown.contains(PollMask::RDHUP) && edges.intersects(ARRIVAL)
            || self.shown.contains(PollMask::HUP) && edges.intersects(ROOM);
        let failed = rises(PollMask::ERR);
        if rises(PollMask::HUP) {
            end(&self.visible, Shutdown::Both);
        } else if rises(PollMask::RDHUP) || again {
            end(&self.visible, Shutdown::Read);
        }
        if failed {
            self.hidden = Hidden::Gone;
        } else if self.shown.contains(PollMask::ERR) && !ready.contains(PollMask::ERR) {
            take_error(&self.visible);
        }
    }
}

/// All that tells that a connection has failed.
const FAILED: PollMask = PollMask::from_bits(0x8 | 0x10 | 0x2000);

/// Whether a socket that is `ready` was never connected, or is no longer.
fn is_fresh(ready: PollMask) -> bool {
    ready & (PollMask::HUP | PollMask::RDHUP) == PollMask::HUP
}

fn without(mask: PollMask, what: PollMask) -> PollMask {
    PollMask::from_bits(mask.bits() & !what.bits())
}

fn put_sign(hidden: &OwnedFd, ready: PollMask) {
    // A kernel without urgent bytes shows the arrival alone.
    if ready.contains(PollMask::PRI) && put(hidden, SIGN, SendFlags::OOB) {
        return;
    }
    if ready.contains(PollMask::IN) {
        put(hidden, SIGN, SendFlags::empty());
    }
}

/// Connects the visible end to the listener and gives the other end.
fn join(visible: &OwnedFd, listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    match connect(visible, &getsockname(listener)?) {
        // An earlier try went that far.
        Ok(()) | Err(Errno::ISCONN) => {}
        Err(errno) => return Err(errno),
    }
    let own = getsockname(visible)?;
    for _ in 0..=BACKLOG {
        let (accepted, from) = acceptfrom_with(listener, FLAGS)?;
        if from.as_ref() == Some(&own) {
            return Ok(accepted);
        }
    }
    Err(Errno::AGAIN)
}
