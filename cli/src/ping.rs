//! `tapsock ping`: echo requests, as ping(8) sends them.

use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::attach::{Attach, Peer, Wish};
use crate::failure::{During, Failure};
use crate::icmp::{EchoSocket, HEADER_LEN, MAX_PAYLOAD, TapsockEcho};

/// Requests whose time of sending is kept.
const MAX_OUTSTANDING: usize = 1024;
/// The shortest interval, in seconds.
const MIN_INTERVAL: f64 = 0.0002;

/// The options of `tapsock ping`.
#[derive(Args, Debug)]
pub struct Options {
    /// Whom: an address, or a name that the machine's resolver knows
    host: String,
    /// Stop after this many requests
    #[arg(short, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds between requests
    #[arg(short, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    interval: f64,
    /// Bytes of data
    #[arg(short, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u32).range(0..=MAX_PAYLOAD as i64))]
    size: u32,
    /// Seconds to wait for the last answer
    #[arg(short = 'W', value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    wait: f64,
    /// Only the summary
    #[arg(short)]
    quiet: bool,
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

/// Pings until it is told to stop. The status is 1 where nobody answered.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let mut found =
        (options.host.as_str(), 0).to_socket_addrs().during(format_args!("look up {}", options.host))?;
    let to = found.next().ok_or_else(|| Failure::new(format!("{}: it has no address", options.host)))?.ip();
    let attached = options.attach.open(Wish::Auto)?;
    let mut socket =
        TapsockEcho::open(&attached.host, to).during(format_args!("ping {to}")).map_err(|failure| {
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
    let size = options.size as usize;
    println!("PING {to} from {}, link {}: {size} bytes of data.", attached.ours, attached.link);
    let tally = Arc::new(Mutex::new(Tally::new(to)));
    report_when_interrupted(&tally)?;
    rounds(options, &mut socket, &tally).during(format_args!("ping {to}"))?;
    Ok(lock(&tally).finish())
}

/// Sends on time and takes answers in between.
fn rounds(options: &Options, socket: &mut TapsockEcho, tally: &Arc<Mutex<Tally>>) -> std::io::Result<()> {
    let interval = Duration::from_secs_f64(options.interval.max(MIN_INTERVAL));
    let wait = Duration::from_secs_f64(options.wait);
    let mut next = Instant::now();
    let mut number = 0;
    while options.count.is_none_or(|count| number < count) {
        number += 1;
        let sequence = number as u16;
        lock(tally).sent(sequence);
        if let Err(error) = socket.request(sequence, options.size as usize) {
            println!("icmp_seq={sequence}: {error}");
        }
        next += interval;
        let is_last = options.count == Some(number);
        let until = if is_last { Instant::now() + wait } else { next };
        loop {
            match socket.answer(until) {
                Ok(Some(answer)) => {
                    let mut tally = lock(tally);
                    if let Some(line) = tally.answered(&answer)
                        && !options.quiet
                    {
                        println!("{line}");
                    }
                    if is_last && tally.outstanding() == 0 {
                        break;
                    }
                }
                Ok(None) => break,
                // An ICMP error that came back: the next request may fare better.
                Err(error) => println!("icmp_seq={sequence}: {error}"),
            }
        }
    }
    Ok(())
}

/// Ctrl-C prints the summary, as people expect.
fn report_when_interrupted(tally: &Arc<Mutex<Tally>>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).during("handle signals")?;
    let tally = tally.clone();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let code = lock(&tally).finish();
            std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
        }
    });
    Ok(())
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been sent and answered.
struct Tally {
    to: IpAddr,
    begin: Instant,
    requests: u64,
    /// Those without an answer yet, the oldest first.
    waiting: Vec<(u16, Instant)>,
    /// Milliseconds.
    times: Vec<f64>,
    answers: u64,
    duplicates: u64,
}

/// Times that are kept for the summary; what comes later counts in the extremes and the mean only by chance.
const MAX_TIMES: usize = 1 << 20;

impl Tally {
    fn new(to: IpAddr) -> Self {
        let (waiting, times) = (Vec::new(), Vec::new());
        Tally { to, begin: Instant::now(), requests: 0, waiting, times, answers: 0, duplicates: 0 }
    }

    fn sent(&mut self, sequence: u16) {
        self.requests += 1;
        if self.waiting.len() == MAX_OUTSTANDING {
            self.waiting.remove(0);
        }
        self.waiting.push((sequence, Instant::now()));
    }

    fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// The line for an answer; none where it answers nothing.
    fn answered(&mut self, answer: &crate::icmp::Answer) -> Option<String> {
        let crate::icmp::Answer { sequence, len, from, intact } = answer;
        let Some(index) = self.waiting.iter().rposition(|(waiting, _)| waiting == sequence) else {
            self.duplicates += 1;
            return Some(format!("{len} bytes from {from}: icmp_seq={sequence} (DUP!)"));
        };
        let (_, sent) = self.waiting.remove(index);
        let time = sent.elapsed().as_secs_f64() * 1e3;
        self.answers += 1;
        if self.times.len() < MAX_TIMES {
            self.times.push(time);
        }
        let spoilt = if *intact { "" } else { " (wrong data!)" };
        Some(format!("{len} bytes from {from}: icmp_seq={sequence} time={time:.3} ms{spoilt}"))
    }

    /// Prints the summary; the status of the command.
    fn finish(&self) -> ExitCode {
        let Tally { requests, answers, .. } = self;
        let lost = 100.0 * (1.0 - *answers as f64 / (*requests).max(1) as f64);
        let duplicates = match self.duplicates {
            0 => String::new(),
            count => format!("+{count} duplicates, "),
        };
        println!("\n--- {} ping statistics ---", self.to);
        println!(
            "{requests} packets transmitted, {answers} received, {duplicates}{lost:.0}% packet loss, time {} ms",
            self.begin.elapsed().as_millis()
        );
        if !self.times.is_empty() {
            let count = self.times.len() as f64;
            let mean = self.times.iter().sum::<f64>() / count;
            let squares = self.times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
            let min = self.times.iter().copied().fold(f64::INFINITY, f64::min);
            let max = self.times.iter().copied().fold(0.0, f64::max);
            println!("rtt min/avg/max/mdev = {min:.3}/{mean:.3}/{max:.3}/{:.3} ms", (squares / count).sqrt());
        }
        if *answers > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

const _: () = assert!(HEADER_LEN == 8, "the lengths of the help's text count the header");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icmp::Answer;

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(parse_seconds("0.2"), Ok(0.2));
        for text in ["-1", "x", "nan", "inf", "1e9"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_counts_once() {
        let to: IpAddr = "10.7.0.1".parse().unwrap();
        let mut tally = Tally::new(to);
        tally.sent(1);
        tally.sent(2);
        let answer = Answer { sequence: 2, len: 64, from: to, intact: true };
        assert!(tally.answered(&answer).unwrap().starts_with("64 bytes from 10.7.0.1: icmp_seq=2 time="));
        assert!(tally.answered(&answer).unwrap().ends_with("(DUP!)"));
        assert_eq!((tally.answers, tally.duplicates, tally.outstanding()), (1, 1, 1));
    }
}
