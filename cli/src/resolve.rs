//! The addresses of a name: all of them, to be tried in their order.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use clap::Args;
use tapsock::Host;

/// Which addresses of a name will do.
#[derive(Args, Copy, Clone, Debug, Default)]
pub struct Family {
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
}

impl Family {
    /// Whether an address is of it.
    pub fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { !self.ipv6 } else { !self.ipv4 }
    }

    /// Whether it is IPv6 and no other.
    pub fn is_v6(self) -> bool {
        self.ipv6
    }

    /// What a name lacks that has none.
    fn missing(self) -> &'static str {
        match (self.ipv4, self.ipv6) {
            (true, _) => "it has no IPv4 address",
            (_, true) => "it has no IPv6 address",
            _ => "it has no address",
        }
    }
}

/// What a host and a port are said to be, instead of what the resolver knows: curl's `--resolve`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pinned {
    /// `None`: any.
    host: Option<String>,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl FromStr for Pinned {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not HOST:PORT:ADDRESS");
        let text = text.strip_prefix('+').unwrap_or(text);
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(form)?,
            None => text.split_once(':').ok_or_else(form)?,
        };
        let (port, addresses) = rest.split_once(':').ok_or_else(form)?;
        let address = |text: &str| {
            let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
            bare.parse().map_err(|_| format!("{text:?} is no address"))
        };
        Ok(Pinned {
            host: Some(host.to_owned()).filter(|host| host != "*"),
            port: port.parse().map_err(|_| form())?,
            addresses: addresses.split(',').map(address).collect::<Result<_, _>>()?,
        })
    }
}

impl Pinned {
    /// The addresses, where it is of this host and port.
    ///
    /// # Errors
    /// NotFound where none is of `family`.
    pub fn look_up(&self, host: &str, port: u16, family: Family) -> Option<io::Result<Found>> {
        let is_meant = self.host.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(host));
        let found = || self.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
        (is_meant && self.port == port).then(|| of_family(found(), family))
    }
}

/// Whether names are looked up.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Names {
    /// By who knows the network that is attached to.
    Resolved,
    /// Addresses only.
    Refused,
}

/// The addresses of a name: at least one.
#[derive(Clone, Debug)]
pub struct Found {
    earlier: Vec<SocketAddr>,
    last: SocketAddr,
}

/// The addresses of `host`, in the resolver's order: that of the `stack`, where it has name servers of its own, or else the
/// machine's.
///
/// # Errors
/// What getaddrinfo(3) says; NotFound where no address is of `family`.
pub fn look_up(
    host: &str,
    port: u16,
    family: Family,
    names: Names,
    stack: Option<&Host>,
) -> io::Result<Found> {
    let stack = stack.filter(|stack| !stack.name_servers().is_empty());
    let found: Vec<_> = match (names, host.parse()) {
        (_, Ok(address)) => vec![SocketAddr::new(address, port)],
        // It may have a scope.
        (Names::Refused, _) if !host.contains('%') => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no address"));
        }
        _ => match stack {
            Some(stack) => stack.look_up(host, port)?,
            None => (host, port).to_socket_addrs()?.collect(),
        },
    };
    of_family(found, family)
}

fn of_family(mut found: Vec<SocketAddr>, family: Family) -> io::Result<Found> {
    found.retain(|address| family.has(address.ip()));
    match found.pop() {
        Some(last) => Ok(Found { earlier: found, last }),
        None => Err(io::Error::new(io::ErrorKind::NotFound, family.missing())),
    }
}

impl Found {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.earlier.iter().chain([&self.last]).copied()
    }

    /// Tries one after the other until one will do.
    ///
    /// # Errors
    /// That of the last.
    pub fn try_each<T, E>(&self, mut attempt: impl FnMut(SocketAddr) -> Result<T, E>) -> Result<T, E> {
        for address in &self.earlier {
            if let Ok(done) = attempt(*address) {
                return Ok(done);
            }
        }
        attempt(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_tried_and_the_last_error_counts() {
        let [one, two] = ["[::1]:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        let found = Found { earlier: vec![one], last: two };
        let mut tried = Vec::new();
        let failed: Result<(), _> = found.try_each(|to| {
            tried.push(to);
            Err(to)
        });
        assert_eq!((failed, tried), (Err(two), vec![one, two]));
        assert_eq!(found.try_each(|to| if to == one { Ok(1) } else { Err(()) }), Ok(1));
        assert_eq!(found.try_each(|to| if to == two { Ok(2) } else { Err(()) }), Ok(2));
    }

    #[test]
    fn a_family_may_be_asked_for() {
        let v6 = Family { ipv4: false, ipv6: true };
        let error = look_up("127.0.0.1", 1, v6, Names::Resolved, None).unwrap_err();
        assert!(error.to_string().contains("no IPv6 address"), "{error}");
        assert_eq!(look_up("::1", 1, v6, Names::Refused, None).unwrap().iter().count(), 1);
        let error = look_up("localhost", 1, Family::default(), Names::Refused, None).unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
    }

    #[test]
    fn an_address_may_be_said() {
        let pinned: Pinned = "h:80:127.0.0.1,[::1]".parse().unwrap();
        let count = |host, port, family| {
            pinned.look_up(host, port, family).map(|found| found.map_or(0, |found| found.iter().count()))
        };
        let any = Family::default();
        let v6 = Family { ipv4: false, ipv6: true };
        assert_eq!((count("H", 80, any), count("h", 80, v6)), (Some(2), Some(1)));
        assert_eq!((count("h", 81, any), count("x", 80, any)), (None, None));
        let other: Pinned = "*:80:::1".parse().unwrap();
        assert!(other.look_up("x", 80, any).is_some());
        for text in ["h", "h:80", "h:x:::1", "h:80:nosuch"] {
            assert!(text.parse::<Pinned>().is_err(), "{text}");
        }
    }
}
