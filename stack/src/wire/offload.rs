//! What the stack leaves to the link: checksums to be filled in, segments to be cut; and the software that does
//! it for a link that can't.

use core::net::IpAddr;

use super::checksum::{Sum, pseudo_header, verify_transport};
use super::ethernet::{EtherType, EthernetHeader};
use super::ipv6_ext::upper_layer;
use super::{IpProtocol, Ipv4Header, Ipv6Header};
use crate::buf::{Checksum, Chunk, Frame, HeaderBlock, Rope};

mod segments;

pub use segments::Segments;

/// What a frame of a link begins with.
///
/// ```
/// use tapsock_stack::wire::offload::Medium;
///
/// assert_eq!(Medium::Ethernet.header_len() - Medium::Ip.header_len(), 14);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Medium {
    /// An Ethernet header (TAP, veth, a wire between hosts).
    Ethernet,
    /// The IP header (TUN, packet scripts, loopback).
    Ip,
}

impl Medium {
    /// Length of what stands before the IP header, in bytes.
    pub const fn header_len(self) -> usize {
        match self {
            Medium::Ethernet => EthernetHeader::LEN,
            Medium::Ip => 0,
        }
    }
}

/// What a link can do, told to the stack when an interface is made.
///
/// ```
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let plain = LinkCaps::plain(Medium::Ethernet, 1500);
/// assert_eq!(plain.gso_max, 0);
/// assert!(!plain.fills_checksums);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LinkCaps {
    /// What a frame begins with.
    pub medium: Medium,
    /// Largest IP packet, in bytes.
    pub mtu: usize,
    /// Largest IP packet that the link cuts into segments itself, in bytes; 0 where it cuts none.
    pub gso_max: usize,
    /// Whether `gso_max` holds for UDP too (`VIRTIO_NET_HDR_GSO_UDP_L4`).
    pub udp_gso: bool,
    /// Whether the link fills in a transport checksum left partial.
    pub fills_checksums: bool,
}

impl LinkCaps {
    /// A link that moves frames and does nothing else.
    pub const fn plain(medium: Medium, mtu: usize) -> Self {
        LinkCaps { medium, mtu, gso_max: 0, udp_gso: false, fills_checksums: false }
    }

    /// A link that cuts 64 KiB packets of TCP and UDP and fills in checksums.
    pub const fn offloading(medium: Medium, mtu: usize) -> Self {
        LinkCaps { medium, mtu, gso_max: 65_535, udp_gso: true, fills_checksums: true }
    }
}

/// Where the transport checksum stands that is yet to be filled in.
///
/// The field holds the folded sum of the pseudo-header meanwhile, as virtio's `VIRTIO_NET_HDR_F_NEEDS_CSUM` wants it.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::offload::PartialChecksum;
/// use tapsock_stack::wire::{IpProtocol, TcpHeader};
///
/// let mut headers = HeaderBlock::new();
/// TcpHeader::default().prepend_to(&mut headers);
/// let addresses = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST));
/// let len = headers.len(); // and the payload's
/// let partial =
///     PartialChecksum::begin(&mut headers, TcpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::TCP, len);
/// assert_eq!(partial, PartialChecksum { header_len: 20, offset: 16 });
/// assert_eq!(headers[16..18], [0xfe, 0x1c]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PartialChecksum {
    /// Length of the transport header, which is the last of the headers, in bytes.
    pub header_len: u16,
    /// Offset of the checksum field in the transport header, in bytes.
    pub offset: u16,
}

/// How a packet is to be cut.
///
/// ```
/// use tapsock_stack::wire::offload::{Segmentation, SegmentationKind};
///
/// let whole_frames = Segmentation { kind: SegmentationKind::Tcp4, size: 1460 };
/// assert_eq!(whole_frames.size, 1460);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Segmentation {
    /// By which protocol's rules.
    pub kind: SegmentationKind,
    /// Bytes of payload in each segment but the last.
    pub size: u16,
}

/// The protocols that links cut by.
///
/// ```
/// use tapsock_stack::wire::offload::SegmentationKind;
///
/// assert_ne!(SegmentationKind::Tcp4, SegmentationKind::Tcp6);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SegmentationKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP: each segment is a datagram of its own.
    Udp,
}

/// A frame on its way out: headers, payload by reference, and what is left to the link.
///
/// What is to be cut has a partial checksum too.
///
/// ```
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::wire::offload::Transmit;
///
/// let mut headers = HeaderBlock::new();
/// headers.prepend(14);
/// let frame =
///     Transmit { headers, payload: Rope::from(vec![7; 50]), checksum: None, segmentation: None }.to_frame();
/// assert_eq!(frame.bytes.len(), 64);
/// ```
#[derive(Clone, Debug)]
pub struct Transmit {
    /// All headers, from the link's on.
    pub headers: HeaderBlock,
    /// What follows the headers.
    pub payload: Rope,
    /// The transport checksum, where it is yet to be filled in.
    pub checksum: Option<PartialChecksum>,
    /// How the packet is to be cut, where it is larger than the MTU.
    pub segmentation: Option<Segmentation>,
}

