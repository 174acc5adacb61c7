//! Whether an IPv4 address is free before it is ours, and its defence after (RFC 5227); and link-local addresses, which a
//! host chooses itself (RFC 3927).
//!
//! The table sends nothing itself: what is to be sent or set up comes out of [`Claims::poll_action`], which the stack empties
//! after each call that changes the table.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::deadlines::Deadlines;
use super::{InterfaceId, IpCidr, MAX_ADDRESSES, MAX_INTERFACES};
use crate::random::Random;
use crate::time::Instant;
use crate::wire::EthernetAddress;
use crate::wire::arp::{ArpOperation, ArpPacket};

/// Addresses that are looked for or defended: as many as all interfaces can have.
pub const MAX_CLAIMS: usize = MAX_INTERFACES * MAX_ADDRESSES;

/// The longest wait before the first question, so that hosts that start together do not ask together.
//= RFC 5227 §1.1
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// Questions whether somebody has the address.
const PROBE_NUM: u8 = 3;
/// The time between two questions is between these.
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
/// The wait after the last question, before the address is ours.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// Announcements, and the time between them.
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Conflicts after which new addresses are tried more slowly.
const MAX_CONFLICTS: u32 = 10;
/// How slowly.
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
/// A second conflict within this time ends the defence.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What an address is claimed for, which says what follows where somebody else has it.
///
/// ```
/// use tapsock_stack::iface::acd::Purpose;
///
/// assert_ne!(Purpose::ByHand, Purpose::LinkLocal);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Somebody chose it: it is given up, and no other is taken.
    ByHand,
    /// A DHCP server gave it: it is told.
    Lease,
    /// The host chose it itself: it takes another.
    LinkLocal,
}

/// What the stack is to do for the table.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::iface::acd::ClaimAction;
///
/// let ask = ClaimAction::Probe { interface: InterfaceId(1), address: "10.0.0.1".parse().unwrap() };
/// assert!(matches!(ask, ClaimAction::Probe { .. }));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ClaimAction {
    /// Ask whether somebody has the address.
    Probe {
        /// Where.
        interface: InterfaceId,
        /// The address.
        address: Ipv4Addr,
    },
    /// Tell all that it is ours.
    Announce {
        /// Where.
        interface: InterfaceId,
        /// The address.
        address: Ipv4Addr,
    },
    /// Nobody has it: give it to the interface.
    Assign {
        /// To which.
        interface: InterfaceId,
        /// The address with its network.
        cidr: IpCidr,
    },
    /// Somebody has it. Where it was ours, it is ours no more.
    GiveUp {
        /// On which link.
        interface: InterfaceId,
        /// The address.
        address: Ipv4Addr,
        /// What it was claimed for.
        purpose: Purpose,
    },
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum State {
    /// It is asked for, still so often.
    Probing { left: u8 },
    /// It is ours, and that is told, still so often.
    Announcing { left: u8 },
    /// It is ours, and all know.
    Held,
}

#[derive(Clone, Debug)]
struct Claim {
    station: EthernetAddress,
    cidr: IpCidr,
    purpose: Purpose,
    state: State,
    /// When something is to be done; zero: at once, or, before the first question, when the wait is yet to be drawn.
    at: Option<Instant>,
    /// When it was defended last.
    defended: Option<Instant>,
    /// Addresses that turned out to be others', of those that the host chose.
    conflicts: u32,
}

/// Addresses that are looked for, told of and defended.
///
/// ```
/// use tapsock_stack::iface::acd::Claims;
///
/// assert_eq!(Claims::default().poll_timeout(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Claims {
    claims: BTreeMap<Key, Claim>,
    actions: VecDeque<ClaimAction>,
    deadlines: Deadlines<Key>,
    /// How often a claim was looked at because the time had come.
    #[cfg(test)]
    looks: usize,
}

/// Where an address is claimed, and which.
type Key = (InterfaceId, Ipv4Addr);

impl Claims {
    /// Looks whether somebody has an address. Returns whether there was room to.
    //= RFC 5227 §2.1
    //= RFC 5227 §2.1 MUST-1
    pub fn begin(
        &mut self,
        (interface, station): (InterfaceId, EthernetAddress),
        cidr: IpCidr,
        purpose: Purpose,
    ) -> bool {
        let IpAddr::V4(address) = cidr.address else { return false };
        self.forget(interface, address);
        if self.claims.len() >= MAX_CLAIMS {
            return false;
        }
        let state = State::Probing { left: PROBE_NUM };
        let at = Some(Instant::ZERO);
        let claim = Claim { station, cidr, purpose, state, at, defended: None, conflicts: 0 };
        self.insert((interface, address), claim);
        true
    }

