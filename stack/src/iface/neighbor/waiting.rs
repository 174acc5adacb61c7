//! Packets that wait for a neighbour's link address.

use core::mem::size_of;
use core::net::IpAddr;
use std::collections::VecDeque;

use super::PacketTag;
use crate::wire::offload::Transmit;

/// A packet, and what its sender knows it by.
pub(super) type Tagged = (Transmit, Option<PacketTag>);

/// A first-in first-out queue, bounded in bytes. Where it is full the oldest go, as RFC 4861 §7.2.2
/// recommends and Linux does.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    packets: VecDeque<Tagged>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// What the queue is charged with, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a packet after it has dropped as many of the oldest as keep the queue within its bounds. Returns how many
    /// were dropped, and adds what their senders know them by to `lost`. A packet beyond `max_bytes` still has the queue to itself: one must always be able to wait.
    //= RFC 4861 §7.2.2
    pub(super) fn push(&mut self, packet: Tagged, max_bytes: usize, lost: &mut Vec<PacketTag>) -> u64 {
        let charge = charge(&packet.0);
        let mut dropped = 0;
        while !self.packets.is_empty() && self.bytes.saturating_add(charge) > max_bytes {
            lost.extend(self.pop().and_then(|(_, tag)| tag));
            dropped += 1;
        }
        self.bytes += charge;
        self.packets.push_back(packet);
        dropped
    }

    /// What the senders of those that wait know them by.
    pub(super) fn tags(&self) -> impl Iterator<Item = PacketTag> {
        self.packets.iter().filter_map(|(_, tag)| *tag)
    }

    pub(super) fn pop(&mut self) -> Option<Tagged> {
        let packet = self.packets.pop_front()?;
        self.bytes -= charge(&packet.0);
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    /// The source address of the packet that has waited longest.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.packets.front()?.0.ip_source()
    }
}

/// What a waiting packet is charged, in bytes. So 92 full packets of Ethernet may wait, as on Linux.
pub(super) fn charge(packet: &Transmit) -> usize {
    const { assert!(size_of::<Tagged>() <= OVERHEAD, "it is not more than it is charged") };
    OVERHEAD + packet.payload.len()
}

/// What Linux charges for a short packet, in bytes: as for datagrams that wait to be read.
const OVERHEAD: usize = 832;
