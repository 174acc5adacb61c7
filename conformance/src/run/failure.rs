//! Why a script failed.

use core::fmt;

use crate::ast::Position;

/// Why a script failed, and where.
///
/// ```
/// use tapsock_conformance::ast::Position;
/// use tapsock_conformance::run::Failure;
///
/// let failure = Failure::new(Position { line: 3, column: 1 }, "nothing was sent");
/// assert_eq!(failure.to_string(), "nothing was sent");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Where in the script.
    pub at: Position,
    /// What is wrong.
    pub reason: String,
    /// The packet that should have been sent, in the script's words.
    pub expected: Option<String>,
    /// The packet that was.
    pub actual: Option<String>,
}

impl Failure {
    /// A failure that is about no packet.
    pub fn new(at: Position, reason: impl Into<String>) -> Self {
        Failure { at, reason: reason.into(), expected: None, actual: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(actual) = &self.actual {
            write!(f, "\n  actual:   {actual}")?;
        }
        Ok(())
    }
}
