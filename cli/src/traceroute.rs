//! `tapsock traceroute`: the routers on the way to a host, as traceroute(8) lists them.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::attach::{Attach, Tell, Wish};
use crate::failure::{During, Failure};
use crate::resolve::{Family, Names, look_up};
use probe::{Heard, Method, Probe};

mod probe;

/// The options of `tapsock traceroute`.
#[derive(Args, Debug)]
#[command(
    after_help = "-j: one object with host, dst, method (udp, icmp, tcp), max_hops, size (bytes of a packet), and hops: of \
                  each its ttl and its probes, in their order: from, rtt (milliseconds), arrived (it is the host itself), and mark (!N, !H, \
                  !P, !F, !X) where the way ends there; null where nothing came back."
)]
pub struct Options {
    /// Whom: an address, or a name
    host: String,
    #[command(flatten)]
    family: Family,
    /// Addresses only: so it is always, as no names of addresses are looked up
    #[arg(short)]
    numeric: bool,
    /// By echo requests, instead of datagrams to ports where nobody listens
    #[arg(short = 'I', long, conflicts_with = "tcp")]
    icmp: bool,
    /// By the first packet of TCP connections (to port 80)
    #[arg(short = 'T', long)]
    tcp: bool,
    /// The first port of UDP; the port of TCP
    #[arg(short, long)]
    port: Option<u16>,
    /// The first hop
    #[arg(short, long, value_name = "TTL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    first: u8,
    /// The last hop
    #[arg(short, long = "max-hops", value_name = "TTL", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..))]
    max: u8,
    /// Probes of each hop
    #[arg(short, long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    queries: u8,
    /// How long an answer is waited for, in seconds
    #[arg(short = 'w', long = "wait", value_name = "SECONDS", default_value_t = 5.0)]
    wait: f64,
    /// JSON, at the end
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    attach: Attach,
}

/// The first port of datagrams, as traceroute's; and that of TCP.
const UDP_PORT: u16 = 33434;
const TCP_PORT: u16 = 80;
/// Bytes of a packet.
const PACKET_LEN: usize = 60;

/// Lists them.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let wait = Duration::try_from_secs_f64(options.wait).map_err(|_| Failure::new("-w: no such time"))?;
    let attached = options.attach.open(Wish::Auto, Tell::Choice)?;
    let found = look_up(&options.host, 0, options.family, Names::Resolved, attached.resolver());
    let found = found.during(format_args!("look up {}", options.host))?;
    let Some(to) = found.iter().next().map(|to| to.ip()) else { return Err(Failure::new("no address")) };
    let method = match (options.icmp, options.tcp) {
        (true, _) => Method::Echo,
        (_, true) => Method::Connection(options.port.unwrap_or(TCP_PORT)),
        _ => Method::Datagrams(options.port.unwrap_or(UDP_PORT)),
    };
    let mut told = Told { options, to, method, hops: Vec::new() };
    told.begin();
    let mut number = 0;
    for ttl in options.first..=options.max {
        let mut probes = Vec::new();
        for _ in 0..options.queries {
            probes.push(
                Probe::send(&attached.host, to, method, ttl, number).during(format_args!("probe {to}"))?,
            );
            number += 1;
        }
        let until = Instant::now() + wait;
        let mut hop = told.hop(ttl);
        for probe in &mut probes {
            hop.add(probe.heard(until).during(format_args!("probe {to}"))?);
        }
        if hop.end() {
            break;
        }
    }
    told.end();
    Ok(ExitCode::SUCCESS)
}

/// All that is told: as it comes, or as an object at the end.
struct Told<'a> {
    options: &'a Options,
    to: IpAddr,
    method: Method,
    hops: Vec<Value>,
}

impl Told<'_> {
    fn begin(&self) {
        let Options { host, max, json, .. } = self.options;
        if !json {
            println!("traceroute to {host} ({}), {max} hops max, {PACKET_LEN} byte packets", self.to);
        }
    }

    fn hop(&mut self, ttl: u8) -> Hop<'_> {
        let hops = self.options.json.then_some(&mut self.hops);
        if hops.is_none() {
            show(&format!("{ttl:2} "));
        }
        Hop { hops, ttl, probes: Vec::new(), last: None, arrived: false }
    }

    fn end(self) {
        if !self.options.json {
            return;
        }
        let method = match self.method {
            Method::Datagrams(_) => "udp",
            Method::Echo => "icmp",
            Method::Connection(_) => "tcp",
        };
        let Options { host, max, .. } = self.options;
        let (to, hops) = (self.to, self.hops);
        println!(
            "{}",
            json!({ "host": host, "dst": to, "method": method, "max_hops": max, "size": PACKET_LEN, "hops": hops })
        );
    }
}

/// A hop: a line, which shows as it comes, or an object.
struct Hop<'a> {
    /// Where objects go.
    hops: Option<&'a mut Vec<Value>>,
    ttl: u8,
    probes: Vec<Value>,
    last: Option<IpAddr>,
    /// There is no way further, or it is the end of it.
    arrived: bool,
}

impl Hop<'_> {
    fn add(&mut self, heard: Option<Heard>) {
        self.arrived |= heard.as_ref().is_some_and(|heard| heard.arrived || !heard.mark.is_empty());
        if self.hops.is_some() {
            self.probes.push(heard.as_ref().map_or(Value::Null, Heard::object));
            return;
        }
        let Some(Heard { from, took, mark, .. }) = heard else { return show(" *") };
        // Who has been named is not named again.
        if self.last.replace(from) != Some(from) {
            show(&format!(" {from} ({from})"));
        }
        show(&format!("  {:.3} ms{mark}", took.as_secs_f64() * 1000.0));
    }

    /// Whether it is the last.
    fn end(self) -> bool {
        match self.hops {
            Some(hops) => hops.push(json!({ "ttl": self.ttl, "probes": self.probes })),
            None => println!(),
        }
        self.arrived
    }
}

fn show(text: &str) {
    print!("{text}");
    // Who reads it no more ends us by a signal.
    let _ = io::stdout().flush();
}
