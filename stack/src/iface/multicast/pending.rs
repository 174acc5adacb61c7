//! What routers are still to be told of a group's changes (RFC 9776 §5.1).

use core::net::IpAddr;

use super::merged::MAX_MERGED;
use super::{Filter, FilterMode};
use crate::wire::group::{Record, RecordKind};

/// The changes of one group that have not been told often enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// How often all that is heard is still to be told, for the list means the opposite now.
    whole: u8,
    /// Sources that are heard now and were not, or the other way round, and how often that is still to be told; sorted.
    sources: Vec<(IpAddr, u8)>,
}

impl Pending {
    pub(super) const NOTHING: Pending = Pending { whole: 0, sources: Vec::new() };

    /// What is heard has changed. What was still to be told before stays so, as far as it is not told along with this.
    /// Each change is told `times` times, for a report may be lost. Returns whether there is anything new to tell.
    //= RFC 9776 §5.1
    pub(super) fn note(&mut self, before: &Filter, after: &Filter, times: u8) -> bool {
        if before.mode != after.mode {
            *self = Pending { whole: times, sources: Vec::new() };
            return true;
        }
        let only = |one: &Filter, other: &Filter| -> Vec<IpAddr> {
            let missing = |source: &&IpAddr| other.sources.binary_search(source).is_err();
            one.sources.iter().filter(missing).copied().collect()
        };
        let changed = [only(before, after), only(after, before)].concat();
        for source in &changed {
            match self.sources.binary_search_by_key(source, |(known, _)| *known) {
                Ok(place) => self.sources[place].1 = times,
                Err(place) => self.sources.insert(place, (*source, times)),
            }
        }
        if self.sources.len() > MAX_MERGED {
            *self = Pending { whole: times, sources: Vec::new() };
        }
        !changed.is_empty()
    }

    /// All that `filter` lets pass, told as if it were new, so often.
    pub(super) fn all_of(filter: &Filter, times: u8) -> Pending {
        match filter.mode {
            FilterMode::Exclude => Pending { whole: times, sources: Vec::new() },
            FilterMode::Include => {
                Pending { whole: 0, sources: filter.sources.iter().map(|source| (*source, times)).collect() }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole == 0 && self.sources.is_empty()
    }

    /// The records that tell it where `filter` is heard now.
    pub(super) fn records(&self, group: IpAddr, filter: &Filter) -> Vec<Record> {
        let record = |kind, sources| Record { kind, group, sources };
        if self.whole > 0 {
            let kind = match filter.mode {
                FilterMode::Include => RecordKind::ToInclude,
                FilterMode::Exclude => RecordKind::ToExclude,
            };
            return vec![record(kind, filter.sources.clone())];
        }
        let (heard, unheard): (Vec<_>, Vec<_>) =
            self.sources.iter().map(|(source, _)| *source).partition(|source| filter.passes(*source));
        [record(RecordKind::Allow, heard), record(RecordKind::Block, unheard)]
            .into_iter()
            .filter(|record| !record.sources.is_empty())
            .collect()
    }

    /// It was told once.
    pub(super) fn on_told(&mut self) {
        self.whole = self.whole.saturating_sub(1);
        self.sources.retain_mut(|(_, left)| {
            *left -= 1;
            *left > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GROUP: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(239, 1, 1, 1));

    /// What a router makes of reports (RFC 9776 §6.4, without the questions by which it makes sure).
    fn hear(router: &mut Filter, record: &Record) {
        let list = &record.sources;
        let without = |sources: &[IpAddr]| -> Vec<IpAddr> {
            sources.iter().filter(|source| !list.contains(source)).copied().collect()
        };
        let with = |sources: &[IpAddr]| {
            let mut all = [sources, list].concat();
            all.sort_unstable();
            all.dedup();
            all
        };
        let (mode, sources) = match (record.kind, router.mode) {
            (RecordKind::ToInclude, _) => (FilterMode::Include, list.clone()),
            (RecordKind::ToExclude, _) => (FilterMode::Exclude, list.clone()),
            (RecordKind::Allow, FilterMode::Include) | (RecordKind::Block, FilterMode::Exclude) => {
                (router.mode, with(&router.sources))
            }
            (RecordKind::Allow | RecordKind::Block, mode) => (mode, without(&router.sources)),
            (kind, _) => panic!("{kind:?} tells of no change"),
        };
        *router = Filter { mode, sources };
    }

    fn filters() -> impl Strategy<Value = Filter> {
        (any::<bool>(), prop::collection::btree_set(0..6u8, 0..5)).prop_map(|(include, sources)| Filter {
            mode: if include { FilterMode::Include } else { FilterMode::Exclude },
            sources: sources.into_iter().map(|n| IpAddr::from([10, 0, 0, n])).collect(),
        })
    }

    proptest! {
        /// However changes and reports come, and though any one report between two changes is lost, a router knows in the
        /// end what is heard.
        #[test]
        fn routers_know_in_the_end(
            steps in prop::collection::vec((filters(), 0..3usize, any::<bool>()), 1..12)
        ) {
            let (mut pending, mut now, mut router) = (Pending::default(), Filter::NONE, Filter::NONE);
            let mut tell = |pending: &mut Pending, now: &Filter, lost: bool| {
                if !pending.is_empty() {
                    for record in pending.records(GROUP, now).iter().filter(|_| !lost) {
                        hear(&mut router, record);
                    }
                    pending.on_told();
                }
                router.clone()
            };
            for (next, told, lost) in steps {
                pending.note(&now, &next, 2);
                now = next;
                for time in 0..told {
                    // The first of two is lost, and the second gets through.
                    tell(&mut pending, &now, lost && time == 0 && told == 2);
                }
            }
            // Nothing more is lost.
            let mut heard = tell(&mut pending, &now, false);
            while !pending.is_empty() {
                heard = tell(&mut pending, &now, false);
            }
            prop_assert_eq!(heard, now);
        }
    }

    #[test]
    fn what_changes_often_is_told_as_a_whole() {
        let (mut pending, mut before) = (Pending::default(), Filter::NONE);
        for n in 0..=MAX_MERGED as u32 {
            let after = Filter {
                mode: FilterMode::Include,
                sources: vec![IpAddr::from((0x0a00_0000 + n).to_be_bytes())],
            };
            assert!(pending.note(&before, &after, 2));
            before = after;
        }
        let kinds: Vec<_> = pending.records(GROUP, &before).iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [RecordKind::ToInclude]);
    }
}
