//! What the neighbour cache answers, and what it asks for.

use core::net::IpAddr;

use super::super::InterfaceId;
use super::NudState;
use crate::wire::EthernetAddress;
use crate::wire::offload::Transmit;

/// What became of a packet.
///
/// ```
/// use tapsock_stack::buf::{HeaderBlock, Rope};
/// use tapsock_stack::counters::Counters;
/// use tapsock_stack::iface::{InterfaceId, NeighborCache, NeighborConfig, Resolution};
/// use tapsock_stack::random::Random;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::wire::offload::Transmit;
///
/// let mut cache = NeighborCache::new(NeighborConfig::default(), &mut Random::new(7));
/// let packet = Transmit { headers: HeaderBlock::new(), payload: Rope::new(), checksum: None, segmentation: None };
/// let (next_hop, counters) = ("10.0.0.1".parse().unwrap(), &mut Counters::default());
/// let outcome = cache.resolve(Instant::ZERO, InterfaceId(1), next_hop, packet, counters);
/// assert!(matches!(outcome, Resolution::Queued));
/// ```
#[derive(Clone, Debug)]
pub enum Resolution {
    /// It can go to this link address at once.
    Known(EthernetAddress, Transmit),
    /// It waits for the neighbour to answer. A [`NeighborAction`] will say what became of it.
    Queued,
    /// There is no room to wait (ENOBUFS).
    Dropped(Transmit),
}

/// What a packet that waits is known by when it comes out of the cache again.
///
/// ```
/// use tapsock_stack::iface::PacketTag;
///
/// assert_ne!(PacketTag(1), PacketTag(2));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PacketTag(pub u64);

/// What the stack is to do for the cache.
///
/// ```
/// use tapsock_stack::iface::{InterfaceId, NeighborAction};
///
/// let target = "10.0.0.1".parse().unwrap();
/// let ask = NeighborAction::Solicit { interface: InterfaceId(1), target, to: None, source_hint: None };
/// assert!(matches!(ask, NeighborAction::Solicit { to: None, .. }));
/// ```
#[derive(Clone, Debug)]
pub enum NeighborAction {
    /// Ask who has `target`: see [`solicitation`](crate::iface::solicitation).
    Solicit {
        /// Where to ask.
        interface: InterfaceId,
        /// Whose link address is wanted.
        target: IpAddr,
        /// The station to be probed; `None` asks all.
        to: Option<EthernetAddress>,
        /// The source of the packet that waits: the best to ask with, where it is ours.
        source_hint: Option<IpAddr>,
    },
    /// Send a packet that has waited. Its link header is yet to be written.
    Transmit {
        /// Where it leaves.
        interface: InterfaceId,
        /// Which station it goes to.
        address: EthernetAddress,
        /// The packet, from the IP header on.
        packet: Transmit,
        /// What its sender knows it by.
        tag: Option<PacketTag>,
    },
    /// A neighbour did not answer: what leads through it had better lead elsewhere.
    Failed {
        /// On whose link it is.
        interface: InterfaceId,
        /// The neighbour.
        target: IpAddr,
    },
    /// Tell the sender of a packet that the host is unreachable (EHOSTUNREACH, ICMP code 1, ICMPv6 code 3).
    Unreachable {
        /// Where it should have left.
        interface: InterfaceId,
        /// The neighbour that did not answer.
        target: IpAddr,
        /// The packet, from the IP header on.
        packet: Transmit,
        /// What its sender knows it by.
        tag: Option<PacketTag>,
    },
}

impl NeighborAction {
    /// What the sender of the packet that it is about knows that by.
    pub fn tag(&self) -> Option<PacketTag> {
        match self {
            NeighborAction::Transmit { tag, .. } | NeighborAction::Unreachable { tag, .. } => *tag,
            NeighborAction::Solicit { .. } | NeighborAction::Failed { .. } => None,
        }
    }
}

/// One line of `ip neigh`.
///
/// ```
/// use tapsock_stack::counters::Counters;
/// use tapsock_stack::iface::{InterfaceId, NeighborCache, NeighborConfig, NudState};
/// use tapsock_stack::random::Random;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::wire::EthernetAddress;
///
/// let mut cache = NeighborCache::new(NeighborConfig::default(), &mut Random::new(7));
/// let (router, station) = ("10.0.0.1".parse().unwrap(), EthernetAddress([2, 0, 0, 0, 0, 7]));
/// cache.insert_permanent(InterfaceId(1), router, station, &mut Counters::default());
/// let entry = cache.entries(Instant::ZERO).next().unwrap();
/// assert_eq!((entry.link_address, entry.state), (Some(station), NudState::Permanent));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NeighborEntry {
    /// On whose link it is.
    pub interface: InterfaceId,
    /// Its address.
    pub address: IpAddr,
    /// Its link address, where that is known.
    pub link_address: Option<EthernetAddress>,
    /// Its state.
    pub state: NudState,
    /// Whether it says that it is a router.
    pub router: bool,
    /// Packets that wait for it.
    pub waiting: usize,
}
