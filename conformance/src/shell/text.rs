//! Programs that read: `cat`, `grep`, `nstat`, `test`.

use super::evaluate::Run;
use super::pattern::Pattern;
use super::{Effect, Outcome, ShellError};
use crate::ast::Position;

impl Run<'_> {
    /// Files one after the other, or the input.
    pub(super) fn cat(&mut self, files: &[String], input: &str) -> Outcome {
        if files.is_empty() {
            return Outcome::printed(input);
        }
        let mut all = Outcome::done();
        for file in files {
            let read = if file == "-" { Outcome::printed(input) } else { self.read(file) };
            all.status |= read.status;
            all.output.push_str(&read.output);
        }
        all
    }

    /// `grep [-qvicEF] PATTERN [FILE…]`: with more than one file, lines bear their names.
    pub(super) fn grep(
        &mut self,
        at: Position,
        program: &str,
        arguments: &[String],
        input: &str,
    ) -> Result<Outcome, ShellError> {
        let mut letters = match program {
            "egrep" => "E".to_owned(),
            "fgrep" => "F".to_owned(),
            _ => String::new(),
        };
        let mut words = Vec::new();
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some("-quiet") => letters.push('q'),
                Some("e") => {}
                Some(flags) if words.is_empty() && flags.bytes().all(|b| b"qvicEFsh".contains(&b)) => {
                    letters.push_str(flags);
                }
                Some(_) if words.is_empty() => {
                    return Err(self.mistake(at, format!("the option '{argument}' of grep is not supported")));
                }
                _ => words.push(argument.as_str()),
            }
        }
        let Some((pattern, files)) = words.split_first() else {
            return Err(self.mistake(at, "expected a pattern after 'grep'"));
        };
        let has = |letter: char| letters.contains(letter);
        let pattern = Pattern::new(pattern, has('F'), has('E'), has('i'))
            .map_err(|message| self.mistake(at, message))?;
        let mut found = Vec::new();
        let texts: Vec<(String, String)> = match files {
            [] => vec![(String::new(), input.to_owned())],
            [file] => vec![(String::new(), self.read(file).output)],
            files => files.iter().map(|file| (format!("{file}:"), self.read(file).output)).collect(),
        };
        for (prefix, text) in &texts {
            let lines = text.lines().filter(|line| pattern.stands_in(line) != has('v'));
            found.extend(lines.map(|line| format!("{prefix}{line}\n")));
        }
        let output = match () {
            () if has('q') => String::new(),
            () if has('c') => format!("{}\n", found.len()),
            () => found.concat(),
        };
        Ok(Outcome { status: u8::from(found.is_empty()), output })
    }

    /// `nstat [-aznrs] [PATTERN…]`.
    pub(super) fn nstat(&mut self, at: Position, arguments: &[String]) -> Result<Outcome, ShellError> {
        let (mut absolute, mut zeros, mut remember, mut print) = (false, false, true, true);
        let mut patterns = Vec::new();
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some(letters) if !letters.is_empty() && letters.bytes().all(|b| b"aznrs".contains(&b)) => {
                    absolute |= letters.contains('a');
                    zeros |= letters.contains('z');
                    remember &= !letters.contains('s');
                    print &= !letters.contains(['n', 'r']);
                }
                Some(_) => {
                    return Err(
                        self.mistake(at, format!("the option '{argument}' of nstat is not supported"))
                    );
                }
                None => patterns.push(argument.replace('*', ".*").replace('?', ".")),
            }
        }
        let outcome = self.system.apply(Effect::ReadCounters { absolute, zeros, remember });
        if !print {
            return Ok(Outcome { output: String::new(), ..outcome });
        }
        if patterns.is_empty() {
            return Ok(outcome);
        }
        let patterns: Result<Vec<Pattern>, String> =
            patterns.iter().map(|name| Pattern::new(&format!("^{name}$"), false, false, false)).collect();
        let patterns = patterns.map_err(|message| self.mistake(at, message))?;
        let wanted = |line: &&str| {
            let name = line.split_whitespace().next().unwrap_or("");
            patterns.iter().any(|pattern| pattern.stands_in(name))
        };
        let lines: String = outcome.output.lines().filter(wanted).map(|line| format!("{line}\n")).collect();
        Ok(Outcome { output: lines, ..outcome })
    }

    /// `test` and `[`: comparisons of texts and numbers, and whether a file is there.
    pub(super) fn test(
        &mut self,
        at: Position,
        name: &str,
        arguments: &[String],
    ) -> Result<Outcome, ShellError> {
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if name == "[" && arguments.pop() != Some("]") {
            return Err(self.mistake(at, "'[' without its ']'"));
        }
        let negated = arguments.len() > 1 && arguments[0] == "!";
        if negated {
            arguments.remove(0);
        }
        let number = |text: &str| {
            text.trim().parse::<i64>().map_err(|_| self.mistake(at, format!("'{text}' is no number")))
        };
        let holds = match arguments.as_slice() {
            [] => false,
            [text] => !text.is_empty(),
            ["-n", text] => !text.is_empty(),
            ["-z", text] => text.is_empty(),
            ["-e" | "-f" | "-r" | "-w" | "-x", path] => self.read(path).status == 0,
            [left, "=" | "==", right] => left == right,
            [left, "!=", right] => left != right,
            [left, "-eq", right] => number(left)? == number(right)?,
            [left, "-ne", right] => number(left)? != number(right)?,
            [left, "-lt", right] => number(left)? < number(right)?,
            [left, "-le", right] => number(left)? <= number(right)?,
            [left, "-gt", right] => number(left)? > number(right)?,
            [left, "-ge", right] => number(left)? >= number(right)?,
            _ => return Err(self.mistake(at, format!("'test {}' is not supported", arguments.join(" ")))),
        };
        Ok(Outcome { status: u8::from(holds == negated), output: String::new() })
    }
}
