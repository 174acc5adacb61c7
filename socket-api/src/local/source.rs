//! What is sent: bytes that lie in one place, or in several.

use std::borrow::Cow;
use std::io::IoSlice;

/// Bytes to be sent. Those that lie in several places are put together piece by piece, when it is known that they go.
#[derive(Copy, Clone)]
pub(crate) struct Source<'a> {
    parts: Parts<'a>,
    len: usize,
}

#[derive(Copy, Clone)]
enum Parts<'a> {
    One(&'a [u8]),
    Several(&'a [IoSlice<'a>]),
}

/// The most that one call moves: Linux's MAX_RW_COUNT.
const COUNT_MAX: usize = 0x7fff_f000;

impl<'a> Source<'a> {
    /// What lies in one place.
    pub(crate) fn one(bytes: &'a [u8]) -> Self {
        Source { parts: Parts::One(bytes), len: bytes.len().min(COUNT_MAX) }
    }

    /// What lies in several.
    pub(crate) fn several(parts: &'a [IoSlice<'a>]) -> Self {
        if let [only] = parts {
            return Source::one(only);
        }
        let len = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        Source { parts: Parts::Several(parts), len: len.min(COUNT_MAX) }
    }

    /// Whether pieces of it are put together.
    pub(crate) fn is_scattered(&self) -> bool {
        matches!(self.parts, Parts::Several(_))
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `max` bytes from `start` on, or as many as there are.
    pub(crate) fn piece(&self, start: usize, max: usize) -> Cow<'a, [u8]> {
        let len = max.min(self.len - start);
        match self.parts {
            Parts::One(bytes) => Cow::Borrowed(&bytes[start..start + len]),
            Parts::Several(parts) => {
                let (mut bytes, mut skip) = (Vec::with_capacity(len), start);
                for part in parts {
                    let begin = skip.min(part.len());
                    skip -= begin;
                    let end = part.len().min(begin + len - bytes.len());
                    bytes.extend_from_slice(&part[begin..end]);
                    if bytes.len() == len {
                        break;
                    }
                }
                Cow::Owned(bytes)
            }
        }
    }
}
