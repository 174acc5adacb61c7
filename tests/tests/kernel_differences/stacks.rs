//! The calls of both stacks that may wait, from any thread, each with its errno.

use std::ffi::c_int;
use std::fs;
use std::mem::zeroed;
use std::os::fd::{IntoRawFd, RawFd};
use std::ptr;
use std::time::Duration;

use libc::{sockaddr, socklen_t};
use tapsock::bsd::{
    self, EPOLL_CTL_ADD, EPOLLIN, EpollEvent, FD_SETSIZE, FdSet, PollFd, PollMask, RecvMessage,
};
use tapsock::{Driver, Errno, Host, SockAddr};
use tapsock_driver::Namespace;
use tapsock_tests::bench::skipped_for;

use super::PATIENCE;
use super::waiting::WAIT;

pub type Outcome = Result<usize, c_int>;

/// One of them. The calls block, and are those of the C library by their names.
pub trait Stack: Clone + Send + 'static {
    fn pair(&self, kind: i32) -> Result<[i32; 2], c_int>;
    fn socket(&self, domain: i32, kind: i32) -> Result<i32, c_int>;
    fn bind(&self, socket: i32, address: &[u8]) -> Outcome;
    fn listen(&self, socket: i32, backlog: i32) -> Outcome;
    fn connect(&self, socket: i32, address: &[u8]) -> Outcome;
    fn name(&self, socket: i32) -> Result<Vec<u8>, c_int>;
    fn send(&self, socket: i32, data: &[u8], flags: i32) -> Outcome;
    fn recv(&self, socket: i32, max: usize) -> Outcome;
    /// So many messages of a few bytes.
    fn recv_many(&self, socket: i32, count: usize) -> Outcome;
    fn close(&self, socket: i32) -> Outcome;
    fn shutdown(&self, socket: i32, how: i32) -> Outcome;
    fn set_option(&self, socket: i32, option: (i32, i32), value: &[u8]) -> Outcome;
    fn fcntl(&self, socket: i32, command: i32, argument: i32) -> Outcome;
    /// Whether it can be read, of so many numbers.
    fn select(&self, socket: i32, count: i32, timeout: Option<Duration>) -> Outcome;
    /// These wait until it can be read, with an empty mask of signals where there is one.
    fn ppoll_unmasked(&self, socket: i32) -> Outcome;
    fn pselect_unmasked(&self, socket: i32) -> Outcome;
    fn epoll_pwait_unmasked(&self, socket: i32) -> Outcome;
    /// A number of the same socket for which there is no place in an `fd_set`.
    fn beyond_a_set(&self, socket: i32) -> i32;
    /// Times that threads have gone to sleep.
    fn sleeps(&self) -> u64;
    /// Whether the thread sleeps in a call, or one has gone to sleep since.
    fn sleeps_since(&self, before: u64, thread: c_int) -> bool;
    /// Of calls with time-outs that are to end sooner here.
    fn patience(&self) -> Duration;
}

/// The kernel's. What the rows do not close is closed with the process.
#[derive(Clone)]
pub struct Kernel {
    namespace: Namespace,
}

impl Kernel {
    /// In a namespace of its own.
    pub fn new() -> Option<Kernel> {
        Some(Kernel { namespace: Namespace::create().map_or_else(skipped_for, Some)? })
    }
}

