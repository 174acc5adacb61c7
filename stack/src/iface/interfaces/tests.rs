use super::*;
use crate::iface::MAX_JOINED;
use crate::iface::fixture::{ETH0, ETH1, HARDWARE, cidr, ip, two_links};
use crate::iface::{Rule, TableId};

//= RFC 1122 §3.2.1.3, type=test
//= RFC 1122 §3.3.4.2, type=test
//= RFC 4291 §2.5.3, type=test
//= RFC 1122 §3.2.1.3 MUST-3, type=test
//= RFC 1122 §3.3.6 MUST-1, type=test
#[test]
fn packets_are_accepted_by_destination_and_arrival() {
    let interfaces = two_links();
    let table = [
        (ETH0, "10.0.0.2", true),
        (ETH1, "10.0.0.2", true),
        (ETH0, "10.0.0.3", false),
        (ETH0, "2001:db8::2", true),
        (ETH1, "2001:db8::2", true),
        (ETH0, "fe80::2", true),
        (ETH1, "fe80::2", false),
        (ETH0, "10.0.0.255", true),
        (ETH1, "10.0.0.255", false),
        (ETH0, "255.255.255.255", true),
        (ETH0, "127.0.0.1", false),
        (ETH0, "::1", false),
        (ETH0, "0.0.0.0", false),
        (ETH0, "::", false),
        (ETH0, "224.0.0.1", true),
        (ETH0, "224.0.0.2", false),
        (ETH0, "ff02::1", true),
        (ETH0, "ff02::1:ff00:2", true),
        (ETH0, "ff02::1:ff00:3", false),
        (ETH1, "ff02::1:ff00:3", true),
        (InterfaceId::LOOPBACK, "127.0.0.1", true),
        (InterfaceId::LOOPBACK, "127.9.9.9", true),
        (InterfaceId::LOOPBACK, "::1", true),
        (InterfaceId::LOOPBACK, "10.0.0.2", true),
        (InterfaceId::LOOPBACK, "fe80::3", true),
        (InterfaceId::LOOPBACK, "10.0.0.3", false),
        (InterfaceId(9), "10.0.0.2", false),
    ];
    for (interface, destination, accepted) in table {
        assert_eq!(interfaces.accepts(interface, ip(destination)), accepted, "{interface} {destination}");
    }
}

//= RFC 1122 §3.2.1.3, type=test
//= RFC 1122 §3.2.1.3 MUST-4, type=test
#[test]
fn sources_that_no_host_has_are_refused() {
    let interfaces = two_links();
    let table = [
        (ETH0, "10.0.0.7", true),
        (ETH0, "203.0.113.1", true),
        (ETH0, "fe80::7", true),
        (ETH0, "10.0.0.2", false),
        (ETH1, "10.0.0.2", false),
        (ETH0, "10.0.0.255", false),
        (ETH1, "10.0.0.255", false),
        (ETH0, "192.168.1.255", false),
        (ETH0, "::ffff:10.0.0.7", false),
        (ETH0, "::ffff:127.0.0.1", false),
        (ETH0, "255.255.255.255", false),
        (ETH0, "224.0.0.1", false),
        (ETH0, "ff02::1", false),
        (ETH0, "127.0.0.1", false),
        (ETH0, "::1", false),
        (ETH0, "0.0.0.0", false),
        (ETH0, "::", false),
        (InterfaceId::LOOPBACK, "127.0.0.1", true),
        (InterfaceId::LOOPBACK, "10.0.0.2", true),
        (InterfaceId::LOOPBACK, "0.0.0.0", false),
        (InterfaceId::LOOPBACK, "127.255.255.255", false),
    ];
    for (interface, source, accepted) in table {
        assert_eq!(interfaces.accepts_source(interface, ip(source)), accepted, "{interface} {source}");
    }
    // While any address has that broadcast address.
    let mut interfaces = interfaces;
    interfaces.add_address(ETH0, cidr("192.168.1.9/24")).unwrap();
    for (gone, accepted) in [((ETH1, "192.168.1.2"), false), ((ETH0, "192.168.1.9"), true)] {
        interfaces.remove_address(gone.0, ip(gone.1)).unwrap();
        assert_eq!(interfaces.accepts_source(ETH0, ip("192.168.1.255")), accepted);
    }
}

