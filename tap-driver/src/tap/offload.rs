//! `struct virtio_net_hdr`: what stands before a frame on a device that leaves checksums and cutting to others.
//!
//! <https://docs.oasis-open.org/virtio/virtio/v1.3/virtio-v1.3.html>, §5.1.6; Linux's `linux/virtio_net.h`. TAP
//! devices and packet sockets use the legacy layout, in the machine's own byte order.

use tapsock_stack::buf::Checksum;
use tapsock_stack::wire::ipv6_ext::upper_layer;
use tapsock_stack::wire::offload::{Medium, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::{
    EtherType, EthernetHeader, IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader,
};

/// Length of the header with `num_buffers`, which TAP devices are told to use.
pub(crate) const HEADER_LEN: usize = 12;
/// Length of the header without it, which packet sockets use.
pub(crate) const SHORT_HEADER_LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
/// A datagram that is to be sent in fragments.
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// The segments of a TCP packet with CWR: only the first has it.
const GSO_ECN: u8 = 0x80;

/// The byte of TCP's flags in its header, and CWR among them.
const TCP_FLAGS: usize = 13;
const TCP_CWR: u8 = 0x80;

/// Where the IP headers name what they carry.
const IPV4_PROTOCOL: usize = 9;
const IPV6_NEXT_HEADER: usize = 6;

/// What the header of a received frame says of it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    pub(crate) checksum: Checksum,
    pub(crate) gso_size: Option<u16>,
}

/// The header for a frame to be sent. Its first [`SHORT_HEADER_LEN`] bytes are the short one.
pub(crate) fn encode(transmit: &Transmit) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let Some(partial) = transmit.checksum else {
        return header;
    };
    let start = transmit.headers.len().saturating_sub(usize::from(partial.header_len));
    header[0] = F_NEEDS_CSUM;
    header[6..8].copy_from_slice(&(start as u16).to_ne_bytes());
    header[8..10].copy_from_slice(&partial.offset.to_ne_bytes());
    if let Some(segmentation) =
        transmit.segmentation.filter(|cut| transmit.payload.len() > usize::from(cut.size))
    {
        header[1] = gso_type(segmentation, &transmit.headers[start..]);
        header[2..4].copy_from_slice(&(transmit.headers.len() as u16).to_ne_bytes());
        header[4..6].copy_from_slice(&segmentation.size.to_ne_bytes());
    }
    header
}

/// Reads the header of a received frame: [`SHORT_HEADER_LEN`] bytes or more, or none on a link without such headers.
///
/// A checksum that the sender has left partial never went over a wire, so the sender vouches for it.
///
/// `None` where the header can't be of that frame: where Linux's TAP devices refuse the same (EINVAL), and where it speaks
/// of segments of another protocol than the frame's. Other processes may write what they like.
pub(crate) fn decode(header: &[u8], frame: &[u8], medium: Medium) -> Option<Received> {
    let Some(header) = header.first_chunk::<SHORT_HEADER_LEN>() else {
        return Some(Received { checksum: Checksum::Unverified, gso_size: None });
    };
    let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let ([flags, gso_type, ..], header_len, size) = (*header, usize::from(word(2)), word(4));
    let (start, offset) = (usize::from(word(6)), usize::from(word(8)));
    let partial = (flags & F_NEEDS_CSUM != 0).then_some(offset);
    let first = medium.header_len() + Ipv4Header::MIN_LEN;
    let misplaced = partial.is_some() && (start < first || start + offset + 2 > frame.len());
    if header_len > frame.len() || misplaced {
        return None;
    }
    let gso_size = match gso_type {
        GSO_NONE => None,
        kind => segment_size(kind, size, partial, protocol_of(frame, medium)?)?,
    };
    let checksum =
        if flags & (F_NEEDS_CSUM | F_DATA_VALID) == 0 { Checksum::Unverified } else { Checksum::Valid };
    Some(Received { checksum, gso_size })
}

