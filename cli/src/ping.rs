//! `tapsock ping`: echo requests, as ping(8) of iputils sends them.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tapsock::bsd;

use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::failure::{During, Failure};
use crate::icmp::{self, EchoSocket, HEADER_LEN, MAX_PAYLOAD, Pattern, TapsockEcho};
use crate::resolve::{Family, Names, look_up};
use tally::Tally;

mod tally;

/// The shortest interval, in seconds.
const MIN_INTERVAL: f64 = 0.0002;
/// The longest interval of a flood, in seconds.
const FLOOD_INTERVAL: f64 = 0.01;
/// The least that is waited for the last answer where others have come. (ping waits for two round trips, which an
/// answer by the same machine would often miss.)
const LINGER: Duration = Duration::from_secs(1);
/// "For ever", where that is asked for.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// The options of `tapsock ping`.
#[derive(Args, Debug)]
pub struct Options {
    /// Whom: an address, or a name
    host: String,
    /// Stop after this many requests; with -w, after this many answers
    #[arg(short, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds between requests (1, unless given)
    #[arg(short, value_name = "SECONDS", value_parser = parse_seconds)]
    interval: Option<f64>,
    /// Bytes of data
    #[arg(short, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u32).range(0..=MAX_PAYLOAD as i64))]
    size: u32,
    /// Seconds to wait for an answer to the last request where none has come before; 0: for ever
    #[arg(short = 'W', value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    wait: f64,
    /// Stop after this many seconds, whatever has been sent and answered
    #[arg(short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    deadline: Option<f64>,
    /// TTL or hop limit of the requests
    #[arg(short, value_name = "TTL", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// Send as fast as answers come, or a hundred a second; a dot is a request, and an answer takes it back
    #[arg(short)]
    flood: bool,
    /// Send as fast as answers come, and show them
    #[arg(short = 'A', conflicts_with = "flood")]
    adaptive: bool,
    /// Requests that are sent at once at the beginning
    #[arg(short = 'l', value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    preload: u16,
    /// Data of the requests, in hexadecimal digits: up to 16 bytes, again and again
    #[arg(short, value_name = "PATTERN")]
    pattern: Option<Pattern>,
    /// Type of service, or traffic class: 0 to 255, or in hexadecimal digits after 0x
    #[arg(short = 'Q', value_name = "CLASS", value_parser = parse_class)]
    class: Option<u8>,
    /// Whether requests may be cut: do (never: DF), want (where the path is known to be narrow), dont (always), probe
    /// (never, and what is known of the path does not count)
    #[arg(short = 'M', value_name = "HOW", value_parser = parse_discovery)]
    discovery: Option<i32>,
    /// Begin each line with the time, in seconds since 1970
    #[arg(short = 'D')]
    timestamps: bool,
    /// Tell of a request without an answer before the next is sent
    #[arg(short = 'O')]
    outstanding: bool,
    /// A beep with each answer
    #[arg(short)]
    audible: bool,
    /// Show the identifier of requests too
    #[arg(short)]
    verbose: bool,
    /// Address of the stack, or its interface, to send from
    #[arg(short = 'I', value_name = "INTERFACE")]
    from: Option<String>,
    /// Only the first line and the summary
    #[arg(short)]
    quiet: bool,
    /// Show addresses, not names, as is always done
    #[arg(short)]
    numeric: bool,
    #[command(flatten)]
    family: Family,
    #[command(flatten)]
    attach: Attach,
}

/// A number of seconds of a command line.
///
/// # Errors
/// Where it is none, or not between 0 and a million.
pub fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    if (0.0..=1e6).contains(&seconds) { Ok(seconds) } else { Err("seconds go from 0 to 1000000".to_owned()) }
}

fn parse_class(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a class goes from 0 to 255".to_owned())
}

fn parse_discovery(text: &str) -> Result<i32, String> {
    match text {
        "do" => Ok(bsd::IP_PMTUDISC_DO),
        "want" => Ok(bsd::IP_PMTUDISC_WANT),
        "dont" => Ok(bsd::IP_PMTUDISC_DONT),
        "probe" => Ok(bsd::IP_PMTUDISC_PROBE),
        _ => Err("it is do, want, dont or probe".to_owned()),
    }
}

