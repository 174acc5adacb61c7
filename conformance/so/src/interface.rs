//! The structure that packetdrill calls by, and the function that fills it in.

use core::ffi::{c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use std::process;
use std::sync::Arc;

use libc::{
    epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval,
};
use tapsock_ffi::memory::text;

use crate::world::World;
use crate::{call, flags, message, time};

/// What each function gets first: a pointer to the [`World`].
pub(crate) type UserData = *mut c_void;

/// The functions of a stack, each as its namesake in libc, but for `userdata` and those about packets. In C, `fcntl` and
/// `ioctl` have three dots: an argument behind them comes where a further one would.
#[repr(C)]
pub struct Interface {
    userdata: UserData,
    free: unsafe extern "C" fn(UserData),
    socket: unsafe extern "C" fn(UserData, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(UserData, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(
        UserData,
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    recvmsg: unsafe extern "C" fn(UserData, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(
        UserData,
        c_int,
        *const c_void,
        size_t,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
    sendmsg: unsafe extern "C" fn(UserData, c_int, *const msghdr, c_int) -> ssize_t,
    fcntl: unsafe extern "C" fn(UserData, c_int, c_int, c_long) -> c_int,
    ioctl: unsafe extern "C" fn(UserData, c_int, c_ulong, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(UserData, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(UserData, *mut pollfd, nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(UserData, *const c_void, size_t) -> c_int,
    netdev_receive: unsafe extern "C" fn(UserData, *mut c_void, *mut size_t, *mut c_longlong) -> c_int,
    usleep: unsafe extern "C" fn(UserData, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(UserData, *mut timeval, *mut c_void) -> c_int,
    epoll_create: unsafe extern "C" fn(UserData, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(UserData, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(UserData, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(UserData, c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> ssize_t,
}

/// Makes a host as `flags` say, and fills `out` in. It ends the process where the flags make no sense: there is no other
/// way to say so.
///
/// The thread that calls it drives the host's clock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, out: *mut Interface) {
    // SAFETY: the caller's promise.
    let flags = String::from_utf8_lossy(unsafe { text(flags) }.unwrap_or_default());
    let world = flags::host(&flags).and_then(|target| {
        World::begin(target).map_err(|errno| format!("no descriptor for the host: {errno}"))
    });
    let world = world.unwrap_or_else(|error| {
        eprintln!("libtapsock_packetdrill.so: {error}");
        process::exit(1);
    });
    let interface = Interface {
        userdata: Arc::into_raw(world).cast_mut().cast(),
        free,
        socket: call::socket,
        bind: call::bind,
        listen: call::listen,
        accept: call::accept,
        connect: call::connect,
        read: message::read,
        readv: message::readv,
        recv: message::recv,
        recvfrom: message::recvfrom,
        recvmsg: message::recvmsg,
        write: message::write,
        writev: message::writev,
        send: message::send,
        sendto: message::sendto,
        sendmsg: message::sendmsg,
        fcntl: call::fcntl,
        ioctl: call::ioctl,
        close: call::close,
        shutdown: call::shutdown,
        getsockopt: call::getsockopt,
        setsockopt: call::setsockopt,
        poll: call::poll,
        netdev_send: time::netdev_send,
        netdev_receive: time::netdev_receive,
        usleep: time::usleep,
        gettimeofday: time::gettimeofday,
        epoll_create: call::epoll_create,
        epoll_ctl: call::epoll_ctl,
        epoll_wait: call::epoll_wait,
        pipe: call::pipe,
        splice: call::splice,
    };
    // SAFETY: the caller's promise.
    unsafe { out.write(interface) };
}

unsafe extern "C" fn free(userdata: UserData) {
    // SAFETY: it was made by `Arc::into_raw`, and is given back once.
    let world = unsafe { Arc::from_raw(userdata.cast_const().cast::<World>()) };
    world.end();
}

/// # Safety
/// It must be what `packetdrill_interface_init` gave, and not free yet.
pub(crate) unsafe fn world<'a>(userdata: UserData) -> &'a World {
    // SAFETY: the caller's promise.
    unsafe { &*userdata.cast_const().cast() }
}
