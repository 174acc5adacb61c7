//! What the cache can hold, and what it forgets.

use super::*;

#[test]
fn waiting_packets_are_bounded_in_all() {
    let mut bench = Bench::new(NeighborConfig::default());
    let mut dropped = 0;
    for host in 1..=100 {
        for _ in 0..3 {
            dropped += u64::from(matches!(bench.send(secs(0), host, 59_900), Resolution::Dropped(_)));
        }
    }
    assert!(dropped > 0);
    assert!(bench.cache.waiting_bytes > MAX_WAITING_BYTES - 61_000);
    assert_eq!(bench.drops(), dropped);
    // A neighbour that has packets waiting replaces its own.
    assert!(matches!(bench.send(secs(0), 1, 60_000), Resolution::Queued));
}

#[test]
fn actions_are_bounded() {
    let mut bench = Bench::new(NeighborConfig { max_entries: 2, ..NeighborConfig::default() });
    for round in 0..MAX_ACTIONS + 10 {
        bench.send(Instant::from_micros(round as u64), (round % 200) as u8, 1);
    }
    assert_eq!(bench.cache.actions.len(), MAX_ACTIONS);
    let (host, before) = (((MAX_ACTIONS + 9) % 200) as u8, bench.drops());
    bench.answer(secs(1), host, STATION);
    assert_eq!(bench.drops(), before + 1);
}

#[test]
fn the_least_useful_entry_is_evicted() {
    let config = NeighborConfig { max_entries: 6, ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    // 1 by hand; 2 failed; 3 asked for; 4 heard of, never used; 5 and 6 in use, 5 the longest ago.
    assert!(bench.cache.insert_permanent(IFACE, ip(1), STATION, &mut bench.counters));
    bench.send(secs(0), 2, 1);
    for second in 1..=3 {
        bench.timeout(secs(second));
    }
    for host in [5, 6] {
        bench.hear_from(secs(3), host);
        bench.cache.lookup(secs(u64::from(host)), IFACE, ip(host));
    }
    bench.hear_from(secs(9), 4);
    bench.send(secs(9), 3, 1);
    let drops = bench.drops();
    for (newcomer, gone) in [(10, 2), (11, 3), (12, 10)] {
        bench.send(secs(9), newcomer, 1);
        assert_eq!(bench.state(secs(9), gone), None, "{newcomer} takes the place of {gone}");
    }
    // Packets that waited for an evicted entry count as dropped.
    assert_eq!(bench.drops(), drops + 2);
    for host in [11, 12] {
        bench.answer(secs(10), host, STATION);
    }
    for (newcomer, gone) in [(13, 4), (14, 13)] {
        bench.hear_from(secs(10), newcomer);
        assert_eq!(bench.state(secs(10), gone), None, "{newcomer} takes the place of {gone}");
    }
    bench.cache.lookup(secs(11), IFACE, ip(14));
    bench.cache.lookup(secs(11), IFACE, ip(5));
    bench.hear_from(secs(11), 15);
    assert_eq!((bench.state(secs(11), 6), bench.state(secs(11), 5).is_some()), (None, true));
    assert_eq!(bench.state(secs(11), 1), Some(NudState::Permanent));
    assert_eq!(bench.counters[Counter::TapsockNeighborEvictions], 6);
}

#[test]
fn neighbours_of_one_family_drive_out_none_of_the_other() {
    let config = NeighborConfig { max_entries: 2, ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    for host in 1..=9u16 {
        let v6 = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host]);
        bench.cache.on_solicit_from(secs(0), IFACE, v6, STATION, &mut bench.counters);
        bench.hear_from(secs(1), host as u8);
    }
    let left = |v4| bench.cache.entries(secs(1)).filter(|entry| entry.address.is_ipv4() == v4).count();
    assert_eq!((left(true), left(false)), (2, 2));
    assert_eq!(bench.counters[Counter::TapsockNeighborEvictions], 14);
}

#[test]
fn entries_set_by_hand_are_pinned() {
    let mut bench = Bench::new(NeighborConfig { max_entries: 2, ..NeighborConfig::default() });
    for host in [1, 2] {
        assert!(bench.cache.insert_permanent(IFACE, ip(host), STATION, &mut bench.counters));
    }
    assert!(matches!(bench.send(secs(0), 3, 1), Resolution::Dropped(_)));
    assert!(!bench.cache.insert_permanent(IFACE, ip(3), STATION, &mut bench.counters));
    bench.hear_from(secs(0), 3);
    assert_eq!((bench.state(secs(0), 3), bench.drops()), (None, 1));
    bench.answer(secs(0), 1, OTHER);
    assert_eq!(bench.cache.lookup(secs(0), IFACE, ip(1)), Some(STATION));
    assert!(bench.cache.remove(IFACE, ip(1), &mut bench.counters));
    assert!(!bench.cache.remove(IFACE, ip(1), &mut bench.counters));
    assert!(matches!(bench.send(secs(0), 3, 1), Resolution::Queued));
    // By hand, while packets wait: they leave.
    assert!(bench.cache.insert_permanent(IFACE, ip(3), OTHER, &mut bench.counters));
    assert_eq!(bench.actions(), ["solicit 10.0.0.3 from 10.0.0.99", "transmit 1 to 02:00:00:00:00:02"]);
    bench.check();
}

#[test]
fn a_large_cache_evicts_several_at_once() {
    let mut bench = Bench::new(NeighborConfig { max_entries: 128, ..NeighborConfig::default() });
    for host in 0..=128 {
        bench.hear_from(secs(0), host);
    }
    assert_eq!(bench.counters[Counter::TapsockNeighborEvictions], 2);
    assert_eq!(bench.cache.entries(secs(0)).count(), 127);
}
