//! Sequences of calls drawn at random, on the kernel's internet sockets and on ours. `TAPSOCK_SEQUENCES` says how many of
//! each sort, `PROPTEST_RNG_SEED` which. A long run: `TAPSOCK_SEQUENCES=10000 cargo test -p tapsock-tests --test
//! differential_inet`, some minutes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tapsock::bsd::*;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::differential::{
    ControlMessage, DIFFERENCES, Ip, Port, Room, Shape, Sockets, Sort, Stage, Target, UNLIKE_OPTIONS,
    UNLIKE_STATES, World, differences_of_option, differences_of_states, inet_plan, run_inet_plan,
};
use tapsock_tests::drawn::cases_and_seed;
use tapsock_tests::socket_options::constants;

#[path = "differential_inet/sending.rs"]
mod sending;

const STREAM: i32 = SOCK_STREAM | SOCK_NONBLOCK;
const DGRAM: i32 = SOCK_DGRAM | SOCK_NONBLOCK;

/// Sequences of each sort, where nothing else is said.
const CASES: u32 = 2_000;
/// Of so many sequences one may fail at first and not when it is tried again, by the accident of a port. More is a race.
const RETRIED_OF: u32 = 200;

/// The kernel's numbers are the process's: which one is free next, another test may not decide.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sequences(sort: Sort) {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    // Shown where the test fails.
    let (cases, seed) = cases_and_seed(CASES);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config)
        .run(&inet_plan(sort), |plan| run_inet_plan(&stage, &plan).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("seed {seed}: {error}");
    }
    let retried = stage.retried();
    println!("{retried} of {cases} were tried again");
    assert!(retried <= cases.div_ceil(RETRIED_OF), "seed {seed}: {retried} of {cases} failed at first");
}

#[test]
fn connections_over_ipv4() {
    sequences(Sort::ALL[0]);
}

#[test]
fn connections_over_ipv6() {
    sequences(Sort::ALL[1]);
}

#[test]
fn connections_over_both() {
    sequences(Sort::ALL[2]);
}

#[test]
fn datagrams_over_ipv4() {
    sequences(Sort::ALL[3]);
}

#[test]
fn datagrams_over_ipv6() {
    sequences(Sort::ALL[4]);
}

#[test]
fn datagrams_over_both() {
    sequences(Sort::ALL[5]);
}

#[test]
fn pings_over_ipv4() {
    sequences(Sort::ALL[6]);
}

#[test]
fn pings_over_ipv6() {
    sequences(Sort::ALL[7]);
}

#[test]
fn pings_over_both() {
    sequences(Sort::ALL[8]);
}

#[test]
fn raw_packets_over_ipv4() {
    sequences(Sort::ALL[9]);
}

#[test]
fn raw_packets_over_ipv6() {
    sequences(Sort::ALL[10]);
}

#[test]
fn raw_packets_over_both() {
    sequences(Sort::ALL[11]);
}

/// A listener, and where it is as long as no socket with a lower number is closed.
fn listening(world: &mut World, domain: i32, ip: Ip) -> (i32, Target) {
    let listener = world.socket(domain, STREAM, 0);
    world.bind(listener, Target::new(ip, Port::Zero));
    world.listen(listener, 5);
    assert_eq!(world.difference(), None);
    let place = world.open().iter().position(|open| *open == listener).unwrap();
    (listener, Target::new(ip, Port::Of(place)))
}

/// A connection narrows a wildcard to the address that it has, and what others may bind meanwhile with it: as long as it
/// is attempted, is there, has failed and nobody was told. Afterwards it is as wide as before.
#[test]
fn a_port_is_as_wide_as_the_kernels() {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let addresses =
        [(AF_INET, Ip::Lo4), (AF_INET, Ip::Second4), (AF_INET6, Ip::Lo6), (AF_INET6, Ip::MappedLo)];
    let sockets =
        [(AF_INET, Ip::Any4, Ip::Lo4), (AF_INET6, Ip::Any6, Ip::Lo6), (AF_INET6, Ip::Any6, Ip::MappedLo)];
    for (domain, any, to) in sockets {
        for refused in [true, false] {
            let mut world = World::new(&stage);
            let others = |world: &mut World| {
                for (domain, ip) in addresses {
                    let other = world.socket(domain, STREAM, 0);
                    world.bind(other, Target::new(ip, Port::Slot(3)));
                    world.close(other);
                }
            };
            let far_domain = if to == Ip::Lo6 { AF_INET6 } else { AF_INET };
            let (_, there) = listening(&mut world, far_domain, if to == Ip::Lo6 { to } else { Ip::Lo4 });
            let there = Target { ip: to, ..if refused { Target::new(to, Port::Slot(0)) } else { there } };
            let socket = world.socket(domain, STREAM, 0);
            world.bind(socket, Target::new(any, Port::Slot(3)));
            others(&mut world);
            world.connect(socket, there);
            others(&mut world);
            world.option(socket, SOL_SOCKET, SO_ERROR, 4);
            others(&mut world);
            world.connect(socket, if refused { there } else { Target::UNSPEC });
            others(&mut world);
            world.local(socket);
            world.listen(socket, 1);
            others(&mut world);
            assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
        }
    }
}

