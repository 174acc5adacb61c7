//! Commands of the script's shell, and its code.

use super::Session;
use crate::ast::{Code, Command, Position};
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

    /// Notes a block of code, with what TCP_INFO says now. All blocks run at the end.
    pub(super) fn code(&mut self, code: &Code) {
        let socket = self.current.and_then(|index| self.flows[index].fd);
        let info = socket.and_then(|fd| self.target.tcp_info(fd)).unwrap_or_default();
        self.python.add(code.at.line, &info, &code.text);
    }

    /// Runs the script's code.
    pub(super) fn run_code(&mut self) -> Result<(), Failure> {
        if self.python.is_empty() {
            return Ok(());
        }
        self.python.run().map_err(|(line, said)| Failure::new(Position { line, column: 1 }, said))
    }
}
