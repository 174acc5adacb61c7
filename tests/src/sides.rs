//! One set of names for the sockets of both sides, so that a test is written once and run both ways.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use tapsock::bsd::{self, SO_LINGER, SO_RCVTIMEO, SOL_SOCKET};

use crate::bench::Bench;

/// How long a call may take that must not take for ever: longer than anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Which end of the link.
///
/// ```
/// use tapsock_tests::sides::Side;
///
/// assert_eq!(Side::ALL.map(Side::other), [Side::Kernel, Side::Ours]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Side {
    /// The host on this stack.
    Ours,
    /// The kernel.
    Kernel,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Ours, Side::Kernel];

    /// The one at the other end.
    pub fn other(self) -> Side {
        match self {
            Side::Ours => Side::Kernel,
            Side::Kernel => Side::Ours,
        }
    }
}

/// A connection of either side. Its reads and writes end after [`PATIENCE`].
///
/// ```
/// use std::io::{Read, Write};
/// use tapsock_tests::bench::{Family, Setup};
/// use tapsock_tests::sides::Side;
///
/// let Some(bench) = Setup::new().open() else { return };
/// let (mut ours, mut kernels) = bench.pair(Family::V4, Side::Ours);
/// ours.write_all(b"to the kernel").unwrap();
/// drop(ours);
/// let mut text = String::new();
/// kernels.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "to the kernel");
/// ```
#[derive(Debug)]
pub enum Stream {
    /// Of ours.
    Ours(tapsock::net::TcpStream),
    /// Of the kernel's.
    Kernel(std::net::TcpStream),
}

/// A listener of either side.
///
/// ```
/// use tapsock_tests::bench::{Family, Setup};
/// use tapsock_tests::sides::Side;
///
/// let Some(bench) = Setup::new().open() else { return };
/// let listener = bench.listen(Side::Ours, bench.at(Side::Ours, Family::V6, 0)).unwrap();
/// let client = bench.connect(Side::Kernel, listener.local_addr().unwrap()).unwrap();
/// assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
/// ```
#[derive(Debug)]
pub enum Listener {
    /// Of ours.
    Ours(tapsock::net::TcpListener),
    /// Of the kernel's.
    Kernel(std::net::TcpListener),
}

/// A UDP socket of either side. Its receives end after [`PATIENCE`].
///
/// ```
/// use tapsock_tests::bench::{Family, Setup};
/// use tapsock_tests::sides::Side;
///
/// let Some(bench) = Setup::new().open() else { return };
/// let [ours, kernels] = Side::ALL.map(|side| bench.datagrams(side, bench.at(side, Family::V4, 0)).unwrap());
/// kernels.send_to(b"hello", ours.local_addr().unwrap()).unwrap();
/// assert_eq!(ours.recv_from(&mut [0; 10]).unwrap(), (5, kernels.local_addr().unwrap()));
/// ```
#[derive(Debug)]
pub enum Datagrams {
    /// Of ours.
    Ours(tapsock::net::UdpSocket),
    /// Of the kernel's.
    Kernel(std::net::UdpSocket),
}

macro_rules! either {
    ($enum:ident, $value:expr, $socket:ident => $call:expr) => {
        match $value {
            $enum::Ours($socket) => $call,
            $enum::Kernel($socket) => $call,
        }
    };
}

impl Bench {
    /// Listens at `address`. Waiting for a connection ends after [`PATIENCE`].
    ///
    /// # Errors
    /// Those of bind(2) and listen(2).
    pub fn listen(&self, side: Side, address: SocketAddr) -> io::Result<Listener> {
        match side {
            Side::Ours => {
                let listener = tapsock::net::TcpListener::bind(&self.host, address)?;
                let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
                bsd::setsockopt(&self.host, listener.socket_id()?, SOL_SOCKET, SO_RCVTIMEO, &patience)?;
                Ok(Listener::Ours(listener))
            }
            Side::Kernel => {
                let listener = self.namespace.tcp_listen(address)?;
                set_socket_timeout(&listener, Timeout::Recv, Some(PATIENCE))?;
                Ok(Listener::Kernel(listener))
            }
        }
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, side: Side, address: SocketAddr) -> io::Result<Stream> {
        match side {
            Side::Ours => Stream::Ours(tapsock::net::TcpStream::connect(&self.host, address)?),
            Side::Kernel => Stream::Kernel(self.namespace.tcp_connect(address)?),
        }
        .patient()
    }

    /// A UDP socket at `address`.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn datagrams(&self, side: Side, address: SocketAddr) -> io::Result<Datagrams> {
        let socket = match side {
            Side::Ours => Datagrams::Ours(tapsock::net::UdpSocket::bind(&self.host, address)?),
            Side::Kernel => Datagrams::Kernel(self.namespace.udp_bind(address)?),
        };
        either!(Datagrams, &socket, socket => socket.set_read_timeout(Some(PATIENCE)))?;
        Ok(socket)
    }
}

impl Listener {
    /// Takes a connection.
    ///
    /// # Errors
    /// Those of accept(2).
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = match self {
            Listener::Ours(listener) => listener.accept().map(|(stream, peer)| (Stream::Ours(stream), peer)),
            Listener::Kernel(listener) => {
                listener.accept().map(|(stream, peer)| (Stream::Kernel(stream), peer))
            }
        }?;
        Ok((stream.patient()?, peer))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Listener, self, listener => listener.local_addr())
    }
}

impl Stream {
    fn patient(self) -> io::Result<Stream> {
        either!(Stream, &self, stream => {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
        });
        Ok(self)
    }

    /// Ends a direction.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(Stream, self, stream => stream.shutdown(how))
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Stream, self, stream => stream.local_addr())
    }

    /// The pending error, taken.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(Stream, self, stream => stream.take_error())
    }

    /// Another handle of the same connection.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn try_clone(&self) -> io::Result<Stream> {
        match self {
            Stream::Ours(stream) => stream.try_clone().map(Stream::Ours),
            Stream::Kernel(stream) => stream.try_clone().map(Stream::Kernel),
        }
    }

    /// Closes the connection with a reset: SO_LINGER with a time of zero.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn reset(self) -> io::Result<()> {
        match &self {
            Stream::Ours(stream) => {
                let on_for_no_time = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
                bsd::setsockopt(stream.host(), stream.socket_id()?, SOL_SOCKET, SO_LINGER, &on_for_no_time)?;
            }
            Stream::Kernel(stream) => set_socket_linger(stream, Some(Duration::ZERO))?,
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        either!(Stream, self, stream => stream.read(into))
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        either!(Stream, self, stream => stream.write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(Stream, self, stream => stream.flush())
    }
}

impl Datagrams {
    /// Sends a datagram to `address`.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn send_to(&self, data: &[u8], address: SocketAddr) -> io::Result<usize> {
        either!(Datagrams, self, socket => socket.send_to(data, address))
    }

    /// Receives one.
    ///
    /// # Errors
    /// Those of recvfrom(2).
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(Datagrams, self, socket => socket.recv_from(into))
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        either!(Datagrams, self, socket => socket.connect(address))
    }

    /// Sends a datagram to where the socket is connected.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        either!(Datagrams, self, socket => socket.send(data))
    }

    /// Receives one.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        either!(Datagrams, self, socket => socket.recv(into))
    }

    /// How long a receive waits.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        either!(Datagrams, self, socket => socket.set_read_timeout(Some(timeout)))
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Datagrams, self, socket => socket.local_addr())
    }
}