fn checked(result: isize) -> Outcome {
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn done(result: c_int) -> Outcome {
    checked(result as isize)
}

/// An empty mask: no signal is blocked.
fn no_signals() -> libc::sigset_t {
    // SAFETY: the set is made empty.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

/// A set of numbers below `count`, of which this is in it.
fn set_of(number: i32, count: i32) -> Vec<u64> {
    let mut words = vec![0; (count as usize).max(FD_SETSIZE).div_ceil(64)];
    words[number as usize / 64] |= 1 << (number % 64);
    words
}

impl Stack for Kernel {
    fn pair(&self, kind: i32) -> Result<[i32; 2], c_int> {
        let mut pair = [-1; 2];
        let kind = kind | libc::SOCK_CLOEXEC;
        // SAFETY: the kernel writes two numbers.
        done(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) }).map(|_| pair)
    }

    fn socket(&self, domain: i32, kind: i32) -> Result<i32, c_int> {
        if domain == libc::AF_UNIX {
            // SAFETY: no memory is passed.
            return done(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) })
                .map(|made| made as RawFd);
        }
        let made = self.namespace.socket(domain, kind, 0);
        // Whoever made it has a copy until it looks for the next request.
        let _ = self.namespace.socket(-1, 0, 0);
        made.map(IntoRawFd::into_raw_fd).map_err(|error| error.raw_os_error().unwrap_or(0))
    }

    fn bind(&self, socket: i32, address: &[u8]) -> Outcome {
        // SAFETY: the kernel reads as many bytes as it is told of.
        done(unsafe { libc::bind(socket, address.as_ptr().cast(), address.len() as socklen_t) })
    }

    fn listen(&self, socket: i32, backlog: i32) -> Outcome {
        // SAFETY: no memory is passed.
        done(unsafe { libc::listen(socket, backlog) })
    }

    fn connect(&self, socket: i32, address: &[u8]) -> Outcome {
        // SAFETY: the kernel reads as many bytes as it is told of.
        done(unsafe { libc::connect(socket, address.as_ptr().cast(), address.len() as socklen_t) })
    }

    fn name(&self, socket: i32) -> Result<Vec<u8>, c_int> {
        let (mut name, mut len) = (vec![0u8; 128], 128);
        // SAFETY: there is room for `len` bytes.
        done(unsafe { libc::getsockname(socket, name.as_mut_ptr().cast::<sockaddr>(), &mut len) })?;
        name.truncate(len as usize);
        Ok(name)
    }

    fn send(&self, socket: i32, data: &[u8], flags: i32) -> Outcome {
        // SAFETY: the kernel reads the data.
        checked(unsafe { libc::send(socket, data.as_ptr().cast(), data.len(), flags) })
    }

    fn recv(&self, socket: i32, max: usize) -> Outcome {
        let mut room = vec![0u8; max];
        // SAFETY: the kernel writes what there is room for.
        checked(unsafe { libc::recv(socket, room.as_mut_ptr().cast(), max, 0) })
    }

    fn recv_many(&self, socket: i32, count: usize) -> Outcome {
        let mut rooms = vec![[0u8; 9]; count];
        let mut parts: Vec<_> = rooms
            .iter_mut()
            .map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() })
            .collect();
        let headers = parts.iter_mut().map(|part| {
            // SAFETY: one of zeros is one without anything.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            (header.msg_hdr.msg_iov, header.msg_hdr.msg_iovlen) = (part, 1);
            header
        });
        let mut headers: Vec<_> = headers.collect();
        let at = headers.as_mut_ptr();
        // SAFETY: the parts outlive the call, and have the room that they say.
        done(unsafe { libc::recvmmsg(socket, at, count as _, 0, ptr::null_mut()) })
    }

    fn close(&self, socket: i32) -> Outcome {
        // SAFETY: no memory is passed, and nobody else has the number.
        done(unsafe { libc::close(socket) })
    }

    fn shutdown(&self, socket: i32, how: i32) -> Outcome {
        // SAFETY: no memory is passed.
        done(unsafe { libc::shutdown(socket, how) })
    }

    fn set_option(&self, socket: i32, (level, name): (i32, i32), value: &[u8]) -> Outcome {
        let (at, len) = (value.as_ptr().cast(), value.len() as socklen_t);
        // SAFETY: the kernel reads as many bytes as it is told of.
        done(unsafe { libc::setsockopt(socket, level, name, at, len) })
    }

    fn fcntl(&self, socket: i32, command: i32, argument: i32) -> Outcome {
        // SAFETY: no memory is passed.
        done(unsafe { libc::fcntl(socket, command, argument) })
    }

    fn select(&self, socket: i32, count: i32, timeout: Option<Duration>) -> Outcome {
        let mut set = set_of(socket, count);
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let time = timeout.map_or(ptr::null_mut(), |timeout| {
            time.tv_usec = timeout.subsec_micros().into();
            &raw mut time
        });
        let none = ptr::null_mut();
        // SAFETY: the set has a bit for each number below the count, and the kernel writes no others.
        done(unsafe { libc::select(count, set.as_mut_ptr().cast(), none, none, time) })
    }

    fn ppoll_unmasked(&self, socket: i32) -> Outcome {
        let mut asked = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: the kernel reads and writes one, and reads the mask.
        done(unsafe { libc::ppoll(&mut asked, 1, ptr::null(), &no_signals()) })
    }

    fn pselect_unmasked(&self, socket: i32) -> Outcome {
        let (mut set, none) = (set_of(socket, socket + 1), ptr::null_mut());
        let at = set.as_mut_ptr().cast();
        // SAFETY: the set has a bit for each number below the count; the kernel reads the mask.
        done(unsafe { libc::pselect(socket + 1, at, none, none, ptr::null(), &no_signals()) })
    }

    fn epoll_pwait_unmasked(&self, socket: i32) -> Outcome {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: the kernel reads and writes one event, and reads the mask.
        unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            done(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &mut event))?;
            done(libc::epoll_pwait(epoll, &mut event, 1, -1, &no_signals()))
        }
    }

    fn beyond_a_set(&self, socket: i32) -> i32 {
        // SAFETY: the kernel reads and writes the limit.
        unsafe {
            let mut limit: libc::rlimit = zeroed();
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            limit.rlim_cur = limit.rlim_max.min(4096).max(limit.rlim_cur);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
        self.fcntl(socket, libc::F_DUPFD_CLOEXEC, FD_SETSIZE as i32).expect("a limit above FD_SETSIZE") as i32
    }

    fn sleeps(&self) -> u64 {
        0
    }

    fn sleeps_since(&self, _before: u64, thread: c_int) -> bool {
        // It is gone where the call has ended.
        let Ok(call) = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")) else { return true };
        let number = call.split(' ').next().and_then(|number| number.parse::<i64>().ok());
        number.is_some_and(|number| number >= 0 && number != libc::SYS_futex)
    }

    fn patience(&self) -> Duration {
        WAIT
    }
}

