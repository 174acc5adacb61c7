//! What becomes of standard input on its way: ends of lines, and lines one by one.

use std::borrow::Cow;
use std::thread;
use std::time::Duration;

/// How it is treated.
#[derive(Copy, Clone, Debug, Default)]
pub struct Lines {
    /// Whether each end of a line becomes CR LF (-C).
    pub crlf: bool,
    /// What passes between lines (-i).
    pub interval: Option<Duration>,
}

/// The end of what was seen before.
#[derive(Copy, Clone, Debug, Default)]
pub struct Before {
    carriage_return: bool,
}

impl Lines {
    /// `bytes` with the ends of lines that are wanted.
    pub fn translate<'a>(&self, bytes: &'a [u8], before: &mut Before) -> Cow<'a, [u8]> {
        if !self.crlf {
            return Cow::Borrowed(bytes);
        }
        let mut translated = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            // One that has its CR already keeps it.
            if byte == b'\n' && !before.carriage_return {
                translated.push(b'\r');
            }
            before.carriage_return = byte == b'\r';
            translated.push(byte);
        }
        Cow::Owned(translated)
    }

    /// Hands `bytes` to `take`: at once, or line after line with what passes between them.
    ///
    /// # Errors
    /// Those of `take`, which ends it.
    pub fn each<E>(&self, bytes: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Some(interval) = self.interval else { return take(bytes) };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            take(line)?;
            #[expect(clippy::disallowed_methods, reason = "-i asks for it")]
            thread::sleep(interval);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_lines_become_two_bytes() {
        let lines = Lines { crlf: true, interval: None };
        let mut before = Before::default();
        assert_eq!(*lines.translate(b"a\nb\r\nc\r", &mut before), *b"a\r\nb\r\nc\r");
        assert_eq!(*lines.translate(b"\n\n", &mut before), *b"\n\r\n");
        assert_eq!(*Lines::default().translate(b"a\n", &mut before), *b"a\n");
    }

    #[test]
    fn lines_go_one_by_one() {
        let lines = Lines { crlf: false, interval: Some(Duration::from_millis(1)) };
        let mut taken = Vec::new();
        let done: Result<(), ()> = lines.each(b"a\nb\nc", |line| {
            taken.push(line.to_vec());
            Ok(())
        });
        assert_eq!((done, taken.len()), (Ok(()), 3));
    }
}
