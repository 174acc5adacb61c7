//! A host that passes on what is for others, and what it says where it can not; a host that is told of a nearer router.

use tapsock::bsd::{AF_INET, AF_INET6, SOCK_DGRAM};

use crate::compare::Case;
use crate::craft::*;
use crate::describe::Sort;
use crate::host::{Host, Order, Setup, Way};

/// Two links, of which the second has a smaller way behind it, and neighbours 2 and 3 there.
const SETUP: Setup = Setup {
    ports: 2,
    settings: &[
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv4.icmp_ratelimit", "0"),
        ("net.ipv4.icmp_ratemask", "0"),
        ("net.ipv4.icmp_msgs_burst", "10000"),
        ("net.ipv6.icmp.ratelimit", "0"),
        ("net.ipv4.neigh.default.retrans_time_ms", "100"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "9"),
        ("net.ipv4.conf.tap0.rp_filter", "0"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap1.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
        ("net.ipv6.conf.tap1.router_solicitations", "0"),
    ],
    addresses: &[(0, "10.0.0.1/24"), (1, "10.0.1.1/24"), (0, "fd00::1/64"), (1, "fd00:1::1/64")],
    ways: &[
        Way { mtu: Some(1300), ..Way::via("10.9.0.0/16", "10.0.1.3", 1) },
        Way { mtu: Some(1300), ..Way::via("fd09::/32", "fd00:1::3", 1) },
        Way::via("10.8.0.0/16", "10.0.0.4", 0),
        Way::via("fd08::/32", "fd00::4", 0),
        Way::refused("prohibit", "10.3.0.0/16"),
        Way::refused("unreachable", "10.4.0.0/16"),
        Way::refused("blackhole", "10.5.0.0/16"),
        Way::refused("prohibit", "fd03::/32"),
        Way::refused("unreachable", "fd04::/32"),
        Way::refused("blackhole", "fd05::/32"),
    ],
    beginning: None,
    identified: false,
    sorts: &[Sort::Icmp, Sort::Data],
};

/// Neighbours of both links are known.
fn acquaint(host: &mut Host) {
    for (port, number, at) in [(0, 2, "10.0.0"), (0, 4, "10.0.0"), (1, 2, "10.0.1"), (1, 3, "10.0.1")] {
        let (own, neighbor) = (format!("{at}.1"), format!("{at}.{number}"));
        host.inject(port, &arp(ALL, REQUEST, (peer(number), &neighbor), ([0; 6], &own)));
    }
    for (port, number, at) in [(0, 2, "fd00:"), (0, 4, "fd00:"), (1, 2, "fd00:1:"), (1, 3, "fd00:1:")] {
        let (own, neighbor) = (format!("{at}:1"), format!("{at}:{number}"));
        let ask = solicitation(&own, &link_option(SOURCE, peer(number)));
        host.inject(port, &V6::near(&neighbor, "ff02::1:ff00:1").icmp(port, peer(number), &ask));
    }
    host.wait(30);
}

fn pass_v4(host: &mut Host, name: &'static str, v4: &V4<'_>, len: usize) {
    host.section(name, Order::Sequence);
    let payload = if v4.protocol == 17 { udp(1000, 2000, &vec![7; len]) } else { vec![7; len] };
    host.inject(0, &v4.frame(0, peer(2), &payload));
    host.wait(20);
}

fn on_v4(host: &mut Host) {
    acquaint(host);
    let far = V4::new("10.0.0.2", "10.0.1.2", 17);
    let whole = V4 { dont_fragment: true, ..far };
    //= RFC 1122 §3.1 MUST-3, type=test
    pass_v4(host, "a packet is passed on", &V4 { tos: 0xb9, ..far }, 100);
    pass_v4(host, "a packet with DF is passed on", &whole, 1472);
    //= RFC 1812 §5.3.1, type=test
    pass_v4(host, "a packet whose TTL ends", &V4 { ttl: 1, tos: 0xb9, ..far }, 100);
    pass_v4(host, "a large packet whose TTL ends", &V4 { ttl: 1, ..far }, 1400);
    pass_v4(host, "a packet whose TTL has ended", &V4 { ttl: 0, ..far }, 100);
    //= RFC 1812 §5.2.7.1, type=test
    pass_v4(host, "a packet to a network that nobody knows", &V4 { to: "192.0.2.1", tos: 0x14, ..far }, 100);
    pass_v4(host, "a packet that is prohibited", &V4 { to: "10.3.0.1", ..far }, 100);
    pass_v4(host, "a packet to what is unreachable", &V4 { to: "10.4.0.1", ..far }, 100);
    pass_v4(host, "a packet into a black hole", &V4 { to: "10.5.0.1", ..far }, 100);
    //= RFC 1191 §4, type=test
    pass_v4(host, "a packet that is too large, with DF", &V4 { to: "10.9.0.1", tos: 4, ..whole }, 1400);
    //= RFC 791 §3.2, type=test
    pass_v4(host, "a packet that is cut", &V4 { to: "10.9.0.1", tos: 4, ..far }, 1400);
    //= RFC 1122 §3.2.1.3 MUST-4, type=test
    //= RFC 1812 §5.3.7, type=test
    pass_v4(host, "a packet from nowhere", &V4 { from: "0.0.0.0", ..far }, 10);
    pass_v4(host, "a packet from a loopback address", &V4 { from: "127.0.0.1", ..far }, 10);
    pass_v4(host, "a packet from a group", &V4 { from: "224.0.0.1", ..far }, 10);
    pass_v4(host, "a packet from our address", &V4 { from: "10.0.0.1", ..far }, 10);
    pass_v4(host, "a packet from the broadcast address", &V4 { from: "255.255.255.255", ..far }, 10);
    //= RFC 2644 §3, type=test
    pass_v4(host, "a packet to the other network's broadcast address", &V4 { to: "10.0.1.255", ..far }, 10);
    pass_v4(host, "a packet to a link-local address", &V4 { to: "169.254.1.1", ..far }, 10);
    pass_v4(host, "a packet to a group", &V4 { to: "239.1.1.1", ttl: 9, ..far }, 10);
    pass_v4(host, "a packet to a reserved address", &V4 { to: "240.0.0.1", ..far }, 10);
    pass_v4(host, "a packet with a record of its way", &V4 { options: &[7, 7, 4, 0, 0, 0, 0, 0], ..far }, 10);
    //= RFC 1122 §3.3.5 MUST-6, type=test
    pass_v4(
        host,
        "a packet with a source route",
        &V4 { to: "10.0.0.1", options: &[131, 7, 4, 10, 0, 1, 2, 0], ..far },
        10,
    );
    //= RFC 1122 §3.2.1.8 MUST-3, type=test
    pass_v4(host, "a packet with an unknown option", &V4 { options: &[0x9e, 4, 1, 2], ..far }, 10);
    //= RFC 1122 §3.2.2.5 SHLD-1, type=test
    pass_v4(host, "a packet with a broken option", &V4 { options: &[7, 9, 4, 0], ttl: 9, ..far }, 10);
    //= RFC 1122 §3.2.2 MUST-2, type=test
    //= RFC 1122 §3.2.2.1 SHLD-1, type=test
    //= RFC 1122 §3.3.8 MUST-1, type=test
    //= RFC 1122 §3.2.2 MAY-1, type=test
    pass_v4(host, "a packet for a closed port of ours", &V4 { to: "10.0.0.1", tos: 0xb9, ..far }, 1000);
    pass_v4(host, "a packet for a closed port of our other link", &V4 { to: "10.0.1.1", ..far }, 10);
    pass_v4(host, "a packet of no protocol of ours", &V4 { to: "10.0.0.1", protocol: 200, ..far }, 100);
    //= RFC 1122 §3.2.1.7 MUST-2, type=test
    pass_v4(host, "a packet whose TTL ends here", &V4 { to: "10.0.0.1", ttl: 1, ..far }, 10);
    //= RFC 1122 §3.2.2 MUST-4, type=test
    host.section("an error whose TTL ends", Order::Sequence);
    let error = icmp(3, 1, &[&[0; 4][..], &far.packet(&udp(1, 2, b"x"))].concat());
    host.inject(0, &V4 { ttl: 1, ..V4::new("10.0.0.2", "10.0.1.2", 1) }.frame(0, peer(2), &error));
    host.wait(20);
    host.section("an echo request whose TTL ends", Order::Sequence);
    let echo = icmp(8, 0, &[0, 1, 0, 1, 1, 2, 3, 4]);
    host.inject(0, &V4 { ttl: 1, ..V4::new("10.0.0.2", "10.0.1.2", 1) }.frame(0, peer(2), &echo));
    host.wait(20);
    pass_v4(host, "a packet to a neighbour that does not answer", &V4 { to: "10.0.1.9", tos: 8, ..far }, 100);
    host.wait(500);
}

fn on_v6(host: &mut Host) {
    acquaint(host);
    let far = V6::new("fd00::2", "fd00:1::2", 17);
    pass_v6(host, "a packet of IPv6 is passed on", &V6 { class: 0xb9, label: 0x12345, ..far }, 100);
    //= RFC 4443 §2.2 MUST-2, type=test
    //= RFC 4443 §3.3 MUST-1, type=test
    pass_v6(host, "a packet whose hop limit ends", &V6 { hop_limit: 1, class: 0xb9, label: 7, ..far }, 100);
    //= RFC 4443 §2.4 MUST-4, type=test
    pass_v6(host, "a large packet whose hop limit ends", &V6 { hop_limit: 1, ..far }, 1400);
    pass_v6(host, "a packet whose hop limit has ended", &V6 { hop_limit: 0, ..far }, 100);
    //= RFC 4443 §3.1, type=test
    pass_v6(host, "a packet to a network of IPv6 that nobody knows", &V6 { to: "2001:db8::1", ..far }, 100);
    pass_v6(host, "a packet of IPv6 that is prohibited", &V6 { to: "fd03::1", ..far }, 100);
    pass_v6(host, "a packet to what is unreachable, of IPv6", &V6 { to: "fd04::1", ..far }, 100);
    pass_v6(host, "a packet into a black hole of IPv6", &V6 { to: "fd05::1", ..far }, 100);
    //= RFC 4443 §3.2 MUST-1, type=test
    pass_v6(host, "a packet of IPv6 that is too large", &V6 { to: "fd09::1", class: 4, ..far }, 1400);
    pass_v6(host, "a packet from nowhere, of IPv6", &V6 { from: "::", ..far }, 10);
    //= RFC 4291 §2.5.3, type=test
    pass_v6(host, "a packet from a loopback address, of IPv6", &V6 { from: "::1", ..far }, 10);
    pass_v6(host, "a packet from a group of IPv6", &V6 { from: "ff02::1", ..far }, 10);
    //= RFC 4291 §2.5.6, type=test
    pass_v6(host, "a packet from a link-local address", &V6 { from: "fe80::2", ..far }, 10);
    pass_v6(host, "a packet to a link-local address of another host", &V6 { to: "fe80::9", ..far }, 10);
    host.wait(350);
    pass_v6(host, "a packet to a group of IPv6", &V6 { to: "ff0e::9", hop_limit: 9, ..far }, 10);
    pass_v6(
        host,
        "a packet for a closed port of ours, of IPv6",
        &V6 { to: "fd00::1", class: 0xb9, label: 9, ..far },
        1000,
    );
    //= RFC 4443 §2.2 MUST-1, type=test
    pass_v6(
        host,
        "a packet for a closed port of our other link, of IPv6",
        &V6 { to: "fd00:1::1", ..far },
        10,
    );
    //= RFC 4443 §3.4 MUST-1, type=test
    //= RFC 4443 §3.4, type=test
    pass_v6(host, "a packet of no protocol of ours, of IPv6", &V6 { to: "fd00::1", next: 200, ..far }, 100);
    //= RFC 4443 §2.4 MUST-5, type=test
    host.section("an error of IPv6 whose hop limit ends", Order::Sequence);
    let icmp = |host: &mut Host, v6: &V6<'_>, message: &[u8]| {
        host.inject(0, &v6.icmp(0, peer(2), message));
        host.wait(20);
    };
    let near = V6 { hop_limit: 1, next: 58, ..far };
    let quoted = far.packet(&udp6(&far, (1, 2), b"x"));
    icmp(host, &near, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat());
    host.section("an echo request of IPv6 whose hop limit ends", Order::Sequence);
    icmp(host, &near, &[128, 0, 0, 0, 0, 1, 0, 1, 1, 2]);
    //= RFC 4443 §4.1 MUST-1, type=test
    //= RFC 4443 §4.2 MUST-1, type=test
    //= RFC 4443 §4.2 MUST-3, type=test
    host.section("an echo request of IPv6 to a group", Order::Sequence);
    icmp(host, &V6 { to: "ff02::1", ..near }, &[128, 0, 0, 0, 0, 1, 0, 1, 1, 2]);
    //= RFC 4443 §4.2 MUST-2, type=test
    host.section("an echo request of IPv6 with a class", Order::Sequence);
    icmp(host, &V6 { to: "fd00::1", class: 0xb9, label: 5, ..near }, &[128, 0, 0, 0, 0, 1, 0, 1, 1, 2]);
    pass_v6(
        host,
        "a packet to a neighbour of IPv6 that does not answer",
        &V6 { to: "fd00:1::9", ..far },
        100,
    );
    host.wait(500);
}

