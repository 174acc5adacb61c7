//! Sysctls: `sysctl`, `set_sysctls.py` and the script that it writes.

use std::path::Path;

use super::evaluate::Run;
use super::{Effect, Outcome, ShellError};
use crate::ast::Position;

impl Run<'_> {
    /// `sysctl [-q] [-w] [-e] [-n] NAME[=VALUE]…`
    pub(super) fn sysctl(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let (mut bare, mut quiet, mut forgiving) = (false, false, false);
        let mut outcome = Outcome::done();
        for argument in arguments {
            match argument.as_str() {
                "-n" | "--values" => bare = true,
                "-q" | "--quiet" => quiet = true,
                "-e" | "--ignore" => forgiving = true,
                "-w" | "--write" => {}
                letters if is_bundle(letters) => {
                    bare |= letters.contains('n');
                    quiet |= letters.contains('q');
                    forgiving |= letters.contains('e');
                }
                option if option.starts_with('-') => {
                    return Err(self.mistake(at, format!("the option '{option}' of sysctl is not supported")));
                }
                argument => {
                    let done = match argument.split_once('=') {
                        Some((name, value)) => {
                            let (name, value) = (dotted(name.trim()), value.trim().to_owned());
                            let printed = format!("{name} = {value}\n");
                            let done = self.system.apply(Effect::SetSysctl { name, value });
                            Outcome { output: if quiet { String::new() } else { printed }, ..done }
                        }
                        None => self.shown(argument, bare),
                    };
                    outcome.output.push_str(if done.status == 0 { &done.output } else { "" });
                    outcome.status |= if forgiving { 0 } else { done.status };
                }
            }
        }
        Ok(outcome)
    }

    fn shown(&mut self, name: &str, bare: bool) -> Outcome {
        let name = dotted(name);
        let read = self.system.apply(Effect::ReadSysctl { name: name.clone() });
        let value = read.output.trim_end();
        let output = if bare { format!("{value}\n") } else { format!("{name} = {value}\n") };
        Outcome { output, ..read }
    }

    /// `set_sysctls.py /proc/sys/…=VALUE …`: keeps the values of before for [`Self::restore`].
    pub(super) fn set_sysctls(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let mut before = Vec::new();
        let mut outcome = Outcome::done();
        for argument in arguments {
            let assignment =
                argument.split_once('=').and_then(|(file, value)| Some((name_of_file(file)?, value)));
            let Some((name, value)) = assignment else {
                return Err(self.mistake(at, format!("expected /proc/sys/…=value, found '{argument}'")));
            };
            let read = self.system.apply(Effect::ReadSysctl { name: name.clone() });
            if read.status == 0 {
                before.push((name.clone(), read.output.trim().to_owned()));
            }
            let done = self.system.apply(Effect::SetSysctl { name, value: value.trim().to_owned() });
            outcome.status |= read.status | done.status;
        }
        self.shell.restore = Some(before);
        Ok(outcome)
    }

    /// Runs what `set_sysctls.py` wrote, if the path is that of its file.
    pub(super) fn restore(&mut self, program: &str) -> Option<Outcome> {
        let id = self.shell.variables.get("PACKETDRILL_PID").map_or("", String::as_str);
        if program != format!("/tmp/sysctl_restore_{id}.sh") {
            return None;
        }
        let Some(before) = self.shell.restore.clone() else {
            return Some(Outcome { status: 127, output: String::new() });
        };
        let mut status = 0;
        for (name, value) in before {
            status |= self.system.apply(Effect::SetSysctl { name, value }).status;
        }
        Some(Outcome { status, output: String::new() })
    }
}

/// The sysctl that a file under `/proc/sys` is.
pub(super) fn name_of_file(path: &str) -> Option<String> {
    let name = path.strip_prefix("/proc/sys/")?;
    (!name.is_empty() && !name.ends_with('/')).then(|| name.replace('/', "."))
}

/// The module and the parameter that a file under `/sys/module` is.
pub(super) fn parameter_of_file(path: &str) -> Option<(String, String)> {
    let (module, rest) = path.strip_prefix("/sys/module/")?.split_once('/')?;
    let name = rest.strip_prefix("parameters/")?;
    (!name.contains('/')).then(|| (module.to_owned(), name.to_owned()))
}

pub(super) fn is_set_sysctls(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "set_sysctls.py")
}

/// A sysctl's name with dots, which `sysctl` takes with slashes too.
fn dotted(name: &str) -> String {
    match (name.find('/'), name.find('.')) {
        (Some(slash), dot) if dot.is_none_or(|dot| slash < dot) => name.replace('/', "."),
        _ => name.to_owned(),
    }
}

fn is_bundle(argument: &str) -> bool {
    argument.len() > 2
        && argument.strip_prefix('-').is_some_and(|letters| letters.bytes().all(|b| b"qwen".contains(&b)))
}
