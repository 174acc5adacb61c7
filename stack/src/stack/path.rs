//! What paths take: who learns it, and how connections follow.

use core::net::{IpAddr, SocketAddr};

use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::discovery::AutoLabel;
use crate::iface::{InterfaceId, NextHop, Way};
use crate::time::Instant;

use super::Stack;
use super::tcp_open::scope_of;
use super::tcp_table::{KnownPath, TcpId};

impl Stack {
    /// Says that a host has answered: whoever leads to it is there (`MSG_CONFIRM`). `interface` holds the way to it to
    /// one interface.
    //= RFC 4861 §7.3.1
    pub fn confirm_path(&mut self, now: Instant, destination: SocketAddr, interface: Option<InterfaceId>) {
        let interface = interface.or(scope_of(destination));
        if let Ok(hop) = self.interfaces.route(destination.ip(), None, interface) {
            self.neighbors.confirm(now, hop.interface, hop.next_hop);
        }
    }

    /// The flow label of IPv6's packets of a flow: the same for all, and telling nothing.
    //= RFC 6437 §3
    pub(super) fn flow_label(&self, labels: AutoLabel, key: &FlowKey) -> u32 {
        self.changed_flow_label(labels, key, 0)
    }

    /// The same after so many `changes`: routers may take another path then. As Linux, after each time-out of a connection.
    pub(super) fn changed_flow_label(&self, labels: AutoLabel, key: &FlowKey, changes: u32) -> u32 {
        let applies = key.remote().is_ipv6() && labels.applies(self.config.auto_flowlabels);
        let change = u64::from(changes).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Other bits of the same secret make sequence numbers.
        if applies { ((key.secret(&self.secret) ^ change) >> 44) as u32 } else { 0 }
    }

    /// Remembers what the path takes that a packet of a socket of that way took, and of that [`flow`](Self::own_flow), where it
    /// sends by one. `interface` is the link of a link-local destination.
    pub(super) fn learn_path_mtu(
        &mut self,
        now: Instant,
        (source, destination): (IpAddr, IpAddr),
        interface: InterfaceId,
        (way, flow): (Way, Option<u32>),
        mtu: usize,
    ) {
        let scoped = matches!(destination, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let way = Way { device: way.device.or(scoped.then_some(interface)), ..way };
        // The rules may go by the source.
        if let Ok(hop) = self.interfaces.route_flow(destination, Some(source), &way, flow) {
            self.learn_path_mtu_over(now, destination, &hop, mtu);
        }
    }

    /// Remembers what a path takes, where it takes less than the link.
    pub(super) fn learn_path_mtu_over(
        &mut self,
        now: Instant,
        destination: IpAddr,
        hop: &NextHop,
        mtu: usize,
    ) {
        if mtu < hop.mtu {
            self.path_mtu.learn(now, destination, mtu, hop.interface);
            self.counters[Counter::TapsockPathMtuEvictions] += self.path_mtu.take_evicted();
        }
    }

    /// The largest packet that the path to a datagram socket's peer is known to take, in bytes: of its
    /// [`flow`](Self::own_flow), where it sends by one.
    pub(super) fn path_to_peer(
        &self,
        now: Instant,
        (source, remote): (Option<IpAddr>, SocketAddr),
        (way, flow): (Way, Option<u32>),
    ) -> Option<usize> {
        let way = Way { device: way.device.or(scope_of(remote)), ..way };
        let hop = self.interfaces.route_flow(remote.ip(), source, &way, flow).ok()?;
        Some(self.path_to(now, remote.ip(), &hop))
    }

    /// The largest packet that the path to a host is known to take, in bytes.
    //= RFC 8201 §3 MUST-1
    pub(super) fn path_to(&self, now: Instant, remote: IpAddr, hop: &NextHop) -> usize {
        self.path_mtu.lookup(now, remote).map_or(hop.mtu, |mtu| mtu.min(hop.mtu))
    }

    /// The same of a connection's path (`IP_MTU`).
    pub fn tcp_path_mtu(&self, now: Instant, id: TcpId) -> Option<usize> {
        let slot = self.tcp.slot(id)?;
        Some(self.path_to(now, slot.key.remote().ip(), &slot.hop()))
    }

    /// Lets a connection that is about to send know where what is known of paths has changed since it last looked,
    /// whoever learned it, and where it has expired. That costs it a comparison.
    //= RFC 8201 §5.2
    //= RFC 8201 §4 MUST-6
    pub(super) fn watch_path(&mut self, now: Instant, index: u32) {
        let routes = self.interfaces.routes().generation();
        if self.tcp.at(index).is_some_and(|slot| slot.path.routes != routes) {
            self.follow_way(now, index);
            if let Some(slot) = self.tcp.at(index) {
                slot.path.routes = routes;
            }
        }
        let generation = self.path_mtu.generation(now);
        if self.tcp.at(index).is_some_and(|slot| slot.path.generation != generation) {
            self.follow_path(now, index);
        }
    }

    /// Lets a connection make segments of the size that its path takes, and send anew what is in flight and larger.
    //= RFC 1191 §6.5
    //= RFC 8201 §4 MUST-5
    //= RFC 8201 §5.2 MUST-3
    //= RFC 8201 §5.2 MUST-4
    //= RFC 8201 §5.2 MUST-5
    //= RFC 8201 §5.4 MUST-1
    pub(super) fn follow_path(&mut self, now: Instant, index: u32) {
        let generation = self.path_mtu.generation(now);
        let Some(slot) = self.tcp.at(index) else { return };
        let (key, hop, adapts) = (slot.key, slot.hop(), slot.connection.options().discovery.adapts());
        let ip_options = slot.connection.options().rare().ip_options.len();
        let fragmentation = self.path_mtu.fragmentation(now, key.remote().ip());
        let sizes = self.segment_sizes(now, &key, &hop, ip_options);
        let Some(slot) = self.tcp.at(index) else { return };
        slot.path = KnownPath { generation, ..slot.path };
        slot.fragmentation = fragmentation;
        if adapts {
            slot.connection.set_path_size(now, sizes.path, &mut self.counters);
        }
    }
}
