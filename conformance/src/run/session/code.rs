//! The script's code: evaluated here as far as it is known, and by Python as a whole where it is not.

use std::io::ErrorKind;
use std::process::Command;

use super::Session;
use crate::assertions::{Assertions, Block, Failure as Refusal, python_program};
use crate::ast::{Code, Position};
use crate::run::failure::Failure;
use crate::run::{program, tcp_info};

/// The code of a script so far.
pub(super) struct Blocks {
    assertions: Assertions,
    blocks: Vec<Block>,
    /// Where something stands that only Python knows.
    foreign: Option<Position>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Blocks { assertions: Assertions::new(), blocks: Vec::new(), foreign: None }
    }

    /// Runs a block with these variables. One that only Python knows waits for the end, and so do all after it.
    fn run(&mut self, code: &Code, variables: Vec<(String, i64)>) -> Result<(), Failure> {
        variables.iter().for_each(|(name, value)| self.assertions.set(name, *value));
        self.blocks.push(Block { variables, code: code.clone() });
        if self.foreign.is_some() {
            return Ok(());
        }
        match self.assertions.run(code) {
            Err(Refusal::Failed { at, message }) => Err(Failure::new(at, message)),
            Err(Refusal::Foreign { at, .. }) => {
                self.foreign = Some(at);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Has Python run all blocks, if there is one that only it knows.
    fn finish(&self, name: &str) -> Result<(), Failure> {
        let Some(at) = self.foreign else { return Ok(()) };
        let said = python(&python_program(name, &self.blocks)).map_err(|why| Failure::new(at, why))?;
        let Some(said) = said else { return Ok(()) };
        let line = said.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')?.split_once(": "));
        let (line, said) = match line.and_then(|(line, said)| Some((line.parse().ok()?, said))) {
            Some((line, said)) => (line, said.to_owned()),
            None => (at.line, said),
        };
        Err(Failure::new(Position { line, column: 1 }, said))
    }
}

impl Session<'_> {
    /// Runs a block of code with what TCP_INFO and SO_MEMINFO say of the socket that the script spoke of last.
    pub(super) fn code(&mut self, code: &Code) -> Result<(), Failure> {
        let socket = self.current.and_then(|index| self.flows[index].fd);
        let info = socket.and_then(|fd| self.target.tcp_info(fd)).unwrap_or_default();
        let memory = socket.and_then(|fd| self.target.memory_info(fd)).unwrap_or_default();
        let variables = tcp_info::fields(&info).into_iter().chain(tcp_info::memory_fields(&memory));
        let outcome = self.blocks.run(code, variables.collect());
        let printed = self.blocks.assertions.take_printed();
        printed.lines().for_each(|line| self.note(line.to_owned()));
        outcome
    }

    /// Runs what of the code is left.
    pub(super) fn finish_code(&mut self) -> Result<(), Failure> {
        self.blocks.finish(&self.script.name)
    }
}

/// Runs a program with python3: what it said where it failed.
fn python(text: &str) -> Result<Option<String>, String> {
    let mut command = Command::new("python3");
    command.arg("-");
    match program::run(command, text, program::PATIENCE) {
        Ok(ended) => Ok((!ended.status.success()).then_some(ended.said)),
        Err(error) if error.kind() == ErrorKind::TimedOut => Err(format!("python3: {error}")),
        Err(error) => Err(format!("only Python knows this, and python3: {error}")),
    }
}
