//! Sending and receiving, whatever the type.

use std::io::IoSliceMut;

use rustix::io::Errno;
use tapsock_sockets::constants::MSG_OOB;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Credentials, Filling, Pair, ReceivedRecord, Records, SendError, SocketKind,
};
use tapsock_sockets::{PollMask, Stamp, UnixAddr};
use tapsock_stack::buf::Rope;

use super::cell::Cell;
use super::flight::locals;
use super::source::Source;
use super::{Connection, Flying, Incoming, LocalSocket, Right, process, queue, seqpacket, stream};
use crate::engine::clock::now;
use crate::engine::sync::{Arc, Ordering, lock};

/// What a receiver that asks for credentials is told at the end of a stream, as on Linux.
const NOBODY: Credentials = Credentials { pid: 0, uid: 0, gid: 0 };

impl LocalSocket {
    /// Sends `data`: sendmsg(2). Returns how many bytes went: on a stream that waits, all of them.
    ///
    /// Errors: EPIPE, EAGAIN, ECONNRESET, ENOTCONN, EISCONN or EOPNOTSUPP for an address on a stream, ECONNREFUSED,
    /// ENOENT, EMSGSIZE, EPERM, ETOOMANYREFS.
    pub(crate) fn send(
        self: &Arc<Self>,
        data: &[u8],
        flags: i32,
        to: Option<&UnixAddr>,
        rights: Vec<Right>,
    ) -> Result<usize, Errno> {
        self.send_message(Source::one(data), flags, to, rights, None)
    }

    /// As [`send`](Self::send), in the name of `explicit` (SCM_CREDENTIALS), whom the caller may speak for.
    pub(crate) fn send_message(
        self: &Arc<Self>,
        data: Source<'_>,
        flags: i32,
        to: Option<&UnixAddr>,
        rights: Vec<Right>,
        explicit: Option<Credentials>,
    ) -> Result<usize, Errno> {
        let _touch = self.touch();
        let rights = self.host.flights.launch(rights)?;
        let passed = locals(&rights);
        let sent_at = self.host.tells_when().then(now);
        let mut ancillary = Ancillary { rights, explicit, sent_at, ..Ancillary::new(self.sender()) };
        if let Some(cell) = &self.datagrams {
            return self.send_datagram(cell, data, flags, to, &mut ancillary);
        }
        if self.kind == SocketKind::Stream && data.is_empty() && flags & MSG_OOB != 0 {
            return Err(SendError::NothingUrgent.errno());
        }
        let connection = self.connection.get();
        if to.is_some() {
            self.kind.check_address(connection.is_some())?;
        }
        let patience = self.send_patience(flags);
        let sent = match connection {
            Some(Connection::Stream(cell, side)) => {
                stream::send(cell, *side, data, flags, patience, &mut ancillary)
            }
            Some(Connection::Records(cell, side)) => {
                // What fails before that leaves it without a name.
                let asks = |cell: &Cell<Pair<Records<Flying>>>| {
                    let state = &cell.lock().state;
                    state.options(*side).pass_credentials && !state.readiness(*side).intersects(PollMask::ERR)
                };
                if flags & MSG_OOB == 0 && asks(cell) {
                    self.autobind()?;
                }
                seqpacket::send(cell, *side, data, flags, patience, &mut ancillary)
            }
            None => Err(self.unconnected(Errno::NOTCONN)),
        };
        if !passed.is_empty()
            && ancillary.rights.is_empty()
            && let Some(receiver) = connection.and_then(|connection| self.numbered(connection.peer()))
        {
            self.host.flights.on_passed(&passed, &receiver);
        }
        sent
    }

    /// What a socket of records says before it looks at control messages, as on Linux; all others look at those first.
    ///
    /// Errors: ENOTCONN, and the pending one.
    pub(crate) fn check_before_control(&self) -> Result<(), Errno> {
        match self.connection.get() {
            Some(Connection::Records(cell, side)) => {
                let reset = cell.change(queue(*side), |pair, _| pair.take_reset(*side))?;
                if reset { Err(SendError::Reset.errno()) } else { Ok(()) }
            }
            None if self.kind == SocketKind::Seqpacket => Err(self.unconnected(Errno::NOTCONN)),
            _ => Ok(()),
        }
    }

    /// Receives into `into`: recvmsg(2).
    ///
    /// Errors: EAGAIN, ECONNRESET, EINVAL or ENOTCONN on a socket that is not connected.
    pub(crate) fn receive(&self, into: &mut [u8], flags: i32) -> Result<Incoming, Errno> {
        self.receive_into(Filling::new(into), flags)
    }

