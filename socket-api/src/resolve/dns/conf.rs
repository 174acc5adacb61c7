//! Which name servers are asked, and how: resolv.conf(5).

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::time::Duration;

use crate::resolve::interfaces::Interface;
use crate::resolve::numeric::scope;

/// The most servers that are asked; further ones are passed over, as glibc does.
pub const SERVERS_MAX: usize = 3;
/// The most domains that are searched; further ones are passed over. (glibc has no limit since 2.26, and had this one.)
pub const SEARCH_MAX: usize = 6;
/// Where servers listen.
const PORT: u16 = 53;

/// Which servers are asked, where names without a domain are looked for, and how long an answer is waited for.
///
/// ```
/// use core::time::Duration;
/// use tapsock::resolve::dns::ResolvConf;
///
/// let conf = ResolvConf::parse("nameserver 192.0.2.53\nsearch example.org\noptions timeout:2 rotate\n", &[]);
/// assert_eq!(conf.servers, ["192.0.2.53:53".parse().unwrap()]);
/// assert_eq!((conf.timeout, conf.rotate), (Duration::from_secs(2), true));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolvConf {
    /// The servers, in the order in which they are asked; at most [`SERVERS_MAX`] are.
    pub servers: Vec<SocketAddr>,
    /// Domains that names are looked for in; at most [`SEARCH_MAX`] are.
    pub search: Vec<String>,
    /// A name with so many dots is first looked up as it is.
    pub ndots: usize,
    /// How long one server's answer is waited for.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: usize,
    /// Whether each name begins with another server than the last one did.
    pub rotate: bool,
    /// Whether all questions go over TCP.
    pub use_tcp: bool,
    /// Whether answers longer than 512 bytes may come by UDP (EDNS, RFC 6891).
    pub edns: bool,
}

/// No server, and the values that resolv.conf(5) has without options; EDNS, which servers have long since known, is on.
impl Default for ResolvConf {
    fn default() -> Self {
        ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
            edns: true,
        }
    }
}

impl ResolvConf {
    /// Reads the text of resolv.conf(5): `nameserver`, `search`, `domain`, and of `options` `ndots`, `timeout`,
    /// `attempts`, `rotate`, `use-vc`, `edns0` and `no-edns0`, each cut to what glibc takes. What is something else is
    /// passed over. A server's address may name one of `interfaces` after a `%`.
    pub fn parse(text: &str, interfaces: &[Interface]) -> ResolvConf {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            // A keyword stands at the very beginning of its line.
            if line.starts_with([';', '#', ' ', '\t']) {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|text| server(text, interfaces));
                    conf.servers.extend(server.filter(|_| conf.servers.len() < SERVERS_MAX));
                }
                Some("domain") => conf.search = words.next().map(str::to_owned).into_iter().collect(),
                Some("search") => conf.search = words.take(SEARCH_MAX).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        conf
    }

    fn set(&mut self, option: &str) {
        // A number is what the digits say, as atoi(3) reads them; the least and the most are those of resolv.conf(5).
        let number = |text: &str, most: u64| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            digits.parse().unwrap_or(if digits.is_empty() { 0 } else { u64::MAX }).min(most)
        };
        match option.split_once(':') {
            Some(("ndots", n)) => self.ndots = number(n, 15) as usize,
            Some(("timeout", n)) => self.timeout = Duration::from_secs(number(n, 30).max(1)),
            Some(("attempts", n)) => self.attempts = number(n, 5).max(1) as usize,
            None if option == "rotate" => self.rotate = true,
            None if option == "use-vc" => self.use_tcp = true,
            None if option == "edns0" => self.edns = true,
            None if option == "no-edns0" => self.edns = false,
            _ => {}
        }
    }
}

fn server(text: &str, interfaces: &[Interface]) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT));
    };
    let address = address.parse().ok()?;
    Some(SocketAddrV6::new(address, PORT, 0, scope(interfaces, address, zone)?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_resolv_conf_5_says() {
        let text = "\
; nameserver 192.0.2.1
# nameserver 192.0.2.1
 nameserver 192.0.2.1
nameserver 192.0.2.2 trailing
nameserver nonsense
nameserver
nameserver 2001:db8::53
nameserver fe80::53%tap0
nameserver 192.0.2.5
domain first.example
search a.example b.example c.example d.example e.example f.example g.example
sortlist 192.0.2.0
options ndots:99 timeout:0 attempts:9 rotate use-vc no-edns0 nonsense ndots
";
        let tap0 = Interface { index: 2, name: "tap0".to_owned(), addresses: vec![] };
        let conf = ResolvConf::parse(text, &[tap0]);
        let servers: Vec<String> = conf.servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.2:53", "[2001:db8::53]:53", "[fe80::53%2]:53"]);
        assert_eq!(conf.search.len(), SEARCH_MAX);
        assert_eq!(conf.search[0], "a.example");
        assert_eq!((conf.ndots, conf.timeout.as_secs(), conf.attempts), (15, 1, 5));
        assert!(conf.rotate && conf.use_tcp && !conf.edns);
    }

    #[test]
    fn the_last_of_domain_and_search_counts() {
        let search = |text| ResolvConf::parse(text, &[]).search;
        assert_eq!(search("search a b\ndomain c\n"), ["c"]);
        assert_eq!(search("domain c\nsearch a b\n"), ["a", "b"]);
        assert_eq!(ResolvConf::parse("", &[]), ResolvConf::default());
        let huge = ResolvConf::parse("options timeout:99999999999999999999 ndots:\n", &[]);
        assert_eq!((huge.timeout.as_secs(), huge.ndots), (30, 0));
    }
}
