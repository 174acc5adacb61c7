//! A router between two links: what goes on, what does not, and what its sender is told.

use core::net::IpAddr;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::{InterfaceId, Route, RouteKind};
use tapsock_stack::stack::{Family, Stack, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::icmp::Quoted;
use tapsock_stack::wire::icmpv4::{Icmpv4Message, UnreachableCode};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::ndp::{NdpMessage, NeighborSolicit, Redirect};
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::{EthernetAddress, Ipv4Header, Ipv6Header};

use crate::packets::{Path, packet_of};
use crate::wire::station;

mod options;
mod redirects;
mod routers;
mod special;
mod telling;

const LEFT: InterfaceId = InterfaceId(1);
const RIGHT: InterfaceId = InterfaceId(2);

/// The router's stations.
const HERE: usize = 9;

/// What the router sent, in order: where, and the frame.
type Sent = Vec<(InterfaceId, Frame)>;

/// A router with 10.0.0.10/24 and fd00::a/64 at the left, 10.0.1.10/24 and fd00:0:0:1::a/64 at the right. The hosts of
/// both links that tests name are known to it: 10.0.0.1 and 10.0.1.2, fd00::1 and fd00:0:0:1::2.
struct Router {
    stack: Stack,
    now: Instant,
}

impl Router {
    fn new(caps: [LinkCaps; 2], settings: &[(&str, &str)]) -> Self {
        let mut config = Config::default();
        let forwarding = [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];
        for (name, value) in forwarding.iter().chain(settings) {
            config.set(name, value).unwrap();
        }
        let now = Instant::from_secs(1);
        let mut stack = Stack::new(config, 7, now);
        for (id, (name, caps)) in [LEFT, RIGHT].into_iter().zip([("left", caps[0]), ("right", caps[1])]) {
            assert_eq!(stack.add_interface(name, station(HERE), caps), Ok(id));
            let net = id.0 - 1;
            for address in [format!("10.0.{net}.10/24"), format!("fd00:0:0:{net}::a/64")] {
                stack.add_address(id, address.parse().unwrap()).unwrap();
            }
        }
        let mut router = Router { stack, now };
        for (id, host, addresses) in
            [(LEFT, 0, ["10.0.0.1", "fd00::1"]), (RIGHT, 1, ["10.0.1.2", "fd00:0:0:1::2"])]
        {
            for address in addresses {
                router.learn(id, address, station(host));
            }
        }
        router
    }

    fn plain(settings: &[(&str, &str)]) -> Self {
        Router::new(
            [LinkCaps::plain(Medium::Ethernet, 1500), LinkCaps::plain(Medium::Ethernet, 1400)],
            settings,
        )
    }

    /// Has the router know a neighbour: it asks for it, and is answered.
    fn learn(&mut self, id: InterfaceId, address: &str, station: EthernetAddress) {
        self.stack.add_neighbor(self.now, id, address.parse().unwrap(), station).unwrap();
    }

    /// Hands a frame to the router at `id`, and takes all that it sends.
    fn pass(&mut self, id: InterfaceId, frame: impl Into<Frame>) -> Sent {
        self.stack.receive(self.now, id, frame.into());
        self.sent()
    }

    fn sent(&mut self) -> Sent {
        let mut sent = Vec::new();
        while let Some((id, mut transmit)) = self.stack.poll_transmit(self.now) {
            let caps = self.stack.interfaces().interface(id).unwrap().caps();
            if !caps.fills_checksums {
                transmit.complete_checksum();
            }
            sent.push((id, transmit.to_frame()));
        }
        sent
    }

    fn count(&self, counter: Counter) -> u64 {
        self.stack.counters()[counter]
    }
}

/// From the host at the left to `destination`, by the router.
fn from_left(destination: &str) -> Path {
    let path = if destination.contains(':') { Path::v6(0, HERE) } else { Path::v4(0, HERE) };
    path.to(destination)
}

/// The same frame with another TTL or hop limit.
fn with_hops(frame: &Frame, hops: u8) -> Frame {
    let mut bytes = frame.bytes.to_vec();
    if bytes[14] >> 4 == 6 {
        bytes[14 + 7] = hops;
    } else {
        bytes[14 + 8] = hops;
        bytes[14 + 10..14 + 12].fill(0);
        let sum =
            bytes[14..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
        let folded = (sum & 0xffff) + (sum >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        bytes[14 + 10..14 + 12].copy_from_slice(&(!folded as u16).to_be_bytes());
    }
    Frame::from(bytes)
}

/// The frame with `options` in its IPv4 header.
fn with_options(frame: &Frame, options: &[u8]) -> Frame {
    let mut bytes = frame.bytes.to_vec();
    let total = bytes.len() - 14 + options.len();
    bytes.splice(34..34, options.iter().copied());
    bytes[14] = 0x45 + (options.len() / 4) as u8;
    bytes[16..18].copy_from_slice(&(total as u16).to_be_bytes());
    let header = 14..34 + options.len();
    bytes[24..26].fill(0);
    let sum: u32 = bytes[header].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    bytes[24..26].copy_from_slice(&(!folded as u16).to_be_bytes());
    Frame::from(bytes)
}

fn hops_of(frame: &Frame) -> u8 {
    let packet = packet_of(frame);
    if packet[0] >> 4 == 6 { packet[7] } else { packet[8] }
}

/// The one ICMP message in `sent`, which goes back to the left and quotes what came from there.
fn told_v4(sent: &Sent) -> Icmpv4Message {
    let [(LEFT, frame)] = &sent[..] else { panic!("{sent:?}") };
    let packet = packet_of(frame);
    let header = Ipv4Header::parse(packet).unwrap();
    assert_eq!(
        (header.source.to_string(), header.destination.to_string()),
        ("10.0.0.10".into(), "10.0.0.1".into())
    );
    assert_eq!(Quoted::parse(&packet[28..]).unwrap().source, IpAddr::from([10, 0, 0, 1]));
    Icmpv4Message::parse(&packet[20..]).unwrap()
}

fn told_v6(sent: &Sent) -> Icmpv6Message {
    let [(LEFT, frame)] = &sent[..] else { panic!("{sent:?}") };
    let packet = packet_of(frame);
    let header = Ipv6Header::parse(packet).unwrap();
    assert_eq!(
        (header.source.to_string(), header.destination.to_string()),
        ("fd00::a".into(), "fd00::1".into())
    );
    assert!(packet.len() <= 1280);
    Icmpv6Message::parse(&header, &packet[40..]).unwrap()
}

//= RFC 1812 §5.3.1, type=test
//= RFC 8200 §3, type=test
//= RFC 1122 §3.1 MUST-3, type=test
//= RFC 1122 §3.1 MUST-4, type=test
#[test]
fn packets_for_others_go_on_with_one_hop_less() {
    let mut router = Router::plain(&[]);
    for to in ["10.0.1.2", "fd00:0:0:1::2"] {
        let frame = from_left(to).udp((1000, 9), &[7; 100]);
        let sent = router.pass(LEFT, frame.clone());
        let [(RIGHT, passed)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(passed.bytes[..6], station(1).0);
        assert_eq!(passed.bytes[6..12], station(HERE).0);
        assert_eq!(hops_of(passed), 63);
        assert_eq!(with_hops(passed, 64).bytes[14..], frame.bytes[14..], "nothing else is changed");
    }
    assert_eq!((router.count(Counter::IpForwDatagrams), router.count(Counter::Ip6OutForwDatagrams)), (1, 1));
    assert_eq!((router.count(Counter::IpInDelivers), router.count(Counter::Ip6InDelivers)), (0, 0));
}

//= RFC 1122 §3.1 MUST-4, type=test
//= RFC 1122 §3.1 MUST-5, type=test
//= RFC 1122 §3.1 MUST-6, type=test
//= RFC 1122 §3.2.2.2 SHLD-1, type=test
//= RFC 4861 §8.3 MUST-5, type=test
#[test]
fn a_host_passes_nothing_on() {
    let mut router = Router::plain(&[("net.ipv4.ip_forward", "0"), ("net.ipv6.conf.all.forwarding", "0")]);
    for to in ["10.0.1.2", "fd00:0:0:1::2"] {
        assert!(router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 100])).is_empty());
    }
    assert_eq!((router.count(Counter::IpInAddrErrors), router.count(Counter::Ip6InAddrErrors)), (1, 1));
    // Each interface may have a setting of its own.
    let mut router = Router::plain(&[("net.ipv4.conf.left.forwarding", "0")]);
    assert!(router.pass(LEFT, from_left("10.0.1.2").udp((1000, 9), &[])).is_empty());
    let back = Path { source: "10.0.1.2".parse().unwrap(), ..Path::v4(1, HERE) }.to("10.0.0.1");
    assert_eq!(router.pass(RIGHT, back.udp((9, 1000), &[])).len(), 1);
}

/// A flow that is faster than the next link leaves the router's own sockets their half of it.
#[test]
fn the_router_s_own_packets_have_their_turn() {
    let mut router = Router::plain(&[]);
    let socket = router.stack.udp_open(Family::V4);
    router.stack.udp_autobind(socket).unwrap();
    let (mut own, mut others) = (0, 0);
    for _ in 0..500 {
        router.stack.receive(router.now, LEFT, from_left("10.0.1.2").udp((1000, 9), &[]));
    }
    let to = Some("10.0.1.2:10".parse().unwrap());
    for _ in 0..100 {
        let options = UdpSendOptions::default();
        router.stack.udp_send(router.now, socket, Rope::from(&b"own"[..]), to, options).unwrap();
        // Two come while one leaves.
        for _ in 0..2 {
            router.stack.receive(router.now, LEFT, from_left("10.0.1.2").udp((1000, 9), &[]));
        }
        for _ in 0..2 {
            let (_, transmit) = router.stack.poll_transmit(router.now).unwrap();
            match packet_of(&transmit.to_frame())[22..24] {
                [0, 10] => own += 1,
                _ => others += 1,
            }
        }
    }
    assert_eq!((own, others), (100, 100));
    assert_eq!(router.sent().len(), 600, "and the rest goes after");
}

#[test]
fn packets_wait_for_a_neighbour_and_go_when_it_answers() {
    let mut router = Router::plain(&[]);
    let count = 3;
    for _ in 0..count {
        router.pass(LEFT, from_left("10.0.1.3").udp((1000, 9), &[7; 10]));
    }
    router.learn(RIGHT, "10.0.1.3", station(2));
    let sent = router.sent();
    assert_eq!(sent.len(), count);
    assert!(sent.iter().all(|(id, frame)| *id == RIGHT && frame.bytes[..6] == station(2).0));
}

//= RFC 791 §3.2, type=test
#[test]
fn what_is_too_large_is_cut() {
    let mut router = Router::plain(&[]);
    let frame = from_left("10.0.1.2").udp((1000, 9), &[7; 1450]);
    let sent = router.pass(LEFT, frame.clone());
    let parts: Vec<Ipv4Header> =
        sent.iter().map(|(_, frame)| Ipv4Header::parse(packet_of(frame)).unwrap()).collect();
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| part.ttl == 63 && part.total_len <= 1400));
    assert_eq!((parts[0].fragment_offset, parts[0].more_fragments), (0, true));
    assert_eq!((parts[1].fragment_offset, parts[1].more_fragments), (1376, false));
    let bytes: Vec<u8> = sent.iter().flat_map(|(_, frame)| packet_of(frame)[20..].to_vec()).collect();
    assert_eq!(bytes, packet_of(&frame)[20..]);
    // A fragment that is cut again tells where it stood.
    let mut again =
        Router::new([LinkCaps::plain(Medium::Ethernet, 1500), LinkCaps::plain(Medium::Ethernet, 576)], &[]);
    let mut ends = Vec::new();
    for (_, part) in &sent {
        let mut bytes = part.bytes.to_vec();
        bytes[..6].copy_from_slice(&station(HERE).0);
        ends.extend(again.pass(LEFT, Frame::from(bytes)));
    }
    let parts: Vec<(usize, bool, Vec<u8>)> = ends
        .iter()
        .map(|(_, frame)| {
            let packet = packet_of(frame);
            let header = Ipv4Header::parse(packet).unwrap();
            (header.fragment_offset.into(), header.more_fragments, packet[20..].to_vec())
        })
        .collect();
    let mut at = 0;
    for (offset, more, bytes) in &parts {
        assert_eq!((*offset, *more), (at, at + bytes.len() < packet_of(&frame).len() - 20));
        at += bytes.len();
    }
    assert_eq!(at, packet_of(&frame).len() - 20);
    assert_eq!((router.count(Counter::IpFragOKs), router.count(Counter::IpFragCreates)), (1, 2));
}

