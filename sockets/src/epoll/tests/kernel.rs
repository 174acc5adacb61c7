//! The same calls on an epoll instance of the kernel, over counters of its own (`eventfd`): they wake with IN when
//! written and with OUT when read, and their readiness is plain to see.

use super::model::{Op, apply, mask, op};
use super::*;
use proptest::prelude::*;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::io;

/// Six counters and an instance that may watch them.
struct Kernel {
    epoll: OwnedFd,
    counters: Vec<OwnedFd>,
}

impl Kernel {
    fn new() -> Kernel {
        let counter = |_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        Kernel {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            counters: (0..6).map(counter).collect(),
        }
    }

    fn apply(&self, op: &Op) -> Result<(), Errno> {
        match *op {
            Op::Add(key, events, data) => {
                epoll::add(&self.epoll, self.counter(key), epoll::EventData::new_u64(data), flags(events))
            }
            Op::Modify(key, events, data) => {
                epoll::modify(&self.epoll, self.counter(key), epoll::EventData::new_u64(data), flags(events))
            }
            Op::Remove(key) => epoll::delete(&self.epoll, self.counter(key)),
            Op::Arrive(key) => io::write(self.counter(key), &1u64.to_ne_bytes()).map(drop),
            Op::Drain(key) => io::read(self.counter(key), &mut [0u8; 8]).map(drop),
            Op::Wait(_) => Ok(()),
        }
    }

    fn wait(&self, max: usize) -> Vec<EpollEvent> {
        let mut events = Vec::with_capacity(max);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)).unwrap();
        let copied = |reported: &epoll::Event| {
            let (flags, data) = (reported.flags, reported.data);
            event(flags.bits(), data.u64())
        };
        events.iter().map(copied).collect()
    }

    fn counter(&self, key: u8) -> &OwnedFd {
        &self.counters[usize::from(key)]
    }
}

fn flags(events: u32) -> epoll::EventFlags {
    epoll::EventFlags::from_bits_retain(events)
}

proptest! {
    #[test]
    fn a_set_does_as_the_kernel(ops in proptest::collection::vec(op(), 0..120)) {
        let (mut set, mut counts, kernel) = (EpollSet::new(), [0; 6], Kernel::new());
        for op in &ops {
            prop_assert_eq!(apply(&mut set, &mut counts, op), kernel.apply(op), "{:?}", op);
            if let Op::Wait(max) = *op {
                prop_assert_eq!(set.collect(max, |key| mask(&counts, *key)), kernel.wait(max));
            }
        }
    }
}
