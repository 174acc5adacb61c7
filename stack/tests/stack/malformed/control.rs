//! Messages of control protocols that make no sense: ICMP and what it quotes, groups, neighbour discovery.

use core::time::Duration;

use tapsock_stack::stack::GroupChange;
use tapsock_stack::udp::RecvError;
use tapsock_stack::wire::checksum::pseudo_header;
use tapsock_stack::wire::icmpv4::UnreachableCode;
use tapsock_stack::wire::ndp::NeighborAdvert;
use tapsock_stack::wire::{Ipv6Header, icmpv6};

use super::*;
use crate::autoconf::{AUTONOMOUS, HOUR, prefix};
use crate::packets::{packet_of, transport_of};

/// A message, and how a host shows that it has taken it.
struct Message {
    /// The address of host 1, whom it is for.
    address: &'static str,
    /// What happens before.
    prepare: fn(&mut Target),
    frame: fn(&Target) -> Frame,
    works: fn(&mut Target) -> bool,
    /// What counts it where it makes no sense.
    counters: &'static [Counter],
}

const NDP_ERRORS: &[Counter] = &[Counter::TapsockNdpInErrors, Counter::Icmp6InErrors];

impl Message {
    /// Applies each harm to the message, or to its whole frame. The message's checksum is right again after it.
    fn check(&self, of_message: &[(&str, Harm)], of_frame: &[(&str, Harm)]) {
        for (what, harm) in of_message {
            self.check_harmed(what, |bytes| behind_ip(bytes, *harm));
        }
        for (what, harm) in of_frame {
            self.check_harmed(what, harm);
        }
        let mut target = self.target();
        let whole = (self.frame)(&target);
        let counted = target.counted(whole);
        assert!(self.counters.iter().all(|counter| !counted.contains(&(*counter, 1))), "{counted:?}");
        assert!((self.works)(&mut target), "the message was right before it was harmed");
    }

    fn check_harmed(&self, what: &str, harm: impl Fn(&mut Vec<u8>)) {
        let mut target = self.target();
        let mut bytes = bytes_of(&(self.frame)(&target));
        harm(&mut bytes);
        sum_again(&mut bytes);
        unheard(&mut target, what, bytes, self.counters);
        assert!(!(self.works)(&mut target), "{what} changes nothing");
    }

    fn target(&self) -> Target {
        let mut target = Target::at(self.address);
        (self.prepare)(&mut target);
        target.wire.seen.clear();
        target
    }
}

/// Makes the checksum right again of the message of IGMP, ICMP or ICMPv6 in a frame.
fn sum_again(bytes: &mut [u8]) {
    let at = upper_at(bytes);
    let mut sum = if bytes[14] >> 4 == 4 {
        Sum::new()
    } else {
        let ip = Ipv6Header::parse(&bytes[14..]).unwrap();
        let len = u32::from(ip.payload_len) - (at as u32 - 54);
        pseudo_header(ip.source.into(), ip.destination.into(), IpProtocol::ICMPV6, len)
    };
    let message = &mut bytes[at..];
    if message.len() >= 4 {
        message[2..4].fill(0);
        sum.add_bytes(message);
        message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    }
}

/// From a router to all hosts of the link.
fn from_router() -> Path {
    let path = Path::v6(0, 1).from("fe80::aa:1").to("ff02::1");
    Path { to_station: EthernetAddress::multicast_for(path.destination), ..path }
}

fn octets(address: &str) -> [u8; 16] {
    address.parse::<core::net::Ipv6Addr>().unwrap().octets()
}

#[test]
fn icmp_messages() {
    check(
        |_| {
            let echo = Icmpv4Message::EchoRequest(Echo { ident: 1, sequence: 1 });
            Path::v4(0, 1).icmpv4(echo, b"data")
        },
        &[
            ("half a header", |b| (b[17] = 27, mend_v4(b)).1, Counter::IcmpInErrors),
            ("a wrong checksum", |b| b[36] ^= 1, Counter::IcmpInCsumErrors),
        ],
    );
    check(
        |_| {
            let echo = Icmpv6Message::EchoRequest(Echo { ident: 1, sequence: 1 });
            Path::v6(0, 1).icmpv6(echo, b"data", 64)
        },
        &[
            ("half a header", |b| b[19] = 7, Counter::Icmp6InErrors),
            ("a wrong checksum", |b| b[56] ^= 1, Counter::Icmp6InCsumErrors),
        ],
    );
    let mut target = Target::new();
    let counted = target.counted(Path::v4(0, 1).raw(IpProtocol(89), b"who knows"));
    assert!(counted.contains(&(Counter::IpInUnknownProtos, 1)), "{counted:?}");
}

