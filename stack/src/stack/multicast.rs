//! Groups through the stack: the memberships of sockets, what routers are told of them, and copies for ourselves.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::buf::Frame;
use crate::counters::Counter;
use crate::iface::multicast::{
    Filter, GroupReport, MembershipError, Memberships, Merged, QueryHeard, Reporter, pack,
};
use crate::iface::{Interface, InterfaceId, LinkState, NextHop};
use crate::ip::input::{Origin, Packet, Sender, Stations};
use crate::time::Instant;
use crate::udp::UdpId;
use crate::wire::group::{
    GroupMessage, MLD_DONE, MLD_QUERY, MLD_REPORT, igmp_leave, igmp_member, igmp_report, mld_done,
    mld_member, mld_report,
};
use crate::wire::ndp::is_solicited_node;
use crate::wire::offload::{Medium, Transmit};
use crate::wire::{EthernetAddress, Ipv6Header};

use super::{MAX_LOOPED, SocketId, Stack, prepend_ethernet};

/// What a socket wants of a group.
///
/// ```
/// use tapsock_stack::stack::GroupChange;
///
/// assert_ne!(GroupChange::Join, GroupChange::Leave);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum GroupChange {
    /// To hear everybody there.
    Join,
    /// To hear nobody.
    Leave,
    /// To hear this source, and no others but those named before.
    JoinSource(IpAddr),
    /// To hear it no more.
    LeaveSource(IpAddr),
    /// To hear all but this source, and those named before.
    Block(IpAddr),
    /// To hear it again.
    Unblock(IpAddr),
}

/// The groups of all sockets.
#[derive(Debug, Default)]
pub(super) struct Groups {
    of: BTreeMap<SocketId, Memberships>,
    /// What the sockets of each want to hear together.
    merged: BTreeMap<(InterfaceId, IpAddr), Merged>,
    reporter: Reporter,
    /// The groups of solicitations that interfaces are in for their addresses, of which routers know.
    solicited: BTreeSet<(InterfaceId, Ipv6Addr)>,
    /// What the interfaces were in when these were looked at.
    generation: u32,
    /// Copies of what we sent to groups that we hear ourselves.
    looped: VecDeque<(InterfaceId, Frame)>,
}

/// The value of the router alert option of MLD's packets.
//= RFC 2711 §2.1
const ALERT_OF_MLD: u16 = 0;

impl Groups {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.reporter.poll_timeout()
    }

    pub(super) fn next_looped(&mut self) -> Option<(InterfaceId, Frame)> {
        self.looped.pop_front()
    }
}

impl Stack {
    /// Changes what a UDP socket hears of `group` on an interface: [`change_group`](Self::change_group).
    pub fn udp_change_group(
        &mut self,
        id: UdpId,
        interface: InterfaceId,
        group: IpAddr,
        change: GroupChange,
    ) -> Result<(), MembershipError> {
        self.change_group(SocketId::Udp(id), interface, group, change)
    }

    /// Changes what a socket hears of `group` on an interface (RFC 3678): a UDP socket or a raw one; of the others, only the
    /// interface hears more.
    //= RFC 1122 §3.3.7 SHLD-1
    //= RFC 9776 §2 MUST-2
    //= RFC 9776 §3.2 MUST-2
    //= RFC 9777 §4.2 MUST-2
    pub fn change_group(
        &mut self,
        id: SocketId,
        interface: InterfaceId,
        group: IpAddr,
        change: GroupChange,
    ) -> Result<(), MembershipError> {
        self.change_memberships(id, interface, group, |groups| match change {
            GroupChange::Join => groups.join(interface, group),
            GroupChange::Leave => groups.leave(interface, group),
            GroupChange::JoinSource(source) => groups.join_source(interface, group, source),
            GroupChange::LeaveSource(source) => groups.leave_source(interface, group, source),
            GroupChange::Block(source) => groups.block(interface, group, source),
            GroupChange::Unblock(source) => groups.unblock(interface, group, source),
        })
    }

