use super::*;
use crate::iface::fixture::{ETH0, ETH1, cidr, ip, two_links};

//= RFC 1122 §3.3.1.1 MUST-1, type=test
//= RFC 1122 §3.3.1.1 MUST-2, type=test
//= RFC 1122 §3.3.1.2 MUST-2, type=test
//= RFC 1122 §3.2.1.3 MUST-2, type=test
//= RFC 1122 §3.3.1.2 MAY-1, type=test
#[test]
fn routes_by_destination() {
    use Delivery::{Broadcast, Multicast, Unicast};
    let interfaces = two_links();
    let table = [
        // destination, interface asked for; interface, next hop, source, MTU, delivery
        ("10.0.0.7", None, 1, "10.0.0.7", "10.0.0.2", 1500, Unicast),
        ("203.0.113.1", None, 1, "10.0.0.1", "10.0.0.2", 1500, Unicast),
        ("192.168.1.7", None, 2, "192.168.1.7", "192.168.1.2", 9000, Unicast),
        ("2001:db8::7", None, 1, "2001:db8::7", "2001:db8::2", 1500, Unicast),
        ("2001:db8:1::7", None, 1, "fe80::1", "2001:db8::2", 1500, Unicast),
        ("fe80::7", None, 1, "fe80::7", "fe80::2", 1500, Unicast),
        ("fe80::7", Some(ETH1), 2, "fe80::7", "fe80::3", 9000, Unicast),
        // Ourselves, whichever interface is asked for.
        // An IPv4 header can name no more than 65,535 bytes, although lo takes one more.
        ("10.0.0.2", None, 0, "10.0.0.2", "10.0.0.2", 65_535, Unicast),
        ("192.168.1.2", Some(ETH0), 0, "192.168.1.2", "192.168.1.2", 65_535, Unicast),
        ("127.0.0.1", None, 0, "127.0.0.1", "127.0.0.1", 65_535, Unicast),
        ("127.9.9.9", None, 0, "127.9.9.9", "127.0.0.1", 65_535, Unicast),
        ("::1", None, 0, "::1", "::1", 65_536, Unicast),
        ("fe80::3", None, 0, "fe80::3", "fe80::3", 65_536, Unicast),
        // Several hosts.
        ("10.0.0.255", None, 1, "10.0.0.255", "10.0.0.2", 1500, Broadcast),
        ("255.255.255.255", None, 1, "255.255.255.255", "10.0.0.2", 1500, Broadcast),
        ("255.255.255.255", Some(ETH1), 2, "255.255.255.255", "192.168.1.2", 9000, Broadcast),
        ("224.0.0.251", None, 1, "224.0.0.251", "10.0.0.2", 1500, Multicast),
        // No route leads there: it is taken to be on the link that was named.
        ("203.0.113.1", Some(ETH1), 2, "203.0.113.1", "192.168.1.2", 9000, Unicast),
        ("224.0.0.251", Some(ETH1), 2, "224.0.0.251", "192.168.1.2", 9000, Multicast),
        ("ff02::fb", None, 1, "ff02::fb", "fe80::2", 1500, Multicast),
        ("ff02::fb", Some(ETH1), 2, "ff02::fb", "fe80::3", 9000, Multicast),
    ];
    for (destination, wanted, interface, next_hop, source, mtu, delivery) in table {
        let expected = NextHop {
            interface: InterfaceId(interface),
            next_hop: ip(next_hop),
            source: ip(source),
            mtu,
            delivery,
            tcp: TcpMetrics::default(),
        };
        assert_eq!(interfaces.route(ip(destination), None, wanted), Ok(expected), "{destination} {wanted:?}");
    }
}

