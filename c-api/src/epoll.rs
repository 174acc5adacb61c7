//! epoll, over sockets of the default host and descriptors of the kernel's.

use core::ffi::c_int;
use core::slice;
use core::time::Duration;
use std::os::fd::BorrowedFd;

use libc::{epoll_event, sigset_t, timespec};
use rustix::io::Errno;
use tapsock::bsd::{self, EpollEvent};

use crate::state::{default, owner};
use crate::time;
use tapsock_ffi::memory::{answer, kernel};

/// As epoll_create(2). ENETDOWN where there is no host.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_epoll_create(size: c_int) -> c_int {
    answer(|| if size <= 0 { Err(Errno::INVAL) } else { bsd::epoll_create1(&default()?.host, 0) })
}

/// As epoll_create1(2). ENETDOWN where there is no host.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_epoll_create1(flags: c_int) -> c_int {
    answer(|| bsd::epoll_create1(&default()?.host, flags))
}

/// As epoll_ctl(2): `fd` may be of both kinds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    answer(|| {
        let Some(at) = owner(epoll) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::epoll_ctl(epoll, operation, fd, event) });
        };
        // SAFETY: the caller's promise. The struct may be packed, so it is copied.
        let event = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
        let event = event.map(|event| EpollEvent { events: event.events, data: event.u64 });
        if owner(fd).is_some() {
            return bsd::epoll_ctl(&at.host, epoll, operation, fd, event).map(|()| 0);
        }
        if fd < 0 {
            return Err(Errno::BADF);
        }
        // SAFETY: the number is the program's, and where nothing stands there the kernel says so.
        let real = unsafe { BorrowedFd::borrow_raw(fd) };
        bsd::epoll_ctl_fd(&at.host, epoll, operation, real, event).map(|()| 0)
    })
}

/// As epoll_wait(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { tapsock_epoll_pwait(epoll, events, max, timeout, core::ptr::null()) }
}

/// As epoll_pwait(2). The mask is set for the time of the call; a signal does not end it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    answer(|| {
        if owner(epoll).is_none() {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::epoll_pwait(epoll, events, max, timeout, mask) });
        }
        let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
        // SAFETY: the caller's promise.
        unsafe { time::masked(mask, || wait(epoll, events, max, timeout)) }
    })
}

/// As epoll_pwait2(2), with `epoll_wait`'s time-out in nanoseconds; NULL waits for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let limit = unsafe { time::timespec(timeout) }?;
        if owner(epoll).is_none() {
            // SAFETY: the caller's promise. The mask's length is the kernel's own.
            let returned =
                unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, events, max, timeout, mask, 8) };
            return kernel(returned as c_int);
        }
        // SAFETY: the caller's promise.
        unsafe { time::masked(mask, || wait(epoll, events, max, limit)) }
    })
}

/// Events that are told at once: more of them wait.
const EVENTS_MAX: usize = 1024;

/// Errors: those of epoll_wait(2).
///
/// # Safety
/// So many events must be there, and nobody else's.
unsafe fn wait(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: Option<Duration>,
) -> Result<c_int, Errno> {
    let max = usize::try_from(max).ok().filter(|max| *max > 0).ok_or(Errno::INVAL)?;
    if events.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's promise.
    let events = unsafe { slice::from_raw_parts_mut(events, max.min(EVENTS_MAX)) };
    let mut told = vec![EpollEvent::default(); events.len()];
    let found = bsd::epoll_pwait2(&default()?.host, epoll, &mut told, timeout)?;
    for (event, told) in events.iter_mut().zip(&told[..found]) {
        *event = epoll_event { events: told.events, u64: told.data };
    }
    Ok(found as c_int)
}
