//! A socket that listens: the connections that wait to be accepted.

use std::collections::VecDeque;

use super::ancillary::Credentials;
use super::error::AcceptError;
use super::pair::Shutdown;
use super::poll::View;
use crate::poll::PollMask;

/// The queue of a listening socket. `C` stands for a connection whose second end is to be accepted, with whatever the
/// caller wants to know of it.
///
/// ```
/// use tapsock_sockets::local::{AcceptError, Credentials, Listener};
///
/// let mut listener = Listener::new(0, 4096, Credentials { pid: 1, uid: 0, gid: 0 });
/// listener.check().unwrap();
/// listener.push("a connection");
/// assert_eq!(listener.check(), Err(AcceptError::WouldBlock));
/// assert_eq!(listener.try_accept(), Ok("a connection"));
/// ```
#[derive(Debug)]
pub struct Listener<C> {
    backlog: usize,
    pending: VecDeque<C>,
    owner: Credentials,
    receive_shut: bool,
    send_shut: bool,
}

impl<C> Listener<C> {
    /// Listens with `backlog` as the call has it, bounded by `net.core.somaxconn`, for the process `owner`.
    pub fn new(backlog: i32, somaxconn: i32, owner: Credentials) -> Self {
        Listener {
            backlog: bounded(backlog, somaxconn),
            pending: VecDeque::new(),
            owner,
            receive_shut: false,
            send_shut: false,
        }
    }

    /// `listen` again, with another backlog: whether those that wait to connect are to try again.
    pub fn set_backlog(&mut self, backlog: i32, somaxconn: i32, owner: Credentials) -> bool {
        let before = self.backlog;
        self.backlog = bounded(backlog, somaxconn);
        self.owner = owner;
        self.backlog > before
    }

    /// Who called `listen`, last: what SO_PEERCRED shows to those who connect.
    pub fn owner(&self) -> Credentials {
        self.owner
    }

    /// Whether one more may connect. As on Linux, one more waits than the backlog says.
    pub fn check(&self) -> Result<(), AcceptError> {
        if self.receive_shut {
            return Err(AcceptError::Refused);
        }
        if self.pending.len() > self.backlog { Err(AcceptError::WouldBlock) } else { Ok(()) }
    }

    /// Adds a connection, after [`check`](Self::check).
    pub fn push(&mut self, connection: C) {
        self.pending.push_back(connection);
    }

    /// Takes the connection that came first. Its client may have closed it already.
    pub fn try_accept(&mut self) -> Result<C, AcceptError> {
        let none = if self.receive_shut { AcceptError::Shut } else { AcceptError::WouldBlock };
        self.pending.pop_front().ok_or(none)
    }

    /// Ends directions, as before `listen`: without reading, nobody connects any more, but what waits is still
    /// accepted. Those who wait to connect or to accept are to try again.
    pub fn shutdown(&mut self, how: Shutdown) {
        self.receive_shut |= how.reads();
        self.send_shut |= how.writes();
    }

    /// Closes the listener; returns the connections, whose second ends are to be closed.
    #[must_use = "their clients get ECONNRESET when the second ends are closed"]
    pub fn close(&mut self) -> impl Iterator<Item = C> {
        self.receive_shut = true;
        core::mem::take(&mut self.pending).into_iter()
    }

    /// The connections that wait, in order.
    pub fn pending(&self) -> impl Iterator<Item = &C> {
        self.pending.iter()
    }

    /// The events of the socket.
    pub fn readiness(&self) -> PollMask {
        let view = View {
            readable: !self.pending.is_empty(),
            receive_shut: self.receive_shut,
            send_shut: self.send_shut,
            ..View::default()
        };
        view.readiness()
    }
}

/// Linux takes a negative backlog for a very large one.
fn bounded(backlog: i32, somaxconn: i32) -> usize {
    (backlog as u32).min(somaxconn as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Credentials = Credentials { pid: 1, uid: 2, gid: 3 };

    /// Connects as often as the listener lets.
    fn fill(listener: &mut Listener<usize>) -> usize {
        (0..).take_while(|number| listener.check().map(|()| listener.push(*number)).is_ok()).count()
    }

    #[test]
    fn one_more_waits_than_the_backlog_says() {
        let mut listener = Listener::new(0, 4096, OWNER);
        assert_eq!(fill(&mut listener), 1);
        assert!(listener.set_backlog(2, 4096, OWNER));
        assert_eq!(fill(&mut listener), 2);
        assert!(!listener.set_backlog(1, 4096, OWNER));
        assert_eq!(listener.check(), Err(AcceptError::WouldBlock));
        assert_eq!(listener.try_accept(), Ok(0));
        assert_eq!(listener.check(), Err(AcceptError::WouldBlock));
        assert_eq!(listener.try_accept(), Ok(0));
        assert_eq!(listener.check(), Ok(()));
    }

    #[test]
    fn a_negative_backlog_is_the_largest() {
        assert_eq!(fill(&mut Listener::new(-1, 7, OWNER)), 8);
        assert_eq!(fill(&mut Listener::new(100, 7, OWNER)), 8);
    }

    /// As Linux 6.18: `accept` gives what waits, and fails with EINVAL after.
    #[test]
    fn shut_for_reading_it_refuses_and_accepts_what_waits() {
        let mut listener = Listener::new(5, 4096, OWNER);
        listener.push(1);
        listener.shutdown(Shutdown::Write);
        assert_eq!(listener.check(), Ok(()));
        assert_eq!(format!("{:?}", listener.readiness()), "IN|RDNORM");
        listener.shutdown(Shutdown::Read);
        assert_eq!(listener.check(), Err(AcceptError::Refused));
        assert_eq!(format!("{:?}", listener.readiness()), "IN|HUP|RDNORM|RDHUP");
        assert_eq!(listener.try_accept(), Ok(1));
        assert_eq!(listener.try_accept(), Err(AcceptError::Shut));
    }

    #[test]
    fn closed_it_gives_back_what_waits() {
        let mut listener = Listener::new(5, 4096, OWNER);
        assert_eq!(listener.readiness(), PollMask::NONE);
        listener.push(1);
        listener.push(2);
        assert_eq!(listener.close().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((listener.check(), listener.pending().count()), (Err(AcceptError::Refused), 0));
    }
}
