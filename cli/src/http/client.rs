//! Fetching one document.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::str::FromStr;

use super::body::{BodyReader, Framing, malformed};
use super::{MAX_FIELDS, MAX_HEAD, Url};

/// Interim responses (status 1xx) that are passed over at most.
const MAX_INTERIM: usize = 8;

/// What is asked of a server.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Whether the head of the document is enough (HEAD).
    pub head_only: bool,
    /// Fields beside the usual ones, or instead of them.
    pub fields: Vec<Field>,
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

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(|letter: char| letter.is_control() && letter != '\t') {
            return Err("a control character is in it".to_owned());
        }
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
    /// The head of the request for `url`.
    pub fn head(&self, url: &Url) -> String {
        let method = if self.head_only { "HEAD" } else { "GET" };
        let mut head = format!("{method} {} HTTP/1.1\r\n", url.target());
        let authority = url.authority();
        let agent = concat!("tapsock/", env!("CARGO_PKG_VERSION"));
        for (name, value) in
            [("Host", authority.as_str()), ("User-Agent", agent), ("Accept", "*/*"), ("Connection", "close")]
        {
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
    /// Where else the document is, by the field `Location`.
    pub location: Option<String>,
    /// The body, yet to be read.
    pub body: BodyReader<R>,
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
    let mut from = BufReader::with_capacity(64 * 1024, stream);
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
        let mut fields = response.headers.iter();
        let location = fields.find(|field| field.name.eq_ignore_ascii_case("location"));
        let location = location.map(|field| String::from_utf8_lossy(field.value).into_owned());
        let head = String::from_utf8_lossy(&head).into_owned();
        return Ok(Response { status, head, location, body: BodyReader::new(from, framing) });
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
        let head = Ask { head_only: true, fields: fields.to_vec() }.head(&url);
        assert!(head.starts_with("HEAD /p HTTP/1.1\r\nUser-Agent: tapsock/"), "{head}");
        assert!(head.ends_with("\r\nX-One: 1\r\nHost: other\r\nX-Empty: \r\n\r\n"), "{head}");
        assert!(!head.contains("Accept") && !head.contains("Host: h"), "{head}");
    }

    #[test]
    fn a_field_can_not_hold_another() {
        for field in ["X: a\r\nY: b", "no colon", ": x", "a b: c"] {
            assert!(field.parse::<Field>().is_err(), "{field:?}");
        }
    }
}
