//! Python as tokens. Within parentheses a line end is a blank; elsewhere it ends a statement, as `;` does.

use super::Failure;
use crate::ast::{Code, Position};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub at: Position,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(String),
    Integer(i128),
    Float(f64),
    Text(String),
    Sign(&'static str),
    /// The end of a statement.
    Break,
}

/// Signs, the longer of two that begin alike first.
const SIGNS: &[&str] = &[
    "**=", "//=", "<<=", ">>=", "==", "!=", "<=", ">=", "<<", ">>", "**", "//", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "=", "(", ")", "[", "]", ",",
    ":", ".", "{", "}", "@",
];

/// The tokens of a block.
pub(super) fn tokens(code: &Code) -> Result<Vec<Token>, Failure> {
    // The text begins behind the two signs that open the block.
    let at = Position { column: code.at.column + 2, ..code.at };
    let mut lexer = Lexer { rest: &code.text, at, nesting: 0, indent: None, tokens: Vec::new() };
    lexer.run()?;
    lexer.tokens.push(Token { at: lexer.at, kind: Kind::Break });
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    at: Position,
    nesting: usize,
    /// How far the statements' lines are indented: Python wants the same of all, behind the block's first.
    indent: Option<usize>,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        while let Some(c) = self.rest.chars().next() {
            let at = self.at;
            match c {
                '\n' if self.nesting > 0 => self.bump(1),
                '\n' => {
                    self.push(at, Kind::Break);
                    self.bump(1);
                    self.check_indent()?;
                }
                ';' => {
                    self.push(at, Kind::Break);
                    self.bump(1);
                }
                '\\' if self.rest[1..].trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                    self.bump(self.rest.find('\n').map_or(1, |end| end + 1));
                }
                '\\' if self.rest[1..].trim().is_empty() => self.bump(self.rest.len()),
                '#' => self.bump(self.rest.find('\n').unwrap_or(self.rest.len())),
                c if c.is_whitespace() => self.bump(c.len_utf8()),
                '\'' | '"' => self.string(at)?,
                c if c.is_ascii_digit() => self.number(at)?,
                '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(at)?,
                c if c.is_ascii_alphabetic() || c == '_' => self.word(at)?,
                _ => self.sign(at)?,
            }
        }
        Ok(())
    }

    /// The line that begins here, if it has a statement, is indented as those before it.
    fn check_indent(&mut self) -> Result<(), Failure> {
        let line = self.rest.lines().next().unwrap_or("");
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let indent = line.len() - text.len();
        match self.indent.replace(indent) {
            Some(before) if before != indent => foreign(self.at, "statements within statements"),
            _ => Ok(()),
        }
    }

    fn word(&mut self, at: Position) -> Result<(), Failure> {
        let length =
            self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let word = self.rest[..length].to_owned();
        if self.rest[length..].starts_with(['"', '\'']) {
            return foreign(at, "strings with a letter before their quote");
        }
        self.bump(length);
        self.push(at, Kind::Word(word));
        Ok(())
    }

    fn number(&mut self, at: Position) -> Result<(), Failure> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let mut length = self.rest.find(|c: char| !letters(c)).unwrap_or(self.rest.len());
        let decimal = !self.rest.starts_with("0x") && !self.rest.starts_with("0X");
        if decimal && self.rest[..length].ends_with(['e', 'E']) && self.rest[length..].starts_with(['+', '-'])
        {
            let exponent = &self.rest[length + 1..];
            length += 1 + exponent.find(|c: char| !c.is_ascii_digit()).unwrap_or(exponent.len());
        }
        let text = self.rest[..length].replace('_', "").to_ascii_lowercase();
        let radix = |radix| i128::from_str_radix(&text[2..], radix).ok();
        let integer = match text.get(..2) {
            Some("0x") => radix(16),
            Some("0o") => radix(8),
            Some("0b") => radix(2),
            // Python refuses 010, so that nobody takes it for octal.
            _ if text.len() > 1 && text.starts_with('0') && !text.trim_start_matches('0').is_empty() => None,
            _ => text.parse().ok(),
        };
        let kind = match (integer, text.parse::<f64>()) {
            (Some(value), _) => Kind::Integer(value),
            (None, Ok(value)) if text.contains(['.', 'e']) => Kind::Float(value),
            _ => return foreign(at, &format!("the number '{text}'")),
        };
        self.bump(length);
        self.push(at, kind);
        Ok(())
    }

    fn string(&mut self, at: Position) -> Result<(), Failure> {
        if self.rest.starts_with("'''") || self.rest.starts_with("\"\"\"") {
            return foreign(at, "strings in three quotes");
        }
        let mut letters = self.rest.char_indices();
        let quote = letters.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((index, letter)) = letters.next() {
            match letter {
                letter if Some(letter) == quote => {
                    self.bump(index + 1);
                    self.push(at, Kind::Text(text));
                    return Ok(());
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('\\' | '\'' | '"'))) => text.push(c),
                    _ => return foreign(at, "this escape in a string"),
                },
                '\n' => break,
                letter => text.push(letter),
            }
        }
        foreign(at, "a string that doesn't end")
    }

    fn sign(&mut self, at: Position) -> Result<(), Failure> {
        let Some(sign) = SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) else {
            return foreign(at, &format!("'{}'", self.rest.chars().next().unwrap_or(' ')));
        };
        match *sign {
            "(" | "[" => self.nesting += 1,
            ")" | "]" => self.nesting = self.nesting.saturating_sub(1),
            _ => {}
        }
        self.bump(sign.len());
        self.push(at, Kind::Sign(sign));
        Ok(())
    }

    fn push(&mut self, at: Position, kind: Kind) {
        self.tokens.push(Token { at, kind });
    }

    fn bump(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        self.rest = rest;
    }
}

pub(super) fn foreign<T>(at: Position, what: &str) -> Result<T, Failure> {
    Err(Failure::Foreign { at, what: what.to_owned() })
}
