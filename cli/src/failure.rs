//! What is said when something goes wrong: what failed, why, and what can be done about it.

use std::fmt;
use std::io;

use rustix::io::Errno;
use tapsock_driver::OpenError;
use tapsock_driver::auto::Refusal;

/// Something that the program could not do.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: Option<String>,
    status: Option<u8>,
    /// The error that is told of, where it is the system's or the stack's.
    errno: Option<Errno>,
    refused: Vec<Refusal>,
}

/// The exit status where nobody says otherwise.
const STATUS: u8 = 2;

impl Failure {
    /// `what` is the whole story: the step, and its error.
    pub fn new(what: impl Into<String>) -> Self {
        Failure { what: what.into(), hint: None, status: None, errno: None, refused: Vec::new() }
    }

    /// Adds what can be done about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit status of the command.
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets it where it is not set yet.
    pub fn or_status(self, status: u8) -> Self {
        if self.status.is_some() { self } else { self.with_status(status) }
    }

    /// The exit status of the command: 2, unless set.
    pub fn status(&self) -> u8 {
        self.status.unwrap_or(STATUS)
    }

    /// Whether it comes of that error.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno == Some(errno)
    }

    /// Where this comes of the link's end (ENETDOWN), tells of that: nothing else that is done on `link` can succeed.
    pub fn or_gone(self, link: &str) -> Self {
        match self.errno {
            Some(Errno::NETDOWN) => Failure::new(format!("the link {link} is gone: {}", Errno::NETDOWN))
                .hint("Nobody can reach the stack any more.")
                .with_status(STATUS),
            _ => self,
        }
    }

    /// Adds the links that can't be had.
    pub fn refused(mut self, refused: Vec<Refusal>) -> Self {
        self.refused = refused;
        self
    }

    /// Links that can't be had, where that is what failed.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refused
    }

    /// What failed and why, without the advice.
    pub fn reason(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Names the step that a result belongs to.
pub trait During<T> {
    /// `what` was being done: "connect to 10.7.0.1:80".
    fn during(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let errno = error.raw_os_error().map(Errno::from_raw_os_error);
            let hint = errno.and_then(advice).map(str::to_owned);
            Failure { hint, errno, ..Failure::new(format!("{what}: {error}")) }
        })
    }
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(io::Error::from).during(what)
    }
}

impl<T> During<T> for Result<T, OpenError> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let failure = Failure::new(format!("{what}: {error}"));
            match Errno::from_raw_os_error(error.errno()) {
                Errno::BUSY => failure.hint("Another program has that device open."),
                Errno::ACCESS | Errno::PERM => failure.hint(
                    "`--link auto` takes the best link that this user may open, and says why not a better one.",
                ),
                _ => failure,
            }
        })
    }
}

/// What usually helps.
fn advice(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::CONNREFUSED => "Nothing listens there: is the server running, and is that its port?",
        Errno::TIMEDOUT | Errno::HOSTUNREACH => {
            "Nobody answered: is the address right? `--capture FILE` shows what went over the link."
        }
        Errno::NETUNREACH => {
            "No route leads there: add `--gateway ADDRESS`, or an `--address` in its network."
        }
        Errno::ADDRINUSE => "Another socket has that port: choose another one, or 0 for any.",
        Errno::ADDRNOTAVAIL => "That address is not this host's: give it one with `--address`.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_step_the_errno_and_what_helps() {
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(111));
        let text = refused.during("connect to 10.7.0.1:80").unwrap_err().to_string();
        assert!(text.starts_with("connect to 10.7.0.1:80: Connection refused (os error 111)\n"), "{text}");
        assert!(text.contains("listens"), "{text}");
    }

    #[test]
    fn what_fails_for_the_links_end_tells_of_that() {
        let failed = |errno| Err::<(), _>(io::Error::from_raw_os_error(errno)).during("accept").unwrap_err();
        let gone = failed(100).with_status(1).or_gone("v1");
        assert_eq!(gone.reason(), "the link v1 is gone: Network is down (os error 100)");
        assert_eq!(gone.status(), 2);
        let other = failed(24).with_status(1).or_gone("v1");
        assert!(other.reason().starts_with("accept: ") && other.status() == 1, "{other}");
    }
}
