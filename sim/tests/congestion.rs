//! What congestion control owes others, and itself.

mod common;

use core::time::Duration;
use std::sync::Mutex;

use common::{Family, MIB};
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::node::Node;
use tapsock_sim::packet::Packet;
use tapsock_sim::{Delay, Host, Loss, Network, Rate, Simulation, chain};
use tapsock_stack::counters::Counter;

const ALGORITHMS: [&str; 3] = ["reno", "cubic", "bbr"];

/// A line of 100 Mbit/s with a round trip of 20 ms and one bandwidth-delay product of buffer, behind `first`, with
/// `count` streams in one direction.
fn streams(seed: u64, algorithm: &str, count: usize, bytes: u64, first: impl Node) -> Network {
    let family = Family::V4;
    let setting = "net.ipv4.tcp_congestion_control";
    let plan = Plan::upload(bytes);
    let client = Client::new(family.service(), plan.clone()).connections(count);
    let server = Server::new(family.service(), plan.mirrored()).connections(count);
    Simulation::new(seed).chain(chain![
        Host::new("client").address(family.client()).sysctl(setting, algorithm).app(client),
        first,
        Rate::mbit(100).queue_bytes(250_000),
        Delay::ms(10),
        Host::new("server").address(family.server()).sysctl(setting, algorithm).app(server),
    ])
}

fn received(network: &Network) -> Vec<u64> {
    network.node::<Host>(4).app_at::<Server>(0).received().collect()
}

fn timeouts(network: &Network) -> u64 {
    network.node::<Host>(0).sockets().stack().counters()[Counter::TcpExtTCPTimeouts]
}

/// Jain's index: 1 where all have the same, 1/n where one has all.
fn fairness(shares: &[u64]) -> f64 {
    let shares: Vec<f64> = shares.iter().map(|&share| share as f64).collect();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    shares.iter().sum::<f64>().powi(2) / (shares.len() as f64 * squares)
}

#[test]
fn two_streams_of_a_kind_share_fairly() {
    for algorithm in ALGORITHMS {
        for seed in 0..3 {
            let mut network = streams(seed, algorithm, 2, 1000 * MIB, Delay::ms(0));
            network.run_for(Duration::from_secs(40));
            let shares = received(&network);
            assert!(fairness(&shares) >= 0.9, "{algorithm}, seed {seed}: {shares:?}");
        }
    }
}

/// Loses the data segment with this index of all that the client sends, and what follows with its number, `times` in
/// all.
fn losing(index: u64, times: u32) -> impl Node {
    let lost = Mutex::new(None);
    Loss::when(move |packet, at| {
        let Some(tcp) = packet.tcp().filter(|_| packet.carries_data()) else { return false };
        let mut lost = lost.lock().unwrap();
        let (number, count) = match *lost {
            None if at >= index => (tcp.header.sequence, 0),
            Some((number, count)) if number == tcp.header.sequence && count < times => (number, count),
            _ => return false,
        };
        *lost = Some((number, count + 1));
        true
    })
}

#[test]
fn one_lost_segment_costs_no_timeout() {
    for algorithm in ALGORITHMS {
        for index in [20, 60, 200, 500] {
            let mut network = streams(1, algorithm, 1, MIB, losing(index, 1));
            network.run();
            assert_eq!(timeouts(&network), 0, "{algorithm}, without the segment {index}");
        }
    }
}

/// What is sent after a retransmission and arrives tells that the retransmission is lost. Early in a transfer,
/// where the window is full, and at its end there is no such thing.
//= RFC 8985 §3.1, type=test
#[test]
fn a_lost_retransmission_costs_no_timeout() {
    for algorithm in ALGORITHMS {
        for index in [200, 300, 1500] {
            let mut network = streams(1, algorithm, 1, 4 * MIB, losing(index, 2));
            network.run();
            assert_eq!(timeouts(&network), 0, "{algorithm}, without the segment {index}");
        }
    }
}

/// Where every `n`-th segment is lost, a window that goes to `β` of itself and grows by `α` a round trip carries
/// `√(αn(1+β) / 2(1-β))` segments a round trip: `√(1.5n)` with CUBIC's `α` and `β`, as with Reno's.
//= RFC 9438 §4.3, type=test
#[test]
fn under_periodic_loss_cubic_carries_what_reno_would() {
    const SEGMENT: f64 = 1448.0;
    let time = Duration::from_secs(60);
    let round_trips = time.as_millis() as f64 / 20.0;
    for n in [97, 100, 150, 400] {
        let allowed = (1.5 * n as f64).sqrt();
        let lossy = Loss::every(n).only(Packet::is_tcp);
        let mut network = streams(1, "cubic", 1, 1000 * MIB, lossy);
        network.run_for(time);
        let reached = received(&network)[0] as f64 / SEGMENT / round_trips;
        let share = reached / allowed;
        assert!((0.95..1.1).contains(&share), "one of {n}: {reached:.2} of {allowed:.2} segments");
    }
}
