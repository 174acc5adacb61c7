//! Which part of a document is asked for.

use std::str::FromStr;

/// One range of bytes, as the field `Range` has it.
//= RFC 9110 §14.1.2
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ByteRange {
    /// From the first on, up to and with the last, or to the end.
    From(u64, Option<u64>),
    /// This many at the end.
    Last(u64),
}

/// A part of a document.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its first byte.
    pub first: u64,
    /// How many there are.
    pub len: u64,
}

impl ByteRange {
    /// What there is of it in a document of `len` bytes; `None` where that is nothing.
    pub fn within(self, len: u64) -> Option<Part> {
        let (first, last) = match self {
            ByteRange::From(first, last) => (first, last.unwrap_or(u64::MAX).min(len.checked_sub(1)?)),
            ByteRange::Last(count) => (len.saturating_sub(count), len.checked_sub(1)?),
        };
        let len = last.checked_sub(first)?.checked_add(1)?;
        Some(Part { first, len })
    }
}

impl FromStr for ByteRange {
    type Err = ();

    /// Of several ranges there is no understanding, and of other units neither: a server may give the whole then.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) =
            text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or(())?;
        let number = |text: &str| match text.bytes().all(|digit| digit.is_ascii_digit()) {
            true => text.parse().map_err(drop),
            false => Err(()),
        };
        match (first, last) {
            ("", last) => number(last).map(ByteRange::Last),
            (first, "") => Ok(ByteRange::From(number(first)?, None)),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Ok(ByteRange::From(first, Some(last))),
                _ => Err(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_its_document() {
        for (text, part) in [
            ("bytes=0-4", Some((0, 5))),
            ("bytes=8-20", Some((8, 2))),
            ("bytes=3-", Some((3, 7))),
            ("bytes=-4", Some((6, 4))),
            ("bytes=-99", Some((0, 10))),
            ("bytes=-0", None),
            ("bytes=10-", None),
        ] {
            let within = text.parse::<ByteRange>().unwrap().within(10);
            assert_eq!(within, part.map(|(first, len)| Part { first, len }), "{text}");
        }
        assert_eq!(ByteRange::From(0, None).within(0), None);
        for text in ["bytes=0-1,4-5", "bytes=5-1", "bytes=", "bytes=-", "lines=0-1", "bytes=+1-2", "0-1"] {
            assert!(text.parse::<ByteRange>().is_err(), "{text}");
        }
    }
}
