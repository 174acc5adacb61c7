//! Waiting for several sockets at once.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use tapsock_sockets::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_MOD, EpollEvent};
use tapsock_sockets::{Fd, PollMask};
use tapsock_stack::time::Instant;

use super::call::{Seat, this_threads_kick};
use super::epoll::{Beside, Epoll, Heard, Real};
use super::shard::{Shard, Turn};
use super::sync::Arc;
use super::wait::{Claim, Waiter};
use crate::local::{LocalSocket, Receiver};

/// One socket of a poll: asked for, and answered.
pub(crate) trait Polled {
    /// The socket of the stack, where it is one.
    fn socket(&self) -> Option<Fd>;
    /// The local socket, where it is one.
    fn local(&self) -> Option<&LocalSocket> {
        None
    }
    /// The epoll instance, where it is one.
    fn epoll(&self) -> Option<&Arc<Epoll>> {
        None
    }
    /// The events asked for.
    fn events(&self) -> PollMask;
    /// Takes the socket's readiness, where there is a socket, and tells what of it is reported.
    fn report(&mut self, ready: Option<PollMask>) -> PollMask;
}

/// The real descriptors of a poll. They are asked with no lock held.
pub(crate) trait RealPolled {
    /// Whether there are none.
    fn is_empty(&self) -> bool;
    /// Asks the kernel, without waiting, and notes what it says: how many are ready.
    fn look(&mut self) -> Result<usize, Errno>;
    /// Tells each, with its events.
    fn each(&self, tell: &mut dyn FnMut(BorrowedFd<'_>, u16));
}

impl Shard {
    /// Waits until one of `polled`, or of the `real` descriptors beside them, is ready, or `deadline`; returns how many
    /// are. A deadline that has passed makes it look once, at the link too.
    ///
    /// Errors: what the kernel says where there are real ones: ENOMEM, EMFILE, ENFILE.
    pub(crate) fn poll_beside<P: Polled, R: RealPolled>(
        &self,
        polled: &mut [P],
        real: &mut R,
        deadline: Option<Instant>,
    ) -> Result<usize, Errno> {
        look_at_real(polled);
        let found = if real.is_empty() { 0 } else { real.look()? };
        let mut turn = self.turn();
        turn.collect();
        let count = found + look(&turn, polled);
        if count > 0 {
            turn.finish();
            return Ok(count);
        }
        if deadline.is_some_and(|deadline| deadline <= turn.now) {
            turn.finish();
            let Some((mut turn, _)) = self.try_read(1) else { return Ok(0) };
            turn.collect();
            let count = look(&turn, polled);
            turn.finish();
            return Ok(count);
        }
        if real.is_empty() && !has_instances(polled) {
            return self.poll_and_wait(turn, polled, real, None, deadline);
        }
        turn.finish();
        let heard: Result<Vec<Heard>, Errno> =
            polled.iter().filter_map(Polled::epoll).map(Epoll::hear).collect();
        let _heard = heard?;
        let beside = if real.is_empty() { None } else { Some(self.beside(real)?) };
        look_at_real(polled);
        self.poll_and_wait(self.turn(), polled, real, beside, deadline)
    }

    fn poll_and_wait<'a, P: Polled, R: RealPolled>(
        &'a self,
        mut turn: Turn<'a>,
        polled: &mut [P],
        real: &mut R,
        beside: Option<Arc<Beside>>,
        deadline: Option<Instant>,
    ) -> Result<usize, Errno> {
        let mut seat = Seat::take(&turn);
        for one in polled.iter() {
            if let Some(socket) = one.socket() {
                turn.state.waiters.add(socket, &seat.waiter, one.events(), Claim::Watcher);
            }
        }
        let mut others = Others::watch(self, polled, &seat.waiter, beside.clone());
        if let Some(beside) = beside {
            seat.wait_beside(beside);
        }
        let outcome = loop {
            // Something may have come to one of them while it was put in.
            let count = if others.any { look(&turn, polled) } else { 0 };
            if count > 0 {
                break Ok(count);
            }
            turn = seat.wait(turn, deadline);
            seat.waiter.reset();
            let mut found = Ok(0);
            if !real.is_empty() || has_instances(polled) {
                turn.finish();
                look_at_real(polled);
                found = real.look();
                turn = self.turn();
            }
            others.follow(polled, &seat.waiter);
            // Both at one time, so that what is told of ours is not older.
            let count = found.map(|found| found + look(&turn, polled));
            if count != Ok(0) || deadline.is_some_and(|deadline| deadline <= turn.now) {
                break count;
            }
        };
        for socket in polled.iter().filter_map(Polled::socket) {
            turn.state.waiters.remove(socket, &seat.waiter);
        }
        turn.leave(&seat.waiter);
        turn.finish();
        others.forget(polled, &seat.waiter);
        outcome
    }

    /// What a thread sleeps on that waits for real descriptors as well: an epoll instance over them.
    fn beside<R: RealPolled>(&self, real: &R) -> Result<Arc<Beside>, Errno> {
        let instance = Real::new()?;
        let mut events: HashMap<i32, u32> = HashMap::new();
        let mut outcome = Ok(());
        real.each(&mut |fd, wanted| {
            let all = events.entry(fd.as_raw_fd()).or_default();
            *all |= u32::from(wanted);
            let event = EpollEvent { events: *all, data: 0 };
            let added = match instance.control(EPOLL_CTL_ADD, fd, Some(event)) {
                Err(Errno::EXIST) => instance.control(EPOLL_CTL_MOD, fd, Some(event)),
                // A file, which is always ready, or was closed meanwhile: a look has told it, or will.
                Err(Errno::PERM | Errno::BADF) => Ok(()),
                added => added,
            };
            outcome = outcome.and(added);
        });
        outcome?;
        let (kick, driver) = (this_threads_kick()?, self.caller_kick.clone());
        Ok(Arc::new(Beside { real: Arc::new(instance), kick, driver }))
    }
}

/// The local sockets and the epoll instances of a poll, which know nothing of the link that the thread may sleep on.
struct Others {
    any: bool,
    /// Whether somebody is to be rung for when the thread is woken.
    alarmed: bool,
    /// Where the local sockets wait for room, one after the other.
    receivers: Vec<Receiver>,
}

impl Others {
    fn watch<P: Polled>(
        shard: &Shard,
        polled: &[P],
        waiter: &Arc<Waiter>,
        beside: Option<Arc<Beside>>,
    ) -> Self {
        let any = polled.iter().any(|one| one.local().is_some() || one.epoll().is_some());
        let alarmed = any || beside.is_some();
        if let Some(beside) = beside {
            waiter.set_alarm(Some(beside));
        } else if any {
            waiter.set_alarm(Some(shard.caller_kick.clone()));
        }
        if any {
            for one in polled {
                if let Some(local) = one.local() {
                    local.watch(waiter, one.events());
                }
                if let Some(epoll) = one.epoll() {
                    epoll.watch(waiter, one.events());
                }
            }
        }
        let mut others = Others { any, alarmed, receivers: Vec::new() };
        others.follow(polled, waiter);
        others
    }

