//! The checks: who does what to whom, and what must come of it.

use std::net::SocketAddr;

use super::sides::{Family, Side};
use crate::failure::Failure;
use crate::work::{Errand, Figures, Service, Watch, document_sha256};

/// Bytes of the document that is fetched.
const DOCUMENT: u64 = 1 << 20;
/// Echo requests of one check.
const PINGS: u16 = 10;
/// Datagrams of one check.
const DATAGRAMS: u32 = 200;
/// What both families' headers and UDP's take of an MTU at most, in bytes.
const HEADERS: usize = 40 + 8;
/// Bytes of a round trip.
const MESSAGE: usize = 64;
/// What uploads stand under.
const BULK: &str = "TCP, one connection, compared by CRC-32";
/// A port where nobody listens.
const CLOSED: u16 = 9;
/// "At once", for a connection that is refused, in microseconds: before any retransmission.
const AT_ONCE: f64 = 500_000.0;

/// Who asks.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Asker {
    Us,
    Peer,
}

/// What is asked.
#[derive(Copy, Clone, Debug)]
enum Act {
    Ping,
    Fetch,
    /// Of so many bytes at most.
    Datagrams(usize),
    Refuse,
    Upload(u64),
    RoundTrips(u32),
}

/// One check that is yet to be made.
#[derive(Copy, Clone, Debug)]
pub struct Trial {
    /// What it belongs to.
    pub heading: &'static str,
    act: Act,
    asker: Asker,
    family: Family,
}

/// What the stack must do, over a link of this MTU.
pub fn functions(mtu: usize) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (heading, act) in [
        ("Ping", Act::Ping),
        ("HTTP, compared by sha256", Act::Fetch),
        ("UDP", Act::Datagrams(mtu - HEADERS)),
        ("Closed ports", Act::Refuse),
    ] {
        for asker in [Asker::Peer, Asker::Us] {
            for family in [Family::V4, Family::V6] {
                trials.push(Trial { heading, act, asker, family });
            }
        }
    }
    trials
}

/// How fast it does it.
pub fn measurements(quick: bool) -> Vec<Trial> {
    let (bytes, rounds) = if quick { (256 << 20, 5_000) } else { (1 << 30, 20_000) };
    let mut trials = Vec::new();
    for (heading, act, family) in [
        (BULK, Act::Upload(bytes), Family::V4),
        (BULK, Act::Upload(bytes / 4), Family::V6),
        ("TCP, 64 bytes there and back", Act::RoundTrips(rounds), Family::V4),
    ] {
        for asker in [Asker::Peer, Asker::Us] {
            trials.push(Trial { heading, act, asker, family });
        }
    }
    trials
}

impl Trial {
    /// A name for programs and a title for people, where the other end is called so.
    pub fn names(&self, peer: &str, peer_title: &str) -> (String, String) {
        let from_peer = self.asker == Asker::Peer;
        let (action, title) = match (self.act, from_peer) {
            (Act::Ping, true) => ("pings-us", "{} pings us"),
            (Act::Ping, false) => ("is-pinged", "we ping {}"),
            (Act::Fetch, true) => ("fetches-from-us", "{} fetches from our HTTP server"),
            (Act::Fetch, false) => ("serves-us", "we fetch from the HTTP server of {}"),
            (Act::Datagrams(_), true) => ("udp-to-us", "{} sends datagrams, we send them back"),
            (Act::Datagrams(_), false) => ("udp-from-us", "we send datagrams, {} sends them back"),
            (Act::Refuse, true) => ("is-refused", "{} connects to our closed port"),
            (Act::Refuse, false) => ("refuses-us", "we connect to a closed port of {}"),
            (Act::Upload(_), true) => ("to-us", "{} sends, we receive"),
            (Act::Upload(_), false) => ("from-us", "we send, {} receives"),
            (Act::RoundTrips(_), true) => ("round-trips-to-us", "{} asks, we answer"),
            (Act::RoundTrips(_), false) => ("round-trips-from-us", "we ask, {} answers"),
        };
        let family = self.family;
        let title = format!("{} over {}", title.replace("{}", peer_title), family.title());
        (format!("{peer}-{action}-{}", family.name()), title)
    }