fn pass_v6(host: &mut Host, name: &'static str, v6: &V6<'_>, len: usize) {
    host.section(name, Order::Sequence);
    let payload = if v6.next == 17 { udp6(v6, (1000, 2000), &vec![7; len]) } else { vec![7; len] };
    host.inject(0, &v6.frame(0, peer(2), &v6.packet(&payload)));
    host.wait(20);
}

/// All that is known of nowhere else goes by neighbour 3 of the other link.
const ONWARD: Setup =
    Setup { ways: &[Way::via("0.0.0.0/0", "10.0.1.3", 1), Way::via("::/0", "fd00:1::3", 1)], ..SETUP };

/// Addresses with a purpose of their own (RFC 6890) that a router may pass on or not.
fn special(host: &mut Host) {
    acquaint(host);
    let far = V4::new("10.0.0.2", "10.0.1.2", 17);
    for (to, from, address) in [
        ("to this network", "from this network", "0.0.0.1"),
        ("to shared space", "from shared space", "100.64.0.1"),
        ("to loopback", "from loopback", "127.0.0.1"),
        ("to a link-local address of elsewhere", "from a link-local address of elsewhere", "169.254.1.1"),
        ("to the IETF's network", "from the IETF's network", "192.0.0.1"),
        ("to DS-Lite", "from DS-Lite", "192.0.0.2"),
        ("to documentation", "from documentation", "192.0.2.1"),
        ("to relays of 6to4", "from relays of 6to4", "192.88.99.1"),
        ("to benchmarks", "from benchmarks", "198.18.0.1"),
        ("to more documentation", "from more documentation", "198.51.100.1"),
        ("to yet more documentation", "from yet more documentation", "203.0.113.1"),
        ("to reserved space", "from reserved space", "240.0.0.1"),
        ("to everybody", "from everybody", "255.255.255.255"),
    ] {
        pass_v4(host, to, &V4 { to: address, ..far }, 10);
        pass_v4(host, from, &V4 { from: address, ..far }, 10);
    }
    let far = V6::new("fd00::2", "fd00:1::2", 17);
    for (to, from, address) in [
        ("to loopback, of IPv6", "from loopback, of IPv6", "::1"),
        ("to nobody, of IPv6", "from nobody, of IPv6", "::"),
        ("to translation", "from translation", "64:ff9b::1"),
        ("to mapped IPv4", "from mapped IPv4", "::ffff:192.0.2.1"),
        ("to what is discarded", "from what is discarded", "100::1"),
        ("to the IETF's network, of IPv6", "from the IETF's network, of IPv6", "2001:100::1"),
        ("to Teredo", "from Teredo", "2001::1"),
        ("to benchmarks, of IPv6", "from benchmarks, of IPv6", "2001:2::1"),
        ("to documentation, of IPv6", "from documentation, of IPv6", "2001:db8::1"),
        ("to ORCHID", "from ORCHID", "2001:10::1"),
        ("to 6to4", "from 6to4", "2002:c000:201::1"),
        ("to unique local space", "from unique local space", "fd99::1"),
    ] {
        pass_v6(host, to, &V6 { to: address, ..far }, 10);
        pass_v6(host, from, &V6 { from: address, ..far }, 10);
    }
}