    /// Names all sources anew that a socket hears, or does not hear, of a group that it is in (`IP_MSFILTER`,
    /// `MCAST_MSFILTER`). Who is to hear nobody leaves it.
    ///
    /// Fails with [`MembershipError::OtherMode`] (EINVAL) where it is not in the group, [`MembershipError::Full`] (ENOBUFS)
    /// for more sources than [`MAX_SOURCES`](crate::iface::multicast::MAX_SOURCES), or
    /// [`MembershipError::NoInterface`] (ENODEV).
    //= RFC 3678 §4.1.3
    pub fn set_group_filter(
        &mut self,
        id: SocketId,
        interface: InterfaceId,
        group: IpAddr,
        filter: Filter,
    ) -> Result<(), MembershipError> {
        self.change_memberships(id, interface, group, |groups| groups.replace(interface, group, filter))
    }

    /// Which sources a socket hears of a group that it is in there.
    pub fn group_filter(&self, id: SocketId, interface: InterfaceId, group: IpAddr) -> Option<&Filter> {
        self.groups.of.get(&id)?.filter(interface, group)
    }

    fn change_memberships(
        &mut self,
        id: SocketId,
        interface: InterfaceId,
        group: IpAddr,
        change: impl FnOnce(&mut Memberships) -> Result<(), MembershipError>,
    ) -> Result<(), MembershipError> {
        if self.interfaces.interface(interface).is_none() {
            return Err(MembershipError::NoInterface);
        }
        let groups = self.groups.of.entry(id).or_default();
        let before = groups.filter(interface, group).cloned();
        let changed = change(groups);
        let mut after = groups.filter(interface, group).cloned();
        let mut outcome = changed;
        if before.is_none() && after.is_some() && !self.join_on(interface, group) {
            // As if nothing had been asked.
            after = None;
            outcome = Err(MembershipError::Full);
        }
        if let Some(groups) = self.groups.of.get_mut(&id) {
            if after.is_none() {
                let _ = groups.leave(interface, group);
            }
            if groups.groups().next().is_none() {
                self.groups.of.remove(&id);
            }
        }
        if before.is_some() && after.is_none() {
            self.leave_on(interface, group);
        }
        self.report_group(interface, group, before.as_ref(), after.as_ref());
        outcome
    }

    /// Lets an interface hear a group, where it and what routers are told have room for it.
    fn join_on(&mut self, interface: InterfaceId, group: IpAddr) -> bool {
        let room = !self.is_reported(interface, group) || self.groups.reporter.has_room(interface, group);
        room && self.interfaces.join(interface, group)
    }

    /// The interface that a socket means which names none: where it is in the group, or where the way there leads. As Linux,
    /// whose IPv4 asks for a way whatever the socket is in, and looks only to leave where that is; its IPv6 asks for one where
    /// a source is named.
    pub fn group_interface(
        &self,
        id: impl Into<SocketId>,
        group: IpAddr,
        change: GroupChange,
    ) -> Option<InterfaceId> {
        let id = id.into();
        let known = self.groups.of.get(&id).and_then(|groups| groups.interface_of(group));
        let by_route = self.interfaces.route(group, None, None).ok().map(|hop| hop.interface);
        let any =
            || self.interfaces.iter().find(|found| !found.is_loopback() && found.link() == LinkState::Up);
        let by_way = by_route.or_else(|| any().map(|found| found.id()));
        match (group, change) {
            (IpAddr::V6(_), GroupChange::Join | GroupChange::Leave) => known.or(by_way),
            (IpAddr::V4(_), GroupChange::Leave) | (IpAddr::V6(_), _) => by_way.and(known.or(by_way)),
            (IpAddr::V4(_), _) => by_way,
        }
    }

    /// Takes a closed socket out of its groups.
    pub(super) fn leave_groups(&mut self, id: SocketId) {
        let Some(groups) = self.groups.of.remove(&id) else { return };
        for (interface, group, filter) in groups.groups() {
            self.leave_on(interface, group);
            self.report_group(interface, group, Some(filter), None);
        }
    }

    /// A socket's own membership ends. That of a group in which addresses are asked for may have been taken for the group
    /// of one that is looked for: that ends first, so that routers are told when the socket's does.
    fn leave_on(&mut self, interface: InterfaceId, group: IpAddr) {
        self.interfaces.leave(interface, group);
        if matches!(group, IpAddr::V6(group) if is_solicited_node(group)) {
            self.follow_solicited_groups();
        }
    }

    /// Whether a socket hears a packet to a group. Who is in the group nowhere hears what others here joined it for,
    /// unless it said otherwise (`IP_MULTICAST_ALL`).
    pub(super) fn hears(&self, id: SocketId, packet: &Packet) -> bool {
        if !packet.destination.is_multicast() {
            return true;
        }
        let groups = self.groups.of.get(&id);
        match groups.and_then(|groups| groups.passes(packet.interface, packet.destination, packet.source)) {
            Some(passes) => passes,
            None => self.hears_what_others_joined(id, packet.destination),
        }
    }

