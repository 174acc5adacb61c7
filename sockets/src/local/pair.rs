//! The two ends of a connection, and what is the same for streams and records.

use rustix::io::Errno;
use tapsock_stack::time::Instant;

use super::ancillary::Credentials;
use super::credit::SendCredit;
use super::poll::View;
use crate::beside::Stamp;
use crate::constants::{SHUT_RD, SHUT_RDWR, SHUT_WR};
use crate::poll::PollMask;

/// One of the two ends.
///
/// ```
/// use tapsock_sockets::local::Side;
///
/// assert_eq!(Side::First.other(), Side::Second);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Side {
    /// Who connected, or the first of a `socketpair`.
    First,
    /// Who was accepted, or the second of a `socketpair`.
    Second,
}

impl Side {
    /// The end across.
    pub fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// Which directions `shutdown` ends.
///
/// ```
/// use tapsock_sockets::local::Shutdown;
///
/// assert_eq!(Shutdown::from_how(1), Ok(Shutdown::Write));
/// assert!(Shutdown::from_how(3).is_err());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Shutdown {
    /// SHUT_RD.
    Read,
    /// SHUT_WR.
    Write,
    /// SHUT_RDWR.
    Both,
}

impl Shutdown {
    /// Reads the argument of `shutdown`. Errors: EINVAL.
    pub fn from_how(how: i32) -> Result<Shutdown, Errno> {
        match how {
            SHUT_RD => Ok(Shutdown::Read),
            SHUT_WR => Ok(Shutdown::Write),
            SHUT_RDWR => Ok(Shutdown::Both),
            _ => Err(Errno::INVAL),
        }
    }

    /// Whether receiving ends.
    pub fn reads(self) -> bool {
        self != Shutdown::Write
    }

    /// Whether sending ends.
    pub fn writes(self) -> bool {
        self != Shutdown::Read
    }
}

/// Options of one socket that its queue acts on.
///
/// ```
/// use tapsock_sockets::local::EndOptions;
///
/// assert_eq!(EndOptions::default().low_water, 1);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct EndOptions {
    /// SO_PASSCRED.
    pub pass_credentials: bool,
    /// SO_PEEK_OFF, in bytes; below zero: always from the front.
    pub peek_offset: i32,
    /// SO_RCVLOWAT, in bytes; of streams only.
    pub low_water: usize,
    /// SO_OOBINLINE; of streams only.
    pub urgent_inline: bool,
    /// SO_TIMESTAMP or SO_TIMESTAMPNS, of which the last one holds; of datagrams and records only.
    pub stamps: Option<StampUnit>,
}

/// In what the time is told at which a datagram or a record was sent.
///
/// ```
/// use tapsock_sockets::Stamp;
/// use tapsock_sockets::local::StampUnit;
/// use tapsock_stack::time::Instant;
///
/// let at = Instant::from_secs(7);
/// assert_eq!(StampUnit::Nanos.stamp(at), Stamp::Nanos(at));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum StampUnit {
    /// Microseconds: SO_TIMESTAMP.
    Micros,
    /// Nanoseconds: SO_TIMESTAMPNS.
    Nanos,
}

impl StampUnit {
    /// The stamp of that time.
    pub fn stamp(self, at: Instant) -> Stamp {
        match self {
            StampUnit::Micros => Stamp::Micros(at),
            StampUnit::Nanos => Stamp::Nanos(at),
        }
    }
}

impl EndOptions {
    /// How many bytes MSG_PEEK passes over; `None` where it always begins at the front.
    pub(crate) fn peek_start(&self) -> Option<usize> {
        usize::try_from(self.peek_offset).ok()
    }

    pub(crate) fn peeked(&mut self, count: usize) {
        self.move_peek_start(|start| start.saturating_add(count));
    }

    pub(crate) fn taken(&mut self, count: usize) {
        self.move_peek_start(|start| start.saturating_sub(count));
    }

    fn move_peek_start(&mut self, moved: impl FnOnce(usize) -> usize) {
        if let Some(start) = self.peek_start() {
            self.peek_offset = i32::try_from(moved(start)).unwrap_or(i32::MAX);
        }
    }
}

impl Default for EndOptions {
    fn default() -> Self {
        EndOptions {
            pass_credentials: false,
            peek_offset: -1,
            low_water: 1,
            urgent_inline: false,
            stamps: None,
        }
    }
}

