//! Any calls in any order: nothing panics, and what a waiting caller relies on holds.

mod common;

use core::time::Duration;
use std::hash::{BuildHasher, RandomState};

use common::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, PollMask, SockAddr, Sockets, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

#[derive(Copy, Clone, Debug)]
enum Side {
    A,
    B,
}

#[derive(Clone, Debug)]
enum Op {
    Socket(i32, i32),
    Bind(u16),
    Listen(i32),
    Accept(i32),
    Connect(SockAddr),
    Send(usize, i32),
    SendTo(usize, SockAddr),
    Recv(usize, i32),
    Shutdown(i32),
    Close,
    Linger,
    TakeError,
    V6Only(i32),
    Settle,
    Sleep(u64),
    Plug(bool),
}

/// On each host: 0 listens at port 5001, 1 is a datagram socket at 5002, and the next ones are connected.
fn furnished() -> Net {
    let mut net = Net::new();
    let now = net.now;
    for host in [&mut net.a, &mut net.b] {
        let listener = stream(host, AF_INET6);
        host.bind(now, listener, &common::any(AF_INET6, 5001)).unwrap();
        host.listen(now, listener, 2).unwrap();
        let udp = datagram(host, AF_INET6);
        host.bind(now, udp, &common::any(AF_INET6, 5002)).unwrap();
    }
    for domain in DOMAINS {
        let client = stream(&mut net.a, domain);
        let _ = net.a.try_connect(now, client, &b(domain, 5001));
        net.settle();
        net.a.try_connect(now, client, &b(domain, 5001)).unwrap();
        net.b.try_accept(now, Fd(0), 0).unwrap();
    }
    net
}

/// Few ports, so that the calls meet.
fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1 => Just(0u16), 1 => Just(5000), 4 => Just(5001), 2 => Just(5002)]
}

fn address() -> impl Strategy<Value = SockAddr> {
    let ip = prop_oneof![
        Just("10.0.0.1"),
        Just("10.0.0.2"),
        Just("127.0.0.1"),
        Just("fd00::1"),
        Just("fd00::2"),
        Just("::ffff:10.0.0.2"),
        Just("0.0.0.0"),
        Just("::"),
    ];
    prop_oneof![9 => (ip, port()).prop_map(|(ip, port)| addr(ip, port)), 1 => Just(SockAddr::Unspec(None))]
}

