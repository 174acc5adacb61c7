//! The IPv4 header (RFC 791).

use core::net::Ipv4Addr;

use super::checksum::Sum;
use super::{IpProtocol, Malformed};
use crate::buf::HeaderBlock;

/// An IPv4 header. Options are skipped when it is read, and never written.
///
/// ```
/// use core::net::Ipv4Addr;
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::{IpProtocol, Ipv4Header};
///
/// let header = Ipv4Header {
///     source: Ipv4Addr::new(192, 0, 2, 1),
///     destination: Ipv4Addr::new(192, 0, 2, 2),
///     protocol: IpProtocol::ICMP,
///     ttl: 64,
///     dont_fragment: true,
///     ..Ipv4Header::default()
/// };
/// let mut block = HeaderBlock::new();
/// block.prepend(8); // an ICMP message
/// header.prepend_to(8, &mut block);
/// let parsed = Ipv4Header::parse(&block)?;
/// assert_eq!((parsed.header_len, parsed.total_len), (20, 28));
/// assert_eq!(parsed.destination, header.destination);
/// # Ok::<(), tapsock_stack::wire::Malformed>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Ipv4Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Who is to have it.
    pub destination: Ipv4Addr,
    /// What follows.
    pub protocol: IpProtocol,
    /// Routers that it may still pass.
    pub ttl: u8,
    /// Differentiated services code point (six upper bits) and ECN (two lower bits).
    pub tos: u8,
    /// What the fragments of one packet have in common.
    pub identification: u16,
    /// Whether routers must not cut it.
    pub dont_fragment: bool,
    /// Whether other fragments follow.
    pub more_fragments: bool,
    /// Where this fragment stands in its packet, in bytes, a multiple of 8.
    pub fragment_offset: u16,
    /// Length of this header with its options, in bytes, 20 to 60. Not looked at when it is written.
    pub header_len: u8,
    /// Length of header and payload, in bytes. Not looked at when it is written.
    pub total_len: u16,
}

impl Ipv4Header {
    /// Length of a header without options, in bytes.
    pub const MIN_LEN: usize = 20;

    /// Reads the header at the start of `bytes`, a whole packet; what follows `total_len` is padding of the link.
    ///
    /// Fails with [`Malformed::Truncated`] where `bytes` ends before the header or before `total_len`,
    /// `BadVersion`, `BadHeaderLength`, `BadLength` (`total_len` shorter than the header) or `BadChecksum`.
    //= RFC 1122 §3.2.1.1
    //= RFC 1122 §3.2.1.2
    //= RFC 1122 §3.2.1.1 MUST-1
    //= RFC 1122 §3.2.1.2 MUST-1
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; Self::MIN_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::BadVersion);
        }
        let header_len = (header[0] & 0x0f) * 4;
        if usize::from(header_len) < Self::MIN_LEN {
            return Err(Malformed::BadHeaderLength);
        }
        let with_options = bytes.get(..usize::from(header_len)).ok_or(Malformed::Truncated)?;
        let mut sum = Sum::new();
        sum.add_bytes(with_options);
        if !sum.is_valid() {
            return Err(Malformed::BadChecksum);
        }
        let total_len = u16::from_be_bytes([header[2], header[3]]);
        if total_len < u16::from(header_len) {
            return Err(Malformed::BadLength);
        }
        if usize::from(total_len) > bytes.len() {
            return Err(Malformed::Truncated);
        }
        Ok(Self::from_fixed_part(header))
    }

    /// What the first 20 bytes say, without a check of any.
    pub(super) fn from_fixed_part(header: &[u8; Self::MIN_LEN]) -> Self {
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Ipv4Header {
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
            protocol: IpProtocol(header[9]),
            ttl: header[8],
            tos: header[1],
            identification: u16::from_be_bytes([header[4], header[5]]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: (fragment & FRAGMENT_OFFSET) * 8,
            header_len: (header[0] & 0x0f) * 4,
            total_len: u16::from_be_bytes([header[2], header[3]]),
        }
    }

    /// Writes the header, with its checksum and without options, before all that `headers` holds.
    ///
    /// `payload_len` counts all bytes after the IP header, in the block and beyond. A packet of more than 65,535
    /// bytes, which only a link that cuts it may get, says 65,535.
    pub fn prepend_to(&self, payload_len: usize, headers: &mut HeaderBlock) {
        let total_len = u16::try_from(payload_len + Self::MIN_LEN).unwrap_or(u16::MAX);
        let mut fragment = self.fragment_offset / 8;
        if self.dont_fragment {
            fragment |= DONT_FRAGMENT;
        }
        if self.more_fragments {
            fragment |= MORE_FRAGMENTS;
        }
        let bytes = headers.prepend(Self::MIN_LEN);
        bytes[0] = 0x45;
        bytes[1] = self.tos;
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.identification.to_be_bytes());
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = self.protocol.0;
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..20].copy_from_slice(&self.destination.octets());
        write_checksum(bytes);
    }

    /// Whether it is a part of a packet rather than a whole one.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

impl Default for Ipv4Header {
    /// From 0.0.0.0 to 0.0.0.0, protocol 0, with a TTL of 64.
    fn default() -> Self {
        Ipv4Header {
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::UNSPECIFIED,
            protocol: IpProtocol(0),
            ttl: 64,
            tos: 0,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            header_len: Self::MIN_LEN as u8,
            total_len: 0,
        }
    }
}

/// Makes the checksum of `header` (all of it, with its options) right.
pub(crate) fn write_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add_bytes(header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::written;

    /// A header that says what `change` makes of it, with its checksum right.
    fn with(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = written(|block| {
            block.prepend(8);
            Ipv4Header::default().prepend_to(8, block);
        });
        change(&mut bytes);
        write_checksum(&mut bytes[..20]);
        bytes
    }

    //= RFC 1122 §3.2.1.1, type=test
    //= RFC 1122 §3.2.1.1 MUST-1, type=test
    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(Ipv4Header::parse(&with(|_| {})).is_ok());
        assert_eq!(Ipv4Header::parse(&with(|bytes| bytes[0] = 0x55)), Err(Malformed::BadVersion));
        assert_eq!(Ipv4Header::parse(&with(|bytes| bytes[0] = 0x44)), Err(Malformed::BadHeaderLength));
        assert_eq!(Ipv4Header::parse(&with(|bytes| bytes[0] = 0x4f)), Err(Malformed::Truncated));
        assert_eq!(Ipv4Header::parse(&with(|bytes| bytes[3] = 19)), Err(Malformed::BadLength));
        assert_eq!(Ipv4Header::parse(&with(|bytes| bytes[3] = 29)), Err(Malformed::Truncated));
    }

    //= RFC 1122 §3.2.1.2, type=test
    //= RFC 1122 §3.2.1.2 MUST-1, type=test
    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut bytes = with(|_| {});
        bytes[8] -= 1;
        assert_eq!(Ipv4Header::parse(&bytes), Err(Malformed::BadChecksum));
    }

    #[test]
    fn a_length_past_the_field_saturates() {
        let bytes = written(|block| Ipv4Header::default().prepend_to(65_516, block));
        assert_eq!(bytes[2..4], [0xff, 0xff]);
    }

    #[test]
    fn any_part_of_a_packet_is_a_fragment() {
        let whole = Ipv4Header { dont_fragment: true, ..Ipv4Header::default() };
        assert!(!whole.is_fragment());
        assert!(Ipv4Header { more_fragments: true, ..whole }.is_fragment());
        assert!(Ipv4Header { fragment_offset: 8, ..whole }.is_fragment());
    }
}
