//! `tapsock nc`: connects or listens, and joins the connection with standard input and output, with the options and
//! the exit status of OpenBSD's nc(1).

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::attach::Attach;
use crate::failure::Failure;
use crate::marks::Marks;
use crate::ping::parse_seconds;
use crate::resolve::{Family, Names};
use class::parse_class;
use exchange::{Manner, Side};
use ports::Protocol;
use text::Lines;

mod class;
mod client;
mod exchange;
mod listen;
mod local;
mod ports;
mod text;

/// The exit status where something fails, and of a command line that is wrong.
pub const STATUS: u8 = 1;

/// The options of `tapsock nc`.
#[derive(Args, Debug)]
pub struct Options {
    /// Listen for a connection
    #[arg(short)]
    listen: bool,
    /// The port to listen at, or to connect or send from
    #[arg(short, value_name = "PORT")]
    port: Option<String>,
    /// The address to connect or send from, or to listen at
    #[arg(short, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// UDP instead of TCP
    #[arg(short)]
    udp: bool,
    /// A local socket of the machine (AF_UNIX) by its path, instead of HOST and PORT
    #[arg(short = 'U')]
    unix: bool,
    /// Tell on standard error what is done
    #[arg(short)]
    verbose: bool,
    /// Look up no names: HOST is an address
    #[arg(short)]
    numeric: bool,
    /// Only see who listens, and send nothing; the port may be a range, such as 20-80
    #[arg(short = 'z', conflicts_with = "listen")]
    scan: bool,
    /// Seconds to wait for the connection, and for more to come or go
    #[arg(short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// Seconds between lines that are sent and printed, and between ports of a scan
    #[arg(short = 'i', value_name = "SECONDS", value_parser = parse_seconds)]
    interval: Option<f64>,
    /// Ends of lines of standard input become CR LF
    #[arg(short = 'C')]
    crlf: bool,
    /// Ports of a scan in no order
    #[arg(short)]
    random: bool,
    /// Quit after this many packets, or pieces of a stream, have come
    #[arg(short = 'W', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Class of packets: lowdelay, throughput, reliability, ef, af11 … af43, cs0 … cs7, or a number
    #[arg(short = 'T', value_name = "CLASS", value_parser = parse_class)]
    class: Option<u8>,
    /// TTL, or hop limit, of packets
    #[arg(short = 'M', value_name = "TTL", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// Let datagrams go to broadcast addresses
    #[arg(short)]
    broadcast: bool,
    /// Refused: negotiations of TELNET are not answered
    #[arg(short)]
    telnet: bool,
    /// Listen again when a connection has ended
    #[arg(short, requires = "listen")]
    keep: bool,
    /// End our side of the connection when standard input ends
    #[arg(short = 'N')]
    half_close: bool,
    /// Seconds after the end of standard input until nc quits (with -N meant too); below 0, never
    #[arg(short, value_name = "SECONDS", allow_negative_numbers = true)]
    quit: Option<i32>,
    /// Read nothing from standard input
    #[arg(short)]
    deaf: bool,
    #[command(flatten)]
    family: Family,
    /// Where: HOST PORT; with -l the port alone, or an address to listen at and the port
    #[arg(value_name = "HOST PORT", num_args = 0..=2)]
    place: Vec<String>,
    #[command(flatten)]
    attach: Attach,
}

/// Does it. The status is 1 where it fails, and where a scan found nobody.
///
/// # Errors
/// The step that failed. Its status is 1, as nc's, but for a link that can't be had or is gone.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    if options.telnet {
        let failure =
            usage("-t is not spoken", "Negotiations of TELNET are not answered; the rest goes without -t.");
        return Err(failure.with_status(STATUS));
    }
    let done = match (options.listen, options.scan) {
        (true, _) if options.unix => local::listen(options).map(|()| ExitCode::SUCCESS),
        (false, _) if options.unix => local::connect(options).map(|()| ExitCode::SUCCESS),
        (true, _) => listen::listen(options).map(|()| ExitCode::SUCCESS),
        (false, true) => client::scan(options),
        (false, false) => client::connect(options).map(|()| ExitCode::SUCCESS),
    };
    done.map_err(|failure| failure.or_status(STATUS))
}

impl Options {
    fn patience(&self) -> Option<Duration> {
        self.timeout.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
    }

    fn protocol(&self) -> Protocol {
        if self.udp { Protocol::Udp } else { Protocol::Tcp }
    }

    fn names(&self) -> Names {
        if self.numeric { Names::Refused } else { Names::Resolved }
    }

    fn manner(&self, side: Side) -> Manner {
        let quit = self.quit.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        Manner {
            side,
            patience: self.patience(),
            half_close: self.half_close || quit.is_some(),
            quit,
            deaf: self.deaf,
            lines: Lines { crlf: self.crlf, interval: self.interval() },
            limit: self.limit,
        }
    }

    fn interval(&self) -> Option<Duration> {
        self.interval.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
    }

    fn marks(&self) -> Marks {
        Marks { class: self.class, ttl: self.ttl, broadcast: self.broadcast }
    }

    fn tell(&self, line: &str) {
        if self.verbose {
            eprintln!("{line}");
        }
    }
}

fn usage(what: &str, hint: &str) -> Failure {
    Failure::new(format!("nc: {what}")).hint(hint)
}
