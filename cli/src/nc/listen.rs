//! Listening.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};

use super::exchange::{Input, Side, exchange_datagrams};
use super::ports::port;
use super::{Options, usage};
use crate::accepting::Accepting;
use crate::attach::{Tell, Wish};
use crate::failure::{During, Failure};
use crate::marks::Marks;
use crate::reach::LAST_BYTES;
use crate::resolve::look_up;
use crate::splice::{self, Joined, Senders};

/// Where to listen.
struct Place {
    /// The address, where one is given.
    address: Option<IpAddr>,
    port: u16,
}

impl Place {
    fn of(options: &Options) -> Result<Place, Failure> {
        let (address, wanted) = match (options.place.as_slice(), &options.port) {
            ([], Some(wanted)) | ([wanted], None) => (None, wanted),
            ([address], Some(wanted)) | ([address, wanted], None) => (Some(address), wanted),
            _ => return Err(usage("-l needs one port", "tapsock nc -l PORT, or tapsock nc -l -p PORT")),
        };
        let port = port(wanted, options.protocol())?;
        let address = match address {
            None => options.source,
            Some(address) => {
                let found = look_up(address, port, options.family, options.names(), None);
                found.during(format_args!("look up {address}"))?.iter().next().map(|found| found.ip())
            }
        };
        Ok(Place { address, port })
    }

    /// It, with any address where none is given.
    fn or_any(&self, any: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(any.into()), self.port)
    }
}

/// Takes one connection after the other, or only one.
///
/// Attached to a network, the stack listens in it. Otherwise it listens for itself, and a port of the machine's is
/// joined with its own.
pub fn listen(options: &Options) -> Result<(), Failure> {
    let place = Place::of(options)?;
    if !options.attach.is_chosen() {
        let host = options.attach.start_alone()?;
        let any: IpAddr = match options.family.is_v6() {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        };
        let outside = place.or_any(any);
        let done = match options.udp {
            true => take_datagrams_of_the_machine(options, &host, outside),
            false => take_streams(options, Door::of_the_machine(options, &host, outside)?),
        };
        host.shutdown();
        return done;
    }
    let attached = options.attach.open(Wish::Auto, Tell::Choice)?;
    // IPv6's takes IPv4's connections too.
    let both = options.family.has(Ipv4Addr::LOCALHOST.into()) && !options.udp;
    let at = match both && options.family.has(Ipv6Addr::LOCALHOST.into()) || options.family.is_v6() {
        true => place.or_any(Ipv6Addr::UNSPECIFIED),
        false => place.or_any(Ipv4Addr::UNSPECIFIED),
    };
    attached.finish_capture_when_interrupted()?;
    let done = if options.udp {
        let socket = UdpSocket::bind(&attached.host, at).during(format_args!("bind UDP {at}"))?;
        options.tell(&format!("Listening on {} (udp)", socket.local_addr().during("getsockname")?));
        take_datagrams(options, socket)
    } else {
        let listener = TcpListener::bind(&attached.host, at).during(format_args!("listen at {at}"))?;
        options.tell(&format!("Listening on {}", listener.local_addr().during("getsockname")?));
        take_streams(options, Door::Stack(Accepting::new(listener)))
    };
    attached.host.shutdown();
    done.map_err(|failure| failure.or_gone(&attached.link))
}

/// Where connections come in.
enum Door {
    /// At the stack's own port.
    Stack(Accepting<TcpListener>),
    /// At a port of the machine's, from where each goes on to the stack's.
    Machine { front: Accepting<std::net::TcpListener>, host: Host, inside: TcpListener },
}

/// A connection that has come in.
struct Visitor {
    stream: TcpStream,
    /// Whose it is, as the listener's network says.
    peer: SocketAddr,
    /// The way to the machine's network.
    joined: Option<Joined>,
}

impl Door {
    /// A port of the machine's, with a listener of the stack's behind it.
    fn of_the_machine(options: &Options, host: &Host, outside: SocketAddr) -> Result<Door, Failure> {
        let inside = TcpListener::bind(host, "127.0.0.1:0").during("listen")?;
        let front = std::net::TcpListener::bind(outside).during(format_args!("listen at {outside}"))?;
        options.tell(&format!("Listening on {}", front.local_addr().during("getsockname")?));
        Ok(Door::Machine { front: Accepting::new(front), host: host.clone(), inside })
    }

