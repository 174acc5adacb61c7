//! What routers are told of groups, unasked.

use super::questions::{query_v3, query_v6};
use super::*;

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

/// How often a change is told: as the settings say, or as the link's querier does, so that all hosts of the link do the same.
//= RFC 9776 §8 MUST-1, type=test
//= RFC 9776 §8.1 MUST-1, type=test
//= RFC 9777 §9 MUST-1, type=test
//= RFC 9777 §9.1 MUST-1, type=test
#[test]
fn how_often_a_change_is_told_is_a_setting_unless_the_querier_says_it() {
    let mut config = Config::default();
    for setting in ["net.ipv4.igmp_qrv", "net.ipv6.mld_qrv"] {
        assert_eq!(config.set(setting, "0"), Err(SettingError::BadValue), "{setting}");
        config.set(setting, "4").unwrap();
    }
    for group in GROUPS {
        // What a querier says of its robustness, and how often it is told then.
        for (robustness, times) in [(None, 4), (Some(3), 3), (Some(1), 1), (Some(0), 4)] {
            let mut wire = reporting_by(&config);
            if let Some(robustness) = robustness {
                wire.inject(0, query_v3(group, [robustness, 20]));
            }
            let id = listener(&mut wire, 0, group);
            wire.run_for(Duration::from_secs(15));
            wire.seen.clear();
            change(&mut wire, 0, id, group, GroupChange::Join);
            wire.run_for(Duration::from_secs(15));
            let told = vec![report(group, RecordKind::ToExclude, &[]); times];
            assert_eq!(reports(&wire), told, "{group} {robustness:?}");
        }
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
    // Twice without an address, and twice with it.
    //= RFC 3590 §4, type=test
    assert!(told.iter().all(|group| *group == groups[0]) && told.len() == 4, "{told:?}");
    let of_reports = reports(&wire).into_iter().filter(|packet| packet[0] >> 4 == 6);
    let sources: Vec<bool> = of_reports.map(|packet| packet[8..24] == [0; 16]).collect();
    assert_eq!(sources, [true, true, false, false]);
    // Before the address is looked for, that the question may come to who else has it.
    let first = wire.seen.iter().position(|(_, frame)| packet_of(frame)[40] == 135).unwrap();
    let report = wire.seen.iter().position(|(_, frame)| packet_of(frame)[7] == 1).unwrap();
    assert!(report < first);
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
