//! The process that holds a namespace: a forked copy of the caller that makes or joins the namespace, and then
//! opens in it what its owner asks for, until its control socket closes.
//!
//! Its owner usually has several threads, of which the copy has one: whatever the others had locked, the allocator
//! for one, stays locked. So nothing here allocates; all that needs memory was prepared before the fork.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys;

/// Bytes of a path in a request, with its NUL.
pub(super) const MAX_PATH: usize = 144;
const REQUEST_LEN: usize = 16 + MAX_PATH;
const SOCKET: c_int = 1;
const OPEN: c_int = 2;

/// How the helper comes into its namespace.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// A user namespace and a network namespace of its own.
    NewUserAndNet {
        /// The lines for `uid_map` and `gid_map`.
        uid_map: &'a [u8],
        gid_map: &'a [u8],
    },
    /// A network namespace of its own, in the caller's user namespace.
    NewNet,
    /// Namespaces that exist; no user namespace where it is the caller's.
    Join { user: Option<BorrowedFd<'a>>, net: BorrowedFd<'a> },
}

/// What the helper did last, as it reports a failure.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Unshare,
    SetGroups,
    UidMap,
    GidMap,
    Join,
    OpenNamespaces,
    Settle,
}

impl Step {
    const ALL: [Step; 7] = [
        Step::Unshare,
        Step::SetGroups,
        Step::UidMap,
        Step::GidMap,
        Step::Join,
        Step::OpenNamespaces,
        Step::Settle,
    ];

    /// For people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Step::Unshare => "unshare",
            Step::SetGroups => "write /proc/self/setgroups",
            Step::UidMap => "write /proc/self/uid_map",
            Step::GidMap => "write /proc/self/gid_map",
            Step::Join => "setns",
            Step::OpenNamespaces => "open /proc/self/ns",
            Step::Settle => "settle in the namespace",
        }
    }
}

/// What the helper says first: its namespaces' descriptors come with it, or the step that failed.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Report {
    Ready,
    Failed { step: Step, errno: i32 },
}

impl Report {
    pub(super) const LEN: usize = 8;

    fn encode(self) -> [u8; Report::LEN] {
        let (step, errno) = match self {
            Report::Ready => (0, 0),
            Report::Failed { step, errno } => (step as i32, errno.max(1)),
        };
        let mut bytes = [0; Report::LEN];
        bytes[..4].copy_from_slice(&step.to_ne_bytes());
        bytes[4..].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; Report::LEN]) -> Self {
        let [s0, s1, s2, s3, e0, e1, e2, e3] = bytes;
        let step = i32::from_ne_bytes([s0, s1, s2, s3]) as usize;
        match i32::from_ne_bytes([e0, e1, e2, e3]) {
            0 => Report::Ready,
            errno => Report::Failed { step: *Step::ALL.get(step).unwrap_or(&Step::Settle), errno },
        }
    }
}

/// A descriptor that the helper is to make in its namespace. It belongs to that namespace for ever.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Request<'a> {
    Socket { domain: c_int, kind: c_int, protocol: c_int },
    Open { path: &'a CStr, flags: c_int },
}

impl<'a> Request<'a> {
    /// `None` for a path of more than [`MAX_PATH`] bytes.
    pub(super) fn encode(&self) -> Option<[u8; REQUEST_LEN]> {
        let mut bytes = [0; REQUEST_LEN];
        let numbers = match *self {
            Request::Socket { domain, kind, protocol } => [SOCKET, domain, kind, protocol],
            Request::Open { path, flags } => {
                let path = path.to_bytes_with_nul();
                bytes[16..].get_mut(..path.len())?.copy_from_slice(path);
                [OPEN, flags, 0, 0]
            }
        };
        for (into, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            into.copy_from_slice(&number.to_ne_bytes());
        }
        Some(bytes)
    }

    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(c_int::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        match number(0)? {
            SOCKET => Some(Request::Socket { domain: number(4)?, kind: number(8)?, protocol: number(12)? }),
            OPEN => Some(Request::Open {
                path: CStr::from_bytes_until_nul(bytes.get(16..)?).ok()?,
                flags: number(4)?,
            }),
            _ => None,
        }
    }

    fn fulfil(&self) -> io::Result<OwnedFd> {
        match *self {
            Request::Socket { domain, kind, protocol } => sys::socket(domain, kind, protocol),
            Request::Open { path, flags } => sys::open(path, flags),
        }
    }
}

/// The helper's whole life; gives its exit status.
pub(super) fn run(control: BorrowedFd<'_>, entry: &Entry<'_>) -> c_int {
    let owner = sys::parent_id();
    let entered = enter(entry);
    // The descriptors of other helpers' sockets are among what was copied: kept open, they would keep those
    // helpers alive.
    let Ok(control) = sys::keep_only(control) else {
        return 1;
    };
    match entered.and_then(|()| settle(control.as_fd())) {
        Ok(termination) => {
            serve(control.as_fd(), termination.as_fd(), owner);
            0
        }
        Err(report) => {
            let _ = sys::send_with_fds(control.as_fd(), &report.encode(), &[]);
            1
        }
    }
}

