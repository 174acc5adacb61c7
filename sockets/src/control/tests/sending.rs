//! What `sendmsg` takes: answers of Linux 6.18, message by message.

use super::*;

/// Level, type, length of the payload, its number (the rest is zero), and the answers of an IPv4 UDP socket, an IPv6
/// one, an IPv6 one to an IPv4-mapped address, a local socket and a TCP socket: `E` is EINVAL.
#[rustfmt::skip]
const ANSWERS: &[(i32, i32, usize, i64, &str)] = &[
    (0, 2, 4, 0, "E.E.."),
    (0, 2, 4, 1, "....."),
    (0, 2, 4, 255, "....."),
    (0, 2, 4, 256, "E.E.."),
    (0, 2, 1, 5, "E.E.."),
    (0, 2, 8, 5, "E.E.."),
    (0, 2, 4, -1, "E.E.."),
    (0, 1, 4, 8, "....."),
    (0, 1, 1, 8, "....."),
    (0, 1, 2, 8, "E.E.."),
    (0, 1, 4, 256, "E.E.."),
    (0, 1, 4, -1, "E.E.."),
    (0, 8, 12, 0, "....."),
    (0, 8, 11, 0, "E.E.."),
    (0, 8, 16, 0, "E.E.."),
    (0, 11, 4, 0, "E.E.."),
    (0, 52, 4, 17, "....."),
    (0, 52, 4, 0, "E.E.."),
    (0, 7, 0, 0, "....."),
    (17, 103, 2, 100, "....."),
    (17, 103, 2, 0, "....."),
    (17, 103, 4, 100, "EEE.."),
    (17, 104, 4, 100, "EEE.."),
    (17, 99, 4, 1, "EEE.."),
    (1, 1, 4, 0, "....."),
    (1, 1, 0, 0, "....."),
    (1, 1, 3, 0, "....."),
    (1, 2, 8, 1, "...E."),
    (1, 29, 16, 1, "EEEEE"),
    (1, 36, 4, 0, "...E."),
    (1, 36, 8, 0, "EEEEE"),
    (1, 37, 4, 0, "...E."),
    (1, 37, 4, 2, "...E."),
    (1, 37, 4, 769, "...E."),
    (1, 37, 4, 8, "EEEEE"),
    (1, 37, 8, 2, "EEEEE"),
    (1, 81, 4, 5, "EEEEE"),
    (1, 61, 8, 5, "EEEEE"),
    (1, 12, 4, 3, "...E."),
    (1, 12, 4, 7, "...E."),
    (1, 12, 4, -1, "...E."),
    (1, 12, 8, 3, "EEEEE"),
    (1, 99, 4, 1, "EEEEE"),
    (41, 52, 4, -1, "....."),
    (41, 52, 4, 0, "....."),
    (41, 52, 4, -2, ".E..."),
    (41, 52, 4, 255, "....."),
    (41, 52, 4, 256, ".E..."),
    (41, 52, 1, 5, ".E..."),
    (41, 8, 4, 5, "....."),
    (41, 67, 4, -1, "....."),
    (41, 67, 4, -2, ".E..."),
    (41, 67, 4, 255, "....."),
    (41, 67, 4, 256, ".E..."),
    (41, 67, 1, 1, ".E..."),
    (41, 62, 4, 0, "....."),
    (41, 62, 4, 1, "....."),
    (41, 62, 4, 2, ".E..."),
    (41, 11, 4, 0, "....."),
    (41, 11, 3, 0, ".E..."),
    (41, 50, 20, 0, "..E.."),
    (41, 50, 19, 0, ".EE.."),
    (41, 50, 24, 0, "..E.."),
    (41, 2, 20, 0, "....."),
    (41, 99, 4, 0, ".E..."),
    (999, 1, 4, 0, "....."),
    (41, 61, 32, 0, ".E..."),
];

#[test]
fn messages_are_taken_and_refused_as_by_linux() {
    for &(level, kind, len, number, answers) in ANSWERS {
        let mut payload = number.to_ne_bytes().to_vec();
        payload.resize(len, 0);
        let bytes = raw(level, kind, &payload);
        let given = [
            SendControl::parse(&bytes, ControlFor::Udp4).err(),
            SendControl::parse(&bytes, ControlFor::Udp6).err(),
            SendControl::parse(&bytes, ControlFor::Udp6Mapped).err(),
            LocalControl::parse(&bytes).err(),
            SendControl::parse(&bytes, ControlFor::Tcp).err(),
        ];
        let given: String = given.iter().map(|error| if error.is_some() { 'E' } else { '.' }).collect();
        assert_eq!(given, answers, "level {level} type {kind} length {len} value {number}");
    }
}

#[test]
fn raw_sockets_pass_over_what_concerns_udp() {
    let segment = raw(17, 99, &[0; 2]);
    for sender in [ControlFor::Raw4, ControlFor::Raw6] {
        assert_eq!(SendControl::parse(&segment, sender), Ok(SendControl::default()));
    }
    assert_eq!(SendControl::parse(&raw(0, 2, &[0; 4]), ControlFor::Raw4), Err(Errno::INVAL));
    assert_eq!(SendControl::parse(&raw(41, 67, &[0; 1]), ControlFor::Raw6), Err(Errno::INVAL));
}