/// What a socket brings along when it becomes one end of a connection.
///
/// ```
/// use tapsock_sockets::local::{Credentials, EndSetup};
///
/// let setup = EndSetup::new(Credentials { pid: 1, uid: 0, gid: 0 });
/// assert!(!setup.send_shut);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct EndSetup {
    /// Its options.
    pub options: EndOptions,
    /// Its send buffer.
    pub credit: SendCredit,
    /// The end across, as SO_PEERCRED shows it: of a listener, who called `listen`.
    pub peer: Credentials,
    /// Whether it was shut down for reading before; the end across does not hear of that.
    pub receive_shut: bool,
    /// Whether it was shut down for writing before; the end across does not hear of that.
    pub send_shut: bool,
}

impl EndSetup {
    /// A fresh socket across from `peer`.
    pub fn new(peer: Credentials) -> Self {
        EndSetup {
            options: EndOptions::default(),
            credit: SendCredit::default(),
            peer,
            receive_shut: false,
            send_shut: false,
        }
    }
}

/// The queue of an end: [`Stream`](super::Stream) or [`Records`](super::Records).
pub trait Inbox: Default {
    /// A handle that travels.
    type Right;

    /// Whether there is nothing to read, not even an empty record.
    fn is_empty(&self) -> bool;
    /// Bytes that are there, as FIONREAD shows them.
    fn unread(&self) -> usize;
    /// Whether an urgent byte is there.
    fn is_urgent(&self) -> bool;
    /// Whether a peer is told (ECONNRESET) when this is closed. As on Linux, one empty record at the front, or the place
    /// of an urgent byte that was read, is no loss.
    fn loses_something(&self) -> bool;
    /// How many pieces or records ever came: a caller that waits for more looks whether it has changed.
    fn arrivals(&self) -> u64;
    /// All handles in it.
    fn rights(&self) -> impl Iterator<Item = &Self::Right>;
    /// Drops everything; returns the charge that it held and the handles that were in it.
    fn clear(&mut self) -> (u64, Vec<Self::Right>);
}

/// A connection.
///
/// ```
/// use tapsock_sockets::PollMask;
/// use tapsock_sockets::local::{Credentials, EndSetup, Pair, Shutdown, Side, Stream};
///
/// let setup = EndSetup::new(Credentials { pid: 1, uid: 0, gid: 0 });
/// let mut pair: Pair<Stream<()>> = Pair::new(setup, setup);
/// pair.shutdown(Side::First, Shutdown::Write);
/// assert!(pair.readiness(Side::Second).contains(PollMask::RDHUP));
/// ```
#[derive(Debug)]
pub struct Pair<Q> {
    first: Half<Q>,
    second: Half<Q>,
}

#[derive(Debug)]
pub(super) struct Half<Q> {
    pub(super) inbox: Q,
    pub(super) options: EndOptions,
    pub(super) credit: SendCredit,
    pub(super) receive_shut: bool,
    pub(super) send_shut: bool,
    /// The end across was closed with something unread; told once.
    pub(super) reset: bool,
    pub(super) state: State,
    peer: Credentials,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Waits in the listener's queue.
    Pending,
    Open,
    Closed,
}

impl<Q: Inbox> Half<Q> {
    fn new(setup: EndSetup, state: State) -> Self {
        Half {
            inbox: Q::default(),
            options: setup.options,
            credit: setup.credit,
            receive_shut: setup.receive_shut,
            send_shut: setup.send_shut,
            reset: false,
            state,
            peer: setup.peer,
        }
    }

    /// Whether what is sent to it bears the sender's credentials: nobody can have asked for them on an end that nobody
    /// has accepted.
    pub(super) fn wants_credentials(&self) -> bool {
        self.options.pass_credentials || self.state == State::Pending
    }
}

impl<Q: Inbox> Pair<Q> {
    /// Two ends that are in the hands of somebody: `socketpair`.
    pub fn new(first: EndSetup, second: EndSetup) -> Self {
        Pair { first: Half::new(first, State::Open), second: Half::new(second, State::Open) }
    }

    /// A connection whose second end is still to be accepted. It has the options of the listener but SO_SNDBUF, and those
    /// of stamps.
    pub fn pending(first: EndSetup, mut second: EndSetup) -> Self {
        second.options.stamps = None;
        Pair { first: Half::new(first, State::Open), second: Half::new(second, State::Pending) }
    }

    /// Whether the second end is still to be accepted.
    pub fn is_pending(&self) -> bool {
        self.second.state == State::Pending
    }

    /// The second end was accepted.
    pub fn accept(&mut self) {
        if self.second.state == State::Pending {
            self.second.state = State::Open;
        }
    }

    /// Ends directions of `side`, and so those of the end across. What is in the queues stays.
    pub fn shutdown(&mut self, side: Side, how: Shutdown) {
        let (own, peer) = self.halves_mut(side);
        if how.reads() {
            own.receive_shut = true;
            peer.send_shut = true;
        }
        if how.writes() {
            own.send_shut = true;
            peer.receive_shut = true;
        }
    }

