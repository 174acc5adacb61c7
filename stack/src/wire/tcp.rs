//! The TCP header (RFC 9293 §3.1).

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use super::{Malformed, TcpOptions};
use crate::buf::HeaderBlock;

/// The control bits.
///
/// ```
/// use tapsock_stack::wire::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::SYN | TcpFlags::FIN));
/// assert_eq!(format!("{flags:?}"), "SYN|ACK");
/// ```
#[derive(Copy, Clone, Default, Eq, PartialEq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No flag at all.
    pub const NONE: TcpFlags = TcpFlags(0);
    /// No more data from the sender.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Reset the connection.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Hand data to the user at once.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgment field counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);
    /// The urgent pointer counts.
    pub const URG: TcpFlags = TcpFlags(0x20);
    /// Congestion was experienced on the way (RFC 3168).
    pub const ECE: TcpFlags = TcpFlags(0x40);
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: TcpFlags = TcpFlags(0x80);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    pub const fn intersects(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// Sets all of `flags`.
    pub const fn insert(&mut self, flags: TcpFlags) {
        self.0 |= flags.0;
    }

    /// Clears all of `flags`.
    pub const fn remove(&mut self, flags: TcpFlags) {
        self.0 &= !flags.0;
    }
}

impl BitOr for TcpFlags {
    type Output = TcpFlags;

    fn bitor(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }
}

impl BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, other: TcpFlags) {
        self.insert(other);
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (bit, name) in ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"].into_iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if self.0 == 0 { f.write_str("none") } else { Ok(()) }
    }
}

/// A TCP header with its options.
///
/// ```
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::{TcpFlags, TcpHeader, TcpOptions};
///
/// let syn = TcpHeader {
///     source_port: 40_000,
///     destination_port: 80,
///     sequence: 1_000_000,
///     flags: TcpFlags::SYN,
///     window: 64_240,
///     options: TcpOptions { mss: Some(1460), ..TcpOptions::default() },
///     header_len: 24,
///     ..TcpHeader::default()
/// };
/// let mut block = HeaderBlock::new();
/// syn.prepend_to(&mut block);
/// assert_eq!(TcpHeader::parse(&block), Ok(syn));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpHeader {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Sequence number of the first byte, or of the SYN.
    pub sequence: u32,
    /// The next sequence number expected, where [`TcpFlags::ACK`] is set.
    pub acknowledgment: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The receive window as it stands in the header, unscaled.
    pub window: u16,
    /// Where urgent data ends, relative to `sequence`, where [`TcpFlags::URG`] is set.
    pub urgent_pointer: u16,
    /// The options.
    pub options: TcpOptions,
    /// Length of header and options, in bytes, 20 to 60. Not looked at when it is written.
    pub header_len: u8,
}

impl TcpHeader {
    /// Length of a header without options, in bytes.
    pub const MIN_LEN: usize = 20;

    /// Length of a header with as many options as it can hold, in bytes.
    pub const MAX_LEN: usize = 60;

    /// Offset of the checksum field in the header, in bytes.
    pub const CHECKSUM_OFFSET: usize = 16;

    /// Reads the header at the start of `bytes`, a whole segment. The checksum is not looked at
    /// ([`verify_transport`](super::checksum::verify_transport) does that).
    ///
    /// MSS, window scale and SACK-permitted count only with SYN, as Linux has it: without it they are left out.
    /// Fails with [`Malformed::Truncated`] where `bytes` ends before the header or its options, or
    /// `BadHeaderLength`. Malformed options are no error: see [`TcpOptions::parse`].
    //= RFC 9293 §3.1
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; Self::MIN_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let header_len = (header[12] >> 4) * 4;
        if usize::from(header_len) < Self::MIN_LEN {
            return Err(Malformed::BadHeaderLength);
        }
        let options = bytes.get(Self::MIN_LEN..usize::from(header_len)).ok_or(Malformed::Truncated)?;
        let flags = TcpFlags(header[13]);
        let mut options = TcpOptions::parse(options);
        if !flags.contains(TcpFlags::SYN) {
            //= RFC 7323 §2.2
            //= RFC 2018 §2
            (options.mss, options.window_scale, options.sack_permitted) = (None, None, false);
            options.fast_open = None;
        }
        Ok(TcpHeader {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            flags,
            window: u16::from_be_bytes([header[14], header[15]]),
            urgent_pointer: u16::from_be_bytes([header[18], header[19]]),
            options,
            header_len,
        })
    }

    /// Writes the header with its options before all that `headers` holds. The checksum field holds 0:
    /// [`PartialChecksum::begin`](super::offload::PartialChecksum::begin) goes on from there.
    pub fn prepend_to(&self, headers: &mut HeaderBlock) {
        let header_len = self.emitted_len();
        let bytes = headers.prepend(header_len);
        bytes[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.acknowledgment.to_be_bytes());
        bytes[12] = (header_len as u8 / 4) << 4;
        bytes[13] = self.flags.0;
        bytes[14..16].copy_from_slice(&self.window.to_be_bytes());
        bytes[18..20].copy_from_slice(&self.urgent_pointer.to_be_bytes());
        self.options.emit(&mut bytes[Self::MIN_LEN..]);
    }

    /// Length of the header as [`prepend_to`](Self::prepend_to) writes it, in bytes.
    pub fn emitted_len(&self) -> usize {
        Self::MIN_LEN + self.options.emitted_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::written;

    #[test]
    fn a_header_length_outside_the_segment_is_refused() {
        let mut bytes = [0; 24];
        for words in 0..5 {
            bytes[12] = words << 4;
            assert_eq!(TcpHeader::parse(&bytes), Err(Malformed::BadHeaderLength));
        }
        for words in 7..16 {
            bytes[12] = words << 4;
            assert_eq!(TcpHeader::parse(&bytes), Err(Malformed::Truncated));
        }
        bytes[12] = 6 << 4;
        assert_eq!(TcpHeader::parse(&bytes).map(|header| header.header_len), Ok(24));
    }

    //= RFC 7323 §2.2, type=test
    //= RFC 2018 §2, type=test
    #[test]
    fn options_of_the_handshake_count_with_syn_only() {
        let options =
            TcpOptions { mss: Some(536), window_scale: Some(3), sack_permitted: true, ..Default::default() };
        let with = |flags| {
            let header = TcpHeader { flags, options: options.clone(), ..TcpHeader::default() };
            TcpHeader::parse(&written(|block| header.prepend_to(block))).unwrap().options
        };
        assert_eq!(with(TcpFlags::SYN), options);
        assert_eq!(with(TcpFlags::SYN | TcpFlags::ACK), options);
        assert_eq!(with(TcpFlags::ACK), TcpOptions::default());
    }

    #[test]
    fn the_checksum_is_left_to_others() {
        let bytes = written(|block| TcpHeader::default().prepend_to(block));
        assert_eq!(bytes[TcpHeader::CHECKSUM_OFFSET..][..2], [0, 0]);
    }

    #[test]
    fn flags_are_sets() {
        let mut flags = TcpFlags::SYN | TcpFlags::ECE;
        assert!(flags.intersects(TcpFlags::SYN | TcpFlags::FIN));
        assert!(!flags.contains(TcpFlags::SYN | TcpFlags::FIN));
        flags.remove(TcpFlags::SYN);
        flags |= TcpFlags::ACK;
        assert_eq!(format!("{flags:?} {:?}", TcpFlags::NONE), "ACK|ECE none");
    }
}
