//! Calls that move no data. A number that is not of this world is the kernel's: its calls go there.

use core::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use core::slice;
use core::time::Duration;

use libc::{epoll_event, loff_t, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t};
use rustix::io::Errno;
use tapsock_conformance::run::{Call, Output};
use tapsock_ffi::memory::{Room, answer, bytes, bytes_mut, kernel, value_mut};

use crate::interface::{UserData, world};
use crate::world::World;

/// The most entries of one poll: no process has more descriptors (`fs.nr_open`).
const POLL_MAX: usize = 1024 * 1024;

/// The world, if `fd` is open in it.
///
/// # Safety
/// As [`world`].
pub(crate) unsafe fn owner<'a>(userdata: UserData, fd: c_int) -> Option<&'a World> {
    // SAFETY: the caller's promise.
    Some(unsafe { world(userdata) }).filter(|world| world.owns(fd))
}

/// Makes a call of which only the returned number counts.
fn number(world: &World, call: Call) -> Result<c_int, Errno> {
    world.call(call).map(|outcome| outcome.value as c_int)
}

/// As socket(2).
pub(crate) unsafe extern "C" fn socket(
    userdata: UserData,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| number(unsafe { world(userdata) }, Call::Socket { domain, kind, protocol }))
}

/// As bind(2).
pub(crate) unsafe extern "C" fn bind(
    userdata: UserData,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::bind(fd, address, len) });
        };
        // SAFETY: the caller's promise.
        let address = unsafe { address_at(address, len) }?;
        number(world, Call::Bind { fd, address })
    })
}

/// As listen(2).
pub(crate) unsafe extern "C" fn listen(userdata: UserData, fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        Some(world) => number(world, Call::Listen { fd, backlog }),
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::listen(fd, backlog) }),
    })
}

/// As accept(2).
pub(crate) unsafe extern "C" fn accept(
    userdata: UserData,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::accept(fd, address, len) });
        };
        let outcome = world.call(Call::Accept { fd, flags: 0 })?;
        if let (Output::Address(peer), false) = (&outcome.output, address.is_null()) {
            // SAFETY: the caller's promise.
            unsafe { Room::new(address, len) }?.fill(Some(peer))?;
        }
        Ok(outcome.value as c_int)
    })
}

/// As connect(2).
pub(crate) unsafe extern "C" fn connect(
    userdata: UserData,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::connect(fd, address, len) });
        };
        // SAFETY: the caller's promise.
        let address = unsafe { address_at(address, len) }?;
        number(world, Call::Connect { fd, address })
    })
}

/// As fcntl(2).
pub(crate) unsafe extern "C" fn fcntl(
    userdata: UserData,
    fd: c_int,
    command: c_int,
    argument: c_long,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        Some(world) => number(world, Call::Fcntl { fd, command, argument: argument as c_int }),
        // SAFETY: the argument is what the caller has said.
        None => kernel(unsafe { libc::fcntl(fd, command, argument) }),
    })
}

/// As ioctl(2), for requests that take a pointer to an `int`.
pub(crate) unsafe extern "C" fn ioctl(
    userdata: UserData,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::ioctl(fd, request as _, argument) });
        };
        let request = c_int::try_from(request).map_err(|_| Errno::NOTTY)?;
        // SAFETY: the caller's promise.
        let place = unsafe { value_mut(argument) }?;
        let outcome = world.call(Call::Ioctl { fd, request, value: *place })?;
        if let Output::Int(told) = outcome.output {
            *place = told;
        }
        Ok(outcome.value as c_int)
    })
}

/// As close(2).
pub(crate) unsafe extern "C" fn close(userdata: UserData, fd: c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        Some(world) => number(world, Call::Close { fd }),
        // SAFETY: the caller asks for it, and it is none of ours.
        None => kernel(unsafe { libc::close(fd) }),
    })
}

/// As shutdown(2).
pub(crate) unsafe extern "C" fn shutdown(userdata: UserData, fd: c_int, how: c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        Some(world) => number(world, Call::Shutdown { fd, how }),
        // SAFETY: it takes no memory.
        None => kernel(unsafe { libc::shutdown(fd, how) }),
    })
}

/// As getsockopt(2).
pub(crate) unsafe extern "C" fn getsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| match unsafe { owner(userdata, fd) } {
        // SAFETY: the caller's promise.
        Some(world) => unsafe { option(world, fd, level, name, value, len) },
        // SAFETY: the caller's promise.
        None => kernel(unsafe { libc::getsockopt(fd, level, name, value, len) }),
    })
}

/// # Safety
/// As for getsockopt(2).
pub(crate) unsafe fn option(
    world: &World,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<c_int, Errno> {
    // SAFETY: the caller's promise.
    let len = unsafe { value_mut(len) }?;
    let room = usize::try_from(*len as c_int).map_err(|_| Errno::INVAL)?;
    let call = Call::GetOption { fd, level, name, room: (!value.is_null()).then_some(room) };
    let outcome = world.call(call)?;
    if let Output::Option(told) = &outcome.output {
        // SAFETY: the caller's promise; there is no more of it than there is room for.
        unsafe { bytes_mut(value, told.len()) }?.copy_from_slice(told);
        *len = told.len() as socklen_t;
    }
    Ok(outcome.value as c_int)
}

/// As setsockopt(2).
pub(crate) unsafe extern "C" fn setsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, fd) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::setsockopt(fd, level, name, value, len) });
        };
        let len = usize::try_from(len as c_int).map_err(|_| Errno::INVAL)?;
        let value = match value.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { bytes(value, len) }?.to_vec()),
        };
        number(world, Call::SetOption { fd, level, name, value, len })
    })
}

