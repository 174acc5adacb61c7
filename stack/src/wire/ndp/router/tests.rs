use proptest::prelude::*;

use super::*;
use crate::buf::{Checksum, HEADER_BLOCK_LEN};
use crate::wire::checksum::verify_transport;

fn from(source: &str) -> Ipv6Header {
    Ipv6Header { source: source.parse().unwrap(), hop_limit: HOP_LIMIT, ..Ipv6Header::default() }
}

const HEAD: [u8; 16] = [134, 0, 0, 0, 64, 0x08, 7, 8, 0, 0, 0x75, 0x30, 0, 0, 3, 0xe8];

//= RFC 4861 §4.5, type=test
//= RFC 4861 §8.2, type=test
#[test]
fn a_redirect_is_read_as_it_was_written() {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    for target_link in [None, Some(EthernetAddress([2, 0, 0, 0, 0, 9]))] {
        for len in [0, 40, 47, 1500] {
            let redirect =
                Redirect { target: address("fe80::9"), destination: address("2001:db8::7"), target_link };
            let (source, to) = (address("fe80::1"), address("fd00::2"));
            let packet = redirect.to_packet(source, to, &Chunk::from(vec![7; len]));
            assert!(packet.len() <= IPV6_MIN_MTU && packet.headers.len() + 14 <= HEADER_BLOCK_LEN);
            let bytes = packet.to_frame().bytes;
            let ip = Ipv6Header::parse(&bytes).unwrap();
            let message = &bytes[Ipv6Header::LEN..];
            assert_eq!(usize::from(ip.payload_len), message.len());
            assert_eq!(Redirect::parse(&ip, message).as_ref(), Ok(&redirect), "{len}");
            let ends = (source.into(), to.into());
            assert_eq!(verify_transport(ends.0, ends.1, IpProtocol::ICMPV6, message), Checksum::Valid);
        }
    }
}

//= RFC 4861 §6.1.2, type=test
//= RFC 4861 §6.1.2 MUST-1, type=test
//= RFC 4861 §4.6 MUST-1, type=test
#[test]
fn advertisements_that_are_not_valid() {
    assert!(RouterAdvert::parse(&from("fe80::1"), &HEAD).is_ok());
    assert_eq!(RouterAdvert::parse(&from("2001:db8::1"), &HEAD), Err(Malformed::BadAddress));
    let routed = Ipv6Header { hop_limit: 254, ..from("fe80::1") };
    assert_eq!(RouterAdvert::parse(&routed, &HEAD), Err(Malformed::BadCode));
    assert_eq!(RouterAdvert::parse(&from("fe80::1"), &HEAD[..15]), Err(Malformed::Truncated));
    for options in [&[3, 0, 0, 0][..], &[3, 1, 0, 0], &[5]] {
        let bytes = [&HEAD, options].concat();
        assert_eq!(RouterAdvert::parse(&from("fe80::1"), &bytes), Err(Malformed::BadOption));
    }
}

/// Who is no default router has no preference as such.
//= RFC 4191 §2.1, type=test
//= RFC 4191 §2.2, type=test
#[test]
fn a_router_s_preference_counts_while_it_is_one() {
    for (bits, expected) in [
        (0x08, RoutePreference::High),
        (0, RoutePreference::Medium),
        (0x18, RoutePreference::Low),
        (0x10, RoutePreference::Medium),
    ] {
        for (lifetime, expected) in [(60, expected), (0, RoutePreference::Medium)] {
            let mut bytes = HEAD;
            (bytes[5], bytes[6], bytes[7]) = (bits, 0, lifetime);
            let advert = RouterAdvert::parse(&from("fe80::1"), &bytes).unwrap();
            assert_eq!(advert.preference, expected, "{bits:#x} {lifetime}");
        }
    }
}

