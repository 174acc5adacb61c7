//! The IPv6 header (RFC 8200).

use core::net::Ipv6Addr;

use super::{IpProtocol, Malformed};
use crate::buf::HeaderBlock;

/// An IPv6 header, without the extension headers that may follow ([`ipv6_ext`](super::ipv6_ext)).
///
/// ```
/// use core::net::Ipv6Addr;
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::{IpProtocol, Ipv6Header};
///
/// let header = Ipv6Header {
///     source: Ipv6Addr::LOCALHOST,
///     destination: Ipv6Addr::LOCALHOST,
///     next_header: IpProtocol::UDP,
///     payload_len: 8,
///     ..Ipv6Header::default()
/// };
/// let mut block = HeaderBlock::new();
/// block.prepend(8); // a UDP header
/// header.prepend_to(8, &mut block);
/// assert_eq!(Ipv6Header::parse(&block), Ok(header));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Ipv6Header {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Who is to have it.
    pub destination: Ipv6Addr,
    /// What follows.
    pub next_header: IpProtocol,
    /// Routers that it may still pass.
    pub hop_limit: u8,
    /// Differentiated services code point (six upper bits) and ECN (two lower bits).
    pub traffic_class: u8,
    /// What packets of one flow have in common, 20 bits.
    pub flow_label: u32,
    /// Length of all that follows this header, in bytes. Not looked at when it is written.
    pub payload_len: u16,
}

impl Ipv6Header {
    /// Length in bytes.
    pub const LEN: usize = 40;
    /// The bits of the first word that are the flow label.
    pub const FLOW_LABEL: u32 = 0x000f_ffff;

    /// Reads the header at the start of `bytes`, a whole packet; what follows `payload_len` is padding of the link.
    ///
    /// Fails with [`Malformed::Truncated`] where `bytes` ends before the header or before `payload_len`, or
    /// `BadVersion`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; Self::LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(Malformed::BadVersion);
        }
        let header = Self::from_fixed_part(header);
        if usize::from(header.payload_len) > bytes.len() - Self::LEN {
            return Err(Malformed::Truncated);
        }
        Ok(header)
    }

    /// What the 40 bytes say, without a check of any.
    pub(super) fn from_fixed_part(header: &[u8; Self::LEN]) -> Self {
        let first = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let mut source = [0; 16];
        source.copy_from_slice(&header[8..24]);
        let mut destination = [0; 16];
        destination.copy_from_slice(&header[24..40]);
        Ipv6Header {
            source: Ipv6Addr::from(source),
            destination: Ipv6Addr::from(destination),
            next_header: IpProtocol(header[6]),
            hop_limit: header[7],
            traffic_class: (first >> 20) as u8,
            flow_label: first & Self::FLOW_LABEL,
            payload_len: u16::from_be_bytes([header[4], header[5]]),
        }
    }

    /// Writes the header before all that `headers` holds.
    ///
    /// `payload_len` counts all bytes after the IPv6 header, in the block and beyond. More than 65,535 bytes, which
    /// only a link that cuts them may get, say 65,535.
    pub fn prepend_to(&self, payload_len: usize, headers: &mut HeaderBlock) {
        let payload_len = u16::try_from(payload_len).unwrap_or(u16::MAX);
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & Self::FLOW_LABEL;
        let bytes = headers.prepend(Self::LEN);
        bytes[0..4].copy_from_slice(&first.to_be_bytes());
        bytes[4..6].copy_from_slice(&payload_len.to_be_bytes());
        bytes[6] = self.next_header.0;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
    }
}

impl Default for Ipv6Header {
    /// From :: to ::, with nothing after it and a hop limit of 64.
    fn default() -> Self {
        Ipv6Header {
            source: Ipv6Addr::UNSPECIFIED,
            destination: Ipv6Addr::UNSPECIFIED,
            next_header: IpProtocol::NO_NEXT,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::written;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let bytes = written(|block| Ipv6Header::default().prepend_to(1, block));
        assert_eq!(Ipv6Header::parse(&bytes), Err(Malformed::Truncated));
        let mut bytes = written(|block| Ipv6Header::default().prepend_to(0, block));
        assert!(Ipv6Header::parse(&bytes).is_ok());
        bytes[0] = 0x40;
        assert_eq!(Ipv6Header::parse(&bytes), Err(Malformed::BadVersion));
    }

    #[test]
    fn what_does_not_fit_its_field_is_cut_off() {
        let wide = Ipv6Header { flow_label: u32::MAX, ..Ipv6Header::default() };
        let bytes = written(|block| wide.prepend_to(65_536, block));
        assert_eq!(bytes[..6], [0x60, 0x0f, 0xff, 0xff, 0xff, 0xff]);
    }
}
