//! How fast one stream goes, in 45 named cells: one thing at a time is changed of a line of 100 Mbit/s with a round
//! trip of 20 ms, no loss, and a buffer of one bandwidth-delay product. The table under review is `goodput.txt`
//! beside this file. Virtual time has no noise, so a figure that moves has a cause.

mod common;

use core::fmt::Write as _;
use core::time::Duration;

use common::snapshot::assert_as_reviewed;
use common::{Family, MIB};
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::packet::Packet;
use tapsock_sim::{Delay, Host, Loss, Rate, Reorder, Simulation, chain};
use tapsock_stack::time::Instant;

const ALGORITHMS: [&str; 4] = ["reno", "cubic", "bbr", "cubic-no-sack"];

/// Bytes to send, and how long that may take: what has come by then counts.
const BYTES: u64 = 32 * MIB;
const TIME: Duration = Duration::from_secs(20);

const SEEDS: u64 = 2;

/// A line. Its buffer is in bandwidth-delay products.
#[derive(Copy, Clone)]
struct Line {
    mbit: u64,
    round_trip_ms: u64,
    loss: f64,
    reordering: f64,
    buffer: f64,
}

const USUAL: Line = Line { mbit: 100, round_trip_ms: 20, loss: 0.0, reordering: 0.0, buffer: 1.0 };

const LINES: [(&str, Line); 15] = [
    ("usual", USUAL),
    ("loss-0.1%", Line { loss: 0.1, ..USUAL }),
    ("loss-1%", Line { loss: 1.0, ..USUAL }),
    ("loss-3%", Line { loss: 3.0, ..USUAL }),
    ("loss-10%", Line { loss: 10.0, ..USUAL }),
    ("rtt-1ms", Line { round_trip_ms: 1, ..USUAL }),
    ("rtt-100ms", Line { round_trip_ms: 100, ..USUAL }),
    ("rtt-300ms", Line { round_trip_ms: 300, ..USUAL }),
    ("reordering-1%", Line { reordering: 1.0, ..USUAL }),
    ("reordering-10%", Line { reordering: 10.0, ..USUAL }),
    ("rate-1M", Line { mbit: 1, ..USUAL }),
    ("rate-1G", Line { mbit: 1_000, ..USUAL }),
    ("rate-10G", Line { mbit: 10_000, ..USUAL }),
    ("buffer-0.1", Line { buffer: 0.1, ..USUAL }),
    ("buffer-10", Line { buffer: 10.0, ..USUAL }),
];

/// The least buffer, in bytes: three frames.
const LEAST_BUFFER: usize = 3 * 1514;

impl Line {
    /// Mbit/s of payload.
    fn goodput(self, algorithm: &str, seed: u64) -> f64 {
        let family = Family::V4;
        let host = |name: &str, address: &str| {
            let host = Host::new(name).address(address);
            match algorithm.strip_suffix("-no-sack") {
                None => host.sysctl("net.ipv4.tcp_congestion_control", algorithm),
                Some(algorithm) => {
                    host.sysctl("net.ipv4.tcp_congestion_control", algorithm).sysctl("net.ipv4.tcp_sack", "0")
                }
            }
        };
        let plan = Plan::upload(BYTES);
        let server = Server::new(family.service(), plan.mirrored());
        let one_way = Duration::from_micros(self.round_trip_ms * 500);
        let product = self.mbit as f64 * self.round_trip_ms as f64 * 125.0;
        let buffer = ((product * self.buffer) as usize).max(LEAST_BUFFER);
        let mut network = Simulation::new(seed).chain(chain![
            host("client", family.client()).app(Client::new(family.service(), plan)),
            Loss::percent(self.loss).only(Packet::is_tcp),
            Rate::mbit(self.mbit).queue_bytes(buffer),
            Reorder::percent(self.reordering, one_way / 2),
            Delay::of(one_way),
            host("server", family.server()).app(server),
        ]);
        let end = Instant::ZERO + TIME;
        network.run_until(|network| {
            let finished = network.node::<Host>(5).app_at::<Server>(0).finished_at();
            finished.is_some() || network.now() >= end
        });
        let server = network.node::<Host>(5).app_at::<Server>(0);
        let received: u64 = server.received().sum();
        received as f64 * 8.0 / network.now().as_micros() as f64
    }
}

fn table() -> String {
    let mut table = String::from("Mbit/s of payload, mean of two seeds\n");
    let heads: String = ALGORITHMS.iter().map(|name| format!("{name:>15}")).collect();
    let _ = writeln!(table, "{:<16}{heads}", "");
    for (name, line) in LINES {
        let mean = |algorithm| {
            let all = (0..SEEDS).map(|seed| line.goodput(algorithm, seed));
            all.sum::<f64>() / SEEDS as f64
        };
        let row: String = ALGORITHMS.iter().map(|algorithm| format!("{:>15.2}", mean(algorithm))).collect();
        let _ = writeln!(table, "{name:<16}{row}");
    }
    table
}

#[test]
fn is_as_the_table_says() {
    assert_as_reviewed("goodput", &table());
}
