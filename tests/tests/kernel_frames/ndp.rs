//! Neighbour discovery: questions, answers, addresses that are looked for, routers.

use tapsock::bsd::{AF_INET6, SO_REUSEADDR, SOCK_DGRAM, SOL_SOCKET};

use crate::compare::Case;
use crate::craft::*;
use crate::describe::Sort;
use crate::host::{Host, Order, Setup};

/// One link whose addresses are nobody else's, neighbours that are asked quickly.
const SETUP: Setup = Setup {
    ports: 1,
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "9"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
        ("net.ipv6.icmp.ratelimit", "0"),
    ],
    addresses: &[(0, "fd00::1/64"), (0, "fd00::11/64")],
    ways: &[],
    beginning: None,
    identified: false,
    sorts: &[Sort::Neighbor, Sort::Data, Sort::Icmp],
};

/// The link-local address of the host's first port.
const OWN: &str = "fe80::ff:fe00:1";
const GROUP: &str = "ff02::1:ff00:1";
const ALL_NODES: &str = "ff02::1";

fn socket(host: &mut Host, to: &str) -> i32 {
    let socket = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.set_option(socket, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes());
    host.bind(socket, "[::]:5000");
    host.connect(socket, to);
    socket
}

/// A solicitation for `target` from `from`, of the peer of that number, with its address where it says so.
fn ask(host: &mut Host, (number, from): (u8, &str), to: &str, target: &str, options: &[u8]) {
    let message = solicitation(target, options);
    host.inject(0, &V6::near(from, to).icmp(0, peer(number), &message));
    host.wait(60);
}

fn tell(host: &mut Host, (number, from): (u8, &str), to: &str, flags: u8, target: &str, options: &[u8]) {
    let message = advertisement(flags, target, options);
    host.inject(0, &V6::near(from, to).icmp(0, peer(number), &message));
    host.wait(20);
}

fn nobody_answers(host: &mut Host) {
    let socket = socket(host, "[fd00::9]:9");
    //= RFC 4861 §4.3 MUST-5, type=test
    //= RFC 4861 §7.2.2 MUST-1, type=test
    //= RFC 4861 §7.2.2 MUST-4, type=test
    //= RFC 4861 §7.2.2 MUST-5, type=test
    host.section("a datagram to a neighbour of IPv6 that does not answer", Order::Paced);
    host.send(socket, b"x");
    host.wait(900);
    host.note_error(socket);
    host.section("another one of IPv6 after it has failed", Order::Paced);
    host.send(socket, b"x");
    host.wait(900);
    host.note_error(socket);
    //= RFC 4861 §7.2.2 MUST-2, type=test
    //= RFC 4861 §7.2.2 MUST-3, type=test
    host.section("two of IPv6 while it is asked for, and it answers", Order::Sequence);
    host.send(socket, b"xx");
    host.send(socket, b"xxx");
    host.wait(100);
    tell(host, (9, "fd00::9"), "fd00::1", SOLICITED | OVERRIDE, "fd00::9", &link_option(TARGET, peer(9)));
    host.wait(50);
}

