//! How fast one stream goes, in 60 named cells: one thing at a time is changed of a line of 100 Mbit/s with a round
//! trip of 20 ms, no loss, and a buffer of one bandwidth-delay product. The table under review is `goodput.txt`
//! beside this file. Virtual time has no noise, so a figure that moves has a cause.
//!
//! 94.9 Mbit/s of payload are what 100 Mbit/s of frames can carry, and 32 MiB then take 2.8 s, slow start included. Where
//! it is less, this is why:
//!
//! - `loss`, `loss-1-in-100`, `bursts`: Reno and CUBIC take a loss for a full path. At a probability p a window of √(1.5/p)
//!   segments is what they may have: 22, 7.1 and 4.1 Mbit/s for 0.1, 1 and 3 %, a little more for losses at random, and a
//!   little less where acknowledgements are lost as well. At 10 % the window is four segments, and most losses of a
//!   retransmission cost a time-out of 200 ms. BBR is bounded by the time-outs only.
//! - `rtt-100ms`, `rtt-300ms`, `rate-1G`, `rate-10G`: 32 MiB are gone in about twenty round trips, of which slow start takes
//!   ten. Beyond that no more than the send buffer's 4 MiB, half of them payload, are in flight.
//! - `rate-1M`: the line holds two segments and its buffer three. Reno's half of that lets nothing be found lost but by time.
//! - `buffer-0.1`: slow start, which sends two segments for each that arrives, overflows seventeen frames when its window is a
//!   fifth of the line's. From there on it grows by a segment a round trip, and falls back as soon as it fills the line.
//! - `no-sack`: what slow start overflows is repaired by one segment a round trip, some 170 of them. HyStart leaves before it
//!   is as much; Reno and BBR have nothing like it, and spend two thirds of the time on that.
//! - `rtt-1ms`: a window of eight segments, and a buffer of as many.

mod common;

use core::fmt::Write as _;
use core::time::Duration;

use common::snapshot::assert_as_reviewed;
use common::{Family, MIB};
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::node::Node;
use tapsock_sim::packet::Packet;
use tapsock_sim::{Delay, Duplicate, GilbertElliott, Host, Jitter, Loss, Rate, Reorder, Simulation, chain};
use tapsock_stack::time::Instant;

const ALGORITHMS: [&str; 3] = ["reno", "cubic", "bbr"];

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
    /// Every so manieth segment is lost; 0: none.
    every: u64,
    /// Bursts of losses that begin with so many percent of frames, and last two frames.
    bursts: f64,
    reordering: f64,
    jitter_ms: u64,
    duplicates: f64,
    buffer: f64,
    sack: bool,
}

const USUAL: Line = Line {
    mbit: 100,
    round_trip_ms: 20,
    loss: 0.0,
    every: 0,
    bursts: 0.0,
    reordering: 0.0,
    jitter_ms: 0,
    duplicates: 0.0,
    buffer: 1.0,
    sack: true,
};

const LINES: [(&str, Line); 20] = [
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
    ("loss-1-in-100", Line { every: 100, ..USUAL }),
    ("bursts-0.1%", Line { bursts: 0.1, ..USUAL }),
    ("jitter-2ms", Line { jitter_ms: 2, ..USUAL }),
    ("duplicates-1%", Line { duplicates: 1.0, ..USUAL }),
    ("no-sack", Line { sack: false, ..USUAL }),
];

/// The least buffer, in bytes: three frames.
const LEAST_BUFFER: usize = 3 * 1514;

/// The server's place among the nodes.
const LAST: usize = 7;

impl Line {
    fn losses(self) -> impl Node {
        let losses = match (self.every, self.bursts) {
            (0, 0.0) => Loss::percent(self.loss),
            (0, begin) => Loss::burst(GilbertElliott {
                good_to_bad: begin,
                bad_to_good: 50.0,
                loss_in_good: 0.0,
                loss_in_bad: 100.0,
            }),
            (n, _) => Loss::every(n),
        };
        losses.only(Packet::is_tcp)
    }

    /// Mbit/s of payload.
    fn goodput(self, algorithm: &str, seed: u64) -> f64 {
        let family = Family::V4;
        let host = |name: &str, address: &str| {
            let sack = if self.sack { "1" } else { "0" };
            let host = Host::new(name).address(address).sysctl("net.ipv4.tcp_sack", sack);
            host.sysctl("net.ipv4.tcp_congestion_control", algorithm)
        };
        let plan = Plan::upload(BYTES);
        let server = Server::new(family.service(), plan.mirrored());
        let one_way = Duration::from_micros(self.round_trip_ms * 500);
        let product = self.mbit as f64 * self.round_trip_ms as f64 * 125.0;
        let buffer = ((product * self.buffer) as usize).max(LEAST_BUFFER);
        let mut network = Simulation::new(seed).chain(chain![
            host("client", family.client()).app(Client::new(family.service(), plan)),
            self.losses(),
            Rate::mbit(self.mbit).queue_bytes(buffer),
            Reorder::percent(self.reordering, one_way / 2),
            Jitter::ms(self.jitter_ms),
            Duplicate::percent(self.duplicates),
            Delay::of(one_way),
            host("server", family.server()).app(server),
        ]);
        let end = Instant::ZERO + TIME;
        network.run_until(|network| {
            let finished = network.node::<Host>(LAST).app_at::<Server>(0).finished_at();
            finished.is_some() || network.now() >= end
        });
        let server = network.node::<Host>(LAST).app_at::<Server>(0);
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
