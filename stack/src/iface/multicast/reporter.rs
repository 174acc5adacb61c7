//! What routers are told of the groups on a link: IGMPv3 and MLDv2, with their predecessors where a router speaks those.

use core::net::IpAddr;
use core::time::Duration;

use super::super::InterfaceId;
use super::packing::pack;
use super::{Filter, FilterMode};
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::group::{Record, RecordKind};

/// Groups that are reported, of all interfaces.
pub const MAX_GROUPS: usize = 1024;

/// Each change is told this often, for a report may be lost, unless the link's querier says otherwise.
//= RFC 9776 §8.1
const ROBUSTNESS: u8 = 2;
/// How often a querier asks that does not say how often.
//= RFC 9776 §8.2
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// The longest time between two reports of a change.
//= RFC 9776 §8.11
const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);

/// The same of older versions.
const OLD_UNSOLICITED_INTERVAL: Duration = Duration::from_secs(10);

/// A version of the protocol, by IGMP's number: MLDv1 is IGMPv2, and MLDv2 is IGMPv3.
type Version = u8;
const NEWEST: Version = 3;

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
    pub habits: Option<(u8, Duration)>,
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

#[derive(Clone, Debug)]
struct Group {
    interface: InterfaceId,
    group: IpAddr,
    /// What is heard now.
    filter: Filter,
    /// What changed, and how often it is still to be told.
    changes: Vec<Record>,
    left: u8,
    /// When it is told next; zero: at once.
    at: Option<Instant>,
    /// When a question is answered, and of which sources.
    answer: Option<(Instant, Vec<IpAddr>)>,
}

/// Which older versions routers of a link have spoken, and until when they count.
#[derive(Clone, Debug)]
struct Querier {
    interface: InterfaceId,
    v4: bool,
    until: [Option<Instant>; 2],
    /// When the question for all groups is answered.
    answer: Option<Instant>,
    /// How often things are said, and how often it asks.
    robustness: u8,
    interval: Duration,
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
    groups: Vec<Group>,
    queriers: Vec<Querier>,
    next: Option<Instant>,
}

impl Reporter {
    /// What is heard of a group has changed.
    //= RFC 9776 §5.1
    pub fn set(&mut self, interface: InterfaceId, group: IpAddr, filter: Filter) {
        let robustness =
            self.querier_of(interface, group.is_ipv4()).map_or(ROBUSTNESS, |known| known.robustness);
        let place = self.groups.iter().position(|known| (known.interface, known.group) == (interface, group));
        let known = match place {
            Some(place) => &mut self.groups[place],
            None if self.groups.len() >= MAX_GROUPS => return,
            None => {
                let filter = Filter::NONE;
                let (changes, answer) = (Vec::new(), None);
                self.groups.push(Group { interface, group, filter, changes, left: 0, at: None, answer });
                let last = self.groups.len() - 1;
                &mut self.groups[last]
            }
        };
        let changes = changes(group, &known.filter, &filter);
        known.filter = filter;
        if !changes.is_empty() {
            // What was still to be told is a part of what is told now, or does not hold any more.
            (known.changes, known.left, known.at) = (changes, robustness, Some(Instant::ZERO));
        }
        self.refresh();
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
        let delay = Duration::from_nanos(random.range(0..=query.max_response.as_nanos() as u64));
        let at = now + delay.max(Duration::from_nanos(1));
        let querier = self.querier(interface, query.v4);
        if let Some((robustness, interval)) = query.habits {
            (querier.robustness, querier.interval) = (robustness, interval);
        }
        if query.version < NEWEST {
            //= RFC 9776 §8.12 MUST-1
            //= RFC 9777 §9.12 MUST-1
            let present = querier.interval * querier.robustness.into() + query.max_response;
            querier.until[usize::from(query.version.max(1) - 1)] = Some(now + present);
        }
        match query.group {
            None if query.version == NEWEST => {
                if querier.answer.is_none_or(|answer| answer > at) {
                    querier.answer = Some(at);
                }
            }
            // Those who speak older versions answer for each group by itself.
            None => {
                for known in &mut self.groups {
                    let concerned = known.interface == interface && known.group.is_ipv4() == query.v4;
                    if concerned && known.filter != Filter::NONE {
                        let delay = random.range(0..=query.max_response.as_nanos() as u64);
                        let at = now + Duration::from_nanos(delay.max(1));
                        plan(known, at, &[]);
                    }
                }
            }
            Some(group) => {
                let of_it = |known: &&mut Group| (known.interface, known.group) == (interface, group);
                if let Some(known) = self.groups.iter_mut().find(of_it)
                    && known.filter != Filter::NONE
                {
                    plan(known, at, &query.sources);
                }
            }
        }
        self.refresh();
    }