/// What drawn sequences have shown, each in a few calls.
#[test]
fn found_in_sequences() {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let on = 1i32.to_ne_bytes();
    let mut world = World::new(&stage);
    let (listener, there) = listening(&mut world, AF_INET, Ip::Lo4);
    let client = world.socket(AF_INET, STREAM, 0);
    world.connect(client, there);
    let server = world.accept(listener, SOCK_NONBLOCK);
    // To ask for less is an edge, where so much is there.
    world.watch(server, EPOLL_CTL_ADD, EPOLLIN | EPOLLET);
    for _ in 0..2 {
        world.set_option(server, SOL_SOCKET, SO_RCVLOWAT, &on);
        world.events();
        world.send(client, b"ab", 0, None);
        world.events();
    }
    // A connection's own options say who may share its port, until the end of TIME-WAIT.
    world.close(listener);
    for option in [&[0; 4], &on] {
        let other = world.socket(AF_INET, STREAM, 0);
        world.set_option(other, SOL_SOCKET, SO_REUSEADDR, &on);
        world.set_option(server, SOL_SOCKET, SO_REUSEADDR, option);
        let place = world.open().iter().position(|open| *open == server).unwrap();
        world.bind(other, Target::new(Ip::Any4, Port::Of(place)));
        world.close(other);
    }
    world.shutdown(server, SHUT_WR);
    world.close(client);
    let place = world.open().iter().position(|open| *open == server).unwrap();
    world.bind(server, Target::new(Ip::Any4, Port::Of(place)));
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));

    // What is held back is so where it ends a record too; and who asks for nothing, and waits, is told what else there is.
    let mut world = World::new(&stage);
    let (listener, there) = listening(&mut world, AF_INET, Ip::Lo4);
    let client = world.socket(AF_INET, SOCK_STREAM, 0);
    world.set_option(client, SOL_SOCKET, SO_RCVTIMEO, &[0u64.to_ne_bytes(), 3000u64.to_ne_bytes()].concat());
    world.set_option(client, SOL_TCP, TCP_INQ, &on);
    world.connect(client, there);
    let server = world.accept(listener, SOCK_NONBLOCK);
    for control in [0, 512] {
        world.recv_into(client, Room { data: 0, control }, 0);
    }
    for (part, flags) in [(&b"a"[..], MSG_MORE | MSG_EOR), (b"", MSG_MORE | MSG_EOR), (b"b", 0)] {
        world.send(server, part, flags, None);
        world.recv_into(client, Room { data: 9, control: 512 }, MSG_DONTWAIT);
    }
    world.send(server, b"urgent", MSG_OOB, None);
    for (room, flags) in [(0, MSG_PEEK), (1, MSG_PEEK), (1, 0), (1, 0)] {
        world.recv_into(client, Room { data: room, control: 512 }, flags | MSG_OOB);
    }
    world.send(server, b"end", 0, None);
    world.close(server);
    for room in [0, 3, 9] {
        world.recv_into(client, Room { data: room, control: 512 }, 0);
    }
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));

    // Who asked for any address of IPv4 keeps the one that a connection chose.
    for kind in [STREAM, DGRAM] {
        let mut world = World::new(&stage);
        let socket = world.socket(AF_INET6, kind, 0);
        world.bind(socket, Target::new(Ip::Any4, Port::Zero));
        world.connect(socket, Target::new(Ip::Lo4, Port::Slot(1)));
        world.connect(socket, Target::UNSPEC);
        world.local(socket);
        assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
    }

    // Where a datagram was sent to is what it says itself, whatever has become of the socket's port.
    let mut world = World::new(&stage);
    let socket = world.socket(AF_INET, DGRAM, 0);
    world.connect(socket, Target::new(Ip::Any4, Port::Of(0)));
    world.send(socket, b"x", 0, None);
    world.set_option(socket, SOL_IP, IP_RECVORIGDSTADDR, &on);
    world.connect(socket, Target::UNSPEC);
    world.recv_into(socket, Room { data: 1, control: 512 }, 0);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));

    // Of two with one name the last is asked first, but for those of IPv6 with SO_REUSEPORT.
    for domain in [AF_INET, AF_INET6] {
        let to = Target::new(if domain == AF_INET { Ip::Lo4 } else { Ip::Lo6 }, Port::Slot(1));
        for reusing in [[true, false], [false, true], [false, false]] {
            for (protocol, shared) in
                [(0, SO_REUSEADDR), (if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 }, 0)]
            {
                let mut world = if shared == 0 { World::of_pings(&stage) } else { World::new(&stage) };
                let sockets = reusing.map(|reuses_port| {
                    let socket = world.socket(domain, DGRAM, protocol);
                    if shared != 0 {
                        world.set_option(socket, SOL_SOCKET, shared, &on);
                    }
                    if reuses_port {
                        world.set_option(socket, SOL_SOCKET, SO_REUSEPORT, &on);
                    }
                    world.bind(socket, to);
                    socket
                });
                let message: &[u8] = match (shared, domain) {
                    (0, AF_INET) => b"\x08\0\0\0\0\0\0\x01",
                    (0, _) => b"\x80\0\0\0\0\0\0\x01",
                    _ => b"x",
                };
                world.send(sockets[0], message, 0, Some(to));
                assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
            }
        }
    }

    // A socket that ever had an address by bind keeps the one that connect chose.
    let mut world = World::new(&stage);
    let socket = world.socket(AF_INET6, DGRAM, 0);
    world.bind(socket, Target::new(Ip::Lo6, Port::Zero));
    world.connect(socket, Target::UNSPEC);
    world.bind(socket, Target::new(Ip::Any6, Port::Slot(1)));
    world.connect(socket, Target::new(Ip::Lo6, Port::Slot(2)));
    world.connect(socket, Target::UNSPEC);
    world.local(socket);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
}

