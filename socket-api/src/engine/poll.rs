//! Waiting for several sockets at once.

use rustix::io::Errno;
use tapsock_sockets::{Fd, PollMask};
use tapsock_stack::time::Instant;

use super::call::Seat;
use super::shard::{Shard, Turn};
use super::wait::Claim;

/// One socket of a poll: asked for, and answered.
pub(crate) trait Polled {
    /// The socket; a negative id is passed over.
    fn socket(&self) -> Fd;
    /// The events asked for.
    fn events(&self) -> PollMask;
    /// Sets the events that are there.
    fn report(&mut self, ready: PollMask);
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
            turn.state.waiters.add(one.socket(), &seat.waiter, one.events(), Claim::Watcher);
        }
        let count = loop {
            turn = seat.wait(turn, deadline);
            seat.waiter.reset();
            let count = look(&turn, polled);
            if count > 0 || deadline.is_some_and(|deadline| deadline <= turn.now) {
                break count;
            }
        };
        for one in polled.iter() {
            turn.state.waiters.remove(one.socket(), &seat.waiter);
        }
        turn.leave(&seat.waiter);
        turn.finish();
        Ok(count)
    }
}

fn look<P: Polled>(turn: &Turn<'_>, polled: &mut [P]) -> usize {
    let mut count = 0;
    for one in polled {
        let ready = match one.socket() {
            Fd(..0) => PollMask::NONE,
            socket => one.events().reported(turn.state.sockets.readiness(socket)),
        };
        one.report(ready);
        count += usize::from(!ready.is_empty());
    }
    count
}
