use super::*;

const ROUTER_ALERT: [u8; 4] = [5, 2, 0, 0];

/// An extension header that names `next` and holds `body`, padded to a multiple of 8 bytes.
fn header(next: IpProtocol, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next.0, 0];
    bytes.extend(body);
    let len = bytes.len().next_multiple_of(8);
    bytes.resize(len, 0);
    bytes[1] = (bytes.len() / 8 - 1) as u8;
    bytes
}

fn found(bytes: &[u8], first: IpProtocol) -> (IpProtocol, usize, u32) {
    let upper = upper_layer(bytes, first).unwrap();
    assert_eq!(upper.fragment, None);
    (upper.protocol, upper.offset, upper.pointer)
}

#[test]
fn without_extension_headers_the_first_is_the_one() {
    assert_eq!(found(&[], IpProtocol::TCP), (IpProtocol::TCP, 0, 6));
    assert_eq!(found(&[], IpProtocol::NO_NEXT), (IpProtocol::NO_NEXT, 0, 6));
    assert_eq!(found(&[], IpProtocol(99)), (IpProtocol(99), 0, 6));
}

//= RFC 8200 §4 MUST-2, type=test
//= RFC 8200 §4 MUST-3, type=test
//= RFC 8200 §4.1 MUST-1, type=test
//= RFC 8200 §4.4 MUST-1, type=test
#[test]
fn walks_all_that_may_stand_before() {
    let bytes = [
        header(IpProtocol::DESTINATION_OPTIONS, &ROUTER_ALERT),
        header(IpProtocol::ROUTING, &[0x1e, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        header(IpProtocol::DESTINATION_OPTIONS, &[0, 0]),
        header(IpProtocol::TCP, &[]),
        vec![0xaa; 20],
    ]
    .concat();
    assert_eq!(found(&bytes, IpProtocol::HOP_BY_HOP), (IpProtocol::TCP, 8 + 16 + 8 + 8, 40 + 32));
}

//= RFC 8200 §4.3, type=test
//= RFC 8200 §4 MUST-1, type=test
#[test]
fn hop_by_hop_options_stand_first_or_are_refused() {
    let bytes = [header(IpProtocol::HOP_BY_HOP, &[]), header(IpProtocol::TCP, &[])].concat();
    let expected = Err(ExtError::UnknownNextHeader { pointer: 40 });
    assert_eq!(upper_layer(&bytes, IpProtocol::DESTINATION_OPTIONS), expected);
    assert_eq!(upper_layer(&bytes, IpProtocol::HOP_BY_HOP), expected);
}

//= RFC 8200 §4.2, type=test
//= RFC 8200 §4.2 MUST-3, type=test
//= RFC 8200 §4.2 MUST-1, type=test
//= RFC 8200 §4.2 MUST-2, type=test
#[test]
fn an_unknown_option_does_what_its_upper_bits_say() {
    for (kind, action) in [
        (0x9e, OptionAction::Report),
        (0x5e, OptionAction::Drop),
        (0xde, OptionAction::ReportIfUnicast),
        (0xc9, OptionAction::ReportIfUnicast),
    ] {
        // After padding of both kinds, in the second header.
        let bytes =
            [header(IpProtocol::DESTINATION_OPTIONS, &[]), header(IpProtocol::TCP, &[0, 1, 1, 0, kind, 0])]
                .concat();
        let expected = Err(ExtError::UnknownOption { action, pointer: 40 + 8 + 6 });
        assert_eq!(upper_layer(&bytes, IpProtocol::HOP_BY_HOP), expected);
    }
    let skipped = header(IpProtocol::TCP, &[0x1e, 3, 1, 2, 3]);
    assert_eq!(found(&skipped, IpProtocol::HOP_BY_HOP).0, IpProtocol::TCP);
}

#[test]
fn an_option_past_the_end_of_its_header_is_malformed() {
    for options in [[0x1e, 5, 0, 0, 0, 0], [1, 5, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0x1e]] {
        let bytes = [header(IpProtocol::TCP, &options), vec![0; 40]].concat();
        assert_eq!(
            upper_layer(&bytes, IpProtocol::HOP_BY_HOP),
            Err(ExtError::Malformed(Malformed::BadOption)),
            "{options:?}"
        );
    }
}

//= RFC 8200 §4.4, type=test
//= RFC 5095 §3, type=test
//= RFC 8200 §4.4 MUST-1, type=test
//= RFC 8200 §4.4 MUST-2, type=test
#[test]
fn a_routing_header_with_segments_left_is_refused_whatever_its_type() {
    for kind in [0, 2, 4, 99] {
        let bytes = [header(IpProtocol::ROUTING, &[]), header(IpProtocol::TCP, &[kind, 1])].concat();
        let expected = Err(ExtError::UnknownRouting { pointer: 40 + 8 + 2 });
        assert_eq!(upper_layer(&bytes, IpProtocol::HOP_BY_HOP), expected);
        let bytes = header(IpProtocol::TCP, &[kind, 0]);
        assert_eq!(found(&bytes, IpProtocol::ROUTING).0, IpProtocol::TCP);
    }
}

//= RFC 8200 §4.5, type=test
#[test]
fn the_walk_ends_at_a_fragment() {
    for (field, offset, more) in [(0x0001, 0, true), (0x0008, 8, false), (0xfff9, 65_528, true)] {
        let field: u16 = field;
        let [high, low] = field.to_be_bytes();
        let fragment = [IpProtocol::DESTINATION_OPTIONS.0, 0, high, low, 1, 2, 3, 4];
        let bytes = [&header(IpProtocol::FRAGMENT, &[])[..], &fragment, &[0xff; 8]].concat();
        let upper = upper_layer(&bytes, IpProtocol::HOP_BY_HOP).unwrap();
        let identification = 0x0102_0304;
        assert_eq!(upper.fragment, Some(FragmentHeader { offset, more, identification }));
        assert_eq!((upper.protocol, upper.offset), (IpProtocol::DESTINATION_OPTIONS, 16));
        assert_eq!(upper.pointer, 40);
    }
}

//= RFC 8200 §4.5, type=test
#[test]
fn a_packet_of_one_fragment_counts_as_whole() {
    // The reserved bits count for nothing.
    let fragment = [IpProtocol::DESTINATION_OPTIONS.0, 0, 0, 6, 1, 2, 3, 4];
    let bytes = [&fragment[..], &header(IpProtocol::UDP, &[])].concat();
    assert_eq!(found(&bytes, IpProtocol::FRAGMENT), (IpProtocol::UDP, 16, 48));
}

//= RFC 8200 §4 MUST-3, type=test
#[test]
fn every_header_is_bounded_by_the_packet() {
    let bytes = [
        header(IpProtocol::ROUTING, &ROUTER_ALERT),
        header(IpProtocol::FRAGMENT, &[]),
        header(IpProtocol::DESTINATION_OPTIONS, &[]),
        header(IpProtocol::TCP, &[0x1e, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]
    .concat();
    assert_eq!(found(&bytes, IpProtocol::HOP_BY_HOP).1, bytes.len());
    for len in 0..bytes.len() {
        assert_eq!(
            upper_layer(&bytes[..len], IpProtocol::HOP_BY_HOP),
            Err(ExtError::Malformed(Malformed::Truncated)),
            "{len}"
        );
    }
}

//= RFC 8883 §3.3, type=test
//= RFC 8883 §3.4, type=test
#[test]
fn headers_and_options_are_bounded_in_number() {
    let chain = |count: usize| {
        let mut bytes = header(IpProtocol::DESTINATION_OPTIONS, &[]).repeat(count - 1);
        bytes.extend(header(IpProtocol::TCP, &[]));
        upper_layer(&bytes, IpProtocol::DESTINATION_OPTIONS).map(|upper| upper.protocol)
    };
    // A part of a packet ends the chain as well, and its header counts.
    let part_behind = |count: usize| {
        let mut bytes = header(IpProtocol::DESTINATION_OPTIONS, &[]).repeat(count - 1);
        bytes.extend(header(IpProtocol::FRAGMENT, &[]));
        bytes.extend([IpProtocol::TCP.0, 0, 0, 1, 0, 0, 0, 7]);
        upper_layer(&bytes, IpProtocol::DESTINATION_OPTIONS).map(|upper| upper.protocol)
    };
    assert_eq!(chain(MAX_EXTENSION_HEADERS), Ok(IpProtocol::TCP));
    assert_eq!(part_behind(MAX_EXTENSION_HEADERS - 1), Ok(IpProtocol::TCP));
    assert!(part_behind(MAX_EXTENSION_HEADERS).is_err());
    let pointer = 40 + 8 * (MAX_EXTENSION_HEADERS as u32 + 1);
    let excess = ExtError::BeyondLimit { limit: Limit::Headers, pointer };
    assert_eq!(chain(MAX_EXTENSION_HEADERS + 1), Err(excess));

    let options = |count: usize| {
        let bytes = header(IpProtocol::TCP, &[0x1e, 0].repeat(count));
        upper_layer(&bytes, IpProtocol::DESTINATION_OPTIONS).map(|upper| upper.protocol)
    };
    assert_eq!(options(8), Ok(IpProtocol::TCP));
    let excess = ExtError::BeyondLimit { limit: Limit::Options, pointer: 40 + 2 + 16 };
    assert_eq!(options(9), Err(excess));
}

//= RFC 8883 §3.1, type=test
#[test]
fn the_limits_are_each_headers_own() {
    let bytes = header(IpProtocol::TCP, &[0x1e, 0, 0x1e, 0, 0x1e, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let narrow = |number, length| OptionLimits { number, length };
    let of_hop_by_hop = |limits| ExtLimits { hop_by_hop: limits, ..ExtLimits::default() };
    let walk = |first, limits| upper_layer_within(&bytes, first, &limits).map(|upper| upper.protocol);
    let (first, other) = (IpProtocol::HOP_BY_HOP, IpProtocol::DESTINATION_OPTIONS);
    for limits in [narrow(3, 16), narrow(2, 16), narrow(3, 15)] {
        assert_eq!(walk(other, of_hop_by_hop(limits)), Ok(IpProtocol::TCP));
    }
    assert_eq!(walk(first, of_hop_by_hop(narrow(3, 16))), Ok(IpProtocol::TCP));
    let excess = ExtError::BeyondLimit { limit: Limit::Options, pointer: 46 };
    assert_eq!(walk(first, of_hop_by_hop(narrow(2, 16))), Err(excess));
    let excess = ExtError::BeyondLimit { limit: Limit::HeaderLen, pointer: 40 };
    assert_eq!(walk(first, of_hop_by_hop(narrow(3, 15))), Err(excess));
}

/// As Linux 6.18, which was asked.
//= RFC 8504 §5.3, type=test
//= RFC 8200 §4.2 MUST-6, type=test
#[test]
fn padding_hides_nothing() {
    let refused = Err(ExtError::Malformed(Malformed::BadOption));
    let table: [(&[u8], bool); 8] = [
        (&[1, 4, 0, 0, 0, 0], true),
        (&[1, 4, 0, 1, 0, 0], false),
        (&[0; 6], true),
        (&[0; 14], false),
        (&[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
        // Seven in a row, eight in a row, and twice six with something between.
        (&[0x1e, 5, 9, 9, 9, 9, 9, 1, 4, 0, 0, 0, 0, 0], true),
        (&[0x1e, 4, 9, 9, 9, 9, 1, 4, 0, 0, 0, 0, 0, 0], false),
        (&[1, 4, 0, 0, 0, 0, 0x1e, 0, 1, 4, 0, 0, 0, 0], true),
    ];
    for (body, taken) in table {
        for first in [IpProtocol::HOP_BY_HOP, IpProtocol::DESTINATION_OPTIONS] {
            let walked = upper_layer(&header(IpProtocol::TCP, body), first).map(|upper| upper.protocol);
            assert_eq!(walked, if taken { Ok(IpProtocol::TCP) } else { refused }, "{body:?}");
        }
    }
}

/// As Linux 6.18, which was asked.
//= RFC 2675 §3, type=test
//= RFC 2711 §2.1, type=test
#[test]
fn options_of_hop_by_hop_alone() {
    let first = |first: IpProtocol, body: &[u8]| {
        upper_layer(&header(IpProtocol::TCP, body), first).map(|upper| upper.protocol)
    };
    let (hop_by_hop, destination) = (IpProtocol::HOP_BY_HOP, IpProtocol::DESTINATION_OPTIONS);
    let malformed = Err(ExtError::Malformed(Malformed::BadOption));
    assert_eq!(first(hop_by_hop, &[0xc2, 4, 0, 0, 0, 32]), Err(ExtError::JumboPayload { pointer: 44 }));
    assert_eq!(first(hop_by_hop, &[0xc2, 4, 0, 1, 0, 32]), Err(ExtError::JumboPayload { pointer: 42 }));
    assert_eq!(first(hop_by_hop, &[0, 0, 0xc2, 4, 0, 1, 0, 32, 0, 0, 0, 0, 0, 0]), malformed);
    assert_eq!(first(hop_by_hop, &[0xc2, 3, 0, 1, 0, 0]), malformed);
    let unknown = ExtError::UnknownOption { action: OptionAction::ReportIfUnicast, pointer: 42 };
    assert_eq!(first(destination, &[0xc2, 4, 0, 1, 0, 32]), Err(unknown));
    assert_eq!(first(hop_by_hop, &ROUTER_ALERT), Ok(IpProtocol::TCP));
    assert_eq!(first(hop_by_hop, &[5, 3, 0, 0, 0, 0]), malformed);
    assert_eq!(first(destination, &[5, 3, 0, 0, 0, 0]), Ok(IpProtocol::TCP));
}

//= RFC 2711 §2.1, type=test
#[test]
fn a_router_alert_is_found_among_hop_by_hop_options() {
    let alert = |first, body: &[u8]| router_alert(&header(IpProtocol::ICMPV6, body), first);
    let hop_by_hop = IpProtocol::HOP_BY_HOP;
    assert_eq!(alert(hop_by_hop, &ROUTER_ALERT), Some(0));
    assert_eq!(alert(hop_by_hop, &[0, 1, 1, 0, 5, 2, 1, 2, 1, 4, 0, 0, 0, 0]), Some(0x102));
    assert_eq!(alert(IpProtocol::DESTINATION_OPTIONS, &ROUTER_ALERT), None);
    for without in [&[1, 4, 0, 0, 0, 0][..], &[5, 3, 0, 0, 0, 0], &[1, 1, 0, 0x3e, 200, 5]] {
        assert_eq!(alert(hop_by_hop, without), None, "{without:?}");
    }
    assert_eq!(router_alert(&[58, 0, 5, 2], hop_by_hop), None, "cut");
}
