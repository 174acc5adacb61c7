//! What routers are told of the groups on a link: IGMPv3 and MLDv2, with their predecessors where a router speaks those.

use core::mem;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::super::InterfaceId;
use super::pending::Pending;
use super::queriers::{GroupPolicy, Link, NEWEST, Querier, Queriers, Version};
use super::{Filter, FilterMode};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::group::{Record, RecordKind};

/// Groups that are reported, of all interfaces.
pub const MAX_GROUPS: usize = 1024;

/// How long an answer to a router of the oldest version may take.
//= RFC 9776 §8.3
const OLDEST_RESPONSE: Duration = Duration::from_secs(10);

/// Sources that a router's questions of one group name, until they are answered.
const MAX_ASKED: usize = 64;

/// A question of a router.
#[derive(Clone, Debug)]
pub struct QueryHeard {
    /// Which group it asks for; `None`: all.
    pub group: Option<IpAddr>,
    /// Which sources of it; none: any.
    pub sources: Vec<IpAddr>,
    /// How long the answer may take.
    pub max_response: Duration,
    /// The version that it is of, by IGMP's number.
    pub version: u8,
    /// Whether it is of IPv4.
    pub v4: bool,
    /// How often things are said on this link, and how often it is asked there, where the question tells.
    pub habits: Option<(Option<u8>, Duration)>,
}

/// What is to be sent on a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupReport {
    /// IGMPv3's or MLDv2's report.
    Records(Vec<Record>),
    /// The report of an older version, to the group itself.
    Member {
        /// The group.
        group: IpAddr,
        /// The version, by IGMP's number.
        version: u8,
    },
    /// Nobody here hears the group any more, to routers that speak IGMPv2 or MLDv1.
    Leave {
        /// The group.
        group: IpAddr,
    },
}

/// When a change is told.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Telling {
    Never,
    AtOnce,
    At(Instant),
}

impl Telling {
    fn deadline(self) -> Option<Instant> {
        match self {
            Telling::Never => None,
            Telling::AtOnce => Some(Instant::ZERO),
            Telling::At(at) => Some(at),
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }
}

#[derive(Clone, Debug)]
struct Group {
    /// What is heard now.
    filter: Filter,
    /// What of it routers do not know for sure, and when they are told.
    pending: Pending,
    telling: Telling,
    /// How often it is still to be told that it is heard, or is not: all that older versions can say.
    membership: u8,
    /// When a question is answered, and of which sources.
    answer: Option<(Instant, Vec<IpAddr>)>,
    /// Who said last, in an older version, that somebody hears it.
    last: Reported,
}

/// Who reported a group last.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Reported {
    ByUs,
    ByOthers,
}

impl Group {
    const UNHEARD: Group = Group {
        filter: Filter::NONE,
        pending: Pending::NOTHING,
        telling: Telling::Never,
        membership: 0,
        answer: None,
        last: Reported::ByUs,
    };

    fn deadline(&self) -> Option<Instant> {
        earliest(self.telling.deadline(), self.answer.as_ref().map(|(at, _)| *at))
    }

    /// Whether there is nothing to say of it.
    fn is_over(&self) -> bool {
        self.filter == Filter::NONE && self.telling == Telling::Never
    }
}

/// What routers are told, for all interfaces.
///
/// ```
/// use tapsock_stack::iface::multicast::Reporter;
///
/// assert_eq!(Reporter::default().poll_timeout(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    groups: BTreeMap<(InterfaceId, IpAddr), Group>,
    queriers: Queriers,
    next: Option<Instant>,
}

impl Reporter {
    /// Whether there is room for a group, which may be there already.
    pub fn has_room(&self, interface: InterfaceId, group: IpAddr) -> bool {
        self.groups.len() < MAX_GROUPS || self.groups.contains_key(&(interface, group))
    }

    /// How an interface tells of groups of a family from now on.
    pub fn set_policy(&mut self, interface: InterfaceId, v4: bool, policy: GroupPolicy) {
        self.queriers.set_policy((interface, v4), policy);
    }

