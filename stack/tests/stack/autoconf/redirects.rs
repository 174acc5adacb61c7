//! Routers that say that another way is nearer.

use super::*;

//= RFC 4861 §8.1, type=test
//= RFC 4861 §8.3, type=test
//= RFC 4861 §8.1 MUST-1, type=test
//= RFC 4861 §8.1 MUST-4, type=test
//= RFC 4861 §8.3 MUST-1, type=test
//= RFC 4861 §8.3 MUST-3, type=test
//= RFC 4861 §8.3 MUST-4, type=test
#[test]
fn redirects_of_ipv6() {
    let mut wire = alone(&Config::default());
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)]));
    let far = "2001:db8:9::1";
    wire.inject(0, redirect(2, "fe80::aa:3", far));
    assert_eq!(next_hop(&wire, far), Some(router(1)), "not the router that packets go to");
    wire.inject(0, redirect(1, "fe80::aa:3", far));
    assert_eq!(next_hop(&wire, far).as_deref(), Some("fe80::aa:3"));
    assert_eq!(next_hop(&wire, "2001:db8:9::2"), Some(router(1)), "another destination");
    let known = wire[0].neighbors().entries(wire.now).find(|entry| entry.address.to_string() == "fe80::aa:3");
    assert!(known.is_some_and(|entry| entry.router && entry.link_address == Some(station(8))));
    wire.inject(0, redirect(3, far, far));
    assert_eq!(next_hop(&wire, far).as_deref(), Some(far), "it is on the link");
    assert_eq!(wire.counter(0, Counter::TapsockRedirectsIgnored), 1);
    wire.run_for(Duration::from_secs(700));
    assert_eq!(next_hop(&wire, far), Some(router(1)), "for a while");
    let mut wire = alone(&with(&["net.ipv6.conf.all.accept_redirects 0"]));
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)]));
    wire.inject(0, redirect(1, "fe80::aa:3", far));
    assert_eq!(next_hop(&wire, far), Some(router(1)));
}

//= RFC 1122 §3.2.2.2, type=test
//= RFC 1122 §3.2.2.2 MUST-1, type=test
//= RFC 1122 §3.2.2.2 SHLD-2, type=test
#[test]
fn redirects_of_ipv4() {
    for (accepted, from, gateway, followed) in [
        ("1", 1, [10, 0, 0, 9], true),
        ("0", 1, [10, 0, 0, 9], false),
        ("1", 2, [10, 0, 0, 9], false),
        ("1", 1, [192, 0, 2, 9], false),
        ("1", 1, [10, 0, 0, 1], false),
        ("1", 1, [10, 0, 0, 255], false),
    ] {
        let mut wire = alone(&Config::default());
        wire[0].config_mut().set("net.ipv4.conf.all.accept_redirects", accepted).unwrap();
        let default = Route::via("0.0.0.0/0".parse().unwrap(), "10.0.0.2".parse().unwrap(), ETH);
        wire[0].add_route(default).unwrap();
        let ours = Path::v4(0, 1).to("203.0.113.7").udp((9, 9), b"x");
        let message = Icmpv4Message::Other { kind: 5, code: 1, rest: gateway };
        wire.inject(0, Path::v4(from, 0).icmpv4(message, packet_of(&ours)));
        let hop = next_hop(&wire, "203.0.113.7");
        assert_eq!(
            hop.as_deref(),
            Some(if followed { "10.0.0.9" } else { "10.0.0.2" }),
            "{accepted} {from} {gateway:?}"
        );
        assert_eq!(wire.counter(0, Counter::TapsockRedirectsIgnored), u64::from(!followed));
        assert_eq!(wire.counter(0, Counter::IcmpInRedirects), 1);
    }
}

/// A connection that is open follows its router, as on Linux.
#[test]
fn an_open_connection_follows_its_route() {
    let mut wire = Wire::new(3, LINKS[0]);
    let far = "2001:db8:9::1";
    for (host, cidr) in [(1, "2001:db8:9::1/128"), (2, "2001:db8:9::1/128")] {
        wire[host].add_address(ETH, cidr.parse().unwrap()).unwrap();
    }
    let route = |host: u8| {
        Route::via("2001:db8:9::/48".parse().unwrap(), format!("fd00::{host}").parse().unwrap(), ETH)
    };
    wire[0].add_route(route(2)).unwrap();
    let (here, _) = wire.pair(1, far);
    wire[0].remove_route("2001:db8:9::/48".parse().unwrap(), None).unwrap();
    wire[0].add_route(route(3)).unwrap();
    wire.sniffing = true;
    let now = wire.now;
    wire[0].tcp_write(now, here, tapsock_stack::buf::Rope::from(&b"where to"[..])).unwrap();
    wire.settle();
    let data = wire.seen.iter().find(|(from, frame)| *from == 0 && crate::packets::tcp_of(frame).is_some());
    assert_eq!(data.unwrap().1.bytes[..6], station(2).0);
}

/// Redirects are routes too, and a router can tell of any host.
#[test]
fn a_flood_of_redirects_is_bounded() {
    let mut wire = Wire::new(1, LINKS[0]);
    let router = ip_of("10.0.0.9");
    wire[0].add_route(Route::via("0.0.0.0/0".parse().unwrap(), router, ETH)).unwrap();
    for n in 0..400u16 {
        let to = format!("192.0.{}.{}", n >> 8, n & 255);
        let quoted = Path::v4(0, 8).to(&to).udp((1000, 9), &[]);
        let message = Icmpv4Message::Other { kind: 5, code: 1, rest: [10, 0, 0, 7] };
        wire.inject(0, Path::v4(8, 0).icmpv4(message, packet_of(&quoted)));
    }
    let learned = wire[0].interfaces().routes().iter().filter(|route| route.destination.is_host()).count();
    assert_eq!(learned, tapsock_stack::iface::slaac::MAX_LEARNED);
    assert_eq!(wire.counter(0, Counter::TapsockAutoconfRefused), 400 - learned as u64);
    // They are gone after ten minutes, and there is room again.
    wire.run_for(Duration::from_secs(601));
    assert!(!wire[0].interfaces().routes().iter().any(|route| route.destination.is_host()));
}
