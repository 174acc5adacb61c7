//! One packet of which some parts have come.

use std::collections::BTreeMap;

use crate::buf::Chunk;
use crate::iface::InterfaceId;
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv6_ext::FragmentHeader;

use super::{IPV6_FIXED, Packet, Refusal, Turn, useful_len};

/// The parts of a packet that came so far. Their bytes are copied: a part must not keep the buffer of its frame.
#[derive(Debug)]
pub(super) struct Assembly {
    turn: Turn,
    /// By offset; no two share a byte.
    parts: BTreeMap<u16, Box<[u8]>>,
    /// Bytes in `parts`.
    come: usize,
    /// Where the packet ends, once its last part has come.
    end: Option<usize>,
    /// The highest byte that came, and one.
    reach: usize,
    /// What stood before the payload of the part at offset 0.
    headers: Option<Headers>,
    interface: InterfaceId,
    /// The ECN fields that came, a bit each.
    ecn: u8,
}

#[derive(Debug)]
struct Headers {
    bytes: Box<[u8]>,
    /// The protocol behind the fragment header, and where its number is to stand (IPv6).
    protocol: u8,
    protocol_at: usize,
}

impl Assembly {
    /// What a packet takes beside its parts, and a part beside its bytes.
    pub(super) const OVERHEAD: usize = 512;
    const PART_OVERHEAD: usize = 64;

    pub(super) fn new(turn: Turn, interface: InterfaceId) -> Self {
        Assembly {
            turn,
            parts: BTreeMap::new(),
            come: 0,
            end: None,
            reach: 0,
            headers: None,
            interface,
            ecn: 0,
        }
    }

    pub(super) fn turn(&self) -> Turn {
        self.turn
    }

    /// The memory that it is charged for, in bytes.
    pub(super) fn memory(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, |headers| headers.bytes.len());
        Self::OVERHEAD + self.come + self.parts.len() * Self::PART_OVERHEAD + headers
    }

    /// Where the part came in that came last.
    pub(super) fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// Adds a part that makes sense for itself.
    //= RFC 815 §3
    //= RFC 8200 §4.5 MUST-10
    //= RFC 8200 §4.5 MUST-11
    pub(super) fn add(&mut self, packet: &Packet, fragment: &FragmentHeader) -> Result<(), Refusal> {
        let (start, len) = (usize::from(fragment.offset), useful_len(packet, fragment));
        let end = start + len;
        // Of the end they must all say the same.
        let contradicts = match self.end {
            Some(known) => end > known || !fragment.more && end != known,
            None => !fragment.more && end < self.reach,
        };
        if contradicts {
            return Err(Refusal::Overlap);
        }
        if let Some((at, before)) = self.parts.range(..=fragment.offset).next_back() {
            let before_end = usize::from(*at) + before.len();
            if before_end >= end {
                return Err(Refusal::Duplicate);
            }
            if before_end > start {
                return Err(Refusal::Overlap);
            }
        }
        if self.parts.range(fragment.offset..).next().is_some_and(|(at, _)| usize::from(*at) < end) {
            return Err(Refusal::Overlap);
        }
        self.ecn |= 1 << (packet.traffic_class & 3);
        self.interface = packet.interface;
        self.reach = self.reach.max(end);
        if !fragment.more {
            self.end = Some(end);
        }
        if start == 0 {
            self.headers = Some(Headers {
                bytes: Box::from(&packet.whole[..packet.whole.len() - packet.payload.len()]),
                protocol: packet.protocol.0,
                protocol_at: packet.protocol_offset as usize,
            });
        }
        self.come += len;
        self.parts.insert(fragment.offset, Box::from(&packet.payload[..len]));
        Ok(())
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.headers.is_some() && self.end == Some(self.come)
    }

    /// The first part as it came.
    pub(super) fn first_fragment(&self) -> Option<Chunk> {
        let headers = self.headers.as_ref()?;
        let payload = self.parts.get(&0).map(|part| &part[..]).unwrap_or_default();
        Some(Chunk::from([&headers.bytes, payload].concat()))
    }

    /// The packet, from the IP header on, with headers as those of one that was never cut.
    //= RFC 1122 §3.2.1.4 MUST-1
    //= RFC 1122 §3.3.2 MUST-1
    //= RFC 1122 §3.3.2 MUST-2
    //= RFC 1122 §3.3.2 SHLD-1
    //= RFC 8200 §5 MUST-4
    //= RFC 1122 §3.3.2 MUST-3
    pub(super) fn join(self) -> Result<Vec<u8>, Refusal> {
        let Some(Headers { bytes: headers, protocol, protocol_at }) = self.headers else {
            return Err(Refusal::Ragged);
        };
        let mut whole = Vec::with_capacity(headers.len() + self.come);
        let v4 = headers[0] >> 4 == 4;
        let first = if v4 { headers[1] & 3 } else { headers[1] >> 4 & 3 };
        let ecn = joint_ecn(first, self.ecn).ok_or(Refusal::MixedEcn)?;
        let kept = if v4 { headers.len() } else { headers.len().saturating_sub(FRAGMENT_HEADER_LEN) };
        whole.extend_from_slice(&headers[..kept]);
        self.parts.values().for_each(|part| whole.extend_from_slice(part));
        let total = if v4 { whole.len() } else { whole.len() + FRAGMENT_HEADER_LEN - IPV6_FIXED };
        let total = u16::try_from(total).map_err(|_| Refusal::TooLong)?;
        if v4 {
            whole[1] = whole[1] & !3 | ecn;
            whole[2..4].copy_from_slice(&total.to_be_bytes());
            whole[6..8].fill(0);
            write_checksum(&mut whole[..kept]);
        } else {
            whole[1] = whole[1] & !0x30 | ecn << 4;
            whole[4..6].copy_from_slice(&total.to_be_bytes());
            whole[protocol_at] = protocol;
        }
        Ok(whole)
    }
}

/// The ECN field of a packet whose first part had `first`, and all together those of `seen`, a bit each. `None` where
/// they can't be of one packet. Of both capable ones the first's stays, as on Linux.
//= RFC 3168 §5.3
//= RFC 3168 §5.3 MUST-1
//= RFC 3168 §5.3 MUST-2
//= RFC 3168 §5.3 MUST-3
//= RFC 3168 §5.3 MUST-4
fn joint_ecn(first: u8, seen: u8) -> Option<u8> {
    const NOT_CAPABLE: u8 = 1 << 0;
    const CONGESTED: u8 = 1 << 3;
    match seen {
        NOT_CAPABLE => Some(0),
        _ if seen & NOT_CAPABLE != 0 => None,
        _ if seen & CONGESTED != 0 => Some(3),
        _ => Some(first),
    }
}

const FRAGMENT_HEADER_LEN: usize = 8;