    /// Takes an address under its protection that somebody else has looked for already.
    //= RFC 5227 §2.3
    pub fn defend(&mut self, place: (InterfaceId, EthernetAddress), cidr: IpCidr, purpose: Purpose) {
        if self.begin(place, cidr, purpose)
            && let IpAddr::V4(address) = cidr.address
            && let Some(claim) = self.claims.get_mut(&(place.0, address))
        {
            claim.state = State::Announcing { left: ANNOUNCE_NUM };
        }
    }

    /// Chooses a link-local address for an interface, and looks whether it is free.
    //= RFC 3927 §2.1
    pub fn begin_link_local(&mut self, place: (InterfaceId, EthernetAddress)) -> bool {
        self.link_local(place.0).is_some() || self.begin(place, link_local(place.1, 0).1, Purpose::LinkLocal)
    }

    /// The link-local address that an interface has or looks for.
    pub fn link_local(&self, interface: InterfaceId) -> Option<Ipv4Addr> {
        // All of those addresses begin alike.
        let own = (interface, Ipv4Addr::new(169, 254, 0, 0))..=(interface, Ipv4Addr::new(169, 254, 255, 255));
        let mut own = self.claims.range(own);
        own.find(|(_, claim)| claim.purpose == Purpose::LinkLocal).map(|((_, address), _)| *address)
    }

    /// Whether it is not known yet if an address can be ours.
    pub fn is_tentative(&self, interface: InterfaceId, address: Ipv4Addr) -> bool {
        let found = self.claims.get(&(interface, address));
        found.is_some_and(|claim| matches!(claim.state, State::Probing { .. }))
    }

    /// An address is taken from an interface, or not looked for any more. Returns whether it was.
    pub fn forget(&mut self, interface: InterfaceId, address: Ipv4Addr) -> bool {
        self.remove((interface, address)).is_some()
    }

    /// The link is gone: nothing is asked there any more. Addresses that were looked for by hand are given, for on no link
    /// is nobody else who has them.
    pub fn forget_interface(&mut self, interface: InterfaceId) {
        let all = (interface, Ipv4Addr::UNSPECIFIED)..=(interface, Ipv4Addr::BROADCAST);
        for (_, claim) in self.claims.range(all.clone()).filter(|(_, claim)| claim.purpose == Purpose::ByHand)
        {
            if let State::Probing { .. } = claim.state {
                self.actions.push_back(ClaimAction::Assign { interface, cidr: claim.cidr });
            }
        }
        let gone: Vec<Key> = self.claims.range(all).map(|(key, _)| *key).collect();
        for key in gone {
            self.remove(key);
        }
    }

    /// An ARP packet came in at an interface.
    //= RFC 5227 §2.1.1
    //= RFC 5227 §2.4
    //= RFC 3927 §2.5
    //= RFC 5227 §1.3 MUST-1
    //= RFC 5227 §2.1.1 MUST-4
    //= RFC 5227 §2.4 MUST-1
    //= RFC 5227 §2.4 MUST-2
    //= RFC 5227 §2.4 MUST-5
    pub fn on_arp(&mut self, now: Instant, interface: InterfaceId, packet: &ArpPacket) {
        // Somebody uses it, or looks for it as we do.
        let probed = packet.sender_ip.is_unspecified() && packet.operation == ArpOperation::Request;
        let address = if probed { packet.target_ip } else { packet.sender_ip };
        let key = (interface, address);
        let Some(claim) = self.claims.get_mut(&key) else { return };
        let tentative = matches!(claim.state, State::Probing { .. });
        if packet.sender_hardware == claim.station || probed && !tentative {
            return;
        }
        if tentative {
            return self.give_up(now, key);
        }
        // Once it is defended; who insists gets it.
        let again = claim.defended.is_some_and(|defended| now.saturating_since(defended) < DEFEND_INTERVAL);
        if again {
            return self.give_up(now, key);
        }
        claim.defended = Some(now);
        self.actions.push_back(ClaimAction::Announce { interface, address });
    }

