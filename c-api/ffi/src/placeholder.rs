//! The numbers of sockets: real descriptors of the process, so that none is ever another file's.
//!
//! At each number stands a copy of one descriptor that nothing can be done with: it was opened with O_PATH, so read(2),
//! write(2), poll(2) and their kin say EBADF of it. It has an inode of its own, by which it is known: where another file
//! stands at the number, the program has closed it with libc's close(2).

use core::cell::UnsafeCell;
use core::ffi::c_int;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, fstat, memfd_create, open};
use rustix::io::Errno;

use crate::memory::kernel;

/// Device and inode of a file.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct Identity(u64, u64);

impl Identity {
    fn of(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let stat = fstat(file)?;
        Ok(Identity(stat.st_dev, stat.st_ino))
    }
}

/// What stands at the numbers of sockets.
///
/// ```
/// use rustix::io::Errno;
/// use tapsock_ffi::placeholder::Placeholders;
///
/// let placeholders = Placeholders::new()?;
/// let number = placeholders.take(0)?;
/// assert!(placeholders.holds(number));
/// placeholders.give_back(number);
/// assert!(!placeholders.holds(number));
/// # Ok::<(), Errno>(())
/// ```
pub struct Placeholders {
    file: Arc<OwnedFd>,
    identity: Identity,
}

/// What stands at a number instead, for the program to poll.
struct Shown {
    what: Identity,
    /// What stood there before, and does again in a child of fork.
    instead_of: Arc<OwnedFd>,
}

/// By number, of whichever host. Held while one is put in its place, and while the process forks.
static SHOWN: LazyLock<Mutex<HashMap<c_int, Shown>>> = LazyLock::new(Mutex::default);

fn shown() -> MutexGuard<'static, HashMap<c_int, Shown>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Placeholders {
    /// Errors: EMFILE, ENFILE, ENOMEM; ENOENT without /proc and without `/`.
    pub fn new() -> Result<Self, Errno> {
        let file = match memfd_create("tapsock", MemfdFlags::CLOEXEC) {
            // By its name, so that it can be opened once more with O_PATH.
            Ok(memory) => path(&format!("/proc/self/fd/{}", memory.as_raw_fd())).or_else(|_| path("/"))?,
            Err(_) => path("/")?,
        };
        let identity = Identity::of(file.as_fd())?;
        Ok(Placeholders { file: Arc::new(file), identity })
    }

    /// Whether what stands at `number` was put there by us.
    pub fn holds(&self, number: c_int) -> bool {
        self.is_ours(number, &shown())
    }

    fn is_ours(&self, number: c_int, shown: &HashMap<c_int, Shown>) -> bool {
        let there = identity_at(number);
        there.is_some_and(|there| {
            there == self.identity || shown.get(&number).is_some_and(|shown| shown.what == there)
        })
    }

    /// Puts `mirror` in the place of what stands at `number`: the program polls that. No other thread closes the number
    /// meanwhile, but for one that does so by libc's close.
    ///
    /// Errors: EBADF where it is not ours any more, EBUSY.
    pub fn show(&self, number: c_int, mirror: &OwnedFd) -> Result<(), Errno> {
        let what = Identity::of(mirror.as_fd())?;
        let mut shown = shown();
        if !self.is_ours(number, &shown) {
            return Err(Errno::BADF);
        }
        // SAFETY: it is only asked for its flags.
        let keeps = unsafe { libc::fcntl(number, libc::F_GETFD) } == 0;
        let flags = if keeps { 0 } else { libc::O_CLOEXEC };
        // SAFETY: what stands there is ours.
        kernel(unsafe { libc::dup3(mirror.as_raw_fd(), number, flags) })?;
        shown.insert(number, Shown { what, instead_of: self.file.clone() });
        Ok(())
    }
}

fn identity_at(number: c_int) -> Option<Identity> {
    // SAFETY: it is only asked what it is, and where there is none the kernel says so.
    Identity::of(unsafe { BorrowedFd::borrow_raw(number) }).ok()
}

impl Placeholders {
    /// Takes the lowest number of the process that is free and not below `least`. Errors: EMFILE, EINVAL.
    pub fn take(&self, least: i32) -> Result<i32, Errno> {
        // SAFETY: it makes a number of a descriptor that is ours, and touches no other.
        kernel(unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) })
    }

    /// Takes that number, whatever stands there (dup2). Errors: EBADF, EBUSY.
    pub fn claim(&self, number: i32) -> Result<(), Errno> {
        let mut shown = shown();
        // SAFETY: the program has asked, by dup2, that whatever stands there be closed.
        kernel(unsafe { libc::dup3(self.file.as_raw_fd(), number, libc::O_CLOEXEC) })?;
        shown.remove(&number);
        Ok(())
    }

    /// Frees the number, if what we put there still stands there.
    pub fn give_back(&self, number: i32) {
        let mut shown = shown();
        let ours = self.is_ours(number, &shown);
        shown.remove(&number);
        if ours {
            // SAFETY: we put it there, and nobody else uses it: the socket that had the number is gone.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// The lock that the thread which forks has taken before.
struct Held(UnsafeCell<Option<MutexGuard<'static, HashMap<c_int, Shown>>>>);

// SAFETY: only who holds the lock looks at it.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Before a fork: what is shown stays as it is.
pub fn hold_still() {
    let guard = shown();
    // SAFETY: this thread has the lock.
    unsafe { *HELD.0.get() = Some(guard) };
}

/// After it, in the parent.
pub fn go_on() {
    // SAFETY: this thread, which forked, has the lock, and lets go of it when the guard is out.
    drop(unsafe { (*HELD.0.get()).take() });
}

/// After it, in the child, which has no sockets: where it has the descriptors by which the parent is shown how ready its
/// sockets are, it would read and write the parent's. So the placeholders come back.
pub fn hide() {
    // SAFETY: as above; there is no other thread.
    let Some(mut shown) = (unsafe { (*HELD.0.get()).take() }) else { return };
    for (number, Shown { what, instead_of }) in shown.drain() {
        if identity_at(number) == Some(what) {
            // SAFETY: what stands there is ours. Where it fails there is nobody to tell.
            unsafe { libc::dup3(instead_of.as_raw_fd(), number, libc::O_CLOEXEC) };
        }
    }
}

fn path(name: &str) -> Result<OwnedFd, Errno> {
    open(name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}
