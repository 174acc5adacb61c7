//! How many sequences are drawn, and which.

use std::env;
use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{Config, RngSeed};

/// The seed where nothing else is said: a change is judged by the same sequences as the one before it.
const SEED: u64 = 1;

/// How many sequences of each sort to draw and from which seed. `TAPSOCK_SEQUENCES` says how many, and then they are others
/// each time; `PROPTEST_RNG_SEED` says which. Prints what draws the same again.
pub fn cases_and_seed(default: u32) -> (u32, u64) {
    let asked: Option<u32> = env::var("TAPSOCK_SEQUENCES").ok().and_then(|cases| cases.parse().ok());
    let seed = match (Config::default().rng_seed, asked) {
        (RngSeed::Fixed(seed), _) => seed,
        (RngSeed::Random, None) => SEED,
        (RngSeed::Random, Some(_)) => RandomState::new().hash_one(0),
    };
    let cases = asked.unwrap_or(default);
    println!("seed {seed}: PROPTEST_RNG_SEED={seed} TAPSOCK_SEQUENCES={cases}");
    (cases, seed)
}