/// How long the segments are of a frame of that IP version and protocol, where it consists of several; `None` where it
/// can't. A partial checksum is `partial` bytes into the transport header.
fn segment_size(
    gso_type: u8,
    size: u16,
    partial: Option<usize>,
    protocol: (u8, IpProtocol),
) -> Option<Option<u16>> {
    let field = match (gso_type, protocol) {
        (kind, (4, IpProtocol::TCP)) if kind & !GSO_ECN == GSO_TCPV4 => TcpHeader::CHECKSUM_OFFSET,
        (kind, (6, IpProtocol::TCP)) if kind & !GSO_ECN == GSO_TCPV6 => TcpHeader::CHECKSUM_OFFSET,
        (GSO_UDP_L4, (_, IpProtocol::UDP)) if partial.is_some() => UdpHeader::CHECKSUM_OFFSET,
        (GSO_UDP, (_, IpProtocol::UDP)) => UdpHeader::CHECKSUM_OFFSET,
        _ => return None,
    };
    let fits = partial.is_none_or(|offset| offset == field) && !matches!(size, 0 | u16::MAX);
    fits.then_some((gso_type != GSO_UDP).then_some(size))
}

/// The IP version and the protocol of what is in a frame.
fn protocol_of(frame: &[u8], medium: Medium) -> Option<(u8, IpProtocol)> {
    let packet = match medium {
        Medium::Ip => frame,
        Medium::Ethernet => match EthernetHeader::parse(frame).ok()?.ether_type {
            EtherType::Ipv4 | EtherType::Ipv6 => &frame[EthernetHeader::LEN..],
            _ => return None,
        },
    };
    let version = packet.first()? >> 4;
    let protocol = match version {
        4 => IpProtocol(*packet.get(IPV4_PROTOCOL)?),
        6 => {
            let next = IpProtocol(*packet.get(IPV6_NEXT_HEADER)?);
            upper_layer(packet.get(Ipv6Header::LEN..)?, next).ok()?.protocol
        }
        _ => return None,
    };
    Some((version, protocol))
}

