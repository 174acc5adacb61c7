//! A socket whose calls never wait, and the tasks that wait for it.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use ::tokio::io::{Interest, Ready};
use ::tokio::task::coop;
use tapsock_sockets::PollMask;

use crate::description::{Object, WeakObject};
use crate::engine::wait::{Alarm, Reach, Waiter, Watcher};
use crate::engine::wakers::{Direction, Seat, Wakers};
use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::unix::{UnixDatagram, UnixListener, UnixStream};

/// What has tasks that wait for it.
pub(super) trait Base {
    fn object(&self) -> &Object;
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
}

macro_rules! base {
    ($($type:ty),*) => {
        $(impl Base for $type {
            fn object(&self) -> &Object {
                <$type>::handle(self).object()
            }

            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                <$type>::set_nonblocking(self, nonblocking)
            }
        })*
    };
}

base!(TcpStream, TcpListener, UdpSocket, UnixStream, UnixListener, UnixDatagram);

/// The socket.
#[derive(Debug)]
pub(super) struct Io<S> {
    /// Ends before the socket does.
    registration: Registration,
    socket: S,
}

/// That its tasks are told what happens to it.
struct Registration {
    wakers: Arc<Wakers>,
    watcher: Arc<dyn Watcher>,
    object: WeakObject,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(object) = self.object.upgrade() {
            object.unfollow(&self.watcher);
        }
    }
}

impl core::fmt::Debug for Registration {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Registration")
    }
}

/// Tells the tasks.
struct Bell {
    wakers: Arc<Wakers>,
    waiter: Arc<Waiter>,
}

impl Watcher for Bell {
    fn notify(&self, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        if self.wakers.hear(what) {
            marked(&self.waiter);
        }
        Reach::Further
    }
}

impl Alarm for Wakers {
    fn ring(&self) {
        self.wake();
    }
}

impl<S: Base> Io<S> {
    /// Sets the socket not to wait, and has its tasks told from now on.
    pub(super) fn new(socket: S) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let wakers = Arc::new(Wakers::default());
        let waiter = Arc::new(Waiter::for_alarm(wakers.clone()));
        let watcher = Arc::new(Bell { wakers: wakers.clone(), waiter });
        let object = socket.object();
        object.follow(watcher.clone());
        let registration = Registration { wakers, watcher, object: object.downgrade() };
        Ok(Io { registration, socket })
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) fn into_inner(self) -> S {
        self.socket
    }

    fn wakers(&self) -> &Wakers {
        &self.registration.wakers
    }

    /// Does `attempt` where it does not wait.
    pub(super) fn try_io<R>(
        &self,
        direction: Direction,
        attempt: impl FnOnce(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let seen = self.wakers().edge(direction);
        let outcome = attempt(&self.socket);
        if would_wait(&outcome) {
            self.wakers().would_wait(direction, seen);
        }
        outcome
    }

    /// Does `attempt`; where it would wait, the task of `cx` is woken when it is worth another.
    pub(super) fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_from(direction, Seat::Poll, cx, attempt)
    }

    /// As [`poll_io`](Self::poll_io), for a future; there may be several at a time.
    pub(super) async fn async_io<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let seat = FutureSeat::take(self.wakers());
        poll_fn(|cx| self.poll_from(direction, seat.seat, cx, &mut attempt)).await
    }

    fn poll_from<R>(
        &self,
        direction: Direction,
        seat: Seat,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        // A task that always finds something lets others run, as with sockets of tokio's.
        let budget = ready!(coop::poll_proceed(cx));
        // Each turn but the last is another edge.
        loop {
            let seen = ready!(self.wakers().poll(direction, seat, cx.waker()));
            let outcome = attempt(&self.socket);
            if !would_wait(&outcome) {
                budget.made_progress();
                return Poll::Ready(outcome);
            }
            self.wakers().would_wait(direction, seen);
        }
    }

    /// Waits until the socket is ready for something of `interest`.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let seat = FutureSeat::take(self.wakers());
        poll_fn(|cx| self.poll_ready(interest, seat.seat, cx)).await
    }

    /// As [`ready`](Self::ready), for the task that uses the `poll_…` calls.
    pub(super) fn poll_direction(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        self.poll_ready(interest, Seat::Poll, cx).map_ok(drop)
    }

    fn poll_ready(&self, interest: Interest, seat: Seat, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let reads = !interest.is_writable() || interest.is_readable() || interest.is_priority();
        let directions = [(Direction::Read, reads), (Direction::Write, interest.is_writable())];
        let directions = directions.into_iter().filter(|(_, wanted)| *wanted).map(|(direction, _)| direction);
        let budget = ready!(coop::poll_proceed(cx));
        // Each turn but the last is another edge.
        loop {
            let seen = directions.clone().map(|direction| (direction, self.wakers().edge(direction)));
            let seen: arrayvec::ArrayVec<_, 2> = seen.collect();
            let ready = readiness(interest, self.socket.object().readiness_now());
            if !ready.is_empty() {
                budget.made_progress();
                seen.iter().for_each(|(direction, _)| self.wakers().may_try(*direction));
                return Poll::Ready(Ok(ready));
            }
            let mut pending = true;
            for (direction, edge) in seen {
                self.wakers().would_wait(direction, edge);
                pending &= self.wakers().poll(direction, seat, cx.waker()).is_pending();
            }
            if pending {
                return Poll::Pending;
            }
        }
    }
}

/// A future's place among those who wait, for as long as it does.
struct FutureSeat<'a> {
    wakers: &'a Wakers,
    seat: Seat,
}

impl<'a> FutureSeat<'a> {
    fn take(wakers: &'a Wakers) -> Self {
        FutureSeat { wakers, seat: wakers.take_seat() }
    }
}

impl Drop for FutureSeat<'_> {
    fn drop(&mut self) {
        self.wakers.leave(self.seat);
    }
}

fn would_wait<R>(outcome: &io::Result<R>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// The direction of an attempt with that interest.
pub(super) fn direction(interest: Interest) -> Direction {
    if interest.is_writable() && !interest.is_readable() { Direction::Write } else { Direction::Read }
}

/// What of a socket's readiness is of `interest`, as tokio tells it. An end of a direction is readiness, too.
fn readiness(interest: Interest, mask: PollMask) -> Ready {
    let mut ready = Ready::EMPTY;
    let has = |what| mask.intersects(what);
    if interest.is_readable() {
        if has(PollMask::IN | PollMask::ERR | PollMask::HUP | PollMask::RDHUP | PollMask::NVAL) {
            ready |= Ready::READABLE;
        }
        if has(PollMask::RDHUP | PollMask::HUP | PollMask::NVAL) {
            ready |= Ready::READ_CLOSED;
        }
    }
    if interest.is_writable() {
        if has(PollMask::OUT | PollMask::ERR | PollMask::HUP | PollMask::NVAL) {
            ready |= Ready::WRITABLE;
        }
        if has(PollMask::HUP | PollMask::NVAL) {
            ready |= Ready::WRITE_CLOSED;
        }
    }
    if interest.is_priority() && has(PollMask::PRI) {
        ready |= Ready::PRIORITY;
    }
    if interest.is_error() && has(PollMask::ERR) {
        ready |= Ready::ERROR;
    }
    ready
}