    /// Another host says that it hears the group, in an older version: nobody else needs to.
    //= RFC 9776 §7.2.2
    pub fn on_report(&mut self, now: Instant, interface: InterfaceId, group: IpAddr) {
        if self.version(now, interface, group.is_ipv4()) == NEWEST {
            return;
        }
        for known in &mut self.groups {
            if (known.interface, known.group) == (interface, group) {
                known.answer = None;
            }
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
        for place in 0..self.groups.len() {
            let (interface, v4) = (self.groups[place].interface, self.groups[place].group.is_ipv4());
            let version = self.version(now, interface, v4);
            let known = &mut self.groups[place];
            if known.at.is_some_and(|at| at <= now) {
                tell_change(known, now, version, random, &mut reports);
            }
            if let Some((at, sources)) = known.answer.take() {
                if at > now {
                    known.answer = Some((at, sources));
                } else if version < NEWEST {
                    reports.push((interface, GroupReport::Member { group: known.group, version }));
                } else if let Some(record) = current(known, &sources) {
                    reports.extend(
                        pack(vec![record]).into_iter().map(|some| (interface, GroupReport::Records(some))),
                    );
                }
            }
        }
        self.groups.retain(|known| known.filter != Filter::NONE || known.at.is_some());
        for querier in &mut self.queriers {
            for until in &mut querier.until {
                *until = until.filter(|until| *until > now);
            }
        }
        self.refresh();
        reports
    }

    /// The answers to questions for all groups.
    fn answer_general(&mut self, now: Instant, reports: &mut Vec<(InterfaceId, GroupReport)>) {
        for querier in &mut self.queriers {
            if querier.answer.is_none_or(|answer| answer > now) {
                continue;
            }
            querier.answer = None;
            let (interface, v4) = (querier.interface, querier.v4);
            let of_it = self
                .groups
                .iter()
                .filter(|known| known.interface == interface && known.group.is_ipv4() == v4);
            let records: Vec<Record> = of_it.filter_map(|known| current(known, &[])).collect();
            reports.extend(pack(records).into_iter().map(|some| (interface, GroupReport::Records(some))));
        }
    }

    /// The version that is spoken on a link.
    //= RFC 9776 §7.2.1
    //= RFC 9776 §7.2.1 MUST-1
    //= RFC 9776 §7.2.1 MUST-2
    //= RFC 9777 §8.2.1 MUST-1
    //= RFC 9777 §8.2.1 MUST-2
    fn version(&self, now: Instant, interface: InterfaceId, v4: bool) -> Version {
        let Some(querier) = self.querier_of(interface, v4) else { return NEWEST };
        let oldest = querier.until.iter().position(|until| until.is_some_and(|until| until > now));
        oldest.map_or(NEWEST, |place| place as Version + 1)
    }

    fn querier_of(&self, interface: InterfaceId, v4: bool) -> Option<&Querier> {
        self.queriers.iter().find(|querier| (querier.interface, querier.v4) == (interface, v4))
    }

    fn querier(&mut self, interface: InterfaceId, v4: bool) -> &mut Querier {
        let place =
            self.queriers.iter().position(|querier| (querier.interface, querier.v4) == (interface, v4));
        // Two of each interface, of which there are few.
        let place = place.unwrap_or_else(|| {
            let (robustness, interval) = (ROBUSTNESS, QUERY_INTERVAL);
            self.queriers.push(Querier {
                interface,
                v4,
                until: [None; 2],
                answer: None,
                robustness,
                interval,
            });
            self.queriers.len() - 1
        });
        &mut self.queriers[place]
    }

    fn refresh(&mut self) {
        let of_group = |known: &Group| earliest(known.at, known.answer.as_ref().map(|(at, _)| *at));
        let groups = self.groups.iter().filter_map(of_group).min();
        let queriers = self.queriers.iter().filter_map(|querier| querier.answer).min();
        self.next = earliest(groups, queriers);
    }
}

/// Tells of a change, and plans the next time.
fn tell_change(
    known: &mut Group,
    now: Instant,
    version: Version,
    random: &mut Random,
    reports: &mut Vec<(InterfaceId, GroupReport)>,
) {
    let group = known.group;
    let joined = known.filter != Filter::NONE;
    let (told, interval) = match version {
        NEWEST => (
            pack(known.changes.clone()).into_iter().map(GroupReport::Records).collect(),
            UNSOLICITED_INTERVAL,
        ),
        _ if joined => (vec![GroupReport::Member { group, version }], OLD_UNSOLICITED_INTERVAL),
        //= RFC 9776 §7.2.1
        1 => (Vec::new(), OLD_UNSOLICITED_INTERVAL),
        _ => (vec![GroupReport::Leave { group }], OLD_UNSOLICITED_INTERVAL),
    };
    reports.extend(told.into_iter().map(|report| (known.interface, report)));
    known.left = if version < NEWEST && !joined { 0 } else { known.left.saturating_sub(1) };
    known.at =
        (known.left > 0).then(|| now + Duration::from_nanos(random.range(1..=interval.as_nanos() as u64)));
}

/// Plans an answer, with one that is planned already.
//= RFC 9776 §5.2
fn plan(known: &mut Group, at: Instant, sources: &[IpAddr]) {
    known.answer = Some(match known.answer.take() {
        None => (at, sources.to_vec()),
        Some((planned, asked)) if asked.is_empty() || sources.is_empty() => (planned.min(at), Vec::new()),
        Some((planned, mut asked)) => {
            asked.extend(sources);
            asked.sort_unstable();
            asked.dedup();
            asked.truncate(super::MAX_SOURCES);
            (planned.min(at), asked)
        }
    });
}

/// What is heard of a group now; of those sources, where some are asked for.
//= RFC 9776 §5.2
fn current(known: &Group, asked: &[IpAddr]) -> Option<Record> {
    let Filter { mode, sources } = &known.filter;
    if known.filter == Filter::NONE {
        return None;
    }
    if asked.is_empty() {
        let kind = match mode {
            FilterMode::Include => RecordKind::IsInclude,
            FilterMode::Exclude => RecordKind::IsExclude,
        };
        return Some(Record { kind, group: known.group, sources: sources.clone() });
    }
    let heard: Vec<IpAddr> = asked.iter().filter(|source| known.filter.passes(**source)).copied().collect();
    (!heard.is_empty()).then_some(Record { kind: RecordKind::IsInclude, group: known.group, sources: heard })
}

/// The records that tell of a change.
//= RFC 9776 §5.1
fn changes(group: IpAddr, before: &Filter, after: &Filter) -> Vec<Record> {
    use FilterMode::{Exclude, Include};
    let without = |list: &[IpAddr], others: &[IpAddr]| -> Vec<IpAddr> {
        list.iter().filter(|source| others.binary_search(source).is_err()).copied().collect()
    };
    let (new, old) = (without(&after.sources, &before.sources), without(&before.sources, &after.sources));
    let record = |kind, sources: Vec<IpAddr>| Record { kind, group, sources };
    let some = |kind, sources: Vec<IpAddr>| (!sources.is_empty()).then(|| record(kind, sources));
    match (before.mode, after.mode) {
        (Exclude, Include) => vec![record(RecordKind::ToInclude, after.sources.clone())],
        (Include, Exclude) => vec![record(RecordKind::ToExclude, after.sources.clone())],
        (Include, Include) => {
            [some(RecordKind::Allow, new), some(RecordKind::Block, old)].into_iter().flatten().collect()
        }
        (Exclude, Exclude) => {
            [some(RecordKind::Allow, old), some(RecordKind::Block, new)].into_iter().flatten().collect()
        }
    }
}
