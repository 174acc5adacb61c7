//! What congestion control owes others, and itself.

mod common;

use core::time::Duration;
use std::sync::Mutex;

use common::{Family, MIB};
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::impair::Impaired;
use tapsock_sim::node::Node;
use tapsock_sim::packet::Packet;
use tapsock_sim::{Delay, Host, Loss, Mark, Network, Police, Rate, Simulation, chain};
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::Surveyed;

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

/// A mark in place of a loss: it costs as much of the window, and nothing has to be sent again.
//= RFC 3168 §6.1.2, type=test
#[test]
fn marks_slow_a_sender_down_and_nothing_is_lost() {
    let bytes_with = |ecn: &str, algorithm: &str, family: Family| {
        let host = |name: &str, address: &str| {
            let host = Host::new(name).address(address).sysctl("net.ipv4.tcp_ecn", ecn);
            host.sysctl("net.ipv4.tcp_congestion_control", algorithm)
        };
        let plan = Plan::upload(1000 * MIB);
        let server = Server::new(family.service(), plan.mirrored());
        let mut network = Simulation::new(1).chain(chain![
            host("client", family.client()).app(Client::new(family.service(), plan)),
            Mark::percent(1.0),
            Rate::mbit(100).queue_bytes(250_000),
            Delay::ms(10),
            host("server", family.server()).app(server),
        ]);
        network.run_for(Duration::from_secs(10));
        let marked = network.node::<Impaired<Mark>>(1).stats().touched;
        let counters = network.node::<Host>(0).sockets().stack().counters();
        let [resent, told] =
            [Counter::TcpRetransSegs, Counter::TcpExtTCPDeliveredCE].map(|counter| counters[counter]);
        (received(&network)[0], marked, resent, told)
    };
    for (algorithm, family) in [("reno", Family::V4), ("cubic", Family::V6)] {
        let (bytes, marked, resent, told) = bytes_with("1", algorithm, family);
        assert_eq!(resent, 0, "{algorithm}");
        assert!(marked > 50 && told > 0, "{algorithm}: {marked} marks, {told} told");
        let (unmarked, none, ..) = bytes_with("0", algorithm, family);
        assert_eq!(none, 0, "{algorithm}: who does not understand marks gets none");
        assert!(bytes < unmarked / 5, "{algorithm}: {bytes} of {unmarked}");
    }
}

/// What the sender's one connection lets in flight, in segments, each 20 ms for `time`.
fn windows(network: &mut Network, time: Duration) -> Vec<(Duration, u32)> {
    let (begin, end) = (network.now(), network.now() + time);
    let mut windows = Vec::new();
    while network.now() < end {
        network.run_for(Duration::from_millis(20));
        let (now, stack) = (network.now(), network.node::<Host>(0).sockets().stack());
        let entries = stack.survey(now, &[Surveyed::Tcp]).entries;
        let info = entries.iter().find_map(|entry| stack.tcp_info(entry.connection?)).expect("it is open");
        windows.push((now.saturating_since(begin), info.snd_cwnd));
    }
    windows
}

/// BBR leaves the path all but empty for 200 ms after ten seconds in which no round trip was shorter, so that it sees how
/// long it is, and then goes on as before (draft-cardwell-iccrg-bbr-congestion-control-00, 4.3.5).
#[test]
fn bbr_probes_the_round_trip_each_ten_seconds() {
    let mut network = streams(1, "bbr", 1, 1000 * MIB, Delay::ms(0));
    let windows = windows(&mut network, Duration::from_secs(25));
    let probes: Vec<Duration> =
        windows.windows(2).filter(|pair| pair[0].1 > 4 && pair[1].1 <= 4).map(|pair| pair[1].0).collect();
    assert_eq!(probes.len(), 2, "{probes:?}");
    for pair in probes.windows(2) {
        let apart = pair[1] - pair[0];
        assert!((10_000..12_000).contains(&apart.as_millis()), "{probes:?}");
    }
    for begin in &probes {
        let low = windows
            .iter()
            .filter(|(at, window)| at >= begin && *at < *begin + Duration::from_secs(1) && *window <= 4);
        assert!((10..=20).contains(&low.count()), "200 ms and a round trip or two, after {begin:?}");
    }
    let carried = received(&network)[0] as f64 * 8.0 / 25e6;
    assert!(carried > 85.0, "{carried} Mbit/s");
}

/// A policer lets a burst pass now and then, which BBR could take for the path's bandwidth for ever; by losses at an even rate
/// it finds out.
#[test]
fn bbr_learns_the_rate_of_a_policer() {
    let mut network = streams(1, "bbr", 1, 1000 * MIB, Police::mbit(10).burst(200_000));
    let sent = |network: &Network| {
        let counters = network.node::<Host>(0).sockets().stack().counters();
        (received(network)[0], counters[Counter::TcpOutSegs], counters[Counter::TcpRetransSegs])
    };
    network.run_for(Duration::from_secs(20));
    let before = sent(&network);
    network.run_for(Duration::from_secs(40));
    let after = sent(&network);
    let carried = (after.0 - before.0) as f64 * 8.0 / 40e6;
    let lost = (after.2 - before.2) as f64 / (after.1 - before.1) as f64;
    assert!(carried > 8.5, "{carried} Mbit/s of 10");
    assert!(lost < 0.1, "{lost} of all were lost");
}
