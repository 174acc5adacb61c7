//! What a round trip costs in system calls and wake-ups, as `docs/LOCKS.md` states it.

#[path = "../common/mod.rs"]
mod common;

mod rounds;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, builders, within};
use rounds::{Round, address, send_and_recv};
use table::{Cost, Row, TABLE};
use tapsock::bsd::{self, AF_INET, SO_BUSY_POLL, SO_RCVTIMEO, SOCK_DGRAM, SOL_SOCKET};
use tapsock::{EngineStats, Host};
use tapsock_driver::memory::MemoryConfig;

/// Rounds before those that count.
const WARM_UP: u64 = 100;
const ROUNDS: u64 = 400;

/// Rounds that a stall of the machine may spoil: a delayed acknowledgement is due after 40 ms.
const SPOILT: u64 = ROUNDS / 20;

/// Two hosts for a round of `row`, that never look before they sleep, and whose background threads stay out of the way.
fn quiet_pair_for(row: &Row) -> [Host; 2] {
    let (left, right) = builders(MemoryConfig { capacity: row.capacity, ..MemoryConfig::default() });
    [left, right].map(|builder| {
        let quiet = builder.privileged().spin(Duration::ZERO).grace(Duration::from_secs(60));
        // Nobody drives the other host while this one ends.
        (row.set)(quiet).shutdown_timeout(Duration::ZERO).start().unwrap()
    })
}

/// The two ends of a round.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Side {
    Client,
    Server,
}

/// Runs both ends, and returns what `measure` says on the thread of each before the rounds that count and after them, while
/// the other stands still.
fn measured<T: Send>(
    [left, right]: [&Host; 2],
    round: Round,
    measure: impl Fn(Side) -> T + Sync,
) -> [(T, T); 2] {
    let turn = Barrier::new(2);
    let run = |side, host: &Host, end: &mut rounds::End| {
        (0..WARM_UP).for_each(|_| end(host));
        turn.wait();
        let before = measure(side);
        turn.wait();
        (0..ROUNDS).for_each(|_| end(host));
        turn.wait();
        (before, measure(side))
    };
    let Round { mut client, mut server } = round;
    thread::scope(|scope| {
        let there = scope.spawn(|| run(Side::Server, right, &mut server));
        let here = run(Side::Client, left, &mut client);
        [here, there.join().unwrap()]
    })
}

/// What the rounds cost each host.
fn cost(hosts: [&Host; 2], round: Round) -> [EngineStats; 2] {
    let [(before, after), _] = measured(hosts, round, |_| hosts.map(Host::engine_stats));
    [0, 1].map(|host| after[host].since(&before[host]))
}

/// Fails where a round costs one more than stated.
fn assert_cost(name: &str, stats: &EngineStats, stated: Cost) {
    let within = |found: u64, stated: u64| found <= stated * ROUNDS + SPOILT;
    assert!(within(stats.ppolls, stated.ppolls), "{name}: ppolls: {stats:?}");
    assert!(within(stats.link_reads, stated.reads), "{name}: link reads: {stats:?}");
    assert!(within(stats.link_writes, stated.writes), "{name}: link writes: {stats:?}");
    let kicks = [stats.kicks, stats.guard_arms, stats.guard_wakes];
    assert!(kicks.iter().all(|count| *count <= stated.kicks * ROUNDS + 2), "{name}: kicks: {stats:?}");
    assert!(stats.parks <= 2 && stats.unparks <= 2, "{name}: nobody wakes another thread: {stats:?}");
}