/// What a link merged is passed whole where the other can cut it, and cut here where it can't.
#[test]
fn merged_packets_are_cut_where_the_next_link_does_not() {
    use tapsock_stack::buf::Checksum;
    use tapsock_stack::wire::TcpHeader;
    let (plain, offloading) =
        (LinkCaps::plain(Medium::Ethernet, 1500), LinkCaps::offloading(Medium::Ethernet, 1500));
    for to in ["10.0.1.2", "fd00:0:0:1::2"] {
        for (next, frames) in [(offloading, 1), (plain, 20)] {
            let mut router = Router::new([offloading, next], &[]);
            let payload: Vec<u8> = (0..20_000u32).map(|at| at as u8).collect();
            let frame = from_left(to)
                .tcp(&TcpHeader { source_port: 1, destination_port: 2, ..TcpHeader::default() }, &payload);
            let merged = Frame { checksum: Checksum::Valid, gso_size: Some(1000), ..frame };
            let sent = router.pass(LEFT, merged);
            assert_eq!(sent.len(), frames);
            let headers = if to.contains(':') { 40 } else { 20 } + 20;
            let got: Vec<u8> =
                sent.iter().flat_map(|(_, frame)| packet_of(frame)[headers..].to_vec()).collect();
            assert_eq!(got, payload);
            if frames == 1 {
                assert_eq!((sent[0].1.gso_size, sent[0].1.checksum), (Some(1000), Checksum::Valid));
            } else {
                let sums = sent
                    .iter()
                    .map(|(_, frame)| tapsock_stack::wire::offload::verify(frame, Medium::Ethernet));
                assert!(sums.into_iter().all(|sum| sum == Checksum::Valid));
            }
        }
        // Segments that the next link does not take are told of, not passed.
        let mut router = Router::new([offloading, LinkCaps::offloading(Medium::Ethernet, 1300)], &[]);
        let frame = from_left(to).tcp(&TcpHeader::default(), &[7; 4000]);
        let mut bytes = frame.bytes.to_vec();
        if !to.contains(':') {
            bytes[14 + 6] = 0x40;
        }
        let frame = with_hops(&Frame::from(bytes), 64);
        let sent = router.pass(LEFT, Frame { checksum: Checksum::Valid, gso_size: Some(1400), ..frame });
        assert!(matches!(&sent[..], [(LEFT, _)]), "{sent:?}");
    }
}

