//! Looks at every frame that a host sends, with what the host had been sent before, and tells what no TCP may do.
//!
//! It stands outside of the hosts and knows nothing of their state: only of what came out and what went in. So it
//! checks both stacks by one measure, and shares no code with them but the codecs.

mod half;
mod ranges;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use std::collections::HashMap;

use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::checksum::{pseudo_header, verify_transport};
use tapsock_stack::wire::offload::Medium;
use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};
use tapsock_stack::wire::udp::UdpHeader;

pub use ranges::Ranges;

use crate::node::{NodeId, Scrutiny};
use crate::packet::{IpPacket, Network, Packet, Transport};
use half::Half;

/// Ends of connections that are watched at once. Beyond, new connections go unwatched.
pub const MAX_HALVES: usize = 1 << 20;

/// The observer of a network. Its checks, for every frame that a host emits:
///
/// - the frame parses, and its checksums are right (or rightly partial);
/// - the segment leaves no gap behind what was sent before, and nothing follows a FIN;
/// - no byte goes beyond the right edge that the peer advertised, but for one byte into a window that is full (a probe);
/// - no byte is sent again that the peer has acknowledged for sure, but for a keepalive probe's;
/// - the acknowledgment number never goes back, and acknowledges nothing that didn't come;
/// - the right edge of the advertised window never moves left;
/// - SACK blocks name only what came;
/// - a segment with its options fits the peer's MSS;
/// - once both ends agreed on timestamps, every segment but a reset has one, and they don't go back.
///
/// ```
/// use tapsock_sim::node::{NodeId, Scrutiny};
/// use tapsock_sim::observer::Observer;
/// use tapsock_sim::packet::Packet;
/// use tapsock_stack::{buf::Frame, wire::offload::Medium};
///
/// let frame = Frame::from(vec![0x45; 10]);
/// let packet = Packet::parse(&frame.bytes, Medium::Ip);
/// let verdict = Observer::new().on_emission(NodeId(0), Scrutiny::Full, &packet, &frame, Medium::Ip);
/// assert!(verdict.unwrap_err().contains("malformed"));
/// ```
pub struct Observer {
    halves: HashMap<Key, Half>,
    trust: Trust,
}

/// One end of a connection: the host, its address, the peer's.
type Key = (NodeId, SocketAddr, SocketAddr);

/// Whether what a host received is what another sent.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Trust {
    Deliveries,
    Nothing,
}

impl Observer {
    /// An observer that has seen nothing.
    pub fn new() -> Self {
        Observer { halves: HashMap::new(), trust: Trust::Deliveries }
    }

    /// Some element forges frames: from here on only what a host says by itself is checked.
    pub fn distrust_deliveries(&mut self) {
        self.trust = Trust::Nothing;
    }

    /// A host sends a frame. The error says what is wrong with it.
    pub fn on_emission(
        &mut self,
        host: NodeId,
        scrutiny: Scrutiny,
        packet: &Packet,
        frame: &Frame,
        medium: Medium,
    ) -> Result<(), String> {
        let ip = match &packet.network {
            Network::Ip(ip) => ip,
            Network::Malformed => return Err(format!("a malformed frame over {medium:?}")),
            Network::Arp(_) | Network::Other => return Ok(()),
        };
        check_checksum(ip, frame)?;
        let (Some((local, remote)), Transport::Tcp(tcp)) = (packet.tcp_ends(), &ip.transport) else {
            return Ok(());
        };
        if tcp.header.flags.contains(TcpFlags::RST) {
            return Ok(());
        }
        let key = (host, local, remote);
        if !self.halves.contains_key(&key) && self.halves.len() >= MAX_HALVES {
            return Ok(());
        }
        let half = self.halves.entry(key).or_default();
        match (self.trust, scrutiny) {
            (Trust::Deliveries, _) => {
                half.on_emission(tcp, frame.gso_size, scrutiny)?;
                half.check_against_deliveries(tcp, frame.gso_size, scrutiny, local)
            }
            (Trust::Nothing, Scrutiny::Full) => half.on_emission(tcp, frame.gso_size, scrutiny),
            // smoltcp believes an acknowledgment of what it never sent, and goes on from there.
            (Trust::Nothing, Scrutiny::Foreign) => Ok(()),
        }
    }

    /// A host is handed a frame.
    pub fn on_delivery(&mut self, host: NodeId, packet: &Packet, frame: &Frame, _medium: Medium) {
        let (Some((remote, local)), Some(ip), Some(tcp)) = (packet.tcp_ends(), packet.ip(), packet.tcp())
        else {
            return;
        };
        let intact = frame.checksum == Checksum::Valid
            || verify_transport(
                ip.source,
                ip.destination,
                ip.protocol,
                &frame.bytes[ip.transport_range.clone()],
            ) == Checksum::Valid;
        if !intact || tcp.header.flags.contains(TcpFlags::RST) || self.trust == Trust::Nothing {
            return;
        }
        if self.halves.len() < MAX_HALVES || self.halves.contains_key(&(host, local, remote)) {
            self.halves.entry((host, local, remote)).or_default().on_delivery(tcp);
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Observer::new()
    }
}

fn check_checksum(ip: &IpPacket, frame: &Frame) -> Result<(), String> {
    if let Transport::Malformed = ip.transport {
        return Err("a malformed transport header".into());
    }
    let segment = &frame.bytes[ip.transport_range.clone()];
    let part = matches!(ip.transport, Transport::Fragment);
    match frame.checksum {
        // The sum is that of the whole.
        Checksum::Unverified if part => Ok(()),
        Checksum::Unverified | Checksum::Invalid => {
            match verify_transport(ip.source, ip.destination, ip.protocol, segment) {
                Checksum::Invalid => Err(format!("a wrong {} checksum", ip.protocol)),
                _ if frame.gso_size.is_some() => Err("a merged frame whose checksum is not partial".into()),
                _ => Ok(()),
            }
        }
        Checksum::Valid => {
            let offset = match ip.protocol {
                IpProtocol::TCP => TcpHeader::CHECKSUM_OFFSET,
                IpProtocol::UDP => UdpHeader::CHECKSUM_OFFSET,
                other => return Err(format!("a partial checksum of {other}")),
            };
            let sum = pseudo_header(ip.source, ip.destination, ip.protocol, segment.len() as u32).fold();
            match segment.get(offset..offset + 2) == Some(&sum.to_be_bytes()) {
                true => Ok(()),
                false => Err("a partial checksum that is not the pseudo-header's sum".into()),
            }
        }
    }
}
