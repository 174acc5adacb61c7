//! poll and select, over sockets of the default host and descriptors of the kernel's.

use core::ffi::c_int;
use core::time::Duration;
use core::{ptr, slice};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use libc::{fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};
use rustix::io::{Errno, retry_on_intr};
use tapsock::bsd::{self, FD_SETSIZE, PollFd, PollMask, RealPollFd};

use crate::state::{default, owner};
use crate::time;
use tapsock_ffi::memory::{answer, kernel};

/// As poll(2): both kinds may stand in one set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's promise.
    answer(|| unsafe { poll(entries(fds, count)?, timeout, ptr::null()) })
}

/// As ppoll(2): both kinds may stand in one set. The mask is set for the time of the call; a signal does not end it
/// where a socket of ours stands there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let (timeout, fds) = unsafe { (time::timespec(timeout)?, entries(fds, count)?) };
        // SAFETY: the caller's promise.
        unsafe { poll(fds, timeout, mask) }
    })
}

/// As select(2): both kinds may stand in the sets. The time that is left is written back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let limit = unsafe { time::timeval(timeout) }?;
        let began = Instant::now();
        // SAFETY: the caller's promise.
        let found = unsafe { select(count, [sets(read), sets(write), sets(except)], limit, ptr::null()) };
        // SAFETY: the caller's promise.
        if let (Some(limit), Some(left)) = (limit, unsafe { timeout.as_mut() }) {
            let rest = limit.saturating_sub(began.elapsed());
            left.tv_sec = rest.as_secs() as libc::time_t;
            left.tv_usec = rest.subsec_micros() as libc::suseconds_t;
        }
        found
    })
}

/// As pselect(2): both kinds may stand in the sets. The mask is set for the time of the call; a signal does not end it
/// where a socket of ours stands there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let limit = unsafe { time::timespec(timeout) }?;
        // SAFETY: the caller's promise.
        let sets = unsafe { [sets(read), sets(write), sets(except)] };
        // SAFETY: the caller's promise.
        unsafe { select(count, sets, limit, mask) }
    })
}

/// Errors: EINVAL for more than the process may have descriptors, EFAULT.
///
/// # Safety
/// They must be there, and nobody else's.
unsafe fn entries<'a>(fds: *mut pollfd, count: nfds_t) -> Result<&'a mut [pollfd], Errno> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if limit.is_some_and(|limit| count > limit) {
        return Err(Errno::INVAL);
    }
    match count as usize {
        0 => Ok(&mut []),
        _ if fds.is_null() => Err(Errno::FAULT),
        // SAFETY: the caller's promise.
        count => Ok(unsafe { slice::from_raw_parts_mut(fds, count) }),
    }
}

/// Where none is ours it is all the kernel's, with the mask: there a signal ends it.
///
/// # Safety
/// `mask` must be NULL, or point to one.
unsafe fn poll(fds: &mut [pollfd], timeout: Option<Duration>, mask: *const sigset_t) -> Result<c_int, Errno> {
    let (mut ours, mut others, mut places) = (Vec::new(), Vec::new(), Vec::with_capacity(fds.len()));
    let known = ours_among(fds)?;
    for (entry, is_ours) in fds.iter_mut().zip(known) {
        entry.revents = 0;
        places.push(if entry.fd < 0 {
            Place::Nowhere
        } else if is_ours {
            ours.push(PollFd::new(entry.fd, PollMask::from_bits(entry.events as u16)));
            Place::Ours
        } else {
            // SAFETY: the number is the program's, and where nothing stands there the kernel says so.
            let fd = unsafe { BorrowedFd::borrow_raw(entry.fd) };
            others.push(RealPollFd::new(fd, entry.events as u16));
            Place::Others
        });
    }
    if ours.is_empty() {
        let timeout = timeout.map(time::spec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the entries are there for the time of the call; of the mask, the caller's promise.
        return kernel(unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as nfds_t, timeout, mask) });
    }
    let host = &default()?.host;
    // SAFETY: the caller's promise.
    let found = unsafe { time::masked(mask, || bsd::poll_beside(host, &mut ours, &mut others, timeout)) }?;
    let (mut ours, mut others) = (ours.iter(), others.iter());
    for (entry, place) in fds.iter_mut().zip(places) {
        let told = match place {
            Place::Nowhere => None,
            Place::Ours => ours.next().map(|told| told.revents.bits()),
            Place::Others => others.next().map(|told| told.revents),
        };
        entry.revents = told.unwrap_or(0) as i16;
    }
    Ok(found as c_int)
}

