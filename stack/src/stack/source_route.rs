//! Source routes of IPv4: packets that name the routers which they go by. They are refused unless
//! `net.ipv4.conf.*.accept_source_route` says otherwise.

use core::net::{IpAddr, Ipv4Addr};

use crate::buf::{Checksum, Chunk};
use crate::counters::Counter;
use crate::iface::{Addresses, InterfaceId, Way};
use crate::ip::forward::is_left_undone;
use crate::ip::icmp::{ErrorKind, NoWay};
use crate::ip::input::{Packet, SourceRoutes};
use crate::time::Instant;
use crate::wire::Ipv4Header;
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv4_options::Ipv4Options;

use super::Stack;

impl Stack {
    /// Whether a packet that comes in there may have a source route. Few have options at all.
    //= RFC 1122 §3.3.5 MUST-5
    //= RFC 1122 §3.3.5 MUST-6
    pub(super) fn source_routes(&self, id: InterfaceId, whole: &[u8]) -> SourceRoutes {
        let has_options = whole.first().is_some_and(|first| first & 0xf > 5);
        if has_options && self.arrival_policy(id).source_routes {
            SourceRoutes::Taken
        } else {
            SourceRoutes::Refused
        }
    }

    /// Sends a packet on that has come to a stop of its source route. `None` where that was not its end.
    //= RFC 1812 §5.2.4.1
    //= RFC 1122 §3.2.1.8
    //= RFC 1122 §3.2.1.8c MUST-2
    //= RFC 1122 §3.3.5 MUST-1
    //= RFC 1122 §3.3.5 MUST-2
    //= RFC 1122 §3.3.5 MUST-3
    //= RFC 1122 §3.3.5 MUST-4
    //= RFC 1122 §3.3.5 MUST-7
    pub(super) fn follow_source_route(&mut self, now: Instant, mut packet: Packet) -> Option<Packet> {
        // Each turn passes a stop, of which an option has nine.
        loop {
            let Ok(options) = Ipv4Options::parse(packet.ipv4_options()) else { return Some(packet) };
            let Some(stop) = options.next_stop(packet.ipv4_options()) else { return Some(packet) };
            let next = IpAddr::V4(stop.address);
            // It was sent to this host alone, and so must its stops here be: what does not come in from outside does not
            // come in by a route either.
            let to_one = !packet.destination.is_multicast()
                && !self.interfaces.is_broadcast(packet.interface, packet.destination);
            let here = self.interfaces.is_local(next);
            if !to_one || here && !self.interfaces.accepts(packet.interface, next) {
                self.counters.bump(Counter::IpInAddrErrors);
                return None;
            }
            if here {
                if let IpAddr::V4(here) = packet.destination {
                    packet = passed(packet, &options, here, stop.address);
                }
                continue;
            }
            if !self.arrival_policy(packet.interface).forwards_v4 {
                self.counters.bump(Counter::IpInAddrErrors);
                return None;
            }
            let way = Way { addresses: Addresses::Any, ..Way::default() };
            let hop = self.interfaces.route_by(next, Some(packet.source), &way).ok();
            let reached = hop.filter(|hop| !stop.strict || hop.next_hop == next);
            match self.interfaces.source_towards(next, reached.as_ref()) {
                Some(IpAddr::V4(ours)) => {
                    let onward = passed(packet, &options, ours, stop.address);
                    self.forward(now, &onward);
                }
                _ => {
                    self.counters.bump(Counter::IpExtInNoRoutes);
                    self.send_error(now, ErrorKind::NoWay(NoWay::SourceRoute), &packet);
                }
            }
            return None;
        }
    }
}

/// The packet on its way to its next stop, with `ours` in place of that in the route.
fn passed(packet: Packet, options: &Ipv4Options, ours: Ipv4Addr, next: Ipv4Addr) -> Packet {
    let len = packet.whole.len() - packet.payload.len();
    let mut bytes = packet.whole.to_vec();
    options.pass_stop(&mut bytes[Ipv4Header::MIN_LEN..len], ours);
    bytes[DESTINATION_AT..Ipv4Header::MIN_LEN].copy_from_slice(&next.octets());
    write_checksum(&mut bytes[..len]);
    let whole = Chunk::from(bytes);
    // The transport's checksum is about the last stop: whoever has looked at it took the one before for that. What the link
    // has left undone stays so.
    let checksum = if is_left_undone(&packet) { Checksum::Valid } else { Checksum::Unverified };
    Packet { destination: next.into(), payload: whole.slice(len..whole.len()), whole, checksum, ..packet }
}

/// Offset of the destination in the header, in bytes.
const DESTINATION_AT: usize = 16;
