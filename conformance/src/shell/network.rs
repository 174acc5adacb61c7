//! Programs that set up interfaces and routes: `ip`, `tc`, `ethtool`.

use std::net::IpAddr;
use std::time::Duration;

use super::evaluate::Run;
use super::program::line;
use super::{Effect, Outcome, RouteAction, RouteAttribute, RouteChange, ShellError};
use crate::ast::Position;

/// What is wrong, in words.
type Words<T> = Result<T, String>;

impl Run<'_> {
    pub(super) fn ip(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let mut words = Arguments(arguments.iter().map(String::as_str).collect::<Vec<_>>().into_iter());
        let v6 = words.skip(&["-6"]);
        words.skip(&["-4"]);
        let effect = match words.next() {
            Some("route" | "ro" | "r") => route(&mut words, v6).map(Effect::Route),
            Some("tcp_metrics" | "tcpmetrics") => metrics(&mut words),
            Some("address" | "addr" | "a") => address(&mut words),
            Some("link" | "l") => link(&mut words),
            _ => Err(format!("'{}' is not supported", line("ip", arguments))),
        };
        match effect {
            Ok(effect) => Ok(self.system.apply(effect)),
            Err(message) => Err(self.mistake(at, message)),
        }
    }

    /// `tc qdisc add dev tun0 root pfifo limit 0`.
    pub(super) fn tc(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let effect = match words.as_slice() {
            [
                "qdisc",
                action @ ("add" | "replace" | "change" | "del" | "delete"),
                "dev",
                device,
                "root",
                rest @ ..,
            ] => Effect::Discipline {
                action: if *action == "delete" { "del".to_owned() } else { (*action).to_owned() },
                device: (*device).to_owned(),
                kind: rest.first().map(|kind| (*kind).to_owned()),
                arguments: rest.iter().skip(1).map(|word| (*word).to_owned()).collect(),
            },
            ["qdisc" | "class" | "filter", "show" | "ls" | "list", ..] => Effect::Note(line("tc", arguments)),
            _ => return Err(self.mistake(at, format!("'{}' is not supported", line("tc", arguments)))),
        };
        Ok(self.system.apply(effect))
    }

    /// `ethtool -K tun0 tso off gso off`.
    pub(super) fn ethtool(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ["-K" | "--offload" | "--features", device, features @ ..] = words.as_slice() else {
            return Ok(self.system.apply(Effect::Note(line("ethtool", arguments))));
        };
        let switches: Option<Vec<(String, bool)>> = features
            .chunks(2)
            .map(|pair| match pair {
                [feature, "on"] => Some(((*feature).to_owned(), true)),
                [feature, "off"] => Some(((*feature).to_owned(), false)),
                _ => None,
            })
            .collect();
        match switches.filter(|switches| !switches.is_empty()) {
            Some(features) => {
                Ok(self.system.apply(Effect::Offload { device: (*device).to_owned(), features }))
            }
            None => Err(self.mistake(at, "expected features and 'on' or 'off' after 'ethtool -K'")),
        }
    }
}

/// The words behind `ip`.
struct Arguments<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn peek(&self) -> Option<&'a str> {
        self.0.as_slice().first().copied()
    }

    fn skip(&mut self, words: &[&str]) -> bool {
        let there = self.peek().is_some_and(|word| words.contains(&word));
        if there {
            self.next();
        }
        there
    }

    /// The value that stands behind `name`.
    fn value(&mut self, name: &str) -> Words<&'a str> {
        self.next().ok_or_else(|| format!("expected a value after '{name}'"))
    }

    fn number(&mut self, name: &str) -> Words<u32> {
        let value = self.value(name)?;
        value.parse().map_err(|_| format!("expected a number after '{name}', found '{value}'"))
    }

    fn address(&mut self, name: &str) -> Words<IpAddr> {
        let value = self.value(name)?;
        value.parse().map_err(|_| format!("expected an address after '{name}', found '{value}'"))
    }
}