impl PartialChecksum {
    /// Begins the checksum of the transport header that stands first in `headers`, with its checksum field at
    /// `offset`, by writing the folded sum of the pseudo-header into it. To be called before the IP header is
    /// written. `addresses` are source and destination; `len` is the length of transport header and payload, in
    /// bytes.
    pub fn begin(
        headers: &mut HeaderBlock,
        offset: usize,
        (source, destination): (IpAddr, IpAddr),
        protocol: IpProtocol,
        len: usize,
    ) -> Self {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let sum = pseudo_header(source, destination, protocol, len).fold();
        headers.as_mut_slice()[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
        PartialChecksum { header_len: headers.len() as u16, offset: offset as u16 }
    }
}

impl Transmit {
    /// Length of headers and payload, in bytes.
    pub fn len(&self) -> usize {
        self.headers.len() + self.payload.len()
    }

    /// Who sends it, where its headers begin with an IP header.
    pub fn ip_source(&self) -> Option<IpAddr> {
        match self.headers.first()? >> 4 {
            4 => self.headers.first_chunk().map(|fixed| Ipv4Header::from_fixed_part(fixed).source.into()),
            6 => self.headers.first_chunk().map(|fixed| Ipv6Header::from_fixed_part(fixed).source.into()),
            _ => None,
        }
    }

    /// Whether it holds no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills in the checksum where it was left partial. Reads all of the payload.
    ///
    /// A checksum that comes out as 0 is written as 0xffff, its other spelling, since 0 tells UDP that there is
    /// none; Linux does so for TCP too.
    //= RFC 9293 MUST-2
    //= RFC 768
    //= RFC 8200 §8.1
    //= RFC 8200 §8.1 MUST-2
    //= RFC 8200 §8.1 MUST-3
    pub fn complete_checksum(&mut self) {
        let Some(partial) = self.checksum.take() else {
            return;
        };
        let start = self.headers.len() - usize::from(partial.header_len);
        let transport = &mut self.headers.as_mut_slice()[start..];
        let mut sum = Sum::new();
        sum.add_bytes(transport);
        for chunk in self.payload.chunks() {
            sum.add_bytes(chunk);
        }
        write_transport_checksum(&mut transport[usize::from(partial.offset)..], sum);
    }

    /// Packets that the link makes of it.
    pub fn segment_count(&self) -> usize {
        let size = self.segmentation.map_or(usize::MAX, |segmentation| segmentation.size.max(1).into());
        self.payload.len().div_ceil(size).max(1)
    }

    /// The frame as its receiver sees it, in one buffer of its own.
    ///
    /// A partial checksum stays as it is, and the receiver is told that it counts as valid, as between two guests
    /// of one machine; a completed one is for the receiver to verify.
    pub fn to_frame(&self) -> Frame {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&self.headers);
        for chunk in self.payload.chunks() {
            bytes.extend_from_slice(chunk);
        }
        Frame {
            bytes: Chunk::from(bytes),
            checksum: if self.checksum.is_some() { Checksum::Valid } else { Checksum::Unverified },
            gso_size: self.segmentation.map(|segmentation| segmentation.size),
        }
    }

    /// The packets that a link without offloads sends for this one, in order, each with its checksum filled in.
    ///
    /// A packet that need not be cut comes out alone. Segments share the payload by reference.
    pub fn segments(self, medium: Medium) -> Segments {
        Segments::new(self, medium)
    }
}

/// Looks at the checksum of the TCP segment, UDP datagram or ICMP message in `frame`.
///
/// Says what the frame says where the link has looked already. [`Checksum::Unverified`] where there is no checksum
/// to look at: other protocols, fragments, and frames with a malformed header, which the stack drops and counts.
pub fn verify(frame: &Frame, medium: Medium) -> Checksum {
    match frame.checksum {
        Checksum::Unverified => verify_packet(&frame.bytes, medium).unwrap_or(Checksum::Unverified),
        known => known,
    }
}

fn verify_packet(frame: &[u8], medium: Medium) -> Option<Checksum> {
    let packet = match medium {
        Medium::Ip => frame,
        Medium::Ethernet => match EthernetHeader::parse(frame).ok()?.ether_type {
            EtherType::Ipv4 | EtherType::Ipv6 => &frame[EthernetHeader::LEN..],
            _ => return None,
        },
    };
    if packet.first()? >> 4 == 4 {
        let ip = Ipv4Header::parse(packet).ok()?;
        if ip.is_fragment() {
            return None;
        }
        let segment = &packet[usize::from(ip.header_len)..usize::from(ip.total_len)];
        return Some(verify_transport(ip.source.into(), ip.destination.into(), ip.protocol, segment));
    }
    let ip = Ipv6Header::parse(packet).ok()?;
    let payload = &packet[Ipv6Header::LEN..Ipv6Header::LEN + usize::from(ip.payload_len)];
    let upper = upper_layer(payload, ip.next_header).ok()?;
    if upper.fragment.is_some() {
        return None;
    }
    Some(verify_transport(ip.source.into(), ip.destination.into(), upper.protocol, &payload[upper.offset..]))
}

/// Writes the checksum of `sum` at the start of `field`.
fn write_transport_checksum(field: &mut [u8], sum: Sum) {
    let checksum = match sum.finish() {
        0 => 0xffff,
        checksum => checksum,
    };
    field[..2].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests;