/// Who has a nearer router is told.
fn redirects(host: &mut Host) {
    acquaint(host);
    let far = V4::new("10.0.0.2", "10.8.0.1", 17);
    //= RFC 1812 §5.2.7.2, type=test
    pass_v4(host, "a packet that goes back by the link that it came by", &V4 { tos: 8, ..far }, 600);
    // Linux waits longer before each redirect.
    host.wait(200);
    host.section("two at once", Order::Sequence);
    for _ in 0..2 {
        host.inject(0, &far.frame(0, peer(2), &udp(1000, 2000, b"x")));
    }
    host.wait(400);
    pass_v4(host, "a packet for a neighbour of its sender", &V4 { to: "10.0.0.4", ..far }, 10);
    pass_v4(
        host,
        "a packet that goes back, whose sender is not of the link",
        &V4 { from: "10.7.0.2", ..far },
        10,
    );
    let far = V6::new("fd00::2", "fd08::1", 17);
    pass_v6(host, "a packet of IPv6 that goes back by the link that it came by", &far, 600);
    pass_v6(host, "another one of IPv6 at once", &far, 10);
    //= RFC 4861 §8.2 MUST-2, type=test
    pass_v6(host, "a packet of IPv6 for a neighbour of its sender", &V6 { to: "fd00::4", ..far }, 10);
    pass_v6(
        host,
        "a packet of IPv6 that goes back, whose sender is not of the link",
        &V6 { from: "fd07::2", ..far },
        10,
    );
}

