//! What goes over the wire keeps TCP's promises.

use core::net::SocketAddr;
use std::collections::HashMap;

use tapsock_stack::tcp::SeqNumber;
use tapsock_stack::tcp::segment::{UnscaledWindow, WindowScale};
use tapsock_stack::wire::{IpProtocol, TcpFlags, TcpHeader};

use crate::craft::transport_of;

/// One direction of a connection, as it was seen when its sender sent it.
#[derive(Clone, Debug)]
pub(super) struct Half {
    iss: SeqNumber,
    offered_scale: Option<u8>,
    /// The number after the highest sent.
    pub(super) end: SeqNumber,
    /// What the sender acknowledged last, and the right edge that it offered.
    pub(super) ack: Option<SeqNumber>,
    pub(super) edge: Option<SeqNumber>,
    /// The edge is that of a SYN, whose window is no multiple of the scale.
    unscaled: bool,
    pub(super) timestamp: Option<u32>,
    /// The other side has begun anew.
    stale: bool,
}

/// From where to where.
pub(super) type Direction = (SocketAddr, SocketAddr);

/// A segment as it was sent.
pub(super) struct Sent {
    pub(super) direction: Direction,
    pub(super) header: TcpHeader,
    pub(super) len: u32,
}

/// All directions that were seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    halves: HashMap<Direction, Half>,
    /// Connections of which others have forged segments: only what a sender owes itself is looked at.
    forged: Vec<Direction>,
}

impl Sent {
    /// The segment in an Ethernet frame, where it holds one.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let (source, destination, segment) = transport_of(frame, IpProtocol::TCP)?;
        let header = TcpHeader::parse(segment).ok()?;
        let direction = (
            SocketAddr::new(source, header.source_port),
            SocketAddr::new(destination, header.destination_port),
        );
        let len = segment.len() - usize::from(header.header_len);
        Some(Sent { direction, header, len: len as u32 })
    }

    fn has(&self, flag: TcpFlags) -> bool {
        self.header.flags.contains(flag)
    }

    fn seq(&self) -> SeqNumber {
        SeqNumber::new(self.header.sequence)
    }

    fn end(&self) -> SeqNumber {
        self.seq() + self.len + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }
}

impl Watch {
    pub(super) fn half(&self, direction: &Direction) -> Option<&Half> {
        self.halves.get(direction)
    }

    /// Somebody else has sent a segment in this connection's name.
    pub(super) fn distrust(&mut self, direction: Direction) {
        for direction in [direction, reversed(direction)] {
            if !self.forged.contains(&direction) {
                self.forged.push(direction);
            }
        }
    }

    pub(super) fn is_forged(&self, direction: &Direction) -> bool {
        self.forged.contains(direction)
    }

    /// A host sends `sent`. `scale` is what its connection says of its own scale, where there is one.
    pub(super) fn on_sent(&mut self, sent: &Sent, scale: Option<WindowScale>) {
        if sent.has(TcpFlags::RST) {
            return;
        }
        let forged = self.is_forged(&sent.direction);
        self.begin(sent);
        let peer = self.halves.get(&reversed(sent.direction));
        let is_left_behind = peer.is_some_and(|peer| peer.stale);
        let peer = peer.filter(|peer| !peer.stale).cloned();
        let Some(half) = self.halves.get_mut(&sent.direction).filter(|half| !half.stale) else { return };
        if let Some(peer) = peer.as_ref().filter(|_| !forged) {
            check_against(sent, peer);
        }
        half.end = half.end.latest(sent.end());
        half.timestamp = sent.header.options.timestamps.map(|stamp| stamp.value).or(half.timestamp);
        if !sent.has(TcpFlags::ACK) {
            return;
        }
        let ack = SeqNumber::new(sent.header.acknowledgment);
        let seen = match (half.offered_scale, peer.and_then(|peer| peer.offered_scale)) {
            (Some(own), Some(_)) if !forged => Some(WindowScale::clamped(own)),
            _ if forged => scale,
            // It answers a SYN that came late, of which it is not known here what it offered.
            (Some(_), None) if is_left_behind => None,
            _ => Some(WindowScale::clamped(0)),
        };
        let scale = if sent.has(TcpFlags::SYN) { Some(WindowScale::clamped(0)) } else { seen };
        let Some(scale) = scale else { return };
        half.ack = Some(half.ack.map_or(ack, |known| known.latest(ack)));
        // As Linux, a receiver that is short of memory says so by a window of zero, and means its edge to stay.
        if sent.header.window == 0 {
            return;
        }
        let edge = ack + scale.scale(UnscaledWindow(sent.header.window));
        // As Linux's, an answer of a half-open connection rounds the window of its SYN-ACK down (RFC 7323 §2.4).
        let rounding = if half.unscaled { scale.scale(UnscaledWindow(1)) - 1 } else { 0 };
        if let Some(before) = half.edge {
            assert!(
                (edge + rounding).at_or_after(before),
                "the right edge goes from {before} to {edge}: {:?}",
                sent.header
            );
        }
        let latest = half.edge.map_or(edge, |before| before.latest(edge));
        half.unscaled = sent.has(TcpFlags::SYN) || half.unscaled && latest != edge;
        half.edge = Some(latest);
    }

    /// A SYN that is not a retransmission begins anew. Where others forge SYNs and resets, each may: numbers follow
    /// the clock, which may stand still.
    fn begin(&mut self, sent: &Sent) {
        if !sent.has(TcpFlags::SYN) {
            return;
        }
        let known = self.halves.get(&sent.direction).is_some_and(|half| half.iss == sent.seq());
        if !known || self.is_forged(&sent.direction) {
            if let Some(other) = self.halves.get_mut(&reversed(sent.direction)) {
                // One that has only sent its own SYN belongs to the new connection.
                other.stale |= other.ack.is_some();
            }
            let offered_scale = sent.header.options.window_scale;
            let (iss, end) = (sent.seq(), sent.end());
            let half = Half {
                iss,
                offered_scale,
                end,
                ack: None,
                edge: None,
                unscaled: false,
                timestamp: None,
                stale: false,
            };
            self.halves.insert(sent.direction, half);
        }
    }
}

/// What `sent` says agrees with what its receiver has sent.
fn check_against(sent: &Sent, peer: &Half) {
    if let Some(edge) = peer.edge
        && sent.len > 0
    {
        assert!(
            sent.end().at_or_before(edge),
            "{} is beyond the window's end {edge}: {:?}",
            sent.end(),
            sent.header
        );
    }
    if sent.has(TcpFlags::ACK) {
        let ack = SeqNumber::new(sent.header.acknowledgment);
        assert!(
            ack.at_or_before(peer.end),
            "{ack} was never sent, only up to {}: {:?}",
            peer.end,
            sent.header
        );
    }
}

pub(super) fn reversed((from, to): Direction) -> Direction {
    (to, from)
}