    /// Sockets may be connected to others than before.
    fn follow<P: Polled>(&mut self, polled: &[P], waiter: &Arc<Waiter>) {
        if !self.any {
            return;
        }
        let receivers: Vec<Receiver> =
            polled.iter().filter_map(Polled::local).map(LocalSocket::receiver).collect();
        if receivers != self.receivers {
            // Several may have been connected to one: it forgets the thread for all of them.
            self.receivers.iter().for_each(|receiver| receiver.forget(waiter));
            receivers.iter().for_each(|receiver| receiver.watch(waiter));
            self.receivers = receivers;
        }
    }

    fn forget<P: Polled>(self, polled: &[P], waiter: &Arc<Waiter>) {
        if self.any {
            polled.iter().filter_map(Polled::local).for_each(|local| local.forget(waiter));
            polled.iter().filter_map(Polled::epoll).for_each(|epoll| epoll.forget(waiter));
            self.receivers.iter().for_each(|receiver| receiver.forget(waiter));
        }
        if self.alarmed {
            waiter.set_alarm(None);
        }
    }
}

/// Whether there are epoll instances among them.
fn has_instances<P: Polled>(polled: &[P]) -> bool {
    polled.iter().any(|one| one.epoll().is_some())
}

/// Asks the kernel how ready the real descriptors in epoll instances are, for the next [`look`]. No lock is held.
fn look_at_real<P: Polled>(polled: &[P]) {
    polled.iter().filter_map(Polled::epoll).for_each(|epoll| epoll.look_at_real());
}

fn look<P: Polled>(turn: &Turn<'_>, polled: &mut [P]) -> usize {
    let mut count = 0;
    for one in polled {
        let sockets = &turn.state.sockets;
        let ready = match (one.local(), one.epoll()) {
            (Some(local), _) => Some(local.readiness()),
            (None, Some(epoll)) => Some(epoll.readiness(sockets)),
            (None, None) => one.socket().map(|socket| sockets.readiness(socket)),
        };
        count += usize::from(!one.report(ready).is_empty());
    }
    count
}
