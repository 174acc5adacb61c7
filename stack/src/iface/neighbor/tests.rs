use super::*;
use crate::buf::{HeaderBlock, Rope};

mod bounds;
mod sequences;

const IFACE: InterfaceId = InterfaceId(1);
const STATION: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

struct Bench {
    cache: NeighborCache,
    random: Random,
    counters: Counters,
}

impl Bench {
    fn new(config: NeighborConfig) -> Self {
        let mut random = Random::new(1);
        Bench { cache: NeighborCache::new(config, &mut random), random, counters: Counters::default() }
    }

    fn send(&mut self, now: Instant, host: u8, payload: usize) -> Resolution {
        let (to, packet) = (ip(host), packet(host, payload));
        let outcome = self.cache.resolve(now, IFACE, to, packet, &mut self.counters);
        self.check();
        outcome
    }

    fn answer(&mut self, now: Instant, host: u8, station: EthernetAddress) {
        let advert = Advert { link_address: Some(station), solicited: true, overrides: true, router: None };
        self.cache.on_advert(now, IFACE, ip(host), &advert, &mut self.counters);
        self.check();
    }

    fn hear_from(&mut self, now: Instant, host: u8) {
        self.cache.on_solicit_from(now, IFACE, ip(host), STATION, &mut self.counters);
        self.check();
    }

    fn timeout(&mut self, now: Instant) {
        self.cache.handle_timeout(now, &mut self.random, &mut self.counters);
        assert!(self.cache.poll_timeout().is_none_or(|next| next > now));
        self.check();
    }

    fn actions(&mut self) -> Vec<String> {
        let actions = core::iter::from_fn(|| self.cache.poll_action());
        // Each failure of an entry comes with what waited for it, which is looked at.
        let told = actions.filter(|action| !matches!(action, NeighborAction::Failed { .. }));
        told.map(|action| describe(&action)).collect()
    }

    fn state(&self, now: Instant, host: u8) -> Option<NudState> {
        self.cache.entries(now).find(|entry| entry.address == ip(host)).map(|entry| entry.state)
    }

    fn drops(&self) -> u64 {
        self.counters[Counter::TapsockNeighborDrops]
    }

    /// What must hold after each call.
    fn check(&self) {
        let cache = &self.cache;
        for (family, timing) in cache.timing.iter().enumerate() {
            let count = cache.entries.keys().filter(|key| super::family(key.address) == family).count();
            assert!(count == cache.counts[family] && count <= timing.config.max_entries);
        }
        assert!(cache.waiting_bytes <= MAX_WAITING_BYTES && cache.actions.len() <= MAX_ACTIONS);
        assert_eq!(
            cache.waiting_bytes,
            cache.entries.values().map(|entry| entry.waiting.bytes()).sum::<usize>()
        );
        let deadlines: Vec<_> = cache.entries.values().filter_map(|entry| entry.nud.deadline()).collect();
        assert_eq!(cache.poll_timeout(), deadlines.iter().min().copied());
        assert_eq!(cache.deadlines.len(), deadlines.len());
        for entry in cache.entries.values() {
            assert!(entry.waiting.len() <= 1 || entry.waiting.bytes() <= cache.timing[V4].config.queue_bytes);
            assert!(entry.waiting.len() == 0 || entry.nud.state(Instant::ZERO) == NudState::Incomplete);
        }
    }
}

fn ip(host: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, host])
}

