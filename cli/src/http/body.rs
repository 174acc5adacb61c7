//! Where a message's body ends: by length, in chunks, or with the connection.

use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes of a chunk's first line, or of a trailer's, at most.
const MAX_LINE: u64 = 8 * 1024;
/// Lines of a trailer at most.
const MAX_TRAILER: usize = 64;

/// How a body's end is told.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// This many bytes are left.
    Length(u64),
    /// This many bytes are left of a chunk, and another chunk follows.
    Chunk(u64),
    /// A chunk is to begin.
    BetweenChunks,
    /// It ends with the connection.
    UntilClose,
}

impl Framing {
    /// As a response's fields have it.
    //= RFC 9112 §6.3
    pub(super) fn of_response(
        head_only: bool,
        status: u16,
        fields: &[httparse::Header<'_>],
    ) -> io::Result<Framing> {
        if head_only || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let field = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        if let Some(coding) = field("transfer-encoding") {
            if coding.value.eq_ignore_ascii_case(b"chunked") {
                return Ok(Framing::BetweenChunks);
            }
            return Err(malformed("a transfer coding other than chunked"));
        }
        match field("content-length") {
            None => Ok(Framing::UntilClose),
            Some(length) => {
                let length = std::str::from_utf8(length.value).ok().and_then(|text| text.trim().parse().ok());
                length.map(Framing::Length).ok_or_else(|| malformed("a length that is no number"))
            }
        }
    }
}

/// A body being read.
#[derive(Debug)]
pub struct BodyReader<R> {
    from: R,
    framing: Framing,
}

impl<R: BufRead> BodyReader<R> {
    pub(super) fn new(from: R, framing: Framing) -> Self {
        BodyReader { from, framing }
    }

    /// The length, where the fields told it.
    pub fn known_len(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(len) => Some(len),
            _ => None,
        }
    }

    /// Reads at most `left` bytes of what must come.
    fn read_some(&mut self, into: &mut [u8], left: u64) -> io::Result<usize> {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        match self.from.read(&mut into[..len])? {
            0 if len > 0 => {
                Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within the body"))
            }
            len => Ok(len),
        }
    }

    //= RFC 9112 §7.1
    fn begin_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.framing = match u64::from_str_radix(size, 16) {
            Ok(0) => {
                for _ in 0..MAX_TRAILER {
                    if self.line()?.is_empty() {
                        self.framing = Framing::Length(0);
                        return Ok(());
                    }
                }
                return Err(malformed("a trailer of too many lines"));
            }
            Ok(size) => Framing::Chunk(size),
            Err(_) => return Err(malformed("a chunk without a size")),
        };
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.from).take(MAX_LINE).read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
            None => Err(malformed("a line without an end")),
        }
    }
}

impl<R: BufRead> Read for BodyReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.framing == Framing::BetweenChunks {
            self.begin_chunk()?;
        }
        match self.framing {
            Framing::UntilClose => self.from.read(into),
            Framing::Length(left) => {
                let len = if left == 0 { 0 } else { self.read_some(into, left)? };
                self.framing = Framing::Length(left - len as u64);
                Ok(len)
            }
            Framing::Chunk(left) if left > 0 => {
                let len = self.read_some(into, left)?;
                self.framing = Framing::Chunk(left - len as u64);
                if left == len as u64 {
                    if !self.line()?.is_empty() {
                        return Err(malformed("a chunk longer than its size"));
                    }
                    self.framing = Framing::BetweenChunks;
                }
                Ok(len)
            }
            Framing::Chunk(_) | Framing::BetweenChunks => Err(malformed("a chunk of no bytes")),
        }
    }
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the response has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: Framing, bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        BodyReader::new(bytes, framing).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn chunks_are_joined() {
        let body = b"4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: x\r\n\r\nnot this";
        assert_eq!(read(Framing::BetweenChunks, body).unwrap(), "Wikipedia");
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        assert_eq!(read(Framing::Length(4), b"abcd more").unwrap(), "abcd");
        for (framing, bytes) in [
            (Framing::Length(5), &b"abcd"[..]),
            (Framing::BetweenChunks, b"5\r\nabcd"),
            (Framing::BetweenChunks, b"4\r\nabcd\r\n"),
            (Framing::BetweenChunks, b"4\r\nabcdefgh\r\n"),
            (Framing::BetweenChunks, b"x\r\n"),
        ] {
            assert!(read(framing, bytes).is_err(), "{framing:?} {bytes:?}");
        }
    }
}
