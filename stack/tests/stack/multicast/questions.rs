//! What routers ask for, and how they are answered.

use super::*;

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
pub(super) fn query_v6(code: u16, rest: &[u8]) -> Frame {
    let [high, low] = code.to_be_bytes();
    let message = Icmpv6Message::Other { kind: 130, code: 0, rest: [high, low, 0, 0] };
    let mut path = Path::v6(1, 0).from("fe80::99").to("ff02::1");
    path.to_station = EthernetAddress::multicast_for(ip("ff02::1"));
    path.mld(message, rest)
}

/// A question of all groups, of the newest version, to the family of `group`; with what the router says of its habits.
pub(super) fn query_v3(group: &str, habits: [u8; 2]) -> Frame {
    match ip(group) {
        IpAddr::V4(_) => query("224.0.0.1", [&[0x11, 20, 0, 0, 0, 0, 0, 0], &habits[..], &[0, 0]].concat()),
        IpAddr::V6(_) => query_v6(2000, &[&[0; 16], &habits[..], &[0, 0]].concat()),
    }
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
        // Nor does he who is silent then say farewell.
        change(&mut wire, 0, id, group, GroupChange::Leave);
        wire.run_for(Duration::from_secs(20));
        assert_eq!(reports(&wire).len(), 0);
        // Who has reported last does in version 2, in version 1 not.
        change(&mut wire, 0, id, group, GroupChange::Join);
        wire.run_for(Duration::from_secs(20));
        wire.seen.clear();
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
        path.mld(message, rest)
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

/// Reports of the newest versions are for routers, but a broken one counts as such.
//= RFC 9776 §4.2.2 MUST-1, type=test
//= RFC 9776 §4.2.12 MUST-1, type=test
//= RFC 9777 §5.2.2 MUST-1, type=test
//= RFC 9777 §5.2.12 MUST-1, type=test
#[test]
fn what_stands_behind_a_report_counts_in_its_checksum() {
    let mut wire = reporting();
    let behind = [1, 2, 3, 4];
    let of_v4 = [&[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 1, 1][..], &behind].concat();
    let message = Icmpv6Message::Other { kind: 143, code: 0, rest: [0, 0, 0, 1] };
    let mut path = Path::v6(1, 0).from("fe80::98").to("ff02::1");
    path.to_station = EthernetAddress::multicast_for(ip("ff02::1"));
    let of_v6 = path.mld(message, &[&[4, 0, 0, 0][..], &octets(GROUPS[1]), &behind].concat());
    let counters = [Counter::TapsockGroupInErrors, Counter::Icmp6InCsumErrors];
    for (frame, counter) in [query("224.0.0.1", of_v4), of_v6].into_iter().zip(counters) {
        wire.inject(0, frame.clone());
        assert_eq!(wire.counter(0, counter), 0);
        let mut wrong = frame.bytes.to_vec();
        *wrong.last_mut().unwrap() ^= 1;
        wire.inject(0, wrong);
        assert_eq!(wire.counter(0, counter), 1);
    }
}

//= RFC 9776 §8.12, type=test
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

//= RFC 9776 §7.2.2 MUST-1, type=test
#[test]
fn in_the_newest_version_no_other_s_report_does() {
    let group = GROUPS[0];
    let (mut wire, _) = member(group);
    wire.inject(0, query("224.0.0.1", vec![0x11, 20, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]));
    wire.inject(0, query("224.0.0.1", vec![0x16, 0, 0, 0, 239, 1, 1, 1]));
    wire.run_for(Duration::from_secs(10));
    assert_eq!(reports(&wire), [report(group, RecordKind::IsExclude, &[])]);
}

/// The sources that are asked for before an answer is due are told together, up to a number: beyond that all that is heard.
#[test]
fn who_asks_for_ever_more_sources_is_told_of_all() {
    let group = GROUPS[0];
    for (each, kind, count) in [(32, RecordKind::IsInclude, 64), (33, RecordKind::IsExclude, 0)] {
        let (mut wire, _) = member(group);
        let sources = |question: u8| (0..each).map(move |host| [10, 0, question, host]);
        for question in 1..3 {
            let head = [0x11, 100, 0, 0, 239, 1, 1, 1, 2, 125, 0, each];
            let asked: Vec<u8> = sources(question).flatten().collect();
            wire.inject(0, query(group, [&head[..], &asked].concat()));
        }
        wire.run_for(Duration::from_secs(10));
        let asked: Vec<String> =
            (1..3).flat_map(sources).map(|source| Ipv4Addr::from(source).to_string()).collect();
        let told: Vec<&str> = asked.iter().take(count).map(String::as_str).collect();
        assert_eq!(reports(&wire), [report(group, kind, &told)], "{each} in each question");
    }
}
