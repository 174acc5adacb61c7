//! From text to tree, by recursive descent: one function a form of the language.
//!
//! An error ends the event it stands in and no more: the parser goes on at the next line that begins as an event
//! does, so that one run shows many errors.

use std::collections::HashMap;
use std::fmt;

use crate::ast::{Name, Position, Script};
use crate::lexer::{Kind, Lexer, Malformed, Token};
use crate::symbols::{NoNumber, unknown_names};

mod call;
mod icmp;
mod packet;
mod script;
mod setting;
mod structure;
mod tcp_options;

pub use setting::{SettingError, parse_setting};

#[cfg(test)]
mod any_text;
#[cfg(test)]
mod tests;

/// How many errors of one script are told.
pub const ERRORS_MAX: usize = 20;

/// What is wrong with a script, and where.
///
/// ```
/// use tapsock_conformance::parse;
///
/// let errors = parse("s.pkt", "0 close(3) = 0\n+0 > Q 1:1(0)\n").unwrap_err();
/// assert_eq!(errors[0].to_string(), "s.pkt:2:6: 'Q' is no TCP flag: they are F, S, R, P, U, E, W, A and '.'");
/// assert_eq!(errors[0].line, "+0 > Q 1:1(0)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The script's name.
    pub file: String,
    /// Where.
    pub at: Position,
    /// What is wrong, or what was expected and what is there.
    pub message: String,
    /// The line of the script.
    pub line: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.at, self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// What `-D NAME=value` defines: words of a script that stand for something else.
///
/// ```
/// use tapsock_conformance::ast::{Action, Body};
/// use tapsock_conformance::{Definitions, parse_with};
///
/// let definitions = Definitions::new().with("COOKIE", "3021b9d8");
/// parse_with("s.pkt", "0 < S 0:0(0) win 9 <FO COOKIE,nop,nop>", &definitions).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Definitions(HashMap<String, String>);

impl Definitions {
    /// None.
    pub fn new() -> Definitions {
        Definitions::default()
    }

    /// One more; a later one of the same name takes the place of an earlier.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Definitions {
        self.define(name, value);
        self
    }

    /// One more; a later one of the same name takes the place of an earlier.
    pub fn define(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Parses a script; `name` is what errors call it.
///
/// # Errors
///
/// At most [`ERRORS_MAX`] of what isn't of the language, in the order of the text.
pub fn parse(name: &str, text: &str) -> Result<Script, Vec<SyntaxError>> {
    parse_with(name, text, &Definitions::new())
}

/// [`parse`] with what the command line defines, which wins over the script's own `--define`.
///
/// # Errors
///
/// At most [`ERRORS_MAX`] of what isn't of the language, in the order of the text.
pub fn parse_with(name: &str, text: &str, definitions: &Definitions) -> Result<Script, Vec<SyntaxError>> {
    let mut parser = Parser { lexer: Lexer::new(text, definitions.0.clone()), errors: Vec::new() };
    let script = parser.script(name, text);
    if parser.errors.is_empty() {
        let unknown = unknown_names(&script).into_iter().take(ERRORS_MAX);
        let malformed = |name: NoNumber| Malformed { at: name.at, message: name.to_string() };
        parser.errors.extend(unknown.map(malformed));
    }
    if parser.errors.is_empty() {
        return Ok(script);
    }
    let line = |at: Position| script.line(at.line).to_owned();
    let error = |malformed: Malformed| SyntaxError {
        file: name.to_owned(),
        at: malformed.at,
        line: line(malformed.at),
        message: malformed.message,
    };
    Err(parser.errors.into_iter().map(error).collect())
}

/// What a form of the language gives.
type Parsed<T> = Result<T, Malformed>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    errors: Vec<Malformed>,
}

/// The words and signs that all forms are made of.
impl Parser<'_> {
    fn next(&mut self) -> Parsed<Token> {
        self.lexer.next()
    }

    fn peek(&mut self) -> Parsed<Token> {
        let place = self.lexer.place();
        let token = self.lexer.next();
        self.lexer.return_to(place);
        token
    }

    /// Takes the sign if it comes next.
    fn take(&mut self, sign: char) -> Parsed<bool> {
        self.take_kind(&Kind::Sign(sign))
    }

    fn take_ellipsis(&mut self) -> Parsed<bool> {
        self.take_kind(&Kind::Ellipsis)
    }

    fn take_word(&mut self, word: &str) -> Parsed<bool> {
        let place = self.lexer.place();
        if matches!(self.lexer.next()?.kind, Kind::Word(text) if text == word) {
            return Ok(true);
        }
        self.lexer.return_to(place);
        Ok(false)
    }

    fn take_kind(&mut self, kind: &Kind) -> Parsed<bool> {
        let place = self.lexer.place();
        if self.lexer.next()?.kind == *kind {
            return Ok(true);
        }
        self.lexer.return_to(place);
        Ok(false)
    }

    fn expect(&mut self, sign: char) -> Parsed<()> {
        let token = self.next()?;
        if token.kind == Kind::Sign(sign) { Ok(()) } else { expected(&token, &format!("'{sign}'")) }
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        let token = self.next()?;
        match &token.kind {
            Kind::Word(text) if text == word => Ok(()),
            _ => expected(&token, &format!("'{word}'")),
        }
    }

    /// Any word; `what` is what an error calls it.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        let token = self.next()?;
        match token.kind {
            Kind::Word(text) => Ok(Name { at: token.at, text }),
            _ => expected(&token, what),
        }
    }

    /// A decimal number from 0 to `most`.
    fn integer<T: TryFrom<u64>>(&mut self, what: &str, most: u64) -> Parsed<T> {
        let token = self.next()?;
        match &token.kind {
            Kind::Number(digits) => ranged(token.at, digits, 10, what, most),
            Kind::Word(word) if word.len() > 1 && !word.contains(|c: char| c.is_ascii_lowercase()) => wrong(
                token.at,
                format!("expected {what}, found '{word}', which nothing defines (-D {word}=…)"),
            ),
            _ => expected(&token, what),
        }
    }

    /// A number from 0 to `most`, decimal or with `0x` before it.
    fn any_integer<T: TryFrom<u64>>(&mut self, what: &str, most: u64) -> Parsed<T> {
        let token = self.next()?;
        let Kind::Number(digits) = &token.kind else { return expected(&token, what) };
        match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hexadecimal) => ranged(token.at, hexadecimal, 16, what, most),
            None => ranged(token.at, digits, 10, what, most),
        }
    }
}

fn ranged<T: TryFrom<u64>>(at: Position, digits: &str, radix: u32, what: &str, most: u64) -> Parsed<T> {
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return wrong(at, format!("expected {what}, found '{digits}'"));
    }
    match u64::from_str_radix(digits, radix).ok().filter(|value| *value <= most) {
        Some(value) => T::try_from(value).or_else(|_| wrong(at, format!("{what} is out of range"))),
        None => wrong(at, format!("{what} is out of range: it is at most {most}")),
    }
}

fn expected<T>(token: &Token, what: &str) -> Parsed<T> {
    wrong(token.at, format!("expected {what}, found {}", token.kind.describe()))
}

fn wrong<T>(at: Position, message: impl Into<String>) -> Parsed<T> {
    Err(Malformed { at, message: message.into() })
}
