//! How ready an instance is that watches the kernel's descriptors: seen by poll and select, by an instance above, by its
//! mirror. The kernel's own instances are asked the same.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFlags, Timespec};
use tapsock::bsd::{
    self, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EpollEvent,
    FdSet, PollFd, PollMask, SOCK_STREAM,
};
use tapsock::{Driver, Host};

use super::common::{PATIENCE, within};
use super::threads::{asleep, sleeper};
use super::{add, host, local_pair, modify, now, udp, watching};

/// The data of real descriptors in these tests.
const REAL: i32 = 1000;

fn control(host: &Host, epoll: i32, operation: i32, real: impl AsFd, events: u32) {
    let event = Some(EpollEvent { events, data: REAL as u64 });
    bsd::epoll_ctl_fd(host, epoll, operation, real.as_fd(), event).unwrap();
}

fn ready(host: &Host, epoll: i32) -> bool {
    let mut entry = [PollFd::new(epoll, PollMask::IN | PollMask::RDNORM)];
    let count = bsd::poll(host, &mut entry, 0).unwrap();
    let mut read: FdSet = [epoll].into_iter().collect();
    let selected = bsd::select(host, epoll + 1, Some(&mut read), None, None, Some(Default::default()));
    assert_eq!(selected, Ok(count), "select says what poll says");
    let both = PollMask::IN | PollMask::RDNORM;
    assert_eq!(entry[0].revents, if count == 1 { both } else { PollMask::NONE });
    count == 1
}

