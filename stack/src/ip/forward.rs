//! Packets that go on to somebody else: which ones a router passes, and how they leave it (RFC 1812 §5, RFC 8200 §3).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::buf::{Checksum, Chunk, HEADER_BLOCK_LEN, HeaderBlock, Rope};
use crate::wire::checksum::{Sum, pseudo_header};
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv4_options::Ipv4Options;
use crate::wire::offload::{Medium, PartialChecksum, Segmentation, SegmentationKind, Transmit};
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use super::input::Packet;

/// Whether a packet may leave the link that it came over, as its addresses have it.
///
/// ```
/// use tapsock_stack::ip::forward::{Passage, passage};
///
/// let passage = |from: &str, to: &str| passage(from.parse().unwrap(), to.parse().unwrap());
/// assert_eq!(passage("192.0.2.1", "198.51.100.1"), Passage::Open);
/// assert_eq!(passage("192.0.2.1", "169.254.0.1"), Passage::Closed);
/// assert_eq!(passage("fe80::1", "2001:db8::1"), Passage::BeyondScope);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Passage {
    /// It may.
    Open,
    /// Its source means nothing elsewhere, of which it is told.
    BeyondScope,
    /// It may not.
    Closed,
}

/// Whether a packet with these addresses may leave the link that it came over.
///
/// Of the addresses that RFC 6890 says are not forwardable those stay that no host elsewhere can have (some of which Linux passes
/// on). As with Linux the rest (documentation, networks of providers and of the IETF) is for whoever runs the router to
/// refuse by routes: an experiment may well live in 192.0.2.0/24.
//= RFC 6890 §2.2.2
//= RFC 6890 §2.2.3
//= RFC 1812 §5.3.7
//= RFC 3927 §7
//= RFC 4291 §2.5.6
pub fn passage(source: IpAddr, destination: IpAddr) -> Passage {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            if is_global_v4(source) && is_global_v4(destination) { Passage::Open } else { Passage::Closed }
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => match () {
            () if !is_global_v6(destination) => Passage::Closed,
            //= RFC 4443 §3.1
            () if source.is_unicast_link_local() => Passage::BeyondScope,
            () if is_global_v6(source) => Passage::Open,
            () => Passage::Closed,
        },
        _ => Passage::Closed,
    }
}

/// Whether an address can be that of one host anywhere.
fn is_global_v4(address: Ipv4Addr) -> bool {
    // 0/8 is this network, 240/4 was never given out.
    let reserved = matches!(address.octets()[0], 0 | 240..);
    !(reserved || address.is_loopback() || address.is_multicast() || address.is_link_local())
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let nobody = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    let of_programs = address.to_ipv4_mapped().is_some();
    !(nobody || of_programs || address.is_unicast_link_local())
}

/// The largest packet that a packet is sent on as, in bytes: of one that the link merged, a segment.
pub fn largest_part(packet: &Packet) -> usize {
    let whole = packet.whole.len();
    let Some(size) = packet.gso_size.map(usize::from) else { return whole };
    let headers = whole - packet.payload.len() + transport_len(packet).unwrap_or(0);
    whole.min(headers + size)
}

/// The packet as it leaves, with one hop less. What the link that brought it has left undone (a checksum, the cutting of a
/// packet that it merged) is left to the link that takes it. `None` for a merged packet whose headers say that it is none,
/// or have no room.
//= RFC 1812 §5.3.1
//= RFC 8200 §3
pub fn onward(packet: &Packet) -> Option<Transmit> {
    let left_undone = packet.checksum == Checksum::Valid || packet.gso_size.is_some();
    match transport_of(packet).filter(|_| left_undone && packet.fragment.is_none()) {
        Some(transport) => with_transport(packet, &transport),
        None if packet.gso_size.is_some() => None,
        None => Some(with_ip_header(packet, packet.whole.clone())),
    }
}

/// The transport header of a packet, whose checksum may be left to the link.
#[derive(Copy, Clone)]
struct Transport {
    /// Where it begins in the packet, in bytes.
    at: usize,
    len: usize,
    /// Offset of the checksum in it, in bytes.
    checksum_at: usize,
}

/// Whether the link that brought a packet which is not merged has left its checksum undone.
pub(crate) fn is_left_undone(packet: &Packet) -> bool {
    packet.checksum == Checksum::Valid
        && transport_of(packet).is_some_and(|transport| {
            let field = transport.at + transport.checksum_at;
            packet.whole.get(field..field + 2) == Some(&pseudo_of(packet).fold().to_be_bytes()[..])
        })
}

/// The pseudo header of a packet, which names the host that it is for, though its header may name a stop on the way.
fn pseudo_of(packet: &Packet) -> Sum {
    let options = packet.ipv4_options();
    let last = Ipv4Options::parse(options).ok().and_then(|parsed| parsed.last_stop(options));
    let destination = last.map_or(packet.destination, IpAddr::V4);
    let total = u32::try_from(packet.payload.len()).unwrap_or(u32::MAX);
    pseudo_header(packet.source, destination, packet.protocol, total)
}