//= RFC 4861 §4.2, type=test
//= RFC 4191 §2.3, type=test
//= RFC 8106 §5.1, type=test
//= RFC 4861 §9 MUST-2, type=test
//= RFC 4861 §9 MUST-6, type=test
#[test]
fn all_options_of_an_advertisement() {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let prefix = |text: &str, flags| {
        let head = [3, 4, 64, flags, 0, 0, 14, 16, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        [&head[..], &address(text).octets()].concat()
    };
    let bytes = [
        &HEAD[..],
        &[1, 1, 2, 0, 0, 0, 0, 9],
        &[5, 1, 0, 0, 0, 0, 5, 0xdc],
        &prefix("2001:db8::77", 0xc0),
        &prefix("fd00:1::", 0x40),
        &[24, 2, 48, 0x08, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 5, 0, 9],
        &[24, 1, 0, 0x18, 0xff, 0xff, 0xff, 0xff],
        // The preference that is reserved, and a prefix longer than its option.
        &[24, 1, 0, 0x10, 0, 0, 0, 60],
        &[24, 1, 32, 0, 0, 0, 0, 60],
        &[25, 3, 0, 0, 0, 0, 0, 90],
        &address("fd00::53").octets(),
        &[200, 1, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let advert = RouterAdvert::parse(&from("fe80::1"), &bytes).unwrap();
    assert_eq!(advert.preference, RoutePreference::High);
    assert_eq!(
        (advert.reachable, advert.retrans),
        (Some(Duration::from_secs(30)), Some(Duration::from_secs(1)))
    );
    assert_eq!((advert.source_link, advert.mtu), (Some(EthernetAddress([2, 0, 0, 0, 0, 9])), Some(1500)));
    let [first, second] = advert.prefixes[..] else { panic!("{advert:?}") };
    assert_eq!((first.prefix, first.on_link, first.autonomous), (address("2001:db8::"), true, true));
    assert_eq!((first.valid, first.preferred), (Some(Duration::from_secs(3600)), None));
    assert_eq!((second.prefix, second.on_link, second.autonomous), (address("fd00:1::"), false, true));
    let minute = Some(Duration::from_secs(60));
    assert_eq!(
        advert.routes,
        [
            RouteInfo {
                prefix: address("2001:db8:5::"),
                len: 48,
                preference: RoutePreference::High,
                lifetime: minute
            },
            RouteInfo { prefix: address("::"), len: 0, preference: RoutePreference::Low, lifetime: None },
        ]
    );
    assert_eq!(advert.resolvers, [(address("fd00::53"), Some(Duration::from_secs(90)))]);
}

#[test]
fn an_advertisement_brings_so_many_options_of_each_kind_and_no_more() {
    let option = |size: usize, begin: &[u8]| {
        let mut option = begin.to_vec();
        option.resize(8 * size, 7);
        option
    };
    let (prefix, route) = (option(4, &[3, 4, 64, 0xc0]), option(1, &[24, 1, 0, 0]));
    let resolvers = option(1 + 2 * 20, &[25, 1 + 2 * 20]);
    let many = MAX_OPTIONS_EACH + 5;
    let bytes = [HEAD.to_vec(), prefix.repeat(many), route.repeat(many), resolvers.repeat(2)].concat();
    let advert = RouterAdvert::parse(&from("fe80::1"), &bytes).unwrap();
    let counts = [advert.prefixes.len(), advert.routes.len(), advert.resolvers.len()];
    assert_eq!((counts, advert.left_out), ([MAX_OPTIONS_EACH; 3], 5 + 5 + 8));
    let domains = [&[31, 32, 0, 0, 0, 0, 0, 60][..], &[1, b'a', 0].repeat(80), &[0; 8]].concat();
    let advert = RouterAdvert::parse(&from("fe80::1"), &[HEAD.to_vec(), domains].concat()).unwrap();
    assert_eq!((advert.domains.len(), advert.left_out), (MAX_OPTIONS_EACH, 80 - MAX_OPTIONS_EACH));
}

//= RFC 8106 §5.2, type=test
#[test]
fn domains_of_a_search_list() {
    let list = |names: &[u8]| {
        let mut option = [&[31, 0, 0, 0, 0, 0, 0, 60][..], names].concat();
        option.resize(option.len().next_multiple_of(8), 0);
        option[1] = (option.len() / 8) as u8;
        let advert = RouterAdvert::parse(&from("fe80::1"), &[HEAD.to_vec(), option].concat()).unwrap();
        assert!(advert.domains.iter().all(|(_, lifetime)| *lifetime == Some(Duration::from_secs(60))));
        advert.domains.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(list(b"\x03lab\x07example\x00"), ["lab.example"]);
    assert_eq!(list(b"\x03lab\x07example\x00\x03a_b\x00\x00\x00"), ["lab.example", "a_b"]);
    assert_eq!(list(b"\x00\x00\x00"), [""; 0]);
    // A name that is cut short, compressed, too long, or none of a host ends it.
    assert_eq!(list(b"\x01a\x00\x3flab"), ["a"]);
    assert_eq!(list(b"\x01a\x00\x03lab\xc0\x08\x00"), ["a"]);
    assert_eq!(list(b"\x01a\x00\x03l.b\x00\x01b\x00"), ["a"]);
    assert_eq!(list(&[&[63][..], &[b'x'; 63], &[0]].concat()), ["x".repeat(63)]);
    assert_eq!(list(&[&[63][..], &[b'x'; 63]].concat().repeat(4)), [""; 0]);
}

//= RFC 4861 §8.1, type=test
//= RFC 4861 §8.1 MUST-1, type=test
#[test]
fn redirects_that_are_valid_and_not() {
    let message = |target: &str, destination: &str| {
        let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        [&[137, 0, 0, 0, 0, 0, 0, 0][..], &octets(target), &octets(destination), &[2, 1, 2, 0, 0, 0, 0, 5]]
            .concat()
    };
    let to_router = message("fe80::2", "2001:db8::9");
    let redirect = Redirect::parse(&from("fe80::1"), &to_router).unwrap();
    assert_eq!(redirect.target_link, Some(EthernetAddress([2, 0, 0, 0, 0, 5])));
    assert!(Redirect::parse(&from("fe80::1"), &message("2001:db8::9", "2001:db8::9")).is_ok());
    let refused = [message("2001:db8::8", "2001:db8::9"), message("fe80::2", "ff02::1")];
    for bytes in refused {
        assert_eq!(Redirect::parse(&from("fe80::1"), &bytes), Err(Malformed::BadAddress));
    }
    assert_eq!(Redirect::parse(&from("2001:db8::1"), &to_router), Err(Malformed::BadAddress));
    assert_eq!(Redirect::parse(&from("fe80::1"), &to_router[..39]), Err(Malformed::Truncated));
}

//= RFC 7527 §4.1, type=test
#[test]
fn a_probe_has_its_nonce() {
    let target: Ipv6Addr = "fe80::1:2:3".parse().unwrap();
    let bytes = probe(target, Some([1, 2, 3, 4, 5, 6]));
    let ip = Ipv6Header::parse(&bytes).unwrap();
    assert!(is_probe(ip.source, ip.destination) && ip.hop_limit == 255);
    assert_eq!(nonce_of(&bytes[40..]), Some([1, 2, 3, 4, 5, 6]));
    assert_eq!(nonce_of(&probe(target, None)[40..]), None);
    let read = super::super::NdpMessage::parse(&ip, &bytes[40..]);
    let expected = super::super::NeighborSolicit { target, source_link: None };
    assert_eq!(read, Ok(expected.into()), "others read it as well");
}

proptest! {
    #[test]
    fn anything_can_be_read(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(code) = bytes.get_mut(1) { *code = 0; }
        if let Ok(advert) = RouterAdvert::parse(&from("fe80::1"), &bytes) {
            prop_assert!(advert.prefixes.len() <= MAX_OPTIONS_EACH);
        }
        let _ = Redirect::parse(&from("fe80::1"), &bytes);
        nonce_of(&bytes);
    }
}
