//! What is sent to a server: the data of the command line, or a file.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::status;
use crate::failure::{During, Failure};
use crate::http::{Content, Url};

/// As curl has forms, and its own additions.
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
/// RFC 3986 §2.3: what stays as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The options with data, by their names.
const KINDS: [(&str, Kind); 5] = [
    ("data", Kind::Text),
    ("data-binary", Kind::Binary),
    ("data-raw", Kind::Raw),
    ("data-urlencode", Kind::Encoded),
    ("json", Kind::Json),
];

/// The data of the command line, in its order.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pieces: Vec<(Kind, String)>,
    /// Whether it goes into the URL (-G).
    in_url: bool,
}

/// How a piece of data is meant.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// As it is; a file's without its ends of lines.
    Text,
    /// As it is; a file's too.
    Binary,
    /// As it is, even where it begins with @.
    Raw,
    /// Percent-encoded, but for a name before =.
    Encoded,
    /// As it is, and JSON.
    Json,
}

impl Data {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the server is told that it is JSON, and is to answer so.
    pub fn is_json(&self) -> bool {
        self.pieces.iter().any(|(kind, _)| *kind == Kind::Json)
    }

    /// The content of a request, unless there is none, or it goes into the URL.
    ///
    /// # Errors
    /// A file that can't be read. The status is 26.
    pub fn content(&self) -> Result<Option<Content>, Failure> {
        if self.is_empty() || self.in_url {
            return Ok(None);
        }
        let kind = if self.is_json() { JSON } else { FORM };
        Ok(Some(Content::Bytes(Arc::from(self.join()?), kind)))
    }

    /// What is to be added to the query of a URL.
    ///
    /// # Errors
    /// A file that can't be read. The status is 26.
    pub fn query(&self) -> Result<Option<String>, Failure> {
        if self.is_empty() || !self.in_url {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&self.join()?).into_owned()))
    }

    fn join(&self) -> Result<Vec<u8>, Failure> {
        let mut joined: Vec<u8> = Vec::new();
        for (index, (kind, text)) in self.pieces.iter().enumerate() {
            if index > 0 && *kind != Kind::Json {
                joined.push(b'&');
            }
            joined.extend(piece(*kind, text)?);
        }
        Ok(joined)
    }
}

fn piece(kind: Kind, text: &str) -> Result<Vec<u8>, Failure> {
    match (kind, text.strip_prefix('@')) {
        (Kind::Encoded, _) => encoded(text),
        (Kind::Raw, _) | (_, None) => Ok(text.as_bytes().to_vec()),
        (Kind::Text, Some(file)) => {
            let mut bytes = read(file)?;
            bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            Ok(bytes)
        }
        (_, Some(file)) => read(file),
    }
}

/// `content`, `=content`, `name=content`, `@file` or `name@file`.
fn encoded(text: &str) -> Result<Vec<u8>, Failure> {
    let (name, content) = match text.find(['=', '@']) {
        None => ("", text.as_bytes().to_vec()),
        Some(at) => {
            let (name, rest) = (&text[..at], &text[at + 1..]);
            (name, if text[at..].starts_with('@') { read(rest)? } else { rest.as_bytes().to_vec() })
        }
    };
    let equals = if name.is_empty() { "" } else { "=" };
    let content = percent_encoding::percent_encode(&content, RESERVED);
    Ok(format!("{name}{equals}{content}").into_bytes())
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    let read = match file {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        file => fs::read(file),
    };
    read.during(format_args!("read {file}")).map_err(|failure| failure.with_status(status::NOT_READ))
}

