//! Fetching one document.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::body::{BodyReader, Framing, malformed};
use super::{MAX_FIELDS, MAX_HEAD, Url};

/// Interim responses (status 1xx) that are passed over at most.
const MAX_INTERIM: usize = 8;

/// Bytes of a chunk that is sent.
const PIECE: usize = 16 * 1024;

/// What is asked of a server.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The method, where it does not follow from what is below.
    pub method: Option<String>,
    /// Whether the head of the document is enough (HEAD).
    pub head_only: bool,
    /// Fields beside the usual ones, or instead of them.
    pub fields: Vec<Field>,
    /// What is sent along.
    pub content: Option<Content>,
}

/// What is sent along with a request.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes, of that type.
    Bytes(Arc<[u8]>, &'static str),
    /// What is in a file, and how much that is, where it is known.
    File(PathBuf, Option<u64>),
    /// What standard input gives.
    Input,
}

impl Content {
    fn len(&self) -> Option<u64> {
        match self {
            Content::Bytes(bytes, _) => Some(bytes.len() as u64),
            Content::File(_, len) => *len,
            Content::Input => None,
        }
    }

    /// Writes it, in chunks where its length is not known, and returns how much it was.
    fn send(&self, to: &mut impl Write) -> io::Result<u64> {
        let mut from: Box<dyn Read> = match self {
            Content::Bytes(bytes, _) => {
                to.write_all(bytes)?;
                return Ok(bytes.len() as u64);
            }
            Content::File(path, _) => Box::new(File::open(path)?),
            Content::Input => Box::new(io::stdin()),
        };
        if let Some(len) = self.len() {
            let sent = io::copy(&mut from.take(len), to)?;
            return match sent == len {
                true => Ok(sent),
                false => Err(io::Error::new(ErrorKind::InvalidInput, "the file has become shorter")),
            };
        }
        let (mut buffer, mut sent) = (vec![0; PIECE], 0);
        loop {
            let len = from.read(&mut buffer)?;
            //= RFC 9112 §7.1
            write!(to, "{len:x}\r\n")?;
            to.write_all(&buffer[..len])?;
            to.write_all(b"\r\n")?;
            sent += len as u64;
            if len == 0 {
                return Ok(sent);
            }
        }
    }
}

/// A field of a request, as curl's -H has it: `Name: value`, `Name:` for none of that name, `Name;` for an empty one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    name: String,
    value: Option<String>,
}

impl Field {
    /// Whether its name is `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Field {
    /// One with that value; none at all of that name, where it is empty.
    ///
    /// # Errors
    /// A control character in it.
    pub fn with_value(name: &str, value: &str) -> Result<Field, String> {
        without_controls(value)?;
        let value = Some(value.to_owned()).filter(|value| !value.is_empty());
        Ok(Field { name: name.to_owned(), value })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

fn without_controls(text: &str) -> Result<(), String> {
    match text.contains(|letter: char| letter.is_control() && letter != '\t') {
        true => Err("a control character is in it".to_owned()),
        false => Ok(()),
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        without_controls(text)?;
        let (name, value) = match (text.split_once(':'), text.strip_suffix(';')) {
            (Some((name, value)), _) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
            (None, Some(name)) => (name, Some("")),
            (None, None) => return Err("a field is NAME: VALUE".to_owned()),
        };
        // RFC 9110 §5.6.2: a token.
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&letter);
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(format!("{name:?} is no name of a field"));
        }
        Ok(Field { name: name.to_owned(), value: value.map(str::to_owned) })
    }
}

impl Ask {
    /// The method: what was asked for, or what goes with the content.
    pub fn method(&self) -> &str {
        match (&self.method, &self.content) {
            (Some(method), _) => method,
            (None, _) if self.head_only => "HEAD",
            (None, None) => "GET",
            (None, Some(Content::Bytes(..))) => "POST",
            (None, Some(_)) => "PUT",
        }
    }

    /// After a redirection with `status`: what is asked of the server that it leads to.
    //= RFC 9110 §15.4
    pub fn redirected(&mut self, status: u16) {
        let is_post = self.method() == "POST";
        if matches!(status, 301 | 302) && is_post || status == 303 {
            // As curl has it, a method that was asked for stays.
            self.content = None;
        }
    }