    /// Closes `side`, and returns the handles that nobody will receive. The end across may read what was sent to it; it
    /// gets ECONNRESET where something was left unread here, or where `side` never was accepted.
    #[must_use = "handles are dropped without locks held"]
    pub fn close(&mut self, side: Side) -> Vec<Q::Right> {
        let (own, peer) = self.halves_mut(side);
        if own.state == State::Closed {
            return Vec::new();
        }
        if own.inbox.loses_something() || own.state == State::Pending {
            peer.reset = true;
        }
        own.state = State::Closed;
        (own.receive_shut, own.send_shut) = (true, true);
        (peer.receive_shut, peer.send_shut) = (true, true);
        self.purge(side)
    }

    /// Whether both ends are closed.
    pub fn is_over(&self) -> bool {
        self.first.state == State::Closed && self.second.state == State::Closed
    }

    /// Empties the queue of `side`, and returns the handles that were in it.
    #[must_use = "handles are dropped without locks held"]
    pub fn purge(&mut self, side: Side) -> Vec<Q::Right> {
        let (own, peer) = self.halves_mut(side);
        let (charge, rights) = own.inbox.clear();
        peer.credit.release(charge);
        rights
    }

    /// The handles in the queue of `side`.
    pub fn rights(&self, side: Side) -> impl Iterator<Item = &Q::Right> {
        self.half(side).inbox.rights()
    }

    /// The events of `side`.
    pub fn readiness(&self, side: Side) -> PollMask {
        self.view(side).readiness()
    }

    /// What the readiness of `side` depends on.
    pub fn view(&self, side: Side) -> View {
        let half = self.half(side);
        View {
            error: half.reset,
            readable: !half.inbox.is_empty(),
            urgent: half.inbox.is_urgent(),
            writable: half.credit.is_writable(),
            receive_shut: half.receive_shut,
            send_shut: half.send_shut,
            unconnected: false,
        }
    }

    /// Whether a sender that waits on `side` tries again. Not the same as POLLOUT, which says nothing of `shutdown`.
    pub fn wakes_sender(&self, side: Side) -> bool {
        let half = self.half(side);
        half.credit.is_writable() || half.send_shut || half.reset
    }

    /// Whether a receiver tries again that waits on `side` since [`arrivals`](Self::arrivals) was `seen`.
    pub fn wakes_receiver(&self, side: Side, seen: u64) -> bool {
        let half = self.half(side);
        half.inbox.arrivals() != seen || half.receive_shut || half.reset
    }

    /// How many pieces or records ever came to `side`.
    pub fn arrivals(&self, side: Side) -> u64 {
        self.half(side).inbox.arrivals()
    }

    /// Takes the pending error (ECONNRESET), as SO_ERROR does: whether there was one.
    pub fn take_reset(&mut self, side: Side) -> bool {
        core::mem::take(&mut self.half_mut(side).reset)
    }

    /// Gives one back that was taken and not told: the next call tells it.
    pub fn put_reset_back(&mut self, side: Side) {
        self.half_mut(side).reset = true;
    }

    /// The options of `side`.
    pub fn options(&self, side: Side) -> &EndOptions {
        &self.half(side).options
    }

    /// The options of `side`, to be set.
    pub fn options_mut(&mut self, side: Side) -> &mut EndOptions {
        &mut self.half_mut(side).options
    }

    /// The send buffer of `side`, with SIOCOUTQ.
    pub fn credit(&self, side: Side) -> &SendCredit {
        &self.half(side).credit
    }

    /// Sets SO_SNDBUF of `side`, in bytes as it shows afterwards.
    pub fn set_send_buffer(&mut self, side: Side, limit: u32) {
        self.half_mut(side).credit.set_limit(limit);
    }

    /// FIONREAD, in bytes.
    pub fn unread(&self, side: Side) -> usize {
        self.half(side).inbox.unread()
    }

    /// SO_PEERCRED of `side`.
    pub fn peer_credentials(&self, side: Side) -> Credentials {
        self.half(side).peer
    }

    /// Whether `side` is not closed.
    pub fn is_open(&self, side: Side) -> bool {
        self.half(side).state != State::Closed
    }

    pub(super) fn half(&self, side: Side) -> &Half<Q> {
        match side {
            Side::First => &self.first,
            Side::Second => &self.second,
        }
    }

    pub(super) fn half_mut(&mut self, side: Side) -> &mut Half<Q> {
        self.halves_mut(side).0
    }

    /// The end `side`, and the one across.
    pub(super) fn halves_mut(&mut self, side: Side) -> (&mut Half<Q>, &mut Half<Q>) {
        match side {
            Side::First => (&mut self.first, &mut self.second),
            Side::Second => (&mut self.second, &mut self.first),
        }
    }
}