    /// The next connection.
    ///
    /// # Errors
    /// What makes further ones impossible.
    fn next(&mut self, marks: Marks) -> Result<Visitor, Failure> {
        match self {
            Door::Stack(accepting) => loop {
                let stream = accepting.next().during(format_args!("accept at {}", accepting.place()))?;
                // One that was reset meanwhile has no peer.
                if let Ok(peer) = stream.peer_addr() {
                    return Ok(Visitor { stream, peer, joined: None });
                }
            },
            Door::Machine { front, host, inside } => loop {
                let outside = front.next().during(format_args!("accept at {}", front.place()))?;
                let Ok(peer) = outside.peer_addr() else { continue };
                marks.mark_outside(&outside, peer).during("mark packets")?;
                let address = inside.local_addr().during("getsockname")?;
                let relay = TcpStream::connect(host, address).during("join the stack")?;
                let (stream, _) = inside.accept().during("join the stack")?;
                match Joined::start(relay, outside).during("join the stack") {
                    Ok(joined) => return Ok(Visitor { stream, peer, joined: Some(joined) }),
                    // It lacks a descriptor, and so may the next one.
                    Err(failure) => crate::complain(&failure),
                }
            },
        }
    }
}

fn take_streams(options: &Options, mut door: Door) -> Result<(), Failure> {
    let input = Input::start(options.manner(Side::Server));
    let attend = |visitor: Visitor| {
        let Visitor { stream, peer, joined } = visitor;
        options.tell(&format!("Connection received from {peer}"));
        stream
            .socket_id()
            .and_then(|id| options.marks().mark(stream.host(), id, stream.peer_addr()?))
            .during("mark packets")?;
        let ended = input.exchange(stream).during(format_args!("connection from {peer}"));
        if let Some(joined) = joined {
            joined.wait_until_written(LAST_BYTES);
        }
        ended
    };
    if !options.keep {
        let visitor = door.next(options.marks())?;
        // Further ones are refused.
        drop(door);
        return attend(visitor);
    }
    loop {
        // The next one may fare better.
        if let Err(failure) = attend(door.next(options.marks())?) {
            crate::complain(&failure);
        }
    }
}

/// Talks with whoever sends first, as nc does, and with nobody else; with -k, only listens, and to everybody.
fn take_datagrams(options: &Options, socket: UdpSocket) -> Result<(), Failure> {
    let mut manner = options.manner(Side::Server);
    if options.keep {
        manner.deaf = true;
    } else {
        let (_, peer) = socket.peek_from(&mut [0; 1]).during("receive")?;
        socket.connect(peer).during(format_args!("connect to {peer}"))?;
        options.tell(&format!("Connection received from {peer}"));
    }
    exchange_datagrams(socket, manner).during("datagrams")
}

/// As [`take_datagrams`] at a port of the machine's, from where they go on to a socket of the stack's.
fn take_datagrams_of_the_machine(options: &Options, host: &Host, at: SocketAddr) -> Result<(), Failure> {
    let front = std::net::UdpSocket::bind(at).during(format_args!("bind UDP {at}"))?;
    options.tell(&format!("Listening on {} (udp)", front.local_addr().during("getsockname")?));
    options.marks().mark_outside(&front, at).during("mark packets")?;
    let mut manner = options.manner(Side::Server);
    let senders = if options.keep {
        manner.deaf = true;
        Senders::Anybody
    } else {
        let (_, peer) = front.peek_from(&mut [0; 1]).during("receive")?;
        front.connect(peer).during(format_args!("connect to {peer}"))?;
        options.tell(&format!("Connection received from {peer}"));
        Senders::Peer(peer)
    };
    let [relay, socket] = [0; 2].map(|_| UdpSocket::bind(host, "127.0.0.1:0").during("bind UDP"));
    let (relay, socket) = (relay?, socket?);
    let joined = relay
        .local_addr()
        .and_then(|address| socket.connect(address))
        .and_then(|()| relay.connect(socket.local_addr()?))
        .and_then(|()| splice::join_datagrams(front, senders, relay, socket.try_clone()?));
    joined.during("join the stack")?;
    exchange_datagrams(socket, manner).during("datagrams")
}
