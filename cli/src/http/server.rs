//! Serving documents: a thread a connection, requests one after the other.

use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::client::read_head;
use super::{MAX_FIELDS, MAX_HEAD};
use crate::network::{Listener, Stream};

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
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    status: (u16, &'static str),
    content_type: &'static str,
    location: Option<String>,
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
        Response { status: (200, "OK"), content_type, location: None, body }
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
        Response { status: (status, reason), content_type: "text/plain; charset=utf-8", location: None, body }
    }

    /// Whether it is a document.
    pub fn status(&self) -> u16 {
        self.status.0
    }
}

/// Serves `site` at `listener` until the listener ends.
pub fn serve<L: Listener>(listener: &L, site: &Arc<impl Site>) {
    serve_logged(listener, site, |_: &str| {});
}

/// As [`serve`]; `log` gets a line for each request.
pub fn serve_logged<L: Listener>(
    listener: &L,
    site: &Arc<impl Site>,
    log: impl Fn(&str) + Clone + Send + 'static,
) {
    let slots = Arc::new(());
    loop {
        let stream = match listener.next() {
            Ok(stream) => stream,
            // The peer was gone before it was accepted, or a signal came.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
                continue;
            }
            Err(_) => return,
        };
        let (site, log, slot) = (site.clone(), log.clone(), slots.clone());
        if Arc::strong_count(&slots) > MAX_CONNECTIONS + 1 {
            let _ = respond(&stream, Response::error(503, "Service Unavailable"), Wanted::All, Then::Close);
            continue;
        }
        thread::spawn(move || {
            let _slot = slot;
            // What goes wrong on a connection is its peer's affair.
            let _ = attend(stream, &*site, log);
        });
    }
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
    let path = target.split('?').next().unwrap_or_default();
    match percent_decode_str(path).decode_utf8() {
        Ok(path) if path.starts_with('/') => {
            (line, site.answer(&Request { path: path.into_owned() }), wanted, then)
        }
        _ => (line, Response::error(400, "Bad Request"), wanted, Then::Close),
    }
}

fn respond<S: Stream>(stream: &S, response: Response, wanted: Wanted, then: Then) -> io::Result<()> {
    let mut stream = stream.another()?;
    let Response { status: (status, reason), content_type, location, mut body } = response;
    let location = location.map_or(String::new(), |to| format!("Location: {to}\r\n"));
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let connection = if then == Then::Close { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nServer: tapsock\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         {location}{allow}{connection}\r\n",
        body.len
    );
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
