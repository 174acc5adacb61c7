//! The frame for [`NeighborAction::Solicit`](super::NeighborAction::Solicit), by family.

use core::net::IpAddr;

use super::{Interface, InterfaceId, Interfaces, NeighborPolicy, arp, ndp};
use crate::counters::{Counter, Counters};
use crate::wire::EthernetAddress;
use crate::wire::offload::Transmit;

/// The frame that asks for `target`'s link address. `None` where the interface has no address to ask with.
///
/// ```
/// use tapsock_stack::counters::Counters;
/// use tapsock_stack::iface::{Interfaces, NeighborPolicy, solicitation};
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let mut interfaces = Interfaces::new();
/// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let tap0 = interfaces.add("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
/// interfaces.add_address(tap0, "10.0.0.2/24".parse().unwrap()).unwrap();
/// let target = "10.0.0.1".parse().unwrap();
/// let (policy, counters) = (NeighborPolicy::default(), &mut Counters::default());
/// let frame = solicitation(&interfaces, tap0, target, None, None, &policy, counters).unwrap();
/// assert_eq!(&frame.headers[0..6], [0xff; 6]);
/// ```
//= RFC 4861 §7.2.2
pub fn solicitation(
    interfaces: &Interfaces,
    interface: InterfaceId,
    target: IpAddr,
    to: Option<EthernetAddress>,
    source_hint: Option<IpAddr>,
    policy: &NeighborPolicy,
    counters: &mut Counters,
) -> Option<Transmit> {
    let outgoing = interfaces.interface(interface)?;
    let source = source_hint
        .filter(|hint| may_ask_with(*hint, target, outgoing, interfaces, policy))
        .or_else(|| outgoing.link_local().filter(|_| target.is_ipv6()).map(IpAddr::V6))
        .or_else(|| interfaces.source_for(target, target, outgoing))?;
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => Some(arp::request(outgoing, source, target, to)),
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            ndp::count_out(Counter::Icmp6OutNeighborSolicits, counters);
            Some(ndp::solicit(outgoing, source, target, to))
        }
        _ => None,
    }
}

/// IPv6 asks with an address of the interface; for ARP Linux takes any of ours, unless `arp_announce` says otherwise.
fn may_ask_with(
    hint: IpAddr,
    target: IpAddr,
    outgoing: &Interface,
    interfaces: &Interfaces,
    policy: &NeighborPolicy,
) -> bool {
    match (hint, target) {
        (IpAddr::V4(v4), IpAddr::V4(_)) => {
            let mut own = outgoing.addresses().iter().filter(|own| own.cidr.address == hint);
            let fits = match policy.arp_announce {
                0 => true,
                1 => own.any(|own| own.cidr.contains(target)),
                _ => false,
            };
            fits && interfaces.is_local(hint) && !v4.is_loopback()
        }
        (IpAddr::V6(_), IpAddr::V6(_)) => outgoing.owns(hint),
        _ => false,
    }
}
