//! The calls of the kernel on internet sockets of a namespace.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use tapsock::Errno;
use tapsock::bsd::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD};
use tapsock_driver::Namespace;

use super::{InetCalls, Message, sys};
use crate::descriptors::Descriptors;

/// The calls of the kernel.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_driver::Namespace;
/// use tapsock_tests::differential::{InetCalls, KernelInet};
///
/// let Ok(namespace) = Namespace::create() else { return };
/// let mut calls = KernelInet::new(&namespace);
/// assert_eq!(calls.socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct KernelInet {
    namespace: Namespace,
    sockets: Descriptors,
}

impl KernelInet {
    /// In `namespace`.
    pub fn new(namespace: &Namespace) -> KernelInet {
        KernelInet { namespace: namespace.clone(), sockets: Descriptors::default() }
    }

    fn fd(&self, socket: i32) -> Result<BorrowedFd<'_>, Errno> {
        self.sockets.fd(socket)
    }
}

impl InetCalls for KernelInet {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let made = self.namespace.socket(domain, kind, protocol);
        // Whoever made it has a copy until it looks for the next request; with one, no close of ours is the last.
        let _ = self.namespace.socket(-1, 0, 0);
        let socket = made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(self.sockets.enter(socket))
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        let copy = rustix::io::fcntl_dupfd_cloexec(self.fd(socket)?, 0)?;
        Ok(self.sockets.enter(copy))
    }

    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        sys::bind(self.fd(socket)?, address)
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        sys::listen(self.fd(socket)?, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Vec<u8>), Errno> {
        let (accepted, peer) = sys::accept(self.fd(socket)?, flags)?;
        Ok((self.sockets.enter(accepted), peer))
    }

    fn connect(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        sys::connect(self.fd(socket)?, address)
    }

    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<&[u8]>) -> Result<usize, Errno> {
        sys::send(self.fd(socket)?, data, flags, to)
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Message, Errno> {
        sys::recv(self.fd(socket)?, max, flags)
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        sys::shutdown(self.fd(socket)?, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        self.sockets.close(socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        sys::local_address(self.fd(socket)?)
    }

    fn peer_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        sys::peer_address(self.fd(socket)?)
    }

    fn option(&mut self, socket: i32, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
        sys::option(self.fd(socket)?, level, name, room)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        sys::set_option(self.fd(socket)?, level, name, value)
    }

    fn ioctl(&mut self, socket: i32, request: i32) -> Result<i32, Errno> {
        sys::ioctl(self.fd(socket)?, request)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        let everything = PollFlags::from_bits_retain(u16::MAX);
        let fds = sockets.iter().map(|socket| self.fd(*socket).expect("an open socket"));
        let mut entries: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, everything)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut entries, Some(&at_once)).expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents().bits()).collect()
    }

    fn epoll(&mut self) -> Result<i32, Errno> {
        let made = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(self.sockets.enter(made))
    }

    fn epoll_control(&mut self, epoll: i32, operation: i32, socket: i32, events: u32) -> Result<(), Errno> {
        let (epoll, fd) = (self.fd(epoll)?, self.fd(socket)?);
        let (data, events) =
            (epoll::EventData::new_u64(socket as u64), epoll::EventFlags::from_bits_retain(events));
        match operation {
            EPOLL_CTL_ADD => epoll::add(epoll, fd, data, events),
            EPOLL_CTL_MOD => epoll::modify(epoll, fd, data, events),
            EPOLL_CTL_DEL => epoll::delete(epoll, fd),
            other => panic!("epoll_ctl(2) of operation {other} has no line here"),
        }
    }

    fn epoll_wait(&mut self, epoll: i32, max: usize) -> Result<Vec<(u64, u32)>, Errno> {
        let none = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        let mut events = vec![none; max];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let count = epoll::wait(self.fd(epoll)?, &mut events[..], Some(&at_once))?;
        // The structure is packed.
        let shown = events[..count].iter().map(|event| ({ event.data }.u64(), { event.flags }.bits()));
        Ok(shown.collect())
    }
}
