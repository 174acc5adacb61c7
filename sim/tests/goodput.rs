//! How fast one stream goes, in 60 named cells: one thing at a time is changed of a line of 100 Mbit/s with a round
//! trip of 20 ms, no loss, and a buffer of one bandwidth-delay product. The table under review is `goodput.txt`
//! beside this file. Virtual time has no noise, so a figure that moves has a cause; but where a few losses decide, a small
//! cause may have a large effect, as when one comes just after the send buffer has run empty. So each figure is the median of
//! five runs, each with a round trip longer by a hundredth and a seed of its own.
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
//! - `reordering-10%`: slow start overflows the line's buffer here too, and what is sent again overtakes what was sent a little
//!   before it. Its timestamp is newer, so that the receiver takes the late one for an old duplicate (RFC 7323 §5, as Linux), and
//!   it is lost in earnest: Reno, which has no HyStart to spare it the overflow, halves its window once or twice more.
//! - `rtt-1ms`: a window of eight segments, and a buffer of as many.

mod common;

use core::fmt::Write as _;
use core::time::Duration;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The round trips of a figure's runs, in hundredths of the line's.
const ROUND_TRIPS: [u64; 5] = [98, 99, 100, 101, 102];

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

    /// Mbit/s of payload, over a round trip of so many hundredths of the line's.
    fn goodput(self, algorithm: &str, hundredths: u64) -> f64 {
        let family = Family::V4;
        let host = |name: &str, address: &str| {
            let sack = if self.sack { "1" } else { "0" };
            let host = Host::new(name).address(address).sysctl("net.ipv4.tcp_sack", sack);
            host.sysctl("net.ipv4.tcp_congestion_control", algorithm)
        };
        let plan = Plan::upload(BYTES);
        let server = Server::new(family.service(), plan.mirrored());
        let one_way = Duration::from_micros(self.round_trip_ms * 5 * hundredths);
        let product = self.mbit as f64 * self.round_trip_ms as f64 * 125.0;
        let buffer = ((product * self.buffer) as usize).max(LEAST_BUFFER);
        let mut network = Simulation::new(hundredths).chain(chain![
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

/// The median of a cell's runs.
fn median(line: Line, algorithm: &str) -> f64 {
    let mut all = ROUND_TRIPS.map(|hundredths| line.goodput(algorithm, hundredths));
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// All cells, line by line.
fn figures() -> Vec<f64> {
    let cells: Vec<(Line, &str)> =
        LINES.iter().flat_map(|(_, line)| ALGORITHMS.map(|algorithm| (*line, algorithm))).collect();
    let figures: Vec<Mutex<f64>> = cells.iter().map(|_| Mutex::new(0.0)).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(line, algorithm)) = cells.get(index) else { return };
                    *figures[index].lock().unwrap() = median(line, algorithm);
                }
            });
        }
    });
    figures.into_iter().map(|figure| figure.into_inner().unwrap()).collect()
}

fn table() -> String {
    let mut table = String::from("Mbit/s of payload, median of five runs\n");
    let heads: String = ALGORITHMS.iter().map(|name| format!("{name:>15}")).collect();
    let _ = writeln!(table, "{:<16}{heads}", "");
    for ((name, _), row) in LINES.iter().zip(figures().chunks(ALGORITHMS.len())) {
        let row: String = row.iter().map(|figure| format!("{figure:>15.2}")).collect();
        let _ = writeln!(table, "{name:<16}{row}");
    }
    table
}

#[test]
fn is_as_the_table_says() {
    assert_as_reviewed("goodput", &table());
}
