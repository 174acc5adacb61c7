//! `tapsock nstat`: the counters of a running host, as nstat(8) prints them.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};
use tapsock::control::{Counted, Request};

use crate::failure::Failure;
use crate::running::Running;

/// The options of `tapsock nstat`.
#[derive(Args, Debug)]
pub struct Options {
    /// Counters by name; * stands for anything, ? for one letter
    pattern: Vec<String>,
    /// Values since the host was started: always so, as no history is kept
    #[arg(short, long)]
    absolute: bool,
    /// Those that are zero, too
    #[arg(short, long)]
    zeros: bool,
    /// JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Prints them.
///
/// # Errors
/// No host to be asked.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let Counted { mut counters } = options.running.ask(&Request::Counters)?;
    // A counter that is named is wanted.
    let is_wanted = |name: &str, value: u64| {
        let named = options.pattern.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
        (options.pattern.is_empty() || named) && (value > 0 || options.zeros)
    };
    counters.retain(|(name, value)| is_wanted(name, *value));
    counters.sort_by_key(|(name, _)| rank(name));
    if options.json {
        let values: Map<String, Value> =
            counters.into_iter().map(|(name, value)| (name, value.into())).collect();
        println!("{}", serde_json::json!({ "kernel": values }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("#kernel");
    for (name, value) in counters {
        println!("{name:<32}{value:<16}{:>6.1}", 0.0);
    }
    Ok(ExitCode::SUCCESS)
}

/// The order of nstat's groups; ours, of which it knows nothing, come last.
fn rank(name: &str) -> usize {
    const GROUPS: [&str; 10] =
        ["Ip6", "Icmp6", "Udp6", "IpExt", "TcpExt", "Tapsock", "Icmp", "Ip", "Tcp", "Udp"];
    const PLACES: [usize; 10] = [4, 5, 6, 8, 7, 9, 1, 0, 2, 3];
    GROUPS.iter().position(|group| name.starts_with(group)).map_or(PLACES.len(), |found| PLACES[found])
}

/// Whether a name is as a pattern of the shell says.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where the last star stands, and how much of the name it has taken.
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < name.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    at = (*place + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at.0..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_shells() {
        let is = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
        assert!(is("TcpIn*", "TcpInSegs") && is("*Segs", "TcpInSegs") && is("T?p*n*s", "TcpInSegs"));
        assert!(is("*", "") && is("", "") && is("TcpInSegs", "TcpInSegs") && is("**s", "s"));
        assert!(!is("TcpIn", "TcpInSegs") && !is("*x", "TcpInSegs") && !is("?", "") && !is("a*b*c", "acb"));
        // What would take for ever if each star were tried at each place.
        assert!(!is(&"*a".repeat(40), &"a".repeat(39)));
    }

    #[test]
    fn groups_stand_in_nstats_order() {
        let mut names = [
            "TapsockX",
            "TcpExtTW",
            "IpExtInOctets",
            "Udp6InErrors",
            "TcpInSegs",
            "IcmpInMsgs",
            "IpInReceives",
        ];
        names.sort_by_key(|name| rank(name));
        assert_eq!(
            names,
            [
                "IpInReceives",
                "IcmpInMsgs",
                "TcpInSegs",
                "Udp6InErrors",
                "TcpExtTW",
                "IpExtInOctets",
                "TapsockX"
            ]
        );
    }
}
