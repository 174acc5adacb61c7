//! The parts of a script, and when its events happen.

use std::time::Duration;

use super::{ERRORS_MAX, Parsed, Parser, expected, wrong};
use crate::ast::{Action, Code, Command, Direction, Event, OptionLine, Position, Script, Setting, Time};
use crate::lexer::{Kind, Malformed, Place, Token};

/// The longest time that a script may name, so that sums of times fit.
const SECONDS_MAX: u64 = 1_000_000_000;

impl Parser<'_> {
    /// The whole script; what is wrong is in `errors` then.
    pub(super) fn script(&mut self, name: &str, text: &str) -> Script {
        let mut script = Script {
            name: name.to_owned(),
            text: text.to_owned(),
            options: Vec::new(),
            init: None,
            events: Vec::new(),
            cleanup: None,
        };
        while self.errors.len() < ERRORS_MAX {
            let start = self.lexer.place();
            match self.part(&mut script) {
                Ok(true) => {}
                Ok(false) => break,
                Err(malformed) => {
                    self.recover(start, malformed.at);
                    self.errors.push(malformed);
                }
            }
        }
        script
    }

    /// One option, command or event; `false` at the end.
    fn part(&mut self, script: &mut Script) -> Parsed<bool> {
        let token = self.peek()?;
        match token.kind {
            Kind::End if script.events.is_empty() && self.errors.is_empty() => {
                return wrong(token.at, "this script has no event");
            }
            Kind::End => return Ok(false),
            Kind::Option { name, value } => {
                self.next()?;
                script.options.push(self.option(token.at, &name, value.as_deref(), script)?);
            }
            Kind::BackQuoted(text) => {
                self.next()?;
                self.outer_command(Command { at: token.at, text }, script)?;
            }
            _ => {
                let event = self.event()?;
                if let Some(cleanup) = script.cleanup.take() {
                    return wrong(cleanup.at, "a command between events needs a time before it");
                }
                script.events.push(event);
            }
        }
        Ok(true)
    }

    fn option(
        &mut self,
        at: Position,
        name: &str,
        value: Option<&str>,
        script: &Script,
    ) -> Parsed<OptionLine> {
        if script.init.is_some() || !script.events.is_empty() {
            return wrong(at, "options stand before the first command and the first event");
        }
        let setting = super::parse_setting(name, value)
            .map_err(|error| Malformed { at, message: error.to_string() })?;
        if let Setting::Define { name, value } = &setting {
            self.lexer.define(name, value);
        }
        Ok(OptionLine { at, setting })
    }

    /// A command without a time: the first before all events, the last behind them.
    fn outer_command(&mut self, command: Command, script: &mut Script) -> Parsed<()> {
        let place = if script.events.is_empty() { &mut script.init } else { &mut script.cleanup };
        match place {
            None => *place = Some(command),
            Some(_) => {
                return wrong(command.at, "expected a time before this command: only one may stand without");
            }
        }
        Ok(())
    }

    fn event(&mut self) -> Parsed<Event> {
        let at = self.peek()?.at;
        let time = self.time()?;
        let end = if self.take_ellipsis()? { Some(self.seconds()?) } else { None };
        let action = self.action(end)?;
        let outbound = matches!(&action, Action::Packet(packet) if packet.direction == Direction::Outbound);
        let timed = matches!(time, Time::Absolute(_) | Time::Relative(_));
        if !timed && !outbound {
            return wrong(
                at,
                "only packets that the stack sends may come at any time or in a range of times",
            );
        }
        if let (Action::Syscall(call), Time::Absolute(start) | Time::Relative(start)) = (&action, time)
            && call.end.is_some_and(|end| end < start)
        {
            return wrong(at, "this call ends before it begins");
        }
        Ok(Event { at, time, action })
    }

    fn action(&mut self, end: Option<Duration>) -> Parsed<Action> {
        let token = self.peek()?;
        if end.is_some() && !matches!(token.kind, Kind::Word(_)) {
            return expected(&token, "a system call after a start and an end time");
        }
        match token.kind {
            Kind::Sign('<' | '>') => Ok(Action::Packet(self.packet()?)),
            Kind::Word(_) => Ok(Action::Syscall(self.syscall(end)?)),
            Kind::BackQuoted(text) => {
                self.next()?;
                Ok(Action::Command(Command { at: token.at, text }))
            }
            Kind::Code(text) => {
                self.next()?;
                Ok(Action::Code(Code { at: token.at, text }))
            }
            _ => expected(&token, "a packet ('<' or '>'), a system call, a command or a code block"),
        }
    }

    fn time(&mut self) -> Parsed<Time> {
        let at = self.peek()?.at;
        if self.take('*')? {
            return Ok(Time::Any);
        }
        let relative = self.take('+')?;
        let from = self.seconds()?;
        if !self.take('~')? {
            return Ok(if relative { Time::Relative(from) } else { Time::Absolute(from) });
        }
        if relative {
            self.expect('+')?;
        }
        let to = self.seconds()?;
        if to < from {
            return wrong(at, "this range of times runs backwards");
        }
        Ok(if relative { Time::RelativeRange { from, to } } else { Time::AbsoluteRange { from, to } })
    }

    /// A time in seconds: `1`, `1.5` or `.5`.
    fn seconds(&mut self) -> Parsed<Duration> {
        let token = self.next()?;
        match &token.kind {
            Kind::Number(text) => seconds(&token, text, ""),
            Kind::Fraction(text) => match text.split_once('.') {
                Some((whole, fraction)) => seconds(&token, whole, fraction),
                None => seconds(&token, text, ""),
            },
            _ => expected(&token, "a time in seconds, '+' and a time, or '*'"),
        }
    }

    /// Goes on to where the next event may begin: behind the part that began at `start`, at the error or later.
    fn recover(&mut self, start: Place, error: Position) {
        self.lexer.return_to(start);
        let mut first_token = true;
        loop {
            let place = self.lexer.place();
            match self.lexer.next() {
                Ok(Token { kind: Kind::End, .. }) => return,
                Ok(Token { at, first: true, kind }) if !first_token && at >= error && begins_event(&kind) => {
                    self.lexer.return_to(place);
                    return;
                }
                _ => first_token = false,
            }
        }
    }
}

fn begins_event(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Sign('+' | '*')
            | Kind::Number(_)
            | Kind::Fraction(_)
            | Kind::BackQuoted(_)
            | Kind::Option { .. }
    )
}

fn seconds(token: &Token, whole: &str, fraction: &str) -> Parsed<Duration> {
    if !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return expected(token, "a time in seconds");
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let Some(seconds) = whole.parse().ok().filter(|seconds| *seconds <= SECONDS_MAX) else {
        return wrong(token.at, format!("this time is out of range: it is at most {SECONDS_MAX} seconds"));
    };
    let nanoseconds = format!("{fraction:0<9.9}").parse().unwrap_or(0);
    Ok(Duration::new(seconds, nanoseconds))
}
