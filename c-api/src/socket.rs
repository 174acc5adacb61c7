//! Calls on one socket, but for those that move data.

use core::ffi::{c_char, c_int, c_void};

use libc::{sockaddr, socklen_t};
use rustix::io::Errno;
use tapsock::{SockAddr, bsd};

use crate::address;
use crate::state::{default, owner};
use tapsock_ffi::memory::{Room, answer, bytes, bytes_mut, kernel, text, value_mut};

/// As socket(2). ENETDOWN where there is no host.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    answer(|| bsd::socket(&default()?.host, domain, kind, protocol))
}

/// As socketpair(2). ENETDOWN where there is no host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_socketpair(
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    pair: *mut c_int,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { value_mut(pair.cast::<[c_int; 2]>()) }?;
        *out = bsd::socketpair(&default()?.host, domain, kind, protocol)?;
        Ok(0)
    })
}

/// As bind(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_bind(sockid: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => bsd::bind(&at.host, sockid, &unsafe { address::read(address, len) }?).map(|()| 0),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::bind(sockid, address, len) }),
    })
}

/// As listen(2).
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_listen(sockid: c_int, backlog: c_int) -> c_int {
    answer(|| match owner(sockid) {
        Some(at) => bsd::listen(&at.host, sockid, backlog).map(|()| 0),
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::listen(sockid, backlog) }),
    })
}

/// As accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_accept(sockid: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { tapsock_accept4(sockid, address, len, 0) }
}

/// As accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_accept4(
    sockid: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::accept4(sockid, address, len, flags) });
        };
        let (accepted, peer) = bsd::accept4(&at.host, sockid, flags)?;
        if !address.is_null() {
            // SAFETY: the caller's promise.
            let told = unsafe { Room::new(address, len) }.and_then(|room| room.fill(Some(&peer.as_bytes())));
            // Where there is no place for it, the connection is lost, as in Linux.
            if let Err(errno) = told {
                bsd::close(&at.host, accepted)?;
                return Err(errno);
            }
        }
        Ok(accepted)
    })
}

/// As connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_connect(sockid: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => bsd::connect(&at.host, sockid, &unsafe { address::read(address, len) }?).map(|()| 0),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::connect(sockid, address, len) }),
    })
}

/// As shutdown(2).
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_shutdown(sockid: c_int, how: c_int) -> c_int {
    answer(|| match owner(sockid) {
        Some(at) => bsd::shutdown(&at.host, sockid, how).map(|()| 0),
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::shutdown(sockid, how) }),
    })
}

/// As getsockname(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getsockname(
    sockid: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => unsafe { name(address, len, || bsd::getsockname(&at.host, sockid)) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::getsockname(sockid, address, len) }),
    })
}

/// As getpeername(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getpeername(
    sockid: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    answer(|| match owner(sockid) {
        // SAFETY: the caller's promise.
        Some(at) => unsafe { name(address, len, || bsd::getpeername(&at.host, sockid)) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::getpeername(sockid, address, len) }),
    })
}

/// # Safety
/// As [`Room::new`].
unsafe fn name(
    address: *mut sockaddr,
    len: *mut socklen_t,
    ask: impl FnOnce() -> Result<SockAddr, Errno>,
) -> Result<c_int, Errno> {
    let told = ask()?;
    // SAFETY: the caller's promise.
    unsafe { Room::new(address, len) }?.fill(Some(&told.as_bytes()))?;
    Ok(0)
}

/// As getsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getsockopt(
    sockid: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::getsockopt(sockid, level, option, value, len) });
        };
        // SAFETY: the caller's promise.
        let len = unsafe { value_mut(len) }?;
        if i32::try_from(*len).is_err() {
            return Err(Errno::INVAL);
        }
        let told = match (level, option) {
            // The memory for the value names the group that it is about.
            (bsd::SOL_IP, bsd::IP_MSFILTER) | (bsd::SOL_IP | bsd::SOL_IPV6, bsd::MCAST_MSFILTER) => {
                // SAFETY: the caller's promise.
                let asked = unsafe { bytes(value, *len as usize) }?;
                bsd::getsockopt_about(&at.host, sockid, level, option, asked)?
            }
            _ => bsd::getsockopt(&at.host, sockid, level, option)?,
        };
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(value, *len as usize) }?;
        *len = told.copy_out(out)? as socklen_t;
        Ok(0)
    })
}

/// As setsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_setsockopt(
    sockid: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    answer(|| {
        let Some(at) = owner(sockid) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::setsockopt(sockid, level, option, value, len) });
        };
        let len = i32::try_from(len).map_err(|_| Errno::INVAL)? as usize;
        // SAFETY: the caller's promise.
        let value = unsafe { bytes(value, len) }?;
        bsd::setsockopt(&at.host, sockid, level, option, value).map(|()| 0)
    })
}

/// As unlink(2), for path names of the default host's local sockets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_unlink(path: *const c_char) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { text(path) }.ok_or(Errno::FAULT)?;
        bsd::unlink(&default()?.host, path).map(|()| 0)
    })
}
