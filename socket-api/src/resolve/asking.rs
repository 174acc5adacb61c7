//! Name servers asked over a host's own sockets, by the thread that wants to know.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;
use std::io::{self, Read, Write};

use tapsock_stack::iface::InterfaceId;
use tapsock_stack::time::Instant;

use super::dns::{
    AddressType, Found, ResolvConf, Resolver, SEARCH_MAX, SERVERS_MAX, Transmit, Transport, UDP_SIZE,
};
use super::error::EaiError;
use crate::engine::clock::now;
use crate::engine::sync::{MutexGuard, lock};
use crate::host::Host;
use crate::net::{TcpStream, UdpSocket};

/// Where servers listen.
const PORT: u16 = 53;

/// Whom the host asks now: those that it was given; where it was given none, those that DHCP and then routers told of. The same
/// of the domains that are searched.
pub(crate) fn conf(host: &Host) -> ResolvConf {
    let mut conf = host.resolv_conf().clone();
    if !conf.servers.is_empty() {
        return conf;
    }
    let lease = host.lease();
    if let Some(lease) = &lease {
        conf.servers.extend(lease.name_servers.iter().map(|server| SocketAddr::from((*server, PORT))));
    }
    let turn = host.shard().turn();
    let stack = turn.state.sockets.stack();
    let told = stack.resolvers(turn.now);
    conf.servers.extend(told.map(|(interface, server)| router_told(interface, server)));
    if conf.search.is_empty() {
        conf.search.extend(lease.and_then(|lease| lease.domain));
        for domain in stack.domains(turn.now) {
            if conf.search.len() < SEARCH_MAX && conf.search.iter().all(|known| known != domain) {
                conf.search.push(domain.to_owned());
            }
        }
    }
    turn.finish();
    conf.servers.truncate(SERVERS_MAX);
    conf
}

/// A server may have a link-local address; the interface says on which link.
fn router_told(interface: InterfaceId, server: Ipv6Addr) -> SocketAddr {
    let zone = if server.is_unicast_link_local() { interface.index() } else { 0 };
    SocketAddrV6::new(server, PORT, 0, zone).into()
}

/// Looks the name up, as long as that takes.
///
/// Errors: those of [`Lookup::outcome`](super::dns::Lookup::outcome).
pub(crate) fn look_up(host: &Host, name: &str, kinds: &[AddressType]) -> Result<Found, EaiError> {
    let conf = conf(host);
    let mut lookup = {
        let mut resolver = resolver(host);
        resolver.set_conf(conf);
        resolver.look_up(now(), name, kinds)
    };
    let mut channel = None;
    loop {
        if let Some(outcome) = lookup.outcome() {
            return outcome.clone();
        }
        // Strangers that never stop talking do not make anybody wait longer.
        let Some(deadline) = lookup.poll_timeout().filter(|deadline| *deadline > now()) else {
            lookup.on_timeout(&mut resolver(host), now());
            continue;
        };
        let transmit = lookup.poll_transmit(&mut resolver(host));
        let heard = match transmit {
            Some(transmit) => Channel::open(host, &transmit, deadline).map(|opened| {
                channel = Some((transmit.server, opened));
                None
            }),
            None => match &mut channel {
                Some((server, open)) => open.receive(deadline).map(|bytes| Some((*server, bytes))),
                // Nothing is sent, and nothing was: nobody can answer.
                None => Err(io::ErrorKind::NotConnected.into()),
            },
        };
        match heard {
            Ok(None) => {}
            Ok(Some((server, bytes))) => lookup.on_message(&mut resolver(host), now(), server, &bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                channel = None;
                lookup.on_failure(&mut resolver(host), now());
            }
        }
    }
}

fn resolver(host: &Host) -> MutexGuard<'_, Resolver> {
    lock(host.resolver())
}

/// A socket that talks with one server. Its port is the stack's choice, which is random (RFC 6056), and it hears only
/// that server.
enum Channel {
    Datagrams(UdpSocket),
    Stream(TcpStream),
}

impl Channel {
    fn open(host: &Host, transmit: &Transmit, deadline: Instant) -> io::Result<Channel> {
        let server = transmit.server;
        match transmit.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(host, any(server))?;
                socket.connect(server)?;
                for message in &transmit.messages {
                    socket.send(message)?;
                }
                Ok(Channel::Datagrams(socket))
            }
            Transport::Tcp => {
                let mut stream = TcpStream::connect_timeout(host, &server, left(deadline)?)?;
                stream.set_write_timeout(Some(left(deadline)?))?;
                let mut bytes = Vec::new();
                for message in &transmit.messages {
                    let len = u16::try_from(message.len()).map_err(io::Error::other)?;
                    bytes.extend_from_slice(&len.to_be_bytes());
                    bytes.extend_from_slice(message);
                }
                stream.write_all(&bytes)?;
                Ok(Channel::Stream(stream))
            }
        }
    }

    /// The next message.
    ///
    /// Errors: WouldBlock at the deadline; ECONNREFUSED and its like; UnexpectedEof.
    fn receive(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        match self {
            Channel::Datagrams(socket) => {
                socket.set_read_timeout(Some(left(deadline)?))?;
                // Larger ones are longer than was asked for.
                let mut bytes = vec![0; usize::from(UDP_SIZE)];
                let len = socket.recv(&mut bytes)?;
                bytes.truncate(len);
                Ok(bytes)
            }
            Channel::Stream(stream) => {
                let mut len = [0; 2];
                read_exact(stream, &mut len, deadline)?;
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
                read_exact(stream, &mut bytes, deadline)?;
                Ok(bytes)
            }
        }
    }
}

fn read_exact(stream: &mut TcpStream, mut into: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !into.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(into)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => into = &mut into[len..],
        }
    }
    Ok(())
}

/// The time until then, more than none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_since(now());
    if left.is_zero() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(left) }
}

fn any(server: SocketAddr) -> SocketAddr {
    let any = match server.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, 0)
}
