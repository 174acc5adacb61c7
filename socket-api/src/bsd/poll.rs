//! Waiting for several sockets.

use core::time::Duration;
use std::sync::Arc;

use rustix::io::Errno;
use tapsock_sockets::{Fd, PollMask};

use super::{Kind, now};
use crate::description::Object;
use crate::engine::epoll::Epoll;
use crate::engine::poll::Polled;
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

/// Waits until one of `fds` is ready or `timeout` milliseconds have passed (negative: for ever) and returns how many
/// are. Sockets of all domains may stand together, and epoll instances beside them. See poll(2).
///
/// # Errors
/// None as yet.
pub fn poll(host: &Host, fds: &mut [PollFd], timeout: i32) -> Result<usize, Errno> {
    let deadline = u64::try_from(timeout).ok().map(|timeout| now() + Duration::from_millis(timeout));
    let open = |id| if id < 0 { Subject::Skipped } else { Subject::of(host.descriptors().object(id)) };
    let mut entries: Vec<Entry<'_>> =
        fds.iter_mut().map(|asked| Entry { subject: open(asked.fd), asked }).collect();
    host.shard().poll(&mut entries, deadline)
}

/// What stands behind an id.
enum Subject {
    Skipped,
    Missing,
    Inet(Fd),
    Local(Arc<LocalSocket>),
    Epoll(Arc<Epoll>),
}

impl Subject {
    fn of(object: Result<Object, Errno>) -> Self {
        match object {
            Ok(Object::Socket(description)) => match &description.kind {
                Kind::Inet(_, fd) => Subject::Inet(*fd),
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
}

impl Polled for Entry<'_> {
    fn socket(&self) -> Option<Fd> {
        match self.subject {
            Subject::Inet(fd) => Some(fd),
            _ => None,
        }
    }

    fn local(&self) -> Option<&LocalSocket> {
        match &self.subject {
            Subject::Local(local) => Some(local),
            _ => None,
        }
    }

    fn epoll(&self) -> Option<&Epoll> {
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
            (_, Some(ready)) => self.asked.events.reported(ready),
            (_, None) => PollMask::NONE,
        };
        self.asked.revents
    }
}
