//! What a watch asks for: the `EPOLL*` bits, and what each means for a wake-up and a report.

use core::fmt;

use rustix::io::Errno;

use crate::poll::PollMask;

macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: u32 = $value;)*
    };
}

bits! {
    /// There is something to receive or to accept, or the end of the stream.
    EPOLLIN = 0x1;
    /// There is urgent data.
    EPOLLPRI = 0x2;
    /// There is room to send.
    EPOLLOUT = 0x4;
    /// An error is pending; reported whether asked for or not.
    EPOLLERR = 0x8;
    /// Both directions are shut; reported whether asked for or not.
    EPOLLHUP = 0x10;
    /// As `EPOLLIN`.
    EPOLLRDNORM = 0x40;
    /// As `EPOLLOUT`.
    EPOLLWRNORM = 0x100;
    /// As `EPOLLOUT`, on datagram sockets.
    EPOLLWRBAND = 0x200;
    /// The peer, or `shutdown`, has ended the receiving direction.
    EPOLLRDHUP = 0x2000;
    /// Of several instances that watch one key, wake one.
    EPOLLEXCLUSIVE = 1 << 28;
    /// Keep the system awake: taken, and without meaning here.
    EPOLLWAKEUP = 1 << 29;
    /// Report once, then nothing until `EPOLL_CTL_MOD`.
    EPOLLONESHOT = 1 << 30;
    /// Edge-triggered: report a wake-up once.
    EPOLLET = 1 << 31;
}

/// `epoll_ctl`: watch.
pub const EPOLL_CTL_ADD: i32 = 1;
/// `epoll_ctl`: watch no longer.
pub const EPOLL_CTL_DEL: i32 = 2;
/// `epoll_ctl`: watch for something else.
pub const EPOLL_CTL_MOD: i32 = 3;

/// The bits that say how, not what.
const HOW: u32 = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET;
/// All that may stand beside `EPOLLEXCLUSIVE`, and it.
const WITH_EXCLUSIVE: u32 = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/// `EP_MAX_EVENTS`: as many structures of 12 bytes as an `int` counts bytes.
const MAX_EVENTS: i32 = i32::MAX / 12;

/// What is being watched, as far as `epoll_ctl` cares.
///
/// ```
/// use tapsock_sockets::Errno;
/// use tapsock_sockets::epoll::{EPOLL_CTL_ADD, EPOLLEXCLUSIVE, EPOLLIN, Watched, check_events};
///
/// let events = EPOLLIN | EPOLLEXCLUSIVE;
/// assert_eq!(check_events(EPOLL_CTL_ADD, events, Watched::Other), Ok(()));
/// assert_eq!(check_events(EPOLL_CTL_ADD, events, Watched::Epoll), Err(Errno::INVAL));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Watched {
    /// Another epoll instance.
    Epoll,
    /// Anything else.
    Other,
}

/// What `epoll_ctl` says of an operation and its events before it looks at the instance. A caller who nests
/// instances asks this, then [`check_nesting`](super::check_nesting), then the instance: Linux's order.
///
/// Errors: EINVAL for an unknown operation, and for `EPOLLEXCLUSIVE` in `EPOLL_CTL_MOD`, on an epoll instance, or
/// beside anything but `EPOLLIN`, `EPOLLOUT`, `EPOLLERR`, `EPOLLHUP`, `EPOLLWAKEUP` and `EPOLLET`.
/// Source: epoll_ctl(2).
pub fn check_events(operation: i32, events: u32, watched: Watched) -> Result<(), Errno> {
    let exclusive = events & EPOLLEXCLUSIVE != 0;
    let refused = match operation {
        EPOLL_CTL_ADD => exclusive && (watched == Watched::Epoll || events & !WITH_EXCLUSIVE != 0),
        EPOLL_CTL_MOD => exclusive,
        EPOLL_CTL_DEL => false,
        _ => true,
    };
    if refused { Err(Errno::INVAL) } else { Ok(()) }
}

/// What `epoll_wait` says of its `maxevents`.
///
/// Errors: EINVAL where it is not above zero, or more than Linux takes.
///
/// ```
/// use tapsock_sockets::Errno;
/// use tapsock_sockets::epoll::check_max_events;
///
/// assert_eq!(check_max_events(8), Ok(8));
/// assert_eq!(check_max_events(0), Err(Errno::INVAL));
/// ```
pub fn check_max_events(max_events: i32) -> Result<usize, Errno> {
    match usize::try_from(max_events) {
        Ok(count) if (1..=MAX_EVENTS).contains(&max_events) => Ok(count),
        _ => Err(Errno::INVAL),
    }
}

/// The events of a watch.
#[derive(Copy, Clone, Eq, PartialEq)]
pub(super) struct Interest(u32);

impl Interest {
    pub(super) fn new(events: u32) -> Self {
        Interest(events | EPOLLERR | EPOLLHUP)
    }

    pub(super) fn is_exclusive(self) -> bool {
        self.0 & EPOLLEXCLUSIVE != 0
    }

    pub(super) fn is_one_shot(self) -> bool {
        self.0 & EPOLLONESHOT != 0
    }

    pub(super) fn is_edge_triggered(self) -> bool {
        self.0 & EPOLLET != 0
    }

    /// After a report of a one-shot watch nothing is asked for, not even errors.
    pub(super) fn disarm(&mut self) {
        self.0 &= HOW;
    }

    /// Whether a wake-up of `mask` concerns this watch. One without a mask concerns all that ask for anything.
    pub(super) fn is_woken_by(self, mask: PollMask) -> bool {
        let asked = self.0 & !HOW;
        asked != 0 && (mask.is_empty() || u32::from(mask.bits()) & asked != 0)
    }

    /// Whether a wake-up of `mask` need go no further than to this watch: an arrival or room, not both at once (each
    /// may be for somebody else).
    pub(super) fn takes_alone(self, mask: PollMask) -> bool {
        self.is_exclusive()
            && match u32::from(mask.bits()) & (EPOLLIN | EPOLLOUT) {
                0 => true,
                EPOLLIN => self.0 & EPOLLIN != 0,
                EPOLLOUT => self.0 & EPOLLOUT != 0,
                _ => false,
            }
    }

    /// What is reported of a key that is `ready`.
    pub(super) fn reported(self, ready: PollMask) -> u32 {
        u32::from(ready.bits()) & self.0
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
