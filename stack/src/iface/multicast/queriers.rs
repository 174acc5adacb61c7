//! What is known of the routers of each link that ask for groups: which version they speak, and what they say of their habits.

use core::time::Duration;

use super::super::InterfaceId;
use crate::time::{Instant, earliest};

/// How often a querier asks that does not say how often.
//= RFC 9776 §8.2
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// A version of the protocol, by IGMP's number: MLDv1 is IGMPv2, and MLDv2 is IGMPv3.
pub(super) type Version = u8;
pub(super) const NEWEST: Version = 3;

/// How an interface tells routers of groups of one family.
///
/// ```
/// use tapsock_stack::iface::multicast::GroupPolicy;
///
/// assert_eq!(GroupPolicy::default().robustness, 2);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct GroupPolicy {
    /// How often each change is told, for a report may be lost, unless the link's querier says otherwise.
    pub robustness: u8,
    /// The longest time between two reports of a change, in older versions and in the newest.
    pub unsolicited: [Duration; 2],
    /// The newest version that is spoken, by IGMP's number.
    pub newest: u8,
    /// The oldest: routers that speak one before it are not heard.
    pub oldest: u8,
}

impl GroupPolicy {
    //= RFC 9776 §8.1
    //= RFC 9776 §8.11
    const DEFAULT: GroupPolicy = GroupPolicy {
        robustness: 2,
        unsolicited: [Duration::from_secs(10), Duration::from_secs(1)],
        newest: NEWEST,
        oldest: 1,
    };
}

impl Default for GroupPolicy {
    fn default() -> Self {
        GroupPolicy::DEFAULT
    }
}

/// One family of an interface.
pub(super) type Link = (InterfaceId, bool);

/// The routers of one link, of one family.
#[derive(Clone, Debug)]
pub(super) struct Querier {
    link: Link,
    /// Until when those count that have spoken an older version.
    until: [Option<Instant>; 2],
    /// When the question for all groups is answered.
    pub(super) answer: Option<Instant>,
    /// How often things are said, where it tells that, and how often it asks.
    robustness: Option<u8>,
    interval: Duration,
    pub(super) policy: GroupPolicy,
}

impl Querier {
    /// Nobody has asked yet.
    const fn unheard(link: Link) -> Querier {
        let policy = GroupPolicy::DEFAULT;
        Querier { link, until: [None; 2], answer: None, robustness: None, interval: QUERY_INTERVAL, policy }
    }

    /// How often each change is told.
    pub(super) fn robustness(&self) -> u8 {
        self.robustness.unwrap_or(self.policy.robustness)
    }

    /// What it says of itself: its robustness, if any, and how often it asks.
    pub(super) fn set_habits(&mut self, habits: (Option<u8>, Duration)) {
        (self.robustness, self.interval) = habits;
    }

    /// A router speaks an older version; it lets answers take so long.
    //= RFC 9776 §8.12
    //= RFC 9777 §9.12 MUST-1
    pub(super) fn on_older(&mut self, now: Instant, version: Version, max_response: Duration) {
        let present = self.interval * self.robustness().into() + max_response;
        self.until[usize::from(version.max(1) - 1)] = Some(now + present);
    }

    /// The version that is spoken on the link.
    //= RFC 9776 §7.2.1
    //= RFC 9776 §7.2.1 MUST-1
    //= RFC 9776 §7.2.1 MUST-2
    //= RFC 9777 §8.2.1 MUST-1
    //= RFC 9777 §8.2.1 MUST-2
    pub(super) fn version(&self, now: Instant) -> Version {
        let oldest = self.until.iter().position(|until| until.is_some_and(|until| until > now));
        oldest.map_or(NEWEST, |place| place as Version + 1).min(self.policy.newest)
    }
}

/// The routers of all links: two entries of each interface, of which there are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Queriers(Vec<Querier>);

impl Queriers {
    pub(super) fn of(&self, link: Link) -> &Querier {
        const UNHEARD: &Querier = &Querier::unheard((InterfaceId::LOOPBACK, true));
        self.0.iter().find(|querier| querier.link == link).unwrap_or(UNHEARD)
    }

    pub(super) fn of_mut(&mut self, link: Link) -> &mut Querier {
        let place = self.0.iter().position(|querier| querier.link == link).unwrap_or_else(|| {
            self.0.push(Querier::unheard(link));
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    pub(super) fn set_policy(&mut self, link: Link, policy: GroupPolicy) {
        if policy != self.of(link).policy {
            self.of_mut(link).policy = policy;
        }
    }

    /// When the next question for all groups is answered.
    pub(super) fn earliest_answer(&self) -> Option<Instant> {
        self.0.iter().fold(None, |next, querier| earliest(next, querier.answer))
    }

    /// The links where such a question is answered now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Link> {
        let due = self.0.iter_mut().filter(|querier| querier.answer.is_some_and(|answer| answer <= now));
        due.map(|querier| {
            querier.answer = None;
            querier.link
        })
        .collect()
    }

    /// Older versions that nobody has spoken for long count no more.
    pub(super) fn expire(&mut self, now: Instant) {
        for until in self.0.iter_mut().flat_map(|querier| &mut querier.until) {
            *until = until.filter(|until| *until > now);
        }
    }
}
