//! `struct sockaddr`, in and out.

use libc::{c_void, sockaddr, socklen_t};
use rustix::io::Errno;
use tapsock::SockAddr;

use crate::ffi::{bytes, bytes_mut, value_mut};

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
    let odd = SockAddr::Other { family, len: raw.len() as u8 };
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

/// Where an address is to be written, cut off where there is no room for it.
pub(crate) struct Room<'a> {
    start: *mut c_void,
    len: &'a mut socklen_t,
}

impl Room<'_> {
    /// Room of `*len` bytes at `start`. Errors: EFAULT, EINVAL for a length that is negative in C.
    ///
    /// # Safety
    /// It must be there, and nobody else's, for as long as this is.
    pub(crate) unsafe fn new(start: *mut sockaddr, len: *mut socklen_t) -> Result<Self, Errno> {
        // SAFETY: the caller's promise.
        let len = unsafe { value_mut(len) }?;
        if i32::try_from(*len).is_err() {
            return Err(Errno::INVAL);
        }
        if start.is_null() && *len > 0 {
            return Err(Errno::FAULT);
        }
        Ok(Room { start: start.cast(), len })
    }

    /// Writes the address, and its true length. Where there is none, its length is zero.
    pub(crate) fn fill(self, address: Option<&SockAddr>) -> Result<(), Errno> {
        // SAFETY: whoever made this promised it.
        let out = unsafe { bytes_mut(self.start, *self.len as usize) }?;
        *self.len = address.map_or(0, |address| address.copy_out(out) as socklen_t);
        Ok(())
    }
}
