//! SOCK_DGRAM: datagrams, none lost, none out of order.
//!
//! A socket stands for itself, so that each can have a lock of its own. A datagram goes in two steps: the sender's half,
//! [`DatagramSocket::reserve`], which charges its send buffer, then the receiver's, [`DatagramSocket::deliver`]. When the
//! datagram is taken, or could not be delivered, the charge goes back to the sender ([`DatagramSocket::release`]). `I` is
//! what sockets are known by to each other.

use tapsock_stack::time::Instant;

use super::ancillary::{Ancillary, Credentials};
use super::credit::{RECORD_MAX, SendCredit, record_charge};
use super::error::{RecvError, SendError};
use super::pair::{EndOptions, Inbox, Shutdown};
use super::payload::{Payload, Sink};
use super::poll::View;
use super::records::{Peek, ReceivedRecord, Records};
use crate::address::UnixAddr;
use crate::poll::PollMask;

/// `net.unix.max_dgram_qlen` of a fresh host: more than so many datagrams that wait make a queue full.
pub const DATAGRAM_QUEUE_DEFAULT: usize = 10;

/// A datagram socket.
///
/// ```
/// use tapsock_sockets::UnixAddr;
/// use tapsock_sockets::local::{
///     Credentials, DATAGRAM_QUEUE_DEFAULT, DatagramSocket, Delivery, Peek, Sender,
/// };
///
/// let mut sender: DatagramSocket<u32, ()> = DatagramSocket::new(1, DATAGRAM_QUEUE_DEFAULT);
/// let mut receiver: DatagramSocket<u32, ()> = DatagramSocket::new(2, DATAGRAM_QUEUE_DEFAULT);
/// let charge = sender.reserve(5).unwrap();
/// let from = Sender { id: 1, address: UnixAddr::UNNAMED, charge };
/// let mut delivery = Delivery { from, credentials: Credentials::UNKNOWN, sent_at: None, rights: vec![] };
/// receiver.deliver(b"hello"[..].into(), &mut delivery).unwrap();
/// let mut bytes = Vec::new();
/// let received = receiver.try_recv(100, Peek::No, &mut bytes).unwrap();
/// assert_eq!(bytes, b"hello");
/// sender.release(received.sender.unwrap().charge);
/// ```
#[derive(Debug)]
pub struct DatagramSocket<I, R> {
    id: I,
    peer: Option<I>,
    queue: Records<R, Sender<I>>,
    queue_max: usize,
    credit: SendCredit,
    /// Options that receiving acts on. SO_RCVLOWAT and SO_OOBINLINE have no effect.
    pub options: EndOptions,
    receive_shut: bool,
    send_shut: bool,
    /// The peer has turned away; told once.
    reset: bool,
}

/// Who sent a datagram, and what it is charged.
///
/// ```
/// use tapsock_sockets::UnixAddr;
/// use tapsock_sockets::local::Sender;
///
/// let sender = Sender { id: 1, address: UnixAddr::UNNAMED, charge: 768 };
/// assert_eq!(sender.charge, 768);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sender<I> {
    /// The socket.
    pub id: I,
    /// Its name when it sent, as `recvfrom` shows it.
    pub address: UnixAddr,
    /// What its send buffer holds for the datagram.
    pub charge: u32,
}

/// What a datagram bears beside its bytes.
///
/// ```
/// use tapsock_sockets::UnixAddr;
/// use tapsock_sockets::local::{Credentials, Delivery, Sender};
///
/// let from = Sender { id: 1, address: UnixAddr::UNNAMED, charge: 768 };
/// let delivery: Delivery<_, ()> = Delivery { from, credentials: Credentials::UNKNOWN, sent_at: None, rights: vec![] };
/// assert!(delivery.rights.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Delivery<I, R> {
    /// Who sends it.
    pub from: Sender<I>,
    /// From [`DatagramSocket::credentials`].
    pub credentials: Credentials,
    /// When it is sent, where the receiver may want to know.
    pub sent_at: Option<Instant>,
    /// SCM_RIGHTS.
    pub rights: Vec<R>,
}

/// A peer that was left: it is to be told by [`DatagramSocket::on_peer_left`], if it is still there.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "the former peer is to be told"]
pub struct Former<I>(pub I);

