//! Sending and receiving.

use core::ffi::{c_int, c_uint, c_void};
use core::slice;
use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use libc::{iovec, mmsghdr, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t, timespec};
use rustix::io::Errno;
use tapsock::Host;
use tapsock::bsd::{self, ReceivedMessage, RecvMessage, SendMessage};

use crate::state::owner;
use crate::{address, rights, time};
use tapsock_ffi::memory::{
    IOV_MAX, Room, answer, are_apart, bytes, bytes_mut, kernel, parts, places, sources, value, value_mut,
};

/// As send(2). A stream that is shut says EPIPE; no SIGPIPE is raised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_send(
    sockid: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { tapsock_sendto(sockid, data, len, flags, core::ptr::null(), 0) }
}

/// As sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_sendto(
    sockid: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::sendto(sockid, data, len, flags, address, address_len) });
        };
        // SAFETY: the caller's promise.
        let (data, to) = unsafe { (bytes(data, len)?, address::read_destination(address, address_len)?) };
        count(bsd::sendto(&at.host, sockid, data, flags, to.as_ref()))
    })
}

/// As sendmsg(2). What is passed by SCM_RIGHTS may be of both kinds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_sendmsg(sockid: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => unsafe { send_message(&at.host, sockid, value(message)?, flags) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::sendmsg(sockid, message, flags) }),
    })
}

/// As sendmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_sendmmsg(
    sockid: c_int,
    messages: *mut mmsghdr,
    len: c_uint,
    flags: c_int,
) -> c_int {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::sendmmsg(sockid, messages, len, flags) });
        };
        // SAFETY: the caller's promise.
        let messages = unsafe { headers(messages, len) }?;
        let mut sent = 0;
        for message in messages {
            // SAFETY: the caller's promise.
            match unsafe { send_message(&at.host, sockid, &message.msg_hdr, flags) } {
                Ok(went) => message.msg_len = went as c_uint,
                Err(errno) if sent == 0 => return Err(errno),
                Err(_) => break,
            }
            sent += 1;
        }
        Ok(sent)
    })
}

/// As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    answer(|| match owner(fd) {
        // SAFETY: the caller's promise.
        Some(at) => count(bsd::write(&at.host, fd, unsafe { bytes(data, len) }?)),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::write(fd, data, len) }),
    })
}

/// As writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_writev(fd: c_int, iov: *const iovec, len: c_int) -> ssize_t {
    answer(|| {
        let Some(at) = owner(fd) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::writev(fd, iov, len) });
        };
        let len = usize::try_from(len).map_err(|_| Errno::INVAL)?;
        // SAFETY: the caller's promise.
        let data = unsafe { sources(parts(iov, len, Errno::INVAL)?) }?;
        count(bsd::writev(&at.host, fd, &data))
    })
}

/// As recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_recv(
    sockid: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { tapsock_recvfrom(sockid, data, len, flags, core::ptr::null_mut(), core::ptr::null_mut()) }
}

/// As recvfrom(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_recvfrom(
    sockid: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::recvfrom(sockid, data, len, flags, address, address_len) });
        };
        // SAFETY: the caller's promise.
        let into = unsafe { bytes_mut(data, len) }?;
        if address.is_null() {
            return count(bsd::recv(&at.host, sockid, into, flags));
        }
        let (received, from) = bsd::recvfrom(&at.host, sockid, into, flags)?;
        // SAFETY: the caller's promise. Where there is no place for it, what was received is lost, as in Linux.
        unsafe { Room::new(address, address_len) }?.fill(from.map(|from| from.as_bytes()).as_deref())?;
        Ok(received as ssize_t)
    })
}

/// As recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_recvmsg(sockid: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => unsafe { receive_message(&at.host, sockid, value_mut(message)?, flags) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::recvmsg(sockid, message, flags) }),
    })
}

/// As recvmmsg(2). `timeout` is looked at after each message, as on Linux; what is left of it is written back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_recvmmsg(
    sockid: c_int,
    messages: *mut mmsghdr,
    len: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::recvmmsg(sockid, messages, len, flags, timeout) });
        };
        // SAFETY: the caller's promise.
        let (limit, messages) = unsafe { (time::timespec(timeout)?, headers(messages, len)?) };
        let began = Instant::now();
        let received = receive_messages(&at.host, sockid, messages, flags, limit)?;
        // SAFETY: the caller's promise.
        if let (Some(limit), Some(left)) = (limit, unsafe { timeout.as_mut() }) {
            *left = time::spec(limit.saturating_sub(began.elapsed()));
        }
        Ok(received)
    })
}

