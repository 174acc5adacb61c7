//! What happens to sockets, and what they are ready for.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::stack::{Changes, SocketId};

use crate::errno::socket_error;
use crate::poll::{PollMask, readiness};
use crate::socket::{Body, Received, Socket};
use crate::table::Fd;

use super::Sockets;

impl Sockets {
    /// What the socket is ready for, from its state as it is now: poll(2). NVAL where there is no such socket.
    pub fn readiness(&self, fd: Fd) -> PollMask {
        match self.table.get(fd) {
            // The call that waits in `close` watches it too.
            Some(Socket { body: Body::Tcp(tcp), .. }) if tcp.is_lingering() => {
                if tcp.is_unfinished(&self.stack) { PollMask::NONE } else { PollMask::HUP }
            }
            Some(socket) => readiness(socket.view(&self.stack)),
            None => PollMask::NVAL,
        }
    }

    /// How long a call that receives looks at the link before it sleeps (SO_BUSY_POLL).
    pub fn busy_poll(&self, fd: Fd) -> Duration {
        let micros = self.open(fd).map_or(0, |socket| socket.common.options.rare().busy_poll);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// What a call gets that asks for nothing, once it has waited: as on Linux, a stream's waits for data once, and then ends
    /// with what options tell beside them. `None` where it goes on as others do.
    pub fn nothing_after_a_wait(&self, fd: Fd, max: usize) -> Option<Received> {
        match self.open(fd) {
            Some(Socket { common, body: Body::Tcp(tcp) }) if max == 0 => {
                Some(tcp.nothing_read(&self.stack, &common.options))
            }
            _ => None,
        }
    }

    /// Whether the next call on the socket fails for what happened earlier. Unlike [`PollMask::ERR`] it does not speak of
    /// reports in the error queue.
    pub fn has_pending_error(&self, fd: Fd) -> bool {
        self.open(fd).is_some_and(|socket| match &socket.body {
            Body::Tcp(tcp) => tcp.has_pending_error(&self.stack),
            body => body.mail(&self.stack).is_some_and(|mail| mail.has_error()),
        })
    }

    /// Gives back an error that a call has taken and does not tell: the next one tells it (recvmmsg(2)). A stream keeps each,
    /// others those that a socket may have ([`SocketError`](tapsock_stack::error::SocketError)).
    pub fn put_error_back(&mut self, fd: Fd, errno: Errno) {
        let Some(socket) = self.table.get_mut(fd) else { return };
        let id = match &mut socket.body {
            Body::Tcp(tcp) => return tcp.put_error_back(errno),
            body => body.id(),
        };
        let mail = match id {
            Some(SocketId::Udp(id)) => self.stack.udp_mut(id).map(|socket| &mut socket.mail),
            Some(SocketId::Raw(id)) => self.stack.raw_mut(id).map(|socket| &mut socket.mail),
            Some(SocketId::Ping(id)) => self.stack.ping_mail_mut(id),
            _ => None,
        };
        if let Some((mail, error)) = mail.zip(socket_error(errno)) {
            mail.fail(error);
        }
    }

    /// A socket whose readiness may have changed since it was named last, and what happened to it, as an edge counts:
    /// an arrival is one whether or not something lay there before, and [`PollMask::ALL`] stands for a connection
    /// that was made, ended or shut. `NONE` is no edge: room on a socket where nobody missed it. `None` when all have
    /// been named.
    pub fn poll_event(&mut self) -> Option<(Fd, PollMask)> {
        if let Some(changed) = self.changed.pop() {
            return Some(changed);
        }
        // Each turn takes one event of the stack's queue, which is bounded.
        while let Some((id, changes)) = self.stack.poll_event() {
            let owns = |fd: &Fd| self.table.get(*fd).is_some_and(|socket| socket.body.id() == Some(id));
            if let Some(fd) = self.owners.candidate(id).filter(owns) {
                return Some((fd, self.edges(fd, changes)));
            }
        }
        None
    }

    /// Has calls on the socket noted from now on: somebody shows how ready it is, and a call may make it less so, which
    /// is no event. Nothing happens where there is no such socket.
    pub fn observe(&mut self, fd: Fd) {
        if let Some(socket) = self.table.get_mut(fd) {
            socket.common.observed = true;
        }
    }

    /// An observed socket that a call was made on since it was named last. `None` when all have been named.
    pub fn poll_touched(&mut self) -> Option<Fd> {
        self.touched.pop()
    }

    /// What Linux wakes those who wait for `fd` with.
    fn edges(&self, fd: Fd, changes: Changes) -> PollMask {
        if changes.contains(Changes::STATE) {
            return PollMask::ALL;
        }
        let mut mask = PollMask::NONE;
        if changes.contains(Changes::ARRIVAL) {
            mask |= ARRIVAL;
        }
        if changes.contains(Changes::ERROR) {
            mask |= PollMask::ERR;
        }
        let missed = match self.table.get(fd) {
            Some(Socket { body: Body::Tcp(tcp), .. }) => tcp.takes_room(&self.stack),
            _ => true,
        };
        if changes.contains(Changes::ROOM) && missed {
            mask |= PollMask::OUT | PollMask::WRNORM | PollMask::WRBAND;
        }
        mask
    }

    /// Has [`poll_event`](Sockets::poll_event) name a socket whose state a call has changed.
    pub(super) fn tell_of_state(&mut self, fd: Fd) {
        self.tell(fd, PollMask::ALL);
    }

    /// Has [`poll_event`](Sockets::poll_event) name a socket, to which a call has done `what`.
    pub(super) fn tell(&mut self, fd: Fd, what: PollMask) {
        match self.changed.iter_mut().find(|(changed, _)| *changed == fd) {
            Some((_, before)) => *before |= what,
            None => self.changed.push((fd, what)),
        }
    }
}

/// The edge of something to read: Linux's `sk_data_ready`.
pub(super) const ARRIVAL: PollMask = PollMask::from_bits(0x1 | 0x2 | 0x40);