/// Local sockets know nothing of the link: who waits parks, but for those who look at several.
fn assert_local_cost(row: &Row, host: &Host, round: Round) {
    let name = row.name;
    let ends = measured([host; 2], round, |_| (host.engine_stats(), sleeps()));
    for ((stats, slept), (stats_after, slept_after)) in ends {
        // Of both ends, for they are on one host.
        let stats = stats_after.since(&stats);
        let within = |found: u64, stated: u64| found <= 2 * (stated * ROUNDS + SPOILT);
        assert!(within(stats.ppolls, row.cost.ppolls), "{name}: ppolls: {stats:?}");
        assert!(within(stats.local_parks + stats.parks, row.cost.parks), "{name}: parks: {stats:?}");
        assert_eq!((stats.link_reads, stats.link_writes), (0, 0), "{name}: {stats:?}");
        let slept = slept_after - slept;
        assert!(slept <= (row.cost.ppolls + row.cost.parks) * ROUNDS + SPOILT, "{name}: {slept} sleeps");
        if row.cost.ppolls == 0 {
            let others = [stats.kicks, stats.parks, stats.unparks, stats.guard_arms, stats.guard_wakes];
            assert!(others.iter().all(|count| *count <= 2), "{name}: no use for the driver: {stats:?}");
        }
    }
}

/// How often the calling thread has gone to sleep so far.
fn sleeps() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    field.unwrap().trim().parse().unwrap()
}

#[test]
fn no_call_costs_more_than_is_stated() {
    for row in TABLE {
        within(PATIENCE, move || {
            let [left, right] = quiet_pair_for(row);
            if row.local {
                return assert_local_cost(row, &left, (row.begin)([&left; 2], WARM_UP + ROUNDS));
            }
            let hosts = [&left, &right];
            let [here, there] = cost(hosts, (row.begin)(hosts, WARM_UP + ROUNDS));
            assert_cost(row.name, &here, row.cost);
            assert_cost(row.answer.map_or(row.name, |(name, _)| name), &there, row.answer_cost());
        });
    }
}

/// The same table stands in the page that people read.
#[test]
fn what_is_stated_stands_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/LOCKS.md");
    let page = fs::read_to_string(page).unwrap();
    let line = |name: &str, cost: Cost| {
        let Cost { ppolls, reads, writes, kicks, parks, others } = cost;
        format!("| {name} | {ppolls} | {reads} | {writes} | {kicks} | {parks} | {others} |\n")
    };
    let rows = TABLE.iter().flat_map(|row| {
        [Some((row.name, row.cost)), row.answer].into_iter().flatten().map(|(name, cost)| line(name, cost))
    });
    let table: String = rows.collect();
    assert!(page.contains(&table), "docs/LOCKS.md is to say:\n{table}");
}

