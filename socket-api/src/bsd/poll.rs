//! Waiting for several sockets.

use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFlags, Timespec};
use rustix::io::Errno;
use tapsock_sockets::{Fd, PollMask};

use super::{Kind, now};
use crate::description::{Description, Object};
use crate::engine::epoll::Epoll;
use crate::engine::poll::{Polled, RealPolled};
use crate::host::Host;
use crate::local::LocalSocket;

/// One socket of a [`poll`].
///
/// ```
/// use tapsock::bsd::{PollFd, PollMask};
///
/// let entry = PollFd::new(3, PollMask::IN);
/// assert_eq!(entry.revents, PollMask::NONE);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PollFd {
    /// The socket; a negative one is passed over.
    pub fd: i32,
    /// The events asked for.
    pub events: PollMask,
    /// The events that are there; `ERR`, `HUP` and `NVAL` come unasked.
    pub revents: PollMask,
}

impl PollFd {
    /// Asks for `events` of `fd`.
    pub fn new(fd: i32, events: PollMask) -> Self {
        PollFd { fd, events, revents: PollMask::NONE }
    }
}

/// One real descriptor of a [`poll_beside`].
///
/// ```
/// use std::os::fd::AsFd;
/// use tapsock::bsd::RealPollFd;
///
/// let input = std::io::stdin();
/// let entry = RealPollFd::new(input.as_fd(), 1);
/// assert_eq!((entry.events, entry.revents), (1, 0));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct RealPollFd<'a> {
    /// The descriptor.
    pub fd: BorrowedFd<'a>,
    /// The events asked for, in the kernel's bits.
    pub events: u16,
    /// The events that are there.
    pub revents: u16,
}

impl<'a> RealPollFd<'a> {
    /// Asks for `events` of `fd`.
    pub fn new(fd: BorrowedFd<'a>, events: u16) -> Self {
        RealPollFd { fd, events, revents: 0 }
    }
}

/// Waits until one of `fds` is ready or `timeout` milliseconds have passed (negative: for ever) and returns how many
/// are. Sockets of all domains may stand together, and epoll instances beside them. See poll(2).
///
/// # Errors
/// EINVAL for more entries than there can be ids.
pub fn poll(host: &Host, fds: &mut [PollFd], timeout: i32) -> Result<usize, Errno> {
    ppoll(host, fds, u64::try_from(timeout).ok().map(Duration::from_millis))
}

/// As [`poll`], with a finer time-out; `None` waits for ever. There is no signal mask, since signals end no call. See
/// ppoll(2).
///
/// # Errors
/// Those of [`poll`].
pub fn ppoll(host: &Host, fds: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    poll_beside(host, fds, &mut [], timeout)
}

/// As [`ppoll`], with descriptors of the kernel's beside the sockets; those of both that are ready are counted.
///
/// ```
/// use std::io::Write;
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
/// use tapsock::Host;
/// use tapsock::bsd::{self, AF_UNIX, PollFd, PollMask, RealPollFd, SOCK_STREAM};
///
/// let host = Host::builder().start()?;
/// let [here, _there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let (real, mut far) = UnixStream::pair()?;
/// far.write_all(b"hello")?;
/// let mut ours = [PollFd::new(here, PollMask::IN)];
/// let mut others = [RealPollFd::new(real.as_fd(), 1)];
/// assert_eq!(bsd::poll_beside(&host, &mut ours, &mut others, None)?, 1);
/// assert_eq!((ours[0].revents, others[0].revents), (PollMask::NONE, 1));
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of [`poll`]; of the kernel's poll (ENOMEM), and of the epoll instance that it sleeps on where there are real
/// descriptors (EMFILE, ENFILE, ENOMEM).
pub fn poll_beside(
    host: &Host,
    fds: &mut [PollFd],
    real: &mut [RealPollFd<'_>],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    if fds.len() > host.descriptors().limit() {
        return Err(Errno::INVAL);
    }
    watch(host, fds, Unasked::Told, real, timeout)
}

