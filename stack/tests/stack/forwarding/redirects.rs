//! Hosts are told of nearer routers.

use super::*;

//= RFC 1812 §5.2.7.2, type=test
#[test]
fn a_host_is_told_of_a_nearer_router() {
    let mut router = Router::plain(&[]);
    let route = Route::via("10.7.0.0/16".parse().unwrap(), "10.0.0.9".parse().unwrap(), LEFT);
    router.stack.add_route(route).unwrap();
    router.learn(LEFT, "10.0.0.9", station(3));
    let mut redirects = 0;
    for round in 0..20 {
        let sent = router.pass(LEFT, from_left("10.7.0.1").udp((1000, 9), &[7; 10]));
        let passed = sent.iter().filter(|(_, frame)| frame.bytes[..6] == station(3).0).count();
        assert_eq!(passed, 1, "it goes on all the same");
        let told: Sent = sent.into_iter().filter(|(_, frame)| frame.bytes[..6] == station(0).0).collect();
        if round == 0 {
            let expected = Icmpv4Message::Other { kind: 5, code: 1, rest: [10, 0, 0, 9] };
            assert_eq!(told_v4(&told), expected);
        }
        redirects += told.len();
    }
    assert_eq!(redirects, 6, "there is a limit");
    assert_eq!(router.count(Counter::IcmpOutRedirects), 6);
    // Not to whom the other router is none of its link, and not where the setting says no.
    let sent = router.pass(LEFT, from_left("10.7.0.1").from("10.8.0.1").udp((1000, 9), &[]));
    assert_eq!(sent.len(), 1);
    let mut router = Router::plain(&[("net.ipv4.conf.all.send_redirects", "0")]);
    router.stack.add_route(route).unwrap();
    router.learn(LEFT, "10.0.0.9", station(3));
    assert_eq!(router.pass(LEFT, from_left("10.7.0.1").udp((1000, 9), &[])).len(), 1);
}

//= RFC 4861 §8.2, type=test
//= RFC 4861 §4.5 MUST-1, type=test
//= RFC 4861 §4.5 MUST-4, type=test
//= RFC 4861 §4.5 MUST-5, type=test
//= RFC 4861 §8.2 MUST-1, type=test
//= RFC 4861 §8.2 MUST-2, type=test
//= RFC 4861 §8.2 MUST-3, type=test
#[test]
fn a_host_of_ipv6_is_told_of_a_nearer_router() {
    let mut router = Router::plain(&[]);
    let route = Route::via("fd07::/64".parse().unwrap(), "fe80::9".parse().unwrap(), LEFT);
    router.stack.add_route(route).unwrap();
    router.learn(LEFT, "fe80::9", station(3));
    let sent = router.pass(LEFT, from_left("fd07::1").udp((1000, 9), &[7; 1400]));
    let told = sent.iter().find(|(_, frame)| frame.bytes[..6] == station(0).0).unwrap();
    let packet = packet_of(&told.1);
    let redirect = Redirect::parse(&Ipv6Header::parse(packet).unwrap(), &packet[40..]).unwrap();
    assert_eq!(
        (redirect.target.to_string(), redirect.destination.to_string()),
        ("fe80::9".into(), "fd07::1".into())
    );
    assert_eq!(redirect.target_link, Some(station(3)));
    assert_eq!(sent.len(), 2);
    assert_eq!(router.count(Counter::Icmp6OutRedirects), 1);
    // A destination that is a neighbour itself is the target.
    router.learn(LEFT, "fd00::9", station(4));
    let sent = router.pass(LEFT, from_left("fd00::9").udp((1000, 9), &[7; 10]));
    let told = sent.iter().find(|(_, frame)| frame.bytes[..6] == station(0).0).unwrap();
    let packet = packet_of(&told.1);
    let redirect = Redirect::parse(&Ipv6Header::parse(packet).unwrap(), &packet[40..]).unwrap();
    assert_eq!((redirect.target, redirect.target.to_string()), (redirect.destination, "fd00::9".into()));
    // There is a limit.
    for _ in 0..20 {
        router.pass(LEFT, from_left("fd00::9").udp((1000, 9), &[7; 10]));
    }
    assert_eq!(router.count(Counter::Icmp6OutRedirects), 6);
}

//= RFC 4861 §8.2 MUST-4, type=test
#[test]
fn redirects_change_no_router_s_routes() {
    for (forwarding, followed) in [("1", false), ("0", true)] {
        let settings = [("net.ipv4.ip_forward", forwarding), ("net.ipv6.conf.all.forwarding", forwarding)];
        let mut router = Router::plain(&settings);
        for (network, gateway) in [("10.7.0.0/16", "10.0.0.1"), ("fd07::/64", "fe80::1")] {
            let route = Route::via(network.parse().unwrap(), gateway.parse().unwrap(), LEFT);
            router.stack.add_route(route).unwrap();
        }
        let octets = |text: &str| text.parse::<core::net::Ipv6Addr>().unwrap().octets();
        let message = Icmpv6Message::Other { kind: 137, code: 0, rest: [0; 4] };
        let body = [octets("fe80::9"), octets("fd07::1")].concat();
        let path = Path::v6(0, HERE).from("fe80::1").to("fd00::a");
        router.pass(LEFT, path.icmpv6(message, &body, 255));
        let message = Icmpv4Message::Other { kind: 5, code: 1, rest: [10, 0, 0, 9] };
        let ours = Path::v4(HERE, 0).from("10.0.0.10").to("10.7.0.1").udp((9, 9), b"x");
        router.pass(LEFT, Path::v4(0, HERE).icmpv4(message, packet_of(&ours)));
        let interfaces = router.stack.interfaces();
        let hop = |to: &str| interfaces.route(to.parse().unwrap(), None, None).unwrap().next_hop.to_string();
        let expected = if followed { ["fe80::9", "10.0.0.9"] } else { ["fe80::1", "10.0.0.1"] };
        assert_eq!([hop("fd07::1"), hop("10.7.0.1")], expected);
    }
}
