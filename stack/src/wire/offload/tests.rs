use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::tests::{ipv4_header, ipv6_header, tcp_header};
use crate::wire::{EthernetAddress, TcpFlags, TcpHeader, UdpHeader};

/// A packet to be cut, and the headers that each of its segments is to have.
#[derive(Clone, Debug)]
struct Large {
    medium: Medium,
    ip: Ip,
    transport: Transport,
    size: u16,
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Ip {
    V4(Ipv4Header),
    V6(Ipv6Header),
}

#[derive(Clone, Debug)]
enum Transport {
    Tcp(TcpHeader),
    Udp(UdpHeader),
}

impl Large {
    /// The packet with `payload` alone, its checksum left partial.
    fn packet(&self, payload: &[u8]) -> Transmit {
        let mut headers = HeaderBlock::new();
        let (protocol, offset) = match &self.transport {
            Transport::Tcp(tcp) => {
                tcp.prepend_to(&mut headers);
                (IpProtocol::TCP, TcpHeader::CHECKSUM_OFFSET)
            }
            Transport::Udp(udp) => {
                udp.prepend_to(payload.len(), &mut headers);
                (IpProtocol::UDP, UdpHeader::CHECKSUM_OFFSET)
            }
        };
        let len = headers.len() + payload.len();
        let addresses = match &self.ip {
            Ip::V4(ip) => (ip.source.into(), ip.destination.into()),
            Ip::V6(ip) => (ip.source.into(), ip.destination.into()),
        };
        let checksum = PartialChecksum::begin(&mut headers, offset, addresses, protocol, len);
        let ether_type = match &self.ip {
            Ip::V4(ip) => {
                Ipv4Header { protocol, ..*ip }.prepend_to(len, &mut headers);
                EtherType::Ipv4
            }
            Ip::V6(ip) => {
                Ipv6Header { next_header: protocol, ..*ip }.prepend_to(len, &mut headers);
                EtherType::Ipv6
            }
        };
        if self.medium == Medium::Ethernet {
            let destination = EthernetAddress([2, 0, 0, 0, 0, 2]);
            EthernetHeader { destination, source: EthernetAddress([2, 0, 0, 0, 0, 1]), ether_type }
                .prepend_to(&mut headers);
        }
        let kind = match (&self.transport, &self.ip) {
            (Transport::Udp(_), _) => SegmentationKind::Udp,
            (Transport::Tcp(_), Ip::V4(_)) => SegmentationKind::Tcp4,
            (Transport::Tcp(_), Ip::V6(_)) => SegmentationKind::Tcp6,
        };
        let (head, tail) = payload.split_at(payload.len() / 2);
        let mut rope = Rope::from(head);
        rope.append(Rope::from(tail));
        let segmentation = Some(Segmentation { kind, size: self.size });
        Transmit { headers, payload: rope, checksum: Some(checksum), segmentation }
    }

    /// The segments, each built from the beginning.
    fn expected(&self) -> Vec<Vec<u8>> {
        let pieces: Vec<&[u8]> = self.payload.chunks(usize::from(self.size)).collect();
        let mut out = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut one = self.clone();
            if let Ip::V4(ip) = &mut one.ip {
                ip.identification = ip.identification.wrapping_add(index as u16);
            }
            if let Transport::Tcp(tcp) = &mut one.transport {
                tcp.sequence = tcp.sequence.wrapping_add((index * usize::from(self.size)) as u32);
                if index + 1 < pieces.len() {
                    tcp.flags.remove(TcpFlags::FIN | TcpFlags::PSH);
                }
                if index > 0 {
                    tcp.flags.remove(TcpFlags::CWR);
                }
            }
            let mut packet = one.packet(piece);
            packet.complete_checksum();
            out.push(packet.to_frame().bytes.to_vec());
        }
        out
    }
}

