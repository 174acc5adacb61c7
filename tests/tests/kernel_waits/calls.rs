//! Calls of libc, with what they give or their errno.

use std::ffi::c_int;
use std::mem::zeroed;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use libc::{sockaddr, socklen_t};

use super::rows::{Call, Call::*};

/// What a call of libc gave, or its errno.
pub fn checked(result: isize) -> Result<usize, c_int> {
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap())
}

pub fn named(
    socket: RawFd,
    address: &[u8],
    call: unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int,
) -> Result<usize, c_int> {
    // SAFETY: bind and connect read as many bytes of the address as they are told of.
    checked(unsafe { call(socket, address.as_ptr().cast(), address.len() as socklen_t) } as isize)
}

pub fn connect(socket: RawFd, address: &[u8]) -> Result<usize, c_int> {
    named(socket, address, libc::connect)
}

pub fn name_of(socket: RawFd) -> Vec<u8> {
    let (mut address, mut len) = (vec![0u8; 128], 128);
    // SAFETY: there is room for `len` bytes.
    checked(unsafe { libc::getsockname(socket, address.as_mut_ptr().cast(), &mut len) } as isize).unwrap();
    address.truncate(len as usize);
    address
}

pub fn accept(socket: RawFd) -> Result<OwnedFd, c_int> {
    // SAFETY: no memory is passed.
    let accepted = unsafe { libc::accept(socket, ptr::null_mut(), ptr::null_mut()) };
    // SAFETY: the descriptor is new, and nobody else's.
    checked(accepted as isize).map(|new| unsafe { OwnedFd::from_raw_fd(new as RawFd) })
}

pub fn send(socket: RawFd, data: &[u8], flags: c_int) -> Result<usize, c_int> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads the data.
    checked(unsafe { libc::send(socket, data.as_ptr().cast(), data.len(), flags) })
}

pub fn recv(socket: RawFd, room: &mut [u8], flags: c_int) -> Result<usize, c_int> {
    // SAFETY: the kernel writes what there is room for.
    checked(unsafe { libc::recv(socket, room.as_mut_ptr().cast(), room.len(), flags) })
}

pub fn set<T>(socket: RawFd, name: c_int, value: T) {
    set_at(socket, libc::SOL_SOCKET, name, value);
}

pub fn set_at<T>(socket: RawFd, level: c_int, name: c_int, value: T) {
    let len = size_of::<T>() as socklen_t;
    // SAFETY: the kernel reads the value.
    let done = unsafe { libc::setsockopt(socket, level, name, ptr::from_ref(&value).cast(), len) };
    checked(done as isize).unwrap();
}

/// Sets both time-outs; of none, they wait for ever.
pub fn time_out(socket: RawFd, time: Duration) {
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let (tv_sec, tv_usec) = (time.as_secs() as _, time.subsec_micros().into());
        set(socket, option, libc::timeval { tv_sec, tv_usec });
    }
}

/// Two parts of some bytes.
pub fn parts(bytes: &mut [u8], at: usize) -> [libc::iovec; 2] {
    let (first, rest) = bytes.split_at_mut(at);
    [first, rest].map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
}

pub fn message(parts: &mut [libc::iovec]) -> libc::mmsghdr {
    // SAFETY: one of zeros is one without anything.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (parts.as_mut_ptr(), parts.len() as _);
    message
}

pub fn accept4(socket: RawFd) -> Result<OwnedFd, c_int> {
    // SAFETY: no memory is passed.
    let accepted = unsafe { libc::accept4(socket, ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) };
    // SAFETY: the descriptor is new, and nobody else's.
    checked(accepted as isize).map(|new| unsafe { OwnedFd::from_raw_fd(new as RawFd) })
}

/// The calls that take one place, beside recv and send.
pub fn plain(call: Call, socket: RawFd, room: &mut [u8], data: &[u8]) -> Result<usize, c_int> {
    let (at, len) = (data.as_ptr().cast(), data.len());
    // SAFETY: the kernel reads the data, or writes what there is room for.
    checked(unsafe {
        match call {
            Recvfrom => {
                let (mut from, mut size) = ([0u8; 128], 128);
                let (into, from) = (room.as_mut_ptr().cast(), from.as_mut_ptr().cast());
                libc::recvfrom(socket, into, room.len(), 0, from, &mut size)
            }
            Read => libc::read(socket, room.as_mut_ptr().cast(), room.len()),
            Sendto => libc::sendto(socket, at, len, libc::MSG_NOSIGNAL, ptr::null(), 0),
            _ => libc::write(socket, at, len),
        }
    })
}

/// The calls that take parts.
pub fn vectored(call: Call, socket: RawFd, parts: &mut [libc::iovec; 2]) -> Result<usize, c_int> {
    let mut message = message(parts);
    let header = &raw mut message.msg_hdr;
    // SAFETY: the parts outlive the call, and have the room that they say.
    checked(unsafe {
        match call {
            Recvmsg => libc::recvmsg(socket, header, 0),
            Recvmmsg => libc::recvmmsg(socket, &mut message, 1, 0, ptr::null_mut()) as isize,
            Readv => libc::readv(socket, parts.as_ptr(), 2),
            Sendmsg => libc::sendmsg(socket, header, libc::MSG_NOSIGNAL),
            Sendmmsg => libc::sendmmsg(socket, &mut message, 1, libc::MSG_NOSIGNAL as _) as isize,
            _ => libc::writev(socket, parts.as_ptr(), 2),
        }
    })
}