/// What is refused with ENOPROTOOPT is not compared, so that an option is as soon as it acts.
#[test]
fn options_of_all_values_and_lengths() {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = std::fs::read_to_string(root.join("sockets/src/constants.rs")).unwrap();
    let (mut complaints, mut unlike) = (Vec::new(), 0);
    for option in constants(&source) {
        let (found, met) = differences_of_option(&stage, &option);
        complaints.extend(found.into_iter().take(3));
        unlike += usize::from(met > 0);
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert_eq!(unlike, UNLIKE_OPTIONS.len(), "each that is known shows");
}

#[test]
fn options_of_all_states() {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = std::fs::read_to_string(root.join("sockets/src/constants.rs")).unwrap();
    let (mut complaints, mut unlike) = (Vec::new(), BTreeSet::new());
    for option in constants(&source) {
        let (found, met) = differences_of_states(&stage, &option);
        complaints.extend(found);
        if met > 0 {
            unlike.insert(option.name);
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    let known = UNLIKE_STATES.iter().flat_map(|unlike| unlike.names.split(", ")).map(str::to_owned);
    assert_eq!(unlike, known.collect(), "each that is known shows");
}

fn known_of_datagrams(world: &mut World) {
    let [here, there] = [Ip::Lo4, Ip::Lo6].map(|ip| Target::new(ip, Port::Slot(3)));
    let socket = world.socket(AF_INET6, DGRAM, 0);
    world.connect(socket, there);
    world.known("IPv4 of a datagram socket that is connected to IPv6");
    world.send(socket, b"g", 0, Some(here));
    world.close(socket);

    let socket = world.socket(AF_INET6, DGRAM, 0);
    world.connect(socket, here);
    world.connect(socket, Target::UNSPEC);
    world.send(socket, b"h", 0, Some(here));
    world.local(socket);
    let place = world.open().iter().position(|open| *open == socket).unwrap();
    world.apart(socket);
    world.send(socket, b"i", 0, Some(Target::new(Ip::Lo6, Port::Of(place))));
    world.known("datagrams of IPv6 after a connection to IPv4 was dissolved");
    world.recv(socket, 1, 0);
    world.close(socket);

    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, DGRAM, 0));
    world.bind(receiver, here);
    world.connect(sender, here);
    world.connect(sender, Target::new(Ip::Foreign4, Port::Slot(3)));
    world.send(sender, b"j", 0, None);
    world.recv(receiver, 1, 0);
    world.apart(receiver);
    world.send(sender, b"k", 0, None);
    world.known("datagrams after a connect that led nowhere");
    world.recv(receiver, 1, 0);
    world.close(sender);
    world.close(receiver);
}

fn known_of_messages(world: &mut World) {
    let [here, there] = [Ip::Lo4, Ip::Lo6].map(|ip| Target::new(ip, Port::Slot(3)));
    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, DGRAM, 0));
    world.bind(receiver, here);
    world.send(sender, b"l", 0, Some(here));
    world.set_option(receiver, SOL_IP, IP_PKTINFO, &1i32.to_ne_bytes());
    world.known("IP_PKTINFO of a datagram that came before it was asked for");
    world.recv_into(receiver, Room { data: 1, control: 64 }, 0);
    world.close(receiver);
    world.close(sender);

    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET6, DGRAM, 0));
    world.bind(receiver, there);
    world.connect(sender, there);
    world.apart(receiver);
    world.send_file(sender, 5_998, 4);
    world.known("sendfile beyond the end of the file, but on IPv4's UDP sockets");
    world.recv(receiver, 9, 0);
    world.close(receiver);
    world.close(sender);
}

