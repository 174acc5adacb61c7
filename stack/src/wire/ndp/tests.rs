use super::*;
use crate::wire::icmpv6::Icmpv6Message;

const TARGET: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x1234, 0x5678);
const STATION: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

fn ip(destination: Ipv6Addr) -> Ipv6Header {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    Ipv6Header { source, destination, hop_limit: HOP_LIMIT, ..Ipv6Header::default() }
}

fn solicit(target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), options].concat()
}

fn advert(target: Ipv6Addr, flags: u8, options: &[u8]) -> Vec<u8> {
    [&[136, 0, 0, 0, flags, 0, 0, 0][..], &target.octets(), options].concat()
}

const SOURCE_LINK: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];
const TARGET_LINK: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 1];

#[test]
fn reads_a_solicitation() {
    let expected = NeighborSolicit { target: TARGET, source_link: Some(STATION) };
    let ip = ip(solicited_node(TARGET));
    let unknown = [&[14, 1, 0, 0, 0, 0, 0, 0][..], &SOURCE_LINK].concat();
    for options in [&SOURCE_LINK[..], &unknown] {
        let bytes = solicit(TARGET, options);
        assert_eq!(NdpMessage::parse(&ip, &bytes), Ok(expected.into()));
        assert_eq!(Icmpv6Message::parse(&ip, &bytes), Ok(Icmpv6Message::Ndp(expected.into())));
    }
    let without = NeighborSolicit { source_link: None, ..expected };
    assert_eq!(NdpMessage::parse(&ip, &solicit(TARGET, &[])), Ok(without.into()));
}

#[test]
fn reads_an_advertisement() {
    for flags in 0..8 {
        let expected = NeighborAdvert {
            target: TARGET,
            router: flags & 4 != 0,
            solicited: flags & 2 != 0,
            override_: flags & 1 != 0,
            target_link: Some(STATION),
        };
        let bytes = advert(TARGET, flags << 5, &TARGET_LINK);
        assert_eq!(NdpMessage::parse(&ip(TARGET), &bytes), Ok(expected.into()));
    }
}

