//! How a call waits: it has tried in vain, sleeps until it is woken or its time is over, and tries again.
//!
//! The lock, the clock and the sleep on a link are arguments, so that the model checker can put its own here.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_sockets::{Fd, Stop, Wait};
use tapsock_stack::time::Instant;

use super::baton::Baton;
use super::clock::now;
use super::sync::Arc;
use super::wait::{Claim, Waiter, Waiters, Wake};

/// One hold of the lock under which calls try, and under which those who wait stand.
pub(crate) trait Hold: Sized {
    /// The time when the lock was taken.
    fn now(&self) -> Instant;

    /// Those who wait.
    fn waiters(&mut self) -> &mut Waiters;

    /// Marks those whom it concerns how ready `socket` is.
    fn pass_on(&mut self, socket: Fd);

    /// `waiter` goes on waiting for `socket`, which had woken it: others may take what it can't.
    fn pass_over(&mut self, socket: Fd, waiter: &Arc<Waiter>);

    /// Lets go of the lock, wakes those who are marked, sleeps, and takes it again.
    fn while_asleep(self, sleep: impl FnOnce()) -> Self;
}

/// A thread inside of a blocking call.
pub(crate) trait Sleeper<H> {
    /// Its place among those who wait.
    fn waiter(&self) -> &Arc<Waiter>;

    /// Sleeps until it is woken, or `until`; may come back early.
    fn sleep(&mut self, hold: H, until: Option<Instant>) -> H;
}

/// When a call gives up, and with which error.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) deadline: Option<Instant>,
    pub(crate) timed_out: Errno,
}

/// Does `attempt` again until it succeeds, fails, or would block no longer, as it would for `first`.
///
/// Errors: those of `attempt`; EBADF once the socket is closed; that of `limit`.
pub(crate) fn block<H: Hold, T>(
    mut hold: H,
    sleeper: &mut impl Sleeper<H>,
    first: Wait,
    limit: Limit,
    mut attempt: impl FnMut(&mut H) -> Result<T, Stop>,
) -> (H, Result<T, Errno>) {
    let mut wait = first;
    hold.waiters().add(wait.socket, sleeper.waiter(), wait.mask, Claim::Taker);
    let outcome = loop {
        if limit.deadline.is_some_and(|deadline| deadline <= hold.now()) {
            break Err(limit.timed_out);
        }
        hold = sleeper.sleep(hold, limit.deadline);
        let woken = sleeper.waiter().woken();
        if woken == Some(Wake::Closed) {
            break Err(Errno::BADF);
        }
        sleeper.waiter().reset();
        match attempt(&mut hold) {
            Ok(value) => break Ok(value),
            Err(Stop::Error(error)) => break Err(error),
            Err(Stop::Wait(next)) if (next.socket, next.mask) != (wait.socket, wait.mask) => {
                hold.waiters().remove(wait.socket, sleeper.waiter());
                hold.pass_on(wait.socket);
                hold.waiters().add(next.socket, sleeper.waiter(), next.mask, Claim::Taker);
                wait = next;
            }
            Err(Stop::Wait(_)) if woken == Some(Wake::Ready) => hold.pass_over(wait.socket, sleeper.waiter()),
            Err(Stop::Wait(_)) => {}
        }
    };
    hold.waiters().remove(wait.socket, sleeper.waiter());
    hold.pass_on(wait.socket);
    (hold, outcome)
}

/// Has `waiter` do `nap` again and again until it is marked, or `until`, or one says that it is enough: a thread that found the
/// baton taken, and would drive.
pub(crate) fn park<H: Hold>(
    mut hold: H,
    waiter: &Arc<Waiter>,
    until: Option<Instant>,
    mut nap: impl FnMut(Option<Duration>) -> Nap,
) -> H {
    hold.waiters().add_candidate(waiter);
    let mut hold = hold.while_asleep(|| {
        while waiter.woken().is_none() {
            let left = until.map(|until| until.saturating_since(now()));
            if left.is_some_and(|left| left.is_zero()) || nap(left) == Nap::Enough {
                break;
            }
        }
    });
    hold.waiters().remove_candidate(waiter);
    hold
}

/// What a nap has brought.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Nap {
    /// Perhaps a mark.
    Over,
    /// Something else to look at.
    Enough,
}

/// What ends the sleep of a thread that is marked.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rouse {
    /// Its own thread is to be unparked.
    Unpark,
    /// It drives, and sleeps on the link: the kick of callers.
    Kick,
    /// It drives, and is awake: it looks at its mark before it sleeps.
    Awake,
}

/// What is to wake `waiter`, which is marked; `driver` holds the baton, where a caller does.
pub(crate) fn rouse(waiter: &Arc<Waiter>, driver: Option<&Arc<Waiter>>, baton: &Baton) -> Rouse {
    match driver {
        Some(driver) if Arc::ptr_eq(driver, waiter) && baton.caller_sleeps() => Rouse::Kick,
        Some(driver) if Arc::ptr_eq(driver, waiter) => Rouse::Awake,
        _ => Rouse::Unpark,
    }
}