fn known_of_groups(world: &mut World) {
    let socket = world.socket(AF_INET, DGRAM, 0);
    let interface = [&[0; 8][..], &1i32.to_ne_bytes()].concat();
    world.set_option(socket, SOL_IP, IP_MULTICAST_IF, &interface);
    world.connect(socket, Target::new(Ip::Group4, Port::Slot(3)));
    world.known("the way to a group of IPv4 by lo, from a socket without an address");
    world.local(socket);
    world.close(socket);
}

fn known_of_parts(world: &mut World) {
    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, 200));
    let host = Target::new(Ip::Lo4, Port::Zero);
    world.bind(receiver, host);
    world.bind(sender, host);
    world.send(sender, b"ab", MSG_MORE, Some(Target::new(Ip::Group4, Port::Zero)));
    [receiver, sender].into_iter().for_each(|socket| world.apart(socket));
    world.send(sender, b"cd", 0, Some(host));
    world.known("parts of an IPv4 raw packet, some for a group and some for a host");
    world.recv(receiver, 0, 0);
    [receiver, sender].into_iter().for_each(|socket| world.close(socket));
}

fn known_of_stamps(world: &mut World) {
    let (listener, at) = listening(world, AF_INET, Ip::Lo4);
    let client = world.socket(AF_INET, STREAM, 0);
    world.connect(client, at);
    let server = world.accept(listener, SOCK_NONBLOCK);
    world.send(client, b"p", 0, None);
    world.set_option(server, SOL_SOCKET, SO_TIMESTAMP, &1i32.to_ne_bytes());
    world.known("SO_TIMESTAMP of data of a stream that came before it was asked for");
    world.recv_into(server, Room { data: 1, control: 64 }, 0);
    [client, server, listener].into_iter().for_each(|socket| world.close(socket));
}

fn known_of_ways(world: &mut World) {
    let [here, there] = [Ip::Any4, Ip::Lo6].map(|ip| Target::new(ip, Port::Slot(1)));
    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET, DGRAM, 0));
    world.bind(receiver, here);
    world.set_option(sender, SOL_SOCKET, SO_BINDTOIFINDEX, &1i32.to_ne_bytes());
    world.apart(receiver);
    world.send(sender, b"m", 0, Some(Target::new(Ip::Foreign4, Port::Slot(1))));
    world.known("a datagram to a foreign host that is held to lo");
    world.recv(receiver, 1, 0);
    world.close(receiver);
    world.close(sender);

    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET6, DGRAM, 0));
    world.bind(receiver, there);
    world.connect(sender, Target::new(Ip::MappedLo, Port::Slot(2)));
    world.send(sender, b"n", 0, Some(there));
    let source = [&[0; 15][..], &[1], &0u32.to_ne_bytes()].concat();
    let control = ControlMessage { level: SOL_IPV6, kind: IPV6_PKTINFO, data: source }.bytes();
    world.apart(receiver);
    world.known("IPV6_PKTINFO on a datagram socket that is connected to IPv4");
    world.send_beside(sender, b"n", 0, Some(there), &control);
    world.close(receiver);
    world.close(sender);

    let [receiver, sender] = [(); 2].map(|()| world.socket(AF_INET6, DGRAM, 0));
    world.bind(receiver, there);
    world.set_option(receiver, SOL_IPV6, IPV6_RECVTCLASS, &1i32.to_ne_bytes());
    let data = (-1i32).to_ne_bytes().to_vec();
    let control = ControlMessage { level: SOL_IPV6, kind: IPV6_TCLASS, data }.bytes();
    world.send_beside(sender, b"o", 0, Some(there), &control);
    world.known("an IPV6_TCLASS of -1 in a message");
    world.recv_into(receiver, Room { data: 1, control: 64 }, 0);
    world.close(receiver);
    world.close(sender);
}

