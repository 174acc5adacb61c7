//! The same calls on a model that is too plain to be wrong.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What is done to a set of watches, each of a key whose readiness is that of a counter: readable above zero.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Add(u8, u32, u64),
    Modify(u8, u32, u64),
    Remove(u8),
    /// Something arrives.
    Arrive(u8),
    /// Everything is read.
    Drain(u8),
    Wait(usize),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![4 => Just(0), 3 => Just(EPOLLET), 2 => Just(EPOLLONESHOT), 1 => Just(EPOLLEXCLUSIVE),
        1 => Just(EPOLLET | EPOLLONESHOT), 1 => Just(EPOLLET | EPOLLEXCLUSIVE)];
    let what =
        prop_oneof![3 => Just(EPOLLIN), 1 => Just(EPOLLIN | EPOLLOUT), 1 => Just(EPOLLOUT), 1 => Just(0)];
    let events = (what, how).prop_map(|(what, how)| what | how);
    prop_oneof![
        3 => (0..6u8, events.clone(), any::<u64>()).prop_map(|(key, events, data)| Op::Add(key, events, data)),
        2 => (0..6u8, events, any::<u64>()).prop_map(|(key, events, data)| Op::Modify(key, events, data)),
        1 => (0..6u8).prop_map(Op::Remove),
        5 => (0..6u8).prop_map(Op::Arrive),
        3 => (0..6u8).prop_map(Op::Drain),
        6 => (1..4usize).prop_map(Op::Wait),
    ]
}

/// A watch as a plain record, and the ready list as the keys in order.
#[derive(Default)]
struct Model {
    watches: BTreeMap<u8, (u32, u64)>,
    queue: Vec<u8>,
}

impl Model {
    fn happened(&mut self, key: u8, mask: u32) {
        let Some((events, _)) = self.watches.get(&key) else { return };
        if events & mask != 0 && !self.queue.contains(&key) {
            self.queue.push(key);
        }
    }

    fn wait(&mut self, max: usize, ready: impl Fn(u8) -> u32) -> Vec<EpollEvent> {
        let (mut reported, mut again, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for key in core::mem::take(&mut self.queue) {
            let (events, data) = self.watches.get_mut(&key).unwrap();
            if reported.len() == max {
                left.push(key);
            } else if *events & ready(key) != 0 {
                reported.push(event(*events & ready(key), *data));
                if *events & EPOLLONESHOT != 0 {
                    *events = 0;
                } else if *events & EPOLLET == 0 {
                    again.push(key);
                }
            }
        }
        self.queue = left;
        self.queue.append(&mut again);
        reported
    }

    fn add(&mut self, key: u8, events: u32, data: u64, ready: u32) -> Result<(), Errno> {
        if self.watches.contains_key(&key) {
            return Err(if events & EPOLLEXCLUSIVE != 0 && events & EPOLLONESHOT != 0 {
                Errno::INVAL
            } else {
                Errno::EXIST
            });
        }
        self.watches.insert(key, (events | EPOLLERR | EPOLLHUP, data));
        self.happened(key, ready);
        Ok(())
    }

    fn modify(&mut self, key: u8, events: u32, data: u64, ready: u32) -> Result<(), Errno> {
        if events & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::INVAL);
        }
        let watch = self.watches.get_mut(&key).ok_or(Errno::NOENT)?;
        if watch.0 & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::INVAL);
        }
        *watch = (events | EPOLLERR | EPOLLHUP, data);
        self.happened(key, ready);
        Ok(())
    }
}

fn bits(counts: &[u64; 6], key: u8) -> u32 {
    if counts[usize::from(key)] > 0 { EPOLLIN | EPOLLOUT } else { EPOLLOUT }
}

pub(super) fn mask(counts: &[u64; 6], key: u8) -> PollMask {
    if counts[usize::from(key)] > 0 { IN | OUT } else { OUT }
}

/// Applies what is not a wait, and gives the answer.
pub(super) fn apply(set: &mut EpollSet<u8>, counts: &mut [u64; 6], op: &Op) -> Result<(), Errno> {
    match *op {
        Op::Add(key, events, data) => {
            set.add(key, event(events, data), Watched::Other, mask(counts, key)).map(drop)
        }
        Op::Modify(key, events, data) => set.modify(&key, event(events, data), mask(counts, key)).map(drop),
        Op::Remove(key) => set.remove(&key),
        Op::Arrive(key) => {
            counts[usize::from(key)] += 1;
            let _ = set.on_event(&key, IN);
            Ok(())
        }
        Op::Drain(key) if counts[usize::from(key)] == 0 => Err(Errno::AGAIN),
        Op::Drain(key) => {
            counts[usize::from(key)] = 0;
            let _ = set.on_event(&key, OUT);
            Ok(())
        }
        Op::Wait(_) => Ok(()),
    }
}

proptest! {
    #[test]
    fn a_set_does_as_the_naive_model(ops in proptest::collection::vec(op(), 0..120)) {
        let (mut set, mut counts, mut model) = (EpollSet::new(), [0; 6], Model::default());
        for op in &ops {
            let answer = apply(&mut set, &mut counts, op);
            match *op {
                Op::Add(key, events, data) => prop_assert_eq!(answer, model.add(key, events, data, bits(&counts, key))),
                Op::Modify(key, events, data) => {
                    prop_assert_eq!(answer, model.modify(key, events, data, bits(&counts, key)));
                }
                Op::Remove(key) => {
                    prop_assert_eq!(answer.is_ok(), model.watches.remove(&key).is_some());
                    model.queue.retain(|queued| *queued != key);
                }
                Op::Arrive(key) => model.happened(key, EPOLLIN),
                Op::Drain(key) if answer.is_ok() => model.happened(key, EPOLLOUT),
                Op::Drain(_) => {}
                Op::Wait(max) => {
                    let events = set.collect(max, |key| mask(&counts, *key));
                    prop_assert_eq!(events, model.wait(max, |key| bits(&counts, key)));
                }
            }
            prop_assert_eq!(set.has_queued(), !model.queue.is_empty());
            prop_assert_eq!(set.len(), model.watches.len());
        }
    }
}
