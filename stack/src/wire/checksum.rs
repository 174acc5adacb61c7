//! The Internet checksum (RFC 1071).

use core::net::IpAddr;

use super::IpProtocol;
use crate::buf::Checksum;

/// A ones' complement sum of 16-bit words, being made.
///
/// Bytes may come in chunks of any length: an odd one shifts those after it by a byte, as if all had come at once.
///
/// ```
/// use tapsock_stack::wire::checksum::Sum;
///
/// let mut sum = Sum::new();
/// sum.add_bytes(&[0x00, 0x01, 0xf2]);
/// sum.add_bytes(&[0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.fold(), 0xddf2);
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Sum {
    /// Words in native byte order: RFC 1071 §2 (B) lets the sum be made in either, and swapped at the end.
    /// Each addition is below 2^17, so it can't overflow.
    sum: u64,
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Sum { sum: 0, odd: false }
    }

    /// Adds `bytes`, which follow all bytes added before.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let partial = fold(sum_words(bytes));
        self.sum += u64::from(if self.odd { partial.swap_bytes() } else { partial });
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds a 16-bit field of host byte order.
    pub fn add_u16(&mut self, value: u16) {
        let value = value.to_be();
        self.sum += u64::from(if self.odd { value.swap_bytes() } else { value });
    }

    /// Adds a 32-bit field of host byte order.
    pub fn add_u32(&mut self, value: u32) {
        self.add_u16((value >> 16) as u16);
        self.add_u16(value as u16);
    }

    /// The sum itself, in host byte order: 0xffff over bytes that hold their own right checksum. It is what a
    /// partial checksum field holds.
    pub const fn fold(&self) -> u16 {
        u16::from_be(fold(self.sum))
    }

    /// The checksum: the complement of the sum, in host byte order.
    pub const fn finish(&self) -> u16 {
        !self.fold()
    }

    /// Whether the bytes added hold their own right checksum.
    pub const fn is_valid(&self) -> bool {
        self.fold() == 0xffff
    }
}

/// The sum of the pseudo-header that TCP, UDP and ICMPv6 count in. `len` is the length of the transport header
/// with its payload, in bytes. Both addresses are of one family.
//= RFC 9293 §3.1
//= RFC 8200 §8.1
//= RFC 8200 §8.1 MUST-1
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: IpProtocol, len: u32) -> Sum {
    let mut sum = Sum::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => sum.add_u32(address.to_bits()),
            IpAddr::V6(address) => sum.add_bytes(&address.octets()),
        }
    }
    sum.add_u32(len);
    sum.add_u16(u16::from(protocol.0));
    sum
}

/// Looks at the checksum of `segment`, a whole TCP segment, UDP datagram or ICMP message without anything after it.
///
/// [`Checksum::Unverified`] for other protocols, and where the header is not all there.
//= RFC 9293 MUST-3
//= RFC 8200 §8.1 MUST-4
pub fn verify_transport(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    segment: &[u8],
) -> Checksum {
    let mut segment = segment;
    let mut sum = match protocol {
        IpProtocol::ICMP if segment.len() >= 4 => Sum::new(),
        IpProtocol::ICMPV6 if segment.len() >= 4 => pseudo(source, destination, protocol, segment),
        IpProtocol::TCP if segment.len() >= 20 => pseudo(source, destination, protocol, segment),
        IpProtocol::UDP => {
            let Some(&[_, _, _, _, len_high, len_low, sum_high, sum_low]) = segment.first_chunk() else {
                return Checksum::Unverified;
            };
            if [sum_high, sum_low] == [0, 0] {
                //= RFC 768
                //= RFC 8200 §8.1
                return if source.is_ipv4() { Checksum::Valid } else { Checksum::Invalid };
            }
            let len = usize::from(u16::from_be_bytes([len_high, len_low]));
            if len < 8 || len > segment.len() {
                return Checksum::Unverified;
            }
            segment = &segment[..len];
            pseudo(source, destination, protocol, segment)
        }
        _ => return Checksum::Unverified,
    };
    sum.add_bytes(segment);
    if sum.is_valid() { Checksum::Valid } else { Checksum::Invalid }
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: IpProtocol, segment: &[u8]) -> Sum {
    pseudo_header(source, destination, protocol, u32::try_from(segment.len()).unwrap_or(u32::MAX))
}

/// Adds words of native byte order with end-around carry; a byte left over counts as the first of its word.
///
/// Four words at a time, so that one block does not wait for the carry of the block before: 64 KiB take 1.3 µs
/// where a single chain of carries takes 5.
fn sum_words(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut sum = 0;
    for block in blocks {
        let ([a, b, c, d], []) = block.as_chunks::<8>() else {
            break;
        };
        let (block, carry) = word(a).overflowing_add(word(b));
        let (block, carry) = block.carrying_add(word(c), carry);
        let (block, carry) = block.carrying_add(word(d), carry);
        sum = add_with_carry(sum, block, carry);
    }
    let (words, rest) = rest.as_chunks::<8>();
    for bytes in words {
        sum = add_with_carry(sum, word(bytes), false);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add_with_carry(sum, word(&last), false)
}

/// `word` and `carry` are together below 2^64: a sum that carries is at most 2^64 - 2. So the carry out of their
/// addition always fits into its result.
fn add_with_carry(sum: u64, word: u64, carry: bool) -> u64 {
    let (sum, carry) = sum.carrying_add(word, carry);
    sum + u64::from(carry)
}

fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_ne_bytes(*bytes)
}

const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

#[cfg(test)]
mod tests;