/// Datagrams that nobody will receive: their charges go back to the senders, their handles are dropped without a lock.
#[derive(Debug)]
#[must_use = "charges go back to the senders"]
pub struct Discarded<I, R> {
    /// Each datagram's sender.
    pub senders: Vec<Sender<I>>,
    /// All handles.
    pub rights: Vec<R>,
    /// The peer that lost an answer by it.
    pub former: Option<Former<I>>,
}

impl<I, R> Discarded<I, R> {
    fn nothing() -> Self {
        Discarded { senders: Vec::new(), rights: Vec::new(), former: None }
    }
}

impl<I: Copy + Eq, R: Clone> DatagramSocket<I, R> {
    /// A fresh socket, whose queue is full with more than `queue_max` datagrams.
    pub fn new(id: I, queue_max: usize) -> Self {
        DatagramSocket {
            id,
            peer: None,
            queue: Records::default(),
            queue_max,
            credit: SendCredit::default(),
            options: EndOptions::default(),
            receive_shut: false,
            send_shut: false,
            reset: false,
        }
    }

    /// The socket that it is connected to.
    pub fn peer(&self) -> Option<I> {
        self.peer
    }

    /// The sender's half of sending `len` bytes: their charge, which its send buffer holds from then on. Linux does this
    /// before it looks for the receiver, so that its errors come first: TooLong, Reset, BrokenPipe, WouldBlock.
    pub fn reserve(&mut self, len: usize) -> Result<u32, SendError> {
        if len > self.credit.longest_record() {
            return Err(SendError::TooLong);
        }
        if core::mem::take(&mut self.reset) {
            return Err(SendError::Reset);
        }
        if self.send_shut {
            return Err(SendError::BrokenPipe);
        }
        if !self.credit.has_room() {
            return Err(SendError::WouldBlock);
        }
        if len > RECORD_MAX {
            return Err(SendError::NoBuffer);
        }
        let charge = record_charge(len);
        self.credit.charge(charge);
        Ok(charge)
    }

    /// The charge of a datagram that was taken, or not delivered, comes back.
    pub fn release(&mut self, charge: u32) {
        self.credit.release(u64::from(charge));
    }

    /// The credentials that a datagram bears from this socket to one where SO_PASSCRED is `receiver_passes`.
    pub fn credentials(&self, ancillary: &Ancillary<R>, receiver_passes: bool) -> Credentials {
        ancillary.credentials(self.options.pass_credentials || receiver_passes)
    }

    /// The receiver's half: takes the datagram and the handles of `delivery`, or neither. Errors: Permission where it is
    /// connected to another socket, BrokenPipe where it takes no more, WouldBlock where its queue is full; the sender's
    /// charge is to be released then.
    pub fn deliver(&mut self, payload: Payload<'_>, delivery: &mut Delivery<I, R>) -> Result<(), SendError> {
        let from = delivery.from;
        if !self.takes_from(from.id) {
            return Err(SendError::Permission);
        }
        if self.receive_shut {
            return Err(SendError::BrokenPipe);
        }
        if self.is_full_for(from.id) {
            return Err(SendError::WouldBlock);
        }
        let rights = core::mem::take(&mut delivery.rights);
        let sent_at = self.options.stamps.and(delivery.sent_at);
        self.queue.push(payload, from.charge, (delivery.credentials, sent_at), rights, from);
        Ok(())
    }

    /// Whether `sender` may send to this socket, or connect to it: not where it is connected to another (EPERM).
    pub fn takes_from(&self, sender: I) -> bool {
        self.peer.is_none_or(|peer| peer == sender)
    }

    /// Whether the queue is full for `sender`. It never is for the socket itself and for the one it is connected to:
    /// their send buffers are the bound.
    pub fn is_full_for(&self, sender: I) -> bool {
        sender != self.id && self.peer != Some(sender) && self.queue.count() > self.queue_max
    }

    /// Receives one datagram, at most `max` bytes of it, into `sink`. The charge of what was taken ([`Peek::No`]) goes
    /// back to its sender.
    ///
    /// After SHUT_RD a caller that waits gets the end ([`receive_is_over`](Self::receive_is_over)), one that does not
    /// gets EAGAIN, as on Linux.
    pub fn try_recv(
        &mut self,
        max: usize,
        peek: Peek,
        sink: &mut impl Sink,
    ) -> Result<ReceivedRecord<R, Sender<I>>, RecvError> {
        if core::mem::take(&mut self.reset) {
            return Err(RecvError::Reset);
        }
        let received = match peek {
            Peek::Yes => self.queue.peek(max, &mut self.options, sink),
            Peek::No => self.queue.take(max, &mut self.options, sink).map(|(received, _)| received),
        };
        received.ok_or(RecvError::WouldBlock)
    }

