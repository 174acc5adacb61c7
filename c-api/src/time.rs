//! Times and signal masks of calls that wait.

use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

use rustix::io::Errno;

/// How long that is; NULL is for ever. Errors: EINVAL for what is no time.
///
/// # Safety
/// It must be NULL, or point to one.
pub(crate) unsafe fn timespec(time: *const libc::timespec) -> Result<Option<Duration>, Errno> {
    // SAFETY: the caller's promise.
    let Some(time) = (unsafe { time.as_ref() }) else { return Ok(None) };
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    match (secs, nanos) {
        (Ok(secs), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Some(Duration::new(secs, nanos))),
        _ => Err(Errno::INVAL),
    }
}

/// The same. More than a second of microseconds counts as it is, as in Linux.
///
/// # Safety
/// It must be NULL, or point to one.
pub(crate) unsafe fn timeval(time: *const libc::timeval) -> Result<Option<Duration>, Errno> {
    // SAFETY: the caller's promise.
    let Some(time) = (unsafe { time.as_ref() }) else { return Ok(None) };
    match (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec)) {
        (Ok(secs), Ok(micros)) => Ok(Some(Duration::from_secs(secs) + Duration::from_micros(micros))),
        _ => Err(Errno::INVAL),
    }
}

/// The other way round; what is too long is the longest.
pub(crate) fn spec(time: Duration) -> libc::timespec {
    let tv_sec = libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX);
    libc::timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}

/// Does `call` with other signals blocked, where `mask` is not NULL: handlers of those that are not run meanwhile. They do
/// not end the call, which none does.
///
/// # Safety
/// `mask` must be NULL, or point to one.
pub(crate) unsafe fn masked<T>(mask: *const libc::sigset_t, call: impl FnOnce() -> T) -> T {
    if mask.is_null() {
        return call();
    }
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller's promise; what was before is written.
    let before = unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, before.as_mut_ptr());
        Restored(before.assume_init())
    };
    let outcome = call();
    drop(before);
    outcome
}

/// Sets the mask back, whatever has happened.
struct Restored(libc::sigset_t);

impl Drop for Restored {
    fn drop(&mut self) {
        // SAFETY: it was a mask of this thread's before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}
