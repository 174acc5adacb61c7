//! Corruption: bits that flip on the way.

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::checksum::{Sum, pseudo_header};

use super::{Arrival, Impaired, Impairment};
use crate::packet::{IpPacket, Packet, Transport};
use crate::segmenter::plain_frames;

/// Some frames arrive with bits flipped.
///
/// Only IP packets are hit, from the IP header on: what an Ethernet header or an ARP packet suffers, the card's
/// frame check sequence would have caught. A single flipped bit is always found by the transport's checksum or
/// IPv4's, or stands where none of them looks (hop limit, traffic class and flow label of IPv6).
///
/// ```
/// let noisy = tapsock_sim::Corrupt::percent(2.0);
/// let forger = tapsock_sim::Corrupt::percent(2.0).mended();
/// # let _ = (noisy, forger);
/// ```
#[derive(Clone, Debug)]
pub struct Corrupt {
    rule: Rule,
    bits: u32,
    afterwards: Afterwards,
}

#[derive(Clone, Debug)]
enum Rule {
    Percent(f64),
    Every(u64),
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Afterwards {
    /// The checksums don't match any more.
    Detectable,
    /// The transport's checksum is made to match, and only the transport's bytes are hit.
    Mended,
}

impl Corrupt {
    /// One bit flips, in each frame with a chance of `percent` in a hundred.
    pub fn percent(percent: f64) -> Impaired<Corrupt> {
        Impaired::new(Corrupt { rule: Rule::Percent(percent), bits: 1, afterwards: Afterwards::Detectable })
    }

    /// One bit flips in every `n`-th frame of each direction.
    pub fn every(n: u64) -> Impaired<Corrupt> {
        Impaired::new(Corrupt { rule: Rule::Every(n.max(1)), bits: 1, afterwards: Afterwards::Detectable })
    }
}

impl Impaired<Corrupt> {
    /// Flips `bits` bits of a frame rather than one. Two may cancel out in the checksum: then the receiver can't
    /// tell, as on a real wire.
    pub fn bits(self, bits: u32) -> Self {
        self.map(|corrupt| corrupt.bits = bits)
    }

    /// Makes the checksum match what the bits became: a forger rather than a noisy line. What arrives is then
    /// neither what was sent nor detectable; for tests that nothing panics.
    pub fn mended(self) -> Self {
        self.map(|corrupt| corrupt.afterwards = Afterwards::Mended)
    }
}

impl Impairment for Corrupt {
    fn name(&self) -> String {
        "corrupt".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let hit = match self.rule {
            Rule::Percent(percent) => arrival.rng.percent(percent),
            Rule::Every(n) => arrival.index.is_multiple_of(n),
        };
        if !hit {
            return arrival.pass(frame);
        }
        arrival.count_touched();
        let mut frames = plain_frames(frame, arrival.medium);
        let victim = arrival.rng.below(frames.len() as u64) as usize;
        frames[victim] = self.corrupted(arrival, &frames[victim]);
        frames.into_iter().for_each(|frame| arrival.pass(frame));
    }

    fn forges(&self) -> bool {
        self.afterwards == Afterwards::Mended || self.bits > 1
    }
}

impl Corrupt {
    fn corrupted(&self, arrival: &mut Arrival<'_>, frame: &Frame) -> Frame {
        let packet = Packet::parse(&frame.bytes, arrival.medium);
        let Some(ip) = packet.ip() else {
            return frame.clone();
        };
        let mut bytes = frame.bytes.to_vec();
        let range = match self.afterwards {
            Afterwards::Detectable => ip.range.clone(),
            Afterwards::Mended => ip.transport_range.clone(),
        };
        if range.is_empty() {
            return frame.clone();
        }
        for _ in 0..self.bits {
            let bit = arrival.rng.below(range.len() as u64 * 8) as usize;
            bytes[range.start + bit / 8] ^= 1 << (bit % 8);
        }
        if self.afterwards == Afterwards::Mended {
            mend(&mut bytes, ip);
        }
        Frame::from(bytes)
    }
}

/// Makes the transport's checksum match the bytes.
fn mend(bytes: &mut [u8], ip: &IpPacket) {
    let transport = &mut bytes[ip.transport_range.clone()];
    let (offset, mut sum) = match (&ip.transport, ip.protocol) {
        (Transport::Fragment, _) => return,
        (_, IpProtocol::TCP) => (16, pseudo(ip)),
        (_, IpProtocol::UDP) => (6, pseudo(ip)),
        (_, IpProtocol::ICMPV6) => (2, pseudo(ip)),
        (_, IpProtocol::ICMP) => (2, Sum::new()),
        _ => return,
    };
    if transport.len() < offset + 2 {
        return;
    }
    transport[offset..offset + 2].fill(0);
    sum.add_bytes(transport);
    transport[offset..offset + 2].copy_from_slice(&sum.finish().to_be_bytes());
}

fn pseudo(ip: &IpPacket) -> Sum {
    pseudo_header(ip.source, ip.destination, ip.protocol, ip.transport_range.len() as u32)
}