fn transport_of(packet: &Packet) -> Option<Transport> {
    let at = packet.whole.len() - packet.payload.len();
    let checksum_at = match packet.protocol {
        IpProtocol::TCP => TcpHeader::CHECKSUM_OFFSET,
        IpProtocol::UDP => UdpHeader::CHECKSUM_OFFSET,
        _ => return None,
    };
    Some(Transport { at, len: transport_len(packet)?, checksum_at })
}

fn transport_len(packet: &Packet) -> Option<usize> {
    let len = match packet.protocol {
        IpProtocol::TCP => usize::from(*packet.payload.get(TCP_DATA_OFFSET_AT)? >> 4) * 4,
        IpProtocol::UDP => UdpHeader::LEN,
        _ => return None,
    };
    let least = if packet.protocol == IpProtocol::TCP { TcpHeader::MIN_LEN } else { UdpHeader::LEN };
    (len >= least && len <= packet.payload.len()).then_some(len)
}

fn with_transport(packet: &Packet, transport: &Transport) -> Option<Transmit> {
    let Transport { at, len, checksum_at } = *transport;
    let field = at + checksum_at..at + checksum_at + 2;
    let v4 = packet.source.is_ipv4();
    let none = v4 && packet.protocol == IpProtocol::UDP && packet.whole[field.clone()] == [0, 0];
    if none && packet.gso_size.is_none() {
        return Some(with_ip_header(packet, packet.whole.clone()));
    }
    let pseudo = pseudo_of(packet);
    // A checksum that is complete stays its sender's: it finds what goes wrong here too, and bytes behind a datagram are
    // none of its business.
    if packet.gso_size.is_none() && packet.whole[field.clone()] != pseudo.fold().to_be_bytes() {
        return Some(with_ip_header(packet, packet.whole.clone()));
    }
    if at + len + Medium::Ethernet.header_len() > HEADER_BLOCK_LEN {
        return packet.gso_size.is_none().then(|| summed(packet, pseudo, field));
    }
    let mut headers = HeaderBlock::new();
    let bytes = headers.prepend(at + len);
    bytes.copy_from_slice(&packet.whole[..at + len]);
    bytes[field].copy_from_slice(&pseudo.fold().to_be_bytes());
    pass_hop(&mut bytes[..at]);
    let kind = match packet.protocol {
        IpProtocol::UDP => SegmentationKind::Udp,
        _ if v4 => SegmentationKind::Tcp4,
        _ => SegmentationKind::Tcp6,
    };
    Some(Transmit {
        headers,
        payload: Rope::from(packet.whole.slice(at + len..packet.whole.len())),
        checksum: Some(PartialChecksum { header_len: len as u16, offset: checksum_at as u16 }),
        segmentation: packet.gso_size.map(|size| Segmentation { kind, size }),
    })
}

/// The packet with its checksum filled in here: its headers have no room where the link could do it.
fn summed(packet: &Packet, pseudo: Sum, field: core::ops::Range<usize>) -> Transmit {
    let mut bytes = packet.whole.to_vec();
    bytes[field.clone()].fill(0);
    let mut sum = pseudo;
    sum.add_bytes(&bytes[packet.whole.len() - packet.payload.len()..]);
    let checksum = match sum.finish() {
        0 => 0xffff,
        checksum => checksum,
    };
    bytes[field].copy_from_slice(&checksum.to_be_bytes());
    with_ip_header(packet, Chunk::from(bytes))
}

/// The packet `whole`, whose bytes behind the IP header stay as they are.
fn with_ip_header(packet: &Packet, whole: Chunk) -> Transmit {
    let len = ip_header_len(packet);
    let mut headers = HeaderBlock::new();
    let bytes = headers.prepend(len);
    bytes.copy_from_slice(&whole[..len]);
    pass_hop(bytes);
    let payload = Rope::from(whole.slice(len..whole.len()));
    Transmit { headers, payload, checksum: None, segmentation: None }
}

/// Length of the IP header with the options of IPv4, and without the extension headers of IPv6, in bytes.
fn ip_header_len(packet: &Packet) -> usize {
    match packet.source {
        IpAddr::V4(_) => Ipv4Header::MIN_LEN + packet.ipv4_options().len(),
        IpAddr::V6(_) => Ipv6Header::LEN,
    }
}

/// Takes one hop off the header that `bytes` begins with. IPv4's checksum is made anew: it was right.
fn pass_hop(bytes: &mut [u8]) {
    if bytes[0] >> 4 == 6 {
        bytes[HOP_LIMIT_AT] = bytes[HOP_LIMIT_AT].saturating_sub(1);
    } else {
        let len = usize::from(bytes[0] & 0xf) * 4;
        bytes[TTL_AT] = bytes[TTL_AT].saturating_sub(1);
        write_checksum(&mut bytes[..len]);
    }
}

/// Whether routers must not cut a packet: IPv6, and IPv4 that says so.
pub fn must_stay_whole(packet: &Packet) -> bool {
    packet.source.is_ipv6() || packet.whole.get(V4_FLAGS_AT).is_some_and(|flags| flags & DONT_FRAGMENT != 0)
}

/// Offset of TCP's header length, in bytes.
const TCP_DATA_OFFSET_AT: usize = 12;
const TTL_AT: usize = 8;
const HOP_LIMIT_AT: usize = 7;
const V4_FLAGS_AT: usize = 6;
const DONT_FRAGMENT: u8 = 0x40;

#[cfg(test)]
mod tests;
