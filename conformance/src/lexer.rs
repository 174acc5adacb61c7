//! A script as words and signs. The parser asks for one token at a time and may go back.
//!
//! Definitions act here: a word that is defined becomes the token that its value spells, at the word's place.

use std::collections::HashMap;

use crate::ast::Position;

/// A piece of a script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// Where it begins.
    pub at: Position,
    /// Whether only blanks stand before it on its line.
    pub first: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Letters, digits and underscores, a letter first.
    Word(String),
    /// The same with a digit first: `1460`, `0x10`, `3021b9d8`.
    Number(String),
    /// `1.5`, `.5`.
    Fraction(String),
    /// `"…"`, escapes resolved.
    Text(Vec<u8>),
    /// `` `…` ``.
    BackQuoted(String),
    /// `%{ … }%`.
    Code(String),
    /// `--name` or `--name=value`.
    Option { name: String, value: Option<String> },
    /// `...`.
    Ellipsis,
    /// Any other sign.
    Sign(char),
    /// The end of the script.
    End,
}

impl Kind {
    /// How an error calls it.
    pub fn describe(&self) -> String {
        match self {
            Kind::Word(text) | Kind::Number(text) | Kind::Fraction(text) => format!("'{text}'"),
            Kind::Text(_) => "a string".to_owned(),
            Kind::BackQuoted(_) => "a command".to_owned(),
            Kind::Code(_) => "a code block".to_owned(),
            Kind::Option { name, .. } => format!("the option '--{name}'"),
            Kind::Ellipsis => "'...'".to_owned(),
            Kind::Sign(sign) => format!("'{sign}'"),
            Kind::End => "the end of the script".to_owned(),
        }
    }
}

/// What isn't even a token: its place, and what was expected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Malformed {
    pub at: Position,
    pub message: String,
}

/// Where the lexer stands; to go back is to put an older one in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: usize,
    position: Position,
    first: bool,
}

impl Place {
    /// The script's begin.
    const START: Place = Place { offset: 0, position: Position { line: 1, column: 1 }, first: true };
}

/// Values by name.
pub(crate) type Values = HashMap<String, String>;

