//! Any sequence of calls.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Send(u8, usize),
    Lookup(u8),
    Advert(u8, Advert),
    HearFrom(u8, EthernetAddress),
    Confirm(u8),
    ByHand(u8),
    Remove(u8),
    Wait(u64),
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let host = || 0u8..8;
    let station = || prop_oneof![Just(STATION), Just(OTHER)];
    let advert =
        (proptest::option::of(station()), any::<bool>(), any::<bool>(), proptest::option::of(any::<bool>()))
            .prop_map(|(link_address, solicited, overrides, router)| Advert {
                link_address,
                solicited,
                overrides,
                router,
            });
    prop_oneof![
        6 => (host(), 0usize..5000).prop_map(|(host, payload)| Op::Send(host, payload)),
        2 => host().prop_map(Op::Lookup),
        2 => (host(), advert).prop_map(|(host, advert)| Op::Advert(host, advert)),
        2 => (host(), station()).prop_map(|(host, station)| Op::HearFrom(host, station)),
        1 => host().prop_map(Op::Confirm),
        1 => host().prop_map(Op::ByHand),
        1 => host().prop_map(Op::Remove),
        4 => (0u64..3000).prop_map(Op::Wait),
        2 => Just(Op::Drain),
    ]
}

proptest! {
    /// Each packet comes out exactly once: sent, handed back, refused or counted as dropped. Solicitations for one
    /// neighbour keep their distance, as long as it is not evicted.
    #[test]
    fn no_packet_is_lost_or_doubled(ops in proptest::collection::vec(op(), 0..200), max_entries in 3usize..9) {
        let config = NeighborConfig { max_entries, queue_bytes: 9000, ..NeighborConfig::default() };
        let mut bench = Bench::new(config);
        let mut now = Instant::ZERO;
        let (mut sent, mut out, mut refused) = (0u64, 0u64, 0u64);
        for op in ops {
            match op {
                Op::Send(host, payload) => {
                    sent += 1;
                    match bench.send(now, host, payload) {
                        Resolution::Known(..) => out += 1,
                        Resolution::Queued => {}
                        Resolution::Dropped(_) => refused += 1,
                    }
                }
                Op::Lookup(host) => drop(bench.cache.lookup(now, IFACE, ip(host))),
                Op::Advert(host, advert) => {
                    bench.cache.on_advert(now, IFACE, ip(host), &advert, &mut bench.counters);
                }
                Op::HearFrom(host, station) => {
                    bench.cache.on_solicit_from(now, IFACE, ip(host), station, &mut bench.counters);
                }
                Op::Confirm(host) => bench.cache.confirm(now, IFACE, ip(host)),
                Op::ByHand(host) => {
                    let _ = bench.cache.insert_permanent(IFACE, ip(host), STATION, &mut bench.counters);
                }
                Op::Remove(host) => drop(bench.cache.remove(IFACE, ip(host), &mut bench.counters)),
                Op::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    bench.timeout(now);
                }
                Op::Drain => out += drain(&mut bench),
            }
            bench.check();
        }
        out += drain(&mut bench);
        let waiting: usize = bench.cache.entries(now).map(|entry| entry.waiting).sum();
        // Packets handed back are counted as dropped; those refused on the spot too.
        prop_assert!(refused <= bench.drops());
        prop_assert_eq!(sent, out + bench.drops() + waiting as u64);
    }
}

/// Takes all actions; returns how many packets left.
fn drain(bench: &mut Bench) -> u64 {
    let actions = core::iter::from_fn(|| bench.cache.poll_action());
    actions.filter(|action| matches!(action, NeighborAction::Transmit { .. })).count() as u64
}