/// Pings until it is told to stop. The status is 1 where nobody answered, or, with a deadline, fewer than were to.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let host = &options.host;
    let attached = options.attach.open(Wish::Auto, Tell::unless(options.quiet))?;
    let found = look_up(host, 0, options.family, Names::Resolved, attached.resolver());
    let found = found.during(format_args!("look up {host}"))?;
    let (to, mut socket) = found.try_each(|to| open(options, &attached, to.ip()))?;
    let size = options.size as usize;
    // The route's choice, which is the first of its family.
    let from = socket.source().during("getsockname")?.or_else(|| attached.ours.of_family(to)).unwrap_or(to);
    let bytes = match to {
        IpAddr::V4(_) => format!("{size}({}) bytes of data.", size + HEADER_LEN + 20),
        IpAddr::V6(_) => format!("{size} data bytes"),
    };
    if let Some(pattern) = &options.pattern {
        println!("PATTERN: 0x{pattern}");
    }
    println!("PING {host} ({to}) from {from}, link {}: {bytes}", attached.link);
    let goal = options.deadline.and(options.count);
    let tally = Arc::new(Mutex::new(Tally::new(host, goal, options.flood || options.adaptive)));
    report_when_interrupted(&tally, &attached)?;
    rounds(options, &mut socket, &tally).during(format_args!("ping {to}"))?;
    Ok(lock(&tally).finish())
}

/// A socket for one of the addresses of the name.
fn open(options: &Options, attached: &Attached, to: IpAddr) -> Result<(IpAddr, TapsockEcho), Failure> {
    let from = options.from.as_ref().map(|from| source(attached, from, to)).transpose()?;
    let with = icmp::Options {
        from,
        ttl: options.ttl,
        class: options.class,
        discovery: options.discovery,
        pattern: options.pattern.clone().unwrap_or_default(),
    };
    let socket = TapsockEcho::open_with(&attached.host, to, &with).during(format_args!("ping {to}"));
    let socket = socket.map_err(|failure| {
        let who = match &attached.peer {
            Peer::Kernel(_, there) => format!("only the kernel's end of a namespace is: {there}"),
            Peer::Host(_, there) => format!("only a second host is: {there}"),
            Peer::Outside => return failure,
        };
        failure.hint(format!(
            "On this link, {}, {who}. Attach to another network with --tap or --interface.",
            attached.link
        ))
    })?;
    Ok((to, socket))
}

/// What -I says: an address, or an interface with one.
fn source(attached: &Attached, from: &str, to: IpAddr) -> Result<IpAddr, Failure> {
    if let Ok(address) = from.parse() {
        return Ok(address);
    }
    let interfaces = attached.host.interfaces();
    let Some(interface) = interfaces.iter().find(|interface| interface.name() == from) else {
        let names: Vec<_> = interfaces.iter().map(|interface| interface.name()).collect();
        let hint = format!("The stack has the interfaces {}.", names.join(" and "));
        return Err(Failure::new(format!("-I {from}: neither an address nor an interface")).hint(hint));
    };
    let mut addresses = interface.addresses().iter().map(|assigned| assigned.cidr.address);
    addresses
        .find(|address| address.is_ipv4() == to.is_ipv4())
        .ok_or_else(|| Failure::new(format!("-I {from}: it has no address to reach {to} from")))
}

/// Sends on time and takes answers in between.
fn rounds(options: &Options, socket: &mut TapsockEcho, tally: &Mutex<Tally>) -> io::Result<()> {
    let usual = if options.flood { FLOOD_INTERVAL } else { 1.0 };
    let interval = Duration::from_secs_f64(options.interval.unwrap_or(usual).max(MIN_INTERVAL));
    let hurries = options.adaptive || options.flood && options.interval.is_none();
    let end = options.deadline.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let (mut number, mut next, mut linger) = (0u64, Instant::now(), None);
    let mut taken = Taken::Nothing;
    loop {
        let now = Instant::now();
        if lock(tally).is_done(options.count, end.is_some()) || end.is_some_and(|end| now >= end) {
            return Ok(());
        }
        if linger.is_none() && now >= next {
            if options.outstanding
                && let Some(sequence) = lock(tally).last_outstanding()
            {
                show(options, &format!("no answer yet for icmp_seq={sequence}"));
            }
            number += 1;
            send(options, socket, tally, number as u16);
            // The first few go out together.
            if number >= options.preload.into() {
                next += interval;
            }
            if options.count == Some(number) && end.is_none() {
                linger = Some(now + lock(tally).linger(options, interval));
            }
        }
        let nothing_to_come = linger.is_some() && lock(tally).outstanding() == 0;
        if nothing_to_come || linger.is_some_and(|linger| now >= linger) {
            return Ok(());
        }
        let until = linger.unwrap_or(next);
        let until = end.map_or(until, |end| until.min(end));
        if taken == Taken::Error && lock(tally).outstanding() == 0 {
            // What is still to be had is that error, again and again.
            #[expect(clippy::disallowed_methods, reason = "what it waits for is the time of the next ping")]
            thread::sleep(until.saturating_duration_since(now));
            taken = Taken::Nothing;
            continue;
        }
        taken = take(options, socket, tally, until);
        if hurries && taken == Taken::Answer {
            next = next.min(Instant::now());
        }
    }
}