    /// As [`receive`](Self::receive), into several places: what comes with bytes, or ends them, ends it once.
    pub(crate) fn receive_parts(&self, into: &mut [IoSliceMut<'_>], flags: i32) -> Result<Incoming, Errno> {
        match into {
            [only] => self.receive(only, flags),
            parts => {
                self.receive_into(Filling::several(parts.iter_mut().map(|part| &mut **part).collect()), flags)
            }
        }
    }

    fn receive_into(&self, into: Filling<'_>, flags: i32) -> Result<Incoming, Errno> {
        let _touch = self.touch();
        if let Some(cell) = &self.datagrams {
            return self.receive_datagram(cell, into, flags);
        }
        let patience = self.receive_patience(flags);
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => {
                let (len, beside) = stream::receive(cell, *side, into, flags, patience)?;
                // With the urgent byte comes neither a name nor who sent it.
                let is_urgent = flags & MSG_OOB != 0;
                let asked =
                    || !is_urgent && !beside.found && cell.lock().state.options(*side).pass_credentials;
                Ok(Incoming {
                    len,
                    full_len: len,
                    from: None,
                    is_end: is_urgent || !beside.found,
                    credentials: beside.credentials.or_else(|| asked().then_some(NOBODY)),
                    stamp: None,
                    rights: beside.rights,
                })
            }
            Some(Connection::Records(cell, side)) => {
                let record = seqpacket::receive(cell, *side, into, flags, patience)?;
                Ok(Incoming {
                    len: record.len,
                    full_len: record.full_len,
                    from: None,
                    is_end: record.sender.is_none(),
                    credentials: record.credentials,
                    stamp: self.stamp(&record),
                    rights: record.rights,
                })
            }
            None => Err(self.unconnected(self.kind.receive_unconnected())),
        }
    }

    /// Sends all of `data` on a stream, by reference. Returns how many bytes went.
    ///
    /// Errors: those of [`send`](Self::send); EOPNOTSUPP on a socket of another type.
    pub(crate) fn send_rope(self: &Arc<Self>, mut data: Rope) -> Result<usize, Errno> {
        let _touch = self.touch();
        let patience = self.send_patience(0);
        let mut ancillary = Ancillary::new(self.sender());
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => {
                stream::send_rope(cell, *side, &mut data, patience, &mut ancillary)
            }
            Some(Connection::Records(..)) => Err(Errno::OPNOTSUPP),
            None => Err(self.unconnected(Errno::NOTCONN)),
        }
    }

    /// Receives what lies in one piece at the front of a stream, by reference.
    ///
    /// Errors: those of [`receive`](Self::receive); EOPNOTSUPP on a socket of another type.
    pub(crate) fn receive_piece(&self) -> Result<Rope, Errno> {
        let _touch = self.touch();
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => {
                stream::receive_piece(cell, *side, self.receive_patience(0))
            }
            Some(Connection::Records(..)) => Err(Errno::OPNOTSUPP),
            None => Err(self.unconnected(self.kind.receive_unconnected())),
        }
    }

    /// When it was sent, where that is asked for. To one who asks only now it comes now, as on Linux.
    pub(super) fn stamp<S>(&self, record: &ReceivedRecord<Flying, S>) -> Option<Stamp> {
        if !self.host.tells_when() || record.sender.is_none() {
            return None;
        }
        let unit = self.end_options().stamps?;
        Some(unit.stamp(record.sent_at.unwrap_or_else(now)))
    }

    /// Who sends, for a message that may have to bear it: three system calls, made only where somebody may ask for it.
    fn sender(&self) -> Credentials {
        if self.host.passes_credentials() || self.is_peer_pending() {
            process()
        } else {
            Credentials::UNKNOWN
        }
    }

    /// Whether the other end of its connection is still to be accepted: what is sent there bears who sent it, as on Linux,
    /// for nobody could ask yet.
    fn is_peer_pending(&self) -> bool {
        if self.accepted.load(Ordering::Relaxed) {
            return false;
        }
        let is_pending = match self.connection.get() {
            Some(Connection::Stream(cell, _)) => cell.lock().state.is_pending(),
            Some(Connection::Records(cell, _)) => cell.lock().state.is_pending(),
            None => return false,
        };
        self.accepted.store(!is_pending, Ordering::Relaxed);
        is_pending
    }

    /// Why a call fails that needs a connection and found none: `errno`, or EBADF where the socket is closed meanwhile.
    fn unconnected(&self, errno: Errno) -> Errno {
        if self.is_closed() { Errno::BADF } else { errno }
    }

    /// Whether it sends to addresses.
    pub(crate) fn is_datagram(&self) -> bool {
        self.kind == SocketKind::Datagram
    }

    /// Gives a socket without a name one: what Linux does where it sends or connects with SO_PASSCRED on, so that the
    /// other side knows whom it hears.
    pub(super) fn autobind(self: &Arc<Self>) -> Result<(), Errno> {
        if lock(&self.own).name.is_some() {
            return Ok(());
        }
        self.bind(&UnixAddr::UNNAMED)
    }
}

impl Connection {
    /// The number of the socket across.
    fn peer(&self) -> u64 {
        match self {
            Connection::Stream(cell, side) => cell.lock().owners[queue(side.other())],
            Connection::Records(cell, side) => cell.lock().owners[queue(side.other())],
        }
    }
}
