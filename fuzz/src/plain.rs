//! Runs a target without coverage: seeds, mutated blindly.

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::Target;

/// How long a run takes where no time is given.
const DEFAULT_BUDGET: Duration = Duration::from_secs(60);

/// The longest input, in bytes: libFuzzer's own default.
const MAX_LEN: usize = 4096;

/// Mutations of one seed at the most.
const MAX_MUTATIONS: u64 = 16;

/// The time that `-max_total_time=SECONDS` gives.
pub(crate) fn budget(arguments: &[String]) -> Duration {
    let given = arguments.iter().find_map(|argument| argument.strip_prefix("-max_total_time="));
    given.and_then(|secs| secs.parse().ok()).map_or(DEFAULT_BUDGET, Duration::from_secs)
}

/// Runs each of `files` once.
pub(crate) fn replay(target: Target, files: &[&Path]) -> ExitCode {
    for file in files {
        match fs::read(file) {
            Ok(bytes) => target(&bytes),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
        println!("{}: nothing wrong", file.display());
    }
    ExitCode::SUCCESS
}

/// Mutates `seeds` until the time is over. The input of a panic is written to a file beside the program.
pub(crate) fn run(name: &str, target: Target, seeds: &[Vec<u8>], budget: Duration) -> ExitCode {
    let start = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut runs = 0u64;
    while start.elapsed() < budget {
        let input = input(&mut random, seeds, runs);
        if std::panic::catch_unwind(|| target(&input)).is_err() {
            let path = std::env::temp_dir().join(format!("crash-{name}-{runs}"));
            let place = match fs::write(&path, &input) {
                Ok(()) => path.display().to_string(),
                Err(error) => error.to_string(),
            };
            eprintln!("{name}: a panic after {runs} runs; its input: {place}");
            return ExitCode::FAILURE;
        }
        runs += 1;
    }
    println!("{name}: {runs} runs in {} s, nothing wrong", start.elapsed().as_secs());
    ExitCode::SUCCESS
}

/// The seeds as they are first, then mutated ones.
fn input(random: &mut Random, seeds: &[Vec<u8>], run: u64) -> Vec<u8> {
    if let Some(seed) = usize::try_from(run).ok().and_then(|run| seeds.get(run)) {
        return seed.clone();
    }
    let mut bytes = if seeds.is_empty() { Vec::new() } else { seeds[random.below(seeds.len())].clone() };
    for _ in 0..random.next() % MAX_MUTATIONS {
        let at = random.below(bytes.len() + 1);
        match random.next() % 5 {
            0 => bytes.insert(at, random.next() as u8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = random.next() as u8,
            3 if at < bytes.len() => bytes[at] ^= 1 << (random.next() % 8),
            _ if !seeds.is_empty() => {
                let other = &seeds[random.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len() + 1)..]);
            }
            _ => {}
        }
    }
    bytes.truncate(MAX_LEN);
    bytes
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
