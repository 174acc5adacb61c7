//! Sending and receiving. A number that is not of this world is the kernel's: its calls go there.

use core::ffi::{c_int, c_void};
use core::ptr;

use libc::{iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use rustix::io::Errno;
use tapsock_conformance::run::{Call, Message, Output, Receive, Send};
use tapsock_ffi::memory::{Room, answer, bytes, bytes_mut, kernel, parts, places, sources, value, value_mut};

use crate::call::{address_at, owner};
use crate::interface::UserData;
use crate::world::World;

/// As read(2).
pub(crate) unsafe extern "C" fn read(
    userdata: UserData,
    fd: c_int,
    data: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        // SAFETY: the caller's promise.
        Some(world) => unsafe { receive_into(world, fd, data, len, 0) }.map(|(count, _)| count),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::read(fd, data, len) }),
    })
}

/// As readv(2).
pub(crate) unsafe extern "C" fn readv(
    userdata: UserData,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::readv(fd, iov, count) });
        };
        let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
        // SAFETY: the caller's promise.
        let iov = unsafe { parts(iov, count, Errno::INVAL) }?;
        // SAFETY: the caller's promise.
        unsafe { receive(world, iov, plain(fd, 0)) }.map(|(count, _)| count)
    })
}

/// As recv(2).
pub(crate) unsafe extern "C" fn recv(
    userdata: UserData,
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { recvfrom(userdata, fd, data, len, flags, ptr::null_mut(), ptr::null_mut()) }
}

/// As recvfrom(2).
pub(crate) unsafe extern "C" fn recvfrom(
    userdata: UserData,
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::recvfrom(fd, data, len, flags, address, address_len) });
        };
        // SAFETY: the caller's promise.
        let (count, message) = unsafe { receive_into(world, fd, data, len, flags) }?;
        if !address.is_null() {
            // SAFETY: the caller's promise.
            unsafe { Room::new(address, address_len) }?.fill(message.from.as_deref())?;
        }
        Ok(count)
    })
}

/// As recvmsg(2).
pub(crate) unsafe extern "C" fn recvmsg(
    userdata: UserData,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::recvmsg(fd, message, flags) });
        };
        // SAFETY: the caller's promise.
        let header = unsafe { value_mut(message) }?;
        // SAFETY: the caller's promise.
        let iov = unsafe { parts(header.msg_iov, header.msg_iovlen, Errno::MSGSIZE) }?;
        let control_room = if header.msg_control.is_null() { 0 } else { header.msg_controllen };
        // SAFETY: the caller's promise.
        let (count, told) = unsafe { receive(world, iov, Receive { control_room, ..plain(fd, flags) }) }?;
        if !header.msg_name.is_null() {
            let (start, len) = (header.msg_name.cast(), &raw mut header.msg_namelen);
            // SAFETY: the caller's promise.
            unsafe { Room::new(start, len) }?.fill(told.from.as_deref())?;
        }
        // SAFETY: the caller's promise; there is no more of it than there is room for.
        unsafe { bytes_mut(header.msg_control, told.control.len()) }?.copy_from_slice(&told.control);
        header.msg_controllen = told.control.len();
        header.msg_flags = told.flags;
        Ok(count)
    })
}

/// As write(2).
pub(crate) unsafe extern "C" fn write(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        // SAFETY: the caller's promise.
        Some(world) => unsafe { send_from(world, data, len, Send { fd, ..Send::default() }) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::write(fd, data, len) }),
    })
}

/// As writev(2).
pub(crate) unsafe extern "C" fn writev(
    userdata: UserData,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::writev(fd, iov, count) });
        };
        let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
        // SAFETY: the caller's promise.
        let iov = unsafe { parts(iov, count, Errno::INVAL) }?;
        // SAFETY: the caller's promise.
        unsafe { transmit(world, iov, Send { fd, ..Send::default() }) }
    })
}

/// As send(2).
pub(crate) unsafe extern "C" fn send(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { sendto(userdata, fd, data, len, flags, ptr::null(), 0) }
}

