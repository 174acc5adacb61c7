//! System calls, each with its arguments in the shapes of Rust. All unsafe code of the crate is here.

#![allow(unsafe_code)]

use core::time::Duration;
use std::ffi::{CString, c_int, c_short, c_uint, c_void};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// What a TUN device puts before each packet: `struct virtio_net_hdr`.
const VNET_HEADER: usize = 10;

/// What that header says of segments of TCP over IPv4 and IPv6 (`VIRTIO_NET_HDR_GSO_*`).
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;

/// Bytes of a socket address at most.
const ADDRESS_ROOM: usize = size_of::<libc::sockaddr_storage>();

/// The result of a call that returns −1 with errno.
fn checked(value: impl Into<i64>) -> io::Result<i64> {
    match value.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Has writes to a broken connection fail, rather than end the process.
pub(super) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is a disposition of every signal that can be ignored; no handler runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Has the calling thread, and the threads and processes that it makes, run before all others, where a privilege
/// (CAP_SYS_NICE, RLIMIT_RTPRIO) allows that: a script on the kernel is in time then on a machine that is busy.
pub fn hurry() {
    // SAFETY: all zeros are a value of this structure of integers.
    let mut parameters: libc::sched_param = unsafe { zeroed() };
    parameters.sched_priority = 1;
    // SAFETY: the pointer is to the parameters. Where it is refused, all goes on as before.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

/// The id of the calling thread.
pub(super) fn thread_id() -> i32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::gettid() }
}

/// Interrupts what the thread that made it waits for. Calls return EINTR then, or how far they came.
pub(super) struct Alarm {
    timer: libc::timer_t,
}

/// How long after an interruption the next comes: the first is lost where the thread was only about to wait.
const AGAIN: Duration = Duration::from_millis(100);

impl Alarm {
    /// One of the calling thread, not set. It takes SIGALRM for itself.
    pub(super) fn new() -> io::Result<Self> {
        extern "C" fn interrupted(_: c_int) {}
        // SAFETY: all zeros are values of these structures of integers and pointers.
        let (mut action, mut event): (libc::sigaction, libc::sigevent) = unsafe { (zeroed(), zeroed()) };
        // Without SA_RESTART, so that calls end.
        action.sa_sigaction = interrupted as extern "C" fn(c_int) as usize;
        // SAFETY: the handler does nothing, which it may at any time. Whoever started the process may have had the thread
        // hear no signals; all pointers are to values of ours, or null, which asks for nothing.
        unsafe {
            checked(libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()))?;
            let mut alone: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut alone);
            libc::sigaddset(&raw mut alone, libc::SIGALRM);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const alone, ptr::null_mut());
        }
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = thread_id();
        let mut timer = ptr::null_mut();
        // SAFETY: both pointers are to values of ours.
        checked(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) })?;
        Ok(Alarm { timer })
    }

    /// Interrupts when `patience` has passed, and from then on again and again, until it is cleared.
    pub(super) fn set(&self, patience: Duration) {
        // Zero would clear it.
        self.arm(patience.max(Duration::from_nanos(1)), AGAIN);
    }

    /// Interrupts no more.
    pub(super) fn clear(&self) {
        self.arm(Duration::ZERO, Duration::ZERO);
    }

    fn arm(&self, first: Duration, then: Duration) {
        let spec = |time: Duration| libc::timespec {
            tv_sec: time.as_secs() as _,
            tv_nsec: time.subsec_nanos().into(),
        };
        let times = libc::itimerspec { it_value: spec(first), it_interval: spec(then) };
        // SAFETY: the timer lives as long as its owner, and the pointer is to the times. With these it can't fail.
        unsafe { libc::timer_settime(self.timer, 0, &raw const times, ptr::null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: nobody else has the timer.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Makes a TUN device of bare IP whose packets stand behind a virtio header.
pub(super) fn open_tun(name: &str) -> io::Result<OwnedFd> {
    // SAFETY: the path ends with a zero byte.
    let fd =
        unsafe { libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC) };
    let fd = checked(fd)? as c_int;
    // SAFETY: the descriptor was just opened, and nobody else has it.
    let tun = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros are a value of this structure of integers.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as c_short;
    // SAFETY: TUNSETIFF reads and writes an ifreq, which this is.
    checked(unsafe { libc::ioctl(fd, libc::TUNSETIFF as _, &mut request) })?;
    Ok(tun)
}

/// Says whether the device takes merged segments.
pub(super) fn set_offloads(tun: BorrowedFd<'_>, segments: bool) -> io::Result<()> {
    let all = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let offloads: c_uint = if segments { all } else { 0 };
    // SAFETY: TUNSETOFFLOAD takes its flags by value.
    checked(unsafe {
        libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::c_ulong::from(offloads))
    })?;
    Ok(())
}

/// Gives the device a packet, which stands for several segments of TCP where `peer_mss` says how large they are.
pub(super) fn write_packet(tun: BorrowedFd<'_>, packet: &[u8], peer_mss: Option<u16>) -> io::Result<()> {
    let mut header = [0; VNET_HEADER];
    if let Some(mss) = peer_mss {
        let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        header[1] = if is_v6 { GSO_TCPV6 } else { GSO_TCPV4 };
        header[4..6].copy_from_slice(&mss.to_ne_bytes());
    }
    let bytes = [&header, packet].concat();
    // SAFETY: the pointer is to as many bytes as are said.
    checked(unsafe { libc::write(tun.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as i64)?;
    Ok(())
}

/// Reads into `buffer`.
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer is to as many bytes as are said, which are ours alone.
    let len = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    Ok(checked(len as i64)? as usize)
}

/// A packet that passed the device.
pub(super) struct Passed {
    pub(super) len: usize,
    /// When, since 1970.
    pub(super) time: Duration,
    /// Whether the kernel sent it.
    pub(super) is_outgoing: bool,
    /// Whether its checksum was left to the device.
    pub(super) is_checksum_pending: bool,
}

/// A socket that sees all packets of a device, with their times.
pub(super) fn packet_socket(device: &str) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let fd = socket(libc::AF_PACKET, kind, protocol.into())?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    let packets = unsafe { OwnedFd::from_raw_fd(fd) };
    let on = 1i32.to_ne_bytes();
    setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, Some(&on), on.len())?;
    setsockopt(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, Some(&on), on.len())?;
    let room = (8i32 << 20).to_ne_bytes();
    // Without the privilege it is what the machine allows.
    let _ = setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, Some(&room), room.len());
    let name = CString::new(device)?;
    // SAFETY: the name ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros are a value of this structure of integers.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index as c_int;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is of the length that is said.
    checked(unsafe { libc::bind(fd, (&raw const address).cast(), len) })?;
    Ok(packets)
}

