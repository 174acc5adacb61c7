//! What the tests of this module start from.

use core::net::IpAddr;

use super::{InterfaceId, Interfaces, IpCidr, Route};
use crate::wire::EthernetAddress;
use crate::wire::offload::{LinkCaps, Medium};

pub(super) const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub(super) const ETH0: InterfaceId = InterfaceId(1);
pub(super) const ETH1: InterfaceId = InterfaceId(2);

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn cidr(text: &str) -> IpCidr {
    text.parse().unwrap()
}

/// eth0: 10.0.0.2/24, 2001:db8::2/64, fe80::2/64 and the default routes; eth1: 192.168.1.2/24, fe80::3/64.
pub(super) fn two_links() -> Interfaces {
    let mut interfaces = Interfaces::new();
    for (name, mtu) in [("eth0", 1500), ("eth1", 9000)] {
        interfaces.add(name, HARDWARE, LinkCaps::plain(Medium::Ethernet, mtu)).unwrap();
    }
    for (id, address) in [
        (ETH0, "10.0.0.2/24"),
        (ETH0, "2001:db8::2/64"),
        (ETH0, "fe80::2/64"),
        (ETH1, "192.168.1.2/24"),
        (ETH1, "fe80::3/64"),
    ] {
        interfaces.add_address(id, cidr(address)).unwrap();
    }
    interfaces.add_route(Route::via(cidr("0.0.0.0/0"), ip("10.0.0.1"), ETH0)).unwrap();
    interfaces.add_route(Route::via(cidr("::/0"), ip("fe80::1"), ETH0)).unwrap();
    interfaces
}
