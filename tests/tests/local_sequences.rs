//! Sequences of calls drawn at random, on the kernel's local sockets and on ours. `TAPSOCK_SEQUENCES` says how many of
//! each type, `PROPTEST_RNG_SEED` which.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tapsock::bsd::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use tapsock_tests::differential::{plan, run_plan};
use tapsock_tests::drawn::cases_and_seed;

/// Sequences of each type, where nothing else is said.
const CASES: u32 = 2_000;

fn sequences(kind: i32) {
    // Shown where the test fails.
    let (cases, seed) = cases_and_seed(CASES);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let outcome =
        TestRunner::new(config).run(&plan(kind), |plan| run_plan(&plan).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("seed {seed}: {error}");
    }
}

#[test]
fn streams() {
    sequences(SOCK_STREAM);
}

#[test]
fn datagrams() {
    sequences(SOCK_DGRAM);
}

#[test]
fn records() {
    sequences(SOCK_SEQPACKET);
}
