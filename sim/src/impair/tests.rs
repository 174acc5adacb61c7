//! Each impairment alone, between a talker and a silent host.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use tapsock_stack::time::Instant;

use super::*;
use crate::node::Node;
use crate::{Network, Simulation, Talker, chain};

const MS: Duration = Duration::from_millis(1);

/// What comes of `count` frames of `size` bytes, one each millisecond, through `element`.
fn through(element: impl Node, count: u64, size: usize) -> Network {
    let talker = Talker::sends_every(MS, count).sized(size);
    Simulation::new(1).run(chain![talker, element, Talker::silent()])
}

fn received(network: &Network) -> &[(Instant, u64)] {
    network.node::<Talker>(2).received()
}

fn numbers(network: &Network) -> Vec<u64> {
    received(network).iter().map(|&(_, number)| number).collect()
}

#[test]
fn delay_is_exact_and_keeps_order() {
    let network = through(Delay::ms(10), 5, 50);
    let expected: Vec<_> = (0..5).map(|n| (Instant::from_millis(10 + n), n)).collect();
    assert_eq!(received(&network), expected);
}

#[test]
fn jitter_varies_within_its_bound_and_keeps_order() {
    let network = through(Jitter::ms(20), 200, 50);
    assert_eq!(numbers(&network), Vec::from_iter(0..200));
    let delays: Vec<_> =
        received(&network).iter().map(|&(at, n)| at.saturating_since(Instant::from_millis(n))).collect();
    assert!(delays.iter().all(|&delay| delay <= 20 * MS));
    assert!(delays.iter().any(|&delay| delay > 10 * MS) && delays.iter().any(|&delay| delay < 10 * MS));
}

#[test]
fn free_jitter_reorders() {
    let network = through(Jitter::ms(20).reordering(), 200, 50);
    let mut numbers = numbers(&network);
    assert!(!numbers.is_sorted());
    numbers.sort();
    assert_eq!(numbers, Vec::from_iter(0..200));
}

#[test]
fn loss_by_count() {
    assert_eq!(numbers(&through(Loss::nth(3), 5, 50)), [0, 1, 3, 4]);
    assert_eq!(numbers(&through(Loss::these([1, 5]), 5, 50)), [1, 2, 3]);
    assert_eq!(numbers(&through(Loss::every(2), 6, 50)), [0, 2, 4]);
    assert_eq!(numbers(&through(Loss::when(|_, index| index > 3), 6, 50)), [0, 1, 2]);
    let outage = Loss::during(Instant::from_millis(2)..Instant::from_millis(4));
    assert_eq!(numbers(&through(outage, 6, 50)), [0, 1, 4, 5]);
}

#[test]
fn loss_by_chance_is_counted() {
    let network = through(Loss::percent(10.0), 10_000, 50);
    let stats = network.node::<Impaired<Loss>>(1).stats();
    assert!((900..1_100).contains(&stats.dropped), "{stats:?}");
    assert_eq!(stats.passed + stats.dropped, stats.seen);
    assert_eq!(received(&network).len() as u64, stats.passed);
}

#[test]
fn bursts_are_as_long_as_asked() {
    let chain = GilbertElliott { good_to_bad: 1.0, bad_to_good: 25.0, loss_in_good: 0.0, loss_in_bad: 100.0 };
    let numbers = numbers(&through(Loss::burst(chain), 50_000, 50));
    let gaps: Vec<u64> =
        numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0).collect();
    let mean = gaps.iter().sum::<u64>() as f64 / gaps.len() as f64;
    assert!((3.6..4.4).contains(&mean), "bursts of {mean} frames");
    assert!((350..650).contains(&gaps.len()), "{} bursts", gaps.len());
}

#[test]
fn impairments_choose_direction_and_frames() {
    let left = Loss::every(1).toward(Direction::Left);
    assert_eq!(numbers(&through(left, 3, 50)), [0, 1, 2]);
    let others = Loss::every(1).only(|packet| !packet.is_udp());
    assert_eq!(numbers(&through(others, 3, 50)), [0, 1, 2]);
    let these = Loss::nth(2).only(Packet::is_udp).toward(Direction::Right);
    assert_eq!(numbers(&through(these, 3, 50)), [0, 2]);
}

