//! What sequences send: letters, in messages of ICMP where the socket takes nothing else.

use tapsock::bsd::{AF_INET, IPPROTO_ICMP, IPPROTO_ICMPV6};

/// Echo requests of ICMP and ICMPv6.
const REQUEST: u8 = 8;
const REQUEST6: u8 = 128;
/// Types that nobody has: Photuris, and private experimentation (RFC 4443).
const ODD: u8 = 40;
const ODD6: u8 = 200;
/// One of so many messages is of such a type.
const ODD_OF: u8 = 16;

/// `len` bytes that begin with the letter that `next` stands for.
pub(super) fn letters(next: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + next.wrapping_add((at % 251) as u8) % 26).collect()
}

/// A message with its checksum, which IPv6's sockets and ping sockets fill in themselves.
pub(super) fn message(domain: i32, protocol: i32, next: u8, len: usize) -> Vec<u8> {
    let mut data = letters(next, len);
    if ![IPPROTO_ICMP, IPPROTO_ICMPV6].contains(&protocol) {
        return data;
    }
    let kind = match (domain == AF_INET, next.is_multiple_of(ODD_OF)) {
        (true, false) => REQUEST,
        (true, true) => ODD,
        (false, false) => REQUEST6,
        (false, true) => ODD6,
    };
    let header = [kind, 0, 0, 0, 1, 2, 0, next];
    let known = header.len().min(len);
    data[..known].copy_from_slice(&header[..known]);
    if domain == AF_INET && known == header.len() {
        let sum = checksum(&data);
        data[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    data
}

/// RFC 1071.
fn checksum(data: &[u8]) -> u16 {
    let words = data.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