fn solicitations(host: &mut Host) {
    let own = link_option(SOURCE, peer(2));
    let somebody = (2, "fd00::2");
    //= RFC 4861 §4.4 MUST-5, type=test
    //= RFC 4861 §7.2.4 MUST-1, type=test
    //= RFC 4861 §7.2.4 MUST-3, type=test
    //= RFC 4861 §7.2.4 MUST-5, type=test
    host.section("a solicitation for an address of ours", Order::Sequence);
    ask(host, somebody, GROUP, "fd00::1", &own);
    host.section("a solicitation for our other address, to us alone", Order::Sequence);
    ask(host, somebody, "fd00::11", "fd00::11", &own);
    host.section("a solicitation to us alone, without an address, from who is known", Order::Sequence);
    ask(host, somebody, "fd00::1", "fd00::1", &[]);
    //= RFC 4861 §4.4 MUST-6, type=test
    host.section("a solicitation to all, without an address", Order::Sequence);
    ask(host, somebody, GROUP, "fd00::1", &[]);
    host.section("a solicitation to us alone, without an address, from a stranger", Order::Sequence);
    ask(host, (3, "fd00::3"), "fd00::1", "fd00::1", &[]);
    host.wait(600);
    //= RFC 4861 §7.2.3 MUST-1, type=test
    host.section("a solicitation for another's address", Order::Sequence);
    ask(host, somebody, "ff02::1:ff00:77", "fd00::77", &own);
    host.section("a solicitation for our link-local address", Order::Sequence);
    ask(host, (2, "fe80::2"), GROUP, OWN, &own);
    host.section("a solicitation across scopes", Order::Sequence);
    ask(host, (2, "fe80::2"), GROUP, "fd00::1", &own);
    //= RFC 4861 §4.4 MUST-1, type=test
    //= RFC 4861 §7.2.4 MUST-4, type=test
    host.section("a probe for an address of ours, of IPv6", Order::Sequence);
    ask(host, (2, "::"), GROUP, "fd00::1", &[]);
    //= RFC 4861 §7.1.1 MUST-1, type=test
    host.section("a probe with a source address option", Order::Sequence);
    ask(host, (2, "::"), GROUP, "fd00::1", &own);
    host.section("a probe to us alone", Order::Sequence);
    ask(host, (2, "::"), "fd00::1", "fd00::1", &[]);
    host.section("a solicitation that a router has passed on", Order::Sequence);
    let far = V6 { hop_limit: 254, ..V6::near("fd00::2", GROUP) };
    host.inject(0, &far.icmp(0, peer(2), &solicitation("fd00::1", &own)));
    host.wait(60);
    //= RFC 4861 §4.6 MUST-1, type=test
    //= RFC 6980 §5, type=test
    host.section("a solicitation with a fragment header", Order::Sequence);
    let near = V6::near("fd00::2", GROUP);
    let whole = near.icmp_behind(&[58, 0, 0, 0, 0, 0, 0, 7], &solicitation("fd00::1", &own));
    let mut fragment = near.frame(0, peer(2), &whole);
    fragment[20] = 44;
    host.inject(0, &fragment);
    host.wait(60);
    host.section("a solicitation with an option of no length", Order::Sequence);
    ask(host, somebody, GROUP, "fd00::1", &[1, 0, 0, 0, 0, 0, 0, 0]);
    host.section("a solicitation for a group", Order::Sequence);
    ask(host, somebody, GROUP, GROUP, &own);
    host.section("a solicitation from our own address, of another station", Order::Sequence);
    ask(host, (3, "fd00::1"), GROUP, "fd00::1", &link_option(SOURCE, peer(3)));
    host.section("a solicitation from a group", Order::Sequence);
    ask(host, (3, "ff02::5"), GROUP, "fd00::1", &link_option(SOURCE, peer(3)));
    host.set("net.ipv6.conf.tap0.forwarding", "1");
    host.section("a solicitation for the address of all routers of the network", Order::Sequence);
    ask(host, somebody, "ff02::1:ff00:0", "fd00::", &own);
    // Not all answer at once.
    host.wait(900);
    //= RFC 4861 §7.2.4 MUST-2, type=test
    host.section("a solicitation to a router", Order::Sequence);
    ask(host, somebody, GROUP, "fd00::1", &own);
    host.section("a probe for a router's address", Order::Sequence);
    ask(host, (2, "::"), GROUP, "fd00::1", &[]);
    host.set("net.ipv6.conf.tap0.forwarding", "0");
}

