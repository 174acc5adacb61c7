//! The pair behind a socket for datagrams, which may have an error and go on.
//!
//! An AF_UNIX datagram socket has an error when its peer turns away over datagrams that it has not read; the peer is back
//! at once. A shutdown of a datagram socket is its own affair, so the visible end is shut itself. Urgent data there is
//! none.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketType, bind, connect, connect_unspec,
    getsockname, socketpair,
};
use tapsock_sockets::PollMask;

use super::{ARRIVAL, FLAGS, FUSE, ROOM, SIGN, drain, end, fill, put, shrink, take_error, take_one};
use crate::engine::sync::Arc;

/// The pair.
pub(crate) struct Face {
    visible: Arc<OwnedFd>,
    hidden: OwnedFd,
    shown: PollMask,
}

impl Face {
    pub(super) fn new() -> Result<Self, Errno> {
        let (visible, hidden) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None)?;
        shrink(&visible)?;
        // The peer comes back by that name, which is of the kernel's choice. Strangers can't send to a socket that has a
        // peer.
        bind(&visible, &SocketAddrUnix::new_unnamed())?;
        put(&visible, FUSE, SendFlags::empty());
        Ok(Face { visible: Arc::new(visible), hidden, shown: PollMask::OUT })
    }

    pub(super) fn visible(&self) -> &Arc<OwnedFd> {
        &self.visible
    }

    pub(super) fn show(&mut self, mut ready: PollMask, edges: PollMask) {
        let has_error = self.show_arrivals(ready, edges);
        if ready.contains(PollMask::ERR) {
            if !has_error || !edges.is_empty() {
                self.turn_away(has_error);
            }
            // Nothing can be sent to fill it, for that would take the error.
            ready |= PollMask::OUT;
        } else {
            if has_error {
                take_error(&self.visible);
                put(&self.visible, FUSE, SendFlags::empty());
            }
            self.show_room(ready, edges);
        }
        self.show_end(ready, edges);
        // What has ended stays so.
        self.shown = ready | (self.shown & (PollMask::RDHUP | PollMask::HUP));
    }

    /// Gives whether the visible end still has its error: taking signs out takes that as well.
    fn show_arrivals(&self, ready: PollMask, edges: PollMask) -> bool {
        let has_error = self.shown.contains(PollMask::ERR);
        if self.shown.contains(PollMask::RDHUP) {
            return has_error;
        }
        match (self.shown.contains(PollMask::IN), ready.contains(PollMask::IN)) {
            (true, false) => {
                let taken = drain(&self.visible);
                return has_error && !taken;
            }
            (false, true) => drop(put(&self.hidden, SIGN, SendFlags::empty())),
            // Everybody looks for the edge of an error, so it stands for that of an arrival.
            (true, true) if edges.intersects(ARRIVAL) && !has_error => {
                // The new one first, so that one is there at all times.
                put(&self.hidden, SIGN, SendFlags::empty());
                take_one(&self.visible);
            }
            _ => {}
        }
        has_error
    }

    /// The hidden end drops what it was sent, and is the visible one's peer again. Where a step fails the state is shown
    /// without the error.
    fn turn_away(&self, has_error: bool) {
        if has_error {
            take_error(&self.visible);
        }
        put(&self.visible, FUSE, SendFlags::empty());
        let _ = connect_unspec(&self.hidden);
        let _ = getsockname(&self.visible).and_then(|visible| connect(&self.hidden, &visible));
    }

    fn show_room(&self, ready: PollMask, edges: PollMask) {
        match (self.shown.contains(PollMask::OUT), ready.contains(PollMask::OUT)) {
            (true, false) => fill(&self.visible),
            (false, false) => {}
            (true, true) if !edges.intersects(ROOM) || self.shown.contains(PollMask::HUP) => {}
            (_, true) => {
                drain(&self.hidden);
                put(&self.visible, FUSE, SendFlags::empty());
            }
        }
    }

    fn show_end(&self, ready: PollMask, edges: PollMask) {
        let rises = |what| ready.contains(what) && !self.shown.contains(what);
        // Where nothing can be put in any more, an end that comes again is the edge of all that comes.
        let again = self.shown.contains(PollMask::RDHUP) && edges.intersects(ARRIVAL)
            || self.shown.contains(PollMask::HUP) && edges.intersects(ROOM);
        if rises(PollMask::HUP) {
            end(&self.visible, Shutdown::Both);
        } else if rises(PollMask::RDHUP) || again {
            end(&self.visible, Shutdown::Read);
        }
    }
}
