//! What a round trip costs in system calls and wake-ups, as `docs/LOCKS.md` states it.

mod common;

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, RIGHT, builders, ip, within};
use tapsock::bsd::{
    self, AF_INET, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EpollEvent, MSG_DONTWAIT, MSG_WAITALL, PollFd, PollMask,
    RecvMessage, SO_BUSY_POLL, SO_LINGER, SO_RCVTIMEO, SO_SNDBUF, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM,
    SOL_SOCKET, SendMessage,
};
use tapsock::{EngineStats, Host, SockAddr};
use tapsock_driver::memory::MemoryConfig;

/// Rounds before those that count.
const WARM_UP: u64 = 100;
const ROUNDS: u64 = 400;

/// Rounds that a stall of the machine may spoil: a delayed acknowledgement is due after 40 ms.
const SPOILT: u64 = ROUNDS / 20;

/// Two hosts that never look before they sleep, and whose background threads stay out of the way.
fn quiet_pair() -> (Host, Host) {
    quiet_pair_of(|builder| builder)
}

/// The same, with what `set` makes of them.
fn quiet_pair_of(set: impl Fn(tapsock::Builder) -> tapsock::Builder) -> (Host, Host) {
    let (left, right) = builders(MemoryConfig::default());
    let quiet = |builder: tapsock::Builder| {
        let builder = set(builder.spin(Duration::ZERO).grace(Duration::from_secs(60)));
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
    client: impl FnMut(&Host),
    server: impl FnMut(&Host) + Send + 'static,
) -> [EngineStats; 2] {
    let [here, there] = measured([left, right], Host::engine_stats, client, server);
    [here, there].map(|(before, after)| after.since(&before))
}

/// As [`cost`], with what `measure` says on each of the two threads before the rounds and after them.
fn measured<T: Send + 'static>(
    [left, right]: [&Host; 2],
    measure: fn(&Host) -> T,
    mut client: impl FnMut(&Host),
    mut server: impl FnMut(&Host) + Send + 'static,
) -> [(T, T); 2] {
    let host = right.clone();
    let there = thread::spawn(move || {
        (0..WARM_UP).for_each(|_| server(&host));
        let before = measure(&host);
        (0..ROUNDS).for_each(|_| server(&host));
        (before, measure(&host))
    });
    (0..WARM_UP).for_each(|_| client(left));
    let before = measure(left);
    (0..ROUNDS).for_each(|_| client(left));
    let here = (before, measure(left));
    [here, there.join().unwrap()]
}

