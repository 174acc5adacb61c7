//! Host names by the text of `/etc/hosts`.

use core::net::{IpAddr, Ipv4Addr};

/// The most lines that are kept of one text; further ones are dropped.
pub const HOSTS_MAX: usize = 1 << 20;

/// Which addresses are asked for.
///
/// ```
/// use tapsock::resolve::{Family, HostsFile};
///
/// assert!(HostsFile::parse("::5 a").by_name("a", Family::V4).is_none());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Family {
    /// Both.
    Any,
    /// IPv4. Lines with IPv6's loopback or an IPv4-mapped address count as IPv4 lines, as glibc reads them.
    V4,
    /// IPv6.
    V6,
}

/// The text of hosts(5): addresses and the names of each.
///
/// ```
/// use tapsock::resolve::{Family, HostsFile};
///
/// let hosts = HostsFile::parse("10.0.0.1 alpha.example alpha  # comment\n");
/// let (canonical, addresses) = hosts.by_name("ALPHA", Family::Any).unwrap();
/// assert_eq!((canonical, addresses), ("alpha.example", vec!["10.0.0.1".parse().unwrap()]));
/// assert_eq!(hosts.by_address("10.0.0.1".parse().unwrap()), Some("alpha.example"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostsFile {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Line {
    address: IpAddr,
    canonical: String,
    aliases: Vec<String>,
}

impl HostsFile {
    /// Reads the text. A line without an address or a name is passed over; so is one whose address is not in full
    /// form or has a scope.
    pub fn parse(text: &str) -> HostsFile {
        HostsFile { lines: text.lines().filter_map(Line::parse).take(HOSTS_MAX).collect() }
    }

    /// `localhost`, for where there is no file (RFC 6761 §6.3).
    pub fn builtin() -> HostsFile {
        HostsFile::parse("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    }

    /// The canonical name and the addresses of a host, in the order of the text, repeated where the text repeats
    /// them. Letters match in both cases. The canonical name is that of the first line that fits.
    pub fn by_name(&self, name: &str, family: Family) -> Option<(&str, Vec<IpAddr>)> {
        let mut canonical = None;
        let mut addresses = Vec::new();
        for line in self.lines.iter().filter(|line| line.is_named(name)) {
            if let Some(address) = line.address_as(family) {
                canonical.get_or_insert(line.canonical.as_str());
                addresses.push(address);
            }
        }
        Some((canonical?, addresses))
    }

    /// The canonical name of the first line with that address.
    pub fn by_address(&self, address: IpAddr) -> Option<&str> {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let line = self.lines.iter().find(|line| line.address_as(family) == Some(address))?;
        Some(&line.canonical)
    }
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        let canonical = words.next()?.to_owned();
        Some(Line { address, canonical, aliases: words.map(str::to_owned).collect() })
    }

    fn is_named(&self, name: &str) -> bool {
        self.canonical.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// The address, where a reader who asks for `family` sees one.
    fn address_as(&self, family: Family) -> Option<IpAddr> {
        match (family, self.address) {
            (Family::V4, IpAddr::V6(address)) if address.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
            (Family::V4, IpAddr::V6(address)) => address.to_ipv4_mapped().map(IpAddr::V4),
            (Family::V6, IpAddr::V4(_)) => None,
            (_, address) => Some(address),
        }
    }
}
