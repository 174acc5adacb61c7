//! Waiting for the address that the link's interface is given.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::iface::dhcp::Lease;

use super::call::Seat;
use super::clock;
use super::shard::{Shard, Turn};
use super::sync::Arc;

impl Shard {
    /// What the link's interface was given by DHCP.
    pub(crate) fn lease(&self) -> Option<Lease> {
        leased(&self.turn())
    }

    /// Drives until the interface is given an address, for `limit` at most.
    ///
    /// Errors: ENETDOWN where there is no link, or no more; ETIMEDOUT.
    pub(crate) fn wait_for_lease(&self, limit: Duration) -> Result<Lease, Errno> {
        let deadline = clock::now() + limit;
        let mut turn = self.turn();
        let mut seat = Seat::take(&turn);
        turn.state.tenants.push(seat.waiter.clone());
        let outcome = loop {
            if let Some(lease) = leased(&turn) {
                break Ok(lease);
            }
            if turn.state.link.is_none() {
                break Err(Errno::NETDOWN);
            }
            if turn.now >= deadline {
                break Err(Errno::TIMEDOUT);
            }
            turn = seat.wait(turn, Some(deadline));
            seat.waiter.reset();
        };
        turn.state.tenants.retain(|tenant| !Arc::ptr_eq(tenant, &seat.waiter));
        turn.leave(&seat.waiter);
        turn.finish();
        outcome
    }
}

fn leased(turn: &Turn<'_>) -> Option<Lease> {
    turn.state.sockets.stack().lease(turn.state.link?).cloned()
}
