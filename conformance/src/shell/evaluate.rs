//! Lists, pipelines and redirections at work.

use std::path::{Path, PathBuf};

use super::syntax::{AndOr, Command, Connector, List, Pipeline, Redirection, Simple, Stream};
use super::{COMMANDS_MAX, Effect, Outcome, Shell, ShellError, System, TEXT_MAX, sysctl};
use crate::ast::Position;

/// One text at work: the commands of a packet script, or a shell script that they call.
pub(super) struct Run<'a> {
    pub shell: &'a mut Shell,
    pub system: &'a mut dyn System,
    /// What errors call the text.
    pub file: &'a str,
    /// Where the text begins in that file.
    pub at: Position,
    /// `$0`, `$1` and so on.
    pub arguments: &'a [String],
    /// How many scripts have called each other.
    pub depth: usize,
}

impl Run<'_> {
    /// All commands of a list; gives what they printed and leaves the status of the last.
    pub fn list(&mut self, list: &List, input: &str) -> Result<String, ShellError> {
        let mut output = String::new();
        for entry in list {
            if self.shell.leaving {
                break;
            }
            output.push_str(&self.and_or(entry, input)?);
            if output.len() > TEXT_MAX {
                let start = Position { line: 1, column: 1 };
                return Err(self.mistake(start, format!("commands print more than {TEXT_MAX} bytes")));
            }
        }
        Ok(output)
    }

    fn and_or(&mut self, entry: &AndOr, input: &str) -> Result<String, ShellError> {
        let mut output = self.pipeline(&entry.first, input)?;
        for (connector, pipeline) in &entry.rest {
            let wanted = match connector {
                Connector::And => self.shell.status == 0,
                Connector::Or => self.shell.status != 0,
            };
            if wanted && !self.shell.leaving {
                output.push_str(&self.pipeline(pipeline, input)?);
            }
        }
        Ok(output)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, input: &str) -> Result<String, ShellError> {
        let mut flow = input.to_owned();
        for command in &pipeline.commands {
            flow = self.command(command, &flow)?;
        }
        if pipeline.negated {
            self.shell.status = u8::from(self.shell.status == 0);
        }
        Ok(flow)
    }

    fn command(&mut self, command: &Command, input: &str) -> Result<String, ShellError> {
        match command {
            Command::Simple(simple) => self.simple(simple, input),
            Command::Group(list) => self.list(list, input),
            Command::If { branches, otherwise } => {
                let mut output = String::new();
                for (condition, body) in branches {
                    output.push_str(&self.list(condition, input)?);
                    if self.shell.status == 0 || self.shell.leaving {
                        return Ok(output + &self.list(body, input)?);
                    }
                }
                self.shell.status = 0;
                Ok(output + &self.list(otherwise, input)?)
            }
            Command::For { variable, words, body } => {
                let mut output = String::new();
                for value in self.arguments(words)? {
                    self.shell.variables.insert(variable.clone(), value);
                    output.push_str(&self.list(body, input)?);
                }
                Ok(output)
            }
        }
    }

    fn simple(&mut self, simple: &Simple, input: &str) -> Result<String, ShellError> {
        self.shell.commands += 1;
        if self.shell.commands > COMMANDS_MAX {
            return Err(self.mistake(simple.at, format!("more than {COMMANDS_MAX} commands in one run")));
        }
        let assignments = simple.words.iter().map_while(|word| word.assignment()).collect::<Vec<_>>();
        for (name, value) in &assignments {
            let value = self.text(value)?;
            self.shell.variables.insert(name.clone(), value);
        }
        let arguments = self.arguments(&simple.words[assignments.len()..])?;
        let mut read = None;
        for redirection in
            simple.redirections.iter().filter(|redirection| redirection.stream == Stream::Input)
        {
            let path = self.text(&redirection.target)?;
            read = Some(self.read(&path).output);
        }
        let outcome = match arguments.split_first() {
            None => Outcome::done(),
            Some((program, arguments)) => {
                let input = read.as_deref().unwrap_or(input);
                self.program(simple.at, program, arguments, input)?
            }
        };
        self.shell.status = outcome.status;
        self.redirect(simple, outcome.output)
    }

    /// Sends what was printed where it belongs; gives what is left.
    fn redirect(&mut self, simple: &Simple, printed: String) -> Result<String, ShellError> {
        let mut output = printed;
        for Redirection { stream, append, target } in &simple.redirections {
            match stream {
                Stream::Output | Stream::Both => {
                    let path = self.text(target)?;
                    let written = self.write(&path, std::mem::take(&mut output), *append);
                    if written.status != 0 {
                        self.shell.status = written.status;
                    }
                }
                Stream::OutputToErrors => output.clear(),
                Stream::Errors | Stream::ErrorsToOutput | Stream::Input => {}
            }
        }
        Ok(output)
    }

    /// Writes what a redirection catches: a sysctl, a module's parameter, nowhere, or a file.
    fn write(&mut self, path: &str, text: String, append: bool) -> Outcome {
        let effect = if let Some(name) = sysctl::name_of_file(path) {
            Effect::SetSysctl { name, value: text.trim().to_owned() }
        } else if let Some((module, name)) = sysctl::parameter_of_file(path) {
            Effect::SetParameter { module, name, value: text.trim().to_owned() }
        } else if path == "/dev/null" || path == "/dev/stderr" {
            return Outcome::done();
        } else {
            Effect::WriteFile { path: self.path(path), content: text.into_bytes(), append }
        };
        self.system.apply(effect)
    }

    /// Reads a file: a sysctl, nothing, or what the system has.
    pub fn read(&mut self, path: &str) -> Outcome {
        let effect = if let Some(name) = sysctl::name_of_file(path) {
            Effect::ReadSysctl { name }
        } else if path == "/dev/null" {
            return Outcome::done();
        } else {
            Effect::ReadFile { path: self.path(path) }
        };
        self.system.apply(effect)
    }

    /// A path as the packet script's directory sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        if Path::new(path).is_absolute() { path.into() } else { self.shell.directory.join(path) }
    }
}
