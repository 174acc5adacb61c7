//! SCM_RIGHTS: how many handles a message carries, and which sockets nobody can reach any more.
//!
//! A socket that is passed stays open while it is under way. Two sockets that lie in each other's queues would so keep
//! each other for ever: [`unreachable`] finds them.

/// The most handles in one message; more are EINVAL.
pub const RIGHTS_MAX: usize = 253;

/// A socket of which at least one handle lies in a queue.
///
/// ```
/// use tapsock_sockets::local::InFlight;
///
/// let socket = InFlight { handles: 1, holds: vec![] };
/// assert!(socket.holds.is_empty());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InFlight {
    /// All handles that there are of it: descriptors, those of calls that are under way, and those in queues.
    pub handles: usize,
    /// Which sockets of the same list lie in its queue, as indices; one of which it holds several handles, several
    /// times. Of a listener, also what lies in the queues of connections that wait to be accepted.
    pub holds: Vec<usize>,
}

/// The sockets, as indices in rising order, that only sockets of the same kind hold: those whose queues are to be
/// emptied. `sockets` are all that have a handle in a queue; an index past the end is ignored.
///
/// A handle that no queue of the list holds is held by a descriptor, a call, or the queue of a socket that itself is not
/// under way: it can be reached, and so can all that can be reached from it. Costs a step for each handle.
///
/// ```
/// use tapsock_sockets::local::{InFlight, unreachable};
///
/// // Two that lie in each other's queues, and one of which there is a descriptor.
/// let lost = InFlight { handles: 1, holds: vec![1] };
/// let found = InFlight { handles: 2, holds: vec![2] };
/// assert_eq!(unreachable(&[lost, InFlight { handles: 1, holds: vec![0] }, found]), [0, 1]);
/// ```
pub fn unreachable(sockets: &[InFlight]) -> Vec<usize> {
    let mut held_here = vec![0; sockets.len()];
    for index in sockets.iter().flat_map(|socket| &socket.holds) {
        if let Some(count) = held_here.get_mut(*index) {
            *count += 1;
        }
    }
    let held_elsewhere = |index: &usize| sockets[*index].handles > held_here[*index];
    let mut to_visit: Vec<usize> = (0..sockets.len()).filter(held_elsewhere).collect();
    let mut reached = vec![false; sockets.len()];
    to_visit.iter().for_each(|index| reached[*index] = true);
    while let Some(index) = to_visit.pop() {
        for held in &sockets[index].holds {
            if reached.get(*held) == Some(&false) {
                reached[*held] = true;
                to_visit.push(*held);
            }
        }
    }
    (0..sockets.len()).filter(|index| !reached[*index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sockets of which each has some descriptors, and holds others.
    #[derive(Clone, Debug)]
    struct World {
        descriptors: Vec<usize>,
        holds: Vec<Vec<usize>>,
    }

    fn world() -> impl Strategy<Value = World> {
        (1usize..12).prop_flat_map(|count| {
            let descriptors = prop_oneof![3 => Just(0usize), 1 => 1usize..3];
            let holds = proptest::collection::vec(0..count, 0..3);
            (proptest::collection::vec(descriptors, count), proptest::collection::vec(holds, count))
                .prop_map(|(descriptors, holds)| World { descriptors, holds })
        })
    }

    impl World {
        fn handles_in_queues(&self, index: usize) -> usize {
            self.holds.iter().flatten().filter(|held| **held == index).count()
        }

        /// The definition: what no walk from a descriptor comes to.
        fn naive(&self) -> Vec<usize> {
            let mut reached: Vec<bool> = self.descriptors.iter().map(|count| *count > 0).collect();
            for _ in 0..reached.len() {
                for index in 0..reached.len() {
                    if reached[index] {
                        self.holds[index].iter().for_each(|held| reached[*held] = true);
                    }
                }
            }
            (0..reached.len()).filter(|index| !reached[*index]).collect()
        }
    }

    proptest! {
        #[test]
        fn finds_what_no_descriptor_leads_to(world in world()) {
            let in_flight: Vec<usize> =
                (0..world.descriptors.len()).filter(|index| world.handles_in_queues(*index) > 0).collect();
            let place = |index: &usize| in_flight.iter().position(|other| other == index);
            let sockets: Vec<InFlight> = in_flight
                .iter()
                .map(|index| InFlight {
                    handles: world.descriptors[*index] + world.handles_in_queues(*index),
                    holds: world.holds[*index].iter().filter_map(place).collect(),
                })
                .collect();
            let found: Vec<usize> = unreachable(&sockets).into_iter().map(|place| in_flight[place]).collect();
            // A socket with neither a descriptor nor a handle in a queue is closed: it holds nothing in truth.
            let closed = |index: &usize| world.descriptors[*index] == 0 && !in_flight.contains(index);
            prop_assume!(!(0..world.descriptors.len()).any(|index| closed(&index) && !world.holds[index].is_empty()));
            let expected: Vec<usize> =
                world.naive().into_iter().filter(|index| in_flight.contains(index)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_that_lies_in_its_own_queue_is_lost() {
        assert_eq!(unreachable(&[InFlight { handles: 1, holds: vec![0] }]), [0]);
        assert_eq!(unreachable(&[InFlight { handles: 2, holds: vec![0] }]), [0usize; 0]);
        assert_eq!(unreachable(&[InFlight { handles: 2, holds: vec![0, 0] }]), [0]);
    }

    #[test]
    fn a_long_chain_is_found_without_recursion() {
        let count = 200_000;
        let ring: Vec<InFlight> =
            (0..count).map(|index| InFlight { handles: 1, holds: vec![(index + 1) % count] }).collect();
        assert_eq!(unreachable(&ring).len(), count);
    }
}
