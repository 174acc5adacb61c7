//! The kernel's calls as libc has them, each for bytes of any length.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::{sockaddr, socklen_t};
use tapsock::Errno;

use super::Room;

/// Room for any address (`sizeof(struct sockaddr_storage)`).
const ADDRESS_ROOM: usize = 128;

fn checked(result: c_int) -> Result<c_int, Errno> {
    if result >= 0 { Ok(result) } else { Err(last()) }
}

fn checked_len(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last())
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Takes over a descriptor that a call has just made.
pub(super) fn own(new: RawFd) -> OwnedFd {
    // SAFETY: the descriptor is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(new) }
}

pub(super) fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    checked(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) }).map(own)
}

pub(super) fn pair(domain: i32, kind: i32, protocol: i32) -> Result<[OwnedFd; 2], Errno> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two numbers.
    checked(unsafe { libc::socketpair(domain, kind | libc::SOCK_CLOEXEC, protocol, pair.as_mut_ptr()) })?;
    Ok(pair.map(own))
}

pub(super) fn bind(fd: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    let len = address.len() as socklen_t;
    // SAFETY: the kernel reads `len` bytes of the address, no more.
    checked(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr().cast(), len) }).map(drop)
}

pub(super) fn connect(fd: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    let len = address.len() as socklen_t;
    // SAFETY: the kernel reads `len` bytes of the address, no more.
    checked(unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), len) }).map(drop)
}

pub(super) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    checked(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

pub(super) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    checked(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

pub(super) fn accept(fd: BorrowedFd<'_>, flags: i32) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let mut accepted = None;
    let address = named(|address, len| {
        // SAFETY: `named` gives room for `len` bytes.
        accepted = Some(own(checked(unsafe { libc::accept4(fd.as_raw_fd(), address, len, flags) })?));
        Ok(())
    })?;
    Ok((accepted.expect("accept4 has succeeded"), address))
}

pub(super) fn local_address(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    named(|address, len| {
        // SAFETY: `named` gives room for `len` bytes.
        checked(unsafe { libc::getsockname(fd.as_raw_fd(), address, len) }).map(drop)
    })
}

pub(super) fn peer_address(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    named(|address, len| {
        // SAFETY: `named` gives room for `len` bytes.
        checked(unsafe { libc::getpeername(fd.as_raw_fd(), address, len) }).map(drop)
    })
}

/// What a call writes as an address.
fn named(call: impl FnOnce(*mut sockaddr, *mut socklen_t) -> Result<(), Errno>) -> Result<Vec<u8>, Errno> {
    let mut address = vec![0; ADDRESS_ROOM];
    let mut len = ADDRESS_ROOM as socklen_t;
    call(address.as_mut_ptr().cast(), &mut len)?;
    address.truncate(len as usize);
    Ok(address)
}

/// The parts of a message that is sent.
pub(super) struct Sent<'a> {
    pub(super) data: &'a [u8],
    pub(super) control: Vec<u8>,
    pub(super) to: Option<&'a [u8]>,
}

/// A part of a `struct msghdr`.
fn iov_of(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Sends them all in one call. Gives how many bytes went of each.
pub(super) fn send_many(fd: BorrowedFd<'_>, messages: &[Sent<'_>], flags: i32) -> Result<Vec<usize>, Errno> {
    let mut parts: Vec<_> = messages.iter().map(|message| iov_of(message.data)).collect();
    let headers = messages.iter().zip(&mut parts).map(|(message, part)| header_of(message, part));
    let mut headers: Vec<_> = headers.map(|msg_hdr| libc::mmsghdr { msg_hdr, msg_len: 0 }).collect();
    let count = headers.len() as _;
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: all that the headers point to outlives the call, and is only read.
    let sent = checked(unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags as _) })?;
    Ok(headers[..sent as usize].iter().map(|header| header.msg_len as usize).collect())
}

/// sendto(2), where there are no control messages.
pub(super) fn send(fd: BorrowedFd<'_>, message: &Sent<'_>, flags: i32) -> Result<usize, Errno> {
    if message.control.is_empty() {
        let to = message.to.map_or((ptr::null(), 0), |to| (to.as_ptr().cast(), to.len() as socklen_t));
        let (data, flags) = (message.data, flags | libc::MSG_NOSIGNAL);
        // SAFETY: the kernel reads the data and as many bytes of the address as it is told of, no more.
        return checked_len(unsafe {
            libc::sendto(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), flags, to.0, to.1)
        });
    }
    let mut part = iov_of(message.data);
    let header = header_of(message, &mut part);
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: all that the header points to outlives the call, and is only read.
    checked_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &header, flags) })
}

fn header_of(message: &Sent<'_>, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: a msghdr of zeros is one without anything.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(to) = message.to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len() as socklen_t;
    }
    (header.msg_iov, header.msg_iovlen) = (part, 1);
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len();
    }
    header
}

/// What has come, as bytes.
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) data: Vec<u8>,
    pub(crate) from: Vec<u8>,
    pub(crate) flags: i32,
    pub(crate) control: Vec<u8>,
}