/// As poll(2), of descriptors of one kind: where one is of this world, others are POLLNVAL.
pub(crate) unsafe extern "C" fn poll(
    userdata: UserData,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
) -> c_int {
    answer(|| {
        let count = usize::try_from(count).ok().filter(|count| *count <= POLL_MAX).ok_or(Errno::INVAL)?;
        let entries = match count {
            0 => &mut [],
            _ if fds.is_null() => return Err(Errno::FAULT),
            // SAFETY: the caller's promise.
            count => unsafe { slice::from_raw_parts_mut(fds, count) },
        };
        // SAFETY: the caller's promise.
        let world = unsafe { world(userdata) };
        if !entries.is_empty() && !entries.iter().any(|entry| world.owns(entry.fd)) {
            // SAFETY: they are there.
            return kernel(unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as nfds_t, timeout) });
        }
        // Those below zero are passed over.
        let asked = || entries.iter().filter(|entry| entry.fd >= 0);
        let fds = asked().map(|entry| (entry.fd, entry.events as u16)).collect();
        let outcome = world.call(Call::Poll { fds, timeout: milliseconds(timeout) })?;
        if let Output::Revents(told) = &outcome.output {
            let mut told = told.iter();
            for entry in entries {
                entry.revents = match entry.fd {
                    0.. => told.next().map_or(0, |revents| *revents as i16),
                    _ => 0,
                };
            }
        }
        Ok(outcome.value as c_int)
    })
}

/// As epoll_create(2).
pub(crate) unsafe extern "C" fn epoll_create(userdata: UserData, size: c_int) -> c_int {
    answer(|| match size {
        // SAFETY: the caller's promise.
        1.. => number(unsafe { world(userdata) }, Call::EpollCreate),
        _ => Err(Errno::INVAL),
    })
}

/// As epoll_ctl(2).
pub(crate) unsafe extern "C" fn epoll_ctl(
    userdata: UserData,
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, epoll) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::epoll_ctl(epoll, operation, fd, event) });
        };
        let (events, data) = match event.is_null() {
            true if operation == libc::EPOLL_CTL_DEL => (0, 0),
            true => return Err(Errno::FAULT),
            false => {
                // SAFETY: the caller's promise. The struct may be packed, so it is copied.
                let event = unsafe { event.read_unaligned() };
                (event.events, event.u64)
            }
        };
        number(world, Call::EpollControl { epoll, operation, fd, events, data })
    })
}

/// As epoll_wait(2).
pub(crate) unsafe extern "C" fn epoll_wait(
    userdata: UserData,
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let Some(world) = (unsafe { owner(userdata, epoll) }) else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::epoll_wait(epoll, events, max, timeout) });
        };
        if max > 0 && events.is_null() {
            return Err(Errno::FAULT);
        }
        let outcome = world.call(Call::EpollWait { epoll, max, timeout: milliseconds(timeout) })?;
        if let Output::Events(told) = &outcome.output {
            for (index, (mask, data)) in told.iter().enumerate() {
                // SAFETY: the caller's promise; they are `max` at the most.
                unsafe { events.add(index).write_unaligned(epoll_event { events: *mask, u64: *data }) };
            }
        }
        Ok(outcome.value as c_int)
    })
}

/// As pipe(2).
pub(crate) unsafe extern "C" fn pipe(userdata: UserData, ends: *mut c_int) -> c_int {
    answer(|| {
        if ends.is_null() {
            return Err(Errno::FAULT);
        }
        // SAFETY: the caller's promise.
        let outcome = unsafe { world(userdata) }.call(Call::Pipe)?;
        if let Output::Pipe(made) = outcome.output {
            // SAFETY: the caller's promise: there is room for two.
            unsafe { ends.cast::<[c_int; 2]>().write_unaligned(made) };
        }
        Ok(0)
    })
}

/// As splice(2), between a pipe and a socket of this world: neither has a place to begin at. packetdrill points to zeros
/// where its script says NULL, so a zero is none.
pub(crate) unsafe extern "C" fn splice(
    userdata: UserData,
    from: c_int,
    from_offset: *mut loff_t,
    to: c_int,
    to_offset: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let owners = unsafe { (owner(userdata, from), owner(userdata, to)) };
        let (Some(world), Some(_)) = owners else {
            // SAFETY: the caller's promise.
            return kernel(unsafe { libc::splice(from, from_offset, to, to_offset, len, flags) });
        };
        // SAFETY: the caller's promise.
        let offsets = unsafe { [from_offset.as_ref(), to_offset.as_ref()] };
        if offsets.into_iter().flatten().any(|offset| *offset != 0) {
            return Err(Errno::SPIPE);
        }
        world.call(Call::Splice { from, to, len, flags }).map(|outcome| outcome.value as ssize_t)
    })
}

/// The bytes of an address. Errors: EINVAL, EFAULT.
///
/// # Safety
/// So many bytes must be there, or `start` be NULL.
pub(crate) unsafe fn address_at(start: *const sockaddr, len: socklen_t) -> Result<Vec<u8>, Errno> {
    if len as usize > size_of::<libc::sockaddr_storage>() {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { bytes(start.cast(), len as usize) }?.to_vec())
}

/// The time-out of a call that has it in milliseconds; one below zero is none.
fn milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}