    fn hears_what_others_joined(&self, id: SocketId, group: IpAddr) -> bool {
        match id {
            SocketId::Udp(id) => self.udp.socket(id).is_some_and(|socket| match group {
                IpAddr::V4(_) => !socket.own_groups_only.0,
                IpAddr::V6(_) => !socket.own_groups_only.1,
            }),
            SocketId::Raw(id) => self.raw.get(id).is_some_and(|socket| !socket.own_groups_only),
            SocketId::Tcp(_) | SocketId::Listener(_) | SocketId::Ping(_) => true,
        }
    }

    /// A packet to a group is to leave: it comes back to us where we hear the group, unless `no_loop`. Gives how far it goes. By
    /// the loopback each goes, as on Linux, and comes back as others do.
    //= RFC 1112 §6.1
    pub(super) fn leave_for_group(
        &mut self,
        hop: &NextHop,
        group: IpAddr,
        packet: &Transmit,
        no_loop: bool,
    ) -> Reach {
        if hop.interface == InterfaceId::LOOPBACK {
            return Reach::Link;
        }
        if !no_loop {
            self.loop_to_group(hop, group, packet);
        }
        reach_of(packet)
    }

    fn loop_to_group(&mut self, hop: &NextHop, group: IpAddr, packet: &Transmit) {
        let hears = self.interfaces.interface(hop.interface).is_some_and(|found| found.hears(group));
        if hears {
            if self.groups.looped.len() < MAX_LOOPED {
                self.groups.looped.push_back((hop.interface, packet.to_frame()));
            } else {
                self.count_discarded(group);
            }
        }
    }

    pub(super) fn receive_looped(&mut self, now: Instant, interface: InterfaceId, frame: &Frame) {
        let origin = Origin { interface, stations: Stations::Several, sender: Sender::Ourselves };
        self.receive_ip(now, origin, frame, frame.bytes.clone());
    }

    /// A socket hears other sources of a group on an interface than before: tells routers, where that changes what the
    /// interface hears.
    fn report_group(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        before: Option<&Filter>,
        after: Option<&Filter>,
    ) {
        if before == after {
            return;
        }
        let heard = self.merge_group(interface, group, before, after);
        if self.is_reported(interface, group) {
            self.set_group_policy(interface, group.is_ipv4());
            self.groups.reporter.set(interface, group, heard);
        }
    }

    /// An interface is in a group by itself, or no more. Routers are told as of the groups of its addresses: unasked where it
    /// looks for those on the link.
    pub(super) fn be_in_own_group(&mut self, interface: InterfaceId, group: Ipv6Addr, is_in: bool) {
        let group = IpAddr::V6(group);
        if is_in && !self.join_on(interface, group) {
            return;
        }
        let (before, after) = if is_in { (None, Some(&Filter::ALL)) } else { (Some(&Filter::ALL), None) };
        if !is_in && self.interfaces.leave(interface, group) {
            log::debug!("{interface}: not in {group} any more");
        }
        let heard = self.merge_group(interface, group, before, after);
        if self.is_reported(interface, group) {
            self.tell_of_own_group(interface, group, heard);
        }
    }

    fn tell_of_own_group(&mut self, interface: InterfaceId, group: IpAddr, heard: Filter) {
        if self.looks_for_addresses(interface) {
            self.set_group_policy(interface, false);
            self.groups.reporter.set(interface, group, heard);
        } else {
            self.groups.reporter.note(interface, group, heard);
        }
    }

    /// What an interface hears of a group, after one of those who hear it changed its mind.
    fn merge_group(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        before: Option<&Filter>,
        after: Option<&Filter>,
    ) -> Filter {
        let merged = self.groups.merged.entry((interface, group)).or_default();
        merged.replace(before, after);
        let heard = merged.filter();
        if merged.is_unused() {
            self.groups.merged.remove(&(interface, group));
        }
        heard
    }

