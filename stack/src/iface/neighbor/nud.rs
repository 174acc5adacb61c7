//! The state machine of one neighbour (RFC 4861 §7.2, §7.3 and Appendix C), for ARP as well as for IPv6.
//!
//! ```text
//!               advert                   reachable time over, packet sent
//!  INCOMPLETE ─────────▶ REACHABLE ◀──────────────────────────┐   │
//!   │  │                      │                    advert or  │   ▼
//!   │  │ other's              │ other's address    confirm.   │  DELAY
//!   │  │ solicitation         ▼                               │   │ 5 s
//!   │  └─────────────────▶ STALE ──────packet sent──────▶ DELAY ──▶ PROBE
//!   │ 3 × 1 s                                                       │ 3 × 1 s
//!   ▼                                                               ▼
//!  FAILED ──packet sent──▶ INCOMPLETE                             FAILED
//! ```

use core::fmt;
use core::time::Duration;

use super::NeighborConfig;
use crate::time::Instant;
use crate::wire::EthernetAddress;

/// How long a neighbour is remembered that failed.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);

/// What is known of a neighbour's reachability. Shown in the words of `ip neigh`.
///
/// ```
/// use tapsock_stack::iface::NudState;
///
/// assert_eq!(NudState::Reachable.to_string(), "REACHABLE");
/// ```
//= RFC 4861 §7.3.2
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum NudState {
    /// Its link address is being asked for.
    Incomplete,
    /// It answered, or TCP made progress, within the reachable time.
    Reachable,
    /// Its link address is known; nobody has tried it lately.
    Stale,
    /// A packet was sent to a stale neighbour; TCP has some time to confirm it.
    Delay,
    /// It is being asked whether it is still there.
    Probe,
    /// It did not answer.
    Failed,
    /// Its link address was set by hand.
    Permanent,
}

impl fmt::Display for NudState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NudState::Incomplete => "INCOMPLETE",
            NudState::Reachable => "REACHABLE",
            NudState::Stale => "STALE",
            NudState::Delay => "DELAY",
            NudState::Probe => "PROBE",
            NudState::Failed => "FAILED",
            NudState::Permanent => "PERMANENT",
        })
    }
}

/// What an advertisement, or an ARP packet that acts as one, says of its sender.
///
/// ```
/// use tapsock_stack::iface::neighbor::Advert;
/// use tapsock_stack::wire::EthernetAddress;
///
/// let link_address = EthernetAddress([2, 0, 0, 0, 0, 7]);
/// let announcement = Advert { link_address: Some(link_address), solicited: false, overrides: true, router: None };
/// assert!(!announcement.solicited);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Advert {
    /// The neighbour's link address; may be left out of the answer to a probe.
    pub link_address: Option<EthernetAddress>,
    /// Whether it answers our solicitation, and so proves that packets get there.
    pub solicited: bool,
    /// Whether it replaces another link address that is known.
    pub overrides: bool,
    /// Whether the neighbour is a router, where it says so.
    pub router: Option<bool>,
}

/// Times and counts of the machine, with the reachable time drawn.
#[derive(Copy, Clone, Debug)]
pub(super) struct Timing {
    pub(super) config: NeighborConfig,
    /// Between half and one and a half of `config.base_reachable`.
    pub(super) reachable: Duration,
}

/// What a packet that waits for an unresolved neighbour does.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Wait {
    /// It starts the resolution: solicit, and queue it.
    Solicit,
    /// It waits with the others.
    Queue,
}

/// What follows from a deadline.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Expiry {
    /// Nothing: the deadline was moved meanwhile.
    None,
    /// Ask, all stations or the one given.
    Solicit(Option<EthernetAddress>),
    /// Resolution has failed: hand the waiting packets back.
    Fail,
    /// The failure need not be remembered any longer.
    Forget,
}

/// One neighbour's state.
#[derive(Clone, Debug)]
pub(super) struct Nud {
    state: NudState,
    /// Has no meaning in INCOMPLETE and FAILED.
    link_address: EthernetAddress,
    router: bool,
    /// Solicitations sent in INCOMPLETE or PROBE.
    solicits: u8,
    /// INCOMPLETE, PROBE: the next solicitation. DELAY: its end. REACHABLE: its end, which takes effect when a packet
    /// is sent. FAILED: when it did.
    until: Instant,
}