/// Takes a packet that the socket saw; `None` where there is none.
pub(super) fn receive_packet(packets: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Passed>> {
    // SAFETY: all zeros are a value of these structures of integers and pointers.
    let (mut address, mut header): (libc::sockaddr_ll, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut control = [0u64; 32];
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    header.msg_name = (&raw mut address).cast();
    header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    // SAFETY: each pointer of the header is to as many bytes as it says, which are ours alone and outlive the call.
    let len = unsafe { libc::recvmsg(packets.as_raw_fd(), &raw mut header, 0) };
    let len = match checked(len as i64) {
        Ok(len) => len as usize,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    let used = header.msg_controllen.min(size_of_val(&control));
    let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).take(used).collect();
    let mut passed = Passed {
        len,
        time: Duration::ZERO,
        is_outgoing: address.sll_pkttype == PACKET_OUTGOING,
        is_checksum_pending: false,
    };
    for message in tapsock_sockets::control::Messages::new(&bytes).filter_map(Result::ok) {
        let word = |index: usize| {
            message.payload.get(index * 8..index * 8 + 8).and_then(|word| word.try_into().ok())
        };
        match (message.level, message.kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                let [secs, nanos] = [0, 1].map(|index| word(index).map_or(0, u64::from_ne_bytes));
                passed.time = Duration::new(secs, nanos as u32);
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                let status = message.payload.first_chunk().map_or(0, |status| u32::from_ne_bytes(*status));
                passed.is_checksum_pending = status & CHECKSUM_NOT_READY != 0;
            }
            _ => {}
        }
    }
    Ok(Some(passed))
}

/// Type of a packet that the machine sends (packet(7)).
const PACKET_OUTGOING: u8 = 4;
/// `TP_STATUS_CSUMNOTREADY`.
const CHECKSUM_NOT_READY: u32 = 1 << 3;

pub(super) fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<i32> {
    // SAFETY: it takes numbers.
    Ok(checked(unsafe { libc::socket(domain, kind, protocol) })? as i32)
}

pub(super) fn bind(fd: i32, address: &[u8]) -> io::Result<()> {
    // SAFETY: the address is of the length that is said.
    checked(unsafe { libc::bind(fd, address.as_ptr().cast(), address.len() as u32) }).map(drop)
}

pub(super) fn connect(fd: i32, address: &[u8]) -> io::Result<()> {
    // SAFETY: the address is of the length that is said.
    checked(unsafe { libc::connect(fd, address.as_ptr().cast(), address.len() as u32) }).map(drop)
}

pub(super) fn listen(fd: i32, backlog: i32) -> io::Result<()> {
    // SAFETY: it takes numbers.
    checked(unsafe { libc::listen(fd, backlog) }).map(drop)
}

/// The new descriptor, and the peer's address.
pub(super) fn accept(fd: i32, flags: i32) -> io::Result<(i32, Vec<u8>)> {
    let mut address = vec![0; ADDRESS_ROOM];
    let mut len = address.len() as libc::socklen_t;
    // SAFETY: the pointer is to as many bytes as are said.
    let accepted = unsafe { libc::accept4(fd, address.as_mut_ptr().cast(), &raw mut len, flags) };
    let accepted = checked(accepted)? as i32;
    address.truncate(len as usize);
    Ok((accepted, address))
}

pub(super) fn shutdown(fd: i32, how: i32) -> io::Result<()> {
    // SAFETY: it takes numbers.
    checked(unsafe { libc::shutdown(fd, how) }).map(drop)
}

/// Closes a descriptor of the script.
pub(super) fn close(fd: i32) -> io::Result<()> {
    // SAFETY: the script's descriptors are plain numbers; none of them is owned by a value of Rust.
    checked(unsafe { libc::close(fd) }).map(drop)
}

/// What `recvmsg` gave.
pub(super) struct Got {
    pub(super) count: i64,
    pub(super) data: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) flags: i32,
    pub(super) control: Vec<u8>,
}

