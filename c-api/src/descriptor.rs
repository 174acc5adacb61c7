//! Calls on the numbers themselves: close, dup and its kin, fcntl, ioctl.

use core::ffi::{c_int, c_long, c_ulong};

use rustix::io::Errno;
use tapsock::bsd::{self, F_SETFD, FD_CLOEXEC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, SIOCATMARK, SIOCOUTQ};

use crate::state::{default, owner};
use tapsock_ffi::memory::{answer, kernel, value_mut};

/// As close(2). Threads that wait for the socket get EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_close(fd: c_int) -> c_int {
    answer(|| match owner(fd) {
        Some(at) => bsd::close(&at.host, fd).map(|()| 0),
        // SAFETY: the program asks for it, and it is none of ours.
        None => kernel(unsafe { libc::close(fd) }),
    })
}

/// As dup(2).
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_dup(fd: c_int) -> c_int {
    answer(|| match owner(fd) {
        Some(at) => bsd::dup(&at.host, fd),
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::dup(fd) }),
    })
}

/// As dup2(2): either number may be a socket's of the default host or any other.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_dup2(fd: c_int, other: c_int) -> c_int {
    answer(|| match owner(fd) {
        Some(at) => bsd::dup2(&at.host, fd, other),
        // SAFETY: the program asks for what stands at `other` to be closed.
        None => replace(other, || kernel(unsafe { libc::dup2(fd, other) })),
    })
}

/// As dup3(2): either number may be a socket's of the default host or any other.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_dup3(fd: c_int, other: c_int, flags: c_int) -> c_int {
    answer(|| match owner(fd) {
        Some(at) => bsd::dup3(&at.host, fd, other, flags),
        // SAFETY: the program asks for what stands at `other` to be closed.
        None => replace(other, || kernel(unsafe { libc::dup3(fd, other, flags) })),
    })
}

/// Puts a file of the kernel's at `number`; the socket that had it is closed.
fn replace(number: c_int, put: impl FnOnce() -> Result<c_int, Errno>) -> Result<c_int, Errno> {
    let put = put()?;
    // That something else stands there now is found out by looking.
    let _ = owner(number);
    Ok(put)
}

/// As fcntl(2): F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL and F_SETFL; on descriptors of the kernel's, all.
///
/// The header declares it with three dots. On Linux's architectures an argument behind them comes where a third of its
/// own would, and the commands that take none do not look at it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    answer(|| {
        let Some(at) = owner(fd) else {
            // SAFETY: the caller's promise: some commands take a pointer.
            return kernel(unsafe { libc::fcntl(fd, command, argument) });
        };
        let number = argument as c_int;
        let answer = bsd::fcntl(&at.host, fd, command, number)?;
        if command == F_SETFD {
            pass_on(fd, number)?;
        }
        Ok(answer)
    })
}

/// What stands at a socket's number gets the flag that the program has asked for.
fn pass_on(number: c_int, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: what stands there is ours, and only its flag changes.
    kernel(unsafe { libc::fcntl(number, F_SETFD, flags) })
}

/// As ioctl(2): FIONREAD, SIOCINQ, SIOCOUTQ, SIOCATMARK, FIONBIO, FIOCLEX and FIONCLEX; on descriptors of the kernel's,
/// all.
///
/// The header declares it with three dots, as [`tapsock_fcntl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_ioctl(fd: c_int, request: c_ulong, argument: *mut c_int) -> c_int {
    answer(|| {
        let Some(at) = owner(fd) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::ioctl(fd, request as _, argument) });
        };
        let request = c_int::try_from(request).map_err(|_| Errno::NOTTY)?;
        match request {
            FIONREAD | SIOCOUTQ | SIOCATMARK | FIONBIO => {
                // SAFETY: the caller's promise.
                bsd::ioctl(&at.host, fd, request, unsafe { value_mut(argument) }?)?;
            }
            _ => bsd::ioctl(&at.host, fd, request, &mut 0)?,
        }
        match request {
            FIOCLEX => pass_on(fd, FD_CLOEXEC),
            FIONCLEX => pass_on(fd, 0),
            _ => Ok(0),
        }
    })
}

/// Has libc's poll, select and epoll find the number of a socket, or of an epoll instance, as ready as that is; returns the
/// number. What else libc does with it means nothing, and reading from it or writing to it breaks it.
///
/// Errors: EBADF, EMFILE, ENFILE, ENOBUFS, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_pollfd(sockid: c_int) -> c_int {
    answer(|| {
        match owner(sockid) {
            Some(at) => {
                let incarnation = bsd::incarnation(&at.host, sockid)?;
                let mirror = bsd::mirror_fd(&at.host, sockid)?;
                // Another thread may close it meanwhile, and get the number for a file, which is not to be replaced.
                bsd::while_incarnation(&at.host, sockid, incarnation, || {
                    at.placeholders.show(sockid, &mirror)
                })??;
            }
            // SAFETY: it is only asked for its flags.
            None => drop(kernel(unsafe { libc::fcntl(sockid, libc::F_GETFD) })?),
        }
        Ok(sockid)
    })
}

/// As sockatmark(3).
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_sockatmark(sockid: c_int) -> c_int {
    answer(|| {
        let mut at_mark = 0;
        match owner(sockid) {
            Some(at) => bsd::ioctl(&at.host, sockid, SIOCATMARK, &mut at_mark)?,
            // SAFETY: it writes one int, which is there.
            None => drop(kernel(unsafe { libc::ioctl(sockid, SIOCATMARK as _, &raw mut at_mark) })?),
        }
        Ok(at_mark)
    })
}

/// Whether the number is a socket's, or an epoll instance's, of the default host: 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_is_ours(fd: c_int) -> c_int {
    answer(|| Ok(c_int::from(default().is_ok() && owner(fd).is_some())))
}