/// Receives as many as there are places for, in one call.
pub(super) fn recv_many(fd: BorrowedFd<'_>, rooms: &[Room], flags: i32) -> Result<Vec<Received>, Errno> {
    let mut places: Vec<_> = rooms.iter().map(Place::new).collect();
    let mut headers: Vec<_> =
        places.iter_mut().map(|place| libc::mmsghdr { msg_hdr: place.header(), msg_len: 0 }).collect();
    let count = headers.len() as _;
    let headers_at = headers.as_mut_ptr();
    // SAFETY: name, data and control have the room that the headers say, and outlive the call.
    let call = unsafe { libc::recvmmsg(fd.as_raw_fd(), headers_at, count, flags as _, ptr::null_mut()) };
    let received = checked(call)? as usize;
    let taken = places.into_iter().zip(&headers[..received]);
    Ok(taken.map(|(place, header)| place.taken(&header.msg_hdr, header.msg_len as usize)).collect())
}

pub(crate) fn recv(fd: BorrowedFd<'_>, room: Room, flags: i32) -> Result<Received, Errno> {
    let mut place = Place::new(&room);
    let mut header = place.header();
    // SAFETY: name, data and control have the room that the header says, and outlive the call.
    let len = checked_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) })?;
    Ok(place.taken(&header, len))
}

/// Where a message is put.
struct Place {
    data: Vec<u8>,
    from: Vec<u8>,
    /// In eights, as its headers are aligned.
    control: Vec<u64>,
    control_room: usize,
    part: libc::iovec,
}

impl Place {
    fn new(room: &Room) -> Place {
        Place {
            data: vec![0; room.data],
            from: vec![0; ADDRESS_ROOM],
            control: vec![0; room.control.div_ceil(8)],
            control_room: room.control,
            part: libc::iovec { iov_base: ptr::null_mut(), iov_len: room.data },
        }
    }

    fn header(&mut self) -> libc::msghdr {
        self.part.iov_base = self.data.as_mut_ptr().cast();
        // SAFETY: a msghdr of zeros is one without anything.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_name, header.msg_namelen) = (self.from.as_mut_ptr().cast(), ADDRESS_ROOM as socklen_t);
        (header.msg_iov, header.msg_iovlen) = (&mut self.part, 1);
        if self.control_room > 0 {
            (header.msg_control, header.msg_controllen) =
                (self.control.as_mut_ptr().cast(), self.control_room);
        }
        header
    }

    fn taken(mut self, header: &libc::msghdr, len: usize) -> Received {
        self.data.truncate(len);
        self.from.truncate(header.msg_namelen as usize);
        let control = self.control.iter().flat_map(|eight| eight.to_ne_bytes()).take(header.msg_controllen);
        Received {
            len,
            data: self.data,
            from: self.from,
            flags: header.msg_flags,
            control: control.collect(),
        }
    }
}

pub(super) fn send_file(
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: i64,
    count: usize,
) -> Result<(usize, i64), Errno> {
    let mut offset = offset;
    // SAFETY: the kernel reads and writes the offset.
    let went = checked_len(unsafe { libc::sendfile(fd.as_raw_fd(), file.as_raw_fd(), &mut offset, count) })?;
    Ok((went, offset))
}

pub(crate) fn option(fd: BorrowedFd<'_>, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; room];
    let mut len = room as socklen_t;
    // SAFETY: the value has room for `len` bytes.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut len) })?;
    value.truncate(len as usize);
    Ok(value)
}

pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let len = value.len() as socklen_t;
    // SAFETY: the kernel reads `len` bytes of the value, no more.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) }).map(drop)
}

pub(crate) fn ioctl(fd: BorrowedFd<'_>, request: i32) -> Result<i32, Errno> {
    // Room for what other requests write than those that give an `int`.
    let mut value: [c_int; 16] = [0; 16];
    // SAFETY: the requests that are made here write no more than a `struct ifreq`.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, value.as_mut_ptr()) })?;
    Ok(value[0])
}

pub(super) fn fcntl(fd: BorrowedFd<'_>, command: i32, argument: i32) -> Result<i32, Errno> {
    // SAFETY: no memory is passed.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) })
}

/// select(2), at once. Leaves in the sets what is ready.
pub(super) fn select(sets: &mut [Vec<RawFd>; 3]) -> Result<(), Errno> {
    // SAFETY: an fd_set of zeros is an empty one.
    let mut bits: [libc::fd_set; 3] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    for (bits, set) in bits.iter_mut().zip(&*sets) {
        for fd in set {
            assert!((0..libc::FD_SETSIZE as RawFd).contains(fd), "{fd} does not fit");
            // SAFETY: the number has a place in the set.
            unsafe { libc::FD_SET(*fd, bits) };
            count = count.max(fd + 1);
        }
    }
    let mut at_once = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let [read, write, except] = &mut bits;
    // SAFETY: the kernel reads and writes the three sets and the time.
    checked(unsafe { libc::select(count, read, write, except, &mut at_once) })?;
    for (bits, set) in bits.iter().zip(sets) {
        // SAFETY: the number has a place in the set.
        set.retain(|fd| unsafe { libc::FD_ISSET(*fd, bits) });
    }
    Ok(())
}