/// What rounds cost in which 64 bytes go to the server and back. Each side receives by `receive`.
fn cost_of_echo(
    [left, right]: [&Host; 2],
    [client, server]: [i32; 2],
    send: impl Fn(&Host, i32) + Copy + Send + 'static,
    receive: impl Fn(&Host, i32) + Copy + Send + 'static,
) -> [EngineStats; 2] {
    cost(
        left,
        right,
        move |host| {
            send(host, client);
            receive(host, client);
        },
        move |host| {
            receive(host, server);
            send(host, server);
        },
    )
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

/// A connection: the left host's socket and the right one's.
fn tcp(left: &Host, right: &Host) -> (i32, i32) {
    tcp_pairs(left, right, 1)[0]
}

/// `count` connections. Each host has a thread in a call, since nobody else drives it.
fn tcp_pairs(left: &Host, right: &Host, count: u64) -> Vec<(i32, i32)> {
    let listener = bsd::socket(right, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::bind(right, listener, &address(0)).unwrap();
    bsd::listen(right, listener, 16).unwrap();
    let there = bsd::getsockname(right, listener).unwrap();
    let host = left.clone();
    let connecting = thread::spawn(move || {
        let connect = |_| {
            let client = bsd::socket(&host, AF_INET, SOCK_STREAM, 0).unwrap();
            bsd::connect(&host, client, &there).unwrap();
            client
        };
        (0..count).map(connect).collect::<Vec<_>>()
    });
    let servers: Vec<_> = (0..count).map(|_| bsd::accept(right, listener).unwrap().0).collect();
    connecting.join().unwrap().into_iter().zip(servers).collect()
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
        let costs = cost_of_echo([&left, &right], [client, server], send, receive);
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn send_and_poll_and_recv() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let poll_and_receive = |host: &Host, socket| {
            assert_eq!(bsd::poll(host, &mut [PollFd::new(socket, PollMask::IN)], -1), Ok(1));
            receive(host, socket);
        };
        let costs = cost_of_echo([&left, &right], [client, server], send, poll_and_receive);
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn send_and_epoll_wait_and_recv() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let watch = |host: &Host, socket| {
            let epoll = bsd::epoll_create1(host, 0).unwrap();
            let event = EpollEvent { events: EPOLLIN, data: 7 };
            bsd::epoll_ctl(host, epoll, EPOLL_CTL_ADD, socket, Some(event)).unwrap();
            epoll
        };
        let (here, there) = (watch(&left, client), watch(&right, server));
        let wait = |host: &Host, epoll| {
            let mut events = [EpollEvent::default(); 4];
            assert_eq!(bsd::epoll_wait(host, epoll, &mut events, -1), Ok(1));
        };
        let costs = cost(
            &left,
            &right,
            move |host| {
                send(host, client);
                wait(host, here);
                receive(host, client);
            },
            move |host| {
                wait(host, there);
                receive(host, server);
                send(host, server);
            },
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

#[test]
fn sendmsg_and_recvmsg() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let send = |host: &Host, socket| {
            let iov = [IoSlice::new(&[1; 32]), IoSlice::new(&[2; 32])];
            let message = SendMessage { iov: &iov, ..SendMessage::default() };
            assert_eq!(bsd::sendmsg(host, socket, &message, 0), Ok(64));
        };
        let receive = |host: &Host, socket| {
            let (mut first, mut second) = ([0; 32], [0; 64]);
            let mut iov = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let mut message = RecvMessage { iov: &mut iov, control_room: 0 };
            assert_eq!(bsd::recvmsg(host, socket, &mut message, 0).unwrap().len, 64);
        };
        let costs = cost_of_echo([&left, &right], [client, server], send, receive);
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

/// What the engine counts is all that there is: `strace` sees no other system call of either host.
#[test]
fn nothing_goes_uncounted() {
    const TRACED: &str = "TAPSOCK_TRACED_ROUNDS";
    if let Ok(rounds) = std::env::var(TRACED) {
        let rounds: u64 = rounds.parse().unwrap();
        let (left, right) = quiet_pair();
        let (client, server) = tcp(&left, &right);
        let host = right.clone();
        let there = thread::spawn(move || {
            for _ in 0..rounds {
                receive(&host, server);
                send(&host, server);
            }
        });
        for _ in 0..rounds {
            send(&left, client);
            receive(&left, client);
        }
        return there.join().unwrap();
    }
    let calls = |rounds: u64| {
        let traced = Command::new("strace")
            .args(["-f", "-c", "-o", "/dev/stdout"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_goes_uncounted"])
            .env(TRACED, rounds.to_string())
            .output();
        let traced = match traced {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            traced => traced.unwrap(),
        };
        let report = String::from_utf8(traced.stdout).unwrap();
        assert!(traced.status.success(), "{report}{}", String::from_utf8_lossy(&traced.stderr));
        // Of two hosts on one wire, one waits now and then for the lock of the other's: no call of the engine's.
        let of = |name: &str| {
            let line = report.lines().rfind(|line| line.split_whitespace().last() == Some(name));
            line.map_or(0, |line| line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap())
        };
        Some((of("total") - of("futex"), report.clone()))
    };
    let Some((few, _)) = calls(WARM_UP) else {
        return println!("skipped: there is no strace");
    };
    let (many, report) = calls(WARM_UP + ROUNDS).unwrap();
    // A sleep, a read and a write for each host.
    assert!(many - few <= 6 * ROUNDS + 6 * SPOILT, "{} in {ROUNDS} rounds:\n{report}", many - few);
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
        // Or the next SYN comes with the ACK before it, to a server that the machine has held up.
        let here = Arc::new(Barrier::new(2));
        let there = here.clone();
        let costs = cost(
            &left,
            &right,
            // The connections stay: closing has a cost of its own.
            move |host| {
                let client = bsd::socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
                bsd::connect(host, client, &address(5_001)).unwrap();
                here.wait();
            },
            move |host| {
                bsd::accept(host, listener).unwrap();
                there.wait();
            },
        );
        // SYN out, SYN-ACK in, ACK out.
        assert_cost(&costs[0], 1, 1, 2);
        assert_cost(&costs[1], 2, 3, 1);
    });
}

/// A send that waits for room sleeps once, for the acknowledgement that makes it.
#[test]
fn send_that_waits_for_room() {
    const FIVE_SEGMENTS: usize = 5 * 1448;
    within(PATIENCE, || {
        // Five segments: as many as half of the peer's window has room for, and more than the buffer holds, so that each
        // send waits until the peer has what the one before sent, and then goes at once.
        // What the last send leaves in the buffer nobody sends but the background, which waits for the callers first.
        let small = |builder: tapsock::Builder| {
            builder.setting("net.ipv4.tcp_rmem", "4096 32768 32768").grace(Duration::from_millis(200))
        };
        let (left, right) = quiet_pair_of(small);
        let (client, server) = tcp(&left, &right);
        bsd::setsockopt(&left, client, SOL_SOCKET, SO_SNDBUF, &2_000i32.to_ne_bytes()).unwrap();
        let first = bsd::send(&left, client, &[1; 65_536], MSG_DONTWAIT).unwrap();
        assert_eq!(bsd::recv(&right, server, &mut vec![0; first], MSG_WAITALL), Ok(first));
        assert_eq!(bsd::send(&left, client, &[1; FIVE_SEGMENTS], 0), Ok(FIVE_SEGMENTS));
        let mut into = vec![0; FIVE_SEGMENTS];
        let costs = cost(
            &left,
            &right,
            move |host| assert_eq!(bsd::send(host, client, &[1; FIVE_SEGMENTS], 0), Ok(FIVE_SEGMENTS)),
            move |host| assert_eq!(bsd::recv(host, server, &mut into, MSG_WAITALL), Ok(FIVE_SEGMENTS)),
        );
        assert_cost(&costs[0], 1, 1, 1);
        // Behind a large frame it looks for another.
        assert_cost(&costs[1], 1, 2, 1);
    });
}

/// Looking at several sockets costs no more than at one.
#[test]
fn poll_of_several() {
    const SOCKETS: u64 = 4;
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let (clients, servers): (Vec<_>, Vec<_>) = tcp_pairs(&left, &right, SOCKETS).into_iter().unzip();
        let poll = |host: &Host, sockets: &[i32]| {
            let mut fds: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, PollMask::IN)).collect();
            assert_eq!(bsd::poll(host, &mut fds, -1), Ok(1));
            sockets[fds.iter().position(|fd| fd.revents == PollMask::IN).unwrap()]
        };
        let mut turns = (0..clients.len()).cycle();
        let costs = cost(
            &left,
            &right,
            move |host| {
                let asked = clients[turns.next().unwrap()];
                send(host, asked);
                assert_eq!(poll(host, &clients), asked);
                receive(host, asked);
            },
            move |host| {
                let asked = poll(host, &servers);
                receive(host, asked);
                send(host, asked);
            },
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

/// A close that lingers sleeps once, for the acknowledgement of its FIN.
#[test]
fn lingering_close() {
    within(PATIENCE, || {
        let (left, right) = quiet_pair();
        let pairs = tcp_pairs(&left, &right, WARM_UP + ROUNDS);
        let linger = [1i32, 60].map(i32::to_ne_bytes).concat();
        for (client, _) in &pairs {
            bsd::setsockopt(&left, *client, SOL_SOCKET, SO_LINGER, &linger).unwrap();
        }
        let (mut clients, mut servers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let costs = cost(
            &left,
            &right,
            move |host| bsd::close(host, clients.pop().unwrap()).unwrap(),
            move |host| assert_eq!(bsd::recv(host, servers.pop().unwrap(), &mut [0], 0), Ok(0)),
        );
        costs.iter().for_each(|stats| assert_cost(stats, 1, 1, 1));
    });
}

/// Local sockets know nothing of the link: who waits parks, once for each message.
#[test]
fn local_send_and_recv() {
    within(PATIENCE, || {
        let (host, _other) = quiet_pair();
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            let [here, there] = bsd::socketpair(&host, AF_UNIX, kind, 0).unwrap();
            let ends = measured(
                [&host, &host],
                |host| (host.engine_stats(), sleeps()),
                move |host| {
                    send(host, here);
                    receive(host, here);
                },
                move |host| {
                    receive(host, there);
                    send(host, there);
                },
            );
            for ((stats, slept), (stats_after, slept_after)) in ends {
                let stats = stats_after.since(&stats);
                // The background thread may go to sleep as late as now.
                let ppolls = stats.ppolls.min(1);
                let parks = EngineStats { local_parks: stats.local_parks, ppolls, ..EngineStats::default() };
                assert_eq!(stats, parks, "{kind}: no use for the driver");
                // Both ends park on the one host.
                assert!(stats.local_parks <= 2 * (ROUNDS + SPOILT), "{kind}: {stats:?}");
                let slept = slept_after - slept;
                assert!(slept <= ROUNDS + SPOILT, "{kind}: {slept} parks");
            }
        }
    });
}

/// How often the calling thread has gone to sleep so far.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    field.unwrap().trim().parse().unwrap()
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
        let costs = cost_of_echo([&left, &right], [client, server], send, receive);
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
        let costs = cost_of_echo([&left, &right], [client, server], send, receive);
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
