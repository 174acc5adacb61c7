//! The calls of the kernel.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Once;

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use tapsock::Errno;
use tapsock::bsd::{AF_UNIX, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, SCM_RIGHTS, SOL_SOCKET};
use tapsock_driver::Namespace;

use super::sys::{self, Received, Sent};
use super::{ControlMessage, Incoming, Outgoing, Room, SocketCalls};
use crate::descriptors::Descriptors;

/// Longer than the kernel takes to collect sockets.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// The parts of some bytes.
pub(super) fn parts_of<'a>(mut bytes: &'a mut [u8], sizes: &[usize]) -> Vec<IoSliceMut<'a>> {
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (part, rest) = bytes.split_at_mut(*size);
        parts.push(IoSliceMut::new(part));
        bytes = rest;
    }
    parts
}

/// A descriptor that nobody has: programs have fewer.
const NOBODYS: RawFd = 1_023;
static LONG_TABLE: Once = Once::new();

/// The calls of the kernel: those of a namespace, or on local sockets alone.
///
/// ```
/// use tapsock::bsd::{AF_UNIX, SOCK_STREAM};
/// use tapsock_tests::differential::{KernelSockets, SocketCalls};
///
/// let mut calls = KernelSockets::local();
/// assert_eq!(calls.pair(AF_UNIX, SOCK_STREAM, 0), Ok([0, 1]));
/// ```
#[derive(Debug)]
pub struct KernelSockets {
    namespace: Option<Namespace>,
    sockets: Descriptors,
}

impl KernelSockets {
    /// In `namespace`.
    pub fn new(namespace: &Namespace) -> KernelSockets {
        KernelSockets { namespace: Some(namespace.clone()), sockets: Descriptors::default() }
    }

    /// In this process's own namespace, for local sockets.
    pub fn local() -> KernelSockets {
        KernelSockets { namespace: None, sockets: Descriptors::default() }
    }

    fn fd(&self, socket: i32) -> Result<BorrowedFd<'_>, Errno> {
        self.sockets.fd(socket)
    }

    /// A message as it goes into the call, with the kernel's numbers for the sockets that it passes.
    fn sent<'a>(&self, message: &Outgoing<'a>) -> Result<Sent<'a>, Errno> {
        let mut control = message.control.to_vec();
        if !message.rights.is_empty() {
            let numbers = message.rights.iter().map(|right| self.fd(*right).map(|fd| fd.as_raw_fd()));
            let numbers = numbers.collect::<Result<Vec<RawFd>, Errno>>()?;
            let data = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
            control.extend(ControlMessage { level: SOL_SOCKET, kind: SCM_RIGHTS, data }.bytes());
        }
        Ok(Sent { data: message.data, control, to: message.to })
    }

    fn incoming(&mut self, received: Received) -> Incoming {
        let (rights, control) = ControlMessage::all(&received.control)
            .into_iter()
            .partition::<Vec<_>, _>(ControlMessage::is_rights);
        let numbers = rights.iter().flat_map(|message| message.data.chunks_exact(4));
        let fds = numbers.map(|number| RawFd::from_ne_bytes(number.try_into().expect("four bytes")));
        let rights = fds.map(|fd| self.sockets.enter(sys::own(fd))).collect();
        let Received { len, data, from, flags, .. } = received;
        Incoming { data, len, from, flags, control, rights }
    }
}

