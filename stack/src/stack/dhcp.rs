//! The DHCP clients of the interfaces: their messages on the way out and in, and what they set up.

use core::net::{IpAddr, Ipv4Addr};

use crate::buf::{Checksum, HeaderBlock, Rope};
use crate::counters::Counter;
use crate::discovery::Fragmentation;
use crate::iface::dhcp::{DhcpAction, DhcpClient, Lease};
use crate::iface::{InterfaceError, InterfaceId, IpCidr, LinkState, Route, arp};
use crate::ip::input::Packet;
use crate::ip::output::Outgoing;
use crate::time::{Instant, earliest};
use crate::wire::arp::ArpPacket;
use crate::wire::dhcpv4::{CLIENT_PORT, Reply, SERVER_PORT};
use crate::wire::offload::{Medium, PartialChecksum, Transmit};
use crate::wire::{EthernetAddress, IpProtocol, UdpHeader};

use super::{Stack, prepend_ethernet};

/// The least MTU that a server can make a link have, in bytes: what every host takes.
const LEAST_MTU: u16 = 576;

/// The client of an interface, and what it has set up there itself: what was there already stays when the lease ends.
#[derive(Debug)]
struct Client {
    interface: InterfaceId,
    machine: DhcpClient,
    /// The address of the lease.
    address: Option<IpAddr>,
    /// The routes that came with it.
    routes: Vec<Route>,
}

/// Those of all interfaces: one each at most.
#[derive(Debug, Default)]
pub(super) struct DhcpClients {
    clients: Vec<Client>,
    /// How often an address came or went by them.
    changes: u64,
    /// Who leads to the servers that [were told](Stack::release_leases) what is free again: one for each client at most.
    told: Vec<(InterfaceId, IpAddr)>,
}

impl DhcpClients {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.clients.iter().fold(None, |due, client| earliest(due, client.machine.poll_timeout()))
    }

    /// The link is gone: nobody can be asked any more.
    pub(super) fn on_link_down(&mut self, interface: InterfaceId) {
        if let Some(client) = self.of(interface) {
            client.machine.rest();
        }
    }

    fn of(&mut self, interface: InterfaceId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.interface == interface)
    }
}

