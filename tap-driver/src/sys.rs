//! Every unsafe line of the crate: small safe functions over libc.
//!
//! What the forked helper process calls ([`fork`] and below) neither allocates nor takes a lock.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_short, c_uint, c_ulong};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrayvec::ArrayVec;

/// Most descriptors that cross in one message.
pub(crate) const MAX_FDS: usize = 2;

// ---- descriptors

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes over a descriptor that a system call has just made.
fn own(result: c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the call that gave `fd` succeeded and made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes over the descriptor of `source`.
#[cfg(feature = "tun-tap")]
pub(crate) fn into_owned(source: impl std::os::fd::IntoRawFd) -> OwnedFd {
    // SAFETY: `IntoRawFd` hands over the sole ownership of an open descriptor.
    unsafe { OwnedFd::from_raw_fd(source.into_raw_fd()) }
}

/// A non-blocking eventfd that stands at zero: eventfd(2).
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// Two connected local sockets that keep the bounds of packets: socketpair(2).
pub(crate) fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [c_int; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `fds` has room for the two descriptors that the call writes.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    Ok((own(fds[0])?, own(fds[1])?))
}

/// A socket that is closed on exec: socket(2).
pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    own(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// Opens a file, closed on exec: open(2).
pub(crate) fn open(path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    // SAFETY: `path` ends with a NUL and outlives the call; no O_CREAT, so no mode is read.
    own(unsafe { libc::open(path.as_ptr(), (flags & !libc::O_CREAT) | libc::O_CLOEXEC) })
}

/// Waits for at most `timeout_ms` (-1: for ever) until one of `fds` has one of its events: poll(2).
pub(crate) fn poll<const N: usize>(
    fds: [(BorrowedFd<'_>, c_short); N],
    timeout_ms: c_int,
) -> io::Result<[c_short; N]> {
    let mut polled = fds.map(|(fd, events)| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
    // SAFETY: `polled` holds `N` entries and outlives the call.
    check(unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout_ms) })?;
    Ok(polled.map(|entry| entry.revents))
}

// ---- sockets

/// Sets an option that is an `int`: setsockopt(2).
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an int of the length passed, which outlives the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) })?;
    Ok(())
}

/// Reads an option that is an `int`: getsockopt(2).
pub(crate) fn option(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call, the first of the length passed.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

/// Binds a packet socket to an interface and all protocols: packet(7).
pub(crate) fn bind_packet(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain integers, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = interface as c_int;
    let len = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the pointer is to an address of the length passed, which outlives the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(())
}

/// Binds an internet socket: bind(2).
pub(crate) fn bind(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let (storage, len) = socket_address(address);
    // SAFETY: `storage` holds an address of `len` bytes and outlives the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len) })?;
    Ok(())
}

/// Connects an internet socket: connect(2).
pub(crate) fn connect(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let (storage, len) = socket_address(address);
    // SAFETY: `storage` holds an address of `len` bytes and outlives the call.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const storage).cast(), len) })?;
    Ok(())
}

/// A local socket of type `kind`, connected to the one that `path` names: unix(7).
pub(crate) fn connect_local(kind: c_int, path: &Path) -> io::Result<OwnedFd> {
    let fd = socket(libc::AF_UNIX, kind, 0)?;
    // SAFETY: `sockaddr_un` is plain integers, for which all zeroes is a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as _;
    let bytes = path.as_os_str().as_bytes();
    // One byte less, for the zero at the end.
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as _;
    }
    let len = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the pointer is to an address of the length passed, which outlives the call.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(fd)
}

/// Listens: listen(2).
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: c_int) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(())
}