    /// The addresses of interfaces may have changed, and the groups with them in which they are asked for: routers are told
    /// when they ask, and unasked where an interface looks for its addresses on the link too.
    //= RFC 9777 §5.1.10
    //= RFC 4862 §5.4.2
    pub(super) fn follow_solicited_groups(&mut self) {
        let generation = self.interfaces.group_generation();
        if self.groups.generation == generation {
            return;
        }
        self.groups.generation = generation;
        let ethernet = self.interfaces.iter().filter(|found| found.has_neighbors());
        let wanted: BTreeSet<(InterfaceId, Ipv6Addr)> =
            ethernet.flat_map(|found| found.solicited_groups().map(|group| (found.id(), group))).collect();
        let known = core::mem::replace(&mut self.groups.solicited, wanted);
        let changed: Vec<_> = known.symmetric_difference(&self.groups.solicited).copied().collect();
        for (interface, solicited) in changed {
            let group = IpAddr::V6(solicited);
            let (before, after) = match known.contains(&(interface, solicited)) {
                true => (Some(&Filter::ALL), None),
                false => (None, Some(&Filter::ALL)),
            };
            let heard = self.merge_group(interface, group, before, after);
            self.tell_of_own_group(interface, group, heard);
        }
    }

    /// An interface has its first link-local address, after it had told of groups without one.
    pub(super) fn tell_groups_again(&mut self, interface: InterfaceId) {
        let found = self.interfaces.interface(interface);
        let is_link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let link_local = found.map_or(0, |found| {
            found.addresses().iter().filter(|own| is_link_local(own.cidr.address)).count()
        });
        if link_local != 1 {
            return;
        }
        self.set_group_policy(interface, false);
        self.groups.reporter.tell_again(interface);
    }

    /// Has the interface tell of groups as its settings are now.
    fn set_group_policy(&mut self, interface: InterfaceId, v4: bool) {
        let name = self.interfaces.interface(interface).map_or("", Interface::name);
        let policy = self.config.group_policy_at(name, v4);
        self.groups.reporter.set_policy(interface, v4, policy);
    }

    /// Whether routers are told of a group on an interface.
    fn is_reported(&self, interface: InterfaceId, group: IpAddr) -> bool {
        let link = self.interfaces.interface(interface);
        link.is_some_and(|found| !found.is_loopback() && found.caps().medium == Medium::Ethernet)
            && concerns_routers(group)
    }

    pub(super) fn handle_group_timeouts(&mut self, now: Instant) {
        for (interface, report) in self.groups.reporter.handle_timeout(now, &mut self.random) {
            self.send_group_report(interface, report);
        }
    }

    fn send_group_report(&mut self, interface: InterfaceId, report: GroupReport) {
        let Some(found) = self.interfaces.interface(interface) else { return };
        match report {
            GroupReport::Records(records) => {
                let Some(first) = records.first() else { return };
                let (family, v4) = (first.group, first.group.is_ipv4());
                for records in pack(records, found.mtu_of(family)) {
                    let packet = match self.group_source(interface, v4) {
                        IpAddr::V4(source) => igmp_report(source, &records),
                        IpAddr::V6(source) => mld_report(source, &records),
                    };
                    self.send_group_packet(interface, packet);
                }
            }
            GroupReport::Member { group, version } => {
                let packet = match (self.group_source(interface, group.is_ipv4()), group) {
                    (IpAddr::V4(source), IpAddr::V4(group)) => igmp_member(source, group, version),
                    (IpAddr::V6(source), IpAddr::V6(group)) => mld_member(source, group),
                    _ => return,
                };
                self.send_group_packet(interface, packet);
            }
            GroupReport::Leave { group } => {
                let packet = match (self.group_source(interface, group.is_ipv4()), group) {
                    (IpAddr::V4(source), IpAddr::V4(group)) => igmp_leave(source, group),
                    (IpAddr::V6(source), IpAddr::V6(group)) => mld_done(source, group),
                    _ => return,
                };
                self.send_group_packet(interface, packet);
            }
        }
    }

