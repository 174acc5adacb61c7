//! ARP: questions, answers, announcements.

use tapsock::bsd::{AF_INET, SO_REUSEADDR, SOCK_DGRAM, SOL_SOCKET};

use crate::compare::Case;
use crate::craft::*;
use crate::describe::Sort;
use crate::host::{Host, Order, Setup};

/// One link, neighbours that are asked quickly.
const SETUP: Setup = Setup {
    ports: 1,
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "1"),
    ],
    addresses: &[(0, "10.0.0.1/24"), (0, "10.0.0.11/24")],
    ways: &[],
    beginning: None,
    identified: false,
    sorts: &[Sort::Arp, Sort::Data, Sort::Icmp],
};

/// A UDP socket of port 5000 that is connected to that address, port 9.
///
/// A port is used again: for a while a program that another case starts may have a copy of the socket.
fn socket(host: &mut Host, to: &str) -> i32 {
    let socket = host.socket(AF_INET, SOCK_DGRAM, 0);
    host.set_option(socket, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes());
    host.bind(socket, "0.0.0.0:5000");
    host.connect(socket, to);
    socket
}

fn nobody_answers(host: &mut Host) {
    let socket = socket(host, "10.0.0.9:9");
    //= RFC 1122 §3.3.1.4 MUST-1, type=test
    host.section("a datagram to a neighbour that does not answer", Order::Paced);
    host.send(socket, b"x");
    host.wait(900);
    host.note_error(socket);
    host.section("another one after it has failed", Order::Paced);
    host.send(socket, b"x");
    host.wait(900);
    host.note_error(socket);
    host.section("two while it is asked for, and it answers", Order::Sequence);
    host.send(socket, b"xx");
    host.send(socket, b"xxx");
    host.wait(100);
    host.inject(0, &arp(host_station(0), REPLY, (peer(9), "10.0.0.9"), (host_station(0), "10.0.0.1")));
    host.wait(50);
}

fn requests(host: &mut Host) {
    let ask = |host: &mut Host, to, sender, target, target_ip| {
        host.inject(0, &arp(to, REQUEST, sender, (target, target_ip)));
        host.wait(60);
    };
    let somebody = (peer(2), "10.0.0.2");
    let nobody = [0; 6];
    //= RFC 826, type=test
    //= RFC 5227 §2.5 MUST-1, type=test
    host.section("a request for an address of ours", Order::Sequence);
    ask(host, ALL, somebody, nobody, "10.0.0.1");
    host.section("a request for our other address, to us alone", Order::Sequence);
    ask(host, host_station(0), somebody, host_station(0), "10.0.0.11");
    host.section("a request for another's address", Order::Sequence);
    ask(host, ALL, somebody, nobody, "10.0.0.77");
    //= RFC 5227 §2.5 MUST-2, type=test
    host.section("a probe for an address of ours", Order::Sequence);
    ask(host, ALL, (peer(2), "0.0.0.0"), nobody, "10.0.0.1");
    host.section("a probe for another's address", Order::Sequence);
    ask(host, ALL, (peer(2), "0.0.0.0"), nobody, "10.0.0.77");
    host.section("a request from somebody of another network", Order::Sequence);
    ask(host, ALL, (peer(3), "192.0.2.3"), nobody, "10.0.0.1");
    host.section("a request from a loopback address", Order::Sequence);
    ask(host, ALL, (peer(3), "127.0.0.9"), nobody, "10.0.0.1");
    host.section("a request from a group", Order::Sequence);
    ask(host, ALL, (peer(3), "224.0.0.9"), nobody, "10.0.0.1");
    host.section("a request from the network's broadcast address", Order::Sequence);
    ask(host, ALL, (peer(3), "10.0.0.255"), nobody, "10.0.0.1");
    host.section("a request for the network's broadcast address", Order::Sequence);
    ask(host, ALL, somebody, nobody, "10.0.0.255");
    host.section("a request for a loopback address", Order::Sequence);
    ask(host, ALL, somebody, nobody, "127.0.0.1");
    host.section("a request from our own address, of another station", Order::Sequence);
    ask(host, ALL, (peer(3), "10.0.0.1"), nobody, "10.0.0.1");
    host.section("a request from our own address for another's", Order::Sequence);
    ask(host, ALL, (peer(3), "10.0.0.1"), nobody, "10.0.0.77");
    host.section("a reply to a question that nobody asked", Order::Sequence);
    host.inject(0, &arp(host_station(0), REPLY, (peer(4), "10.0.0.4"), (host_station(0), "10.0.0.1")));
    host.wait(50);
    let socket = socket(host, "10.0.0.2:9");
    host.section("a datagram to who has asked", Order::Paced);
    host.send(socket, b"x");
    // After a second of silence it is asked itself, and gives no answer.
    host.wait(2300);
    host.note_error(socket);
}

