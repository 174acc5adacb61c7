//! The running host that a command asks about.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use tapsock::control::{self, Request};

use crate::failure::Failure;

/// The option that says which host.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Host")]
pub struct Running {
    /// Ask the host with this control socket, or the process of this number; needed where several run
    #[arg(long, value_name = "PATH|PID")]
    control: Option<PathBuf>,
}

/// The status where no host can be asked.
const STATUS: u8 = 1;

impl Running {
    /// Asks the host.
    ///
    /// # Errors
    /// Which path was tried, and why nobody answered.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let path = self.find()?;
        control::ask(&path, request).map_err(|error| no_answer(&path, &error))
    }

    /// What passes over its link from now on, as a pcapng stream.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn capture(&self) -> Result<impl io::Read + use<>, Failure> {
        let path = self.find()?;
        control::capture(&path).map_err(|error| no_answer(&path, &error))
    }

    fn find(&self) -> Result<PathBuf, Failure> {
        if let Some(said) = &self.control {
            let is_number = said.to_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            return Ok(if is_number {
                control::directory().join(said).with_extension("sock")
            } else {
                said.clone()
            });
        }
        let mut running = control::running();
        match running.pop() {
            Some(path) if running.is_empty() => Ok(path),
            None => {
                let tried = control::directory();
                let failure =
                    Failure::new(format!("no running host found: no socket in {} answers", tried.display()));
                let hint = "Hosts of `tapsock serve`, `nc` and others are there while they run; --control PATH names another.";
                Err(failure.hint(hint).with_status(STATUS))
            }
            Some(last) => {
                running.push(last);
                let names: Vec<_> = running.iter().map(|path| path.display().to_string()).collect();
                let failure =
                    Failure::new("several hosts run: say which by --control PATH").with_status(STATUS);
                Err(failure.hint(names.join("\n  ")))
            }
        }
    }
}

fn no_answer(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("ask the host at {}: {error}", path.display())).with_status(STATUS);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => failure
            .hint("No host has its control socket there: does it run, and was it started with --control?"),
        io::ErrorKind::PermissionDenied => failure.hint("It is another user's."),
        _ => failure,
    }
}
