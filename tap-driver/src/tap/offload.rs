//! `struct virtio_net_hdr`: what stands before a frame on a device that leaves checksums and cutting to others.
//!
//! <https://docs.oasis-open.org/virtio/virtio/v1.3/virtio-v1.3.html>, §5.1.6; Linux's `linux/virtio_net.h`. TAP
//! devices and packet sockets use the legacy layout, in the machine's own byte order.

use tapsock_stack::buf::Checksum;
use tapsock_stack::wire::offload::{Segmentation, SegmentationKind, Transmit};

/// Length of the header with `num_buffers`, which TAP devices are told to use.
pub(crate) const HEADER_LEN: usize = 12;
/// Length of the header without it, which packet sockets use.
pub(crate) const SHORT_HEADER_LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// The segments of a TCP packet with CWR: only the first has it.
const GSO_ECN: u8 = 0x80;

/// The byte of TCP's flags in its header, and CWR among them.
const TCP_FLAGS: usize = 13;
const TCP_CWR: u8 = 0x80;

/// What the header of a received frame says of it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    pub(crate) checksum: Checksum,
    pub(crate) gso_size: Option<u16>,
}

/// The header for a frame to be sent. Its first [`SHORT_HEADER_LEN`] bytes are the short one.
pub(crate) fn encode(transmit: &Transmit) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let Some(partial) = transmit.checksum else {
        return header;
    };
    let start = transmit.headers.len().saturating_sub(usize::from(partial.header_len));
    header[0] = F_NEEDS_CSUM;
    header[6..8].copy_from_slice(&(start as u16).to_ne_bytes());
    header[8..10].copy_from_slice(&partial.offset.to_ne_bytes());
    if let Some(segmentation) =
        transmit.segmentation.filter(|cut| transmit.payload.len() > usize::from(cut.size))
    {
        header[1] = gso_type(segmentation, &transmit.headers[start..]);
        header[2..4].copy_from_slice(&(transmit.headers.len() as u16).to_ne_bytes());
        header[4..6].copy_from_slice(&segmentation.size.to_ne_bytes());
    }
    header
}

/// Reads the header of a received frame; at least [`SHORT_HEADER_LEN`] bytes.
///
/// A checksum that the kernel has left partial never went over a wire, so it vouches for it.
pub(crate) fn decode(header: &[u8]) -> Received {
    let [flags, gso_type, _, _, size_0, size_1, ..] = *header else {
        return Received { checksum: Checksum::Unverified, gso_size: None };
    };
    let size = u16::from_ne_bytes([size_0, size_1]);
    Received {
        checksum: match flags & (F_NEEDS_CSUM | F_DATA_VALID) {
            0 => Checksum::Unverified,
            _ => Checksum::Valid,
        },
        gso_size: (gso_type & !GSO_ECN != GSO_NONE && size > 0).then_some(size),
    }
}

fn gso_type(segmentation: Segmentation, transport: &[u8]) -> u8 {
    let ecn = match transport.get(TCP_FLAGS) {
        Some(flags) if flags & TCP_CWR != 0 => GSO_ECN,
        _ => 0,
    };
    match segmentation.kind {
        SegmentationKind::Tcp4 => GSO_TCPV4 | ecn,
        SegmentationKind::Tcp6 => GSO_TCPV6 | ecn,
        SegmentationKind::Udp => GSO_UDP_L4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapsock_stack::buf::{HeaderBlock, Rope};
    use tapsock_stack::wire::offload::PartialChecksum;

    fn tcp(payload: usize, flags: u8, kind: SegmentationKind) -> Transmit {
        let mut headers = HeaderBlock::new();
        headers.prepend(20)[TCP_FLAGS] = flags;
        headers.prepend(34);
        Transmit {
            headers,
            payload: Rope::from(vec![0; payload]),
            checksum: Some(PartialChecksum { header_len: 20, offset: 16 }),
            segmentation: Some(Segmentation { kind, size: 1460 }),
        }
    }

    fn words(header: [u8; HEADER_LEN]) -> [u16; 4] {
        [2, 4, 6, 8].map(|at| u16::from_ne_bytes([header[at], header[at + 1]]))
    }

    #[test]
    fn a_packet_to_be_cut() {
        let header = encode(&tcp(5000, 0x18, SegmentationKind::Tcp4));
        assert_eq!(header[..2], [F_NEEDS_CSUM, GSO_TCPV4]);
        assert_eq!(words(header), [54, 1460, 34, 16]);
        assert_eq!(decode(&header), Received { checksum: Checksum::Valid, gso_size: Some(1460) });
        assert_eq!(encode(&tcp(5000, 0x98, SegmentationKind::Tcp6))[1], GSO_TCPV6 | GSO_ECN);
        assert_eq!(encode(&tcp(5000, 0x98, SegmentationKind::Udp))[1], GSO_UDP_L4);
    }

    #[test]
    fn a_packet_that_fits_is_not_to_be_cut() {
        let header = encode(&tcp(1460, 0x18, SegmentationKind::Tcp4));
        assert_eq!(header[..2], [F_NEEDS_CSUM, GSO_NONE]);
        assert_eq!(words(header), [0, 0, 34, 16]);
    }

    #[test]
    fn a_finished_packet_has_an_empty_header() {
        let done = Transmit { checksum: None, segmentation: None, ..tcp(10, 0, SegmentationKind::Tcp4) };
        assert_eq!(encode(&done), [0; HEADER_LEN]);
        assert_eq!(decode(&[0; HEADER_LEN]), Received { checksum: Checksum::Unverified, gso_size: None });
    }

    #[test]
    fn a_checksum_that_the_device_has_verified_counts() {
        let mut header = [0; SHORT_HEADER_LEN];
        header[0] = F_DATA_VALID;
        assert_eq!(decode(&header).checksum, Checksum::Valid);
        assert_eq!(decode(&[]).checksum, Checksum::Unverified);
    }
}