fn route(words: &mut Arguments<'_>, v6: bool) -> Words<RouteChange> {
    let action = match words.next() {
        Some("add" | "a") => RouteAction::Add,
        Some("change" | "chg") => RouteAction::Change,
        Some("replace" | "append") => RouteAction::Replace,
        Some("del" | "delete" | "d") => RouteAction::Delete,
        other => return Err(format!("'ip route {}' is not supported", other.unwrap_or(""))),
    };
    words.skip(&["unicast"]);
    let local = words.skip(&["local"]);
    let destination = match words.value("ip route")? {
        "default" => None,
        text => Some(prefix(text)?),
    };
    let v6 = v6 || destination.is_some_and(|(address, _)| address.is_ipv6());
    let (via, device, source, attributes) = (None, None, None, Vec::new());
    let mut route = RouteChange { action, destination, v6, via, device, source, local, attributes };
    while let Some(name) = words.next() {
        match name {
            "via" => {
                words.skip(&["inet", "inet6"]);
                route.via = Some(words.address(name)?);
            }
            "dev" => route.device = Some(words.value(name)?.to_owned()),
            "src" => route.source = Some(words.address(name)?),
            "proto" | "scope" | "table" | "pref" => drop(words.value(name)?),
            "onlink" => {}
            _ => route.attributes.push(attribute(name, words)?),
        }
    }
    Ok(route)
}

fn attribute(name: &str, words: &mut Arguments<'_>) -> Words<RouteAttribute> {
    let locked = words.skip(&["lock"]);
    let name = name.to_owned();
    Ok(match name.as_str() {
        "mtu" => RouteAttribute::Mtu { value: words.number(&name)?, locked },
        "advmss" | "initcwnd" | "initrwnd" | "window" | "ssthresh" | "cwnd" | "reordering" | "hoplimit"
        | "quickack" | "fastopen_no_cookie" | "metric" => {
            RouteAttribute::Number { value: words.number(&name)?, name, locked }
        }
        "rtt" | "rttvar" | "rto_min" => {
            RouteAttribute::Time { value: time(words.value(&name)?)?, name, locked }
        }
        "congctl" | "features" => RouteAttribute::Word { value: words.value(&name)?.to_owned(), name },
        other => return Err(format!("'{other}' in 'ip route' is not supported")),
    })
}

/// `192.0.2.0/24`; an address alone has its full length.
fn prefix(text: &str) -> Words<(IpAddr, u8)> {
    let bad = || format!("'{text}' is no address or prefix");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length.map_or(Ok(most), str::parse) {
        Ok(length) if length <= most => Ok((address, length)),
        _ => Err(bad()),
    }
}

/// `20ms`, `1s`, `500us`; a bare number has milliseconds.
fn time(text: &str) -> Words<Duration> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "ms"),
    };
    let unit = match unit {
        "s" | "sec" | "secs" => 1.0,
        "ms" | "msec" | "msecs" => 1e-3,
        "us" | "usec" | "usecs" => 1e-6,
        _ => return Err(format!("'{text}' is no time")),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("'{text}' is no time"))
}

fn metrics(words: &mut Arguments<'_>) -> Words<Effect> {
    match (words.next(), words.next(), words.next()) {
        (Some("flush" | "f"), None | Some("all"), None) => Ok(Effect::FlushMetrics),
        _ => Err("only 'ip tcp_metrics flush all' is supported".to_owned()),
    }
}

fn address(words: &mut Arguments<'_>) -> Words<Effect> {
    let add = match words.next() {
        Some("add" | "a" | "replace") => true,
        Some("del" | "delete" | "d") => false,
        other => return Err(format!("'ip address {}' is not supported", other.unwrap_or(""))),
    };
    let (address, prefix) = prefix(words.value("ip address")?)?;
    let mut device = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value(word)?.to_owned()),
            "nodad" | "noprefixroute" => {}
            "brd" | "broadcast" | "scope" | "label" => drop(words.value(word)?),
            other => return Err(format!("'{other}' in 'ip address' is not supported")),
        }
    }
    let device = device.ok_or("'ip address' needs 'dev'")?;
    Ok(Effect::Address { add, address, prefix, device })
}

fn link(words: &mut Arguments<'_>) -> Words<Effect> {
    if words.next() != Some("set") {
        return Err("only 'ip link set' is supported".to_owned());
    }
    words.skip(&["dev"]);
    let device = words.value("ip link set")?.to_owned();
    let (mut up, mut mtu) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "up" => up = Some(true),
            "down" => up = Some(false),
            "mtu" => mtu = Some(words.number(word)?),
            other => return Err(format!("'{other}' in 'ip link' is not supported")),
        }
    }
    Ok(Effect::Link { device, up, mtu })
}
