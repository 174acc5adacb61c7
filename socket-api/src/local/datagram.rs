//! Datagrams between local sockets.
//!
//! A datagram touches two sockets, and so two locks: the sender's half first, then the receiver's, never both at once.

use rustix::io::Errno;
use tapsock_sockets::constants::{MSG_OOB, MSG_PEEK};
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::{
    Ancillary, Credentials, DatagramSocket, Delivery, Discarded, Filling, Payload, Peek, RecvError,
    SMALL_MAX, SendError, Sender,
};
use tapsock_sockets::{PollMask, Stamp, UnixAddr};

use super::cell::{Cell, Events, Halt, Patience, Queue, Shared};
use super::close::Elsewhere;
use super::flight::locals;
use super::source::Source;
use super::{Flying, LocalSocket, everything};
use crate::engine::sync::{Arc, lock};
use crate::engine::transfer::copy_in;

/// Calls on the socket itself wait in this queue.
pub(super) const OWN: Queue = 0;
/// Those who would send to it wait in this one.
pub(super) const SENDERS: Queue = 1;

/// Linux's `EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND`.
const ROOM: PollMask = PollMask::from_bits(0x4 | 0x100 | 0x200);

pub(super) type Datagrams = DatagramSocket<u64, Flying>;

impl Shared for Datagrams {
    fn readiness(&self, queue: Queue) -> PollMask {
        match queue {
            OWN => DatagramSocket::readiness(self, false),
            // Nobody bears this number: a stranger.
            _ if self.is_full_for(0) => PollMask::NONE,
            _ => PollMask::OUT,
        }
    }
}

/// A message that came in, of whichever kind of socket.
#[derive(Default)]
pub(crate) struct Incoming {
    /// Bytes that were copied.
    pub(crate) len: usize,
    /// Bytes that it had.
    pub(crate) full_len: usize,
    /// Who sent it, where it is a datagram.
    pub(crate) from: Option<UnixAddr>,
    /// There is no message, and none will come.
    pub(crate) is_end: bool,
    /// The sender's credentials, where they were asked for.
    pub(crate) credentials: Option<Credentials>,
    /// When it was sent, where that was asked for.
    pub(crate) stamp: Option<Stamp>,
    /// What was passed.
    pub(crate) rights: Vec<Flying>,
}

impl LocalSocket {
    /// Makes `peer` the one to send to and to receive from.
    pub(super) fn join(&self, peer: &LocalSocket) -> Result<(), Errno> {
        if let Some(cell) = &self.datagrams {
            let discarded = cell.take_out(OWN, |socket, events| {
                everything(events);
                socket.connect(peer.number)
            })?;
            self.give_back(discarded);
        }
        Ok(())
    }

    pub(super) fn connect_datagrams(self: &Arc<Self>, address: &UnixAddr) -> Result<(), Errno> {
        let peer = self.look_up(address)?;
        let theirs = peer.datagrams.as_ref().ok_or(Errno::PROTOTYPE)?;
        if !theirs.lock().state.takes_from(self.number) {
            return Err(Errno::PERM);
        }
        self.join(&peer)
    }

    /// Connects to nobody: connect(2) with AF_UNSPEC.
    ///
    /// Errors: EINVAL on a socket of another type.
    pub(crate) fn dissolve(&self) -> Result<(), Errno> {
        let _touch = self.touch();
        let cell = self.datagrams.as_ref().ok_or(Errno::INVAL)?;
        let discarded = cell.take_out(OWN, |socket, events| {
            everything(events);
            socket.dissolve()
        })?;
        self.give_back(discarded);
        Ok(())
    }

    pub(super) fn datagram_peer(&self) -> Option<Arc<LocalSocket>> {
        let number = self.datagrams.as_ref()?.lock().state.peer()?;
        self.numbered(number)
    }

    pub(super) fn numbered(&self, number: u64) -> Option<Arc<LocalSocket>> {
        lock(&self.host.sockets).get(&number)?.upgrade()
    }

