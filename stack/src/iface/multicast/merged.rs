//! What an interface has to hear of a group for all its sockets, reckoned as each of them changes.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{Filter, FilterMode};

/// Sources that are named for a group on an interface. Where sockets name more to be heard, all are; those beyond that are
/// not to be heard are heard as well. Each socket hears by its own list in any case.
pub const MAX_MERGED: usize = 1024;

/// In how many sockets' lists a source stands.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
struct Named {
    included: u32,
    excluded: u32,
}

/// What the sockets that are in a group on an interface want to hear there.
///
/// ```
/// use tapsock_stack::iface::multicast::{Filter, Merged};
///
/// let mut merged = Merged::default();
/// merged.replace(None, Some(&Filter::ALL));
/// assert_eq!(merged.filter(), Filter::ALL);
/// merged.replace(Some(&Filter::ALL), None);
/// assert!(merged.is_unused());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Sockets that hear all but their lists.
    excluding: u32,
    /// Sockets that hear their lists.
    including: u32,
    sources: BTreeMap<IpAddr, Named>,
}

impl Merged {
    /// One socket wants to hear other sources than before; `None`: it is not in the group.
    pub fn replace(&mut self, before: Option<&Filter>, after: Option<&Filter>) {
        if let Some(filter) = before {
            *self.count(filter.mode) -= 1;
            for source in &filter.sources {
                if let Some(named) = self.sources.get_mut(source) {
                    *named.of(filter.mode) -= 1;
                    if *named == Named::default() {
                        self.sources.remove(source);
                    }
                }
            }
        }
        if let Some(filter) = after {
            *self.count(filter.mode) += 1;
            for source in &filter.sources {
                *self.sources.entry(*source).or_default().of(filter.mode) += 1;
            }
        }
    }

    /// Whether no socket is in the group.
    pub fn is_unused(&self) -> bool {
        self.excluding == 0 && self.including == 0
    }

    /// What the interface hears.
    //= RFC 9776 §3.2
    //= RFC 9776 §3.2 MUST-1
    //= RFC 9777 §4.2 MUST-1
    pub fn filter(&self) -> Filter {
        if self.excluding == 0 {
            let heard = self.sources.keys().take(MAX_MERGED + 1).copied().collect::<Vec<_>>();
            return match heard.len() {
                0..=MAX_MERGED => Filter { mode: FilterMode::Include, sources: heard },
                _ => Filter::ALL,
            };
        }
        let unheard = |named: &Named| named.excluded == self.excluding && named.included == 0;
        let unheard = self.sources.iter().filter(|(_, named)| unheard(named)).map(|(source, _)| *source);
        Filter { mode: FilterMode::Exclude, sources: unheard.take(MAX_MERGED).collect() }
    }

    fn count(&mut self, mode: FilterMode) -> &mut u32 {
        match mode {
            FilterMode::Include => &mut self.including,
            FilterMode::Exclude => &mut self.excluding,
        }
    }
}

impl Named {
    fn of(&mut self, mode: FilterMode) -> &mut u32 {
        match mode {
            FilterMode::Include => &mut self.included,
            FilterMode::Exclude => &mut self.excluded,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters() -> impl Strategy<Value = Option<Filter>> {
        let filter =
            (any::<bool>(), prop::collection::btree_set(0..6u8, 0..5)).prop_map(|(include, sources)| {
                let mode = if include { FilterMode::Include } else { FilterMode::Exclude };
                Filter { mode, sources: sources.into_iter().map(|n| IpAddr::from([10, 0, 0, n])).collect() }
            });
        prop::option::of(filter)
    }

    proptest! {
        /// An interface hears what one of its sockets wants to hear, and nothing else.
        //= RFC 9776 §3.2, type=test
        //= RFC 9776 §3.2 MUST-1, type=test
        //= RFC 9777 §4.2 MUST-1, type=test
        #[test]
        fn an_interface_hears_for_all(changes in prop::collection::vec((0..4usize, filters()), 0..20)) {
            let (mut merged, mut sockets) = (Merged::default(), [const { None }; 4]);
            for (socket, filter) in changes {
                merged.replace(sockets[socket].as_ref(), filter.as_ref());
                sockets[socket] = filter;
                let heard = merged.filter();
                for n in 0..8 {
                    let source = IpAddr::from([10, 0, 0, n]);
                    let wanted = sockets.iter().flatten().any(|filter: &Filter| filter.passes(source));
                    prop_assert_eq!(heard.passes(source), wanted);
                }
                prop_assert!(heard.sources.is_sorted());
                prop_assert_eq!(merged.is_unused(), sockets.iter().all(Option::is_none));
            }
            for filter in &sockets {
                merged.replace(filter.as_ref(), None);
            }
            prop_assert!(merged.is_unused() && merged.sources.is_empty());
        }
    }

    #[test]
    fn lists_of_many_sockets_have_an_end() {
        let source = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        for mode in [FilterMode::Include, FilterMode::Exclude] {
            let mut merged = Merged::default();
            let of = |n: usize| Filter { mode, sources: vec![source(n)] };
            for n in 0..MAX_MERGED {
                merged.replace(None, Some(&of(n)));
            }
            if mode == FilterMode::Include {
                assert_eq!(merged.filter().sources.len(), MAX_MERGED);
                merged.replace(None, Some(&of(MAX_MERGED)));
                assert_eq!(merged.filter(), Filter::ALL);
            } else {
                assert_eq!(merged.filter(), Filter::ALL, "each is heard by another");
                let sources = (0..=MAX_MERGED).map(source).collect();
                let mut alone = Merged::default();
                alone.replace(None, Some(&Filter { mode, sources }));
                assert_eq!(alone.filter().sources.len(), MAX_MERGED);
            }
        }
    }
}