    /// The sender of datagrams that wait has got a name.
    pub fn rename_sender(&mut self, sender: I, name: UnixAddr) {
        for from in self.queue.senders_mut().filter(|from| from.id == sender) {
            from.address = name;
        }
    }

    /// Whether a call that found nothing and waits is to end with nothing.
    pub fn receive_is_over(&self) -> bool {
        self.receive_shut
    }

    /// Connects to `peer`, which [`takes_from`](Self::takes_from) this one. What came from a former peer is lost, and
    /// the former peer is told, if there was something.
    pub fn connect(&mut self, peer: I) -> Discarded<I, R> {
        match self.peer.replace(peer) {
            Some(former) if former != peer => self.turn_away(former),
            _ => Discarded::nothing(),
        }
    }

    /// Connects to nobody (AF_UNSPEC).
    pub fn dissolve(&mut self) -> Discarded<I, R> {
        match self.peer.take() {
            Some(former) => self.turn_away(former),
            None => Discarded::nothing(),
        }
    }

    /// The peer was found closed by a sending call, which fails with ECONNREFUSED. The socket is no longer connected,
    /// and what came earlier is lost.
    pub fn on_peer_gone(&mut self) -> Discarded<I, R> {
        let mut discarded = self.dissolve();
        discarded.former = None;
        discarded
    }

    /// `former` has turned away with datagrams unread: an error (ECONNRESET), if this one is connected to it.
    pub fn on_peer_left(&mut self, former: I) {
        self.reset |= self.peer == Some(former);
    }

    /// Ends directions. Unlike with connections, the peer's stay.
    pub fn shutdown(&mut self, how: Shutdown) {
        self.receive_shut |= how.reads();
        self.send_shut |= how.writes();
    }

    /// Closes the socket. A peer is told when it sends next.
    pub fn close(&mut self) -> Discarded<I, R> {
        (self.receive_shut, self.send_shut, self.peer) = (true, true, None);
        self.purge()
    }

    /// Empties the queue.
    pub fn purge(&mut self) -> Discarded<I, R> {
        let mut discarded = Discarded::nothing();
        for (_, sender, rights) in self.queue.drain() {
            discarded.senders.push(sender);
            discarded.rights.extend(rights);
        }
        discarded
    }

    /// The handles in the queue.
    pub fn rights(&self) -> impl Iterator<Item = &R> {
        self.queue.rights()
    }

    /// The events of the socket, where `peer_full` is [`is_full_for`](Self::is_full_for) of its peer for it; of a peer
    /// that is gone, false.
    pub fn readiness(&self, peer_full: bool) -> PollMask {
        let view = View {
            error: self.reset,
            readable: !self.queue.is_empty(),
            urgent: false,
            writable: self.credit.is_writable() && !peer_full,
            receive_shut: self.receive_shut,
            send_shut: self.send_shut,
            unconnected: false,
        };
        view.readiness()
    }

    /// How many datagrams ever came: a caller that waits for more looks whether it has changed.
    pub fn arrivals(&self) -> u64 {
        self.queue.arrivals()
    }

    /// Takes the pending error (ECONNRESET), as SO_ERROR does: whether there was one.
    pub fn take_reset(&mut self) -> bool {
        core::mem::take(&mut self.reset)
    }

    /// Gives one back that was taken and not told: the next call tells it.
    pub fn put_reset_back(&mut self) {
        self.reset = true;
    }

    /// FIONREAD: bytes of the first datagram.
    pub fn unread(&self) -> usize {
        self.queue.first_len()
    }

    /// The send buffer, with SIOCOUTQ.
    pub fn credit(&self) -> &SendCredit {
        &self.credit
    }

    /// Sets SO_SNDBUF, in bytes as it shows afterwards.
    pub fn set_send_buffer(&mut self, limit: u32) {
        self.credit.set_limit(limit);
    }

    fn turn_away(&mut self, former: I) -> Discarded<I, R> {
        if self.queue.is_empty() {
            return Discarded::nothing();
        }
        Discarded { former: Some(Former(former)), ..self.purge() }
    }
}

#[cfg(test)]
mod tests;
