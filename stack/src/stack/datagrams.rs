//! Datagrams of all kinds of sockets on their way to the links.

use core::mem;
use core::net::IpAddr;
use std::collections::VecDeque;

use crate::error_queue::StampKind;
use crate::iface::{InterfaceId, NextHop};
use crate::ip::output::Priority;
use crate::time::Instant;
use crate::udp::SendAccount;
use crate::wire::offload::{Medium, Transmit};

use super::awaited::Awaiting;
use super::stamps::{SendStamps, Stamping};
use super::{Changes, SocketId, Stack};

/// Datagrams that wait for the link, of all sockets together. Beyond this a sender waits.
const MAX_WAITING: usize = 1024;

/// A datagram that waits for the link.
#[derive(Debug)]
pub(super) struct Waiting {
    interface: InterfaceId,
    packet: Transmit,
    sender: SocketId,
    /// What it takes of the sender's buffer, in bytes.
    charge: usize,
    /// The stamps that its going is to have.
    stamps: SendStamps,
}

/// Those of all sockets, by the band of their priority.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    bands: [VecDeque<Waiting>; Priority::BANDS],
}

impl Datagrams {
    fn len(&self) -> usize {
        self.bands.iter().map(VecDeque::len).sum()
    }
}

/// What a datagram's sender wants besides its going.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Going {
    /// What goes first.
    pub(super) priority: Priority,
    /// The stamps that it is to have.
    pub(super) stamps: SendStamps,
    /// The largest packet in bytes, where it is to be cut.
    pub(super) cut: Option<usize>,
}

/// Whether a datagram has room in its socket's send buffer already.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Room {
    Sought,
    Had,
}

impl Stack {
    /// Whether the links can take more. A sender that asks in vain is told when to ask again.
    pub(super) fn has_datagram_room(&self, sender: SocketId) -> bool {
        let room = self.datagrams.len() < MAX_WAITING;
        if !room {
            self.send_waiters.borrow_mut().insert(sender);
        }
        room
    }

    /// Whether a packet of `len` bytes finds buffers, which is cut into parts of `cut` bytes where it does not go whole. Nobody
    /// waits for them.
    pub(super) fn has_buffers(&mut self, sender: SocketId, len: usize, cut: Option<usize>) -> bool {
        let account = self.send_account(sender);
        account.is_some_and(|(account, bound)| account.has_buffers((len, cut.unwrap_or(len)), bound))
    }

    /// The account of a sender, and its bound.
    pub(super) fn send_account(&mut self, sender: SocketId) -> Option<(&mut SendAccount, usize)> {
        match sender {
            SocketId::Udp(id) => Some(self.udp.socket_mut(id)?.mail.sending()),
            SocketId::Raw(id) => Some(self.raw.get_mut(id)?.mail.sending()),
            SocketId::Ping(id) => Some(self.ping_mail_mut(id)?.sending()),
            SocketId::Tcp(_) | SocketId::Listener(_) => None,
        }
    }

    /// TTL or hop limit of a datagram to `to` whose sender has not said, where it leaves by that interface.
    //= RFC 1112 §6.1
    pub(super) fn default_hop_limit(&self, interface: InterfaceId, to: IpAddr) -> u8 {
        if to.is_multicast() { 1 } else { self.hop_limit_at(interface, to) }
    }

    /// TTL or hop limit of packets of the family of `to` that leave by an interface.
    //= RFC 1122 §3.2.1.7 MUST-4
    pub(super) fn hop_limit_at(&self, interface: InterfaceId, to: IpAddr) -> u8 {
        match (to, self.interfaces.interface(interface)) {
            (IpAddr::V4(_), _) => self.config.ip_default_ttl,
            (IpAddr::V6(_), Some(found)) => {
                found.hop_limit().unwrap_or_else(|| self.config.hop_limit_at(found.name()))
            }
            (IpAddr::V6(_), None) => self.config.ipv6_hop_limit,
        }
    }

