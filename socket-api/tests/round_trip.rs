//! What a round trip costs in system calls and wake-ups, as `docs/LOCKS.md` states it.

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, RIGHT, builders, ip, within};
use tapsock::bsd::{self, AF_INET, PollFd, PollMask, SOCK_DGRAM, SOCK_STREAM};
use tapsock::{EngineStats, Host, SockAddr};
use tapsock_driver::memory::MemoryConfig;

const ROUNDS: u64 = 400;

/// Rounds that a stall of the machine may spoil: a delayed acknowledgement is due after 40 ms.
const SPOILT: u64 = ROUNDS / 20;

/// Two hosts that never look before they sleep, and whose background threads stay out of the way.
fn quiet_pair() -> (Host, Host) {
    let (left, right) = builders(MemoryConfig::default());
    let quiet = |builder: tapsock::Builder| {
        let builder = builder.spin(Duration::ZERO).grace(Duration::from_secs(60));
        // Nobody drives the other host while this one ends.
        builder.shutdown_timeout(Duration::ZERO).start().unwrap()
    };
    (quiet(left), quiet(right))
}

fn address(port: u16) -> SockAddr {
    SockAddr::from(std::net::SocketAddr::from((ip(RIGHT), port)))
}

/// Runs `client` against `server`, both once a round, and returns what the rounds cost each host.
fn cost(
    left: &Host,
    right: &Host,
    mut client: impl FnMut(&Host),
    mut server: impl FnMut(&Host) + Send + 'static,
) -> [EngineStats; 2] {
    const WARM_UP: u64 = 100;
    let (host, (send_stats, stats)) = (right.clone(), mpsc::channel());
    let there = thread::spawn(move || {
        (0..WARM_UP).for_each(|_| server(&host));
        let before = host.engine_stats();
        (0..ROUNDS).for_each(|_| server(&host));
        send_stats.send(host.engine_stats().since(&before)).unwrap();
    });
    (0..WARM_UP).for_each(|_| client(left));
    let before = left.engine_stats();
    (0..ROUNDS).for_each(|_| client(left));
    let here = left.engine_stats().since(&before);
    there.join().unwrap();
    [here, stats.recv().unwrap()]
}

/// Fails where a round costs one more than stated: `ppolls`, reads and writes of the link.
fn assert_cost(stats: &EngineStats, ppolls: u64, reads: u64, writes: u64) {
    let stated = EngineStats {
        ppolls: ppolls * ROUNDS,
        link_reads: reads * ROUNDS,
        link_writes: writes * ROUNDS,
        ..EngineStats::default()
    };
    let within = |found: u64, stated: u64| found <= stated + SPOILT;
    assert!(within(stats.ppolls, stated.ppolls), "ppolls: {stats:?}");
    assert!(within(stats.link_reads, stated.link_reads), "link reads: {stats:?}");
    assert!(within(stats.link_writes, stated.link_writes), "link writes: {stats:?}");
    let never = [stats.kicks, stats.parks, stats.unparks, stats.guard_arms, stats.guard_wakes];
    assert!(never.iter().all(|count| *count <= 2), "nobody wakes another thread: {stats:?}");
}