impl SocketCalls for KernelSockets {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let Some(namespace) = self.namespace.as_ref().filter(|_| domain != AF_UNIX) else {
            return sys::socket(domain, kind, protocol).map(|socket| self.sockets.enter(socket));
        };
        let made = namespace.socket(domain, kind, protocol);
        // Whoever made it has a copy until it looks for the next request; with one, no close of ours is the last.
        let _ = namespace.socket(-1, 0, 0);
        let socket = made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(self.sockets.enter(socket))
    }

    fn pair(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<[i32; 2], Errno> {
        Ok(sys::pair(domain, kind, protocol)?.map(|socket| self.sockets.enter(socket)))
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        let copy = rustix::io::fcntl_dupfd_cloexec(self.fd(socket)?, 0)?;
        Ok(self.sockets.enter(copy))
    }

    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        sys::bind(self.fd(socket)?, address)
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let removed = std::fs::remove_file(path);
        removed.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
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

    fn send(&mut self, socket: i32, message: &Outgoing<'_>, flags: i32) -> Result<usize, Errno> {
        sys::send(self.fd(socket)?, &self.sent(message)?, flags)
    }

    fn send_many(&mut self, socket: i32, messages: &[Outgoing<'_>], flags: i32) -> Result<Vec<usize>, Errno> {
        let messages = messages.iter().map(|message| self.sent(message)).collect::<Result<Vec<_>, _>>()?;
        sys::send_many(self.fd(socket)?, &messages, flags)
    }

    fn recv(&mut self, socket: i32, room: Room, flags: i32) -> Result<Incoming, Errno> {
        let received = sys::recv(self.fd(socket)?, room, flags)?;
        Ok(self.incoming(received))
    }

    fn write(&mut self, socket: i32, parts: &[Vec<u8>]) -> Result<usize, Errno> {
        let fd = self.fd(socket)?;
        match parts {
            [one] => rustix::io::write(fd, one),
            several => {
                let parts: Vec<_> = several.iter().map(|part| IoSlice::new(part)).collect();
                rustix::io::writev(fd, &parts)
            }
        }
    }

    fn read(&mut self, socket: i32, sizes: &[usize]) -> Result<Vec<u8>, Errno> {
        let fd = self.fd(socket)?;
        let mut bytes = vec![0; sizes.iter().sum()];
        let len = match sizes {
            [_] => rustix::io::read(fd, &mut bytes[..])?,
            several => rustix::io::readv(fd, &mut parts_of(&mut bytes, several))?,
        };
        bytes.truncate(len);
        Ok(bytes)
    }

    fn recv_many(&mut self, socket: i32, rooms: &[Room], flags: i32) -> Result<Vec<Incoming>, Errno> {
        let received = sys::recv_many(self.fd(socket)?, rooms, flags)?;
        Ok(received.into_iter().map(|one| self.incoming(one)).collect())
    }

    /// The kernel looks for such sockets when one is closed, beside the calls, and for all at a time: when two that were
    /// left behind one after the other are gone, the first search has ended that has seen the sequence's.
    fn collect(&mut self) {
        for _ in 0..2 {
            let [lost, witness] = sys::pair(AF_UNIX, libc::SOCK_STREAM, 0).expect("a pair of sockets");
            let message = ControlMessage {
                level: SOL_SOCKET,
                kind: SCM_RIGHTS,
                data: lost.as_raw_fd().to_ne_bytes().to_vec(),
            };
            let sent = Sent { data: b"x", control: message.bytes(), to: None };
            sys::send(witness.as_fd(), &sent, 0).expect("it goes into its own queue");
            drop(lost);
            // Some socket has to go for the kernel to begin.
            drop(sys::socket(AF_UNIX, libc::SOCK_STREAM, 0));
            let mut entries = [PollFd::new(&witness, PollFlags::HUP)];
            rustix::event::poll(&mut entries, Some(&PATIENCE)).expect("poll(2) does not fail");
            assert!(!entries[0].revents().is_empty(), "the kernel collects it");
        }
    }

    fn send_file(
        &mut self,
        socket: i32,
        file: BorrowedFd<'_>,
        offset: i64,
        count: usize,
    ) -> Result<(usize, i64), Errno> {
        sys::send_file(self.fd(socket)?, file, offset, count)
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

    fn set_nonblocking(&mut self, socket: i32, on: bool) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(self.fd(socket)?, on)
    }

    fn fcntl(&mut self, socket: i32, command: i32, argument: i32) -> Result<i32, Errno> {
        sys::fcntl(self.fd(socket)?, command, argument)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        let everything = PollFlags::from_bits_retain(u16::MAX);
        let fds = sockets.iter().map(|socket| self.fd(*socket).expect("an open socket"));
        let mut entries: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, everything)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut entries, Some(&at_once)).expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents().bits()).collect()
    }

    fn select(&mut self, sets: &[Vec<i32>; 3]) -> Result<[Vec<i32>; 3], Errno> {
        // The kernel takes no notice of numbers beyond its table, which this makes long enough: once, for while it does,
        // the number is somebody's.
        LONG_TABLE.call_once(|| drop(rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), NOBODYS)));
        let fd = |number: &i32| self.fd(*number).map_or(NOBODYS, |fd| fd.as_raw_fd());
        let mut ready = sets.each_ref().map(|set| set.iter().map(fd).collect());
        sys::select(&mut ready)?;
        let is_ready = |which: usize, number: &i32| ready[which].contains(&fd(number));
        Ok([0, 1, 2]
            .map(|which| sets[which].iter().copied().filter(|number| is_ready(which, number)).collect()))
    }

    fn epoll(&mut self) -> Result<i32, Errno> {
        let made = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(self.sockets.enter(made))
    }

    fn epoll_control(&mut self, epoll: i32, operation: i32, watched: i32, events: u32) -> Result<(), Errno> {
        let (epoll, fd) = (self.fd(epoll)?, self.fd(watched)?);
        let (data, events) =
            (epoll::EventData::new_u64(watched as u64), epoll::EventFlags::from_bits_retain(events));
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
