//! What a connection must survive, whoever its ends are.
//!
//! Losses spare neighbour discovery, which gives up after three tries: that is not the connection's business.

use core::time::Duration;

use tapsock_sim::app::Plan;
use tapsock_sim::impair::Direction;
use tapsock_sim::node::Node;
use tapsock_sim::packet::Packet;
use tapsock_sim::rng::Rng;
use tapsock_sim::{
    Corrupt, Delay, Duplicate, GilbertElliott, Jitter, Loss, Rate, Reorder, Segmenter, chain, seeds,
};

use super::ends::{Pair, TUNINGS, Tuning, transfer, tuned_transfer};
use super::{FAMILIES, Family, MIB};

/// Bulk each way, and both at once.
pub fn clear(pairs: &[Pair]) {
    for &pair in pairs {
        for family in FAMILIES {
            for plan in [Plan::upload(10 * MIB), Plan::download(5 * MIB), Plan::both(MIB, MIB)] {
                transfer(1, pair, family, &plan, chain![Delay::ms(5), Rate::mbit(1_000)]);
            }
        }
    }
}

/// Loss of 1 to 10 percent, in both directions.
pub fn loss(pairs: &[Pair]) {
    for seed in seeds(4) {
        for &pair in pairs {
            for percent in [1.0, 5.0, 10.0] {
                let elements =
                    chain![Delay::ms(5), Rate::mbit(100), Loss::percent(percent).only(Packet::is_tcp)];
                transfer(seed, pair, Family::of(seed), &Plan::both(MIB / 4, MIB / 2), elements);
            }
        }
    }
}

/// The segments that open and close a connection, lost one by one and two in a row, in either direction.
pub fn lost_control(pairs: &[Pair]) {
    let kinds: [fn(&Packet) -> bool; 3] = [Packet::is_syn, Packet::is_fin, Packet::is_pure_ack];
    for &pair in pairs {
        for kind in kinds {
            for direction in [Direction::Right, Direction::Left] {
                for count in 1..=2 {
                    let loss = Loss::these(1..=count).only(kind).toward(direction);
                    transfer(
                        count,
                        pair,
                        Family::V4,
                        &Plan::both(20_000, 30_000),
                        chain![Delay::ms(5), loss],
                    );
                }
            }
        }
    }
}

/// Losses that come in bursts of two and a half frames.
pub fn bursts(pairs: &[Pair]) {
    let bursts =
        // Short enough that the eight retransmissions after which an orphan is given up do not fall into one.
        GilbertElliott { good_to_bad: 1.0, bad_to_good: 50.0, loss_in_good: 0.0, loss_in_bad: 100.0 };
    for seed in seeds(5) {
        for &pair in pairs {
            let elements = chain![Delay::ms(5), Rate::mbit(50), Loss::burst(bursts).only(Packet::is_tcp)];
            transfer(seed, pair, Family::of(seed), &Plan::both(MIB / 4, MIB / 4), elements);
        }
    }
}

/// Frames that overtake each other.
pub fn reordering(pairs: &[Pair]) {
    for seed in seeds(4) {
        for &pair in pairs {
            let late = Reorder::percent(10.0, Duration::from_millis(4));
            let elements = chain![Delay::ms(5), Rate::mbit(100), late, Jitter::ms(1).reordering()];
            transfer(seed, pair, Family::of(seed), &Plan::both(MIB, MIB), elements);
        }
    }
}

/// Frames that come twice, and frames that come broken.
pub fn duplication_and_corruption(pairs: &[Pair]) {
    for seed in seeds(4) {
        for &pair in pairs {
            let twice = Duplicate::percent(5.0).after(Duration::from_millis(2));
            let elements =
                chain![Delay::ms(5), Rate::mbit(100), twice, Corrupt::percent(2.0).only(Packet::is_tcp)];
            transfer(seed, pair, Family::of(seed), &Plan::both(MIB / 2, MIB / 2), elements);
        }
    }
}

/// A bottleneck with room for eight frames.
pub fn tiny_queue(pairs: &[Pair]) {
    for &pair in pairs {
        for family in FAMILIES {
            let elements =
                chain![Segmenter::new(), Rate::mbit(20).queue_frames(8), Delay::ms(10), Segmenter::new()];
            transfer(1, pair, family, &Plan::both(2 * MIB, MIB), elements);
        }
    }
}

/// A reader that is slower than the line: the window closes and opens, and what opens it may be lost.
pub fn slow_reader(pairs: &[Pair]) {
    let plan = Plan::download(400_000).reads_slowly(8_000, Duration::from_millis(10));
    for seed in seeds(3) {
        for &pair in pairs {
            transfer(seed, pair, Family::of(seed), &plan, chain![Delay::ms(5), Rate::mbit(100)]);
            transfer(
                seed,
                pair,
                Family::of(seed),
                &plan,
                chain![Delay::ms(5), Rate::mbit(100), Loss::percent(3.0).only(Packet::is_tcp)],
            );
        }
    }
}

/// Ends that do without some option, one of them or both, and small buffers.
pub fn tunings(pairs: &[Pair]) {
    for seed in seeds(2) {
        for &pair in pairs {
            for tuning in TUNINGS {
                for tunings in [(tuning, tuning), (tuning, Tuning::Default), (Tuning::Default, tuning)] {
                    let elements =
                        chain![Delay::ms(5), Rate::mbit(100), Loss::percent(2.0).only(Packet::is_tcp)];
                    let plan = Plan::both(100_000, 100_000);
                    tuned_transfer(seed, pair, tunings, Family::of(seed), &plan, elements);
                }
            }
        }
    }
}

/// Everything at once, mixed by dice.
pub fn mixed(pairs: &[Pair], count: u64) {
    for seed in seeds(count) {
        for &pair in pairs {
            let mut rng = Rng::new(seed);
            let elements = dice_elements(&mut rng);
            let plan = dice_plan(&mut rng);
            transfer(seed, pair, Family::of(seed), &plan, elements);
        }
    }
}

fn dice_elements(rng: &mut Rng) -> Vec<Box<dyn Node>> {
    let mut elements = chain![Delay::ms(rng.below(40))];
    let mut percent = |bound: u64| rng.below(bound) as f64;
    elements.extend(chain![
        Loss::percent(percent(8)).only(Packet::is_tcp),
        Corrupt::percent(percent(3)).only(Packet::is_tcp)
    ]);
    if rng.percent(50.0) {
        let by = Duration::from_millis(1 + rng.below(30));
        elements.extend(chain![Reorder::percent(rng.below(20) as f64, by)]);
    }
    if rng.percent(30.0) {
        elements.extend(chain![Jitter::ms(1 + rng.below(20)).reordering()]);
    }
    if rng.percent(30.0) {
        let after = Duration::from_millis(rng.below(50));
        elements.extend(chain![Duplicate::percent(rng.below(10) as f64).after(after)]);
    }
    match rng.percent(30.0) {
        true => {
            let queue = 4 + rng.below(60) as usize;
            elements.extend(chain![Segmenter::new(), Rate::mbit(1 + rng.below(50)).queue_frames(queue)]);
        }
        false => elements.extend(chain![Rate::mbit(1 + rng.below(500))]),
    }
    elements
}

fn dice_plan(rng: &mut Rng) -> Plan {
    let plan = Plan::both(rng.below(300_000), rng.below(300_000)).write_size(1 + rng.below(70_000) as usize);
    match rng.percent(20.0) {
        true => plan.reads_slowly(1 + rng.below(20_000) as usize, Duration::from_millis(1 + rng.below(20))),
        false => plan,
    }
}
