//! Filters of simple words, as far as tcpdump's are so: `tcp port 80 and not host 10.0.0.1`.

use std::net::IpAddr;

use super::packet::{Layer, Packet};

/// The most words of a filter: as deep as it can be nested.
const WORDS_MAX: usize = 64;

/// Which packets are shown.
///
/// ```
/// use tapsock_driver::print::{End, Filter};
///
/// assert_eq!(Filter::parse("src port 80"), Ok(Filter::Port(End::Source, 80)));
/// assert!(Filter::parse("port").is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Filter {
    /// All of them.
    All,
    /// Those of a protocol.
    Is(Layer),
    /// Those with an address at that end.
    Host(End, IpAddr),
    /// Those with a port of TCP or UDP at that end.
    Port(End, u16),
    /// Those that it does not take.
    Not(Box<Filter>),
    /// Those that both take.
    And(Box<Filter>, Box<Filter>),
    /// Those that either takes.
    Or(Box<Filter>, Box<Filter>),
}

/// Which end a word means. See [`Filter`] for an example.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// `src`.
    Source,
    /// `dst`.
    Destination,
    /// Without either.
    Either,
}

impl Filter {
    /// Reads it. No words take all packets.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let text = text.replace('(', " ( ").replace(')', " ) ").replace('!', " not ");
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() > WORDS_MAX {
            return Err(format!("it has more than {WORDS_MAX} words"));
        }
        if words.is_empty() {
            return Ok(Filter::All);
        }
        let mut rest = words.as_slice();
        let filter = any_of(&mut rest)?;
        match rest.first() {
            None => Ok(filter),
            Some(word) => Err(format!("\"{word}\" is not understood")),
        }
    }

    /// Whether a packet is shown.
    pub fn takes(&self, packet: &Packet<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::Is(layer) => packet.is(*layer),
            Filter::Host(end, host) => packet.addresses().is_some_and(|ends| end.is(ends, *host)),
            Filter::Port(end, port) => packet.ports().is_some_and(|ends| end.is(ends, *port)),
            Filter::Not(filter) => !filter.takes(packet),
            Filter::And(one, other) => one.takes(packet) && other.takes(packet),
            Filter::Or(one, other) => one.takes(packet) || other.takes(packet),
        }
    }
}

impl End {
    fn is<T: PartialEq>(self, (source, destination): (T, T), wanted: T) -> bool {
        (self != End::Destination && source == wanted) || (self != End::Source && destination == wanted)
    }
}

fn any_of(rest: &mut &[&str]) -> Result<Filter, String> {
    let mut filter = all_of(rest)?;
    while took(rest, &["or", "||"]) {
        filter = Filter::Or(Box::new(filter), Box::new(all_of(rest)?));
    }
    Ok(filter)
}

fn all_of(rest: &mut &[&str]) -> Result<Filter, String> {
    let mut filter = one(rest)?;
    // `tcp port 80` needs no word between.
    while took(rest, &["and", "&&"]) || rest.first().is_some_and(|word| !["or", "||", ")"].contains(word)) {
        filter = Filter::And(Box::new(filter), Box::new(one(rest)?));
    }
    Ok(filter)
}

fn one(rest: &mut &[&str]) -> Result<Filter, String> {
    let Some((word, after)) = rest.split_first() else { return Err("it ends too early".to_owned()) };
    *rest = after;
    let layer = |layer| Ok(Filter::Is(layer));
    match *word {
        "not" => Ok(Filter::Not(Box::new(one(rest)?))),
        "(" => {
            let filter = any_of(rest)?;
            if took(rest, &[")"]) { Ok(filter) } else { Err("a ) is missing".to_owned()) }
        }
        "tcp" => layer(Layer::Tcp),
        "udp" => layer(Layer::Udp),
        "icmp" => layer(Layer::Icmp),
        "icmp6" => layer(Layer::Icmp6),
        "arp" => layer(Layer::Arp),
        "ip" => layer(Layer::Ip),
        "ip6" => layer(Layer::Ip6),
        "src" => end(End::Source, rest),
        "dst" => end(End::Destination, rest),
        "host" => host(End::Either, rest),
        "port" => port(End::Either, rest),
        word => Err(format!("\"{word}\" is not understood")),
    }
}

/// What follows `src` and `dst`; `host` may be left out.
fn end(end: End, rest: &mut &[&str]) -> Result<Filter, String> {
    if took(rest, &["port"]) {
        return port(end, rest);
    }
    took(rest, &["host"]);
    host(end, rest)
}

fn host(end: End, rest: &mut &[&str]) -> Result<Filter, String> {
    let word = next(rest, "host")?;
    word.parse().map(|host| Filter::Host(end, host)).map_err(|_| format!("host: \"{word}\" is no address"))
}

fn port(end: End, rest: &mut &[&str]) -> Result<Filter, String> {
    let word = next(rest, "port")?;
    word.parse().map(|port| Filter::Port(end, port)).map_err(|_| format!("port: \"{word}\" is no number"))
}

fn next<'a>(rest: &mut &[&'a str], after: &str) -> Result<&'a str, String> {
    let (word, others) = rest.split_first().ok_or_else(|| format!("nothing follows \"{after}\""))?;
    *rest = others;
    Ok(word)
}

fn took(rest: &mut &[&str], words: &[&str]) -> bool {
    match rest.split_first() {
        Some((word, after)) if words.contains(word) => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_make_a_filter() {
        let port = |port| Box::new(Filter::Port(End::Either, port));
        let tcp = || Box::new(Filter::Is(Layer::Tcp));
        assert_eq!(Filter::parse(" "), Ok(Filter::All));
        assert_eq!(Filter::parse("tcp port 80"), Ok(Filter::And(tcp(), port(80))));
        assert_eq!(Filter::parse("tcp and port 80"), Filter::parse("tcp && port 80"));
        // `and` binds closer than `or`.
        let or = Filter::Or(Box::new(Filter::And(tcp(), port(80))), Box::new(Filter::Is(Layer::Arp)));
        assert_eq!(Filter::parse("tcp port 80 or arp"), Ok(or));
        assert_eq!(Filter::parse("!(tcp)"), Ok(Filter::Not(tcp())));
        let host = "fd07::1".parse().unwrap();
        assert_eq!(Filter::parse("src fd07::1"), Ok(Filter::Host(End::Source, host)));
        assert_eq!(Filter::parse("dst host fd07::1"), Ok(Filter::Host(End::Destination, host)));
        for (text, why) in [
            ("tcp port", "nothing follows \"port\""),
            ("port http", "\"http\" is no number"),
            ("host web", "\"web\" is no address"),
            ("(tcp", "a ) is missing"),
            ("tcp)", "\")\" is not understood"),
            ("tcp or", "ends too early"),
            ("vlan", "\"vlan\" is not understood"),
        ] {
            assert!(Filter::parse(text).unwrap_err().contains(why), "{text}");
        }
        assert!(Filter::parse(&"( ".repeat(1000)).unwrap_err().contains("words"));
    }

    #[test]
    fn a_filter_has_so_many_words_and_no_more() {
        let nested = |depth: usize| "not ".repeat(depth) + "tcp";
        assert!(Filter::parse(&nested(WORDS_MAX - 1)).is_ok());
        assert!(Filter::parse(&nested(WORDS_MAX)).unwrap_err().contains("more than 64 words"));
    }
}
