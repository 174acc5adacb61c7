//! Why a link could not be opened.

use std::fmt;
use std::io;

/// What was tried, how it failed, and what on this machine explains it.
///
/// ```
/// use tapsock_driver::OpenError;
///
/// let error = OpenError::new("open /dev/net/tun", std::io::Error::from_raw_os_error(13));
/// assert_eq!(error.errno(), 13);
/// assert_eq!(error.to_string(), "open /dev/net/tun: Permission denied (os error 13)");
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::PermissionDenied);
/// ```
#[derive(Debug)]
pub struct OpenError {
    step: String,
    cause: io::Error,
    hint: Option<String>,
}

impl OpenError {
    /// `step` failed with `cause`.
    pub fn new(step: impl Into<String>, cause: io::Error) -> Self {
        OpenError { step: step.into(), cause, hint: None }
    }

    /// Adds what explains it.
    pub(crate) fn because(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds what explains it, unless something does already.
    pub(crate) fn or_because(self, hint: impl FnOnce(i32) -> Option<String>) -> Self {
        if self.hint.is_some() {
            return self;
        }
        let hint = hint(self.errno());
        self.because(hint)
    }

    /// What was tried: a system call with what matters of its arguments.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The errno of the step that failed.
    pub fn errno(&self) -> i32 {
        self.cause.raw_os_error().unwrap_or(libc::EIO)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<OpenError> for io::Error {
    /// Keeps the errno.
    fn from(error: OpenError) -> Self {
        io::Error::from_raw_os_error(error.errno())
    }
}

/// Names the step that an [`io::Result`] belongs to.
pub(crate) trait During<T> {
    fn during(self, step: impl Into<String>) -> Result<T, OpenError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, step: impl Into<String>) -> Result<T, OpenError> {
        self.map_err(|cause| OpenError::new(step, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explains_it_already_is_kept() {
        let error = || OpenError::new("step", io::Error::from_raw_os_error(libc::EPERM));
        let general = |errno| Some(format!("general, for {errno}"));
        assert!(error().or_because(general).to_string().ends_with("; general, for 1"));
        let close = error().because(Some("close".to_owned())).or_because(general);
        assert!(close.to_string().ends_with("; close"));
    }
}