/// Which of the entries are sockets of the default host. To look at each number would cost more than the rest of the call,
/// so the kernel is asked about all at once: of what stands at a socket's number it says POLLNVAL. It says that of a number
/// that libc has closed, too, so here that one counts as the socket until something else stands there.
fn ours_among(fds: &[pollfd]) -> Result<Vec<bool>, Errno> {
    let Ok(at) = default() else { return Ok(vec![false; fds.len()]) };
    let is_known = |entry: &pollfd| entry.fd >= 0 && bsd::incarnation(&at.host, entry.fd).is_ok();
    let probe =
        |entry: &pollfd| pollfd { fd: if is_known(entry) { entry.fd } else { -1 }, events: 0, revents: 0 };
    let mut probes: Vec<pollfd> = fds.iter().map(probe).collect();
    if probes.iter().any(|probe| probe.fd >= 0) {
        let (at_once, count) = (time::spec(Duration::ZERO), probes.len() as nfds_t);
        // SAFETY: the entries are there for the time of the call.
        let ask = || kernel(unsafe { libc::ppoll(probes.as_mut_ptr(), count, &at_once, ptr::null()) });
        // A signal ends no call of ours.
        retry_on_intr(ask)?;
    }
    let is_ours =
        |probe: &pollfd| probe.fd >= 0 && (probe.revents & libc::POLLNVAL != 0 || owner(probe.fd).is_some());
    Ok(probes.iter().map(is_ours).collect())
}

/// Where an entry's answer is found.
enum Place {
    Nowhere,
    Ours,
    Others,
}

/// The words of a set, as many as a call may use.
type Words = [u64; FD_SETSIZE / 64];

/// # Safety
/// It must be NULL, or point to a set that is nobody else's.
unsafe fn sets<'a>(set: *mut fd_set) -> Option<&'a mut Words> {
    const { assert!(size_of::<fd_set>() == size_of::<Words>() && align_of::<fd_set>() == align_of::<Words>()) };
    // SAFETY: the caller's promise; both are the same bits.
    unsafe { set.cast::<Words>().as_mut() }
}

/// Events that make an entry ready to be read, to be written, and otherwise: Linux's POLLIN_SET, POLLOUT_SET, POLLEX_SET.
const READY: [i16; 3] = [
    libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLIN | libc::POLLHUP | libc::POLLERR,
    libc::POLLWRBAND | libc::POLLWRNORM | libc::POLLOUT | libc::POLLERR,
    libc::POLLPRI,
];

/// # Safety
/// `mask` must be NULL, or point to one.
unsafe fn select(
    count: c_int,
    mut sets: [Option<&mut Words>; 3],
    timeout: Option<Duration>,
    mask: *const sigset_t,
) -> Result<c_int, Errno> {
    let count = usize::try_from(count).ok().filter(|count| *count <= FD_SETSIZE).ok_or(Errno::INVAL)?;
    let mut fds = Vec::new();
    for number in 0..count {
        let asked =
            READY.iter().zip(&sets).filter(|(_, set)| set.as_ref().is_some_and(|set| has(set, number)));
        let events = asked.fold(0, |events, (ready, _)| events | ready);
        if events != 0 {
            let fd = number as c_int;
            // SAFETY: it is only asked for its flags.
            kernel(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
            fds.push(pollfd { fd, events, revents: 0 });
        }
    }
    // SAFETY: the caller's promise.
    unsafe { poll(&mut fds, timeout, mask) }?;
    let mut found = 0;
    for (set, ready) in sets.iter_mut().zip(READY) {
        let Some(set) = set else { continue };
        let asked = **set;
        set[..count.div_ceil(64)].fill(0);
        for entry in fds.iter().filter(|entry| has(&asked, entry.fd as usize) && entry.revents & ready != 0) {
            set[entry.fd as usize / 64] |= 1 << (entry.fd % 64);
            found += 1;
        }
    }
    Ok(found)
}

fn has(set: &Words, number: usize) -> bool {
    set[number / 64] & 1 << (number % 64) != 0
}
