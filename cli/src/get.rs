//! `tapsock get`: one document by HTTP.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use crate::attach::Attach;
use crate::failure::{During, Failure};
use crate::http::{self, Url};
use crate::network::Stream;
use crate::reach::Reach;
use crate::splice;

/// The options of `tapsock get`.
#[derive(Args, Debug)]
pub struct Options {
    /// What to fetch: http://host:port/path
    #[arg(value_parser = parse_url)]
    url: Url,
    /// Write the document to this file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the document to a file of its own name
    #[arg(long, short = 'O', conflicts_with = "output")]
    remote_name: bool,
    /// Print the head of the response too
    #[arg(long, short)]
    include: bool,
    /// Fail, without the document, where the status is 400 or above
    #[arg(long, short)]
    fail: bool,
    /// Tell on standard error what is done
    #[arg(long, short)]
    verbose: bool,
    /// Seconds that each step may take
    #[arg(long, short = 'w', value_name = "SECONDS", default_value_t = 30.0, value_parser = crate::ping::parse_seconds)]
    timeout: f64,
    #[command(flatten)]
    attach: Attach,
}

fn parse_url(text: &str) -> Result<Url, String> {
    text.parse()
}

/// Fetches it. The status is 1 where the server's is 400 or above and that counts.
///
/// # Errors
/// The step that failed.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let Options { url, .. } = options;
    let patience = Duration::from_secs_f64(options.timeout);
    let to = url.socket_address().during(format_args!("look up {}", url.host()))?;
    let reach = Reach::open(&options.attach)?;
    let begin = Instant::now();
    let stream = reach.connect(to, patience).during(format_args!("connect to {to}"))?;
    if options.verbose {
        eprintln!("* connected to {to} from {}, link {}", reach.attached.ours, reach.attached.link);
    }
    stream.patience(Some(patience)).during("set the time-out")?;
    let mut response = http::get(stream, url).during(format_args!("GET {url}"))?;
    if options.include {
        print!("{}", response.head);
    }
    if options.fail && response.status >= 400 {
        eprintln!("tapsock: GET {url}: status {}", response.status);
        return Ok(ExitCode::FAILURE);
    }
    let file = options.file()?;
    let mut out: Box<dyn Write> = match &file {
        Some(path) => Box::new(File::create(path).during(format_args!("create {}", path.display()))?),
        None => Box::new(io::stdout().lock()),
    };
    let bar = bar(file.is_some(), response.body.known_len());
    let copied = splice::copy(&mut bar.wrap_read(&mut response.body), &mut out);
    bar.finish_and_clear();
    let bytes = match copied {
        // Who reads our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        copied => copied.during(format_args!("GET {url}"))?,
    };
    if options.verbose {
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("* {bytes} bytes in {seconds:.3} s, {:.1} Mbit/s", bytes as f64 * 8.0 / seconds / 1e6);
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// Where the document goes, if not to standard output.
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        if !self.remote_name {
            return Ok(self.output.clone());
        }
        let name = self.url.file_name().filter(|name| *name != "..");
        let name = name.ok_or_else(|| {
            Failure::new(format!("-O: {} has no file name", self.url)).hint("Name the file with -o FILE.")
        })?;
        Ok(Some(PathBuf::from(name)))
    }
}

/// A bar where it does not disturb: the document goes to a file, and standard error is a terminal.
fn bar(to_file: bool, len: Option<u64>) -> ProgressBar {
    if !to_file || !Term::stderr().is_term() {
        return ProgressBar::hidden();
    }
    let bar = len.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = "{bar:40.cyan/dim} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