fn announcements(host: &mut Host) {
    let tell = |host: &mut Host, operation, station, ip: &str| {
        host.inject(
            0,
            &arp(ALL, operation, (station, ip), (if operation == REPLY { station } else { [0; 6] }, ip)),
        );
        host.wait(20);
    };
    // Neighbour 2 is known by its request.
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "10.0.0.2"), ([0; 6], "10.0.0.1")));
    let known = socket(host, "10.0.0.2:9");
    host.section("an announcement of a neighbour that moves", Order::Sequence);
    tell(host, REQUEST, peer(3), "10.0.0.2");
    host.send(known, b"x");
    host.wait(50);
    host.section("one more, by a reply", Order::Sequence);
    host.wait(1100);
    tell(host, REPLY, peer(4), "10.0.0.2");
    host.send(known, b"x");
    host.wait(50);
    host.close(known);
    let stranger = socket(host, "10.0.0.5:9");
    host.section("a datagram to a stranger that has announced itself", Order::Sequence);
    tell(host, REQUEST, peer(5), "10.0.0.5");
    host.send(stranger, b"x");
    host.wait(50);
    host.inject(0, &arp(host_station(0), REPLY, (peer(5), "10.0.0.5"), (host_station(0), "10.0.0.1")));
    host.wait(20);
    host.close(stranger);
    host.set("net.ipv4.conf.tap0.arp_accept", "1");
    let stranger = socket(host, "10.0.0.6:9");
    host.section("the same with arp_accept", Order::Sequence);
    tell(host, REQUEST, peer(6), "10.0.0.6");
    host.send(stranger, b"x");
    host.wait(50);
    host.close(stranger);
    let stranger = socket(host, "10.0.0.7:9");
    host.section("the same with arp_accept, by a reply", Order::Sequence);
    tell(host, REPLY, peer(7), "10.0.0.7");
    host.send(stranger, b"x");
    host.wait(50);
}

/// A neighbour that answers, and then no more.
fn reachability(host: &mut Host) {
    let socket = socket(host, "10.0.0.9:9");
    let answer = arp(host_station(0), REPLY, (peer(9), "10.0.0.9"), (host_station(0), "10.0.0.1"));
    host.section("a neighbour that answers", Order::Sequence);
    host.send(socket, b"x");
    host.inject(0, &answer);
    host.wait(20);
    //= RFC 1122 §3.3.1.4 MUST-2, type=test
    //= RFC 1122 §3.3.1.4 MUST-3, type=test
    host.section("silence while it is reachable", Order::Sequence);
    host.wait(600);
    //= RFC 1122 §3.3.1.4 MUST-4, type=test
    host.section("it is doubted and answers", Order::Sequence);
    host.inject(0, &arp(ALL, REQUEST, (peer(8), "10.0.0.9"), ([0; 6], "10.0.0.1")));
    host.send(socket, b"x");
    host.wait(1100);
    host.inject(0, &arp(host_station(0), REPLY, (peer(8), "10.0.0.9"), (host_station(0), "10.0.0.1")));
    host.wait(500);
    //= RFC 1122 §3.3.1.4 SHLD-1, type=test
    host.section("it is doubted and does not answer", Order::Paced);
    host.inject(0, &arp(ALL, REQUEST, (peer(9), "10.0.0.9"), ([0; 6], "10.0.0.1")));
    host.send(socket, b"x");
    host.wait(2000);
    host.note_error(socket);
    host.section("a datagram after that", Order::Sequence);
    host.send(socket, b"x");
    host.wait(50);
    host.inject(0, &answer);
    host.wait(50);
}

/// A neighbour that is known, and does not answer any more.
fn counted(host: &mut Host) {
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "10.0.0.2"), ([0; 6], "10.0.0.1")));
    host.wait(20);
    let known = socket(host, "10.0.0.2:9");
    host.section("a neighbour that is asked as often as is set, and then by all", Order::Paced);
    host.send(known, b"x");
    host.wait(2000);
    host.note_error(known);
    host.close(known);
    let stranger = socket(host, "10.0.0.9:9");
    host.section("a stranger who is asked for as often as is set", Order::Paced);
    host.send(stranger, b"x");
    host.wait(900);
    host.note_error(stranger);
}

/// One that is not asked at all.
fn unasked(host: &mut Host) {
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "10.0.0.2"), ([0; 6], "10.0.0.1")));
    host.wait(20);
    let known = socket(host, "10.0.0.2:9");
    host.section("a neighbour that is never asked itself", Order::Paced);
    host.send(known, b"x");
    host.wait(1500);
    host.note_error(known);
    host.section("a datagram to it then", Order::Paced);
    host.send(known, b"x");
    host.wait(100);
}

const COUNTED: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "1"),
        ("net.ipv4.neigh.default.ucast_solicit", "1"),
        ("net.ipv4.neigh.default.mcast_solicit", "2"),
        ("net.ipv4.neigh.default.mcast_resolicit", "2"),
    ],
    ..SETUP
};

const UNASKED: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv4.neigh.default.base_reachable_time_ms", "600000"),
        ("net.ipv4.neigh.default.delay_first_probe_time", "1"),
        ("net.ipv4.neigh.default.ucast_solicit", "0"),
    ],
    ..SETUP
};