fn op() -> impl Strategy<Value = Op> {
    let domain = prop_oneof![Just(AF_INET), Just(AF_INET6)];
    let kind = prop_oneof![3 => Just(SOCK_STREAM), 1 => Just(SOCK_DGRAM)];
    let blocking = prop_oneof![Just(0), Just(SOCK_NONBLOCK)];
    prop_oneof![
        4 => (domain, kind, blocking.clone()).prop_map(|(domain, kind, flag)| Op::Socket(domain, kind | flag)),
        3 => port().prop_map(Op::Bind),
        3 => (-1..3).prop_map(Op::Listen),
        4 => blocking.prop_map(Op::Accept),
        6 => address().prop_map(Op::Connect),
        4 => (0usize..100_000, prop_oneof![Just(0), Just(MSG_DONTWAIT), Just(MSG_MORE)])
            .prop_map(|(len, flags)| Op::Send(len, flags)),
        2 => (0usize..2000, address()).prop_map(|(len, to)| Op::SendTo(len, to)),
        5 => (0usize..200_000, prop_oneof![Just(0), Just(MSG_PEEK), Just(MSG_TRUNC), Just(MSG_DONTWAIT)])
            .prop_map(|(max, flags)| Op::Recv(max, flags)),
        2 => (0..3).prop_map(Op::Shutdown),
        2 => Just(Op::Close),
        1 => Just(Op::Linger),
        1 => Just(Op::TakeError),
        1 => (0..2).prop_map(Op::V6Only),
        15 => Just(Op::Settle),
        2 => (1u64..100_000).prop_map(Op::Sleep),
        1 => prop_oneof![3 => Just(true), 1 => Just(false)].prop_map(Op::Plug),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

/// A call that stops to wait would be made again at once if the socket were ready already, and so on for ever.
fn check_wait<T>(host: &Sockets, fd: Fd, result: Result<T, Stop>) -> Result<(), TestCaseError> {
    if let Err(Stop::Wait(wait)) = result {
        prop_assert_eq!(wait.socket, fd);
        let ready = host.readiness(fd);
        prop_assert!(!ready.intersects(wait.mask), "waits for {:?} but is {:?}", wait.mask, ready);
    }
    Ok(())
}

fn call(host: &mut Sockets, now: Instant, fd: Fd, op: &Op) -> Result<(), TestCaseError> {
    match op {
        Op::Socket(domain, kind) => _ = host.socket(*domain, *kind, 0),
        Op::Bind(port) => {
            for domain in DOMAINS {
                let _ = host.bind(now, fd, &common::any(domain, *port));
            }
        }
        Op::Listen(backlog) => _ = host.listen(now, fd, *backlog),
        Op::Accept(flags) => {
            for listener in [Fd(0), fd] {
                let result = host.try_accept(now, listener, *flags);
                check_wait(host, listener, result)?;
            }
        }
        Op::Connect(to) => {
            let result = host.try_connect(now, fd, to);
            check_wait(host, fd, result)?;
        }
        Op::Send(len, flags) => {
            let result = host.try_send(now, fd, &mut Rope::from(vec![1; *len]), *flags, None);
            check_wait(host, fd, result)?;
        }
        Op::SendTo(len, to) => {
            let result = host.try_send(now, fd, &mut Rope::from(vec![1; *len]), 0, Some(to));
            check_wait(host, fd, result)?;
        }
        Op::Recv(max, flags) => {
            let result = host.try_recv(now, fd, *max, *flags);
            if let Ok(received) = &result {
                prop_assert!(received.data.len() <= *max && received.data.len() <= received.full_len);
            }
            check_wait(host, fd, result)?;
        }
        Op::Shutdown(how) => _ = host.shutdown(now, fd, *how),
        Op::Close => _ = host.close(now, fd),
        Op::Linger => {
            let at_once = [1i32.to_ne_bytes(), [0; 4]].concat();
            let _ = host.set_option(now, fd, SOL_SOCKET, SO_LINGER, &at_once);
        }
        Op::TakeError => _ = host.option(now, fd, SOL_SOCKET, SO_ERROR),
        Op::V6Only(value) => _ = host.set_option(now, fd, SOL_IPV6, IPV6_V6ONLY, &value.to_ne_bytes()),
        Op::Settle | Op::Sleep(_) | Op::Plug(_) => {}
    }
    Ok(())
}

fn shown(host: &Sockets) -> Vec<(Fd, PollMask)> {
    let all = (0..64).map(Fd).map(|fd| (fd, host.readiness(fd)));
    all.filter(|(_, mask)| *mask != PollMask::NVAL).collect()
}

/// Whoever sleeps on a socket is woken by events only: all that becomes ready must be named by one.
fn check_events(host: &mut Sockets, before: &[(Fd, PollMask)]) -> Result<(), TestCaseError> {
    let named = events(host);
    for (fd, old) in before {
        let new = host.readiness(*fd);
        if new != PollMask::NVAL && !old.contains(new) {
            prop_assert!(named.contains(fd), "{} went from {:?} to {:?} without an event", fd, old, new);
        }
    }
    Ok(())
}

/// Sequences, where nothing else is said, and from which seed: a change is judged by the same as the one before it.
/// `TAPSOCK_SEQUENCES` says how many, and then they are others each time; `PROPTEST_RNG_SEED` says which.
const CASES: u32 = 400;
const SEED: u64 = 1;

#[test]
fn waiting_callers_are_never_left_alone() {
    let asked: Option<u32> = std::env::var("TAPSOCK_SEQUENCES").ok().and_then(|cases| cases.parse().ok());
    let seed = match (Config::default().rng_seed, asked) {
        (RngSeed::Fixed(seed), _) => seed,
        (RngSeed::Random, None) => SEED,
        (RngSeed::Random, Some(_)) => RandomState::new().hash_one(0),
    };
    let cases = asked.unwrap_or(CASES);
    // Shown where the test fails: it draws the same again.
    println!("seed {seed}: PROPTEST_RNG_SEED={seed} TAPSOCK_SEQUENCES={cases}");
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let sequences = proptest::collection::vec((side(), 0i32..7, op()), 1..250);
    if let Err(error) = TestRunner::new(config).run(&sequences, run) {
        panic!("seed {seed}: {error}");
    }
}

fn run(ops: Vec<(Side, i32, Op)>) -> Result<(), TestCaseError> {
    let mut net = furnished();
    for (side, fd, op) in ops {
        events(&mut net.a);
        events(&mut net.b);
        let fd = Fd(fd);
        let now = net.now;
        let host = match side {
            Side::A => &mut net.a,
            Side::B => &mut net.b,
        };
        call(host, now, fd, &op)?;
        let before = (shown(&net.a), shown(&net.b));
        match op {
            Op::Sleep(millis) => net.sleep(Duration::from_millis(millis)),
            Op::Plug(plugged) => net.plugged = plugged,
            Op::Settle => net.settle(),
            _ => {}
        }
        check_events(&mut net.a, &before.0)?;
        check_events(&mut net.b, &before.1)?;
    }
    net.plugged = true;
    net.a.close_all(net.now);
    net.b.close_all(net.now);
    net.sleep(Duration::from_secs(2000));
    prop_assert!(shown(&net.a).is_empty());
    let left = net.a.stack().unfinished();
    prop_assert_eq!((left.connections, left.bytes), (0, 0), "all connections have ended");
    Ok(())
}