    /// The events of a datagram socket, whose peer may be full.
    pub(super) fn datagram_readiness(&self, cell: &Cell<Datagrams>) -> PollMask {
        let peer = self.datagram_peer();
        let full = peer.as_ref().and_then(|peer| peer.datagrams.as_ref());
        let full = full.is_some_and(|theirs| self.finds_full(theirs));
        DatagramSocket::readiness(&cell.lock().state, full)
    }

    /// Whether `theirs` takes no more of this socket's; then whoever watches this socket is told when it may again.
    fn finds_full(&self, theirs: &Cell<Datagrams>) -> bool {
        let audience = self.audience().filter(|audience| audience.is_interested());
        let mut theirs = theirs.lock();
        let full = theirs.state.is_full_for(self.number);
        if let Some(audience) = audience.filter(|_| full) {
            theirs.attach_once(SENDERS, &audience);
        }
        full
    }

    /// Sends one datagram, to `to` or to the peer.
    pub(super) fn send_datagram(
        self: &Arc<Self>,
        cell: &Cell<Datagrams>,
        data: Source<'_>,
        flags: i32,
        to: Option<&UnixAddr>,
        ancillary: &mut Ancillary<Flying>,
    ) -> Result<usize, Errno> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        if to == Some(&UnixAddr::UNNAMED) {
            return Err(Errno::INVAL);
        }
        if cell.lock().state.options.pass_credentials {
            self.autobind()?;
        }
        let patience = self.send_patience(flags);
        let charge = cell.call(OWN, PollMask::WAIT_OUT, patience, |socket, _| {
            socket.reserve(data.len()).map_err(|error| match error {
                SendError::WouldBlock => Halt::Wait,
                error => error.errno().into(),
            })
        })?;
        let sent = self.deliver(cell, data, to, charge, patience, ancillary);
        if sent.is_err() {
            self.release(charge);
        }
        sent
    }

    fn deliver(
        &self,
        cell: &Cell<Datagrams>,
        data: Source<'_>,
        to: Option<&UnixAddr>,
        charge: u32,
        patience: Patience,
        ancillary: &mut Ancillary<Flying>,
    ) -> Result<usize, Errno> {
        let receiver = match to {
            Some(address) => self.look_up(address)?,
            None => {
                let peer = cell.lock().state.peer().ok_or(Errno::NOTCONN)?;
                match self.numbered(peer) {
                    Some(peer) => peer,
                    None => {
                        let discarded = cell.take_out(OWN, |socket, _| socket.on_peer_gone())?;
                        self.give_back(discarded);
                        return Err(Errno::CONNREFUSED);
                    }
                }
            }
        };
        let theirs = receiver.datagrams.as_ref().ok_or(Errno::PROTOTYPE)?;
        let passes = theirs.lock().state.options.pass_credentials;
        let credentials = cell.lock().state.credentials(ancillary, passes);
        let from = Sender { id: self.number, address: self.name(), charge };
        let rights = core::mem::take(&mut ancillary.rights);
        let passed = locals(&rights);
        let mut delivery = Delivery { from, credentials, sent_at: ancillary.sent_at, rights };
        let data = &*data.piece(0, data.len());
        let mut rope = (data.len() > SMALL_MAX).then(|| copy_in(data));
        let mut attempt = |socket: &mut Datagrams, events: &mut Events| {
            if self.is_closed() {
                return Err(Errno::BADF.into());
            }
            if receiver.is_closed() {
                return Err(Errno::CONNREFUSED.into());
            }
            let payload = match &mut rope {
                Some(rope) => Payload::Rope(rope),
                None => Payload::Bytes(data),
            };
            match socket.deliver(payload, &mut delivery) {
                Ok(()) => {
                    events.push((OWN, PollMask::IN | PollMask::RDNORM));
                    Ok(data.len())
                }
                Err(SendError::WouldBlock) => Err(Halt::Wait),
                Err(error) => Err(error.errno().into()),
            }
        };
        let mut sent = theirs.call(SENDERS, PollMask::OUT, Patience::None, &mut attempt);
        if sent == Err(Errno::AGAIN) && matches!(patience, Patience::Until(_)) {
            let wait = || theirs.call(SENDERS, PollMask::OUT, patience, &mut attempt);
            sent = self.away(Elsewhere::Receiver(theirs.clone()), wait);
        }
        if sent == Err(Errno::CONNREFUSED) && to.is_none() {
            let discarded = cell.take_out(OWN, |socket, _| socket.on_peer_gone())?;
            self.give_back(discarded);
        }
        if sent == Err(Errno::AGAIN) && to.is_none() && !self.finds_full(theirs) {
            // Room came between the two looks.
            if let Some(audience) = self.audience() {
                audience.tell_now(ROOM);
            }
        }
        if sent.is_ok() && !passed.is_empty() {
            self.host.flights.on_passed(&passed, &receiver);
        }
        // What was not delivered stays with the sender.
        ancillary.rights = delivery.rights;
        sent
    }

    /// Receives one datagram.
    pub(super) fn receive_datagram(
        &self,
        cell: &Cell<Datagrams>,
        mut sink: Filling<'_>,
        flags: i32,
    ) -> Result<Incoming, Errno> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let peek = if flags & MSG_PEEK != 0 { Peek::Yes } else { Peek::No };
        let patience = self.receive_patience(flags);
        let max = sink.room();
        let record = cell.call(OWN, PollMask::WAIT_IN, patience, |socket, events| {
            match socket.try_recv(max, peek, &mut sink) {
                Ok(record) => {
                    events.push((SENDERS, ROOM));
                    Ok(Some(record))
                }
                Err(RecvError::WouldBlock)
                    if !matches!(patience, Patience::None) && socket.receive_is_over() =>
                {
                    Ok(None)
                }
                Err(RecvError::WouldBlock) => Err(Halt::Wait),
                Err(error) => Err(error.errno().into()),
            }
        })?;
        sink.finish();
        let Some(record) = record else { return Ok(Incoming { is_end: true, ..Incoming::default() }) };
        if let (Peek::No, Some(sender)) = (peek, &record.sender) {
            self.release_of(sender);
        }
        Ok(Incoming {
            len: record.len,
            full_len: record.full_len,
            stamp: self.stamp(&record),
            from: record.sender.map(|sender| sender.address),
            is_end: false,
            credentials: record.credentials,
            rights: record.rights,
        })
    }

    pub(super) fn close_datagrams(&self) -> Vec<Flying> {
        let Some(cell) = &self.datagrams else { return Vec::new() };
        let mut discarded = cell.close(OWN, |socket| socket.close());
        let rights = core::mem::take(&mut discarded.rights);
        self.give_back(discarded);
        rights
    }

    /// The charge of a datagram of this socket comes back.
    fn release(&self, charge: u32) {
        if let Some(cell) = &self.datagrams {
            cell.with(|socket, events| {
                socket.release(charge);
                if socket.credit().is_writable() {
                    events.push((OWN, ROOM));
                }
            });
        }
    }

    fn release_of(&self, sender: &Sender<u64>) {
        if sender.id == self.number {
            self.release(sender.charge);
        } else if let Some(socket) = self.numbered(sender.id) {
            socket.release(sender.charge);
        }
    }

    /// Datagrams that nobody will receive: their senders get their charges back.
    pub(super) fn give_back(&self, discarded: Discarded<u64, Flying>) {
        discarded.senders.iter().for_each(|sender| self.release_of(sender));
        let former = discarded.former.and_then(|former| self.numbered(former.0));
        if let Some(cell) = former.as_ref().and_then(|former| former.datagrams.as_ref()) {
            cell.with(|socket, events| {
                socket.on_peer_left(self.number);
                everything(events);
            });
        }
    }
}
