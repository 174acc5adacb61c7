//! The shell commands of scripts, and the shell scripts that they call: what they set, without a shell.
//!
//! A [`Shell`] reads commands and tells a [`System`] what to do, one [`Effect`] after the other. It knows the part of
//! the shell that stands in packet scripts, and the programs they call: `sysctl`, `set_sysctls.py` and the file that
//! restores what it set, `echo … > /proc/sys/…`, `ip`, `tc`, `ethtool`, `nstat`, `grep`, `cat` and a few more. What it
//! doesn't know is an error with its place.
//!
//! ```
//! use std::path::Path;
//! use tapsock_conformance::ast::Position;
//! use tapsock_conformance::shell::{Effect, Recorder, Shell};
//!
//! let mut system = Recorder::new();
//! let mut shell = Shell::new(Path::new("."));
//! let at = Position { line: 1, column: 1 };
//! shell.run("s.pkt", at, "sysctl -q net.ipv4.tcp_rmem=\"4096 $((2*4096)) 10000\"", &mut system).unwrap();
//! let (name, value) = ("net.ipv4.tcp_rmem".to_owned(), "4096 8192 10000".to_owned());
//! assert_eq!(system.effects, [Effect::SetSysctl { name, value }]);
//! ```

use core::time::Duration;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::ast::Position;

mod arithmetic;
mod effect;
mod evaluate;
mod expand;
mod network;
mod pattern;
mod program;
mod syntax;
mod sysctl;
mod text;

#[cfg(test)]
mod tests;

pub use effect::{Effect, Outcome, Recorder, RouteAction, RouteAttribute, RouteChange, System};

/// How deep scripts may call each other.
const DEPTH_MAX: usize = 16;

/// How many commands one run may perform, so that a loop in a script ends.
const COMMANDS_MAX: usize = 10_000;

/// How many bytes a variable, the arguments of one command or what a command prints may have: what is doubled again and
/// again has an end.
const TEXT_MAX: usize = 1 << 20;

/// The longest pause that a script may make.
const SLEEP_MAX: Duration = Duration::from_secs(600);

/// A file that commands read, no more of it than they take, without waiting for somebody to write it.
///
/// # Errors
/// Those of open(2) and read(2), and [`io::ErrorKind::FileTooLarge`].
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(TEXT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > TEXT_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// What a script's commands share: variables, and what `set_sysctls.py` has to restore.
///
/// One shell serves all commands of a packet script; the relative paths in them begin where the script lies.
#[derive(Debug)]
pub struct Shell {
    directory: PathBuf,
    variables: HashMap<String, String>,
    /// What `/tmp/sysctl_restore_${PPID}.sh` holds: names and values; `None` if nothing wrote it yet.
    restore: Option<Vec<(String, String)>>,
    status: u8,
    /// Whether `exit` was called.
    leaving: bool,
    commands: usize,
}

impl Shell {
    /// A shell in the directory of the packet script.
    pub fn new(directory: &Path) -> Shell {
        let ids = [("PPID", "1"), ("PACKETDRILL_PID", "1"), ("$", "2")];
        Shell {
            directory: directory.to_owned(),
            variables: ids.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            restore: None,
            status: 0,
            leaving: false,
            commands: 0,
        }
    }

    /// Runs commands that stand in `file` at `at`, which is what errors say. The outcome is that of the last command,
    /// with what was printed; a status other than 0 means that the command failed, as in any shell.
    ///
    /// # Errors
    ///
    /// What isn't of the shell, or of the part of it that is known here, or a program that isn't known.
    pub fn run(
        &mut self,
        file: &str,
        at: Position,
        commands: &str,
        system: &mut dyn System,
    ) -> Result<Outcome, ShellError> {
        (self.commands, self.leaving) = (0, false);
        let list = syntax::parse(commands).map_err(|error| error.within(file, at))?;
        let mut run = evaluate::Run { shell: self, system, file, at, arguments: &[], depth: 0 };
        let output = run.list(&list, "")?;
        Ok(Outcome { status: self.status, output })
    }
}

/// What is wrong with a command, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellError {
    /// The packet script or the shell script.
    pub file: String,
    /// Where in it.
    pub at: Position,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ShellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.at, self.message)
    }
}

impl std::error::Error for ShellError {}

/// An error within a text whose own place isn't known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mistake {
    at: Position,
    message: String,
}

impl Mistake {
    fn new<T>(at: Position, message: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake { at, message: message.into() })
    }

    fn within(self, file: &str, start: Position) -> ShellError {
        ShellError { file: file.to_owned(), at: placed(start, self.at), message: self.message }
    }
}

/// Where a place of an inner text is in the outer one, if the inner one begins behind the quote at `start`.
fn placed(start: Position, inner: Position) -> Position {
    if inner.line == 1 {
        Position { line: start.line, column: start.column + inner.column }
    } else {
        Position { line: start.line + inner.line - 1, column: inner.column }
    }
}