//= RFC 1812 §5.3.8, type=test
#[test]
fn the_reverse_path_is_that_of_answers() {
    use ReversePath::{Elsewhere, Here, Nowhere};
    let mut interfaces = two_links();
    let far = ip("203.0.113.1");
    let path = |interfaces: &Interfaces, to: &str| {
        [ETH0, ETH1].map(|link| interfaces.reverse_path(link, far, ip(to)))
    };
    assert_eq!(path(&interfaces, "192.168.1.2"), [Here, Elsewhere]);
    // Rules by source are asked with the address that would answer.
    let other = Route::via(cidr("0.0.0.0/0"), ip("192.168.1.1"), ETH1);
    interfaces.add_route(Route { table: TableId(7), ..other }).unwrap();
    interfaces.routes_mut().add_rule(Rule::from_prefix(100, cidr("192.168.1.2/32"), TableId(7))).unwrap();
    assert_eq!(path(&interfaces, "192.168.1.2"), [Elsewhere, Here]);
    assert_eq!(path(&interfaces, "10.0.0.2"), [Here, Elsewhere]);
    // Nothing leaves by a link that is gone.
    interfaces.set_link(ETH0, LinkState::Down).unwrap();
    assert_eq!(path(&interfaces, "10.0.0.2")[1], Nowhere);
    interfaces.add_route(Route { metric: 200, ..other }).unwrap();
    assert_eq!(path(&interfaces, "10.0.0.2")[1], Here);
}

//= RFC 1122 §3.2.1.3 MUST-1, type=test
//= RFC 1122 §3.3.1.6 MUST-1, type=test
//= RFC 1122 §3.2.2.9 MUST-1, type=test
//= RFC 1122 §3.2.2.9 MUST-2, type=test
#[test]
fn addresses_bring_and_take_their_routes() {
    let mut interfaces = two_links();
    interfaces.add_address(ETH0, cidr("10.0.0.9/24")).unwrap();
    let to = ip("10.0.0.7");
    assert_eq!(interfaces.route(to, None, None).unwrap().source, ip("10.0.0.2"));
    interfaces
        .add_route(Route { source: Some(ip("10.0.0.2")), ..Route::direct(cidr("10.9.0.0/16"), ETH0) })
        .unwrap();
    interfaces.remove_address(ETH0, ip("10.0.0.2")).unwrap();
    assert!(!interfaces.is_local(ip("10.0.0.2")));
    let hop = interfaces.route(to, None, None).unwrap();
    assert_eq!((hop.source, hop.next_hop), (ip("10.0.0.9"), to));
    assert!(interfaces.routes().iter().all(|route| route.source != Some(ip("10.0.0.2"))));
    interfaces.remove_address(ETH0, ip("10.0.0.9")).unwrap();
    assert_eq!(interfaces.route(to, None, None).unwrap().next_hop, ip("10.0.0.1"));
}

//= RFC 6724 §3.2 MUST-2, type=test
#[test]
fn an_ipv4_address_is_always_preferred() {
    let mut interfaces = two_links();
    let mut deprecate = |address: &str| interfaces.set_preference(ETH0, ip(address), Preference::Deprecated);
    assert_eq!(deprecate("2001:db8::2"), Ok(()));
    assert_eq!(deprecate("10.0.0.2"), Err(InterfaceError::BadAddress));
    assert_eq!(deprecate("10.0.0.99"), Err(InterfaceError::NotFound));
    let own = interfaces.interface(ETH0).unwrap().addresses().iter();
    let preferred: Vec<IpAddr> =
        own.filter(|own| own.preference == Preference::Preferred).map(|own| own.cidr.address).collect();
    assert!(preferred.contains(&ip("10.0.0.2")) && !preferred.contains(&ip("2001:db8::2")));
}

#[test]
fn one_address_may_stand_on_two_interfaces() {
    let mut interfaces = two_links();
    interfaces.add_address(ETH1, cidr("10.0.0.2/24")).unwrap();
    interfaces.remove_address(ETH0, ip("10.0.0.2")).unwrap();
    assert!(interfaces.is_local(ip("10.0.0.2")));
    assert_eq!(interfaces.route(ip("10.0.0.7"), None, None).unwrap().interface, ETH1);
}

