//! Packets that raw sockets send: with a header of the application's, or with a checksum that it asks for.

use core::net::{IpAddr, Ipv4Addr};

use crate::buf::{Chunk, HeaderBlock, Rope};
use crate::wire::checksum::{Sum, pseudo_header};
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header};

/// A packet that begins with an IPv4 header of its sender's. `None` where the header is not all there.
///
/// As Linux does: the total length and the checksum are always written, the source and the identification where they
/// are zero; a packet that may not be cut keeps an identification of zero. ip(7), raw(7).
pub(crate) fn with_header_v4(packet: Rope, source: Ipv4Addr, identification: u16) -> Option<Transmit> {
    let mut first = [0; 1];
    packet.copy_to(&mut first);
    let header_len = usize::from(first[0] & 0x0f) * 4;
    if packet.len() < Ipv4Header::MIN_LEN.max(header_len) || header_len < Ipv4Header::MIN_LEN {
        return None;
    }
    let total_len = u16::try_from(packet.len()).ok()?;
    let (mut headers, payload) = split_header(packet, header_len);
    let header = headers.as_mut_slice();
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    let may_be_cut = header[6] & DONT_FRAGMENT == 0;
    if header[4..6] == [0, 0] && may_be_cut {
        header[4..6].copy_from_slice(&identification.to_be_bytes());
    }
    if header[12..16] == [0; 4] {
        header[12..16].copy_from_slice(&source.octets());
    }
    header[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add_bytes(header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    Some(Transmit { headers, payload, checksum: None, segmentation: None })
}

/// A packet that begins with an IPv6 header of its sender's, of which nothing is changed. `None` where it is not all
/// there.
pub(crate) fn with_header_v6(packet: Rope) -> Option<Transmit> {
    if packet.len() < Ipv6Header::LEN {
        return None;
    }
    let (headers, payload) = split_header(packet, Ipv6Header::LEN);
    Some(Transmit { headers, payload, checksum: None, segmentation: None })
}

/// `payload` with its checksum, which stands at `offset`, filled in; whatever stood there counts as zero. `None` where
/// the field does not end within it.
//= RFC 3542 §3.1
pub(crate) fn checksummed(
    payload: &Rope,
    offset: usize,
    (source, destination): (IpAddr, IpAddr),
    protocol: IpProtocol,
) -> Option<Rope> {
    if offset + 2 > payload.len() {
        return None;
    }
    let (mut whole, rest) = (payload.slice(0..offset), payload.slice(offset + 2..payload.len()));
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut sum = pseudo_header(source, destination, protocol, len);
    whole.chunks().for_each(|chunk| sum.add_bytes(chunk));
    sum.add_bytes(&[0, 0]);
    rest.chunks().for_each(|chunk| sum.add_bytes(chunk));
    let checksum = match sum.finish() {
        //= RFC 8200 §8.1
        0 if protocol == IpProtocol::UDP => 0xffff,
        checksum => checksum,
    };
    whole.push_back(Chunk::copy_from(&checksum.to_be_bytes()));
    whole.append(rest);
    Some(whole)
}

fn split_header(mut packet: Rope, len: usize) -> (HeaderBlock, Rope) {
    let mut headers = HeaderBlock::new();
    packet.copy_to(headers.prepend(len));
    packet.advance(len);
    (headers, packet)
}

/// The bit of it in the byte where it stands.
const DONT_FRAGMENT: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn written(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; 26];
        bytes[0] = 0x45;
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        change(&mut bytes);
        bytes
    }

    fn sent(bytes: Vec<u8>) -> Vec<u8> {
        with_header_v4(Rope::from(bytes), US, 0x1234).unwrap().to_frame().bytes.to_vec()
    }

    #[test]
    fn what_is_zero_in_a_header_is_filled_in() {
        let packet = sent(written(|_| {}));
        let header = Ipv4Header::parse(&packet).unwrap();
        assert_eq!((header.source, header.identification, header.total_len), (US, 0x1234, 26));
        let packet = sent(written(|bytes| bytes[6] = DONT_FRAGMENT));
        assert_eq!(Ipv4Header::parse(&packet).unwrap().identification, 0);
        let packet = sent(written(|bytes| {
            bytes[2..6].copy_from_slice(&[9, 9, 0, 7]);
            bytes[10..16].copy_from_slice(&[1, 2, 9, 9, 9, 9]);
        }));
        let header = Ipv4Header::parse(&packet).unwrap();
        assert_eq!((header.source, header.identification), (Ipv4Addr::new(9, 9, 9, 9), 7));
    }

    #[test]
    fn a_header_that_is_not_all_there_is_refused() {
        let refused = |bytes: Vec<u8>| with_header_v4(Rope::from(bytes), US, 1).is_none();
        assert!(refused(Vec::new()));
        assert!(refused(written(|_| {})[..19].to_vec()));
        assert!(refused(written(|bytes| bytes[0] = 0x44)));
        assert!(refused(written(|bytes| bytes[0] = 0x47)));
        assert!(!refused(written(|bytes| bytes[0] = 0x46)));
        assert!(with_header_v6(Rope::from(vec![0x60; 39])).is_none());
        assert!(with_header_v6(Rope::from(vec![0x60; 40])).is_some());
    }

    /// What Linux 6.18 sent for the same bytes from ::1 to ::1, protocol 200, with IPV6_CHECKSUM at 2.
    #[test]
    fn checksums_as_linux_fills_them_in() {
        let us = IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16]);
        let filled = |bytes: &[u8]| checksummed(&Rope::from(bytes), 2, (us, us), IpProtocol(200));
        assert_eq!(filled(b"abcdefg").unwrap().to_vec(), b"ab\xd1eefg");
        assert_eq!(filled(b"abcd").unwrap().to_vec(), b"ab\x9d\xcf");
        assert!(filled(b"abc").is_none());
        assert!(filled(b"").is_none());
    }
}
