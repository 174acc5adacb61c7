//! The descriptors that a sleeping driver is woken through: an eventfd for a kick, a timerfd for a time.

use core::mem;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tapsock_stack::time::Instant;

use super::clock::{now, timespec};
use super::sync::{AtomicBool, Mutex, Ordering, lock};
use super::wait::Alarm;

/// Wakes one sleeper. Kicks before it wakes cost one system call together.
pub(crate) struct Kick {
    fd: OwnedFd,
    pending: AtomicBool,
}

impl Kick {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Kick { fd, pending: AtomicBool::new(false) })
    }

    /// Wakes the sleeper; whether a system call was needed.
    pub(crate) fn kick(&self) -> bool {
        let needed = !self.pending.swap(true, Ordering::AcqRel);
        if needed {
            // It fails only where the count is at its end, and then the descriptor is readable already.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
        needed
    }

    /// Takes the kicks back. The count goes first: a kick that comes in between writes nothing, and its cause is seen by
    /// the caller, who looks around from here on. Were the flag to go first, such a kick's write would be read away, and
    /// its flag keep all later ones from writing.
    pub(crate) fn drain(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.fd, &mut count);
        self.pending.swap(false, Ordering::AcqRel);
    }

    /// Whether there is a kick to take back.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }
}

impl Alarm for Kick {
    fn ring(&self) {
        self.kick();
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor that is readable from a time on.
pub(crate) struct Timer {
    fd: OwnedFd,
    /// When it fires, where it is set. The system call is made under this lock, which is held for nothing else.
    armed: Mutex<Option<Instant>>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Timer { fd, armed: Mutex::new(None) })
    }

    /// Fires at `at`, unless it fires earlier. Whether a system call was needed.
    pub(crate) fn fire_by(&self, at: Instant) -> bool {
        let mut armed = lock(&self.armed);
        if armed.is_some_and(|armed| armed <= at) {
            return false;
        }
        *armed = Some(at);
        // Zero would take the timer back.
        let nanos = core::time::Duration::from_nanos(at.as_nanos().max(1));
        let it_value = timespec(nanos);
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value });
        true
    }

    /// Forgets a time that has passed; whether there was one.
    pub(crate) fn drain(&self) -> bool {
        let mut armed = lock(&self.armed);
        let fired = mem::take(&mut *armed).is_some_and(|at| {
            let passed = at <= now();
            if !passed {
                *armed = Some(at);
            }
            passed
        });
        if fired {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.fd, &mut count);
        }
        fired
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;
    use crate::engine::sync::AtomicUsize;

    fn readable(fd: &impl AsFd, wait: Duration) -> bool {
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timespec(wait))).unwrap() == 1
    }

    #[test]
    fn kicks_are_one_until_taken_back() {
        let kick = Kick::new().unwrap();
        assert!(!readable(&kick, Duration::ZERO));
        assert!(kick.kick());
        assert!(!kick.kick());
        assert!(readable(&kick, Duration::ZERO));
        kick.drain();
        assert!(!readable(&kick, Duration::ZERO));
        assert!(kick.kick());
    }

    /// Kicks from another thread while they are taken back: whatever the order was, the next kick is noticed.
    #[test]
    fn no_kick_is_lost_while_others_are_taken_back() {
        const ROUNDS: usize = 20_000;
        let (kick, round, done) = (Kick::new().unwrap(), AtomicUsize::new(0), AtomicUsize::new(0));
        let mut lost = None;
        let reach = |at: &AtomicUsize, goal| while at.load(Ordering::Acquire) < goal {};
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=ROUNDS {
                    reach(&round, number);
                    kick.kick();
                    done.store(number, Ordering::Release);
                }
            });
            for number in 1..=ROUNDS {
                kick.kick();
                round.store(number, Ordering::Release);
                kick.drain();
                reach(&done, number);
                kick.kick();
                if !readable(&kick, Duration::ZERO) {
                    lost = Some(number);
                    // The other thread need not wait for more.
                    round.store(ROUNDS, Ordering::Release);
                    break;
                }
                kick.drain();
            }
        });
        assert_eq!(lost, None, "the round in which the next kick went unnoticed");
    }

    #[test]
    fn a_timer_fires_once_at_the_earliest_time() {
        let timer = Timer::new().unwrap();
        assert!(timer.fire_by(now() + Duration::from_secs(60)));
        assert!(!timer.drain(), "not yet");
        assert!(timer.fire_by(now() + Duration::from_millis(2)));
        assert!(!timer.fire_by(now() + Duration::from_secs(1)));
        assert!(readable(&timer, Duration::from_secs(10)));
        assert!(timer.drain());
        assert!(!readable(&timer, Duration::ZERO));
        assert!(!timer.drain());
    }
}
