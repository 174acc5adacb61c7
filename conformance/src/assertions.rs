//! The code blocks of scripts: `%{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%`.
//!
//! They are Python, and nearly always assertions. [`Assertions`] evaluates the part of Python that such blocks are made
//! of; what goes beyond it is [`Failure::Foreign`], and then a runner hands all blocks to an interpreter as one program,
//! which [`python_program`] writes. Variables live on from block to block, as they do there.
//!
//! ```
//! use tapsock_conformance::assertions::{Assertions, Failure};
//! use tapsock_conformance::ast::{Code, Position};
//!
//! let mut assertions = Assertions::new();
//! assertions.set("tcpi_snd_cwnd", 9);
//! let code = Code {
//!     at: Position { line: 7, column: 4 },
//!     text: " cwnd = 9; print(cwnd); assert tcpi_snd_cwnd == cwnd + 1, 'cwnd=%d' % tcpi_snd_cwnd ".to_owned(),
//! };
//! let Err(Failure::Failed { at, message }) = assertions.run(&code) else { panic!() };
//! assert_eq!((at.line, message.as_str()), (7, "AssertionError: cwnd=9"));
//! assert_eq!(assertions.take_printed(), "9\n");
//! ```

use std::collections::HashMap;
use std::fmt;

use crate::ast::{Action, Code, Position, Script};
use crate::symbols;

mod evaluate;
mod format;
mod lexer;
mod operators;
mod parser;
mod python;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use python::{Block, python_program};

use evaluate::Scope;
use value::Value;

/// The variables of a script's blocks, and what its blocks printed.
#[derive(Debug, Default)]
pub struct Assertions {
    variables: HashMap<String, Value>,
    printed: String,
}

impl Assertions {
    /// None yet; the names of TCP's states, `TCP_CA_…` and `TCPI_OPT_…` are known.
    pub fn new() -> Assertions {
        let known = KNOWN.iter().filter_map(|name| Some(((*name).to_owned(), Value::Integer(known(name)?))));
        Assertions { variables: known.collect(), printed: String::new() }
    }

    /// Sets a variable: a field of `TCP_INFO` as it is when a block runs.
    pub fn set(&mut self, name: &str, value: i64) {
        self.variables.insert(name.to_owned(), Value::Integer(value.into()));
    }

    /// Runs a block.
    ///
    /// # Errors
    ///
    /// An assertion that doesn't hold, or another error that Python gives; or something that isn't known here. Of a
    /// block that is foreign nothing was done.
    pub fn run(&mut self, code: &Code) -> Result<(), Failure> {
        let statements = parser::parse(code)?;
        let before = (self.variables.clone(), self.printed.len());
        let mut scope = Scope { variables: &mut self.variables, printed: &mut self.printed };
        let result = statements.iter().try_for_each(|statement| scope.statement(statement));
        if matches!(result, Err(Failure::Foreign { .. })) {
            self.variables = before.0;
            self.printed.truncate(before.1);
        }
        result
    }

    /// What was printed since the last time.
    pub fn take_printed(&mut self) -> String {
        std::mem::take(&mut self.printed)
    }
}

/// Why a block didn't run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Python would end here, with this error.
    Failed {
        /// Where in the script.
        at: Position,
        /// `AssertionError: 9`.
        message: String,
    },
    /// This isn't known here: a Python must say what it means.
    Foreign {
        /// Where in the script.
        at: Position,
        /// What isn't known.
        what: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed { message, .. } => write!(f, "{message}"),
            Failure::Foreign { what, .. } => write!(f, "only Python knows {what}"),
        }
    }
}

impl std::error::Error for Failure {}

/// The first thing in a script's blocks that only Python knows, as far as their text tells.
///
/// ```
/// use tapsock_conformance::{assertions, parse};
///
/// let native = parse("s.pkt", "0 %{ assert tcpi_rto == 200000 }%").unwrap();
/// assert_eq!(assertions::foreign(&native), None);
/// let foreign = parse("s.pkt", "0 %{ import os }%").unwrap();
/// assert!(assertions::foreign(&foreign).is_some());
/// ```
pub fn foreign(script: &Script) -> Option<Failure> {
    let blocks = script.events.iter().filter_map(|event| match &event.action {
        Action::Code(code) => Some(code),
        _ => None,
    });
    blocks.filter_map(|code| parser::parse(code).err()).next()
}

/// The constants that blocks know.
const KNOWN: &[&str] = &[
    "TCP_ESTABLISHED",
    "TCP_SYN_SENT",
    "TCP_SYN_RECV",
    "TCP_FIN_WAIT1",
    "TCP_FIN_WAIT2",
    "TCP_TIME_WAIT",
    "TCP_CLOSE",
    "TCP_CLOSE_WAIT",
    "TCP_LAST_ACK",
    "TCP_LISTEN",
    "TCP_CLOSING",
    "TCP_CA_Open",
    "TCP_CA_Disorder",
    "TCP_CA_CWR",
    "TCP_CA_Recovery",
    "TCP_CA_Loss",
    "TCPI_OPT_TIMESTAMPS",
    "TCPI_OPT_SACK",
    "TCPI_OPT_WSCALE",
    "TCPI_OPT_ECN",
    "TCPI_OPT_ECN_SEEN",
    "TCPI_OPT_SYN_DATA",
    "TCPI_OPT_USEC_TS",
    "TCPI_OPT_TFO_CHILD",
];

fn known(name: &str) -> Option<i128> {
    symbols::constant(name).map(i128::from)
}