//= RFC 1122 §3.2.2.9 SHLD-2, type=test
//= RFC 6724 §4 MUST-4, type=test
#[test]
fn bad_configuration_is_refused() {
    let mut interfaces = two_links();
    let table = [
        (InterfaceId(9), "10.1.0.1/8", InterfaceError::Missing),
        (ETH0, "10.0.0.2/8", InterfaceError::Exists),
        (ETH0, "224.0.0.1/8", InterfaceError::BadAddress),
        (ETH0, "0.0.0.0/0", InterfaceError::BadAddress),
        (ETH0, "255.255.255.255/32", InterfaceError::BadAddress),
        (ETH0, "127.0.0.2/8", InterfaceError::BadAddress),
        (ETH0, "::1/128", InterfaceError::BadAddress),
        (ETH0, "ff02::9/64", InterfaceError::BadAddress),
        (ETH0, "::/0", InterfaceError::BadAddress),
    ];
    for (id, address, error) in table {
        assert_eq!(interfaces.add_address(id, cidr(address)), Err(error), "{address}");
    }
    let plain = LinkCaps::plain(Medium::Ethernet, 1500);
    assert_eq!(interfaces.add("eth0", HARDWARE, plain), Err(InterfaceError::NameTaken));
    assert_eq!(interfaces.remove_address(ETH0, ip("10.0.0.7")), Err(InterfaceError::NotFound));
    let table = [
        (Route::via(cidr("10.8.0.0/16"), ip("192.168.1.1"), ETH0), TableError::GatewayUnreachable),
        (Route::via(cidr("10.8.0.0/16"), ip("10.0.0.2"), ETH0), TableError::Invalid),
        (Route::via(cidr("10.8.0.0/16"), ip("fe80::1"), ETH0), TableError::Invalid),
        (Route::direct(cidr("10.8.0.0/16"), InterfaceId(9)), TableError::NoInterface),
        (Route::via(cidr("0.0.0.0/0"), ip("10.0.0.3"), ETH0), TableError::Exists),
    ];
    for (route, error) in table {
        assert_eq!(interfaces.add_route(route), Err(error), "{route}");
    }
    // A gateway on a network that a route says is on the link.
    interfaces.add_route(Route::direct(cidr("172.16.0.1/32"), ETH0)).unwrap();
    interfaces.add_route(Route::via(cidr("10.8.0.0/16"), ip("172.16.0.1"), ETH0)).unwrap();
}

#[test]
fn interfaces_and_addresses_are_bounded() {
    let mut interfaces = two_links();
    for host in 10..10 + MAX_ADDRESSES as u8 - 3 {
        interfaces.add_address(ETH0, IpCidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), 24)).unwrap();
    }
    assert_eq!(interfaces.add_address(ETH0, cidr("10.0.0.3/24")), Err(InterfaceError::Full));
    let plain = LinkCaps::plain(Medium::Ethernet, 1500);
    for number in 3..MAX_INTERFACES {
        interfaces.add(&format!("eth{number}"), HARDWARE, plain).unwrap();
    }
    assert_eq!(interfaces.add("eth99", HARDWARE, plain), Err(InterfaceError::Full));
}

#[test]
fn groups_and_local_networks_are_bounded() {
    let mut interfaces = two_links();
    let group = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(0xef00_0000 + number));
    for number in 0..MAX_JOINED as u32 {
        assert!(interfaces.join(ETH0, group(number)));
    }
    assert!(!interfaces.join(ETH0, group(MAX_JOINED as u32)));
    // Once more is no other, and the other link has room of its own.
    assert!(interfaces.join(ETH0, group(0)) && interfaces.join(ETH1, group(MAX_JOINED as u32)));
    for number in 0..MAX_LOCAL_NETWORKS as u32 {
        let network = IpCidr::new(IpAddr::V4(Ipv4Addr::from_bits(number << 8)), 24);
        interfaces.add_local_network(network).unwrap();
    }
    assert_eq!(interfaces.add_local_network(cidr("10.9.0.0/24")), Err(InterfaceError::Full));
}

#[test]
fn a_gateway_may_be_taken_to_be_on_the_link() {
    let mut interfaces = two_links();
    let route = Route::via(cidr("10.6.0.0/24"), ip("10.9.9.9"), ETH1);
    assert_eq!(interfaces.add_route(route), Err(TableError::GatewayUnreachable));
    interfaces.add_route(Route { onlink: true, ..route }).unwrap();
    let hop = interfaces.route(ip("10.6.0.1"), None, None).unwrap();
    assert_eq!((hop.next_hop, hop.interface), (ip("10.9.9.9"), ETH1));
    // Even so it can't be an address of ours, nor refuse and lead on at once.
    let ours = Route::via(cidr("10.5.0.0/24"), ip("10.0.0.2"), ETH1);
    assert_eq!(interfaces.add_route(Route { onlink: true, ..ours }), Err(TableError::Invalid));
    let both = Route { kind: RouteKind::Blackhole, onlink: true, ..route };
    assert_eq!(interfaces.add_route(both), Err(TableError::Invalid));
}
