//! A running host looked at from other processes: a local socket that answers what there is. Feature `control`.
//!
//! A host opens it with [`Builder::control`](crate::Builder::control). Each connection is one question and one answer, both
//! JSON: a line with a [`Request`], then an object, or `{"error": …}`. [`Request::Capture`] is answered by a
//! pcapng stream until either end closes. Only the user who runs the host may connect (mode 0600).
//!
//! [`ask`] and [`capture`] are the other end; the commands `tapsock ss`, `ip`, `nstat` and `dump` stand on them.

mod gather;
mod place;
mod report;
mod server;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

pub use place::{default_path, directory, running};
pub use report::{
    Address, Counted, Link, Links, LocalEntry, Neighbor, Neighbors, Request, RouteEntry, RouteTaken, Routes,
    SocketEntry, SocketList, SocketTimer, TcpDetails, Which,
};

pub(crate) use server::Control;

/// The longest question, in bytes.
pub const REQUEST_MAX: u64 = 4096;
/// The longest answer that [`ask`] takes, in bytes.
pub const ANSWER_MAX: u64 = 256 * 1024 * 1024;
/// How long either end waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the host whose control socket is at `path`.
///
/// ```
/// use tapsock::control::{self, Links, Request};
///
/// let path = std::env::temp_dir().join(format!("tapsock-doc-{}.sock", std::process::id()));
/// let _host = tapsock::Host::builder().control(&path).start()?;
/// let links: Links = control::ask(&path, &Request::Links)?;
/// assert_eq!(links.links[0].name, "lo");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of connect(2); InvalidData where what comes is no answer; FileTooLarge where it is longer than [`ANSWER_MAX`];
/// Other with the host's words where it refuses.
pub fn ask<T: DeserializeOwned>(path: &Path, request: &Request) -> io::Result<T> {
    let bytes = read(begin(path, request)?, ANSWER_MAX)?;
    if let Ok(Refusal { error }) = serde_json::from_slice(&bytes) {
        return Err(io::Error::other(error));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// What passes over the host's link from now on, as a pcapng stream (what passes `lo` is not in it). It ends with the host.
///
/// # Errors
/// Those of connect(2); Other with the host's words where it refuses.
pub fn capture(path: &Path) -> io::Result<impl Read + use<>> {
    let stream = begin(path, &Request::Capture)?;
    stream.set_read_timeout(None)?;
    let mut stream = BufReader::with_capacity(256 * 1024, stream);
    // A pcapng file begins with 0x0a, an object with a brace.
    if stream.fill_buf()?.first() == Some(&b'{') {
        let Refusal { error } = serde_json::from_slice(&read(stream, REQUEST_MAX)?)?;
        return Err(io::Error::other(error));
    }
    Ok(stream)
}

fn begin(path: &Path, request: &Request) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // Who refuses has closed already, and said why.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(stream),
    }
}

/// All that comes, of which there may be so many bytes.
fn read(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match from.take(most + 1).read_to_end(&mut bytes) {
        // Who refuses has not read the question: that is told behind its words.
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset || bytes.is_empty() => Err(error),
        _ if bytes.len() as u64 > most => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(bytes),
    }
}

/// The answer to what can't be answered.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    error: String,
}

#[cfg(test)]
mod tests;
