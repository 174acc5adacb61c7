//! Connecting, and seeing who listens.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::exchange::{Input, Side, exchange_datagrams};
use super::ports::{port, port_range, service};
use super::{Options, usage};
use crate::attach::Tell;
use crate::failure::{During, Failure};
use crate::reach::{Origin, Reach, probe};
use crate::resolve::{Found, look_up};

/// How long a connect takes at most, unless told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a scan waits for each port, unless told.
const SCAN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a scan over UDP waits for a refusal.
const UDP_SCAN_PATIENCE: Duration = Duration::from_secs(1);

/// Connects, and joins the connection with standard input and output.
pub fn connect(options: &Options) -> Result<(), Failure> {
    let (host, (port, _)) = place(options)?;
    let reach = Reach::open(&options.attach, Tell::Choice)?;
    let found = addresses(options, &reach, host, port)?;
    let from = origin(options)?;
    let manner = options.manner(Side::Client);
    let patience = options.patience().unwrap_or(PATIENCE);
    let done = if options.udp {
        let (to, socket) = try_each(options, host, &found, |to| {
            let socket = reach.datagrams(to, from)?;
            // Who wants to be told whether it succeeds wants to know.
            if options.verbose {
                probe(&socket, UDP_SCAN_PATIENCE)?;
            }
            Ok(socket)
        })?;
        succeeded(options, host, port);
        exchange_datagrams(socket, manner).during(format_args!("UDP to {to}"))
    } else {
        let (to, reached) = try_each(options, host, &found, |to| reach.connect(to, from, patience))?;
        succeeded(options, host, port);
        Input::start(manner).exchange(reached.stream).during(format_args!("connection to {to}"))
    };
    reach.finish();
    done.map_err(|failure| failure.or_gone(&reach.attached.link))
}

/// Tries port after port.
pub fn scan(options: &Options) -> Result<ExitCode, Failure> {
    let (host, (first, last)) = place(options)?;
    let reach = Reach::open(&options.attach, Tell::Choice)?;
    let found = addresses(options, &reach, host, first)?;
    // A port of ours would be taken by the first connection.
    let from = Origin { port: 0, ..origin(options)? };
    let mut any = false;
    for (index, port) in order(options, first, last).into_iter().enumerate() {
        if let Some(interval) = options.interval().filter(|_| index > 0) {
            #[expect(clippy::disallowed_methods, reason = "-i asks for it")]
            thread::sleep(interval);
        }
        let outcome = found.try_each(|to| {
            let to = SocketAddr::new(to.ip(), port);
            match options.udp {
                true => reach.probe(to, UDP_SCAN_PATIENCE),
                false => reach.connect(to, from, options.patience().unwrap_or(SCAN_PATIENCE)).map(drop),
            }
        });
        match outcome {
            Ok(()) => {
                any = true;
                eprintln!("{}", success(options, host, port));
            }
            Err(error) => options.tell(&failed(options, host, port, &error)),
        }
    }
    Ok(if any { ExitCode::SUCCESS } else { ExitCode::from(super::STATUS) })
}

/// The ports of a scan: one after the other, or with -r, in no order.
fn order(options: &Options, first: u16, last: u16) -> Vec<u16> {
    let mut ports: Vec<_> = (first..=last).collect();
    if options.random {
        // Each process has other keys.
        let keys = RandomState::new();
        ports.sort_by_cached_key(|port| keys.hash_one(port));
    }
    ports
}

/// HOST and PORT, or a range of ports for a scan.
fn place(options: &Options) -> Result<(&str, (u16, u16)), Failure> {
    let [host, ports] = options.place.as_slice() else {
        return Err(usage("HOST and PORT are missing", "tapsock nc HOST PORT, or tapsock nc -l PORT"));
    };
    Ok((host, port_range(ports, options.protocol(), options.scan)?))
}

fn addresses(options: &Options, reach: &Reach, host: &str, port: u16) -> Result<Found, Failure> {
    let found = look_up(host, port, options.family, options.names(), reach.attached.resolver());
    found.during(format_args!("look up {host}"))
}

fn origin(options: &Options) -> Result<Origin, Failure> {
    let port = options.port.as_deref().map_or(Ok(0), |text| port(text, options.protocol()))?;
    Ok(Origin { address: options.source, port, marks: options.marks() })
}

/// Tries the addresses of a name, and with -v tells of those that fail.
fn try_each<T>(
    options: &Options,
    host: &str,
    found: &Found,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> Result<(SocketAddr, T), Failure> {
    let last = found.iter().last();
    found.try_each(|to| {
        let outcome = attempt(to);
        if let Err(error) = &outcome
            // The last one's is the command's.
            && last != Some(to)
        {
            options.tell(&failed(options, &format!("{host} ({})", to.ip()), to.port(), error));
        }
        outcome.during(format_args!("connect to {to}")).map(|done| (to, done))
    })
}

fn succeeded(options: &Options, host: &str, port: u16) {
    options.tell(&success(options, host, port));
}

fn success(options: &Options, host: &str, port: u16) -> String {
    let protocol = options.protocol();
    format!("Connection to {host} {port} port [{}/{}] succeeded!", protocol.name(), service(port, protocol))
}

fn failed(options: &Options, host: &str, port: u16, error: &io::Error) -> String {
    format!("nc: connect to {host} port {port} ({}) failed: {error}", options.protocol().name())
}
