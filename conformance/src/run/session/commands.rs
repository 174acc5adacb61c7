//! Commands of the script's shell.

use super::Session;
use crate::ast::{Command, Position};
use crate::run::failure::Failure;

impl Session<'_> {
    /// Runs a command, which has to succeed.
    pub(super) fn command(&mut self, command: &Command) -> Result<(), Failure> {
        self.shell(command.at, &command.text)
    }

    /// Runs commands that stand at `at`.
    pub(super) fn shell(&mut self, at: Position, commands: &str) -> Result<(), Failure> {
        let outcome = self.shell.run(&self.script.name, at, commands, self.target);
        let outcome = outcome.map_err(|error| Failure::new(at, error.to_string()))?;
        match outcome.status {
            0 => Ok(()),
            status => Err(Failure::new(at, format!("the command failed with status {status}"))),
        }
    }
}