/// Receives into buffers of these lengths, or where `is_null`, into none; a file or pipe is read.
pub(super) fn receive(
    fd: i32,
    pieces: &[usize],
    flags: i32,
    is_null: bool,
    control_room: usize,
) -> io::Result<Got> {
    let mut buffers: Vec<Vec<u8>> = pieces.iter().map(|len| vec![0; *len]).collect();
    let mut iov: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec {
            iov_base: if is_null { ptr::null_mut() } else { buffer.as_mut_ptr().cast() },
            iov_len: buffer.len(),
        })
        .collect();
    let (mut name, mut control) = (vec![0; ADDRESS_ROOM], vec![0u64; control_room.div_ceil(8)]);
    // SAFETY: all zeros are a value of this structure of integers and pointers.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as libc::socklen_t;
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = iov.len();
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() * 8;
    // SAFETY: each pointer of the header is to as many bytes as it says, which are ours alone and outlive the call; a
    // null pointer is refused by the kernel.
    let received = unsafe { libc::recvmsg(fd, &raw mut header, flags) };
    let count = match checked(received as i64) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            header.msg_controllen = 0;
            header.msg_namelen = 0;
            // SAFETY: as above.
            checked(unsafe { libc::readv(fd, iov.as_ptr(), iov.len() as c_int) } as i64)?
        }
        received => received?,
    };
    name.truncate(header.msg_namelen as usize);
    let control = control.iter().flat_map(|word| word.to_ne_bytes()).take(header.msg_controllen).collect();
    let mut data = buffers.concat();
    data.truncate(count as usize);
    Ok(Got { count, data, name, flags: header.msg_flags, control })
}

/// Sends buffers, or where `is_null`, none of that length; a file or pipe is written.
pub(super) fn send(
    fd: i32,
    pieces: &[Vec<u8>],
    flags: i32,
    is_null: bool,
    to: Option<&[u8]>,
    control: &[u8],
) -> io::Result<i64> {
    let iov: Vec<libc::iovec> = pieces
        .iter()
        .map(|piece| libc::iovec {
            iov_base: if is_null { ptr::null_mut() } else { piece.as_ptr().cast_mut().cast() },
            iov_len: piece.len(),
        })
        .collect();
    // SAFETY: all zeros are a value of this structure of integers and pointers.
    let mut header: libc::msghdr = unsafe { zeroed() };
    if let Some(to) = to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len() as libc::socklen_t;
    }
    header.msg_iov = iov.as_ptr().cast_mut();
    header.msg_iovlen = iov.len();
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len();
    }
    // SAFETY: each pointer of the header is to as many bytes as it says, which outlive the call and are only read; a
    // null pointer is refused by the kernel.
    let sent = unsafe { libc::sendmsg(fd, &raw const header, flags) };
    match checked(sent as i64) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            // SAFETY: as above.
            checked(unsafe { libc::writev(fd, iov.as_ptr(), iov.len() as c_int) } as i64)
        }
        sent => sent,
    }
}