//= RFC 1812 §5.3.7, type=test
//= RFC 2644 §3, type=test
//= RFC 4291 §2.5.6, type=test
#[test]
fn what_never_leaves_its_link() {
    let mut router = Router::plain(&[]);
    for to in ["127.0.0.1", "169.254.1.1", "10.0.1.255", "0.0.0.0", "240.0.0.1", "fe80::7", "::1"] {
        assert!(router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 10])).is_empty(), "{to}");
    }
    for from in ["127.0.0.1", "169.254.1.1", "0.1.2.3", "240.0.0.1"] {
        let path = from_left("10.0.1.2").from(from);
        assert!(router.pass(LEFT, path.udp((1000, 9), &[7; 10])).is_empty(), "{from}");
    }
    assert_eq!(router.count(Counter::IpForwDatagrams), 0);
    // Groups, and frames for all.
    let group = Path { to_station: EthernetAddress::BROADCAST, ..from_left("224.0.1.1") };
    assert!(router.pass(LEFT, group.udp((1000, 9), &[])).is_empty());
    let to_all = Path { to_station: EthernetAddress::BROADCAST, ..from_left("10.0.1.2") };
    assert!(router.pass(LEFT, to_all.udp((1000, 9), &[])).is_empty());
    assert_eq!(router.count(Counter::IpInDiscards), 1);
    // A link-local source is told that it means nothing elsewhere.
    router.learn(LEFT, "fe80::77", station(0));
    let path = from_left("fd00:0:0:1::2").from("fe80::77");
    let sent = router.pass(LEFT, path.udp((1000, 9), &[]));
    let [(LEFT, frame)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(packet_of(frame)[40..42], [1, 2]);
}