const ON_ONE_LINK: Setup = Setup {
    ports: 1,
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "100"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "9"),
        ("net.ipv4.icmp_ratelimit", "0"),
        ("net.ipv6.icmp.ratelimit", "0"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    addresses: &[(0, "10.0.0.1/24"), (0, "fd00::1/64")],
    ways: &[Way::via("0.0.0.0/0", "10.0.0.2", 0), Way::via("::/0", "fe80::2", 0)],
    sorts: &[Sort::Icmp, Sort::Data, Sort::Arp, Sort::Neighbor],
    ..SETUP
};

/// A host hears of a nearer router.
fn redirected(host: &mut Host) {
    for number in [2, 3, 4] {
        let neighbor = format!("10.0.0.{number}");
        host.inject(0, &arp(ALL, REQUEST, (peer(number), &neighbor), ([0; 6], "10.0.0.1")));
    }
    host.wait(30);
    let socket = host.socket(AF_INET, SOCK_DGRAM, 0);
    host.bind(socket, "0.0.0.0:5000");
    let ours = V4::new("10.0.0.1", "192.0.2.1", 17).packet(&udp(5000, 9, b"x"));
    let redirect = |host: &mut Host, from: u8, gateway: [u8; 4]| {
        let address = format!("10.0.0.{from}");
        let message = icmp(5, 1, &[&gateway[..], &ours].concat());
        host.inject(0, &V4::new(&address, "10.0.0.1", 1).frame(0, peer(from), &message));
        host.send_to(socket, b"x", "192.0.2.1:9");
        host.wait(20);
    };
    host.section("before a redirect", Order::Sequence);
    host.send_to(socket, b"x", "192.0.2.1:9");
    host.wait(20);
    //= RFC 1122 §3.2.2.2 SHLD-2, type=test
    host.section("a redirect of who is no router of ours", Order::Sequence);
    redirect(host, 4, [10, 0, 0, 3]);
    host.section("a redirect to ourselves", Order::Sequence);
    redirect(host, 2, [10, 0, 0, 1]);
    //= RFC 1122 §3.2.2.2 MUST-1, type=test
    host.section("a redirect of our router", Order::Sequence);
    redirect(host, 2, [10, 0, 0, 3]);
    //= RFC 1122 §3.3.1.2 MUST-1, type=test
    //= RFC 1122 §3.3.1.3 MAY-1, type=test
    host.section("another destination after it", Order::Sequence);
    host.send_to(socket, b"x", "192.0.2.2:9");
    host.wait(20);
    host.section("a redirect of the new router", Order::Sequence);
    redirect(host, 3, [10, 0, 0, 4]);
    host.section("a redirect to who is not on the link", Order::Sequence);
    redirect(host, 4, [192, 0, 2, 9]);
    host.wait(500);
}

