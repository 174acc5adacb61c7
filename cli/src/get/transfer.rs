//! Fetching one document: redirections, its head, and its body.

use std::io::{self, BufReader, ErrorKind};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use super::Options;
use super::destination::Target;
use super::facts::Facts;
use super::status;
use super::timed::{Limits, Timed};
use crate::failure::{During, Failure};
use crate::http::{self, Ask, Url};
use crate::reach::{Origin, Reach};
use crate::resolve::{Found, Names, look_up};
use crate::splice::{self, CopyError};

/// Fields that are meant for one server and no other.
const PRIVATE: [&str; 3] = ["Authorization", "Cookie", "Host"];

/// One document on its way.
pub struct Transfer<'a> {
    pub options: &'a Options,
    pub reach: &'a Reach,
    pub limits: Limits,
    pub begin: Instant,
}

type Response = http::Fetched<BufReader<Timed>>;

impl Transfer<'_> {
    /// Fetches what `ask` wants of `url`, from the offset `resumed` on, and keeps in `facts` what becomes known.
    ///
    /// # Errors
    /// The step that failed; its status is curl's.
    pub fn run(
        &self,
        mut url: Url,
        mut ask: Ask,
        resumed: Option<u64>,
        to: &mut Target,
        facts: &mut Facts,
    ) -> Result<(), Failure> {
        let options = self.options;
        let begin = url.clone();
        loop {
            let mut response = self.request(&url, &ask, facts)?;
            let leads_to = self.leads_to(&url, &response)?;
            if options.location
                && let Some(next) = leads_to
            {
                if usize::try_from(options.max_redirs).is_ok_and(|limit| facts.redirects >= limit) {
                    let what = format!("{begin}: more than {} redirections", options.max_redirs);
                    return Err(Failure::new(what).with_status(status::TOO_MANY_REDIRECTS));
                }
                self.write_head(&response, to)?;
                if (next.host(), next.port()) != (url.host(), url.port()) {
                    ask.fields.retain(|field| !PRIVATE.iter().any(|name| field.is(name)));
                }
                ask.redirected(response.status);
                options.tell(format_args!("* {url} leads to {next}"));
                facts.redirects += 1;
                facts.redirecting = self.begin.elapsed();
                (facts.effective, url) = (next.to_string(), next);
                continue;
            }
            facts.leads_to = leads_to.map(|next| next.to_string());
            if options.fail && response.status >= 400 {
                let failure = Failure::new(format!("{} {url}: status {}", ask.method(), response.status));
                return Err(failure.with_status(status::HTTP_ERROR));
            }
            self.write_head(&response, to)?;
            match (resumed, response.status) {
                // The file has it all already.
                (Some(_), 416) => return Ok(()),
                (Some(_), 200..=299) if response.status != 206 => {
                    let failure = Failure::new(format!("-C: {url} is had as a whole only"));
                    return Err(failure.with_status(status::NO_RANGE));
                }
                _ => {}
            }
            return self.copy(&url, &ask, &mut response, to, facts);
        }
    }

    /// Where a response leads, if it is a redirection.
    fn leads_to(&self, url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
        let location = response.field("location").filter(|_| (300..=399).contains(&response.status));
        let Some(location) = location else { return Ok(None) };
        match url.join(location) {
            Ok(next) => Ok(Some(next)),
            Err(why) if self.options.location => {
                Err(Failure::new(format!("{url} leads to {location}: {why}"))
                    .with_status(status::of_url(&why)))
            }
            Err(_) => Ok(None),
        }
    }

    fn write_head(&self, response: &Response, to: &mut Target) -> Result<(), Failure> {
        match self.options.include || self.options.head {
            true => to.write(response.head.as_bytes()),
            false => Ok(()),
        }
    }

    /// Asks, and waits for the head of the response.
    fn request(&self, url: &Url, ask: &Ask, facts: &mut Facts) -> Result<Response, Failure> {
        let (options, limits) = (self.options, self.limits);
        let found = self.look_up(url)?;
        facts.looked_up = self.begin.elapsed();
        let reached = found.try_each(|to| {
            let connected =
                limits.wait(limits.connect).and_then(|wait| self.reach.connect(to, Origin::default(), wait));
            let status = connected.as_ref().err().map_or(0, status::of_connect);
            let connected = connected.during(format_args!("connect to {to}"));
            match &connected {
                Ok(reached) => options.tell(format_args!(
                    "* connected to {to} from {}, link {}",
                    reached.local, self.reach.attached.link
                )),
                Err(failure) => options.tell(format_args!("* {}", failure.reason())),
            }
            connected.map_err(|failure| failure.with_status(status))
        })?;
        facts.connected = self.begin.elapsed();
        facts.connects += 1;
        (facts.local, facts.peer) = (Some(reached.local), Some(reached.peer));
        let head = ask.head(url);
        facts.method = ask.method().to_owned();
        facts.referer = ask
            .fields
            .iter()
            .find(|field| field.is("referer"))
            .and_then(|field| field.value())
            .map(str::to_owned);
        facts.request_len += head.len();
        options.tell_lines('>', &head);
        let stream = Timed::new(reached.stream, limits).during("set the time-out")?;
        let response = http::ask(stream, url, ask);
        let status = response.as_ref().err().map_or(0, status::of_response);
        let response = response.during(format_args!("{} {url}", ask.method()));
        let response = response.map_err(|failure| failure.with_status(status))?;
        options.tell_lines('<', &response.head);
        facts.answered = self.begin.elapsed();
        facts.status = response.status;
        facts.version = Some(response.version);
        facts.head_len += response.head.len();
        facts.uploaded += response.uploaded;
        facts.fields = response.fields.clone();
        Ok(response)
    }

    fn look_up(&self, url: &Url) -> Result<Found, Failure> {
        let (host, port, family) = (url.host(), url.port(), self.options.family);
        let pinned = self.options.resolve.iter().find_map(|pinned| pinned.look_up(host, port, family));
        let found = pinned
            .unwrap_or_else(|| look_up(host, port, family, Names::Resolved, self.reach.attached.resolver()));
        found
            .during(format_args!("look up {host}"))
            .map_err(|failure| failure.with_status(status::NO_ADDRESS))
    }

    /// Copies the document to where it is wanted.
    fn copy(
        &self,
        url: &Url,
        ask: &Ask,
        response: &mut Response,
        to: &mut Target,
        facts: &mut Facts,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let bar = bar(to.path().is_some() && !self.options.silent, response.body.known_len());
        let mut body = Counted { from: bar.wrap_read(&mut response.body), count: 0 };
        let copied = splice::copy_by_side(&mut body, to.open()?);
        facts.downloaded = body.count;
        bar.finish_and_clear();
        match copied {
            // Who reads our output has had enough.
            Err(CopyError::Write(error)) if to.path().is_none() && error.kind() == ErrorKind::BrokenPipe => {}
            Err(CopyError::Write(error)) => return Err(to.failure(error)),
            Err(error @ CopyError::Read(_)) => {
                let status = status::of_copy(&error);
                let failed: Result<(), io::Error> = Err(error.into());
                return failed
                    .during(format_args!("{} {url}", ask.method()))
                    .map_err(|failure| failure.with_status(status));
            }
            Ok(bytes) => self.tell_rate(bytes, begin.elapsed()),
        }
        Ok(())
    }

    fn tell_rate(&self, bytes: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        let rate = bytes as f64 * 8.0 / seconds / 1e6;
        self.options.tell(format_args!("* {bytes} bytes in {seconds:.3} s, {rate:.1} Mbit/s"));
    }
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(into)?;
        self.count += len as u64;
        Ok(len)
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
