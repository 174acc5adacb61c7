//! The calls of this stack.

use std::io::IoSliceMut;
use std::net::SocketAddr;

use tapsock::bsd::{
    self, FIONREAD, PollFd, PollMask, RecvMessage, SIOCOUTQ, SO_LINGER, SO_RCVTIMEO, SOL_SOCKET,
};
use tapsock::{Errno, Host, SockAddr};

use super::{Calls, Received, TOLD_MAX};

/// The calls on a host of this stack.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_tests::calls::{Calls, OurCalls};
///
/// let mut calls = OurCalls::new(&tapsock::Host::builder().start().unwrap());
/// assert_eq!(calls.socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct OurCalls {
    host: Host,
}

impl OurCalls {
    /// On `host`, whose sockets are all the program's.
    pub fn new(host: &Host) -> OurCalls {
        OurCalls { host: host.clone() }
    }
}

impl Calls for OurCalls {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        bsd::socket(&self.host, domain, kind, protocol)
    }

    fn bind(&mut self, socket: i32, address: SocketAddr) -> Result<(), Errno> {
        bsd::bind(&self.host, socket, &SockAddr::from(address))
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        bsd::listen(&self.host, socket, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, SocketAddr), Errno> {
        let (socket, peer) = bsd::accept4(&self.host, socket, flags)?;
        Ok((socket, peer.to_inet().ok_or(Errno::AFNOSUPPORT)?))
    }

    fn connect(&mut self, socket: i32, address: Option<SocketAddr>) -> Result<(), Errno> {
        let address = match address {
            Some(address) => SockAddr::from(address),
            // All zeros, and that is AF_UNSPEC.
            None => SockAddr::from_bytes(&[0; 16])?,
        };
        bsd::connect(&self.host, socket, &address)
    }

    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<SocketAddr>) -> Result<usize, Errno> {
        bsd::sendto(&self.host, socket, data, flags, to.map(SockAddr::from).as_ref())
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Received, Errno> {
        let mut data = vec![0; max];
        let (len, from) = bsd::recvfrom(&self.host, socket, &mut data, flags)?;
        data.truncate(len);
        Ok(Received { data, len, from: from.and_then(|from| from.to_inet()) })
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        bsd::shutdown(&self.host, socket, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        bsd::close(&self.host, socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        bsd::getsockname(&self.host, socket)?.to_inet().ok_or(Errno::AFNOSUPPORT)
    }

    fn peer_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        bsd::getpeername(&self.host, socket)?.to_inet().ok_or(Errno::AFNOSUPPORT)
    }

    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno> {
        bsd::getsockopt(&self.host, socket, level, name)?.as_int().ok_or(Errno::INVAL)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        self.set_value(socket, level, name, &value.to_ne_bytes())
    }

    fn set_value(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        bsd::setsockopt(&self.host, socket, level, name, value)
    }

    fn recv_told(&mut self, socket: i32, max: usize, flags: i32) -> Result<(Vec<u8>, Vec<u8>), Errno> {
        let mut data = vec![0; max];
        let mut parts = [IoSliceMut::new(&mut data)];
        let mut message = RecvMessage { iov: &mut parts, control_room: TOLD_MAX };
        let received = bsd::recvmsg(&self.host, socket, &mut message, flags)?;
        data.truncate(received.len);
        Ok((data, received.control))
    }

    fn set_receive_timeout(&mut self, socket: i32, millis: u32) -> Result<(), Errno> {
        let (seconds, micros) = (u64::from(millis / 1000), u64::from(millis % 1000) * 1000);
        let value = [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
        bsd::setsockopt(&self.host, socket, SOL_SOCKET, SO_RCVTIMEO, &value)
    }

    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno> {
        let value = [1i32.to_ne_bytes(), i32::from(seconds).to_ne_bytes()].concat();
        bsd::setsockopt(&self.host, socket, SOL_SOCKET, SO_LINGER, &value)
    }

    fn unread(&mut self, socket: i32) -> Result<u64, Errno> {
        let mut count = 0;
        bsd::ioctl(&self.host, socket, FIONREAD, &mut count)?;
        Ok(count as u64)
    }

    fn unsent(&mut self, socket: i32) -> Result<u64, Errno> {
        let mut count = 0;
        bsd::ioctl(&self.host, socket, SIOCOUTQ, &mut count)?;
        Ok(count as u64)
    }

    fn poll(&mut self, socket: i32, events: u16, timeout_millis: i32) -> Result<u16, Errno> {
        let mut entry = [PollFd::new(socket, PollMask::from_bits(events))];
        bsd::poll(&self.host, &mut entry, timeout_millis)?;
        Ok(entry[0].revents.bits())
    }
}
