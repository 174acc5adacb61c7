//! How a client's connection gets to where it should.
//!
//! Without a network of its own, the stack sits on a wire in memory, and at the wire's other end a second host
//! hands each connection on to the machine's network: a relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::auto::LinkKind;

use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::failure::Failure;
use crate::marks::Marks;
use crate::network::any_of;
use crate::splice::{self, Joined, Senders};

/// What a UDP port is asked with: as OpenBSD's nc does.
const PROBE: &[u8] = b"X";
/// How long the last bytes may take from a relay to the machine's network.
pub const LAST_BYTES: Duration = Duration::from_secs(2);

/// Where a connection or a datagram is to come from.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// `None`: whichever the route gives.
    pub address: Option<IpAddr>,
    /// 0: any.
    pub port: u16,
    /// How its packets are marked.
    pub marks: Marks,
}

impl Origin {
    fn for_peer(self, peer: IpAddr) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(any_of(peer).ip()), self.port)
    }
}

/// A connection to somebody.
#[derive(Debug)]
pub struct Reached {
    /// The stack's end.
    pub stream: TcpStream,
    /// Where it comes from, as the peer sees it.
    pub local: SocketAddr,
    /// Whom it reaches.
    pub peer: SocketAddr,
}

/// A host, and the way from it to others.
pub struct Reach {
    /// What it is attached to.
    pub attached: Attached,
    /// Connections that a relay has handed on.
    handed_on: Mutex<Vec<Joined>>,
}

impl Reach {
    /// Opens what `attach` asks for; a relay, where that is nothing.
    ///
    /// # Errors
    /// Those of [`Attach::open`].
    pub fn open(attach: &Attach, tell: Tell) -> Result<Self, Failure> {
        let attached = attach.open(Wish::Kind(LinkKind::Memory), tell)?;
        attached.finish_capture_when_interrupted()?;
        Ok(Reach { attached, handed_on: Mutex::default() })
    }

    /// The stack.
    pub fn host(&self) -> &Host {
        &self.attached.host
    }

    /// Connects to `target`, from the machine's or the stack's own address `from`.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRINUSE, EADDRNOTAVAIL, and what else bind(2) and connect(2) say.
    pub fn connect(&self, target: SocketAddr, from: Origin, timeout: Duration) -> io::Result<Reached> {
        let Some((relay, address)) = self.relay(target) else {
            let stream = match from == Origin::default() {
                true => TcpStream::connect_timeout(self.host(), &target, timeout),
                false => {
                    let own = from.for_peer(target.ip());
                    TcpStream::connect_from(self.host(), &own, &target, Some(timeout))
                }
            }?;
            // The first packets have gone as usual: those of a connection are marked once it stands.
            from.marks.mark(self.host(), stream.socket_id()?, target)?;
            let local = stream.local_addr()?;
            return Ok(Reached { stream, local, peer: target });
        };
        // Whether somebody listens is found out first, and then the relay does as they do.
        match connect_outside(target, from, timeout) {
            Ok(outside) => {
                let local = outside.local_addr()?;
                let listener = TcpListener::bind(relay, address)
                    .or_else(|_| TcpListener::bind(relay, (address.ip(), 0)))?;
                let stream = TcpStream::connect_timeout(self.host(), &listener.local_addr()?, timeout)?;
                from.marks.mark(self.host(), stream.socket_id()?, address)?;
                let (inside, _) = listener.accept()?;
                let joined = Joined::start(inside, outside)?;
                self.handed_on.lock().unwrap_or_else(PoisonError::into_inner).push(joined);
                Ok(Reached { stream, local, peer: target })
            }
            Err(error) if error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => {
                let stream = TcpStream::connect_timeout(self.host(), &address, timeout)?;
                Ok(Reached { local: stream.local_addr()?, stream, peer: target })
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until a relay has handed on what was sent on connections that have ended, for a while at most.
    pub fn finish(&self) {
        for joined in self.handed_on.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            joined.wait_until_written(LAST_BYTES);
        }
    }

    /// A UDP socket whose peer is `target`, from the machine's or the stack's own address `from`.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES, ENETUNREACH.
    pub fn datagrams(&self, target: SocketAddr, from: Origin) -> io::Result<UdpSocket> {
        let Some((relay, address)) = self.relay(target) else {
            let socket = UdpSocket::bind(self.host(), from.for_peer(target.ip()))?;
            from.marks.mark(self.host(), socket.socket_id()?, target)?;
            socket.connect(target)?;
            return Ok(socket);
        };
        let outside = std::net::UdpSocket::bind(from.for_peer(target.ip()))?;
        from.marks.mark_outside(&outside, target)?;
        outside.connect(target)?;
        let relay = UdpSocket::bind(relay, address)?;
        let socket = UdpSocket::bind(self.host(), any_of(address.ip()))?;
        from.marks.mark(self.host(), socket.socket_id()?, address)?;
        socket.connect(address)?;
        relay.connect(socket.local_addr()?)?;
        splice::join_datagrams(outside, Senders::Peer(target), relay, socket.try_clone()?)?;
        Ok(socket)
    }

    /// Sends `target` a datagram and waits whether it is refused. That a UDP port is open can't be known.
    ///
    /// # Errors
    /// ECONNREFUSED where it is, and what else connect(2) and send(2) say.
    pub fn probe(&self, target: SocketAddr, patience: Duration) -> io::Result<()> {
        if self.relay(target).is_some() {
            // One relay after the other, for a range of ports, would pile up: it asks for itself.
            let outside = std::net::UdpSocket::bind(any_of(target.ip()))?;
            outside.connect(target)?;
            outside.set_read_timeout(Some(patience))?;
            outside.send(PROBE)?;
            return unless_refused(outside.recv(&mut [0; 16]));
        }
        probe(&self.datagrams(target, Origin::default())?, patience)
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

/// Sends a datagram on a connected socket and waits whether it is refused. What is answered stays to be read.
///
/// # Errors
/// ECONNREFUSED where it is, and what else send(2) says.
pub fn probe(socket: &UdpSocket, patience: Duration) -> io::Result<()> {
    let before = socket.read_timeout()?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(PROBE)?;
    let answer = socket.peek(&mut [0; 16]);
    socket.set_read_timeout(before)?;
    unless_refused(answer)
}

/// A connection of the machine's own. The standard library can't choose where it comes from.
fn connect_outside(target: SocketAddr, from: Origin, timeout: Duration) -> io::Result<std::net::TcpStream> {
    if from == Origin::default() {
        return std::net::TcpStream::connect_timeout(&target, timeout);
    }
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    from.marks.mark_outside(&socket, target)?;
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
