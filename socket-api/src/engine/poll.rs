//! Waiting for several sockets at once.

use rustix::io::Errno;
use tapsock_sockets::{Fd, PollMask};
use tapsock_stack::time::Instant;

use super::call::Seat;
use super::epoll::Epoll;
use super::shard::{Shard, Turn};
use super::sync::Arc;
use super::wait::{Claim, Waiter};
use crate::local::LocalSocket;

/// One socket of a poll: asked for, and answered.
pub(crate) trait Polled {
    /// The socket of the stack, where it is one.
    fn socket(&self) -> Option<Fd>;
    /// The local socket, where it is one.
    fn local(&self) -> Option<&LocalSocket> {
        None
    }
    /// The epoll instance, where it is one.
    fn epoll(&self) -> Option<&Epoll> {
        None
    }
    /// The events asked for.
    fn events(&self) -> PollMask;
    /// Takes the socket's readiness, where there is a socket, and tells what of it is reported.
    fn report(&mut self, ready: Option<PollMask>) -> PollMask;
}

impl Shard {
    /// Waits until one of `polled` is ready, or `deadline`; returns how many are. A deadline that has passed makes
    /// it look once, at the link too.
    pub(crate) fn poll<P: Polled>(
        &self,
        polled: &mut [P],
        deadline: Option<Instant>,
    ) -> Result<usize, Errno> {
        let mut turn = self.turn();
        turn.collect();
        let count = look(&turn, polled);
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
        let mut seat = Seat::take(&turn);
        for one in polled.iter() {
            if let Some(socket) = one.socket() {
                turn.state.waiters.add(socket, &seat.waiter, one.events(), Claim::Watcher);
            }
        }
        let others = Others::watch(self, polled, &seat.waiter);
        let count = loop {
            // Something may have come to one of them while it was put in.
            let count = if others.any { look(&turn, polled) } else { 0 };
            if count > 0 {
                break count;
            }
            turn = seat.wait(turn, deadline);
            seat.waiter.reset();
            let count = look(&turn, polled);
            if count > 0 || deadline.is_some_and(|deadline| deadline <= turn.now) {
                break count;
            }
        };
        for socket in polled.iter().filter_map(Polled::socket) {
            turn.state.waiters.remove(socket, &seat.waiter);
        }
        turn.leave(&seat.waiter);
        turn.finish();
        others.forget(polled, &seat.waiter);
        Ok(count)
    }
}

/// The local sockets and the epoll instances of a poll, which know nothing of the link that the thread may sleep on.
struct Others {
    any: bool,
}

impl Others {
    fn watch<P: Polled>(shard: &Shard, polled: &[P], waiter: &Arc<Waiter>) -> Self {
        let any = polled.iter().any(|one| one.local().is_some() || one.epoll().is_some());
        if any {
            waiter.set_alarm(Some(shard.caller_kick.clone()));
            for one in polled {
                if let Some(local) = one.local() {
                    local.watch(waiter, one.events());
                }
                if let Some(epoll) = one.epoll() {
                    epoll.watch(waiter, one.events());
                }
            }
        }
        Others { any }
    }

    fn forget<P: Polled>(self, polled: &[P], waiter: &Arc<Waiter>) {
        if self.any {
            polled.iter().filter_map(Polled::local).for_each(|local| local.forget(waiter));
            polled.iter().filter_map(Polled::epoll).for_each(|epoll| epoll.forget(waiter));
            waiter.set_alarm(None);
        }
    }
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
