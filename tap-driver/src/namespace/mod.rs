//! Network namespaces of our own, without root: made, held and served by a helper process.

use std::ffi::{CStr, OsStr, c_int};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use arrayvec::ArrayVec;

use crate::error::{During, OpenError};
use crate::kernel_end::{KernelEnd, Place};
use crate::packet::PacketLink;
use crate::rtnl::{Device, DeviceChange};
use crate::sys;
use crate::tap::Tap;
use helper::{Entry, Report, Request};

mod helper;
mod refusal;
mod sockets;

/// A network namespace, and the user namespace that makes us root in it.
///
/// A forked helper process holds it. The caller's own namespaces, user id and threads stay as they are, and it may
/// have any number of threads. What the helper opens for the caller, sockets and devices, belongs to the namespace
/// for ever, so threads of the caller can speak from inside of it: [`tcp_listen`](Self::tcp_listen),
/// [`udp_bind`](Self::udp_bind). Programs run in it by [`command`](Self::command).
///
/// It ends with its last clone, or with the caller's process, once nothing uses it any more: a link's descriptor
/// keeps its device, and a program that runs in it keeps the namespace.
///
/// The helper is a copy of the caller's memory at the moment of the fork; pages that the caller writes to
/// later are copied once. Make namespaces early.
///
/// ```
/// use tapsock_driver::{KernelEnd, Namespace};
///
/// # fn main() -> Result<(), tapsock_driver::OpenError> {
/// # if Namespace::create().is_err() { return Ok(()); }
/// let namespace = Namespace::create()?;
/// let kernel_end =
///     KernelEnd::new("tap0").address("10.7.0.1/24".parse().unwrap()).address("fd07::1/64".parse().unwrap());
/// match namespace.open_tap(&kernel_end) {
///     Ok(tap) => println!("frames from and to the kernel: {tap:?}"),
///     Err(why) => println!("no TAP: {why}"),
/// }
/// assert!(namespace.command("true").status().unwrap().success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Namespace {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` where it is the caller's own.
    user: Option<Arc<OwnedFd>>,
    net: Arc<OwnedFd>,
    helper: Helper,
}

/// The other end of the helper's control socket. Ends the helper when dropped.
struct Helper {
    process: sys::Child,
    control: Mutex<OwnedFd>,
}

impl Namespace {
    /// A network namespace of its own, in which `lo` is up and nothing else is there.
    ///
    /// As root, a network namespace alone is taken where user namespaces are refused.
    ///
    /// # Errors
    ///
    /// EPERM, EACCES, ENOSPC or EUSERS where this machine refuses; the error says what on it does, as far as that
    /// can be found out.
    pub fn create() -> Result<Namespace, OpenError> {
        let (user, group) = sys::effective_ids();
        let uid_map = format!("0 {user} 1\n");
        let gid_map = format!("0 {group} 1\n");
        let entry = Entry::NewUserAndNet { uid_map: uid_map.as_bytes(), gid_map: gid_map.as_bytes() };
        let namespace = match Namespace::start(&entry, "CLONE_NEWUSER|CLONE_NEWNET") {
            Err(refused) if user == 0 => {
                log::info!("no user namespace ({refused}): a network namespace alone");
                Namespace::start(&Entry::NewNet, "CLONE_NEWNET").map_err(|_| refused)
            }
            result => result,
        }
        .map_err(|refused| {
            let hint = refusal::hint(refused.errno());
            refused.because(hint)
        })?;
        namespace.explained(namespace.lo_up())?;
        Ok(namespace)
    }

    fn lo_up(&self) -> Result<(), OpenError> {
        let mut rtnl = Place::In(self).rtnl()?;
        let lo = rtnl.device("lo").during("RTM_GETLINK lo")?.index;
        rtnl.change(lo, DeviceChange { flags: libc::IFF_UP, ..DeviceChange::default() }).during("lo up")
    }

    /// In a user namespace of our own everything should be allowed: says what may have refused it.
    fn explained<T>(&self, result: Result<T, OpenError>) -> Result<T, OpenError> {
        match self.inner.user {
            Some(_) => result.map_err(|error| error.or_because(refusal::hint_inside)),
            None => result,
        }
    }

    /// The namespaces that another process is in: a helper's, say, by its [`helper_pid`](Self::helper_pid).
    ///
    /// # Errors
    ///
    /// ENOENT where there is no such process, EACCES and EPERM where it is somebody else's.
    pub fn of_process(pid: u32) -> Result<Namespace, OpenError> {
        let open = |kind: &str| {
            let path = format!("/proc/{pid}/ns/{kind}");
            std::fs::File::open(&path).during(format!("open {path}"))
        };
        let (user, net) = (open("user")?, open("net")?);
        let own = std::fs::metadata("/proc/self/ns/user").during("stat /proc/self/ns/user")?;
        let theirs = user.metadata().during("stat the user namespace")?;
        // To join one's own user namespace is an error: setns(2).
        let same = (own.dev(), own.ino()) == (theirs.dev(), theirs.ino());
        let user = (!same).then_some(user.as_fd());
        Namespace::start(&Entry::Join { user, net: net.as_fd() }, "into that of another process")
    }

