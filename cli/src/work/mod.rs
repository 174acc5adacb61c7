//! What the two ends of a demonstration do for each other: services, and errands that use them.
//!
//! Both are written once, over [`Network`], and run on the kernel's sockets and on tapsock's alike. They are told
//! and reported as JSON, because the kernel's end is another process.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accepting::Accepting;
use crate::failure::{During, Failure};
use crate::http::{self, Url};
use crate::network::{Datagrams, Duplex, Listener, Network, Stream};

mod bulk;
mod datagrams;
mod echo;
mod noise;

pub use bulk::Watch;
pub use noise::{document_sha256, noise_site};

/// How long an errand waits for the other end before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that a service serves at once; further ones are closed.
const MAX_CONNECTIONS: usize = 64;
/// How long a ping waits for its answer.
const PING_PATIENCE: Duration = Duration::from_secs(1);
/// Losses after which it is no use to go on.
const MAX_LOST: usize = 3;
/// Data of a ping, in bytes, as ping(8) has it.
const PING_PAYLOAD: usize = 56;

/// What one end offers.
#[derive(Copy, Clone, Debug, Deserialize, Serialize)]
pub enum Service {
    /// Documents over HTTP: `/noise/N` is N bytes.
    Http,
    /// Sends back what comes, over TCP.
    Echo,
    /// Takes what [`Errand::Upload`] sends, and tells its length and checksum.
    Sink,
    /// Sends back what comes, over UDP.
    EchoDatagrams,
}

/// What one end does with the other.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Errand {
    /// Echo requests, one after the other.
    Ping {
        /// Whom.
        to: IpAddr,
        /// How many.
        count: u16,
    },
    /// Fetches a document by HTTP.
    Fetch {
        /// Which.
        url: String,
    },
    /// Sends bytes to an [`Service::Echo`] and waits until they come back, again and again.
    RoundTrips {
        /// The service.
        to: SocketAddr,
        /// Bytes each way.
        size: usize,
        /// Round trips that count; some more come before them.
        rounds: u32,
    },
    /// Sends bytes to a [`Service::Sink`] as fast as it takes them.
    Upload {
        /// The service.
        to: SocketAddr,
        /// How many.
        bytes: u64,
    },
    /// Sends datagrams of all sizes to an [`Service::EchoDatagrams`], one after the other.
    Datagrams {
        /// The service.
        to: SocketAddr,
        /// How many.
        count: u32,
        /// The size of the largest, in bytes.
        largest: usize,
    },
    /// Connects to where nobody listens.
    Connect {
        /// Where.
        to: SocketAddr,
    },
}

/// What came of an errand. Durations are in seconds or microseconds, as the names say.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(untagged)]
pub enum Figures {
    /// Of [`Errand::Ping`].
    Pings {
        /// Requests sent.
        requests: u16,
        /// Answers that came in time.
        answers: u16,
        /// The shortest round trip.
        rtt_min_us: f64,
        /// The mean round trip.
        rtt_mean_us: f64,
        /// The longest round trip.
        rtt_max_us: f64,
    },
    /// Of [`Errand::Fetch`].
    Fetched {
        /// HTTP status.
        http_status: u16,
        /// Bytes of the document.
        fetched_bytes: u64,
        /// Their hash, in hexadecimal.
        sha256: String,
        /// From before the connect until the last byte.
        seconds: f64,
    },
    /// Of [`Errand::RoundTrips`].
    RoundTrips {
        /// Bytes each way.
        message_bytes: usize,
        /// How many were measured.
        round_trips: u64,
        /// Half of them were faster.
        p50_us: f64,
        /// Of a hundred, ninety-nine were faster.
        p99_us: f64,
        /// The fastest.
        min_us: f64,
        /// The slowest.
        max_us: f64,
    },
    /// Of [`Errand::Upload`].
    Uploaded {
        /// Bytes sent, all of which came.
        bytes: u64,
        /// The CRC-32 of the stream, which both sides have found, in hexadecimal.
        crc32: String,
        /// From the first byte until the other end has confirmed the last.
        seconds: f64,
        /// Payload over time.
        gbit_per_s: f64,
    },
    /// Of [`Errand::Datagrams`].
    Datagrams {
        /// Datagrams sent.
        sent: u32,
        /// Those that came back intact.
        returned: u32,
        /// The size of the largest, in bytes.
        largest_bytes: usize,
        /// Half of them were back sooner.
        p50_us: f64,
    },
    /// Of [`Errand::Connect`].
    Connected {
        /// Whether it failed with ECONNREFUSED.
        refused: bool,
        /// What it said.
        outcome: String,
        /// How long that took.
        microseconds: f64,
    },
}