impl Nud {
    /// A neighbour of which nothing is known. It is asked for as soon as a packet waits.
    pub(super) fn unresolved(now: Instant) -> Self {
        Nud {
            state: NudState::Failed,
            link_address: EthernetAddress::default(),
            router: false,
            solicits: 0,
            until: now,
        }
    }

    /// A neighbour that told its link address unasked.
    pub(super) fn stale(link_address: EthernetAddress) -> Self {
        Nud { state: NudState::Stale, link_address, ..Nud::unresolved(Instant::ZERO) }
    }

    /// A neighbour whose link address was set by hand.
    pub(super) fn permanent(link_address: EthernetAddress) -> Self {
        Nud { state: NudState::Permanent, ..Nud::stale(link_address) }
    }

    /// The state at `now`.
    pub(super) fn state(&self, now: Instant) -> NudState {
        match self.state {
            NudState::Reachable if now >= self.until => NudState::Stale,
            state => state,
        }
    }

    pub(super) fn link_address(&self) -> Option<EthernetAddress> {
        match self.state {
            NudState::Incomplete | NudState::Failed => None,
            _ => Some(self.link_address),
        }
    }

    pub(super) fn is_router(&self) -> bool {
        self.router
    }

    /// The neighbour tells the link that it is a router.
    pub(super) fn set_is_router(&mut self) {
        self.router = true;
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.state == NudState::Permanent
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            NudState::Incomplete | NudState::Delay | NudState::Probe => Some(self.until),
            NudState::Failed => Some(self.until + FAILURE_MEMORY),
            NudState::Reachable | NudState::Stale | NudState::Permanent => None,
        }
    }

    /// The link address for a packet that is sent now; `None` where the packet must wait.
    //= RFC 4861 §7.3.3
    pub(super) fn on_send(&mut self, now: Instant, timing: &Timing) -> Option<EthernetAddress> {
        match self.state {
            NudState::Incomplete | NudState::Failed => return None,
            NudState::Reachable if now < self.until => {}
            NudState::Reachable | NudState::Stale => {
                self.enter(NudState::Delay, now + timing.config.delay_first_probe);
            }
            NudState::Delay | NudState::Probe | NudState::Permanent => {}
        }
        Some(self.link_address)
    }

    /// A packet wants to wait for the link address, which [`on_send`](Self::on_send) did not have.
    //= RFC 4861 §7.2.2
    pub(super) fn on_wait(&mut self, now: Instant, timing: &Timing) -> Wait {
        match self.state {
            NudState::Failed => {
                self.enter(NudState::Incomplete, now + timing.config.retrans_timer);
                self.solicits = 1;
                Wait::Solicit
            }
            _ => Wait::Queue,
        }
    }

    //= RFC 4861 §7.2.5
    //= RFC 4861 §7.2.5 MUST-1
    //= RFC 4861 §7.2.5 MUST-2
    //= RFC 4861 §7.2.5 MUST-3
    //= RFC 4861 §7.2.5 MUST-4
    //= RFC 4861 §7.2.5 MUST-5
    //= RFC 4861 §7.3.1 MUST-1
    pub(super) fn on_advert(&mut self, now: Instant, timing: &Timing, advert: &Advert) {
        match (self.state, advert.link_address) {
            (NudState::Permanent, _) => return,
            // A late answer to our solicitations is an answer still.
            (NudState::Incomplete | NudState::Failed, link_address) => {
                if let Some(link_address) = link_address {
                    self.on_first_advert(now, timing, link_address, advert.solicited);
                }
                return self.set_router(advert);
            }
            _ => {}
        }
        let other = advert.link_address.filter(|link_address| *link_address != self.link_address);
        match other {
            Some(_) if !advert.overrides => {
                if self.state(now) == NudState::Reachable {
                    self.enter(NudState::Stale, now);
                }
                return;
            }
            Some(link_address) => {
                self.link_address = link_address;
                if !advert.solicited {
                    self.enter(NudState::Stale, now);
                }
            }
            None => {}
        }
        if advert.solicited {
            self.enter(NudState::Reachable, now + timing.reachable);
        }
        self.set_router(advert);
    }

    /// The neighbour named its link address in a message that proves nothing of the way there: a solicitation, or an
    /// ARP request. A neighbour that failed is there after all.
    //= RFC 4861 §7.2.3
    //= RFC 4861 §6.3.4 MUST-7
    //= RFC 4861 §7.2.3 MUST-2
    //= RFC 4861 §7.2.3 MUST-3
    //= RFC 4861 §8.3 MUST-2
    //= RFC 4861 Appendix D MUST-1
    pub(super) fn on_link_address(&mut self, now: Instant, link_address: EthernetAddress) {
        if self.state != NudState::Permanent && self.link_address() != Some(link_address) {
            self.link_address = link_address;
            self.enter(NudState::Stale, now);
        }
    }

    /// An upper layer hears nothing from behind this neighbour.
    pub(super) fn on_doubt(&mut self, now: Instant) {
        if self.state == NudState::Reachable {
            self.enter(NudState::Stale, now);
        }
    }

    /// An upper layer made progress that only packets through this neighbour can explain.
    //= RFC 4861 §7.3.1
    pub(super) fn on_confirmation(&mut self, now: Instant, timing: &Timing) {
        match self.state {
            NudState::Reachable | NudState::Stale | NudState::Delay | NudState::Probe => {
                self.enter(NudState::Reachable, now + timing.reachable);
            }
            NudState::Incomplete | NudState::Failed | NudState::Permanent => {}
        }
    }

    //= RFC 4861 §7.2.2
    //= RFC 4861 §7.3.3
    //= RFC 4861 §7.2.2 MUST-4
    //= RFC 4861 §7.3.3 MUST-1
    pub(super) fn on_timeout(&mut self, now: Instant, timing: &Timing) -> Expiry {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Expiry::None;
        }
        let config = &timing.config;
        match self.state {
            NudState::Incomplete if self.solicits < config.max_multicast_solicit => {
                self.solicits += 1;
                self.until = now + config.retrans_timer;
                Expiry::Solicit(None)
            }
            // It is probed, then perhaps asked for among all stations.
            NudState::Delay | NudState::Probe if self.probe(config).is_some() => {
                let solicits = self.solicits + 1;
                let to = self.probe(config).unwrap_or_default();
                self.enter(NudState::Probe, now + config.retrans_timer);
                self.solicits = solicits;
                Expiry::Solicit(to)
            }
            // As on Linux the next packet asks all stations again. No more is asked than while it goes on, for that
            // takes as long as the last question waits for its answer.
            NudState::Incomplete | NudState::Delay | NudState::Probe => {
                self.enter(NudState::Failed, now);
                Expiry::Fail
            }
            NudState::Failed => Expiry::Forget,
            NudState::Reachable | NudState::Stale | NudState::Permanent => Expiry::None,
        }
    }

    /// Whom the next question goes to whether the neighbour is still there, where there is one more.
    //= RFC 7048 §3
    fn probe(&self, config: &NeighborConfig) -> Option<Option<EthernetAddress>> {
        let (asked, probes) = (self.solicits, config.max_unicast_solicit);
        if asked < probes {
            return Some(Some(self.link_address));
        }
        (asked < probes.saturating_add(config.max_multicast_reprobe)).then_some(None)
    }

    fn on_first_advert(
        &mut self,
        now: Instant,
        timing: &Timing,
        link_address: EthernetAddress,
        solicited: bool,
    ) {
        self.link_address = link_address;
        if solicited {
            self.enter(NudState::Reachable, now + timing.reachable);
        } else {
            self.enter(NudState::Stale, now);
        }
    }

    //= RFC 4861 §7.2.5 MUST-6
    //= RFC 4861 §7.3.3 MUST-2
    fn set_router(&mut self, advert: &Advert) {
        self.router = advert.router.unwrap_or(self.router);
    }

    fn enter(&mut self, state: NudState, until: Instant) {
        self.state = state;
        self.until = until;
        self.solicits = 0;
    }
}

#[cfg(test)]
mod tests;
