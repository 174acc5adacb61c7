//! What routers are told of groups, in each version of IGMP and MLD.

use std::net::IpAddr;

use tapsock::SockAddr;
use tapsock::bsd::{AF_INET, AF_INET6, SOCK_DGRAM, SOL_IP, SOL_IPV6};

use crate::compare::Case;
use crate::craft::{V4 as V4Packet, V6 as V6Packet, icmp, ip6, peer};
use crate::describe::Sort;
use crate::host::{Host, Order, Setup};

const JOIN: i32 = 42;
const BLOCK: i32 = 43;
const UNBLOCK: i32 = 44;
const LEAVE: i32 = 45;
const JOIN_SOURCE: i32 = 46;
const LEAVE_SOURCE: i32 = 47;

/// Reports that are repeated soon.
const SETUP: Setup = Setup {
    ports: 1,
    settings: &[
        ("net.ipv4.conf.tap0.igmpv2_unsolicited_report_interval", "100"),
        ("net.ipv4.conf.tap0.igmpv3_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.mldv1_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.mldv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    addresses: &[(0, "10.0.0.1/24")],
    ways: &[],
    beginning: None,
    identified: false,
    sorts: &[Sort::Group],
};

/// The same, and each is told so often.
const THRICE: Setup = Setup {
    settings: &[
        ("net.ipv4.igmp_qrv", "3"),
        ("net.ipv4.conf.tap0.igmpv2_unsolicited_report_interval", "100"),
        ("net.ipv4.conf.tap0.igmpv3_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.mldv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};

/// The same, in one version whatever routers speak.
const FORCED_TO_2: Setup = Setup {
    settings: &[
        ("net.ipv4.conf.tap0.force_igmp_version", "2"),
        ("net.ipv4.conf.tap0.igmpv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.force_mld_version", "1"),
        ("net.ipv6.conf.tap0.mldv1_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};
const FORCED_TO_1: Setup = Setup {
    settings: &[
        ("net.ipv4.conf.tap0.force_igmp_version", "1"),
        ("net.ipv4.conf.tap0.igmpv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.mldv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};
const FORCED_TO_3: Setup = Setup {
    settings: &[
        ("net.ipv4.conf.tap0.force_igmp_version", "3"),
        ("net.ipv4.conf.tap0.igmpv3_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.force_mld_version", "2"),
        ("net.ipv6.conf.tap0.mldv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "0"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
    ],
    ..SETUP
};

/// Long enough for all that is said twice.
const TWICE: u64 = 200;

/// One family's addresses.
struct Family {
    domain: i32,
    level: i32,
    groups: [&'static str; 3],
    sources: [&'static str; 3],
}

const V4: Family = Family {
    domain: AF_INET,
    level: SOL_IP,
    groups: ["239.1.1.1", "239.1.1.2", "239.1.1.3"],
    sources: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
};

const V6: Family = Family {
    domain: AF_INET6,
    level: SOL_IPV6,
    groups: ["ff05::1:1", "ff05::1:2", "ff05::1:3"],
    sources: ["2001:db8::1", "2001:db8::2", "2001:db8::3"],
};

impl Family {
    fn socket(&self, host: &mut Host) -> i32 {
        host.socket(self.domain, SOCK_DGRAM, 0)
    }

    /// `struct group_req`, or `struct group_source_req`.
    fn change(&self, host: &mut Host, socket: i32, change: i32, group: &str, source: Option<&str>) {
        let storage = |text: &str| {
            let address =
                SockAddr::from(std::net::SocketAddr::new(text.parse::<IpAddr>().expect("an address"), 0));
            let mut bytes = address.as_bytes().to_vec();
            bytes.resize(128, 0);
            bytes
        };
        let index = host.index(0).to_ne_bytes();
        let mut value = [&index[..], &[0; 4], &storage(group)].concat();
        value.extend(source.map(storage).into_iter().flatten());
        host.set_option(socket, self.level, change, &value);
    }

    /// A question of a router: general, of a group, or of its sources; it may be answered in a tenth of a second.
    fn query(&self, host: &mut Host, group: Option<&str>, sources: &[&str], habits: [u8; 2]) {
        let v4 = self.domain == AF_INET;
        let octets = |text: &str| match text.parse::<IpAddr>().expect("an address") {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let group_octets = group.map_or(vec![0; if v4 { 4 } else { 16 }], octets);
        let count = (sources.len() as u16).to_be_bytes();
        let sources = sources.iter().map(|source| octets(source)).collect::<Vec<_>>().concat();
        let rest = [&group_octets[..], &habits, &count, &sources].concat();
        if v4 {
            let message = igmp(0x11, 1, &rest);
            self.send_v4(host, group.unwrap_or("224.0.0.1"), &message);
        } else {
            let message = [&[130, 0, 0, 0, 0, 100, 0, 0][..], &rest].concat();
            self.send_v6(host, group.unwrap_or("ff02::1"), &message);
        }
    }

    fn send_v4(&self, host: &mut Host, to: &str, message: &[u8]) {
        let v4 =
            V4Packet { ttl: 1, tos: 0xc0, options: &[0x94, 4, 0, 0], ..V4Packet::new("10.0.0.2", to, 2) };
        host.inject(0, &v4.frame(0, peer(2), message));
    }

    fn send_v6(&self, host: &mut Host, to: &str, message: &[u8]) {
        let v6 = V6Packet { hop_limit: 1, ..V6Packet::new("fe80::2", to, 0) };
        let packet = v6.icmp_behind(&[58, 0, 5, 2, 0, 0, 1, 0], message);
        host.inject(0, &v6.frame(0, peer(2), &packet));
    }
}

/// An IGMP message.
fn igmp(kind: u8, max_response: u8, rest: &[u8]) -> Vec<u8> {
    icmp(kind, max_response, rest)
}

/// Names of sections, of IPv4 and of IPv6.
fn named(family: &Family, names: [&'static str; 2]) -> &'static str {
    names[usize::from(family.domain == AF_INET6)]
}

macro_rules! section {
    ($host:expr, $family:expr, $name:literal) => {
        let name = named($family, [concat!("IGMP: ", $name), concat!("MLD: ", $name)]);
        $host.section(name, Order::Any);
    };
}

/// The newest version.
fn newest(host: &mut Host, family: &Family) {
    let [any, some, third] = family.groups;
    let [one, two, three] = family.sources;
    host.wait(700);
    let [first, second, other] = [(); 3].map(|()| family.socket(host));
    //= RFC 9776 §5.1, type=test
    //= RFC 9777 §5 MUST-1, type=test
    //= RFC 9777 §5.2.14 MUST-1, type=test
    //= RFC 9777 §6.1, type=test
    section!(host, family, "a group is joined");
    family.change(host, first, JOIN, any, None);
    host.wait(TWICE);
    section!(host, family, "another socket joins it");
    family.change(host, second, JOIN, any, None);
    host.wait(TWICE);
    //= RFC 9776 §3.2 MUST-1, type=test
    //= RFC 9777 §4.2 MUST-1, type=test
    section!(host, family, "a source is joined");
    family.change(host, first, JOIN_SOURCE, some, Some(one));
    host.wait(TWICE);
    section!(host, family, "another source is joined");
    family.change(host, first, JOIN_SOURCE, some, Some(two));
    host.wait(TWICE);
    section!(host, family, "a source is left");
    family.change(host, first, LEAVE_SOURCE, some, Some(one));
    host.wait(TWICE);
    //= RFC 9776 §3.2, type=test
    section!(host, family, "another socket joins all but two");
    family.change(host, other, JOIN, some, None);
    family.change(host, other, BLOCK, some, Some(two));
    family.change(host, other, BLOCK, some, Some(three));
    host.wait(TWICE);
    section!(host, family, "of which it wants one again");
    family.change(host, other, UNBLOCK, some, Some(three));
    host.wait(TWICE);
    //= RFC 9776 §5.2, type=test
    //= RFC 9777 §6.2, type=test
    section!(host, family, "a question of all groups");
    family.query(host, None, &[], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of a group");
    family.query(host, Some(any), &[], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of a group that nobody is in");
    family.query(host, Some(third), &[], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of sources");
    family.query(host, Some(any), &[one, two], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of sources of which some are wanted");
    family.change(host, other, LEAVE, some, None);
    host.wait(TWICE);
    family.query(host, Some(some), &[one, two, three], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of sources that nobody wants");
    family.query(host, Some(some), &[one, three], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "one of two sockets leaves");
    family.change(host, first, LEAVE, any, None);
    host.wait(TWICE);
    section!(host, family, "the last is closed");
    host.close(second);
    host.wait(TWICE);
    section!(host, family, "it is joined and left at once");
    family.change(host, first, JOIN, third, None);
    family.change(host, first, LEAVE, third, None);
    host.wait(TWICE);
    section!(host, family, "the querier says all thrice");
    family.query(host, None, &[], [3, 20]);
    host.wait(TWICE);
    family.change(host, first, JOIN, third, None);
    host.wait(2 * TWICE);
    section!(host, family, "the last source is left");
    family.change(host, first, LEAVE_SOURCE, some, Some(two));
    host.wait(2 * TWICE);
}

fn newest_v4(host: &mut Host) {
    newest(host, &V4);
}

fn newest_v6(host: &mut Host) {
    newest(host, &V6);
}

/// The router before: IGMPv2 or MLDv1.
fn older(host: &mut Host, family: &Family) {
    let v4 = family.domain == AF_INET;
    let [any, some, third] = family.groups;
    host.wait(700);
    let question = |host: &mut Host, group: Option<&str>| match v4 {
        true => {
            let octets =
                group.map_or([0; 4], |group| group.parse::<std::net::Ipv4Addr>().expect("one").octets());
            family.send_v4(host, group.unwrap_or("224.0.0.1"), &igmp(0x11, 2, &octets));
        }
        false => {
            let octets = group.map_or([0; 16], ip6);
            let message = [&[130, 0, 0, 0, 0, 200, 0, 0][..], &octets].concat();
            family.send_v6(host, group.unwrap_or("ff02::1"), &message);
        }
    };
    let socket = family.socket(host);
    section!(host, family, "a group is joined before an older router asks");
    family.change(host, socket, JOIN, any, None);
    host.wait(TWICE);
    section!(host, family, "an older router asks");
    question(host, None);
    host.wait(TWICE);
    //= RFC 9776 §4 MUST-1, type=test
    //= RFC 9776 §7.2.1 MUST-1, type=test
    //= RFC 9777 §8.2.1 MUST-1, type=test
    //= RFC 1122 §3.3.7 MAY-1, type=test
    section!(host, family, "a group is joined in the older version");
    family.change(host, socket, JOIN, some, None);
    host.wait(TWICE);
    section!(host, family, "sources are joined in the older version");
    family.change(host, socket, JOIN_SOURCE, third, Some(family.sources[0]));
    host.wait(TWICE);
    section!(host, family, "an older router asks of one group");
    question(host, Some(some));
    host.wait(TWICE);
    //= RFC 9776 §7.2.2, type=test
    section!(host, family, "an older router asks, and somebody else answers first");
    question(host, Some(some));
    match v4 {
        true => family.send_v4(host, some, &igmp(0x16, 0, &[239, 1, 1, 2])),
        false => family.send_v6(host, some, &[&[131, 0, 0, 0, 0, 0, 0, 0][..], &ip6(some)].concat()),
    }
    host.wait(TWICE);
    section!(host, family, "that group is left");
    family.change(host, socket, LEAVE, some, None);
    host.wait(TWICE);
    section!(host, family, "a group of ours is left in the older version");
    family.change(host, socket, LEAVE, any, None);
    host.wait(TWICE);
    section!(host, family, "a newer router asks, too");
    family.query(host, None, &[], [2, 20]);
    host.wait(TWICE);
}

fn older_v4(host: &mut Host) {
    older(host, &V4);
}

fn older_v6(host: &mut Host) {
    older(host, &V6);
}

/// IGMPv1.
fn oldest(host: &mut Host) {
    let (family, [any, some, _]) = (&V4, V4.groups);
    let socket = family.socket(host);
    family.change(host, socket, JOIN, any, None);
    host.wait(TWICE);
    host.section("the oldest router asks", Order::Any);
    family.send_v4(host, "224.0.0.1", &igmp(0x11, 0, &[0; 4]));
    // Ten seconds it may take: another question shows the version.
    host.wait(50);
    //= RFC 9776 §4 MUST-1, type=test
    //= RFC 9776 §7.2.1 MUST-1, type=test
    host.section("a group is joined in the oldest version", Order::Any);
    family.change(host, socket, JOIN, some, None);
    host.wait(TWICE);
    host.section("it is left", Order::Any);
    family.change(host, socket, LEAVE, some, None);
    host.wait(TWICE);
}

/// How often each change is told.
fn robust(host: &mut Host) {
    let (family, [any, some, third]) = (&V4, V4.groups);
    host.wait(700);
    let socket = family.socket(host);
    host.section("IGMP: a group is joined, and told of thrice", Order::Any);
    family.change(host, socket, JOIN, any, None);
    host.wait(2 * TWICE);
    host.section("IGMP: it is left, and told of thrice", Order::Any);
    family.change(host, socket, LEAVE, any, None);
    host.wait(2 * TWICE);
    host.section("IGMP: the querier has things said once", Order::Any);
    family.query(host, None, &[], [1, 20]);
    host.wait(TWICE);
    family.change(host, socket, JOIN, some, None);
    host.wait(2 * TWICE);
    host.section("IGMP: the querier says no more how often", Order::Any);
    family.query(host, None, &[], [0, 20]);
    host.wait(TWICE);
    family.change(host, socket, JOIN, third, None);
    host.wait(2 * TWICE);
}

/// What is spoken where the version is set.
fn forced(host: &mut Host, family: &Family) {
    let [any, some, _] = family.groups;
    let one = family.sources[0];
    host.wait(700);
    let socket = family.socket(host);
    section!(host, family, "a group is joined in the version that is set");
    family.change(host, socket, JOIN, any, None);
    host.wait(TWICE);
    section!(host, family, "sources are joined in the version that is set");
    family.change(host, socket, JOIN_SOURCE, some, Some(one));
    host.wait(TWICE);
    section!(host, family, "a question of all groups, in whatever version is set");
    family.query(host, None, &[], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of a group, in whatever version is set");
    family.query(host, Some(any), &[], [2, 20]);
    host.wait(TWICE);
    section!(host, family, "a question of the version before, in whatever version is set");
    match family.domain == AF_INET {
        true => family.send_v4(host, "224.0.0.1", &igmp(0x11, 2, &[0; 4])),
        false => family.send_v6(host, "ff02::1", &[&[130, 0, 0, 0, 0, 200, 0, 0][..], &[0; 16]].concat()),
    }
    host.wait(2 * TWICE);
    section!(host, family, "a group is left in the version that is set");
    family.change(host, socket, LEAVE, any, None);
    host.wait(TWICE);
    if family.domain == AF_INET {
        // Ten seconds an answer may take: what comes then shows the version.
        host.section("IGMP: the oldest router asks, whatever version is set", Order::Any);
        family.send_v4(host, "224.0.0.1", &igmp(0x11, 0, &[0; 4]));
        host.wait(50);
        host.section("IGMP: sources are joined then", Order::Any);
        family.change(host, socket, JOIN_SOURCE, some, Some(family.sources[1]));
        host.wait(TWICE);
    }
}

fn forced_v4(host: &mut Host) {
    forced(host, &V4);
}

fn forced_v6(host: &mut Host) {
    forced(host, &V6);
}

/// Those of the link alone.
fn near_groups(host: &mut Host) {
    host.wait(500);
    let socket = V4.socket(host);
    for (name, group) in [("the group of all hosts", "224.0.0.1"), ("a group of the link", "224.0.0.251")] {
        host.section(name, Order::Any);
        V4.change(host, socket, JOIN, group, None);
        host.wait(TWICE);
    }
    let socket = V6.socket(host);
    //= RFC 9777 §6 MUST-1, type=test
    for (name, group) in [
        ("the group of all nodes", "ff02::1"),
        ("a group of the link, of IPv6", "ff02::fb"),
        ("a group of the host", "ff01::fb"),
        ("a group of no scope", "ff00::fb"),
    ] {
        host.section(name, Order::Any);
        V6.change(host, socket, JOIN, group, None);
        host.wait(TWICE);
    }
}

/// The groups of the host's own addresses.
fn own_groups(host: &mut Host) {
    host.wait(1000);
    // The kernel says again by the way what it has said of others.
    //= RFC 4861 §7.2.1 MUST-1, type=test
    //= RFC 4861 §7.2.1 MUST-2, type=test
    host.aside();
    host.add_address(0, "fd00::77/64");
    host.wait(500);
    host.section("MLD: it is taken away", Order::Any);
    host.remove_address(0, "fd00::77/64");
    host.wait(TWICE);
    host.section("MLD: a question of all groups, of addresses", Order::Any);
    V6.query(host, None, &[], [2, 20]);
    host.wait(TWICE);
    host.section("MLD: the host becomes a router", Order::Any);
    host.set("net.ipv6.conf.tap0.forwarding", "1");
    host.wait(TWICE);
}

const CAREFUL: Setup = Setup {
    settings: &[
        ("net.ipv4.neigh.default.retrans_time_ms", "200"),
        ("net.ipv6.conf.tap0.mldv1_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.mldv2_unsolicited_report_interval", "100"),
        ("net.ipv6.conf.tap0.accept_dad", "1"),
        ("net.ipv6.conf.tap0.router_solicitations", "0"),
        ("net.ipv6.conf.tap0.router_solicitation_delay", "0"),
    ],
    beginning: Some("MLD: IPv6 begins on a link"),
    ..SETUP
};

pub const CASES: &[Case] = &[
    Case { name: "IGMPv3", setup: SETUP, script: newest_v4 },
    Case { name: "MLDv2", setup: SETUP, script: newest_v6 },
    Case { name: "IGMPv2", setup: SETUP, script: older_v4 },
    Case { name: "MLDv1", setup: SETUP, script: older_v6 },
    Case { name: "IGMPv1", setup: SETUP, script: oldest },
    Case { name: "IGMP, thrice", setup: THRICE, script: robust },
    Case { name: "IGMP, forced to 1", setup: FORCED_TO_1, script: forced_v4 },
    Case { name: "IGMP, forced to 2", setup: FORCED_TO_2, script: forced_v4 },
    Case { name: "IGMP, forced to 3", setup: FORCED_TO_3, script: forced_v4 },
    Case { name: "MLD, forced to 1", setup: FORCED_TO_2, script: forced_v6 },
    Case { name: "MLD, forced to 2", setup: FORCED_TO_3, script: forced_v6 },
    Case { name: "near groups", setup: SETUP, script: near_groups },
    Case { name: "own groups", setup: CAREFUL, script: own_groups },
];
