use proptest::prelude::*;

use super::*;
use crate::buf::Frame;
use crate::counters::Counters;
use crate::discovery::Fragmentation;
use crate::iface::InterfaceId;
use crate::ip::input::{Origin, SourceRoutes, parse_v4, parse_v4_with, parse_v6};
use crate::ip::output::Outgoing;
use crate::wire::checksum::verify_transport;
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::ipv6_ext::ExtLimits;

const PAIRS: [(&str, &str); 2] = [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8:1::2")];

/// A packet of TCP or UDP as its sender gives it to a link with offloads.
fn sent(v4: bool, udp: bool, payload: usize, tcp_options: usize, ip_options: &[u8]) -> Transmit {
    let (source, destination) = PAIRS[usize::from(!v4)];
    let addresses: (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let mut headers = HeaderBlock::new();
    let payload = Rope::from((0..payload).map(|at| at as u8).collect::<Vec<u8>>());
    let (protocol, offset) = if udp {
        UdpHeader { source_port: 1000, destination_port: 9, ..UdpHeader::default() }
            .prepend_to(payload.len(), &mut headers);
        (IpProtocol::UDP, UdpHeader::CHECKSUM_OFFSET)
    } else {
        let len = 20 + tcp_options;
        let bytes = headers.prepend(len);
        bytes[TCP_DATA_OFFSET_AT] = ((len / 4) << 4) as u8;
        bytes[20..].fill(1);
        (IpProtocol::TCP, TcpHeader::CHECKSUM_OFFSET)
    };
    let len = headers.len() + payload.len();
    let checksum = PartialChecksum::begin(&mut headers, offset, addresses, protocol, len);
    let mut packet = Transmit { headers, payload, checksum: Some(checksum), segmentation: None };
    let outgoing = Outgoing {
        source: addresses.0,
        destination: addresses.1,
        protocol,
        hop_limit: 9,
        traffic_class: 8,
        fragmentation: Fragmentation::Allowed,
        identification: 77,
    };
    outgoing.prepend_to(&mut packet, &mut Counters::default()).unwrap();
    AnswerOptions::new(ip_options).unwrap().insert_into(&mut packet.headers);
    packet
}

/// The packet of IPv6 with `len` bytes of destination options: one for experiments, which who does not know it skips.
fn with_destination_options(frame: &Frame, len: usize) -> Frame {
    let mut bytes = frame.bytes.to_vec();
    let begin = [bytes[6], (len / 8 - 1) as u8, 0x1e, (len - 4) as u8];
    bytes.splice(40..40, begin.into_iter().chain(core::iter::repeat_n(0, len - 4)));
    bytes[6] = IpProtocol::DESTINATION_OPTIONS.0;
    let payload = (bytes.len() - 40) as u16;
    bytes[4..6].copy_from_slice(&payload.to_be_bytes());
    Frame { bytes: bytes.into(), ..frame.clone() }
}

fn parse(frame: &Frame) -> Packet {
    let (origin, whole) = (Origin::of(InterfaceId(1)), frame.bytes.clone());
    let counters = &mut Counters::default();
    match frame.bytes[0] >> 4 {
        4 => parse_v4(origin, frame, whole, counters).unwrap(),
        _ => parse_v6(origin, frame, whole, &ExtLimits::default(), counters).unwrap(),
    }
}

/// What comes out is what went in, but for the hop, and its checksum is right.
fn assert_passed(before: &Packet, after: &Frame) {
    let mut frame = after.clone();
    frame.checksum = Checksum::Unverified;
    let after = parse(&frame);
    assert_eq!(after.hop_limit + 1, before.hop_limit);
    assert_eq!(after.ipv4_options(), before.ipv4_options());
    let sum = verify_transport(after.source, after.destination, after.protocol, &after.payload);
    assert_eq!(sum, Checksum::Valid);
    let behind = transport_len(before).unwrap();
    assert_eq!(after.payload[behind..], before.payload[behind..]);
}

#[test]
fn what_may_leave_its_link() {
    use Passage::{BeyondScope, Closed, Open};
    for (from, to, expected) in [
        ("10.0.0.1", "10.0.1.1", Open),
        ("10.0.0.1", "224.0.0.5", Closed),
        ("10.0.0.1", "255.255.255.255", Closed),
        ("10.0.0.1", "127.0.0.1", Closed),
        ("127.0.0.1", "10.0.1.1", Closed),
        ("10.0.0.1", "0.1.2.3", Closed),
        ("0.0.0.0", "10.0.0.1", Closed),
        ("240.0.0.1", "10.0.0.1", Closed),
        ("169.254.7.7", "10.0.0.1", Closed),
        ("10.0.0.1", "169.254.7.7", Closed),
        ("224.0.0.1", "10.0.0.1", Closed),
        ("fd00::1", "2001:db8::1", Open),
        ("fe80::1", "2001:db8::1", BeyondScope),
        ("fe80::1", "fe80::2", Closed),
        ("fd00::1", "fe80::2", Closed),
        ("fd00::1", "ff0e::1", Closed),
        ("::1", "fd00::1", Closed),
        ("::", "fd00::1", Closed),
        ("fd00::1", "::1", Closed),
        ("::ffff:127.0.0.1", "fd00::1", Closed),
        ("fd00::1", "::ffff:192.0.2.1", Closed),
    ] {
        assert_eq!(passage(from.parse().unwrap(), to.parse().unwrap()), expected, "{from} {to}");
    }
}

/// The longest headers of IPv4 and TCP have room with the link's own; those of IPv6 may be longer.
#[test]
fn headers_that_have_no_room_are_summed_here() {
    let frame = sent(true, false, 500, 40, &[1; 40]).to_frame();
    assert!(onward(&parse(&frame)).unwrap().checksum.is_some());
    let frame = with_destination_options(&sent(false, false, 500, 40, &[]).to_frame(), 64);
    assert_eq!(frame.checksum, Checksum::Valid);
    let packet = parse(&frame);
    let onward = onward(&packet).unwrap();
    assert_eq!(onward.checksum, None);
    assert!(onward.headers.len() + 14 <= HEADER_BLOCK_LEN);
    assert_passed(&packet, &onward.to_frame());
    // One that the link merged can't be cut then.
    assert!(super::onward(&Packet { gso_size: Some(100), ..packet }).is_none());
}

/// A sender that leaves a checksum to its link sums for the last stop of a source route, not for the next.
#[test]
fn a_checksum_that_is_left_to_the_link_is_about_the_last_stop() {
    for udp in [false, true] {
        let mut frame = sent(true, udp, 100, 0, &[131, 11, 4, 192, 0, 2, 9, 198, 51, 100, 2, 0]).to_frame();
        let mut bytes = frame.bytes.to_vec();
        bytes[16..20].copy_from_slice(&[203, 0, 113, 7]);
        write_checksum(&mut bytes[..32]);
        frame.bytes = bytes.into();
        let (origin, whole) = (Origin::of(InterfaceId(1)), frame.bytes.clone());
        let packet =
            parse_v4_with(SourceRoutes::Taken, origin, &frame, whole, &mut Counters::default()).unwrap();
        assert!(is_left_undone(&packet));
        let mut parts = onward(&packet).unwrap().segments(Medium::Ip);
        let passed = parts.next().unwrap().to_frame();
        let last = "198.51.100.2".parse().unwrap();
        let sum = verify_transport(packet.source, last, packet.protocol, &passed.bytes[32..]);
        assert_eq!(sum, Checksum::Valid);
    }
}

#[test]
fn what_the_sender_summed_is_left_alone() {
    for v4 in [true, false] {
        let mut whole = sent(v4, true, 100, 0, &[]);
        whole.complete_checksum();
        let mut frame = whole.to_frame();
        let last = frame.bytes.len() - 1;
        let mut wrong = frame.bytes.to_vec();
        wrong[last] ^= 1;
        frame.bytes = wrong.into();
        // A router does not look, nor believes who did: the receiver does.
        for checksum in [Checksum::Unverified, Checksum::Valid] {
            frame.checksum = checksum;
            let packet = parse(&frame);
            let passed = parse(&onward(&packet).unwrap().to_frame());
            assert_eq!(passed.payload[..], packet.payload[..]);
        }
    }
}

#[test]
fn what_follows_a_datagram_changes_no_checksum() {
    let mut whole = sent(true, true, 4, 0, &[]);
    whole.complete_checksum();
    let mut bytes = whole.to_frame().bytes.to_vec();
    bytes.extend_from_slice(&[7; 4]);
    bytes[3] += 4;
    write_checksum(&mut bytes[..20]);
    let packet = parse(&Frame { checksum: Checksum::Valid, ..Frame::from(bytes) });
    let passed = parse(&onward(&packet).unwrap().to_frame());
    assert_eq!(passed.payload[..], packet.payload[..]);
}

#[test]
fn a_datagram_without_a_checksum_stays_without() {
    let mut whole = sent(true, true, 100, 0, &[]);
    whole.checksum = None;
    let at = whole.headers.len() - 2;
    whole.headers.as_mut_slice()[at..].fill(0);
    let mut frame = whole.to_frame();
    frame.checksum = Checksum::Valid;
    let passed = parse(&onward(&parse(&frame)).unwrap().to_frame());
    assert_eq!(passed.payload[6..8], [0, 0]);
}

/// TCP's header length is whatever a peer wrote.
#[test]
fn headers_that_lie_are_passed_as_they_are() {
    for length in 0..16 {
        let mut whole = sent(true, false, 3, 0, &[]);
        let at = whole.headers.len() - 8;
        whole.headers.as_mut_slice()[at] = length << 4;
        let packet = parse(&whole.to_frame());
        assert!(onward(&packet).is_some());
        assert_eq!(onward(&Packet { gso_size: Some(1), ..packet }).is_some(), length == 5, "{length}");
    }
}

proptest! {
    #[test]
    fn passes_what_it_got(
        v4: bool,
        udp: bool,
        payload in 0..3000usize,
        tcp_options in 0..=10usize,
        ip_options in 0..=10usize,
        left_to_link: bool,
        size in proptest::option::of(1..2000u16),
    ) {
        let options = vec![1; ip_options * 4];
        let mut whole = sent(v4, udp, payload, tcp_options * 4, if v4 { &options } else { &[] });
        if !left_to_link && size.is_none() {
            whole.complete_checksum();
        }
        let frame = Frame { gso_size: size, ..whole.to_frame() };
        let packet = parse(&frame);
        let onward = onward(&packet).expect("every header has room");
        prop_assert!(onward.headers.len() + 14 <= HEADER_BLOCK_LEN);
        let mut got = Vec::new();
        for part in onward.segments(Medium::Ip) {
            let frame = part.to_frame();
            prop_assert!(frame.bytes.len() <= largest_part(&packet));
            let part = parse(&frame);
            prop_assert_eq!(part.verified(), Checksum::Valid);
            prop_assert_eq!(part.hop_limit, 8);
            got.extend_from_slice(&part.payload[transport_len(&part).unwrap()..]);
        }
        prop_assert_eq!(got, &packet.payload[transport_len(&packet).unwrap()..]);
    }
}
