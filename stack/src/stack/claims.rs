//! Packets to addresses that are not ours, for sockets that are bound to these (`IP_TRANSPARENT`).
//!
//! Linux takes such a packet where a rule makes its destination local; here the binding is the rule. Who looks does so for
//! packets that would be dropped otherwise.

use core::net::SocketAddr;

use crate::demux::{FlowKey, Target};
use crate::iface::{Addresses, InterfaceId};
use crate::ip::input::Packet;
use crate::udp::Arrival;
use crate::wire::IpProtocol;
use crate::wire::icmp::Quoted;

use super::Stack;

impl Stack {
    /// Whether a packet is for one host: this one, or one that a socket here stands for.
    pub(super) fn is_for_one(&self, packet: &Packet) -> bool {
        let destination = packet.destination;
        // What is neither ours nor for everybody on the link has been claimed.
        self.interfaces.is_local(destination) || !self.interfaces.accepts(packet.interface, destination)
    }

    /// Whether a socket is bound to the destination of a packet, and takes what comes there.
    pub(super) fn is_claimed(&mut self, packet: &Packet) -> bool {
        let Some(&[a, b, c, d]) = packet.payload.first_chunk() else { return false };
        if packet.destination.is_multicast() {
            return false;
        }
        let from = SocketAddr::new(packet.source, u16::from_be_bytes([a, b]));
        let to = SocketAddr::new(packet.destination, u16::from_be_bytes([c, d]));
        match packet.protocol {
            IpProtocol::UDP => self.is_claimed_datagram(&Arrival { from, to, interface: packet.interface }),
            IpProtocol::TCP => {
                let key = FlowKey::new(to, from).over(packet.interface);
                let listener = match self.find(&key) {
                    // Whoever has the tuple was allowed to have it.
                    Some(Target::Connection(_) | Target::TimeWait(_)) => return true,
                    Some(Target::HalfOpen(place)) => self.tcp.half_open.listener(place),
                    None => self.demux.listener_at_address(&key, packet.interface.index()),
                };
                let listener = listener.and_then(|index| self.tcp.listener_at(index));
                listener.is_some_and(|listener| listener.way.addresses == Addresses::Any)
            }
            _ => false,
        }
    }

    fn is_claimed_datagram(&self, arrival: &Arrival) -> bool {
        let socket = self.udp.find(arrival).and_then(|id| self.udp.socket(id));
        socket.is_some_and(|socket| {
            let bound = socket.local().is_some_and(|(address, _)| !address.is_wildcard());
            bound && socket.way.addresses == Addresses::Any
        })
    }

    /// Whether a socket here sent the quoted packet, from an address that is not ours.
    pub(super) fn was_sent_for(&mut self, interface: InterfaceId, quoted: &Quoted) -> bool {
        let (local_port, remote_port) = quoted.ports();
        let from = SocketAddr::new(quoted.destination, remote_port);
        let to = SocketAddr::new(quoted.source, local_port);
        match quoted.protocol {
            IpProtocol::UDP => self.is_claimed_datagram(&Arrival { from, to, interface }),
            IpProtocol::TCP => {
                let found = self.find(&FlowKey::new(to, from).over(interface));
                matches!(found, Some(Target::Connection(_) | Target::HalfOpen(_)))
            }
            _ => false,
        }
    }
}
