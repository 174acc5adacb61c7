//! Packets that are too large for their way, cut into fragments.

use crate::buf::{Chunk, HeaderBlock, Rope};
use crate::wire::ipv4::write_checksum;
use crate::wire::ipv4_options::AnswerOptions;
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv6Header};

/// Cuts `packet`, which begins with an IP header and may be a fragment of IPv4 itself, into parts of at most `mtu` bytes. Its payload is not
/// copied.
///
/// What is left to the link, which could not know the whole from a part, is done here. `identification` is IPv6's;
/// IPv4's stands in the packet.
///
/// ```
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::ip::cutting::cut;
/// use tapsock_stack::wire::offload::Transmit;
/// use tapsock_stack::wire::{IpProtocol, Ipv4Header};
///
/// let mut headers = HeaderBlock::new();
/// Ipv4Header { protocol: IpProtocol(253), identification: 7, ..Ipv4Header::default() }.prepend_to(100, &mut headers);
/// let packet = Transmit { headers, payload: Rope::from(vec![1; 100]), checksum: None, segmentation: None };
/// let parts: Vec<Transmit> = cut(packet, 70, 0).collect();
/// assert_eq!(parts.iter().map(Transmit::len).collect::<Vec<_>>(), [68, 68, 24]);
/// ```
//= RFC 791 §3.2
//= RFC 8200 §4.5
//= RFC 8200 §4.5 MUST-2
//= RFC 8200 §4.5 MUST-3
//= RFC 8200 §4.5 MUST-4
//= RFC 8200 §4.5 MUST-5
pub fn cut(mut packet: Transmit, mtu: usize, identification: u32) -> impl Iterator<Item = Transmit> {
    packet.complete_checksum();
    let header = Header::of(&packet.headers, identification);
    let mut rest = Rope::new();
    // The transport's header is a part of what is cut.
    rest.push_back(Chunk::copy_from(&packet.headers[header.len()..]));
    rest.append(packet.payload);
    let most = (mtu.saturating_sub(header.len_of_part()) & !7).max(8);
    let mut offset = 0;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let payload = rest.split_to(most.min(rest.len()));
        let mut headers = HeaderBlock::new();
        header.prepend_to(offset, !rest.is_empty(), payload.len(), &mut headers);
        offset += payload.len();
        Some(Transmit { headers, payload, checksum: None, segmentation: None })
    })
}

/// The header that stands before each part.
enum Header {
    V4 { fixed: [u8; V4_LEN], options: AnswerOptions },
    V6 { fixed: [u8; Ipv6Header::LEN], identification: u32 },
}

impl Header {
    /// That of a packet which begins with `headers`.
    fn of(headers: &[u8], identification: u32) -> Self {
        match headers.first_chunk() {
            Some(fixed) if headers[0] >> 4 == 6 => Header::V6 { fixed: *fixed, identification },
            _ => {
                let mut fixed = [0; V4_LEN];
                fixed.copy_from_slice(&headers[..V4_LEN]);
                let len = usize::from(fixed[0] & 0xf) * 4;
                fixed[0] = 0x45;
                let options = headers.get(V4_LEN..len).and_then(AnswerOptions::new).unwrap_or_default();
                Header::V4 { fixed, options }
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Header::V4 { options, .. } => V4_LEN + options.len(),
            Header::V6 { .. } => Ipv6Header::LEN,
        }
    }

    /// The same with the fragment header, where there is one.
    fn len_of_part(&self) -> usize {
        match self {
            Header::V4 { options, .. } => V4_LEN + options.len(),
            Header::V6 { .. } => Ipv6Header::LEN + FRAGMENT_HEADER_LEN,
        }
    }

    fn prepend_to(&self, offset: usize, more: bool, payload: usize, headers: &mut HeaderBlock) {
        // A packet has at most 65,535 bytes.
        match self {
            Header::V4 { fixed, options } => {
                let total = (V4_LEN + payload) as u16;
                // What is cut may be a fragment itself: it began further back, and others may follow.
                let before = u16::from_be_bytes([fixed[6], fixed[7]]);
                let at = (before & V4_OFFSET) + (offset / 8) as u16;
                let field = at | (before & V4_MORE) | (u16::from(more) << 13);
                let bytes = headers.prepend(V4_LEN);
                bytes.copy_from_slice(fixed);
                bytes[2..4].copy_from_slice(&total.to_be_bytes());
                bytes[6..8].copy_from_slice(&field.to_be_bytes());
                write_checksum(bytes);
                let options = if offset == 0 { *options } else { options.copied() };
                options.insert_into(headers);
            }
            Header::V6 { fixed, identification } => {
                let fragment = headers.prepend(FRAGMENT_HEADER_LEN);
                fragment[0] = fixed[NEXT_HEADER_AT];
                let field = offset as u16 | u16::from(more);
                fragment[2..4].copy_from_slice(&field.to_be_bytes());
                fragment[4..8].copy_from_slice(&identification.to_be_bytes());
                let len = (FRAGMENT_HEADER_LEN + payload) as u16;
                let bytes = headers.prepend(Ipv6Header::LEN);
                bytes.copy_from_slice(fixed);
                bytes[4..6].copy_from_slice(&len.to_be_bytes());
                bytes[NEXT_HEADER_AT] = IpProtocol::FRAGMENT.0;
            }
        }
    }
}

/// IPv4's header without its options.
const V4_LEN: usize = 20;
/// The parts of IPv4's field of fragments: that others follow, and where it stands in its packet, in eights of bytes.
const V4_MORE: u16 = 0x2000;
const V4_OFFSET: u16 = 0x1fff;
const FRAGMENT_HEADER_LEN: usize = 8;
/// Where IPv6's header names what follows it.
const NEXT_HEADER_AT: usize = 6;

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::buf::Frame;
    use crate::config::Config;
    use crate::counters::Counters;
    use crate::discovery::Fragmentation;
    use crate::iface::InterfaceId;
    use crate::ip::fragments::{Fragments, Outcome};
    use crate::ip::input::{Origin, parse_v4, parse_v6};
    use crate::ip::output::Outgoing;
    use crate::random::Random;
    use crate::time::Instant;
    use crate::wire::Ipv4Header;
    use crate::wire::ipv6_ext::ExtLimits;

