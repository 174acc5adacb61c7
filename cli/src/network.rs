//! The kernel's sockets and tapsock's behind one trait, so that a client or a server is written once and runs on either.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use tapsock::Host;

use crate::icmp::{EchoSocket, KernelEcho, TapsockEcho};

/// A place to open sockets in.
pub trait Network: Clone + Send + Sync + 'static {
    /// Its TCP connections.
    type Stream: Stream;
    /// Its listening sockets.
    type Listener: Listener<Stream = Self::Stream>;
    /// Its UDP sockets.
    type Datagrams: Datagrams;
    /// Its sockets that send echo requests.
    type Echo: EchoSocket;

    /// Connects, for `timeout` at most.
    fn connect(&self, to: SocketAddr, timeout: Duration) -> io::Result<Self::Stream>;
    /// Listens.
    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener>;
    /// A UDP socket.
    fn datagrams(&self, at: SocketAddr) -> io::Result<Self::Datagrams>;
    /// A socket that sends echo requests to `to` and gets the answers.
    fn echo(&self, to: IpAddr) -> io::Result<Self::Echo>;
}

/// A connection, of whatever kind.
pub trait Duplex: Read + Write + Send + Sized + 'static {
    /// Another handle of the same connection.
    fn another(&self) -> io::Result<Self>;
    /// Ends a direction.
    fn end(&self, how: Shutdown) -> io::Result<()>;
    /// How long a read waits.
    fn read_patience(&self, limit: Option<Duration>) -> io::Result<()>;
    /// How long a write waits.
    fn write_patience(&self, limit: Option<Duration>) -> io::Result<()>;

    /// How long a read or a write waits.
    fn patience(&self, limit: Option<Duration>) -> io::Result<()> {
        self.read_patience(limit)?;
        self.write_patience(limit)
    }
}

/// A TCP connection.
pub trait Stream: Duplex {
    /// Sends small segments at once.
    fn at_once(&self) -> io::Result<()>;
    /// The other end.
    fn peer(&self) -> io::Result<SocketAddr>;
}

/// A listening socket.
pub trait Listener: Send + 'static {
    /// What it gives.
    type Stream: Stream;

    /// The next connection.
    fn next(&self) -> io::Result<Self::Stream>;
    /// Where it listens.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket.
pub trait Datagrams: Send + 'static {
    /// Sends one datagram.
    fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()>;
    /// The next datagram, its length and its sender.
    fn receive(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// Its own address.
    fn address(&self) -> io::Result<SocketAddr>;
    /// How long a receive waits.
    fn patience(&self, limit: Duration) -> io::Result<()>;
}

/// The network of the namespace that the process is in, by the kernel's sockets.
#[derive(Copy, Clone, Debug)]
pub struct Kernel;

impl Network for Kernel {
    type Stream = std::net::TcpStream;
    type Listener = std::net::TcpListener;
    type Datagrams = std::net::UdpSocket;
    type Echo = KernelEcho;

    fn connect(&self, to: SocketAddr, timeout: Duration) -> io::Result<Self::Stream> {
        std::net::TcpStream::connect_timeout(&to, timeout)
    }

    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener> {
        std::net::TcpListener::bind(at)
    }

    fn datagrams(&self, at: SocketAddr) -> io::Result<Self::Datagrams> {
        std::net::UdpSocket::bind(at)
    }

    fn echo(&self, to: IpAddr) -> io::Result<KernelEcho> {
        KernelEcho::open(to)
    }
}

impl Network for Host {
    type Stream = tapsock::net::TcpStream;
    type Listener = tapsock::net::TcpListener;
    type Datagrams = tapsock::net::UdpSocket;
    type Echo = TapsockEcho;

    fn connect(&self, to: SocketAddr, timeout: Duration) -> io::Result<Self::Stream> {
        tapsock::net::TcpStream::connect_timeout(self, &to, timeout)
    }

    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener> {
        tapsock::net::TcpListener::bind(self, at)
    }

    fn datagrams(&self, at: SocketAddr) -> io::Result<Self::Datagrams> {
        tapsock::net::UdpSocket::bind(self, at)
    }

    fn echo(&self, to: IpAddr) -> io::Result<TapsockEcho> {
        TapsockEcho::open(self, to)
    }
}

/// The types of both have the same methods, because tapsock's have the names of std's.
macro_rules! duplex {
    ($kind:ty) => {
        impl Duplex for $kind {
            fn another(&self) -> io::Result<Self> {
                self.try_clone()
            }

            fn end(&self, how: Shutdown) -> io::Result<()> {
                self.shutdown(how)
            }

            fn read_patience(&self, limit: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(limit)
            }

            fn write_patience(&self, limit: Option<Duration>) -> io::Result<()> {
                self.set_write_timeout(limit)
            }
        }
    };
}

duplex!(std::net::TcpStream);
duplex!(tapsock::net::TcpStream);
duplex!(std::os::unix::net::UnixStream);
duplex!(tapsock::unix::UnixStream);

macro_rules! sockets {
    ($($module:ident)::+) => {
        impl Stream for $($module)::+::TcpStream {
            fn at_once(&self) -> io::Result<()> {
                self.set_nodelay(true)
            }

            fn peer(&self) -> io::Result<SocketAddr> {
                self.peer_addr()
            }
        }

        impl Listener for $($module)::+::TcpListener {
            type Stream = $($module)::+::TcpStream;

            fn next(&self) -> io::Result<Self::Stream> {
                self.accept().map(|(stream, _)| stream)
            }

            fn address(&self) -> io::Result<SocketAddr> {
                self.local_addr()
            }
        }

        impl Datagrams for $($module)::+::UdpSocket {
            fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
                self.send_to(bytes, to).map(drop)
            }

            fn receive(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
                self.recv_from(into)
            }

            fn address(&self) -> io::Result<SocketAddr> {
                self.local_addr()
            }

            fn patience(&self, limit: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(limit))
            }
        }
    };
}

sockets!(std::net);
sockets!(tapsock::net);

/// The address that means any of a family, with port 0.
pub fn any_of(address: IpAddr) -> SocketAddr {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, 0)
}