//= RFC 1812 §5.3.8, type=test
#[test]
fn sources_that_come_from_elsewhere_are_not_believed() {
    for (mode, from, passes) in [
        ("0", "10.0.1.77", true),
        ("1", "10.0.0.77", true),
        ("1", "10.0.1.77", false),
        ("1", "10.9.0.1", false),
        ("2", "10.0.1.77", true),
        ("2", "10.9.0.1", false),
    ] {
        let mut router = Router::plain(&[("net.ipv4.conf.left.rp_filter", mode)]);
        let sent = router.pass(LEFT, from_left("10.0.1.2").from(from).udp((1000, 9), &[]));
        assert_eq!(sent.len(), usize::from(passes), "{mode} {from}");
        assert_eq!(router.count(Counter::TcpExtIPReversePathFilter), u64::from(!passes), "{mode} {from}");
    }
}

#[test]
fn flows_are_shared_among_equal_ways() {
    let mut router = Router::plain(&[("net.ipv4.fib_multipath_hash_policy", "1")]);
    for number in [3, 4] {
        let gateway: IpAddr = format!("10.0.1.{number}").parse().unwrap();
        let route = Route::via("10.7.0.0/16".parse().unwrap(), gateway, RIGHT);
        router.stack.add_route(Route { weight: core::num::NonZeroU8::new(1), ..route }).unwrap();
        router.learn(RIGHT, &gateway.to_string(), station(number));
    }
    let mut shares = [0, 0];
    for port in 1000..1200 {
        let frame = from_left("10.7.0.1").udp((port, 9), &[]);
        let ways = [0, 1].map(|_| router.pass(LEFT, frame.clone())[0].1.bytes[5]);
        assert_eq!(ways[0], ways[1], "a flow keeps its way");
        shares[usize::from(ways[0]) - 4] += 1;
    }
    assert!(shares.iter().all(|share| *share > 60), "{shares:?}");
}

