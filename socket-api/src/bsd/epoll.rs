//! Waiting for many sockets, of which few are ready.

use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;
use tapsock_sockets::epoll::check_max_events;

use super::now;
use crate::description::{Held, Object, OnExec};
use crate::engine::epoll::Epoll;
use crate::host::Host;

pub use tapsock_sockets::epoll::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN,
    EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLRDNORM, EPOLLWAKEUP, EPOLLWRBAND, EPOLLWRNORM,
    EpollEvent,
};

/// `epoll_create1`: the number is to be closed by `exec` (FD_CLOEXEC).
pub const EPOLL_CLOEXEC: i32 = 0x80000;

/// Makes an epoll instance, which is closed by [`close`](super::close). See epoll_create1(2).
///
/// ```
/// use tapsock::bsd::{self, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EpollEvent, SOCK_STREAM};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let epoll = bsd::epoll_create1(&host, 0)?;
/// let wanted = EpollEvent { events: EPOLLIN, data: 7 };
/// bsd::epoll_ctl(&host, epoll, EPOLL_CTL_ADD, here, Some(wanted))?;
///
/// let mut events = [EpollEvent::default(); 8];
/// assert_eq!(bsd::epoll_wait(&host, epoll, &mut events, 0)?, 0);
/// bsd::send(&host, there, b"hello", 0)?;
/// assert_eq!(bsd::epoll_wait(&host, epoll, &mut events, -1)?, 1);
/// assert_eq!(events[0], wanted);
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// EINVAL for flags other than [`EPOLL_CLOEXEC`], EMFILE.
pub fn epoll_create1(host: &Host, flags: i32) -> Result<i32, Errno> {
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::INVAL);
    }
    let held = Held::epoll(Epoll::new(host.shared_shard()));
    host.descriptors().insert_as(held, OnExec::from_flags(flags, EPOLL_CLOEXEC))
}

/// Begins ([`EPOLL_CTL_ADD`]), changes ([`EPOLL_CTL_MOD`]) or ends ([`EPOLL_CTL_DEL`]) the watch of the epoll instance
/// `epoll` over `id`: a socket of any domain, or another instance. See epoll_ctl(2).
///
/// A watch is over when the last id of what is watched is closed, also where that is not the one it was begun with.
///
/// # Errors
/// EBADF where either stands for nothing; EINVAL where `epoll` is no epoll instance, or the same as `id`, or where the
/// operation or the events make no sense; EFAULT without an event, which only [`EPOLL_CTL_DEL`] does not need; EEXIST;
/// ENOENT; ELOOP for a ring of instances, or more than five in a chain; ENOSPC.
pub fn epoll_ctl(
    host: &Host,
    epoll: i32,
    operation: i32,
    id: i32,
    event: Option<EpollEvent>,
) -> Result<(), Errno> {
    let outer = host.descriptors().object(epoll)?;
    let object = host.descriptors().object(id)?;
    instance(outer)?.control(operation, id, object, event)
}

/// As [`epoll_ctl`], for a descriptor of the kernel's: sockets of both worlds may stand in one instance. The kernel
/// watches it, so all flags mean what they mean there; closing it ends the watch.
///
/// It counts for the readiness of the instance: [`poll`](super::poll), another instance above it, and its
/// [mirror](super::mirror_fd) hear of it. A host with [`Driver::External`](crate::Driver) hears by its turns.
///
/// ```
/// use std::io::Write;
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
/// use tapsock::bsd::{self, EPOLL_CTL_ADD, EPOLLIN, EpollEvent};
/// use tapsock::Host;
///
/// let host = Host::builder().start()?;
/// let epoll = bsd::epoll_create1(&host, 0)?;
/// let (real, mut there) = UnixStream::pair()?;
/// let wanted = EpollEvent { events: EPOLLIN, data: 7 };
/// bsd::epoll_ctl_fd(&host, epoll, EPOLL_CTL_ADD, real.as_fd(), Some(wanted))?;
///
/// there.write_all(b"hello")?;
/// let mut events = [EpollEvent::default(); 8];
/// assert_eq!(bsd::epoll_wait(&host, epoll, &mut events, -1)?, 1);
/// assert_eq!(events[0], wanted);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// EBADF and EINVAL for `epoll` as [`epoll_ctl`]; otherwise the kernel's own, and EPERM for a file that can't be polled; EMFILE,
/// ENFILE and ENOMEM also where it needs a descriptor of its own.
pub fn epoll_ctl_fd(
    host: &Host,
    epoll: i32,
    operation: i32,
    fd: BorrowedFd<'_>,
    event: Option<EpollEvent>,
) -> Result<(), Errno> {
    instance(host.descriptors().object(epoll)?)?.control_real(operation, fd, event)
}

/// Waits until something that the epoll instance watches is ready, or `timeout` milliseconds have passed (negative: for
/// ever), and returns how many `events` it has filled in. See epoll_wait(2).
///
/// # Errors
/// EINVAL where there is no room for an event, or `epoll` is no epoll instance; EBADF, also where it is closed while the
/// call waits (on Linux it goes on waiting).
pub fn epoll_wait(host: &Host, epoll: i32, events: &mut [EpollEvent], timeout: i32) -> Result<usize, Errno> {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    epoll_pwait2(host, epoll, events, timeout)
}

/// As [`epoll_wait`], with a finer time-out; `None` waits for ever. There is no signal mask, since signals end no call.
/// See epoll_pwait2(2).
///
/// # Errors
/// Those of [`epoll_wait`].
pub fn epoll_pwait2(
    host: &Host,
    epoll: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    let max = check_max_events(i32::try_from(events.len()).unwrap_or(i32::MAX))?;
    let epoll = instance(host.descriptors().object(epoll)?)?;
    let reported = epoll.wait(max, timeout.map(|timeout| now() + timeout))?;
    events[..reported.len()].copy_from_slice(&reported);
    Ok(reported.len())
}

fn instance(object: Object) -> Result<Arc<Epoll>, Errno> {
    match object {
        Object::Epoll(epoll) => Ok(epoll),
        Object::Socket(_) => Err(Errno::INVAL),
    }
}