/// What becomes of errors and hang-ups that nobody has asked for.
#[derive(Copy, Clone)]
pub(super) enum Unasked {
    /// They end the wait, and are told: poll(2).
    Told,
    /// They do not: select(2).
    PassedOver,
}

/// Waits for one of `fds` or of `real`.
pub(super) fn watch(
    host: &Host,
    fds: &mut [PollFd],
    unasked: Unasked,
    real: &mut [RealPollFd<'_>],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    // One that no clock can tell is none.
    let deadline = timeout.filter(|timeout| timeout.as_secs() < FOREVER_SECS).map(|timeout| now() + timeout);
    let open = |id| if id < 0 { Subject::Skipped } else { Subject::of(host.descriptors().object(id)) };
    let mut entries: Vec<Entry<'_>> =
        fds.iter_mut().map(|asked| Entry { subject: open(asked.fd), asked, unasked }).collect();
    let mut real = Neighbors { entries: real };
    host.shard().poll_beside(&mut entries, &mut real, deadline)
}

/// A time-out of so many seconds is none: a hundred years.
const FOREVER_SECS: u64 = 100 * 365 * 24 * 3600;

/// The real descriptors of a poll.
struct Neighbors<'a, 'b> {
    entries: &'a mut [RealPollFd<'b>],
}

impl RealPolled for Neighbors<'_, '_> {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn look(&mut self) -> Result<usize, Errno> {
        let mut fds = Vec::with_capacity(self.entries.len());
        for RealPollFd { fd, events, .. } in self.entries.iter() {
            fds.push(rustix::event::PollFd::from_borrowed_fd(*fd, PollFlags::from_bits_retain(*events)));
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A signal ends no call, and so not this one, of which the kernel would say EINTR.
        let count = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&at_once)))?;
        for (entry, fd) in self.entries.iter_mut().zip(&fds) {
            entry.revents = fd.revents().bits();
        }
        Ok(count)
    }

    fn each(&self, tell: &mut dyn FnMut(BorrowedFd<'_>, u16)) {
        self.entries.iter().for_each(|entry| tell(entry.fd, entry.events));
    }
}

/// What stands behind an id.
enum Subject {
    Skipped,
    Missing,
    /// It has its number as long as it is held.
    Inet(Arc<Description>),
    Local(Arc<LocalSocket>),
    Epoll(Arc<Epoll>),
}

impl Subject {
    fn of(object: Result<Object, Errno>) -> Self {
        match object {
            Ok(Object::Socket(description)) => match &description.kind {
                Kind::Inet(..) => Subject::Inet(description),
                Kind::Local(local) => Subject::Local(local.clone()),
            },
            Ok(Object::Epoll(epoll)) => Subject::Epoll(epoll),
            Err(_) => Subject::Missing,
        }
    }
}

struct Entry<'a> {
    subject: Subject,
    asked: &'a mut PollFd,
    unasked: Unasked,
}

impl Polled for Entry<'_> {
    fn socket(&self) -> Option<Fd> {
        let Subject::Inet(description) = &self.subject else { return None };
        match &description.kind {
            Kind::Inet(_, fd) => Some(*fd),
            Kind::Local(_) => None,
        }
    }

    fn local(&self) -> Option<&LocalSocket> {
        match &self.subject {
            Subject::Local(local) => Some(local),
            _ => None,
        }
    }

    fn epoll(&self) -> Option<&Arc<Epoll>> {
        match &self.subject {
            Subject::Epoll(epoll) => Some(epoll),
            _ => None,
        }
    }

    fn events(&self) -> PollMask {
        self.asked.events
    }

    fn report(&mut self, ready: Option<PollMask>) -> PollMask {
        self.asked.revents = match (&self.subject, ready) {
            (Subject::Missing, _) => PollMask::NVAL,
            (_, Some(ready)) => match self.unasked {
                Unasked::Told => self.asked.events.reported(ready),
                Unasked::PassedOver => ready & (self.asked.events | PollMask::NVAL),
            },
            (_, None) => PollMask::NONE,
        };
        self.asked.revents
    }
}
