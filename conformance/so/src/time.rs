//! Packets and the clock.

use core::ffi::{c_int, c_longlong, c_uint, c_void};
use core::time::Duration;

use libc::{size_t, suseconds_t, time_t, timeval};
use tapsock_ffi::memory::{answer, bytes, bytes_mut, value_mut};

use crate::interface::{UserData, world};

/// Gives the host an IP packet.
pub(crate) unsafe extern "C" fn netdev_send(userdata: UserData, packet: *const c_void, len: size_t) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let (world, packet) = unsafe { (world(userdata), bytes(packet, len)?) };
        world.send(packet.to_vec());
        Ok(0)
    })
}

/// Waits for the next IP packet that the host sends, and tells when it did so, in microseconds. Where none will come, the
/// length is 0. A packet that is longer than `*len` is cut.
pub(crate) unsafe extern "C" fn netdev_receive(
    userdata: UserData,
    packet: *mut c_void,
    len: *mut size_t,
    time: *mut c_longlong,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let (world, len, time) = unsafe { (world(userdata), value_mut(len)?, value_mut(time)?) };
        // SAFETY: the caller's promise.
        let room = unsafe { bytes_mut(packet, *len) }?;
        *len = 0;
        if let Some(sent) = world.receive() {
            *len = sent.bytes.len().min(room.len());
            *time = sent.at.as_micros() as c_longlong;
            room[..*len].copy_from_slice(&sent.bytes[..*len]);
        }
        Ok(0)
    })
}

/// As usleep(3).
pub(crate) unsafe extern "C" fn usleep(userdata: UserData, micros: c_uint) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        unsafe { world(userdata) }.sleep(Duration::from_micros(micros.into()));
        Ok(0)
    })
}

/// As gettimeofday(2); there are no time zones.
pub(crate) unsafe extern "C" fn gettimeofday(
    userdata: UserData,
    time: *mut timeval,
    _: *mut c_void,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let (world, time) = unsafe { (world(userdata), value_mut(time)?) };
        let now = world.look_at_clock();
        time.tv_sec = now.as_secs() as time_t;
        time.tv_usec = now.subsec_micros() as suseconds_t;
        Ok(0)
    })
}