fn redirected_v6(host: &mut Host) {
    for number in [2, 3, 4] {
        let neighbor = format!("fe80::{number}");
        let ask = solicitation("fd00::1", &link_option(SOURCE, peer(number)));
        host.inject(0, &V6::near(&neighbor, "ff02::1:ff00:1").icmp(0, peer(number), &ask));
    }
    host.wait(30);
    let socket = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.bind(socket, "[::]:5000");
    let to = "2001:db8::1";
    let quoted = V6::new("fd00::1", to, 17);
    let quoted = quoted.packet(&udp6(&quoted, (5000, 9), b"x"));
    let mut quote = [&[4, 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
    quote.resize(quote.len().next_multiple_of(8), 0);
    quote[1] = (quote.len() / 8) as u8;
    let redirect = |host: &mut Host, from: &str, target: &str, options: &[u8]| {
        let message = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &ip6(target), &ip6(to), options].concat();
        host.inject(0, &V6::near(from, "fd00::1").icmp(0, peer(2), &message));
        host.send_to(socket, b"x", "[2001:db8::1]:9");
        host.wait(20);
    };
    host.section("before a redirect of IPv6", Order::Sequence);
    host.send_to(socket, b"x", "[2001:db8::1]:9");
    host.wait(20);
    //= RFC 4861 §8.1 MUST-1, type=test
    host.section("a redirect of IPv6 of who is no router of ours", Order::Sequence);
    redirect(host, "fe80::4", "fe80::3", &[]);
    host.section("a redirect of IPv6 to a global address", Order::Sequence);
    redirect(host, "fe80::2", "fd00::3", &[]);
    host.section("a redirect of IPv6 of our router", Order::Sequence);
    redirect(host, "fe80::2", "fe80::3", &link_option(TARGET, peer(5)));
    host.section("a redirect of IPv6 of the router before", Order::Sequence);
    redirect(host, "fe80::2", "fe80::4", &[]);
    host.section("a redirect of IPv6 of the new router", Order::Sequence);
    redirect(host, "fe80::3", "fe80::4", &[]);
    host.section("a redirect of IPv6 that quotes a datagram", Order::Sequence);
    redirect(host, "fe80::4", "fe80::2", &quote);
    host.section("another destination of IPv6", Order::Sequence);
    host.send_to(socket, b"x", "[2001:db8::2]:9");
    host.wait(20);
}

/// A router says of a destination that it is a neighbour.
fn on_link(host: &mut Host) {
    let ask = solicitation("fd00::1", &link_option(SOURCE, peer(2)));
    host.inject(0, &V6::near("fe80::2", "ff02::1:ff00:1").icmp(0, peer(2), &ask));
    host.wait(30);
    let socket = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.bind(socket, "[::]:5001");
    //= RFC 4861 §8.1 MUST-4, type=test
    //= RFC 4861 §8.3 MUST-3, type=test
    host.section("a redirect that says that a destination is on the link", Order::Sequence);
    let to = ip6("2001:db8::1");
    let message = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &to, &to, &link_option(TARGET, peer(7))].concat();
    host.inject(0, &V6::near("fe80::2", "fd00::1").icmp(0, peer(2), &message));
    host.send_to(socket, b"x", "[2001:db8::1]:9");
    host.wait(20);
}

