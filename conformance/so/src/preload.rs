//! Functions of libc by which packetdrill goes past its interface. Where the library is preloaded, they find its sockets.

use core::ffi::{c_char, c_int, c_void};
use std::panic::catch_unwind;

use libc::{off_t, size_t, socklen_t, ssize_t};
use rustix::io::Errno;
use tapsock_conformance::run::{Call, Send};
use tapsock_ffi::memory::{answer, kernel, text};

use crate::call::option;
use crate::world::World;

/// Bytes of a file that one call sends at most.
const FILE_MAX: usize = 4 * 1024 * 1024;

/// As getsockopt(2), of sockets of this library and of the kernel's: packetdrill reads TCP_INFO by it for the code in
/// scripts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    answer(|| match World::of(fd) {
        // SAFETY: the caller's promise.
        Some(world) => unsafe { option(&world, fd, level, name, value, len) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) } as c_int),
    })
}

/// As sendfile(2), to sockets of this library and to the kernel's: packetdrill's interface has no place for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    answer(|| match World::of(to) {
        // SAFETY: the caller's promise.
        Some(world) => send_file(&world, to, from, unsafe { offset.as_mut() }, count),
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, count) } as ssize_t),
    })
}

/// Errors: those of pread(2), lseek(2) and send(2).
fn send_file(
    world: &World,
    to: c_int,
    from: c_int,
    offset: Option<&mut off_t>,
    count: usize,
) -> Result<ssize_t, Errno> {
    let start = match &offset {
        Some(offset) => **offset,
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::lseek(from, 0, libc::SEEK_CUR) } as ssize_t)? as off_t,
    };
    let mut data = vec![0; count.min(FILE_MAX)];
    // SAFETY: there is so much room.
    let read = kernel(unsafe { libc::pread(from, data.as_mut_ptr().cast(), data.len(), start) })?;
    data.truncate(read as usize);
    let outcome = world.call(Call::Send(Send { fd: to, pieces: vec![data], ..Send::default() }))?;
    let end = start + outcome.value;
    match offset {
        Some(offset) => *offset = end,
        // SAFETY: it takes no memory.
        None => drop(kernel(unsafe { libc::lseek(from, end, libc::SEEK_SET) } as ssize_t)?),
    }
    Ok(outcome.value as ssize_t)
}

/// As system(3). What the commands of scripts do to the kernel's network they do to the host of this library, as far as
/// `tapsock script` knows them: settings, routes, counters, `/proc/net/tcp`. All other commands are libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let text = unsafe { text(command) }.and_then(|text| str::from_utf8(text).ok());
    let known = catch_unwind(|| text.zip(World::only()).and_then(|(text, world)| world.run_command(text)));
    match known {
        Ok(Some(outcome)) => {
            print!("{}", outcome.output);
            c_int::from(outcome.status) << 8
        }
        // SAFETY: the caller's promise.
        Ok(None) | Err(_) => unsafe { next_system(command) },
    }
}

/// The `system` that stands behind ours.
///
/// # Safety
/// As for system(3).
unsafe fn next_system(command: *const c_char) -> c_int {
    type System = unsafe extern "C" fn(*const c_char) -> c_int;
    // SAFETY: the name ends with a zero byte.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"system".as_ptr()) };
    if found.is_null() {
        return -1;
    }
    // SAFETY: what libc calls so is of that type.
    let next: System = unsafe { core::mem::transmute(found) };
    // SAFETY: the caller's promise.
    unsafe { next(command) }
}
