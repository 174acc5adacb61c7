//! The end of a host: what was sent is given time to arrive, and then the rest is reset.

use tapsock_stack::time::Instant;

use super::baton::Role;
use super::call::Seat;
use super::shard::Shard;

/// What was left when a host's time to finish was over.
///
/// ```
/// let host = tapsock::Host::builder().start()?;
/// let report = host.shutdown();
/// assert!(report.is_complete());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct ShutdownReport {
    /// Connections that were reset because their peer had not acknowledged everything.
    pub connections: usize,
    /// Bytes in them that were sent or waited to be sent, and were not acknowledged.
    pub bytes: u64,
}

impl ShutdownReport {
    /// Whether everything that was sent has been acknowledged.
    pub fn is_complete(&self) -> bool {
        self.connections == 0
    }
}

impl Shard {
    /// Closes all sockets, drives until their peers have everything or `deadline`, resets what is left, and gives an address
    /// back that DHCP gave. The
    /// background thread ends. A second call finds nothing to do.
    pub(crate) fn shut_down(&self, deadline: Instant) -> ShutdownReport {
        let mut turn = self.turn();
        let now = turn.now;
        let waited_for: Vec<_> = turn.state.waiters.sockets().collect();
        waited_for.into_iter().for_each(|socket| turn.wake_closed(socket));
        turn.state.sockets.close_all(now);
        let mut seat = Seat::take(&turn);
        loop {
            // What is to be sent has to be on its way before there is anything to wait for. Frames that another
            // thread is writing this moment need no waiting.
            turn.finish();
            turn = self.turn();
            let idle = turn.state.sockets.stack().unfinished().connections == 0 && !self.is_blocked();
            if idle || turn.now >= deadline {
                break;
            }
            turn = seat.wait_once(turn, Some(deadline));
            seat.waiter.reset();
        }
        let left = turn.state.sockets.stack().unfinished();
        let now = turn.now;
        turn.state.sockets.stack_mut().abort_all(now);
        // The server may have to be asked for by ARP, and the link may be full.
        let mut gives_back = turn.state.sockets.stack_mut().release_leases(now);
        while gives_back {
            turn.finish();
            turn = self.turn();
            let waits = turn.state.sockets.stack().waits_for_servers() || self.is_blocked();
            gives_back = waits && turn.now < deadline;
            if gives_back {
                turn = seat.wait_once(turn, Some(deadline));
                seat.waiter.reset();
            }
        }
        turn.state.stopping = true;
        turn.leave(&seat.waiter);
        turn.finish();
        self.kick(Role::Background);
        ShutdownReport { connections: left.connections, bytes: left.bytes }
    }
}
