//! What there is no safe call for, and where a thread runs.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::ioctl::{IntegerSetter, Opcode, ioctl, opcode};
use rustix::thread::{CpuSet, UnshareFlags, sched_getaffinity, sched_setaffinity, unshare_unsafe};
use rustix::time::{ClockId, clock_gettime};

const TUNSETOFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);

/// Moves this process, which has one thread, into a network namespace of its own: unshare(2).
pub(crate) fn leave_network() -> io::Result<()> {
    // SAFETY: without UnshareFlags::FILES no descriptor table comes apart.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Has the kernel cut and sum what it sends over the TAP device of `fd`, as for a stack that can do neither.
pub(crate) fn switch_offloads_off(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    Ok(unsafe { ioctl(fd, IntegerSetter::<TUNSETOFFLOAD>::new_usize(0)) }?)
}

/// Sets an option of UDP that has an `int`: udp(7).
pub(crate) fn set_udp_option(socket: &impl AsFd, name: i32, value: i32) -> io::Result<()> {
    let (fd, len) = (socket.as_fd().as_raw_fd(), size_of::<i32>() as libc::socklen_t);
    // SAFETY: the value lives until the call is over, and `len` is its size.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_UDP, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The CPUs that this process may run on.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread, and those that it starts, on `cpu`; without one, leaves it to the scheduler.
pub(crate) fn pin(cpu: Option<usize>) -> io::Result<()> {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set)?;
    }
    Ok(())
}

/// CPU time of this process so far, in user space and in the kernel.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
