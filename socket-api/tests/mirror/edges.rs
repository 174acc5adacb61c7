//! Edges: how often an edge-triggered epoll of the kernel's sees a mirror become ready, beside a socket of the kernel's.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tapsock::Host;
use tapsock::bsd::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

use super::sides::Step::*;
use super::sides::{Kernel, Numbers, Ours, Side, Step, TCP, UDP};

/// An epoll that watches all sockets of a side, edge-triggered.
struct Watch {
    epoll: OwnedFd,
    watched: usize,
}

impl Watch {
    fn new() -> Watch {
        Watch { epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(), watched: 0 }
    }

    /// Those that were made since. Only sockets that stay open may stand in a run.
    fn watch(&mut self, side: &impl Side) {
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        for fd in &side.polled()[self.watched..] {
            epoll::add(&self.epoll, fd, EventData::new_u64(self.watched as u64), events).unwrap();
            self.watched += 1;
        }
    }

    /// What comes until nothing has come for a while.
    fn reports(&self, quiet: Duration) -> Vec<(u64, u32)> {
        let mut all = Vec::new();
        loop {
            let mut events = Vec::with_capacity(16);
            let quiet = Timespec { tv_sec: 0, tv_nsec: quiet.subsec_nanos().into() };
            if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&quiet)).unwrap() == 0 {
                return all;
            }
            all.extend(events.iter().map(|event| {
                let (flags, data) = (event.flags, event.data);
                (data.u64(), flags.bits())
            }));
            all.sort_unstable();
        }
    }
}

/// Nothing comes any more.
const QUIET: Duration = Duration::from_millis(20);

/// Whether edges of room alone count.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Room {
    Counts,
    /// The kernel's own sockets report each buffer that was freed, be it missed or not: when that is over lo is nobody's
    /// promise.
    Alone,
}

/// Does the steps on both sides and compares the reports after each; a step is done before it is looked at.
fn compare(room: Room, steps: &[Step]) {
    let host = Host::builder().start().unwrap();
    let (mut ours, mut theirs) = (Ours::new(&host), Kernel::default());
    let (mut near, mut far) = (Watch::new(), Watch::new());
    for (count, step) in steps.iter().enumerate() {
        ours.step(*step);
        theirs.step(*step);
        near.watch(&ours);
        far.watch(&theirs);
        let mut reports = [near.reports(QUIET), far.reports(QUIET)];
        if room == Room::Alone {
            reports.iter_mut().for_each(|seen| seen.retain(|(_, events)| *events != EventFlags::OUT.bits()));
        }
        let [ours, theirs] = reports;
        assert_eq!(ours, theirs, "ours, and the kernel's, after {:?}", &steps[..=count]);
    }
}

#[test]
fn each_arrival_is_an_edge_and_so_is_an_end() {
    let steps = [
        TCP,
        Bind(0),
        Listen(0, 8),
        TCP,
        Connect(1, 0),
        Accept(0),
        Send(1),
        Send(1),
        Receive(2),
        Send(1),
        Drain(2),
        Send(1),
        Drain(2),
        Shut(1, 1),
        Drain(2),
        Send(2),
        Drain(1),
        Shut(2, 1),
    ];
    compare(Room::Alone, &steps);
}

/// That a connection is being made is none, and that it is there is one.
#[test]
fn a_connection_that_comes_about_is_an_edge() {
    let steps = [TCP, Bind(0), Listen(0, 0), TCP, Connect(1, 0), TCP, Connect(2, 0), Accept(0), Await(2)];
    compare(Room::Counts, &steps);
}

#[test]
fn each_datagram_is_an_edge_and_so_is_room() {
    let steps = [
        UDP,
        Bind(0),
        UDP,
        Bind(1),
        Connect(0, 1),
        Connect(1, 0),
        Send(0),
        Send(0),
        Drain(1),
        Send(0),
        Drain(1),
        Send(1),
    ];
    compare(Room::Alone, &steps);
    let local = [Send(0), Send(0), Receive(1), Send(0), Drain(1), Fill(0), Drain(1), Send(1), Shut(0, 0)];
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        compare(Room::Counts, &[&[Pair(kind)][..], &local[..]].concat());
    }
}

/// The pattern of mio and tokio: read until EAGAIN, then wait for the next edge. None may be missing, whoever is faster.
#[test]
fn a_reader_that_drains_and_waits_misses_nothing() {
    const ROUNDS: usize = 3_000;
    let host = Host::builder().start().unwrap();
    let mut ours = Ours::new(&host);
    for step in [TCP, Bind(0), Listen(0, 8), TCP, Connect(1, 0), Accept(0)] {
        ours.step(step);
    }
    let (client, server) = (ours.id(1), ours.id(2));
    let mut watch = Watch::new();
    watch.watch(&ours);
    let writer = {
        let host = host.clone();
        thread::spawn(move || {
            for round in 0..ROUNDS {
                tapsock::bsd::send(&host, client, b"x", 0).unwrap();
                if round % 7 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
            }
        })
    };
    let (mut received, mut bytes) = (0, [0; 64]);
    while received < ROUNDS {
        while let Ok(len) = tapsock::bsd::recv(&host, server, &mut bytes, 0) {
            received += len;
        }
        if received < ROUNDS {
            let mut events = Vec::with_capacity(4);
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            let count = epoll::wait(&watch.epoll, spare_capacity(&mut events), Some(&patience)).unwrap();
            assert!(count > 0, "an edge is missing after {received} bytes");
        }
    }
    writer.join().unwrap();
}

#[test]
fn edges_of_local_pairs_in_drawn_sequences() {
    let host = Host::builder().start().unwrap();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for seed in 0..40 {
            let (mut ours, mut theirs, mut numbers) = (Ours::new(&host), Kernel::default(), Numbers(seed));
            let (mut near, mut far) = (Watch::new(), Watch::new());
            let mut done = vec![Pair(kind)];
            for count in 0..60 {
                let step = done[count];
                ours.step(step);
                theirs.step(step);
                near.watch(&ours);
                far.watch(&theirs);
                let (ours, theirs) = (near.reports(Duration::ZERO), far.reports(Duration::ZERO));
                assert_eq!(ours, theirs, "ours, and the kernel's, kind {kind}, seed {seed}: {done:?}");
                done.push(numbers.step());
            }
        }
    }
}
