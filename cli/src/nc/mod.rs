//! `tapsock nc`: connects or listens, and joins the connection with standard input and output, as nc(1).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_sockets::Services;

use crate::attach::{Attach, Wish};
use crate::failure::{During, Failure};
use crate::ping::parse_seconds;
use crate::reach::Reach;
use crate::splice;
use exchange::{Input, exchange_datagrams};

mod exchange;

/// How long a connect takes at most, unless told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a scan waits for each port, unless told.
const SCAN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a scan over UDP waits for a refusal.
const UDP_SCAN_PATIENCE: Duration = Duration::from_secs(1);

/// The options of `tapsock nc`.
#[derive(Args, Debug)]
pub struct Options {
    /// Listen for a connection
    #[arg(short)]
    listen: bool,
    /// The port to listen at, or, with -u, to send from
    #[arg(short, value_name = "PORT")]
    port: Option<String>,
    /// UDP instead of TCP
    #[arg(short)]
    udp: bool,
    /// Tell on standard error what is done
    #[arg(short)]
    verbose: bool,
    /// Only see who listens, and send nothing; the port may be a range, such as 20-80
    #[arg(short = 'z', conflicts_with = "listen")]
    scan: bool,
    /// Seconds to wait for the connection, and for more to come
    #[arg(short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// Listen again when a connection has ended
    #[arg(short, requires = "listen")]
    keep: bool,
    /// Where: HOST PORT; with -l the port alone, or an address of the machine and the port
    #[arg(value_name = "HOST PORT", num_args = 0..=2)]
    place: Vec<String>,
    #[command(flatten)]
    attach: Attach,
}

/// Does it. The status is 1 where a scan found nobody.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    if options.listen {
        listen(options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let [host, ports] = options.place.as_slice() else {
        return Err(usage("HOST and PORT are missing", "tapsock nc HOST PORT, or tapsock nc -l PORT"));
    };
    let (first, last) = port_range(ports, options)?;
    if options.scan {
        return scan(options, host, first, last);
    }
    let to = look_up(host, first)?;
    let reach = Reach::open(&options.attach)?;
    if options.udp {
        let port = options.port.as_deref().map_or(Ok(0), |port| self::port(port, options))?;
        let socket = reach.datagrams(to, port).during(format_args!("UDP to {to}"))?;
        return exchange_datagrams(socket, options.patience())
            .during(format_args!("UDP to {to}"))
            .map(|()| done());
    }
    if options.port.is_some() {
        return Err(usage(
            "-p sets no source port over TCP",
            "With -u it does; with -l it says where to listen.",
        ));
    }
    let stream = reach.connect(to, options.patience().unwrap_or(PATIENCE));
    let stream = stream.during(format_args!("connect to {to}"))?;
    options.tell(&format!("Connection to {host} {first} port [tcp/{}] succeeded!", service(first, "tcp")));
    Input::start().exchange(stream, options.patience()).during(format_args!("connection to {to}"))?;
    Ok(done())
}

fn done() -> ExitCode {
    ExitCode::SUCCESS
}

impl Options {
    fn patience(&self) -> Option<Duration> {
        self.timeout.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
    }

    fn tell(&self, line: &str) {
        if self.verbose {
            eprintln!("{line}");
        }
    }
}

