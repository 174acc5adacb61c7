//! `tapsock dump`: what passes a running host's link, or stands in a capture, a line a packet as tcpdump(8) has it.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tapsock::resolve::Names;
use tapsock_driver::pcapng::read::{Frame, Source};
use tapsock_driver::pcapng::{PacketWriter, WholePacket};
use tapsock_driver::print::{Filter, Packet, ServiceName, Style};

use crate::failure::{During, Failure};
use crate::running::Running;

/// The options of `tapsock dump`.
#[derive(Args, Debug)]
#[command(
    after_help = "FILTER: host ADDRESS, port NUMBER, tcp, udp, icmp, icmp6, arp, ip, ip6; src or dst before host and port; \
                        and, or, not, ( ). Times are UTC, sequence numbers as they stand in the packets.\n\n\
                        -j: an object a line with time_ns, ifname, direction, length and text; of Ethernet lladdr, lldst, ethertype; of \
                        IP and ARP family (inet, inet6, arp), src, dst; of IP tos, ttl or hoplimit, id, offset, flags or flowlabel, \
                        ipproto; sport, dport; tcp_flags, seq, ack, win; icmp_type, icmp_code; payload (its bytes); with -x bytes."
)]
#[allow(clippy::struct_excessive_bools)] // they are tcpdump's
pub struct Options {
    /// Read a capture (pcapng or pcap) instead of asking a running host; - is standard input
    #[arg(short, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Write pcapng instead of lines; - is standard output
    #[arg(short, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Numbers instead of the names of services
    #[arg(short)]
    numeric: bool,
    /// What the IP header says, too
    #[arg(short)]
    verbose: bool,
    /// The bytes, too, but for the link's header
    #[arg(short = 'x')]
    hex: bool,
    /// JSON, an object a line
    #[arg(short, long, conflicts_with = "write")]
    json: bool,
    /// Stop after so many packets
    #[arg(short, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Which packets
    filter: Vec<String>,
    #[command(flatten)]
    running: Running,
}

/// The status where it can't be done, as tcpdump's.
const STATUS: u8 = 1;

/// Prints, until the capture or the host ends, or there are as many as wanted.
///
/// # Errors
/// A filter that is not understood; a file that can't be read, or is no capture; no host to be asked.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    run(options).map_err(|failure| failure.or_status(STATUS))?;
    Ok(ExitCode::SUCCESS)
}

fn run(options: &Options) -> Result<(), Failure> {
    let filter = Filter::parse(&options.filter.join(" ")).map_err(|why| {
        let words = "A filter is made of host ADDRESS, port NUMBER, tcp, udp, icmp, icmp6, arp, ip, ip6, and, or, not.";
        Failure::new(format!("filter: {why}")).hint(words)
    })?;
    let what = options
        .read
        .as_ref()
        .map_or_else(|| "the running host".to_owned(), |path| path.display().to_string());
    let from: Box<dyn Read + Send> = match &options.read {
        Some(path) if path == Path::new("-") => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path).during(format_args!("read {what}"))?),
        None => {
            let stream = options.running.capture()?;
            eprintln!("tapsock: listening; Ctrl-C ends it");
            Box::new(stream)
        }
    };
    let mut source = Source::new(from).during(format_args!("read {what}"))?;
    let mut sink = Sink::open(options)?;
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0
        && let Some(frame) = source.next_frame().during(format_args!("read {what}"))?
    {
        let packet = Packet::parse(&frame);
        if filter.takes(&packet) {
            left -= 1;
            if !sink.take(&frame, &packet)? {
                break;
            }
        }
    }
    sink.finish()
}

/// Where packets go.
enum Sink {
    Lines(Style, io::Stdout),
    Objects(Style, io::Stdout),
    File(String, Box<PacketWriter<Box<dyn Write>>>),
}

impl Sink {
    fn open(options: &Options) -> Result<Sink, Failure> {
        let Some(path) = &options.write else {
            let services = (!options.numeric).then(services);
            let style = Style { services, verbose: options.verbose, hex: options.hex };
            let sink = if options.json { Sink::Objects } else { Sink::Lines };
            return Ok(sink(style, io::stdout()));
        };
        let what = format!("write {}", path.display());
        let out: Box<dyn Write> = match path == Path::new("-") {
            true if io::stdout().is_terminal() => {
                return Err(
                    Failure::new("-w -: pcapng is not for terminals").hint("Name a file, or | a program.")
                );
            }
            true => Box::new(io::stdout()),
            false => Box::new(BufWriter::new(File::create(path).during(&what)?)),
        };
        Ok(Sink::File(what, Box::new(PacketWriter::new(out))))
    }

    /// Whether there is somebody to take more.
    fn take(&mut self, frame: &Frame, packet: &Packet<'_>) -> Result<bool, Failure> {
        let written = match self {
            Sink::Lines(style, out) => out.write_all(style.line(frame, packet).as_bytes()),
            Sink::Objects(style, out) => out.write_all((style.json(frame, packet) + "\n").as_bytes()),
            Sink::File(_, writer) => {
                let whole =
                    WholePacket { nanos: frame.nanos, direction: frame.direction, bytes: &frame.bytes };
                writer.write(&frame.interface, frame.medium, &whole)
            }
        };
        match written {
            // Who reads our output has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).during(self.what()),
            Ok(()) => Ok(true),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Sink::Lines(..) | Sink::Objects(..) => Ok(()),
            Sink::File(what, writer) => writer.finish().during(what),
        }
    }

    fn what(&self) -> &str {
        match self {
            Sink::Lines(..) | Sink::Objects(..) => "standard output",
            Sink::File(what, _) => what,
        }
    }
}

/// The machine's names.
fn services() -> ServiceName {
    let names = Names::system();
    Box::new(move |port, protocol| {
        names.services.by_port(port, Some(protocol)).map(|service| service.name().to_owned())
    })
}