    /// The head of the request for `url`.
    pub fn head(&self, url: &Url) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method(), url.target());
        let authority = url.authority();
        let agent = concat!("tapsock/", env!("CARGO_PKG_VERSION"));
        let len = self.content.as_ref().and_then(Content::len).map(|len| len.to_string());
        let mut usual = vec![
            ("Host", authority.as_str()),
            ("User-Agent", agent),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ];
        match (&self.content, &len) {
            (None, _) => {}
            (Some(_), Some(len)) => usual.push(("Content-Length", len)),
            (Some(_), None) => usual.push(("Transfer-Encoding", "chunked")),
        }
        if let Some(Content::Bytes(_, kind)) = self.content {
            usual.push(("Content-Type", kind));
        }
        for (name, value) in usual {
            if !self.fields.iter().any(|field| field.is(name)) {
                head.extend([name, ": ", value, "\r\n"]);
            }
        }
        for Field { name, value } in &self.fields {
            if let Some(value) = value {
                head.extend([name, ": ", value, "\r\n"]);
            }
        }
        head.push_str("\r\n");
        head
    }
}

/// A response whose head has come.
#[derive(Debug)]
pub struct Response<R> {
    /// The status: 200, 404.
    pub status: u16,
    /// The head as it came, with its last empty line.
    pub head: String,
    /// The minor version of HTTP/1.
    pub version: u8,
    /// The fields of the head.
    pub fields: Vec<(String, String)>,
    /// Bytes that were sent along with the request.
    pub uploaded: u64,
    /// The body, yet to be read.
    pub body: BodyReader<R>,
}

impl<R> Response<R> {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Asks for `url` on `stream`, which is then the response's.
///
/// # Errors
/// Those of [`ask`].
pub fn get<S: Read + Write>(stream: S, url: &Url) -> io::Result<Response<BufReader<S>>> {
    ask(stream, url, &Ask::default())
}

/// Asks `what` of `url` on `stream`, which is then the response's.
///
/// # Errors
/// What the connection says; UnexpectedEof where it ends without a response; InvalidData where what comes is no HTTP.
pub fn ask<S: Read + Write>(mut stream: S, url: &Url, what: &Ask) -> io::Result<Response<BufReader<S>>> {
    stream.write_all(what.head(url).as_bytes())?;
    let sent = what.content.as_ref().map_or(Ok(0), |content| content.send(&mut stream));
    let mut from = BufReader::with_capacity(64 * 1024, stream);
    match sent {
        Ok(uploaded) => respond(from, what, uploaded),
        // It may have said why it takes no more.
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            match from.fill_buf() {
                Ok([_, ..]) => respond(from, what, 0),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Reads the head of a response.
fn respond<R: BufRead>(mut from: R, what: &Ask, uploaded: u64) -> io::Result<Response<R>> {
    for _ in 0..MAX_INTERIM {
        let head = read_head(&mut from)?;
        if head.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended without a response"));
        }
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
        let framing = Framing::of_response(what.head_only, status, response.headers)?;
        let text = |value| String::from_utf8_lossy(value).into_owned();
        let fields =
            response.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        let version = response.version.unwrap_or(1);
        let body = BodyReader::new(from, framing);
        return Ok(Response { status, version, head: text(&head), fields, uploaded, body });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_added_changed_or_left_out() {
        let url: Url = "http://h/p".parse().unwrap();
        let fields = ["X-One: 1", "accept:", "Host: other", "X-Empty;"].map(|field| field.parse().unwrap());
        let head = Ask { head_only: true, fields: fields.to_vec(), ..Ask::default() }.head(&url);
        assert!(head.starts_with("HEAD /p HTTP/1.1\r\nUser-Agent: tapsock/"), "{head}");
        assert!(head.ends_with("\r\nX-One: 1\r\nHost: other\r\nX-Empty: \r\n\r\n"), "{head}");
        assert!(!head.contains("Accept") && !head.contains("Host: h"), "{head}");
    }

    #[test]
    fn a_request_has_the_method_of_its_content() {
        let url: Url = "http://h/p".parse().unwrap();
        let content = Content::Bytes(std::sync::Arc::from(*b"a=b"), "text/x");
        let mut ask = Ask { content: Some(content), ..Ask::default() };
        let head = ask.head(&url);
        assert!(head.starts_with("POST /p HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Length: 3\r\nContent-Type: text/x\r\n"), "{head}");
        ask.redirected(307);
        assert_eq!(ask.method(), "POST");
        ask.redirected(302);
        assert_eq!(ask.method(), "GET");
        let put = Ask { content: Some(Content::Input), ..Ask::default() }.head(&url);
        assert!(put.starts_with("PUT ") && put.contains("\r\nTransfer-Encoding: chunked\r\n"), "{put}");
    }

    #[test]
    fn a_field_can_not_hold_another() {
        for field in ["X: a\r\nY: b", "no colon", ": x", "a b: c"] {
            assert!(field.parse::<Field>().is_err(), "{field:?}");
        }
    }
}