/// What the engine counts is all that there is: `strace` sees no other system call than stated.
#[test]
fn nothing_goes_uncounted() {
    const TRACED: &str = "TAPSOCK_TRACED";
    // What a reader of the trace knows the rounds of a row by.
    const BEGIN: &str = "/tapsock/rounds";
    if std::env::var_os(TRACED).is_some() {
        for (number, row) in TABLE.iter().enumerate() {
            let [left, right] = quiet_pair_for(row);
            let hosts = if row.local { [&left; 2] } else { [&left, &right] };
            measured(hosts, (row.begin)(hosts, WARM_UP + ROUNDS), |side| {
                if side == Side::Client {
                    assert!(!Path::new(BEGIN).join(number.to_string()).exists());
                }
            });
        }
        return;
    }
    let traced = within(3 * PATIENCE, || {
        Command::new("strace")
            // Of two hosts on one wire, one waits now and then for the lock of the other's: no call of the engine's.
            .args(["-f", "-e", "trace=!futex", "-o", "/dev/stdout"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_goes_uncounted"])
            .env(TRACED, "")
            .output()
    });
    let traced = match traced {
        Err(error) if error.kind() == ErrorKind::NotFound => return println!("skipped: there is no strace"),
        traced => traced.unwrap(),
    };
    let trace = String::from_utf8_lossy(&traced.stdout);
    assert!(traced.status.success(), "{trace}{}", String::from_utf8_lossy(&traced.stderr));
    // A call that another thread's comes between stands on two lines.
    let lines: Vec<_> = trace.lines().filter(|line| !line.contains("resumed>")).collect();
    let mut dearer = Vec::new();
    for (number, row) in TABLE.iter().enumerate() {
        let mark = format!("\"{BEGIN}/{number}\"");
        let marks: Vec<_> = (0..lines.len()).filter(|at| lines[*at].contains(&mark)).collect();
        let [from, to] = marks[..] else { panic!("{}: marks in lines {marks:?}", row.name) };
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        for line in &lines[from + 1..to] {
            *calls
                .entry(line.split([' ', '(']).find(|word| word.starts_with(char::is_alphabetic)).unwrap())
                .or_default() += 1;
        }
        // Less than one more. Who is kicked reads what the kick has written, and sleeps again.
        let stated = |cost: Cost| cost.ppolls + cost.reads + cost.writes + 3 * cost.kicks + cost.others;
        let most = (stated(row.cost) + stated(row.answer_cost())) * ROUNDS + ROUNDS / 2;
        if (to - from - 1) as u64 > most {
            dearer.push(format!("{}: more than {most} calls: {calls:?}", row.name));
        }
    }
    assert!(dearer.is_empty(), "in {ROUNDS} rounds:\n{}", dearer.join("\n"));
}

/// The background thread looks once a grace whether anybody drives, and not once a round trip.
#[test]
fn a_lively_caller_costs_one_wake_of_the_background_thread_a_grace() {
    const GRACE: Duration = Duration::from_millis(2);
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let start = |builder: tapsock::Builder| builder.spin(Duration::ZERO).grace(GRACE).start().unwrap();
        let (left, right) = (start(left), start(right));
        let hosts = [&left, &right];
        let began = Instant::now();
        let costs = cost(hosts, send_and_recv(hosts, 0));
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
        let [left, right] = quiet_pair_for(&TABLE[0]);
        let hosts = [&left, &right];
        let round = send_and_recv(hosts, 0);
        let other = bsd::socket(&right, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::bind(&right, other, &address(5_002)).unwrap();
        let bystander = {
            let right = right.clone();
            thread::spawn(move || bsd::recv(&right, other, &mut [0; 8], 0).unwrap())
        };
        thread::sleep(Duration::from_millis(20));
        let costs = cost(hosts, round);
        // Whoever of the two drives, a message costs one wake-up of the other at most.
        assert!(costs[1].unparks <= 2 * ROUNDS + SPOILT, "{:?}", costs[1]);
        let client = bsd::socket(&left, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::sendto(&left, client, b"done", 0, Some(&address(5_002))).unwrap();
        assert_eq!(bystander.join().unwrap(), 4);
    });
}

/// A receiver looks at the link as long as its socket asks for that, though its host never does.
#[test]
fn a_socket_that_is_polled_busily() {
    const BUSY: Duration = Duration::from_millis(200);
    within(PATIENCE, || {
        let (left, _right) = builders(MemoryConfig::default());
        let left = left.spin(Duration::ZERO).grace(Duration::from_secs(60)).privileged().start().unwrap();
        let socket = bsd::socket(&left, AF_INET, SOCK_DGRAM, 0).unwrap();
        let reads = || {
            let before = left.engine_stats();
            bsd::setsockopt(
                &left,
                socket,
                SOL_SOCKET,
                SO_RCVTIMEO,
                &[0i64.to_ne_bytes(), 300_000i64.to_ne_bytes()].concat(),
            )
            .unwrap();
            assert!(bsd::recv(&left, socket, &mut [0; 9], 0).is_err());
            left.engine_stats().since(&before).link_reads
        };
        let idle = reads();
        let micros = i32::try_from(BUSY.as_micros()).unwrap();
        bsd::setsockopt(&left, socket, SOL_SOCKET, SO_BUSY_POLL, &micros.to_ne_bytes()).unwrap();
        assert!(reads() > idle + 10, "it has not looked");
    });
}