/// A neighbour that has asked, and is silent from then on.
fn silence(host: &mut Host) {
    let socket = socket(host, "[fd00::2]:9");
    //= RFC 4861 §7.3.3 MUST-1, type=test
    host.section("a datagram to who has solicited", Order::Paced);
    ask(host, (2, "fd00::2"), GROUP, "fd00::1", &link_option(SOURCE, peer(2)));
    host.wait(400);
    host.send(socket, b"x");
    host.wait(1900);
    host.note_error(socket);
    host.section("a datagram after nobody has answered", Order::Sequence);
    host.send(socket, b"x");
    host.wait(60);
}

fn advertisements(host: &mut Host) {
    let at = |number: u8| link_option(TARGET, peer(number));
    ask(host, (2, "fd00::2"), GROUP, "fd00::1", &link_option(SOURCE, peer(2)));
    let socket = socket(host, "[fd00::2]:9");
    //= RFC 4861 §7.2.5 MUST-2, type=test
    //= RFC 4861 §7.2.5 MUST-3, type=test
    host.section("an advertisement to all that overrides", Order::Sequence);
    tell(host, (3, "fd00::2"), ALL_NODES, OVERRIDE, "fd00::2", &at(3));
    host.send(socket, b"x");
    host.wait(20);
    //= RFC 4861 §7.2.5 MUST-1, type=test
    host.section("one that does not override", Order::Sequence);
    tell(host, (4, "fd00::2"), ALL_NODES, 0, "fd00::2", &at(4));
    host.send(socket, b"x");
    host.wait(20);
    //= RFC 4861 §7.2.5 MUST-4, type=test
    host.section("a solicited one that overrides", Order::Sequence);
    tell(host, (5, "fd00::2"), "fd00::1", SOLICITED | OVERRIDE, "fd00::2", &at(5));
    host.send(socket, b"x");
    host.wait(20);
    //= RFC 4861 §7.2.5, type=test
    host.section("who was reachable does not override itself, and is asked", Order::Paced);
    tell(host, (6, "fd00::2"), "fd00::1", SOLICITED, "fd00::2", &at(6));
    host.send(socket, b"x");
    host.wait(1350);
    host.section("it answers without its address", Order::Sequence);
    tell(host, (5, "fd00::2"), "fd00::1", SOLICITED, "fd00::2", &[]);
    host.wait(600);
    host.close(socket);
    host.section("a datagram to a stranger that has advertised itself", Order::Sequence);
    let stranger = self::socket(host, "[fd00::7]:9");
    tell(host, (7, "fd00::7"), ALL_NODES, OVERRIDE, "fd00::7", &at(7));
    host.send(stranger, b"x");
    host.wait(20);
    host.close(stranger);
    host.set("net.ipv6.conf.tap0.accept_untracked_na", "1");
    for (name, number, forwarding) in [
        ("the same with accept_untracked_na", 8, "0"),
        ("the same with accept_untracked_na, of a router", 9, "1"),
    ] {
        host.set("net.ipv6.conf.tap0.forwarding", forwarding);
        host.section(name, Order::Sequence);
        let stranger = self::socket(host, &format!("[fd00::{number}]:9"));
        let from = format!("fd00::{number}");
        tell(host, (number, &from), ALL_NODES, OVERRIDE, &from, &at(number));
        host.send(stranger, b"x");
        host.wait(20);
        host.close(stranger);
    }
}

/// The same, with neighbours that are doubted soon.
const DOUBTFUL: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "1"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};

/// Addresses that are looked for, and routers.
const CAREFUL: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv6.conf.tap0.accept_dad", "1"),
        ("net.ipv6.conf.tap0.dad_transmits", "2"),
        ("net.ipv6.conf.tap0.router_solicitations", "3"),
        ("net.ipv6.conf.tap0.router_solicitation_interval", "1"),
        ("net.ipv6.conf.tap0.router_solicitation_delay", "0"),
        ("net.ipv6.conf.tap0.ndisc_notify", "1"),
        ("net.ipv6.conf.tap0.use_tempaddr", "0"),
    ],
    addresses: &[],
    beginning: Some("IPv6 begins on a link"),
    sorts: &[Sort::Neighbor, Sort::Router],
    ..SETUP
};