/// An option's value, into `room` bytes, or into a null pointer.
pub(super) fn getsockopt(fd: i32, level: i32, name: i32, room: Option<usize>) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; room.unwrap_or(0)];
    let mut len = room.unwrap_or(4) as libc::socklen_t;
    let into = if room.is_some() { value.as_mut_ptr() } else { ptr::null_mut() };
    // SAFETY: the pointer is to as many bytes as are said, or null, which the kernel refuses.
    checked(unsafe { libc::getsockopt(fd, level, name, into.cast::<c_void>(), &raw mut len) })?;
    value.truncate(len as usize);
    Ok(value)
}

/// Sets an option to `value`, said to be of `len` bytes, or to a null pointer.
pub(super) fn setsockopt(fd: i32, level: i32, name: i32, value: Option<&[u8]>, len: usize) -> io::Result<()> {
    let mut bytes = value.unwrap_or_default().to_vec();
    bytes.resize(bytes.len().max(len), 0);
    let from = if value.is_some() { bytes.as_ptr() } else { ptr::null() };
    // SAFETY: the pointer is to at least as many bytes as are said, or null, which the kernel refuses.
    checked(unsafe { libc::setsockopt(fd, level, name, from.cast::<c_void>(), len as u32) }).map(drop)
}

pub(super) fn fcntl(fd: i32, command: i32, argument: i32) -> io::Result<i64> {
    // SAFETY: the commands of scripts take numbers.
    checked(unsafe { libc::fcntl(fd, command, argument) })
}

/// An ioctl with a pointer to an `int`.
pub(super) fn ioctl(fd: i32, request: i32, value: i32) -> io::Result<(i64, i32)> {
    let mut room = [0u64; 16];
    room[0] = u64::from(value as u32);
    // SAFETY: the requests of scripts read and write an int, or a structure for which there is room.
    let result = checked(unsafe { libc::ioctl(fd, request as u32 as _, room.as_mut_ptr()) })?;
    Ok((result, room[0] as i32))
}

/// The `revents`, and how many are not zero.
pub(super) fn poll(fds: &[(i32, u16)], timeout: i32) -> io::Result<(i64, Vec<u16>)> {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|(fd, events)| libc::pollfd { fd: *fd, events: *events as c_short, revents: 0 })
        .collect();
    // SAFETY: the pointer is to as many entries as are said.
    let count = checked(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) })?;
    Ok((count, polled.iter().map(|entry| entry.revents as u16).collect()))
}

pub(super) fn epoll_create() -> io::Result<i32> {
    // SAFETY: it takes a number.
    Ok(checked(unsafe { libc::epoll_create1(0) })? as i32)
}

pub(super) fn epoll_control(epoll: i32, operation: i32, fd: i32, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the pointer is to an event.
    checked(unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) }).map(drop)
}

pub(super) fn epoll_wait(epoll: i32, max: i32, timeout: i32) -> io::Result<Vec<(u32, u64)>> {
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; usize::try_from(max).unwrap_or(0)];
    // SAFETY: the pointer is to as many events as are said; a number that is not above zero is refused.
    let count = checked(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), max, timeout) })?;
    events.truncate(count as usize);
    Ok(events.iter().map(|event| (event.events, event.u64)).collect())
}

pub(super) fn pipe() -> io::Result<[i32; 2]> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two ints.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), 0) })?;
    Ok(ends)
}

pub(super) fn splice(from: i32, to: i32, len: usize, flags: u32) -> io::Result<i64> {
    // SAFETY: null offsets are allowed for sockets and pipes.
    checked(unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), len, flags) } as i64)
}

/// What was sent, and the offset after it.
pub(super) fn send_file(to: i32, from: i32, offset: Option<u64>, count: usize) -> io::Result<(i64, u64)> {
    let mut at = offset.unwrap_or(0) as libc::off_t;
    let pointer = if offset.is_some() { &raw mut at } else { ptr::null_mut() };
    // SAFETY: the pointer is to an offset, or null, which is allowed.
    let sent = checked(unsafe { libc::sendfile(to, from, pointer, count) } as i64)?;
    Ok((sent, at as u64))
}

pub(super) fn open(path: &[u8], flags: i32) -> io::Result<i32> {
    let path = CString::new(path)?;
    // SAFETY: the path ends with a zero byte.
    Ok(checked(unsafe { libc::open(path.as_ptr(), flags, 0o600) })? as i32)
}