/// What a router has for a link that takes nothing is bounded.
#[test]
fn what_waits_for_a_link_is_bounded() {
    let mut router = Router::plain(&[]);
    for _ in 0..3000 {
        router.stack.receive(router.now, LEFT, from_left("10.0.1.2").udp((1000, 9), &[]));
    }
    assert_eq!(router.sent().len(), 1024);
    assert_eq!(router.count(Counter::IpOutDiscards), 3000 - 1024);
}

/// What the receiver alone understands is left to it; hop-by-hop options are looked at.
//= RFC 8200 §4, type=test
#[test]
fn extension_headers_are_for_the_receiver() {
    let mut router = Router::plain(&[]);
    // Destination options with one that asks for a complaint.
    let unknown = [17, 0, 0xc7, 4, 0, 0, 0, 0, 0, 7, 0, 9, 0, 8, 0, 0];
    let path = from_left("fd00:0:0:1::2");
    let sent = router.pass(LEFT, path.raw(tapsock_stack::wire::IpProtocol(60), &unknown));
    assert!(matches!(&sent[..], [(RIGHT, _)]), "{sent:?}");
    let sent = router.pass(LEFT, path.raw(tapsock_stack::wire::IpProtocol(0), &unknown));
    let code = icmpv6::ParameterProblemCode::UNKNOWN_OPTION;
    assert_eq!(told_v6(&sent), Icmpv6Message::ParameterProblem { code, pointer: 42 });
}

