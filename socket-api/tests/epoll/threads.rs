//! Threads that sleep in `epoll_wait`, and what wakes them.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tapsock::bsd::{
    self, AF_INET, EPOLLEXCLUSIVE, EPOLLIN, EpollEvent, PollFd, PollMask, SOCK_DGRAM, SOCK_STREAM,
};
use tapsock::{Driver, Errno, Host, SockAddr};

use super::common::{PATIENCE, RIGHT, pair, within};
use super::{add, host, local_pair, now, udp, wait, watching};

/// Long enough for a thread that was woken to come, on any machine that is not overwhelmed; shorter, and a test shows less.
pub const A_WHILE: Duration = Duration::from_millis(30);

/// A host without a thread: those that sleep are the tests'.
fn alone() -> Host {
    Host::builder().driver(Driver::External).start().unwrap()
}

/// Times that a thread of the host went to sleep, be it the background's.
fn sleeps(host: &Host) -> u64 {
    let stats = host.engine_stats();
    stats.ppolls + stats.parks + stats.local_parks
}

/// Runs `start`, and waits until `count` threads more have fallen asleep.
pub fn asleep<T>(host: &Host, count: u64, start: impl FnOnce() -> T) -> T {
    let before = sleeps(host);
    let started = start();
    let until = Instant::now() + PATIENCE;
    while sleeps(host) < before + count && Instant::now() < until {
        thread::yield_now();
    }
    started
}

/// A thread that waits for ever, and has fallen asleep.
pub fn sleeper(host: &Host, epoll: i32) -> JoinHandle<Result<Vec<(i32, u32)>, Errno>> {
    let caller = host.clone();
    let wait = move || {
        let mut events = [EpollEvent::default(); 4];
        let count = bsd::epoll_wait(&caller, epoll, &mut events, -1)?;
        Ok(events[..count].iter().map(|event| (event.data as i32, event.events)).collect())
    };
    asleep(host, 1, || thread::spawn(wait))
}

#[test]
fn frames_wake_a_sleeper() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let socket = bsd::socket(&right, AF_INET, SOCK_DGRAM, 0).unwrap();
        let there = SockAddr::V4(format!("{RIGHT}:7000").parse().unwrap());
        bsd::bind(&right, socket, &there).unwrap();
        let epoll = watching(&right, &[socket], EPOLLIN);
        let sleeping = sleeper(&right, epoll);
        let from = bsd::socket(&left, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::sendto(&left, from, b"hello", 0, Some(&there)).unwrap();
        assert_eq!(sleeping.join().unwrap().unwrap(), [(socket, EPOLLIN)]);
    });
}

#[test]
fn local_sockets_wake_a_sleeper() {
    within(PATIENCE, || {
        let host = host();
        for kind in [SOCK_STREAM, SOCK_DGRAM, bsd::SOCK_SEQPACKET] {
            let [here, there] = local_pair(&host, kind);
            let epoll = watching(&host, &[here], EPOLLIN);
            let sleeping = sleeper(&host, epoll);
            bsd::send(&host, there, b"hello", 0).unwrap();
            assert_eq!(sleeping.join().unwrap().unwrap(), [(here, EPOLLIN)]);
        }
    });
}

#[test]
fn a_watch_that_is_added_wakes_a_sleeper() {
    within(PATIENCE, || {
        let host = host();
        let (socket, address) = udp(&host);
        bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
        let epoll = watching(&host, &[], 0);
        let sleeping = sleeper(&host, epoll);
        add(&host, epoll, socket, EPOLLIN).unwrap();
        assert_eq!(sleeping.join().unwrap().unwrap(), [(socket, EPOLLIN)]);
    });
}

#[test]
fn closing_an_instance_ends_its_waits() {
    within(PATIENCE, || {
        let host = host();
        let epoll = watching(&host, &[udp(&host).0], EPOLLIN);
        let sleeping = [sleeper(&host, epoll), sleeper(&host, epoll)];
        bsd::close(&host, epoll).unwrap();
        for thread in sleeping {
            assert_eq!(thread.join().unwrap(), Err(Errno::BADF));
        }
    });
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    within(PATIENCE, || {
        let host = host();
        let epoll = watching(&host, &local_pair(&host, SOCK_STREAM), EPOLLIN);
        let started = Instant::now();
        assert_eq!(wait(&host, epoll, 20), []);
        assert!(started.elapsed() >= Duration::from_millis(20));
    });
}

