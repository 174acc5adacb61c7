//! Marks: what a router does to a packet in place of dropping it, where its ends can tell (RFC 3168 §5).

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::checksum::Sum;

use super::{Arrival, Impaired, Impairment};
use crate::packet::Packet;

/// The two ECN bits of a packet that has met congestion.
const CE: u8 = 3;

/// Some packets arrive with the mark of congestion (CE), of those whose senders said that they understand it (ECT).
///
/// ```
/// use tapsock_sim::Mark;
///
/// let busy_router = Mark::percent(2.0);
/// # let _ = busy_router;
/// ```
#[derive(Clone, Debug)]
pub struct Mark {
    percent: f64,
}

impl Mark {
    /// Each packet that may be marked is, with a chance of `percent` in a hundred.
    pub fn percent(percent: f64) -> Impaired<Mark> {
        Impaired::new(Mark { percent })
    }
}

impl Impairment for Mark {
    fn name(&self) -> String {
        "mark".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let packet = Packet::parse(&frame.bytes, arrival.medium);
        match packet.ip() {
            Some(ip) if matches!(ip.ecn, 1 | 2) && arrival.rng.percent(self.percent) => {
                arrival.count_touched();
                let mut bytes = frame.bytes.to_vec();
                mark(&mut bytes[ip.range.clone()]);
                arrival.pass(Frame { bytes: bytes.into(), ..frame });
            }
            _ => arrival.pass(frame),
        }
    }
}

/// Marks the IP packet at the start of `packet`, and makes the checksum of an IPv4 header right.
fn mark(packet: &mut [u8]) {
    if packet[0] >> 4 == 6 {
        packet[1] |= CE << 4;
        return;
    }
    packet[1] |= CE;
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add_bytes(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}
