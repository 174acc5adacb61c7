//! Settings of the neighbour cache.

use core::time::Duration;

use crate::random::Random;

/// Times, counts and bounds of the cache. The defaults are those of RFC 4861 §10 and of Linux.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::iface::NeighborConfig;
///
/// let config = NeighborConfig { max_entries: 64, ..NeighborConfig::default() };
/// assert_eq!(config.base_reachable, Duration::from_secs(30));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NeighborConfig {
    /// Mean time that a neighbour counts as reachable after a confirmation.
    pub base_reachable: Duration,
    /// Time between solicitations; at least a millisecond.
    pub retrans_timer: Duration,
    /// Time that upper layers have to confirm a stale neighbour before it is probed.
    pub delay_first_probe: Duration,
    /// Solicitations to all stations before resolution fails.
    pub max_multicast_solicit: u8,
    /// Probes to a known link address before it is given up.
    pub max_unicast_solicit: u8,
    /// Questions to all stations whether a neighbour is there that does not answer probes, before it is given up.
    pub max_multicast_reprobe: u8,
    /// What packets waiting for one neighbour may be charged, in bytes, each with what Linux charges beside its payload (Linux:
    /// `unres_qlen_bytes`).
    pub queue_bytes: usize,
    /// Neighbours of a family in the cache (Linux: `gc_thresh3`).
    pub max_entries: usize,
}

impl Default for NeighborConfig {
    fn default() -> Self {
        NeighborConfig {
            base_reachable: Duration::from_secs(30),
            retrans_timer: Duration::from_secs(1),
            delay_first_probe: Duration::from_secs(5),
            max_multicast_solicit: 3,
            max_unicast_solicit: 3,
            max_multicast_reprobe: 0,
            queue_bytes: 212_992,
            max_entries: 1024,
        }
    }
}

impl NeighborConfig {
    /// The same with a retransmission time that is not zero, so that a deadline always moves on.
    pub(super) fn with_progress(self) -> Self {
        NeighborConfig { retrans_timer: self.retrans_timer.max(MIN_RETRANS), ..self }
    }

    /// Uniform between half and one and a half of the base, so that hosts that start together do not probe together.
    //= RFC 4861 §6.3.2
    pub(super) fn draw_reachable(&self, random: &mut Random) -> Duration {
        let base = u64::try_from(self.base_reachable.as_nanos()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2);
        Duration::from_nanos(base / 2 + random.range(0..=base))
    }
}

/// How an interface deals with what neighbours say of themselves, by numbers of Linux's settings of the same names.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// assert_eq!(Config::default().neighbor_policy().arp_ignore, 0);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct NeighborPolicy {
    /// Whether an announcement makes an entry: 0 no, 1 yes, 2 of who is on the link.
    pub arp_accept: u8,
    /// With which address to ask: 0 any, 1 preferably one of the target's network, 2 one of it.
    pub arp_announce: u8,
    /// Which requests are answered: 0 all for the host, 1 for the interface, 2 of the same network, 8 none.
    pub arp_ignore: u8,
    /// Whether only those are answered that are reached by the interface that the request came in at.
    pub arp_filter: bool,
    /// Whether announcements are ignored.
    pub drop_gratuitous_arp: bool,
    /// Whether an unsolicited advertisement makes an entry, as `arp_accept`.
    pub accept_untracked_na: u8,
    /// Whether unsolicited advertisements are ignored.
    pub drop_unsolicited_na: bool,
    /// Whether advertisements say that we are a router.
    pub router: bool,
}

const MIN_RETRANS: Duration = Duration::from_millis(1);