/// Datagrams that do not fit, and what is answered to those that do not either.
fn cut(host: &mut Host) {
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "10.0.0.2"), ([0; 6], "10.0.0.1")));
    let ask = solicitation("fd00::1", &link_option(SOURCE, peer(2)));
    host.inject(0, &V6::near("fd00::2", "ff02::1:ff00:1").icmp(0, peer(2), &ask));
    host.wait(30);
    let socket = host.socket(AF_INET, SOCK_DGRAM, 0);
    host.bind(socket, "0.0.0.0:5000");
    let socket6 = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.bind(socket6, "[::]:5001");
    //= RFC 791 §3.2, type=test
    //= RFC 1122 §3.3.3 MAY-1, type=test
    for (name, len) in [
        ("a datagram that fits", 1472),
        ("a datagram that is a byte too long", 1473),
        ("a datagram of three fragments", 4000),
    ] {
        host.section(name, Order::Sequence);
        host.send_to(socket, &vec![7; len], "10.0.0.2:9");
        host.wait(20);
    }
    //= RFC 8200 §4.5 MUST-2, type=test
    //= RFC 8200 §4.5 MUST-3, type=test
    //= RFC 8200 §4.5 MUST-5, type=test
    for (name, len) in [
        ("a datagram of IPv6 that fits", 1452),
        ("a datagram of IPv6 that is a byte too long", 1453),
        ("a datagram of IPv6 of three fragments", 4000),
    ] {
        host.section(name, Order::Sequence);
        host.send_to(socket6, &vec![7; len], "[fd00::2]:9");
        host.wait(20);
    }
    pass_v4(host, "a packet for another host", &V4::new("10.0.0.2", "192.0.2.77", 17), 10);
    pass_v6(host, "a packet of IPv6 for another host", &V6::new("fd00::2", "2001:db8::77", 17), 10);
    host.section("a datagram that is longer than any", Order::Sequence);
    host.send_to(socket, &vec![7; 65_508], "10.0.0.2:9");
    host.wait(20);
    //= RFC 1122 §3.2.1.4 MUST-1, type=test
    //= RFC 1122 §3.2.2.6 MUST-1, type=test
    host.section("a large echo reply", Order::Sequence);
    let echo = icmp(8, 0, &[&[0, 1, 0, 1][..], &[3; 2000]].concat());
    fragments_v4(host, &V4 { tos: 4, ..V4::new("10.0.0.2", "10.0.0.1", 1) }, &echo);
    //= RFC 8200 §5 MUST-4, type=test
    //= RFC 4443 §4.1 MUST-1, type=test
    host.section("a large echo reply of IPv6", Order::Sequence);
    let v6 = V6 { class: 4, ..V6::new("fd00::2", "fd00::1", 58) };
    let whole = v6.icmp_behind(&[], &[&[128, 0, 0, 0, 0, 1, 0, 1][..], &[3; 2000]].concat());
    for (offset, part) in [(0u16, &whole[40..1240]), (1200, &whole[1240..])] {
        let [high, low] = (offset | u16::from(offset == 0)).to_be_bytes();
        let head = [58, 0, high, low, 0, 0, 0, 7];
        let packet = V6 { next: 44, ..v6 }.packet(&[&head[..], part].concat());
        host.inject(0, &v6.frame(0, peer(2), &packet));
    }
    host.wait(20);
}