#[test]
fn what_is_taken_is_told() {
    let local = Ipv4Addr::LOCALHOST;
    let mut bytes = filled(
        usize::MAX,
        &[
            Control::PacketInfo4 { interface: 3, local, destination: Ipv4Addr::UNSPECIFIED },
            Control::Ttl(9),
            Control::Tos(8),
            Control::SegmentSize(1400),
        ],
    )
    .as_bytes()
    .to_vec();
    bytes.extend(raw(1, 12, &6i32.to_ne_bytes()));
    bytes.extend(raw(1, 36, &7u32.to_ne_bytes()));
    bytes.extend(raw(1, 37, &2u32.to_ne_bytes()));
    bytes.extend(raw(0, 52, &17i32.to_ne_bytes()));
    let told = SendControl {
        interface: Some(3),
        source: Some(local.into()),
        hop_limit: Some(9),
        traffic_class: Some(8),
        protocol: Some(17),
        segment_size: Some(1400),
        priority: Some(6),
        mark: Some(7),
        timestamping: Some(2),
        ..SendControl::default()
    };
    assert_eq!(SendControl::parse(&bytes, ControlFor::Udp4), Ok(told));

    let source = Ipv6Addr::LOCALHOST;
    let mut bytes = filled(
        usize::MAX,
        &[
            Control::PacketInfo6 { destination: source, interface: 2 },
            Control::HopLimit(0),
            Control::TrafficClass(4),
        ],
    )
    .as_bytes()
    .to_vec();
    bytes.extend(raw(41, IPV6_DONTFRAG, &1i32.to_ne_bytes()));
    bytes.extend(raw(41, IPV6_FLOWINFO, &0x1234u32.to_be_bytes()));
    let told = SendControl {
        interface: Some(2),
        source: Some(source.into()),
        hop_limit: Some(0),
        traffic_class: Some(4),
        flow_info: Some(0x1234),
        dont_fragment: Some(true),
        ..SendControl::default()
    };
    assert_eq!(SendControl::parse(&bytes, ControlFor::Udp6), Ok(told));
}

#[test]
fn later_messages_prevail_and_minus_one_takes_back() {
    let bytes = [raw(41, 52, &5i32.to_ne_bytes()), raw(41, 52, &(-1i32).to_ne_bytes())].concat();
    assert_eq!(SendControl::parse(&bytes, ControlFor::Udp6), Ok(SendControl::default()));
    let bytes = filled(64, &[Control::Ttl(5), Control::Ttl(6)]);
    assert_eq!(SendControl::parse(bytes.as_bytes(), ControlFor::Udp4).unwrap().hop_limit, Some(6));
}

#[test]
fn mapped_sources_go_out_as_ipv4() {
    let source = Ipv4Addr::LOCALHOST;
    let info = |destination| {
        let message = Control::PacketInfo6 { destination, interface: 1 };
        SendControl::parse(filled(64, &[message]).as_bytes(), ControlFor::Udp6Mapped)
    };
    assert_eq!(info(source.to_ipv6_mapped()).unwrap().source, Some(source.into()));
    assert_eq!(info(Ipv6Addr::LOCALHOST), Err(Errno::INVAL));
}

#[test]
fn local_sockets_take_so_many_descriptors() {
    let send = |counts: &[usize]| {
        let messages: Vec<_> = counts.iter().map(|count| Control::Rights(vec![1; *count])).collect();
        LocalControl::parse(filled(usize::MAX, &messages).as_bytes()).map(|control| control.rights.len())
    };
    assert_eq!(send(&[253]), Ok(253));
    assert_eq!(send(&[254]), Err(Errno::INVAL));
    assert_eq!(send(&[200, 53]), Ok(253));
    assert_eq!(send(&[200, 54]), Err(Errno::INVAL));
    let who = Credentials { pid: 1, uid: 2, gid: 3 };
    let bytes = filled(64, &[Control::Credentials(who)]);
    assert_eq!(LocalControl::parse(bytes.as_bytes()).unwrap().credentials, Some(who));
}

/// A second header is looked at once there is room for all of it, whatever it claims.
#[test]
fn a_header_counts_when_it_is_whole() {
    let two = [raw(0, 2, &5i32.to_ne_bytes()), raw(0, 2, &999i32.to_ne_bytes())].concat();
    for len in 0..=two.len() {
        let refused = (16..20).contains(&len) || len >= 40;
        assert_eq!(SendControl::parse(&two[..len], ControlFor::Udp4).is_err(), refused, "{len}");
    }
}

/// A message with its padding.
fn raw(level: i32, kind: i32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = cmsg_len(payload.len()).to_ne_bytes().to_vec();
    bytes.extend(level.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(cmsg_space(payload.len()), 0);
    bytes
}