impl Stack {
    /// Has an Ethernet interface ask for an IPv4 address by DHCP, and keep it. `host_name` is what the server is told that
    /// we are called. What it gives is set up as if by [`add_address`](Stack::add_address) and
    /// [`add_route`](Stack::add_route), and taken away when the lease ends; what was there already stays. An MTU that it
    /// gives bounds packets, not the link, and IPv6's at no less than 1,280 bytes.
    ///
    /// Fails with [`InterfaceError::Missing`] (ENODEV) for an interface that there is not, that is not of Ethernet or
    /// whose link is gone, or `Exists` (EEXIST) where it asks already.
    //= RFC 2131 §4.4
    pub fn start_dhcp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        host_name: Option<String>,
    ) -> Result<(), InterfaceError> {
        let found = self.interfaces.interface(interface).ok_or(InterfaceError::Missing)?;
        if found.caps().medium != Medium::Ethernet || found.link() == LinkState::Down {
            return Err(InterfaceError::Missing);
        }
        let hardware = found.hardware();
        if self.dhcp.of(interface).is_some() {
            return Err(InterfaceError::Exists);
        }
        let machine = DhcpClient::new(now, hardware, host_name, &mut self.random);
        self.dhcp.clients.push(Client { interface, machine, address: None, routes: Vec::new() });
        self.run_dhcp(now, interface);
        Ok(())
    }

    /// Gives back what an interface was given, and asks no more.
    pub fn stop_dhcp(&mut self, now: Instant, interface: InterfaceId) {
        let Some(client) = self.dhcp.clients.iter_mut().find(|client| client.interface == interface) else {
            return;
        };
        client.machine.release(now, &mut self.random);
        self.run_dhcp(now, interface);
        self.dhcp.clients.retain(|client| client.interface != interface);
    }

    /// Gives back what all interfaces were given, as a host does that ends: the addresses stay with it until then, for the
    /// servers may have to be asked for by ARP first. Returns whether anything was given.
    pub fn release_leases(&mut self, now: Instant) -> bool {
        let mut given = Vec::new();
        self.dhcp.told.clear();
        for client in &mut self.dhcp.clients {
            let server = client.machine.lease().map(|lease| (lease.server.into(), lease.address.address));
            if client.machine.give_back(now, &mut self.random) {
                given.push(client.interface);
                let hop = server.and_then(|(to, from)| self.interfaces.route(to, Some(from), None).ok());
                self.dhcp.told.extend(hop.map(|hop| (hop.interface, hop.next_hop)));
            }
        }
        given.iter().for_each(|interface| self.run_dhcp(now, *interface));
        !given.is_empty()
    }

    /// Whether servers are yet to be told of what [was given back](Self::release_leases), because it is not known which
    /// station leads to them. What waits for other neighbours does not count.
    pub fn waits_for_servers(&self) -> bool {
        self.dhcp.told.iter().any(|(interface, hop)| self.neighbors.has_waiting(*interface, *hop))
    }

    /// What an interface was given by DHCP.
    pub fn lease(&self, interface: InterfaceId) -> Option<&Lease> {
        self.dhcp.clients.iter().find(|client| client.interface == interface)?.machine.lease()
    }

    /// How often an address came or went by DHCP: who remembers the number sees whether there is news.
    pub fn lease_changes(&self) -> u64 {
        self.dhcp.changes
    }

    /// Whether a packet, whomever it is addressed to, is for the client of its interface: who asks for an address has
    /// none yet, nor a way back to the server. A router passes on what servers say to the hosts behind it.
    pub(super) fn is_for_dhcp(&self, packet: &Packet) -> bool {
        if self.dhcp.clients.is_empty() || packet.protocol != IpProtocol::UDP || packet.fragment.is_some() {
            return false;
        }
        let ports = packet
            .payload
            .first_chunk()
            .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        if ports != Some((SERVER_PORT, CLIENT_PORT)) {
            return false;
        }
        let client = self.dhcp.clients.iter().find(|client| client.interface == packet.interface);
        client.is_some_and(|client| {
            let message = || Reply::parse(packet.payload.get(UdpHeader::LEN..).unwrap_or_default()).ok();
            !self.is_in_transit(packet.origin(), packet.destination)
                || message().is_some_and(|reply| client.machine.is_told_by(&reply))
        })
    }

    pub(super) fn receive_dhcp(&mut self, now: Instant, packet: &Packet) {
        self.counters.bump(Counter::IpInDelivers);
        // Who looks at all that comes for this host sees this too.
        if self.interfaces.accepts(packet.interface, packet.destination) {
            self.deliver_raw(now, packet);
        }
        let Ok(header) = UdpHeader::parse(&packet.payload) else {
            self.counters.bump(Counter::UdpInErrors);
            return;
        };
        if packet.verified() == Checksum::Invalid {
            self.counters.bump(Counter::UdpInCsumErrors);
            self.counters.bump(Counter::UdpInErrors);
            return;
        }
        self.counters.bump(Counter::UdpInDatagrams);
        let Ok(reply) = Reply::parse(&packet.payload[UdpHeader::LEN..header.length.into()]) else {
            self.counters.bump(Counter::TapsockDhcpInErrors);
            return;
        };
        let Some(client) = self.dhcp.clients.iter_mut().find(|client| client.interface == packet.interface)
        else {
            return;
        };
        if !client.machine.on_reply(now, reply, &mut self.random) {
            self.counters.bump(Counter::TapsockDhcpInUnexpected);
        }
        self.run_dhcp(now, packet.interface);
    }

    /// Who sends this has its address, which a client may have been about to take.
    pub(super) fn tell_dhcp_of(&mut self, now: Instant, interface: InterfaceId, packet: &ArpPacket) {
        if let Some(client) = self.dhcp.of(interface) {
            // Who looks whether an address is free is about to have it.
            let probes = packet.sender_ip.is_unspecified();
            let address = if probes { packet.target_ip } else { packet.sender_ip };
            client.machine.on_arp(now, address, packet.sender_hardware);
            self.run_dhcp(now, interface);
        }
    }

    /// Somebody insists on an address that was given to us.
    pub(super) fn on_lease_conflict(&mut self, now: Instant, interface: InterfaceId, address: Ipv4Addr) {
        if let Some(client) = self.dhcp.of(interface) {
            client.machine.on_conflict(now, address);
            self.run_dhcp(now, interface);
        }
    }

    pub(super) fn handle_dhcp_timeouts(&mut self, now: Instant) {
        if self.dhcp.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        let interfaces: Vec<InterfaceId> = self.dhcp.clients.iter().map(|client| client.interface).collect();
        for interface in interfaces {
            if let Some(client) = self.dhcp.clients.iter_mut().find(|client| client.interface == interface) {
                client.machine.handle_timeout(now, &mut self.random);
            }
            self.run_dhcp(now, interface);
        }
    }

    /// Does what the client of an interface asks for.
    fn run_dhcp(&mut self, now: Instant, interface: InterfaceId) {
        while let Some(action) = self.dhcp.of(interface).and_then(|client| client.machine.poll_action()) {
            match action {
                DhcpAction::Broadcast(message) => {
                    self.send_dhcp(now, interface, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, message);
                }
                DhcpAction::Send { from, to, message } => self.send_dhcp(now, interface, from, to, message),
                DhcpAction::Probe(address) => {
                    if let Some(found) = self.interfaces.interface(interface)
                        && found.link() == LinkState::Up
                    {
                        let frame = arp::request(found, Ipv4Addr::UNSPECIFIED, address, None);
                        self.queue_answer(interface, frame);
                    }
                }
                DhcpAction::Configure(lease) => self.configure(interface, &lease),
                DhcpAction::Withdraw => self.withdraw(interface),
            }
        }
    }

    //= RFC 2131 §4.1 MUST-1
    fn send_dhcp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        from: Ipv4Addr,
        to: Ipv4Addr,
        message: Vec<u8>,
    ) {
        if self.interfaces.interface(interface).is_none_or(|found| found.link() == LinkState::Down) {
            self.counters.bump(Counter::IpOutDiscards);
            return;
        }
        let addresses = (IpAddr::V4(from), IpAddr::V4(to));
        let mut headers = HeaderBlock::new();
        let header =
            UdpHeader { source_port: CLIENT_PORT, destination_port: SERVER_PORT, ..UdpHeader::default() };
        header.prepend_to(message.len(), &mut headers);
        let len = UdpHeader::LEN + message.len();
        let checksum =
            PartialChecksum::begin(&mut headers, UdpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::UDP, len);
        let payload = Rope::from(message);
        let mut packet = Transmit { headers, payload, checksum: Some(checksum), segmentation: None };
        let outgoing = Outgoing {
            source: addresses.0,
            destination: addresses.1,
            protocol: IpProtocol::UDP,
            hop_limit: self.config.ip_default_ttl,
            traffic_class: 0,
            fragmentation: Fragmentation::Forbidden,
            identification: 0,
        };
        if outgoing.prepend_to(&mut packet, &mut self.counters).is_none() {
            return;
        }
        self.counters.bump(Counter::UdpOutDatagrams);
        let Some(found) = self.interfaces.interface(interface) else { return };
        if !found.caps().fills_checksums {
            packet.complete_checksum();
        }
        if to.is_broadcast() {
            let frame = prepend_ethernet(found, EthernetAddress::BROADCAST, packet);
            self.queue_answer(interface, frame);
        } else if let Ok(hop) = self.interfaces.route(addresses.1, Some(addresses.0), None) {
            self.send_answer(now, &hop, packet);
        }
    }

    /// Sets an interface up as a lease says. What is there already, by somebody's own hand, stays.
    fn configure(&mut self, interface: InterfaceId, lease: &Lease) {
        self.dhcp.changes += 1;
        let added = self.interfaces.add_address(interface, lease.address);
        match added {
            Ok(()) => self.defend_lease(interface, lease.address),
            Err(error) => log::warn!("{interface}: {} by DHCP: {error}", lease.address),
        }
        let mut routes = Vec::new();
        for (network, router) in &lease.routes {
            let router = Some(IpAddr::V4(*router)).filter(|router| !router.is_unspecified());
            // Some networks have their router outside.
            let outside = router.filter(|router| !lease.address.contains(*router));
            let to_router = outside.map(|router| Route::direct(IpCidr::host(router), interface));
            let route = Route { gateway: router, ..Route::direct(network.network(), interface) };
            for route in to_router.into_iter().chain([route]) {
                match self.interfaces.add_route(route) {
                    Ok(()) => routes.push(route),
                    Err(error) => log::warn!("{route} by DHCP: {error}"),
                }
            }
        }
        let mtu = lease.mtu.filter(|mtu| *mtu >= LEAST_MTU);
        self.interfaces.set_leased_mtu(interface, mtu.map(usize::from));
        let Some(client) = self.dhcp.of(interface) else { return };
        client.routes = routes;
        client.address = added.is_ok().then_some(lease.address.address);
    }

    /// Takes away what [`configure`](Self::configure) has added, as far as it is still there.
    fn withdraw(&mut self, interface: InterfaceId) {
        self.dhcp.changes += 1;
        self.interfaces.set_leased_mtu(interface, None);
        let Some(client) = self.dhcp.of(interface) else { return };
        let (routes, address) = (core::mem::take(&mut client.routes), client.address.take());
        for route in routes.into_iter().rev() {
            self.interfaces.forget_route(&route);
        }
        if let Some(address) = address {
            self.forget_claim(interface, address);
            // Somebody may have taken it away already.
            let _ = self.interfaces.remove_address(interface, address);
        }
    }
}