    /// Queues a datagram for the link; one that the link can't cut is cut here.
    pub(super) fn send_datagram(
        &mut self,
        now: Instant,
        sender: SocketId,
        hop: &NextHop,
        packet: Transmit,
        going: Going,
    ) {
        let Some(caps) = self.interfaces.interface(hop.interface).map(|interface| interface.caps()) else {
            return;
        };
        let segments = packet.segmentation.is_some() && !caps.udp_gso;
        let cut = going.cut;
        // As Linux, the first one is stamped.
        let mut going = going;
        let mut queue = |stack: &mut Self, part| {
            stack.queue_datagram(now, sender, hop, part, going);
            going.stamps = SendStamps::default();
        };
        match cut {
            Some(mtu) => self.fragments(packet, mtu).for_each(|part| queue(self, part)),
            None if segments => packet.segments(Medium::Ip).for_each(|part| queue(self, part)),
            None => queue(self, packet),
        }
    }

    fn queue_datagram(
        &mut self,
        now: Instant,
        sender: SocketId,
        hop: &NextHop,
        packet: Transmit,
        going: Going,
    ) {
        let Going { priority, stamps, .. } = going;
        let frame = if stamps.is_empty() {
            self.dispatch_awaited(now, hop, packet, Awaiting { sender: Some(sender), stampings: &[] })
        } else {
            let stampings = [Stamping { socket: sender, stamps }];
            self.dispatch_stamped(now, hop, packet, &stampings, Some(sender))
        };
        let (Some((interface, packet)), Some((account, _))) = (frame, self.send_account(sender)) else {
            return;
        };
        let charge = account.begin(packet.payload.len());
        let waiting = Waiting { interface, packet, sender, charge, stamps };
        self.datagrams.bands[priority.band()].push_back(waiting);
    }

    /// What a datagram took of its sender's buffer is free.
    pub(super) fn uncharge(&mut self, sender: SocketId, charge: usize) {
        if self.send_account(sender).is_some_and(|(account, bound)| account.end(charge, bound)) {
            self.tell(sender, Changes::ROOM);
        }
    }

    /// A part of `more` bytes of a datagram is held back, beside `held` others: it takes of its sender's buffer.
    pub(super) fn hold_datagram(&mut self, sender: SocketId, held: Option<usize>, more: usize) {
        if let Some((account, _)) = self.send_account(sender) {
            account.hold(held, more);
        }
    }

    /// A datagram of which `held` bytes were held back is so no longer.
    pub(super) fn let_go_datagram(&mut self, sender: SocketId, held: usize) {
        if self.send_account(sender).is_some_and(|(account, bound)| account.let_go(held, bound)) {
            self.tell(sender, Changes::ROOM);
        }
    }

    /// Forgets the datagrams for a link that is gone.
    pub(super) fn drop_datagrams(&mut self, interface: InterfaceId) {
        for band in 0..Priority::BANDS {
            let waiting = mem::take(&mut self.datagrams.bands[band]);
            let (gone, left): (VecDeque<Waiting>, _) =
                waiting.into_iter().partition(|waiting| waiting.interface == interface);
            self.datagrams.bands[band] = left;
            gone.into_iter().for_each(|waiting| self.uncharge(waiting.sender, waiting.charge));
        }
        self.tell_send_waiters();
    }

    /// The next datagram of a band for a link. Senders that waited for room are told.
    pub(super) fn next_datagram(&mut self, now: Instant, band: usize) -> Option<(InterfaceId, Transmit)> {
        let next = self.datagrams.bands.get_mut(band)?.pop_front()?;
        let Waiting { interface, packet, sender, charge, stamps } = next;
        if !stamps.is_empty() {
            self.stamp(now, StampKind::Sent, &[Stamping { socket: sender, stamps }], &packet);
        }
        self.uncharge(sender, charge);
        self.tell_send_waiters();
        Some((interface, packet))
    }

    /// Tells senders that found no room, once there is some.
    fn tell_send_waiters(&mut self) {
        if self.datagrams.len() < MAX_WAITING / 2 {
            let waiters: Vec<SocketId> = self.send_waiters.get_mut().drain().collect();
            waiters.into_iter().for_each(|id| self.tell(id, Changes::ROOM));
        }
    }
}

/// The source that a send names, or else the socket's own: `None` where the way says which it is, as it does where the
/// unspecified address is named.
pub(super) fn source_of_send(named: Option<IpAddr>, own: Option<IpAddr>) -> Option<IpAddr> {
    named.or(own).filter(|source| !source.is_unspecified())
}