    /// What is heard of a group has changed. One that there is no [room](Self::has_room) for is not told of.
    //= RFC 9776 §5.1
    pub fn set(&mut self, interface: InterfaceId, group: IpAddr, filter: Filter) {
        if !self.has_room(interface, group) {
            return;
        }
        let robustness = self.queriers.of((interface, group.is_ipv4())).robustness();
        let known = self.groups.entry((interface, group)).or_insert(Group::UNHEARD);
        if known.pending.note(&known.filter, &filter, robustness) {
            known.telling = Telling::AtOnce;
        }
        if (known.filter == Filter::NONE) != (filter == Filter::NONE) {
            known.membership = robustness;
        }
        known.filter = filter;
        self.next = earliest(self.next, known.deadline());
        if known.is_over() {
            self.groups.remove(&(interface, group));
        }
    }

    /// All that is heard on an interface of groups of IPv6 that routers are told of is told as if it were new: until now
    /// the interface had no address to tell it with.
    //= RFC 3590 §4
    pub fn tell_again(&mut self, interface: InterfaceId) {
        let robustness = self.queriers.of((interface, false)).robustness();
        for (_, known) in self.of_family(interface, false) {
            if known.filter != Filter::NONE {
                known.pending = Pending::all_of(&known.filter, robustness);
                (known.telling, known.membership) = (Telling::AtOnce, robustness);
            }
        }
        self.refresh();
    }

    /// What is heard of a group has changed, and nobody is told until a router asks.
    pub fn note(&mut self, interface: InterfaceId, group: IpAddr, filter: Filter) {
        if !self.has_room(interface, group) {
            return;
        }
        let known = self.groups.entry((interface, group)).or_insert(Group::UNHEARD);
        known.filter = filter;
        if known.is_over() {
            self.groups.remove(&(interface, group));
        }
    }

    /// A router asks.
    //= RFC 9776 §5.2
    //= RFC 9776 §5.2 MUST-1
    //= RFC 9776 §5.2 MUST-2
    //= RFC 9777 §6.3 MUST-1
    //= RFC 9777 §6.3 MUST-2
    pub fn on_query(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        query: &QueryHeard,
        random: &mut Random,
    ) {
        let link = (interface, query.v4);
        if query.version < self.queriers.of(link).policy.oldest {
            return;
        }
        //= RFC 9776 §8 MUST-1
        //= RFC 9777 §9 MUST-1
        if let Some(habits) = query.habits {
            self.queriers.of_mut(link).set_habits(habits);
        }
        if query.version < NEWEST {
            self.on_older_querier(now, interface, query);
        }
        let version = self.queriers.of(link).version(now);
        // In the oldest version all questions are of all groups, and name no time: so Linux takes those of the newest then.
        let (group, max_response) = match (version, query.version) {
            (1, NEWEST) => (None, OLDEST_RESPONSE),
            _ => (query.group, query.max_response),
        };
        let delay = Duration::from_nanos(random.range(0..=max_response.as_nanos() as u64));
        let at = now + delay.max(Duration::from_nanos(1));
        match group {
            None if version == NEWEST => {
                let querier = self.queriers.of_mut(link);
                querier.answer = earliest(querier.answer, Some(at));
                self.next = earliest(self.next, Some(at));
            }
            // Those who speak older versions answer for each group by itself.
            //= RFC 9776 §7.2.1
            None => {
                for (_, known) in self.of_family(interface, query.v4) {
                    if known.filter != Filter::NONE {
                        let delay = random.range(0..=max_response.as_nanos() as u64);
                        let at = now + Duration::from_nanos(delay.max(1));
                        plan(known, at, &[]);
                    }
                }
                self.refresh();
            }
            Some(group) => {
                if let Some(known) = self.groups.get_mut(&(interface, group))
                    && known.filter != Filter::NONE
                {
                    plan(known, at, &query.sources);
                    self.next = earliest(self.next, Some(at));
                }
            }
        }
    }