/// Tries port after port.
fn scan(options: &Options, host: &str, first: u16, last: u16) -> Result<ExitCode, Failure> {
    let reach = Reach::open(&options.attach)?;
    let protocol = if options.udp { "udp" } else { "tcp" };
    let mut found = false;
    for port in first..=last {
        let to = look_up(host, port)?;
        let outcome = if options.udp {
            reach.probe(to, UDP_SCAN_PATIENCE)
        } else {
            reach.connect(to, options.patience().unwrap_or(SCAN_PATIENCE)).map(drop)
        };
        match outcome {
            Ok(()) => {
                found = true;
                eprintln!(
                    "Connection to {host} {port} port [{protocol}/{}] succeeded!",
                    service(port, protocol)
                );
            }
            Err(error) => {
                options.tell(&format!("nc: connect to {host} port {port} ({protocol}) failed: {error}"))
            }
        }
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes one connection after the other, or only one.
fn listen(options: &Options) -> Result<(), Failure> {
    let (address, wanted) = match (options.place.as_slice(), &options.port) {
        ([], Some(wanted)) => (None, wanted),
        ([wanted], None) => (None, wanted),
        ([address], Some(wanted)) | ([address, wanted], None) => (Some(address), wanted),
        _ => return Err(usage("-l needs one port", "tapsock nc -l PORT, or tapsock nc -l -p PORT")),
    };
    let port = port(wanted, options)?;
    let outside: IpAddr = match address {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(address) => look_up(address, port)?.ip(),
    };
    // Attached to a network, the stack listens in it. Otherwise it listens for itself, and the machine's port is
    // joined with its own.
    let host = match options.attach.is_chosen() {
        true => options.attach.open(Wish::Auto)?.host,
        false => options.attach.start_alone()?,
    };
    let published = (!options.attach.is_chosen()).then(|| SocketAddr::new(outside, port));
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    if options.udp {
        return listen_for_datagrams(options, &host, any, published);
    }
    let listener = match published {
        // Where somebody asks for any port, the machine gives it.
        Some(_) => TcpListener::bind(&host, (Ipv4Addr::LOCALHOST, 0)),
        None => TcpListener::bind(&host, (std::net::Ipv6Addr::UNSPECIFIED, port)),
    };
    let listener = listener.during(format_args!("listen at port {port}"))?;
    let inside = listener.local_addr().during("getsockname")?;
    let mut at = inside;
    if let Some(published) = published {
        let front = std::net::TcpListener::bind(published).during(format_args!("listen at {published}"))?;
        at = front.local_addr().during("getsockname")?;
        let host = host.clone();
        splice::listen(front, move || TcpStream::connect(&host, inside)).during("publish")?;
    }
    options.tell(&format!("Listening on {at}"));
    let input = Input::start();
    loop {
        let (stream, peer) = listener.accept().during("accept")?;
        options.tell(&format!("Connection received from {peer}"));
        let ended = input.exchange(stream, options.patience()).during("connection");
        if !options.keep {
            host.shutdown();
            return ended;
        }
    }
}

fn listen_for_datagrams(
    options: &Options,
    host: &Host,
    any: SocketAddr,
    published: Option<SocketAddr>,
) -> Result<(), Failure> {
    let socket = UdpSocket::bind(host, any).during(format_args!("bind UDP port {}", any.port()))?;
    let inside = socket.local_addr().during("getsockname")?;
    let mut at = inside;
    if let Some(published) = published {
        let front = std::net::UdpSocket::bind(published).during(format_args!("bind UDP {published}"))?;
        at = front.local_addr().during("getsockname")?;
        let back = UdpSocket::bind(host, "127.0.0.1:0").during("bind UDP")?;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, inside.port()));
        splice::datagrams(front, back, target).during("publish")?;
    }
    options.tell(&format!("Listening on {at} (udp)"));
    let mut bytes = vec![0; 65_536];
    let (_, peer) = socket.peek_from(&mut bytes).during("receive")?;
    // As nc does: who sent first is whom it talks with.
    socket.connect(peer).during(format_args!("connect to {peer}"))?;
    options.tell(&format!("Connection received from {peer}"));
    exchange_datagrams(socket, options.patience()).during("datagrams")
}

fn look_up(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let mut found = (host, port).to_socket_addrs().during(format_args!("look up {host}"))?;
    found.next().ok_or_else(|| Failure::new(format!("{host}: it has no address")))
}

/// A port by its number, or by a service's name.
fn port(text: &str, options: &Options) -> Result<u16, Failure> {
    if let Ok(port) = text.parse() {
        return Ok(port);
    }
    let protocol = if options.udp { "udp" } else { "tcp" };
    let services = services();
    let service = services.by_name(text, Some(protocol));
    service.map(|service| service.port()).ok_or_else(|| {
        Failure::new(format!("{text:?} is neither a port nor a service that is known for {protocol}"))
    })
}

fn port_range(text: &str, options: &Options) -> Result<(u16, u16), Failure> {
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
    {
        return match options.scan && first <= last {
            true => Ok((first, last)),
            false => Err(usage(&format!("{text} is a range of ports"), "A range goes up, and with -z only.")),
        };
    }
    port(text, options).map(|port| (port, port))
}

fn service(port: u16, protocol: &str) -> String {
    services()
        .by_port(port, Some(protocol))
        .map_or_else(|| "*".to_owned(), |service| service.name().to_owned())
}

fn services() -> Services {
    std::fs::read_to_string("/etc/services")
        .map_or_else(|_| Services::builtin(), |text| Services::parse(&text))
}

fn usage(what: &str, hint: &str) -> Failure {
    Failure::new(format!("nc: {what}")).hint(hint)
}