fn gso_type(segmentation: Segmentation, transport: &[u8]) -> u8 {
    let ecn = match transport.get(TCP_FLAGS) {
        Some(flags) if flags & TCP_CWR != 0 => GSO_ECN,
        _ => 0,
    };
    match segmentation.kind {
        SegmentationKind::Tcp4 => GSO_TCPV4 | ecn,
        SegmentationKind::Tcp6 => GSO_TCPV6 | ecn,
        SegmentationKind::Udp => GSO_UDP_L4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapsock_stack::buf::{HeaderBlock, Rope};
    use tapsock_stack::wire::offload::PartialChecksum;

    /// A frame with an IP header of that version and `len` bytes behind it.
    fn frame(version: u8, protocol: IpProtocol, len: usize) -> Vec<u8> {
        let mut headers = HeaderBlock::new();
        let ether_type = match version {
            4 => {
                Ipv4Header { protocol, ..Ipv4Header::default() }.prepend_to(len, &mut headers);
                EtherType::Ipv4
            }
            _ => {
                Ipv6Header { next_header: protocol, ..Ipv6Header::default() }.prepend_to(len, &mut headers);
                EtherType::Ipv6
            }
        };
        let (source, destination) = Default::default();
        EthernetHeader { destination, source, ether_type }.prepend_to(&mut headers);
        [&headers[..], &vec![0; len]].concat()
    }

    /// A header with the fields in their order: flags, type, length of headers, size, start, offset.
    fn header(flags: u8, gso_type: u8, [header_len, size, start, offset]: [u16; 4]) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&[flags, gso_type]);
        for (at, word) in [(2, header_len), (4, size), (6, start), (8, offset)] {
            header[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        header
    }

    fn tcp(payload: usize, flags: u8, kind: SegmentationKind) -> Transmit {
        let mut headers = HeaderBlock::new();
        headers.prepend(20)[TCP_FLAGS] = flags;
        headers.prepend(34);
        Transmit {
            headers,
            payload: Rope::from(vec![0; payload]),
            checksum: Some(PartialChecksum { header_len: 20, offset: 16 }),
            segmentation: Some(Segmentation { kind, size: 1460 }),
        }
    }

    fn words(header: [u8; HEADER_LEN]) -> [u16; 4] {
        [2, 4, 6, 8].map(|at| u16::from_ne_bytes([header[at], header[at + 1]]))
    }

    #[test]
    fn a_packet_to_be_cut() {
        let header = encode(&tcp(5000, 0x18, SegmentationKind::Tcp4));
        assert_eq!(header[..2], [F_NEEDS_CSUM, GSO_TCPV4]);
        assert_eq!(words(header), [54, 1460, 34, 16]);
        let received = decode(&header, &frame(4, IpProtocol::TCP, 5020), Medium::Ethernet);
        assert_eq!(received, Some(Received { checksum: Checksum::Valid, gso_size: Some(1460) }));
        assert_eq!(encode(&tcp(5000, 0x98, SegmentationKind::Tcp6))[1], GSO_TCPV6 | GSO_ECN);
        assert_eq!(encode(&tcp(5000, 0x98, SegmentationKind::Udp))[1], GSO_UDP_L4);
    }

    #[test]
    fn a_packet_that_fits_is_not_to_be_cut() {
        let header = encode(&tcp(1460, 0x18, SegmentationKind::Tcp4));
        assert_eq!(header[..2], [F_NEEDS_CSUM, GSO_NONE]);
        assert_eq!(words(header), [0, 0, 34, 16]);
    }

    #[test]
    fn a_finished_packet_has_an_empty_header() {
        let done = Transmit { checksum: None, segmentation: None, ..tcp(10, 0, SegmentationKind::Tcp4) };
        assert_eq!(encode(&done), [0; HEADER_LEN]);
        let unverified = Received { checksum: Checksum::Unverified, gso_size: None };
        for none in [&[][..], &[0; HEADER_LEN]] {
            assert_eq!(decode(none, &[0; 60], Medium::Ethernet), Some(unverified));
        }
    }

    #[test]
    fn a_checksum_that_the_device_has_verified_counts() {
        let mut header = [0; SHORT_HEADER_LEN];
        header[0] = F_DATA_VALID;
        let received = decode(&header, &[0; 60], Medium::Ethernet);
        assert_eq!(received.map(|received| received.checksum), Some(Checksum::Valid));
    }

    /// What Linux 6.18 takes of those who write to a TAP device, and what it refuses.
    #[test]
    fn headers_that_can_not_be_of_their_frame_are_refused() {
        const ECN_V4: u8 = GSO_TCPV4 | GSO_ECN;
        let [tcp4, tcp6] = [4, 6].map(|version| frame(version, IpProtocol::TCP, 3020));
        let [udp4, udp6] = [4, 6].map(|version| frame(version, IpProtocol::UDP, 3008));
        let mut optioned = frame(6, IpProtocol::HOP_BY_HOP, 3028);
        optioned[54..62].copy_from_slice(&[6, 0, 1, 4, 0, 0, 0, 0]);
        let mut arp = tcp4.clone();
        arp[13] = 6;
        let len = tcp4.len() as u16;
        type Row<'a> = (&'a str, &'a [u8], u8, u8, [u16; 4], Option<Option<u16>>);
        let (whole, pieces) = (Some(None), Some(Some(1000)));
        let table: [Row<'_>; 37] = [
            ("a checksum to be filled in", &tcp4, 1, 0, [0, 0, 34, 16], whole),
            ("flags of others", &tcp4, 0xfc, 0, [0; 4], whole),
            ("headers as long as the frame", &tcp4, 0, 0, [len, 0, 0, 0], whole),
            ("longer headers", &tcp4, 0, 0, [len + 1, 0, 0, 0], None),
            ("a checksum that nobody asks for", &tcp4, 0, 0, [0, 0, 0xffff, 0xffff], whole),
            ("its last place", &tcp4, 1, 0, [0, 0, len - 2, 0], whole),
            ("half behind the end", &tcp4, 1, 0, [0, 0, len - 1, 0], None),
            ("behind the end", &tcp4, 1, 0, [0, 0, 34, len], None),
            ("far behind it", &tcp4, 1, 0, [0, 0, 0xffff, 0xffff], None),
            ("past the largest number", &tcp4, 1, 0, [0, 0, 0xfffe, 4], None),
            ("a start in the link's header", &tcp4, 1, 0, [0, 0, 2, 0], None),
            ("a start in the IP header", &tcp4, 1, 0, [0, 0, 14, 16], None),
            ("a size of what is not cut", &tcp4, 1, 0, [0, 1000, 34, 16], whole),
            ("TCP over IPv4", &tcp4, 1, GSO_TCPV4, [54, 1000, 34, 16], pieces),
            ("no length of headers", &tcp4, 1, GSO_TCPV4, [0, 1000, 34, 16], pieces),
            ("CWR", &tcp4, 1, ECN_V4, [54, 1000, 34, 16], pieces),
            ("no partial checksum", &tcp4, 0, GSO_TCPV4, [54, 1000, 0, 0], pieces),
            ("a verified one", &tcp4, 2, GSO_TCPV4, [54, 1000, 0, 0], pieces),
            ("the checksum of UDP", &tcp4, 1, GSO_TCPV4, [54, 1000, 34, 6], None),
            ("no size", &tcp4, 1, GSO_TCPV4, [54, 0, 34, 16], None),
            ("the largest size", &tcp4, 1, GSO_TCPV4, [54, 0xffff, 34, 16], None),
            ("CWR of nothing", &tcp4, 1, GSO_ECN, [54, 1000, 34, 16], None),
            ("a type that there is not", &tcp4, 1, 2, [54, 1000, 34, 16], None),
            ("a tunnel", &tcp4, 1, 0x20 | GSO_TCPV4, [54, 1000, 34, 16], None),
            ("UDP of TCP", &tcp4, 1, GSO_UDP_L4, [54, 1000, 34, 6], None),
            ("IPv6 of IPv4", &tcp4, 1, GSO_TCPV6, [54, 1000, 34, 16], None),
            ("of ARP", &arp, 1, GSO_TCPV4, [54, 1000, 34, 16], None),
            ("of nothing", &tcp4[..14], 0, GSO_TCPV4, [0, 1000, 0, 0], None),
            ("TCP over IPv6", &tcp6, 1, GSO_TCPV6, [74, 1000, 54, 16], pieces),
            ("behind options", &optioned, 1, GSO_TCPV6, [82, 1000, 62, 16], pieces),
            ("IPv4 of IPv6", &tcp6, 1, GSO_TCPV4, [74, 1000, 54, 16], None),
            ("datagrams", &udp4, 1, GSO_UDP_L4, [42, 1000, 34, 6], pieces),
            ("datagrams over IPv6", &udp6, 1, GSO_UDP_L4, [62, 1000, 54, 6], pieces),
            ("datagrams without a partial checksum", &udp4, 0, GSO_UDP_L4, [42, 1000, 0, 0], None),
            ("datagrams with CWR", &udp4, 1, GSO_UDP_L4 | GSO_ECN, [42, 1000, 34, 6], None),
            ("TCP of UDP", &udp4, 1, GSO_TCPV4, [42, 1000, 34, 16], None),
            ("one datagram, for fragments", &udp4, 1, GSO_UDP, [42, 1000, 34, 6], whole),
        ];
        for (what, frame, flags, gso_type, words, expected) in table {
            let received = decode(&header(flags, gso_type, words), frame, Medium::Ethernet);
            assert_eq!(received.map(|received| received.gso_size), expected, "{what}");
            // The same without the link's header.
            if frame.len() > 54 {
                let [header_len, size, start, offset] = words;
                let words = [header_len.saturating_sub(14), size, start.saturating_sub(14), offset];
                let received = decode(&header(flags, gso_type, words), &frame[14..], Medium::Ip);
                let expected = if what == "of ARP" { pieces } else { expected };
                assert_eq!(received.map(|received| received.gso_size), expected, "{what}, of bare IP");
            }
        }
    }
}