fn beginning(host: &mut Host) {
    host.wait(1000);
    //= RFC 4861 §7.2.6 MUST-2, type=test
    //= RFC 4861 §7.2.6 MUST-4, type=test
    //= RFC 4862 §5.1 MUST-1, type=test
    //= RFC 4862 §5.4 MUST-1, type=test
    //= RFC 4862 §5.4 MUST-3, type=test
    host.section("questions to routers, and an address that is given", Order::Any);
    host.add_address(0, "fd00::1/64");
    host.wait(3300);
    //= RFC 4862 §5.4.3, type=test
    host.section("an address that somebody else looks for too", Order::Any);
    host.add_address(0, "fd00::2/64");
    host.wait(50);
    ask(host, (2, "::"), "ff02::1:ff00:2", "fd00::2", &[]);
    host.wait(900);
    //= RFC 4862 §5.4.4, type=test
    host.section("an address that somebody has", Order::Any);
    host.add_address(0, "fd00::3/64");
    host.wait(50);
    tell(host, (3, "fd00::3"), ALL_NODES, OVERRIDE, "fd00::3", &link_option(TARGET, peer(3)));
    host.wait(900);
    //= RFC 4862 §5.4.5 MUST-1, type=test
    host.section("a solicitation for an address that could not be had", Order::Any);
    ask(host, (4, "fd00::4"), "ff02::1:ff00:3", "fd00::3", &link_option(SOURCE, peer(4)));
    //= RFC 4862 §5.4.3 MUST-1, type=test
    host.section("an address that a neighbour asks for while it is looked for", Order::Any);
    host.add_address(0, "fd00::5/64");
    host.wait(50);
    ask(host, (4, "fd00::4"), "ff02::1:ff00:5", "fd00::5", &link_option(SOURCE, peer(4)));
    host.wait(900);
}

/// A router tells a prefix.
fn a_router(host: &mut Host) {
    host.wait(700);
    //= RFC 4861 §6.3.7 MUST-1, type=test
    //= RFC 4862 §5.5 MUST-1, type=test
    host.section("a prefix of a router", Order::Any);
    let advert = router(1800, &[prefix("2001:db8::"), link_option(SOURCE, peer(1))].concat());
    host.inject(0, &V6::near("fe80::1", ALL_NODES).icmp(0, peer(1), &advert));
    host.wait(1500);
    host.section("the same again", Order::Any);
    host.inject(0, &V6::near("fe80::1", ALL_NODES).icmp(0, peer(1), &advert));
    host.wait(400);
    //= RFC 4861 §6.3.4 MUST-4, type=test
    //= RFC 4861 §6.3.4 MUST-6, type=test
    host.section("what is for elsewhere goes to the router", Order::Sequence);
    let socket = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.bind(socket, "[::]:5000");
    host.send_to(socket, b"x", "[2001:db8:9::9]:9");
    host.wait(50);
    host.section("a solicitation for the address of the prefix", Order::Sequence);
    let target = "2001:db8::ff:fe00:1";
    ask(host, (2, "2001:db8::2"), GROUP, target, &link_option(SOURCE, peer(2)));
    let own = link_option(TARGET, peer(1));
    //= RFC 4861 §7.2.5 MUST-6, type=test
    //= RFC 4861 §7.2.5 MUST-7, type=test
    //= RFC 4861 §7.3.3 MUST-2, type=test
    //= RFC 4861 §7.3.3 MUST-3, type=test
    for (name, flags) in [
        ("the router says that it is one", ROUTER | OVERRIDE),
        ("the router says that it is none any more", OVERRIDE),
    ] {
        host.section(name, Order::Sequence);
        tell(host, (1, "fe80::1"), ALL_NODES, flags, "fe80::1", &own);
        host.send_to(socket, b"x", "[2001:db8:9::9]:9");
        host.wait(50);
    }
}

