//! Neighbour discovery for IPv6 (RFC 4861 §7.2), on the neighbour cache that ARP uses too.

use core::net::{IpAddr, Ipv6Addr};

use super::interface::ALL_NODES;
use super::neighbor::Advert;
use super::{Interface, InterfaceId, Interfaces, NeighborCache, NeighborPolicy, Resolution};
use crate::buf::{HeaderBlock, Rope};
use crate::counters::{Counter, Counters};
use crate::time::Instant;
use crate::wire::ndp::{HOP_LIMIT, NdpMessage, NeighborAdvert, NeighborSolicit, solicited_node};
use crate::wire::offload::Transmit;
use crate::wire::{EtherType, EthernetAddress, EthernetHeader, IpProtocol, Ipv6Header};

/// The frame that asks who has `target`: its solicited-node group, or the station at `to`, which is believed to have
/// it.
//= RFC 4861 §7.2.2
//= RFC 4861 §4.3 MUST-3
//= RFC 4861 §4.3 MUST-5
//= RFC 4861 §7.2.2 MUST-1
pub fn solicit(
    interface: &Interface,
    source: Ipv6Addr,
    target: Ipv6Addr,
    to: Option<EthernetAddress>,
) -> Transmit {
    let message = NeighborSolicit { target, source_link: Some(interface.hardware()) };
    let (destination, station) = match to {
        Some(station) => (target, station),
        None => group(solicited_node(target)),
    };
    let mut packet = packet(message.into(), source, destination);
    prepend_ethernet(interface, station, &mut packet);
    packet
}

/// Takes a valid solicitation from `source` to `destination` that came in at `interface`. The frame that answers it is returned; where
/// the asker's link address is not known, the answer waits in the cache instead.
//= RFC 4861 §7.2.3
//= RFC 4861 §7.2.4
//= RFC 4861 §4.4 MUST-5
//= RFC 4861 §4.4 MUST-6
//= RFC 4861 §7.2.3 MUST-1
//= RFC 4861 §7.2.3 MUST-4
//= RFC 4861 §7.2.4 MUST-1
//= RFC 4861 §7.2.4 MUST-4
//= RFC 4861 §7.2.4 MUST-5
//= RFC 4862 §5.4.3 MUST-1
//= RFC 4861 §4.4 MUST-4
//= RFC 4861 §6.2.5 MUST-1
//= RFC 4861 §7.2.4 MUST-2
//= RFC 4861 §7.2.4 MUST-3
pub fn on_solicit(
    now: Instant,
    (interface, source, destination): (InterfaceId, Ipv6Addr, Ipv6Addr),
    solicit: &NeighborSolicit,
    interfaces: &Interfaces,
    policy: &NeighborPolicy,
    cache: &mut NeighborCache,
    counters: &mut Counters,
) -> Option<Transmit> {
    let arrival = interfaces.interface(interface)?;
    let target = IpAddr::V6(solicit.target);
    let is_anycast = !arrival.owns(target) && arrival.is_anycast(target);
    if !arrival.owns(target) && !is_anycast {
        return None;
    }
    let advert = NeighborAdvert {
        target: solicit.target,
        router: policy.router,
        solicited: true,
        // As Linux: who asks us alone knows our station, and an answer that does not tell it overrides nothing.
        // Of several who have the address nobody is before the others.
        override_: destination.is_multicast() && !is_anycast,
        target_link: destination.is_multicast().then_some(arrival.hardware()),
    };
    if source.is_unspecified() {
        // Who looks for such an address is told by nobody that somebody has it.
        if is_anycast {
            return None;
        }
        return Some(announcement(arrival, solicit.target, policy, counters));
    }
    let asker = IpAddr::V6(source);
    if interfaces.is_local(asker) {
        if solicit.source_link != Some(arrival.hardware()) {
            counters.bump(Counter::TapsockAddressConflicts);
        }
        return None;
    }
    if source.is_multicast() || source.is_loopback() {
        counters.bump(Counter::TapsockNdpInErrors);
        return None;
    }
    if let Some(station) = solicit.source_link {
        cache.on_solicit_from(now, interface, asker, station, counters);
    }
    count_out(Counter::Icmp6OutNeighborAdvertisements, counters);
    // Nothing is sent from such an address.
    let from = match interfaces.route(asker, None, Some(interface)).map(|hop| hop.source) {
        Ok(IpAddr::V6(own)) if is_anycast => own,
        _ if is_anycast => return None,
        _ => solicit.target,
    };
    match cache.resolve(now, interface, asker, packet(advert.into(), from, source), counters) {
        Resolution::Known(station, mut answer) => {
            prepend_ethernet(arrival, station, &mut answer);
            Some(answer)
        }
        Resolution::Queued | Resolution::Dropped(_) => None,
    }
}