    /// What it is made over.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many bytes go over, where that is worth a bar.
    pub fn bytes(&self) -> Option<u64> {
        match self.act {
            Act::Upload(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Makes it: what was measured, and whether it is as it must be.
    ///
    /// # Errors
    /// The step that failed.
    pub fn make(
        &self,
        ours: &dyn Side,
        peer: &dyn Side,
        watch: &Watch,
    ) -> Result<(Figures, Result<(), String>), Failure> {
        let (asker, asked) = match self.asker {
            Asker::Us => (ours, peer),
            Asker::Peer => (peer, ours),
        };
        let to = asked.address(self.family)?;
        let service = match self.act {
            Act::Ping | Act::Refuse => None,
            Act::Fetch => Some(Service::Http),
            Act::Datagrams(_) => Some(Service::EchoDatagrams),
            Act::Upload(_) => Some(Service::Sink),
            Act::RoundTrips(_) => Some(Service::Echo),
        };
        let offer = service.map(|service| asked.serve(service, to, watch)).transpose()?;
        let at = offer.as_ref().map_or(SocketAddr::new(to, CLOSED), |offer| offer.at);
        let errand = match self.act {
            Act::Ping => Errand::Ping { to, count: PINGS },
            Act::Fetch => Errand::Fetch { url: format!("http://{at}/noise/{DOCUMENT}") },
            Act::Datagrams(largest) => Errand::Datagrams { to: at, count: DATAGRAMS, largest },
            Act::Refuse => Errand::Connect { to: at },
            Act::Upload(bytes) => Errand::Upload { to: at, bytes },
            Act::RoundTrips(rounds) => Errand::RoundTrips { to: at, size: MESSAGE, rounds },
        };
        let figures = asker.run(&errand, watch)?;
        let verdict = judge(&figures);
        Ok((figures, verdict))
    }
}

/// Whether the figures are as they must be. (Those of uploads and round trips would be errors otherwise.)
fn judge(figures: &Figures) -> Result<(), String> {
    match figures {
        Figures::Pings { requests, answers, .. } if answers < requests => {
            Err(format!("{} pings got no answer", requests - answers))
        }
        Figures::Fetched { http_status, .. } if *http_status != 200 => Err(format!("status {http_status}")),
        Figures::Fetched { fetched_bytes, .. } if *fetched_bytes != DOCUMENT => {
            Err(format!("{fetched_bytes} bytes came instead of {DOCUMENT}"))
        }
        Figures::Fetched { sha256, .. } if *sha256 != document_sha256(DOCUMENT) => {
            Err(format!("sha256 {sha256} is not that of the document"))
        }
        Figures::Datagrams { sent, returned, .. } if returned < sent => {
            Err(format!("{} datagrams were lost", sent - returned))
        }
        Figures::Connected { refused: false, .. } => Err("the connection was not refused".to_owned()),
        Figures::Connected { microseconds, .. } if *microseconds > AT_ONCE => {
            Err("the connection was not refused at once".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_other_bytes_is_no_success() {
        let fetched = |sha256: String| Figures::Fetched {
            http_status: 200,
            fetched_bytes: DOCUMENT,
            sha256,
            seconds: 1.0,
        };
        assert_eq!(judge(&fetched(document_sha256(DOCUMENT))), Ok(()));
        assert!(judge(&fetched(document_sha256(DOCUMENT + 1))).unwrap_err().contains("sha256"));
    }

    #[test]
    fn a_connection_must_be_refused_and_at_once() {
        let connected =
            |refused, microseconds| Figures::Connected { refused, outcome: String::new(), microseconds };
        assert_eq!(judge(&connected(true, 100.0)), Ok(()));
        assert!(judge(&connected(true, 1e6)).is_err());
        assert!(judge(&connected(false, 100.0)).is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = functions(1500)
            .into_iter()
            .chain(measurements(true))
            .map(|trial| trial.names("kernel", "the kernel").0)
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
