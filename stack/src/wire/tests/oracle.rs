//! etherparse as the second opinion: what we write, byte for byte, and what it writes, read by us.

use core::net::IpAddr;

use etherparse::{
    ArpEthIpv4Packet, IcmpEchoHeader, Icmpv4Header as TheirIcmpv4, Icmpv4Type, Icmpv6Header as TheirIcmpv6,
    Icmpv6Slice, Icmpv6Type, IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header as TheirIpv4, Ipv6FlowLabel,
    Ipv6Header as TheirIpv6, PacketBuilder, TcpHeader as TheirTcp, TcpOptionElement, TcpOptionReadError,
    UdpHeader as TheirUdp, icmpv4, icmpv6,
};
use proptest::prelude::*;

use super::{ipv4_header, ipv6_header, payload, tcp_header, written};
use crate::buf::{Checksum, Frame, HeaderBlock, Rope};
use crate::wire::arp::{ArpOperation, ArpPacket};
use crate::wire::icmp::{Echo, TimeExceededCode};
use crate::wire::icmpv4::{self as ours_v4, Icmpv4Message};
use crate::wire::icmpv6::{self as ours_v6, Icmpv6Message};
use crate::wire::ndp::{NdpMessage, NeighborAdvert, NeighborSolicit};
use crate::wire::offload::{Medium, PartialChecksum, Transmit, verify};
use crate::wire::*;

fn their_ipv4(ours: &Ipv4Header, payload_len: usize) -> TheirIpv4 {
    let mut theirs = TheirIpv4::new(
        0,
        ours.ttl,
        IpNumber(ours.protocol.0),
        ours.source.octets(),
        ours.destination.octets(),
    )
    .unwrap();
    theirs.total_len = 20 + payload_len as u16;
    theirs.dscp = IpDscp::try_new(ours.tos >> 2).unwrap();
    theirs.ecn = IpEcn::try_new(ours.tos & 3).unwrap();
    theirs.identification = ours.identification;
    theirs.dont_fragment = ours.dont_fragment;
    theirs.more_fragments = ours.more_fragments;
    theirs.fragment_offset = IpFragOffset::try_new(ours.fragment_offset / 8).unwrap();
    theirs.header_checksum = theirs.calc_header_checksum();
    theirs
}

fn their_ipv6(ours: &Ipv6Header, payload_len: usize) -> TheirIpv6 {
    TheirIpv6 {
        traffic_class: ours.traffic_class,
        flow_label: Ipv6FlowLabel::try_new(ours.flow_label).unwrap(),
        payload_length: payload_len as u16,
        next_header: IpNumber(ours.next_header.0),
        hop_limit: ours.hop_limit,
        source: ours.source.octets(),
        destination: ours.destination.octets(),
    }
}

/// Their options: what their iterator reads of ours. It knows no fast open, which stands last.
fn read_by_them(bytes: &[u8]) -> TcpOptions {
    let (theirs, _) = TheirTcp::from_slice(bytes).unwrap();
    let mut options = TcpOptions::default();
    for element in theirs.options_iterator() {
        let element = match element {
            Err(TcpOptionReadError::UnknownId(FAST_OPEN | EXPERIMENT)) => break,
            element => element.unwrap(),
        };
        match element {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.window_scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            TcpOptionElement::SelectiveAcknowledgement(first, more) => {
                options.sack = core::iter::once(first).chain(more.into_iter().flatten()).collect();
            }
            TcpOptionElement::Timestamp(value, echo) => options.timestamps = Some(Timestamps { value, echo }),
        }
    }
    options
}

/// The option's two numbers: its own, and that of experiments.
const FAST_OPEN: u8 = 34;
const EXPERIMENT: u8 = 254;

/// A packet with the transport header in `headers`, of which the checksum is left to `complete_checksum`.
fn complete(
    mut headers: HeaderBlock,
    offset: usize,
    addresses: (IpAddr, IpAddr),
    protocol: IpProtocol,
    payload: &[u8],
) -> Vec<u8> {
    let len = headers.len() + payload.len();
    let checksum = PartialChecksum::begin(&mut headers, offset, addresses, protocol, len);
    let (head, tail) = payload.split_at(payload.len() / 3);
    let mut rope = Rope::from(head);
    rope.append(Rope::from(tail));
    let mut packet = Transmit { headers, payload: rope, checksum: Some(checksum), segmentation: None };
    packet.complete_checksum();
    assert_eq!(packet.checksum, None);
    packet.to_frame().bytes.to_vec()
}