#[test]
fn poll_hears_of_an_instance() {
    within(PATIENCE, || {
        let host = host();
        let [here, there] = local_pair(&host, SOCK_STREAM);
        let epoll = watching(&host, &[here], EPOLLIN);
        let poller = host.clone();
        let poll = move || {
            let mut entry = [PollFd::new(epoll, PollMask::IN)];
            bsd::poll(&poller, &mut entry, -1).unwrap();
            entry[0].revents
        };
        let polling = asleep(&host, 1, || thread::spawn(poll));
        bsd::send(&host, there, b"hello", 0).unwrap();
        assert_eq!(polling.join().unwrap(), PollMask::IN);
    });
}

/// Instances that each have a thread asleep, and how many threads one datagram wakes.
fn woken_by_one(events: u32, expected: usize) -> usize {
    let host = alone();
    let (socket, address) = udp(&host);
    let (done, finished) = mpsc::channel();
    let epolls: Vec<i32> = (0..3).map(|_| watching(&host, &[socket], events)).collect();
    for epoll in &epolls {
        let (caller, epoll, done) = (host.clone(), *epoll, done.clone());
        let wait = move || {
            let mut events = [EpollEvent::default()];
            if bsd::epoll_wait(&caller, epoll, &mut events, -1) == Ok(1) {
                done.send(()).unwrap();
            }
        };
        asleep(&host, 1, || thread::spawn(wait));
    }
    bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    (0..expected).for_each(|_| finished.recv_timeout(PATIENCE).unwrap());
    thread::sleep(A_WHILE);
    let woken = expected + finished.try_iter().count();
    epolls.iter().for_each(|epoll| bsd::close(&host, *epoll).unwrap());
    woken
}

#[test]
fn one_of_several_exclusive_watches_is_woken() {
    within(PATIENCE, || {
        assert_eq!(woken_by_one(EPOLLIN, 3), 3);
        assert_eq!(woken_by_one(EPOLLIN | EPOLLEXCLUSIVE, 1), 1);
    });
}

#[test]
fn each_edge_wakes_another_thread_of_an_instance() {
    within(PATIENCE, || {
        let host = alone();
        let [here, there] = local_pair(&host, SOCK_DGRAM);
        let epoll = watching(&host, &[here], EPOLLIN | bsd::EPOLLET);
        let sleeping = [sleeper(&host, epoll), sleeper(&host, epoll)];
        bsd::send(&host, there, b"first", 0).unwrap();
        let ended = || sleeping.iter().filter(|thread| thread.is_finished()).count();
        while ended() == 0 {
            thread::yield_now();
        }
        thread::sleep(A_WHILE);
        assert_eq!(ended(), 1);
        bsd::send(&host, there, b"second", 0).unwrap();
        for thread in sleeping {
            assert_eq!(thread.join().unwrap().unwrap(), [(here, EPOLLIN)]);
        }
    });
}

/// Many threads that take turns at one edge-triggered set, while others write: nothing is left lying, nobody sleeps on.
#[test]
fn no_wake_up_is_lost_among_threads() {
    const MESSAGES: usize = 3000;
    within(PATIENCE, || {
        let host = host();
        let pairs: Vec<[i32; 2]> = (0..4).map(|_| local_pair(&host, SOCK_DGRAM)).collect();
        let (socket, address) = udp(&host);
        let mut ids: Vec<i32> = pairs.iter().map(|pair| pair[0]).collect();
        ids.push(socket);
        let epoll = watching(&host, &ids, EPOLLIN | bsd::EPOLLET);
        let (taken, count) = mpsc::channel();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (host, taken) = (host.clone(), taken.clone());
                thread::spawn(move || {
                    let mut events = [EpollEvent::default(); 2];
                    while let Ok(ready) = bsd::epoll_wait(&host, epoll, &mut events, -1) {
                        for event in &events[..ready] {
                            while bsd::recv(&host, event.data as i32, &mut [0; 8], 0).is_ok() {
                                taken.send(()).unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        for number in 0..MESSAGES {
            match pairs.get(number % 5) {
                Some(pair) => while bsd::send(&host, pair[1], b"x", 0) == Err(Errno::AGAIN) {},
                None => drop(bsd::sendto(&host, socket, b"x", 0, Some(&address)).unwrap()),
            }
            // The queue of a UDP socket has an end.
            if number % 50 == 49 {
                (0..50).for_each(|_| count.recv_timeout(PATIENCE).unwrap());
            }
        }
        assert_eq!(now(&host, epoll), []);
        bsd::close(&host, epoll).unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_loop_that_drives_hears_through_its_instance() {
    let host = Host::builder().driver(Driver::External).start().unwrap();
    let (socket, address) = udp(&host);
    let epoll = watching(&host, &[socket], EPOLLIN);
    host.turn().unwrap();
    bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    host.turn().unwrap();
    assert_eq!(now(&host, epoll), [(socket, EPOLLIN)]);
}