/// A datagram of host 1 did not come to its port at host 0.
fn port_unreachable(target: &Target) -> Frame {
    let Path { source: there, destination: here, .. } = target.path;
    let quoted = Path { source: here, destination: there, ..target.path }.udp((5000, 6000), b"data");
    let quoted = packet_of(&quoted);
    if here.is_ipv4() {
        let message = Icmpv4Message::DestinationUnreachable { code: UnreachableCode::PORT, mtu: 0 };
        target.path.icmpv4(message, quoted)
    } else {
        let code = icmpv6::UnreachableCode::PORT;
        target.path.icmpv6(Icmpv6Message::DestinationUnreachable { code }, quoted, 64)
    }
}

#[test]
fn what_errors_quote() {
    const BOTH: [(&str, Harm); 4] = [
        ("half a message", |b| b.truncate(7)),
        ("nothing", |b| b.truncate(8)),
        ("half a header", |b| b.truncate(8 + 12)),
        ("another version", |b| b[8] = 0x50),
    ];
    let connect: fn(&mut Target) = |target| {
        let remote = core::net::SocketAddr::new(target.path.source, 6000);
        target.wire[1].udp_connect(target.udp, Some(remote)).unwrap();
    };
    let works: fn(&mut Target) -> bool =
        |target| matches!(target.wire[1].udp_recv(target.udp), Err(RecvError::Error(_)));
    let message =
        |address, counters| Message { address, prepare: connect, frame: port_unreachable, works, counters };
    let v4 = message("10.0.0.2", &[Counter::IcmpInErrors]);
    v4.check(&BOTH, &[]);
    v4.check(
        &[
            ("a header of 16 bytes", |b| b[8] = 0x44),
            ("a header that passes the end", |b| b.truncate(8 + 20)),
            ("too little of what it carried", |b| b.truncate(8 + 27)),
            ("a later fragment", |b| b[8 + 7] = 9),
            ("another host's packet", |b| b[8 + 15] = 9),
        ],
        &[],
    );
    let v6 = message("fd00::2", &[Counter::Icmp6InErrors]);
    v6.check(&BOTH, &[]);
    v6.check(
        &[
            ("a header alone", |b| b.truncate(8 + 40)),
            ("too little of what it carried", |b| b.truncate(8 + 47)),
            ("a header that passes the end", |b| (b[8 + 6] = 60, b[8 + 41] = 200).1),
            ("a later fragment", |b| (b[8 + 6] = 44, b[8 + 43] = 8).1),
            ("another host's packet", |b| b[8 + 23] = 9),
        ],
        &[],
    );
}

/// The host hears a group of that family, and has told of it.
fn join(target: &mut Target) {
    let group = if target.path.source.is_ipv4() { "239.1.1.1" } else { "ff05::1:3" };
    target.wire[1].udp_change_group(target.udp, ETH, group.parse().unwrap(), GroupChange::Join).unwrap();
    target.wire.run_for(Duration::from_secs(5));
}

/// Whether the host tells of its groups in the next seconds.
fn reports(target: &mut Target) -> bool {
    target.wire.seen.clear();
    target.wire.run_for(Duration::from_secs(5));
    let report = |frame: &Frame| {
        [IpProtocol::IGMP, IpProtocol::HOP_BY_HOP]
            .iter()
            .any(|protocol| transport_of(frame, *protocol).is_some())
    };
    target.wire.seen.iter().any(|(from, frame)| *from == 1 && report(frame))
}