/// One spelling of the two that ones' complement has for zero.
fn same_checksum(a: u16, b: u16) -> bool {
    a % 0xffff == b % 0xffff
}

proptest! {
    #[test]
    fn ipv4_header_is_theirs(ours in ipv4_header(), payload in payload()) {
        let bytes = written(|block| {
            block.prepend(payload.len().min(40));
            ours.prepend_to(payload.len(), block);
        });
        let theirs = their_ipv4(&ours, payload.len());
        prop_assert_eq!(&bytes[..20], &theirs.to_bytes()[..]);
    }

    #[test]
    fn ipv4_header_with_options_reads_as_theirs(
        ours in ipv4_header(), words in 0usize..=10, payload in payload(), padding in 0usize..4,
    ) {
        let mut theirs = their_ipv4(&ours, payload.len() + words * 4);
        theirs.options = vec![1; words * 4][..].try_into().unwrap();
        theirs.header_checksum = theirs.calc_header_checksum();
        let mut bytes = theirs.to_bytes().to_vec();
        bytes.extend(&payload);
        bytes.extend(vec![0; padding]);
        let header_len = 20 + words * 4;
        let expected = Ipv4Header {
            header_len: header_len as u8,
            total_len: (header_len + payload.len()) as u16,
            ..ours
        };
        prop_assert_eq!(Ipv4Header::parse(&bytes), Ok(expected));
        // Any bit of it changed is noticed: by the checksum, if not before. But for those of the header's length, which
        // says what the checksum covers.
        for bit in 4..header_len * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Ipv4Header::parse(&bytes).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn ipv6_header_is_theirs(ours in ipv6_header(), payload in payload()) {
        let mut bytes = written(|block| ours.prepend_to(payload.len(), block));
        let theirs = their_ipv6(&ours, payload.len());
        prop_assert_eq!(&bytes[..], &theirs.to_bytes()[..]);
        bytes.extend(&payload);
        let expected = Ipv6Header { payload_len: payload.len() as u16, ..ours };
        prop_assert_eq!(Ipv6Header::parse(&bytes), Ok(expected));
    }

    //= RFC 9293 MUST-2, type=test
    #[test]
    fn tcp_over_ipv4_is_theirs(ip in ipv4_header(), tcp in tcp_header(), payload in payload()) {
        let mut headers = HeaderBlock::new();
        tcp.prepend_to(&mut headers);
        let addresses = (ip.source.into(), ip.destination.into());
        let bytes = complete(headers, TcpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::TCP, &payload);
        let (theirs, rest) = TheirTcp::from_slice(&bytes).unwrap();
        prop_assert_eq!(rest, &payload[..]);
        let expected =
            theirs.calc_checksum_ipv4_raw(ip.source.octets(), ip.destination.octets(), &payload).unwrap();
        prop_assert!(same_checksum(theirs.checksum, expected));
        let pieces = (theirs.source_port, theirs.destination_port, theirs.sequence_number);
        prop_assert_eq!(pieces, (tcp.source_port, tcp.destination_port, tcp.sequence));
        let pieces = (theirs.acknowledgment_number, theirs.window_size, theirs.urgent_pointer);
        prop_assert_eq!(pieces, (tcp.acknowledgment, tcp.window, tcp.urgent_pointer));
        let flags = [
            theirs.fin, theirs.syn, theirs.rst, theirs.psh, theirs.ack, theirs.urg, theirs.ece, theirs.cwr,
        ];
        for (bit, set) in flags.into_iter().enumerate() {
            prop_assert_eq!(tcp.flags.contains(TcpFlags(1 << bit)), set);
        }
        let known_to_them = TcpOptions { fast_open: None, ..tcp.options.clone() };
        prop_assert_eq!(&read_by_them(&bytes), &known_to_them);
        prop_assert_eq!(TcpHeader::parse(&bytes), Ok(tcp));
    }

    #[test]
    fn tcp_over_ipv6_checksum_is_theirs(ip in ipv6_header(), tcp in tcp_header(), payload in payload()) {
        let mut headers = HeaderBlock::new();
        tcp.prepend_to(&mut headers);
        let addresses = (ip.source.into(), ip.destination.into());
        let bytes = complete(headers, TcpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::TCP, &payload);
        let (theirs, _) = TheirTcp::from_slice(&bytes).unwrap();
        let expected =
            theirs.calc_checksum_ipv6_raw(ip.source.octets(), ip.destination.octets(), &payload).unwrap();
        prop_assert!(same_checksum(theirs.checksum, expected));
    }

    #[test]
    fn udp_is_theirs(
        v4 in ipv4_header(), v6 in ipv6_header(), ports in any::<(u16, u16)>(), payload in payload(),
    ) {
        let ours = UdpHeader { source_port: ports.0, destination_port: ports.1, length: 0, checksum: 0 };
        let mut headers = HeaderBlock::new();
        ours.prepend_to(payload.len(), &mut headers);
        let (source, destination) = (v4.source.octets(), v4.destination.octets());
        let theirs =
            TheirUdp::with_ipv4_checksum(ports.0, ports.1, &their_ipv4_to(source, destination), &payload);
        let addresses = (v4.source.into(), v4.destination.into());
        let bytes =
            complete(headers.clone(), UdpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::UDP, &payload);
        prop_assert_eq!(&bytes[..8], &theirs.unwrap().to_bytes()[..]);

        let theirs = TheirUdp::with_ipv6_checksum(ports.0, ports.1, &their_ipv6(&v6, 0), &payload).unwrap();
        let addresses = (v6.source.into(), v6.destination.into());
        let bytes = complete(headers, UdpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::UDP, &payload);
        prop_assert_eq!(&bytes[..8], &theirs.to_bytes()[..]);
        let parsed = UdpHeader::parse(&bytes).unwrap();
        prop_assert_eq!((parsed.source_port, parsed.destination_port), ports);
        prop_assert_eq!(parsed.length, theirs.length);
        prop_assert_eq!(parsed.checksum, theirs.checksum);
    }

    //= RFC 9293 MUST-3, type=test
    #[test]
    fn their_packets_verify_and_damaged_ones_do_not(
        v4 in ipv4_header(), v6 in ipv6_header(), ports in any::<(u16, u16)>(),
        payload in proptest::collection::vec(any::<u8>(), 1..100), hit in any::<prop::sample::Index>(),
    ) {
        let ethernet = || PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let over_v4 = || ethernet().ipv4(v4.source.octets(), v4.destination.octets(), 64);
        let over_v6 = || ethernet().ipv6(v6.source.octets(), v6.destination.octets(), 64);
        let mut packets: [Vec<u8>; 6] = Default::default();
        over_v4().tcp(ports.0, ports.1, 7, 8).write(&mut packets[0], &payload).unwrap();
        over_v6().tcp(ports.0, ports.1, 7, 8).write(&mut packets[1], &payload).unwrap();
        over_v4().udp(ports.0, ports.1).write(&mut packets[2], &payload).unwrap();
        over_v6().udp(ports.0, ports.1).write(&mut packets[3], &payload).unwrap();
        over_v4().icmpv4_echo_request(ports.0, ports.1).write(&mut packets[4], &payload).unwrap();
        over_v6().icmpv6_echo_request(ports.0, ports.1).write(&mut packets[5], &payload).unwrap();
        for mut packet in packets {
            prop_assert_eq!(verify(&Frame::from(packet.clone()), Medium::Ethernet), Checksum::Valid);
            prop_assert_eq!(verify(&Frame::from(packet[14..].to_vec()), Medium::Ip), Checksum::Valid);
            let mut padded = packet.clone();
            padded.extend([0xaa; 7]);
            prop_assert_eq!(verify(&Frame::from(padded), Medium::Ethernet), Checksum::Valid);
            let bit = hit.index(payload.len() * 8);
            let at = packet.len() - 1 - bit / 8;
            packet[at] ^= 1 << (bit % 8);
            prop_assert_eq!(verify(&Frame::from(packet), Medium::Ethernet), Checksum::Invalid);
        }
    }

    #[test]
    fn icmpv4_is_theirs(message in icmpv4_message(), payload in payload()) {
        let (ours, theirs) = message;
        let bytes = written(|block| ours.prepend_to(&Rope::from(&payload[..]), block));
        prop_assert_eq!(&bytes[..], &TheirIcmpv4::with_checksum(theirs, &payload).to_bytes()[..]);
        prop_assert_eq!(Icmpv4Message::parse(&bytes), Ok(ours));
    }

    #[test]
    fn icmpv6_is_theirs(message in icmpv6_message(), ip in ipv6_header(), payload in payload()) {
        let (ours, theirs) = message;
        let body = Rope::from(&payload[..]);
        let bytes = written(|block| ours.prepend_to(ip.source, ip.destination, &body, block));
        let (source, destination) = (ip.source.octets(), ip.destination.octets());
        let theirs = TheirIcmpv6::with_checksum(theirs, source, destination, &payload).unwrap();
        prop_assert_eq!(&bytes[..], &theirs.to_bytes()[..]);
        prop_assert_eq!(Icmpv6Message::parse(&ip, &bytes), Ok(ours));
    }

    #[test]
    fn ndp_reads_as_theirs(
        ip in ipv6_header(), low in any::<u64>(), flags in any::<(bool, bool, bool)>(), link in any::<Option<[u8; 5]>>(),
    ) {
        let target = core::net::Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low));
        let link = link.map(|[a, b, c, d, e]| EthernetAddress([2, a, b, c, d, e]));
        let solicit = NeighborSolicit { target, source_link: link };
        let (router, solicited, override_) = flags;
        let advert = NeighborAdvert { target, router, solicited, override_, target_link: link };
        for message in [NdpMessage::from(solicit), advert.into()] {
            let bytes = written(|block| message.prepend_to(ip.source, ip.destination, block));
            let slice = Icmpv6Slice::from_slice(&bytes).unwrap();
            prop_assert!(slice.is_checksum_valid(ip.source.octets(), ip.destination.octets()));
            let option = match slice.icmp_type() {
                Icmpv6Type::NeighborSolicitation => 1,
                Icmpv6Type::NeighborAdvertisement(theirs) => {
                    prop_assert_eq!((theirs.router, theirs.solicited, theirs.r#override), flags);
                    2
                }
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(&bytes[8..24], &target.octets());
            match link {
                Some(link) => prop_assert_eq!(&bytes[24..], &[&[option, 1][..], &link.0].concat()[..]),
                None => prop_assert_eq!(bytes.len(), 24),
            }
        }
    }

    #[test]
    fn arp_is_theirs(
        reply in any::<bool>(), sender in any::<([u8; 5], [u8; 4])>(), target in any::<([u8; 6], [u8; 4])>(),
    ) {
        let ([a, b, c, d, e], mut sender_ip) = sender;
        sender_ip[0] &= 0x7f;
        let ours = ArpPacket {
            operation: if reply { ArpOperation::Reply } else { ArpOperation::Request },
            sender_hardware: EthernetAddress([2, a, b, c, d, e]),
            sender_ip: sender_ip.into(),
            target_hardware: EthernetAddress(target.0),
            target_ip: target.1.into(),
        };
        let theirs = ArpEthIpv4Packet {
            operation: etherparse::ArpOperation(if reply { 2 } else { 1 }),
            sender_mac: ours.sender_hardware.0,
            sender_ipv4: sender_ip,
            target_mac: target.0,
            target_ipv4: target.1,
        };
        prop_assert_eq!(&written(|block| ours.prepend_to(block))[..], &theirs.to_bytes()[..]);
        prop_assert_eq!(ArpPacket::parse(&theirs.to_bytes()), Ok(ours));
    }
}

fn their_ipv4_to(source: [u8; 4], destination: [u8; 4]) -> TheirIpv4 {
    TheirIpv4::new(0, 64, IpNumber::UDP, source, destination).unwrap()
}

fn icmpv4_message() -> impl Strategy<Value = (Icmpv4Message, Icmpv4Type)> {
    use ours_v4::UnreachableCode;
    let unreachable = |code, theirs| {
        (Icmpv4Message::DestinationUnreachable { code, mtu: 0 }, Icmpv4Type::DestinationUnreachable(theirs))
    };
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(ident, sequence)| (
            Icmpv4Message::EchoRequest(Echo { ident, sequence }),
            Icmpv4Type::EchoRequest(IcmpEchoHeader { id: ident, seq: sequence }),
        )),
        any::<(u16, u16)>().prop_map(|(ident, sequence)| (
            Icmpv4Message::EchoReply(Echo { ident, sequence }),
            Icmpv4Type::EchoReply(IcmpEchoHeader { id: ident, seq: sequence }),
        )),
        any::<u16>().prop_map(|mtu| (
            Icmpv4Message::DestinationUnreachable { code: UnreachableCode::FRAGMENTATION_NEEDED, mtu },
            Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::FragmentationNeeded {
                next_hop_mtu: mtu
            }),
        )),
        Just(unreachable(UnreachableCode::NETWORK, icmpv4::DestUnreachableHeader::Network)),
        Just(unreachable(UnreachableCode::HOST, icmpv4::DestUnreachableHeader::Host)),
        Just(unreachable(UnreachableCode::PROTOCOL, icmpv4::DestUnreachableHeader::Protocol)),
        Just(unreachable(UnreachableCode::PORT, icmpv4::DestUnreachableHeader::Port)),
        Just(unreachable(UnreachableCode::FILTERED, icmpv4::DestUnreachableHeader::FilterProhibited)),
        Just((
            Icmpv4Message::TimeExceeded { code: TimeExceededCode::IN_TRANSIT },
            Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::TtlExceededInTransit),
        )),
        Just((
            Icmpv4Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY },
            Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::FragmentReassemblyTimeExceeded),
        )),
        any::<u8>().prop_map(|pointer| (
            Icmpv4Message::ParameterProblem { code: 0, pointer },
            Icmpv4Type::ParameterProblem(icmpv4::ParameterProblemHeader::PointerIndicatesError(pointer)),
        )),
    ]
}

