//! Serving documents: a thread a connection, requests one after the other.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use percent_encoding::percent_decode_str;

use super::client::read_head;
use super::range::{ByteRange, Part};
use super::{MAX_FIELDS, MAX_HEAD};
use crate::accepting::Accepting;
use crate::network::{Duplex, Listener, Stream};

/// Connections that are served at once; further ones get 503.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may be idle, or a peer take nothing.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of a body that are copied in one go.
const TURN: usize = 64 * 1024;

/// What answers requests.
pub trait Site: Send + Sync + 'static {
    /// The answer to a GET of `request`.
    fn answer(&self, request: &Request) -> Response;
}

impl<F: Fn(&Request) -> Response + Send + Sync + 'static> Site for F {
    fn answer(&self, request: &Request) -> Response {
        self(request)
    }
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path, without its query, percent-decoded.
    pub path: String,
    /// The part that is wanted, where that is not all.
    pub range: Option<ByteRange>,
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    status: (u16, &'static str),
    content_type: &'static str,
    location: Option<String>,
    modified: Option<SystemTime>,
    /// Which part of a document it is: `bytes 0-4/10`.
    part: Option<String>,
    body: Body,
}

/// The body of a [`Response`].
pub struct Body {
    from: Box<dyn Read>,
    len: u64,
}

impl Body {
    /// `len` bytes that are read from `from` while they are sent.
    pub fn stream(from: impl Read + 'static, len: u64) -> Self {
        Body { from: Box::new(from), len }
    }

    /// A text.
    pub fn text(text: String) -> Self {
        let len = text.len() as u64;
        Body { from: Box::new(io::Cursor::new(text)), len }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len)
    }
}

impl Response {
    /// 200, with a body.
    pub fn ok(content_type: &'static str, body: Body) -> Self {
        Response { status: (200, "OK"), content_type, location: None, modified: None, part: None, body }
    }

    /// 206: a part of a document of `whole` bytes, with that part as its body.
    //= RFC 9110 §15.3.7
    pub fn part(content_type: &'static str, body: Body, part: Part, whole: u64) -> Self {
        let Part { first, len } = part;
        let last = first + len.saturating_sub(1);
        let status = (206, "Partial Content");
        Response {
            status,
            part: Some(format!("bytes {first}-{last}/{whole}")),
            ..Response::ok(content_type, body)
        }
    }

    /// 416: there is no such part of a document of `whole` bytes.
    //= RFC 9110 §15.5.17
    pub fn no_part(whole: u64) -> Self {
        let part = Some(format!("bytes */{whole}"));
        Response { part, ..Response::error(416, "Range Not Satisfiable") }
    }

    /// Tells when the document was last changed.
    pub fn modified(self, modified: Option<SystemTime>) -> Self {
        Response { modified, ..self }
    }

    /// 404.
    pub fn not_found() -> Self {
        Response::error(404, "Not Found")
    }

    /// 301 to another path of this site.
    pub fn moved(to: String) -> Self {
        Response { location: Some(to), ..Response::error(301, "Moved Permanently") }
    }

    /// A status without a document.
    pub fn error(status: u16, reason: &'static str) -> Self {
        let body = Body::text(format!("{status} {reason}\n"));
        let content_type = "text/plain; charset=utf-8";
        Response { status: (status, reason), ..Response::ok(content_type, body) }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status.0
    }

    fn head(&self, then: Then, now: SystemTime) -> String {
        let Response { status: (status, reason), content_type, location, modified, part, body } = self;
        let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
        let mut field = |name: &str, value: &str| {
            head.extend([name, ": ", value, "\r\n"]);
        };
        //= RFC 9110 §6.6.1
        field("Date", &httpdate::fmt_http_date(now));
        field("Server", "tapsock");
        field("Content-Type", content_type);
        field("Content-Length", &body.len.to_string());
        if let Some(modified) = modified {
            // A server must not tell of a time that is yet to come (RFC 9110 §8.8.2.1).
            field("Last-Modified", &httpdate::fmt_http_date((*modified).min(now)));
        }
        if let Some(location) = location {
            field("Location", location);
        }
        if let Some(part) = part {
            field("Content-Range", part);
        }
        if *status == 405 {
            field("Allow", "GET, HEAD");
        }
        if then == Then::Close {
            field("Connection", "close");
        }
        head.push_str("\r\n");
        head
    }
}