    /// A router speaks an older version. Where that is news, what was to be said in another is not said.
    //= RFC 9776 §7.2.1
    fn on_older_querier(&mut self, now: Instant, interface: InterfaceId, query: &QueryHeard) {
        let querier = self.queriers.of_mut((interface, query.v4));
        let before = querier.version(now);
        querier.on_older(now, query.version, query.max_response);
        if querier.version(now) == before {
            return;
        }
        querier.answer = None;
        for (_, known) in self.of_family(interface, query.v4) {
            *known = Group { filter: mem::replace(&mut known.filter, Filter::NONE), ..Group::UNHEARD };
        }
        self.groups.retain(|_, known| !known.is_over());
    }

    fn of_family(&mut self, interface: InterfaceId, v4: bool) -> impl Iterator<Item = (IpAddr, &mut Group)> {
        let of_it = self.groups.iter_mut().map(|((at, group), known)| (*at, *group, known));
        of_it
            .filter(move |(at, group, _)| (*at, group.is_ipv4()) == (interface, v4))
            .map(|(_, group, known)| (group, known))
    }

    /// Another host says that it hears the group, in an older version: nobody else needs to.
    //= RFC 9776 §7.2.2
    //= RFC 9776 §7.2.2 MUST-1
    pub fn on_report(&mut self, now: Instant, interface: InterfaceId, group: IpAddr) {
        if self.queriers.of((interface, group.is_ipv4())).version(now) == NEWEST {
            return;
        }
        if let Some(known) = self.groups.get_mut(&(interface, group)) {
            known.answer = None;
            known.last = Reported::ByOthers;
        }
        self.refresh();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// What is to be sent now, and where.
    pub fn handle_timeout(&mut self, now: Instant, random: &mut Random) -> Vec<(InterfaceId, GroupReport)> {
        let mut reports = Vec::new();
        if self.next.is_none_or(|next| next > now) {
            return reports;
        }
        self.answer_general(now, &mut reports);
        let Reporter { groups, queriers, .. } = self;
        let (mut changes, mut rounds) = (Vec::new(), Vec::new());
        for ((interface, group), known) in groups.iter_mut() {
            let link = (*interface, group.is_ipv4());
            let querier = queriers.of(link);
            let version = querier.version(now);
            if known.telling.is_due(now) {
                let again = next_round(&mut rounds, now, (link, querier), random);
                match tell_change(*group, known, version, again) {
                    Some(GroupReport::Records(records)) => {
                        add_records(&mut changes, (*interface, group.is_ipv4()), records);
                    }
                    report => reports.extend(report.map(|report| (*interface, report))),
                }
            }
            let Some((_, sources)) = known.answer.take_if(|(at, _)| *at <= now) else { continue };
            if version < NEWEST {
                known.last = Reported::ByUs;
                reports.push((*interface, GroupReport::Member { group: *group, version }));
            } else if let Some(record) = current(*group, known, &sources) {
                reports.push((*interface, GroupReport::Records(vec![record])));
            }
        }
        groups.retain(|_, known| !known.is_over());
        let changes = changes.into_iter();
        reports.extend(changes.map(|((interface, _), records)| (interface, GroupReport::Records(records))));
        self.queriers.expire(now);
        self.refresh();
        reports
    }

    /// The answers to questions for all groups.
    fn answer_general(&mut self, now: Instant, reports: &mut Vec<(InterfaceId, GroupReport)>) {
        for (interface, v4) in self.queriers.take_due(now) {
            let of_it =
                self.groups.iter().filter(|((at, group), _)| (*at, group.is_ipv4()) == (interface, v4));
            let records: Vec<Record> =
                of_it.filter_map(|((_, group), known)| current(*group, known, &[])).collect();
            if !records.is_empty() {
                reports.push((interface, GroupReport::Records(records)));
            }
        }
    }

    fn refresh(&mut self) {
        let groups = self.groups.values().filter_map(Group::deadline).min();
        self.next = earliest(groups, self.queriers.earliest_answer());
    }
}

/// What changes at once on an interface is told together, each family's.
fn add_records(
    changes: &mut Vec<((InterfaceId, bool), Vec<Record>)>,
    place: (InterfaceId, bool),
    records: Vec<Record>,
) {
    match changes.iter_mut().find(|(known, _)| *known == place) {
        Some((_, others)) => others.extend(records),
        None => changes.push((place, records)),
    }
}

/// When what is told now on a link is told again, where that is due: in the newest version all of it together, as on Linux; in
/// older ones each group has a time of its own.
fn next_round(
    rounds: &mut Vec<(Link, Instant)>,
    now: Instant,
    (link, querier): (Link, &Querier),
    random: &mut Random,
) -> Instant {
    let together = querier.version(now) == NEWEST;
    if let Some((_, at)) = rounds.iter().find(|(known, _)| *known == link && together) {
        return *at;
    }
    let [older, newest] = querier.policy.unsolicited;
    let interval = if together { newest } else { older };
    let at = now + Duration::from_nanos(random.range(1..=interval.as_nanos().max(1) as u64));
    if together {
        rounds.push((link, at));
    }
    at
}

/// Tells of a change, which is told again then.
fn tell_change(group: IpAddr, known: &mut Group, version: Version, again: Instant) -> Option<GroupReport> {
    let joined = known.filter != Filter::NONE;
    let report = match version {
        NEWEST => Some(GroupReport::Records(known.pending.records(group, &known.filter))),
        // Of which sources is heard what was heard before, they can not say.
        _ if joined && known.membership == 0 => None,
        _ if joined => Some(GroupReport::Member { group, version }),
        //= RFC 9776 §7.2.1
        1 => None,
        // As on Linux: who reported it last says when nobody hears it.
        _ if known.last == Reported::ByOthers => None,
        _ => Some(GroupReport::Leave { group }),
    };
    known.pending.on_told();
    if joined && report.is_some() {
        known.last = Reported::ByUs;
    }
    known.membership = known.membership.saturating_sub(1);
    // Older versions say farewell once.
    if version < NEWEST && (!joined || known.membership == 0) {
        known.pending = Pending::NOTHING;
    }
    known.telling = if known.pending.is_empty() { Telling::Never } else { Telling::At(again) };
    report
}

/// Plans an answer, with one that is planned already. Who asks of many sources is told of all.
//= RFC 9776 §5.2
fn plan(known: &mut Group, at: Instant, sources: &[IpAddr]) {
    let (at, mut asked) = match known.answer.take() {
        None => (at, sources.to_vec()),
        Some((planned, asked)) if asked.is_empty() || sources.is_empty() => (planned.min(at), Vec::new()),
        Some((planned, asked)) => (planned.min(at), [&asked, sources].concat()),
    };
    asked.sort_unstable();
    asked.dedup();
    if asked.len() > MAX_ASKED {
        asked = Vec::new();
    }
    known.answer = Some((at, asked));
}

/// What is heard of a group now; of those sources, where some are asked for.
//= RFC 9776 §5.2
fn current(group: IpAddr, known: &Group, asked: &[IpAddr]) -> Option<Record> {
    let Filter { mode, sources } = &known.filter;
    if known.filter == Filter::NONE {
        return None;
    }
    if asked.is_empty() {
        let kind = match mode {
            FilterMode::Include => RecordKind::IsInclude,
            FilterMode::Exclude => RecordKind::IsExclude,
        };
        return Some(Record { kind, group, sources: sources.clone() });
    }
    let heard: Vec<IpAddr> = asked.iter().filter(|source| known.filter.passes(**source)).copied().collect();
    (!heard.is_empty()).then_some(Record { kind: RecordKind::IsInclude, group, sources: heard })
}