/// How often is asked, of IPv6.
const COUNTED: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "1"),
        ("net.ipv4.neigh.default.ucast_solicit", "1"),
        ("net.ipv4.neigh.default.mcast_solicit", "2"),
        ("net.ipv4.neigh.default.mcast_resolicit", "2"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};

fn counted(host: &mut Host) {
    ask(host, (2, "fd00::2"), GROUP, "fd00::1", &link_option(SOURCE, peer(2)));
    let known = socket(host, "[fd00::2]:9");
    host.section("a neighbour of IPv6 that is asked as often as is set, and then by all", Order::Paced);
    host.send(known, b"x");
    host.wait(2000);
    host.note_error(known);
    host.close(known);
    let stranger = socket(host, "[fd00::9]:9");
    host.section("a stranger of IPv6 who is asked for as often as is set", Order::Paced);
    host.send(stranger, b"x");
    host.wait(900);
    host.note_error(stranger);
}

/// Addresses that are looked for without a nonce, and routers of which none goes first.
const PLAIN: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv6.conf.tap0.accept_dad", "1"),
        // The kernel takes either for a yes.
        ("net.ipv6.conf.all.enhanced_dad", "0"),
        ("net.ipv6.conf.tap0.enhanced_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
        ("net.ipv6.conf.tap0.accept_ra_rtr_pref", "0"),
        ("net.ipv6.conf.tap0.autoconf", "0"),
    ],
    addresses: &[],
    beginning: Some("IPv6 begins on a link, without nonces"),
    sorts: &[Sort::Neighbor, Sort::Data],
    ..SETUP
};

fn plain(host: &mut Host) {
    host.wait(1300);
    host.section("an address that is looked for without a nonce", Order::Any);
    host.add_address(0, "fd00::1/64");
    host.wait(1300);
    router_of_two(host, "what is for elsewhere goes to the first router where none goes first");
}

/// Of two routers the second goes before the first.
fn preferred(host: &mut Host) {
    host.wait(1000);
    host.add_address(0, "fd00::1/64");
    host.wait(1000);
    router_of_two(host, "what is for elsewhere goes to the router that goes first");
}

fn router_of_two(host: &mut Host, name: &'static str) {
    for (number, from, preference) in [(1, "fe80::1", 0x18), (2, "fe80::2", 0x08)] {
        let mut advert = router(1800, &link_option(SOURCE, peer(number)));
        advert[5] |= preference;
        host.inject(0, &V6::near(from, ALL_NODES).icmp(0, peer(number), &advert));
        host.wait(50);
    }
    host.section(name, Order::Sequence);
    let socket = host.socket(AF_INET6, SOCK_DGRAM, 0);
    host.bind(socket, "[::]:5000");
    host.send_to(socket, b"x", "[2001:db8:9::9]:9");
    host.wait(50);
}

pub const CASES: &[Case] = &[
    Case { name: "nobody answers, of IPv6", setup: SETUP, script: nobody_answers },
    Case { name: "solicitations", setup: SETUP, script: solicitations },
    Case { name: "silence", setup: DOUBTFUL, script: silence },
    Case { name: "advertisements", setup: DOUBTFUL, script: advertisements },
    Case { name: "counts of IPv6", setup: COUNTED, script: counted },
    Case { name: "plain", setup: PLAIN, script: plain },
    Case {
        name: "routers of which one goes first",
        setup: Setup { beginning: None, sorts: &[Sort::Data], ..CAREFUL },
        script: preferred,
    },
    Case { name: "beginning", setup: CAREFUL, script: beginning },
    Case {
        name: "a router",
        setup: Setup { beginning: None, sorts: &[Sort::Neighbor, Sort::Router, Sort::Data], ..CAREFUL },
        script: a_router,
    },
];
