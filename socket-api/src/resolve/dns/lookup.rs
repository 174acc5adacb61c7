//! A name as somebody says it, looked up under each of the names that it may stand for.

use core::net::{IpAddr, SocketAddr};

use tapsock_stack::time::Instant;

use super::conf::{ResolvConf, SEARCH_MAX};
use super::message::{AddressType, WireName, wire_name};
use super::round::{Outcome, Round};
use super::{Common, Resolver, Transmit};
use crate::resolve::error::EaiError;

/// A name's addresses.
///
/// ```
/// use tapsock::resolve::dns::Found;
///
/// let found = Found { canonical: "a.example".to_owned(), addresses: vec!["192.0.2.1".parse().unwrap()] };
/// assert!(found.addresses[0].is_ipv4());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The name that the addresses really belong to.
    pub canonical: String,
    /// The addresses, those of IPv4 first; at least one.
    pub addresses: Vec<IpAddr>,
}

/// A name that is being looked up. Made by [`Resolver::look_up`]; what is asked next is [`poll_transmit`](Self::poll_transmit)'s
/// to say, and the result is there when [`outcome`](Self::outcome) is. See [`Resolver`] for an example.
#[derive(Debug)]
pub struct Lookup {
    conf: ResolvConf,
    kinds: Vec<AddressType>,
    /// The server that each name begins with.
    first: usize,
    /// As it was said.
    text: String,
    /// What it may stand for, the last one first; which of them is the name as it was said.
    candidates: Vec<Candidate>,
    round: Option<(Meaning, Round)>,
    /// What other candidates have come to.
    had: Had,
    outcome: Option<Result<Found, EaiError>>,
}

#[derive(Debug)]
struct Candidate {
    meaning: Meaning,
    name: WireName,
}

/// What a candidate is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Meaning {
    /// The name as it was said.
    AsIs,
    /// In a domain of the search list.
    Searched,
}

/// What is remembered of candidates that came to nothing.
#[derive(Debug, Default)]
struct Had {
    no_data: bool,
    unable: bool,
    /// The name as it was said, tried before the search list.
    as_is: Option<EaiError>,
}

impl Lookup {
    pub(super) fn start(
        resolver: &mut Resolver,
        now: Instant,
        text: &str,
        kinds: &[AddressType],
        first: usize,
    ) -> Lookup {
        let conf = resolver.conf.clone();
        let mut lookup = Lookup {
            candidates: candidates(text, &conf),
            conf,
            kinds: kinds.to_vec(),
            first,
            text: text.to_owned(),
            round: None,
            had: Had::default(),
            outcome: None,
        };
        lookup.outcome = match () {
            () if lookup.candidates.is_empty() || lookup.kinds.is_empty() => Some(Err(EaiError::NoName)),
            () if lookup.conf.servers.is_empty() => Some(Err(EaiError::Again)),
            () => None,
        };
        if lookup.outcome.is_none() {
            lookup.next_candidate(now, &mut resolver.common, EaiError::NoName);
            lookup.go_on(now, &mut resolver.common);
        }
        lookup
    }

    /// What is to be sent now: each message to that server, by one new socket that takes answers only from there. The
    /// socket that was made before for this lookup has no more use.
    pub fn poll_transmit(&mut self, resolver: &mut Resolver) -> Option<Transmit> {
        let (_, round) = self.round.as_mut()?;
        round.poll_transmit(&self.conf, &mut resolver.common)
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called; `None` where there is an outcome.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.round.as_ref()?.1.poll_timeout()
    }

    /// A message from `from` has come, by UDP or, without the length before it, by TCP. What is no answer to what was
    /// asked last changes nothing.
    pub fn on_message(&mut self, resolver: &mut Resolver, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if let Some((_, round)) = &mut self.round {
            round.on_message(now, from, bytes, &self.conf, &mut resolver.common);
        }
        self.go_on(now, &mut resolver.common);
    }

