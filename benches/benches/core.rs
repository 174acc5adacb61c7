//! What the stack itself costs for each frame, over a wire in memory: `cargo bench -p tapsock-benches`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../src/memory.rs"]
#[allow(dead_code, reason = "the benchmark program uses the rest")]
mod memory;

use memory::{Cost, MERGED, SINGLE, Wire};

/// Bytes of a step: some hundred frames of the larger size.
const STEP: u64 = 32 << 20;

/// One end's share of `cost`.
type Share = fn(&Cost) -> Duration;

/// Time for each frame with data, of one end alone: the wire and the other end are not in it.
fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(1));
    for (size, caps) in [("1500", SINGLE), ("64k", MERGED)] {
        let shares: [(&str, Share); 2] = [("receive", |cost| cost.receive), ("send", |cost| cost.send)];
        for (end, share) in shares {
            let mut wire = Wire::new(caps);
            let flow = wire.open(1)[0];
            wire.bulk(flow, STEP);
            group.bench_function(format!("{end}_{size}"), |bencher| {
                bencher.iter_custom(|count| {
                    let (mut spent, mut done) = (Duration::ZERO, 0);
                    while done < count {
                        let cost = wire.bulk(flow, STEP);
                        spent += share(&cost);
                        done += cost.frames;
                    }
                    spent.mul_f64(count as f64 / done as f64)
                });
            });
        }
    }
    group.finish();
}

fn round_trip(criterion: &mut Criterion) {
    let mut wire = Wire::new(SINGLE);
    let flow = wire.open(1)[0];
    criterion.bench_function("core/round_trip", |bencher| {
        bencher.iter(|| black_box(&mut wire).exchange_message(flow));
    });
}

criterion_group!(benches, frames, round_trip);
criterion_main!(benches);
