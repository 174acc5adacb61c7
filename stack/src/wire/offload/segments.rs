//! Cutting a large packet into those that a link can carry.

use core::net::IpAddr;

use super::{Medium, PartialChecksum, Segmentation, SegmentationKind, Transmit, write_transport_checksum};
use crate::buf::Rope;
use crate::wire::checksum::pseudo_header;
use crate::wire::ipv4::{Ipv4Header, write_checksum};
use crate::wire::ipv6::Ipv6Header;
use crate::wire::{IpProtocol, TcpFlags};

/// The packets that a [`Transmit`] is cut into, in order: see [`Transmit::segments`].
///
/// ```
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::offload::{Medium, Transmit};
///
/// let mut headers = HeaderBlock::new();
/// headers.prepend(20)[0] = 0x45;
/// let small = Transmit { headers, payload: vec![0; 8].into(), checksum: None, segmentation: None };
/// assert_eq!(small.segments(Medium::Ip).count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Segments {
    /// The headers of the first segment, and the payload not yet sent. `None` when all is sent.
    rest: Option<Transmit>,
    plan: Option<Plan>,
    /// Segments cut so far.
    index: usize,
    /// Bytes of payload in them.
    done: usize,
}

/// How each segment's headers differ from the whole packet's.
#[derive(Copy, Clone, Debug)]
struct Plan {
    /// Bytes of payload in each segment but the last, at least 1.
    size: usize,
    protocol: IpProtocol,
    /// Where the IP header begins.
    ip: usize,
    /// Where the transport header begins.
    transport: usize,
    source: IpAddr,
    destination: IpAddr,
}

impl Segments {
    pub(super) fn new(mut packet: Transmit, medium: Medium) -> Self {
        let plan = packet.segmentation.take().and_then(|how| Plan::new(&packet, how, medium));
        if plan.is_none() {
            packet.complete_checksum();
        }
        Segments { rest: Some(packet), plan, index: 0, done: 0 }
    }
}

impl Iterator for Segments {
    type Item = Transmit;

    /// Ends after as many segments as the payload has bytes, at most.
    fn next(&mut self) -> Option<Transmit> {
        let Some(plan) = self.plan else {
            return self.rest.take();
        };
        let rest = self.rest.as_mut()?;
        let payload = rest.payload.split_to(plan.size);
        let place = Place { index: self.index, offset: self.done, last: rest.payload.is_empty() };
        self.index += 1;
        self.done += payload.len();
        let segment = plan.segment(rest, payload, place);
        if place.last {
            self.rest = None;
        }
        Some(segment)
    }
}

/// Where a segment stands in the whole packet.
#[derive(Copy, Clone)]
struct Place {
    index: usize,
    /// Bytes of payload before it.
    offset: usize,
    last: bool,
}

impl Plan {
    /// `None` where the packet fits, or is not what `how` says: it then goes out whole.
    fn new(packet: &Transmit, how: Segmentation, medium: Medium) -> Option<Self> {
        let size = usize::from(how.size);
        if size == 0 || packet.payload.len() <= size {
            return None;
        }
        let PartialChecksum { header_len, .. } = packet.checksum?;
        let transport = packet.headers.len().checked_sub(usize::from(header_len))?;
        let ip = medium.header_len();
        let bytes = packet.headers.get(ip..transport)?;
        let (protocol, needed) = match how.kind {
            SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => (IpProtocol::TCP, TCP_FLAGS_OFFSET + 1),
            SegmentationKind::Udp => (IpProtocol::UDP, UDP_LENGTH_OFFSET + 2),
        };
        if usize::from(header_len) < needed {
            return None;
        }
        let (source, destination) = match bytes.first()? >> 4 {
            4 => {
                let ip = Ipv4Header::from_fixed_part(bytes.first_chunk()?);
                (ip.source.into(), ip.destination.into())
            }
            _ => {
                let ip = Ipv6Header::from_fixed_part(bytes.first_chunk()?);
                (ip.source.into(), ip.destination.into())
            }
        };
        Some(Plan { size, protocol, ip, transport, source, destination })
    }

    fn segment(&self, whole: &Transmit, payload: Rope, place: Place) -> Transmit {
        let mut headers = whole.headers.clone();
        let (outer, transport) = headers.as_mut_slice().split_at_mut(self.transport);
        self.amend_ip(&mut outer[self.ip..], transport.len() + payload.len(), place.index);
        let len = transport.len() + payload.len();
        if self.protocol == IpProtocol::TCP {
            amend_tcp(transport, place);
        } else {
            let len = u16::try_from(len).unwrap_or(u16::MAX);
            transport[UDP_LENGTH_OFFSET..][..2].copy_from_slice(&len.to_be_bytes());
        }
        if let Some(partial) = whole.checksum {
            let field = usize::from(partial.offset);
            transport[field..field + 2].fill(0);
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            let mut sum = pseudo_header(self.source, self.destination, self.protocol, len);
            sum.add_bytes(transport);
            for chunk in payload.chunks() {
                sum.add_bytes(chunk);
            }
            write_transport_checksum(&mut transport[field..], sum);
        }
        Transmit { headers, payload, checksum: None, segmentation: None }
    }

    /// `ip` is the IP header with all up to the transport header, `len` the length of transport header and payload.
    fn amend_ip(&self, ip: &mut [u8], len: usize, index: usize) {
        let len = ip.len() + len;
        if self.source.is_ipv4() {
            // The identification counts on from segment to segment, as Linux's inet_gso_segment has it.
            let identification = u16::from_be_bytes([ip[4], ip[5]]).wrapping_add(index as u16);
            ip[2..4].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
            ip[4..6].copy_from_slice(&identification.to_be_bytes());
            write_checksum(ip);
        } else {
            let len = u16::try_from(len - Ipv6Header::LEN).unwrap_or(u16::MAX);
            ip[4..6].copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// FIN and PSH stand on the last segment only, CWR on the first only (RFC 3168 §6.1.2: it is sent once).
fn amend_tcp(header: &mut [u8], place: Place) {
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    header[4..8].copy_from_slice(&sequence.wrapping_add(place.offset as u32).to_be_bytes());
    let mut flags = TcpFlags(header[TCP_FLAGS_OFFSET]);
    if !place.last {
        flags.remove(TcpFlags::FIN | TcpFlags::PSH);
    }
    if place.index > 0 {
        flags.remove(TcpFlags::CWR);
    }
    header[TCP_FLAGS_OFFSET] = flags.0;
}

const TCP_FLAGS_OFFSET: usize = 13;
const UDP_LENGTH_OFFSET: usize = 4;
