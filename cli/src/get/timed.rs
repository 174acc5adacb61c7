//! A connection on which nobody waits too long.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use tapsock::net::TcpStream;

/// How long things may take.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// Each step.
    pub step: Duration,
    /// Until there is a connection.
    pub connect: Duration,
    /// Everything, and when that is over.
    pub all: Option<(Duration, Instant)>,
}

impl Limits {
    /// How long a step may take that begins now and may take `limit` by itself.
    ///
    /// # Errors
    /// TimedOut where all time is over.
    pub fn wait(&self, limit: Duration) -> io::Result<Duration> {
        let Some((_, end)) = self.all else { return Ok(limit) };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.over("")),
            left => Ok(left.min(limit)),
        }
    }

    /// A step has taken too long: `what` is what did not happen.
    fn over(&self, what: &str) -> io::Error {
        let text = match self.all {
            Some((limit, end)) if Instant::now() >= end => {
                format!("not done after {} s", limit.as_secs_f64())
            }
            _ => format!("nothing {what} for {} s", self.step.as_secs_f64()),
        };
        io::Error::new(ErrorKind::TimedOut, text)
    }
}

/// A connection that keeps to limits.
#[derive(Debug)]
pub struct Timed {
    stream: TcpStream,
    limits: Limits,
}

impl Timed {
    /// `stream` within `limits`.
    ///
    /// # Errors
    /// Those of setting a time-out.
    pub fn new(stream: TcpStream, limits: Limits) -> io::Result<Self> {
        stream.set_read_timeout(Some(limits.step))?;
        stream.set_write_timeout(Some(limits.step))?;
        Ok(Timed { stream, limits })
    }

    fn checked<T>(&self, result: io::Result<T>, what: &str) -> io::Result<T> {
        match result {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => Err(self.limits.over(what)),
            result => result,
        }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.limits.all.is_some() {
            self.stream.set_read_timeout(Some(self.limits.wait(self.limits.step)?))?;
        }
        let read = self.stream.read(into);
        self.checked(read, "came")
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.limits.all.is_some() {
            self.stream.set_write_timeout(Some(self.limits.wait(self.limits.step)?))?;
        }
        let written = self.stream.write(bytes);
        self.checked(written, "was taken")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
