//! `tapsock get`: one document by HTTP, with the options and the exit status of curl(1).

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use crate::attach::{Attach, Tell};
use crate::failure::{During, Failure};
use crate::http::{self, Ask, Field, Url};
use crate::ping::parse_seconds;
use crate::reach::{Origin, Reach};
use crate::resolve::{Family, Names, look_up};
use crate::splice::{self, CopyError};
use timed::{Limits, Timed};

mod status;
mod timed;

/// Redirections that are followed at most.
const MAX_REDIRECTS: usize = 50;
/// Fields that are meant for one server and no other.
const PRIVATE: [&str; 3] = ["Authorization", "Cookie", "Host"];

/// The options of `tapsock get`.
#[derive(Args, Debug)]
pub struct Options {
    /// What to fetch: http://host:port/path
    #[arg(value_parser = |text: &str| text.parse::<Url>())]
    url: Url,
    /// Write the document to this file; - is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the document to a file of its own name
    #[arg(long, short = 'O', conflicts_with = "output")]
    remote_name: bool,
    /// Write the head of the response too
    #[arg(long, short)]
    include: bool,
    /// Fetch the head alone
    #[arg(long, short = 'I')]
    head: bool,
    /// Fail, without the document, where the status is 400 or above
    #[arg(long, short)]
    fail: bool,
    /// Follow redirections
    #[arg(long, short = 'L')]
    location: bool,
    /// A field of the request, such as "Accept: text/plain"; may be given several times
    #[arg(long, short = 'H', value_name = "FIELD", value_parser = |text: &str| text.parse::<Field>())]
    header: Vec<Field>,
    /// Tell nothing, not even errors
    #[arg(long, short)]
    silent: bool,
    /// Tell errors even with -s
    #[arg(long, short = 'S')]
    show_error: bool,
    /// Tell on standard error what is done
    #[arg(long, short)]
    verbose: bool,
    /// Seconds that everything may take
    #[arg(long, short, value_name = "SECONDS", value_parser = parse_seconds)]
    max_time: Option<f64>,
    /// Seconds that each step may take
    #[arg(long, short = 'w', value_name = "SECONDS", default_value_t = 30.0, value_parser = parse_seconds)]
    timeout: f64,
    /// Seconds that the connection may take
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    connect_timeout: Option<f64>,
    #[command(flatten)]
    family: Family,
    #[command(flatten)]
    attach: Attach,
}

/// Fetches it. The status is curl's: 0 whatever the server's status is, 22 where that counts and is 400 or above.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    match fetch(options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) if options.silent && !options.show_error => Ok(ExitCode::from(failure.status())),
        Err(failure) => Err(failure),
    }
}

fn fetch(options: &Options) -> Result<(), Failure> {
    let limits = options.limits();
    let mut to = Target { path: options.file()?, out: None };
    let mut ask = Ask { head_only: options.head, fields: options.header.clone() };
    let mut url = options.url.clone();
    let reach = Reach::open(&options.attach, Tell::unless(options.silent))?;
    for _ in 0..=MAX_REDIRECTS {
        let mut response = request(options, &reach, limits, &url, &ask)?;
        if options.include || options.head {
            to.write(response.head.as_bytes())?;
        }
        let next = response.location.as_deref().filter(|_| (300..=399).contains(&response.status));
        if let (true, Some(next)) = (options.location, next) {
            let next = url.join(next).map_err(|why| {
                Failure::new(format!("{url} leads to {next}: {why}")).with_status(status::UNSUPPORTED)
            })?;
            if (next.host(), next.port()) != (url.host(), url.port()) {
                ask.fields.retain(|field| !PRIVATE.iter().any(|name| field.is(name)));
            }
            options.tell(format_args!("* {url} leads to {next}"));
            url = next;
            continue;
        }
        if options.fail && response.status >= 400 {
            let failure = Failure::new(format!("GET {url}: status {}", response.status));
            return Err(failure.with_status(status::HTTP_ERROR));
        }
        let len = response.body.known_len();
        return copy(options, &url, len, &mut response.body, &mut to);
    }
    let failure = Failure::new(format!("{}: more than {MAX_REDIRECTS} redirections", options.url));
    Err(failure.with_status(status::TOO_MANY_REDIRECTS))
}

