//! `http://host:port/path`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Port of HTTP.
const DEFAULT_PORT: u16 = 80;

/// An address of the scheme `http`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    user: Option<String>,
    host: String,
    port: u16,
    target: String,
}

/// Why a text is no such address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UrlError {
    /// It is of another scheme.
    Scheme(String),
    /// It is none at all.
    Malformed(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (UrlError::Scheme(why) | UrlError::Malformed(why)) = self;
        f.write_str(why)
    }
}

impl From<&str> for UrlError {
    fn from(why: &str) -> Self {
        UrlError::Malformed(why.to_owned())
    }
}

impl From<String> for UrlError {
    fn from(why: String) -> Self {
        UrlError::Malformed(why)
    }
}

impl Url {
    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name and the password in it, as `name:password`. They are not told when it is printed.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// It, with more in its query.
    pub fn with_query(mut self, more: &str) -> Url {
        let mark = match self.target.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        self.target.extend([mark, more]);
        self
    }

    /// What a link to `reference` means in the document that this is the address of.
    ///
    /// # Errors
    /// As of parsing.
    //= RFC 3986 §5.2
    pub fn join(&self, reference: &str) -> Result<Url, UrlError> {
        let reference = reference.trim().replace(' ', "%20");
        if let Some(authority) = reference.strip_prefix("//") {
            return format!("http://{authority}").parse();
        }
        let before_path = reference.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((scheme, _)) = before_path.split_once(':')
            && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        {
            return match reference.contains("://") {
                true => reference.parse(),
                false => Err(UrlError::Scheme(format!("the scheme is {scheme}, not http"))),
            };
        }
        let (path, query) = match self.target.split_once('?') {
            Some((path, _)) => (path, self.target.as_str()),
            None => (self.target.as_str(), self.target.as_str()),
        };
        let target = match reference.chars().next() {
            None | Some('#') => query.to_owned(),
            Some('?') => format!("{path}{reference}"),
            Some('/') => without_dots(&reference),
            Some(_) => {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                without_dots(&format!("{directory}/{reference}"))
            }
        };
        format!("http://{}{target}", self.authority()).parse()
    }

    /// Path and query, as the request line has them.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The last component of the path.
    pub fn file_name(&self) -> Option<&str> {
        self.target.split(['?', '#']).next()?.rsplit('/').next().filter(|name| !name.is_empty())
    }

    /// Host and port, as the `Host` field has them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == DEFAULT_PORT { host } else { format!("{host}:{}", self.port) }
    }

    /// Where the host is; names are looked up by the machine's resolver.
    ///
    /// # Errors
    /// What getaddrinfo(3) says.
    pub fn socket_address(&self) -> io::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        addresses.next().ok_or_else(|| io::Error::other("the name has no address"))
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(UrlError::Scheme("tapsock speaks no TLS: use http://".to_owned()));
            }
            Some((scheme, _)) => return Err(UrlError::Scheme(format!("the scheme is {scheme}, not http"))),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = split_authority(place)?;
        let port = match port {
            None | Some("") => DEFAULT_PORT,
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port"))?,
        };
        if host.is_empty() {
            return Err("there is no host in it".into());
        }
        if text.contains(|letter: char| letter.is_ascii_control() || letter == ' ') {
            return Err("a blank or a control character is in it".into());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let user = user.map(|user| match percent_decode_str(user).decode_utf8_lossy() {
            user if user.contains(':') => user.into_owned(),
            user => format!("{user}:"),
        });
        Ok(Url { user, host: host.to_owned(), port, target: format!("{slash}{target}") })
    }
}

/// A path, and perhaps more, without the steps `.` and `..`.
//= RFC 3986 §5.2.4
fn without_dots(target: &str) -> String {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let (path, rest) = target.split_at(end);
    let mut steps = Vec::new();
    let mut is_directory = false;
    for step in path.split('/').skip(1) {
        is_directory = matches!(step, "." | "..");
        match step {
            "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let slash = if is_directory && !steps.is_empty() { "/" } else { "" };
    format!("/{}{slash}{rest}", steps.join("/"))
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return Ok((host, port.strip_prefix(':')));
    }
    Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_path() {
        for (text, whole, address) in [
            ("http://10.7.0.1", "http://10.7.0.1/", "10.7.0.1:80"),
            ("10.7.0.1:8080/a?b#c", "http://10.7.0.1:8080/a?b", "10.7.0.1:8080"),
            ("http://[fd07::1]:81/a/b.txt", "http://[fd07::1]:81/a/b.txt", "[fd07::1]:81"),
            ("HTTP://[fd07::1]?q", "http://[fd07::1]/?q", "[fd07::1]:80"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), whole);
            assert_eq!(url.socket_address().unwrap(), address.parse().unwrap());
        }
        let name = |text: &str| text.parse::<Url>().unwrap().file_name().map(str::to_owned);
        assert_eq!(name("http://h/a/b.txt?x/y").as_deref(), Some("b.txt"));
        assert_eq!(name("http://h/a/"), None);
    }

    #[test]
    fn a_reference_is_seen_from_its_document() {
        // The paths of RFC 3986 §5.4.
        let base: Url = "http://a/b/c/d;p?q".parse().unwrap();
        for (reference, whole) in [
            ("g", "http://a/b/c/g"),
            ("./g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("#s", "http://a/b/c/d;p?q"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("http://h:81/x", "http://h:81/x"),
            ("x:y/", ""),
            ("https://h/", ""),
        ] {
            let joined = base.join(reference).map(|url| url.to_string()).unwrap_or_default();
            assert_eq!(joined, whole, "{reference:?}");
        }
    }

    #[test]
    fn a_url_may_have_a_user_and_a_longer_query() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        assert_eq!(url("http://u:p%40@h/").user(), Some("u:p@"));
        assert_eq!((url("http://u@h/").user(), url("http://h/@").user()), (Some("u:"), None));
        assert_eq!(url("http://u:p@h/x").to_string(), "http://h/x");
        let longer = |text: &str| url(text).with_query("a=b").to_string();
        assert_eq!([longer("http://h/"), longer("http://h/?x")], ["http://h/?a=b", "http://h/?x&a=b"]);
    }

    #[test]
    fn what_is_no_url_says_why() {
        for (text, why) in [
            ("https://10.7.0.1/", "TLS"),
            ("ftp://10.7.0.1/", "ftp"),
            ("http:///x", "host"),
            ("http://h:99999/", "port"),
            ("http://[::1/", "bracket"),
            ("http://h/a b\r\nX: y", "control"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!(matches!(error, UrlError::Scheme(_)), matches!(why, "TLS" | "ftp"), "{text}");
        }
    }
}