    /// By which address an interface speaks to routers of groups. Who has none yet reports nevertheless.
    //= RFC 9777 §5.2.14 MUST-1
    fn group_source(&self, interface: InterfaceId, v4: bool) -> IpAddr {
        let own = |wanted: fn(&IpAddr) -> bool| {
            let found = self.interfaces.interface(interface)?;
            found.addresses().iter().map(|own| own.cidr.address).find(wanted)
        };
        match v4 {
            true => own(IpAddr::is_ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            false => own(is_link_local_v6).unwrap_or(Ipv6Addr::UNSPECIFIED.into()),
        }
    }

    fn send_group_packet(&mut self, interface: InterfaceId, packet: Transmit) {
        let Some(found) = self.interfaces.interface(interface) else { return };
        let destination = destination_of(&packet);
        if found.link() == LinkState::Down {
            return self.count_discarded(destination);
        }
        let frame = prepend_ethernet(found, EthernetAddress::multicast_for(destination), packet);
        let v4 = destination.is_ipv4();
        self.counters.bump(if v4 { Counter::IpOutRequests } else { Counter::Ip6OutRequests });
        if !v4 {
            self.counters.bump(Counter::Icmp6OutMsgs);
        }
        self.queue_answer(interface, frame);
    }

    /// A message of IGMP.
    pub(super) fn receive_igmp(&mut self, now: Instant, packet: &Packet) {
        match GroupMessage::parse_igmp(&packet.payload) {
            Ok(message) => self.on_group_message(now, packet, message),
            Err(_) => self.counters.bump(Counter::TapsockGroupInErrors),
        }
    }

    /// A message of MLD, where it is one.
    //= RFC 9777 §5.1.2 MUST-1
    //= RFC 9777 §5.1.12 MUST-1
    //= RFC 9777 §5.2.2 MUST-1
    //= RFC 9777 §5.2.12 MUST-1
    pub(super) fn receive_mld(&mut self, now: Instant, kind: u8, packet: &Packet, ip: &Ipv6Header) {
        if !matches!(kind, MLD_QUERY | MLD_REPORT | MLD_DONE) {
            return;
        }
        // As Linux: of reports and of Done it is not asked.
        //= RFC 9777 §6.2
        let alerts = kind != MLD_QUERY || packet.router_alert_v6() == Some(ALERT_OF_MLD);
        match GroupMessage::parse_mld(ip, &packet.payload) {
            Ok(message) if alerts => self.on_group_message(now, packet, message),
            _ => {
                self.counters.bump(Counter::Icmp6InErrors);
                self.counters.bump(Counter::TapsockGroupInErrors);
            }
        }
    }

    //= RFC 9776 §4.1.12 MUST-1
    //= RFC 9776 §4.2.15 MUST-1
    //= RFC 9777 §5.1.15 MUST-1
    //= RFC 9777 §5.2.15 MUST-1
    fn on_group_message(&mut self, now: Instant, packet: &Packet, message: GroupMessage) {
        let interface = packet.interface;
        match message {
            GroupMessage::Query { version, group, sources, max_response, habits } => {
                let v4 = packet.source.is_ipv4();
                self.set_group_policy(interface, v4);
                let query = QueryHeard { group, sources, max_response, version, v4, habits };
                self.groups.reporter.on_query(now, interface, &query, &mut self.random);
            }
            GroupMessage::Member { group } => self.groups.reporter.on_report(now, interface, group),
            GroupMessage::Other => {}
        }
    }
}

/// How far a packet to a group goes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// Not beyond this host: its TTL or hop limit is zero.
    Host,
    Link,
}

/// How far that packet to a group goes.
//= RFC 1112 §6.1
fn reach_of(packet: &Transmit) -> Reach {
    let mut head = [0; 9];
    let len = packet.headers.len().min(head.len());
    head[..len].copy_from_slice(&packet.headers[..len]);
    if len < head.len() {
        packet.payload.copy_to(&mut head[len..]);
    }
    let limit = if head[0] >> 4 == 4 { head[8] } else { head[7] };
    if limit == 0 { Reach::Host } else { Reach::Link }
}

/// Whether a group concerns routers: not for those that all hosts are in, nor those of one host.
//= RFC 9776 §5
//= RFC 9777 §6
//= RFC 9777 §6 MUST-1
fn concerns_routers(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets() != [224, 0, 0, 1],
        IpAddr::V6(group) => {
            group.segments()[0] & 0xf > 1 && group != Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
        }
    }
}

fn is_link_local_v6(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Where a packet that was just made goes.
fn destination_of(packet: &Transmit) -> IpAddr {
    let headers = &packet.headers;
    match headers.first().map(|byte| byte >> 4) {
        Some(4) => {
            let mut octets = [0; 4];
            octets.copy_from_slice(&headers[16..20]);
            IpAddr::from(octets)
        }
        _ => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&headers[24..40]);
            IpAddr::from(octets)
        }
    }
}
