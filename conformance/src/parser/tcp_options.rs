//! TCP options: `<mss 1460,nop,nop,sackOK,nop,wscale 7>`.

use super::{Parsed, Parser, expected, wrong};
use crate::ast::{AccEcnField, Position, SackBlock, TcpOption, TcpOptions};
use crate::lexer::Kind;

/// What the data offset leaves for options (RFC 9293 §3.1).
const BYTES_MAX: usize = 40;
const U32_MAX: u64 = u32::MAX as u64;
/// The counters of the accurate ECN option have 24 bits.
const COUNTER_MAX: u64 = (1 << 24) - 1;
const MD5_DIGITS: usize = 32;

impl Parser<'_> {
    pub(super) fn tcp_options(&mut self) -> Parsed<TcpOptions> {
        let at = self.peek()?.at;
        self.expect('<')?;
        if self.take_ellipsis()? {
            self.expect('>')?;
            return Ok(TcpOptions::Any);
        }
        let mut options = vec![self.tcp_option()?];
        while self.take(',')? {
            options.push(self.tcp_option()?);
        }
        let token = self.next()?;
        if token.kind != Kind::Sign('>') {
            return expected(&token, "',' or '>'");
        }
        let length: usize = options.iter().map(TcpOption::length).sum();
        if length > BYTES_MAX {
            return wrong(
                at,
                format!("these options have {length} bytes: a header has room for {BYTES_MAX}"),
            );
        }
        if !length.is_multiple_of(4) {
            return wrong(
                at,
                format!("these options have {length} bytes: fill them up to words of 4 with nop or eol"),
            );
        }
        Ok(TcpOptions::Listed(options))
    }

    fn tcp_option(&mut self) -> Parsed<TcpOption> {
        const WHAT: &str = "a TCP option (nop, eol, mss, wscale, sackOK, sack, TS, FO, FOEXP, md5, ECN, hex)";
        let name = self.name(WHAT)?;
        Ok(match name.text.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::EndOfList,
            "mss" => TcpOption::Mss(self.integer("an MSS", u16::MAX.into())?),
            "wscale" => TcpOption::WindowScale(self.integer("a window scale", u8::MAX.into())?),
            "sackOK" => TcpOption::SackPermitted,
            "sack" => TcpOption::Sack(self.sack_blocks()?),
            "TS" => self.timestamp()?,
            "FO" => TcpOption::FastOpen(self.cookie()?),
            "FOEXP" => TcpOption::FastOpenExperimental(self.cookie()?),
            "md5" => self.md5()?,
            "ECN" => TcpOption::AccEcn(self.acc_ecn()?),
            "hex" => TcpOption::Bytes(self.bytes()?),
            other => return wrong(name.at, format!("expected {WHAT}, found '{other}'")),
        })
    }

    fn sack_blocks(&mut self) -> Parsed<Vec<SackBlock>> {
        let mut blocks = vec![self.sack_block()?];
        while matches!(self.peek()?.kind, Kind::Number(_)) {
            blocks.push(self.sack_block()?);
        }
        Ok(blocks)
    }

    fn sack_block(&mut self) -> Parsed<SackBlock> {
        let left = self.integer("a sequence number", U32_MAX)?;
        self.expect(':')?;
        let right = self.integer("a sequence number", U32_MAX)?;
        Ok(SackBlock { left, right })
    }

    fn timestamp(&mut self) -> Parsed<TcpOption> {
        self.expect_word("val")?;
        let value = self.integer("a time stamp", U32_MAX)?;
        self.expect_word("ecr")?;
        let echo = self.integer("a time stamp", U32_MAX)?;
        Ok(TcpOption::Timestamp { value, echo })
    }

    fn cookie(&mut self) -> Parsed<Vec<u8>> {
        match self.hexadecimal()? {
            Some((at, digits)) => bytes(at, &digits),
            None => Ok(Vec::new()),
        }
    }

    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        match self.hexadecimal()? {
            Some((at, digits)) => bytes(at, &digits),
            None => expected(&self.peek()?, "hexadecimal digits"),
        }
    }

    fn md5(&mut self) -> Parsed<TcpOption> {
        let Some((at, digits)) = self.hexadecimal()? else {
            return expected(&self.peek()?, "the 32 hexadecimal digits of a digest");
        };
        if digits.len() != MD5_DIGITS {
            return wrong(
                at,
                format!("a digest has {MD5_DIGITS} hexadecimal digits, and not {}", digits.len()),
            );
        }
        match bytes(at, &digits)?.try_into() {
            Ok(digest) => Ok(TcpOption::Md5(digest)),
            Err(_) => wrong(at, "this is no digest"),
        }
    }

    /// A word of hexadecimal digits, if one comes next.
    fn hexadecimal(&mut self) -> Parsed<Option<(Position, String)>> {
        let token = self.peek()?;
        match token.kind {
            Kind::Word(digits) | Kind::Number(digits) => {
                self.next()?;
                Ok(Some((token.at, digits)))
            }
            _ => Ok(None),
        }
    }

    /// `e0b 1 ceb 0 e1b 1` or `e1b 1 ceb 0 e0b 1`, or the first or the first two of one of them.
    fn acc_ecn(&mut self) -> Parsed<Vec<AccEcnField>> {
        let token = self.peek()?;
        let order = match &token.kind {
            Kind::Word(word) if word == "e0b" => ["e0b", "ceb", "e1b"],
            Kind::Word(word) if word == "e1b" => ["e1b", "ceb", "e0b"],
            _ => return expected(&token, "'e0b' or 'e1b'"),
        };
        let mut fields = Vec::new();
        for name in order {
            if !self.take_word(name)? {
                break;
            }
            let count = self.integer("a counter of bytes", COUNTER_MAX)?;
            fields.push(match name {
                "e0b" => AccEcnField::Ect0(count),
                "e1b" => AccEcnField::Ect1(count),
                _ => AccEcnField::Ce(count),
            });
        }
        Ok(fields)
    }
}

fn bytes(at: Position, digits: &str) -> Parsed<Vec<u8>> {
    let values: Option<Vec<u8>> = digits.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match values {
        None => wrong(at, format!("'{digits}' isn't hexadecimal")),
        Some(values) if !values.len().is_multiple_of(2) => {
            wrong(at, format!("'{digits}' has an odd number of digits"))
        }
        Some(values) => Ok(values.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
    }
}