//= RFC 4861 §7.1.1, type=test
//= RFC 4861 §7.1.2, type=test
//= RFC 4861 §7.1.1 MUST-1, type=test
//= RFC 4861 §7.1.2 MUST-1, type=test
//= RFC 4861 §4.6 MUST-1, type=test
//= RFC 4862 §5.4.1 MUST-1, type=test
#[test]
fn both_are_checked() {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    for (build, link) in [
        (solicit as fn(Ipv6Addr, &[u8]) -> Vec<u8>, SOURCE_LINK),
        (|target, options| advert(target, 0, options), TARGET_LINK),
    ] {
        let ip = ip(TARGET);
        let bytes = build(TARGET, &link);
        assert!(NdpMessage::parse(&ip, &bytes).is_ok());
        let routed = Ipv6Header { hop_limit: 254, ..ip };
        assert_eq!(NdpMessage::parse(&routed, &bytes), Err(Malformed::BadCode));
        let mut coded = bytes.clone();
        coded[1] = 1;
        assert_eq!(NdpMessage::parse(&ip, &coded), Err(Malformed::BadCode));
        for len in 0..24 {
            assert_eq!(NdpMessage::parse(&ip, &bytes[..len]), Err(Malformed::Truncated));
        }
        for len in 25..32 {
            assert_eq!(NdpMessage::parse(&ip, &bytes[..len]), Err(Malformed::BadOption));
        }
        assert_eq!(NdpMessage::parse(&ip, &build(group, &link)), Err(Malformed::BadAddress));
        let empty_option = [14, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(NdpMessage::parse(&ip, &build(TARGET, &empty_option)), Err(Malformed::BadOption));
        let group_station = [link[0], 1, 0x33, 0x33, 0, 0, 0, 1];
        assert_eq!(NdpMessage::parse(&ip, &build(TARGET, &group_station)), Err(Malformed::BadAddress));
    }
}

//= RFC 4861 §7.1.1, type=test
//= RFC 4861 §7.1.1 MUST-1, type=test
#[test]
fn an_asker_without_an_address_asks_the_group_and_names_no_station() {
    let from_nowhere = |destination| Ipv6Header { source: Ipv6Addr::UNSPECIFIED, ..ip(destination) };
    let to_group = from_nowhere(solicited_node(TARGET));
    assert!(NdpMessage::parse(&to_group, &solicit(TARGET, &[])).is_ok());
    assert_eq!(NdpMessage::parse(&to_group, &solicit(TARGET, &SOURCE_LINK)), Err(Malformed::BadOption));
    let to_host = from_nowhere(TARGET);
    assert_eq!(NdpMessage::parse(&to_host, &solicit(TARGET, &[])), Err(Malformed::BadAddress));
}

//= RFC 4861 §7.1.2, type=test
//= RFC 4861 §7.1.2 MUST-1, type=test
#[test]
fn an_advertisement_to_a_group_answers_nobody() {
    let all_nodes = ip(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    assert!(NdpMessage::parse(&all_nodes, &advert(TARGET, 0x20, &TARGET_LINK)).is_ok());
    let solicited = advert(TARGET, 0x60, &TARGET_LINK);
    assert_eq!(NdpMessage::parse(&all_nodes, &solicited), Err(Malformed::BadAddress));
}

#[test]
fn other_types_are_refused() {
    for kind in [1, 128, 133, 134, 137, 200] {
        let mut bytes = solicit(TARGET, &[0; 16]);
        bytes[0] = kind;
        bytes[25] = 1;
        bytes[33] = 1;
        assert!(NdpMessage::parse(&ip(TARGET), &bytes).is_err(), "{kind}");
    }
}

//= RFC 4291 §2.7.1, type=test
#[test]
fn solicited_node_groups_hold_the_last_24_bits() {
    let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
    assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
}

/// Options that belong into other messages, and two that nobody knows.
const FOREIGN: [&[u8]; 5] = [
    &[
        3, 4, 64, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    &[4, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    &[5, 1, 9, 9, 0, 0, 5, 0],
    &[200, 1, 1, 2, 3, 4, 5, 6],
    &[253, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
];

//= RFC 4861 §4.3 MUST-2, type=test
//= RFC 4861 §4.3 MUST-6, type=test
//= RFC 4861 §4.4 MUST-3, type=test
//= RFC 4861 §4.4 MUST-7, type=test
//= RFC 4861 §4.6.1 MUST-1, type=test
//= RFC 4861 §4.6.2 MUST-9, type=test
//= RFC 4861 §4.6.3 MUST-3, type=test
//= RFC 4861 §4.6.4 MUST-3, type=test
//= RFC 4861 §7.1.1 MUST-2, type=test
//= RFC 4861 §7.1.1 MUST-3, type=test
//= RFC 4861 §7.1.2 MUST-2, type=test
//= RFC 4861 §7.1.2 MUST-3, type=test
//= RFC 4861 §9 MUST-1, type=test
//= RFC 4861 §9 MUST-3, type=test
//= RFC 4861 §9 MUST-6, type=test
//= RFC 4861 §9 MUST-9, type=test
#[test]
fn reserved_fields_and_options_of_others_change_nothing() {
    let ip = ip(TARGET);
    for foreign in FOREIGN {
        for first in [true, false] {
            let with = |own: &[u8]| if first { [own, foreign].concat() } else { [foreign, own].concat() };
            let mut asked = solicit(TARGET, &with(&SOURCE_LINK));
            asked[4..8].fill(0xff);
            let expected = NeighborSolicit { target: TARGET, source_link: Some(STATION) };
            assert_eq!(NdpMessage::parse(&ip, &asked), Ok(expected.into()), "{foreign:?}");
            let mut told = advert(TARGET, 0x5f, &with(&TARGET_LINK));
            told[5..8].fill(0xff);
            let (router, solicited, override_) = (false, true, false);
            let expected =
                NeighborAdvert { target: TARGET, router, solicited, override_, target_link: Some(STATION) };
            assert_eq!(NdpMessage::parse(&ip, &told), Ok(expected.into()), "{foreign:?}");
        }
    }
    // The link-layer address of the other message says nothing in this one.
    let expected = NeighborSolicit { target: TARGET, source_link: None };
    assert_eq!(NdpMessage::parse(&ip, &solicit(TARGET, &TARGET_LINK)), Ok(expected.into()));
}

//= RFC 4861 §4.2 MUST-3, type=test
//= RFC 4861 §4.2 MUST-4, type=test
//= RFC 4861 §4.6.2 MUST-4, type=test
//= RFC 4861 §4.6.2 MUST-7, type=test
//= RFC 4861 §4.6.2 MUST-8, type=test
//= RFC 4861 §4.6.4 MUST-2, type=test
//= RFC 4861 §6.1.2 MUST-2, type=test
//= RFC 4861 §6.1.2 MUST-3, type=test
#[test]
fn a_router_s_reserved_fields_and_options_of_others_change_nothing() {
    let from = ip(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let prefix = |flags: u8, reserved: u8, host: u8| {
        let head = [3, 4, 64, flags, 0, 0, 14, 16, 0, 0, 7, 8, reserved, reserved, reserved, reserved];
        [&head[..], &[0x20, 1, 0xd, 0xb8], &[0; 11], &[host]].concat()
    };
    let advert = |flags: u8, mtu: [u8; 2], prefix: &[u8], others: &[&[u8]]| {
        let head = [134, 0, 0, 0, 64, flags, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        let mtu = [5, 1, mtu[0], mtu[1], 0, 0, 5, 0];
        RouterAdvert::parse(
            &from,
            &[&others.concat()[..], &head, &mtu, prefix].concat()[others.concat().len()..],
        )
    };
    let plain = advert(0xc0, [0; 2], &prefix(0xc0, 0, 0), &[]).unwrap();
    let odd = advert(0xc7, [0xff; 2], &prefix(0xff, 0xff, 77), &[]).unwrap();
    assert_eq!(odd, plain);
    let head = [134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let others = [&TARGET_LINK[..], FOREIGN[1], FOREIGN[3], FOREIGN[4]].concat();
    let bytes = [&head[..], &others, &[5, 1, 0, 0, 0, 0, 5, 0], &prefix(0xc0, 0, 0)].concat();
    assert_eq!(RouterAdvert::parse(&from, &bytes), Ok(plain));
}

//= RFC 4861 §4.5 MUST-3, type=test
//= RFC 4861 §4.6.3 MUST-2, type=test
//= RFC 4861 §8.1 MUST-2, type=test
//= RFC 4861 §8.1 MUST-3, type=test
#[test]
fn a_redirect_s_reserved_fields_and_options_of_others_change_nothing() {
    let from = ip(TARGET);
    let far: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let redirect = |reserved: u8, options: &[u8]| {
        let head = [137, 0, 0, 0, reserved, reserved, reserved, reserved];
        Redirect::parse(&from, &[&head[..], &TARGET.octets(), &far.octets(), options].concat())
    };
    let plain = redirect(0, &TARGET_LINK).unwrap();
    assert_eq!(plain.target_link, Some(STATION));
    // The redirected header's own reserved bytes among them.
    let header = [&[4, 6][..], &[0xff; 6], &[0x60; 40]].concat();
    for others in [&SOURCE_LINK[..], &header, FOREIGN[0], FOREIGN[2], FOREIGN[3], FOREIGN[4]] {
        assert_eq!(redirect(0xff, &[others, &TARGET_LINK].concat()).as_ref(), Ok(&plain), "{others:?}");
        assert_eq!(redirect(0xff, &[&TARGET_LINK, others].concat()).as_ref(), Ok(&plain), "{others:?}");
    }
}

//= RFC 4861 §4.1 MUST-1, type=test
//= RFC 4861 §4.1 MUST-3, type=test
//= RFC 4861 §4.3 MUST-1, type=test
//= RFC 4861 §4.3 MUST-4, type=test
//= RFC 4861 §4.4 MUST-2, type=test
#[test]
fn what_is_written_is_zero_where_nothing_is_said() {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    let written = |message: NdpMessage| {
        let mut headers = HeaderBlock::new();
        message.prepend_to(source, TARGET, &mut headers);
        headers.to_vec()
    };
    let asked = written(NeighborSolicit { target: TARGET, source_link: Some(STATION) }.into());
    assert_eq!((&asked[4..8], &asked[24..]), (&[0; 4][..], &SOURCE_LINK[..]));
    let target_link = Some(STATION);
    let told = NeighborAdvert { target: TARGET, router: true, solicited: true, override_: true, target_link };
    assert_eq!(written(told.into())[4..8], [0xe0, 0, 0, 0]);
    // Who has no address does not say which station it is.
    for (from, len) in [(source, 16), (Ipv6Addr::UNSPECIFIED, 8)] {
        let bytes = router_solicit(from, STATION);
        assert_eq!((&bytes[44..48], bytes.len() - 40), (&[0; 4][..], len));
    }
    assert_eq!(probe(TARGET, None).len(), 40 + 24);
}

//= RFC 4861 §4.5 MUST-2, type=test
//= RFC 4861 §4.6.3 MUST-1, type=test
//= RFC 4861 §9 MUST-7, type=test
#[test]
fn a_redirect_quotes_as_much_as_every_link_takes() {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    for target_link in [Some(STATION), None] {
        for len in [0, 40, 99, 1190, 1500] {
            let packet = crate::buf::Chunk::from(vec![0xff; len]);
            let redirect = Redirect { target: TARGET, destination: TARGET, target_link };
            let bytes = redirect.to_packet(source, TARGET, &packet).to_frame().bytes.to_vec();
            assert!(bytes.len() <= 1280 && (len < 1190 || bytes.len() > 1200), "{len}: {}", bytes.len());
            assert_eq!(bytes[44..48], [0; 4]);
            let header = 80 + if target_link.is_some() { 8 } else { 0 };
            assert_eq!((bytes[header], &bytes[header + 2..header + 8]), (4, &[0; 6][..]));
            assert_eq!(Redirect::parse(&Ipv6Header::parse(&bytes).unwrap(), &bytes[40..]), Ok(redirect));
        }
    }
}