fn secs(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// An IPv4 packet from 10.0.0.99 whose last header byte is `mark`.
fn packet(mark: u8, payload: usize) -> Transmit {
    let mut headers = HeaderBlock::new();
    let header = headers.prepend(20);
    header[0] = 0x45;
    header[12..16].copy_from_slice(&[10, 0, 0, 99]);
    header[19] = mark;
    Transmit { headers, payload: Rope::from(vec![0; payload]), checksum: None, segmentation: None }
}

fn describe(action: &NeighborAction) -> String {
    match action {
        NeighborAction::Solicit { target, to: None, source_hint, .. } => match source_hint {
            Some(hint) => format!("solicit {target} from {hint}"),
            None => format!("solicit {target}"),
        },
        NeighborAction::Solicit { target, to: Some(station), .. } => format!("probe {target} at {station}"),
        NeighborAction::Transmit { address, packet, .. } => {
            format!("transmit {} to {address}", packet.payload.len())
        }
        NeighborAction::Unreachable { target, packet, .. } => {
            format!("unreachable {target} {}", packet.payload.len())
        }
        NeighborAction::Failed { target, .. } => format!("failed {target}"),
    }
}

//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §7.2.2 MUST-2, type=test
//= RFC 4861 §7.2.2 MUST-3, type=test
#[test]
fn packets_wait_and_leave_in_order() {
    let mut bench = Bench::new(NeighborConfig::default());
    assert!(matches!(bench.send(secs(0), 7, 1), Resolution::Queued));
    assert!(matches!(bench.send(secs(0), 7, 2), Resolution::Queued));
    assert_eq!(bench.actions(), ["solicit 10.0.0.7 from 10.0.0.99"]);
    bench.answer(secs(0), 7, STATION);
    assert_eq!(bench.actions(), ["transmit 1 to 02:00:00:00:00:01", "transmit 2 to 02:00:00:00:00:01"]);
    assert!(
        matches!(bench.send(secs(0), 7, 3), Resolution::Known(STATION, packet) if packet.payload.len() == 3)
    );
    assert_eq!(bench.cache.lookup(secs(0), IFACE, ip(7)), Some(STATION));
    assert_eq!(bench.cache.lookup(secs(0), InterfaceId(2), ip(7)), None);
    assert_eq!((bench.cache.poll_timeout(), bench.drops()), (None, 0));
}

//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §7.2.2 MUST-5, type=test
#[test]
fn a_failed_resolution_hands_packets_back() {
    let mut bench = Bench::new(NeighborConfig::default());
    bench.send(secs(0), 7, 1);
    bench.send(secs(1), 7, 2);
    bench.actions();
    for second in 1..=2 {
        assert_eq!(bench.cache.poll_timeout(), Some(secs(second)));
        bench.timeout(secs(second));
        assert_eq!(bench.actions(), ["solicit 10.0.0.7 from 10.0.0.99"]);
    }
    bench.timeout(secs(3));
    assert_eq!(bench.actions(), ["unreachable 10.0.0.7 1", "unreachable 10.0.0.7 2"]);
    assert_eq!(bench.state(secs(3), 7), Some(NudState::Failed));
    // A flood of sends asks no more often than before.
    for _ in 0..1000 {
        assert!(matches!(bench.send(secs(3), 7, 3), Resolution::Queued));
    }
    assert_eq!(bench.actions(), ["solicit 10.0.0.7 from 10.0.0.99"]);
    assert_eq!(bench.cache.poll_timeout(), Some(secs(4)));
}

#[test]
fn failures_are_forgotten() {
    let mut bench = Bench::new(NeighborConfig::default());
    bench.send(secs(0), 7, 1);
    while let Some(at) = bench.cache.poll_timeout() {
        bench.timeout(at);
    }
    assert_eq!(bench.cache.entries(secs(100)).count(), 0);
}

//= RFC 4861 §7.3.3, type=test
#[test]
fn a_stale_neighbour_in_use_is_probed() {
    let mut bench = Bench::new(NeighborConfig::default());
    bench.hear_from(secs(0), 7);
    assert_eq!((bench.state(secs(0), 7), bench.cache.poll_timeout()), (Some(NudState::Stale), None));
    assert_eq!(bench.cache.lookup(secs(1), IFACE, ip(7)), Some(STATION));
    assert_eq!(bench.cache.poll_timeout(), Some(secs(6)));
    bench.timeout(secs(6));
    assert_eq!(bench.actions(), ["probe 10.0.0.7 at 02:00:00:00:00:01"]);
    assert_eq!(bench.cache.lookup(secs(6), IFACE, ip(7)), Some(STATION));
    bench.answer(secs(6), 7, STATION);
    assert_eq!((bench.state(secs(6), 7), bench.cache.poll_timeout()), (Some(NudState::Reachable), None));
}

//= RFC 4861 §7.3.1, type=test
#[test]
fn tcps_progress_saves_the_probe() {
    let mut bench = Bench::new(NeighborConfig::default());
    bench.hear_from(secs(0), 7);
    bench.cache.lookup(secs(1), IFACE, ip(7));
    bench.cache.confirm(secs(2), IFACE, ip(7));
    bench.check();
    bench.timeout(secs(6));
    assert_eq!((bench.actions().len(), bench.state(secs(6), 7)), (0, Some(NudState::Reachable)));
    bench.cache.confirm(secs(2), IFACE, ip(8));
    assert_eq!(bench.state(secs(6), 8), None);
}

//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §7.2.2 MUST-2, type=test
#[test]
fn the_oldest_packets_go_where_a_queue_is_full() {
    // Each is charged 832 bytes besides.
    let three = 3 * (5 + 832);
    let mut bench = Bench::new(NeighborConfig { queue_bytes: three, ..NeighborConfig::default() });
    for payload in 1..=5 {
        assert!(matches!(bench.send(secs(0), 7, payload), Resolution::Queued));
    }
    bench.actions();
    bench.answer(secs(0), 7, STATION);
    let sent: Vec<_> = [3, 4, 5].map(|payload| format!("transmit {payload} to {STATION}")).into();
    assert_eq!((bench.actions(), bench.drops()), (sent, 2));

    // One packet may always wait.
    let mut bench = Bench::new(NeighborConfig { queue_bytes: 10_000, ..NeighborConfig::default() });
    for payload in [4000, 4001, 4002, 60_000] {
        bench.send(secs(0), 7, payload);
    }
    assert_eq!(bench.drops(), 3);
    bench.actions();
    bench.answer(secs(0), 7, STATION);
    assert_eq!(bench.actions(), [format!("transmit 60000 to {STATION}")]);
}

#[test]
fn a_flush_hands_packets_back_and_spares_what_was_set_by_hand() {
    let mut bench = Bench::new(NeighborConfig::default());
    assert!(bench.cache.insert_permanent(IFACE, ip(1), STATION, &mut bench.counters));
    bench.cache.on_solicit_from(secs(0), InterfaceId(2), ip(2), STATION, &mut bench.counters);
    bench.hear_from(secs(0), 3);
    bench.send(secs(0), 4, 1);
    bench.actions();
    bench.cache.flush(IFACE, &mut bench.counters);
    bench.check();
    assert_eq!(bench.actions(), ["unreachable 10.0.0.4 1"]);
    let left = [1, 2, 3, 4].map(|host| bench.state(secs(0), host).is_some());
    assert_eq!(left, [true, true, false, false]);
}

//= RFC 4861 §7.2 MUST-1, type=test
#[test]
fn adverts_make_no_entries() {
    let mut bench = Bench::new(NeighborConfig::default());
    bench.answer(secs(0), 7, STATION);
    assert_eq!(bench.state(secs(0), 7), None);
}

//= RFC 4861 §7.2, type=test
#[test]
fn groups_are_not_resolved() {
    let mut bench = Bench::new(NeighborConfig::default());
    let mut lookup = |text: &str| bench.cache.lookup(secs(0), IFACE, text.parse().unwrap());
    assert_eq!(lookup("224.0.0.1"), Some(EthernetAddress([1, 0, 0x5e, 0, 0, 1])));
    assert_eq!(lookup("255.255.255.255"), Some(EthernetAddress::BROADCAST));
    assert_eq!(lookup("ff02::2"), Some(EthernetAddress([0x33, 0x33, 0, 0, 0, 2])));
}

//= RFC 4861 §6.3.2, type=test
#[test]
fn the_reachable_time_is_drawn_around_the_base() {
    let mut bench = Bench::new(NeighborConfig::default());
    let (low, high) = (Duration::from_secs(15), Duration::from_secs(45));
    let mut seen = Vec::new();
    for draw in 0..200 {
        bench.timeout(secs(draw * REDRAW.as_secs()));
        seen.push(bench.cache.timing[V4].reachable);
    }
    seen.sort();
    assert!(seen[0] >= low && seen[0] < Duration::from_secs(17), "{:?}", seen[0]);
    assert!(seen[199] <= high && seen[199] > Duration::from_secs(43), "{:?}", seen[199]);
    // It stays for a while.
    bench.timeout(secs(200 * REDRAW.as_secs()));
    let reachable = bench.cache.timing[V4].reachable;
    bench.timeout(secs(201 * REDRAW.as_secs() - 1));
    assert_eq!(bench.cache.timing[V4].reachable, reachable);
}