fn tcp(left: &Host, right: &Host) -> (i32, i32) {
    let listener = bsd::socket(right, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::bind(right, listener, &address(0)).unwrap();
    bsd::listen(right, listener, 16).unwrap();
    let client = bsd::socket(left, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::connect(left, client, &bsd::getsockname(right, listener).unwrap()).unwrap();
    (client, bsd::accept(right, listener).unwrap().0)
}

fn send(host: &Host, socket: i32) {
    assert_eq!(bsd::send(host, socket, &[1; 64], 0), Ok(64));
}

fn receive(host: &Host, socket: i32) {
    assert_eq!(bsd::recv(host, socket, &mut [0; 128], 0), Ok(64));
}

#[test]
fn send_and_recv() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let costs = cost(
            &left,
            &right,
            move |host| {
                send(host, client);
                receive(host, client);
            },
            move |host| {
                receive(host, server);
                send(host, server);
            },
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn send_and_poll_and_recv() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let poll = |host: &Host, socket| {
            assert_eq!(bsd::poll(host, &mut [PollFd::new(socket, PollMask::IN)], -1), Ok(1));
        };
        let costs = cost(
            &left,
            &right,
            move |host| {
                send(host, client);
                poll(host, client);
                receive(host, client);
            },
            move |host| {
                poll(host, server);
                receive(host, server);
                send(host, server);
            },
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn sendto_and_recvfrom() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let server = bsd::socket(&right, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::bind(&right, server, &address(5_000)).unwrap();
        let client = bsd::socket(&left, AF_INET, SOCK_DGRAM, 0).unwrap();
        let costs = cost(
            &left,
            &right,
            move |host| {
                bsd::sendto(host, client, &[1; 64], 0, Some(&address(5_000))).unwrap();
                receive(host, client);
            },
            move |host| {
                let (len, from) = bsd::recvfrom(host, server, &mut [0; 128], 0).unwrap();
                bsd::sendto(host, server, &[1; 64][..len], 0, from.as_ref()).unwrap();
            },
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn connect_and_accept() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let listener = bsd::socket(&right, AF_INET, SOCK_STREAM, 0).unwrap();
        bsd::bind(&right, listener, &address(5_001)).unwrap();
        bsd::listen(&right, listener, 16).unwrap();
        let costs = cost(
            &left,
            &right,
            // The connections stay: closing has a cost of its own.
            |host| {
                let client = bsd::socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
                bsd::connect(host, client, &address(5_001)).unwrap();
            },
            move |host| {
                bsd::accept(host, listener).unwrap();
            },
        );
        // SYN out, SYN-ACK in, ACK out.
        assert_cost(&costs[0], 1, 1, 2);
        assert_cost(&costs[1], 2, 3, 1);
    });
}

/// The background thread looks once a grace whether anybody drives, and not once a round trip.
#[test]
fn a_lively_caller_costs_one_wake_of_the_background_thread_a_grace() {
    const GRACE: Duration = Duration::from_millis(2);
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let start = |builder: tapsock::Builder| builder.spin(Duration::ZERO).grace(GRACE).start().unwrap();
        let (left, right) = (start(left), start(right));
        let (client, server) = tcp(&left, &right);
        let began = Instant::now();
        let costs = cost(
            &left,
            &right,
            move |host| {
                send(host, client);
                receive(host, client);
            },
            move |host| {
                receive(host, server);
                send(host, server);
            },
        );
        let graces = began.elapsed().as_micros() as u64 / GRACE.as_micros() as u64;
        for stats in costs {
            assert!(stats.guard_wakes <= graces + 2 && stats.guard_arms <= graces + 2, "{graces}: {stats:?}");
            assert!(stats.unparks == 0 && stats.parks == 0, "{stats:?}");
        }
    });
}

#[test]
fn a_thread_that_waits_beside_is_woken_once_for_each_of_its_own() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let other = bsd::socket(&right, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::bind(&right, other, &address(5_002)).unwrap();
        let bystander = {
            let right = right.clone();
            thread::spawn(move || bsd::recv(&right, other, &mut [0; 8], 0).unwrap())
        };
        thread::sleep(Duration::from_millis(20));
        let costs = cost(
            &left,
            &right,
            move |host| {
                send(host, client);
                receive(host, client);
            },
            move |host| {
                receive(host, server);
                send(host, server);
            },
        );
        // Whoever of the two drives, a message costs one wake-up of the other at most.
        assert!(costs[1].unparks <= 2 * ROUNDS + SPOILT, "{:?}", costs[1]);
        let client = bsd::socket(&left, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::sendto(&left, client, b"done", 0, Some(&address(5_002))).unwrap();
        assert_eq!(bystander.join().unwrap(), 4);
    });
}