/// As read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_read(fd: c_int, data: *mut c_void, len: size_t) -> ssize_t {
    answer(|| match owner(fd) {
        // SAFETY: the caller's promise.
        Some(at) => count(bsd::read(&at.host, fd, unsafe { bytes_mut(data, len) }?)),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::read(fd, data, len) }),
    })
}

/// As readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_readv(fd: c_int, iov: *const iovec, len: c_int) -> ssize_t {
    answer(|| {
        let Some(at) = owner(fd) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::readv(fd, iov, len) });
        };
        let len = usize::try_from(len).map_err(|_| Errno::INVAL)?;
        // SAFETY: the caller's promise.
        let mut into = unsafe { places(parts(iov, len, Errno::INVAL)?) }?;
        count(bsd::readv(&at.host, fd, &mut into))
    })
}

/// As sendfile(2): from a file of the kernel's to a socket, or between two of the kernel's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_sendfile(
    sockid: c_int,
    file: c_int,
    offset: *mut off_t,
    len: size_t,
) -> ssize_t {
    answer(|| {
        let from_ours = owner(file).is_some();
        let Some(at) = owner(sockid) else {
            if from_ours {
                return Err(Errno::INVAL);
            }
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::sendfile(sockid, file, offset, len) });
        };
        if from_ours {
            return Err(if offset.is_null() { Errno::INVAL } else { Errno::SPIPE });
        }
        if file < 0 {
            return Err(Errno::BADF);
        }
        // SAFETY: the number is the program's, and where nothing stands there the kernel says so.
        let file = unsafe { BorrowedFd::borrow_raw(file) };
        // SAFETY: the caller's promise.
        let offset = unsafe { offset.as_mut() };
        count(bsd::sendfile(&at.host, sockid, file, offset, len))
    })
}

fn count(moved: Result<usize, Errno>) -> Result<ssize_t, Errno> {
    moved.map(|moved| moved as ssize_t)
}

/// So many of them, 1024 at the most. Errors: EFAULT.
///
/// # Safety
/// They must be there, and nobody else's.
unsafe fn headers<'a>(messages: *mut mmsghdr, len: c_uint) -> Result<&'a mut [mmsghdr], Errno> {
    match (len as usize).min(IOV_MAX) {
        0 => Ok(&mut []),
        _ if messages.is_null() => Err(Errno::FAULT),
        // SAFETY: the caller's promise.
        len => Ok(unsafe { slice::from_raw_parts_mut(messages, len) }),
    }
}

/// # Safety
/// What the message points to must be there.
unsafe fn send_message(host: &Host, sockid: c_int, message: &msghdr, flags: c_int) -> Result<ssize_t, Errno> {
    let name_len = i32::try_from(message.msg_namelen).map_err(|_| Errno::INVAL)? as socklen_t;
    let name = if name_len == 0 { core::ptr::null() } else { message.msg_name };
    // SAFETY: the caller's promise. What is longer than any address is cut, as in Linux.
    let (iov, control, address) = unsafe {
        (
            sources(parts(message.msg_iov, message.msg_iovlen, Errno::MSGSIZE)?)?,
            bytes(message.msg_control, message.msg_controllen)?,
            address::read_destination(name.cast(), name_len.min(128))?,
        )
    };
    let split = rights::split(control);
    let (control, rights) = split.as_ref().map_or((control, &[][..]), |split| (&split.rest, &split.rights));
    let message = SendMessage { iov: &iov, control, address: address.as_ref(), rights };
    count(bsd::sendmsg(host, sockid, &message, flags))
}