#[test]
fn reordering_holds_back() {
    let network = through(Reorder::every(2, Duration::from_micros(1_500)), 6, 50);
    assert_eq!(numbers(&network), [0, 2, 1, 4, 3, 5]);
    assert_eq!(network.node::<Impaired<Reorder>>(1).stats().touched, 3);
    let by_chance = through(Reorder::percent(20.0, 10 * MS), 500, 50);
    assert!(!numbers(&by_chance).is_sorted());
    assert_eq!(numbers(&by_chance).len(), 500);
}

#[test]
fn duplicates_come_behind_or_later() {
    assert_eq!(numbers(&through(Duplicate::every(2), 4, 50)), [0, 1, 1, 2, 3, 3]);
    let late = through(Duplicate::every(2).after(Duration::from_micros(1_500)), 4, 50);
    assert_eq!(numbers(&late), [0, 1, 2, 1, 3, 3]);
    assert_eq!(late.node::<Impaired<Duplicate>>(1).stats().passed, 6);
}

#[test]
fn a_flipped_bit_is_found() {
    for seed in 0..20 {
        let talker = Talker::sends_every(MS, 100).sized(200);
        let network = Simulation::new(seed).run(chain![talker, Corrupt::every(4), Talker::silent()]);
        assert_eq!(received(&network).len(), 75);
    }
}

#[test]
fn a_mended_checksum_hides_the_flip() {
    let network = through(Corrupt::every(2).mended(), 1_000, 1_000);
    assert!(received(&network).len() > 950, "{} came", received(&network).len());
}

#[test]
fn rate_spaces_frames_and_its_queue_drops() {
    // 1000 bytes at 1 Mbit/s take 8 ms; one comes each millisecond, and four may wait.
    let network = through(Rate::bits_per_second(1_000_000).queue_frames(4), 24, 1_000);
    let came = received(&network);
    assert_eq!(
        &came[..5],
        [(8, 0), (16, 1), (24, 2), (32, 3), (40, 8)].map(|(ms, n)| (Instant::from_millis(ms), n))
    );
    assert!(network.node::<Impaired<Rate>>(1).stats().dropped > 10);
    let bytes = through(Rate::bits_per_second(1_000_000).queue_bytes(2_500), 24, 1_000);
    assert_eq!(received(&bytes)[2], (Instant::from_millis(24), 8));
}

#[test]
fn a_policer_drops_what_comes_too_fast() {
    // 1000 bytes at 1 Mbit/s take 8 ms; one comes each millisecond, and two may come at once.
    let network = through(Police::mbit(1).burst(2_000), 24, 1_000);
    let came = [0, 1, 8, 16].map(|n| (Instant::from_millis(n), n));
    assert_eq!(received(&network), came);
}

#[test]
fn mtu_counts_the_ip_packet() {
    assert_eq!(numbers(&through(Mtu::new(500), 2, 514)), [0, 1]);
    assert_eq!(numbers(&through(Mtu::new(500), 2, 515)), [0u64; 0]);
}

#[test]
fn a_route_changes() {
    let route = Mtu::new(500).changing(Instant::from_millis(2), 600).changing(Instant::from_millis(4), 100);
    assert_eq!(numbers(&through(route, 6, 600)), [2, 3]);
}

#[test]
fn a_router_says_what_fits() {
    let answering = Mtu::new(500).answering(Ipv4Addr::new(10, 0, 0, 9), Ipv6Addr::LOCALHOST);
    let network = through(answering, 1, 1_000);
    assert!(numbers(&network).is_empty());
    let trace = network.trace().to_string();
    assert!(
        trace.contains("talker 1 < IP 10.0.0.9 > 10.0.0.1: ICMP unreachable, code 4, length 556"),
        "{trace}"
    );
}