/// Whether the kernel's poll finds `fd` readable within `millis`.
fn readable(fd: impl AsFd, millis: i64) -> bool {
    let limit = Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 };
    rustix::event::poll(&mut [rustix::event::PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap() == 1
}

/// Instances one above the other, of which the inner watches a real descriptor.
trait Nest {
    /// Watches `real` with the inner one, or has it watched for something else.
    fn watch(&mut self, operation: i32, real: &UnixStream, events: u32);
    /// Has the outer one watch the inner one.
    fn nest(&mut self, operation: i32, events: u32);
    /// Whether poll finds the two readable: inner, outer.
    fn ready(&self) -> (bool, bool);
    /// How many events the two report, first the outer one.
    fn report(&self) -> (usize, usize);
    /// How many the outer one reports.
    fn report_outer(&self) -> usize;
}

struct Ours(Host, i32, i32);

impl Nest for Ours {
    fn watch(&mut self, operation: i32, real: &UnixStream, events: u32) {
        control(&self.0, self.1, operation, real, events);
    }

    fn nest(&mut self, operation: i32, events: u32) {
        bsd::epoll_ctl(&self.0, self.2, operation, self.1, Some(EpollEvent { events, data: 0 })).unwrap();
    }

    fn ready(&self) -> (bool, bool) {
        (ready(&self.0, self.1), ready(&self.0, self.2))
    }

    fn report(&self) -> (usize, usize) {
        (self.report_outer(), now(&self.0, self.1).len())
    }

    fn report_outer(&self) -> usize {
        now(&self.0, self.2).len()
    }
}

struct Kernels(OwnedFd, OwnedFd);

impl Kernels {
    fn control(epoll: &OwnedFd, operation: i32, fd: impl AsFd, events: u32) {
        let (data, flags) = (EventData::new_u64(0), EventFlags::from_bits_retain(events));
        match operation {
            EPOLL_CTL_ADD => epoll::add(epoll, fd, data, flags),
            EPOLL_CTL_MOD => epoll::modify(epoll, fd, data, flags),
            _ => epoll::delete(epoll, fd),
        }
        .unwrap();
    }

    fn report(epoll: &OwnedFd) -> usize {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
        epoll::wait(epoll, spare_capacity(&mut events), Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap()
    }
}

impl Nest for Kernels {
    fn watch(&mut self, operation: i32, real: &UnixStream, events: u32) {
        Self::control(&self.0, operation, real, events);
    }

    fn nest(&mut self, operation: i32, events: u32) {
        Self::control(&self.1, operation, &self.0, events);
    }

    fn ready(&self) -> (bool, bool) {
        (readable(&self.0, 0), readable(&self.1, 0))
    }

    fn report(&self) -> (usize, usize) {
        (self.report_outer(), Self::report(&self.0))
    }

    fn report_outer(&self) -> usize {
        Self::report(&self.1)
    }
}

/// All that is seen of a nest while a real descriptor becomes ready, and no longer.
fn seen(nest: &mut dyn Nest) -> Vec<String> {
    let mut seen = Vec::new();
    for (real_events, outer_events, real_first) in [
        (EPOLLIN, EPOLLIN, true),
        (EPOLLIN, EPOLLIN, false),
        (EPOLLIN, EPOLLIN | EPOLLET, true),
        (EPOLLIN | EPOLLET, EPOLLIN, false),
        (EPOLLIN | EPOLLET, EPOLLIN | EPOLLET, false),
        (EPOLLIN | EPOLLONESHOT, EPOLLIN, true),
        (EPOLLIN, EPOLLIN | EPOLLONESHOT, false),
        (EPOLLIN, EPOLLOUT, true),
    ] {
        let (mut real, mut far) = UnixStream::pair().unwrap();
        let mut note = |what: &str, nest: &dyn Nest| {
            let line = (nest.ready(), nest.report_outer(), nest.ready(), nest.report(), nest.report());
            seen.push(format!("{real_events:x} {outer_events:x} {what}: {line:?}"));
        };
        if real_first {
            nest.watch(EPOLL_CTL_ADD, &real, real_events);
            nest.nest(EPOLL_CTL_ADD, outer_events);
        } else {
            nest.nest(EPOLL_CTL_ADD, outer_events);
            nest.watch(EPOLL_CTL_ADD, &real, real_events);
        }
        note("nothing", nest);
        far.write_all(b"x").unwrap();
        note("one", nest);
        far.write_all(b"x").unwrap();
        note("another", nest);
        real.read_exact(&mut [0]).unwrap();
        note("one is left", nest);
        real.read_exact(&mut [0]).unwrap();
        note("none", nest);
        far.write_all(b"x").unwrap();
        nest.watch(EPOLL_CTL_MOD, &real, real_events);
        nest.nest(EPOLL_CTL_MOD, outer_events);
        note("armed again", nest);
        nest.watch(EPOLL_CTL_MOD, &real, 0);
        note("asked for nothing", nest);
        nest.watch(EPOLL_CTL_DEL, &real, 0);
        note("gone", nest);
        nest.nest(EPOLL_CTL_DEL, 0);
    }
    seen
}

#[test]
fn the_nest_is_as_ready_as_the_kernels() {
    let instance = || epoll::create(CreateFlags::CLOEXEC).unwrap();
    let kernels = seen(&mut Kernels(instance(), instance()));
    for driver in [Driver::Background, Driver::External] {
        let host = Host::builder().driver(driver).start().unwrap();
        let (inner, outer) = (watching(&host, &[], 0), watching(&host, &[], 0));
        let ours = seen(&mut Ours(host.clone(), inner, outer));
        for (ours, kernels) in ours.iter().zip(&kernels) {
            assert_eq!(ours, kernels);
        }
        assert_eq!(ours.len(), kernels.len());
    }
}

#[test]
fn both_kinds_in_one_instance_count() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let (mut real, mut far) = UnixStream::pair().unwrap();
    let inner = watching(&host, &[here], EPOLLIN);
    control(&host, inner, EPOLL_CTL_ADD, &real, EPOLLIN);
    let outer = watching(&host, &[inner], EPOLLIN);
    let seen = || (ready(&host, inner), now(&host, outer).len());
    assert_eq!(seen(), (false, 0));
    far.write_all(b"x").unwrap();
    assert_eq!(seen(), (true, 1));
    bsd::send(&host, there, b"x", 0).unwrap();
    assert_eq!(seen(), (true, 1));
    real.read_exact(&mut [0]).unwrap();
    assert_eq!(seen(), (true, 1), "ours is left");
    bsd::recv(&host, here, &mut [0], 0).unwrap();
    assert_eq!(seen(), (false, 0));
}

/// A thread in `poll` for one instance, which has fallen asleep.
fn poller(host: &Host, epoll: i32) -> JoinHandle<PollMask> {
    let caller = host.clone();
    let wait = move || {
        let mut entry = [PollFd::new(epoll, PollMask::IN)];
        bsd::poll(&caller, &mut entry, -1).unwrap();
        entry[0].revents
    };
    asleep(host, 1, || thread::spawn(wait))
}

#[test]
fn those_who_sleep_above_are_woken() {
    within(PATIENCE, || {
        for driver in [Driver::Background, Driver::External] {
            let host = Host::builder().driver(driver).start().unwrap();
            let (mut real, mut far) = UnixStream::pair().unwrap();
            let inner = watching(&host, &[udp(&host).0], EPOLLIN);
            control(&host, inner, EPOLL_CTL_ADD, &real, EPOLLIN);
            let outer = watching(&host, &[inner], EPOLLIN);
            // By a thread that drives, and by one that finds another driving.
            for drives in [true, false] {
                let idle = watching(&host, &[udp(&host).0], EPOLLIN);
                let driving = (!drives).then(|| sleeper(&host, idle));
                for epoll in [inner, outer] {
                    let polling = poller(&host, epoll);
                    far.write_all(b"x").unwrap();
                    assert_eq!(polling.join().unwrap(), PollMask::IN);
                    real.read_exact(&mut [0]).unwrap();
                }
                let waiting = sleeper(&host, outer);
                far.write_all(b"x").unwrap();
                assert_eq!(waiting.join().unwrap().unwrap(), [(inner, EPOLLIN)]);
                real.read_exact(&mut [0]).unwrap();
                // It waits for ever, and ends with its instance.
                bsd::close(&host, idle).unwrap();
                drop(driving.map(JoinHandle::join));
            }
        }
    });
}

#[test]
fn one_that_comes_while_they_sleep_wakes_them() {
    within(PATIENCE, || {
        let host = host();
        let (real, mut far) = UnixStream::pair().unwrap();
        let inner = watching(&host, &[udp(&host).0], EPOLLIN);
        let outer = watching(&host, &[inner], EPOLLIN);
        far.write_all(b"x").unwrap();
        let sleeping = [poller(&host, inner), poller(&host, outer)];
        let waiting = sleeper(&host, outer);
        control(&host, inner, EPOLL_CTL_ADD, &real, EPOLLIN);
        for polling in sleeping {
            assert_eq!(polling.join().unwrap(), PollMask::IN);
        }
        assert_eq!(waiting.join().unwrap().unwrap(), [(inner, EPOLLIN)]);
    });
}

#[test]
fn a_mirror_shows_them() {
    let host = host();
    let (mut real, mut far) = UnixStream::pair().unwrap();
    let [inner, outer] = [(); 2].map(|()| watching(&host, &[], 0));
    let early = bsd::mirror_fd(&host, inner).unwrap();
    control(&host, inner, EPOLL_CTL_ADD, &real, EPOLLIN);
    add(&host, outer, inner, EPOLLIN).unwrap();
    let above = bsd::mirror_fd(&host, outer).unwrap();
    // The kernel's instance above ours.
    let kernels = epoll::create(CreateFlags::CLOEXEC).unwrap();
    epoll::add(&kernels, &early, EventData::new_u64(0), EventFlags::IN | EventFlags::ET).unwrap();
    let patience = PATIENCE.as_millis() as i64;
    for _ in 0..3 {
        assert!(!readable(&early, 0) && !readable(&above, 0) && !readable(&kernels, 0));
        far.write_all(b"x").unwrap();
        for fd in [&early, &above, &kernels] {
            assert!(readable(fd, patience));
        }
        assert_eq!(now(&host, outer), [(inner, EPOLLIN)]);
        assert_eq!(now(&host, inner), [(REAL, EPOLLIN)]);
        assert!(readable(&early, 0) && readable(&above, 0), "level-triggered");
        assert_eq!(Kernels::report(&kernels), 1);
        real.read_exact(&mut [0]).unwrap();
        // Of that the kernel tells nobody. The next call finds it.
        assert_eq!(now(&host, outer), []);
        assert_eq!(now(&host, inner), []);
    }
    far.write_all(b"x").unwrap();
    assert!(readable(&early, patience) && readable(&above, patience));
    control(&host, inner, EPOLL_CTL_DEL, &real, 0);
    assert!(!readable(&early, 0) && !readable(&above, 0));
}

#[test]
fn a_mirror_shows_them_where_an_event_loop_turns() {
    let host = Host::builder().driver(Driver::External).start().unwrap();
    let (real, mut far) = UnixStream::pair().unwrap();
    let epoll = watching(&host, &[], 0);
    let mirror = bsd::mirror_fd(&host, epoll).unwrap();
    control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLIN);
    host.turn().unwrap();
    far.write_all(b"x").unwrap();
    let patience = PATIENCE.as_millis() as i64;
    while !readable(&mirror, 0) {
        assert!(readable(host.as_fd().unwrap(), patience), "the loop hears of it");
        host.turn().unwrap();
    }
}

#[test]
fn an_instance_of_the_kernels_may_be_inside() {
    let host = host();
    let (mut real, mut far) = UnixStream::pair().unwrap();
    let kernels = epoll::create(CreateFlags::CLOEXEC).unwrap();
    epoll::add(&kernels, &real, EventData::new_u64(0), EventFlags::IN).unwrap();
    let [inner, outer] = [(); 2].map(|()| watching(&host, &[], 0));
    control(&host, inner, EPOLL_CTL_ADD, &kernels, EPOLLIN);
    add(&host, outer, inner, EPOLLIN).unwrap();
    assert_eq!((ready(&host, outer), now(&host, outer)), (false, vec![]));
    far.write_all(b"x").unwrap();
    assert_eq!((ready(&host, outer), now(&host, outer)), (true, vec![(inner, EPOLLIN)]));
    real.read_exact(&mut [0]).unwrap();
    assert_eq!((ready(&host, outer), now(&host, outer)), (false, vec![]));
    modify(&host, outer, inner, 0).unwrap();
    far.write_all(b"x").unwrap();
    assert_eq!((ready(&host, inner), ready(&host, outer)), (true, false));
}
