//! Calls that block: try, put yourself in, drive or park, try again.

use core::cell::{OnceCell, RefCell};
use core::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use tapsock_sockets::{Fd, PollMask, Sockets, Stop, Wait};
use tapsock_stack::time::Instant;

use super::baton::Role;
use super::blocking::{Hold, Limit, Nap, Sleeper, block, park};
use super::clock::timespec;
use super::descriptors::Kick;
use super::driver::Drive;
use super::epoll::Beside;
use super::shard::{Shard, Turn};
use super::sync::Arc;
use super::wait::{Waiter, Waiters};

thread_local! {
    static WAITER: OnceCell<Arc<Waiter>> = const { OnceCell::new() };
    /// With the process that made it: a child of fork has the descriptor too, and would eat its parent's kicks.
    static KICK: RefCell<Option<(Pid, Arc<Kick>)>> = const { RefCell::new(None) };
}

/// The waiter of the calling thread, which is in one call at a time. To be reset under the lock of what it waits for.
pub(crate) fn this_thread() -> Arc<Waiter> {
    WAITER
        .try_with(|waiter| waiter.get_or_init(|| Arc::new(Waiter::new())).clone())
        .unwrap_or_else(|_| Arc::new(Waiter::new()))
}

/// What ends a sleep of the calling thread on descriptors of its own. Made when it is first asked for.
///
/// Errors: EMFILE, ENFILE, ENOMEM.
pub(super) fn this_threads_kick() -> Result<Arc<Kick>, Errno> {
    kick_in(getpid())
}

/// The same, in that process.
fn kick_in(process: Pid) -> Result<Arc<Kick>, Errno> {
    let kept = KICK.try_with(|kept| kept.borrow().clone()).ok().flatten();
    if let Some((_, kick)) = kept.filter(|(maker, _)| *maker == process) {
        return Ok(kick);
    }
    let made = Kick::new().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::NOMEM))?;
    let made = Arc::new(made);
    // A thread that is ending keeps nothing.
    let _ = KICK.try_with(|kept| kept.replace(Some((process, made.clone()))));
    Ok(made)
}

/// A thread inside of a blocking call.
pub(super) struct Seat {
    pub(super) waiter: Arc<Waiter>,
    drive: Drive,
}

impl Seat {
    /// A seat for the calling thread, which has one at a time. Taken under the shard's lock, so that no mark of
    /// now is lost.
    pub(super) fn take(_under: &Turn<'_>) -> Self {
        let waiter = this_thread();
        waiter.reset();
        Seat { waiter, drive: Drive::new(Role::Caller) }
    }

    /// Has waits end when the real descriptors of `beside` have something to report, too.
    pub(super) fn wait_beside(&mut self, beside: Arc<Beside>) {
        self.drive.beside = Some(beside);
    }

    /// Waits until this thread is woken, or `until`: drives where nobody else does, parks otherwise.
    pub(super) fn wait<'a>(&mut self, mut turn: Turn<'a>, until: Option<Instant>) -> Turn<'a> {
        turn.collect();
        if self.waiter.woken().is_some() {
            return turn;
        }
        if !turn.take_baton(&self.waiter) {
            return self.park(turn, until);
        }
        loop {
            turn = self.drive.step(turn, until);
            let woken = self.waiter.woken().is_some() || self.drive.is_beside_ready();
            if woken || until.is_some_and(|until| until <= turn.now) {
                return turn;
            }
        }
    }

    /// As [`wait`](Self::wait), but looks around after each step.
    pub(super) fn wait_once<'a>(&mut self, mut turn: Turn<'a>, until: Option<Instant>) -> Turn<'a> {
        turn.collect();
        if turn.take_baton(&self.waiter) { self.drive.step(turn, until) } else { self.park(turn, until) }
    }

    fn park<'a>(&mut self, turn: Turn<'a>, until: Option<Instant>) -> Turn<'a> {
        park(turn, &self.waiter, until, |left| match &self.drive.beside {
            None => {
                self.waiter.park(left);
                Nap::Over
            }
            Some(beside) if sleep_beside(beside, left) => Nap::Enough,
            Some(_) => Nap::Over,
        })
    }
}

impl<'a> Sleeper<Turn<'a>> for Seat {
    fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    fn sleep(&mut self, turn: Turn<'a>, until: Option<Instant>) -> Turn<'a> {
        self.wait(turn, until)
    }
}

impl Hold for Turn<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn waiters(&mut self) -> &mut Waiters {
        &mut self.state.waiters
    }

    fn pass_on(&mut self, socket: Fd) {
        Turn::pass_on(self, socket);
    }

    fn pass_over(&mut self, socket: Fd, waiter: &Arc<Waiter>) {
        Turn::pass_over(self, socket, waiter);
    }

    fn while_asleep(self, sleep: impl FnOnce()) -> Self {
        let shard = self.shard();
        shard.carry_out(self.unlock(), None);
        shard.stats().parks.bump();
        sleep();
        shard.turn()
    }
}

/// Sleeps until the thread is kicked, for `limit`, or until real descriptors have something to report: whether they
/// have.
fn sleep_beside(beside: &Beside, limit: Option<Duration>) -> bool {
    let mut fds = [PollFd::new(&*beside.kick, PollFlags::IN), PollFd::new(&*beside.real, PollFlags::IN)];
    // A signal ends it like a kick: the caller looks around, and sleeps again.
    if poll(&mut fds, limit.map(timespec).as_ref()).is_err() {
        return false;
    }
    let [kicked, ready] = [fds[0].revents(), fds[1].revents()].map(|seen| !seen.is_empty());
    if kicked {
        beside.kick.drain();
    }
    ready
}

