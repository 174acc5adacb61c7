//! Every impairment at once, for a long time: no byte is wrong, nobody rests for longer than the time-outs allow, no program
//! waits for what is there already, and no invariant that the observer knows is broken.
//!
//! Here runs a share of 60 seconds of virtual time. The whole, 24 hours of it over 1,000 seeds, is
//! `TAPSOCK_SOAK="1000 87" cargo test --release -p tapsock-sim --test soak`: seeds, and seconds of each. It takes some
//! minutes. `TAPSOCK_SIM_SEED=N` runs one seed alone, `TAPSOCK_CONVERSATION=N` one conversation, by the seed that it failed with.

mod common;

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Family;
use common::watch::Watch;
use tapsock_sim::app::{Client, Plan, Server, Socket};
use tapsock_sim::impair::Impaired;
use tapsock_sim::node::{Node, NodeId};
use tapsock_sim::packet::Packet;
use tapsock_sim::rng::Rng;
use tapsock_sim::{
    Corrupt, Delay, Duplicate, GilbertElliott, Host, Jitter, Loss, Mark, Mtu, Network, Rate, Reorder,
    Segmenter, Simulation, chain, seeds,
};
use tapsock_sockets::constants::SIOCOUTQ;
use tapsock_sockets::{Fd, PollMask};
use tapsock_stack::time::Instant;

/// Seeds, and seconds of virtual time of each, unless said otherwise.
const SHARE: (u64, u64) = (6, 10);

/// How often it is looked for somebody who rests.
const LOOK: Duration = Duration::from_millis(500);

/// After so long a conversation is left where it is. Without timestamps and SACK, on a path that swallows what is too large, the
/// time-out grows to its two minutes, and nothing tells that it could be shorter (RFC 6298 §5, Karn's rule): it may go on so for
/// hours, a few segments each time.
const LIMIT: Duration = Duration::from_secs(1800);

/// Something arrives, or somebody is done, at least so often.
const PATIENCE: Duration = Duration::from_secs(900);

/// A host whose settings are chosen by dice.
fn host(name: &str, address: &str, rng: &mut Rng) -> Host {
    let mut host = Host::new(name).address(address);
    let mut set = |name: &str, values: &[&str]| {
        let value = values[rng.below(values.len() as u64) as usize];
        let taken = core::mem::replace(&mut host, Host::new(""));
        host = taken.sysctl(name, value);
    };
    set("net.ipv4.tcp_congestion_control", &["reno", "cubic", "bbr"]);
    set("net.ipv4.tcp_ecn", &["0", "1", "2"]);
    set("net.ipv4.tcp_sack", &["1", "1", "1", "0"]);
    set("net.ipv4.tcp_timestamps", &["1", "1", "1", "0"]);
    set("net.ipv4.tcp_window_scaling", &["1", "1", "1", "0"]);
    set("net.ipv4.tcp_rmem", &["4096 131072 6291456", "4096 8192 16384"]);
    set("net.ipv4.tcp_wmem", &["4096 16384 4194304", "4096 8192 16384"]);
    set("net.ipv4.tcp_thin_linear_timeouts", &["0", "1"]);
    set("net.ipv4.tcp_frto", &["2", "0"]);
    // A burst of losses, told by frames, lasts for ever where hardly anything is sent: give up late.
    set("net.ipv4.tcp_orphan_retries", &["15"]);
    set("tapsock.tcp_hystart", &["0", "1", "2"]);
    // Without probing nothing gets through a path that swallows what is too large without a word.
    set("net.ipv4.tcp_mtu_probing", &["1", "2"]);
    host.offloading()
}

/// A route over a link that takes less than its ends do, where the dice say so, and that changes for another: routers tell of
/// that, or they don't.
fn route(rng: &mut Rng, family: Family) -> Impaired<Mtu> {
    let least = match family {
        Family::V4 => 600,
        Family::V6 => 1280,
    };
    let size = |rng: &mut Rng| match rng.percent(40.0) {
        true => 1500,
        false => (least + rng.below(1500 - least)) as usize,
    };
    let mut route = Mtu::new(size(rng));
    let mut at = Instant::ZERO;
    for _ in 0..rng.below(4) {
        at += Duration::from_millis(1 + rng.below(15_000));
        route = route.changing(at, size(rng));
    }
    match rng.percent(50.0) {
        true => route.answering(Ipv4Addr::new(10, 0, 0, 254), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xfe)),
        false => route,
    }
}

/// Every impairment, each as strong as the dice say. Neighbour discovery is spared: it gives up after three tries.
fn impairments(rng: &mut Rng, family: Family) -> Vec<Box<dyn Node>> {
    let percent = |rng: &mut Rng, most: u64| (1 + rng.below(10 * most)) as f64 / 10.0;
    let millis = |rng: &mut Rng, most: u64| Duration::from_millis(1 + rng.below(most));
    let bursts = GilbertElliott {
        good_to_bad: percent(rng, 1) / 4.0,
        bad_to_good: 75.0,
        loss_in_good: 0.0,
        loss_in_bad: 100.0,
    };
    let outage = {
        let begin = Instant::ZERO + millis(rng, 20_000);
        begin..begin + millis(rng, 6_000)
    };
    chain![
        Segmenter::new(),
        route(rng, family),
        Loss::percent(percent(rng, 3)).only(Packet::is_tcp),
        Loss::burst(bursts).only(Packet::is_tcp),
        Loss::during(outage).only(Packet::is_tcp),
        Corrupt::percent(percent(rng, 1)).only(Packet::is_tcp),
        Mark::percent(percent(rng, 3)),
        Rate::mbit(1 + rng.below(20)).queue_frames(10 + rng.below(60) as usize),
        Delay::of(millis(rng, 60)),
        Jitter::of(millis(rng, 10)).reordering(),
        Reorder::percent(percent(rng, 5), millis(rng, 20)),
        Duplicate::percent(percent(rng, 2)).after(millis(rng, 20)),
        Segmenter::new(),
    ]
}