fn large() -> impl Strategy<Value = Large> {
    let medium = prop_oneof![Just(Medium::Ethernet), Just(Medium::Ip)];
    let whole = |ip| Ipv4Header { more_fragments: false, fragment_offset: 0, ..ip };
    let ip = prop_oneof![ipv4_header().prop_map(move |ip| Ip::V4(whole(ip))), ipv6_header().prop_map(Ip::V6)];
    let ports = any::<(u16, u16)>();
    let udp = ports.prop_map(|(source_port, destination_port)| {
        Transport::Udp(UdpHeader { source_port, destination_port, ..UdpHeader::default() })
    });
    let transport = prop_oneof![tcp_header().prop_map(Transport::Tcp), udp];
    let payload = proptest::collection::vec(any::<u8>(), 1..5000);
    (medium, ip, transport, 100u16..1500, payload).prop_map(|(medium, ip, transport, size, payload)| Large {
        medium,
        ip,
        transport,
        size,
        payload,
    })
}

proptest! {
    #[test]
    fn segments_are_as_if_built_one_by_one(large in large()) {
        let segments: Vec<Transmit> = large.packet(&large.payload).segments(large.medium).collect();
        let expected = large.expected();
        prop_assert_eq!(segments.len(), expected.len());
        for (segment, expected) in segments.iter().zip(&expected) {
            prop_assert_eq!(segment.checksum, None);
            prop_assert_eq!(segment.segmentation, None);
            let frame = segment.to_frame();
            prop_assert_eq!(&frame.bytes[..], &expected[..]);
            prop_assert_eq!(verify(&frame, large.medium), Checksum::Valid);
        }
    }
}

/// 64 KiB from a link that cuts: more than an IPv4 length can say.
#[test]
fn a_packet_too_long_for_its_length_field_comes_out_right() {
    let large = Large {
        medium: Medium::Ip,
        ip: Ip::V4(Ipv4Header::default()),
        transport: Transport::Tcp(TcpHeader { header_len: 20, ..TcpHeader::default() }),
        size: 1460,
        payload: vec![0x5a; 65_536],
    };
    let whole = large.packet(&large.payload);
    assert_eq!(whole.headers[2..4], [0xff, 0xff]);
    let frames: Vec<Vec<u8>> =
        whole.segments(Medium::Ip).map(|segment| segment.to_frame().bytes.to_vec()).collect();
    assert_eq!(frames.len(), 45);
    assert_eq!(frames, large.expected());
}

fn datagram(ip: Ip, payload: &[u8]) -> Transmit {
    let transport = Transport::Udp(UdpHeader { source_port: 1, destination_port: 2, ..UdpHeader::default() });
    let large = Large { medium: Medium::Ip, ip, transport, size: 100, payload: Vec::new() };
    Transmit { segmentation: None, ..large.packet(payload) }
}

fn loopback_v6() -> Ip {
    let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    Ip::V6(Ipv6Header { source, destination, ..Ipv6Header::default() })
}

#[test]
fn what_need_not_be_cut_comes_out_alone() {
    for size in [0, 100] {
        let mut packet = datagram(loopback_v6(), &[1; 100]);
        packet.segmentation = Some(Segmentation { kind: SegmentationKind::Udp, size });
        let segments: Vec<Transmit> = packet.segments(Medium::Ip).collect();
        assert_eq!(segments.len(), 1);
        assert_eq!((segments[0].checksum, segments[0].len()), (None, 148));
        assert_eq!(verify(&segments[0].to_frame(), Medium::Ip), Checksum::Valid);
    }
}

//= RFC 768, type=test
//= RFC 8200 §8.1, type=test
//= RFC 8200 §8.1 MUST-2, type=test
//= RFC 8200 §8.1 MUST-3, type=test
#[test]
fn a_udp_checksum_of_zero_is_written_as_ones() {
    for ip in [Ip::V4(Ipv4Header::default()), loopback_v6()] {
        let mut packet = datagram(ip.clone(), &[0, 0]);
        packet.complete_checksum();
        // With its own checksum as the payload, the sum is that of a checksum that is zero.
        let at = packet.headers.len() - 2;
        let checksum = packet.headers[at..].to_vec();
        let mut packet = datagram(ip, &checksum);
        packet.complete_checksum();
        assert_eq!(packet.headers[at..], [0xff, 0xff]);
        assert_eq!(verify(&packet.to_frame(), Medium::Ip), Checksum::Valid);
    }
}

