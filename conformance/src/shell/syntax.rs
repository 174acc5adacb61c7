//! The shell's grammar, as far as scripts use it: lists, pipelines, simple commands with quotes, expansions and
//! redirections, `if` and `for`.

use super::Mistake;
use crate::ast::Position;

/// Commands one after the other.
pub(super) type List = Vec<AndOr>;

/// Pipelines with `&&` and `||` between them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Connector, Pipeline)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Connector {
    And,
    Or,
}

/// Commands whose outputs are each other's input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Simple(Simple),
    If { branches: Vec<(List, List)>, otherwise: List },
    For { variable: String, words: Vec<Word>, body: List },
    Group(List),
}

/// A program with its arguments, or assignments alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simple {
    pub at: Position,
    pub words: Vec<Word>,
    pub redirections: Vec<Redirection>,
}

/// `> file`, `2>&1`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirection {
    pub stream: Stream,
    pub append: bool,
    pub target: Word,
}

/// What is redirected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stream {
    Input,
    Output,
    Errors,
    Both,
    /// `2>&1`, `>&2`: errors go where the output goes, or the output to nowhere that counts.
    ErrorsToOutput,
    OutputToErrors,
}

/// A word, made of pieces that stand together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Word {
    pub pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text { text: String, quoted: bool },
    Variable { at: Position, name: String, default: Option<String>, quoted: bool },
    Arithmetic { at: Position, expression: String },
    Output { list: List, quoted: bool },
}

/// How deep lists may stand in each other.
const DEPTH_MAX: usize = 32;

/// The commands of a text.
pub(super) fn parse(text: &str) -> Result<List, Mistake> {
    let mut parser = Parser { text, offset: 0, at: Position { line: 1, column: 1 }, depth: 0 };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(c) => Mistake::new(parser.at, format!("unexpected '{c}'")),
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
    at: Position,
    depth: usize,
}

/// Words that end a list within `if` and `for`.
const KEYWORDS: &[&str] = &["then", "elif", "else", "fi", "do", "done", "}"];