//= RFC 6724 §4 MUST-6, type=test
#[test]
fn routes_that_fail_say_why() {
    let mut interfaces = two_links();
    let table = [
        ("fd00::1", None, Some(ETH1), RouteError::NoRoute),
        ("0.0.0.0", None, None, RouteError::NoRoute),
        ("203.0.113.1", Some("10.0.0.3"), None, RouteError::NoSource),
        ("203.0.113.1", Some("2001:db8::2"), None, RouteError::NoSource),
        ("203.0.113.1", Some("127.0.0.1"), None, RouteError::BadSource),
        ("2001:db8:1::1", Some("::1"), None, RouteError::BadSource),
    ];
    for (destination, source, wanted, error) in table {
        assert_eq!(
            interfaces.route(ip(destination), source.map(ip), wanted),
            Err(error),
            "{destination} {source:?}"
        );
    }
    interfaces.set_link(ETH0, LinkState::Down).unwrap();
    assert_eq!(interfaces.route(ip("203.0.113.1"), None, None), Err(RouteError::Down));
    assert_eq!(interfaces.route(ip("224.0.0.251"), None, Some(ETH0)), Err(RouteError::Down));
    // Another link leads there too.
    assert_eq!(interfaces.route(ip("fe80::7"), None, None).unwrap().interface, ETH1);
    assert_eq!(interfaces.route(ip("ff02::fb"), None, None).unwrap().interface, ETH1);
    interfaces.remove_address(ETH1, ip("192.168.1.2")).unwrap();
    interfaces.remove_address(ETH1, ip("fe80::3")).unwrap();
    let unnumbered = Route::direct(cidr("2001:db8:9::/48"), ETH1);
    interfaces.add_route(unnumbered).unwrap();
    assert_eq!(interfaces.route(ip("2001:db8:9::1"), None, None), Err(RouteError::NoSource));
}

//= RFC 6724 §1 MUST-1, type=test
//= RFC 6724 §4 MUST-7, type=test
#[test]
fn a_bound_source_is_kept() {
    let interfaces = two_links();
    let hop = interfaces.route(ip("203.0.113.1"), Some(ip("192.168.1.2")), None).unwrap();
    assert_eq!((hop.source, hop.interface), (ip("192.168.1.2"), ETH0));
    let hop = interfaces.route(ip("fe80::7"), Some(ip("fe80::3")), None).unwrap();
    assert_eq!((hop.source, hop.interface), (ip("fe80::3"), ETH1));
    let hop = interfaces.route(ip("10.0.0.2"), Some(ip("127.0.0.1")), None).unwrap();
    assert_eq!(hop.source, ip("127.0.0.1"));
}

#[test]
fn the_route_may_lower_the_mtu_and_name_the_source() {
    let mut interfaces = two_links();
    let base = Route::via(cidr("203.0.113.0/24"), ip("10.0.0.9"), ETH0);
    interfaces.add_route(Route { mtu: Some(1400), source: Some(ip("192.168.1.2")), ..base }).unwrap();
    let hop = interfaces.route(ip("203.0.113.1"), None, None).unwrap();
    assert_eq!((hop.mtu, hop.source), (1400, ip("192.168.1.2")));
    let wide = Route { mtu: Some(9000), ..Route::via(cidr("198.51.100.0/24"), ip("10.0.0.9"), ETH0) };
    interfaces.add_route(wide).unwrap();
    assert_eq!(interfaces.route(ip("198.51.100.1"), None, None).unwrap().mtu, 1500);
}

//= RFC 1122 §3.3.6 MUST-2, type=test
#[test]
fn groups_have_link_addresses() {
    let interfaces = two_links();
    let group = |destination: &str| interfaces.route(ip(destination), None, None).unwrap().group_address();
    assert_eq!(group("10.0.0.7"), None);
    assert_eq!(group("10.0.0.255"), Some(EthernetAddress::BROADCAST));
    assert_eq!(group("ff02::fb"), Some(EthernetAddress([0x33, 0x33, 0, 0, 0, 0xfb])));
    assert_eq!(group("224.0.0.251"), Some(EthernetAddress([1, 0, 0x5e, 0, 0, 0xfb])));
}
