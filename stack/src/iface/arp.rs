//! Address resolution for IPv4 (RFC 826), on the neighbour cache that IPv6 uses too.

use core::net::{IpAddr, Ipv4Addr};

use super::neighbor::Advert;
use super::{Interface, InterfaceId, Interfaces, NeighborCache, NeighborPolicy};
use crate::buf::{HeaderBlock, Rope};
use crate::counters::{Counter, Counters};
use crate::time::Instant;
use crate::wire::arp::{ArpOperation, ArpPacket};
use crate::wire::offload::Transmit;
use crate::wire::{EtherType, EthernetAddress, EthernetHeader};

/// The frame that asks who has `target`: all stations, or the one at `to`, which is believed to have it.
pub fn request(
    interface: &Interface,
    source: Ipv4Addr,
    target: Ipv4Addr,
    to: Option<EthernetAddress>,
) -> Transmit {
    let packet = ArpPacket {
        operation: ArpOperation::Request,
        sender_hardware: interface.hardware(),
        sender_ip: source,
        target_hardware: EthernetAddress::default(),
        target_ip: target,
    };
    frame(&packet, station_for(source, to.unwrap_or(EthernetAddress::BROADCAST)))
}

/// To whom an ARP packet of `sender` goes: all hear of link-local addresses, so that conflicts are noticed.
//= RFC 3927 §2.5
fn station_for(sender: Ipv4Addr, station: EthernetAddress) -> EthernetAddress {
    if sender.is_link_local() { EthernetAddress::BROADCAST } else { station }
}

/// Takes an ARP packet that came in at `interface`. The frame that answers it is returned.
///
/// As on Linux, a request for any address of the host is answered, on whichever interface it comes in, unless `policy`
/// says otherwise. What a packet tells of its sender changes an entry that is there; only a request to us makes one, or,
/// by `policy`, an announcement.
//= RFC 826
//= RFC 5227 §2.5 MUST-1
//= RFC 5227 §2.5 MUST-2
pub fn on_arp(
    now: Instant,
    interface: InterfaceId,
    packet: &ArpPacket,
    interfaces: &Interfaces,
    policy: &NeighborPolicy,
    cache: &mut NeighborCache,
    counters: &mut Counters,
) -> Option<Transmit> {
    let arrival = interfaces.interface(interface)?;
    let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
    let local = interfaces.is_local(target) && !target.is_loopback();
    let to_us =
        local && may_answer(policy, arrival, packet) && leads_back(interfaces, policy, interface, packet);
    //= RFC 5227 §2.1.1
    let is_probe = sender.is_unspecified();
    if is_probe {
        return (to_us && packet.operation == ArpOperation::Request).then(|| reply(arrival, packet));
    }
    if sender.is_loopback() || arrival.is_broadcast(packet.sender_ip) || !packet.sender_hardware.is_unicast()
    {
        counters.bump(Counter::TapsockArpInErrors);
        return None;
    }
    if interfaces.is_local(sender) {
        if packet.sender_hardware != arrival.hardware() {
            counters.bump(Counter::TapsockAddressConflicts);
        }
        return None;
    }
    match packet.operation {
        ArpOperation::Request if to_us => {
            cache.on_solicit_from(now, interface, sender, packet.sender_hardware, counters);
            Some(reply(arrival, packet))
        }
        //= RFC 5227 §3
        _ if sender == target && policy.drop_gratuitous_arp => {
            counters.bump(Counter::TapsockNeighborIgnored);
            None
        }
        operation => {
            let answers_us =
                operation == ArpOperation::Reply && local && packet.target_hardware == arrival.hardware();
            let advert = Advert {
                link_address: Some(packet.sender_hardware),
                solicited: answers_us,
                overrides: true,
                router: None,
            };
            let wanted = match policy.arp_accept {
                0 => false,
                1 => true,
                _ => arrival.is_on_link(sender),
            };
            if sender == target && wanted {
                cache.on_untracked(now, interface, sender, &advert, counters);
            } else {
                cache.on_advert(now, interface, sender, &advert, counters);
            }
            None
        }
    }
}

/// Whether a request for an address of ours is answered at this interface (`arp_ignore`).
fn may_answer(policy: &NeighborPolicy, arrival: &Interface, packet: &ArpPacket) -> bool {
    let mut own = arrival.addresses().iter().filter(|own| own.cidr.address == IpAddr::V4(packet.target_ip));
    match policy.arp_ignore {
        0 => true,
        1 => own.next().is_some(),
        // Who looks whether the address is free has none of its own, and is to know.
        //= RFC 5227 §2.1.1
        2 => own
            .any(|own| packet.sender_ip.is_unspecified() || own.cidr.contains(IpAddr::V4(packet.sender_ip))),
        _ => false,
    }
}

/// Whether the way back to who asks, from the address asked for, is the one that the request came (`arp_filter`).
fn leads_back(
    interfaces: &Interfaces,
    policy: &NeighborPolicy,
    arrival: InterfaceId,
    packet: &ArpPacket,
) -> bool {
    if !policy.arp_filter || packet.sender_ip.is_unspecified() {
        return true;
    }
    let (asker, asked) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
    interfaces.route(asker, Some(asked), None).is_ok_and(|hop| hop.interface == arrival)
}

/// The frame that tells all stations who has `address`: a request for it by whom it belongs to.
//= RFC 5227 §2.3
pub fn announcement(interface: &Interface, address: Ipv4Addr) -> Transmit {
    request(interface, address, address, None)
}

fn reply(arrival: &Interface, request: &ArpPacket) -> Transmit {
    let packet = ArpPacket {
        operation: ArpOperation::Reply,
        sender_hardware: arrival.hardware(),
        sender_ip: request.target_ip,
        target_hardware: request.sender_hardware,
        target_ip: request.sender_ip,
    };
    frame(&packet, station_for(packet.sender_ip, request.sender_hardware))
}

fn frame(packet: &ArpPacket, destination: EthernetAddress) -> Transmit {
    let mut headers = HeaderBlock::new();
    packet.prepend_to(&mut headers);
    EthernetHeader { destination, source: packet.sender_hardware, ether_type: EtherType::Arp }
        .prepend_to(&mut headers);
    Transmit { headers, payload: Rope::new(), checksum: None, segmentation: None }
}

#[cfg(test)]
mod tests;
