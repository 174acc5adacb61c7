//! How a client's connection gets to where it should.
//!
//! Without a network of its own, the stack sits on a wire in memory, and at the wire's other end a second host
//! hands each connection on to the machine's network: a relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::auto::LinkKind;

use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::failure::Failure;
use crate::network::any_of;
use crate::splice;

/// Where a connection or a datagram is to come from.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// `None`: whichever the route gives.
    pub address: Option<IpAddr>,
    /// 0: any.
    pub port: u16,
}

impl Origin {
    fn for_peer(self, peer: IpAddr) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(any_of(peer).ip()), self.port)
    }
}

/// A host, and the way from it to others.
pub struct Reach {
    /// What it is attached to.
    pub attached: Attached,
}

impl Reach {
    /// Opens what `attach` asks for; a relay, where that is nothing.
    ///
    /// # Errors
    /// Those of [`Attach::open`].
    pub fn open(attach: &Attach, tell: Tell) -> Result<Self, Failure> {
        let attached = attach.open(Wish::Kind(LinkKind::Memory), tell)?;
        attached.finish_capture_when_interrupted()?;
        Ok(Reach { attached })
    }

    /// The stack.
    pub fn host(&self) -> &Host {
        &self.attached.host
    }

    /// Connects to `target`, from the machine's or the stack's own address `from`.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRINUSE, EADDRNOTAVAIL, and what else bind(2) and connect(2) say.
    pub fn connect(&self, target: SocketAddr, from: Origin, timeout: Duration) -> io::Result<TcpStream> {
        let Some((relay, address)) = self.relay(target) else {
            return match from == Origin::default() {
                true => TcpStream::connect_timeout(self.host(), &target, timeout),
                false => {
                    let own = from.for_peer(target.ip());
                    TcpStream::connect_from(self.host(), &own, &target, Some(timeout))
                }
            };
        };
        // Whether somebody listens is found out first, and then the relay does as they do.
        match connect_outside(target, from, timeout) {
            Ok(outside) => {
                let listener = TcpListener::bind(relay, address)
                    .or_else(|_| TcpListener::bind(relay, (address.ip(), 0)))?;
                let address = listener.local_addr()?;
                let inside = std::thread::spawn(move || {
                    let (inside, _) = listener.accept()?;
                    splice::streams(inside, outside)
                });
                drop(inside);
                TcpStream::connect_timeout(self.host(), &address, timeout)
            }
            Err(error) if error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => {
                TcpStream::connect_timeout(self.host(), &address, timeout)
            }
            Err(error) => Err(error),
        }
    }

    /// A UDP socket whose peer is `target`, from the machine's or the stack's own address `from`.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES, ENETUNREACH.
    pub fn datagrams(&self, target: SocketAddr, from: Origin) -> io::Result<UdpSocket> {
        let (there, own) = match self.relay(target) {
            None => (target, from.for_peer(target.ip())),
            Some((relay, address)) => {
                let outside = std::net::UdpSocket::bind(from.for_peer(target.ip()))?;
                splice::datagrams(UdpSocket::bind(relay, address)?, outside, target)?;
                (address, any_of(address.ip()))
            }
        };
        let socket = UdpSocket::bind(self.host(), own)?;
        socket.connect(there)?;
        Ok(socket)
    }

    /// Sends `target` a datagram and waits whether it is refused. That a UDP port is open can't be known.
    ///
    /// # Errors
    /// ECONNREFUSED where it is, and what else connect(2) and send(2) say.
    pub fn probe(&self, target: SocketAddr, patience: Duration) -> io::Result<()> {
        if self.relay(target).is_some() {
            // A relay hears of a refusal and can't pass it on: it asks for itself first.
            let outside = std::net::UdpSocket::bind(any_of(target.ip()))?;
            outside.connect(target)?;
            outside.set_read_timeout(Some(patience))?;
            outside.send(b"\n")?;
            return unless_refused(outside.recv(&mut [0; 16]));
        }
        let socket = self.datagrams(target, Origin::default())?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(b"\n")?;
        unless_refused(socket.recv(&mut [0; 16]))
    }

    /// The relay and where on it connections for `target` go.
    fn relay(&self, target: SocketAddr) -> Option<(&Host, SocketAddr)> {
        match &self.attached.peer {
            Peer::Host(relay, addresses) => {
                let address = addresses.of_family(target.ip()).or_else(|| addresses.iter().next())?;
                Some((relay, SocketAddr::new(address, target.port())))
            }
            _ => None,
        }
    }
}

/// A connection of the machine's own. The standard library can't choose where it comes from.
fn connect_outside(target: SocketAddr, from: Origin, timeout: Duration) -> io::Result<std::net::TcpStream> {
    if from == Origin::default() {
        return std::net::TcpStream::connect_timeout(&target, timeout);
    }
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    net::bind(&socket, &from.for_peer(target.ip()))?;
    match net::connect(&socket, &target) {
        Err(Errno::INPROGRESS) => {
            let wait = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
            let mut ready = [PollFd::new(&socket, PollFlags::OUT)];
            if rustix::event::poll(&mut ready, Some(&wait))? == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
            }
            net::sockopt::socket_error(&socket)??;
        }
        outcome => outcome?,
    }
    let stream = std::net::TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn unless_refused(answer: io::Result<usize>) -> io::Result<()> {
    match answer {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