impl Parser<'_> {
    /// Up to one of the words in `until`, which stays, or to a `)` or the end.
    fn list(&mut self, until: &[&str]) -> Result<List, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Mistake::new(self.at, format!("commands stand more than {DEPTH_MAX} deep in each other"));
        }
        let mut list = Vec::new();
        loop {
            self.skip_separators();
            let at = self.at;
            match self.keyword() {
                Some(word) if until.contains(&word.as_str()) => break,
                Some(word) if KEYWORDS.contains(&word.as_str()) => {
                    return Mistake::new(at, format!("unexpected '{word}'"));
                }
                _ => {}
            }
            if matches!(self.peek(), None | Some(')')) {
                break;
            }
            list.push(self.and_or()?);
            self.skip_blanks();
            match self.peek() {
                Some('&') => return Mistake::new(self.at, "commands in the background are not supported"),
                Some(';' | '\n' | ')') | None => {}
                Some(c) => return Mistake::new(self.at, format!("unexpected '{c}'")),
            }
        }
        self.depth -= 1;
        Ok(list)
    }

    fn and_or(&mut self) -> Result<AndOr, Mistake> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let connector = if self.take("&&") {
                Connector::And
            } else if self.take("||") {
                Connector::Or
            } else {
                return Ok(AndOr { first, rest });
            };
            self.skip_separators();
            rest.push((connector, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Mistake> {
        self.skip_blanks();
        let negated = self.keyword().as_deref() == Some("!") && self.take("!");
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.rest().starts_with("||") || !self.take("|") {
                return Ok(Pipeline { negated, commands });
            }
            self.skip_separators();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, Mistake> {
        self.skip_blanks();
        let at = self.at;
        match self.keyword().as_deref() {
            Some("if") => self.conditional(),
            Some("for") => self.iteration(),
            Some("{") => {
                self.take("{");
                let list = self.list(&["}"])?;
                self.expect_keyword("}")?;
                Ok(Command::Group(list))
            }
            Some(word @ ("while" | "until" | "case" | "function" | "select" | "[[")) => {
                Mistake::new(at, format!("'{word}' is not supported"))
            }
            _ if self.peek() == Some('(') => Mistake::new(at, "subshells are not supported"),
            _ => self.simple().map(Command::Simple),
        }
    }

    fn conditional(&mut self) -> Result<Command, Mistake> {
        self.expect_keyword("if")?;
        let mut branches = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect_keyword("then")?;
            branches.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.keyword().as_deref() {
                Some("elif") => drop(self.take("elif")),
                Some("else") => {
                    self.take("else");
                    let otherwise = self.list(&["fi"])?;
                    self.expect_keyword("fi")?;
                    return Ok(Command::If { branches, otherwise });
                }
                _ => {
                    self.expect_keyword("fi")?;
                    return Ok(Command::If { branches, otherwise: Vec::new() });
                }
            }
        }
    }

    fn iteration(&mut self) -> Result<Command, Mistake> {
        self.expect_keyword("for")?;
        self.skip_blanks();
        let at = self.at;
        let variable = self.name();
        if variable.is_empty() {
            return Mistake::new(at, "expected a variable after 'for'");
        }
        self.expect_keyword("in")?;
        let mut words = Vec::new();
        while let Some(word) = self.word()? {
            words.push(word);
        }
        self.skip_separators();
        self.expect_keyword("do")?;
        let body = self.list(&["done"])?;
        self.expect_keyword("done")?;
        Ok(Command::For { variable, words, body })
    }

    fn simple(&mut self) -> Result<Simple, Mistake> {
        let at = self.at;
        let (mut words, mut redirections) = (Vec::new(), Vec::new());
        loop {
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
            } else if let Some(word) = self.word()? {
                words.push(word);
            } else if words.is_empty() && redirections.is_empty() {
                return Mistake::new(at, "expected a command");
            } else {
                return Ok(Simple { at, words, redirections });
            }
        }
    }

    fn redirection(&mut self) -> Result<Option<Redirection>, Mistake> {
        self.skip_blanks();
        const FORMS: &[(&str, Stream, bool)] = &[
            ("2>&1", Stream::ErrorsToOutput, false),
            (">&2", Stream::OutputToErrors, false),
            ("1>&2", Stream::OutputToErrors, false),
            ("&>>", Stream::Both, true),
            ("&>", Stream::Both, false),
            ("2>>", Stream::Errors, true),
            ("2>", Stream::Errors, false),
            ("1>>", Stream::Output, true),
            ("1>", Stream::Output, false),
            (">>", Stream::Output, true),
            (">&", Stream::Both, false),
            (">", Stream::Output, false),
            ("<", Stream::Input, false),
        ];
        let at = self.at;
        if self.rest().starts_with("<<") || self.rest().starts_with("<(") {
            return Mistake::new(at, "here-documents are not supported");
        }
        let Some((form, stream, append)) = FORMS.iter().find(|(form, ..)| self.rest().starts_with(form))
        else {
            return Ok(None);
        };
        self.take(form);
        let (stream, append) = (*stream, *append);
        let target = match stream {
            Stream::ErrorsToOutput | Stream::OutputToErrors => Word::default(),
            _ => match self.word()? {
                Some(word) => word,
                None => return Mistake::new(at, format!("expected a file after '{form}'")),
            },
        };
        Ok(Some(Redirection { stream, append, target }))
    }

    /// The next word, if what comes next isn't a sign that ends the command.
    fn word(&mut self) -> Result<Option<Word>, Mistake> {
        self.skip_blanks();
        let mut word = Word::default();
        let start = self.offset;
        loop {
            let at = self.at;
            match self.peek() {
                None | Some(' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => break,
                Some('\'') => self.single_quoted(&mut word)?,
                Some('"') => self.double_quoted(&mut word)?,
                Some('$') => self.expansion(&mut word, false)?,
                Some('`') => return Mistake::new(at, "back quotes within a command are not supported"),
                Some('\\') => {
                    self.bump();
                    match self.bump() {
                        Some('\n') => {}
                        Some(c) => word.push(c, true),
                        None => word.push('\\', true),
                    }
                }
                Some(c) => {
                    self.bump();
                    word.push(c, false);
                }
            }
        }
        if self.peek() == Some('(') && self.offset > start {
            return Mistake::new(self.at, "functions are not supported");
        }
        Ok((self.offset > start).then_some(word))
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), Mistake> {
        let at = self.at;
        self.bump();
        word.quote();
        loop {
            match self.bump() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c, true),
                None => return Mistake::new(at, "this ' has no other"),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), Mistake> {
        let at = self.at;
        self.bump();
        word.quote();
        loop {
            match self.peek() {
                Some('"') => {
                    self.bump();
                    return Ok(());
                }
                Some('$') => self.expansion(word, true)?,
                Some('\\') => {
                    self.bump();
                    match self.bump() {
                        Some('\n') => {}
                        Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c, true),
                        Some(c) => {
                            word.push('\\', true);
                            word.push(c, true);
                        }
                        None => {}
                    }
                }
                Some(c) => {
                    self.bump();
                    word.push(c, true);
                }
                None => return Mistake::new(at, "this \" has no other"),
            }
        }
    }

    /// `$NAME`, `${NAME}`, `${NAME:-default}`, `$((…))`, `$(…)`; a `$` before anything else is itself.
    fn expansion(&mut self, word: &mut Word, quoted: bool) -> Result<(), Mistake> {
        let at = self.at;
        self.bump();
        if self.take("((") {
            let Some(length) = self.rest().find("))") else {
                return Mistake::new(at, "'$((' without its '))'");
            };
            let expression = self.rest()[..length].to_owned();
            self.bump_bytes(length + 2);
            word.pieces.push(Piece::Arithmetic { at, expression });
        } else if self.take("(") {
            let list = self.list(&[])?;
            if !self.take(")") {
                return Mistake::new(at, "'$(' without its ')'");
            }
            word.pieces.push(Piece::Output { list, quoted });
        } else if self.take("{") {
            let Some(length) = self.rest().find('}') else { return Mistake::new(at, "'${' without its '}'") };
            let inner = self.rest()[..length].to_owned();
            self.bump_bytes(length + 1);
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (inner, None),
            };
            if !is_parameter(&name) {
                return Mistake::new(at, format!("the expansion '${{{name}}}' is not supported"));
            }
            word.pieces.push(Piece::Variable { at, name, default, quoted });
        } else {
            let name = match self.peek() {
                Some(c) if c.is_ascii_digit() || "?$#@*".contains(c) => {
                    self.bump();
                    c.to_string()
                }
                _ => self.name(),
            };
            match name.as_str() {
                "" => word.push('$', quoted),
                _ => word.pieces.push(Piece::Variable { at, name, default: None, quoted }),
            }
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let start = self.offset;
        while let Some(c) = self.peek() {
            let more = c.is_ascii_alphabetic() || c == '_' || (c.is_ascii_digit() && self.offset > start);
            if !more {
                break;
            }
            self.bump();
        }
        self.text[start..self.offset].to_owned()
    }

    /// The bare word that comes next, without taking it.
    fn keyword(&self) -> Option<String> {
        let end = self.rest().find(|c: char| c.is_whitespace() || ";&|<>()\"'$\\`".contains(c));
        let word = &self.rest()[..end.unwrap_or(self.rest().len())];
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn expect_keyword(&mut self, word: &str) -> Result<(), Mistake> {
        self.skip_separators();
        if self.keyword().as_deref() == Some(word) && self.take(word) {
            return Ok(());
        }
        Mistake::new(self.at, format!("expected '{word}'"))
    }

    /// Past blanks, comments and line continuations, within a command.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with("\\\n") {
                self.bump_bytes(2);
            } else if rest.starts_with([' ', '\t', '\r']) {
                self.bump();
            } else if rest.starts_with('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.bump();
                }
            } else {
                return;
            }
        }
    }

    /// The same between commands, where line ends and semicolons are blanks too.
    fn skip_separators(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some('\n' | ';') => drop(self.bump()),
                _ => return,
            }
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.bump_bytes(text.len());
        }
        there
    }

    fn bump_bytes(&mut self, count: usize) {
        let end = self.offset + count;
        while self.offset < end && self.bump().is_some() {}
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }
}

fn is_parameter(name: &str) -> bool {
    let special = matches!(name, "?" | "$" | "#" | "@" | "*") || name.bytes().all(|b| b.is_ascii_digit());
    !name.is_empty() && (special || name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

impl Word {
    fn push(&mut self, c: char, quoted: bool) {
        match self.pieces.last_mut() {
            Some(Piece::Text { text, quoted: before }) if *before == quoted => text.push(c),
            _ => self.pieces.push(Piece::Text { text: c.to_string(), quoted }),
        }
    }

    /// A pair of quotes makes a word even if nothing stands between them.
    fn quote(&mut self) {
        if !matches!(self.pieces.last(), Some(Piece::Text { quoted: true, .. })) {
            self.pieces.push(Piece::Text { text: String::new(), quoted: true });
        }
    }

    /// The name and the rest of `NAME=value`, if the word is an assignment.
    pub fn assignment(&self) -> Option<(String, Word)> {
        let Some(Piece::Text { text, quoted: false }) = self.pieces.first() else { return None };
        let (name, value) = text.split_once('=')?;
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        let mut pieces = self.pieces.clone();
        pieces[0] = Piece::Text { text: value.to_owned(), quoted: false };
        Some((name.to_owned(), Word { pieces }))
    }
}