/// Ends both directions of a socket, for all who hold it: shutdown(2).
pub(crate) fn shutdown(fd: BorrowedFd<'_>) {
    // SAFETY: no pointer is passed. An error means that the peer is gone, which is what was asked for.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

fn socket_address(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: `sockaddr_storage` is plain integers, for which all zeroes is a value.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = match address {
        SocketAddr::V4(v4) => {
            // SAFETY: `sockaddr_storage` is as large and as aligned as every socket address.
            write_v4(unsafe { &mut *(&raw mut storage).cast() }, v4)
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            write_v6(unsafe { &mut *(&raw mut storage).cast() }, v6)
        }
    };
    (storage, len as libc::socklen_t)
}

fn write_v4(into: &mut libc::sockaddr_in, address: SocketAddrV4) -> usize {
    into.sin_family = libc::AF_INET as libc::sa_family_t;
    into.sin_port = address.port().to_be();
    into.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    mem::size_of_val(into)
}

fn write_v6(into: &mut libc::sockaddr_in6, address: SocketAddrV6) -> usize {
    into.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    into.sin6_port = address.port().to_be();
    into.sin6_flowinfo = address.flowinfo();
    into.sin6_addr.s6_addr = address.ip().octets();
    into.sin6_scope_id = address.scope_id();
    mem::size_of_val(into)
}

// ---- messages

/// Sends one packet without waiting and without SIGPIPE: sendmsg(2).
pub(crate) fn send(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: `msghdr` is plain pointers and integers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // An `IoSlice` is laid out as an iovec; the kernel only reads through it.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: `message` refers to `slices`, which outlive the call, and to nothing else.
    let sent =
        unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// What became of a packet that was read.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Packet {
    /// So many bytes of it, all that it had.
    Whole(usize),
    /// More than there was room for.
    Truncated,
}

/// Reads one packet without waiting: recvmsg(2).
pub(crate) fn receive(fd: BorrowedFd<'_>, slices: &mut [IoSliceMut<'_>]) -> io::Result<Packet> {
    // SAFETY: `msghdr` is plain pointers and integers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // An `IoSliceMut` is laid out as an iovec.
    message.msg_iov = slices.as_mut_ptr().cast();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: `message` refers to `slices`, which are writable and outlive the call, and to nothing else.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok(if message.msg_flags & libc::MSG_TRUNC == 0 { Packet::Whole(len) } else { Packet::Truncated })
}

/// Bytes of the packets that wait to be read: SIOCINQ of unix(7).
pub(crate) fn bytes_waiting(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    let mut bytes: c_int = 0;
    // SAFETY: FIONREAD, which is SIOCINQ, writes an int, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD as _, &raw mut bytes) })?;
    Ok(bytes)
}

/// Room for the control message that carries descriptors, aligned as its header wants it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

const FDS_LEN: usize = MAX_FDS * mem::size_of::<RawFd>();
// SAFETY: `CMSG_SPACE` computes, and reads nothing.
const CONTROL_LEN: usize = unsafe { libc::CMSG_SPACE(FDS_LEN as c_uint) } as usize;

/// Sends `bytes` and up to [`MAX_FDS`] descriptors in one packet, waiting for room: unix(7), SCM_RIGHTS.
pub(crate) fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut control = Control([0; CONTROL_LEN]);
    let fds = &fds[..fds.len().min(MAX_FDS)];
    let mut slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `msghdr` is plain pointers and integers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let len = mem::size_of_val(fds) as c_uint;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the CMSG functions compute within `control`, which has room for MAX_FDS descriptors and is
        // aligned; a `BorrowedFd` is laid out as a `RawFd`.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(len) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(len) as _;
            fds.as_ptr().cast::<u8>().copy_to_nonoverlapping(libc::CMSG_DATA(header), len as usize);
        }
    }
    loop {
        // SAFETY: `message` refers to `slice` and `control`, which outlive the call.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

/// Waits for one packet; gives its length (0: the peer is gone) and the descriptors that came with it.
pub(crate) fn receive_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> io::Result<(usize, ArrayVec<OwnedFd, MAX_FDS>)> {
    let mut control = Control([0; CONTROL_LEN]);
    let mut slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: `msghdr` is plain pointers and integers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_LEN as _;
    let len = loop {
        // SAFETY: `message` refers to `slice` and `control`, which are writable and outlive the call.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(len) => break len,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::EINTR) {
                    return Err(error);
                }
            }
        }
    };
    let mut fds = ArrayVec::new();
    // SAFETY: the kernel has filled in `message` and `control`; the CMSG functions stay within `msg_controllen`.
    // The descriptors of an SCM_RIGHTS message are ours, and each is taken over once.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
        {
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            let len = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            for index in 0..(len / mem::size_of::<RawFd>()).min(MAX_FDS) {
                fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
            }
        }
    }
    Ok((len, fds))
}