    //= RFC 5227 §2.1.1 MUST-5
    //= RFC 5227 §2.1.1 MUST-6
    fn give_up(&mut self, now: Instant, key: Key) {
        let Some(mut claim) = self.remove(key) else { return };
        let ((interface, address), purpose) = (key, claim.purpose);
        self.actions.push_back(ClaimAction::GiveUp { interface, address, purpose });
        if purpose != Purpose::LinkLocal {
            return;
        }
        // Another one, which follows from the station too: who starts again tries the same ones.
        //= RFC 3927 §2.1
        let (address, cidr) = loop {
            claim.conflicts += 1;
            let (address, cidr) = link_local(claim.station, claim.conflicts);
            if !self.claims.contains_key(&(interface, address)) {
                break (address, cidr);
            }
        };
        //= RFC 3927 §2.2.1
        let wait = if claim.conflicts >= MAX_CONFLICTS { RATE_LIMIT_INTERVAL } else { Duration::ZERO };
        let (state, at) = (State::Probing { left: PROBE_NUM }, Some(now + wait));
        self.insert((interface, address), Claim { cidr, state, at, defended: None, ..claim });
    }

    fn insert(&mut self, key: Key, claim: Claim) {
        self.deadlines.change(key, None, claim.at);
        self.claims.insert(key, claim);
    }

    fn remove(&mut self, key: Key) -> Option<Claim> {
        let claim = self.claims.remove(&key)?;
        self.deadlines.change(key, claim.at, None);
        Some(claim)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.earliest()
    }

    /// Does what is due.
    //= RFC 5227 §2.3 MUST-1
    pub fn handle_timeout(&mut self, now: Instant, random: &mut Random) {
        while let Some(key) = self.deadlines.due(now) {
            #[cfg(test)]
            (self.looks += 1);
            let Some(claim) = self.claims.get_mut(&key) else { return };
            let before = claim.at;
            claim.advance(now, key, random, &mut self.actions);
            self.deadlines.change(key, before, claim.at);
        }
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<ClaimAction> {
        self.actions.pop_front()
    }
}

impl Claim {
    /// Does what is due, and says when the next is: later than `now`.
    fn advance(
        &mut self,
        now: Instant,
        (interface, address): Key,
        random: &mut Random,
        actions: &mut VecDeque<ClaimAction>,
    ) {
        match self.state {
            State::Probing { left: PROBE_NUM } if self.at == Some(Instant::ZERO) => {
                self.at = Some(now + within(PROBE_WAIT, random).max(Duration::from_nanos(1)));
            }
            State::Probing { left: 0 } => {
                actions.push_back(ClaimAction::Assign { interface, cidr: self.cidr });
                actions.push_back(ClaimAction::Announce { interface, address });
                self.state = State::Announcing { left: ANNOUNCE_NUM - 1 };
                self.at = Some(now + ANNOUNCE_INTERVAL);
            }
            State::Probing { left } => {
                actions.push_back(ClaimAction::Probe { interface, address });
                self.state = State::Probing { left: left - 1 };
                let pause = PROBE_MIN + within(PROBE_MAX - PROBE_MIN, random);
                self.at = Some(now + if left == 1 { ANNOUNCE_WAIT } else { pause });
            }
            State::Announcing { left } => {
                actions.push_back(ClaimAction::Announce { interface, address });
                (self.state, self.at) = match left {
                    0 | 1 => (State::Held, None),
                    left => (State::Announcing { left: left - 1 }, Some(now + ANNOUNCE_INTERVAL)),
                };
            }
            State::Held => self.at = None,
        }
    }
}

/// The link-local address that a station tries after so many conflicts.
//= RFC 3927 §2.1
fn link_local(station: EthernetAddress, conflicts: u32) -> (Ipv4Addr, IpCidr) {
    let [a, b, c, d, e, f] = station.0;
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let drawn = Random::new(number ^ u64::from(conflicts) << 48).below(254 * 256);
    // The first and the last 256 are reserved.
    let address = Ipv4Addr::from_bits(0xa9fe_0100 + drawn as u32);
    (address, IpCidr::new(IpAddr::V4(address), 16))
}

/// Any time up to `most`.
fn within(most: Duration, random: &mut Random) -> Duration {
    Duration::from_nanos(random.range(0..=most.as_nanos() as u64))
}

#[cfg(test)]
mod tests;