/// Asks, and waits for the head of the response.
fn request(
    options: &Options,
    reach: &Reach,
    limits: Limits,
    url: &Url,
    ask: &Ask,
) -> Result<http::Fetched<io::BufReader<Timed>>, Failure> {
    let host = url.host();
    let found = look_up(host, url.port(), options.family, Names::Resolved);
    let found = found
        .during(format_args!("look up {host}"))
        .map_err(|failure| failure.with_status(status::NO_ADDRESS))?;
    let stream = found.try_each(|to| {
        let connected =
            limits.wait(limits.connect).and_then(|wait| reach.connect(to, Origin::default(), wait));
        let status = connected.as_ref().err().map_or(0, status::of_connect);
        let connected = connected.during(format_args!("connect to {to}"));
        match &connected {
            Ok(_) => options.tell(format_args!(
                "* connected to {to} from {}, link {}",
                reach.attached.ours, reach.attached.link
            )),
            Err(failure) => options.tell(format_args!("* {}", failure.reason())),
        }
        connected.map_err(|failure| failure.with_status(status))
    })?;
    let stream = Timed::new(stream.stream, limits).during("set the time-out")?;
    options.tell_lines('>', &ask.head(url));
    let response = http::ask(stream, url, ask);
    let status = response.as_ref().err().map_or(0, status::of_response);
    let method = if ask.head_only { "HEAD" } else { "GET" };
    let response = response.during(format_args!("{method} {url}"));
    let response = response.map_err(|failure| failure.with_status(status))?;
    options.tell_lines('<', &response.head);
    Ok(response)
}

/// Copies the document to where it is wanted.
fn copy(
    options: &Options,
    url: &Url,
    len: Option<u64>,
    body: &mut impl io::Read,
    to: &mut Target,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let bar = bar(to.path.is_some() && !options.silent, len);
    let copied = splice::copy_by_side(&mut bar.wrap_read(body), to.open()?);
    bar.finish_and_clear();
    let bytes = match copied {
        // Who reads our output has had enough.
        Err(CopyError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => {
            let status = status::of_copy(&error);
            let failed: io::Result<()> = match error {
                CopyError::Write(error) => return Err(to.failure(error)),
                CopyError::Read(error) => Err(error),
            };
            return failed.during(format_args!("GET {url}")).map_err(|failure| failure.with_status(status));
        }
        Ok(bytes) => bytes,
    };
    let seconds = begin.elapsed().as_secs_f64();
    let rate = bytes as f64 * 8.0 / seconds / 1e6;
    options.tell(format_args!("* {bytes} bytes in {seconds:.3} s, {rate:.1} Mbit/s"));
    Ok(())
}

impl Options {
    fn limits(&self) -> Limits {
        let step = Duration::from_secs_f64(self.timeout);
        let all = self.max_time.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
        Limits {
            step,
            // 0 is the usual one, as curl has it.
            connect: self
                .connect_timeout
                .filter(|seconds| *seconds > 0.0)
                .map_or(step, Duration::from_secs_f64),
            all: all.map(|limit| (limit, Instant::now() + limit)),
        }
    }

    fn tell(&self, line: std::fmt::Arguments<'_>) {
        if self.verbose {
            eprintln!("{line}");
        }
    }

    fn tell_lines(&self, mark: char, lines: &str) {
        for line in lines.lines() {
            self.tell(format_args!("{mark} {line}"));
        }
    }

    /// Where the document goes, if not to standard output.
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        if !self.remote_name {
            return Ok(self.output.clone().filter(|path| path != Path::new("-")));
        }
        let name = self.url.file_name().filter(|name| *name != "..");
        let name = name.ok_or_else(|| {
            Failure::new(format!("-O: {} has no file name", self.url))
                .hint("Name the file with -o FILE.")
                .with_status(status::NOT_WRITTEN)
        })?;
        Ok(Some(PathBuf::from(name)))
    }
}

/// Where the document goes. A file is made when there is something to write.
struct Target {
    /// The file; standard output, where there is none.
    path: Option<PathBuf>,
    out: Option<Box<dyn Write>>,
}

impl Target {
    fn open(&mut self) -> Result<&mut Box<dyn Write>, Failure> {
        if self.out.is_none() {
            self.out = Some(match &self.path {
                Some(path) => Box::new(File::create(path).map_err(|error| self.failure(error))?),
                None => Box::new(io::stdout().lock()),
            });
        }
        // It has just been made.
        self.out.as_mut().ok_or_else(|| Failure::new("no output"))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.open()?.write_all(bytes);
        written.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: io::Error) -> Failure {
        let name = self.path.as_ref().map_or("standard output".into(), |path| path.to_string_lossy());
        Failure::new(format!("write {name}: {error}")).with_status(status::NOT_WRITTEN)
    }
}

/// A bar where it does not disturb: the document goes to a file, and standard error is a terminal.
fn bar(wanted: bool, len: Option<u64>) -> ProgressBar {
    if !wanted || !Term::stderr().is_term() {
        return ProgressBar::hidden();
    }
    let bar = len.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = "{bar:40.cyan/dim} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
