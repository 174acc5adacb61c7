//! Which program a name is.

use std::time::Duration;

use super::evaluate::Run;
use super::{DEPTH_MAX, Effect, Outcome, SLEEP_MAX, ShellError, syntax, sysctl};
use crate::ast::Position;

impl Run<'_> {
    pub(super) fn program(
        &mut self,
        at: Position,
        program: &str,
        arguments: &[String],
        input: &str,
    ) -> Result<Outcome, ShellError> {
        if sysctl::is_set_sysctls(program) {
            return self.set_sysctls(at, arguments);
        }
        if let Some(outcome) = self.restore(program) {
            return Ok(outcome);
        }
        let name = known_directory(program).unwrap_or(program);
        match name {
            "true" | ":" => Ok(Outcome::done()),
            "false" => Ok(Outcome::failed()),
            "set"
                if arguments
                    .iter()
                    .all(|argument| matches!(argument.as_str(), "-x" | "+x" | "-u" | "+e")) =>
            {
                Ok(Outcome::done())
            }
            "export" | "declare" | "readonly" | "local" => self.declare(at, arguments),
            "exit" | "return" => {
                self.shell.leaving = true;
                let status = arguments.first().map_or(Ok(self.shell.status), |status| status.parse());
                let status =
                    status.map_err(|_| self.mistake(at, format!("expected a status after '{name}'")))?;
                Ok(Outcome { status, output: String::new() })
            }
            "sysctl" => self.sysctl(at, arguments),
            "ip" => self.ip(at, arguments),
            "tc" => self.tc(at, arguments),
            "ethtool" => self.ethtool(at, arguments),
            "nstat" => self.nstat(at, arguments),
            "echo" => Ok(echo(arguments)),
            "cat" => Ok(self.cat(arguments, input)),
            "grep" | "egrep" | "fgrep" => self.grep(at, name, arguments, input),
            "test" | "[" => self.test(at, name, arguments),
            "sleep" | "usleep" => self.sleep(at, name, arguments),
            "rm" => self.remove(at, arguments),
            "dd" => self.dd(at, arguments),
            "modprobe" | "chmod" | "sync" | "date" | "dmesg" | "logger" => {
                Ok(self.system.apply(Effect::Note(line(name, arguments))))
            }
            "source" | "." => match arguments.split_first() {
                Some((script, arguments)) => self.script(at, script, arguments),
                None => Err(self.mistake(at, format!("expected a script after '{name}'"))),
            },
            "sh" | "bash" => match arguments.split_first() {
                Some((script, arguments)) if !script.starts_with('-') => self.script(at, script, arguments),
                _ => Err(self.mistake(at, format!("'{name}' is supported with a script only"))),
            },
            path if path.contains('/') => self.script(at, path, arguments),
            other => Err(self.mistake(at, format!("the program '{other}' is not supported"))),
        }
    }

    /// `export NAME=value`: all variables are seen by all that is called.
    fn declare(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        for argument in arguments.iter().filter(|argument| !argument.starts_with('-')) {
            match argument.split_once('=') {
                Some((name, value)) => drop(self.shell.variables.insert(name.to_owned(), value.to_owned())),
                None if argument.is_empty() => return Err(self.mistake(at, "expected a variable")),
                None => {}
            }
        }
        Ok(Outcome::done())
    }

    /// A shell script by its path.
    fn script(&mut self, at: Position, path: &str, arguments: &[String]) -> Result<Outcome, ShellError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.mistake(at, format!("scripts call each other more than {DEPTH_MAX} deep")));
        }
        let place = self.path(path);
        let text = match self.system.script(&place) {
            Ok(text) => text,
            Err(error) => return Err(self.mistake(at, format!("can't read '{path}': {error}"))),
        };
        let interpreter = text.lines().next().unwrap_or("").strip_prefix("#!").map_or("sh", str::trim);
        if !interpreter.split([' ', '/']).any(|part| matches!(part, "sh" | "bash" | "dash")) {
            return Err(
                self.mistake(at, format!("'{path}' is a script of {interpreter}, and no shell script"))
            );
        }
        let file = place.to_string_lossy();
        let start = Position { line: 1, column: 0 };
        let list = syntax::parse(&text).map_err(|mistake| mistake.within(&file, start))?;
        let arguments: Vec<String> = [path.to_owned()].into_iter().chain(arguments.iter().cloned()).collect();
        let mut inner = Run {
            shell: self.shell,
            system: self.system,
            file: &file,
            at: start,
            arguments: &arguments,
            depth: self.depth + 1,
        };
        let output = inner.list(&list, "")?;
        self.shell.leaving = false;
        Ok(Outcome { status: self.shell.status, output })
    }

    fn sleep(&mut self, at: Position, name: &str, arguments: &[String]) -> Result<Outcome, ShellError> {
        let unit = if name == "usleep" { 1e-6 } else { 1.0 };
        let seconds = match arguments {
            [time] => time.trim_end_matches('s').parse::<f64>().ok().map(|time| time * unit),
            _ => None,
        };
        match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(time) if time > SLEEP_MAX => {
                Err(self.mistake(at, format!("a pause of more than {} seconds", SLEEP_MAX.as_secs())))
            }
            Some(time) => Ok(self.system.apply(Effect::Sleep(time))),
            None => Err(self.mistake(at, format!("expected a time after '{name}'"))),
        }
    }

    fn remove(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let mut status = 0;
        let mut force = false;
        for argument in arguments {
            match argument.as_str() {
                "-f" => force = true,
                option if option.starts_with('-') => {
                    return Err(self.mistake(at, format!("the option '{option}' of rm is not supported")));
                }
                path => {
                    let path = self.path(path);
                    status |= self.system.apply(Effect::RemoveFile { path }).status;
                }
            }
        }
        Ok(Outcome { status: if force { 0 } else { status }, output: String::new() })
    }

    /// `dd bs=1 count=5 if=/dev/zero of=FILE`: a file of zeros.
    fn dd(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        const BYTES_MAX: usize = 1 << 26;
        let operand = |name: &str| {
            let mut values = arguments.iter().filter_map(|argument| argument.split_once('='));
            values.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (size, count) = (operand("bs").map_or(Some(512), bytes), operand("count").and_then(bytes));
        let length = size.zip(count).and_then(|(size, count)| size.checked_mul(count));
        match (operand("if"), operand("of"), length.filter(|length| *length <= BYTES_MAX)) {
            (Some("/dev/zero"), Some(file), Some(length)) => {
                let (path, content) = (self.path(file), vec![0; length]);
                Ok(self.system.apply(Effect::WriteFile { path, content, append: false }))
            }
            _ => Err(self.mistake(at, "dd is supported from /dev/zero to a file with a count only")),
        }
    }
}

/// The name of a program that stands where programs stand.
fn known_directory(program: &str) -> Option<&str> {
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"]
        .iter()
        .find_map(|directory| program.strip_prefix(directory))
}

/// `4k`, `1M`, `512`.
fn bytes(text: &str) -> Option<usize> {
    let unit = match text.chars().last()? {
        'k' | 'K' => 1 << 10,
        'M' => 1 << 20,
        'c' => 1,
        _ => return text.parse().ok(),
    };
    text[..text.len() - 1].parse::<usize>().ok()?.checked_mul(unit)
}

fn echo(arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        Some((option, rest)) if option == "-n" => Outcome::printed(rest.join(" ")),
        Some((option, rest)) if option == "-e" || option == "-ne" => {
            let text = rest.join(" ").replace("\\n", "\n").replace("\\t", "\t");
            Outcome::printed(if option == "-e" { text + "\n" } else { text })
        }
        _ => Outcome::printed(arguments.join(" ") + "\n"),
    }
}

pub(super) fn line(program: &str, arguments: &[String]) -> String {
    [program.to_owned()].iter().chain(arguments).cloned().collect::<Vec<_>>().join(" ")
}