/// Those of the table that no sequence can meet, or that would end it.
#[test]
fn every_known_difference_shows() {
    let _alone = alone();
    let stage = match Stage::new() {
        Ok(stage) => stage,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let mut world = World::new(&stage);
    known_of_messages(&mut world);
    known_of_ways(&mut world);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
    let mut met = world.met().clone();
    let mut world = World::new(&stage);
    known_of_groups(&mut world);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
    met.extend(world.met());
    let mut world = World::new(&stage);
    known_of_stamps(&mut world);
    known_of_parts(&mut world);
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
    met.extend(world.met());
    let mut world = World::new(&stage);
    let sender = world.socket(AF_INET, DGRAM, 0);
    world.watch(sender, EPOLL_CTL_ADD, EPOLLOUT | EPOLLET);
    world.events();
    world.send(sender, b"f", 0, Some(Target::new(Ip::Lo4, Port::Slot(3))));
    world.known("each datagram that is gone makes room");
    world.events();
    world.close(sender);
    let refused = |world: &mut World, domain, ip| {
        let socket = world.socket(domain, STREAM, 0);
        world.connect(socket, Target::new(ip, Port::Slot(0)));
        socket
    };
    let socket = refused(&mut world, AF_INET, Ip::Lo4);
    world.known("SIOCOUTQ without a connection");
    world.ioctl_of_any(socket, SIOCOUTQ);

    let socket = refused(&mut world, AF_INET6, Ip::MappedLo);
    world.connect(socket, Target::new(Ip::Lo6, Port::Slot(0)));
    world.apart(socket);
    world.connect(socket, Target::new(Ip::Lo6, Port::Slot(0)));
    world.known("back from IPv4 to IPv6");
    world.connect(socket, Target::new(Ip::Lo6, Port::Slot(0)));

    let socket = world.socket(AF_INET6, STREAM, 0);
    world.known("sockaddr_in with more behind it, on a socket of IPv6");
    world.bind(socket, Target { shape: Shape::Padded(28), ..Target::new(Ip::Lo4, Port::Slot(0)) });
    world.set_option(socket, SOL_IP, IP_FREEBIND, &1i32.to_ne_bytes());
    world.bind(socket, Target::new(Ip::Foreign6, Port::Slot(1)));
    world.apart(socket);
    world.known("a connection of IPv6 from an address of IP_FREEBIND");
    world.connect(socket, Target::new(Ip::Lo6, Port::Slot(0)));
    world.close(socket);

    let socket = world.socket(AF_INET, STREAM, 0);
    world.bind(socket, Target::new(Ip::Lo4, Port::Slot(2)));
    world.shutdown(socket, SHUT_WR);
    world.apart(socket);
    world.connect(socket, Target::new(Ip::Lo4, Port::Slot(2)));
    world.known("shut before it connects to itself");
    world.recv(socket, 1, 0);
    world.close(socket);

    known_of_datagrams(&mut world);

    let (_, at) = listening(&mut world, AF_INET6, Ip::Lo6);
    let client = world.socket(AF_INET6, STREAM, 0);
    world.connect(client, at);
    let other = world.socket(AF_INET, STREAM, 0);
    let place = world.open().iter().position(|open| *open == client).unwrap();
    world.bind(other, Target::new(Ip::Any4, Port::Of(place)));
    assert_eq!(world.difference(), None, "{}", world.log().join("\n"));
    let known = DIFFERENCES.iter().filter(|known| known.of == Sockets::Internet);
    met.extend(world.met());
    assert_eq!(met, known.map(|known| known.what).collect());
}
