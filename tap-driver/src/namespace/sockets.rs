//! The kernel's own sockets inside a namespace, in the hands of any thread outside.

use std::ffi::c_int;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Namespace, Request};
use crate::sys;

const BACKLOG: c_int = 4096;

impl Namespace {
    /// A socket of the namespace's, closed on exec: socket(2).
    ///
    /// # Errors
    ///
    /// Those of socket(2); ESRCH where the helper has been killed.
    pub fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
        self.inner.helper.request(&Request::Socket { domain, kind, protocol })
    }

    /// A TCP listener of the kernel's in the namespace, with SO_REUSEADDR.
    ///
    /// # Errors
    ///
    /// EADDRINUSE, EADDRNOTAVAIL; see bind(2).
    pub fn tcp_listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.internet_socket(address, libc::SOCK_STREAM)?;
        sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        sys::bind(socket.as_fd(), address)?;
        sys::listen(socket.as_fd(), BACKLOG)?;
        Ok(TcpListener::from(socket))
    }

    /// Connects from the kernel's TCP in the namespace. Blocks as long as the kernel tries.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH; see connect(2).
    pub fn tcp_connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.internet_socket(address, libc::SOCK_STREAM)?;
        match sys::connect(socket.as_fd(), address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => await_connection(socket.as_fd())?,
            result => result?,
        }
        Ok(TcpStream::from(socket))
    }

    /// A UDP socket of the kernel's in the namespace.
    ///
    /// # Errors
    ///
    /// EADDRINUSE, EADDRNOTAVAIL; see bind(2).
    pub fn udp_bind(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.internet_socket(address, libc::SOCK_DGRAM)?;
        sys::bind(socket.as_fd(), address)?;
        Ok(UdpSocket::from(socket))
    }

    fn internet_socket(&self, address: SocketAddr, kind: c_int) -> io::Result<OwnedFd> {
        let domain = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        self.socket(domain, kind, 0)
    }
}

/// After a signal, the kernel goes on connecting: connect(2), EINTR.
fn await_connection(socket: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match sys::poll([(socket, libc::POLLOUT)], -1) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.map(drop)?,
        }
    }
    match sys::option(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
