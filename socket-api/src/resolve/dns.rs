//! Addresses of names, asked of name servers: a stub resolver (RFC 1034 §5.3.1) as a value. Questions and the time go
//! in; messages to send, one deadline and the answer come out. It has no socket and no clock.
//!
//! Behaviour is glibc's with `hosts: dns`: the search list and `ndots`, A and AAAA at once, time-outs, attempts and
//! rotation over several servers, and which `EAI_*` comes of what. Known differences: answers are kept for as long as they are
//! true; EDNS is offered unless `no-edns0` says otherwise; where the answer for one family never comes, the addresses of
//! the other will do; a name that is an alias, and of which the server says no more, is asked for under its other name.
//!
//! An answer is believed that comes from the server's address and port to the port that asked, has the question's number,
//! and repeats the question (RFC 5452). Numbers are random; ports are where each question has a socket of its own.

mod cache;
mod conf;
mod lookup;
mod message;
mod round;

use core::net::SocketAddr;

use tapsock_stack::random::Random;
use tapsock_stack::time::Instant;

use cache::Cache;

pub use cache::{CACHE_MAX, NEGATIVE_TTL_MAX, TTL_MAX};
pub use conf::{ResolvConf, SEARCH_MAX, SERVERS_MAX};
pub use lookup::{Found, Lookup};
pub use message::{AddressType, UDP_SIZE};

/// What is asked of servers, and how.
///
/// ```
/// use tapsock::resolve::dns::Transport;
///
/// assert_ne!(Transport::Udp, Transport::Tcp);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Each message is a datagram.
    Udp,
    /// Each message goes with its length, two bytes, before it (RFC 1035 §4.2.2).
    Tcp,
}

/// Messages for one server, which one socket sends. See [`Resolver`] for an example.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Whom they are for.
    pub server: SocketAddr,
    /// How they go.
    pub transport: Transport,
    /// The messages, without lengths; one or two.
    pub messages: Vec<Vec<u8>>,
}

/// Whom to ask, and what has been heard.
///
/// ```
/// use core::time::Duration;
/// use tapsock::resolve::EaiError;
/// use tapsock::resolve::dns::{AddressType, ResolvConf, Resolver};
/// use tapsock_stack::time::Instant;
///
/// let conf = ResolvConf::parse("nameserver 192.0.2.53\noptions attempts:1 timeout:2\n", &[]);
/// let mut resolver = Resolver::new(conf, 7);
/// let now = Instant::ZERO;
/// let mut lookup = resolver.look_up(now, "www.example.org", &[AddressType::A, AddressType::Aaaa]);
/// let transmit = lookup.poll_transmit(&mut resolver).unwrap();
/// assert_eq!((transmit.server.to_string().as_str(), transmit.messages.len()), ("192.0.2.53:53", 2));
///
/// // Nobody answers.
/// let deadline = lookup.poll_timeout().unwrap();
/// assert_eq!(deadline, now + Duration::from_secs(2));
/// lookup.on_timeout(&mut resolver, deadline);
/// assert_eq!(lookup.outcome(), Some(&Err(EaiError::Again)));
/// ```
#[derive(Debug)]
pub struct Resolver {
    conf: ResolvConf,
    common: Common,
    /// Counts lookups, for `rotate`.
    lookups: usize,
}

/// What all lookups share.
#[derive(Debug)]
struct Common {
    cache: Cache,
    random: Random,
}

impl Resolver {
    /// A resolver that has heard nothing yet. The numbers of its questions follow from the seed, which nobody else should know.
    pub fn new(conf: ResolvConf, seed: u64) -> Resolver {
        Resolver { conf, common: Common { cache: Cache::default(), random: Random::new(seed) }, lookups: 0 }
    }

    /// Whom it asks.
    pub fn conf(&self) -> &ResolvConf {
        &self.conf
    }

    /// Asks others from now on. What was heard is forgotten where the servers are others: they may know other names.
    pub fn set_conf(&mut self, conf: ResolvConf) {
        if conf.servers != self.conf.servers {
            self.common.cache.clear();
        }
        self.conf = conf;
    }

    /// Begins to look up a name, which is at its end at once where all is known.
    pub fn look_up(&mut self, now: Instant, name: &str, kinds: &[AddressType]) -> Lookup {
        let first = if self.conf.rotate { self.lookups } else { 0 };
        self.lookups = self.lookups.wrapping_add(1);
        Lookup::start(self, now, name, kinds, first)
    }

    /// How many names it remembers, at most [`CACHE_MAX`].
    pub fn remembered(&self) -> usize {
        self.common.cache.len()
    }
}

#[cfg(test)]
mod tests;
