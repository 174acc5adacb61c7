//! Groups: who hears what, and what routers are told.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::Way;
use tapsock_stack::iface::multicast::{
    Filter, FilterMode, MAX_GROUPS, MAX_MERGED, MAX_SOURCES, MembershipError,
};
use tapsock_stack::ports::Transport;
use tapsock_stack::stack::{GroupChange, RawSendOptions, SocketId, UdpSendOptions};
use tapsock_stack::udp::UdpId;
use tapsock_stack::wire::group::{Record, RecordKind, igmp_member, igmp_report, mld_report};
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::{EthernetAddress, EthernetHeader, IpProtocol, Ipv4Header};

use crate::packets::{Path, packet_of};
use crate::wire::{ETH, Fate, LINKS, Wire, at, family_of, station};

const GROUPS: [&str; 2] = ["239.1.1.1", "ff05::1:3"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A socket at port 5000, of any address.
fn listener(wire: &mut Wire, host: usize, group: &str) -> UdpId {
    let id = wire[host].udp_open(family_of(group));
    let any = if group.contains(':') { "::" } else { "0.0.0.0" };
    let mut request = tapsock_stack::ports::BindRequest::new(
        Transport::Udp,
        tapsock_stack::ports::LocalAddr::new(any.parse().unwrap(), 0),
    );
    request.port = 5000;
    request.reuse_address = true;
    let bind = wire[host].bind(request).unwrap();
    wire[host].udp_bind(id, bind);
    id
}

fn change(wire: &mut Wire, host: usize, id: UdpId, group: &str, change: GroupChange) {
    wire[host].udp_change_group(id, ETH, ip(group), change).unwrap();
}

/// Host 0 sends to the group.
fn send(wire: &mut Wire, group: &str, options: UdpSendOptions) {
    let id = wire[0].udp_open(family_of(group));
    let now = wire.now;
    let options = UdpSendOptions { interface: Some(ETH), ..options };
    wire[0].udp_send(now, id, Rope::from(vec![7]), Some(at(group, 5000)), options).unwrap();
    wire[0].udp_close(id);
    wire.settle();
}

/// How many datagrams wait there, which are taken.
fn heard(wire: &mut Wire, host: usize, id: UdpId) -> usize {
    core::iter::from_fn(|| wire[host].udp_recv(id).ok()).count()
}

//= RFC 1112 §6.1, type=test
//= RFC 1112 §7.2, type=test
//= RFC 1122 §3.3.7 SHLD-1, type=test
#[test]
fn each_member_gets_a_copy() {
    for group in GROUPS {
        let mut wire = Wire::new(3, LINKS[0]);
        let [near, first, second, other] = [0, 1, 2, 1].map(|host| listener(&mut wire, host, group));
        for (host, id) in [(0, near), (1, first), (2, second)] {
            change(&mut wire, host, id, group, GroupChange::Join);
        }
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!([(0, near), (1, first), (2, second)].map(|(host, id)| heard(&mut wire, host, id)), [1; 3]);
        // Who did not join hears it all the same, unless it says otherwise.
        assert_eq!(heard(&mut wire, 1, other), 1);
        wire[1].udp_mut(other).unwrap().own_groups_only = (true, true);
        send(&mut wire, group, UdpSendOptions { no_loop: true, ..Default::default() });
        assert_eq!(
            (heard(&mut wire, 0, near), heard(&mut wire, 1, first), heard(&mut wire, 1, other)),
            (0, 1, 0)
        );
        // No further than this host.
        send(&mut wire, group, UdpSendOptions { hop_limit: Some(0), ..Default::default() });
        assert_eq!((heard(&mut wire, 0, near), heard(&mut wire, 1, first)), (1, 0));
        change(&mut wire, 1, first, group, GroupChange::Leave);
        wire[2].udp_close(second);
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!(
            (heard(&mut wire, 1, first), heard(&mut wire, 1, other)),
            (0, 0),
            "the host is out of the group"
        );
        assert!(wire.counter(2, Counter::TapsockLinkInAddrErrors) > 0, "its frames do not even pass");
    }
}

//= RFC 3678 §4.1.2, type=test
//= RFC 9776 §3.2, type=test
#[test]
fn sources_are_filtered_for_each_socket() {
    for (group, source, stranger) in [(GROUPS[0], "10.0.0.1", "10.0.0.9"), (GROUPS[1], "fd00::1", "fd00::9")]
    {
        let mut wire = Wire::new(2, LINKS[0]);
        let [only, but] = [listener(&mut wire, 1, group), listener(&mut wire, 1, group)];
        change(&mut wire, 1, only, group, GroupChange::JoinSource(ip(stranger)));
        change(&mut wire, 1, but, group, GroupChange::Join);
        change(&mut wire, 1, but, group, GroupChange::Block(ip(stranger)));
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!((heard(&mut wire, 1, only), heard(&mut wire, 1, but)), (0, 1));
        change(&mut wire, 1, only, group, GroupChange::JoinSource(ip(source)));
        change(&mut wire, 1, but, group, GroupChange::Unblock(ip(stranger)));
        change(&mut wire, 1, but, group, GroupChange::Block(ip(source)));
        send(&mut wire, group, UdpSendOptions::default());
        assert_eq!((heard(&mut wire, 1, only), heard(&mut wire, 1, but)), (1, 0));
        let again = wire[1].udp_change_group(but, ETH, ip(group), GroupChange::Join);
        assert_eq!(again, Err(MembershipError::Joined));
        let nowhere = tapsock_stack::iface::InterfaceId(9);
        let missing = wire[1].udp_change_group(but, nowhere, ip(group), GroupChange::Join);
        assert_eq!(missing, Err(MembershipError::NoInterface));
    }
}

/// A host whose reports are seen.
fn reporting() -> Wire {
    let mut wire = Wire::new(1, LINKS[0]);
    wire.sniffing = true;
    wire.filter(|_, _| Fate::Lose);
    wire
}

/// What the host sent about groups: the packets.
fn reports(wire: &Wire) -> Vec<Vec<u8>> {
    let frames = wire.seen.iter().map(|(_, frame)| packet_of(frame).to_vec());
    // Neighbour discovery goes further than MLD.
    frames.filter(|packet| if packet[0] >> 4 == 4 { packet[9] == 2 } else { packet[7] == 1 }).collect()
}

/// The group in which host 0 is asked for its addresses of IPv6.
const SOLICITED: &str = "ff02::1:ff00:1";

fn octets(address: &str) -> Vec<u8> {
    match ip(address) {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ours(group: &str) -> (IpAddr, EthernetAddress) {
    match group.contains(':') {
        true => (ip("fe80::ff:fe00:1"), EthernetAddress::multicast_for(ip("ff02::16"))),
        false => (ip("10.0.0.1"), EthernetAddress::multicast_for(ip("224.0.0.22"))),
    }
}

/// The report that has this record.
fn report(group: &str, kind: RecordKind, sources: &[&str]) -> Vec<u8> {
    let record =
        Record { kind, group: ip(group), sources: sources.iter().map(|source| ip(source)).collect() };
    let packet = match ours(group).0 {
        IpAddr::V4(source) => igmp_report(source, &[record]),
        IpAddr::V6(source) => mld_report(source, &[record]),
    };
    packet.to_frame().bytes.to_vec()
}

//= RFC 9776 §5.1, type=test
//= RFC 9777 §6.1, type=test
#[test]
fn routers_are_told_of_each_change_twice() {
    for (group, a, b) in [(GROUPS[0], "10.0.0.8", "10.0.0.9"), (GROUPS[1], "fd00::8", "fd00::9")] {
        let mut wire = reporting();
        let id = listener(&mut wire, 0, group);
        let steps: [(GroupChange, RecordKind, &[&str]); 6] = [
            (GroupChange::Join, RecordKind::ToExclude, &[]),
            (GroupChange::Block(ip(a)), RecordKind::Block, &[a]),
            (GroupChange::Unblock(ip(a)), RecordKind::Allow, &[a]),
            (GroupChange::JoinSource(ip(b)), RecordKind::ToInclude, &[b]),
            (GroupChange::JoinSource(ip(a)), RecordKind::Allow, &[a]),
            (GroupChange::Leave, RecordKind::Block, &[a, b]),
        ];
        for (step, kind, sources) in steps {
            wire.seen.clear();
            change(&mut wire, 0, id, group, step);
            wire.run_for(Duration::from_millis(1));
            assert_eq!(reports(&wire).len(), 1, "{step:?}: at once");
            wire.run_for(Duration::from_secs(5));
            assert_eq!(
                reports(&wire),
                [report(group, kind, sources), report(group, kind, sources)],
                "{step:?}"
            );
            let header = EthernetHeader::parse(&wire.seen.last().unwrap().1.bytes).unwrap();
            assert_eq!(header.destination, ours(group).1);
        }
        // A second socket changes nothing for routers, nor does a group that all hosts are in.
        let second = listener(&mut wire, 0, group);
        change(&mut wire, 0, id, group, GroupChange::Join);
        wire.run_for(Duration::from_secs(5));
        wire.seen.clear();
        change(&mut wire, 0, second, group, GroupChange::Join);
        let all = if group.contains(':') { "ff02::1" } else { "224.0.0.1" };
        change(&mut wire, 0, second, all, GroupChange::Join);
        wire[0].udp_close(id);
        wire.run_for(Duration::from_secs(5));
        assert_eq!(reports(&wire).len(), 0);
        wire[0].udp_close(second);
        wire.run_for(Duration::from_secs(5));
        assert_eq!(reports(&wire)[0], report(group, RecordKind::ToInclude, &[]), "who closes leaves");
    }
}

/// The first two steps at one time, then after the first telling of both a third; and what is told of all that.
//= RFC 9776 §5.1, type=test
#[test]
fn a_change_takes_nothing_from_the_one_before() {
    for (group, a, b) in [(GROUPS[0], "10.0.0.8", "10.0.0.9"), (GROUPS[1], "fd00::8", "fd00::9")] {
        let (blocks, joins) =
            (|source| GroupChange::Block(ip(source)), |source| GroupChange::JoinSource(ip(source)));
        type Told<'a> = (RecordKind, &'a [&'a str]);
        let cases: [([GroupChange; 3], &[Told<'_>]); 3] = [
            (
                [GroupChange::Join, blocks(a), blocks(b)],
                &[(RecordKind::ToExclude, &[a]), (RecordKind::ToExclude, &[a, b]), (RecordKind::Block, &[b])],
            ),
            (
                [joins(a), joins(b), GroupChange::LeaveSource(ip(a))],
                &[
                    (RecordKind::Allow, &[a, b]),
                    (RecordKind::Allow, &[b]),
                    (RecordKind::Block, &[a]),
                    (RecordKind::Block, &[a]),
                ],
            ),
            (
                [GroupChange::Join, GroupChange::Leave, joins(a)],
                &[(RecordKind::ToInclude, &[]), (RecordKind::ToInclude, &[a]), (RecordKind::Allow, &[a])],
            ),
        ];
        for ([first, second, third], told) in cases {
            let mut wire = reporting();
            let id = listener(&mut wire, 0, group);
            change(&mut wire, 0, id, group, first);
            change(&mut wire, 0, id, group, second);
            wire.run_for(Duration::from_nanos(1));
            assert_eq!(reports(&wire).len(), 1, "{first:?}: at once");
            change(&mut wire, 0, id, group, third);
            wire.run_for(Duration::from_secs(5));
            let told: Vec<_> = told.iter().map(|(kind, sources)| report(group, *kind, sources)).collect();
            let seen = reports(&wire);
            // Two records of one report stand in one packet.
            let records = |packets: &[Vec<u8>]| -> Vec<u8> {
                let head = if group.contains(':') { 56 } else { 32 };
                packets.iter().flat_map(|packet| packet[head..].to_vec()).collect()
            };
            assert_eq!(records(&seen), records(&told), "{first:?} {second:?} {third:?}");
        }
    }
}

/// Sockets that each name as many sources as one can, all different.
//= RFC 9776 §4.2.16, type=test
#[test]
fn long_lists_are_told_in_packets_that_fit() {
    for group in GROUPS {
        let mut wire = reporting();
        let source = |n: usize| match group.contains(':') {
            true => IpAddr::V6(core::net::Ipv6Addr::from((0xfd << 120) + n as u128)),
            false => IpAddr::from((0x0a01_0000 + n as u32).to_be_bytes()),
        };
        let sockets: Vec<_> = (0..17).map(|_| listener(&mut wire, 0, group)).collect();
        let name = |wire: &mut Wire, socket: usize, count: usize| {
            for n in 0..count {
                let step = GroupChange::JoinSource(source(socket * MAX_SOURCES + n));
                change(wire, 0, sockets[socket], group, step);
            }
        };
        for socket in 0..16 {
            name(&mut wire, socket, MAX_SOURCES);
        }
        // The wire looks that no frame is longer than the link takes.
        wire.run_for(Duration::from_nanos(1));
        let (head, record, each) = if group.contains(':') { (56, 20, 16) } else { (32, 8, 4) };
        let told = |wire: &Wire| -> usize {
            reports(wire).iter().map(|packet| (packet.len() - head - record) / each).sum()
        };
        assert_eq!(told(&wire), MAX_MERGED);
        assert!(reports(&wire).iter().all(|packet| packet.len() <= 1500));
        // One more, and everybody is heard.
        wire.run_for(Duration::from_secs(5));
        wire.seen.clear();
        name(&mut wire, 16, 1);
        wire.run_for(Duration::from_nanos(1));
        assert_eq!(reports(&wire), [report(group, RecordKind::ToExclude, &[])]);
    }
}

#[test]
fn what_raw_and_ping_sockets_send_to_a_group_is_heard_here_too() {
    for group in GROUPS {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        let [near, far] = [0, 1].map(|host| listener(&mut wire, host, group));
        change(&mut wire, 0, near, group, GroupChange::Join);
        change(&mut wire, 1, far, group, GroupChange::Join);
        let raw = |wire: &mut Wire, host: usize| {
            wire[host].raw_open(family_of(group), if group.contains(':') { 58 } else { 1 }).unwrap()
        };
        let [ours, theirs] = [0, 1].map(|host| raw(&mut wire, host));
        let (now, to) = (wire.now, Some(at(group, 0)));
        let message = |kind: u8| vec![kind, 0, 0, 0, 0, 1, 0, 1];
        let options = |hop_limit| RawSendOptions { interface: Some(ETH), hop_limit, ..Default::default() };
        let counts = |wire: &mut Wire| {
            [(0, ours), (1, theirs)]
                .map(|(host, id)| core::iter::from_fn(|| wire[host].raw_recv(id).ok()).count())
        };
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, options(None)).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [1, 1], "{group}");
        let unheard = RawSendOptions { no_loop: true, ..options(None) };
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, unheard).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [0, 1], "{group}");
        wire[0].raw_send(now, ours, Rope::from(message(77)), to, options(Some(0))).unwrap();
        wire.settle();
        assert_eq!(counts(&mut wire), [1, 0], "no further than this host");
        let v6 = group.contains(':');
        let ping = wire[0].ping_open(family_of(group)).unwrap();
        wire[0].ping_set_way(ping, Way { device: Some(ETH), ..Way::default() });
        wire[0].ping_send(now, ping, &Rope::from(message(if v6 { 128 } else { 8 })), to).unwrap();
        wire.settle();
        // Echoes to groups are answered over IPv6 only: by ourselves, and by the other.
        assert_eq!(counts(&mut wire), if v6 { [3, 1] } else { [1, 1] }, "{group}");
    }
}

/// A router of an older version is there: whatever a newer one asks is answered as the older one understands it.
//= RFC 9776 §7.2.1, type=test
#[test]
fn a_newer_router_beside_an_older_one_is_answered_in_the_older_version() {
    let group = GROUPS[0];
    let (mut wire, id) = member(group);
    // The second telling of this is under way when the older router shows itself.
    change(&mut wire, 0, id, group, GroupChange::Block(ip("10.0.0.9")));
    wire.run_for(Duration::from_nanos(1));
    wire.seen.clear();
    let general = |rest: &[u8]| query("224.0.0.1", [&[0x11, 20, 0, 0, 0, 0, 0, 0], rest].concat());
    wire.inject(0, general(&[2, 125, 0, 0]));
    wire.inject(0, general(&[]));
    wire.run_for(Duration::from_secs(5));
    let kinds = |wire: &Wire| -> Vec<u8> { reports(wire).iter().map(|packet| packet[24]).collect() };
    assert_eq!(kinds(&wire), [0x16], "and nothing that was planned for the newer");
    for rest in [&[2, 125, 0, 0][..], &[]] {
        wire.seen.clear();
        wire.inject(0, general(rest));
        wire.run_for(Duration::from_secs(5));
        assert_eq!(kinds(&wire), [0x16]);
    }
}

/// A question of a router, IGMP from its type on.
fn query(to: &str, mut bytes: Vec<u8>) -> Frame {
    bytes[2..4].fill(0);
    let words =
        bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut path = Path::v4(1, 0).to(to);
    path.to_station = EthernetAddress::multicast_for(ip(to));
    path.raw(IpProtocol::IGMP, &bytes)
}

/// The same of MLD.
fn query_v6(code: u16, rest: &[u8]) -> Frame {
    let [high, low] = code.to_be_bytes();
    let message = Icmpv6Message::Other { kind: 130, code: 0, rest: [high, low, 0, 0] };
    let mut path = Path::v6(1, 0).from("fe80::99").to("ff02::1");
    path.to_station = EthernetAddress::multicast_for(ip("ff02::1"));
    path.icmpv6(message, rest, 1)
}

/// A host in a group, of which all has been told.
fn member(group: &str) -> (Wire, UdpId) {
    let mut wire = reporting();
    let id = listener(&mut wire, 0, group);
    change(&mut wire, 0, id, group, GroupChange::Join);
    wire.run_for(Duration::from_secs(5));
    wire.seen.clear();
    (wire, id)
}

//= RFC 9776 §5.2, type=test
//= RFC 9776 §4.1.12 MUST-1, type=test
//= RFC 9776 §5.2 MUST-1, type=test
//= RFC 9776 §5.2 MUST-2, type=test
#[test]
fn questions_of_igmpv3_are_answered_in_time() {
    let group = GROUPS[0];
    let general = vec![0x11, 20, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    let specific = vec![0x11, 10, 0, 0, 239, 1, 1, 1, 2, 125, 0, 0];
    let of_sources = [&specific[..10], &[0, 1, 10, 0, 0, 7]].concat();
    type Row = (&'static str, Vec<u8>, RecordKind, &'static [&'static str], u64);
    let table: [Row; 3] = [
        ("224.0.0.1", general, RecordKind::IsExclude, &[], 2),
        (group, specific, RecordKind::IsExclude, &[], 1),
        (group, of_sources, RecordKind::IsInclude, &["10.0.0.7"], 1),
    ];
    for (to, bytes, kind, sources, seconds) in table {
        let (mut wire, id) = member(group);
        wire.inject(0, query(to, bytes.clone()));
        assert_eq!(reports(&wire).len(), 0, "not at once, for all are asked");
        wire.run_for(Duration::from_secs(seconds));
        assert_eq!(reports(&wire), [report(group, kind, sources)]);
        // Of a source that is not heard, and of a group that is left, nothing is said.
        change(&mut wire, 0, id, group, GroupChange::Block(ip("10.0.0.7")));
        wire.run_for(Duration::from_secs(5));
        wire.seen.clear();
        if !sources.is_empty() {
            wire.inject(0, query(to, bytes));
            wire.run_for(Duration::from_secs(5));
            assert_eq!(reports(&wire).len(), 0);
        }
    }
}

//= RFC 9777 §6.2, type=test
//= RFC 9777 §8.2.1 MUST-1, type=test
//= RFC 9777 §5.2.14 MUST-1, type=test
#[test]
fn questions_of_mld_are_answered() {
    let group = GROUPS[1];
    let (mut wire, _) = member(group);
    wire.inject(0, query_v6(1000, &[&[0; 16][..], &[2, 125, 0, 0]].concat()));
    wire.run_for(Duration::from_secs(1));
    let record = |group| Record { kind: RecordKind::IsExclude, group: ip(group), sources: Vec::new() };
    let IpAddr::V6(own) = ours(group).0 else { panic!("a group of IPv6") };
    let expected = mld_report(own, &[record(SOLICITED), record(group)]).to_frame().bytes.to_vec();
    assert_eq!(reports(&wire), [expected]);
    // MLDv1's question has MLDv1's answer, to the group.
    wire.seen.clear();
    wire.inject(0, query_v6(1000, &[0; 16]));
    wire.run_for(Duration::from_secs(1));
    let answers = reports(&wire);
    let of_group = answers.iter().filter(|answer| answer[48..].ends_with(&octets(group)));
    let [answer] = of_group.collect::<Vec<_>>()[..] else { panic!("one answer") };
    assert_eq!(answers.len(), 2, "and one for the group of its address");
    assert_eq!((answer[48], &answer[24..40]), (131, &answer[56..72]));
    let before = wire.counter(0, Counter::TapsockGroupInErrors);
    let mut routed = query_v6(1000, &[0; 16]).bytes.to_vec();
    routed[21] = 64;
    wire.inject(0, routed);
    assert_eq!(wire.counter(0, Counter::TapsockGroupInErrors), before + 1);
}

//= RFC 9776 §7.2.1, type=test
//= RFC 9776 §7.2.2, type=test
//= RFC 9776 §4 MUST-1, type=test
//= RFC 9776 §7.2.1 MUST-1, type=test
//= RFC 9776 §7.2.1 MUST-3, type=test
#[test]
fn older_routers_are_answered_in_their_version() {
    for (code, kind) in [(0, 0x12), (20, 0x16)] {
        let group = GROUPS[0];
        let (mut wire, id) = member(group);
        let general = || query("224.0.0.1", vec![0x11, code, 0, 0, 0, 0, 0, 0]);
        wire.inject(0, general());
        wire.run_for(Duration::from_secs(10));
        let [answer] = &reports(&wire)[..] else { panic!("one answer") };
        assert_eq!((answer[24], &answer[16..20]), (kind, &[239, 1, 1, 1][..]));
        assert_eq!(Ipv4Header::parse(answer).unwrap().ttl, 1);
        // Another's report does for all.
        wire.seen.clear();
        wire.inject(0, general());
        let other = igmp_member(Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(239, 1, 1, 1), 2);
        let to = EthernetAddress::multicast_for(ip(group));
        wire.inject(0, [&to.0[..], &station(1).0, &[8, 0], &other.to_frame().bytes].concat());
        wire.run_for(Duration::from_secs(10));
        assert_eq!(reports(&wire).len(), 0);
        // Version 2 says farewell, version 1 does not.
        change(&mut wire, 0, id, group, GroupChange::Leave);
        wire.run_for(Duration::from_secs(20));
        let kinds: Vec<u8> = reports(&wire).iter().map(|packet| packet[24]).collect();
        assert_eq!(kinds, if code == 0 { vec![] } else { vec![0x17] });
        // After some minutes without the old router the newest version is spoken again.
        wire.run_for(Duration::from_secs(300));
        wire.seen.clear();
        change(&mut wire, 0, id, group, GroupChange::Join);
        wire.run_for(Duration::from_millis(1));
        assert_eq!(reports(&wire), [report(group, RecordKind::ToExclude, &[])]);
    }
}

/// How many reports a host in a group makes within ten seconds of that frame.
fn reported(group: &str, frame: &Frame) -> usize {
    let (mut wire, _) = member(group);
    wire.inject(0, frame.clone());
    assert_eq!(reports(&wire).len(), 0, "not at once");
    wire.run_for(Duration::from_secs(10));
    reports(&wire).len()
}

//= RFC 9776 §4 MUST-2, type=test
//= RFC 9776 §4.1.2 MUST-1, type=test
//= RFC 9776 §4.1.10 MUST-1, type=test
//= RFC 9776 §4.1.10 MUST-2, type=test
//= RFC 9776 §4.1.12 MUST-1, type=test
//= RFC 9776 §7.1 MUST-1, type=test
//= RFC 9776 §4.2.2 MUST-1, type=test
//= RFC 9776 §4.2.12 MUST-1, type=test
#[test]
fn which_questions_of_igmp_are_heard() {
    let group = GROUPS[0];
    let general = vec![0x11, 20, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    for to in ["224.0.0.1", group] {
        assert_eq!(reported(group, &query(to, general.clone())), 1, "{to}");
    }
    // To the host alone.
    let mut alone = query("224.0.0.1", general.clone()).bytes.to_vec();
    alone[..6].copy_from_slice(&station(0).0);
    alone[30..34].copy_from_slice(&[10, 0, 0, 1]);
    crate::malformed::mend_v4(&mut alone);
    assert_eq!(reported(group, &Frame::from(alone)), 1);
    // Bytes behind it count in the checksum, and for nothing else.
    let longer = [&general[..], &[1, 2, 3, 4]].concat();
    let longer = query("224.0.0.1", longer);
    assert_eq!(reported(group, &longer), 1);
    let mut wrong = longer.bytes.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(reported(group, &Frame::from(wrong)), 0);
    for len in [9, 10, 11] {
        assert_eq!(reported(group, &query("224.0.0.1", [&general[..len], &[][..]].concat())), 0, "{len}");
    }
    for kind in [0x13, 0x14, 0x1f, 0x30, 0xff] {
        let mut unknown = general.clone();
        unknown[0] = kind;
        assert_eq!(reported(group, &query("224.0.0.1", unknown)), 0, "{kind:#x}");
    }
}

//= RFC 9777 §5 MUST-2, type=test
//= RFC 9777 §5.1.2 MUST-1, type=test
//= RFC 9777 §5.1.12 MUST-1, type=test
//= RFC 9777 §5.1.12 MUST-2, type=test
//= RFC 9777 §5.1.14 MUST-1, type=test
//= RFC 9777 §5.1.15 MUST-1, type=test
//= RFC 9777 §6.3 MUST-1, type=test
//= RFC 9777 §6.3 MUST-2, type=test
//= RFC 9777 §8.1 MUST-1, type=test
//= RFC 9777 §5.2.2 MUST-1, type=test
//= RFC 9777 §5.2.12 MUST-1, type=test
#[test]
fn which_questions_of_mld_are_heard() {
    let group = GROUPS[1];
    let rest = [&[0; 16][..], &[2, 125, 0, 0]].concat();
    let asked = |kind: u8, to: &str, from: &str, rest: &[u8]| {
        let message = Icmpv6Message::Other { kind, code: 0, rest: [0, 200, 0, 0] };
        let mut path = Path::v6(1, 0).from(from).to(to);
        if to.starts_with("ff") {
            path.to_station = EthernetAddress::multicast_for(ip(to));
        }
        path.icmpv6(message, rest, 1)
    };
    for to in ["ff02::1", group, "fd00::1"] {
        assert_eq!(reported(group, &asked(130, to, "fe80::99", &rest)), 1, "{to}");
    }
    for from in ["fd00::2", "::"] {
        assert_eq!(reported(group, &asked(130, "ff02::1", from, &rest)), 0, "{from}");
    }
    let longer = asked(130, "ff02::1", "fe80::99", &[&rest[..], &[1, 2, 3, 4]].concat());
    assert_eq!(reported(group, &longer), 1);
    let mut wrong = longer.bytes.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(reported(group, &Frame::from(wrong)), 0);
    for len in [17, 18, 19] {
        assert_eq!(reported(group, &asked(130, "ff02::1", "fe80::99", &rest[..len])), 0, "{len}");
    }
    for kind in [132, 143, 144, 200] {
        assert_eq!(reported(group, &asked(kind, "ff02::1", "fe80::99", &rest)), 0, "{kind}");
    }
}

//= RFC 9776 §4.2.11 MUST-1, type=test
//= RFC 9776 §4.2.11 MUST-2, type=test
//= RFC 9776 §4.2.12 MUST-3, type=test
//= RFC 9777 §5 MUST-1, type=test
//= RFC 9777 §5.2.11 MUST-1, type=test
//= RFC 9777 §5.2.11 MUST-2, type=test
//= RFC 9777 §5.2.12 MUST-3, type=test
//= RFC 9777 §5.2.14 MUST-1, type=test
#[test]
fn reports_end_with_their_last_record_and_go_no_further_than_the_link() {
    for group in GROUPS {
        let mut wire = reporting();
        let id = listener(&mut wire, 0, group);
        let source = if group.contains(':') { "fd00::9" } else { "10.0.0.9" };
        change(&mut wire, 0, id, group, GroupChange::JoinSource(ip(source)));
        wire.run_for(Duration::from_secs(5));
        for packet in reports(&wire) {
            if group.contains(':') {
                let source: [u8; 16] = packet[8..24].try_into().unwrap();
                assert!(core::net::Ipv6Addr::from(source).is_unicast_link_local());
                assert_eq!((packet[7], &packet[40..48]), (1, &[58, 0, 5, 2, 0, 0, 1, 0][..]), "router alert");
                assert_eq!((packet[48], packet[57], packet.len()), (143, 0, 48 + 8 + 4 + 32));
            } else {
                assert_eq!((packet[8], &packet[20..24]), (1, &[148, 4, 0, 0][..]), "router alert");
                assert_eq!((packet[24], packet[33], packet.len()), (0x22, 0, 24 + 8 + 4 + 8));
            }
        }
        assert_eq!(reports(&wire).len(), 2);
    }
    // Before there is any address, the report is from nobody.
    let mut wire = reporting();
    wire[0].config_mut().set("net.ipv6.conf.all.addr_gen_mode", "1").unwrap();
    let hardware = station(7);
    let bare =
        tapsock_stack::wire::offload::LinkCaps::plain(tapsock_stack::wire::offload::Medium::Ethernet, 1500);
    let second = wire[0].add_interface("eth1", hardware, bare).unwrap();
    let id = listener(&mut wire, 0, GROUPS[1]);
    wire[0].udp_change_group(id, second, ip(GROUPS[1]), GroupChange::Join).unwrap();
    let now = wire.now;
    wire[0].handle_timeout(now);
    let sent = core::iter::from_fn(|| wire[0].poll_transmit(now)).find(|(interface, _)| *interface == second);
    let frame = sent.unwrap().1.to_frame();
    assert_eq!(packet_of(&frame)[8..24], [0; 16]);
}

//= RFC 9776 §8.12 MUST-1, type=test
//= RFC 9777 §9.12 MUST-1, type=test
//= RFC 9776 §7.2.1 MUST-2, type=test
//= RFC 9777 §8.2.1 MUST-2, type=test
#[test]
fn an_older_router_counts_as_long_as_its_link_s_habits_say() {
    // What a querier of the newest version said of itself before: robustness, interval, and how long that makes.
    for (habits, seconds) in [([2, 125], 260), ([3, 20], 70), ([1, 0x80], 138), ([0, 0], 260)] {
        let group = GROUPS[0];
        let (mut wire, id) = member(group);
        wire.inject(0, query("224.0.0.1", vec![0x11, 20, 0, 0, 0, 0, 0, 0, habits[0], habits[1], 0, 0]));
        wire.inject(0, query("224.0.0.1", vec![0x11, 0, 0, 0, 0, 0, 0, 0]));
        let speaks = |wire: &mut Wire, change_to: GroupChange| {
            wire.seen.clear();
            wire[0].udp_change_group(id, ETH, ip(group), change_to).unwrap();
            wire.run_for(Duration::from_millis(1));
            reports(wire).first().map(|packet| packet[24])
        };
        wire.run_for(Duration::from_secs(seconds - 1));
        speaks(&mut wire, GroupChange::Leave);
        assert_eq!(speaks(&mut wire, GroupChange::Join), Some(0x12), "{habits:?}: version 1");
        // MLD is not concerned.
        let other = listener(&mut wire, 0, GROUPS[1]);
        wire.seen.clear();
        change(&mut wire, 0, other, GROUPS[1], GroupChange::Join);
        wire.run_for(Duration::from_millis(1));
        assert_eq!(reports(&wire)[0][48], 143);
        wire.run_for(Duration::from_secs(2));
        speaks(&mut wire, GroupChange::Leave);
        assert_eq!(speaks(&mut wire, GroupChange::Join), Some(0x22), "{habits:?}: the newest");
    }
}

//= RFC 9776 §4.2.15 MUST-1, type=test
//= RFC 9777 §5.2.15 MUST-1, type=test
#[test]
fn another_host_s_report_is_heard_wherever_it_is_sent() {
    for (group, to) in
        [(GROUPS[0], "224.0.0.1"), (GROUPS[0], "10.0.0.1"), (GROUPS[1], "ff02::1"), (GROUPS[1], "fd00::1")]
    {
        let (mut wire, _) = member(group);
        let report = match ip(group) {
            IpAddr::V4(address) => {
                wire.inject(0, query("224.0.0.1", vec![0x11, 20, 0, 0, 0, 0, 0, 0]));
                query(to, [&[0x16, 0, 0, 0][..], &address.octets()].concat())
            }
            IpAddr::V6(address) => {
                wire.inject(0, query_v6(2000, &[0; 16]));
                let message = Icmpv6Message::Other { kind: 131, code: 0, rest: [0; 4] };
                let mut path = Path::v6(1, 0).from("fe80::98").to(to);
                path.to_station = EthernetAddress::multicast_for(ip("ff02::1"));
                path.icmpv6(message, &address.octets(), 1)
            }
        };
        let mut bytes = report.bytes.to_vec();
        if !to.starts_with("ff") && !to.starts_with("224") {
            bytes[..6].copy_from_slice(&station(0).0);
        }
        wire.inject(0, bytes);
        wire.run_for(Duration::from_secs(10));
        let of_group = reports(&wire).iter().filter(|report| report.ends_with(&octets(group))).count();
        assert_eq!(of_group, 0, "{group} {to}: one report does for all");
    }
}

#[test]
fn a_group_that_routers_can_not_be_told_of_is_not_joined() {
    let mut wire = reporting();
    let other = wire[0].add_interface("eth1", station(8), LINKS[0]).unwrap();
    let group = |n: usize| IpAddr::from((0xef01_0000 + n as u32).to_be_bytes());
    // Twenty groups a socket, on two interfaces, until the table of what is told is full.
    let mut sockets = Vec::new();
    let mut join = |wire: &mut Wire, n: usize| {
        if n.is_multiple_of(20) {
            sockets.push(listener(wire, 0, GROUPS[0]));
        }
        let interface = if n.is_multiple_of(2) { ETH } else { other };
        wire[0].udp_change_group(*sockets.last().unwrap(), interface, group(n), GroupChange::Join)
    };
    // Each interface is in the group of its link-local address's solicitations, of which routers know too.
    let room = MAX_GROUPS - 2;
    for n in 0..room {
        join(&mut wire, n).unwrap();
    }
    assert_eq!(join(&mut wire, room), Err(MembershipError::Full));
    let joined = |interface| wire[0].interfaces().interface(interface).unwrap().joined().count();
    assert_eq!(joined(ETH) + joined(other), room);
}

/// The groups that a host reports by MLDv2, in each report that was seen.
fn reported_groups(wire: &Wire) -> Vec<Vec<IpAddr>> {
    let of_one = |packet: &Vec<u8>| {
        // The header with its hop-by-hop options, and the head of the report; then records without sources.
        let records = packet[56..].chunks(20).map(|record| {
            assert_eq!((record[1], record[2], record[3]), (0, 0, 0));
            IpAddr::from(<[u8; 16]>::try_from(&record[4..20]).unwrap())
        });
        records.collect()
    };
    reports(wire).iter().filter(|packet| packet[0] >> 4 == 6).map(of_one).collect()
}

/// The groups in which addresses are asked for are told to routers that ask; unasked only where the host says on the link
/// what it is about to use.
//= RFC 9777 §6.1, type=test
//= RFC 4862 §5.4.2, type=test
#[test]
fn routers_hear_of_the_groups_of_addresses() {
    let groups = ["ff02::1:ff00:1", "ff02::1:ffaa:1"].map(ip);
    let mut wire = reporting();
    wire[0].add_address(ETH, "fd00::aa:1/64".parse().unwrap()).unwrap();
    wire.run_for(Duration::from_secs(5));
    assert!(reported_groups(&wire).is_empty(), "nobody has asked");
    wire.inject(0, query_v6(1000, &[&[0; 16][..], &[2, 125, 0, 0]].concat()));
    wire.run_for(Duration::from_secs(2));
    let mut all: Vec<IpAddr> = reported_groups(&wire).concat();
    all.sort_unstable();
    // fe80::ff:fe00:1 and fd00::1 share one.
    assert_eq!(all, groups);
    wire.seen.clear();
    wire[0].remove_address(ETH, ip("fd00::aa:1")).unwrap();
    wire.inject(0, query_v6(1000, &[&[0; 16][..], &[2, 125, 0, 0]].concat()));
    wire.run_for(Duration::from_secs(2));
    assert_eq!(reported_groups(&wire).concat(), groups[..1]);

    let mut config = tapsock_stack::config::Config::default();
    config.set("net.ipv6.conf.all.accept_dad", "1").unwrap();
    let mut wire = Wire::with_config(1, LINKS[0], &config);
    wire.sniffing = true;
    wire.run_for(Duration::from_secs(5));
    let told = reported_groups(&wire).concat();
    assert!(told.iter().all(|group| *group == groups[0]) && told.len() == 2, "{told:?}");
    // Before the address is looked for, that the question may come to who else has it.
    let first = wire.seen.iter().position(|(_, frame)| packet_of(frame)[40] == 135).unwrap();
    let report = wire.seen.iter().position(|(_, frame)| packet_of(frame)[7] == 1).unwrap();
    assert!(report < first);
}

//= RFC 3678 §4.1.3, type=test
#[test]
fn all_sources_are_named_at_once() {
    for (group, a, b) in [(GROUPS[0], "10.0.0.1", "10.0.0.9"), (GROUPS[1], "fd00::1", "fd00::9")] {
        let mut wire = Wire::new(2, LINKS[0]);
        let id = listener(&mut wire, 1, group);
        wire[1].udp_mut(id).unwrap().own_groups_only = (true, true);
        let socket = SocketId::Udp(id);
        let filter =
            |mode, sources: &[&str]| Filter { mode, sources: sources.iter().map(|a| ip(a)).collect() };
        let set = |wire: &mut Wire, filter| wire[1].set_group_filter(socket, ETH, ip(group), filter);
        let not_there = set(&mut wire, filter(FilterMode::Include, &[a]));
        assert_eq!(not_there, Err(MembershipError::OtherMode));
        change(&mut wire, 1, id, group, GroupChange::Join);
        for (wanted, hears) in [
            (filter(FilterMode::Exclude, &[b, a, b]), 0),
            (filter(FilterMode::Include, &[b, a]), 1),
            (filter(FilterMode::Include, &[b]), 0),
            (filter(FilterMode::Exclude, &[b]), 1),
        ] {
            set(&mut wire, wanted.clone()).unwrap();
            let known = wire[1].group_filter(socket, ETH, ip(group)).unwrap().clone();
            assert_eq!(known.mode, wanted.mode);
            assert!(known.sources.is_sorted() && known.sources.len() <= 2, "{known:?}");
            send(&mut wire, group, UdpSendOptions::default());
            assert_eq!(heard(&mut wire, 1, id), hears, "{wanted:?}");
        }
        let too_many = Filter {
            mode: FilterMode::Include,
            sources: (0..65).map(|n| IpAddr::from([10, 0, 1, n])).collect(),
        };
        assert_eq!(set(&mut wire, too_many), Err(MembershipError::Full));
        set(&mut wire, Filter::NONE).unwrap();
        assert_eq!(wire[1].group_filter(socket, ETH, ip(group)), None, "it has left");
    }
}

#[test]
fn raw_sockets_join_groups() {
    let group = GROUPS[0];
    let mut wire = Wire::new(2, LINKS[0]);
    let raw = wire[1].raw_open(family_of(group), 17).unwrap();
    let socket = SocketId::Raw(raw);
    let count = |wire: &mut Wire| {
        send(wire, group, UdpSendOptions::default());
        core::iter::from_fn(|| wire[1].raw_recv(raw).ok()).count()
    };
    assert_eq!(count(&mut wire), 0, "the interface does not hear it");
    wire[1].change_group(socket, ETH, ip(group), GroupChange::Join).unwrap();
    assert_eq!(count(&mut wire), 1);
    wire[1].change_group(socket, ETH, ip(group), GroupChange::Block(ip("10.0.0.1"))).unwrap();
    assert_eq!(count(&mut wire), 0);
    wire[1].raw_close(raw);
    assert!(!wire[1].interfaces().accepts(ETH, ip(group)), "who closes leaves");
}

/// A socket may join the group of an address's questions by itself, and that ends when it leaves.
#[test]
fn routers_hear_when_a_socket_leaves_a_group_of_addresses() {
    let (group, mut wire) = ("ff02::1:ff12:3456", reporting());
    let id = listener(&mut wire, 0, group);
    change(&mut wire, 0, id, group, GroupChange::Join);
    wire[0].add_address(ETH, "fd00::77/64".parse().unwrap()).unwrap();
    wire.run_for(Duration::from_secs(5));
    wire.seen.clear();
    change(&mut wire, 0, id, group, GroupChange::Leave);
    wire.run_for(Duration::from_secs(5));
    let gone = report(group, RecordKind::ToInclude, &[]);
    assert!(reports(&wire).contains(&gone), "{:?}", reports(&wire));
}
