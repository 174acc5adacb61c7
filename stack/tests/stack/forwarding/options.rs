//! Options of IPv4 in what a router passes on: the record of the route, and source routes.

use super::*;

//= RFC 1812 §5.3.13.5, type=test
#[test]
fn a_router_stands_in_the_record_of_a_route() {
    let mut router = Router::plain(&[]);
    let frame = with_options(&from_left("10.0.1.2").udp((1000, 9), &[]), &[7, 7, 4, 0, 0, 0, 0, 0]);
    let sent = router.pass(LEFT, frame);
    let [(RIGHT, passed)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(packet_of(passed)[20..28], [7, 7, 8, 10, 0, 1, 10, 0], "where it leaves");
    assert!(Ipv4Header::parse(packet_of(passed)).is_ok());
}

//= RFC 1812 §5.2.4.1, type=test
//= RFC 1122 §3.2.1.8c MUST-2, type=test
//= RFC 1122 §3.3.5 MUST-1, type=test
//= RFC 1122 §3.3.5 MUST-2, type=test
//= RFC 1122 §3.3.5 MUST-5, type=test
//= RFC 1122 §3.3.5 MUST-6, type=test
//= RFC 1122 §3.3.5 MAY-1, type=test
//= RFC 1122 §3.3.5 MAY-2, type=test
#[test]
fn source_routes_are_followed_where_that_is_allowed() {
    let route = |kind: u8| [kind, 11, 4, 10, 0, 1, 2, 10, 0, 1, 3, 0];
    // Without a checksum, which is about the last stop.
    let mut bytes = from_left("10.0.0.10").udp((1000, 9), &[7; 8]).bytes.to_vec();
    bytes[40..42].fill(0);
    let to_router = Frame::from(bytes);
    // Refused by default, whoever it names.
    let mut router = Router::plain(&[]);
    assert!(router.pass(LEFT, with_options(&to_router, &route(131))).is_empty());
    assert_eq!(router.count(Counter::IpInHdrErrors), 1);
    let taken = ("net.ipv4.conf.all.accept_source_route", "1");
    for kind in [131, 137] {
        let mut router = Router::plain(&[taken]);
        let sent = router.pass(LEFT, with_options(&to_router, &route(kind)));
        let [(RIGHT, passed)] = &sent[..] else { panic!("{sent:?}") };
        let packet = packet_of(passed);
        assert_eq!((packet[8], &packet[16..20]), (63, &[10, 0, 1, 2][..]));
        assert_eq!(packet[20..32], [kind, 11, 8, 10, 0, 1, 10, 10, 0, 1, 3, 0]);
        assert_eq!(passed.bytes[..6], station(1).0);
        assert!(Ipv4Header::parse(packet).is_ok());
    }
    // A strict one whose next stop stands behind a router.
    let mut router = Router::plain(&[taken]);
    let behind = Route::via("10.7.0.0/16".parse().unwrap(), "10.0.1.2".parse().unwrap(), RIGHT);
    router.stack.add_route(behind).unwrap();
    let sent = router.pass(LEFT, with_options(&to_router, &[137, 7, 4, 10, 7, 0, 1, 0]));
    let code = UnreachableCode::SOURCE_ROUTE_FAILED;
    let [(LEFT, told)] = &sent[..] else { panic!("{sent:?}") };
    let told = Icmpv4Message::parse(&packet_of(told)[20..]).unwrap();
    assert_eq!(told, Icmpv4Message::DestinationUnreachable { code, mtu: 0 });
    let sent = router.pass(LEFT, with_options(&to_router, &[131, 7, 4, 10, 7, 0, 1, 0]));
    assert!(matches!(&sent[..], [(RIGHT, _)]));
    // At its end the packet is taken, here by nobody at that port.
    let ended = [131, 7, 8, 10, 0, 0, 1, 0];
    let sent = router.pass(LEFT, with_options(&to_router, &ended));
    let [(LEFT, told)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(packet_of(told)[20..22], [3, 3]);
    // A stop that is this router by another address is passed at once; who is no router sends nothing on.
    let here = [131, 7, 4, 10, 0, 1, 10, 0];
    assert_eq!(router.pass(LEFT, with_options(&to_router, &here)).len(), 1);
    let mut host = Router::plain(&[taken, ("net.ipv4.ip_forward", "0")]);
    assert!(host.pass(LEFT, with_options(&to_router, &route(131))).is_empty());
    assert_eq!(host.count(Counter::IpInAddrErrors), 1);
}

/// A source route leads no packet to where it could not come from outside.
#[test]
fn a_source_route_ends_before_what_is_the_hosts_alone() {
    let settings = [("net.ipv4.conf.all.accept_source_route", "1")];
    let route = [131, 7, 4, 127, 0, 0, 1, 0];
    let mut router = Router::plain(&settings);
    let frame = from_left("10.0.0.10").udp((1000, 9), &[7; 8]);
    assert!(router.pass(LEFT, with_options(&frame, &route)).is_empty());
    assert_eq!((router.count(Counter::IpInAddrErrors), router.count(Counter::IpInDelivers)), (1, 0));
    // Nor does one that came to all hosts go anywhere.
    let frame = from_left("10.0.0.255").udp((1000, 9), &[7; 8]);
    assert!(router.pass(LEFT, with_options(&frame, &[131, 7, 4, 10, 0, 1, 2, 0])).is_empty());
    assert_eq!(router.count(Counter::IpInAddrErrors), 2);
}

/// What goes on by a source route goes on as all else does: it is marked, too large, or forbidden, and its sender is told.
//= RFC 1122 §3.3.5 MUST-3, type=test
//= RFC 1122 §3.3.5 MUST-4, type=test
//= RFC 1122 §3.3.5 MUST-7, type=test
#[test]
fn a_source_route_is_under_the_rules_of_routers() {
    let taken = [("net.ipv4.conf.all.accept_source_route", "1"), ("net.ipv4.icmp_ratelimit", "0")];
    let mut router = Router::plain(&taken);
    let code_of = |sent: &Sent| {
        let [(LEFT, told)] = &sent[..] else { panic!("{sent:?}") };
        Icmpv4Message::parse(&packet_of(told)[20..]).unwrap()
    };
    let unreachable = |code, mtu| Icmpv4Message::DestinationUnreachable { code, mtu };
    let route = [131, 7, 4, 10, 0, 1, 2, 0];
    // Not to be cut, it does not fit the other link.
    let mut large = from_left("10.0.0.10").udp((1000, 9), &[7; 1420]).bytes.to_vec();
    large[20] |= 0x40;
    let sent = router.pass(LEFT, with_options(&Frame::from(large.clone()), &route));
    assert_eq!(code_of(&sent), unreachable(UnreachableCode::FRAGMENTATION_NEEDED, 1400));
    large[20] = 0;
    assert_eq!(router.pass(LEFT, with_options(&Frame::from(large), &route)).len(), 2, "in two parts");
    // The router stands in the record of the route and says when it was, beside its place in the source route.
    let small = from_left("10.0.0.10").udp((1000, 9), &[7; 8]);
    let marked = [&route[..7], &[7, 7, 4, 0, 0, 0, 0], &[68, 8, 5, 0, 0, 0, 0, 0], &[0; 2]].concat();
    let sent = router.pass(LEFT, with_options(&small, &marked));
    let [(RIGHT, passed)] = &sent[..] else { panic!("{sent:?}") };
    let options = &packet_of(passed)[20..44];
    assert_eq!(options[..7], [131, 7, 8, 10, 0, 1, 10]);
    assert_eq!(options[7..14], [7, 7, 8, 10, 0, 1, 10]);
    assert_eq!((&options[14..18], options[18] & 0x80), (&[68, 8, 9, 0][..], 0x80), "not the time of day");
    // Where a route forbids it no source route leads.
    let forbidden = Route::refusing("10.6.0.0/16".parse().unwrap(), RouteKind::Prohibited);
    router.stack.add_route(forbidden).unwrap();
    let sent = router.pass(LEFT, with_options(&small, &[131, 7, 4, 10, 6, 0, 1, 0]));
    assert_eq!(code_of(&sent), unreachable(UnreachableCode::SOURCE_ROUTE_FAILED, 0));
}