// ---- TUN/TAP

/// A `struct ifreq` with a name and flags, as `TUNSETIFF` and `TUNGETIFF` have it.
#[repr(C)]
pub(crate) struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    /// The rest of the union: `struct ifmap` is the largest with 24 bytes.
    rest: [u8; 22],
}

impl InterfaceRequest {
    /// A request for `name`, of which the first 15 bytes count, with `flags`.
    pub(crate) fn new(name: &str, flags: c_int) -> Self {
        let mut request =
            InterfaceRequest { name: [0; libc::IFNAMSIZ], flags: flags as c_short, rest: [0; 22] };
        let len = name.len().min(libc::IFNAMSIZ - 1);
        request.name[..len].copy_from_slice(&name.as_bytes()[..len]);
        request
    }

    pub(crate) fn name(&self) -> String {
        let len = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(&self.name[..len]).into_owned()
    }

    pub(crate) fn flags(&self) -> c_int {
        c_int::from(self.flags as u16)
    }
}

/// Makes `fd` a queue of the device that `request` names; the kernel writes the name that it chose.
pub(crate) fn tun_attach(fd: BorrowedFd<'_>, request: &mut InterfaceRequest) -> io::Result<()> {
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, which `request` is as large as.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut *request) })?;
    Ok(())
}

/// Name and flags of the device that `fd` is a queue of.
pub(crate) fn tun_interface(fd: BorrowedFd<'_>) -> io::Result<InterfaceRequest> {
    let mut request = InterfaceRequest::new("", 0);
    // SAFETY: TUNGETIFF writes a `struct ifreq`, which `request` is as large as.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNGETIFF as _, &raw mut request) })?;
    Ok(request)
}

/// What the kernel may leave to us in frames that it sends.
pub(crate) fn tun_set_offload(fd: BorrowedFd<'_>, flags: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, c_ulong::from(flags)) })?;
    Ok(())
}

/// Sets the length of the header before each frame, in bytes.
pub(crate) fn tun_set_header_len(fd: BorrowedFd<'_>, len: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads an int, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &raw const len) })?;
    Ok(())
}

/// Makes reads and writes return EAGAIN rather than wait, for all who share the open file.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: FIONBIO reads an int, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO as _, &raw const on) })?;
    Ok(())
}

// ---- processes and namespaces

/// A child process that raises no SIGCHLD and that nobody else's `wait` reaps.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
}

impl Child {
    pub(crate) fn id(&self) -> u32 {
        self.pid as u32
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&self) {
        loop {
            // SAFETY: a null pointer for the status is allowed.
            let result = unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
            if result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return;
            }
        }
    }
}

/// Runs `child` in a copy of this process, which ends with the status that it returns.
///
/// The copy has one thread, and locks that other threads held stay locked in it: `child` must not allocate, print
/// or take a lock. All signals are blocked in it. It has no exit signal, so the caller's program sees no SIGCHLD.
pub(crate) fn fork(child: impl FnOnce() -> c_int) -> io::Result<Child> {
    with_signals_blocked(|| {
        // SAFETY: without flags and with a null stack, clone(2) copies the process as fork(2) does; zeroes are
        // right whatever the architecture's order of arguments.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone,
                0 as c_ulong,
                0 as c_ulong,
                0 as c_ulong,
                0 as c_ulong,
                0 as c_ulong,
            )
        };
        if pid == 0 {
            // Should `child` panic, the copy must not unwind into its caller's frames.
            let _guard = ExitOnDrop;
            exit(child());
        }
        if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(Child { pid: pid as libc::pid_t }) }
    })
}

