//! Fetching one document.

use std::io::{self, BufRead, BufReader, ErrorKind};

use super::body::{BodyReader, Framing, malformed};
use super::{MAX_FIELDS, MAX_HEAD, Url};
use crate::network::Stream;

/// Interim responses (status 1xx) that are passed over at most.
const MAX_INTERIM: usize = 8;

/// A response whose head has come.
#[derive(Debug)]
pub struct Response<R> {
    /// The status: 200, 404.
    pub status: u16,
    /// The head as it came, with its last empty line.
    pub head: String,
    /// The body, yet to be read.
    pub body: BodyReader<R>,
}

/// Asks for `url` on `stream`, which is then the response's.
///
/// # Errors
/// What the connection says; InvalidData where what comes is no HTTP.
pub fn get<S: Stream>(mut stream: S, url: &Url) -> io::Result<Response<BufReader<S>>> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tapsock/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.target(),
        url.authority(),
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes())?;
    let mut from = BufReader::with_capacity(64 * 1024, stream);
    for _ in 0..MAX_INTERIM {
        let head = read_head(&mut from)?;
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed =
            response.parse(&head).map_err(|error| malformed(&format!("a head that is none: {error}")))?;
        let (true, Some(status)) = (parsed.is_complete(), response.code) else {
            return Err(malformed("no status"));
        };
        if (100..=199).contains(&status) {
            continue;
        }
        let framing = Framing::of_response(false, status, response.headers)?;
        let head = String::from_utf8_lossy(&head).into_owned();
        return Ok(Response { status, head, body: BodyReader::new(from, framing) });
    }
    Err(malformed("only interim statuses"))
}

/// Reads up to and with the empty line; an empty result means that the connection ended before.
pub(super) fn read_head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let mut line = io::Read::take(&mut *from, (MAX_HEAD - before) as u64);
        line.read_until(b'\n', &mut head)?;
        match &head[before..] {
            b"\r\n" | b"\n" if before > 0 => return Ok(head),
            // RFC 9112 §2.2 has servers pass over an empty line before a request.
            b"\r\n" | b"\n" => head.clear(),
            [] if before == 0 => return Ok(head),
            line if line.ends_with(b"\n") => {}
            _ if head.len() >= MAX_HEAD => {
                return Err(io::Error::new(ErrorKind::InvalidData, "a head of more than 16 KiB"));
            }
            _ => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within the head"));
            }
        }
    }
}
