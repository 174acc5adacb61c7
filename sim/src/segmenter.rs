//! What a network card does for its host: cuts 64 KiB packets into segments and fills in checksums.

use std::collections::VecDeque;

use tapsock_stack::buf::{Checksum, Frame, HeaderBlock, Rope};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::{Medium, PartialChecksum, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::tcp::TcpHeader;
use tapsock_stack::wire::udp::UdpHeader;

use crate::node::{Node, Port, Setup};
use crate::packet::{Packet, Transport};

/// Puts plain frames on the wire, whatever comes in: segments of a merged frame, each with its checksum.
///
/// Without one, merged frames and partial checksums travel whole, as between the kernel and a TAP with offloads.
///
/// ```
/// use tapsock_sim::{chain, Segmenter, Talker, Simulation};
///
/// Simulation::new(1).run(chain![Talker::silent(), Segmenter::new(), Talker::silent()]);
/// ```
pub struct Segmenter {
    medium: Medium,
    out: VecDeque<(Port, Frame)>,
    cut: u64,
}

impl Segmenter {
    /// A segmenter for both directions.
    pub fn new() -> Self {
        Segmenter { medium: Medium::Ethernet, out: VecDeque::new(), cut: 0 }
    }

    /// How many merged frames it has cut.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

impl Default for Segmenter {
    fn default() -> Self {
        Segmenter::new()
    }
}

impl Node for Segmenter {
    fn name(&self) -> String {
        "segmenter".into()
    }

    fn start(&mut self, setup: Setup) {
        self.medium = setup.medium;
    }

    fn on_frame(&mut self, _now: Instant, port: Port, frame: Frame) {
        self.cut += u64::from(frame.gso_size.is_some());
        let to = Port(1 - port.0);
        self.out.extend(plain_frames(frame, self.medium).into_iter().map(|frame| (to, frame)));
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
        self.out.pop_front()
    }
}

/// `frame` as it stands on a wire: several frames where it is a merged one, all with their checksums.
pub fn plain_frames(frame: Frame, medium: Medium) -> Vec<Frame> {
    if frame.checksum != Checksum::Valid && frame.gso_size.is_none() {
        return vec![frame];
    }
    match to_transmit(&frame, medium) {
        Some(transmit) => transmit.segments(medium).map(|segment| segment.to_frame()).collect(),
        None => vec![frame],
    }
}

/// The frame as a stack would have given it to a link that offloads; `None` for what is neither TCP nor UDP.
fn to_transmit(frame: &Frame, medium: Medium) -> Option<Transmit> {
    let packet = Packet::parse(&frame.bytes, medium);
    let ip = packet.ip()?;
    let (header_len, offset, kind) = match &ip.transport {
        Transport::Tcp(tcp) => {
            let kind = match ip.source.is_ipv4() {
                true => SegmentationKind::Tcp4,
                false => SegmentationKind::Tcp6,
            };
            (usize::from(tcp.header.header_len), TcpHeader::CHECKSUM_OFFSET, kind)
        }
        Transport::Udp(_) => (UdpHeader::LEN, UdpHeader::CHECKSUM_OFFSET, SegmentationKind::Udp),
        _ => return None,
    };
    let split = ip.transport_range.start + header_len;
    let mut headers = HeaderBlock::new();
    headers.prepend(split).copy_from_slice(&frame.bytes[..split]);
    let partial = PartialChecksum { header_len: header_len as u16, offset: offset as u16 };
    Some(Transmit {
        headers,
        payload: Rope::from(frame.bytes.slice(split..ip.range.end)),
        checksum: (frame.checksum == Checksum::Valid).then_some(partial),
        segmentation: frame.gso_size.map(|size| Segmentation { kind, size }),
    })
}