fn plan(rng: &mut Rng) -> Plan {
    let plan = Plan::both(rng.below(1_500_000), rng.below(1_500_000));
    let plan = plan.write_size(1 + rng.below(70_000) as usize);
    if rng.percent(20.0) {
        return plan
            .reads_slowly(2_000 + rng.below(20_000) as usize, Duration::from_millis(1 + rng.below(20)));
    }
    plan
}

/// Whether a socket of a host is readable, and whether it is writable for good: while something is to be acknowledged, that
/// will tell of the room that there is.
fn ready(host: &Host) -> impl Fn(Socket) -> (bool, bool) {
    |socket| {
        let (sockets, fd) = (host.sockets(), Fd(socket.0));
        let mask = sockets.readiness(fd);
        let idle = sockets.ioctl(fd, SIOCOUTQ) == Ok(0);
        (mask.intersects(PollMask::IN), mask.intersects(PollMask::OUT) && idle)
    }
}

/// One conversation of a few connections over a line of its own. Gives the time that it took.
fn converse(seed: u64) -> Duration {
    let mut rng = Rng::new(seed);
    let family = Family::of(seed);
    let (plan, count) = (plan(&mut rng), 1 + rng.below(3) as usize);
    let client = Client::new(family.service(), plan.clone()).connections(count);
    let server = Server::new(family.service(), plan.mirrored()).connections(count);
    let (left, left_watch) = Watch::over(family.client_end().ip());
    let (right, right_watch) = Watch::over(family.service().ip());
    let mut nodes = chain![host("client", family.client(), &mut rng).app(client), left];
    nodes.extend(impairments(&mut rng, family));
    nodes.extend(chain![right, host("server", family.server(), &mut rng).app(server)]);
    let last = NodeId(nodes.len() - 1);
    let mut network = Simulation::new(seed).limit(LIMIT).chain(nodes);
    let is_over = |network: &Network| {
        network.node::<Host>(0).app_at::<Client>(0).finished_at().is_some()
            && network.node::<Host>(last).app_at::<Server>(0).finished_at().is_some()
    };
    let (mut progress, mut since) = (None, Instant::ZERO);
    while !is_over(&network) && network.now() < Instant::ZERO + LIMIT {
        let next = network.now() + LOOK;
        network.run_until(|network| network.now() >= next || is_over(network));
        // All that is due at this moment.
        network.run_for(Duration::ZERO);
        left_watch.check(network.now(), network.node::<Host>(0).sockets().stack());
        right_watch.check(network.now(), network.node::<Host>(last).sockets().stack());
        let now = network.now();
        let (client, server) = (network.node::<Host>(0), network.node::<Host>(last));
        let (there, here) = (server.app_at::<Server>(0), client.app_at::<Client>(0));
        let bytes: u64 = here.received().chain(there.received()).sum();
        let latest = Some((bytes, here.finished_at(), there.finished_at()));
        if core::mem::replace(&mut progress, latest) != latest {
            since = now;
        }
        assert!(now < since + PATIENCE, "seed {seed}: nothing has arrived since {since:?}");
        let overlooked = here.is_overlooked(now, ready(client)) || there.is_overlooked(now, ready(server));
        assert!(!overlooked, "seed {seed}: a program waits at {now:?} for what is there");
    }
    network.now().saturating_since(Instant::ZERO)
}

/// Conversations one after the other, for as long as `time` of virtual time.
fn soak(seed: u64, time: Duration) {
    let (mut spent, mut conversation) = (Duration::ZERO, 0);
    while spent < time {
        let seed = seed * 10_000 + conversation;
        let outcome = std::panic::catch_unwind(|| converse(seed));
        match outcome {
            Ok(took) => spent += took,
            Err(fault) => {
                eprintln!("the conversation with the seed {seed} failed");
                std::panic::resume_unwind(fault);
            }
        }
        conversation += 1;
    }
}

fn share() -> (u64, u64) {
    let asked = std::env::var("TAPSOCK_SOAK").ok();
    asked.map_or(SHARE, |asked| {
        let (seeds, secs) = asked.split_once(' ').expect("TAPSOCK_SOAK is two numbers");
        (seeds.parse().expect("seeds"), secs.parse().expect("seconds"))
    })
}

#[test]
fn every_impairment_at_once_for_a_long_time() {
    if let Some(seed) = std::env::var("TAPSOCK_CONVERSATION").ok().and_then(|seed| seed.parse().ok()) {
        converse(seed);
        return;
    }
    let (count, secs) = share();
    let seeds: Vec<u64> = seeds(count).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    soak(seed, Duration::from_secs(secs));
                }
            });
        }
    });
}
