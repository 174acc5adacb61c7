//! System calls and their arguments.

use std::net::IpAddr;
use std::time::Duration;

use super::{Parsed, Parser, expected, wrong};
use crate::ast::{Expr, ExprKind, Name, Syscall};
use crate::lexer::Kind;

/// How deep arrays and structures may stand in each other.
const DEPTH_MAX: usize = 16;

impl Parser<'_> {
    /// `read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)`.
    pub(super) fn syscall(&mut self, end: Option<Duration>) -> Parsed<Syscall> {
        let name = self.name("a system call")?;
        self.expect('(')?;
        let arguments = self.list(')', DEPTH_MAX)?;
        self.expect('=')?;
        let result = self.expression(DEPTH_MAX)?;
        let errno = match self.peek()?.kind {
            Kind::Word(_) => Some(self.name("an errno")?),
            _ => None,
        };
        let note = if self.take('(')? { Some(self.lexer.note()?) } else { None };
        if let Some(Name { at, .. }) = &errno
            && !matches!(result.kind, ExprKind::Integer(-1) | ExprKind::Ellipsis)
        {
            return wrong(*at, "an errno stands behind the result -1");
        }
        Ok(Syscall { at: name.at, end, name: name.text, arguments, result, errno, note })
    }

    /// Expressions with commas between them and `close` behind them; the sign before them is taken.
    pub(super) fn list(&mut self, close: char, depth: usize) -> Parsed<Vec<Expr>> {
        let mut list = Vec::new();
        if self.take(close)? {
            return Ok(list);
        }
        loop {
            list.push(self.expression(depth)?);
            if self.take(close)? {
                return Ok(list);
            }
            let token = self.next()?;
            if token.kind != Kind::Sign(',') {
                return expected(&token, &format!("',' or '{close}'"));
            }
        }
    }

    /// `a`, or `a|b|c`.
    pub(super) fn expression(&mut self, depth: usize) -> Parsed<Expr> {
        let first = self.operand(depth)?;
        if !matches!(self.peek()?.kind, Kind::Sign('|')) {
            return Ok(first);
        }
        let at = first.at;
        let mut operands = vec![first];
        while self.take('|')? {
            operands.push(self.operand(depth)?);
        }
        Ok(Expr { at, kind: ExprKind::Or(operands) })
    }

    fn operand(&mut self, depth: usize) -> Parsed<Expr> {
        let token = self.next()?;
        let Some(deeper) = depth.checked_sub(1) else {
            return wrong(token.at, format!("structures stand more than {DEPTH_MAX} deep in each other"));
        };
        let kind = match token.kind {
            Kind::Ellipsis => ExprKind::Ellipsis,
            Kind::Sign('-') => ExprKind::Integer(-self.integer::<i64>("a number", i64::MAX as u64)?),
            Kind::Number(ref digits) => number(&token, digits)?,
            Kind::Text(bytes) => ExprKind::Text { bytes, more: self.take_ellipsis()? },
            Kind::Word(text) => self.word(Name { at: token.at, text }, deeper)?,
            Kind::Sign('[') => ExprKind::Array(self.list(']', deeper)?),
            Kind::Sign('{') => self.structure(token.at, deeper)?,
            _ => return expected(&token, "an expression"),
        };
        Ok(Expr { at: token.at, kind })
    }

    /// A name, an assignment or an address: they all begin with a word.
    fn word(&mut self, name: Name, depth: usize) -> Parsed<ExprKind> {
        match name.text.as_str() {
            "htons" => return Ok(ExprKind::NetworkOrder(self.htons()?)),
            "inet_addr" | "inet6_addr" => return Ok(ExprKind::Address(self.address(&name)?)),
            _ => {}
        }
        if self.take('=')? {
            let value = Box::new(self.expression(depth)?);
            return Ok(ExprKind::Assign { name, value });
        }
        Ok(ExprKind::Name(name.text))
    }

    /// `(8080)`, behind `htons`.
    pub(super) fn htons(&mut self) -> Parsed<u16> {
        self.expect('(')?;
        let port = self.integer("a port", u16::MAX.into())?;
        self.expect(')')?;
        Ok(port)
    }

    /// `("192.0.2.1")`, behind `inet_addr`, and of IPv6 behind `inet6_addr`.
    pub(super) fn address(&mut self, function: &Name) -> Parsed<IpAddr> {
        self.expect('(')?;
        let at = self.peek()?.at;
        let address = self.quoted_address()?;
        self.expect(')')?;
        match (address, function.text.as_str()) {
            (IpAddr::V4(_), "inet6_addr") => wrong(at, "expected an address of IPv6"),
            (address, _) => Ok(address),
        }
    }

    /// `"192.0.2.1"`.
    pub(super) fn quoted_address(&mut self) -> Parsed<IpAddr> {
        let token = self.next()?;
        let Kind::Text(text) = &token.kind else { return expected(&token, "an address in quotes") };
        let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(address),
            None => wrong(token.at, format!("'{}' is no IP address", String::from_utf8_lossy(text))),
        }
    }
}

fn number(token: &crate::lexer::Token, digits: &str) -> Parsed<ExprKind> {
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok().map(ExprKind::Hexadecimal),
        // A decimal that only an unsigned number holds is kept with those that are written as such.
        None => match digits.parse() {
            Ok(value) => Some(ExprKind::Integer(value)),
            Err(_) => digits.parse().ok().map(ExprKind::Hexadecimal),
        },
    };
    match parsed {
        Some(kind) => Ok(kind),
        None => wrong(token.at, format!("'{digits}' is no number that fits in 64 bits")),
    }
}
