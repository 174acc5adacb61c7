//! The numbers of sockets: real descriptors of the process, so that none is ever another file's.
//!
//! At each number stands a copy of one descriptor that nothing can be done with: it was opened with O_PATH, so read(2),
//! write(2), poll(2) and their kin say EBADF of it. It has an inode of its own, by which it is known: where another file
//! stands at the number, the program has closed it with libc's close(2).

use core::ffi::c_int;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, fstat, memfd_create, open};
use rustix::io::Errno;
use tapsock::Numbers;

use crate::ffi::kernel;

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
pub(crate) struct Placeholders {
    file: OwnedFd,
    identity: Identity,
    /// The numbers at which something else stands that the program may poll.
    mirrors: Mutex<HashMap<c_int, Identity>>,
}

impl Placeholders {
    /// Errors: EMFILE, ENFILE, ENOMEM; ENOENT without /proc and without `/`.
    pub(crate) fn new() -> Result<Self, Errno> {
        let file = match memfd_create("tapsock", MemfdFlags::CLOEXEC) {
            // By its name, so that it can be opened once more with O_PATH.
            Ok(memory) => path(&format!("/proc/self/fd/{}", memory.as_raw_fd())).or_else(|_| path("/"))?,
            Err(_) => path("/")?,
        };
        let identity = Identity::of(file.as_fd())?;
        Ok(Placeholders { file, identity, mirrors: Mutex::default() })
    }

    /// Whether what stands at `number` was put there by us.
    pub(crate) fn holds(&self, number: c_int) -> bool {
        // SAFETY: it is only asked what it is, and where there is none the kernel says so.
        let there = Identity::of(unsafe { BorrowedFd::borrow_raw(number) });
        there.is_ok_and(|there| there == self.identity || self.mirrors().get(&number) == Some(&there))
    }

    /// Puts `mirror` in the place of what stands at `number`: the program polls that. Errors: EBADF, EBUSY.
    pub(crate) fn show(&self, number: c_int, mirror: &OwnedFd) -> Result<(), Errno> {
        let before = self.mirrors().insert(number, Identity::of(mirror.as_fd())?);
        // SAFETY: it is only asked for its flags.
        let keeps = unsafe { libc::fcntl(number, libc::F_GETFD) } == 0;
        let flags = if keeps { 0 } else { libc::O_CLOEXEC };
        // SAFETY: what stands there is ours.
        let put = kernel(unsafe { libc::dup3(mirror.as_raw_fd(), number, flags) });
        if put.is_err() {
            let mut mirrors = self.mirrors();
            match before {
                Some(before) => mirrors.insert(number, before),
                None => mirrors.remove(&number),
            };
        }
        put.map(drop)
    }

    fn mirrors(&self) -> MutexGuard<'_, HashMap<c_int, Identity>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers for Placeholders {
    fn take(&self, least: i32) -> Result<i32, Errno> {
        // SAFETY: it makes a number of a descriptor that is ours, and touches no other.
        kernel(unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) })
    }

    fn claim(&self, number: i32) -> Result<(), Errno> {
        // SAFETY: the program has asked, by dup2, that whatever stands there be closed.
        kernel(unsafe { libc::dup3(self.file.as_raw_fd(), number, libc::O_CLOEXEC) })?;
        self.mirrors().remove(&number);
        Ok(())
    }

    fn give_back(&self, number: i32) {
        let ours = self.holds(number);
        self.mirrors().remove(&number);
        if ours {
            // SAFETY: we put it there, and nobody else uses it: the socket that had the number is gone.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

fn path(name: &str) -> Result<OwnedFd, Errno> {
    open(name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}
