//! The calls of this stack on internet sockets.

use std::io::IoSliceMut;
use std::time::Duration;

use tapsock::bsd::{self, EpollEvent, PollFd, PollMask, RecvMessage};
use tapsock::{Driver, Errno, Host, SockAddr};

use super::{InetCalls, Message};

/// The calls of this stack, on a host without a link, which only the calls drive.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_tests::differential::{InetCalls, OurInet};
///
/// assert_eq!(OurInet::new().socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct OurInet {
    host: Host,
}

impl OurInet {
    /// On a host of its own.
    ///
    /// # Panics
    /// Where there are no descriptors to be had.
    #[expect(clippy::new_without_default, reason = "it makes descriptors")]
    pub fn new() -> OurInet {
        let host = Host::builder()
            .driver(Driver::External)
            .privileged()
            .shutdown_timeout(Duration::ZERO)
            .start()
            .expect("a host without a link");
        OurInet { host }
    }

    /// A socket that is none is said before the address is looked at.
    fn address(&self, socket: i32, bytes: &[u8]) -> Result<SockAddr, Errno> {
        bsd::is_nonblocking(&self.host, socket)?;
        SockAddr::from_bytes(bytes)
    }
}

impl InetCalls for OurInet {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        bsd::socket(&self.host, domain, kind, protocol)
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        bsd::dup(&self.host, socket)
    }

    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        bsd::bind(&self.host, socket, &self.address(socket, address)?)
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        bsd::listen(&self.host, socket, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Vec<u8>), Errno> {
        bsd::accept4(&self.host, socket, flags).map(|(socket, peer)| (socket, peer.as_bytes().to_vec()))
    }

    fn connect(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        bsd::connect(&self.host, socket, &self.address(socket, address)?)
    }

    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<&[u8]>) -> Result<usize, Errno> {
        let to = to.map(|to| self.address(socket, to)).transpose()?;
        bsd::sendto(&self.host, socket, data, flags | bsd::MSG_NOSIGNAL, to.as_ref())
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Message, Errno> {
        let mut data = vec![0; max];
        let mut iov = [IoSliceMut::new(&mut data)];
        let mut message = RecvMessage { iov: &mut iov, control_room: 0 };
        let message = bsd::recvmsg(&self.host, socket, &mut message, flags)?;
        data.truncate(message.len);
        let from = message.address.map(|from| from.as_bytes().to_vec()).unwrap_or_default();
        Ok(Message { data, len: message.len, from, flags: message.flags })
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        bsd::shutdown(&self.host, socket, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        bsd::close(&self.host, socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        bsd::getsockname(&self.host, socket).map(|name| name.as_bytes().to_vec())
    }

    fn peer_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        bsd::getpeername(&self.host, socket).map(|name| name.as_bytes().to_vec())
    }

    fn option(&mut self, socket: i32, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; room];
        let len = bsd::getsockopt(&self.host, socket, level, name)?.copy_out(&mut value);
        value.truncate(len);
        Ok(value)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        bsd::setsockopt(&self.host, socket, level, name, value)
    }

    fn ioctl(&mut self, socket: i32, request: i32) -> Result<i32, Errno> {
        let mut value = 0;
        bsd::ioctl(&self.host, socket, request, &mut value)?;
        Ok(value)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        self.host.turn().expect("a turn of the loop does not fail");
        let everything = PollMask::from_bits(u16::MAX);
        let mut entries: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, everything)).collect();
        bsd::poll(&self.host, &mut entries, 0).expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents.bits()).collect()
    }

    fn epoll(&mut self) -> Result<i32, Errno> {
        bsd::epoll_create1(&self.host, 0)
    }

    fn epoll_control(&mut self, epoll: i32, operation: i32, socket: i32, events: u32) -> Result<(), Errno> {
        let event = EpollEvent { events, data: socket as u64 };
        bsd::epoll_ctl(&self.host, epoll, operation, socket, Some(event))
    }

    fn epoll_wait(&mut self, epoll: i32, max: usize) -> Result<Vec<(u64, u32)>, Errno> {
        let mut events = vec![EpollEvent::default(); max];
        let count = bsd::epoll_wait(&self.host, epoll, &mut events, 0)?;
        Ok(events[..count].iter().map(|event| (event.data, event.events)).collect())
    }
}
