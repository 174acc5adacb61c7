//! The addresses of interfaces, and what is told of them.

use core::net::IpAddr;

use crate::iface::{Interface, InterfaceError, InterfaceId, IpCidr, LinkState, NeighborPolicy, arp, ndp};

use super::Stack;

impl Stack {
    /// Gives an interface an address, and with it the route to its network. It is announced where `arp_notify` or
    /// `ndisc_notify` say so.
    pub fn add_address(&mut self, interface: InterfaceId, address: IpCidr) -> Result<(), InterfaceError> {
        self.interfaces.add_address(interface, address)?;
        self.announce(interface, address.address);
        Ok(())
    }

    /// Tells all on the link who has `address`, where that is wanted.
    fn announce(&mut self, id: InterfaceId, address: IpAddr) {
        let Some(interface) = self.interfaces.interface(id) else { return };
        if !interface.has_neighbors() || interface.link() == LinkState::Down {
            return;
        }
        let settings = self.config.for_interface(interface.name());
        let frame = match address {
            IpAddr::V4(address) if settings.arp_notify => arp::announcement(interface, address),
            IpAddr::V6(address) if settings.ndisc_notify => {
                ndp::announcement(interface, address, &mut self.counters)
            }
            _ => return,
        };
        self.queue_answer(id, frame);
    }

    /// How an interface deals with its neighbours.
    pub(super) fn neighbor_policy(&self, id: InterfaceId) -> NeighborPolicy {
        let name = self.interfaces.interface(id).map_or("", Interface::name);
        self.config.for_interface(name).neighbor_policy()
    }

    /// Takes an address from an interface.
    pub fn remove_address(&mut self, interface: InterfaceId, address: IpAddr) -> Result<(), InterfaceError> {
        self.interfaces.remove_address(interface, address)
    }
}