/// # Safety
/// What the message points to must be there, and be nobody else's.
unsafe fn receive_message(
    host: &Host,
    sockid: c_int,
    message: &mut msghdr,
    flags: c_int,
) -> Result<ssize_t, Errno> {
    if i32::try_from(message.msg_namelen).is_err() {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's promise.
    let mut into = unsafe { places(parts(message.msg_iov, message.msg_iovlen, Errno::MSGSIZE)?) }?;
    let control_room = if message.msg_control.is_null() { 0 } else { message.msg_controllen };
    let mut wanted = RecvMessage { iov: &mut into, control_room };
    let received = bsd::recvmsg(host, sockid, &mut wanted, flags)?;
    let len = received.len as ssize_t;
    // SAFETY: the caller's promise.
    unsafe { tell(message, received) }?;
    Ok(len)
}

/// Notes what has come beside the data. Errors: EFAULT.
///
/// # Safety
/// What the message points to must be there, and be nobody else's.
unsafe fn tell(message: &mut msghdr, received: ReceivedMessage) -> Result<(), Errno> {
    rights::hand_over(received.passed);
    if !message.msg_name.is_null() {
        let (start, len) = (message.msg_name.cast(), &raw mut message.msg_namelen);
        // SAFETY: the caller's promise.
        unsafe { Room::new(start, len) }?
            .fill(received.address.map(|address| address.as_bytes()).as_deref())?;
    }
    // SAFETY: the caller's promise; there is no more of it than there is room for.
    let control = unsafe { bytes_mut(message.msg_control, received.control.len()) }?;
    control.copy_from_slice(&received.control);
    message.msg_controllen = received.control.len();
    message.msg_flags = received.flags;
    Ok(())
}

/// As recvmmsg(2). The pure call of `bsd` would want all messages at once; theirs are in C's hands, where several may have
/// the same place for their data: those are received one after the other.
fn receive_messages(
    host: &Host,
    sockid: c_int,
    messages: &mut [mmsghdr],
    mut flags: c_int,
    timeout: Option<Duration>,
) -> Result<c_int, Errno> {
    let began = Instant::now();
    let mut told = 0;
    loop {
        let rest = &mut messages[told..];
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        match receive_some(host, sockid, rest, flags, left) {
            Err(errno) if told == 0 => return Err(errno),
            // As Linux: what was received before counts.
            Err(_) => break,
            Ok((count, Rest::Waits)) => told += count,
            Ok((count, Rest::Nothing)) => {
                told += count;
                break;
            }
        }
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            break;
        }
        if flags & bsd::MSG_WAITFORONE != 0 {
            flags |= bsd::MSG_DONTWAIT;
        }
    }
    Ok(told as c_int)
}

/// Whether there are messages that were not tried.
enum Rest {
    Waits,
    Nothing,
}

/// The same, as far as messages have places of their own: how many were received.
fn receive_some(
    host: &Host,
    sockid: c_int,
    messages: &mut [mmsghdr],
    flags: c_int,
    timeout: Option<Duration>,
) -> Result<(usize, Rest), Errno> {
    let (mut iovs, mut all) = (Vec::with_capacity(messages.len()), Vec::new());
    for message in messages.iter() {
        let header = &message.msg_hdr;
        // SAFETY: whoever called recvmmsg promised it.
        let parts = unsafe { parts(header.msg_iov, header.msg_iovlen, Errno::MSGSIZE) };
        let place = parts.and_then(|parts| {
            all.extend_from_slice(parts);
            // SAFETY: likewise; whether a part of another message is among them is seen below.
            if iovs.is_empty() || are_apart(&all) { unsafe { places(parts) } } else { Err(Errno::AGAIN) }
        });
        match place {
            Ok(iov) => iovs.push(iov),
            Err(errno) if iovs.is_empty() => return Err(errno),
            Err(_) => break,
        }
    }
    let wanted_of = |(iov, message): (_, &mmsghdr)| {
        let header = &message.msg_hdr;
        let control_room = if header.msg_control.is_null() { 0 } else { header.msg_controllen };
        RecvMessage { iov, control_room }
    };
    let tried = iovs.len();
    let iovs = iovs.iter_mut().map(Vec::as_mut_slice);
    let mut wanted: Vec<RecvMessage<'_, '_>> = iovs.zip(messages.iter()).map(wanted_of).collect();
    let received = bsd::recvmmsg(host, sockid, &mut wanted, flags, timeout)?;
    let count = received.len();
    for (at, (message, received)) in messages.iter_mut().zip(received).enumerate() {
        message.msg_len = received.len as c_uint;
        // SAFETY: whoever called recvmmsg promised it.
        if let Err(errno) = unsafe { tell(&mut message.msg_hdr, received) } {
            return if at == 0 { Err(errno) } else { Ok((at, Rest::Nothing)) };
        }
    }
    let waits = count == tried && count < messages.len();
    Ok((count, if waits { Rest::Waits } else { Rest::Nothing }))
}