struct ExitOnDrop;

impl Drop for ExitOnDrop {
    fn drop(&mut self) {
        exit(101);
    }
}

fn exit(status: c_int) -> ! {
    // SAFETY: _exit(2) runs nothing of this process's on its way out.
    unsafe { libc::_exit(status) }
}

/// Calls `run` with all signals blocked in this thread; a thread or process that it starts keeps them so.
pub fn with_signals_blocked<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: `sigset_t` is plain integers; both sets outlive the calls that read and write them. The calls fail
    // only for an unknown `how`.
    let previous = unsafe {
        let mut all: libc::sigset_t = mem::zeroed();
        let mut previous: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut previous);
        previous
    };
    let result = run();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const previous, std::ptr::null_mut()) };
    result
}

/// Moves this process into new namespaces: unshare(2).
pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: no pointer is passed; memory stays shared as it is without CLONE_VM.
    check(unsafe { libc::unshare(flags) })?;
    Ok(())
}

/// Moves this thread into a namespace: setns(2).
pub(crate) fn enter_namespace(fd: BorrowedFd<'_>, kind: c_int) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::setns(fd.as_raw_fd(), kind) })?;
    Ok(())
}

/// Makes the process that `command` starts enter `namespaces` before it runs its program.
pub(crate) fn enter_before_exec(command: &mut Command, namespaces: Vec<(Arc<OwnedFd>, c_int)>) {
    let enter = move || namespaces.iter().try_for_each(|(fd, kind)| enter_namespace(fd.as_fd(), *kind));
    // SAFETY: between fork and exec, `enter` calls setns(2) and nothing else; an error without a message
    // allocates nothing.
    unsafe { command.pre_exec(enter) };
}

/// Makes this process the only holder of what it has: `keep` becomes descriptor 0, all others are closed, and
/// the working directory is the root.
pub(crate) fn keep_only(keep: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: this is called by a forked process that has nothing but `keep`: no other descriptor of the copied
    // memory is used any more. Where close_range(2) is missing (Linux before 5.9) the descriptors are closed one
    // by one, up to a bound.
    unsafe {
        let kept = own(libc::dup2(keep.as_raw_fd(), 0))?;
        if libc::syscall(libc::SYS_close_range, 1 as c_uint, c_uint::MAX, 0 as c_uint) != 0 {
            for fd in 1..65_536 {
                libc::close(fd);
            }
        }
        libc::chdir(c"/".as_ptr());
        Ok(kept)
    }
}

/// Gives this process a name and has SIGTERM sent to it when its parent's thread ends: prctl(2).
pub(crate) fn become_helper(name: &CStr) {
    // SAFETY: PR_SET_NAME reads a string, which outlives the call; PR_SET_PDEATHSIG takes a number.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as c_ulong);
    }
}

/// A descriptor that is readable once SIGTERM is pending: signalfd(2).
pub(crate) fn termination() -> io::Result<OwnedFd> {
    // SAFETY: `sigset_t` is plain integers, and `set` outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        own(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
    }
}

/// Reads what is there, without an allocation: read(2).
pub(crate) fn read(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `bytes` is writable for the length passed.
    let len = unsafe { libc::read(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    usize::try_from(len).map_err(|_| io::Error::last_os_error())
}

/// Writes all of `bytes` in one call, without an allocation: write(2).
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `bytes` is readable for the length passed.
    let len = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    match usize::try_from(len) {
        Ok(len) if len == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EIO)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// The parent's process id: getppid(2).
pub(crate) fn parent_id() -> libc::pid_t {
    // SAFETY: no pointer is passed.
    unsafe { libc::getppid() }
}

/// Effective user and group id.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: no pointer is passed.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

#[cfg(test)]
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    poll([(fd, libc::POLLIN)], 0).is_ok_and(|[events]| events & libc::POLLIN != 0)
}

#[cfg(test)]
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> bool {
    poll([(fd, libc::POLLOUT)], 0).is_ok_and(|[events]| events & libc::POLLOUT != 0)
}