fn enter(entry: &Entry<'_>) -> Result<(), Report> {
    match *entry {
        Entry::NewUserAndNet { uid_map, gid_map } => {
            sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET).map_err(failed(Step::Unshare))?;
            // Without this an ordinary user may not write `gid_map`: user_namespaces(7).
            write_file(c"/proc/self/setgroups", b"deny").map_err(failed(Step::SetGroups))?;
            write_file(c"/proc/self/uid_map", uid_map).map_err(failed(Step::UidMap))?;
            write_file(c"/proc/self/gid_map", gid_map).map_err(failed(Step::GidMap))
        }
        Entry::NewNet => sys::unshare(libc::CLONE_NEWNET).map_err(failed(Step::Unshare)),
        Entry::Join { user, net } => {
            if let Some(user) = user {
                sys::enter_namespace(user, libc::CLONE_NEWUSER).map_err(failed(Step::Join))?;
            }
            sys::enter_namespace(net, libc::CLONE_NEWNET).map_err(failed(Step::Join))
        }
    }
}

/// Makes sure that the helper ends with its owner, and reports the namespaces.
fn settle(control: BorrowedFd<'_>) -> Result<OwnedFd, Report> {
    sys::become_helper(c"tapsock-netns");
    let termination = sys::termination().map_err(failed(Step::Settle))?;
    let open = |path| sys::open(path, libc::O_RDONLY).map_err(failed(Step::OpenNamespaces));
    let (user, net) = (open(c"/proc/self/ns/user")?, open(c"/proc/self/ns/net")?);
    let namespaces = [user.as_fd(), net.as_fd()];
    sys::send_with_fds(control, &Report::Ready.encode(), &namespaces).map_err(failed(Step::Settle))?;
    Ok(termination)
}

/// Answers requests until the control socket closes or the owner's process ends.
///
/// SIGTERM comes when the thread that forked the helper ends; the process may well live on.
fn serve(control: BorrowedFd<'_>, termination: BorrowedFd<'_>, owner: i32) {
    loop {
        let ready = sys::poll([(control, libc::POLLIN), (termination, libc::POLLIN)], -1);
        let [asked, signalled] = match ready {
            Ok(events) => events,
            // After SIGSTOP and SIGCONT, which can't be blocked.
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
            Err(_) => return,
        };
        if signalled != 0 {
            let _ = sys::read(termination, &mut [0; 128]);
            if sys::parent_id() != owner {
                return;
            }
        }
        if asked != 0 && answer(control).is_err() {
            return;
        }
    }
}

fn answer(control: BorrowedFd<'_>) -> io::Result<()> {
    let mut bytes = [0; REQUEST_LEN];
    let (len, _) = sys::receive_with_fds(control, &mut bytes)?;
    if len == 0 {
        return Err(io::Error::from_raw_os_error(libc::EPIPE));
    }
    let made = match Request::decode(&bytes[..len]) {
        Some(request) => request.fulfil(),
        None => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    };
    match made {
        Ok(fd) => sys::send_with_fds(control, &0i32.to_ne_bytes(), &[fd.as_fd()]),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            sys::send_with_fds(control, &errno.to_ne_bytes(), &[])
        }
    }
}

fn write_file(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    sys::write(sys::open(path, libc::O_WRONLY)?.as_fd(), bytes)
}

fn failed(step: Step) -> impl FnOnce(io::Error) -> Report {
    move |error| Report::Failed { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_socket() {
        let socket = Request::Socket { domain: 2, kind: 1, protocol: 17 };
        let open = Request::Open { path: c"/dev/net/tun", flags: libc::O_RDWR };
        for request in [socket, open] {
            assert_eq!(Request::decode(&request.encode().unwrap()), Some(request));
        }
        assert_eq!(Request::decode(&[0; REQUEST_LEN]), None);
        assert_eq!(Request::decode(&socket.encode().unwrap()[..15]), None);
        let long = std::ffi::CString::new(vec![b'x'; MAX_PATH]).unwrap();
        assert_eq!(Request::Open { path: &long, flags: 0 }.encode(), None);
    }

    #[test]
    fn reports_survive_the_socket() {
        for step in Step::ALL {
            let report = Report::Failed { step, errno: libc::EPERM };
            assert_eq!(Report::decode(report.encode()), report);
        }
        assert_eq!(Report::decode(Report::Ready.encode()), Report::Ready);
    }

    #[test]
    fn nothing_here_allocates() {
        let (ours, theirs) = sys::seqpacket_pair().unwrap();
        let good = Request::Open { path: c"/proc/self/ns/net", flags: libc::O_RDONLY };
        let bad = Request::Open { path: c"/does/not/exist", flags: libc::O_RDONLY };
        for (request, errno) in [(good, 0), (bad, libc::ENOENT)] {
            sys::send_with_fds(ours.as_fd(), &request.encode().unwrap(), &[]).unwrap();
            let allocations = allocation_counter::measure(|| answer(theirs.as_fd()).unwrap());
            assert_eq!(allocations.count_total, 0);
            let mut answered = [0; 4];
            let (_, fds) = sys::receive_with_fds(ours.as_fd(), &mut answered).unwrap();
            assert_eq!((i32::from_ne_bytes(answered), fds.len()), (errno, usize::from(errno == 0)));
        }
        let no_namespace = Entry::Join { user: Some(ours.as_fd()), net: ours.as_fd() };
        let allocations = allocation_counter::measure(|| {
            let report = enter(&no_namespace).unwrap_err();
            assert_eq!(report, Report::Failed { step: Step::Join, errno: libc::EINVAL });
            write_file(c"/dev/null", b"deny").unwrap();
            drop(sys::termination().unwrap());
        });
        assert_eq!(allocations.count_total, 0);
    }
}