fn answers_by_setting(host: &mut Host) {
    let ask = |host: &mut Host, sender: (Station, &str), target_ip| {
        host.inject(0, &arp(ALL, REQUEST, sender, ([0; 6], target_ip)));
        host.wait(60);
    };
    host.section("a request for the address of another link", Order::Sequence);
    ask(host, (peer(2), "10.0.0.2"), "10.0.1.1");
    host.set("net.ipv4.conf.tap0.arp_ignore", "1");
    host.section("the same with arp_ignore 1", Order::Sequence);
    ask(host, (peer(2), "10.0.0.2"), "10.0.1.1");
    ask(host, (peer(2), "10.0.0.2"), "10.0.0.1");
    host.set("net.ipv4.conf.tap0.arp_ignore", "2");
    host.section("a request from another network with arp_ignore 2", Order::Sequence);
    ask(host, (peer(2), "192.0.2.2"), "10.0.0.1");
    ask(host, (peer(2), "10.0.0.2"), "10.0.0.1");
    host.section("a probe with arp_ignore 2", Order::Sequence);
    ask(host, (peer(2), "0.0.0.0"), "10.0.0.1");
    host.set("net.ipv4.conf.tap0.arp_ignore", "8");
    host.section("a request with arp_ignore 8", Order::Sequence);
    ask(host, (peer(2), "10.0.0.2"), "10.0.0.1");
    host.set("net.ipv4.conf.tap0.arp_ignore", "0");
    for announce in ["0", "1", "2"] {
        host.set("net.ipv4.conf.tap0.arp_announce", announce);
        let (name, to) = match announce {
            "0" => ("a question for a datagram from another link's address", "10.0.0.20:9"),
            "1" => ("the same with arp_announce 1", "10.0.0.21:9"),
            _ => ("the same with arp_announce 2", "10.0.0.22:9"),
        };
        let socket = host.socket(AF_INET, SOCK_DGRAM, 0);
        host.set_option(socket, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes());
        host.bind(socket, "10.0.1.1:5000");
        host.section(name, Order::Sequence);
        host.send_to(socket, b"x", to);
        host.wait(50);
        host.close(socket);
    }
    // Until nobody is asked any more.
    host.section("the other two times", Order::Any);
    host.wait(700);
    host.set("net.ipv4.conf.tap0.arp_notify", "1");
    host.section("a new address with arp_notify", Order::Sequence);
    host.add_address(0, "10.0.0.12/24");
    host.wait(50);
}

fn link_local(host: &mut Host) {
    //= RFC 3927 §2.5, type=test
    host.section("a request for a link-local address of ours", Order::Sequence);
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "169.254.0.2"), ([0; 6], "169.254.0.1")));
    host.wait(60);
    let socket = socket(host, "169.254.0.9:9");
    host.section("a datagram to a link-local neighbour", Order::Sequence);
    host.send(socket, b"x");
    host.wait(50);
}

fn identifications(host: &mut Host) {
    host.inject(0, &arp(ALL, REQUEST, (peer(2), "10.0.0.2"), ([0; 6], "10.0.0.1")));
    host.wait(20);
    let socket = socket(host, "10.0.0.2:9");
    //= RFC 6864 §4.1, type=test
    host.section("a datagram of a connected socket, with its identification", Order::Sequence);
    host.send(socket, b"x");
    host.wait(20);
    host.close(socket);
    let socket = host.socket(AF_INET, SOCK_DGRAM, 0);
    host.bind(socket, "0.0.0.0:5001");
    host.section("a datagram of another socket, with its identification", Order::Sequence);
    host.send_to(socket, b"x", "10.0.0.2:9");
    host.wait(20);
    host.section("an echo reply, with its identification", Order::Sequence);
    let echo = icmp(8, 0, &[0, 1, 0, 1, 1, 2, 3, 4]);
    for dont_fragment in [false, true] {
        let v4 = V4 { tos: 0x2c, dont_fragment, ..V4::new("10.0.0.2", "10.0.0.1", 1) };
        host.inject(0, &v4.frame(0, peer(2), &echo));
        host.wait(20);
    }
}

const TWO: Setup = Setup { ports: 2, addresses: &[(0, "10.0.0.1/24"), (1, "10.0.1.1/24")], ..SETUP };

pub const CASES: &[Case] = &[
    Case { name: "nobody answers", setup: SETUP, script: nobody_answers },
    Case { name: "requests", setup: SETUP, script: requests },
    Case { name: "announcements", setup: SETUP, script: announcements },
    Case { name: "reachability", setup: SETUP, script: reachability },
    Case { name: "counts", setup: COUNTED, script: counted },
    Case { name: "no probes", setup: UNASKED, script: unasked },
    Case { name: "settings", setup: TWO, script: answers_by_setting },
    Case {
        name: "link-local addresses of IPv4",
        setup: Setup { addresses: &[(0, "169.254.0.1/16")], ..SETUP },
        script: link_local,
    },
    Case { name: "identifications", setup: Setup { identified: true, ..SETUP }, script: identifications },
];
