//! How a client's connection gets to where it should.
//!
//! Without a network of its own, the stack sits on a wire in memory, and at the wire's other end a second host
//! hands each connection on to the machine's network: a relay.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::auto::LinkKind;

use crate::attach::{Attach, Attached, Peer, Wish};
use crate::failure::Failure;
use crate::network::any_of;
use crate::splice;

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
    pub fn open(attach: &Attach) -> Result<Self, Failure> {
        let attached = attach.open(Wish::Kind(LinkKind::Memory))?;
        Ok(Reach { attached })
    }

    /// The stack.
    pub fn host(&self) -> &Host {
        &self.attached.host
    }

    /// Connects to `target`.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, and what else connect(2) says.
    pub fn connect(&self, target: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        let Some((relay, address)) = self.relay(target) else {
            return TcpStream::connect_timeout(self.host(), &target, timeout);
        };
        // Whether somebody listens is found out first, and then the relay does as they do.
        match std::net::TcpStream::connect_timeout(&target, timeout) {
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

    /// A UDP socket whose peer is `target`, bound to `port` where it is not 0.
    ///
    /// # Errors
    /// EADDRINUSE, EACCES, ENETUNREACH.
    pub fn datagrams(&self, target: SocketAddr, port: u16) -> io::Result<UdpSocket> {
        let (there, own) = match self.relay(target) {
            None => (target, SocketAddr::new(any_of(target.ip()).ip(), port)),
            Some((relay, address)) => {
                let outside = std::net::UdpSocket::bind(SocketAddr::new(any_of(target.ip()).ip(), port))?;
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
        let socket = self.datagrams(target, 0)?;
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

fn unless_refused(answer: io::Result<usize>) -> io::Result<()> {
    match answer {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