fn icmpv6_message() -> impl Strategy<Value = (Icmpv6Message, Icmpv6Type)> {
    use ours_v6::{ParameterProblemCode, UnreachableCode};
    let unreachable = |code, theirs| {
        (Icmpv6Message::DestinationUnreachable { code }, Icmpv6Type::DestinationUnreachable(theirs))
    };
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(ident, sequence)| (
            Icmpv6Message::EchoRequest(Echo { ident, sequence }),
            Icmpv6Type::EchoRequest(IcmpEchoHeader { id: ident, seq: sequence }),
        )),
        any::<(u16, u16)>().prop_map(|(ident, sequence)| (
            Icmpv6Message::EchoReply(Echo { ident, sequence }),
            Icmpv6Type::EchoReply(IcmpEchoHeader { id: ident, seq: sequence }),
        )),
        Just(unreachable(UnreachableCode::NO_ROUTE, icmpv6::DestUnreachableCode::NoRoute)),
        Just(unreachable(UnreachableCode::PROHIBITED, icmpv6::DestUnreachableCode::Prohibited)),
        Just(unreachable(UnreachableCode::BEYOND_SCOPE, icmpv6::DestUnreachableCode::BeyondScope)),
        Just(unreachable(UnreachableCode::ADDRESS, icmpv6::DestUnreachableCode::Address)),
        Just(unreachable(UnreachableCode::PORT, icmpv6::DestUnreachableCode::Port)),
        any::<u32>().prop_map(|mtu| (Icmpv6Message::PacketTooBig { mtu }, Icmpv6Type::PacketTooBig { mtu })),
        Just((
            Icmpv6Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY },
            Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::FragmentReassemblyTimeExceeded),
        )),
        any::<u32>().prop_map(|pointer| (
            Icmpv6Message::ParameterProblem { code: ParameterProblemCode::UNKNOWN_OPTION, pointer },
            Icmpv6Type::ParameterProblem(icmpv6::ParameterProblemHeader {
                code: icmpv6::ParameterProblemCode::UnrecognizedIpv6Option,
                pointer,
            }),
        )),
    ]
}
