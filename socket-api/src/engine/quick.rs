//! The calls on the stack's sockets, of which most never wait.

use rustix::io::Errno;
use tapsock_sockets::{Blocking, Fd, OptionValue, PollMask, SockAddr, Sockets, Stop, Wait};
use tapsock_stack::time::Instant;

use super::shard::Shard;

impl Shard {
    /// See socket(2).
    pub(crate) fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
        self.at_once(|sockets, _| {
            self.take_back(sockets);
            sockets.socket(domain, kind, protocol)
        })
    }

    /// See bind(2).
    pub(crate) fn bind(&self, socket: Fd, address: &SockAddr) -> Result<(), Errno> {
        self.at_once(|sockets, now| sockets.bind(now, socket, address))
    }

    /// See listen(2).
    pub(crate) fn listen(&self, socket: Fd, backlog: i32) -> Result<(), Errno> {
        self.at_once(|sockets, now| sockets.listen(now, socket, backlog))
    }

    /// See accept4(2).
    pub(crate) fn accept(&self, socket: Fd, flags: i32) -> Result<(Fd, SockAddr), Errno> {
        self.call(Errno::AGAIN, |sockets, now| {
            self.take_back(sockets);
            sockets.try_accept(now, socket, flags)
        })
    }

    /// See connect(2).
    pub(crate) fn connect(&self, socket: Fd, address: &SockAddr) -> Result<(), Errno> {
        let mut again = false;
        self.call(Errno::INPROGRESS, |sockets, now| match core::mem::replace(&mut again, true) {
            false => sockets.try_connect(now, socket, address),
            true => sockets.try_connect_again(now, socket, address),
        })
    }

    /// As [`connect`](Self::connect), which waits until `deadline` whatever the socket is set to: others that have the
    /// socket see no change of that.
    ///
    /// Errors: its own; ETIMEDOUT when the time is over.
    pub(crate) fn connect_until(
        &self,
        socket: Fd,
        address: &SockAddr,
        deadline: Instant,
    ) -> Result<(), Errno> {
        let mut again = false;
        self.call(Errno::TIMEDOUT, |sockets, now| {
            let (outcome, goes_on) = match core::mem::replace(&mut again, true) {
                false => (sockets.try_connect(now, socket, address), Errno::INPROGRESS),
                true => (sockets.try_connect_again(now, socket, address), Errno::ALREADY),
            };
            outcome.map_err(|stop| match stop {
                Stop::Error(errno) if errno != goes_on => stop,
                _ => Stop::Wait(Wait { socket, mask: PollMask::WAIT_OUT, deadline: Some(deadline) }),
            })
        })
    }

    /// See shutdown(2).
    pub(crate) fn shutdown(&self, socket: Fd, how: i32) -> Result<(), Errno> {
        let mut turn = self.turn();
        let now = turn.now;
        let outcome = turn.state.sockets.shutdown(now, socket, how);
        // What ends by a call of ours is no event of the stack's.
        if outcome != Err(Errno::INVAL) {
            turn.changed(socket);
        }
        turn.finish();
        outcome
    }

    /// See getsockname(2).
    pub(crate) fn local_address(&self, socket: Fd) -> Result<SockAddr, Errno> {
        self.turn().state.sockets.local_address(socket)
    }

    /// See getpeername(2).
    pub(crate) fn peer_address(&self, socket: Fd) -> Result<SockAddr, Errno> {
        self.turn().state.sockets.peer_address(socket)
    }

    /// See getsockopt(2).
    pub(crate) fn option(&self, socket: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        self.at_once(|sockets, now| sockets.option(now, socket, level, name))
    }

    /// See getsockopt(2), of an option that is asked about something.
    pub(crate) fn option_about(
        &self,
        socket: Fd,
        level: i32,
        name: i32,
        asked: &[u8],
    ) -> Result<OptionValue, Errno> {
        self.at_once(|sockets, now| sockets.option_about(now, socket, level, name, asked))
    }

    /// See setsockopt(2).
    pub(crate) fn set_option(&self, socket: Fd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.at_once(|sockets, now| sockets.set_option(now, socket, level, name, value))
    }

    /// O_NONBLOCK of fcntl(2).
    pub(crate) fn set_blocking(&self, socket: Fd, blocking: Blocking) -> Result<(), Errno> {
        self.turn().state.sockets.set_blocking(socket, blocking)
    }

    /// Whether its calls wait.
    pub(crate) fn blocking(&self, socket: Fd) -> Result<Blocking, Errno> {
        self.turn().state.sockets.blocking(socket)
    }

    fn at_once<T>(&self, call: impl FnOnce(&mut Sockets, Instant) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut turn = self.turn();
        let now = turn.now;
        let outcome = call(&mut turn.state.sockets, now);
        turn.finish();
        outcome
    }
}
