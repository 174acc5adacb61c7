//! How fast we send, by round trip and loss, as a table under review: `throughput.txt` beside this file.
//!
//! Virtual time has no noise, so a figure that moves has a cause.

mod common;

use core::fmt::Write as _;
use core::time::Duration;

use common::ends::{End, Pair, Tuning, tuned_transfer};
use common::snapshot::assert_as_reviewed;
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

#[test]
fn is_as_the_table_says() {
    assert_as_reviewed("throughput", &table());
}
