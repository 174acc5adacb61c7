//! From words to arguments: variables, arithmetic, the output of commands, and the cuts at blanks.

use super::evaluate::Run;
use super::syntax::{Piece, Word};
use super::{ShellError, TEXT_MAX, arithmetic};
use crate::ast::Position;

impl Run<'_> {
    /// The arguments that words make; an unquoted expansion may make none or many.
    pub(super) fn arguments(&mut self, words: &[Word]) -> Result<Vec<String>, ShellError> {
        let (mut arguments, mut room) = (Vec::new(), TEXT_MAX);
        for word in words {
            self.fields(word, &mut arguments, &mut room)?;
        }
        Ok(arguments)
    }

    /// The one text that a word makes, as in an assignment: without cuts.
    pub(super) fn text(&mut self, word: &Word) -> Result<String, ShellError> {
        let (mut text, mut room) = (String::new(), TEXT_MAX);
        for piece in &word.pieces {
            text.push_str(&self.piece_within(piece, &mut room)?);
        }
        Ok(text)
    }

    fn fields(
        &mut self,
        word: &Word,
        arguments: &mut Vec<String>,
        room: &mut usize,
    ) -> Result<(), ShellError> {
        let mut field: Option<String> = None;
        for piece in &word.pieces {
            let text = self.piece_within(piece, room)?;
            if !is_cut(piece) {
                field.get_or_insert_default().push_str(&text);
                continue;
            }
            if text.starts_with(char::is_whitespace) {
                arguments.extend(field.take());
            }
            for (index, part) in text.split_whitespace().enumerate() {
                if index > 0 {
                    arguments.extend(field.take());
                }
                field.get_or_insert_default().push_str(part);
            }
            if text.ends_with(char::is_whitespace) {
                arguments.extend(field.take());
            }
        }
        arguments.extend(field);
        Ok(())
    }

    /// What a piece of a word expands to, which takes of the `room` that is left, in bytes.
    fn piece_within(&mut self, piece: &Piece, room: &mut usize) -> Result<String, ShellError> {
        let text = self.piece(piece)?;
        let Some(left) = room.checked_sub(text.len()) else {
            let at = match piece {
                Piece::Variable { at, .. } | Piece::Arithmetic { at, .. } => *at,
                Piece::Text { .. } | Piece::Output { .. } => Position { line: 1, column: 1 },
            };
            return Err(self.mistake(at, format!("words make more than {TEXT_MAX} bytes")));
        };
        *room = left;
        Ok(text)
    }

    fn piece(&mut self, piece: &Piece) -> Result<String, ShellError> {
        match piece {
            Piece::Text { text, .. } => Ok(text.clone()),
            Piece::Variable { name, default, .. } => {
                let value = self.variable(name);
                Ok(if value.is_empty() { default.clone().unwrap_or_default() } else { value })
            }
            Piece::Arithmetic { at, expression } => {
                let value = arithmetic::value(expression, &|name| self.variable(name));
                value.map(|value| value.to_string()).map_err(|message| self.mistake(*at, message))
            }
            Piece::Output { list, .. } => {
                let output = self.list(list, "")?;
                Ok(output.trim_end_matches('\n').to_owned())
            }
        }
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.shell.status.to_string(),
            "#" => self.arguments.len().saturating_sub(1).to_string(),
            "@" | "*" => self.arguments.iter().skip(1).cloned().collect::<Vec<_>>().join(" "),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                let index = digits.parse::<usize>().ok();
                index.and_then(|index| self.arguments.get(index)).cloned().unwrap_or_default()
            }
            name => self.shell.variables.get(name).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn mistake(&self, at: Position, message: impl Into<String>) -> ShellError {
        super::Mistake { at, message: message.into() }.within(self.file, self.at)
    }
}

/// Whether what a piece expands to is cut at blanks.
fn is_cut(piece: &Piece) -> bool {
    match piece {
        Piece::Variable { quoted, .. } | Piece::Output { quoted, .. } => !quoted,
        Piece::Text { .. } | Piece::Arithmetic { .. } => false,
    }
}
