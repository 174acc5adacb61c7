//! The UDP header (RFC 768).

use super::Malformed;
use crate::buf::HeaderBlock;

/// A UDP header.
///
/// ```
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::UdpHeader;
///
/// let header = UdpHeader { source_port: 5353, destination_port: 53, length: 8, checksum: 0 };
/// let mut block = HeaderBlock::new();
/// header.prepend_to(0, &mut block);
/// assert_eq!(UdpHeader::parse(&block), Ok(header));
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct UdpHeader {
    /// The sender's port, 0 where it wants no answer.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Length of header and payload, in bytes. Not looked at when it is written.
    pub length: u16,
    /// The checksum as it stands in the packet; 0 says that the sender made none.
    pub checksum: u16,
}

impl UdpHeader {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Offset of the checksum field in the header, in bytes.
    pub const CHECKSUM_OFFSET: usize = 6;

    /// Reads the header at the start of `bytes`, the whole payload of an IP packet. The checksum is not looked at
    /// ([`verify_transport`](super::checksum::verify_transport) does that).
    ///
    /// Fails with [`Malformed::Truncated`] where `bytes` ends before the header or before `length`, or `BadLength`
    /// where `length` is shorter than the header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[a, b, c, d, e, f, g, h]) = bytes.first_chunk() else {
            return Err(Malformed::Truncated);
        };
        let header = UdpHeader {
            source_port: u16::from_be_bytes([a, b]),
            destination_port: u16::from_be_bytes([c, d]),
            length: u16::from_be_bytes([e, f]),
            checksum: u16::from_be_bytes([g, h]),
        };
        let length = usize::from(header.length);
        if length < Self::LEN {
            return Err(Malformed::BadLength);
        }
        if length > bytes.len() { Err(Malformed::Truncated) } else { Ok(header) }
    }

    /// Writes the header before all that `headers` holds, with `checksum` as it is.
    ///
    /// `payload_len` counts all bytes after the UDP header, in the block and beyond. Where they and the header pass
    /// 65,535 bytes, the length says 65,535.
    pub fn prepend_to(&self, payload_len: usize, headers: &mut HeaderBlock) {
        let length = u16::try_from(payload_len + Self::LEN).unwrap_or(u16::MAX);
        let bytes = headers.prepend(Self::LEN);
        bytes[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::written;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let bytes = written(|block| UdpHeader::default().prepend_to(2, block));
        assert_eq!(UdpHeader::parse(&bytes), Err(Malformed::Truncated));
        assert!(UdpHeader::parse(&[&bytes[..], &[0; 2]].concat()).is_ok());
        assert!(UdpHeader::parse(&[&bytes[..], &[0; 3]].concat()).is_ok(), "what follows is padding");
        for len in 0..UdpHeader::LEN {
            assert_eq!(UdpHeader::parse(&bytes[..len]), Err(Malformed::Truncated));
        }
        for length in 0..8 {
            let bytes = [0, 1, 0, 1, 0, length, 0, 0];
            assert_eq!(UdpHeader::parse(&bytes), Err(Malformed::BadLength));
        }
    }

    #[test]
    fn a_length_past_the_field_saturates() {
        let bytes = written(|block| UdpHeader::default().prepend_to(65_528, block));
        assert_eq!(bytes[4..6], [0xff, 0xff]);
    }
}