/// Starts a service at an unused port of `at`, in threads of its own, and returns where it is. It ends when its
/// network does.
///
/// # Errors
/// What binding says.
pub fn serve(net: &impl Network, service: Service, at: IpAddr, watch: &Watch) -> Result<SocketAddr, Failure> {
    let at = SocketAddr::new(at, 0);
    if let Service::EchoDatagrams = service {
        let socket = net.datagrams(at).during(format_args!("bind UDP {at}"))?;
        let address = Datagrams::address(&socket).during("getsockname")?;
        thread::spawn(move || datagrams::echo(&socket));
        return Ok(address);
    }
    let listener = net.listen(at).during(format_args!("listen at {at}"))?;
    let address = listener.address().during("getsockname")?;
    if let Service::Http = service {
        thread::spawn(move || http::serve(listener, &Arc::new(noise_site())));
        return Ok(address);
    }
    let watch = watch.clone();
    thread::spawn(move || {
        let slots = Arc::new(());
        let mut accepting = Accepting::new(listener);
        while let Ok(stream) = accepting.next() {
            if Arc::strong_count(&slots) > MAX_CONNECTIONS {
                continue;
            }
            let (slot, watch) = (slots.clone(), watch.clone());
            thread::spawn(move || {
                let _slot = slot;
                let _ = attend(stream, service, &watch);
            });
        }
    });
    Ok(address)
}

fn attend(stream: impl Stream, service: Service, watch: &Watch) -> io::Result<()> {
    match service {
        Service::Sink => bulk::sink(stream, watch),
        _ => echo::answer(stream),
    }
}

/// Does an errand to its end.
///
/// # Errors
/// The step that failed.
pub fn run(net: &impl Network, errand: &Errand, watch: &Watch) -> Result<Figures, Failure> {
    match errand {
        Errand::Ping { to, count } => pings(net, *to, *count),
        Errand::Fetch { url } => fetch(net, url),
        Errand::RoundTrips { to, size, rounds } => {
            let stream = connect(net, *to)?;
            echo::measure(stream, *size, *rounds).during(format_args!("round trips with {to}"))
        }
        Errand::Upload { to, bytes } => {
            let stream = connect(net, *to)?;
            bulk::upload(stream, *bytes, watch).during(format_args!("upload to {to}"))
        }
        Errand::Datagrams { to, count, largest } => {
            let at = crate::network::any_of(to.ip());
            let socket = net.datagrams(at).during(format_args!("bind UDP {at}"))?;
            datagrams::measure(&socket, *to, *count, *largest).during(format_args!("datagrams to {to}"))
        }
        Errand::Connect { to } => Ok(echo::refusal(net, *to)),
    }
}

fn connect<N: Network>(net: &N, to: SocketAddr) -> Result<N::Stream, Failure> {
    let stream = net.connect(to, PATIENCE).during(format_args!("connect to {to}"))?;
    stream.patience(Some(PATIENCE)).during("set the time-out")?;
    Ok(stream)
}

fn pings(net: &impl Network, to: IpAddr, count: u16) -> Result<Figures, Failure> {
    let mut socket = net.echo(to).during("socket(ICMP)")?;
    let mut times = Vec::new();
    let mut requests = 0;
    while requests < count && usize::from(requests) - times.len() < MAX_LOST {
        requests += 1;
        let sequence = requests;
        let time = crate::icmp::ping(&mut socket, sequence, PING_PAYLOAD, PING_PATIENCE);
        times.extend(time.during(format_args!("ping {to}"))?.map(microseconds));
    }
    Ok(Figures::Pings {
        requests,
        answers: times.len() as u16,
        rtt_min_us: times.iter().copied().fold(f64::INFINITY, f64::min).min(1e9),
        rtt_mean_us: (times.iter().sum::<f64>() / times.len().max(1) as f64 * 10.0).round() / 10.0,
        rtt_max_us: times.iter().copied().fold(0.0, f64::max),
    })
}

fn fetch(net: &impl Network, url: &str) -> Result<Figures, Failure> {
    let url: Url = url.parse().map_err(|why| Failure::new(format!("{url}: {why}")))?;
    let to = url.socket_address().during(format_args!("look up {}", url.host()))?;
    let begin = std::time::Instant::now();
    let stream = connect(net, to)?;
    let mut response = http::get(stream, &url).during(format_args!("GET {url}"))?;
    let (fetched_bytes, sha256) = noise::hash(&mut response.body).during(format_args!("GET {url}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Figures::Fetched { http_status: response.status, fetched_bytes, sha256, seconds })
}

fn microseconds(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests;