/// Takes tokens off a text.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    place: Place,
    values: Values,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str, values: Values) -> Lexer<'a> {
        Lexer { text, place: Place::START, values }
    }

    /// From here on `name` is `value`, unless it has one.
    pub fn define(&mut self, name: &str, value: &str) {
        self.values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    pub fn place(&self) -> Place {
        self.place
    }

    pub fn return_to(&mut self, place: Place) {
        self.place = place;
    }

    /// The next token. After a malformed one the lexer stands behind it.
    pub fn next(&mut self) -> Result<Token, Malformed> {
        self.skip_blanks()?;
        let (at, first) = (self.place.position, self.place.first);
        self.place.first = false;
        let kind = self.kind(at, first)?;
        let kind = match kind {
            Kind::Word(word) => match self.values.get(&word) {
                Some(value) => spelt(value).map_err(|message| Malformed {
                    at,
                    message: format!("the definition of '{word}' is no token: {message}"),
                })?,
                None => Kind::Word(word),
            },
            other => other,
        };
        Ok(Token { at, first, kind })
    }

    /// The rest up to `)`, as a note has it. The opening parenthesis is taken already; a note doesn't leave its line.
    pub fn note(&mut self) -> Result<String, Malformed> {
        let at = self.place.position;
        let note = self.take_while(|c| c != ')' && c != '\n');
        match self.bump() {
            Some(')') => Ok(note.trim().to_owned()),
            _ => Err(Malformed { at, message: "this note has no ')'".to_owned() }),
        }
    }

    fn kind(&mut self, at: Position, first: bool) -> Result<Kind, Malformed> {
        let rest = self.rest();
        let Some(c) = self.peek() else { return Ok(Kind::End) };
        if rest.starts_with("...") {
            self.bump_bytes(3);
            return Ok(Kind::Ellipsis);
        }
        if first && is_option(rest) {
            return self.option(at);
        }
        if rest.starts_with("%{") {
            return self.delimited(at, "%{", "}%").map(Kind::Code);
        }
        match c {
            '`' => self.delimited(at, "`", "`").map(Kind::BackQuoted),
            '"' => self.quoted(at).map(Kind::Text),
            c if c.is_ascii_alphabetic() || c == '_' => Ok(Kind::Word(self.take_while(is_word))),
            c if c.is_ascii_digit() || (c == '.' && digit_at(rest, 1)) => Ok(self.number()),
            c => {
                self.bump();
                Ok(Kind::Sign(c))
            }
        }
    }

    fn number(&mut self) -> Kind {
        let whole = self.take_while(is_word);
        if self.peek() == Some('.') && digit_at(self.rest(), 1) && whole.bytes().all(|b| b.is_ascii_digit()) {
            self.bump();
            let fraction = self.take_while(|c| c.is_ascii_digit());
            return Kind::Fraction(format!("{whole}.{fraction}"));
        }
        Kind::Number(whole)
    }

    fn option(&mut self, at: Position) -> Result<Kind, Malformed> {
        self.bump_bytes(2);
        let name = self.take_while(is_word);
        if self.peek() != Some('=') {
            return Ok(Kind::Option { name, value: None });
        }
        self.bump();
        let value = self.option_value(at)?;
        Ok(Kind::Option { name, value: Some(value) })
    }

    /// A value: bare up to a blank, with whatever quotes hold within it (`A="b c"`).
    fn option_value(&mut self, at: Position) -> Result<String, Malformed> {
        let start = self.place.offset;
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            match c {
                '"' => drop(self.quoted(at)?),
                '`' => drop(self.delimited(at, "`", "`")?),
                _ => drop(self.bump()),
            }
        }
        Ok(self.text[start..self.place.offset].to_owned())
    }

    fn delimited(&mut self, at: Position, open: &str, close: &str) -> Result<String, Malformed> {
        self.bump_bytes(open.len());
        match self.rest().find(close) {
            Some(length) => {
                let inner = self.rest()[..length].to_owned();
                self.bump_bytes(length + close.len());
                Ok(inner)
            }
            None => {
                self.bump_bytes(self.rest().len());
                Err(Malformed { at, message: format!("'{open}' without its '{close}'") })
            }
        }
    }

    fn quoted(&mut self, at: Position) -> Result<Vec<u8>, Malformed> {
        self.bump();
        let mut bytes = Vec::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(bytes),
                Some('\\') => bytes.push(self.escape()?),
                Some('\n') | None => {
                    return Err(Malformed { at, message: "this string has no closing '\"'".to_owned() });
                }
                Some(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    /// An escape as C has it, the backslash taken.
    fn escape(&mut self) -> Result<u8, Malformed> {
        let at = self.place.position;
        let bad = |message: &str| Err(Malformed { at, message: message.to_owned() });
        match self.bump() {
            Some('n') => Ok(b'\n'),
            Some('r') => Ok(b'\r'),
            Some('t') => Ok(b'\t'),
            Some('a') => Ok(7),
            Some('b') => Ok(8),
            Some('f') => Ok(12),
            Some('v') => Ok(11),
            Some(c @ ('\\' | '"' | '\'' | '?')) => Ok(c as u8),
            Some('x') => match self.digits(16, 2) {
                Some(value) => Ok(value as u8),
                None => bad("hexadecimal digits expected after '\\x'"),
            },
            Some(c) if c.is_digit(8) => {
                let first = c.to_digit(8).unwrap_or(0);
                let mut value = first;
                for _ in 0..2 {
                    if let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) {
                        self.bump();
                        value = value * 8 + digit;
                    }
                }
                u8::try_from(value).or_else(|_| bad("this octal escape is more than a byte"))
            }
            _ => bad("unknown escape in a string"),
        }
    }

    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut value = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else { break };
            self.bump();
            value = Some(value.unwrap_or(0) * radix + digit);
        }
        value
    }

    /// Past blanks and comments: `// …`, `# …` and `/* … */`.
    fn skip_blanks(&mut self) -> Result<(), Malformed> {
        loop {
            let rest = self.rest();
            if rest.starts_with("//") || rest.starts_with('#') {
                self.take_while(|c| c != '\n');
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let at = self.place.position;
                let length = comment.find("*/").map(|end| end + 4);
                self.bump_bytes(length.unwrap_or(rest.len()));
                if length.is_none() {
                    return Err(Malformed { at, message: "'/*' without its '*/'".to_owned() });
                }
            } else if rest.starts_with(char::is_whitespace) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.place.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let start = self.place.offset;
        while self.peek().is_some_and(&mut wanted) {
            self.bump();
        }
        self.text[start..self.place.offset].to_owned()
    }

    fn bump_bytes(&mut self, count: usize) {
        let end = self.place.offset + count;
        while self.place.offset < end && self.bump().is_some() {}
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.place.offset += c.len_utf8();
        if c == '\n' {
            self.place.position.line += 1;
            self.place.position.column = 1;
            self.place.first = true;
        } else {
            self.place.position.column += 1;
        }
        Some(c)
    }
}