/// As sendto(2).
pub(crate) unsafe extern "C" fn sendto(
    userdata: UserData,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::sendto(fd, data, len, flags, address, address_len) });
        };
        let to = match address.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { address_at(address, address_len) }?),
        };
        // SAFETY: the caller's promise.
        unsafe { send_from(world, data, len, Send { fd, flags, to, ..Send::default() }) }
    })
}

/// As sendmsg(2).
pub(crate) unsafe extern "C" fn sendmsg(
    userdata: UserData,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::sendmsg(fd, message, flags) });
        };
        // SAFETY: the caller's promise.
        let header = unsafe { value(message) }?;
        // SAFETY: the caller's promise.
        let (iov, control) = unsafe {
            (
                parts(header.msg_iov, header.msg_iovlen, Errno::MSGSIZE)?,
                bytes(header.msg_control, header.msg_controllen)?.to_vec(),
            )
        };
        let to = match header.msg_name.is_null() || header.msg_namelen == 0 {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { address_at(header.msg_name.cast(), header.msg_namelen) }?),
        };
        // SAFETY: the caller's promise.
        unsafe { transmit(world, iov, Send { fd, flags, to, control, ..Send::default() }) }
    })
}

/// A call that receives, before it is known where to.
fn plain(fd: c_int, flags: c_int) -> Receive {
    Receive { fd, pieces: Vec::new(), flags, is_null: false, control_room: 0, wants_address: true }
}

/// # Safety
/// So many bytes must be there, or `data` be NULL.
unsafe fn receive_into(
    world: &World,
    fd: c_int,
    data: *mut c_void,
    len: size_t,
    flags: c_int,
) -> Result<(ssize_t, Message), Errno> {
    let part = iovec { iov_base: data, iov_len: len };
    // SAFETY: the caller's promise.
    unsafe { receive(world, &[part], plain(fd, flags)) }
}

/// Makes a call that receives into `iov`. Errors: those of the call; EFAULT where bytes came for a NULL.
///
/// # Safety
/// The parts must be there, and nobody else's, or NULL.
unsafe fn receive(world: &World, iov: &[iovec], call: Receive) -> Result<(ssize_t, Message), Errno> {
    let is_null = iov.iter().any(|part| part.iov_base.is_null() && part.iov_len > 0);
    let pieces = iov.iter().map(|part| part.iov_len).collect();
    let outcome = world.call(Call::Receive(Receive { pieces, is_null, ..call }))?;
    let Output::Message(message) = outcome.output else {
        return Ok((outcome.value as ssize_t, Message::default()));
    };
    if !is_null {
        let mut rest = &message.data[..];
        // SAFETY: the caller's promise.
        for mut place in unsafe { places(iov) }? {
            let (here, behind) = rest.split_at(rest.len().min(place.len()));
            place[..here.len()].copy_from_slice(here);
            rest = behind;
        }
    }
    Ok((outcome.value as ssize_t, message))
}

/// # Safety
/// So many bytes must be there, or `data` be NULL.
unsafe fn send_from(world: &World, data: *const c_void, len: size_t, call: Send) -> Result<ssize_t, Errno> {
    let part = iovec { iov_base: data.cast_mut(), iov_len: len };
    // SAFETY: the caller's promise.
    unsafe { transmit(world, &[part], call) }
}

/// Makes a call that sends what is in `iov`. Errors: those of the call.
///
/// # Safety
/// The parts must be there, or NULL.
unsafe fn transmit(world: &World, iov: &[iovec], call: Send) -> Result<ssize_t, Errno> {
    let is_null = iov.iter().any(|part| part.iov_base.is_null() && part.iov_len > 0);
    let pieces = match is_null {
        // What it would send is not known: something.
        true => vec![vec![0]],
        // SAFETY: the caller's promise.
        false => unsafe { sources(iov) }?.iter().map(|piece| piece.to_vec()).collect(),
    };
    world.call(Call::Send(Send { pieces, is_null, ..call })).map(|outcome| outcome.value as ssize_t)
}