/// Sends one request.
fn send(options: &Options, socket: &mut TapsockEcho, tally: &Mutex<Tally>, sequence: u16) {
    lock(tally).sent(sequence);
    let sent = socket.request(sequence, options.size as usize);
    if let Err(error) = &sent {
        lock(tally).unsent(sequence);
        // It may be told better by a report.
        let told = socket.trouble().map(|trouble| lock(tally).complained(&trouble));
        if !options.quiet && !options.flood {
            eprintln!("{}", told.unwrap_or_else(|| format!("ping: sendmsg: {error}")));
        }
    }
    if options.flood && !options.quiet {
        mark(if sent.is_ok() { b"." } else { b"E" });
    }
}

/// What waiting for an answer has brought.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Taken {
    Answer,
    Error,
    Nothing,
}

/// Waits for one answer until `until`.
fn take(options: &Options, socket: &mut TapsockEcho, tally: &Mutex<Tally>, until: Instant) -> Taken {
    match socket.answer(until) {
        Ok(Some(answer)) => {
            let mut line = lock(tally).answered(&answer);
            if options.verbose
                && let Ok(ident) = socket.ident()
            {
                line = line.replacen(" ttl=", &format!(" ident={ident} ttl="), 1);
            }
            if options.audible {
                line.push('\x07');
            }
            match (options.quiet, options.flood) {
                (true, _) => {}
                (false, true) => mark(b"\x08 \x08"),
                (false, false) => show(options, &line),
            }
            Taken::Answer
        }
        Ok(None) => Taken::Nothing,
        // An ICMP error that came back: the next request may fare better.
        Err(error) => {
            let mut lines: Vec<_> = std::iter::from_fn(|| socket.trouble())
                .map(|trouble| lock(tally).complained(&trouble))
                .collect();
            if lines.is_empty() {
                lines.push(lock(tally).failed(&error));
            }
            match (options.quiet, options.flood) {
                (true, _) => {}
                (false, true) => mark(b"\x08E"),
                (false, false) => lines.iter().for_each(|line| show(options, line)),
            }
            Taken::Error
        }
    }
}

/// A line, with -D after the time.
fn show(options: &Options, line: &str) {
    if options.timestamps {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        print!("[{}.{:06}] ", now.as_secs(), now.subsec_micros());
    }
    println!("{line}");
}

/// Part of the picture of a flood.
fn mark(bytes: &[u8]) {
    let mut out = io::stdout();
    // Who does not see it has gone, which a signal tells.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Ctrl-C prints the summary, as people expect, and Ctrl-\ a line meanwhile.
fn report_when_interrupted(tally: &Arc<Mutex<Tally>>, attached: &Attached) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT]).during("handle signals")?;
    let tally = tally.clone();
    let finish_capture = attached.capture.as_ref().map(|capture| capture.finisher());
    let wait = move || {
        for signal in signals.forever() {
            // As ping: how it stands, and it goes on.
            if signal == SIGQUIT {
                eprintln!("\r{}", lock(&tally).standing());
                continue;
            }
            let code = lock(&tally).finish();
            if let Some(Err(failure)) = finish_capture.map(|finish| finish()) {
                crate::complain(&failure);
            }
            std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).during("handle signals").map(drop)
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// How long to wait after the last request.
    fn linger(&self, options: &Options, interval: Duration) -> Duration {
        match self.longest() {
            Some(longest) => (longest * 2).max(interval).max(LINGER),
            None if options.wait == 0.0 => FOR_EVER,
            None => Duration::from_secs_f64(options.wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(parse_seconds("0.2"), Ok(0.2));
        for text in ["-1", "x", "nan", "inf", "1e9"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
