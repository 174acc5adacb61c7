//! The options of `tapsock get`, by curl's names.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::content::Data;
use super::destination::Destinations;
use super::retry::Retry;
use super::timed::Limits;
use super::write_out::Format;
use crate::attach::Attach;
use crate::http::Field;
use crate::ping::parse_seconds;
use crate::resolve::{Family, Pinned};

/// The options of `tapsock get`.
#[derive(Args, Debug)]
pub struct Options {
    /// What to fetch: http://host:port/path; several are fetched one after the other
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    #[command(flatten)]
    pub destinations: Destinations,
    /// Go on with a file that is there in part, from this offset; - is its length
    #[arg(long, short = 'C', value_name = "OFFSET", value_parser = Resume::parse, conflicts_with = "range")]
    pub continue_at: Option<Resume>,
    /// Write the head of the response too
    #[arg(long, short)]
    pub include: bool,
    /// Fetch the head alone
    #[arg(long, short = 'I', conflicts_with_all = ["data", "upload_file"])]
    pub head: bool,
    /// Fail, without the document, where the status is 400 or above
    #[arg(long, short)]
    pub fail: bool,
    /// Follow redirections
    #[arg(long, short = 'L')]
    pub location: bool,
    /// Redirections that are followed at most; -1: any number
    #[arg(long, value_name = "COUNT", default_value_t = 50, allow_negative_numbers = true)]
    pub max_redirs: i32,
    /// The method of the request, instead of GET, HEAD, POST or PUT as it follows from the other options
    #[arg(long, short = 'X', value_name = "METHOD", value_parser = parse_method)]
    pub request: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// Send this file by PUT; - is standard input. One a URL
    #[arg(long, short = 'T', value_name = "FILE", conflicts_with = "data")]
    pub upload_file: Vec<PathBuf>,
    /// A field of the request, such as "Accept: text/plain"; may be given several times
    #[arg(long, short = 'H', value_name = "FIELD", value_parser = |text: &str| text.parse::<Field>())]
    pub header: Vec<Field>,
    /// Name and password, sent as they are (basic authentication)
    #[arg(long, short, value_name = "NAME:PASSWORD", value_parser = parse_user)]
    pub user: Option<String>,
    /// What the program is to call itself
    #[arg(long, short = 'A', value_name = "NAME", value_parser = |text: &str| Field::with_value("User-Agent", text))]
    pub user_agent: Option<Field>,
    /// The page that led here
    #[arg(long, short = 'e', value_name = "URL", value_parser = |text: &str| Field::with_value("Referer", text))]
    pub referer: Option<Field>,
    /// Only these bytes of the document, such as 0-499 or 500-
    #[arg(long, short, value_name = "RANGE", allow_hyphen_values = true, value_parser = |text: &str| Field::with_value("Range", &format!("bytes={text}")))]
    pub range: Option<Field>,
    /// Print this after each document, with values for %{http_code}, %{size_download}, %{time_total}, %{json} …
    #[arg(long, short, value_name = "FORMAT", allow_hyphen_values = true)]
    pub write_out: Option<Format>,
    /// Tell nothing, not even errors
    #[arg(long, short)]
    pub silent: bool,
    /// Tell errors even with -s
    #[arg(long, short = 'S')]
    pub show_error: bool,
    /// Tell on standard error what is done
    #[arg(long, short)]
    pub verbose: bool,
    /// Seconds that a document may take; 0: any number
    #[arg(long, short, value_name = "SECONDS", value_parser = parse_seconds)]
    pub max_time: Option<f64>,
    /// Seconds that each step may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = parse_seconds)]
    pub timeout: f64,
    /// Seconds that the connection may take; 0: as long as any step
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub connect_timeout: Option<f64>,
    #[command(flatten)]
    pub retry: Retry,
    /// Addresses to use for a host and a port, instead of what the resolver says; * is any host
    #[arg(long, value_name = "HOST:PORT:ADDRESS,…")]
    pub resolve: Vec<Pinned>,
    #[command(flatten)]
    pub family: Family,
    /// Accepted, and without effect: there is no TLS whose certificates could be checked
    #[arg(long, short = 'k')]
    insecure: bool,
    /// Accepted, and without effect: what comes is written at once
    #[arg(long, short = 'N')]
    no_buffer: bool,
    /// Accepted, and without effect: there are no patterns in URLs
    #[arg(long, short)]
    globoff: bool,
    #[command(flatten)]
    pub attach: Attach,
}

/// Where a document is taken up again.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Resume {
    /// After this many bytes.
    At(u64),
    /// After those that the file has.
    WhereItEnds,
}

impl Resume {
    fn parse(text: &str) -> Result<Resume, String> {
        match text {
            "-" => Ok(Resume::WhereItEnds),
            text => text.parse().map(Resume::At).map_err(|_| format!("{text:?} is no offset")),
        }
    }
}

impl Options {
    /// How long things may take from now on.
    pub fn limits(&self) -> Limits {
        let step = Duration::from_secs_f64(self.timeout);
        let given = |seconds: Option<f64>| {
            // 0 is the usual limit, as curl has it.
            seconds.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
        };
        let all = given(self.max_time);
        Limits {
            step,
            connect: given(self.connect_timeout).unwrap_or(step),
            all: all.map(|limit| (limit, Instant::now() + limit)),
        }
    }

    /// Whether errors are told.
    pub fn tells_errors(&self) -> bool {
        !self.silent || self.show_error
    }

    /// With -v, a line on standard error.
    pub fn tell(&self, line: std::fmt::Arguments<'_>) {
        if self.verbose {
            eprintln!("{line}");
        }
    }

    /// With -v, lines on standard error.
    pub fn tell_lines(&self, mark: char, lines: &str) {
        for line in lines.lines() {
            self.tell(format_args!("{mark} {line}"));
        }
    }
}

fn parse_method(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_alphabetic() || letter == b'-') {
        true => Ok(text.to_owned()),
        false => Err("a method is a word".to_owned()),
    }
}

fn parse_user(text: &str) -> Result<String, String> {
    match text.contains(':') {
        true => Ok(text.to_owned()),
        false => Err("the password is missing, and nobody is asked for it: NAME:PASSWORD".to_owned()),
    }
}
