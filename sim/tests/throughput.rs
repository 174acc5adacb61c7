//! How fast we send, by round trip and loss, as a table under review: `throughput.txt` beside this file.
//!
//! Virtual time has no noise, so a figure that moves has a cause. One that moves by more than a tenth fails the test;
//! `TAPSOCK_BLESS=1` writes the table anew, and the diff shows what changed.

mod common;

use core::fmt::Write as _;
use core::time::Duration;
use std::path::Path;

use common::ends::{End, Pair, Tuning, tuned_transfer};
use common::{Family, MIB};
use tapsock_sim::app::Plan;
use tapsock_sim::packet::Packet;
use tapsock_sim::{Delay, Loss, Rate, Segmenter, chain};

const SENDERS: [(&str, Pair, Tuning); 4] = [
    ("cubic to ours", (End::Host, End::Host), Tuning::Default),
    ("reno to ours", (End::Host, End::Host), Tuning::Reno),
    ("cubic, offloads", (End::Offloading, End::Offloading), Tuning::Default),
    ("cubic to smoltcp", (End::Host, End::Smoltcp), Tuning::Default),
];
const ROUND_TRIPS_MS: [u64; 3] = [2, 10, 50];
const LOSSES: [f64; 4] = [0.0, 0.1, 1.0, 4.0];
const BYTES: u64 = 4 * MIB;
const SEEDS: u64 = 3;

/// Mbit/s of payload over a line of 100 Mbit/s with a queue of 20 ms.
fn mbit(pair: Pair, tuning: Tuning, round_trip_ms: u64, loss: f64) -> f64 {
    let one = |seed| {
        let delay = Delay::of(Duration::from_micros(round_trip_ms * 500));
        let loss = Loss::percent(loss).only(Packet::is_tcp);
        let elements = chain![Segmenter::new(), loss, Rate::mbit(100).queue_bytes(250_000), delay];
        let network =
            tuned_transfer(seed, pair, (tuning, tuning), Family::V4, &Plan::upload(BYTES), elements);
        BYTES as f64 * 8.0 / network.now().as_micros() as f64
    };
    (0..SEEDS).map(one).sum::<f64>() / SEEDS as f64
}

fn table() -> String {
    let mut table = String::from("Mbit/s over 100 Mbit/s, 4 MiB; by round trip, and loss in percent\n");
    let heads: String = LOSSES.iter().map(|loss| format!("{loss:>7}")).collect();
    let _ = writeln!(table, "{:<18}{:>6}{heads}", "", "ms");
    for (name, pair, tuning) in SENDERS {
        for round_trip in ROUND_TRIPS_MS {
            let row: String =
                LOSSES.iter().map(|&loss| format!("{:>7.1}", mbit(pair, tuning, round_trip, loss))).collect();
            let _ = writeln!(table, "{name:<18}{round_trip:>6}{row}");
        }
    }
    table
}

/// Whether all figures of two tables are within a tenth, or half a Mbit/s.
fn alike(a: &str, b: &str) -> bool {
    let words = |table: &str| table.split_whitespace().map(String::from).collect::<Vec<_>>();
    let (a, b) = (words(a), words(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => (a - b).abs() <= (a.max(b) * 0.1).max(0.5),
            _ => a == b,
        })
}

#[test]
fn is_as_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/throughput.txt");
    let table = table();
    if std::env::var_os("TAPSOCK_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap();
    assert!(alike(&known, &table), "the table says\n{known}\nand it is\n{table}");
}
