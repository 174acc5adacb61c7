//! Packets that come in parts: those that a script cuts, and those of the target, which are put together again.

use super::checksum;
use crate::ast::Part;

/// Bytes of IPv4's header without options, of IPv6's, and of its fragment header.
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;
/// The number of the fragment header.
const FRAGMENT: u8 = 44;

/// One part of a packet that is as [`encode`](super::encode) wrote it; `None` where it has no such bytes.
pub(in crate::run) fn cut(bytes: &[u8], part: Part, identification: u32) -> Option<Vec<u8>> {
    let (start, end) = (usize::from(part.start), usize::from(part.end));
    let is_v4 = bytes.first()? >> 4 == 4;
    let (header, payload) = bytes.split_at_checked(if is_v4 { V4_HEADER } else { V6_HEADER })?;
    let (piece, more) = (payload.get(start..end)?, end < payload.len());
    let mut header = header.to_vec();
    if is_v4 {
        header[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
        header[6..8].copy_from_slice(&((u16::from(more) << 13) | (part.start / 8)).to_be_bytes());
        return Some(sealed_v4(header, piece));
    }
    let next = std::mem::replace(&mut header[6], FRAGMENT);
    header.extend([next, 0]);
    header.extend((part.start | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    Some(sealed_v6(header, piece))
}

/// Puts an extension header behind that of IPv6. The first byte of it is its own number.
pub(in crate::run) fn insert_extension(bytes: &mut Vec<u8>, extension: u64) {
    if bytes.first().is_none_or(|first| first >> 4 != 6) || bytes.len() < V6_HEADER {
        return;
    }
    let mut header = extension.to_be_bytes();
    std::mem::swap(&mut header[0], &mut bytes[6]);
    bytes.splice(V6_HEADER..V6_HEADER, header);
    let len = (bytes.len() - V6_HEADER) as u16;
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
}

fn sealed_v4(mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let len = (header.len() + payload.len()) as u16;
    header[2..4].copy_from_slice(&len.to_be_bytes());
    header[10..12].fill(0);
    let sum = checksum(0, &header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header, payload].concat()
}

fn sealed_v6(mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let len = (header.len() - V6_HEADER + payload.len()) as u16;
    header[4..6].copy_from_slice(&len.to_be_bytes());
    [&header, payload].concat()
}

/// Fragments that wait for the others of their packets.
#[derive(Default)]
pub(in crate::run) struct Parts {
    waiting: Vec<Fragment>,
}

/// A fragment.
#[derive(Clone, Debug)]
struct Fragment {
    /// What all fragments of a packet have in common: addresses, protocol, identification.
    of: Vec<u8>,
    /// The header that the packet had before it was cut.
    header: Vec<u8>,
    offset: usize,
    more: bool,
    payload: Vec<u8>,
}

impl Parts {
    /// Takes a packet that was sent. Returns it, or what it is the last missing fragment of, with how many fragments there
    /// were; `None` while one is missing.
    pub(in crate::run) fn take(&mut self, bytes: &[u8]) -> Option<(Vec<u8>, u8)> {
        let Some(fragment) = fragment(bytes) else { return Some((bytes.to_vec(), 1)) };
        let of = fragment.of.clone();
        self.waiting.push(fragment);
        let mut all: Vec<&Fragment> = self.waiting.iter().filter(|fragment| fragment.of == of).collect();
        all.sort_by_key(|fragment| fragment.offset);
        let mut payload = Vec::new();
        for fragment in &all {
            if fragment.offset != payload.len() {
                return None;
            }
            payload.extend(&fragment.payload);
        }
        let (first, last, count) = (all.first()?, all.last()?, all.len() as u8);
        if last.more {
            return None;
        }
        let header = first.header.clone();
        let whole =
            if header[0] >> 4 == 4 { sealed_v4(header, &payload) } else { sealed_v6(header, &payload) };
        self.waiting.retain(|fragment| fragment.of != of);
        Some((whole, count))
    }
}

fn fragment(bytes: &[u8]) -> Option<Fragment> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    match bytes.first()? >> 4 {
        4 => {
            let field = word(6).filter(|field| field & 0x3fff != 0)?;
            let len = usize::from(bytes[0] & 15) * 4;
            let (header, payload) = bytes.split_at_checked(len)?;
            let of = [header.get(4..6)?, header.get(9..10)?, header.get(12..20)?].concat();
            let mut header = header.to_vec();
            // What must not be cut was not cut.
            header[6..8].fill(0);
            let (offset, more) = (usize::from(field & 0x1fff) * 8, field & 0x2000 != 0);
            Some(Fragment { of, header, offset, more, payload: payload.to_vec() })
        }
        6 if *bytes.get(6)? == FRAGMENT => {
            let (header, rest) = bytes.split_at_checked(V6_HEADER)?;
            let (own, payload) = rest.split_at_checked(FRAGMENT_HEADER)?;
            let field = word(V6_HEADER + 2)?;
            let of = [&header[8..], &own[..1], &own[4..]].concat();
            let mut header = header.to_vec();
            header[6] = own[0];
            let (offset, more) = (usize::from(field & !7), field & 1 != 0);
            Some(Fragment { of, header, offset, more, payload: payload.to_vec() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::packet::{Packet, Transport, Udp, decode, encode};

    /// A datagram of a thousand bytes, all different enough.
    fn datagram(ends: [&str; 2]) -> Packet {
        let payload = (0..1000u32).map(|n| (n * 7 % 251) as u8).collect();
        let [source, destination] = ends.map(|address| address.parse().expect("an address"));
        let transport = Transport::Udp(Udp { source_port: 1, destination_port: 2, payload });
        Packet { source, destination, traffic_class: 0, flow_label: 0, hop_limit: 64, parts: 1, transport }
    }

    const ENDS: [[&str; 2]; 2] = [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]];

    #[test]
    fn what_is_cut_is_put_together_in_any_order() {
        for ends in ENDS {
            let packet = datagram(ends);
            let whole = encode(&packet);
            let cut = |start, end| cut(&whole, Part { start, end }, 7).unwrap();
            for order in [[(0, 400), (400, 800), (800, 1008)], [(800, 1008), (0, 400), (400, 800)]] {
                let mut parts = Parts::default();
                // Another packet's part between them changes nothing.
                assert_eq!(parts.take(&self::cut(&whole, Part { start: 0, end: 8 }, 8).unwrap()), None);
                let taken: Vec<_> = order.iter().map(|(start, end)| parts.take(&cut(*start, *end))).collect();
                let [None, None, Some((again, 3))] = &taken[..] else { panic!("{taken:?}") };
                assert_eq!(decode(again), Ok(packet.clone()));
            }
        }
        assert_eq!(cut(&encode(&datagram(ENDS[0])), Part { start: 0, end: 1009 }, 7), None);
    }

    #[test]
    fn a_header_stands_between_ipv6_and_what_it_carries() {
        let mut bytes = encode(&datagram(ENDS[1]));
        let before = bytes.clone();
        insert_extension(&mut bytes, 0x3c00_0104_0000_0000);
        assert_eq!((bytes[6], &bytes[40..48]), (60, &[17, 0, 1, 4, 0, 0, 0, 0][..]));
        assert_eq!((u16::from_be_bytes([bytes[4], bytes[5]]), &bytes[48..]), (1016, &before[40..]));
        let mut v4 = encode(&datagram(ENDS[0]));
        insert_extension(&mut v4, 0x3c00_0104_0000_0000);
        assert_eq!(v4, encode(&datagram(ENDS[0])), "IPv4 has none");
    }
}