/// Who forwards says so in its advertisements, and who stops says that too.
//= RFC 4861 §2.3 MUST-1, type=test
//= RFC 4861 §6.2.5 MUST-1, type=test
//= RFC 4861 §7.2.4 MUST-2, type=test
//= RFC 4861 §7.2.6 MUST-3, type=test
#[test]
fn a_router_says_that_it_is_one() {
    let mut router = Router::plain(&[("net.ipv6.conf.all.ndisc_notify", "1")]);
    router.sent();
    for (forwarding, flag) in [("1", 0x80), ("0", 0)] {
        router.stack.config_mut().set("net.ipv6.conf.all.forwarding", forwarding).unwrap();
        let flags = |sent: &Sent| -> Vec<u8> {
            let messages = sent.iter().filter_map(|(_, frame)| {
                let message = crate::packets::transport_of(frame, tapsock_stack::wire::IpProtocol::ICMPV6)?;
                (message[0] == 136).then(|| message[4] & 0x80)
            });
            messages.collect()
        };
        for interface in [LEFT, RIGHT] {
            let interface = router.stack.interfaces().interface(interface).unwrap();
            let is_link_local = |own: &IpAddr| matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
            assert!(interface.addresses().iter().any(|own| is_link_local(&own.cidr.address)));
        }
        let solicit = NeighborSolicit { target: "fd00::a".parse().unwrap(), source_link: Some(station(0)) };
        let asked = Icmpv6Message::Ndp(NdpMessage::from(solicit));
        let asked = Path::v6(0, HERE).to("fd00::a").icmpv6(asked, &[], 255);
        assert_eq!(flags(&router.pass(LEFT, asked)), [flag]);
        router.stack.add_address(LEFT, format!("fd00::b{forwarding}/64").parse().unwrap()).unwrap();
        assert_eq!(flags(&router.sent()), [flag], "unasked");
    }
}

//= RFC 4291 §2.8, type=test
#[test]
fn routers_hear_what_is_for_all_of_them() {
    let group = "ff02::2";
    let path =
        Path { to_station: EthernetAddress::multicast_for(group.parse().unwrap()), ..from_left(group) };
    let echo = Icmpv6Message::EchoRequest(tapsock_stack::wire::icmp::Echo { ident: 1, sequence: 1 });
    let mut router = Router::plain(&[]);
    assert_eq!(router.pass(LEFT, path.icmpv6(echo, &[], 64)).len(), 1);
    let mut host = Router::plain(&[("net.ipv6.conf.all.forwarding", "0")]);
    assert!(host.pass(LEFT, path.icmpv6(echo, &[], 64)).is_empty());
    assert_eq!(host.count(Counter::TapsockLinkInAddrErrors), 1);
}

//= RFC 791 §3.2, type=test
#[test]
fn a_fragment_past_the_longest_packet_goes_nowhere() {
    let caps = [LinkCaps::plain(Medium::Ethernet, 1500), LinkCaps::plain(Medium::Ethernet, 576)];
    for (last, passes) in [([0x1f, 0xff], false), ([0x1f, 0x00], true)] {
        let mut router = Router::new(caps, &[]);
        let mut bytes = from_left("10.0.1.2").udp((1000, 9), &[7; 1452]).bytes.to_vec();
        bytes[20..22].copy_from_slice(&last);
        let sent = router.pass(LEFT, with_hops(&Frame::from(bytes), 64));
        assert_eq!(!sent.is_empty(), passes, "{last:?}");
        assert_eq!(router.count(Counter::IpInHdrErrors), u64::from(!passes));
    }
}
