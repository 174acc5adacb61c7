//! How sockets end: shutdown, close, and a close that lingers.

use rustix::io::Errno;
use tapsock_stack::time::Instant;

use crate::constants::*;
use crate::poll::PollMask;
use crate::socket::{Body, Call, Socket, Stop, Wait};
use crate::table::Fd;

use super::{ClosedNumbers, Sockets};

impl Sockets {
    /// Ends one direction or both: shutdown(2) with SHUT_RD, SHUT_WR or SHUT_RDWR.
    ///
    /// Errors: EBADF, EINVAL for any other `how`, ENOTCONN; a socket without a connection keeps it in mind all the
    /// same, as on Linux.
    pub fn shutdown(&mut self, now: Instant, fd: Fd, how: i32) -> Result<(), Errno> {
        let outcome = self.call(now, fd, |call, body| {
            if !(SHUT_RD..=SHUT_RDWR).contains(&how) {
                return Err(Errno::INVAL);
            }
            match body {
                Body::Tcp(tcp) => tcp.shutdown(call, how),
                Body::Udp(udp) => udp.shutdown(call, how),
                Body::Ping(ping) => ping.shutdown(call, how),
                Body::Raw(raw) => raw.shutdown(call, how),
            }
        });
        let acted = matches!(outcome, Ok(()) | Err(Errno::NOTCONN));
        if acted {
            self.tell_of_state(fd);
        }
        outcome
    }

    /// Closes a socket and waits where it is told to: close(2). With SO_LINGER of some seconds, a connection has that
    /// long until the peer has acknowledged everything and the FIN; meanwhile the socket is gone for all other calls.
    /// The caller goes on with [`try_end_linger`](Sockets::try_end_linger), and with [`close`](Sockets::close) at the
    /// deadline: the connection then closes by itself. As on Linux, a socket that does not block waits too.
    ///
    /// Errors: EBADF.
    pub fn try_close(&mut self, now: Instant, fd: Fd) -> Result<(), Stop> {
        let wait = self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => Ok::<_, Errno>(tcp.linger(call)),
            Body::Udp(_) | Body::Ping(_) | Body::Raw(_) => Ok(None),
        })?;
        match wait {
            Some(wait) => Err(Stop::Wait(wait)),
            None => Ok(self.close(now, fd)?),
        }
    }

    /// Ends a close that waits, once the peer has everything; until then it waits on.
    ///
    /// Errors: EBADF where no close waits.
    pub fn try_end_linger(&mut self, now: Instant, fd: Fd) -> Result<(), Stop> {
        match self.table.get(fd) {
            Some(Socket { body: Body::Tcp(tcp), .. }) if tcp.is_lingering() => {
                if tcp.is_unfinished(&self.stack) {
                    return Err(Stop::Wait(Wait { socket: fd, mask: PollMask::WAIT_OUT, deadline: None }));
                }
            }
            _ => return Err(Errno::BADF.into()),
        }
        Ok(self.close(now, fd)?)
    }

    /// Whether a close of the socket waits.
    pub fn is_lingering(&self, fd: Fd) -> bool {
        self.table.get(fd).is_some_and(|socket| !socket.is_open())
    }

    /// Closes a socket without waiting. Its id is free at once, or kept ([`ClosedNumbers`]). A connection sends what was written and closes by
    /// itself; with SO_LINGER of zero seconds it is reset.
    ///
    /// Errors: EBADF.
    pub fn close(&mut self, now: Instant, fd: Fd) -> Result<(), Errno> {
        let removed = match self.numbers {
            ClosedNumbers::Free => self.table.remove(fd),
            ClosedNumbers::Kept => self.table.take(fd),
        };
        let Socket { mut common, body } = removed.ok_or(Errno::BADF)?;
        self.changed.retain(|(changed, _)| *changed != fd);
        self.touched.retain(|touched| *touched != fd);
        if let Some(id) = body.id() {
            self.owners.remove(id, fd);
        }
        let Sockets { stack, known, permission, .. } = self;
        let mut call = Call { stack, common: &mut common, known, permission: *permission, fd, now };
        match body {
            Body::Tcp(tcp) => tcp.close(&mut call),
            Body::Udp(udp) => udp.close(&mut call),
            Body::Ping(ping) => ping.close(&mut call),
            Body::Raw(raw) => raw.close(&mut call),
        }
        Ok(())
    }

    /// Closes all sockets, whose connections then close by themselves.
    pub fn close_all(&mut self, now: Instant) {
        let numbers: Vec<Fd> = self.table.numbers().collect();
        for fd in numbers {
            if let Some(socket) = self.table.get_mut(fd) {
                socket.common.options.do_not_linger();
            }
            // The number is from the table itself.
            let _ = self.close(now, fd);
        }
    }
}