/// Those of this stack, on a host without a link.
#[derive(Clone)]
pub struct Ours {
    host: Host,
}

impl Ours {
    /// On a host of its own.
    pub fn new() -> Ours {
        let builder = Host::builder().driver(Driver::External).privileged().shutdown_timeout(Duration::ZERO);
        Ours { host: builder.start().unwrap() }
    }
}

fn number(errno: Errno) -> c_int {
    errno.raw_os_error()
}

impl Stack for Ours {
    fn pair(&self, kind: i32) -> Result<[i32; 2], c_int> {
        bsd::socketpair(&self.host, bsd::AF_UNIX, kind, 0).map_err(number)
    }

    fn socket(&self, domain: i32, kind: i32) -> Result<i32, c_int> {
        bsd::socket(&self.host, domain, kind, 0).map_err(number)
    }

    fn bind(&self, socket: i32, address: &[u8]) -> Outcome {
        let bound = SockAddr::from_bytes(address).and_then(|address| bsd::bind(&self.host, socket, &address));
        bound.map(|()| 0).map_err(number)
    }

    fn listen(&self, socket: i32, backlog: i32) -> Outcome {
        bsd::listen(&self.host, socket, backlog).map(|()| 0).map_err(number)
    }

    fn connect(&self, socket: i32, address: &[u8]) -> Outcome {
        let address = SockAddr::from_bytes(address).map_err(number)?;
        bsd::connect(&self.host, socket, &address).map(|()| 0).map_err(number)
    }

    fn name(&self, socket: i32) -> Result<Vec<u8>, c_int> {
        bsd::getsockname(&self.host, socket).map(|name| name.as_bytes().to_vec()).map_err(number)
    }

    fn send(&self, socket: i32, data: &[u8], flags: i32) -> Outcome {
        bsd::send(&self.host, socket, data, flags).map_err(number)
    }

    fn recv(&self, socket: i32, max: usize) -> Outcome {
        bsd::recv(&self.host, socket, &mut vec![0; max], 0).map_err(number)
    }

    fn recv_many(&self, socket: i32, count: usize) -> Outcome {
        let mut rooms = vec![[0u8; 9]; count];
        let mut parts: Vec<_> = rooms.iter_mut().map(|room| [std::io::IoSliceMut::new(room)]).collect();
        let mut messages: Vec<_> = parts.iter_mut().map(|iov| RecvMessage { iov, control_room: 0 }).collect();
        let received = bsd::recvmmsg(&self.host, socket, &mut messages, 0, None);
        received.map(|received| received.len()).map_err(number)
    }

    fn close(&self, socket: i32) -> Outcome {
        bsd::close(&self.host, socket).map(|()| 0).map_err(number)
    }

    fn shutdown(&self, socket: i32, how: i32) -> Outcome {
        bsd::shutdown(&self.host, socket, how).map(|()| 0).map_err(number)
    }

    fn set_option(&self, socket: i32, (level, name): (i32, i32), value: &[u8]) -> Outcome {
        bsd::setsockopt(&self.host, socket, level, name, value).map(|()| 0).map_err(number)
    }

    fn fcntl(&self, socket: i32, command: i32, argument: i32) -> Outcome {
        bsd::fcntl(&self.host, socket, command, argument).map(|value| value as usize).map_err(number)
    }

    fn select(&self, socket: i32, count: i32, timeout: Option<Duration>) -> Outcome {
        let mut set: FdSet = [socket].into_iter().filter(|id| *id < FD_SETSIZE as i32).collect();
        bsd::select(&self.host, count, Some(&mut set), None, None, timeout).map_err(number)
    }

    fn ppoll_unmasked(&self, socket: i32) -> Outcome {
        bsd::ppoll(&self.host, &mut [PollFd::new(socket, PollMask::IN)], None).map_err(number)
    }

    fn pselect_unmasked(&self, socket: i32) -> Outcome {
        let mut set: FdSet = [socket].into_iter().collect();
        bsd::pselect(&self.host, socket + 1, Some(&mut set), None, None, None).map_err(number)
    }

    fn epoll_pwait_unmasked(&self, socket: i32) -> Outcome {
        let event = EpollEvent { events: EPOLLIN, data: 0 };
        let epoll = bsd::epoll_create1(&self.host, 0).map_err(number)?;
        bsd::epoll_ctl(&self.host, epoll, EPOLL_CTL_ADD, socket, Some(event)).map_err(number)?;
        bsd::epoll_pwait2(&self.host, epoll, &mut [event], None).map_err(number)
    }

    fn beyond_a_set(&self, _socket: i32) -> i32 {
        FD_SETSIZE as i32
    }

    fn sleeps(&self) -> u64 {
        let stats = self.host.engine_stats();
        stats.ppolls + stats.parks + stats.local_parks
    }

    fn sleeps_since(&self, before: u64, _thread: c_int) -> bool {
        self.sleeps() > before
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