#[test]
fn igmp() {
    let question: fn(&Target) -> Frame = |_| {
        let path = Path::v4(0, 1).to("224.0.0.1");
        let path = Path { to_station: EthernetAddress::multicast_for(path.destination), ..path };
        let mut bytes = bytes_of(&path.raw(IpProtocol::IGMP, &[0x11, 20, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]));
        sum_again(&mut bytes);
        Frame::from(bytes)
    };
    let counters = &[Counter::TapsockGroupInErrors];
    let message = Message { address: "10.0.0.2", prepare: join, frame: question, works: reports, counters };
    message.check(
        &[
            ("nothing", |b| b.clear()),
            ("half a message", |b| b.truncate(7)),
            ("a length between those of two versions", |b| b.truncate(10)),
            ("fewer sources than it says", |b| b[11] = 1),
            ("about a host", |b| b[4..8].copy_from_slice(&[10, 0, 0, 9])),
            ("a report of a host as a group", |b| (b[0] = 0x16, b[4..8].copy_from_slice(&[10, 0, 0, 9])).1),
        ],
        &[],
    );
    let mut target = message.target();
    let mut bytes = bytes_of(&question(&target));
    bytes[36] ^= 1;
    unheard(&mut target, "a wrong checksum", bytes, counters);
    assert!(!reports(&mut target));
}

//= RFC 9777 §6.2, type=test
#[test]
fn mld() {
    let question: fn(&Target) -> Frame = |_| {
        let message = Icmpv6Message::Other { kind: 130, code: 0, rest: [0, 100, 0, 0] };
        from_router().mld(message, &[&[0; 16][..], &[2, 125, 0, 0]].concat())
    };
    let counters = &[Counter::TapsockGroupInErrors, Counter::Icmp6InErrors];
    let message = Message { address: "fd00::2", prepare: join, frame: question, works: reports, counters };
    message.check(
        &[
            ("half a message", |b| b.truncate(23)),
            ("a length between those of two versions", |b| b.truncate(26)),
            ("fewer sources than it says", |b| b[27] = 1),
            ("about a host", |b| b[8..24].copy_from_slice(&octets("fd00::9"))),
            ("a report of a host as a group", |b| (b[0] = 131, b[8] = 0xfd).1),
        ],
        &[
            ("from beyond a router", |b| b[21] = 64),
            ("from an address of more than the link", |b| b[22..38].copy_from_slice(&octets("fd00::1"))),
            ("no option", |b| {
                b.drain(54..62);
                (b[19], b[20]) = (b[19] - 8, 58);
            }),
            ("no router alert", |b| b[56..62].copy_from_slice(&[1, 4, 0, 0, 0, 0])),
            ("a router alert of others", |b| b[59] = 1),
        ],
    );
}

/// Harms of every message of neighbour discovery.
const OF_ALL: [(&str, Harm); 3] = [
    ("another code", |b| b[1] = 1),
    ("half a message", |b| b.truncate(15)),
    ("half an option", |b| b.truncate(b.len() - 3)),
];
const ROUTED: (&str, Harm) = ("from beyond a router", |b| b[21] = 254);

//= RFC 4861 §7.1.1, type=test
//= RFC 4861 §7.1.1 MUST-1, type=test
//= RFC 4862 §5.4.1 MUST-1, type=test
#[test]
fn neighbor_solicitations() {
    let message = Message {
        address: "fd00::2",
        prepare: |_| {},
        frame: |_| {
            let solicit =
                NeighborSolicit { target: "fd00::2".parse().unwrap(), source_link: Some(station(0)) };
            Path::v6(0, 1).icmpv6(Icmpv6Message::Ndp(NdpMessage::from(solicit)), &[], 255)
        },
        works: |target| target.wire.seen.iter().any(|(from, _)| *from == 1),
        counters: NDP_ERRORS,
    };
    message.check(&OF_ALL, &[ROUTED]);
    message.check(
        &[
            ("a cut target", |b| b.truncate(23)),
            ("an option of no length", |b| b[25] = 0),
            ("an option that passes the end", |b| b[25] = 2),
            ("for a group", |b| b[8..10].copy_from_slice(&[0xff, 2])),
            ("from a group's station", |b| b[26] |= 1),
        ],
        &[
            ("from nobody to one host", |b| (b[22..38].fill(0), b.truncate(78), b[19] = 24).1),
            ("from nobody, with a station", |b| {
                b[22..38].fill(0);
                b[38..54].copy_from_slice(&octets("ff02::1:ff00:2"));
                b[..6].copy_from_slice(&[0x33, 0x33, 0xff, 0, 0, 2]);
            }),
        ],
    );
}