/// Takes a valid advertisement that came in at `interface`.
//= RFC 4861 §7.2.5
pub fn on_advert(
    now: Instant,
    interface: InterfaceId,
    advert: &NeighborAdvert,
    interfaces: &Interfaces,
    policy: &NeighborPolicy,
    cache: &mut NeighborCache,
    counters: &mut Counters,
) {
    let target = IpAddr::V6(advert.target);
    if interfaces.is_local(target) {
        counters.bump(Counter::TapsockAddressConflicts);
        return;
    }
    let news = Advert {
        link_address: advert.target_link,
        solicited: advert.solicited,
        overrides: advert.override_,
        router: Some(advert.router),
    };
    // It is for routers, which have packets for hosts that have sent none.
    //= RFC 9131 §6.1.1
    let wanted = match policy.accept_untracked_na {
        _ if !policy.router => false,
        0 => false,
        1 => true,
        _ => interfaces.interface(interface).is_some_and(|arrival| arrival.is_on_link(target)),
    };
    if !advert.solicited && policy.drop_unsolicited_na {
        counters.bump(Counter::TapsockNeighborIgnored);
    } else if !advert.solicited && wanted {
        cache.on_untracked(now, interface, target, &news, counters);
    } else {
        cache.on_advert(now, interface, target, &news, counters);
    }
}

/// The frame that tells all nodes who has `address`, unasked.
//= RFC 4861 §7.2.6
//= RFC 4861 §4.4 MUST-1
//= RFC 4861 §7.2.6 MUST-2
//= RFC 4861 §7.2.6 MUST-4
//= RFC 4861 §7.2.6 MUST-3
pub fn announcement(
    interface: &Interface,
    address: Ipv6Addr,
    policy: &NeighborPolicy,
    counters: &mut Counters,
) -> Transmit {
    let advert = NeighborAdvert {
        target: address,
        router: policy.router,
        solicited: false,
        override_: true,
        target_link: Some(interface.hardware()),
    };
    let (destination, station) = group(ALL_NODES);
    let mut packet = packet(advert.into(), address, destination);
    prepend_ethernet(interface, station, &mut packet);
    count_out(Counter::Icmp6OutNeighborAdvertisements, counters);
    packet
}

pub(super) fn count_out(message: Counter, counters: &mut Counters) {
    counters.bump(Counter::Icmp6OutMsgs);
    counters.bump(message);
}

fn group(address: Ipv6Addr) -> (Ipv6Addr, EthernetAddress) {
    (address, EthernetAddress::multicast_for(IpAddr::V6(address)))
}

/// The message from the IP header on.
//= RFC 4861 §9 MUST-8
fn packet(message: NdpMessage, source: Ipv6Addr, destination: Ipv6Addr) -> Transmit {
    let mut headers = HeaderBlock::new();
    message.prepend_to(source, destination, &mut headers);
    let header = Ipv6Header {
        source,
        destination,
        next_header: IpProtocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        ..Ipv6Header::default()
    };
    header.prepend_to(headers.len(), &mut headers);
    Transmit { headers, payload: Rope::new(), checksum: None, segmentation: None }
}

fn prepend_ethernet(interface: &Interface, destination: EthernetAddress, packet: &mut Transmit) {
    EthernetHeader { destination, source: interface.hardware(), ether_type: EtherType::Ipv6 }
        .prepend_to(&mut packet.headers);
}

#[cfg(test)]
mod tests;