/// Sends a packet in two fragments.
fn fragments_v4(host: &mut Host, v4: &V4<'_>, payload: &[u8]) {
    for (offset, more, part) in [(0u16, 0x2000, &payload[..1200]), (150, 0, &payload[1200..])] {
        let mut packet = v4.packet(part);
        packet[6..8].copy_from_slice(&(offset | more).to_be_bytes());
        packet[10..12].fill(0);
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = v4.frame(0, peer(2), &[]);
        frame.truncate(14);
        frame.extend(packet);
        host.inject(0, &frame);
    }
    host.wait(20);
}

pub const CASES: &[Case] = &[
    Case { name: "a router of IPv4", setup: SETUP, script: on_v4 },
    Case { name: "a router of IPv6", setup: SETUP, script: on_v6 },
    //= RFC 6890 §2.2.2, type=test
    //= RFC 6890 §2.2.3, type=test
    Case { name: "special addresses", setup: ONWARD, script: special },
    Case { name: "redirects", setup: SETUP, script: redirects },
    Case { name: "redirected", setup: ON_ONE_LINK, script: redirected },
    Case { name: "redirected, by IPv6", setup: ON_ONE_LINK, script: redirected_v6 },
    Case { name: "on the link", setup: ON_ONE_LINK, script: on_link },
    Case { name: "fragments", setup: Setup { ways: &[], ..ON_ONE_LINK }, script: cut },
];
