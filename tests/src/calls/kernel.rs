//! The calls of the kernel, on sockets of a namespace.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, sockopt};
use tapsock::Errno;
use tapsock::bsd::*;
use tapsock_driver::Namespace;

use super::{Calls, Received, TOLD_MAX};
use crate::descriptors::Descriptors;
use crate::differential::Room;
use crate::differential::sys;

/// The calls of the kernel.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_driver::Namespace;
/// use tapsock_tests::calls::{Calls, KernelCalls};
///
/// let Ok(namespace) = Namespace::create() else { return };
/// let mut calls = KernelCalls::new(&namespace);
/// assert_eq!(calls.socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct KernelCalls {
    namespace: Namespace,
    sockets: Descriptors,
}

impl KernelCalls {
    /// In `namespace`.
    pub fn new(namespace: &Namespace) -> KernelCalls {
        KernelCalls { namespace: namespace.clone(), sockets: Descriptors::default() }
    }

    fn fd(&self, socket: i32) -> Result<BorrowedFd<'_>, Errno> {
        self.sockets.fd(socket)
    }
}

fn inet(address: SocketAddrAny) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(address)
}

impl Calls for KernelCalls {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let made = self.namespace.socket(domain, kind, protocol);
        let socket = made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(self.sockets.enter(socket))
    }

    fn bind(&mut self, socket: i32, address: SocketAddr) -> Result<(), Errno> {
        net::bind(self.fd(socket)?, &address)
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        net::listen(self.fd(socket)?, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, SocketAddr), Errno> {
        let flags = SocketFlags::from_bits_retain(flags as u32);
        let (accepted, peer) = net::acceptfrom_with(self.fd(socket)?, flags)?;
        Ok((self.sockets.enter(accepted), inet(peer.ok_or(Errno::AFNOSUPPORT)?)?))
    }

    fn connect(&mut self, socket: i32, address: Option<SocketAddr>) -> Result<(), Errno> {
        match address {
            Some(address) => net::connect(self.fd(socket)?, &address),
            None => net::connect_unspec(self.fd(socket)?),
        }
    }

    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<SocketAddr>) -> Result<usize, Errno> {
        let flags = SendFlags::from_bits_retain(flags as u32) | SendFlags::NOSIGNAL;
        match to {
            Some(to) => net::sendto(self.fd(socket)?, data, flags, &to),
            None => net::send(self.fd(socket)?, data, flags),
        }
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Received, Errno> {
        let mut data = vec![0; max];
        let flags = RecvFlags::from_bits_retain(flags as u32);
        let (_, len, from) = net::recvfrom(self.fd(socket)?, &mut data[..], flags)?;
        data.truncate(len);
        Ok(Received { data, len, from: from.and_then(|from| inet(from).ok()) })
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        let how = match how {
            SHUT_RD => Shutdown::Read,
            SHUT_WR => Shutdown::Write,
            _ => Shutdown::Both,
        };
        net::shutdown(self.fd(socket)?, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        self.sockets.close(socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        inet(net::getsockname(self.fd(socket)?)?)
    }

    fn peer_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        inet(net::getpeername(self.fd(socket)?)?.ok_or(Errno::AFNOSUPPORT)?)
    }

    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno> {
        let value = sys::option(self.fd(socket)?, level, name, size_of::<i32>())?;
        Ok(i32::from_ne_bytes(value.try_into().map_err(|_| Errno::INVAL)?))
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        self.set_value(socket, level, name, &value.to_ne_bytes())
    }

    fn set_value(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        sys::set_option(self.fd(socket)?, level, name, value)
    }

    fn recv_told(&mut self, socket: i32, max: usize, flags: i32) -> Result<(Vec<u8>, Vec<u8>), Errno> {
        let room = Room { data: max, control: TOLD_MAX };
        let received = sys::recv(self.fd(socket)?, room, flags)?;
        Ok((received.data, received.control))
    }

    fn set_receive_timeout(&mut self, socket: i32, millis: u32) -> Result<(), Errno> {
        let timeout = Duration::from_millis(millis.into());
        sockopt::set_socket_timeout(self.fd(socket)?, sockopt::Timeout::Recv, Some(timeout))
    }

    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno> {
        sockopt::set_socket_linger(self.fd(socket)?, Some(Duration::from_secs(seconds.into())))
    }

    fn unread(&mut self, socket: i32) -> Result<u64, Errno> {
        rustix::io::ioctl_fionread(self.fd(socket)?)
    }

    fn unsent(&mut self, socket: i32) -> Result<u64, Errno> {
        sys::ioctl(self.fd(socket)?, SIOCOUTQ).map(|bytes| bytes as u64)
    }

    fn poll(&mut self, socket: i32, events: u16, timeout_millis: i32) -> Result<u16, Errno> {
        let mut entry = [PollFd::from_borrowed_fd(self.fd(socket)?, PollFlags::from_bits_retain(events))];
        let millis = i64::from(timeout_millis);
        let timeout = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        rustix::event::poll(&mut entry, (millis >= 0).then_some(&timeout))?;
        Ok(entry[0].revents().bits())
    }
}
