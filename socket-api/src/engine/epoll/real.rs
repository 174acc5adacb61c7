//! Real descriptors in an instance: an instance of the kernel's beside ours, whose events join ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use tapsock_sockets::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent};

use crate::engine::descriptors::Kick;
use crate::engine::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use crate::engine::wait::Alarm;

/// The kernel's instance. It does what epoll does; ours only asks it.
pub(crate) struct Real {
    epoll: OwnedFd,
    /// Whether there was something to report at the last look.
    ready: AtomicBool,
    /// Held for a look, so that the last one to come is the last one noted. A leaf.
    looking: Mutex<()>,
}

impl Real {
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Real { epoll, ready: AtomicBool::new(false), looking: Mutex::default() })
    }

    /// epoll_ctl(2), with the kernel's errors.
    pub(crate) fn control(
        &self,
        operation: i32,
        fd: BorrowedFd<'_>,
        event: Option<EpollEvent>,
    ) -> Result<(), Errno> {
        if operation == EPOLL_CTL_DEL {
            return epoll::delete(&self.epoll, fd);
        }
        let EpollEvent { events, data } = event.ok_or(Errno::FAULT)?;
        let (data, events) = (epoll::EventData::new_u64(data), epoll::EventFlags::from_bits_retain(events));
        match operation {
            EPOLL_CTL_ADD => epoll::add(&self.epoll, fd, data, events),
            EPOLL_CTL_MOD => epoll::modify(&self.epoll, fd, data, events),
            _ => Err(Errno::INVAL),
        }
    }

    /// Asks whether there is something to report, and notes it. A system call: no lock is held.
    pub(super) fn look(&self) {
        let _looking = lock(&self.looking);
        let mut fds = [PollFd::new(&self.epoll, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = poll(&mut fds, Some(&at_once)).is_ok_and(|count| count > 0);
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether there was something to report at the last look.
    pub(super) fn was_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// At most `max` of the events that are there. A system call: no lock is held.
    pub(crate) fn collect(&self, max: usize) -> Vec<EpollEvent> {
        let mut events = Vec::with_capacity(max.min(AT_ONCE));
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Without a time to wait it fails only for want of room, and then there is nothing.
        if max > 0 {
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once));
        }
        let told = |event: &epoll::Event| {
            let (flags, data) = (event.flags, event.data);
            EpollEvent { events: flags.bits(), data: data.u64() }
        };
        events.iter().map(told).collect()
    }
}

impl AsFd for Real {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// What a thread sleeps on that waits for real descriptors as well. It can't park, for nothing but a descriptor ends
/// that sleep.
pub(crate) struct Beside {
    pub(crate) real: Arc<Real>,
    /// Ends its sleep where it does not drive.
    pub(crate) kick: Arc<Kick>,
    /// Ends it where it does.
    pub(crate) driver: Arc<Kick>,
}

impl Alarm for Beside {
    fn ring(&self) {
        self.kick.ring();
        self.driver.ring();
    }
}

/// Events of real descriptors that are fetched at once.
const AT_ONCE: usize = 256;
