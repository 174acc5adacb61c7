//! Listening.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};

use super::exchange::{Input, Side, exchange_datagrams};
use super::ports::port;
use super::{Options, usage};
use crate::attach::{Tell, Wish};
use crate::failure::{During, Failure};
use crate::resolve::look_up;
use crate::splice;

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
                let found = look_up(address, port, options.family, options.names());
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
        let inside = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let done = match options.udp {
            true => take_datagrams(options, publish_datagrams(options, &host, outside)?),
            false => take_streams(options, publish(options, &host, inside, outside)?),
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
        take_streams(options, listener)
    };
    attached.host.shutdown();
    done.map_err(|failure| failure.or_gone(&attached.link))
}

/// A listener of the stack's that gets the connections to `outside`, a port of the machine's.
fn publish(
    options: &Options,
    host: &Host,
    inside: SocketAddr,
    outside: SocketAddr,
) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(host, inside).during("listen")?;
    let inside = listener.local_addr().during("getsockname")?;
    let front = std::net::TcpListener::bind(outside).during(format_args!("listen at {outside}"))?;
    options.tell(&format!("Listening on {}", front.local_addr().during("getsockname")?));
    let host = host.clone();
    splice::listen(front, move || TcpStream::connect(&host, inside)).during("publish")?;
    Ok(listener)
}

/// A socket of the stack's that gets the datagrams to `outside`, a port of the machine's.
fn publish_datagrams(options: &Options, host: &Host, outside: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = UdpSocket::bind(host, "127.0.0.1:0").during("bind UDP")?;
    let inside = socket.local_addr().during("getsockname")?;
    let front = std::net::UdpSocket::bind(outside).during(format_args!("bind UDP {outside}"))?;
    options.tell(&format!("Listening on {} (udp)", front.local_addr().during("getsockname")?));
    let back = UdpSocket::bind(host, "127.0.0.1:0").during("bind UDP")?;
    splice::datagrams(front, back, inside).during("publish")?;
    Ok(socket)
}

fn take_streams(options: &Options, listener: TcpListener) -> Result<(), Failure> {
    let input = Input::start(options.manner(Side::Server));
    loop {
        let (stream, peer) = listener.accept().during("accept")?;
        if options.verbose {
            eprintln!("Connection received from {peer}");
        }
        let ended = input.exchange(stream).during(format_args!("connection from {peer}"));
        match (ended, options.keep) {
            (ended, false) => return ended,
            // The next one may fare better.
            (Err(failure), true) => crate::complain(&failure),
            (Ok(()), true) => {}
        }
    }
}

fn take_datagrams(options: &Options, socket: UdpSocket) -> Result<(), Failure> {
    let (_, peer) = socket.peek_from(&mut [0; 1]).during("receive")?;
    // As nc does: who sent first is whom it talks with.
    socket.connect(peer).during(format_args!("connect to {peer}"))?;
    if options.verbose {
        eprintln!("Connection received from {peer}");
    }
    exchange_datagrams(socket, options.manner(Side::Server)).during("datagrams")
}
