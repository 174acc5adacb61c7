//! All blocks of a script as one program for Python.

use std::fmt::Write;

use super::{KNOWN, known};
use crate::ast::Code;

/// A block with the variables as they were when its time came.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `tcpi_…` and their values.
    pub variables: Vec<(String, i64)>,
    /// The block.
    pub code: Code,
}

/// The program that runs all blocks of a script, one after the other. It ends with status 0 if all held; else with 1,
/// after a line `FILE:LINE: ERROR` on its standard error.
///
/// ```
/// use tapsock_conformance::assertions::{Block, python_program};
/// use tapsock_conformance::ast::{Code, Position};
///
/// let code = Code { at: Position { line: 3, column: 4 }, text: " assert tcpi_rto > 0 ".to_owned() };
/// let block = Block { variables: vec![("tcpi_rto".to_owned(), 200_000)], code };
/// let program = python_program("s.pkt", &[block]);
/// assert!(program.ends_with("tcpi_rto = 200000\nassert tcpi_rto > 0\n"));
/// ```
pub fn python_program(file: &str, blocks: &[Block]) -> String {
    let mut program = String::from(
        "import sys\n\
         def _failed(kind, error, trace):\n    \
             text = kind.__name__ + (': ' + str(error) if str(error) else '')\n    \
             print(_at + ': ' + text, file=sys.stderr)\n\
         sys.excepthook = _failed\n",
    );
    let mut add = |line: String| program.push_str(&(line + "\n"));
    for name in KNOWN {
        add(format!("{name} = {}", known(name).unwrap_or(0)));
    }
    for Block { variables, code } in blocks {
        add(format!("_at = {}", literal(&format!("{file}:{}", code.at.line))));
        for (name, value) in variables {
            add(format!("{name} = {value}"));
        }
        add(dedented(&code.text));
    }
    program
}

/// A string of Python.
fn literal(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            ' '..='~' if c != '\'' && c != '\\' => quoted.push(c),
            c => drop(write!(quoted, "\\U{:08x}", c as u32)),
        }
    }
    quoted + "'"
}

/// A block's text with its indentation taken off, the first line's apart, for it stands behind the block's mark.
fn dedented(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let rest = lines.iter().skip(1).filter(|line| !line.trim().is_empty());
    let common = rest.map(indent).min().unwrap_or(0);
    let cut = |(index, line): (usize, &&str)| match index {
        0 => line.trim_start().to_owned(),
        _ => line.get(common..).unwrap_or("").to_owned(),
    };
    let cut: Vec<String> = lines.iter().enumerate().map(cut).collect();
    // A backslash at the very end would join the next line to this one.
    cut.join("\n").trim_end_matches('\\').trim_end().trim_start_matches('\n').to_owned()
}
