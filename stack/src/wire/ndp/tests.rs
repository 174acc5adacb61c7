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
