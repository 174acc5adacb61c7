//! `struct sockaddr`, in and out.

use libc::{sockaddr, socklen_t};
use rustix::io::Errno;
use tapsock::SockAddr;

use tapsock_ffi::memory::bytes;

/// The longest address: `sizeof(struct sockaddr_storage)`.
const LEN_MAX: usize = 128;

/// The address at `start`. Errors: EINVAL where its length suits no family, EFAULT.
///
/// # Safety
/// So many bytes must be there, or `start` be NULL.
pub(crate) unsafe fn read(start: *const sockaddr, len: socklen_t) -> Result<SockAddr, Errno> {
    // SAFETY: the caller's promise.
    SockAddr::from_bytes(unsafe { raw(start, len) }?)
}

/// The address that a datagram is sent to, where there is one. One that makes no sense is left to the socket: those that
/// are connected do not look at it. Errors: EINVAL where it is longer than any, EFAULT.
///
/// # Safety
/// So many bytes must be there, or `start` be NULL.
pub(crate) unsafe fn read_destination(
    start: *const sockaddr,
    len: socklen_t,
) -> Result<Option<SockAddr>, Errno> {
    if start.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let raw = unsafe { raw(start, len) }?;
    let family = raw.first_chunk().map_or(0, |family| u16::from_ne_bytes(*family));
    let odd = SockAddr::Other { family, len: raw.len() as u8, as_v4: None };
    Ok(Some(SockAddr::from_bytes(raw).unwrap_or(odd)))
}

/// # Safety
/// As [`read`].
unsafe fn raw<'a>(start: *const sockaddr, len: socklen_t) -> Result<&'a [u8], Errno> {
    match len as usize {
        len if len > LEN_MAX => Err(Errno::INVAL),
        // SAFETY: the caller's promise.
        len => unsafe { bytes(start.cast(), len) },
    }
}
