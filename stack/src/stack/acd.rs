//! IPv4 addresses that are looked for before they are used, and defended after; and those that interfaces choose themselves.

use core::net::{IpAddr, Ipv4Addr};

use crate::counters::Counter;
use crate::iface::acd::{ClaimAction, Purpose};
use crate::iface::{InterfaceError, InterfaceId, IpCidr, LinkState, arp};
use crate::time::Instant;
use crate::wire::EthernetAddress;
use crate::wire::arp::ArpPacket;

use super::Stack;

impl Stack {
    /// Has an interface choose itself an IPv4 address of 169.254/16, which holds on its link alone (RFC 3927), and keep one
    /// until it is removed. It is there when nobody else has it: after five to eight seconds.
    ///
    /// ```
    /// use core::time::Duration;
    /// use tapsock_stack::config::Config;
    /// use tapsock_stack::stack::Stack;
    /// use tapsock_stack::time::Instant;
    /// use tapsock_stack::wire::EthernetAddress;
    /// use tapsock_stack::wire::offload::{LinkCaps, Medium};
    ///
    /// let mut stack = Stack::new(Config::default(), 1, Instant::ZERO);
    /// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
    /// let tap = stack.add_interface("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
    /// stack.start_link_local(tap).unwrap();
    /// while let Some(at) = stack.poll_timeout() {
    ///     stack.handle_timeout(at);
    ///     while stack.poll_transmit(at).is_some() {}
    /// }
    /// let address = stack.link_local(tap).unwrap();
    /// assert!(address.is_link_local() && stack.interfaces().is_local(address.into()));
    /// ```
    ///
    /// Fails with [`InterfaceError::Missing`] (ENODEV) for an interface that there is not or whose link is gone, or
    /// [`InterfaceError::BadAddress`] (EINVAL) where the link has no neighbours.
    pub fn start_link_local(&mut self, interface: InterfaceId) -> Result<(), InterfaceError> {
        let place = self.claimant(interface)?;
        if self.claims.begin_link_local(place) { Ok(()) } else { Err(InterfaceError::Full) }
    }

    /// The link-local IPv4 address that an interface has, or looks for.
    pub fn link_local(&self, interface: InterfaceId) -> Option<Ipv4Addr> {
        self.claims.link_local(interface)
    }

    /// Takes the address away that an interface chose, and chooses no other.
    pub fn stop_link_local(&mut self, interface: InterfaceId) {
        if let Some(address) = self.claims.link_local(interface) {
            self.forget_claim(interface, address.into());
            // It may not have been ours yet.
            let _ = self.interfaces.remove_address(interface, address.into());
        }
    }

    /// The link is gone: nobody can be asked there any more. What was looked for by hand is given at once, as where the
    /// link was gone before.
    pub(super) fn forget_claims(&mut self, now: Instant, interface: InterfaceId) {
        self.claims.forget_interface(interface);
        self.run_claims(now);
    }

    /// Whether an address is to be looked for before an interface gets it, which is then begun.
    pub(super) fn begin_claim(&mut self, interface: InterfaceId, cidr: IpCidr) -> bool {
        let wanted = self.config.ipv4_acd && cidr.address.is_ipv4();
        let place = self.claimant(interface).ok().filter(|_| wanted);
        place.is_some_and(|place| self.claims.begin(place, cidr, Purpose::ByHand))
    }

    /// A lease was looked for by the DHCP client.
    pub(super) fn defend_lease(&mut self, interface: InterfaceId, cidr: IpCidr) {
        if let Some(place) = self.claimant(interface).ok().filter(|_| self.config.ipv4_acd) {
            self.claims.defend(place, cidr, Purpose::Lease);
        }
    }

    pub(super) fn forget_claim(&mut self, interface: InterfaceId, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.claims.forget(interface, address))
    }

    fn claimant(&self, interface: InterfaceId) -> Result<(InterfaceId, EthernetAddress), InterfaceError> {
        let found = self.interfaces.interface(interface).ok_or(InterfaceError::Missing)?;
        match found.link() {
            LinkState::Down => Err(InterfaceError::Missing),
            LinkState::Up if found.has_neighbors() => Ok((interface, found.hardware())),
            LinkState::Up => Err(InterfaceError::BadAddress),
        }
    }

    pub(super) fn watch_claims(&mut self, now: Instant, interface: InterfaceId, packet: &ArpPacket) {
        self.claims.on_arp(now, interface, packet);
        self.run_claims(now);
    }

    pub(super) fn handle_claim_timeouts(&mut self, now: Instant) {
        self.claims.handle_timeout(now, &mut self.random);
        self.run_claims(now);
    }

    fn run_claims(&mut self, now: Instant) {
        while let Some(action) = self.claims.poll_action() {
            match action {
                ClaimAction::Probe { interface, address } => {
                    self.ask_all(interface, Ipv4Addr::UNSPECIFIED, address);
                }
                ClaimAction::Announce { interface, address } => self.ask_all(interface, address, address),
                ClaimAction::Assign { interface, cidr } => {
                    if let Err(error) = self.interfaces.add_address(interface, cidr) {
                        log::warn!("{interface}: {cidr}: {error}");
                        self.forget_claim(interface, cidr.address);
                    }
                }
                ClaimAction::GiveUp { interface, address, purpose } => {
                    self.counters.bump(Counter::TapsockAddressConflicts);
                    log::warn!("{interface}: somebody else has {address}");
                    if purpose == Purpose::Lease {
                        self.on_lease_conflict(now, interface, address);
                    }
                    // It may not have been ours yet.
                    let _ = self.interfaces.remove_address(interface, address.into());
                }
            }
        }
    }

    /// Sends a request for `target` to all, from `source`.
    //= RFC 5227 §1.1 MUST-1
    //= RFC 5227 §1.1 MUST-2
    //= RFC 5227 §1.1 MUST-3
    //= RFC 5227 §2.1.1 MUST-1
    //= RFC 5227 §2.1.1 MUST-2
    //= RFC 5227 §2.1.1 MUST-3
    fn ask_all(&mut self, interface: InterfaceId, source: Ipv4Addr, target: Ipv4Addr) {
        let Some(found) = self.interfaces.interface(interface) else { return };
        if found.link() == LinkState::Up {
            let frame = arp::request(found, source, target, None);
            self.queue_answer(interface, frame);
        }
    }
}
