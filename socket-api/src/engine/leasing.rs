//! Waiting for the address that an interface is given.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::iface::dhcp::Lease;

use super::call::Seat;
use super::clock;
use super::port::Port;
use super::shard::{Shard, Turn};
use super::sync::Arc;

impl Shard {
    /// What the first of the links' interfaces that has been given an address was given by DHCP.
    pub(crate) fn lease(&self) -> Option<Lease> {
        leased(&self.turn())
    }

    /// Drives until one of them is given an address, for `limit` at most.
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
            if !self.ports.iter().any(Port::is_up) {
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
    let stack = turn.state.sockets.stack();
    let up = turn.shard().ports.iter().filter(|port| port.is_up());
    up.filter_map(|port| stack.lease(port.interface)).next().cloned()
}
