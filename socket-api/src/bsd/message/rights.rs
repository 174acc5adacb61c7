//! SCM_RIGHTS: ids and real descriptors, from numbers to shares and back.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use tapsock_sockets::constants::MSG_CMSG_CLOEXEC;
use tapsock_sockets::control::{Control, ControlMessages, SCM_MAX_FD};

use crate::description::OnExec;
use crate::host::Host;
use crate::local;

/// What a message passes to the receiver: a share in something that is open.
///
/// ```
/// use tapsock::bsd::{self, AF_UNIX, Passed, RecvMessage, Right, SOCK_DGRAM, SendMessage};
/// use tapsock::bsd::control::cmsg_space;
/// use std::io::{Read, Seek, Write};
/// use std::os::fd::AsFd;
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start()?;
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_DGRAM, 0)?;
/// let (end, mut other_end) = std::os::unix::net::UnixStream::pair()?;
/// let rights = [Right::Id(here), Right::Real(end.as_fd())];
/// bsd::sendmsg(&host, here, &SendMessage { rights: &rights, ..SendMessage::default() }, 0)?;
/// drop(end);
///
/// let mut message = RecvMessage { iov: &mut [], control_room: cmsg_space(8) };
/// let mut passed = bsd::recvmsg(&host, there, &mut message, 0)?.passed;
/// let Some(Passed::Real(end)) = passed.pop() else { panic!("a descriptor") };
/// std::os::unix::net::UnixStream::from(end).write_all(b"hello")?;
/// assert_eq!(std::io::read_to_string(&mut other_end)?, "hello");
/// assert!(matches!(passed[..], [Passed::Id(_)]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug)]
pub enum Right<'a> {
    /// A socket or an epoll instance of the host, by its id.
    Id(i32),
    /// A descriptor of the system.
    Real(BorrowedFd<'a>),
}

/// What was passed. Two of them are equal where they are the same number.
///
/// ```
/// use tapsock::bsd::Passed;
///
/// assert_ne!(Passed::Id(1), Passed::Id(2));
/// ```
#[derive(Debug)]
pub enum Passed {
    /// A new id for a socket or an epoll instance of the host.
    Id(i32),
    /// A descriptor of the system, close-on-exec where the call had MSG_CMSG_CLOEXEC.
    Real(OwnedFd),
}

impl PartialEq for Passed {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Passed::Id(id), Passed::Id(other)) => id == other,
            (Passed::Real(fd), Passed::Real(other)) => fd.as_raw_fd() == other.as_raw_fd(),
            _ => false,
        }
    }
}

impl Eq for Passed {}

impl Passed {
    fn number(&self) -> i32 {
        match self {
            Passed::Id(id) => *id,
            Passed::Real(fd) => fd.as_raw_fd(),
        }
    }
}

/// Shares in what `ids` and `rights` name.
///
/// Errors: EINVAL for more than 253 of both, EBADF for an id that stands for nothing, ETOOMANYREFS where the process may
/// open no more for the time that descriptors are under way.
pub(super) fn shares(host: &Host, ids: &[i32], rights: &[Right<'_>]) -> Result<Vec<local::Right>, Errno> {
    if ids.len() + rights.len() > SCM_MAX_FD {
        return Err(Errno::INVAL);
    }
    let ids = ids.iter().map(|id| Right::Id(*id));
    let share = |right| match right {
        Right::Id(id) => host.descriptors().held(id).map(local::Right::Ours),
        Right::Real(fd) => local::Right::real(fd),
    };
    ids.chain(rights.iter().copied()).map(share).collect()
}

/// Gives numbers to what was passed, as far as there is room; the rest is closed.
pub(super) fn install(
    host: &Host,
    rights: Vec<local::Right>,
    control: &mut ControlMessages,
    flags: i32,
) -> Vec<Passed> {
    let (came, room) = (rights.len(), control.room_for_rights());
    let on_exec = OnExec::from_flags(flags, MSG_CMSG_CLOEXEC);
    let number = |right| match right {
        local::Right::Ours(held) => host.descriptors().insert_as(held, on_exec).map(Passed::Id),
        local::Right::Real(fd) => own(fd, flags).map(Passed::Real),
    };
    let passed: Vec<Passed> = rights.into_iter().take(room).map_while(|right| number(right).ok()).collect();
    if passed.len() < came {
        control.mark_truncated();
    }
    if !passed.is_empty() {
        control.push(&Control::Rights(passed.iter().map(Passed::number).collect()));
    }
    passed
}

/// A descriptor that the caller owns. Errors: EMFILE, where a peek left the share in the queue.
fn own(fd: Arc<OwnedFd>, flags: i32) -> Result<OwnedFd, Errno> {
    let owned = local::Right::own(fd)?;
    if flags & MSG_CMSG_CLOEXEC == 0 {
        fcntl_setfd(&owned, FdFlags::empty())?;
    }
    Ok(owned)
}