#[test]
fn a_frame_says_what_is_known_of_it() {
    let mut packet = datagram(loopback_v6(), &[1; 300]);
    packet.segmentation = Some(Segmentation { kind: SegmentationKind::Udp, size: 100 });
    let frame = packet.to_frame();
    assert_eq!((frame.checksum, frame.gso_size), (Checksum::Valid, Some(100)));
    assert_eq!(frame.bytes.len(), packet.len());
    assert_eq!(verify(&frame, Medium::Ip), Checksum::Valid, "the link's word counts");
    let invalid = Frame { checksum: Checksum::Invalid, ..frame };
    assert_eq!(verify(&invalid, Medium::Ip), Checksum::Invalid);

    packet.complete_checksum();
    assert_eq!(packet.to_frame().checksum, Checksum::Unverified);
    let once = packet.headers.to_vec();
    packet.complete_checksum();
    assert_eq!(packet.headers[..], once[..], "a complete one is left alone");
}

#[test]
fn nothing_is_said_of_fragments_and_strangers() {
    let first = Ipv4Header { more_fragments: true, ..Ipv4Header::default() };
    let last = Ipv4Header { fragment_offset: 8, ..Ipv4Header::default() };
    for ip in [first, last] {
        let mut packet = datagram(Ip::V4(ip), &[1; 100]);
        packet.complete_checksum();
        assert_eq!(verify(&packet.to_frame(), Medium::Ip), Checksum::Unverified);
    }

    let mut headers = HeaderBlock::new();
    headers.prepend(92).fill(0x11);
    UdpHeader { checksum: 1, ..UdpHeader::default() }.prepend_to(92, &mut headers);
    headers.prepend(8).copy_from_slice(&[17, 0, 0, 1, 0, 0, 0, 1]);
    let ip = Ipv6Header { next_header: IpProtocol::FRAGMENT, ..Ipv6Header::default() };
    let bytes = headers.to_vec();
    let mut headers = HeaderBlock::new();
    ip.prepend_to(bytes.len(), &mut headers);
    let frame = Frame::from([&headers[..], &bytes].concat());
    assert_eq!(verify(&frame, Medium::Ip), Checksum::Unverified);

    let mut headers = HeaderBlock::new();
    headers.prepend(46);
    let (source, destination) = (EthernetAddress::default(), EthernetAddress::BROADCAST);
    EthernetHeader { destination, source, ether_type: EtherType::Arp }.prepend_to(&mut headers);
    assert_eq!(verify(&Frame::from(headers.to_vec()), Medium::Ethernet), Checksum::Unverified);
    assert_eq!(verify(&Frame::from(Vec::new()), Medium::Ip), Checksum::Unverified);
}

/// A UDP datagram that says nothing of itself: told apart by the family.
#[test]
fn no_udp_checksum_at_all() {
    for (ip, expected) in
        [(Ip::V4(Ipv4Header::default()), Checksum::Valid), (loopback_v6(), Checksum::Invalid)]
    {
        let mut packet = datagram(ip, &[1; 10]);
        packet.checksum = None;
        let at = packet.headers.len() - 2;
        packet.headers.as_mut_slice()[at..].fill(0);
        assert_eq!(verify(&packet.to_frame(), Medium::Ip), expected);
    }
}

#[test]
fn partial_checksum_holds_the_pseudo_header() {
    let mut headers = HeaderBlock::new();
    UdpHeader { source_port: 9, destination_port: 9, ..UdpHeader::default() }.prepend_to(4, &mut headers);
    let addresses = (Ipv4Addr::new(1, 2, 3, 4).into(), Ipv4Addr::new(5, 6, 7, 8).into());
    let partial = PartialChecksum::begin(&mut headers, 6, addresses, IpProtocol::UDP, 12);
    assert_eq!(partial, PartialChecksum { header_len: 8, offset: 6 });
    let sum: u16 = 0x0102 + 0x0304 + 0x0506 + 0x0708 + 17 + 12;
    assert_eq!(headers[6..8], sum.to_be_bytes());
}