    fn start(entry: &Entry<'_>, what: &str) -> Result<Namespace, OpenError> {
        let (control, theirs) = sys::seqpacket_pair().during("socketpair")?;
        let process = sys::fork(|| helper::run(theirs.as_fd(), entry)).during("fork")?;
        drop(theirs);
        let helper = Helper { process, control: Mutex::new(control) };
        let mut report = [0; Report::LEN];
        let fds = helper.receive(&mut report).during("the namespace's helper")?;
        if let Report::Failed { step, errno } = Report::decode(report) {
            let cause = io::Error::from_raw_os_error(errno);
            return Err(OpenError::new(format!("{} ({what})", step.describe()), cause));
        }
        let mut fds = fds.into_iter().map(Arc::new);
        let (Some(user), Some(net)) = (fds.next(), fds.next()) else {
            let cause = io::Error::from_raw_os_error(libc::EMFILE);
            return Err(OpenError::new("take over the namespace's descriptors", cause));
        };
        let user = (!matches!(entry, Entry::NewNet | Entry::Join { user: None, .. })).then_some(user);
        Ok(Namespace { inner: Arc::new(Inner { user, net, helper }) })
    }

    /// A command that runs `program` inside, as root of the user namespace where there is one.
    ///
    /// Its standard streams, environment and directory are the caller's, as with [`Command::new`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.enter(&mut command);
        command
    }

    /// Makes `command` run its program inside. [`Command::spawn`] gives EPERM where that is refused.
    pub fn enter(&self, command: &mut Command) {
        let user = self.inner.user.iter().map(|user| (user.clone(), libc::CLONE_NEWUSER));
        let net = (self.inner.net.clone(), libc::CLONE_NEWNET);
        sys::enter_before_exec(command, user.chain([net]).collect());
    }

    /// Moves the calling thread into the network namespace, for good. For tests: sockets that the thread makes
    /// from now on are the namespace's.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_SYS_ADMIN in the thread's own user namespace: only root can.
    pub fn enter_current_thread(&self) -> io::Result<()> {
        sys::enter_namespace(self.inner.net.as_fd(), libc::CLONE_NEWNET)
    }

    /// Process id of the helper, for `nsenter --target PID --user --net` and
    /// [`of_process`](Self::of_process).
    pub fn helper_pid(&self) -> u32 {
        self.inner.helper.process.id()
    }

    /// A TAP device in the namespace, its kernel's end set up as `kernel_end` says.
    ///
    /// # Errors
    ///
    /// ENOENT or EACCES where /dev/net/tun is missing or closed, EPERM where the namespace was granted without
    /// capabilities, EBUSY where the name is taken; or the step of the set-up that failed.
    pub fn open_tap(&self, kernel_end: &KernelEnd) -> Result<Tap, OpenError> {
        self.explained(Tap::open_in(Place::In(self), kernel_end))
    }

    /// A veth pair in the namespace: one end set up for the kernel as `kernel_end` says, a packet socket on the
    /// other.
    ///
    /// # Errors
    ///
    /// EPERM where the namespace was granted without capabilities, EOPNOTSUPP where the kernel has no veth, EEXIST
    /// where the name is taken; or the step of the set-up that failed.
    pub fn open_veth(&self, kernel_end: &KernelEnd) -> Result<PacketLink, OpenError> {
        self.explained(PacketLink::open_veth_in(Place::In(self), kernel_end))
    }

    /// What the kernel says of the device `name`. ENODEV where there is none.
    pub fn device(&self, name: &str) -> Result<Device, OpenError> {
        Place::In(self).rtnl()?.device(name).during(format!("RTM_GETLINK {name}"))
    }

    /// A setting of the namespace: `net.ipv4.tcp_sack`.
    ///
    /// # Errors
    ///
    /// ENOENT for an unknown name, EINVAL for one that is no name.
    pub fn sysctl(&self, name: &str) -> io::Result<String> {
        Place::In(self).sysctl(name)
    }

    /// Changes a setting of the namespace.
    ///
    /// # Errors
    ///
    /// ENOENT for an unknown name, EACCES for one that belongs to the machine, EINVAL for a wrong value.
    pub fn set_sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        Place::In(self).set_sysctl(name, value)
    }

    /// Opens `path` in the namespace.
    pub(crate) fn open(&self, path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
        self.inner.helper.request(&Request::Open { path, flags })
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace(held by process {})", self.helper_pid())
    }
}

impl Helper {
    /// Has a descriptor made in the namespace. ESRCH where the helper has been killed.
    fn request(&self, request: &Request<'_>) -> io::Result<OwnedFd> {
        let bytes = request.encode().ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        sys::send_with_fds(control.as_fd(), &bytes, &[]).map_err(|_| gone())?;
        let mut errno = [0; 4];
        let (len, mut fds) = sys::receive_with_fds(control.as_fd(), &mut errno).map_err(|_| gone())?;
        match (len, i32::from_ne_bytes(errno)) {
            (0, _) => Err(gone()),
            (_, 0) => fds.pop().ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE)),
            (_, errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn receive(&self, bytes: &mut [u8]) -> io::Result<ArrayVec<OwnedFd, { sys::MAX_FDS }>> {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        match sys::receive_with_fds(control.as_fd(), bytes)? {
            (0, _) => Err(gone()),
            (_, fds) => Ok(fds),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Closing is not enough: a process that the caller has forked may hold the socket too.
        sys::shutdown(self.control.get_mut().unwrap_or_else(PoisonError::into_inner).as_fd());
        self.process.wait();
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}