/// How long a call may wait in all: known once it has to.
#[derive(Default)]
pub(super) struct Patience {
    deadline: Option<Option<Instant>>,
}

impl Patience {
    fn deadline(&mut self, wait: Wait) -> Option<Instant> {
        *self.deadline.get_or_insert(wait.deadline)
    }

    /// Whether a call has waited in vain until its deadline.
    pub(super) fn has_ended<T>(&self, outcome: &Result<T, Errno>) -> bool {
        matches!(outcome, Err(Errno::AGAIN)) && self.deadline.flatten().is_some()
    }
}

impl Shard {
    /// Does `attempt` until it succeeds, fails, or would block no longer. `timed_out` is the error at the deadline.
    ///
    /// A signal does not end the call: it goes on with the deadline it had, as under `SA_RESTART`.
    pub(crate) fn call<T>(
        &self,
        timed_out: Errno,
        attempt: impl FnMut(&mut Sockets, Instant) -> Result<T, Stop>,
    ) -> Result<T, Errno> {
        self.call_with(&mut Patience::default(), timed_out, attempt)
    }

    /// As [`call`](Self::call), as a part of one that takes several: they share what `patience` there is.
    pub(super) fn call_with<T>(
        &self,
        patience: &mut Patience,
        timed_out: Errno,
        mut attempt: impl FnMut(&mut Sockets, Instant) -> Result<T, Stop>,
    ) -> Result<T, Errno> {
        let mut turn = self.turn();
        let now = turn.now;
        match attempt(&mut turn.state.sockets, now) {
            Err(Stop::Wait(wait)) => self.block(turn, wait, patience.deadline(wait), timed_out, attempt),
            Err(Stop::Error(Errno::AGAIN)) => {
                turn.finish();
                self.look_once(attempt)
            }
            Err(Stop::Error(error)) => {
                turn.finish();
                Err(error)
            }
            Ok(value) => {
                turn.finish();
                Ok(value)
            }
        }
    }

    /// A call that does not wait is about to say EAGAIN: if the link has something, it tries again.
    fn look_once<T>(
        &self,
        mut attempt: impl FnMut(&mut Sockets, Instant) -> Result<T, Stop>,
    ) -> Result<T, Errno> {
        let Some((mut turn, _)) = self.try_read(1) else { return Err(Errno::AGAIN) };
        turn.collect();
        let now = turn.now;
        let outcome = attempt(&mut turn.state.sockets, now);
        turn.finish();
        outcome.map_err(|stop| match stop {
            Stop::Error(error) => error,
            Stop::Wait(_) => Errno::AGAIN,
        })
    }

    fn block<T>(
        &self,
        turn: Turn<'_>,
        first: Wait,
        deadline: Option<Instant>,
        timed_out: Errno,
        mut attempt: impl FnMut(&mut Sockets, Instant) -> Result<T, Stop>,
    ) -> Result<T, Errno> {
        let mut seat = Seat::take(&turn);
        if first.mask.contains(PollMask::IN) {
            seat.drive.busy = turn.state.sockets.busy_poll(first.socket);
        }
        let limit = Limit { deadline, timed_out };
        let (mut turn, outcome) = block(turn, &mut seat, first, limit, |turn| {
            let now = turn.now;
            attempt(&mut turn.state.sockets, now)
        });
        turn.leave(&seat.waiter);
        turn.finish();
        outcome
    }

    /// Closes `socket`. Threads that wait for it go on with EBADF. Where SO_LINGER says so this waits.
    pub(crate) fn close(&self, socket: Fd) -> Result<(), Errno> {
        let mut turn = self.turn();
        let now = turn.now;
        let outcome = turn.state.sockets.try_close(now, socket);
        // Nobody who waited for this one need try again.
        if outcome != Err(Stop::Error(Errno::BADF)) {
            turn.wake_closed(socket);
        }
        match outcome {
            Err(Stop::Wait(wait)) => {
                self.linger(turn, wait);
                Ok(())
            }
            Err(Stop::Error(error)) => {
                turn.finish();
                Err(error)
            }
            Ok(()) => {
                turn.finish();
                Ok(())
            }
        }
    }

    /// Waits until the peer has everything. When the time is over the connection goes on by itself.
    fn linger(&self, turn: Turn<'_>, wait: Wait) {
        let attempt = |sockets: &mut Sockets, now| sockets.try_end_linger(now, wait.socket);
        let outcome = self.block(turn, wait, wait.deadline, Errno::TIMEDOUT, attempt);
        let mut turn = self.turn();
        let now = turn.now;
        if outcome == Err(Errno::TIMEDOUT) && turn.state.sockets.is_lingering(wait.socket) {
            // The socket is there, so it can be closed.
            let _ = turn.state.sockets.close(now, wait.socket);
        }
        turn.state.waiters.vacate(wait.socket);
        turn.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_fork_has_a_kick_of_its_own() {
        let (parent, child) = (getpid(), Pid::INIT);
        let kick = kick_in(parent).unwrap();
        assert!(Arc::ptr_eq(&kick, &kick_in(parent).unwrap()));
        let other = kick_in(child).unwrap();
        assert!(!Arc::ptr_eq(&kick, &other));
        assert!(Arc::ptr_eq(&other, &kick_in(child).unwrap()));
    }
}
