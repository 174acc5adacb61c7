//! Two stacks with programs on them, on a wire that loses, repeats, swaps and breaks frames, and on which others
//! forge segments: a row of typed operations.
//!
//! At each step: nobody panics, bytes are those that were written, right edges never move left, nobody sends beyond
//! its peer's window or acknowledges what was not sent, and memory is bounded. In the end the wire is good again, and
//! then everything that was written arrives, and nothing is left of what was closed.

mod finish;
mod forge;
mod scenario;
mod sockets;
mod watch;
mod wire;
mod world;

use arbitrary::{Arbitrary, Unstructured};

use scenario::Scenario;
use world::World;

use crate::memory;

/// Bytes that two stacks and the frames between them may hold at most.
const MAX_MEMORY: u64 = 256 << 20;

/// Bytes that the two stacks may hold hours after all was closed.
const MEMORY_AT_REST: u64 = 512 << 10;

/// Operations of one run at most.
const MAX_OPERATIONS: usize = 1_000;

/// Runs the operations that `data` says. With `FUZZ_SHOW=1` in the environment it tells of each.
pub fn run(data: &[u8]) {
    let Ok(scenario) = Scenario::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let show = std::env::var_os("FUZZ_SHOW").is_some_and(|value| !value.is_empty());
    if show {
        eprintln!("{:?}", scenario.setup);
    }
    let held = memory::of(|| {
        let mut world = World::new(&scenario.setup, show);
        for operation in scenario.operations.iter().take(MAX_OPERATIONS) {
            world.perform(operation);
        }
        world.finish()
    });
    assert!(held.worst <= MAX_MEMORY, "{} bytes of memory", held.worst);
    assert!(held.at_rest <= MEMORY_AT_REST, "{} bytes of memory at rest", held.at_rest);
}

/// Bytes without a meaning: each is one.
pub fn seeds() -> Vec<Vec<u8>> {
    let word = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes();
    (0..64u32).map(|seed| (0..seed * 16).flat_map(|n| word(seed * 5000 + n)).collect()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_run() {
        super::seeds().iter().for_each(|seed| super::run(seed));
    }
}
