//! One active connection among very many idle ones, and under a flood: in memory, where no descriptor limit bites.

use std::time::{Duration, Instant};

use crate::attack::Attack;
use crate::memory::{Cost, Flow, SINGLE, Wire};
use crate::report::{Better, Row};

/// Bytes and round trips of the active connection in a measurement.
const BYTES: u64 = 256 << 20;
const TRIPS: u32 = 50_000;

/// Segments of a flood that are given together, and in all.
const BURST: usize = 256;
const BURSTS: usize = 800;

/// Segments a second against which the share that is left is reckoned.
const RATE: f64 = 500_000.0;

/// What the active connection costs, alone and beside `count` idle ones; what those cost in memory, and to accept.
pub(crate) fn idle(name: &str, count: usize, rounds: usize) -> Vec<Row> {
    let less = |what: &str, unit| Row::new(format!("{name}/{what}"), unit, Better::Less);
    let mut active =
        [("receive", "ns"), ("send", "ns"), ("round_trip", "ns")].map(|(what, unit)| less(what, unit));
    let mut kept = Row::new(format!("{name}/throughput_kept"), "part", Better::More);
    let mut crowd = [("fresh_connection", "bytes"), ("used_connection", "bytes"), ("accept_all", "s")]
        .map(|(what, unit)| less(what, unit));
    for _ in 0..rounds {
        let mut wire = Wire::new(SINGLE);
        let flow = wire.open(1)[0];
        measure(&mut wire, flow);
        let (alone, _) = measure(&mut wire, flow);
        let (memory, seconds) = fill(&mut wire, count);
        let (beside, trip) = measure(&mut wire, flow);
        let figures = [beside.receive_ns(), beside.send_ns(), trip.as_nanos() as f64];
        active.iter_mut().zip(figures).for_each(|(row, figure)| row.ours.0.push(figure));
        kept.ours.0.push(whole(&alone) / whole(&beside));
        crowd
            .iter_mut()
            .zip([memory[0], memory[1], seconds])
            .for_each(|(row, figure)| row.ours.0.push(figure));
    }
    let mut rows = Vec::from(active);
    if count > 0 {
        rows.push(kept);
        rows.extend(crowd);
    }
    rows
}

fn measure(wire: &mut Wire, flow: Flow) -> (Cost, Duration) {
    (wire.bulk(flow, BYTES), wire.round_trips(flow, TRIPS))
}

/// Nanoseconds of both ends for a frame.
fn whole(cost: &Cost) -> f64 {
    cost.receive_ns() + cost.send_ns()
}

/// Opens `count` connections: bytes of memory for each end, fresh and after use, and how long it took in seconds.
fn fill(wire: &mut Wire, count: usize) -> ([f64; 2], f64) {
    let (mut idle, started) = (Vec::new(), Instant::now());
    let memory = allocation_counter::measure(|| idle = wire.open(count)).bytes_current;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(idle.len(), count, "none is lost");
    let ends = (2 * count) as f64;
    let fresh = (memory - (idle.capacity() * size_of::<Flow>()) as i64) as f64 / ends;
    let more = allocation_counter::measure(|| {
        idle.iter().for_each(|flow| wire.exchange_message(*flow));
        wire.settle();
    });
    ([fresh, fresh + more.bytes_current as f64 / ends], seconds)
}

/// What a segment of each kind of flood costs who receives it, and what a flood leaves of a bulk transfer's throughput.
pub(crate) fn floods(name: &str, rounds: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for attack in Attack::ALL {
        let name = format!("{name}/{}", attack.name());
        let mut cost = Row::new(format!("{name}/segment"), "ns", Better::Less);
        let mut left = Row::new(format!("{name}/left_at_500000"), "part", Better::More);
        let mut held = Row::new(format!("{name}/memory"), "bytes", Better::Less);
        for _ in 0..rounds {
            let mut wire = Wire::new(SINGLE);
            let flows = wire.open(2);
            wire.bulk(flows[0], BYTES / 8);
            let template = wire.sample(flows[1]);
            let (mut time, mut serial) = (Duration::ZERO, 0);
            let memory = allocation_counter::measure(|| {
                for _ in 0..BURSTS {
                    let frames = (0..BURST).map(|_| {
                        serial += 1;
                        wire.frame(&attack.segment(&template, serial))
                    });
                    let frames = frames.collect();
                    time += wire.flood(frames);
                    // The other connection goes on meanwhile.
                    wire.exchange_message(flows[0]);
                }
            });
            let each = time.as_secs_f64() / (BURST * BURSTS) as f64;
            cost.ours.0.push(each * 1e9);
            left.ours.0.push(1.0 - RATE * each);
            held.ours.0.push(memory.bytes_current as f64);
        }
        rows.extend([cost, left, held]);
    }
    rows
}