    fn packet(v4: bool, len: usize) -> Transmit {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (source, destination) = match v4 {
            true => (ip("192.0.2.1"), ip("192.0.2.2")),
            false => (ip("2001:db8::1"), ip("2001:db8::2")),
        };
        let payload = Rope::from((0..len).map(|at| (at ^ at >> 8) as u8).collect::<Vec<u8>>());
        let headers = HeaderBlock::new();
        let mut packet = Transmit { headers, payload, checksum: None, segmentation: None };
        let outgoing = Outgoing {
            source,
            destination,
            protocol: IpProtocol(253),
            hop_limit: 9,
            traffic_class: 8,
            fragmentation: Fragmentation::Allowed,
            identification: 77,
        };
        outgoing.prepend_to(&mut packet, &mut Counters::default()).unwrap();
        packet
    }

    //= RFC 791 §3.1, type=test
    #[test]
    fn the_first_part_has_all_options() {
        let mut whole = packet(true, 300);
        // A record of the route, and a router alert.
        AnswerOptions::new(&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0]).unwrap().insert_into(&mut whole.headers);
        let parts: Vec<Transmit> = cut(whole, 132, 0).collect();
        let options: Vec<&[u8]> = parts
            .iter()
            .map(|part| {
                assert!(part.len() <= 132);
                let header = Ipv4Header::parse(&part.to_frame().bytes).unwrap();
                assert_eq!(usize::from(header.total_len), part.len());
                &part.headers[20..header.header_len.into()]
            })
            .collect();
        assert_eq!(options[0], [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0]);
        assert_eq!(options[1..], [[148, 4, 0, 0]; 3]);
    }

    proptest! {
        /// What is cut becomes what it was, in whatever order its parts come.
        #[test]
        fn parts_make_the_whole(
            v4: bool,
            len in 1..65_000usize,
            mtu in 68..9000usize,
            order in any::<proptest::sample::Index>(),
        ) {
            let mtu = if v4 { mtu } else { mtu.max(1280) };
            let whole = packet(v4, len);
            let expected = whole.to_frame().bytes.to_vec();
            let mut parts: Vec<Transmit> = cut(whole, mtu, 5).collect();
            prop_assert!(parts.iter().all(|part| part.len() <= mtu));
            let count = parts.len();
            parts.rotate_left(order.index(count));
            let mut fragments = Fragments::new(&mut Random::new(1));
            let (mut counters, limits) = (Counters::default(), Config::default().fragment_limits(IpAddr::from([0; 4])));
            let mut made = None;
            for part in &parts {
                prop_assert!(made.is_none());
                let frame = Frame::from(part.to_frame().bytes);
                let (id, whole) = (Origin::of(InterfaceId(1)), frame.bytes.clone());
                let parsed = match v4 {
                    true => parse_v4(id, &frame, whole, &mut counters),
                    false => parse_v6(id, &frame, whole, &ExtLimits::default(), &mut counters),
                };
                let parsed = parsed.unwrap();
                let Some(fragment) = parsed.fragment else {
                    // A packet that fits is IPv6's of one fragment.
                    prop_assert_eq!(count, 1);
                    return Ok(());
                };
                if let Outcome::Whole(whole) =
                    fragments.on_fragment(Instant::ZERO, &parsed, &fragment, &limits, &mut 0)
                {
                    made = Some(whole);
                }
            }
            prop_assert_eq!(made, Some(expected));
            prop_assert_eq!(fragments.usage(), (0, 0));
        }
    }
}
