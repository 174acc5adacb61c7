//! Results as C knows them, and memory that C points to.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::slice;
use std::io::{IoSlice, IoSliceMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{iovec, sockaddr, socklen_t, ssize_t};
use rustix::io::Errno;

/// What a call returns that has failed.
pub trait Fails: Copy + PartialEq {
    /// That value.
    const FAILED: Self;
}

impl Fails for c_int {
    const FAILED: c_int = -1;
}

impl Fails for ssize_t {
    const FAILED: ssize_t = -1;
}

impl<T> Fails for *mut T {
    const FAILED: *mut T = core::ptr::null_mut();
}

/// Zero, as the calls about interfaces have it.
impl Fails for u32 {
    const FAILED: u32 = 0;
}

/// Makes a call, and says how it ended as C has it: the value, or the failure and errno. No panic leaves it: that is
/// ENOTRECOVERABLE.
pub fn answer<T: Fails>(call: impl FnOnce() -> Result<T, Errno>) -> T {
    let errno = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return value,
        Ok(Err(errno)) => errno,
        Err(_) => Errno::NOTRECOVERABLE,
    };
    set_errno(errno);
    T::FAILED
}

/// What libc has answered.
pub fn kernel<T: Fails>(returned: T) -> Result<T, Errno> {
    if returned == T::FAILED { Err(errno()) } else { Ok(returned) }
}

/// Sets the errno of this thread.
pub fn set_errno(errno: Errno) {
    // SAFETY: the thread's own errno is always there.
    unsafe { *libc::__errno_location() = errno.raw_os_error() }
}

fn errno() -> Errno {
    // SAFETY: the thread's own errno is always there.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Bytes that one call moves at most: Linux's MAX_RW_COUNT.
const LEN_MAX: usize = 0x7fff_f000;
/// Linux's UIO_MAXIOV.
pub const IOV_MAX: usize = 1024;

/// The bytes at `start`, to be read. Errors: EFAULT where that is NULL and there are some.
///
/// # Safety
/// They must be there for as long as they are used.
pub unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match len.min(LEN_MAX) {
        0 => Ok(&[]),
        _ if start.is_null() => Err(Errno::FAULT),
        // SAFETY: the caller's promise; a slice of u8 has no alignment.
        len => Ok(unsafe { slice::from_raw_parts(start.cast(), len) }),
    }
}

/// The bytes at `start`, to be written. Errors: EFAULT where that is NULL and there are some.
///
/// # Safety
/// They must be there, and nobody else's, for as long as they are used.
pub unsafe fn bytes_mut<'a>(start: *mut c_void, len: usize) -> Result<&'a mut [u8], Errno> {
    match len.min(LEN_MAX) {
        0 => Ok(&mut []),
        _ if start.is_null() => Err(Errno::FAULT),
        // SAFETY: the caller's promise; a slice of u8 has no alignment.
        len => Ok(unsafe { slice::from_raw_parts_mut(start.cast(), len) }),
    }
}

/// The parts at `start`. Errors: `too_many` for more than 1024, EFAULT, EINVAL for a length that is negative in C.
///
/// # Safety
/// They must be there, and what they point to, for as long as they are used.
pub unsafe fn parts<'a>(start: *const iovec, count: usize, too_many: Errno) -> Result<&'a [iovec], Errno> {
    if count > IOV_MAX {
        return Err(too_many);
    }
    if count == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's promise.
    let parts = unsafe { slice::from_raw_parts(start, count) };
    if parts.iter().any(|part| isize::try_from(part.iov_len).is_err()) {
        return Err(Errno::INVAL);
    }
    Ok(parts)
}

/// What `pointer` points to. Errors: EFAULT.
///
/// # Safety
/// It must be NULL, or point to a `T` that stays as it is.
pub unsafe fn value<'a, T>(pointer: *const T) -> Result<&'a T, Errno> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(Errno::FAULT)
}

/// What `pointer` points to, to be changed. Errors: EFAULT.
///
/// # Safety
/// It must be NULL, or point to a `T` that is nobody else's.
pub unsafe fn value_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T, Errno> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(Errno::FAULT)
}

/// The text at `start`; `None` for NULL.
///
/// # Safety
/// It must be NULL, or a string that ends with a zero byte and stays as it is.
pub unsafe fn text<'a>(start: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { CStr::from_ptr(start) }.to_bytes())
}

/// The bytes of the parts, to be read. Errors: EFAULT.
///
/// # Safety
/// The parts must be there for as long as they are used.
pub unsafe fn sources<'a>(parts: &[iovec]) -> Result<Vec<IoSlice<'a>>, Errno> {
    // SAFETY: the caller's promise.
    let source = |part: &iovec| unsafe { bytes(part.iov_base, part.iov_len) };
    parts.iter().map(|part| source(part).map(IoSlice::new)).collect()
}

/// The bytes of the parts, to be written. Errors: EFAULT, also where parts overlap: each is written to by itself.
///
/// # Safety
/// The parts must be there, and nobody else's, for as long as they are used.
pub unsafe fn places<'a>(parts: &[iovec]) -> Result<Vec<IoSliceMut<'a>>, Errno> {
    if !are_apart(parts) {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's promise.
    let place = |part: &iovec| unsafe { bytes_mut(part.iov_base, part.iov_len) };
    parts.iter().map(|part| place(part).map(IoSliceMut::new)).collect()
}

/// Whether no byte is in two of them.
pub fn are_apart<'a>(parts: impl IntoIterator<Item = &'a iovec>) -> bool {
    let filled = parts.into_iter().filter(|part| part.iov_len > 0);
    let mut ranges: Vec<(usize, usize)> = filled
        .map(|part| (part.iov_base.addr(), part.iov_base.addr().saturating_add(part.iov_len)))
        .collect();
    ranges.sort_unstable();
    ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

/// Where an address is to be written, cut off where there is no room for it.
///
/// ```
/// use tapsock_ffi::memory::Room;
///
/// let (mut place, mut len) = ([0_u8; 4], 4);
/// // SAFETY: it is there, and nobody else's.
/// let room = unsafe { Room::new(place.as_mut_ptr().cast(), &mut len) }.unwrap();
/// room.fill(Some(&[1, 2, 3, 4, 5, 6])).unwrap();
/// assert_eq!((place, len), ([1, 2, 3, 4], 6));
/// ```
pub struct Room<'a> {
    start: *mut c_void,
    len: &'a mut socklen_t,
}

impl Room<'_> {
    /// Room of `*len` bytes at `start`. Errors: EFAULT, EINVAL for a length that is negative in C.
    ///
    /// # Safety
    /// It must be there, and nobody else's, for as long as this is.
    pub unsafe fn new(start: *mut sockaddr, len: *mut socklen_t) -> Result<Self, Errno> {
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

    /// Writes the bytes of the address, and its true length. Where there is none, its length is zero. Errors: EFAULT.
    pub fn fill(self, address: Option<&[u8]>) -> Result<(), Errno> {
        // SAFETY: whoever made this promised it.
        let out = unsafe { bytes_mut(self.start, *self.len as usize) }?;
        let address = address.unwrap_or_default();
        let count = address.len().min(out.len());
        out[..count].copy_from_slice(&address[..count]);
        *self.len = address.len() as socklen_t;
        Ok(())
    }
}