/// Serves `site` at `listener` until the listener ends, and returns why it did.
pub fn serve<L: Listener>(listener: L, site: &Arc<impl Site>) -> io::Error {
    serve_logged(listener, site, |_: &str| {})
}

/// As [`serve`]; `log` gets a line for each request.
pub fn serve_logged<L: Listener>(
    listener: L,
    site: &Arc<impl Site>,
    log: impl Fn(&str) + Clone + Send + 'static,
) -> io::Error {
    let slots = Arc::new(());
    let mut accepting = Accepting::new(listener);
    loop {
        let stream = match accepting.next() {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let (site, log, slot) = (site.clone(), log.clone(), slots.clone());
        if Arc::strong_count(&slots) > MAX_CONNECTIONS + 1 {
            turn_away(&stream);
            continue;
        }
        let other = stream.another();
        let attending = move || {
            let _slot = slot;
            // What goes wrong on a connection is its peer's affair.
            let _ = attend(stream, &*site, log);
        };
        // No thread is to be had (EAGAIN): as if all were in use.
        if thread::Builder::new().name("http".to_owned()).spawn(attending).is_err()
            && let Ok(other) = other
        {
            turn_away(&other);
        }
    }
}

fn turn_away(stream: &impl Stream) {
    // Who does not hear it sees the connection end.
    let _ = respond(stream, Response::error(503, "Service Unavailable"), Wanted::All, Then::Close);
}

#[derive(Copy, Clone, PartialEq)]
enum Wanted {
    All,
    Head,
}

#[derive(Copy, Clone, PartialEq)]
enum Then {
    KeepAlive,
    Close,
}

fn attend(stream: impl Stream, site: &impl Site, log: impl Fn(&str)) -> io::Result<()> {
    stream.patience(Some(IDLE))?;
    stream.at_once()?;
    let peer = stream.peer()?;
    let writer = stream.another()?;
    let mut from = BufReader::with_capacity(MAX_HEAD, stream);
    loop {
        let head = read_head(&mut from)?;
        if head.is_empty() {
            return Ok(());
        }
        let (line, response, wanted, then) = answer(&head, site);
        log(&entry(peer, &line, &response));
        respond(&writer, response, wanted, then)?;
        if then == Then::Close {
            return writer.end(std::net::Shutdown::Write);
        }
    }
}

fn answer(head: &[u8], site: &impl Site) -> (String, Response, Wanted, Then) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let bad = || ("-".to_owned(), Response::error(400, "Bad Request"), Wanted::All, Then::Close);
    if !request.parse(head).is_ok_and(|parsed| parsed.is_complete()) {
        return bad();
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return bad();
    };
    let line = format!("{method} {target}");
    let wanted = if method == "HEAD" { Wanted::Head } else { Wanted::All };
    let fields = |name: &'static str| {
        request
            .headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let connection: Vec<_> = fields("connection").map(<[u8]>::to_ascii_lowercase).collect();
    let says =
        |token: &[u8]| connection.iter().any(|value| value.windows(token.len()).any(|part| part == token));
    // A body is not read, so nothing can follow it.
    let has_body =
        fields("transfer-encoding").next().is_some() || fields("content-length").any(|len| len != b"0");
    let keeps = if version == 0 { says(b"keep-alive") } else { !says(b"close") };
    let then = if keeps && !has_body { Then::KeepAlive } else { Then::Close };
    if !matches!(method, "GET" | "HEAD") {
        return (line, Response::error(405, "Method Not Allowed"), wanted, Then::Close);
    }
    // What has changed since is not known of a part alone, so a condition has it all sent (RFC 9110 §13.1.5).
    let range = fields("range").next().filter(|_| method == "GET" && fields("if-range").next().is_none());
    let range = range.and_then(|range| std::str::from_utf8(range).ok()?.parse().ok());
    let path = target.split('?').next().unwrap_or_default();
    match percent_decode_str(path).decode_utf8() {
        Ok(path) if path.starts_with('/') => {
            (line, site.answer(&Request { path: path.into_owned(), range }), wanted, then)
        }
        _ => (line, Response::error(400, "Bad Request"), wanted, Then::Close),
    }
}