/// The one token that a definition's value spells.
fn spelt(value: &str) -> Result<Kind, String> {
    let mut lexer = Lexer::new(value, Values::new());
    let token = lexer.next().map_err(|malformed| malformed.message)?;
    match lexer.next().map(|token| token.kind) {
        Ok(Kind::End) if token.kind != Kind::End => Ok(token.kind),
        _ => Err(format!("'{value}'")),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_option(rest: &str) -> bool {
    rest.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn digit_at(text: &str, index: usize) -> bool {
    text.as_bytes().get(index).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let values = Values::from([
            ("COOKIE".to_owned(), "30ab".to_owned()),
            ("LIST".to_owned(), "`ls`".to_owned()),
            ("TWO".to_owned(), "1 2".to_owned()),
        ]);
        let mut lexer = Lexer::new(text, values);
        let mut kinds = Vec::new();
        loop {
            match lexer.next() {
                Ok(Token { kind: Kind::End, .. }) => return kinds,
                Ok(token) => kinds.push(token.kind),
                Err(malformed) => kinds.push(Kind::Text(malformed.message.into_bytes())),
            }
        }
    }

    fn number(text: &str) -> Kind {
        Kind::Number(text.to_owned())
    }

    fn word(text: &str) -> Kind {
        Kind::Word(text.to_owned())
    }

    fn fraction(text: &str) -> Kind {
        Kind::Fraction(text.to_owned())
    }

    #[test]
    fn dots_are_points_of_numbers_ellipses_and_flags() {
        use Kind::{Ellipsis, Sign};
        assert_eq!(kinds("0...0.2"), [number("0"), Ellipsis, fraction("0.2")]);
        assert_eq!(kinds("+.1....2"), [Sign('+'), fraction(".1"), Ellipsis, fraction(".2")]);
        assert_eq!(kinds("P. 1:2"), [word("P"), Sign('.'), number("1"), Sign(':'), number("2")]);
        assert_eq!(kinds("1."), [number("1"), Sign('.')]);
        assert_eq!(kinds("0x1.5"), [number("0x1"), fraction(".5")]);
        assert_eq!(kinds("+.1close"), [Sign('+'), fraction(".1"), word("close")]);
    }

    #[test]
    fn comments_of_three_kinds_are_blanks() {
        assert_eq!(
            kinds("1 // 2\n3 /* 4\n5 */ 6 # 7\n8"),
            [number("1"), number("3"), number("6"), number("8")]
        );
        assert_eq!(kinds("/* 1"), [Kind::Text(b"'/*' without its '*/'".to_vec())]);
    }

    #[test]
    fn strings_resolve_the_escapes_of_c() {
        assert_eq!(kinds(r#""a\n\x41\"\0\101\\""#), [Kind::Text(b"a\nA\"\0A\\".to_vec())]);
        assert_eq!(kinds("\"a"), [Kind::Text(b"this string has no closing '\"'".to_vec())]);
    }

    #[test]
    fn options_stand_first_on_their_lines_with_bare_or_quoted_values() {
        let option = |name: &str, value: Option<&str>| Kind::Option {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        assert_eq!(
            kinds("--a=fd00::1 // note\n --b\n--define=C=\"d e\"\n"),
            [option("a", Some("fd00::1")), option("b", None), option("define", Some("C=\"d e\""))]
        );
        assert_eq!(kinds("1 --a")[1..3], [Kind::Sign('-'), Kind::Sign('-')]);
    }

    #[test]
    fn a_defined_word_is_the_token_that_its_value_spells() {
        assert_eq!(kinds("FO COOKIE"), [word("FO"), number("30ab")]);
        assert_eq!(kinds("LIST"), [Kind::BackQuoted("ls".to_owned())]);
        assert!(
            matches!(&kinds("TWO")[0], Kind::Text(message) if message.starts_with(b"the definition of 'TWO'"))
        );
    }

    #[test]
    fn positions_count_characters_from_one() {
        let mut lexer = Lexer::new("é a\n  b", Values::new());
        let places: Vec<_> = std::iter::from_fn(|| lexer.next().ok().filter(|token| token.kind != Kind::End))
            .map(|token| (token.at.line, token.at.column, token.first))
            .collect();
        assert_eq!(places, [(1, 1, true), (1, 3, false), (2, 3, true)]);
    }
}