/// A file that is to be sent to `url`, which gets its name where it ends with a slash.
///
/// # Errors
/// A file that can't be read. The status is 26.
pub fn upload(file: &Path, url: &Url) -> Result<(Content, Url), Failure> {
    if file == Path::new("-") || file == Path::new(".") {
        return Ok((Content::Input, url.clone()));
    }
    let metadata = fs::File::open(file).and_then(|file| file.metadata());
    let metadata = metadata
        .during(format_args!("read {}", file.display()))
        .map_err(|failure| failure.with_status(status::NOT_READ))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let named = match url.file_name() {
        None => url.join(&utf8_percent_encode(&name, RESERVED).to_string()).unwrap_or_else(|_| url.clone()),
        Some(_) => url.clone(),
    };
    let content = match metadata.is_file() {
        true => Content::File(file.to_owned(), Some(metadata.len())),
        false => Content::File(file.to_owned(), None),
    };
    Ok((content, named))
}

/// clap's derived code would lose the order of different options.
impl Args for Data {
    fn augment_args(command: Command) -> Command {
        let option = |name: &'static str, help: &'static str| {
            let option = Arg::new(name).long(name).value_name("DATA").allow_hyphen_values(true);
            option.action(ArgAction::Append).group("data").help(help)
        };
        command
            .group(clap::ArgGroup::new("data").multiple(true))
            .arg(
                Arg::new("text")
                    .long("data")
                    .alias("data-ascii")
                    .short('d')
                    .value_name("DATA")
                    .allow_hyphen_values(true)
                    .action(ArgAction::Append)
                    .group("data")
                    .help("Send this by POST; @FILE is what is in a file, without its ends of lines"),
            )
            .arg(option("data-binary", "As -d, with the ends of lines of a file"))
            .arg(option("data-raw", "As -d, and @ has no meaning"))
            .arg(option("data-urlencode", "As -d, percent-encoded: CONTENT, NAME=CONTENT, NAME@FILE"))
            .arg(option("json", "As --data-binary, as JSON, and JSON is asked for"))
            .arg(
                Arg::new("get")
                    .long("get")
                    .short('G')
                    .action(ArgAction::SetTrue)
                    .help("Add the data to the URL, and send none"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Data {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        for (name, kind) in KINDS {
            let id = if kind == Kind::Text { "text" } else { name };
            let texts = matches.get_many::<String>(id).into_iter().flatten();
            let places = matches.indices_of(id).into_iter().flatten();
            pieces.extend(places.zip(texts).map(|(place, text)| (place, (kind, text.clone()))));
        }
        pieces.sort_by_key(|(place, _)| *place);
        let pieces = pieces.into_iter().map(|(_, piece)| piece).collect();
        Ok(Data { pieces, in_url: matches.get_flag("get") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(args: &[&str]) -> Data {
        let command = Data::augment_args(Command::new("get").no_binary_name(true));
        Data::from_arg_matches(&command.try_get_matches_from(args).unwrap()).unwrap()
    }

    #[test]
    fn pieces_are_joined_in_their_order() {
        let data =
            data(&["-d", "a=1", "--data-raw", "@b", "-d", "-g", "--data-urlencode", "c=d e&", "-d", "f"]);
        assert_eq!(data.join().unwrap(), b"a=1&@b&-g&c=d%20e%26&f");
        assert!(matches!(data.content().unwrap(), Some(Content::Bytes(_, FORM))));
    }

    #[test]
    fn data_may_go_into_the_url_or_be_json() {
        let query = data(&["-G", "-d", "x=1", "-d", "y"]);
        assert_eq!(query.query().unwrap().as_deref(), Some("x=1&y"));
        assert!(query.content().unwrap().is_none());
        let json = data(&["--json", "{\"a\":", "--json", "1}"]);
        assert_eq!(json.join().unwrap(), b"{\"a\":1}");
        assert!(json.is_json());
        assert_eq!(data(&["-d", "@/nosuch"]).content().unwrap_err().status(), 26);
    }

    #[test]
    fn an_upload_names_its_file() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let file = Path::new("/proc/self/status");
        let named = |text: &str| upload(file, &url(text)).unwrap().1.to_string();
        assert_eq!(named("http://h/a/"), "http://h/a/status");
        assert_eq!(named("http://h/a"), "http://h/a");
        assert_eq!(upload(Path::new("/nosuch"), &url("http://h/")).unwrap_err().status(), 26);
    }
}