//= RFC 4861 §7.1.2, type=test
//= RFC 4861 §7.1.2 MUST-1, type=test
#[test]
fn neighbor_advertisements() {
    let neighbor = "fd00::1";
    let message = Message {
        address: "fd00::2",
        prepare: |target| {
            let solicit =
                NeighborSolicit { target: "fd00::2".parse().unwrap(), source_link: Some(station(0)) };
            let asking = Path::v6(0, 1).icmpv6(Icmpv6Message::Ndp(NdpMessage::from(solicit)), &[], 255);
            target.wire.inject(1, asking);
        },
        frame: |_| {
            let (target, target_link) = ("fd00::1".parse().unwrap(), Some(station(7)));
            let (router, solicited, override_) = (false, false, true);
            let advert = NeighborAdvert { target, router, solicited, override_, target_link };
            Path::v6(0, 1).icmpv6(Icmpv6Message::Ndp(NdpMessage::from(advert)), &[], 255)
        },
        works: |target| {
            let (now, stack) = (target.wire.now, &target.wire[1]);
            stack.neighbors().entries(now).any(|entry| entry.link_address == Some(station(7)))
        },
        counters: NDP_ERRORS,
    };
    let target = message.target();
    let known = |entry: tapsock_stack::iface::NeighborEntry| entry.address.to_string() == neighbor;
    assert!(target.wire[1].neighbors().entries(target.wire.now).any(known));
    message.check(&OF_ALL, &[ROUTED]);
    message.check(
        &[
            ("a cut target", |b| b.truncate(23)),
            ("an option of no length", |b| b[25] = 0),
            ("an option that passes the end", |b| b[25] = 2),
            ("for a group", |b| b[8..10].copy_from_slice(&[0xff, 2])),
            ("a group's station", |b| b[26] |= 1),
        ],
        &[("an answer to all", |b| {
            b[58] |= 0x40;
            b[38..54].copy_from_slice(&octets("ff02::1"));
            b[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
        })],
    );
}

/// What a router tells of itself, and of a prefix of its link.
fn advert(_: &Target) -> Frame {
    let message = Icmpv6Message::Other { kind: 134, code: 0, rest: [0, 0, 7, 8] };
    let body = [&[0; 8][..], &[1, 1, 2, 0, 0, 0, 0xaa, 1], &prefix("2001:db8::", AUTONOMOUS, HOUR, HOUR)];
    from_router().icmpv6(message, &body.concat(), 255)
}

const OF_ROUTERS: [(&str, Harm); 2] =
    [ROUTED, ("from an address of more than the link", |b| b[22..38].copy_from_slice(&octets("fd00::1")))];

//= RFC 4861 §6.1.2, type=test
#[test]
fn router_advertisements() {
    let message = Message {
        address: "fd00::2",
        prepare: |_| {},
        frame: advert,
        works: |target| {
            let eth = target.wire[1].interfaces().interface(ETH).unwrap();
            let mut own = eth.addresses().iter().map(|own| own.cidr.address.to_string());
            own.any(|address| address.starts_with("2001:db8:"))
        },
        counters: NDP_ERRORS,
    };
    message.check(&OF_ALL, &OF_ROUTERS);
    message.check(
        &[
            ("a first option of no length", |b| b[17] = 0),
            ("a last option of no length", |b| b[25] = 0),
            ("an option that passes the end", |b| b[25] = 5),
        ],
        &[],
    );
}

//= RFC 4861 §8.1, type=test
#[test]
fn redirects() {
    const FAR: &str = "2001:db8:9::1";
    let message = Message {
        address: "fd00::2",
        prepare: |target| {
            let advert = advert(target);
            target.wire.inject(1, advert);
        },
        frame: |_| {
            let message = Icmpv6Message::Other { kind: 137, code: 0, rest: [0; 4] };
            let body = [&octets("fe80::aa:3")[..], &octets(FAR), &[2, 1, 2, 0, 0, 0, 0, 9]].concat();
            from_router().to("fd00::2").icmpv6(message, &body, 255)
        },
        works: |target| {
            let hop = target.wire[1].interfaces().route(FAR.parse().unwrap(), None, None).unwrap();
            hop.next_hop.to_string() == "fe80::aa:3"
        },
        counters: NDP_ERRORS,
    };
    message.check(&OF_ALL, &OF_ROUTERS);
    message.check(
        &[
            ("a cut destination", |b| b.truncate(39)),
            ("an option of no length", |b| b[41] = 0),
            ("an option that passes the end", |b| b[41] = 2),
            ("for a group", |b| b[24] = 0xff),
            ("to a router of more than the link", |b| b[8] = 0x20),
        ],
        &[],
    );
}
