//! The kernel's calls as libc has them, each for bytes of any length.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{sockaddr, socklen_t};
use tapsock::Errno;

use super::Message;

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
        let new = checked(unsafe { libc::accept4(fd.as_raw_fd(), address, len, flags) })?;
        // SAFETY: the descriptor is new, and nobody else's.
        accepted = Some(unsafe { OwnedFd::from_raw_fd(new) });
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

pub(super) fn send(fd: BorrowedFd<'_>, data: &[u8], flags: i32, to: Option<&[u8]>) -> Result<usize, Errno> {
    let (address, len) = to.map_or((std::ptr::null(), 0), |to| (to.as_ptr().cast(), to.len() as socklen_t));
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads the data and `len` bytes of the address, no more.
    checked_len(unsafe {
        libc::sendto(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), flags, address, len)
    })
}

pub(super) fn recv(fd: BorrowedFd<'_>, max: usize, flags: i32) -> Result<Message, Errno> {
    let (mut data, mut from) = (vec![0; max], vec![0; ADDRESS_ROOM]);
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: max };
    // SAFETY: a msghdr of zeros is one without anything.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = from.as_mut_ptr().cast();
    header.msg_namelen = ADDRESS_ROOM as socklen_t;
    (header.msg_iov, header.msg_iovlen) = (&mut iov, 1);
    // SAFETY: name and data have the room that the header says, and outlive the call.
    let len = checked_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) })?;
    data.truncate(len);
    from.truncate(header.msg_namelen as usize);
    Ok(Message { data, len, from, flags: header.msg_flags })
}

pub(super) fn option(fd: BorrowedFd<'_>, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; room];
    let mut len = room as socklen_t;
    // SAFETY: the value has room for `len` bytes.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut len) })?;
    value.truncate(len as usize);
    Ok(value)
}

pub(super) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let len = value.len() as socklen_t;
    // SAFETY: the kernel reads `len` bytes of the value, no more.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) }).map(drop)
}

pub(super) fn ioctl(fd: BorrowedFd<'_>, request: i32) -> Result<i32, Errno> {
    let mut value: c_int = 0;
    // SAFETY: the requests that are made here write one `int`.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, &mut value) })?;
    Ok(value)
}