    /// The server can't be reached: ECONNREFUSED, ENETUNREACH, or a connection that ended too early.
    pub fn on_failure(&mut self, resolver: &mut Resolver, now: Instant) {
        if let Some((_, round)) = &mut self.round {
            round.on_failure(now, &self.conf);
        }
        self.go_on(now, &mut resolver.common);
    }

    /// Goes on to the next server, where `now` is the time to.
    pub fn on_timeout(&mut self, resolver: &mut Resolver, now: Instant) {
        if let Some((_, round)) = &mut self.round {
            round.on_timeout(now, &self.conf);
        }
        self.go_on(now, &mut resolver.common);
    }

    /// The result, once there is one.
    ///
    /// Errors: `EAI_NONAME` where nobody knows the name, `EAI_NODATA` where it has no address, `EAI_AGAIN` where no server
    /// answered.
    pub fn outcome(&self) -> Option<&Result<Found, EaiError>> {
        self.outcome.as_ref()
    }

    /// Takes up what the round came to. Each turn of the loop uses a candidate up.
    fn go_on(&mut self, now: Instant, common: &mut Common) {
        while let Some((meaning, outcome)) = self.ended_round() {
            self.round = None;
            let error = match outcome {
                Outcome::Found { canonical, addresses } => {
                    let canonical = canonical.unwrap_or_else(|| self.text.clone());
                    self.outcome = Some(Ok(Found { canonical, addresses }));
                    return;
                }
                Outcome::NoData => EaiError::NoData,
                Outcome::NoName => EaiError::NoName,
                Outcome::Unable | Outcome::Silence => EaiError::Again,
            };
            self.had.no_data |= outcome == Outcome::NoData;
            match (meaning, &outcome) {
                (Meaning::AsIs, _) => self.had.as_is = Some(error),
                (Meaning::Searched, Outcome::Unable) => self.had.unable = true,
                // Further domains would meet with the same silence; the name as it was said is tried nevertheless.
                (Meaning::Searched, Outcome::Silence) => {
                    self.candidates.retain(|candidate| candidate.meaning == Meaning::AsIs);
                }
                _ => {}
            }
            self.next_candidate(now, common, error);
        }
    }

    fn ended_round(&self) -> Option<(Meaning, Outcome)> {
        let (meaning, round) = self.round.as_ref()?;
        Some((*meaning, round.outcome()?))
    }

    fn next_candidate(&mut self, now: Instant, common: &mut Common, last: EaiError) {
        match self.candidates.pop() {
            Some(Candidate { meaning, name }) => {
                let round = Round::new(now, &name, &self.kinds, &self.conf, self.first, common);
                self.round = Some((meaning, round));
            }
            None => {
                let error = match &self.had {
                    Had { no_data: true, .. } => EaiError::NoData,
                    Had { as_is: Some(error), unable: false, .. } => *error,
                    Had { unable: true, .. } => EaiError::Again,
                    _ => last,
                };
                self.outcome = Some(Err(error));
            }
        }
    }
}

/// The names that `text` may stand for, the last one to be tried first: resolv.conf(5), `ndots`. With a dot at its end it
/// stands for itself only.
fn candidates(text: &str, conf: &ResolvConf) -> Vec<Candidate> {
    let as_is = || wire_name(text).map(|name| Candidate { meaning: Meaning::AsIs, name });
    if text.ends_with('.') {
        return as_is().into_iter().collect();
    }
    let in_domain = |domain: &String| {
        let domain = domain.trim_start_matches('.');
        let name = wire_name(&format!("{text}.{domain}"))?;
        Some(Candidate { meaning: Meaning::Searched, name })
    };
    let searched = conf.search.iter().take(SEARCH_MAX).filter_map(in_domain);
    let is_long = text.bytes().filter(|byte| *byte == b'.').count() >= conf.ndots;
    let mut candidates: Vec<Candidate> = match is_long {
        true => as_is().into_iter().chain(searched).collect(),
        false => searched.chain(as_is()).collect(),
    };
    candidates.reverse();
    candidates
}