fn respond<S: Stream>(stream: &S, response: Response, wanted: Wanted, then: Then) -> io::Result<()> {
    let mut stream = stream.another()?;
    let head = response.head(then, SystemTime::now());
    let mut body = response.body;
    let mut buffer = head.into_bytes();
    if wanted == Wanted::Head {
        return stream.write_all(&buffer);
    }
    // The head and what fits beside it go out in one write.
    let mut left = body.len;
    while left > 0 {
        let filled = buffer.len();
        let len = (TURN - filled.min(TURN)).min(usize::try_from(left).unwrap_or(TURN));
        buffer.resize(filled + len, 0);
        body.from.read_exact(&mut buffer[filled..])?;
        stream.write_all(&buffer)?;
        buffer.clear();
        left -= len as u64;
    }
    stream.write_all(&buffer)
}

fn entry(peer: SocketAddr, line: &str, response: &Response) -> String {
    // What a peer sends must not move the reader's cursor.
    let line: String =
        line.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    // An IPv4 peer of a socket that takes both families.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    format!("{peer}  {line}  {}  {} bytes", response.status(), response.body.len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> (u16, bool) {
        let site = |request: &Request| match request.path.as_str() {
            "/a b" => Response::ok("text/plain", Body::text("x".to_owned())),
            _ => Response::not_found(),
        };
        let (_, response, _, then) = answer(head.as_bytes(), &site);
        (response.status(), then == Then::KeepAlive)
    }

    #[test]
    fn requests_are_answered_by_their_path() {
        assert_eq!(status("GET /a%20b?x=y HTTP/1.1\r\nHost: h\r\n\r\n"), (200, true));
        assert_eq!(status("GET /a%20b HTTP/1.1\r\nConnection: Close\r\n\r\n"), (200, false));
        assert_eq!(status("GET /a%20b HTTP/1.0\r\n\r\n"), (200, false));
        assert_eq!(status("GET /a%20b HTTP/1.1\r\nContent-Length: 4\r\n\r\n"), (200, false));
        assert_eq!(status("GET /c HTTP/1.1\r\n\r\n"), (404, true));
    }

    #[test]
    fn a_part_is_asked_for_alone() {
        let range = |fields: &str| {
            let (tell, told) = std::sync::mpsc::channel();
            let site = move |request: &Request| {
                tell.send(request.range).unwrap();
                Response::not_found()
            };
            answer(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(), &site);
            told.recv().unwrap()
        };
        assert_eq!(range("Range: bytes=2-\r\n"), Some(ByteRange::From(2, None)));
        assert_eq!(range("Range: bytes=2-\r\nIf-Range: \"x\"\r\n"), None);
        assert_eq!(range("Range: lines=2-\r\n"), None);
        let part = Response::part("text/plain", Body::text("xy".to_owned()), Part { first: 3, len: 2 }, 9);
        let head = part.head(Then::Close, SystemTime::UNIX_EPOCH);
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Range: bytes 3-4/9\r\n"), "{head}");
        let none = Response::no_part(9).head(Then::Close, SystemTime::UNIX_EPOCH);
        assert!(none.contains("\r\nContent-Range: bytes */9\r\n"), "{none}");
    }

    #[test]
    fn a_head_tells_the_date_and_the_documents_age() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let document = || Response::ok("text/plain", Body::text("x".to_owned()));
        let head = document().modified(Some(now - Duration::from_secs(1))).head(Then::Close, now);
        for field in [
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "\r\nLast-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
            "\r\nContent-Length: 1\r\n",
            "\r\nConnection: close\r\n\r\n",
        ] {
            assert!(head.contains(field), "{head}");
        }
        let head = document().modified(Some(now + Duration::from_secs(9))).head(Then::KeepAlive, now);
        assert!(head.contains("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"), "{head}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(status("POST /a%20b HTTP/1.1\r\n\r\n"), (405, false));
        assert_eq!(status("GET /%ff HTTP/1.1\r\n\r\n"), (400, false));
        assert_eq!(status("GET x HTTP/1.1\r\n\r\n"), (400, false));
        assert_eq!(status("\u{1}\u{2}\r\n\r\n"), (400, false));
    }

    #[test]
    fn a_head_without_an_end_is_an_error() {
        assert!(read_head(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err());
        assert!(read_head(&mut &vec![b'x'; MAX_HEAD * 2][..]).is_err());
        assert_eq!(read_head(&mut &b""[..]).unwrap(), b"");
    }
}
